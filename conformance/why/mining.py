"""Where a subject fails, when no profile and no known mistake says why: a rule over what had to be decided.

Features are facts about a case that a data path could decide on: the sign, the discarded bits, how far C lies from the
products. A rule is a conjunction of some of them that holds for every failing case and for as few others as possible.
Numbers enter as ranges. A rule describes the cases at hand; that of a bug of a data path is often its line of code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from conformance.arrays import Array
from conformance.judges import Judge
from conformance.vectors.features import features_of
from mxemu.errors import MxemuError

MOST_PARTS = 4
"""Facts in one rule."""

FEWEST = 3
"""Failing cases of which a rule is worth something."""


@dataclass(frozen=True)
class Part:
    """One fact of a rule, and the cases for which it holds."""

    text: str
    holds: Array


@dataclass(frozen=True)
class Rule:
    """A conjunction of facts.

    Attributes
    ----------
    parts : tuple of str
    failing : int
        Failing cases that it holds for, which are all that it was made from.
    of : int
        All failing cases.
    passing : int
        Cases that pass although it holds.
    """

    parts: tuple[str, ...]
    failing: int
    of: int
    passing: int

    @property
    def text(self) -> str:
        """The rule in words: ``sign = - and guard = 1: 37 of 37 fail, 0 pass``."""
        where = " and ".join(self.parts) or "always"
        return f"{where}: {self.failing} of {self.of} fail, {self.passing} pass"

    @property
    def sharp(self) -> bool:
        """Whether it separates all failing cases from all others."""
        return self.failing == self.of and not self.passing


def mine(judge: Judge, wrong: Array, answered: Array) -> list[Rule]:
    """Rules that together hold for every failing case.

    Parameters
    ----------
    judge : Judge
    wrong : ndarray of bool
        Cases that fail.
    answered : ndarray of bool
        Cases that the subject gave a result for; others say nothing.

    Returns
    -------
    list of Rule
        The one that holds for most failing cases first; empty where the operation has no features or too few cases
        fail.
    """
    if wrong.sum() < FEWEST or not (answered & ~wrong).any():
        return []
    try:
        features = features_of(judge)
    except MxemuError:
        return []
    failing, passing = wrong & answered, answered & ~wrong
    rules: list[Rule] = []
    left = failing.copy()
    while left.any() and len(rules) < MOST_PARTS:
        rule, holds = _rule(features, left, passing, int(failing.sum()))
        if rule is None:
            break
        rules.append(rule)
        left &= ~holds
    return rules


def _rule(
    features: Mapping[str, Array], failing: Array, passing: Array, of: int
) -> tuple[Rule | None, Array]:
    """The sharpest conjunction that holds for all of these failing cases, or for the largest part of them."""
    parts = list(_parts(features, failing))
    chosen, holds = _narrowed(parts, failing, passing)
    if (holds & passing).any():
        other = _of_largest_part(features, failing, passing)
        if other is not None:
            chosen, holds = other
    if not chosen:
        return None, holds
    caught = int((holds & failing).sum())
    return Rule(
        tuple(part.text for part in chosen), caught, of, int((holds & passing).sum())
    ), holds


def _narrowed(parts: list[Part], failing: Array, passing: Array) -> tuple[list[Part], Array]:
    """Facts added one by one, each the one that leaves fewest passing cases."""
    holds = np.ones(len(failing), bool)
    chosen: list[Part] = []
    while len(chosen) < MOST_PARTS and (holds & passing).any():
        before = int((holds & passing).sum())
        left = [int((holds & part.holds & passing).sum()) for part in parts]
        if not left or min(left) >= before:
            break
        best = parts[int(np.argmin(left))]
        chosen.append(best)
        holds = holds & best.holds
    return _without_idle(chosen, failing, passing)


def _without_idle(chosen: list[Part], failing: Array, passing: Array) -> tuple[list[Part], Array]:
    """The same without facts that the others make needless."""
    kept = list(chosen)
    for part in chosen:
        others = [one for one in kept if one is not part]
        if _count(others, passing) == _count(kept, passing):
            kept = others
    holds = np.ones(len(failing), bool)
    for part in kept:
        holds = holds & part.holds
    return kept, holds


def _count(parts: list[Part], passing: Array) -> int:
    holds = passing.copy()
    for part in parts:
        holds = holds & part.holds
    return int(holds.sum())


def _of_largest_part(
    features: Mapping[str, Array], failing: Array, passing: Array
) -> tuple[list[Part], Array] | None:
    """A sharp rule for the failing cases of one value of some feature, the most of them."""
    best: tuple[int, list[Part], Array] | None = None
    for values in features.values():
        if values.dtype.kind not in "US":
            continue
        for value in np.unique(values[failing]):
            some = failing & (values == value)
            if some.sum() < FEWEST or some.sum() == failing.sum():
                continue
            chosen, holds = _narrowed(list(_parts(features, some)), some, passing)
            if chosen and not (holds & passing).any():
                caught = int((holds & failing).sum())
                if best is None or caught > best[0]:
                    best = caught, chosen, holds
    return None if best is None else (best[1], best[2])


def _parts(features: Mapping[str, Array], failing: Array) -> Iterator[Part]:
    """Every fact that holds for all failing cases."""
    for name, values in features.items():
        found = values[failing]
        if values.dtype.kind in "US":
            words = np.unique(found)
            if len(words) == 1:
                yield Part(f"{name} = {words[0]}", values == words[0])
            elif len(words) < len(np.unique(values)) and len(words) <= 3:
                yield Part(f"{name} in {{{', '.join(words)}}}", np.isin(values, words))
            continue
        low, high = found.min(), found.max()
        if low == high:
            yield Part(f"{name} = {low}", values == low)
            continue
        if low > values.min():
            yield Part(f"{name} >= {low}", values >= low)
        if high < values.max():
            yield Part(f"{name} <= {high}", values <= high)
