"""The command that audits: what it prints, reads, saves and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from conformance.audit import read_arrays
from mxemu.cli import cli

FORMATS = {"fake_quantize": "MXFP4_E2M1", "encode-scaled": "MXFP6_E3M2", "matmul": "MXINT8"}


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["audit", *words])


def test_the_command_counts_what_is_accepted() -> None:
    result = run("encode", "E4M3", "--rtol", "0.1", "--atol", "0.1")
    assert result.exit_code == 1, result.output
    assert "your assertion: rtol 0.1, atol 0.1" in result.stdout
    assert "known bug classes" in result.stdout
    found = json.loads(
        run("encode", "E4M3", "--exact", "--claim", "all-zero", "--output-format", "json").stdout
    )
    assert (found["exit_code"], found["accepted"], found["of"]) == (0, 0, 1)


def test_the_command_reads_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    np.savez(tmp_path / "both.npz", b=rng.standard_normal((3, 64)), a=rng.standard_normal((2, 64)))
    np.save(tmp_path / "x.npy", rng.standard_normal((3, 64)))
    both = run("matmul", "MXFP8,MXFP4", "--cosine", "0.9", "--inputs", str(tmp_path / "both.npz"))
    assert both.exit_code == 1, both.output
    assert "both.npz" in both.stdout
    words = ("quantize", "MXFP4", "--exact", "--inputs", str(tmp_path / "x.npy"), "--blocks", "4")
    found = json.loads(run(*words, "--output-format", "json").stdout)
    assert found["inputs"]["rows"] == 4
    assert found["inputs"]["left_out"] == 2
    (tmp_path / "no.npy").write_text("nothing")
    assert (
        "expected a file of NumPy"
        in run("quantize", "MXFP4", "--exact", "--inputs", str(tmp_path / "no.npy")).stderr
    )


def test_the_command_takes_a_function(tmp_path: Path) -> None:
    file = tmp_path / "compare.py"
    file.write_text(
        "def close(actual, expected):\n    return abs(actual - expected).mean() < 100\n"
    )
    result = run("encode", "E2M1", "--comparison", f"{file}:close")
    assert result.exit_code == 1
    assert "VACUOUS  an all-zero output passes" in result.stdout


@pytest.mark.parametrize("operation", ["fake_quantize", "encode-scaled", "matmul"])
def test_saved_inputs_are_those_that_were_named(operation: str, tmp_path: Path) -> None:
    file = tmp_path / "cases.npz"
    words = operation, FORMATS[operation], "--cosine", "-1", "--output-format", "json"
    found = json.loads(run(*words, "--save", str(file)).stdout)
    arrays = read_arrays(file)
    rows = {len(array) for array in arrays.values()}
    assert rows == {len(found["cases"])}
    if operation == "matmul":
        assert [*arrays] == ["a", "b", "c", "scales_a", "scales_b"]
        return
    again = run(operation, FORMATS[operation], "--exact", "--inputs", str(file))
    missed = {one["name"] for one in found["classes"] if one["reason"] == "inputs"}
    assert missed
    assert not [name for name in missed if f"  {name} " in again.stdout]


def test_a_function_that_breaks_is_not_taken_for_a_verdict(tmp_path: Path) -> None:
    file = tmp_path / "compare.py"
    file.write_text("def close(actual):\n    return True\n")
    result = run("encode", "E2M1", "--comparison", f"{file}:close")
    assert "it raises TypeError: close() takes 1 positional argument" in result.stdout
    file.write_text("def close(actual, expected):\n    assert False\n")
    assert "it raises" not in run("encode", "E2M1", "--comparison", f"{file}:close").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("quantize", "MXFP4"), "nothing to audit"),
        (("encode", "E2M1", "--exact", "--carrier", "bfloat17"), "bfloat17"),
        (
            ("encode", "E2M1", "--exact", "--carrier", "binary16", "--inputs", "x.npy"),
            "--carrier with --inputs",
        ),
        (("quantize", "MXFP4", "--exact", "--comparison", "a.b:c"), "expected one assertion"),
        (("pack", "MXFP4", "--exact"), "unknown operation that can be audited"),
        (("quantize", "E2M1", "--exact"), "E2M1"),
        (("quantize", "MXFP4", "--exact", "--inputs", "nowhere.npy"), "nowhere.npy"),
        (("quantize", "MXFP4", "--exact", "--replace", "a:b"), "--replace without --pytest"),
        (("quantize", "MXFP4", "--pytest", "t.py", "--inputs", "x.npy"), "--inputs with --pytest"),
        (("quantize", "MXFP4", "--comparison", "no_such_module:f"), "cannot import no_such_module"),
    ],
)
def test_the_command_refuses(words: tuple[str, ...], said: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert said in result.stderr
