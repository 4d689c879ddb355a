"""microxcaling: its Python code for CPU tensors, which returns the values that a block stands for.

No registry carries it: the environment variable ``MICROXCALING`` names a folder with its sources. Blocks stand in rows
of their own; in the variant ``ragged`` a partial one stands beside a whole one, in ``columns`` they run along the first
axis, and ``flushed`` sets flush_fp32_subnorms.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.systems import ragged
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
    "INT4": "int4",
    "INT2": "int2",
}
BLOCKS = [
    *("MXFP8_E5M2", "MXFP8_E4M3", "MXFP6_E3M2", "MXFP6_E2M3", "MXFP4_E2M1", "MXINT8"),
    *("INT4/E8M0/32", "INT2/E8M0/32", "E2M1/E8M0/16", "E4M3/E8M0/64"),
]
CARRIERS = ["binary32", "binary64", "bfloat16"]
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


SOURCES = sources()

from mx.mx_ops import _quantize_mx  # noqa: E402


def _offer(formats: list[str], carriers: list[str]) -> dict[str, Any]:
    """What a variant offers; of the roundings besides the declared one, that which MX asks for."""
    return {"formats": formats, "carriers": carriers, "roundings": ["TIES_TO_EVEN"]}


name = "microxcaling"
version = f"sources {digest(SOURCES)}"
declared = declared_profile("microxcaling")
capabilities = {
    "operations": {
        "fake_quantize": {
            **_offer(BLOCKS, CARRIERS),
            "roundings": [rounding.name for rounding in ROUNDINGS],
        }
    },
    "profile": declared,
    "k": [16, 64],
    "variants": {
        "ragged": {"operations": {"fake_quantize": _offer(ragged.FORMATS, CARRIERS)}},
        "columns": {"operations": {"fake_quantize": _offer(ragged.FORMATS[:2], CARRIERS)}},
        # Of binary64, too, blocks below 2^-126 are flushed, which no profile says.
        "flushed": {
            "operations": {"fake_quantize": _offer(ragged.FORMATS[:2], ["binary32", "bfloat16"])},
            "profile": {**declared, "input_subnormals": "flush-block"},
        },
    },
}


def fake_quantize(values: NDArray[Any], format_name: str, profile: Profile) -> NDArray[Any]:
    """Quantize along the last axis, as the layers of microxcaling do, without its CUDA extension."""
    return _quantized(values, format_name, profile, block_format(format_name).k)


def _quantized(
    values: NDArray[Any], format_name: str, profile: Profile, size: int, **options: Any
) -> NDArray[Any]:
    element = block_format(format_name).element.name
    if element not in ELEMENTS or profile.rounding not in ROUNDINGS:
        raise Unsupported(f"microxcaling has no {element} rounded {profile.rounding.name}")
    quantized = _quantize_mx(
        tensor_of(values),
        scale_bits=8,
        elem_format=ELEMENTS[element],
        block_size=size,
        round=ROUNDINGS[profile.rounding],
        **{"axes": [-1], **options},
    )
    return array_of(quantized)


class _Variant:
    """Other shapes, or another option."""

    name = name
    version = version
    capabilities = capabilities

    def __init__(self, chosen: str) -> None:
        self.chosen = chosen

    def fake_quantize(
        self, values: NDArray[Any], format_name: str, profile: Profile
    ) -> NDArray[Any]:
        """See `fake_quantize`."""

        def quantized(given: NDArray[Any], **options: Any) -> NDArray[Any]:
            return _quantized(given, format_name, profile, ragged.WIDE, **options)

        match self.chosen:
            case "ragged":
                return ragged.in_ragged_rows(quantized, values)
            case "columns":
                return quantized(np.ascontiguousarray(values.T), axes=[0]).T
            case _:
                return quantized(values, flush_fp32_subnorms=True)


def variant(chosen: str) -> _Variant:
    """The adapter of a variant."""
    return _Variant(chosen)
