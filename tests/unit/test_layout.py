"""Layouts: where each bit and each scale sits, against the formulas of those who use them, typed in once more."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxemu import layout as layouts
from mxemu.errors import BadCode, BadFormat, BadShape, UnknownName
from mxemu.formats import BlockFormat, FloatFormat, block_format, element
from mxemu.layout import (
    ALIGN16,
    ARRANGEMENTS,
    BYTES,
    DEEPGEMM,
    DENSE,
    GFX950,
    GFX1250,
    HIGH_NIBBLE_FIRST,
    LAYOUTS,
    NVIDIA_128X4,
    PACKINGS,
    ROW_MAJOR,
    SPLIT_HALVES,
    SPLIT_HALVES_16,
    TORCHAO_FP6,
    Arrangement,
    Axis,
    BlockMap,
    Digit,
    Field,
    Layout,
    Packing,
    Place,
    arrangement,
    layout,
    pack,
    pack_blocks,
    pack_scales,
    packing,
    split_halves,
    unpack,
    unpack_blocks,
    unpack_scales,
)

ROW, COLUMN = Axis.ROW, Axis.COLUMN


def nibbles(*codes: int) -> list[int]:
    """Pairs of codes in bytes, the first of each pair in the low half."""
    return [low | high << 4 for low, high in zip(codes[::2], codes[1::2], strict=True)]


# Packings.


def test_low_nibble_first() -> None:
    # 1 and 6 are the codes 2 and 7 of E2M1; CUDA's fp4x2 of (1, 6) is 0x72.
    assert pack([2, 7], 4) == b"\x72"
    assert pack([2, 7, 9], 4) == b"\x72\x09"
    for n in range(10):
        assert DENSE.size(n, 4) == (n + 1) // 2
        for i, bit in product(range(n), range(4)):
            assert DENSE.position(i, bit, n, 4) == (i // 2, 4 * (i % 2) + bit)


def test_eight_codes_of_a_word() -> None:
    # MLX: element i at bits 4i to 4i + 3 of a little-endian uint32.
    codes = [1, 2, 3, 4, 5, 6, 7, 15]
    word = sum(code << 4 * i for i, code in enumerate(codes))
    assert pack(codes, 4) == word.to_bytes(4, "little")


@pytest.mark.parametrize("width", [1, 3, 5, 6, 8, 12, 16, 64])
def test_dense_is_a_little_endian_stream_of_bits(width: int) -> None:
    codes = [(i * 0x9E3779B97F4A7C15 >> 7) % (1 << width) for i in range(11)]
    stream = sum(code << width * i for i, code in enumerate(codes))
    size = (11 * width + 7) // 8
    assert DENSE.size(11, width) == size
    assert pack(codes, width) == stream.to_bytes(size, "little")
    assert unpack(stream.to_bytes(size, "little"), 11, width) == tuple(codes)


FOUR_OF_SIX = [
    *([code if place == i else 0 for i in range(4)] for place in range(4) for code in range(64)),
    [0x3F, 0x15, 0x2A, 0x01],
    [0x3F, 0x3F, 0x3F, 0x3F],
    [0x01, 0x02, 0x04, 0x08],
]


@pytest.mark.parametrize("codes", FOUR_OF_SIX, ids=str)
def test_six_bits(codes: list[int]) -> None:
    e0, e1, e2, e3 = codes
    dense = [e0 | (e1 & 3) << 6, (e1 >> 2) | (e2 & 15) << 4, (e2 >> 4) | e3 << 2]
    assert list(pack(codes, 6)) == dense
    parts = [
        (e0 >> 2) << 4 | (e1 >> 2),
        (e3 >> 2) << 4 | (e2 >> 2),
        (e0 & 3) << 6 | (e1 & 3) << 4 | (e3 & 3) << 2 | (e2 & 3),
    ]
    assert list(pack(codes, 6, TORCHAO_FP6)) == parts
    assert list(pack(codes, 6, BYTES)) == codes
    for record, data in ((DENSE, dense), (TORCHAO_FP6, parts), (BYTES, codes)):
        assert unpack(data, 4, 6, record) == tuple(codes)


def test_groups_of_six_bits_follow_each_other() -> None:
    codes = list(range(12))
    whole = pack(codes, 6, TORCHAO_FP6)
    assert whole == b"".join(pack(codes[i : i + 4], 6, TORCHAO_FP6) for i in (0, 4, 8))


def test_high_nibble_first() -> None:
    assert pack([2, 7], 4, HIGH_NIBBLE_FIRST) == b"\x27"
    # An odd one is the high nibble of the last byte.
    assert pack([1, 2, 3], 4, HIGH_NIBBLE_FIRST) == b"\x12\x30"
    for n in range(7):
        assert HIGH_NIBBLE_FIRST.size(n, 4) == (n + 1) // 2
        for i, bit in product(range(n), range(4)):
            assert HIGH_NIBBLE_FIRST.position(i, bit, n, 4) == (i // 2, 4 * (1 - i % 2) + bit)


@pytest.mark.parametrize(("record", "k"), [(SPLIT_HALVES, 32), (SPLIT_HALVES_16, 16)])
def test_split_halves(record: Packing, k: int) -> None:
    assert (record.name, record.group) == (f"split-halves-{k}", k)
    codes = [(7 * i + i // 16) % 16 for i in range(3 * k)]
    expected = [
        codes[start + j] | codes[start + j + k // 2] << 4
        for start in range(0, 3 * k, k)
        for j in range(k // 2)
    ]
    assert list(pack(codes, 4, record)) == expected
    assert unpack(expected, 3 * k, 4, record) == tuple(codes)


def test_halves_of_any_even_k() -> None:
    assert split_halves(32) == SPLIT_HALVES
    assert list(pack([1, 2, 3, 4], 4, split_halves(2))) == nibbles(1, 2, 3, 4)
    assert list(pack([1, 2, 3, 4], 4, split_halves(4))) == nibbles(1, 3, 2, 4)
    assert list(pack([*range(6)], 4, split_halves(6))) == nibbles(0, 3, 1, 4, 2, 5)
    assert repr(split_halves(2).fields[1]) == "Field(element=1, first=0, after=None)"
    for k in (0, 1, 3, -2):
        with pytest.raises(BadFormat, match=f"split halves of k = {k}; expected an even number"):
            split_halves(k)


def test_one_code_a_byte() -> None:
    assert pack([1, 0x3F, 7], 6, BYTES) == b"\x01\x3f\x07"
    assert BYTES.size(5, 1) == BYTES.size(5, 8) == 5
    assert BYTES.position(3, 5, 4, 6) == (3, 5)


@pytest.mark.parametrize(("width", "used"), [(4, 8), (6, 12)])
def test_sixteen_codes_and_padding_to_sixteen_bytes(width: int, used: int) -> None:
    codes = [(5 * i + 1) % (1 << width) for i in range(35)]
    assert [ALIGN16.size(n, width) for n in (0, 1, 16, 17, 35)] == [0, 16, 16, 32, 48]
    data = pack(codes, width, ALIGN16)
    for group in range(3):
        part = codes[16 * group : 16 * group + 16]
        dense = pack(part, width).ljust(used, b"\0")
        assert data[16 * group : 16 * group + 16] == dense + bytes(16 - used)
    assert unpack(data, 35, width, ALIGN16) == tuple(codes)


def lengths(record: Packing) -> list[int]:
    """Numbers of codes up to about three groups that a packing takes."""
    step = record.group if record.whole else 1
    return [n for n in range(0, 3 * record.group + 1, step) if n <= 3 * record.group]


def widths(record: Packing) -> list[int]:
    return [width for width in record.widths if width <= 12]


@pytest.mark.parametrize("record", PACKINGS.values(), ids=str)
def test_no_two_bits_share_a_place(record: Packing) -> None:
    for width, n in product(widths(record), lengths(record)):
        places = [record.position(i, bit, n, width) for i in range(n) for bit in range(width)]
        assert len(set(places)) == n * width
        assert all(0 <= byte < record.size(n, width) and 0 <= bit < 8 for byte, bit in places)


@st.composite
def rows(draw: st.DrawFn) -> tuple[Packing, int, list[int]]:
    record = draw(st.sampled_from(list(PACKINGS.values())))
    width = draw(st.sampled_from(widths(record)))
    n = draw(st.sampled_from(lengths(record)))
    codes = draw(st.lists(st.integers(0, (1 << width) - 1), min_size=n, max_size=n))
    return record, width, codes


@given(rows())
def test_what_is_packed_comes_back(case: tuple[Packing, int, list[int]]) -> None:
    record, width, codes = case
    data = pack(codes, width, record)
    assert len(data) == record.size(len(codes), width)
    assert unpack(data, len(codes), width, record) == tuple(codes)
    # Bits that belong to no code are zero, and are not looked at.
    used = bytearray(len(data))
    for i, bit in product(range(len(codes)), range(width)):
        byte, place = record.position(i, bit, len(codes), width)
        used[byte] |= 1 << place
    assert all(byte & ~mask == 0 for byte, mask in zip(data, used, strict=True))
    dirty = [byte | (0xFF & ~mask) for byte, mask in zip(data, used, strict=True)]
    assert unpack(dirty, len(codes), width, record) == tuple(codes)


@pytest.mark.parametrize(
    ("record", "n", "width", "error", "message"),
    [
        (SPLIT_HALVES, 32, 6, BadFormat, "split-halves-32: codes of 6 bits; expected 4"),
        (ALIGN16, 32, 5, BadFormat, "align16: codes of 5 bits; expected 4 or 6"),
        (BYTES, 32, 9, BadFormat, "bytes: codes of 9 bits; expected 1 to 8"),
        (DENSE, 32, 65, BadFormat, "dense: codes of 65 bits; expected 1 to 64"),
        (DENSE, 32, 0, BadFormat, "dense: codes of 0 bits; expected 1 to 64"),
        (SPLIT_HALVES, 48, 4, BadShape, "split-halves-32: 48 codes; expected a multiple of 32"),
        (TORCHAO_FP6, 6, 6, BadShape, "torchao-fp6: 6 codes; expected a multiple of 4"),
        (DENSE, -1, 4, BadShape, "dense: -1 codes; expected 0 or more"),
        (TORCHAO_FP6, -4, 6, BadShape, "torchao-fp6: -4 codes; expected a multiple of 4"),
    ],
)
def test_rows_that_cannot_be_packed(
    record: Packing, n: int, width: int, error: type[Exception], message: str
) -> None:
    for call in (
        lambda: record.size(n, width),
        lambda: record.position(0, 0, n, width),
        lambda: unpack(b"", n, width, record),
    ):
        with pytest.raises(error) as caught:
            call()
        assert str(caught.value) == message


@pytest.mark.parametrize(("i", "bit"), [(8, 0), (9, 0), (-1, 0), (0, 4), (0, 5), (0, -1)])
def test_a_bit_that_is_not_there(i: int, bit: int) -> None:
    with pytest.raises(BadShape) as caught:
        DENSE.position(i, bit, 8, 4)
    assert str(caught.value) == f"dense: bit {bit} of code {i}; expected one of 4 bits and 8 codes"


def test_codes_and_bytes_that_do_not_fit() -> None:
    with pytest.raises(
        BadCode, match=r"^code 1 of 2: 0x10 does not fit 4 bits; expected 0 to 0xf$"
    ):
        pack([15, 16], 4)
    with pytest.raises(
        BadCode, match=r"^code 0 of 1: -0x1 does not fit 6 bits; expected 0 to 0x3f$"
    ):
        pack([-1], 6, BYTES)
    with pytest.raises(BadCode, match=r"^code 0 of 1: 0xff does not fit 4 bits"):
        pack([255], 4)
    with pytest.raises(BadShape, match=r"^2 bytes; expected 3 \(5 codes of 4 bits, dense\)$"):
        unpack(b"ab", 5, 4)
    with pytest.raises(BadShape, match=r"^4 bytes; expected 3"):
        unpack(b"abcd", 5, 4)


FOUR = (4,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((Field(0),), 2, FOUR), "fields of 4-bit codes; expected each bit of 2 codes once"),
        (((Field(0), Field(0)), 1, FOUR), "fields of 4-bit codes; expected each bit of 1 codes"),
        (((Field(0), Field(0), Field(1)), 2, FOUR), "expected each bit of 2 codes once"),
        (((Field(0), Field(1)), 1, FOUR), "fields of 4-bit codes; expected each bit of 1 codes"),
        (((Field(0, 0, 4),), 1, (4, 5)), "fields of 5-bit codes"),
        (((Field(0, 1, 5),), 1, FOUR), "fields of 4-bit codes"),
        (((Field(0, 1),), 1, FOUR), "fields of 4-bit codes"),
        (((Field(0), Field(1)), 2, FOUR, 7), "7 bits; expected room for 2 codes of 4 bits"),
        (((), 0, FOUR), r"groups of 0 codes of \(4,\) bits; expected 1 or more of each"),
        (((Field(0),), 1, ()), r"groups of 1 codes of \(\) bits; expected 1 or"),
        (((Field(0),), 1, (2, 0)), r"groups of 1 codes of \(2, 0\) bits; expected 1 or"),
    ],
)
def test_packings_that_cannot_be(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(BadFormat, match=f"^mine: .*{message}"):
        Packing("mine", *arguments)


def test_widths() -> None:
    found = {name: record.widths for name, record in PACKINGS.items()}
    assert found.pop("dense") == tuple(range(1, 65))
    assert found.pop("bytes") == (1, 2, 3, 4, 5, 6, 7, 8)
    assert found.pop("align16") == (4, 6)
    assert found.pop("torchao-fp6") == (6,)
    assert set(found.values()) == {(4,)}
    three = Packing("three", (Field(0),), 1, (3, 4, 5))
    with pytest.raises(BadFormat, match=r"^three: codes of 6 bits; expected 3 to 5$"):
        three.size(1, 6)


def test_a_packing_of_ones_own() -> None:
    # Bits in reverse order, two codes with a free bit above them.
    fields = [Field(i, bit, bit + 1) for i in (1, 0) for bit in (2, 1, 0)]
    mine = Packing("mine", tuple(fields), 2, (3,), bits=7)
    assert list(pack([0b001, 0b011], 3, mine)) == [0b0_100_110]
    assert mine.size(3, 3) == 2
    assert mine.position(2, 2, 3, 3) == (1, 2)
    assert Packing("mine", (Field(0),), 1, FOUR, bits=4) != Packing("mine", (Field(0),), 1, FOUR)
    assert str(mine) == "mine"


def test_records_cannot_be_changed_and_notes_do_not_count() -> None:
    for record in (DENSE, ROW_MAJOR, LAYOUTS["mx"]):
        with pytest.raises(FrozenInstanceError):
            record.name = "other"  # type: ignore[misc]
        assert replace(record, seen="nobody") == record
        assert replace(record, name="other") != record


# Arrangements of scales.


def scale_grid(n_rows: int, n_columns: int) -> list[list[int]]:
    """Codes that differ between neighbours near and far."""
    return [[(31 * r + 7 * c + r // 8) % 251 for c in range(n_columns)] for r in range(n_rows)]


def nvidia(r: int, c: int, rows: int, columns: int) -> int:
    tile = (r // 128) * -(-columns // 4) + c // 4
    return tile * 512 + (r % 32) * 16 + ((r % 128) // 32) * 4 + c % 4


def gfx950(x: int, y: int, rows: int, columns: int) -> int:
    padded = -(-columns // 8) * 8
    inside = (y % 4) * 64 + (x % 16) * 4 + ((y % 8) // 4) * 2 + (x % 32) // 16
    return (x // 32) * padded * 32 + (y // 8) * 256 + inside


def gfx1250(x: int, y: int, rows: int, columns: int) -> int:
    padded = -(-columns // 4) * 4
    return ((x // 32) * (padded // 4) + y // 4) * 128 + (x % 32) * 4 + y % 4


def deepgemm(x: int, y: int, rows: int, columns: int) -> int:
    words = -(-rows // 4) * 4
    return 4 * (y // 4 * words + x) + y % 4


def row_major(x: int, y: int, rows: int, columns: int) -> int:
    return x * columns + y


# record, formula, multiples of rows and columns, fill
PATTERNS = [
    (ROW_MAJOR, row_major, (1, 1), 0),
    (NVIDIA_128X4, nvidia, (128, 4), 0),
    (GFX950, gfx950, (256, 8), 0),
    (GFX1250, gfx1250, (32, 4), 0x7F),
    (DEEPGEMM, deepgemm, (4, 4), 0),
]
SHAPES = [(1, 1), (5, 3), (33, 5), (128, 4), (129, 9), (260, 17)]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: str(pattern[0]))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scales_sit_where_the_formula_says(pattern: Any, shape: tuple[int, int]) -> None:
    record, formula, (row_unit, column_unit), fill = pattern
    n_rows, n_columns = shape
    padded = (-(-n_rows // row_unit) * row_unit, -(-n_columns // column_unit) * column_unit)
    assert record.shape(*shape) == padded
    assert record.size(*shape) == padded[0] * padded[1]
    scales = scale_grid(*shape)
    expected = [fill] * record.size(*shape)
    taken = set()
    for r, c in product(range(n_rows), range(n_columns)):
        offset = formula(r, c, *shape)
        assert record.offset(r, c, *shape) == offset
        expected[offset] = scales[r][c]
        taken.add(offset)
    assert len(taken) == n_rows * n_columns
    assert list(pack_scales(scales, record)) == expected
    assert unpack_scales(expected, *shape, record) == tuple(map(tuple, scales))


def test_each_tile_of_nvidia_is_32_rows_of_16_bytes() -> None:
    # Four scales of a row along K, then those of the rows 32, 64 and 96 below.
    scales = [[r * 2 % 256 + c % 2 for c in range(4)] for r in range(128)]
    data = pack_scales(scales, NVIDIA_128X4)
    assert len(data) == 512
    assert data[:16] == bytes(scales[0] + scales[32] + scales[64] + scales[96])
    assert data[16:20] == bytes(scales[1])


def test_shuffle_of_gfx950_by_reshaping() -> None:
    # As a tensor of shape (M/32, 2, 16, N/8, 2, 4), whose axes are put in the order 0, 3, 5, 2, 4, 1.
    n_rows, n_columns = 256, 16
    scales = scale_grid(n_rows, n_columns)
    order = [
        scales[a * 32 + b * 16 + c][d * 8 + e * 4 + f]
        for a, d, f, c, e, b in product(range(8), range(2), range(4), range(16), range(2), range(2))
    ]
    assert list(pack_scales(scales, GFX950)) == order


def test_words_of_deepgemm() -> None:
    data = pack_scales([[0x11, 0x22, 0x33, 0x44, 0x55]], DEEPGEMM)
    words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
    assert words == [0x44332211, 0, 0, 0, 0x55, 0, 0, 0]


def test_no_scales() -> None:
    for record in ARRANGEMENTS.values():
        assert record.size(0, 0) == 0
        assert pack_scales([], record) == b""
        assert unpack_scales(b"", 0, 0, record) == ()
        assert unpack_scales(b"", 2, 0, record) == ((), ())


def test_scales_that_do_not_fit() -> None:
    with pytest.raises(BadShape, match=r"^gfx950: -1 x 4 scales; expected 0 or more of each$"):
        GFX950.size(-1, 4)
    with pytest.raises(BadShape, match=r"^gfx950: 4 x -1 scales"):
        GFX950.offset(0, 0, 4, -1)
    for row, column in ((4, 0), (5, 0), (-1, 0), (0, 3), (0, 4), (0, -1)):
        message = f"row-major: scale ({row}, {column}); expected within 4 x 3"
        with pytest.raises(BadShape, match=re.escape(message)):
            ROW_MAJOR.offset(row, column, 4, 3)
    with pytest.raises(
        BadCode, match=r"^scale \(1, 0\): 0x100 does not fit 8 bits; expected 0 to 0xff$"
    ):
        pack_scales([[1], [256]], ROW_MAJOR)
    with pytest.raises(BadShape, match=r"^rows of 1 and of 2 entries; expected equal lengths$"):
        pack_scales([[1], [2, 3]], ROW_MAJOR)
    with pytest.raises(BadShape, match=r"^3 bytes; expected 512 \(1 x 2 scales, nvidia-128x4\)$"):
        unpack_scales(b"abc", 1, 2, NVIDIA_128X4)


@pytest.mark.parametrize(
    ("digits", "message"),
    [
        ([Digit(COLUMN, 1)], r"row digits with units \[\]; expected no gaps from 1"),
        ([Digit(ROW, 1)], r"column digits with units \[\]; expected no gaps from 1"),
        ([Digit(ROW, 2), Digit(COLUMN, 1)], r"row digits with units \[2\]"),
        ([Digit(ROW, 1, 4), Digit(COLUMN, 1)], r"row digits with units \[1\]"),
        ([Digit(ROW, 4), Digit(ROW, 1, 2), Digit(COLUMN, 1)], r"row digits with units \[1, 4\]"),
        ([Digit(ROW, 2), Digit(ROW, 1), Digit(COLUMN, 1)], r"row digits with units \[1, 2\]"),
        ([Digit(ROW, 2), Digit(ROW, 1, 4), Digit(COLUMN, 1)], r"row digits with units \[1, 2\]"),
        ([Digit(ROW, 1, -1), Digit(COLUMN, 1)], r"row digits with units \[1\]"),
        (
            [Digit(ROW, 8), Digit(ROW, 1, 8), Digit(COLUMN, 1)],
            "rows padded to 4; expected a multiple of 8",
        ),
        (
            [Digit(ROW, 1), Digit(COLUMN, 3), Digit(COLUMN, 1, 3)],
            "columns padded to 2; expected a multiple of 3",
        ),
    ],
)
def test_arrangements_that_cannot_be(digits: list[Digit], message: str) -> None:
    with pytest.raises(BadFormat, match=f"^mine: {message}"):
        Arrangement("mine", tuple(digits), rows=4, columns=2)


def test_an_arrangement_of_ones_own() -> None:
    mine = Arrangement("mine", (Digit(COLUMN, 1), Digit(ROW, 1)), rows=2, fill=0xFF)
    assert list(pack_scales([[1, 2], [3, 4], [5, 6]], mine)) == [1, 3, 5, 255, 2, 4, 6, 255]
    assert str(mine) == "mine"
    assert mine.counts(3, 2) == (2, 4)
    with pytest.raises(BadCode, match=r"^mine: fill 0x100 does not fit 8 bits"):
        replace(mine, fill=256)
    with pytest.raises(BadFormat, match=r"^mine: rows padded to 0; expected a multiple of 1$"):
        replace(mine, rows=0)
    with pytest.raises(BadFormat, match=r"^mine: columns padded to -2; expected"):
        replace(mine, columns=-2)


# Layouts of blocks.


def block_codes(fmt: BlockFormat, n_rows: int, n_columns: int) -> list[list[list[int]]]:
    top = 1 << fmt.element.width
    return [
        [[(11 * i + 5 * c + 3 * r + i // 16) % top for i in range(fmt.k)] for c in range(n_columns)]
        for r in range(n_rows)
    ]


def test_block_mxfp4_of_ggml() -> None:
    fmt = block_format("MXFP4")
    codes, scales = block_codes(fmt, 2, 3), scale_grid(2, 3)
    data = pack_blocks(codes, scales, fmt, "ggml-mxfp4")
    assert len(data) == 6 * 17
    for r, c in product(range(2), range(3)):
        block = data[17 * (3 * r + c) :][:17]
        assert block[0] == scales[r][c]
        for j in range(16):
            assert block[1 + j] == codes[r][c][j] | codes[r][c][j + 16] << 4


def test_block_nvfp4_of_ggml() -> None:
    fmt = block_format("NVFP4")
    codes, scales = block_codes(fmt, 2, 8), scale_grid(2, 8)
    data = pack_blocks(codes, scales, fmt, "ggml-nvfp4")
    assert len(data) == 4 * 36
    for r, group in product(range(2), range(2)):
        block = data[36 * (2 * r + group) :][:36]
        assert list(block[:4]) == scales[r][4 * group : 4 * group + 4]
        for s, j in product(range(4), range(8)):
            own = codes[r][4 * group + s]
            assert block[4 + 8 * s + j] == own[j] | own[j + 8] << 4


def test_mx4_of_fbgemm() -> None:
    fmt = block_format("MXFP4")
    codes, scales = block_codes(fmt, 2, 4), scale_grid(2, 4)
    data = pack_blocks(codes, scales, fmt, "fbgemm-mx4")
    row_length = 128 // 2 + 128 // 32
    assert len(data) == 2 * row_length
    for r, c in product(range(2), range(4)):
        block = data[r * row_length + 17 * c :][:17]
        assert list(block) == [*nibbles(*codes[r][c]), scales[r][c]]


def test_scale_and_codes_one_byte_each() -> None:
    fmt = block_format("MXFP6_E2M3")
    codes, scales = block_codes(fmt, 1, 2), [[127, 130]]
    expected = [127, *codes[0][0], 130, *codes[0][1]]
    assert list(pack_blocks(codes, scales, fmt, "scale-first")) == expected


@pytest.mark.parametrize("name", ["mx", "gpt-oss", "compressed-tensors"])
def test_two_tensors_as_in_checkpoints(name: str) -> None:
    # blocks [row, group, 16] with low nibbles first, then scales [row, group].
    fmt = block_format("MXFP4")
    codes, scales = block_codes(fmt, 3, 2), scale_grid(3, 2)
    expected = [byte for row in codes for block in row for byte in nibbles(*block)]
    expected += [scale for row in scales for scale in row]
    assert list(pack_blocks(codes, scales, fmt, name)) == expected


@pytest.mark.parametrize("name", ["nvidia-128x4", "gfx950", "gfx1250", "deepgemm"])
def test_codes_then_arranged_scales(name: str) -> None:
    fmt = block_format("MXFP6_E3M2")
    codes, scales = block_codes(fmt, 3, 5), scale_grid(3, 5)
    data = pack_blocks(codes, scales, fmt, name)
    packed = b"".join(pack([code for block in row for code in block], 6) for row in codes)
    assert data == packed + pack_scales(scales, name)


def test_rows_of_separate_codes_begin_with_a_byte() -> None:
    fmt = BlockFormat("odd", element("E2M1"), block_format("MXFP4").scale, 3)
    codes = [[[1, 2, 3]], [[4, 5, 6]]]
    data = pack_blocks(codes, [[7], [8]], fmt, "mx")
    assert list(data) == [*nibbles(1, 2, 3, 0), *nibbles(4, 5, 6, 0), 7, 8]


def takes(record: Layout, fmt: BlockFormat) -> bool:
    """Whether a layout is made for a format; typed in once more."""
    width = fmt.element.width
    match record.name:
        case "ggml-mxfp4" | "gpt-oss" | "fbgemm-mx4":
            return (width, fmt.k) == (4, 32)
        case "ggml-nvfp4":
            return (width, fmt.k) == (4, 16)
        case "compressed-tensors":
            return width in (4, 8) and fmt.k == 32
        case "high-nibble-first":
            return width == 4
        case "torchao-fp6":
            return width == 6
        case _:
            return True


FORMATS = ["MXFP8_E4M3", "MXFP6_E2M3", "MXFP4", "NVFP4", "E2M1/E8M0/16", "MXINT8"]


@pytest.mark.parametrize("record", LAYOUTS.values(), ids=str)
@pytest.mark.parametrize("name", FORMATS)
def test_every_layout_holds_what_it_is_made_for(record: Layout, name: str) -> None:
    fmt = block_format(name)
    if not takes(record, fmt):
        with pytest.raises(BadFormat, match=f"^({record}|{record.packing}): "):
            record.map(2, 4, fmt)
        return
    codes, scales = block_codes(fmt, 2, 4), scale_grid(2, 4)
    data = pack_blocks(codes, scales, fmt, record)
    places = record.map(2, 4, fmt)
    assert len(data) == places.size
    seen = unpack_blocks(data, 2, 4, fmt, record)
    assert [[list(block) for block in row] for row in seen.codes] == codes
    assert [list(row) for row in seen.scales] == scales
    assert_disjoint(places, fmt)


def assert_disjoint(places: BlockMap, fmt: BlockFormat) -> None:
    """No two bits, of codes or scales, share a place."""
    cells = list(product(range(places.rows), range(places.columns)))
    taken = [
        places.code(r, c, i, bit)
        for r, c in cells
        for i, bit in product(range(fmt.k), range(fmt.element.width))
    ]
    taken += [(places.scale(r, c), bit) for r, c in cells for bit in range(8)]
    assert len(set(taken)) == len(taken)
    assert all(0 <= byte < places.size for byte, _ in taken)


def test_maps_by_hand() -> None:
    places = layout("ggml-nvfp4").map(2, 8, "NVFP4")
    # Row 1, block 6: the fourth record, its third block; element 9 is the second high nibble.
    assert places.scale(1, 6) == 3 * 36 + 2
    assert places.code(1, 6, 9, 1) == (3 * 36 + 4 + 2 * 8 + 1, 5)
    after = layout("fbgemm-mx4").map(1, 2, "MXFP4")
    assert (after.scale(0, 0), after.scale(0, 1)) == (16, 33)
    assert after.code(0, 1, 0, 0) == (17, 0)
    separate = layout("gfx1250").map(40, 3, "MXFP4")
    assert separate.scale(33, 2) == 40 * 48 + 128 + 4 + 2
    assert (separate.code_bytes, separate.scales_at, separate.size) == (1920, 1920, 1920 + 64 * 4)
    assert (separate.records, separate.record_bytes, separate.codes_at) == (40, 48, 0)
    assert (places.records, places.record_bytes, places.codes_at, places.scales_at) == (4, 36, 4, 0)
    assert (after.records, after.packed_bytes, after.codes_at, after.scales_at) == (2, 16, 0, 16)
    assert (after.record_codes, places.record_codes, separate.record_codes) == (32, 64, 96)


def test_padding_of_scales_is_filled() -> None:
    data = pack_blocks([[[0] * 32]], [[5]], "MXFP4", "gfx1250")
    assert list(data) == [0] * 16 + [5] + [0x7F] * 127


def test_no_blocks() -> None:
    for record in LAYOUTS.values():
        fmt = {6: "MXFP6_E2M3"}.get(record.packing.widths[0], "MXFP4")
        fmt = "NVFP4" if record.k == 16 else fmt
        assert pack_blocks([], [], fmt, record) == b""
        assert pack_blocks([[], []], [[], []], fmt, record) == b""
        assert unpack_blocks(b"", 2, 0, fmt, record) == (((), ()), ((), ()))


WIDE_SCALE = BlockFormat("wide", element("E2M1"), FloatFormat("E8M1", 8, 1, 127, signed=False), 32)
NARROW_SCALE = BlockFormat(
    "narrow", element("E2M1"), FloatFormat("E4M3", 4, 3, 7, signed=False), 32
)


@pytest.mark.parametrize(
    ("name", "fmt", "shape", "error", "message"),
    [
        ("mx", WIDE_SCALE, (1, 1), BadFormat, "mx: scale E8M1 of 9 bits; expected 8"),
        ("mx", NARROW_SCALE, (1, 1), BadFormat, "mx: scale E4M3 of 7 bits; expected 8"),
        ("gpt-oss", "NVFP4", (1, 1), BadFormat, "gpt-oss: NVFP4 has k = 16; expected 32"),
        (
            *("gpt-oss", "MXFP8", (1, 1), BadFormat),
            "gpt-oss: MXFP8_E4M3 has elements of 8 bits; expected 4",
        ),
        (
            *("compressed-tensors", "MXFP6_E2M3", (1, 1), BadFormat),
            "compressed-tensors: MXFP6_E2M3 has elements of 6 bits; expected 4 or 8",
        ),
        ("torchao-fp6", "MXFP4", (1, 1), BadFormat, "torchao-fp6: codes of 4 bits; expected 6"),
        (
            *("ggml-nvfp4", "NVFP4", (1, 6), BadShape),
            "ggml-nvfp4: rows of 6 blocks; expected a multiple of 4",
        ),
        ("mx", "MXFP4", (-1, 1), BadShape, "row-major: -1 x 1 scales; expected 0 or more of each"),
        (
            *("fbgemm-mx4", "MXFP4", (1, -1), BadShape),
            "row-major: 1 x -1 scales; expected 0 or more of each",
        ),
    ],
)
def test_blocks_that_a_layout_does_not_hold(
    name: str, fmt: Any, shape: tuple[int, int], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        layout(name).map(*shape, fmt)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["mx", "ggml-mxfp4", "fbgemm-mx4"])
def test_blocks_that_are_not_there(name: str) -> None:
    places = layout(name).map(2, 3, "MXFP4")
    for row, column in ((2, 0), (3, 0), (-1, 0), (0, 3), (0, 4), (0, -1)):
        message = f"^{name}: block \\({row}, {column}\\); expected within 2 x 3$"
        with pytest.raises(BadShape, match=message):
            places.scale(row, column)
        with pytest.raises(BadShape, match=message):
            places.code(row, column, 0, 0)
    for i in (-1, 32, 33):
        with pytest.raises(BadShape, match=f"^{name}: code {i} of a block; expected below k = 32$"):
            places.code(0, 0, i, 0)
    with pytest.raises(BadShape, match=r"bit 4 of code"):
        places.code(0, 0, 0, 4)


def test_blocks_of_another_shape() -> None:
    block = [0] * 32
    cases: list[tuple[Any, Any, str]] = [
        ([[block]], [[1], [2]], r"^codes of 1 x 1 blocks; expected 2 x 1$"),
        ([[block]], [[1, 2]], r"^codes of 1 x 1 blocks; expected 1 x 2$"),
        ([[block, block]], [[1]], r"^codes of 1 x 2 blocks; expected 1 x 1$"),
        ([[block], [block]], [[1]], r"^codes of 2 x 1 blocks; expected 1 x 1$"),
        ([[block], [block, block]], [[1], [2]], r"^rows of 1 and of 2 entries"),
        ([[block[1:]]], [[1]], r"^block \(0, 0\), 31 codes; expected k = 32$"),
        ([[[*block, 0]]], [[1]], r"^block \(0, 0\), 33 codes; expected k = 32$"),
    ]
    for codes, scales, message in cases:
        with pytest.raises(BadShape, match=message):
            pack_blocks(codes, scales, "MXFP4", "mx")
    with pytest.raises(BadCode, match=r"^block \(0, 1\), code 31: 0x10 does not fit 4 bits"):
        pack_blocks([[block, [*block[1:], 16]]], [[1, 2]], "MXFP4", "mx")
    with pytest.raises(BadCode, match=r"^block \(0, 0\), scale: 0x100 does not fit 8 bits"):
        pack_blocks([[block]], [[256]], "MXFP4", "mx")
    message = r"^16 bytes; expected 17 \(1 x 1 blocks of MXFP4_E2M1, ggml-mxfp4\)$"
    with pytest.raises(BadShape, match=message):
        unpack_blocks(bytes(16), 1, 1, "MXFP4", "ggml-mxfp4")


def test_layouts_that_cannot_be() -> None:
    with pytest.raises(BadFormat, match=r"^mine: records of 0 blocks; expected at least 1$"):
        Layout("mine", place=Place.BEFORE, blocks=0)
    for blocks in (0, 2):
        message = f"^mine: records of {blocks} blocks; expected 1, scales being separate$"
        with pytest.raises(BadFormat, match=message):
            Layout("mine", blocks=blocks)
    for place in (Place.BEFORE, Place.AFTER):
        message = r"^mine: scales are gfx950; expected separate scales$"
        with pytest.raises(BadFormat, match=message):
            Layout("mine", place=place, arrangement=GFX950)


def test_a_layout_of_ones_own() -> None:
    mine = Layout("mine", HIGH_NIBBLE_FIRST, Place.AFTER, blocks=2)
    fmt = BlockFormat("small", element("E2M1"), block_format("MXFP4").scale, 2)
    data = pack_blocks([[[1, 2], [3, 4]]], [[9, 8]], fmt, mine)
    assert data.hex() == "12340908"
    odd = BlockFormat("odd", element("E2M1"), block_format("MXFP4").scale, 3)
    assert pack_blocks([[[1, 2, 3], [4, 5, 6]]], [[9, 8]], odd, mine).hex() == "1234560908"
    with pytest.raises(FrozenInstanceError):
        mine.map(1, 2, odd).rows = 3  # type: ignore[misc]
    assert str(mine) == "mine"


def test_lookup() -> None:
    assert [*PACKINGS] == [record.name for record in PACKINGS.values()]
    assert packing("High_Nibble_First") is HIGH_NIBBLE_FIRST
    assert arrangement("NVIDIA-128x4") is NVIDIA_128X4
    assert layout("GGML_mxfp4") is LAYOUTS["ggml-mxfp4"]
    for find, record in ((packing, DENSE), (arrangement, GFX950), (layout, LAYOUTS["mx"])):
        assert find(record) is record
    with pytest.raises(UnknownName, match=r"^unknown packing 'dens'; did you mean dense\?$"):
        packing("dens")
    with pytest.raises(
        UnknownName, match=r"^unknown arrangement of scales 'gfx95'; did you mean gfx950"
    ):
        arrangement("gfx95")
    with pytest.raises(UnknownName, match=r"^unknown layout 'zzz'; expected one of mx, bytes, "):
        layout("zzz")
    for call in (
        lambda: pack([], 4, "zzz"),
        lambda: unpack(b"", 0, 4, "zzz"),
        lambda: pack_scales([], "zzz"),
        lambda: unpack_scales(b"", 0, 0, "zzz"),
        lambda: pack_blocks([], [], "MXFP4", "zzz"),
        lambda: unpack_blocks(b"", 0, 0, "MXFP4", "zzz"),
    ):
        with pytest.raises(UnknownName, match=r"unknown .* 'zzz'"):
            call()


def test_names_are_accepted_where_records_are() -> None:
    assert pack([2, 7], 4, "high-nibble-first") == b"\x27"
    assert unpack(b"\x27", 2, 4, "high-nibble-first") == (2, 7)
    assert unpack_scales(b"\x01\x02", 1, 2, "row-major") == ((1, 2),)


@pytest.mark.parametrize(
    "record", [*PACKINGS.values(), *ARRANGEMENTS.values(), *LAYOUTS.values()], ids=str
)
def test_every_record_says_who_uses_it(record: Packing | Arrangement | Layout) -> None:
    assert re.fullmatch(r"\S.*\S", record.seen)


@pytest.mark.clause("MX-5.1-LAYOUT")
def test_the_layout_is_free() -> None:
    """The same block comes out of every layout that takes it."""
    fmt = block_format("MXFP4")
    codes, scales = block_codes(fmt, 1, 1), [[120]]
    found = {
        name: unpack_blocks(pack_blocks(codes, scales, fmt, record), 1, 1, fmt, record)
        for name, record in layouts.LAYOUTS.items()
        if takes(record, fmt)
    }
    assert len(found) == 12
    assert all(each == ((tuple(map(tuple, codes[0])),), ((120,),)) for each in found.values())
