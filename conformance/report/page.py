"""The report as one HTML file: nothing is loaded from elsewhere, it follows light and dark, and it can be printed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.adapter import BLOCK_OPERATIONS, PRODUCT_OPERATIONS
from conformance.notes import NOTES
from conformance.report import baseline
from conformance.report.baseline import FAILING
from conformance.report.content import Content
from conformance.report.findings import Finding
from conformance.report.matrix import changes_of, columns, rows
from conformance.report.pictures import bits, distance, number_line
from conformance.report.places import source_file
from conformance.report.scene import scene_of
from conformance.report.staircase import staircase
from conformance.report.words import (
    derivation,
    head,
    known_lines,
    meaning,
    paragraph,
    rule_of,
    subject_name,
    tally,
    title,
    where,
    why,
    without,
)
from conformance.runner import Run
from conformance.target import parse_target
from mxemu import __version__
from mxemu.clauses import CLAUSES
from mxemu.errors import MxemuError
from mxemu.formats import block_format

TEMPLATES = Path(__file__).parents[1] / "templates"
OPEN = 8
"""Failing findings that are unfolded at first."""


@dataclass(frozen=True)
class Picture:
    """One drawing of a finding and what stands below it."""

    caption: str
    svg: str


def report(content: Content) -> str:
    """The report as the text of an HTML file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report_page.html.j2").render(context(content)).strip()


def context(content: Content) -> dict[str, Any]:
    """What the template is filled with."""
    run = content.run
    first, *compared = head(run)
    return {
        "subject": subject_name(run),
        "version": run.capabilities.version,
        "mxemu": __version__,
        "level": run.level,
        "created": content.created,
        "head": first,
        "compared": compared,
        "exit_code": content.exit_code,
        "meaning": meaning(content),
        "tally": tally(run),
        "cases": sum(sum(group.counts.values()) for group in run.groups),
        "beside": sum(group.beside_ocp for group in run.groups),
        "matrix": _matrix(content),
        "findings": list(_findings(content)),
        "skipped": run.skipped,
        "known": known_lines(content.comparison),
        "changes": [] if content.change is None else baseline.lines(content.change),
        "remarks": content.remarks,
        "again": _again(run),
    }


def _matrix(content: Content) -> dict[str, Any]:
    """The table of verdicts, each cell with the number of its first finding; 0 for none."""
    run, carriers = content.run, columns(content.run)
    first: dict[tuple[str, ...], int] = {}
    for number, finding in enumerate(content.findings, 1):
        for group in finding.groups:
            first.setdefault((*group.key, changes_of(group, run), group.verdict), number)
    body: list[dict[str, Any]] = []
    for row in rows(run):
        asked = row.changes[0] if row.changes else ""
        verdicts = [row.verdicts.get(name, "") for name in carriers]
        keys = [
            (row.operation, row.format, name, asked, verdict)
            for name, verdict in zip(carriers, verdicts, strict=True)
        ]
        cells = [(key[-1], first.get(key, 0)) for key in keys]
        new = not body or body[-1]["operation"] != row.operation
        body.append(
            {
                "operation": row.operation,
                "first": new,
                "format": row.format,
                "cells": cells,
                "remark": row.remark(),
            }
        )
    return {"carriers": carriers, "rows": body, "remarks": any(row["remark"] for row in body)}


def _findings(content: Content) -> Iterator[dict[str, Any]]:
    failing = 0
    for finding in content.findings:
        fresh = finding.verdict in FAILING and not finding.known and finding.since != "as before"
        failing += fresh
        case = None if finding.cluster is None else finding.cluster.first
        clause = CLAUSES.get(case.clause if case else finding.groups[0].clause)
        cause = finding.cause
        note = NOTES.get(cause.note) if cause is not None and cause.note else None
        yield {
            "finding": finding,
            "title": title(finding),
            "verdict": finding.verdict,
            "where": f"{finding.operation} {where(finding)}",
            "mark": "known" if finding.known else finding.since,
            "why": why(finding),
            "case": case,
            "without": "" if finding.cluster is None else without(finding.cluster),
            "clause": clause,
            "note": note,
            "theme": NOTES.get(case.note) if case is not None else None,
            "commands": _commands(finding),
            "pictures": list(_pictures(finding)),
            "groups": _groups(finding, content),
            "open": fresh and failing <= OPEN,
            "issue": _issue(finding, content),
        }


def _groups(finding: Finding, content: Content) -> list[tuple[str, str, str, int, int]]:
    """Format, carrier, profile, differing cases and all cases of each group."""
    found = []
    for group in finding.groups:
        changes = group.profile.changes(content.run.base)
        beside = ", ".join(f"{key}={choice.value}" for key, choice in changes.items())
        share = group.counts[finding.verdict]
        found.append((group.format, group.carrier, beside, share, sum(group.counts.values())))
    return found


def _commands(finding: Finding) -> list[str]:
    """What to type to see the mistake and the case; whole, however long, where there is no token for it."""
    rule = rule_of(finding.cause)
    found = [f"mxemu rule {rule}"] if rule else []
    if finding.cluster is not None:
        cluster = finding.cluster
        shown = derivation(finding) if cluster.token else cluster.first.explain
        found += [shown] if shown else []
    return found


def _pictures(finding: Finding) -> Iterator[Picture]:
    if finding.cluster is None:
        return
    group, case = finding.groups[0], finding.cluster.first
    scene = scene_of(group, case)
    drawn = bits(scene)
    if drawn is not None:
        framed = (
            "; bits of dut that differ from ref are framed" if scene.dut.code is not None else ""
        )
        yield Picture(f"Bit fields{framed}.", drawn)
    if scene.of_scale:
        cause = finding.cause
        found = cause.profile if cause is not None else None
        drawn = staircase(scene, block_format(group.format), group.profile, found)
        if drawn is not None:
            yield Picture("The scale as a function of the largest magnitude in the block.", drawn)
    elif finding.operation in (*PRODUCT_OPERATIONS, "dequantize", "fake_quantize"):
        drawn = distance(scene)
        if drawn is not None:
            yield Picture("How far the result is from the expected one.", drawn)
    else:
        drawn = number_line(scene)
        if drawn is not None:
            scaled = " / scale" if finding.operation in BLOCK_OPERATIONS else ""
            yield Picture(
                f"The values of {scene.line.name if scene.line else ''} around in{scaled}, at equal distances.",
                drawn,
            )


def _issue(finding: Finding, content: Content) -> str:
    """What to paste into an issue: everything that somebody else needs to see the same."""
    run = content.run
    lines = [line.removeprefix("      ") for line in paragraph(finding)]
    body = "\n".join(["```text", *head(run), "", *lines, "```"])
    return f"{body}\n\nTo see it again: `{_again(run, finding)}`"


def _again(run: Run, finding: Finding | None = None) -> str:
    """The command that checks this again, without what is of this machine only."""
    words = ["mxemu", "check", shlex.quote(_target(run)), "--level", run.level]
    if run.asked is not None and run.asked.name != "custom":
        words += ["--profile", run.asked.name]
    if finding is not None:
        words += ["--operation", finding.operation, "--format", finding.formats[0]]
        words += ["--carrier", finding.carriers[0]] if finding.carriers[0] != "any" else []
    return " ".join(words)


def _target(run: Run) -> str:
    """The TARGET as it was given; of a file elsewhere only the name."""
    try:
        target = parse_target(run.target)
    except MxemuError:
        return subject_name(run)
    if target.kind not in ("file", "rtl") or source_file(run):
        return run.target
    return run.target.replace(target.where, Path(target.where).name, 1)
