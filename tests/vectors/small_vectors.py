"""A few vectors of each shape, and writers of their files that are not those of the package."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from products import draw

from conformance.vectors import memh
from conformance.vectors.table import Expect, Field, Role, Table
from mxemu.block import dequantize_bits, quantize_bits, value_bits
from mxemu.formats import BINARY32, E8M0, BlockFormat, block_format
from mxemu.products import Operand, dot
from mxemu.scalar import decode, encode_bits

Row = dict[str, list[int]]


@dataclass(frozen=True)
class Vectors:
    """A table and its rows: a list of numbers for each field."""

    table: Table
    rows: tuple[Row, ...]

    def changed(self, index: int, name: str, numbers: Mapping[int, int]) -> Vectors:
        """A copy in which some numbers of one field of one row are others."""
        rows = [dict(row) for row in self.rows]
        own = list(rows[index][name])
        for place, number in numbers.items():
            own[place] = number
        rows[index][name] = own
        return replace(self, rows=tuple(rows))

    def memh(self) -> str:
        lines = memh.header(self.table, len(self.rows)).splitlines()
        for index, row in enumerate(self.rows):
            words = [f"{packed(one, row[one.name]):0{one.digits}x}" for one in self.table.fields]
            lines.append("_".join(words) + f" // row {index}" * (index % 2))
        return "\n".join(lines) + "\n"

    def mxb(self, text: bytes) -> bytes:
        fields = self.table.fields
        sizes = (1, 64, self.table.size, len(self.rows), len(fields), len(text))
        header = struct.pack("<8sHHIQII", b"MXEMUVEC", *sizes) + hashlib.sha256(text).digest()
        records = [
            packed(one, row[one.name]).to_bytes(one.size, "little")
            for row in self.rows
            for one in fields
        ]
        return header + text + b"".join(records)


def packed(one: Field, numbers: Sequence[int]) -> int:
    """The whole field: number i at bits i * width."""
    return sum(number << place * one.width for place, number in enumerate(numbers))


def table_of(operation: str, name: str, inputs: Sequence[Field], results: Sequence[Field]) -> Table:
    """A table with an expectation after each result."""
    outs = [replace(one, role=Role.OUT) for one in results]
    both = [field for one in outs for field in (one, one.expectation)]
    return Table(
        operation, name, (*inputs, *both), header={"operation": operation, "profile": "ocp"}
    )


def encode_vectors(name: str = "E4M3", count: int = 300) -> Vectors:
    """binary32 to an element: any bits, NaN and Inf among them."""
    fmt = next(one.element for one in _all_blocks() if one.element.name == name)
    value = Field("value", 32, format="binary32")
    table = table_of(
        "encode",
        f"{name.lower()}/encode.binary32",
        [value],
        [Field("code", fmt.width, format=name)],
    )
    rng = Random(5)
    draws = [0, 0x7F800000, 0x7FC00000, 0xFF800001, *(rng.getrandbits(32) for _ in range(count))]
    rows = []
    for bits in draws:
        nan = decode(bits, BINARY32).is_nan
        how = (Expect.ANY_NAN if fmt.has_nan else Expect.UNSPECIFIED) if nan else Expect.EXACT
        rows.append(
            {"value": [bits], "code": [encode_bits(bits, BINARY32, fmt).code], "code_expect": [how]}
        )
    return Vectors(table, tuple(rows))


def _all_blocks() -> list[BlockFormat]:
    names = ("MXFP8_E4M3", "MXFP8_E5M2", "MXFP6_E3M2", "MXFP6_E2M3", "MXFP4_E2M1", "MXINT8")
    return [block_format(name) for name in names]


def quantize_vectors(fmt: BlockFormat, count: int = 40, *, numbered: bool = False) -> Vectors:
    """Blocks of binary32 numbers to a scale and codes, now and then with a NaN; the first one is the row, as bits."""
    k, element = fmt.k, fmt.element
    scale, codes = (
        Field("scale", 8, format="E8M0"),
        Field("codes", element.width, k, format=element.name),
    )
    values = Field("values", 32, k, format="binary32")
    table = table_of("quantize", f"{fmt.name.lower()}/quantize.binary32", [values], [scale, codes])
    rng, rows = Random(6), []
    for index in range(count):
        bits = [rng.getrandbits(32) & (0xBFFFFFFF if index % 8 else ~0) for _ in range(k)]
        bits[0] = index if numbered else bits[0]
        found = quantize_bits(bits, BINARY32, fmt)
        how = Expect.UNSPECIFIED if found.scale == 0xFF else Expect.EXACT
        rows.append(
            {
                "values": bits,
                "scale": [found.scale],
                "scale_expect": [Expect.EXACT],
                "codes": [*found.codes],
                "codes_expect": [how] * k,
            }
        )
    return Vectors(table, tuple(rows))


def dequantize_vectors(fmt: BlockFormat, count: int = 40) -> Vectors:
    """A scale and codes to binary32 numbers."""
    k, element = fmt.k, fmt.element
    inputs = [
        Field("scale", 8, format="E8M0"),
        Field("codes", element.width, k, format=element.name),
    ]
    table = table_of(
        "dequantize",
        f"{fmt.name.lower()}/dequantize",
        inputs,
        [Field("values", 32, k, format="binary32")],
    )
    rng, rows = Random(7), []
    for index in range(count):
        scale, codes = index * 7 % 256, [rng.getrandbits(element.width) for _ in range(k)]
        values = dequantize_bits(scale, codes, fmt)
        hows = [Expect.ANY_NAN if decode(one, BINARY32).is_nan else Expect.EXACT for one in values]
        rows.append({"scale": [scale], "codes": codes, "values": [*values], "values_expect": hows})
    return Vectors(table, tuple(rows))


def dot_vectors(
    fmt: BlockFormat, accumulation: str = "exact", blocks: int = 1, count: int = 60
) -> Vectors:
    """Dots of some blocks, by themes; what the accumulation decides is left to the profile."""
    k, w, name = fmt.k, fmt.element.width, fmt.element.name
    inputs = [
        field
        for side in "ab"
        for field in (
            Field(f"s{side}", 8, blocks, format="E8M0"),
            Field(side, w, k * blocks, format=name),
        )
    ]
    inputs.append(Field("c", 32, format="binary32"))
    operation = "dot" if blocks == 1 else "dot-general"
    table = table_of(
        operation,
        f"{fmt.name.lower()}/{operation}.{accumulation}",
        inputs,
        [Field("result", 32, format="binary32")],
    )
    rng, rows = Random(8), []
    for index in range(count):
        theme = draw.THEMES[index % len(draw.THEMES)]
        drawn = draw.vectors(theme, fmt, fmt, k * blocks, rng)
        c = value_bits(
            draw.carried(theme, BINARY32, rng) or decode(0, E8M0)._replace(significand=0)
        )
        left, right = Operand(drawn.a, fmt, drawn.a_scales), Operand(drawn.b, fmt, drawn.b_scales)
        bits = dot(left, right, decode(c, BINARY32), accumulation).bits
        how = Expect.ANY_NAN if decode(bits, BINARY32).is_nan else Expect.BY_PROFILE
        rows.append(
            {
                "sa": drawn.a_scales,
                "a": drawn.a,
                "sb": drawn.b_scales,
                "b": drawn.b,
                "c": [c],
                "result": [bits],
                "result_expect": [how],
            }
        )
    return Vectors(table, tuple(rows))
