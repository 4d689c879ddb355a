"""Intel Neural Compressor: the function below MXQuantConfig, and as variants those below AutoRound's schemes.

The first returns the values that a block stands for. AutoRound's return the shared exponents too, so that its variants
give scales and elements; `conformance.systems.naming` names them.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version as version_of
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from conformance.systems.naming import codes_of
from conformance.systems.tensors import array_of, tensor_of
from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.formats import BlockFormat, block_format
from mxemu.profile import Profile, Rounding

BLOCKS = [
    *("MXFP8_E5M2", "MXFP8_E4M3", "MXFP6_E3M2", "MXFP6_E2M3", "MXFP4_E2M1", "MXINT8"),
    "E2M1/E8M0/16",
]
ELEMENTS = {
    "E5M2": "fp8_e5m2",
    "E4M3": "fp8_e4m3",
    "E3M2": "fp6_e3m2",
    "E2M3": "fp6_e2m3",
    "E2M1": "fp4",
    "INT8": "int8",
}
TYPES = {
    "E5M2": "mx_fp8e5m2",
    "E4M3": "mx_fp8e4m3",
    "E3M2": "mx_fp6e3m2",
    "E2M3": "mx_fp6e2m3",
    "E2M1": "mx_fp4e2m1",
    "INT8": "mx_int8",
}
ROUNDINGS = {
    Rounding.TIES_TO_AWAY: "nearest",
    Rounding.TIES_TO_EVEN: "even",
    Rounding.TOWARD_ZERO: "floor",
}
# AutoRound's "nearest" is torch.round, which takes ties to even.
AUTO_ROUNDINGS = {Rounding.TIES_TO_EVEN: "even", Rounding.TOWARD_ZERO: "floor"}
CARRIERS = ["binary32", "binary64", "bfloat16"]


def _auto_round(declared: str | None, roundings: Iterable[Rounding]) -> dict[str, Any]:
    """The record of a variant of AutoRound."""
    offer = {
        "formats": BLOCKS,
        "carriers": ["binary32", "binary64", "bfloat16"],
        "roundings": [rounding.name for rounding in roundings],
    }
    return {"operations": {"quantize": offer}, "profile": declared}


VARIANTS = {
    "auto_round": _auto_round("ocp", AUTO_ROUNDINGS),
    "auto_round_rceil": _auto_round("rceil", AUTO_ROUNDINGS),
    # The scale with the smallest error, by no rule of a profile.
    "auto_round_search": _auto_round(None, (Rounding.TIES_TO_EVEN,)),
}
AFFIXES = {
    "auto_round": ("", ""),
    "auto_round_rceil": ("", "_rceil"),
    "auto_round_search": ("opt_rtn_", ""),
}

name = "neural_compressor"
version = version_of("neural-compressor-pt")
capabilities = {
    "operations": {
        "fake_quantize": {
            "formats": BLOCKS,
            "carriers": CARRIERS,
            "roundings": [rounding.name for rounding in ROUNDINGS],
        }
    },
    "profile": declared_profile("neural_compressor"),
    "k": [16],
    "variants": VARIANTS,
}


def fake_quantize(values: NDArray[Any], format_name: str, profile: Profile) -> NDArray[Any]:
    """Quantize along the last axis, as MXLinear does."""
    from neural_compressor.torch.algorithms.mx_quant.utils import quantize_mx_op

    fmt = block_format(format_name)
    mode = _mode(ROUNDINGS, fmt, profile)
    quantized = quantize_mx_op(
        tensor_of(values), ELEMENTS[fmt.element.name], mode, fmt.k, axes=[-1]
    )
    return array_of(quantized)


def _mode(modes: dict[Rounding, str], fmt: BlockFormat, profile: Profile) -> str:
    if fmt.element.name not in ELEMENTS or profile.rounding not in modes:
        raise Unsupported(f"there is no {fmt.element.name} rounded {profile.rounding.name}")
    return modes[profile.rounding]


def quantize(
    values: NDArray[Any], format_name: str, profile: Profile, prefix: str = "", suffix: str = ""
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """AutoRound: values that blocks stand for and their shared exponents; elements are the quotients."""
    from auto_round.data_type import QUANT_FUNC_WITH_DTYPE

    fmt = block_format(format_name)
    mode = _mode(AUTO_ROUNDINGS, fmt, profile)
    dtype = TYPES[fmt.element.name]
    entry = "opt_rtn_mx_fp" if prefix else dtype + suffix
    quantized, exponents, _ = QUANT_FUNC_WITH_DTYPE[entry](
        tensor_of(values),
        bits=fmt.element.width,
        group_size=fmt.k,
        data_type=dtype,
        mantissa_rounding=mode,
    )
    shared = exponents.to(torch.float64).reshape(-1, 1)
    # Exact in binary64, which has room for every element under every scale.
    elements = quantized.to(torch.float64) / torch.exp2(shared)
    scales = torch.exp2(shared).reshape(-1)
    return codes_of(scales.numpy(), "E8M0"), codes_of(elements.numpy(), fmt.element.name)


class _AutoRound:
    """The functions of AutoRound's registry whose names have a prefix or suffix."""

    name = name
    version = f"{version_of('auto-round')} (AutoRound)"
    capabilities = capabilities

    def __init__(self, prefix: str, suffix: str) -> None:
        self.prefix, self.suffix = prefix, suffix

    def quantize(
        self, values: NDArray[Any], format_name: str, profile: Profile
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """See `quantize`."""
        return quantize(values, format_name, profile, self.prefix, self.suffix)


def variant(chosen: str) -> _AutoRound:
    """The adapter of a variant."""
    return _AutoRound(*AFFIXES[chosen])
