"""mxemu probe: which accumulation does somebody's dot product compute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mxemu.errors import BadShape, MxemuError
from mxemu.formats import BINARY32, CARRIERS, BlockFormat, ElementFormat, FloatFormat, carrier, find

if TYPE_CHECKING:
    from conformance.probe import Finding

_EPILOG = """\b
TARGET is
  path/to/file.py[:name]   a file of yours, or an object in it
  package.module[:name]    an importable module, or an object in it
with a function dot(sa, a, sb, b, c, formats) -> bits: docs/guides/probe.md has one of ten lines.

\b
Exit: 0 an accumulation explains every answer   2 wrong use   4 none does, or the box changes its mind
"""
_LENGTH = 64
Formats = tuple[BlockFormat | ElementFormat, BlockFormat | ElementFormat]


@click.command(epilog=_EPILOG)
@click.argument("target")
@click.option(
    "--format",
    "formats",
    required=True,
    metavar="A[,B]",
    help="Formats of the operands: element formats such as E4M3, or block formats such as MXFP4.",
)
@click.option(
    "--k",
    "length",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Terms of a dot.  [default: {_LENGTH}, or two blocks if those are longer]",
)
@click.option(
    "--c-format",
    metavar="NAME",
    help="Format of C and of results: binary32, binary16 or bfloat16.  [default: as the box says]",
)
@click.option("--no-c", is_flag=True, help="The box takes no C.")
@click.option(
    "--output-format",
    type=click.Choice(["text", "json", "toml"]),
    default="text",
    show_default=True,
    help="toml is the record alone, as --accumulation takes it.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the record here, in TOML, beside the report; or the report if it is not text.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of random questions.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="After which no more candidates are tried.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=120.0,
    show_default=True,
    help="Seconds for one call.",
)
@click.option("--in-process", is_flag=True, help="Run the box in this process, for debugging.")
@click.pass_context
def probe(context: click.Context, /, target: str, **options: Any) -> None:
    """Find out how a dot product adds up: order, bits kept, roundings, special values.

    \b
    mxemu probe ./box.py --format E4M3
    mxemu probe ./box.py --format MXFP8,MXFP4 --k 128 -o unit.toml
    """
    from conformance.worker import InProcess, Worker

    first, second = _formats(options["formats"])
    length = options["length"] or _default_length(first, second)
    _check_length(length, first, second)
    subject = InProcess(target) if options["in_process"] else Worker(target, options["timeout"])
    try:
        finding = _probe(subject, (first, second), length, options)
    finally:
        subject.close()
    code = 0 if finding.record is not None else 4
    _write(finding, code, options["output_format"], options["output"])
    context.exit(code)


def _formats(text: str) -> Formats:
    """One format for both operands, or two."""
    names = [name.strip() for name in text.split(",")]
    if len(names) > 2 or not all(names):
        raise MxemuError(f"--format {text}; expected one format, or two with a comma")
    first, second = (find(name) for name in (names[0], names[-1]))
    sizes = {one.k for one in (first, second) if isinstance(one, BlockFormat)}
    if len(sizes) > 1:
        raise BadShape(
            f"--format {text}: blocks of {' and '.join(map(str, sorted(sizes)))}; expected one k"
        )
    return first, second


def _default_length(*formats: BlockFormat | ElementFormat) -> int:
    return max([_LENGTH, *(2 * one.k for one in formats if isinstance(one, BlockFormat))])


def _check_length(length: int, *formats: BlockFormat | ElementFormat) -> None:
    for one in formats:
        if isinstance(one, BlockFormat) and length % one.k:
            raise BadShape(f"--k {length}; expected a multiple of k = {one.k} of {one}")


def _probe(subject: Any, formats: Formats, length: int, options: dict[str, Any]) -> Finding:
    """Load the box and probe it."""
    from conformance.probe import Space, out_format, probe, subject_call

    capabilities = subject.introduce()
    offered = capabilities.operations.get("dot") or capabilities.operations.get("dot-general")
    takes_c = not options["no_c"] and (offered is None or offered.c)
    call = subject_call(subject, (formats[0].name, formats[1].name))
    space = Space(*formats, length, BINARY32, takes_c)
    out = _out(options["c_format"], offered) or out_format(call, space)
    return probe(
        call,
        replace(space, out=out),
        subject=capabilities.name,
        seed=options["seed"],
        seconds=options["seconds"],
    )


def _out(named: str | None, offered: Any) -> FloatFormat | None:
    """The format of results that was asked for, or that the box says."""
    if named is not None:
        return carrier(named)
    return CARRIERS[offered.carriers[0]] if offered is not None and offered.carriers else None


def _write(finding: Finding, code: int, output_format: str, path: Path | None) -> None:
    """The report, and the record in TOML if a file is named for it."""
    from conformance.probe import render_json, render_text, render_toml

    match output_format:
        case "text":
            click.echo(render_text(finding))
            if path is not None and finding.record is not None:
                _to_file(render_toml(finding), path)
        case "json":
            _put(render_json(finding, code), path)
        case _:
            _put(render_toml(finding), path)
            if finding.record is None:
                click.echo("no accumulation was found; --output-format text says more", err=True)


def _put(text: str, path: Path | None) -> None:
    if path is None:
        click.echo(text)
    else:
        _to_file(text, path)


def _to_file(text: str, path: Path) -> None:
    """To a file by way of a temporary name."""
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise MxemuError(f"cannot write {path}: {error.strerror}") from None
