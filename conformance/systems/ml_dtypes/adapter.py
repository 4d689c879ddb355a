"""ml_dtypes: NumPy casts, rounding ties to even. There is nothing to choose, so no function takes a profile.

The subject itself casts arrays; its variant ``scalar`` makes one number at a time from Python floats, which is other
code.
"""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from conformance.target import declared_profile
from mxemu.errors import Unsupported

DTYPES: dict[str, type[Any]] = {
    "E4M3": ml_dtypes.float8_e4m3fn,
    "E5M2": ml_dtypes.float8_e5m2,
    "E3M2": ml_dtypes.float6_e3m2fn,
    "E2M3": ml_dtypes.float6_e2m3fn,
    "E2M1": ml_dtypes.float4_e2m1fn,
    "E8M0": ml_dtypes.float8_e8m0fnu,
    "E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "E4M3B11FNUZ": ml_dtypes.float8_e4m3b11fnuz,
    "E4M3IEEE": ml_dtypes.float8_e4m3,
    "E3M4": ml_dtypes.float8_e3m4,
}

name = "ml_dtypes"
version = version_of("ml_dtypes")
capabilities = {
    "operations": {
        "encode": {
            "formats": list(DTYPES),
            "carriers": ["binary64", "binary32", "binary16", "bfloat16"],
        },
        "decode": {"formats": list(DTYPES), "carriers": ["binary32"]},
    },
    "profile": declared_profile("ml_dtypes"),
    "variants": {
        "scalar": {
            "operations": {
                "encode": {"formats": list(DTYPES), "carriers": ["binary64"]},
                "decode": {"formats": list(DTYPES), "carriers": ["binary64"]},
            }
        }
    },
}


def encode(values: NDArray[Any], element: str) -> NDArray[np.uint8]:
    """Cast an array; bfloat16 arrives as bits and becomes ml_dtypes' own type first."""
    if values.dtype == np.uint16:
        values = values.view(ml_dtypes.bfloat16)
    with np.errstate(all="ignore"):
        return values.astype(_dtype(element)).view(np.uint8)


def decode(codes: NDArray[Any], element: str) -> NDArray[np.float32]:
    """Cast codes, one in each byte, to binary32."""
    values: NDArray[np.float32] = codes.astype(np.uint8).view(_dtype(element)).astype(np.float32)
    return values


def _dtype(element: str) -> type[Any]:
    if element not in DTYPES:
        raise Unsupported(f"ml_dtypes has no type for {element}")
    return DTYPES[element]


class _Scalar:
    """Numbers of ml_dtypes' own types, one at a time."""

    name = name
    version = version
    capabilities = capabilities

    def encode(self, values: NDArray[Any], element: str) -> NDArray[np.uint8]:
        """Make a number from each Python float."""
        dtype = _dtype(element)
        made = [dtype(value) for value in values.tolist()]
        return np.array(made, dtype=dtype).view(np.uint8)

    def decode(self, codes: NDArray[Any], element: str) -> NDArray[np.float64]:
        """Make a Python float from each number."""
        numbers = codes.astype(np.uint8).view(_dtype(element))
        return np.array([float(number) for number in numbers], dtype=np.float64)


def variant(chosen: str) -> _Scalar:
    """The adapter of a variant; there is one."""
    assert chosen == "scalar"
    return _Scalar()
