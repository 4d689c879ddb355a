"""The array engine on all 2^32 binary32 inputs of every MX encoder, and on 10^7 blocks of every format and scale rule.

Usage, with tests/ in PYTHONPATH: python -m exhaustive.array_run [--jobs N] [--blocks N] [--only KIND] [NAME ...]

Expected codes come from the oracle alone (`array_tables`). A difference is printed with its input and ends the run
with exit status 1. Some ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import NamedTuple

import oracle
from exhaustive import array_checker, array_tables
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

import mxemu

# Chunks of blocks of one format that a process checks under all scale rules.
_PARTS = 8
_MINIMA = {"INT8": ("EXCLUDE", "ALLOW")}


class Task(NamedTuple):
    """All inputs of one encoder, or some blocks of one format."""

    name: str
    choices: tuple[str, ...]
    first: int
    count: int


def tasks(names: list[str], blocks: int) -> Iterator[Task]:
    """Everything to do for some formats and elements."""
    for name in names:
        if name in array_tables.BLOCKS:
            part = -(-blocks // _PARTS)
            for first in range(0, blocks, part):
                yield Task(name, array_tables.RULES, first, min(part, blocks - first))
            continue
        for minimum in _MINIMA.get(name, ("EXCLUDE",)):
            for rounding in oracle.ROUNDINGS:
                for overflow in oracle.OVERFLOWS:
                    yield Task(name, (rounding, overflow, minimum), 0, 1 << 32)


def work(task: Task) -> tuple[int, str]:
    """How many elements were compared, and what differed."""
    mxemu.set_threads(1)
    try:
        if task.name in array_tables.BLOCKS:
            done = array_checker.check_blocks(task.name, task.choices, task.first, task.count)
        else:
            done = array_checker.check_all_inputs(task.name, *task.choices)
    except AssertionError as difference:
        return 0, str(difference)
    return done, ""


def run(todo: list[Task], jobs: int) -> int:
    """Work through all tasks; the number of those that found a difference."""
    start, total, failures = time.monotonic(), 0, 0
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    errors = Console(stderr=True)
    with (
        ProcessPoolExecutor(jobs, get_context("spawn")) as pool,
        Progress(*columns, console=errors) as bar,
    ):
        line = bar.add_task("tasks", total=len(todo))
        for future in as_completed([pool.submit(work, task) for task in todo]):
            done, difference = future.result()
            total, failures = total + done, failures + bool(difference)
            if difference:
                print(difference, flush=True)
            bar.advance(line)
    seconds = time.monotonic() - start
    print(f"{total} elements compared in {seconds:.0f} s by {jobs} processes, {failures} failures")
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--blocks", type=int, default=10**7, help="blocks a format and scale rule")
    parser.add_argument("--only", choices=("inputs", "blocks"), help="leave the other half out")
    parser.add_argument("names", nargs="*", help="element and block formats; all unless given")
    given = parser.parse_args()
    known = {"inputs": list(oracle.MX_ELEMENTS), "blocks": list(array_tables.BLOCKS)}
    names = given.names or [name for kind in known for name in known[kind]]
    if given.only:
        names = [name for name in names if name in known[given.only]]
    todo = list(tasks(names, given.blocks))
    if not todo:
        parser.error("nothing to do")
    return 1 if run(todo, given.jobs) else 0


if __name__ == "__main__":
    raise SystemExit(main())
