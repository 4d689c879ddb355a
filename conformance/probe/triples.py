"""The order of a box's sums, one triple of terms at a time: M at the first, -M at the second, a unit at the third.

The unit survives if it is added after the other two have met. This takes more questions than masks and less: only one
unit must vanish beside M, and however a sum is rounded, a unit that met M does not come out whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from conformance.probe.box import Box
from conformance.probe.masks import Unclear
from conformance.probe.palette import Palette
from conformance.probe.space import C, Dots
from conformance.probe.trees import Branch, leaves, ordered
from mxemu.value import Value

Triple = tuple[int, int, int]
# Groups of so many terms are divided as an earlier one with the same offsets was.
_LARGE = 6
_CHECKED = 40


class Triples:
    """Triples of terms of one box.

    Parameters
    ----------
    box : Box
    palette : Palette
    low, high : int
        Exponents of the unit and of M.
    limit : int
        Questions that may be asked.
    terms : int, optional
        Only so many terms are asked about; the others are zero.
    """

    def __init__(
        self, box: Box, palette: Palette, low: int, high: int, limit: int, terms: int | None = None
    ) -> None:
        self.box, self.space, self.palette = box, box.space, palette
        self.low, self.high, self.limit = low, high, limit
        self.leaves = [leaf for leaf in self.space.leaves if terms is None or leaf < terms]
        self.known: dict[Triple, bool] = {}
        self.patterns: dict[tuple[int, ...], list[list[int]]] = {}

    def survive(self, triples: Iterable[Triple]) -> list[bool]:
        """Whether the unit at the third place of each triple survives M at the first and -M at the second.

        Raises
        ------
        Unclear
            When there were too many questions.
        """
        wanted = [
            (min(first, second), max(first, second), third) for first, second, third in triples
        ]
        new = [triple for triple in dict.fromkeys(wanted) if triple not in self.known]
        if len(self.known) + len(new) > self.limit:
            raise Unclear("too many questions")
        if new:
            unit = self.space.c_bits(Value(0, 1, self.low))
            bits = self.box.ask("order", self._dots(new))
            self.known |= {triple: bool(own == unit) for triple, own in zip(new, bits, strict=True)}
        return [self.known[triple] for triple in wanted]

    def _dots(self, triples: list[Triple]) -> Dots:
        a, b = (np.zeros((len(triples), self.space.length), np.int64) for _ in range(2))
        c = np.zeros(len(triples), np.int64)
        parts = ((self.high, 0), (self.high, 1), (self.low, 0))
        for row, triple in enumerate(triples):
            for place, (exponent, sign) in zip(triple, parts, strict=True):
                if place == C:
                    c[row] = self.space.c_bits(Value(sign, 1, exponent))
                else:
                    a[row, place], b[row, place] = self.palette.power(exponent, sign)
        return self.space.dots(a, b, c)

    def tree(self) -> Branch:
        """The tree of all terms.

        Raises
        ------
        Unclear
        """
        return ordered(self._build(self.leaves))

    def agrees(self, tree: Branch, rng: np.random.Generator) -> bool:
        """Whether terms of single sums behave as a tree says, with one unit instead of many."""
        triples: list[Triple] = []

        def visit(branch: Branch) -> None:
            if not isinstance(branch, tuple):
                return
            for inner in branch:
                visit(inner)
                if isinstance(inner, tuple) and len(branch) > 1:
                    first, second = (inner[at] for at in rng.permutation(len(inner))[:2])
                    others = [other for other in branch if other is not inner]
                    third = others[int(rng.integers(len(others)))]
                    one = [int(rng.choice(list(leaves(part)))) for part in (first, second, third)]
                    triples.append((one[0], one[1], one[2]))

        visit(tree)
        chosen = rng.permutation(len(triples))[:_CHECKED]
        return all(self.survive(triples[at] for at in chosen))

    def _build(self, terms: list[int]) -> Branch:
        """The tree of terms that are a branch of their own."""
        first, *others = terms
        tree: Branch = first
        for level in self._levels(first, others):
            tree = (tree, *(self._build(group) for group in self._children(first, level)))
        return tree

    def _levels(self, first: int, others: list[int]) -> list[list[int]]:
        """Terms by where they meet the first one, the earliest first."""
        if len(others) < 2:
            return [others] if others else []
        pivot = others[len(others) // 2]
        rest = [other for other in others if other != pivot]
        ahead = self.survive((first, pivot, other) for other in rest)
        behind = self.survive((first, other, pivot) for other in rest)
        sides: dict[int, list[int]] = {-1: [], 0: [pivot], 1: []}
        for other, later, earlier in zip(rest, ahead, behind, strict=True):
            sides[int(later) - int(earlier)].append(other)
        return [*self._levels(first, sides[-1]), sorted(sides[0]), *self._levels(first, sides[1])]

    def _children(self, first: int, level: list[int]) -> list[list[int]]:
        """Terms that meet another in one sum, by the branches that they are of."""
        pattern = tuple(term - level[0] for term in level)
        if len(pattern) >= _LARGE and pattern in self.patterns:
            return [[level[0] + offset for offset in group] for group in self.patterns[pattern]]
        groups = self._split(first, level)
        self.patterns[pattern] = [[term - level[0] for term in group] for group in groups]
        return groups

    def _split(self, first: int, level: list[int]) -> list[list[int]]:
        groups: list[list[int]] = []
        rest = list(level)
        while rest:
            own, *others = rest
            near = [
                other
                for other, same in zip(others, self._together(first, own, others), strict=True)
                if same
            ]
            groups.append([own, *near])
            rest = [other for other in others if other not in near]
            if len(groups) == 1 and not near and len(rest) > 8 and self._all_apart(first, rest):
                return [*groups, *([term] for term in rest)]
        return groups

    def _all_apart(self, first: int, terms: list[int]) -> bool:
        """Whether neighbours, and terms half of them apart, are of different branches."""
        count = len(terms)
        return not any(
            self._together(first, terms[at], [terms[(at + step) % count]])[0]
            for step in (1, count // 2)
            for at in range(count)
        )

    def _together(self, first: int, own: int, others: Sequence[int]) -> list[bool]:
        """Whether each of some terms meets one of them before both meet the first."""
        outside = self.survive((own, other, first) for other in others)
        apart = self.survive((own, first, other) for other in others)
        return [out and not alone for out, alone in zip(outside, apart, strict=True)]
