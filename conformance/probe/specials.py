"""Questions about what is special: zeros of both signs, NaN, Inf, subnormals, overflow, scales at their ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from conformance.probe.palette import Palette
from conformance.probe.space import Dots, joined
from mxemu.formats import FloatFormat


@dataclass
class One:
    """One question.

    Parameters
    ----------
    words : str
        What is asked.
    terms : dict
        Codes of a and b by place.
    c : int
        Bits.
    rest : tuple of int
        Codes of a and b everywhere else.
    scales : tuple of int, optional
        Scale codes of a and b in the first block.
    """

    words: str
    terms: dict[int, tuple[int, int]] = field(default_factory=dict)
    c: int = 0
    rest: tuple[int, int] = (0, 0)
    scales: tuple[int | None, int | None] = (None, None)


def questions(palette: Palette) -> list[One]:
    """Every question that the formats allow."""
    return [
        *_zeros(palette),
        *_nans(palette),
        *_subnormals(palette),
        *_large(palette),
        *_scales(palette),
    ]


def dots(palette: Palette, asked: list[One]) -> Dots:
    """The questions as dots."""
    return joined([_dots(palette, one) for one in asked])


def _dots(palette: Palette, one: One) -> Dots:
    space = palette.space
    a, b = (np.full((1, space.length), code, np.int64) for code in one.rest)
    for place, codes in one.terms.items():
        a[0, place], b[0, place] = codes
    found = space.dots(a, b, np.array([one.c], np.int64))
    for scales, code in zip((found.sa, found.sb), one.scales, strict=True):
        if scales is not None and code is not None:
            scales[0, 0] = code
    return found


def _places(palette: Palette) -> tuple[int, int]:
    """Two places that are far apart."""
    return 0, palette.space.length - 1


def _one(palette: Palette, sign: int = 0) -> tuple[int, int]:
    return palette.power(_middle(palette), sign)


def _middle(palette: Palette) -> int:
    """The exponent of 1, or of what comes closest."""
    return min(max(0, palette.low), palette.high)


def _c_one(palette: Palette, sign: int = 0) -> int:
    out = palette.space.out
    return ((_middle(palette) + out.bias) << out.mantissa_bits) | (out.sign_mask if sign else 0)


def _zeros(palette: Palette) -> Iterator[One]:
    first, last = _places(palette)
    minus = palette.space.out.sign_mask
    own = palette.space.elements[0]
    one, other = _one(palette), _one(palette, 1)
    if isinstance(own, FloatFormat) and own.negative_zero:
        negative = (own.sign_mask, 0)
        yield One("every product -0, C = -0", c=minus, rest=negative)
        yield One("every product -0, C = +0", rest=negative)
        yield One("first product +0, all others and C -0", {first: (0, 0)}, minus, negative)
        yield One("last product +0, all others and C -0", {last: (0, 0)}, minus, negative)
        yield One("1 - 1 among products of -0, C = -0", {first: one, last: other}, minus, negative)
    yield One("every product +0, C = -0", c=minus)
    yield One("1 - 1, C = +0", {first: one, last: other})
    yield One("-1 + 1, C = +0", {first: other, last: one})
    yield One("1 - 1, C = -0", {first: one, last: other}, minus)
    yield One("-1 at the first place, C = 1", {first: other}, _c_one(palette))
    yield One("1 at the last place, C = -1", {last: one}, _c_one(palette, 1))


def _nans(palette: Palette) -> Iterator[One]:
    out = palette.space.out
    first, last = _places(palette)
    inf, quiet = out.max_code + 1, out.max_code + 1 + (1 << (out.mantissa_bits - 1))
    for words, bits in (
        ("quiet NaN", quiet),
        ("quiet NaN with payload", quiet + 1),
        ("signalling NaN", inf + 1),
    ):
        yield One(f"C = {words}", c=bits)
        yield One(f"C = negative {words}", c=bits | out.sign_mask)
    yield One("C = Inf", c=inf)
    yield One("C = -Inf", c=inf | out.sign_mask)
    one = _one(palette)
    for side, fmt in enumerate(palette.space.elements):
        for words, code in _special_codes(fmt):
            for factor, name in ((one[1 - side], "1"), (0, "0")):
                pair = (code, factor) if side == 0 else (factor, code)
                for place in (first, last):
                    yield One(f"{words} in {'ab'[side]} times {name}, at {place}", {place: pair})
    yield from _infinities(palette, first, last, inf)


def _special_codes(fmt: object) -> list[tuple[str, int]]:
    """NaN and Inf of an element format."""
    if not isinstance(fmt, FloatFormat):
        return []
    found = []
    if fmt.has_nan:
        found += [("NaN", fmt.nan_codes[0]), ("negative NaN", fmt.nan_codes[-1])]
    if fmt.inf is not None:
        found += [("Inf", fmt.inf), ("-Inf", fmt.inf | fmt.sign_mask)]
    return found


def _infinities(palette: Palette, first: int, last: int, inf: int) -> Iterator[One]:
    fmt, one = palette.space.elements[0], _one(palette)
    minus = palette.space.out.sign_mask
    if not isinstance(fmt, FloatFormat) or fmt.inf is None:
        return
    plus, negative = (fmt.inf, one[1]), (fmt.inf | fmt.sign_mask, one[1])
    yield One("Inf at the first place, -Inf at the last", {first: plus, last: negative})
    yield One("Inf and -Inf side by side", {first: plus, min(first + 1, last): negative})
    yield One("Inf at the first place, C = -Inf", {first: plus}, inf | minus)
    yield One("-Inf at the last place, C = Inf", {last: negative}, inf)
    yield One("Inf at the last place, C = Inf", {last: plus}, inf)


def _subnormals(palette: Palette) -> Iterator[One]:
    out = palette.space.out
    first, last = _places(palette)
    one = _one(palette)
    for sign, words in ((0, ""), (out.sign_mask, "-")):
        for bits, name in (
            (1, "the smallest subnormal"),
            ((1 << out.mantissa_bits) - 1, "the largest subnormal"),
        ):
            yield One(f"C = {words}{name}", c=bits | sign)
    smallest = out.emin
    for depth in (0, 1, out.mantissa_bits):
        exponent = smallest - depth
        if palette.low <= exponent <= palette.high:
            for sign in (0, 1):
                name = f"{'-' if sign else ''}2^{exponent} of one product"
                yield One(f"a result of {name}", {last: palette.power(exponent, sign)})
    for side, fmt in enumerate(palette.space.elements):
        if isinstance(fmt, FloatFormat) and fmt.mantissa_bits and fmt.subnormals:
            for code in (1, (1 << fmt.mantissa_bits) - 1, fmt.sign_mask | 1):
                pair = (code, one[1]) if side == 0 else (one[0], code)
                for place in (first, last):
                    yield One(
                        f"subnormal {code:#x} in {'ab'[side]} times 1, at {place}", {place: pair}
                    )


def _large(palette: Palette) -> Iterator[One]:
    out = palette.space.out
    first, last = _places(palette)
    top = [fmt.max_code for fmt in palette.space.elements]
    for sign, words in ((0, ""), (out.sign_mask, "-")):
        largest = out.max_code | sign
        fmt = palette.space.elements[0]
        negative = fmt.sign_mask if isinstance(fmt, FloatFormat) else 0
        yield One(f"C = {words}the largest finite", c=largest)
        yield One(f"C = {words}the largest finite, and 1", {first: _one(palette)}, largest)
        if negative or not sign:
            code = top[0] | (negative if sign else 0)
            yield One(
                f"C = {words}the largest finite, and the largest product",
                {last: (code, top[1])},
                largest,
            )
            yield One(f"every product {words}the largest", c=0, rest=(code, top[1]))
            yield One(f"one product {words}the largest", {first: (code, top[1])})
    for exponent in (out.emax - 1, out.emax):
        if palette.low <= exponent <= palette.high:
            yield One(f"one product of 2^{exponent}", {first: palette.power(exponent)})
            yield One(
                f"two products of 2^{exponent}",
                {first: palette.power(exponent), last: palette.power(exponent)},
            )
            pair = palette.power(exponent)
            yield One(
                f"2^{exponent} twice, then taken away",
                {0: pair, 1: pair, last: palette.power(exponent, 1)},
            )


def _scales(palette: Palette) -> Iterator[One]:
    space = palette.space
    if not space.scaled:
        return
    one, top = _one(palette), [fmt.max_code for fmt in space.elements]
    ends = [_ends(fmt) for fmt in space.scales]
    for side in (0, 1):
        for words, code in ends[side].items():
            scales = (code, None) if side == 0 else (None, code)
            name = f"scale {words} of {'ab'[side]}"
            yield One(f"{name}, times 1", {0: one}, scales=scales)
            yield One(f"{name}, all elements 0", scales=scales)
            yield One(f"{name}, the largest elements", {0: (top[0], top[1])}, scales=scales)
    for first, left in ends[0].items():
        for second, right in ends[1].items():
            for words, pair in (("1", one), ("the largest elements", (top[0], top[1]))):
                yield One(f"scales {first} and {second}, {words}", {0: pair}, scales=(left, right))


def _ends(fmt: FloatFormat | None) -> dict[str, int]:
    """Scale codes at the ends of a format."""
    if fmt is None:
        return {}
    found = {"code 0": 0, "code 1": 1, "the largest": fmt.max_code}
    if fmt.has_nan:
        found["NaN"] = fmt.nan_codes[0]
    if fmt.sign_mask:
        found["-1"] = fmt.sign_mask | (fmt.bias << fmt.mantissa_bits)
    return found
