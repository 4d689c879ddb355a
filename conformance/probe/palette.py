"""Numbers that operands can hold: codes for an exponent and a fraction, and products that are powers of two."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from conformance.arrays import Array
from conformance.probe.space import Space
from mxemu.formats import ElementFormat, FloatFormat, IntFormat


class Pair(NamedTuple):
    """The codes of two elements that are multiplied."""

    a: int
    b: int


class Reach(NamedTuple):
    """The exponents of an element format: of its smallest and largest value, and of its smallest normal one."""

    low: int
    high: int
    normal: int


def reach(fmt: ElementFormat) -> Reach:
    """The exponents that elements of a format have."""
    if isinstance(fmt, IntFormat):
        return Reach(-fmt.fraction_bits, fmt.emax, -fmt.fraction_bits)
    low = fmt.min_positive.leading
    return Reach(low, fmt.emax, fmt.emin)


def sign_bit(fmt: ElementFormat, magnitudes: Array, signs: Array) -> Array:
    """Codes of magnitudes with signs (0 or 1)."""
    if isinstance(fmt, IntFormat):
        return np.where(signs, -magnitudes, magnitudes) & ((1 << fmt.width) - 1)
    codes = magnitudes | (signs * fmt.sign_mask)
    # Without a negative zero its code is NaN.
    return codes if fmt.negative_zero else np.where(magnitudes == 0, 0, codes)


def codes_at(fmt: ElementFormat, exponents: Array, fractions: Array, signs: Array) -> Array:
    """Codes of numbers with the leading bit at an exponent.

    Parameters
    ----------
    fmt : element format
    exponents : ndarray of int64
        Beyond the format's they are moved to its ends.
    fractions : ndarray of int64
        The ``mantissa_bits`` bits below the leading one; those that do not fit are cut.
    signs : ndarray of int64
        0 or 1.

    Returns
    -------
    ndarray of int64
    """
    ends, width = reach(fmt), fmt.mantissa_bits
    exponents = np.clip(exponents, ends.low, ends.high)
    significands = (np.int64(1) << width) + (fractions & ((1 << width) - 1))
    if isinstance(fmt, IntFormat):
        lost = width - (exponents - ends.low)
        return sign_bit(fmt, significands >> np.maximum(lost, 0), signs)
    lost = np.maximum(fmt.emin - exponents, 0)
    fields = np.where(lost > 0, 0, exponents - fmt.emin + 1)
    normal = (fields << width) + significands - (np.int64(1) << width)
    magnitudes = np.where(lost > 0, significands >> lost, normal)
    return sign_bit(fmt, np.minimum(magnitudes, fmt.max_code), signs)


@lru_cache(maxsize=1 << 16)
def code_at(fmt: ElementFormat, exponent: int, fraction: int, sign: int) -> int:
    """The code of one number; see `codes_at`. Questions are made of few numbers, each used many times."""
    one = (np.array([given]) for given in (exponent, fraction, sign))
    return int(codes_at(fmt, *one)[0])


class Palette:
    """Products that the operands of a space can make.

    Parameters
    ----------
    space : Space
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.ends = tuple(reach(fmt) for fmt in space.elements)

    @cached_property
    def low(self) -> int:
        """The exponent of the smallest product."""
        return sum(end.low for end in self.ends)

    @cached_property
    def high(self) -> int:
        """The exponent of the largest power of two that is a product."""
        return sum(end.high for end in self.ends)

    @cached_property
    def normal(self) -> int:
        """The exponent of the smallest product of two normal elements."""
        return sum(end.normal for end in self.ends)

    def split(self, exponent: int) -> tuple[int, int]:
        """Exponents of two elements for one of a product, of normal elements where possible."""
        first, second = self.ends
        floor = second.normal if exponent - second.normal >= first.normal else second.low
        left = min(max(exponent // 2, first.normal), first.high, exponent - floor)
        left = max(left, exponent - second.high, first.low)
        return left, exponent - left

    def power(self, exponent: int, sign: int = 0) -> Pair:
        """Codes whose product is 2^exponent, or its negative."""
        return self.product(exponent, 0, 0, sign)

    def product(self, exponent: int, first: int, second: int, sign: int = 0) -> Pair:
        """Codes of two elements with these fractions whose exponents have this sum."""
        left, right = self.split(exponent)
        a, b = self.space.elements
        return Pair(
            code_at(a, left, first & ((1 << a.mantissa_bits) - 1), sign),
            code_at(b, right, second & ((1 << b.mantissa_bits) - 1), 0),
        )

    def random(
        self, rng: np.random.Generator, exponents: Array, plain: float = 0.0
    ) -> tuple[Array, Array]:
        """Codes of random elements whose exponents have these sums.

        Parameters
        ----------
        rng : Generator
        exponents : ndarray of int64
        plain : float
            The share of products that are powers of two.
        """
        first, second = self.ends
        exponents = np.clip(exponents, self.low, self.high)
        lowest = np.maximum(first.low, exponents - second.high)
        highest = np.minimum(first.high, exponents - second.low)
        left = lowest + (rng.random(exponents.shape) * (highest - lowest + 1)).astype(np.int64)
        power = rng.random(exponents.shape) < plain
        codes = []
        for fmt, own in zip(self.space.elements, (left, exponents - left), strict=True):
            fractions = rng.integers(0, 1 << fmt.mantissa_bits, exponents.shape)
            signs = rng.integers(0, 2, exponents.shape)
            codes.append(codes_at(fmt, own, np.where(power, 0, fractions), signs))
        return codes[0], codes[1]

    def negated(self, codes: Array) -> Array:
        """Codes of a with the other sign."""
        fmt = self.space.elements[0]
        if isinstance(fmt, FloatFormat):
            flipped = codes ^ fmt.sign_mask
            magnitudes = codes & fmt.magnitude_mask
            return flipped if fmt.negative_zero else np.where(magnitudes == 0, codes, flipped)
        return -codes & ((1 << fmt.width) - 1)
