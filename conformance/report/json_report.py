"""The report for programs; ``report.schema.json`` beside this file describes it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conformance.adapter import accumulation_record
from conformance.known import Comparison
from conformance.report.content import Content
from conformance.report.findings import Finding
from conformance.report.words import rule_of, why
from conformance.runner import Run
from conformance.verdict import Cluster, Group
from conformance.why.diagnose import Hypothesis
from mxemu import __version__
from mxemu.accumulation import Accumulation
from mxemu.profile import Profile, plain

SCHEMA = "mxemu-report-1"
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")


def render(run: Run, exit_code: int, comparison: Comparison | None = None) -> str:
    """The report as JSON text: stable order, no time stamps."""
    return report(Content(run, exit_code, comparison))


def report(content: Content) -> str:
    """The report as JSON text, with what a baseline and waivers add."""
    return json.dumps(whole(content), indent=2, ensure_ascii=False)


def record(run: Run, exit_code: int, comparison: Comparison | None = None) -> dict[str, Any]:
    """The report as plain data."""
    return whole(Content(run, exit_code, comparison))


def whole(content: Content) -> dict[str, Any]:
    """The report as plain data, with what a baseline and waivers add."""
    return {
        **head(content),
        **tail(content),
        "groups": [group_record(group) for group in content.run.groups],
        "findings": [finding_record(finding) for finding in content.findings],
    }


def head(content: Content) -> dict[str, Any]:
    """What was checked and compared, and the verdict."""
    run = content.run
    capabilities = run.capabilities
    return {
        "schema": SCHEMA,
        "mxemu": __version__,
        **({"created": content.created} if content.created else {}),
        "subject": {
            "name": capabilities.name,
            "version": capabilities.version,
            "variant": capabilities.variant,
        },
        "verdict": overall(run),
        "exit_code": content.exit_code,
        "level": run.level,
        "profiles": profiles(run),
    }


def profiles(run: Run) -> dict[str, Any]:
    """The profile that was asked for, the declared one and the one that was found."""
    return {
        "asked": _profile(run.asked),
        "declared": _profile(run.capabilities.profile),
        "found": _profile(_found(run)),
    }


def tail(content: Content) -> dict[str, Any]:
    """What was left out, and what is known from elsewhere."""
    comparison, change = content.comparison, content.change
    return {
        "skipped": [{"what": what, "why": why} for what, why in content.run.skipped],
        "known": None if comparison is None else _known(comparison),
        "baseline": None if change is None else change.record(),
        "remarks": list(content.remarks),
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


def group_record(group: Group) -> dict[str, Any]:
    """One group as plain data."""
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
        "rules": [rule.text for rule in group.rules],
        "clusters": [
            {"verdict": one.verdict, "count": one.count, **_case(one)} for one in group.clusters
        ],
        "first_failure": _case(shown) if shown else None,
    }


def finding_record(finding: Finding) -> dict[str, Any]:
    """One finding as plain data; the texts are those of the report for a terminal."""
    cause = finding.cause
    return {
        "verdict": finding.verdict,
        "operation": finding.operation,
        "formats": finding.formats,
        "carriers": finding.carriers,
        "why": why(finding),
        "cause": None if cause is None else _hypothesis(cause),
        "count": finding.count,
        "of": finding.of,
        "known": finding.known,
        "silent": finding.silent,
        "since": finding.since,
        "case": None if finding.cluster is None else _case(finding.cluster),
        "rule": rule_of(cause),
        "log": finding.log,
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
        "text": hypothesis.text,
    }


def _case(cluster: Cluster) -> dict[str, Any]:
    case = cluster.first
    return {
        "where": case.where,
        "input": asdict(case.given),
        "dut": asdict(case.dut),
        "ref": asdict(case.ref),
        "clause": case.clause,
        "note": case.note,
        "replay": case.explain,
        "token": cluster.token,
        "smallest": _smallest(cluster),
    }


def _smallest(cluster: Cluster) -> dict[str, Any] | None:
    """What asking the subject again showed; None where it was not asked, or gave nothing."""
    found = cluster.smallest
    if found is None:
        return None
    return {
        "alone": found.alone,
        "idle_lanes": list(found.idle),
        "together": found.together,
        "questions": found.questions,
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
