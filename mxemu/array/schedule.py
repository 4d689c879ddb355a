"""An accumulation for K terms as a list of instructions on registers, which the interpreter in `machine` runs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mxemu import walk
from mxemu.accumulation import (
    Accumulation,
    Fuse,
    Parts,
    Round,
    Sum,
    ZeroSign,
)
from mxemu.array.inputs import Array
from mxemu.formats import FloatFormat
from mxemu.profile import Rounding

# Stands for no exponent, no limit, no register: below everything in use, and far enough to add to.
NONE = -(1 << 30)
FUSE, ROUND, SCALE = range(3)
MODES = {
    Rounding.TIES_TO_EVEN: 0,
    Rounding.TIES_TO_AWAY: 1,
    Rounding.TOWARD_ZERO: 2,
    Rounding.TOWARD_POSITIVE: 3,
    Rounding.TOWARD_NEGATIVE: 4,
    Rounding.TO_ODD: 5,
}


class CannotSchedule(Exception):
    """One scale for several blocks: whether they agree depends on the numbers."""


class Schedule(NamedTuple):
    """What to do with the products of one dot.

    Attributes
    ----------
    code : ndarray of int64, shape (n, 6)
        Kind; row of ``steps`` (FUSE), of ``roundings`` (ROUND) or of the scales (SCALE); register of the result; first
        and after of ``inputs``; register that is carried in or NONE.
    inputs : ndarray of int64
        Registers: 0 to K - 1 are the products, K is C, K + 1 is +0. Those of SCALE are a register and first and after
        of the roundings of the scale and of the product.
    steps : ndarray of int64, shape (n_steps, 11)
        Fields of `Fuse`, see `_step`.
    roundings : ndarray of int64, shape (n_roundings, 6)
        Fields of `Round`, see `rounding_row`.
    registers, result : int
    widest : int
        Most inputs of one instruction.
    """

    code: Array
    inputs: Array
    steps: Array
    roundings: Array
    registers: int
    result: int
    widest: int


@lru_cache(maxsize=256)
def schedule(
    record: Accumulation, count: int, k: int, out: FloatFormat, tensor: int = 0
) -> Schedule:
    """The instructions for ``count`` terms in blocks of k, with a result in ``out``.

    Parameters
    ----------
    record : Accumulation
    count, k : int
    out : FloatFormat
    tensor : int
        Numbers that the scale of whole tensors is given as, after those of the blocks: none, one, or two that add up.

    Raises
    ------
    BadShape
        When the accumulation is for another number of terms.
    CannotSchedule
    """
    compiler = _Compiler(record, count, k)
    terms, rows = (
        list(range(count)),
        [3 * scale_rows(count, k) + row for row in range(tensor)],
    )
    if rows and record.node == Sum() and record.tensor_scale is None:
        if len(rows) > 1:
            raise CannotSchedule
        terms = [compiler.scaled(term, rows[0]) for term in terms]
        rows = []
    result = walk.reduce(record.node, terms, None if rows else count, compiler)
    if rows:
        result = compiler.scale_result(result, rows, count)
    compiler.finish(result, Round(out, record.rounding, stop_at_max=True))
    return compiler.done()


def scale_rows(count: int, k: int) -> int:
    """Blocks of ``count`` terms; the table has a row for the scales of both operands, then for those of a, and of b."""
    return max(count // k, 1)


class _Compiler:
    """Notes what would be done with numbers, on the registers where they will be."""

    def __init__(self, record: Accumulation, count: int, k: int) -> None:
        self.record, self.count, self.k = record, count, k
        self.code: list[list[int]] = []
        self.inputs: list[int] = []
        self.steps: list[list[int]] = []
        self.roundings: list[list[int]] = []
        self.known: dict[Any, int] = {}
        self.nothing = count + 1
        self.next = count + 2
        self.result = 0

    def done(self) -> Schedule:
        """Everything as arrays."""
        code = np.array(self.code, np.int64).reshape(-1, 6)
        widest = int((code[:, 4] - code[:, 3]).max(initial=0)) + 1
        inputs = np.array(self.inputs, np.int64)
        steps = np.array(self.steps, np.int64).reshape(-1, _STEP_FIELDS)
        roundings = np.array(self.roundings, np.int64).reshape(-1, 6)
        return Schedule(code, inputs, steps, roundings, self.next, self.result, widest)

    def round_term(self, rounding: Round, term: int) -> int:
        """The register of a term that is rounded before it is added."""
        return self._emit(ROUND, self._roundings((rounding,))[0], [term], None)

    def scale_sum(self, node: Parts, total: int, run: list[int]) -> int:
        """The register of the sum of a run times the scales of its terms."""
        # Terms are products here, so a term's register tells its block.
        blocks = {term // self.k for term in run}
        if len(blocks) > 1:
            raise CannotSchedule
        after = () if node.scaled is None else (node.scaled,)
        row = blocks.pop()
        if node.apart is None:
            return self.scaled(total, row, node.scale or (), after)
        n = scale_rows(self.count, self.k)
        return self.scaled(self.scaled(total, n + row, (), (node.apart,)), 2 * n + row, (), after)

    def scaled(
        self, term: int, row: int, scale: tuple[Round, ...] = (), after: tuple[Round, ...] = ()
    ) -> int:
        """A register times a row of scales, with roundings of the scale and of the product."""
        inputs = [term, *self._roundings(scale), *self._roundings(after)]
        return self._emit(SCALE, row, inputs, None)

    def scale_result(self, total: int, rows: list[int], c: int) -> int:
        """The result times the scale of whole tensors."""
        rounding = self.record.tensor_scale
        if rounding is not None:
            return self.scaled(total, rows[0], (rounding,), (rounding,))
        return self.add(Fuse(), [self.scaled(total, row) for row in rows], c)

    def add(self, step: Fuse, terms: list[int], carried: int | None) -> int:
        return self._emit(FUSE, self._step(step), terms, carried)

    def finish(self, result: int, rounding: Round) -> None:
        """Round the result to the format asked for: in the last sum, if that left it exact."""
        last = self.code[-1] if self.code else None
        keeps = self.record.zero_sign is not ZeroSign.POSITIVE
        if keeps and last and last[0] == FUSE and last[2] == result and self._is_exact(last[1]):
            step = list(self.steps[last[1]])
            step[_FIRST], step[_AFTER] = self._roundings((rounding,))
            last[1] = len(self.steps)
            self.steps.append(step)
            self.result = result
            return
        self.result = self._emit(ROUND, self._roundings((rounding,))[0], [result], None)

    def _is_exact(self, row: int) -> bool:
        return self.steps[row][_FIRST] == self.steps[row][_AFTER]

    def _emit(self, kind: int, row: int, inputs: list[int], carried: int | None) -> int:
        first = len(self.inputs)
        self.inputs += inputs
        after = len(self.inputs)
        self.code.append([kind, row, self.next, first, after, NONE if carried is None else carried])
        self.next += 1
        return self.next - 1

    def _roundings(self, given: tuple[Round, ...]) -> tuple[int, int]:
        """First and after of some roundings in the table."""
        if ("roundings", given) not in self.known:
            self.known["roundings", given] = len(self.roundings)
            self.roundings += [rounding_row(one) for one in given]
        first = self.known["roundings", given]
        return first, first + len(given)

    def _zero_rule(self, rounding: Rounding) -> int:
        """0 for +0 always, 1 for IEEE 754, 2 for it under TOWARD_NEGATIVE, 3 for +0 unless it comes from rounding."""
        match self.record.zero_sign:
            case ZeroSign.POSITIVE:
                return 0
            case ZeroSign.SUM_POSITIVE:
                return 3
            case ZeroSign.IEEE:
                return 2 if rounding is Rounding.TOWARD_NEGATIVE else 1

    def _step(self, step: Fuse) -> int:
        """The row of a step."""
        if step not in self.known:
            first, after = self._roundings(step.out)
            rounding = step.out[-1].rounding if step.out else self.record.rounding
            row = [
                _or_none(step.fraction_bits),
                _or_none(step.fraction_bits if step.carried_bits is None else step.carried_bits),
                _or_none(step.carried_reach),
                MODES[step.align],
                _or_none(step.floor),
                _or_none(step.quantum),
                _or_none(step.width),
                int(step.saturate),
                first,
                after,
                self._zero_rule(rounding),
            ]
            self.known[step] = len(self.steps)
            self.steps.append(row)
        return self.known[step]


_STEP_FIELDS = 11
_FIRST, _AFTER = 8, 9


def _or_none(value: int | None) -> int:
    return NONE if value is None else value


def rounding_row(one: Round) -> list[int]:
    """Mode, mantissa bits, emin, emax, flush, stop at the largest finite value."""
    fmt = one.format
    flags = [int(one.flush), int(one.stop_at_max)]
    return [MODES[one.rounding], fmt.mantissa_bits, fmt.emin, fmt.emax, *flags]
