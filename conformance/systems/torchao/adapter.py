"""torchao: `to_mx` and `to_dtype` in eager mode on a CPU, and the element conversions below them.

The subject itself takes scales by FLOOR, the default; ``ceil``, ``rceil`` and ``even`` are the other modes of
ScaleCalculationMode. In ``bfloat16`` values come out in that carrier, in ``swizzled`` scales in the order of hardware.
``nvfp4`` is `nvfp4_quantize` without a scale of the whole tensor. Packed codes and swizzled scales
are taken apart here and not by torchao's inverse functions, which would hide an order of their own.
"""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchao.prototype.mx_formats import kernels
from torchao.prototype.mx_formats.config import ScaleCalculationMode
from torchao.prototype.mx_formats.constants import DTYPE_FP6_E2M3, DTYPE_FP6_E3M2
from torchao.prototype.mx_formats.mx_tensor import to_dtype, to_mx
from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize

from conformance.systems.tensors import array_of, tensor_of
from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.formats import BlockFormat, block_format
from mxemu.layout import unpack_scales

DTYPES: dict[str, Any] = {
    "E5M2": torch.float8_e5m2,
    "E4M3": torch.float8_e4m3fn,
    "E3M2": DTYPE_FP6_E3M2,
    "E2M3": DTYPE_FP6_E2M3,
    "E2M1": torch.float4_e2m1fn_x2,
}
ENCODERS = {
    "E3M2": kernels.f32_to_f6_e3m2_unpacked,
    "E2M3": kernels.f32_to_f6_e2m3_unpacked,
    "E2M1": kernels.f32_to_f4_unpacked,
}
DECODERS = {
    "E3M2": kernels.f6_e3m2_unpacked_to_f32,
    "E2M3": kernels.f6_e2m3_unpacked_to_f32,
    "E2M1": kernels.f4_unpacked_to_f32,
}
BLOCKS = [
    *("MXFP8_E5M2", "MXFP8_E4M3", "MXFP6_E3M2", "MXFP6_E2M3", "MXFP4_E2M1"),
    *("E2M1/E8M0/16", "E4M3/E8M0/64"),
]
QUANTIZE = {"formats": BLOCKS, "carriers": ["binary32", "bfloat16"]}
SIDE = 4
"""Blocks in a row of the array whose scales are swizzled."""


def _of_mode(rule: str, offer: dict[str, Any] = QUANTIZE) -> dict[str, Any]:
    """The record of a variant: the scale rule is all that changes."""
    return {"operations": {"quantize": offer}, "profile": {"preset": "ocp", "scale_rule": rule}}


VARIANTS = {
    "ceil": _of_mode("CEIL"),
    "rceil": _of_mode("RCEIL"),
    "even": _of_mode("EVEN"),
    "bfloat16": {"operations": {"dequantize": {"formats": BLOCKS, "carriers": ["bfloat16"]}}},
    "swizzled": _of_mode(
        "FLOOR", {"formats": ["MXFP8_E4M3", "MXFP4_E2M1"], "carriers": ["binary32"]}
    ),
}

VARIANTS["nvfp4"] = {
    "operations": {"quantize": {"formats": ["NVFP4"], "carriers": ["binary32", "bfloat16"]}},
    # Scales are held above the smallest normal number of E4M3 (E4M3_EPS).
    "profile": {"preset": "ocp", "scale_rule": "RATIO", "scale_clamp": [0x08, 0x7E]},
}

name = "torchao"
version = version_of("torchao")
capabilities = {
    "operations": {
        "encode": {"formats": list(ENCODERS), "carriers": ["binary32"]},
        "decode": {"formats": list(DECODERS), "carriers": ["binary32"]},
        "quantize": QUANTIZE,
        "dequantize": {"formats": BLOCKS, "carriers": ["binary32"]},
    },
    "profile": declared_profile("torchao"),
    "k": [16, 64],
    "variants": VARIANTS,
}


def encode(values: NDArray[Any], element: str) -> NDArray[Any]:
    """The conversion kernels of FP6 and FP4, one code in each byte."""
    return array_of(_found(ENCODERS, element)(tensor_of(values)))


def decode(codes: NDArray[Any], element: str) -> NDArray[Any]:
    """The other way round."""
    return array_of(_found(DECODERS, element)(tensor_of(codes.astype(np.uint8))))


def quantize(values: NDArray[Any], format_name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """`to_mx` with the default scale calculation mode."""
    return _quantized(values, format_name, "floor")


def _quantized(
    values: NDArray[Any], format_name: str, mode: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scales and codes of all blocks."""
    fmt = block_format(format_name)
    dtype = _found(DTYPES, fmt.element.name)
    scales, data = to_mx(tensor_of(values), dtype, fmt.k, ScaleCalculationMode(mode))
    return array_of(scales.view(torch.uint8).reshape(-1)), _codes(data, fmt, values.shape)


def _codes(data: torch.Tensor, fmt: BlockFormat, shape: tuple[int, ...]) -> NDArray[Any]:
    """One code in each byte; those of E2M1 lie two in one, the first one low."""
    stored = array_of(data.view(torch.uint8))
    if fmt.element.name != "E2M1":
        return stored
    return np.stack([stored & 0xF, stored >> 4], axis=-1).reshape(shape)


def dequantize(scales: NDArray[Any], codes: NDArray[Any], format_name: str) -> NDArray[Any]:
    """`to_dtype` to binary32."""
    return _dequantized(scales, codes, format_name, torch.float32)


def _dequantized(
    scales: NDArray[Any], codes: NDArray[Any], format_name: str, carrier: torch.dtype
) -> NDArray[Any]:
    fmt = block_format(format_name)
    dtype = _found(DTYPES, fmt.element.name)
    stored = codes.astype(np.uint8)
    if fmt.element.name == "E2M1":
        stored = (stored[:, 0::2] | stored[:, 1::2] << 4).astype(np.uint8)
    data = tensor_of(stored)
    if fmt.element.name != "E2M1" and isinstance(dtype, torch.dtype):
        data = data.view(dtype)
    bits = tensor_of(scales.astype(np.uint8)).view(torch.float8_e8m0fnu)
    return array_of(to_dtype(data, bits, dtype, fmt.k, carrier))


def _found(known: dict[str, Any], element: str) -> Any:
    if element not in known:
        raise Unsupported(f"torchao has no conversion for {element}")
    return known[element]


class _Mode:
    """`to_mx` with another scale calculation mode."""

    name = name
    version = version
    capabilities = capabilities

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def quantize(self, values: NDArray[Any], format_name: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `quantize`."""
        return _quantized(values, format_name, self.mode)


class _Brain:
    """Values in bfloat16."""

    name = name
    version = version
    capabilities = capabilities

    def dequantize(
        self, scales: NDArray[Any], codes: NDArray[Any], format_name: str
    ) -> NDArray[Any]:
        """`to_dtype` to bfloat16."""
        return _dequantized(scales, codes, format_name, torch.bfloat16)


class _Swizzled:
    """Scales in the order that the matrix units of NVIDIA's GPUs take."""

    name = name
    version = version
    capabilities = capabilities

    def quantize(self, values: NDArray[Any], format_name: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """`to_mx` of an array with `SIDE` blocks in a row."""
        fmt = block_format(format_name)
        missing = -len(values) % SIDE
        whole = np.concatenate([values, np.zeros((missing, fmt.k), values.dtype)])
        given = tensor_of(whole.reshape(-1, SIDE * fmt.k))
        dtype = _found(DTYPES, fmt.element.name)
        scales, data = to_mx(given, dtype, fmt.k, is_swizzled_scales=True)
        stored = array_of(scales.view(torch.uint8)).tobytes()
        rows = unpack_scales(stored, len(given), SIDE, "nvidia-128x4")
        codes = _codes(data, fmt, whole.shape).reshape(whole.shape)
        return np.array(rows, dtype=np.uint8).reshape(-1)[: len(values)], codes[: len(values)]


class _NvFp4:
    """Blocks of 16 with scales of E4M3."""

    name = name
    version = version
    capabilities = capabilities

    def quantize(self, values: NDArray[Any], format_name: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """`nvfp4_quantize` with scales of blocks only."""
        scales, data = nvfp4_quantize(tensor_of(values))
        codes = _codes(data, block_format(format_name), values.shape)
        return array_of(scales.view(torch.uint8)).reshape(-1), codes


def variant(chosen: str) -> Any:
    """The adapter of a variant."""
    other = {"bfloat16": _Brain, "swizzled": _Swizzled, "nvfp4": _NvFp4}.get(chosen)
    return other() if other else _Mode(chosen)
