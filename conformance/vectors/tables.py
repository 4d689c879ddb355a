"""Vectors as tables for data tools: CSV and Parquet through pandas, .npz through NumPy."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from conformance.arrays import Array
from conformance.vectors.mxb import field_table, table_of
from conformance.vectors.suites import Suite
from conformance.vectors.table import Batch, Table
from conformance.vectors.words import field_digits, from_digits
from mxemu.errors import BadFile, MxemuError


def frame(batch: Batch, table: Table) -> pd.DataFrame:
    """Some vectors as a data frame: a column of hexadecimal text for each field, and the note."""
    columns: dict[str, Any] = {
        field.name: _texts(field_digits(batch.columns[field.name], field)) for field in table.fields
    }
    notes = np.array(table.notes or ("",), dtype=object)
    return pd.DataFrame(columns | {"note": notes[batch.theme]})


def _texts(digits: Array) -> Array:
    return np.ascontiguousarray(digits).view(f"S{digits.shape[1]}")[:, 0].astype(str)


def csv(suite: Suite, batches: Iterable[Batch], count: int) -> Iterator[bytes]:
    """The file in pieces: a comment line with the field table, the names, then a line a vector."""
    fields = json.loads(field_table(suite.table)) | {"vectors": count}
    yield b"# mxemu vectors " + json.dumps(fields, separators=(",", ":")).encode() + b"\n"
    yield (",".join([*(field.name for field in suite.table.fields), "note"]) + "\n").encode()
    for batch in batches:
        text = frame(batch, suite.table).to_csv(header=False, index=False, lineterminator="\n")
        yield text.encode()


def write_npz(file: IO[bytes], suite: Suite, batches: Iterable[Batch]) -> None:
    """Arrays of integers by field name, ``note`` with the notes, and ``table`` with the field table as JSON.

    All vectors are in memory at once.
    """
    kept = list(batches)
    columns = {
        field.name: np.concatenate([batch.columns[field.name] for batch in kept])
        for field in suite.table.fields
    }
    theme = np.concatenate([batch.theme for batch in kept])
    notes = np.array(suite.table.notes)
    table = np.frombuffer(field_table(suite.table), np.uint8)
    _npz(file, {**columns, "theme": theme.astype(np.uint8), "notes": notes, "table": table})


def _npz(file: IO[bytes], arrays: dict[str, Array]) -> None:
    """The same bytes in every run: NumPy's own writer dates its entries."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as part:
                np.lib.format.write_array(part, array, allow_pickle=False)


def write_parquet(file: IO[bytes], suite: Suite, batches: Iterable[Batch]) -> None:
    """One row group a batch.

    Raises
    ------
    MxemuError
        When pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise _no_pyarrow() from None
    writer = None
    for batch in batches:
        part = pa.Table.from_pandas(frame(batch, suite.table), preserve_index=False)
        if writer is None:
            about = {b"mxemu": field_table(suite.table)}
            writer = pq.ParquetWriter(file, part.schema.with_metadata(about))
        writer.write_table(part.replace_schema_metadata({b"mxemu": field_table(suite.table)}))
    if writer is not None:
        writer.close()


def _no_pyarrow() -> MxemuError:
    return MxemuError(
        "Parquet needs pyarrow, which is not installed", "python -m pip install 'mxemu[parquet]'"
    )


def _batch(found: pd.DataFrame, table: Table, notes: list[str], first: int, path: Path) -> Batch:
    """Vectors of some rows of text."""
    columns = {}
    for field in table.fields:
        texts = found[field.name].astype(str).tolist()
        for at, text in enumerate(texts):
            if len(text) != field.digits:
                raise BadFile(
                    f"{path}: vector {first + at + 1}: {field.name} is {text!r}; expected {field.digits} digits"
                )
        digits = np.frombuffer("".join(texts).encode("latin-1", "replace"), np.uint8)
        try:
            columns[field.name] = from_digits(digits.reshape(-1, field.digits), field)
        except MxemuError as error:
            raise BadFile(f"{path}: from vector {first + 1}: {error}") from None
    for note in found["note"].astype(str):
        if note not in notes:
            notes.append(note)
    theme = np.array([notes.index(note) for note in found["note"].astype(str)], np.int64)
    return Batch(columns, theme, first)


class CsvReader:
    """A CSV file of `csv`.

    Raises
    ------
    BadFile
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                head = file.readline().decode("utf-8", "replace")
        except OSError as error:
            raise BadFile(f"{path}: {error.strerror}") from None
        if not head.startswith("# mxemu vectors {"):
            raise BadFile(f"{path}:1: {head[:40]!r}; expected # mxemu vectors {{...")
        try:
            record = json.loads(head.removeprefix("# mxemu vectors "))
            self.table, self.count = table_of(record, ()), int(record["vectors"])
        except (json.JSONDecodeError, KeyError) as error:
            raise BadFile(f"{path}:1: {error!r}") from None

    def batches(self, rows: int = 1 << 14) -> Iterator[Batch]:
        """The vectors in order."""
        notes: list[str] = []
        first = 0
        try:
            with pd.read_csv(
                self.path, skiprows=1, dtype=str, chunksize=rows, keep_default_na=False
            ) as parts:
                for part in parts:
                    batch = _batch(part, self.table, notes, first, self.path)
                    first += len(batch)
                    self.table = replace(self.table, notes=tuple(notes))
                    yield batch
        except (KeyError, pd.errors.ParserError) as error:
            raise BadFile(f"{self.path}: {error}") from None
        if first != self.count:
            raise BadFile(f"{self.path}: {first} vectors; its first line says {self.count}")


class NpzReader:
    """A .npz file of `write_npz`.

    Raises
    ------
    BadFile
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as found:
                self._arrays = {name: found[name] for name in found.files}
            record = json.loads(self._arrays["table"].tobytes())
            self.table = table_of(record, tuple(self._arrays["notes"].tolist()))
            self.count = len(self._arrays["theme"])
            wrong = [
                one.name for one in self.table.fields if len(self._arrays[one.name]) != self.count
            ]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BadFile(f"{path}: {error}; expected a .npz file of vectors") from None
        if wrong:
            raise BadFile(f"{path}: {wrong[0]} has not {self.count} entries")

    def batches(self, rows: int = 1 << 14) -> Iterator[Batch]:
        """The vectors in order."""
        for first in range(0, self.count, rows):
            part = slice(first, first + rows)
            columns = {field.name: self._arrays[field.name][part] for field in self.table.fields}
            yield Batch(columns, self._arrays["theme"][part].astype(np.int64), first)


class ParquetReader:
    """A Parquet file of `write_parquet`.

    Raises
    ------
    BadFile, MxemuError
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise _no_pyarrow() from None
        self.path = path
        try:
            self._file = pq.ParquetFile(path)
            about = self._file.schema_arrow.metadata[b"mxemu"]
        except (OSError, KeyError, TypeError, pa.ArrowInvalid) as error:
            raise BadFile(f"{path}: {error}; expected a Parquet file of vectors") from None
        self.table = table_of(json.loads(about), ())
        self.count = self._file.metadata.num_rows

    def batches(self, rows: int = 1 << 14) -> Iterator[Batch]:
        """The vectors in order."""
        notes: list[str] = []
        first = 0
        for part in self._file.iter_batches(rows):
            batch = _batch(part.to_pandas(), self.table, notes, first, self.path)
            first += len(batch)
            self.table = replace(self.table, notes=tuple(notes))
            yield batch
