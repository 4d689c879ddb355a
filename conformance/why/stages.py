"""A profile found choice by choice, stage after stage: for those that lie further from the base than can be tried out.

Each choice is the one under which most numbers of some cases are as they came. What comes out is a suggestion: it
explains a group only if it explains every outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from conformance.arrays import Array
from conformance.judges import BlockJudge, Judge, QuantizeJudge
from mxemu.profile import Profile, Rounding

STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("decode", ("scale_nan", "out_of_binary32")),
    (
        "specials",
        (
            "amax_nan",
            "nan_block",
            "inf_block",
            "zero_block",
            "nan_without_code",
            "input_subnormals",
            "zero_sign",
        ),
    ),
    (
        "scale rule",
        (
            "scale_rule",
            "amax_floor",
            "scale_clamp",
            "scale_overflow",
            "scale_cast",
            "scale_zero",
            "scale_negative",
        ),
    ),
    ("element rounding", ("rounding", "element_subnormals", "int_minimum")),
    ("overflow", ("overflow",)),
)
"""The fields of each stage. What stands in wrong places was looked for before: see `conformance.why.arrangements`."""

SWEEPS = 3
"""Times that all stages are gone through: a choice may look better once a later one is right."""

MOST_ROWS = 96
"""Cases that choices are compared on."""


def staged(
    judge: Judge, observed: Array, base: Profile, fields: Iterable[str], rows: Sequence[int]
) -> Iterator[Profile]:
    """Profiles that agree best with some cases, counted in two ways: all numbers, or only those under right scales.

    Parameters
    ----------
    judge : Judge
    observed : ndarray
    base : Profile
        Where the search begins; a choice is left only for a better one.
    fields : iterable of str
        Fields that may change.
    rows : sequence of int
        Cases; of many, some.
    """
    rows = rows[:: max(1, len(rows) // MOST_ROWS)]
    wanted = set(fields)
    ordered = [name for _, own in STAGES for name in own if name in wanted]
    for strict in (False, True) if isinstance(judge, QuantizeJudge) else (False,):
        yield _Ascent(judge, observed, rows, strict).found(base, ordered)


class _Ascent(NamedTuple):
    """A search from choice to better choice.

    Attributes
    ----------
    judge : Judge
    observed : ndarray
    rows : sequence of int
        Cases that count.
    strict : bool
        Whether elements under a wrong scale count for nothing.
    """

    judge: Judge
    observed: Array
    rows: Sequence[int]
    strict: bool

    def found(self, base: Profile, names: Sequence[str]) -> Profile:
        """Where the search ends."""
        found = base
        for _ in range(SWEEPS):
            before = found
            for name in names:
                found = self._better(found, name)
            if found == before:
                break
        return self._without_idle(base, found)

    def _better(self, found: Profile, name: str) -> Profile:
        """The best choice of one field; the one that there is unless another is better."""
        kept, best = found, self._score(found)
        for choice in self.judge.choices(name):
            other = found.replace(**{name: choice})
            score = 0 if choice is Rounding.STOCHASTIC else self._score(other)
            if score > best:
                kept, best = other, score
        return kept

    def _without_idle(self, base: Profile, found: Profile) -> Profile:
        """The same without choices that are no better than those of the base."""
        best = self._score(found)
        for name in found.changes(base):
            other = found.replace(**{name: getattr(base, name)})
            if self._score(other) >= best:
                found = other
        return found

    def _score(self, profile: Profile) -> int:
        """Numbers that are as expected."""
        judge = self.judge
        if not isinstance(judge, BlockJudge):
            return sum(judge.matches(row, self.observed, profile) for row in self.rows)
        differing = (judge.row_differs(self.observed[row], row, profile) for row in self.rows)
        return sum(0 if self.strict and row[0] else int((~row).sum()) for row in differing)
