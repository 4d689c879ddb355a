"""Nodes that are in use somewhere, for boxes whose order shows only in part."""

from __future__ import annotations

from collections.abc import Iterator

from mxemu.accumulation import Chain, Fuse, Lanes, Late, Node, Parts, Sum, Tree

_LENGTHS = (1, 2, 4, 8, 16, 32, 64)
_RUNS = (4, 8, 16, 32, 64, 128)


def nodes(length: int, k: int) -> list[Node]:
    """Nodes for ``length`` terms in blocks of k, with exact steps."""
    found: dict[Node, None] = {}
    for node in _every(length, k):
        found.setdefault(node)
    return list(found)


def _every(length: int, k: int) -> Iterator[Node]:
    step = Fuse()
    yield Sum(step)
    yield Late(Sum(step), step)
    simple = [Chain(step, size) for size in _LENGTHS if size < length]
    yield from simple
    yield Tree(step)
    for node in simple:
        yield Late(node, step)
    for run in dict.fromkeys((k, *_RUNS)):
        if run >= length:
            continue
        inners: list[Node] = [
            Sum(step),
            Tree(step),
            *(Chain(step, size) for size in _LENGTHS if size < run),
        ]
        inners += [Lanes(2, Sum(step), Sum(step)), Lanes(2, Chain(step), Chain(step))]
        for inner in inners:
            yield Parts(0 if run == k else run, inner, Chain(step))
        yield Parts(0 if run == k else run, Sum(step), Tree(step))
        yield from (
            Parts(run, Sum(step), Chain(step, size)) for size in (2, 4) if run * size <= length
        )
    for count in (2, 4, 8, 16):
        if count < length:
            yield Lanes(count, Chain(step), Chain(step))
            yield Lanes(count, Chain(step), Tree(step))
