"""mxemu bound: where every conforming dot product lies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mxemu.cli.options import output_format_option, read_accumulation, read_carrier
from mxemu.errors import BadFile, MxemuError
from mxemu.formats import BINARY32, FloatFormat
from mxemu.value import Value, decimal_text, from_fraction

if TYPE_CHECKING:
    from fractions import Fraction

    from conformance.bound import Freedom, Interval

_EPILOG = """\b
What is free, in all cases with the terms in any order:
  any tree of additions in binary32, each rounded (default), or in the format of --accumulator
  --truncate F    groups of --group terms, aligned to the largest exponent and cut to F fraction bits
  --accumulation  the arithmetic of a preset or TOML file; several give the interval around all of them
  --only          with --accumulation: the order is not free, so the ends are results of the presets

\b
Exit: 0 every result lies inside   1 one does not   2 wrong use
"""


@click.command(epilog=_EPILOG, context_settings={"ignore_unknown_options": False})
@click.argument("formats", metavar="FORMAT[,FORMAT]")
@click.option("--a", "list_a", metavar="LIST", help="Elements: 1,-2,0x7E,'#3'.")
@click.option("--b", "list_b", metavar="LIST", help="As many elements again.")
@click.option("--c", metavar="C", help="What is added.")
@click.option("--scale-a", metavar="LIST", help="One scale for all blocks of a, or one for each.")
@click.option("--scale-b", metavar="LIST", help="The same for b.")
@click.option("--result", metavar="X", help="A result: does it lie inside?")
@click.option(
    "--inputs",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="In place of lists: .npz with numbers a (m, K) and b (n, K), which are quantized.",
)
@click.option(
    "--actual",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --inputs: the (m, n) results, .npy.",
)
@click.option("--accumulator", metavar="FORMAT", help="Of every sum.  [default: binary32]")
@click.option(
    "--truncate", type=click.IntRange(min=0), metavar="F", help="Sums are aligned and cut."
)
@click.option("--floor", type=int, metavar="E", help="With --truncate: the least exponent.")
@click.option(
    "--group", type=click.IntRange(min=1), default=1, help="With --truncate: terms at once."
)
@click.option("--any-rounding", is_flag=True, help="Each rounding may go either way.")
@click.option("--accumulation", "names", multiple=True, metavar="NAME", help="May be repeated.")
@click.option("--only", is_flag=True, help="These accumulations as they are.")
@click.option("--out", metavar="NAME", default="binary32", show_default=True, help="Of the result.")
@output_format_option("text", "json")
@click.pass_context
def bound(context: click.Context, /, formats: str, **options: Any) -> None:
    """The interval that every dot product of stated freedom lies in, derived without rounding.

    \b
    mxemu bound E4M3 --a 448,1,-448 --b 1,0.5,1
    mxemu bound MXFP8 --a 448,1,-448 --b 1,0.5,1 --truncate 13 --accumulator E8M13 --result 0
    mxemu bound MXFP8,MXFP4 --inputs operands.npz --actual results.npy
    """
    lists = options["list_a"] is not None and options["list_b"] is not None
    if lists == (options["inputs"] is not None):
        raise MxemuError("expected --a and --b, or --inputs")
    out = read_carrier(options["out"]) or BINARY32
    run = _one if lists else _arrays
    context.exit(run(formats, out, options))


def _freedoms(options: dict[str, Any]) -> list[Freedom]:
    """What is asked for."""
    from conformance.bound import any_order, permuted, truncating
    from mxemu.profile import Rounding

    accumulator = options["accumulator"] or "binary32"
    if options["names"]:
        if options["truncate"] is not None or options["accumulator"]:
            raise MxemuError(
                "--accumulation says everything; expected no --truncate or --accumulator"
            )
        return [permuted(read_accumulation(name)) for name in options["names"]]
    if options["only"]:
        raise MxemuError("--only without --accumulation; expected the accumulations that are meant")
    if options["truncate"] is not None:
        return [truncating(options["truncate"], accumulator, options["floor"], options["group"])]
    rounding = Rounding.TO_ODD if options["any_rounding"] else Rounding.TIES_TO_EVEN
    return [any_order(accumulator, rounding)]


def _one(formats: str, out: FloatFormat, options: dict[str, Any]) -> int:
    """One result from lists."""
    from conformance.bound import bound as run
    from conformance.bound import hull
    from mxemu.cli.explain_dot import read_operands

    a, b, c, notes = read_operands(formats, options, out)
    if options["only"] and options["names"]:
        records = [read_accumulation(name) for name in options["names"]]
        found = hull(a, b, c, records, out)
        words = f"results of {', '.join(record.name for record in records)}"
    else:
        freedoms = _freedoms(options)
        found = _joined([run(a, b, c, freedom, out) for freedom in freedoms])
        words = "; ".join(freedom.name for freedom in freedoms)
    result = None if options["result"] is None else _result(options["result"], out)
    inside = result is None or found.holds(result)
    if options["output_format"] == "json":
        click.echo(json.dumps(_record(found, words, out, result, inside), indent=2))
    else:
        for line in [*notes, *_lines(found, words, out, result, inside)]:
            click.echo(line)
    return int(not inside)


def _joined(found: list[Interval]) -> Interval:
    """The smallest interval around all."""
    lows, highs = [one.lo for one in found], [one.hi for one in found]
    lo = None if None in lows else min(one for one in lows if one is not None)
    hi = None if None in highs else max(one for one in highs if one is not None)
    return found[0]._replace(lo=lo, hi=hi, nan=any(one.nan for one in found))


def _result(text: str, out: FloatFormat) -> Value:
    """A result as a code of the format, or a number."""
    from mxemu.explain import read_code
    from mxemu.scalar import decode
    from mxemu.value import parse

    code = read_code(text)
    return parse(text)[0] if code is None else decode(code, out)


def _lines(
    found: Interval, words: str, out: FloatFormat, result: Value | None, inside: bool
) -> list[str]:
    """For a terminal."""
    lines = [f"free: {words}", f"exact sum  {_value(found.total)}"]
    if not found.total.is_finite:
        lines.append("every result is NaN" if found.total.is_nan else "every result is this Inf")
    elif found.nan:
        lines.append("no bound: sums may leave the range, so anything may come out, NaN too")
    else:
        for name, end in (("lo", found.lo), ("hi", found.hi)):
            lines.append(f"{name:<9}  {_end(end, name, out)}")
    if result is not None:
        lines.append(f"result     {_value(result)} lies {'inside' if inside else 'OUTSIDE'}")
    return lines


def _end(end: Fraction | None, name: str, out: FloatFormat) -> str:
    """One end, as bits and in decimal."""
    from mxemu.block import value_bits

    if end is None:
        return "-Inf" if name == "lo" else "Inf"
    bits = value_bits(from_fraction(end), out)
    return f"0x{bits:0{-(-out.width // 4)}X} = {_number(end)}"


def _value(value: Value) -> str:
    return _number(value.fraction()) if value.is_finite else str(value)


def _number(number: Fraction) -> str:
    """Exact if that is short."""
    exact = str(from_fraction(number))
    return exact if len(exact) <= 16 else f"{decimal_text(number, 12)} ({exact})"


def _record(
    found: Interval, words: str, out: FloatFormat, result: Value | None, inside: bool
) -> dict[str, Any]:
    """For programs: ends are exact fractions."""
    return {
        "schema": "mxemu-bound-1",
        "free": words,
        "out": out.name,
        "exact": str(found.total),
        "lo": None if found.lo is None else str(found.lo),
        "hi": None if found.hi is None else str(found.hi),
        "nan": found.nan,
        "result": None if result is None else str(result),
        "inside": None if result is None else inside,
    }


def _arrays(formats: str, out: FloatFormat, options: dict[str, Any]) -> int:
    """Matrix products from files."""
    import mxemu
    from conformance.audit import read_arrays
    from conformance.bound import bounds, summary

    names = [name.strip() for name in formats.split(",")]
    given = read_arrays(options["inputs"])
    if not {"a", "b"} <= set(given):
        raise BadFile(f"{options['inputs']} holds {', '.join(given)}; expected a and b")
    a, b = (mxemu.quantize(given[name], fmt) for name, fmt in (("a", names[0]), ("b", names[-1])))
    freedoms = _freedoms(options)
    if len(freedoms) > 1 or options["only"]:
        raise MxemuError("several accumulations, or --only, with --inputs; expected one freedom")
    found = bounds(a, b, c=given.get("c"), freedom=freedoms[0], out=out, matrix=True)
    actual = None
    if options["actual"] is not None:
        actual = next(iter(read_arrays(options["actual"]).values()))
        if actual.shape != found.lo.shape:
            raise BadFile(f"{options['actual']}: shape {actual.shape}; expected {found.lo.shape}")
    record = {"free": freedoms[0].name, **summary(found, actual)}
    if options["output_format"] == "json":
        click.echo(json.dumps(record, indent=2))
    else:
        click.echo(f"free: {record['free']}")
        for name in [name for name in record if name != "free" and record[name] is not None]:
            click.echo(f"{name.replace('_', ' '):<16}  {record[name]}")
    return int(bool(record.get("outside")))
