"""``mxemu explain``: one code, one value, one block, or one dot product."""

from __future__ import annotations

from collections.abc import Iterable

import click

from mxemu.cli.options import (
    profile_option,
    read_block_format,
    read_carrier,
    read_format,
    read_profile,
)
from mxemu.errors import BadFormat
from mxemu.explain import explain_block, explain_code, explain_value, read_code
from mxemu.formats import BlockFormat

# A word at the place of a format that means something else.
_TOKEN = "mxr1:"  # noqa: S105 - the start of a replay token

_UNKNOWN_AS_ARGUMENTS = {"ignore_unknown_options": True, "help_option_names": ["--help"]}


class ExplainGroup(click.Group):
    """``quantize`` and ``dot`` are commands of their own; anything else is a format."""

    def resolve_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - the signature is click's
        args: list[str],
    ) -> tuple[str | None, click.Command | None, list[str]]:
        words = [word.lower() for word in args]
        if "quantize" in words:
            place = words.index("quantize")
            return "quantize", quantize, args[:place] + args[place + 1 :]
        if words[:1] == ["dot"]:
            from mxemu.cli.explain_dot import dot

            return "dot", dot, args[1:]
        if words[:1] and words[0].startswith(_TOKEN):
            from mxemu.cli.replay import replay

            return "replay", replay, args
        return "", one, args

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "FORMAT CODE-or-VALUE [OPTIONS]")
        formatter.write_usage(ctx.command_path, "quantize BLOCKFORMAT V1 [V2 ...] [OPTIONS]")
        formatter.write_usage(ctx.command_path, "dot FORMAT[,FORMAT] --a LIST --b LIST [OPTIONS]")
        formatter.write_usage(ctx.command_path, "mxr1:TOKEN [TARGET]")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        click.Command.format_options(one, ctx, formatter)


class ExplainOne(click.Command):
    """A code or a value: what `explain` does without a further word, and explained by its help."""

    def get_help(self, ctx: click.Context) -> str:
        return ctx.parent.get_help() if ctx.parent else super().get_help(ctx)


@click.group(cls=ExplainGroup, invoke_without_command=True, context_settings=_UNKNOWN_AS_ARGUMENTS)
@click.pass_context
def explain(ctx: click.Context) -> None:
    """Derive what a code means, how a value becomes a code, how a block is quantized, or a dot product added up.

    A code is 0x5D, 0b0_1011_101 or '#93'. Anything else is a value, taken exactly: 0.1, -1e-3, 7/512, 0x1.8p3, 2^-9,
    inf, nan.

    \b
    mxemu explain E4M3 0x5D
    mxemu explain E4M3 0.3
    mxemu explain E8M0 0x00
    mxemu explain binary32 0.1
    mxemu explain quantize MXFP8_E4M3 957 902.4 --profile rceil
    mxemu explain dot E4M3 --a 1,2,448 --b 0.5,1,-448 --accumulation nv-hopper-fp8-wgmma
    """
    if ctx.invoked_subcommand is None:
        raise click.UsageError("expected a format and one code or value")


@click.command(cls=ExplainOne, context_settings=_UNKNOWN_AS_ARGUMENTS)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@profile_option
@click.option("--carrier", metavar="NAME", help="Round a value to binary64, binary32, ... first.")
def one(words: tuple[str, ...], profile_text: str, carrier: str | None) -> None:
    """Explain a code or a value."""
    _refuse_options(words)
    if len(words) != 2:
        expected = "expected a format and one code or value"
        found = f", found {len(words)} word{'' if len(words) == 1 else 's'}" if words else ""
        raise click.UsageError(expected + found)
    fmt = read_format(words[0])
    if isinstance(fmt, BlockFormat):
        raise BadFormat(
            f"{fmt} is a block format; codes and values belong to its elements, {fmt.element}, or scales, {fmt.scale}",
            f"mxemu explain {fmt.element} {words[1]}",
        )
    code, profile = read_code(words[1]), read_profile(profile_text)
    if code is not None and carrier is not None:
        raise click.UsageError(f"--carrier rounds a value first; {words[1]} is a code")
    if code is not None:
        from mxemu.cli.render_code import render_code

        click.echo(render_code(explain_code(code, fmt, profile)))
    else:
        from mxemu.cli.render_value import render_value

        click.echo(render_value(explain_value(words[1], fmt, profile, read_carrier(carrier))))


@click.command(context_settings=_UNKNOWN_AS_ARGUMENTS)
@click.argument("block_format")
@click.argument("values", nargs=-1, required=True, type=click.UNPROCESSED)
@profile_option
@click.option(
    "--elem",
    metavar="I",
    type=int,
    default=0,
    show_default=True,
    help="The element to show in detail.",
)
@click.option(
    "--carrier", metavar="NAME", help="Round every value to binary64, binary32, ... first."
)
def quantize(
    block_format: str, values: tuple[str, ...], profile_text: str, elem: int, carrier: str | None
) -> None:
    """Quantize one block step by step, and show what other profiles make of it.

    Fewer than k values are filled up with zeros. They are taken exactly unless a carrier is named.

    \b
    mxemu explain quantize MXFP8_E4M3 957 902.4 291.7882 -124.8256
    mxemu explain quantize MXFP4 7 -1 0.3 --profile rceil --elem 2
    """
    _refuse_options(values)
    from mxemu.cli.render_block import render_block

    fmt, profile = read_block_format(block_format), read_profile(profile_text)
    click.echo(render_block(explain_block(values, fmt, profile, elem, read_carrier(carrier))))


def _refuse_options(words: Iterable[str]) -> None:
    """Values may start with a minus sign, so click passes unknown options on; here they are refused."""
    for word in words:
        if word.startswith("--"):
            raise click.NoSuchOption(word.partition("=")[0], ctx=click.get_current_context())
