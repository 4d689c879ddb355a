"""gguf: the Python package of llama.cpp, its MXFP4 blocks.

A block is a scale byte and 16 bytes of elements; element i is in the low half of byte i, element i + 16 in the high
half. llama.cpp calls this order its own, so the adapter takes the halves apart and nothing else.
"""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, quants
from numpy.typing import NDArray

from conformance.target import declared_profile
from mxemu.errors import Unsupported

MXFP4 = GGMLQuantizationType.MXFP4

name = "gguf"
version = version_of("gguf")
capabilities = {
    "operations": {
        "quantize": {"formats": ["MXFP4_E2M1"], "carriers": ["binary32"]},
        "dequantize": {"formats": ["MXFP4_E2M1"], "carriers": ["binary32"]},
    },
    "profile": declared_profile("gguf"),
}


def quantize(values: NDArray[Any], format_name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """`gguf.quants.quantize`, then scales and halves taken apart."""
    _only(format_name)
    with np.errstate(all="ignore"):
        blocks = quants.quantize(values, MXFP4)
    data = blocks[:, 1:]
    return blocks[:, 0], np.concatenate([data & 0xF, data >> 4], axis=1)


def dequantize(scales: NDArray[Any], codes: NDArray[Any], format_name: str) -> NDArray[Any]:
    """`gguf.quants.dequantize` of blocks put together."""
    _only(format_name)
    low, high = np.split(codes.astype(np.uint8), 2, axis=1)
    blocks = np.column_stack([scales.astype(np.uint8), low | high << 4])
    with np.errstate(all="ignore"):
        return quants.dequantize(blocks, MXFP4)


def _only(format_name: str) -> None:
    if format_name != "MXFP4_E2M1":
        raise Unsupported(f"gguf has no type for {format_name}")
