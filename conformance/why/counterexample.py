"""The first failure of a group, made smaller by asking the subject again."""

from __future__ import annotations

from dataclasses import replace

from conformance.arrays import Array
from conformance.judges import (
    BlockJudge,
    DequantizeJudge,
    Judge,
    ProductJudge,
    ScaledEncodeJudge,
)
from conformance.replay import of_case
from conformance.runner import Request, ask, judge_of
from conformance.verdict import Cluster, Group
from conformance.why.minimize import Ask, cases_of, minimize
from conformance.worker import InProcess, Worker

REDUCED = (BlockJudge, DequantizeJudge, ProductJudge, ScaledEncodeJudge)
"""Judges whose cases are several numbers."""


def with_smallest(
    subject: Worker | InProcess, request: Request, level: str, group: Group
) -> list[Cluster]:
    """The clusters of a group, the case of the first failing one as small as it gets; or of the first free one.

    Parameters
    ----------
    subject : Worker or InProcess
    request : Request
        What the group answers.
    level : str
        Of the check.
    group : Group
    """
    judged = [one for one in group.clusters if one.index >= 0 and not one.silent]
    differing = [one for name in ("FAIL", "free") for one in judged if one.verdict == name]
    judge = judge_of(request, level) if differing else None
    if not isinstance(judge, REDUCED):
        return group.clusters
    first = differing[0]
    smaller = _smaller(subject, request, judge, group, first)
    return [smaller if one is first else one for one in group.clusters]


def asker(subject: Worker | InProcess, request: Request, judge: Judge, note: str) -> Ask:
    """What gives the subject's answers to rows of inputs; None when one of them has none."""

    def answer(rows: Array) -> Array | None:
        found = ask(subject, request, judge.on(cases_of(rows, note)))
        return None if found.failed is not None or found.raised.any() else found.observed

    return answer


def _smaller(
    subject: Worker | InProcess, request: Request, judge: Judge, group: Group, cluster: Cluster
) -> Cluster:
    """A cluster with a smaller case; with its own where the subject gives nothing for it alone, or the right thing."""
    note = judge.cases.note(cluster.index)
    answer = asker(subject, request, judge, note)
    one = judge.on(cases_of(judge.cases.inputs[cluster.index][None], note))
    found = minimize(one, 0, cluster.first.clause, group.profile, answer)
    if found is None or not found.alone:
        return replace(cluster, smallest=found)
    own = judge.on(cases_of(found.row[None], note))
    first, token = own.describe(0, found.observed, group.profile), of_case(own, group, 0)
    word = token.token if token else cluster.token
    return replace(cluster, first=first, token=word, smallest=found)
