"""A ledger is of one subject: its program, module or library, and what one call of it may take."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conformance.campaign import make_plan
from conformance.campaign.ledger import identity
from conformance.runner import Filters, Run
from conformance.worker import InProcess
from mxemu.cli import cli

SUBJECT = str(Path(__file__).parent / "subjects" / "unlucky.py") + ":noted"

SCRIPT = """
import json, sys
operations = {"decode": {"formats": ["E2M1"], "carriers": ["binary32"]}}
words = {"protocol": 1, "encoding": "hex", "name": "script", "version": "1"}
print(json.dumps({**words, "capabilities": {"operations": operations}}), flush=True)
for line in sys.stdin:
    print("00000000", flush=True)
"""


def file_in_identity(target: str) -> str | None:
    """What the identity says of a subject's files."""
    run = Run(target, InProcess(SUBJECT).introduce(), "smoke", None)
    filters = Filters(("decode",))
    found: str | None = identity(run, filters, make_plan(run, filters, 0, 0), 0, 0)["file"]
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which is on PATH too and holds a script, a program, a package and a library."""
    (tmp_path / "pack").mkdir()
    for name in ("dut.py", "dut", "pack/__init__.py", "pack/dut.py", "libdut.so"):
        (tmp_path / name).write_text("raise SystemExit('nobody asked for this to run')\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


@pytest.mark.parametrize(
    ("target", "file"),
    [
        ("cmd:python dut.py", "dut.py"),
        ("cmd:python -u './dut.py' fast", "dut.py"),
        ("cmd:vvp +seed=1 --image=dut.py", "dut.py"),
        ("cmd:dut --fast", "dut"),
        ("cmd:./dut", "dut"),
        ("pack.dut", "pack/dut.py"),
        ("pack.dut:Best[up]", "pack/dut.py"),
        ("pack:best", "pack/__init__.py"),
        ("lib:libdut.so", "libdut.so"),
        ("lib:./libdut.so[up]", "libdut.so"),
        ("dut.py", "dut.py"),
        ("./dut.py:Best[up]", "dut.py"),
    ],
)
def test_an_edit_makes_another_subject(target: str, file: str, folder: Path) -> None:
    before = file_in_identity(target)
    assert file_in_identity(target) == before
    (folder / file).write_text("raise SystemExit('and it is another one')\n")
    assert file_in_identity(target) != before


def test_an_edit_elsewhere_does_not(folder: Path) -> None:
    targets = ("cmd:python dut.py", "pack.dut", "lib:libdut.so")
    before = [file_in_identity(target) for target in targets]
    (folder / "dut").write_text("another program\n")
    (folder / "pack" / "other.py").write_text("another = 1\n")
    assert [file_in_identity(target) for target in targets] == before


def test_no_code_of_the_user_runs_for_it() -> None:
    assert file_in_identity("pack.dut")
    assert not [name for name in sys.modules if name.partition(".")[0] == "pack"]


@pytest.mark.parametrize(
    "target", ["files:a.csv,b.csv", "pack.nowhere", "nowhere.dut", "pack.dut.dut", "sys:path"]
)
def test_what_has_no_file(target: str) -> None:
    assert file_in_identity(target) is None


def test_words_that_are_no_files(folder: Path) -> None:
    plain = file_in_identity("cmd:dut")
    assert file_in_identity(f"cmd:dut --a= '' {'x' * 5000} {shlex.quote(str(folder))}") == plain


def test_a_built_in_subject_has_its_adapter() -> None:
    assert str(file_in_identity("gfloat")).startswith("gfloat ")


def check(target: str, *more: str) -> Result:
    words = ["--in-process", "--level", "smoke", "--ledger", "kept"]
    return CliRunner().invoke(cli, ["check", target, *words, *more])


def test_a_ledger_refuses_an_edited_program(folder: Path) -> None:
    (folder / "dut.py").write_text(SCRIPT)
    target = f"cmd:{shlex.quote(sys.executable)} dut.py"
    assert [check(target).exit_code for _ in range(2)] == [1, 1]
    (folder / "dut.py").write_text(SCRIPT.replace("00000000", "3f800000"))
    refused = check(target)
    assert refused.exit_code == 2
    assert "the ledger kept has file " in refused.stderr


def test_a_ledger_refuses_other_limits(folder: Path) -> None:
    (folder / "dut.py").write_text(SCRIPT)
    target = f"cmd:{shlex.quote(sys.executable)} dut.py"
    assert [check(target, "--timeout", "120").exit_code for _ in range(2)] == [1, 1]
    longer, larger = check(target, "--timeout", "300"), check(target, "--memory-limit", "2")
    assert "has timeout 120 s; this check has 300 s" in longer.stderr
    assert "has memory-limit none; this check has 2 GB" in larger.stderr
    assert (longer.exit_code, larger.exit_code) == (2, 2)
