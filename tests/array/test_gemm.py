"""Fast matrix products equal the exact core bit for bit, and are taken wherever they should be."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import gemm_cases
import numpy as np
import pytest
from gemm_cases import KINDS, Product, carried, operand

import mxemu
from mxemu.accumulation import EXACT, Accumulation, Chain, Fuse, Parts, Sum
from mxemu.accumulations import ACCUMULATIONS, find
from mxemu.array.gemm import cascade, choose, digits, drive, fused, packs, sides, tiles, words
from mxemu.errors import BadCode
from mxemu.formats import CONCRETE
from mxemu.products import dot

HERE = Path(__file__).resolve().parent
BLOCKS = find("block-fp32")
PAIRS = [(a.name, b.name) for a in CONCRETE for b in CONCRETE]
FUSED = [
    name
    for name, record in ACCUMULATIONS.items()
    if fused.schedule(record, 64, 32) is not None
    and record.scale_at.value == "product"
    and name != "nv-blackwell-nvf4"
]
ROWS, SINGLE, DOUBLE = tiles.ROWS, tiles.columns(np.float32), tiles.columns(np.float64)


def same(found: Product, count: int = 12) -> None:
    """A fast way was taken, and some of its results are right."""
    assert found.done
    assert found.wrong(count) == []


@pytest.mark.clause("MX-6.1-DOT", "MX-6.1-MIXED", "MX-6.2-SUM")
@pytest.mark.parametrize("record", [BLOCKS, EXACT], ids=str)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_every_pair_of_formats(pair: tuple[str, str], record: Accumulation) -> None:
    for seed, kind in enumerate(KINDS):
        length = (32, 96, 160)[seed % 3]
        a = operand(pair[0], 5, length, kind, seed)
        b = operand(pair[1], 7, length, kind, seed + 1)
        special = kind in ("special", "nan")
        c = carried((5, 7), seed, special) if seed % 2 or special else None
        same(Product(a, b, record, c))


@pytest.mark.parametrize("record", [BLOCKS, EXACT], ids=str)
@pytest.mark.parametrize("form", ["NVFP4", "MXINT4", "E4M3FNUZ/E8M0/32", "E3M4/E8M0/8"])
def test_other_formats(form: str, record: Accumulation) -> None:
    """Scales with a significand, -0 as NaN, other block sizes."""
    for seed, kind in enumerate(KINDS):
        a, b = operand(form, 4, 96, kind, seed), operand(form, 6, 96, kind, seed + 9)
        same(Product(a, b, record, carried((4, 6), seed, True) if seed % 2 else None))


@pytest.mark.parametrize("name", FUSED)
def test_fused_groups(name: str) -> None:
    record = ACCUMULATIONS[name]
    forms = ["MXFP8_E4M3", "MXFP8_E5M2", "MXFP4_E2M1", "MXINT8"]
    if record.product_exponent.value == "scale":
        forms = ["MXFP4_E2M1"]
    for seed, kind in enumerate(KINDS):
        one, other = forms[seed % len(forms)], forms[(seed // 2) % len(forms)]
        a, b = operand(one, 5, 160, kind, seed), operand(other, 7, 160, kind, seed + 1)
        same(Product(a, b, record, carried((5, 7), seed, seed % 4 == 1) if seed % 2 else None), 8)


def test_fused_groups_of_scales_with_a_significand() -> None:
    record = ACCUMULATIONS["nv-blackwell-nvf4"]
    for seed, kind in enumerate(KINDS):
        a, b = operand("NVFP4", 5, 192, kind, seed), operand("NVFP4", 7, 192, kind, seed + 1)
        same(Product(a, b, record))


def test_the_presets_that_are_fused() -> None:
    """Those of matrix units that align: if one is not among them, it has become slow."""
    assert {"nv-hopper-fp8-wgmma", "nv-blackwell-mxf8f6f4", "nv-blackwell-mxf4"} < set(FUSED)
    assert {"cublas-fp8-promoted", "nv-fp8-mma-emulated", "nv-fp8-mma-emulated-fp16"} < set(FUSED)
    assert not {"amd-cdna3", "fp32-fma", "pairwise", "block-fp32", "exact"} & set(FUSED)


CUSTOM = (
    Accumulation(node=Chain(Fuse("binary32", fraction_bits=7), 5)),
    Accumulation(node=Chain(Fuse("binary16 toward-zero", fraction_bits=35, floor=-9), 3)),
    Accumulation(node=Chain(Fuse("E4M6", fraction_bits=0), 16), product_exponent="normalised"),
    Accumulation(
        node=Chain(Fuse("E8M13", fraction_bits=20), 2, order=(3, 0, 2, 1)), zero_sign="positive"
    ),
    Accumulation(
        node=Parts(0, Chain(Fuse("bfloat16", fraction_bits=12), 8), Chain(Fuse("binary16"))),
        nan_word="negative-quiet",
    ),
    Accumulation(
        node=Parts(48, Chain(Fuse("binary32", fraction_bits=30), 12), Chain(Fuse("binary32")))
    ),
    Accumulation(
        node=Parts(8, Sum(), Chain(Fuse("binary32 toward-zero", fraction_bits=30), 3)),
        product_exponent="scale",
    ),
)


@pytest.mark.parametrize("record", CUSTOM, ids=lambda record: repr(record.node)[:50])
def test_custom_fused_groups(record: Accumulation) -> None:
    """Formats, orders, floors and lengths that no preset has; runs that end within K."""
    for seed, kind in enumerate(KINDS):
        a, b = operand("MXFP4", 5, 160, kind, seed), operand("MXFP4", 7, 160, kind, seed + 1)
        c = carried((5, 7), seed, seed % 4 == 1) if seed % 2 else None
        same(Product(a, b, record, c), 10)


@pytest.mark.parametrize(
    "record",
    [
        Accumulation(node=Chain(Fuse("binary32", fraction_bits=48), 16)),
        Accumulation(node=Chain(Fuse("binary32", fraction_bits=13, align="toward-negative"), 4)),
        Accumulation(node=Chain(Fuse("binary32 flush", fraction_bits=13), 4)),
        Accumulation(node=Chain(Fuse("binary32", fraction_bits=13, carried_bits=12), 4)),
        Accumulation(node=Chain(Fuse("E11M20", fraction_bits=13), 4)),
        Accumulation(node=Sum(), products="binary32"),
        Accumulation(node=Sum(), rounding="toward-zero"),
        Accumulation(node=Sum(Fuse("binary16"))),
        Accumulation(node=Sum(), operand_subnormals="flush"),
        Accumulation(node=Sum(), operand_format="E2M1"),
    ],
    ids=lambda record: repr(record.node)[:50],
)
def test_what_has_no_fast_way(record: Accumulation) -> None:
    a = operand("MXFP8", 3, 64, "near", 0)
    assert not Product(a, a, record).done
    got = mxemu.matmul(a, a, accumulation=record, bits=True)
    own = gemm_cases.vectors(a)
    assert int(got[1, 2]) == gemm_cases.expected(own, own, 1, 2, None, record)


SIZES = (1, ROWS - 1, ROWS, ROWS + 1, DOUBLE + 1, SINGLE, SINGLE + 1)


@pytest.mark.parametrize(("m", "n"), list(product(SIZES, SIZES)))
def test_shapes_that_are_no_multiple_of_a_tile(m: int, n: int) -> None:
    for form, record in (("MXFP4", BLOCKS), ("MXFP8", EXACT), ("MXFP8", find("nv-hopper"))):
        a, b = operand(form, m, 64, "near", 0), operand(form, n, 64, "near", 1)
        found = Product(a, b, record)
        same(found, 3)
        assert found.expected(m - 1, n - 1) == int(found.bits[-1, -1])


@pytest.mark.parametrize("record", [BLOCKS, EXACT, find("cublas-fp8-promoted")], ids=str)
@pytest.mark.parametrize("form", ["MXFP4", "MXFP8", "MXFP8_E5M2"])
def test_long_and_large(form: str, record: Accumulation) -> None:
    """More positions than a slab, more columns and rows than are handled together, in several threads."""
    for m, n, length, kind in ((3, 5, 2272, "wide"), (150, 1100, 96, "near"), (9, 40, 1056, "low")):
        a, b = operand(form, m, length, kind, 2), operand(form, n, length, kind, 3)
        c = carried((m, n), 4, True)
        same(Product(a, b, record, c), 6)


@pytest.mark.parametrize("record", [BLOCKS, EXACT, find("nv-hopper")], ids=str)
def test_numbers_without_scales(record: Accumulation) -> None:
    """K of no particular length; with blocks on the other side, and without."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 16, (9, 64), np.uint8)
    a, b = (codes, "E2M1"), operand("MXFP4", 5, 64, "near", 0)
    for pair in ((a, b), (b, a), (a, a), ((codes[:, :37], "E2M1"),) * 2):
        same(Product(*pair, record))


def test_a_few_wild_rows_do_not_spoil_the_rest() -> None:
    """Rows whose scales are far apart need two numbers; all others one float64 product."""
    a, b = operand("MXFP8", 40, 64, "gaussian", 0), operand("MXFP8", 30, 64, "gaussian", 1)
    a.scales[5, 0], b.scales[7, 1] = 250, 3
    left, right = (choose_side(one) for one in (a, b))
    regions = choose.whole(left, right, 32, scaled=False)
    assert regions is not None
    slow = sum(
        len(one.rows)
        if isinstance(one.product, cascade.Pairs)
        else len(one.rows) * len(one.columns)
        for one in regions
        if not isinstance(one.product, words.Words)
    )
    assert 0 < slow <= 70
    same(Product(a, b, EXACT), 100)


def test_a_few_wild_pairs_are_computed_on_their_own() -> None:
    """Two rows with one tiny number each: only their product is too long for float64."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((64, 64), dtype=np.float32) for _ in range(2))
    x[9, 5] = y[20, 40] = np.float32(2.0**-27)
    x[9, 40] = y[20, 5] = np.float32(2.0**-28)
    a, b = mxemu.quantize(x, "MXFP8_E5M2"), mxemu.quantize(y, "MXFP8_E5M2")
    left, right = (choose_side(one) for one in (a, b))
    regions = choose.whole(left, right, 32, scaled=False)
    assert regions is not None
    assert [type(one.product).__name__ for one in regions] == ["Words", "Pairs"]
    assert (regions[1].rows.tolist(), regions[1].columns.tolist()) == ([9], [20])
    found = Product(a, b, EXACT, carried((64, 64), 0, False))
    same(found, 30)
    assert int(found.bits[9, 20]) == found.expected(9, 20)


def choose_side(blocks: mxemu.Blocks) -> Any:
    """An operand as the chooser sees it."""
    found = sides.side(gemm_cases.vectors(blocks), EXACT)
    assert found is not None
    return found


# How far apart the numbers of a row are: not at all, somewhat, or in a few places only.
SHAPES: dict[str, Any] = {
    "gaussian": lambda rng, shape: rng.standard_normal(shape),
    "heavy tails": lambda rng, shape: rng.standard_t(2, size=shape),
    "one outlier": lambda rng, shape: (
        rng.standard_normal(shape) * np.where(np.arange(shape[1]) == 5, 3e4, 1)
    ),
    "columns apart": lambda rng, shape: (
        rng.standard_normal(shape) * 2.0 ** rng.integers(-4, 5, shape[1])
    ),
    "wild after a while": lambda rng, shape: np.where(
        np.arange(shape[1]) < 256, rng.standard_normal(shape), 2.0 ** rng.uniform(-16, 4, shape)
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "pair",
    [
        ("MXFP8_E4M3", "MXFP8_E4M3"),
        ("MXFP8_E5M2", "MXFP8_E4M3"),
        ("MXINT8", "MXFP8_E5M2"),
        ("E4M3/E4M3/16", "NVFP4"),
        ("E4M3/E8M0/15", "E5M2/E8M0/15"),
        ("E5M2/E8M0/64", "E5M2/E8M0/64"),
    ],
    ids="-".join,
)
def test_integers_of_sixteen_bits_and_what_is_none(pair: tuple[str, str], shape: str) -> None:
    """Ordinary numbers are whole numbers of a unit for each row but for some, in whatever way those lie."""
    rng = np.random.default_rng(1)
    for rows, columns, blocks in ((17, 35, 3), (30, 70, 40)):
        length = blocks * mxemu.formats.block_format(pair[0]).k
        x, y = (SHAPES[shape](rng, (count, length)) for count in (rows, columns))
        a, b = (
            mxemu.quantize(z.astype(np.float32), form) for z, form in zip((x, y), pair, strict=True)
        )
        same(Product(a, b, EXACT, carried((rows, columns), 3, True)), 15)
        same(Product(a, b, EXACT), 15)


def test_which_way_exact_products_take() -> None:
    """Ordinary numbers go to integers, too many that are none to float64, and those far apart to a cascade."""
    taken = []
    for kind, scale in (("gaussian", None), ("near", 127), ("wide", None)):
        both = [operand("MXFP8_E4M3", 20, 1024, kind, seed) for seed in (0, 1)]
        for one in both:
            one.scales[:] = one.scales if scale is None else scale
        left, right = (choose_side(one) for one in both)
        (region,) = choose.whole(left, right, 32, scaled=False) or ()
        found = np.zeros((20, 20), np.uint32)
        form = np.array([0x7FC00000, 0])
        region.product.run(region.rows, region.columns, drive.Result(found, None, 0.0, form))
        full = isinstance(region.product, words.Words) and region.product.full
        taken.append((type(region.product).__name__, full))
    assert taken == [("Words", False), ("Words", True), ("Cascade", False)]


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("node", [BLOCKS.node, Sum(), Sum(Fuse("binary32")), CUSTOM[0].node])
def test_signs_of_zero_and_words_of_nan(node: Any, positive: bool) -> None:
    codes = np.array([[0x80] * 32, [0x00] * 32, [0x7F] * 32, [0x01] * 32, [0x81] * 32], np.uint8)
    scales = np.full((5, 1), 10, np.uint8)
    blocks = mxemu.Blocks(codes.reshape(5, 1, 32), scales, "MXFP8")
    record = Accumulation(
        node=node, zero_sign="positive" if positive else "ieee", nan_word="negative-quiet"
    )
    for c in (None, np.full((5, 5), -0.0, np.float32), np.zeros((5, 5), np.float32)):
        same(Product(blocks, blocks, record, c), 25)


@pytest.mark.parametrize("name", ["exact", "block-fp32", "cublas-fp8-fast", "nv-blackwell-nvf4"])
def test_scales_of_whole_tensors(name: str) -> None:
    """One factor after everything else, exact or rounded as the accumulation says."""
    numbers = np.random.default_rng(0).standard_normal((6, 64), dtype=np.float32)
    form = "NVFP4" if name.endswith("nvf4") else "E2M1/E4M3/32"
    for scales in ((1 / 3, None), (2.5e-30, 7e-14), (3e20, 1.1e17), (3e-38, 2e-7)):
        a, b = (
            mxemu.Blocks(
                one.codes,
                one.scales,
                form,
                tensor_scale=None if scale is None else np.float32(scale),
            )
            for one, scale in zip(
                (mxemu.quantize(numbers, form), mxemu.quantize(numbers[::-1], form)),
                scales,
                strict=True,
            )
        )
        found = Product(a, b, find(name))
        assert found.wrong(36) == []
        assert found.done


def test_wide_results_that_still_have_to_be_scaled_are_left_to_the_general_way() -> None:
    a = operand("E4M3/E5M2/32", 3, 96, "wide", 0)
    wide = mxemu.Blocks(a.codes, a.scales, a.block_format, tensor_scale=np.float32(0.3))
    assert not Product(wide, wide, EXACT).done
    assert Product(a, a, EXACT).done


def test_an_inf_beside_an_overflow_is_asked_for() -> None:
    """Whether a finite sum overflows before the Inf comes or after it decides between Inf and NaN."""
    codes = np.zeros((2, 2, 32), np.uint8)
    codes[0, 0], codes[0, 1, 0], codes[1] = 0xFB, 0x7C, 0x7B
    scales = np.full((2, 2), 254, np.uint8)
    blocks = mxemu.Blocks(codes, scales, "MXFP8_E5M2")
    found = Product(blocks, blocks, BLOCKS)
    same(found, 4)
    assert found.asked > 0


@pytest.mark.parametrize("record", [BLOCKS, EXACT, find("nv-blackwell-mxf8f6f4")], ids=str)
def test_what_is_no_code_is_left_to_the_general_way(record: Accumulation) -> None:
    a = operand("MXFP4", 3, 64, "near", 0)
    a.codes[1, 1, 5] = 0x10
    assert not Product(a, a, record).done
    with pytest.raises(BadCode, match="code 0x10"):
        mxemu.matmul(a, a, accumulation=record)


@pytest.mark.parametrize("shape", [(0, 3, 64), (3, 0, 64), (2, 2, 0)])
def test_empty_shapes(shape: tuple[int, int, int]) -> None:
    m, n, length = shape
    a = np.zeros((m, length), np.uint8), "E4M3"
    b = np.zeros((n, length), np.uint8), "E4M3"
    c = np.full((m, n), -0.0, np.float32)
    for record in (EXACT, BLOCKS, find("nv-hopper")):
        got = mxemu.matmul(a, b, c=c, accumulation=record, bits=True)
        assert got.shape == (m, n)
        if got.size:
            own, other = gemm_cases.vectors(a), gemm_cases.vectors(b)
            assert int(got[0, 0]) == gemm_cases.expected(own, other, 0, 0, c, record)


def test_one_thread_gives_the_same_bits() -> None:
    a, b = operand("MXFP8", 300, 96, "wide", 0), operand("MXFP8", 260, 96, "wide", 1)
    for record in (EXACT, BLOCKS, find("nv-hopper")):
        several = Product(a, b, record).bits
        mxemu.set_threads(1)
        try:
            assert np.array_equal(Product(a, b, record).bits, several)
        finally:
            mxemu.set_threads(None)


@pytest.mark.slow
@pytest.mark.parametrize("record", [EXACT, BLOCKS, find("nv-fp8-mma-emulated")], ids=str)
def test_memory_does_not_grow_with_the_length(record: Accumulation) -> None:
    peaks = []
    for length in (1 << 14, 1 << 18):
        a = operand("MXFP8_E5M2", 4, length, "near", 0)
        Product(a, a, record)
        tracemalloc.start()
        try:
            assert Product(a, a, record).done
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + (1 << 17)


_ELSEWHERE = """
import sys
import gemm_cases, numpy as np
from mxemu.accumulations import find
for name in ("exact", "block-fp32", "nv-hopper-fp8-wgmma"):
    a, b = (gemm_cases.operand("MXFP8_E4M3", 40, 160, kind, 3) for kind in ("gaussian", "near"))
    for pair in ((a, a), (a, b)):
        found = gemm_cases.Product(*pair, find(name))
        assert found.done
        sys.stdout.write(found.bits.tobytes().hex() + "\\n")
"""


@pytest.mark.slow
def test_tiles_of_another_machine_give_the_same_bits() -> None:
    """Other registers, other shapes of tiles, and no operation on pairs of integers."""

    def output(**more: str) -> str:
        folders = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent), str(HERE)])
        ended = subprocess.run(
            [sys.executable, "-c", _ELSEWHERE],
            check=True,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": folders, **more},
        )
        return ended.stdout

    assert output(NUMBA_CPU_NAME="generic") == output()


def exact(high: float, low: float) -> Fraction:
    return Fraction(high) + Fraction(low)


def test_sums_and_products_lose_nothing() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(500) * 2.0 ** rng.integers(-200, 200, 500) for _ in range(2))
    for one, other in zip(x.tolist(), y.tolist(), strict=True):
        assert exact(*packs.two_sum(one, other)) == Fraction(one) + Fraction(other)
        assert exact(*packs.two_product(one, other)) == Fraction(one) * Fraction(other)


@pytest.mark.parametrize("low", [-1e-30, 0.0, 1e-30])
@pytest.mark.parametrize("high", [1.0, -1.0, 1.0 + 2.0**-52, -1.0 - 2.0**-52, 1.5])
def test_rounding_to_odd(high: float, low: float) -> None:
    got, word = packs.odd(high, low), word_of_python(packs.odd(high, low))
    if low == 0.0:
        assert got == high
    else:
        assert word & 1 == 1
        assert abs(Fraction(got) - exact(high, low)) < Fraction(1, 1 << 52)


def word_of_python(number: float) -> int:
    return int(np.float64(number).view(np.uint64))


def test_digits_hold_any_sum() -> None:
    """Numbers far apart, of both signs, and what is left when they cancel."""
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 40):
        for _ in range(50):
            numbers = rng.standard_normal(count) * 2.0 ** rng.integers(-250, 250, count)
            numbers = np.concatenate([numbers, -numbers[::2]])
            own = np.zeros(22, np.int64)
            for number in numbers.tolist():
                digits.add_number(own, number, -320)
            found = digits.rounded_digits(own, -320)
            total = sum(map(Fraction, numbers.tolist()))
            with np.errstate(over="ignore"):
                assert np.float32(found) == in_binary32(total)


def in_binary32(number: Fraction) -> np.float32:
    """A Fraction in binary32, ties to even, by the core."""
    value = mxemu.value.from_fraction(number)
    code = mxemu.scalar.encode(value, "binary32", mxemu.profile.OCP.replace(overflow="overflow"))
    return np.uint32(code.code).view(np.float32)


@pytest.mark.parametrize("name", ["binary32", "binary16", "bfloat16", "E8M13", "E4M6"])
@pytest.mark.parametrize("rounding", ["ties-to-even", "toward-zero"])
def test_rounding_of_float64_equals_that_of_the_core(name: str, rounding: str) -> None:
    record = Accumulation(node=Chain(Fuse(f"{name} {rounding}", fraction_bits=30), 2))
    plan = fused.schedule(record, 2, 2)
    assert plan is not None
    form = np.array(fused.form_of(plan.step.out[0]))
    fmt, rng = plan.step.out[0].format, np.random.default_rng(0)
    low, high = fmt.emin - fmt.mantissa_bits - 3, fmt.emax + 2
    numbers = rng.integers(1, 1 << 26, 2000) * 2.0 ** (rng.integers(low, high, 2000) - 25)
    edges = [2.0**power * part for power in (low, low + 1, low + 2, low + 3, high - 1)
             for part in (1.0, 1.5, 1.25, 2 - 2.0**-24)]  # fmt: skip
    unit = mxemu.products.Operand
    for number in [*numbers.tolist(), *edges, 0.0]:
        for signed in (number, -number):
            value = mxemu.value.from_fraction(Fraction(signed))
            core = dot(unit([], "E4M3"), unit([], "E4M3"), value, rounding_of(record), "binary64")
            got = word_of_python(fused.rounded(signed, form))
            assert got == (0 if core.value.is_zero else core.bits)


def rounding_of(record: Accumulation) -> Accumulation:
    """The same rounding of C alone."""
    assert isinstance(record.node, Chain)
    return record.replace(node=Sum(Fuse(record.node.step.out)))
