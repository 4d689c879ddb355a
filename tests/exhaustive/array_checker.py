"""Checks of whole arrays: all 2^32 inputs of an encoder, and millions of blocks, each made from its number alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numba
import numpy as np
import oracle
from exhaustive import array_tables as tables
from exhaustive.bridge import core_profile
from numpy.typing import NDArray

import mxemu
from mxemu.profile import OCP, Profile

# Inputs and codes of a chunk stay in the cache.
CHUNK = 1 << 18
# Blocks that are made and compared together.
BATCH = 1 << 13
KINDS = 8
_INF = np.uint32(tables.INF)
_SPECIAL = np.array(
    [0, 0x80000000, tables.INF, 0xFF800000, 0x7FC00000, 0xFF800001, 0x7F7FFFFF, 1], np.uint32
)
Array = NDArray[Any]
_fast = numba.njit(cache=True, nogil=True, error_model="numpy")


def check_all_inputs(
    name: str,
    rounding: str,
    overflow: str,
    minimum: str = "EXCLUDE",
    chunks: range = range(1 << 14),
) -> int:
    """Compare the encoder of binary32 with the oracle's table on whole chunks of 2^18 inputs; returns how many.

    Raises
    ------
    AssertionError
        Naming the first input that has another code.
    """
    table = tables.rows(name, rounding, overflow, minimum)
    profile = core_profile(rounding, overflow, minimum)
    offsets, codes = np.arange(CHUNK, dtype=np.uint32), np.empty(CHUNK, np.uint8)
    inputs = np.empty(CHUNK, np.uint32)
    for chunk in chunks:
        np.add(offsets, np.uint32(chunk * CHUNK), out=inputs)
        mxemu.encode(inputs.view(np.float32), name, profile=profile, out=codes)
        wrong = first_wrong(codes, table, chunk * CHUNK)
        assert wrong is None, (name, rounding, overflow, minimum, wrong)
    return len(chunks) * CHUNK


def first_wrong(codes: Array, table: list[tuple[int, int]], start: int) -> str | None:
    """The first of some consecutive inputs whose code is not that of the table."""
    for low, high, code in tables.slices(table, start, codes.size):
        part = codes[low:high]
        # Most slices are one code throughout, and an extreme is found faster than a difference.
        if part.min() != code or part.max() != code:
            at = low + int(np.flatnonzero(part != code)[0])
            return f"input {start + at:#010x} gives {codes[at]:#04x}, not {code:#04x}"
    return None


@_fast
def _mixed(state: int) -> int:
    """splitmix64 (Steele, Lea, Flood 2014): 64 bits from a counter."""
    z = np.uint64(state)
    z = np.uint64(np.uint64(z ^ np.uint64(z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9))
    z = np.uint64(np.uint64(z ^ np.uint64(z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB))
    return np.uint64(z ^ np.uint64(z >> np.uint64(31)))


@_fast
def _moved(bits: int, by: int) -> int:
    """Magnitude bits moved by a few ulp, kept among the finite ones."""
    return min(max(bits + by, np.int64(0)), np.int64(0x7F7FFFFF))


@_fast
def _element(kind: int, base: int, i: int, draw: int, steps: Array, points: Array) -> int:
    """Magnitude bits of one element of a block of some kind."""
    mantissa = np.int64(draw & np.uint64(0x7FFFFF))
    ulps = np.int64((draw >> np.uint64(23)) & np.uint64(0xFF)) % 5 - 2
    drop = np.int64((draw >> np.uint64(31)) & np.uint64(0xFF))
    pick = np.int64((draw >> np.uint64(39)) & np.uint64(0xFFFF))
    near = max(base - drop % 12, 0) << 23
    if kind == 0:  # anything, Inf and NaN among it
        return np.int64(draw & np.uint64(0x7FFFFFFF))
    if kind == 1:  # a dozen binades
        return near | mantissa
    if kind == 2:  # the largest where rules step, the others below it
        if i == 0:
            return _moved((base << 23) + np.int64(steps[pick % steps.size]), ulps)
        return max(base - 1 - drop % 12, 0) << 23 | mantissa
    if kind == 3:  # at and next to breakpoints of the element
        return _moved(np.int64(points[pick % points.size]) + ((base - 127) << 23), ulps)
    if kind == 4:  # subnormals and what is just above them
        return mantissa >> (drop % 23) | np.int64(drop == 255) << 23
    if kind == 5:  # Inf, NaN and both ends among numbers
        return np.int64(_SPECIAL[pick % 8]) & 0x7FFFFFFF if drop < 32 else near | mantissa
    if kind == 6:  # zeros, or all but one or two
        return near | mantissa if drop < 10 else 0
    return near | (mantissa & 0x780000)  # few significant bits, hence ties


@_fast
def make_blocks(first: int, seed: int, steps: Array, points: Array, out: Array) -> None:
    """Fill an array (blocks, k) of binary32 bits; block n of a seed is always the same."""
    for block in range(out.shape[0]):
        state = np.uint64(
            _mixed(np.uint64(seed)) + np.uint64(first + block) * np.uint64(0x9E3779B9)
        )
        state = _mixed(state)
        kind = np.int64(state & np.uint64(KINDS - 1))
        base = np.int64((state >> np.uint64(3)) & np.uint64(0xFFFF)) % 255
        turn = np.int64((state >> np.uint64(20)) & np.uint64(0xFFFF)) % out.shape[1]
        for i in range(out.shape[1]):
            state = np.uint64(state + np.uint64(0x9E3779B97F4A7C15))
            draw = _mixed(state)
            bits = _element(kind, base, i, draw, steps, points)
            sign = np.int64(draw >> np.uint64(63)) << 31
            # The largest of kind 2 is not always the first.
            out[block, (i + turn) % out.shape[1]] = np.uint32(bits | sign)


@_fast
def _last_not_above(firsts: Array, bits: int) -> int:
    low, high = 0, firsts.size
    while high - low > 1:
        middle = (low + high) // 2
        if firsts[middle] <= bits:
            low = middle
        else:
            high = middle
    return low


@_fast
def _element_code(number: float, scale: float, bounds: Array, codes: Array) -> int:
    """The step in which number / scale lies; bounds times scale are exact in binary64, the quotient need not be."""
    at = np.int64(0)
    for step in (128, 64, 32, 16, 8, 4, 2, 1):
        at += step * np.int64(number >= bounds[at + step] * scale)
    return codes[at]


@_fast
def expect_blocks(
    bits: Array, numbers: Array, elements: Any, scales: Any, codes: Array, found: Array
) -> None:
    """Codes and scale codes of blocks under OCP with some scale rule, one element at a time."""
    for block in range(bits.shape[0]):
        largest = np.uint32(0)
        for i in range(bits.shape[1]):
            largest = max(largest, np.uint32(bits[block, i] & np.uint32(0x7FFFFFFF)))
        code = scales.nan
        if largest < _INF:
            code = scales.codes[_last_not_above(scales.firsts, largest)]
        found[block] = code
        scale = scales.values[code]
        for i in range(bits.shape[1]):
            if np.isnan(scale):
                codes[block, i] = 0
                continue
            sign = bits[block, i] >> np.uint32(31)
            number = abs(np.float64(numbers[block, i]))
            codes[block, i] = _element_code(
                number, scale, elements.bounds[sign], elements.codes[sign]
            )


@cache
def ruled(rounding: str, overflow: str, rule: str) -> Profile:
    """OCP with these choices; one record each, so that its plan is kept."""
    return core_profile(rounding, overflow).replace(scale_rule=rule)


def check_blocks(fmt: str, rules: Sequence[str], first: int, count: int, seed: int = 0) -> int:
    """Compare the quantizer with the second road on blocks first to first + count - 1; returns how many elements.

    Each batch takes the next pair of rounding and overflow.

    Raises
    ------
    AssertionError
        Naming the first block that differs, its inputs, and what was expected.
    """
    element, scale, k = tables.BLOCKS[fmt]
    pairs = [(r, o) for r in oracle.ROUNDINGS for o in oracle.OVERFLOWS]
    for start in range(first, first + count, BATCH):
        rounding, overflow = pairs[start // BATCH % len(pairs)]
        bits = np.empty((min(BATCH, first + count - start), k), np.uint32)
        make_blocks(start, seed, tables.mantissas(), tables.points(element), bits)
        codes, scales = np.empty(bits.shape, np.uint8), np.empty(bits.shape[0], np.uint8)
        steps = tables.elements(element, rounding, overflow)
        for rule in rules:
            known = tables.scales(element, scale, rule)
            expect_blocks(bits, bits.view(np.float32), steps, known, codes, scales)
            profile = ruled(rounding, overflow, rule)
            wrong = first_wrong_block(bits, codes, scales, fmt, profile)
            assert wrong is None, (fmt, rule, rounding, overflow, start, wrong)
    return count * k * len(rules)


def first_wrong_block(
    bits: Array, codes: Array, scales: Array, fmt: str, profile: Profile = OCP
) -> str | None:
    """The first block to which the quantizer gives other codes or another scale."""
    found = mxemu.quantize(bits.view(np.float32), fmt, profile=profile)
    wrong = (found.scales[:, 0] != scales) | (found.codes[:, 0] != codes).any(axis=1)
    if not wrong.any():
        return None
    at = int(np.flatnonzero(wrong)[0])
    return (
        f"block {at}: {[hex(one) for one in bits[at].tolist()]} gives {found.scales[at, 0]:#04x} "
        f"{found.codes[at, 0].tolist()}, not {scales[at]:#04x} {codes[at].tolist()}"
    )
