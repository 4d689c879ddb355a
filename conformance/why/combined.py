"""Why a group differs, when no single convention or mistake explains it: another layout, or two causes together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice, permutations, product
from typing import NamedTuple

import numpy as np

from conformance.arrays import Array
from conformance.judges import Judge, ProductJudge
from conformance.why.arrangements import View, shuffles, view
from conformance.why.diagnose import (
    CLOSE,
    MOST_CHANGES,
    Hypothesis,
    accumulations_of,
    explain_accumulation,
    explain_judged,
    explain_mistake,
    explain_open,
    explain_scale,
    name_of,
    probes_of,
    unlike,
    useful_changes,
)
from conformance.why.shuffles import Shuffle
from conformance.zoo import mistakes
from conformance.zoo.both import both
from mxemu.errors import MxemuError
from mxemu.profile import Profile

FEW = 12
"""Differing cases that every layout is tried on."""

PARTIAL = 0.2
"""Share of these that a layout must explain to be one of two causes."""

MOST_LAYOUTS = 3
"""Layouts that are combined with other causes."""

MOST_PARTS = 8
"""Mistakes, and conventions, that are combined with each other: those that explain most by themselves."""

MOST_PAIRS = 256
"""Pairs of causes that are tried; a group takes a second at most."""


class Outcomes(NamedTuple):
    """What a subject gave for the cases of a group, and which of them count.

    Attributes
    ----------
    judge : Judge
    observed : ndarray
    base : Profile
        What was asked for.
    wrong : ndarray of bool
        Cases that differ.
    answered : ndarray of bool
        Cases for which there is a result.
    """

    judge: Judge
    observed: Array
    base: Profile
    wrong: Array
    answered: Array

    @property
    def judged(self) -> Array:
        """Cases that a cause has to explain."""
        return (~self.judge.silent() | self.wrong) & self.answered

    def differing(self) -> Array:
        """Some cases that differ."""
        return np.array(probes_of(self.judge, self.wrong & self.answered)[0])

    def seen_through(self, shuffle: Shuffle) -> tuple[View, Array]:
        """All cases without a shuffle, and which of them still differ."""
        found = view(self.judge, self.observed, shuffle, np.arange(len(self.wrong)))
        return found, self._differs(found, np.arange(len(self.wrong)))

    def explained(self, shuffle: Shuffle, rows: Array) -> float:
        """The share of some cases that a layout explains."""
        found = view(self.judge, self.observed, shuffle, rows)
        return float(1 - self._differs(found, rows).mean())

    def _differs(self, found: View, rows: Array) -> Array:
        differs, silent = found.judge.compare(found.observed, self.base)
        return (differs | (silent & self.wrong[rows])) & self.answered[rows]


class Ranked(NamedTuple):
    """A layout, and the share of some differing cases that it explains."""

    share: float
    shuffle: Shuffle


def explain_conversion(given: Outcomes, departure: Hypothesis | None) -> Hypothesis | None:
    """Why conversions differ that follow no legal profile.

    Parameters
    ----------
    given : Outcomes
    departure : Hypothesis, optional
        A profile that breaks a clause and explains every case.

    Returns
    -------
    Hypothesis or None
        A layout; else the departure; else a known mistake, a profile further from the base, a scale rule of its own, or
        two causes together. If none of them explains every case, the mistake or layout that explains nearly all that
        differ.
    """
    judge, observed, base, wrong, _ = given
    ranked = rank_layouts(given)
    layout = explain_layout(given, ranked)
    if layout is not None and layout.complete:
        return layout
    if departure is not None:
        return departure
    mistake = explain_mistake(judge, observed, base, wrong)
    if mistake is not None and mistake.complete:
        return mistake
    far = explain_judged(judge, observed, base, wrong, far=True) if _may_be_far(given) else None
    if far is not None:
        return far
    own = explain_scale(judge, observed, base, wrong) or explain_combined(given, ranked)
    return own or mistake or layout


def _may_be_far(given: Outcomes) -> bool:
    """Whether a profile that changes many choices is worth a search: if there are so many choices."""
    return len(given.judge.fields) > MOST_CHANGES


def explain_product(given: Outcomes) -> Hypothesis | None:
    """Why dot products differ: an accumulation; else a layout, a mistake or two causes; else what comes closest."""
    judge, observed, base, wrong, answered = given
    assert isinstance(judge, ProductJudge)
    legal = explain_accumulation(judge, observed, answered)
    if legal is not None and legal.complete:
        return legal
    ranked = rank_layouts(given)
    layout = explain_layout(given, ranked)
    if layout is not None and layout.complete:
        return layout
    mistake = explain_mistake(judge, observed, base, wrong, answered)
    if mistake is not None and mistake.complete:
        return mistake
    return explain_combined(given, ranked) or legal or mistake or layout


def rank_layouts(given: Outcomes) -> list[Ranked]:
    """The layouts that explain something, those that explain most first."""
    probes = given.differing()
    few = probes[np.linspace(0, len(probes) - 1, min(FEW, len(probes))).astype(np.int64)]
    found = [
        Ranked(given.explained(shuffle, few), shuffle)
        for shuffle in shuffles(given.judge, given.observed, given.base)
    ]
    return sorted((one for one in found if one.share), key=lambda one: -one.share)


def explain_layout(given: Outcomes, ranked: list[Ranked]) -> Hypothesis | None:
    """The layout under which no case differs; else the one that explains nearly all that differ.

    Parameters
    ----------
    given : Outcomes
    ranked : list of Ranked
        From `rank_layouts`.
    """
    best: Hypothesis | None = None
    whole: list[Hypothesis] = []
    for share, shuffle in ranked:
        if share < CLOSE:
            break
        _, differs = given.seen_through(shuffle)
        of = int(given.judged.sum())
        right = of - int((differs & given.judged).sum()) if differs.any() else of
        found = Hypothesis(shuffle.name, "layout", right, of, note=shuffle.note, text=shuffle.text)
        if found.complete:
            whole.append(found)
        elif right >= of - (1 - CLOSE) * given.wrong.sum() and best is None:
            best = found
    if not whole:
        return best
    others = tuple(dict.fromkeys(one.name for one in whole[1:] if one.name != whole[0].name))
    return replace(whole[0], also=others)


def explain_silent(given: Outcomes, cause: Hypothesis, silent: Array) -> Hypothesis | None:
    """What cases follow on which the specification is silent, where a layout explains the others.

    Parameters
    ----------
    given : Outcomes
    cause : Hypothesis
        Of the judged cases, with the text of the layout.
    silent : ndarray of bool
        Cases that differ.

    Returns
    -------
    Hypothesis or None
        The layout, if nothing differs any more; else the convention that they follow.
    """
    base, every = cause.profile or given.base, np.arange(len(silent))
    tried = shuffles(given.judge, given.observed, base)
    shuffle = next((one for one in tried if one.text == cause.text), None)
    if shuffle is None:
        return None
    judge, observed = view(given.judge, given.observed, shuffle, every)
    differs = judge.compare(observed, base)[1] & given.answered
    if differs.any():
        return explain_open(judge, observed, base, differs)
    count = int(silent.sum())
    return Hypothesis(cause.name, "layout", count, count, note=cause.note, text=cause.text)


def explain_combined(given: Outcomes, ranked: list[Ranked]) -> Hypothesis | None:
    """Two causes that together explain every case: a layout and a cause of what it leaves, or a mistake and another.

    Returns
    -------
    Hypothesis or None
        Its profile is that of the convention, if there is one.
    """
    found = _with_layout(given, ranked)
    if found is None and isinstance(given.judge, ProductJudge):
        found = _of_products(given, given.judge)
    elif found is None:
        found = _of_conversions(given)
    return found


def _with_layout(given: Outcomes, ranked: list[Ranked]) -> Hypothesis | None:
    """A layout, and what explains the rest."""
    for share, shuffle in ranked[:MOST_LAYOUTS]:
        if share < PARTIAL:
            return None
        seen, differs = given.seen_through(shuffle)
        if not differs.any():
            continue
        rest = _rest(given, seen, differs)
        if rest is not None and rest.complete:
            of = int(given.judged.sum())
            name = f"{shuffle.name} and {rest.name}"
            return Hypothesis(
                name,
                "combined",
                of,
                of,
                rest.profile,
                rest.clauses,
                shuffle.note or rest.note,
                text=shuffle.text,
            )
    return None


def _rest(given: Outcomes, seen: View, differs: Array) -> Hypothesis | None:
    """What explains the cases that a layout leaves."""
    judge, observed = seen
    if isinstance(judge, ProductJudge):
        rest = explain_accumulation(judge, observed, given.answered)
        if rest is not None and rest.complete:
            return rest
        return explain_mistake(judge, observed, given.base, differs, given.answered)
    rest = explain_judged(judge, observed, given.base, differs)
    return rest or explain_mistake(judge, observed, given.base, differs)


class _Part(NamedTuple):
    """A cause, and how many of the differing cases it explains alone."""

    score: int
    name: str
    what: object
    note: str = ""


def _ranked_parts(parts: Iterator[_Part]) -> list[_Part]:
    found = [part for part in parts if part.score]
    return sorted(found, key=lambda part: -part.score)[:MOST_PARTS]


def _mistakes(given: Outcomes, probes: Array) -> list[_Part]:
    """The mistakes that explain something."""

    def parts() -> Iterator[_Part]:
        for one in mistakes(given.judge):
            outcome = one.outcome(given.judge, given.base, probes)
            alike = ~unlike(given.judge, given.observed[probes], outcome)
            yield _Part(int(alike.sum()), one.name, one, one.note)

    return _ranked_parts(parts())


def _of_conversions(given: Outcomes) -> Hypothesis | None:
    """A mistake and a convention, or two mistakes."""
    judge, base, probes = given.judge, given.base, given.differing()
    wrong = _mistakes(given, probes)
    changes = useful_changes(judge, base, judge.fields, [int(row) for row in probes])
    profiles = [base.replace(**{name: choice}) for name, own in changes.items() for choice in own]
    # A convention first, since it is no mistake; all pairs of these few mistakes come within the limit.
    pairs: list[tuple[str, Profile | None, Callable[[Array | None], Array], str]] = []
    for one, other in product(wrong, profiles):
        give = _under(judge, one.what, other)
        pairs.append((f"{one.name} and {name_of(other, base)}", other, give, one.note))
    for one, two in permutations(wrong, 2):
        joined = both(one.what, two.what)  # type: ignore[arg-type]
        if joined is not None:
            give = _under(judge, joined, base)
            pairs.append((f"{one.name} and {two.name}", None, give, one.note))
    for name, profile, give, note in islice(pairs, MOST_PAIRS):
        if _explains(given, give, probes):
            of = int(given.judged.sum())
            broken = () if profile is None else judge.departures(profile)
            return Hypothesis(name, "combined", of, of, profile, broken, note)
    return None


def _under(judge: Judge, member: object, profile: Profile) -> Callable[[Array | None], Array]:
    def give(rows: Array | None) -> Array:
        found: Array = member.outcome(judge, profile, rows)  # type: ignore[attr-defined]
        return found

    return give


def _explains(given: Outcomes, give: Callable[[Array | None], Array], probes: Array) -> bool:
    """Whether two causes together give every outcome."""
    for few in (probes[:: max(1, len(probes) // FEW)], probes):
        if unlike(given.judge, given.observed[few], give(few)).any():
            return False
    differs = unlike(given.judge, given.observed, give(None))
    return not (differs & given.judged).any()


def _of_products(given: Outcomes, judge: ProductJudge) -> Hypothesis | None:
    """A mistake under another accumulation, or two mistakes."""
    probes = given.differing()
    wrong = _mistakes(given, probes)
    records = _ranked_parts(_accumulations(given, judge, probes))
    pairs: list[tuple[str, Callable[[Array | None], Array], str]] = []
    for one, other in product(wrong, records):
        under = judge.compared_with(other.what)  # type: ignore[arg-type]
        pairs.append(
            (f"{one.name} and {other.name}", _under(under, one.what, given.base), one.note)
        )
    for one, two in permutations(wrong, 2):
        joined = both(one.what, two.what)  # type: ignore[arg-type]
        if joined is not None:
            name = f"{one.name} and {two.name}"
            pairs.append((name, _under(judge, joined, given.base), one.note))
    for name, give, note in islice(pairs, MOST_PAIRS):
        if _explains(given, give, probes):
            of = int(given.judged.sum())
            return Hypothesis(name, "combined", of, of, note=note)
    return None


def _accumulations(given: Outcomes, judge: ProductJudge, probes: Array) -> Iterator[_Part]:
    """Accumulations, with the differing results that each explains."""
    for record in accumulations_of(judge):
        try:
            expected = judge.expected_of(probes, record)
        except MxemuError:
            continue  # not for these operands
        alike = ~judge.differ(given.observed[probes], expected)
        yield _Part(int(alike.sum()), record.name, record)
