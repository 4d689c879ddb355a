"""The shared scale of a block: largest magnitude, shared exponent, scale code. No logarithm is taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from mxemu.clauses import implements
from mxemu.errors import BadFormat
from mxemu.formats import BINARY32, BlockFormat, ElementFormat, FloatFormat
from mxemu.profile import (
    OCP,
    AmaxNan,
    InfBlock,
    NanBlock,
    Profile,
    ScaleArithmetic,
    ScaleCast,
    ScaleOverflow,
    ScaleRule,
    ScaleSpecial,
    StepPoint,
    ZeroBlock,
)
from mxemu.runs import Run, step_rows
from mxemu.scalar import Status, decode, encode, round_to_multiple
from mxemu.value import INF, NAN, ZERO, Kind, Value, compare_magnitudes, divide, quotient


@dataclass(frozen=True)
class Threshold:
    """A point of the binade [1, 2) at which a scale rule steps, as the square of a rational.

    Squares keep rules that step at sqrt(2) exact. ``strict`` steps above the point, not at it.
    """

    square_numerator: int
    square_denominator: int
    strict: bool

    def passed_by(self, significand: int, unit: int) -> bool:
        """Whether significand / unit lies beyond the threshold."""
        left = significand * significand * self.square_denominator
        right = self.square_numerator * unit * unit
        return left > right if self.strict else left >= right


@lru_cache(maxsize=256)
def step_threshold(point: StepPoint, element: ElementFormat) -> Threshold:
    """The step point of a scale rule for one element format (largest value M * 2^emax, m mantissa bits)."""
    top = element.max.significand
    unit = 1 << (top.bit_length() - 1)
    square = (top * top, unit * unit)
    carry = 2 << element.mantissa_bits
    round_up = ((2 * carry - 1) ** 2, carry * carry)
    match point:
        case StepPoint.ABOVE_ONE:
            return Threshold(1, 1, strict=True)
        case StepPoint.FROM_ONE_AND_A_HALF:
            return Threshold(9, 4, strict=False)
        case StepPoint.ABOVE_MAX:
            return Threshold(*square, strict=True)
        case StepPoint.FROM_MAX:
            return Threshold(*square, strict=False)
        case StepPoint.FROM_ROUND_UP:
            return Threshold(*round_up, strict=False)
        case StepPoint.ABOVE_ROUND_UP:
            return Threshold(*round_up, strict=True)
        case StepPoint.FROM_SEVEN_QUARTERS:
            return Threshold(49, 16, strict=False)
        case StepPoint.FROM_SQRT2:
            return Threshold(2, 1, strict=False)
        case StepPoint.FROM_MAX_OVER_SQRT2:
            return Threshold(square[0], 2 * square[1], strict=False)
        case StepPoint.FROM_MAX_TIMES_SQRT2:
            return Threshold(2 * square[0], square[1], strict=False)


def amax(values: Iterable[Value], profile: Profile = OCP) -> Value:
    """The largest magnitude of a block, as a value with sign 0.

    Parameters
    ----------
    values : iterable of Value
    profile : Profile
        ``amax_nan``, ``inf_block`` and ``amax_floor`` matter.

    Returns
    -------
    Value
        NaN or Inf if one of the values is, unless the profile leaves it out.
    """
    largest = ZERO
    inf = False
    for value in values:
        if value.kind is Kind.FINITE:
            if value.significand and compare_magnitudes(value, largest) > 0:
                largest = value
        elif value.kind is Kind.INF:
            inf = True
        elif profile.amax_nan is AmaxNan.PROPAGATE:
            return NAN
    if inf and profile.inf_block is not InfBlock.FINITE_AMAX:
        return INF
    floor = profile.amax_floor
    if floor is not None and compare_magnitudes(floor, largest) > 0:
        return floor
    return largest.magnitude()


@implements("MX-6.3-SCALE")
def shared_exponent(largest: Value, element: ElementFormat, rule: ScaleRule) -> int:
    """The exponent of the scale before clamping, from a finite largest magnitude above zero.

    With FLOOR this is (largest power of two <= amax) / (largest power of two of the element format), as an exponent.

    Parameters
    ----------
    largest : Value
        Finite, not zero.
    element : FloatFormat or IntFormat
    rule : ScaleRule
        Any rule whose scales are powers of two.

    Returns
    -------
    int
        Exponent of a power of two.

    Examples
    --------
    >>> from mxemu.formats import E2M1
    >>> from mxemu.profile import FLOOR, RCEIL
    >>> shared_exponent(Value(0, 7, 0), E2M1, FLOOR), shared_exponent(Value(0, 7, 0), E2M1, RCEIL)
    (0, 1)
    """
    if rule.arithmetic in (
        ScaleArithmetic.BINARY32_QUOTIENT,
        ScaleArithmetic.BINARY32_QUOTIENT_SUBNORMAL_UP,
    ):
        return _exponent_of_rounded_quotient(largest, element, rule.arithmetic)
    unit = 1 << (largest.significand.bit_length() - 1)
    steps = sum(
        step_threshold(point, element).passed_by(largest.significand, unit) for point in rule.steps
    )
    return largest.leading - element.emax + rule.offset + steps


def _exponent_of_rounded_quotient(
    largest: Value, element: ElementFormat, arithmetic: ScaleArithmetic
) -> int:
    """RCEIL of amax / max computed in binary32: the quotient is rounded first, then its exponent is rounded up."""
    exact = quotient(largest, element.max)
    quantum = max(exact.leading, BINARY32.emin) - BINARY32.mantissa_bits
    multiple, _ = round_to_multiple(exact, quantum)
    rounded = Value(0, multiple, quantum)
    if rounded.is_zero:
        return _SMALLEST_E8M0
    if (
        arithmetic is ScaleArithmetic.BINARY32_QUOTIENT_SUBNORMAL_UP
        and rounded.leading < BINARY32.emin
    ):
        return BINARY32.emin
    return rounded.leading + (not _is_power_of_two(rounded))


_SMALLEST_E8M0 = -127


def _is_power_of_two(value: Value) -> bool:
    return value.significand & (value.significand - 1) == 0


@implements("MX-6.3-SCALE")
def scale_code(largest: Value, fmt: BlockFormat, profile: Profile = OCP) -> int:
    """The scale code of a block, special cases and clamping included.

    Parameters
    ----------
    largest : Value
        From `amax`: finite, Inf or NaN.
    fmt : BlockFormat
    profile : Profile

    Returns
    -------
    int

    Raises
    ------
    BadFormat
        When the rule and the scale format do not go together.
    """
    return _clamped(_code_before_clamp(largest, fmt, profile), fmt.scale, profile)


def _code_before_clamp(largest: Value, fmt: BlockFormat, profile: Profile) -> int:
    """NaN, Inf and zero by their policies, everything else by the scale rule."""
    scale = fmt.scale
    if largest.kind is Kind.NAN:
        return _nan_block_code(scale, profile.nan_block)
    if largest.kind is Kind.INF:
        return _nan_or(scale.max_code, scale, wanted=profile.inf_block is InfBlock.SCALE_NAN)
    if largest.significand:
        return _rule_code(largest, fmt, profile)
    match profile.zero_block:
        case ZeroBlock.SMALLEST:
            return smallest_code(scale)
        case ZeroBlock.ONE:
            return encode_scale(Value(0, 1, 0), scale)
        case ZeroBlock.AS_TWO:
            return _rule_code(Value(0, 1, 1), fmt, profile)
        case ZeroBlock.AS_MIN_NORMAL:
            return _rule_code(BINARY32.min_normal, fmt, profile)


def _nan_block_code(scale: FloatFormat, policy: NanBlock) -> int:
    """The scale of a block whose largest magnitude is NaN."""
    match policy:
        case NanBlock.SCALE_NAN:
            return _nan_or(smallest_code(scale), scale, wanted=True)
        case NanBlock.SCALE_SMALLEST:
            return smallest_code(scale)
        case NanBlock.SCALE_LARGEST:
            return scale.max_code


def _nan_or(code: int, scale: FloatFormat, *, wanted: bool) -> int:
    """The NaN code when it is wanted and exists, else the given one."""
    if not (wanted and scale.has_nan):
        return code
    return scale.nans[0] if len(scale.nans) else scale.sign_mask


def _rule_code(largest: Value, fmt: BlockFormat, profile: Profile) -> int:
    """The code that the scale rule gives, within the range of the scale format."""
    scale, rule = fmt.scale, profile.scale_rule
    if rule.ratio:
        return encode_scale(quotient(largest, fmt.element.max), scale, profile)
    exponent = shared_exponent(largest, fmt.element, rule)
    carries = rule.arithmetic is ScaleArithmetic.BINARY32_CARRY
    if carries and exponent + fmt.element.emax > BINARY32.emax >= largest.leading:
        return _nan_or(scale.max_code, scale, wanted=True)
    if exponent > scale.max.leading:
        too_large = profile.scale_overflow is ScaleOverflow.NAN
        return _nan_or(scale.max_code, scale, wanted=too_large)
    if exponent < scale.min_positive.leading:
        return smallest_code(scale)
    return encode_scale(Value(0, 1, exponent), scale)


def smallest_code(scale: FloatFormat) -> int:
    """The code of the smallest scale above zero."""
    return 1 if scale.subnormals else 0


def _clamped(code: int, scale: FloatFormat, profile: Profile) -> int:
    """The code within the profile's clamp; NaN is left alone."""
    if profile.scale_clamp is None or decode(code, scale).is_nan:
        return code
    low, high = max(profile.scale_clamp[0], smallest_code(scale)), profile.scale_clamp[1]
    if high > scale.max_code:
        raise BadFormat(
            f"scale_clamp ends at {high:#x}; the largest scale code of {scale.name} is {scale.max_code:#x}"
        )
    return min(max(code, low), high)


def scale_rows(
    carrier: FloatFormat,
    fmt: BlockFormat,
    profile: Profile = OCP,
    tensor_scale: Value | None = None,
) -> tuple[Run, ...]:
    """The scale code as a step function of the bits of a block's largest magnitude.

    Parameters
    ----------
    carrier : FloatFormat
        Of the largest magnitude; its sign bit is 0.
    fmt : BlockFormat
    profile : Profile
        ``input_subnormals`` is for the caller: it decides what the largest magnitude is.
    tensor_scale : Value, optional
        The largest magnitude is divided by it first, see `block.quantize`.

    Returns
    -------
    tuple of Run
        Rows of first bits and code, from 0 to the last NaN.

    Examples
    --------
    >>> from mxemu.formats import BFLOAT16, MXFP4_E2M1
    >>> [run.code for run in scale_rows(BFLOAT16, MXFP4_E2M1) if run.first in (0, 0x40C0, 0x4100, 0x7F81)]
    [0, 128, 255]
    """

    def largest(bits: int) -> Value:
        return divide(decode(bits, carrier), tensor_scale)

    def code_of(bits: int) -> int:
        return scale_code(amax([largest(bits)], profile), fmt, profile)

    if profile.scale_rule.arithmetic is not ScaleArithmetic.BINARY32_CARRY:
        return step_rows(code_of, carrier)
    # A carry out of binary32 makes NaN below 2^128; a wider carrier has numbers above it again.
    beyond = step_rows(lambda bits: int(_is_beyond_binary32(largest(bits))), carrier)
    return step_rows(code_of, carrier, splits=[run.first for run in beyond])


def _is_beyond_binary32(value: Value) -> bool:
    return value.kind is not Kind.FINITE or (
        value.significand > 0 and value.leading > BINARY32.emax
    )


def encode_scale(value: Value, scale: FloatFormat, profile: Profile = OCP) -> int:
    """Convert one number to a scale code; a scale is never zero or negative.

    Parameters
    ----------
    value : Value
    scale : FloatFormat
    profile : Profile
        ``scale_cast``, ``scale_zero``, ``scale_negative`` and ``scale_overflow`` matter. For a scale format
        with a mantissa the rounding is TIES_TO_EVEN.

    Returns
    -------
    int

    Notes
    -----
    No clause defines this conversion: it is the profile's choice alone.

    Examples
    --------
    >>> from mxemu.formats import E8M0
    >>> encode_scale(Value(0, 3, -1), E8M0), encode_scale(Value(0, 3, -1), E8M0, OCP.replace(scale_cast="toward-zero"))
    (128, 127)
    """
    negative = value.sign == 1 and not value.is_zero
    if value.kind is Kind.NAN:
        return _nan_or(scale.max_code, scale, wanted=True)
    if negative and profile.scale_negative is not ScaleSpecial.MAGNITUDE:
        refused = profile.scale_negative is ScaleSpecial.NAN
        return _nan_or(smallest_code(scale), scale, wanted=refused)
    if value.is_zero:
        refused = profile.scale_zero is ScaleSpecial.NAN
        return _nan_or(smallest_code(scale), scale, wanted=refused)
    code = _code_of_magnitude(value.magnitude(), scale, profile.scale_cast)
    if code > scale.max_code:
        too_large = profile.scale_overflow is ScaleOverflow.NAN
        return _nan_or(scale.max_code, scale, wanted=too_large)
    return max(code, smallest_code(scale))


def _code_of_magnitude(value: Value, scale: FloatFormat, cast: ScaleCast) -> int:
    """The code of a magnitude above zero; beyond the largest finite code for what is too large."""
    if value.kind is Kind.INF:
        return scale.max_code + 1
    if not scale.subnormals:
        if scale.mantissa_bits:
            raise BadFormat(f"{scale.name}: a scale format without zero has no mantissa, as E8M0")
        return _cast_to_power(value, scale, cast)
    code, status = encode(value, scale)
    return scale.max_code + 1 if Status.OVERFLOW in status else code


def _cast_to_power(value: Value, scale: FloatFormat, cast: ScaleCast) -> int:
    """The code of the power of two that a positive number is rounded to; the caller clamps it."""
    code = value.leading + scale.bias
    unit = 1 << (value.significand.bit_length() - 1)
    twice, tie = 2 * value.significand, 3 * unit
    above = value.significand != unit
    subnormal = value.leading < BINARY32.emin
    match cast:
        case ScaleCast.TIES_TO_EVEN:
            return code + (twice > tie or (twice == tie and code & 1))
        case ScaleCast.TIES_TO_AWAY:
            return code + (twice >= tie)
        case ScaleCast.TIES_TO_AWAY_BINARY32:
            return code + (above if subnormal else twice >= tie)
        case ScaleCast.TOWARD_ZERO:
            return code
        case ScaleCast.TOWARD_POSITIVE:
            return code + above
        case ScaleCast.SUBNORMAL_UP:
            return max(code, 1) if subnormal else code + above
