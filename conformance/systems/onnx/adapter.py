"""onnx: the reference evaluator on a model with one Cast, saturating or not, one model for each pair of types."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version as version_of
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.profile import Overflow, Profile

TYPES = {
    "E4M3": TensorProto.FLOAT8E4M3FN,
    "E5M2": TensorProto.FLOAT8E5M2,
    "E2M1": TensorProto.FLOAT4E2M1,
    "E8M0": TensorProto.FLOAT8E8M0,
    "E4M3FNUZ": TensorProto.FLOAT8E4M3FNUZ,
    "E5M2FNUZ": TensorProto.FLOAT8E5M2FNUZ,
}
CARRIERS = {
    "float64": TensorProto.DOUBLE,
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint16": TensorProto.BFLOAT16,
}
VERSION = 25
"""Of the operator set."""

name = "onnx"
version = version_of("onnx")
capabilities = {
    "operations": {
        "encode": {
            "formats": list(TYPES),
            "carriers": ["binary64", "binary32", "binary16", "bfloat16"],
            "overflows": ["SATURATE", "OVERFLOW"],
        },
        "decode": {"formats": list(TYPES), "carriers": ["binary32"]},
    },
    "profile": declared_profile("onnx"),
}


def encode(values: NDArray[Any], element: str, profile: Profile) -> NDArray[Any]:
    """Cast an array to the type of an element."""
    source = CARRIERS[values.dtype.name]
    if source == TensorProto.BFLOAT16:
        values = values.view(helper.tensor_dtype_to_np_dtype(source))
    saturate = int(profile.overflow is Overflow.SATURATE)
    with np.errstate(all="ignore"):
        return _cast(values, source, _type(element), saturate).view(np.uint8)


def decode(codes: NDArray[Any], element: str) -> NDArray[Any]:
    """Cast codes to binary32."""
    wanted = _type(element)
    given = codes.astype(np.uint8).view(helper.tensor_dtype_to_np_dtype(wanted))
    return _cast(given, wanted, TensorProto.FLOAT, 1)


def _cast(values: NDArray[Any], source: int, target: int, saturate: int) -> NDArray[Any]:
    found: list[Any] = _evaluator(source, target, saturate).run(None, {"x": values})
    return found[0]


@cache
def _evaluator(source: int, target: int, saturate: int) -> ReferenceEvaluator:
    """A model y = Cast(x)."""
    options = (
        {} if target in (TensorProto.FLOAT, TensorProto.FLOAT4E2M1) else {"saturate": saturate}
    )
    node = helper.make_node("Cast", ["x"], ["y"], to=target, **options)
    given = helper.make_tensor_value_info("x", source, [None])
    result = helper.make_tensor_value_info("y", target, [None])
    graph = helper.make_graph([node], "cast", [given], [result])
    sets = [helper.make_opsetid("", min(VERSION, onnx.defs.onnx_opset_version()))]
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=sets))


def _type(element: str) -> int:
    if element not in TYPES:
        raise Unsupported(f"onnx has no type for {element}")
    return int(TYPES[element])
