"""Replay tokens, and cases made smaller while they still fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from conformance import zoo
from conformance.arrays import Array
from conformance.cases import Cases
from conformance.judges import (
    DequantizeJudge,
    EncodeJudge,
    Judge,
    QuantizeJudge,
    ScaledEncodeJudge,
    product_judge,
)
from conformance.minimize import minimize
from conformance.replay import PREFIX, Replay, of_case, read
from conformance.vectors import files
from conformance.vectors.suites import Key, catalogue, suite
from conformance.verdict import Group
from conformance.zoo.reference import Reference
from mxemu.accumulation import EXACT
from mxemu.accumulations import find as find_accumulation
from mxemu.accumulations import kulisch
from mxemu.cli import cli
from mxemu.errors import BadValue
from mxemu.formats import BINARY32, E4M3, MXFP4_E2M1, MXFP8_E4M3, MXFP8_E5M2
from mxemu.profile import OCP
from mxemu.value import Value

OTHER = OCP.replace(rounding="to-odd", scale_rule="RCEIL")


@pytest.mark.parametrize(
    "key",
    [key for key in catalogue("smoke") if key.operation not in ("pack", "scale")],
    ids=lambda key: key.name,
)
def test_every_case_has_a_token(key: Any) -> None:
    one = suite(key)
    batch = next(one.batches())
    for row in range(0, len(batch), 11):
        numbers = tuple(
            tuple(np.atleast_1d(batch.columns[field.name][row]).tolist()) for field in one.inputs
        )
        for profile in (OCP, OTHER):
            replay = Replay(key.operation, key.format, key.kind, profile, EXACT, numbers)
            assert read(replay.token) == replay
            if key.operation != "dot-general" and profile is OCP:
                assert len(replay.token) <= 200
        again = replay.suite.batch(replay.columns(), np.zeros(1, np.int64))
        assert all(
            np.array_equal(again.columns[field.name][0], batch.columns[field.name][row])
            for field in one.inputs
        )


@given(st.lists(st.integers(0, 2**32 - 1), min_size=32, max_size=32))
def test_any_block_fits_a_line(bits: list[int]) -> None:
    one = Replay("quantize", "MXFP8_E5M2", "binary32", OCP, EXACT, (tuple(bits),))
    assert len(one.token) <= 200
    assert read(one.token) == one


@pytest.mark.parametrize("accumulation", ["nv-hopper-fp8-wgmma", "fp32-sequential"])
def test_accumulations_travel(accumulation: str) -> None:
    record = find_accumulation(accumulation)
    one = Replay(
        "dot", "MXFP4_E2M1", "binary32", OCP, record, ((1,), (0,) * 32, (2,), (3,) * 32, (0,))
    )
    assert read(one.token).accumulation == record
    own = kulisch(64, -40)
    assert read(one.token).judge().expectation(0, OCP) == 0
    other = Replay(
        *(getattr(one, name) for name in ("operation", "format", "carrier", "profile")),
        own,
        one.numbers,
    )
    assert read(other.token).accumulation == own


@pytest.mark.parametrize(
    "changes", [{"scale_clamp": (1, 254)}, {"random_bits": 16}, {"amax_floor": Value(0, 3, -20)}]
)
def test_choices_with_numbers_travel(changes: dict[str, Any], tmp_path: Path) -> None:
    profile = OCP.replace(**changes)
    one = Replay("encode", "E2M1", "binary32", profile, EXACT, ((5,),))
    assert read(one.token).profile.same_choices(profile)
    key = Key("quantize", "MXFP4_E2M1", "bfloat16", "smoke", profile)
    for form in ("memh", "json"):
        path = tmp_path / f"x.{form}"
        files.write(suite(key), path, form)
        assert run("vectors", "verify", str(path)).exit_code == 0


def test_what_is_no_token_is_refused() -> None:
    token = Replay("encode", "E4M3", "binary32", OCP, EXACT, ((5,),)).token
    assert token.startswith(PREFIX)
    for wrong in (
        "abc",
        PREFIX,
        token[:-3],
        token[:-1] + ("A" if token[-1] != "A" else "B") + "x",
        PREFIX + "!!",
    ):
        with pytest.raises(BadValue, match=r"no replay token|cut off or changed"):
            read(wrong)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), prog_name="mxemu")


def test_replay_shows_and_compares() -> None:
    token = Replay(
        "encode-scaled", "MXFP8_E4M3", "binary32", OCP, EXACT, ((0x80,), (0x44680000,))
    ).token
    shown = run("replay", token)
    assert shown.exit_code == 0
    assert "  out code    0x7e  = 448" in shown.output
    assert "$ mxemu explain E4M3 464" in shown.output
    assert "0x7E = 448" in shown.output
    assert run("replay", token, "conformance.zoo:reference", "--quiet").exit_code == 0
    wrong = run("replay", token, "conformance.zoo:late_overflow", "--quiet")
    assert wrong.exit_code in (0, 1)
    assert run("replay", "mxr1:no").exit_code == 2
    assert run("replay", token, "conformance.zoo:nobody").exit_code == 2


def test_replay_tells_a_wrong_subject() -> None:
    bits = (0x40E00000, *[0] * 31)
    token = Replay("quantize", "MXFP4_E2M1", "binary32", OCP, EXACT, (bits,)).token
    result = run("replay", token, "conformance.zoo:scale_without_emax", "--quiet")
    assert result.exit_code == 1
    assert "conformance.zoo:scale_without_emax: FAIL  MX-6.3-SCALE" in result.output


# Smaller cases.

JUDGES: dict[str, Judge] = {
    "quantize": QuantizeJudge(MXFP4_E2M1, BINARY32, "smoke"),
    "dequantize": DequantizeJudge(MXFP8_E5M2, BINARY32, "smoke"),
    "dot": product_judge("dot", "MXFP8_E4M3", BINARY32, "smoke", True, EXACT),
    "encode": EncodeJudge(E4M3, BINARY32, "smoke"),
    "encode-scaled": ScaledEncodeJudge(MXFP8_E4M3, BINARY32, "smoke"),
}
MOST = {"quantize": 2, "dequantize": 2, "dot": 8, "encode": 1, "encode-scaled": 2}


def asked(member: Reference, judge: Judge) -> Any:
    def ask(rows: Array) -> Array:
        cases = Cases(rows, np.zeros(len(rows), np.int64), ("random",))
        return member.outcome(judge.on(cases), OCP)

    return ask


@pytest.mark.parametrize("member", zoo.MEMBERS, ids=lambda member: member.name)
def test_a_failing_case_becomes_small_and_keeps_failing(member: Reference) -> None:
    for operation, judge in JUDGES.items():
        if not member.touches(judge):
            continue
        observed = member.outcome(judge, OCP)
        wrong = np.flatnonzero(judge.compare(observed, OCP)[0])
        if not len(wrong):
            continue
        index = int(wrong[-1])
        clause = judge.clauses(np.array([index]), observed, OCP)[0]
        found = minimize(judge, index, observed, OCP, asked(member, judge))
        own = judge.on(Cases(np.array([found.row]), np.zeros(1, np.int64), ("random",)))
        assert own.compare(found.observed, OCP)[0].all()
        assert own.clauses(np.array([0]), found.observed, OCP)[0] == clause
        # A sum is -0 only if all of it is.
        if member.name != "negative-zero-sum-lost":
            assert np.count_nonzero(found.row) <= MOST[operation]
        assert found.rounds <= 40
        group = Group(operation, _label(judge), "binary32", OCP)
        token = of_case(own, group, 0)
        assert token is not None
        assert np.array_equal(read(token.token).cases().inputs[0], found.row)


def _label(judge: Judge) -> str:
    for name in ("label", "fmt", "element"):
        if hasattr(judge, name):
            found = getattr(judge, name)
            return found if isinstance(found, str) else found.name
    raise AssertionError


def test_a_subject_that_gives_nothing_leaves_the_case_as_it_is() -> None:
    judge = JUDGES["quantize"]
    observed = zoo.pairs_swapped.outcome(judge, OCP)
    index = int(np.flatnonzero(judge.compare(observed, OCP)[0])[0])
    found = minimize(judge, index, observed, OCP, lambda rows: None)
    assert np.array_equal(found.row, judge.cases.inputs[index])
    assert found.idle == ()
