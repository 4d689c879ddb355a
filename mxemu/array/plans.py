"""How one conversion of arrays is done: the tables and records for its kernel, made once and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from mxemu.array import tables
from mxemu.array.inputs import BITS, Array, code_dtype
from mxemu.array.integers import Divisors, Rounder, divisors, rounder, within_reach
from mxemu.array.kernels import Carrier, Gather, ScaleLookup
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.profile import AmaxNan, InfBlock, InputSubnormals, Profile
from mxemu.runs import Run
from mxemu.scalar import decode
from mxemu.scale import scale_rows
from mxemu.value import Kind, Value

# A scale format with more codes than this has no table; the exact core converts such blocks one by one.
_WIDEST_SCALE = 10
# Scales with longer significands, which arbitrary tensor scales have, put the steps of a table where no key ends.
_WIDEST_SIGNIFICAND = 12
# Bits of a largest magnitude that pick its bucket of rows.
_BUCKET_BITS = 15
# A plan for each (format, profile, dtype) in use; what fell out is made again in milliseconds.
_MOST_PLANS = 512

_Plan = TypeVar("_Plan")


class Kept(dict[tuple[Any, ...], Any]):
    """Plans by what the caller passed, looked up without hashing whole records.

    Profiles and formats are compared by identity here, and held so that an identity is never used twice. What makes
    a plan remembers equal ones, so a profile that is built anew in every call costs a comparison and no tables.
    """

    def find(
        self, make: Callable[..., _Plan], fmt: object, carrier: FloatFormat, profile: Profile
    ) -> _Plan:
        """What ``make`` gives for a format (a record or its name), a carrier and a profile."""
        key = (make, fmt if type(fmt) is str else id(fmt), id(carrier), id(profile))
        found = self.get(key)
        if found is None:
            if len(self) >= _MOST_PLANS:
                self.clear()
            found = self[key] = (make(fmt, carrier, profile), (fmt, carrier, profile))
        plan: _Plan = found[0]
        return plan


KEPT = Kept()


def carrier_fields(carrier: FloatFormat) -> Carrier:
    """A carrier for the kernels, in numbers of its own width."""
    word = BITS[carrier.name].type
    return Carrier(
        word(carrier.magnitude_mask),
        word(carrier.magnitude_mask - len(carrier.nans)),
        word(1 << carrier.mantissa_bits),
        carrier.mantissa_bits,
        carrier.bias,
        carrier.width - 1,
    )


def zero_below(carrier: FloatFormat, profile: Profile) -> int:
    """The smallest input magnitude that is not taken for zero, as bits."""
    flushes = profile.input_subnormals is InputSubnormals.FLUSH
    return 1 << carrier.mantissa_bits if flushes else 1


@dataclass(frozen=True, eq=False)
class EncodePlan:
    """One encoder: a table, or the record for the integer kernel."""

    element: ElementFormat
    carrier: FloatFormat
    profile: Profile
    table: tables.EncodeTable | None
    fields: Carrier
    rounder: Rounder | None
    zero_below: Any

    @property
    def status_table(self) -> tables.EncodeTable | None:
        return tables.encode_status_table(self.element, self.carrier, self.profile)


def encode_plan(element: ElementFormat, carrier: FloatFormat, profile: Profile) -> EncodePlan:
    """The plan of one encoder."""
    code_dtype(element.width)
    table = tables.encode_table(element, carrier, profile)
    word = BITS[carrier.name].type
    return EncodePlan(
        element,
        carrier,
        profile,
        table,
        carrier_fields(carrier),
        # With a table too: statuses may need more bits than any has. A format without zero has none.
        None if tables.has_no_zero(element) else rounder(element, profile),
        word(zero_below(carrier, profile)),
    )


class Scales(NamedTuple):
    """The values of all scale codes, each with an odd significand; None for a code that no block can be divided by."""

    values: tuple[Value | None, ...]

    @classmethod
    def of(cls, scale: FloatFormat, tensor_scale: Value | None) -> Scales:
        """All scales of a format, times a tensor scale."""
        return cls(
            tuple(_odd(decode(code, scale), tensor_scale) for code in range(1 << scale.width))
        )

    def mantissas(self) -> tuple[Value, ...]:
        """The distinct scales in [1, 2) that, times a power of two, make all of them."""
        significands = sorted({value.significand for value in self.values if value is not None})
        return tuple(Value(0, odd, 1 - odd.bit_length()) for odd in significands)


def _odd(scale: Value, tensor_scale: Value | None) -> Value | None:
    """A scale with an odd significand; None for NaN, Inf, zero and negative codes."""
    if scale.kind is not Kind.FINITE or not scale.significand or scale.sign:
        return None
    factor = tensor_scale or Value(0, 1, 0)
    significand = scale.significand * factor.significand
    zeros = (significand & -significand).bit_length() - 1
    return Value(0, significand >> zeros, scale.exponent + factor.exponent + zeros)


@dataclass(frozen=True, eq=False)
class BlockPlan:
    """One quantizer: how scales are found, and how elements are.

    ``lookup`` None: the exact core does all. ``gather`` None: ``divisors`` and ``rounder`` for the integer kernel.
    """

    block_format: BlockFormat
    carrier: FloatFormat
    profile: Profile
    tensor_scale: Value | None
    fields: Carrier
    lookup: ScaleLookup | None
    gather: Gather | None
    divisors: Divisors | None
    rounder: Rounder | None

    @cached_property
    def plain(self) -> tuple[tuple[Any, ...], ...]:
        """The records of `kernels.quantize_blocks` as plain tuples."""
        assert self.lookup is not None
        assert self.gather is not None
        return tuple(self.fields), tuple(self.lookup), tuple(self.gather)

    @cached_property
    def scales(self) -> Scales:
        """The value of every scale code, the tensor scale included."""
        return Scales.of(self.block_format.scale, self.tensor_scale)

    @cached_property
    def with_integers(self) -> BlockPlan:
        """The same quantizer by the integer kernel."""
        return replace(
            self,
            divisors=divisors(list(self.scales.values)),
            rounder=rounder(self.block_format.element, self.profile),
        )

    @cached_property
    def status_gather(self) -> Gather | None:
        """As ``gather``, with statuses for codes."""
        element = self.block_format.element
        return _gather(element, self.carrier, self.profile, self.scales, status=True)


def block_plan(
    fmt: BlockFormat, carrier: FloatFormat, profile: Profile, tensor_scale: Value | None
) -> BlockPlan:
    """The plan of one quantizer."""
    code_dtype(fmt.element.width)
    lookup = gather = found = encoder = None
    if fmt.scale.width <= _WIDEST_SCALE:
        lookup = _lookup(fmt, carrier, profile, tensor_scale)
        scales = Scales.of(fmt.scale, tensor_scale)
        gather = _gather(fmt.element, carrier, profile, scales, status=False)
        if gather is None:
            found = divisors(list(scales.values))
            encoder = rounder(fmt.element, profile)
            if found is None or not within_reach(fmt.element, profile, found):
                lookup = None
    return BlockPlan(
        fmt, carrier, profile, tensor_scale, carrier_fields(carrier), lookup, gather, found, encoder
    )


def _lookup(
    fmt: BlockFormat, carrier: FloatFormat, profile: Profile, tensor_scale: Value | None
) -> ScaleLookup:
    """The scale as a step function of the largest magnitude."""
    word = BITS[carrier.name].type
    return ScaleLookup(
        *_buckets(scale_rows(carrier, fmt, profile, tensor_scale), carrier, fmt),
        word(zero_below(carrier, profile)),
        profile.input_subnormals is InputSubnormals.FLUSH_BLOCK,
        profile.amax_nan is AmaxNan.PROPAGATE,
        profile.inf_block is not InfBlock.FINITE_AMAX,
    )


def _buckets(
    rows: tuple[Run, ...], carrier: FloatFormat, fmt: BlockFormat
) -> tuple[Array, Array, Array, int]:
    """Rows as arrays, and the row in which each bucket of magnitudes begins."""
    dtype = BITS[carrier.name]
    firsts = np.array([run.first for run in rows], dtype)
    codes = np.array([run.code for run in rows], code_dtype(fmt.scale.width))
    shift = carrier.width - 1 - _BUCKET_BITS
    edges = np.arange(1 << _BUCKET_BITS, dtype=dtype) << dtype.type(shift)
    start = np.searchsorted(firsts, edges, side="right") - 1
    return firsts, codes, start.astype(np.uint16), shift


@lru_cache(maxsize=64)
def _gather(
    element: ElementFormat, carrier: FloatFormat, profile: Profile, scales: Scales, *, status: bool
) -> Gather | None:
    """The block table with its rows and offsets for every scale code, or None when there is no table."""
    mantissas = scales.mantissas()
    if mantissas[-1].significand.bit_length() > _WIDEST_SIGNIFICAND:
        return None
    plain = profile.replace(input_subnormals=InputSubnormals.KEEP)
    table = tables.block_table(element, carrier, plain, mantissas, status=status)
    if table is None:
        return None
    row_length = table.codes.shape[1] * table.codes.shape[2]
    row_of = {one.significand: index * row_length for index, one in enumerate(mantissas)}
    rows = [-1 if one is None else row_of[one.significand] for one in scales.values]
    first = table.base + carrier.bias
    offsets = [
        0 if one is None else (one.leading + first) << (table.precision + 1)
        for one in scales.values
    ]
    return Gather(
        np.array(rows, np.int32),
        np.array(offsets, np.int64),
        # With this offset or more, exponent field 0 is below the first key.
        1 << (table.precision + 1),
        table.codes.ravel(),
        table.codes.shape[2] - 3,
        carrier.mantissa_bits - table.precision,
    )
