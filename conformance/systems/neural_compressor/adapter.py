"""Intel Neural Compressor: the function below MXQuantConfig, and as variants those below AutoRound's schemes.

The first returns the values that a block stands for; ``layer`` reaches it by way of MXQuantConfig, prepare and convert,
``ragged`` has rows of other widths. AutoRound's functions return the shared exponents too, so that its variants give
scales and elements; `conformance.systems.naming` names them. ``auto_round_packed`` writes the layer of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version as version_of
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from conformance.systems import ragged
from conformance.systems.naming import codes_of
from conformance.systems.tensors import array_of, tensor_of
from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.formats import BlockFormat, block_format
from mxemu.profile import Profile, Rounding

BLOCKS = [
    *("MXFP8_E5M2", "MXFP8_E4M3", "MXFP6_E3M2", "MXFP6_E2M3", "MXFP4_E2M1", "MXINT8"),
    *("INT4/E8M0/32", "INT2/E8M0/32", "E2M1/E8M0/16"),
]
AUTO_BLOCKS = [name for name in BLOCKS if not name.startswith("INT2")]
"""INT2 has no scheme of AutoRound's."""

ELEMENTS = {
    "E5M2": "fp8_e5m2",
    "E4M3": "fp8_e4m3",
    "E3M2": "fp6_e3m2",
    "E2M3": "fp6_e2m3",
    "E2M1": "fp4",
    "INT8": "int8",
    "INT4": "int4",
    "INT2": "int2",
}
TYPES = {
    "E5M2": "mx_fp8e5m2",
    "E4M3": "mx_fp8e4m3",
    "E3M2": "mx_fp6e3m2",
    "E2M3": "mx_fp6e2m3",
    "E2M1": "mx_fp4e2m1",
    "INT8": "mx_int8",
    "INT4": "mx_int4",
    "INT2": "mx_int2",
}
ROUNDINGS = {
    Rounding.TIES_TO_AWAY: "nearest",
    Rounding.TIES_TO_EVEN: "even",
    Rounding.TOWARD_ZERO: "floor",
}
# AutoRound's "nearest" is torch.round, which takes ties to even.
AUTO_ROUNDINGS = {Rounding.TIES_TO_EVEN: "even", Rounding.TOWARD_ZERO: "floor"}
EVEN = (Rounding.TIES_TO_EVEN,)
CARRIERS = ["binary32", "binary64", "bfloat16"]
LAYER = ["MXFP8_E4M3", "MXFP4_E2M1", "MXINT8", "E2M1/E8M0/16"]
BITS = {"MXFP4_E2M1": 4, "MXFP8_E4M3": 8}
"""What AutoRound packs."""


def _offer(
    formats: list[str], roundings: Iterable[Rounding], carriers: list[str]
) -> dict[str, Any]:
    names = [rounding.name for rounding in roundings]
    return {"formats": formats, "carriers": carriers, "roundings": names}


def _auto_round(
    declared: str | None, roundings: Iterable[Rounding], formats: list[str] = AUTO_BLOCKS
) -> dict[str, Any]:
    """The record of a variant of AutoRound."""
    return {"operations": {"quantize": _offer(formats, roundings, CARRIERS)}, "profile": declared}


VARIANTS = {
    # In the layer that convert puts in place of another, weights are binary32, whatever they were.
    "layer": {"operations": {"fake_quantize": _offer(LAYER, EVEN, ["binary32"])}},
    "ragged": {
        "operations": {"fake_quantize": _offer(ragged.FORMATS, EVEN, ["binary32", "bfloat16"])}
    },
    "auto_round": _auto_round("ocp", AUTO_ROUNDINGS),
    "auto_round_rceil": _auto_round("rceil", EVEN),
    # The scale with the smallest error, by no rule of a profile.
    "auto_round_search": _auto_round(None, EVEN),
    # One above RCEIL's up to amax / 7.25, which is no rule of a profile either.
    "auto_round_rceil_v2": _auto_round(None, EVEN, ["MXFP4_E2M1"]),
    "auto_round_packed": _auto_round("ocp", EVEN, list(BITS)),
}
ENTRIES = {
    "auto_round": "{dtype}",
    "auto_round_rceil": "{dtype}_rceil",
    "auto_round_search": "opt_rtn_mx_fp",
    "auto_round_rceil_v2": "mx_fp4_rceil_v2",
    "auto_round_packed": "{dtype}",
}
"""The names of the functions in AutoRound's registry."""

name = "neural_compressor"
version = version_of("neural-compressor-pt")
capabilities = {
    "operations": {
        "fake_quantize": _offer(BLOCKS, ROUNDINGS, CARRIERS),
    },
    "profile": declared_profile("neural_compressor"),
    "k": [16],
    "variants": VARIANTS,
}


def fake_quantize(values: NDArray[Any], format_name: str, profile: Profile) -> NDArray[Any]:
    """Quantize along the last axis, as MXLinear does."""
    return _quantized(values, block_format(format_name), profile, block_format(format_name).k)


def _quantized(values: NDArray[Any], fmt: BlockFormat, profile: Profile, size: int) -> NDArray[Any]:
    from neural_compressor.torch.algorithms.mx_quant.utils import quantize_mx_op

    mode = _mode(ROUNDINGS, fmt, profile)
    quantized = quantize_mx_op(tensor_of(values), ELEMENTS[fmt.element.name], mode, size, axes=[-1])
    return array_of(quantized)


def _mode(modes: dict[Rounding, str], fmt: BlockFormat, profile: Profile) -> str:
    if fmt.element.name not in ELEMENTS or profile.rounding not in modes:
        raise Unsupported(f"there is no {fmt.element.name} rounded {profile.rounding.name}")
    return modes[profile.rounding]


def _auto_rounded(
    values: NDArray[Any], fmt: BlockFormat, profile: Profile, entry: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The values that blocks stand for and their shared exponents, by a function of AutoRound's registry."""
    from auto_round.data_type import QUANT_FUNC_WITH_DTYPE

    mode = _mode(AUTO_ROUNDINGS, fmt, profile)
    dtype = TYPES[fmt.element.name]
    quantized, exponents, _ = QUANT_FUNC_WITH_DTYPE[entry.format(dtype=dtype)](
        tensor_of(values),
        bits=fmt.element.width,
        group_size=fmt.k,
        data_type=dtype,
        mantissa_rounding=mode,
    )
    return quantized, exponents


def quantize(
    values: NDArray[Any], format_name: str, profile: Profile, entry: str = "{dtype}"
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scales and elements by name; elements are the quotients of what AutoRound returns."""
    fmt = block_format(format_name)
    quantized, exponents = _auto_rounded(values, fmt, profile, entry)
    shared = exponents.to(torch.float64).reshape(-1, 1)
    # Exact in binary64, which has room for every element under every scale.
    elements = quantized.to(torch.float64) / torch.exp2(shared)
    scales = torch.exp2(shared).reshape(-1)
    return codes_of(scales.numpy(), "E8M0"), codes_of(elements.numpy(), fmt.element.name)


class _AutoRound:
    """A function of AutoRound's registry."""

    name = name
    version = f"{version_of('auto-round')} (AutoRound)"
    capabilities = capabilities

    def __init__(self, entry: str) -> None:
        self.entry = entry

    def quantize(
        self, values: NDArray[Any], format_name: str, profile: Profile
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `quantize`."""
        return quantize(values, format_name, profile, self.entry)


class _Packed(_AutoRound):
    """The layer of a checkpoint, with the bytes that it would write."""

    def quantize(
        self, values: NDArray[Any], format_name: str, profile: Profile
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Scales and codes of a layer with a block for each output; two codes of E2M1 in a byte, the first one low."""
        from auto_round.export.export_to_autoround.qlinear_fp import QuantLinear

        fmt = block_format(format_name)
        quantized, exponents = _auto_rounded(values, fmt, profile, self.entry)
        linear = torch.nn.Linear(fmt.k, len(values), bias=False)
        linear.weight.data = quantized
        bits, dtype = BITS[format_name], TYPES[fmt.element.name]
        packed = QuantLinear(bits, fmt.k, fmt.k, len(values), False, data_type=dtype)
        packed.pack(linear, exponents.reshape(len(values), -1), device="cpu")
        scales = array_of(packed.weight_scale.view(torch.uint8)).reshape(-1)
        if format_name == "MXFP8_E4M3":
            return scales, array_of(packed.weight.view(torch.uint8))
        stored = array_of(packed.weight_packed)
        return scales, np.stack([stored & 0xF, stored >> 4], axis=-1).reshape(values.shape)


class _Layer:
    """What stands in a layer that `convert` has made from one with these weights."""

    name = name
    version = version
    capabilities = capabilities

    def fake_quantize(
        self, values: NDArray[Any], format_name: str, profile: Profile
    ) -> NDArray[Any]:
        """MXQuantConfig for the weights only."""
        from neural_compressor.torch.quantization import MXQuantConfig, convert, prepare

        fmt = block_format(format_name)
        config = MXQuantConfig(
            w_dtype=ELEMENTS[fmt.element.name],
            act_dtype=ELEMENTS[fmt.element.name],
            blocksize=fmt.k,
            round_method=_mode(ROUNDINGS, fmt, profile),
            weight_only=True,
        )
        linear = torch.nn.Linear(fmt.k, len(values), bias=False)
        linear.weight.data = tensor_of(values)
        model = convert(prepare(torch.nn.Sequential(linear), config))
        return array_of(model[0].weight)


class _Ragged:
    """Rows of a whole block and a partial one."""

    name = name
    version = version
    capabilities = capabilities

    def fake_quantize(
        self, values: NDArray[Any], format_name: str, profile: Profile
    ) -> NDArray[Any]:
        """See `fake_quantize`."""
        fmt = block_format(format_name)

        def quantized(rows: NDArray[Any]) -> NDArray[Any]:
            return _quantized(rows, fmt, profile, ragged.WIDE)

        return ragged.in_ragged_rows(quantized, values)


def variant(chosen: str) -> Any:
    """The adapter of a variant."""
    if chosen in ENTRIES:
        kind = _Packed if chosen == "auto_round_packed" else _AutoRound
        return kind(ENTRIES[chosen])
    return _Layer() if chosen == "layer" else _Ragged()
