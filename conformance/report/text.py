"""The report for a terminal: a table of verdicts, then each finding with its simplest case, then the sum."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.known import Comparison
from conformance.report import baseline
from conformance.report.content import Content
from conformance.report.matrix import columns, rows
from conformance.report.words import MEANINGS, head, known_lines, paragraph, skipped, sum_lines
from conformance.runner import Run

__all__ = ["MEANINGS", "matrix", "render", "report"]


def render(run: Run, exit_code: int, comparison: Comparison | None = None) -> str:
    """The whole report.

    Parameters
    ----------
    run : Run
    exit_code : int
    comparison : Comparison, optional
        Against known deviations.
    """
    return report(Content(run, exit_code, comparison))


def report(content: Content) -> str:
    """The whole report, with what a baseline and waivers add."""
    run = content.run
    created = [f"created {content.created}"] if content.created else []
    parts = ["\n".join([*head(run), *created]), "\n".join(matrix(run))]
    parts += ["\n".join(paragraph(finding)) for finding in content.findings]
    changed = [] if content.change is None else baseline.lines(content.change)
    for lines in (skipped(run), known_lines(content.comparison), changed):
        parts.append("\n".join(lines))
    parts += [sum_lines(content), "\n".join(content.remarks)]
    return "\n\n".join(part for part in parts if part)


def matrix(run: Run) -> Iterator[str]:
    """Verdicts by operation and format, one column a carrier."""
    carriers, table = columns(run), rows(run)
    if not table:
        return
    left = max(len(row.operation) for row in table)
    middle = max(len(row.format) for row in table)
    yield " " * (left + middle + 4) + "".join(f"{name:<10}" for name in carriers).rstrip()
    last = ""
    for row in table:
        cells = "".join(f"{row.verdicts.get(name, '-'):<10}" for name in carriers)
        shown = row.operation if row.operation != last else ""
        yield f"{shown:<{left}}  {row.format:<{middle}}  {cells}{row.remark()}".rstrip()
        last = row.operation
