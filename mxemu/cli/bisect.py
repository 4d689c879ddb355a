"""mxemu bisect: the first step of an operation at which an implementation differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mxemu.cli.options import any_profile, read_accumulation
from mxemu.errors import MxemuError

if TYPE_CHECKING:
    from conformance.arrays import Array
    from conformance.bisect import Bisection
    from conformance.runner import Request
    from conformance.verdict import Group
    from conformance.worker import InProcess, Worker

_TOKEN = "mxr1:"  # noqa: S105 - the start of a replay token

_EPILOG = """\b
Steps: dot products     decode scale product align accumulate round
       quantize         scale divide lanes round overflow specials
       encode-scaled    scale divide round overflow specials
       dequantize       decode scale product lanes round
TARGET is as for mxemu check, but for files of recorded results.

\b
Exit: 0 nothing differs   1 different   2 wrong use
"""


@click.command(epilog=_EPILOG)
@click.argument("token", required=False)
@click.argument("target", required=False)
@click.option("--operation", help="Without a token: only this operation.")
@click.option("--format", "format_name", help="Without a token: only this format, or A,B.")
@click.option("--carrier", help="Without a token: only inputs or results in this carrier.")
@click.option("--profile", help="Compare with this profile instead of the declared one.")
@click.option("--accumulation", help="Compare dot products with this one, not the declared one.")
@click.option(
    "--output-format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=120.0, help="Seconds for a call."
)
@click.option("--in-process", is_flag=True, help="Run the subject in this process, for debugging.")
@click.pass_context
def bisect(
    context: click.Context, /, token: str | None, target: str | None, **options: Any
) -> None:
    """Find the first step of an operation at which an implementation differs from the exact core.

    With TOKEN TARGET the case of a token (mxr1:...) is looked into; with TARGET alone the first failure of a check.
    """
    from conformance.bisect.report import as_json, text
    from conformance.worker import InProcess, Worker

    word, place = _arguments(token, target)
    _refuse(word, options)
    subject = InProcess(place) if options["in_process"] else Worker(place, options["timeout"])
    try:
        found = _bisect(subject, place, word, options)
    finally:
        subject.close()
    click.echo(as_json(found) if options["output_format"] == "json" else text(found))
    context.exit(found.exit_code)


def _arguments(token: str | None, target: str | None) -> tuple[str | None, str]:
    """Token, if there is one, and target."""
    if token is None:
        raise click.UsageError("Missing argument 'TARGET'.")
    if token.startswith(_TOKEN):
        if target is None:
            raise click.UsageError("Missing argument 'TARGET'.")
        return token, target
    if target is not None:
        raise MxemuError(f"{token[:24]!r} is no replay token; expected {_TOKEN}... before TARGET")
    return None, token


def _refuse(token: str | None, options: dict[str, Any]) -> None:
    """A token says what it is about."""
    named = {"operation": "operation", "format_name": "format", "carrier": "carrier"}
    for option in (*named, "profile", "accumulation"):
        if token is not None and options[option]:
            raise MxemuError(f"a token and --{named.get(option, option)}; expected one of them")


def _bisect(
    subject: Worker | InProcess, target: str, token: str | None, options: dict[str, Any]
) -> Bisection:
    from conformance.adapters import dumps
    from conformance.bisect import bisect
    from conformance.replay import read

    if dumps.is_dump(target):
        raise MxemuError(f"{target} is recorded results, which cannot be asked; expected a subject")
    if token is not None:
        one = read(token)
        return bisect(subject, subject.introduce(), one.request, one.cases().inputs[0])
    capabilities = subject.introduce()
    request, row = _first_failure(subject, capabilities, target, options)
    return bisect(subject, capabilities, request, row)


def _first_failure(
    subject: Worker | InProcess, capabilities: Any, target: str, options: dict[str, Any]
) -> tuple[Request, Array | None]:
    """What a check at level smoke finds wrong first, and the case; where it finds nothing, what it asks first."""
    from conformance.bisect import has_steps
    from conformance.replay import read
    from conformance.runner import Run, requests
    from conformance.why.counterexample import with_smallest
    from mxemu.cli.check import filters_of

    names = ("operation", "format_name", "carrier")
    plural = {key: [options[key]] if options[key] else [] for key in names}
    filters = filters_of(
        {
            "operations": plural["operation"],
            "formats": plural["format_name"],
            "carriers": plural["carrier"],
        }
    )
    asked = any_profile(options["profile"]) if options["profile"] else None
    run = Run(target, capabilities, "smoke", asked)
    if options["accumulation"]:
        run.asked_accumulation = read_accumulation(options["accumulation"])
    listed = [one for one in requests(run, filters) if has_steps(one)]
    if not listed:
        raise MxemuError(f"{target} offers nothing of what was asked for", f"mxemu check {target}")
    request, group = _differing(subject, listed)
    cases = with_smallest(subject, request, "smoke", group)
    token = next((one.token for one in cases if one.token and not one.silent), "")
    return request, read(token).cases().inputs[0] if token else None


def _differing(subject: Worker | InProcess, listed: list[Request]) -> tuple[Request, Group]:
    """The first group that fails, else the first that differs, else the first."""
    from conformance.runner import check_group
    from conformance.verdict import Group

    found = []
    for request in listed:
        group = Group(*request.key, request.terms.profile)
        found.append((request, check_group(subject, request, "smoke", group)))
        if group.verdict in ("FAIL", "crash"):
            return found[-1]
    free = (one for one in found if one[1].counts["free"] > one[1].silent)
    return next(free, found[0])
