"""Named accumulations, and the table form of an accumulation that TOML files hold.

The presets are data, in ``accumulations.toml`` beside this file, in the same form as a user's own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from enum import Enum
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from mxemu.accumulation import (
    EXACT,
    FIELDS,
    KINDS,
    Accumulation,
    Chain,
    Fuse,
    Lanes,
    Late,
    Nested,
    Node,
    Parts,
    Round,
    Sum,
    Tree,
)
from mxemu.errors import BadFormat, unknown
from mxemu.formats import FloatFormat
from mxemu.profile import Rounding


def kulisch(width: int, lsb: int, *, saturate: bool = False) -> Accumulation:
    """A fixed-point register of ``width`` bits in two's complement whose last bit is 2^lsb.

    Terms that do not reach the last bit are rounded to it, ties to even; a sum beyond the register wraps unless it
    saturates.

    Examples
    --------
    >>> kulisch(96, -48).name
    'kulisch(96, -48)'
    """
    step = Fuse(quantum=lsb, width=width, saturate=saturate, align=Rounding.TIES_TO_EVEN)
    note = "One fixed-point register for all products; rounded once at the end."
    return Accumulation(
        f"kulisch({width}, {lsb}{', saturate' if saturate else ''})", Sum(step), note
    )


_KULISCH = re.compile(r"kulisch\(\s*(\d+)\s*,\s*(-?\d+)\s*(,\s*saturate\s*)?\)")


def find(name: Accumulation | str) -> Accumulation:
    """An accumulation: a record (returned as it is), a preset's name in any case, or ``kulisch(width, lsb)``.

    Raises
    ------
    UnknownName
        With a did-you-mean.
    """
    if isinstance(name, Accumulation):
        return name
    key = str(name).strip().lower().replace("_", "-")
    if key in ACCUMULATIONS:
        return ACCUMULATIONS[key]
    if match := _KULISCH.fullmatch(key):
        return kulisch(int(match[1]), int(match[2]), saturate=match[3] is not None)
    raise unknown("accumulation", name, [*ACCUMULATIONS, "kulisch(width, lsb)"])


def from_mapping(table: Mapping[str, Any]) -> Accumulation:
    """An accumulation from a table such as a TOML file holds: ``preset`` or ``node``, and any fields.

    Raises
    ------
    UnknownName
        With a did-you-mean.
    BadFormat

    Examples
    --------
    >>> unit = from_mapping({
    ...     "name": "my-unit",
    ...     "node": {"kind": "chain", "length": 8, "step": {"fraction_bits": 24, "out": "binary32 toward-zero"}},
    ... })
    >>> unit.node.length, str(unit.node.step.out[0])
    (8, 'binary32 toward-zero')
    """
    changes = dict(table)
    for key in changes:
        if key not in (*FIELDS, "preset"):
            raise unknown("accumulation field", key, FIELDS)
    base = changes.pop("preset", None)
    if "node" in changes:
        changes["node"] = _node(changes["node"])
    if base is None:
        return Accumulation(**changes)
    return find(base).replace(**changes)


def to_mapping(record: Accumulation) -> dict[str, Any]:
    """The table of an accumulation: fields that are not at their default, in plain numbers and texts.

    Examples
    --------
    >>> to_mapping(Accumulation("mine", Chain(Fuse("bfloat16"))))
    {'name': 'mine', 'node': {'kind': 'chain', 'step': {'out': 'bfloat16'}}}
    """
    return _plain(record)


def _plain(record: Any) -> dict[str, Any]:
    """A record's fields that differ from their defaults."""
    table: dict[str, Any] = {}
    kind = type(record).__name__.lower()
    if kind in KINDS:
        table["kind"] = kind
    for one in fields(record):
        own = getattr(record, one.name)
        default = one.default if one.default_factory is MISSING else one.default_factory()
        if own != default:
            table[one.name] = _plain_value(own)
    return table


def _plain_value(own: Any) -> Any:
    match own:
        case Round():
            return str(own)
        case Enum():
            return own.value
        case FloatFormat():
            return own.name
        case Fuse() | Sum() | Chain() | Tree() | Nested() | Parts() | Lanes() | Late():
            return _plain(own)
        case tuple():
            listed = [_plain_value(one) for one in own]
            return listed[0] if len(own) == 1 and isinstance(own[0], Round) else listed
        case _:
            return own


def _node(table: Any) -> Node:
    """A node from its table."""
    if isinstance(table, Node):
        return table
    given = table.get("kind") if isinstance(table, Mapping) else table
    if not isinstance(table, Mapping) or str(given) not in KINDS:
        raise unknown("kind of accumulation node", given, KINDS)
    kind = KINDS[table["kind"]]
    arguments = {key: given for key, given in table.items() if key != "kind"}
    names = [one.name for one in fields(kind)]
    for key, given in arguments.items():
        if key not in names:
            raise unknown(f"field of a {kind.__name__.lower()} node", key, names)
        if key in ("inner", "outer"):
            arguments[key] = _node(given)
        if key == "step":
            arguments[key] = _fuse(given)
    node: Node = _build(kind, arguments)
    return node


def _fuse(table: Any) -> Fuse:
    """A step from its table."""
    if isinstance(table, Fuse):
        return table
    if not isinstance(table, Mapping):
        raise BadFormat(f"step = {table!r}; expected a table")
    names = [one.name for one in fields(Fuse)]
    for key in table:
        if key not in names:
            raise unknown("field of a step", key, names)
    return Fuse(**table)


def _build(kind: type, arguments: Mapping[str, Any]) -> Any:
    """A node of a kind, if nothing that it needs is missing."""
    needed = [
        one for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING
    ]
    missing = [repr(one.name) for one in needed if one.name not in arguments]
    if missing:
        raise BadFormat(
            f"a {kind.__name__.lower()} node; expected its field {' and '.join(missing)}"
        )
    return kind(**arguments)


def _load() -> Mapping[str, Accumulation]:
    """The presets by name, ``exact`` first."""
    tables = tomllib.loads(files("mxemu").joinpath("accumulations.toml").read_text("utf-8"))
    found = [EXACT, *(from_mapping({"name": name, **table}) for name, table in tables.items())]
    return MappingProxyType({one.name: one for one in (*found, kulisch(64, -32))})


ACCUMULATIONS: Mapping[str, Accumulation] = _load()
