"""NNCF: ``compress_weights`` of an OpenVINO model with one product, whose weight is the array.

Below 10,000 elements NNCF computes with NumPy, from there on with a compiled OpenVINO graph. The subject itself is
given blocks in parts that stay below, the variant ``large`` at least so many that they do not. In ``columns`` and
``large_columns`` the weight is transposed, so that a block runs down a column, and three blocks stand in each.
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
    "carriers": ["binary64", "binary32", "binary16", "bfloat16"],
}
COLUMNS = {"formats": list(MODES), "carriers": ["binary32", "bfloat16"]}
STACKED = 3
"""Blocks in a column."""

name = "nncf"
version = version_of("nncf")
capabilities = {
    "operations": {"quantize": QUANTIZE},
    "profile": declared_profile("nncf"),
    "variants": {
        "large": {"operations": {"quantize": QUANTIZE}},
        "columns": {"operations": {"quantize": COLUMNS}},
        "large_columns": {"operations": {"quantize": COLUMNS}},
    },
}


def quantize(values: NDArray[Any], format_name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Scales and codes of all blocks, in models of fewer elements than `SWITCH`."""
    return _in_parts(values, format_name, 1)


def _in_parts(
    values: NDArray[Any], format_name: str, stacked: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rows = (SWITCH - 1) // values.shape[1] // stacked * stacked
    parts = [
        _compressed(values[start : start + rows], format_name, stacked)
        for start in range(0, len(values), rows)
    ]
    scales, codes = (np.concatenate(found) for found in zip(*parts, strict=True))
    return scales, codes


def _compressed(
    values: NDArray[Any], format_name: str, stacked: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The two constants that stand in the compressed model for all blocks."""
    if format_name not in MODES:
        raise Unsupported(f"NNCF has no mode for {format_name}")
    missing = -len(values) % stacked
    whole = np.concatenate([values, np.ones((missing, values.shape[1]), values.dtype)])
    weight = whole  # a constant of bfloat16 does not keep the array alive that it shares
    if stacked > 1:
        weight = np.ascontiguousarray(whole.reshape(-1, stacked * whole.shape[1]).T)
    with contextlib.redirect_stdout(io.StringIO()):  # a table of what was compressed
        model = nncf.compress_weights(
            _model(weight, in_rows=stacked == 1),
            mode=MODES[format_name],
            group_size=32,
            all_layers=True,
        )
    constants = {
        node.get_element_type().get_type_name(): node.get_data()
        for node in model.get_ops()
        if node.get_type_name() == "Constant"
    }
    codes = _codes(constants, format_name, whole.size)
    scales = _blocks(constants["f8e8m0"].reshape(-1), len(whole), stacked)
    return scales[: len(values)], _blocks(codes, len(whole), stacked)[: len(values)]


def _codes(constants: dict[str, Any], format_name: str, count: int) -> NDArray[np.uint8]:
    """One code in each byte, as the weight has them."""
    if format_name == "MXFP8_E4M3":
        return constants["f8e4m3"].reshape(-1)
    packed = constants["f4e2m1"].reshape(-1)
    halves = np.stack([packed & 0xF, packed >> 4], axis=-1)  # OpenVINO keeps the first one low
    return halves.reshape(-1)[:count]


def _blocks(found: NDArray[Any], rows: int, stacked: int) -> NDArray[Any]:
    """What belongs to each block: scales of shape [rows], or codes of shape [rows, 32]."""
    width = len(found) // rows
    if stacked > 1:
        found = found.reshape(stacked, width, rows // stacked).transpose(2, 0, 1)
    return found.reshape(rows) if width == 1 else found.reshape(rows, width)


def _model(values: NDArray[Any], *, in_rows: bool) -> ov.Model:
    """A model with one product: x @ values.T if the blocks are to stand in rows, else x @ values."""
    if values.dtype == np.uint16:
        weight = opset.constant(ov.Tensor(values, values.shape, ov.Type.bf16))
    else:
        weight = opset.constant(values)
    given = opset.parameter([1, values.shape[1 if in_rows else 0]], np.float32)
    if weight.get_element_type() != ov.Type.f32:
        weight = opset.convert(weight, np.float32)
    return ov.Model([opset.matmul(given, weight, False, in_rows)], [given])


class _Variant:
    """Arrays from 10,000 elements on, or blocks in columns, or both."""

    name = name
    version = version
    capabilities = capabilities

    def __init__(self, *, large: bool, stacked: int) -> None:
        self.large, self.stacked = large, stacked

    def quantize(
        self, values: NDArray[Any], format_name: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Scales and codes of all blocks; in one model of at least `SWITCH` elements if it is to be large."""
        if not self.large:
            return _in_parts(values, format_name, self.stacked)
        missing = max(0, -(-SWITCH // values.shape[1]) - len(values))
        padded = np.concatenate([values, np.ones((missing, values.shape[1]), values.dtype)])
        scales, codes = _compressed(padded, format_name, self.stacked)
        return scales[: len(values)], codes[: len(values)]


def variant(chosen: str) -> _Variant:
    """The adapter of a variant."""
    return _Variant(large="large" in chosen, stacked=STACKED if "columns" in chosen else 1)
