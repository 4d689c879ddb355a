"""The verbs on NumPy arrays of any shape, bit for bit what the exact core gives, at memory speed.

Deterministic conversions are gathers from tables that the exact core fills (`tables`, `kernels`); STOCHASTIC rounding,
wide elements and arbitrary tensor scales are done in exact integers (`integers`).
"""

from __future__ import annotations

from mxemu.array.blocks import Blocks
from mxemu.array.compare import compare_formats
from mxemu.array.dots import dot, matmul
from mxemu.array.elements import decode, encode
from mxemu.array.packing import pack, unpack
from mxemu.array.quantizer import dequantize, quantize
from mxemu.array.threads import get_threads, set_threads

__all__ = [
    "Blocks",
    "compare_formats",
    "decode",
    "dequantize",
    "dot",
    "encode",
    "get_threads",
    "matmul",
    "pack",
    "quantize",
    "set_threads",
    "unpack",
]
