"""Coverage: which decisions a set of vectors meets, and on which of them a wrong one would be seen.

A coverpoint divides vectors by what has to be decided: how the discarded bits look, which scale comes out, how deep a
sum cancels. It is stated apart from the generators. A bin is *hit* if a vector falls into it, and *observable* if a
mistake that the coverpoint claims, a member of the zoo or another choice of a profile or accumulation, changes the
result of such a vector: where no mistake shows, a hit says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from conformance.arrays import Array
from conformance.cases import Cases
from conformance.vectors.suites import Suite
from conformance.vectors.table import Batch
from mxemu.errors import MxemuError

Mutant = Callable[[Batch], Array]
"""Which vectors of a batch a mistake would change."""


@dataclass(frozen=True)
class Coverpoint:
    """One question with its possible answers.

    Parameters
    ----------
    name : str
    bins : sequence of str
        Every answer that there is, hit or not.
    place : callable
        A batch to the bin of each vector, shape (n,), -1 for none; or shape (n, bins) of bool, where several apply.
    claims : tuple of str
        Mistakes that vectors in these bins are to show; each bin has to show one of them.
    """

    name: str
    bins: Sequence[str]
    place: Callable[[Batch], Array]
    claims: tuple[str, ...]


@dataclass
class Point:
    """What a set makes of a coverpoint."""

    coverpoint: Coverpoint
    hits: Array = field(init=False)
    seen: Array = field(init=False)

    def __post_init__(self) -> None:
        self.hits = np.zeros(len(self.coverpoint.bins), np.int64)
        self.seen = np.zeros(len(self.coverpoint.bins), bool)

    def add(self, batch: Batch, changed: Mapping[str, Array]) -> None:
        """Some more vectors."""
        found = self.coverpoint.place(batch)
        inside = _matrix(found, len(self.coverpoint.bins))
        self.hits += inside.sum(axis=0)
        shown = np.zeros(len(batch), bool)
        for claim in self.coverpoint.claims:
            shown |= changed[claim]
        self.seen |= inside[shown].any(axis=0)

    @property
    def hit(self) -> int:
        """Bins with a vector."""
        return int((self.hits > 0).sum())

    @property
    def observable(self) -> int:
        """Bins in which a mistake shows."""
        return int(self.seen.sum())

    @property
    def total(self) -> int:
        return len(self.hits)

    def missing(self) -> list[str]:
        """Bins without a vector that shows something."""
        return [
            name for name, seen in zip(self.coverpoint.bins, self.seen, strict=True) if not seen
        ]


def _matrix(found: Array, count: int) -> Array:
    if found.ndim == 2:
        return found.astype(bool)
    return np.asarray(found[:, None] == np.arange(count))


def coverage(suite: Suite, batches: Iterable[Batch] | None = None) -> list[Point]:
    """Every coverpoint of a set's operation.

    Parameters
    ----------
    suite : Suite
    batches : iterable of Batch, optional
        Vectors to look at; those of the set unless given.

    Raises
    ------
    MxemuError
        For an operation that has no coverage model.
    """
    from conformance.vectors.models import coverpoints, mutants

    points = [Point(one) for one in coverpoints(suite)]
    if not points:
        raise MxemuError(
            f"{suite.table.name}: {suite.key.operation} has no coverage model",
            "scale is part of quantize; packed bytes are walked through bit by bit",
        )
    needed = {claim for one in points for claim in one.coverpoint.claims}
    known = {name: mutant for name, mutant in mutants(suite).items() if name in needed}
    for batch in suite.batches() if batches is None else batches:
        nothing = np.zeros(len(batch), bool)
        changed = dict.fromkeys(needed, nothing)
        changed |= {name: mutant(batch) for name, mutant in known.items()}
        for one in points:
            one.add(batch, changed)
    return points


def cases_of(suite: Suite, batch: Batch) -> Cases:
    """A batch as cases of a judge."""
    notes = suite.notes or ("random",)
    return Cases(suite.rows(batch.columns), batch.theme, notes)
