"""The report for programs; ``report.schema.json`` beside this file describes it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conformance.adapter import accumulation_record
from conformance.diagnose import Hypothesis
from conformance.judges import Case
from conformance.known import Comparison
from conformance.runner import Run
from conformance.verdict import Group
from mxemu import __version__
from mxemu.accumulation import Accumulation
from mxemu.profile import Profile, plain

SCHEMA = "mxemu-report-1"
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")


def render(run: Run, exit_code: int, comparison: Comparison | None = None) -> str:
    """The report as JSON text: stable order, no time stamps."""
    return json.dumps(record(run, exit_code, comparison), indent=2, ensure_ascii=False)


def record(run: Run, exit_code: int, comparison: Comparison | None = None) -> dict[str, Any]:
    """The report as plain data."""
    capabilities = run.capabilities
    found = _found(run)
    return {
        "schema": SCHEMA,
        "mxemu": __version__,
        "subject": {
            "name": capabilities.name,
            "version": capabilities.version,
            "variant": capabilities.variant,
        },
        "verdict": overall(run),
        "exit_code": exit_code,
        "level": run.level,
        "profiles": {
            "asked": _profile(run.asked),
            "declared": _profile(capabilities.profile),
            "found": _profile(found),
        },
        "skipped": [{"what": what, "why": why} for what, why in run.skipped],
        "known": None if comparison is None else _known(comparison),
        "groups": [_group(group) for group in run.groups],
    }


def overall(run: Run) -> str:
    """The worst verdict of a run."""
    worst = ("crash", "FAIL", "free", "unsupported", "pass")
    verdicts = {group.verdict for group in run.groups}
    return next((name for name in worst if name in verdicts), "unsupported")


def _found(run: Run) -> Profile | None:
    """The one legal profile under which everything judged conforms, if it is not the one compared with."""
    if overall(run) in ("FAIL", "crash"):
        return None
    causes = [group.hypotheses[0].profile for group in run.groups if group.hypotheses]
    distinct = {cause for cause in causes if cause is not None}
    if not distinct:
        return run.base
    return distinct.pop() if len(distinct) == 1 else None


def _known(comparison: Comparison) -> dict[str, Any]:
    return {
        "deviations": len(comparison.known) + len(comparison.new),
        "new": ["/".join(group.key) for group in comparison.new],
        "stale": comparison.stale,
    }


def _group(group: Group) -> dict[str, Any]:
    hypotheses = [*group.hypotheses, *([group.open_hypothesis] if group.open_hypothesis else [])]
    shown = next((cluster for cluster in group.clusters), None)
    return {
        "operation": group.operation,
        "format": group.format,
        "carrier": group.carrier,
        "profile": None if group.accumulation else _profile(group.profile),
        "accumulation": _accumulation(group.accumulation),
        "verdict": group.verdict,
        "verdicts": group.counts,
        "differs_from_ocp": group.beside_ocp,
        "reason": group.reason,
        "clause": group.clause or (shown.first.clause if shown else ""),
        "hypotheses": [_hypothesis(hypothesis) for hypothesis in hypotheses],
        "clusters": [
            {"verdict": one.verdict, "count": one.count, **_case(one.first)}
            for one in group.clusters
        ],
        "first_failure": _case(shown.first) if shown else None,
    }


def _hypothesis(hypothesis: Hypothesis) -> dict[str, Any]:
    return {
        "name": hypothesis.name,
        "kind": hypothesis.kind,
        "explains": hypothesis.explains,
        "of": hypothesis.of,
        "clauses": list(hypothesis.clauses),
        "note": hypothesis.note,
        "also": list(hypothesis.also),
    }


def _case(case: Case) -> dict[str, Any]:
    return {
        "where": case.where,
        "input": asdict(case.given),
        "dut": asdict(case.dut),
        "ref": asdict(case.ref),
        "clause": case.clause,
        "note": case.note,
        "replay": case.explain,
    }


def _accumulation(accumulation: Accumulation | None) -> dict[str, Any] | None:
    """Name, and the fields unless it is a preset."""
    if accumulation is None:
        return None
    record = accumulation_record(accumulation)
    return {
        "name": accumulation.name,
        "fields": None if isinstance(record, str) else record,
    }


def _profile(profile: Profile | None) -> dict[str, Any] | None:
    """Name and non-default fields."""
    if profile is None:
        return None
    return {
        "name": profile.name,
        "fields": {key: plain(choice) for key, choice in profile.changes().items()},
    }
