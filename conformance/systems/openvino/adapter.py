"""OpenVINO: the Convert operation of the CPU plugin, from and to element types, one compiled model for each pair.

Its variants are other ways from numbers to the same types: ``binary64`` (Convert, which the plugin has for two types
only), ``constant`` (a constant of the type made from an array, which no plugin sees) and ``fake_convert`` (the
operation FakeConvert with a scale of 1, which returns values and saturates).
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import version as version_of
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as opset

from conformance.systems.naming import codes_of
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
    "float64": ov.Type.f64,
}
FAKED = {"E4M3": "f8e4m3", "E5M2": "f8e5m2"}


def _offer(formats: list[str], carriers: list[str]) -> dict[str, Any]:
    return {"formats": formats, "carriers": carriers}


name = "openvino"
version = version_of("openvino")
capabilities = {
    "operations": {
        "encode": _offer(list(TYPES), ["binary32", "binary16", "bfloat16"]),
        "decode": _offer(list(TYPES), ["binary32"]),
    },
    "profile": declared_profile("openvino"),
    "variants": {
        "binary64": {"operations": {"encode": _offer(["E4M3", "E5M2"], ["binary64"])}},
        "constant": {
            "operations": {"encode": _offer(list(TYPES), ["binary64", "binary32", "binary16"])}
        },
        "fake_convert": {
            "operations": {"encode": _offer(list(FAKED), ["binary32", "binary16", "bfloat16"])},
            "profile": "ocp",
        },
    },
}


def encode(values: NDArray[Any], element: str) -> NDArray[np.uint8]:
    """Convert an array to the type of an element."""
    source = CARRIERS[values.dtype.name]
    given = ov.Tensor(np.ascontiguousarray(values), values.shape, source)
    return _codes(_converted(given, source, _type(element)), element, len(values))


def _codes(data: NDArray[np.uint8], element: str, count: int) -> NDArray[np.uint8]:
    """One code in each byte; OpenVINO keeps two of E2M1 in one, the first one low."""
    if element == "E2M1":
        data = np.stack([data & 0xF, data >> 4], axis=-1).reshape(-1)
    return data[:count]


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


class _Constant:
    """Constants of the type, made from an array of numbers."""

    name = name
    version = version
    capabilities = capabilities

    def encode(self, values: NDArray[Any], element: str) -> NDArray[np.uint8]:
        """The bytes of the constant."""
        made = opset.constant(np.ascontiguousarray(values), dtype=_type(element))
        data = np.array(made.get_data()).reshape(-1).view(np.uint8)
        return _codes(data, element, len(values))


class _FakeConvert:
    """FakeConvert, which gives back numbers of the carrier."""

    name = name
    version = version
    capabilities = capabilities

    def encode(self, values: NDArray[Any], element: str) -> NDArray[np.int64]:
        """The codes of the values that come out."""
        if element not in FAKED:
            raise Unsupported(f"FakeConvert has no type for {element}")
        source = CARRIERS[values.dtype.name]
        given = ov.Tensor(np.ascontiguousarray(values), values.shape, source)
        request = _faking(source, FAKED[element]).create_infer_request()
        request.infer([given])
        found = np.array(request.get_output_tensor().data).reshape(-1)
        if source == ov.Type.bf16:
            found = (found.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        return codes_of(found, element)


@cache
def _faking(source: ov.Type, target: str) -> ov.CompiledModel:
    """A model of one FakeConvert on the CPU with the scale 1 and the shift 0."""
    given = opset.parameter([-1], source)
    scale, shift = (opset.convert(opset.constant(np.float32(one)), source) for one in (1, 0))
    model = ov.Model([opset.fake_convert(given, scale, shift, target)], [given])
    hint = "f32" if source == ov.Type.f32 else source.get_type_name()
    return ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})


def variant(chosen: str) -> Any:
    """The adapter of a variant; ``binary64`` differs from this module in what it offers only."""
    other = {"constant": _Constant, "fake_convert": _FakeConvert}.get(chosen)
    return other() if other else sys.modules[__name__]
