"""The smallest case that still fails: fewest numbers that are not zero, and the simplest ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from conformance.arrays import Array
from conformance.cases import Cases
from conformance.cases.products import element_of
from conformance.judges import Judge
from conformance.judges.blocks import BlockJudge, DequantizeJudge
from conformance.judges.products import ProductJudge
from mxemu.block import value_bits
from mxemu.formats import FloatFormat
from mxemu.profile import Profile
from mxemu.value import Value

Ask = Callable[[Array], "Array | None"]
"""Rows of inputs to the subject's results in the form that a judge observes; None if it gave none."""

MOST_ROUNDS = 40


@dataclass(frozen=True)
class Smallest:
    """What is left of a failing case.

    Attributes
    ----------
    row : ndarray
        The inputs of the smaller case, in the form of the judge's cases.
    observed : ndarray
        What the subject gives for it, one row.
    idle : tuple of int
        Numbers of the first case that are zero now: they did not matter.
    rounds : int
        Calls of the subject that it took.
    """

    row: Array
    observed: Array
    idle: tuple[int, ...]
    rounds: int


def minimize(judge: Judge, index: int, observed: Array, profile: Profile, ask: Ask) -> Smallest:
    """Make a failing case smaller as long as the same clause finds it wrong.

    Parameters
    ----------
    judge : Judge
        Whose case `index` differs.
    index : int
    observed : ndarray
        Results of all its cases.
    profile : Profile
    ask : callable

    Notes
    -----
    Each round asks for every simplification of one kind at once and takes the first that still fails, so a subject
    that is started for each call is started some dozens of times at most.
    """
    clause = judge.clauses(np.array([index]), observed, profile)[0]
    row = np.array(judge.cases.inputs[index])
    best = np.asarray(observed[index : index + 1])
    first = row.copy()
    rounds = 0
    if row.ndim == 0:
        return _smallest(first, row, best, rounds)
    stale = False
    while not stale and rounds < MOST_ROUNDS:
        stale = True
        for simpler in _simpler(judge, row):
            rounds += 1
            found = _still(judge, simpler, clause, profile, ask)
            if found is not None:
                row, best, stale = simpler[found[0]], found[1], False
                break
            if rounds >= MOST_ROUNDS:
                break
    return _smallest(first, row, best, rounds)


def _smallest(first: Array, row: Array, observed: Array, rounds: int) -> Smallest:
    idle = np.flatnonzero(np.atleast_1d((first != 0) & (row == 0)))
    return Smallest(row, observed, tuple(idle.tolist()), rounds)


def _still(
    judge: Judge, rows: Array, clause: str, profile: Profile, ask: Ask
) -> tuple[int, Array] | None:
    """The first row that fails for the same reason, and what came for it."""
    observed = ask(rows)
    if observed is None:
        return None
    own = judge.on(Cases(rows, np.zeros(len(rows), np.int64), ("random",)))
    wrong = np.flatnonzero(own.compare(observed, profile)[0])
    if not len(wrong):
        return None
    same = own.clauses(wrong, observed, profile) == clause
    if not same.any():
        return None
    at = int(wrong[np.argmax(same)])
    return at, np.asarray(observed[at : at + 1])


def _simpler(judge: Judge, row: Array) -> Iterator[Array]:
    """Simplifications of a row, the boldest first; each array holds some to be tried together."""
    numbers = _numbers(judge, len(row))
    used = [at for at in numbers if row[at]]
    size = len(used)
    while size > 1:
        size = -(-size // 2)
        parts = [used[start : start + size] for start in range(0, len(used), size)]
        yield _with_zeros(row, parts)
    if len(used) > 1:
        yield _with_zeros(row, [[at] for at in used])
    for choices in _choices(judge, row, used):
        if choices:
            rows = np.repeat(row[None], len(choices), axis=0)
            for number, (at, value) in enumerate(choices):
                rows[number, at] = value
            yield rows


def _with_zeros(row: Array, parts: list[list[int]]) -> Array:
    rows = np.repeat(row[None], len(parts), axis=0)
    for number, part in enumerate(parts):
        rows[number, part] = 0
    return rows


def _numbers(judge: Judge, length: int) -> list[int]:
    """The places of a row that may become zero: elements, and C; a scale of zero is not simpler."""
    match judge:
        case ProductJudge():
            n, half = judge.layout.blocks, judge.layout.blocks + judge.layout.length
            return [*range(n, half), *range(half + n, length)]
        case DequantizeJudge():
            return list(range(1, length))
        case BlockJudge():
            return list(range(length))
        case _:
            return []


def _choices(judge: Judge, row: Array, used: list[int]) -> Iterator[list[tuple[int, int]]]:
    """Single numbers made simpler: scales of 1, then numbers and codes of 1, then with one bit fewer."""
    yield [(at, one) for at, one in _scales(judge) if row[at] != one]
    formats = _formats(judge)
    for at in used:
        fmt = formats.get(at)
        if fmt is None:
            continue
        bits, low = int(row[at]), (1 << fmt.mantissa_bits) - 1
        one = value_bits(Value(0, 1, 0), fmt)
        wanted = [one, one | (bits & fmt.sign_mask), bits & ~low, bits & ~fmt.sign_mask]
        single = [bits & ~(1 << bit) for bit in range(fmt.mantissa_bits) if bits >> bit & 1]
        simpler = [value for value in wanted + single if value]
        yield [
            (at, value) for value in dict.fromkeys(simpler) if _cost(value, fmt) < _cost(bits, fmt)
        ]


def _cost(bits: int, fmt: FloatFormat) -> tuple[int, int, int]:
    """How far a number is from being simple: mantissa bits that are set, distance from 1, a sign."""
    mantissa = bits & ((1 << fmt.mantissa_bits) - 1)
    field = (bits & fmt.magnitude_mask) >> fmt.mantissa_bits
    return mantissa.bit_count(), abs(field - fmt.bias), int(bool(bits & fmt.sign_mask))


def _scales(judge: Judge) -> list[tuple[int, int]]:
    """The places of scales, with the code of 1."""
    match judge:
        case ProductJudge():
            n, half = judge.layout.blocks, judge.layout.blocks + judge.layout.length
            formats = (judge.layout.a, judge.layout.b)
            return [
                (start + block, fmt.scale.bias)
                for start, fmt in zip((0, half), formats, strict=True)
                for block in range(n)
                if hasattr(fmt, "scale")
            ]
        case DequantizeJudge():
            return [(0, judge.fmt.scale.bias)]
        case _:
            return []


def _formats(judge: Judge) -> dict[int, FloatFormat]:
    """The places that hold a float, as bits of a carrier or as a code."""
    match judge:
        case BlockJudge():
            return dict.fromkeys(range(judge.fmt.k), judge.carrier)
        case ProductJudge():
            layout = judge.layout
            n, half = layout.blocks, layout.blocks + layout.length
            found = {layout.width - 1: judge.carrier}
            for start, fmt in ((n, layout.a), (half + n, layout.b)):
                element = element_of(fmt)
                if isinstance(element, FloatFormat):
                    found |= dict.fromkeys(range(start, start + layout.length), element)
            return found
        case _:
            return {}
