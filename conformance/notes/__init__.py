"""The register of notes: the mistakes that test cases are there to catch.

A case carries the key of the mistake that it catches. So a failing case says at once what to look for, and a suite can
be asked which mistakes it would notice. Every mistake here has been made in public, or follows from a sentence of the
specification that is easy to overlook. The notes themselves are the TOML files beside this one, a table each.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Note:
    """One mistake.

    Attributes
    ----------
    key : str
        Words joined by hyphens; cases, reports and vector files carry it.
    title : str
        A few words for tables.
    bug : str
        What the wrong implementation does.
    effect : str
        What its user sees.
    fix : str
        What to do about it.
    clauses : tuple of str
        Ids of the clauses that decide the matter; where all of them leave a choice, the difference is one of
        convention.
    hint : str
        A line of C, Python or SystemVerilog that does it right; empty where none says more than the words.
    seen : str
        A public place where it was seen, where it can be read; empty if none is recorded.
    """

    key: str
    title: str
    bug: str
    effect: str
    fix: str
    clauses: tuple[str, ...]
    hint: str = ""
    seen: str = ""

    @property
    def help(self) -> str:
        """How to fix it, with the line that does it."""
        return f"{self.fix} {self.hint}".strip()


SETS: dict[str, tuple[str, ...]] = {
    "ties": ("MX-5.3.1-OFP8", "MX-5.3.2-RNE", "MX-5.3.3-RNE", "MX-5.3.4-RNE", "MX-6.3-RNE"),
    "overflow": (
        "MX-5.3.1-SAT",
        "MX-5.3.1-OVF",
        "MX-5.3.2-SAT",
        "MX-5.3.3-SAT",
        "MX-5.3.4-SAT",
    ),
    "inf": ("MX-5.3.1-SAT", "MX-5.3.1-OVF", "MX-5.3.2-INF", "MX-5.3.3-INF", "MX-5.3.4-INF"),
    "nan": ("MX-5.3.1-SAT", "MX-5.3.1-OVF", "MX-5.3.2-NAN", "MX-5.3.3-NAN", "MX-5.3.4-NAN"),
    "underflow": ("MX-5.3.1-OFP8", "MX-5.3.2-UFLOW", "MX-5.3.3-UFLOW"),
    "encodings": ("MX-5.3.1-ENC", "MX-5.3.2-ENC", "MX-5.3.3-ENC", "MX-5.3.4-ENC"),
}
"""Clauses that say the same thing of each family of formats; a note cites them all as ``@name``."""

_FILES = ("rounding", "range", "specials", "codes", "scales", "blocks", "products", "sweeps")


def _read() -> Iterator[Note]:
    """The notes of all files, in their order."""
    for name in _FILES:
        text = Path(__file__).with_name(f"{name}.toml").read_text(encoding="utf-8")
        for key, table in tomllib.loads(text).items():
            cited = (SETS[one[1:]] if one[0] == "@" else (one,) for one in table.pop("clauses"))
            yield Note(key, clauses=tuple(id_ for ids in cited for id_ in ids), **table)


NOTES: dict[str, Note] = {note.key: note for note in _read()}
"""Every note by its key: rounding, range, special values, codes, scales, blocks, dot products, sweeps."""
