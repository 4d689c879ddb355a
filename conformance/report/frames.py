"""The report as pandas tables: one row a group, or one a finding."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from conformance.known import Comparison
from conformance.report.content import Content
from conformance.report.json_report import finding_record, group_record
from conformance.runner import Run
from mxemu.errors import MxemuError

if TYPE_CHECKING:
    import pandas as pd

_GROUP = ("operation", "format", "carrier", "verdict")
_COUNTS = ("pass", "FAIL", "free", "unsupported", "crash")


def frame(run: Run, rows: str = "groups", comparison: Comparison | None = None) -> pd.DataFrame:
    """A checked run as a table.

    Parameters
    ----------
    run : Run
    rows : str
        ``groups`` or ``findings``.
    comparison : Comparison, optional
        Against known deviations; marks the findings that are known.

    Returns
    -------
    DataFrame
        One row a group, in the order of the check; or one a finding, worst first. Lists are joined by blanks. The
        columns are the same whatever was found.

    Raises
    ------
    MxemuError
        For any other ``rows``.
    """
    return table(Content(run, 0, comparison), rows)


def table(content: Content, rows: str = "groups") -> pd.DataFrame:
    """The same, of a report."""
    import pandas as pd

    if rows not in ("groups", "findings"):
        raise MxemuError(f"rows {rows!r}; expected 'groups' or 'findings'")
    records = _groups(content) if rows == "groups" else _findings(content)
    columns = _COLUMNS[rows]
    whole = ("cases", "count", "of", *_COUNTS)
    kinds = {
        name: "int64" if name in whole else "bool" if name in _MARKS else "str" for name in columns
    }
    return pd.DataFrame.from_records(records, columns=list(columns)).astype(kinds)


_MARKS = ("known", "silent")
_FINDING = ("cause", "kind", "rule", "count", "of", "known", "silent", "since")
_CASE = ("clause", "note", "where", "input", "dut", "ref", "replay", "token")

_COLUMNS: dict[str, tuple[str, ...]] = {
    "groups": (
        *(*_GROUP, "profile", "accumulation", *_COUNTS, "cases"),
        *("cause", "kind", "reason", *_CASE),
    ),
    "findings": ("verdict", "operation", "formats", "carriers", "why", *_FINDING, *_CASE),
}


def _groups(content: Content) -> list[dict[str, Any]]:
    return [_group(group_record(group)) for group in content.run.groups]


def _group(record: dict[str, Any]) -> dict[str, Any]:
    accumulation = record["accumulation"]
    row = {name: record[name] for name in (*_GROUP, "reason")}
    row["profile"] = _profile(record["profile"])
    row["accumulation"] = accumulation["name"] if accumulation else ""
    row |= record["verdicts"]
    row["cases"] = sum(record["verdicts"].values())
    row |= _cause(next(iter(record["hypotheses"]), None)) | _case(record["first_failure"])
    return row | {"clause": record["clause"]}


def _findings(content: Content) -> list[dict[str, Any]]:
    return [_finding(finding_record(finding)) for finding in content.findings]


def _finding(record: dict[str, Any]) -> dict[str, Any]:
    row = {
        name: record[name]
        for name in ("verdict", "operation", "why", "rule", "count", "of", *_MARKS, "since")
    }
    row |= {name: " ".join(record[name]) for name in ("formats", "carriers")}
    return row | _cause(record["cause"]) | _case(record["case"])


def _profile(profile: dict[str, Any] | None) -> str:
    """Name and changed fields, as ``--profile`` takes them."""
    if profile is None:
        return ""
    if profile["name"] != "custom":
        return str(profile["name"])
    return ",".join(["ocp", *(f"{key}={choice}" for key, choice in profile["fields"].items())])


def _cause(cause: dict[str, Any] | None) -> dict[str, str]:
    return {"cause": cause["name"] if cause else "", "kind": cause["kind"] if cause else ""}


def _case(case: dict[str, Any] | None) -> dict[str, str]:
    """The simplest case; sides as hex and value."""
    if case is None:
        return dict.fromkeys(_CASE, "")
    row = {name: str(case[name]) for name in ("clause", "note", "where", "replay", "token")}
    for name in ("input", "dut", "ref"):
        row[name] = " = ".join(part for part in (case[name]["hex"], case[name]["value"]) if part)
    return row


def parquet(content: Content) -> bytes:
    """The table of groups as a Parquet file.

    Raises
    ------
    MxemuError
        Without pyarrow.
    """
    buffer = io.BytesIO()
    try:
        table(content).to_parquet(buffer, engine="pyarrow", index=False)
    except ImportError:
        raise MxemuError("a Parquet report needs pyarrow", 'pip install "mxemu[parquet]"') from None
    return buffer.getvalue()
