"""Vector files for ``$readmemh``: one vector a line, fields in hexadecimal joined by ``_``, notes as comments.

A line is one word of memory: the fields from the most significant digit on, each padded to whole digits. The comment
lines at the top say everything that is needed to read the rest, and Icarus, Verilator and others skip them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from conformance.arrays import Array
from conformance.vectors.table import Batch, Field, Role, Table
from conformance.vectors.words import from_digits, lines
from mxemu.errors import BadFile, MxemuError

VERSION = 1
_FIRST = f"// mxemu vectors {VERSION}"


def header(table: Table, count: int | None = None) -> str:
    """The comment lines at the top of a file; ``count`` vectors follow."""
    fields = " ".join(
        f"{field.name}:{field.role.value}:{field.width}x{field.count}"
        + (f":{field.format}" if field.format else "")
        for field in table.fields
    )
    pairs = [("set", table.name), *table.header.items(), ("fields", fields)]
    if count is not None:
        pairs.append(("vectors", str(count)))
    return "\n".join([_FIRST, *(f"// {key}={value}" for key, value in pairs)]) + "\n"


def text(table: Table, batches: Iterable[Batch], count: int) -> Iterator[bytes]:
    """The file in pieces; each batch is one."""
    yield header(table, count).encode()
    comments = {at: f" // {note}\n".encode() for at, note in enumerate(table.notes)}
    for batch in batches:
        yield b"".join(_pieces(batch, lines(batch, table.fields, b"_"), comments))


def _pieces(batch: Batch, rows: Array, comments: Mapping[int, bytes]) -> Iterator[bytes]:
    """Lines with their comments, for every stretch of one theme at once."""
    theme = batch.theme
    cuts = [0, *(np.flatnonzero(np.diff(theme)) + 1).tolist(), len(theme)]
    for start, stop in pairwise(cuts):
        if start == stop:
            continue
        comment = np.frombuffer(comments[int(theme[start])], np.uint8)
        tail = np.broadcast_to(comment, (stop - start, len(comment)))
        yield np.concatenate([rows[start:stop], tail], axis=1).tobytes()


class Reader:
    """A file of this form.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    table : Table
        With the notes that its lines have had so far.
    count : int
        Vectors in the file.

    Raises
    ------
    BadFile
        When it is no such file, of another version, or a field is not as its header says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                first = file.readline().decode("utf-8", "replace").rstrip("\n")
                keys = dict(self._pairs(file))
        except BadFile:
            raise
        except OSError as error:
            raise BadFile(f"{path}: {error.strerror}") from None
        if first != _FIRST:
            raise BadFile(f"{path}:1: {first[:60]!r}; expected {_FIRST!r}")
        self.table = self._table(keys)
        if not keys.get("vectors", "").isdecimal():
            raise BadFile(f"{path}: no line // vectors=; the header is not complete")
        self.count = int(keys["vectors"])

    def _pairs(self, file: Iterable[bytes]) -> Iterator[tuple[str, str]]:
        for number, line in enumerate(file, 2):
            words = line.decode("utf-8", "replace").rstrip("\n")
            if not words.startswith("// "):
                return
            key, equals, value = words[3:].partition("=")
            if not equals:
                raise BadFile(f"{self.path}:{number}: {words!r}; expected // key=value")
            yield key, value

    def _table(self, keys: dict[str, str]) -> Table:
        for wanted in ("set", "operation", "fields"):
            if wanted not in keys:
                raise BadFile(f"{self.path}: no line // {wanted}=; the header is not complete")
        fields = tuple(_field(word, self.path) for word in keys["fields"].split())
        own = {key: value for key, value in keys.items() if key not in ("set", "fields", "vectors")}
        return Table(keys["operation"], keys["set"], fields, (), own)

    def batches(self, rows: int = 1 << 14) -> Iterator[Batch]:
        """The vectors in order.

        Raises
        ------
        BadFile
            With the line and the field that are wrong.
        """
        notes: dict[str, int] = {}
        number, first = 0, 0
        with self.path.open("rb") as file:
            for chunk in iter(lambda: list(islice(file, rows)), []):
                found = self._chunk(chunk, number, notes)
                number += len(chunk)
                if len(found[1]):
                    self.table = replace(self.table, notes=tuple(notes))
                    yield Batch(found[0], found[1], first)
                    first += len(found[1])
        if first != self.count:
            raise BadFile(f"{self.path}: {first} vectors; its header says {self.count}")

    def _chunk(
        self, chunk: list[bytes], before: int, notes: dict[str, int]
    ) -> tuple[dict[str, Array], Array]:
        """Columns and themes of some lines."""
        length = self.table.digits + len(self.table.fields) - 1
        kept, theme = [], []
        for number, line in enumerate(chunk, before + 1):
            word, _, comment = line.partition(b"//")
            word = word.strip()
            if not word:
                continue
            if len(word) != length or not line.endswith(b"\n"):
                raise BadFile(f"{self.path}:{number}: {self._length(word, line)}")
            kept.append((number, word))
            theme.append(notes.setdefault(comment.decode("utf-8", "replace").strip(), len(notes)))
        joined = b"".join(word for _, word in kept)
        digits = np.frombuffer(joined, np.uint8).reshape(len(kept), length)
        return self._columns(digits, kept), np.array(theme, np.int64)

    def _length(self, word: bytes, line: bytes) -> str:
        if not line.endswith(b"\n"):
            return "the last line does not end; the file is cut off"
        expected = self.table.digits + len(self.table.fields) - 1
        return f"{len(word)} characters; expected {expected}, digits and underscores together"

    def _columns(self, digits: Array, kept: list[tuple[int, bytes]]) -> dict[str, Array]:
        found, at = {}, 0
        for field in self.table.fields:
            part = digits[:, at : at + field.digits]
            after = at + field.digits
            if after < digits.shape[1] and (digits[:, after] != ord("_")).any():
                row = int(np.argmax(digits[:, after] != ord("_")))
                raise BadFile(f"{self.path}:{kept[row][0]}: no _ after {field.name}")
            try:
                found[field.name] = from_digits(part, field)
            except MxemuError as error:
                raise BadFile(f"{self.path}:{_line(str(error), kept)}") from None
            at = after + 1
        return found


def _line(message: str, kept: list[tuple[int, bytes]]) -> str:
    """An error about a row of a chunk as one about a line of the file."""
    row, _, rest = message.removeprefix("vector ").partition(": ")
    return f"{kept[int(row) - 1][0]}: {rest}"


def _field(word: str, path: Path) -> Field:
    """A field from the header: ``name:role:width x count:format``."""
    name, role, size, *fmt = word.split(":")
    try:
        width, count = (int(number) for number in size.split("x"))
        return Field(name, width, count, Role(role), ":".join(fmt))
    except ValueError:
        raise BadFile(f"{path}: field {word!r}; expected name:role:WIDTHxCOUNT") from None
