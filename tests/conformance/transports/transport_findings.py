"""What a check finds in a subject, apart from the way in which it was reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.runner import Filters, Run, check
from conformance.verdict import Group
from conformance.worker import Worker

SUBJECTS = Path(__file__).parent / "subjects"
CASES = {"encode": "E2M1", "decode": "E2M1", "quantize": "MXFP4_E2M1"}


def checked(target: str) -> Run:
    """A check at level smoke."""
    worker = Worker(target, 120)
    try:
        return check(worker, Run(target, worker.introduce(), "smoke", None), Filters())
    finally:
        worker.close()


def findings(run: Run) -> dict[str, Any]:
    """What a report says of each group."""
    return {group.operation: finding(group) for group in run.groups}


def finding(group: Group) -> dict[str, Any]:
    """Verdict, counts, causes and the case that is shown."""
    return {
        "counts": group.counts,
        "verdict": group.verdict,
        "causes": [[one.name, one.kind, one.explains, one.of] for one in group.hypotheses],
        "open": group.open_hypothesis and group.open_hypothesis.name,
        "first": [[one.verdict, one.count, one.first.text()] for one in group.clusters],
    }
