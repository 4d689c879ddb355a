"""Single vectors, field by field, for `mxemu vectors show`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mxemu.errors import MxemuError

if TYPE_CHECKING:
    from conformance.vectors.suites import Suite
    from conformance.vectors.table import Batch, Table


def records(
    found: Suite, batch: Batch, wanted: set[str]
) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """The wanted vectors of a batch."""
    numbers = {int(word) for word in wanted if word.isdecimal() and len(word) < 16}
    ids = {word for word in wanted if not word.isdecimal() or len(word) == 16}
    for row in range(len(batch)):
        if batch.first + row + 1 in numbers:
            yield row, None
    if not ids:
        return
    from conformance.vectors.json_file import vectors

    for row, record in enumerate(vectors(found, batch)):
        if record["id"] in ids:
            yield row, record


def show_file(path: Path, which: tuple[str, ...]) -> None:
    """Vectors of a file by their numbers."""
    from conformance.vectors.files import read

    reader = read(path)
    wanted = {int(word) for word in which if word.isdecimal()} or {1, 2, 3}
    if len(wanted) != len(which) and which:
        raise MxemuError(f"{' '.join(which)}; expected numbers of vectors in {path}")
    for batch in reader.batches():
        for row in range(len(batch)):
            if batch.first + row + 1 in wanted:
                show_vector(reader.table, batch, row, None)


def show_vector(table: Table, batch: Batch, row: int, record: dict[str, Any] | None) -> None:
    """One vector."""
    from conformance.vectors.table import Role
    from conformance.vectors.words import hex_text

    note = table.notes[int(batch.theme[row])] if table.notes else ""
    name = f"  {record['id']}  {record['clause']} ({record['strength']})" if record else ""
    click.echo(f"{table.name} {batch.first + row + 1}{name}  {note}".rstrip())
    for one in table.fields:
        if one.role is Role.EXPECT:
            continue
        text = hex_text(batch.columns[one.name], row, one)
        click.echo(f"  {one.role.value:<4}{one.name:<8}{text}{meaning(one, batch, row)}")
    if record and "why" in record:
        click.echo(f"  why {record['why']}")


def meaning(one: Any, batch: Batch, row: int) -> str:
    """The values of a field's numbers, if they are few."""
    from mxemu.formats import find
    from mxemu.scalar import decode

    if not one.format:
        return ""
    fmt = find(one.format)
    found = batch.columns[one.name][row].tolist()
    numbers = found if isinstance(found, list) else [found]
    values = [str(decode(number, fmt)) for number in numbers[:8]]  # type: ignore[arg-type]
    return "  = " + " ".join(values) + (" ..." if len(numbers) > len(values) else "")
