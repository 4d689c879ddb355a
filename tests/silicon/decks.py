"""Inputs for matrix instructions: designed decks and random tiles. Inputs only; nothing here computes a result.

The same numbers come out of this file on the machine with the GPU and on the one that checks its outputs, so it uses
integers and the raw words of PCG64 alone, and knows nothing of the emulator whose model the outputs are compared with.

A *dot* is k codes of A, k codes of B and the bits of C. A *designed* dot asks one question: does a term this far below
the largest survive, is the rest cut or rounded, does C take part in the alignment, ... `SECTIONS` lists the questions.
A *tile* is what one instruction takes: `rows` rows of A, 8 rows of B, `rows` x 8 numbers C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.unsignedinteger]
Ints = NDArray[np.int64]

COLUMNS = 8


class Format(NamedTuple):
    """Widths of a format, and the codes at its top.

    Attributes
    ----------
    name : str
        As instructions spell it.
    exponent_bits, mantissa_bits, bias : int
    top : int
        Code of the largest finite value.
    infinite : bool
        Whether ``top + 1`` is Inf; all codes above are NaN.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    top: int
    infinite: bool

    @property
    def width(self) -> int:
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def sign(self) -> int:
        """The sign bit."""
        return 1 << (self.width - 1)

    @property
    def emin(self) -> int:
        return 1 - self.bias

    @property
    def emax(self) -> int:
        return (self.top >> self.mantissa_bits) - self.bias

    @property
    def least(self) -> int:
        """Exponent of the smallest positive value."""
        return self.emin - self.mantissa_bits

    @property
    def dtype(self) -> type[np.unsignedinteger]:
        """What codes are stored in; TF32 has 19 bits, the upper ones of a word."""
        return {4: np.uint8, 8: np.uint8, 16: np.uint16}.get(self.width, np.uint32)

    def power(self, exponent: int, mantissa: int = 0) -> int:
        """The code of (1 + mantissa / 2^mantissa_bits) * 2^exponent; below emin only powers of two."""
        if exponent < self.emin:
            assert mantissa == 0
            assert exponent >= self.least, (self.name, exponent)
            return 1 << (exponent - self.least)
        code = (exponent + self.bias) << self.mantissa_bits | mantissa
        assert code <= self.top, (self.name, exponent, mantissa)
        return code

    def specials(self) -> list[int]:
        """Inf and NaN of either sign: quiet, signalling and with payload, where there are such."""
        inf = [self.top + 1] if self.infinite else []
        first, last = self.top + 1 + len(inf), self.sign - 1
        quiet = last ^ ((1 << (self.mantissa_bits - 1)) - 1) if self.infinite else last
        codes = sorted({*inf, first, quiet, last})
        return codes + [code | self.sign for code in codes]


FORMATS = {
    one.name: one
    for one in (
        Format("f32", 8, 23, 127, 0x7F7FFFFF, infinite=True),
        Format("f16", 5, 10, 15, 0x7BFF, infinite=True),
        Format("bf16", 8, 7, 127, 0x7F7F, infinite=True),
        Format("tf32", 8, 10, 127, 0x3FBFF, infinite=True),
        Format("e4m3", 4, 3, 7, 0x7E, infinite=False),
        Format("e5m2", 5, 2, 15, 0x7B, infinite=True),
        Format("e2m1", 2, 1, 1, 0x07, infinite=False),
    )
}


class Kind(NamedTuple):
    """One instruction: ``k`` terms, ``rows`` x 8 results."""

    name: str
    rows: int
    k: int
    out: Format
    a: Format
    b: Format

    @property
    def least(self) -> int:
        """Exponent of the smallest product."""
        return self.a.least + self.b.least

    @property
    def largest(self) -> int:
        """Exponent of the largest product of powers of two."""
        return self.a.emax + self.b.emax


def _kind(name: str) -> Kind:
    instruction, shape, out, a, b = name.split(".")
    k = int(shape.partition("k")[2])
    return Kind(name, 64 if instruction == "wgmma" else 16, k, FORMATS[out], FORMATS[a], FORMATS[b])


def _names() -> Iterator[str]:
    eight = [(a, b) for a in ("e4m3", "e5m2") for b in ("e4m3", "e5m2")]
    for instruction, size in (("mma", "m16n8"), ("wgmma", "m64n8")):
        yield f"{instruction}.{size}k16.f32.f16.f16"
        yield f"{instruction}.{size}k16.f16.f16.f16"
        yield f"{instruction}.{size}k16.f32.bf16.bf16"
        yield f"{instruction}.{size}k8.f32.tf32.tf32"
        for k in (32, 16) if instruction == "mma" else (32,):
            for out in ("f32", "f16"):
                yield from (f"{instruction}.{size}k{k}.{out}.{a}.{b}" for a, b in eight)


KINDS = {name: _kind(name) for name in _names()}


class Stream:
    """Raw words of PCG64, whose sequence numpy guarantees, seeded by a text."""

    def __init__(self, *words: object) -> None:
        digest = sha256("/".join(map(str, words)).encode()).digest()
        self._source = np.random.PCG64(int.from_bytes(digest[:16], "little"))
        self._single: list[int] = []

    def raw(self, shape: tuple[int, ...]) -> NDArray[np.uint64]:
        return np.asarray(self._source.random_raw(int(np.prod(shape)))).reshape(shape)

    def below(self, limit: int, shape: tuple[int, ...]) -> Ints:
        """Integers from 0 to limit - 1, limit at most 2^32."""
        upper = self.raw(shape) >> np.uint64(32)
        return (upper * np.uint64(limit) >> np.uint64(32)).astype(np.int64)

    def between(self, low: int, high: int, shape: tuple[int, ...]) -> Ints:
        """Integers from low to high."""
        return self.below(high - low + 1, shape) + low

    def one(self, limit: int) -> int:
        """One integer from 0 to limit - 1."""
        if not self._single:
            self._single = self.raw((4096,)).tolist()
        return (self._single.pop() >> 32) * limit >> 32


class Dot(NamedTuple):
    """One designed dot.

    Attributes
    ----------
    section : str
        The question, a key of `SECTIONS`.
    steps : int
        Instructions chained through the accumulator.
    terms : sequence of (index, code of A, code of B)
        The rest is +0 * +0.
    c : int
        Bits of C.
    """

    section: str
    steps: int
    terms: Sequence[tuple[int, int, int]]
    c: int = 0


class Deck(NamedTuple):
    """The designed dots of a kind with the same number of steps: a and b (n, k * steps), c (n,)."""

    sections: tuple[str, ...]
    a: Codes
    b: Codes
    c: Codes


class Maker:
    """Builds products of a kind as pairs of codes, at places that every known grouping keeps together.

    Parameters
    ----------
    kind : Kind
    top : int
        Exponent of the largest products; in binary16 low enough for their sums.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.stream = Stream("deck", kind.name)
        self.top = min(kind.largest, 15 if kind.out.name == "f16" else 30)
        self.depth = min(40, self.top - kind.least)

    def pair(self, exponent: int, sign: int = 0, a: int = 0, b: int = 0) -> tuple[int, int]:
        """Codes of (1 + a / 2^m)(1 + b / 2^m) * 2^exponent; operands are normal where they can be."""
        left, right = self.kind.a, self.kind.b
        share = exponent // 2
        low = max(left.emin, exponent - right.emax)
        high = min(left.emax, exponent - right.emin)
        if low > high:  # too small for two normal numbers
            low = max(left.least, exponent - right.emin)
            high = min(left.emin, exponent - right.least)
            assert low <= high, (self.kind.name, exponent)
            share = low if self.stream.one(2) else high
        upper = min(max(share, low), high)
        return left.power(upper, a) | sign * left.sign, right.power(exponent - upper, b)

    def term(
        self, at: int, exponent: int, sign: int = 0, a: int = 0, b: int = 0
    ) -> tuple[int, int, int]:
        """A product at an index."""
        return (at, *self.pair(exponent, sign, a, b))

    def half(self) -> tuple[int, int]:
        """The mantissas of 1.5 * 1.5."""
        return 1 << (self.kind.a.mantissa_bits - 1), 1 << (self.kind.b.mantissa_bits - 1)

    def full(self) -> tuple[int, int]:
        """Mantissas near 2 that every binade has: 1.75 * 1.75 or closer to 4."""
        return tuple(
            (1 << f.mantissa_bits) - 1 - (f.name == "e4m3") for f in (self.kind.a, self.kind.b)
        )  # type: ignore[return-value]

    def places(self, count: int = 3) -> list[int]:
        """Different indices that share a group in runs of 8 and in classes of k % 4 alike."""
        start = self.stream.one(self.kind.k // 8) * 8 + self.stream.one(2) * 2
        if count > 4:
            start = 0
        order = [start, start + 4, start + 1, start + 5]
        return (order + [at for at in range(self.kind.k) if at not in order])[:count]

    def c(self, exponent: int, sign: int = 0, mantissa: int = 0) -> int:
        """Bits of C = (1 + mantissa / 2^m) * 2^exponent."""
        out = self.kind.out
        return out.power(exponent, mantissa) | sign * out.sign


def _precision_of_c(make: Maker) -> Iterator[Dot]:
    """C alone: how many of its bits pass."""
    out = make.kind.out
    bits = out.mantissa_bits
    codes = [make.c(0, k & 1, 1 << (bits - k)) for k in range(1, bits + 1)]
    everything = (1 << bits) - 1
    codes += [make.c(e, e & 1, everything) for e in (out.emin, out.emin + 1, -3, 4, out.emax)]
    codes += [
        1,
        2,
        3,
        everything,
        everything >> 1,
        1 << (bits - 1),
        out.sign | 1,
        out.sign | everything,
    ]
    codes += [
        0x2AAAAA & everything,
        0x555555 & everything | out.power(1),
        out.top,
        out.top | out.sign,
    ]
    small = make.term(make.places()[0], make.kind.least)
    for code in codes:
        yield Dot("precision of C", 1, [], code)
        yield Dot("precision of C", 1, [small], code)


def _masks(make: Maker) -> Iterator[Dot]:
    """+M at i, -M at j, a unit everywhere else: how many units survive says who is added together, and when."""
    k = make.kind.k
    unit = max(make.kind.least, make.top - 36)

    def mask(large: dict[int, int], steps: int, c: int = 0) -> Dot:
        rest = [make.term(at, unit) for at in range(k * steps) if at not in large]
        return Dot(
            "masks",
            steps,
            [*rest, *(make.term(at, make.top, sign) for at, sign in large.items())],
            c,
        )

    for j in range(1, k):
        yield mask({0: 0, j: 1}, 1)
        yield mask({j - 1: 1, j: 0}, 1)
    for i in range(k):
        yield mask({i: 0, (i + k // 2) % k: 1}, 1)
        yield mask({i: 1}, 1, make.c(make.top))
        yield mask({(i + 5) % k: 0, i: 1}, 1, make.c(max(unit, make.kind.out.least)))
    for i in range(0, k, 3):
        yield mask({i: 0, k + (i * 5 + 1) % k: 1}, 2)
        yield mask({k + i: 0, k + (i + 1) % k: 1}, 3)


def _window(make: Maker) -> Iterator[Dot]:
    """M, -M and one term k bits below: the last k that survives is the width of the alignment."""
    for k in range(make.depth + 1):
        for mantissas in ((0, 0), make.half(), make.full()):
            i, j, p = make.places()
            top = make.top - (2 if mantissas != (0, 0) and make.kind.out.name == "f16" else 0)
            if top - k < make.kind.least:
                continue
            large = [make.term(i, top, 0, *mantissas), make.term(j, top, 1, *mantissas)]
            small = make.term(p, top - k, k & 1)
            yield Dot("window", 1, [*large, small])
            yield Dot("window", 1, [(j, *large[0][1:]), small, (i, *large[1][1:])])
            if top - k >= make.kind.out.least:
                yield Dot("window", 1, large, make.c(top - k, k & 1))


def _path_of_c(make: Maker) -> Iterator[Dot]:
    """C as the largest term, and C far below or above sums of products."""
    for k in range(make.depth + 1):
        i, j, _ = make.places()
        small = make.top - k
        yield Dot(
            "path of C", 1, [make.term(i, make.top, 1), make.term(j, small)], make.c(make.top)
        )
        if small - 1 >= make.kind.least:
            at = make.places(min(make.kind.k, 8))
            many = [make.term(place, small - 1, k & 1) for place in at]
            yield Dot("path of C", 1, many, make.c(make.top, k & 1))
            yield Dot("path of C", 1, many, make.c(make.top, 1 - (k & 1)))
            odd = 1 << make.kind.out.mantissa_bits >> 1 | 1
            yield Dot(
                "path of C",
                1,
                [make.term(i, make.top), *many[1:4]],
                make.c(make.top - 4, k & 1, odd),
            )


def _residues(make: Maker) -> Iterator[Dot]:
    """Parts of a quantum below M - M, for every quantum in question: how a term is cut."""
    a, b = make.half()
    parts = ((1, 0, 0), (1, a, 0), (0, a, 0), (2, a, b), (0, 0, b))
    for bits in (*range(11, 16), *range(21, 28)):
        for below, left, right in parts:
            exponent = make.top - bits - below
            if exponent < make.kind.a.emin + make.kind.b.emin and (left or right):
                continue
            if exponent < make.kind.least:
                continue
            for sign in (0, 1):
                i, j, p, q = make.places(4)
                large = [make.term(i, make.top), make.term(j, make.top, 1)]
                yield Dot("residues", 1, [*large, make.term(p, exponent, sign, left, right)])
                twice = [make.term(at, exponent, sign, left, right) for at in (p, q)]
                yield Dot("residues", 1, [*large, *twice])


def _rounding_of_sum(make: Maker) -> Iterator[Dot]:
    """n equal terms and a small one, with and without a sticky one below: ties, borrows and carries of the sum."""
    k = make.kind.k
    top = make.top - 5 if make.kind.out.name == "f16" else make.top
    for n in (1, 2, 3, 5, 7):
        for below in (*range(8, 17), *range(21, 27)):
            if top - below - 3 < make.kind.least:
                continue
            at = make.places(min(k, 8))
            sign, down = make.stream.one(2), make.stream.one(2)
            ones = [make.term(place, top, sign) for place in at[2 : 2 + n]]
            if len(at) < n + 2:
                ones = [make.term(place, top, sign) for place in at[2:]]
            small = make.term(at[0], top - below, sign ^ down)
            sticky = make.term(at[1], top - below - 1 - make.stream.one(3), sign ^ down ^ (n & 1))
            yield Dot("rounding of the sum", 1, [*ones, small])
            yield Dot("rounding of the sum", 1, [*ones, small, sticky])


def _ties_with_c(make: Maker) -> Iterator[Dot]:
    """C with its last bits set, and products at, above and below half of its last place."""
    bits = make.kind.out.mantissa_bits
    ones = (1 << bits) - 1
    wide = make.depth >= bits + 6
    exponent = make.top - 2 if wide else make.kind.least + bits + 3
    for below in range(bits - 2, bits + 4):
        for mantissa in (0, 1, 2, ones - 1, ones):
            for sign in (0, 1):
                i, j, _ = make.places()
                if not make.kind.least <= exponent - below <= make.top:
                    continue
                if not make.kind.out.emin <= exponent <= make.kind.out.emax:
                    continue
                c = make.c(exponent, make.stream.one(2), mantissa)
                terms = [make.term(i, exponent - below, sign)]
                yield Dot("ties with C", 1, terms, c)
                lower = max(make.kind.least, exponent - below - 2)
                yield Dot("ties with C", 1, [*terms, make.term(j, lower, make.stream.one(2))], c)


def _floor(make: Maker) -> Iterator[Dot]:
    """Results at the smallest place of the result, and terms far below it: where bits vanish although C = 0."""
    last = make.kind.out.least
    half = last if make.kind.out.name == "f32" else last - 1
    for below in range(1, 26):
        exponent = half - below
        if exponent < make.kind.least:
            break
        for n in (1, 2, 3, 6):
            for sign in (0, 1):
                at = make.places(8)
                large = [make.term(at[0], half, sign)]
                large += [
                    make.term(at[bit + 1], last + bit, sign) for bit in (0, 1, 2) if n >> bit & 1
                ]
                yield Dot("floor", 1, [*large, make.term(at[5], exponent, 1 - sign)])
                yield Dot("floor", 1, [*large, make.term(at[5], exponent, sign)])
        large = [make.term(at[0], half), make.term(at[1], last)]
        small = make.term(at[2], exponent, 1)
        yield Dot("floor", 1, [*large, small], make.c(last, below & 1))
        yield Dot("floor", 1, [*large, small], make.c(make.kind.out.emin, below & 1))


def _subnormals(make: Maker) -> Iterator[Dot]:
    """Subnormal operands, C and results, alone and in sums; zeros beside large partners."""
    kind = make.kind
    for left, right, swap in ((kind.a, kind.b, False), (kind.b, kind.a, True)):
        ones = (1 << left.mantissa_bits) - 1
        for code in {1, 2, 3, ones, ones >> 1, ones & 0x155, (ones >> 1) + 1}:
            for exponent in (0, right.emax - 1, right.emin + 1):
                pair = (code, right.power(exponent) | right.sign * (code & 1))
                at = make.places()[0]
                yield Dot("subnormals", 1, [(at, *(pair[::-1] if swap else pair))])
                other = make.term((at + 1) % kind.k, min(make.top, 8))
                yield Dot("subnormals", 1, [(at, *(pair[::-1] if swap else pair)), other], 1)
    for code in (1, 3, kind.out.power(kind.out.emin) - 1, kind.out.power(kind.out.emin)):
        for below in (0, 1, 5):
            i, j, _ = make.places()
            small = max(kind.least, kind.out.emin - below)
            yield Dot("subnormals", 1, [make.term(i, small)], code)
            yield Dot(
                "subnormals", 1, [make.term(i, small), make.term(j, small, 1)], code | kind.out.sign
            )
    for a, b in (
        (0, kind.b.top),
        (kind.a.top, 0),
        (kind.a.sign, kind.b.top),
        (kind.a.top, kind.b.sign),
    ):
        for exponent in (kind.least, kind.least + 3, min(0, make.top)):
            i, j, _ = make.places()
            yield Dot("subnormals", 1, [(i, a, b), make.term(j, exponent)])


def _renormalisation(make: Maker) -> Iterator[Dot]:
    """M with a subnormal factor, -M, and a term k bits below: by its exponent field or its leading bit."""
    kind = make.kind
    for left, right, swap in ((kind.a, kind.b, False), (kind.b, kind.a, True)):
        ceiling = min(right.emax, make.top - left.least)
        for exponent in {ceiling, ceiling - 3}:
            large = [(1, right.power(exponent)), (1, right.power(exponent) | right.sign)]
            if swap:
                large = [(b, a) for a, b in large]
            value = left.least + exponent
            for k in range(1, min(36, value - kind.least) + 1):
                i, j, p = make.places()
                terms = [(i, *large[0]), (j, *large[1]), make.term(p, value - k, k & 1)]
                yield Dot("renormalisation", 1, terms)
                if value - k >= kind.out.least:
                    yield Dot("renormalisation", 1, terms[:2], make.c(value - k, k & 1))
                    continue
                for place in (
                    kind.out.least,
                    kind.out.least - 1,
                ):  # seen as a tie, or just above one
                    if place >= kind.least:
                        yield Dot("renormalisation", 1, [*terms, make.term(p ^ 4, place, k & 1)])


def _specials(make: Maker) -> Iterator[Dot]:
    """NaN, Inf and zeros of either sign, in A, B, C and several of them."""
    kind = make.kind
    one_a, one_b, one_c = kind.a.power(0), kind.b.power(0), make.c(0)
    partners_b = [0, kind.b.sign, one_b, one_b | kind.b.sign, 1, kind.b.top, *kind.b.specials()]
    for special in kind.a.specials():
        for partner in partners_b:
            yield Dot("specials", 1, [(make.places()[0], special, partner)], one_c)
    for special in kind.b.specials():
        for partner in (0, kind.a.sign, one_a, one_a | kind.a.sign, kind.a.top):
            yield Dot("specials", 1, [(make.places()[0], partner, special)], one_c)
    factors = [
        (0, 0),
        (one_a, one_b),
        (kind.a.top, kind.b.top | kind.b.sign),
        (kind.a.specials()[0], one_b),
    ]
    for special in kind.out.specials():
        yield from (Dot("specials", 1, [(make.places()[0], *pair)], special) for pair in factors)
    yield from _infinities(make)
    yield from _zeros(make)


def _infinities(make: Maker) -> Iterator[Dot]:
    """Two Inf in one dot, at many distances; sums that leave the range of the result."""
    kind = make.kind
    source, other = (kind.a, kind.b) if kind.a.infinite else (kind.b, kind.a)
    if source.infinite:
        inf, one = source.top + 1, other.power(0)
        for sign in (0, source.sign):
            for j in range(1, kind.k, 3):
                pairs = [(inf, one), (inf | sign, one)]
                pairs = pairs if source is kind.a else [(b, a) for a, b in pairs]
                yield Dot("specials", 1, [(0, *pairs[0]), (j, *pairs[1])])
    for sign in (0, 1):
        largest = (kind.a.top, kind.b.top | kind.b.sign * sign)
        for count in (1, 2, 4, kind.k):
            yield Dot("specials", 1, [(at, *largest) for at in range(count)])
            yield Dot(
                "specials",
                1,
                [(at, *largest) for at in range(count)],
                kind.out.top | kind.out.sign * sign,
            )
            yield Dot(
                "specials",
                2,
                [(at, *largest) for at in range(count + kind.k)],
                kind.out.top | kind.out.sign,
            )
        for below in range(kind.out.mantissa_bits - 1, kind.out.mantissa_bits + 5):
            exponent = kind.out.emax - below
            if kind.least <= exponent <= kind.largest:
                i, j, _ = make.places()
                c = kind.out.top | kind.out.sign * sign
                yield Dot("specials", 1, [make.term(i, exponent, sign)], c)
                lower = max(kind.least, exponent - 3)
                yield Dot(
                    "specials", 1, [make.term(i, exponent, sign), make.term(j, lower, 1 - sign)], c
                )


def _zeros(make: Maker) -> Iterator[Dot]:
    """The sign of a zero result."""
    kind = make.kind
    for c in (0, kind.out.sign):
        for a, b in (
            (0, 0),
            (kind.a.sign, 0),
            (0, kind.b.sign),
            (kind.a.sign, kind.b.sign),
            (kind.a.sign, kind.b.power(0)),
        ):
            yield Dot("specials", 1, [(at, a, b) for at in range(kind.k)], c)
            yield Dot("specials", 1, [(0, a, b)], c)
            yield Dot("specials", 2, [(at, a, b) for at in range(2 * kind.k)], c)
        i, j, _ = make.places()
        yield Dot("specials", 1, [make.term(i, 3), make.term(j, 3, 1)], c)
        for sign in (0, 1):
            tiny = [make.term(at, kind.least, sign) for at in range(kind.k)]
            yield from (
                Dot("specials", 1, tiny[start : start + 1], c) for start in range(0, kind.k, 3)
            )
            yield Dot("specials", 1, tiny, c)
        yield Dot("specials", 1, [make.term(i, 2)], make.c(2, 1))


def _chains(make: Maker) -> Iterator[Dot]:
    """Sums that the next instruction takes away again: the bits that pass through the accumulator."""
    k = make.kind.k
    top = make.top - 3 if make.kind.out.name == "f16" else make.top
    lowest = make.kind.a.emin + make.kind.b.emin
    for below in range(6, min(make.depth - 4, 34)):
        for n in (1, 3):
            i, j, p, q = make.places(4)
            sign = make.stream.one(2)
            first = [make.term(at, top, sign) for at in (i, j, p)[:n]]
            part = make.half() if n == 1 and top - below >= lowest else (0, 0)
            small = make.term(q, top - below, make.stream.one(2), *part)
            back = [make.term(at + k, top, 1 - sign) for at in (p, i, j)[:n]]
            yield Dot("chains", 2, [*first, small, *back])
            later = [make.term(at % k + 3 * k, top, 1 - sign) for at in (p, i, j)[:n]]
            middle = make.term(k + q, max(make.kind.least, top - below - 2), sign)
            yield Dot("chains", 4, [*first, small, middle, *later])


def _carry(make: Maker) -> Iterator[Dot]:
    """A sum with its last bit set meets larger terms that cancel: how the accumulator is cut, and C likewise."""
    kind = make.kind
    bits = kind.out.mantissa_bits
    for distance in range(1, 27):
        exponent = make.top - distance
        if exponent - bits < max(kind.least, kind.out.least):
            break
        for sign, start in product((0, 1), sorted({0, kind.k - 8})):
            for early, late in (((0, 1), (2, 6)), ((2, 3), (0, 4))):
                places = [start + at for at in (*early, *late)]
                total = [
                    make.term(at, e, sign)
                    for at, e in zip(places, (exponent, exponent - bits), strict=False)
                ]
                large = [make.term(at, make.top, down) for down, at in enumerate(places[2:])]
                yield Dot("carry", 1, [*total, *large])
                yield Dot("carry", 2, [*total, *((at + kind.k, a, b) for at, a, b in large)])
            odd = make.c(exponent, sign, 1)
            yield Dot("carry", 1, [make.term(1, make.top), make.term(5, make.top, 1)], odd)


def _stress(make: Maker) -> Iterator[Dot]:
    """Two sizes of terms, pairs that cancel, C at several distances; from the stream."""
    kind, stream = make.kind, make.stream
    lowest = kind.a.emin + kind.b.emin
    for steps, count in ((1, 160), (2, 64), (3, 24), (8, 16)):
        for number in range(count):
            top = make.top - stream.one(6) - (4 if kind.out.name == "f16" else 0)
            terms = []
            gap = 8 + stream.one(20)
            for at in range(kind.k * steps):
                exponent = max(
                    lowest, top - (gap + stream.one(6) if stream.one(4) else stream.one(3))
                )
                mantissas = (
                    stream.one((1 << kind.a.mantissa_bits) - 1),
                    stream.one((1 << kind.b.mantissa_bits) - 1),
                )
                terms.append(make.term(at, exponent, stream.one(2), *mantissas))
            for at in range(0, kind.k * steps - 4, 8):
                _, a, b = terms[at]
                terms[at + 4] = (at + 4, a, b ^ kind.b.sign)
            exponent = max(kind.out.emin, min(top + 6 - stream.one(36), kind.out.emax))
            c = (
                make.c(exponent, stream.one(2), stream.one(1 << kind.out.mantissa_bits))
                if number % 3
                else 0
            )
            yield Dot("stress", steps, terms, min(c, kind.out.top) if c < kind.out.sign else c)


SECTIONS: dict[str, Callable[[Maker], Iterator[Dot]]] = {
    "precision of C": _precision_of_c,
    "masks": _masks,
    "window": _window,
    "path of C": _path_of_c,
    "residues": _residues,
    "rounding of the sum": _rounding_of_sum,
    "ties with C": _ties_with_c,
    "floor": _floor,
    "subnormals": _subnormals,
    "renormalisation": _renormalisation,
    "specials": _specials,
    "chains": _chains,
    "carry": _carry,
    "stress": _stress,
}


def decks(kind: Kind) -> dict[int, Deck]:
    """The designed dots of a kind, by number of chained instructions."""
    make = Maker(kind)
    dots = [dot for section in SECTIONS.values() for dot in section(make)]
    return {steps: _deck(kind, steps, dots) for steps in sorted({dot.steps for dot in dots})}


def _deck(kind: Kind, steps: int, dots: Sequence[Dot]) -> Deck:
    """The dots with this many steps as arrays."""
    chosen = [dot for dot in dots if dot.steps == steps]
    a = np.zeros((len(chosen), kind.k * steps), kind.a.dtype)
    b = np.zeros((len(chosen), kind.k * steps), kind.b.dtype)
    for row, dot in enumerate(chosen):
        for at, left, right in dot.terms:
            a[row, at], b[row, at] = left, right
    c = np.array([dot.c for dot in chosen], kind.out.dtype)
    return Deck(tuple(dot.section for dot in chosen), a, b, c)


class Tiles(NamedTuple):
    """Whole tiles: a (tiles, rows, k * steps), b (tiles, 8, k * steps), c (tiles, rows, 8)."""

    a: Codes
    b: Codes
    c: Codes


def deck_tiles(kind: Kind, deck: Deck) -> tuple[Tiles, Ints]:
    """A deck laid out over all rows and columns of tiles.

    Returns
    -------
    tiles : Tiles
        Eight dots a tile, one a column; row r holds the A and C of the dot in column (r + tile) % 8.
    where : array (dots, rows / 8)
        The flat indices of the results that belong to each dot: the same dot at several places.
    """
    count = len(deck.c)
    tiles = -(-count // COLUMNS)
    dots = np.arange(tiles * COLUMNS).reshape(tiles, COLUMNS) % count
    rows = np.arange(kind.rows)
    column = (rows[None, :] + np.arange(tiles)[:, None]) % COLUMNS
    of_row = np.take_along_axis(dots, column, axis=1)
    c = np.repeat(deck.c[of_row][:, :, None], COLUMNS, axis=2)
    flat = (np.arange(tiles)[:, None] * kind.rows + rows) * COLUMNS + column
    order = np.argsort(column, axis=1, kind="stable")
    where = np.take_along_axis(flat, order, axis=1).reshape(tiles * COLUMNS, kind.rows // COLUMNS)
    return Tiles(deck.a[of_row], deck.b[dots], c), where[:count]


# Random tiles.

DISTRIBUTIONS = ("bits", "normal", "wide", "cancelling", "subnormal", "tiny", "sparse")

# Results of each kind and distribution by chained instructions: with all words kept, and with a hash alone.
SAMPLE = {1: 1024, 2: 512, 3: 256, 8: 256}
BULK = {1: 1 << 16, 2: 1 << 15, 4: 1 << 14, 8: 1 << 14}


def tiles(kind: Kind, distribution: str, steps: int, count: int, *words: object) -> Tiles:
    """Random tiles.

    Parameters
    ----------
    kind : Kind
    distribution : str
        One of `DISTRIBUTIONS`.
    steps : int
        Chained instructions.
    count : int
        Tiles.
    words
        More of the seed.
    """
    stream = Stream("tiles", kind.name, distribution, steps, *words)
    return random_tiles(stream, kind, distribution, (count, kind.rows, COLUMNS, kind.k * steps))


def random_tiles(
    stream: Stream, kind: Kind, distribution: str, shape: tuple[int, int, int, int]
) -> Tiles:
    """Tiles of any shape: (tiles, rows, columns, terms)."""
    count, rows, columns, k = shape
    a = _elements(stream, kind.a, distribution, (count, rows, k), kind)
    b = _elements(stream, kind.b, distribution, (count, columns, k), kind)
    if distribution == "cancelling":
        _cancel(stream, kind, a, b)
    c = _random_c(stream, kind, distribution, (count, rows, columns))
    return Tiles(a.astype(kind.a.dtype), b.astype(kind.b.dtype), c.astype(kind.out.dtype))


def sample(kind: Kind, distribution: str, steps: int) -> tuple[Tiles, Ints]:
    """The tiles of which words are kept, and the flat indices of these words: each row of each tile once."""
    count = SAMPLE[steps] // kind.rows
    made = tiles(kind, distribution, steps, count, "sample")
    rows = np.arange(count * kind.rows)
    return made, rows * COLUMNS + (rows % kind.rows + rows // kind.rows) % COLUMNS


def bulk(kind: Kind, distribution: str, steps: int) -> Tiles:
    """The tiles of which a hash is kept."""
    return tiles(kind, distribution, steps, BULK[steps] // (kind.rows * COLUMNS), "bulk")


def _elements(
    stream: Stream, fmt: Format, distribution: str, shape: tuple[int, ...], kind: Kind
) -> Ints:
    """Codes of one operand; ``kind`` says what is tiny."""
    match distribution:
        case "bits":
            return stream.below(1 << fmt.width, shape)
        case "normal" | "cancelling":
            return _bell(stream, fmt, shape)
        case "subnormal":
            few = stream.below(1 << fmt.mantissa_bits, shape)
            some = stream.below(4 << fmt.mantissa_bits, shape)
            which = stream.below(4, shape)
            return np.where(
                which < 2, few, np.where(which == 2, some, _finite(stream, fmt, shape))
            ) | (stream.below(2, shape) * fmt.sign)
        case "tiny":
            return _tiny(stream, fmt, shape, kind)
        case "sparse":
            empty = stream.below(8, shape) != 0
            codes = _finite(stream, fmt, shape)
            return np.where(empty, codes & fmt.sign, codes)
        case "wide":
            return _finite(stream, fmt, shape)
        case _:
            raise ValueError(
                f"distribution {distribution!r}; expected one of {', '.join(DISTRIBUTIONS)}"
            )


def _finite(stream: Stream, fmt: Format, shape: tuple[int, ...]) -> Ints:
    """Any finite code."""
    return stream.below(fmt.top + 1, shape) | stream.below(2, shape) * fmt.sign


def _bell(stream: Stream, fmt: Format, shape: tuple[int, ...]) -> Ints:
    """Truncated sums of four uniform numbers, within -2 to 2."""
    raw = stream.raw(shape)
    mask = np.uint64(0xFFFF)
    total = (
        sum((raw >> np.uint64(16 * part) & mask).astype(np.int64) for part in range(4)) - 2 * 0xFFFF
    )
    # An integer below 2^24 is exact in binary64, whose fields are then cut.
    bits = np.abs(total).astype(np.float64).view(np.int64)
    exponent = (bits >> 52) - 1023 - 16
    significand = (1 << fmt.mantissa_bits) | (
        bits >> (52 - fmt.mantissa_bits) & ((1 << fmt.mantissa_bits) - 1)
    )
    deep = np.clip(fmt.emin - exponent, 0, 40)
    normal = ((np.maximum(exponent, fmt.emin) + fmt.bias - 1) << fmt.mantissa_bits) + significand
    code = np.where(total == 0, 0, np.where(deep > 0, significand >> deep, normal))
    return code | np.where(total < 0, fmt.sign, 0)


def _tiny(stream: Stream, fmt: Format, shape: tuple[int, ...], kind: Kind) -> Ints:
    """Codes whose products lie around the smallest result of the kind, or as low as they can."""
    middle = kind.out.least // 2
    low, high = max(fmt.least, middle - 6), max(fmt.least + 6, middle + 5)
    exponent = stream.between(low, high, shape)
    mantissa = stream.below(1 << fmt.mantissa_bits, shape)
    deep = np.clip(fmt.emin - exponent, 0, 40)
    significand = (1 << fmt.mantissa_bits) | mantissa
    normal = ((np.maximum(exponent, fmt.emin) + fmt.bias - 1) << fmt.mantissa_bits) + significand
    return np.where(deep > 0, significand >> deep, normal) | stream.below(2, shape) * fmt.sign


def _cancel(stream: Stream, kind: Kind, a: Ints, b: Ints) -> None:
    """Every second term takes back the one before, but for a last bit here and there; then one order for the tile."""
    a[:, :, 1::2] = a[:, :, 0::2]
    b[:, :, 1::2] = b[:, :, 0::2] ^ kind.b.sign
    for codes, fmt in ((a, kind.a), (b, kind.b)):
        off = stream.below(16, codes[:, :, 1::2].shape) == 0
        codes[:, :, 1::2] ^= np.where(
            off & ((codes[:, :, 1::2] & (fmt.sign - 1)) < fmt.top - 1), 1, 0
        )
    keys = stream.below(1 << 31, (a.shape[0], 1, a.shape[2]))
    order = np.argsort(keys, axis=2, kind="stable")
    a[:] = np.take_along_axis(a, order, axis=2)
    b[:] = np.take_along_axis(b, order, axis=2)


def _random_c(stream: Stream, kind: Kind, distribution: str, shape: tuple[int, ...]) -> Ints:
    """C to go with a distribution: one in four is zero; the others near the products, tiny, or anything."""
    out = kind.out
    last = (1 << out.exponent_bits) - 1  # the field of Inf and NaN
    fields = {
        "bits": (0, last),
        "normal": (out.bias - 12, out.bias + 3),
        "cancelling": (out.bias - 12, out.bias + 3),
        "tiny": (0, 3),
        "subnormal": (0, out.bias),
    }
    near = (max(out.bias + kind.least - 4, 0), min(out.bias + kind.largest + 4, last - 1))
    field = stream.between(*fields.get(distribution, near), shape)
    if distribution == "bits":
        field = np.where(stream.below(2, shape) == 0, field, stream.between(*near, shape))
    sign = stream.below(2, shape) * out.sign
    number = field << out.mantissa_bits | stream.below(1 << out.mantissa_bits, shape)
    return sign | np.where(stream.below(4, shape) == 0, 0, number)
