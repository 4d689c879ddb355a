"""Vectors that somebody has computed, judged: which are wrong, and what they have in common.

Expected results are computed again from the inputs, so it does not matter where a file came from. A file of ours, what
a design answered to a stream, and another project's golden file are judged alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from conformance.adapter import Capabilities
from conformance.arrays import Array, is_nan_bits, nan_code_mask
from conformance.cases import Cases
from conformance.judges import Judge, ProductJudge, QuantizeJudge
from conformance.runner import Run
from conformance.vectors.of_products import Dot
from conformance.vectors.suites import Columns, Suite
from conformance.vectors.table import Batch, Expect, Field, Role
from conformance.vectors.words import hex_text
from conformance.verdict import Group, Terms, judge_group
from mxemu.formats import CARRIERS, FloatFormat
from mxemu.formats import find as find_format

KEPT = 20_000
"""Wrong vectors, and right ones beside them, that are kept to find out why; all of them are counted."""

SHOWN = 10
"""Wrong vectors that are shown one by one."""


class Wrong(NamedTuple):
    """One field of one vector that is not as expected."""

    vector: int
    field: str
    inputs: str
    got: str
    expected: str
    by_profile: bool


@dataclass
class Verified:
    """What came of verifying vectors.

    Attributes
    ----------
    suite : Suite
    count : int
    wrong : int
        Vectors with a wrong number.
    by_profile : int
        Those of them in which only numbers differ that the specification leaves to the profile.
    first : list of Wrong
    numbers : list of int
        Numbers of wrong vectors, counted from 1; at most `KEPT`.
    """

    suite: Suite
    count: int = 0
    wrong: int = 0
    by_profile: int = 0
    first: list[Wrong] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    kept: list[tuple[Batch, Array]] = field(default_factory=list)

    def group(self) -> tuple[Group, Judge] | None:
        """The kept vectors, judged as `mxemu check` does; None where it has no judge."""
        judge = self.suite.judge()
        if judge is None or not self.kept:
            return None
        rows, observed, theme = [], [], []
        for batch, keep in self.kept:
            columns = {name: column[keep] for name, column in batch.columns.items()}
            rows.append(self.suite.rows(columns))
            observed.append(_observed(self.suite, judge, columns))
            theme.append(batch.theme[keep])
        cases = Cases(np.concatenate(rows), np.concatenate(theme), self.suite.notes or ("random",))
        own = judge.on(cases)
        key, accumulation = self.suite.key, None
        if isinstance(self.suite, Dot):
            accumulation = key.accumulation
        group = Group(key.operation, key.format, key.kind, key.profile, accumulation=accumulation)
        answers = np.concatenate(observed)
        terms = Terms(key.profile, False, accumulation=accumulation, takes_c=True)
        judge_group(group, own, answers, np.zeros(len(answers), bool), terms)
        return group, own

    def run(self, name: str, version: str) -> Run | None:
        """The same as a run of `mxemu check`, for its reports."""
        found = self.group()
        if found is None:
            return None
        run = Run(name, Capabilities(name, version), self.suite.key.level, self.suite.key.profile)
        if isinstance(self.suite, Dot):
            run.asked_accumulation = self.suite.key.accumulation
        run.groups.append(found[0])
        return run


def verify(suite: Suite, batches: Iterable[Batch]) -> Verified:
    """Compare results with what they should be.

    Parameters
    ----------
    suite : Suite
        What the vectors are of; its own cases do not matter.
    batches : iterable of Batch
        Input fields and results; expectations are computed again.
    """
    found = Verified(suite)
    kept = 0
    for batch in batches:
        inputs = {one.name: batch.columns[one.name] for one in suite.inputs}
        expected = suite.batch(inputs, batch.theme)
        wrong, open_only = _compare(suite, batch, expected)
        found.count += len(batch)
        found.wrong += int(wrong.sum())
        found.by_profile += int((wrong & open_only).sum())
        rows = np.flatnonzero(wrong)
        found.numbers += (rows[: KEPT - len(found.numbers)] + batch.first + 1).tolist()
        for row in rows[: SHOWN - len(found.first)]:
            found.first.append(_describe(suite, batch, expected, int(row)))
        if kept < KEPT:
            keep = _keep(wrong, KEPT - kept)
            kept += len(keep)
            found.kept.append((batch, keep))
    return found


def _keep(wrong: Array, most: int) -> Array:
    """Some wrong vectors, and as many right ones."""
    rows, right = np.flatnonzero(wrong), np.flatnonzero(~wrong)
    most_wrong = rows[: max(1, most // 2)]
    count = max(256, len(most_wrong))
    chosen = right[:: max(1, len(right) // count)][:count]
    return np.sort(np.concatenate([most_wrong, chosen]))


def _compare(suite: Suite, batch: Batch, expected: Batch) -> tuple[Array, Array]:
    """Which vectors are wrong, and which of these only where the profile decides."""
    required = changes(suite, expected, batch.columns, ignored=Expect.BY_PROFILE)
    return changes(suite, expected, batch.columns), ~required


def changes(
    suite: Suite, expected: Batch, results: Columns, ignored: Expect = Expect.UNSPECIFIED
) -> Array:
    """Which vectors have a wrong number among some results; numbers of one expectation can be left out."""
    wrong = np.zeros(len(expected), bool)
    for one in suite.outputs:
        differs = differing(one, results[one.name], expected)
        differs &= expected.columns[one.expectation.name] != ignored
        wrong |= differs if differs.ndim == 1 else differs.any(axis=1)
    return wrong


def differing(one: Field, got: Array, expected: Batch) -> Array:
    """Numbers of a field that are not as expected, shape of the column."""
    kinds = expected.columns[one.expectation.name]
    differs = (got != expected.columns[one.name]) & (kinds != Expect.UNSPECIFIED)
    if one.format:
        differs &= ~((kinds == Expect.ANY_NAN) & _is_nan(got, one.format))
    return np.asarray(differs)


def _is_nan(numbers: Array, name: str) -> Array:
    if name in CARRIERS:
        return is_nan_bits(numbers, CARRIERS[name])
    fmt = find_format(name)
    assert not hasattr(fmt, "element")
    return nan_code_mask(fmt)[numbers]


def _describe(suite: Suite, batch: Batch, expected: Batch, row: int) -> Wrong:
    """The first wrong field of a vector; of a field of many numbers, the first wrong one."""
    for one in suite.outputs:
        differs = differing(one, batch.columns[one.name], expected)[row]
        if not differs.any():
            continue
        lane = int(np.argmax(differs)) if one.count > 1 else 0
        single = Field(one.name, one.width)
        got, wanted, kinds = (
            np.atleast_1d(source[row])[lane : lane + 1]
            for source in (
                batch.columns[one.name],
                expected.columns[one.name],
                expected.columns[one.expectation.name],
            )
        )
        name = f"{one.name}[{lane}]" if one.count > 1 else one.name
        place = batch.first + row + 1
        open_one = bool(kinds[0] == Expect.BY_PROFILE)
        texts = (hex_text(got, 0, single), hex_text(wanted, 0, single))
        return Wrong(place, name, inputs_text(suite, batch, row, lane), *texts, open_one)
    raise AssertionError("no field of this vector is wrong")


def inputs_text(suite: Suite, batch: Batch, row: int, lane: int = 0) -> str:
    """The inputs of a vector in a line; of many numbers, the one of the same lane."""
    parts = []
    for one in suite.inputs:
        given = np.atleast_1d(batch.columns[one.name][row])
        at = lane if one.count > lane else 0
        name = f"{one.name}[{at}]" if one.count > 1 else one.name
        parts.append(f"{name}={hex_text(given[at : at + 1], 0, Field(one.name, one.width))}")
    return " ".join(parts)


def _observed(suite: Suite, judge: Judge, columns: dict[str, Array]) -> Array:
    """Results as the judge has them."""
    parts = [columns[one.name] for one in suite.outputs]
    if isinstance(judge, QuantizeJudge):
        return np.column_stack([part.astype(np.int64) for part in parts])
    if isinstance(judge, ProductJudge) or isinstance(_format_of(suite), FloatFormat):
        return parts[0]
    return parts[0].astype(np.int64)


def _format_of(suite: Suite) -> FloatFormat | None:
    """The carrier of the results; None where they are codes."""
    return CARRIERS.get(suite.outputs[0].format)


def without_expectations(suite: Suite) -> tuple[Field, ...]:
    """The fields that a design reads and writes: inputs, then results."""
    return tuple(one for one in suite.table.fields if one.role is not Role.EXPECT)


def number_ranges(numbers: Iterable[int]) -> Iterator[str]:
    """Numbers in order as ranges: ``3``, ``7-12``."""
    start = last = None
    for number in numbers:
        if last is not None and number == last + 1:
            last = number
            continue
        if start is not None:
            yield f"{start}" if start == last else f"{start}-{last}"
        start = last = number
    if start is not None:
        yield f"{start}" if start == last else f"{start}-{last}"
