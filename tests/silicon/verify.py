"""Compute every result again on the CPU, those of which only a hash is kept included.

    python tests/silicon/verify.py

Needs no GPU; some minutes. `test_silicon.py` compares what is kept word for word and is part of the tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from silicon import models, stacks  # noqa: E402 - the folders above are not on the path of a script
from silicon.decks import BULK, DISTRIBUTIONS, KINDS, Kind, bulk  # noqa: E402

_ROWS = 16  # of a library's result at once


def large_sets(kind: Kind, fact: dict[str, object]) -> Iterator[tuple[str, int, bool]]:
    """Name, size and agreement of every large set of a kind."""
    inputs = models.Digest()
    for distribution in DISTRIBUTIONS:
        for steps in BULK:
            tiles = bulk(kind, distribution, steps)
            inputs.add(*tiles)
            words = models.evaluate_tiles(kind, tiles)
            key = f"{distribution}/{steps}"
            yield f"{kind.name} {key}", words.size, models.digest(words) == fact["words"][key]  # type: ignore[index]
    yield f"{kind.name} inputs", 0, inputs.text() == fact["inputs"]


def library(stack: stacks.Stack, fact: dict[str, object]) -> tuple[str, int, bool]:
    """Name, size and agreement of the whole result of a library."""
    given, words = stacks.inputs(stack), models.Digest()
    for row in range(0, stack.m, _ROWS):
        places = np.arange(row * stack.n, min(row + _ROWS, stack.m) * stack.n)
        words.add(models.evaluate_stack(stack, given, places))
    same = words.text() == fact["words"] and models.digest(*given) == fact["inputs"]
    return stack.name, stack.m * stack.n, same


def checks() -> Iterator[tuple[str, int, bool]]:
    """Everything of which a hash is kept."""
    facts = models.provenance()["facts"]
    for kind in KINDS.values():
        yield from large_sets(kind, facts[f"bulk/{kind.name}"])
    for stack in (*stacks.TORCH.values(), *stacks.TRITON.values()):
        yield library(stack, facts[stack.name])


def main() -> int:
    """Print what differs, and how much was compared."""
    total = different = 0
    for name, size, same in checks():
        total += size
        different += not same
        if not same:
            print(f"DIFFERENT {name}")
        elif sys.stderr.isatty():
            print(f"\r{total:,} results", end="", file=sys.stderr, flush=True)
    print(f"{total:,} results, {different} sets differ")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
