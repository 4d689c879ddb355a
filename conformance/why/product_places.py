"""Operands and results of dot products in other places: codes in their words, scales at blocks, rows as columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from conformance.arrays import Array
from conformance.cases.products import element_of
from conformance.judges import MatmulJudge, ProductJudge
from conformance.why.places import FILLED, Order, bit_orders, distinct, lane_orders, matrix_orders
from conformance.why.shuffles import Shuffle, of_words, rows_of
from mxemu.formats import BlockFormat

RIGHT = "arithmetic is right, but "

Change = Callable[[Array], None]


class Call(NamedTuple):
    """The results of one call: which row of a and which row of b each of them comes from.

    Attributes
    ----------
    cases : ndarray, shape (n,)
    left, right : ndarray, shape (n,)
        Row of a and row of b of each case.
    """

    cases: Array
    left: Array
    right: Array

    def owners(self, side: str) -> tuple[Array, Array]:
        """For each row of a or b a case that has it, and for each case its row."""
        rows = self.left if side == "a" else self.right
        firsts = np.zeros(int(rows.max()) + 1, dtype=np.int64)
        firsts[rows] = self.cases
        return firsts, rows

    @property
    def shape(self) -> tuple[int, int]:
        """Rows of a and of b."""
        return int(self.left.max()) + 1, int(self.right.max()) + 1

    @property
    def is_grid(self) -> bool:
        """Whether every row of a meets every row of b."""
        m, n = self.shape
        return len(self.cases) == m * n


def calls_of(judge: ProductJudge) -> list[Call]:
    """The calls of a judge; the cases of a dump are all rows of one matrix product if they can be that."""
    if isinstance(judge, MatmulJudge):
        return [_grid(grid) for grid in judge.grids]
    found = _period(judge)
    if found is not None:
        return [found]
    parts = judge.batches()
    return [Call(part, np.arange(len(part)), np.arange(len(part))) for part in parts]


def _grid(grid: Array) -> Call:
    left, right = (index.ravel() for index in np.indices(grid.shape))
    return Call(grid.ravel(), left, right)


def _period(judge: ProductJudge) -> Call | None:
    """Cases that are all pairs of some rows of a and some of b, in order."""
    inputs = judge.cases.inputs
    half = judge.layout.blocks + judge.layout.length
    left, right = inputs[:, :half], inputs[:, half:-1]
    change = np.flatnonzero((left != left[0]).any(axis=1))
    n = int(change[0]) if len(change) else 0
    if n < 2 or len(inputs) % n:
        return None
    rows, columns = left.reshape(-1, n, half), right.reshape(-1, n, half)
    if (rows != rows[:, :1]).any() or (columns != columns[:1]).any():
        return None
    return _grid(np.arange(len(inputs)).reshape(-1, n))


class Operands:
    """The cases of a judge as operands, and what can be done to them."""

    def __init__(self, judge: ProductJudge) -> None:
        layout = judge.layout
        self.judge, self.layout = judge, layout
        self.inputs = judge.cases.inputs
        self.calls = calls_of(judge)
        n, half = layout.blocks, layout.blocks + layout.length
        self.scales = {"a": slice(0, n), "b": slice(half, half + n)}
        self.codes = {"a": slice(n, half), "b": slice(half + n, 2 * half)}
        self.formats = {"a": layout.a, "b": layout.b}

    @property
    def scaled(self) -> list[str]:
        """The operands that have scales."""
        return [side for side, fmt in self.formats.items() if isinstance(fmt, BlockFormat)]

    def width(self, side: str) -> int:
        """Bits of a code."""
        return element_of(self.formats[side]).width

    def changed(self, *changes: Change) -> Callable[[Array], Array]:
        """What some cases are with columns replaced."""

        def taken(rows: Array) -> Array:
            found = self.inputs[rows].copy()
            for change in changes:
                change(found)
            return found

        return taken

    def replaced(self, columns: slice, whole: Array) -> Callable[[Array], Array]:
        """What some cases are with columns of all cases replaced."""

        def taken(rows: Array) -> Array:
            found = self.inputs[rows].copy()
            found[:, columns] = whole[rows]
            return found

        return taken


def product_shuffles(judge: ProductJudge, observed: Array) -> Iterator[Shuffle]:
    """Every shuffle that dot products could have gone through."""
    operands = Operands(judge)
    yield from _of_codes(operands)
    yield from _of_scales(operands)
    yield from _of_matrices(operands)
    yield from _of_results(operands, observed)


def _of_codes(operands: Operands) -> Iterator[Shuffle]:
    """Codes of a block of a, of b, or of both in another order; of both only if that is no order of whole codes."""
    k = operands.layout.k
    for side in ("b", "a"):
        for order in lane_orders(k, operands.width(side)):
            change = partial(_move_lanes, operands, side, order.places)
            yield _of_operand(operands, side, order, change)
        for order in bit_orders(k, operands.width(side)):
            change = partial(_move_bits, operands, side, order.places)
            yield _of_operand(operands, side, order, change)
    widths = operands.width("a"), operands.width("b")
    for order in bit_orders(k, widths[0]) if widths[0] == widths[1] else ():
        both = [partial(_move_bits, operands, side, order.places) for side in ("a", "b")]
        text = f"{RIGHT}in a and b {order.text}"
        yield Shuffle(order.name, text, "lane-pairing", taken=operands.changed(*both))


def _of_operand(operands: Operands, side: str, order: Order, change: Change) -> Shuffle:
    name = _TWINS.get((order.name, side), f"{order.name}-of-{side}")
    text = f"{RIGHT}in {side} {order.text}"
    return Shuffle(name, text, "lane-pairing", taken=operands.changed(change))


_TWINS = {("pairs-swapped", "b"): "lanes-crossed"}
"""Shuffles that the zoo has too, and what they are called there."""


def _move_lanes(operands: Operands, side: str, places: Array, found: Array) -> None:
    codes = found[:, operands.codes[side]].reshape(len(found), -1, len(places))
    found[:, operands.codes[side]] = codes[..., places].reshape(len(found), -1)


def _move_bits(operands: Operands, side: str, places: Array, found: Array) -> None:
    width = operands.width(side)
    codes = found[:, operands.codes[side]].reshape(-1, len(places) // width)
    bits = (codes[..., None] >> np.arange(width) & 1).reshape(len(codes), -1)[:, places]
    moved = (bits.reshape(len(codes), -1, width) << np.arange(width)).sum(axis=-1)
    found[:, operands.codes[side]] = moved.reshape(len(found), -1)


def _of_scales(operands: Operands) -> Iterator[Shuffle]:
    """Scales in another arrangement than the one they are read in, or those of the other operand."""
    yield from _of_both_scales(operands)
    tables = {side: _tables(operands, side) for side in operands.scaled}
    names = {
        name: order.text for own in tables.values() for one in own for name, order in one.items()
    }
    for name, text in names.items():
        wholes = {side: _arranged(operands, side, name, own) for side, own in tables.items()}
        yield _scales_moved(operands, name, text, wholes)
        for side in tables if len(tables) > 1 else ():
            yield _scales_moved(operands, name, text, {side: wholes[side]})


def _scales_moved(operands: Operands, name: str, text: str, wholes: dict[str, Array]) -> Shuffle:
    def taken(rows: Array) -> Array:
        found = operands.inputs[rows].copy()
        for side, whole in wholes.items():
            found[:, operands.scales[side]] = whole[rows]
        return found

    whose = f"of {' and '.join(wholes)} "
    text = RIGHT + text.replace("the scales ", f"the scales {whose}", 1)
    return Shuffle(f"{name}-of-{'-and-'.join(wholes)}", text, "block-scale", taken=taken)


def _tables(operands: Operands, side: str) -> list[dict[str, Order]]:
    """For each call the orders of the matrix of scales of an operand."""
    found = []
    for call in operands.calls:
        rows, columns = call.shape[side == "b"], operands.layout.blocks
        along = np.arange(rows * columns).reshape(rows, columns)[:, ::-1].ravel()
        text = "the scales of each row are in reverse order"
        orders = [Order("scales-reversed", text, along)]
        for order in matrix_orders(rows, columns):
            text = "the scales are transposed" if order.name == "scales-transposed" else order.text
            orders.append(order._replace(text=text))
        found.append({order.name: order for order in distinct(iter(orders))})
    return found


def _arranged(operands: Operands, side: str, name: str, tables: list[dict[str, Order]]) -> Array:
    """The scales of all cases in another order."""
    whole = operands.inputs[:, operands.scales[side]].copy()
    for call, orders in zip(operands.calls, tables, strict=True):
        if name not in orders:
            continue
        places, fill = orders[name].places, orders[name].fill
        firsts, rows = call.owners(side)
        matrix = operands.inputs[firsts][:, operands.scales[side]]
        moved = np.where(places == FILLED, fill, matrix.ravel()[places])
        whole[call.cases] = moved.reshape(matrix.shape)[rows]
    return whole


def _of_both_scales(operands: Operands) -> Iterator[Shuffle]:
    """The scales of b at the rows of a, and the reverse. Within one dot product this makes no difference."""
    formats = [fmt for fmt in operands.formats.values() if isinstance(fmt, BlockFormat)]
    if len(formats) != 2 or formats[0].scale != formats[1].scale:
        return
    if not any(call.is_grid for call in operands.calls):
        return
    wholes = {side: operands.inputs[:, operands.scales[side]].copy() for side in ("a", "b")}
    for call in operands.calls:
        of_a, of_b = (call.owners(side)[0] for side in ("a", "b"))
        sides = (("a", of_b, call.left, "b"), ("b", of_a, call.right, "a"))
        for side, source, rows, other in sides:
            scales = operands.inputs[source][:, operands.scales[other]]
            wholes[side][call.cases] = scales[rows % len(scales)]
    found = _scales_moved(operands, "", "", wholes)
    text = f"{RIGHT}the scales of a and b are swapped"
    yield Shuffle("row-scales-crossed", text, "matrix-row", taken=found.taken)


def _of_matrices(operands: Operands) -> Iterator[Shuffle]:
    """The codes of an operand read column after column, or from the end."""
    for side in ("b", "a"):
        columns = operands.codes[side]
        for name, how, turn in _TURNS:
            turned = operands.inputs[:, columns].copy()
            for call in operands.calls:
                firsts, rows = call.owners(side)
                turned[call.cases] = turn(operands.inputs[firsts][:, columns])[rows]
            taken = operands.replaced(columns, turned)
            text = f"{RIGHT}the codes of {side} are {how}"
            yield Shuffle(f"{name}-{side}", text, "matrix-row", taken=taken)
        if operands.layout.blocks > 1:
            text = f"{RIGHT}the elements of each row of {side} are in reverse order"
            taken = operands.replaced(columns, operands.inputs[:, columns][:, ::-1])
            yield Shuffle(f"rows-reversed-of-{side}", text, "lane-pairing", taken=taken)


_TURNS: tuple[tuple[str, str, Callable[[Array], Array]], ...] = (
    (
        "column-major",
        "stored row after row and read column after column",
        lambda matrix: matrix.reshape(matrix.shape[::-1]).T,
    ),
    (
        "row-major",
        "stored column after column and read row after row",
        lambda matrix: matrix.T.reshape(matrix.shape),
    ),
)


def _of_results(operands: Operands, observed: Array) -> Iterator[Shuffle]:
    """Results with rows and columns exchanged, in reverse order, or with their bytes in another order."""
    turned, back = observed.copy(), observed.copy()
    for call in operands.calls:
        own = observed[call.cases]
        back[call.cases] = own[::-1]
        if call.is_grid:
            m, n = call.shape
            turned[call.cases] = own.reshape(n, m).T.ravel()
    text = "results are right, but rows and columns of the product are exchanged"
    yield Shuffle("result-transposed", text, "matrix-row", given=rows_of(turned))
    text = "results are right, but in reverse order"
    yield Shuffle("results-reversed", text, given=rows_of(back))
    for name, how, moved in of_words(observed):
        text = f"results are right, but {how.format('result')}"
        yield Shuffle(name, text, given=rows_of(moved))
