"""NNCF: ``compress_weights`` of an OpenVINO model with one product, whose weight is the array.

Below 10,000 elements NNCF computes with NumPy, from there on with a compiled OpenVINO graph. The subject itself is
given blocks in parts that stay below, the variant ``large`` at least so many that they do not.
"""

from __future__ import annotations

import contextlib
import io
import logging
from importlib.metadata import version as version_of
from typing import Any

import nncf
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as opset

from conformance.target import declared_profile
from mxemu.errors import Unsupported

nncf.set_log_level(logging.ERROR)

MODES = {
    "MXFP4_E2M1": nncf.CompressWeightsMode.MXFP4,
    "MXFP8_E4M3": nncf.CompressWeightsMode.MXFP8_E4M3,
}
SWITCH = 10_000
"""Elements from which NNCF takes the compiled graph."""

QUANTIZE = {
    "formats": list(MODES),
    "carriers": ["binary32", "binary16", "bfloat16"],
}

name = "nncf"
version = version_of("nncf")
capabilities = {
    "operations": {"quantize": QUANTIZE},
    "profile": declared_profile("nncf"),
    "variants": {"large": {"operations": {"quantize": QUANTIZE}}},
}


def quantize(values: NDArray[Any], format_name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Scales and codes of all blocks, in models of fewer elements than `SWITCH`."""
    rows = (SWITCH - 1) // values.shape[1]
    parts = [
        _compressed(values[start : start + rows], format_name)
        for start in range(0, len(values), rows)
    ]
    scales, codes = (np.concatenate(found) for found in zip(*parts, strict=True))
    return scales, codes


def _compressed(
    values: NDArray[Any], format_name: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The two constants that stand in the compressed model for a weight of shape [n, 32]."""
    if format_name not in MODES:
        raise Unsupported(f"NNCF has no mode for {format_name}")
    with contextlib.redirect_stdout(io.StringIO()):  # a table of what was compressed
        model = nncf.compress_weights(
            _model(values), mode=MODES[format_name], group_size=32, all_layers=True
        )
    constants = {
        node.get_element_type().get_type_name(): node.get_data()
        for node in model.get_ops()
        if node.get_type_name() == "Constant"
    }
    scales = constants["f8e8m0"].reshape(-1)
    if format_name == "MXFP8_E4M3":
        return scales, constants["f8e4m3"].reshape(values.shape)
    packed = constants["f4e2m1"].reshape(-1)
    codes = np.stack([packed & 0xF, packed >> 4], axis=-1)  # OpenVINO keeps the first one low
    return scales, codes.reshape(values.shape)


def _model(values: NDArray[Any]) -> ov.Model:
    """A model with one product x @ values.T."""
    if values.dtype == np.uint16:
        weight = opset.constant(ov.Tensor(values, values.shape, ov.Type.bf16))
    else:
        weight = opset.constant(values)
    given = opset.parameter([1, values.shape[1]], np.float32)
    if weight.get_element_type() != ov.Type.f32:
        weight = opset.convert(weight, np.float32)
    return ov.Model([opset.matmul(given, weight, False, True)], [given])


class _Large:
    """Arrays from 10,000 elements on."""

    name = name
    version = version
    capabilities = capabilities

    def quantize(
        self, values: NDArray[Any], format_name: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Scales and codes of all blocks, in one model of at least `SWITCH` elements."""
        missing = max(0, -(-SWITCH // values.shape[1]) - len(values))
        padded = np.concatenate([values, np.ones((missing, values.shape[1]), values.dtype)])
        scales, codes = _compressed(padded, format_name)
        return scales[: len(values)], codes[: len(values)]


def variant(chosen: str) -> _Large:
    """The adapter of a variant; there is one."""
    assert chosen == "large"
    return _Large()
