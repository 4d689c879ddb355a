"""The forms that a report can take, by the names of the command line."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from conformance.report.content import Content
from mxemu.errors import MxemuError, unknown

_MODULES = {
    "text": "text",
    "json": "json_report",
    "jsonl": "jsonl",
    "junit": "junit",
    "sarif": "sarif",
    "github": "github",
    "html": "page",
}
FORMS = (*_MODULES, "parquet")
"""Names of ``--output-format``."""

SUFFIXES = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".xml": "junit",
    ".sarif": "sarif",
    ".html": "html",
    ".parquet": "parquet",
}
"""What a file's name says of the form of the report in it; any other is text."""


def form_of(path: Path) -> str:
    """The form that the name of a file asks for."""
    return SUFFIXES.get(path.suffix.lower(), "text")


def split(given: str) -> tuple[str, Path]:
    """Take ``FORMAT=FILE`` apart.

    Raises
    ------
    MxemuError
        Without a file, or for an unknown format.
    """
    name, _, file = given.partition("=")
    if not file:
        raise MxemuError(f"--report {given}: expected FORMAT=FILE", f"FORMAT: {', '.join(FORMS)}")
    if name not in FORMS:
        raise unknown("report format", name, FORMS)
    return name, Path(file)


def render(name: str, content: Content) -> bytes:
    """A report in one form, as the bytes of a file.

    Parameters
    ----------
    name : str
        One of `FORMS`.
    content : Content
    """
    if name == "parquet":
        from conformance.report.frames import parquet

        return parquet(content)
    report: Callable[[Content], str]
    report = import_module(f"conformance.report.{_MODULES[name]}").report
    return (report(content) + "\n").encode()
