"""The array engine's large spaces in the size that each run can bear; `array_run` does all of them.

The two formats whose tables are the largest and the smallest are compared on all 2^32 inputs, by chunks that several
processes share; blocks are compared with a second road that the oracle's tables pave, itself compared with the oracle.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import oracle
import pytest
from exhaustive import array_checker, array_run, array_tables
from exhaustive.array_tables import BLOCKS, INF, RULES

import mxemu

QUARTERS = [range(first, first + (1 << 12)) for first in range(0, 1 << 14, 1 << 12)]
# The rules that the oracle itself applies to whole blocks.
ORACLES = [
    rule for rule in RULES if not rule.endswith(("BINARY32", "UP", "NAN")) and rule != "RATIO"
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    mxemu.set_threads(1)
    yield
    mxemu.set_threads(None)


@pytest.mark.slow
@pytest.mark.clause("MX-5.3.1-SAT", "MX-5.3.3-RNE", "MX-5.3.3-SAT")
@pytest.mark.parametrize("quarter", QUARTERS, ids=["+0", "+2", "-0", "-2"])
@pytest.mark.parametrize("name", ["E4M3", "E2M1"])
def test_all_binary32_inputs(name: str, quarter: range) -> None:
    done = array_checker.check_all_inputs(name, "TIES_TO_EVEN", "SATURATE", chunks=quarter)
    assert done == 1 << 30


def test_one_wrong_input_is_found_and_named() -> None:
    table = array_tables.rows("E4M3", "TIES_TO_EVEN", "SATURATE", "EXCLUDE")
    start = 0x3F7C0000
    codes = mxemu.encode(
        np.arange(start, start + (1 << 18), dtype=np.uint32).view(np.float32), "E4M3"
    )
    assert array_checker.first_wrong(codes, table, start) is None
    for at in (0, 1, 0x3FFFF, 0x20000):
        wrong = codes.copy()
        wrong[at] ^= 1
        found = array_checker.first_wrong(wrong, table, start)
        assert found is not None
        assert f"{start + at:#010x}" in found


def test_the_rows_of_a_table_cover_all_inputs_once() -> None:
    table = array_tables.rows("E2M1", "TO_ODD", "OVERFLOW", "EXCLUDE")
    at = 0
    for low, high, _ in array_tables.slices(table, 0, 1 << 32):
        assert low == at
        at = high
    assert at == 1 << 32


@pytest.mark.slow
@pytest.mark.clause("MX-6.3-SCALE", "MX-6.3-ELEM", "MX-6.3-ALT", "MX-6.3-RNE", "MX-6.3-RND")
@pytest.mark.parametrize("fmt", BLOCKS)
def test_blocks_under_every_scale_rule(fmt: str) -> None:
    """One batch for each pair of rounding and overflow would take minutes; each rule gets another pair here."""
    done = 0
    for index, rule in enumerate(RULES):
        first = index * array_checker.BATCH
        done += array_checker.check_blocks(fmt, (rule,), first, 3000)
    assert done == 3000 * len(RULES) * BLOCKS[fmt][2]


@pytest.mark.slow
@pytest.mark.parametrize("rule", ORACLES)
@pytest.mark.parametrize("fmt", [fmt for fmt in BLOCKS if fmt != "NVFP4"])
def test_the_second_road_agrees_with_the_oracle(fmt: str, rule: str) -> None:
    element, scale, k = BLOCKS[fmt]
    bits = np.empty((8, k), np.uint32)
    first = 1000 * len(rule)
    array_checker.make_blocks(
        first, 1, array_tables.mantissas(), array_tables.points(element), bits
    )
    codes, scales = np.empty(bits.shape, np.uint8), np.empty(bits.shape[0], np.uint8)
    rounding = oracle.ROUNDINGS[len(rule) % 6]
    steps = array_tables.elements(element, rounding, "SATURATE")
    known = array_tables.scales(element, scale, rule)
    array_checker.expect_blocks(bits, bits.view(np.float32), steps, known, codes, scales)
    for row, code, found in zip(bits.tolist(), scales.tolist(), codes.tolist(), strict=True):
        values = [oracle.decode(pattern, "binary32") for pattern in row]
        expected = oracle.quantize(values, element, rule, rounding)
        # The oracle gives no codes under a NaN scale; they are zero by convention.
        assert (code, found) == (expected[0], list(expected[1]) or [0] * k)


def test_a_wrong_block_is_found_and_named() -> None:
    bits = np.full((5, 32), 0x3F800000, np.uint32)
    good = mxemu.quantize(bits.view(np.float32), "MXFP8_E4M3")
    codes, scales = good.codes[:, 0].copy(), good.scales[:, 0].copy()
    assert array_checker.first_wrong_block(bits, codes, scales, "MXFP8_E4M3") is None
    codes[3, 31] ^= 1
    found = array_checker.first_wrong_block(bits, codes, scales, "MXFP8_E4M3")
    assert found is not None
    assert found.startswith("block 3: ")
    codes[3, 31] ^= 1
    scales[2] += 1
    found = array_checker.first_wrong_block(bits, codes, scales, "MXFP8_E4M3")
    assert found is not None
    assert found.startswith("block 2: ")


def test_the_blocks_hold_what_is_hard() -> None:
    """Zeros, subnormals, Inf, NaN, largest numbers, and largest magnitudes at steps are all among a few thousand."""
    bits = np.empty((4000, 32), np.uint32)
    array_checker.make_blocks(0, 0, array_tables.mantissas(), array_tables.points("E4M3"), bits)
    magnitudes = bits & 0x7FFFFFFF
    largest = magnitudes.max(axis=1)
    for wanted in (0, INF, INF - 1, 1):
        assert (magnitudes == wanted).any()
    assert (largest == 0).any()
    assert ((largest > 0) & (largest < 1 << 23)).any()
    assert (largest > INF).any()
    assert {0, 254} <= set((largest >> 23).tolist())
    tops = set((largest & 0x7FFFFF).tolist())
    assert all(tops & set(range(step - 2, step + 3)) for step in array_tables.mantissas().tolist())
    again = np.empty((10, 32), np.uint32)
    array_checker.make_blocks(100, 0, array_tables.mantissas(), array_tables.points("E4M3"), again)
    assert np.array_equal(again, bits[100:110])


def test_the_long_run_has_all_tasks() -> None:
    names = [*oracle.MX_ELEMENTS, *BLOCKS]
    todo = list(array_run.tasks(names, 10**7))
    inputs = [task for task in todo if task.name in oracle.MX_ELEMENTS]
    assert len(inputs) == len(set(inputs)) == (len(oracle.MX_ELEMENTS) + 1) * 12
    for fmt in BLOCKS:
        parts = sorted((task.first, task.count) for task in todo if task.name == fmt)
        assert sum(count for _, count in parts) == 10**7
        assert [first for first, _ in parts[1:]] == [first + count for first, count in parts[:-1]]
    assert array_run.work(array_run.Task("MXFP4_E2M1", ("FLOOR",), 0, 50)) == (1600, "")
