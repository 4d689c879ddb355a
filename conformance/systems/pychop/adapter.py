"""pychop: its NumPy code, and its front ends for PyTorch, JAX and TensorFlow, which call that in their own ways.

pychop returns element values and a scale for each block, no codes; `conformance.systems.naming` names them. The
variants ``torch``, ``jax`` and ``tensorflow`` are the front ends; ``ragged`` has rows of a whole block and a partial
one.
"""

from __future__ import annotations

import logging
import os
from importlib.metadata import version as version_of
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.systems import ragged
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
FRONT = ["MXFP8_E4M3", "MXINT8", "E2M1/E8M0/16"]
"""What the variants jax and tensorflow offer; every format takes the same way through them."""

CARRIERS = ["binary64", "binary32"]


def _faked(formats: list[str], carriers: list[str]) -> dict[str, Any]:
    """The record of a variant."""
    return {"operations": {"fake_quantize": {"formats": formats, "carriers": carriers}}}


name = "pychop"
version = version_of("pychop")
capabilities = {
    "operations": {
        "quantize": {"formats": BLOCKS, "carriers": CARRIERS},
        "fake_quantize": {"formats": BLOCKS, "carriers": CARRIERS},
    },
    "profile": declared_profile("pychop"),
    "k": [16, 64],
    "variants": {
        "torch": _faked(BLOCKS, [*CARRIERS, "bfloat16"]),
        "jax": _faked(FRONT, [*CARRIERS, "bfloat16"]),
        "tensorflow": _faked(FRONT, [*CARRIERS, "bfloat16"]),
        "ragged": _faked(ragged.FORMATS, CARRIERS),
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


class _Jax:
    """The same by way of arrays of JAX."""

    name = name
    version = version
    capabilities = capabilities

    def fake_quantize(self, values: NDArray[Any], format_name: str) -> NDArray[Any]:
        """`mx_quantize` of an array, with the types of 64 bits switched on."""
        import jax
        import jax.numpy as jnp

        # Else binary64 becomes binary32 before pychop sees it.
        jax.config.update("jax_enable_x64", True)
        fmt = block_format(format_name)
        given = jnp.asarray(values)
        if values.dtype == np.uint16:
            given = jax.lax.bitcast_convert_type(given, jnp.bfloat16)
        quantized = mx_quantize(given, format=_name(fmt), block_size=fmt.k)
        if values.dtype == np.uint16:  # comes back as binary32; its numbers have no more bits
            quantized = jax.lax.bitcast_convert_type(quantized.astype(jnp.bfloat16), jnp.uint16)
        return np.asarray(quantized)


class _TensorFlow:
    """The same by way of tensors of TensorFlow, for which pychop makes a layer of Keras."""

    name = name
    version = version
    capabilities = capabilities

    def fake_quantize(self, values: NDArray[Any], format_name: str) -> NDArray[Any]:
        """`mx_quantize` of a tensor; the values are taken to the type of the input if they come back in another."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        fmt = block_format(format_name)
        brain = values.dtype == np.uint16
        given = tf.bitcast(values, tf.bfloat16) if brain else tf.convert_to_tensor(values)
        found = mx_quantize(given, format=_name(fmt), block_size=fmt.k)
        found = tf.cast(found, given.dtype)
        return (tf.bitcast(found, tf.uint16) if brain else found).numpy()


class _Ragged:
    """Rows of a whole block and a partial one."""

    name = name
    version = version
    capabilities = capabilities

    def fake_quantize(self, values: NDArray[Any], format_name: str) -> NDArray[Any]:
        """`mx_quantize` in blocks of 32."""
        called = _name(block_format(format_name))

        def quantized(rows: NDArray[Any]) -> NDArray[Any]:
            return mx_quantize(rows, format=called, block_size=ragged.WIDE)

        return ragged.in_ragged_rows(quantized, values)


def variant(chosen: str) -> Any:
    """The adapter of a variant."""
    known = {"torch": _Torch, "jax": _Jax, "tensorflow": _TensorFlow, "ragged": _Ragged}
    return known[chosen]()
