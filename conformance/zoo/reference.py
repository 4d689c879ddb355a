"""The correct implementation that every zoo member spoils in one place. It is built on the exact core's tables."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from conformance.arrays import BITS_DTYPES, Array, as_bits, as_values, decode_table, encode_by_runs
from conformance.judges import (
    BlockJudge,
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    Judge,
    QuantizeJudge,
)
from mxemu import __version__
from mxemu.block import dequantize_bits, quantize_bits
from mxemu.formats import (
    BINARY32,
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
from mxemu.profile import OCP, Profile
from mxemu.scalar import decode
from mxemu.scale import encode_scale

_CARRIER_OF = {
    np.dtype(np.float64): "binary64",
    np.dtype(np.float32): "binary32",
    np.dtype(np.float16): "binary16",
}


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
        return {
            "operations": {
                "encode": {
                    "formats": elements,
                    "carriers": list(CARRIERS),
                    "overflows": ["SATURATE", "OVERFLOW"],
                },
                "decode": {"formats": [*elements, E8M0.name], "carriers": ["binary32"]},
                "quantize": {"formats": blocks, "carriers": list(CARRIERS)},
                "dequantize": {"formats": blocks, "carriers": ["binary32"]},
            },
            "profile": "ocp",
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

    def encode_bits(
        self, bits: Array, fmt: ElementFormat, carrier: FloatFormat, profile: Profile
    ) -> Array:
        """Codes of inputs given as bits."""
        if isinstance(fmt, FloatFormat) and not fmt.subnormals:
            return np.array([encode_scale(decode(int(one), carrier), fmt, profile) for one in bits])
        return encode_by_runs(bits, fmt, carrier, profile)

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
        operation = _OPERATION_OF.get(type(judge), "")
        fmt = (
            judge.fmt.name
            if isinstance(judge, (BlockJudge, DequantizeJudge))
            else getattr(judge.element, "name", "")
        )
        carrier: FloatFormat = judge.carrier  # type: ignore[attr-defined]
        return (
            operation in self.operations
            and (not self.formats or fmt in self.formats)
            and (not self.carriers or carrier.name in self.carriers)
        )

    def outcome(self, judge: Judge, profile: Profile, rows: Array | None = None) -> Array:
        """What this member gives for a judge's cases, or for some of them."""
        inputs = judge.cases.inputs if rows is None else judge.cases.inputs[rows]
        match judge:
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


_OPERATION_OF: dict[type[Judge], str] = {
    EncodeJudge: "encode",
    DecodeJudge: "decode",
    QuantizeJudge: "quantize",
    DequantizeJudge: "dequantize",
}
