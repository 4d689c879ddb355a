"""Right implementations that put things in wrong places, by another hand: no index map of the suite is used."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import mxemu
from conformance.arrays import as_bits
from mxemu.accumulation import Accumulation
from mxemu.profile import Profile


class Scrambler:
    """Right; each kind overrides what it mixes up."""

    version = "1"
    format: ClassVar[str] = "MXFP4_E2M1"
    carrier: ClassVar[str] = "binary32"
    operation: ClassVar[str] = "quantize"
    profile: ClassVar[str] = "ocp"

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def capabilities(self) -> dict[str, Any]:
        if self.operation in ("dot", "dot-general", "matmul"):
            return {"operations": {self.operation: {"formats": [self.format]}}}
        offer = {"formats": [self.format], "carriers": [self.carrier]}
        return {"operations": {self.operation: offer}}

    def encode(self, values: Any, element: str, profile: Profile) -> Any:
        return self.gave_codes(mxemu.encode(self.took_values(values), element))

    def decode(self, codes: Any, element: str) -> Any:
        return self.gave_values(mxemu.decode(self.took_codes(codes), element))

    def quantize(self, values: Any, block_format: str, profile: Profile) -> tuple[Any, Any]:
        given = self.took_values(values)
        blocks = mxemu.quantize(given, block_format, profile=self.profile, carrier=self.carrier)
        return self.gave_blocks(blocks.scales[:, 0].copy(), blocks.codes[:, 0].copy())

    def fake_quantize(self, values: Any, block_format: str, profile: Profile) -> Any:
        blocks = mxemu.quantize(self.took_values(values), block_format, profile=self.profile)
        return self.gave_values(mxemu.dequantize(blocks))

    def dequantize(self, scales: Any, codes: Any, block_format: str) -> Any:
        scales, codes = self.took_blocks(scales.copy(), codes.copy())
        fmt = mxemu.formats.block_format(block_format)
        return self.gave_values(
            mxemu.dequantize(mxemu.Blocks(codes[:, None], scales[:, None], fmt))
        )

    def dot(
        self, sa: Any, a: Any, sb: Any, b: Any, c: Any, names: Any, record: Accumulation
    ) -> Any:
        sa, a, sb, b = self.took_operands(sa.copy(), a.copy(), sb.copy(), b.copy())
        return self.gave_bits(
            mxemu.dot(blocks_of(sa, a, names[0]), blocks_of(sb, b, names[1]), bits=True)
        )

    def matmul(self, sa: Any, a: Any, sb: Any, b: Any, c: Any, names: Any, record: Any) -> Any:
        sa, a, sb, b = self.took_operands(sa.copy(), a.copy(), sb.copy(), b.copy())
        left, right = blocks_of(sa, a, names[0]), blocks_of(sb, b, names[1])
        return self.gave_bits(as_bits(mxemu.matmul(left, right), "binary32"))

    def took_values(self, values: Any) -> Any:
        return values

    def took_codes(self, codes: Any) -> Any:
        return codes

    def took_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        return scales, codes

    def took_operands(self, sa: Any, a: Any, sb: Any, b: Any) -> tuple[Any, Any, Any, Any]:
        return sa, a, sb, b

    def gave_codes(self, codes: Any) -> Any:
        return codes

    def gave_values(self, values: Any) -> Any:
        return values

    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        return scales, codes

    def gave_bits(self, bits: Any) -> Any:
        return bits


def blocks_of(scales: Any, codes: Any, name: str) -> Any:
    """Rows of codes as operands."""
    fmt = mxemu.formats.block_format(name)
    return mxemu.Blocks(codes.reshape(len(codes), -1, fmt.k), scales, fmt)


def nibbles(codes: Any) -> Any:
    """The two halves of each byte exchanged, by way of bytes."""
    packed = codes[..., 0::2] | codes[..., 1::2] << 4
    packed = packed >> 4 | packed << 4 & 0xFF
    found = np.empty_like(codes)
    found[..., 0::2], found[..., 1::2] = packed & 15, packed >> 4
    return found


def bit_text(row: Any, width: int) -> str:
    """Codes as a string of bits, the lowest bit of the first code first."""
    return "".join(f"{code:0{width}b}"[::-1] for code in row)


def from_text(text: str, width: int) -> list[int]:
    return [int(text[at : at + width][::-1], 2) for at in range(0, len(text), width)]


class NibblesSwapped(Scrambler):
    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        return scales, nibbles(codes)


class NibblesReadSwapped(Scrambler):
    operation = "dequantize"

    def took_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        return scales, nibbles(codes)


class NibblesOfB(Scrambler):
    operation = "dot"

    def took_operands(self, sa: Any, a: Any, sb: Any, b: Any) -> tuple[Any, Any, Any, Any]:
        return sa, a, sb, nibbles(b)


class BigEndianWords(Scrambler):
    format = "MXFP8_E4M3"

    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        return scales, codes.view(">u4").astype("<u4").view(np.uint8)


class BigEndianWordsOfNibbles(Scrambler):
    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        packed = np.ascontiguousarray(codes[:, 0::2] | codes[:, 1::2] << 4)
        packed = packed.view(">u4").astype("<u4").view(np.uint8)
        return scales, np.stack([packed & 15, packed >> 4], axis=-1).reshape(codes.shape)


class SplitHalves(Scrambler):
    """The nibbles of a GGML block, read one behind the other."""

    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        packed = codes[:, :16] | codes[:, 16:] << 4
        return scales, np.stack([packed & 15, packed >> 4], axis=-1).reshape(codes.shape)


class Reversed(Scrambler):
    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        return scales, codes[:, ::-1]


class Interleaved(Scrambler):
    format = "MXFP8_E5M2"

    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        return scales, np.dstack([codes[:, :16], codes[:, 16:]]).reshape(codes.shape)


class EvensFirst(Scrambler):
    format = "MXINT8"

    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        return scales, np.concatenate([codes[:, 0::2], codes[:, 1::2]], axis=1)


class Tiles(Scrambler):
    """Each block stored as a tile of 8 rows, column after column."""

    operation = "dequantize"
    format = "MXFP8_E5M2"

    def took_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        return scales, codes.reshape(-1, 8, 4).swapaxes(1, 2).reshape(codes.shape)


class HighBitsFirst(Scrambler):
    """FP6 out of a bit stream that starts at the highest bit."""

    operation = "dequantize"
    format = "MXFP6_E3M2"

    def took_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        rows = []
        for row in codes:
            stored = from_text(bit_text(row, 6), 8)
            stream = "".join(f"{byte:08b}" for byte in stored)
            rows.append([int(stream[at : at + 6], 2) for at in range(0, len(stream), 6)])
        return scales, np.array(rows, dtype=np.uint8)


class OldFp6(Scrambler):
    """FP6 in three bytes: 4-bit and 2-bit parts apart, read as a dense stream of bits."""

    format = "MXFP6_E2M3"

    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        a, b, c, d = (codes[:, lane::4].astype(int) for lane in range(4))
        parts = [
            b >> 2 | (a >> 2) << 4,
            c >> 2 | (d >> 2) << 4,
            c & 3 | (d & 3) << 2 | (b & 3) << 4 | (a & 3) << 6,
        ]
        stored = np.stack(parts, axis=-1).reshape(len(codes), -1)
        rows = [from_text(bit_text(row, 8), 6) for row in stored]
        return scales, np.array(rows, dtype=np.uint8)


class ScaleBehind(Scrambler):
    """Blocks of 33 bytes with the scale at the end, read as if it came first."""

    format = "MXFP8_E4M3"

    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        joined = np.column_stack([codes, scales])
        return joined[:, 0], joined[:, 1:]


class ScaleOfFbgemmReadAsGgml(Scrambler):
    """17 bytes with the scale at the end, read as if it came first; and the nibbles as halves of the block."""

    operation = "dequantize"

    def took_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        joined = np.column_stack([codes[:, 0::2] | codes[:, 1::2] << 4, scales])
        body = joined[:, 1:]
        return joined[:, 0], np.concatenate([body & 15, body >> 4], axis=1)


def swizzled(scales: Any) -> Any:
    """Scales in tiles of 128 x 4, as a tensor core takes them: the reshapes of the manuals, padded with zeros."""
    rows, columns = scales.shape
    padded = np.zeros((-(-rows // 128) * 128, -(-columns // 4) * 4), np.uint8)
    padded[:rows, :columns] = scales
    tiles = padded.reshape(-1, 128, padded.shape[1] // 4, 4).swapaxes(1, 2)
    return tiles.reshape(-1, 4, 32, 4).swapaxes(1, 2).ravel()


class ScalesSwizzled(Scrambler):
    """A matrix product that takes its scales as they are for such tiles."""

    operation = "matmul"

    def took_operands(self, sa: Any, a: Any, sb: Any, b: Any) -> tuple[Any, Any, Any, Any]:
        sa, sb = (swizzled(one)[: one.size].reshape(one.shape) for one in (sa, sb))
        return sa, a, sb, b


class ScalesGivenSwizzled(Scrambler):
    """The first of the bytes that it has made for such tiles, one block in each row."""

    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        return swizzled(scales[:, None])[: len(scales)], codes


class ScalesOfEachOther(Scrambler):
    """The scales of a and b are passed the wrong way round; rows that are not there start again at the first."""

    operation = "matmul"
    format = "MXFP8_E4M3"

    def took_operands(self, sa: Any, a: Any, sb: Any, b: Any) -> tuple[Any, Any, Any, Any]:
        return np.resize(sb, sa.shape), a, np.resize(sa, sb.shape), b


class ProductTransposed(Scrambler):
    operation = "matmul"

    def gave_bits(self, bits: Any) -> Any:
        return np.asfortranarray(bits).ravel("K").reshape(bits.shape)


class ColumnMajorB(Scrambler):
    operation = "matmul"

    def took_operands(self, sa: Any, a: Any, sb: Any, b: Any) -> tuple[Any, Any, Any, Any]:
        return sa, a, sb, b.ravel().reshape(b.shape, order="F")


class Backwards(Scrambler):
    operation = "dot-general"

    def took_operands(self, sa: Any, a: Any, sb: Any, b: Any) -> tuple[Any, Any, Any, Any]:
        return sa, a, sb, b[:, ::-1]


class BigEndianInputs(Scrambler):
    def took_values(self, values: Any) -> Any:
        return values.byteswap()


class BigEndianValues(Scrambler):
    operation = "dequantize"

    def gave_values(self, values: Any) -> Any:
        return values.byteswap()


class HalvesOfWords(Scrambler):
    operation = "fake_quantize"

    def gave_values(self, values: Any) -> Any:
        words = np.ascontiguousarray(values).view(np.uint16)
        return words.reshape(-1, 2)[:, ::-1].ravel().view(np.float32).reshape(values.shape)


class NextScale(Scrambler):
    def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
        return np.append(scales[1:], scales[:1]), codes


class ColumnsFirst(Scrambler):
    format = "MXFP8_E4M3"

    def took_values(self, values: Any) -> Any:
        return values.ravel().reshape(values.shape, order="F")


class EncodedPairs(Scrambler):
    operation = "encode"
    format = "E2M1"

    def gave_codes(self, codes: Any) -> Any:
        return (
            nibbles(codes[: len(codes) // 2 * 2])
            if len(codes) % 2 == 0
            else np.append(nibbles(codes[:-1]), codes[-1])
        )


class BitsUpsideDown(Scrambler):
    operation = "decode"
    format = "E5M2"

    def took_codes(self, codes: Any) -> Any:
        return np.array([int(f"{code:08b}"[::-1], 2) for code in codes], np.uint8)
