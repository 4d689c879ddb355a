"""The report as JUnit XML: one test suite an operation, one test case a group, its findings as failure text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from conformance.report.baseline import FAILING, lines
from conformance.report.content import Content
from conformance.report.findings import Finding
from conformance.report.matrix import changes_of
from conformance.report.words import head, meaning, paragraph, skipped, subject_name, why
from conformance.verdict import Group

# The schema of Ant asks for a date and a host; a report has none unless asked.
NO_DATE, NO_HOST = "1970-01-01T00:00:00", "localhost"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass
class _Case:
    """One test case: its name, what came of it, a message, and the findings."""

    name: str
    outcome: str = ""
    message: str = ""
    text: str = ""


@dataclass
class _Suite:
    """One test suite; what is said of cases that pass goes to ``out``."""

    name: str
    cases: list[_Case] = field(default_factory=list)
    out: list[str] = field(default_factory=list)


def report(content: Content) -> str:
    """The report as XML text; crashes are errors, known and earlier failures are skipped, conventions pass."""
    suites = [*_suites(content), *_expectations(content)]
    root = ET.Element("testsuites")
    for number, suite in enumerate(suites):
        root.append(_suite(suite, number, content))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _suites(content: Content) -> Iterator[_Suite]:
    """One suite for each operation."""
    run = content.run
    for operation in dict.fromkeys(group.operation for group in run.groups):
        suite = _Suite(operation)
        for place, group in enumerate(run.groups):
            if group.operation == operation:
                own = [one for one in content.findings if any(each is group for each in one.groups)]
                suite.cases.append(_case(place, group, own, content))
        shown = [one for one in content.findings if one.operation == operation]
        suite.out = ["\n".join(paragraph(one)) for one in shown if one.verdict not in FAILING]
        yield suite


def _case(place: int, group: Group, own: list[Finding], content: Content) -> _Case:
    beside = changes_of(group, content.run)
    subject = group.reason if group.carrier == "any" else beside
    words = [group.format, group.carrier, *([subject] if subject else [])]
    case = _Case(" ".join(words))
    if group.verdict in ("pass", "free"):
        return case
    shown = [one for one in own if one.verdict == group.verdict]
    case.message = "; ".join(why(one) for one in shown)
    case.text = "\n\n".join("\n".join(paragraph(one)) for one in shown)
    case.outcome = {"FAIL": "failure", "crash": "error"}.get(group.verdict, "skipped")
    comparison, change = content.comparison, content.change
    if comparison is not None and any(one is group for one in comparison.known):
        case.outcome, case.message = "skipped", f"known: {case.message}"
    elif change is not None and change.since.get(place) == "as before":
        case.outcome, case.message = "skipped", f"as in the baseline: {case.message}"
    return case


def _expectations(content: Content) -> Iterator[_Suite]:
    """Known deviations that do not show, what a baseline says, and a run without a verdict."""
    comparison, change = content.comparison, content.change
    if comparison is not None and comparison.stale:
        stale = [
            _Case(line, "failure", "expected, but not found", line) for line in comparison.stale
        ]
        yield _Suite("known deviations", stale)
    if change is not None:
        yield _Suite("baseline", [], lines(change))
    if content.exit_code in (3, 4):
        text = meaning(content)
        yield _Suite("check", [_Case("verdict", "failure", text, text)])


def _suite(suite: _Suite, number: int, content: Content) -> ET.Element:
    outcomes = [case.outcome for case in suite.cases]
    about = f"mxemu.{subject_name(content.run)}"
    element = ET.Element(
        "testsuite",
        {
            "name": suite.name,
            "package": _clean(about),
            "id": str(number),
            "timestamp": content.created.removesuffix("Z") or NO_DATE,
            "hostname": NO_HOST,
            "tests": str(len(outcomes)),
            "failures": str(outcomes.count("failure")),
            "errors": str(outcomes.count("error")),
            "skipped": str(outcomes.count("skipped")),
            "time": "0",
        },
    )
    _properties(element, content)
    for case in suite.cases:
        attributes = {
            "name": _clean(case.name),
            "classname": f"{_clean(about)}.{suite.name}",
            "time": "0",
        }
        shown = ET.SubElement(element, "testcase", attributes)
        if case.outcome:
            _outcome(shown, case)
    ET.SubElement(element, "system-out").text = _clean("\n\n".join(suite.out))
    ET.SubElement(element, "system-err")
    return element


def _outcome(parent: ET.Element, case: _Case) -> None:
    attributes = {"message": _clean(case.message)}
    if case.outcome != "skipped":
        attributes["type"] = {"failure": "FAIL", "error": "crash"}[case.outcome]
    ET.SubElement(parent, case.outcome, attributes).text = _clean(case.text)


def _properties(parent: ET.Element, content: Content) -> None:
    """What was checked, and what was left out."""
    run = content.run
    first, *compared = head(run)
    named = [("subject", subject_name(run)), ("version", run.capabilities.version)]
    named += [("level", run.level), ("mxemu", first.split()[1]), ("exit", str(content.exit_code))]
    named += [("compared", line) for line in compared]
    named += [("skipped", line.removeprefix("skipped  ")) for line in skipped(run)]
    named += [("remark", line) for line in content.remarks]
    properties = ET.SubElement(parent, "properties")
    for name, value in named:
        ET.SubElement(properties, "property", {"name": name, "value": _clean(value)})


def _clean(text: str) -> str:
    """Text without the characters that XML 1.0 has no way to write."""
    return _NOT_XML.sub("\ufffd", text)
