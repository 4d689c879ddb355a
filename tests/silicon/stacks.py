"""Matrix products of libraries on a Hopper GPU: what is called with which inputs. Nothing here computes a result.

A stack is an instruction plus what a library adds around it: restarts of the accumulator, scales, conversions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from silicon.decks import FORMATS, Codes, Kind, Stream, Tiles, random_tiles

BLOCK = 128  # terms that share a scale in block-scaled torch products
GROUP = 32  # terms that share a scale in tl.dot_scaled


class Stack(NamedTuple):
    """One matrix product of a library: D (m, n) = A (m, k) . B (n, k)^T.

    Attributes
    ----------
    call : str
        ``scaled_mm``, ``matmul``, ``dot`` or ``dot_scaled``.
    option : str
        What is special about the call; see the functions below that make them.
    out, a, b : str
        Formats.
    m, n, k : int
    distribution : str
        Of A and B; one of `decks.DISTRIBUTIONS`.
    """

    call: str
    option: str
    out: str
    a: str
    b: str
    m: int
    n: int
    k: int
    distribution: str

    @property
    def name(self) -> str:
        return ".".join(map(str, self))


class Inputs(NamedTuple):
    """The operands of a stack.

    Attributes
    ----------
    a, b : array (m, k), (n, k)
    c : array (m, n)
        Bits of binary32; all zero where nothing is added.
    scale_a, scale_b : array
        Bits of binary32, shape () for a whole tensor, (rows, k / 128) or (rows / 128, k / 128) for blocks; E8M0 codes
        (rows, k / 32) for dot_scaled; empty without scales.
    """

    a: Codes
    b: Codes
    c: Codes
    scale_a: Codes
    scale_b: Codes


def _torch() -> Iterator[Stack]:
    """torch._scaled_mm: fast or promoted, with scales 1, of tensors, of blocks; torch.matmul."""
    size = (256, 256)
    pairs = (("e4m3", "e4m3"), ("e4m3", "e5m2"), ("e5m2", "e4m3"))
    for mode in ("fast", "promoted"):
        for a, b in pairs:
            for k in (64, 128, 160, 512, 1024):
                for distribution in ("normal", "wide", "cancelling"):
                    yield Stack("scaled_mm", mode, "f32", a, b, *size, k, distribution)
            yield Stack("scaled_mm", mode, "f32", a, b, *size, 64, "bits")
        for k in (96, 1024):
            yield Stack("scaled_mm", mode, "bf16", "e4m3", "e4m3", *size, k, "normal")
            yield Stack("scaled_mm", f"{mode}+tensor", "f32", "e4m3", "e4m3", *size, k, "normal")
            yield Stack("scaled_mm", f"{mode}+tensor", "f32", "e4m3", "e5m2", *size, k, "wide")
    for out in ("f32", "bf16"):
        for option in ("1x128+1x128", "1x128+128x128", "128x128+1x128"):
            for k in (128, 512, 1024):
                for distribution in ("normal", "cancelling"):
                    yield Stack("scaled_mm", option, out, "e4m3", "e4m3", *size, k, distribution)
            yield Stack("scaled_mm", option, out, "e4m3", "e4m3", *size, 128, "bits")
            yield Stack("scaled_mm", option, out, "e4m3", "e4m3", *size, 1024, "sparse")
    for fmt in ("bf16", "f16"):
        for k in (64, 256, 1024):
            for distribution in ("normal", "wide", "cancelling", "subnormal", "tiny"):
                yield Stack("matmul", "", fmt, fmt, fmt, 512, 512, k, distribution)


def _triton() -> Iterator[Stack]:
    """tl.dot by max_num_imprecise_acc, with and without C; tl.dot_scaled by the scale codes that occur."""
    for option in ("default", "32", "64", "128", "0"):
        for k in (128, 256):
            for distribution in ("normal", "wide", "cancelling"):
                for c in ("", "+c"):
                    yield Stack("dot", option + c, "f32", "e4m3", "e4m3", 64, 64, k, distribution)
        yield Stack("dot", option + "+c", "f32", "e4m3", "e4m3", 64, 64, 128, "bits")
        yield Stack("dot", option, "f32", "e5m2", "e5m2", 64, 64, 128, "wide")
    formats = (
        ("e4m3", "e4m3"),
        ("e5m2", "e5m2"),
        ("e4m3", "e5m2"),
        ("e2m1", "e2m1"),
        ("e4m3", "e2m1"),
    )
    for a, b in formats:
        for scales in ("near", "low", "nan", "high", "any"):
            for k in (128, 256):
                yield Stack("dot_scaled", scales, "f32", a, b, 64, 64, k, "wide")


TORCH = {stack.name: stack for stack in _torch()}
TRITON = {stack.name: stack for stack in _triton()}

# E8M0 codes of tl.dot_scaled: from, to.
SCALES = {
    "near": (120, 134),
    "low": (0, 12),
    "high": (236, 254),
    "any": (0, 254),
    "nan": (124, 130),
}


def inputs(stack: Stack) -> Inputs:
    """The operands of a stack."""
    stream = Stream("stack", stack.name)
    kind = Kind(stack.name, stack.m, stack.k, FORMATS["f32"], FORMATS[stack.a], FORMATS[stack.b])
    shape = (1, stack.m, stack.n, stack.k)
    made = Tiles(*(one[0] for one in random_tiles(stream, kind, stack.distribution, shape)))
    c = made.c if stack.option.endswith("+c") else np.zeros_like(made.c)
    scales = [_scales(stream, stack, rows, side) for side, rows in enumerate((stack.m, stack.n))]
    return Inputs(made.a, made.b, c, *scales)


def _scales(stream: Stream, stack: Stack, rows: int, side: int) -> Codes:
    """The scales of one operand."""
    if stack.call == "dot_scaled":
        shape = (rows, stack.k // GROUP)
        codes = stream.between(*SCALES[stack.option], shape)
        if stack.option == "nan":
            codes = np.where(stream.below(40, shape) == 0, 255, codes)
        return codes.astype(np.uint8)
    if stack.call == "scaled_mm" and "tensor" in stack.option:
        return _floats(stream, ())
    if stack.call == "scaled_mm" and "128" in stack.option:
        tall = stack.option.split("+")[side] == "128x128"
        return _floats(stream, (rows // BLOCK if tall else rows, stack.k // BLOCK))
    return np.zeros(0, np.uint8)


def _floats(stream: Stream, shape: tuple[int, ...]) -> Codes:
    """Positive binary32 bits from 2^-4 to 2^4."""
    return stream.between(123 << 23, (131 << 23) - 1, shape).astype(np.uint32)


# Words that are kept of each result; of the rest a hash.
KEPT = 256


def kept(stack: Stack) -> Codes:
    """Flat indices of the words that are kept: an odd stride meets every row and column."""
    total = stack.m * stack.n
    return (np.arange(KEPT) * (total // KEPT + 1) % total).astype(np.uint32)
