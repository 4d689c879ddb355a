"""Options of the commands that convert whole files, and what they check before they start."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from mxemu.errors import BadFile, BadValue
from mxemu.profile import Profile, Rounding

_Function = TypeVar("_Function", bound=Callable[..., Any])

axis_option = click.option(
    "--axis", default=-1, show_default=True, help="The axis that is cut into blocks."
)
tensor_scale_option = click.option(
    "--tensor-scale",
    metavar="X|amax",
    help="A second scale above all blocks: a binary32 number, or amax to find one.",
)
key_option = click.option(
    "--key",
    type=int,
    metavar="N",
    help="Key of the random words, for profiles with STOCHASTIC rounding.",
)
carrier_option = click.option(
    "--carrier",
    metavar="NAME",
    help="The file holds bit patterns of this format; needed for bfloat16 only.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="Threads; all cores unless given."
)
force_option = click.option("--force", is_flag=True, help="Replace OUT if it is there.")


def tail_option(default: str) -> Callable[[_Function], _Function]:
    """``--tail``."""
    return click.option(
        "--tail",
        type=click.Choice(["refuse", "pad", "partial"]),
        default=default,
        show_default=True,
        help="What to do when the block size does not divide the axis.",
    )


def read_tensor_scale(text: str | None) -> str | float | None:
    """``amax`` or a number.

    Raises
    ------
    BadValue
    """
    if text is None or text == "amax":
        return text
    try:
        return float(text)
    except ValueError:
        raise BadValue(f"--tensor-scale {text!r}; expected a number or amax") from None


def check_key(profiles: Iterable[Profile], key: int | None) -> None:
    """Ask for a key where one is needed.

    Raises
    ------
    BadValue
    """
    for profile in profiles:
        if key is None and profile.rounding is Rounding.STOCHASTIC:
            raise BadValue(f"{profile} draws random words; expected --key N")


def check_target(target: Path, force: bool) -> None:
    """Refuse to replace a file that is there.

    Raises
    ------
    BadFile
    """
    if target.exists() and not force:
        raise BadFile(f"{target} is there already", "--force replaces it")


def set_threads(threads: int | None) -> None:
    """Set the number of threads, if one was asked for."""
    if threads is not None:
        from mxemu.array.threads import set_threads as set_number

        set_number(threads)
