"""pychop: its NumPy code, and its PyTorch front end, which calls that and chooses block sizes of its own.

pychop returns element values and a scale for each block, no codes; `conformance.systems.naming` names them.
"""

from __future__ import annotations

import logging
from importlib.metadata import version as version_of
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.systems.naming import codes_of
from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.formats import BlockFormat, block_format

logging.disable(logging.INFO)  # pychop logs every import

from pychop import MXTensor, mx_quantize  # noqa: E402

NAMES = {
    "MXFP8_E5M2": "mxfp8_e5m2",
    "MXFP8_E4M3": "mxfp8_e4m3",
    "MXFP6_E3M2": "mxfp6_e3m2",
    "MXFP6_E2M3": "mxfp6_e2m3",
    "MXFP4_E2M1": "mxfp4_e2m1",
    "MXINT8": "mxint8",
}
ELEMENTS = {block_format(name).element.name: called for name, called in NAMES.items()}
BLOCKS = [*NAMES, "E2M1/E8M0/16", "E4M3/E8M0/64"]
RAGGED = {"formats": ["MXFP8_E4M3", "MXFP4_E2M1"], "carriers": ["binary32"]}
BESIDE = 8
"""Columns of zeros that the variant ragged puts behind each row, so that its width is no multiple of the block size."""

name = "pychop"
version = version_of("pychop")
capabilities = {
    "operations": {
        "quantize": {"formats": BLOCKS, "carriers": ["binary32", "binary64"]},
        "fake_quantize": {"formats": BLOCKS, "carriers": ["binary32", "binary64"]},
    },
    "profile": declared_profile("pychop"),
    "k": [16, 64],
    "variants": {
        "torch": {
            "operations": {
                "fake_quantize": {
                    "formats": BLOCKS,
                    "carriers": ["binary32", "binary64", "bfloat16"],
                }
            }
        },
        "ragged": {"operations": {"fake_quantize": RAGGED}},
    },
}


def quantize(values: NDArray[Any], format_name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Scale and elements of every block of an `MXTensor`."""
    fmt = block_format(format_name)
    tensor = MXTensor(values, format=_name(fmt), block_size=fmt.k)
    blocks = tensor._impl.blocks  # noqa: SLF001 - no public name leads to the scales
    scales = np.array([block.shared_scale for block in blocks], dtype=np.float64)
    elements = np.array([block.quantized_elements for block in blocks], dtype=np.float64)
    return codes_of(scales, "E8M0"), codes_of(elements, fmt.element.name)


def fake_quantize(values: NDArray[Any], format_name: str) -> NDArray[Any]:
    """What users call: `mx_quantize` of an array."""
    fmt = block_format(format_name)
    return mx_quantize(values, format=_name(fmt), block_size=fmt.k)


def _name(fmt: BlockFormat) -> str:
    if fmt.element.name not in ELEMENTS:
        raise Unsupported(f"pychop has no format for {fmt.element.name}")
    return ELEMENTS[fmt.element.name]


class _Torch:
    """The same by way of tensors, which pychop recognises by their type."""

    name = name
    version = version
    capabilities = capabilities

    def fake_quantize(self, values: NDArray[Any], format_name: str) -> NDArray[Any]:
        """`mx_quantize` of a tensor."""
        from conformance.systems.tensors import array_of, tensor_of

        fmt = block_format(format_name)
        quantized = mx_quantize(tensor_of(values), format=_name(fmt), block_size=fmt.k)
        return array_of(quantized)


class _Ragged:
    """Rows of a block and some zeros: what stands in a row should not change what comes of another."""

    name = name
    version = version
    capabilities = capabilities

    def fake_quantize(self, values: NDArray[Any], format_name: str) -> NDArray[Any]:
        """The columns of the blocks, from an array that is `BESIDE` columns wider."""
        wide = np.pad(values, ((0, 0), (0, BESIDE)))
        return fake_quantize(wide, format_name)[:, : values.shape[1]]


def variant(chosen: str) -> _Torch | _Ragged:
    """The adapter of a variant."""
    return _Torch() if chosen == "torch" else _Ragged()
