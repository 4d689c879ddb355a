"""The seeded subject as kernels of Triton, on a GPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import triton
import triton.language as tl

sys.path.insert(0, str(Path(__file__).parent))
import seeded

ROWS = 128


@triton.jit
def count(bits, up):
    """How many of the seven ties a magnitude lies above; those on it count where ``up`` is 1."""
    # The bits of 0.25, 0.75, 1.25, 1.75, 2.5, 3.5 and 5.
    low = (bits > 0x3E800000 - up).to(tl.int32) + (bits > 0x3F400000 - up).to(tl.int32)
    low += (bits > 0x3FA00000 - up).to(tl.int32) + (bits > 0x3FE00000 - up).to(tl.int32)
    high = (bits > 0x40200000 - up).to(tl.int32) + (bits > 0x40600000 - up).to(tl.int32)
    return low + high + (bits > 0x40A00000 - up).to(tl.int32)


@triton.jit
def encode_kernel(values, codes, size, ROWS: tl.constexpr):
    at = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    bits = tl.load(values + at, at < size, 0)
    negative = (bits < 0).to(tl.int32)
    tl.store(codes + at, count(bits & 0x7FFFFFFF, 1 - negative) + 8 * negative, at < size)


@triton.jit
def decode_kernel(codes, values, size, ROWS: tl.constexpr):
    at = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    code = tl.load(codes + at, at < size, 0).to(tl.int32)
    field, mantissa = (code >> 1) & 3, code & 1
    small = mantissa * 0x3F000000  # 0 or one half
    bits = tl.where(field == 0, small, ((field + 126) << 23) | (mantissa << 22))
    tl.store(values + at, bits | ((code >> 3) << 31), at < size)


@triton.jit
def quantize_kernel(values, scales, codes):
    row = tl.program_id(0)
    at = row * 32 + tl.arange(0, 32)
    bits = tl.load(values + at)
    negative, magnitudes = (bits < 0).to(tl.int32), bits & 0x7FFFFFFF
    scale = tl.maximum((tl.max(magnitudes, 0) >> 23) - 3, 0)
    tl.store(scales + row, scale)
    power = (((127 - scale).to(tl.int64) + 1023) << 52).to(tl.float64, bitcast=True)
    scaled = magnitudes.to(tl.float32, bitcast=True).to(tl.float64) * power
    # Ties alternate: those above an odd code belong to the even one above it.
    code = (scaled > 0.25).to(tl.int32) + (scaled >= 0.75).to(tl.int32)
    code += (scaled > 1.25).to(tl.int32) + (scaled >= 1.75).to(tl.int32)
    code += (scaled > 2.5).to(tl.int32) + (scaled >= 3.5).to(tl.int32)
    code += (scaled > 5.0).to(tl.int32)
    code = tl.where(magnitudes > 0x7F800000, 7, code)
    tl.store(codes + at, code + 8 * negative)


def launch(kernel: Any, given: Any, dtype: Any) -> Any:
    """One result for each number."""
    found = torch.empty(given.shape, dtype=dtype, device=given.device)
    kernel[triton.cdiv(given.numel(), ROWS),](given, found, given.numel(), ROWS)
    return found


class Kernels:
    """Encode, decode and quantize as ``seeded.py`` does."""

    name, version, capabilities = "seeded", "1", seeded.capabilities
    tensors = "torch:cuda"

    def encode(self, values: Any, element: str) -> Any:
        return launch(encode_kernel, values.view(torch.int32), torch.uint8)

    def decode(self, codes: Any, element: str) -> Any:
        return launch(decode_kernel, codes, torch.int32).view(torch.float32)

    def quantize(self, values: Any, block_format: str) -> tuple[Any, Any]:
        scales = torch.empty(len(values), dtype=torch.uint8, device=values.device)
        codes = torch.empty(values.shape, dtype=torch.uint8, device=values.device)
        quantize_kernel[len(values),](values.view(torch.int32), scales, codes)
        return scales, codes
