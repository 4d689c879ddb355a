"""Vectors for SystemVerilog: a package that says where everything lies, and a bench that checks a design."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from conformance.rendering import render
from conformance.vectors import memh
from conformance.vectors.table import Field, Role, Table
from mxemu import __version__
from mxemu.errors import BadFormat
from mxemu.formats import FloatFormat, element

# Failures that are printed, and clocks that a reset is held.
FAILURES = 20
RESET = 4


def package(table: Table, count: int, memh_name: str) -> str:
    """The package of a table: offsets, widths and packed structures of its fields.

    Parameters
    ----------
    table : Table
    count : int
        Vectors in the file.
    memh_name : str
        The ``.memh`` file's name.

    Returns
    -------
    str
        SystemVerilog; its name is that of the table as an identifier, with ``_pkg``.

    Raises
    ------
    BadFormat
        When there are no vectors, or the name cannot stand in a string.
    """
    return render("vec_pkg.j2", _context(table, count, memh_name))


def testbench(table: Table, count: int, memh_name: str) -> str:
    """The bench that reads the file, drives a design and compares its results.

    Parameters
    ----------
    table : Table
    count : int
        Vectors in the file.
    memh_name : str
        The ``.memh`` file's name; a run can name another path by ``+vectors=``.

    Returns
    -------
    str
        SystemVerilog, for any simulator; it imports the package of the same table.

    Raises
    ------
    BadFormat
        As for `package`.
    """
    return render("vec_tb.j2", _context(table, count, memh_name))


def _context(table: Table, count: int, memh_name: str) -> dict[str, Any]:
    """What both templates name."""
    if count < 1:
        raise BadFormat(f"{table.name} with {count} vectors; a bench needs at least one")
    if PurePath(memh_name).name != memh_name or set(memh_name) & set('"\\%`\n') or not memh_name:
        raise BadFormat(f"{memh_name!r} is no plain name of a file")
    return {
        "table": table,
        "n": table.identifier,
        "version": __version__,
        "header": [*table.header.items()],
        "count": count,
        "memh": memh_name,
        "bits": 4 * table.digits,
        "first_line": memh.header(table, count).count("\n") + 1,
        "failures": FAILURES,
        "reset": RESET,
        "fields": _placed(table),
        "inputs": [*table.of(Role.IN)],
        "results": [_result(one) for one in table.of(Role.OUT)],
    }


def _placed(table: Table) -> list[dict[str, Any]]:
    """Every field with its last bit in a line and the bits that pad it."""
    rows, lsb = [], 4 * table.digits
    for one in table.fields:
        lsb -= 4 * one.digits
        names = ("name", "width", "count", "bits")
        own: dict[str, Any] = {name: getattr(one, name) for name in names}
        rows.append(own | {"lsb": lsb, "pad": 4 * one.digits - one.bits})
    return rows


def _result(one: Field) -> dict[str, Any]:
    """A field that the design drives."""
    names = ("name", "width", "count", "bits", "format")
    own: dict[str, Any] = {name: getattr(one, name) for name in names}
    several = one.count > 1
    words = {"index": "[%0d]" if several else "", "number": ", number" if several else ""}
    return own | words | {"nan": _nan(one)}


def _nan(one: Field) -> str:
    """The condition under which ``code`` is NaN; no comparison in it is true of every code."""
    fmt = element(one.format) if one.format else None
    if not isinstance(fmt, FloatFormat) or not fmt.has_nan:
        return "1'b0"
    conditions = []
    if len(fmt.nans):
        bits = fmt.width - int(fmt.signed)
        first, last = (f"{bits}'h{code:x}" for code in (fmt.nans[0], fmt.nans[-1]))
        magnitude = f"code[{bits - 1}:0]"
        whole = f"{magnitude} >= {first}"
        if fmt.nans[-1] != fmt.magnitude_mask:
            whole += f" && {magnitude} <= {last}"
        conditions.append(f"{magnitude} == {first}" if len(fmt.nans) == 1 else whole)
    if not fmt.negative_zero:
        conditions.append(f"code == {fmt.width}'h{fmt.sign_mask:x}")
    return " || ".join(f"({one})" for one in conditions)
