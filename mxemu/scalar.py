"""One element: decode, round, overflow, encode. This file is the executable specification of the element formats.

Everything is an integer times a power of two. `encode` does what OFP8 5.2.1 and MX 5.3 describe, in their
order: specials
first, then rounding to the precision of the format with an unbounded exponent, then the overflow rule.
"""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

from mxemu.clauses import implements
from mxemu.errors import BadCode, BadValue
from mxemu.formats import ElementFormat, FloatFormat, IntFormat
from mxemu.formats import carrier as find_carrier
from mxemu.formats import element as find_element
from mxemu.profile import (
    OCP,
    InputSubnormals,
    IntMinimum,
    NanCode,
    NanWithoutCode,
    Overflow,
    Profile,
    Rounding,
    Subnormals,
    ZeroSign,
)
from mxemu.value import INF, NAN, Kind, Value


class Status(IntFlag):
    """What happened in one conversion, as in IEEE 754; SATURATED says that the result was clamped."""

    EXACT = 0
    INEXACT = 1
    OVERFLOW = 2
    UNDERFLOW = 4
    INVALID = 8
    SATURATED = 16

    def names(self) -> tuple[str, ...]:
        """Lower-case names of the bits that are set."""
        return tuple(str(bit.name).lower() for bit in Status if bit and bit in self)


class Encoded(NamedTuple):
    """A code and the status of the conversion that made it."""

    code: int
    status: Status


# Named once: an IntFlag operation costs more than the whole rounding.
_EXACT = Status.EXACT
_INEXACT = Status.INEXACT
_UNDERFLOW = Status.INEXACT | Status.UNDERFLOW
_CLAMPED = Status.INEXACT | Status.OVERFLOW | Status.SATURATED
_CLAMPED_INF = Status.INEXACT | Status.SATURATED
_OVERFLOWED = Status.INEXACT | Status.OVERFLOW


def check_code(code: int, fmt: ElementFormat) -> int:
    """The code itself, if it fits the format's width.

    Raises
    ------
    BadCode
    """
    if not 0 <= code < 1 << fmt.width:
        raise BadCode(
            f"code {code:#x} does not fit {fmt.name}; expected 0 to {(1 << fmt.width) - 1:#x}"
        )
    return code


@implements(
    "MX-5.3-NORMAL",
    "MX-5.3-SUBNORMAL",
    "MX-5.3.1-OFP8",
    "MX-5.3.1-ENC",
    "MX-5.3.2-ENC",
    "MX-5.3.3-ENC",
    "MX-5.3.2-NOSPECIAL",
    "MX-5.3.3-NOSPECIAL",
    "MX-5.4.1-BIAS",
    "MX-5.4.1-RANGE",
    "MX-5.4.1-NAN",
    "MX-5.4.1-NOINF",
    "MX-5.4.1-NOZERO",
    "MX-5.4.1-UNSIGNED",
)
def decode(code: int, fmt: ElementFormat | str, profile: Profile = OCP) -> Value:
    """The exact value of one code.

    Parameters
    ----------
    code : int
        0 to 2^width - 1.
    fmt : FloatFormat, IntFormat or str
    profile : Profile
        Only ``element_subnormals`` matters.

    Returns
    -------
    Value
        The sign of zero, Inf and NaN is kept.

    Raises
    ------
    BadCode
        When the code does not fit the format.

    Examples
    --------
    >>> str(decode(0x5D, "E4M3")), str(decode(0x81, "INT8")), str(decode(0x00, "E8M0"))
    ('26', '-1.984375', '2^-127')
    """
    fmt = find_element(fmt)
    check_code(code, fmt)
    if isinstance(fmt, IntFormat):
        return _decode_int(code, fmt)
    sign, magnitude = int(code & fmt.sign_mask != 0), code & fmt.magnitude_mask
    if magnitude > fmt.max_code:
        return (INF if magnitude == fmt.inf else NAN)._replace(sign=sign)
    if sign and not magnitude and not fmt.negative_zero:
        return NAN
    mantissa_bits = fmt.mantissa_bits
    field = magnitude >> mantissa_bits
    if field or not fmt.subnormals:
        significand = (1 << mantissa_bits) | (magnitude & ((1 << mantissa_bits) - 1))
        return Value(sign, significand, field - fmt.bias - mantissa_bits)
    if profile.element_subnormals is Subnormals.FLUSH:
        return Value(sign, 0, 0)
    return Value(sign, magnitude, 1 - fmt.bias - mantissa_bits)


@implements("MX-5.3.4-ENC", "MX-5.3.4-NOSPECIAL", "MX-5.3.4-NEG2")
def _decode_int(code: int, fmt: IntFormat) -> Value:
    """A two's complement integer times its implied scale; the one code without a counterpart decodes too."""
    number = code - (1 << fmt.width) if code & fmt.min_code else code
    return Value(int(number < 0), abs(number), -fmt.fraction_bits)


def round_to_multiple(
    value: Value, quantum: int, profile: Profile = OCP, random: int = 0
) -> tuple[int, bool]:
    """Round the magnitude of a finite value to a multiple of 2^quantum.

    Parameters
    ----------
    value : Value
        Finite; its sign matters to the directed roundings only.
    quantum : int
        Exponent of the unit in the last place.
    profile : Profile
        ``rounding``, and for STOCHASTIC ``random_bits``.
    random : int
        The random word of STOCHASTIC, 0 to 2^random_bits - 1.

    Returns
    -------
    multiple : int
        The rounded magnitude divided by 2^quantum.
    inexact : bool
    """
    shift = quantum - value.exponent
    if shift <= 0:
        return value.significand << -shift, False
    kept = value.significand >> shift
    dropped = value.significand & ((1 << shift) - 1)
    if not dropped:
        return kept, False
    if _rounds_up(kept, dropped, shift, value.sign, profile, random):
        kept += 1
    return kept, True


@implements("MX-5.3.2-RNE", "MX-5.3.3-RNE", "MX-5.3.4-RNE", "MX-6.3-RNE")
@implements("MX-5.3.2-RND", "MX-5.3.3-RND", "MX-5.3.4-RND", "MX-6.3-RND")
def _rounds_up(
    kept: int, dropped: int, shift: int, sign: int, profile: Profile, random: int
) -> bool:
    """Whether a magnitude between kept and kept + 1 goes up; ``dropped`` / 2^shift is the part between, not 0."""
    half = 1 << (shift - 1)
    match profile.rounding:
        case Rounding.TIES_TO_EVEN:
            return dropped > half or (dropped == half and kept & 1 == 1)
        case Rounding.TIES_TO_AWAY:
            return dropped >= half
        case Rounding.TOWARD_ZERO:
            return False
        case Rounding.TOWARD_POSITIVE:
            return not sign
        case Rounding.TOWARD_NEGATIVE:
            return sign == 1
        case Rounding.TO_ODD:
            return kept & 1 == 0
        case Rounding.STOCHASTIC:
            bits = profile.random_bits
            if not 0 <= random < 1 << bits:
                raise BadValue(f"random word {random} has more than random_bits = {bits} bits")
            return ((dropped << bits) >> shift) + random >= 1 << bits


@implements("MX-6.3-ELEM")
def encode(
    value: Value, fmt: ElementFormat | str, profile: Profile = OCP, random: int = 0
) -> Encoded:
    """Convert one exact value to a code.

    Parameters
    ----------
    value : Value
    fmt : FloatFormat, IntFormat or str
    profile : Profile
    random : int
        The random word, for STOCHASTIC rounding only.

    Returns
    -------
    Encoded
        ``code`` and ``status``.

    Notes
    -----
    Free choices: rounding, overflow, subnormals, sign of zero, code of NaN, the integer minimum.

    Examples
    --------
    >>> encode(Value(0, 464, 0), "E4M3")
    Encoded(code=126, status=<Status.INEXACT: 1>)
    >>> encode(Value(0, 465, 0), "E4M3", OCP.replace(overflow="overflow")).code == 0x7F
    True
    """
    fmt = find_element(fmt)
    if isinstance(fmt, FloatFormat) and not fmt.subnormals:
        raise BadValue(
            f"{fmt.name} has no zero, so no clause defines a conversion to it; use scale.encode_scale"
        )
    if value.kind is Kind.NAN:
        return _encode_nan(value.sign, fmt, profile)
    if isinstance(fmt, IntFormat):
        return _encode_int(value, fmt, profile, random)
    if value.sign and not fmt.signed:
        raise BadValue(f"{value} has a sign and {fmt.name} has none; use scale.encode_scale")
    if value.kind is Kind.INF:
        return _encode_inf(value.sign, fmt, profile)
    return _encode_finite(value, fmt, profile, random)


@implements("MX-5.3.2-UFLOW", "MX-5.3.3-UFLOW", "MX-6.3-CLAMP")
def _encode_finite(value: Value, fmt: FloatFormat, profile: Profile, random: int) -> Encoded:
    """Round at the precision that the exponent leaves, then compare with the largest finite value."""
    significand = value.significand
    if not significand:
        return _zero(value.sign, fmt, profile, _EXACT)
    leading = significand.bit_length() - 1 + value.exponent
    mantissa_bits, emin = fmt.mantissa_bits, fmt.emin
    exponent = max(leading, emin)
    multiple, inexact = round_to_multiple(value, exponent - mantissa_bits, profile, random)
    # The exponent field of a normal number adds to the hidden bit of the multiple, so a carry out of the mantissa
    # lands in the field by itself, and a subnormal that rounds up to the smallest normal becomes it.
    magnitude = ((exponent - emin) << mantissa_bits) + multiple
    if magnitude > fmt.max_code:
        return _overflow(value.sign, fmt, profile)
    tiny = leading < emin and inexact
    status = _UNDERFLOW if tiny else _INEXACT if inexact else _EXACT
    if magnitude < 1 << mantissa_bits:
        if magnitude and profile.element_subnormals is Subnormals.FLUSH:
            return _zero(value.sign, fmt, profile, _UNDERFLOW)
        if not magnitude:
            return _zero(value.sign, fmt, profile, status)
    return Encoded(magnitude | fmt.sign_mask if value.sign else magnitude, status)


def _zero(sign: int, fmt: FloatFormat, profile: Profile, status: Status) -> Encoded:
    """Zero with the sign that the profile and the format allow."""
    keeps = sign and fmt.negative_zero and profile.zero_sign is ZeroSign.KEEP
    return Encoded(fmt.sign_mask if keeps else 0, status)


@implements(
    "MX-5.3.1-SAT",
    "MX-5.3.1-OVF",
    "MX-5.3.2-SAT",
    "MX-5.3.3-SAT",
    "MX-5.3.2-OVFATTR",
    "MX-5.3.3-OVFATTR",
)
def _overflow(sign: int, fmt: FloatFormat, profile: Profile) -> Encoded:
    """A finite value whose rounded magnitude is above the largest finite one."""
    special = _overflow_code(fmt)
    if special is None or profile.overflow is Overflow.SATURATE:
        return Encoded(_signed(fmt.max_code, sign, fmt), _CLAMPED)
    if _stops_at_max(sign, profile.rounding):
        return Encoded(_signed(fmt.max_code, sign, fmt), _CLAMPED)
    return Encoded(_signed(special, sign, fmt), _OVERFLOWED)


def _stops_at_max(sign: int, rounding: Rounding) -> bool:
    """IEEE 754 4.3.2: a rounding towards zero for this sign never leaves the finite numbers; nor does TO_ODD."""
    match rounding:
        case Rounding.TIES_TO_EVEN | Rounding.TIES_TO_AWAY | Rounding.STOCHASTIC:
            return False
        case Rounding.TOWARD_ZERO | Rounding.TO_ODD:
            return True
        case Rounding.TOWARD_POSITIVE:
            return sign == 1
        case Rounding.TOWARD_NEGATIVE:
            return sign == 0


@implements("MX-5.3.2-INF", "MX-5.3.3-INF")
def _encode_inf(sign: int, fmt: FloatFormat, profile: Profile) -> Encoded:
    """Inf: kept, turned into NaN, or clamped like any other value beyond range."""
    special = _overflow_code(fmt)
    if special is None or profile.overflow is Overflow.SATURATE:
        return Encoded(_signed(fmt.max_code, sign, fmt), _CLAMPED_INF if fmt.has_inf else _CLAMPED)
    if fmt.has_inf:
        return Encoded(_signed(special, sign, fmt), _EXACT)
    return Encoded(_signed(special, sign, fmt), _OVERFLOWED)


def _overflow_code(fmt: FloatFormat) -> int | None:
    """The code that OVERFLOW produces for a positive value: Inf, else NaN, else none."""
    if fmt.inf is not None:
        return fmt.inf
    if not fmt.negative_zero:
        return fmt.sign_mask
    return fmt.nans[-1] if len(fmt.nans) else None


def _signed(magnitude: int, sign: int, fmt: FloatFormat) -> int:
    return magnitude | fmt.sign_mask if sign else magnitude


@implements("MX-5.3.2-NAN", "MX-5.3.3-NAN", "MX-5.3.4-NAN")
def _encode_nan(sign: int, fmt: ElementFormat, profile: Profile) -> Encoded:
    """NaN: one of the format's NaN codes, or what the profile puts in its place (invalid)."""
    if isinstance(fmt, IntFormat) or not fmt.has_nan:
        return Encoded(_nan_substitute(sign, fmt, profile), Status.INVALID)
    if not fmt.negative_zero:
        return Encoded(fmt.sign_mask, _EXACT)
    quiet = fmt.magnitude_mask ^ (1 << fmt.mantissa_bits >> 1) - 1
    match profile.nan_code:
        case NanCode.QUIET_KEEP_SIGN:
            magnitude = quiet if quiet in fmt.nans else fmt.nans[-1]
        case NanCode.ALL_ONES_KEEP_SIGN:
            magnitude = fmt.nans[-1]
        case NanCode.ALL_ONES_POSITIVE:
            magnitude, sign = fmt.nans[-1], 0
    return Encoded(_signed(magnitude, sign, fmt), _EXACT)


def _nan_substitute(sign: int, fmt: ElementFormat, profile: Profile) -> int:
    """The code that stands for NaN in a format without NaN."""
    match profile.nan_without_code:
        case NanWithoutCode.MAX_POSITIVE:
            magnitude, sign = fmt.max_code, 0
        case NanWithoutCode.MAX_KEEP_SIGN:
            magnitude = fmt.max_code
        case NanWithoutCode.ZERO_POSITIVE:
            magnitude, sign = 0, 0
        case NanWithoutCode.ZERO_KEEP_SIGN:
            magnitude = 0
        case NanWithoutCode.ZERO_FLIP_SIGN:
            magnitude, sign = 0, 1 - sign
    if isinstance(fmt, IntFormat):
        return -magnitude & ((1 << fmt.width) - 1) if sign else magnitude
    return _signed(magnitude, sign, fmt)


@implements("MX-5.3.4-SAT", "MX-5.3.4-INF", "MX-5.3.4-OVFATTR")
def _encode_int(value: Value, fmt: IntFormat, profile: Profile, random: int) -> Encoded:
    """Round to a multiple of the implied scale, clamp, and write in two's complement."""
    largest = fmt.max_code
    if value.sign and profile.int_minimum is IntMinimum.ALLOW:
        largest += 1
    if value.kind is Kind.INF:
        multiple, status = largest, _CLAMPED
    else:
        multiple, inexact = round_to_multiple(value, -fmt.fraction_bits, profile, random)
        status = _INEXACT if inexact else _EXACT
    if multiple > largest:
        multiple, status = largest, _CLAMPED
    return Encoded(-multiple & ((1 << fmt.width) - 1) if value.sign else multiple, status)


def carry_in(bits: int, carrier: FloatFormat, profile: Profile = OCP) -> Value:
    """The exact value of an input's bits, subnormals flushed if the profile says so."""
    value = decode(bits, carrier)
    if profile.input_subnormals is InputSubnormals.FLUSH and is_subnormal(bits, carrier):
        return Value(value.sign, 0, 0)
    return value


def is_subnormal(bits: int, carrier: FloatFormat) -> bool:
    """Whether the bits are a subnormal number of the carrier, zero not included."""
    return 0 < bits & carrier.magnitude_mask < 1 << carrier.mantissa_bits


def encode_bits(
    bits: int,
    carrier: FloatFormat | str,
    fmt: ElementFormat | str,
    profile: Profile = OCP,
    random: int = 0,
) -> Encoded:
    """Convert the bits of a binary64, binary32, binary16 or bfloat16 number to a code, rounding once.

    Parameters
    ----------
    bits : int
        The input's bit pattern.
    carrier : FloatFormat or str
        Its format, such as ``"binary32"``.
    fmt : FloatFormat, IntFormat or str
    profile : Profile
    random : int

    Returns
    -------
    Encoded

    Examples
    --------
    >>> hex(encode_bits(0x43E80000, "binary32", "E4M3").code)  # 464, a tie
    '0x7e'
    """
    return encode(carry_in(bits, find_carrier(carrier), profile), fmt, profile, random)
