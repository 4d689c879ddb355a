"""Formats and profiles as tables of plain fields, for files; and one object for each, however often it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any, TypeVar

from mxemu.errors import BadFormat
from mxemu.formats import (
    BLOCK_FORMATS,
    CARRIERS,
    ELEMENTS,
    BlockFormat,
    ElementFormat,
    FloatFormat,
    IntFormat,
)
from mxemu.profile import (
    OCP,
    PRESETS,
    SCALE_RULES,
    Profile,
    ScaleArithmetic,
    ScaleRule,
    StepPoint,
    plain,
)
from mxemu.value import Value

Table = dict[str, Any]

_Record = TypeVar("_Record", FloatFormat, IntFormat, BlockFormat, Profile)

# No format is wider or more biased, and a file with greater numbers would have this program count for hours.
_MOST_BITS = 64
_FARTHEST = 1 << 16
_KNOWN: Mapping[str, Any] = {**CARRIERS, **ELEMENTS, **BLOCK_FORMATS, **PRESETS}


def canonical(record: _Record) -> _Record:
    """The registered object that equals a record, or else the first one that was met.

    Tables are kept by identity, so that equal records which are different objects would each have tables of their own.
    """
    known = _KNOWN.get(record.name)
    if known is not None and known == record:
        found: _Record = known
        return found
    return _first(record)


@lru_cache(maxsize=512)
def _first(record: _Record) -> _Record:
    return record


def format_table(record: BlockFormat | ElementFormat) -> Table:
    """All fields of a format, in types that JSON has.

    Examples
    --------
    >>> from mxemu.formats import INT8
    >>> format_table(INT8)
    {'kind': 'int', 'name': 'INT8', 'width': 8, 'fraction_bits': 6, 'origin': 'OCP MX v1.0'}
    """
    own = {field.name: getattr(record, field.name) for field in fields(record)}
    match record:
        case BlockFormat():
            parts = {
                "element": format_table(record.element),
                "scale": format_table(record.scale),
            }
            return {"kind": "block", **own, **parts}
        case FloatFormat():
            return {"kind": "float", **own, "nans": [record.nans.start, record.nans.stop]}
        case IntFormat():
            return {"kind": "int", **own}


def block_format_of(table: Any) -> BlockFormat:
    """The block format of a table.

    Raises
    ------
    BadFormat
        When a field is missing, unknown, of another type or out of range.
    """
    kinds = {"name": str, "element": dict, "scale": dict, "k": int, "origin": str}
    own = _checked("block", table, kinds)
    own["element"], own["scale"] = _element_of(own["element"]), _element_of(own["scale"])
    if not isinstance(own["scale"], FloatFormat):
        raise BadFormat(f"scale {own['scale']} is an integer format; expected a float")
    return canonical(BlockFormat(**own))


def _element_of(table: Table) -> ElementFormat:
    if table.get("kind") == "int":
        kinds: dict[str, Any] = {"name": str, "width": int, "fraction_bits": int, "origin": str}
        own = _checked("int", table, kinds)
        _check_size("width", own["width"], _MOST_BITS)
        _check_size("fraction_bits", own["fraction_bits"], _FARTHEST)
        return canonical(IntFormat(**own))
    own = _checked("float", table, _FLOAT_FIELDS)
    _check_size("exponent_bits", own["exponent_bits"], _MOST_BITS)
    _check_size("mantissa_bits", own["mantissa_bits"], _MOST_BITS)
    _check_size("bias", own["bias"], _FARTHEST)
    if len(own["nans"]) != 2 or not all(type(code) is int for code in own["nans"]):
        raise BadFormat(
            f"nans = {own['nans']!r}; expected the first code and the one after the last"
        )
    return canonical(FloatFormat(**{**own, "nans": range(*own["nans"])}))


_FLOAT_FIELDS: Mapping[str, Any] = {
    "name": str,
    "exponent_bits": int,
    "mantissa_bits": int,
    "bias": int,
    "signed": bool,
    "inf": int | None,
    "nans": list,
    "negative_zero": bool,
    "subnormals": bool,
    "origin": str,
}


def profile_table(profile: Profile) -> Table:
    """All fields of a profile, in types that JSON has.

    Examples
    --------
    >>> profile_table(OCP.replace(rounding="to-odd"))["rounding"]
    'to-odd'
    """
    choices = profile.choices()
    table = {
        key: choice if type(choice) is int else plain(choice) for key, choice in choices.items()
    }
    floor, clamp = profile.amax_floor, profile.scale_clamp
    return {
        "name": profile.name,
        "note": profile.note,
        **table,
        "scale_rule": _rule_table(profile.scale_rule),
        "amax_floor": None
        if floor is None
        else {"significand": floor.significand, "exponent": floor.exponent},
        "scale_clamp": None if clamp is None else list(clamp),
    }


def _rule_table(rule: ScaleRule) -> Table:
    own = {field.name: getattr(rule, field.name) for field in fields(rule)}
    steps = [point.value for point in rule.steps]
    return {"kind": "rule", **own, "steps": steps, "arithmetic": rule.arithmetic.value}


def profile_of(table: Any) -> Profile:
    """The profile of a table; choices that it does not mention are those of OCP.

    Raises
    ------
    BadFormat, UnknownName
        When a field is unknown, of another type or out of range.
    """
    if not isinstance(table, dict):
        raise BadFormat(f"profile {table!r}; expected an object")
    own = dict(table)
    for name in ("name", "note"):
        if not isinstance(own.setdefault(name, ""), str):
            raise BadFormat(f"profile field {name} = {own[name]!r}; expected str")
    if "scale_rule" in own:
        own["scale_rule"] = _rule_of(own["scale_rule"])
    if own.get("amax_floor") is not None:
        own["amax_floor"] = _floor_of(own["amax_floor"])
    return canonical(OCP.replace(**own))


def _rule_of(table: Any) -> ScaleRule:
    kinds = {
        "name": str,
        "steps": list,
        "offset": int,
        "arithmetic": str,
        "ratio": bool,
        "note": str,
    }
    own = _checked("rule", table, kinds)
    _check_size("offset", own["offset"], _FARTHEST)
    try:
        own["steps"] = tuple(StepPoint(point) for point in own["steps"])
        own["arithmetic"] = ScaleArithmetic(own["arithmetic"])
    except ValueError as error:
        raise BadFormat(f"scale rule {own['name']}: {error}") from None
    rule = ScaleRule(**own)
    known = SCALE_RULES.get(rule.name)
    return known if known == rule and known is not None else rule


def _floor_of(table: Any) -> Value:
    own = _checked(
        "value", {"kind": "value", **table} if isinstance(table, dict) else table, _VALUE
    )
    _check_size("exponent", own["exponent"], _FARTHEST)
    return Value(0, own["significand"], own["exponent"])


_VALUE: Mapping[str, Any] = {"significand": int, "exponent": int}


def _checked(kind: str, table: Any, kinds: Mapping[str, Any]) -> Table:
    """The fields of a table, if they are those expected, in the types expected."""
    if not isinstance(table, dict) or table.get("kind") != kind:
        raise BadFormat(f"{_short(table)}; expected an object of kind {kind}")
    own = {key: value for key, value in table.items() if key != "kind"}
    if set(own) != set(kinds):
        wrong = ", ".join(sorted(set(own) ^ set(kinds)))
        raise BadFormat(f"{kind} with fields missing or unknown: {wrong}")
    for key, expected in kinds.items():
        found = own[key]
        if not isinstance(found, expected) or (isinstance(found, bool) and expected is not bool):
            words = getattr(expected, "__name__", str(expected))
            raise BadFormat(f"{kind} field {key} = {_short(found)}; expected {words}")
    return own


def _check_size(name: str, number: int, most: int) -> None:
    if abs(number) > most:
        raise BadFormat(f"{name} = {number}; expected at most {most}")


def _short(found: Any) -> str:
    text = repr(found)
    return text if len(text) <= 60 else text[:57] + "..."
