"""mxemu vectors verify: results that somebody has computed, against what they should be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mxemu.cli.options import any_profile, read_accumulation, read_table
from mxemu.errors import BadFile, MxemuError
from mxemu.profile import spell

if TYPE_CHECKING:
    from conformance.vectors.suites import Key, Suite
    from conformance.vectors.table import Table
    from conformance.vectors.verify import Verified


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option(
    "--set", "name", metavar="SET", help="What the vectors are of, if the file does not say it."
)
@click.option(
    "--map",
    "places",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A TOML file that says where the fields of somebody else's file are.",
)
@click.option(
    "--profile", metavar="NAME|FILE", help="Compare with this profile instead of the file's."
)
@click.option("--accumulation", metavar="NAME|FILE", help="Compare dot products with this one.")
@click.option(
    "--output-format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_context
def verify(context: click.Context, /, file: str, **options: Any) -> None:
    """Compare results with what they should be: a file of vectors, or a design's answers to a stream (-).

    Exit: 0 equal   1 different   2 wrong use
    """
    found, lines = _verified(file, options)
    if options["output_format"] == "json":
        click.echo(_json(file, found, lines))
    else:
        for line in _report(file, found, lines):
            click.echo(line)
    context.exit(1 if found.wrong else 0)


def _verified(file: str, options: dict[str, Any]) -> tuple[Verified, list[int] | None]:
    """The result, and the lines of the vectors if these are not their numbers."""
    from conformance.vectors.suites import suite
    from conformance.vectors.verify import verify as compare

    if options["places"] is not None:
        return _foreign(Path(file), options)
    if file == "-" or options["name"]:
        return _answers(file, options)
    from conformance.vectors.files import read
    from conformance.vectors.shipped import verify_hash

    path = Path(file)
    reader = read(path)
    found = suite(_key(reader.table.header, str(path), options))
    _check_fields(found, reader.table, str(path))
    verified = compare(found, reader.batches())
    verify_hash(path)
    return verified, None


def _check_fields(found: Suite, table: Table, where: str) -> None:
    """Refuse a file whose fields are not those of its set."""
    if found.table.fields == table.fields:
        return
    given = " ".join(f"{one.name}:{one.width}x{one.count}" for one in table.fields)
    wanted = " ".join(f"{one.name}:{one.width}x{one.count}" for one in found.table.fields)
    raise BadFile(f"{where}: fields {given}; expected {wanted}")


def _key(header: Any, where: str, options: dict[str, Any]) -> Key:
    """What the vectors of a header are of."""
    from conformance.vectors.suites import Key

    for name in ("operation", "format", "kind"):
        if name not in header:
            raise BadFile(f"{where}: its header has no {name}=")
    profile = options["profile"] or header.get("profile", "ocp")
    changes: dict[str, Any] = {}
    accumulation = options["accumulation"] or header.get("accumulation")
    if accumulation:
        changes["accumulation"] = read_accumulation(accumulation)
    words = (header["operation"], header["format"], header["kind"], "smoke", any_profile(profile))
    return Key(*words, **changes)


def _answers(file: str, options: dict[str, Any]) -> tuple[Verified, None]:
    """A design's answers to a stream."""
    from conformance.vectors.stream import Answers
    from conformance.vectors.suites import find, suite
    from conformance.vectors.verify import verify as compare

    source = sys.stdin.buffer if file == "-" else _opened(Path(file))
    where = "standard input" if file == "-" else file
    answers = Answers(source, where)
    header = answers.header
    if options["name"]:
        keys = find(options["name"], "smoke")
        if len(keys) > 1:
            raise MxemuError(f"--set {options['name']} are {len(keys)} sets; expected one")
        header = {"operation": keys[0].operation, "format": keys[0].format, "kind": keys[0].kind}
    if "operation" not in header:
        raise BadFile(
            f"{where}: no line # operation=...",
            "pass the header of the stream on, or name the set with --set",
        )
    found = suite(_key(header, where, options))
    verified = compare(found, answers.batches(found))
    if not verified.count:
        raise BadFile(f"{where}: no vectors")
    return verified, None


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from None


def _foreign(path: Path, options: dict[str, Any]) -> tuple[Verified, list[int]]:
    """Somebody else's file."""
    from conformance.vectors.foreign import Reader, field_map, key_of
    from conformance.vectors.verify import verify as compare

    where = str(options["places"])
    table = read_table(where)
    changes: dict[str, Any] = {}
    accumulation = options["accumulation"] or table.get("accumulation")
    if accumulation:
        changes["accumulation"] = read_accumulation(accumulation)
    profile = any_profile(options["profile"] or table.get("profile", "ocp"))
    reader = Reader(path, key_of(table, where, profile, **changes), field_map(table, where))
    return compare(reader.suite, reader.batches()), reader.lines


def _report(file: str, found: Verified, lines: list[int] | None) -> Iterator[str]:
    """What was found, in words."""
    from conformance.report.text import render
    from conformance.vectors.verify import number_ranges

    name = found.suite.table.name
    if not found.wrong:
        yield f"{file}: {found.count:,} vectors of {name}, all as expected"
        return
    yield f"{file}: {found.wrong:,} of {found.count:,} vectors of {name} are wrong"
    if found.by_profile:
        yield f"  {found.by_profile:,} of them only where the specification leaves it to the profile ({_choice(found)})"
    word = "vectors" if lines is None else "lines"
    places = [number if lines is None else lines[number - 1] for number in found.numbers]
    ranges = list(number_ranges(places))
    shown = ", ".join(ranges[:_RANGES])
    yield f"  {word} {shown}{', ...' if len(ranges) > _RANGES else ''}"
    for one in found.first:
        at = one.vector if lines is None else lines[one.vector - 1]
        open_one = "  (by profile)" if one.by_profile else ""
        yield f"  {word[:-1]} {at}: {one.inputs}  {one.field} {one.got}, expected {one.expected}{open_one}"
    run = found.run(Path(file).name, "as given")
    if run is not None:
        yield ""
        # The last paragraph sums up a check, of which this is only a part.
        yield render(run, 1).rpartition("\n\n")[0]


_RANGES = 12


def _choice(found: Verified) -> str:

    key = found.suite.key
    if found.suite.table.header.get("accumulation"):
        return f"accumulation {key.accumulation.name}"
    return spell(key.profile)


def _json(file: str, found: Verified, lines: list[int] | None) -> str:
    """The same as JSON."""
    import json

    from conformance.report.json_report import record

    run = found.run(Path(file).name, "as given") if found.wrong else None
    report = {
        "schema": 1,
        "file": file,
        "set": found.suite.table.name,
        "count": found.count,
        "wrong": found.wrong,
        "by_profile": found.by_profile,
        "numbers": [n if lines is None else lines[n - 1] for n in found.numbers],
        "first": [one._asdict() for one in found.first],
        "check": record(run, 1) if run is not None else None,
    }
    return json.dumps(report, indent=1)
