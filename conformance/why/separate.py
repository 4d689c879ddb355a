"""Inputs on which two profiles differ: among those asked already, where one of them steps, and among random ones.

An encoder is a step function, and so is the scale of a block of its largest magnitude. Where two of these agree at
every step of both they agree everywhere: then it is certain that nothing tells the two profiles apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

import mxemu
from conformance.adapter import CARRIER_DTYPES
from conformance.arrays import BITS_DTYPES, Array, as_bits, as_values
from conformance.cases import Cases
from conformance.judges import Judge
from conformance.runner import Request, judge_of
from conformance.vectors.of_blocks import Quantize, scale_steps
from conformance.vectors.of_elements import Encode, EncodeScaled
from conformance.vectors.suites import Key, Suite, suite
from conformance.vectors.verify import changes
from conformance.verdict import Group, Terms
from mxemu.block import value_bits
from mxemu.errors import MxemuError
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.formats import carrier as find_carrier
from mxemu.profile import OCP, Profile
from mxemu.runs import runs
from mxemu.scalar import encode
from mxemu.value import Value

SEARCHED = 1 << 15
"""Random inputs among which a difference is sought, for each group."""

ASKED = 48
"""Inputs that tell two profiles apart and that the subject is asked about."""

_SUITE_OF = {
    "encode": "encode",
    "encode-scaled": "encode-scaled",
    "quantize": "quantize",
    "fake_quantize": "quantize",
    "dequantize": "dequantize",
}
# Choices that change nothing about a block but its scale, which is a function of the largest magnitude.
_OF_SCALE = ("scale_rule", "scale_overflow", "zero_block", "nan_block")

_OF_ELEMENTS = (
    "rounding",
    "overflow",
    "element_subnormals",
    "input_subnormals",
    "zero_sign",
    "nan_code",
    "nan_without_code",
    "int_minimum",
)


class Difference(NamedTuple):
    """Where two profiles differ.

    Attributes
    ----------
    known : bool
        On cases that the subject was asked for already.
    further : Cases or None
        On others; None if there are none.
    certain : bool
        Whether, if there are none, there cannot be any.
    """

    known: bool
    further: Cases | None = None
    certain: bool = False


class Separator:
    """Finds inputs of one group on which profiles differ from the one that was found.

    Parameters
    ----------
    group : Group
    profile : Profile
    level : str
        Of the cases that the subject was asked for.
    """

    def __init__(self, group: Group, profile: Profile, level: str) -> None:
        self.group, self.profile, self.level = group, profile, level
        self.carrier: FloatFormat = find_carrier(group.carrier)

    @classmethod
    def of(cls, group: Group, profile: Profile, level: str) -> Separator | None:
        """A separator, or None for an operation that no choice of a profile changes, or without vectors."""
        if group.operation not in _SUITE_OF or group.further or group.carrier == "any":
            return None
        found = cls(group, profile, level)
        try:
            _ = found.suite
        except MxemuError:
            return None  # a conversion without vectors, such as that to a scale
        return found

    @cached_property
    def suite(self) -> Suite:
        """Vectors of the operation."""
        key = (_SUITE_OF[self.group.operation], self.group.format, self.group.carrier, "core")
        return suite(Key(*key, self.profile, random=SEARCHED))

    @cached_property
    def judge(self) -> Judge:
        """The cases that the subject was asked for."""
        return judge_of(Request(*self.group.key, Terms(self.profile, False)), self.level)

    def difference(self, other: Profile) -> Difference:
        """Where another profile differs from the found one."""
        changed = {*other.changes(self.profile)}
        if not changed & {*self.judge.fields, *self.judge.open_fields}:
            return Difference(False, None, certain=True)
        if self._differing(self.judge.cases.inputs, other) is not None:
            return Difference(True)
        for rows in self._sources(other):
            found = self._differing(rows, other)
            if found is not None:
                return Difference(False, found)
        return Difference(False, None, self._covers(changed, other))

    def _differing(self, rows: Array, other: Profile) -> Cases | None:
        """Those of some rows on which another profile differs, the first ones."""
        columns = self.suite.columns(rows)
        if self.group.operation == "fake_quantize":
            values = [self._values(columns["values"], one) for one in (self.profile, other)]
            differs = (values[0] != values[1]).any(axis=1)
        else:
            batch = self.suite.batch(columns, np.zeros(len(rows), np.int64))
            differs = changes(self.suite, batch, self.suite.results(columns, other))
        kept = rows[np.flatnonzero(differs)[:ASKED]]
        return Cases(kept, np.zeros(len(kept), np.int64), ("random",)) if len(kept) else None

    def _values(self, bits: Array, profile: Profile) -> Array:
        """What blocks of inputs stand for once they are quantized, as bits; any NaN as one."""
        name = self.carrier.name
        numbers = as_values(bits, name)
        blocks = mxemu.quantize(numbers, self.group.format, profile=profile, carrier=name)
        wide = "binary32" if name == "bfloat16" else name
        # What an element is worth does not depend on how it was made; tables are kept for each profile.
        plain = OCP.replace(scale_nan=profile.scale_nan, out_of_binary32=profile.out_of_binary32)
        values = mxemu.dequantize(replace(blocks, profile=plain), dtype=CARRIER_DTYPES[wide])
        return as_bits(np.where(np.isnan(values), np.nan, values), wide)

    def _sources(self, other: Profile) -> Iterator[Array]:
        """Rows of inputs in which a difference is sought."""
        steps = self._steps(other)
        if len(steps):
            yield steps
        for batch in self.suite.batches():
            inputs = {one.name: batch.columns[one.name] for one in self.suite.inputs}
            yield self.suite.rows(inputs)

    def _steps(self, other: Profile) -> Array:
        """Rows at every step of both profiles: of the encoder, and of the scale."""
        match self.suite:
            case Encode():
                return self._encoder_steps(self.suite.element, other)
            case EncodeScaled():
                firsts = self._encoder_steps(self.suite.element, other)
                scale = encode(Value(0, 1, 0), self.suite.block.scale).code
                rows: Array = np.column_stack([np.full(len(firsts), scale), firsts])
                return rows.astype(self.judge.cases.inputs.dtype)
            case Quantize():
                return self._block_steps(self.suite.block, other)
        return np.zeros(0)

    def _encoder_steps(self, element: ElementFormat, other: Profile) -> Array:
        """Inputs at which the code changes under one of the profiles."""
        tables = [runs(element, self.carrier, one) for one in (self.profile, other)]
        firsts = sorted({first for table in tables for first in table.firsts})
        return np.array(firsts, dtype=BITS_DTYPES[self.carrier.name])

    def _block_steps(self, block: BlockFormat, other: Profile) -> Array:
        """Blocks with a largest number at which the scale steps, and blocks under one scale where the element does."""
        largest = np.unique(np.concatenate([first for first, _ in self._scale_steps(block, other)]))
        elements = self._encoder_steps(block.element, other)
        rows = np.zeros((len(largest) + len(elements), block.k), BITS_DTYPES[self.carrier.name])
        rows[: len(largest)] = self._below(largest, block.k)
        rows[len(largest) :, 0] = value_bits(Value(0, 1, block.element.emax), self.carrier)
        rows[len(largest) :, block.k - 1] = elements
        return rows

    def _scale_steps(self, block: BlockFormat, other: Profile) -> list[tuple[Array, Array]]:
        return [
            _steps_of_scale(self.carrier, block, _of_blocks(one)) for one in (self.profile, other)
        ]

    def _below(self, largest: Array, k: int) -> Array:
        """Blocks of a largest number and smaller ones, each of them in another binade with all its bits set."""
        mantissa = (1 << self.carrier.mantissa_bits) - 1
        field = (largest >> np.uint64(self.carrier.mantissa_bits)).astype(np.int64)
        lower = np.maximum(field[:, None] - np.arange(1, k), -1)
        finite = field < (1 << self.carrier.exponent_bits) - 1
        smaller = (lower << self.carrier.mantissa_bits) | mantissa
        kept = np.where((lower >= 0) & finite[:, None], smaller, 0).astype(np.uint64)
        return np.column_stack([largest, kept])

    def _covers(self, changed: set[str], other: Profile) -> bool:
        """Whether the inputs that were tried stand for all: where every step of both profiles is among them."""
        if self.group.operation in ("encode", "dequantize"):
            return True
        if not isinstance(self.suite, Quantize) or not changed <= {*_OF_SCALE}:
            return False
        one, two = self._scale_steps(self.suite.block, other)
        at = np.unique(np.concatenate([one[0], two[0]]))
        codes = [own[np.searchsorted(first, at, side="right") - 1] for first, own in (one, two)]
        return bool((codes[0] == codes[1]).all())


def _of_blocks(profile: Profile) -> Profile:
    """A profile without the choices that no scale depends on, so that tables are made once for many."""
    usual = {name: getattr(OCP, name) for name in _OF_ELEMENTS}
    return profile.replace(**usual)


_steps_of_scale = lru_cache(maxsize=128)(scale_steps.__wrapped__)
