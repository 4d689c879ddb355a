"""The loops that run at memory speed: gathers from tables that the exact core filled. No arithmetic on numbers here.

All arrays are one-dimensional and contiguous. Every kernel works on a slice of its items, so that threads can share
one call; it starts by cutting the slice out, which shows the compiler that no index is negative. Arithmetic is cast at
each step because Numba widens 32-bit operands.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mxemu.array.inputs import Array
from mxemu.array.jit import kernel, prefetch_read, prefetch_write

# Elements between two prefetches, and how far ahead they reach.
_STEP = 64
_AHEAD = 768


@kernel
def read_ahead(array: Array, first: int, after: int, per_line: int) -> None:
    """Ask for the cache lines of array[first:after], which may reach beyond its end."""
    while first < after:
        prefetch_read(array, first)
        first += per_line


@kernel
def write_ahead(array: Array, first: int, after: int, per_line: int) -> None:
    """The same for lines that will be written."""
    while first < after:
        prefetch_write(array, first)
        first += per_line


@kernel
def encode_keys(bits: Array, shift: int, table: Array, out: Array, first: int, after: int) -> None:
    """Codes from the table over upper bits and sticky; shift above 0."""
    word = bits.dtype.type
    low = word((np.uint64(1) << np.uint64(shift)) - np.uint64(1))
    places = word(shift)
    bits, out = bits[first:after], out[first:after]
    full, per_line = bits.size // _STEP * _STEP, 64 // bits.itemsize
    for start in range(0, full, _STEP):
        read_ahead(bits, start + _AHEAD, start + _AHEAD + _STEP, per_line)
        prefetch_write(out, start + _AHEAD)
        # A constant number of steps is unrolled by the compiler.
        for i in range(_STEP):
            pattern = bits[start + i]
            upper = np.uint32(np.uint32(word(pattern >> places)) << np.uint32(1))
            out[start + i] = table[np.uint32(upper | np.uint32((pattern & low) != word(0)))]
    for i in range(full, out.size):
        pattern = bits[i]
        upper = np.uint32(np.uint32(word(pattern >> places)) << np.uint32(1))
        out[i] = table[np.uint32(upper | np.uint32((pattern & low) != word(0)))]


@kernel
def encode_direct(bits: Array, table: Array, out: Array, first: int, after: int) -> None:
    """Codes of 16-bit inputs, one table entry each."""
    bits, out = bits[first:after], out[first:after]
    full = bits.size // _STEP * _STEP
    for start in range(0, full, _STEP):
        prefetch_read(bits, start + _AHEAD)
        prefetch_read(bits, start + _AHEAD + _STEP // 2)
        for i in range(_STEP):
            out[start + i] = table[bits[start + i]]
    for i in range(full, out.size):
        out[i] = table[bits[i]]


@kernel
def decode_codes(codes: Array, mask: int, table: Array, out: Array, first: int, after: int) -> int:
    """The table's entry of each code; returns all codes OR-ed, so that the caller sees one that is too wide."""
    word = codes.dtype.type
    seen, low = word(0), word(mask)
    codes, out = codes[first:after], out[first:after]
    full, per_line = codes.size // _STEP * _STEP, 64 // out.itemsize
    for start in range(0, full, _STEP):
        prefetch_read(codes, start + _AHEAD)
        write_ahead(out, start + _AHEAD, start + _AHEAD + _STEP, per_line)
        for i in range(_STEP):
            seen = word(seen | codes[start + i])
            out[start + i] = table[word(codes[start + i] & low)]
    for i in range(full, out.size):
        seen = word(seen | codes[i])
        out[i] = table[word(codes[i] & low)]
    return int(seen)


class Carrier(NamedTuple):
    """A carrier's fields, each as a NumPy number of the carrier's own width (the counts as Python integers)."""

    magnitude: Any
    inf: Any
    min_normal: Any
    mantissa_bits: int
    bias: int
    sign_bit: int


class ScaleLookup(NamedTuple):
    """The scale code as a step function of the largest magnitude's bits, and which magnitude that is.

    Attributes
    ----------
    firsts, codes : ndarray, shape (rows,)
        Rows of `scale.scale_rows`.
    start : ndarray
        The row in which ``bits >> shift`` begins.
    shift : int
    zero_below : number of the carrier's width
        Smaller magnitudes count as zero: 1, or the smallest normal number when subnormal inputs are flushed.
    flush_block : bool
        A block without a normal number counts as zeros.
    propagate_nan, count_inf : bool
        Whether NaN and Inf take part in the search.
    """

    firsts: Array
    codes: Array
    start: Array
    shift: int
    zero_below: Any
    flush_block: bool
    propagate_nan: bool
    count_inf: bool


class Gather(NamedTuple):
    """A block table as the kernels read it.

    Attributes
    ----------
    row : ndarray of int32, shape (scale codes,)
        Where the entries of a scale's significand begin; -1 for a scale without a value.
    offset : ndarray of int64, shape (scale codes,)
        Taken from the key of V before it is looked up.
    careful_below : int
        A scale with a smaller offset needs the exponents of subnormal inputs.
    table : ndarray
    keys : int
        Entries for keys; those of zero, Inf and NaN follow.
    shift : int
        Mantissa bits left out of a key.
    """

    row: Array
    offset: Array
    careful_below: int
    table: Array
    keys: int
    shift: int


@kernel
def code_of_largest(largest: Any, lookup: ScaleLookup) -> int:
    """The scale code of a largest magnitude, by its bucket and a short search."""
    row = np.uint64(lookup.start[largest >> lookup.firsts.dtype.type(lookup.shift)])
    last = np.uint64(lookup.firsts.size - 1)
    while row < last and largest >= lookup.firsts[row + np.uint64(1)]:
        row += np.uint64(1)
    return np.int64(lookup.codes[row])


@kernel
def zero_limit_of(bits: Array, largest: Any, carrier: Carrier, lookup: ScaleLookup) -> Any:
    """Below which magnitude the elements of a block count as zero."""
    if lookup.flush_block and (largest < carrier.min_normal or largest >= carrier.inf):
        for pattern in bits:
            if carrier.min_normal <= pattern & carrier.magnitude < carrier.inf:
                return lookup.zero_below
        return carrier.inf
    return lookup.zero_below


@kernel
def largest_by_policy(bits: Array, carrier: Carrier, lookup: ScaleLookup) -> Any:
    """The largest magnitude of a block that holds an Inf or a NaN: NaN or Inf bits where the profile counts them."""
    word = bits.dtype.type
    largest = word(0)
    has_inf = False
    for pattern in bits:
        magnitude = word(pattern & carrier.magnitude)
        if magnitude > carrier.inf:
            if lookup.propagate_nan:
                return magnitude
        elif magnitude == carrier.inf:
            has_inf = True
        elif magnitude > largest:
            largest = magnitude
    return carrier.inf if has_inf and lookup.count_inf else largest


@kernel
def scale_of(
    bits: Array, largest: Any, zero_limit: Any, carrier: Carrier, lookup: ScaleLookup
) -> int:
    """The scale code of any block."""
    word = bits.dtype.type
    if largest >= carrier.inf:
        largest = largest_by_policy(bits, carrier, lookup)
    if largest < zero_limit and largest < carrier.inf:
        largest = word(0)
    return code_of_largest(word(largest), lookup)


@kernel
def _slot(magnitude: Any, offset: int, zero_limit: Any, carrier: Carrier, gather: Gather) -> int:
    """The table entry of any input: Inf, NaN and subnormal numbers too."""
    if magnitude >= carrier.inf:
        return gather.keys + 1 + np.int64(magnitude > carrier.inf)
    if magnitude < zero_limit:
        return gather.keys
    pattern = np.int64(magnitude)
    hidden = np.int64(1) << carrier.mantissa_bits
    if pattern < hidden:
        # A subnormal is renormalised: its leading one becomes the hidden bit of an exponent field below 1.
        field = np.int64(1)
        while pattern < hidden:
            pattern <<= 1
            field -= 1
        pattern += (field - 1) * hidden
    low = (np.int64(1) << gather.shift) - 1
    key = ((pattern >> gather.shift) << 1) | np.int64((pattern & low) != 0)
    return min(max(key - offset, np.int64(0)), np.int64(gather.keys - 1))


@kernel
def any_block(
    bits: Array, carrier: Carrier, lookup: ScaleLookup, gather: Gather, out: Array
) -> int:
    """The scale code of one block, whatever it holds, and its element codes into ``out``."""
    word = bits.dtype.type
    largest = word(0)
    for pattern in bits:
        largest = max(largest, word(pattern & carrier.magnitude))
    zero_limit = zero_limit_of(bits, largest, carrier, lookup)
    code = scale_of(bits, largest, zero_limit, carrier, lookup)
    entries_of(bits, code, zero_limit, carrier, gather, out)
    return code


@kernel
def entries_of(
    bits: Array, code: int, zero_limit: Any, carrier: Carrier, gather: Gather, out: Array
) -> None:
    """The table's entries for one block under a scale; zeros where the scale has no value."""
    word = bits.dtype.type
    row, stride = np.int64(gather.row[code]), gather.keys + 3
    for i in range(bits.size):
        slot = _slot(
            word(bits[i] & carrier.magnitude), gather.offset[code], zero_limit, carrier, gather
        )
        sign = np.int64(bits[i] >> word(carrier.sign_bit))
        out[i] = gather.table[row + sign * stride + slot] if row >= 0 else 0
    for i in range(bits.size, out.size):
        out[i] = 0


@kernel
def _block_at(bits: Array, n: int, k: int, block: int) -> Array:
    """The inputs of a block; the last one of a row may be shorter."""
    per_row = (n + k - 1) // k
    start = block // per_row * n + block % per_row * k
    return bits[start : start + min(k, n - block % per_row * k)]


@kernel
def quantize_any(
    bits: Array,
    n: int,
    k: int,
    carrier: Carrier,
    lookup: ScaleLookup,
    gather: Gather,
    codes: Array,
    scales: Array,
    first: int,
    after: int,
) -> None:
    """Blocks of k along rows of n, the last of a row filled up with zero codes: any input, any length."""
    for block in range(first, after):
        target = codes[block * k : (block + 1) * k]
        scales[block] = any_block(_block_at(bits, n, k, block), carrier, lookup, gather, target)


@kernel
def element_entries(
    bits: Array,
    n: int,
    k: int,
    carrier: Carrier,
    lookup: ScaleLookup,
    gather: Gather,
    scales: Array,
    out: Array,
    first: int,
    after: int,
) -> None:
    """What a table says of each element under scales that are known already: for tables of statuses."""
    word = bits.dtype.type
    for block in range(first, after):
        part = _block_at(bits, n, k, block)
        largest = word(0)
        for pattern in part:
            largest = max(largest, word(pattern & carrier.magnitude))
        zero_limit = zero_limit_of(part, largest, carrier, lookup)
        entries_of(
            part, scales[block], zero_limit, carrier, gather, out[block * k : (block + 1) * k]
        )


@kernel
def quantize_blocks(
    bits: Array, k: int, plan: Any, codes: Array, scales: Array, first: int, after: int
) -> None:
    """Whole blocks of k that follow each other.

    A block without Inf or NaN, under a scale that leaves subnormal inputs far below the smallest element, takes
    the fast lines here; any other is left to `any_block`. Records are unpacked first: handing them on costs more
    than the work. ``plan`` holds them as plain tuples, which reach a kernel in a third of the time.
    """
    carrier, lookup, gather = Carrier(*plan[0]), ScaleLookup(*plan[1]), Gather(*plan[2])
    word = bits.dtype.type
    bits, codes = bits[first * k : after * k], codes[first * k : after * k]
    scales = scales[first:after]
    mask, inf = carrier.magnitude, carrier.inf
    firsts, scale_codes, starts = lookup.firsts, lookup.codes, lookup.start
    bucket, last = word(lookup.shift), np.uint64(lookup.firsts.size - 1)
    plain_from = carrier.min_normal if lookup.flush_block else lookup.zero_below
    zero_below = lookup.zero_below
    rows, offsets, table = gather.row, gather.offset, gather.table
    places, low = word(gather.shift), word((np.uint64(1) << np.uint64(gather.shift)) - np.uint64(1))
    top, zero, stride = (
        np.int32(gather.keys - 1),
        np.int32(gather.keys),
        np.int32(gather.keys + 3),
    )
    slots = np.empty(k, np.int32)
    length, per_line = np.uint64(k), 64 // bits.itemsize
    for block in range(scales.size):
        start = np.uint64(block) * length
        read_ahead(bits, block * k + _AHEAD, block * k + _AHEAD + k, per_line)
        largest = word(0)
        for i in range(k):
            largest = max(largest, word(bits[start + np.uint64(i)] & mask))
        row = np.uint64(starts[largest >> bucket])
        while row < last and largest >= firsts[row + np.uint64(1)]:
            row += np.uint64(1)
        code = np.uint64(scale_codes[row])
        offset, base = np.int32(offsets[code]), np.int32(rows[code])
        if largest >= inf or largest < plain_from or offset < gather.careful_below or base < 0:
            scales[block] = any_block(
                bits[start : start + length],
                carrier,
                lookup,
                gather,
                codes[start : start + length],
            )
            continue
        scales[block] = scale_codes[row]
        # Two loops: the first has no memory access that depends on data, so the compiler makes it a vector loop.
        for i in range(k):
            pattern = bits[start + np.uint64(i)]
            magnitude = word(pattern & mask)
            key = np.int32(np.int32(word(magnitude >> places)) << np.int32(1))
            key = np.int32(np.int32(key | np.int32((magnitude & low) != word(0))) - offset)
            key = min(max(key, np.int32(0)), top)
            key = zero if magnitude < zero_below else key
            slots[i] = np.int32(np.int32(key + base) + (stride if pattern > mask else np.int32(0)))
        for i in range(k):
            codes[start + np.uint64(i)] = table[np.uint32(slots[i])]


def tile_width(k: int) -> int:
    """Columns that are worked on together: a tile of k rows and its codes stay in the first cache."""
    return max(16, min(256, 4096 // k))


@kernel
def quantize_columns(
    bits: Array,
    n: int,
    inner: int,
    k: int,
    width: int,
    carrier: Carrier,
    lookup: ScaleLookup,
    gather: Gather,
    codes: Array,
    scales: Array,
    first: int,
    after: int,
) -> None:
    """Blocks of k down the columns of arrays of shape (n, inner), a tile of ``width`` columns at a time.

    Codes and scales are stored by column: (inner, blocks, k) and (inner, blocks). The lines are those of
    `quantize_blocks`, with the columns of a tile in place of the elements of a block.
    """
    word = bits.dtype.type
    mask, inf = carrier.magnitude, carrier.inf
    plain_from = carrier.min_normal if lookup.flush_block else lookup.zero_below
    zero_below = lookup.zero_below
    rows, offsets, table = gather.row, gather.offset, gather.table
    places, low = word(gather.shift), word((np.uint64(1) << np.uint64(gather.shift)) - np.uint64(1))
    top, zero, stride = (
        np.int32(gather.keys - 1),
        np.int32(gather.keys),
        np.int32(gather.keys + 3),
    )
    per_column = (n + k - 1) // k
    tiles = (inner + width - 1) // width
    largest = np.empty(width, bits.dtype)
    offset, base = np.empty(width, np.int32), np.empty(width, np.int32)
    slots, plain = np.empty(width, np.int32), np.empty(width, np.bool_)
    column = np.empty(k, bits.dtype)
    tile = np.empty(width * k, codes.dtype)
    per_line = 64 // bits.itemsize
    for item in range(first, after):
        array, rest = item // (tiles * per_column), item % (tiles * per_column)
        # Down the columns first: two blocks of a column share a cache line of codes.
        block, left = rest % per_column, rest // per_column * width
        columns, length = min(width, inner - left), min(k, n - block * k)
        if length < k:
            tile[:] = 0
        origin = np.uint64((array * n + block * k) * inner + left)
        target = (array * inner + left) * per_column + block
        for c in range(columns):
            largest[c] = word(0)
        for i in range(length):
            line = origin + np.uint64(i * inner)
            for c in range(columns):
                largest[c] = max(largest[c], word(bits[line + np.uint64(c)] & mask))
        rare = False
        for c in range(columns):
            code = code_of_largest(largest[c], lookup)
            scales[target + c * per_column] = code
            offset[c], base[c], plain[c] = offsets[code], rows[code], True
            if (
                largest[c] >= inf
                or largest[c] < plain_from
                or offset[c] < gather.careful_below
                or base[c] < 0
            ):
                base[c], plain[c], rare = 0, False, True
        for i in range(length):
            line = origin + np.uint64(i * inner)
            # The same columns of the next block, while there is work to hide the wait.
            ahead = np.int64(line) + k * inner
            read_ahead(bits, ahead, ahead + columns, per_line)
            for c in range(columns):
                pattern = bits[line + np.uint64(c)]
                magnitude = word(pattern & mask)
                key = np.int32(np.int32(word(magnitude >> places)) << np.int32(1))
                key = np.int32(np.int32(key | np.int32((magnitude & low) != word(0))) - offset[c])
                key = min(max(key, np.int32(0)), top)
                key = zero if magnitude < zero_below else key
                key = np.int32(key + base[c])
                slots[c] = np.int32(key + (stride if pattern > mask else np.int32(0)))
            for c in range(columns):
                tile[np.uint64(c * k + i)] = table[np.uint32(slots[c])]
        for c in range(columns):
            place = np.uint64((target + c * per_column) * k)
            # The column's next line of codes, which lies far from its neighbours'.
            prefetch_write(codes, np.int64(place) + 64)
            for i in range(k):
                codes[place + np.uint64(i)] = tile[np.uint64(c * k + i)]
        if not rare:
            continue
        for c in range(columns):
            if not plain[c]:
                for i in range(length):
                    column[i] = bits[origin + np.uint64(i * inner + c)]
                place = target + c * per_column
                scales[place] = any_block(
                    column[:length], carrier, lookup, gather, codes[place * k : (place + 1) * k]
                )


@kernel
def dequantize_blocks(
    codes: Array,
    scales: Array,
    k: int,
    rows: Array,
    codes_in_row: int,
    known: Array,
    missing: Array,
    out: Array,
    first: int,
    after: int,
) -> int:
    """The entry of each (scale, code) pair, for whole blocks that follow each other.

    Scale codes without a row yet are marked in ``missing``. Returns all codes OR-ed.
    """
    codes, out = codes[first * k : after * k], out[first * k : after * k]
    scales = scales[first:after]
    word = codes.dtype.type
    seen, mask, length = word(0), word(codes_in_row - 1), np.uint64(k)
    per_line = 64 // out.itemsize
    for block in range(scales.size):
        scale, start = np.uint64(scales[block]), np.uint64(block) * length
        if not known[scale]:
            missing[scale] = True
        base = scale * np.uint64(codes_in_row)
        write_ahead(out, block * k + _AHEAD, block * k + _AHEAD + k, per_line)
        for i in range(k):
            code = codes[start + np.uint64(i)]
            seen = word(seen | code)
            out[start + np.uint64(i)] = rows[base + np.uint64(word(code & mask))]
    return int(seen)


@kernel
def dequantize_any(
    codes: Array,
    scales: Array,
    n: int,
    k: int,
    rows: Array,
    codes_in_row: int,
    known: Array,
    missing: Array,
    out: Array,
    first: int,
    after: int,
) -> int:
    """As `dequantize_blocks`, along rows of n, the last block of which may be shorter."""
    word = codes.dtype.type
    seen, mask = word(0), word(codes_in_row - 1)
    for block in range(first, after):
        part = _block_at(out, n, k, block)
        scale = np.uint64(scales[block])
        if not known[scale]:
            missing[scale] = True
        base = scale * np.uint64(codes_in_row)
        for i in range(part.size):
            code = codes[block * k + i]
            seen = word(seen | code)
            part[i] = rows[base + np.uint64(word(code & mask))]
    return int(seen)


@kernel
def dequantize_columns(
    codes: Array,
    scales: Array,
    n: int,
    inner: int,
    k: int,
    width: int,
    rows: Array,
    codes_in_row: int,
    known: Array,
    missing: Array,
    out: Array,
    first: int,
    after: int,
) -> int:
    """As `dequantize_blocks`, for blocks down the columns of arrays of shape (n, inner)."""
    word = codes.dtype.type
    seen, mask = word(0), word(codes_in_row - 1)
    per_column = (n + k - 1) // k
    tiles = (inner + width - 1) // width
    tile = np.empty(width * k, out.dtype)
    per_line = 64 // out.itemsize
    for item in range(first, after):
        array, rest = item // (tiles * per_column), item % (tiles * per_column)
        block, left = rest // tiles, rest % tiles * width
        columns, length = min(width, inner - left), min(k, n - block * k)
        source = (array * inner + left) * per_column + block
        # Asked for now, written after the gather.
        for i in range(length):
            line = (array * n + block * k + i) * inner + left
            write_ahead(out, line, line + columns, per_line)
        for c in range(columns):
            place = np.uint64(source + c * per_column)
            scale, start = np.uint64(scales[place]), place * np.uint64(k)
            if not known[scale]:
                missing[scale] = True
            base = scale * np.uint64(codes_in_row)
            for i in range(length):
                code = codes[start + np.uint64(i)]
                seen = word(seen | code)
                tile[np.uint64(i * width + c)] = rows[base + np.uint64(word(code & mask))]
        for i in range(length):
            line = np.uint64((array * n + block * k + i) * inner + left)
            for c in range(columns):
                out[line + np.uint64(c)] = tile[np.uint64(i * width + c)]
    return int(seen)
