"""What the reference and the members of the zoo offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conformance.adapter import PRODUCT_OPERATIONS
from mxemu.formats import BINARY32, CARRIERS, CONCRETE, E8M0, MX_ELEMENTS
from mxemu.profile import spelled

# Of all pairs of formats those that every part of a mixed product meets in.
_MIXED = (
    ("MXFP8_E4M3", "MXFP4_E2M1"),
    ("MXFP8_E5M2", "MXFP8_E4M3"),
    ("MXFP6_E3M2", "MXFP6_E2M3"),
    ("MXFP4_E2M1", "MXINT8"),
)

# What a kernel offers: two formats, and one carrier.
_BLOCKS = ("MXFP8_E4M3", "MXFP4_E2M1")
_PAIRS = ("MXFP8_E4M3", ("MXFP8_E5M2", "MXFP8_E4M3"))


def capabilities(
    operations: Sequence[str], formats: Sequence[str], carriers: Sequence[str], profile: str
) -> dict[str, Any]:
    """The record of an adapter.

    Parameters
    ----------
    operations : sequence of str
        Of the mistake; the first one is offered. Everything in every carrier if there are none.
    formats, carriers : sequence of str
        What the mistake needs; empty if it shows in any.
    profile : str
        What is declared, as `mxemu.profile.spelled` reads it.
    """
    every = _everything()
    if operations:
        cast = operations[0] == "scale-cast"
        offered = "encode" if cast else operations[0]
        own = {"formats": [E8M0.name]} if cast else every[offered]
        some = {"formats": list(formats)} if formats else {} if cast else _few(offered)
        if offered not in PRODUCT_OPERATIONS:
            some["carriers"] = list(carriers) or [BINARY32.name]
        every = {offered: {**own, **some}}
    return {"operations": every, "profile": spelled(profile), "accumulation": "exact"}


def _few(operation: str) -> dict[str, Any]:
    """Some formats of an operation on blocks; all elements."""
    if operation in ("encode", "decode"):
        return {}
    few = _PAIRS if operation in PRODUCT_OPERATIONS else _BLOCKS
    return {"formats": [list(one) if isinstance(one, tuple) else one for one in few]}


def _everything() -> dict[str, dict[str, Any]]:
    """Every operation of the reference."""
    elements = [fmt.name for fmt in MX_ELEMENTS]
    blocks = [fmt.name for fmt in CONCRETE]
    pairs = {"formats": [*blocks, *map(list, _MIXED)], "out": "binary32", "c": True}
    in_carriers = {"formats": blocks, "carriers": list(CARRIERS)}
    return {
        "encode": {
            "formats": elements,
            "carriers": list(CARRIERS),
            "overflows": ["SATURATE", "OVERFLOW"],
        },
        "decode": {"formats": [*elements, E8M0.name], "carriers": [BINARY32.name]},
        "encode-scaled": dict(in_carriers),
        "quantize": dict(in_carriers),
        "fake_quantize": dict(in_carriers),
        "dequantize": {"formats": blocks, "carriers": [BINARY32.name]},
        **{operation: dict(pairs) for operation in PRODUCT_OPERATIONS},
    }
