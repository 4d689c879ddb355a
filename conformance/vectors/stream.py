"""Vectors through a pipe: ``mxemu vectors stream SET | ./dut | mxemu vectors verify -``.

Header lines ``# key=value`` say what follows. Then one vector a line: the input fields in hexadecimal, with one space
between. The design passes header lines on as they are, and answers each vector with its inputs and its results.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO

import numpy as np

from conformance.arrays import Array
from conformance.vectors.suites import Suite
from conformance.vectors.table import Batch, Field
from conformance.vectors.verify import without_expectations
from conformance.vectors.words import from_digits, lines
from mxemu.errors import BadFile, MxemuError

FIRST = "# mxemu vectors 1"


def questions(suite: Suite) -> Iterator[bytes]:
    """The stream in pieces."""
    yield header(suite).encode()
    for batch in suite.batches():
        text = lines(batch, suite.inputs, b" ")
        end = np.full((len(batch), 1), ord("\n"), np.uint8)
        yield np.concatenate([text, end], axis=1).tobytes()


def header(suite: Suite) -> str:
    """The header lines."""
    fields = " ".join(f"{one.name}:{one.digits}" for one in without_expectations(suite))
    pairs = {"set": suite.table.name, **suite.table.header, "fields": fields}
    return "\n".join([FIRST, *(f"# {key}={value}" for key, value in pairs.items())]) + "\n"


class Answers:
    """What came back.

    Parameters
    ----------
    file : binary file
    where : str
        How errors call it.

    Attributes
    ----------
    header : dict of str to str
    """

    def __init__(self, file: IO[bytes], where: str) -> None:
        self.file, self.where = file, where
        self.header: dict[str, str] = {}
        self._number = 0
        self._pending: list[bytes] = []
        for line in file:
            self._number += 1
            text = line.decode("utf-8", "replace").strip()
            if text and not text.startswith("#"):
                self._pending, self._number = [line], self._number - 1
                break
            key, equals, value = text.removeprefix("#").strip().partition("=")
            if equals:
                self.header[key] = value

    def batches(self, suite: Suite, rows: int = 1 << 14) -> Iterator[Batch]:
        """Inputs and results.

        Raises
        ------
        BadFile
            With the line and field that are wrong.
        """
        fields, first = without_expectations(suite), 0
        stream = self._lines()
        for chunk in iter(lambda: list(islice(stream, rows)), []):
            columns = self._columns(chunk, fields)
            theme = np.full(len(chunk), suite.unknown_theme)
            yield Batch(columns, theme, first)
            first += len(chunk)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Numbered lines with vectors."""
        pending, self._pending = self._pending, []
        for line in _chain(pending, self.file):
            self._number += 1
            text = line.split(b"//")[0].strip()
            if text and not text.startswith(b"#"):
                yield self._number, text

    def _columns(
        self, chunk: list[tuple[int, bytes]], fields: tuple[Field, ...]
    ) -> dict[str, Array]:
        words = [text.split() for _, text in chunk]
        for (number, _), found in zip(chunk, words, strict=True):
            if len(found) != len(fields):
                names = " ".join(one.name for one in fields)
                raise BadFile(f"{self.where}:{number}: {len(found)} words; expected {names}")
        columns = {}
        for at, one in enumerate(fields):
            texts = [found[at].zfill(one.digits) for found in words]
            for (number, _), text in zip(chunk, texts, strict=True):
                if len(text) != one.digits:
                    raise BadFile(
                        f"{self.where}:{number}: {one.name} is {text.decode('latin-1')!r}; expected {one.digits} digits"
                    )
            digits = np.frombuffer(b"".join(texts), np.uint8).reshape(-1, one.digits)
            try:
                columns[one.name] = from_digits(digits, one)
            except MxemuError as error:
                row, _, rest = str(error).removeprefix("vector ").partition(": ")
                raise BadFile(f"{self.where}:{chunk[int(row) - 1][0]}: {rest}") from None
        return columns


def _chain(pending: list[bytes], rest: Iterable[bytes]) -> Iterator[bytes]:
    yield from pending
    yield from rest
