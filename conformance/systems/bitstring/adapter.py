"""bitstring: arrays of its MX dtypes, packed and unpacked as a whole from Python floats."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

import numpy as np
from bitstring import Array
from numpy.typing import NDArray

from conformance.adapter import or_rejected
from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.profile import Overflow, Profile

# The dtype that saturates and the one that overflows, where there are two.
DTYPES = {
    "E4M3": ("e4m3mxfp_saturate", "e4m3mxfp_overflow"),
    "E5M2": ("e5m2mxfp_saturate", "e5m2mxfp_overflow"),
    "E3M2": ("e3m2mxfp", "e3m2mxfp"),
    "E2M3": ("e2m3mxfp", "e2m3mxfp"),
    "E2M1": ("e2m1mxfp", "e2m1mxfp"),
    "INT8": ("mxint", "mxint"),
    "E8M0": ("e8m0mxfp", "e8m0mxfp"),
}

name = "bitstring"
version = version_of("bitstring")
capabilities = {
    "operations": {
        "encode": {
            "formats": list(DTYPES),
            "carriers": ["binary64", "binary32"],
            "overflows": ["SATURATE", "OVERFLOW"],
        },
        "decode": {"formats": list(DTYPES), "carriers": ["binary64"]},
    },
    "profile": declared_profile("bitstring"),
}


def encode(values: NDArray[Any], element: str, profile: Profile) -> NDArray[Any]:
    """Pack as Python floats, to which binary32 widens exactly."""
    saturate, overflow = _dtypes(element)
    dtype = saturate if profile.overflow is Overflow.SATURATE else overflow

    def packed(part: NDArray[Any]) -> NDArray[np.uint8]:
        array = Array(dtype, part.tolist())
        return np.array(_reread(array, f"u{array.itemsize}"), dtype=np.uint8)

    # NaN into a dtype without NaN, and anything but a power of two into E8M0.
    return or_rejected(packed, values)


def decode(codes: NDArray[Any], element: str) -> NDArray[np.float64]:
    """Unpack to Python floats."""
    dtype, _ = _dtypes(element)
    array = Array(f"u{Array(dtype).itemsize}", codes.tolist())
    return np.array(_reread(array, dtype), dtype=np.float64)


def _reread(array: Array, dtype: str) -> list[Any]:
    """The items of the same bits under another dtype of the same width."""
    other = Array(dtype)
    other.data = array.data
    return other.to_list()


def _dtypes(element: str) -> tuple[str, str]:
    if element not in DTYPES:
        raise Unsupported(f"bitstring has no dtype for {element}")
    return DTYPES[element]
