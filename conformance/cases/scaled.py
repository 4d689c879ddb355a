"""Cases for one element under a given scale."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from conformance.arrays import BITS_DTYPES, Array, narrow_bits, wide_values
from conformance.cases import Cases, collect
from conformance.cases.elements import encode_cases
from mxemu.formats import BlockFormat, FloatFormat
from mxemu.scalar import decode
from mxemu.value import Value

RANDOM = {"smoke": 1_000, "core": 50_000, "full": 1_000_000, "exhaustive": 1_000_000}

_SCALES = {"smoke": (-1, 1, 7), "core": (-60, -9, -2, -1, 1, 2, 5, 7, 31, 90)}
"""Exponents of scales besides 1 and the ends of the format."""

_MOST = {"smoke": 400, "core": 4_000}
"""Inputs of an encoder that are taken along to every scale; all of them at higher levels."""


@lru_cache(maxsize=32)
def scaled_cases(fmt: BlockFormat, carrier: FloatFormat, level: str) -> Cases:
    """Elements under given scales.

    Returns
    -------
    Cases
        Rows of a scale code and the bits of a value, shape (n, 2): the inputs of an encoder, multiplied by scales near
        1 and at both ends, as far as the carrier goes; all scale codes with a few values; random rows.
    """
    return collect(_themes(fmt, carrier, level), np.uint64)


def _themes(fmt: BlockFormat, carrier: FloatFormat, level: str) -> Iterator[tuple[str, Array]]:
    base = _inputs(fmt, carrier, level)
    values = {code: decode(code, fmt.scale) for code in range(1 << fmt.scale.width)}
    usual = [code for code, value in values.items() if _divides(value)]
    chosen = _chosen(fmt, usual, level)
    ones = encode_cases(fmt.element, carrier, "smoke").inputs[:8]
    for note, code in (("scale-byte-0", usual[0]), ("scale-byte-254", usual[-1])):
        yield note, _rows(code, _times(ones, code, fmt, carrier))
    for theme, note in enumerate(base.notes):
        bits = base.inputs[base.theme == theme]
        for code in chosen:
            yield note, _rows(code, _times(bits, code, fmt, carrier))
    low = np.arange(1, 1 << min(carrier.mantissa_bits, 12), 37, dtype=np.uint64)
    small = np.concatenate([low, low | np.uint64(carrier.sign_mask)])
    for code in usual[:12:3]:
        yield "input-subnormal-flush", _rows(code, small)
    for code in usual:
        yield "element-exponent-range", _rows(code, _times(ones, code, fmt, carrier))
    far = np.concatenate(
        [base.inputs[:8], base.inputs[:8] ^ base.inputs.dtype.type(carrier.sign_mask)]
    )
    for code in (*usual[:1], *usual[-1:], *usual[len(usual) // 2 :: 40]):
        yield "element-exponent-range", _rows(code, far)
    for code in (code for code, value in values.items() if value.is_nan):
        yield "scale-byte-255", _rows(code, base.inputs[:64])
    rng = np.random.Generator(np.random.Philox(key=6300 + carrier.width))
    yield "random", random_rows(fmt, carrier, RANDOM[level], rng)


def _divides(scale: Value) -> bool:
    """Whether a scale can be that of a block."""
    return scale.is_finite and not scale.sign and not scale.is_zero


def _inputs(fmt: BlockFormat, carrier: FloatFormat, level: str) -> Cases:
    """Inputs of an encoder without the random ones; thinned out at low levels, but every theme keeps some."""
    given = encode_cases(fmt.element, carrier, "smoke" if level == "smoke" else "core")
    keep = np.zeros(len(given), dtype=bool)
    dropped = ("random", "every-input")
    for theme, note in enumerate(given.notes):
        own = np.flatnonzero(given.theme == theme)
        if note not in dropped:
            most = _MOST.get(level, len(given)) // 10
            keep[own[:: max(1, len(own) // most)]] = True
    return Cases(given.inputs[keep], given.theme[keep], given.notes)


def _chosen(fmt: BlockFormat, usual: list[int], level: str) -> list[int]:
    """Scale codes: that of 1, the ends, and some between."""
    if level in ("full", "exhaustive"):
        return usual
    wanted = _SCALES[level]
    near = [
        code for code in usual if decode(code, fmt.scale).leading in wanted or _is_one(code, fmt)
    ]
    ends = [*usual[:1], *usual[-1:]] if level == "smoke" else [*usual[:4], *usual[-3:]]
    return list(dict.fromkeys([*near, *ends]))


def _is_one(code: int, fmt: BlockFormat) -> bool:
    return decode(code, fmt.scale).fraction() == 1


def _times(bits: Array, code: int, fmt: BlockFormat, carrier: FloatFormat) -> Array:
    """Inputs times a scale, in the carrier; these are new inputs, so they need not be exact. NaN stays as it is."""
    scale = decode(code, fmt.scale)
    wide = wide_values(bits, carrier)
    with np.errstate(all="ignore"):
        product = np.ldexp(wide * scale.significand, scale.exponent)
        found = narrow_bits(product, carrier)
    return np.where(np.isnan(wide), bits, found)


def _rows(code: int, bits: Array) -> Array:
    return np.column_stack([np.full(len(bits), code, np.uint64), bits.astype(np.uint64)])


def random_rows(
    fmt: BlockFormat, carrier: FloatFormat, count: int, rng: np.random.Generator
) -> Array:
    """Half uniform bits, half values within some binades of the format's range under their scale."""
    values = {code: decode(code, fmt.scale) for code in range(1 << fmt.scale.width)}
    usual = [code for code, value in values.items() if _divides(value)]
    codes = rng.choice(np.array(usual, np.uint64), size=count)
    bits = rng.integers(0, 1 << carrier.width, size=count, dtype=np.uint64, endpoint=False)
    exponents = np.array([decode(code, fmt.scale).leading for code in usual])
    place = np.searchsorted(np.array(usual), codes[::2].astype(np.int64))
    low, high = fmt.element.min_positive.leading - 2, fmt.element.max.leading + 2
    field = exponents[place] + rng.integers(low, high + 1, size=len(place)) + carrier.bias
    field = np.clip(field, 0, 2 * carrier.bias).astype(np.uint64)
    rest = np.uint64((1 << carrier.mantissa_bits) - 1 | carrier.sign_mask)
    bits[::2] = (bits[::2] & rest) | (field << np.uint64(carrier.mantissa_bits))
    narrow = bits.astype(BITS_DTYPES[carrier.name]).astype(np.uint64)
    return np.column_stack([codes, narrow])
