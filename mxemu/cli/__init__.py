"""The command line. Every command lives in a module of its own, which is imported when the command is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

from mxemu._version import __version__
from mxemu.errors import MxemuError, unknown

# Command, where it is, and its line in the overview of `mxemu --help`.
_COMMANDS = {
    "check": (
        "mxemu.cli.check:check",
        "Check an implementation against the MX specification, bit for bit.",
    ),
    "probe": (
        "mxemu.cli.probe:probe",
        "Find out how somebody's dot product adds up, from its answers alone.",
    ),
    "audit": (
        "mxemu.cli.audit:audit",
        "Say which known bugs a test would not notice, by its tolerance or by its inputs.",
    ),
    "bound": (
        "mxemu.cli.bound:bound",
        "The interval that every dot product lies in when order and precision are free.",
    ),
    "rtl": (
        "mxemu.cli.rtl:rtl",
        "Vectors of an RTL design for a simulator elsewhere, and waveforms of a failure.",
    ),
    "vectors": (
        "mxemu.cli.vectors:vectors",
        "Golden vectors: made, listed, shown, streamed, exported to C and SystemVerilog, verified.",
    ),
    "explain": (
        "mxemu.cli.explain:explain",
        "Derive what a code means, how a value or a block is converted, how a dot product adds up.",
    ),
    "table": (
        "mxemu.cli.table:table",
        "Print every code of a format, its numbers, or its whole encoder.",
    ),
    "quantize": (
        "mxemu.cli.quantize:quantize",
        "Convert the numbers of a .npy file to blocks.",
    ),
    "dequantize": ("mxemu.cli.dequantize:dequantize", "Convert a file of blocks to numbers."),
    "compare": (
        "mxemu.cli.compare:compare",
        "Say what each block format loses on the numbers of a file.",
    ),
    "list": (
        "mxemu.cli.listing:listing",
        "List formats, profiles, accumulations, subjects, clauses, notes or scale rules.",
    ),
    "replay": (
        "mxemu.cli.replay:replay",
        "Show one case again from its token, and what an implementation makes of it.",
    ),
    "bisect": (
        "mxemu.cli.bisect:bisect",
        "Find the first step at which an implementation differs: decode, scale, product, ..., round.",
    ),
    "rule": ("mxemu.cli.rule:rule", "Say what a clause, a note or a scale rule is about."),
    "doctor": ("mxemu.cli.doctor:doctor", "Show versions, and what is missing."),
}

_OVERVIEW = f"""\
mxemu {__version__}: exact emulator of the OCP Microscaling (MX) formats, and checker of other implementations.

Try first:
  mxemu check ml_dtypes                   is the installed ml_dtypes right, bit for bit?
  mxemu explain E4M3 0x5D                 what a code means, and which reals round to it
  mxemu explain quantize MXFP4 7 -1 0.3   a block step by step, and what other profiles make of it
  mxemu table E2M1                        every code of a format
  mxemu list formats                      what there is: formats, profiles, accumulations, subjects, clauses, notes

Then:
  mxemu rule MX-6.3-SCALE                 what a clause asks for, and where it is implemented
  mxemu explain dot --help                a dot product sum by sum, and which bits a matrix unit loses
  mxemu compare --help                    what each block format loses on the numbers of a file
  mxemu quantize --help                   numbers in a file of any size to blocks; dequantize is the way back
  mxemu COMMAND --help                    everything else"""

# What the shell reports for a program whose reader went away: 128 + SIGPIPE.
_BROKEN_PIPE = 141


class LazyGroup(click.Group):
    """The commands, imported when used; errors are one line and a hint, and never a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            raise unknown("command", args[0], _COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])

    def main(self, *args: Any, **options: Any) -> Any:
        run: Callable[..., Any] = super().main
        if not options.pop("standalone_mode", True):
            return run(*args, standalone_mode=False, **options)
        try:
            code = run(*args, standalone_mode=False, **options)
            sys.stdout.flush()
        except MxemuError as problem:
            code = _report(str(problem), problem.hint)
        except click.ClickException as problem:
            code = _report(problem.format_message(), _usage_hint(problem))
        except click.Abort:
            code = _report("interrupted", "")
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Nobody reads any more. What is left in the buffers must not raise again when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_BROKEN_PIPE)


def _report(message: str, hint: str) -> int:
    """Print an error in one line, and a hint in another; the exit status of wrong use."""
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    return 2


def _usage_hint(problem: click.ClickException) -> str:
    if not isinstance(problem, click.UsageError):
        return ""
    return " ".join((problem.ctx.command_path if problem.ctx else "mxemu").split()) + " --help"


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="mxemu", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Emulate, explain and check the OCP Microscaling (MX) formats, exactly."""
    if ctx.invoked_subcommand is None:
        click.echo(_OVERVIEW)


def main() -> None:
    """Run the command line: the console command ``mxemu`` and ``python -m mxemu``."""
    cli(prog_name="mxemu")
