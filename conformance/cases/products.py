"""Cases for dot products: dot, dot-general and matmul. A row is the operands of one result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import permutations

import numpy as np

from conformance.arrays import BITS_DTYPES, Array, Dots, code_dtype
from conformance.cases import Cases, collect
from mxemu.block import value_bits
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat, IntFormat
from mxemu.scalar import decode, encode
from mxemu.value import INF, NAN, Value

RANDOM = {"smoke": 32, "core": 384, "full": 20_000, "exhaustive": 100_000}
"""Random dot products at each level."""

GRIDS = {
    "smoke": ((7, 5), (1, 3)),
    "core": ((23, 17), (1, 7), (5, 1)),
    "full": ((67, 41), (1, 64), (33, 1), (3, 2)),
    "exhaustive": ((131, 67), (1, 64), (33, 1), (3, 2)),
}
"""Rows of a and of b in each matrix product; no two products have as many results."""

BLOCKS = 4
"""Blocks in each vector of dot-general and matmul."""

# Operands without blocks are taken to have as many elements as a block of MX.
_WITHOUT_BLOCKS = 32
_WIDEST_TABLE = 16
_STEP = {"smoke": 7}

Row = Array
Elements = Mapping[int, int]


@dataclass(frozen=True)
class Layout:
    """Where the operands of one result lie in a row of cases: scales of a, a, scales of b, b, C.

    Parameters
    ----------
    a, b : BlockFormat or element format
    blocks : int
        In each vector.
    out : FloatFormat
        Of C and of the results.
    """

    a: BlockFormat | ElementFormat
    b: BlockFormat | ElementFormat
    blocks: int
    out: FloatFormat

    @property
    def k(self) -> int:
        """The block size."""
        sizes = [one.k for one in (self.a, self.b) if isinstance(one, BlockFormat)]
        return sizes[0] if sizes else _WITHOUT_BLOCKS

    @property
    def length(self) -> int:
        """K, the number of products."""
        return self.blocks * self.k

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return 2 * (self.blocks + self.length) + 1

    def dots(self, rows: Array) -> Dots:
        """Rows of cases as operands."""
        n, length = self.blocks, self.length
        cuts = [n, n + length, 2 * n + length, 2 * (n + length)]
        sa, a, sb, b, c = np.split(rows, cuts, axis=1)
        carried = c[:, 0].astype(np.uint64).astype(BITS_DTYPES[self.out.name])
        scales = [_scales(codes, fmt) for codes, fmt in ((sa, self.a), (sb, self.b))]
        left, right = (
            codes.astype(code_dtype(element_of(fmt).width))
            for codes, fmt in ((a, self.a), (b, self.b))
        )
        return Dots(scales[0], left, scales[1], right, carried, (self.a, self.b), self.out)


def _scales(codes: Array, fmt: BlockFormat | ElementFormat) -> Array | None:
    return codes.astype(code_dtype(fmt.scale.width)) if isinstance(fmt, BlockFormat) else None


def element_of(fmt: BlockFormat | ElementFormat) -> ElementFormat:
    """The element format of an operand."""
    return fmt.element if isinstance(fmt, BlockFormat) else fmt


class Codes:
    """What the cases need to know about one operand's formats."""

    def __init__(self, fmt: BlockFormat | ElementFormat) -> None:
        self.format = fmt
        self.element = element_of(fmt)
        self.scale = fmt.scale if isinstance(fmt, BlockFormat) else None

    @cached_property
    def values(self) -> dict[int, Value]:
        """The values of all codes, or of many where there are more than 2^16."""
        width = self.element.width
        step = 1 << max(0, width - _WIDEST_TABLE)
        codes = [*range(0, 1 << width, step), *self._ends()]
        return {code: decode(code, self.element) for code in codes}

    def _ends(self) -> list[int]:
        one = encode(Value(0, 1, 0), self.element).code
        return [1, one, self.element.max_code]

    @cached_property
    def finite(self) -> list[int]:
        """Codes of numbers, zeros included."""
        return [code for code, value in self.values.items() if value.is_finite]

    @cached_property
    def powers(self) -> dict[int, int]:
        """Exponent to the code of that power of two."""
        found = self.values.items()
        return {
            value.leading: code
            for code, value in found
            if value.is_finite and not value.sign and value.significand.bit_count() == 1
        }

    @cached_property
    def scale_powers(self) -> dict[int, int]:
        """Exponent to the code of the scale that is this power of two; none without scales."""
        if self.scale is None:
            return {}
        values = {code: decode(code, self.scale) for code in range(self.scale.max_code + 1)}
        return {
            value.leading: code
            for code, value in values.items()
            if value.significand.bit_count() == 1
        }

    @property
    def one(self) -> int:
        """The code of 1."""
        return self.powers[0]

    @property
    def odd(self) -> int:
        """The code of a number between 1 and 2 with all its mantissa bits set."""
        return self.powers[1] - 1 if 1 in self.powers else self.element.max_code

    def negative(self, code: int) -> int:
        """The code of the number with the other sign."""
        if isinstance(self.element, IntFormat):
            return -code & ((1 << self.element.width) - 1)
        return code ^ self.element.sign_mask

    def specials(self) -> dict[str, int]:
        """A code of Inf and of NaN, as far as the format has them."""
        named: dict[str, int] = {}
        for code, value in self.values.items():
            if not value.is_finite:
                named.setdefault("nan" if value.is_nan else "inf", code)
        return named

    @property
    def nan_scale(self) -> int | None:
        """The first scale code that is NaN."""
        return None if self.scale is None or not self.scale.nans else self.scale.nans[0]


@lru_cache(maxsize=32)
def product_cases(layout: Layout, level: str, takes_c: bool) -> Cases:
    """Operands of single results.

    Returns
    -------
    Cases
        Rows of a `Layout`; C is +0 in the rows that do without it, and in all of them if ``takes_c`` is False.
    """
    kit = _Kit(layout, level, takes_c)
    parts = []
    for note, rows in _themes(kit):
        listed = [row for row in rows if row is not None]
        parts.append((note, np.array(listed, dtype=np.int64).reshape(-1, layout.width)))
    return collect(parts, np.int64)


@lru_cache(maxsize=32)
def matmul_cases(layout: Layout, level: str, takes_c: bool) -> tuple[Cases, tuple[Array, ...]]:
    """Operands of the results of some matrix products, and which of the cases belong to each of them.

    Returns
    -------
    Cases
    tuple of ndarray, shapes (m, n)
        Indices of cases; row i of a meets row j of b in the case at [i, j].
    """
    kit = _Kit(layout, level, takes_c)
    rows, themes, grids, start = [], [], [], 0
    for m, n in GRIDS[level]:
        grid = start + np.arange(m * n).reshape(m, n)
        own, theme = _grid_rows(kit, m, n)
        rows.append(own)
        themes.append(theme)
        grids.append(grid)
        start += m * n
    cases = Cases(np.concatenate(rows), np.concatenate(themes), _GRID_NOTES)
    return cases, tuple(grids)


_GRID_NOTES = ("matrix-row", "nan-scale-product", "random")


def _grid_rows(kit: _Kit, m: int, n: int) -> tuple[Array, Array]:
    """All pairs of m rows of a and n rows of b, and the theme of each."""
    half = kit.layout.blocks + kit.layout.length
    last = kit.layout.length - 1
    lanes = [0, last, kit.layout.k - 1, *(5 * row % (last + 1) for row in range(m + n))]
    single = [kit.one_lane(lane, row) for row, lane in enumerate(lanes[: m + n])]
    drawn = _random(kit, m + n, _generator(kit, m + n))
    pool = [row for pair in zip(single, drawn, strict=True) for row in pair]
    left = np.array([row[:half] for row in pool[:m]])
    right = np.array([row[half:-1] for row in pool[m : m + n]])
    theme = np.where((np.arange(m)[:, None] % 2 == 0) | (np.arange(n)[None] % 2 == 0), 0, 2)
    if kit.a.nan_scale is not None and m > 2:
        left[2, 0] = kit.a.nan_scale
        theme[2] = 1
    carried = [row[-1:] for row in _random(kit, m * n, _generator(kit, m * n))]
    body = np.column_stack([np.repeat(left, n, axis=0), np.tile(right, (m, 1))])
    return np.column_stack([body, np.array(carried)]), theme.ravel()


class _Kit:
    """Makes rows from a few elements; all others are zero, and scales are 1."""

    def __init__(self, layout: Layout, level: str, takes_c: bool) -> None:
        self.layout = layout
        self.level = level
        self.takes_c = takes_c
        self.a, self.b = Codes(layout.a), Codes(layout.b)
        self.step = _STEP.get(level, 1)

    @property
    def mixed(self) -> bool:
        """Whether the operands differ in format."""
        return self.layout.a != self.layout.b

    def row(
        self,
        a: Elements,
        b: Elements,
        sa: Elements | int = 0,
        sb: Elements | int = 0,
        c: int | None = 0,
    ) -> Row | None:
        """A row; scales are exponents, one for all blocks or some by block. None where something does not exist."""
        layout = self.layout
        if c is None or (c and not self.takes_c):
            return None
        row = np.zeros(layout.width, dtype=np.int64)
        half = layout.blocks + layout.length
        for start, side, codes, scales in ((0, self.a, a, sa), (half, self.b, b, sb)):
            powers = self._scale_codes(side, scales)
            if powers is None:
                return None
            row[start : start + layout.blocks] = powers
            for lane, code in codes.items():
                row[start + layout.blocks + lane] = code
        row[-1] = np.array(c, np.uint64).view(np.int64)
        return row

    def _scale_codes(self, side: Codes, scales: Elements | int) -> list[int] | None:
        """Scale codes of the blocks; None where a power of two is none of the format's scales."""
        table = scales if isinstance(scales, Mapping) else {}
        usual = 0 if isinstance(scales, Mapping) else scales
        powers = [table.get(block, usual) for block in range(self.layout.blocks)]
        if side.scale is None:
            return None if any(powers) else powers
        found = [side.scale_powers.get(power) for power in powers]
        return None if None in found else [code for code in found if code is not None]

    def raw_scales(
        self, row: Row | None, sa: int | None, sb: int | None, block: int = 0
    ) -> Row | None:
        """A row with the scale codes of one block replaced."""
        if row is None or (sa is None and sb is None):
            return None
        changed = row.copy()
        half = self.layout.blocks + self.layout.length
        if sa is not None:
            changed[block] = sa
        if sb is not None:
            changed[half + block] = sb
        return changed

    def split(self, exponent: int) -> tuple[int, int] | None:
        """Codes of two powers of two whose product is 2^exponent."""
        middle = sorted(self.a.powers, key=lambda power: abs(2 * power - exponent))
        for power in middle:
            if exponent - power in self.b.powers:
                return self.a.powers[power], self.b.powers[exponent - power]
        return None

    def terms(self, terms: Iterable[tuple[int, int, int]], c: int | None = 0) -> Row | None:
        """A row of products: lane, sign and exponent of each."""
        a, b = {}, {}
        for lane, sign, exponent in terms:
            codes = self.split(exponent)
            if codes is None:
                return None
            a[lane] = self.a.negative(codes[0]) if sign else codes[0]
            b[lane] = codes[1]
        return self.row(a, b, c=c)

    @property
    def exponents(self) -> range:
        """Exponents of products of powers of two, scales left out."""
        ends = [end(self.a.powers) + end(self.b.powers) for end in (min, max)]
        return range(ends[0], ends[1] + 1)

    def one_lane(self, lane: int, power: int = 0) -> Row:
        """One product of odd significands, other lanes zero; blocks have scales of their own."""
        base = self.row({lane: self.a.odd}, {lane: self.b.odd})
        assert base is not None
        exponents = {block: (power + 3 * block) % 8 - 4 for block in range(self.layout.blocks)}
        scaled = self.row({lane: self.a.odd}, {lane: self.b.odd}, exponents, exponents)
        return base if scaled is None else scaled

    def carried(self, value: Value) -> int | None:
        """C as bits, None if the format of the results does not have the value."""
        bits = value_bits(value, self.layout.out)
        back = decode(bits, self.layout.out)
        if not value.is_finite:
            return bits
        return bits if back.is_finite and back.fraction() == value.fraction() else None

    @property
    def negative_zero(self) -> int:
        """C = -0."""
        return self.layout.out.sign_mask


def _themes(kit: _Kit) -> Iterator[tuple[str, Iterable[Row | None]]]:
    if kit.mixed:
        yield "operand-formats", _own_codes(kit)
    yield "product-of-codes", _single_products(kit)
    yield "product-lane", _lanes(kit)
    yield "lane-pairing", _pairs_of_lanes(kit)
    yield "block-scale", _block_scales(kit)
    yield "last-block", _padded(kit)
    yield "scale-sum", _scale_sums(kit)
    yield "result-subnormal", _small_results(kit)
    yield "result-overflow", _large_results(kit)
    yield "zero-result-sign", _zeros(kit)
    yield "cancellation-depth", _cancellations(kit)
    yield "term-order", _orders(kit)
    yield "carried-distance", _distances(kit)
    yield "carried-tie", _ties(kit)
    yield "midway-overflow", _overflows(kit)
    yield "tiny-products", _tiny(kit)
    yield "nan-scale-product", _nan_scales(kit)
    yield "invalid-product", _invalid(kit)
    yield "random", _random(kit, RANDOM[kit.level], _generator(kit, RANDOM[kit.level]))


def _own_codes(kit: _Kit) -> Iterator[Row | None]:
    """One product whose codes both formats have: read as the other's they are other numbers."""
    shared = 1 << min(kit.a.element.width, kit.b.element.width)
    for code in range(1, shared, max(1, shared // 32)):
        if code in kit.a.values and kit.a.values[code].is_finite:
            yield kit.row({0: code}, {0: kit.b.one})
        if code in kit.b.values and kit.b.values[code].is_finite:
            yield kit.row({0: kit.a.one}, {0: code})


def _single_products(kit: _Kit) -> Iterator[Row | None]:
    """One product: all pairs of codes where there are few, else every code with some partners."""
    few = {"smoke": 256, "core": 4096}.get(kit.level, 1 << 16)
    left, right = kit.a.finite, kit.b.finite
    partners = max(1, min(len(right), few // len(left)))
    left = left[:: max(1, len(left) // few)]
    for place, x in enumerate(left):
        for step in range(partners):
            y = right[(7 * place + step * len(right) // partners) % len(right)]
            yield kit.row({0: x}, {0: y})


def _lanes(kit: _Kit) -> Iterator[Row | None]:
    """Each lane alone, and each lane of one operand beside all lanes of the other."""
    length = kit.layout.length
    ones_a, ones_b = (dict.fromkeys(range(length), side.one) for side in (kit.a, kit.b))
    for lane in range(length):
        yield kit.row({lane: kit.a.odd}, {lane: kit.b.one})
    for lane in range(0, length, kit.step):
        yield kit.row(ones_a, {lane: kit.b.odd})
        yield kit.row({lane: kit.a.odd}, ones_b)


def _pairs_of_lanes(kit: _Kit) -> Iterator[Row | None]:
    """A lane of a beside another lane of b, which makes zero; and sums whose powers of two tell the lanes apart."""
    length = kit.layout.length
    for lane in range(0, length, kit.step):
        for other in {lane ^ 1, (lane + 1) % length, (lane + kit.layout.k // 2) % length}:
            yield kit.row({lane: kit.a.one}, {other: kit.b.one})
    window = list(kit.exponents)[-min(12, len(kit.exponents)) :]
    for start in range(0, length, len(window)):
        lanes = range(start, min(start + len(window), length))
        yield kit.terms((lane, 0, power) for lane, power in zip(lanes, window, strict=False))


def _block_scales(kit: _Kit) -> Iterator[Row | None]:
    """One product in one block, all blocks with scales of their own."""
    k = kit.layout.k
    for block in range(kit.layout.blocks):
        for first, step in ((1, 2), (-3, 5)):
            sa = {one: first + step * one for one in range(kit.layout.blocks)}
            sb = {one: step - one for one in range(kit.layout.blocks)}
            a, b = {block * k + 1: kit.a.odd}, {block * k + 1: kit.b.odd}
            yield kit.row(a, b, sa, 0)
            yield kit.row(a, b, 0, sb)
            yield kit.row(a, b, sa, sb)


def _padded(kit: _Kit) -> Iterator[Row | None]:
    """A last block that is filled up with zeros behind some elements."""
    k, start = kit.layout.k, kit.layout.length - kit.layout.k
    for filled in sorted({1, 2, k // 2, k - 1}) if kit.layout.blocks > 1 else ():
        tail = range(start, start + filled)
        yield kit.row(dict.fromkeys(tail, kit.a.one), dict.fromkeys(tail, kit.b.odd))
        lanes = range(start + filled)
        yield kit.row(dict.fromkeys(lanes, kit.a.one), dict.fromkeys(lanes, kit.b.one))


def _scale_sums(kit: _Kit) -> Iterator[Row | None]:
    """One product under every sum of two scale exponents, with the ends of the sum reached from both sides."""
    left, right = sorted(kit.a.scale_powers), sorted(kit.b.scale_powers)
    if not left or not right:
        for power in (left or right)[:: kit.step]:
            scales = (power, 0) if left else (0, power)
            yield kit.row({0: kit.a.one}, {0: kit.b.one}, *scales)
        return
    for total in range(left[0] + right[0], left[-1] + right[-1] + 1, kit.step):
        sa = min(max(total // 2, left[0]), left[-1])
        yield kit.row({0: kit.a.one}, {0: kit.b.one}, sa, total - sa)
    for sa in (left[0], -1, 0, 1, left[-1]):
        for sb in (right[0], -1, 0, 1, right[-1]):
            yield kit.row({0: kit.a.one}, {0: kit.b.one}, sa, sb)
            yield kit.row({0: kit.a.odd}, {0: kit.a.negative(kit.a.one) and kit.b.odd}, sa, sb)


def _scaled(kit: _Kit, a: Elements, b: Elements, power: int, c: int | None = 0) -> Row | None:
    """A row with scales whose product is 2^power."""
    left, right = sorted(kit.a.scale_powers), sorted(kit.b.scale_powers)
    if not left or not right:
        return kit.row(a, b, c=c) if not power else None
    sa = min(max(power // 2, left[0]), left[-1])
    return kit.row(a, b, sa, power - sa, c)


def _small_results(kit: _Kit) -> Iterator[Row | None]:
    """Results about the smallest normal and the smallest subnormal number, both signs, sums of two among them."""
    out = kit.layout.out
    for power in range(out.emin - out.mantissa_bits - 6, out.emin + 3):
        for sign in (0, 1):
            x = kit.a.negative(kit.a.odd) if sign else kit.a.odd
            yield _scaled(kit, {0: x}, {0: kit.b.odd}, power)
            yield _scaled(kit, {0: x, 1: kit.a.one}, {0: kit.b.one, 1: kit.b.odd}, power)


def _large_results(kit: _Kit) -> Iterator[Row | None]:
    """The largest products in all lanes, and results about the largest number."""
    lanes, out = range(kit.layout.length), kit.layout.out
    a, b = (
        dict.fromkeys(lanes, kit.a.element.max_code),
        dict.fromkeys(lanes, kit.b.element.max_code),
    )
    last = kit.layout.length.bit_length() + kit.a.element.emax + kit.b.element.emax + 2
    for power in (0, *range(out.emax - last, out.emax - last + 6), 2 * out.emax):
        for sign in (0, 1):
            signed = {lane: kit.a.negative(x) if sign else x for lane, x in a.items()}
            yield _scaled(kit, signed, b, power)
            yield _scaled(kit, {0: signed[0]}, {0: b[0]}, power)
            yield _scaled(kit, {0: signed[0]}, {0: kit.b.one}, out.emax - kit.a.element.emax)
            yield _scaled(kit, {0: signed[0]}, {0: kit.b.one}, out.emax - kit.a.element.emax + 1)


def _zeros(kit: _Kit) -> Iterator[Row | None]:
    """Zero from zeros of both signs, and from products or C that cancel."""
    lanes = range(kit.layout.length)
    minus = kit.a.negative(0)
    c = kit.carried
    for carried in (0, kit.negative_zero):
        yield kit.row(dict.fromkeys(lanes, 0), dict.fromkeys(lanes, kit.b.one), c=carried)
        yield kit.row(dict.fromkeys(lanes, minus), dict.fromkeys(lanes, kit.b.one), c=carried)
        yield kit.row({0: minus}, {0: kit.b.one}, c=carried)
        for lane in (1, kit.layout.length - 1):
            for sign in (0, 1):
                yield kit.terms([(0, sign, 0), (lane, 1 - sign, 0)], carried)
    for sign in (0, 1):
        yield kit.terms([(0, sign, 0)], c(Value(1 - sign, 1, 0)))
        yield kit.terms([(0, sign, 0), (5, sign, 0)], c(Value(1 - sign, 1, 1)))


def _cancellations(kit: _Kit) -> Iterator[Row | None]:
    """Products, or products and C, that cancel but for 2^-d of their size, for every d."""
    top, last = kit.exponents[-1], kit.layout.length - 1
    for power in kit.exponents[:: kit.step]:
        for sign in (0, 1):
            terms = [(0, sign, top), (1, 1 - sign, top), (2, sign, power)]
            yield kit.terms(terms)
            yield kit.terms([(last, sign, power), (0, sign, top), (last // 2, 1 - sign, top)])
    for power in range(top, top + kit.layout.out.mantissa_bits + 12, kit.step):
        carried = Value(
            1, (1 << kit.layout.out.mantissa_bits) | 1, power - kit.layout.out.mantissa_bits
        )
        yield kit.terms([(0, 0, top), (1, 0, kit.exponents[0])], kit.carried(carried))
    yield kit.row({0: kit.a.odd, 1: kit.a.negative(kit.a.one)}, {0: kit.b.odd, 1: kit.b.one})


def _orders(kit: _Kit) -> Iterator[Row | None]:
    """A large, a small and the opposite of the large term, in all orders over lanes, and over blocks."""
    top, low, length = kit.exponents[-1], kit.exponents[0], kit.layout.length
    for lanes in ((0, 1, 2), (0, length // 2, length - 1), (3, 4, 9)):
        for large, small, opposite in permutations(lanes):
            yield kit.terms([(large, 0, top), (small, 0, low), (opposite, 1, top)])
    if kit.layout.blocks < 3:
        return
    for blocks in ((0, 1, 2), (1, 2, kit.layout.blocks - 1)):
        for large, small, opposite in permutations(blocks):
            yield from _blocks_in_order(kit, large, small, opposite)


def _blocks_in_order(kit: _Kit, large: int, small: int, opposite: int) -> Iterator[Row | None]:
    lanes = [block * kit.layout.k for block in (large, small, opposite)]
    a = {lanes[0]: kit.a.one, lanes[1]: kit.a.one, lanes[2]: kit.a.negative(kit.a.one)}
    b = dict.fromkeys(lanes, kit.b.one)
    for power in (7, 12, 30, 60):
        yield kit.row(a, b, {large: power, opposite: power}, 0)
        yield kit.row(a, b, {large: power, opposite: power}, {large: power, opposite: power})


def _distances(kit: _Kit) -> Iterator[Row | None]:
    """C at 2^j times the product, for j from -70 to 70, both signs, with a last bit set and without."""
    ulp = kit.layout.out.mantissa_bits
    for power in range(-70, 71, 2 * kit.step - 1):
        for sign in (0, 1):
            for significand, exponent in ((1, power), ((1 << ulp) | 1, power - ulp)):
                c = kit.carried(Value(sign, significand, exponent))
                yield kit.row({1: kit.a.one}, {1: kit.b.one}, c=c)
                yield kit.row({1: kit.a.odd, 4: kit.a.odd}, {1: kit.b.odd, 4: kit.b.one}, c=c)


def _ties(kit: _Kit) -> Iterator[Row | None]:
    """Products that are half an ulp of C, above and below a power of two, alone and with something to break the tie."""
    ulp = kit.layout.out.mantissa_bits
    low = kit.exponents[0]
    for half in [power for power in (0, -1, low + 4) if kit.split(power) is not None]:
        for odd in (0, 1, 2):
            for c_sign, sign in ((0, 0), (0, 1), (1, 0), (1, 1)):
                c = kit.carried(Value(c_sign, (1 << ulp) + odd, half + 1))
                yield kit.terms([(0, sign, half)], c)
                for broken in (0, 1):
                    yield kit.terms([(0, sign, half), (7, broken, low)], c)
    yield from _ties_of_products(kit, kit.exponents[-1], ulp + 1)


def _ties_of_products(kit: _Kit, top: int, down: int) -> Iterator[Row | None]:
    """A tie among the products alone, below an even and an odd number, which C breaks from far below."""
    for sign in (0, 1):
        for odd in ([], [(3, sign, top - down + 1)]):
            tie = [(0, sign, top), *odd, (9, sign, top - down)]
            yield kit.terms(tie)
            for c_sign in (0, 1):
                for below in (4, 30, 60):
                    yield kit.terms(tie, kit.carried(Value(c_sign, 1, top - down - below)))


def _overflows(kit: _Kit) -> Iterator[Row | None]:
    """Sums that leave the range of the result on the way and come back, over lanes and with C."""
    top, out = kit.exponents[-1], kit.layout.out
    codes = kit.split(top)
    if codes is None:
        return
    signs = sorted(set(permutations((0, 0, 1))))
    for lanes in ((0, 1, 2), (0, kit.layout.length // 2, kit.layout.length - 1)):
        for order in signs:
            a = {
                lane: kit.a.negative(codes[0]) if sign else codes[0]
                for lane, sign in zip(lanes, order, strict=True)
            }
            b = dict.fromkeys(lanes, codes[1])
            for power in (0, out.emax - top):
                yield _scaled(kit, a, b, power)
    largest = out.max_code
    minus = {0: kit.a.negative(codes[0])}
    for c, a in ((largest, minus), (largest | out.sign_mask, {0: codes[0]})):
        yield _scaled(kit, a, {0: codes[1]}, out.emax - top, c)


def _tiny(kit: _Kit) -> Iterator[Row | None]:
    """The smallest products, alone, together and beside others, under scales that make them large."""
    low, last = kit.exponents[0], kit.layout.length - 1
    codes = kit.split(low)
    if codes is None:
        return
    lanes = range(kit.layout.length)
    for power in (0, -low // 2, -low, -low + 20, kit.layout.out.emax - low - 12):
        yield _scaled(kit, {0: codes[0]}, {0: codes[1]}, power)
        yield _scaled(kit, {last: kit.a.negative(codes[0])}, {last: codes[1]}, power)
        yield _scaled(kit, dict.fromkeys(lanes, codes[0]), dict.fromkeys(lanes, codes[1]), power)
        yield _scaled(kit, {0: codes[0], 1: kit.a.one}, {0: codes[1], 1: kit.b.one}, power)


def _nan_scales(kit: _Kit) -> Iterator[Row | None]:
    """A NaN scale of a, of b or of both, beside zeros, numbers and Inf, in every block."""
    a_nan, b_nan = kit.a.nan_scale, kit.b.nan_scale
    inf = kit.a.specials().get("inf")
    for block in range(kit.layout.blocks):
        lane = block * kit.layout.k
        bodies = [
            kit.row({}, {}),
            kit.row({0: kit.a.one, lane: kit.a.one}, {0: kit.b.one, lane: kit.b.one}),
            kit.row({lane: kit.a.negative(kit.a.odd)}, {}),
        ]
        if inf is not None:
            bodies.append(kit.row({lane: inf}, {lane: kit.b.one}))
        for body in bodies:
            for sa, sb in ((a_nan, None), (None, b_nan), (a_nan, b_nan)):
                yield kit.raw_scales(body, sa, sb, block)


def _invalid(kit: _Kit) -> Iterator[Row | None]:
    """Inf and NaN times zero and numbers, Inf with its opposite, under ordinary scales and those at the ends; in C."""
    last = kit.layout.length - 1
    for place, side in enumerate((kit.a, kit.b)):
        other = (kit.b, kit.a)[place]
        for name, code in side.specials().items():
            for lane in (0, last):
                for partner in (0, other.negative(0), other.one, other.negative(other.odd)):
                    pair = ({lane: code}, {lane: partner})
                    yield kit.row(*(pair if not place else pair[::-1]))
            opposite = {0: code, last: side.negative(code)}, dict.fromkeys((0, last), other.one)
            yield kit.row(*(opposite if not place else opposite[::-1]))
            yield from _at_the_ends(kit, place, code) if name == "inf" else ()
    one = ({2: kit.a.one}, {2: kit.b.one})
    for value in (INF, NAN, INF._replace(sign=1)):
        yield kit.row(*one, c=kit.carried(value))
        for code in kit.a.specials().values():
            yield kit.row({2: code}, {2: kit.b.one}, c=kit.carried(value))


def _at_the_ends(kit: _Kit, place: int, inf: int) -> Iterator[Row | None]:
    """Inf under the smallest and the largest scales."""
    other = (kit.b, kit.a)[place].one
    pair = ({1: inf}, {1: other}) if not place else ({1: other}, {1: inf})
    for end in (min, max):
        scales = [end(side.scale_powers, default=0) for side in (kit.a, kit.b)]
        yield kit.row(*pair, *scales)
        yield kit.row(*pair, scales[0], 0)


def random_products(layout: Layout, takes_c: bool, count: int, rng: np.random.Generator) -> Array:
    """Rows of random operands."""
    return np.array(_random(_kit_of(layout, takes_c), count, rng), dtype=np.int64)


@lru_cache(maxsize=8)
def _kit_of(layout: Layout, takes_c: bool) -> _Kit:
    return _Kit(layout, "core", takes_c)


def _generator(kit: _Kit, count: int) -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.Generator(np.random.Philox(key=6100 + kit.layout.length + 7 * count))


def _random(kit: _Kit, count: int, rng: np.random.Generator) -> list[Row]:
    """Uniform codes, codes of spread exponents, sparse rows and cancelling pairs."""
    layout = kit.layout
    half = layout.blocks + layout.length
    rows = np.zeros((count, layout.width), dtype=np.int64)
    for start, side in ((0, kit.a), (half, kit.b)):
        lanes = rng.choice(np.array(side.finite), size=(count, layout.length))
        rows[:, start + layout.blocks : start + half] = lanes
        rows[:, start : start + layout.blocks] = _random_scales(rng, side, (count, layout.blocks))
    sparse = rng.random((count, layout.length)) < rng.choice((0.0, 0.0, 0.5, 0.9), size=(count, 1))
    rows[:, layout.blocks : half][sparse] = 0
    _cancel(rng, kit, rows[::4])
    if kit.takes_c:
        rows[:, -1] = _random_carried(rng, layout.out, count)
    return list(rows)


def _random_scales(rng: np.random.Generator, side: Codes, shape: tuple[int, int]) -> Array | int:
    """Scales near 1, and some far from it."""
    powers = np.array(sorted(side.scale_powers))
    if not len(powers):
        return 0
    spread = rng.choice((2, 2, 6, 30), size=(shape[0], 1))
    wanted = np.clip(rng.integers(-spread, spread + 1, size=shape), powers[0], powers[-1])
    codes = np.array([side.scale_powers[int(power)] for power in powers])
    found: Array = codes[np.searchsorted(powers, wanted)]
    return found


def _cancel(rng: np.random.Generator, kit: _Kit, rows: Array) -> None:
    """Make the odd lanes the opposite of the even ones, but for a few."""
    layout = kit.layout
    half = layout.blocks + layout.length
    a, b = rows[:, layout.blocks : half], rows[:, half + layout.blocks : -1]
    even = slice(0, 2 * (layout.length // 2), 2)
    kept = rng.random(a[:, even].shape) < 0.1
    negative = np.array([kit.a.negative(code) for code in range(1 << min(kit.a.element.width, 16))])
    if kit.a.element.width > _WIDEST_TABLE:
        return
    a[:, 1::2] = np.where(kept, a[:, 1::2], negative[a[:, even]])
    b[:, 1::2] = np.where(kept, b[:, 1::2], b[:, even])


def _random_carried(rng: np.random.Generator, out: FloatFormat, count: int) -> Array:
    """C of both signs, within some 20 binades of 1; a quarter without."""
    spread = min(20, out.bias - 2)
    field = out.bias + rng.integers(-spread, spread + 1, size=count)
    mantissa = rng.integers(0, 1 << out.mantissa_bits, size=count)
    sign = rng.integers(0, 2, size=count).astype(np.uint64) << np.uint64(out.width - 1)
    bits = sign.view(np.int64) | (field << out.mantissa_bits) | mantissa
    found: Array = np.where(rng.random(count) < 0.25, 0, bits)
    return found
