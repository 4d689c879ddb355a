"""Conversions of one value, explained in plain text."""

from __future__ import annotations

from fractions import Fraction

from mxemu.cli.phrases import (
    WIDE_FORMAT,
    carried_text,
    error_text,
    exact_text,
    leaves_out,
    minimum_text,
    nan_clause,
    no_clause,
    outside_text,
    part_text,
    profile_text,
    status_text,
)
from mxemu.cli.text import columns, given_text, labelled, point_text, value_text
from mxemu.explain import Outcome, Point, ValueExplanation, bit_fields, code_text
from mxemu.formats import ElementFormat
from mxemu.profile import alternatives
from mxemu.value import Value, decimal_text


def render_value(found: ValueExplanation) -> str:
    """How a number becomes a code, as text."""
    fmt, number, result = found.format, found.number, found.result
    rows = [
        ("number", exact_text(number, found.carrier)),
        *_carrier_row(found),
        *_place_rows(found),
    ]
    rows += [("result", _result_row(result, fmt))]
    if found.error:
        rows.append(("error", error_text(found.error)))
    rows += [("profile", profile_text(found.profile, fmt)), *_notes(found)]
    text = labelled(rows)
    ruler = _value_ruler(found)
    if ruler:
        above = len(labelled(rows[: [label for label, _ in rows].index("between") + 1]))
        text[above:above] = ["", *ruler, ""]
    code = (
        point_text(result.code, result.value, fmt)
        if fmt.width > WIDE_FORMAT
        else _outcome_text(result, fmt)
    )
    title = f"{given_text(number.text, 40)} -> {fmt.name}  {code}"
    return "\n".join([title, "", *text, *_grid_lines(found)])


def _outcome_text(result: Outcome, fmt: ElementFormat) -> str:
    """The code and its value; the code alone where values are long and stand above."""

    def words(code: int, value: Value) -> str:
        return code_text(code, fmt) if fmt.width > WIDE_FORMAT else point_text(code, value, fmt)

    first = words(result.code, result.value)
    if result.second is None or result.probability is None:
        return first
    return f"{first}, or {words(*result.second)} ({_chance_text(result.probability)})"


def _chance_text(probability: Fraction) -> str:
    """``p = 0.5``, or ``p ~ 0.6`` where the number of random bits makes it a little less."""
    chance = decimal_text(probability, 4)
    return f"p ~ {chance[1:]}" if chance.startswith("~") else f"p = {chance}"


def _carrier_row(found: ValueExplanation) -> list[tuple[str, str]]:
    if found.carrier is None:
        return []
    return [("carrier", f"{carried_text(found.number, found.carrier)}, by TIES_TO_EVEN")]


def _place_rows(found: ValueExplanation) -> list[tuple[str, str]]:
    """The neighbours of the number and its distance from the tie."""
    place, fmt = found.place, found.format
    if place is None:
        return []
    if place.below is None or place.above is None:
        return [("range", outside_text(place, fmt))]
    if place.part is None:
        return [("place", f"exactly a value of {fmt.name}: no rounding")]
    ends = f"{point_text(*place.below, fmt)} and {point_text(*place.above, fmt)}"
    return [("between", ends), ("place", part_text(place))]


def _result_row(result: Outcome, fmt: ElementFormat) -> str:
    code = code_text(result.code, fmt)
    fields = "" if fmt.width > WIDE_FORMAT else f"{bit_fields(result.code, fmt)}  "
    return f"{code}  {fields}{status_text(result.status)}"


def _notes(found: ValueExplanation) -> list[tuple[str, str]]:
    """What else there is to say, with the clause."""
    fmt, value = found.format, found.number.value
    notes = []
    if found.row_field == "nan_without_code":
        notes.append(
            f"{fmt.name} has no NaN; what a NaN becomes is free: mxemu rule {nan_clause(fmt)}"
        )
    ends = [found.place.below, found.place.above] if found.place else []
    if any(point and leaves_out(point.code, fmt, found.profile) for point in ends):
        notes.append(minimum_text(fmt))
    if fmt.name == "E8M0" and value.is_zero:
        notes.append("E8M0 has no zero: mxemu rule MX-5.4.1-NOZERO")
    if fmt.name == "E8M0" and value.sign and not value.is_zero:
        notes.append("E8M0 has no sign: mxemu rule MX-5.4.1-UNSIGNED")
    return [("note", note) for note in notes] + no_clause(fmt)


def _value_ruler(found: ValueExplanation) -> list[str]:
    """The number between its neighbours; ``+`` is the tie and ``x`` the number."""
    place, fmt = found.place, found.format
    if (
        place is None
        or place.part is None
        or not place.below
        or not place.above
        or place.tie is None
    ):
        return []
    half = 20
    spot = round(place.part * 2 * half)
    if spot == half and 2 * place.part != 1:
        spot += 1 if 2 * place.part > 1 else -1
    bar = ["-"] * (2 * half + 1)
    bar[half] = "+"
    bar[min(max(spot, 1), 2 * half - 1)] = "x"
    low, high = code_text(place.below.code, fmt), code_text(place.above.code, fmt)
    top = value_text(place.below.value)
    middle = value_text(place.tie)
    start = 6 + len(low) + 2 + half - len(middle) // 2
    top = (" " * 6 + top).ljust(start - 1) + " " + middle
    last = value_text(place.above.value)
    end = 6 + len(low) + 2 + 2 * half + 2 + len(high)
    return [top + " " + last.rjust(end - len(top)), f"      {low} |{''.join(bar)}| {high}"]


def _grid_lines(found: ValueExplanation) -> list[str]:
    """The results under every other choice, side by side."""
    if not found.grid:
        return []
    fields = " and ".join(field for field in (found.row_field, found.column_field) if field)
    if len({_result_of(cell) for row in found.grid for cell in row}) == 1:
        return ["", f"  Every {fields} gives {_outcome_text(found.result, found.format)}."]
    columns_of = alternatives(found.column_field) if found.column_field else ()
    names = [choice.name for choice in columns_of]
    alike = all(_result_of(cell) == _result_of(row[0]) for row in found.grid for cell in row)
    rows = [] if alike else [["", *("  " + name for name in names)]]
    for choice, outcomes in zip(alternatives(found.row_field), found.grid, strict=True):
        shown = outcomes[:1] if alike else outcomes
        cells = [_cell(choice, spot, alike, each, found) for spot, each in enumerate(shown)]
        rows.append([choice.name, *cells])
    title = found.row_field if alike else fields
    same = f"; {' and '.join(names)} give the same" if alike and names else ""
    lines = columns(rows, gap=3)
    return ["", f"  {title} (* this profile{same})", *("    " + line for line in lines)]


def _result_of(outcome: Outcome) -> tuple[int, Point | None]:
    return outcome.code, outcome.second


def _cell(
    row_choice: object, spot: int, alike: bool, outcome: Outcome, found: ValueExplanation
) -> str:
    """One result of the grid, marked if the profile gives it."""
    own = getattr(found.profile, found.row_field) is row_choice
    if found.column_field and not alike:
        column = alternatives(found.column_field)[spot]
        own = own and getattr(found.profile, found.column_field) is column
    return ("* " if own else "  ") + _outcome_text(outcome, found.format)
