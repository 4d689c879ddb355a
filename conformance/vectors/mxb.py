"""Binary vector files: a header of 64 bytes, the field table as JSON, then records of one size, all little-endian."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from conformance.vectors.table import Batch, Field, Table
from conformance.vectors.words import from_bytes, records
from mxemu.errors import BadFile, MxemuError

MAGIC = b"MXEMUVEC"
VERSION = 1
HEADER = struct.Struct("<8sHHIQII32s")
"""Magic, version, size of the header, bytes of a record, vectors, fields, bytes of the field table, its SHA-256."""


def field_table(table: Table) -> bytes:
    """The field table: JSON, padded with spaces to a multiple of 8 bytes."""
    record = {
        "set": table.name,
        "header": dict(table.header),
        "fields": [field.record() for field in table.fields],
    }
    text = json.dumps(record, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def table_of(found: Mapping[str, Any], notes: tuple[str, ...]) -> Table:
    """The table of a field table."""
    fields = tuple(Field.of_record(one) for one in found["fields"])
    return Table(found["header"]["operation"], found["set"], fields, notes, found["header"])


def data(table: Table, batches: Iterable[Batch], count: int) -> Iterator[bytes]:
    """The file in pieces; each batch is one."""
    fields = field_table(table)
    digest = hashlib.sha256(fields).digest()
    sizes = (table.size, count, len(table.fields), len(fields))
    yield HEADER.pack(MAGIC, VERSION, HEADER.size, *sizes, digest) + fields
    for batch in batches:
        yield records(batch, table).tobytes()


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

    Raises
    ------
    BadFile
        When it is no such file, of another version, cut off, or its field table was changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._open(file.read(HEADER.size), file)
            size = path.stat().st_size
        except BadFile:
            raise
        except OSError as error:
            raise BadFile(f"{path}: {error.strerror}") from None
        wanted = self.start + self.count * self.table.size
        if size != wanted:
            raise BadFile(
                f"{path}: {size} bytes; expected {wanted} for {self.count} vectors of {self.table.size}"
            )

    def _open(self, head: bytes, file: Any) -> None:
        if len(head) < HEADER.size or not head.startswith(MAGIC):
            raise BadFile(f"{self.path}: starts with {head[:8]!r}; expected {MAGIC!r}")
        _, version, size, record, self.count, fields, length, digest = HEADER.unpack(head)
        if version != VERSION or size != HEADER.size:
            raise BadFile(f"{self.path}: version {version}; expected {VERSION}")
        text = file.read(length)
        if hashlib.sha256(text).digest() != digest:
            raise BadFile(f"{self.path}: the field table does not have the SHA-256 of the header")
        self.start = size + length
        self.table = table_of(json.loads(text), ("",))
        if len(self.table.fields) != fields or self.table.size != record:
            raise BadFile(f"{self.path}: records of {record} bytes; expected {self.table.size}")

    def batches(self, rows: int = 1 << 14) -> Iterator[Batch]:
        """The vectors in order.

        Raises
        ------
        BadFile
            With the number of the vector and the field that are wrong.
        """
        size = self.table.size
        with self.path.open("rb") as file:
            file.seek(self.start)
            for first in range(0, self.count, rows):
                count = min(rows, self.count - first)
                raw = np.frombuffer(file.read(count * size), np.uint8).reshape(count, size)
                columns, at = {}, 0
                for field in self.table.fields:
                    try:
                        columns[field.name] = from_bytes(raw[:, at : at + field.size], field)
                    except MxemuError as error:
                        raise BadFile(f"{self.path}: from vector {first + 1}: {error}") from None
                    at += field.size
                yield Batch(columns, np.zeros(count, np.int64), first)
