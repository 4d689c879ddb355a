"""What every judge has, and how numbers, codes and cases are put in words."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from conformance.adapter import REJECTED
from conformance.arrays import Array, as_bits, as_values, fits
from conformance.cases import Cases
from mxemu.formats import E8M0, ElementFormat, FloatFormat, IntFormat
from mxemu.profile import OCP, Profile, alternatives, spell
from mxemu.scalar import decode
from mxemu.value import Value, decimal_text


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

    def choices(self, field_name: str) -> tuple[Any, ...]:
        """The values of a profile field that a search for the subject's profile tries."""
        return alternatives(field_name)

    def arguments(self) -> tuple[tuple[Array | None, ...], tuple[Any, ...]]:
        """Arrays and further arguments of the subject's function, without the profile."""
        raise NotImplementedError

    def on(self, cases: Cases) -> Self:
        """The same judge for other cases, which have the form of its own."""
        other = copy(self)
        for name in [name for name in vars(other) if _is_cached(type(self), name)]:
            del other.__dict__[name]
        other.cases = cases
        other.forget()
        return other

    def forget(self) -> None:
        """Drop what was computed of the cases, properties apart."""

    def batches(self) -> list[Array]:
        """Indices of the cases of each call, in the order of their inputs: what raises is often a range of them."""
        inputs = self.cases.inputs
        return [np.argsort(inputs, kind="stable") if inputs.ndim == 1 else np.arange(len(inputs))]

    @property
    def splits(self) -> bool:
        """Whether a call can be made with a part of its cases."""
        return True

    def given(self, arrays: tuple[Array | None, ...], part: Array) -> tuple[Array | None, ...]:
        """The arguments of a call with some of the cases."""
        return tuple(None if array is None else array[part] for array in arrays)

    def answer(self, results: Sequence[Array], part: Array) -> Array | str:
        """Results of such a call; see `observe`."""
        return self.observe(results, len(part))

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


def _is_cached(kind: type, name: str) -> bool:
    return isinstance(getattr(kind, name, None), cached_property)


def only(results: Sequence[Array]) -> Array | str:
    """The one array that is expected, or what is wrong."""
    return results[0] if len(results) == 1 else f"returned {len(results)} arrays; expected one"


def integers(
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


def numbers(result: Array | str, shape: tuple[int, ...], carrier: FloatFormat) -> Array | str:
    """Numbers as bits of the carrier, or what is wrong."""
    if isinstance(result, str):
        return result
    if result.shape != shape:
        return f"returned values of shape {result.shape}; expected {shape}"
    if result.dtype != as_values(np.zeros(1, np.uint64), carrier.name).dtype:
        expected = as_values(np.zeros(1, np.uint64), carrier.name).dtype
        return f"returned values of dtype {result.dtype}; expected {expected} ({carrier.name})"
    return as_bits(result, carrier.name)


def simple_bits(bits: Array, carrier: FloatFormat) -> Array:
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


def code_clause(fmt: ElementFormat) -> str:
    """The clause that says which codes a format has and what they mean."""
    if fmt == E8M0:
        return "MX-5.4.1-RANGE"
    prefix = family(fmt)
    return f"{prefix}-ENC" if prefix else "profile"


def typed(bits: int, carrier: FloatFormat) -> str:
    """A value as it can be typed on a command line."""
    return str(decode(bits, carrier)).lower()


def flag(profile: Profile) -> str:
    """The option that names a profile; nothing for OCP."""
    return "" if profile.same_choices(OCP) else f" --profile {spell(profile)}"
