"""Runs tables: a whole encoder as the input bits at which its code changes.

Under every rounding but STOCHASTIC an encoder is a monotone step function of its input, so the 2^32 binary32
inputs of an E4M3 encoder are 256 rows. A table is computed from `scalar.encode_bits` by bisection and is the
complete definition of that encoder: expected values, vectors and array tables come from it. The scale of a
block is a step function of its largest magnitude in the same way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple

from mxemu.errors import BadValue
from mxemu.formats import BINARY32, ElementFormat, FloatFormat
from mxemu.formats import carrier as find_carrier
from mxemu.formats import element as find_element
from mxemu.profile import OCP, Profile, Rounding
from mxemu.scalar import carry_in, check_code, encode
from mxemu.value import Value, divide


class Run(NamedTuple):
    """All inputs from ``first`` up to the next row's ``first`` become ``code``."""

    first: int
    code: int


@dataclass(frozen=True)
class Runs:
    """The runs table of one encoder.

    Attributes
    ----------
    element : FloatFormat or IntFormat
    carrier : FloatFormat
    profile : Profile
    rows : tuple of Run
        In order of the input's bits, read as an unsigned integer; the first row starts at 0.
    scale : Value, optional
        What every input is divided by first.
    """

    element: ElementFormat
    carrier: FloatFormat
    profile: Profile
    rows: tuple[Run, ...]
    scale: Value | None = None

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """First input bits of each row."""
        return tuple(row.first for row in self.rows)

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """Code of each row."""
        return tuple(row.code for row in self.rows)

    def code(self, bits: int) -> int:
        """The code of one input, by bisection."""
        check_code(bits, self.carrier)
        return self.rows[bisect_right(self.firsts, bits) - 1].code

    def last(self, row: int) -> int:
        """Last input bits of a row."""
        return (
            self.firsts[row + 1] - 1 if row + 1 < len(self.rows) else (1 << self.carrier.width) - 1
        )


def runs(
    element: ElementFormat | str,
    carrier: FloatFormat | str = BINARY32,
    profile: Profile = OCP,
    scale: Value | None = None,
) -> Runs:
    """Build, or take from the cache, the runs table of an encoder.

    Parameters
    ----------
    element : FloatFormat, IntFormat or str
    carrier : FloatFormat or str
    profile : Profile
        Any rounding but STOCHASTIC.
    scale : Value, optional
        Finite and above zero: the table is that of an element under this scale, value / scale rounded once.

    Returns
    -------
    Runs

    Raises
    ------
    BadValue
        For STOCHASTIC rounding, whose result is no function of the input alone, and for a scale that nothing can be
        divided by.

    Examples
    --------
    >>> table = runs("E2M1")
    >>> len(table.rows), table.rows[1]
    (18, Run(first=1048576001, code=1))
    """
    if profile.rounding is Rounding.STOCHASTIC:
        raise BadValue(
            "STOCHASTIC rounding has no runs table; its result depends on the random word"
        )
    if scale is not None and (not scale.is_finite or scale.is_zero or scale.sign):
        raise BadValue(f"scale = {scale}; expected a finite number above 0")
    return _build(find_element(element), find_carrier(carrier), profile, scale)


@lru_cache(maxsize=512)
def _build(
    element: ElementFormat, carrier: FloatFormat, profile: Profile, scale: Value | None
) -> Runs:
    def code_of(bits: int) -> int:
        return encode(divide(carry_in(bits, carrier, profile), scale), element, profile).code

    rows = step_rows(code_of, carrier, (0, carrier.sign_mask))
    return Runs(element, carrier, profile, rows, scale)


def step_rows(
    code_of: Callable[[int], int],
    carrier: FloatFormat,
    signs: tuple[int, ...] = (0,),
    splits: Iterable[int] = (),
) -> tuple[Run, ...]:
    """The rows of any function from a carrier's bits to codes that is monotone where the value is.

    Parameters
    ----------
    code_of : callable
        Bits to code; over the numbers of one sign, without zero, Inf and NaN, it never falls or never rises
        between two split points.
    carrier : FloatFormat
    signs : tuple of int
        The sign bits to cover: ``(0,)`` for a function of the magnitude.
    splits : iterable of int
        Bits at which a function that is not monotone may turn.

    Returns
    -------
    tuple of Run
        Zero, NaN and the first input of each sign start a row of their own.

    Examples
    --------
    >>> from mxemu.formats import BFLOAT16
    >>> [run.first for run in step_rows(lambda bits: int(bits >= 0x3F80), BFLOAT16)]
    [0, 16256, 32641]
    """
    rows: list[Run] = []
    borders = {carrier.sign_mask, *_nan_spans(carrier)}
    turns = sorted(splits)
    for sign in signs:
        for first, last in _monotone_spans(carrier, sign, turns):
            for run in _changes(first, last, code_of):
                if run.first in borders or not rows or rows[-1].code != run.code:
                    rows.append(run)
    return tuple(rows)


def _nan_spans(carrier: FloatFormat) -> tuple[int, int]:
    """First NaN input of either sign. NaN has rows of its own, whatever code it shares with a number."""
    first = carrier.magnitude_mask - len(carrier.nans) + 1
    return first, carrier.sign_mask | first


def _monotone_spans(carrier: FloatFormat, sign: int, turns: list[int]) -> Iterator[tuple[int, int]]:
    """Spans of input bits in which the value rises or falls with the bits: zero, subnormal and normal, Inf, NaN."""
    inf = carrier.magnitude_mask - len(carrier.nans)
    subnormal = 1 << carrier.mantissa_bits
    borders = (0, 1, subnormal, inf, inf + 1, carrier.magnitude_mask + 1)
    for first, after in pairwise(sorted((*borders, *turns))):
        if first < after:  # a carrier without mantissa or without NaN lacks some of the spans
            yield sign | first, sign | (after - 1)


def _changes(first: int, last: int, code_of: Callable[[int], int]) -> Iterator[Run]:
    """The runs of one monotone span: equal codes at both ends mean one code throughout.

    Any split points would do. A code changes at, or one above, a number with few significant bits, so splitting
    below, at and above the roundest number of a span finds all changes in a few steps each.
    """
    ends = [(bits, code_of(bits)) for bits in (first, last)]
    yield Run(*ends[0])
    spans = [(ends[0], ends[1])]
    while spans:
        low, high = spans.pop()
        if low[1] == high[1]:
            continue
        if high[0] - low[0] == 1:
            yield Run(*high)
            continue
        round_number = _roundest(low[0] + 1, high[0] - 1)
        inner = range(max(round_number - 1, low[0] + 1), min(round_number + 2, high[0]))
        # Inner points make every piece shorter than the span, so this ends.
        assert low[0] < inner[0] <= inner[-1] < high[0]
        split = [(bits, code_of(bits)) for bits in inner]
        spans += reversed(list(pairwise([low, *split, high])))


def _roundest(low: int, high: int) -> int:
    """The number from low to high with the most trailing zeros, low at least 1."""
    zeros = ((low - 1) ^ high).bit_length() - 1
    return high >> zeros << zeros
