"""From the results of all chunks of a group to its verdict, the same in whatever order they came."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from conformance.campaign.chunk import COUNTED, Result
from conformance.campaign.plan import Chunk
from conformance.cases import Cases
from conformance.judges import Judge, ProductJudge
from conformance.runner import Answers, conclude, judge_of, judge_with, killed
from conformance.verdict import Cluster, Group

MOST = {"encode": 100_000, "decode": 100_000, "encode-scaled": 100_000}
"""Kept cases of all chunks of a group that are judged one by one; `FEWER` of blocks and products."""

FEWER = 2_000

Done = tuple[Chunk, Result]


def merge(group: Group, done: Iterable[Done], killing: Done | None = None) -> Group:
    """Fill a group.

    Parameters
    ----------
    group : Group
    done : iterable of Chunk and Result
        In the order of their numbers; the cases of the level among them, unless nothing came of a check.
    killing : Chunk and Result, optional
        The search for the case that the subject dies of.

    Notes
    -----
    The cases of the level and the kept ones of all other chunks are judged together, as in any check, so a cause has to
    explain all of these. The counts are those of all cases.
    """
    every = list(done)
    request = every[0][0].request
    found = _together(every)
    judge, answers = found if found is not None else (None, None)
    if judge is not None and answers is not None:
        conclude(group, request, judge, answers)
    else:
        group.further, group.accumulation = request.terms.further, request.terms.accumulation
    _count(group, every, isinstance(judge, ProductJudge))
    failed = next((result for _, result in every if result.kind), None)
    if failed is not None:
        elsewhere = f", and elsewhere raised {group.reason}" if group.reason else ""
        group.reason, group.log = f"{failed.message}{elsewhere}", failed.log
    if killing is not None:
        group.clusters = [*_killed(group, *killing), *group.clusters]
    return group


def _together(every: list[Done]) -> tuple[Judge, Answers] | None:
    """The judge of the cases of the level and of those that were kept, and the answers to them."""
    base, request = every[0][0], every[0][0].request
    parts = [result for chunk, result in every if chunk.kind != "cases" and len(result.theme)]
    kept = _joined(parts, MOST.get(request.operation, FEWER))
    answered = [result for chunk, result in every if chunk.kind == "cases" and not result.kind]
    if not answered:
        return None if kept is None else (judge_with(request, kept[0]), kept[1])
    judge = judge_of(request, base.level)
    answers = Answers(answered[0].observed, answered[0].raised, answered[0].reason)
    if kept is None:
        return judge, answers
    return _with(judge, answers, *kept)


def _joined(parts: list[Result], most: int) -> tuple[Cases, Answers] | None:
    """The first kept cases of all chunks, under themes that they share."""
    if not parts:
        return None
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    theme = [np.array([notes.index(note) for note in part.notes])[part.theme] for part in parts]
    inputs, observed, raised = (
        np.concatenate([getattr(part, name) for part in parts])[:most]
        for name in ("inputs", "observed", "raised")
    )
    reason = next((part.reason for part in parts if part.reason), "")
    return Cases(inputs, np.concatenate(theme)[:most], notes), Answers(observed, raised, reason)


def _with(judge: Judge, answers: Answers, more: Cases, others: Answers) -> tuple[Judge, Answers]:
    """Cases and further ones, those left out that are there already."""
    cases = judge.cases
    notes = tuple(dict.fromkeys([*cases.notes, *more.notes]))
    theme = np.array([notes.index(note) for note in more.notes])[more.theme]
    inputs = np.concatenate([cases.inputs, more.inputs.astype(cases.inputs.dtype)])
    fresh = np.sort(np.unique(inputs, axis=0, return_index=True)[1])
    fresh = fresh[fresh >= len(cases)] - len(cases)
    whole = Cases(
        np.concatenate([cases.inputs, inputs[len(cases) :][fresh]]),
        np.concatenate([cases.theme, theme[fresh]]),
        notes,
    )
    joined = Answers(
        np.concatenate([answers.observed, others.observed[fresh]]),
        np.concatenate([answers.raised, others.raised[fresh]]),
        answers.reason or others.reason,
    )
    return judge.on(whole), joined


def _count(group: Group, every: list[Done], products: bool) -> None:
    """The counts of all cases, under the verdicts that the judged ones got."""
    swept = any(chunk.kind == "inputs" for chunk, _ in every)
    # All inputs of a carrier hold the cases of the level.
    counted = [result for chunk, result in every if not (swept and chunk.kind == "cases")]
    sums = {name: sum(result.counts[name] for result in counted) for name in COUNTED}
    failing = _failing(group, sums, products)
    refused = sum(one.counts["lost"] for one in counted if one.kind == "unsupported")
    differing = sums["wrong"] or failing
    group.silent, group.beside_ocp = sums["silent"], sums["beside_ocp"]
    group.counts["FAIL"] = failing
    group.counts["free"] = sums["silent"] + differing - failing
    group.counts["unsupported"] = refused
    group.counts["crash"] = sums["raised"] + sums["lost"] - refused
    others = ("FAIL", "free", "crash", "unsupported")
    group.counts["pass"] = sums["total"] - sum(group.counts[name] for name in others)


def _failing(group: Group, sums: dict[str, int], products: bool) -> int:
    """How many of the differing cases fail, by what the judged ones got."""
    if not sums["wrong"]:
        return sums["unlawful"]
    if not group.counts["FAIL"]:
        return 0
    some_free = products and group.counts["free"] > 0
    return sums["impossible"] if some_free else sums["wrong"]


def _killed(group: Group, chunk: Chunk, result: Result) -> list[Cluster]:
    """The case that the subject died of, in words."""
    if not len(result.theme):
        return []
    judge = judge_with(chunk.request, Cases(result.inputs, result.theme, result.notes))
    return [killed(judge, 0, len(result.theme), group)]
