"""A subject that is right, behind lines of hex; one line is one row."""

from __future__ import annotations

import json
import sys

import numpy as np
from reference_json import CAPABILITIES, Complete, text

from conformance.arrays import BITS_DTYPES, VALUE_DTYPES
from mxemu.profile import OCP

K = 32
SHOWN = ("encode-scaled", "quantize", "dequantize", "fake_quantize", "dot", "dot-general")


def answer(line: str) -> str:
    operation, name, carrier, mode, *words = line.split()
    subject, numbers = Complete(), [int(word, 16) for word in words]
    if operation in ("dot", "dot-general"):
        blocks = 1 if operation == "dot" else 4
        cuts = np.cumsum([blocks, blocks * K, blocks, blocks * K])
        *operands, c = np.split(np.array([numbers]), cuts, axis=1)
        return text(subject.dot(*operands, c[:, 0].astype(np.uint32), (name, name), "exact"))
    if operation == "dequantize":
        codes = np.array([numbers[1:]])
        return text(subject.dequantize(np.array(numbers[:1]), codes, name).view(np.uint32))
    overflow = mode.partition(",")[2]
    profile = OCP.replace(overflow=overflow)
    skipped = 1 if operation == "encode-scaled" else 0
    bits = np.array(numbers[skipped:], dtype=BITS_DTYPES[carrier])
    values = bits.view(VALUE_DTYPES[carrier])
    match operation:
        case "encode-scaled":
            return text(subject.encode_scaled(values, np.array(numbers[:1]), name, profile))
        case "quantize":
            scales, codes = subject.quantize(values[None], name, profile)
            return f"{text(scales)} {text(codes)}"
        case _:
            return text(subject.fake_quantize(values[None], name, profile).view(np.uint32))


operations = {name: CAPABILITIES["operations"][name] for name in SHOWN}
products = {"formats": ["MXFP4"], "c": True}
operations |= {"dot": products, "dot-general": products}
record = {"operations": operations, "profile": "ocp", "accumulation": "exact"}
head = {"protocol": 1, "encoding": "hex", "name": "reference", "version": "1"}
print(json.dumps({**head, "capabilities": record}), flush=True)
for asked in sys.stdin:
    if asked.strip():
        print(answer(asked))
    else:
        sys.stdout.flush()
