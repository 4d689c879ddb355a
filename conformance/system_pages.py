"""Pages of the built-in subjects, from the committed results of their last run.

``python -m conformance.systems.run`` writes ``result.json`` beside each adapter; nothing is computed here, so that the
pages are the same wherever they are made.
"""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance.known import BASE
from conformance.notes import NOTES
from mxemu.formats import CARRIERS

Record = Mapping[str, Any]

ORDER = ("crash", "FAIL", "free", "unsupported", "pass")
"""Verdicts, the worst first."""

MATRIX = ("E5M2", "E4M3", "E3M2", "E2M3", "E2M1", "INT8", "E8M0")
"""The elements of the overview; a block format counts for its element."""

EXACT = ", 0 pass"
"""How a rule about where a group fails ends if nothing else lies there; no other is shown."""


def pages(root: Path) -> dict[str, dict[str, Any]]:
    """What each page shows, by its path below ``docs/reference``: the index and one page for each result.

    Returns
    -------
    dict
        Path to template variables; empty when there are no results.
    """
    folders = sorted((root / "conformance" / "systems").glob("*/result.json"))
    results = [_read(path) for path in folders]
    if not results:
        return {}
    shown = {f"systems/{one['name']}.md": {"system": one} for one in results}
    return {"systems/index.md": {"systems": results, "elements": MATRIX}, **shown}


def _read(path: Path) -> dict[str, Any]:
    """One system: its result with its known deviations, ready to be shown."""
    result = json.loads(path.read_text(encoding="utf-8"))
    entries = tomllib.loads((path.parent / "known.toml").read_text(encoding="utf-8"))
    profile = (path.parent / "profile.toml").read_text(encoding="utf-8")
    declared = tomllib.loads(profile)
    known = entries.get("deviation", [])
    return {
        "name": result["system"],
        "date": result["date"],
        "python": result["python"],
        "machine": result["machine"],
        "requirements": result["requirements"],
        "source": declared["source"],
        "called": _docstring(path.parent / "adapter.py"),
        "says": _comment(profile),
        "left_out": declared.get("left_out", []),
        "reports": [_report(report, known) for report in result["reports"]],
    }


def _docstring(path: Path) -> list[str]:
    """The lines with which an adapter opens; what they say is for readers who do not open it."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.replace("``", "`").splitlines()


def _comment(text: str) -> list[str]:
    """The lines of the comment that opens a declared profile, its headline left out."""
    lines = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
    return [line for line in lines[1:] if line]


def _report(report: Record, known: Iterable[Record]) -> dict[str, Any]:
    """One subject or variant."""
    subject = report["subject"]
    variant = subject["variant"] or BASE
    groups = report["groups"]
    own = [entry for entry in known if variant in entry.get("variants", [variant])]
    return {
        "target": f"{subject['name']}[{variant}]" if subject["variant"] else subject["name"],
        "anchor": f"{subject['name']}{subject['variant'] or ''}",  # of the heading, as renderers make it
        "version": subject["version"],
        "mxemu": report["mxemu"],
        "level": report["level"],
        "declared": _profile(report["profiles"]["declared"]),
        "found": _profile(report["profiles"]["found"]) if report["profiles"]["found"] else "",
        "counts": [(name, _number(groups, name)) for name in ORDER if _number(groups, name)],
        "carriers": _carriers(groups),
        "rows": list(_rows(groups)),
        "cells": {element: _cell(groups, element) for element in MATRIX},
        "deviations": [_deviation(entry, groups) for entry in own],
        "short": _short(own),
        "conventions": list(_conventions(groups)),
        "skipped": report["skipped"],
    }


def _short(entries: Iterable[Record]) -> list[str]:
    """What the reasons of several entries say, each part once; parts stand between semicolons."""
    parts = [part.removeprefix("and ") for one in entries for part in one["reason"].split("; ")]
    return list(dict.fromkeys(parts))


def _number(groups: Iterable[Record], verdict: str) -> int:
    return sum(group["verdict"] == verdict for group in groups)


def _profile(declared: Record | None) -> str:
    """A declared profile as ``--profile`` takes it."""
    if declared is None:
        return "none"
    fields = [f"{key}={choice}" for key, choice in declared["fields"].items()]
    return ",".join(["ocp", *fields]) if declared["name"] == "custom" else declared["name"]


def _carriers(groups: Iterable[Record], verdict: str = "") -> list[str]:
    """The carriers of a report, or of its groups with some verdict, the widest first."""
    used = {group["carrier"] for group in groups if verdict in ("", group["verdict"])}
    return sorted(used & set(CARRIERS), key=lambda name: (-CARRIERS[name].width, name))


def _rows(groups: list[Record]) -> Iterator[dict[str, Any]]:
    """A row for each operation, format and what was asked for: one verdict for each carrier."""
    carriers = _carriers(groups)
    keys = [_row_key(group) for group in groups if group["carrier"] in carriers]
    for key in dict.fromkeys(keys):
        verdicts = {group["carrier"]: _share(group) for group in groups if _row_key(group) == key}
        cells = [verdicts.get(carrier, "-") for carrier in carriers]
        yield {"operation": key[0], "format": key[1], "asked": key[2], "cells": cells}


def _row_key(group: Record) -> tuple[str, str, str]:
    return group["operation"], group["format"], group["asked"]


def _share(group: Record) -> str:
    """A verdict, and for a failure how many of how many cases."""
    if group["verdict"] not in ("FAIL", "crash"):
        return str(group["verdict"])
    counts = group["verdicts"]
    return f"{group['verdict']} {counts[group['verdict']]} of {sum(counts.values())}"


def _cell(groups: Iterable[Record], element: str) -> str:
    """The worst verdict on an element in any operation, and with which carriers if not with all."""
    own = [group for group in groups if _element(group["format"]) == element]
    carriers: dict[str, list[str]] = {}
    for group in own:
        carriers.setdefault(group["verdict"], []).append(group["carrier"])
    carriers.pop("unsupported", None)
    worst = next((verdict for verdict in ORDER if verdict in carriers), "")
    some, every = _carriers(own, worst), _carriers(own)
    return worst if some == every else f"{worst} ({', '.join(some)})"


def _element(format_name: str) -> str:
    """The element of a format by name: MXFP4_E2M1, MXINT8, NVFP4 and E2M1/E8M0/16 are four spellings."""
    head = format_name.partition("/")[0]
    return {"MXINT8": "INT8", "NVFP4": "E2M1"}.get(head, head.rpartition("_")[2])


def _deviation(entry: Record, groups: Iterable[Record]) -> dict[str, Any]:
    """An entry of a ``known.toml`` with the simplest case of the first group that shows it."""
    matching = [group for group in groups if matches(entry, group)]
    clusters = [cluster for group in matching for cluster in group["clusters"]]
    judged = [cluster for cluster in clusters if cluster["verdict"] == entry["verdict"]]
    examples = {cluster["clause"]: _line(cluster) for cluster in reversed(judged)}
    themes = [
        {**one, "noted": one["theme"] in NOTES} for group in matching[:1] for one in group["themes"]
    ]
    shown = {
        "examples": list(reversed(examples.values())),
        "themes": themes,
        "first": " from ".join(matching[0][key] for key in ("format", "carrier")) if themes else "",
        "rules": _rules(matching[0]) if themes else [],
        "note": _note(entry, matching),
    }
    return {"asked": "", "cause": "", **entry, **shown}


def matches(entry: Record, group: Record) -> bool:
    """Whether a group deviates as an entry of a ``known.toml`` says."""
    return (
        entry["operation"] == group["operation"]
        and group["format"] in entry["formats"]
        and group["carrier"] in entry["carriers"]
        and entry["verdict"] == group["verdict"]
        and entry.get("asked", "") in ("", group["asked"])
        and entry.get("cause", "") == _cause(group)
    )


def _cause(group: Record) -> str:
    """The first hypothesis that explains every judged case."""
    judged = group["hypotheses"][: int(group["judged"])]
    return next((one["name"] for one in judged if one["explains"] == one["of"]), "")


def _rules(group: Record) -> list[str]:
    """Where a group fails, as far as that is all that lies there."""
    return [rule for rule in group["rules"] if rule.endswith(EXACT)]


def _note(entry: Record, groups: Iterable[Record]) -> str:
    """The key of the note on the cause of an entry, if it has one."""
    found = [one for group in groups for one in group["hypotheses"]]
    return next((one["note"] for one in found if one["name"] == entry.get("cause")), "")


def _line(cluster: Record) -> str:
    """A case on one line, as the report of a check has it."""
    sides = [_side(cluster[key]) for key in ("input", "dut", "ref")]
    where = " ".join(part for part in (cluster["clause"], cluster["where"]) if part)
    return "  ".join([where, *sides])


def _side(side: Record) -> str:
    value = f"= {side['value']}" if side["value"] else ""
    return " ".join(part for part in (side["label"], side["hex"], side["fields"], value) if part)


def _conventions(groups: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """Where the specification leaves a choice and this is not that of the declared profile: what is done instead."""
    found: dict[tuple[str, str], list[Record]] = {}
    for group in groups:
        open_ones = group["hypotheses"][int(group["judged"]) :]
        silent = [one for one in group["clusters"] if one["verdict"] == "free"]
        if silent:
            name = open_ones[0]["name"] if open_ones else "by no rule of a profile"
            found.setdefault((group["operation"], name), []).append({**group, "case": silent[0]})
    for (operation, name), several in found.items():
        yield {
            "operation": operation,
            "what": name,
            "formats": list(dict.fromkeys(group["format"] for group in several)),
            "carriers": list(dict.fromkeys(group["carrier"] for group in several)),
            "example": _line(several[0]["case"]),
        }
