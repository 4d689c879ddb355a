"""The correct implementation that every zoo member spoils in one place. It is built on the exact core's tables."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from conformance.adapter import PRODUCT_OPERATIONS, pair_of
from conformance.arrays import (
    BITS_DTYPES,
    Array,
    Dots,
    as_bits,
    as_values,
    decode_table,
    dot_bits,
    encode_by_runs,
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
    Judge,
    MatmulJudge,
    ProductJudge,
    QuantizeJudge,
    ScaledEncodeJudge,
)
from mxemu import __version__
from mxemu.accumulation import Accumulation
from mxemu.block import dequantize_bits, quantize_bits
from mxemu.formats import (
    BINARY32,
    BINARY64,
    CARRIERS,
    CONCRETE,
    E8M0,
    MX_ELEMENTS,
    BlockFormat,
    ElementFormat,
    FloatFormat,
    block_format,
    element,
)
from mxemu.formats import find as find_format
from mxemu.profile import OCP, Profile
from mxemu.scalar import decode
from mxemu.scale import encode_scale

_CARRIER_OF = {
    np.dtype(np.float64): "binary64",
    np.dtype(np.float32): "binary32",
    np.dtype(np.float16): "binary16",
}


# Of all pairs of formats those that every part of a mixed product meets in.
_MIXED = (
    ("MXFP8_E4M3", "MXFP4_E2M1"),
    ("MXFP8_E5M2", "MXFP8_E4M3"),
    ("MXFP6_E3M2", "MXFP6_E2M3"),
    ("MXFP4_E2M1", "MXINT8"),
)


class Reference:
    """A subject that is right. Members override one of the ``*_bits`` methods."""

    name: ClassVar[str] = "reference"
    note: ClassVar[str] = ""
    version = __version__
    operations: ClassVar[tuple[str, ...]] = ()
    formats: ClassVar[tuple[str, ...]] = ()
    carriers: ClassVar[tuple[str, ...]] = ()

    @property
    def capabilities(self) -> dict[str, Any]:
        """Everything, in every carrier."""
        elements = [fmt.name for fmt in MX_ELEMENTS]
        blocks = [fmt.name for fmt in CONCRETE]
        pairs = {"formats": [*blocks, *map(list, _MIXED)], "out": "binary32", "c": True}
        return {
            "operations": {
                "encode": {
                    "formats": elements,
                    "carriers": list(CARRIERS),
                    "overflows": ["SATURATE", "OVERFLOW"],
                },
                "decode": {"formats": [*elements, E8M0.name], "carriers": ["binary32"]},
                "encode-scaled": {"formats": blocks, "carriers": list(CARRIERS)},
                "quantize": {"formats": blocks, "carriers": list(CARRIERS)},
                "dequantize": {"formats": blocks, "carriers": ["binary32"]},
                **dict.fromkeys(PRODUCT_OPERATIONS, pairs),
            },
            "profile": "ocp",
            "accumulation": "exact",
        }

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
            return np.array([encode_scale(decode(int(one), carrier), fmt, profile) for one in bits])
        return encode_by_runs(bits, fmt, carrier, profile)

    def scaled_bits(
        self,
        bits: Array,
        scales: Array,
        fmt: BlockFormat,
        carrier: FloatFormat,
        profile: Profile,
    ) -> Array:
        """Codes of inputs under scales that are powers of two: this subject's encoder behind an exact division."""
        if type(self).encode_bits is Reference.encode_bits:
            return scaled_codes(bits, scales, fmt, carrier, profile)
        powers = np.array([_exponent(code, fmt.scale) for code in range(1 << fmt.scale.width)])
        with np.errstate(all="ignore"):
            wide = np.ldexp(wide_values(bits, carrier), -powers[scales])
            narrow = narrow_bits(wide, carrier)
        found = self.encode_bits(as_bits(wide, "binary64"), fmt.element, BINARY64, profile)
        # A mistake that looks at the carrier's bits has to see these, wherever the quotient is one of its numbers.
        own = (wide_values(narrow, carrier) == wide) | np.isnan(wide)
        found[own] = self.encode_bits(narrow[own], fmt.element, carrier, profile)
        found[nan_code_mask(fmt.scale)[scales]] = 0
        return found

    def decode_bits(self, codes: Array, fmt: ElementFormat, carrier: FloatFormat) -> Array:
        """Bits of the values of codes."""
        return decode_table(fmt, carrier)[codes]

    def quantize_bits(
        self, rows: Array, fmt: BlockFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        """Rows of a scale and k codes, from rows of k inputs."""
        blocks = [quantize_bits([int(bits) for bits in row], carrier, fmt, profile) for row in rows]
        return np.array([[block.scale, *block.codes] for block in blocks], dtype=np.int64)

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
        operation = _OPERATION_OF.get(type(judge), "")
        fmt = (
            judge.fmt.name
            if isinstance(judge, (BlockJudge, DequantizeJudge))
            or (isinstance(judge, ScaledEncodeJudge) and "encode" not in self.operations)
            else getattr(judge.element, "name", "")
        )
        carrier: FloatFormat = judge.carrier  # type: ignore[attr-defined]
        own = {*self.operations, *(["encode-scaled"] if "encode" in self.operations else [])}
        return (
            operation in own
            and (not self.formats or fmt in self.formats)
            and (not self.carriers or carrier.name in self.carriers)
        )

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
            case DecodeJudge():
                return self.decode_bits(inputs, judge.element, judge.carrier)
            case QuantizeJudge():
                return self.quantize_bits(inputs, judge.fmt, judge.carrier, profile)
            case DequantizeJudge():
                return self.dequantize_bits(inputs, judge.fmt, judge.carrier)
            case _:
                raise TypeError(f"{self.name} does not answer {type(judge).__name__}")


def _exponent(code: int, scale: FloatFormat) -> int:
    """The exponent of a scale; 0 for NaN, whose results are left out."""
    value = decode(code, scale)
    return value.leading if value.is_finite else 0


_OPERATION_OF: dict[type[Judge], str] = {
    EncodeJudge: "encode",
    ScaledEncodeJudge: "encode-scaled",
    DecodeJudge: "decode",
    QuantizeJudge: "quantize",
    DequantizeJudge: "dequantize",
}
