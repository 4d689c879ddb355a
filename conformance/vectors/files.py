"""Writing sets to files of any form, and reading them back.

A file appears under its name only when it is complete: it is written beside it and then renamed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from conformance.vectors import json_file, memh, mxb, tables
from conformance.vectors.suites import Suite
from conformance.vectors.table import Batch, Table
from mxemu.errors import BadFile, unknown

FORMS = ("json", "memh", "mxb", "csv", "parquet", "npz")
"""File forms, by their endings."""

Progress = Callable[[int], None]


class Reader(Protocol):
    """What every form is read by."""

    table: Table
    count: int

    def batches(self, rows: int = 1 << 14) -> Iterator[Batch]:
        """The vectors in order."""


def write(suite: Suite, path: Path, form: str, progress: Progress = lambda _: None) -> int:
    """Write a set.

    Parameters
    ----------
    suite : Suite
    path : Path
        Its folder is made where it is missing.
    form : str
    progress : callable
        Called with the number of vectors of each part that is done.

    Returns
    -------
    int
        Vectors written.

    Raises
    ------
    UnknownName, BadFile, MxemuError
    """
    if form not in FORMS:
        raise unknown("form of vector files", form, FORMS)
    with replacing(path) as file:
        match form:
            case "npz":
                tables.write_npz(file, suite, _told(suite, progress))
            case "parquet":
                tables.write_parquet(file, suite, _told(suite, progress))
            case _:
                for piece in _PIECES[form](suite, _told(suite, progress), suite.count):
                    file.write(piece)
    return suite.count


def _told(suite: Suite, progress: Progress) -> Iterator[Batch]:
    for batch in suite.batches():
        yield batch
        progress(len(batch))


def _memh(suite: Suite, batches: Iterator[Batch], count: int) -> Iterator[bytes]:
    return memh.text(suite.table, batches, count)


def _mxb(suite: Suite, batches: Iterator[Batch], count: int) -> Iterator[bytes]:
    return mxb.data(suite.table, batches, count)


_PIECES: Mapping[str, Callable[[Suite, Iterator[Batch], int], Iterator[bytes]]] = {
    "json": json_file.text,
    "memh": _memh,
    "mxb": _mxb,
    "csv": tables.csv,
}


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when all of it is there; nothing is left if that does not happen.

    Raises
    ------
    BadFile
        When it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except BadFile:
        raise
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def read(path: Path) -> Reader:
    """A reader for a file, chosen by its ending.

    Raises
    ------
    BadFile
    """
    readers: dict[str, Callable[[Path], Reader]] = {
        ".json": json_file.Reader,
        ".memh": memh.Reader,
        ".mxb": mxb.Reader,
        ".csv": tables.CsvReader,
        ".npz": tables.NpzReader,
        ".parquet": tables.ParquetReader,
    }
    reader = readers.get(path.suffix)
    if reader is None:
        raise BadFile(f"{path}: {path.suffix or 'no'} ending; expected one of {', '.join(readers)}")
    return reader(path)
