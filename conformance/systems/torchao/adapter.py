"""torchao: `to_mx` and `to_dtype` in eager mode on a CPU, and the element conversions below them.

The subject itself takes scales by FLOOR, the default; its variants are the other modes of ScaleCalculationMode.
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

from conformance.systems.tensors import array_of, tensor_of
from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.formats import block_format

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
    "E2M1/E8M0/16",
]
QUANTIZE = {"formats": BLOCKS, "carriers": ["binary32", "bfloat16"]}
RULES = {"ceil": "CEIL", "rceil": "RCEIL", "even": "EVEN"}


def _of_mode(rule: str) -> dict[str, Any]:
    """The record of a variant: the scale rule is all that changes."""
    return {
        "operations": {"quantize": QUANTIZE},
        "profile": {"preset": "ocp", "scale_rule": rule},
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
    "k": [16],
    "variants": {mode: _of_mode(rule) for mode, rule in RULES.items()},
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
    """Two codes of E2M1 come in a byte and are taken apart by torchao's own function."""
    fmt = block_format(format_name)
    dtype = _found(DTYPES, fmt.element.name)
    scales, data = to_mx(tensor_of(values), dtype, fmt.k, ScaleCalculationMode(mode))
    codes = kernels.unpack_uint4(data) if fmt.element.name == "E2M1" else data.view(torch.uint8)
    return array_of(scales.view(torch.uint8).reshape(-1)), array_of(codes)


def dequantize(scales: NDArray[Any], codes: NDArray[Any], format_name: str) -> NDArray[Any]:
    """`to_dtype` to binary32."""
    fmt = block_format(format_name)
    dtype = _found(DTYPES, fmt.element.name)
    data = tensor_of(codes.astype(np.uint8))
    if fmt.element.name == "E2M1":
        data = kernels.pack_uint4(data)
    elif isinstance(dtype, torch.dtype):
        data = data.view(dtype)
    bits = tensor_of(scales.astype(np.uint8)).view(torch.float8_e8m0fnu)
    return array_of(to_dtype(data, bits, dtype, fmt.k, torch.float32))


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


def variant(chosen: str) -> _Mode:
    """The adapter of a mode."""
    return _Mode(chosen)
