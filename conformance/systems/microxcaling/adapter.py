"""microxcaling: its Python code for CPU tensors, which returns the values that a block stands for.

No registry carries it: the environment variable ``MICROXCALING`` names a folder with its sources.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.systems.tensors import array_of, tensor_of
from conformance.target import declared_profile
from mxemu.errors import MxemuError, Unsupported
from mxemu.formats import block_format
from mxemu.profile import Profile, Rounding

ELEMENTS = {
    "E5M2": "fp8_e5m2",
    "E4M3": "fp8_e4m3",
    "E3M2": "fp6_e3m2",
    "E2M3": "fp6_e2m3",
    "E2M1": "fp4_e2m1",
    "INT8": "int8",
}
BLOCKS = [
    *("MXFP8_E5M2", "MXFP8_E4M3", "MXFP6_E3M2", "MXFP6_E2M3", "MXFP4_E2M1", "MXINT8"),
    "E2M1/E8M0/16",
]
ROUNDINGS = {
    Rounding.TIES_TO_AWAY: "nearest",
    Rounding.TIES_TO_EVEN: "even",
    Rounding.TOWARD_ZERO: "floor",
}


def sources() -> Path:
    """The folder that the user names, put on the import path.

    Raises
    ------
    MxemuError
        When none is named, or it holds no package ``mx``.
    """
    folder = Path(os.environ.get("MICROXCALING", ""))
    if not (folder / "mx" / "mx_ops.py").is_file():
        raise MxemuError(
            "the environment variable MICROXCALING names no folder with the sources of microxcaling"
        )
    sys.path.append(str(folder))
    return folder


def digest(folder: Path) -> str:
    """A name for these sources: the start of the SHA-256 of all files of the package."""
    files = sorted((folder / "mx").glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


BESIDE = 8
"""Columns of zeros that the variant ragged puts behind each row, so that its width is no multiple of the block size."""

SOURCES = sources()

from mx.mx_ops import _quantize_mx  # noqa: E402

name = "microxcaling"
version = f"sources {digest(SOURCES)}"
capabilities = {
    "operations": {
        "fake_quantize": {
            "formats": BLOCKS,
            "carriers": ["binary32", "binary64", "bfloat16"],
            "roundings": [rounding.name for rounding in ROUNDINGS],
        }
    },
    "profile": declared_profile("microxcaling"),
    "k": [16],
    "variants": {
        "ragged": {
            "operations": {
                "fake_quantize": {
                    "formats": ["MXFP8_E4M3", "MXFP4_E2M1"],
                    "carriers": ["binary32"],
                    "roundings": [rounding.name for rounding in ROUNDINGS],
                }
            }
        }
    },
}


def fake_quantize(values: NDArray[Any], format_name: str, profile: Profile) -> NDArray[Any]:
    """Quantize along the last axis, as the layers of microxcaling do, without its CUDA extension."""
    fmt = block_format(format_name)
    if fmt.element.name not in ELEMENTS or profile.rounding not in ROUNDINGS:
        raise Unsupported(f"microxcaling has no {fmt.element.name} rounded {profile.rounding.name}")
    quantized = _quantize_mx(
        tensor_of(values),
        scale_bits=8,
        elem_format=ELEMENTS[fmt.element.name],
        axes=[-1],
        block_size=fmt.k,
        round=ROUNDINGS[profile.rounding],
    )
    return array_of(quantized)


class _Ragged:
    """Rows of a block and some zeros: what stands in a row should not change what comes of another."""

    name = name
    version = version
    capabilities = capabilities

    def fake_quantize(
        self, values: NDArray[Any], format_name: str, profile: Profile
    ) -> NDArray[Any]:
        """The columns of the blocks, from an array that is `BESIDE` columns wider."""
        wide = np.pad(values, ((0, 0), (0, BESIDE)))
        return fake_quantize(wide, format_name, profile)[:, : values.shape[1]]


def variant(chosen: str) -> _Ragged:
    """The adapter of a variant; there is one."""
    assert chosen == "ragged"
    return _Ragged()
