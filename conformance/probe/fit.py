"""The search for an accumulation that explains all answers."""

from __future__ import annotations

import time

import numpy as np

from conformance.arrays import Array
from conformance.probe.moves import Hints, Move, moves
from conformance.probe.space import Dots, Space
from mxemu.accumulation import Accumulation

_SAMPLE = 220
_RIVALS = 12
_FEW, _LOSS, _PLATEAU = 60, 2, 40


class Pool:
    """Questions with their answers, against which accumulations are held.

    Parameters
    ----------
    space : Space
    dots : Dots
    bits : ndarray of int64, shape (n,)
    loose : bool
        Whether zeros of both signs, and all NaN, count as the same: which of them come out hangs on much else.
    """

    def __init__(self, space: Space, dots: Dots, bits: Array, *, loose: bool = False) -> None:
        self.space, self.dots, self.loose = space, dots, loose
        self.bits = self._seen(bits)

    def _seen(self, bits: Array) -> Array:
        """Results as they are compared."""
        if not self.loose:
            return bits
        magnitude = bits & self.space.out.magnitude_mask
        same = (magnitude == 0) | (magnitude > self.space.out.max_code + 1)
        return np.where(same, np.where(magnitude == 0, 0, -1), bits)

    def loosened(self) -> Pool:
        """The same, with zeros and NaN compared loosely."""
        return Pool(self.space, self.dots, self.bits, loose=True)

    def wrong(self, record: Accumulation) -> Array:
        """The rows that an accumulation does not explain; all if it is not for these dots."""
        found = self.space.evaluate(record, self.dots)
        if found is None:
            return np.arange(len(self.bits))
        return np.flatnonzero(self._seen(found.astype(np.int64)) != self.bits)

    def score(self, record: Accumulation) -> int:
        """How many answers an accumulation explains."""
        return len(self.bits) - len(self.wrong(record))

    def explains(self, record: Accumulation) -> bool:
        """Whether an accumulation explains every answer; a few are looked at first."""
        first = self.part(np.arange(0, len(self.bits), max(len(self.bits) // 64, 1)))
        return not len(first.wrong(record)) and not len(self.wrong(record))

    def part(self, rows: Array) -> Pool:
        """Some of the questions."""
        return Pool(self.space, self.dots.take(rows), self.bits[rows], loose=self.loose)

    def sample(self, record: Accumulation, rng: np.random.Generator) -> Pool:
        """Questions that an accumulation does not explain, and as many that it does."""
        wrong = self.wrong(record)
        right = np.setdiff1d(np.arange(len(self.bits)), wrong)
        kept = [rng.choice(one, min(_SAMPLE, len(one)), replace=False) for one in (wrong, right)]
        return self.part(np.concatenate(kept))


class Fit:
    """Climbs from an accumulation to one that explains more, one parameter at a time.

    Parameters
    ----------
    pool : Pool
    hints : Hints
    rng : Generator
    until : float
        The `time.monotonic` at which it stops.
    """

    def __init__(self, pool: Pool, hints: Hints, rng: np.random.Generator, until: float) -> None:
        self.pool, self.hints, self.rng, self.until = pool, hints, rng, until
        self.tried = 0

    def climb(self, record: Accumulation, *, deep: bool = False, sweeps: int = 8) -> Accumulation:
        """The best accumulation that can be reached from one."""
        best = self.pool.score(record)
        for _ in range(sweeps if best < len(self.pool.bits) else 0):
            score, other = self._sweep(record, best, deep)
            if score <= best and deep:
                other = self._pair(record)
                score = self.pool.score(other)
            if score <= best:
                return record
            best, record = score, other
            if best == len(self.pool.bits) or time.monotonic() > self.until:
                return record
        return record

    def _sweep(self, record: Accumulation, best: int, deep: bool) -> tuple[int, Accumulation]:
        """The record after the best move, and after those of its rivals that still help; and how much it explains."""
        gains = self._gains(record, self.pool.sample(record, self.rng), deep)
        for parameter, value in gains[:_RIVALS]:
            again = self._same_move(record, parameter, value, deep)
            score = -1 if again is None else self.pool.score(again.record)
            if again is not None and score > best:
                best, record = score, again.record
        return best, record

    def _gains(self, record: Accumulation, sample: Pool, deep: bool) -> list[tuple[str, str]]:
        """The moves that explain more of a sample, the best first."""
        start = sample.score(record)
        gains: list[tuple[int, str, str]] = []
        for move in moves(record, self.pool.space, self.hints, deep=deep):
            self.tried += 1
            score = sample.score(move.record)
            if score > start:
                gains.append((score, move.parameter, move.value))
            if time.monotonic() > self.until:
                break
        gains.sort(key=lambda gain: -gain[0])
        return [(parameter, value) for _, parameter, value in gains]

    def _pair(self, record: Accumulation) -> Accumulation:
        """The record after two moves that only help together, one of which changes hardly anything."""
        wrong = self.pool.wrong(record)
        right = np.setdiff1d(np.arange(len(self.pool.bits)), wrong)
        few = self.rng.choice(right, min(_FEW, len(right)), replace=False)
        sample = self.pool.part(np.concatenate([self.rng.permutation(wrong)[:_FEW], few]))
        best, found = sample.score(record), record
        first = [
            (sample.score(move.record), move) for move in moves(record, sample.space, self.hints)
        ]
        flat = [move for score, move in first if score >= best - _LOSS]
        flat.sort(key=lambda move: ":" in move.parameter)
        for move in flat[:_PLATEAU]:
            for second in moves(move.record, sample.space, self.hints):
                score = sample.score(second.record)
                if score > best:
                    best, found = score, second.record
                if time.monotonic() > self.until:
                    return found
            if found is not record:
                return found
        return found

    def _same_move(
        self, record: Accumulation, parameter: str, value: str, deep: bool
    ) -> Move | None:
        """A move of another record."""
        for move in moves(record, self.pool.space, self.hints, deep=deep):
            if move.parameter == parameter and move.value == value:
                return move
        return None
