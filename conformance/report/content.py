"""What every form of a report says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from conformance.known import Comparison
from conformance.report.baseline import Change
from conformance.report.findings import Finding, findings
from conformance.runner import Run


@dataclass(frozen=True)
class Content:
    """A run with its verdict, from which each form of the report is made.

    Attributes
    ----------
    run : Run
    exit_code : int
    comparison : Comparison, optional
        Against known deviations.
    change : Change, optional
        Against a baseline.
    remarks : tuple of str
        Of waivers and of simulations.
    created : str
        Date and time (UTC, ISO 8601) if they were asked for; otherwise a report has none.
    """

    run: Run
    exit_code: int
    comparison: Comparison | None = None
    change: Change | None = None
    remarks: tuple[str, ...] = ()
    created: str = ""

    @cached_property
    def findings(self) -> list[Finding]:
        return findings(self.run, self.comparison, self.change)
