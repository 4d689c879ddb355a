"""Boxes for the prober: accumulations that it must not see, with a count of what it asks."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from conformance.probe import Box, Search, Space
from conformance.probe.palette import Palette
from conformance.probe.space import Dots
from conformance.probe.stress import batch
from mxemu.accumulation import (
    TF32,
    Accumulation,
    Chain,
    Fuse,
    Lanes,
    Late,
    Nested,
    Node,
    Parts,
    Sum,
    Tree,
)
from mxemu.accumulations import from_mapping, to_mapping
from mxemu.formats import BINARY16, BINARY32, BlockFormat, ElementFormat, find

FRESH = 20_000
# Questions, and CPU seconds: wall-clock time would hang on what else the machine does.
QUERIES, SECONDS = 5_000, 30.0
_PART = 4_000


class Hidden:
    """A box that computes one accumulation and counts."""

    def __init__(self, record: Accumulation, space: Space) -> None:
        self.record, self.space, self.asked = record, space, 0

    def __call__(self, sa: Any, a: Any, sb: Any, b: Any, c: Any) -> Any:
        self.asked += len(a)
        bits = np.zeros(len(a), np.int64) if c is None else c
        return self.space.evaluate(self.record, Dots(a, b, sa, sb, bits))


def format_of(name: str) -> BlockFormat | ElementFormat:
    """A format by its name; TF32 is no element format of the registry."""
    return TF32 if name == "TF32" else find(name)


def space_of(record: Accumulation, name: str) -> Space:
    """Dots that are long enough to show what an accumulation does, in the format that its unit gives."""
    fmt = format_of(name)
    runs = [node.length for node in (record.node,) if isinstance(node, Parts)]
    length = max([64, *(2 * run for run in runs)])
    if isinstance(fmt, BlockFormat):
        length = max(length, 4 * fmt.k)
    narrow = record.name.endswith("-fp16") and record.name.startswith(("nv", "arm"))
    return Space(fmt, fmt, length, BINARY16 if narrow else BINARY32)


def search(record: Accumulation, space: Space, *, presets: bool = True) -> tuple[Search, Hidden]:
    """A search of a hidden accumulation, not yet run; only the number of questions bounds it."""
    hidden = Hidden(record, space)
    return Search(Box(hidden, space), presets=presets, seconds=math.inf), hidden


def differences(found: Accumulation, hidden: Accumulation, space: Space, count: int = FRESH) -> int:
    """Fresh dots of all kinds on which the record, as it would be written down, gives other bits."""
    written = from_mapping(to_mapping(found))
    palette, rng = Palette(space), np.random.default_rng(20_261_122)
    wrong = 0
    for _ in range(0, count, _PART):
        dots = batch(palette, rng, _PART)
        first, second = (space.evaluate(one, dots) for one in (written, hidden))
        wrong += int((first != second).sum())
    return wrong


def unseen(seed: int, length: int) -> Accumulation:
    """A random accumulation."""
    rng = random.Random(seed)
    node = rng.choice(list(_NODES.values()))(rng, length)
    return Accumulation(
        f"unseen-{seed}",
        node,
        nan_word=rng.choice(["quiet", "all-ones", "negative-quiet"]),
        zero_sign=rng.choice(["ieee", "positive"]),
        operand_subnormals=rng.choice(["keep", "keep", "keep", "flush"]),
    )


def _format(rng: random.Random) -> str:
    return rng.choice(["binary32"] * 3 + ["E8M13", "bfloat16", "TF32", "E8M16", "E6M9"])


def _exact(rng: random.Random) -> Fuse:
    roundings = ["ties-to-even", "ties-to-even", "toward-zero", "ties-to-away", "toward-negative"]
    return Fuse(f"{_format(rng)} {rng.choice(roundings)}")


def _cut(rng: random.Random) -> Fuse:
    return Fuse(
        f"{_format(rng)} {rng.choice(['toward-zero', 'ties-to-even'])}",
        rng.randint(8, 40),
        align=rng.choice(["toward-zero", "toward-zero", "toward-negative", "ties-to-even"]),
        floor=rng.choice([None, -126, -133]),
    )


def _step(rng: random.Random) -> Fuse:
    return rng.choice([_cut, _exact])(rng)


def _chain(rng: random.Random, length: int) -> Chain:
    return Chain(_step(rng), rng.choice([one for one in (1, 2, 4, 8, 16, 32) if one <= length]))


def _shuffled(rng: random.Random, length: int) -> Chain:
    size = rng.choice([2, 4, 8])
    order = list(range(size * rng.choice([2, 4])))
    rng.shuffle(order)
    return Chain(_step(rng), size, tuple(order))


def _promoted(rng: random.Random, length: int) -> Parts:
    run = rng.choice([8, 16, 32])
    return Parts(run, rng.choice([_chain(rng, run), Sum(_step(rng))]), Chain(Fuse("binary32")))


def _lanes(rng: random.Random, length: int) -> Lanes:
    outer = rng.choice([Chain(_exact(rng)), Tree(_exact(rng))])
    return Lanes(rng.choice([2, 4, 8]), Chain(_exact(rng)), outer)


def _nested(rng: random.Random, length: int) -> Nested:
    terms = list(range(length))
    rng.shuffle(terms)
    return Nested(_exact(rng), _branch(rng, terms))


def _branch(rng: random.Random, terms: list[int]) -> Any:
    if len(terms) == 1:
        return terms[0]
    count = min(len(terms), rng.choice([2, 2, 3, 4]))
    places = [0, *sorted(rng.sample(range(1, len(terms)), count - 1)), len(terms)]
    return tuple(_branch(rng, terms[first:after]) for first, after in pairwise(places))


_NODES: dict[str, Callable[[random.Random, int], Node]] = {
    "chain": _chain,
    "shuffled": _shuffled,
    "promoted": _promoted,
    "lanes": _lanes,
    "tree": lambda rng, length: Tree(_exact(rng), rng.choice([1, 2, 4])),
    "nested": _nested,
    "late": lambda rng, length: Late(_chain(rng, length), _exact(rng)),
    "sum": lambda rng, length: Sum(_step(rng)),
}
