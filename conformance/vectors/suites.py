"""The sets of vectors: which there are, what goes in, and what has to come out.

Inputs are the cases of the suite, simplest theme first, and after them as many random ones as are asked for. Results
come from the exact core; `Suite.results` takes the array engine instead where it is told to, which gives the same bits
and is what makes millions of vectors affordable.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.arrays import BITS_DTYPES, Array, code_dtype
from conformance.cases import LEVELS, Cases, collect
from conformance.vectors.table import Batch, Expect, Field, Role, Table, VectorSet
from mxemu.accumulation import EXACT, Accumulation
from mxemu.errors import MxemuError, UnknownName, unknown
from mxemu.formats import FloatFormat
from mxemu.profile import OCP, Profile, spell

if TYPE_CHECKING:
    from conformance.judges import Judge

OPERATIONS = (
    "decode",
    "encode",
    "encode-scaled",
    "scale",
    "quantize",
    "dequantize",
    "dot",
    "dot-general",
    "pack",
)
"""Operations that have vectors."""

SUITE = "mx-1.0"
"""The name of the suite: the specification that it is about, and its version."""

Columns = Mapping[str, Array]


@dataclass(frozen=True)
class Key:
    """Which set.

    Parameters
    ----------
    operation : str
    format : str
        An element or scale format, a block format, or a pair of them as `conformance.adapter.pair_label` writes it.
    kind : str
        The carrier of values, the format of dot products, or the layout of packed bytes.
    level : str
    profile : Profile
    accumulation : Accumulation
    random : int
        Further random vectors behind the cases.
    seed : int
        Of those.
    """

    operation: str
    format: str
    kind: str = "binary32"
    level: str = "core"
    profile: Profile = OCP
    accumulation: Accumulation = EXACT
    random: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise unknown("operation with vectors", self.operation, OPERATIONS)
        if self.level not in LEVELS:
            raise unknown("level", self.level, LEVELS)
        if self.random < 0:
            raise MxemuError(f"{self.random} random vectors; expected 0 or more")

    @property
    def name(self) -> str:
        """Format and operation as a path without ending: ``e4m3/encode.binary32``."""
        where = self.format.lower().replace(",", "-").replace("/", "_")
        return f"{where}/{self.operation}.{self.kind}"


class Suite(VectorSet):
    """One set of vectors.

    Parameters
    ----------
    key : Key
    exact : bool
        Whether results come from the exact core rather than from the array engine.
    """

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]

    def __init__(self, key: Key, *, exact: bool = False) -> None:
        self.key = key
        self.exact = exact
        self._open()
        notes = self.cases.notes
        self.notes = notes if "random" in notes or not key.random else (*notes, "random")
        outs = [one for field in self.outputs for one in (field, field.expectation)]
        self.table = Table(
            key.operation, key.name, (*self.inputs, *outs), self.notes, self.header()
        )

    @abstractmethod
    def _open(self) -> None:
        """Look the formats up and set ``inputs`` and ``outputs``."""

    kept = 16
    """Cases of each theme that level smoke keeps; 0 for all."""

    @cached_property
    def cases(self) -> Cases:
        """The inputs of the level."""
        return thinned(self.given(), self.kept if self.key.level == "smoke" else 0)

    @abstractmethod
    def given(self) -> Cases:
        """The inputs of the level, before level smoke thins them out."""

    @abstractmethod
    def columns(self, rows: Array) -> dict[str, Array]:
        """Rows of cases as input fields."""

    @abstractmethod
    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Rows of random inputs."""

    @abstractmethod
    def rows(self, columns: Columns) -> Array:
        """Input fields as rows of cases, for the judge."""

    @abstractmethod
    def results(self, columns: Columns, profile: Profile) -> dict[str, Array]:
        """What comes out."""

    @abstractmethod
    def expectations(self, columns: Columns, results: Columns) -> dict[str, Array]:
        """How each number of a result is compared under OCP, as members of `Expect`."""

    def judge(self) -> Judge | None:
        """The judge of this operation, for clauses and for diagnoses; None if `mxemu check` has none."""
        return None

    def header(self) -> dict[str, str]:
        """What a reader must know besides the fields."""
        profile = self.key.profile
        return {
            "suite": SUITE,
            "operation": self.key.operation,
            "format": self.key.format,
            "kind": self.key.kind,
            "profile": spell(profile),
        }

    @property
    def unknown_theme(self) -> int:
        """The theme of vectors of which nobody has said what they are for."""
        return self.notes.index("random") if "random" in self.notes else 0

    @property
    def count(self) -> int:  # type: ignore[override]
        return len(self.cases) + self.key.random

    def batches(self, rows: int = 1 << 14) -> Iterator[Batch]:
        first = 0
        for inputs, theme in self._parts(rows):
            yield self.batch(self.columns(inputs), theme, first)
            first += len(theme)

    def _parts(self, rows: int) -> Iterator[tuple[Array, Array]]:
        """Rows of inputs and their themes: cases, then random ones from a generator for each part."""
        for start in range(0, len(self.cases), rows):
            part = slice(start, start + rows)
            yield self.cases.inputs[part], self.cases.theme[part]
        for start in range(0, self.key.random, _DRAWN):
            count = min(_DRAWN, self.key.random - start)
            rng = np.random.Generator(np.random.Philox(key=[self.key.seed, start]))
            drawn = self.draw(_DRAWN, rng)[:count]
            theme = np.full(count, self.notes.index("random"))
            for at in range(0, count, rows):
                yield drawn[at : at + rows], theme[at : at + rows]

    def batch(self, columns: dict[str, Array], theme: Array, first: int = 0) -> Batch:
        """Vectors from their inputs."""
        results = self.results(columns, self.key.profile)
        expected = self.expectations(columns, results)
        if self.key.profile.changes(OCP):
            usual = self.results(columns, OCP)
            for name, how in expected.items():
                chosen = (usual[name] != results[name]) & (how == Expect.EXACT)
                expected[name] = np.where(chosen, Expect.BY_PROFILE, how).astype(np.uint8)
        compared = {f"{name}_expect": how for name, how in expected.items()}
        return Batch({**columns, **results, **compared}, theme, first)


_DRAWN = 1 << 14
"""Random vectors from one generator: the same ones whatever the batches."""


def thinned(cases: Cases, most: int) -> Cases:
    """At most so many cases of each theme, the first one and others spread over the rest; all of them for 0."""
    if not most:
        return cases
    kept = []
    for theme in np.unique(cases.theme):
        own = np.flatnonzero(cases.theme == theme)
        kept.append(own[np.unique(np.linspace(0, len(own) - 1, most).astype(np.int64))])
    keep = np.sort(np.concatenate(kept))
    return Cases(cases.inputs[keep], cases.theme[keep], cases.notes)


def joined(cases: Cases, parts: Iterable[tuple[str, Array]]) -> Cases:
    """Cases, and further rows under notes; a row that is there already stays where it is."""
    own = [(note, cases.inputs[cases.theme == at]) for at, note in enumerate(cases.notes)]
    more = [(note, np.asarray(rows)) for note, rows in parts]
    last = own[-1:] if cases.notes[-1] == "random" else []
    return collect([*own[: len(own) - len(last)], *more, *last], cases.inputs.dtype)


def bits_of(rows: Array, carrier: FloatFormat) -> Array:
    """Bits of a carrier in its own dtype."""
    return rows.astype(BITS_DTYPES[carrier.name])


def codes_of(rows: Array, width: int) -> Array:
    """Codes in the smallest dtype."""
    return rows.astype(code_dtype(width))


def kinds(like: Array, kind: Expect = Expect.EXACT) -> Array:
    """The same expectation for all numbers."""
    return np.full(like.shape, kind, np.uint8)


def suite(key: Key, *, exact: bool = False) -> Suite:
    """The set of a key.

    Raises
    ------
    UnknownName
        A format, a carrier or a layout that there is not.
    MxemuError
        A pair of formats that do not go together.
    """
    return _classes()[key.operation](key, exact=exact)


def _classes() -> Mapping[str, type[Suite]]:
    from conformance.vectors import of_blocks, of_elements, of_packing, of_products

    return {
        "decode": of_elements.Decode,
        "encode": of_elements.Encode,
        "encode-scaled": of_elements.EncodeScaled,
        "scale": of_blocks.Scale,
        "quantize": of_blocks.Quantize,
        "dequantize": of_blocks.Dequantize,
        "dot": of_products.Dot,
        "dot-general": of_products.Dot,
        "pack": of_packing.Pack,
    }


def catalogue(level: str = "core") -> list[Key]:
    """Every set of the MX formats, in the order of the operations."""
    from conformance.vectors.of_packing import pack_kinds
    from mxemu.formats import CONCRETE, E8M0, MX_ELEMENTS

    carriers = ("binary32", "bfloat16", "binary16")
    elements = [element.name for element in MX_ELEMENTS]
    blocks = [block.name for block in CONCRETE]
    pairs = [*blocks, "MXFP8_E4M3,MXFP4_E2M1", "MXFP8_E5M2,MXFP8_E4M3", "MXFP4_E2M1,MXINT8"]
    keys = [Key("decode", name, "binary32", level) for name in [*elements, E8M0.name]]
    keys += [Key("encode", name, kind, level) for name in elements for kind in carriers]
    for operation in ("encode-scaled", "scale", "quantize"):
        keys += [Key(operation, name, kind, level) for name in blocks for kind in carriers[:2]]
    keys += [Key("dequantize", name, "binary32", level) for name in blocks]
    keys += [
        Key(operation, label, "binary32", level)
        for operation in ("dot", "dot-general")
        for label in pairs
    ]
    keys += [Key("pack", name, kind, level) for name, kind in pack_kinds()]
    return keys


def find(text: str, level: str = "core", **changes: Any) -> list[Key]:
    """Keys by a pattern: ``e4m3/encode.binary32``, ``e4m3/*``, ``*/quantize.*``, ``encode``; several after commas.

    A whole name need not be in the catalogue: any format with an operation and a kind that it goes with has vectors.

    Raises
    ------
    UnknownName
        A pattern that no set has, with a did-you-mean.
    """
    known = catalogue(level)
    found: dict[str, Key] = {}
    for pattern in text.split(","):
        word = pattern.strip()
        keys = [key for key in known if _is_meant(key, word.lower())] or _spelled(word, level)
        if not keys:
            names = [key.name for key in known]
            near = get_close_matches(word.lower(), names, 3) or [f"{word}/encode.binary32"]
            problem = unknown("set of vectors", word, near)
            problem.hint = "mxemu vectors list"
            raise problem
        found.update({key.name: replace(key, **changes) for key in keys})
    return list(found.values())


def _is_meant(key: Key, word: str) -> bool:
    where = key.name.partition("/")[0]
    words = ("all", where, key.operation, f"{where}/{key.operation}")
    return word in words or fnmatchcase(key.name, word)


def _spelled(word: str, level: str) -> list[Key]:
    """The set of a whole name, of formats that the catalogue does not list."""
    match = re.fullmatch(r"(.+)/([a-z-]+)\.([A-Za-z0-9-]+)", word)
    if match is None or match[2] not in OPERATIONS or "*" in word:
        return []
    key = Key(match[2], match[1], match[3], level)
    try:
        suite(key)
    except UnknownName:
        return []
    return [key]


def out(name: str, width: int, count: int = 1, fmt: str = "") -> Field:
    """A field of a result."""
    return Field(name, width, count, Role.OUT, fmt)
