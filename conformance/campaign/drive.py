"""A campaign from beginning to end: what is left to do, the work, and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from conformance.campaign.chunk import Result
from conformance.campaign.ledger import Ledger
from conformance.campaign.merge import Done, asked_again, doubt, doubtful, fresh, merge
from conformance.campaign.plan import Chunk, Plan, plan_of
from conformance.campaign.workers import Crew, Here
from conformance.runner import Filters, Request, Run, missing_capabilities, skipped
from conformance.verdict import Group
from conformance.worker import InProcess, Worker

Told = Callable[[Chunk, Result], None]

TURNS = 3
"""Legal causes of a group that are held against all of its cases, one after the other."""


def work(plan: Plan, ledger: Ledger, crew: Crew, tell: Told = lambda _, __: None) -> None:
    """Do what the ledger does not have yet.

    Parameters
    ----------
    plan : Plan
    ledger : Ledger
    crew : Crew
    tell : callable
        Told of each chunk that is done; not of those that are asked once more.
    """
    _do(plan.chunks, ledger, crew, tell)
    _do(_deaths(plan, ledger), ledger, crew, tell)
    for place in range(plan.groups):
        results = ledger.get(place)
        declared = plan.of(place)[0].request.terms.declared
        if not declared and any(result.counts["wrong"] for result in results.values()):
            _group(plan, place, ledger, crew)


def _do(chunks: Sequence[Chunk], ledger: Ledger, crew: Crew, tell: Told) -> None:
    done = ledger.done()
    left = [chunk for chunk in chunks if chunk.number not in done]
    for chunk, result in crew.results(left):
        ledger.put(chunk.number, chunk.group, result)
        tell(chunk, result)


def _deaths(plan: Plan, ledger: Ledger) -> list[Chunk]:
    """For each group the search for what the subject died of, in the first chunk in which it did."""
    died, found = ledger.done("died"), dict[int, Chunk]()
    for chunk in plan.chunks:
        if chunk.number in died:
            found.setdefault(chunk.group, plan.culprit(chunk))
    return list(found.values())


def finish(run: Run, plan: Plan, ledger: Ledger, filters: Filters) -> Run:
    """Make the groups of a run from all that is in a ledger."""
    run.skipped += skipped(run.capabilities)
    for place in range(plan.groups):
        group = _group(plan, place, ledger)
        if group is not None:
            run.groups.append(group)
            run.skipped += _unsure(group)
    run.groups += missing_capabilities(run, filters)
    return run


def _unsure(group: Group) -> list[tuple[str, str]]:
    """What is left to do of a group whose legal cause has not been held against all cases."""
    cause = next(iter(group.hypotheses), None)
    if group.verdict != "free" or cause is None or cause.kind != "profile" or cause.complete:
        return []
    about = f"{group.operation} {group.format} ({group.carrier})"
    return [(about, f"{cause.name} was seen to explain kept cases only; interrupted")]


def _group(plan: Plan, place: int, ledger: Ledger, crew: Crew | None = None) -> Group | None:
    """A group, as far as it has come; a crew asks once more where that is needed."""
    own, results = plan.of(place), ledger.get(place)
    done = [(chunk, results[chunk.number]) for chunk in own if chunk.number in results]
    if not done:
        return None
    request = own[0].request
    search = plan.culprit(own[0])
    killing = (search, results[search.number]) if search.number in results else None

    def ask(chunks: list[Chunk]) -> list[Done]:
        if crew is not None:
            _do(chunks, ledger, crew, lambda _, __: None)
        found = ledger.get(place)
        return [(chunk, found[chunk.number]) for chunk in chunks if chunk.number in found]

    return _settled(plan, Group(*request.key, request.terms.profile), done, killing, ask)


def _settled(
    plan: Plan,
    group: Group,
    done: list[Done],
    killing: Done | None,
    ask: Callable[[list[Chunk]], list[Done]],
) -> Group:
    """Merge a group, and hold a legal cause that was found on kept cases against all of them.

    What speaks against it is judged with the others, and the next cause is held against all cases again.
    """
    again: list[Done] = []
    for turn in range(TURNS):
        found = merge(fresh(group), done, killing, again)
        cause = doubtful(found, done, again)
        if cause is None:
            return found
        chunks = [plan.again(one[0], cause, turn) for one in done if asked_again(one)]
        more = ask(chunks)
        if len(more) < len(chunks):
            doubt(found, cause, refuted=False)
            return found
        again += more
    found = merge(fresh(group), done, killing, again)
    cause = doubtful(found, done, again)
    if cause is not None:
        doubt(found, cause, refuted=True)
    return found


def check_in_chunks(
    subject: Worker | InProcess, request: Request, level: str, group: Group
) -> Group:
    """All chunks of one group, one after the other, with a subject that is there."""
    plan = plan_of(request, level)
    crew = Here(subject)
    done = list(crew.results(plan.chunks))
    died = next((chunk for chunk, result in done if result.kind == "died"), None)
    killing = None if died is None else next(crew.results([plan.culprit(died)]))
    found = _settled(plan, group, done, killing, lambda chunks: list(crew.results(chunks)))
    vars(group).update(vars(found))
    return group
