"""Whether results are wrong only because something stands in another place: nibbles, bytes, lanes, scales, rows.

Each `Shuffle` says how a subject would have mixed up what it took, or what it gave. Undone, it leaves a judge and
results that can be judged as usual: if then nothing differs any more, passes included, the arithmetic is right. What
still differs may have a cause of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from conformance.arrays import Array, fits
from conformance.cases import Cases
from conformance.judges import (
    BlockJudge,
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    Judge,
    ProductJudge,
    QuantizeJudge,
    ScaleCastJudge,
    ScaledEncodeJudge,
)
from conformance.why.places import (
    FILLED,
    Order,
    bit_orders,
    distinct,
    lane_orders,
    record_orders,
    scale_orders,
)
from conformance.why.product_places import product_shuffles
from conformance.why.shuffles import Shuffle, flat_orders, of_words, per_call, rows_of
from mxemu.profile import Profile

CODES = "codes are right, but "
TAKEN = "arithmetic is right, but in the codes that it reads "
VALUES = "values are right, but "


class View(NamedTuple):
    """Some cases as they are once a shuffle is undone: the judge of what was taken, and the results in their places."""

    judge: Judge
    observed: Array


def view(judge: Judge, observed: Array, shuffle: Shuffle, rows: Array) -> View:
    """The cases of some rows without a shuffle."""
    cases = judge.cases
    if shuffle.taken is None and len(rows) == len(cases) and shuffle.given is not None:
        return View(judge, shuffle.given(rows))  # it remembers its expectations
    inputs = cases.inputs[rows] if shuffle.taken is None else shuffle.taken(rows)
    given = observed[rows] if shuffle.given is None else shuffle.given(rows)
    return View(judge.on(Cases(inputs, cases.theme[rows], cases.notes)), given)


def shuffles(judge: Judge, observed: Array, profile: Profile) -> Iterator[Shuffle]:
    """Every shuffle that results could have gone through, the likeliest first.

    Parameters
    ----------
    judge : Judge
    observed : ndarray
    profile : Profile
        For scales that did not survive, such as those behind the padding.
    """
    match judge:
        case ProductJudge():
            yield from product_shuffles(judge, observed)
        case QuantizeJudge():
            yield from _of_codes_given(judge, observed)
            yield from _of_scales_given(judge, observed, profile)
            yield from _of_blocks(judge, observed)
        case DequantizeJudge():
            yield from _of_codes_taken(judge)
            yield from _of_values_given(observed)
            yield from _of_blocks(judge, observed)
        case BlockJudge():
            yield from _of_lanes(judge, observed)
            yield from _of_values_given(observed)
            yield from _of_blocks(judge, observed)
        case ScaleCastJudge():
            return
        case EncodeJudge() | DecodeJudge():
            yield from _of_elements(judge, observed)


def _of_lanes(judge: BlockJudge, observed: Array) -> Iterator[Shuffle]:
    """Values of a block in another order."""
    for order in lane_orders(judge.fmt.k, judge.carrier.width):
        back = order.undone

        def given(rows: Array, back: Array = back) -> Array:
            return observed[rows][:, back]

        yield Shuffle(order.name, VALUES + order.text, given=given)


def _of_codes_given(judge: QuantizeJudge, observed: Array) -> Iterator[Shuffle]:
    """Codes of a block, their bits, or scale and codes together, in another order."""
    k, width = judge.fmt.k, judge.fmt.element.width
    for order in lane_orders(k, width):
        columns = np.concatenate([[0], 1 + order.undone])

        def moved(rows: Array, columns: Array = columns) -> Array:
            return observed[rows][:, columns]

        yield Shuffle(order.name, CODES + order.text, "code-order", given=moved)
    inside = fits(observed[:, 1:], judge.fmt.element).all()
    if not inside or not fits(observed[:, 0], judge.fmt.scale).all():
        return  # what is no code has no bits to move
    for order in bit_orders(k, width):
        back = order.undone

        def packed(rows: Array, back: Array = back) -> Array:
            codes = _bits_moved(observed[rows, 1:], (width,) * k, back)
            return np.column_stack([observed[rows, :1], codes])

        yield Shuffle(order.name, CODES + order.text, "code-order", given=packed)
    widths = (judge.fmt.scale.width, *(width,) * k)
    for order in record_orders(k, width, widths[0]):
        back = order.undone

        def joined(rows: Array, back: Array = back) -> Array:
            return _bits_moved(observed[rows], widths, back)

        yield Shuffle(order.name, CODES + order.text, "code-order", given=joined)


def _bits_moved(rows: Array, widths: tuple[int, ...], places: Array) -> Array:
    """Rows of codes of these widths with their bits in other places."""
    owner = np.repeat(np.arange(len(widths)), widths)
    shift = np.concatenate([np.arange(width) for width in widths])
    bits = (rows[:, owner] >> shift & 1)[:, places]
    starts = np.concatenate([[0], np.cumsum(widths)[:-1]])
    found: Array = np.add.reduceat(bits << shift, starts, axis=1)
    return found.astype(rows.dtype)


def _of_scales_given(judge: QuantizeJudge, observed: Array, profile: Profile) -> Iterator[Shuffle]:
    """Scales at other blocks than their own; where one is lost in padding, only the codes are judged."""
    for order in distinct(scale_orders(len(observed))):
        filled = observed[order.places == FILLED, 0]
        if not (filled == order.fill).all():
            continue
        back = order.undone

        def given(rows: Array, back: Array = back) -> Array:
            found, source = observed[rows].copy(), back[rows]
            known = source != FILLED
            found[known, 0] = observed[source[known], 0]
            lost = [judge.row(int(row), profile)[0] for row in rows[~known]]
            found[~known, 0] = lost
            return found

        yield Shuffle(order.name, CODES + order.text, "block-scale", given=given)


def _of_codes_taken(judge: DequantizeJudge) -> Iterator[Shuffle]:
    """Codes and scales that are read from other places."""
    inputs, k, width = judge.cases.inputs, judge.fmt.k, judge.fmt.element.width
    widths = (judge.fmt.scale.width, *(width,) * k)
    head = np.arange(widths[0])
    for order in (*lane_orders(k, width), *bit_orders(k, width)):
        places = order.places
        if len(places) == k:
            places = (places[:, None] * width + np.arange(width)).ravel()
        yield _taken(judge, order, widths, np.concatenate([head, places + widths[0]]))
    for order in record_orders(k, width, widths[0]):
        yield _taken(judge, order, widths, order.places)
    for order in distinct(scale_orders(len(inputs))):
        source = order.places

        def taken(rows: Array, source: Array = source, fill: int = order.fill) -> Array:
            found, from_rows = inputs[rows].copy(), source[rows]
            found[:, 0] = np.where(from_rows == FILLED, fill, inputs[from_rows, 0])
            return found

        text = f"arithmetic is right, but {order.text}"
        yield Shuffle(order.name, text, "block-scale", taken=taken)


def _taken(judge: DequantizeJudge, order: Order, widths: tuple[int, ...], places: Array) -> Shuffle:
    def taken(rows: Array) -> Array:
        return _bits_moved(judge.cases.inputs[rows], widths, places)

    return Shuffle(order.name, TAKEN + order.text, "code-order", taken=taken)


def _of_values_given(observed: Array) -> Iterator[Shuffle]:
    """Values whose bytes are in another order."""
    for name, text, moved in of_words(observed):
        yield Shuffle(name, VALUES + text.format("value"), given=rows_of(moved))


def _of_blocks(judge: BlockJudge | DequantizeJudge, observed: Array) -> Iterator[Shuffle]:
    """Whole blocks, and rows and columns, in other places."""
    inputs = judge.cases.inputs
    first = 1 if isinstance(judge, QuantizeJudge) else 0
    what = "the codes" if first else "the values"
    for name, how, body in _turned(observed[:, first:]):
        whole = np.column_stack([observed[:, :first], body])
        text = f"{what} are right, but {how.format('given')}"
        yield Shuffle(f"results-{name}", text, given=rows_of(whole))
    text = f"{what} are right, but the blocks are given in reverse order"
    yield Shuffle("blocks-reversed", text, given=rows_of(observed[::-1]))
    if isinstance(judge, DequantizeJudge):
        return
    for name, how, moved in of_words(inputs):
        text = f"arithmetic is right, but {how.format('input')}"
        yield Shuffle(name + "-of-inputs", text, taken=rows_of(moved))
    for name, how, turned in _turned(inputs):
        text = f"arithmetic is right, but {how.format('taken')}"
        yield Shuffle(f"inputs-{name}", text, taken=rows_of(turned))
    yield from _of_axis(judge, observed)


def _turned(matrix: Array) -> Iterator[tuple[str, str, Array]]:
    """All blocks together as a matrix whose rows and columns were mixed up, both ways."""
    n, k = matrix.shape
    text = f"all blocks are {{}} as a matrix of {k} x {n}, not {n} x {k}"
    yield "transposed", f"{text}, column after column", np.ascontiguousarray(matrix.reshape(k, n).T)
    yield "untransposed", f"{text}, row after row", matrix.T.reshape(n, k)


def _of_axis(judge: BlockJudge, observed: Array) -> Iterator[Shuffle]:
    """Blocks along the other axis of a matrix, of which neither rows nor columns are known."""
    (n, k), inputs = judge.cases.inputs.shape, judge.cases.inputs
    for rows in range(k, n + 1, k):
        if n % rows:
            continue
        blocks = np.ascontiguousarray(inputs.reshape(rows, -1).T).reshape(n, k)
        for text, found in _back_in_blocks(judge, observed, rows):
            yield Shuffle(
                "blocks-along-other-axis",
                f"arithmetic is right, but blocks run down the columns of {rows} x {n * k // rows}{text}",
                taken=rows_of(blocks),
                given=rows_of(found),
            )


def _back_in_blocks(judge: BlockJudge, observed: Array, rows: int) -> Iterator[tuple[str, Array]]:
    """Results that were stored as a matrix, as blocks along its columns; scales of both orders."""
    n, k = judge.cases.inputs.shape
    first = observed.shape[1] - k
    codes = np.ascontiguousarray(observed[:, first:].reshape(rows, -1).T).reshape(n, k)
    if not first:
        yield "", codes
        return
    scales = observed[:, 0].reshape(rows // k, -1).T.ravel()
    yield "", np.column_stack([scales, codes])
    yield ", of which the scales are transposed", np.column_stack([observed[:, 0], codes])


def _of_elements(judge: EncodeJudge | DecodeJudge, observed: Array) -> Iterator[Shuffle]:
    """Single elements: neighbours exchanged, bits or bytes the other way round."""
    element = judge.element
    assert element is not None
    for order in flat_orders(element.width):
        source = per_call(judge, order.undone_for)
        text = (VALUES if isinstance(judge, DecodeJudge) else CODES) + order.text
        yield Shuffle(order.name, text, given=rows_of(observed[source]))
    widths = (element.width,)
    turned = np.arange(element.width)[::-1]
    text = "the bits of each code are in reverse order"
    if isinstance(judge, DecodeJudge):
        codes = _bits_moved(judge.cases.inputs[:, None], widths, turned)[:, 0]
        yield Shuffle("bits-reversed", TAKEN + text, taken=rows_of(codes))
        yield from _of_values_given(observed)
        return
    if fits(observed, element).all():
        bits = _bits_moved(observed[:, None], widths, turned)[:, 0]
        yield Shuffle("bits-reversed", CODES + text, given=rows_of(bits))
    yield from _of_inputs(judge)


def _of_inputs(judge: EncodeJudge) -> Iterator[Shuffle]:
    """Inputs whose bytes are in another order."""
    inputs = judge.cases.inputs
    for name, how, moved in of_words(judge.bits):
        taken = moved
        if isinstance(judge, ScaledEncodeJudge):
            taken = np.column_stack([inputs[:, 0], moved]).astype(inputs.dtype)
        text = f"arithmetic is right, but {how.format('input')}"
        yield Shuffle(name + "-of-inputs", text, taken=rows_of(taken))
