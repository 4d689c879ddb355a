"""mxemu vectors: golden vectors made, listed, shown, streamed, exported and verified."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from mxemu.cli.options import any_profile, read_accumulation
from mxemu.cli.progress import Bar
from mxemu.cli.vectors_show import records, show_file, show_vector
from mxemu.cli.vectors_verify import verify
from mxemu.errors import MxemuError, unknown

if TYPE_CHECKING:
    from conformance.vectors.suites import Key, Suite

_SETS = """\b
SETS is a set, a pattern, or several of them with commas between:
  e4m3/encode.binary32     one set, named FORMAT/OPERATION.KIND
  e4m3/*   *.bfloat16      all that match
  mxfp4_e2m1   quantize    all of a format, or of an operation
  all                      every one
"""


@click.group()
def vectors() -> None:
    """Golden vectors: inputs and expected results, for people who never run Python."""


_Command = TypeVar("_Command", bound=Callable[..., Any])


def _with_options(*extra: Callable[[Any], Any]) -> Callable[[_Command], _Command]:
    """The options that say which vectors of a set are meant."""
    options = (
        click.option(
            "--level",
            type=click.Choice(["smoke", "core", "full", "exhaustive"]),
            default="core",
            show_default=True,
        ),
        click.option(
            "--random",
            type=click.IntRange(min=0),
            default=0,
            metavar="N",
            help="N random vectors more.",
        ),
        click.option(
            "--seed", type=int, default=0, show_default=True, help="Of the random vectors."
        ),
        click.option(
            "--profile",
            metavar="NAME|FILE",
            help="A preset, with changes after commas, or a TOML file.  [default: ocp]",
        ),
        click.option(
            "--accumulation",
            metavar="NAME|FILE",
            help="Of dot products: a preset or a TOML file.  [default: exact]",
        ),
        *extra,
    )

    def decorate(function: _Command) -> _Command:
        decorated: Any = function
        for option in reversed(options):
            decorated = option(decorated)
        return cast("_Command", decorated)

    return decorate


def _keys(sets: str, options: dict[str, Any]) -> list[Key]:
    """The sets that are meant, with the options applied."""
    from conformance.vectors.suites import find

    changes: dict[str, Any] = {"random": options["random"], "seed": options["seed"]}
    if options["profile"]:
        changes["profile"] = any_profile(options["profile"])
    if options["accumulation"]:
        changes["accumulation"] = read_accumulation(options["accumulation"])
    return find(sets, options["level"], **changes)


def _one(sets: str, options: dict[str, Any]) -> Suite:
    """The one set that is meant."""
    from conformance.vectors.suites import suite

    keys = _keys(sets, options)
    if len(keys) > 1:
        names = ", ".join(key.name for key in keys[:3])
        raise MxemuError(f"{sets} are {len(keys)} sets: {names}, ...; expected one")
    return suite(keys[0])


@vectors.command("list", epilog=_SETS)
@click.argument("sets", default="all")
@_with_options()
def listing(sets: str, **options: Any) -> None:
    """List sets, with the number of their vectors and the fields."""
    from conformance.vectors.suites import suite

    rows = []
    for key in _keys(sets, options):
        found = suite(key)
        fields = " ".join(_size(found, name) for name in (*found.inputs, *found.outputs))
        rows.append((key.name, f"{found.count:,}", fields))
    first, second = (max(len(row[at]) for row in rows) for at in (0, 1))
    for name, count, fields in rows:
        click.echo(f"{name:<{first}}  {count:>{second}}  {fields}")


def _size(found: Suite, one: Any) -> str:
    arrow = "-> " if one is found.outputs[0] else ""
    count = f"x{one.count}" if one.count > 1 else ""
    return f"{arrow}{one.name}:{one.width}{count}"


@vectors.command(epilog=_SETS)
@click.argument("sets")
@_with_options(
    click.option(
        "--form",
        "forms",
        multiple=True,
        default=("memh",),
        show_default=True,
        help="json, memh, mxb, csv, parquet or npz; may be repeated.",
    ),
    click.option(
        "-o",
        "--output",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path("vectors"),
        show_default=True,
        help="Folder.",
    ),
    click.option(
        "--exact", is_flag=True, help="Results from the exact core: slower, the same bits."
    ),
)
def generate(sets: str, **options: Any) -> None:
    """Write vector files."""
    from conformance.vectors.files import FORMS, write
    from conformance.vectors.suites import suite

    for form in options["forms"]:
        if form not in FORMS:
            raise unknown("form of vector files", form, FORMS)
    for key in _keys(sets, options):
        found = suite(key, exact=options["exact"])
        for form in options["forms"]:
            path = options["output"] / f"{key.name}.{key.level}.{form}"
            with Bar(str(path), found.count) as progress:
                count = write(found, path, form, progress)
            click.echo(f"{path}  {count:,} vectors")


@vectors.command(epilog=_SETS)
@click.argument("source", metavar="SET|FILE")
@click.argument("which", nargs=-1, metavar="[NUMBER|ID]...")
@_with_options()
def show(source: str, which: tuple[str, ...], **options: Any) -> None:
    """Show vectors field by field: the first ones, or those of some numbers or ids."""
    if Path(source).suffix and Path(source).exists():
        show_file(Path(source), which)
        return
    found = _one(source, options)
    table = found.table
    wanted = set(which) or {"1", "2", "3"}
    shown = 0
    for batch in found.batches():
        for row, record in records(found, batch, wanted):
            show_vector(table, batch, row, record)
            shown += 1
        if shown == len(wanted):
            return
    raise MxemuError(
        f"{found.table.name} has {found.count} vectors; {shown} of {len(wanted)} found"
    )


@vectors.command(epilog=_SETS)
@click.argument("source", metavar="SET")
@_with_options()
def stream(source: str, **options: Any) -> None:
    """Print a set's inputs, one vector a line, for a design that answers on its output."""
    from conformance.vectors.stream import questions

    out = sys.stdout.buffer
    for piece in questions(_one(source, options)):
        out.write(piece)
    out.flush()


_TARGETS = ("c", "sv", "model", "golden", "runs")
_EXPORTS = (
    """\b
What for:
  c        a header, a self-checking runner and the vectors as .mxb
  sv       a package, a self-checking testbench and the vectors as .memh
  model    a reference model in C99, to be called from C, C++ or by DPI-C
  golden   a whole encoder or decoder as a Verilog module, for proofs
  runs     the table that such an encoder is made from, as CSV

"""
    + _SETS
)


@vectors.command(epilog=_EXPORTS)
@click.argument("sets")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="|".join(_TARGETS),
    help="What for; see below.",
)
@click.option(
    "--scale",
    "scales",
    multiple=True,
    metavar="CODE",
    help="golden, runs: the scale code; may be repeated.",
)
@_with_options(
    click.option(
        "-o",
        "--output",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(),
        help="Folder.  [default: this one]",
    ),
)
def export(sets: str, target: str, scales: tuple[str, ...], **options: Any) -> None:
    """Write what another language needs to use a set without Python."""
    from conformance.vectors.export import export as texts
    from conformance.vectors.files import replacing

    if target not in _TARGETS:
        raise unknown("target of an export", target, _TARGETS)
    codes = [_code(text) for text in scales]
    for path, pieces in texts(_keys(sets, options), target, codes):
        whole = options["output"] / path
        with replacing(whole) as file:
            for piece in pieces:
                file.write(piece)
        click.echo(str(whole))


def _code(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise MxemuError(f"scale {text!r}; expected a code such as 0x7f") from None


@vectors.command(epilog=_SETS)
@click.argument("sets")
@_with_options(
    click.option("--missing", is_flag=True, help="Name the bins in which no mistake shows."),
)
def coverage(sets: str, **options: Any) -> None:
    """Say which decisions a set meets: bins hit, bins in which a mistake shows, and all of them.

    A bin counts as observable only if a wrong decision there, made on purpose, changes the result of a vector in it.
    """
    from conformance.vectors.bins import coverage as measured
    from conformance.vectors.suites import suite

    for key in _keys(sets, options):
        found = suite(key)
        click.echo(f"{found.table.name}  {found.count:,} vectors   hit / observable / total")
        for point in measured(found):
            counts = f"{point.hit:>5} / {point.observable:>5} / {point.total:>5}"
            click.echo(f"  {point.coverpoint.name:<28}{counts}")
            for name in point.missing() if options["missing"] else ():
                click.echo(f"      not seen: {name}")


@vectors.command()
def where() -> None:
    """Print the folder with the vectors that came with mxemu, their manifest and their description."""
    from conformance.vectors.shipped import folder

    click.echo(str(folder()))


vectors.add_command(verify)
