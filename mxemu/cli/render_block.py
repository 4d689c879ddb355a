"""Blocks, explained in plain text."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from mxemu.cli.phrases import (
    carried_text,
    choices_text,
    departures_text,
    error_text,
    exact_text,
    nan_clause,
    outside_text,
    part_text,
    status_text,
)
from mxemu.cli.text import (
    columns,
    dyadic_text,
    given_text,
    labelled,
    number_text,
    percent_text,
    point_text,
    signed_text,
    value_text,
    wrapped,
)
from mxemu.explain import (
    BlockExplanation,
    BlockOutcome,
    ElementSteps,
    ScaleSteps,
    Step,
    bit_fields,
    code_text,
)
from mxemu.formats import ElementFormat, FloatFormat
from mxemu.profile import Profile, Rounding
from mxemu.scalar import Status
from mxemu.value import Value, decimal_text


def render_block(found: BlockExplanation) -> str:
    """How a block is quantized, as text."""
    fmt = found.format
    zeros = fmt.k - found.given
    title = f"{fmt.name}: {fmt.k} {fmt.element.name} elements and one {fmt.scale.name} scale"
    if zeros:
        title += f"; {found.given} given, filled up with {zeros} zero{'' if zeros == 1 else 's'}"
    shown = found.elements[found.shown]
    lines = [title, "", "Scale", *labelled(_scale_rows(found))]
    lines += ["", f"Element {found.shown}", *labelled(_element_rows(shown, found))]
    if found.given > 1:
        lines += ["", "Elements given", *_element_table(found)]
    return "\n".join([*lines, "", "Other profiles", *_other_lines(found)])


def _scale_rows(found: BlockExplanation) -> list[tuple[str, str]]:
    scale, fmt = found.scale, found.format
    rows = [("amax", _amax_text(found))]
    if scale.policy:
        choice = getattr(found.profile, scale.policy)
        rows.append(("choice", f"{_POLICY_WORDS[scale.policy]}: {scale.policy} {choice.name}"))
    elif scale.ratio is not None:
        rows.append(("rule", f"{found.profile.scale_rule}: {found.profile.scale_rule.formula}"))
        rows.append(("", f"amax / max = {_ratio_text(scale, fmt.element.max)}"))
    else:
        rows += _rule_rows(found)
    return [
        *rows,
        ("scale", _scale_text(scale, fmt.scale)),
        ("profile", _block_profile_text(found)),
    ]


def _scale_text(scale: ScaleSteps, fmt: FloatFormat) -> str:
    """``2^1 = 2, E8M0 code 0x80 (1 + bias 127)``."""
    forms = [dyadic_text(scale.value.fraction())] if scale.value.is_finite else []
    value = " = ".join(dict.fromkeys([*forms, value_text(scale.value)]))
    words = f"{value}, {fmt.name} code {code_text(scale.code, fmt)}"
    if scale.value.is_nan or fmt.subnormals or fmt.mantissa_bits:
        return words
    return f"{words} ({scale.value.leading} + bias {fmt.bias})"


_POLICY_WORDS = {
    "nan_block": "no rule for NaN in a block",
    "inf_block": "no rule for Inf in a block",
    "zero_block": "no rule for a block of zeros",
}


def _block_profile_text(found: BlockExplanation) -> str:
    profile = found.profile
    choices = choices_text(profile, found.format.element)
    words = f"{profile}: scale rule {profile.scale_rule}, {choices}"
    if profile.rounding is Rounding.STOCHASTIC:
        words += "; every random word is 0 here"
    return words + departures_text(profile)


def _amax_text(found: BlockExplanation) -> str:
    """The largest magnitude, where it stands, and as f * 2^e."""
    scale = found.scale
    if scale.exact is None:
        return f"{scale.amax}, element {scale.element}"
    if scale.leading is None or scale.fraction is None:
        flushed = any(element.number.exact for element in found.elements)
        return "0: every element is zero" + (
            " once subnormal inputs are flushed" if flushed else ""
        )
    where = "raised to amax_floor" if scale.element is None else f"element {scale.element}"
    return (
        f"{_with_decimal(scale.exact)} ({where}) = {_with_decimal(scale.fraction)} * 2^{scale.leading}, "
        f"so e = {scale.leading}"
    )


def _with_decimal(number: Fraction) -> str:
    """The exact text, and for one such as ``16777215*2^-18`` about how much that is."""
    exact = number_text(number)
    long = "*2^" in exact and len(exact) > 12
    return f"{exact} ({decimal_text(number, 9)})" if long else exact


def _ratio_text(scale: ScaleSteps, largest: Value) -> str:
    if scale.exact is None or scale.ratio is None:
        return ""
    return f"{_dividend(scale.exact)} / {value_text(largest)} = {number_text(scale.ratio)}"


def _dividend(number: Fraction) -> str:
    words = number_text(number)
    return f"({words})" if "/" in words else words


def _rule_rows(found: BlockExplanation) -> list[tuple[str, str]]:
    """The rule as a formula, with its numbers, and what it was fitted to."""
    scale, rule, element = found.scale, found.profile.scale_rule, found.format.element
    if scale.leading is None or scale.exponent is None:
        return []
    terms = f"{scale.leading} - {_term(element.emax)}"
    if rule.offset:
        terms += f" {'-' if rule.offset < 0 else '+'} {abs(rule.offset)}"
    terms += "".join(f" + {int(step.passed)}" for step in scale.steps)
    total = scale.leading - element.emax + rule.offset + sum(step.passed for step in scale.steps)
    rows = [("rule", f"{rule}: {rule.formula} = {terms} = {total}")]
    rows += [("", _step_text(step, scale)) for step in scale.steps]
    if scale.exponent != total:
        rows.append(
            ("", f"the quotient amax / max, rounded to binary32, gives {scale.exponent} instead")
        )
    if scale.fitted:
        rows.append(("", _fitted_text(scale, found)))
    return rows


def _fitted_text(scale: ScaleSteps, found: BlockExplanation) -> str:
    """Why the scale is not the power of two that the rule asked for."""
    fmt, exponent, profile = found.format.scale, scale.exponent or 0, found.profile
    if exponent > fmt.max.leading:
        limit = f"above {value_text(fmt.max)}, the largest {fmt.name} value"
        return f"2^{exponent} is {limit}: scale_overflow {profile.scale_overflow.name}"
    if exponent < fmt.min_positive.leading:
        return (
            f"2^{exponent} is below {value_text(fmt.min_positive)}, the smallest {fmt.name} value"
        )
    if scale.value.is_nan:
        return "the addition carries out of the largest binary32, so the scale is NaN"
    return (
        f"2^{exponent} is outside the scale codes of the profile: scale_clamp {profile.scale_clamp}"
    )


def _term(number: int) -> str:
    return f"({number})" if number < 0 else str(number)


def _step_text(step: Step, scale: ScaleSteps) -> str:
    """``f = 1.75 and M = 1.5, so [f > M] = 1``."""
    right = step.point.value.split(" ", 2)[2]
    place = _root_text(step.square)
    known = "" if right == place or right == str(step.square) else f" and {right} = {place}"
    return f"f = {number_text(scale.fraction or Fraction(0))}{known}, so [{step.point.value}] = {int(step.passed)}"


def _root_text(square: Fraction) -> str:
    """The square root of a rational: exact, or seven digits."""
    root = Fraction(isqrt(square.numerator), isqrt(square.denominator))
    if root * root == square:
        return number_text(root)
    return f"~{decimal_text(Fraction(isqrt(square.numerator * 10**40 // square.denominator), 10**20), 7).lstrip('~')}"


def _element_rows(shown: ElementSteps, found: BlockExplanation) -> list[tuple[str, str]]:
    """One element: V / X, its place among the codes, the code, and the way back."""
    fmt, scale = found.format.element, found.scale
    rows = [("V", _given_text(shown, found))]
    if scale.value.is_nan:
        return [
            *rows,
            ("back", _back_under_nan(shown, found.profile)),
            ("code", "not prescribed, 0 here (mxemu rule MX-4-SCOPE-NANELEM)"),
        ]
    rows += [("V / X", _division_text(shown, scale)), *_element_place(shown, fmt)]
    rows.append(("code", f"{_code_words(shown, fmt)}    {status_text(shown.status)}"))
    factors = f"{value_text(shown.value)} * {value_text(scale.value)} = "
    product = factors if shown.value.is_finite else ""
    rows.append(("back", f"{product}{value_text(shown.back)}"))
    if shown.error:
        rows.append(("error", error_text(shown.error)))
    return [*rows, *_element_notes(shown, found)]


def _back_under_nan(shown: ElementSteps, profile: Profile) -> str:
    if shown.back.is_nan:
        return "NaN: under a NaN scale every element is NaN (mxemu rule MX-5.1-NANSCALE)"
    return f"{value_text(shown.back)}: scale_nan {profile.scale_nan.name} reads the NaN scale as a number"


def _given_text(shown: ElementSteps, found: BlockExplanation) -> str:
    if shown.position >= found.given:
        return "0, a zero that fills the block"
    words = exact_text(shown.number, found.carrier)
    if found.carrier is not None:
        words += f"; {carried_text(shown.number, found.carrier)}"
    return words


def _division_text(shown: ElementSteps, scale: ScaleSteps) -> str:
    if shown.ratio is None or shown.number.exact is None:
        return str(shown.scaled)
    if not shown.ratio and shown.number.exact:
        return "0: the subnormal input was flushed to zero"
    return (
        f"{_dividend(shown.number.exact)} / {value_text(scale.value)} = {number_text(shown.ratio)}"
    )


def _element_place(shown: ElementSteps, fmt: ElementFormat) -> list[tuple[str, str]]:
    place = shown.place
    if place is None or (place.part is None and place.below and place.above):
        return []
    if place.below is None or place.above is None:
        return [("range", outside_text(place, fmt))]
    ends = f"{point_text(*place.below, fmt)} and {point_text(*place.above, fmt)}"
    return [("between", f"{ends}; {part_text(place)}")]


def _code_words(shown: ElementSteps, fmt: ElementFormat) -> str:
    return f"{point_text(shown.code, shown.value, fmt)}    {bit_fields(shown.code, fmt)}"


def _element_notes(shown: ElementSteps, found: BlockExplanation) -> list[tuple[str, str]]:
    """The clauses behind a clamped element, a NaN without a code, or a result beyond binary32."""
    fmt = found.format.element
    notes = []
    if Status.OVERFLOW in shown.status and shown.scaled.is_finite:
        end = f"V / X rounds beyond {value_text(fmt.max)}"
        clipped = f"clipped: {end}, which is allowed (mxemu rule MX-6.3-CLAMP)"
        lost = f"{end}, and {found.profile.overflow.name} makes that {shown.value}"
        notes.append(clipped if shown.value.is_finite else lost)
    if Status.INVALID in shown.status:
        notes.append(
            f"{fmt.name} has no NaN; what a NaN becomes is free: mxemu rule {nan_clause(fmt)}"
        )
    if shown.binary32 is not None:
        bits = f"0x{shown.binary32:08X}"
        notes.append(f"beyond binary32, where the profile gives {bits}: mxemu rule MX-5.1-OVF32")
    return [("note", note) for note in notes]


def _element_table(found: BlockExplanation) -> list[str]:
    """One line for each of the values given."""
    fmt = found.format.element
    rows = [("", "V", "V / X", "code", "value", "back", "error", "relative")]
    for each in found.elements[: found.given]:
        scaled = number_text(each.ratio) if each.ratio is not None else str(each.scaled)
        absolute = signed_text(each.error.absolute) if each.error else "-"
        relative = (
            percent_text(each.error.relative)
            if each.error and each.error.relative is not None
            else "-"
        )
        rows.append(
            (
                str(each.position),
                given_text(each.number.text, 16),
                scaled,
                code_text(each.code, fmt),
                value_text(each.value),
                value_text(each.back),
                absolute,
                relative,
            )
        )
    return ["  " + line for line in columns(rows, right=range(8))]


def _other_lines(found: BlockExplanation) -> list[str]:
    """What the other presets give: one paragraph for each result."""
    results: dict[str, list[str]] = {}
    for other in found.others:
        results.setdefault(_other_text(other, found), []).extend(other.profiles)
    if found.same:
        results["the same scale and codes"] = list(found.same)
    if found.left_out:
        results["not compared: random, or not for this scale"] = list(found.left_out)
    return [
        line
        for result, names in results.items()
        for line in ["  " + result, *wrapped(", ".join(names), indent=6)]
    ]


def _other_text(other: BlockOutcome, found: BlockExplanation) -> str:
    """``scale 4 (0x81): 239.25 -> 0x77 = 240 -> 960, +0.313 %``."""
    fmt, one = found.format, other.element
    scale = f"scale {value_text(other.scale.value)} ({code_text(other.scale.code, fmt.scale)})"
    if other.scale.value.is_nan:
        return f"{scale}: every element is NaN"
    scaled = number_text(one.ratio) if one.ratio is not None else str(one.scaled)
    words = f"{scale}: {scaled} -> {point_text(one.code, one.value, fmt.element)} -> {value_text(one.back)}"
    if one.error and one.error.relative is not None:
        words += f", {percent_text(one.error.relative)}"
    own = found.elements[found.shown]
    if other.scale.code == found.scale.code and one.code == own.code and other.differing:
        words += f"; differs in element {', '.join(map(str, other.differing[:8]))}"
    return words
