"""Questions about dot products: one number at a time, then one product, then two, then many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

import numpy as np

from conformance.arrays import Array
from conformance.bisect.questions import Question, is_exact, question, times
from conformance.cases.products import Codes
from conformance.judges import ProductJudge
from conformance.why.minimize import cases_of
from mxemu.block import value_bits
from mxemu.formats import BlockFormat
from mxemu.scalar import decode
from mxemu.value import Value

Elements = Mapping[int, int]
Scales = Mapping[tuple[int, int], int]
"""Side (0 for a, 1 for b) and block to a scale code; the others are 1."""

PAIRS = 512
"""Random products, and random dot products, that are asked for."""

SINGLE = "single products"
"""The question of which an answer may have lost bits on its way, see `conformance.bisect.loss`."""

_DTYPE = np.dtype(np.int64)


class Products:
    """Makes questions for a judge of dot products.

    Parameters
    ----------
    judge : ProductJudge
    takes_c : bool
        Whether the subject can be given something to add to.
    """

    def __init__(self, judge: ProductJudge, takes_c: bool) -> None:
        self.judge, self.layout, self.takes_c = judge, judge.layout, takes_c
        self.out = judge.carrier
        self.sides = Codes(judge.layout.a), Codes(judge.layout.b)
        self.rng = np.random.default_rng(6)
        self.lanes = range(judge.layout.length)

    def questions(self) -> Iterator[Question | None]:
        """All of them, step by step."""
        for step in (
            self.decode,
            self.scale,
            self.product,
            self.align,
            self.accumulate,
            self.round,
        ):
            yield from step()

    def row(self, a: Elements, b: Elements, scales: Scales | None = None, c: int = 0) -> Array:
        """A row with these elements; all others are zero."""
        layout = self.layout
        row = np.zeros(layout.width, dtype=np.int64)
        half = layout.blocks + layout.length
        for side, codes in enumerate((a, b)):
            fmt = (layout.a, layout.b)[side]
            start = side * half
            if isinstance(fmt, BlockFormat):
                row[start : start + layout.blocks] = fmt.scale.bias << fmt.scale.mantissa_bits
            for lane, code in codes.items():
                row[start + layout.blocks + lane] = code
        for (side, block), code in (scales or {}).items():
            row[side * half + block] = code
        row[-1] = np.array(c, np.uint64).view(np.int64)
        return row

    def ones(self, side: int, block: int = 0) -> dict[int, int]:
        """1 in every lane of a block."""
        k = self.layout.k
        return dict.fromkeys(range(block * k, (block + 1) * k), self.sides[side].one)

    def beside(self, side: int, lane: int, code: int, scales: Scales | None = None) -> Array:
        """One number on one side, ones all through its block on the other: lanes that went astray do not show.

        The other blocks start with a 1 on that side, so that none is taken for padding.
        """
        other = self.ones(1 - side, lane // self.layout.k)
        other |= dict.fromkeys(self.lanes[:: self.layout.k], self.sides[1 - side].one)
        mine = {lane: code}
        return self.row(*((mine, other) if side == 0 else (other, mine)), scales)

    def value(self, side: int, code: int) -> Value:
        """The value of an element's code."""
        return self.sides[side].values[code]

    def ladder(self, side: int) -> list[int]:
        """Codes of 1, of the largest and of the smallest power of two."""
        powers = self.sides[side].powers
        return [powers[0], powers[max(powers)], powers[min(powers)]]

    def product_at(self, exponent: int) -> tuple[int, int] | None:
        """Codes of a and b whose product is a power of two."""
        left, right = self.sides[0].powers, self.sides[1].powers
        return next(
            ((code, right[exponent - p]) for p, code in left.items() if exponent - p in right), None
        )

    def reach(self) -> tuple[int, int]:
        """Exponents of the smallest and the largest product that is a power of two."""
        powers = [side.powers for side in self.sides]
        return sum(min(one) for one in powers), sum(max(one) for one in powers)

    def sum_of(self, terms: list[tuple[int, int, int]], c: Value | None = None) -> Array | None:
        """Products of powers of two, each of a lane, an exponent and a sign, and C."""
        a, b = dict[int, int](), dict[int, int]()
        for lane, exponent, sign in terms:
            found = self.product_at(exponent)
            if found is None:
                return None
            a[lane] = self.sides[0].negative(found[0]) if sign else found[0]
            b[lane] = found[1]
        return self.row(a, b, c=0 if c is None else value_bits(c, self.out))

    def sorted_out(self, rows: Iterable[Array | None], *, exact: bool) -> list[Array]:
        """The rows whose sum the result's format has as a normal number, or those whose finite sum it has not."""
        listed = [row for row in rows if row is not None]
        if not listed:
            return []
        own = self.judge.on(cases_of(np.array(listed), "random"))
        totals = [own.sums(index).total for index in range(len(listed))]
        return [
            row
            for row, total in zip(listed, totals, strict=True)
            if is_exact(total, self.out) == exact
        ]

    def decode(self) -> Iterator[Question | None]:
        """Every code of each side, times one."""
        for side, name in enumerate("ab"):
            codes = [
                code for code, value in self.sides[side].values.items() if is_exact(value, self.out)
            ]
            rows = [self.beside(side, 0, code) for code in codes[:4096]]
            yield question("decode", f"each code of {name}, times 1", rows, _DTYPE)

    def scale(self) -> Iterator[Question | None]:
        """Every scale code of each side, every sum of two, and the NaN scale."""
        for side, name in enumerate("ab"):
            fmt = self.sides[side].scale
            if fmt is None:
                continue
            codes = range(1 << fmt.width)
            rows = [self._under(side, {(side, 0): code}) for code in codes]
            yield question("scale", f"each scale code of {name}, with one number", rows, _DTYPE)
            rows = [self._under(side, one, block) for block, one in self._own_scales(side)]
            yield question("scale", f"scales of {name} that differ by block", rows, _DTYPE)
        rows = [self._both(*pair, plain=True) for pair in self._totals()]
        yield question("scale", "both scales at once", rows, _DTYPE)
        if self.layout.blocks > 1 and any(side.scale for side in self.sides):
            ones = {0: self.sides[0].one}, {0: self.sides[1].one}
            rows = [self.row(*ones, own) for own in self._of_zeros()]
            yield question("scale", "blocks of zeros under other scales", rows, _DTYPE)

    def _of_zeros(self) -> Iterator[Scales]:
        """Other scales for the last block than for the first."""
        yield {}
        for side in (0, 1):
            powers = self.sides[side].scale_powers
            for exponent in (7, -7):
                if exponent in powers:
                    yield {(side, self.layout.blocks - 1): powers[exponent]}

    def _under(self, side: int, scales: Scales, block: int = 0) -> Array | None:
        """One number under scales, such that the result is normal; None if none is."""
        used = [self._scale(one, scales.get((one, block))) for one in (0, 1)]
        for code in self.ladder(side):
            if is_exact(times(self.value(side, code), *used), self.out):
                return self.beside(side, block * self.layout.k, code, scales)
        return None

    def _scale(self, side: int, code: int | None) -> Value:
        fmt = self.sides[side].scale
        return Value(0, 1, 0) if code is None or fmt is None else decode(code, fmt)

    def _own_scales(self, side: int) -> Iterator[tuple[int, Scales]]:
        """Blocks with scales that all differ, one of them with a number in it."""
        powers = self.sides[side].scale_powers
        blocks = range(self.layout.blocks)
        for first in (1, -3):
            own = {(side, block): powers.get(first + block) for block in blocks}
            if len(own) > 1 and None not in own.values():
                for block in blocks:
                    yield block, {key: code for key, code in own.items() if code is not None}

    def _totals(self) -> Iterator[tuple[int, int]]:
        """Codes of two scales: all sums of exponents that there are, split evenly and unevenly."""
        powers = [side.scale_powers for side in self.sides]
        if not all(powers):
            return
        low, high = sum(map(min, powers)), sum(map(max, powers))
        for total in range(low, high + 1):
            for first in sorted({total // 2, max(powers[0]), min(powers[0])}):
                if first in powers[0] and total - first in powers[1]:
                    yield powers[0][first], powers[1][total - first]

    def _both(self, first: int, second: int, *, plain: bool) -> Array | None:
        """One number, or a product of two, under two scales, such that the result is normal; None if none is."""
        scales = {(0, 0): first, (1, 0): second}
        used = [self._scale(0, first), self._scale(1, second)]
        ones = self.sides[0].one, self.sides[1].one
        for x, y in product(self.ladder(0), self.ladder(1)):
            if plain and x != ones[0] and y != ones[1]:
                continue
            if is_exact(times(self.value(0, x), self.value(1, y), *used), self.out):
                return self.row({0: x}, dict.fromkeys(self.ones(1), y), scales)
        return None

    def product(self) -> Iterator[Question | None]:
        """One product: in every lane, of lanes that must not meet, and of many pairs of codes."""
        one, other = self.sides[0].one, self.sides[1].one
        minus = [side.negative(side.one) for side in self.sides]
        signs = ((one, other), (minus[0], other), (one, minus[1]), (minus[0], 0), (0, minus[1]))
        rows = [self.row({lane: x}, {lane: y}) for x, y in signs for lane in self.lanes]
        yield question("product", "1 * 1 in each lane, with all signs, and 1 * 0", rows, _DTYPE)
        last = len(self.lanes) - 1
        crossed = [(lane, lane ^ 1) for lane in self.lanes] + [(n, last - n) for n in self.lanes]
        rows = [self.row({i: one}, {j: other}) for i, j in crossed if i != j <= last]
        yield question("product", "ones in different lanes, which do not meet", rows, _DTYPE)
        pairs = [self.row({0: x}, {0: y}) for x, y in self._pairs()]
        yield question("product", SINGLE, pairs, _DTYPE)
        lifted = [self._both(*pair, plain=False) for pair in self._totals()]
        yield question("scale", "both scales far away, with a product", lifted, _DTYPE)

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """Pairs of codes whose product is not rounded: all of them, or many."""
        left, right = (list(side.values) for side in self.sides)
        pairs = list(product(left, right))
        if len(pairs) > 8 * PAIRS:
            specials = [list(side.specials().values()) for side in self.sides]
            some = [
                [0, *self.ladder(side), self.sides[side].odd, *specials[side]] for side in (0, 1)
            ]
            pairs = [*product(some[0], right), *product(left, some[1])]
            drawn = self.rng.integers(0, [len(left), len(right)], (PAIRS, 2))
            pairs += [(left[x], right[y]) for x, y in drawn.tolist()]
        for x, y in pairs:
            if is_exact(times(self.value(0, x), self.value(1, y)), self.out):
                yield x, y

    def align(self) -> Iterator[Question | None]:
        """Two products at a growing distance; the same with C, which comes alone first."""
        rows = [
            self.sum_of([(i, small + far, s), (j, small, t)])
            for far, small in self._distances(self.out.mantissa_bits)
            for s, t in ((0, 0), (0, 1), (1, 0))
            for i, j in ((0, 1), (len(self.lanes) - 1, 0))
        ]
        exact = self.sorted_out(rows, exact=True)
        yield question("align", "two products at a growing distance", exact, _DTYPE)
        rows = [*self._apart(self.out.mantissa_bits)]
        exact = self.sorted_out(rows, exact=True)
        yield question("align", "two blocks whose scales grow apart", exact, _DTYPE)
        if self.takes_c:
            rows = [self.row({}, {}, c=bits) for bits in self._carried()]
            yield question("accumulate", "C alone", rows, _DTYPE)
            rows = [
                self.sum_of([(0, small, s)], Value(t, 1, small + far))
                for far, small in self._distances(self.out.mantissa_bits, below=True)
                for s, t in ((0, 0), (0, 1), (1, 0))
            ]
            exact = self.sorted_out(rows, exact=True)
            yield question("align", "C and a product at a growing distance", exact, _DTYPE)

    def _distances(self, most: int, *, below: bool = False) -> Iterator[tuple[int, int]]:
        """Distances in exponents, each with some exponents of the smaller product."""
        low, high = self.reach()
        for far in range(-most if below else 0, most + 1):
            top = high if below else high - far
            for small in sorted({low, top, (low + top) // 2}):
                if low <= small <= top:
                    yield far, small

    def _apart(self, most: int, third: bool = False) -> Iterator[Array | None]:
        """Ones in two blocks, the scale of one of them ever smaller; with a third that takes the first back."""
        powers, k = self.sides[0].scale_powers, self.layout.k
        if self.layout.blocks < 2 + third:
            return
        one, other = self.sides[0].one, self.sides[1].one
        for far in range(1, most + 1):
            if -far in powers:
                lanes = {0: one, k: one} | ({2 * k: self.sides[0].negative(one)} if third else {})
                yield self.row(lanes, dict.fromkeys(lanes, other), {(0, 1): powers[-far]})

    def accumulate(self) -> Iterator[Question | None]:
        """Many products whose sum is not rounded, and sums in which large terms cancel."""
        one, other = self.sides[0].one, self.sides[1].one
        minus = self.sides[0].negative(one)
        several = range(2, len(self.lanes) + 1)
        rows: list[Array | None] = []
        for signs in ((one, one), (minus, minus), (one, minus)):
            for n in several:
                used = {lane: signs[lane % 2] for lane in range(n)}
                rows.append(self.row(used, dict.fromkeys(used, other)))
        exact = self.sorted_out(rows, exact=True)
        yield question("accumulate", "a growing number of ones", exact, _DTYPE)
        dense = self.sorted_out([*self._full(), *self._random()], exact=True)
        yield question("accumulate", "full vectors with a sum that is not rounded", dense, _DTYPE)
        taken = self.sorted_out([*self._cancelling(), *self._apart(64, third=True)], exact=True)
        what = "a large term, a small one, and the large one taken back"
        yield question("accumulate", what, taken, _DTYPE, ("align",))

    def _carried(self) -> Iterator[int]:
        """Bits of C: ordinary numbers with all kinds of mantissas."""
        one, last = self.out.bias << self.out.mantissa_bits, 1 << self.out.mantissa_bits
        for field in (
            one,
            one + (5 << self.out.mantissa_bits),
            one - (7 << self.out.mantissa_bits),
        ):
            for mantissa in (0, 1, last // 2, last - 1, last // 3):
                yield field | mantissa
                yield field | mantissa | self.out.sign_mask

    def _full(self) -> Iterator[Array]:
        """The largest and the smallest number everywhere."""
        for n in range(3):
            x, y = (self.ladder(side)[n] for side in (0, 1))
            yield self.row(dict.fromkeys(self.lanes, x), dict.fromkeys(self.lanes, y))
        x, y = (side.element.max_code for side in self.sides)
        yield self.row(dict.fromkeys(self.lanes, x), dict.fromkeys(self.lanes, y))

    def _random(self) -> Iterator[Array]:
        """Vectors of numbers around 1, full ones and those with a few numbers."""
        near = [
            [
                code
                for code in side.finite
                if not (v := side.values[code]).is_zero and abs(v.leading) < 3
            ]
            for side in self.sides
        ]
        for number in range(PAIRS // 4):
            count = len(self.lanes) if number % 2 else 2 + number % 7
            lanes = self.rng.permutation(len(self.lanes))[:count].tolist()
            a, b = (
                dict(zip(lanes, self.rng.choice(one, count).tolist(), strict=True)) for one in near
            )
            yield self.row(a, b)

    def _cancelling(self) -> Iterator[Array | None]:
        low, high = self.reach()
        for far, small in self._distances(high - low):
            big = small + far
            yield self.sum_of([(0, big, 0), (1, small, 0), (2, big, 1)])
            yield self.sum_of([(0, small, 1), (1, big, 0), (len(self.lanes) - 1, big, 1)])
            if self.takes_c and far:
                yield self.sum_of([(0, big, 1), (1, small, 0)], Value(0, 1, big))

    def round(self) -> Iterator[Question | None]:
        """The sign of zero; ties and what is just beside them; results that are subnormal, or too large."""
        minus, zero = self.sides[0].negative(self.sides[0].one), dict.fromkeys(self.lanes, 0)
        rows = [self.row(dict.fromkeys(self.lanes, minus), zero)]
        yield question("round", "a sum of nothing but -0", rows, _DTYPE, ("accumulate",))
        ties = self.sorted_out([*self._ties()], exact=False)
        yield question("round", "ties, and sums just beside them", ties, _DTYPE)
        small = self.sorted_out([*self._far_scales(low=True)], exact=False)
        yield question("round", "subnormal results, and smaller ones", small, _DTYPE)
        large = self.sorted_out([*self._far_scales(low=False)], exact=False)
        yield question("round", "results beyond the largest number", large, _DTYPE)
        dense = self.sorted_out([*self._random(), *self._scattered()], exact=False)
        yield question("round", "random sums that are rounded", dense, _DTYPE, ("accumulate",))

    def _ties(self) -> Iterator[Array | None]:
        """Sums of powers of two, with half an ulp and with a little more or less."""
        m = self.out.mantissa_bits
        low, high = self.reach()
        for top in range(low + m + 1, high + 1):
            for tail in ([top - m - 1], [top - m, top - m - 1], [top - m - 2]):
                for sign in (0, 1):
                    terms = [top, *tail]
                    yield self.sum_of([(n, exponent, sign) for n, exponent in enumerate(terms)])
                    if low < terms[-1]:
                        sticky = [*terms, low]
                        yield self.sum_of(
                            [(n, exponent, sign) for n, exponent in enumerate(sticky)]
                        )
        if self.takes_c:
            yield from self._ties_with_c()

    def _ties_with_c(self) -> Iterator[Array | None]:
        """C and a product of half an ulp of it, or of less; a scale brings it there."""
        powers, other = self.sides[0].scale_powers, {0: self.sides[1].one}
        one = self.sides[0].one
        for bits, far, sign in product(self._carried(), (1, 2, 3), (0, 1)):
            place = decode(bits, self.out).leading - self.out.mantissa_bits - far
            used = {0: self.sides[0].negative(one) if sign else one}
            if place in powers:
                yield self.row(used, other, {(0, 0): powers[place]}, bits)
            elif not powers:
                yield self.sum_of([(0, place, sign)], decode(bits, self.out))

    def _far_scales(self, *, low: bool) -> Iterator[Array]:
        """Products under scales that bring them to one end of the result's range."""
        powers = [side.scale_powers for side in self.sides]
        if not all(powers):
            return
        end = self.out.emin if low else self.out.emax
        for total in range(end - self.out.mantissa_bits - 4, end + 3):
            first = min(max(total // 2, min(powers[0])), max(powers[0]))
            scales = (first, total - first)
            if any(one not in table for one, table in zip(scales, powers, strict=True)):
                continue
            own = {(side, 0): powers[side][scales[side]] for side in (0, 1)}
            for x in (self.sides[0].one, self.sides[0].odd):
                for code in (x, self.sides[0].negative(x)):
                    yield self.row({0: code}, {0: self.sides[1].one}, own)
                    yield self.row({0: code}, {0: self.sides[1].odd}, own)

    def _scattered(self) -> Iterator[Array]:
        """Vectors of all numbers."""
        for _ in range(PAIRS // 8):
            codes = [self.rng.choice(side.finite, len(self.lanes)).tolist() for side in self.sides]
            yield self.row(dict(enumerate(codes[0])), dict(enumerate(codes[1])))
