"""The scoreboard gives the verdicts and the words of a check; one bench runs in cocotb and Icarus Verilog."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conformance import zoo
from conformance.adapter import call, capabilities_of, function_of
from conformance.adapters.rtl.fields import to_records
from conformance.arrays import as_bits
from conformance.cocotb import Scoreboard
from conformance.report.text import render
from conformance.runner import Filters, Run, check, judge_of
from conformance.worker import InProcess
from conformance.zoo import reference
from mxemu.errors import MxemuError
from mxemu.profile import OCP

SMALL = Path(__file__).parent / "small"
ROOT = Path(__file__).resolve().parents[2]
MEMBERS = {member.name: member for member in zoo.MEMBERS}

RUNNER = """
import sys
from cocotb_tools.runner import get_runner
folder, source, wrong = sys.argv[1:]
runner = get_runner("icarus")
common = {"hdl_toplevel": "e2m1_comb", "build_dir": folder}
parameters = {"WRONG": int(wrong)}
runner.build(sources=[source], parameters=parameters, timescale=("1ns", "1ns"), **common)
runner.test(test_module="bench_e2m1", test_dir=folder, **common)
"""


@pytest.fixture
def cocotb() -> None:
    if importlib.util.find_spec("cocotb_tools") is None:
        reason = "cocotb 2 is not installed: python -m pip install 'cocotb>=2.0'"
        if os.environ.get("MXEMU_RTL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


def bench(folder: Path, wrong: int) -> str:
    """Run the bench; returns its report."""
    report = folder / "report.txt"
    path = os.pathsep.join([str(SMALL), str(ROOT), *filter(None, sys.path)])
    ended = subprocess.run(
        [sys.executable, "-c", RUNNER, str(folder), str(SMALL / "e2m1.sv"), str(wrong)],
        env={**os.environ, "PYTHONPATH": path, "REPORT": str(report), "COCOTB_LOG_LEVEL": "ERROR"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert report.is_file(), ended.stdout + ended.stderr
    return report.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "verdict", "words"),
    [
        (0, "pass", "groups: 1 pass"),
        (1, "FAIL", "in 0x8 1_00_0 = -0  dut 0x00000000 = 0  ref 0x80000000 = -0"),
        (2, "crash", "X or Z in value of vector line 6: XXXXXXXX"),
    ],
)
def test_a_bench_in_cocotb(
    tmp_path: Path, cocotb: None, icarus: str, wrong: int, verdict: str, words: str
) -> None:
    report = bench(tmp_path, wrong)
    assert f"decode  E2M1  {verdict}" in report
    assert words in report


OPERATIONS = (
    ("encode", "E4M3", "binary32", {}),
    ("encode", "E5M2", "bfloat16", {}),
    ("decode", "E3M2", "binary32", {}),
    ("encode-scaled", "MXFP8_E4M3", "binary32", {"profile": "ocp"}),
    ("quantize", "MXFP4_E2M1", "bfloat16", {}),
    ("dequantize", "MXFP6_E2M3", "binary32", {}),
    ("dot", "MXFP8_E4M3,MXFP4_E2M1", "binary32", {"accumulation": "exact"}),
    ("dot-general", "MXINT8", "binary32", {}),
)


Transaction = tuple[dict[str, int], dict[str, int]]


def transactions(board: Scoreboard, subject: Any, step: int = 1) -> list[Transaction]:
    """Some of the stimulus, and what a subject makes of it, as integers."""
    judge = judge_of(board.request, "smoke")
    arrays, extra = judge.arguments()
    function = getattr(subject, function_of(board.request.operation))
    found = call(function, *arrays, *extra, board.request.terms.accumulation or OCP)
    fields = board.interface.results
    columns = found if isinstance(found, tuple) else (found,)
    if columns[0].dtype.kind == "f":
        columns = (as_bits(columns[0], board.request.carrier),)
    named = dict(zip((one.name for one in fields), columns, strict=True))
    records = to_records(fields, named, len(columns[0]))
    results = []
    for row in records:
        at, answer = 0, {}
        for one in fields:
            answer[one.name] = int.from_bytes(row[at : at + one.size].tobytes(), "little")
            at += one.size
        results.append(answer)
    return list(zip(board.stimulus(), results, strict=True))[::step]


@pytest.mark.parametrize(("operation", "name", "carrier", "promise"), OPERATIONS)
def test_a_right_design_passes_and_a_wrong_bit_is_found(
    operation: str, name: str, carrier: str, promise: dict[str, str]
) -> None:
    board = Scoreboard(operation, name, carrier, **promise)
    pairs = transactions(board, reference, step=5)
    for inputs, results in pairs:
        board.add(inputs, results)
    assert board.verdict() == "pass"
    board.check()
    spoilt = Scoreboard(operation, name, carrier, **promise)
    field = spoilt.interface.results[-1]
    for number, (inputs, results) in enumerate(pairs):
        flipped = (
            results[field.name] ^ (1 << (field.bits - 2)) if number == 3 else results[field.name]
        )
        spoilt.add(inputs, {**results, field.name: flipped})
    assert spoilt.verdict() in ("FAIL", "free")
    if promise:
        with pytest.raises(AssertionError, match=r"1 of [\d,]+ cases"):
            spoilt.check()


def test_the_words_are_those_of_a_check() -> None:
    subject = MEMBERS["half-up"]
    board = Scoreboard("encode", "E4M3", profile="ocp", name=subject.name, version=subject.version)
    for inputs, results in transactions(board, subject):
        board.add(inputs, results)
    run = Run("zoo", capabilities_of(subject), "smoke", None)
    check(InProcess(subject), run, Filters(("encode",), ("E4M3",), ("binary32",)))
    run.groups = run.groups[:1]
    theirs, ours = render(run, 1).splitlines(), board.report().splitlines()
    start = next(n for n, line in enumerate(theirs) if line.startswith("FAIL"))
    at = next(n for n, line in enumerate(ours) if line.startswith("FAIL"))
    assert ours[at : at + 4] == theirs[start : start + 4]
    assert "a known mistake: half-up" in ours[at + 1]


def test_numbers_in_any_form() -> None:
    board = Scoreboard("dequantize", "MXFP4_E2M1")
    codes = [2] * 32
    packed = sum(code << (4 * n) for n, code in enumerate(codes))
    values = [0x3F800000] * 32
    one = SimpleNamespace(is_resolvable=True, to_unsigned=lambda: packed)
    for given in (codes, packed, np.array(codes, dtype=np.uint8), one):
        board.add({"scale": 127, "codes": given}, {"values": values})
    assert len(board) == 4
    assert board.verdict() == "pass"


@pytest.mark.parametrize(
    ("inputs", "results", "message"),
    [
        ({"kode": 1}, {"value": 0}, "fields kode; expected code"),
        ({"code": 16}, {"value": 0}, "code is 0x10; expected 4 bits"),
        ({"code": 1}, {"value": 1 << 32}, "value is 0x100000000; expected 32 bits"),
        ({"code": 1}, {}, "fields ; expected value"),
        ({"code": SimpleNamespace(is_resolvable=False)}, {"value": 0}, "expected no X or Z"),
    ],
)
def test_what_does_not_fit_is_refused(
    inputs: dict[str, Any], results: dict[str, Any], message: str
) -> None:
    board = Scoreboard("decode", "E2M1")
    with pytest.raises(MxemuError, match=re.escape(message)):
        board.add(inputs, results)
    assert len(board) == 0


def test_a_scoreboard_that_saw_nothing_is_no_pass() -> None:
    with pytest.raises(AssertionError, match="has seen no transaction"):
        Scoreboard("decode", "E2M1").check()
    with pytest.raises(MxemuError, match="expected smoke or core"):
        next(Scoreboard("decode", "E2M1").stimulus("full"))
