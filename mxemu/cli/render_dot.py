"""Dot products, explained in plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from mxemu.accumulation import Round
from mxemu.cli.bit_picture import Row, picture
from mxemu.cli.phrases import status_text
from mxemu.cli.text import (
    columns,
    labelled,
    number_text,
    point_text,
    signed_text,
    value_text,
    wrapped,
)
from mxemu.explain import Point, code_text
from mxemu.explain.dots import (
    NOTHING,
    DotExplanation,
    DotOutcome,
    Pair,
    SumStep,
    TermLine,
    describe,
    round_text,
)
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.products import Operand, Product
from mxemu.profile import Rounding
from mxemu.scalar import decode
from mxemu.value import Value, decimal_text

# Beyond these, what is alike is left out unless everything is asked for.
_PAIRS, _TERMS, _SUMS, _PICTURES = 12, 12, 12, 3
# More accumulations than these are grouped by their result.
_LINES = 8


def render_dot(
    found: DotExplanation, notes: Sequence[str] = (), *, everything: bool = False
) -> str:
    """How a dot product comes about, as text.

    Parameters
    ----------
    found : DotExplanation
    notes : sequence of str
        About the input, to stand above the products.
    everything : bool
        Leave nothing out.
    """
    lines = [_title(found), "", *labelled(_unit_rows(found)), "", "Products"]
    lines += ["  " + note for note in notes]
    lines += _pair_lines(found, everything)
    lines += _step_lines(found, everything)
    lines += ["", "Result", *labelled(_result_rows(found))]
    if found.others:
        lines += ["", "Compared", *_other_lines(found)]
    return "\n".join(lines)


def _title(found: DotExplanation) -> str:
    a, b = str(found.a.format), str(found.b.format)
    count = len(found.a.codes)
    words = f"{a} . {b}, K = {count}"
    if isinstance(found.a.format, BlockFormat) or isinstance(found.b.format, BlockFormat):
        words += f", k = {found.k}"
    return words + ("" if found.c is None else f", C = {value_text(found.c)}")


def _unit_rows(found: DotExplanation) -> list[tuple[str, str]]:
    """The accumulation: what it does, where it is seen, and what that rests on."""
    record = found.accumulation
    rows = [("accumulation", record.name), ("", f"{describe(record)}.")]
    if record.note and record.note not in describe(record):
        rows.append(("seen in" if record.operands else "in words", record.note))
    rows.append(("grade", record.grade.value + (f": {record.source}" if record.source else "")))
    return rows


def _pair_lines(found: DotExplanation, everything: bool) -> list[str]:
    """One line for each product that is not zero, under the scales of its block."""
    shown = [one for one in found.pairs if everything or not one.value.is_zero]
    zeros = len(found.pairs) - len(shown)
    hidden = 0 if everything else max(len(shown) - _PAIRS, 0)
    shown = shown[: len(shown) - hidden]
    head = ("", "a", "b", "product", "")
    body = columns([head, *(_pair_row(one, found) for one in shown)], right=(1, 2, 3))
    lines, scales = ["  " + body[0]], ""
    for one, line in zip(shown, body[1:], strict=True):
        own = _scales_text(one, found)
        lines += [f"  {own}"] if own != scales else []
        lines.append("  " + line)
        scales = own
    if hidden:
        lines.append(f"  ... {hidden} more that are not zero; --all shows them")
    if zeros:
        lines.append(f"  {_count(zeros, 'product')} {'is' if zeros == 1 else 'are'} zero")
    return lines if shown else lines[1:]


def _scales_text(one: Pair, found: DotExplanation) -> str:
    """``block 0: scale of a 0x80 = 2, of b 0x7F = 1``."""
    words = []
    for name, scale, operand in (("a", one.a_scale, found.a), ("b", one.b_scale, found.b)):
        if scale is not None and isinstance(operand.format, BlockFormat):
            words.append(f"of {name} {point_text(*scale, operand.format.scale)}")
    return f"block {int(one.name[1:]) // found.k}: scale {', '.join(words)}" if words else ""


def _pair_row(one: Pair, found: DotExplanation) -> tuple[str, ...]:
    elements = _element_text(one.a, found.a), _element_text(one.b, found.b)
    return (one.name, *elements, value_text(one.value), _aligned_text(one))


def _element_text(own: Point, operand: Operand) -> str:
    fmt = operand.format
    assert not isinstance(fmt, str)
    element: ElementFormat = fmt.element if isinstance(fmt, BlockFormat) else fmt
    return point_text(*own, element)


def _aligned_text(one: Pair) -> str:
    """``11.0001b * 2^16``: the product against the exponent that alignment takes it to have."""
    if one.exact is not None and one.value.is_finite and _number(one.exact) != _number(one.value):
        return f"from {value_text(one.exact)}, rounded"
    if one.exponent is None or not one.value.significand:
        return ""
    significand = one.value.fraction() / Fraction(2) ** one.exponent
    digits = _binary_text(abs(significand))
    return f"= {'-' if one.value.sign else ''}{digits} * 2^{one.exponent}" if digits else ""


def _binary_text(number: Fraction) -> str:
    """``11.0001b``; nothing if that is long."""
    places = number.denominator.bit_length() - 1
    if max(places, number.numerator.bit_length()) > 12:
        return ""
    digits = f"{number.numerator:0{places + 1}b}"
    cut = len(digits) - places
    return digits[:cut] + (f".{digits[cut:]}" if places else "") + "b"


def _number(value: Value) -> Fraction:
    return value.fraction()


def _step_lines(found: DotExplanation, everything: bool) -> list[str]:
    """A picture of each sum; of many sums a table, and pictures of those that lost most."""
    steps = found.steps
    if everything or len(steps) <= _PICTURES:
        return [line for one in steps for line in _drawn(one, everything)]
    lines = ["", "Sums", *_sum_table(steps)]
    drawn = _telling(steps)
    if drawn:
        lines += ["", *wrapped(_telling_text(drawn))]
    return lines + [line for one in drawn for line in _drawn(one, everything)]


def _telling(steps: Sequence[SumStep]) -> list[SumStep]:
    """The sums that lost most, in order; the last one if none did."""
    losing = [one for one in steps if _loss(one)]
    most = sorted(losing, key=lambda one: (-_loss(one), one.number))[:2]
    return sorted(most, key=lambda one: one.number) or [steps[-1]]


def _telling_text(drawn: Sequence[SumStep]) -> str:
    names = " and ".join(f"s{one.number}" for one in drawn)
    if not _loss(drawn[0]):
        return f"No sum lost anything; {names} is drawn, and --all draws all of them."
    verb = "loses" if len(drawn) == 1 else "lose"
    return f"{names} {verb} most and {'is' if len(drawn) == 1 else 'are'} drawn; --all draws all of them."


def _loss(one: SumStep) -> Fraction:
    """How much went missing, whatever its sign."""
    rounded = one.rounded_off or Fraction(0)
    return sum((abs(line.cut.lost.fraction()) for line in one.lines), abs(rounded))


def _sum_table(steps: Sequence[SumStep]) -> list[str]:
    """One line for each sum."""
    busy = [one for one in steps if not one.only_zeros or one.number == len(steps)]
    idle = len(steps) - len(busy)
    head, tail = busy, list[SumStep]()
    if len(busy) > _SUMS:
        head, tail = busy[: _SUMS - 4], busy[-3:]
    rows: list[tuple[str, ...]] = [("", "adds", "sum of what is kept", "rounded", "lost")]
    rows += [_sum_row(one) for one in head]
    if tail:
        rows += [("...", f"{len(busy) - len(head) - len(tail)} more", "", "", "")]
        rows += [_sum_row(one) for one in tail]
    lines = ["  " + line for line in columns(rows, right=(2, 3, 4))]
    return lines + ([f"  {_count(idle, 'sum')} of zeros left out"] if idle else [])


def _sum_row(one: SumStep) -> tuple[str, ...]:
    cut, rounded = one.cut_off, one.rounded_off
    lost = "-" if cut is None or rounded is None else number_text(cut + rounded)
    result = value_text(one.result) if one.step.out else "-"
    return (f"s{one.number}", _names_text(one), value_text(one.total), result, lost)


def _names_text(one: SumStep) -> str:
    """``p0 to p15 and s1``."""
    words = _ranges([line.name for line in one.terms])
    if one.carried is not None and one.carried.name != NOTHING:
        words.append(one.carried.name)
    if len(words) > 4:
        words = [*words[:2], "...", words[-1]]
    return " ".join(words) if "..." in words else _and(words)


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _ranges(names: Iterable[str]) -> list[str]:
    """Names of terms, those in a row as one: ``p0 to p15``."""
    runs: list[list[str]] = []
    for name in names:
        last = runs[-1][-1] if runs else ""
        follows = name[1:].isdecimal() and last[1:].isdecimal() and name[:1] == last[:1]
        if follows and int(name[1:]) == int(last[1:]) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    return [name for run in runs for name in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else run)]


def _drawn(one: SumStep, everything: bool) -> list[str]:
    """One sum: to what its terms are aligned, the picture, the sum and its rounding."""
    lines = ["", f"Sum s{one.number}: {_names_text(one)}"]
    if not one.total.is_finite:
        return [*lines, *wrapped(_special_text(one), indent=2)]
    if all(line.cut.value.is_zero for line in one.lines):
        return [*lines, f"  Every term is zero, and so is the sum: {value_text(one.result)}."]
    lines += [*wrapped(_window_text(one), indent=2), ""]
    named = [line for line in one.lines if line.name != NOTHING]
    shown = [line for line in named if everything or not line.cut.value.is_zero]
    hidden = 0 if everything else max(len(shown) - _TERMS, 0)
    if hidden:
        shown = _telling_terms(one, shown)
    zeros = len(named) - len(shown) - hidden
    lines += ["  " + line for line in _picture_lines(one, shown)]
    if hidden:
        lines.append(f"  {_count(hidden, 'more term')} in the sum and not drawn; --all draws all")
    if zeros and shown:
        lines.append(f"  {_count(zeros, 'term')} {'is' if zeros == 1 else 'are'} zero")
    return [*lines, "", *wrapped(_total_text(one), indent=2)]


def _telling_terms(one: SumStep, lines: Sequence[TermLine]) -> list[TermLine]:
    """Some of many terms: what is carried in, one that sets e, those that lose most, and the first ones."""

    def rank(line: TermLine) -> tuple[bool, bool, Fraction]:
        top = next(each for each in lines if each.cut.exponent == one.exponent) if aligned else None
        return line is not one.carried, line is not top, -abs(line.cut.lost.fraction())

    aligned = any(line.cut.exponent == one.exponent for line in lines)
    kept = sorted(lines, key=rank)[:_TERMS]
    return [line for line in lines if any(line is each for each in kept)]


def _special_text(one: SumStep) -> str:
    """Why a sum is NaN or Inf."""
    odd = [f"{line.name} = {line.cut.value}" for line in one.lines if not line.cut.value.is_finite]
    words = f"{_and(odd)}, so the sum is {one.total}."
    return (
        words
        if any("NaN" in each for each in odd) or not one.total.is_nan
        else (words[:-1] + ": Inf - Inf is NaN.")
    )


def _window_text(one: SumStep) -> str:
    """The quantum, and where it comes from."""
    step = one.step
    if step.quantum is not None:
        return (
            f"Every term is rounded to a multiple of 2^{step.quantum}, {step.align.name}: a "
            f"fixed-point register."
        )
    if one.quantum is None or one.exponent is None:
        return "Nothing is cut: the terms are added exactly."
    tops = [line.name for line in one.lines if line.cut.exponent == one.exponent]
    cause = f"the largest exponent, of {_and(_ranges(tops)[:3])}" if tops else "the floor"
    words = (
        f"e = {one.exponent}, {cause}. Terms are cut to multiples of "
        f"2^(e - {step.fraction_bits}) = 2^{one.quantum}, {step.align.name}."
    )
    if step.carried_bits is not None:
        words += f" What is carried in is cut to 2^(e - {step.carried_bits})."
    return words


def _picture_lines(one: SumStep, shown: Sequence[TermLine]) -> list[str]:
    """Each term's bits against the quantum; what is right of the bar is lost."""
    heads = ("value", "keeps", "loses") if one.step.cuts else ("value",)
    rows = [
        Row(line.name, line.cut.value, line.quantum, _fate(line)[: len(heads)]) for line in shown
    ]
    total = "" if one.step.cuts else value_text(one.total)
    cells = (total, value_text(one.total), _cut_off_text(one))[: len(heads)]
    foot = [Row("sum", one.total, one.quantum, cells, bar=False)]
    if one.step.out and one.result.is_finite and _number(one.result) != _number(one.total):
        foot.append(Row(f"s{one.number}", one.result, None, (value_text(one.result),), bar=False))
    window = None
    if one.quantum is not None and one.exponent is not None:
        window = (one.exponent, one.quantum)
    return picture(rows, foot, window, heads)


def _fate(line: TermLine) -> tuple[str, str, str]:
    """What a term is, what the sum takes of it, and the rest."""
    cut = line.cut
    lost = value_text(cut.lost) if cut.lost.significand else "-"
    return value_text(cut.value), value_text(cut.kept), lost


def _cut_off_text(one: SumStep) -> str:
    cut = one.cut_off
    return number_text(cut) if cut else "-"


def _total_text(one: SumStep) -> str:
    """``s1 = -200704: rounded to E8M13 TOWARD_ZERO, which loses nothing``."""
    name = f"s{one.number} = {value_text(one.result)}"
    if not one.step.out:
        return f"{name}: the sum is handed on without rounding."
    words = ", then ".join(_spelled(rounding) for rounding in one.step.out)
    lost = one.rounded_off
    loss = f", which loses {number_text(lost) if lost else 'nothing'}" if lost is not None else ""
    return f"{name}: the sum rounded to {words}{loss}."


def _spelled(rounding: Round) -> str:
    """A rounding with its name, also where it is TIES_TO_EVEN."""
    words, name = round_text(rounding), rounding.format.name
    if rounding.rounding is Rounding.TIES_TO_EVEN:
        words = f"{name} TIES_TO_EVEN{words.removeprefix(name)}"
    return words


def _result_rows(found: DotExplanation) -> list[tuple[str, str]]:
    """Bits and value, and how far that is from the exact result."""
    out, own, exact = found.out, found.product, found.exact
    rows = [("value", _with_decimal(own.value))]
    bits = _bits_text(own, found)
    rows.append(("bits", f"{bits}    {status_text(own.status)}"))
    rows.append(
        ("exact", f"{_with_decimal(exact.value)}; {code_text(exact.bits, out)} in {out.name}")
    )
    rows.append(("off by", _off_text(own, exact, found.distance, out)))
    return rows


def _bits_text(own: Product, found: DotExplanation) -> str:
    """``0x53800000 in binary32``, and the value if the last rounding changed it."""
    fmt = found.out
    bits, taken = f"{code_text(own.bits, fmt)} in {fmt.name}", decode(own.bits, fmt)
    if own.value.is_finite and (not taken.is_finite or _number(taken) != _number(own.value)):
        bits += f", rounded {found.accumulation.rounding.name} to {value_text(taken)}"
    return bits


def _with_decimal(value: Value) -> str:
    """The exact text, and for one such as ``16777215*2^-18`` about how much that is."""
    words = value_text(value)
    return f"{words} ({decimal_text(value.fraction(), 9)})" if "2^" in words else words


def _off_text(own: Product, exact: Product, ulps: int | None, out: FloatFormat) -> str:
    """``-0.5, 32 values of binary32 below the exact result``."""
    if own.bits == exact.bits:
        return "nothing: the same bits as the exact result"
    if ulps is None or not own.value.is_finite or not exact.value.is_finite:
        return "no number of ulps: one of them is not finite"
    difference = signed_text(own.value.fraction() - exact.value.fraction())
    if not ulps:
        return f"{difference}, before the result is rounded to {out.name}"
    side = "above" if ulps > 0 else "below"
    return f"{difference}; {_count(abs(ulps), 'ulp')} of {out.name} {side} the exact result"


def _other_lines(found: DotExplanation) -> list[str]:
    """One line for each accumulation, its own first; of many, a paragraph for each result."""
    own = DotOutcome(found.accumulation, found.product, found.distance)
    others = [one for one in found.others if one.accumulation.name != own.accumulation.name]
    done = [(one, one.product) for one in (own, *others) if one.product is not None]
    refused = [one for one in others if one.product is None]
    lines = [
        line
        for one in refused
        for line in [f"  {one.accumulation.name}", *wrapped(f"refused: {one.reason}", indent=6)]
    ]
    if len(done) > _LINES:
        return _grouped(done, found.out) + lines
    rows = [("", "bits", "value", "ulps from exact")]
    for one, product in done:
        bits = code_text(product.bits, found.out)
        rows.append((one.accumulation.name, bits, value_text(product.value), _ulps_text(one)))
    return [*("  " + line for line in columns(rows, right=(2, 3))), *lines]


def _grouped(done: Sequence[tuple[DotOutcome, Product]], out: FloatFormat) -> list[str]:
    """A paragraph for each result."""
    groups: dict[str, list[str]] = {}
    for one, product in done:
        value = "NaN" if product.value.is_nan else value_text(decode(product.bits, out))
        ulps = (
            f", {_ulps_text(one)} ulps"
            if one.distance
            else ", as exact"
            if one.distance == 0
            else ""
        )
        words = f"{code_text(product.bits, out)} = {value}{ulps}"
        groups.setdefault(words, []).append(one.accumulation.name)
    return [
        line
        for words, names in groups.items()
        for line in ["  " + words, *wrapped(", ".join(names), indent=6)]
    ]


def _ulps_text(one: DotOutcome) -> str:
    return "-" if one.distance is None else f"{one.distance:+d}" if one.distance else "0"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
