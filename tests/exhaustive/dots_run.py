"""The array engine against the exact core on 10^6 dot products of every accumulation, spread over all pairs of formats.

Usage, with tests/ in PYTHONPATH: python -m exhaustive.dots_run [--jobs N] [--results N] [NAME ...]

A difference is printed with its operands and ends the run with exit status 1. Some hours on two cores: the exact core
does some thousand dots a second.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "array"))

import dot_compare

import mxemu
from mxemu.accumulations import ACCUMULATIONS

# Results of one task; each has a seed of its own.
_PART = 20_000


def work(task: tuple[str, int, int]) -> tuple[int, list[str]]:
    """How many results were compared, and what differed."""
    name, seed, results = task
    mxemu.set_threads(1)
    done, found = dot_compare.one(name, results, seed)
    return done, [str(difference) for difference in found]


def run(todo: list[tuple[str, int, int]], jobs: int) -> int:
    """Work through all tasks; the number of differences."""
    start, total, failures = time.monotonic(), 0, 0
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with (
        ProcessPoolExecutor(jobs, get_context("spawn")) as pool,
        Progress(*columns, console=Console(stderr=True)) as bar,
    ):
        line = bar.add_task("tasks", total=len(todo))
        for future in as_completed([pool.submit(work, task) for task in todo]):
            done, found = future.result()
            total, failures = total + done, failures + len(found)
            for difference in found[:3]:
                print(difference, flush=True)
            bar.advance(line)
    seconds = time.monotonic() - start
    print(f"{total} dots compared in {seconds:.0f} s by {jobs} processes, {failures} differences")
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--results", type=int, default=10**6, help="dots an accumulation")
    parser.add_argument("names", nargs="*", help="accumulations; all unless given")
    given = parser.parse_args()
    seeds = range(1, 1 + max(1, -(-given.results // _PART)))
    part = min(_PART, given.results)
    names = given.names or list(ACCUMULATIONS)
    return 1 if run([(name, seed, part) for seed in seeds for name in names], given.jobs) else 0


if __name__ == "__main__":
    raise SystemExit(main())
