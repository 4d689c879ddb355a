"""Which profile an implementation follows, and which choices nothing has told apart.

First everything is checked against OCP, and each group that differs is explained: by what stands in another place, by a
nearby profile, or by one that is found stage after stage. The choices of all groups together are one profile, and the
implementation is checked against that. Then each choice of it is doubted: where another value of a field gives the same
results on every case, inputs are sought on which the two differ, and the implementation is asked about these. What is
left is equivalent on this interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from conformance.cases import Cases
from conformance.report.locked import found_profile
from conformance.runner import Filters, Request, Run, check, check_one
from conformance.verdict import Group
from conformance.why.diagnose import Hypothesis, others
from conformance.why.diagnose import name_of as departures
from conformance.why.separate import Separator
from conformance.worker import InProcess, Worker
from mxemu.profile import FIELDS, OCP, Profile, alternatives, plain

_ROUNDS = 6


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
    same : dict of str to tuple of str
        Those of them of which it is certain that no input tells them apart.
    asked : int
        Inputs that were sought out to tell choices apart, and asked for.
    unexplained : tuple of str
        Groups that follow no profile, layout or mistake known here.
    strange : list of Group
        Verdicts on further inputs that neither profile explains.
    """

    profile: Profile
    run: Run
    alike: dict[str, tuple[str, ...]] = field(default_factory=dict)
    same: dict[str, tuple[str, ...]] = field(default_factory=dict)
    asked: int = 0
    unexplained: tuple[str, ...] = ()
    strange: list[Group] = field(default_factory=list)

    @property
    def causes(self) -> dict[str, Hypothesis]:
        """What is wrong with groups that do not just follow a profile, by their names."""
        return {
            name_of(group): group.hypotheses[0]
            for group in self.run.groups
            if _is_judged(group) and _is_wrong(group) and _is_explained(group)
        }

    def lines(self) -> Iterator[str]:
        """The fingerprint in words."""
        judged = [group for group in self.run.groups if _is_judged(group)]
        cases = sum(sum(group.counts.values()) for group in judged)
        agree = sum(_agreeing(group) for group in judged)
        yield f"follows        {describe(self.profile)}"
        yield f"explains       {agree:,} of {cases:,} cases in {len(judged)} groups"
        if self.asked:
            yield f"asked further  {self.asked:,} inputs on which other choices would differ"
        for name, alike in self.alike.items():
            open_ones = [one for one in alike if one not in self.same.get(name, ())]
            own = plain(getattr(self.profile, name))
            if name in self.same:
                yield f"equivalent     {name}: {', '.join([own, *self.same[name]])}"
            if open_ones:
                yield f"not told apart {name}: {', '.join([own, *open_ones])}"
        for name, cause in self.causes.items():
            yield f"{_WORDS[cause.kind]:14} {name}: {cause.text or cause.name}"
        for name in self.unexplained:
            yield f"unexplained    {name}"


_WORDS = {"layout": "layout", "mistake": "mistake", "combined": "two causes"}


def _is_judged(group: Group) -> bool:
    return group.accumulation is None and group.carrier != "any"


def _is_wrong(group: Group) -> bool:
    """Whether a group has failures that are no choice of a profile."""
    if group.verdict not in ("FAIL", "crash"):
        return False
    return not any(one.profile is not None and one.complete for one in group.hypotheses[:1]) or any(
        one.kind in _WORDS for one in group.hypotheses
    )


def _is_explained(group: Group) -> bool:
    return any(one.complete and one.kind in _WORDS for one in group.hypotheses)


def _agreeing(group: Group) -> int:
    """Cases that are as the profile says, those included that a clause forbids or that another cause explains."""
    explained = any(one.kind != "profile" and one.complete for one in group.hypotheses)
    moved = group.open_hypothesis is not None and group.open_hypothesis.kind == "layout"
    judged = group.counts["FAIL"] if explained else 0
    return group.counts["pass"] + judged + (group.silent if moved else 0)


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
    first = _run(run, OCP, reduces=False)
    check(subject, first, filters, progress)
    found = Fingerprint(_profile_of(first), first)
    for _ in range(_ROUNDS):
        found.run = _run(run, found.profile, reduces=False)
        check(subject, found.run, filters, progress)
        better = _doubt(subject, found)
        if better is None or better.same_choices(found.profile):
            break
        found.profile = better
    found.run = _run(run, found.profile, reduces=run.reduces)
    check(subject, found.run, filters, progress)
    strange = [
        name_of(one) for one in found.run.groups if _is_wrong(one) and not _is_explained(one)
    ]
    found.unexplained = tuple(dict.fromkeys([*strange, *found.unexplained]))
    found.run.groups += found.strange
    return found


def _run(run: Run, profile: Profile, *, reduces: bool) -> Run:
    return Run(run.target, run.capabilities, run.level, profile, reduces=reduces)


def name_of(group: Group) -> str:
    """A group in words."""
    return f"{group.operation} {group.format} ({group.carrier})"


def _profile_of(run: Run) -> Profile:
    """The choices of all groups that follow a profile, those with another cause beside it included."""
    kept = [group for group in run.groups if not _is_wrong(group) or _has_profile(group)]
    return found_profile(Run(run.target, run.capabilities, run.level, run.asked, kept))


def _has_profile(group: Group) -> bool:
    return any(one.profile is not None and one.complete for one in group.hypotheses)


def _doubt(subject: Worker | InProcess, found: Fingerprint) -> Profile | None:
    """Another profile that explains more, or None; notes the choices that nothing tells apart."""
    found.alike, found.same, found.unexplained, found.strange = {}, {}, (), []
    doubts = [
        one
        for group in found.run.groups
        if _can_be_doubted(group)
        if (one := Separator.of(group, found.profile, found.run.level)) is not None
    ]
    for name in FIELDS:
        alike, same = [], []
        choices = others(found.profile, name, alternatives(name))
        for choice in choices:
            other = found.profile.replace(**{name: choice})
            told = _Doubt(subject, found, other)
            for one in doubts:
                if told.settled_by(one):
                    break
            if told.better is not None:
                return told.better
            if not told.apart:
                alike.append(plain(choice))
                same += [plain(choice)] if told.certain else []
        matters = any(name in (*one.judge.fields, *one.judge.open_fields) for one in doubts)
        if matters and alike and len(alike) < len(choices):
            found.alike[name] = tuple(alike)
            if same:
                found.same[name] = tuple(same)
    return None


def _can_be_doubted(group: Group) -> bool:
    """Whether a group has results that follow the profile, be they in their places or not."""
    answered = any(group.counts[verdict] for verdict in ("pass", "free", "FAIL"))
    return answered and not group.counts["crash"] and (not _is_wrong(group) or bool(_layout(group)))


def _layout(group: Group) -> str:
    """The layout that explains all of a group besides the profile; empty if there is none."""
    first = next(iter(group.hypotheses), None)
    return first.text if first is not None and first.kind == "layout" and first.complete else ""


def _agrees(own: Group, group: Group) -> bool:
    """Whether further inputs follow a profile, through the layout that the whole group has."""
    return own.verdict == "pass" or (bool(_layout(group)) and _layout(own) == _layout(group))


class _Doubt:
    """Whether another profile can be told from the found one, and then which of them is right.

    Attributes
    ----------
    apart : bool
        Whether some input told them apart.
    certain : bool
        Whether there cannot be such an input.
    better : Profile or None
        The one that explains further inputs that the found one does not.
    """

    def __init__(self, subject: Worker | InProcess, found: Fingerprint, other: Profile) -> None:
        self.subject, self.found, self.other = subject, found, other
        self.apart = False
        self.certain = True
        self.better: Profile | None = None

    def settled_by(self, one: Separator) -> bool:
        """Whether a group tells the two apart."""
        told = one.difference(self.other)
        if told.known or told.further is not None:
            self.apart = True
        if told.further is not None:
            self._ask(one.group, told.further)
        self.certain &= told.certain or self.apart
        return self.apart

    def _ask(self, group: Group, rows: Cases) -> None:
        """Ask for further inputs, and judge the answers by both profiles."""
        self.found.asked += len(rows)
        own = self._judged(group, rows, self.found.profile)
        if _agrees(own, group) or own.verdict == "unsupported":
            return
        if _agrees(self._judged(group, rows, self.other), group):
            self.better = self.other
            return
        named = [one.profile for one in own.hypotheses if one.complete and one.profile is not None]
        if named:
            self.better = named[0]
            return
        text = f"{name_of(group)}: {own.counts['FAIL']:,} of {len(rows)} further inputs"
        self.found.unexplained = (*self.found.unexplained, text)
        self.found.strange.append(own)

    def _judged(self, group: Group, rows: Cases, profile: Profile) -> Group:
        run = _run(self.found.run, profile, reduces=False)
        return check_one(self.subject, run, *group.key, rows)
