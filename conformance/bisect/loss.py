"""Whether a single product that lost bits was cut by the multiplier, or by the register that it is added to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from conformance.arrays import Array
from conformance.bisect.of_products import Products
from mxemu.scalar import decode
from mxemu.value import Value

LATER = ("align", "accumulate")
"""What may lose the bits of a product as well as the multiplier."""

_TRIED = 4

Wrong = Callable[[Array], Array]
"""Rows to whether each of them differs."""


def later_steps(
    make: Products, rows: Array, observed: Array, expected: Array, wrong: Wrong
) -> tuple[str, ...]:
    """The steps that single products which differ may be due to, besides the product.

    Parameters
    ----------
    make : Products
    rows : ndarray
        Single products in lane 0 that differ.
    observed, expected : ndarray
        Bits of their results.
    wrong : callable

    Returns
    -------
    tuple of str
        Empty where the product alone is to blame: it is not just cut, or the same number comes out right as the sum of
        smaller products, each of which comes out right.
    """
    out = make.out
    pairs = zip(observed.tolist(), expected.tolist(), strict=True)
    cut = [_is_cut(decode(found, out), decode(right, out)) for found, right in pairs]
    if not all(cut):
        return ()
    for row in rows[:_TRIED]:
        if _held(make, row, wrong):
            return ()
    return LATER


def is_one_factor(found: Sequence[Value], right: Sequence[Value]) -> bool:
    """Whether all results that are numbers are wrong by one and the same factor, zeros apart."""
    ratios = set()
    for one, other in zip(found, right, strict=True):
        if other.is_finite and other.significand:
            if not one.is_finite:
                return False
            ratios.add(one.fraction() / other.fraction())
    return len(ratios) == 1 and 1 not in ratios


def _is_cut(found: Value, right: Value) -> bool:
    """Whether a result may be a rounded, flushed or overflowed one."""
    if not right.is_finite:
        return False
    if not found.is_finite or found.is_zero or right.is_zero:
        return True
    return found.sign == right.sign and abs(found.leading - right.leading) <= 1


def _held(make: Products, row: Array, wrong: Wrong) -> bool:
    """Whether the sum of smaller products that are right is right, and is the product that was not."""
    n, half = make.layout.blocks, make.layout.blocks + make.layout.length
    x, y = int(row[n]), int(row[half + n])
    for parts in _splits(make, x, y):
        pieces = [make.row({lane: a}, {lane: b}) for lane, (a, b) in enumerate(parts)]
        left, right = zip(*parts, strict=True)
        whole = make.row(dict(enumerate(left)), dict(enumerate(right)))
        differs = wrong(np.array([*pieces, whole]))
        if not differs[:-1].any():
            return not bool(differs[-1])
    return False


def _splits(make: Products, x: int, y: int) -> Iterator[list[tuple[int, int]]]:
    """A product as a sum of smaller ones: bit by bit of one factor, or many times a part of it."""
    codes = [
        {value.fraction(): code for code, value in side.values.items() if value.is_finite}
        for side in make.sides
    ]
    for side, bits in ((1, _bits(make.value(1, y))), (0, _bits(make.value(0, x)))):
        found = [codes[side].get(one.fraction()) for one in bits]
        if len(found) > 1 and None not in found:
            yield [(x, code) if side else (code, y) for code in found if code is not None]
    for halvings in range(1, 6):
        part = codes[1].get(make.value(1, y).fraction() / (1 << halvings))
        if part is not None and 1 << halvings <= make.layout.k:
            yield [(x, part)] * (1 << halvings)


def _bits(value: Value) -> list[Value]:
    """The powers of two that a number is the sum of."""
    return [
        Value(value.sign, 1, value.exponent + bit)
        for bit in range(value.significand.bit_length())
        if value.significand >> bit & 1
    ]
