"""Bounds of the presets: all orders of the terms lie inside, and no interval is far too wide."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import mxemu
from conformance.bound import Bounds, bound, bounds, hull, permuted
from conformance.bound.arrays import _Side
from conformance.bound.terms import carried, centre, gather, products, rounded, rounded_ends
from mxemu.accumulation import Accumulation, Chain, Fuse, Late, Parts, Round
from mxemu.accumulations import ACCUMULATIONS
from mxemu.accumulations import find as find_accumulation
from mxemu.errors import BadFormat, BadShape
from mxemu.formats import BINARY32, BlockFormat, find
from mxemu.products import Operand, dot
from mxemu.scalar import decode
from mxemu.value import Value, from_fraction

ONE = 0x3F80  # of bfloat16


def some_operand(rng: np.random.Generator, name: str, blocks: int) -> Operand:
    fmt = find(name)
    codes = rng.integers(0, 1 << fmt.element.width, blocks * fmt.k)
    codes[rng.random(len(codes)) < rng.choice([0.0, 0.6])] = 0
    finite = [int(one) if decode(int(one), fmt.element).is_finite else 0 for one in codes]
    return Operand(finite, name, [int(one) for one in rng.integers(123, 132, blocks)])


def shuffled(a: Operand, b: Operand, rng: np.random.Generator) -> tuple[Operand, Operand]:
    """The same products at other places: pairs of elements within their blocks."""
    order = np.concatenate([32 * i + rng.permutation(32) for i in range(len(a.codes) // 32)])
    first, second = (one._replace(codes=[one.codes[i] for i in order]) for one in (a, b))
    return first, second


@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_no_preset_is_outside_of_its_own_freedom(name: str) -> None:
    rng = np.random.default_rng(len(name))
    freedom = permuted(name)
    for _ in range(6):
        fmt = str(rng.choice(["MXFP8_E4M3", "MXFP8_E5M2", "MXFP4_E2M1", "MXFP6_E3M2", "MXINT8"]))
        a, b = some_operand(rng, fmt, 2), some_operand(rng, fmt, 2)
        c = (
            decode(int(rng.integers(0x3000_0000, 0x5000_0000)), BINARY32)
            if rng.random() < 0.5
            else None
        )
        found = bound(a, b, c, freedom)
        for one, two in ((a, b), shuffled(a, b, rng)):
            assert found.holds(decode(dot(one, two, c, name).bits, BINARY32)), fmt


OPERANDS = {
    **dict.fromkeys(
        ["amd-cdna2", "amd-cdna2-bf16", "intel-vdpbf16ps", "intel-amx-bf16"], "bfloat16"
    ),
    "nv-blackwell-nvf4": "NVFP4",
    "triton-dot-scaled": "MXFP8_E5M2",
}
"""Of presets that change what they are given; others get MXFP8_E4M3."""


def rows_of(rng: np.random.Generator, name: str, rows: int, length: int) -> Any:
    """Operands of which two thirds are zero, with subnormals, scale code 0 and negative scales among them."""
    fmt = find(name)
    if not isinstance(fmt, BlockFormat):
        fields = np.where(
            rng.random((rows, length)) < 0.2, 0, rng.integers(120, 135, (rows, length))
        )
        codes = rng.integers(0, 128, (rows, length)) | fields << 7
        codes |= rng.integers(0, 2, (rows, length)) << 15
        return np.where(rng.random(codes.shape) < 0.6, 0, codes).astype(np.uint16), fmt
    codes = rng.integers(0, 1 << fmt.element.width, (rows, length // fmt.k, fmt.k))
    finite = np.array(
        [decode(code, fmt.element).is_finite for code in range(1 << fmt.element.width)]
    )
    codes = np.where((rng.random(codes.shape) < 0.6) | ~finite[codes], 0, codes).astype(np.uint8)
    scales = rng.integers(40, 80, codes.shape[:2]) | rng.integers(0, 2, codes.shape[:2]) << 7
    if not fmt.scale.signed:
        scales = np.where(rng.random(scales.shape) < 0.05, 0, rng.integers(122, 132, scales.shape))
    return mxemu.Blocks(codes, scales.astype(np.uint8), fmt)


def in_order(operand: Any, order: np.ndarray) -> Any:
    """Rows with their elements at other places of their blocks."""
    if isinstance(operand, tuple):
        return np.take_along_axis(operand[0], order, axis=1), operand[1]
    codes = operand.codes.reshape(len(operand.codes), -1)
    moved = np.take_along_axis(codes, order, axis=1).reshape(operand.codes.shape)
    return mxemu.Blocks(moved, operand.scales, operand.block_format)


def row_of(operand: Any, row: int) -> Operand:
    if isinstance(operand, tuple):
        return Operand(operand[0][row].tolist(), operand[1])
    codes, scales = operand.codes[row].ravel().tolist(), operand.scales[row].tolist()
    return Operand(codes, operand.block_format, scales)


@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_thousands_of_results_of_every_preset_are_inside(name: str) -> None:
    rng = np.random.default_rng(11)
    rows, orders, length = 120, 9, 64
    fmt = OPERANDS.get(name, "MXFP8_E4M3")
    freedom, k = permuted(name), getattr(find(fmt), "k", length)
    a, b = (rows_of(rng, fmt, rows, length) for _ in range(2))
    c = (rng.standard_normal(rows) * np.exp2(rng.integers(-140, 10, rows))).astype(np.float32)
    if freedom.runs is None:
        found = bounds(a, b, c=c, freedom=freedom)
    else:
        carried = [from_fraction(Fraction(float(one))) for one in c]
        each = [bound(row_of(a, row), row_of(b, row), carried[row], freedom) for row in range(rows)]
        ends = [
            (-np.inf if one.nan else float(one.lo), np.inf if one.nan else float(one.hi))
            for one in each
        ]
        found = Bounds(*np.array(ends).T, np.array([one.nan for one in each]))
    assert np.isfinite(found.lo).mean() > 0.7
    for _ in range(orders):
        lanes = np.argsort(rng.random((rows, length // k, k)), axis=2)
        order = (lanes + np.arange(0, length, k)[:, None]).reshape(rows, length)
        results = mxemu.dot(in_order(a, order), in_order(b, order), c=c, accumulation=name)
        assert found.holds(results).all()


@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_some_result_of_every_preset_is_a_twentieth_of_the_way_to_an_end(name: str) -> None:
    """1 and 63 small numbers, each of which is lost, or nearly; intervals of a few ulp need not be filled."""
    small = [(127 - exponent) << 7 | m for exponent in range(1, 34) for m in (0, 0x40, 0x7F)]
    codes = np.array([[ONE, *[one] * 63] for one in small], np.uint16)
    a, b = (codes, "bfloat16"), (np.full_like(codes, ONE), "bfloat16")
    freedom = permuted(name)
    if freedom.runs is None:
        found = bounds(a, b, freedom=freedom)
        lo, hi = found.lo, found.hi
    else:
        each = [bound(row_of(a, row), row_of(b, row), None, freedom) for row in range(len(codes))]
        lo, hi = (
            np.array([float(end) for end in side])
            for side in zip(*(one[:2] for one in each), strict=True)
        )
    exact = mxemu.dot(a, b, accumulation=centre(freedom.record), out="binary64")
    results = mxemu.dot(a, b, accumulation=name).astype(np.float64)
    wide = hi - lo >= 8 * np.spacing(hi.astype(np.float32))
    assert (hi[~wide] - lo[~wide] <= 8 * np.spacing(hi[~wide].astype(np.float32))).all()
    room = np.where(results < exact, exact - lo, hi - exact)[wide]
    reached = np.abs(results - exact)[wide] / room
    assert not wide.any() or reached.max() > 1 / 20


def test_scales_of_tensors_multiply_the_ends() -> None:
    rng = np.random.default_rng(12)
    freedom = permuted("cublas-fp8-fast")
    for _ in range(20):
        a, b = some_operand(rng, "MXFP8_E4M3", 2), some_operand(rng, "MXFP8_E4M3", 2)
        scale = from_fraction(Fraction(float(np.float32(rng.random() + 0.5))))
        plain, scaled = (
            bound(one, b, None, freedom) for one in (a, a._replace(tensor_scale=scale))
        )
        for one, two in ((a, b), shuffled(a, b, rng)):
            result = dot(one._replace(tensor_scale=scale), two, None, "cublas-fp8-fast").bits
            assert scaled.holds(decode(result, BINARY32))
        assert scaled.lo is not None
        assert plain.lo is not None
        assert abs(scaled.lo - plain.lo * scale.fraction()) <= abs(plain.lo) / (1 << 23)
    for one, two in rng.integers(1 << 23, 1 << 24, (20, 2)).tolist():
        ones, others = (
            Operand([0x38] * 5 + [0] * 27, "MXFP8_E4M3", [127], Value(0, scale, -23))
            for scale in (one, two)
        )
        found = bound(ones, others, None, freedom)
        assert found.lo == found.hi == dot(ones, others, None, "cublas-fp8-fast").value.fraction()
        assert found.total.fraction() == Fraction(5 * one * two, 1 << 46)
    with pytest.raises(BadFormat, match="does not say where it multiplies"):
        bound(ones, ones)
    with pytest.raises(BadShape, match="how C meets a tensor scale"):
        bound(ones, ones, Value(0, 1, 0), freedom)


WIDE = BlockFormat("wide", find("E4M3"), BINARY32, 32)
"""Elements under scales that are no powers of two."""

CHANGING = [*OPERANDS, "nv-fp8-mma-emulated", "cublas-fp8-blockwise"]


@pytest.mark.parametrize("name", CHANGING)
def test_the_terms_are_those_that_are_added_up(name: str) -> None:
    """Operands and C as the preset sees them: their exact sum is that of the emulator."""
    rng, record = np.random.default_rng(13), find_accumulation(name)
    fmt = OPERANDS.get(name, "MXFP8_E5M2")
    a, b = (rows_of(rng, fmt, 60, 64) for _ in range(2))
    c = [decode(int(code), BINARY32) for code in rng.integers(0, 0x0100_0000, 60)]
    sides = [_Side(one, record) for one in (a, b)]
    wide = sides[0].numbers * sides[1].numbers
    for row in range(60):
        operands = row_of(a, row), row_of(b, row)
        right = dot(*operands, None, centre(record)).value
        terms = gather(products(*operands, record), by_scale=False)
        assert sum(terms.numbers, Fraction(0)) == right.fraction()
        assert sum(map(Fraction, wide[row].tolist()), Fraction(0)) == right.fraction()
        added = sum((one.value.fraction() for one in carried(c[row], record)), Fraction(0))
        with_c = dot(*operands, c[row], centre(record)).value.fraction()
        assert right.fraction() + added == with_c


def test_elements_times_scales_are_rounded_to_the_format_of_operands() -> None:
    record = find_accumulation("triton-dot-scaled")
    codes = [0x39, 0x3B, 0x3D, 0x01] * 8
    for scale in (0x3F81_2345, 0x4012_3456, 0x0012_3456):
        one, two = Operand(codes, WIDE, [scale]), Operand(codes[::-1], WIDE, [0x3F80_0000])
        terms = gather(products(one, two, record), by_scale=False)
        assert (
            sum(terms.numbers, Fraction(0)) == dot(one, two, None, centre(record)).value.fraction()
        )


@pytest.mark.parametrize("name", ["amd-cdna2", "intel-amx-bf16", "triton-dot-scaled"])
def test_arrays_of_changed_operands_hold_the_exact_interval_and_little_more(name: str) -> None:
    rng, freedom = np.random.default_rng(14), permuted(name)
    a, b = (rows_of(rng, OPERANDS[name], 20, 64) for _ in range(2))
    c = np.float32([2.0**-127, 2.0**-126, 0, 1] * 5)
    found = bounds(a, b, c=c, freedom=freedom)
    for row in range(20):
        carried_in = from_fraction(Fraction(float(c[row])))
        exact = bound(row_of(a, row), row_of(b, row), carried_in, freedom)
        assert exact.lo is not None
        assert exact.hi is not None
        lo, hi = Fraction(float(found.lo[row])), Fraction(float(found.hi[row]))
        ulp = Fraction(float(np.spacing(np.float32(np.abs(found.hi[row])))))
        assert lo <= exact.lo <= exact.hi <= hi
        assert hi - lo <= Fraction(1001, 1000) * (exact.hi - exact.lo) + 2 * ulp


def test_blocks_of_16_are_runs_of_16() -> None:
    """A preset whose runs are blocks has more runs, and so more roundings, where blocks are shorter."""
    record = find_accumulation("block-fp32")
    short = Fuse("bfloat16")
    record = record.replace(node=Parts(0, Chain(short), Chain(short)))
    written_out = permuted(record.replace(node=replace(record.node, length=16)))
    rng = np.random.default_rng(15)
    a, b = (mxemu.quantize(rng.standard_normal((6, 128)), "NVFP4") for _ in range(2))
    ones, others = (bounds(a, b, freedom=one) for one in (permuted(record), written_out))
    assert (ones.lo == others.lo).all()
    assert (ones.hi == others.hi).all()
    for row in range(6):
        pair = row_of(a, row), row_of(b, row)
        assert bound(*pair, None, permuted(record)) == bound(*pair, None, written_out)


@pytest.mark.parametrize("apart", [False, True])
def test_scales_of_runs_are_rounded_as_stated(apart: bool) -> None:
    """The scaled sum of one run is known, by NumPy's binary32 and, for the last product, its binary64."""
    rng = np.random.default_rng(16)
    freedom = permuted("cublas-fp8-blockwise-1x128" if apart else "cublas-fp8-blockwise")
    total = np.float32(1.125**2 + 1.375**2 + 1.625**2)
    for _ in range(40):
        bits = rng.integers(0x3F00_0000, 0x4080_0000, 2)
        one, two = (Operand([0x39, 0x3B, 0x3D] + [0] * 29, WIDE, [int(each)]) for each in bits)
        sa, sb = bits.astype(np.uint32).view(np.float32)
        first, second = (total * sa, sb) if apart else (total, sa * sb)
        added = Fraction(float(np.float32(float(first) * float(second))))
        found = bound(one, two, None, freedom)
        assert found.lo is not None
        assert found.hi is not None
        assert found.lo <= added <= found.hi
        assert found.hi - found.lo <= Fraction(float(np.spacing(np.float32(float(found.hi)))))


def test_ends_are_rounded_as_numbers_are() -> None:
    """NumPy's own products in binary32 are the other road."""
    rng = np.random.default_rng(17)
    for lo, hi, factor in rng.standard_normal((200, 3)).astype(np.float32):
        found = rounded_ends(
            *map(Fraction, map(float, sorted((lo, hi)))), Fraction(float(factor)), Round("binary32")
        )
        assert found == tuple(Fraction(float(end)) for end in sorted((lo * factor, hi * factor)))
    huge, one = Fraction(1 << 127), Round("binary32")
    assert rounded_ends(huge, huge, Fraction(2), one) is None
    assert (
        rounded(Fraction((1 << 128) - 1), Round("binary32", "toward-zero"))
        == BINARY32.max.fraction()
    )
    assert rounded(Fraction(1 << 128), Round("binary32", "toward-zero")) is None
    tiny = Fraction(1, 1 << 127)
    assert rounded_ends(tiny, tiny, Fraction(1), Round("binary32", flush=True)) == (0, tiny)


def test_what_has_no_bound_is_refused_with_the_reason() -> None:
    step = Fuse("binary32")
    scaled = Parts(0, Chain(step), Chain(step), scale="binary32")
    below = Accumulation("below", Late(scaled, step), scale_at="part")
    with pytest.raises(BadFormat, match="below scales sums below the root of its tree; no bound"):
        permuted(below)
    cut = Parts(0, Chain(step), Chain(Fuse("binary32", 24)), scale="binary32")
    with pytest.raises(BadFormat, match=r"cuts the scaled sums of runs.*no bound"):
        permuted(Accumulation("cut", cut, scale_at="part"))
    a = mxemu.quantize(np.ones((1, 32), np.float32), "MXFP8")
    with pytest.raises(BadFormat, match="expected one result at a time"):
        bounds(a, a, freedom=permuted("cublas-fp8-blockwise"))
    second = mxemu.quantize(np.ones((1, 32), np.float32), "NVFP4", tensor_scale=2.0)
    with pytest.raises(BadFormat, match="tensor scale"):
        bounds(second, second)


def test_the_hull_of_presets_is_exact() -> None:
    rng = np.random.default_rng(9)
    a, b = some_operand(rng, "MXFP8_E5M2", 4), some_operand(rng, "MXFP8_E5M2", 4)
    names = ["fp32-sequential", "pairwise", "bf16-accumulator"]
    found = hull(a, b, None, names)
    results = [decode(dot(a, b, None, name).bits, BINARY32).fraction() for name in names]
    assert (found.lo, found.hi) == (min(results), max(results))
    with pytest.raises(BadShape):
        hull(a, b, None, [])
