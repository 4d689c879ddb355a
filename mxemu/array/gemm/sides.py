"""The two operands of a matrix product: codes, and tables of what each code stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from mxemu.accumulation import Accumulation, OperandSubnormals, ProductExponent
from mxemu.array.gemm.packs import FAR, bounds, survey
from mxemu.array.inputs import Array
from mxemu.array.threads import spread
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.scalar import decode
from mxemu.value import Kind, Value

# Codes of elements and scales are bytes here.
_WIDTH = 8
_CODES = 1 << _WIDTH
# Magnitudes in units of the smallest bit have to fit 64-bit integers.
_LONGEST = 62
# Positions whose sum of squares is looked at.
WINDOW = 128
# Exponents that float64 holds with room for products of four numbers.
_REACH = 220
_ROOM = 2 * _REACH


class Rows(Protocol):
    """Rows of codes and scales; `mxemu.array.dots.Vectors` is one."""

    @property
    def codes(self) -> Array:
        """Shape (rows, K)."""

    @property
    def scales(self) -> Array | None:
        """Shape (rows, K / k)."""

    @property
    def format(self) -> BlockFormat | ElementFormat: ...

    @property
    def tensor_scale(self) -> np.float32 | None: ...


class Table(NamedTuple):
    """What the codes of an element or scale format stand for.

    Attributes
    ----------
    numbers : ndarray of float64, shape (256,)
        Exact; Inf and NaN as such. NaN also for what is no code.
    aligned : ndarray of float64, shape (256,)
        Two to the exponent that alignment sees; zero where there is none.
    magnitudes : ndarray of uint64, shape (256,)
        In units of 2^unit; zero for Inf and NaN.
    low, high : ndarray of int32, shape (256,)
        2^low is the lowest bit, and the magnitude is below 2^high; far apart the other way round for zero, Inf and NaN.
    unit : int
        The lowest bit of all.
    largest : int
        The largest magnitude in units.
    odd : int
        The largest significand without trailing zeros.
    valid : int
        Number of codes.
    finite : ndarray of int64, shape (2,)
        A mask, and the largest masked code of a finite number; larger ones may be finite too.
    squares : ndarray of float64, shape (256,)
        Of the magnitudes in units.
    whole_from : ndarray of int64
        By bits above ``unit``: the largest masked code of what is no multiple of that power of two.
    """

    numbers: Array
    aligned: Array
    magnitudes: Array
    low: Array
    high: Array
    unit: int
    largest: int
    odd: int
    valid: int
    finite: Array
    squares: Array
    whole_from: Array

    @property
    def most(self) -> float:
        """The largest magnitude."""
        return math.ldexp(self.largest, self.unit)

    @property
    def spread(self) -> float:
        """The largest ratio of a magnitude to the power of two that alignment sees."""
        seen = self.aligned > 0
        return float(np.max(np.abs(self.numbers[seen]) / self.aligned[seen], initial=0.0))

    @property
    def powers(self) -> bool:
        """Whether all finite numbers are powers of two, so that multiplying by them is a shift."""
        found = self.numbers[np.isfinite(self.numbers) & (self.numbers != 0)]
        return bool(np.all(np.frexp(found)[0] == 0.5))


@dataclass(frozen=True, eq=False)
class Side:
    """One operand.

    Parameters
    ----------
    codes : ndarray of uint8, shape (rows, K)
    scales : ndarray of uint8, shape (rows, ceil(K / k))
    k : int
        Positions that share a scale.
    element, scale : Table
    """

    codes: Array
    scales: Array
    k: int
    element: Table
    scale: Table

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.codes)

    @cached_property
    def flags(self) -> Array:
        """Set, by whoever reads codes, for rows that hold an Inf, a NaN or what is no code."""
        return np.zeros(self.count, np.uint8)

    @cached_property
    def reach(self) -> tuple[Array, Array]:
        """For each row, 2^low that divides all its numbers and 2^high above all: from its scales, so only bounds."""
        low, high = (np.empty(self.count, np.int32) for _ in range(2))
        bounds(self.scales, self.scale.low, self.scale.high, low, high)
        unit = self.element.unit
        return low + unit, high + self.element.largest.bit_length() + unit

    def survey(self, rows: Array) -> Survey:
        """What the numbers of some rows span."""
        low, high, longest = (np.empty(len(rows), np.int32) for _ in range(3))
        total, peak = np.empty(len(rows)), np.empty(len(rows))
        scale, element = self.scale, self.element
        given = (element.magnitudes, element.squares, scale.numbers, scale.low, scale.high)
        found = (low, high, longest, total, peak, rows)
        spread(
            lambda first, after: survey(
                self.codes, self.scales, self.k, WINDOW, *given, *found, first, after
            ),
            len(rows),
            cost=self.codes.shape[1],
        )
        with np.errstate(divide="ignore"):
            sizes = [np.log2(squares) / 2 + element.unit for squares in (total, peak)]
        return Survey(low + element.unit, high + element.unit, longest, sizes[0], sizes[1])

    def strange(self) -> bool:
        """Whether there is what is no code."""
        for table, codes in ((self.element, self.codes), (self.scale, self.scales)):
            if table.valid < _CODES:
                for row in np.flatnonzero(self.flags):
                    if int(codes[row].max(initial=0)) >= table.valid:
                        return True
        return False


class Survey(NamedTuple):
    """What the numbers of each row span.

    Attributes
    ----------
    low, high : ndarray of int32
        2^low divides all numbers of a row, and they are below 2^high.
    longest : ndarray of int32
        Bits of the longest block.
    size : ndarray of float64
        Logarithm to base two of the root of the sum of squares; within a millionth.
    peak : ndarray of float64
        The largest of those of `WINDOW` positions.
    """

    low: Array
    high: Array
    longest: Array
    size: Array
    peak: Array


def side(rows: Rows, record: Accumulation) -> Side | None:
    """An operand, converted as the accumulation says; None if this cannot be done exactly with tables of bytes."""
    fmt = rows.format
    element = fmt.element if isinstance(fmt, BlockFormat) else fmt
    if element.width > _WIDTH or record.operand_subnormals is not OperandSubnormals.KEEP:
        return None
    numbers = element_table(element, record.operand_format, record.product_exponent)
    codes = np.ascontiguousarray(rows.codes)
    if numbers is None or codes.dtype != np.uint8:
        return None
    if not isinstance(fmt, BlockFormat) or rows.scales is None:
        nothing = np.zeros((len(codes), 1), np.uint8)
        return Side(codes, nothing, max(codes.shape[1], 1), numbers, _ONES)
    if fmt.scale.width > _WIDTH:
        return None
    scales = scale_table(fmt.scale, record.scale_zero_code, record.scale_unsigned)
    if scales is None:
        return None
    return Side(codes, np.ascontiguousarray(rows.scales), fmt.k, numbers, scales)


@lru_cache(maxsize=64)
def element_table(
    fmt: ElementFormat, operand: FloatFormat | None, exponent: ProductExponent
) -> Table | None:
    """What element codes stand for; None if some number is not held exactly by the operand's format, or is too long."""
    values = [decode(code, fmt) for code in range(1 << fmt.width)]
    if operand is not None and not all(_holds(operand, value) for value in values):
        return None
    aligned = [_aligned(value, fmt, operand, exponent) for value in values]
    found = _table(values, aligned)
    return None if found is None or found.largest.bit_length() > _LONGEST else found


def _aligned(
    value: Value, fmt: ElementFormat, operand: FloatFormat | None, exponent: ProductExponent
) -> float:
    """Two to the exponent of an element, or the magnitude itself where the product's leading bit decides."""
    if not value.significand:
        return 0.0
    match exponent:
        case ProductExponent.SUM:
            own = value.exponent + fmt.mantissa_bits
            return math.ldexp(1.0, own if operand is None else max(value.leading, operand.emin))
        case ProductExponent.NORMALISED:
            return math.ldexp(value.significand, value.exponent)
        case ProductExponent.SCALE:
            return 1.0


@lru_cache(maxsize=64)
def scale_table(fmt: FloatFormat, zero_code: bool, unsigned: bool) -> Table | None:
    """What scale codes stand for; None if some exponent is out of reach."""
    values = [decode(code, fmt) for code in range(1 << fmt.width)]
    if zero_code:
        values[0] = Value(0, 0, 0)
    if unsigned:
        values = [value._replace(sign=0) for value in values]
    aligned = [
        math.ldexp(1.0, value.exponent + fmt.mantissa_bits) if value.significand else 0.0
        for value in values
    ]
    return _table(values, aligned)


def _table(values: list[Value], aligned: list[float]) -> Table | None:
    """The table of codes; None if some exponent is out of reach."""
    some = [value for value in values if value.significand]
    unit = min((_lowest(value) for value in some), default=0)
    top = max((value.leading for value in some), default=0) + 1
    if unit < -_REACH or top > _REACH:
        return None
    numbers, seen, units = np.full(_CODES, np.nan), np.zeros(_CODES), [0] * _CODES
    low, high = np.full(_CODES, FAR, np.int32), np.full(_CODES, -FAR, np.int32)
    seen[: len(aligned)] = aligned
    for code, value in enumerate(values):
        numbers[code] = _number(value)
        if value.significand:
            low[code], high[code] = _lowest(value), value.leading + 1
            units[code] = value.significand << _ROOM >> (_ROOM + unit - value.exponent)
    odd = max((one // (one & -one) for one in units if one), default=0)
    short = units if top - unit <= _LONGEST else [0] * _CODES
    magnitudes = np.array(short, np.uint64)
    finite = _finite(numbers)
    return Table(
        numbers, seen, magnitudes, low, high, unit, max(units), odd, len(values), finite,
        np.square(magnitudes.astype(np.float64)), _whole_from(low - unit, finite),
    )  # fmt: skip


def _whole_from(low: Array, finite: Array) -> Array:
    """By bits: the largest masked code of what has its lowest bit below."""
    masked, seen = np.arange(_CODES) & finite[0], low < FAR // 2
    bits = range(int(low[seen].max(initial=0)) + 2)
    return np.array([int(masked[seen & (low < each)].max(initial=0)) for each in bits])


def _finite(numbers: Array) -> Array:
    """A mask and a limit, so that masked codes up to the limit are finite numbers."""
    seen, codes = np.isfinite(numbers), np.arange(_CODES)
    best = np.zeros(2, np.int64)
    for bit in range(_WIDTH + 1):
        mask = (_CODES - 1) & ~(1 << bit)
        first = int((codes & mask)[~seen].min(initial=_CODES))
        reach = np.count_nonzero((codes & mask) < first)
        if reach > np.count_nonzero((codes & best[0]) <= best[1]) or not bit:
            best[:] = mask, first - 1
    return best


def _holds(fmt: FloatFormat, value: Value) -> bool:
    """Whether a format with Inf and NaN has a number, Inf or NaN."""
    if not value.significand:
        return True
    return (
        value.leading <= fmt.emax
        and _lowest(value) >= max(value.leading, fmt.emin) - fmt.mantissa_bits
    )


def _lowest(value: Value) -> int:
    """Exponent of the lowest bit that is set."""
    return (value.significand & -value.significand).bit_length() - 1 + value.exponent


def _number(value: Value) -> float:
    """A value as a float64 that holds it."""
    sign = -1.0 if value.sign else 1.0
    match value.kind:
        case Kind.NAN:
            return math.nan
        case Kind.INF:
            return sign * math.inf
        case Kind.FINITE:
            return sign * math.ldexp(value.significand, value.exponent)


def _of_one() -> Table:
    found = _table([Value(0, 1, 0)], [1.0])
    assert found is not None
    return found


_ONES: Table = _of_one()


def tables(one: Side, dtype: Any) -> tuple[Array, Array]:
    """Numbers of elements and scales in a dtype that holds them."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return one.element.numbers.astype(dtype), one.scale.numbers.astype(dtype)
