"""The loops around the register tiles: slabs of K, panels of columns, threads over panels of rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mxemu.array.gemm.packs import collect, pack, spread_c
from mxemu.array.gemm.sides import Side, tables
from mxemu.array.gemm.tiles import ROWS, columns
from mxemu.array.inputs import Array
from mxemu.array.threads import get_threads, spread

# Positions along K that are packed at a time, and bytes of a panel that stays in the first cache while it is used.
SLAB = 1024
_PANEL = 1 << 14
# Panels of A whose results are in the cache together, and columns of the result at a time.
_TOGETHER = 8
_ACROSS = 1024
_CACHE_LINE = 64


class Result(NamedTuple):
    """Where results go.

    Attributes
    ----------
    bits : ndarray of uint32, shape (m, n)
        Of binary32.
    c : ndarray of float32, shape (m, n), or None
    factor : float
        The scale of whole tensors; 0 for none.
    form : ndarray of int64
        The word of NaN, and whether zeros are positive.
    """

    bits: Array
    c: Array | None
    factor: float
    form: Array


class Slab(NamedTuple):
    """Positions along K that are packed together, one stretch after the other, each for all panels.

    A stretch of a panel stays in the first cache while it is used.
    """

    start: int
    stop: int
    stretch: int

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Where each begins and ends."""
        for begin in range(self.start, self.stop, self.stretch):
            yield begin, min(begin + self.stretch, self.stop)


class Part(NamedTuple):
    """Some panels of an operand, a stretch long.

    Attributes
    ----------
    begin, end : int
        Positions along K.
    skip : int
        Positions of panels before it in a buffer.
    first, after : int
        Panels.
    origin : int
        The first panel in the buffer.
    """

    begin: int
    end: int
    skip: int
    first: int
    after: int
    origin: int


class Place(NamedTuple):
    """Some panels of A, and where their part of the state begins."""

    rows: Array
    picked: Array
    origin: int
    first: int
    after: int


class Product:
    """A product of some rows of A with some rows of B, the same arithmetic for all of them.

    Parameters
    ----------
    a, b : Side
    dtype : dtype
        Of the packed operands.
    state : dtype
        Of what is kept for each result along K.
    length : int
        Slabs of K are multiples of it.
    late_c : bool
        C is added to the result; otherwise the state starts with it.
    """

    def __init__(
        self, a: Side, b: Side, dtype: Any, state: Any, length: int, *, late_c: bool = False
    ) -> None:
        self.a, self.b = a, b
        self.dtype, self.state_dtype = np.dtype(dtype), np.dtype(state)
        self.width = columns(dtype)
        self.length = length
        self.late_c = late_c
        self.starts_empty = True  # whether the state has to be zeros before the first step
        self.positions = a.codes.shape[1]
        self.local = threading.local()

    @property
    def slab(self) -> int:
        """Positions of a slab."""
        return max(SLAB // self.length, 1) * self.length

    @property
    def stretch(self) -> int:
        """Positions of a tile at a time; whole blocks."""
        return max(_PANEL // (self.width * self.dtype.itemsize) // self.length, 1) * self.length

    def run(self, rows: Array, picked: Array, result: Result) -> None:
        """Fill the results of some rows of A and some rows of B."""
        for begin in range(0, len(picked), _ACROSS):
            self._across(rows, picked[begin : begin + _ACROSS], result)

    def _across(self, rows: Array, picked: Array, result: Result) -> None:
        high, wide = -(-len(rows) // ROWS), -(-len(picked) // self.width)
        state = None
        if self.slab < self.positions:
            state = self.new_state(high * wide * ROWS * self.width)
            for array in state:
                array[:] = 0
        for start in range(0, self.positions, self.slab):
            slab = Slab(start, min(start + self.slab, self.end), self.stretch)
            right = self._all_columns(picked, wide, slab)
            work = partial(self._work, rows, picked, result, state, right, slab)
            share(work, high, cost=ROWS * wide * self.width * (slab.stop - start) // 16)

    @property
    def end(self) -> int:
        """Positions in whole blocks."""
        return -(-self.positions // self.length) * self.length

    def _own_state(self, size: int) -> list[Array]:
        """A state that is needed no longer than a thread works on it, in a place that is kept."""
        state: list[Array] = getattr(self.local, "state", [])
        if not state or state[0].size < size:
            state = self.local.state = self.new_state(size)
        for array in state if self.starts_empty else ():
            array[:size] = 0
        return state

    def new_state(self, size: int) -> list[Array]:
        """What is kept along K for each result, in tiles; the first array gives the results."""
        return [aligned(size, self.state_dtype)]

    def _all_columns(self, picked: Array, wide: int, slab: Slab) -> list[Array]:
        """All panels of B for a slab."""
        positions = slab.stop - slab.start
        buffers = self.buffers(self.b, wide, positions)

        def work(first: int, after: int) -> None:
            for begin, end in slab.stretches():
                skip = (begin - slab.start) * wide + (end - begin) * first
                self.pack(self.b, picked, Part(begin, end, skip, first, after, 0), buffers)

        spread(work, wide, cost=positions * self.width)
        return buffers

    def _work(
        self,
        rows: Array,
        picked: Array,
        result: Result,
        state: list[Array] | None,
        right: list[Array],
        slab: Slab,
        first: int,
        after: int,
    ) -> None:
        """Some panels of A with all panels of B, for one slab."""
        left = self._rows(rows, slab, first, after)
        wide = -(-len(picked) // self.width)
        row = wide * ROWS * self.width
        # With one slab the state is needed only here.
        origin = first if state is None else 0
        state = self._own_state((after - first) * row) if state is None else state
        place = Place(rows, picked, origin * row, first, after)
        if slab.start == 0 and not self.late_c:
            self.begin(place, result, state)
        part = [array[first * row - origin * row :] for array in state]
        self.step(left, right, part, (after - first, wide), slab)
        if slab.stop == self.end:
            self.finish(place, result, state)

    def _rows(self, rows: Array, slab: Slab, first: int, after: int) -> list[Array]:
        """Some panels of A for a slab, in places that are kept for each thread."""
        shape = (after - first, slab.stop - slab.start)
        known = getattr(self.local, "shape", (0, 0))
        if any(have < need for have, need in zip(known, shape, strict=True)):
            self.local.buffers, self.local.shape = self.buffers(self.a, *shape), shape
        buffers: list[Array] = self.local.buffers
        for begin, end in slab.stretches():
            skip = (begin - slab.start) * (after - first)
            self.pack(self.a, rows, Part(begin, end, skip, first, after, first), buffers)
        return buffers

    def breadth(self, side: Side) -> int:
        """Rows in a panel of an operand."""
        return ROWS if side is self.a else self.width

    def buffers(self, side: Side, panels: int, positions: int) -> list[Array]:
        """Places for packed panels of an operand."""
        return [aligned(panels * positions * self.breadth(side), self.dtype)]

    def pack(self, side: Side, pick: Array, part: Part, buffers: list[Array]) -> None:
        """Pack some panels of an operand."""
        self.pack_numbers(side, pick, part, buffers[0], tables(side, self.dtype))

    def pack_numbers(
        self, side: Side, pick: Array, part: Part, buffer: Array, numbers: tuple[Array, Array]
    ) -> None:
        """Pack what tables of elements and of scales hold."""
        width = self.breadth(side)
        pack(
            side.codes, side.scales, side.k, *numbers, side.element.finite, pick, width,
            part.begin, part.end, buffer[part.skip * width :], part.first, part.after, side.flags,
        )  # fmt: skip

    def step(
        self,
        left: list[Array],
        right: list[Array],
        state: list[Array],
        panels: tuple[int, int],
        slab: Slab,
    ) -> None:
        """Add the products of a slab: of so many panels of A with so many of B."""
        raise NotImplementedError

    def begin(self, place: Place, result: Result, state: list[Array]) -> None:
        """The state of some panels of A before anything is added."""
        if result.c is not None:
            spread_c(result.c, place.rows, place.picked, ROWS, self.width, state[0], *place[2:])

    def sizes(self, place: Place) -> tuple[Array, Array]:
        """What the results of each row of some panels, and of each column, are multiplied by at the end."""
        return np.ones((place.after - place.first) * ROWS), np.ones(len(place.picked))

    def finish(self, place: Place, result: Result, state: list[Array]) -> None:
        """Results of some panels of A."""
        add_c = self.late_c and result.c is not None
        c = result.c if result.c is not None else _NO_C
        collect(
            state[0], *self.sizes(place), c, add_c, result.factor, place.rows, place.picked,
            ROWS, self.width, result.form, result.bits, *place[2:],
        )  # fmt: skip


def share(work: Callable[[int, int], object], count: int, cost: int) -> None:
    """Call ``work(first, after)`` over range(count) in threads: much at a time first, little at the end."""
    pieces = _pieces(count, get_threads())
    lock = threading.Lock()

    def drain(_first: int, _after: int) -> None:
        while True:
            with lock:
                piece = next(pieces, None)
            if piece is None:
                return
            work(*piece)

    spread(drain, get_threads(), cost=count * cost)


def _pieces(count: int, threads: int) -> Iterator[tuple[int, int]]:
    first = 0
    while first < count:
        left = count - first
        after = first + max(1, min(_TOGETHER, left // (2 * threads)))
        yield first, after
        first = after


_NO_C = np.zeros((0, 0), np.float32)


def aligned(size: int, dtype: Any) -> Array:
    """An array that begins at a cache line, as vectors are read fastest; not filled."""
    item = np.dtype(dtype).itemsize
    array = np.empty(size + _CACHE_LINE // item, dtype)
    skip = -array.ctypes.data % _CACHE_LINE // item
    return array[skip : skip + size]
