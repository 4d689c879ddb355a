"""A subject that is right in everything, behind JSON lines."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from conformance.adapter import function_of
from conformance.arrays import BITS_DTYPES, VALUE_DTYPES
from conformance.zoo.reference import Reference
from mxemu.profile import from_mapping

ORDER = ("values", "scales", "codes", "sa", "a", "sb", "b", "c")
PAIRS = {"formats": [["MXFP4", "MXINT8"]], "out": "binary32", "c": True}
CAPABILITIES = {
    "operations": {
        "encode": {
            "formats": ["E4M3"],
            "carriers": ["binary64", "bfloat16"],
            "overflows": ["SATURATE", "OVERFLOW"],
        },
        "decode": {"formats": ["E8M0"], "carriers": ["binary32"]},
        "encode-scaled": {"formats": ["MXFP4"], "carriers": ["bfloat16"]},
        "quantize": {"formats": ["MXFP4"], "carriers": ["binary16"]},
        "dequantize": {"formats": ["MXFP4"], "carriers": ["binary32"]},
        "fake_quantize": {"formats": ["MXFP4"], "carriers": ["binary32"]},
        "dot": PAIRS,
        "dot-general": PAIRS,
        "matmul": {**PAIRS, "formats": ["E2M1"]},
    },
    "profile": "ocp",
    "accumulation": "exact",
    "variants": ["one"],
}


class Complete(Reference):
    """With fake_quantize, which the reference of the zoo leaves out."""

    def fake_quantize(self, values: Any, name: str, profile: Any) -> Any:
        scales, codes = self.quantize(values, name, profile)
        return self.dequantize(scales, codes, name)


def array(request: dict[str, Any], name: str) -> Any:
    words = [int(word, 16) for word in request["arrays"].get(name, "").split()]
    if name not in request["shapes"]:
        return None
    shape = request["shapes"][name]
    if name == "values":
        bits = np.array(words, dtype=BITS_DTYPES[request["carrier"]])
        return bits.view(VALUE_DTYPES[request["carrier"]]).reshape(shape)
    return np.array(words, dtype=np.uint32).reshape(shape)


def answer(request: dict[str, Any]) -> dict[str, str]:
    operation = request["operation"]
    function = getattr(Complete(), function_of(operation))
    given = [array(request, name) for name in ORDER if name in request["shapes"]]
    names = {"encode": ["codes"], "encode-scaled": ["codes"], "quantize": ["scales", "codes"]}
    if operation in ("dot", "dot-general", "matmul"):
        given = [array(request, name) for name in ORDER[3:]]
        pair = (*request["format"].split(","), request["format"])[:2]
        result = function(*given, pair, request.get("accumulation", "exact"))
        return {"bits": text(result)}
    if operation in ("decode", "dequantize"):
        return {"values": text(function(*given, request["format"]).view(np.uint32))}
    fields = {
        key: one for key, one in request["profile"].items() if key != "name" and one is not None
    }
    result = function(*given, request["format"], from_mapping({"preset": "ocp", **fields}))
    if operation == "fake_quantize":
        return {"values": text(result.view(np.uint32))}
    results = result if isinstance(result, tuple) else (result,)
    return {name: text(one) for name, one in zip(names[operation], results, strict=True)}


def text(numbers: Any) -> str:
    return " ".join(f"{int(one):x}" for one in numbers.ravel())


if __name__ == "__main__":
    record = {"protocol": 1, "name": "reference", "version": "1", "capabilities": CAPABILITIES}
    print(json.dumps({**record, "batch": 100}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps({"id": asked["id"], "arrays": answer(asked)}), flush=True)
