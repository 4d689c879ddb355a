"""Bit patterns as NumPy arrays: carriers, runs tables by bisection, and the codes that are NaN."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import mxemu
from mxemu.accumulation import Accumulation
from mxemu.block import value_bits
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.profile import InputSubnormals, Profile
from mxemu.runs import runs
from mxemu.scalar import decode
from mxemu.value import Value

Array = NDArray[Any]

VALUE_DTYPES = {
    "binary64": np.float64,
    "binary32": np.float32,
    "binary16": np.float16,
    "bfloat16": np.uint16,
}
BITS_DTYPES = {
    "binary64": np.uint64,
    "binary32": np.uint32,
    "binary16": np.uint16,
    "bfloat16": np.uint16,
}


def as_values(bits: Array, carrier: str) -> Array:
    """The same memory seen as numbers of a carrier; bfloat16 stays uint16 bits."""
    return np.ascontiguousarray(bits, dtype=BITS_DTYPES[carrier]).view(VALUE_DTYPES[carrier])


def as_bits(values: Array, carrier: str) -> Array:
    """The bit patterns of an array of numbers."""
    return np.ascontiguousarray(values, dtype=VALUE_DTYPES[carrier]).view(BITS_DTYPES[carrier])


@lru_cache(maxsize=512)
def _table(
    element: ElementFormat, carrier: FloatFormat, profile: Profile, scale: Value | None = None
) -> tuple[Array, Array]:
    table = runs(element, carrier, profile, scale)
    return np.array(table.firsts, dtype=np.uint64), np.array(table.codes, dtype=np.int64)


def encode_by_runs(
    bits: Array,
    element: ElementFormat,
    carrier: FloatFormat,
    profile: Profile,
    scale: Value | None = None,
) -> Array:
    """Expected codes of many inputs, by bisection in the runs table of the exact core.

    Returns
    -------
    ndarray of int64, shape of ``bits``
    """
    firsts, codes = _table(element, carrier, profile, scale)
    return codes[np.searchsorted(firsts, bits.astype(np.uint64), side="right") - 1]


def scaled_codes(
    bits: Array, scales: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
) -> Array:
    """Expected codes of elements under given scales, shape (n,) each; 0 under a NaN scale, where any code may stand.

    Dividing by a power of two only shifts the exponent, which binary64 does exactly for every narrower carrier.
    """
    keeps = profile.input_subnormals is InputSubnormals.KEEP and carrier.width <= 32
    powers = _powers(fmt.scale)
    if keeps and powers is not None:
        with np.errstate(all="ignore"):
            quotients = np.ldexp(wide_values(bits, carrier), -powers[scales])
        found = mxemu.encode(quotients, fmt.element, profile=profile).astype(np.int64)
    else:
        found = np.zeros(len(bits), dtype=np.int64)
        for scale in np.unique(scales):
            value = decode(int(scale), fmt.scale)
            if value.is_finite:
                own = scales == scale
                found[own] = encode_by_runs(bits[own], fmt.element, carrier, profile, value)
    found[nan_code_mask(fmt.scale)[scales]] = 0
    return found


def wide_values(bits: Array, carrier: FloatFormat) -> Array:
    """The same numbers in binary64, exactly."""
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        if carrier.name == "bfloat16":
            return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
        return as_values(bits, carrier.name).astype(np.float64)


def narrow_bits(values: Array, carrier: FloatFormat) -> Array:
    """Bits of numbers of binary64 in a carrier; to bfloat16 they are cut by way of binary32."""
    if carrier.name == "bfloat16":
        return (as_bits(values.astype(np.float32), "binary32") >> np.uint32(16)).astype(np.uint16)
    return as_bits(values.astype(VALUE_DTYPES[carrier.name]), carrier.name)


@lru_cache(maxsize=16)
def _powers(scale: FloatFormat) -> Array | None:
    """The exponent of every scale code, 0 for NaN; None if not all scales are powers of two."""
    values = [decode(code, scale) for code in range(1 << scale.width)]
    finite = [value for value in values if value.is_finite]
    if any(value.sign or value.significand.bit_count() != 1 for value in finite):
        return None
    return np.array([value.leading if value.is_finite else 0 for value in values])


def equals_runs(
    codes: Array, first: int, element: ElementFormat, carrier: FloatFormat, profile: Profile
) -> bool:
    """Whether unsigned codes are those expected of the inputs first, first + 1, ...; no array of these is made."""
    firsts, expected = _table(element, carrier, profile)
    row = int(np.searchsorted(firsts, first, side="right")) - 1
    start, largest = 0, np.iinfo(codes.dtype).max
    while start < len(codes):
        after = int(firsts[row + 1]) - first if row + 1 < len(firsts) else len(codes)
        code = int(expected[row])
        if code > largest or not (codes[start:after] == codes.dtype.type(code)).all():
            return False
        start, row = after, row + 1
    return True


def nan_code_mask(fmt: ElementFormat) -> Array:
    """Which codes of a format are NaN, as a boolean table of 2^width entries."""
    mask = np.zeros(1 << fmt.width, dtype=bool)
    if isinstance(fmt, FloatFormat):
        mask[list(fmt.nan_codes)] = True
    return mask


def is_nan_bits(bits: Array, carrier: FloatFormat) -> Array:
    """Which inputs are NaN."""
    magnitude = bits & bits.dtype.type(carrier.magnitude_mask)
    return magnitude > bits.dtype.type(carrier.magnitude_mask - len(carrier.nans))


@lru_cache(maxsize=128)
def decode_table(fmt: ElementFormat, carrier: FloatFormat) -> Array:
    """The carrier's bits of every code of a format."""
    codes = range(1 << fmt.width)
    return np.array(
        [value_bits(decode(code, fmt), carrier) for code in codes], dtype=BITS_DTYPES[carrier.name]
    )


def fits(codes: Array, fmt: ElementFormat) -> Array:
    """Which entries are codes of a format at all."""
    return (codes >= 0) & (codes < 1 << fmt.width)


class Dots(NamedTuple):
    """Operands of n dot products.

    Attributes
    ----------
    sa, sb : ndarray of unsigned integers, shape (n, K / k), or None
        Scale codes; None where the format has no scale.
    a, b : ndarray of unsigned integers, shape (n, K)
        Element codes.
    c : ndarray of unsigned integers, shape (n,)
        What is added to the products: bits of ``out``.
    formats : tuple of two formats
        Of a and of b.
    out : FloatFormat
        Of the results.
    """

    sa: Array | None
    a: Array
    sb: Array | None
    b: Array
    c: Array
    formats: tuple[BlockFormat | ElementFormat, BlockFormat | ElementFormat]
    out: FloatFormat

    @property
    def k(self) -> int:
        """The block size; all of K where neither operand has blocks."""
        sizes = [one.k for one in self.formats if isinstance(one, BlockFormat)]
        return sizes[0] if sizes else int(self.a.shape[1])


def dot_bits(dots: Dots, accumulation: Accumulation | str) -> Array:
    """The bits of n dot products under an accumulation.

    Raises
    ------
    BadShape
        When the accumulation is for other lengths.
    """
    pairs = ((dots.sa, dots.a, dots.formats[0]), (dots.sb, dots.b, dots.formats[1]))
    operands = [_operand(*pair) for pair in pairs]
    found: Array = mxemu.dot(
        *operands, c=dots.c, accumulation=accumulation, out=dots.out, bits=True
    )
    return found


def _operand(scales: Array | None, codes: Array, fmt: BlockFormat | ElementFormat) -> Any:
    """Rows of codes as `mxemu.dot` takes them."""
    if not isinstance(fmt, BlockFormat):
        return codes.astype(code_dtype(fmt.width)), fmt
    assert scales is not None
    blocks = codes.reshape(len(codes), -1, fmt.k).astype(code_dtype(fmt.element.width))
    return mxemu.Blocks(blocks, scales.astype(code_dtype(fmt.scale.width)), fmt)


def code_dtype(width: int) -> type[np.unsignedinteger[Any]]:
    """The smallest unsigned dtype for codes of a width in bits."""
    sizes: tuple[tuple[int, type[np.unsignedinteger[Any]]], ...]
    sizes = ((8, np.uint8), (16, np.uint16), (32, np.uint32), (64, np.uint64))
    return next(dtype for bits, dtype in sizes if width <= bits)
