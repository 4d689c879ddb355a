"""Sums over all of K that no machine number holds: a number, and the sum of what its roundings lost.

Where the rest is known well enough to tell which binary32 number the sum is rounded to, that is the result; the few
others are computed again in digits.
"""

from __future__ import annotations

import numpy as np

from mxemu.array.gemm.bits import short_word_of
from mxemu.array.gemm.digits import exact_results
from mxemu.array.gemm.drive import Part, Place, Product, Result, Slab
from mxemu.array.gemm.packs import odd, two_sum
from mxemu.array.gemm.sides import Side
from mxemu.array.gemm.sums import split
from mxemu.array.gemm.tiles import ROWS, sums
from mxemu.array.inputs import Array
from mxemu.array.jit import kernel

_ULP = 2.0**-53


class Cascade(Product):
    """All products and C exactly, one rounding.

    Parameters
    ----------
    a, b : Side
    length : int
        Sums over so many positions are exact in float64.
    bit : int, optional
        They are if A's magnitudes are split at this bit.
    """

    def __init__(self, a: Side, b: Side, length: int, bit: int | None = None) -> None:
        super().__init__(a, b, np.float64, np.float64, length, late_c=True)
        self.parts = [a.element.numbers] if bit is None else list(split(a, bit))
        self.singly = 1 if bit is not None else length

    def new_state(self, size: int) -> list[Array]:
        """Sums, the sums of what was lost, and those of its magnitudes."""
        return [super(Cascade, self).new_state(size)[0] for _ in range(3)]

    def buffers(self, side: Side, panels: int, positions: int) -> list[Array]:
        count = len(self.parts) if side is self.a else 1
        return [super(Cascade, self).buffers(side, panels, positions)[0] for _ in range(count)]

    def pack(self, side: Side, pick: Array, part: Part, buffers: list[Array]) -> None:
        parts = self.parts if side is self.a else [side.element.numbers]
        for numbers, buffer in zip(parts, buffers, strict=True):
            self.pack_numbers(side, pick, part, buffer, (numbers, side.scale.numbers))

    def step(
        self,
        left: list[Array],
        right: list[Array],
        state: list[Array],
        panels: tuple[int, int],
        slab: Slab,
    ) -> None:
        lengths = (slab.stop - slab.start, slab.stretch, self.length)
        for part in left:
            _add_cascades(part, right[0], *state, *panels, ROWS * self.width, *lengths)

    def finish(self, place: Place, result: Result, state: list[Array]) -> None:
        """Results of some panels of A, and again those that are not sure."""
        begin = place.first * ROWS
        rows = place.rows[begin : place.after * ROWS]
        unsure = np.zeros((len(rows), len(place.picked)), np.uint8)
        terms = len(self.parts) * (self.end // self.length) + 1
        skip = place.first * ROWS * -(-len(place.picked) // self.width) * self.width - place.origin
        c = np.zeros((0, 0), np.float32) if result.c is None else result.c
        _decide(
            *(array[skip:] for array in state), (4 * terms + 8) * _ULP, c, result.c is not None,
            rows, place.picked, ROWS, self.width, result.form, result.bits, unsure,
        )  # fmt: skip
        found = np.nonzero(unsure)
        if len(found[0]):
            own = rows[found[0]], place.picked[found[1]]
            Pairs(self.a, self.b, self.singly).run(*own, result)


class Pairs:
    """Single results, in digits.

    Parameters
    ----------
    a, b : Side
    length : int
        Sums over so many positions are exact in float64.
    """

    def __init__(self, a: Side, b: Side, length: int) -> None:
        self.a, self.b, self.length = a, b, length

    def run(self, rows: Array, picked: Array, result: Result) -> None:
        """Fill the results of some rows of A, each with one row of B."""
        bits = exact_results(self.a, self.b, rows, picked, result.c, self.length)
        if result.form[1]:
            bits[bits == np.uint32(1 << 31)] = 0
        result.bits[rows, picked] = bits


@kernel
def _add_cascades(
    a: Array,
    b: Array,
    total: Array,
    rest: Array,
    size: Array,
    high: int,
    wide: int,
    tile: int,
    positions: int,
    stretch: int,
    length: int,
) -> None:
    """Add the exact sum of each block."""
    width = tile // ROWS
    found = np.empty(stretch // length * tile)
    for begin in range(0, positions, stretch):
        count = min(stretch, positions - begin)
        blocks = count // length
        for i in range(high):
            for j in range(wide):
                left, right = (begin * high + i * count) * ROWS, (begin * wide + j * count) * width
                found[: blocks * tile] = 0.0
                sums(a, left, b, right, found, 0, blocks, length, tile)
                place = (i * wide + j) * tile
                for block in range(blocks):
                    cascade(
                        found[block * tile : (block + 1) * tile],
                        total[place : place + tile],
                        rest[place : place + tile],
                        size[place : place + tile],
                    )


@kernel
def cascade(terms: Array, total: Array, rest: Array, size: Array) -> None:
    """Add a term to each sum, and what is lost to the sum of that."""
    for place in range(terms.size):
        pair = two_sum(total[place], terms[place])
        total[place] = pair[0]
        rest[place] += pair[1]
        size[place] += abs(pair[1])


@kernel
def _decide(
    total: Array,
    rest: Array,
    size: Array,
    error: float,
    c: Array,
    add_c: bool,
    rows: Array,
    columns: Array,
    height: int,
    width: int,
    form: Array,
    out: Array,
    unsure: Array,
) -> None:
    """Results as bits of binary32 where they are sure: the rest is off by at most ``error`` of its size."""
    across = -(-columns.size // width)
    for row in range(rows.size):
        for column in range(columns.size):
            tile = row // height * across + column // width
            at = (tile * height + row % height) * width + column % width
            number, lost, most = total[at], rest[at], size[at]
            if add_c:
                other = np.float64(c[rows[row], columns[column]])
                if abs(other) < np.inf:
                    pair = two_sum(number, other)
                    number, lost, most = pair[0], lost + pair[1], most + abs(pair[1])
            below, above = (
                two_sum(number, lost - most * error),
                two_sum(number, lost + most * error),
            )
            bits = short_word_of(np.float32(odd(below[0], below[1])))
            if bits != short_word_of(np.float32(odd(above[0], above[1]))):
                unsure[row, column] = 1
            elif form[1] != 0 and bits == np.uint32(0x80000000):
                out[rows[row], columns[column]] = np.uint32(0)
            else:
                out[rows[row], columns[column]] = bits
