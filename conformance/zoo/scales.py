"""Wrong scales: the largest magnitude is not found, or its exponent not computed as it should be."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from conformance.arrays import Array
from conformance.judges import Judge
from conformance.zoo.reference import Reference, to_bfloat16
from mxemu.formats import BINARY32, BlockFormat, FloatFormat
from mxemu.profile import Profile, ScaleOverflow
from mxemu.scale import scale_code, shared_exponent
from mxemu.value import NAN, Value


class ScaleMistake(Reference):
    """Base of the members that compute the scale of a block wrongly."""

    operations = ("quantize",)

    def scale_of(self, largest: Value, fmt: BlockFormat, profile: Profile) -> int:
        right = super().scale_of(largest, fmt, profile)
        if not largest.is_finite or largest.is_zero:
            return right
        code = self.wrong_code(largest, right, fmt, profile)
        beyond = code > fmt.scale.max_code and profile.scale_overflow is ScaleOverflow.NAN
        nan = fmt.scale.nans[0] if beyond and fmt.scale.nans else fmt.scale.max_code
        return min(max(code, 0), nan)

    def wrong_code(self, largest: Value, right: int, fmt: BlockFormat, profile: Profile) -> int:
        """The scale code of a block that is not zero, before it is clamped."""
        return right


class FloatLog2(ScaleMistake):
    """floor(log2(amax)) in floating point: just below 2^n the logarithm rounds up to n."""

    note = "float-log2"
    dtype: type[np.floating] = np.float64

    def wrong_code(self, largest: Value, right: int, fmt: BlockFormat, profile: Profile) -> int:
        exponent = int(np.floor(self.dtype(np.log2(_as_float(largest)))))
        return exponent - fmt.element.emax + fmt.scale.bias


def _as_float(value: Value) -> np.float64:
    return np.ldexp(np.float64(value.significand), value.exponent)


class FloatLog2Binary64(FloatLog2):
    """floor(log2(amax)) with a binary64 logarithm, which rounds up to n just below 2^n."""

    name = "float-log2-binary64"
    carriers: ClassVar[tuple[str, ...]] = ("binary64",)  # of narrower inputs it is good enough


class FloatLog2Binary32(FloatLog2):
    """floor(log2(amax)) with a binary32 logarithm, which rounds up to n just below 2^n."""

    name = "float-log2-binary32"
    dtype = np.float32


class FloatLog2Binary16(FloatLog2):
    """floor(log2(amax)) with a binary16 logarithm, as for binary16 tensors; it rounds up to n below 2^n."""

    name = "float-log2-binary16"
    dtype = np.float16


class CeilLog2Binary32(ScaleMistake):
    """ceil(log2(amax / max)) with a binary32 logarithm, which rounds down to n just above 2^n: amax is clipped."""

    name = "ceil-log2-binary32"
    note = "float-log2"
    profile = "rceil"

    def wrong_code(self, largest: Value, right: int, fmt: BlockFormat, profile: Profile) -> int:
        with np.errstate(all="ignore"):
            quotient = np.float32(_as_float(largest)) / np.float32(_as_float(fmt.element.max))
        if not quotient or not np.isfinite(quotient):
            return right
        exponent = int(np.ceil(np.float32(np.log2(np.float64(quotient)))))
        return exponent + fmt.scale.bias


class EmaxPlusBias(ScaleMistake):
    """Subtracts emax plus the element's bias from the exponent of amax."""

    name = "scale-subtracts-emax-and-bias"
    note = "scale-emax-missing"

    def shift(self, fmt: BlockFormat) -> int:
        """How far the exponent is off."""
        return -getattr(fmt.element, "bias", 1)

    def wrong_code(self, largest: Value, right: int, fmt: BlockFormat, profile: Profile) -> int:
        return right + self.shift(fmt)


class EmaxMissing(EmaxPlusBias):
    """Forgets to subtract emax, so that every element is small."""

    name = "scale-without-emax"

    def shift(self, fmt: BlockFormat) -> int:
        return fmt.element.emax or 1


class EmaxOneLess(EmaxPlusBias):
    """Subtracts emax + 1: the exponent of the code above the largest one."""

    name = "scale-one-too-small"

    def shift(self, fmt: BlockFormat) -> int:
        return -1


class AmaxFloored(ScaleMistake):
    """Raises amax to a constant, so that no quotient is too small for the arithmetic."""

    note = "eps-floor"

    def least(self, fmt: BlockFormat) -> Value:
        """The smallest amax."""
        return Value(0, 1, -23)

    def wrong_code(self, largest: Value, right: int, fmt: BlockFormat, profile: Profile) -> int:
        least = self.least(fmt)
        raised = least if largest.fraction() < least.fraction() else largest
        return scale_code(raised, fmt, profile)


class AmaxEpsFloor(AmaxFloored):
    """Raises amax to 2^-23, the machine epsilon of binary32: blocks of smaller numbers lose bits, or become zero."""

    name = "amax-eps-floor"


class QuotientEpsFloor(AmaxFloored):
    """Raises amax / max to 2^-23, the machine epsilon: blocks of smaller numbers lose bits, or become zero."""

    name = "quotient-eps-floor"

    def least(self, fmt: BlockFormat) -> Value:
        return fmt.element.max.scaled(-23)


class AmaxInBfloat16(Reference):
    """Rounds amax to bfloat16 before its exponent is taken: just below 2^n it is 2^n then."""

    name = "amax-in-bfloat16"
    note = "amax-rounded"
    operations = ("quantize",)
    carriers: ClassVar[tuple[str, ...]] = ("binary32",)

    def largest(self, rows: Array, carrier: FloatFormat) -> Array:
        rounded = to_bfloat16(super().largest(rows, carrier)) << np.uint64(16)
        top = np.uint64(BINARY32.max_code)  # what rounds up to Inf stays a number
        return np.minimum(rounded, top).astype(rows.dtype)


class ScaleCarry(ScaleMistake):
    """Rounds amax in its bits, where the largest ones carry into the exponent of Inf: their blocks get scale 1."""

    name = "scale-carry-to-inf"
    note = "scale-carry"
    profile = "even"

    def wrong_code(self, largest: Value, right: int, fmt: BlockFormat, profile: Profile) -> int:
        doubled = shared_exponent(largest, fmt.element, profile.scale_rule) + fmt.element.emax
        return fmt.scale.bias if doubled > BINARY32.emax else right


class SignedMaximum(Reference):
    """Takes the largest value instead of the largest magnitude."""

    name = "max-without-abs"
    note = "amax-sign"
    operations = ("quantize",)

    def largest(self, rows: Array, carrier: FloatFormat) -> Array:
        negative = rows & rows.dtype.type(carrier.sign_mask) != 0
        return super().largest(np.where(negative, 0, rows).astype(rows.dtype), carrier)


class HalfTheLanes(Reference):
    """Searches the first half of the block for the largest magnitude."""

    name = "amax-of-half-the-lanes"
    note = "amax-lane"
    operations = ("quantize",)

    def largest(self, rows: Array, carrier: FloatFormat) -> Array:
        return super().largest(rows[:, : max(1, rows.shape[1] // 2)], carrier)


class AmaxOfTwoBlocks(Reference):
    """Searches twice as many lanes as a block has, so that two blocks get the larger one of their scales."""

    name = "amax-of-two-blocks"
    note = "amax-lane"
    operations = ("quantize",)

    def quantize_bits(
        self, rows: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        k = fmt.k
        twice = BlockFormat(f"{fmt.name} twice", fmt.element, fmt.scale, 2 * k)
        even = np.pad(rows, ((0, len(rows) % 2), (0, 0)))
        found = super().quantize_bits(even.reshape(-1, 2 * k), twice, carrier, profile)
        codes = found[:, 1:].reshape(-1, k)
        return np.column_stack([np.repeat(found[:, 0], 2), codes])[: len(rows)]

    def outcome(self, judge: Judge, profile: Profile, rows: Array | None = None) -> Array:
        # Which blocks are neighbours is known only where all are there.
        found = super().outcome(judge, profile)
        return found if rows is None else found[rows]


class ScaleWraps(Reference):
    """Puts an exponent below -127 into the byte of the scale without a look at its range."""

    name = "scale-wraps"
    note = "scale-clamp-low"
    operations = ("quantize",)

    def scale_of(self, largest: Value, fmt: BlockFormat, profile: Profile) -> int:
        if not largest.is_finite or largest.is_zero:
            return super().scale_of(largest, fmt, profile)
        exponent = shared_exponent(largest, fmt.element, profile.scale_rule)
        return (exponent + fmt.scale.bias) % (1 << fmt.scale.width)


class ZeroBlockNan(Reference):
    """Divides by the largest magnitude of an all-zero block: 0 / 0."""

    name = "zero-block-nan"
    note = "zero-block"
    operations = ("quantize",)

    def scale_of(self, largest: Value, fmt: BlockFormat, profile: Profile) -> int:
        return super().scale_of(NAN if largest.is_zero else largest, fmt, profile)


class TinyBlockNan(Reference):
    """Divides by amax / max in binary32, which is zero for the smallest blocks: 0 / 0 and x / 0."""

    name = "tiny-block-nan"
    note = "tiny-block"
    operations = ("quantize",)

    def scale_of(self, largest: Value, fmt: BlockFormat, profile: Profile) -> int:
        halved = fmt.element.max.scaled(-150)
        vanishes = largest.is_finite and largest.fraction() <= halved.fraction()
        lost = vanishes and not largest.is_zero
        return super().scale_of(NAN if lost else largest, fmt, profile)


MEMBERS: tuple[Reference, ...] = (
    FloatLog2Binary64(),
    FloatLog2Binary32(),
    FloatLog2Binary16(),
    CeilLog2Binary32(),
    AmaxInBfloat16(),
    EmaxPlusBias(),
    EmaxMissing(),
    EmaxOneLess(),
    AmaxEpsFloor(),
    QuotientEpsFloor(),
    ScaleCarry(),
    SignedMaximum(),
    HalfTheLanes(),
    AmaxOfTwoBlocks(),
    ScaleWraps(),
    ZeroBlockNan(),
    TinyBlockNan(),
)
