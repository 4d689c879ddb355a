"""The search: questions in stages, candidates that explain every answer, and questions that tell those apart."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np

from conformance.arrays import Array
from conformance.probe import library, specials, stress
from conformance.probe.box import Box, Unsteady
from conformance.probe.directed import Director
from conformance.probe.fit import Fit, Pool
from conformance.probe.masks import Masks, Unclear
from conformance.probe.moves import Hints, Move, moves, two_stages
from conformance.probe.palette import Palette
from conformance.probe.paths import Paths
from conformance.probe.readings import (
    Read,
    ask_smallest,
    first_step,
    hints,
    read_range,
    read_steps,
)
from conformance.probe.space import Dots, joined
from conformance.probe.trees import Branch, Path, changed, foldings, steps_of, sums
from conformance.probe.triples import Triples
from mxemu.accumulation import Accumulation, NanWord, Nested, Node, Sum, ZeroSign, nodes
from mxemu.accumulations import ACCUMULATIONS

_RANDOM = 240
_ROUNDS = 8
_TIERS = (200, 700, 4000)
# Named accumulations may differ in one dot of many thousands; there are few of them, so each can be tried on so many.
_NAMED_TIER = 40_000
_ACCEPTED = 800
_CLIMBED = 8
_SURE = 2
# The binades between a unit and M with which masks, triples, and either of them alone are worth asking.
_MASKED, _TRIPLED, _WIDE = 12, 16, 24
# Of more terms than these, only the first are asked about one triple at a time.
_FEWER = 64
# Questions that are kept for what comes after the order.
_KEPT = 1500
_SHAPES = 4


@dataclass
class Search:
    """One probing of a box.

    Parameters
    ----------
    box : Box
    seed : int
    presets : bool
        Whether the named accumulations are candidates from the start.
    seconds : float
        When no more candidates are tried.
    """

    box: Box
    seed: int = 1
    presets: bool = True
    seconds: float = 60.0
    tree: Branch | None = None
    tree_from: str = ""
    terms: int = 0
    reads: dict[Path, Read] = field(default_factory=dict)
    hints: Hints = field(default_factory=Hints)
    free: list[Move] = field(default_factory=list)
    closest: Accumulation | None = None
    rounds: int = 0
    nans: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.space = self.box.space
        self.palette = Palette(self.space)
        self.until = time.monotonic() + self.seconds

    def run(self) -> Accumulation | None:
        """An accumulation that explains every answer, or None."""
        self._specials()
        self.range = read_range(self.box, self.palette)
        self.smallest = ask_smallest(self.box, self.palette, self.range)
        self._general()
        self._order()
        shapes = self._shapes()
        for shape in shapes[:1]:
            self._ask_about(shape)
        found = self._first(shapes)
        for self.rounds in range(1, _ROUNDS + 1):
            if found is None or not self._refuted(found):
                return found
            found = self._refit(found, shapes)
        return None

    def _specials(self) -> None:
        """Special values; a box whose NaN are of several words is compared without them from here on."""
        asked = specials.questions(self.palette)
        dots = specials.dots(self.palette, asked)
        bits = self.box.ask("special", dots)
        found = self.space.nan_words(bits)
        self.nans = {
            word: next(one.words for one, own in zip(asked, bits, strict=True) if own == word)
            for word in found
        }
        if len(found) > 1:
            self.space = self.box.space = replace(self.space, any_nan=True)
            self.palette = Palette(self.space)
            self.box.log[-1].bits = self.space.as_one_nan(bits)

    def _general(self) -> None:
        """Random questions of every kind, all asked again at other places and in smaller batches."""
        dots = stress.batch(self.palette, self.rng, _RANDOM)
        first = self.box.ask("random", dots)
        order = self.rng.permutation(dots.size)
        for rows, how in (
            (np.arange(0, dots.size, 4), "in a batch of another size"),
            (np.arange(dots.size), "when it is asked again"),
            (order, "at another place in a batch"),
        ):
            again = self.box.answer(dots.take(rows))
            differ = np.flatnonzero(again != first[rows])
            if len(differ):
                row = int(rows[differ[0]])
                answers = int(first[row]), int(again[differ[0]])
                raise Unsteady(how, dots.take([row]), answers)

    def _order(self) -> None:
        """The tree, as far as masks or C show it."""
        low, high = max(self.range.low, -30), min(self.range.high, 30)
        if self.space.takes_c:
            low, high = max(low, self.range.c_low), min(high, self.range.c_high)
        length = self.space.length
        for terms in dict.fromkeys((length, min(length, _FEWER))):
            if self.tree is None and high - low > _MASKED:
                self._masked(low, high, terms)
            if high - low > _TRIPLED and (self.tree is not None or terms <= _FEWER):
                self._by_triples(low, high, self.terms or terms)
        if self.tree is not None and high - low > _WIDE:
            return
        if self.space.takes_c and self.range.low <= self.range.high:
            path = Paths(self.box, self.palette, self.range.low).tree()
            if path is not None and (self.tree is None or path != self.tree):
                self.tree, self.tree_from, self.terms = path, "C", length

    def _masked(self, low: int, high: int, terms: int) -> None:
        for sign in (0, 1):
            try:
                masks = Masks(self.box, self.palette, low, high, sign, terms)
                self.tree = masks.tree(self.rng)
            except Unclear:
                continue
            self.tree_from, self.terms = "masks", terms
            return

    def _by_triples(self, low: int, high: int, terms: int) -> None:
        """The tree from single triples, unless they agree with the one that is known."""
        limit = max(self.box.left - _KEPT, 0)
        triples = Triples(self.box, self.palette, low, high, limit, terms)
        try:
            if self.tree is not None and triples.agrees(self.tree, self.rng):
                return
            self.tree = triples.tree()
        except Unclear:
            return
        self.tree_from, self.terms = "triples", terms

    def pool(self) -> Pool:
        """Everything that was asked."""
        dots, bits = self.box.pool()
        return Pool(self.space, dots, bits)

    def _shapes(self) -> list[Node]:
        """Nodes with the tree that was found."""
        if self.tree is None:
            return []
        found = foldings(self.tree, self.terms, self.space.k, c=self.space.takes_c)[:_SHAPES]
        if self.terms < self.space.length:
            found = [
                node for node in found if not any(isinstance(one, Nested) for one in nodes(node))
            ]
        deep = self.tree_from == "C"
        return found + [
            other for node in found[:2] for other in two_stages(node, self.space.length, deep=deep)
        ]

    def _ask_about(self, shape: Node) -> None:
        """Questions about every step of a node."""
        adds = sums(shape, self.space.length, self.space.k, c=self.space.takes_c)
        low, high = max(self.range.low, -60), min(self.range.high, 60)
        director = Director(self.palette, low, high, self.rng)
        dots, straight = director.questions(adds)
        bits = self.box.ask("one step", dots)
        self.reads = read_steps(straight, bits)
        self.hints = hints(self.reads, self.range, self.space, self.smallest)

    def _first(self, shapes: list[Node]) -> Accumulation | None:
        """The first accumulation that explains everything so far."""
        pool = self.pool()
        if self.presets:
            for record in ACCUMULATIONS.values():
                if pool.explains(record):
                    return record
        return self._fitted(shapes, pool)

    def _starts(self, shapes: list[Node], pool: Pool) -> list[Accumulation]:
        """Where a search may start, the most promising first."""
        named = self._best_globals(Accumulation("found", shapes[0] if shapes else Sum()), pool)
        others = [*shapes[_SHAPES:], *library.nodes(self.space.length, self.space.k)]
        starts = [named.replace(node=self._stepped(shape, self.reads)) for shape in shapes]
        starts += [named.replace(node=self._stepped(shape, {})) for shape in others]
        starts += [named.replace(node=self._stepped(shape, self.reads)) for shape in others]
        sample = pool.part(self.rng.permutation(len(pool.bits))[:400])
        scores = [sample.score(one) for one in starts]
        # What the masks say counts for more than how well a start without the right steps does.
        bonus = [60] * min(len(shapes), _SHAPES)
        bonus += [30] * (2 * len(shapes) - 2 * len(bonus))
        bonus += [0] * (len(starts) - len(bonus))
        order = sorted(range(len(starts)), key=lambda at: -scores[at] - bonus[at])
        return [starts[at] for at in order]

    def _stepped(self, shape: Node, reads: dict[Path, Read]) -> Node:
        """A node with the steps that were read."""
        for path in steps_of(shape):
            shape = changed(shape, path, first_step(reads.get(path), self.range, self.space))
        return shape

    def _fitted(self, shapes: list[Node], pool: Pool) -> Accumulation | None:
        """The first start from which everything can be explained."""
        best: tuple[int, Accumulation] | None = None
        loose = Fit(pool.loosened(), self.hints, self.rng, self.until)
        fit = Fit(pool, self.hints, self.rng, self.until)
        for place, start in enumerate(self._starts(shapes, loose.pool)[:_CLIMBED]):
            found = self._climbed(start, loose, fit)
            wrong = len(pool.wrong(found))
            if best is None or wrong < best[0]:
                best = (wrong, found)
            if best[0] and place == _SURE - 1:
                found = self._climbed(best[1], loose, fit, deep=True)
                best = min(best, (len(pool.wrong(found)), found), key=lambda one: one[0])
            if not best[0]:
                return best[1]
            if time.monotonic() > self.until:
                break
        self.closest = None if best is None else best[1]
        return None

    def _climbed(
        self, start: Accumulation, loose: Fit, fit: Fit, *, deep: bool = False
    ) -> Accumulation:
        """What can be reached from a start, first without regard to zeros and NaN."""
        found = loose.climb(start, deep=deep)
        return fit.climb(self._best_globals(found, fit.pool), deep=deep)

    def _best_globals(self, record: Accumulation, pool: Pool) -> Accumulation:
        """The NaN word and the sign of zero that explain most."""
        options = [
            record.replace(nan_word=word, zero_sign=sign) for word in NanWord for sign in ZeroSign
        ]
        return max(options, key=pool.score)

    def _refit(self, record: Accumulation, shapes: list[Node]) -> Accumulation | None:
        """An accumulation near one that explained everything until now."""
        pool = self.pool()
        if self.presets:
            for preset in ACCUMULATIONS.values():
                if pool.explains(preset):
                    return preset
        fit = Fit(pool, self.hints, self.rng, self.until)
        found = fit.climb(record, sweeps=3)
        if len(pool.wrong(found)):
            found = fit.climb(record, deep=True)
        if not len(pool.wrong(found)):
            return found
        return self._fitted(shapes, pool)

    def _refuted(self, record: Accumulation) -> bool:
        """Whether an accumulation is wrong on questions that tell it from its neighbours, or on fresh random ones."""
        rivals = moves(record, self.space, self.hints)
        pool = self.pool()
        rivals += [
            Move("preset", preset.name, preset)
            for preset in ACCUMULATIONS.values()
            if not preset.same_arithmetic(record) and pool.explains(preset)
        ]
        for count in _TIERS:
            rivals, chosen = self._told_apart(record, rivals, self._offline(record, count))
            if chosen.size and self._differs(record, "neighbours", chosen):
                return True
        named = [move for move in rivals if move.parameter == "preset"]
        if named:
            same, chosen = self._told_apart(record, named, self._offline(record, _NAMED_TIER))
            if chosen.size and self._differs(record, "neighbours", chosen):
                return True
            rivals = [move for move in rivals if move not in named or move in same]
        self.free = rivals
        return self._differs(record, "acceptance", stress.batch(self.palette, self.rng, _ACCEPTED))

    def _differs(self, record: Accumulation, kind: str, dots: Dots) -> bool:
        """Whether an accumulation gives something else than the box for any of some dots."""
        bits = self.box.ask(kind, dots)
        expected = self.space.evaluate(record, dots)
        return expected is None or bool((bits != expected).any())

    def _offline(self, record: Accumulation, count: int) -> Dots:
        """Random dots of every kind, and some made for the sums of an accumulation."""
        adds = sums(record.node, self.space.length, self.space.k, c=self.space.takes_c)
        low, high = max(self.range.low, -60), min(self.range.high, 60)
        director = Director(self.palette, low, high, self.rng)
        parts = [stress.batch(self.palette, self.rng, count)]
        parts += [director.rough(adds) for _ in range(count // 400)]
        return joined([part for part in parts if part.size])

    def _told_apart(
        self, record: Accumulation, rivals: list[Move], dots: Dots
    ) -> tuple[list[Move], Dots]:
        """The rivals that give the same bits on all dots, and for each other one up to two dots where it differs."""
        own = self.space.evaluate(record, dots)
        assert own is not None
        same: list[Move] = []
        rows: set[int] = set()
        ends, between = _ends(rivals)
        for move in ends:
            self._compare(move, own, dots, same, rows)
        shown = {move.parameter for move in ends} - {move.parameter for move in same}
        for move in between:
            # Numbers between two that give the same bits do as well.
            if move.parameter in shown:
                self._compare(move, own, dots, same, rows)
            else:
                same.append(move)
        return same, dots.take(np.array(sorted(rows), np.int64))

    def _compare(
        self, move: Move, own: Array, dots: Dots, same: list[Move], rows: set[int]
    ) -> None:
        """Note whether a rival gives the same bits, or where it does not."""
        other = self.space.evaluate(move.record, dots)
        if other is None:
            return
        differ = np.flatnonzero(other != own)
        if not len(differ):
            same.append(move)
        elif not rows.intersection(differ[:50]):
            rows.update(int(row) for row in differ[:2])


def _ends(rivals: list[Move]) -> tuple[list[Move], list[Move]]:
    """Rivals of which the value is no whole number, or the first or last of some in a row; and those between."""
    ends: list[Move] = []
    between: list[Move] = []
    numbers = {(move.parameter, move.value) for move in rivals}
    for move in rivals:
        whole = move.value.removeprefix("-").isdigit()
        near = [str(int(move.value) + step) for step in (-1, 1)] if whole else []
        inside = whole and all((move.parameter, one) in numbers for one in near)
        (between if inside else ends).append(move)
    return ends, between
