"""Findings in words: where, why, decided by what, and what to type; every form of the report uses these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conformance.adapter import PRODUCT_OPERATIONS
from conformance.judges.products import BOUND
from conformance.known import Comparison
from conformance.notes import NOTES
from conformance.report.content import Content
from conformance.report.findings import Finding
from conformance.runner import Run
from conformance.verdict import Cluster
from conformance.why.diagnose import Hypothesis
from mxemu import __version__
from mxemu.clauses import CLAUSES


def subject_name(run: Run) -> str:
    """Name of the subject with its variant."""
    about = run.capabilities
    return f"{about.name}[{about.variant}]" if about.variant else about.name


def head(run: Run) -> Iterator[str]:
    """What was checked, and what it was compared with."""
    yield f"mxemu {__version__}   {subject_name(run)} {run.capabilities.version}   level {run.level}"
    yield from _compared_with(run)


def _compared_with(run: Run) -> Iterator[str]:
    """The profile of the conversions and the accumulation of the dot products, and whose they are."""
    capabilities = run.capabilities
    products = any(group.accumulation is not None for group in run.groups)
    if not products or any(group.accumulation is None for group in run.groups):
        yield _profile_of(run)
    if products and run.asked_accumulation is not None:
        yield f"dot products compared with {run.accumulation}, which was asked for"
    elif products and capabilities.accumulation is None:
        yield f"dot products compared with {run.accumulation}; the subject declares no accumulation"
    elif products:
        yield f"dot products compared with the accumulation that it declares: {run.accumulation}"


def _profile_of(run: Run) -> str:
    """What conversions are compared with."""
    capabilities = run.capabilities
    if run.asked is not None:
        return f"compared with the profile {run.asked.describe()}, which was asked for"
    if capabilities.profile is None:
        return "compared with the profile ocp; the subject declares none"
    return f"compared with the profile that it declares: {capabilities.profile.describe()}"


def title(finding: Finding) -> str:
    """Verdict, operation, formats and carriers on one line."""
    marks = [*(["known"] if finding.known else []), *([finding.since] if finding.since else [])]
    remark = f" ({', '.join(marks)})" if marks else ""
    return f"{finding.verdict}{remark}  {finding.operation} {where(finding)}"


def paragraph(finding: Finding) -> Iterator[str]:
    """What, where, how often, the simplest case, why, how to see it."""
    yield title(finding)
    yield f"      {why(finding)}"
    for rule in rules(finding):
        yield f"      fails where {rule}"
    if finding.verdict != "unsupported":
        simplest = "; the simplest:" if finding.cluster else ""
        yield f"      {finding.count:,} of {finding.of:,} cases{simplest}"
    if finding.cluster is not None:
        case = finding.cluster.first
        yield f"      {case.text()}"
        if remark := without(finding.cluster):
            yield f"      {remark}"
        yield f"      {decided_by(case.clause, case.note)}"
        rule = rule_of(finding.cause)
        yield f"      see: {f'mxemu rule {rule}; ' if rule else ''}{derivation(finding)}"
    for line in finding.log.splitlines():
        yield f"      | {line[:160]}"


def rules(finding: Finding) -> list[str]:
    """Where a subject fails that follows nothing known: rules of the first group that has some."""
    if finding.verdict != "FAIL" or (finding.cause is not None and finding.cause.complete):
        return []
    found = next((group.rules for group in finding.groups if group.rules), [])
    return [rule.text for rule in found[:_RULES]]


_RULES = 2


def rule_of(cause: Hypothesis | None) -> str:
    """What `mxemu rule` explains of a cause: the mistake, or its note; empty for a convention."""
    if cause is None:
        return ""
    if cause.kind in ("layout", "combined") and cause.note in NOTES:
        return cause.note
    return cause.name if cause.kind == "mistake" else ""


def without(cluster: Cluster) -> str:
    """What a case does not need to go wrong: the lanes that do not matter; or that it needs other cases beside it."""
    found = cluster.smallest
    if found is None:
        return ""
    if not found.alone:
        return "alone it comes out right: what stands beside it in a call matters"
    if not found.idle:
        return ""
    several = len(found.idle) > 1
    one_by_one = "" if found.together else ", one at a time"
    return (
        f"lane{'s' * several} {_ranges(found.idle)} do{'es' * (not several)} not matter{one_by_one}"
    )


def _ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as ranges: ``0, 3..31``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][-1] + 1 == number:
            found[-1][1:] = [number]
        else:
            found.append([number])
    return ", ".join(str(one[0]) if len(one) == 1 else f"{one[0]}..{one[1]}" for one in found)


def derivation(finding: Finding) -> str:
    """What to type to see the case derived; where its numbers are too many for a line, they go into a token."""
    assert finding.cluster is not None
    command, token = finding.cluster.first.explain, finding.cluster.token
    if len(command) <= _LONGEST:
        return command
    if token:
        return f"mxemu replay {token}"
    return command[:_LONGEST] + " ... (whole with --output-format json)"


_LONGEST = 200


def where(finding: Finding) -> str:
    """Formats and carriers of a finding, each once."""
    source = "" if finding.carriers == ["any"] else f" ({', '.join(finding.carriers)})"
    return f"{' '.join(finding.formats)}{source}"


def why(finding: Finding) -> str:
    """The cause in words."""
    cause = finding.cause
    if finding.verdict == "unsupported":
        clauses = sorted({group.clause for group in finding.groups if group.clause})
        asked = f": {', '.join(clauses)} asks every implementation for it" if clauses else ""
        return f"{finding.reason}{asked}"
    if finding.verdict == "crash":
        return f"the subject {_raised(finding.reason)}"
    if finding.operation in PRODUCT_OPERATIONS:
        return _why_product(finding, cause)
    if cause is None:
        silent = finding.verdict == "free"
        return "follows no profile known here" + (
            " where the specification is silent" if silent else ""
        )
    if finding.verdict == "free":
        if cause.name == "refuses these inputs":
            return "refuses these inputs, on which the specification is silent"
        if cause.kind == "layout":
            return f"{cause.text}, on which the specification is silent in these cases"
        return f"another legal convention: {cause.name}"
    further = any(group.further for group in finding.groups)
    return _fault(cause, "lists in its capabilities" if further else "declares")


_OPEN = "MX 6.1 and 6.2 leave precision and order open"


def _why_product(finding: Finding, cause: Hypothesis | None) -> str:
    """The cause of other dot products in words."""
    group = finding.groups[0]
    if cause is not None and cause.kind in ("mistake", "layout", "combined"):
        if finding.verdict == "FAIL":
            return _fault(cause, "declares")
        what = "known mistake" if cause.kind == "mistake" else cause.kind
        return f"computes as the {what} {cause.name} does; {_OPEN}, so declare what you mean"
    if cause is not None and cause.complete:
        if finding.verdict == "free":
            return f"follows {cause.name}{_also(cause)}: {_OPEN}"
        return f"declares {group.accumulation}, but follows {cause.name}{_also(cause)}"
    close = ""
    if cause is not None:
        close = f"; {cause.name} comes closest ({cause.explains:,} of {cause.of:,})"
    if finding.verdict == "free":
        if any(one.counts["FAIL"] for one in finding.groups):
            return f"these may be the results of some accumulation{close}: {_OPEN}"
        return (
            f"follows no accumulation that has a name here{close}; {_OPEN}; mxemu probe finds out"
        )
    if group.promised:
        return f"does not compute {group.accumulation}, which it declares{close}; mxemu probe finds out"
    return f"no accumulation does this: NaN or Inf is lost, or the exact sum is missed by {BOUND}"


def _also(cause: Hypothesis) -> str:
    """Accumulations that these cases do not tell from the one that is named."""
    if not cause.also:
        return ""
    if len(cause.also) == 1:
        return f" (as does {cause.also[0]})"
    more = f" and {len(cause.also) - 2} more" if len(cause.also) > 2 else ""
    return f" (as do {', '.join(cause.also[:2])}{more})"


def _raised(reason: str) -> str:
    """A crash in words; exceptions come as ``Type: message``."""
    starts = ("called", "closed", "could", "died", "ended", "gave", "ran", "returned")
    return reason if reason.startswith(starts) else f"raised {reason}"


def _fault(cause: Hypothesis, promise: str) -> str:
    """A failure in words: a promise not kept, a forbidden choice, a known mistake, or its best approximation."""
    share = f"explains {cause.explains:,} of {cause.of:,}"
    if cause.kind == "profile":
        return f"not what it {promise}, but another legal convention: {cause.name} ({share})"
    if cause.kind == "departure":
        return f"{cause.name} ({share}), which {', '.join(cause.clauses)} does not allow"
    if cause.kind == "layout":
        return _misplaced(cause, share)
    if cause.kind == "combined":
        more = f": {cause.text}" if cause.text else ""
        return f"{cause.name} together explain {cause.explains:,} of {cause.of:,}{more}"
    title = NOTES[cause.note].title if cause.note in NOTES else cause.name
    if not title.startswith(("E8M0", "INT8", "Inf", "NaN")):
        title = title[0].lower() + title[1:]
    sure = "a known mistake" if cause.complete else "closest known mistake"
    return f"{sure}: {cause.name} ({share}): {title}"


def _misplaced(cause: Hypothesis, share: str) -> str:
    """A layout in words, with others that explain as much."""
    if not cause.complete:
        return f"closest layout: {cause.text} ({cause.name}; {share})"
    return f"{cause.text}: layout {cause.name}{_also(cause)} ({share})"


def decided_by(clause: str, note: str) -> str:
    """Strength and title of the clause, and the note of the case."""
    if clause in CLAUSES:
        record = CLAUSES[clause]
        text = f"{clause} ({record.strength.value}): {record.title}"
    else:
        text = "no clause: a format or a conversion outside the MX specification"
    return f"{text}   theme: {note}" if note in NOTES else text


def known_lines(comparison: Comparison | None) -> list[str]:
    """The balance of known deviations."""
    if comparison is None:
        return []
    lines = [f"stale    {line}" for line in comparison.stale]
    total = len(comparison.known) + len(comparison.new)
    parts = [f"{total or 'no'} deviation{'s' if total != 1 else ''}"]
    if total:
        parts.append(f"{len(comparison.new)} new" if comparison.new else "all known")
    if comparison.stale:
        parts.append(f"{len(comparison.stale)} expected but not found")
    return [*lines, ", ".join(parts)]


def skipped(run: Run) -> list[str]:
    """What there are no cases for."""
    return [f"skipped  {what}: {why}" for what, why in run.skipped]


def tally(run: Run) -> dict[str, int]:
    """Groups by verdict."""
    order = ("pass", "FAIL", "crash", "free", "unsupported")
    return {name: sum(group.verdict == name for group in run.groups) for name in order}


def sum_lines(content: Content) -> str:
    """Groups by verdict, and what the exit code says."""
    run = content.run
    counted = ", ".join(f"{number} {name}" for name, number in tally(run).items() if number)
    beside = sum(group.beside_ocp for group in run.groups)
    legal = f"; ocp itself would give another result in {beside:,} cases" if beside else ""
    return f"groups: {counted or 'none'}{legal}\nexit {content.exit_code}: {meaning(content)}"


def meaning(content: Content) -> str:
    """What the exit code says."""
    comparison, change, code = content.comparison, content.change, content.exit_code
    if comparison is not None and comparison.known and code == 0:
        return "it deviates, but only in ways that are known"
    if change is not None and change.before and code == 0:
        return "it deviates, but only as it did in the baseline"
    if change is not None and code == 1:
        return "something is wrong that was not in the baseline"
    if code == 3 and content.run.asked is None:
        return "its dot products are legal, but not those of the accumulation that was asked for"
    return MEANINGS[code]


MEANINGS = {
    0: "no result breaks the specification or a promise",
    1: "something is wrong",
    2: "wrong use, or the subject cannot be loaded",
    3: "it follows one legal profile, but not the one that was asked for",
    4: "too little to judge: no case applied, or the check was interrupted",
}
