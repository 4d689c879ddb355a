"""CUDA's conversion headers, compiled for the host by the C++ compiler that is installed.

The subject itself has FP8, which rounds one way and overflows either way, and E8M0, rounded up. Its variants are
``narrow`` (FP6 and FP4, which take a rounding and always saturate), ``e8m0_down`` and ``e8m0_nearest`` (E8M0 cut to
the power of two below, or rounded to the closer one), ``pairs`` and ``narrow_pairs`` (the functions for two numbers at
once) and ``half`` (binary16 on both sides).
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
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
CARRIERS = {"float64": 0, "float32": 1, "uint16": 2, "float16": 3}
# The members of cudaRoundMode.
ROUNDINGS = {
    Rounding.TIES_TO_EVEN: 0,
    Rounding.TOWARD_ZERO: 1,
    Rounding.TOWARD_POSITIVE: 2,
    Rounding.TOWARD_NEGATIVE: 3,
}
SCALE_CASTS = {
    ScaleCast.TIES_TO_AWAY: 0,
    ScaleCast.TOWARD_ZERO: 1,
    ScaleCast.TOWARD_POSITIVE: 2,
}
SCALED = ["binary64", "binary32", "bfloat16"]
"""Carriers of the conversions to E8M0; there is none from binary16."""

NUMBERS = [*SCALED, "binary16"]
NARROW = ["E3M2", "E2M3", "E2M1"]
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


def _fp8(carriers: list[str]) -> dict[str, Any]:
    return {
        "formats": ["E4M3", "E5M2"],
        "carriers": carriers,
        "overflows": ["SATURATE", "OVERFLOW"],
    }


def _narrow() -> dict[str, Any]:
    roundings = [rounding.name for rounding in ROUNDINGS]
    offer = {"formats": NARROW, "carriers": NUMBERS, "roundings": roundings}
    return {"operations": {"encode": offer}}


def _e8m0(scale_cast: ScaleCast) -> dict[str, Any]:
    """The record of a variant that converts to E8M0 with another rounding."""
    profile = {"preset": "ocp", "scale_cast": scale_cast.value, "scale_negative": "magnitude"}
    offer = {"formats": ["E8M0"], "carriers": SCALED, "overflows": ["SATURATE", "OVERFLOW"]}
    return {"operations": {"encode": offer}, "profile": profile}


name = "cuda_headers"
version = metadata.version(PACKAGE)
capabilities = {
    "operations": {
        "encode": {**_fp8(SCALED), "formats": ["E4M3", "E5M2", "E8M0"]},
        "decode": {"formats": list(FORMATS), "carriers": ["bfloat16"]},
    },
    "profile": declared_profile("cuda_headers"),
    "variants": {
        "half": {
            "operations": {
                "encode": _fp8(["binary16"]),
                "decode": {"formats": list(FORMATS)[:-1], "carriers": ["binary16"]},
            }
        },
        "narrow": _narrow(),
        "pairs": {
            "operations": {
                "encode": _fp8(NUMBERS),
                "decode": {"formats": list(FORMATS), "carriers": ["bfloat16"]},
            }
        },
        "narrow_pairs": _narrow(),
        "e8m0_down": _e8m0(ScaleCast.TOWARD_ZERO),
        "e8m0_nearest": _e8m0(ScaleCast.TIES_TO_AWAY),
    },
}


def encode(
    values: NDArray[Any], element: str, profile: Profile, pairs: int = 0
) -> NDArray[np.uint8]:
    """One call for the array."""
    scale = element == "E8M0"
    rounding = SCALE_CASTS.get(profile.scale_cast) if scale else ROUNDINGS.get(profile.rounding)
    if rounding is None or element not in FORMATS:
        raise Unsupported(f"the headers have no such conversion for {element}")
    given = np.ascontiguousarray(values)
    codes = np.empty(len(given), dtype=np.uint8)
    function = LIBRARY.encode_pairs if pairs else LIBRARY.encode
    function(
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
    return _decoded("decode", codes, element)


def _decoded(function: str, codes: NDArray[Any], element: str) -> NDArray[np.uint16]:
    """The bits of bfloat16 or binary16, as the function has them."""
    given = np.ascontiguousarray(codes, dtype=np.uint8)
    bits = np.empty(len(given), dtype=np.uint16)
    getattr(LIBRARY, function)(
        given.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_size_t(len(given)),
        FORMATS[element],
        bits.ctypes.data_as(ctypes.c_void_p),
    )
    return bits


class _Half:
    """Binary16 on both sides."""

    name = name
    version = version
    capabilities = capabilities
    encode = staticmethod(encode)

    def decode(self, codes: NDArray[Any], element: str) -> NDArray[np.float16]:
        """Numbers of binary16."""
        return _decoded("decode_half", codes, element).view(np.float16)


class _Pairs:
    """The functions for two numbers at once."""

    name = name
    version = version
    capabilities = capabilities

    def encode(self, values: NDArray[Any], element: str, profile: Profile) -> NDArray[np.uint8]:
        """See `encode`."""
        return encode(values, element, profile, pairs=1)

    def decode(self, codes: NDArray[Any], element: str) -> NDArray[np.uint16]:
        """The bits of bfloat16."""
        return _decoded("decode_pairs", codes, element)


def variant(chosen: str) -> Any:
    """The adapter of a variant; those that only differ in what they offer are this module."""
    if "pairs" in chosen:
        return _Pairs()
    return _Half() if chosen == "half" else sys.modules[__name__]
