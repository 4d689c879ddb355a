"""Rule pages: what a mistake is, why it matters, its smallest input, who had it, how to fix it.

The words are those of `conformance.notes`; the input is computed with the wrong implementation of the zoo. The command
line and the reference pages show the same page.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.notes import NOTES, Note

if TYPE_CHECKING:
    from conformance.zoo.reference import Reference

_CHOICES: dict[str, tuple[str, dict[str, str]]] = {
    "truncation": ("encode", {"rounding": "toward-zero"}),
    "overflow-policy": ("encode", {"overflow": "overflow"}),
    "int8-minus-128": ("encode", {"int_minimum": "allow"}),
    "input-subnormal-flush": ("quantize", {"input_subnormals": "flush"}),
    "scale-rule": ("quantize", {"scale_rule": "RCEIL"}),
    "nan-in-block": ("quantize", {"amax_nan": "ignore"}),
    "inf-in-block": ("quantize", {"inf_block": "finite-amax"}),
    "scale-cast": ("scale-cast", {"scale_cast": "toward-zero"}),
}
"""Notes of conventions: an operation, and another choice that shows there."""

_ACCUMULATIONS = {"cancellation-depth": "nv-hopper-fp8-wgmma", "term-order": "fp32-sequential"}
"""Notes of dot products on which accumulations differ, and one that does."""


@dataclass(frozen=True)
class Page:
    """One rule.

    Attributes
    ----------
    note : Note
    member : str
        What computes the wrong result of the smallest input: a wrong implementation, a choice or an accumulation.
    smallest : tuple of str
        Where, what goes in and comes out, and the command that derives it; empty if no case shows it.
    systems : tuple of str
        Checked systems whose recorded deviations have this cause.
    """

    note: Note
    member: str
    smallest: tuple[str, ...]
    systems: tuple[str, ...]


@cache
def page(key: str) -> Page:
    """The page of a note; NumPy is imported for it."""
    from conformance.report.smallest import lines

    shown = _shown_by(key)
    if shown is None:
        return Page(NOTES[key], "", (), ())
    return Page(NOTES[key], shown.name, tuple(lines(shown)), systems_with_cause(key))


def pages() -> Iterator[Page]:
    """Every page, in the order of the register."""
    return (page(key) for key in NOTES)


def _shown_by(key: str) -> Reference | None:
    """The first wrong implementation with a note, or a right one that chooses otherwise."""
    from conformance.zoo import MEMBERS
    from conformance.zoo.choices import Accumulating, Choosing

    member = next((one for one in MEMBERS if one.note == key), None)
    if member is not None:
        return member
    if key in _ACCUMULATIONS:
        return Accumulating(_ACCUMULATIONS[key])
    return Choosing(*_CHOICES[key]) if key in _CHOICES else None


def systems_with_cause(key: str) -> tuple[str, ...]:
    """The checked systems whose known deviations are caused by a mistake with this note."""
    from conformance.zoo import MEMBERS

    names = {one.name for one in MEMBERS if one.note == key}
    return tuple(name for name, causes in _causes().items() if names & causes)


@cache
def _causes() -> dict[str, set[str]]:
    """The causes of the known deviations of every system; two together are joined by *and*."""
    paths = sorted(Path(__file__).with_name("systems").glob("*/known.toml"))
    tables = {path: tomllib.loads(path.read_text(encoding="utf-8")) for path in paths}
    return {
        path.parent.name: {
            cause
            for entry in table.get("deviation", ())
            for cause in entry.get("cause", "").split(" and ")
        }
        for path, table in tables.items()
    }
