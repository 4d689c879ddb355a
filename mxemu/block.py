"""One block: quantize k values to a scale and k codes, and back, exactly (MX 5.1 and 6.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mxemu.clauses import implements
from mxemu.errors import BadShape, BadValue
from mxemu.formats import BINARY32, BlockFormat, FloatFormat
from mxemu.formats import block_format as find_block_format
from mxemu.formats import carrier as find_carrier
from mxemu.profile import OCP, InputSubnormals, OutOfBinary32, Profile, ScaleNan
from mxemu.scalar import Encoded, Status, carry_in, decode, encode
from mxemu.scale import amax, scale_code
from mxemu.value import INF, NAN, Kind, Value, divide


class Quantized(NamedTuple):
    """A block: the scale code, k element codes, and the status of each conversion."""

    scale: int
    codes: tuple[int, ...]
    status: tuple[Status, ...]


@implements("MX-6.3-MECH", "MX-6.3-ELEM", "MX-5.1-BLOCK")
def quantize(
    values: Sequence[Value],
    fmt: BlockFormat | str,
    profile: Profile = OCP,
    random: Sequence[int] | None = None,
    tensor_scale: Value | None = None,
) -> Quantized:
    """Quantize one block of k exact values.

    Parameters
    ----------
    values : sequence of Value, length k
    fmt : BlockFormat or str
    profile : Profile
    random : sequence of int, length k, optional
        Random words, one an element, for STOCHASTIC rounding.
    tensor_scale : Value, optional
        A second scale above all blocks (NVFP4): every value is divided by it, exactly, before anything else.

    Returns
    -------
    Quantized

    Raises
    ------
    BadShape
        When there are not k values.
    BadValue
        When the tensor scale is no finite number above zero.

    Notes
    -----
    Element codes under a NaN scale mean nothing (MX 4 leaves them open); they are 0 here.
    """
    fmt = find_block_format(fmt)
    _check_length(len(values), fmt)
    words = random if random is not None else (0,) * fmt.k
    _check_length(len(words), fmt)
    check_tensor_scale(tensor_scale)
    values = [divide(value, tensor_scale) for value in values]
    largest = amax(values, profile)
    code = scale_code(largest, fmt, profile)
    scale = decode(code, fmt.scale)
    if scale.kind is Kind.NAN:
        return Quantized(code, (0,) * fmt.k, (Status.EXACT,) * fmt.k)
    element = fmt.element
    encoded = [
        encode(divide(value, scale), element, profile, word)
        for value, word in zip(values, words, strict=True)
    ]
    return Quantized(
        code, tuple([one.code for one in encoded]), tuple([one.status for one in encoded])
    )


def quantize_bits(
    bits: Sequence[int],
    carrier: FloatFormat | str,
    fmt: BlockFormat | str,
    profile: Profile = OCP,
    random: Sequence[int] | None = None,
    tensor_scale: Value | None = None,
) -> Quantized:
    """Quantize one block given as bit patterns of a carrier format; see `quantize`.

    Examples
    --------
    >>> block = quantize_bits([0x40E00000] + [0] * 31, "binary32", "MXFP4")  # 7.0 and zeros
    >>> hex(block.scale), block.codes[:2]
    ('0x7f', (7, 0))
    """
    values = inputs(bits, find_carrier(carrier), profile)
    return quantize(values, fmt, profile, random, tensor_scale)


@implements("MX-6.3-ELEM")
def encode_scaled(
    value: Value, scale: int, fmt: BlockFormat | str, profile: Profile = OCP, random: int = 0
) -> Encoded:
    """One element of a block whose scale is known: value / scale, rounded once.

    Parameters
    ----------
    value : Value
    scale : int
        Scale code.
    fmt : BlockFormat or str
    profile : Profile
    random : int
        Random word for STOCHASTIC rounding.

    Returns
    -------
    Encoded
        Under a NaN scale the code means nothing (MX 4 leaves it open); it is 0 here.

    Raises
    ------
    BadValue
        For a scale that nothing can be divided by: zero or negative, which E8M0 does not have.

    Examples
    --------
    >>> encode_scaled(Value(0, 7, 0), 0x80, "MXFP4").code  # 7 / 2 is a tie, and becomes 4
    6
    """
    fmt = find_block_format(fmt)
    factor = decode(scale, fmt.scale)
    if factor.kind is Kind.NAN:
        return Encoded(0, Status.EXACT)
    if factor.is_zero or factor.sign:
        raise BadValue(f"scale {scale:#x} of {fmt.scale} is {factor}; expected a number above 0")
    return encode(divide(value, factor), fmt.element, profile, random)


def check_tensor_scale(scale: Value | None) -> None:
    """Refuse a second scale that nothing can be divided by.

    Raises
    ------
    BadValue
    """
    if scale is not None and (not scale.is_finite or scale.is_zero or scale.sign):
        raise BadValue(f"tensor_scale = {scale}; expected a finite number above 0")


def inputs(bits: Sequence[int], carrier: FloatFormat, profile: Profile = OCP) -> list[Value]:
    """The exact values of a block of inputs, subnormals flushed one by one or all together if the profile says so."""
    values = [carry_in(pattern, carrier, profile) for pattern in bits]
    if profile.input_subnormals is not InputSubnormals.FLUSH_BLOCK:
        return values
    if any(value.significand and value.leading >= carrier.emin for value in values):
        return values
    return [Value(value.sign, 0, 0) if value.kind is Kind.FINITE else value for value in values]


@implements("MX-5.1-VALUE", "MX-5.1-NANSCALE", "MX-5.1-SPECIAL", "MX-4-SCOPE-NANELEM")
def dequantize(
    scale: int,
    codes: Sequence[int],
    fmt: BlockFormat | str,
    profile: Profile = OCP,
    tensor_scale: Value | None = None,
) -> tuple[Value, ...]:
    """The exact values of a block.

    Parameters
    ----------
    scale : int
        Scale code.
    codes : sequence of int, length k
    fmt : BlockFormat or str
    profile : Profile
        ``scale_nan`` and ``element_subnormals`` matter.
    tensor_scale : Value, optional
        A second scale above all blocks; every value is multiplied by it.

    Returns
    -------
    tuple of Value, length k

    Raises
    ------
    BadShape, BadCode, BadValue
    """
    fmt = find_block_format(fmt)
    _check_length(len(codes), fmt)
    check_tensor_scale(tensor_scale)
    factor = _decode_scale(scale, fmt, profile)
    if tensor_scale is not None:
        factor = _multiply(factor, tensor_scale)
    return tuple([_multiply(decode(code, fmt.element, profile), factor) for code in codes])


def _decode_scale(code: int, fmt: BlockFormat, profile: Profile) -> Value:
    """The value of a scale code, with the misreadings of the NaN code that a profile can ask for."""
    factor = decode(code, fmt.scale)
    if factor.kind is Kind.NAN:
        match profile.scale_nan:
            case ScaleNan.NAN:
                return factor
            case ScaleNan.POWER:
                return Value(0, 1, fmt.scale.max.leading + 1)
            case ScaleNan.INF:
                return INF
    return factor


def _multiply(element: Value, scale: Value) -> Value:
    """X * P: NaN scales win, special elements ignore the scale, everything else is an exact product."""
    if scale.kind is Kind.NAN:
        return NAN
    if element.kind is not Kind.FINITE:
        return element
    if scale.kind is Kind.INF:
        return NAN if element.is_zero else INF._replace(sign=element.sign)
    sign, significand = element.sign ^ scale.sign, element.significand * scale.significand
    return Value(sign, significand, element.exponent + scale.exponent)


def dequantize_bits(
    scale: int,
    codes: Sequence[int],
    fmt: BlockFormat | str,
    profile: Profile = OCP,
    carrier: FloatFormat | str = BINARY32,
    tensor_scale: Value | None = None,
) -> tuple[int, ...]:
    """The values of a block as bit patterns, binary32 unless another carrier is named.

    Returns
    -------
    tuple of int, length k
        NaN is the positive quiet NaN without payload.

    Notes
    -----
    In binary32 every finite product within range is exact; narrower carriers round TIES_TO_EVEN.
    Beyond the largest finite value the profile's ``out_of_binary32`` decides (MX 5.1 leaves it open).

    Examples
    --------
    >>> [hex(bits) for bits in dequantize_bits(0x80, [0x7] + [0] * 31, "MXFP4")][:2]  # 6 * 2
    ['0x41400000', '0x0']
    """
    carrier = find_carrier(carrier)
    values = dequantize(scale, codes, fmt, profile, tensor_scale)
    return tuple([value_bits(value, carrier, profile) for value in values])


@implements("MX-5.1-OVF32")
def value_bits(value: Value, carrier: FloatFormat | str = BINARY32, profile: Profile = OCP) -> int:
    """The bits of an exact value in a carrier format."""
    carrier = find_carrier(carrier)
    if value.kind is Kind.NAN:
        return carrier.max_code + 1 + (1 << (carrier.mantissa_bits - 1))
    bits, status = encode(value, carrier, _CARRIER)
    if value.kind is Kind.INF or Status.OVERFLOW not in status:
        return bits
    match profile.out_of_binary32:
        case OutOfBinary32.INF:
            return bits
        case OutOfBinary32.LARGEST:
            return carrier.max_code | (carrier.sign_mask if value.sign else 0)
        case OutOfBinary32.NAN:
            return value_bits(NAN, carrier)


_CARRIER = OCP.replace(overflow="overflow")


def _check_length(length: int, fmt: BlockFormat) -> None:
    if length != fmt.k:
        raise BadShape(f"a block of {length} elements; {fmt.name} has k = {fmt.k} (MX-6.3-MECH)")
