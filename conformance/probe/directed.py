"""Dots that strain one sum of a tree: two terms that cancel beside a small one, a small one beside a large one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from conformance.probe.palette import Palette
from conformance.probe.space import C, Dots
from conformance.probe.trees import Add, Path
from mxemu.value import Value

_DEEPEST = 48
_SUMS_OF_A_STEP = 3


@dataclass
class Sketch:
    """Dots that are put together term by term.

    Parameters
    ----------
    palette : Palette
    """

    palette: Palette
    rows: list[dict[int, tuple[int, int, int, int]]] = field(default_factory=list)

    def add(self, *terms: tuple[int, int, int, int, int]) -> None:
        """One dot: of each term its place (-1 is C), exponent, two fractions and sign."""
        self.rows.append({place: rest for place, *rest in terms})  # type: ignore[misc]

    def dots(self) -> Dots:
        """All of them."""
        space = self.palette.space
        a, b = (np.zeros((len(self.rows), space.length), np.int64) for _ in range(2))
        c = np.zeros(len(self.rows), np.int64)
        for row, terms in enumerate(self.rows):
            for place, (exponent, first, second, sign) in terms.items():
                if place == C:
                    c[row] = self._c(exponent, first, sign)
                else:
                    pair = self.palette.product(exponent, first, second, sign)
                    a[row, place], b[row, place] = pair
        return space.dots(a, b, c)

    def _c(self, exponent: int, fraction: int, sign: int) -> int:
        """The bits of C with a fraction as wide as that of an element."""
        width = self.palette.space.elements[0].mantissa_bits
        significand = (1 << width) + (fraction & ((1 << width) - 1))
        return self.palette.space.c_bits(Value(sign, significand, exponent - width))


@dataclass(frozen=True)
class Straight:
    """A question with powers of two only, from which one number can be read.

    Parameters
    ----------
    path : Path
        The step that is asked about.
    what : str
        ``cut``: a small term beside two that cancel. ``kept``: a small one is added to a large one, which is then
        taken away. ``sum``: the same without taking it away.
    depth : int
        The small one is 2^-depth of the large one.
    carried : bool
        Whether the small one is what is carried in.
    bits : int
        The answer if nothing is lost.
    row : int
        Of the question in its batch.
    """

    path: Path
    what: str
    depth: int
    carried: bool
    bits: int
    row: int


class Director:
    """Makes questions about the sums of a tree.

    Parameters
    ----------
    palette : Palette
    low, high : int
        The exponents that a single product can have and come out whole.
    rng : Generator
    """

    def __init__(self, palette: Palette, low: int, high: int, rng: np.random.Generator) -> None:
        self.palette, self.low, self.high, self.rng = palette, low, high, rng

    def chosen(self, adds: list[Add]) -> list[Add]:
        """A few sums of each step, with as many children as possible."""
        paths = dict.fromkeys(add.path for add in adds)
        found: list[Add] = []
        for path in paths:
            own = [add for add in adds if add.path == path and len(add.children) > 1]
            if len(own) > _SUMS_OF_A_STEP:
                own = [own[0], own[len(own) // 2], own[-1]]
            found += own
        return found

    def questions(self, adds: list[Add]) -> tuple[Dots, list[Straight]]:
        """Questions about each step, and those from which a number can be read."""
        sketch, straight = Sketch(self.palette), []
        every = frozenset().union(*(add.below for add in adds))
        for add in self.chosen(adds):
            rest = sorted(every - add.below)
            straight += self._cut(sketch, add)
            straight += self._kept(sketch, add, rest)
            self._rough(sketch, add, rest)
        return sketch.dots(), straight

    def rough(self, adds: list[Add]) -> Dots:
        """Questions about each step with random fractions and signs."""
        sketch = Sketch(self.palette)
        every = frozenset().union(*(add.below for add in adds))
        for add in self.chosen(adds):
            self._rough(sketch, add, sorted(every - add.below))
        return sketch.dots()

    def _pick(self, below: frozenset[int]) -> int:
        places = sorted(below)
        return places[int(self.rng.integers(len(places)))]

    def _lowest(self, place: int) -> int:
        """The smallest exponent of a power of two at a place."""
        fmt = self.palette.space.out
        return max(fmt.emin - fmt.mantissa_bits, self.low) if place == C else self.low

    def _cut(self, sketch: Sketch, add: Add) -> list[Straight]:
        """M, -M and a small term in one sum."""
        if len(add.children) < 3:
            return []
        found = []
        for carried in (False, True):
            if carried and not add.carried:
                continue
            large = [child for child in add.inputs if child]
            if len(large) < (2 if carried else 3):
                continue
            chosen = [large[at] for at in self.rng.choice(len(large), 2, replace=False)]
            others = [child for child in large if child not in chosen]
            small = add.carried if carried else others[int(self.rng.integers(len(others)))]
            assert small
            places = [self._pick(child) for child in (*chosen, small)]
            found += self._depths(sketch, add, "cut", places, carried)
        return found

    def _depths(
        self, sketch: Sketch, add: Add, what: str, places: list[int], carried: bool
    ) -> list[Straight]:
        """One question for each distance of the small term, which is the last place."""
        found = []
        top = self.high
        for depth in range(1, min(_DEEPEST, top - self._lowest(places[2])) + 1):
            terms = [(places[0], top, 0, 0, 0), (places[1], top, 0, 0, 1)]
            sketch.add(*terms, (places[2], top - depth, 0, 0, 0))
            bits = self.palette.space.c_bits(Value(0, 1, top - depth))
            found.append(Straight(add.path, what, depth, carried, bits, len(sketch.rows) - 1))
        return found

    def _kept(self, sketch: Sketch, add: Add, rest: list[int]) -> list[Straight]:
        """A small term beside M, and -M later if there is a later sum."""
        first, second = (
            add.children[at] for at in self.rng.choice(len(add.children), 2, replace=False)
        )
        large, small = self._pick(first), self._pick(second)
        if C in second and self._lowest(C) > self._lowest(0):
            large, small = small, large
        if rest:
            places = [large, int(self.rng.choice(rest)), small]
            return self._depths(sketch, add, "kept", places, False)
        found = []
        space, top = self.palette.space, self.high - 1
        for depth in range(1, min(_DEEPEST, top - self._lowest(small)) + 1):
            sketch.add((large, top, 0, 0, 0), (small, top - depth, 0, 0, 0))
            bits = space.c_bits(Value(0, (1 << depth) + 1, top - depth))
            straight = Straight(add.path, "sum", depth, False, bits, len(sketch.rows) - 1)
            found += [straight] if depth <= space.out.mantissa_bits else []
        return found

    def _rough(self, sketch: Sketch, add: Add, rest: list[int]) -> None:
        """Terms with random fractions and signs at every distance, with and without cancellation."""
        children = list(add.children)
        for depth in range(_DEEPEST):
            count = min(len(children), int(self.rng.integers(2, 6)))
            chosen = [children[at] for at in self.rng.choice(len(children), count, replace=False)]
            places = [self._pick(child) for child in chosen]
            top = int(self.rng.integers(self.low + min(30, self.high - self.low), self.high + 1))
            first, second = (int(one) for one in self.rng.integers(0, 1 << 20, 2))
            terms = [(places[0], top, first, second, 0)]
            small = places[1:]
            if count > 2 and self.rng.random() < 0.6:
                terms.append((small.pop(0), top, first, second, 1))
            elif rest and self.rng.random() < 0.6:
                terms.append((int(self.rng.choice(rest)), top, first, second, 1))
            terms += [
                (place, top - depth + int(self.rng.integers(-2, 3)), *self._any())
                for place in small
            ]
            sketch.add(*terms)

    def _any(self) -> tuple[int, int, int]:
        """Random fractions, often none, and a random sign."""
        first, second = (int(one) for one in self.rng.integers(0, 1 << 20, 2))
        plain = self.rng.random() < 0.5
        return (0 if plain else first, 0 if plain else second, int(self.rng.integers(0, 2)))
