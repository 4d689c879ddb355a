"""The smallest case that still fails: fewest numbers that are not zero, and the simplest ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from conformance.arrays import Array
from conformance.cases import Cases
from conformance.cases.products import element_of
from conformance.judges import Judge
from conformance.judges.blocks import BlockJudge, DequantizeJudge
from conformance.judges.products import ProductJudge
from conformance.judges.scaled import ScaledEncodeJudge
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.profile import Profile
from mxemu.scalar import decode, encode
from mxemu.value import Value

Ask = Callable[[Array], "Array | None"]
"""Rows of inputs to the subject's results in the form that a judge observes; None where no more is to be had of it."""

MOST_QUESTIONS = 40
"""Calls of the subject for one case; the same on every machine, so that reports are the same."""

SECONDS = 20.0
"""After which the case is left as it is: a report must not hang on how far the questions came."""


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
        Lanes that hold zero, and that may as well hold 1 or -1: it fails all the same.
    together : bool
        Whether it fails, too, when all of these lanes hold something at once.
    alone : bool
        Whether the case fails when nothing else is asked in the same call. If not, this is the case as it was found.
    questions : int
        Calls of the subject that it took.
    """

    row: Array
    observed: Array
    idle: tuple[int, ...] = ()
    together: bool = True
    alone: bool = True
    questions: int = 0


class _Failing(NamedTuple):
    row: Array
    observed: Array


class _Questions:
    """Asks whether rows still fail by the same clause, within a number of calls and a time."""

    def __init__(self, judge: Judge, clause: str, note: str, profile: Profile, ask: Ask) -> None:
        self.judge, self.clause, self.profile = judge, clause, profile
        self.note, self.ask = note, ask
        self.asked, self.silent = 0, False
        self.end = time.monotonic() + SECONDS

    @property
    def late(self) -> bool:
        """Whether the subject takes too long for all questions."""
        return time.monotonic() > self.end

    @property
    def spent(self) -> bool:
        """Whether no more is to be asked, but for one case alone."""
        return self.silent or self.asked >= MOST_QUESTIONS or self.late

    def failing(self, rows: Array) -> tuple[Array, Array] | None:
        """Which rows fail, and what came for all of them; None when no more is to be asked."""
        return None if self.spent else self.answer(rows)

    def answer(self, rows: Array) -> tuple[Array, Array] | None:
        """The same, however much was asked."""
        if self.silent:
            return None
        self.asked += 1
        observed = self.ask(rows)
        self.silent = observed is None
        return None if observed is None else (self._same(rows, observed), observed)

    def first(self, rows: Array) -> _Failing | None:
        """The first row that fails."""
        found = self.failing(rows)
        if found is None or not found[0].any():
            return None
        at = int(np.argmax(found[0]))
        return _Failing(rows[at], np.asarray(found[1][at : at + 1]))

    def _same(self, rows: Array, observed: Array) -> Array:
        own = self.judge.on(cases_of(rows, self.note))
        wrong = own.compare(observed, self.profile)[0]
        indices = np.flatnonzero(wrong)
        found = np.zeros(len(rows), dtype=bool)
        if len(indices):
            found[indices] = own.clauses(indices, observed, self.profile) == self.clause
        return found


def cases_of(rows: Array, note: str) -> Cases:
    """Rows of inputs as cases that are all of one theme."""
    return Cases(rows, np.zeros(len(rows), np.int64), (note,))


def minimize(judge: Judge, index: int, clause: str, profile: Profile, ask: Ask) -> Smallest | None:
    """Make a failing case smaller as long as the same clause finds it wrong.

    Parameters
    ----------
    judge : Judge
        Whose case `index` differs.
    index : int
    clause : str
        By which it is wrong.
    profile : Profile
    ask : callable

    Returns
    -------
    Smallest or None
        None when the subject gives nothing for this case, or takes too long for the questions.

    Notes
    -----
    Each question holds many simplifications at once, of which the boldest that still fails is taken, so a subject that
    is started for each call is started some dozens of times at most. The first and the last question are one case
    alone: what fails only beside other cases cannot be made smaller.
    """
    given = np.array(judge.cases.inputs[index])
    questions = _Questions(judge, clause, judge.cases.note(index), profile, ask)
    found = questions.answer(given[None])
    if found is None:
        return None
    best = _Failing(given, found[1])
    if given.ndim == 0 or not found[0][0]:
        return Smallest(*best, alone=bool(found[0][0]), questions=1)
    smaller = _reduced(judge, best, questions)
    idle, together = _idle(judge, smaller.row, questions)
    if questions.late:
        return None
    last = questions.answer(smaller.row[None])
    if last is None or not last[0][0]:
        return Smallest(*best, questions=questions.asked)
    return Smallest(smaller.row, last[1], idle, together, questions=questions.asked)


def _reduced(judge: Judge, first: _Failing, questions: _Questions) -> _Failing:
    """The smallest row that was found to fail, among others like it."""
    best, stale = first, False
    while not stale and not questions.spent:
        stale = True
        for simpler in _simpler(judge, best.row):
            found = questions.first(simpler)
            if found is not None:
                best, stale = found, False
                break
    return best


def _idle(judge: Judge, row: Array, questions: _Questions) -> tuple[tuple[int, ...], bool]:
    """Lanes of zeros that may hold 1 or -1 as well, each alone; and whether all of them may at once."""
    empty = {
        lane: fills for lane, fills in _fills(judge, row) if not any(row[at] for at in fills[0])
    }
    if not empty:
        return (), True
    found = questions.failing(
        np.array([_filled(row, fill) for two in empty.values() for fill in two])
    )
    if found is None:
        return (), True
    free = np.asarray(found[0].reshape(-1, 2).all(axis=1))
    idle = [lane for lane, is_free in zip(empty, free, strict=True) if is_free]
    if len(idle) < 2:
        return tuple(idle), True
    signs = [{at: one for lane in idle for at, one in empty[lane][sign].items()} for sign in (0, 1)]
    both = questions.failing(np.array([_filled(row, fill) for fill in signs]))
    return tuple(idle), both is not None and bool(both[0].all())


Fill = dict[int, int]
"""What to put where."""


def _filled(row: Array, fill: Fill) -> Array:
    found = row.copy()
    found[list(fill)] = list(fill.values())
    return found


def _fills(judge: Judge, row: Array) -> Iterator[tuple[int, tuple[Fill, Fill]]]:
    """Each lane with two numbers for it: 1 and -1, or for a block its own smallest number with both signs."""
    match judge:
        case ProductJudge():
            n, half = judge.layout.blocks, judge.layout.blocks + judge.layout.length
            (one, minus), (other, _) = (
                _units(element_of(fmt)) for fmt in (judge.layout.a, judge.layout.b)
            )
            for lane in range(judge.layout.length):
                at, beside = n + lane, half + n + lane
                yield lane, ({at: one, beside: other}, {at: minus, beside: other})
        case DequantizeJudge():
            one, minus = _units(judge.fmt.element)
            for lane in range(judge.fmt.k):
                yield lane, ({1 + lane: one}, {1 + lane: minus})
        case BlockJudge():
            sign = judge.carrier.sign_mask
            least = _least(row, judge.carrier)
            for lane in range(judge.fmt.k):
                yield lane, ({lane: least}, {lane: least | sign})


def _units(fmt: ElementFormat) -> tuple[int, int]:
    """The codes of 1 and -1."""
    return encode(Value(0, 1, 0), fmt).code, encode(Value(1, 1, 0), fmt).code


def _least(row: Array, carrier: FloatFormat) -> int:
    """The smallest magnitude of a block that is a number above zero; 1 if there is none."""
    magnitudes = row & row.dtype.type(carrier.magnitude_mask)
    numbers = magnitudes[(magnitudes > 0) & (magnitudes < carrier.inf)]
    return int(numbers.min()) if len(numbers) else carrier.bias << carrier.mantissa_bits


def _simpler(judge: Judge, row: Array) -> Iterator[Array]:
    """Simplifications of a row, the boldest first; each array holds some to be tried together."""
    numbers = _numbers(judge, len(row))
    used = [at for at in numbers if row[at]]
    size = len(used)
    parts: list[list[int]] = []
    while size > 1:
        size = -(-size // 2)
        parts += [used[start : start + size] for start in range(0, len(used), size)]
    if parts:
        yield _with_zeros(row, parts)
    changes = [*_other_scales(judge, row), *_choices(judge, row, used)]
    if changes:
        rows = np.repeat(row[None], len(changes), axis=0)
        for number, change in enumerate(changes):
            for at, value in change:
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
        case DequantizeJudge() | ScaledEncodeJudge():
            return list(range(1, length))
        case BlockJudge():
            return list(range(length))
        case _:
            return []


Change = list[tuple[int, int]]
"""Places of a row and what to put there."""


def _other_scales(judge: Judge, row: Array) -> Iterator[Change]:
    """Scales of 1, all at once or each alone."""
    scales = [(at, one) for at, one in _scales(judge) if row[at] != one]
    if len(scales) > 1:
        yield scales
    for change in scales:
        yield [change]


def _choices(judge: Judge, row: Array, used: list[int]) -> Iterator[Change]:
    """Numbers made simpler, all of a block by the same power of two or each alone: 1, or one bit fewer."""
    formats = _formats(judge)
    carrier = next(iter(formats.values()), None)
    if isinstance(judge, BlockJudge) and used and isinstance(carrier, FloatFormat):
        yield from _shifted(row, used, carrier)
    for at in used:
        fmt = formats.get(at)
        bits = int(row[at])
        if fmt is None:
            continue
        for value in dict.fromkeys(_simpler_codes(bits, fmt)):
            if value and _cost(value, fmt) < _cost(bits, fmt):
                yield [(at, value)]


def _shifted(row: Array, used: list[int], fmt: FloatFormat) -> Iterator[Change]:
    """The largest number of a block brought to [1, 2), the others with it, as far as all stay normal."""
    fields = [(int(row[at]) & fmt.magnitude_mask) >> fmt.mantissa_bits for at in used]
    by = fmt.bias - max(fields)
    last = fmt.magnitude_mask >> fmt.mantissa_bits  # that of Inf and NaN
    if by and min(fields) > 0 and max(fields) < last and min(fields) + by > 0:
        yield [(at, int(row[at]) + (by << fmt.mantissa_bits)) for at in used]


def _simpler_codes(bits: int, fmt: ElementFormat) -> Iterator[int]:
    """Codes that stand for a simpler number."""
    one, _ = _units(fmt)
    sign = fmt.sign_mask if isinstance(fmt, FloatFormat) else 0
    low = (1 << fmt.mantissa_bits) - 1 if isinstance(fmt, FloatFormat) else 0
    yield from (one, one | bits & sign, bits & ~low, bits & ~sign)
    width = fmt.mantissa_bits if isinstance(fmt, FloatFormat) else fmt.width
    yield from (bits & ~(1 << bit) for bit in range(width) if bits >> bit & 1)


def _cost(bits: int, fmt: ElementFormat) -> tuple[int, int, int]:
    """How far a number is from being simple: powers of two that it is a sum or difference of, distance from 1, sign."""
    value = decode(bits, fmt)
    if not value.is_finite:
        return fmt.width, 0, value.sign
    if value.is_zero:
        return 0, 0, value.sign
    terms = (value.significand ^ 3 * value.significand).bit_count()
    return terms, abs(value.leading), value.sign


def _scales(judge: Judge) -> list[tuple[int, int]]:
    """The places of scales, with the code of 1."""
    match judge:
        case ProductJudge():
            n, half = judge.layout.blocks, judge.layout.blocks + judge.layout.length
            formats = (judge.layout.a, judge.layout.b)
            return [
                (start + block, _one(fmt.scale))
                for start, fmt in zip((0, half), formats, strict=True)
                for block in range(n)
                if isinstance(fmt, BlockFormat)
            ]
        case DequantizeJudge() | ScaledEncodeJudge():
            return [(0, _one(judge.fmt.scale))]
        case _:
            return []


def _one(scale: FloatFormat) -> int:
    """The code of the scale 1."""
    return scale.bias << scale.mantissa_bits


def _formats(judge: Judge) -> dict[int, ElementFormat]:
    """The places that hold a number, as bits of a carrier or as a code."""
    match judge:
        case BlockJudge():
            return dict.fromkeys(range(judge.fmt.k), judge.carrier)
        case ScaledEncodeJudge():
            return {1: judge.carrier}
        case DequantizeJudge():
            return dict.fromkeys(range(1, 1 + judge.fmt.k), judge.fmt.element)
        case ProductJudge():
            layout = judge.layout
            n, half = layout.blocks, layout.blocks + layout.length
            found: dict[int, ElementFormat] = {layout.width - 1: judge.carrier}
            for start, fmt in ((n, layout.a), (half + n, layout.b)):
                found |= dict.fromkeys(range(start, start + layout.length), element_of(fmt))
            return found
        case _:
            return {}
