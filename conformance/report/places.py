"""Where a subject is, for annotations in a source tree."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from conformance.runner import Run
from conformance.target import parse_target
from mxemu.errors import MxemuError


def source_file(run: Run) -> str:
    """The file of a subject below the present directory, with forward slashes; empty if it has none there.

    An absolute path would say something of the machine, and means nothing on another one.
    """
    try:
        target = parse_target(run.target)
    except MxemuError:
        return ""
    if target.kind not in ("file", "rtl"):
        return ""
    here = Path.cwd()
    path = (here / target.where).resolve()
    if not path.is_relative_to(here.resolve()):
        return ""
    return PurePosixPath(path.relative_to(here.resolve())).as_posix()
