"""Environments of their own for built-in subjects, and the run that writes their results."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conformance import isolated, known
from conformance.runner import Filters
from conformance.systems import run as results
from conformance.target import requirements, system_folder, systems
from mxemu.cli import cli
from mxemu.errors import MxemuError

ROOT = Path(__file__).resolve().parents[2]


def result_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((system_folder(name) / results.RESULT).read_text("utf-8"))
    return found


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def made(name: str) -> Path:
    """An environment that is ready, whose interpreter is that of the tests."""
    folder = isolated.folder_of(name)
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (folder / isolated.READY).write_text("")
    return folder


def test_an_environment_is_named_after_what_is_in_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = isolated.folder_of("gguf")
    assert before.is_relative_to(cache)
    assert before.name.startswith("gguf-")
    monkeypatch.setattr(isolated, "requirements", lambda name: (f"{name}==0",))
    assert isolated.folder_of("gguf") != before


def test_only_built_in_subjects_have_an_environment() -> None:
    with pytest.raises(MxemuError, match=r"--isolated is for built-in subjects; \./mine\.py"):
        isolated.environment("./mine.py")


def test_isolated_and_in_process_exclude_each_other() -> None:
    result = CliRunner().invoke(cli, ["check", "ml_dtypes", "--isolated", "--in-process"])
    assert result.exit_code == 2


@pytest.mark.usefixtures("cache")
def test_an_isolated_check_reports_as_any_other() -> None:
    folder = made("ml_dtypes")
    words = ["check", "ml_dtypes", "--level", "smoke", "--format", "E2M1"]
    there = CliRunner().invoke(cli, [*words, "--isolated"])
    assert there.stdout == CliRunner().invoke(cli, words).stdout
    assert there.exit_code == 1  # the double rounding of binary64
    assert sorted(link.name for link in (folder / "code").iterdir()) == ["conformance", "mxemu"]


@pytest.mark.usefixtures("cache")
def test_links_follow_when_the_packages_move() -> None:
    folder = made("gguf")
    path = Path(isolated.environment("gguf").path)
    (path / "mxemu").unlink()
    (path / "mxemu").symlink_to(folder)
    isolated.environment("gguf[none]")
    assert (path / "mxemu").readlink() == ROOT / "mxemu"


@pytest.mark.usefixtures("cache")
def test_an_environment_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    said: list[str] = []

    def ran(command: list[str], **_: object) -> Process:
        commands.append(command)
        isolated.folder_of("gguf").mkdir(exist_ok=True)
        return Process("Collecting gguf\n")

    monkeypatch.setattr(isolated.subprocess, "Popen", ran)
    monkeypatch.setattr(isolated, "EVERY", 0.01)
    isolated.environment("gguf", said.append)
    isolated.environment("gguf", said.append)
    assert [command[1:3] for command in commands] == [["-m", "venv"], ["-m", "pip"]]
    assert commands[1][-len(requirements("gguf")) :] == list(requirements("gguf"))
    assert said[0].startswith("making an environment for gguf in ")
    assert {line.split(maxsplit=2)[2] for line in said[1:]} == {"Collecting gguf"}


class Process:
    """A command that has printed something."""

    def __init__(self, text: str, returncode: int = 0) -> None:
        self.stdout, self.returncode = self.lines(text), returncode

    def lines(self, text: str) -> Iterator[str]:
        """What it prints, and then nothing for a while."""
        yield from text.splitlines(keepends=True)
        time.sleep(0.1)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.usefixtures("cache")
def test_what_cannot_be_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def ran(command: list[str], **_: object) -> Process:
        return Process("WARNING: w\nERROR: no such version\n", int("pip" in command))

    monkeypatch.setattr(isolated.subprocess, "Popen", ran)
    with pytest.raises(MxemuError, match=r"cannot install what gguf needs .*: ERROR: no such") as e:
        isolated.environment("gguf")
    assert "\n" not in str(e.value)
    assert not (isolated.folder_of("gguf") / isolated.READY).exists()


@pytest.mark.usefixtures("cache")
def test_a_python_without_venv_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "The virtual environment was not created because ensurepip is not\navailable.\n\nFailing\n"
    )
    monkeypatch.setattr(isolated.subprocess, "Popen", lambda *_, **__: Process(said, 1))
    with pytest.raises(MxemuError, match="has no venv with pip") as found:
        isolated.environment("gguf")
    assert "python3-venv" in found.value.hint


@pytest.mark.usefixtures("cache")
def test_a_run_writes_what_it_prints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made("bitstring")
    (tmp_path / "known.toml").write_text("")
    monkeypatch.setattr(results, "system_folder", lambda _: tmp_path)
    monkeypatch.setattr(results, "Filters", lambda: Filters(formats=("E2M1",)))
    arguments = ["bitstring", "--date", "2026-01-02", "--level", "smoke"]
    assert results.main(arguments) == 0
    first = (tmp_path / results.RESULT).read_bytes()
    assert json.loads(first)["date"] == "2026-01-02"
    assert json.loads(first)["reports"][0]["known"] == {"deviations": 0, "new": [], "stale": []}
    assert results.main(arguments) == 0
    assert (tmp_path / results.RESULT).read_bytes() == first


@pytest.mark.usefixtures("cache")
def test_a_run_that_deviates_unexpectedly_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made("ml_dtypes")
    monkeypatch.setattr(known, "load", lambda *_: [])
    monkeypatch.setattr(results, "Filters", lambda: Filters(formats=("E4M3",)))
    assert results.main(["ml_dtypes", "--date", "2026-01-02", "--level", "smoke", "--dry"]) == 1
    assert "new: encode/E4M3/binary64" in capsys.readouterr().err


@pytest.mark.parametrize("name", systems())
def test_each_entry_is_for_something_that_was_run(name: str) -> None:
    assert results.unused(name, result_of(name)["reports"]) == []


UNUSED = """
[[deviation]]
operation = "encode"
formats = ["E2M1"]
carriers = ["{carrier}"]
variants = ["{variant}"]
verdict = "FAIL"
cause = "double-rounding-binary32"
reason = "what nobody has seen"
"""


@pytest.mark.parametrize(
    ("carrier", "variant", "expected"),
    [
        ("binary64", "base", []),
        ("binary32", "base", ["matches nothing: what nobody has seen"]),
        ("binary64", "old", ["is for old, which is no variant", "matches nothing"]),
    ],
)
def test_an_entry_for_nothing_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, carrier: str, variant: str, expected: list[str]
) -> None:
    reports = result_of("ml_dtypes")["reports"]
    (tmp_path / "known.toml").write_text(UNUSED.format(carrier=carrier, variant=variant))
    monkeypatch.setattr(results, "system_folder", lambda _: tmp_path)
    found = results.unused("ml_dtypes", reports)
    assert len(found) == len(expected)
    assert all(part in line for part, line in zip(expected, found, strict=True))
