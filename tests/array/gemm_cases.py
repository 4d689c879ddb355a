"""Operands for tests of matrix products, and their results by the exact core."""

from __future__ import annotations

from typing import Any

import numpy as np

import mxemu
from mxemu.accumulation import Accumulation
from mxemu.array import gemm
from mxemu.array.dots import Vectors
from mxemu.formats import BINARY32, BlockFormat, FloatFormat, block_format
from mxemu.products import dot
from mxemu.scalar import decode
from mxemu.value import Value

# How scales and codes are drawn.
KINDS = ("gaussian", "near", "wide", "low", "zeros", "cancelling", "special", "nan")
_UNWRITTEN = 0xDEADBEEF


def operand(form: str, rows: int, length: int, kind: str, seed: int) -> mxemu.Blocks:
    """Blocks with rows of ``length`` elements, a multiple of k."""
    rng, fmt = np.random.default_rng(seed), block_format(form)
    blocks = length // fmt.k
    if kind == "gaussian":
        numbers = rng.standard_normal((rows, length), dtype=np.float32)
        return mxemu.quantize(numbers, fmt)
    codes = rng.integers(0, 1 << fmt.element.width, (rows, blocks, fmt.k), np.uint8)
    codes = _finite(codes, fmt, rng.random(codes.shape) < (0.02 if kind == "special" else -1))
    if kind == "nan":
        codes[rng.random((rows, blocks)) < 0.2, 0] = (1 << fmt.element.width) - 1
    scales = rng.integers(*_scales(fmt, kind), (rows, blocks)).astype(np.uint8)
    if kind == "zeros":
        codes[rng.random((rows, blocks)) < 0.5] = 0
        codes[::3] = 0
    if kind == "cancelling":
        sign = getattr(fmt.element, "sign_mask", 0) * (seed % 2)
        half = codes[:, 1::2].shape[1]
        codes[:, 1::2] = codes[:, 0::2][:, :half] ^ np.uint8(sign)
        scales[:, 1::2] = scales[:, 0::2][:, :half]
    return mxemu.Blocks(codes, scales, fmt)


def _finite(codes: Any, fmt: BlockFormat, kept: Any) -> Any:
    """Codes without Inf and NaN but for the kept ones."""
    element = fmt.element
    if not isinstance(element, FloatFormat):
        return codes
    special = (codes & element.magnitude_mask) > element.max_code
    if not element.negative_zero:
        special |= codes == element.sign_mask
    return np.where(special & ~kept, codes & np.uint8(0x07), codes).astype(np.uint8)


def _scales(fmt: BlockFormat, kind: str) -> tuple[int, int]:
    """The range that scale codes are drawn from."""
    if fmt.scale.name != "E8M0":
        return 0, fmt.scale.max_code + (2 if kind == "nan" else 1)
    ranges = {"wide": (0, 255), "low": (30, 72), "nan": (100, 256)}
    return ranges.get(kind, (118, 136))


def carried(shape: tuple[int, int], seed: int, special: bool) -> Any:
    """C in binary32: of any size, and with zeros, Inf and NaN among them."""
    rng = np.random.default_rng(seed)
    sizes = np.float32(2) ** rng.integers(-148, 120, shape).astype(np.float32)
    c = rng.standard_normal(shape, dtype=np.float32) * sizes
    c[rng.random(shape) < 0.2] = -0.0
    if special:
        odd = np.array([np.inf, -np.inf, np.nan], np.float32)
        c = np.where(rng.random(shape) < 0.2, odd[rng.integers(0, 3, shape)], c)
    return c


def vectors(given: Any) -> Vectors:
    """Rows of blocks, or of codes and the name of their format."""
    if isinstance(given, mxemu.Blocks):
        codes = given.codes.reshape(len(given.codes), -1)
        return Vectors(codes, given.scales, given.block_format, given.tensor_scale)
    return Vectors(given[0], None, mxemu.formats.element(given[1]), None)


def expected(a: Vectors, b: Vectors, row: int, column: int, c: Any, record: Accumulation) -> int:
    """The bits of one result by the exact core."""
    own = None if c is None else _value(c[row, column])
    return dot(a.operand(row), b.operand(column), own, record).bits


def _value(number: Any) -> Value:
    return decode(int(np.float32(number).view(np.uint32)), BINARY32)


class Product:
    """A matrix product in the fast way, and how often it asked for the slow one.

    Attributes
    ----------
    done : bool
        Whether there was a fast way.
    bits : ndarray of uint32
    asked : int
    """

    def __init__(self, a: Any, b: Any, record: Accumulation, c: Any = None) -> None:
        self.a, self.b, self.c, self.record = vectors(a), vectors(b), c, record
        self.asked = 0
        shape = len(self.a.codes), len(self.b.codes)
        self.bits = np.full(shape, _UNWRITTEN, np.uint32)
        self.done = gemm.matmul(self.a, self.b, record, c, self.bits, self._fallback)

    def _fallback(self, rows: Any, columns: Any) -> Any:
        self.asked += len(rows)
        return np.array(
            [self.expected(i, j) for i, j in zip(rows, columns, strict=True)], np.uint32
        )

    def expected(self, row: int, column: int) -> int:
        return expected(self.a, self.b, int(row), int(column), self.c, self.record)

    def wrong(self, count: int, seed: int = 0) -> list[tuple[int, int, str, str]]:
        """Differences from the exact core among some results: row, column, both bits."""
        places = np.random.default_rng(seed).permutation(self.bits.size)[:count]
        found = []
        for place in places:
            row, column = divmod(int(place), self.bits.shape[1])
            right, got = self.expected(row, column), int(self.bits[row, column])
            if right != got:
                found.append((row, column, hex(right), hex(got)))
        return found
