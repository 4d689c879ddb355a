"""The correct implementation that every zoo member spoils in one place. It is built on the exact core's tables."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from conformance.adapter import pair_of
from conformance.arrays import (
    BITS_DTYPES,
    Array,
    Dots,
    as_bits,
    as_values,
    decode_table,
    dot_bits,
    encode_by_runs,
    is_nan_bits,
    nan_code_mask,
    narrow_bits,
    scaled_codes,
    wide_values,
)
from conformance.judges import (
    BlockJudge,
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    FakeQuantizeJudge,
    Judge,
    MatmulJudge,
    ProductJudge,
    QuantizeJudge,
    ScaleCastJudge,
    ScaledEncodeJudge,
)
from conformance.zoo.offers import capabilities
from mxemu import __version__
from mxemu.accumulation import Accumulation
from mxemu.block import dequantize_bits, quantize_bits
from mxemu.formats import (
    BINARY32,
    BINARY64,
    CARRIERS,
    BlockFormat,
    ElementFormat,
    FloatFormat,
    block_format,
    element,
)
from mxemu.formats import find as find_format
from mxemu.profile import OCP, InputSubnormals, Profile
from mxemu.scalar import decode
from mxemu.scale import amax, encode_scale, scale_code
from mxemu.value import Value

_CARRIER_OF = {
    np.dtype(np.float64): "binary64",
    np.dtype(np.float32): "binary32",
    np.dtype(np.float16): "binary16",
}

_DEEP = 2.0**-1000
"""What a quotient that binary64 has no bits for is replaced by: it rounds to the same code of every element."""


class Reference:
    """A subject that is right. Members override one step of it.

    Attributes
    ----------
    name : str
    note : str
        Key of the note that says more about a member's mistake.
    operations : tuple of str
        Where the mistake is. A member is one kernel and offers the first of them; the reference offers everything.
    formats, carriers : tuple of str
        What the mistake needs; empty if it shows in any.
    profile : str
        What it declares: a mistake in rounding a scale up shows only where scales are rounded up.
    """

    name: ClassVar[str] = "reference"
    note: ClassVar[str] = ""
    version = __version__
    operations: ClassVar[tuple[str, ...]] = ()
    formats: ClassVar[tuple[str, ...]] = ()
    carriers: ClassVar[tuple[str, ...]] = ()
    profile: ClassVar[str] = "ocp"

    @property
    def capabilities(self) -> dict[str, Any]:
        """What it offers; see `conformance.zoo.offers`."""
        return capabilities(self.operations, self.formats, self.carriers, self.profile)

    def encode(self, values: Array, name: str, profile: Profile = OCP) -> Array:
        """Codes of values."""
        carrier = CARRIERS[_CARRIER_OF.get(values.dtype, "bfloat16")]
        return self.encode_bits(as_bits(values, carrier.name), element(name), carrier, profile)

    def decode(self, codes: Array, name: str) -> Array:
        """Values of codes."""
        return as_values(
            self.decode_bits(codes.astype(np.int64), element(name), BINARY32), "binary32"
        )

    def encode_scaled(
        self, values: Array, scales: Array, name: str, profile: Profile = OCP
    ) -> Array:
        """Codes of values under given scales."""
        carrier = CARRIERS[_CARRIER_OF.get(values.dtype, "bfloat16")]
        bits = as_bits(values, carrier.name)
        return self.scaled_bits(bits, scales, block_format(name), carrier, profile)

    def quantize(self, values: Array, name: str, profile: Profile = OCP) -> tuple[Array, Array]:
        """Scale codes and element codes of blocks."""
        carrier = CARRIERS[_CARRIER_OF.get(values.dtype, "bfloat16")]
        rows = self.quantize_bits(
            as_bits(values, carrier.name), block_format(name), carrier, profile
        )
        return rows[:, 0], rows[:, 1:]

    def fake_quantize(self, values: Array, name: str, profile: Profile = OCP) -> Array:
        """Values that blocks stand for, in the carrier that they came in."""
        carrier = CARRIERS[_CARRIER_OF.get(values.dtype, "bfloat16")]
        rows = as_bits(values, carrier.name)
        return as_values(self.fake_bits(rows, block_format(name), carrier, profile), carrier.name)

    def dequantize(self, scales: Array, codes: Array, name: str) -> Array:
        """Values of blocks."""
        rows = np.column_stack([scales, codes]).astype(np.int64)
        return as_values(self.dequantize_bits(rows, block_format(name), BINARY32), "binary32")

    def dot(
        self,
        sa: Array | None,
        a: Array,
        sb: Array | None,
        b: Array,
        c: Array | None,
        names: tuple[str, str],
        accumulation: Accumulation | str,
    ) -> Array:
        """Bits of dot products in binary32."""
        carried = np.zeros(len(a), np.uint32) if c is None else c
        formats = find_format(names[0]), find_format(names[1])
        return self.product_bits(Dots(sa, a, sb, b, carried, formats, BINARY32), accumulation)

    def matmul(
        self,
        sa: Array | None,
        a: Array,
        sb: Array | None,
        b: Array,
        c: Array | None,
        names: tuple[str, str],
        accumulation: Accumulation | str,
    ) -> Array:
        """Bits of a matrix product in binary32."""
        shape = len(a), len(b)
        rows, columns = (place.ravel() for place in np.indices(shape))
        carried = np.zeros(a.shape[:1] + b.shape[:1], np.uint32) if c is None else c
        dots = Dots(
            None if sa is None else sa[rows],
            a[rows],
            None if sb is None else sb[columns],
            b[columns],
            carried.ravel(),
            (find_format(names[0]), find_format(names[1])),
            BINARY32,
        )
        return self.grid_bits(dots, shape, accumulation).reshape(shape)

    def product_bits(self, dots: Dots, accumulation: Accumulation | str) -> Array:
        """Bits of dot products."""
        return dot_bits(dots, accumulation)

    def grid_bits(
        self, dots: Dots, shape: tuple[int, int], accumulation: Accumulation | str
    ) -> Array:
        """Bits of a matrix product, row after row; ``dots`` holds every pair of rows."""
        return self.product_bits(dots, accumulation)

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        """Codes of inputs given as bits."""
        if isinstance(fmt, FloatFormat) and not fmt.subnormals:
            values = (decode(int(one), carrier) for one in bits)
            return np.array([encode_scale(value, fmt, profile) for value in values], np.int64)
        return encode_by_runs(bits, fmt, carrier, profile)

    def scaled_bits(
        self,
        bits: Array,
        scales: Array,
        fmt: BlockFormat,
        carrier: FloatFormat,
        profile: Profile,
    ) -> Array:
        """Codes of inputs under given scales: this subject's encoder behind its division."""
        if not are_powers(fmt.scale):
            return scaled_codes(bits, scales, fmt, carrier, profile)
        if profile.input_subnormals is not InputSubnormals.KEEP:
            small = bits & bits.dtype.type(carrier.magnitude_mask) < 1 << carrier.mantissa_bits
            bits = np.where(small, bits & bits.dtype.type(carrier.sign_mask), bits)
            profile = profile.replace(input_subnormals=InputSubnormals.KEEP)
        wide = self.quotients(wide_values(bits, carrier), scales, fmt)
        found = self.encode_bits(as_bits(wide, "binary64"), fmt.element, BINARY64, profile)
        if type(self).encode_bits is not Reference.encode_bits and carrier.width < BINARY64.width:
            # A mistake that looks at the carrier's bits has to see these, wherever the quotient is one of its numbers.
            with np.errstate(all="ignore"):
                narrow = narrow_bits(wide, carrier)
            own = (wide_values(narrow, carrier) == wide) | np.isnan(wide)
            found[own] = self.encode_bits(narrow[own], fmt.element, carrier, profile)
        found[nan_code_mask(fmt.scale)[scales]] = 0
        return found

    def quotients(self, values: Array, scales: Array, fmt: BlockFormat) -> Array:
        """Numbers of binary64 divided by their scales, which are powers of two: exact, but for what no element sees."""
        powers = np.array([_exponent(code, fmt.scale) for code in range(1 << fmt.scale.width)])
        with np.errstate(all="ignore"):
            found = np.ldexp(values, -powers[scales])
        tiny = (np.abs(found) < _DEEP) & (values != 0)
        return np.where(tiny, np.copysign(_DEEP, values), found)

    def decode_bits(self, codes: Array, fmt: ElementFormat, carrier: FloatFormat) -> Array:
        """Bits of the values of codes."""
        return decode_table(fmt, carrier)[codes]

    def quantize_bits(
        self, rows: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        """Rows of a scale and k codes, from rows of k inputs."""
        rows = self.inputs(rows, carrier)
        found = np.zeros((len(rows), 1 + fmt.k), dtype=np.int64)
        usual = _usual(rows, carrier, profile) & are_powers(fmt.scale)
        for index in np.flatnonzero(~usual):
            block = quantize_bits([int(bits) for bits in rows[index]], carrier, fmt, profile)
            found[index] = [block.scale, *block.codes]
        if usual.any():
            found[usual] = self.usual_bits(rows[usual], fmt, carrier, profile)
        return found

    def usual_bits(
        self, rows: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        """The same for rows of finite inputs, of which none is flushed."""
        scales = self.scales(self.largest(rows, carrier), fmt, carrier, profile)
        each = np.repeat(scales, rows.shape[1])
        codes = self.scaled_bits(rows.ravel(), each, fmt, carrier, profile)
        return np.column_stack([scales, codes.reshape(rows.shape)])

    def inputs(self, rows: Array, carrier: FloatFormat) -> Array:
        """What a conversion of blocks reads of its inputs."""
        return rows

    def largest(self, rows: Array, carrier: FloatFormat) -> Array:
        """The largest magnitude of each row, as bits."""
        return (rows & rows.dtype.type(carrier.magnitude_mask)).max(axis=1)

    def scales(
        self, largest: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        """The scale code for each of some largest magnitudes."""
        patterns, places = np.unique(largest, return_inverse=True)
        codes = [self.scale_of(decode(int(bits), carrier), fmt, profile) for bits in patterns]
        return np.array(codes, dtype=np.int64)[places]

    def scale_of(self, largest: Value, fmt: BlockFormat, profile: Profile) -> int:
        """The scale code for a largest magnitude."""
        return scale_code(amax([largest], profile), fmt, profile)

    def fake_bits(
        self, rows: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        """Rows of the k values that blocks of k inputs stand for, as bits."""
        blocks = self.quantize_bits(rows, fmt, carrier, profile)
        values = decode_table(fmt.element, BINARY64)[blocks[:, 1:]].view(np.float64)
        scales = decode_table(fmt.scale, BINARY64)[blocks[:, :1]].view(np.float64)
        with np.errstate(all="ignore"):
            return rounded_bits(values * scales, carrier)

    def dequantize_bits(self, rows: Array, fmt: BlockFormat, carrier: FloatFormat) -> Array:
        """Rows of k values as bits, from rows of a scale and k codes."""
        values = [
            dequantize_bits(int(row[0]), [int(code) for code in row[1:]], fmt, OCP, carrier)
            for row in rows
        ]
        return np.array(values, dtype=BITS_DTYPES[carrier.name])

    def touches(self, judge: Judge) -> bool:
        """Whether this member's mistake can show in a judge's group."""
        if isinstance(judge, ProductJudge):
            mine = not self.formats or bool({*self.formats} & {*pair_of(judge.label)})
            return judge.operation in self.operations and mine
        carrier: FloatFormat = judge.carrier  # type: ignore[attr-defined]
        return (
            _OPERATION_OF.get(type(judge), "") in self._shows_in(judge)
            and (not self.formats or bool({*self.formats} & _names(judge)))
            and (not self.carriers or carrier.name in self.carriers)
        )

    def _shows_in(self, judge: Judge) -> set[str]:
        """The operations of a mistake, and those that its operations are a part of."""
        found = {*self.operations}
        if "quantize" in found:
            found.add("fake_quantize")
        if "encode" in found:
            blocks = isinstance(judge, BlockJudge) and are_powers(judge.fmt.scale)
            found |= {"encode-scaled", *(("quantize", "fake_quantize") if blocks else ())}
        return found

    def outcome(self, judge: Judge, profile: Profile, rows: Array | None = None) -> Array:
        """What this member gives for a judge's cases, or for some of them."""
        inputs = judge.cases.inputs if rows is None else judge.cases.inputs[rows]
        match judge:
            case MatmulJudge():
                grids = [
                    self.grid_bits(
                        judge.layout.dots(judge.cases.inputs[grid.ravel()]),
                        grid.shape,
                        judge.accumulation,
                    )
                    for grid in judge.grids
                ]
                found = np.concatenate(grids)
                return found if rows is None else found[rows]
            case ProductJudge():
                return self.product_bits(judge.layout.dots(inputs), judge.accumulation)
            case ScaledEncodeJudge():
                bits, scales = judge.bits, judge.scales
                if rows is not None:
                    bits, scales = bits[rows], scales[rows]
                return self.scaled_bits(bits, scales, judge.fmt, judge.carrier, profile)
            case EncodeJudge():
                return self.encode_bits(inputs, judge.element, judge.carrier, profile)
            case ScaleCastJudge():
                return self.encode_bits(inputs, judge.scale, judge.carrier, profile)
            case DecodeJudge():
                return self.decode_bits(inputs, judge.element, judge.carrier)
            case QuantizeJudge():
                return self.quantize_bits(inputs, judge.fmt, judge.carrier, profile)
            case FakeQuantizeJudge():
                return self.fake_bits(inputs, judge.fmt, judge.carrier, profile)
            case DequantizeJudge():
                return self.dequantize_bits(inputs, judge.fmt, judge.carrier)
            case _:
                raise TypeError(f"{self.name} does not answer {type(judge).__name__}")


def are_powers(scale: FloatFormat) -> bool:
    """Whether every scale of a format is a power of two."""
    return scale.mantissa_bits == 0 and not scale.signed


def rounded_bits(values: Array, carrier: FloatFormat) -> Array:
    """Bits of numbers of binary64 in a carrier, rounded to even; bfloat16 from numbers that binary32 holds exactly."""
    if carrier.name != "bfloat16":
        return as_bits(values.astype(as_values(np.zeros(1), carrier.name).dtype), carrier.name)
    return to_bfloat16(as_bits(values.astype(np.float32), "binary32")).astype(np.uint16)


def to_bfloat16(bits: Array) -> Array:
    """The upper halves of binary32 bits, rounded to even; NaN stays NaN."""
    wide = bits.astype(np.uint64)
    odd = (wide >> np.uint64(16)) & np.uint64(1)
    rounded = (wide + np.uint64(0x7FFF) + odd) >> np.uint64(16)
    quiet = (wide >> np.uint64(16)) | np.uint64(0x40)
    return np.where(is_nan_bits(wide, BINARY32), quiet, rounded)


def _usual(rows: Array, carrier: FloatFormat, profile: Profile) -> Array:
    """Rows of finite inputs, of which none is subnormal where the profile flushes these."""
    magnitude = rows & rows.dtype.type(carrier.magnitude_mask)
    usual: Array = (magnitude < carrier.inf).all(axis=1)
    if profile.input_subnormals is not InputSubnormals.KEEP:
        usual &= (magnitude >= 1 << carrier.mantissa_bits).all(axis=1)
    return usual


def _exponent(code: int, scale: FloatFormat) -> int:
    """The exponent of a scale; 0 for NaN, whose results are left out."""
    value = decode(code, scale)
    return value.leading if value.is_finite else 0


def _names(judge: Judge) -> set[str]:
    """The names of a group's block format and element format."""
    own = getattr(judge.element, "name", "")
    if isinstance(judge, (BlockJudge, DequantizeJudge, ScaledEncodeJudge)):
        return {own, judge.fmt.name}
    return {own}


_OPERATION_OF: dict[type[Judge], str] = {
    EncodeJudge: "encode",
    ScaleCastJudge: "scale-cast",
    ScaledEncodeJudge: "encode-scaled",
    DecodeJudge: "decode",
    QuantizeJudge: "quantize",
    FakeQuantizeJudge: "fake_quantize",
    DequantizeJudge: "dequantize",
}
