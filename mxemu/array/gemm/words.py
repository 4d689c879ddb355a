"""Sums of products of 16-bit integers: rows in units of their own, with what is no whole number of them apart.

The unit of a row is a power of two such that the root of the sum of squares of any `WINDOW` positions is below 2^15
units, or 2^16. Then sums over a window fit 32 bits, and nearly all elements of ordinary data are whole numbers of
units. The few others are zero in the integers, and their products are added one by one.
"""

from __future__ import annotations

import numpy as np

from mxemu.array.gemm.drive import Part, Place, Product, Result, Slab, aligned
from mxemu.array.gemm.packs import pack_words
from mxemu.array.gemm.sides import Side
from mxemu.array.gemm.tiles import ROWS, add_column, add_row, word_sums
from mxemu.array.inputs import Array
from mxemu.array.jit import kernel, small

# Bits of the root of a sum of squares in units: of A, which is the quicker one to mend, and of B.
_BITS = (14.99, 15.99)
_STRETCH = 1024
# One of so many elements may be no whole number of units.
_SPARSE = 48
# Elements that are looked at to guess how many are.
_ROWS, _POSITIONS = 16, 256


class Words(Product):
    """All products exactly, in results that float64 holds, and one rounding.

    Parameters
    ----------
    a, b : Side
    peaks : pair of ndarray of float64
        Logarithms of the roots of the largest sums of squares, for each row; see `Survey`.
    length : int
        Positions that are added in 32 bits, at most `WINDOW`.
    otherwise : Product
        What computes all results if too many elements are no whole numbers of units.
    """

    def __init__(
        self, a: Side, b: Side, peaks: tuple[Array, Array], length: int, otherwise: Product
    ) -> None:
        super().__init__(a, b, np.int32, np.float64, length, late_c=True)
        self.starts_empty = False
        exponents = [
            np.where(peak > -np.inf, np.ceil(peak - bits), 0)
            for peak, bits in zip(peaks, _BITS, strict=True)
        ]
        self.units = [(each.astype(np.int64), np.exp2(-each), np.exp2(each)) for each in exponents]
        self.otherwise = otherwise
        self.full = False

    def run(self, rows: Array, picked: Array, result: Result) -> None:
        if not all(self._is_whole(one, own) for one, own in ((self.a, rows), (self.b, picked))):
            self.full = True
        if not self.full:
            super().run(rows, picked, result)
        if self.full:
            self.otherwise.run(rows, picked, result)

    def _is_whole(self, side: Side, rows: Array) -> bool:
        """Whether most of some elements are whole numbers of units."""
        own = rows[:: max(len(rows) // _ROWS, 1)]
        codes = side.codes[own, :_POSITIONS]
        blocks = np.arange(codes.shape[1]) // side.k
        with np.errstate(invalid="ignore"):
            numbers = side.element.numbers[codes] * side.scale.numbers[side.scales[own][:, blocks]]
        numbers = numbers * self._units(side)[1][own][:, None]
        broken = np.isfinite(numbers) & (numbers != np.rint(numbers))
        return int(np.count_nonzero(broken)) <= numbers.size // _SPARSE

    def _units(self, side: Side) -> tuple[Array, Array]:
        """Exponents of the units of each row, and how many of them are one."""
        return self.units[int(side is self.b)][:2]

    @property
    def stretch(self) -> int:
        return max(_STRETCH // self.length, 1) * self.length

    def _room(self, side: Side) -> int:
        """Elements of a panel that may be no whole numbers of units."""
        return self.slab * self.breadth(side) // (_SPARSE // 2)

    def buffers(self, side: Side, panels: int, positions: int) -> list[Array]:
        """Pairs of integers; positions, rows and values of what is no whole number, and how many in each panel."""
        size, room = panels * positions * self.breadth(side), panels * self._room(side)
        kinds = ((room, np.int32), (room, np.int32), (room, np.float64), (panels, np.int64))
        return [aligned(size // 2, np.int32), *(np.empty(*kind) for kind in kinds)]

    def pack(self, side: Side, pick: Array, part: Part, buffers: list[Array]) -> None:
        width, room = self.breadth(side), self._room(side)
        own = slice(part.first - part.origin, part.after - part.origin)
        pairs, places, sides, values, counts = buffers
        if part.begin % self.slab == 0:
            counts[own] = 0
        lists = (each[own.start * room :] for each in (places, sides, values))
        pack_words(
            side.codes, side.scales, side.k, side.element.numbers, side.scale.numbers,
            side.scale.low + side.element.unit, side.element.whole_from, side.element.most,
            *self._units(side), side.element.finite, pick, width, part.begin, part.end,
            pairs[part.skip // 2 * width :], *lists, counts[own], room,
            part.first, part.after, side.flags,
        )  # fmt: skip
        if counts[own].max(initial=0) > room:
            self.full = True

    def step(
        self,
        left: list[Array],
        right: list[Array],
        state: list[Array],
        panels: tuple[int, int],
        slab: Slab,
    ) -> None:
        if self.full:
            return
        lengths = (slab.stop - slab.start, slab.stretch, self.length, slab.start)
        rooms = (self._room(self.a), self._room(self.b))
        _add_words(*left, *right, state[0], ROWS * self.width, *panels, *lengths, *rooms)

    def sizes(self, place: Place) -> tuple[Array, Array]:
        rows = place.rows[place.first * ROWS : place.after * ROWS]
        return self.units[0][2][rows], self.units[1][2][place.picked]


@kernel
def _add_words(
    a: Array,
    a_places: Array,
    a_sides: Array,
    a_values: Array,
    a_counts: Array,
    b: Array,
    b_places: Array,
    b_sides: Array,
    b_values: Array,
    b_counts: Array,
    state: Array,
    tile: int,
    high: int,
    wide: int,
    positions: int,
    stretch: int,
    length: int,
    start: int,
    a_room: int,
    b_room: int,
) -> None:
    """The tiles of some panels of A and all panels of B, with what is no whole number in either."""
    width = tile // ROWS
    a_from, a_to = np.arange(high) * a_room, np.arange(high) * a_room
    b_from, b_to = np.arange(wide) * b_room, np.arange(wide) * b_room
    for begin in range(0, positions, stretch):
        count = min(stretch, positions - begin)
        advance(a_places, a_counts, a_room, start + begin + count, a_from, a_to)
        advance(b_places, b_counts, b_room, start + begin + count, b_from, b_to)
        for i in range(high):
            left = (begin * high + i * count) // 2 * ROWS
            for j in range(wide):
                right = (begin * wide + j * count) // 2 * width
                place = (i * wide + j) * tile
                fresh = start + begin == 0
                word_sums(a, left, b, right, state, place, count // length, length // 2, fresh)
                add_rows(
                    a_places, a_sides, a_values, a_from[i], a_to[i],
                    b, right, start + begin, state, place, width,
                )  # fmt: skip
                add_columns(
                    b_places, b_sides, b_values, b_from[j], b_to[j],
                    a, left, start + begin, state, place,
                )  # fmt: skip
                add_pairs(
                    a_places, a_sides, a_values, a_from[i], a_to[i],
                    b_places, b_sides, b_values, b_from[j], b_to[j], state, place, width,
                )  # fmt: skip


@small
def advance(places: Array, counts: Array, room: int, end: int, first: Array, after: Array) -> None:
    """Move the first and the last one listed of each panel on to those before a position."""
    for panel in range(first.size):
        first[panel] = at = after[panel]
        while at < panel * room + counts[panel] and places[at] < end:
            at += 1
        after[panel] = at


@small
def add_rows(
    places: Array,
    sides: Array,
    values: Array,
    first: int,
    after: int,
    pairs: Array,
    panel: int,
    start: int,
    state: Array,
    tile: int,
    width: int,
) -> None:
    """Add what A lists times the integers in a panel of B, to the rows of a tile."""
    for at in range(first, after):
        place, value = places[at] - start, values[at]
        line, to = panel + place // 2 * width, tile + sides[at] * width
        add_row(pairs, line, state, to, place & 1 == 1, value)


@small
def add_columns(
    places: Array,
    sides: Array,
    values: Array,
    first: int,
    after: int,
    pairs: Array,
    panel: int,
    start: int,
    state: Array,
    tile: int,
) -> None:
    """Add what B lists times the integers in a panel of A, to the columns of a tile."""
    for at in range(first, after):
        place, value = places[at] - start, values[at]
        line, to = panel + place // 2 * ROWS, tile + sides[at]
        add_column(pairs, line, state, to, place & 1 == 1, value)


@small
def add_pairs(
    a_places: Array,
    a_sides: Array,
    a_values: Array,
    x: int,
    a_after: int,
    b_places: Array,
    b_sides: Array,
    b_values: Array,
    y: int,
    b_after: int,
    state: Array,
    tile: int,
    width: int,
) -> None:
    """Add the products of listed values with each other, where their positions are the same."""
    while x < a_after and y < b_after:
        if a_places[x] < b_places[y]:
            x += 1
        elif a_places[x] > b_places[y]:
            y += 1
        else:
            for z in range(y, b_after):
                if b_places[z] != a_places[x]:
                    break
                state[tile + a_sides[x] * width + b_sides[z]] += a_values[x] * b_values[z]
            x += 1
