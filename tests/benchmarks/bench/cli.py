"""One run: measure, print, write the record, the page and the chart."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mxemu
from bench import processes, products, tables
from bench.chart import chart
from bench.machine import Busy, environment, machine, versions
from bench.marks import Run
from bench.page import page
from bench.peer import SLOW_ROWS, Peer, silence
from bench.peers import installed
from bench.rounds import interleaved, measure, summary
from bench.works import QUICK, Plan, Works, scaling, small

HERE = Path(__file__).resolve().parents[3] / "docs" / "reference"
FILES = ("performance.json", "performance.md", "performance.svg")
# A compiler takes longer than a quick run may.
_SLOW_PEERS = ("torchao", "torchao eager", "microxcaling", "mmasim")

Say = Callable[[str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 when a run has been made, whatever it found."""
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds, few peers; writes nothing")
    parser.add_argument("--render", action="store_true", help="page and chart from the record")
    parser.add_argument("--rounds", type=int, help="rounds of each contest, 9 unless given")
    parser.add_argument("--works", nargs="+", help="only these works; writes nothing")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the files go")
    parser.add_argument(
        "--merge", action="store_true", help="with --works: put them into the record"
    )
    given = parser.parse_args(arguments)
    if given.render:
        render(given.folder)
        return 0
    plan = QUICK if given.quick else Plan()
    plan = Plan(**{**asdict(plan), "rounds": given.rounds or plan.rounds})
    run = measured(plan, given.works, lambda text: print(text, file=sys.stderr, flush=True))
    print(shown(run))
    if given.merge:
        earlier = json.loads((given.folder / FILES[0]).read_text(encoding="utf-8"))
        run = merged(earlier, run, given.works)
    if not given.quick and (given.merge or not given.works):
        (given.folder / FILES[0]).write_text(recorded(run), encoding="utf-8")
        render(given.folder)
    return 0


def merged(earlier: Run, run: dict[str, Any], works: Sequence[str]) -> dict[str, Any]:
    """An earlier record with some works measured again, and a word on when that was."""
    again = {each["work"] for each in run["contests"]}
    keys = {each["key"] for each in run["figures"]}
    part = {"date": run["date"], "others": run["machine"]["others"]}
    missing = [each for each in run["missing"] if each not in earlier["missing"]]
    return {
        **earlier,
        "contests": [each for each in earlier["contests"] if each["work"] not in again]
        + run["contests"],
        "figures": [each for each in earlier["figures"] if each["key"] not in keys]
        + run["figures"],
        "versions": {**earlier["versions"], **run["versions"]},
        "missing": earlier["missing"] + missing,
        "later": {**earlier.get("later", {}), " ".join(works): part},
    }


def recorded(run: Run) -> str:
    """The record of a run as JSON, each measurement on a line of its own."""
    parts = []
    for key in sorted(run):
        entry = run[key]
        if isinstance(entry, list) and entry:
            lines = ",\n".join(f"  {json.dumps(each, sort_keys=True)}" for each in entry)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(entry, sort_keys=True)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def render(folder: Path) -> None:
    """Write page and chart from the record in a folder."""
    for name, text in rendered(folder).items():
        (folder / name).write_text(text, encoding="utf-8")


def rendered(folder: Path) -> dict[str, str]:
    """The texts of page and chart that follow from the record in a folder."""
    run = json.loads((folder / FILES[0]).read_text(encoding="utf-8"))
    return dict(zip(FILES[1:], (page(run), chart(run)), strict=True))


def measured(plan: Plan, only: Sequence[str] | None, say: Say) -> dict[str, Any]:
    """Measure everything of a plan, or only some works."""
    record: dict[str, Any] = {
        "schema": 1,
        "date": datetime.now(UTC).date().isoformat(),
        "plan": {**asdict(plan), "slow_rows": SLOW_ROWS},
        "machine": machine(),
        "environment": environment(),
        "missing": [],
    }
    peers = list(_peers(plan, record["missing"]))
    record["versions"] = {**versions(), **{peer.name: peer.version() for peer in peers}}

    def wanted(work: str) -> bool:
        return only is None or work in only

    works = Works(plan, peers, lambda peer, why: _note(record["missing"], peer, why))
    busy = Busy()
    record["contests"] = _contests(works, wanted, say)
    record["scaling"] = _scaling(plan, say) if wanted("scaling") else []
    record["figures"] = _small(plan) if wanted("small") else []
    record["figures"] += products.figures(record["contests"])
    if plan.slow and wanted("processes"):
        record["figures"] += _processes(plan, say)
    record["machine"]["others"] = busy.others()
    return record


def _peers(plan: Plan, missing: list[dict[str, str]]) -> Iterable[Peer]:
    """The peers of a run; those that are not here are noted."""
    for found in installed(() if plan.slow else _SLOW_PEERS):
        if isinstance(found, Peer):
            yield found
        else:
            _note(missing, *found)


def _note(missing: list[dict[str, str]], peer: str, why: str) -> None:
    """Remember once why a peer took no part in something."""
    entry = {"peer": peer, "why": why}
    if entry not in missing:
        missing.append(entry)


def _contests(works: Works, wanted: Callable[[str], bool], say: Say) -> list[dict[str, Any]]:
    """The results of all contests; says what is going on whenever another work begins."""
    found, told = [], ""
    for contest in works.contests(wanted):
        doing = f"{contest.work}, {tables.threaded(contest.threads)}"
        if doing != told:
            say(doing)
            told = doing
        with silence():
            found.append(measure(contest, works.plan.rounds))
    return found


def _scaling(plan: Plan, say: Say) -> list[dict[str, Any]]:
    """Speeds of growing arrays."""
    say("scaling")
    found = []
    for work, threads, elements, way in scaling(plan):
        mxemu.set_threads(threads)
        (seconds,) = interleaved([way.call], plan.rounds)
        speeds = summary([elements / each / 1e6 for each in seconds])
        found.append({"work": work, "threads": threads, "elements": elements, "speeds": speeds})
    mxemu.set_threads(None)
    return found


def _small(plan: Plan) -> list[dict[str, Any]]:
    """Microseconds of calls on 64 elements."""
    calls = small()
    seconds = interleaved(list(calls.values()), max(plan.rounds, 7))
    return [
        processes.figure("small", f"64 elements, {name}", "us", [1e6 * each for each in times])
        for name, times in zip(calls, seconds, strict=True)
    ]


def _processes(plan: Plan, say: Say) -> list[dict[str, Any]]:
    """What is measured on whole processes."""
    say("processes: import, first calls, memory")
    return [processes.importing(plan.rounds), *processes.first_calls(3), *processes.memory()]


def shown(run: Run) -> str:
    """What a run prints: the marks, and the peers that took no part."""
    lines = [f"missing: {each['peer']}: {each['why']}" for each in run["missing"]]
    lines.append(f"other programs: {tables.others(run)}")
    works = dict.fromkeys(contest["work"] for contest in run["contests"])
    for work in works:
        lines += ["", f"{work}, millions of elements in a second:"]
        lines.append(tables.plain(_speeds(run, work)))
    if run["scaling"]:
        lines += ["", tables.plain(tables.scaling_table(run))]
    lines += [
        "",
        tables.plain(tables.figures_table(run)),
        "",
        tables.plain(tables.marks_table(run)),
    ]
    return "\n".join(lines)


def _speeds(run: Run, work: str) -> tables.Table:
    return tables.profiles_table(run) if work == "profiles" else tables.speeds_table(run, work)
