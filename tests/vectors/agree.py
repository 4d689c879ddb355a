"""Every committed vector once more, by the oracle, from the text of its file alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import oracle

Numbers = Mapping[str, list[int]]


def disagreements(path: Path) -> tuple[int, list[str]]:
    """How many vectors of a JSON file were computed again, and a line for each that came out otherwise."""
    record = json.loads(path.read_text(encoding="utf-8"))
    fields = {one["name"]: one for one in record["fields"]}
    compute = OPERATIONS[record["operation"]]
    wrong = []
    for vector in record["vectors"]:
        given = {name: numbers_of(text, fields[name]) for name, text in vector["in"].items()}
        expected = compute(given, record)
        for name, numbers in expected.items():
            found = numbers_of(vector["out"][name], fields[name])
            kinds = _kinds(vector["expect"][name], fields[name], found)
            if not _same(found, numbers, kinds, fields[name]["format"]):
                wrong.append(f"{record['set']} {vector['id']} {name}: {found}, oracle {numbers}")
    return len(record["vectors"]), wrong


def numbers_of(text: str, field: Mapping[str, Any]) -> list[int]:
    """Number i of a field lies at bits i * width and up."""
    whole, width = int(text, 16), field["width"]
    assert len(text) - 2 == -(-width * field["count"] // 4)
    return [whole >> (i * width) & ((1 << width) - 1) for i in range(field["count"])]


def _kinds(expect: Any, field: Mapping[str, Any], found: Sequence[int]) -> list[str]:
    """How each number is compared."""
    words = ("exact", "any_nan", "by_profile", "unspecified")
    if isinstance(expect, str):
        return [expect] * field["count"]
    if "either" in expect:
        assert found[0] in [int(one, 16) for one in expect["either"]]
        return ["by_profile"]
    if "mask" in expect:
        lanes = numbers_of(expect["mask"], field)
        return ["exact" if lane else "unspecified" for lane in lanes]
    packed = int(expect["kinds"], 16)
    return [words[packed >> (2 * i) & 3] for i in range(field["count"])]


def _same(
    found: Sequence[int], wanted: Sequence[int | None], kinds: Sequence[str], name: str
) -> bool:
    """None stands for NaN, and for codes of no meaning under a NaN scale."""
    for one, other, kind in zip(found, wanted, kinds, strict=True):
        if kind == "unspecified":
            continue
        if kind == "any_nan":
            if other is not None or oracle.decode(one, name).kind != "nan":
                return False
        elif one != other:
            return False
    return True


def _decode(given: Numbers, record: Mapping[str, Any]) -> dict[str, list[int | None]]:
    return {"value": [_bits(oracle.decode(given["code"][0], record["formats"][0]), record["kind"])]}


def _bits(value: oracle.Number, carrier: str) -> int | None:
    """Bits of a number; what binary32 has not is Inf, which is the profile's choice."""
    if value.kind == "finite" and value.magnitude >= oracle.power(128):
        value = oracle.infinity(value.negative)
    return None if value.kind == "nan" else oracle.carrier_bits(value, carrier)


def _element(value: oracle.Number, name: str) -> int | None:
    """The code of a number; NaN is the largest code where the format has none, which is what the profile says."""
    if value.kind == "nan":
        if oracle.nan_codes(name):
            return None
        return oracle.encode(oracle.infinity(False), name).code
    return oracle.encode(value, name).code


def _encode(given: Numbers, record: Mapping[str, Any]) -> dict[str, list[int | None]]:
    value = oracle.decode(given["value"][0], record["kind"])
    return {"code": [_element(value, record["formats"][0])]}


def _encode_scaled(given: Numbers, record: Mapping[str, Any]) -> dict[str, list[int | None]]:
    value, scale = oracle.decode(given["value"][0], record["kind"]), given["scale"][0]
    if scale == 0xFF:
        return {"code": [None]}
    return {"code": [_element(divided(value, scale), element_of(record))]}


def divided(value: oracle.Number, scale: int) -> oracle.Number:
    return value._replace(magnitude=value.magnitude / oracle.power(scale - 127))


def element_of(record: Mapping[str, Any], side: int = 0) -> str:
    """The element format of a block format of MX: MXFP8_E4M3 or MXINT8."""
    return (
        record["formats"][min(side, len(record["formats"]) - 1)].split("_")[-1].removeprefix("MX")
    )


def _scale(given: Numbers, record: Mapping[str, Any]) -> dict[str, list[int | None]]:
    largest = oracle.decode(given["amax"][0], record["kind"])
    if largest.kind != "finite":
        return {"scale": [0xFF]}
    return {"scale": [oracle.scale_code(largest.magnitude, element_of(record))]}


def _quantize(given: Numbers, record: Mapping[str, Any]) -> dict[str, list[int | None]]:
    values = [oracle.decode(bits, record["kind"]) for bits in given["values"]]
    scale, codes = oracle.quantize(values, element_of(record))
    return {"scale": [scale], "codes": list(codes) or [None] * len(values)}


def _dequantize(given: Numbers, record: Mapping[str, Any]) -> dict[str, list[int | None]]:
    name, scale = element_of(record), given["scale"][0]
    values = [oracle.dequantize(scale, code, name) for code in given["codes"]]
    return {"values": [_bits(value, record["kind"]) for value in values]}


def _dot(given: Numbers, record: Mapping[str, Any]) -> dict[str, list[int | None]]:
    a, b = (
        oracle.Vector(given[codes], element_of(record, side), given[scales], "E8M0", 32)
        for side, (codes, scales) in enumerate((("a", "sa"), ("b", "sb")))
    )
    c = oracle.decode(given["c"][0], record["kind"])
    _held, bits = oracle.dot(a, b, c, {}, record["kind"])
    assert record["accumulation"] == "exact"
    return {"result": [None if oracle.decode(bits, record["kind"]).kind == "nan" else bits]}


OPERATIONS: Mapping[
    str, Callable[[Numbers, Mapping[str, Any]], Mapping[str, Sequence[int | None]]]
] = {
    "decode": _decode,
    "encode": _encode,
    "encode-scaled": _encode_scaled,
    "scale": _scale,
    "quantize": _quantize,
    "dequantize": _dequantize,
    "dot": _dot,
    "dot-general": _dot,
}


def exact_sum(vector: Mapping[str, Any]) -> Fraction:
    """The exact sum that a dot product's vector states: an integer in hexadecimal times a power of two."""
    text = vector["why"]["exact_sum"]
    sign = -1 if text.startswith("-") else 1
    digits, _, exponent = text.lstrip("-").partition("p")
    return sign * int(digits, 16) * oracle.power(int(exponent or 0))
