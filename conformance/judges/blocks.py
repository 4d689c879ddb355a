"""Judges of blocks: quantize, fake_quantize and dequantize."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from conformance.adapter import REJECTED
from conformance.arrays import Array, as_bits, as_values, fits, is_nan_bits, nan_code_mask
from conformance.cases.blocks import dequantize_cases, quantize_cases
from conformance.judges.base import (
    Case,
    Judge,
    Side,
    code_clause,
    flag,
    integers,
    numbers,
    only,
    side,
    simple_bits,
    typed,
)
from conformance.judges.elements import ENCODE_FIELDS
from mxemu.block import dequantize, dequantize_bits, quantize_bits, value_bits
from mxemu.formats import BINARY32, BlockFormat, ElementFormat, FloatFormat
from mxemu.profile import OCP, PRESETS, Profile, Rounding
from mxemu.scalar import Status, carry_in, decode, encode
from mxemu.value import Value, divide

BLOCK_FIELDS = ("scale_rule", "scale_overflow", *ENCODE_FIELDS, "amax_floor", "scale_clamp")
OPEN_BLOCK_FIELDS = (
    "zero_block",
    "amax_nan",
    "nan_block",
    "inf_block",
    "nan_without_code",
    "overflow",
    "scale_overflow",
)


MIN_NORMAL = Value(0, 1, BINARY32.emin)


def _of_presets(field_name: str) -> Iterator[Any]:
    """What the named profiles have in a field, where they have something."""
    found = (getattr(profile, field_name) for profile in PRESETS.values())
    return (one for one in found if one is not None)


class BlockJudge(Judge):
    """What quantize and fake_quantize share: blocks of inputs, and which of them the specification leaves open."""

    fields = BLOCK_FIELDS
    open_fields = OPEN_BLOCK_FIELDS

    def __init__(self, fmt: BlockFormat, carrier: FloatFormat, level: str) -> None:
        self.fmt = fmt
        self.element: ElementFormat = fmt.element
        self.carrier = carrier
        self.cases = quantize_cases(fmt, carrier, level)
        self.forget()

    def choices(self, field_name: str) -> tuple[Any, ...]:
        """As for any; of the fields that hold numbers those that are in use, such as the machine epsilon."""
        match field_name:
            case "amax_floor":
                epsilon = Value(0, 1, -23)
                own = (epsilon, self.element.max.scaled(-23), MIN_NORMAL)
                return tuple(dict.fromkeys((None, *own, *_of_presets(field_name))))
            case "scale_clamp":
                largest = self.fmt.scale.max_code
                fitting = (one for one in _of_presets(field_name) if one[1] <= largest)
                return (None, *fitting)
        return super().choices(field_name)

    def forget(self) -> None:
        self._rows: dict[tuple[int, Profile], Array] = {}

    @property
    def _magnitudes(self) -> Array:
        return self.cases.inputs & self.cases.inputs.dtype.type(self.carrier.magnitude_mask)

    @cached_property
    def specials(self) -> Array:
        """Blocks with an Inf or NaN."""
        inf = self.carrier.magnitude_mask - len(self.carrier.nans)
        return np.asarray((self._magnitudes >= inf).any(axis=1))

    @cached_property
    def zeros(self) -> Array:
        """Blocks of zeros only."""
        return np.asarray((self._magnitudes == 0).all(axis=1))

    def arguments(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        return (as_values(self.cases.inputs, self.carrier.name),), (self.fmt.name,)

    def row(self, index: int, profile: Profile) -> Array:
        """The expectation of one block, computed once a profile."""
        key = (index, profile)
        if key not in self._rows:
            self._rows[key] = self.expect([int(bits) for bits in self.cases.inputs[index]], profile)
        return self._rows[key]

    def remember(self, rows: Array, profile: Profile) -> None:
        """Expectations of all cases under a profile that were computed together: one by one takes long for many."""
        self._rows.update({(index, profile): row for index, row in enumerate(rows)})

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
        return used * 10_000_000 + simple_bits(largest, self.carrier)

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
        shown = " ".join(typed(int(bits), self.carrier) for bits in row[: max(last, lane + 1)])
        return f"mxemu explain quantize {self.fmt.name} {shown}{flag(profile)} --elem {lane}"


class QuantizeJudge(BlockJudge):
    """quantize: rows of one scale code and k element codes."""

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        if len(results) != 2:
            return f"returned {len(results)} arrays; expected scales and codes"
        scales = integers(results[0], (rows,), "scales", self.fmt.scale)
        codes = integers(results[1], (rows, self.fmt.k), "codes", self.element)
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
            return code_clause(self.fmt.scale if place == 0 else self.fmt.element)
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
        return numbers(only(results), (rows, self.fmt.k), self.carrier)

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
        self.forget()

    def forget(self) -> None:
        self._expected: dict[Profile, Array] = {}

    def arguments(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        rows = self.cases.inputs
        dtype = np.uint8 if max(self.fmt.element.width, self.fmt.scale.width) <= 8 else np.uint32
        return (rows[:, 0].astype(dtype), rows[:, 1:].astype(dtype)), (self.fmt.name,)

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        return numbers(only(results), (rows, self.fmt.k), self.carrier)

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
