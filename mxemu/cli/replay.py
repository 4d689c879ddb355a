"""mxemu replay: one case again, from its token."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from mxemu.errors import MxemuError
from mxemu.profile import spell

if TYPE_CHECKING:
    from conformance.replay import Replay


@click.command()
@click.argument("token")
@click.argument("target", required=False)
@click.option("--quiet", is_flag=True, help="Leave the derivation out.")
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=120.0, help="Seconds for a call."
)
@click.pass_context
def replay(
    context: click.Context, /, token: str, target: str | None, *, quiet: bool, timeout: float
) -> None:
    """Show the case of a token (mxr1:...), what has to come out and why; with TARGET, what comes out there.

    Exit: 0 equal, or nothing to compare   1 different   2 wrong use
    """
    from conformance.replay import read

    one = read(token)
    for line in _inputs(one):
        click.echo(line)
    if not quiet:
        click.echo("")
        derive(one)
    if target is not None:
        context.exit(_compare(one, target, timeout))


def _inputs(one: Replay) -> list[str]:
    """What goes in, and what has to come out."""
    from conformance.vectors.table import Role
    from conformance.vectors.words import hex_text
    from mxemu.cli.vectors_show import meaning

    suite = one.suite
    batch = suite.batch(one.columns(), one.cases().theme)
    choice = f"profile {spell(one.profile)}"
    if "accumulation" in suite.table.header:
        choice = f"accumulation {one.accumulation.name}"
    lines = [f"{one.operation} {one.format} ({one.carrier})   {choice}"]
    for field in suite.table.fields:
        if field.role is not Role.EXPECT:
            text = hex_text(batch.columns[field.name], 0, field)
            lines.append(f"  {field.role.value:<4}{field.name:<8}{text}{meaning(field, batch, 0)}")
    return lines


def derive(one: Replay) -> None:
    """The derivation, as the command that a report names gives it."""
    from conformance.coverage import all_wrong
    from mxemu.cli import cli

    judge = one.judge()
    case = judge.describe(0, all_wrong(judge), one.profile)
    program, *words = shlex.split(case.explain)
    if len(case.explain) <= _LONGEST or program != "mxemu":
        click.echo(f"$ {case.explain}")
    if program == "mxemu":
        cli.main(words, prog_name="mxemu", standalone_mode=False)


_LONGEST = 200


def _compare(one: Replay, target: str, timeout: float) -> int:
    """What a subject gives."""
    from conformance.replay import again
    from conformance.worker import Worker

    subject = Worker(target, timeout, None)
    try:
        group = again(one, subject, subject.introduce())
    finally:
        subject.close()
    if group.verdict == "unsupported":
        raise MxemuError(f"{target} does not take {one.operation} {one.format}: {group.reason}")
    if group.verdict == "pass":
        click.echo(f"\n{target}: as expected")
        return 0
    first = group.clusters[0].first if group.clusters else None
    click.echo(f"\n{target}: {group.verdict}  {first.text() if first else group.reason}")
    return 1
