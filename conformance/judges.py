"""What is expected of each operation, and how an outcome differs from it.

A judge holds the cases of one group. It computes the expectation under any profile, compares outcomes with it,
and puts a case in words. Outcomes and expectations are integer arrays: codes, or bits of a carrier, one row a
case.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from conformance.adapter import REJECTED
from conformance.arrays import (
    Array,
    as_bits,
    as_values,
    decode_table,
    encode_by_runs,
    fits,
    is_nan_bits,
    nan_code_mask,
)
from conformance.cases import Cases
from conformance.cases.blocks import dequantize_cases, quantize_cases
from conformance.cases.elements import decode_cases, encode_cases, scale_cast_cases
from mxemu.block import dequantize, dequantize_bits, quantize_bits, value_bits
from mxemu.formats import BINARY32, E8M0, BlockFormat, ElementFormat, FloatFormat, IntFormat
from mxemu.profile import OCP, Overflow, Profile, Rounding, plain
from mxemu.scalar import Status, carry_in, decode, encode, encode_bits
from mxemu.scale import divide, encode_scale
from mxemu.value import Value, decimal_text

ENCODE_FIELDS = (
    "overflow",
    "rounding",
    "zero_sign",
    "input_subnormals",
    "element_subnormals",
    "int_minimum",
)
SCALE_CAST_FIELDS = ("scale_cast", "scale_zero", "scale_negative", "scale_overflow")
BLOCK_FIELDS = ("scale_rule", "scale_overflow", *ENCODE_FIELDS)
OPEN_BLOCK_FIELDS = (
    "zero_block",
    "amax_nan",
    "nan_block",
    "inf_block",
    "nan_without_code",
    "overflow",
    "scale_overflow",
)


@dataclass(frozen=True)
class Side:
    """One number in a failure line: what it is called, its hex, its fields and its exact value."""

    label: str
    hex: str
    fields: str
    value: str

    def text(self) -> str:
        """The one-line form: ``dut 0x7F 0_1111_111 = NaN``."""
        value = f"= {self.value}" if self.value else ""
        return " ".join(part for part in (self.label, self.hex, self.fields, value) if part)


@dataclass(frozen=True)
class Case:
    """A case in words: the input, what came and what was expected, the clause and the note."""

    where: str
    given: Side
    dut: Side
    ref: Side
    clause: str
    note: str
    explain: str

    def text(self) -> str:
        """One line, hex first."""
        place = f" {self.where}" if self.where else ""
        return f"{self.clause}{place}  {self.given.text()}  {self.dut.text()}  {self.ref.text()}"


class Judge:
    """Base of the judges; each operation has one.

    Attributes
    ----------
    cases : Cases
    fields : tuple of str
        Profile fields whose value can change a judged result.
    open_fields : tuple of str
        Those that can change a result on which the specification is silent.
    """

    cases: Cases
    fields: tuple[str, ...] = ()
    open_fields: tuple[str, ...] = ()
    element: ElementFormat | None = None

    def arguments(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        """Arrays and further arguments of the subject's function, without the profile."""
        raise NotImplementedError

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        """Results as an integer array with ``rows`` rows, or what is wrong with their shape or dtype."""
        raise NotImplementedError

    def compare(self, observed: Array, profile: Profile) -> tuple[Array, Array]:
        """Two boolean arrays: cases that differ, and cases that differ where the specification is silent."""
        raise NotImplementedError

    def matches(self, index: int, observed: Array, profile: Profile) -> bool:
        """Whether one case agrees in everything with a profile, open points included for open cases."""
        raise NotImplementedError

    def expectation(self, index: int, profile: Profile) -> object:
        """What is expected of one case, in a form that can be compared with ``==``."""
        raise NotImplementedError

    def describe(self, index: int, observed: Array, profile: Profile) -> Case:
        """One case in words."""
        raise NotImplementedError

    def clauses(self, indices: Array, observed: Array, profile: Profile) -> Array:
        """The clause that decides each of some differing cases."""
        found = (self.describe(int(index), observed, profile).clause for index in indices)
        return np.array(list(found), dtype=object)

    def simplicity(self, indices: Array) -> Array:
        """A number for each case; the smallest is shown first."""
        raise NotImplementedError

    def departures(self, profile: Profile) -> tuple[str, ...]:
        """Clauses that a profile breaks in this group."""
        return profile.departures(self.element)

    def breaks_promise(self, index: int, observed: Array, profile: Profile) -> bool:
        """Whether a silent case that differs breaks a choice that a declared profile makes on purpose.

        A default that nobody spoke of is no promise where the specification is silent.
        """
        return self.expectation(index, profile) != self.expectation(index, OCP)

    def silent(self) -> Array:
        """Cases on which the specification says nothing, as a boolean array."""
        return np.zeros(len(self.cases), dtype=bool)


def _only(results: Sequence[Array]) -> Array | str:
    """The one array that is expected, or what is wrong."""
    return results[0] if len(results) == 1 else f"returned {len(results)} arrays; expected one"


def _integers(
    result: Array | str, shape: tuple[int, ...], what: str, fmt: ElementFormat
) -> Array | str:
    """Codes as int64, or what is wrong."""
    if isinstance(result, str):
        return result
    if result.shape != shape:
        return f"returned {what} of shape {result.shape}; expected {shape}"
    if result.dtype.kind not in "iu":
        return f"returned {what} of dtype {result.dtype}; expected integers"
    if result.dtype.kind == "i" and 8 * result.dtype.itemsize <= fmt.width:
        return f"returned {what} of dtype {result.dtype}; expected an unsigned or a wider one, since -1 is a refusal"
    if result.dtype == np.uint64:
        # 2^64 - 1 is no refusal: it is cut to a large number, which no format has as a code.
        result = np.minimum(result, np.uint64(np.iinfo(np.int64).max))
    return result.astype(np.int64)


def _numbers(result: Array | str, shape: tuple[int, ...], carrier: FloatFormat) -> Array | str:
    """Numbers as bits of the carrier, or what is wrong."""
    if isinstance(result, str):
        return result
    if result.shape != shape:
        return f"returned values of shape {result.shape}; expected {shape}"
    if result.dtype != as_values(np.zeros(1, np.uint64), carrier.name).dtype:
        expected = as_values(np.zeros(1, np.uint64), carrier.name).dtype
        return f"returned values of dtype {result.dtype}; expected {expected} ({carrier.name})"
    return as_bits(result, carrier.name)


def _simple_bits(bits: Array, carrier: FloatFormat) -> Array:
    """Fewest mantissa bits, then closest to 1, then positive."""
    mantissa = bits & bits.dtype.type((1 << carrier.mantissa_bits) - 1)
    field = (bits.astype(np.uint64) >> np.uint64(carrier.mantissa_bits)) & np.uint64(
        (1 << carrier.exponent_bits) - 1
    )
    distance = np.abs(field.astype(np.int64) - carrier.bias)
    negative = (bits.astype(np.uint64) & np.uint64(carrier.sign_mask)) != 0
    return np.bitwise_count(mantissa).astype(np.int64) * 100_000 + distance * 2 + negative


def allowed(codes: Array, fmt: ElementFormat) -> Array:
    """Codes of the format, and refusals: all that may come where the specification is silent."""
    return fits(codes, fmt) | (codes == REJECTED)


def _fields_text(code: int, fmt: ElementFormat) -> str:
    """Sign, exponent field and mantissa of a code, split by underscores."""
    bits = f"{code:0{fmt.width}b}"
    if isinstance(fmt, IntFormat):
        return bits[0] + "_" + bits[1:]
    if fmt.width > 16:
        return ""
    cuts = ([1] if fmt.signed else []) + [int(fmt.signed) + fmt.exponent_bits]
    parts = [bits[start:stop] for start, stop in zip([0, *cuts], [*cuts, None], strict=True)]
    return "_".join(part for part in parts if part)


def side(label: str, code: int, fmt: ElementFormat) -> Side:
    """A code of a format in words; -1 is a refusal, anything else out of range is shown as it is."""
    if code == REJECTED:
        return Side(label, "refused", "", "")
    if not 0 <= code < 1 << fmt.width:
        return Side(label, f"{code:#x}", "", "no code of " + fmt.name)
    digits = -(-fmt.width // 4)
    return Side(
        label, f"0x{code:0{digits}X}", _fields_text(code, fmt), _value_text(decode(code, fmt))
    )


def _value_text(value: Value) -> str:
    """The exact value, and about how much that is when the exact text is long."""
    exact = str(value)
    return (
        exact
        if len(exact) <= 12 or not value.is_finite
        else f"{exact} ({decimal_text(value.fraction(), 9)})"
    )


def family(element: ElementFormat) -> str:
    """The clause prefix of an element format: MX-5.3.1 for FP8 and so on; empty for others."""
    return _FAMILIES.get(element.name, "")


_FAMILIES = {
    "E4M3": "MX-5.3.1",
    "E5M2": "MX-5.3.1",
    "E3M2": "MX-5.3.2",
    "E2M3": "MX-5.3.2",
    "E2M1": "MX-5.3.3",
    "INT8": "MX-5.3.4",
}


def _code_clause(fmt: ElementFormat) -> str:
    """The clause that says which codes a format has and what they mean."""
    if fmt == E8M0:
        return "MX-5.4.1-RANGE"
    prefix = family(fmt)
    return f"{prefix}-ENC" if prefix else "profile"


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

    def arguments(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        return (as_values(self.cases.inputs, self.carrier.name),), (self.element.name,)

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        return _integers(_only(results), (rows,), "codes", self.element)

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
        return self.is_open(self.cases.inputs)

    def is_open(self, bits: Array) -> Array:
        """Which inputs the specification says nothing about."""
        nans = is_nan_bits(bits, self.carrier)
        return nans if not self.element.has_nan else np.zeros_like(nans)

    def extend(self, bits: Array) -> None:
        """Add inputs to the cases, those that are there already left out."""
        added = bits[~np.isin(bits, self.cases.inputs)]
        theme = np.full(len(added), len(self.cases.notes), dtype=np.int64)
        joined = (
            np.concatenate([self.cases.inputs, added]),
            np.concatenate([self.cases.theme, theme]),
        )
        self.cases = Cases(*joined, (*self.cases.notes, "every-input"))
        self.__dict__.pop("open_cases", None)

    def compare(self, observed: Array, profile: Profile) -> tuple[Array, Array]:
        differs = self.differs(
            observed, encode_by_runs(self.cases.inputs, self.element, self.carrier, profile)
        )
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
            f"mxemu explain {self.element.name} {_typed(bits, self.carrier)}{_flag(profile)}",
        )

    def clauses(self, indices: Array, observed: Array, profile: Profile) -> Array:
        prefix = family(self.element)
        if not prefix:
            return np.full(len(indices), "profile", dtype=object)
        known = [_conversion_clause(prefix, kind, profile) for kind in _CONVERSIONS]
        kinds = _conversions(self.cases.inputs[indices], self.element, self.carrier, profile)
        inside = allowed(observed[indices], self.element)
        return np.where(inside, np.array(known, dtype=object)[kinds], _code_clause(self.element))

    def simplicity(self, indices: Array) -> Array:
        return _simple_bits(self.cases.inputs[indices], self.carrier)


def _typed(bits: int, carrier: FloatFormat) -> str:
    """A value as it can be typed on a command line."""
    return str(decode(bits, carrier)).lower()


def _flag(profile: Profile) -> str:
    """The option that names a profile, by its changes if it is no preset."""
    if profile.name != "custom":
        return "" if profile.name == "ocp" else f" --profile {profile.name}"
    changes = ",".join(f"{key}={plain(choice)}" for key, choice in profile.changes().items())
    return f" --profile ocp,{changes}" if changes else ""


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
        self.values = [decode(int(bits), carrier) for bits in self.cases.inputs]

    def by_way_of_binary32(self) -> ScaleCastJudge | None:
        """A judge that expects inputs to be rounded to binary32 first; None if they are no wider."""
        if self.carrier.width <= BINARY32.width:
            return None
        narrow = copy(self)
        narrow.values = [decode(value_bits(value, BINARY32), BINARY32) for value in self.values]
        return narrow

    def arguments(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        return (as_values(self.cases.inputs, self.carrier.name),), (self.scale.name,)

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        return _integers(_only(results), (rows,), "codes", self.scale)

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
            f"mxemu explain {self.scale.name} {_typed(bits, self.carrier)}",
        )

    def clauses(self, indices: Array, observed: Array, profile: Profile) -> Array:
        inside = allowed(observed[indices], self.scale)
        return np.where(inside, "profile", _code_clause(self.scale)).astype(object)

    def simplicity(self, indices: Array) -> Array:
        return _simple_bits(self.cases.inputs[indices], self.carrier)


class DecodeJudge(Judge):
    """decode: every code of a format, as bits of a carrier."""

    def __init__(self, fmt: ElementFormat, carrier: FloatFormat) -> None:
        self.element: ElementFormat = fmt
        self.carrier = carrier
        self.cases = decode_cases(fmt)
        self.expected = decode_table(fmt, carrier)[self.cases.inputs]

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
        return _numbers(_only(results), (rows,), self.carrier)

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
        return _code_clause(self.element)

    def simplicity(self, indices: Array) -> Array:
        return self.cases.inputs[indices]


class BlockJudge(Judge):
    """What quantize and fake_quantize share: blocks of inputs, and which of them the specification leaves open."""

    fields = BLOCK_FIELDS
    open_fields = OPEN_BLOCK_FIELDS

    def __init__(self, fmt: BlockFormat, carrier: FloatFormat, level: str) -> None:
        self.fmt = fmt
        self.element: ElementFormat = fmt.element
        self.carrier = carrier
        self.cases = quantize_cases(fmt, carrier, level)
        magnitude = self.cases.inputs & self.cases.inputs.dtype.type(carrier.magnitude_mask)
        inf = carrier.magnitude_mask - len(carrier.nans)
        self.specials = (magnitude >= inf).any(axis=1)
        self.zeros = (magnitude == 0).all(axis=1)
        self._rows: dict[tuple[int, Profile], Array] = {}

    def arguments(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        return (as_values(self.cases.inputs, self.carrier.name),), (self.fmt.name,)

    def row(self, index: int, profile: Profile) -> Array:
        """The expectation of one block, computed once a profile."""
        key = (index, profile)
        if key not in self._rows:
            self._rows[key] = self.expect([int(bits) for bits in self.cases.inputs[index]], profile)
        return self._rows[key]

    def expect(self, bits: list[int], profile: Profile) -> Array:
        """The expected row of one block."""
        raise NotImplementedError

    def row_differs(self, found: Array, index: int, profile: Profile) -> Array:
        """Which entries of one row differ."""
        raise NotImplementedError

    def compare(self, observed: Array, profile: Profile) -> tuple[Array, Array]:
        differs = np.array(
            [self.row_differs(row, index, profile).any() for index, row in enumerate(observed)]
        )
        silent = self.silent() & ~self.broken(observed)
        return differs & ~silent, differs & silent

    def broken(self, observed: Array) -> Array:
        """Rows that are wrong under every convention: no codes of the format, or zeros that are not zero any more."""
        return self.zeros & ~self.keeps_zero(observed)

    def silent(self) -> Array:
        return self.specials | self.zeros

    def keeps_zero(self, observed: Array) -> Array:
        """Which rows mean all zeros, whatever their scale."""
        raise NotImplementedError

    def expectation(self, index: int, profile: Profile) -> bytes:
        return self.row(index, profile).tobytes()

    def matches(self, index: int, observed: Array, profile: Profile) -> bool:
        return not self.row_differs(observed[index], index, profile).any()

    def simplicity(self, indices: Array) -> Array:
        rows = self.cases.inputs[indices]
        used = (rows != 0).sum(axis=1)
        largest = rows[
            np.arange(len(rows)),
            np.argmax(rows & rows.dtype.type(self.carrier.magnitude_mask), axis=1),
        ]
        return used * 10_000_000 + _simple_bits(largest, self.carrier)

    def _input(self, index: int, lane: int) -> Side:
        return side("in", int(self.cases.inputs[index, lane]), self.carrier)

    def _lane_of_amax(self, index: int) -> int:
        return int(
            np.argmax(
                self.cases.inputs[index] & self.cases.inputs.dtype.type(self.carrier.magnitude_mask)
            )
        )

    def _explain(self, index: int, lane: int, profile: Profile) -> str:
        """The command that derives this block, trailing zeros left out."""
        row = self.cases.inputs[index]
        last = int(np.flatnonzero(row)[-1]) + 1 if row.any() else 1
        shown = " ".join(_typed(int(bits), self.carrier) for bits in row[: max(last, lane + 1)])
        return f"mxemu explain quantize {self.fmt.name} {shown}{_flag(profile)} --elem {lane}"


class QuantizeJudge(BlockJudge):
    """quantize: rows of one scale code and k element codes."""

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        if len(results) != 2:
            return f"returned {len(results)} arrays; expected scales and codes"
        scales = _integers(results[0], (rows,), "scales", self.fmt.scale)
        codes = _integers(results[1], (rows, self.fmt.k), "codes", self.element)
        if isinstance(scales, str) or isinstance(codes, str):
            return scales if isinstance(scales, str) else codes
        return np.column_stack([scales, codes])

    @cached_property
    def _nan_scales(self) -> Array:
        return nan_code_mask(self.fmt.scale)

    @cached_property
    def _nan_codes(self) -> Array:
        return nan_code_mask(self.fmt.element)

    @cached_property
    def _zero_codes(self) -> frozenset[int]:
        return frozenset(
            code
            for code in range(1 << self.fmt.element.width)
            if decode(code, self.fmt.element).is_zero
        )

    def expect(self, bits: list[int], profile: Profile) -> Array:
        block = quantize_bits(bits, self.carrier, self.fmt, profile)
        return np.array([block.scale, *block.codes], dtype=np.int64)

    def row_differs(self, found: Array, index: int, profile: Profile) -> Array:
        expected = self.row(index, profile)
        differs: Array = found != expected
        if self._nan_scales[expected[0]]:
            differs[1:] = False
        if differs.any():
            inside = fits(found, self.fmt.element)
            both = self._nan_codes[np.where(inside, found, 0)] & inside
            both[1:] &= self._nan_codes[expected[1:]]
            differs[1:] &= ~both[1:]
        return differs

    def keeps_zero(self, observed: Array) -> Array:
        zeros = np.isin(observed[:, 1:], list(self._zero_codes)).all(axis=1)
        return zeros & fits(observed[:, 0], self.fmt.scale) & ~self._has_nan_scale(observed)

    def _strange(self, found: Array) -> Array:
        """Entries of a row that are no codes, unless the whole row is refused."""
        inside = np.append(fits(found[:1], self.fmt.scale), fits(found[1:], self.element))
        return ~inside & bool((found != REJECTED).any())

    def broken(self, observed: Array) -> Array:
        refused = (observed == REJECTED).all(axis=1)
        meaningless = self._has_nan_scale(observed) | fits(observed[:, 1:], self.element).all(
            axis=1
        )
        coded = fits(observed[:, 0], self.fmt.scale) & meaningless
        return ~(coded | refused) | super().broken(observed)

    def fits_its_scale(self, index: int, observed: Array, profile: Profile) -> bool:
        """Whether the finite elements of a block are right for the scale that the subject chose."""
        scale, *codes = (int(code) for code in observed[index])
        if not 0 <= scale <= self.fmt.scale.max_code:
            return False
        factor = decode(scale, self.fmt.scale)
        values = [carry_in(int(bits), self.carrier, profile) for bits in self.cases.inputs[index]]
        return all(
            code == encode(divide(value, factor), self.element, profile).code
            for value, code in zip(values, codes, strict=True)
            if value.is_finite
        )

    def _has_nan_scale(self, observed: Array) -> Array:
        """Rows whose scale is NaN, so that their element bits mean nothing."""
        inside = fits(observed[:, 0], self.fmt.scale)
        return self._nan_scales[np.where(inside, observed[:, 0], 0)] & inside

    def describe(self, index: int, observed: Array, profile: Profile) -> Case:
        ref, found = self.row(index, profile), observed[index]
        strange = self._strange(found)
        place = int(
            np.argmax(strange if strange.any() else self.row_differs(found, index, profile))
        )
        lane = self._lane_of_amax(index) if place == 0 else place - 1
        fmt: ElementFormat = self.fmt.scale if place == 0 else self.fmt.element
        bits = int(self.cases.inputs[index, lane])
        return Case(
            f"amax elem {lane}" if place == 0 else f"elem {lane} scale 0x{int(ref[0]):02X}",
            side("in", bits, self.carrier),
            side("dut scale" if place == 0 else "dut", int(found[place]), fmt),
            side("ref scale" if place == 0 else "ref", int(ref[place]), fmt),
            self._clause(index, found, place, profile),
            self.cases.note(index),
            self._explain(index, lane, profile),
        )

    def _clause(self, index: int, found: Array, place: int, profile: Profile) -> str:
        if self._strange(found)[place]:
            return _code_clause(self.fmt.scale if place == 0 else self.fmt.element)
        if self.zeros[index] and not self.keeps_zero(found[None])[0]:
            return "MX-6.3-ELEM"
        if self.specials[index] or self.zeros[index]:
            return "MX-6.3-ALT"
        return "MX-6.3-SCALE" if place == 0 else self._element_clause(index, place, profile)

    def _element_clause(self, index: int, place: int, profile: Profile) -> str:
        """The clause of one element under the right scale: clamping, rounding, or neither."""
        value = carry_in(int(self.cases.inputs[index, place - 1]), self.carrier, profile)
        scale = decode(int(self.row(index, profile)[0]), self.fmt.scale)
        status = encode(divide(value, scale), self.fmt.element, profile).status
        if Status.OVERFLOW in status:
            return "MX-6.3-CLAMP"
        rounded = Status.INEXACT in status and profile.rounding is Rounding.TIES_TO_EVEN
        return "MX-6.3-RNE" if rounded else "MX-6.3-ELEM"


class FakeQuantizeJudge(BlockJudge):
    """fake_quantize: the values that a block stands for, as bits of the carrier that went in."""

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        return _numbers(_only(results), (rows, self.fmt.k), self.carrier)

    def expect(self, bits: list[int], profile: Profile) -> Array:
        block = quantize_bits(bits, self.carrier, self.fmt, profile)
        back = dequantize_bits(block.scale, block.codes, self.fmt, profile, self.carrier)
        return np.array(back, dtype=self.cases.inputs.dtype)

    def row_differs(self, found: Array, index: int, profile: Profile) -> Array:
        expected = self.row(index, profile)
        nans = is_nan_bits(found, self.carrier) & is_nan_bits(expected, self.carrier)
        return (found != expected) & ~nans

    def keeps_zero(self, observed: Array) -> Array:
        return ((observed & observed.dtype.type(self.carrier.magnitude_mask)) == 0).all(axis=1)

    def describe(self, index: int, observed: Array, profile: Profile) -> Case:
        lane = int(np.argmax(self.row_differs(observed[index], index, profile)))
        return Case(
            f"elem {lane}",
            self._input(index, lane),
            side("dut", int(observed[index, lane]), self.carrier),
            side("ref", int(self.row(index, profile)[lane]), self.carrier),
            self._clause(index, observed),
            self.cases.note(index),
            self._explain(index, lane, profile),
        )

    def _clause(self, index: int, observed: Array) -> str:
        lost = self.zeros[index] and not self.keeps_zero(observed[index : index + 1])[0]
        silent = self.specials[index] or self.zeros[index]
        return "MX-6.3-ALT" if silent and not lost else "MX-6.3-ELEM"


class DequantizeJudge(Judge):
    """dequantize: every scale code with every element code, as bits of a carrier."""

    fields = ("element_subnormals", "scale_nan")
    open_fields = ("out_of_binary32",)

    def __init__(self, fmt: BlockFormat, carrier: FloatFormat, level: str) -> None:
        self.fmt = fmt
        self.element: ElementFormat = fmt.element
        self.carrier = carrier
        self.cases = dequantize_cases(fmt, level)
        self._expected: dict[Profile, Array] = {}

    def arguments(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        rows = self.cases.inputs
        dtype = np.uint8 if max(self.fmt.element.width, self.fmt.scale.width) <= 8 else np.uint32
        return (rows[:, 0].astype(dtype), rows[:, 1:].astype(dtype)), (self.fmt.name,)

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        return _numbers(_only(results), (rows, self.fmt.k), self.carrier)

    def expected(self, profile: Profile) -> Array:
        """Bits of all rows under a profile."""
        if profile not in self._expected:
            rows = [self._row(index, profile) for index in range(len(self.cases))]
            self._expected[profile] = np.array(
                rows, dtype=as_bits(np.zeros(1), self.carrier.name).dtype
            )
        return self._expected[profile]

    def _row(self, index: int, profile: Profile) -> tuple[int, ...]:
        scale, *codes = (int(code) for code in self.cases.inputs[index])
        return dequantize_bits(scale, codes, self.fmt, profile, self.carrier)

    @cached_property
    def open_lanes(self) -> Array:
        """Products beyond binary32, which are implementation-defined, or that the carrier does not have."""
        reference = self.expected(OCP)
        if self.carrier.mantissa_bits >= 23 and self.carrier.exponent_bits >= 8:
            magnitude = reference & reference.dtype.type(self.carrier.magnitude_mask)
            beyond = (magnitude > value_bits(BINARY32.max, self.carrier)) & ~is_nan_bits(
                reference, self.carrier
            )
            return beyond & ~self._inf_codes
        return np.array(
            [
                [not self._fits(index, lane) for lane in range(self.fmt.k)]
                for index in range(len(reference))
            ]
        )

    @cached_property
    def _inf_codes(self) -> Array:
        infs = [
            code
            for code in range(1 << self.fmt.element.width)
            if decode(code, self.fmt.element).is_inf
        ]
        return np.isin(self.cases.inputs[:, 1:], infs)

    def _fits(self, index: int, lane: int) -> bool:
        scale, *codes = (int(code) for code in self.cases.inputs[index])
        value = dequantize(scale, codes, self.fmt)[lane]
        back = decode(int(self.expected(OCP)[index, lane]), self.carrier)
        return not value.is_finite or (back.is_finite and back.fraction() == value.fraction())

    def _differs(self, observed: Array, expected: Array) -> Array:
        nans = is_nan_bits(observed, self.carrier) & is_nan_bits(expected, self.carrier)
        return (observed != expected) & ~nans

    def compare(self, observed: Array, profile: Profile) -> tuple[Array, Array]:
        differs = self._differs(observed, self.expected(profile))
        wrong = np.asarray((differs & ~self.open_lanes).any(axis=1))
        silent = np.asarray((differs & self.open_lanes).any(axis=1))
        return wrong, silent & ~wrong

    def expectation(self, index: int, profile: Profile) -> tuple[int, ...]:
        return self._row(index, profile)

    def matches(self, index: int, observed: Array, profile: Profile) -> bool:
        expected = np.array(self._row(index, profile), dtype=observed.dtype)
        return not self._differs(observed[index], expected).any()

    def describe(self, index: int, observed: Array, profile: Profile) -> Case:
        differs = self._differs(observed[index], self.expected(profile)[index])
        judged = differs & ~self.open_lanes[index]
        lane = int(np.argmax(judged if judged.any() else differs))
        scale, code = int(self.cases.inputs[index, 0]), int(self.cases.inputs[index, 1 + lane])
        return Case(
            f"scale 0x{scale:02X} = {decode(scale, self.fmt.scale)}",
            side("in", code, self.fmt.element),
            side("dut", int(observed[index, lane]), self.carrier),
            side("ref", int(self.expected(profile)[index, lane]), self.carrier),
            self._clause(scale, code, bool(judged.any())),
            self.cases.note(index),
            f"mxemu explain {self.fmt.element.name} {code:#x}",
        )

    def _clause(self, scale: int, code: int, judged: bool) -> str:
        if not judged:
            return "MX-5.1-OVF32"
        if decode(scale, self.fmt.scale).is_nan:
            return "MX-5.1-NANSCALE"
        return "MX-5.1-VALUE" if decode(code, self.fmt.element).is_finite else "MX-5.1-SPECIAL"

    def simplicity(self, indices: Array) -> Array:
        return np.abs(self.cases.inputs[indices, 0] - self.fmt.scale.bias)
