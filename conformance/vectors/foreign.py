"""Other people's golden files, read with a map that says where each field is.

A map is a TOML file (or the same as a mapping)::

    operation = "encode-scaled"      # what the vectors are of
    format = "MXFP8_E4M3"
    kind = "bfloat16"                # the carrier, or the layout of packed bytes
    profile = "ocp"                  # optional; so is accumulation
    separator = ","                  # optional: what stands between words; white space, commas and _ unless given
    skip = 1                         # optional: lines at the top that hold no vectors
    base = 16                        # optional: 16, 10, or 0 for what a prefix says

    [fields]
    value = "39:24"                  # bits of the whole line, read as one hexadecimal number
    scale = 1                        # a word of the line, counted from 0
    code = "result"                  # a column of a CSV file, or a key of each JSON record

    [constants]
    scale = "0x7f"                   # what the file leaves out

A field of several numbers is one word with number 0 in the least significant bits, or a list of such places, number 0
first.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from conformance.arrays import Array
from conformance.vectors.suites import OPERATIONS, Key, Suite, suite
from conformance.vectors.table import Batch, Field
from conformance.vectors.verify import without_expectations
from conformance.vectors.words import from_number
from mxemu.errors import BadFile, MxemuError, unknown
from mxemu.profile import OCP, Profile

Place = int | str
Row = Mapping[str, str] | list[str]

_KEYS = (
    "operation",
    "format",
    "kind",
    "profile",
    "accumulation",
    "separator",
    "skip",
    "base",
    "fields",
    "constants",
)
_SLICE = re.compile(r"(\d+)(?::(\d+))?")


@dataclass(frozen=True)
class FieldMap:
    """Where the fields of somebody's vectors are.

    Parameters
    ----------
    fields : mapping of str to place or list of places
    constants : mapping of str to int
    separator : str, optional
    skip : int
    base : int
    """

    fields: Mapping[str, Place | list[Place]]
    constants: Mapping[str, int] = field(default_factory=dict)
    separator: str | None = None
    skip: int = 0
    base: int = 16


def field_map(table: Mapping[str, Any], where: str) -> FieldMap:
    """The map of a TOML table; what the vectors are of is `key_of`.

    Raises
    ------
    BadFile, UnknownName
    """
    for key in table:
        if key not in _KEYS:
            raise unknown(f"key in {where}", key, _KEYS)
    fields = table.get("fields")
    if not isinstance(fields, dict) or not fields:
        raise BadFile(f"{where}: no table [fields]; expected field = place for each field")
    constants = {key: _integer(value, where) for key, value in table.get("constants", {}).items()}
    skip, base = (table.get(key, usual) for key, usual in (("skip", 0), ("base", 16)))
    if type(skip) is not int or skip < 0:
        raise BadFile(f"{where}: skip is {skip!r}; expected a number of lines")
    if base not in (0, 10, 16):
        raise BadFile(f"{where}: base is {base!r}; expected 16, 10 or 0")
    return FieldMap(fields, constants, table.get("separator"), skip, base)


def key_of(table: Mapping[str, Any], where: str, profile: Profile = OCP, **rest: Any) -> Key:
    """What the vectors of a map are of.

    Raises
    ------
    BadFile, UnknownName
    """
    for key in ("operation", "format"):
        if key not in table:
            raise BadFile(f"{where}: {key} is missing; expected one of {', '.join(OPERATIONS)}")
    kind = table.get("kind", "binary32")
    return Key(table["operation"], table["format"], kind, "smoke", profile, **rest)


def _integer(given: object, where: str) -> int:
    try:
        return given if isinstance(given, int) else int(str(given), 0)
    except ValueError:
        raise BadFile(f"{where}: constant {given!r}; expected a number") from None


class Reader:
    """Vectors of a file, read with a map.

    Parameters
    ----------
    path : Path
        ``.csv`` and ``.json`` as such, anything else as lines of words.
    key : Key
    places : FieldMap

    Raises
    ------
    BadFile
        When the map misses a field, or has one that there is not.
    """

    def __init__(self, path: Path, key: Key, places: FieldMap) -> None:
        self.path, self.places = path, places
        self.suite: Suite = suite(key)
        self.fields = without_expectations(self.suite)
        known = [one.name for one in self.fields]
        for name in (*places.fields, *places.constants):
            if name not in known:
                raise unknown(f"field of {key.operation}", name, known)
        missing = [one for one in known if one not in {*places.fields, *places.constants}]
        if missing:
            raise BadFile(f"{path}: the map has no place for {', '.join(missing)}")

    def batches(self, rows: int = 1 << 12) -> Iterator[Batch]:
        """Inputs and results; a batch knows the lines of its vectors by their number alone.

        Raises
        ------
        BadFile
            With the line and the field that are wrong.
        """
        self.lines: list[int] = []
        pending: list[dict[str, Array]] = []
        first = 0
        for number, row in self._rows():
            pending.append(self._vector(number, row))
            self.lines.append(number)
            if len(pending) == rows:
                yield self._batch(pending, first)
                first += len(pending)
                pending = []
        if pending:
            yield self._batch(pending, first)
        if not self.lines:
            raise BadFile(f"{self.path}: no vectors")

    def _batch(self, vectors: list[dict[str, Array]], first: int) -> Batch:
        columns = {
            one.name: np.array([vector[one.name] for vector in vectors]) for one in self.fields
        }
        return Batch(columns, np.full(len(vectors), self.suite.unknown_theme), first)

    def _rows(self) -> Iterator[tuple[int, Row]]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except OSError as error:
            raise BadFile(f"{self.path}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise BadFile(f"{self.path}: {error}") from None
        match self.path.suffix:
            case ".json":
                yield from self._json(text)
            case ".csv":
                lines = text.splitlines()[self.places.skip :]
                reader = csv.DictReader(lines, delimiter=self.places.separator or ",")
                for row in reader:
                    yield reader.line_num + self.places.skip, row
            case _:
                yield from self._words(text.splitlines())

    def _json(self, text: str) -> Iterator[tuple[int, Row]]:
        """A list of records, or the first list in the file."""
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise BadFile(f"{self.path}: {error}") from None
        if isinstance(found, dict):
            found = next((value for value in found.values() if isinstance(value, list)), None)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise BadFile(f"{self.path}: expected a list of records")
        for number, one in enumerate(found, 1):
            yield number, {key: str(value) for key, value in _flat(one)}

    def _words(self, lines: Iterable[str]) -> Iterator[tuple[int, Row]]:
        for number, line in enumerate(lines, 1):
            text = re.split(r"//|#", line)[0].strip()
            if number <= self.places.skip or not text or text.startswith("@"):
                continue
            separator = self.places.separator
            yield (
                number,
                [text, *(text.split(separator) if separator else re.split(r"[\s,_]+", text))],
            )

    def _vector(self, number: int, row: Row) -> dict[str, Array]:
        found = {}
        for one in self.fields:
            try:
                found[one.name] = from_number(self._number(one, row), one)
            except (MxemuError, ValueError, KeyError, IndexError, TypeError) as error:
                what = str(error) if isinstance(error, MxemuError) else f"{one.name}: {error!r}"
                raise BadFile(f"{self.path}:{number}: {what}") from None
        return found

    def _number(self, one: Field, row: Row) -> int:
        """A whole field as one number."""
        if one.name in self.places.constants:
            return self.places.constants[one.name] & ((1 << one.bits) - 1)
        place = self.places.fields[one.name]
        if not isinstance(place, list):
            return self._read(place, row, one.bits)
        if len(place) != one.count:
            raise MxemuError(f"{one.name} has {len(place)} places; expected {one.count}")
        parts = [self._read(each, row, one.width) for each in place]
        return sum(part << (at * one.width) for at, part in enumerate(parts))

    def _read(self, place: Place, row: Row, bits: int) -> int:
        """The number at one place."""
        if isinstance(row, Mapping):
            return self._parsed(row[str(place)], bits)
        if isinstance(place, int):
            return self._parsed(row[1 + place], bits)
        match = _SLICE.fullmatch(place)
        if match is None:
            raise MxemuError(f"place {place!r}; expected a word's number or bits as HIGH:LOW")
        high = int(match[1])
        low = high if match[2] is None else int(match[2])
        whole = int(row[0].replace("_", "").replace(" ", ""), 16)
        return whole >> low & ((1 << (high - low + 1)) - 1)

    def _parsed(self, text: str, bits: int) -> int:
        """A number in the map's base; a negative one as two's complement."""
        word = text.strip().replace("_", "")
        if set(word.lower()) & set("xz") and not word.lower().startswith("0x"):
            raise MxemuError(f"{text.strip()!r} has unknown (X) or undriven (Z) bits")
        value = int(word, self.places.base)
        if not -(1 << (bits - 1)) <= value < 1 << bits:
            raise MxemuError(f"{text.strip()!r} does not fit {bits} bits")
        return value & ((1 << bits) - 1)


def _flat(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Keys of nested tables joined by dots."""
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
