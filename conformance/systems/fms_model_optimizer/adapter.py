"""fms-model-optimizer: its layer QLinearMX, whose product with the identity gives the quantized weights.

The layer rounds weights, inputs and outputs to bfloat16 besides ("bfloat": 16 among the project's defaults); the
variant ``no_bfloat`` leaves that out, and so does ``ragged``, whose layer has inputs for a whole block and a partial
one. It stands on microxcaling, which no registry carries: the environment variable ``MICROXCALING`` names its sources.
"""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

import torch
from numpy.typing import NDArray

from conformance.systems import ragged
from conformance.systems.microxcaling.adapter import ROUNDINGS
from conformance.systems.tensors import array_of, tensor_of
from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.formats import block_format
from mxemu.profile import Profile

from mx import finalize_mx_specs  # isort: skip
from fms_mo.modules.linear import QLinearMX  # isort: skip
from fms_mo.utils.qconfig_utils import get_mx_specs_defaults  # isort: skip

ELEMENTS = {
    "E5M2": "fp8_e5m2",
    "E4M3": "fp8_e4m3",
    "E2M1": "fp4_e2m1",
    "INT8": "int8",
    "INT4": "int4",
}
BLOCKS = [
    *("MXFP8_E5M2", "MXFP8_E4M3", "MXFP4_E2M1", "MXINT8"),
    *("INT4/E8M0/32", "E2M1/E8M0/16", "E4M3/E8M0/64"),
]


def _faked(formats: list[str], carriers: list[str]) -> dict[str, Any]:
    """What is offered, with every rounding of microxcaling."""
    roundings = [rounding.name for rounding in ROUNDINGS]
    offer = {"formats": formats, "carriers": carriers, "roundings": roundings}
    return {"operations": {"fake_quantize": offer}}


name = "fms_model_optimizer"
version = version_of("fms-model-optimizer")
capabilities = {
    **_faked(BLOCKS, ["binary32", "bfloat16"]),
    "profile": declared_profile("fms_model_optimizer"),
    "k": [16, 64],
    "variants": {
        "no_bfloat": _faked(BLOCKS, ["binary64", "binary32", "bfloat16"]),
        "ragged": {
            "operations": {
                "fake_quantize": {
                    "formats": ragged.FORMATS,
                    "carriers": ["binary32", "bfloat16"],
                    "roundings": ["TIES_TO_EVEN"],
                }
            }
        },
    },
}


def fake_quantize(values: NDArray[Any], format_name: str, profile: Profile) -> NDArray[Any]:
    """The weights that a layer with the project's defaults multiplies with."""
    return _weights(values, format_name, profile, bfloat=16)


def _weights(
    values: NDArray[Any], format_name: str, profile: Profile, bfloat: int, size: int = 0
) -> NDArray[Any]:
    """The outputs of a layer for the rows of the identity, which every format holds exactly.

    Each output is one weight plus zeros. That has two limits: a weight of NaN or Inf makes its whole block NaN, and
    the sign of a zero is not seen, so that a zero gets the sign of its input here.
    """
    fmt = block_format(format_name)
    if fmt.element.name not in ELEMENTS or profile.rounding not in ROUNDINGS:
        raise Unsupported(f"there is no {fmt.element.name} rounded {profile.rounding.name}")
    weights = tensor_of(values)
    specs = _specs(ELEMENTS[fmt.element.name], ROUNDINGS[profile.rounding], bfloat, size or fmt.k)
    width = weights.shape[1]
    layer = QLinearMX(width, len(weights), bias=False, mx_specs=specs, device="cpu")
    layer.weight.data = weights
    with torch.no_grad():
        found = layer(torch.eye(width, dtype=weights.dtype)).T
    return array_of(torch.where(found == 0, torch.copysign(found, weights), found))


def _specs(element: str, mode: str, bfloat: int, size: int) -> Any:
    """The project's defaults with an element format and a rounding for weights and activations."""
    specs = get_mx_specs_defaults()
    formats = {"w_elem_format": element, "a_elem_format": element}
    changes = formats | {"custom_cuda": False, "bfloat": bfloat, "block_size": size}
    rounded = {key: mode for key in specs if key.startswith("round")}
    return finalize_mx_specs(specs | changes | rounded)


class _NoBfloat:
    """The layer without rounding to bfloat16."""

    name = name
    version = version
    capabilities = capabilities

    def fake_quantize(
        self, values: NDArray[Any], format_name: str, profile: Profile
    ) -> NDArray[Any]:
        """See `fake_quantize`."""
        return _weights(values, format_name, profile, bfloat=0)


class _Ragged:
    """A layer whose number of inputs is no multiple of the block size."""

    name = name
    version = version
    capabilities = capabilities

    def fake_quantize(
        self, values: NDArray[Any], format_name: str, profile: Profile
    ) -> NDArray[Any]:
        """See `fake_quantize`."""

        def quantized(rows: NDArray[Any]) -> NDArray[Any]:
            return _weights(rows, format_name, profile, bfloat=0, size=ragged.WIDE)

        return ragged.in_ragged_rows(quantized, values)


def variant(chosen: str) -> Any:
    """The adapter of a variant."""
    return _Ragged() if chosen == "ragged" else _NoBfloat()
