"""The second road to every number: slow, obvious, and independent of the package under test.

Values are Fractions. To encode, all codes of the format are scanned for the two neighbours of the value; to decode, the
formula of the document is evaluated. The parameters of the formats are typed in here once more on purpose. Nothing is
imported but the standard library.

A faster second encoder (`Steps`) bisects breakpoints that it derives from the same table; its self test compares it
with the scan at every breakpoint and next to it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

ROUNDINGS = (
    "TIES_TO_EVEN",
    "TIES_TO_AWAY",
    "TOWARD_ZERO",
    "TOWARD_POSITIVE",
    "TOWARD_NEGATIVE",
    "TO_ODD",
)
OVERFLOWS = ("SATURATE", "OVERFLOW")


class Number(NamedTuple):
    """A finite number, an infinity or not a number.

    Attributes
    ----------
    kind : str
        "finite", "inf" or "nan".
    negative : bool
        The sign, of zero too.
    magnitude : Fraction
        0 unless finite.
    """

    kind: str
    negative: bool
    magnitude: Fraction

    @property
    def real(self) -> Fraction:
        """The signed value of a finite number."""
        assert self.kind == "finite"
        return -self.magnitude if self.negative else self.magnitude


class Float(NamedTuple):
    """What a document prints about a small float.

    `beyond` is the value that would follow the largest one if the exponent were unbounded; `infinite` holds what
    OVERFLOW makes of a number too large, positive and negative: Inf, else NaN, else nothing.
    """

    width: int
    exponent_bits: int
    mantissa_bits: int
    bias: int
    emax: int
    beyond: Fraction
    infinite: tuple[int, int] | None = None
    infinities: tuple[int, ...] = ()
    nans: tuple[int, ...] = ()


class Integer(NamedTuple):
    """A two's complement integer n of value n * 2^-fraction_bits; `mantissa_bits` are those below a leading one."""

    width: int
    fraction_bits: int
    mantissa_bits: int
    emax: int


class Carrier(NamedTuple):
    """A format that inputs arrive in: sign bit, exponent field, mantissa, all with their IEEE 754 meanings."""

    exponent_bits: int
    mantissa_bits: int
    bias: int


E5M2_NANS = (0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF)
E4M3IEEE_NANS = (*range(0x79, 0x80), *range(0xF9, 0x100))
E3M4_NANS = (*range(0x71, 0x80), *range(0xF1, 0x100))
FLOATS = {
    "E4M3": Float(8, 4, 3, 7, 8, Fraction(480), (0x7F, 0xFF), nans=(0x7F, 0xFF)),
    "E5M2": Float(8, 5, 2, 15, 15, Fraction(65536), (0x7C, 0xFC), (0x7C, 0xFC), E5M2_NANS),
    "E3M2": Float(6, 3, 2, 3, 4, Fraction(32)),
    "E2M3": Float(6, 2, 3, 1, 2, Fraction(8)),
    "E2M1": Float(4, 2, 1, 1, 2, Fraction(8)),
    "E4M3FNUZ": Float(8, 4, 3, 8, 7, Fraction(256), (0x80, 0x80), nans=(0x80,)),
    "E5M2FNUZ": Float(8, 5, 2, 16, 15, Fraction(65536), (0x80, 0x80), nans=(0x80,)),
    "E4M3B11FNUZ": Float(8, 4, 3, 11, 4, Fraction(32), (0x80, 0x80), nans=(0x80,)),
    "E4M3IEEE": Float(8, 4, 3, 7, 7, Fraction(256), (0x78, 0xF8), (0x78, 0xF8), E4M3IEEE_NANS),
    "E3M4": Float(8, 3, 4, 3, 3, Fraction(16), (0x70, 0xF0), (0x70, 0xF0), E3M4_NANS),
}
INTEGERS = {"INT8": Integer(8, 6, 6, 0), "INT4": Integer(4, 2, 2, 0)}
MX_ELEMENTS = ("E4M3", "E5M2", "E3M2", "E2M3", "E2M1", "INT8")
ELEMENTS = (*FLOATS, *INTEGERS)
CARRIERS = {
    "binary64": Carrier(11, 52, 1023),
    "binary32": Carrier(8, 23, 127),
    "binary16": Carrier(5, 10, 15),
    "bfloat16": Carrier(8, 7, 127),
}


def width(name: str) -> int:
    """Bits of a code of an element format."""
    return FLOATS[name].width if name in FLOATS else INTEGERS[name].width


def emax(name: str) -> int:
    """Exponent of the largest power of two that an element format represents."""
    return FLOATS[name].emax if name in FLOATS else INTEGERS[name].emax


def mantissa_bits(name: str) -> int:
    """Bits of an element format's significand below the leading one."""
    return FLOATS[name].mantissa_bits if name in FLOATS else INTEGERS[name].mantissa_bits


@cache
def power(exponent: int) -> Fraction:
    """2^exponent."""
    return Fraction(2) ** exponent


def number(real: Fraction | int) -> Number:
    """A finite number; zero is positive."""
    return Number("finite", real < 0, abs(Fraction(real)))


def infinity(negative: bool) -> Number:
    return Number("inf", negative, Fraction(0))


def nan(negative: bool = False) -> Number:
    return Number("nan", negative, Fraction(0))


def decode(code: int, name: str) -> Number:
    """The value of a code of any element format, of E8M0, or of the bits of a carrier."""
    if name == "E8M0":
        return nan() if code == 0xFF else Number("finite", False, power(code - 127))
    if name in CARRIERS:
        return _decode_carrier(code, CARRIERS[name])
    if name in INTEGERS:
        return _decode_integer(code, INTEGERS[name])
    return _decode_float(code, FLOATS[name])


def _decode_float(code: int, form: Float) -> Number:
    sign, field, mantissa = split(code, form.exponent_bits, form.mantissa_bits)
    if code in form.nans:
        return nan(bool(sign))
    if code in form.infinities:
        return infinity(bool(sign))
    return Number("finite", bool(sign), _magnitude(field, mantissa, form.mantissa_bits, form.bias))


def _decode_carrier(bits: int, form: Carrier) -> Number:
    sign, field, mantissa = split(bits, form.exponent_bits, form.mantissa_bits)
    if field == 2**form.exponent_bits - 1:
        return nan(bool(sign)) if mantissa else infinity(bool(sign))
    return Number("finite", bool(sign), _magnitude(field, mantissa, form.mantissa_bits, form.bias))


def _decode_integer(code: int, form: Integer) -> Number:
    n = code - 2**form.width if code >= 2 ** (form.width - 1) else code
    return number(Fraction(n, 2**form.fraction_bits))


def _magnitude(field: int, mantissa: int, mantissa_bits: int, bias: int) -> Fraction:
    """MX 5.3: a normal number, or a subnormal one (zero included) when the exponent field is 0."""
    fraction = Fraction(mantissa, 2**mantissa_bits)
    if field == 0:
        return power(1 - bias) * fraction
    return power(field - bias) * (1 + fraction)


def split(code: int, exponent_bits: int, mantissa_bits: int) -> tuple[int, int, int]:
    """Sign, exponent field and mantissa of a code."""
    mantissa = code % 2**mantissa_bits
    field = code // 2**mantissa_bits % 2**exponent_bits
    return code // 2 ** (mantissa_bits + exponent_bits), field, mantissa


class Half(NamedTuple):
    """One sign's codes of a format.

    Attributes
    ----------
    magnitudes : tuple of Fraction
        Increasing, from zero to the largest finite one, then the next one that an unbounded exponent would give.
    codes : tuple of int
        The code of each magnitude but the last, which has none.
    smallest_normal : Fraction
        0 for integers, where nothing is tiny.
    infinite : int or None
        What OVERFLOW gives: Inf, else NaN, else None when the format has neither.
    has_inf : bool
    """

    magnitudes: tuple[Fraction, ...]
    codes: tuple[int, ...]
    smallest_normal: Fraction
    infinite: int | None
    has_inf: bool


@cache
def half(name: str, negative: bool, int_minimum: str = "EXCLUDE") -> Half:
    """All codes of one sign, found by decoding every code. Zero belongs to both signs where there is no -0."""
    rows: dict[Fraction, int] = {}
    for code in range(2 ** width(name)):
        found = decode(code, name)
        is_shared_zero = found.magnitude == 0 and found.magnitude not in rows
        if found.kind == "finite" and (found.negative == negative or is_shared_zero):
            rows[found.magnitude] = code
    if name in INTEGERS:
        return _integer_half(rows, INTEGERS[name], negative and int_minimum == "EXCLUDE")
    form = FLOATS[name]
    infinite = form.infinite[negative] if form.infinite else None
    magnitudes = (*sorted(rows), form.beyond)
    return Half(magnitudes, _codes(rows), power(1 - form.bias), infinite, bool(form.infinities))


def _integer_half(rows: dict[Fraction, int], form: Integer, exclude_minimum: bool) -> Half:
    if exclude_minimum:
        del rows[max(rows)]
    beyond = max(rows) + power(-form.fraction_bits)
    return Half((*sorted(rows), beyond), _codes(rows), Fraction(0), None, has_inf=False)


def _codes(rows: dict[Fraction, int]) -> tuple[int, ...]:
    """The codes in order of their magnitudes."""
    return tuple(code for _, code in sorted(rows.items()))


class Encoded(NamedTuple):
    """A code and the names of the status bits that are set."""

    code: int
    status: frozenset[str]


def encode(
    value: Number,
    name: str,
    rounding: str = "TIES_TO_EVEN",
    overflow: str = "SATURATE",
    *,
    int_minimum: str = "EXCLUDE",
    word: int = 0,
    bits: int = 32,
) -> Encoded:
    """Encode one number that is not NaN by looking at every code.

    Parameters
    ----------
    value : Number
    name : str
        Element format.
    rounding, overflow : str
        A name of `ROUNDINGS` or "STOCHASTIC"; a name of `OVERFLOWS`.
    int_minimum : str
        "EXCLUDE" keeps integers symmetric, "ALLOW" uses the code without a positive counterpart.
    word, bits : int
        STOCHASTIC only: the random word and its width in bits.
    """
    assert value.kind != "nan"
    side = half(name, value.negative, int_minimum)
    if value.kind == "inf":
        return _encode_infinity(side, overflow)
    low, high = neighbours(value.magnitude, name, value.negative, int_minimum)
    index = low
    if low != high:
        index = _choose(low, high, value, side.magnitudes, rounding, word, bits)
    if index == len(side.codes):
        return _overflowed(side, overflow, _is_towards_zero(rounding, value.negative))
    status = set()
    if side.magnitudes[index] != value.magnitude:
        status.add("inexact")
        if value.magnitude < side.smallest_normal:
            status.add("underflow")
    return Encoded(side.codes[index], frozenset(status))


@cache
def neighbours(
    magnitude: Fraction, name: str, negative: bool, int_minimum: str = "EXCLUDE"
) -> tuple[int, int]:
    """Indices of the largest entry not above and the smallest not below; twice the last for anything beyond it."""
    entries = half(name, negative, int_minimum).magnitudes
    low = max(index for index, entry in enumerate(entries) if entry <= magnitude)
    high = min((index for index, entry in enumerate(entries) if entry >= magnitude), default=low)
    return low, high


def _choose(
    low: int,
    high: int,
    value: Number,
    magnitudes: Sequence[Fraction],
    rounding: str,
    word: int,
    bits: int,
) -> int:
    """The neighbour that a rounding takes; an even index is an even code, and an even mantissa."""
    even, odd = (low, high) if low % 2 == 0 else (high, low)
    part = (value.magnitude - magnitudes[low]) / (magnitudes[high] - magnitudes[low])
    match rounding:
        case "TIES_TO_EVEN":
            return even if part == Fraction(1, 2) else (high if part > Fraction(1, 2) else low)
        case "TIES_TO_AWAY":
            return high if part >= Fraction(1, 2) else low
        case "TOWARD_ZERO":
            return low
        case "TOWARD_POSITIVE":
            return low if value.negative else high
        case "TOWARD_NEGATIVE":
            return high if value.negative else low
        case "TO_ODD":
            return odd
        case "STOCHASTIC":
            # The discarded part, cut to `bits` bits, plus the word; a carry out takes the upper neighbour.
            return high if part * 2**bits // 1 + word >= 2**bits else low
        case _:
            raise ValueError(rounding)


def _is_towards_zero(rounding: str, negative: bool) -> bool:
    """Whether IEEE 754 gives the largest finite number when this rounding overflows."""
    if rounding in ("TOWARD_ZERO", "TO_ODD"):
        return True
    return rounding == ("TOWARD_POSITIVE" if negative else "TOWARD_NEGATIVE")


def _overflowed(side: Half, overflow: str, towards_zero: bool) -> Encoded:
    if overflow == "SATURATE" or towards_zero or side.infinite is None:
        return Encoded(side.codes[-1], frozenset({"inexact", "overflow", "saturated"}))
    return Encoded(side.infinite, frozenset({"inexact", "overflow"}))


def _encode_infinity(side: Half, overflow: str) -> Encoded:
    if overflow == "OVERFLOW" and side.infinite is not None:
        # Inf to Inf is exact in every rounding; a format without Inf answers with NaN.
        flags = set() if side.has_inf else {"inexact", "overflow"}
        return Encoded(side.infinite, frozenset(flags))
    flags = {"inexact", "saturated"} if side.has_inf else {"inexact", "saturated", "overflow"}
    return Encoded(side.codes[-1], frozenset(flags))


def nan_codes(name: str) -> frozenset[int]:
    """Every NaN code of an element format; empty if it has none."""
    return frozenset(FLOATS[name].nans) if name in FLOATS else frozenset()


class Key(NamedTuple):
    """Where a step begins: at the number itself (`after` = 0) or just above it (`after` = 1)."""

    at: Fraction
    after: int


class Steps:
    """An encoder of one sign as a step function of the magnitude: sorted breakpoints, looked up by bisection.

    Parameters
    ----------
    name, rounding, overflow, int_minimum : str
        As for `encode`; not STOCHASTIC.
    negative : bool

    Attributes
    ----------
    keys : list of Key
        Where each step begins, increasing; the first at zero.
    codes : list of int
        The code of each step; neighbours differ.
    """

    def __init__(
        self,
        name: str,
        negative: bool,
        rounding: str,
        overflow: str,
        int_minimum: str = "EXCLUDE",
    ) -> None:
        side = half(name, negative, int_minimum)
        last = _overflowed(side, overflow, _is_towards_zero(rounding, negative)).code
        self.keys: list[Key] = []
        self.codes: list[int] = []
        for index, code in enumerate((*side.codes, last)):
            if not self.codes or code != self.codes[-1]:
                self.keys.append(_begin(index, side.magnitudes, rounding, negative))
                self.codes.append(code)

    def code(self, magnitude: Fraction) -> int:
        """The code of a finite magnitude."""
        return self.codes[bisect_right(self.keys, Key(magnitude, 0)) - 1]


def _begin(index: int, magnitudes: Sequence[Fraction], rounding: str, negative: bool) -> Key:
    """The smallest magnitude that a rounding maps to the entry at `index`."""
    if index == 0:
        return Key(Fraction(0), 0)
    below, own = magnitudes[index - 1], magnitudes[index]
    match rounding:
        case "TIES_TO_EVEN":
            return Key((below + own) / 2, index % 2)
        case "TIES_TO_AWAY":
            return Key((below + own) / 2, 0)
        case "TO_ODD":
            return Key(below, 1) if index % 2 else Key(own, 0)
        case "TOWARD_ZERO" | "TOWARD_POSITIVE" | "TOWARD_NEGATIVE":
            return Key(own, 0) if _is_towards_zero(rounding, negative) else Key(below, 1)
        case _:
            raise ValueError(rounding)


def breakpoints(name: str, int_minimum: str = "EXCLUDE") -> list[Fraction]:
    """Every magnitude at which some rounding can change its answer: all values, all midpoints, and zero; increasing."""
    points: set[Fraction] = set()
    for negative in (False, True):
        entries = half(name, negative, int_minimum).magnitudes
        points.update(entries)
        points.update((low + high) / 2 for low, high in pairwise(entries))
    return sorted(points)


def inf_bits(carrier: str) -> int:
    """The bits of +Inf in a carrier; smaller bits are the finite non-negative numbers in increasing order."""
    form = CARRIERS[carrier]
    return ((1 << form.exponent_bits) - 1) << form.mantissa_bits


def sign_bit(carrier: str) -> int:
    """The sign bit of a carrier, as bits."""
    form = CARRIERS[carrier]
    return 1 << (form.exponent_bits + form.mantissa_bits)


@cache
def first_bits(key: Key, carrier: str) -> int:
    """The bits of the smallest number of a carrier that is at (or, if so asked, above) a magnitude; +Inf if none is."""
    low, high = 0, inf_bits(carrier)
    while low < high:
        middle = (low + high) // 2
        if Key(decode(middle, carrier).magnitude, 0) < key:
            low = middle + 1
        else:
            high = middle
    return low


def nearby_bits(magnitude: Fraction, carrier: str) -> list[int]:
    """Finite non-negative bits around a magnitude: the last below, itself if it exists, the first above."""
    first, above = first_bits(Key(magnitude, 0), carrier), first_bits(Key(magnitude, 1), carrier)
    return [bits for bits in range(first - 1, above + 1) if 0 <= bits < inf_bits(carrier)]


def round_to_carrier(real: Fraction, carrier: str) -> int:
    """The bits of a number rounded to a carrier, ties to even; beyond its range Inf."""
    high = first_bits(Key(abs(real), 0), carrier)
    sign = sign_bit(carrier) if real < 0 else 0
    if high == 0 or decode(high, carrier) == Number("finite", False, abs(real)):
        return sign + high
    below = decode(high - 1, carrier).magnitude
    form = CARRIERS[carrier]
    at_inf = power(2**form.exponent_bits - 1 - form.bias)
    above = at_inf if high == inf_bits(carrier) else decode(high, carrier).magnitude
    middle = (below + above) / 2
    up = abs(real) > middle or (abs(real) == middle and high % 2 == 0)
    return sign + (high if up else high - 1)


def runs(
    name: str, carrier: str, rounding: str, overflow: str, int_minimum: str = "EXCLUDE"
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The encoder over all finite and infinite bits of a carrier, per sign, as rows (first magnitude bits, code).

    Rows have the sign bit removed and neighbours differ in their code.
    """
    sides = []
    for negative in (False, True):
        steps = Steps(name, negative, rounding, overflow, int_minimum)
        at_inf = encode(infinity(negative), name, rounding, overflow, int_minimum=int_minimum).code
        starts = [first_bits(key, carrier) for key in steps.keys]
        rows = [*zip(starts, steps.codes, strict=True), (inf_bits(carrier), at_inf)]
        sides.append(merge(rows))
    return sides[0], sides[1]


def merge(rows: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Rows without those that are empty (the next one starts at the same bits) or repeat the code before them."""
    merged: list[tuple[int, int]] = []
    for first, code in rows:
        if merged and merged[-1][0] == first:
            merged.pop()
        if not merged or merged[-1][1] != code:
            merged.append((first, code))
    return merged


def floor_log2(value: Fraction) -> int:
    """The largest n with 2^n <= value."""
    assert value > 0
    n = value.numerator.bit_length() - value.denominator.bit_length()
    while power(n) > value:
        n -= 1
    while power(n + 1) <= value:
        n += 1
    return n


def largest(name: str) -> Fraction:
    """The largest positive value of an element format."""
    return half(name, negative=False).magnitudes[-2]


def shared_exponent(amax: Fraction, name: str, rule: str = "FLOOR") -> int:
    """The exponent of the scale that a rule chooses for a block, before it is clamped to what E8M0 holds.

    Parameters
    ----------
    amax : Fraction
        The largest magnitude of the block, above zero.
    name : str
        Element format.
    rule : str
        FLOOR: largest power of two not above amax, over the largest one of the element format (MX 6.3).
        CEIL: smallest power of two not below amax, over the same.
        ROUND, LOG_ROUND: closest power of two, in value or in the logarithm, ties up, over the same.
        EVEN, EVEN_TIES_DOWN: that of amax rounded half up (half down) to the element's mantissa, over the same.
        EVEN_E2M1: EVEN with the one mantissa bit of E2M1 for every format.
        RCEIL: the smallest power of two with which amax does not exceed the largest element.
        FLOOR_OF_RATIO, LOG_NEAREST: largest power of two not above amax / largest element; the closest to it in the
        logarithm.
    """
    ratio, width_kept = amax / largest(name), mantissa_bits(name)
    match rule:
        case "FLOOR":
            return floor_log2(amax) - emax(name)
        case "CEIL":
            return ceil_log2(amax) - emax(name)
        case "ROUND":
            low, high = floor_log2(amax), ceil_log2(amax)
            return (low if amax - power(low) < power(high) - amax else high) - emax(name)
        case "LOG_ROUND":
            return round_log2(amax) - emax(name)
        case "EVEN":
            return floor_log2(shorten(amax, width_kept)) - emax(name)
        case "EVEN_TIES_DOWN":
            return floor_log2(-shorten(-amax, width_kept)) - emax(name)
        case "EVEN_E2M1":
            return floor_log2(shorten(amax, 1)) - emax(name)
        case "RCEIL":
            return ceil_log2(ratio)
        case "FLOOR_OF_RATIO":
            return floor_log2(ratio)
        case "LOG_NEAREST":
            return round_log2(ratio)
        case _:
            raise ValueError(rule)


def ceil_log2(value: Fraction) -> int:
    """The smallest n with value <= 2^n."""
    return -floor_log2(1 / value)


def round_log2(value: Fraction) -> int:
    """The integer closest to the base 2 logarithm: n - 1/2 <= log2(value), squared, is 2^2n <= 2 * value^2."""
    return floor_log2(2 * value * value) // 2


def shorten(value: Fraction, kept_bits: int) -> Fraction:
    """Round to a number of bits below the leading one; ties go up, so those of a negative number towards zero."""
    unit = power(floor_log2(abs(value)) - kept_bits)
    return (value / unit + Fraction(1, 2)) // 1 * unit


def cast_to_e8m0(value: Number, upwards: bool, saturate: bool) -> int:
    """The E8M0 code of a magnitude, cut or rounded up to a power of two, as PTX cvt.rz and cvt.rp do."""
    if value.kind == "nan":
        return 0xFF
    too_large = 0xFE if saturate else 0xFF
    if value.kind == "inf":
        return too_large
    if value.magnitude == 0:
        return 0
    exponent = ceil_log2(value.magnitude) if upwards else floor_log2(value.magnitude)
    return too_large if exponent > 127 else max(exponent, -127) + 127


def scale_code(amax: Fraction, name: str, rule: str = "FLOOR") -> int:
    """The E8M0 code of a block's scale, clamped to the finite codes; 0x00 for a block of zeros."""
    if amax == 0:
        return 0
    return min(max(shared_exponent(amax, name, rule), -127), 127) + 127


def quantize(
    values: Sequence[Number],
    name: str,
    rule: str = "FLOOR",
    rounding: str = "TIES_TO_EVEN",
    overflow: str = "SATURATE",
    int_minimum: str = "EXCLUDE",
) -> tuple[int, tuple[int, ...]]:
    """Scale code and element codes of a block; scale 0xFF and no codes if the block holds Inf or NaN."""
    if any(value.kind != "finite" for value in values):
        return 0xFF, ()
    scale = scale_code(max(value.magnitude for value in values), name, rule)
    divisor = decode(scale, "E8M0").magnitude
    codes = [
        encode(
            Number("finite", value.negative, value.magnitude / divisor),
            name,
            rounding,
            overflow,
            int_minimum=int_minimum,
        ).code
        for value in values
    ]
    return scale, tuple(codes)


def dequantize(scale: int, code: int, name: str) -> Number:
    """One element of a block (MX 5.1): a NaN scale wins, Inf and NaN elements stay, else the exact product."""
    factor, element = decode(scale, "E8M0"), decode(code, name)
    if factor.kind == "nan":
        return nan()
    if element.kind != "finite":
        return element
    return Number("finite", element.negative, factor.magnitude * element.magnitude)


class Vector(NamedTuple):
    """One vector of a dot product: codes of an element format, and of a scale format for each k of them, if any."""

    codes: Sequence[int]
    element: str
    scales: Sequence[int] = ()
    scale: str = ""
    k: int = 0
    tensor_scale: Fraction | None = None


class Term(NamedTuple):
    """A number, the exponent by which it is aligned (None: nothing to align), and a scale that it still waits for."""

    number: Number
    exponent: int | None
    scale: tuple[Number, Number] | None = None


ZERO = Number("finite", False, Fraction(0))
TF32 = Carrier(8, 10, 127)
Table = Mapping[str, Any]


def dot(
    a: Vector, b: Vector, c: Number | None, table: Table, out: str = "binary32"
) -> tuple[Number, int]:
    """A dot product under an accumulation in the form that TOML files hold.

    Returns
    -------
    held : Number
        What is there before it is rounded to `out`.
    bits : int
        Of `out`, a carrier.
    """
    unit = Accumulator(table, max(a.k, b.k) or len(a.codes))
    node = table.get("node", {"kind": "sum"})
    terms = unit.products(a, b)
    carried = unit.flushed_c(ZERO if c is None else c)
    scales = [number(one.tensor_scale) for one in (a, b) if one.tensor_scale is not None]
    if not scales:
        held = unit.reduce(node, terms, unit.carried_in(carried)).number
    else:
        held = unit.times_tensor_scales(unit.reduce(node, terms, None).number, scales, carried)
    final = unit.rounded(f"{out} {table.get('rounding', 'ties-to-even')} stop-at-max", held)
    return held, carrier_bits(final, out, table.get("nan_word", "quiet"))


class Accumulator:
    """The arithmetic that one table describes; `k` is the block size."""

    def __init__(self, table: Table, k: int) -> None:
        self.table = table
        self.k = k
        self.subnormals = table.get("operand_subnormals", "keep")
        self.scale_at = table.get("scale_at", "product")

    def products(self, a: Vector, b: Vector) -> list[Term]:
        """One term for each pair of elements."""
        left, right = self._elements(a), self._elements(b)
        return [self._product(x, y) for x, y in zip(left, right, strict=True)]

    def _elements(self, vector: Vector) -> list[tuple[Term, Term | None]]:
        """Each element with the scale of its block."""
        scales = [self._scale(code, vector.scale) for code in vector.scales]
        return [
            (self._element(code, vector.element, scale), scale)
            for index, code in enumerate(vector.codes)
            for scale in [scales[index // vector.k] if scales else None]
        ]

    def _element(self, code: int, name: str, scale: Term | None) -> Term:
        found, exponent = decode_operand(code, name), declared_exponent(code, name)
        if is_subnormal(code, name) or found.magnitude == 0:
            found = self._flushed(found)
        if self.scale_at == "operand" and scale is not None:
            found = times(found, scale.number)
        if "operand_format" in self.table:
            return rounded_term(
                self.rounded(self.table["operand_format"], found), self.table["operand_format"]
            )
        return Term(found, exponent)

    def _flushed(self, value: Number) -> Number:
        """What a subnormal, or zero, counts as; Inf and NaN stay."""
        if value.kind != "finite" or self.subnormals == "keep":
            return value
        return (
            ZERO if self.subnormals == "flush-positive" else value._replace(magnitude=Fraction(0))
        )

    def flushed_c(self, c: Number) -> Number:
        """C, flushed if it is subnormal, or zero, in the format of what it is added to."""
        node = self.table.get("node", {})
        while "outer" in node:
            node = node["outer"]
        outs = listed(node.get("step", {}).get("out"))
        least = power(smallest_exponent(format_name(outs[-1]) if outs else "binary32"))
        return self._flushed(c) if c.magnitude < least else c

    def carried_in(self, c: Number) -> Term:
        return Term(c, None if c.magnitude == 0 else floor_log2(c.magnitude))

    def _scale(self, code: int, name: str) -> Term:
        found = decode(code, name)
        if code == 0 and self.table.get("scale_zero_code"):
            found = ZERO
        if self.table.get("scale_unsigned"):
            found = found._replace(negative=False)
        return Term(found, declared_exponent(code, name))

    def _product(self, a: tuple[Term, Term | None], b: tuple[Term, Term | None]) -> Term:
        found = times(a[0].number, b[0].number)
        exponent = (a[0].exponent or 0) + (b[0].exponent or 0)
        rule = self.table.get("product_exponent", "sum")
        scales = [scale for _, scale in (a, b) if scale is not None and self.scale_at != "operand"]
        of_scales = sum(one.exponent or 0 for one in scales)
        if self.scale_at == "product":
            exponent += of_scales
            for one in scales:
                found = times(found, one.number)
        if rule == "scale":
            exponent = of_scales
        if "products" in self.table:
            found = self.rounded(self.table["products"], found)
            exponent = rounded_term(found, self.table["products"]).exponent or 0
        elif found.magnitude and rule == "normalised":
            exponent = floor_log2(found.magnitude)
        if found.magnitude >= power(self.table.get("product_limit", 10**6)):
            found = infinity(found.negative)
        own = [number(1) if scale is None else scale.number for _, scale in (a, b)]
        return Term(found, exponent if found.magnitude else None, (own[0], own[1]))

    def reduce(self, node: Table, terms: list[Term], carried: Term | None) -> Term:
        """The sum of terms and of what is carried in, by the kind of the node."""
        step, own = node.get("step", {}), self._rounded_first(node, terms)
        match node["kind"]:
            case "sum":
                return self.fuse(step, own, carried)
            case "chain":
                for group in groups(len(own), node.get("length", 1), node.get("order", [])):
                    carried = self.fuse(step, [own[i] for i in group], carried or Term(ZERO, None))
                return carried or Term(ZERO, None)
            case "tree":
                return self._joined(step, self._halves(step, own, node.get("leaf", 1)), carried)
            case "nested":
                total = self._branch(step, node["tree"], own, carried)
                return total if -1 in leaves(node["tree"]) else self._joined(step, total, carried)
            case "parts":
                return self.reduce(node["outer"], self._parts(node, own), carried)
            case "lanes":
                lanes = [own[lane :: node["count"]] for lane in range(node["count"])]
                sums = [self.reduce(node["inner"], lane, None) for lane in lanes if lane]
                return self.reduce(node["outer"], sums, carried)
            case "late":
                return self._joined(step, self.reduce(node["inner"], own, None), carried)
            case kind:
                raise ValueError(kind)

    def _rounded_first(self, node: Table, terms: list[Term]) -> list[Term]:
        text = node.get("terms")
        if text is None:
            return terms
        return [rounded_term(self.rounded(text, term.number), text) for term in terms]

    def _joined(self, step: Table, total: Term, carried: Term | None) -> Term:
        return total if carried is None else self.fuse(step, [total], carried)

    def _halves(self, step: Table, terms: list[Term], leaf: int) -> Term:
        if len(terms) > leaf:
            size = leaf
            while 2 * size < len(terms):
                size *= 2
            parts = terms[:size], terms[size:]
            return self.fuse(step, [self._halves(step, part, leaf) for part in parts], None)
        total: Term | None = None
        for term in terms:
            total = self.fuse(step, [term], total)
        return total or Term(ZERO, None)

    def _branch(self, step: Table, tree: Any, terms: list[Term], carried: Term | None) -> Term:
        if isinstance(tree, int):
            return terms[tree]
        members = [self._branch(step, one, terms, carried) for one in tree if one != -1]
        return self.fuse(step, members, carried if -1 in tree else None)

    def _parts(self, node: Table, terms: list[Term]) -> list[Term]:
        length = node.get("length", 0) or self.k
        runs = [terms[start : start + length] for start in range(0, len(terms), length)]
        sums = [self.reduce(node["inner"], run, None) for run in runs]
        return [
            self._scaled(node, total, run[0].scale) for total, run in zip(sums, runs, strict=True)
        ]

    def _scaled(self, node: Table, total: Term, scales: tuple[Number, Number] | None) -> Term:
        """The sum of a run times its scales, if they enter here; numbers without scales have 1."""
        if "scale" not in node:
            return total
        first, second = scales or (number(1), number(1))
        if "apart" in node:
            found = times(self.rounded(node["apart"], times(total.number, first)), second)
        else:
            factor = times(first, second)
            for text in listed(node["scale"]):
                factor = self.rounded(text, factor)
            found = times(total.number, factor)
        if "scaled" in node:
            return rounded_term(self.rounded(node["scaled"], found), node["scaled"])
        return self.carried_in(found)

    def times_tensor_scales(self, total: Number, scales: list[Number], c: Number) -> Number:
        factor = scales[0] if len(scales) == 1 else times(*scales)
        text = self.table.get("tensor_scale")
        if text is None:
            return self.fuse({}, [self.carried_in(times(total, factor))], self.carried_in(c)).number
        return self.rounded(text, times(total, self.rounded(text, factor)))

    def fuse(self, step: Table, terms: list[Term], carried: Term | None) -> Term:
        """Cut the terms and what is carried in to one quantum, add exactly, round."""
        outs = listed(step.get("out"))
        every = [*terms, *([] if carried is None else [carried])]
        special = special_sum([term.number for term in every])
        if special is not None:
            return Term(special, None)
        if carried is not None and carried.exponent is not None and outs:
            least = smallest_exponent(format_name(outs[-1]))
            carried = carried._replace(exponent=max(carried.exponent, least))
        exponents = [
            term.exponent for term in (*terms, carried) if term and term.exponent is not None
        ]
        exponents += [step["floor"]] if "floor" in step else []
        e = max(exponents, default=None)
        total = sum(
            (self._cut(step, term, e, step.get("fraction_bits")) for term in terms), Fraction(0)
        )
        if carried is not None and not self._out_of_reach(step, carried, e):
            bits = step.get("carried_bits", step.get("fraction_bits"))
            total += self._cut(step, carried, e, bits)
        found = self._signed(
            in_register(total, step), [term.number.negative for term in every], step
        )
        for text in outs:
            found = self.rounded(text, found)
            if found.kind == "finite" and self.table.get("zero_sign") == "positive":
                found = number(found.real)  # +0
        return rounded_term(found, outs[-1]) if outs else Term(found, e)

    def _cut(self, step: Table, term: Term, e: int | None, bits: int | None) -> Fraction:
        """A term as a multiple of the quantum, signed."""
        real, negative = term.number.real, term.number.negative
        if "quantum" in step:
            unit = power(step["quantum"])
        elif bits is None or e is None:
            return real
        else:
            unit = power(e - bits)
        count = whole(abs(real) / unit, negative, step.get("align", "toward-zero"))
        return -count * unit if negative else count * unit

    def _out_of_reach(self, step: Table, carried: Term, e: int | None) -> bool:
        if "carried_reach" not in step or carried.exponent is None or e is None:
            return False
        return carried.exponent < e - int(step["carried_reach"])

    def _signed(self, total: Fraction, negatives: list[bool], step: Table) -> Number:
        """A sum; what sign it has if it is zero."""
        if total or "quantum" in step or self.table.get("zero_sign", "ieee") != "ieee":
            return number(total)
        roundings = [self.table.get("rounding", ""), *listed(step.get("out"))]
        mixed = "toward-negative" in roundings[-1] and any(negatives)
        return Number("finite", mixed or (bool(negatives) and all(negatives)), Fraction(0))

    def rounded(self, text: str, value: Number) -> Number:
        """A number in the format that the first word names; rounding, `flush` and `stop-at-max` follow."""
        if value.kind != "finite" or value.magnitude == 0:
            return value
        name, *words = text.split()
        roundings = [word for word in words if word not in ("flush", "stop-at-max")]
        rounding = roundings[0] if roundings else "ties-to-even"
        mantissa_bits, emin = float_shape(name)[1], smallest_exponent(name)
        leading = floor_log2(value.magnitude)
        unit = power(max(leading, emin) - mantissa_bits)
        found = whole(value.magnitude / unit, value.negative, rounding) * unit
        precise = power(leading - mantissa_bits)
        tiny = whole(value.magnitude / precise, value.negative, rounding) * precise < power(emin)
        if found == 0 or ("flush" in words and tiny):
            return Number("finite", value.negative, Fraction(0))
        if found < power(2 - emin):
            return Number("finite", value.negative, found)
        if "stop-at-max" in words and _is_towards_zero(constant(rounding), value.negative):
            largest_one = power(2 - emin) - power(1 - emin - mantissa_bits)
            return Number("finite", value.negative, largest_one)
        return infinity(value.negative)


def listed(given: Any) -> list[str]:
    """A text, several or none, as a list."""
    return [given] if isinstance(given, str) else list(given or [])


def format_name(text: str) -> str:
    """The first word of a rounding."""
    return text.partition(" ")[0]


def constant(text: str) -> str:
    """The name of a rounding as ROUNDINGS has it."""
    return text.upper().replace("-", "_")


def float_shape(name: str) -> tuple[int, int]:
    """Widths of exponent field and mantissa of a carrier, of TF32, or of any ExMy."""
    known = TF32 if name.upper() == "TF32" else CARRIERS.get(name)
    if known is not None:
        return known.exponent_bits, known.mantissa_bits
    exponent_bits, mantissa_bits = name.upper().removeprefix("E").split("M")
    return int(exponent_bits), int(mantissa_bits)


def smallest_exponent(name: str) -> int:
    """Exponent of the smallest normal number of such a format; the largest is one less, with the other sign."""
    return 2 - (1 << (float_shape(name)[0] - 1))


def carrier_bits(value: Number, name: str, nan_word: str = "quiet") -> int:
    """The bits of a number that a carrier holds."""
    sign, top = sign_bit(name), inf_bits(name)
    if value.kind == "nan":
        quiet = top + (1 << (CARRIERS[name].mantissa_bits - 1))
        return {"quiet": quiet, "all-ones": sign - 1, "negative-quiet": sign + quiet}[nan_word]
    bits = top if value.kind == "inf" else first_bits(Key(value.magnitude, 0), name)
    assert value.kind == "inf" or decode(bits, name).magnitude == value.magnitude
    return bits + (sign if value.negative else 0)


def decode_operand(code: int, name: str) -> Number:
    """As `decode`; TF32 too."""
    return _decode_carrier(code, TF32) if name == "TF32" else decode(code, name)


def declared_exponent(code: int, name: str) -> int:
    """The exponent in a code's field; subnormals have that of the smallest normal number, integers their largest."""
    if name in INTEGERS:
        return INTEGERS[name].emax
    if name == "E8M0":
        return code - 127
    form = FLOATS.get(name) or (TF32 if name == "TF32" else CARRIERS[name])
    return max(split(code, form.exponent_bits, form.mantissa_bits)[1], 1) - form.bias


def is_subnormal(code: int, name: str) -> bool:
    """Whether a code is of a float below the smallest normal one, and not zero."""
    if name in INTEGERS or name == "E8M0":
        return False
    found = decode_operand(code, name)
    return found.kind == "finite" and 0 < found.magnitude < power(declared_exponent(0, name))


def times(x: Number, y: Number) -> Number:
    """The exact product; Inf * 0 is NaN."""
    negative = x.negative != y.negative
    if "nan" in (x.kind, y.kind):
        return nan()
    if x.kind == y.kind == "finite":
        return Number("finite", negative, x.magnitude * y.magnitude)
    has_zero = any(one.kind == "finite" and one.magnitude == 0 for one in (x, y))
    return nan() if has_zero else infinity(negative)


def special_sum(numbers: Sequence[Number]) -> Number | None:
    """NaN or Inf if a sum is one: a NaN among them, Inf - Inf, or an Inf."""
    signs = {one.negative for one in numbers if one.kind == "inf"}
    if len(signs) == 2 or any(one.kind == "nan" for one in numbers):
        return nan()
    return infinity(signs.pop()) if signs else None


def whole(count: Fraction, negative: bool, rounding: str) -> int:
    """A magnitude that is counted in units, rounded to a whole number of them."""
    low, rest = divmod(count.numerator, count.denominator)
    part = Fraction(rest, count.denominator)
    if part == 0:
        return low
    match constant(rounding):
        case "TIES_TO_EVEN":
            return low + (part > Fraction(1, 2) or (part == Fraction(1, 2) and low % 2 == 1))
        case "TIES_TO_AWAY":
            return low + (part >= Fraction(1, 2))
        case "TO_ODD":
            return low + (low % 2 == 0)
        case name:
            return low + (not _is_towards_zero(name, negative))


def rounded_term(value: Number, name: str) -> Term:
    """A number of a format as a term: aligned by its leading bit, a subnormal as the smallest normal number is."""
    if value.magnitude == 0:
        return Term(value, None)
    return Term(value, max(floor_log2(value.magnitude), smallest_exponent(format_name(name))))


def in_register(total: Fraction, step: Table) -> Fraction:
    """A sum in two's complement of `width` bits, the last one 2^quantum; it wraps or stops at the end."""
    if "width" not in step:
        return total
    unit, half = power(step["quantum"]), 2 ** (step["width"] - 1)
    count = total / unit
    if step.get("saturate"):
        return min(max(count, Fraction(-half)), Fraction(half - 1)) * unit
    wrapped: Fraction = (count + half) % (2 * half) - half
    return wrapped * unit


def groups(count: int, length: int, order: Sequence[int]) -> list[list[int]]:
    """Indices of the terms of each group: `order` over and over, cut into groups, without those beyond the last."""
    window = list(order) or list(range(length))
    found = []
    for base in range(0, count, len(window)):
        for start in range(0, len(window), length):
            members = [base + index for index in window[start : start + length]]
            found.append([index for index in members if index < count])
    return found


def leaves(tree: Any) -> list[int]:
    """The indices in nested sequences."""
    return [tree] if isinstance(tree, int) else [leaf for branch in tree for leaf in leaves(branch)]
