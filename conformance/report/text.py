"""The report for a terminal: a table of verdicts, then each finding with its simplest case, then the sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from conformance.adapter import PRODUCT_OPERATIONS
from conformance.diagnose import Hypothesis
from conformance.judges.products import BOUND
from conformance.known import Comparison
from conformance.notes import NOTES
from conformance.report.findings import Finding, findings
from conformance.runner import Run
from conformance.verdict import Group
from mxemu import __version__
from mxemu.clauses import CLAUSES
from mxemu.formats import CARRIERS

_CARRIERS = (*CARRIERS, "any")


def render(run: Run, exit_code: int, comparison: Comparison | None = None) -> str:
    """The whole report.

    Parameters
    ----------
    run : Run
    exit_code : int
    comparison : Comparison, optional
        Against known deviations.
    """
    found = findings(run, comparison)
    parts = ["\n".join(_head(run)), "\n".join(_matrix(run))]
    parts += ["\n".join(_finding(finding)) for finding in found]
    parts += ["\n".join(lines) for lines in (_skipped(run), _known(comparison)) if lines]
    parts.append(_sum(run, exit_code, comparison))
    return "\n\n".join(part for part in parts if part)


def _head(run: Run) -> Iterator[str]:
    capabilities = run.capabilities
    variant = f"[{capabilities.variant}]" if capabilities.variant else ""
    yield f"mxemu {__version__}   {capabilities.name}{variant} {capabilities.version}   level {run.level}"
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


def _matrix(run: Run) -> Iterator[str]:
    """Verdicts by operation and format, one column a carrier."""
    carriers = [name for name in CARRIERS if any(group.carrier == name for group in run.groups)]
    rows = _rows(run)
    if not rows:
        return
    left = max(len(row.operation) for row in rows)
    middle = max(len(row.format) for row in rows)
    yield " " * (left + middle + 4) + "".join(f"{name:<10}" for name in carriers).rstrip()
    last = ""
    for row in rows:
        cells = "".join(f"{row.verdicts.get(name, '-'):<10}" for name in carriers)
        shown = row.operation if row.operation != last else ""
        yield f"{shown:<{left}}  {row.format:<{middle}}  {cells}{row.remark()}".rstrip()
        last = row.operation


@dataclass
class _Row:
    """One line of the table; further profiles with the same verdicts share it."""

    operation: str
    format: str
    verdicts: dict[str, str]
    changes: list[str]
    also: list[str] = field(default_factory=list)

    def remark(self) -> str:
        """The profile of the line, and how many further ones share its verdicts."""
        counted = Counter(change.partition("=")[0] for change in self.also)
        words = [f"{count} other {name}{'s' * (count > 1)}" for name, count in counted.items()]
        return ", ".join([*self.changes, *(["also " + ", ".join(words)] if words else [])])


def _rows(run: Run) -> list[_Row]:
    found: dict[tuple[str, str, str], _Row] = {}
    for group in run.groups:
        if group.carrier != "any":
            changed = _changed(group, run)
            row = found.setdefault(
                (*group.key[:2], changed), _Row(*group.key[:2], {}, [changed] if changed else [])
            )
            row.verdicts[group.carrier] = group.verdict
    joined: list[_Row] = []
    for row in found.values():
        last = joined[-1] if joined else None
        same = last is not None and (last.operation, last.format) == (row.operation, row.format)
        if last is not None and same and last.verdicts == row.verdicts:
            last.also += row.changes
        else:
            joined.append(row)
    return joined


def _changed(group: Group, run: Run) -> str:
    """How the profile of a group differs from the one that the subject is compared with."""
    changes = group.profile.changes(run.base)
    return ", ".join(f"{key}={choice.value}" for key, choice in changes.items())


def _finding(finding: Finding) -> Iterator[str]:
    """One paragraph: what, where, how often, the simplest case, why, how to see it."""
    known = " (known)" if finding.known else ""
    yield f"{finding.verdict}{known}  {finding.operation} {_where(finding)}"
    yield f"      {_why(finding)}"
    if finding.verdict != "unsupported":
        simplest = "; the simplest:" if finding.cluster else ""
        yield f"      {finding.count:,} of {finding.of:,} cases{simplest}"
    if finding.cluster is not None:
        case = finding.cluster.first
        yield f"      {case.text()}"
        yield f"      {_decided_by(case.clause, case.note)}"
        rule = _rule(finding.cause)
        yield f"      see: {rule}{_command(finding)}"
    log = next((group.log for group in finding.groups if group.log), "")
    for line in log.splitlines():
        yield f"      | {line[:160]}"


def _rule(cause: Hypothesis | None) -> str:
    """The command that says what a known mistake is."""
    return f"mxemu rule {cause.name}; " if cause is not None and cause.kind == "mistake" else ""


def _command(finding: Finding) -> str:
    """What to type to see the case derived; the operands of some dot products are too long for a line."""
    assert finding.cluster is not None
    case = finding.cluster.first
    if finding.operation in PRODUCT_OPERATIONS and len(case.explain) > _LONGEST:
        return f"mxemu rule {case.clause}   (the operands: --output-format json)"
    return _short(case.explain)


_LONGEST = 160


def _short(command: str) -> str:
    return (
        command if len(command) <= 200 else command[:160] + " ... (whole with --output-format json)"
    )


def _where(finding: Finding) -> str:
    """Formats and carriers of a finding, each once."""
    formats = list(dict.fromkeys(group.format for group in finding.groups))
    carriers = [
        name for name in _CARRIERS if any(group.carrier == name for group in finding.groups)
    ]
    source = "" if carriers == ["any"] else f" ({', '.join(carriers)})"
    return f"{' '.join(formats)}{source}"


def _why(finding: Finding) -> str:
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
        return f"another legal convention: {cause.name}"
    further = any(group.further for group in finding.groups)
    return _fault(cause, "lists in its capabilities" if further else "declares")


_OPEN = "MX 6.1 and 6.2 leave precision and order open"


def _why_product(finding: Finding, cause: Hypothesis | None) -> str:
    """The cause of other dot products in words."""
    group = finding.groups[0]
    if cause is not None and cause.kind == "mistake":
        if finding.verdict == "FAIL":
            return _fault(cause, "declares")
        return f"computes as the known mistake {cause.name} does; {_OPEN}, so declare what you mean"
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
    title = NOTES[cause.note].title if cause.note in NOTES else cause.name
    if not title.startswith(("E8M0", "INT8", "Inf", "NaN")):
        title = title[0].lower() + title[1:]
    sure = "a known mistake" if cause.complete else "closest known mistake"
    return f"{sure}: {cause.name} ({share}): {title}"


def _decided_by(clause: str, note: str) -> str:
    """Strength and title of the clause, and the note of the case."""
    if clause in CLAUSES:
        record = CLAUSES[clause]
        text = f"{clause} ({record.strength.value}): {record.title}"
    else:
        text = "no clause: a format or a conversion outside the MX specification"
    return f"{text}   theme: {note}" if note in NOTES else text


def _skipped(run: Run) -> list[str]:
    return [f"skipped  {what}: {why}" for what, why in run.skipped]


def _known(comparison: Comparison | None) -> list[str]:
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


def _sum(run: Run, exit_code: int, comparison: Comparison | None) -> str:
    """Groups by verdict, and what the exit code says."""
    order = ("pass", "FAIL", "crash", "free", "unsupported")
    tally = {name: sum(group.verdict == name for group in run.groups) for name in order}
    counted = ", ".join(f"{number} {name}" for name, number in tally.items() if number)
    beside = sum(group.beside_ocp for group in run.groups)
    legal = f"; ocp itself would give another result in {beside:,} cases" if beside else ""
    known = comparison is not None and comparison.known and exit_code == 0
    meaning = "it deviates, but only in ways that are known" if known else MEANINGS[exit_code]
    if exit_code == 3 and run.asked is None:
        meaning = "its dot products are legal, but not those of the accumulation that was asked for"
    return f"groups: {counted or 'none'}{legal}\nexit {exit_code}: {meaning}"


MEANINGS = {
    0: "no result breaks the specification or a promise",
    1: "something is wrong",
    2: "wrong use, or the subject cannot be loaded",
    3: "it follows one legal profile, but not the one that was asked for",
    4: "too little to judge: no case applied, or the check was interrupted",
}
