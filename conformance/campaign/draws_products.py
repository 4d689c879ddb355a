"""Random operands of dot products, and of the results of a matrix product."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from conformance.arrays import Array, dot_bits
from conformance.campaign.draws import Theme, mixed, specials
from conformance.cases.products import Codes, Layout, random_products
from mxemu.accumulation import EXACT


def products(layout: Layout, takes_c: bool, rng: np.random.Generator) -> list[Theme]:
    """Rows of a `Layout`; C is +0 in all of them unless the subject takes one."""
    kit = _Kit(layout, takes_c, rng)
    themes = [
        Theme("random", 6, kit.plain),
        Theme("term-order", 3, kit.extremes),
        Theme("tiny-products", 2, kit.powers),
    ]
    if takes_c:
        themes.append(Theme("cancellation-depth", 3, kit.cancelled))
        themes.append(Theme("carried-tie", 3, kit.half_an_ulp))
    if kit.scaled:
        themes.append(Theme("result-overflow", 2, kit.any_scale))
        themes.append(Theme("scale-sum", 2, kit.opposite_scales))
    if layout.blocks > 1:
        themes.append(Theme("last-block", 2, kit.padded))
    if any(side.nan_scale is not None for _, side in kit.sides):
        themes.append(Theme("nan-scale-product", 1, kit.nan_scale))
    if any(side.specials() for _, side in kit.sides):
        themes.append(Theme("invalid-product", 1, kit.special))
    return themes


def grid(layout: Layout, takes_c: bool, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """The rows of all results of a matrix product, m rows of a with n rows of b, row by row.

    Parameters
    ----------
    layout : Layout
    takes_c : bool
    shape : tuple of two int
        m and n.
    rng : numpy.random.Generator
    """
    m, n = shape
    half = layout.blocks + layout.length
    themes = products(layout, takes_c, rng)
    like = np.zeros((1, layout.width), np.int64)
    left, right = (mixed(themes, count, rng, like).inputs for count in shape)
    pool = np.concatenate([left[:, -1], right[:, -1]])
    body = np.column_stack(
        [np.repeat(left[:, :half], n, axis=0), np.tile(right[:, half:-1], (m, 1))]
    )
    return np.column_stack([body, rng.choice(pool, size=m * n)])


class _Kit:
    """Makes rows for one layout."""

    def __init__(self, layout: Layout, takes_c: bool, rng: np.random.Generator) -> None:
        self.layout, self.takes_c, self.rng = layout, takes_c, rng
        half = layout.blocks + layout.length
        self.sides = ((0, Codes(layout.a)), (half, Codes(layout.b)))

    @property
    def scaled(self) -> bool:
        """Whether an operand has scales."""
        return any(side.scale_powers for _, side in self.sides)

    def plain(self, count: int) -> Array:
        """Uniform codes, sparse rows and cancelling pairs."""
        return random_products(self.layout, self.takes_c, count, self.rng)

    def _elements(self, rows: Array, codes: Callable[[Codes], list[int]]) -> Array:
        """Rows with other elements, taken from some codes of each side."""
        for start, side in self.sides:
            lanes = slice(
                start + self.layout.blocks, start + self.layout.blocks + self.layout.length
            )
            rows[:, lanes] = self.rng.choice(np.array(codes(side)), size=rows[:, lanes].shape)
        return rows

    def extremes(self, count: int) -> Array:
        """The largest and the smallest codes of both signs, and zeros."""

        def ends(side: Codes) -> list[int]:
            largest = [side.element.max_code, side.negative(side.element.max_code)]
            return [0, 0, 1, side.negative(1), *largest]

        return self._elements(self.plain(count), ends)

    def powers(self, count: int) -> Array:
        """Powers of two of both signs, so that sums have few bits far apart."""

        def both(side: Codes) -> list[int]:
            codes = list(side.powers.values())
            return [*codes, *map(side.negative, codes)]

        return self._elements(self.plain(count), both)

    def _sums(self, rows: Array) -> Array:
        """The exact sums of products, rounded, as bits of the results."""
        bare = rows.copy()
        bare[:, -1] = 0
        return dot_bits(self.layout.dots(bare), EXACT).astype(np.uint64)

    def cancelled(self, count: int) -> Array:
        """C is the opposite of the products' sum, or some ulp beside it."""
        rows, out = self.plain(count), self.layout.out
        sums = self._sums(rows)
        magnitude = (sums & np.uint64(out.magnitude_mask)).astype(np.int64)
        moved = np.clip(magnitude + self.rng.integers(-2, 3, size=count), 0, out.max_code)
        sign = ~sums & np.uint64(out.sign_mask)
        rows[:, -1] = np.where(
            magnitude <= out.max_code, (sign | moved.astype(np.uint64)).view(np.int64), rows[:, -1]
        )
        return rows

    def half_an_ulp(self, count: int) -> Array:
        """C is so large that the products' sum is about half an ulp of it."""
        rows, out = self.plain(count), self.layout.out
        field = (self._sums(rows) & np.uint64(out.magnitude_mask)).astype(
            np.int64
        ) >> out.mantissa_bits
        wanted = field + out.mantissa_bits + self.rng.integers(0, 3, size=count)
        kept = wanted >= (1 << out.exponent_bits) - 1
        mantissa = self.rng.integers(0, 1 << out.mantissa_bits, size=count)
        mantissa[::3] = self.rng.integers(0, 2, size=len(mantissa[::3]))
        sign = self.rng.integers(0, 2, size=count).astype(np.uint64) << np.uint64(out.width - 1)
        c = sign.view(np.int64) | np.clip(wanted, 0, None) << out.mantissa_bits | mantissa
        rows[:, -1] = np.where(kept, rows[:, -1], c)
        return rows

    def any_scale(self, count: int) -> Array:
        """Scales from all over their format, so that results leave the range of the result at both ends."""
        rows = self.plain(count)
        for start, side in self.sides:
            if side.scale_powers:
                codes = np.array(list(side.scale_powers.values()))
                blocks = slice(start, start + self.layout.blocks)
                rows[:, blocks] = self.rng.choice(codes, size=(count, self.layout.blocks))
        return rows

    def opposite_scales(self, count: int) -> Array:
        """Scales at one end of their format for a and at the other for b, so that the products are near 1."""
        rows = self.plain(count)
        turned = self.rng.random((count, self.layout.blocks)) < 0.5
        for place, (start, side) in enumerate(self.sides):
            if side.scale_powers:
                ordered = np.array([code for _, code in sorted(side.scale_powers.items())])
                at = np.minimum(self.rng.integers(0, 4, size=turned.shape), len(ordered) - 1)
                low = turned if place else ~turned
                blocks = slice(start, start + self.layout.blocks)
                rows[:, blocks] = np.where(low, ordered[at], ordered[::-1][at])
        return rows

    def padded(self, count: int) -> Array:
        """Vectors that end early: zeros of both operands from some lane on, often all of the last block."""
        rows, layout = self.plain(count), self.layout
        end = self.rng.integers(1, layout.length, size=(count, 1))
        end[::2] = layout.length - layout.k * self.rng.integers(
            1, layout.blocks, size=end[::2].shape
        )
        beyond = np.arange(layout.length) >= end
        for start, _ in self.sides:
            lanes = rows[:, start + layout.blocks : start + layout.blocks + layout.length]
            lanes[beyond] = 0
        return rows

    def nan_scale(self, count: int) -> Array:
        """A NaN scale in one block."""
        rows = self.plain(count)
        usable = [
            (start, side.nan_scale) for start, side in self.sides if side.nan_scale is not None
        ]
        which = self.rng.integers(0, len(usable), size=count)
        block = self.rng.integers(0, self.layout.blocks, size=count)
        starts, codes = np.array(usable).T
        rows[np.arange(count), starts[which] + block] = codes[which]
        return rows

    def special(self, count: int) -> Array:
        """Inf and NaN among the elements; in some rows among C."""
        rows, out = self.plain(count), self.layout.out
        usable = [
            (start + self.layout.blocks, code)
            for start, side in self.sides
            for code in side.specials().values()
        ]
        which = self.rng.integers(0, len(usable), size=count)
        lane = self.rng.integers(0, self.layout.length, size=count)
        starts, codes = np.array(usable).T
        rows[np.arange(count), starts[which] + lane] = codes[which]
        if self.takes_c:
            rows[::4, -1] = specials(len(rows[::4]), out, self.rng).view(np.int64)
        return rows
