"""``mxemu table``: every code of a format, its grid, its numbers, or its whole encoder."""

from __future__ import annotations

import click

from mxemu.cli import tables
from mxemu.cli.options import (
    output_format_option,
    profile_option,
    read_carrier,
    read_format,
    read_profile,
)
from mxemu.errors import BadFormat
from mxemu.formats import BINARY32, BlockFormat, ElementFormat
from mxemu.profile import Profile

# A table of more codes is no longer read by anybody.
_WIDEST = 12


@click.command()
@click.argument("format_name", metavar="[FORMAT]", required=False)
@click.option(
    "--stats",
    "view",
    flag_value="stats",
    help="Derived numbers; without FORMAT, of all MX elements.",
)
@click.option(
    "--grid",
    "view",
    flag_value="grid",
    help="Values by exponent and mantissa, special codes marked.",
)
@click.option(
    "--runs",
    "view",
    flag_value="runs",
    help="The whole encoder: input bits, and the code they become.",
)
@profile_option
@click.option(
    "--carrier", metavar="NAME", help="Format of the inputs of --runs.  [default: binary32]"
)
@output_format_option("text", "json", "csv")
def table(
    format_name: str | None,
    view: str | None,
    profile_text: str,
    carrier: str | None,
    output_format: str,
) -> None:
    """Print every code of a format, with its value and the reals that round to it.

    \b
    mxemu table E2M1
    mxemu table E4M3 --grid
    mxemu table --stats
    mxemu table E2M1 --runs --carrier bfloat16 --output-format csv
    """
    if carrier is not None and view != "runs":
        raise click.UsageError("--carrier goes with --runs")
    profile = read_profile(profile_text)
    if format_name is None:
        if view not in (None, "stats"):
            raise click.UsageError(f"--{view} needs a FORMAT")
        made = tables.comparison()
    else:
        made = _of_format(format_name, view, profile, carrier)
    click.echo(tables.written(made, output_format))


def _of_format(name: str, view: str | None, profile: Profile, carrier: str | None) -> tables.Table:
    fmt = read_format(name)
    if view == "stats" or (isinstance(fmt, BlockFormat) and view is None):
        return tables.stats(fmt)
    if isinstance(fmt, BlockFormat):
        hint = f"mxemu table {fmt.element} --{view}, or mxemu table {fmt.scale} --{view}"
        raise BadFormat(f"{fmt} is a block format; --{view} is about elements and scales", hint)
    _check_size(fmt, view)
    match view:
        case "grid":
            return tables.grid(fmt)
        case "runs":
            return tables.encoder(fmt, read_carrier(carrier) or BINARY32, profile)
        case _:
            return tables.codes(fmt, profile)


def _check_size(fmt: ElementFormat, view: str | None) -> None:
    if fmt.width > _WIDEST:
        shown = "--runs" if view == "runs" else "--grid" if view == "grid" else "a table of codes"
        raise BadFormat(
            f"{fmt} has 2^{fmt.width} codes; {shown} is for formats of up to {_WIDEST} bits",
            f"mxemu table {fmt} --stats, or mxemu explain {fmt} 0x1",
        )
