"""The canonical form: JSON with one vector a line, an id made from its inputs, the clause and how it is compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from conformance.adapter import is_preset
from conformance.arrays import Array
from conformance.coverage import all_wrong
from conformance.notes import NOTES
from conformance.vectors.of_elements import Encode, EncodeScaled
from conformance.vectors.of_products import Dot
from conformance.vectors.suites import SUITE, Suite
from conformance.vectors.table import Batch, Expect, Field, Role, Table
from conformance.vectors.words import from_number, hex_text
from mxemu import __version__
from mxemu.accumulation import EXACT
from mxemu.accumulations import to_mapping
from mxemu.clauses import CLAUSES
from mxemu.errors import BadFile, MxemuError
from mxemu.profile import OCP, Profile, plain, spell
from mxemu.scalar import decode
from mxemu.value import Value

SCHEMA = 1


def text(suite: Suite, batches: Iterable[Batch], count: int) -> Iterator[bytes]:
    """The file in pieces.

    Raises
    ------
    MxemuError
        For more vectors than a file to be read by people should have.
    """
    if count > MOST:
        raise MxemuError(
            f"{suite.table.name}: {count} vectors as JSON; expected at most {MOST}",
            "memh, mxb, npz and csv have no limit",
        )
    head = json.dumps(record(suite, count), indent=1)
    yield head.removesuffix("\n}").encode() + b',\n "vectors": [\n'
    first = True
    for batch in batches:
        for row in vectors(suite, batch):
            yield (b"  " if first else b",\n  ") + json.dumps(row).encode()
            first = False
    yield b"\n ]\n}\n"


MOST = 1 << 20
"""Vectors in one file."""


def record(suite: Suite, count: int) -> dict[str, Any]:
    """Everything but the vectors."""
    key, table = suite.key, suite.table
    formats = key.format.split(",")
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "suite": SUITE,
        "generator": {"name": "mxemu", "version": __version__},
        "set": table.name,
        "level": key.level,
        "operation": table.operation,
        "formats": formats,
        "kind": key.kind,
        "profile": profile_record(key.profile),
        "fields": [field.record() for field in table.fields if field.role is not Role.EXPECT],
        "notes": {note: NOTES[note].title for note in table.notes},
        "count": count,
    }
    if isinstance(suite, Dot):
        accumulation = key.accumulation
        found["accumulation"] = (
            accumulation.name if is_preset(accumulation) else to_mapping(accumulation)
        )
    return found


def profile_record(profile: Profile) -> dict[str, str]:
    """A profile as the name of a preset and the fields in which it differs from that."""
    name, *changes = spell(profile).split(",")
    return {"preset": name} | dict(change.split("=", 1) for change in changes)


def identify(suite: Suite, inputs: str) -> str:
    """The id of a vector: 16 hexadecimal digits of the SHA-256 of what goes in, and under which choices."""
    key = suite.key
    about = [
        SCHEMA,
        key.operation,
        key.format,
        key.kind,
        {name: plain(choice) for name, choice in sorted(key.profile.changes(OCP).items())},
        inputs,
    ]
    if isinstance(suite, Dot) and key.accumulation != EXACT:
        about.append(to_mapping(key.accumulation))
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def vectors(suite: Suite, batch: Batch) -> Iterator[dict[str, Any]]:
    """Each vector of a batch."""
    table = suite.table
    clauses = clauses_of(suite, batch)
    for row in range(len(batch)):
        given = {field.name: _hex(batch, field, row) for field in table.of(Role.IN)}
        found = {
            "id": identify(suite, " ".join(given.values())),
            "note": suite.notes[int(batch.theme[row])],
            "clause": clauses[row],
            "strength": strength(clauses[row]),
            "in": given,
            "out": {field.name: _hex(batch, field, row) for field in table.of(Role.OUT)},
            "expect": {one.name: pattern(suite, batch, one, row) for one in table.of(Role.OUT)},
        }
        if isinstance(suite, Dot):
            found["why"] = why(suite, batch, row)
        yield found


def _hex(batch: Batch, field: Field, row: int) -> str:
    return hex_text(batch.columns[field.name], row, field)


def strength(clause: str) -> str:
    """The strength of a clause; ``profile`` where a result follows from the profile alone."""
    return str(CLAUSES[clause].strength.value) if clause in CLAUSES else "profile"


def pattern(suite: Suite, batch: Batch, field: Field, row: int) -> Any:
    """How one field of a result is compared: a word, a mask of the bits that count, or what else is legal."""
    kinds = np.atleast_1d(batch.columns[field.expectation.name][row])
    values = set(kinds.tolist())
    if values == {Expect.BY_PROFILE} and (other := _other_zero(suite, batch, row)):
        return {"either": other}
    if len(values) == 1:
        return Expect(values.pop()).name.lower()
    if values == {Expect.EXACT, Expect.UNSPECIFIED}:
        full = (1 << field.width) - 1
        lanes = [0 if kind == Expect.UNSPECIFIED else full for kind in kinds.tolist()]
        mask = sum(lane << (i * field.width) for i, lane in enumerate(lanes))
        return {"mask": f"0x{mask:0{field.digits}x}"}
    return {"kinds": _hex(batch, field.expectation, row)}


def _other_zero(suite: Suite, batch: Batch, row: int) -> list[str]:
    """Both zeros, where the sign of a zero element is what the specification leaves open."""
    if not isinstance(suite, (Encode, EncodeScaled)):
        return []
    code, field = int(batch.columns["code"][row]), suite.outputs[0]
    sign = 1 << (field.width - 1)
    # A NaN that went in has a code of the profile, which may look like this one.
    nan = decode(int(batch.columns["value"][row]), suite.carrier).is_nan
    if nan or code != sign or not decode(code, suite.element).is_zero:
        return []
    return [f"0x{zero:0{field.digits}x}" for zero in (0, sign)]


def clauses_of(suite: Suite, batch: Batch) -> list[str]:
    """The clause that decides each vector."""
    judge = suite.judge()
    if judge is None:
        clause = {"scale": "MX-6.3-SCALE", "pack": "MX-5.1-LAYOUT"}[suite.key.operation]
        return [clause] * len(batch)
    from conformance.cases import Cases

    rows = suite.rows(batch.columns)
    own = judge.on(Cases(rows, batch.theme, suite.notes))
    found: list[str] = own.clauses(np.arange(len(rows)), all_wrong(own), suite.key.profile).tolist()
    return found


def why(suite: Dot, batch: Batch, row: int) -> dict[str, Any]:
    """What a reader needs to follow a dot product: the exact sum, and what became of it."""
    product = suite.product(batch.columns, row, EXACT)
    given = suite.product(batch.columns, row, suite.key.accumulation)
    return {
        "exact_sum": number_text(product.value),
        "accumulated": number_text(given.value),
        "status": list(given.status.names()),
    }


def number_text(value: Value) -> str:
    """An exact number as an integer times a power of two."""
    if not value.is_finite:
        return str(value)
    if value.is_zero:
        return "-0" if value.sign else "0"
    return f"{'-' if value.sign else ''}{value.significand:#x}p{value.exponent:+d}"


class Reader:
    """A file of this form.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    table : Table
    count : int
        Vectors in the file.
    record : dict
        Everything in it but the vectors.

    Raises
    ------
    BadFile
        When it is no such file, of another schema, or a vector lacks something.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.record = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadFile(f"{path}: {error.strerror}") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise BadFile(f"{path}: {error}; the file may be cut off") from None
        schema = self.record.get("schema") if isinstance(self.record, dict) else None
        if schema != SCHEMA:
            raise BadFile(f"{path}: schema {schema!r}; expected {SCHEMA}")
        try:
            self._open()
        except (KeyError, TypeError, ValueError) as error:
            raise BadFile(f"{path}: {error!r}; expected the form of vectors.schema.json") from None

    def _open(self) -> None:
        record = self.record
        self.vectors = record.pop("vectors")
        self.count = record["count"]
        if len(self.vectors) != self.count:
            raise BadFile(f"{self.path}: {len(self.vectors)} vectors; its header says {self.count}")
        fields = []
        for one in record["fields"]:
            field = Field.of_record(one)
            fields += [field, field.expectation] if field.role is Role.OUT else [field]
        profile = record["profile"]
        words = [profile["preset"]]
        words += [f"{key}={choice}" for key, choice in profile.items() if key != "preset"]
        header = {
            "suite": record["suite"],
            "operation": record["operation"],
            "format": ",".join(record["formats"]),
            "kind": record["kind"],
            "profile": ",".join(words),
        }
        if "accumulation" in record:
            header["accumulation"] = str(record["accumulation"])
        notes = tuple(record["notes"])
        self.table = Table(record["operation"], record["set"], tuple(fields), notes, header)

    def batches(self, rows: int = 1 << 14) -> Iterator[Batch]:
        """The vectors in order.

        Raises
        ------
        BadFile
            With the number and id of the vector, and the field that is wrong.
        """
        for first in range(0, self.count, rows):
            part = self.vectors[first : first + rows]
            columns = {field.name: self._column(part, field, first) for field in self.table.fields}
            theme = np.array([self.table.notes.index(one["note"]) for one in part], np.int64)
            yield Batch(columns, theme, first)

    def _column(self, part: list[dict[str, Any]], field: Field, first: int) -> Array:
        found = []
        for at, one in enumerate(part, first + 1):
            try:
                found.append(from_number(_read(one, field, self.table), field))
            except (KeyError, TypeError, ValueError, MxemuError) as error:
                where = f"vector {at} ({one.get('id', 'no id')})"
                raise BadFile(f"{self.path}: {where}: {field.name}: {error}") from None
        return np.array(found)


def _read(one: dict[str, Any], field: Field, table: Table) -> int:
    """A field of a vector as one number."""
    if field.role is not Role.EXPECT:
        return int(one[field.role.value][field.name], 16)
    own = table.field(field.name.removesuffix("_expect"))
    found = one["expect"][own.name]
    if isinstance(found, str):
        return sum(Expect[found.upper()] << (2 * i) for i in range(own.count))
    if "either" in found:
        return int(Expect.BY_PROFILE)
    if "kinds" in found:
        return int(found["kinds"], 16)
    mask = int(found["mask"], 16)
    lanes = [mask >> (i * own.width) & 1 for i in range(own.count)]
    return sum((0 if lane else Expect.UNSPECIFIED) << (2 * i) for i, lane in enumerate(lanes))
