"""Vectors for C: a header that says where everything lies, and a program that checks a design with a vector file."""

from __future__ import annotations

import json
from typing import Any

from conformance.rendering import render
from conformance.vectors.mxb import field_table
from conformance.vectors.table import Field, Role, Table
from mxemu import __version__
from mxemu.errors import BadFormat
from mxemu.formats import FloatFormat, element

# Bytes on either side of an array.
GUARD = 16
# Blocks have one scale each, however few there are, so these are arrays in every table.
_SCALES = ("sa", "sb", "scales")
_CELLS = {"uint8_t": 1, "uint32_t": 4, "uint64_t": 8}


def header(table: Table) -> str:
    """The C header of a table: offsets and widths of its fields, structures of inputs and results.

    Parameters
    ----------
    table : Table

    Returns
    -------
    str
        C99, and C++; its name is that of the table as an identifier, with ``.h``.

    Raises
    ------
    BadFormat
        When a number has more than 64 bits.
    """
    return render("vec_h.j2", _context(table))


def runner(table: Table) -> str:
    """The C program that checks a function ``mx_dut`` with a ``.mxb`` or ``.memh`` file.

    Parameters
    ----------
    table : Table

    Returns
    -------
    str
        C99, and C++; it includes the header of the same table.

    Raises
    ------
    BadFormat
        When a number has more than 64 bits.
    """
    context = _context(table)
    context["members"] = context["inputs"] + context["results"]
    context["cells"] = sorted({_CELLS[member["type"]] for member in context["members"]})
    for row, json_text in zip(context["fields"], _field_texts(table), strict=True):
        row["json"] = json.dumps(json_text)
    context["constants"], context["initial"] = _hash_constants()
    return render("vec_runner.j2", context)


def _context(table: Table) -> dict[str, Any]:
    """What both templates name."""
    offsets = _offsets(table)
    return {
        "table": table,
        "n": table.identifier,
        "N": table.identifier.upper(),
        "version": __version__,
        "header": [(key, text.replace("*/", "* /")) for key, text in table.header.items()],
        "guard": GUARD,
        "fields": [{**_sizes(one), "offset": offsets[one.name]} for one in table.fields],
        "inputs": [_member(one, offsets) for one in table.of(Role.IN)],
        "results": [_member(one, offsets) for one in table.of(Role.OUT)],
    }


def _offsets(table: Table) -> dict[str, int]:
    """Where each field begins in a record, in bytes."""
    found, at = {}, 0
    for one in table.fields:
        found[one.name] = at
        at += one.size
    return found


def _sizes(one: Field) -> dict[str, Any]:
    names = ("name", "width", "count", "bits", "digits", "size")
    return {name: getattr(one, name) for name in names}


def _member(one: Field, offsets: dict[str, int]) -> dict[str, Any]:
    """A field that a design sees."""
    what = f"{one.format or 'number'} of {one.width} bits"
    return {
        **_sizes(one),
        "offset": offsets[one.name],
        "role": one.role.name,
        "array": one.count > 1 or one.name in _SCALES,
        "type": _type(one),
        "words": f"{what}, number 0 first" if one.count > 1 else what,
        "expect": offsets.get(one.expectation.name, 0) if one.role is Role.OUT else 0,
        **_nans(one.format),
    }


def _type(one: Field) -> str:
    """The C type of a number: bytes in arrays of narrow ones, else words."""
    if one.width > 64:
        raise BadFormat(f"field {one.name} of {one.width} bits a number; C has at most 64")
    if one.width <= 8 and (one.count > 1 or one.name in _SCALES):
        return "uint8_t"
    return "uint32_t" if one.width <= 32 else "uint64_t"


def _nans(name: str) -> dict[str, Any]:
    """How the NaN codes of a format are known: magnitude mask, first and last NaN, one code besides."""
    fmt = element(name) if name else None
    if not isinstance(fmt, FloatFormat) or not fmt.has_nan:
        return {"has_nan": False, "nan": (0, 0, 0, 0)}
    # No magnitude lies from 1 to 0.
    first, last = (fmt.nans[0], fmt.nans[-1]) if len(fmt.nans) else (1, 0)
    other = 0 if fmt.negative_zero else fmt.sign_mask
    return {"has_nan": True, "nan": (fmt.magnitude_mask, first, last, other)}


def _field_texts(table: Table) -> list[str]:
    """Each field as it stands in the field table of a ``.mxb`` file."""
    record = json.loads(field_table(table))
    return [json.dumps(one, separators=(",", ":")) for one in record["fields"]]


def _hash_constants() -> tuple[list[str], list[str]]:
    """Those of SHA-256: 32 bits of the fractions of cube roots and square roots of the first primes (FIPS 180-4)."""
    primes = [number for number in range(2, 312) if all(number % one for one in range(2, number))]
    cubes = [f"{_root(prime, 3):#010x}" for prime in primes]
    squares = [f"{_root(prime, 2):#010x}" for prime in primes[:8]]
    return cubes, squares


def _root(number: int, power: int) -> int:
    """The first 32 bits of the fraction of a root."""
    low, high, scaled = 0, number << 32, number << 32 * power
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**power <= scaled else (low, middle)
    return low & 0xFFFFFFFF
