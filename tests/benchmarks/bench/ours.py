"""The ways of mxemu itself, as contestants."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import mxemu
from bench.peer import Array, scale_and_codes, value_bits
from bench.rounds import Way
from mxemu.formats import ELEMENTS, MX_ELEMENTS
from mxemu.profile import OCP, Overflow, Profile, Rounding

# Blocks of 32 elements with an E8M0 scale, by element.
BLOCKS = {
    "E4M3": "MXFP8_E4M3",
    "E5M2": "MXFP8_E5M2",
    "E3M2": "MXFP6_E3M2",
    "E2M3": "MXFP6_E2M3",
    "E2M1": "MXFP4_E2M1",
    "INT8": "MXINT8",
}
NAMES = tuple(element.name for element in MX_ELEMENTS)
# The rules as torchao has them: its RCEIL divides in binary32.
RULES = {
    "FLOOR": OCP,
    "RCEIL": OCP.replace(scale_rule="RCEIL_BINARY32"),
}


def deterministic_profiles() -> dict[str, Profile]:
    """Every rounding that needs no random words, with both overflows."""
    return {
        f"{rounding.value}, {overflow.value}": OCP.replace(rounding=rounding, overflow=overflow)
        for rounding in Rounding
        if rounding is not Rounding.STOCHASTIC
        for overflow in Overflow
    }


def encode(x: Array, element: str, out: bool, profile: Profile = OCP) -> Way:
    """binary32 to codes."""
    function = partial(mxemu.encode, x, element, profile=profile)
    return Way(into(function, out), x.size, np.ravel)


def decode(codes: Array, element: str, out: bool) -> Way:
    """Codes to binary32."""
    return Way(into(partial(mxemu.decode, codes, element), out), codes.size, value_bits)


def quantize(x: Array, element: str, rule: str, out: bool, axis: int = -1) -> Way:
    """A matrix to blocks of 32."""
    function = partial(mxemu.quantize, x, BLOCKS[element], axis=axis, profile=RULES[rule])
    return Way(into(function, out), x.size, _shown, mxemu.dequantize)


def _shown(blocks: Any) -> Array:
    return scale_and_codes(blocks.scales, blocks.codes)


def dequantize(x: Array, element: str, out: bool) -> Way:
    """Blocks back to binary32."""
    blocks = mxemu.quantize(x, BLOCKS[element])
    return Way(into(partial(mxemu.dequantize, blocks), out), x.size)


def pack(codes: Array, element: str, out: bool) -> Way:
    """Codes to a dense stream of bits."""
    return Way(into(partial(mxemu.pack, codes, element), out), codes.size)


def into(function: partial[Any], out: bool) -> partial[Any]:
    """The same call with its own first result as the place for all further ones."""
    return partial(function, out=function()) if out else function


def random_codes(element: str, size: int) -> Array:
    """Codes of an element, all equally likely."""
    generator = np.random.default_rng(2)
    return generator.integers(0, 1 << ELEMENTS[element].width, size, dtype=np.uint8)


def gaussian(shape: tuple[int, ...]) -> Array:
    """Normally distributed binary32 numbers with standard deviation 1, always the same."""
    return np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
