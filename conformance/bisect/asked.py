"""Answers of a subject to the questions of one operation, compared with the exact core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from conformance.arrays import Array
from conformance.bisect.questions import Question, is_exact
from conformance.judges import (
    BlockJudge,
    DequantizeJudge,
    Judge,
    MatmulJudge,
    ProductJudge,
    QuantizeJudge,
)
from conformance.runner import Request, ask, make_judge
from conformance.why.minimize import cases_of
from conformance.worker import InProcess, Worker

GRID = 4
"""Rows and columns of the matrix products that ask for dot products."""

MOST_GRIDS = 24
"""Matrix products in one question: each is a call."""


@dataclass(frozen=True)
class Answer:
    """What came for a question.

    Attributes
    ----------
    judge : Judge
        Of the cases.
    observed : ndarray
        Empty if nothing came.
    wrong, raised : ndarray of bool
    reason : str
        What was raised, or why nothing came.
    """

    judge: Judge
    observed: Array
    wrong: Array
    raised: Array
    reason: str


class Asked:
    """A subject and what it is compared with."""

    def __init__(self, subject: Worker | InProcess, request: Request) -> None:
        self.subject, self.request = subject, request
        self.judge = make_judge(request, "smoke")

    @property
    def products(self) -> ProductJudge:
        """The judge of an operation that is known to be a product."""
        return cast(ProductJudge, self.judge)

    def answer(self, one: Question) -> Answer:
        """Ask."""
        own, counted = self._on(one)
        found = ask(self.subject, self.request, own)
        if found.failed is not None:
            every = np.ones(len(own.cases), bool)
            return Answer(own, found.observed, every, every, found.failed.message)
        wrong = (self._wrong(own, found.observed, one.part) | found.raised) & counted
        return Answer(own, found.observed, wrong, found.raised, found.reason)

    def _on(self, one: Question) -> tuple[Judge, Array]:
        """A judge of the rows, and which of its cases count."""
        if not isinstance(self.judge, MatmulJudge):
            return self.judge.on(cases_of(one.rows, "random")), np.ones(len(one.rows), bool)
        if len(one.rows) == 1:
            return self.judge.on(cases_of(one.rows, "random")), np.ones(1, bool)
        own = _in_grids(self.judge, one.rows)
        if one.step == "round":
            return own, np.ones(len(own.cases), bool)
        totals = (own.sums(index).total for index in range(len(own.cases)))
        return own, np.array([is_exact(total, own.carrier) for total in totals])

    def _wrong(self, own: Judge, observed: Array, part: str) -> Array:
        """Which cases differ in the part of the result that counts."""
        profile = self.request.terms.profile
        wrong, silent = own.compare(observed, profile)
        if self.request.terms.declared:
            wrong = wrong | silent
        if part == "all" or not isinstance(own, (BlockJudge, DequantizeJudge)):
            return np.asarray(wrong)
        found = wrong.copy()
        for index in np.flatnonzero(wrong):
            if isinstance(own, DequantizeJudge):
                expected = own.expected(profile)[index]
            else:
                expected = own.row(int(index), profile)
            skip = int(isinstance(own, QuantizeJudge))
            found[index] = _part_differs(observed[index], expected, part, skip)
        return np.asarray(found)


def _part_differs(found: Array, expected: Array, part: str, scales: int) -> bool:
    """Whether a scale differs, or what the elements are, wherever they stand; ``scales`` stand in front of them."""
    if part == "scale":
        return bool((found[:scales] != expected[:scales]).any())
    same = np.array_equal(found[:scales], expected[:scales])
    return not same or not np.array_equal(np.sort(found[scales:]), np.sort(expected[scales:]))


def _in_grids(judge: MatmulJudge, rows: Array) -> MatmulJudge:
    """A judge of matrix products in which every row of a meets several of b; the rows are their diagonals."""
    step = -(-len(rows) // (GRID * MOST_GRIDS))
    rows = rows[::step]
    short = -len(rows) % GRID
    rows = np.concatenate([rows, np.repeat(rows[-1:], short, axis=0)])
    half = judge.layout.blocks + judge.layout.length
    cells, grids = [], []
    for start in range(0, len(rows), GRID):
        for i, left in enumerate(rows[start : start + GRID]):
            for j, right in enumerate(rows[start : start + GRID]):
                c = left[-1:] if i == j else np.zeros(1, rows.dtype)
                cells.append(np.concatenate([left[:half], right[half:-1], c]))
        grids.append(GRID * start + np.arange(GRID * GRID).reshape(GRID, GRID))
    own = judge.on(cases_of(np.array(cells), "random"))
    own.grids = tuple(grids)
    return own
