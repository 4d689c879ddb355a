"""Kernels around the register tiles: codes into panels, what rows span, results out of tiles."""

from __future__ import annotations

from typing import Any

import numpy as np

from mxemu.array.gemm.bits import number_of, short_word_of, word_of
from mxemu.array.inputs import Array
from mxemu.array.jit import bit_length, kernel

# Beyond every exponent, and small enough to be added to one.
FAR = 1 << 20
_LARGEST = float((1 << 15) - 1)
# Positions along K that are packed for all rows of a panel before the next ones.
_RUN = 32


@kernel
def survey(
    codes: Array,
    scales: Array,
    k: int,
    window: int,
    magnitudes: Array,
    squares: Array,
    factors: Array,
    scale_low: Array,
    scale_high: Array,
    low: Array,
    high: Array,
    longest: Array,
    total: Array,
    peak: Array,
    rows: Array,
    first: int,
    after: int,
) -> None:
    """What some rows span; see `sides.Survey`. ``squares`` are those of the magnitudes."""
    flat = codes.reshape(-1)
    for place in range(first, after):
        row = rows[place]
        least, most, span = np.int64(FAR), np.int64(-FAR), np.int64(0)
        whole, largest, own, seen = 0.0, 0.0, 0.0, np.uint64(0)
        at, block, block_end, window_end = 0, 0, k, window
        while at < codes.shape[1]:
            end = min(block_end, window_end, codes.shape[1])
            scale, base = scales[row, block], np.uint64(row * codes.shape[1])
            square, other = 0.0, 0.0
            for step in range(at, end - 1, 2):
                one, two = flat[base + np.uint64(step)], flat[base + np.uint64(step + 1)]
                seen |= magnitudes[one] | magnitudes[two]
                square += squares[one]
                other += squares[two]
            if (end - at) & 1:
                last = flat[base + np.uint64(end - 1)]
                seen |= magnitudes[last]
                square += squares[last]
            if abs(factors[scale]) < np.inf:
                own += (square + other) * factors[scale] * factors[scale]
            at = end
            if at == window_end or at == codes.shape[1]:
                largest, whole, own, window_end = max(largest, own), whole + own, 0.0, at + window
            if at == block_end or at == codes.shape[1]:
                if seen != np.uint64(0) and scale_high[scale] > -FAR:
                    bits = np.int64(seen)
                    bottom, top = bit_length(bits & -bits) - 1, bit_length(bits)
                    span = max(span, top - bottom)
                    least = min(least, bottom + scale_low[scale])
                    most = max(most, top + scale_high[scale])
                seen, block, block_end = np.uint64(0), block + 1, at + k
        low[place], high[place], longest[place] = least, most, span
        total[place], peak[place] = whole, largest


@kernel
def bounds(scales: Array, scale_low: Array, scale_high: Array, low: Array, high: Array) -> None:
    """The lowest bit and the top of the scales of each row."""
    for row in range(scales.shape[0]):
        least, most = np.int64(FAR), np.int64(-FAR)
        for code in scales[row]:
            least = min(least, np.int64(scale_low[code]))
            most = max(most, np.int64(scale_high[code]))
        low[row], high[row] = least, most


@kernel
def pack(
    codes: Array,
    scales: Array,
    k: int,
    numbers: Array,
    factors: Array,
    finite: Array,
    pick: Array,
    width: int,
    start: int,
    stop: int,
    panels: Array,
    first: int,
    after: int,
    flags: Array,
) -> None:
    """Elements times scales of the picked rows, in panels of ``width`` rows: positions start to stop.

    What is not finite is packed as zero, and its row is flagged. Beyond the last row and position there are zeros.
    ``finite`` is a mask of codes and the largest masked code of a finite number.
    """
    flat, limit = codes.reshape(-1), min(stop, codes.shape[1])
    mask, top = np.uint8(finite[0]), finite[1]
    starts, own = np.empty(width, np.uint64), np.empty(width, numbers.dtype)
    for panel in range(first, after):
        base, count = (
            (panel - first) * (stop - start) * width,
            min(width, pick.size - panel * width),
        )
        if count < width or limit < stop:
            panels[base : base + (stop - start) * width] = 0
        begin = start
        while begin < limit:
            block = begin // k
            end = min(begin + _RUN, limit, (block + 1) * k)
            suspicious = False
            for side in range(count):
                row = pick[panel * width + side]
                starts[side] = np.uint64(row * codes.shape[1] + begin)
                own[side] = factors[scales[row, block]]
                highest = np.uint8(0)
                for code in codes[row, begin:end]:
                    highest = max(highest, np.uint8(code & mask))
                suspicious |= highest > top or not abs(own[side]) < np.inf
            place = base + (begin - start) * width
            for step in range(end - begin):
                for side in range(count):
                    number = numbers[flat[starts[side] + np.uint64(step)]] * own[side]
                    panels[np.uint64(place) + np.uint64(side)] = number
                place += width
            if suspicious:
                run = panels[base + (begin - start) * width : place]
                _clean(run, width, count, pick[panel * width :], flags)
            begin = end


@kernel
def _clean(run: Array, width: int, count: int, rows: Array, flags: Array) -> None:
    """Make what is not finite zero, and flag its row."""
    for start in range(0, run.size, width):
        for side in range(count):
            if not abs(run[start + side]) < np.inf:
                run[start + side] = 0
                flags[rows[side]] = 1


@kernel
def pack_words(
    codes: Array,
    scales: Array,
    k: int,
    numbers: Array,
    factors: Array,
    lowest_of: Array,
    whole_from: Array,
    most: float,
    units: Array,
    inverses: Array,
    finite: Array,
    pick: Array,
    width: int,
    start: int,
    stop: int,
    pairs: Array,
    places: Array,
    sides: Array,
    values: Array,
    counts: Array,
    room: int,
    first: int,
    after: int,
    flags: Array,
) -> None:
    """As `pack`, as 16-bit integers in units of each picked row, two positions in a pair.

    What is no whole number, or too large, is zero and goes to a list of its panel: position, row, value in units; in
    order of positions, and not beyond its room, but counted. Units are given as exponents and as inverses,
    ``lowest_of`` the exponents of the lowest bit by scale code, ``most`` the largest magnitude of an element.
    """
    flat, limit = codes.reshape(-1), min(stop, codes.shape[1])
    mask, top = np.uint8(finite[0]), finite[1]
    starts, own, broken = np.empty(width, np.uint64), np.empty(width), np.empty(width, np.bool_)
    for panel in range(first, after):
        base = (panel - first) * (stop - start) // 2 * width
        count = min(width, pick.size - panel * width)
        if count < width or limit < stop:
            pairs[base : base + (stop - start) // 2 * width] = 0
        begin = start
        while begin < limit:
            block = begin // k
            end = min(begin + _RUN, limit, (block + 1) * k)
            for side in range(count):
                row = pick[panel * width + side]
                scale = scales[row, block]
                starts[side] = np.uint64(row * codes.shape[1] + begin)
                own[side] = factors[scale] * inverses[row]
                highest, lowest = np.uint8(0), np.uint8(255)
                for code in codes[row, begin:end]:
                    masked = np.uint8(code & mask)
                    highest, lowest = (
                        max(highest, masked),
                        min(lowest, np.uint8(masked - np.uint8(1))),
                    )
                beyond = min(max(units[row] - lowest_of[scale], 0), whole_from.size - 1)
                broken[side] = highest > top or lowest < whole_from[beyond] or (end - begin) & 1
                if not most * abs(own[side]) <= _LARGEST:
                    broken[side] = True
                    if not abs(own[side]) < np.inf:
                        own[side] = 0.0
            place = base + (begin - start) // 2 * width
            for step in range(0, end - begin - 1, 2):
                for side in range(count):
                    at = starts[side] + np.uint64(step)
                    lower = np.int32(numbers[flat[at]] * own[side])
                    upper = np.int32(numbers[flat[at + np.uint64(1)]] * own[side])
                    pair = np.int32(upper << 16) | (lower & np.int32(0xFFFF))
                    pairs[np.uint64(place) + np.uint64(side)] = pair
                place += width
            for side in range(count):
                if broken[side]:
                    counts[panel - first] = _mend(
                        codes, pick[panel * width + side], begin, end, numbers, own[side], flags,
                        pairs, base + (begin - start) // 2 * width + side, width, places, sides,
                        values, (panel - first) * room, counts[panel - first], room, side,
                    )  # fmt: skip
            begin = end


@kernel
def _mend(
    codes: Array,
    row: int,
    begin: int,
    end: int,
    numbers: Array,
    factor: float,
    flags: Array,
    pairs: Array,
    pair: int,
    width: int,
    places: Array,
    sides: Array,
    values: Array,
    base: int,
    count: int,
    room: int,
    side: int,
) -> int:
    """The pairs of a row for some positions, one by one, and what is no such integer to the list; its new length."""
    lower = np.int32(0)
    if factor == 0.0:
        flags[row] = 1  # its scale is not finite, or zero
    for place in range(begin, end):
        value, whole = numbers[codes[row, place]] * factor, np.int32(0)
        if not abs(value) < np.inf:
            flags[row] = 1
        elif abs(value) <= _LARGEST and np.float64(np.int32(value)) == value:
            whole = np.int32(value)
        else:
            at = base + count
            if count < room:
                while at > base and places[at - 1] > place:
                    places[at], sides[at], values[at] = (
                        places[at - 1],
                        sides[at - 1],
                        values[at - 1],
                    )
                    at -= 1
                places[at], sides[at], values[at] = place, side, value
            count += 1
        if (place - begin) & 1 == 0:
            lower = np.int32(whole & np.int32(0xFFFF))
            pairs[pair] = lower
        else:
            pairs[pair] = np.int32(whole << 16) | lower
            pair += width
    return count


@kernel
def pack_listed(
    codes: Array,
    scales: Array,
    numbers: Array,
    factors: Array,
    pick: Array,
    width: int,
    places: Array,
    blocks: Array,
    panels: Array,
    first: int,
    after: int,
    flags: Array,
) -> None:
    """As `pack`, for listed positions and the blocks that they are in; -1 is a zero."""
    inf, nothing = numbers.dtype.type(np.inf), numbers.dtype.type(0)
    for panel in range(first, after):
        base = (panel - first) * places.size * width
        for side in range(width):
            number = panel * width + side
            for at in range(places.size):
                value, place = nothing, places[at]
                if place >= 0 and number < pick.size:
                    row = pick[number]
                    value = numbers[codes[row, place]] * factors[scales[row, blocks[at]]]
                    if not abs(value) < inf:
                        flags[row] = 1
                        value = nothing
                panels[base + at * width + side] = value


@kernel
def spread_c(
    c: Array,
    rows: Array,
    columns: Array,
    height: int,
    width: int,
    state: Array,
    origin: int,
    first: int,
    after: int,
) -> None:
    """C into tiles; what is not finite as zero."""
    across = -(-columns.size // width)
    for panel in range(first, after):
        for side in range(min(height, rows.size - panel * height)):
            row = rows[panel * height + side]
            for place in range(columns.size):
                value = c[row, columns[place]]
                tile = panel * across + place // width
                at = (tile * height + side) * width + place % width - origin
                state[at] = value if abs(value) < np.inf else 0


@kernel
def odd(high: Any, low: Any) -> Any:
    """high + low, the rest of a rounded sum, rounded TO_ODD: a later rounding to fewer bits is then the only one."""
    if low == 0.0 or not abs(high) < np.inf:
        return high
    bits = word_of(high)
    if bits & 1 == 0:
        bits += 1 if (low > 0.0) == (high > 0.0) else -1
    return number_of(bits)


@kernel
def two_sum(a: Any, b: Any) -> Any:
    """a + b rounded, and what is missing."""
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


@kernel
def two_product(a: Any, b: Any) -> Any:
    """a * b rounded, and what is missing."""
    total = a * b
    large = np.float64(134217729.0)  # 2^27 + 1 splits a significand into halves
    a_high = a * large - (a * large - a)
    b_high = b * large - (b * large - b)
    a_low, b_low = a - a_high, b - b_high
    return total, a_low * b_low - (((total - a_high * b_high) - a_low * b_high) - a_high * b_low)


@kernel
def collect(
    state: Array,
    row_units: Array,
    column_units: Array,
    c: Array,
    add_c: bool,
    factor: float,
    rows: Array,
    columns: Array,
    height: int,
    width: int,
    form: Array,
    out: Array,
    origin: int,
    first: int,
    after: int,
) -> None:
    """Results out of tiles, as bits of binary32, rounded once: times a factor (0 for none), plus C.

    Before that they are multiplied by the units of their row, counted from the first one, and of their column.
    ``form`` is the word of a NaN, and whether zeros are positive; ``origin`` is the place at which the state begins.
    """
    across = -(-columns.size // width)
    word, positive = np.uint32(form[0]), form[1] != 0
    together = columns[columns.size - 1] - columns[0] == columns.size - 1
    flat = out.reshape(-1)
    for panel in range(first, after):
        for side in range(min(height, rows.size - panel * height)):
            row, unit = rows[panel * height + side], row_units[(panel - first) * height + side]
            for tile in range(across):
                base = ((panel * across + tile) * height + side) * width - origin
                begin = tile * width
                count = min(width, columns.size - begin)
                if together and not add_c and factor == 0.0:
                    line = np.uint64(row * out.shape[1] + columns[begin])
                    for place in range(count):
                        step = np.uint64(place)
                        scaled = state[np.uint64(base) + step] * (
                            unit * column_units[np.uint64(begin) + step]
                        )
                        flat[line + step] = _word(scaled, word, positive)
                    continue
                for place in range(count):
                    column = columns[begin + place]
                    number = state[base + place] * (unit * column_units[begin + place])
                    if factor != 0.0:
                        pair = two_product(number, factor)
                        number = odd(pair[0], pair[1])
                    if add_c and abs(c[row, column]) < np.inf:
                        pair = two_sum(number, np.float64(c[row, column]))
                        number = odd(pair[0], pair[1])
                    out[row, column] = _word(number, word, positive)


@kernel
def _word(value: Any, nan: Any, positive: bool) -> Any:
    """Bits of a result in binary32."""
    word = short_word_of(np.float32(value))
    word = nan if word & np.uint32(0x7FFFFFFF) > np.uint32(0x7F800000) else word
    return np.uint32(0) if positive and word == np.uint32(0x80000000) else word
