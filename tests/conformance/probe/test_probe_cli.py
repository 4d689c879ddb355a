"""The command: reports in three forms, exit codes, and messages for boxes that cannot be probed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mxemu.accumulations import ACCUMULATIONS, from_mapping
from mxemu.cli import cli

BOX = """
import mxemu

name, version = "{name}", "1"
capabilities = {{"operations": {{"dot": {{"formats": ["E4M3", "MXFP4"], {offer}}}}}}}

def dot(sa, a, sb, b, c, formats):
    {body}
"""
UNIT = 'return mxemu.dot((a, formats[0]), (b, formats[1]), c=c, accumulation="{}", out="{}", bits=True)'


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return write(tmp_path, UNIT.format("nv-ada-fp8", "binary32"))


def write(directory: Path, body: str, offer: str = '"c": True') -> Path:
    path = directory / "box.py"
    path.write_text(BOX.format(name="my unit", body=body, offer=offer), encoding="utf-8")
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["probe", *map(str, words)], catch_exceptions=False)


@pytest.mark.slow
def test_a_report_and_a_record(box: Path, tmp_path: Path) -> None:
    record = tmp_path / "unit.toml"
    result = run(box, "--format", "E4M3", "-o", record)
    assert result.exit_code == 0, result.output
    assert "FOUND: nv-ada-fp8" in result.output
    assert "step: fraction_bits = 13" in result.output
    assert "What does not show" in result.output
    assert "Presets that it is not" in result.output
    written = from_mapping(tomllib.loads(record.read_text(encoding="utf-8")))
    assert written.same_arithmetic(ACCUMULATIONS["nv-ada-fp8"])


@pytest.mark.slow
def test_json(box: Path) -> None:
    result = run(box, "--format", "E4M3", "--k", 32, "--output-format", "json", "--in-process")
    assert result.exit_code == 0
    table = json.loads(result.stdout)
    assert table["presets"] == ["nv-ada-fp8"]
    assert table["length"] == 32
    assert table["exit_code"] == 0
    assert from_mapping(table["record"]).node == ACCUMULATIONS["nv-ada-fp8"].node
    assert 0 < table["queries"] <= 5000
    rejected = {one["name"]: one for one in table["rejected"]}
    assert set(rejected) == set(ACCUMULATIONS) - {"nv-ada-fp8"}
    for one in rejected.values():
        assert 1 <= len(one["examples"]) <= 20
        assert all(example["box"] != example["other"] for example in one["examples"])


@pytest.mark.slow
def test_toml_of_results_in_16_bits(tmp_path: Path) -> None:
    path = write(
        tmp_path, UNIT.format("fp16-accumulator", "binary16"), '"c": True, "out": "binary16"'
    )
    result = run(path, "--format", "E4M3", "--k", 32, "--output-format", "toml")
    assert result.exit_code == 0, result.output
    table = tomllib.loads(result.stdout)
    assert from_mapping(table).name == table["name"] == "fp16-accumulator"


@pytest.mark.slow
def test_what_is_not_found(tmp_path: Path) -> None:
    body = "return (mxemu.dot((a, formats[0]), (b, formats[1]), c=c, bits=True) & 0xFFFFFFFE)"
    body = "found = mxemu.dot((a, formats[0]), (b, formats[1]), c=c, bits=True)\n    "
    body += (
        "return found ^ (((a != 0).sum(axis=1) & 1) * ((found >> 23 & 255) < 255)).astype('uint32')"
    )
    result = run(write(tmp_path, body), "--format", "E4M3", "--k", 32, "--seconds", 5)
    assert result.exit_code == 4, result.output
    assert "NOT FOUND" in result.output
    toml = run(
        write(tmp_path, body),
        "--format",
        "E4M3",
        "--k",
        32,
        "--seconds",
        5,
        "--output-format",
        "toml",
    )
    assert toml.exit_code == 4
    assert toml.stdout.strip() == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "E4M4"], "unknown format"),
        (["--format", "E4M3,E4M3,E4M3"], "expected one format, or two with a comma"),
        (["--format", "MXFP4", "--k", "40"], "expected a multiple of k = 32"),
        (["--format", "MXFP4,NVFP4"], "expected one k"),
        ([], "--format"),
    ],
)
def test_wrong_use(box: Path, words: list[str], message: str) -> None:
    result = run(box, *words)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return mxemu.dot((a, formats[0]), (b, formats[1]), c=c)", "float32"),
        ("return a[0]", "expected bits, uint32 of shape"),
        ("raise ValueError('no such unit')", "ValueError: no such unit"),
        ("import os; os._exit(3)", "ended with exit status 3"),
    ],
)
def test_a_box_that_cannot_be_probed(tmp_path: Path, body: str, message: str) -> None:
    result = run(write(tmp_path, body), "--format", "E4M3")
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_target_without_dot(tmp_path: Path) -> None:
    path = tmp_path / "empty.py"
    path.write_text(
        'name, version, capabilities = "empty", "1", {"operations": {}}\n', encoding="utf-8"
    )
    result = run(path, "--format", "E4M3")
    assert result.exit_code == 2
    assert "no function 'dot'" in result.output
