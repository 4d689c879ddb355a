"""``mxemu explain dot``: one dot product under an accumulation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import click

from mxemu.accumulation import TF32, Accumulation
from mxemu.accumulations import ACCUMULATIONS
from mxemu.cli.options import output_format_option, read_accumulation, read_carrier
from mxemu.cli.text import given_text, point_text
from mxemu.errors import BadShape, BadValue, UnknownName
from mxemu.explain import convert, read_code, read_number
from mxemu.explain.dots import explain_dot, to_mapping
from mxemu.formats import BINARY32, CARRIERS, E8M0, BlockFormat, ElementFormat, FloatFormat
from mxemu.products import Operand, find_operand_format
from mxemu.profile import OCP, Overflow, Profile
from mxemu.scalar import decode
from mxemu.value import Value

# The block size of the concrete MX formats.
_MX_K = 32
# The options of which each operand has one.
_OF_AN_OPERAND = ("list_", "scale_", "tensor_scale_")


@click.command(context_settings={"ignore_unknown_options": False, "help_option_names": ["--help"]})
@click.argument("formats", metavar="FORMAT[,FORMAT]")
@click.option("--a", "list_a", metavar="LIST", required=True, help="Elements: 1,-2,0x7E,'#3'.")
@click.option("--b", "list_b", metavar="LIST", required=True, help="As many elements again.")
@click.option("--c", metavar="C", help="Added as the accumulation says.  [default: none]")
@click.option(
    "--accumulation",
    metavar="NAME",
    default="exact",
    show_default=True,
    help="A preset, kulisch(width, lsb), or a TOML file.",
)
@click.option("--scale-a", metavar="LIST", help="One scale for all blocks of a, or one for each.")
@click.option("--scale-b", metavar="LIST", help="The same for b.")
@click.option("--tensor-scale-a", metavar="X", help="A scale above all blocks of a, in binary32.")
@click.option("--tensor-scale-b", metavar="X", help="The same for b.")
@click.option(
    "--k",
    type=click.IntRange(min=1),
    help="Block size of an element format with scales.  [default: 32]",
)
@click.option("--out", metavar="NAME", default="binary32", show_default=True, help="Of the result.")
@click.option("--compare", metavar="NAMES", help="Other accumulations, or 'all' presets.")
@click.option("--all", "everything", is_flag=True, help="Leave nothing out.")
@output_format_option("text", "json")
def dot(formats: str, **options: Any) -> None:
    """Add up a dot product sum by sum, and show which bits each term loses on the way.

    Elements are codes (0x38, 0b0_0111_000, '#56') or values, rounded to the format by TIES_TO_EVEN. Two formats are
    those of a and b. Scales make blocks, which are filled up with zeros.

    \b
    mxemu explain dot E4M3 --a 1,2,448 --b 0.5,1,-448 --c 3 --accumulation nv-hopper-fp8-wgmma
    mxemu explain dot MXFP4,MXFP8_E4M3 --a 6,-1 --b 3,448 --scale-a 2^-3 --compare all
    mxemu explain dot bfloat16 --a 1,0x3F81 --b 3,1 --accumulation mine.toml
    """
    out = read_carrier(options["out"]) or BINARY32
    a, b, c, notes = read_operands(formats, options, out)
    others = [] if options["compare"] is None else read_accumulations(options["compare"])
    found = explain_dot(a, b, c, read_accumulation(options["accumulation"]), out, others)
    if options["output_format"] == "json":
        click.echo(json.dumps({**to_mapping(found), "notes": notes}, indent=1))
        return
    from mxemu.cli.render_dot import render_dot

    click.echo(render_dot(found, notes, everything=options["everything"]))


def read_operands(
    formats: str, options: dict[str, Any], out: FloatFormat
) -> tuple[Operand, Operand, Value | None, list[str]]:
    """Operands and C from a command's options, and what was not taken as given."""
    names = [name.strip() for name in formats.split(",")]
    if len(names) > 2:
        raise click.UsageError(f"{len(names)} formats; expected one, or one for each of a and b")
    reader = _Reader(options.get("k"))
    a, b = (
        reader.operand(name, fmt, *(options.get(f"{word}{name}") for word in _OF_AN_OPERAND))
        for name, fmt in (("a", names[0]), ("b", names[-1]))
    )
    a, b = reader.padded(a, b)
    c = None if options["c"] is None else reader.c(options["c"], out)
    return a, b, c, reader.notes


def read_accumulations(text: str) -> list[Accumulation]:
    """Accumulations between commas, or all presets."""
    if text.strip().lower() == "all":
        return list(ACCUMULATIONS.values())
    # kulisch(64, -32) holds a comma itself.
    names, depth = [""], 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        if sign == "," and not depth:
            names.append("")
        else:
            names[-1] += sign
    return [read_accumulation(name) for name in names]


class _Reader:
    """Reads the operands of one command; what was not taken as given goes to the notes."""

    def __init__(self, k: int | None) -> None:
        self.k = k
        self.notes: list[str] = []

    def operand(
        self, name: str, fmt_text: str, text: str | None, scales: str | None, tensor: str | None
    ) -> Operand:
        fmt = self._format(fmt_text, scales)
        element = fmt.element if isinstance(fmt, BlockFormat) else fmt
        codes = [
            self._element(f"{name}{at}", one, element) for at, one in enumerate(_list(text or ""))
        ]
        own: list[int] = []
        if isinstance(fmt, BlockFormat):
            own = [self._scale(name, one, fmt.scale) for one in _list(scales or "1")]
        return Operand(codes, fmt, own, None if tensor is None else self._tensor(name, tensor))

    def _format(self, text: str, scales: str | None) -> BlockFormat | ElementFormat:
        """The format of an operand; an element format with scales is a block format of E8M0 scales."""
        try:
            fmt = find_operand_format(text)
        except UnknownName as problem:
            problem.hint = problem.hint or "mxemu list formats"
            raise
        if isinstance(fmt, BlockFormat):
            if self.k is not None and self.k != fmt.k:
                raise BadShape(f"--k {self.k}; {fmt} has k = {fmt.k}")
            return fmt
        if scales is None:
            return fmt
        return BlockFormat(f"{fmt}/E8M0/{self.k or _MX_K}", fmt, E8M0, self.k or _MX_K)

    def _element(self, name: str, text: str, fmt: ElementFormat) -> int:
        """The code of one element; a number that is no value of the format is rounded and noted."""
        code = read_code(text)
        if code is not None:
            decode(code, fmt)  # refuses a code that is too wide
            return code
        number = read_number(text)
        found = convert(number.value, fmt, _profile(number.value, fmt))
        value = decode(found.code, fmt)
        if _differs(number.exact, value, number.value):
            taken = point_text(found.code, value, fmt)
            self.notes.append(f"{name} = {given_text(text, 24)} is taken as {fmt} {taken}")
        return found.code

    def _scale(self, name: str, text: str, fmt: FloatFormat) -> int:
        """The code of a scale, which has to be one of the format."""
        code = read_code(text)
        if code is not None:
            decode(code, fmt)
            return code
        number = read_number(text)
        found = convert(number.value, fmt).code
        if _differs(number.exact, decode(found, fmt), number.value):
            raise BadValue(
                f"scale {text} of {name} is no {fmt} value; the closest is "
                f"{point_text(found, decode(found, fmt), fmt)}",
                f"a code is written 0x.., 0b.. or '#{text}'" if text.isdecimal() else "",
            )
        return found

    def _tensor(self, name: str, text: str) -> Value:
        number = read_number(text, BINARY32)
        if number.given != number.exact:
            self.notes.append(f"tensor scale {text} of {name} is taken as binary32 {number.value}")
        return number.value

    def c(self, text: str, out: FloatFormat) -> Value:
        """C, as a code of the output's format or a number rounded to it."""
        code = read_code(text)
        if code is not None:
            return decode(code, out)
        number = read_number(text, out)
        if number.given != number.exact:
            self.notes.append(f"C = {given_text(text, 24)} is taken as {out} {number.value}")
        return number.value

    def padded(self, a: Operand, b: Operand) -> tuple[Operand, Operand]:
        """Blocks filled up with zeros, and one scale for each block."""
        sizes = [one.format.k for one in (a, b) if isinstance(one.format, BlockFormat)]
        if not sizes or len(a.codes) != len(b.codes):
            return a, b
        missing = -len(a.codes) % sizes[0]
        if missing:
            word = "zero" if missing == 1 else "zeros"
            self.notes.append(f"{len(a.codes)} pairs given, filled up with {missing} {word}")
        first, second = (_filled(one, name, missing) for one, name in ((a, "a"), (b, "b")))
        return first, second


def _profile(value: Value, fmt: ElementFormat) -> Profile:
    """Inf stays Inf where there is one; the formats of IEEE 754 overflow as it says."""
    if not isinstance(fmt, FloatFormat) or not fmt.has_inf:
        return OCP
    stays = value.is_inf or fmt in (*CARRIERS.values(), TF32)
    return OCP.replace(overflow=Overflow.OVERFLOW) if stays else OCP


def _filled(operand: Operand, name: str, missing: int) -> Operand:
    codes = (*operand.codes, *[0] * missing)
    if not isinstance(operand.format, BlockFormat):
        return operand._replace(codes=codes)
    count, scales = len(codes) // operand.format.k, operand.scales
    if len(scales) == 1:
        scales = [*scales] * count
    if len(scales) != count:
        raise BadShape(
            f"{len(scales)} scales of {name}; expected one, or one for each of {count} blocks"
        )
    return operand._replace(codes=codes, scales=tuple(scales))


def _differs(exact: Fraction | None, taken: Value, given: Value) -> bool:
    """Whether a number was not taken as it was given."""
    if exact is None:
        return taken.kind is not given.kind
    return not taken.is_finite or taken.fraction() != exact


def _list(text: str) -> Sequence[str]:
    """What stands between commas or blanks."""
    found = text.replace(",", " ").split()
    if not found:
        raise BadValue(f"{text!r} holds no number; expected a list such as 1,-2,0x38")
    return found
