"""compressed-tensors: scales by `calculate_qparams`, then the compressor of each MX scheme, as a checkpoint is made.

The variant ``mxfp6`` has a declared profile of its own, because the scale rule is that of E2M1 elsewhere, and so has
``nvfp4``, whose scales are of E4M3, under a global scale of 1. Packed codes are taken apart and put together here and
not by the library's own functions, which would hide an order of their own.
"""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

import numpy as np
import torch
from compressed_tensors.compressors.mxfp4.base import MXFP4PackedCompressor
from compressed_tensors.compressors.mxfp6.base import MXFP6PackedCompressor
from compressed_tensors.compressors.mxfp8.base import MXFP8QuantizationCompressor
from compressed_tensors.compressors.nvfp4.base import NVFP4PackedCompressor
from compressed_tensors.quantization import QuantizationScheme
from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES
from compressed_tensors.quantization.utils import calculate_qparams
from numpy.typing import NDArray

from conformance.systems.tensors import array_of, tensor_of
from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.formats import block_format

COMPRESSORS: dict[str, tuple[str, Any]] = {
    "MXFP8_E4M3": ("MXFP8A16", MXFP8QuantizationCompressor),
    "MXFP6_E2M3": ("MXFP6A16", MXFP6PackedCompressor),
    "MXFP4_E2M1": ("MXFP4A16", MXFP4PackedCompressor),
    "NVFP4": ("NVFP4A16", NVFP4PackedCompressor),
}


def _operations(*formats: str) -> dict[str, Any]:
    """Every carrier that weights may have; they come back in bfloat16."""
    return {
        "quantize": {"formats": list(formats), "carriers": ["binary32", "binary16", "bfloat16"]},
        "dequantize": {"formats": list(formats), "carriers": ["bfloat16"]},
    }


name = "compressed_tensors"
version = version_of("compressed-tensors")
capabilities = {
    "operations": _operations("MXFP8_E4M3", "MXFP4_E2M1"),
    "profile": declared_profile("compressed_tensors"),
    "variants": {
        "mxfp6": {
            "operations": _operations("MXFP6_E2M3"),
            "profile": {"preset": "ocp", "scale_rule": "EVEN"},
        },
        "nvfp4": {
            "operations": _operations("NVFP4"),
            "profile": {"preset": "ocp", "scale_rule": "RATIO"},
        },
    },
}


def quantize(values: NDArray[Any], format_name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Compress a weight of n rows with one group each."""
    scheme, compressor = _scheme(format_name)
    weight = tensor_of(values)
    lowest, highest = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    whole = _global(format_name)
    scales, _ = calculate_qparams(lowest, highest, scheme.weights, *whole.values())
    found = compressor.compress({"weight": weight, "weight_scale": scales, **whole}, scheme)
    stored = found["weight" if format_name == "MXFP8_E4M3" else "weight_packed"]
    codes = _apart(array_of(stored.view(torch.uint8)), format_name)
    return array_of(found["weight_scale"].view(torch.uint8)).reshape(-1), codes


def dequantize(scales: NDArray[Any], codes: NDArray[Any], format_name: str) -> NDArray[Any]:
    """Decompress a weight of n rows with one group each, to bfloat16."""
    scheme, compressor = _scheme(format_name)
    data = tensor_of(_together(codes.astype(np.uint8), format_name))
    bits = tensor_of(scales.astype(np.uint8)).reshape(-1, 1)
    state = {"weight_packed": data, "weight_scale": bits, **_global(format_name)}
    if format_name == "MXFP8_E4M3":
        state = {"weight": data.view(torch.float8_e4m3fn), "weight_scale": bits}
    if format_name == "NVFP4":
        state["weight_scale"] = bits.view(torch.float8_e4m3fn)
    return array_of(compressor.decompress(state, scheme)["weight"])


def _scheme(format_name: str) -> tuple[QuantizationScheme, Any]:
    if format_name not in COMPRESSORS:
        raise Unsupported(f"compressed-tensors has no scheme for {format_name}")
    preset, compressor = COMPRESSORS[format_name]
    return QuantizationScheme(targets=["Linear"], **PRESET_SCHEMES[preset]), compressor


def _global(format_name: str) -> dict[str, torch.Tensor]:
    """The scale of the whole tensor, where the scheme has one."""
    return {"weight_global_scale": torch.ones(1)} if format_name == "NVFP4" else {}


def _shifts(format_name: str) -> NDArray[np.uint32]:
    """Where the codes stand in a group of whole bytes, the first one lowest: two in one byte, or four in three."""
    width = block_format(format_name).element.width
    return np.arange(0, {4: 8, 6: 24, 8: 8}[width], width, dtype=np.uint32)


def _apart(stored: NDArray[np.uint8], format_name: str) -> NDArray[np.uint8]:
    """One code in each item from packed bytes."""
    shifts = _shifts(format_name)
    width = block_format(format_name).element.width
    groups = stored.reshape(len(stored), -1, len(shifts) * width // 8).astype(np.uint32)
    words = (groups << np.arange(0, 8 * groups.shape[-1], 8, dtype=np.uint32)).sum(-1, np.uint32)
    codes = words[..., None] >> shifts & np.uint32((1 << width) - 1)
    return codes.reshape(len(stored), -1).astype(np.uint8)


def _together(codes: NDArray[np.uint8], format_name: str) -> NDArray[np.uint8]:
    """The other way round."""
    shifts = _shifts(format_name)
    groups = codes.reshape(len(codes), -1, len(shifts)).astype(np.uint32)
    words = (groups << shifts).sum(-1, np.uint32)
    size = len(shifts) * block_format(format_name).element.width // 8
    stored = words[..., None] >> np.arange(0, 8 * size, 8, dtype=np.uint32)
    return (stored & np.uint32(0xFF)).reshape(len(codes), -1).astype(np.uint8)
