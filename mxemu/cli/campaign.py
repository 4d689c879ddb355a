"""Large checks at the command line: options, who does the work, progress, and what a ledger says."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mxemu.errors import MxemuError

if TYPE_CHECKING:
    from conformance.campaign import Chunk, Crew, Ledger, Plan, Settings
    from conformance.campaign.chunk import Result
    from conformance.isolated import Interpreter
    from conformance.runner import Filters, Run
    from conformance.worker import InProcess, Worker

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--fuzz",
        type=click.IntRange(min=1),
        metavar="N",
        help="N random cases for each group besides those of the level.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, (1 << 64) - 1),
        default=0,
        show_default=True,
        metavar="S",
        help="Of the random cases; the same S gives the same ones.",
    ),
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Processes for --fuzz and --level exhaustive; one a core unless given.",
    ),
    click.option(
        "--ledger",
        metavar="FILE|DIR",
        type=click.Path(path_type=Path),
        help="Keep what is done here; the same command goes on where it was stopped.",
    ),
    click.option(
        "--scheduler",
        metavar="tcp://HOST:PORT|local:N",
        help="Let the workers of a Dask cluster do it, or a cluster of N workers here.",
    ),
    click.option("--status", is_flag=True, help="Say how far the ledger is, and check nothing."),
)


def campaign_options(command: Command) -> Command:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def is_campaign(target: str, options: dict[str, Any]) -> bool:
    """Whether a check is done in chunks.

    Raises
    ------
    MxemuError
        When options contradict each other, or the subject cannot be checked so.
    """
    named = [name for name in ("fuzz", "ledger", "scheduler", "jobs") if options[name]]
    other = _other_way(target, options)
    if named and other:
        raise MxemuError(f"--{named[0]} and {other}; expected one of them")
    # Writing a profile takes a second check, against that profile: another campaign.
    for one, two in _EITHER:
        if options[one] and options[two]:
            raise MxemuError(f"--{one} and --{two.replace('_', '-')}; expected one of them")
    return not other and (bool(named) or options["level"] == "exhaustive")


_EITHER = (
    ("scheduler", "jobs"),
    ("scheduler", "in_process"),
    ("jobs", "in_process"),
    ("ledger", "write_profile"),
)


def _other_way(target: str, options: dict[str, Any]) -> str:
    """What is checked in one piece only; empty if nothing is."""
    from conformance.adapters import dumps
    from mxemu.cli import rtl

    if dumps.is_dump(target):
        return "files of results"
    if rtl.is_rtl(target):
        return "a port map"
    return "--profile auto" if options["profile"] == "auto" else ""


def show_status(options: dict[str, Any]) -> None:
    """Say what a ledger is about, and how far each group is."""
    from conformance.campaign.ledger import status

    if options["ledger"] is None:
        raise MxemuError("--status says how far a ledger is; expected --ledger FILE with it")
    about, groups = status(options["ledger"])
    fuzz = f"   fuzz {about['fuzz']:,} seed {about['seed']}" if about["fuzz"] else ""
    click.echo(f"{about['subject']}   level {about['level']}{fuzz}")
    wide = max((len(group.name) for group in groups), default=0)
    for group in groups:
        click.echo(
            f"{group.name:<{wide}}  {_share(group.done, group.chunks)}  {group.cases:,} cases"
        )
    done, chunks = (sum(getattr(one, name) for one in groups) for name in ("done", "chunks"))
    click.echo(f"{_share(done, chunks).strip()}: {done:,} of {chunks:,} chunks")


def _share(done: int, chunks: int) -> str:
    return f"{100 * done // max(chunks, 1):>3} %"


@dataclass(frozen=True)
class Asked:
    """What a campaign is made of besides the run itself.

    Attributes
    ----------
    filters : Filters
    options : dict
        Of the command line.
    timeout : float
        Seconds for one call.
    memory : int or None
        Bytes that the subject may take.
    interpreter : Interpreter or None
        That of the subject's own environment.
    """

    filters: Filters
    options: dict[str, Any]
    timeout: float
    memory: int | None
    interpreter: Interpreter | None

    def settings(self, run: Run) -> Settings:
        """How each process comes by the subject."""
        from conformance.campaign import Settings

        about = run.capabilities
        subject = f"{about.name} {about.version}"
        return Settings(run.target, subject, self.timeout, self.memory, self.interpreter)

    @property
    def jobs(self) -> int:
        """Processes of this machine."""
        given: int | None = self.options["jobs"]
        return given or os.cpu_count() or 1


def run_campaign(subject: Worker | InProcess, run: Run, asked: Asked) -> tuple[Run, list[str]]:
    """Check in chunks, as far as nobody interrupts it.

    Returns
    -------
    Run
    list of str
        Remarks for the report.
    """
    from conformance.campaign import Ledger, finish, make_plan, work
    from conformance.campaign.ledger import identity

    random, seed = asked.options["fuzz"] or 0, asked.options["seed"]
    plan = make_plan(run, asked.filters, random, seed)
    about = identity(run, asked.filters, plan, random, seed, asked.timeout, asked.memory)
    with closing(Ledger(asked.options["ledger"], about, plan)) as ledger:
        try:
            with closing(_crew(subject, run, asked)) as crew, Bar(plan, ledger) as bar:
                work(plan, ledger, crew, bar)
        except KeyboardInterrupt:
            _interrupted(run, plan, ledger)
        remarks = [f"{random:,} random cases for each group, seed {seed}"] if random else []
        return finish(run, plan, ledger, asked.filters), remarks


def _crew(subject: Worker | InProcess, run: Run, asked: Asked) -> Crew:
    """Who does the work. The subject that has introduced itself ends where it is not needed any more."""
    from conformance.campaign import Cluster, Here, Pool

    if asked.options["scheduler"]:
        subject.close()
        return Cluster(asked.settings(run), asked.options["scheduler"])
    if asked.options["in_process"] or asked.jobs == 1:
        return Here(subject)
    subject.close()
    return Pool(asked.settings(run), asked.jobs)


def _interrupted(run: Run, plan: Plan, ledger: Ledger) -> None:
    """Say what is missing, and how to go on."""
    done = sum(chunk.number in ledger.done() for chunk in plan.chunks)
    run.interrupted = True
    run.skipped.append((f"{len(plan.chunks) - done} of {len(plan.chunks)} chunks", "interrupted"))
    if ledger.file is not None:
        click.echo(f"{ledger.file} has what is done; the same command goes on", err=True)


class Bar:
    """A bar on standard error with rate and time left, if somebody is looking.

    Parameters
    ----------
    plan : Plan
    ledger : Ledger
        What it has already is done, and counts for no rate.
    """

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        done = ledger.done()
        self.total = len(plan.chunks)
        self.before = sum(chunk.number in done for chunk in plan.chunks)
        self.cases = 0
        self.shown: Any = None

    def __enter__(self) -> Bar:
        if sys.stderr.isatty():
            self.shown = _bar()
            self.task = self.shown.add_task("", total=self.total, completed=self.before, rate="")
            self.shown.start()
        return self

    def __call__(self, chunk: Chunk, result: Result) -> None:
        """One more chunk is done."""
        if self.shown is None:
            return
        self.cases += result.counts["total"]
        elapsed = self.shown.tasks[0].elapsed or 0
        request = chunk.request
        self.shown.update(
            self.task,
            advance=int(not chunk.seeks),
            description=f"{request.operation} {request.format} {request.carrier}",
            rate=rate(self.cases / elapsed) if elapsed else "",
        )

    def __exit__(self, *_: object) -> None:
        if self.shown is not None:
            self.shown.stop()


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def rate(cases: float) -> str:
    """Cases a second in words of few letters.

    Examples
    --------
    >>> rate(85.2e6), rate(12_300), rate(7)
    ('85.2 M cases/s', '12.3 k cases/s', '7 cases/s')
    """
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if cases >= size:
            return f"{cases / size:.1f} {unit} cases/s"
    return f"{cases:.0f} cases/s"
