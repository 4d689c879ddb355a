"""Inputs of a check, by theme. Each theme carries the note of the mistake that it is there to catch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.arrays import Array

LEVELS = ("smoke", "core", "full", "exhaustive")


@dataclass(frozen=True)
class Cases:
    """Inputs in a fixed order, simplest theme first, each input once.

    Attributes
    ----------
    inputs : ndarray
        Bits of the carrier, shape (n,) for elements and (n, k) for blocks; codes for decoding.
    theme : ndarray of int, shape (n,)
        Index into ``notes``.
    notes : tuple of str
        Note keys, see `conformance.notes`.
    """

    inputs: Array
    theme: Array
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.inputs)

    def note(self, index: int) -> str:
        """The note of one case."""
        return self.notes[int(self.theme[index])]


def collect(parts: Iterable[tuple[str, Array]], dtype: Any) -> Cases:
    """Join themes; an input that several themes have stays with the first, and a theme without inputs is no theme."""
    notes: list[str] = []
    inputs, themes = [], []
    for note, given in parts:
        part = np.asarray(given, dtype=dtype)
        if not len(part):
            continue
        if note not in notes:
            notes.append(note)
        inputs.append(part)
        themes.append(np.full(len(part), notes.index(note), dtype=np.int64))
    joined, theme = np.concatenate(inputs), np.concatenate(themes)
    _, first = np.unique(joined, axis=0, return_index=True)
    keep = np.sort(first)
    return Cases(joined[keep], theme[keep], tuple(notes))


def clause_counts() -> dict[str, int]:
    """How many groups of the suite (operation and format) hold a case that a clause decides."""
    from conformance.coverage import clause_counts as counted

    return counted()
