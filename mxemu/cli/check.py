"""mxemu check: an implementation against the specification and against what it declares."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mxemu.cli.campaign import Asked, campaign_options, is_campaign, run_campaign, show_status
from mxemu.cli.options import any_profile, read_accumulation
from mxemu.cli.reports import Reports, report_options, write_file
from mxemu.errors import MxemuError, unknown
from mxemu.formats import carrier, find
from mxemu.profile import Profile, Rounding

if TYPE_CHECKING:
    from conformance.known import Comparison
    from conformance.report.baseline import Change
    from conformance.runner import Filters, Request, Run
    from conformance.verdict import Group
    from conformance.worker import InProcess, Worker

_EPILOG = """\b
TARGET is one of
  ml_dtypes                a subject that comes with mxemu (mxemu list subjects)
  path/to/file.py[:name]   a file of yours, or an object in it
  package.module[:name]    an importable module, or an object in it
  path/to/design.toml      the port map of an RTL design, which is simulated
  cmd:"./dut --flag"       a program that answers lines with lines
  lib:path/to/subject.so   a shared library with the functions of mxemu_subject.h
  files:inputs,outputs     arrays that went into a kernel and came out of it
each but the last with [variant] after it where the subject has variants.

\b
Exit: 0 conforms   1 FAIL or crash   2 wrong use   3 legal, but not as asked for   4 nothing to judge
"""

_DAY = 86_400.0


@click.command(epilog=_EPILOG)
@click.argument("target")
@click.option(
    "--level",
    type=click.Choice(["smoke", "core", "full", "exhaustive"]),
    default="core",
    show_default=True,
)
@click.option(
    "--profile",
    help="Compare with this profile (a preset or a TOML file) instead of the declared one; auto finds out which it is.",
)
@click.option(
    "--accumulation",
    help="Compare dot products with this one (a preset or a TOML file) instead of the declared one.",
)
@click.option(
    "--operation", "operations", multiple=True, help="Only this operation; may be repeated."
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    help="Only this format, or A,B for products of two; may be repeated.",
)
@click.option(
    "--carrier",
    "carriers",
    multiple=True,
    help="Only inputs or results in this carrier; may be repeated.",
)
@click.option(
    "--known",
    metavar="FILE|auto",
    help="Subtract expected deviations; auto takes the subject's own.",
)
@click.option(
    "--waivers",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Deviations of your own design that are accepted, each until its day.",
)
@click.option(
    "--simulator",
    type=click.Choice(["verilator", "icarus"]),
    help="For a port map: the simulator.  [default: the fastest that is installed]",
)
@click.option(
    "--results",
    metavar="FILE|DIR",
    type=click.Path(path_type=Path),
    help="For a port map: judge results of a simulation elsewhere (mxemu rtl emit).",
)
@campaign_options
@report_options
@click.option(
    "--write-profile",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the profile that the conversions follow; --profile reads it.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    help="Seconds for one call.  [default: 120; for a port map what its vectors need]",
)
@click.option(
    "--memory-limit",
    type=click.FloatRange(min=0.01),
    metavar="GB",
    help="Memory that the subject may take; three quarters of the machine's unless given.",
)
@click.option(
    "--isolated",
    is_flag=True,
    help="Run a built-in subject in an environment of its own, which is made first (and kept).",
)
@click.option("--in-process", is_flag=True, help="Run the subject in this process, for debugging.")
@click.option(
    "--no-minimize",
    is_flag=True,
    help="Show failing cases as found: do not ask a subject again, whose calls are expensive, for smaller ones.",
)
@click.pass_context
def check(context: click.Context, /, target: str, **options: Any) -> None:
    """Check an implementation against the MX specification, bit for bit."""
    from mxemu.cli.rtl import with_choice

    if options["status"]:
        show_status(options)
        return
    if options["known"] and options["waivers"]:
        raise MxemuError("--known and --waivers; expected one of them")
    if options["isolated"] and options["in_process"]:
        raise MxemuError("--isolated and --in-process; expected one of them")
    reports = Reports.of(options)
    target = with_choice(target, options["simulator"], options["results"])
    filters = filters_of(options)
    asked = any_profile(options["profile"]) if options["profile"] not in (None, _AUTO) else None
    if asked is not None and asked.rounding is Rounding.STOCHASTIC:
        raise MxemuError("a check under STOCHASTIC rounding needs the random words that were used")
    if options["accumulation"]:
        options["accumulation"] = read_accumulation(options["accumulation"])
    run, comparison, remarks = _run(target, asked, filters, options)
    change = reports.change(run)
    code = exit_code(run, comparison, change)
    if options["write_profile"]:
        run, code = _lock(run, code, target, filters, options)
    reports.write(run, code, comparison, change, remarks)
    context.exit(code)


def filters_of(options: dict[str, Any]) -> Filters:
    """What the options ``--operation``, ``--format`` and ``--carrier`` leave."""
    from conformance.runner import Filters

    return Filters(
        tuple(_operation(name) for name in options["operations"]),
        tuple(_format(name) for name in options["formats"]),
        tuple(carrier(name).name for name in options["carriers"]),
    )


def _operation(name: str) -> str:
    from conformance.runner import CHECKED

    for known in CHECKED:
        if known.replace("_", "-") == name.replace("_", "-"):
            return known
    raise unknown("operation", name, CHECKED)


def _format(name: str) -> str:
    """The name of a format, or a pair of them as the groups of products are called."""
    from conformance.adapter import find_pair

    return find_pair(name) if "," in name else find(name).name


def _run(
    target: str, asked: Profile | None, filters: Filters, options: dict[str, Any]
) -> tuple[Run, Comparison | None, list[str]]:
    """Load the subject and check it; what was found before an interruption is kept."""
    from conformance.adapters import dumps
    from conformance.isolated import environment
    from conformance.runner import Run
    from conformance.worker import InProcess, Worker
    from mxemu.cli import rtl

    expected = _Expected(options, target)
    in_chunks = is_campaign(target, options)
    if dumps.is_dump(target):
        run = dumps.check(target, filters, asked, options["accumulation"])
        return run, *expected.compare(run)
    # A simulation keeps its own time, which grows with the number of vectors.
    timeout = options["timeout"] or (_DAY if rtl.is_rtl(target) else 120.0)
    memory = int(options["memory_limit"] * 10**9) if options["memory_limit"] else None
    own = environment(target, _say) if options["isolated"] else None
    subject = InProcess(target) if options["in_process"] else Worker(target, timeout, memory, own)
    try:
        run = Run(target, rtl.without_path(subject.introduce()), options["level"], asked)
        run.asked_accumulation = options["accumulation"]
        # The places of a simulation are those of the vectors that were simulated.
        run.reduces = not (options["no_minimize"] or rtl.is_rtl(target))
        design = rtl.prepare(target, run, filters) if rtl.is_rtl(target) else None
        large = Asked(filters, options, timeout, memory, own) if in_chunks else None
        run, found = _checked(subject, run, filters, large, auto=options["profile"] == _AUTO)
    finally:
        subject.close()
    comparison, remarks = expected.compare(run)
    remarks = [*found, *remarks]
    if design is not None and not run.interrupted:
        remarks = [*rtl.places(target, design, run, filters), *remarks]
    return run, comparison, remarks


_AUTO = "auto"
"""The profile that says: find out which one it is."""


def _checked(
    subject: Worker | InProcess, run: Run, filters: Filters, large: Asked | None, *, auto: bool
) -> tuple[Run, list[str]]:
    """The check, as far as nobody interrupts it; where the profile is to be found out, what is to be said of that."""
    from conformance.runner import check
    from conformance.why.fingerprint import fingerprint

    if large is not None:
        return run_campaign(subject, run, large)
    try:
        if auto:
            found = fingerprint(subject, run, filters, Progress())
            found.run.asked_accumulation = run.asked_accumulation
            return found.run, list(found.lines())
        check(subject, run, filters, Progress())
    except KeyboardInterrupt:
        run.interrupted = True
        run.skipped.append(("everything after this", "interrupted"))
    return run, []


def _lock(
    run: Run, code: int, target: str, filters: Filters, options: dict[str, Any]
) -> tuple[Run, int]:
    """Write what the subject follows, once a second run has shown that it follows that everywhere."""
    from conformance.report.locked import found_profile, toml

    profile = found_profile(run)
    if profile.changes(run.base):
        run, comparison, _ = _run(target, profile, filters, options)
        code = exit_code(run, comparison)
        other = [group for group in run.groups if group.verdict not in ("pass", "unsupported")]
        if other:
            where = f"{other[0].operation} {other[0].format} ({other[0].carrier})"
            raise MxemuError(f"{where} does not follow {profile}; nothing is written")
    write_file((toml(profile, run).rstrip("\n") + "\n").encode(), options["write_profile"])
    return run, code


class _Expected:
    """What ``--known`` or ``--waivers`` say, read before anything is checked."""

    def __init__(self, options: dict[str, Any], target: str) -> None:
        from conformance import known, waivers

        self.known = known.load(options["known"], target) if options["known"] else None
        self.waivers = waivers.load(options["waivers"]) if options["waivers"] else None

    def compare(self, run: Run) -> tuple[Comparison | None, list[str]]:
        """A run against it, and what is to be said of waivers."""
        from conformance import known, waivers

        if self.waivers is None:
            return (None if self.known is None else known.compare(run, self.known)), []
        day = waivers.today()
        comparison = waivers.compare(run, self.waivers, day)
        return comparison, list(waivers.lines(self.waivers, comparison, day))


def exit_code(run: Run, comparison: Comparison | None = None, change: Change | None = None) -> int:
    """The exit code of a run, see the table in the help text."""
    failing = [group for group in run.groups if group.verdict in ("FAIL", "crash")]
    if comparison is not None:
        failing = [group for group in failing if group in comparison.new]
        if comparison.new or comparison.stale:
            return 1
    if change is not None:
        failing = [run.groups[place] for place, since in change.since.items() if since == "new"]
    if failing:
        return 1
    if run.interrupted:
        return 4
    judged = sum(
        group.counts["pass"] + group.counts["FAIL"] + group.counts["free"] for group in run.groups
    )
    if not judged:
        return 4
    return 3 if any(_is_other(group, run) for group in run.groups) else 0


def _is_other(group: Group, run: Run) -> bool:
    """Whether a group follows another convention than the one that was asked for."""
    if group.accumulation is not None:
        return run.asked_accumulation is not None and group.counts["free"] > 0
    return run.asked is not None and bool(group.hypotheses) and group.counts["free"] > 0


def _say(line: str) -> None:
    """One line on standard error."""
    click.echo(line, err=True)


class Progress:
    """What is being checked, on standard error, once two seconds have passed and somebody is looking."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.shown = False

    def __call__(self, request: Request | None) -> None:
        if not sys.stderr.isatty() or time.monotonic() - self.start < 2:
            return
        line = f"{request.operation} {request.format} from {request.carrier}" if request else ""
        click.echo(f"\r{line:<60}", nl=False, err=True)
        self.shown = bool(line)
