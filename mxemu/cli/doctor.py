"""``mxemu doctor``: versions, and what is missing."""

from __future__ import annotations

import os
import platform

import click

from mxemu._version import __version__
from mxemu.cli.subjects import subjects, version_of
from mxemu.cli.text import columns

# The dependencies of pyproject.toml; a test compares the two.
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


@click.command()
def doctor() -> None:
    """Show versions, and what is missing: a block to paste into a report."""
    rows = [
        ("mxemu", __version__),
        ("Python", f"{platform.python_version()} {platform.python_implementation()}"),
        ("system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"),
    ]
    missing = []
    for requirement in NEEDED:
        name = requirement.partition(">=")[0]
        version = version_of(name)
        rows.append((name, version or "missing"))
        missing += [requirement] if version is None else []
    for each in subjects():
        if each.name not in dict(rows):
            rows.append(
                (each.name, each.installed or f"not installed: pip install {each.requirement}")
            )
    click.echo("\n".join(columns(rows)))
    if missing:
        needed = " ".join(f"'{requirement}'" for requirement in missing)
        click.echo(f"\n{len(missing)} missing: pip install {needed}")
    else:
        click.echo("\nNothing is missing.")
