"""Random cases of the kind that implementations get wrong: a mixture for each operation.

`draw` gives the judge of some random cases. Every theme is a way to draw rows, and each row gets a theme by chance, so
that themes are mixed within a call and a wide subject meets different ones side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from conformance.arrays import BITS_DTYPES, Array, narrow_bits, wide_values
from conformance.cases import Cases
from conformance.cases.elements import element_values, midpoints, random_inputs
from conformance.cases.scaled import random_rows
from conformance.judges import (
    BlockJudge,
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    Judge,
    MatmulJudge,
    ProductJudge,
    ScaleCastJudge,
    ScaledEncodeJudge,
)
from conformance.runner import Request, make_judge
from mxemu.block import value_bits
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.scalar import decode


class Theme(NamedTuple):
    """A way to draw rows.

    Attributes
    ----------
    note : str
        What the rows are there to catch, see `conformance.notes`.
    weight : int
        How often it is taken.
    rows : callable
        Number of rows to that many.
    """

    note: str
    weight: int
    rows: Callable[[int], Array]


def draw(request: Request, count: int, rng: np.random.Generator) -> Judge:
    """The judge of random cases.

    Parameters
    ----------
    request : Request
    count : int
        Cases.
    rng : numpy.random.Generator
    """
    judge = make_judge(request, "smoke")
    if isinstance(judge, MatmulJudge):
        return _matrix(judge, count, rng)
    return judge.on(mixed(_themes(judge, rng), count, rng, judge.cases.inputs))


def _themes(judge: Judge, rng: np.random.Generator) -> Sequence[Theme]:
    from conformance.campaign import draws_blocks, draws_products

    match judge:
        case ScaledEncodeJudge():
            return _scaled(judge.fmt, judge.carrier, rng)
        case EncodeJudge():
            assert judge.element is not None
            return encodings(judge.element, judge.carrier, rng)
        case ScaleCastJudge():
            return _scale_casts(judge.scale, judge.carrier, rng)
        case DecodeJudge():
            assert judge.element is not None
            return _codes(judge.element, rng)
        case BlockJudge():
            return draws_blocks.blocks(judge.fmt, judge.carrier, rng)
        case DequantizeJudge():
            return draws_blocks.coded_blocks(judge.fmt, rng)
        case ProductJudge():
            return draws_products.products(judge.layout, judge.takes_c, rng)
        case _:
            raise TypeError(f"no random cases for {type(judge).__name__}")


def mixed(themes: Sequence[Theme], count: int, rng: np.random.Generator, like: Array) -> Cases:
    """Rows of themes taken by chance.

    Parameters
    ----------
    themes : sequence of Theme
    count : int
    rng : numpy.random.Generator
    like : ndarray
        Other cases, whose dtype and row length are taken.
    """
    weights = np.array([theme.weight for theme in themes])
    theme = rng.choice(len(themes), size=count, p=weights / weights.sum())
    rows = np.zeros((count, *like.shape[1:]), dtype=like.dtype)
    for place, one in enumerate(themes):
        at = np.flatnonzero(theme == place)
        if len(at):
            rows[at] = one.rows(len(at)).astype(like.dtype)
    return Cases(rows, theme.astype(np.int64), tuple(one.note for one in themes))


def _matrix(judge: MatmulJudge, count: int, rng: np.random.Generator) -> Judge:
    """One matrix product with ``count`` results, of random shape."""
    from conformance.campaign.draws_products import grid

    divisors = [m for m in range(1, count + 1) if not count % m]
    m = int(rng.choice(divisors))
    rows = grid(judge.layout, judge.takes_c, (m, count // m), rng)
    found = judge.on(Cases(rows, np.zeros(count, np.int64), ("random",)))
    found.grids = (np.arange(count).reshape(m, count // m),)
    return found


def signs(count: int, width: int, rng: np.random.Generator) -> Array:
    """Sign bits of patterns of a width."""
    return rng.integers(0, 2, size=count, dtype=np.uint64) << np.uint64(width - 1)


def beside(bits: Array, most: int, carrier: FloatFormat, rng: np.random.Generator) -> Array:
    """Magnitudes moved by up to ``most`` ulp, kept within the finite ones."""
    moved = bits.astype(np.int64) + rng.integers(-most, most + 1, size=len(bits))
    return np.clip(moved, 0, carrier.max_code).astype(np.uint64)


def one_bit_off(bits: Array, carrier: FloatFormat, rng: np.random.Generator) -> Array:
    """Magnitudes with one low bit added or taken away: what a second rounding does not see."""
    step = np.int64(1) << rng.integers(0, carrier.mantissa_bits, size=len(bits))
    moved = bits.astype(np.int64) + np.where(rng.random(len(bits)) < 0.5, step, -step)
    return np.clip(moved, 0, carrier.max_code).astype(np.uint64)


def subnormals(count: int, carrier: FloatFormat, rng: np.random.Generator) -> Array:
    """Magnitudes below the smallest normal one, with every number of leading zeros."""
    shift = rng.integers(0, carrier.mantissa_bits, size=count).astype(np.uint64)
    mantissa = rng.integers(1, 1 << carrier.mantissa_bits, size=count, dtype=np.uint64)
    return np.maximum(mantissa >> shift, np.uint64(1))


def specials(count: int, carrier: FloatFormat, rng: np.random.Generator) -> Array:
    """Inf, and NaN with any payload."""
    inf = carrier.magnitude_mask - len(carrier.nans)
    payload = rng.integers(0, len(carrier.nans) + 1, size=count, dtype=np.uint64)
    payload[rng.random(count) < 0.2] = 0
    return np.uint64(inf) + payload


def powers(count: int, carrier: FloatFormat, rng: np.random.Generator) -> Array:
    """Powers of two from all over a carrier."""
    field = rng.integers(1, (1 << carrier.exponent_bits) - 1, size=count, dtype=np.uint64)
    return field << np.uint64(carrier.mantissa_bits)


@lru_cache(maxsize=32)
def marks(element: ElementFormat, carrier: FloatFormat) -> tuple[Array, Array]:
    """Magnitudes of the codes and of the ties of a format, as bits of a carrier."""
    found = [
        np.array([value_bits(value, carrier) for value in values], np.uint64)
        for values in (element_values(element), midpoints(element))
    ]
    return found[0], found[1]


def encodings(
    element: ElementFormat, carrier: FloatFormat, rng: np.random.Generator
) -> list[Theme]:
    """Numbers of a carrier that are hard to round to an element format."""
    codes, ties = marks(element, carrier)
    top = np.array([codes[-1], ties[-1], ties[-2]])

    def signed(make: Callable[[int], Array]) -> Callable[[int], Array]:
        return lambda count: make(count) | signs(count, carrier.width, rng)

    return [
        Theme("ties-to-even", 3, signed(lambda n: rng.choice(ties, n))),
        Theme("sticky-lost", 3, signed(lambda n: beside(rng.choice(ties, n), 2, carrier, rng))),
        Theme(
            "double-rounding", 3, signed(lambda n: one_bit_off(rng.choice(ties, n), carrier, rng))
        ),
        Theme("truncation", 2, signed(lambda n: beside(rng.choice(codes, n), 2, carrier, rng))),
        Theme("late-saturation", 2, signed(lambda n: beside(rng.choice(top, n), 4, carrier, rng))),
        Theme("carry-lost", 2, signed(lambda n: beside(powers(n, carrier, rng), 3, carrier, rng))),
        Theme("input-subnormal-flush", 1, signed(lambda n: subnormals(n, carrier, rng))),
        Theme("nan-payload", 1, signed(lambda n: specials(n, carrier, rng))),
        Theme(
            "random", 6, lambda n: rng.permutation(random_inputs(element, carrier, n + 1, rng)[:n])
        ),
    ]


def _scale_casts(scale: FloatFormat, carrier: FloatFormat, rng: np.random.Generator) -> list[Theme]:
    """Numbers next to powers of two and to the middles between them, and what no scale can be."""
    middle = 1 << (carrier.mantissa_bits - 1)
    single = [1 << bit for bit in range(carrier.mantissa_bits)]
    parts = np.array([0, 0, 0, middle, middle, middle + middle // 2, *single], np.uint64)

    def near(count: int) -> Array:
        return beside(powers(count, carrier, rng) | rng.choice(parts, count), 2, carrier, rng)

    def strange(count: int) -> Array:
        found = specials(count, carrier, rng)
        found[::3] = 0
        return found | signs(count, carrier.width, rng)

    magnitude = np.uint64(carrier.magnitude_mask)
    return [
        Theme("scale-cast", 6, near),
        Theme("input-subnormal-flush", 2, lambda n: subnormals(n, carrier, rng)),
        Theme("scale-cast-special", 1, strange),
        Theme("random", 3, lambda n: random_inputs(scale, carrier, n + 1, rng)[:n] & magnitude),
    ]


def _codes(element: ElementFormat, rng: np.random.Generator) -> list[Theme]:
    """Codes in any order, and many ends and special codes among them."""
    every = 1 << element.width
    odd = [code for code in _ends(element) if code < every]
    return [
        Theme("code-order", 3, lambda n: rng.integers(0, every, size=n)),
        Theme("nan-dropped", 1, lambda n: rng.choice(np.array(odd, np.int64), n)),
    ]


def _ends(element: ElementFormat) -> list[int]:
    half = 1 << (element.width - 1)
    ends = [0, 1, half - 1, half, half + 1, 2 * half - 1, element.max_code]
    return ends + list(element.nans if isinstance(element, FloatFormat) else ())[:8]


def _scaled(fmt: BlockFormat, carrier: FloatFormat, rng: np.random.Generator) -> list[Theme]:
    """The numbers of `encodings` times scales, rows of a scale code and bits."""
    values = [decode(code, fmt.scale) for code in range(1 << fmt.scale.width)]
    usable = [
        code
        for code, value in enumerate(values)
        if value.is_finite and value.significand and not value.sign
    ]
    leading = {code: values[code].leading for code in usable}
    near = [code for code in usable if abs(leading[code]) <= carrier.bias // 2] or usable

    def scaled(theme: Theme, codes: Sequence[int]) -> Callable[[int], Array]:
        def rows(count: int) -> Array:
            chosen = rng.choice(np.array(codes), count)
            bits = theme.rows(count).astype(BITS_DTYPES[carrier.name])
            return np.column_stack([chosen, times(bits, chosen, fmt, carrier).astype(np.uint64)])

        return rows

    own = encodings(fmt.element, carrier, rng)
    every = [theme._replace(rows=scaled(theme, near)) for theme in own]
    nan = [code for code, value in enumerate(values) if value.is_nan]
    if nan:
        every.append(Theme("scale-byte-255", 1, scaled(own[-1], nan)))
    return [*every, Theme("random", 8, lambda n: random_rows(fmt, carrier, n, rng))]


def times(bits: Array, codes: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
    """Numbers times scales, in the carrier; these are new inputs, so they need not be exact. NaN stays as it is."""
    values = [decode(code, fmt.scale) for code in range(1 << fmt.scale.width)]
    significand = np.array([value.significand if value.is_finite else 1 for value in values])
    exponent = np.array([value.exponent if value.is_finite else 0 for value in values])
    wide = wide_values(bits, carrier)
    with np.errstate(all="ignore"):
        found = narrow_bits(np.ldexp(wide * significand[codes], exponent[codes]), carrier)
    return np.where(np.isnan(wide), bits, found)
