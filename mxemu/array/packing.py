"""Layouts as array code: the maps of `mxemu.layout` over whole arrays.

Packings run as loops over a table of one period, which is filled from the core's map; four, six and eight bits,
dense, have loops of their own. Scales are arranged by reshaping and transposing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import product
from math import gcd, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mxemu.array.inputs import Array, check_out, check_range, code_dtype, to_array, to_codes
from mxemu.array.jit import kernel
from mxemu.array.threads import spread
from mxemu.errors import BadFormat, BadShape, BadType
from mxemu.formats import BlockFormat, ElementFormat
from mxemu.formats import element as find_element
from mxemu.layout import (
    BYTES,
    DENSE,
    SCALE_WIDTH,
    Arrangement,
    Axis,
    BlockMap,
    Layout,
    Packing,
)
from mxemu.layout import arrangement as find_arrangement
from mxemu.layout import layout as find_layout
from mxemu.layout import packing as find_packing

Bytes = NDArray[np.uint8]

_BYTE = np.dtype(np.uint8)
# Items of a piece: enough to hide the cost of a call, few enough for copies of strided input to stay in the cache.
_PIECE = 1 << 18
# Widths that have a loop of their own in a packing; 8 is one code a byte.
_LOOPS = {
    (DENSE, 4): 4,
    (DENSE, 6): 6,
    (DENSE, 8): 8,
    **{(BYTES, width): 8 for width in BYTES.widths},
}


class _Table(NamedTuple):
    """Where the bits of a packing sit, over the codes after which they sit alike again.

    Attributes
    ----------
    entries : ndarray of int64, shape (entries, 5)
        Byte, code, lowest bit of the code, mask, lowest bit in the byte.
    period, span : int
        Codes and bytes after which the pattern repeats.
    loop : int
        The loop for whole periods, see _LOOPS; 0 for none.
    """

    entries: Array
    period: int
    span: int
    loop: int


@lru_cache(maxsize=256)
def _table(record: Packing, width: int) -> _Table:
    """The table of a packing, from the core's map: neighbouring bits that stay together are one entry."""
    bits = record.group_bits(width)
    groups = 8 // gcd(bits, 8)
    period = groups * record.group
    entries: list[list[int]] = []
    for code, bit in product(range(period), range(width)):
        byte, place = record.position(code, bit, period, width)
        last = entries[-1] if bit else [-1] * 5
        if last[0] == byte and last[4] + bit - last[2] == place:
            last[3] |= 1 << (bit - last[2])
        else:
            entries.append([byte, code, bit, 1, place])
    loop = _LOOPS.get((record, width), 0)
    return _Table(np.array(entries, np.int64), period, groups * bits // 8, loop)


@lru_cache(maxsize=256)
def _width(element: ElementFormat | str) -> int:
    """Bits of a code."""
    return find_element(element).width


def pack(
    codes: Any,
    element: ElementFormat | str,
    packing: Packing | str = DENSE,
    *,
    out: Bytes | None = None,
) -> Bytes:
    """Pack codes along the last axis.

    Parameters
    ----------
    codes : array_like of integers, shape (..., n)
    element : ElementFormat or str
        Its width is that of a code.
    packing : Packing or str
        See `mxemu.layout.PACKINGS`.
    out : ndarray of uint8, shape (..., size), optional
        Where the result goes.

    Returns
    -------
    ndarray of uint8, shape (..., size)
        Each row begins with a new byte. Bits that belong to no code are zero.

    Raises
    ------
    BadCode
        When a code does not fit the element's width; `out` is partly written then.
    BadFormat, BadShape
        When the packing takes no codes of this width, or not n of them; also for an `out` of another shape.
    BadType
        When the codes are no integers, or `out` no ndarray of uint8.

    Examples
    --------
    >>> pack([2, 7], "E2M1").tobytes().hex(), pack([2, 7], "E2M1", "bytes").tobytes().hex()
    ('72', '0207')
    """
    record, width = find_packing(packing), _width(element)
    array = to_codes(codes, width)
    *leading, n = _shape(array, "codes")
    result = _Result(out, (*leading, record.size(n, width)), _BYTE, array)
    if not _pack_rows(_matrix(array), _matrix(result.room), record, width):
        check_range(array, width)
    return result.deliver()


def unpack(
    packed: Any,
    element: ElementFormat | str,
    n: int,
    packing: Packing | str = DENSE,
    *,
    out: Array | None = None,
) -> Array:
    r"""The codes of packed rows. Bits that belong to no code are not looked at.

    Parameters
    ----------
    packed : array_like of uint8, shape (..., size), or bytes
    element : ElementFormat or str
    n : int
        Codes in a row.
    packing : Packing or str
    out : ndarray, shape (..., n), optional
        Where the result goes.

    Returns
    -------
    ndarray, shape (..., n)
        In the smallest unsigned dtype that holds the element's width.

    Raises
    ------
    BadFormat, BadShape
        When the packing takes no codes of this width, or n codes have not this size.
    BadType
        When there are no bytes.

    Examples
    --------
    >>> unpack(b"\x72", "E2M1", 2).tolist()
    [2, 7]
    """
    record, width = find_packing(packing), _width(element)
    array = _to_bytes(packed, "packed")
    *leading, size = _shape(array, "packed")
    expected = record.size(n, width)
    if size != expected:
        raise BadShape(
            f"rows of {size} bytes; {n} codes of {width} bits, {record}, take {expected}"
        )
    result = _Result(out, (*leading, n), code_dtype(width), array)
    _unpack_rows(_matrix(array), _matrix(result.room), record, width)
    return result.deliver()


def pack_scales(scales: Any, arrangement: Arrangement | str) -> Bytes:
    """Arrange a matrix of scale codes, one byte each.

    Parameters
    ----------
    scales : array_like of integers, shape (..., columns)
        All leading axes together are the rows.
    arrangement : Arrangement or str
        See `mxemu.layout.ARRANGEMENTS`.

    Returns
    -------
    ndarray of uint8, shape (size,)
        Padding holds the arrangement's fill.

    Raises
    ------
    BadCode, BadShape, BadType
        When a scale does not fit a byte; when there is no axis; when they are no integers.
    """
    record = find_arrangement(arrangement)
    array = to_codes(scales, SCALE_WIDTH)
    _shape(array, "scales")
    matrix = _matrix(array)
    rows, columns = matrix.shape
    grid = np.full(record.shape(rows, columns), record.fill, _BYTE)
    grid[:rows, :columns] = matrix
    order = _order(record)
    counts = record.counts(rows, columns)
    digits = grid.reshape([counts[place] for place in order])
    return digits.transpose(np.argsort(order)).flatten()


def unpack_scales(data: Any, rows: int, columns: int, arrangement: Arrangement | str) -> Bytes:
    """The matrix of scale codes, shape (rows, columns). Padding is not looked at.

    Raises
    ------
    BadShape
        When there are more or fewer bytes than the padded matrix has scales.
    BadType
        When there are no bytes.
    """
    record = find_arrangement(arrangement)
    size = record.size(rows, columns)
    array = _flat(data, size, f"{rows} x {columns} scales, {record}")
    digits = array.reshape(record.counts(rows, columns)).transpose(_order(record))
    return digits.reshape(record.shape(rows, columns))[:rows, :columns].copy()


def _order(record: Arrangement) -> list[int]:
    """Places of the digits in storage, in the order in which they make up row and column."""
    places = range(len(record.digits))
    return sorted(
        places,
        key=lambda place: (record.digits[place].axis is Axis.COLUMN, -record.digits[place].unit),
    )


def to_bytes(
    codes: Any, scales: Any, block_format: BlockFormat | str, layout: Layout | str = "mx"
) -> Bytes:
    """Lay out blocks.

    Parameters
    ----------
    codes : array_like of integers, shape (..., n_blocks, k)
    scales : array_like of integers, shape (..., n_blocks)
        All leading axes together are the rows.
    block_format : BlockFormat or str
    layout : Layout or str
        See `mxemu.layout.LAYOUTS`.

    Returns
    -------
    ndarray of uint8, shape (size,)
        With separate scales all codes and then all scales; `parts` takes them apart.

    Raises
    ------
    BadCode
        When a code does not fit its width.
    BadFormat, BadShape
        When the layout does not hold the format, or not blocks of this shape.
    BadType
        When codes or scales are no integers.
    """
    scales = to_codes(scales, SCALE_WIDTH)
    places = _places(scales.shape, block_format, layout)
    codes = to_codes(codes, places.width)
    expected = (*scales.shape, places.block_format.k)
    if codes.shape != expected:
        raise BadShape(f"codes have shape {codes.shape}; expected {expected}, that of scales and k")
    data = np.empty(places.size, _BYTE)
    records, packed = _records(data, places)
    flat = codes.reshape(places.records, places.record_codes)
    if not _pack_rows(flat, packed, places.layout.packing, places.width):
        check_range(codes, places.width)
    if places.separate:
        data[places.code_bytes :] = pack_scales(scales, places.layout.arrangement)
    else:
        records[:, _beside(places)] = scales.reshape(places.records, places.layout.blocks)
    return data


def from_bytes(
    data: Any,
    shape: tuple[int, ...],
    block_format: BlockFormat | str,
    layout: Layout | str = "mx",
) -> tuple[Array, Bytes]:
    """The codes and scales of laid out blocks. Padding is not looked at.

    Parameters
    ----------
    data : bytes or ndarray of uint8
    shape : tuple of int
        Shape (..., n_blocks) of the scales; all leading axes together are the rows.
    block_format : BlockFormat or str
    layout : Layout or str

    Returns
    -------
    codes : ndarray, shape (..., n_blocks, k)
        In the smallest unsigned dtype that holds the element's width.
    scales : ndarray of uint8, shape (..., n_blocks)

    Raises
    ------
    BadFormat, BadShape
        When the layout does not hold the format, or the data has another size.
    BadType
        When the data is no bytes.
    """
    places = _places(shape, block_format, layout)
    array = _flat(data, places.size, _describe(places))
    records, packed = _records(array, places)
    codes = np.empty((places.records, places.record_codes), code_dtype(places.width))
    _unpack_rows(packed, codes, places.layout.packing, places.width)
    if places.separate:
        arranged, arrangement = array[places.code_bytes :], places.layout.arrangement
        scales = unpack_scales(arranged, places.rows, places.columns, arrangement)
    else:
        scales = records[:, _beside(places)].copy()
    return codes.reshape((*shape, places.block_format.k)), scales.reshape(shape)


def parts(
    data: Any,
    shape: tuple[int, ...],
    block_format: BlockFormat | str,
    layout: Layout | str = "mx",
) -> tuple[Bytes, Bytes]:
    """The bytes of the codes and those of the scales, where a layout keeps them apart; views of the data.

    Raises
    ------
    BadFormat
        When the layout keeps each scale beside its codes; and as for `from_bytes`.
    BadShape, BadType
        As for `from_bytes`.
    """
    places = _places(shape, block_format, layout)
    if not places.separate:
        raise BadFormat(f"{places.layout}: scales beside their codes; expected separate scales")
    array = _flat(data, places.size, _describe(places))
    return array[: places.code_bytes], array[places.code_bytes :]


def _places(
    shape: tuple[int, ...], block_format: BlockFormat | str, layout: Layout | str
) -> BlockMap:
    """The maps for scales of a shape."""
    if not shape or min(shape) < 0:
        raise BadShape(f"scales of shape {shape}; expected (..., n_blocks), none below 0")
    *leading, columns = shape
    return find_layout(layout).map(prod(leading), columns, block_format)


def _describe(places: BlockMap) -> str:
    blocks = f"{places.rows} x {places.columns} blocks"
    return f"{blocks} of {places.block_format}, {places.layout}"


def _records(data: Bytes, places: BlockMap) -> tuple[Bytes, Bytes]:
    """Views of all records, one a row, and of the codes in them."""
    records = data[: places.code_bytes].reshape(places.records, places.record_bytes)
    return records, records[:, places.codes_at : places.codes_at + places.packed_bytes]


def _beside(places: BlockMap) -> slice:
    """Where in a record its scales are."""
    return slice(places.scales_at, places.scales_at + places.layout.blocks)


def _shape(array: Array, what: str) -> tuple[int, ...]:
    if not array.ndim:
        raise BadShape(f"{what} have no axis; expected at least one")
    return array.shape


def _matrix(array: Array) -> Array:
    """All leading axes as one; a view where the strides allow it."""
    return array.reshape(prod(array.shape[:-1]), array.shape[-1])


def _to_bytes(data: Any, what: str) -> Bytes:
    """Bytes or an array of uint8 as an array."""
    if isinstance(data, bytes | bytearray | memoryview):
        return np.frombuffer(data, _BYTE)
    array = to_array(data)
    if array.dtype != _BYTE:
        raise BadType(f"{what} has dtype {array.dtype}; expected uint8 or bytes")
    return array


def _flat(data: Any, size: int, what: str) -> Bytes:
    """Data as one row of bytes, if it has the expected size."""
    array = np.ascontiguousarray(_to_bytes(data, "data")).reshape(-1)
    if array.size != size:
        raise BadShape(f"{array.size} bytes; expected {size} ({what})")
    return array


class _Result:
    """Where a result goes: into `out`, or into room of its own when `out` is strided or holds the input."""

    def __init__(
        self, out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any], source: Array
    ) -> None:
        self.out = None if out is None else check_out(out, shape, dtype)
        self.room = np.empty(shape, dtype) if self.out is None else self.out
        if not self.room.flags.c_contiguous or np.may_share_memory(self.room, source):
            self.room = np.empty(shape, dtype)

    def deliver(self) -> Array:
        """The array that the caller gets."""
        if self.out is None:
            return self.room
        if self.room is not self.out:
            self.out[...] = self.room
        return self.out


def _pack_rows(codes: Array, packed: Bytes, record: Packing, width: int) -> bool:
    """Pack a matrix of codes row by row into a matrix of bytes, any strides; whether all codes fit the width."""
    table = _table(record, width)
    seen: list[int] = []

    def act(source: Array, target: Array) -> None:
        matrix = _pack_loops if table.loop else _pack_tables
        seen.append(matrix(source, target, *table))

    _sweep(act, codes, packed, (table.period, table.span))
    return not any(bits >> width for bits in seen)


def _unpack_rows(packed: Bytes, codes: Array, record: Packing, width: int) -> None:
    """Unpack a matrix of bytes row by row into a matrix of codes."""
    table = _table(record, width)

    def act(source: Array, target: Array) -> None:
        matrix = _unpack_loops if table.loop else _unpack_tables
        matrix(source, target, *table)

    _sweep(act, packed, codes, (table.span, table.period))


def _sweep(
    act: Callable[[Array, Array], None], source: Array, target: Array, unit: tuple[int, int]
) -> None:
    """Call act on contiguous pieces of both that belong together, in threads.

    Parameters
    ----------
    act : callable
    source, target : ndarray, shape (rows, items of each)
    unit : (int, int)
        So many items of a row of the source belong to so many of the target.
    """
    if not source.size:
        return
    if source.flags.c_contiguous and target.flags.c_contiguous:
        source, target = _joined(source, target, unit)
    if source.size <= _PIECE:
        _act_on(act, source, target, unit)
        return
    rows, length = source.shape
    units = max(1, _PIECE // unit[0])
    cuts = -(-length // (units * unit[0]))
    slab = max(1, _PIECE // length)

    def work(first: int, after: int) -> None:
        for piece in range(first, after):
            row, cut = divmod(piece, cuts)
            some = slice(row * slab, (row + 1) * slab)
            mine, yours = (slice(cut * units * size, (cut + 1) * units * size) for size in unit)
            _act_on(act, source[some, mine], target[some, yours], unit)

    spread(work, -(-rows // slab) * cuts, min(source.size, _PIECE))


def _act_on(
    act: Callable[[Array, Array], None], source: Array, target: Array, unit: tuple[int, int]
) -> None:
    """Call act on plain arrays: on copies where a piece is strided, read-only or not aligned."""
    room = target if target.flags.carray else np.empty(target.shape, target.dtype)
    act(*_joined(source if source.flags.carray else source.copy(), room, unit))
    if room is not target:
        target[...] = room


def _joined(source: Array, target: Array, unit: tuple[int, int]) -> tuple[Array, Array]:
    """Both contiguous matrices as one long row, if no row ends within a unit."""
    if source.shape[1] % unit[0] or target.shape[1] % unit[1]:
        return source, target
    return source.reshape(1, -1), target.reshape(1, -1)


@kernel
def _pack_tables(
    codes: Array, packed: Bytes, entries: Array, period: int, span: int, _loop: int
) -> int:
    """Pack each row by the table; returns all codes OR-ed, so that the caller sees one that is too wide."""
    seen = np.uint64(0)
    for row in range(codes.shape[0]):
        seen |= np.uint64(_pack_any(codes, packed, row, 0, entries, period, span))
    return int(seen)


@kernel
def _pack_loops(
    codes: Array, packed: Bytes, entries: Array, period: int, span: int, loop: int
) -> int:
    """The same with a loop of its own for whole periods."""
    seen = np.uint64(0)
    whole = codes.shape[1] // period
    for row in range(codes.shape[0]):
        if loop == 4:
            seen |= np.uint64(_pack4(codes, packed, row, whole))
        elif loop == 6:
            seen |= np.uint64(_pack6(codes, packed, row, whole))
        elif loop == 8:
            seen |= np.uint64(_pack8(codes, packed, row, whole))
        if whole * period < codes.shape[1]:
            seen |= np.uint64(_pack_any(codes, packed, row, whole, entries, period, span))
    return int(seen)


@kernel
def _pack4(codes: Array, packed: Bytes, row: int, whole: int) -> Any:
    """Two 4-bit codes a byte."""
    seen = np.uint8(0)
    # Two loops over a piece that stays in the cache are faster than one: each becomes plain vector code.
    for i in range(2 * whole):
        seen |= np.uint8(codes[row, i])
    for i in range(whole):
        low, high = np.uint8(codes[row, 2 * i]), np.uint8(codes[row, 2 * i + 1])
        packed[row, i] = np.uint8(low | np.uint8(high << np.uint8(4)))
    return seen


@kernel
def _pack6(codes: Array, packed: Bytes, row: int, whole: int) -> Any:
    """Four 6-bit codes in three bytes."""
    seen = np.uint8(0)
    for i in range(whole):
        a, b = codes[row, 4 * i], codes[row, 4 * i + 1]
        c, d = codes[row, 4 * i + 2], codes[row, 4 * i + 3]
        seen |= np.uint8(a | b | c | d)
        packed[row, 3 * i] = np.uint8(a | (b << 6))
        packed[row, 3 * i + 1] = np.uint8((b >> 2) | (c << 4))
        packed[row, 3 * i + 2] = np.uint8((c >> 4) | (d << 2))
    return seen


@kernel
def _pack8(codes: Array, packed: Bytes, row: int, whole: int) -> Any:
    """One code a byte."""
    seen = np.uint8(0)
    for i in range(whole):
        seen |= np.uint8(codes[row, i])
        packed[row, i] = np.uint8(codes[row, i])
    return seen


@kernel
def _pack_any(
    codes: Array, packed: Bytes, row: int, whole: int, entries: Array, period: int, span: int
) -> Any:
    """Codes of any width by a table, from period `whole` on, the incomplete last one too."""
    seen = np.uint64(0)
    n = codes.shape[1]
    for i in range(whole * period, n):
        seen |= np.uint64(codes[row, i])
    packed[row, whole * span :] = 0
    for e in range(entries.shape[0]):
        low, mask = np.uint64(entries[e, 2]), np.uint64(entries[e, 3])
        place, byte = np.uint64(entries[e, 4]), whole * span + entries[e, 0]
        for i in range(whole * period + entries[e, 1], n, period):
            field = (np.uint64(codes[row, i]) >> low) & mask
            packed[row, byte] |= np.uint8(field << place)
            byte += span
    return seen


@kernel
def _unpack_tables(
    packed: Bytes, codes: Array, entries: Array, period: int, span: int, _loop: int
) -> None:
    """Unpack each row by the table."""
    for row in range(codes.shape[0]):
        _unpack_any(packed, codes, row, 0, entries, period, span)


@kernel
def _unpack_loops(
    packed: Bytes, codes: Array, entries: Array, period: int, span: int, loop: int
) -> None:
    """The same with a loop of its own for whole periods."""
    whole = codes.shape[1] // period
    for row in range(codes.shape[0]):
        if loop == 4:
            _unpack4(packed, codes, row, whole)
        elif loop == 6:
            _unpack6(packed, codes, row, whole)
        elif loop == 8:
            _unpack8(packed, codes, row, whole, entries[0, 3])
        if whole * period < codes.shape[1]:
            _unpack_any(packed, codes, row, whole, entries, period, span)


@kernel
def _unpack4(packed: Bytes, codes: Array, row: int, whole: int) -> None:
    """Two 4-bit codes a byte."""
    for i in range(whole):
        codes[row, 2 * i] = packed[row, i] & np.uint8(15)
        codes[row, 2 * i + 1] = packed[row, i] >> np.uint8(4)


@kernel
def _unpack6(packed: Bytes, codes: Array, row: int, whole: int) -> None:
    """Four 6-bit codes from three bytes."""
    for i in range(whole):
        a, b, c = packed[row, 3 * i], packed[row, 3 * i + 1], packed[row, 3 * i + 2]
        codes[row, 4 * i] = a & 63
        codes[row, 4 * i + 1] = ((a >> 6) | (b << 2)) & 63
        codes[row, 4 * i + 2] = ((b >> 4) | (c << 4)) & 63
        codes[row, 4 * i + 3] = c >> 2


@kernel
def _unpack8(packed: Bytes, codes: Array, row: int, whole: int, mask: int) -> None:
    """One code a byte."""
    for i in range(whole):
        codes[row, i] = packed[row, i] & np.uint8(mask)


@kernel
def _unpack_any(
    packed: Bytes, codes: Array, row: int, whole: int, entries: Array, period: int, span: int
) -> None:
    """Codes of any width by a table, from period `whole` on, the incomplete last one too."""
    word = codes.dtype.type
    n = codes.shape[1]
    codes[row, whole * period :] = 0
    for e in range(entries.shape[0]):
        low, mask = np.uint64(entries[e, 2]), np.uint64(entries[e, 3])
        place, byte = np.uint64(entries[e, 4]), whole * span + entries[e, 0]
        for i in range(whole * period + entries[e, 1], n, period):
            field = (np.uint64(packed[row, byte]) >> place) & mask
            codes[row, i] |= word(field << low)
            byte += span
