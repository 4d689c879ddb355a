"""What the kernels gather from: tables filled by the exact core, and the parameters of the integer kernel.

A deterministic encoder is a step function of the input (`mxemu.runs`). If every step lies at a number whose bits
below some position are all zero, or one ulp above such a number, then the bits above the position and one sticky
bit for the rest decide the code, and a table over those few bits is the whole encoder. That holds for every MX
format with the upper 16 bits of binary32, and it is checked here against the rows: nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mxemu.array.inputs import Array, code_dtype
from mxemu.formats import ElementFormat, FloatFormat, IntFormat
from mxemu.profile import OCP, Profile, Rounding
from mxemu.runs import Run, runs, step_rows
from mxemu.scalar import Encoded, Status, carry_in, decode, encode, encode_bits
from mxemu.scale import encode_scale
from mxemu.value import Value, divide

# Wider elements have too many steps for a table; the integer kernel does them.
_WIDEST_TABLE = 10
# Entries of the largest table that is worth its cache misses.
_LARGEST_TABLE = 1 << 21
_UPWARDS = OCP.replace(rounding="toward-positive")
_BEYOND = Status.OVERFLOW | Status.SATURATED


class EncodeTable(NamedTuple):
    """Codes by key: ``bits >> shift << 1 | sticky``, or the bits themselves for 16-bit carriers (shift 0).

    Attributes
    ----------
    shift : int
    codes : ndarray
        In the smallest unsigned dtype that holds the element.
    """

    shift: int
    codes: Array


def keyed(first: int, shift: int) -> int:
    """The key of an input: the bits above ``shift`` and whether any below is set."""
    return first if shift == 0 else (first >> shift << 1) | (first & ((1 << shift) - 1) != 0)


def aligned(firsts: Sequence[int], shift: int) -> bool:
    """Whether every step lies where the key changes, so that all inputs of a key have one code."""
    mask = (1 << shift) - 1
    return all(first & mask <= 1 for first in firsts)


def table_fits(element: ElementFormat, profile: Profile) -> bool:
    """Whether codes come from tables at all."""
    if element.width > _WIDEST_TABLE:
        return False
    return has_no_zero(element) or profile.rounding is not Rounding.STOCHASTIC


@lru_cache(maxsize=256)
def encode_table(
    element: ElementFormat, carrier: FloatFormat, profile: Profile
) -> EncodeTable | None:
    """The table of one encoder, or None when its steps need more bits than a table can have."""
    if not table_fits(element, profile):
        return None
    rows_of = _scale_cast_rows if has_no_zero(element) else _rows
    rows = rows_of(element, carrier, profile)
    shift = _shift([run.first for run in rows], carrier)
    if shift is None:
        return None
    return EncodeTable(shift, _spread_rows(rows, shift, carrier.width, code_dtype(element.width)))


def has_no_zero(element: ElementFormat) -> bool:
    """Whether this is a scale format as E8M0 is: numbers become codes of it by `scale.encode_scale`."""
    return isinstance(element, FloatFormat) and not element.subnormals


def _rows(element: ElementFormat, carrier: FloatFormat, profile: Profile) -> tuple[Run, ...]:
    return runs(element, carrier, profile).rows


def _scale_cast_rows(
    scale: ElementFormat, carrier: FloatFormat, profile: Profile
) -> tuple[Run, ...]:
    """The rows of a conversion to a scale format, of both signs."""
    assert isinstance(scale, FloatFormat)

    def code_of(bits: int) -> int:
        return encode_scale(carry_in(bits, carrier, profile), scale, profile)

    return step_rows(code_of, carrier, (0, carrier.sign_mask))


def _shift(firsts: Sequence[int], carrier: FloatFormat) -> int | None:
    """The most bits that can be left out of the key."""
    if carrier.width == 16:
        return 0
    # The upper 16 bits of binary32 and the upper 20 of binary64 hold 7 or 8 bits of mantissa.
    start = 16 if carrier.width == 32 else carrier.width - 20
    for shift in range(start, 1, -1):
        if 2 << (carrier.width - shift) > _LARGEST_TABLE:
            return None
        if aligned(firsts, shift):
            return shift
    return None


def _spread_rows(rows: Sequence[Run], shift: int, width: int, dtype: np.dtype[Any]) -> Array:
    """One entry for each key, from the rows that cover them."""
    size = 1 << width if shift == 0 else 2 << (width - shift)
    starts = [keyed(run.first, shift) for run in rows]
    lengths = np.diff([*starts, size])
    return np.repeat(np.array([run.code for run in rows], dtype), lengths)


@lru_cache(maxsize=64)
def encode_status_table(
    element: ElementFormat, carrier: FloatFormat, profile: Profile
) -> EncodeTable | None:
    """The status of each conversion, by the same key as its code."""
    if encode_table(element, carrier, profile) is None:
        return None

    def result(bits: int) -> Encoded:
        return encode_bits(bits, carrier, element, profile)

    exact = _exact_bits(element, carrier, Value(0, 1, 0)) | {1 << carrier.mantissa_bits}
    rows = _status_rows(result, carrier, (0, carrier.sign_mask), exact)
    shift = _shift([run.first for run in rows], carrier)
    if shift is None:
        return None
    return EncodeTable(shift, _spread_rows(rows, shift, carrier.width, np.dtype(np.uint8)))


def _status_rows(
    result: Callable[[int], Encoded], carrier: FloatFormat, signs: tuple[int, ...], exact: set[int]
) -> list[Run]:
    """Rows of first bits and status.

    The status can change where the code does, where overflow begins, where underflow ends, and at a
    representable value: it is exact, its neighbours are not. Between two such points it stays.
    """
    steps = {run.first for run in step_rows(lambda bits: result(bits).code, carrier, signs)}
    beyond = step_rows(lambda bits: int(_BEYOND & result(bits).status != 0), carrier, signs)
    steps |= {run.first for run in beyond}
    inf = carrier.magnitude_mask - len(carrier.nans)
    for sign in signs:
        steps |= {sign | inf, *(sign | (point + more) for point in exact for more in (0, 1))}
    return [Run(first, int(result(first).status)) for first in sorted(steps)]


def _exact_bits(element: ElementFormat, carrier: FloatFormat, scale: Value) -> set[int]:
    """The carrier's bits of the element's values times a scale, where it has them; magnitudes only.

    And the first bits from the smallest normal value on, whether or not that is a number of the carrier.
    """
    values = [decode(code, element) for code in range(element.max_code + 1)]
    if isinstance(element, IntFormat):
        values.append(decode(element.min_code, element).magnitude())
    found = [encode(_product(value, scale), carrier) for value in values]
    points = {one.code for one in found if one.status is Status.EXACT}
    if isinstance(element, FloatFormat):
        points.add(encode(_product(element.min_normal, scale), carrier, _UPWARDS).code)
    return points


def _product(value: Value, scale: Value) -> Value:
    return Value(0, value.significand * scale.significand, value.exponent + scale.exponent)


class BlockTable(NamedTuple):
    """Codes of V / X by the key of V, for each significand that a scale X can have.

    The key of a number is its exponent and its topmost ``precision`` mantissa bits, then a sticky bit. The table holds
    the keys from 2^base on; all below the first have its code, all above the last have that one's.

    Attributes
    ----------
    codes : ndarray, shape (significands, 2, keys + 3)
        Second axis: sign. The last three entries are zero, Inf and NaN.
    base : int
        Exponent of the first key.
    precision : int
        Mantissa bits in a key.
    """

    codes: Array
    base: int
    precision: int


@lru_cache(maxsize=64)
def block_table(
    element: ElementFormat,
    carrier: FloatFormat,
    profile: Profile,
    scales: tuple[Value, ...],
    *,
    status: bool = False,
) -> BlockTable | None:
    """The table for quotients by each of some scales in [1, 2), or None when a key would need too many bits."""
    if not table_fits(element, profile):
        return None
    wide = _unbounded(carrier)
    base, top = element.min_positive.leading - 3, element.max.leading + 3
    found = [
        [_quotient_rows(element, wide, profile, scale, sign, status=status) for sign in (0, 1)]
        for scale in scales
    ]
    firsts = [run.first for pair in found for rows in pair for run in rows]
    precision = _precision(firsts, wide, top - base, len(scales))
    # An element with nearly as many exponents as the carrier leaves no room around its range.
    if precision is None or not 0 < base + wide.bias < top + wide.bias < 2 * wide.bias:
        return None
    window = (base + wide.bias) << (precision + 1), (top + wide.bias) << (precision + 1)
    shift = wide.mantissa_bits - precision
    codes = [[_window(rows, window, shift, wide) for rows in pair] for pair in found]
    dtype = np.dtype(np.uint8) if status else code_dtype(element.width)
    return BlockTable(np.array(codes, dtype), base, precision)


def _unbounded(carrier: FloatFormat) -> FloatFormat:
    """The carrier with so many exponents that dividing by a scale leaves none of them."""
    bits = carrier.exponent_bits + 2
    first = ((1 << bits) - 1) << carrier.mantissa_bits
    nans = range(first + 1, first + (1 << carrier.mantissa_bits))
    bias = (1 << (bits - 1)) - 1
    return FloatFormat("unbounded", bits, carrier.mantissa_bits, bias, inf=first, nans=nans)


def _quotient_rows(
    element: ElementFormat,
    wide: FloatFormat,
    profile: Profile,
    scale: Value,
    sign: int,
    *,
    status: bool,
) -> tuple[Run, ...]:
    """The rows of encode(V / X), for V of one sign, in terms of the magnitude bits of V."""

    def result(magnitude: int) -> Encoded:
        value = divide(decode(magnitude, wide)._replace(sign=sign), scale)
        return encode(value, element, profile)

    if status:
        return tuple(_status_rows(result, wide, (0,), _exact_bits(element, wide, scale)))
    return step_rows(lambda magnitude: result(magnitude).code, wide)


def _precision(firsts: Sequence[int], wide: FloatFormat, binades: int, scales: int) -> int | None:
    """The fewest mantissa bits that tell all steps apart."""
    for precision in range(min(7, wide.mantissa_bits), wide.mantissa_bits + 1):
        if scales * binades << (precision + 2) > _LARGEST_TABLE:
            return None
        if aligned(firsts, wide.mantissa_bits - precision):
            return precision
    return None


def _window(
    rows: Sequence[Run], window: tuple[int, int], shift: int, wide: FloatFormat
) -> list[int]:
    """The entries of the keys in a window, then of zero, Inf and NaN."""
    inf = wide.inf
    assert inf is not None
    special = {run.first: run.code for run in rows}
    keys = [min(max(_key(run.first, shift), window[0]), window[1]) for run in rows]
    last = [key for key, run in zip(keys, rows, strict=True) if run.first < inf]
    numbers = [run.code for run in rows if run.first < inf]
    # A step outside the window would be lost; the window reaches three binades beyond the element's range.
    inside = [run.first for run in rows if 1 < run.first < inf]
    assert all(window[0] < _key(first, shift) < window[1] for first in inside)
    entries = np.repeat(numbers, np.diff([*last, window[1]])).tolist()
    at_inf = special.get(inf, numbers[-1])
    return [*entries, rows[0].code, at_inf, special[inf + 1]]


def _key(first: int, shift: int) -> int:
    """As `keyed`, with room for the sticky bit even where nothing is left out."""
    return (first >> shift << 1) | (first & ((1 << shift) - 1) != 0)
