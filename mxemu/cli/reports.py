"""Options of ``mxemu check`` that say how its report comes, and where to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mxemu.errors import MxemuError

if TYPE_CHECKING:
    from conformance.known import Comparison
    from conformance.report.baseline import Change
    from conformance.report.content import Content
    from conformance.runner import Run

Command = TypeVar("Command", bound=Callable[..., Any])
FORMATS = ("text", "json", "jsonl", "junit", "sarif", "github", "html", "parquet")

_OPTIONS = (
    click.option(
        "--output-format",
        type=click.Choice(FORMATS),
        help="[default: what the name of --output says, else text]",
    ),
    click.option(
        "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the report here."
    ),
    click.option(
        "--report",
        "reports",
        metavar="FORMAT=FILE",
        multiple=True,
        help="Write the report in this format there as well; may be repeated.",
    ),
    click.option(
        "--baseline",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="A JSON report of earlier: say what changed, and fail only for what did not fail then.",
    ),
    click.option("--timestamps", is_flag=True, help="Put date and time (UTC) into the report."),
)


def report_options(command: Command) -> Command:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Reports:
    """What is to be written where, and what a run is compared with.

    Attributes
    ----------
    form : str
        Of the report on standard output or in ``output``.
    output : Path or None
    further : sequence of (str, Path)
    baseline : dict or None
        A JSON report.
    timestamps : bool
    """

    form: str
    output: Path | None
    further: Sequence[tuple[str, Path]]
    baseline: dict[str, Any] | None
    timestamps: bool

    @classmethod
    def of(cls, options: dict[str, Any]) -> Reports:
        """Read the options, before anything is checked.

        Raises
        ------
        MxemuError
            When two of them contradict each other, or the baseline cannot be read.
        """
        from conformance.report import baseline
        from conformance.report.forms import form_of, split

        before, output = options["baseline"], options["output"]
        for other in ("known", "waivers", "write_profile"):
            if before is not None and options[other]:
                named = other.replace("_", "-")
                raise MxemuError(f"--baseline and --{named}; expected one of them")
        form = options["output_format"] or (form_of(output) if output else "text")
        if form == "parquet" and output is None:
            raise MxemuError("a Parquet report is no text; expected --output FILE with it")
        further = [split(given) for given in options["reports"]]
        found = None if before is None else baseline.load(before)
        return cls(form, output, further, found, options["timestamps"])

    def change(self, run: Run) -> Change | None:
        """The run beside the baseline, if there is one."""
        from conformance.report import baseline, json_report

        if self.baseline is None:
            return None
        return baseline.compare(json_report.record(run, 0), self.baseline)

    def write(
        self,
        run: Run,
        code: int,
        comparison: Comparison | None,
        change: Change | None,
        remarks: Sequence[str],
    ) -> None:
        """Write every report; the first one last, so that standard output comes after all files."""
        from conformance.report.content import Content
        from conformance.report.forms import render

        created = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" if self.timestamps else ""
        content: Content = Content(run, code, comparison, change, tuple(remarks), created)
        for form, path in self.further:
            write_file(render(form, content), path)
        report = render(self.form, content)
        if self.output is None:
            click.echo(report.decode().removesuffix("\n"))
        else:
            write_file(report, self.output)


def write_file(content: bytes, path: Path) -> None:
    """A whole file by way of a temporary name."""
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise MxemuError(f"cannot write {path}: {error.strerror}") from None
