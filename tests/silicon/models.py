"""What mxemu says each kind and each stack computes: the table of presets, and the one place that evaluates them."""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from silicon.decks import COLUMNS, Deck, Kind, Tiles
from silicon.decks import decks as make_decks
from silicon.stacks import BLOCK, GROUP, SCALES, Inputs, Stack

from mxemu.accumulation import TF32, Accumulation
from mxemu.array import Blocks, dot
from mxemu.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    E2M1,
    E4M3,
    E5M2,
    E8M0,
    BlockFormat,
    FloatFormat,
)
from mxemu.products import Operand
from mxemu.products import dot as dot_of_one
from mxemu.profile import OCP
from mxemu.scalar import decode

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"

Words = NDArray[np.unsignedinteger]

FORMATS: dict[str, FloatFormat] = {
    "f32": BINARY32,
    "f16": BINARY16,
    "bf16": BFLOAT16,
    "tf32": TF32,
    "e4m3": E4M3,
    "e5m2": E5M2,
    "e2m1": E2M1,
}

# Conversion between carriers as these GPUs do it.
_NVIDIA = OCP.replace(overflow="overflow", nan_code="all-ones-positive")

# By instruction, terms and format of A; the presets of the binary16 accumulator end in -fp16.
_PRESETS = {
    ("mma", 16, "f16"): "nv-hopper",
    ("mma", 16, "bf16"): "nv-hopper",
    ("mma", 8, "tf32"): "nv-hopper-tf32",
    ("mma", 32, "e4m3"): "nv-fp8-mma-emulated",
    ("mma", 32, "e5m2"): "nv-fp8-mma-emulated",
    ("mma", 16, "e4m3"): "nv-fp8-mma-emulated-k16",
    ("mma", 16, "e5m2"): "nv-fp8-mma-emulated-k16",
    ("wgmma", 16, "f16"): "nv-hopper",
    ("wgmma", 16, "bf16"): "nv-hopper",
    ("wgmma", 8, "tf32"): "nv-hopper-tf32",
    ("wgmma", 32, "e4m3"): "nv-hopper-fp8-wgmma",
    ("wgmma", 32, "e5m2"): "nv-hopper-fp8-wgmma",
}

# By call and option of a stack.
_STACKS: dict[tuple[str, str], str] = {
    ("scaled_mm", "fast"): "cublas-fp8-fast",
    ("scaled_mm", "fast+tensor"): "cublas-fp8-fast",
    ("scaled_mm", "promoted"): "cublas-fp8-promoted",
    ("scaled_mm", "promoted+tensor"): "cublas-fp8-promoted",
    ("scaled_mm", "1x128+128x128"): "cublas-fp8-blockwise",
    ("scaled_mm", "128x128+1x128"): "cublas-fp8-blockwise",
    ("scaled_mm", "1x128+1x128"): "cublas-fp8-blockwise-1x128",
    ("matmul", ""): "nv-hopper",
    ("dot", "default"): "cublas-fp8-fast",
    ("dot", "32"): "triton-dot-fp8-32",
    ("dot", "64"): "triton-dot-fp8-64",
    ("dot", "128"): "cublas-fp8-promoted",
    ("dot", "0"): "triton-dot-fp8-0",
    **{("dot_scaled", scales): "triton-dot-scaled" for scales in SCALES},
}


def preset(kind: Kind) -> str:
    """The name of the accumulation of a kind."""
    stem = _PRESETS[kind.name.partition(".")[0], kind.k, kind.a.name]
    return f"{stem}-fp16" if kind.out.name == "f16" else stem


def stack_preset(stack: Stack) -> str:
    """The name of the accumulation of a stack."""
    return _STACKS[stack.call, stack.option.removesuffix("+c")]


def provenance() -> Any:
    """Where the data come from, with all hashes."""
    return json.loads((DATA / "provenance.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=8)
def data(part: str) -> dict[str, Words]:
    """The arrays of one part."""
    with np.load(DATA / f"{part}.npz", allow_pickle=False) as found:
        return dict(found)


@lru_cache(maxsize=64)
def decks(kind: Kind) -> dict[int, Deck]:
    """`silicon.decks.decks`, kept."""
    return make_decks(kind)


class Digest:
    """SHA-256 of arrays in C order, one after the other."""

    def __init__(self) -> None:
        self._total = sha256()

    def add(self, *arrays: Words) -> None:
        for array in arrays:
            self._total.update(np.ascontiguousarray(array).tobytes())

    def text(self) -> str:
        return self._total.hexdigest()


def digest(*arrays: Words) -> str:
    """The SHA-256 of arrays in C order, one after the other."""
    total = Digest()
    total.add(*arrays)
    return total.text()


def digest_of_file(path: Path) -> str:
    """The SHA-256 of a file."""
    return sha256(path.read_bytes()).hexdigest()


def evaluate(
    kind: Kind, a: Words, b: Words, c: Words, accumulation: Accumulation | str | None = None
) -> Words:
    """The words of a kind, by the array engine.

    Parameters
    ----------
    kind : Kind
    a, b : array (..., terms)
        Codes; the leading axes broadcast.
    c : array (...)
        Bits of the format of the result.
    accumulation : Accumulation or str, optional
        Another model than that of the kind.
    """
    return dot(
        (a, _name(kind.a.name)),
        (b, _name(kind.b.name)),
        c=c,
        accumulation=preset(kind) if accumulation is None else accumulation,
        out=FORMATS[kind.out.name],
        bits=True,
    )


def evaluate_tiles(kind: Kind, tiles: Tiles) -> Words:
    """All results of tiles, flat in the order of memory."""
    return evaluate(kind, tiles.a[:, :, None], tiles.b[:, None], tiles.c).reshape(-1)


def evaluate_at(
    kind: Kind,
    tiles: Tiles,
    where: NDArray[np.int64],
    accumulation: Accumulation | str | None = None,
) -> Words:
    """The results of tiles at flat indices."""
    row, column = np.divmod(where, COLUMNS)
    tile, row = np.divmod(row, kind.rows)
    return evaluate(
        kind, tiles.a[tile, row], tiles.b[tile, column], tiles.c[tile, row, column], accumulation
    )


def evaluate_one(kind: Kind, a: Words, b: Words, c: int) -> int:
    """The word of one dot, by the exact core."""
    out = FORMATS[kind.out.name]
    operands = [
        Operand(codes.tolist(), FORMATS[fmt.name]) for codes, fmt in ((a, kind.a), (b, kind.b))
    ]
    return dot_of_one(*operands, decode(int(c), out), preset(kind), out).bits


def _name(name: str) -> str:
    """A format as the verbs take it."""
    return FORMATS[name].name


class Side(NamedTuple):
    """One operand of a stack: codes (rows, k), scale codes (rows, blocks), the block's format, the tensor's scale."""

    codes: Words
    scales: Words
    format: BlockFormat
    tensor_scale: np.float32 | None


def sides(stack: Stack, given: Inputs) -> tuple[Side, Side]:
    """The operands of a stack as blocks; without scales, a scale of one for each 32 terms."""
    found = []
    for codes, scale, name in (
        (given.a, given.scale_a, stack.a),
        (given.b, given.scale_b, stack.b),
    ):
        element = FORMATS[name]
        rows, k = codes.shape
        if stack.call == "scaled_mm" and scale.ndim == 2:
            tall = np.repeat(scale, rows // len(scale), axis=0)
            found.append(
                Side(codes, tall, BlockFormat(f"{name} 1x128", element, BINARY32, BLOCK), None)
            )
            continue
        block = BlockFormat(f"{name} 1x32", element, E8M0, GROUP)
        if stack.call == "dot_scaled":
            found.append(Side(codes, scale, block, None))
            continue
        ones = np.full((rows, k // GROUP), 127, np.uint8)
        tensor = np.float32(scale[()].view(np.float32)) if scale.ndim == 0 else None
        found.append(Side(codes, ones, block, tensor))
    return found[0], found[1]


def evaluate_stack(
    stack: Stack,
    given: Inputs,
    where: NDArray[np.integer[Any]],
    accumulation: Accumulation | str | None = None,
) -> Words:
    """The results of a stack at flat indices, by the array engine."""
    rows, columns = np.divmod(where.astype(np.int64), stack.n)
    left, right = (
        _taken(side, at) for side, at in zip(sides(stack, given), (rows, columns), strict=True)
    )
    return dot(
        *(_blocks(side) for side in (left, right)),
        c=given.c[rows, columns] if stack.option.endswith("+c") else None,
        accumulation=accumulation or stack_preset(stack),
        out=FORMATS[stack.out],
        bits=True,
    )


def _taken(side: Side, rows: NDArray[np.int64]) -> Side:
    """Some rows of an operand."""
    return side._replace(codes=side.codes[rows], scales=side.scales[rows])


def _blocks(side: Side) -> Blocks:
    """An operand as the verbs take it."""
    count, k = side.codes.shape
    codes = side.codes.reshape(count, -1, side.format.k)
    return Blocks(
        codes, side.scales, side.format, axis=1, shape=(count, k), tensor_scale=side.tensor_scale
    )


def evaluate_stack_one(stack: Stack, given: Inputs, at: int) -> int:
    """One result of a stack, by the exact core."""
    operands = []
    for side, row in zip(sides(stack, given), divmod(at, stack.n), strict=True):
        tensor = None
        if side.tensor_scale is not None:
            tensor = decode(int(side.tensor_scale.view(np.uint32)), BINARY32)
        operands.append(
            Operand(side.codes[row].tolist(), side.format, side.scales[row].tolist(), tensor)
        )
    c = decode(int(given.c.reshape(-1)[at]), BINARY32) if stack.option.endswith("+c") else None
    return dot_of_one(*operands, c, stack_preset(stack), FORMATS[stack.out]).bits
