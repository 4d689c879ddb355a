"""Random blocks for quantize, fake_quantize and dequantize."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from conformance.arrays import Array, narrow_bits
from conformance.campaign.draws import Theme, beside, one_bit_off, signs, specials, subnormals
from conformance.cases.blocks import random_blocks
from conformance.cases.elements import midpoints
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.scalar import decode


def blocks(fmt: BlockFormat, carrier: FloatFormat, rng: np.random.Generator) -> list[Theme]:
    """Blocks of k numbers of a carrier, as bits."""
    kit = _Kit(fmt, carrier, rng)
    return [
        Theme("random", 6, lambda n: random_blocks(fmt, carrier, n, rng)),
        Theme("scale-rule", 4, kit.on_the_staircase),
        Theme("float-log2", 2, kit.beside_powers),
        Theme("ties-to-even", 4, lambda n: kit.tied(n, exact=True)),
        Theme("double-rounding", 3, lambda n: kit.tied(n, exact=False)),
        Theme("element-exponent-range", 2, kit.spread),
        Theme("input-subnormal-flush", 1, kit.tiny),
        Theme("scale-byte-254", 1, kit.huge),
        Theme("zero-block", 1, lambda n: signs(n * fmt.k, carrier.width, rng).reshape(n, fmt.k)),
        Theme("nan-in-block", 1, kit.special),
        Theme("every-input", 2, kit.anything),
    ]


class _Kit:
    """Makes blocks of one format from numbers of one carrier."""

    def __init__(self, fmt: BlockFormat, carrier: FloatFormat, rng: np.random.Generator) -> None:
        self.fmt, self.carrier, self.rng = fmt, carrier, rng
        self.k = fmt.k

    def on_the_staircase(self, count: int) -> Array:
        """A largest magnitude within 3 ulp of where some scale rule steps, others below."""
        one = 1 << self.carrier.mantissa_bits
        parts = [0, one // 2, one * 3 // 4, one * 7 // 8, one * 15 // 16, one * 31 // 32, one - 1]
        return self._led(count, self.rng.choice(np.array(parts, np.uint64), count), 3)

    def beside_powers(self, count: int) -> Array:
        """A largest magnitude up to 60 ulp from a power of two."""
        return self._led(count, np.zeros(count, np.uint64), 60)

    def _led(self, count: int, mantissa: Array, most: int) -> Array:
        """Blocks with a largest magnitude of this mantissa or up to ``most`` ulp beside it, others below it."""
        found = random_blocks(self.fmt, self.carrier, count, self.rng)
        sign, magnitude = np.uint64(self.carrier.sign_mask), np.uint64(self.carrier.magnitude_mask)
        field = self.rng.integers(2, 2 * self.carrier.bias, size=count).astype(np.uint64)
        head = beside(
            field << np.uint64(self.carrier.mantissa_bits) | mantissa, most, self.carrier, self.rng
        )
        below = np.minimum(found & magnitude, head[:, None] - np.uint64(1))
        found = found & sign | below
        lanes = self.rng.integers(0, self.k, size=count)
        found[np.arange(count), lanes] = head | signs(count, self.carrier.width, self.rng)
        return found

    def tied(self, count: int, *, exact: bool) -> Array:
        """Ties of the element format under a scale; where not exact, one low bit off."""
        shape = (count, self.k)
        power = self.rng.integers(-8, 9, size=(count, 1))
        ties = self.rng.choice(_ties(self.fmt.element), size=shape)
        head = np.ldexp(1.0, self.fmt.element.emax)
        values = np.where(self.rng.random(shape) < 0.1, head, ties)
        values[np.arange(count), self.rng.integers(0, self.k, size=count)] = head
        bits = self._magnitudes(np.ldexp(values, power))
        if not exact:
            kept = bits == self._magnitudes(np.ldexp(np.full(shape, head), power))
            moved = one_bit_off(bits.ravel(), self.carrier, self.rng).reshape(shape)
            bits = np.where(kept, bits, moved)
        return bits | signs(count * self.k, self.carrier.width, self.rng).reshape(shape)

    def _magnitudes(self, values: Array) -> Array:
        with np.errstate(over="ignore"):
            bits = narrow_bits(values, self.carrier).astype(np.uint64)
        return np.minimum(bits, np.uint64(self.carrier.max_code))

    def spread(self, count: int) -> Array:
        """Lanes from all over the 48 binades below the largest magnitude."""
        found = random_blocks(self.fmt, self.carrier, count, self.rng)
        top = self.rng.integers(2, 2 * self.carrier.bias + 1, size=(count, 1))
        field = np.maximum(top - self.rng.integers(0, 48, size=(count, self.k)), 0)
        low = np.uint64(self.carrier.sign_mask | ((1 << self.carrier.mantissa_bits) - 1))
        return found & low | field.astype(np.uint64) << np.uint64(self.carrier.mantissa_bits)

    def tiny(self, count: int) -> Array:
        """Subnormal numbers and zeros: beside the smallest normal ones, or down to the smallest of all."""
        size = count * self.k
        bits = subnormals(size, self.carrier, self.rng) | signs(size, self.carrier.width, self.rng)
        found = bits.reshape(count, self.k)
        found[self.rng.random(found.shape) < 0.2] = 0
        normal = self.rng.integers(1, 5, size=count).astype(np.uint64)
        down = self.rng.integers(0, self.carrier.mantissa_bits, size=(count, 1)).astype(np.uint64)
        sign = np.uint64(self.carrier.sign_mask)
        found[1::2] = (found & sign | (found & ~sign) >> down)[1::2]
        lifted = found[:, 0] | normal << np.uint64(self.carrier.mantissa_bits)
        found[::2, 0] = lifted[::2]
        return found

    def huge(self, count: int) -> Array:
        """A largest magnitude in the last binades of the carrier."""
        found = random_blocks(self.fmt, self.carrier, count, self.rng)
        reach = self.rng.integers(0, 2 << self.carrier.mantissa_bits, size=count)
        found[np.arange(count), self.rng.integers(0, self.k, size=count)] = (
            self.carrier.max_code - reach
        ).astype(np.uint64) | signs(count, self.carrier.width, self.rng)
        return found

    def special(self, count: int) -> Array:
        """Inf or NaN in one lane or two."""
        found = random_blocks(self.fmt, self.carrier, count, self.rng)
        for part in (slice(None), slice(None, None, 3)):
            rows = np.arange(count)[part]
            bits = specials(len(rows), self.carrier, self.rng)
            lanes = self.rng.integers(0, self.k, size=len(rows))
            found[rows, lanes] = bits | signs(len(rows), self.carrier.width, self.rng)
        return found

    def anything(self, count: int) -> Array:
        """Uniform bits."""
        most = (1 << self.carrier.width) - 1
        shape = (count, self.k)
        return self.rng.integers(0, most, size=shape, dtype=np.uint64, endpoint=True)


@lru_cache(maxsize=32)
def _ties(element: ElementFormat) -> Array:
    """The ties of a format below its largest power of two, as binary64, which has all of them."""
    below = [tie for tie in midpoints(element) if tie.leading < element.emax]
    return np.array([np.ldexp(float(tie.significand), tie.exponent) for tie in below])


def coded_blocks(fmt: BlockFormat, rng: np.random.Generator) -> list[Theme]:
    """Rows of a scale code and k element codes, of which all are allowed."""
    every, top = 1 << fmt.element.width, 1 << fmt.scale.width
    special = [code for code in range(every) if not decode(code, fmt.element).is_finite]

    def rows(scales: Array, codes: Array) -> Array:
        return np.column_stack([scales, codes])

    def codes(count: int) -> Array:
        return rng.integers(0, every, size=(count, fmt.k))

    def under(low: int, high: int) -> Theme:
        note = "scale-byte-0" if not low else "scale-byte-254"
        return Theme(note, 1, lambda n: rows(rng.integers(low, high, size=n), codes(n)))

    def with_special(count: int) -> Array:
        found = rows(rng.integers(0, top, size=count), codes(count))
        lanes = 1 + rng.integers(0, fmt.k, size=count)
        found[np.arange(count), lanes] = rng.choice(np.array(special), count)
        return found

    themes = [
        Theme("code-order", 6, lambda n: rows(rng.integers(0, top, size=n), codes(n))),
        under(0, min(16, top)),
        under(max(top - 16, 0), top),
    ]
    return [*themes, Theme("special-ignores-scale", 2, with_special)] if special else themes
