"""Random accumulations in table form: every kind of node, every field of every record."""

from __future__ import annotations

from random import Random
from typing import Any

ROUNDINGS = (
    "ties-to-even",
    "ties-to-away",
    "toward-zero",
    "toward-positive",
    "toward-negative",
    "to-odd",
)
FORMATS = (
    "binary32",
    "binary32",
    "binary16",
    "bfloat16",
    "binary64",
    "TF32",
    "E8M13",
    "E6M9",
    "E4M3",
)
Table = dict[str, Any]


def rounding(rng: Random) -> str:
    """A rounding into a format, as text."""
    words = [rng.choice(FORMATS)]
    words += [rng.choice(ROUNDINGS)] * (rng.random() < 0.6)
    words += ["flush"] * (rng.random() < 0.2) + ["stop-at-max"] * (rng.random() < 0.2)
    return " ".join(words)


def step(rng: Random, rounds: float = 0.8) -> Table:
    """A step; with probability `rounds` its sum is rounded."""
    found: Table = {}
    if rng.random() < rounds:
        outs = [rounding(rng) for _ in range(rng.choice((1, 1, 1, 2)))]
        found["out"] = outs[0] if len(outs) == 1 else outs
    cut = rng.choice(("none", "bits", "bits", "register"))
    if cut != "none" and rng.random() < 0.7:
        found["align"] = rng.choice(ROUNDINGS)
    if cut == "bits":
        found["fraction_bits"] = rng.choice((0, 2, 5, 13, 23, 25, 35))
        optional = {
            "floor": rng.randint(-140, 10),
            "carried_bits": rng.randint(0, 30),
            "carried_reach": rng.randint(0, 30),
        }
        found |= {key: value for key, value in optional.items() if rng.random() < 0.3}
    if cut == "register":
        found["quantum"] = rng.randint(-30, 6)
        if rng.random() < 0.7:
            found["width"] = rng.choice((1, 8, 16, 40, 90))
            found |= {"saturate": True} if rng.random() < 0.5 else {}
    return found


def node(rng: Random, count: int, depth: int = 2) -> Table:
    """A node for `count` terms."""
    kinds = ["sum", "chain", "tree", "nested"] + ["parts", "lanes", "late"] * (depth > 0)
    kind = rng.choice(kinds)
    found: Table = {"kind": kind}
    if kind not in ("parts", "lanes"):
        found["step"] = step(rng)
    if kind in ("chain", "tree", "nested") and rng.random() < 0.3:
        found["terms"] = rounding(rng)
    match kind:
        case "chain":
            found |= _chain(rng)
        case "tree":
            found["leaf"] = rng.choice((1, 2, 5))
        case "nested":
            leaves = rng.sample(range(count), count) + [-1] * (rng.random() < 0.5)
            found["tree"] = nesting(rng, rng.sample(leaves, len(leaves)))
        case "parts":
            length = rng.choice((1, 2, 4, 8, 0))
            found |= {
                "length": length,
                "inner": any_count(rng, depth),
                "outer": any_count(rng, depth),
            }
        case "lanes":
            lanes = rng.choice((1, 2, 3, 40))
            found |= {
                "count": lanes,
                "inner": any_count(rng, depth),
                "outer": any_count(rng, depth),
            }
        case "late":
            found["inner"] = node(rng, count, depth - 1)
    return found


def _chain(rng: Random) -> Table:
    length = rng.choice((1, 2, 4, 7))
    if rng.random() < 0.6:
        return {"length": length}
    size = length * rng.choice((1, 2, 3))
    return {"length": length, "order": rng.sample(range(size), size)}


def any_count(rng: Random, depth: int) -> Table:
    """A node that takes any number of terms."""
    while True:
        found = node(rng, 1, depth - 1)
        if "nested" not in str(found):
            return found


def nesting(rng: Random, leaves: list[int]) -> list[Any]:
    """Nested lists over all leaves."""
    if len(leaves) <= 3 and rng.random() < 0.7:
        return list(leaves)
    found: list[Any] = []
    while leaves:
        size = rng.randint(1, len(leaves))
        own, leaves = leaves[:size], leaves[size:]
        found.append(
            own[0] if size == 1 else nesting(rng, own) if rng.random() < 0.8 else list(own)
        )
    return found


def table(rng: Random, count: int) -> Table:
    """An accumulation of `count` terms."""
    found: Table = {"name": "drawn", "node": node(rng, count)}
    operand_format = rng.choice(("binary16", "bfloat16", "E5M7", "TF32"))
    optional: Table = {
        "operand_format": operand_format,
        "operand_subnormals": rng.choice(("flush", "flush-positive")),
        "product_limit": rng.choice((-3, 0, 5, 128)),
        "scale_zero_code": True,
        "scale_unsigned": True,
        "rounding": rng.choice(ROUNDINGS),
        "zero_sign": "positive",
        "nan_word": rng.choice(("all-ones", "negative-quiet")),
    }
    found |= {key: value for key, value in optional.items() if rng.random() < 0.25}
    at = rng.choice(("product", "product", "operand", "part"))
    if at == "product" and rng.random() < 0.5:
        found["product_exponent"] = rng.choice(("normalised", "scale"))
    elif rng.random() < 0.3:
        found["products"] = rounding(rng)
    if at == "operand":
        found |= {"scale_at": "operand", "operand_format": operand_format}
    if at == "part":
        found |= {"scale_at": "part", "node": _scaling(rng)}
    return found


def _scaling(rng: Random) -> Table:
    """A node whose blocks meet their scales after they were summed."""
    found = {"kind": "parts", "inner": any_count(rng, 1), "outer": any_count(rng, 1), "length": 0}
    found["scale"] = [rounding(rng) for _ in range(rng.randint(0, 2))]
    if not found["scale"] and rng.random() < 0.5:
        found["apart"] = rounding(rng)
    return found | ({"scaled": rounding(rng)} if rng.random() < 0.5 else {})
