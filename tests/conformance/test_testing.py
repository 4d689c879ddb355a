"""What projects that test kernels get: assertions, strategies, and the pytest plugin."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import mxemu
from conformance.arrays import as_bits, wide_values
from conformance.bound import any_order, bounds
from conformance.testing import assert_mx_equal, assert_within_bound, strategies
from conformance.zoo import MEMBERS
from mxemu.cli import cli
from mxemu.errors import BadFormat, BadShape, BadType
from mxemu.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    BINARY64,
    BLOCK_FORMATS,
    CARRIERS,
    ELEMENTS,
    MX_ELEMENTS,
    find,
)
from mxemu.scalar import decode

ROOT = Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(1)
X = RNG.standard_normal((3, 64)).astype(np.float32)
WANT = mxemu.quantize(X, "MXFP4")


def failure(*arguments: Any, **options: Any) -> str:
    """What `assert_mx_equal` says."""
    with pytest.raises(AssertionError) as caught:
        assert_mx_equal(*arguments, **options)
    return str(caught.value)


def outside(*arguments: Any, **options: Any) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_within_bound(*arguments, **options)
    return str(caught.value)


def rerun(text: str) -> list[str]:
    """What the commands of a message print."""
    printed = []
    for command in re.findall(r"see: mxemu (.*)", text):
        result = CliRunner().invoke(cli, shlex.split(command))
        assert result.exit_code == 0, f"{command}: {result.output}"
        printed.append(result.stdout)
    return printed


def test_equal_blocks_pass_in_every_form() -> None:
    assert_mx_equal(WANT, WANT)
    assert_mx_equal((WANT.scales, WANT.codes), WANT)
    assert_mx_equal((WANT.scales.ravel(), WANT.codes.reshape(-1, 32)), WANT, inputs=X)
    for dtype in (np.float32, np.float64, np.float16):
        assert_mx_equal(mxemu.dequantize(WANT, dtype=dtype), WANT)
    codes = mxemu.encode(X, "E4M3")
    assert_mx_equal(codes, codes.astype(np.int32), format="E4M3")


def test_what_means_nothing_is_not_compared() -> None:
    nan = mxemu.Blocks(np.zeros((1, 32), np.uint8), np.full(1, 255, np.uint8), "MXFP4")
    assert_mx_equal((nan.scales, np.full((1, 32), 7)), nan)
    assert_mx_equal(np.array([0x7F]), np.array([0xFF]), format="E4M3")  # two NaN
    assert_mx_equal(np.array([0x7D]), np.array([0xFF]), format="E5M2")
    with pytest.raises(AssertionError):
        assert_mx_equal(np.array([0x7C]), np.array([0xFF]), format="E5M2")  # Inf


@pytest.mark.parametrize("place", range(0, 198, 17))
def test_every_bit_of_every_entry_counts(place: int) -> None:
    rows = np.column_stack([WANT.scales.ravel(), WANT.codes.reshape(-1, 32)])
    for bit in range(8 if place % 33 == 0 else 4):
        wrong = rows.copy()
        wrong.ravel()[place] ^= 1 << bit
        text = failure((wrong[:, 0], wrong[:, 1:]), WANT)
        assert text.startswith("1 of 198 scales and codes of MXFP4_E2M1 differ")


def mutants() -> list[tuple[str, Any, str]]:
    """Wrong blocks, made here, and what is to be said of them."""
    scales, codes = WANT.scales, WANT.codes
    swapped = codes.reshape(-1, 16, 2)[:, :, ::-1].reshape(codes.shape)
    return [
        ("nibbles", (scales, swapped), "the two codes of each pair are exchanged"),
        ("scale up", (scales + 1, codes), "only scales differ, each one too large"),
        ("scale down", (scales - 1, codes), "only scales differ, each one too small"),
        ("scales", (scales ^ 3, codes), "only scales differ"),
        ("zero", (scales, codes * 0), "every code is zero"),
        ("signs", (scales, codes ^ 8), "every sign bit is wrong"),
        ("one more", (scales, codes + 1), "every code is one too large"),
        ("other", (scales, codes ^ (codes > 3)), "all scales are right, only codes differ"),
        ("values", mxemu.dequantize(WANT) * np.float32(2), "every value is twice as large"),
        ("half", mxemu.dequantize(WANT) / np.float32(2), "every value is half as large"),
        ("negative", -mxemu.dequantize(WANT), "every sign is wrong"),
        ("zeros", mxemu.dequantize(WANT) * 0, "every value is zero"),
    ]


@pytest.mark.parametrize(("name", "wrong", "said"), mutants(), ids=[one[0] for one in mutants()])
def test_a_mutant_is_caught_and_described(name: str, wrong: Any, said: str) -> None:
    text = failure(wrong, WANT)
    assert said in text.splitlines()[0]
    assert len(rerun(text)) == min(3, text.count("dut"))


def test_with_inputs_the_cause_is_named() -> None:
    values = np.array([0.25, 0.75, -2.5, 1.3], np.float32)
    away = mxemu.encode(values, "E2M1", rounding="ties-to-away")
    text = failure(away, mxemu.encode(values, "E2M1"), format="E2M1", inputs=values)
    assert "rounding=ties-to-away" in text
    assert "see: mxemu explain E2M1 0.25" in text
    swapped = WANT.codes.reshape(-1, 16, 2)[:, :, ::-1].reshape(WANT.codes.shape)
    text = failure((WANT.scales, swapped), WANT, inputs=X)
    assert (
        "the two nibbles of each byte are swapped (mxemu rule code-order)" in text.splitlines()[0]
    )
    assert "mxemu explain quantize MXFP4_E2M1 " in text
    assert len(rerun(text)) == 1


def test_another_convention_is_said_to_be_one() -> None:
    big = (X * 1.9).astype(np.float32)
    other = mxemu.quantize(big, "MXFP4", profile=mxemu.profile.OCP.replace(scale_rule="ceil"))
    text = failure(other, mxemu.quantize(big, "MXFP4"), inputs=big)
    assert "another legal convention: scale_rule=" in text


def test_what_nobody_knows_is_said_to_be_unknown() -> None:
    codes = WANT.codes ^ (np.arange(32) % 3 == 0).astype(np.uint8)
    assert "no known mistake" in failure((WANT.scales, codes), WANT, inputs=X)


@pytest.mark.parametrize(
    ("actual", "expected", "options", "error"),
    [
        (np.zeros(2, int), np.zeros(3, int), {"format": "E4M3"}, BadShape),
        (np.zeros(2, int), np.zeros(2, int), {}, BadType),
        (np.zeros(2), np.zeros(2, int), {"format": "E4M3"}, BadType),
        (np.zeros((3, 64), np.int32), WANT, {}, BadType),
        (np.zeros((3, 63), np.float32), WANT, {}, BadShape),
        ((WANT.scales, WANT.codes[:1]), WANT, {}, BadShape),
        ((WANT.scales[:1], WANT.codes[:1]), WANT, {}, BadShape),
        ((WANT.scales.astype(float), WANT.codes), WANT, {}, BadType),
        (mxemu.quantize(X, "MXFP8"), WANT, {}, BadType),
        (np.ones(2, int), np.zeros(2, int), {"format": "E4M3", "inputs": np.zeros(5)}, BadShape),
        (
            np.ones(2, int),
            np.zeros(2, int),
            {"format": "E4M3", "inputs": np.zeros(2, int)},
            BadType,
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(
    actual: Any, expected: Any, options: Any, error: Any
) -> None:
    with pytest.raises(error):
        assert_mx_equal(actual, expected, **options)


A, B = (
    mxemu.quantize(RNG.standard_normal((m, 96)).astype(np.float32), "MXFP8_E5M2") for m in (4, 3)
)


@pytest.mark.parametrize(
    "order", ["fp32-sequential", "fp32-fma", "pairwise", "block-fp32", "exact"]
)
def test_correct_products_pass(order: str) -> None:
    results = mxemu.matmul(A, B, accumulation=order)
    assert_within_bound(results, A, B)
    assert_within_bound(results.view(np.uint32), A, B)
    carried = np.float32([1, -2, 1e-3, 1e5])
    assert_within_bound(mxemu.dot(A, A, c=carried, accumulation=order), A, A, c=carried)
    narrow = mxemu.matmul(A, B, accumulation=order, out="bfloat16")
    assert_within_bound(narrow, A, B, out="bfloat16")


def test_wrong_products_are_shown_with_their_intervals() -> None:
    results = mxemu.matmul(A, B)
    results[1, 2] *= np.float32(1.001)
    text = outside(results, A, B)
    assert text.startswith("1 of 12 results are outside of any order of additions in binary32\n")
    found = bounds(A, B, matrix=True)
    assert f"in [{float(found.lo[1, 2])!r}, {float(found.hi[1, 2])!r}]" in text
    assert "MXFP8_E5M2" in rerun(text)[0]


def test_a_kernel_that_skips_a_lane_is_caught_and_named() -> None:
    codes = A.codes.copy()
    codes[:, -1, -1] = 0
    cut = mxemu.Blocks(codes, A.scales, "MXFP8_E5M2")
    assert "the known mistake last-lane-dropped" in outside(mxemu.matmul(cut, B), A, B)


def crossed_scales() -> np.ndarray:
    other = mxemu.Blocks(A.codes, A.scales[::-1].copy() ^ 1, "MXFP8_E5M2")
    return mxemu.matmul(other, B)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 3), np.float32),
        -mxemu.matmul(A, B),
        np.full((4, 3), np.nan, np.float32),
        mxemu.matmul(A, B, accumulation="bf16-accumulator"),
        crossed_scales(),
    ],
    ids=["zeros", "negative", "nan", "bfloat16", "scales"],
)
def test_product_mutants_are_outside(wrong: np.ndarray) -> None:
    assert "results are outside" in outside(wrong, A, B)


def test_more_freedom_allows_more() -> None:
    results = mxemu.matmul(A, B, accumulation="bf16-accumulator")
    assert_within_bound(results, A, B, freedom=any_order("bfloat16"))
    with pytest.raises(BadShape):
        assert_within_bound(results[:2], A, B)
    with pytest.raises(BadType):
        assert_within_bound(results.astype(int), A, B)


def test_carried_values_are_in_the_command() -> None:
    carried = np.float32([[1], [2], [3], [4]])
    results = mxemu.matmul(A, B, c=np.broadcast_to(carried, (4, 3)).copy())
    text = outside(results + np.float32(1), A, B, c=carried)
    assert "--c 1.0" in text
    assert len(rerun(text)) == 1


@pytest.mark.parametrize("name", [*(fmt.name for fmt in MX_ELEMENTS), "E8M0"])
def test_codes_are_codes(name: str) -> None:
    fmt, seen = find(name), set()

    @settings(max_examples=60)
    @given(strategies.codes(name), strategies.codes(name, finite=True))
    def check(code: int, finite: int) -> None:
        seen.add(code)
        assert 0 <= code < 1 << fmt.width
        assert decode(finite, fmt).is_finite

    check()
    assert len(seen) > 8


@pytest.mark.parametrize("carrier", [BINARY64, BINARY32, BINARY16, BFLOAT16])
def test_values_meet_ties_and_ends(carrier: Any) -> None:
    seen = []

    @settings(max_examples=200)
    @given(strategies.values("E4M3", carrier=carrier))
    def check(bits: int) -> None:
        seen.append(bits)

    check()
    values = [decode(bits, carrier) for bits in seen]
    finite = [value.fraction() for value in values if value.is_finite]
    codes = [decode(code, find("E4M3")).fraction() for code in range(127)]
    ties = {(one + two) / 2 for one, two in pairwise(codes)}
    assert {abs(number) for number in finite} & {*codes}
    assert {abs(number) for number in finite} & (ties - {*codes})
    assert any(value.is_nan for value in values)
    assert any(value.is_inf for value in values)
    assert any(value.is_zero for value in values)
    assert any(
        value.is_finite and value.significand and value.leading < carrier.emin for value in values
    )


@settings(max_examples=30)
@given(strategies.arrays((2, 32), "E2M1", special=False))
def test_arrays_of_values_can_be_quantized(x: np.ndarray) -> None:
    assert x.shape == (2, 32)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert_mx_equal(mxemu.quantize(x, "MXFP4"), mxemu.quantize(x, "MXFP4"))


@settings(max_examples=30)
@given(strategies.blocks("MXFP6_E3M2", 3), strategies.blocks("NVFP4", 2, finite=True))
def test_blocks_are_blocks(any_blocks: mxemu.Blocks, finite: mxemu.Blocks) -> None:
    assert any_blocks.codes.shape == (3, 32)
    assert np.isfinite(mxemu.dequantize(finite)).all()


@settings(max_examples=30)
@given(
    strategies.operands("MXFP8_E4M3", "MXFP4", rows=2), st.sampled_from(["pairwise", "fp32-fma"])
)
def test_operands_of_products_have_finite_sums(pair: Any, order: str) -> None:
    a, b = pair
    results = mxemu.dot(a, b, accumulation=order)
    assert np.isfinite(results).all()
    assert_within_bound(results, a, b)


@pytest.mark.parametrize("name", [*ELEMENTS])
def test_every_format_has_codes_and_values(name: str) -> None:
    fmt, seen = find(name), set()

    @settings(max_examples=25, deadline=None)
    @given(strategies.codes(name), strategies.values(name, carrier="bfloat16", special=False))
    def check(code: int, bits: int) -> None:
        seen.add(code)
        assert 0 <= code < 1 << fmt.width
        assert decode(bits, BFLOAT16).is_finite

    check()
    assert len(seen) > 4


@pytest.mark.parametrize("name", [*BLOCK_FORMATS])
@pytest.mark.parametrize("carrier", ["binary32", "bfloat16"])
def test_every_block_format_has_blocks_and_numbers_that_are_hard_to_quantize(
    name: str, carrier: str
) -> None:
    fmt, seen = BLOCK_FORMATS[name], []

    @settings(max_examples=120, deadline=None)
    @given(strategies.block_values(fmt, 2, carrier=carrier), strategies.blocks(name, 2))
    def check(x: np.ndarray, blocks: mxemu.Blocks) -> None:
        seen.append(x)
        assert blocks.codes.shape == x.shape == (2, fmt.k)

    check()
    x = wide_values(as_bits(np.concatenate(seen), carrier), CARRIERS[carrier])
    right = mxemu.quantize(x, fmt, profile="ocp").codes
    assert (x == 0).all(axis=1).any()
    assert not np.isfinite(x).all()
    with np.errstate(all="ignore"):
        largest = np.abs(np.where(np.isfinite(x), x, 0)).max(axis=1)
    beside = np.abs(largest / np.exp2(np.rint(np.log2(np.where(largest > 0, largest, 1)))) - 1)
    assert ((beside > 0) & (beside < 2.0**-6)).any()
    if fmt.scale.mantissa_bits:
        return  # divided by a scale that is no power of two, a tie is none
    away = mxemu.quantize(x, fmt, profile=mxemu.profile.OCP.replace(rounding="ties-to-away"))
    assert (away.codes != right).any(axis=(1, 2)).sum() > 5


@pytest.mark.parametrize("wrong", ["float-log2-binary32", "max-without-abs", "scale-wraps"])
def test_numbers_that_are_hard_to_quantize_show_what_normal_ones_do_not(wrong: str) -> None:
    member = next(one for one in MEMBERS if one.name == wrong)

    @settings(max_examples=200, deadline=None, phases=[Phase.generate], report_multiple_bugs=False)
    @given(strategies.block_values("MXFP8", 4))
    def check(x: np.ndarray) -> None:
        assert_mx_equal(member.quantize(x, "MXFP8_E4M3"), mxemu.quantize(x, "MXFP8"))

    with pytest.raises(AssertionError, match="scales and codes of MXFP8_E4M3 differ"):
        check()


def test_a_block_format_has_no_codes() -> None:
    with pytest.raises(BadFormat):
        strategies.codes("MXFP4")
