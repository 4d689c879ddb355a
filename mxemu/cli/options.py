"""Options that several commands share, and names looked up with a hint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mxemu.accumulation import Accumulation
from mxemu.block import value_bits
from mxemu.errors import BadFile, BadFormat, UnknownName
from mxemu.formats import (
    BLOCK_FORMATS,
    BlockFormat,
    ElementFormat,
    FloatFormat,
    block_format,
    carrier,
    element,
    find,
)
from mxemu.profile import Profile, from_mapping, spelled
from mxemu.scalar import decode

_Result = TypeVar("_Result")
_Function = TypeVar("_Function", bound=Callable[..., Any])


def read_table(path: str) -> dict[str, Any]:
    """The table of a TOML file.

    Raises
    ------
    BadFile
    """
    import tomllib

    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: {error}") from None


def read_accumulation(text: str) -> Accumulation:
    """An accumulation by its name, or from a TOML file.

    Raises
    ------
    UnknownName, BadFile, BadFormat
    """
    # The presets are read from their file only where one is asked for.
    from mxemu.accumulations import find as find_accumulation
    from mxemu.accumulations import from_mapping as read_record

    if not text.strip().endswith(".toml"):
        return _hinted("mxemu list accumulations", find_accumulation, text)
    return read_record({"name": Path(text).stem, **read_table(text.strip())})


def read_profile(text: str) -> Profile:
    """A profile from ``NAME`` or ``NAME,field=value,...``, such as ``ocp,rounding=to-odd``.

    Raises
    ------
    UnknownName, BadValue
    """
    found = _hinted("mxemu list profiles", spelled, text)
    if "amax_floor" not in text or found.amax_floor is None:
        return found
    # What is typed is a decimal; implementations have a floor in binary32.
    return found.replace(amax_floor=decode(value_bits(found.amax_floor), "binary32"))


def any_profile(text: str) -> Profile:
    """A preset by name, with changes behind commas, or the table of a TOML file.

    Raises
    ------
    UnknownName, BadValue, BadFile
    """
    return from_mapping(read_table(text)) if text.endswith(".toml") else read_profile(text)


def read_format(name: str) -> ElementFormat | BlockFormat:
    """A format of any sort."""
    return _hinted("mxemu list formats", find, name)


def read_block_format(name: str) -> BlockFormat:
    """A block format; an element's name is answered with the block formats that hold it."""
    try:
        return block_format(name)
    except UnknownName as problem:
        problem.hint = "mxemu list formats"
        held = _element_or_none(name)
        if held is None:
            raise
    holders = [fmt.name for fmt in BLOCK_FORMATS.values() if fmt.element == held]
    hint = ", ".join([*holders, f"{held}/E8M0/32"])
    raise BadFormat(f"{held} is an element format; expected a block format", hint)


def _element_or_none(name: str) -> ElementFormat | None:
    try:
        return element(name)
    except UnknownName:
        return None


def read_carrier(name: str | None) -> FloatFormat | None:
    """A carrier, or None if none is named."""
    return None if name is None else _hinted("mxemu list formats", carrier, name)


def _hinted(hint: str, function: Callable[..., _Result], *names: str) -> _Result:
    """The result of a look-up; an unknown name says where to find the known ones."""
    try:
        return function(*names)
    except UnknownName as problem:
        problem.hint = problem.hint or hint
        raise


def profile_option(function: _Function) -> _Function:
    """``--profile``."""
    return click.option(
        "--profile",
        "profile_text",
        metavar="NAME[,FIELD=VALUE]",
        default="ocp",
        show_default=True,
        help="The choices that the specification leaves open; mxemu list profiles shows them.",
    )(function)


def output_format_option(*formats: str) -> Callable[[_Function], _Function]:
    """``--output-format``."""
    return click.option(
        "--output-format",
        type=click.Choice(formats),
        default="text",
        show_default=True,
        help="For people, or for programs.",
    )
