"""Layouts as array code: equal to the core's maps for every index, fast loops and tables alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mxemu import layout as core
from mxemu.array import packing, threads
from mxemu.errors import BadCode, BadFormat, BadShape, BadType, UnknownName
from mxemu.formats import BlockFormat, IntFormat, block_format, element
from mxemu.layout import ARRANGEMENTS, LAYOUTS, PACKINGS, Arrangement, Layout, Packing

# Lengths around the ends of groups and periods: whole, incomplete, one code, none.
LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 96, 100]
WIDTHS = [2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 32, 33, 63, 64]


def fmt_of(width: int) -> IntFormat:
    """A format with codes of a width."""
    return IntFormat(f"INT{width}", width)


def some_codes(shape: tuple[int, ...], width: int) -> np.ndarray[Any, Any]:
    """Codes in which all bits vary, 0 and the top code included."""
    count = prod(shape)
    numbers = (np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(
        64 - width
    )
    numbers[::7] = (1 << width) - 1
    numbers[1::11] = 0
    size = next(size for size in (8, 16, 32, 64) if width <= size)
    return numbers.astype(f"uint{size}").reshape(shape)


CASES = [
    (record, width)
    for record, width in product(PACKINGS.values(), WIDTHS)
    if width in record.widths
]


@pytest.mark.parametrize(("record", "width"), CASES, ids=str)
def test_rows_of_every_length_are_those_of_the_core(record: Packing, width: int) -> None:
    step = record.group if record.whole else 1
    for n in (n for n in LENGTHS if n % step == 0):
        codes = some_codes((3, n), width)
        packed = packing.pack(codes, fmt_of(width), record)
        assert packed.dtype == np.uint8
        assert [bytes(row) for row in packed] == [
            core.pack(row.tolist(), width, record) for row in codes
        ]
        back = packing.unpack(packed, fmt_of(width), n, record)
        assert back.dtype == codes.dtype
        assert np.array_equal(back, codes)


@pytest.mark.parametrize(("record", "width"), CASES, ids=str)
def test_every_bit_has_the_place_that_the_core_gives_it(record: Packing, width: int) -> None:
    n = 2 * record.group if record.whole else 2 * record.group + 3
    single = np.zeros((n * width, n), some_codes((1,), width).dtype)
    bits = list(product(range(n), range(width)))
    for row, (i, bit) in enumerate(bits):
        single[row, i] = 1 << bit
    packed = packing.pack(single, fmt_of(width), record)
    rows, bytes_ = np.nonzero(packed)
    assert rows.tolist() == list(range(len(bits)))
    found = [
        (byte, packed[row, byte].item()) for row, byte in zip(rows, bytes_.tolist(), strict=True)
    ]
    places = [record.position(i, bit, n, width) for i, bit in bits]
    assert found == [(byte, 1 << place) for byte, place in places]
    assert np.array_equal(packing.unpack(packed, fmt_of(width), n, record), single)


@pytest.mark.parametrize(("record", "width"), CASES, ids=str)
def test_bits_of_no_code_are_not_looked_at(record: Packing, width: int) -> None:
    n = record.group if record.whole else record.group + 3
    codes = some_codes((n,), width)
    packed = packing.pack(codes, fmt_of(width), record)
    ones = packing.pack(np.full(n, (1 << width) - 1, codes.dtype), fmt_of(width), record)
    assert not (packed & ~ones).any()
    assert np.array_equal(packing.unpack(packed | ~ones, fmt_of(width), n, record), codes)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[Packing, int, np.ndarray[Any, Any]]:
    record, width = draw(st.sampled_from(CASES))
    groups = draw(st.integers(0, 4))
    extra = 0 if record.whole else draw(st.integers(0, 9))
    leading = draw(st.lists(st.integers(0, 3), max_size=2))
    codes = some_codes((*leading, groups * record.group + extra), width)
    return record, width, np.roll(codes, draw(st.integers(0, 50)))


@given(arrays())
def test_what_is_packed_comes_back(case: tuple[Packing, int, np.ndarray[Any, Any]]) -> None:
    record, width, codes = case
    n = codes.shape[-1]
    packed = packing.pack(codes, fmt_of(width), record)
    assert packed.shape == (*codes.shape[:-1], record.size(n, width))
    back = packing.unpack(packed, fmt_of(width), n, record)
    assert (back.shape, back.dtype) == (codes.shape, codes.dtype)
    assert np.array_equal(back, codes)


def test_facts() -> None:
    # The values 1 and 6; CUDA's fp4x2 is 0x72.
    assert packing.pack([2, 7], "E2M1").tolist() == [0x72]
    assert packing.pack([2, 7], "E2M1", "high-nibble-first").tolist() == [0x27]
    e0, e1, e2, e3 = 0x31, 0x2E, 0x1B, 0x07
    dense = [e0 | (e1 & 3) << 6, (e1 >> 2) | (e2 & 15) << 4, (e2 >> 4) | e3 << 2]
    assert packing.pack([e0, e1, e2, e3], "E2M3").tolist() == dense
    word = packing.pack([1, 2, 3, 4, 5, 6, 7, 15], "E2M1").view("<u4")
    assert word.tolist() == [0xF7654321]


# Large enough for several pieces and threads; rows end within a byte and within a group.
LARGE = [((1 << 20) + 5,), (5, 300_001), (70_001, 9), (3, 2, 200_003)]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("record", "width"), [("dense", 4), ("dense", 6), ("dense", 8), ("bytes", 6)]
)
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_large_arrays_in_threads(
    record: str, width: int, shape: tuple[int, ...], count: int, restored_threads: None
) -> None:
    threads.set_threads(count)
    codes = some_codes(shape, width)
    n = shape[-1]
    packed = packing.pack(codes, fmt_of(width), record)
    wide = np.zeros((*shape[:-1], -(-n // 8) * 8, 8), np.uint8)
    bits = 8 if record == "bytes" else width
    wide[..., :n, :] = np.unpackbits(codes[..., None], axis=-1, bitorder="little")
    stream = wide[..., :bits].reshape(*shape[:-1], -1)
    expected = np.packbits(stream, axis=-1, bitorder="little")[..., : packed.shape[-1]]
    assert np.array_equal(packed, expected)
    assert np.array_equal(packing.unpack(packed, fmt_of(width), n, record), codes)


@pytest.mark.parametrize("name", ["high-nibble-first", "split-halves-32", "align16"])
def test_large_arrays_by_the_table(name: str, restored_threads: None) -> None:
    threads.set_threads(2)
    codes = some_codes((9, 64_000), 4)
    packed = packing.pack(codes, "E2M1", name)
    for row in (0, 4, 8):
        start = codes[row, -64:].tolist()
        size = len(core.pack(start, 4, name))
        assert bytes(packed[row, -size:]) == core.pack(start, 4, name)
    assert np.array_equal(packing.unpack(packed, "E2M1", 64_000, name), codes)


@pytest.fixture
def restored_threads() -> Iterator[None]:
    before = threads.get_threads()
    yield
    threads.set_threads(before)


VIEWS: dict[str, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
    "transposed": lambda codes: codes.T,
    "every other": lambda codes: codes[:, ::2],
    "backwards": lambda codes: codes[:, ::-1],
    "three axes": lambda codes: codes.reshape(8, 4, -1).transpose(1, 0, 2),
    "broadcast": lambda codes: np.broadcast_to(codes[0], (5, codes.shape[1])),
    "from the second byte": lambda codes: np.frombuffer(codes.tobytes(), codes.dtype)[1:],
    "Fortran": np.asfortranarray,
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("record", "width"), [("dense", 4), ("dense", 6), ("dense", 12), ("align16", 4)]
)
def test_any_strides(view: str, record: str, width: int) -> None:
    codes = VIEWS[view](some_codes((32, 70), width))
    plain = np.array(codes.tolist(), codes.dtype)
    packed = packing.pack(codes, fmt_of(width), record)
    assert np.array_equal(packed, packing.pack(plain, fmt_of(width), record))
    strided = np.repeat(packed, 2, axis=-1)[..., ::2]
    back = packing.unpack(strided, fmt_of(width), codes.shape[-1], record)
    assert np.array_equal(back, plain)


@pytest.mark.parametrize("width", [4, 6, 16])
def test_out(width: int) -> None:
    codes, fmt = some_codes((6, 50), width), fmt_of(width)
    packed = packing.pack(codes, fmt)
    out = np.full_like(packed, 0xAA)
    assert packing.pack(codes, fmt, out=out) is out
    assert np.array_equal(out, packed)
    strided = np.full((6, 2 * packed.shape[1]), 0xAA, np.uint8)
    packing.pack(codes, fmt, out=strided[:, ::2])
    assert np.array_equal(strided[:, ::2], packed)
    assert (strided[:, 1::2] == 0xAA).all()
    back = np.zeros_like(codes)
    assert packing.unpack(packed, fmt, 50, out=back) is back
    assert np.array_equal(back, codes)


def test_out_may_hold_the_input() -> None:
    codes = some_codes((1 << 19,), 4)
    expected = packing.pack(codes, "E2M1")
    packing.pack(codes, "E2M1", out=codes[: 1 << 18])
    assert np.array_equal(codes[: 1 << 18], expected)
    room = np.zeros(1 << 19, np.uint8)
    room[: 1 << 18] = expected
    packing.unpack(room[: 1 << 18], "E2M1", 1 << 19, out=room)
    assert np.array_equal(room, some_codes((1 << 19,), 4))


@pytest.mark.parametrize(
    "codes",
    [
        [2, 7, 15],
        np.array([2, 7, 15], np.int64),
        np.array([2, 7, 15], ">u2"),
        np.array([2, 7, 15], np.uint8).view(ml_dtypes.float8_e4m3fn),
        np.array([1, 6, -6], np.float32).astype(ml_dtypes.float4_e2m1fn),
    ],
    ids=lambda codes: str(getattr(codes, "dtype", "list")),
)
def test_whatever_holds_codes(codes: Any) -> None:
    assert packing.pack(codes, "E2M1").tolist() == [0x72, 0x0F]


@pytest.mark.parametrize("data", [b"\x72\x0f", bytearray(b"\x72\x0f"), memoryview(b"\x72\x0f")])
def test_whatever_holds_bytes(data: Any) -> None:
    assert packing.unpack(data, "E2M1", 3).tolist() == [2, 7, 15]
    assert packing.unpack_scales(data, 1, 2, "row-major").tolist() == [[0x72, 0x0F]]


@pytest.mark.parametrize("record", ["dense", "high-nibble-first", "bytes", "align16"])
def test_a_code_that_is_too_wide_is_named(record: str) -> None:
    codes = np.zeros((2, 3, 4), np.uint8)
    codes[1, 2, 3] = 0x1F
    codes[1, 2, 1] = 0x10
    message = r"^code 0x10 at index \(1, 2, 1\); expected 0 to 0xf$"
    with pytest.raises(BadCode, match=message):
        packing.pack(codes, "E2M1", record)
    with pytest.raises(BadCode, match=message):
        packing.pack(codes.astype(np.int32), "E2M1", record)
    with pytest.raises(BadCode, match=r"^code 0x40 at index \(4,\); expected 0 to 0x3f$"):
        packing.pack([0, 0, 0, 0, 64], "E2M3", "bytes" if record == "bytes" else "dense")
    with pytest.raises(BadCode, match=r"^code 0x800 at index \(0,\); expected 0 to 0x7ff$"):
        packing.pack(np.array([0x800], np.uint16), "INT11")


@pytest.mark.parametrize("place", [0, 1, (1 << 20) - 1, 1 << 20])
@pytest.mark.parametrize("width", [4, 6])
def test_no_piece_is_left_unchecked(width: int, place: int) -> None:
    codes = np.zeros((1 << 20) + 1, np.uint8)
    codes[place] = 0x80
    with pytest.raises(BadCode, match=rf"^code 0x80 at index \({place},\); expected"):
        packing.pack(codes, fmt_of(width))


def test_wrong_rows() -> None:
    codes = np.zeros((2, 6), np.uint8)
    with pytest.raises(BadShape, match=r"^torchao-fp6: 6 codes; expected a multiple of 4$"):
        packing.pack(codes, "E2M3", "torchao-fp6")
    with pytest.raises(BadFormat, match=r"^align16: codes of 8 bits; expected 4 or 6$"):
        packing.pack(codes, "E4M3", "align16")
    with pytest.raises(BadShape, match=r"^rows of 3 bytes; 7 codes of 4 bits, dense, take 4$"):
        packing.unpack(np.zeros((2, 3), np.uint8), "E2M1", 7)
    with pytest.raises(BadShape, match=r"^dense: -1 codes; expected 0 or more$"):
        packing.unpack(b"", "E2M1", -1)
    with pytest.raises(BadShape, match=r"^codes have no axis; expected at least one$"):
        packing.pack(np.uint8(3), "E2M1")
    with pytest.raises(BadShape, match=r"^packed have no axis; expected at least one$"):
        packing.unpack(np.uint8(3), "E2M1", 1)
    with pytest.raises(UnknownName, match="did you mean dense"):
        packing.pack(codes, "E2M1", "dens")


def test_wrong_types() -> None:
    with pytest.raises(BadType, match="float32"):
        packing.pack(np.zeros(3, np.float32), "E2M1")
    with pytest.raises(BadType, match=r"^packed has dtype uint16; expected uint8 or bytes$"):
        packing.unpack(np.zeros(3, np.uint16), "E2M1", 6)
    with pytest.raises(BadType, match=r"^data has dtype int32; expected uint8 or bytes$"):
        packing.unpack_scales(np.zeros(3, np.int32), 1, 3, "row-major")
    with pytest.raises(BadType, match="expected an ndarray of uint8"):
        packing.pack([1], "E2M1", out=np.zeros(1, np.uint16))
    with pytest.raises(BadShape, match=r"expected \(1,\)"):
        packing.pack([1], "E2M1", out=np.zeros(2, np.uint8))


# Scales.

SHAPES = [(0, 0), (0, 3), (2, 0), (1, 1), (5, 3), (33, 5), (129, 9), (260, 17)]


@pytest.mark.parametrize("record", ARRANGEMENTS.values(), ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scales_are_those_of_the_core(record: Arrangement, shape: tuple[int, int]) -> None:
    scales = some_codes(shape, 8)
    data = packing.pack_scales(scales, record)
    assert data.dtype == np.uint8
    assert bytes(data) == core.pack_scales(scales.tolist(), record)
    assert data.tolist() == packing.pack_scales(scales, record.name).tolist()
    assert np.array_equal(packing.unpack_scales(data, *shape, record), scales)


def test_an_arrangement_with_three_digits_an_axis() -> None:
    rows = [core.Digit(core.Axis.ROW, unit, radix) for unit, radix in ((1, 2), (6, 0), (2, 3))]
    columns = [core.Digit(core.Axis.COLUMN, unit, radix) for unit, radix in ((4, 0), (1, 4))]
    record = Arrangement("mine", (rows[0], columns[0], rows[1], columns[1], rows[2]), 12, 4, 0xEE)
    scales = some_codes((17, 6), 8)
    data = packing.pack_scales(scales, record)
    assert bytes(data) == core.pack_scales(scales.tolist(), record)
    assert np.array_equal(packing.unpack_scales(data, 17, 6, record), scales)


def test_leading_axes_are_rows() -> None:
    scales = some_codes((2, 3, 5), 8)
    flat = packing.pack_scales(scales.reshape(6, 5), "gfx950")
    assert np.array_equal(packing.pack_scales(scales, "gfx950"), flat)
    assert np.array_equal(packing.pack_scales(scales[0, 0], "row-major"), scales[0, 0])


def test_results_are_never_views_of_the_input() -> None:
    scales = some_codes((4, 8), 8)
    for result in (
        packing.pack_scales(scales, "row-major"),
        packing.unpack_scales(scales, 4, 8, "row-major"),
        packing.to_bytes(np.zeros((4, 8, 32), np.uint8), scales, "MXFP4", "mx"),
        packing.pack(scales, "E4M3"),
        packing.unpack(scales, "E4M3", 8),
    ):
        assert not np.shares_memory(result, scales)


def test_wrong_scales() -> None:
    with pytest.raises(BadCode, match=r"^code 0x100 at index \(0, 1\); expected 0 to 0xff$"):
        packing.pack_scales([[1, 256]], "row-major")
    with pytest.raises(BadShape, match=r"^scales have no axis; expected at least one$"):
        packing.pack_scales(3, "row-major")
    message = r"^3 bytes; expected 512 \(1 x 3 scales, nvidia-128x4\)$"
    with pytest.raises(BadShape, match=message):
        packing.unpack_scales(b"abc", 1, 3, "nvidia-128x4")
    with pytest.raises(BadShape, match=r"^gfx950: -1 x 3 scales; expected 0 or more of each$"):
        packing.unpack_scales(b"", -1, 3, "gfx950")


# Blocks.

ODD = BlockFormat("odd", element("E2M1"), block_format("MXFP4").scale, 3)
FORMATS = [
    *map(block_format, ("MXFP8_E4M3", "MXFP6_E2M3", "MXFP4", "NVFP4", "MXINT8", "INT12/E8M0/8")),
    ODD,
]


def made_for(record: Layout, fmt: BlockFormat) -> bool:
    try:
        record.map(1, 4, fmt)
    except (BadFormat, BadShape):
        return False
    return True


PAIRS = [
    pytest.param(record, fmt, id=f"{record}-{fmt}")
    for record, fmt in product(LAYOUTS.values(), FORMATS)
    if made_for(record, fmt)
]


def test_every_layout_is_tried() -> None:
    assert {str(pair.values[0]) for pair in PAIRS} == set(LAYOUTS)
    assert len(PAIRS) == 58


@pytest.mark.clause("MX-5.1-LAYOUT")
@pytest.mark.parametrize(("record", "fmt"), PAIRS)
@pytest.mark.parametrize("shape", [(1, 4), (3, 8), (2, 0), (0, 4)], ids=str)
def test_blocks_are_those_of_the_core(
    record: Layout, fmt: BlockFormat, shape: tuple[int, int]
) -> None:
    codes, scales = some_codes((*shape, fmt.k), fmt.element.width), some_codes(shape, 8)
    data = packing.to_bytes(codes, scales, fmt, record)
    assert (data.dtype, data.ndim) == (np.uint8, 1)
    if shape[0]:
        assert bytes(data) == core.pack_blocks(codes.tolist(), scales.tolist(), fmt, record)
    back, back_scales = packing.from_bytes(data, shape, fmt, record)
    assert (back.dtype, back_scales.dtype) == (codes.dtype, np.uint8)
    assert np.array_equal(back, codes)
    assert np.array_equal(back_scales, scales)


@pytest.mark.parametrize("name", ["mx", "nvidia-128x4", "ggml-mxfp4", "fbgemm-mx4"])
@pytest.mark.parametrize("leading", [(), (3,), (2, 3)], ids=str)
def test_any_number_of_axes(name: str, leading: tuple[int, ...]) -> None:
    shape = (*leading, 4)
    codes, scales = some_codes((*shape, 32), 4), some_codes(shape, 8)
    rows = prod(leading)
    data = packing.to_bytes(codes, scales, "MXFP4", name)
    flat = packing.to_bytes(codes.reshape(rows, 4, 32), scales.reshape(rows, 4), "MXFP4", name)
    assert np.array_equal(data, flat)
    back, back_scales = packing.from_bytes(bytes(data), shape, "MXFP4", name)
    assert np.array_equal(back, codes)
    assert np.array_equal(back_scales, scales)


def test_large_records_and_strided_codes() -> None:
    codes = some_codes((32, 300, 100), 4).transpose(2, 1, 0)
    scales = some_codes((300, 100), 8).T
    data = packing.to_bytes(codes, scales, "MXFP4", "ggml-mxfp4").reshape(100, 300, 17)
    assert np.array_equal(data[..., 0], scales)
    assert np.array_equal(data[..., 1:], codes[..., :16] | codes[..., 16:] << 4)
    back, _ = packing.from_bytes(data, (100, 300), "MXFP4", "ggml-mxfp4")
    assert np.array_equal(back, codes)


def test_parts() -> None:
    codes, scales = some_codes((2, 3, 32), 6), some_codes((2, 3), 8)
    data = packing.to_bytes(codes, scales, "MXFP6_E2M3", "gfx950")
    first, second = packing.parts(data, (2, 3), "MXFP6_E2M3", "gfx950")
    assert np.array_equal(first, packing.pack(codes.reshape(2, 96), "E2M3").reshape(-1))
    assert np.array_equal(second, packing.pack_scales(scales, "gfx950"))
    assert np.shares_memory(first, data)
    assert np.shares_memory(second, data)
    message = r"^ggml-mxfp4: scales beside their codes; expected separate scales$"
    with pytest.raises(BadFormat, match=message):
        packing.parts(bytes(17), (1,), "MXFP4", "ggml-mxfp4")


def test_wrong_blocks() -> None:
    codes, scales = np.zeros((2, 3, 32), np.uint8), np.zeros((2, 3), np.uint8)
    message = r"^codes have shape \(2, 3, 32\); expected \(2, 3, 16\), that of scales and k$"
    with pytest.raises(BadShape, match=message):
        packing.to_bytes(codes, scales, "NVFP4", "mx")
    with pytest.raises(BadShape, match=r"expected \(3, 2, 32\), that of scales and k$"):
        packing.to_bytes(codes, scales.T, "MXFP4", "mx")
    message = r"^scales of shape \(\); expected \(\.\.\., n_blocks\), none below 0$"
    with pytest.raises(BadShape, match=message):
        packing.to_bytes(codes[0, 0], scales[0, 0], "MXFP4", "mx")
    with pytest.raises(BadShape, match=r"^scales of shape \(-1, -1, 2\); expected"):
        packing.from_bytes(b"", (-1, -1, 2), "MXFP4")
    with pytest.raises(BadShape, match=r"^ggml-nvfp4: rows of 3 blocks; expected a multiple of 4$"):
        packing.to_bytes(codes[..., :16], scales, "NVFP4", "ggml-nvfp4")
    message = r"^16 bytes; expected 17 \(1 x 1 blocks of MXFP4_E2M1, ggml-mxfp4\)$"
    with pytest.raises(BadShape, match=message):
        packing.from_bytes(bytes(16), (1,), "MXFP4", "ggml-mxfp4")
    with pytest.raises(BadShape, match=r"^17 bytes; expected 34 \(1 x 2 blocks"):
        packing.parts(bytes(17), (2,), "MXFP4")
    with pytest.raises(BadType, match=r"^data has dtype float64; expected uint8 or bytes$"):
        packing.from_bytes([1.5], (1,), "MXFP4")


@pytest.mark.parametrize("name", ["mx", "ggml-mxfp4", "fbgemm-mx4"])
def test_codes_of_blocks_that_are_too_wide(name: str) -> None:
    codes, scales = np.zeros((2, 3, 32), np.uint8), np.zeros((2, 3), np.uint8)
    codes[1, 2, 30] = 0x20
    with pytest.raises(BadCode, match=r"^code 0x20 at index \(1, 2, 30\); expected 0 to 0xf$"):
        packing.to_bytes(codes, scales, "MXFP4", name)
    with pytest.raises(BadCode, match=r"^code 0x12c at index \(0, 0\); expected 0 to 0xff$"):
        packing.to_bytes(codes, scales + np.uint16(300), "MXFP4", name)


@settings(max_examples=50)
@given(st.data())
def test_blocks_come_back(data: st.DataObject) -> None:
    record, fmt = data.draw(st.sampled_from([pair.values for pair in PAIRS]))
    assert isinstance(record, Layout)
    assert isinstance(fmt, BlockFormat)
    columns = record.blocks * data.draw(st.integers(0, 3))
    shape = (*data.draw(st.lists(st.integers(0, 3), max_size=2)), columns)
    codes, scales = some_codes((*shape, fmt.k), fmt.element.width), some_codes(shape, 8)
    laid = packing.to_bytes(codes, scales, fmt, record)
    back, back_scales = packing.from_bytes(laid, shape, fmt, record)
    assert np.array_equal(back, codes)
    assert np.array_equal(back_scales, scales)
