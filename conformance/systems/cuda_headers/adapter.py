"""CUDA's conversion headers, compiled for the host by the C++ compiler that is installed.

The subject itself has FP8, which rounds one way and overflows either way, and E8M0, rounded up. Its variants are FP6
and FP4, which take a rounding and always saturate, and E8M0 cut to the power of two below.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.target import declared_profile
from mxemu.errors import MxemuError, Unsupported
from mxemu.profile import Overflow, Profile, Rounding, ScaleCast

FORMATS = {
    name: number for number, name in enumerate(("E4M3", "E5M2", "E3M2", "E2M3", "E2M1", "E8M0"))
}
CARRIERS = {"float64": 0, "float32": 1, "uint16": 2}
# The members of cudaRoundMode.
ROUNDINGS = {
    Rounding.TIES_TO_EVEN: 0,
    Rounding.TOWARD_ZERO: 1,
    Rounding.TOWARD_POSITIVE: 2,
    Rounding.TOWARD_NEGATIVE: 3,
}
SCALE_CASTS = {ScaleCast.TOWARD_ZERO: 1, ScaleCast.TOWARD_POSITIVE: 2}
NUMBERS = ["binary64", "binary32", "bfloat16"]
NARROW = ["E3M2", "E2M3", "E2M1"]
E8M0_DOWN = {"preset": "ocp", "scale_cast": "toward-zero", "scale_negative": "magnitude"}
PACKAGE = "nvidia-cuda-runtime"


def _built() -> ctypes.CDLL:
    """The library, built in a folder that goes away when it is loaded."""
    files = metadata.files(PACKAGE) or []
    headers = [file.locate() for file in files if file.name == "cuda_fp8.h"]
    if not headers:
        raise MxemuError(f"{PACKAGE} has no cuda_fp8.h among its files")
    source = Path(__file__).with_name("conversions.cpp")
    include = Path(str(headers[0])).parent
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "conversions.so"
        command = ["g++", "-std=c++17", "-O1", "-w", "-shared", "-fPIC", f"-I{include}"]
        done = subprocess.run(
            [*command, str(source), "-o", str(library)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MxemuError(f"g++ cannot compile the headers: {done.stderr.strip()[:200]}")
        return ctypes.CDLL(str(library))


LIBRARY = _built()

name = "cuda_headers"
version = metadata.version(PACKAGE)
capabilities = {
    "operations": {
        "encode": {
            "formats": ["E4M3", "E5M2", "E8M0"],
            "carriers": NUMBERS,
            "overflows": ["SATURATE", "OVERFLOW"],
        },
        "decode": {"formats": list(FORMATS), "carriers": ["bfloat16"]},
    },
    "profile": declared_profile("cuda_headers"),
    "variants": {
        "narrow": {
            "operations": {
                "encode": {
                    "formats": NARROW,
                    "carriers": NUMBERS,
                    "roundings": [rounding.name for rounding in ROUNDINGS],
                }
            }
        },
        "e8m0_down": {
            "operations": {"encode": {"formats": ["E8M0"], "carriers": NUMBERS}},
            "profile": E8M0_DOWN,
        },
    },
}


def encode(values: NDArray[Any], element: str, profile: Profile) -> NDArray[np.uint8]:
    """One call for the array."""
    scale = element == "E8M0"
    rounding = SCALE_CASTS.get(profile.scale_cast) if scale else ROUNDINGS.get(profile.rounding)
    if rounding is None or element not in FORMATS:
        raise Unsupported(f"the headers have no such conversion for {element}")
    given = np.ascontiguousarray(values)
    codes = np.empty(len(given), dtype=np.uint8)
    LIBRARY.encode(
        given.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_size_t(len(given)),
        CARRIERS[given.dtype.name],
        FORMATS[element],
        rounding,
        int(profile.overflow is Overflow.SATURATE),
        codes.ctypes.data_as(ctypes.c_void_p),
    )
    return codes


def decode(codes: NDArray[Any], element: str) -> NDArray[np.uint16]:
    """The bits of bfloat16."""
    given = np.ascontiguousarray(codes, dtype=np.uint8)
    bits = np.empty(len(given), dtype=np.uint16)
    LIBRARY.decode(
        given.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_size_t(len(given)),
        FORMATS[element],
        bits.ctypes.data_as(ctypes.c_void_p),
    )
    return bits
