"""From outcomes to a verdict: pass, FAIL, free, unsupported or crash, with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from conformance.arrays import Array
from conformance.judges import Case, Judge, ProductJudge, Side
from conformance.why.combined import Outcomes, explain_conversion, explain_product, explain_silent
from conformance.why.diagnose import Hypothesis, explain_judged, explain_open, name_of
from mxemu.accumulation import Accumulation
from mxemu.profile import OCP, Profile

if TYPE_CHECKING:
    from conformance.why.minimize import Smallest
    from conformance.why.mining import Rule

VERDICTS = ("pass", "FAIL", "free", "unsupported", "crash")


@dataclass(frozen=True)
class Cluster:
    """Differing cases that one clause decides, and the simplest of them; silent if the text leaves them open.

    ``index`` is the number of that case among those of its judge, -1 if it is not known; ``token`` replays it.
    ``smallest`` is what it was reduced to by asking the subject again; ``first`` and ``token`` are about that then.
    """

    verdict: str
    count: int
    first: Case
    silent: bool = False
    index: int = -1
    token: str = ""
    smallest: Smallest | None = None


@dataclass
class Group:
    """The verdict on one operation, format and carrier under one profile.

    Attributes
    ----------
    operation, format, carrier : str
    profile : Profile
        What the results were compared with.
    counts : dict
        Cases of each verdict.
    clusters : list of Cluster
    hypotheses : list of Hypothesis
        For FAIL and free; the first one explains the judged cases.
    open_hypothesis : Hypothesis, optional
        For the cases on which the specification is silent.
    beside_ocp : int
        Judged cases that differ from OCP, when the profile is another one.
    reason : str
        For unsupported and crash.
    log : str
        What the subject printed before it died.
    clause : str
        For unsupported: what asks for the capability.
    silent : int
        Free cases on which the specification says nothing.
    further : bool
        Whether the profile is one that the subject can be asked for besides the base profile.
    accumulation : Accumulation, optional
        For dot products: what the results were compared with, in place of the profile.
    promised : bool
        For dot products: whether the subject itself declares that accumulation.
    rules : list of Rule
        For FAIL that no hypothesis explains: where it fails.
    """

    operation: str
    format: str
    carrier: str
    profile: Profile
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERDICTS, 0))
    clusters: list[Cluster] = field(default_factory=list)
    hypotheses: list[Hypothesis] = field(default_factory=list)
    open_hypothesis: Hypothesis | None = None
    beside_ocp: int = 0
    reason: str = ""
    log: str = ""
    clause: str = ""
    silent: int = 0
    further: bool = False
    accumulation: Accumulation | None = None
    promised: bool = False
    rules: list[Rule] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """The worst verdict that any case got."""
        return next(
            (name for name in ("crash", "FAIL", "free", "unsupported") if self.counts[name]), "pass"
        )

    @property
    def key(self) -> tuple[str, str, str]:
        return self.operation, self.format, self.carrier


@dataclass(frozen=True)
class Terms:
    """What a group is compared with, and on whose word.

    Attributes
    ----------
    profile : Profile
    declared : bool
        Whether the subject itself promises this profile: then another convention is a failure.
    further : bool
        Whether this is a rounding or overflow that the subject can be asked for besides the base profile.
    accumulation : Accumulation, optional
        For dot products: what results are compared with; ``declared`` is about this one then.
    takes_c : bool
        Whether the subject can be given something to add to.
    """

    profile: Profile
    declared: bool
    further: bool = False
    accumulation: Accumulation | None = None
    takes_c: bool = False


def judge_group(group: Group, judge: Judge, observed: Array, raised: Array, terms: Terms) -> Group:
    """Fill a group from the outcomes of all its cases.

    Parameters
    ----------
    group : Group
    judge : Judge
    observed : ndarray
        One row a case; rows that raised hold anything.
    raised : ndarray of bool
        Cases for which the subject raised an exception.
    terms : Terms
    """
    if isinstance(judge, ProductJudge):
        return judge_products(group, judge, observed, raised, terms)
    profile = terms.profile
    wrong, silent = judge.compare(observed, profile)
    crashed = raised & ~judge.silent()
    wrong, silent = wrong & ~raised, (silent & ~raised) | (raised & judge.silent())
    broken = broken_promises(judge, observed, silent & ~raised, terms)
    wrong, silent = wrong | broken, silent & ~broken
    group.counts["crash"] = int(crashed.sum())
    group.counts["free"] = group.silent = int(silent.sum())
    if wrong.any():
        _explain(group, judge, observed, raised, wrong, terms)
    else:
        profile = lawful(profile, judge)
        wrong = judge.compare(observed, profile)[0] & ~raised
        _blame_the_promise(group, judge, wrong, terms.profile, profile)
    group.counts["pass"] = len(raised) - sum(
        group.counts[name] for name in ("FAIL", "free", "crash")
    )
    if terms.profile.changes(OCP) and not terms.further:
        group.beside_ocp = int(judge.compare(observed, OCP)[0].sum())
    if silent.any():
        group.open_hypothesis = _explain_open(
            group, judge, observed, raised, _base(group, terms), silent
        )
    judged = "FAIL" if group.counts["FAIL"] else "free"
    for verdict, mask in (("crash", crashed), (judged, wrong), ("free", silent)):
        found = _clusters(verdict, mask, judge, observed, raised, profile)
        group.clusters += [replace(one, silent=mask is silent) for one in found]
    _mine(group, judge, wrong, ~raised & ~silent)
    return group


def _mine(group: Group, judge: Judge, wrong: Array, answered: Array) -> None:
    """Rules about failures that have no other explanation."""
    if group.counts["FAIL"] and not any(one.complete for one in group.hypotheses):
        from conformance.why.mining import mine

        group.rules = mine(judge, wrong, answered)


def judge_products(
    group: Group, judge: ProductJudge, observed: Array, raised: Array, terms: Terms
) -> Group:
    """Fill a group of dot products; the parameters are those of `judge_group`.

    MX leaves precision and order open. So another result than that of the accumulation is a failure only if the
    subject declares this accumulation, or if no accumulation gives such a result.
    """
    wrong = judge.compare(observed, terms.profile)[0] & ~raised
    group.promised = terms.declared
    group.counts["crash"] = int(raised.sum())
    faults = np.zeros_like(wrong)
    if wrong.any():
        found = explain_product(Outcomes(judge, observed, terms.profile, wrong, ~raised))
        group.hypotheses += [found] if found is not None else []
        faults = _faults(judge, observed, wrong, terms.declared, found)
    group.counts["FAIL"] = int(faults.sum())
    group.counts["free"] = int((wrong & ~faults).sum())
    group.counts["pass"] = int((~wrong & ~raised).sum())
    for verdict, mask in (("crash", raised), ("FAIL", faults), ("free", wrong & ~faults)):
        group.clusters += _clusters(verdict, mask, judge, observed, raised, terms.profile)
    _mine(group, judge, faults, ~raised)
    return group


def _faults(
    judge: ProductJudge, observed: Array, wrong: Array, declared: bool, cause: Hypothesis | None
) -> Array:
    """Which differing results are failures."""
    if declared:
        return wrong
    if cause is not None and cause.kind == "accumulation" and cause.complete:
        return np.zeros_like(wrong)
    impossible = judge.impossible(observed, wrong)
    whole = cause is not None and cause.kind != "accumulation" and cause.complete
    return wrong if whole and impossible.any() else impossible


def broken_promises(judge: Judge, observed: Array, silent: Array, terms: Terms) -> Array:
    """Silent cases that differ although the subject itself declares what it would do."""
    broken = np.zeros_like(silent)
    for index in np.flatnonzero(silent) if terms.declared else ():
        broken[index] = judge.breaks_promise(int(index), observed, terms.profile)
    return broken


def lawful(profile: Profile, judge: Judge) -> Profile:
    """A profile with the choices that some clause forbids put back to those of OCP."""
    forbidden = {
        key: getattr(OCP, key)
        for key, choice in profile.changes().items()
        if judge.departures(OCP.replace(**{key: choice}))
    }
    return profile.replace(**forbidden) if forbidden else profile


def _blame_the_promise(
    group: Group, judge: Judge, wrong: Array, promised: Profile, profile: Profile
) -> None:
    """Outcomes that are as promised, and wrong because a clause forbids what was promised."""
    if wrong.any():
        judged = int((~judge.silent() | wrong).sum())
        name, broken = name_of(promised, profile), judge.departures(promised)
        group.hypotheses.append(Hypothesis(name, "departure", judged, judged, promised, broken))
        group.counts["FAIL"] += int(wrong.sum())


def _base(group: Group, terms: Terms) -> Profile:
    """The profile that open cases are explained from: the one found for the judged cases."""
    found = group.hypotheses[0].profile if group.hypotheses else None
    return found or terms.profile


def _explain(
    group: Group, judge: Judge, observed: Array, raised: Array, wrong: Array, terms: Terms
) -> None:
    """Find out why judged cases differ, and what follows for the verdict."""
    found = explain_judged(judge, observed, terms.profile, wrong)
    if found is None or found.kind != "profile":
        given = Outcomes(judge, observed, terms.profile, wrong, ~raised)
        found = explain_conversion(given, found)
    if found is not None:
        group.hypotheses.append(found)
    legal = found is not None and found.kind == "profile" and found.complete
    group.counts["free" if legal and not terms.declared else "FAIL"] += int(wrong.sum())


def _explain_open(
    group: Group, judge: Judge, observed: Array, raised: Array, base: Profile, silent: Array
) -> Hypothesis | None:
    """The convention followed where the specification is silent; raising is one, too."""
    count = int(silent.sum())
    if raised[silent].all():
        return Hypothesis("refuses these inputs", "profile", count, count)
    if raised.any():
        return None
    cause = next(iter(group.hypotheses), None)
    if cause is not None and cause.text and cause.complete:
        given = Outcomes(judge, observed, group.profile, silent, ~raised)
        return explain_silent(given, cause, silent)
    if base is not group.profile and not judge.compare(observed, base)[1].any():
        return Hypothesis(name_of(base, group.profile), "profile", count, count, base)
    return explain_open(judge, observed, base, silent)


def without_result(case: Case, what: str) -> Case:
    """A case for which the subject gave nothing: it raised, or it died."""
    return replace(case, dut=Side("dut", what, "", ""))


def _clusters(
    verdict: str, mask: Array, judge: Judge, observed: Array, raised: Array, profile: Profile
) -> list[Cluster]:
    """Differing cases by clause, each with the simplest case of its first theme; largest clusters first."""
    indices = np.flatnonzero(mask)
    if not len(indices):
        return []
    order = np.lexsort((judge.simplicity(indices), judge.cases.theme[indices]))
    clauses = judge.clauses(indices, observed, profile)[order]
    found = []
    for clause in dict.fromkeys(clauses):
        own = indices[order[clauses == clause]]
        case = judge.describe(int(own[0]), observed, profile)
        if raised[own[0]]:
            case = without_result(case, "raised")
        found.append(Cluster(verdict, len(own), case, index=int(own[0])))
    return sorted(found, key=lambda cluster: -cluster.count)
