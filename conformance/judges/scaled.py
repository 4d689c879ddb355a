"""Judge of encode-scaled: single elements of blocks whose scale is given."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from conformance.arrays import (
    BITS_DTYPES,
    Array,
    as_values,
    code_dtype,
    is_nan_bits,
    nan_code_mask,
    scaled_codes,
)
from conformance.cases.scaled import scaled_cases
from conformance.judges.base import Case, allowed, code_clause, flag, side, simple_bits
from conformance.judges.elements import EncodeJudge
from mxemu.block import encode_scaled
from mxemu.formats import BlockFormat, FloatFormat
from mxemu.profile import Profile, Rounding
from mxemu.scalar import Encoded, Status, carry_in, decode
from mxemu.value import Value, divide


class ScaledEncodeJudge(EncodeJudge):
    """encode-scaled: value / scale to one element code. Rows of a scale code and the bits of a value."""

    def __init__(self, fmt: BlockFormat, carrier: FloatFormat, level: str) -> None:
        self.fmt = fmt
        self.element = fmt.element
        self.carrier = carrier
        self.cases = scaled_cases(fmt, carrier, level)
        self.nan_codes = nan_code_mask(fmt.element)

    @property
    def bits(self) -> Array:
        return self.cases.inputs[:, 1].astype(BITS_DTYPES[self.carrier.name])

    @property
    def scales(self) -> Array:
        """The scale code of each case."""
        return self.cases.inputs[:, 0].astype(code_dtype(self.fmt.scale.width))

    def expected(self, profile: Profile) -> Array:
        return scaled_codes(self.bits, self.scales, self.fmt, self.carrier, profile)

    def arguments(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        return (as_values(self.bits, self.carrier.name), self.scales), (self.fmt.name,)

    @cached_property
    def open_cases(self) -> Array:
        """NaN into a format without NaN, and every element under a NaN scale."""
        open_inputs = np.asarray(self.is_open(self.bits))
        return open_inputs | nan_code_mask(self.fmt.scale)[self.scales]

    def is_open(self, bits: Array) -> Array:
        nans = is_nan_bits(bits, self.carrier)
        return nans if not self.element.has_nan else np.zeros_like(nans)

    def _encoded(self, index: int, profile: Profile) -> Encoded:
        scale, bits = (int(one) for one in self.cases.inputs[index])
        return encode_scaled(carry_in(bits, self.carrier, profile), scale, self.fmt, profile)

    def expectation(self, index: int, profile: Profile) -> int:
        return self._encoded(index, profile).code

    def describe(self, index: int, observed: Array, profile: Profile) -> Case:
        scale, bits = (int(one) for one in self.cases.inputs[index])
        value = decode(bits, self.carrier)
        return Case(
            f"scale 0x{scale:02X} = {decode(scale, self.fmt.scale)}",
            side("in", bits, self.carrier),
            side("dut", int(observed[index]), self.element),
            side("ref", self.expectation(index, profile), self.element),
            str(self.clauses(np.array([index]), observed, profile)[0]),
            self.cases.note(index),
            f"mxemu explain {self.element.name} {self._quotient(scale, value)}{flag(profile)}",
        )

    def _quotient(self, scale: int, value: Value) -> str:
        """What the element has to hold, as it can be typed."""
        factor = decode(scale, self.fmt.scale)
        return str(divide(value, factor) if factor.is_finite else value).lower()

    def clauses(self, indices: Array, observed: Array, profile: Profile) -> Array:
        found = (self._clause(int(index), observed, profile) for index in indices)
        return np.array(list(found), dtype=object)

    def _clause(self, index: int, observed: Array, profile: Profile) -> str:
        scale, bits = (int(one) for one in self.cases.inputs[index])
        if not allowed(observed[index : index + 1], self.element)[0]:
            return code_clause(self.element)
        if decode(scale, self.fmt.scale).is_nan or not decode(bits, self.carrier).is_finite:
            return "MX-6.3-ALT"
        status = self._encoded(index, profile).status
        if Status.OVERFLOW in status:
            return "MX-6.3-CLAMP"
        rounded = Status.INEXACT in status and profile.rounding is Rounding.TIES_TO_EVEN
        return "MX-6.3-RNE" if rounded else "MX-6.3-ELEM"

    def simplicity(self, indices: Array) -> Array:
        distance = np.abs(self.scales[indices].astype(np.int64) - self.fmt.scale.bias)
        return simple_bits(self.bits[indices], self.carrier) * 1000 + distance
