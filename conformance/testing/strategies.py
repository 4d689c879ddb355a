"""Hypothesis strategies: codes, adversarial numbers, blocks, and operands of dot products."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import mxemu
from conformance.arrays import as_values, code_dtype
from mxemu.block import value_bits
from mxemu.errors import BadFormat
from mxemu.formats import BINARY32, BlockFormat, ElementFormat, FloatFormat
from mxemu.formats import block_format as find_block_format
from mxemu.formats import carrier as find_carrier
from mxemu.formats import find as find_format
from mxemu.scalar import decode
from mxemu.value import Value

_LISTED = 10
"""Formats up to this width have all their codes in a list."""


def codes(format: str | ElementFormat, *, finite: bool = False) -> st.SearchStrategy[int]:  # noqa: A002
    """Every code of an element or scale format; its ends and special codes come up often.

    Parameters
    ----------
    format : str or element format
    finite : bool
        Only codes of numbers.
    """
    fmt = find_format(format) if isinstance(format, str) else format
    if isinstance(fmt, BlockFormat):
        raise BadFormat(f"{fmt} is a block format; expected the format of an element or a scale")
    top = (1 << fmt.width) - 1
    half = 1 << (fmt.width - 1)
    ends = [0, 1, half - 1, half, min(half + 1, top), top]
    if isinstance(fmt, FloatFormat):
        ends += [fmt.max_code, *fmt.nans[:2], 1 << fmt.mantissa_bits]
    listed = sorted({code for code in ends if code <= top and _admitted(code, fmt, finite)})
    if fmt.width > _LISTED:
        wide = st.integers(0, top).filter(lambda code: _admitted(code, fmt, finite))
        return st.one_of(wide, st.sampled_from(listed))
    # The ends come first: that is where shrinking goes, and each stands in the list twice.
    every = [code for code in range(top + 1) if _admitted(code, fmt, finite)]
    return st.sampled_from([*listed, *every])


def _admitted(code: int, fmt: ElementFormat, finite: bool) -> bool:
    return not finite or decode(code, fmt).is_finite


def values(
    format: str | ElementFormat | None = None,  # noqa: A002
    *,
    carrier: str | FloatFormat = BINARY32,
    special: bool = True,
) -> st.SearchStrategy[int]:
    """Bits of numbers in a carrier that are hard to convert.

    Numbers of the format, ties and what is one ulp beside both, ends of the ranges, powers of two and their neighbours,
    zeros, and any bits.

    Parameters
    ----------
    format : str or element format, optional
        Whose ties are meant.
    carrier : str or FloatFormat
    special : bool
        Inf and NaN, too.

    Returns
    -------
    strategy of int
        Bit patterns: a float cannot tell all NaN apart. `arrays` makes numbers of them.
    """
    numbers = find_carrier(carrier)
    fmt = find_format(format) if isinstance(format, str) else format
    if isinstance(fmt, BlockFormat):
        fmt = fmt.element
    parts = [st.integers(0, (1 << numbers.width) - 1), _ends(numbers), _powers(numbers)]
    if fmt is not None:
        parts.append(_ties(fmt, numbers))
    found = st.one_of(*parts)
    if special:
        return found
    return found.filter(lambda bits: (bits & numbers.magnitude_mask) <= numbers.max_code)


def _ends(carrier: FloatFormat) -> st.SearchStrategy[int]:
    magnitudes = [
        0,
        1,
        (1 << carrier.mantissa_bits) - 1,
        1 << carrier.mantissa_bits,
        carrier.max_code,
    ]
    magnitudes += [carrier.max_code + 1, carrier.max_code + 2, carrier.magnitude_mask]
    return st.sampled_from([sign | one for one in magnitudes for sign in (0, carrier.sign_mask)])


def _powers(carrier: FloatFormat) -> st.SearchStrategy[int]:
    """Powers of two, and one ulp or two beside them."""
    return st.builds(
        lambda field, beside, sign: max((field << carrier.mantissa_bits) + beside, 0) | sign,
        st.integers(1, (1 << carrier.exponent_bits) - 2),
        st.integers(-2, 2),
        st.sampled_from([0, carrier.sign_mask]),
    )


def _ties(fmt: ElementFormat, carrier: FloatFormat) -> st.SearchStrategy[int]:
    """Numbers of a format and the middles between neighbours, scaled by powers of two, and one ulp beside them."""
    top = fmt.max_code if isinstance(fmt, FloatFormat) else (1 << (fmt.width - 1)) - 1

    def made(code: int, half: int, scale: int, beside: int, sign: int) -> int:
        one, two = decode(code, fmt).fraction(), decode(min(code + half, top), fmt).fraction()
        middle = (one + two) / 2
        exponent = -(middle.denominator.bit_length() - 1)
        value = Value(0, middle.numerator, exponent + scale)
        bits = value_bits(value, carrier) + beside
        return min(max(bits, 0), carrier.max_code) | sign

    scales = st.one_of(st.just(0), st.integers(-140, 120))
    signs = st.sampled_from([0, carrier.sign_mask])
    return st.builds(
        made, st.integers(0, top), st.integers(0, 1), scales, st.integers(-1, 1), signs
    )


def arrays(
    shape: int | tuple[int, ...],
    format: str | ElementFormat | None = None,  # noqa: A002
    *,
    carrier: str | FloatFormat = BINARY32,
    special: bool = True,
) -> st.SearchStrategy[Any]:
    """Arrays of such numbers, in the dtype of the carrier; bfloat16 as its bits in uint16."""
    numbers = find_carrier(carrier)
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    count = int(np.prod(sizes))
    one = values(format, carrier=numbers, special=special)
    return st.lists(one, min_size=count, max_size=count).map(
        lambda bits: as_values(np.array(bits, dtype=np.uint64), numbers.name).reshape(sizes)
    )


def blocks(
    block_format: str | BlockFormat, count: int = 1, *, finite: bool = False
) -> st.SearchStrategy[mxemu.Blocks]:
    """Blocks with any scales and any codes: not only those that a conversion makes.

    Parameters
    ----------
    block_format : str or BlockFormat
    count : int
        Blocks; the array that they stand for has ``count * k`` numbers.
    finite : bool
        Without Inf and NaN, in elements and scales.
    """
    fmt = find_block_format(block_format) if isinstance(block_format, str) else block_format
    return _rows(fmt, 1, count, finite, 0, (1 << fmt.scale.width) - 1).map(lambda rows: rows[0])


def operands(
    a: str | BlockFormat,
    b: str | BlockFormat | None = None,
    *,
    rows: int = 1,
    blocks: int = 2,
    finite: bool = True,
) -> st.SearchStrategy[tuple[mxemu.Blocks, mxemu.Blocks]]:
    """Operands of dot products: two times ``rows`` rows of ``blocks`` blocks, many lanes zero, many sums cancelling.

    Scales stay in the middle half of their range, so that sums neither overflow nor vanish in binary32.
    """
    formats = [find_block_format(one) if isinstance(one, str) else one for one in (a, b or a)]
    parts = []
    for fmt in formats:
        middle = fmt.scale.max_code // 2
        reach = max(fmt.scale.max_code // 8, 1)
        parts.append(_rows(fmt, rows, blocks, finite, middle - reach, middle + reach))
    return st.tuples(*parts)


def _rows(
    fmt: BlockFormat, rows: int, count: int, finite: bool, least: int, most: int
) -> st.SearchStrategy[mxemu.Blocks]:
    """Rows of blocks with scales between two codes."""
    element = st.one_of(st.just(0), codes(fmt.element, finite=finite))
    admitted = [code for code in range(least, most + 1) if _admitted(code, fmt.scale, finite)]
    scale = st.sampled_from(admitted)
    size = rows * count

    def made(elements: list[int], scales: list[int]) -> mxemu.Blocks:
        shaped = np.array(elements, dtype=code_dtype(fmt.element.width)).reshape(rows, count, fmt.k)
        own = np.array(scales, dtype=code_dtype(fmt.scale.width)).reshape(rows, count)
        return mxemu.Blocks(shaped, own, fmt)

    elements = st.lists(element, min_size=size * fmt.k, max_size=size * fmt.k)
    return st.builds(made, elements, st.lists(scale, min_size=size, max_size=size))
