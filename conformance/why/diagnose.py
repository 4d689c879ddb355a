"""Why a group of outcomes differs: the profile, or else the known mistake, that explains all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, product

import numpy as np

from conformance.adapter import REJECTED, pair_of
from conformance.arrays import Array, is_nan_bits
from conformance.cases.products import element_of
from conformance.judges import (
    DecodeJudge,
    DequantizeJudge,
    FakeQuantizeJudge,
    Judge,
    ProductJudge,
    QuantizeJudge,
    ScaleCastJudge,
    ScaledEncodeJudge,
)
from conformance.why.stages import staged
from mxemu.accumulation import Accumulation
from mxemu.accumulations import ACCUMULATIONS
from mxemu.errors import MxemuError
from mxemu.formats import find as find_format
from mxemu.profile import PRESETS, Profile, Rounding, word_of

CLOSE = 0.95
"""Share of the wrong cases that a mistake must explain to be named although it does not explain all."""

FALSE_ALARMS = 2
"""Cases that pass although a mistake would fail them, for each wrong one that it explains: with more it has no name."""

MOST_CHANGES = 3
"""Profiles that differ in more fields than this are not tried one by one; see `conformance.why.stages`."""


@dataclass(frozen=True)
class Hypothesis:
    """An explanation and how much it explains.

    Attributes
    ----------
    name : str
        Pasteable: ``overflow=overflow``, or the name of a mistake.
    kind : str
        ``profile`` (legal), ``departure`` (a profile that breaks a clause), ``mistake``, ``accumulation``, ``layout``
        (right, but in another place), or ``combined`` (two causes that together explain what neither does).
    explains, of : int
        Cases explained, of all cases judged, agreeing ones included.
    profile : Profile, optional
    clauses : tuple of str
        What a departure breaks.
    note : str
        Key of the note that says more about a mistake.
    also : tuple of str
        Other accumulations or layouts that explain the same: these cases do not tell them apart.
    text : str
        Of a layout: what is in which place, as a sentence.
    """

    name: str
    kind: str
    explains: int
    of: int
    profile: Profile | None = None
    clauses: tuple[str, ...] = ()
    note: str = ""
    also: tuple[str, ...] = ()
    text: str = ""

    @property
    def complete(self) -> bool:
        return self.explains == self.of


def candidates(
    judge: Judge, base: Profile, field_names: Iterable[str], probes: Sequence[int]
) -> Iterator[Profile]:
    """Profiles near a base, fewest changes first.

    A change that alters nothing about the differing probes cannot explain them and takes part in no combination.
    """
    useful = useful_changes(judge, base, field_names, probes)
    for count in range(1, MOST_CHANGES + 1):
        for chosen in combinations(useful, count):
            for values in product(*(useful[field_name] for field_name in chosen)):
                yield base.replace(**dict(zip(chosen, values, strict=True)))


def _far(
    judge: Judge, observed: Array, base: Profile, field_names: Iterable[str], rows: Sequence[int]
) -> Iterator[Profile]:
    """Profiles that may lie further away: found choice by choice, and the named ones, whose values none could guess."""
    names = list(field_names)
    for found in staged(judge, observed, base, names, rows):
        if found.changes(base):
            yield found
            yield from _further(judge, observed, found, names, rows)
    for found in PRESETS.values():
        # A preset may end at a scale code that the format does not have.
        fits = found.scale_clamp in (None, *judge.choices("scale_clamp"))
        if fits and found.rounding is not Rounding.STOCHASTIC and found.changes(base):
            yield found


def _further(
    judge: Judge, observed: Array, found: Profile, field_names: list[str], rows: Sequence[int]
) -> Iterator[Profile]:
    """Profiles beside one that leaves few cases wrong, such as those at the ends of the scale, which few rows show."""
    rest = np.flatnonzero(judge.compare(observed, found)[0])
    if 0 < len(rest) <= (1 - CLOSE) * len(judge.cases):
        few = _spread(rest, judge.cases.theme, 24, 4)
        yield from staged(judge, observed, found, field_names, [*few, *rows])


def useful_changes(
    judge: Judge, base: Profile, field_names: Iterable[str], probes: Sequence[int]
) -> dict[str, list[object]]:
    """For each field the other choices that alter something about some cases."""
    before = [judge.expectation(index, base) for index in probes]
    useful: dict[str, list[object]] = {}
    for field_name in field_names:
        for choice in others(base, field_name, judge.choices(field_name)):
            changed = base.replace(**{field_name: choice})
            if [judge.expectation(index, changed) for index in probes] != before:
                useful.setdefault(field_name, []).append(choice)
    return useful


def others(base: Profile, field_name: str, choices: Iterable[object]) -> list[object]:
    """The choices for a field that a profile does not make; STOCHASTIC has no expectation to compare with."""
    current = getattr(base, field_name)
    return [one for one in choices if one != current and one is not Rounding.STOCHASTIC]


def name_of(profile: Profile, base: Profile) -> str:
    """The fields in which a profile differs from a base."""
    return ", ".join(f"{key}={word_of(value)}" for key, value in profile.changes(base).items())


def explain_judged(
    judge: Judge, observed: Array, base: Profile, wrong: Array, *, far: bool = False
) -> Hypothesis | None:
    """The nearest profile under which no judged case differs, legal ones before others.

    Parameters
    ----------
    judge : Judge
    observed : ndarray
    base : Profile
        What was asked for.
    wrong : ndarray of bool
        Judged cases that differ from the base, and silent ones that break a promise.
    far : bool
        Whether to try profiles that are found choice by choice, and not those nearby.
    """
    found = None
    promised = bool((wrong & judge.silent()).any())
    # Where a promise is broken, open cases that are as promised have to stay so.
    kept = np.full(len(wrong), promised) & ~judge.compare(observed, base)[1]
    wide = (*judge.fields, *judge.open_fields)
    fields = dict.fromkeys(wide if promised or far else judge.fields)
    judged = int((~judge.silent() | wrong).sum())
    differing, agreeing = probes = probes_of(judge, wrong, judge.silent())
    tried = (
        _far(judge, observed, base, fields, (*differing, *agreeing))
        if far
        else candidates(judge, base, fields, differing)
    )
    for candidate in tried:
        if not all(judge.matches(index, observed, candidate) for index in chain(*probes)):
            continue
        differs, silent = judge.compare(observed, candidate)
        if differs.any() or (silent & (wrong | kept)).any():
            continue
        broken = judge.departures(candidate)
        kind = "departure" if broken else "profile"
        hypothesis = Hypothesis(name_of(candidate, base), kind, judged, judged, candidate, broken)
        if not broken:
            return hypothesis
        found = found or hypothesis
    return found


def explain_scale(
    judge: Judge, observed: Array, profile: Profile, wrong: Array
) -> Hypothesis | None:
    """MX 6.3 allows any choice of scale: then every element has to be right for the scale that was chosen."""
    if not isinstance(judge, QuantizeJudge):
        return None
    judged = np.flatnonzero(~judge.silent() | wrong)
    if not all(judge.fits_its_scale(int(index), observed, profile) for index in judged):
        return None
    return Hypothesis("a scale rule of its own", "profile", len(judged), len(judged))


def explain_open(judge: Judge, observed: Array, base: Profile, differs: Array) -> Hypothesis | None:
    """The nearest profile that agrees with every silent case and makes no judged case differ that agreed before."""
    before = judge.compare(observed, base)[0]
    count = int(differs.sum())
    codes = observed[differs] if observed.ndim == 1 else observed[differs][:, 0]
    if bool((codes == REJECTED).all()):
        return Hypothesis("refuses these inputs", "profile", count, count)
    differing, agreeing = probes_of(judge, differs, before)
    near = candidates(judge, base, judge.open_fields, differing)
    far = _far(judge, observed, base, judge.open_fields, (*differing, *agreeing))
    for candidate in chain(near, far):
        if not all(judge.matches(index, observed, candidate) for index in (*differing, *agreeing)):
            continue
        wrong, still = judge.compare(observed, candidate)
        if still.any() or (wrong & ~before).any():
            continue
        return Hypothesis(name_of(candidate, base), "profile", count, count, candidate)
    narrow = judge.by_way_of_binary32() if isinstance(judge, ScaleCastJudge) else None
    found = explain_open(narrow, observed, base, differs) if narrow else None
    return found and replace(found, name=f"{found.name}, by way of binary32")


def probes_of(
    judge: Judge, differs: Array, ignored: Array | None = None
) -> tuple[list[int], list[int]]:
    """Some cases that differ and some that do not: the first of every theme, and some spread over all."""
    quick = judge.cases.inputs.ndim == 1 or isinstance(judge, (ProductJudge, ScaledEncodeJudge))
    count, each = (200, 8) if quick else (12, 2)
    agrees = ~differs if ignored is None else ~(differs | ignored)
    wrong, right = (
        _spread(np.flatnonzero(mask), judge.cases.theme, count, each) for mask in (differs, agrees)
    )
    return wrong, right[:count]


def _spread(indices: Array, theme: Array, count: int, each: int) -> list[int]:
    firsts = [indices[theme[indices] == note][:each] for note in np.unique(theme[indices])]
    some = indices[:: max(1, len(indices) // count)]
    return [int(index) for index in np.unique(np.concatenate([*firsts, some]))]


def explain_accumulation(
    judge: ProductJudge, observed: Array, answered: Array
) -> Hypothesis | None:
    """The named accumulations that explain every result; else the one that explains most of the differing ones.

    Parameters
    ----------
    judge : ProductJudge
    observed : ndarray
    answered : ndarray of bool
        Cases for which there is a result.
    """
    total = int(answered.sum())
    wrong = judge.differ(observed, judge.expected(judge.accumulation)) & answered
    differing, agreeing = probes_of(judge, wrong, ~answered)
    probes = np.array([*differing, *agreeing])
    missed = {
        record: judge.differ(observed[probes], _expected(judge, probes, record))
        for record in accumulations_of(judge)
    }
    hopeful = [record for record, differs in missed.items() if not differs.any()]
    found = [record.name for record in hopeful if _alike(judge, observed, record)[answered].all()]
    if found:
        return Hypothesis(found[0], "accumulation", total, total, also=tuple(found[1:]))
    close = [
        record
        for record, differs in missed.items()
        if differs[: len(differing)].sum() <= 2 * (1 - CLOSE) * len(differing)
    ]
    return _closest(judge, observed, answered, wrong, close)


def _alike(judge: ProductJudge, observed: Array, record: Accumulation) -> Array:
    """Which results are those of an accumulation."""
    return ~judge.differ(observed, judge.expected(record))


def _closest(
    judge: ProductJudge,
    observed: Array,
    answered: Array,
    wrong: Array,
    records: Sequence[Accumulation],
) -> Hypothesis | None:
    """The accumulation that explains most of the differing results, if that is nearly all of them."""
    best, best_score = None, 0
    for record in records:
        alike = _alike(judge, observed, record) & answered
        score = int((alike & wrong).sum())
        if score > best_score and score >= CLOSE * wrong.sum():
            counts = int(alike.sum()), int(answered.sum())
            best, best_score = Hypothesis(record.name, "accumulation", *counts), score
    return best


def _expected(judge: ProductJudge, rows: Array, record: Accumulation) -> Array:
    """Bits under an accumulation; what it gives for none of these operands is like no result."""
    try:
        return judge.expected_of(rows, record)
    except MxemuError:
        return ~judge.expected_of(rows, judge.accumulation)


def accumulations_of(judge: ProductJudge) -> list[Accumulation]:
    """Every named accumulation but the one compared with; those for these operands first, then those for any."""
    elements = {element_of(find_format(name)).name for name in pair_of(judge.label)}

    def rank(record: Accumulation) -> int:
        return 0 if elements <= set(record.operands) else 1 if not record.operands else 2

    others = [one for one in ACCUMULATIONS.values() if one != judge.accumulation]
    return sorted(others, key=rank)


def explain_mistake(
    judge: Judge, observed: Array, base: Profile, wrong: Array, answered: Array | None = None
) -> Hypothesis | None:
    """The known mistake that explains every judged case; else the one that explains most of the wrong ones."""
    from conformance.zoo import mistakes

    best: Hypothesis | None = None
    best_score = (0, 0)
    judged = (~judge.silent() | wrong) if answered is None else answered
    probes = np.array(probes_of(judge, wrong)[0])
    for mistake in mistakes(judge):
        alike = ~unlike(judge, observed[probes], mistake.outcome(judge, base, probes))
        if 2 * alike.sum() < len(alike):
            continue
        same = ~unlike(judge, observed, mistake.outcome(judge, base)) & judged
        hypothesis = Hypothesis(
            mistake.name, "mistake", int(same.sum()), int(judged.sum()), note=mistake.note
        )
        if hypothesis.complete:
            return hypothesis
        explained = int((same & wrong).sum())
        # What passes although the mistake would fail it speaks against it.
        against = int((~same & judged & ~wrong).sum())
        close = explained >= CLOSE * wrong.sum() and against <= FALSE_ALARMS * explained
        if close and (explained, -against) > best_score:
            best, best_score = hypothesis, (explained, -against)
    return best


def unlike(judge: Judge, observed: Array, other: Array) -> Array:
    """Which cases differ between two outcomes, element bits of no meaning left out."""
    if isinstance(judge, ProductJudge):
        return judge.differ(observed, other)
    differs: Array = observed != other
    if isinstance(judge, (DecodeJudge, DequantizeJudge, FakeQuantizeJudge)):
        differs &= ~(is_nan_bits(observed, judge.carrier) & is_nan_bits(other, judge.carrier))
    if differs.ndim == 2:
        return _rows_unlike(judge, observed, differs)
    nan_codes = getattr(judge, "nan_codes", None)
    if nan_codes is not None:
        inside = (
            (observed >= 0) & (observed < len(nan_codes)) & (other >= 0) & (other < len(nan_codes))
        )
        both = (
            nan_codes[np.where(inside, observed, 0)]
            & nan_codes[np.where(inside, other, 0)]
            & inside
        )
        return differs & ~both
    return differs


def _rows_unlike(judge: Judge, observed: Array, differs: Array) -> Array:
    """The same for rows: under equal NaN scales the codes do not count."""
    nan_scales = getattr(judge, "_nan_scales", None)
    if nan_scales is not None:
        inside = (observed[:, 0] >= 0) & (observed[:, 0] < len(nan_scales))
        nan = nan_scales[np.where(inside, observed[:, 0], 0)] & inside & ~differs[:, 0]
        differs[nan, 1:] = False
    return np.asarray(differs.any(axis=1))
