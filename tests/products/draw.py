"""Operands and C drawn by theme: each theme leans on one decision that accumulations take differently."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import NamedTuple

from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.scalar import decode, encode
from mxemu.value import INF, NAN, ZERO, Value

THEMES = ("random", "ordinary", "wide", "cancelling", "special", "tiny")
# Where C lies, drawn by weight: absent and -0 are rare in real data and decide much.
_C = ("absent", "zero", "minus-zero", "bits", "bits", "ordinary", "ordinary", "tiny", "huge")


class Drawn(NamedTuple):
    """Codes and scale codes of two vectors, and C or None."""

    a: list[int]
    b: list[int]
    a_scales: list[int]
    b_scales: list[int]
    c: Value | None


@cache
def corners(fmt: ElementFormat) -> tuple[int, ...]:
    """Codes where decisions change: zeros, ends of the subnormal and the normal numbers, one, Inf, NaN."""
    if not isinstance(fmt, FloatFormat):
        top = fmt.max_code
        return (0, 1, 2 * top + 1, 1 << fmt.fraction_bits, top, top + 1, top + 2)
    least_normal = 1 << fmt.mantissa_bits if fmt.subnormals else 0
    one = fmt.bias << fmt.mantissa_bits
    special = [fmt.inf] * fmt.has_inf + [*fmt.nans[:2], *fmt.nans[-1:]]
    own = [0, 1, max(least_normal - 1, 0), least_normal, one, one + 1, fmt.max_code, *special]
    signed = [fmt.sign_mask | code for code in own if code is not None]
    return tuple(dict.fromkeys([code for code in own if code is not None] + signed))


def _finite(fmt: FloatFormat, rng: Random, low: int, high: int) -> int:
    """A finite code whose exponent field is from low to high, both clipped to the format."""
    last = fmt.max_code >> fmt.mantissa_bits
    field = rng.randint(min(max(low, 0), last), min(max(high, 0), last))
    code = field << fmt.mantissa_bits | rng.getrandbits(fmt.mantissa_bits or 1)
    code = min(code, fmt.max_code)
    sign = rng.getrandbits(1) and fmt.sign_mask
    return code if not code and not fmt.negative_zero else code | sign


def code(theme: str, fmt: ElementFormat, rng: Random) -> int:
    """One code of a format."""
    if not isinstance(fmt, FloatFormat):
        return rng.choice(corners(fmt)) if theme == "special" else rng.getrandbits(fmt.width)
    last = fmt.max_code >> fmt.mantissa_bits
    match theme:
        case "random":
            return rng.getrandbits(fmt.width)
        case "ordinary" | "cancelling":
            return _finite(fmt, rng, fmt.bias - 3, fmt.bias + 3)
        case "wide":
            return rng.choice((_finite(fmt, rng, 0, last), _finite(fmt, rng, last - 1, last)))
        case "special":
            return rng.choice(corners(fmt)) if rng.random() < 0.6 else _finite(fmt, rng, 0, last)
        case "tiny":
            return _finite(fmt, rng, 0, rng.choice((0, 1, 2, fmt.bias)))
        case _:
            raise ValueError(theme)


def scale(theme: str, fmt: FloatFormat, rng: Random) -> int:
    """One scale code."""
    top = (1 << fmt.width) - 1
    match theme:
        case "random":
            return rng.getrandbits(fmt.width)
        case "special":
            return rng.choice((0, 1, 127, 128, fmt.max_code, top))
        case "tiny":
            return rng.randint(0, 70 if fmt.exponent_bits == 8 else 12)
        case "wide":
            return rng.choice((0, 1, fmt.max_code - 1, fmt.max_code, rng.randint(0, fmt.max_code)))
        case _:
            return code("ordinary", fmt, rng)


def vectors(
    theme: str,
    left: BlockFormat | ElementFormat,
    right: BlockFormat | ElementFormat,
    count: int,
    rng: Random,
) -> Drawn:
    """Two vectors of `count` elements; C is left to `carried`."""
    forms = [one.element if isinstance(one, BlockFormat) else one for one in (left, right)]
    a, b = ([code(theme, form, rng) for _ in range(count)] for form in forms)
    if theme == "special":
        a, b = _thinned(a, b, forms, rng)
    if theme == "cancelling":
        size = next((one.k for one in (left, right) if isinstance(one, BlockFormat)), count)
        a, b = _cancelling(a, b, forms[0], size, rng)
    scales = [
        [scale(theme, one.scale, rng) for _ in range(count // one.k)]
        if isinstance(one, BlockFormat)
        else []
        for one in (left, right)
    ]
    return Drawn(a, b, *scales, None)


def _thinned(
    a: list[int], b: list[int], forms: Sequence[ElementFormat], rng: Random
) -> tuple[list[int], list[int]]:
    """Mostly zeros, or mostly one sort of number, so that few special values meet in one dot."""
    filler = [rng.choice((0, code("ordinary", form, rng))) for form in forms]
    keep = [rng.random() < rng.choice((0.1, 0.3, 1)) for _ in a]
    return (
        [one if kept else filler[0] for one, kept in zip(a, keep, strict=True)],
        [one if kept else filler[1] for one, kept in zip(b, keep, strict=True)],
    )


def _cancelling(
    a: list[int], b: list[int], form: ElementFormat, size: int, rng: Random
) -> tuple[list[int], list[int]]:
    """Within each block the second half repeats the first with the opposite sign, all but a few; then shuffled."""
    for start in range(0, len(a), size):
        own = range(start, min(start + size, len(a)))
        half = len(own) // 2
        for index in own[:half]:
            if rng.random() < 0.95:
                a[index + half], b[index + half] = _negated(a[index], form), b[index]
        order = rng.sample(own, len(own))
        a[own.start : own.stop] = [a[index] for index in order]
        b[own.start : own.stop] = [b[index] for index in order]
    return a, b


def _negated(code: int, form: ElementFormat) -> int:
    if isinstance(form, FloatFormat):
        return code ^ form.sign_mask if code or form.negative_zero else code
    return -code % (1 << form.width)


def carried(theme: str, fmt: FloatFormat, rng: Random, total: Value | None = None) -> Value | None:
    """C, a number of `fmt`; `total` is the exact dot, which C sometimes cancels."""
    if theme == "special" and rng.random() < 0.5:
        return rng.choice((NAN, INF, INF._replace(sign=1), ZERO, ZERO._replace(sign=1)))
    if total is not None and total.is_finite and rng.random() < 0.15:
        own = decode(encode(total, fmt).code, fmt)
        return own._replace(sign=1 - own.sign)
    kind = rng.choice(_C)
    match kind:
        case "absent":
            return None
        case "zero" | "minus-zero":
            return ZERO._replace(sign=int(kind == "minus-zero"))
        case "huge":
            return decode(_finite(fmt, rng, fmt.max_code, fmt.max_code), fmt)
        case "bits":
            found = decode(rng.getrandbits(fmt.width), fmt)
            return found if theme in ("random", "special") or found.is_finite else None
        case _:
            return decode(code(kind, fmt, rng), fmt)
