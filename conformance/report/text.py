"""The report for a terminal: a table of verdicts, then each finding with its simplest case, then the sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from conformance.diagnose import Hypothesis
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
    if run.asked is not None:
        yield f"compared with the profile {run.asked.describe()}, which was asked for"
    elif capabilities.profile is None:
        yield "compared with the profile ocp; the subject declares none"
    else:
        yield f"compared with the profile that it declares: {capabilities.profile.describe()}"


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
        yield f"      see: {rule}{_short(case.explain)}"
    log = next((group.log for group in finding.groups if group.log), "")
    for line in log.splitlines():
        yield f"      | {line[:160]}"


def _rule(cause: Hypothesis | None) -> str:
    """The command that says what a known mistake is."""
    return f"mxemu rule {cause.name}; " if cause is not None and cause.kind == "mistake" else ""


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
    return f"groups: {counted or 'none'}{legal}\nexit {exit_code}: {meaning}"


MEANINGS = {
    0: "no result breaks the specification or a promise",
    1: "something is wrong",
    2: "wrong use, or the subject cannot be loaded",
    3: "it follows one legal profile, but not the one that was asked for",
    4: "too little to judge: no case applied, or the check was interrupted",
}
