"""Every named accumulation, hidden and found with every format that it is for: ``python -m exhaustive.probe_run``."""

from __future__ import annotations

import argparse
import sys
import time
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "conformance" / "probe"))

from test_probe_presets import CASES, find


def _found(case: tuple[str, str]) -> str:
    """A line for one case; empty if the preset was found as the tests want it."""
    try:
        find(*case)
    except AssertionError as error:
        return f"{case[0]} with {case[1]}: {error}"
    return ""


def main() -> int:
    """Run all cases and report those that were not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    jobs = parser.parse_args().jobs
    start = time.monotonic()
    with get_context("spawn").Pool(jobs) as pool:
        wrong = [line for line in pool.imap_unordered(_found, CASES) if line]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    seconds = time.monotonic() - start
    print(f"{len(CASES) - len(wrong)} of {len(CASES)} presets and formats found, {seconds:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
