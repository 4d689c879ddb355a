"""Products whose sums are exact in a machine's own numbers: of each block, or of all of K."""

from __future__ import annotations

import numpy as np

from mxemu.array.gemm.drive import Part, Product, Slab
from mxemu.array.gemm.packs import odd, two_sum
from mxemu.array.gemm.sides import Side
from mxemu.array.gemm.tiles import ROWS, sums
from mxemu.array.inputs import Array
from mxemu.array.jit import kernel


class Sums(Product):
    """Sums over runs of ``length`` positions are exact in the operands' dtype, and added to the state one by one."""

    def step(
        self,
        left: list[Array],
        right: list[Array],
        state: list[Array],
        panels: tuple[int, int],
        slab: Slab,
    ) -> None:
        tile = ROWS * self.width
        lengths = (slab.stop - slab.start, slab.stretch, self.length)
        _add_sums(left[0], right[0], state[0], *panels, tile, *lengths)


@kernel
def _add_sums(
    a: Array,
    b: Array,
    state: Array,
    high: int,
    wide: int,
    tile: int,
    positions: int,
    stretch: int,
    length: int,
) -> None:
    """The tiles of some panels of A and all panels of B."""
    width = tile // ROWS
    for begin in range(0, positions, stretch):
        count = min(stretch, positions - begin)
        blocks = count // length
        for i in range(high):
            for j in range(wide):
                left, right = (begin * high + i * count) * ROWS, (begin * wide + j * count) * width
                sums(a, left, b, right, state, (i * wide + j) * tile, blocks, length, 0)


class SplitSums(Product):
    """Sums of blocks too long for float64: A is split in two, and both sums are joined and rounded once.

    Parameters
    ----------
    a, b : Side
    length : int
        Of a block.
    bit : int
        A's magnitudes are split at this bit.
    """

    def __init__(self, a: Side, b: Side, length: int, bit: int) -> None:
        super().__init__(a, b, np.float64, np.float32, length)
        self.halves = split(a, bit)

    def buffers(self, side: Side, panels: int, positions: int) -> list[Array]:
        count = len(self.halves) if side is self.a else 1
        return [super(SplitSums, self).buffers(side, panels, positions)[0] for _ in range(count)]

    def pack(self, side: Side, pick: Array, part: Part, buffers: list[Array]) -> None:
        parts = self.halves if side is self.a else (side.element.numbers,)
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
        _add_split(*left, right[0], state[0], *panels, ROWS * self.width, *lengths)


def split(side: Side, bit: int) -> tuple[Array, Array]:
    """The numbers of element codes as two that add up, without the bits above and below a place."""
    numbers = side.element.numbers
    unit = np.ldexp(1.0, bit + side.element.unit)
    with np.errstate(invalid="ignore"):
        high = np.where(np.isfinite(numbers), np.trunc(numbers / unit) * unit, numbers)
        low = np.where(np.isfinite(numbers), numbers - high, numbers)
    return high, low


@kernel
def _add_split(
    a_high: Array,
    a_low: Array,
    b: Array,
    state: Array,
    high: int,
    wide: int,
    tile: int,
    positions: int,
    stretch: int,
    length: int,
) -> None:
    """As `_add_sums`, the sums of both halves joined before they are rounded."""
    width, most = tile // ROWS, stretch // length
    first, second = np.empty(most * tile), np.empty(most * tile)
    for begin in range(0, positions, stretch):
        count = min(stretch, positions - begin)
        blocks = count // length
        for i in range(high):
            for j in range(wide):
                left, right = (begin * high + i * count) * ROWS, (begin * wide + j * count) * width
                first[: blocks * tile], second[: blocks * tile] = 0.0, 0.0
                sums(a_high, left, b, right, first, 0, blocks, length, tile)
                sums(a_low, left, b, right, second, 0, blocks, length, tile)
                own = state[(i * wide + j) * tile : (i * wide + j + 1) * tile]
                for block in range(blocks):
                    join(first[block * tile : (block + 1) * tile], second[block * tile :], own)


@kernel
def join(first: Array, second: Array, state: Array) -> None:
    """Add two sums to each result, rounded as one."""
    for place in range(first.size):
        pair = two_sum(first[place], second[place])
        state[place] += np.float32(odd(pair[0], pair[1]))


def fits(a: Side, b: Side, count: int, bits: int) -> bool:
    """Whether the sum of some products under one scale each is below 2^bits units."""
    product = a.element.largest * a.scale.odd * b.element.largest * b.scale.odd
    return count * product <= 1 << bits
