"""Where codes and scales sit in bytes, as exact index maps; MX 5.1 prescribes no layout.

Three records, all of them data. A `Packing` says which bit of which byte holds each bit of a row of codes, an
`Arrangement` which byte holds each scale of a matrix of scales, and a `Layout` joins one of each and says whether
scales stand apart or beside their codes. The functions here walk over the maps bit by bit: they are the definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache
from itertools import product
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from mxemu.clauses import implements
from mxemu.errors import BadCode, BadFormat, BadShape, unknown
from mxemu.formats import BlockFormat
from mxemu.formats import block_format as find_block_format

SCALE_WIDTH = 8


def _bit(data: Sequence[int], byte: int, place: int) -> int:
    return data[byte] >> place & 1


def _check_code(code: int, width: int, what: str) -> int:
    if not 0 <= code < 1 << width:
        raise BadCode(
            f"{what} {code:#x} does not fit {width} bits; expected 0 to {(1 << width) - 1:#x}"
        )
    return code


def _check_size(data: Sequence[int], size: int, what: str) -> None:
    if len(data) != size:
        raise BadShape(f"{len(data)} bytes; expected {size} ({what})")


def _columns(matrix: Sequence[Sequence[object]]) -> int:
    """The common length of the rows; 0 without rows."""
    lengths = {len(row) for row in matrix}
    if len(lengths) > 1:
        raise BadShape(
            f"rows of {min(lengths)} and of {max(lengths)} entries; expected equal lengths"
        )
    return max(lengths, default=0)


class Field(NamedTuple):
    """Neighbouring bits of one code: bits ``first`` to ``after - 1`` of an element of the group.

    ``after`` is the code's width if it is None.
    """

    element: int
    first: int = 0
    after: int | None = None


@dataclass(frozen=True)
class Packing:
    """Where each bit of a row of n codes sits: the row is cut into groups, and each group is filled alike.

    Parameters
    ----------
    name : str
    fields : tuple of Field
        What a group holds, from its lowest bit upwards. Bit b of a group is bit b % 8 of its byte b // 8.
    group : int
        Codes in a group.
    widths : tuple of int
        Widths of codes in bits that can be packed so.
    bits : int, optional
        Bits from one group to the next, if there is padding; as many as the codes have unless given.
    whole : bool
        Whether an incomplete last group is refused. If not, the places of its missing codes stay zero.
    seen : str
        Who was seen to use it, and where that can be read; no part of a comparison.

    Raises
    ------
    BadFormat
        When the fields are not each bit of each code once, or a group has no room for them.
    """

    name: str
    fields: tuple[Field, ...]
    group: int
    widths: tuple[int, ...]
    bits: int | None = None
    whole: bool = False
    seen: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.group < 1 or not self.widths or min(self.widths) < 1:
            raise BadFormat(
                f"{self.name}: groups of {self.group} codes of {self.widths} bits; expected 1 or more of each"
            )
        # What holds for the narrowest and the widest codes holds between them.
        for width in {min(self.widths), max(self.widths)}:
            needed = set(product(range(self.group), range(width)))
            places = _places(self, width)
            if set(places) != needed or max(places.values()) >= len(needed):
                raise BadFormat(
                    f"{self.name}: fields of {width}-bit codes; expected each bit of {self.group} codes once"
                )
            if len(needed) > self.group_bits(width):
                raise BadFormat(
                    f"{self.name}: {self.bits} bits; expected room for {self.group} codes of {width} bits"
                )

    def group_bits(self, width: int) -> int:
        """Bits from one group to the next."""
        return self.group * width if self.bits is None else self.bits

    def size(self, n: int, width: int) -> int:
        """Bytes of a row of n codes.

        Parameters
        ----------
        n : int
            Codes in the row, 0 or more.
        width : int
            Bits of a code.

        Raises
        ------
        BadFormat
            When codes of this width are not packed so.
        BadShape
            When n is negative, or no multiple of the group where it has to be one.

        Examples
        --------
        >>> DENSE.size(5, 4), DENSE.size(4, 6), ALIGN16.size(17, 4)
        (3, 3, 32)
        """
        if width not in self.widths:
            raise BadFormat(f"{self.name}: codes of {width} bits; expected {_text(self.widths)}")
        if n < 0 or (self.whole and n % self.group):
            expected = f"a multiple of {self.group}" if self.whole else "0 or more"
            raise BadShape(f"{self.name}: {n} codes; expected {expected}")
        groups = -(-n // self.group)
        return -(-groups * self.group_bits(width) // 8)

    def position(self, i: int, bit: int, n: int, width: int) -> tuple[int, int]:
        """The place of one bit of one code.

        Parameters
        ----------
        i, bit : int
            Bit ``bit`` of code i; bit 0 is the lowest.
        n, width : int
            As for `size`.

        Returns
        -------
        byte, bit : int
            Offset of the byte in the row, and the bit in it; bit 0 is the lowest.

        Raises
        ------
        BadFormat, BadShape
            As for `size`; also when the row has no such code or the code no such bit.

        Examples
        --------
        >>> DENSE.position(3, 0, 32, 4), HIGH_NIBBLE_FIRST.position(3, 0, 32, 4)
        ((1, 4), (1, 0))
        """
        self.size(n, width)
        if not (0 <= i < n and 0 <= bit < width):
            raise BadShape(
                f"{self.name}: bit {bit} of code {i}; expected one of {width} bits and {n} codes"
            )
        group, element = divmod(i, self.group)
        return divmod(group * self.group_bits(width) + _places(self, width)[element, bit], 8)

    def __str__(self) -> str:
        return self.name


@lru_cache(maxsize=256)
def _places(record: Packing, width: int) -> Mapping[tuple[int, int], int]:
    """The offset in the group, in bits, of each (element, bit)."""
    bits = [
        (element, bit)
        for element, first, after in record.fields
        for bit in range(first, width if after is None else after)
    ]
    return {where: offset for offset, where in enumerate(bits)}


def _text(numbers: Sequence[int]) -> str:
    if len(numbers) > 2:
        return f"{numbers[0]} to {numbers[-1]}"
    return " or ".join(map(str, numbers))


def split_halves(k: int) -> Packing:
    """Two halves of k nibbles: byte j holds element j in its low and element j + k/2 in its high nibble.

    Raises
    ------
    BadFormat
        When k is no even number above 0.
    """
    if k < 2 or k % 2:
        raise BadFormat(f"split halves of k = {k}; expected an even number above 0")
    fields = [Field(j + half) for j in range(k // 2) for half in (0, k // 2)]
    seen = "ggml d99724f2, src/ggml-common.h: block_mxfp4 (k = 32), block_nvfp4 (k = 16)."
    return Packing(f"split-halves-{k}", tuple(fields), k, (4,), whole=True, seen=seen)


DENSE = Packing(
    "dense",
    (Field(0),),
    1,
    tuple(range(1, 65)),
    seen="4 bits (low nibble first): ONNX FLOAT4E2M1, CUDA fp4x2, gpt-oss 7b583341, torchao 36027d82, "
    "FBGEMM 71d6f8b2, aiter e4048607. 6 bits: mxDataGenerator a71a9c89, lib/include/fp6.hpp.",
)
HIGH_NIBBLE_FIRST = Packing(
    "high-nibble-first",
    (Field(1), Field(0)),
    2,
    (4,),
    seen="torchao, early pack_uint4 in snapshots of forks; operand order of PTX cvt to e2m1x2.",
)
SPLIT_HALVES = split_halves(32)
SPLIT_HALVES_16 = split_halves(16)
TORCHAO_FP6 = Packing(
    "torchao-fp6",
    (
        *(Field(1, 2, 6), Field(0, 2, 6)),
        *(Field(2, 2, 6), Field(3, 2, 6)),
        *(Field(2, 0, 2), Field(3, 0, 2), Field(1, 0, 2), Field(0, 0, 2)),
    ),
    4,
    (6,),
    whole=True,
    seen="torchao, older pack_uint6: three bytes of high and low parts.",
)
BYTES = Packing(
    "bytes",
    (Field(0),),
    1,
    tuple(range(1, 9)),
    bits=8,
    seen="ml_dtypes 0.6.0, torchao 36027d82 (FP6), PTX cvt to e2m3x2 and e3m2x2.",
)
ALIGN16 = Packing(
    "align16",
    tuple(Field(element) for element in range(16)),
    16,
    (4, 6),
    bits=128,
    seen="CUTLASS 7107b055, copy_sm90_desc.hpp and copy_sm100.hpp: 16U6_ALIGN16B, b6x16_p32, b4x16_p64.",
)


class Axis(Enum):
    """The two indices of a scale: its row of the operand, and its block along K."""

    ROW = "row"
    COLUMN = "column"


class Digit(NamedTuple):
    """A digit of an index: index // unit % radix. Radix 0 stands for all that is left above the unit."""

    axis: Axis
    unit: int
    radix: int = 0


@dataclass(frozen=True)
class Arrangement:
    """Where each scale, one byte, of a matrix of rows x columns sits: the digits of both indices in a new order.

    Parameters
    ----------
    name : str
    digits : tuple of Digit
        From the slowest to the fastest. The digits of an axis make up its whole index.
    rows, columns : int
        The matrix is padded to multiples of these.
    fill : int
        Code in the padding.
    seen : str
        Who was seen to use it, and where that can be read; no part of a comparison.

    Raises
    ------
    BadFormat
        When the digits of an axis leave gaps, or do not divide the padded matrix.
    """

    name: str
    digits: tuple[Digit, ...]
    rows: int = 1
    columns: int = 1
    fill: int = 0
    seen: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        _check_digits(self.name, Axis.ROW, self.digits, self.rows)
        _check_digits(self.name, Axis.COLUMN, self.digits, self.columns)
        _check_code(self.fill, SCALE_WIDTH, f"{self.name}: fill")

    def shape(self, rows: int, columns: int) -> tuple[int, int]:
        """Rows and columns with padding.

        Raises
        ------
        BadShape
            When one of them is negative.
        """
        if rows < 0 or columns < 0:
            raise BadShape(f"{self.name}: {rows} x {columns} scales; expected 0 or more of each")
        return rows + -rows % self.rows, columns + -columns % self.columns

    def size(self, rows: int, columns: int) -> int:
        """Bytes, padding included."""
        padded_rows, padded_columns = self.shape(rows, columns)
        return padded_rows * padded_columns

    def counts(self, rows: int, columns: int) -> tuple[int, ...]:
        """How many values each digit has, from the slowest to the fastest; their product is the size."""
        padded_rows, padded_columns = self.shape(rows, columns)
        padded = {Axis.ROW: padded_rows, Axis.COLUMN: padded_columns}
        return tuple(digit.radix or padded[digit.axis] // digit.unit for digit in self.digits)

    def offset(self, row: int, column: int, rows: int, columns: int) -> int:
        """The byte that holds the scale of a row and column.

        Raises
        ------
        BadShape
            When there is no such row or column, or their number is negative.

        Examples
        --------
        >>> NVIDIA_128X4.offset(33, 5, 128, 8)  # second tile along K, row 1, second group of four bytes
        533
        """
        counts = self.counts(rows, columns)
        if not (0 <= row < rows and 0 <= column < columns):
            raise BadShape(
                f"{self.name}: scale ({row}, {column}); expected within {rows} x {columns}"
            )
        index = {Axis.ROW: row, Axis.COLUMN: column}
        offset = 0
        for digit, count in zip(self.digits, counts, strict=True):
            offset = offset * count + index[digit.axis] // digit.unit % count
        return offset

    def __str__(self) -> str:
        return self.name


def _check_digits(name: str, axis: Axis, digits: Iterable[Digit], multiple: int) -> None:
    """Refuse digits of which an axis's index cannot be put together again."""
    own = sorted(digit for digit in digits if digit.axis is axis)
    ends = [digit.unit * digit.radix for digit in own]
    begins = [digit.unit for digit in own]
    if begins[:1] != [1] or ends[-1] != 0 or begins[1:] != ends[:-1]:
        raise BadFormat(f"{name}: {axis.value} digits with units {begins}; expected no gaps from 1")
    if multiple < 1 or multiple % begins[-1]:
        raise BadFormat(
            f"{name}: {axis.value}s padded to {multiple}; expected a multiple of {begins[-1]}"
        )


_R, _C = Axis.ROW, Axis.COLUMN
ROW_MAJOR = Arrangement(
    "row-major",
    (Digit(_R, 1), Digit(_C, 1)),
    seen="gpt-oss 7b583341, compressed-tensors ac8e2ba8, torchao 36027d82 before to_blocked.",
)
NVIDIA_128X4 = Arrangement(
    "nvidia-128x4",
    (Digit(_R, 128), Digit(_C, 4), Digit(_R, 1, 32), Digit(_R, 32, 4), Digit(_C, 1, 4)),
    rows=128,
    columns=4,
    seen="cuBLASLt; TransformerEngine d0067d0d, cast/mxfp8/swizzle.cuh; CUTLASS 7107b055, "
    "sm100_blockscaled_layout.hpp; torchao 36027d82, to_blocked.",
)
GFX950 = Arrangement(
    "gfx950",
    (
        *(Digit(_R, 32), Digit(_C, 8)),
        *(Digit(_C, 1, 4), Digit(_R, 1, 16), Digit(_C, 4, 2), Digit(_R, 16, 2)),
    ),
    rows=256,
    columns=8,
    seen="aiter e4048607, csrc/include/mx_quant_utils.h (CDNA4 preshuffle).",
)
GFX1250 = Arrangement(
    "gfx1250",
    (Digit(_R, 32), Digit(_C, 4), Digit(_R, 1, 32), Digit(_C, 1, 4)),
    rows=32,
    columns=4,
    fill=0x7F,
    seen="aiter e4048607 (gfx1250).",
)
DEEPGEMM = Arrangement(
    "deepgemm",
    (Digit(_C, 4), Digit(_R, 1), Digit(_C, 1, 4)),
    rows=4,
    columns=4,
    seen="DeepGEMM 54e2261, packed UE8M0: an int32 holds four neighbours along K, the first one lowest; "
    "words run along the rows, which are padded to 16 bytes.",
)


class Place(Enum):
    """Where scales stand: in a byte string of their own after all codes, or in each record with its codes."""

    SEPARATE = "separate"
    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Layout:
    """How rows x columns blocks sit in bytes: a packing, and where the scales are.

    Parameters
    ----------
    name : str
    packing : Packing
    place : Place
    arrangement : Arrangement
        Of separate scales; a row of blocks along K is a row of the matrix.
    blocks : int
        Neighbouring blocks of a row that make up a record: their scales, then their codes, or the reverse.
        Separate codes are packed row by row.
    k : int, optional
        The block size that it is made for; any unless given.
    widths : tuple of int, optional
        The element widths, in bits, that it is made for; those of the packing unless given.
    seen : str
        Who was seen to use it, and where that can be read; no part of a comparison.

    Raises
    ------
    BadFormat
        When scales beside their codes are arranged, or separate ones come in records.
    """

    name: str
    packing: Packing = DENSE
    place: Place = Place.SEPARATE
    arrangement: Arrangement = ROW_MAJOR
    blocks: int = 1
    k: int | None = None
    widths: tuple[int, ...] | None = None
    seen: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.place is Place.SEPARATE:
            if self.blocks != 1:
                raise BadFormat(
                    f"{self.name}: records of {self.blocks} blocks; expected 1, scales being separate"
                )
            return
        if self.blocks < 1:
            raise BadFormat(f"{self.name}: records of {self.blocks} blocks; expected at least 1")
        if self.arrangement != ROW_MAJOR:
            raise BadFormat(f"{self.name}: scales are {self.arrangement}; expected separate scales")

    def map(self, rows: int, columns: int, block_format: BlockFormat | str) -> BlockMap:
        """The index maps of rows x columns blocks of a format.

        Raises
        ------
        BadFormat
            When the layout does not hold this format.
        BadShape
            When a number is negative, or the rows are no whole records.
        """
        return BlockMap(self, rows, columns, find_block_format(block_format))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class BlockMap:
    """Where each code and each scale of rows x columns blocks sits in the bytes of a layout; see `Layout.map`.

    Parameters
    ----------
    layout : Layout
    rows, columns : int
        Rows, and blocks in a row.
    block_format : BlockFormat
    """

    layout: Layout
    rows: int
    columns: int
    block_format: BlockFormat

    def __post_init__(self) -> None:
        layout, fmt = self.layout, self.block_format
        if fmt.scale.width != SCALE_WIDTH:
            raise BadFormat(f"{layout}: scale {fmt.scale} of {fmt.scale.width} bits; expected 8")
        if layout.k not in (None, fmt.k):
            raise BadFormat(f"{layout}: {fmt} has k = {fmt.k}; expected {layout.k}")
        if layout.widths is not None and self.width not in layout.widths:
            expected = _text(layout.widths)
            raise BadFormat(
                f"{layout}: {fmt} has elements of {self.width} bits; expected {expected}"
            )
        layout.arrangement.shape(self.rows, self.columns)
        if self.columns % layout.blocks:
            raise BadShape(
                f"{layout}: rows of {self.columns} blocks; expected a multiple of {layout.blocks}"
            )
        layout.packing.size(self.record_codes, self.width)

    @property
    def separate(self) -> bool:
        """Whether scales stand apart from the codes."""
        return self.layout.place is Place.SEPARATE

    @property
    def width(self) -> int:
        """Bits of a code."""
        return self.block_format.element.width

    @property
    def record_blocks(self) -> int:
        """Blocks whose codes are packed together: those of a record, or with separate scales of a row."""
        return self.columns if self.separate else self.layout.blocks

    @property
    def record_codes(self) -> int:
        """Codes that are packed together."""
        return self.record_blocks * self.block_format.k

    @cached_property
    def packed_bytes(self) -> int:
        """Bytes of the codes that are packed together."""
        return self.layout.packing.size(self.record_codes, self.width)

    @cached_property
    def record_bytes(self) -> int:
        """Bytes from one record (with separate scales, row) to the next."""
        return self.packed_bytes + (0 if self.separate else self.layout.blocks)

    @property
    def codes_at(self) -> int:
        """Where in a record its codes begin."""
        return self.layout.blocks if self.layout.place is Place.BEFORE else 0

    @property
    def scales_at(self) -> int:
        """Where in a record its scales begin; where separate scales begin, after all codes."""
        match self.layout.place:
            case Place.SEPARATE:
                return self.code_bytes
            case Place.BEFORE:
                return 0
            case Place.AFTER:
                return self.packed_bytes

    @property
    def records(self) -> int:
        """Records, or with separate scales rows."""
        return self.rows if self.separate else self.rows * self.columns // self.layout.blocks

    @property
    def code_bytes(self) -> int:
        """All bytes but those of separate scales."""
        return self.records * self.record_bytes

    @property
    def size(self) -> int:
        """All bytes, padding included."""
        scales = self.layout.arrangement.size(self.rows, self.columns) if self.separate else 0
        return self.code_bytes + scales

    def code(self, row: int, column: int, i: int, bit: int) -> tuple[int, int]:
        """The byte, and the bit in it, of a bit of code i of the block in a row and column.

        Raises
        ------
        BadShape
            When there is no such block, code or bit.

        Examples
        --------
        >>> LAYOUTS["ggml-mxfp4"].map(1, 2, "MXFP4").code(0, 1, 16, 0)  # byte 17 is the second scale
        (18, 4)
        """
        record, block = self._record(row, column)
        k = self.block_format.k
        if not 0 <= i < k:
            raise BadShape(f"{self.layout}: code {i} of a block; expected below k = {k}")
        packing = self.layout.packing
        byte, place = packing.position(block * k + i, bit, self.record_codes, self.width)
        return record * self.record_bytes + self.codes_at + byte, place

    def scale(self, row: int, column: int) -> int:
        """The byte of the scale of the block in a row and column.

        Raises
        ------
        BadShape
            When there is no such block.
        """
        record, block = self._record(row, column)
        if self.separate:
            arrangement = self.layout.arrangement
            return self.scales_at + arrangement.offset(row, column, self.rows, self.columns)
        return record * self.record_bytes + self.scales_at + block

    def _record(self, row: int, column: int) -> tuple[int, int]:
        """The record of a block, and which of the record's blocks it is."""
        if not (0 <= row < self.rows and 0 <= column < self.columns):
            raise BadShape(
                f"{self.layout}: block ({row}, {column}); expected within {self.rows} x {self.columns}"
            )
        return divmod(row * self.columns + column, self.record_blocks)


_Record = TypeVar("_Record", Packing, Arrangement, Layout)


def _by_name(records: Iterable[_Record]) -> Mapping[str, _Record]:
    return MappingProxyType({record.name: record for record in records})


PACKINGS = _by_name(
    (DENSE, HIGH_NIBBLE_FIRST, SPLIT_HALVES, SPLIT_HALVES_16, TORCHAO_FP6, BYTES, ALIGN16)
)
ARRANGEMENTS = _by_name((ROW_MAJOR, NVIDIA_128X4, GFX950, GFX1250, DEEPGEMM))
LAYOUTS = _by_name(
    (
        Layout("mx", seen="The plain choice: dense codes, then the scales of each row."),
        Layout("bytes", BYTES, seen="ml_dtypes 0.6.0 arrays; torchao 36027d82 for FP6."),
        Layout("high-nibble-first", HIGH_NIBBLE_FIRST, seen="torchao, early pack_uint4."),
        Layout("torchao-fp6", TORCHAO_FP6, seen="torchao, older pack_uint6."),
        Layout("nvidia-128x4", arrangement=NVIDIA_128X4, seen=NVIDIA_128X4.seen),
        Layout("gfx950", arrangement=GFX950, seen=GFX950.seen),
        Layout("gfx1250", arrangement=GFX1250, seen=GFX1250.seen),
        Layout("deepgemm", arrangement=DEEPGEMM, seen=DEEPGEMM.seen),
        Layout(
            "gpt-oss",
            k=32,
            widths=(4,),
            seen="gpt-oss 7b583341, gpt_oss/torch/weights.py: tensors .blocks and .scales.",
        ),
        Layout(
            "compressed-tensors",
            k=32,
            widths=(4, 8),
            seen="compressed-tensors ac8e2ba8: mxfp4-pack-quantized, mxfp8-quantized.",
        ),
        Layout(
            "ggml-mxfp4",
            SPLIT_HALVES,
            Place.BEFORE,
            k=32,
            seen="ggml d99724f2, src/ggml-common.h: block_mxfp4, 17 bytes.",
        ),
        Layout(
            "ggml-nvfp4",
            SPLIT_HALVES_16,
            Place.BEFORE,
            blocks=4,
            k=16,
            seen="ggml d99724f2, src/ggml-common.h: block_nvfp4, 36 bytes for 64 elements.",
        ),
        Layout(
            "fbgemm-mx4",
            place=Place.AFTER,
            k=32,
            widths=(4,),
            seen="FBGEMM 71d6f8b2, MX4: 16 bytes of codes, then the scale.",
        ),
        Layout(
            "scale-first",
            BYTES,
            Place.BEFORE,
            seen="gfloat 0.5.2 encode_block; Universal 297b88df, mxblock_impl.hpp.",
        ),
    )
)


def packing(name: Packing | str) -> Packing:
    """Find a packing by record (returned as it is) or by name, in any case; UnknownName with a did-you-mean."""
    return _find("packing", name, PACKINGS)


def arrangement(name: Arrangement | str) -> Arrangement:
    """Find an arrangement of scales by record or by name; UnknownName with a did-you-mean."""
    return _find("arrangement of scales", name, ARRANGEMENTS)


def layout(name: Layout | str) -> Layout:
    """Find a layout by record (returned as it is) or by name, in any case, with ``-`` or ``_``.

    Raises
    ------
    UnknownName
        With a did-you-mean.

    Examples
    --------
    >>> layout("GGML_MXFP4").packing.name
    'split-halves-32'
    >>> layout("ggml-mxfp6")
    Traceback (most recent call last):
    mxemu.errors.UnknownName: unknown layout 'ggml-mxfp6'; did you mean ggml-mxfp4 or ggml-nvfp4?
    """
    return _find("layout", name, LAYOUTS)


def _find(kind: str, name: _Record | str, records: Mapping[str, _Record]) -> _Record:
    if not isinstance(name, str):
        return name
    found = records.get(name.lower().replace("_", "-"))
    if found is None:
        raise unknown(kind, name, records)
    return found


def pack(codes: Sequence[int], width: int, packing: Packing | str = DENSE) -> bytes:
    """Pack a row of codes.

    Parameters
    ----------
    codes : sequence of int, length n
    width : int
        Bits of a code.
    packing : Packing or str

    Returns
    -------
    bytes
        Bits that belong to no code are zero.

    Raises
    ------
    BadCode
        When a code has more bits.
    BadFormat, BadShape
        When the packing takes no codes of this width, or not n of them.

    Examples
    --------
    >>> pack([2, 7], 4).hex(), pack([2, 7], 4, "high-nibble-first").hex()
    ('72', '27')
    """
    record, n = _find("packing", packing, PACKINGS), len(codes)
    data = bytearray(record.size(n, width))
    for i, code in enumerate(codes):
        _check_code(code, width, f"code {i} of {n}:")
        for bit in range(width):
            byte, place = record.position(i, bit, n, width)
            data[byte] |= (code >> bit & 1) << place
    return bytes(data)


def unpack(
    data: Sequence[int], n: int, width: int, packing: Packing | str = DENSE
) -> tuple[int, ...]:
    r"""The n codes of a packed row. Bits that belong to no code are not looked at.

    Parameters
    ----------
    data : bytes or sequence of int
    n, width : int
        Codes in the row, and bits of a code.
    packing : Packing or str

    Raises
    ------
    BadShape
        When there are more or fewer bytes than n codes take.
    BadFormat
        When the packing takes no codes of this width.

    Examples
    --------
    >>> unpack(b"\x72", 2, 4)
    (2, 7)
    """
    record = _find("packing", packing, PACKINGS)
    _check_size(data, record.size(n, width), f"{n} codes of {width} bits, {record}")
    return tuple(
        sum(_bit(data, *record.position(i, bit, n, width)) << bit for bit in range(width))
        for i in range(n)
    )


def pack_scales(scales: Sequence[Sequence[int]], arrangement: Arrangement | str) -> bytes:
    """Arrange a matrix of scale codes, one byte each.

    Parameters
    ----------
    scales : sequence of sequence of int, rows x columns
    arrangement : Arrangement or str

    Returns
    -------
    bytes
        Padding holds the arrangement's fill.

    Raises
    ------
    BadCode
        When a code does not fit a byte.
    BadShape
        When the rows are not equally long.

    Examples
    --------
    >>> pack_scales([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]], "deepgemm")[:8].hex()
    '0102030406070809'
    """
    record = _find("arrangement of scales", arrangement, ARRANGEMENTS)
    rows, columns = len(scales), _columns(scales)
    data = bytearray([record.fill]) * record.size(rows, columns)
    for row, column in product(range(rows), range(columns)):
        code = _check_code(scales[row][column], SCALE_WIDTH, f"scale ({row}, {column}):")
        data[record.offset(row, column, rows, columns)] = code
    return bytes(data)


def unpack_scales(
    data: Sequence[int], rows: int, columns: int, arrangement: Arrangement | str
) -> tuple[tuple[int, ...], ...]:
    """The matrix of scale codes, rows x columns. Padding is not looked at.

    Raises
    ------
    BadShape
        When there are more or fewer bytes than the padded matrix has scales.
    """
    record = _find("arrangement of scales", arrangement, ARRANGEMENTS)
    _check_size(data, record.size(rows, columns), f"{rows} x {columns} scales, {record}")
    return tuple(
        tuple(data[record.offset(row, column, rows, columns)] for column in range(columns))
        for row in range(rows)
    )


@implements("MX-5.1-LAYOUT")
def pack_blocks(
    codes: Sequence[Sequence[Sequence[int]]],
    scales: Sequence[Sequence[int]],
    block_format: BlockFormat | str,
    layout: Layout | str,
) -> bytes:
    """Lay out a matrix of blocks.

    Parameters
    ----------
    codes : sequence of sequence of sequence of int, rows x columns x k
    scales : sequence of sequence of int, rows x columns
    block_format : BlockFormat or str
    layout : Layout or str

    Returns
    -------
    bytes
        With separate scales, all codes and then all scales.

    Raises
    ------
    BadCode
        When a code does not fit its width.
    BadFormat, BadShape
        When the layout does not hold the format, or not blocks of this shape.

    Examples
    --------
    >>> data = pack_blocks([[[1, 6] * 16]], [[127]], "MXFP4", "ggml-mxfp4")
    >>> len(data), data[:3].hex()
    (17, '7f1166')
    """
    record = _find("layout", layout, LAYOUTS)
    columns = _columns(scales)
    places = record.map(len(scales), columns, block_format)
    if _columns(codes) != columns or len(codes) != len(scales):
        raise BadShape(
            f"codes of {len(codes)} x {_columns(codes)} blocks; expected {len(scales)} x {columns}"
        )
    fill = bytes([record.arrangement.fill])
    data = bytearray(places.code_bytes) + fill * (places.size - places.code_bytes)
    for row, column in product(range(len(scales)), range(columns)):
        _place_block(data, places, row, column, scales[row][column], codes[row][column])
    return bytes(data)


def _place_block(
    data: bytearray, places: BlockMap, row: int, column: int, scale: int, codes: Sequence[int]
) -> None:
    """Write one block where the maps say."""
    where, k = f"block ({row}, {column}),", places.block_format.k
    if len(codes) != k:
        raise BadShape(f"{where} {len(codes)} codes; expected k = {k}")
    data[places.scale(row, column)] = _check_code(scale, SCALE_WIDTH, f"{where} scale:")
    for i, code in enumerate(codes):
        _check_code(code, places.width, f"{where} code {i}:")
        for bit in range(places.width):
            byte, place = places.code(row, column, i, bit)
            data[byte] |= (code >> bit & 1) << place


class Unpacked(NamedTuple):
    """Blocks as read from bytes: codes, rows x columns x k, and scales, rows x columns."""

    codes: tuple[tuple[tuple[int, ...], ...], ...]
    scales: tuple[tuple[int, ...], ...]


@implements("MX-5.1-LAYOUT")
def unpack_blocks(
    data: Sequence[int],
    rows: int,
    columns: int,
    block_format: BlockFormat | str,
    layout: Layout | str,
) -> Unpacked:
    """The codes and scales of rows x columns blocks. Padding is not looked at.

    Raises
    ------
    BadShape
        When there are more or fewer bytes than the blocks take.
    BadFormat
        When the layout does not hold the format.
    """
    record = _find("layout", layout, LAYOUTS)
    places = record.map(rows, columns, block_format)
    fmt = places.block_format
    _check_size(data, places.size, f"{rows} x {columns} blocks of {fmt}, {record}")
    codes = tuple(
        tuple(_read_block(data, places, row, column) for column in range(columns))
        for row in range(rows)
    )
    scales = tuple(
        tuple(data[places.scale(row, column)] for column in range(columns)) for row in range(rows)
    )
    return Unpacked(codes, scales)


def _read_block(data: Sequence[int], places: BlockMap, row: int, column: int) -> tuple[int, ...]:
    return tuple(
        sum(_bit(data, *places.code(row, column, i, bit)) << bit for bit in range(places.width))
        for i in range(places.block_format.k)
    )
