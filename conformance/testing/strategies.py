"""Hypothesis strategies: codes, adversarial numbers, blocks, and operands of dot products."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
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
from mxemu.value import ZERO, Value, from_fraction

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
    scales = st.one_of(st.just(0), st.integers(-140, 120))
    signs = st.sampled_from([0, carrier.sign_mask])
    return st.builds(
        lambda middle, scale, beside, sign: _beside(middle, scale, beside, carrier) | sign,
        st.sampled_from(_middles(fmt)),
        scales,
        st.integers(-1, 1),
        signs,
    )


@lru_cache(maxsize=64)
def _middles(fmt: ElementFormat) -> tuple[Value, ...]:
    """Magnitudes of a format and the middles between neighbours, from zero on."""
    top = fmt.max_code if isinstance(fmt, FloatFormat) else (1 << (fmt.width - 1)) - 1
    numbers = [decode(code, fmt).fraction() for code in range(top + 1)]
    between = [(one + two) / 2 for one, two in pairwise(numbers)]
    return tuple(from_fraction(one) for one in sorted({*numbers, *between}))


def _beside(middle: Value, scale: int, steps: int, carrier: FloatFormat) -> int:
    """A scaled magnitude, or what is some ulp beside it, as bits of a number of the carrier."""
    bits = value_bits(middle._replace(exponent=middle.exponent + scale), carrier) + steps
    return min(max(bits, 0), carrier.max_code)


def block_values(
    block_format: str | BlockFormat,
    count: int = 1,
    *,
    carrier: str | FloatFormat = BINARY32,
    special: bool = True,
) -> st.SearchStrategy[Any]:
    """Numbers that are hard to quantize in blocks: what matters is how they stand to the largest of their block.

    Each block has numbers of the element format and ties, one ulp beside both, under one scale anywhere in the range
    of the carrier; a largest magnitude next to a power of two, or to the largest element; many zeros, or nothing else.

    Parameters
    ----------
    block_format : str or BlockFormat
    count : int
        Blocks.
    carrier : str or FloatFormat
    special : bool
        Inf and NaN, too.

    Returns
    -------
    strategy of ndarray, shape (count, k)
        In the dtype of the carrier; bfloat16 as its bits in uint16.
    """
    fmt = find_block_format(block_format) if isinstance(block_format, str) else block_format
    numbers = find_carrier(carrier)
    one = _block_of_numbers(fmt, numbers, special)
    return st.lists(one, min_size=count, max_size=count).map(
        lambda rows: as_values(np.array(rows, dtype=np.uint64), numbers.name).reshape(count, fmt.k)
    )


def _block_of_numbers(
    fmt: BlockFormat, carrier: FloatFormat, special: bool
) -> st.SearchStrategy[list[int]]:
    """The bits of one block."""
    middles, largest = _middles(fmt.element), _middles(fmt.element)[-1].leading
    power = Value(0, 1, largest)
    ends = [middles[-1], power, power._replace(exponent=largest + 1)]
    odd = [carrier.max_code + 1, carrier.max_code + 2] if special else []

    def made(
        scale: int, lanes: list[int], sparse: bool, top: Value, beside: int, place: int
    ) -> list[int]:
        bits = []
        for lane in lanes:  # a number holds which middle, how many ulp beside it, and the sign
            which, sign = divmod(lane, 2)
            which, steps = divmod(which, 3)
            zero = sparse and which % 8
            found = 0 if zero else _beside(middles[which], scale, steps - 1, carrier)
            bits.append(found | carrier.sign_mask * sign)
        sign = bits[place] & carrier.sign_mask
        bits[place] = (
            _beside(top, scale, beside, carrier) | sign if top.significand else bits[place]
        )
        return bits

    lane = st.integers(0, 6 * len(middles) - 1)
    blocks = st.builds(
        made,
        st.integers(carrier.emin - carrier.mantissa_bits, carrier.emax - largest),
        st.lists(lane, min_size=fmt.k, max_size=fmt.k),
        st.booleans(),
        st.sampled_from([*ends, ZERO]),
        st.integers(-2, 1),
        st.integers(0, fmt.k - 1),
    )
    zeros = st.just([0] * fmt.k)
    if not odd:
        return st.one_of(blocks, zeros)
    spoiled = st.builds(
        lambda block, place, bits, sign: [*block[:place], bits | sign, *block[place + 1 :]],
        blocks,
        st.integers(0, fmt.k - 1),
        st.sampled_from(odd),
        st.sampled_from([0, carrier.sign_mask]),
    )
    return st.one_of(blocks, zeros, spoiled)


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
