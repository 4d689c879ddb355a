"""The order of a box's sums, from masks: M at one term, -M at another, a small unit everywhere else.

Every unit that meets M before -M does is lost, so the units that survive say where two terms meet. In a sum that cuts
its terms to the largest one all others are lost too; in an exact one they survive. Both are told apart by the counts.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from conformance.probe.box import Box
from conformance.probe.palette import Palette
from conformance.probe.space import C, Dots
from conformance.probe.trees import Branch, branches, ordered
from mxemu.value import Value

_CHECKS = 120


class Unclear(Exception):
    """The counts fit no tree: the window is too narrow, or roundings let units leave traces."""


class Masks:
    """Masked sums of one box.

    Parameters
    ----------
    box : Box
    palette : Palette
    low, high : int
        Exponents of the unit and of M.
    sign : int
        Of the unit.
    terms : int, optional
        Only so many terms are asked about; the others are zero.
    """

    def __init__(
        self,
        box: Box,
        palette: Palette,
        low: int,
        high: int,
        sign: int = 0,
        terms: int | None = None,
    ) -> None:
        self.box, self.space, self.palette = box, box.space, palette
        self.low, self.high, self.sign = low, high, sign
        self.known: dict[tuple[int, int], int] = {}
        self.leaves = self.space.leaves
        if terms is not None:
            self.leaves = [leaf for leaf in self.leaves if leaf < terms]

    def lost(self, pairs: Iterable[tuple[int, int]]) -> list[int]:
        """How many terms are lost, M and -M included, for M at the first and -M at the second of each pair.

        Raises
        ------
        Unclear
            When what is left is no number of units.
        """
        wanted = [(min(pair), max(pair)) for pair in pairs]
        new = sorted({pair for pair in wanted if pair not in self.known})
        if new:
            if len(new) > self.box.left:
                raise Unclear("too many questions")
            bits = self.box.ask("order", self._dots(new))
            self.known |= {pair: self._count(own) for pair, own in zip(new, bits, strict=True)}
        return [self.known[pair] for pair in wanted]

    def _dots(self, pairs: list[tuple[int, int]]) -> Dots:
        count, length = len(pairs), self.space.length
        unit = self.palette.power(self.low, self.sign)
        a, b = (np.full((count, length), code, np.int64) for code in unit)
        a[:, max(self.leaves) + 1 :] = 0
        c = np.full(count, self._c(self.sign, self.low), np.int64)
        for row, pair in enumerate(pairs):
            for place, sign in zip(pair, (0, 1), strict=True):
                if place == C:
                    c[row] = self._c(sign, self.high)
                else:
                    a[row, place], b[row, place] = self.palette.power(self.high, sign)
        return self.space.dots(a, b, c)

    def _c(self, sign: int, exponent: int) -> int:
        return self.space.c_bits(Value(sign, 1, exponent)) if self.space.takes_c else 0

    def _count(self, bits: int) -> int:
        value = self.space.value(bits)
        shift = value.exponent - self.low
        most = len(self.leaves) - 2
        if not value.is_finite or (value.significand and value.sign != self.sign):
            raise Unclear("the rest is no number of units")
        units = value.significand << shift if shift >= 0 else value.significand >> -shift
        if units > most or (shift < 0 and units << -shift != value.significand):
            raise Unclear("the rest is no number of units")
        return len(self.leaves) - units

    def tree(self, rng: np.random.Generator) -> Branch:
        """The tree of all terms.

        Raises
        ------
        Unclear
            When the counts fit no tree.
        """
        for patient in (False, True):
            builder = _Builder(self, patient=patient)
            found = builder.build(self.leaves)
            if self._agrees(found, builder.cut, rng):
                return ordered(found)
        raise Unclear("the counts fit no tree")

    def _agrees(
        self, tree: Branch, cut: dict[frozenset[int], bool], rng: np.random.Generator
    ) -> bool:
        """Whether pairs that were not asked lose what the tree says."""
        count = min(_CHECKS, self.box.left // 4)
        pairs = [tuple(rng.choice(self.leaves, 2, replace=False).tolist()) for _ in range(count)]
        expected = _Expected(tree, cut)
        return self.lost(pairs) == [expected.lost(*pair) for pair in pairs]


class _Expected:
    """What a tree loses."""

    def __init__(self, tree: Branch, cut: dict[frozenset[int], bool]) -> None:
        self.cut = cut
        self.above: dict[int, list[frozenset[int]]] = {}
        for below in sorted(branches(tree), key=len):
            for leaf in below:
                self.above.setdefault(leaf, []).append(below)

    def lost(self, first: int, second: int) -> int:
        own = [one for one in self.above[first] if second not in one]
        other = [one for one in self.above[second] if first not in one]
        if self.cut.get(self.above[first][len(own)], True):
            return len(self.above[first][len(own)])
        return len(own[-1]) + len(other[-1])


class _Builder:
    """Finds a tree from the losses of pairs.

    Attributes
    ----------
    cut : dict
        Whether a sum, by the terms below it, loses the units beside M.
    patterns : dict
        How earlier groups of terms were divided, by their places.
    """

    def __init__(self, masks: Masks, *, patient: bool) -> None:
        self.masks, self.patient = masks, patient
        self.cut: dict[frozenset[int], bool] = {}
        self.patterns: dict[tuple[int, ...], list[list[int]]] = {}

    def build(self, terms: list[int]) -> Branch:
        """The tree of terms that are a branch of their own."""
        if len(terms) == 1:
            return terms[0]
        first, *others = terms
        losses = self.masks.lost((first, other) for other in others)
        rows: dict[int, list[int]] = {}
        for other, loss in zip(others, losses, strict=True):
            rows.setdefault(loss, []).append(other)
        tree: Branch = first
        size, below = 1, {first}
        while rows:
            loss = min(rows)
            members = rows.pop(loss)
            children = [tree, *self._children(members, loss, size)]
            exact = loss < size + len(members)
            grown = size + len(members)
            below.update(members)
            while exact and rows and self._belongs(min(rows), len(rows[min(rows)]), size, grown):
                loss = min(rows)
                members = rows.pop(loss)
                children += self._children(members, loss, size)
                grown += len(members)
                below.update(members)
            tree, size = tuple(children), grown
            self.cut[frozenset(below)] = not exact
        return tree

    @staticmethod
    def _belongs(loss: int, count: int, size: int, grown: int) -> bool:
        """Whether terms with this loss are larger branches of the same exact sum, and not of the next one."""
        own, above = loss - size, loss - grown
        next_sum = above >= 1 and (count % above == 0 or loss == grown + count)
        return not next_sum and own >= 1 and count % own == 0

    def _children(self, members: list[int], loss: int, size: int) -> list[Branch]:
        """The branches that terms with one loss form."""
        exact = loss < size + len(members)
        within = loss - size + 1 if exact else loss
        if exact and loss - size == 1:
            return list(members)
        return [self.build(group) for group in self._divided(members, within)]

    def _divided(self, members: list[int], within: int) -> list[list[int]]:
        """Groups of terms that lose less than ``within`` among themselves."""
        pattern = tuple(member - members[0] for member in members)
        known = self.patterns.get(pattern)
        if known is not None and not self.patient:
            return [[members[0] + offset for offset in group] for group in known]
        groups = self._all_leaves(members, within) or self._by_first(members, within)
        self.patterns[pattern] = [[one - members[0] for one in group] for group in groups]
        return groups

    def _all_leaves(self, members: list[int], within: int) -> list[list[int]] | None:
        """One group for each term, if a few pairs say so."""
        if self.patient or len(members) < 4:
            return None
        count = len(members)
        steps = {1, count // 2, *(1 << power for power in range(1, count.bit_length() - 1))}
        pairs = [
            (members[at], members[(at + step) % count]) for step in steps for at in range(count)
        ]
        first = [(members[0], other) for other in members[1:]]
        if any(loss < within for loss in self.masks.lost(first)):
            return None
        if any(loss < within for loss in self.masks.lost(pairs)):
            return None
        return [[member] for member in members]

    def _by_first(self, members: list[int], within: int) -> list[list[int]]:
        groups: list[list[int]] = []
        rest = list(members)
        while rest:
            first, *others = rest
            losses = self.masks.lost((first, other) for other in others)
            near = [other for other, loss in zip(others, losses, strict=True) if loss < within]
            groups.append([first, *near])
            rest = [other for other in others if other not in near]
        return groups
