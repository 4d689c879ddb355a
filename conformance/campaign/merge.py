"""From the results of all chunks of a group to its verdict, the same in whatever order they came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from conformance.adapter import PRODUCT_OPERATIONS
from conformance.campaign.chunk import COUNTED, Result
from conformance.campaign.plan import Chunk
from conformance.cases import Cases
from conformance.judges import Judge
from conformance.runner import Answers, Request, conclude, judge_of, judge_with, killed
from conformance.verdict import Cluster, Group
from conformance.why.diagnose import Hypothesis

MOST = {"encode": 100_000, "decode": 100_000, "encode-scaled": 100_000}
"""Kept cases of all chunks of a group that are judged one by one; `FEWER` of blocks and products."""

FEWER = 2_000

WORSE = ("wrong", "unlawful", "raised", "lost")
"""Of what is counted, that which may come of the calls with the cases of the level alone."""

Done = tuple[Chunk, Result]


def merge(
    group: Group, done: Iterable[Done], killing: Done | None = None, again: Sequence[Done] = ()
) -> Group:
    """Fill a group.

    Parameters
    ----------
    group : Group
    done : iterable of Chunk and Result
        In the order of their numbers; the cases of the level among them, unless nothing came of a check.
    killing : Chunk and Result, optional
        The search for the case that the subject dies of.
    again : sequence of Chunk and Result
        What came of chunks that were asked once more, see `doubtful`.

    Notes
    -----
    The cases of the level and the kept ones of all other chunks are judged together, as in any check, so a cause has to
    explain all of these. The counts are those of all cases.
    """
    lost = {(chunk.kind, chunk.index): result for chunk, result in again if result.kind}
    every = [(chunk, lost.get((chunk.kind, chunk.index), result)) for chunk, result in done]
    request = every[0][0].request
    if not _alone(group, every, again):
        found = _together(every, again)
        if found is not None:
            conclude(group, request, *found)
        else:
            group.further, group.accumulation = request.terms.further, request.terms.accumulation
    _count(group, every, again)
    failed = next((result for _, result in every if result.kind), None)
    if failed is not None:
        elsewhere = f", and elsewhere raised {group.reason}" if group.reason else ""
        group.reason, group.log = f"{failed.message}{elsewhere}", failed.log
    if killing is not None:
        group.clusters = [*_killed(group, *killing), *group.clusters]
    return group


def doubtful(group: Group, done: Sequence[Done], again: Sequence[Done] = ()) -> Hypothesis | None:
    """The legal cause of a merged group that was found on kept cases, and not held against all of them yet."""
    cause = _legal(group, done[0][0].request)
    if cause is None or _bare(cause) in _held(again) or not any(map(asked_again, done)):
        return None
    return cause


def asked_again(one: Done) -> bool:
    """Whether only some cases of a chunk were judged with all others, so that it has to be asked once more."""
    return one[0].kind != "cases" and not one[1].kind


def doubt(group: Group, cause: Hypothesis, *, refuted: bool) -> None:
    """Take back what a cause excuses: it has not been held against all cases, or one like it failed each time."""
    total = sum(group.counts.values())
    group.hypotheses = [replace(cause, of=max(total, cause.of + 1)), *group.hypotheses[1:]]
    if refuted and cause.kind == "profile":
        group.hypotheses = []
        group.counts["FAIL"] += group.counts["free"] - group.silent
        group.counts["free"] = group.silent
        group.clusters = [
            replace(one, verdict="FAIL") if one.verdict == "free" and not one.silent else one
            for one in group.clusters
        ]


def _legal(group: Group, request: Request) -> Hypothesis | None:
    """The cause that makes differing cases free."""
    cause = next(iter(group.hypotheses), None)
    if cause is None or request.terms.declared or not cause.complete:
        return None
    return cause if cause.kind in ("profile", "accumulation") else None


def _held(again: Sequence[Done]) -> set[Hypothesis]:
    """The causes that explain all that was asked once more."""
    asked = [(_bare(chunk.under), result) for chunk, result in again if chunk.under is not None]
    refuted = {cause for cause, result in asked if result.counts["wrong"]}
    return {cause for cause, _ in asked} - refuted


def _bare(cause: Hypothesis) -> Hypothesis:
    """A cause without its figures."""
    return replace(cause, explains=0, of=0, also=())


def _alone(group: Group, every: list[Done], again: Sequence[Done]) -> bool:
    """Fill the group with the cases of the level alone, if there are no others or their places explain all of them.

    Of kept cases these places are not known, and so no cause of that kind could explain them as well.
    """
    chunk, result = every[0]
    if chunk.kind != "cases" or not result.counts["wrong"]:
        return False
    judge = judge_of(chunk.request, chunk.level)
    answers = Answers(result.observed, result.raised, result.reason)
    alone = conclude(fresh(group), chunk.request, judge, answers)
    cause = next(iter(alone.hypotheses), None)
    placed = cause is not None and cause.kind in ("layout", "combined") and cause.complete
    if not placed and any(len(one.theme) for _, one in [*every[1:], *again]):
        return False
    vars(group).update(vars(alone))
    return True


def fresh(group: Group) -> Group:
    """The same group, of which nothing is known."""
    return Group(*group.key, group.profile)


def _together(every: list[Done], again: Sequence[Done]) -> tuple[Judge, Answers] | None:
    """The judge of the cases of the level and of those that were kept, and the answers to them."""
    base, request = every[0][0], every[0][0].request
    most = MOST.get(request.operation, FEWER)
    # What speaks against a cause comes first, lest that cause is found again.
    against = spread([result for _, result in again if len(result.theme)], most // 2)
    used = sum(len(part.theme) for part in against)
    parts = [result for chunk, result in every if chunk.kind != "cases" and len(result.theme)]
    kept = _joined([*against, *spread(parts, most - used)])
    answered = [result for chunk, result in every if chunk.kind == "cases" and not result.kind]
    if not answered:
        return None if kept is None else (judge_with(request, kept[0]), kept[1])
    judge = judge_of(request, base.level)
    answers = Answers(answered[0].observed, answered[0].raised, answered[0].reason)
    if kept is None:
        return judge, answers
    return _with(judge, answers, *kept)


def spread(parts: list[Result], most: int) -> list[Result]:
    """At most so many kept cases in all, as many of each chunk as can be, spread evenly."""
    if len(parts) > most:
        parts = [parts[place] for place in np.linspace(0, len(parts) - 1, most).astype(np.int64)]
    share, left, sizes = 0, most, sorted(len(part.theme) for part in parts)
    for place, size in enumerate(sizes):
        share = left // (len(sizes) - place)
        left -= min(size, share)
    return [_part(part, share) for part in parts]


def _part(part: Result, most: int) -> Result:
    """At most so many of the kept cases of a chunk."""
    count = len(part.theme)
    if count <= most:
        return part
    some = np.linspace(0, count - 1, most).astype(np.int64)
    arrays = {name: getattr(part, name)[some] for name in ("inputs", "theme", "observed", "raised")}
    return replace(part, **arrays)


def _joined(parts: list[Result]) -> tuple[Cases, Answers] | None:
    """The kept cases of some chunks, under themes that they share."""
    if not parts:
        return None
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    theme = [np.array([notes.index(note) for note in part.notes])[part.theme] for part in parts]
    inputs, observed, raised = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("inputs", "observed", "raised")
    )
    reason = next((part.reason for part in parts if part.reason), "")
    return Cases(inputs, np.concatenate(theme), notes), Answers(observed, raised, reason)


def _with(judge: Judge, answers: Answers, more: Cases, others: Answers) -> tuple[Judge, Answers]:
    """Cases and further ones, those left out that are there already with the same answer."""
    cases = judge.cases
    notes = tuple(dict.fromkeys([*cases.notes, *more.notes]))
    theme = np.array([notes.index(note) for note in more.notes])[more.theme]
    inputs = np.concatenate([cases.inputs, more.inputs.astype(cases.inputs.dtype)])
    observed = np.concatenate([answers.observed, others.observed])
    raised = np.concatenate([answers.raised, others.raised])
    told = np.where(raised if observed.ndim == 1 else raised[:, None], 0, observed)
    rows = np.column_stack([one.astype(np.int64) for one in (inputs, told, raised)])
    firsts = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    added = firsts[firsts >= len(cases)]
    picked = np.concatenate([np.arange(len(cases)), added])
    whole = Cases(inputs[picked], np.concatenate([cases.theme, theme[added - len(cases)]]), notes)
    reason = answers.reason or others.reason
    return judge.on(whole), Answers(observed[picked], raised[picked], reason)


def _count(group: Group, every: list[Done], again: Sequence[Done]) -> None:
    """The counts of all cases, under the verdicts that the judged ones got."""
    sums = _sums(every)
    failing = _failing(group, sums, every[0][0].request, _held(again))
    refused = _sums([one for one in every if one[1].kind == "unsupported"])["lost"]
    differing = sums["wrong"] or failing
    group.silent, group.beside_ocp = sums["silent"], sums["beside_ocp"]
    group.counts["FAIL"] = failing
    group.counts["free"] = sums["silent"] + differing - failing
    group.counts["unsupported"] = refused
    group.counts["crash"] = sums["raised"] + sums["lost"] - refused
    others = ("FAIL", "free", "crash", "unsupported")
    group.counts["pass"] = sums["total"] - sum(group.counts[name] for name in others)


def _sums(every: list[Done]) -> dict[str, int]:
    """The counts of all chunks together.

    All inputs of a carrier hold the cases of the level. What comes of these in calls of their own counts where it is
    worse: the tail of such a call may be wrong although the same inputs are right elsewhere.
    """
    swept = any(chunk.kind == "inputs" for chunk, _ in every)
    once = [result for chunk, result in every if not (swept and chunk.kind == "cases")]
    sums = {name: sum(result.counts[name] for result in once) for name in COUNTED}
    for chunk, result in every:
        if swept and chunk.kind == "cases":
            sums |= {name: max(sums[name], result.counts[name]) for name in WORSE}
    return sums


def _failing(group: Group, sums: dict[str, int], request: Request, held: set[Hypothesis]) -> int:
    """How many of the differing cases fail, by what the judged ones got."""
    if not sums["wrong"]:
        return sums["unlawful"]
    legal = _legal(group, request)
    if request.operation in PRODUCT_OPERATIONS:
        whole = group.counts["FAIL"] and not group.counts["free"]
        excused = legal is not None and _bare(legal) in held
        if whole or request.terms.declared:
            return sums["wrong"]
        return 0 if excused else sums["impossible"]
    return sums["wrong"] if group.counts["FAIL"] or legal is None else 0


def _killed(group: Group, chunk: Chunk, result: Result) -> list[Cluster]:
    """The case that the subject died of, in words."""
    if not len(result.theme):
        return []
    judge = judge_with(chunk.request, Cases(result.inputs, result.theme, result.notes))
    return [killed(judge, 0, len(result.theme), group)]
