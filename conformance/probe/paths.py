"""The order in which terms meet C, for formats whose products span too little for masks.

C is a row of ones, 2^(p+1) - 1 units, with the unit in its last place. One unit turns it into a power of two, and then
a unit more is below half an ulp: of one unit at i and two at j something is lost if j is added strictly before i.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from conformance.probe.box import Box
from conformance.probe.palette import Palette
from conformance.probe.space import C
from conformance.probe.trees import Branch, ordered
from mxemu.value import Value


class Paths:
    """Questions about which of two terms meets C first.

    Parameters
    ----------
    box : Box
    palette : Palette
    unit : int
        Exponent of a product that comes out whole.
    """

    def __init__(self, box: Box, palette: Palette, unit: int) -> None:
        self.box, self.space, self.palette, self.unit = box, box.space, palette, unit
        self.bits = 0
        self.known: dict[tuple[int, int], bool] = {}

    def precision(self) -> int:
        """The mantissa bits that a sum of C and one product keeps; 0 if there is no saying."""
        length, most = self.space.length, self.space.out.mantissa_bits
        depths = list(range(1, most + 1))
        values = [Value(0, (1 << depth) + 1, self.unit) for depth in depths]
        whole = set(depths)
        for place in sorted({0, length // 2, length - 1}):
            c = np.array([self.space.c_bits(Value(0, 1, self.unit + depth)) for depth in depths])
            a, b = (np.zeros((most, length), np.int64) for _ in range(2))
            a[:, place], b[:, place] = self.palette.power(self.unit)
            bits = self.box.ask("C and one product", self.space.dots(a, b, c))
            expected = [self.space.c_bits(value) for value in values]
            whole &= {
                depth
                for depth, own, wanted in zip(depths, bits, expected, strict=True)
                if own == wanted
            }
        return max(whole, default=0)

    def tree(self) -> Branch | None:
        """Groups of terms in the order in which they meet C; None if C shows nothing."""
        self.bits = self.precision()
        if self.bits < 2 or self.palette.high < self.unit + 1:
            return None
        groups = self._groups()
        branch: Branch = C
        for group in groups:
            branch = (branch, *group)
        return ordered(branch)

    def _groups(self) -> list[list[int]]:
        """The terms by groups."""
        terms = list(range(self.space.length))
        steps = self.compare(list(pairwise(terms)))
        if 1 not in steps:
            groups = [[0]]
            for term, step in zip(terms[1:], steps, strict=True):
                if step:
                    groups.append([])
                groups[-1].append(term)
            return groups
        return self._sorted(terms)

    def _sorted(self, terms: list[int]) -> list[list[int]]:
        """Groups of terms, by comparing all with one of them."""
        if not terms:
            return []
        pivot = terms[len(terms) // 2]
        others = [term for term in terms if term != pivot]
        found = self.compare([(other, pivot) for other in others])
        before, same, after = (
            [other for other, own in zip(others, found, strict=True) if own == side]
            for side in (-1, 0, 1)
        )
        return [*self._sorted(before), sorted([pivot, *same]), *self._sorted(after)]

    def compare(self, pairs: Sequence[tuple[int, int]]) -> list[int]:
        """For each pair -1 if the first meets C before the second, 1 if after, 0 if both do at once."""
        wanted = [pair for one in pairs for pair in (one, one[::-1])]
        new = [pair for pair in dict.fromkeys(wanted) if pair not in self.known]
        if new:
            self.known |= dict(zip(new, self._late(new), strict=True))
        return [int(self.known[one]) - int(self.known[one[::-1]]) for one in pairs]

    def _late(self, pairs: list[tuple[int, int]]) -> list[bool]:
        """Whether the first of each pair is added after the second: one unit at the first, two at the second."""
        ones = (1 << (self.bits + 1)) - 1
        a, b = (np.zeros((len(pairs), self.space.length), np.int64) for _ in range(2))
        for row, (first, second) in enumerate(pairs):
            a[row, first], b[row, first] = self.palette.power(self.unit)
            a[row, second], b[row, second] = self.palette.power(self.unit + 1)
        c = np.full(len(pairs), self.space.c_bits(Value(0, ones, self.unit)), np.int64)
        bits = self.box.ask("order", self.space.dots(a, b, c))
        whole = self.space.c_bits(Value(0, ones + 3, self.unit))
        return [bool(own != whole) for own in bits]
