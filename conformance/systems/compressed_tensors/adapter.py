"""compressed-tensors: scales by `calculate_qparams`, then the compressor of each MX scheme, as a checkpoint is made.

The variant ``mxfp6`` has a declared profile of its own, because the scale rule is that of E2M1 elsewhere.
"""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

import numpy as np
import torch
from compressed_tensors.compressors.mxfp4.base import MXFP4PackedCompressor
from compressed_tensors.compressors.mxfp6.base import MXFP6PackedCompressor
from compressed_tensors.compressors.mxfp6.helpers import unpack_fp6_from_uint8
from compressed_tensors.compressors.mxfp8.base import MXFP8QuantizationCompressor
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.quantization import QuantizationScheme
from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES
from compressed_tensors.quantization.utils import calculate_qparams
from numpy.typing import NDArray

from conformance.systems.naming import codes_of
from conformance.systems.tensors import array_of, tensor_of
from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.formats import block_format

COMPRESSORS: dict[str, tuple[str, Any]] = {
    "MXFP8_E4M3": ("MXFP8A16", MXFP8QuantizationCompressor),
    "MXFP6_E2M3": ("MXFP6A16", MXFP6PackedCompressor),
    "MXFP4_E2M1": ("MXFP4A16", MXFP4PackedCompressor),
}
CARRIERS = ["binary32", "bfloat16"]
MXFP6 = {
    "operations": {"quantize": {"formats": ["MXFP6_E2M3"], "carriers": CARRIERS}},
    "profile": {"preset": "ocp", "scale_rule": "EVEN"},
}

name = "compressed_tensors"
version = version_of("compressed-tensors")
capabilities = {
    "operations": {
        "quantize": {"formats": ["MXFP8_E4M3", "MXFP4_E2M1"], "carriers": CARRIERS},
    },
    "profile": declared_profile("compressed_tensors"),
    "variants": {"mxfp6": MXFP6},
}


def quantize(values: NDArray[Any], format_name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Compress a weight of n rows with one group each, and take the packed elements apart."""
    if format_name not in COMPRESSORS:
        raise Unsupported(f"compressed-tensors has no scheme for {format_name}")
    preset, compressor = COMPRESSORS[format_name]
    scheme = QuantizationScheme(targets=["Linear"], **PRESET_SCHEMES[preset])
    weight = tensor_of(values)
    lowest, highest = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    scales, _ = calculate_qparams(lowest, highest, scheme.weights)
    found = compressor.compress({"weight": weight, "weight_scale": scales}, scheme)
    return array_of(found["weight_scale"]).reshape(-1), _codes(found, format_name, values.shape)


def _codes(found: dict[str, Any], format_name: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """One code in each item, by way of the library's own unpacking, which gives values."""
    if format_name == "MXFP8_E4M3":
        return array_of(found["weight"].view(torch.uint8)).astype(np.int64)
    unpack = unpack_fp6_from_uint8 if format_name == "MXFP6_E2M3" else unpack_fp4_from_uint8
    unpacked = unpack(found["weight_packed"], *shape).to(torch.float64)
    return codes_of(unpacked.numpy(), block_format(format_name).element.name)
