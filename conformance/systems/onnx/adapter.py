"""onnx: the reference evaluator on models of one operator, one model for each pair of types.

Elements go through Cast, saturating or not; E8M0 rounds up, its variants round otherwise. Elements under a scale go
through QuantizeLinear and whole blocks through DequantizeLinear, both with ``block_size`` and scales of FLOAT8E8M0.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version as version_of
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from conformance.target import declared_profile
from mxemu.errors import Unsupported
from mxemu.formats import block_format
from mxemu.profile import Overflow, Profile, ScaleCast

TYPES = {
    "E4M3": TensorProto.FLOAT8E4M3FN,
    "E5M2": TensorProto.FLOAT8E5M2,
    "E3M2": TensorProto.FLOAT6E3M2,
    "E2M3": TensorProto.FLOAT6E2M3,
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
VERSION = 28
"""Of the operator set; the first with FP6."""

NUMBERS = ["binary64", "binary32", "binary16", "bfloat16"]
BLOCKS = [
    *("MXFP8_E5M2", "MXFP8_E4M3", "MXFP6_E3M2", "MXFP6_E2M3", "MXFP4_E2M1"),
    *("E4M3/E8M0/16", "E2M1/E8M0/64"),
]
UNSATURATED = (TensorProto.FLOAT, *(TYPES[name] for name in ("E3M2", "E2M3", "E2M1")))
"""Types whose Cast has no attribute saturate."""

ROUND_MODES = {
    ScaleCast.TOWARD_POSITIVE: "up",
    ScaleCast.TOWARD_ZERO: "down",
    ScaleCast.TIES_TO_AWAY: "nearest",
}


def _of_mode(scale_cast: ScaleCast) -> dict[str, Any]:
    """The record of a variant: E8M0 with another round_mode."""
    return {
        "operations": {
            "encode": {
                "formats": ["E8M0"],
                "carriers": NUMBERS,
                "overflows": ["SATURATE", "OVERFLOW"],
            }
        },
        "profile": {"preset": "ocp", "scale_cast": scale_cast.value},
    }


name = "onnx"
version = version_of("onnx")
capabilities = {
    "operations": {
        "encode": {
            "formats": list(TYPES),
            "carriers": NUMBERS,
            "overflows": ["SATURATE", "OVERFLOW"],
        },
        "decode": {"formats": list(TYPES), "carriers": ["binary32"]},
        "encode-scaled": {
            "formats": BLOCKS,
            "carriers": ["binary32", "binary16", "bfloat16"],
            "overflows": ["SATURATE", "OVERFLOW"],
        },
        "dequantize": {"formats": BLOCKS, "carriers": ["binary32"]},
    },
    "profile": declared_profile("onnx"),
    "k": [16, 64],
    "variants": {
        "e8m0_down": _of_mode(ScaleCast.TOWARD_ZERO),
        "e8m0_nearest": _of_mode(ScaleCast.TIES_TO_AWAY),
    },
}


def encode(values: NDArray[Any], element: str, profile: Profile) -> NDArray[Any]:
    """Cast an array to the type of an element."""
    source, given = _given(values)
    target = _type(element)
    options: dict[str, Any] = {}
    if target not in UNSATURATED:
        options["saturate"] = int(profile.overflow is Overflow.SATURATE)
    if element == "E8M0":
        options["round_mode"] = ROUND_MODES[profile.scale_cast]
    return _cast(given, source, target, **options).view(np.uint8)


def decode(codes: NDArray[Any], element: str) -> NDArray[Any]:
    """Cast codes to binary32."""
    wanted = _type(element)
    return _cast(_codes(codes, wanted), wanted, TensorProto.FLOAT)


def encode_scaled(
    values: NDArray[Any], scales: NDArray[Any], format_name: str, profile: Profile
) -> NDArray[Any]:
    """QuantizeLinear of blocks that repeat one value each."""
    fmt = block_format(format_name)
    source, given = _given(values)
    target = _type(fmt.element.name)
    options = {"axis": 1, "block_size": fmt.k, "output_dtype": target}
    if target not in UNSATURATED:
        options["saturate"] = int(profile.overflow is Overflow.SATURATE)
    model = _evaluator("QuantizeLinear", (source, TYPES["E8M0"]), target, tuple(options.items()))
    blocks = np.repeat(given[:, None], fmt.k, axis=1)
    return _run(model, blocks, _codes(scales, TYPES["E8M0"])[:, None])[:, 0].view(np.uint8)


def dequantize(scales: NDArray[Any], codes: NDArray[Any], format_name: str) -> NDArray[Any]:
    """DequantizeLinear to binary32."""
    fmt = block_format(format_name)
    source = _type(fmt.element.name)
    options = (("axis", 1), ("block_size", fmt.k), ("output_dtype", int(TensorProto.FLOAT)))
    model = _evaluator("DequantizeLinear", (source, TYPES["E8M0"]), TensorProto.FLOAT, options)
    return _run(model, _codes(codes, source), _codes(scales, TYPES["E8M0"])[:, None])


def _given(values: NDArray[Any]) -> tuple[int, NDArray[Any]]:
    """The type of values, and the values in its own dtype."""
    source = CARRIERS[values.dtype.name]
    own = source == TensorProto.BFLOAT16
    return source, values.view(helper.tensor_dtype_to_np_dtype(source)) if own else values


def _codes(codes: NDArray[Any], kind: int) -> NDArray[Any]:
    """Codes in the dtype of their type."""
    return codes.astype(np.uint8).view(helper.tensor_dtype_to_np_dtype(kind))


def _cast(values: NDArray[Any], source: int, target: int, **options: Any) -> NDArray[Any]:
    return _run(_evaluator("Cast", (source,), target, (("to", target), *options.items())), values)


def _run(model: ReferenceEvaluator, *inputs: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        found: list[Any] = model.run(None, dict(zip("xs", inputs, strict=False)))
    return found[0]


@cache
def _evaluator(
    operator: str, sources: tuple[int, ...], target: int, options: tuple[tuple[str, Any], ...]
) -> ReferenceEvaluator:
    """A model of one operator, y = operator(x) or operator(x, s)."""
    names = list("xs"[: len(sources)])
    node = helper.make_node(operator, names, ["y"], **dict(options))
    given = [
        helper.make_tensor_value_info(one, source, None)
        for one, source in zip(names, sources, strict=True)
    ]
    result = helper.make_tensor_value_info("y", target, None)
    graph = helper.make_graph([node], operator, given, [result])
    sets = [helper.make_opsetid("", VERSION)]
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=sets))


def _type(element: str) -> int:
    if element not in TYPES:
        raise Unsupported(f"onnx has no type for {element}")
    return int(TYPES[element])
