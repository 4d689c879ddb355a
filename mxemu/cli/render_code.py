"""Codes, explained in plain text."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from mxemu.block import value_bits
from mxemu.cli.phrases import (
    TIE_CLAUSES,
    WIDE_FORMAT,
    class_text,
    leaves_out,
    minimum_text,
    no_clause,
    profile_text,
)
from mxemu.cli.text import (
    dyadic_text,
    interval_text,
    labelled,
    number_text,
    point_text,
    value_text,
)
from mxemu.explain import CodeExplanation, Interval, Point, code_text
from mxemu.formats import FloatFormat, IntFormat
from mxemu.profile import Rounding
from mxemu.value import Value, decimal_text, from_fraction

_LONGEST_ON_RULER = 16


def render_code(found: CodeExplanation) -> str:
    """What a code means, as text."""
    value = found.value
    rows = [("fields", _fields_row(found))]
    if value.is_finite:
        rows += [("value", _value_row(value, found)), *_decimal_row(value.fraction())]
    rows += [("class", _class_row(found)), *_neighbour_rows(found), *_binary32_row(found)]
    ruler = _code_ruler(found)
    text = labelled([*rows, *_rounding_rows(found)])
    above = len(labelled(rows))
    if ruler:
        text[above:above] = ["", *ruler, ""]
    return "\n".join([*_code_title(found), "", *text])


def _code_title(found: CodeExplanation) -> list[str]:
    """``E4M3  0x5D  0_1011_101  =  26``; in two lines where the fields are long."""
    code = f"{found.format.name}  {code_text(found.code, found.format)}"
    value = value_text(found.value, _quantum(found))
    if found.format.width > WIDE_FORMAT:
        return [f"{code}  =  {value}", found.fields]
    return [f"{code}  {found.fields}  =  {value}"]


def _fields_row(found: CodeExplanation) -> str:
    """What each of the fields says."""
    fmt = found.format
    if isinstance(fmt, IntFormat):
        return f"two's complement n = {found.significand} | implied scale 2^-{fmt.fraction_bits}"
    parts = [f"sign {'-' if found.value.sign else '+'}"] if fmt.signed else ["no sign"]
    if found.exponent_field is None:
        return " | ".join([*parts, found.kind])
    if found.exponent_field or not fmt.subnormals:
        parts.append(f"exponent {found.exponent_field} - bias {fmt.bias} = {found.exponent}")
    else:
        parts.append(f"exponent field 0, so 1 - bias {fmt.bias} = {found.exponent}")
    parts.append(_significand_text(found.code, fmt, found.significand or Fraction(0)))
    return " | ".join(parts)


def _significand_text(code: int, fmt: FloatFormat, significand: Fraction) -> str:
    """``significand 1.101b = 13/8``, with the hidden bit in front of the point."""
    if not fmt.mantissa_bits:
        return "no mantissa"
    mantissa = code & ((1 << fmt.mantissa_bits) - 1)
    whole = significand.numerator // significand.denominator
    written = str(significand) if len(str(significand)) <= 12 else number_text(significand)
    return f"significand {whole}.{mantissa:0{fmt.mantissa_bits}b}b = {written}"


def _value_row(value: Value, found: CodeExplanation) -> str:
    """The same number as a product, as n * 2^e, as a fraction, as a decimal; each form once."""
    if value.is_zero or found.significand is None:
        return value_text(value)
    number, factor = value.fraction(), found.significand
    sign = "-" if value.sign and factor > 0 else ""
    forms = [
        f"{sign}{factor} * 2^{found.exponent}" if len(str(factor)) <= 14 and factor != 1 else "",
        dyadic_text(number),
        str(number) if len(str(number)) <= 14 else "",
        number_text(number),
    ]
    once = {
        form.replace(" ", ""): form for form in reversed(forms) if form and not form.startswith("~")
    }
    return " = ".join(reversed(once.values()))


def _decimal_row(number: Fraction) -> list[tuple[str, str]]:
    """The decimal expansion, where the value row has none."""
    if number_text(number) == decimal_text(number, 12):
        return []
    exact = decimal_text(number, 60)
    return [("decimal", decimal_text(number, 17) if exact.startswith("~") else exact)]


def _class_row(found: CodeExplanation) -> str:
    words = class_text(found)
    fmt = found.format
    if found.kind == "NaN":
        count = fmt.counts["nan"]
        return words + (f", one of {count} NaN codes" if count > 1 else ", the only NaN code")
    if found.ulp is None or found.kind == "power of two":
        return words
    return f"{words}, spacing {value_text(found.ulp)}"


def _neighbour_rows(found: CodeExplanation) -> list[tuple[str, str]]:
    known = [point_text(*point, found.format) for point in (found.below, found.above) if point]
    return [("neighbours", " and ".join(known))] if known else []


def _binary32_row(found: CodeExplanation) -> list[tuple[str, str]]:
    """The bits of a scale as a number, with what a shift of the code by 23 would make of it."""
    fmt = found.format
    if not isinstance(fmt, FloatFormat) or fmt.subnormals or fmt.name != "E8M0":
        return []
    bits = f"0x{value_bits(found.value):08X}"
    if found.value.is_nan:
        bits += "; code << 23 would be Inf (mxemu rule shift23-scale)"
    elif found.code == 0:
        bits += ", a subnormal; code << 23 would be 0 (mxemu rule shift23-scale)"
    return [("binary32", bits)]


def _rounding_rows(found: CodeExplanation) -> list[tuple[str, str]]:
    """Which inputs become the code, and who wins the ties."""
    rows = [("profile", profile_text(found.profile, found.format))]
    if found.profile.rounding is Rounding.STOCHASTIC:
        return [("rounds here", "depends on the random word"), *rows]
    inputs = [
        f"reals in {interval_text(interval, _quantum(found))}" for interval in found.intervals
    ]
    inputs += _special_inputs(found)
    if found.ties:
        rows.insert(0, ("ties", _ties_text(found)))
    if leaves_out(found.code, found.format, found.profile):
        rows.append(("note", minimum_text(found.format)))
    return [("rounds here", ", ".join(inputs) or "nothing"), *rows, *no_clause(found.format)]


def _special_inputs(found: CodeExplanation) -> list[str]:
    """The inputs that are no reals, and no closed ends of an interval, in words."""
    names = [name for name in found.specials if not _is_end(name, found.intervals)]
    if "NaN" in names and "-NaN" in names:
        names.remove("-NaN")
    elif found.format.has_nan and found.format.signed:
        names = ["NaN with sign +" if name == "NaN" else name for name in names]
    return ["NaN with sign -" if name == "-NaN" else name for name in names]


def _is_end(special: str, intervals: Sequence[Interval]) -> bool:
    """Whether an infinity already stands as the closed end of an interval."""
    ends = [("-Inf", each.low, each.low_closed) for each in intervals]
    ends += [("+Inf", each.high, each.high_closed) for each in intervals]
    return any(name == special and end.is_inf and closed for name, end, closed in ends)


def _ties_text(found: CodeExplanation) -> str:
    fmt, quantum = found.format, _quantum(found)
    won = " and ".join(
        f"{value_text(tie.value, quantum)} -> {code_text(tie.code, fmt)}" for tie in found.ties
    )
    even = all(tie.code & 1 == 0 for tie in found.ties)
    if found.profile.rounding is not Rounding.TIES_TO_EVEN or fmt.name == "E8M0" or not even:
        return won
    clause = TIE_CLAUSES.get(fmt.name)
    return f"{won}: the even code wins" + (f" (mxemu rule {clause})" if clause else "")


def _code_ruler(found: CodeExplanation) -> list[str]:
    """The code between its neighbours, with the ends of the reals that become it."""
    if len(found.intervals) != 1 or not found.value.is_finite:
        return []
    marks = _ruler_marks(found, found.intervals[0])
    if not marks or max(len(word) for mark in marks for word in mark) > _LONGEST_ON_RULER:
        return []
    step = max(10, max(len(word) for mark in marks for word in mark) + 2)
    top, bottom = "", ""
    for place, (value, mark) in enumerate(marks):
        middle = 6 + place * step + step // 2
        top = top.ljust(middle - len(value) // 2) + value
        label = mark if len(mark) == 1 else f" {mark} "
        start = middle - len(label) // 2
        bottom = (bottom + "-" * (start - len(bottom)) if bottom else " " * start) + label
    return [top.rstrip(), bottom.rstrip()]


def _ruler_marks(found: CodeExplanation, interval: Interval) -> list[tuple[str, str]]:
    """Value and mark of the neighbours, the ends and the code, in order."""
    points = (found.below, Point(found.code, found.value), found.above)
    spots = {each.value.fraction(): code_text(each.code, found.format) for each in points if each}
    here = found.value.fraction()
    if interval.low.is_finite:
        bracket, end = "[" if interval.low_closed else "(", interval.low.fraction()
        label = spots.get(end, "")
        spots[end] = (f"{bracket} {label}" if end == here else f"{label} {bracket}").strip()
    if interval.high.is_finite:
        bracket, end = "]" if interval.high_closed else ")", interval.high.fraction()
        label = spots.get(end, "")
        spots[end] = (f"{label} {bracket}" if end == here else f"{bracket} {label}").strip()
    quantum = _quantum(found)
    marks = [(value_text(from_fraction(end), quantum), spots[end]) for end in sorted(spots)]
    below = [] if interval.low.is_finite else [("", "<")]
    above = [] if interval.high.is_finite else [("", ">")]
    return [*below, *marks, *above]


def _quantum(found: CodeExplanation) -> int:
    """Exponent of the unit that all numbers about a code are multiples of."""
    return found.value.exponent - 1
