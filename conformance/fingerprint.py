"""Which profile an implementation follows, and which choices nothing has told apart.

First everything is checked against OCP, and each group that differs is explained by a nearby profile; the choices of
all groups together are one profile, and the implementation is checked against that. Then each choice of it is doubted:
where another value of a field gives the same results on every case, inputs are sought on which the two differ, and the
implementation is asked about these. What is left is equivalent on this interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from conformance.cases import Cases
from conformance.diagnose import name_of as departures
from conformance.report.locked import found_profile
from conformance.runner import Filters, Request, Run, check, check_one
from conformance.vectors.suites import Key, Suite, suite
from conformance.vectors.verify import changes
from conformance.verdict import Group
from conformance.worker import InProcess, Worker
from mxemu.errors import MxemuError
from mxemu.profile import FIELDS, OCP, Profile, Rounding, alternatives, plain

SEARCHED = 1 << 15
"""Random inputs among which a difference between two choices is sought, for each group."""

ASKED = 48
"""Inputs that tell two choices apart and that the subject is asked about."""

_ROUNDS = 4


@dataclass
class Fingerprint:
    """What an implementation follows.

    Attributes
    ----------
    profile : Profile
    run : Run
        The check against it.
    alike : dict of str to tuple of str
        Field to its other values that give the same results for every input that was found.
    asked : int
        Inputs that were sought out to tell choices apart, and asked for.
    unexplained : tuple of str
        Groups that follow no profile known here.
    """

    profile: Profile
    run: Run
    alike: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: int = 0
    unexplained: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """The fingerprint in words."""
        judged = [group for group in self.run.groups if _is_judged(group)]
        cases = sum(sum(group.counts.values()) for group in judged)
        agree = sum(_agreeing(group) for group in judged)
        yield f"follows        {describe(self.profile)}"
        yield f"explains       {agree:,} of {cases:,} cases in {len(judged)} groups"
        if self.asked:
            yield f"asked further  {self.asked:,} inputs on which other choices would differ"
        for name, others in self.alike.items():
            own = plain(getattr(self.profile, name))
            yield f"not told apart {name}: {own}, {', '.join(others)}"
        for name in self.unexplained:
            yield f"unexplained    {name}"


def _is_judged(group: Group) -> bool:
    return group.accumulation is None and group.carrier != "any"


def _agreeing(group: Group) -> int:
    """Cases that are as the profile says, those included that a clause forbids whatever the profile says."""
    departed = any(one.kind == "departure" and one.complete for one in group.hypotheses)
    return group.counts["pass"] + (group.counts["FAIL"] if departed else 0)


def describe(profile: Profile) -> str:
    """A profile as its departures from OCP."""
    return departures(profile, OCP) or OCP.name


def fingerprint(
    subject: Worker | InProcess,
    run: Run,
    filters: Filters,
    progress: Callable[[Request], None] = lambda _: None,
) -> Fingerprint:
    """Find the profile of a subject.

    Parameters
    ----------
    subject : Worker or InProcess
    run : Run
        With capabilities and level; what it declares is not looked at.
    filters : Filters
    progress : callable
    """
    first = _run(run, OCP)
    check(subject, first, filters, progress)
    unexplained, kept = _apart(first)
    first.groups = kept
    profile = found_profile(first)
    found = Fingerprint(profile, first, unexplained=unexplained)
    for _ in range(_ROUNDS):
        found.run = _run(run, found.profile)
        check(subject, found.run, filters, progress)
        found.run.groups = [
            group for group in found.run.groups if name_of(group) not in unexplained
        ]
        better = _doubt(subject, found)
        if better is None:
            return found
        found.profile = better
    return found


def _run(run: Run, profile: Profile) -> Run:
    return Run(run.target, run.capabilities, run.level, profile)


def name_of(group: Group) -> str:
    """A group in words."""
    return f"{group.operation} {group.format} ({group.carrier})"


def _apart(run: Run) -> tuple[tuple[str, ...], list[Group]]:
    """Groups that follow no profile, and the others."""
    strange, kept = [], []
    for group in run.groups:
        own = Run(run.target, run.capabilities, run.level, run.asked, [group])
        try:
            found_profile(own)
            kept.append(group)
        except MxemuError:
            strange.append(name_of(group))
    return tuple(dict.fromkeys(strange)), kept


def _doubt(subject: Worker | InProcess, found: Fingerprint) -> Profile | None:
    """Another profile that explains more, or None; notes the choices that nothing tells apart."""
    found.alike = {}
    groups = [group for group in found.run.groups if _has_vectors(group)]
    suites = [(group, _suite(group, found.profile)) for group in groups]
    for name in FIELDS:
        same = []
        for choice in alternatives(name):
            if choice == getattr(found.profile, name) or choice is Rounding.STOCHASTIC:
                continue
            other = found.profile.replace(**{name: choice})
            verdict = _compare(subject, found, suites, other)
            if verdict is None:
                same.append(plain(choice))
            elif verdict:
                return other
        if same and len(same) < len(alternatives(name)) - 1 - (name == "rounding"):
            found.alike[name] = tuple(same)
    return None


def _has_vectors(group: Group) -> bool:
    judged = group.counts["pass"] + group.counts["free"] + group.counts["FAIL"]
    own = ("encode", "encode-scaled", "quantize", "dequantize")
    return group.operation in own and not group.further and judged > 0 and group.carrier != "any"


def _suite(group: Group, profile: Profile) -> Suite:
    key = Key(group.operation, group.format, group.carrier, "core", profile, random=SEARCHED)
    return suite(key)


def _compare(
    subject: Worker | InProcess,
    found: Fingerprint,
    suites: list[tuple[Group, Suite]],
    other: Profile,
) -> bool | None:
    """Whether the subject agrees with another profile and not with the found one; None if nothing shows it.

    Cases of the suite have been asked for already, so inputs from elsewhere count.
    """
    for group, one in suites:
        rows = _differing_rows(one, other)
        if rows is None:
            continue
        if rows.theme.any():
            return False
        found.asked += len(rows)
        again = _run(found.run, other)
        verdict = check_one(subject, again, *group.key, rows)
        return verdict.verdict == "pass"
    return None


def _differing_rows(one: Suite, other: Profile) -> Cases | None:
    """Inputs on which another profile differs from that of a set.

    Theme 1 says that the cases of the suite are among them, which settles it.
    """
    picked = []
    for batch in one.batches():
        inputs = {name.name: batch.columns[name.name] for name in one.inputs}
        differs = changes(one, batch, one.results(inputs, other))
        at = np.flatnonzero(differs)
        if len(at) and batch.first + int(at[0]) < len(one.cases):
            return Cases(np.zeros(1, np.int64), np.ones(1, np.int64), ("random",))
        if len(at):
            rows = one.rows({key: column[at[:ASKED]] for key, column in inputs.items()})
            picked.append(rows)
            break
    if not picked:
        return None
    return Cases(picked[0], np.zeros(len(picked[0]), np.int64), ("random",))
