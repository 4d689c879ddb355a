"""The two promises on time: a block in the exact core, and an answer of the command line from cold.

The best of several runs is compared, in seconds of the processor, because a shared machine can only make a run
slower.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import pytest

from mxemu.block import quantize_bits
from mxemu.formats import CONCRETE, BlockFormat

BLOCK_SECONDS = 0.3e-3
EXPLAIN_SECONDS = 0.150
# 32 binary32 numbers between 1 and 2 with full mantissas and both signs.
ORDINARY = [0x3F800000 + 262147 * lane + 0x80000000 * (lane % 2) for lane in range(32)]


def best(run: Callable[[], object], times: int) -> float:
    """Shortest of some runs, in seconds."""
    found = []
    for _ in range(times):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def seconds_of_a_process(command: list[str]) -> float:
    """Processor time of a process, which has to succeed."""
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(command[0], command, os.environ, file_actions=silent)
    _, status, usage = os.wait4(child, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("fmt", CONCRETE, ids=str)
def test_a_block_of_32_is_quantized_within_the_promise(fmt: BlockFormat) -> None:
    assert best(lambda: quantize_bits(ORDINARY, "binary32", fmt), 50) <= BLOCK_SECONDS


@pytest.mark.parametrize(
    "words", [["E2M1", "0x5"], ["E4M3", "0.3"], ["quantize", "MXFP4", "7", "-1"]], ids=" ".join
)
def test_explain_answers_from_cold_within_the_promise(words: list[str]) -> None:
    command = [sys.executable, "-m", "mxemu", "explain", *words]
    assert min(seconds_of_a_process(command) for _ in range(7)) <= EXPLAIN_SECONDS
