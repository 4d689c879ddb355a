"""Random dots of many kinds, each of which strains one thing.

Wide and narrow exponents, cancellation, C near and far, few terms, ties, tiny and huge results, special values, scales.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from conformance.arrays import Array
from conformance.probe.palette import Palette
from conformance.probe.space import Dots, Space, code_dtype, joined
from mxemu.formats import ElementFormat, FloatFormat

Maker = Callable[[Palette, np.random.Generator, int], Dots]


def _c_near(space: Space, rng: np.random.Generator, exponents: Array) -> Array:
    """Bits of C with the leading bit at these exponents, which are moved into the format."""
    fmt = space.out
    width = fmt.mantissa_bits
    exponents = np.clip(exponents, fmt.emin - width, fmt.emax)
    fractions = rng.integers(0, 1 << width, exponents.shape)
    sparse = rng.random(exponents.shape) < 0.5
    kept = rng.integers(0, width + 1, exponents.shape)
    fractions = np.where(sparse, fractions >> kept << kept, fractions)
    normal = ((exponents - fmt.emin + 1) << width) + fractions
    lost = np.clip(fmt.emin - exponents, 0, width)
    tiny = ((1 << width) + fractions) >> lost
    signs = rng.integers(0, 2, exponents.shape) * fmt.sign_mask
    return np.where(exponents < fmt.emin, tiny, normal) | signs


def _some_zero(rng: np.random.Generator, share: float, *codes: Array) -> None:
    """Set a share of the elements of the first codes to zero."""
    codes[0][rng.random(codes[0].shape) < share] = 0


def _tops(palette: Palette, rng: np.random.Generator, count: int) -> Array:
    """The largest exponent of each dot, as a column: anywhere that results can show."""
    fmt = palette.space.out
    low = min(max(palette.low, fmt.emin - fmt.mantissa_bits - 4), palette.high)
    high = max(min(palette.high, fmt.emax - 1), low)
    return rng.integers(low, high + 1, (count, 1))


def _window(palette: Palette, rng: np.random.Generator, count: int, width: int) -> Array:
    """Exponents of products, each dot within a window of its own."""
    length = palette.space.length
    return _tops(palette, rng, count) - rng.integers(0, width + 1, (count, length))


def wide(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """Exponents anywhere."""
    exponents = _window(palette, rng, count, 70)
    a, b = palette.random(rng, exponents)
    return palette.space.dots(a, b, _c_at(palette, rng, exponents.max(axis=1)))


def _c_at(palette: Palette, rng: np.random.Generator, tops: Array) -> Array:
    """C anywhere near the products; a quarter of them are zero."""
    count = len(tops)
    at = tops + rng.integers(-60, 31, count)
    return np.where(rng.random(count) < 0.25, 0, _c_near(palette.space, rng, at))


def narrow(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """All terms within a few binades, C above or below them."""
    exponents = _window(palette, rng, count, 4)
    a, b = palette.random(rng, exponents)
    c = _c_near(palette.space, rng, exponents[:, 0] + rng.integers(-30, 31, count))
    return palette.space.dots(a, b, np.where(rng.random(count) < 0.3, 0, c))


def normal(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """As in ordinary data: exponents fall off geometrically from the top."""
    length = palette.space.length
    top = _tops(palette, rng, count)
    a, b = palette.random(rng, top - rng.geometric(0.4, (count, length)))
    c = _c_near(palette.space, rng, top[:, 0] - rng.geometric(0.3, count) + 4)
    return palette.space.dots(a, b, np.where(rng.random(count) < 0.5, 0, c))


def cancelling(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """Large terms cancel in pairs at random places, small ones remain."""
    length = palette.space.length
    exponents = _window(palette, rng, count, 70)
    a, b = palette.random(rng, exponents, 0.3)
    for row in range(count):
        places = rng.permutation(length)
        half = rng.integers(1, max(length // 2, 1) + 1)
        first, second = places[:half], places[half : 2 * half]
        first = first[: len(second)]
        a[row, second], b[row, second] = palette.negated(a[row, first]), b[row, first]
    return palette.space.dots(a, b, _c_at(palette, rng, exponents.max(axis=1)))


def bimodal(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """Two groups of exponents at a random distance, the larger ones few and in pairs that cancel."""
    length = palette.space.length
    low = _tops(palette, rng, count)
    high = np.minimum(low + rng.integers(0, 45, (count, 1)), palette.high)
    exponents = low + rng.integers(-3, 4, (count, length))
    large = rng.random((count, length)) < rng.choice([0.03, 0.1, 0.5], (count, 1))
    a, b = palette.random(rng, np.where(large, high, exponents), 0.3)
    for row in range(count):
        places = rng.permutation(np.flatnonzero(large[row]))
        half = len(places) // 2
        first, second = places[:half], places[half : 2 * half]
        a[row, second], b[row, second] = palette.negated(a[row, first]), b[row, first]
    c = _c_near(palette.space, rng, high[:, 0] + rng.integers(-3, 4, count))
    return palette.space.dots(a, b, np.where(rng.random(count) < 0.5, 0, c))


def sparse(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """A few terms that are not zero, at distances where bits are cut."""
    length = palette.space.length
    exponents = _window(palette, rng, count, 40)
    a, b = palette.random(rng, exponents, 0.4)
    for row in range(count):
        kept = rng.choice(length, rng.integers(1, min(7, length + 1)), replace=False)
        gone = np.ones(length, bool)
        gone[kept] = False
        a[row, gone] = 0
        if len(kept) > 1 and rng.random() < 0.5:
            a[row, kept[1]], b[row, kept[1]] = palette.negated(a[row, kept[0]]), b[row, kept[0]]
    near = exponents.max(axis=1) + rng.integers(-40, 41, count)
    c = _c_near(palette.space, rng, near)
    return palette.space.dots(a, b, np.where(rng.random(count) < 0.4, 0, c))


def ties(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """Powers of two around half an ulp of C or of a large term."""
    length = palette.space.length
    top = _tops(palette, rng, count)
    gap = rng.choice([8, 11, 12, 13, 14, 23, 24, 25, 26], (count, 1))
    a, b = palette.random(rng, top - rng.integers(-2, 3, (count, length)), 0.8)
    _some_zero(rng, 0.7, a)
    c = _c_near(palette.space, rng, (top + gap)[:, 0])
    return palette.space.dots(a, b, c)


def sticky(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """A large term or C, half an ulp of it for a result or an accumulator, and a term far below that decides."""
    space = palette.space
    a, b = (np.zeros((count, space.length), np.int64) for _ in range(2))
    widths = sorted({space.out.mantissa_bits, 7, 9, 10, 13, 23} - {0})
    top = _tops(palette, rng, count)[:, 0]
    c = np.zeros(count, np.int64)
    for row in range(count):
        reach = int(rng.choice([4, 8, 16, 32, space.length]))
        start = int(rng.integers(0, space.length))
        near = (start + rng.permutation(min(reach, space.length))[:4]) % space.length
        width = int(rng.choice([space.out.mantissa_bits, int(rng.choice(widths))]))
        depth = width + 2 + int(rng.integers(0, 28))
        below = [0, width + 1, depth, depth + int(rng.integers(1, 4))][: len(near)]
        if rng.random() < 0.5:
            gap = int(rng.integers(0, 26))
            c[row] = _c_near(space, rng, top[row : row + 1] + gap)[0]
            below = [one - gap for one in below]
        exponents = top[row] - np.array(below)
        shown = (exponents >= palette.low) & (exponents <= palette.high)
        codes = palette.random(rng, exponents, 0.85)
        for code, own in zip((a, b), codes, strict=True):
            own[~shown] = 0
            code[row, near] = own
    return space.dots(a, b, c)


def piled(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """All terms of one sign and near each other, C far below their sum: it decides where that is a tie."""
    spread = rng.integers(0, 4, (count, palette.space.length)) * rng.integers(0, 2, (count, 1))
    high = np.where(rng.random((count, 1)) < 0.5, _tops(palette, rng, count), palette.high)
    exponents = np.minimum(high, palette.space.out.emax - 8) - spread
    a, b = palette.random(rng, exponents, 0.3)
    negative = rng.integers(0, 2, (count, 1))
    own = [
        _magnitudes(fmt, codes) for fmt, codes in zip(palette.space.elements, (a, b), strict=True)
    ]
    signed = np.where(negative, palette.negated(own[0]), own[0])
    signed[(rng.random(signed.shape) < 0.2) & (rng.random((count, 1)) < 0.5)] = 0
    c = _c_near(palette.space, rng, exponents.max(axis=1) - rng.integers(0, 45, count))
    return palette.space.dots(signed, own[1], c)


def _magnitudes(fmt: ElementFormat, codes: Array) -> Array:
    """The same numbers without their signs."""
    if isinstance(fmt, FloatFormat):
        return codes & fmt.magnitude_mask
    return np.where(codes > fmt.max_code, -codes & fmt.max_code, codes)


def edge(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """The smallest results of an accumulator, and terms far below that decide."""
    space = palette.space
    a, b = (np.zeros((count, space.length), np.int64) for _ in range(2))
    ends = [space.out.emin - space.out.mantissa_bits, -24, -149, -133, space.out.emin, -126, -14]
    for row in range(count):
        near = (
            rng.integers(0, space.length) + rng.permutation(min(8, space.length))[:4]
        ) % space.length
        top = int(rng.choice(ends)) + int(rng.integers(-1, 3))
        below = [0, *(rng.integers(0, 40, len(near) - 1))]
        exponents = top - np.array(below)
        shown = (exponents >= palette.low) & (exponents <= palette.high)
        for code, own in zip((a, b), palette.random(rng, exponents, 0.6), strict=True):
            own[~shown] = 0
            code[row, near] = own
    low = space.out.emin - space.out.mantissa_bits
    c = _c_near(space, rng, low + rng.integers(0, 30, count))
    return space.dots(a, b, np.where(rng.random(count) < 0.8, 0, c))


def tiny(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """Subnormal operands and the smallest results, C subnormal or none."""
    length = palette.space.length
    span = min(16, palette.high - palette.low)
    exponents = palette.low + rng.integers(0, span + 1, (count, length))
    near = palette.space.out.emin - palette.space.out.mantissa_bits
    edge = np.clip(near, palette.low, palette.high) + rng.integers(-30, 31, (count, length))
    a, b = palette.random(rng, np.where(rng.random((count, 1)) < 0.5, exponents, edge), 0.2)
    _some_zero(rng, 0.5, a)
    c = _c_near(palette.space, rng, near + rng.integers(0, 30, count))
    return palette.space.dots(a, b, np.where(rng.random(count) < 0.6, 0, c))


def huge(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """The largest products and a C beyond them."""
    length = palette.space.length
    edge = np.clip(palette.space.out.emax, palette.low, palette.high)
    a, b = palette.random(rng, edge - rng.integers(-1, 4, (count, length)))
    _some_zero(rng, 0.4, a)
    c = _c_near(palette.space, rng, palette.space.out.emax - rng.integers(0, 4, count))
    return palette.space.dots(a, b, np.where(rng.random(count) < 0.3, 0, c))


def raw(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """Any codes and any bits of C, special ones included."""
    space = palette.space
    codes = [
        rng.integers(0, 1 << fmt.width, (count, space.length), dtype=np.int64)
        for fmt in space.elements
    ]
    few = rng.random(count) < 0.5
    codes[0][few] *= rng.random((int(few.sum()), space.length)) < 4 / space.length
    return space.dots(codes[0], codes[1], rng.integers(0, 1 << space.out.width, count))


def special(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """Up to four special or ordinary products among zeros of both signs."""
    space = palette.space
    shape = (count, space.length)
    a, b = _signs_of_zero(space, rng, shape), np.zeros(shape, np.int64)
    for row in range(count):
        places = rng.choice(space.length, rng.integers(0, min(5, space.length + 1)), replace=False)
        a[row, places], b[row, places] = (
            _special_codes(fmt, rng, len(places)) for fmt in space.elements
        )
    fmt = space.out
    ends = np.array([0, 0, 0, fmt.max_code, fmt.max_code + 1, 1, fmt.bias << fmt.mantissa_bits])
    c = ends[rng.integers(0, len(ends), count)] | rng.integers(0, 2, count) * fmt.sign_mask
    return space.dots(a, b, np.where(rng.random(count) < 0.05, fmt.max_code + 2, c))


def _special_codes(fmt: ElementFormat, rng: np.random.Generator, count: int) -> Array:
    """Codes at the ends of a format, seldom NaN."""
    if not isinstance(fmt, FloatFormat):
        return rng.choice([0, 1, fmt.max_code, fmt.min_code, -1 & (2 * fmt.min_code - 1)], count)
    one = fmt.bias << fmt.mantissa_bits
    ends = [0, 1, one, one, fmt.max_code, fmt.max_code if fmt.inf is None else fmt.inf]
    codes = rng.choice(ends, count) | rng.integers(0, 2, count) * fmt.sign_mask
    nan = (rng.random(count) < 0.05) & (len(fmt.nans) > 0)
    return np.where(nan, fmt.magnitude_mask, codes)


def _signs_of_zero(space: Space, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Codes of zeros, in half of the dots of both signs."""
    fmt = space.elements[0]
    if not isinstance(fmt, FloatFormat) or not fmt.negative_zero:
        return np.zeros(shape, np.int64)
    share = rng.choice([0.0, 0.5, 1.0], (shape[0], 1))
    return (rng.random(shape) < share) * np.int64(fmt.sign_mask)


def _rescaled(make: Maker, how: Callable[..., Array]) -> Maker:
    def scaled(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
        dots = make(palette, rng, count)
        parts = [
            None
            if own is None or fmt is None
            else how(fmt, rng, own.shape).astype(code_dtype(fmt.width))
            for own, fmt in zip((dots.sa, dots.sb), palette.space.scales, strict=True)
        ]
        return dots._replace(sa=parts[0], sb=parts[1])

    return scaled


def _near_one(fmt: FloatFormat, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Scales from 2^-12 to 2^12."""
    one = fmt.bias << fmt.mantissa_bits
    reach = min(12 << fmt.mantissa_bits, one)
    return np.clip(one + rng.integers(-reach, reach + 1, shape), 0, fmt.max_code)


def _any(fmt: FloatFormat, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Any scale, the largest and smallest and NaN more often."""
    own = rng.integers(0, 1 << fmt.width, shape)
    ends = np.array([0, 1, fmt.max_code, (1 << fmt.width) - 1])
    return np.where(rng.random(shape) < 0.1, ends[rng.integers(0, 4, shape)], own)


def _ends(fmt: FloatFormat, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Scales all near one end: tiny, or huge, or one of each."""
    low = rng.random((shape[0], 1)) < 0.5
    near = rng.integers(0, 24, shape)
    return np.where(low, near, fmt.max_code - near)


KINDS: Mapping[str, Maker] = MappingProxyType(
    {
        "wide exponents": wide,
        "narrow exponents": narrow,
        "ordinary data": normal,
        "cancelling": cancelling,
        "two groups of exponents": bimodal,
        "few terms": sparse,
        "ties": ties,
        "ties that far terms decide": sticky,
        "one sign, C far below": piled,
        "tiny": tiny,
        "the smallest results": edge,
        "huge": huge,
        "any codes": raw,
        "special values": special,
    }
)
_SCALED: Mapping[str, Maker] = MappingProxyType(
    {
        "scales near 1": _rescaled(normal, _near_one),
        "few terms, scales near 1": _rescaled(sparse, _near_one),
        "cancelling, scales near 1": _rescaled(cancelling, _near_one),
        "scales at their ends": _rescaled(normal, _ends),
        "few terms, any scales": _rescaled(sparse, _any),
        "any codes, any scales": _rescaled(raw, _any),
        "ties, scales near 1": _rescaled(ties, _near_one),
    }
)


def kinds(space: Space) -> Mapping[str, Maker]:
    """The kinds of random dots for a space."""
    return {**KINDS, **_SCALED} if space.scaled else KINDS


def batch(palette: Palette, rng: np.random.Generator, count: int) -> Dots:
    """About ``count`` dots, as many of each kind."""
    makers = kinds(palette.space).values()
    share = -(-count // len(makers))
    return joined([make(palette, rng, share) for make in makers])
