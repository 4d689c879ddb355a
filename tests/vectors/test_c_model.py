"""The C model against mxemu: compiled with every warning an error, called as a shared library."""

from __future__ import annotations

import ctypes
import subprocess
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from products import draw

import mxemu
from conformance.vectors.emit.model import c_model
from mxemu.accumulation import (
    Accumulation,
    Chain,
    Fuse,
    Late,
    Nested,
    OperandSubnormals,
    Parts,
    ProductExponent,
    ScaleAt,
    Sum,
    Tree,
)
from mxemu.accumulations import ACCUMULATIONS, kulisch
from mxemu.array.inputs import Array
from mxemu.block import dequantize_bits, encode_scaled, value_bits
from mxemu.errors import BadFormat
from mxemu.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    BINARY64,
    CONCRETE,
    E8M0,
    MXFP4_E2M1,
    MXFP8_E4M3,
    MXFP8_E5M2,
    MXINT8,
    NVFP4,
    BlockFormat,
    FloatFormat,
    IntFormat,
)
from mxemu.products import Operand
from mxemu.products import dot as core_dot
from mxemu.profile import OCP, PRESETS, Profile, Rounding
from mxemu.profile import profile as find_profile
from mxemu.runs import runs
from mxemu.scalar import carry_in, decode, encode_bits
from mxemu.scale import amax, scale_code

FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
FORMATS = (*CONCRETE, NVFP4)

# Loops over many inputs, so that ctypes is called once and not once an input.
MANY = """
#include "mx_model.h"
void many_codes(int format, int scale, const uint32_t *values, size_t n, uint8_t *codes)
{
    size_t i;
    for (i = 0; i < n; i++)
        codes[i] = (uint8_t)(scale < 0 ? mx_encode(format, values[i])
                                       : mx_encode_scaled(format, (uint32_t)scale, values[i]));
}
int many_blocks(int format, const uint32_t *values, size_t n, uint8_t *scales, uint8_t *codes, uint32_t *back)
{
    size_t i, k = (size_t)mx_k(format);
    int status = 0;
    for (i = 0; i < n; i++) {
        status |= mx_quantize(format, values + i * k, scales + i, codes + i * k);
        status |= mx_dequantize(format, scales[i], codes + i * k, back + i * k);
    }
    return status;
}
int many_dots(const int *formats, const uint8_t *sa, const uint8_t *a, size_t m, const uint8_t *sb,
    const uint8_t *b, size_t n, const uint32_t *c, size_t count, uint32_t *results)
{
    size_t i, j, k = (size_t)mx_k(formats[0]);
    int status = 0;
    for (i = 0; i < m; i++)
        for (j = 0; j < n; j++)
            status |= mx_dot(formats[0], sa + i * (count / k), a + i * count, formats[1], sb + j * (count / k),
                b + j * count, c[i * n + j], count, results + i * n + j);
    return status;
}
"""


class Model:
    """A compiled model and the formats that it was made for."""

    def __init__(self, library: ctypes.CDLL, formats: tuple[BlockFormat, ...]) -> None:
        self.library, self.formats = library, formats

    def number(self, fmt: BlockFormat) -> int:
        return self.formats.index(fmt)

    def codes(self, fmt: BlockFormat, values: Array, scale: int | None = None) -> Array:
        """Element codes of numbers, divided by a scale if one is given."""
        codes = np.empty(len(values), np.uint8)
        own = -1 if scale is None else scale
        bits = np.ascontiguousarray(values, np.uint32)
        size = ctypes.c_size_t(len(values))
        self.library.many_codes(self.number(fmt), own, _pointer(bits), size, _pointer(codes))
        return codes

    def blocks(self, fmt: BlockFormat, values: Array) -> tuple[Array, Array, Array]:
        """Scales, codes and the values again, of numbers of shape (n, k)."""
        n = len(values)
        scales, codes = np.empty(n, np.uint8), np.empty((n, fmt.k), np.uint8)
        back, bits = np.empty((n, fmt.k), np.uint32), np.ascontiguousarray(values, np.uint32)
        arrays = [_pointer(one) for one in (scales, codes, back)]
        assert not self.library.many_blocks(
            self.number(fmt), _pointer(bits), ctypes.c_size_t(n), *arrays
        )
        return scales, codes, back

    def dots(
        self, pair: tuple[BlockFormat, BlockFormat], left: Any, right: Any, c: Array
    ) -> tuple[int, Array]:
        """Status and results, shape (m, n), of all rows with all rows."""
        (sa, a), (sb, b) = left, right
        results = np.empty((len(a), len(b)), np.uint32)
        formats = (ctypes.c_int * 2)(*map(self.number, pair))
        sizes = [ctypes.c_size_t(one) for one in (len(a), len(b), a.shape[1])]
        status = self.library.many_dots(
            formats, _pointer(sa), _pointer(a), sizes[0], _pointer(sb), _pointer(b), sizes[1],
            _pointer(c), sizes[2], _pointer(results),
        )  # fmt: skip
        return status, results


def _pointer(array: Array) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


Build = Callable[..., Model]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A function that makes, compiles and loads a model; one for each set of arguments."""
    known: dict[Any, Model] = {}

    def made(
        formats: tuple[BlockFormat, ...] = FORMATS, *options: Any, flag: str = "-O1", **more: Any
    ) -> Model:
        key = (formats, options, flag, tuple(more.items()))
        if key not in known:
            folder = tmp_path_factory.mktemp("model")
            library = compiled(folder, c_model(formats, *options, **more), flag)
            known[key] = Model(library, formats)
        return known[key]

    return made


def compiled(folder: Path, files: dict[str, str], flag: str) -> ctypes.CDLL:
    """A shared library of a model and the loops above."""
    for name, text in (files | {"many.c": MANY}).items():
        (folder / name).write_text(text)
    command = ["gcc", *FLAGS, flag, "-shared", "-fPIC", "mx_model.c", "many.c", "-o", "model.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr[:2000]
    return ctypes.CDLL(str(folder / "model.so"))


def inputs(fmt: BlockFormat, carrier: FloatFormat, profile: Profile, scale: int | None) -> Array:
    """All inputs at which a code changes, the ones before and after them, and specials."""
    factor = None if scale is None else decode(scale, fmt.scale)
    firsts = np.array(runs(fmt.element, carrier, profile, factor).firsts, np.int64)
    near = (firsts[:, None] + np.arange(-1, 2)).ravel() & ((1 << carrier.width) - 1)
    return np.unique(near)


@pytest.mark.clause("MX-6.3-ELEM")
@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_every_step_of_an_encoder_and_random_inputs(build: Build, fmt: BlockFormat) -> None:
    model = build(FORMATS, flag="-O2")
    bits = inputs(fmt, BINARY32, OCP, None)
    assert np.array_equal(
        model.codes(fmt, bits),
        [encode_bits(int(one), BINARY32, fmt.element).code for one in bits],
    )
    draws = np.random.default_rng(7).integers(0, 1 << 32, 1 << 20, np.uint32)
    expected = mxemu.encode(draws.view(np.float32), fmt.element)
    assert np.array_equal(model.codes(fmt, draws), expected)


@pytest.mark.clause("MX-6.3-ELEM")
@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_encoders_under_a_scale(build: Build, fmt: BlockFormat) -> None:
    model = build(FORMATS, flag="-O2")
    rng = np.random.default_rng(11)
    scales = [0, 1, 3, 127, 250, 254] if fmt.scale is E8M0 else [1, 5, 8, 0x38, 0x3F, 0x7D, 0x7E]
    for scale in scales:
        steps = inputs(fmt, BINARY32, OCP, scale)
        table = runs(fmt.element, BINARY32, OCP, decode(scale, fmt.scale))
        draws = rng.integers(0, 1 << 32, 1 << 17, np.uint32)
        # Subnormal inputs are drawn apart: of all bits they are one in 128.
        tiny = draws[:1000] & 0x807FFFFF
        for bits in (steps, draws, tiny):
            places = np.searchsorted(np.array(table.firsts), bits, side="right") - 1
            expected = np.array(table.codes)[places]
            assert np.array_equal(model.codes(fmt, bits, scale), expected), scale
        for one in rng.choice(steps, 20):
            value = carry_in(int(one), BINARY32)
            assert (
                model.codes(fmt, np.array([one]), scale)[0] == encode_scaled(value, scale, fmt).code
            )


def test_nothing_is_encoded_under_a_scale_that_is_no_positive_number(build: Build) -> None:
    model = build(FORMATS, flag="-O2")
    ones = np.full(4, 0x3F800000)
    assert not model.codes(MXFP8_E4M3, ones, 0xFF).any()
    for scale in (0x00, 0x80, 0xB8, 0x7F):
        assert not model.codes(NVFP4, ones, scale).any()


@pytest.mark.clause("MX-5.3.1-ENC", "MX-5.3.2-ENC", "MX-5.3.3-ENC", "MX-5.3.4-ENC")
def test_every_code_decodes(build: Build) -> None:
    model = build(FORMATS, flag="-O2")
    decoding = model.library.mx_decode
    decoding.restype = ctypes.c_uint32
    for number, fmt in enumerate(FORMATS):
        for code in range(1 << fmt.element.width):
            assert decoding(number, code) == value_bits(decode(code, fmt.element)), (fmt, code)


@pytest.mark.clause("MX-5.1-VALUE", "MX-5.1-OVF32", "MX-5.1-NANSCALE")
def test_every_code_under_every_scale_dequantizes(build: Build) -> None:
    for profile in (OCP, OCP.replace(scale_nan="inf", out_of_binary32="largest")):
        model = build(FORMATS, profile)
        for fmt in (MXFP8_E5M2, MXINT8, NVFP4):
            values = (ctypes.c_uint32 * fmt.k)()
            codes = bytes(range(1 << fmt.element.width)) * (fmt.k // (1 << fmt.element.width) or 1)
            for scale in range(0, 256, 5):
                for first in range(0, len(codes), fmt.k):
                    part = codes[first : first + fmt.k]
                    model.library.mx_dequantize(model.number(fmt), scale, part, values)
                    expected = dequantize_bits(scale, part, fmt, profile)
                    assert tuple(values) == expected, (fmt, scale, first)


def blocks(fmt: BlockFormat, count: int, seed: int) -> Array:
    """Blocks of binary32 numbers: any bits, ordinary ones, and subnormal, huge and special ones among them."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 1 << 32, (count, fmt.k), np.uint32)
    ordinary = rng.standard_normal((count, fmt.k)).astype(np.float32).view(np.uint32)
    scaled = ordinary + (rng.integers(-120, 120, (count, 1)) << 23).astype(np.uint32)
    tiny = bits & 0x807FFFFF
    specials = np.array([0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F7FFFFF, 1], np.uint32)
    rare = np.where(
        rng.random((count, fmt.k)) < 0.03, rng.choice(specials, (count, fmt.k)), ordinary
    )
    return np.concatenate([bits, ordinary, scaled, tiny, rare, np.zeros((2, fmt.k), np.uint32)])


@pytest.mark.clause("MX-6.3-SCALE", "MX-6.3-MECH", "MX-5.1-BLOCK")
@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_blocks(build: Build, fmt: BlockFormat) -> None:
    profile = find_profile("ratio" if fmt is NVFP4 else "ocp")
    values = blocks(fmt, 1000, 3)
    expected = mxemu.quantize(values.view(np.float32), fmt, profile=profile)
    scales, codes, back = build(FORMATS, profile).blocks(fmt, values)
    assert np.array_equal(scales, expected.scales.ravel())
    assert np.array_equal(codes, expected.codes.reshape(codes.shape))
    again = mxemu.dequantize(expected).view(np.uint32)
    assert np.array_equal(back, again.reshape(back.shape))


OF_ELEMENTS = {"rounding", "overflow", "element_subnormals", "zero_sign", "int_minimum"}
PROFILES = [one for one in PRESETS.values() if one.rounding is not Rounding.STOCHASTIC]
PROFILES += [
    OCP.replace(name="flush", input_subnormals="flush", element_subnormals="flush"),
    OCP.replace(name="up", rounding="toward-positive", overflow="overflow", zero_sign="positive"),
    OCP.replace(
        name="odd", rounding="to-odd", nan_block="scale-largest", inf_block="scale-largest"
    ),
]


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_blocks_under_any_profile(build: Build, profile: Profile) -> None:
    formats = (NVFP4,) if profile.scale_rule.ratio else (MXFP4_E2M1,)
    # Tables of wide formats take longest: they are for profiles that choose something about elements.
    if OF_ELEMENTS & profile.changes().keys():
        formats += (MXINT8 if "int_minimum" in profile.changes() else MXFP8_E5M2,)
    model = build(formats, profile, flag="-O0")
    for fmt in formats:
        values = blocks(fmt, 100, 5)
        expected = mxemu.quantize(values.view(np.float32), fmt, profile=profile)
        scales, codes, back = model.blocks(fmt, values)
        assert np.array_equal(scales, expected.scales.ravel())
        assert np.array_equal(codes, expected.codes.reshape(codes.shape))
        again = mxemu.dequantize(expected).view(np.uint32)
        assert np.array_equal(back, again.reshape(back.shape))
        bits = inputs(fmt, BINARY32, profile, None)
        coded = [encode_bits(int(one), BINARY32, fmt.element, profile).code for one in bits]
        assert np.array_equal(model.codes(fmt, bits), coded)


@pytest.mark.parametrize("carrier", [BINARY16, BFLOAT16], ids=str)
def test_narrow_carriers(build: Build, carrier: FloatFormat) -> None:
    model = build((MXFP8_E4M3, MXFP4_E2M1), carrier=carrier, flag="-O0")
    everything = np.arange(1 << 16, dtype=np.uint32)
    for fmt in model.formats:
        for scale in (None, 3, 121):
            factor = None if scale is None else decode(scale, fmt.scale)
            table = runs(fmt.element, carrier, OCP, factor)
            places = np.searchsorted(np.array(table.firsts), everything, side="right") - 1
            expected = np.array(table.codes)[places]
            assert np.array_equal(model.codes(fmt, everything, scale), expected)
        for one in range(0, 1 << 16, 97):
            largest = amax([carry_in(one, carrier)])
            assert model.library.mx_scale(model.number(fmt), one) == scale_code(largest, fmt)


@cache
def operands(
    pair: tuple[BlockFormat, BlockFormat], theme: str, size: int, length: int, seed: int
) -> tuple[list[Any], list[mxemu.Blocks], Array]:
    """Rows of both operands, for C and for mxemu, and C for each pair of rows; drawn once for all who ask for them."""
    rng = Random(f"{theme} {size} {length} {seed}")
    drawn = [draw.vectors(theme, *pair, length, rng) for _ in range(size)]
    sides = (
        ([one.a_scales for one in drawn], [one.a for one in drawn]),
        ([one.b_scales for one in drawn], [one.b for one in drawn]),
    )
    arrays = [(np.array(scales, np.uint8), np.array(rows, np.uint8)) for scales, rows in sides]
    blocked = [
        mxemu.Blocks(rows.reshape(size, -1, form.k), scales, form)
        for (scales, rows), form in zip(arrays, pair, strict=True)
    ]
    values = [draw.carried(theme, BINARY32, rng) for _ in range(size * size)]
    c = [0 if one is None else value_bits(one) for one in values]
    return arrays, blocked, np.array(c, np.uint32).reshape(size, size)


def check_dots(model: Model, record: Accumulation, size: int, lengths: tuple[int, ...]) -> int:
    """Compare dots of every theme with the array engine, some with the exact core; their number."""
    seed = zlib.crc32(record.name.encode())
    rng, count = Random(seed), 0
    for place, theme in enumerate(draw.THEMES * 2):
        alike = rng.choice(model.formats)
        other = rng.choice([one for one in model.formats if one.k == alike.k])
        pair = (alike, other)
        arrays, blocked, c = operands(pair, theme, size, lengths[place % len(lengths)], seed % 3)
        expected = mxemu.matmul(*blocked, c=c, accumulation=record, bits=True)
        status, results = model.dots(pair, *arrays, c)
        assert status == 0
        wrong = np.argwhere(results != expected)
        assert not len(wrong), (record.name, str(alike), str(other), theme, wrong[0], len(wrong))
        (sa, a), (sb, b) = arrays
        left = Operand(a[0].tolist(), alike, sa[0].tolist())
        right = Operand(b[-1].tolist(), other, sb[-1].tolist())
        own = core_dot(left, right, decode(int(c[0, -1]), BINARY32), record)
        assert own.bits == results[0, -1]
        count += results.size
    return count


@pytest.mark.clause("MX-6.1-DOT", "MX-6.2-SUM", "MX-6.1-PREC")
@pytest.mark.parametrize("name", ["exact", "nv-blackwell-mxf8f6f4"])
def test_thousands_of_dots(build: Build, name: str) -> None:
    model = build(FORMATS, OCP, name, flag="-O2")
    assert check_dots(model, ACCUMULATIONS[name], 40, (32, 64, 160)) == 12 * 1600


@pytest.mark.clause("MX-6.1-PREC")
@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_every_accumulation(build: Build, name: str) -> None:
    record = ACCUMULATIONS[name]
    # Two formats keep the compilation short; those with blocks of 16 and other scales come with what is made for them.
    formats = (NVFP4, MXFP4_E2M1) if "f4" in name else (MXFP8_E5M2, MXFP8_E4M3)
    model = build(formats, OCP, name, flag="-O0")
    assert check_dots(model, record, 7, (32, 64, 288)) == 12 * 49


OWN = [
    Accumulation("exact-chain", Chain(Fuse(), length=3)),
    Accumulation("late", Late(Sum(Fuse("bfloat16 toward-positive")), Fuse("binary32 to-odd"))),
    Accumulation("exact-late", Late(Sum(), Fuse("binary16 toward-negative stop-at-max"))),
    Accumulation("leaves", Tree(Fuse("binary16 flush"), leaf=3, terms="E5M7 ties-to-away")),
    Accumulation(
        "nested", Nested(Fuse("binary32"), (((*range(16), -1), (16, 17)), tuple(range(18, 32))))
    ),
    Accumulation("nested-late", Nested(Fuse("binary16"), (tuple(range(8)), tuple(range(8, 32))))),
    kulisch(40, -20, saturate=True),
    kulisch(200, -100),
    Accumulation(
        "operands",
        Chain(Fuse("binary32", fraction_bits=20, align="to-odd", carried_bits=23), length=5),
        operand_format="E5M4",
        scale_at=ScaleAt.OPERAND,
        operand_subnormals=OperandSubnormals.FLUSH,
        rounding="toward-negative",
    ),
    Accumulation(
        "parts-of-exact",
        Parts(0, Sum(), Sum(Fuse("binary32 toward-negative")), scale=("binary16",)),
        scale_at=ScaleAt.PART,
    ),
    Accumulation(
        "normalised",
        Sum(Fuse(fraction_bits=9, align="ties-to-away", floor=-20, carried_reach=12)),
        product_exponent=ProductExponent.NORMALISED,
        rounding="toward-negative",
    ),
]


@pytest.mark.parametrize("record", OWN, ids=str)
def test_accumulations_of_ones_own(build: Build, record: Accumulation) -> None:
    model = build((MXFP8_E4M3, MXINT8), OCP, record, flag="-O0")
    lengths = (32,) if isinstance(record.node, Nested) else (32, 96)
    assert check_dots(model, record, 6, lengths) == 12 * 36


def test_what_an_accumulation_cannot_add_is_said(build: Build) -> None:
    nested = next(one for one in OWN if one.name == "nested")
    model = build((MXFP8_E4M3, MXINT8), OCP, nested, flag="-O0")
    ones = (np.full((1, 2), 127, np.uint8), np.full((1, 64), 0x38, np.uint8))
    pair = (MXFP8_E4M3, MXFP8_E4M3)
    assert model.dots(pair, ones, ones, np.zeros((1, 1), np.uint32))[0] == 2
    dot, word = model.library.mx_dot, ctypes.c_uint32()
    side = (bytes([127]), bytes([0x38]) * 32)
    size = ctypes.c_size_t
    assert dot(0, *side, 1, *side, 0, size(33), ctypes.byref(word)) == 2
    assert dot(0, *side, 1, *side, 0, size(0), ctypes.byref(word)) == 2
    assert dot(0, *side, 2, *side, 0, size(32), ctypes.byref(word)) == 1
    assert dot(-1, *side, 0, *side, 0, size(32), ctypes.byref(word)) == 1


def test_one_scale_for_a_run_of_two_blocks_is_refused(build: Build) -> None:
    node = Parts(64, Sum(Fuse("binary32")), Chain(Fuse("binary32")), scale=())
    record = Accumulation("two-blocks", node, scale_at=ScaleAt.PART)
    model = build((MXFP8_E4M3,), OCP, record, flag="-O0")
    codes = np.full((1, 64), 0x38, np.uint8)
    c, pair = np.zeros((1, 1), np.uint32), (MXFP8_E4M3, MXFP8_E4M3)
    for scales, status in (([127, 127], 0), ([127, 128], 2)):
        side = (np.array([scales], np.uint8), codes)
        assert model.dots(pair, side, side, c)[0] == status


def one_sum(model: Model, record: Accumulation, codes: list[int], c: int, scale: int = 127) -> int:
    """A dot of E5M2 codes with ones, by C and, the same, by the exact core."""
    scales, ones = [scale] * (len(codes) // 32), [0x3C] * len(codes)
    sides = [(np.array([scales], np.uint8), np.array([one], np.uint8)) for one in (codes, ones)]
    pair, carried = (MXFP8_E5M2, MXFP8_E5M2), np.full((1, 1), c, np.uint32)
    status, found = model.dots(pair, *sides, carried)
    left, right = (Operand(one, MXFP8_E5M2, scales) for one in (codes, ones))
    own = core_dot(left, right, decode(c, BINARY32), record).bits
    assert (status, found[0, 0]) == (0, own)
    return own


@pytest.mark.clause("MX-6.1-PREC")
def test_a_flushed_number_that_rounds_up_to_the_smallest_normal_one_stays(build: Build) -> None:
    """With more bits than a subnormal keeps, 2^-126 less a quarter of its last bit is 2^-126; less half of it is 0."""
    record = Accumulation("flushing", Chain(Fuse("binary32 flush")))
    model = build((MXFP8_E5M2,), OCP, record, flag="-O0")
    # 1.5, 1.25, 1 and -1, times 2^-150.
    firsts = (0x3E, 0x3D, 0x3C, 0xBC)
    found = [one_sum(model, record, [first] + [0] * 31, 0x007FFFFF, 127 - 75) for first in firsts]
    assert found == [0x00800000, 0, 0, 0]


@pytest.mark.clause("MX-6.2-SUM")
def test_a_long_sum_grows_into_another_word(build: Build) -> None:
    """128 ones and 2^-m, of 24 bits: for some m the terms fit 64 bits, or 128, and their sum does not."""
    model = build((MXFP8_E5M2,), OCP, "exact", flag="-O0")
    for low in (*range(28, 44), *range(92, 108)):
        assert one_sum(model, ACCUMULATIONS["exact"], [0x3C] * 128, (127 - low) << 23) == 0x43000000
        assert one_sum(model, ACCUMULATIONS["exact"], [0xBC] * 128, (127 - low) << 23) == 0xC3000000


def test_what_is_carried_in_counts_as_far_as_it_reaches(build: Build) -> None:
    record = Accumulation("reaching", Sum(Fuse("binary32", fraction_bits=20, carried_reach=12)))
    model = build((MXFP8_E5M2,), OCP, record, flag="-O0")
    one = [0x3C] + [0] * 31
    found = [one_sum(model, record, one, (127 - low) << 23) for low in (11, 12, 13)]
    assert found == [0x3F801000, 0x3F800800, 0x3F800000]


def test_undefined_behaviour_is_looked_for(tmp_path: Path) -> None:
    """The same checks in a process of its own, with the sanitizer's first complaint fatal."""
    files = c_model(FORMATS, OCP, "amd-cdna3", name="mx_model")
    for name, text in (files | {"many.c": MANY, "main.c": SANITIZED}).items():
        (tmp_path / name).write_text(text)
    sanitize = ["-fsanitize=undefined,address", "-fno-sanitize-recover=all", "-O1"]
    command = ["gcc", *FLAGS, *sanitize, "mx_model.c", "main.c", "-o", "checked"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(
        [tmp_path / "checked"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[:2000]


SANITIZED = """
#include "mx_model.h"
#include <stdlib.h>
static uint32_t seed = 1;
static uint32_t word(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}
int main(void)
{
    int format, i, j;
    for (format = 0; format < MX_FORMATS; format++)
        for (i = 0; i < 300; i++) {
            size_t k = (size_t)mx_k(format), count = k * (1 + (size_t)i % 4), n;
            uint8_t *sa = (uint8_t *)malloc(count / k), *a = (uint8_t *)malloc(count);
            uint8_t *sb = (uint8_t *)malloc(count / k), *b = (uint8_t *)malloc(count);
            uint32_t *values = (uint32_t *)malloc(k * sizeof *values), result;
            for (n = 0; n < count; n++) {
                a[n] = (uint8_t)word();
                b[n] = (uint8_t)word();
            }
            for (n = 0; n < count / k; n++) {
                sa[n] = (uint8_t)(i % 3 ? word() : 100 + word() % 50);
                sb[n] = (uint8_t)(i % 3 ? word() : 100 + word() % 50);
            }
            for (j = 0; j < (int)k; j++)
                values[j] = i % 2 ? word() : word() & 0x807fffffu;
            if (mx_dot(format, sa, a, format, sb, b, word(), count, &result))
                return 1;
            if (mx_quantize(format, values, sa, a) || mx_dequantize(format, sb[0], b, values))
                return 1;
            (void)mx_encode_scaled(format, word() & 255u, word());
            (void)mx_decode(format, word());
            (void)mx_scale(format, word());
            free(sa);
            free(a);
            free(sb);
            free(b);
            free(values);
        }
    return 0;
}
"""


def test_the_model_is_c_plus_plus_too(tmp_path: Path) -> None:
    for name, text in c_model("MXFP4", accumulation="pairwise").items():
        (tmp_path / name).write_text(text)
    flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
    subprocess.run(
        ["g++", "-std=c++11", *flags, "-x", "c++", "mx_model.c"], cwd=tmp_path, check=True
    )


@pytest.mark.parametrize("flag", ["-O1", "-O2", "-O3"])
def test_no_warnings_at_any_level_of_optimisation(tmp_path: Path, flag: str) -> None:
    for name, text in c_model("MXFP4", accumulation="cublas-fp8-blockwise").items():
        (tmp_path / name).write_text(text)
    subprocess.run(["gcc", *FLAGS, flag, "-c", "mx_model.c"], cwd=tmp_path, check=True)


def test_files_are_the_same_every_time_and_named_as_asked() -> None:
    first = c_model(["MXFP4", "MXINT8"], "rceil", "fp32-fma", name="unit", prefix="npu")
    assert first == c_model(["MXFP4", "MXINT8"], "rceil", "fp32-fma", name="unit", prefix="npu")
    assert sorted(first) == ["unit.c", "unit.h", "unit_dpi.sv"]
    assert "npu_dot(" in first["unit.h"]
    assert not any("mx_" in text.replace("mx_model", "") for text in first.values())
    assert '"scale_rule": "RCEIL"' in first["unit.h"]
    assert all(line.isascii() and line == line.rstrip() for line in first["unit.c"].splitlines())


WIDE = BlockFormat("wide", IntFormat("INT12", 12), E8M0, 32)
REFUSED = [
    ((MXFP8_E4M3, "stochastic"), {}, "STOCHASTIC"),
    (("MXFP4",), {"carrier": BINARY64}, "carrier binary64"),
    ((WIDE,), {}, "at most 8 bits"),
    (([],), {}, "no format"),
    (("MXFP4",), {"prefix": "2x"}, "no identifier"),
    (("MXFP4",), {"blocks": 0}, "blocks = 0"),
]


@pytest.mark.parametrize(("given", "more", "words"), REFUSED)
def test_what_a_model_has_no_room_for_is_refused(given: Any, more: Any, words: str) -> None:
    with pytest.raises(BadFormat, match=words):
        c_model(*given, **more)
