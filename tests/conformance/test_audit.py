"""The audit: what a test would let through, why, and that correct kernels are never called bugs."""

from __future__ import annotations

import json
import sys
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mxemu
from conformance.audit import (
    AUDITED,
    Answer,
    Audit,
    Inputs,
    Tolerance,
    answer,
    audit,
    given_inputs,
    render_json,
    render_text,
    trivial,
    usual_inputs,
)
from conformance.audit.power import shown_by
from conformance.audit.stand_in import StandIn, put, stand_ins
from conformance.bound import bounds
from conformance.zoo import reference
from mxemu.errors import BadShape, BadType, BadValue, MxemuError, UnknownName

FORMATS = {
    "encode": "E4M3",
    "decode": "E5M2",
    "encode-scaled": "MXFP6_E3M2",
    "quantize": "MXFP8_E4M3",
    "dequantize": "MXFP4_E2M1",
    "fake_quantize": "MXFP4_E2M1",
    "dot": "MXFP8_E5M2,MXFP4_E2M1",
    "dot-general": "MXFP6_E2M3",
    "matmul": "MXINT8",
}
EXACT = Tolerance(exact=True)
ANYTHING = Tolerance(rtol=float("inf"), atol=float("inf"))


def names(found: Audit) -> set[str]:
    return {one.name for one in found.passed}


def suite_inputs(operation: str, name: str) -> Inputs:
    """All inputs of the suite, as if a test used them."""
    return shown_by(usual_inputs(operation, name)).cases


@pytest.mark.parametrize(
    "operation",
    ["encode", "decode", "encode-scaled", "quantize", "dequantize", "fake_quantize"],
)
def test_a_bitwise_test_on_the_inputs_of_the_suite_catches_every_class(operation: str) -> None:
    found = audit(suite_inputs(operation, FORMATS[operation]), EXACT)
    assert not found.passed
    assert not found.vacuous
    assert not found.strict
    assert found.exit_code == 0
    assert len(found.classes) >= 7


@pytest.mark.parametrize("operation", AUDITED)
def test_the_usual_inputs_are_too_tame_for_some_classes(operation: str) -> None:
    found = audit(usual_inputs(operation, FORMATS[operation]), EXACT)
    missed = [one for one in found.passed if one.kind == "mistake"]
    assert missed
    assert all(one.reason == "inputs" and one.differing == 0 for one in missed)
    assert all(one.caught for one in found.classes if one.kind == "trivial")
    assert found.exit_code == 1


def test_an_atol_above_the_largest_output_is_vacuous() -> None:
    inputs = usual_inputs("fake_quantize", "MXFP4")
    largest = np.abs(answer(reference, inputs).values).max()
    for atol, flagged in ((largest, True), (np.nextafter(largest, 0), False)):
        found = audit(inputs, Tolerance(atol=float(atol)))
        assert ("all-zero" in names(found)) == flagged
        assert [line.split(" is not")[0] for line in found.vacuous] == [f"atol {atol:g}"] * flagged
    assert "VACUOUS  atol" in render_text(audit(inputs, Tolerance(atol=1e9)))
    assert audit(inputs, Tolerance(atol=1e9, rtol=0.0)).exit_code == 1


def test_subnormal_operands_make_a_small_atol_vacuous() -> None:
    """Operands so small that every sum is below the tolerance: zeros pass."""
    rng = np.random.default_rng(0)
    tiny = [(rng.standard_normal((4, 64)) * 2.0**-30).astype(np.float32) for _ in range(2)]
    found = audit(
        given_inputs("matmul", "MXFP8", dict(zip("ab", tiny, strict=True))), Tolerance(1e-2, 1e-5)
    )
    assert "all-zero" in names(found)
    assert "below the largest magnitude" in found.vacuous[0]
    assert "including an all-zero output" in render_text(found)


def test_expected_zeros_show_nothing() -> None:
    found = audit(given_inputs("quantize", "MXFP4", {"x": np.zeros((2, 32), np.float32)}), EXACT)
    assert found.vacuous == ["every expected number is zero: these inputs show nothing but zeros"]


@pytest.mark.parametrize("operation", ["dot", "dot-general", "matmul"])
def test_other_orders_of_additions_are_no_bugs(operation: str) -> None:
    """An assertion that is a bound rejects no correct kernel, and one on bits is told that it does."""
    rng = np.random.default_rng(5)
    shape = 2, 12, 32 if operation == "dot" else 128
    sizes = np.exp2(rng.integers(-12, 12, shape))
    x, y = (rng.standard_normal(shape) * sizes).astype(np.float32)
    inputs = given_inputs(operation, "MXFP8_E5M2", {"a": x, "b": y})
    a, b = inputs.operands
    found = audit(inputs, EXACT)
    limits = bounds(a, b, matrix=operation == "matmul")
    bounded = audit(inputs, lambda actual, _: limits.holds(actual).all())
    assert not bounded.strict
    assert {"fp32-sequential", "fp32-fma"} <= set(found.strict)
    assert "reference" not in found.strict
    assert "too strict" in render_text(found)
    assert names(bounded) >= names(found)
    assert not {"all-zero", "sign-flipped", "doubled", "scales-applied-twice"} & names(bounded)


def test_a_choice_of_accumulation_is_not_counted_as_a_bug() -> None:
    classes = {one.name for one in audit(usual_inputs("dot", "MXFP8"), EXACT).classes}
    assert "results-truncated" not in classes
    assert {"scales-applied-twice", "lanes-crossed"} <= classes


@pytest.mark.parametrize("operation", AUDITED)
def test_the_cases_show_every_class_that_passes_and_none_can_be_spared(operation: str) -> None:
    inputs = usual_inputs(operation, FORMATS[operation])
    found = audit(inputs, ANYTHING)
    shown = shown_by(inputs)
    missed = [one for one in found.passed if one.kind == "mistake"]
    assert missed
    assert all(one.case in found.cases for one in missed)
    assert all(shown.differs[one.name][one.case] for one in missed)
    for fewer in combinations(found.cases, len(found.cases) - 1):
        assert any(not shown.differs[one.name][[*fewer]].any() for one in missed)


@pytest.mark.parametrize("operation", ["encode", "encode-scaled", "quantize", "dequantize"])
def test_the_cases_alone_catch_what_passed(operation: str) -> None:
    """The inputs that are named, given to the same test, make it catch these classes."""
    inputs = usual_inputs(operation, FORMATS[operation])
    before = audit(inputs, EXACT)
    cases = suite_inputs(operation, FORMATS[operation])
    chosen = [*before.cases]
    enough = Inputs(
        cases.operation, cases.format, tuple(one[chosen] for one in cases.arrays), cases.carrier
    )
    after = audit(enough, EXACT)
    assert not names(before) & names(after)


def test_a_set_of_cases_is_the_smallest() -> None:
    inputs = usual_inputs("encode", "E4M3")
    found, shown = audit(inputs, EXACT), shown_by(inputs)
    rows = np.stack([shown.differs[one.name] for one in found.passed])
    columns = np.unique(rows, axis=1).T
    fewer = combinations(columns, len(found.cases) - 1)
    assert not any(np.any(chosen, axis=0).all() for chosen in fewer)


def tolerances() -> list[tuple[Tolerance, Any, Any, bool]]:
    one, two = np.array([1.0, 2.0, -4.0]), np.array([1.01, 2.02, -4.04])
    nan, inf = np.array([1.0, np.nan]), np.array([1.0, np.inf])
    return [
        (Tolerance(rtol=0.02), two, one, True),
        (Tolerance(rtol=0.005), two, one, False),
        (Tolerance(atol=0.03), two, one, False),
        (Tolerance(atol=0.05), two, one, True),
        (Tolerance(atol=0.02, rtol=0.006), two, one, True),
        (Tolerance(sqnr=39.9), two, one, True),
        (Tolerance(sqnr=40.1), two, one, False),
        (Tolerance(cosine=0.9999), 2 * one, one, True),
        (Tolerance(cosine=0.9999), -one, one, False),
        (Tolerance(cosine=0.5, atol=0.1), 2 * one, one, False),
        (Tolerance(atol=1.0), nan, nan, True),
        (Tolerance(atol=1.0), one[:2], nan, False),
        (Tolerance(atol=1.0), nan, one[:2], False),
        (Tolerance(rtol=1.0), inf, inf, True),
        (Tolerance(rtol=1.0), one[:2], inf, False),
        (Tolerance(sqnr=10), np.zeros(3), one, False),
        (Tolerance(sqnr=10), nan, one[:2], False),
        (Tolerance(exact=True), np.array([0.0]), np.array([-0.0]), False),
        (Tolerance(exact=True), nan, nan, True),
        (Tolerance(cosine=0.9), np.zeros(3), one, False),
    ]


@pytest.mark.parametrize(("tolerance", "actual", "expected", "accepted"), tolerances())
def test_tolerances(tolerance: Tolerance, actual: Any, expected: Any, accepted: bool) -> None:
    assert tolerance(actual, expected) is accepted


def test_no_tolerance_is_refused() -> None:
    with pytest.raises(MxemuError, match="no tolerance"):
        Tolerance()


@pytest.mark.parametrize(
    ("accepts", "wrong_passes", "right_passes"),
    [
        (lambda actual, expected: None, True, True),  # an assert that holds
        (lambda actual, expected: True, True, True),
        (lambda actual, expected: np.array([True, True]), True, True),
        (lambda actual, expected: False, False, False),
        (lambda actual, expected: actual == expected, False, True),
        (lambda actual, expected: 1 / 0, False, False),
        (np.testing.assert_array_equal, False, True),
        (lambda actual, expected: pytest.fail("no"), False, False),
    ],
)
def test_functions_accept_as_asserts_and_predicates_do(
    accepts: Any, wrong_passes: bool, right_passes: bool
) -> None:
    found = audit(usual_inputs("encode", "E2M1"), accepts)
    assert ("sign-flipped" in names(found)) is wrong_passes
    assert (reference.name not in found.strict) is right_passes


def test_trivial_answers_are_wrong() -> None:
    for operation, name in FORMATS.items():
        inputs = usual_inputs(operation, name)
        right = answer(reference, inputs)
        found = {one: wrong for one, _, wrong in trivial(inputs, right)}
        assert {"all-zero", "sign-flipped", "last-row-dropped"} <= set(found)
        numbers = ("encode", "encode-scaled", "quantize", "fake_quantize")
        assert ("not-quantized" in found) == (operation in numbers)
        assert ("one-code-off" in found) == (operation in numbers[:3])
        for wrong in found.values():
            assert wrong.unlike(right).any()
            assert wrong.values.shape == right.values.shape


def test_the_reference_is_the_emulator() -> None:
    x = np.random.default_rng(3).standard_normal((7, 32)).astype(np.float32)
    found = answer(reference, given_inputs("fake_quantize", "MXFP6_E3M2", {"x": x}))
    right = mxemu.dequantize(mxemu.quantize(x, "MXFP6_E3M2"))
    assert (found.values == right).all()


def mutant(kernel: Any, inputs: Inputs) -> Answer:
    """What a wrong kernel of this file gives."""
    values = kernel(inputs.arrays[0]).astype(np.float64)
    return Answer(values, values)


def no_ties(x: np.ndarray) -> np.ndarray:
    """Adds half of a step and cuts: ties go away from zero."""
    scale = np.exp2(np.floor(np.log2(np.abs(x).max(axis=1, keepdims=True))) - 2)
    steps = np.where(np.abs(x / scale) < 2, 0.5, np.where(np.abs(x / scale) < 4, 1, 2)) * scale
    found = np.sign(x) * np.floor(np.abs(x) / steps + 0.5) * steps
    return np.clip(found, -6 * scale, 6 * scale).astype(np.float32)


def scale_of_the_row(x: np.ndarray) -> np.ndarray:
    """One scale for everything instead of one for each block."""
    whole = mxemu.quantize(np.float32(x), "MXFP4")
    scales = np.full_like(whole.scales, whole.scales.max())
    step = np.exp2(scales.astype(float) - 127)
    return (
        mxemu.decode(mxemu.encode((x / step).astype(np.float32), "E2M1"), "E2M1") * step
    ).astype(np.float32)


@pytest.mark.parametrize("kernel", [no_ties, scale_of_the_row])
def test_what_catches_the_classes_catches_a_stranger(kernel: Any) -> None:
    """Wrong kernels that the zoo does not have, on the inputs of the suite."""
    inputs = suite_inputs("fake_quantize", "MXFP4_E2M1")
    finite = np.isfinite(inputs.arrays[0]).all(axis=1) & (inputs.arrays[0] != 0).any(axis=1)
    largest = np.abs(inputs.arrays[0]).max(axis=1)
    near = (largest > 2.0**-100) & (largest < 2.0**100)
    kept = Inputs(inputs.operation, inputs.format, (inputs.arrays[0][finite & near],))
    with np.errstate(all="ignore"):
        wrong = mutant(kernel, kept)
    right = answer(reference, kept)
    assert not EXACT(wrong.values, right.values)
    assert Tolerance(atol=1e38)(wrong.values, right.values)


@pytest.mark.parametrize(
    ("operation", "carrier"),
    [
        ("encode", "binary64"),
        ("encode", "bfloat16"),
        ("encode-scaled", "bfloat16"),
        ("quantize", "binary16"),
        ("fake_quantize", "bfloat16"),
    ],
)
def test_every_carrier_is_audited_in_itself(operation: str, carrier: str) -> None:
    inputs = usual_inputs(operation, FORMATS[operation], carrier)
    numbers = inputs.numbers
    assert np.abs(numbers).max() > 2
    right, expected = answer(reference, inputs), mxemu.quantize(numbers.reshape(-1, 32), "MXFP4")
    if operation == "fake_quantize":  # binary64 holds the numbers of every carrier
        assert (right.values == mxemu.dequantize(expected)).all()
    found = audit(inputs, EXACT)
    assert not found.strict
    assert not found.vacuous
    assert all(one.caught for one in found.classes if one.kind == "trivial")
    listed = {one.name for one in found.classes}
    assert ("double-rounding-binary16" in listed) == (carrier == "binary64")
    assert audit(suite_inputs(operation, FORMATS[operation]), EXACT).exit_code == 0


def test_bfloat16_comes_as_bits_or_from_another_library() -> None:
    x = np.array([[1.0, -2.5, 0.3125, 65280.0] * 8], np.float32)
    bits = (x.view(np.uint32) >> 16).astype(np.uint16)
    other = bits.view(np.dtype(ml_dtypes.bfloat16))
    first, second = (given_inputs("quantize", "MXFP8", {"x": one}) for one in (bits, other))
    assert first.carrier == second.carrier == "bfloat16"
    assert (first.numbers == x).all()
    assert (second.numbers == x).all()
    both = given_inputs("dot", "MXFP8", {"a": bits, "b": x})
    assert (both.operands[0].codes == both.operands[1].codes).all()


def test_scales_of_blocks_are_those_of_their_elements() -> None:
    x = np.random.default_rng(4).standard_normal((3, 32)).astype(np.float32)
    scales = np.array([120, 127, 255], np.uint8)
    given = given_inputs("encode-scaled", "MXFP4", {"values": x, "scales": scales})
    assert (given.arrays[1] == np.repeat(scales, 32)).all()
    found = answer(reference, given).values.reshape(3, 32)
    assert np.isnan(found[2]).all()
    assert (found[1] == mxemu.decode(mxemu.encode(x[1], "E2M1"), "E2M1")).all()


def test_claims_are_all_that_counts() -> None:
    inputs = usual_inputs("quantize", "MXFP8")
    found = audit(inputs, EXACT, claims=["pairs-swapped", "all-zero"])
    assert {one.name for one in found.classes} == {"pairs-swapped", "all-zero"}
    assert found.exit_code == 0
    with pytest.raises(UnknownName, match="pairs-swaped"):
        audit(inputs, EXACT, claims=["pairs-swaped"])


def test_inputs_are_checked() -> None:
    x = np.ones((2, 33), np.float32)
    with pytest.raises(BadShape, match="multiple of k = 32"):
        given_inputs("quantize", "MXFP4", {"x": x})
    with pytest.raises(BadShape, match="expected a and b"):
        given_inputs("matmul", "MXFP4", {"x": x})
    with pytest.raises(BadShape, match="scales and codes"):
        given_inputs("dequantize", "MXFP4", {"x": x})
    with pytest.raises(BadShape, match="expected values and scales"):
        given_inputs("encode-scaled", "MXFP4", {"x": x})
    with pytest.raises(BadShape, match="one block of k = 32"):
        given_inputs("dot", "MXFP4", dict.fromkeys("ab", np.ones((2, 64), np.float32)))
    with pytest.raises(BadType, match="expected integers, the codes of E2M1"):
        given_inputs("decode", "E2M1", {"x": x})
    with pytest.raises(BadValue, match="16 among the codes"):
        given_inputs("decode", "E2M1", {"x": np.array([3, 16])})
    with pytest.raises(MxemuError, match="it takes codes"):
        usual_inputs("decode", "E2M1", "bfloat16")
    with pytest.raises(MxemuError, match="dtype int64"):
        given_inputs("quantize", "MXFP4", {"x": np.ones((1, 32), np.int64)})
    with pytest.raises(BadShape, match="no inputs"):
        audit(given_inputs("encode", "E2M1", {"x": np.ones(0, np.float32)}), EXACT)
    assert given_inputs("encode", "E2M1", {"x": np.ones(300, np.float32)}).left_out == 300 - 128


def test_reports_say_the_same() -> None:
    found = audit(usual_inputs("decode", "E4M3"), Tolerance(atol=0.5), source="mine.npy")
    record = json.loads(render_json(found))
    text = render_text(found)
    assert record["accepted"] == len(found.passed)
    assert f"accepts {record['accepted']} of {record['of']} known bug classes" in text
    assert record["inputs"]["source"] == "mine.npy"
    for one in record["classes"]:
        assert one["caught"] == (one["reason"] is None)
        listed = [line for line in text.splitlines() if line.startswith(f"  {one['name']} ")]
        assert len(listed) == (not one["caught"])
        if listed and one["reason"] == "inputs":
            assert f"case {one['case']} " in listed[0]
    assert render_json(found) == render_json(found)


def test_stand_ins_answer_as_their_classes_do_and_remember() -> None:
    listed = {one.name: one for one in stand_ins("fake_quantize", "MXFP4")}
    assert next(iter(listed)) == "reference"
    x = np.random.default_rng(1).standard_normal((4, 32)).astype(np.float32)
    right = mxemu.dequantize(mxemu.quantize(x, "MXFP4"))
    assert (listed["reference"].fake_quantize(x, "MXFP4") == right).all()
    assert listed["reference"].seen() == {"calls": 1, "rows": 4, "differing": 0}
    assert (listed["sign-flipped"].fake_quantize(x, "MXFP4") == -right).all()
    assert listed["sign-flipped"].seen()["differing"] == 4
    scales, codes = StandIn("all-zero", "", "trivial").quantize(x, "MXFP4")
    assert (scales == mxemu.quantize(x, "MXFP4").scales.ravel()).all()
    assert not codes.any()
    assert listed["pairs-swapped"].quantize(x, "MXFP4")[1].shape == (4, 32)
    ones = np.full((2, 32), 0x38, np.uint8)
    scale = np.full((2, 1), 127, np.uint8)
    bits = StandIn("doubled", "", "trivial").dot(scale, ones, scale, ones, None, ("MXFP8", "MXFP8"))
    assert bits.view(np.float32).tolist() == [64.0, 64.0]


def test_stand_ins_take_every_carrier_in_every_clothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(8).standard_normal((4, 32)).astype(ml_dtypes.bfloat16)
    right = mxemu.dequantize(mxemu.quantize(x, "MXFP4"))
    listed = {one.name: one for one in stand_ins("fake_quantize", "MXFP4", "bfloat16")}
    for name, expected in (("reference", right), ("sign-flipped", -right)):
        bits = listed[name].fake_quantize(x.view(np.uint16), "MXFP4")
        assert (bits.view(ml_dtypes.bfloat16).astype(np.float32) == expected).all()
    module = SimpleNamespace(kernel=lambda values: values)
    monkeypatch.setitem(sys.modules, "kernel_of_a_project", module)
    put(listed["doubled"], "kernel_of_a_project:kernel", "fake_quantize", "MXFP4", setattr)
    found = module.kernel(x.reshape(2, 64))
    assert found.dtype == x.dtype
    assert (found.astype(np.float32) == 2 * right.reshape(2, 64)).all()
    codes = {one.name: one for one in stand_ins("encode-scaled", "MXFP4")}
    scales = np.full(128, 127, np.uint8)
    given = x.astype(np.float32).ravel(), scales, "MXFP4"
    assert (codes["reference"].encode_scaled(*given) == mxemu.encode(given[0], "E2M1")).all()
    assert not codes["all-zero"].encode_scaled(*given).any()
    assert codes["all-zero"].seen()["differing"] > 100
