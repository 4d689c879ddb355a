"""The report as workflow commands of GitHub Actions: an annotation for each finding, the rest as plain lines."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.report import baseline
from conformance.report.baseline import FAILING
from conformance.report.content import Content
from conformance.report.findings import Finding
from conformance.report.places import source_file
from conformance.report.text import matrix
from conformance.report.words import head, known_lines, paragraph, skipped, sum_lines, title


def report(content: Content) -> str:
    """The report, worst findings first, since a step shows only so many annotations."""
    return "\n".join(_lines(content))


def _lines(content: Content) -> Iterator[str]:
    run, file = content.run, source_file(content.run)
    yield from map(_plain, head(run))
    if content.created:
        yield f"created {content.created}"
    yield "::group::verdicts"
    yield from map(_plain, matrix(run))
    yield "::endgroup::"
    for finding in content.findings:
        yield _annotation(finding, file)
    for line in content.comparison.stale if content.comparison else ():
        yield _command("error", "mxemu: expected, but not found", line, file)
    yield from map(_plain, skipped(run))
    yield from map(_plain, known_lines(content.comparison))
    if content.change is not None:
        yield from map(_plain, baseline.lines(content.change))
    yield from map(_plain, sum_lines(content).splitlines())
    yield from (_plain(line) for remark in content.remarks for line in remark.splitlines())


def _annotation(finding: Finding, file: str) -> str:
    """An error for what fails, a warning for what is known to, a notice for all else."""
    kind = "notice"
    if finding.verdict in FAILING:
        kind = "warning" if finding.known or finding.since == "as before" else "error"
    body = [line.strip() for line in paragraph(finding)][1:]
    return _command(kind, f"mxemu: {' '.join(title(finding).split())}", "\n".join(body), file)


def _command(kind: str, heading: str, text: str, file: str) -> str:
    place = f"file={_property(file)},line=1," if file else ""
    return f"::{kind} {place}title={_property(heading)}::{_data(text)}"


def _data(text: str) -> str:
    """A message as a workflow command takes it: on one line."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """The same for a property, which ends at a comma and whose name ends at a colon."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _plain(line: str) -> str:
    """A line of the log that is no command, even if a subject's name looks like one."""
    return f" {line}" if line.startswith("::") else line
