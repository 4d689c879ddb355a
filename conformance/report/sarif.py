"""The report as SARIF 2.1.0: clauses, notes and mistakes as rules, findings as results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from conformance.notes import NOTES
from conformance.report.baseline import FAILING
from conformance.report.content import Content
from conformance.report.findings import Finding
from conformance.report.json_report import finding_record, group_record, head, tail
from conformance.report.places import source_file
from conformance.report.words import meaning, paragraph, subject_name, where, why
from mxemu import __version__
from mxemu.clauses import CLAUSES

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_OTHER = {
    "crash": (
        "The subject gave no result",
        "It raised, died, hung, or returned another shape or dtype.",
    ),
    "profile": (
        "Outside the MX specification",
        "A format or conversion of which MX says nothing: results are compared with the profile.",
    ),
}


def report(content: Content) -> str:
    """The report as JSON text."""
    return json.dumps(log(content), indent=2, ensure_ascii=False)


def log(content: Content) -> dict[str, Any]:
    """The report as plain data."""
    rules = list(dict.fromkeys(rule_of(finding) for finding in content.findings))
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(content, rules)]}


def _run(content: Content, rules: list[str]) -> dict[str, Any]:
    driver = {
        "name": "mxemu",
        "semanticVersion": __version__,
        "rules": [_rule(key) for key in rules],
    }
    invocation: dict[str, Any] = {"executionSuccessful": True, "exitCode": content.exit_code}
    invocation["exitCodeDescription"] = meaning(content)
    if content.created:
        invocation["endTimeUtc"] = content.created
    return {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": list(_results(content, rules)),
        "properties": {**head(content), "groups": _groups(content), **tail(content)},
    }


def _groups(content: Content) -> list[dict[str, Any]]:
    """The verdict of each group: results say nothing of those that pass."""
    keys = ("operation", "format", "carrier", "profile", "verdict", "verdicts")
    records = map(group_record, content.run.groups)
    return [{key: record[key] for key in keys} for record in records]


def rule_of(finding: Finding) -> str:
    """The id of a finding's rule: the note of a known mistake, else the clause that decides."""
    cause = finding.cause
    if finding.verdict == "crash":
        return "crash"
    if finding.verdict == "FAIL" and cause is not None and cause.note in NOTES:
        return cause.note
    if finding.cluster is not None and finding.cluster.first.clause in CLAUSES:
        return finding.cluster.first.clause
    asked = (group.clause for group in finding.groups if group.clause in CLAUSES)
    return next(asked, "profile")


def _rule(key: str) -> dict[str, Any]:
    if key in NOTES:
        note = NOTES[key]
        seen = f" Seen: {note.seen}." if note.seen else ""
        decided = f" Decided by {', '.join(note.clauses)}." if note.clauses else ""
        title, text, level = note.title, f"{note.bug} {note.effect}{decided}{seen}", "error"
    elif key in CLAUSES:
        clause = CLAUSES[key]
        strength = f"MX 1.0 section {clause.section}, {clause.strength.value}"
        title, text, level = clause.title, f"{clause.text} ({strength})", "warning"
    else:
        (title, text), level = _OTHER[key], "error" if key == "crash" else "note"
    fix = f"\nFix: {NOTES[key].help}" if key in NOTES else ""
    more = f"{text}{fix}\nmxemu rule {key} says more."
    return {
        "id": key,
        "shortDescription": {"text": title},
        "fullDescription": {"text": text},
        "help": {"text": more if key not in _OTHER else text},
        "defaultConfiguration": {"level": level},
    }


def _results(content: Content, rules: list[str]) -> Iterator[dict[str, Any]]:
    file, seen = source_file(content.run), Counter[str]()
    for finding in content.findings:
        rule, print_of = rule_of(finding), fingerprint(finding, content)
        seen[print_of] += 1
        result = {
            "ruleId": rule,
            "ruleIndex": rules.index(rule),
            "level": "error" if finding.verdict in FAILING else "note",
            "message": {"text": _message(finding)},
            "locations": [_location(finding, content, file)],
            "partialFingerprints": {"mxemuFinding/v1": f"{print_of}:{seen[print_of]}"},
            "properties": finding_record(finding),
        }
        yield {**result, **_expected(finding)}


def _message(finding: Finding) -> str:
    return "\n".join(line.strip() for line in paragraph(finding))


def _expected(finding: Finding) -> dict[str, Any]:
    """What known deviations and a baseline add."""
    found: dict[str, Any] = {}
    if finding.known:
        found["suppressions"] = [{"kind": "external", "justification": "a known deviation"}]
    states = {"new": "new", "as before": "unchanged", "changed": "updated"}
    if finding.since:
        found["baselineState"] = states[finding.since]
    return found


def _location(finding: Finding, content: Content, file: str) -> dict[str, Any]:
    """The function of the subject, and its file where it is one below the present directory."""
    name = f"{subject_name(content.run)}.{finding.operation}"
    place: dict[str, Any] = {
        "logicalLocations": [
            {"name": finding.operation, "fullyQualifiedName": name, "kind": "function"}
        ]
    }
    if file:
        artifact = {"uri": quote(file)}
        place["physicalLocation"] = {"artifactLocation": artifact, "region": {"startLine": 1}}
    return place


def fingerprint(finding: Finding, content: Content) -> str:
    """Sixteen hex digits that stay the same while the cause does, whatever the numbers of cases.

    A cause that is named may spread to further formats and stays the same finding; one without a name is the finding
    of its own formats.
    """
    cause = finding.cause
    named = cause is not None and cause.complete
    parts = [subject_name(content.run), finding.verdict, finding.operation, rule_of(finding)]
    parts += [cause.name] if cause is not None and named else [why(finding), where(finding)]
    return sha256("\n".join([*parts, str(finding.silent)]).encode()).hexdigest()[:16]
