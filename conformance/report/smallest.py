"""The smallest input on which a known mistake shows, from the cases of the suite."""

from __future__ import annotations

import numpy as np

from conformance.judges import Case
from conformance.runner import Filters, Request, Run, judge_of, requests
from conformance.worker import InProcess
from conformance.zoo.reference import Reference


def smallest(member: Reference) -> tuple[Request, Case] | None:
    """The simplest case that a wrong implementation of the zoo gets wrong at level smoke.

    Parameters
    ----------
    member : Reference

    Returns
    -------
    tuple of Request and Case, or None
        From the first operation, format and carrier where it shows: binary32 before others, and the profile ocp
        before others that the member offers. None if smoke has no such case.
    """
    run = Run(member.name, InProcess(member).introduce(), "smoke", None)
    for carriers in (("binary32",), ()):
        every = list(requests(run, Filters(carriers=carriers)))
        for request in sorted(every, key=lambda one: one.terms.further):
            case = _case(member, request)
            if case is not None:
                return request, case
    return None


def _case(member: Reference, request: Request) -> Case | None:
    """The simplest case of one group."""
    judge = judge_of(request, "smoke")
    if not member.touches(judge):
        return None
    profile = request.terms.profile
    observed = member.outcome(judge, profile)
    judged, silent = judge.compare(observed, profile)
    indices = np.flatnonzero(judged if judged.any() else silent)
    if not len(indices):
        return None
    first = indices[int(np.argmin(judge.simplicity(indices)))]
    return judge.describe(int(first), observed, profile)


def lines(member: Reference) -> list[str]:
    """The same in words: where it is, the case, and the command that derives it."""
    found = smallest(member)
    if found is None:
        return []
    request, case = found
    sides = "  ".join(one.text() for one in (case.given, case.dut, case.ref))
    place = f"{request.operation} {request.format} ({request.carrier})"
    shown = [place if not case.where else f"{place}, {case.where}", sides]
    return [*shown, *([case.explain] if len(case.explain) <= _LONGEST else [])]


_LONGEST = 160
"""A command that is longer is not shown: nobody types it."""
