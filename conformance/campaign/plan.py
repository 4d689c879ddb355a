"""A check cut into chunks, in an order that depends on nothing but what is checked."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from conformance.adapter import PRODUCT_OPERATIONS
from conformance.arrays import BITS_DTYPES
from conformance.campaign.draws import draw
from conformance.cases import Cases
from conformance.judges import Judge
from conformance.runner import Filters, Request, Run, judge_of, judge_with, requests, sweeps
from conformance.why.diagnose import Hypothesis
from mxemu.formats import carrier

SWEEP = 1 << 22
"""Inputs in one chunk of all inputs of a carrier."""

ROWS = {"encode": 1 << 18, "encode-scaled": 1 << 16, "decode": 1 << 16}
"""Random cases in one chunk; `BLOCKS` and `PRODUCTS` of the other operations."""

BLOCKS = 1 << 12
PRODUCTS = 1 << 11


@dataclass(frozen=True)
class Chunk:
    """A part of the cases of one group.

    Attributes
    ----------
    number : int
        In the whole plan.
    group : int
        Place of its group.
    kind : str
        ``cases`` (of the level), ``inputs`` (of a carrier, in order) or ``random``.
    request : Request
    level : str
    index : int
        Among the chunks of its kind and group.
    first, count : int
        The first input and how many; for ``cases`` the count is known when they are made, and 0 here.
    seed : int
        Of random cases.
    seeks : bool
        Whether this is a search for the case of such a chunk that the subject dies of.
    under : Hypothesis, optional
        Whether this asks once more, for what a legal cause that was found on kept cases leaves unexplained.
    """

    number: int
    group: int
    kind: str
    request: Request
    level: str
    index: int = 0
    first: int = 0
    count: int = 0
    seed: int = 0
    seeks: bool = False
    under: Hypothesis | None = None

    def judge(self) -> Judge:
        """The judge of its cases."""
        request = self.request
        if self.kind == "cases":
            return judge_of(request, self.level)
        if self.kind == "random":
            return draw(request, self.count, generator(self))
        inputs = self.first + np.arange(self.count, dtype=np.uint64)
        bits = inputs.astype(BITS_DTYPES[request.carrier])
        return judge_with(request, Cases(bits, np.zeros(self.count, np.int64), ("every-input",)))


def generator(chunk: Chunk) -> np.random.Generator:
    """The random numbers of a chunk: Philox with seed and index as its key, and the group in its counter."""
    group = zlib.crc32("/".join(chunk.request.key).encode())
    # As a list, seeds from 2^63 on would become floats, and many of them the same one.
    key = np.array([chunk.seed, chunk.index], dtype=np.uint64)
    philox = np.random.Philox(key=key, counter=[0, 0, 0, group])
    return np.random.Generator(philox)


@dataclass(frozen=True)
class Plan:
    """All chunks of a check.

    Attributes
    ----------
    chunks : tuple of Chunk
    groups : int
    """

    chunks: tuple[Chunk, ...]
    groups: int

    def of(self, group: int) -> list[Chunk]:
        """The chunks of a group."""
        return [chunk for chunk in self.chunks if chunk.group == group]

    def culprit(self, chunk: Chunk) -> Chunk:
        """The search for the case that a chunk died of; each group has at most one, with a number of its own."""
        return replace(chunk, seeks=True, number=len(self.chunks) + chunk.group)

    def again(self, chunk: Chunk, under: Hypothesis, turn: int) -> Chunk:
        """A chunk that is asked once more, with a number of its own in each turn."""
        before = self.groups + (1 + turn) * len(self.chunks)
        return replace(chunk, under=under, number=before + chunk.number)


def make_plan(run: Run, filters: Filters, random: int = 0, seed: int = 0) -> Plan:
    """Cut a check into chunks.

    Parameters
    ----------
    run : Run
        Capabilities, level, and what results are compared with.
    filters : Filters
    random : int
        Random cases for each group whose inputs are not all asked for.
    seed : int
        0 to 2^64 - 1.
    """
    every = list(requests(run, filters))
    pieces = (
        (place, request, piece)
        for place, request in enumerate(every)
        for piece in _pieces(request, run.level, random)
    )
    chunks = tuple(
        Chunk(number, place, kind, request, run.level, index, first, count, seed)
        for number, (place, request, (kind, index, first, count)) in enumerate(pieces)
    )
    return Plan(chunks, len(every))


def plan_of(request: Request, level: str) -> Plan:
    """The chunks of one group without random ones."""
    pieces = _pieces(request, level, 0)
    return Plan(
        tuple(
            Chunk(number, 0, kind, request, level, index, first, count)
            for number, (kind, index, first, count) in enumerate(pieces)
        ),
        1,
    )


def _pieces(request: Request, level: str, random: int) -> Iterator[tuple[str, int, int, int]]:
    """Kind, index, first input and number of inputs of each chunk of a group."""
    yield "cases", 0, 0, 0
    if sweeps(request, level):
        for index, first in enumerate(range(0, 1 << carrier(request.carrier).width, SWEEP)):
            yield "inputs", index, first, SWEEP
        return
    size = rows_of(request)
    for index, first in enumerate(range(0, random, size)):
        yield "random", index, first, min(size, random - first)


def rows_of(request: Request) -> int:
    """Random cases in one chunk."""
    usual = PRODUCTS if request.operation in PRODUCT_OPERATIONS else BLOCKS
    return ROWS.get(request.operation, usual)
