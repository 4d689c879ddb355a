"""Vectors of single elements: decode, encode, and encode under a given scale."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from conformance.arrays import (
    Array,
    decode_table,
    encode_by_runs,
    is_nan_bits,
    nan_code_mask,
    scaled_codes,
)
from conformance.cases import Cases
from conformance.cases.elements import decode_cases, encode_cases, random_inputs
from conformance.cases.scaled import random_rows, scaled_cases
from conformance.vectors.suites import Columns, Suite, bits_of, codes_of, joined, kinds, out
from conformance.vectors.table import Expect, Field
from mxemu.block import encode_scaled, value_bits
from mxemu.errors import MxemuError
from mxemu.formats import (
    ElementFormat,
    FloatFormat,
    IntFormat,
    block_format,
    carrier,
    element,
)
from mxemu.profile import Profile
from mxemu.scalar import carry_in, decode
from mxemu.scale import encode_scale
from mxemu.value import Value

if TYPE_CHECKING:
    from conformance.judges import Judge


class Decode(Suite):
    """decode: every code of a format."""

    kept = 0

    def _open(self) -> None:
        self.element = element(self.key.format)
        self.carrier = carrier(self.key.kind)
        self.inputs = (Field("code", self.element.width, format=self.element.name),)
        self.outputs = (out("value", self.carrier.width, 1, self.carrier.name),)

    def given(self) -> Cases:
        return decode_cases(self.element)

    def columns(self, rows: Array) -> dict[str, Array]:
        return {"code": codes_of(rows, self.element.width)}

    def rows(self, columns: Columns) -> Array:
        return columns["code"].astype(np.int64)

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        return rng.integers(0, 1 << self.element.width, size=count)

    def results(self, columns: Columns, profile: Profile) -> dict[str, Array]:
        return {"value": decode_table(self.element, self.carrier)[columns["code"]]}

    def expectations(self, columns: Columns, results: Columns) -> dict[str, Array]:
        found = kinds(results["value"])
        found[is_nan_bits(results["value"], self.carrier)] = Expect.ANY_NAN
        if isinstance(self.element, IntFormat):
            # A code that MX 5.3.4 lets go unused.
            found[columns["code"] == self.element.min_code] = Expect.BY_PROFILE
        return {"value": found}

    def judge(self) -> Judge:
        from conformance.judges import DecodeJudge

        return DecodeJudge(self.element, self.carrier)


class Encode(Suite):
    """encode: one element format from one carrier."""

    def _open(self) -> None:
        self.element = element(self.key.format)
        if isinstance(self.element, FloatFormat) and not self.element.subnormals:
            raise MxemuError(
                f"{self.element} has no encode vectors; its conversion is no clause",
                "the operation scale has vectors for the scale of a block",
            )
        self.carrier = carrier(self.key.kind)
        self.inputs = (Field("value", self.carrier.width, format=self.carrier.name),)
        self.outputs = (out("code", self.element.width, 1, self.element.name),)

    def given(self) -> Cases:
        cases = encode_cases(self.element, self.carrier, self.key.level)
        return joined(cases, [("truncation", discarded_bits(self.element, self.carrier))])

    def columns(self, rows: Array) -> dict[str, Array]:
        return {"value": bits_of(rows, self.carrier)}

    def rows(self, columns: Columns) -> Array:
        return columns["value"]

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        return random_inputs(self.element, self.carrier, count, rng)

    def results(self, columns: Columns, profile: Profile) -> dict[str, Array]:
        codes = encode_by_runs(columns["value"], self.element, self.carrier, profile)
        return {"code": codes_of(codes, self.element.width)}

    def expectations(self, columns: Columns, results: Columns) -> dict[str, Array]:
        nans = is_nan_bits(columns["value"], self.carrier)
        return {"code": element_kinds(self.element, results["code"], nans)}

    def judge(self) -> Judge:
        from conformance.judges import EncodeJudge

        return EncodeJudge(self.element, self.carrier, "smoke")


class EncodeScaled(Suite):
    """encode-scaled: an element of a block whose scale is given."""

    def _open(self) -> None:
        self.block = block_format(self.key.format)
        self.element = self.block.element
        self.carrier = carrier(self.key.kind)
        self.inputs = (
            Field("scale", self.block.scale.width, format=self.block.scale.name),
            Field("value", self.carrier.width, format=self.carrier.name),
        )
        self.outputs = (out("code", self.element.width, 1, self.element.name),)

    def given(self) -> Cases:
        cases = scaled_cases(self.block, self.carrier, self.key.level)
        bits = discarded_bits(self.element, self.carrier).astype(np.uint64)
        one = encode_scale(Value(0, 1, 0), self.block.scale)
        rows = np.column_stack([np.full(len(bits), one, np.uint64), bits])
        return joined(cases, [("truncation", rows)])

    def columns(self, rows: Array) -> dict[str, Array]:
        scale = codes_of(rows[:, 0], self.block.scale.width)
        return {"scale": scale, "value": bits_of(rows[:, 1], self.carrier)}

    def rows(self, columns: Columns) -> Array:
        pair = (columns["scale"].astype(np.uint64), columns["value"].astype(np.uint64))
        return np.column_stack(pair)

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        return random_rows(self.block, self.carrier, count, rng)

    def results(self, columns: Columns, profile: Profile) -> dict[str, Array]:
        scale, value = columns["scale"], columns["value"]
        if not self.exact:
            codes = scaled_codes(value, scale, self.block, self.carrier, profile)
            return {"code": codes_of(codes, self.element.width)}
        found = [
            encode_scaled(carry_in(bits, self.carrier, profile), code, self.block, profile).code
            for code, bits in zip(scale.tolist(), value.tolist(), strict=True)
        ]
        return {"code": codes_of(np.array(found, np.int64), self.element.width)}

    def expectations(self, columns: Columns, results: Columns) -> dict[str, Array]:
        nans = is_nan_bits(columns["value"], self.carrier)
        found = element_kinds(self.element, results["code"], nans)
        found[nan_code_mask(self.block.scale)[columns["scale"]]] = Expect.UNSPECIFIED
        return {"code": found}

    def judge(self) -> Judge:
        from conformance.judges import ScaledEncodeJudge

        return ScaledEncodeJudge(self.block, self.carrier, "smoke")


def discarded_bits(element: ElementFormat, numbers: FloatFormat) -> Array:
    """Inputs for every pattern of the last kept bit and the discarded ones, both signs, normal and subnormal results.

    Bits of the carrier; the last of four discarded bits stands alone at its end or directly below the others.
    """
    found = []
    smallest = element.min_positive.leading
    exponents = [smallest]
    kept = [4, 5]
    if isinstance(element, FloatFormat):
        exponents = [smallest, element.emin, element.emin + 1]
        kept = [1 << element.mantissa_bits, (1 << element.mantissa_bits) + 1, 2, 3]
    for step, whole, pattern in product(exponents, kept, range(1, 16)):
        for low in (4, numbers.mantissa_bits - element.width):
            if low < 4 or (
                isinstance(element, FloatFormat) and whole >= 2 << element.mantissa_bits
            ):
                continue
            discarded = pattern >> 1 << (low - 3) | pattern & 1
            number = Value(
                0, whole << low | discarded, step - element.mantissa_bits * (step != smallest) - low
            )
            found.append(value_bits(number, numbers))
    bits = np.unique(np.array(found, np.uint64))
    return np.concatenate([bits, bits | np.uint64(numbers.sign_mask)])


def element_kinds(element: ElementFormat, codes: Array, nans: Array) -> Array:
    """How element codes are compared, given where a NaN went in.

    NaN codes are as good as each other, and where a format has none a NaN has no right answer. MX says nothing about
    the sign of a zero in FP6 and FP4, OFP8 does.
    """
    found = kinds(codes)
    found[nan_code_mask(element)[codes]] = Expect.ANY_NAN
    if not element.has_nan:
        found[nans] = Expect.BY_PROFILE
        negative_zero = [
            code for code in range(1, 1 << element.width) if decode(code, element).is_zero
        ]
        found[np.isin(codes, negative_zero)] = Expect.BY_PROFILE
    return found
