"""OpenVINO: the Convert operation of the CPU plugin, from and to element types, one compiled model for each pair."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version as version_of
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as opset

from conformance.target import declared_profile
from mxemu.errors import Unsupported

TYPES = {
    "E4M3": ov.Type.f8e4m3,
    "E5M2": ov.Type.f8e5m2,
    "E2M1": ov.Type.f4e2m1,
    "E8M0": ov.Type.f8e8m0,
}
CARRIERS = {
    "float32": ov.Type.f32,
    "float16": ov.Type.f16,
    "uint16": ov.Type.bf16,
}

name = "openvino"
version = version_of("openvino")
capabilities = {
    "operations": {
        # From binary64 the CPU plugin has a Convert to the two 8-bit floating-point types only, so it is left out.
        "encode": {"formats": list(TYPES), "carriers": ["binary32", "binary16", "bfloat16"]},
        "decode": {"formats": list(TYPES), "carriers": ["binary32"]},
    },
    "profile": declared_profile("openvino"),
}


def encode(values: NDArray[Any], element: str) -> NDArray[np.uint8]:
    """Convert an array to the type of an element."""
    source = CARRIERS[values.dtype.name]
    given = ov.Tensor(np.ascontiguousarray(values), values.shape, source)
    packed = _converted(given, source, _type(element))
    if element != "E2M1":
        return packed[: len(values)]
    return np.stack([packed & 0xF, packed >> 4], axis=-1).reshape(-1)[: len(values)]


def decode(codes: NDArray[Any], element: str) -> NDArray[np.float32]:
    """Convert codes to binary32; those of E2M1 lie two in a byte, the first one low."""
    data = np.ascontiguousarray(codes, dtype=np.uint8)
    if element == "E2M1":
        even = np.concatenate([data, np.zeros(len(data) % 2, np.uint8)])
        data = even[0::2] | even[1::2] << 4
    given = ov.Tensor(data, [len(codes)], _type(element))
    return _converted(given, _type(element), ov.Type.f32)


def _converted(given: ov.Tensor, source: ov.Type, target: ov.Type) -> NDArray[Any]:
    """What the compiled Convert gives: numbers, or the bytes of a type that NumPy does not have."""
    request = _compiled(source, target).create_infer_request()
    request.infer([given])
    return np.array(request.get_output_tensor().data).reshape(-1)


@cache
def _compiled(source: ov.Type, target: ov.Type) -> ov.CompiledModel:
    """A model of one Convert on the CPU, which keeps binary32 between operations."""
    given = opset.parameter([-1], source)
    model = ov.Model([opset.convert(given, target)], [given])
    return ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def _type(element: str) -> Any:
    if element not in TYPES:
        raise Unsupported(f"OpenVINO has no type for {element}")
    return TYPES[element]
