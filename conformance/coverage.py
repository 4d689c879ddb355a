"""Which clauses the cases of the suite exercise, found by judging the zoo's correct member against nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import numpy as np

from conformance.adapter import PRODUCT_OPERATIONS, REJECTED, pair_label
from conformance.arrays import is_nan_bits
from conformance.judges import (
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    FakeQuantizeJudge,
    Judge,
    ProductJudge,
    QuantizeJudge,
    ScaledEncodeJudge,
    product_judge,
)
from conformance.notes import NOTES
from mxemu.accumulation import EXACT
from mxemu.formats import BINARY32, CONCRETE, E8M0, MX_ELEMENTS
from mxemu.profile import OCP, Overflow, Profile
from mxemu.scalar import decode

_OVERFLOW = OCP.replace(overflow=Overflow.OVERFLOW)


@cache
def clause_counts() -> dict[str, int]:
    """Clause id to the number of groups (operation, format, profile) with a case that the clause decides.

    A case counts if a refusal, or a result that is one bit off, would be reported under the clause; for the clauses of
    dot products, also if the note of the case names it.
    """
    counts: Counter[str] = Counter()
    for judge, profile in _groups():
        observed = all_wrong(judge)
        found = set(judge.clauses(np.array(_sample(judge)), observed, profile))
        if isinstance(judge, ProductJudge):
            found |= _noted(judge)
        counts.update(found)
    return {clause: counts[clause] for clause in sorted(counts) if clause.startswith("MX-")}


def _groups() -> Iterator[tuple[Judge, Profile]]:
    for element in MX_ELEMENTS:
        yield EncodeJudge(element, BINARY32, "smoke"), OCP
        yield EncodeJudge(element, BINARY32, "smoke"), _OVERFLOW
    for fmt in (*MX_ELEMENTS, E8M0):
        yield DecodeJudge(fmt, BINARY32), OCP
    for block in CONCRETE:
        yield ScaledEncodeJudge(block, BINARY32, "smoke"), OCP
        yield QuantizeJudge(block, BINARY32, "smoke"), OCP
        yield DequantizeJudge(block, BINARY32, "smoke"), OCP
    names = [block.name for block in CONCRETE]
    labels = [*names, *(pair_label(*pair) for pair in pairwise(names))]
    for operation in PRODUCT_OPERATIONS:
        for label in labels:
            yield product_judge(operation, label, BINARY32, "smoke", True, EXACT), OCP


def _noted(judge: ProductJudge) -> set[str]:
    """Clauses about dot products that the notes of the cases name, and the one about the format of the results."""
    named = {
        clause
        for theme in np.unique(judge.cases.theme)
        for clause in NOTES[judge.cases.notes[theme]].clauses
        if clause.startswith(("MX-6.1-", "MX-6.2-"))
    }
    if judge.operation == "dot":
        return {clause for clause in named if clause.startswith("MX-6.1-")}
    return (named | {"MX-6.2-F32"}) - {"MX-6.1-DOT"}


def _sample(judge: Judge) -> list[int]:
    """A few cases of every theme."""
    theme = judge.cases.theme
    own = (np.flatnonzero(theme == note) for note in np.unique(theme))
    return [int(index) for cases in own for index in (*cases[::7], cases[-1])]


def _one_lane_wrong(judge: DequantizeJudge) -> np.ndarray:
    """Rows that are wrong in one lane: of an Inf or NaN code, else of a product beyond binary32, else the first."""
    width = judge.fmt.element.width
    special = [not decode(code, judge.fmt.element).is_finite for code in range(1 << width)]
    telling = 2 * np.array(special)[judge.cases.inputs[:, 1:]] + judge.open_lanes
    place = np.arange(len(telling)), np.argmax(telling, axis=1)
    wrong = judge.expected(OCP).copy()
    wrong[place] = np.where(is_nan_bits(wrong[place], judge.carrier), 0, wrong[place] ^ 1)
    return wrong


def _far_and_near(judge: ProductJudge) -> np.ndarray:
    """Results that are one bit off, every other one of them of the other sign as well, and numbers for NaN."""
    expected = judge.expected(judge.accumulation)
    wrong = expected ^ expected.dtype.type(1)
    wrong[1::2] ^= expected.dtype.type(judge.carrier.sign_mask)
    return np.where(is_nan_bits(expected, judge.carrier), expected.dtype.type(1), wrong)


def all_wrong(judge: Judge) -> np.ndarray:
    """Outcomes that differ from every expectation: what stands for a result where there is none."""
    total = len(judge.cases)
    if isinstance(judge, FakeQuantizeJudge):
        return np.array([judge.row(index, OCP) for index in range(total)]) ^ 1
    if isinstance(judge, QuantizeJudge):
        wrong = np.array([judge.row(index, OCP) for index in range(total)])
        wrong[::2, 0] ^= 1
        wrong[1::2, 1:] ^= 1
        return wrong
    if isinstance(judge, DecodeJudge):
        return np.where(is_nan_bits(judge.expected, judge.carrier), 0, judge.expected ^ 1)
    if isinstance(judge, DequantizeJudge):
        return _one_lane_wrong(judge)
    if isinstance(judge, ProductJudge):
        return _far_and_near(judge)
    return np.full(total, REJECTED, dtype=np.int64)
