"""mxemu rtl: what a design in a simulator needs besides mxemu check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mxemu.errors import MxemuError

if TYPE_CHECKING:
    from conformance.adapter import Capabilities
    from conformance.adapters.rtl import Design
    from conformance.runner import Filters, Run


@click.group()
def rtl() -> None:
    """Designs in a simulator: vectors for one that runs elsewhere, and waveforms of a failure."""


@rtl.command()
@click.argument("design")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    help="Folder for vectors and benches.",
    type=click.Path(file_okay=False, path_type=Path),
)
@click.option(
    "--level", type=click.Choice(["smoke", "core", "full"]), default="core", show_default=True
)
@click.option("--operation", "operations", multiple=True, help="Only this operation.")
@click.option("--format", "formats", multiple=True, help="Only this format, or A,B.")
@click.option("--carrier", "carriers", multiple=True, help="Only this carrier.")
def emit(design: str, output: Path, level: str, **filters: Any) -> None:
    """Write the vectors of a check and a bench for any simulator; DIR/README.md says how to run it.

    DESIGN is a port map, see docs/guides/rtl.md. The results go to mxemu check DESIGN --results DIR.
    """
    from conformance.adapters.rtl import split
    from mxemu.cli.check import filters_of

    subject = _design(design)
    run = _empty_run(subject, design, level)
    for label, count in split.emit(subject, run, filters_of(filters), output):
        click.echo(f"{output / label}: {count:,} vectors")
    click.echo(f"how to run them: {output / 'README.md'}", err=True)


@rtl.command()
@click.argument("design")
@click.option("--run", "name", required=True, metavar="NAME", help="As mxemu check prints it.")
@click.option("--line", type=click.IntRange(min=1), required=True, help="Of the vector.")
@click.option(
    "--before",
    type=click.IntRange(min=0),
    default=16,
    show_default=True,
    help="Vectors to simulate before it.",
)
@click.option(
    "-o",
    "--output",
    default="mxemu.vcd",
    show_default=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
)
def wave(design: str, name: str, line: int, before: int, output: Path) -> None:
    """Record all signals of the design around one vector of the last check, in Icarus Verilog."""
    from conformance.adapters.rtl import split

    place, cycle = split.wave(_design(design).design, name, line, before, output)
    click.echo(
        f"{output}: vector line {line} is number {place}, its result comes at {2 * cycle} ns"
    )


def _design(target: str) -> Design:
    """The design of a port map."""
    from conformance.adapters.rtl import load
    from conformance.target import parse_target

    if not is_rtl(target):
        raise MxemuError(f"{target!r} is no port map; expected a file that ends in .toml")
    parsed = parse_target(target)
    return load(parsed.where, parsed.variant)


def _empty_run(subject: Design, target: str, level: str) -> Run:
    from conformance.adapter import capabilities_of
    from conformance.runner import Run

    return Run(target, capabilities_of(subject), level, None)


def is_rtl(target: str) -> bool:
    """Whether a TARGET is a port map."""
    from conformance.target import parse_target

    return ".toml" in target and parse_target(target).kind == "rtl"


def with_choice(target: str, simulator: str | None, results: Path | None) -> str:
    """A TARGET with the simulator or the results that were asked for.

    Raises
    ------
    MxemuError
        It is no port map, or both were asked for.
    """
    if simulator is None and results is None:
        return target
    option = "--results" if simulator is None else "--simulator"
    if simulator is not None and results is not None:
        raise MxemuError("--simulator and --results; expected one of them")
    if not is_rtl(target):
        raise MxemuError(f"{option} is for port maps (*.toml); {target} is none")
    if target.endswith("]"):
        raise MxemuError(f"{option} with {target}; expected the target without brackets")
    if results is None:
        return f"{target}[{simulator}]"
    if not results.exists():
        raise MxemuError(f"--results {results}: there is no such file or folder")
    where = str(results)
    if "[" in where or "]" in where:
        raise MxemuError(f"--results {where}; expected a path without brackets")
    return f"{target}[results={where}]"


def without_path(capabilities: Capabilities) -> Capabilities:
    """Capabilities with the variant as a report shows it: ``results``, wherever these are."""
    variant = (capabilities.variant or "").partition("=")[0]
    return replace(capabilities, variant=variant) if variant else capabilities


def prepare(target: str, run: Run, filters: Filters) -> Design:
    """Build a design before it is checked, so that an error of the build is no crash of the design."""
    from conformance.adapters.rtl import split

    subject = _design(target)
    split.prepare(subject, run, filters)
    return subject


def places(target: str, subject: Design, run: Run, filters: Filters) -> list[str]:
    """Where the findings show in the simulation, one line each, with the command for a waveform."""
    from conformance.adapters.rtl import split
    from conformance.target import parse_target

    where = parse_target(target).where
    found = []
    for one in split.places(subject, run, filters):
        place = f"vector line {one.line}, cycle {one.cycle}"
        command = f"mxemu rtl wave {where} --run {one.run} --line {one.line}"
        if not one.run:
            window = f"+from={max(one.cycle - 32, 0)} +upto={one.cycle + 1}"
            command = f"run the bench with +wave=FILE.vcd +results=FILE.txt {window}"
        found.append(f"waveform  {one.operation} {one.format} ({one.carrier}): {place}: {command}")
    return found
