"""Judges of single elements: encode, decode, and conversion to a scale format."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from copy import copy
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from conformance.adapter import REJECTED
from conformance.arrays import (
    Array,
    as_values,
    decode_table,
    encode_by_runs,
    fits,
    is_nan_bits,
    nan_code_mask,
)
from conformance.cases.elements import decode_cases, encode_cases, scale_cast_cases
from conformance.judges.base import (
    Case,
    Judge,
    allowed,
    code_clause,
    family,
    flag,
    integers,
    numbers,
    only,
    side,
    simple_bits,
    typed,
)
from mxemu.block import value_bits
from mxemu.formats import BINARY32, E8M0, ElementFormat, FloatFormat
from mxemu.profile import OCP, Overflow, Profile
from mxemu.scalar import Status, decode, encode_bits
from mxemu.scale import encode_scale

ENCODE_FIELDS = (
    "overflow",
    "rounding",
    "zero_sign",
    "input_subnormals",
    "element_subnormals",
    "int_minimum",
)
SCALE_CAST_FIELDS = ("scale_cast", "scale_zero", "scale_negative", "scale_overflow")


def _conversion_clause(prefix: str, kind: str, profile: Profile) -> str:
    """The clause that decides a conversion of one kind, for one family of element formats."""
    if prefix == "MX-5.3.1":
        beyond = "MX-5.3.1-OVF" if profile.overflow is Overflow.OVERFLOW else "MX-5.3.1-SAT"
        return beyond if kind in ("SAT", "INF", "NAN") else "MX-5.3.1-OFP8"
    if prefix == "MX-5.3.4" and kind == "UFLOW":
        kind = "RNE"
    return f"{prefix}-{kind}"


_CONVERSIONS = ("RNE", "UFLOW", "SAT", "INF", "NAN")


def _conversions(
    bits: Array, element: ElementFormat, carrier: FloatFormat, profile: Profile
) -> Array:
    """The kind of each conversion, as an index into `_CONVERSIONS`; UFLOW is a result of zero that was not zero."""
    magnitude = (bits & bits.dtype.type(carrier.magnitude_mask)).astype(np.uint64)
    negative = (bits & bits.dtype.type(carrier.sign_mask)) != 0
    ends = [_first_overflow(element, carrier, profile, sign) for sign in (0, 1)]
    codes = encode_by_runs(bits, element, carrier, profile)
    zeros = [code for code in (0, 1 << (element.width - 1)) if decode(code, element).is_zero]
    inf = np.uint64(carrier.magnitude_mask - len(carrier.nans))
    found: Array = np.where(np.isin(codes, zeros) & (magnitude != 0), 1, 0)
    found[magnitude >= np.where(negative, *np.array(ends[::-1], dtype=np.uint64))] = 2
    found[magnitude == inf] = 3
    found[magnitude > inf] = 4
    return found


@lru_cache(maxsize=256)
def _first_overflow(
    element: ElementFormat, carrier: FloatFormat, profile: Profile, sign: int
) -> int:
    """The smallest magnitude, as bits, that overflows with this sign; status is monotone in it."""

    def overflows(magnitude: int) -> bool:
        bits = magnitude | sign * carrier.sign_mask
        return Status.OVERFLOW in encode_bits(bits, carrier, element, profile).status

    return bisect_left(range(carrier.max_code + 1), True, key=overflows)


class EncodeJudge(Judge):
    """encode: one element format from one carrier."""

    fields = ENCODE_FIELDS
    open_fields = ("nan_without_code",)

    def __init__(self, element: ElementFormat, carrier: FloatFormat, level: str) -> None:
        self.element: ElementFormat = element
        self.carrier = carrier
        self.cases = encode_cases(element, carrier, level)
        self.nan_codes = nan_code_mask(element)

    @property
    def bits(self) -> Array:
        """The inputs, as bits of the carrier."""
        return self.cases.inputs

    def expected(self, profile: Profile) -> Array:
        """The codes of all cases."""
        return encode_by_runs(self.bits, self.element, self.carrier, profile)

    def arguments(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        return (as_values(self.bits, self.carrier.name),), (self.element.name,)

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        return integers(only(results), (rows,), "codes", self.element)

    def departures(self, profile: Profile) -> tuple[str, ...]:
        return profile.departures(self.element, self.carrier)

    def breaks_promise(self, index: int, observed: Array, profile: Profile) -> bool:
        return (
            False  # NaN into a format without NaN is implementation-defined, never worse than free
        )

    def silent(self) -> Array:
        return self.open_cases

    @cached_property
    def open_cases(self) -> Array:
        """NaN into a format without NaN is implementation-defined."""
        return self.is_open(self.bits)

    def is_open(self, bits: Array) -> Array:
        """Which inputs the specification says nothing about."""
        nans = is_nan_bits(bits, self.carrier)
        return nans if not self.element.has_nan else np.zeros_like(nans)

    def compare(self, observed: Array, profile: Profile) -> tuple[Array, Array]:
        differs = self.differs(observed, self.expected(profile))
        silent = self.open_cases & allowed(observed, self.element)
        return differs & ~silent, differs & silent

    def differs(self, observed: Array, expected: Array) -> Array:
        """Codes that are neither equal nor both NaN."""
        inside = fits(observed, self.element)
        both_nan = self.nan_codes[np.where(inside, observed, 0)] & inside & self.nan_codes[expected]
        return (observed != expected) & ~both_nan

    def expectation(self, index: int, profile: Profile) -> int:
        return encode_bits(int(self.cases.inputs[index]), self.carrier, self.element, profile).code

    def matches(self, index: int, observed: Array, profile: Profile) -> bool:
        expected = self.expectation(index, profile)
        found = int(observed[index])
        if found == expected:
            return True
        return 0 <= found < len(self.nan_codes) and bool(
            self.nan_codes[found] and self.nan_codes[expected]
        )

    def describe(self, index: int, observed: Array, profile: Profile) -> Case:
        bits = int(self.cases.inputs[index])
        ref = encode_bits(bits, self.carrier, self.element, profile).code
        given = side("in", bits, self.carrier)
        return Case(
            "",
            given,
            side("dut", int(observed[index]), self.element),
            side("ref", ref, self.element),
            str(self.clauses(np.array([index]), observed, profile)[0]),
            self.cases.note(index),
            f"mxemu explain {self.element.name} {typed(bits, self.carrier)}{flag(profile)}",
        )

    def clauses(self, indices: Array, observed: Array, profile: Profile) -> Array:
        prefix = family(self.element)
        if not prefix:
            return np.full(len(indices), "profile", dtype=object)
        known = [_conversion_clause(prefix, kind, profile) for kind in _CONVERSIONS]
        kinds = _conversions(self.cases.inputs[indices], self.element, self.carrier, profile)
        inside = allowed(observed[indices], self.element)
        return np.where(inside, np.array(known, dtype=object)[kinds], code_clause(self.element))

    def simplicity(self, indices: Array) -> Array:
        return simple_bits(self.cases.inputs[indices], self.carrier)


# The ends of every convention: rounding down and up, and both answers where the format has none.
_SCALE_CASTS = tuple(
    OCP.replace(scale_cast=cast, scale_overflow=beyond, scale_zero=special, scale_negative=negative)
    for cast in ("toward-zero", "toward-positive", "subnormal-up")
    for beyond, special, negative in (
        ("saturate", "smallest", "magnitude"),
        ("nan", "nan", "nan"),
        ("nan", "smallest", "smallest"),
    )
)


class ScaleCastJudge(Judge):
    """encode to a scale format without zero, such as E8M0. No clause defines it, so every case is open.

    Open is not anything: every convention gives one of the two powers of two beside a number, or NaN where there is
    none. A subject that declares a profile promises that much.
    """

    open_fields = SCALE_CAST_FIELDS

    def __init__(self, scale: FloatFormat, carrier: FloatFormat, level: str) -> None:
        self.scale = scale
        self.carrier = carrier
        self.cases = scale_cast_cases(scale, carrier, level)
        self.forget()

    def forget(self) -> None:
        self.values = [decode(int(bits), self.carrier) for bits in self.cases.inputs]

    def by_way_of_binary32(self) -> ScaleCastJudge | None:
        """A judge that expects inputs to be rounded to binary32 first; None if that changes none of them."""
        if self.carrier.width <= BINARY32.width:
            return None
        narrow = copy(self)
        narrow.values = [decode(value_bits(value, BINARY32), BINARY32) for value in self.values]
        return None if narrow.values == self.values else narrow

    def arguments(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        return (as_values(self.cases.inputs, self.carrier.name),), (self.scale.name,)

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        return integers(only(results), (rows,), "codes", self.scale)

    def silent(self) -> Array:
        return np.ones(len(self.cases), dtype=bool)

    def compare(self, observed: Array, profile: Profile) -> tuple[Array, Array]:
        expected = np.array([encode_scale(value, self.scale, profile) for value in self.values])
        differs = observed != expected
        outside = ~allowed(observed, self.scale)
        return outside, differs & ~outside

    def breaks_promise(self, index: int, observed: Array, profile: Profile) -> bool:
        usual = int(observed[index]) in (REJECTED, *self.usual[index])
        return not usual or super().breaks_promise(index, observed, profile)

    @cached_property
    def usual(self) -> list[frozenset[int]]:
        """For each case the codes that some convention gives, by way of binary32 too."""
        narrow = self.by_way_of_binary32() or self
        return [
            frozenset(
                encode_scale(value, self.scale, one) for value in pair for one in _SCALE_CASTS
            )
            for pair in zip(self.values, narrow.values, strict=True)
        ]

    def expectation(self, index: int, profile: Profile) -> int:
        return encode_scale(self.values[index], self.scale, profile)

    def matches(self, index: int, observed: Array, profile: Profile) -> bool:
        return int(observed[index]) == self.expectation(index, profile)

    def describe(self, index: int, observed: Array, profile: Profile) -> Case:
        bits = int(self.cases.inputs[index])
        ref = encode_scale(self.values[index], self.scale, profile)
        return Case(
            "",
            side("in", bits, self.carrier),
            side("dut", int(observed[index]), self.scale),
            side("ref", ref, self.scale),
            str(self.clauses(np.array([index]), observed, profile)[0]),
            self.cases.note(index),
            f"mxemu explain {self.scale.name} {typed(bits, self.carrier)}",
        )

    def clauses(self, indices: Array, observed: Array, profile: Profile) -> Array:
        inside = allowed(observed[indices], self.scale)
        return np.where(inside, "profile", code_clause(self.scale)).astype(object)

    def simplicity(self, indices: Array) -> Array:
        return simple_bits(self.cases.inputs[indices], self.carrier)


class DecodeJudge(Judge):
    """decode: every code of a format, as bits of a carrier."""

    def __init__(self, fmt: ElementFormat, carrier: FloatFormat) -> None:
        self.element: ElementFormat = fmt
        self.carrier = carrier
        self.cases = decode_cases(fmt)
        self.forget()

    def forget(self) -> None:
        self.expected = decode_table(self.element, self.carrier)[self.cases.inputs]

    def arguments(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        dtype = (
            np.uint8
            if self.element.width <= 8
            else np.uint16
            if self.element.width <= 16
            else np.uint32
        )
        return (self.cases.inputs.astype(dtype),), (self.element.name,)

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        return numbers(only(results), (rows,), self.carrier)

    @cached_property
    def open_cases(self) -> Array:
        """Values that the carrier cannot hold exactly: a rounding of the carrier, not of the format."""
        return np.array([not self._exact(int(code)) for code in self.cases.inputs])

    def _exact(self, code: int) -> bool:
        value = decode(code, self.element)
        back = decode(value_bits(value, self.carrier), self.carrier)
        return not value.is_finite or (back.is_finite and back.fraction() == value.fraction())

    def compare(self, observed: Array, profile: Profile) -> tuple[Array, Array]:
        nans = is_nan_bits(observed, self.carrier) & is_nan_bits(self.expected, self.carrier)
        differs = (observed != self.expected) & ~nans
        return differs & ~self.open_cases, differs & self.open_cases

    def expectation(self, index: int, profile: Profile) -> int:
        return int(self.expected[index])

    def matches(self, index: int, observed: Array, profile: Profile) -> bool:
        one = slice(index, index + 1)
        both_nan = is_nan_bits(observed[one], self.carrier) & is_nan_bits(
            self.expected[one], self.carrier
        )
        return bool(observed[index] == self.expected[index] or both_nan[0])

    def describe(self, index: int, observed: Array, profile: Profile) -> Case:
        code = int(self.cases.inputs[index])
        return Case(
            "",
            side("in", code, self.element),
            side("dut", int(observed[index]), self.carrier),
            side("ref", int(self.expected[index]), self.carrier),
            self._clause(code),
            self.cases.note(index),
            f"mxemu explain {self.element.name} {code:#x}",
        )

    def _clause(self, code: int) -> str:
        if self.element == E8M0 and decode(code, self.element).is_nan:
            return "MX-5.4.1-NAN"
        return code_clause(self.element)

    def simplicity(self, indices: Array) -> Array:
        return self.cases.inputs[indices]
