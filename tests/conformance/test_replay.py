"""Replay tokens, and cases made smaller while they still fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from conformance import zoo
from conformance.arrays import Array
from conformance.judges import (
    DequantizeJudge,
    EncodeJudge,
    Judge,
    QuantizeJudge,
    ScaledEncodeJudge,
    product_judge,
)
from conformance.replay import PREFIX, Replay, again, of_case, read
from conformance.vectors import files
from conformance.vectors.suites import Key, catalogue, suite
from conformance.verdict import Group
from conformance.why.minimize import MOST_QUESTIONS, cases_of, minimize
from conformance.worker import InProcess
from conformance.zoo.reference import Reference
from mxemu.accumulation import EXACT
from mxemu.accumulations import find as find_accumulation
from mxemu.accumulations import kulisch
from mxemu.cli import cli
from mxemu.errors import BadValue, Unsupported
from mxemu.formats import BINARY32, CONCRETE, E4M3, MXFP4_E2M1, MXFP8_E4M3, MXFP8_E5M2
from mxemu.profile import OCP, PRESETS, Profile
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
    wrong = run("replay", token, "conformance.zoo:half_up", "--quiet")
    assert wrong.exit_code == 2
    assert "half-up does not offer encode-scaled MXFP8_E4M3 (binary32)" in wrong.stderr
    assert run("replay", "mxr1:no").exit_code == 2
    assert run("replay", token, "conformance.zoo:nobody").exit_code == 2


def test_replay_tells_a_wrong_subject() -> None:
    bits = (0x40E00000, *[0] * 31)
    token = Replay("quantize", "MXFP4_E2M1", "binary32", OCP, EXACT, (bits,)).token
    result = run("replay", token, "conformance.zoo:scale_without_emax", "--quiet")
    assert result.exit_code == 1
    assert "conformance.zoo:scale_without_emax: FAIL  MX-6.3-SCALE" in result.output


def test_any_operand_pair_fits_a_line() -> None:
    """One block of 32 with the worst contents: every format and operation, under every preset."""
    longest = {}
    for block in CONCRETE:
        for operation in ("quantize", "fake_quantize", "dequantize", "encode-scaled", "dot"):
            for profile in (*PRESETS.values(), OTHER) if operation == "quantize" else (OCP,):
                one = worst(operation, block.name, profile)
                assert read(one.token) == one
                longest[operation, block.name, profile.name] = len(one.token)
    assert max(longest.values()) <= 200, max(longest, key=lambda key: longest[key])


def worst(operation: str, name: str, profile: Profile) -> Replay:
    """Contents that no compression makes shorter."""
    empty = Replay(operation, name, "binary32", profile, EXACT, ())
    rng = np.random.default_rng(6)
    numbers = (
        tuple(rng.integers(0, 1 << field.width, field.count, dtype=np.uint64).tolist())
        for field in empty.suite.inputs
    )
    return replace(empty, numbers=tuple(numbers))


# A block of quantize, as it was written before profiles were among the words that compression starts from.
OLD = "mxr1:XLrD40Su-n8EQH0dAcAABAA"


def test_older_tokens_stay_readable() -> None:
    one = read(OLD)
    assert one.operation == "dot"
    assert one.format == "MXFP8_E4M3"
    assert one.numbers == ((127,), (0xFE,) * 32, (127,), (0x7E,) * 32, (0,))


CASES = {
    "encode": ("E4M3", ((0x43E80000,),)),
    "decode": ("E4M3", ((0x5D,),)),
    "encode-scaled": ("MXFP8_E4M3", ((0x80,), (0x44680000,))),
    "quantize": ("MXFP4_E2M1", ((0x40E00000, *[0] * 31),)),
    "fake_quantize": ("MXFP4_E2M1", ((0x40E00000, *[0] * 31),)),
    "dequantize": ("MXFP4_E2M1", ((0x80,), (7, *[0] * 31))),
    "dot": ("MXFP4_E2M1", ((127,), (2,) * 32, (128,), (3,) * 32, (0,))),
    "dot-general": ("MXFP4_E2M1", ((127,) * 4, (2,) * 128, (128,) * 4, (3,) * 128, (0,))),
    "matmul": ("MXFP4_E2M1", ((127,) * 4, (2,) * 128, (128,) * 4, (3,) * 128, (0,))),
}


@pytest.mark.parametrize("operation", CASES)
def test_every_operation_is_shown_and_asked_again(operation: str) -> None:
    name, numbers = CASES[operation]
    token = Replay(operation, name, "binary32", OCP, EXACT, numbers).token
    shown = run("explain", token)
    assert shown.exit_code == 0
    assert shown.output.startswith(f"{operation} {name} (binary32)   ")
    assert shown.output == run("replay", token).output
    subject = InProcess(zoo.reference)
    assert again(read(token), subject, subject.introduce()).verdict == "pass"


def test_a_case_goes_to_an_implementation_by_its_token() -> None:
    name, (sa, a, _, b, c) = CASES["matmul"]
    one = Replay("matmul", name, "binary32", OCP, EXACT, (sa, a, (140,) * 4, b, c))

    class Dropped(Reference):
        """Leaves the second scale out."""

        def matmul(self, sa: Any, a: Any, sb: Any, *further: Any) -> Array:
            return super().matmul(sa, a, np.full_like(sb, 127), *further)

    wrong = InProcess(Dropped())
    group = again(read(one.token), wrong, wrong.introduce())
    assert group.verdict == "FAIL"
    assert group.clusters[0].first.dut.value == "192"
    assert group.clusters[0].first.ref.value == "1572864"
    encoder = InProcess(by_name("half-up"))
    with pytest.raises(Unsupported, match=r"half-up does not offer matmul MXFP4_E2M1 \(binary32\)"):
        again(one, encoder, encoder.introduce())


def test_an_accumulation_without_a_name_has_its_command() -> None:
    name, numbers = CASES["dot"]
    token = Replay("dot", name, "binary32", OCP, kulisch(64, -40), numbers).token
    shown = run("explain", token)
    assert shown.exit_code == 0
    assert "$ python -c " in shown.output


# Smaller cases.

JUDGES: dict[str, Judge] = {
    "quantize": QuantizeJudge(MXFP4_E2M1, BINARY32, "smoke"),
    "dequantize": DequantizeJudge(MXFP8_E5M2, BINARY32, "smoke"),
    "dot": product_judge("dot", "MXFP8_E4M3", BINARY32, "smoke", True, EXACT),
    "encode": EncodeJudge(E4M3, BINARY32, "smoke"),
    "encode-scaled": ScaledEncodeJudge(MXFP8_E4M3, BINARY32, "smoke"),
}
MOST = {"quantize": 2, "dequantize": 2, "dot": 6, "encode": 1, "encode-scaled": 2}


def asked(member: Reference, judge: Judge) -> Any:
    def ask(rows: Array) -> Array:
        return member.outcome(judge.on(cases_of(rows, "random")), OCP)

    return ask


def wrong_cases(member: Reference, judge: Judge) -> Array:
    return np.flatnonzero(judge.compare(member.outcome(judge, OCP), OCP)[0])


@pytest.mark.parametrize("member", zoo.MEMBERS, ids=lambda member: member.name)
def test_a_failing_case_becomes_small_and_keeps_failing(member: Reference) -> None:
    for operation, judge in JUDGES.items():
        wrong = wrong_cases(member, judge) if member.touches(judge) else []
        if not len(wrong):
            continue
        index, observed = int(wrong[-1]), member.outcome(judge, OCP)
        clause = judge.clauses(np.array([index]), observed, OCP)[0]
        found = minimize(judge, index, clause, OCP, asked(member, judge))
        assert found is not None
        if not found.alone:
            assert np.array_equal(found.row, judge.cases.inputs[index])
            continue
        own = judge.on(cases_of(found.row[None], judge.cases.note(index)))
        assert own.compare(found.observed, OCP)[0].all()
        assert own.clauses(np.array([0]), found.observed, OCP)[0] == clause
        # A sum is -0 only if all of it is.
        if member.name != "negative-zero-sum-lost":
            assert np.count_nonzero(found.row) <= MOST[operation]
        assert found.questions <= MOST_QUESTIONS + 2
        token = of_case(own, Group(operation, _label(judge), "binary32", OCP), 0)
        assert token is not None
        assert np.array_equal(read(token.token).cases().inputs[0], found.row)


def _label(judge: Judge) -> str:
    for name in ("label", "fmt", "element"):
        if hasattr(judge, name):
            found = getattr(judge, name)
            return found if isinstance(found, str) else found.name
    raise AssertionError


def test_idle_lanes_are_those_that_may_hold_anything() -> None:
    """The magnitude in lane 16 is missed, whatever else stands in the half that is not searched."""
    judge, member = JUDGES["quantize"], by_name("amax-of-half-the-lanes")
    row = np.zeros(32, np.uint32)
    row[16] = 0x3F800000
    own = judge.on(cases_of(row[None], "amax-lane"))
    found = minimize(own, 0, "MX-6.3-SCALE", OCP, asked(member, judge))
    assert found is not None
    assert np.array_equal(found.row, row)
    assert found.idle == tuple(range(17, 32))
    assert found.together


def test_what_is_left_is_simple() -> None:
    """One number, and that is 1: any other would do, and none is simpler."""
    judge, member = JUDGES["quantize"], by_name("scale-without-emax")
    for index in wrong_cases(member, judge)[::40]:
        found = minimize(judge, int(index), "MX-6.3-SCALE", OCP, asked(member, judge))
        assert found is not None
        assert found.row[found.row != 0].tolist() == [0x3F800000]


def test_a_lane_that_hides_the_mistake_is_not_idle() -> None:
    """Where the largest value is taken for the largest magnitude, a negative number beside may stand, but no other."""
    judge, member = JUDGES["quantize"], by_name("max-without-abs")
    row = np.zeros(32, np.uint32)
    row[0] = 0xBF800000
    own = judge.on(cases_of(row[None], "amax-sign"))
    found = minimize(own, 0, "MX-6.3-SCALE", OCP, asked(member, judge))
    assert found is not None
    assert found.idle == ()


def test_what_fails_beside_others_only_is_left_as_it_is() -> None:
    judge = JUDGES["quantize"]

    def ask(rows: Array) -> Array:
        """The first block of a call is right, all others are those of the one before."""
        right = zoo.reference.outcome(judge.on(cases_of(rows, "random")), OCP)
        return np.concatenate([right[:1], right[:-1]])

    found = minimize(judge, 40, "MX-6.3-SCALE", OCP, ask)
    assert found is not None
    assert not found.alone
    assert found.questions == 1
    assert np.array_equal(found.row, judge.cases.inputs[40])


def test_a_subject_that_gives_nothing_gives_no_smaller_case() -> None:
    judge = JUDGES["quantize"]
    assert minimize(judge, 3, "MX-6.3-ELEM", OCP, lambda _: None) is None


def test_a_subject_that_dies_midway_keeps_what_was_found() -> None:
    judge, member = JUDGES["quantize"], by_name("pairs-swapped")
    answers = iter(range(2))

    def ask(rows: Array) -> Array | None:
        return asked(member, judge)(rows) if next(answers, None) is not None else None

    index = int(wrong_cases(member, judge)[-1])
    clause = judge.clauses(np.array([index]), member.outcome(judge, OCP), OCP)[0]
    found = minimize(judge, index, clause, OCP, ask)
    assert found is not None
    assert found.alone
    assert np.array_equal(found.row, judge.cases.inputs[index])


def by_name(name: str) -> Reference:
    return next(member for member in zoo.MEMBERS if member.name == name)
