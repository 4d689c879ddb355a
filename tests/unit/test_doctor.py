"""``mxemu doctor``: extras, programs and systems with their versions or how to get them; quickly, and without NumPy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from conformance import tools
from conformance.tools import PROGRAMS, Tool
from mxemu.cli import cli
from mxemu.cli.doctor import EXTRAS
from mxemu.cli.subjects import subjects, version_of
from mxemu.errors import Unsupported

ROOT = Path(__file__).resolve().parents[2]

SECONDS = 0.2
"""CPU time of Python, start of the interpreter included and of the programs that it asks left out."""


def text() -> str:
    found = CliRunner().invoke(cli, ["doctor"])
    assert found.exit_code == 0, found.output
    return found.stdout


def part(title: str) -> list[str]:
    """The lines of one block."""
    (block,) = (block for block in text().split("\n\n") if block.startswith(title))
    return block.splitlines()[1:]


def test_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = {name: tuple(some) for name, some in project["optional-dependencies"].items()}
    del listed["dev"]
    assert listed == EXTRAS


def test_an_extra_has_its_version_or_how_to_get_it() -> None:
    lines = [line.split(maxsplit=2) for line in part("extras:")]
    assert [extra for extra, *_ in lines] == [name for name, some in EXTRAS.items() for _ in some]
    for extra, package, says in lines:
        version = version_of(package)
        assert says == (version or f"not installed: pip install 'mxemu[{extra}]'")


def test_a_program_has_its_version_or_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Tool:
        raise Unsupported("Yosys is not installed here", "install it with: apt-get install yosys")

    here = {"Rust": lambda: Tool("rust", ("rustc",), "rustc 1.95.0"), "Yosys": missing}
    monkeypatch.setattr(tools, "PROGRAMS", here)
    assert [line.split(maxsplit=1) for line in part("programs:")] == [
        ["Rust", "rustc 1.95.0"],
        ["Yosys", "not installed: apt-get install yosys"],
    ]


def test_every_program_of_this_machine_is_looked_for() -> None:
    lines = part("programs:")
    for name, line in zip(PROGRAMS, lines, strict=True):
        assert line.strip().startswith(name)


def test_every_system_is_listed() -> None:
    assert [line.split()[0] for line in part("systems ")] == [one.name for one in subjects()]


@pytest.mark.parametrize("finder", PROGRAMS.values(), ids=list(PROGRAMS))
def test_a_missing_program_says_how_to_get_it(
    finder: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools.shutil, "which", lambda name: None)
    monkeypatch.setattr(tools, "find_spec", lambda name: None)
    with pytest.raises(Unsupported) as raised:
        finder.__wrapped__()  # type: ignore[attr-defined]  # around what is kept
    assert (raised.value.hint or "").startswith("install it with: ")


def test_a_launcher_that_launches_nothing_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = tmp_path / "rustc"
    launcher.write_text("#!/bin/sh\necho no toolchain >&2\nexit 1\n")
    launcher.chmod(0o755)
    monkeypatch.setattr(tools.shutil, "which", lambda name: str(launcher))
    with pytest.raises(Unsupported, match="Rust is not installed here"):
        tools.rust.__wrapped__()


def test_it_is_quick_and_does_without_numpy() -> None:
    code = (
        "import json, sys, time\nfrom click.testing import CliRunner\nfrom mxemu.cli import cli\n"
        "assert CliRunner().invoke(cli, ['doctor']).exit_code == 0\n"
        "print(json.dumps([time.process_time(), 'numpy' in sys.modules]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    seconds = []
    for _ in range(4):
        words = [sys.executable, "-c", code]
        ended = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
        used, numpy = json.loads(ended.stdout)
        assert not numpy
        seconds.append(used)
        if used <= SECONDS:
            break
    assert min(seconds) <= SECONDS
