"""gfloat: its array functions for elements, its block functions for blocks.

Its variant ``scalar`` calls the functions for one number, which are the ones that its documentation defines formats
with.
"""

from __future__ import annotations

import contextlib
from importlib.metadata import version as version_of
from typing import Any

import gfloat
import numpy as np
from gfloat import formats
from numpy.typing import NDArray

from conformance.adapter import REJECTED, or_rejected
from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.profile import Overflow, Profile, Rounding

ELEMENTS: dict[str, Any] = {
    "E4M3": formats.format_info_ocp_e4m3,
    "E5M2": formats.format_info_ocp_e5m2,
    "E3M2": formats.format_info_ocp_e3m2,
    "E2M3": formats.format_info_ocp_e2m3,
    "E2M1": formats.format_info_ocp_e2m1,
    "INT8": formats.format_info_ocp_int8,
    "E8M0": formats.format_info_ocp_e8m0,
}
BLOCKS: dict[str, Any] = {info.name.upper(): info for info in formats.all_block_formats}
MODES: dict[Rounding, Any] = {
    Rounding.TIES_TO_EVEN: gfloat.RoundMode.TiesToEven,
    Rounding.TIES_TO_AWAY: gfloat.RoundMode.TiesToAway,
    Rounding.TOWARD_ZERO: gfloat.RoundMode.TowardZero,
    Rounding.TOWARD_POSITIVE: gfloat.RoundMode.TowardPositive,
    Rounding.TOWARD_NEGATIVE: gfloat.RoundMode.TowardNegative,
}
ROUNDINGS = [rounding.name for rounding in MODES]

name = "gfloat"
version = version_of("gfloat")
capabilities = {
    "operations": {
        "encode": {
            "formats": list(ELEMENTS),
            "carriers": ["binary64", "binary32", "binary16"],
            "roundings": ROUNDINGS,
            "overflows": ["SATURATE", "OVERFLOW"],
        },
        "decode": {"formats": list(ELEMENTS), "carriers": ["binary64"]},
        "quantize": {
            "formats": list(BLOCKS),
            "carriers": ["binary64", "binary32"],
            "roundings": ROUNDINGS,
        },
        "dequantize": {"formats": list(BLOCKS), "carriers": ["binary64"]},
    },
    "profile": declared_profile("gfloat"),
    "variants": {
        "scalar": {
            "operations": {
                "encode": {
                    "formats": list(ELEMENTS),
                    "carriers": ["binary64"],
                    "roundings": ROUNDINGS,
                    "overflows": ["SATURATE", "OVERFLOW"],
                },
                "decode": {"formats": list(ELEMENTS), "carriers": ["binary64"]},
            }
        }
    },
}


def encode(values: NDArray[Any], element: str, profile: Profile) -> NDArray[Any]:
    """Round, then encode, in the dtype of the values."""
    info, mode = _info(ELEMENTS, element), _mode(profile)
    saturate = _saturates(profile, info)

    def encoded(part: NDArray[Any]) -> NDArray[Any]:
        codes: NDArray[Any] = gfloat.encode_ndarray(
            info, gfloat.round_ndarray(info, part, mode, saturate)
        )
        return codes

    # NaN into a format without NaN: an assert of encode_ndarray.
    with np.errstate(all="ignore"):
        return or_rejected(encoded, values, (ValueError, AssertionError))


def decode(codes: NDArray[Any], element: str) -> NDArray[np.float64]:
    """Decode to binary64."""
    values: NDArray[np.float64] = gfloat.decode_ndarray(_info(ELEMENTS, element), codes)
    return values


def quantize(
    values: NDArray[Any], block_format: str, profile: Profile
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Quantize block by block, with the three steps of gfloat's ``quantize_block``, which itself returns no codes."""
    info, mode = _info(BLOCKS, block_format), _mode(profile)
    blocks = np.full((len(values), 1 + values.shape[1]), REJECTED, dtype=np.int64)
    with np.errstate(all="ignore"):
        for block, result in zip(values, blocks, strict=True):
            scale = gfloat.compute_scale_amax(info.etype.emax, block)
            try:
                result[:] = list(gfloat.encode_block(info, scale, block / scale, mode))
            except ValueError:  # NaN into an element without NaN
                continue
    return blocks[:, 0], blocks[:, 1:]


def dequantize(scales: NDArray[Any], codes: NDArray[Any], block_format: str) -> NDArray[np.float64]:
    """Decode block by block to binary64."""
    info = _info(BLOCKS, block_format)
    blocks = np.column_stack([scales, codes]).tolist()
    decoded = [list(gfloat.decode_block(info, block)) for block in blocks]
    return np.array(decoded, dtype=np.float64).reshape(codes.shape)


def _info(known: dict[str, Any], wanted: str) -> Any:
    if wanted not in known:
        raise Unsupported(f"gfloat has no format for {wanted}")
    return known[wanted]


def _mode(profile: Profile) -> Any:
    if profile.rounding not in MODES:
        raise Unsupported(f"gfloat has no rounding {profile.rounding.name}")
    return MODES[profile.rounding]


def _saturates(profile: Profile, info: Any) -> bool:
    """Formats without Inf and NaN have only one way to treat overflow; without ``sat`` gfloat raises for it."""
    return profile.overflow is Overflow.SATURATE or info.num_nans == 0


class _Scalar:
    """`round_float`, `encode_float` and `decode_float` for one number after the other."""

    name = name
    version = version
    capabilities = capabilities

    def encode(self, values: NDArray[Any], element: str, profile: Profile) -> NDArray[Any]:
        """Round, then encode; a number that either step refuses is rejected."""
        info, mode = _info(ELEMENTS, element), _mode(profile)
        saturate = _saturates(profile, info)
        codes = np.full(len(values), REJECTED, dtype=np.int64)
        for place, value in enumerate(values.tolist()):
            with contextlib.suppress(ValueError, AssertionError):
                rounded = gfloat.round_float(info, value, mode, saturate)
                codes[place] = gfloat.encode_float(info, rounded)
        return codes

    def decode(self, codes: NDArray[Any], element: str) -> NDArray[np.float64]:
        """The number that a code stands for."""
        info = _info(ELEMENTS, element)
        decoded = [gfloat.decode_float(info, code).fval for code in codes.tolist()]
        return np.array(decoded, dtype=np.float64)


def variant(chosen: str) -> _Scalar:
    """The adapter of a variant; there is one."""
    assert chosen == "scalar"
    return _Scalar()
