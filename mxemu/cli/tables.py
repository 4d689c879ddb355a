"""Tables about formats: made as rows of text, written as text, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from mxemu.block import value_bits
from mxemu.cli.phrases import class_text, profile_text
from mxemu.cli.text import columns, dyadic_text, interval_text, number_text, value_text
from mxemu.errors import BadFormat
from mxemu.explain import CodeExplanation, code_text, explain_code
from mxemu.formats import MX_ELEMENTS, BlockFormat, ElementFormat, FloatFormat, IntFormat
from mxemu.profile import Profile
from mxemu.runs import runs
from mxemu.scalar import decode
from mxemu.scale import smallest_code
from mxemu.value import Value


class Table(NamedTuple):
    """Rows with their heading.

    Attributes
    ----------
    about : dict
        What the table is of; the head of the JSON object.
    title, footer : str
        Lines of the text form only.
    header : tuple of str
        Of the text form.
    keys : tuple of str
        The same for programs.
    rows : sequence of tuple of str
    right : tuple of int
        Columns that are aligned to the right in text.
    """

    about: dict[str, str]
    title: str
    footer: str
    header: tuple[str, ...]
    keys: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    right: tuple[int, ...] = ()


def written(table: Table, output_format: str) -> str:
    """A table as ``text``, ``json`` or ``csv``."""
    match output_format:
        case "json":
            objects = [
                dict(zip(table.keys, map(str.strip, row), strict=True)) for row in table.rows
            ]
            return json.dumps({**table.about, "rows": objects}, indent=1)
        case "csv":
            lines = io.StringIO()
            rows = [list(map(str.strip, row)) for row in table.rows]
            csv.writer(lines, lineterminator="\n").writerows([table.keys, *rows])
            return lines.getvalue().rstrip("\n")
        case _:
            body = columns([table.header, *table.rows], table.right)
            return "\n".join(
                [table.title, "", *body, *(["", table.footer] if table.footer else [])]
            )


def codes(fmt: ElementFormat, profile: Profile) -> Table:
    """Every code: bits, value, class, and the reals that round to it."""
    found = [explain_code(code, fmt, profile) for code in range(1 << fmt.width)]
    power = isinstance(fmt, FloatFormat) and not fmt.subnormals
    fourth = "binary32" if power else "class"
    return Table(
        {"table": "codes", "format": fmt.name, "profile": str(profile)},
        f"{fmt.name} under profile {profile_text(found[0].profile, fmt)}",
        _counted(fmt),
        ("code", "bits", "value", fourth, "reals that round here"),
        ("code", "bits", "value", fourth, "reals"),
        [_code_row(each, power) for each in found],
        right=(2,),
    )


def _code_row(found: CodeExplanation, power: bool) -> tuple[str, ...]:
    quantum = found.value.exponent - 1
    reals = ", ".join(interval_text(interval, quantum) for interval in found.intervals)
    fourth = f"0x{value_bits(found.value):08X}" if power else class_text(found)
    value = value_text(found.value, quantum)
    return code_text(found.code, found.format), found.fields, value, fourth, reals or "-"


def _counted(fmt: ElementFormat) -> str:
    """``16 codes, 15 distinct values, no Inf, no NaN``."""
    counts = fmt.counts
    specials = [f"{counts[key] or 'no'} {name}" for key, name in (("inf", "Inf"), ("nan", "NaN"))]
    return f"{counts['codes']} codes, {counts['distinct']} distinct values, {', '.join(specials)}"


def encoder(fmt: ElementFormat, carrier: FloatFormat, profile: Profile) -> Table:
    """The runs table: which input bits become which code."""
    if isinstance(fmt, FloatFormat) and not fmt.subnormals:
        raise BadFormat(
            f"{fmt} has no zero; no clause defines a conversion to it", f"mxemu table {fmt}"
        )
    found = runs(fmt, carrier, profile)
    digits = carrier.width // 4
    rows = []
    for place, (first, code) in enumerate(found.rows):
        ends = (f"0x{first:0{digits}X}", f"0x{found.last(place):0{digits}X}")
        remark = "NaN inputs" if decode(first, carrier).is_nan else ""
        rows.append((*ends, code_text(code, fmt), value_text(decode(code, fmt)), remark))
    return Table(
        {"table": "runs", "format": fmt.name, "carrier": carrier.name, "profile": str(profile)},
        f"{fmt.name} from {carrier.name} under profile {profile_text(profile, fmt)}",
        f"{len(rows)} rows cover all 2^{carrier.width} inputs: each from first to last becomes the code.",
        ("first", "last", "code", "value", ""),
        ("first", "last", "code", "value", "remark"),
        rows,
        right=(3,),
    )


def grid(fmt: ElementFormat) -> Table:
    """The non-negative values: a row for each exponent, a column for each mantissa."""
    low_bits = _column_bits(fmt)
    top = fmt.max_code + 1 if isinstance(fmt, IntFormat) else fmt.magnitude_mask + 1
    floats = fmt if isinstance(fmt, FloatFormat) and fmt.mantissa_bits else None
    header = ("code", *(["binade"] if floats else []), *_column_names(low_bits))
    rows = []
    for first in range(0, top, 1 << low_bits):
        cells = [_cell(code, fmt) for code in range(first, first + (1 << low_bits))]
        rows.append((code_text(first, fmt), *([_binade(first, floats)] if floats else []), *cells))
    return Table(
        {"table": "grid", "format": fmt.name},
        f"{fmt.name}: a code is the sum of the first column and the binary number above",
        _mirror(fmt),
        header,
        header,
        rows,
        right=tuple(range(2 if floats else 1, len(header))),
    )


def _column_names(low_bits: int) -> list[str]:
    return [f"{column:0{low_bits}b}" if low_bits else "value" for column in range(1 << low_bits)]


def _column_bits(fmt: ElementFormat) -> int:
    """How many low bits of the code the columns are: the mantissa, or three where there is none."""
    if isinstance(fmt, IntFormat):
        return min(3, fmt.width - 2)
    if fmt.mantissa_bits > 4:
        raise BadFormat(
            f"{fmt} has {1 << fmt.mantissa_bits} mantissas; --grid is for formats with up to 16",
            f"mxemu table {fmt} --stats",
        )
    return fmt.mantissa_bits or min(3, fmt.exponent_bits - 1)


def _binade(first: int, fmt: FloatFormat) -> str:
    field = first >> fmt.mantissa_bits
    return f"2^{field - fmt.bias}" if field or not fmt.subnormals else "subnormal"


def _cell(code: int, fmt: ElementFormat) -> str:
    value = decode(code, fmt)
    if not value.is_finite or value.is_zero:
        return str(value)
    plain = isinstance(fmt, IntFormat) or (fmt.mantissa_bits > 0 and value.exponent >= -5)
    return number_text(value.fraction()) if plain else dyadic_text(value.fraction())


def _mirror(fmt: ElementFormat) -> str:
    if isinstance(fmt, IntFormat):
        return f"Negative values are the two's complement codes, down to {code_text(fmt.min_code, fmt)}."
    if not fmt.signed:
        return "There is no sign."
    bit = code_text(fmt.sign_mask, fmt)
    if fmt.negative_zero:
        return f"With the sign bit {bit} the same values are negative."
    return f"With the sign bit {bit} the same values are negative; {bit} itself is the only NaN."


def stats(fmt: ElementFormat | BlockFormat) -> Table:
    """The derived numbers of one format."""
    numbers = _block_numbers(fmt) if isinstance(fmt, BlockFormat) else _numbers(fmt)
    head = ("quantity", "value")
    return Table(
        {"table": "stats", "format": fmt.name}, fmt.name, "", head, head, list(numbers.items())
    )


def comparison() -> Table:
    """The derived numbers of all MX elements, side by side."""
    numbers = [_numbers(fmt) for fmt in MX_ELEMENTS]
    counted = {"Inf": "inf", "NaN": "nan"}
    names = [
        name for name in _ORDER if name != "defined by" and any(name in each for each in numbers)
    ]
    rows = []
    for name in names:
        if name in counted:
            cells = [str(fmt.counts[counted[name]] or "none") for fmt in MX_ELEMENTS]
        else:
            cells = [each.get(name, "-").replace(" = ", " ") for each in numbers]
        rows.append((name, *cells))
    head = ("quantity", *(fmt.name for fmt in MX_ELEMENTS))
    return Table(
        {"table": "comparison"}, "The element formats of OCP MX v1.0", "", head, head, rows
    )


# The derived numbers in the order of printing.
_ORDER = (
    "bits",
    "sign/exp/mant",
    "bias",
    "implied scale",
    "emin",
    "emax",
    "max",
    "min, optional",
    "min normal",
    "max subnormal",
    "min positive",
    "binades",
    "-0",
    "Inf",
    "NaN",
    "codes",
    "finite",
    "zero",
    "subnormal",
    "normal",
    "distinct",
    "defined by",
)


def _numbers(fmt: ElementFormat) -> dict[str, str]:
    """Every derived number of an element, scale or carrier format, as exact text."""
    counts = {
        name: _count_text(count) for name, count in fmt.counts.items() if name not in ("inf", "nan")
    }
    own = _int_numbers(fmt) if isinstance(fmt, IntFormat) else _float_numbers(fmt)
    numbers = {**own, **counts, "bits": str(fmt.width), "defined by": fmt.origin}
    return {name: numbers[name] for name in _ORDER if name in numbers}


def _count_text(count: int) -> str:
    """A count; one near a power of two is written by it when its digits are many."""
    power = (count - 1).bit_length()
    rest = (1 << power) - count
    if count < 10**6 or rest.bit_count() > 2:
        return str(count)
    places = [place for place in reversed(range(power)) if rest >> place & 1]
    return f"2^{power}" + "".join(
        f" - {1 << place if place < 10 else f'2^{place}'}" for place in places
    )


def _float_numbers(fmt: FloatFormat) -> dict[str, str]:
    numbers = {
        "sign/exp/mant": f"{int(fmt.signed)}/{fmt.exponent_bits}/{fmt.mantissa_bits}",
        "bias": str(fmt.bias),
        "emin": str(fmt.emin),
        "emax": str(fmt.emax),
        "max": _at(fmt.max, fmt.max_code, fmt),
        "min positive": _at(fmt.min_positive, smallest_code(fmt), fmt),
        "binades": str(fmt.emax - fmt.min_positive.leading + 1),
        "-0": "none",
        "Inf": _code_ranges([] if fmt.inf is None else [fmt.inf], fmt),
        "NaN": _code_ranges(fmt.nans, fmt) if fmt.negative_zero else code_text(fmt.sign_mask, fmt),
    }
    if fmt.subnormals:
        numbers["min normal"] = _at(fmt.min_normal, 1 << fmt.mantissa_bits, fmt)
    if fmt.max_subnormal is not None:
        numbers["max subnormal"] = _at(fmt.max_subnormal, (1 << fmt.mantissa_bits) - 1, fmt)
    if fmt.subnormals and fmt.signed and fmt.negative_zero:
        numbers["-0"] = code_text(fmt.sign_mask, fmt)
    return numbers


def _int_numbers(fmt: IntFormat) -> dict[str, str]:
    return {
        "implied scale": f"2^-{fmt.fraction_bits}",
        "emax": str(fmt.emax),
        "max": _at(fmt.max, fmt.max_code, fmt),
        "min positive": _at(fmt.min_positive, 1, fmt),
        "min, optional": _at(decode(fmt.min_code, fmt), fmt.min_code, fmt),
        "-0": "none",
        "Inf": "none",
        "NaN": "none",
    }


def _at(value: Value, code: int, fmt: ElementFormat) -> str:
    short, dyadic = number_text(value.fraction()), dyadic_text(value.fraction())
    return f"{code_text(code, fmt)} = {short if len(short) <= len(dyadic) + 2 else dyadic}"


def _code_ranges(magnitudes: Sequence[int], fmt: FloatFormat) -> str:
    """``0x7D-0x7F, 0xFD-0xFF``: codes without their sign bit, then with it."""
    if not magnitudes:
        return "none"
    ranges = []
    for sign in (0, fmt.sign_mask) if fmt.signed else (0,):
        first, last = code_text(sign | magnitudes[0], fmt), code_text(sign | magnitudes[-1], fmt)
        ranges.append(first if first == last else f"{first}-{last}")
    return ", ".join(ranges)


def _block_numbers(fmt: BlockFormat) -> dict[str, str]:
    """The derived numbers of a block format."""
    bits, element, scale = fmt.bits_per_block, fmt.element, fmt.scale
    per_element = number_text(Fraction(bits, fmt.k))
    return {
        "element": f"{element}, {element.width} bits",
        "scale": f"{scale}, {scale.width} bits",
        "k": str(fmt.k),
        "bits per block": f"{bits} = {scale.width} + {fmt.k} * {element.width}",
        "bits per element": per_element,
        "bytes per block": number_text(Fraction(bits, 8)),
        "max": dyadic_text(element.max.fraction() * scale.max.fraction()),
        "min positive": dyadic_text(
            element.min_positive.fraction() * scale.min_positive.fraction()
        ),
        "concrete MX format": "yes" if fmt.is_concrete_mx else "no",
        "defined by": fmt.origin,
    }
