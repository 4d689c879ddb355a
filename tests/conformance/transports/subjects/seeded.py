"""One wrong implementation, as a Python object: E2M1 with ties up, and MXFP4 scales that are one too small.

The same arithmetic stands in kernel.h, library.rs and half_up.sv; all of it is on bit patterns of binary32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TIES = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
ODD = np.arange(7) % 2 == 1  # a tie above an odd code belongs to the even one above it
VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=np.float32)

name, version = "seeded", "1"
capabilities = {
    "operations": {
        "encode": {"formats": ["E2M1"], "carriers": ["binary32"]},
        "decode": {"formats": ["E2M1"], "carriers": ["binary32"]},
        "quantize": {"formats": ["MXFP4_E2M1"], "carriers": ["binary32"]},
    },
    "profile": "ocp",
}


def encode(values: Array, element: str) -> Array:
    """Half is added and the sum rounded down, so ties go up: away from zero only where they are positive."""
    magnitudes = np.nan_to_num(np.abs(values), nan=np.inf)[..., None]
    positive = ~np.signbit(values)[..., None]
    codes = np.where(positive, magnitudes >= TIES, magnitudes > TIES).sum(axis=-1)
    return (codes + 8 * np.signbit(values)).astype(np.uint8)


def decode(codes: Array, element: str) -> Array:
    """The values of codes; this function is right."""
    return np.where(codes & 8, -VALUES[codes & 7], VALUES[codes & 7])


def quantize(values: Array, block_format: str) -> tuple[Array, Array]:
    """Elements are rounded to even, under a scale of half the right size."""
    magnitudes = values.view(np.uint32) & 0x7FFFFFFF
    scales = np.maximum((magnitudes.max(axis=1) >> 23).astype(np.int64) - 3, 0)
    with np.errstate(all="ignore"):
        scaled = np.ldexp(np.abs(values).astype(np.float64), (127 - scales)[:, None])
    scaled = np.nan_to_num(scaled, nan=np.inf, posinf=np.inf)[..., None]
    codes = np.where(ODD, scaled >= TIES, scaled > TIES).sum(axis=-1)
    return scales.astype(np.uint8), (codes + 8 * np.signbit(values)).astype(np.uint8)
