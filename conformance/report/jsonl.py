"""The report as JSON lines: a head, one record a group, one a finding, and a tail; for streams and for grep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from conformance.report.content import Content
from conformance.report.json_report import finding_record, group_record, head, tail


def report(content: Content) -> str:
    """The report, one JSON object a line; ``record`` says what a line is."""
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in records(content))


def records(content: Content) -> Iterator[dict[str, Any]]:
    """The lines as plain data."""
    yield {"record": "head", **head(content)}
    for group in content.run.groups:
        yield {"record": "group", **group_record(group)}
    for finding in content.findings:
        yield {"record": "finding", **finding_record(finding)}
    yield {"record": "tail", **tail(content)}
