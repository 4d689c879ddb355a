"""Which clauses the cases of the suite exercise, found by judging the zoo's correct member against nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache

import numpy as np

from conformance.adapter import REJECTED
from conformance.arrays import is_nan_bits
from conformance.judges import (
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    FakeQuantizeJudge,
    Judge,
    QuantizeJudge,
)
from mxemu.formats import BINARY32, CONCRETE, E8M0, MX_ELEMENTS
from mxemu.profile import OCP, Overflow, Profile
from mxemu.scalar import decode

_OVERFLOW = OCP.replace(overflow=Overflow.OVERFLOW)


@cache
def clause_counts() -> dict[str, int]:
    """Clause id to the number of groups (operation, format, profile) with a case that the clause decides.

    A case counts if a refusal, or a result that is one bit off, would be reported under the clause.
    """
    counts: Counter[str] = Counter()
    for judge, profile in _groups():
        observed = all_wrong(judge)
        counts.update({judge.describe(index, observed, profile).clause for index in _sample(judge)})
    return {clause: counts[clause] for clause in sorted(counts) if clause.startswith("MX-")}


def _groups() -> Iterator[tuple[Judge, Profile]]:
    for element in MX_ELEMENTS:
        yield EncodeJudge(element, BINARY32, "smoke"), OCP
        yield EncodeJudge(element, BINARY32, "smoke"), _OVERFLOW
    for fmt in (*MX_ELEMENTS, E8M0):
        yield DecodeJudge(fmt, BINARY32), OCP
    for block in CONCRETE:
        yield QuantizeJudge(block, BINARY32, "smoke"), OCP
        yield DequantizeJudge(block, BINARY32, "smoke"), OCP


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
    return np.full(total, REJECTED, dtype=np.int64)
