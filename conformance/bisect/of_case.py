"""Questions that a failing case leads to: its products one by one, its sum term by term, and the case itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.arrays import Array
from conformance.bisect.of_products import Products
from conformance.bisect.questions import Question, question
from conformance.judges import Judge, ProductJudge


def case_questions(judge: Judge, row: Array, takes_c: bool) -> Iterator[Question]:
    """Asked last: all that is about single steps is right by then."""
    if isinstance(judge, ProductJudge):
        yield from (one for one in _of_product(judge, row, takes_c) if one is not None)
    yield Question("", "the case itself", row[None])


def _of_product(judge: ProductJudge, row: Array, takes_c: bool) -> Iterator[Question | None]:
    """Each product alone and each prefix of the sum, under the case's own scales."""
    make = Products(judge, takes_c)
    n, half = judge.layout.blocks, judge.layout.blocks + judge.layout.length
    lanes = np.arange(judge.layout.length)
    used = lanes[(row[n:half] != 0) | (row[half + n : -1] != 0)]
    kept = [np.isin(lanes, [lane]) for lane in used]
    alone = make.sorted_out([_only(row, keep, n, half) for keep in kept], exact=True)
    yield question("product", "each product of the case", alone, row.dtype)
    prefixes: list[Array | None] = [_only(row, lanes <= lane, n, half) for lane in used]
    exact = make.sorted_out(prefixes, exact=True)
    yield question("accumulate", "the first terms of the case", exact, row.dtype, ("align",))
    rounded = make.sorted_out(prefixes, exact=False)
    also = ("accumulate", "align")
    yield question("round", "the first terms of the case, rounded", rounded, row.dtype, also)


def _only(row: Array, keep: Array, n: int, half: int) -> Array:
    """The row with the elements of some lanes, and without C."""
    found = row.copy()
    found[n:half] *= keep
    found[half + n : -1] *= keep
    found[-1] = 0
    return found
