"""A shuffle, and those of single numbers: bytes of words, and neighbours in a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from conformance.arrays import Array
from conformance.judges import Judge


@dataclass(frozen=True)
class Shuffle:
    """How a subject may have mixed up what it took or what it gave.

    Attributes
    ----------
    name : str
        Pasteable.
    text : str
        A sentence.
    note : str
        Key of the note that says more.
    taken : callable, optional
        Rows of cases to what the subject took for their inputs; the inputs themselves unless given.
    given : callable, optional
        Rows of cases to their results, taken from where they were found; the results as they are unless given.
    """

    name: str
    text: str
    note: str = ""
    taken: Callable[[Array], Array] | None = None
    given: Callable[[Array], Array] | None = None


@dataclass(frozen=True)
class Flat:
    """An order of any number of codes: those that fill a word change places in it, the rest stay."""

    name: str
    text: str
    size: int

    def undone_for(self, n: int) -> Array:
        """Where each of n codes was found; these orders are their own way back."""
        places = np.arange(n)
        if not self.size:
            return places[::-1].copy()
        moved = places ^ (self.size - 1)
        return np.where(moved < n // self.size * self.size, moved, places)


def flat_orders(width: int) -> Iterator[Flat]:
    """Orders of single codes in the array of a call."""
    pair = {4: "the two nibbles of each byte", 8: "the bytes of each 16-bit word"}
    yield Flat("pairs-swapped", f"{pair.get(width, 'neighbouring results')} are swapped", 2)
    for size in (4, 8):
        text = f"each {size} neighbouring results are in reverse order"
        yield Flat(f"groups-of-{size}-reversed", text, size)
    yield Flat("results-reversed", "the results are in reverse order", 0)


def rows_of(whole: Array) -> Callable[[Array], Array]:
    """What a shuffle has for some rows, out of what it has for all."""

    def of(rows: Array) -> Array:
        found: Array = whole[rows]
        return found

    return of


def per_call(judge: Judge, order: Callable[[int], Array]) -> Array:
    """An order of the cases of each call, as one of all cases."""
    source = np.arange(len(judge.cases))
    for part in judge.batches():
        source[part] = part[order(len(part))]
    return source


def of_words(numbers: Array) -> Iterator[tuple[str, str, Array]]:
    """Numbers with their bytes in other places: name, a clause with a gap for what they are, and the numbers."""
    width = 8 * numbers.dtype.itemsize
    if width == 8:
        return
    yield (
        "bytes-swapped",
        f"the {width // 8} bytes of each {{}} are in reverse order",
        numbers.byteswap(),
    )
    if width == 32:
        halves = (numbers << np.uint32(16)) | (numbers >> np.uint32(16))
        yield "halves-swapped", "the 16-bit halves of each {} are swapped", halves
    if width == 64:
        halves = (numbers << np.uint64(32)) | (numbers >> np.uint64(32))
        yield "halves-swapped", "the 32-bit halves of each {} are swapped", halves
