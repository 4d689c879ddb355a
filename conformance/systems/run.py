"""Check the built-in subjects, each in an environment of its own, and write what was found beside its adapter.

``python -m conformance.systems.run --date 2026-11-22 [NAME ...]`` writes ``result.json`` of the subjects named, or of
all. The pages under ``docs/reference/systems`` are made from these files. The date is the user's: nothing here asks
the clock, so the same subjects give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np

from conformance import known
from conformance.adapter import function_of
from conformance.isolated import environment
from conformance.report.json_report import record
from conformance.runner import Filters, Request, Run, check, judge_of, requests
from conformance.system_pages import matches
from conformance.target import requirements, system_folder, systems
from conformance.verdict import Group
from conformance.why.diagnose import name_of
from conformance.worker import Worker
from mxemu.errors import MxemuError

Examples = list[dict[str, Any]]
"""Theme, number of failing cases and the simplest of them on one line."""

SCHEMA = "mxemu-system-1"
RESULT = "result.json"
TIMEOUT = 600.0


def main(arguments: list[str] | None = None) -> int:
    """Run subjects; 1 if one could not be run, or deviates from its ``known.toml``."""
    parser = argparse.ArgumentParser(prog="python -m conformance.systems.run", description=__doc__)
    parser.add_argument("names", nargs="*", help="subjects; all of them unless given")
    parser.add_argument("--date", required=True, type=date.fromisoformat, help="of this run")
    parser.add_argument("--level", default="core", choices=["smoke", "core", "full"])
    parser.add_argument("--dry", action="store_true", help="print the verdicts, write nothing")
    options = parser.parse_args(arguments)
    problems = 0
    for name in options.names or systems():
        try:
            found = result(name, options.date, options.level)
        except MxemuError as error:
            _say(f"{name}: {' '.join([str(error), *error.hint.split()])}")
            problems += 1
            continue
        problems += sum(bool(_problem(report)) for report in found["reports"])
        for line in unused(name, found["reports"]):
            _say(f"{name}: {line}")
            problems += 1
        if not options.dry:
            (system_folder(name) / RESULT).write_text(text_of(found), encoding="utf-8")
    return min(problems, 1)


def text_of(found: dict[str, Any]) -> str:
    """A result as JSON, with a line for each group, so that a difference shows where it is."""
    reports = [
        _opened({key: report[key] for key in report if key != "groups"}, "groups", report["groups"])
        for report in found["reports"]
    ]
    head = json.dumps({key: found[key] for key in found if key != "reports"}, ensure_ascii=False)
    return f'{head[:-1]}, "reports": [\n' + ",\n".join(reports) + "\n]}\n"


def _opened(record: dict[str, Any], key: str, items: list[Any]) -> str:
    """A record with one more entry, a list that takes a line for each item."""
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)
    return f'{json.dumps(record, ensure_ascii=False)[:-1]}, "{key}": [\n{lines}\n]}}'


def result(name: str, day: date, level: str) -> dict[str, Any]:
    """The reports of a subject and of all its variants, with what was installed for them."""
    first = _report(name, level)
    variants = [f"{name}[{variant}]" for variant in first["variants"]]
    reports = [first, *(_report(target, level) for target in variants)]
    return {
        "schema": SCHEMA,
        "system": name,
        "date": day.isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "requirements": list(requirements(name)),
        "reports": [{key: one[key] for key in one if key != "variants"} for one in reports],
    }


def _report(target: str, level: str) -> dict[str, Any]:
    """One report against the known deviations, with the names of the variants beside it."""
    worker = Worker(target, TIMEOUT, interpreter=environment(target, _say))
    try:
        run, examples = checked(worker, target, level)
    finally:
        worker.close()
    found = shortened(target, run, examples)
    _say(summary(target, found))
    return {**found, "variants": run.capabilities.variants}


def checked(worker: Worker, target: str, level: str) -> tuple[Run, list[Examples]]:
    """A whole check, and the simplest failing case of each theme for every group that nothing explains.

    A group shows one case for each clause, which is enough when there is one cause. Where several mistakes meet, the
    themes of the cases tell them apart.
    """
    run = Run(target, worker.introduce(), level, None)
    check(worker, run, Filters())
    asked = list(requests(run, Filters()))
    found = [
        _examples(worker, one, group, level) for one, group in zip(asked, run.groups, strict=False)
    ]
    return run, found + [[]] * (len(run.groups) - len(found))


def _examples(worker: Worker, request: Request, group: Group, level: str) -> Examples:
    """The themes of a failing group, in order of the cases; none where a cause explains it, or no results came."""
    if not group.counts["FAIL"] or known.cause_of(group):
        return []
    judge = judge_of(request, level)
    arrays, extra = judge.arguments()
    outcome = worker.call(function_of(request.operation), arrays, (*extra, group.profile))
    observed = judge.observe(outcome.arrays, len(judge.cases)) if outcome.kind == "ok" else ""
    if isinstance(observed, str):
        return []
    wrong, _ = judge.compare(observed, group.profile)
    found = []
    for note in dict.fromkeys(judge.cases.note(int(index)) for index in np.flatnonzero(wrong)):
        own = [index for index in np.flatnonzero(wrong) if judge.cases.note(int(index)) == note]
        simplest = own[int(np.argmin(judge.simplicity(np.array(own))))]
        text = judge.describe(int(simplest), observed, group.profile).text()
        found.append({"theme": note, "count": len(own), "case": text})
    return found


def shortened(target: str, run: Run, examples: list[Examples]) -> dict[str, Any]:
    """The report for programs, less what follows from the rest of it.

    Each group has three entries more: ``asked``, what was asked for besides the declared profile; ``judged``, whether
    its first hypothesis is about cases that the specification decides; ``themes``, see `checked`.
    """
    comparison = known.compare(run, known.load("auto", target))
    whole = record(run, int(bool(comparison.new or comparison.stale)), comparison)
    groups = [
        {
            **{key: one[key] for key in one if key not in _FOLLOWS},
            "asked": name_of(group.profile, run.base),
            "judged": bool(group.hypotheses),
            "themes": themes,
        }
        for one, group, themes in zip(whole["groups"], run.groups, examples, strict=True)
    ]
    return {**{key: whole[key] for key in _KEPT}, "groups": groups}


_KEPT = ("schema", "mxemu", "subject", "verdict", "level", "profiles", "skipped", "known")
_FOLLOWS = ("profile", "accumulation", "first_failure")


def summary(target: str, report: dict[str, Any]) -> str:
    """One line a subject, and one for each thing that its ``known.toml`` did not expect."""
    counts = Counter(group["verdict"] for group in report["groups"])
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    return "\n  ".join([f"{target}: {verdicts}", *_problem(report)])


def _problem(report: dict[str, Any]) -> list[str]:
    found = report["known"]
    return [f"new: {one}" for one in found["new"]] + [f"stale: {one}" for one in found["stale"]]


def unused(name: str, reports: list[dict[str, Any]]) -> list[str]:
    """Entries of a ``known.toml`` that nothing was held against: for a variant that is not there, or never met.

    A report names the entries that it did not meet. It cannot know of those for other variants, or of what is asked
    for besides the declared profile where nothing is.
    """
    text = (system_folder(name) / "known.toml").read_text(encoding="utf-8")
    variants = [report["subject"]["variant"] or known.BASE for report in reports]
    entries = enumerate(tomllib.loads(text).get("deviation", []), 1)
    return [line for number, entry in entries for line in _unused(number, entry, variants, reports)]


def _unused(
    number: int, entry: dict[str, Any], variants: list[str], reports: list[dict[str, Any]]
) -> Iterator[str]:
    """What is to be said of one entry."""
    for variant in entry.get("variants", variants):
        if variant not in variants:
            yield f"entry {number} of known.toml is for {variant}, which is no variant"
    if not any(_shows(entry, report) for report in reports):
        yield f"entry {number} of known.toml matches nothing: {entry['reason'][:80]}"


def _shows(entry: dict[str, Any], report: dict[str, Any]) -> bool:
    """Whether some group of a report deviates as an entry says."""
    variant = report["subject"]["variant"] or known.BASE
    here = variant in entry.get("variants", [variant])
    return here and any(matches(entry, group) for group in report["groups"])


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
