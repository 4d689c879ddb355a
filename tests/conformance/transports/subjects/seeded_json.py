"""The seeded subject behind JSON lines; nothing of mxemu is imported."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import seeded


def numbers(request: dict[str, Any], name: str, dtype: str) -> Any:
    words = [int(word, 16) for word in request["arrays"][name].split()]
    return np.array(words, dtype=dtype).reshape(request["shapes"][name])


def text(array: Any) -> str:
    return " ".join(f"{int(one):x}" for one in array.ravel())


def answer(request: dict[str, Any]) -> dict[str, str]:
    match request["operation"]:
        case "encode":
            values = numbers(request, "values", "u4").view("f4")
            return {"codes": text(seeded.encode(values, request["format"]))}
        case "decode":
            codes = numbers(request, "codes", "u1")
            return {"values": text(seeded.decode(codes, request["format"]).view("u4"))}
        case _:
            values = numbers(request, "values", "u4").view("f4")
            scales, codes = seeded.quantize(values, request["format"])
            return {"scales": text(scales), "codes": text(codes)}


record = {"name": seeded.name, "version": seeded.version, "capabilities": seeded.capabilities}
print(json.dumps({"protocol": 1, "encoding": "json", **record}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"id": asked["id"], "arrays": answer(asked)}), flush=True)
