"""A campaign from beginning to end: what is left to do, the work, and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from conformance.campaign.chunk import Result
from conformance.campaign.ledger import Ledger
from conformance.campaign.merge import merge
from conformance.campaign.plan import Chunk, Plan, plan_of
from conformance.campaign.workers import Crew, Here
from conformance.runner import Filters, Request, Run, missing_capabilities, skipped
from conformance.verdict import Group
from conformance.worker import InProcess, Worker

Told = Callable[[Chunk, Result], None]


def work(plan: Plan, ledger: Ledger, crew: Crew, tell: Told = lambda _, __: None) -> None:
    """Do what the ledger does not have yet.

    Parameters
    ----------
    plan : Plan
    ledger : Ledger
    crew : Crew
    tell : callable
        Told of each chunk that is done.
    """
    _do(plan.chunks, ledger, crew, tell)
    _do(_deaths(plan, ledger), ledger, crew, tell)


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
        group = _group(plan, place, ledger.get(place))
        if group is not None:
            run.groups.append(group)
    run.groups += missing_capabilities(run, filters)
    return run


def _group(plan: Plan, place: int, results: dict[int, Result]) -> Group | None:
    """A group, as far as it has come."""
    own = plan.of(place)
    done = [(chunk, results[chunk.number]) for chunk in own if chunk.number in results]
    if not done:
        return None
    request = own[0].request
    search = plan.culprit(own[0])
    killing = (search, results[search.number]) if search.number in results else None
    return merge(Group(*request.key, request.terms.profile), done, killing)


def check_in_chunks(
    subject: Worker | InProcess, request: Request, level: str, group: Group
) -> Group:
    """All chunks of one group, one after the other, with a subject that is there."""
    plan = plan_of(request, level)
    crew = Here(subject)
    done = list(crew.results(plan.chunks))
    died = next((chunk for chunk, result in done if result.kind == "died"), None)
    killing = None if died is None else next(crew.results([plan.culprit(died)]))
    return merge(group, done, killing)
