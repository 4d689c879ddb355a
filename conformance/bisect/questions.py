"""Questions to a subject, each about one step of an operation, and the exact numbers that they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from conformance.arrays import Array
from mxemu.formats import ElementFormat, FloatFormat
from mxemu.value import Value

STEPS = {
    "decode": ("decode",),
    "encode": ("exact", "round", "overflow", "specials"),
    "encode-scaled": ("scale", "divide", "round", "overflow", "specials"),
    "quantize": ("scale", "divide", "lanes", "round", "overflow", "specials"),
    "fake_quantize": ("scale", "divide", "lanes", "round", "overflow", "specials"),
    "dequantize": ("decode", "scale", "product", "lanes", "round"),
    "dot": ("decode", "scale", "product", "align", "accumulate", "round"),
    "dot-general": ("decode", "scale", "product", "align", "accumulate", "round"),
    "matmul": ("decode", "scale", "product", "align", "accumulate", "round"),
}
"""The steps of each operation, in the order in which they are done."""


@dataclass(frozen=True)
class Question:
    """Cases that can go wrong at one step if all steps before it are right.

    Attributes
    ----------
    step : str
        Empty where it may be any.
    what : str
        The cases in words.
    rows : ndarray
        In the form of the operation's judge.
    also : tuple of str
        Other steps that these cases cannot tell from this one.
    part : str
        What of a result counts: ``all``, ``scale`` or ``elements`` of a block, or ``any-order``: its elements, wherever
        they are.
    """

    step: str
    what: str
    rows: Array
    also: tuple[str, ...] = ()
    part: str = "all"


def question(
    step: str,
    what: str,
    rows: Iterable[Array | Sequence[int] | None],
    dtype: np.dtype[np.generic],
    also: tuple[str, ...] = (),
    part: str = "all",
) -> Question | None:
    """A question of these rows, each once; None if there is none."""
    listed = [np.asarray(row, dtype) for row in rows if row is not None]
    if not listed:
        return None
    found = np.array(listed)
    _, first = np.unique(found, axis=0, return_index=True)
    return Question(step, what, found[np.sort(first)], also, part)


def times(*factors: Value) -> Value | None:
    """The exact product of numbers; None if one of them is Inf or NaN."""
    sign, significand, exponent = 0, 1, 0
    for one in factors:
        if not one.is_finite:
            return None
        sign, exponent = sign ^ one.sign, exponent + one.exponent
        significand *= one.significand
    return Value(sign, significand, exponent)


def is_exact(value: Value | None, fmt: ElementFormat) -> bool:
    """Whether a carrier has a number as a normal one, or it is zero: then nothing about it is rounded."""
    if value is None or value.is_zero:
        return True
    if not value.is_finite or not isinstance(fmt, FloatFormat):
        return not value.is_finite
    odd = value.significand // (value.significand & -value.significand)
    return fmt.emin <= value.leading <= fmt.emax and odd.bit_length() <= fmt.mantissa_bits + 1
