"""The command ``mxemu check``: its options, what goes where, and that an interruption costs only what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conformance.report.text import MEANINGS
from mxemu.cli import cli

SUBJECTS = Path(__file__).parent / "subjects"
GOOD = str(SUBJECTS / "good.py")
ROOT = Path(__file__).resolve().parents[2]


def check(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments])


def groups(*arguments: str) -> list[tuple[str, str, str]]:
    """Operation, format and carrier of every group of a small run."""
    result = check(*arguments, "--level", "smoke", "--output-format", "json")
    assert result.exit_code in (0, 1, 4), result.stderr
    found = json.loads(result.stdout)["groups"]
    return [(group["operation"], group["format"], group["carrier"]) for group in found]


def test_help_explains_targets_and_exits() -> None:
    result = check("--help")
    assert result.exit_code == 0
    for words in ("path/to/file.py[:name]", "--memory-limit", "--timeout", "Exit: 0 conforms"):
        assert words in result.stdout
    assert set(MEANINGS) == set(range(5))


def test_filters_say_what_is_checked() -> None:
    assert groups(GOOD) == [
        ("encode", "E2M1", "binary64"),
        ("encode", "E2M1", "binary32"),
        ("encode", "E2M1", "binary16"),
        ("decode", "E2M1", "binary32"),
    ]
    assert groups(GOOD, "--operation", "decode") == [("decode", "E2M1", "binary32")]
    assert groups(GOOD, "--carrier", "binary64", "--carrier", "FP16") == [
        ("encode", "E2M1", "binary64"),
        ("encode", "E2M1", "binary16"),
    ]
    assert groups(GOOD, "--format", "e2m1", "--operation", "encode", "--carrier", "fp32") == [
        ("encode", "E2M1", "binary32")
    ]
    assert groups(GOOD, "--format", "mxfp4") == []


def test_levels_differ_in_the_number_of_cases() -> None:
    counts = []
    for level in ("smoke", "core", "full"):
        result = check(GOOD, "--level", level, "--carrier", "binary32", "--output-format", "json")
        report = json.loads(result.stdout)
        assert (report["level"], report["verdict"]) == (level, "pass")
        counts.append(sum(report["groups"][0]["verdicts"].values()))
    assert counts == sorted(set(counts))


def test_core_is_the_default() -> None:
    assert json.loads(check(GOOD, "--output-format", "json").stdout)["level"] == "core"


def test_a_profile_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "cut.toml"
    path.write_text('preset = "ocp"\nrounding = "toward-zero"\n')
    target = str(SUBJECTS / "variants.py[cut]")
    assert check(target, "--profile", str(path), "--level", "smoke").exit_code == 0
    path.write_text('preset = "ocp"\nrounding = "toward-nowhere"\n')
    wrong = check(target, "--profile", str(path))
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "toward-nowhere" in wrong.stderr
    path.write_text("preset = ")
    assert check(target, "--profile", str(path)).exit_code == 2


def test_objects_of_a_file_and_of_a_module_are_targets() -> None:
    classes = str(SUBJECTS / "classes.py")
    for target in (f"{classes}:ready", f"{classes}:Even", f"{classes}:nested.deep"):
        assert check(target, "--level", "smoke", "--carrier", "binary32").exit_code == 0
    zoo = check("conformance.zoo:half_up", "--level", "smoke", "--format", "E2M1")
    assert zoo.exit_code == 1
    assert "a known mistake: half-up" in zoo.stdout
    needs = check(f"{classes}:NeedsAnArgument")
    assert (needs.exit_code, needs.stdout) == (2, "")


@pytest.mark.filterwarnings(
    "ignore::RuntimeWarning"
)  # NumPy's, about signalling NaNs: the worker logs them
def test_in_process_gives_the_same_report() -> None:
    apart, inside = (
        check(GOOD, "--level", "smoke", "--output-format", "json", *more).stdout
        for more in ([], ["--in-process"])
    )
    assert apart == inside


@pytest.mark.parametrize("option", [("--timeout", "0"), ("--memory-limit", "0"), ("--level", "x")])
def test_options_out_of_range_are_wrong_use(option: tuple[str, str]) -> None:
    result = check(GOOD, *option)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: Invalid value")


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mxemu", "check", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_data_goes_to_standard_output_and_nothing_else_does() -> None:
    process = started(GOOD, "--level", "smoke", "--output-format", "json")
    out, err = process.communicate(timeout=60)
    assert json.loads(out)["verdict"] == "pass"
    assert (process.returncode, err) == (0, "")


def test_an_interruption_keeps_what_was_found(tmp_path: Path) -> None:
    hung = tmp_path / "hung"
    subject = tmp_path / "slow.py"
    text = (SUBJECTS / "good.py").read_text()
    body = f"    if values.dtype == np.float32:\n        open({str(hung)!r}, 'w').close()\n"
    body += "        __import__('time').sleep(60)\n"
    subject.write_text(
        text.replace("def encode(values, element):\n", f"def encode(values, element):\n{body}")
    )
    process = started(str(subject), "--level", "smoke")
    deadline = time.monotonic() + 30
    while not hung.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert "Traceback" not in out + err
    assert "encode  E2M1  pass" in out
    assert "skipped  everything after this: interrupted" in out
    assert process.returncode == 4
