"""Results of mxemu.matmul against the exact core, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from random import Random
from typing import NamedTuple

import numpy as np
from products import draw

import mxemu
from mxemu.accumulation import TF32, Accumulation
from mxemu.accumulations import ACCUMULATIONS
from mxemu.formats import CONCRETE, NVFP4, BlockFormat, ElementFormat, find
from mxemu.products import Operand, dot
from mxemu.scalar import decode
from mxemu.value import Value

Form = BlockFormat | ElementFormat
OUTS = ("binary32", "binary32", "binary32", "binary16", "bfloat16", "binary64")
_BITS = {"binary32": np.uint32, "binary16": np.uint16, "bfloat16": np.uint16, "binary64": np.uint64}


class Difference(NamedTuple):
    """One result that is not what the exact core gives."""

    accumulation: str
    formats: tuple[str, str]
    theme: str
    out: str
    expected: int
    got: int
    operands: tuple[Operand, Operand]
    c: Value | None


def pairs(record: Accumulation) -> list[tuple[Form, Form]]:
    """All pairs of MX formats, NVFP4, and the formats without scales that the unit takes."""
    found: list[tuple[Form, Form]] = [(a, b) for a in CONCRETE for b in CONCRETE]
    found.append((NVFP4, NVFP4))
    plain = [
        TF32 if name == "TF32" else find(name) for name in record.operands or ("E4M3", "binary16")
    ]
    return found + [(a, b) for a in plain for b in plain]


def operands(
    form: Form, rows: list[list[int]], scales: list[list[int]]
) -> tuple[object, list[Operand]]:
    """The same rows for the array verbs and for the exact core."""
    cores = [Operand(row, form, own) for row, own in zip(rows, scales, strict=True)]
    if not isinstance(form, BlockFormat):
        width = np.uint8 if form.width <= 8 else np.uint32
        return (np.array(rows, width), form), cores
    codes = np.array(rows, np.uint8).reshape(len(rows), -1, form.k)
    return mxemu.Blocks(codes, np.array(scales, np.uint8), form), cores


def compare(
    record: Accumulation, pair: tuple[Form, Form], theme: str, size: int, length: int, rng: Random
) -> Iterator[Difference]:
    """Differences among size * size dots of ``length`` terms, most of them with a C."""
    drawn = [draw.vectors(theme, *pair, length, rng) for _ in range(size)]
    a, left = operands(pair[0], [one.a for one in drawn], [one.a_scales for one in drawn])
    b, right = operands(pair[1], [one.b for one in drawn], [one.b_scales for one in drawn])
    out = rng.choice(OUTS)
    form = find(out)
    c = None
    if rng.random() < 0.8:
        values = [draw.carried(theme, form, rng) for _ in range(size * size)]
        bits = [0 if one is None else _bits(one, form) for one in values]
        c = np.array(bits, _BITS[out]).reshape(size, size)
    got = mxemu.matmul(a, b, c=c, accumulation=record, out=out, bits=True)
    for i, x in enumerate(left):
        for j, y in enumerate(right):
            own = None if c is None else decode(int(c[i, j]), form)
            expected = dot(x, y, own, record, out).bits
            if expected != int(got[i, j]):
                names = (str(pair[0]), str(pair[1]))
                yield Difference(
                    record.name, names, theme, out, expected, int(got[i, j]), (x, y), own
                )


def _bits(value: Value, form: ElementFormat) -> int:
    """A value that the format holds as bits; NaN is the quiet one."""
    return mxemu.block.value_bits(value, form)


def one(name: str, results: int, seed: int) -> tuple[int, list[Difference]]:
    """At least ``results`` results of an accumulation, spread over its pairs of formats: how many, what differs."""
    record = ACCUMULATIONS[name]
    rng = Random(f"{name} {seed}")
    found: list[Difference] = []
    own = pairs(record)
    size = max(2, ceil((results / len(own)) ** 0.5))
    for place, pair in enumerate(own):
        theme = draw.THEMES[(place + seed) % len(draw.THEMES)]
        # Restarts every 64 or 128 terms show only in long dots.
        length = (32, 64, 32, 32, 32, 32, 32, 160)[(place + seed) % 8]
        found += compare(record, pair, theme, size, length, rng)
    return size * size * len(own), found
