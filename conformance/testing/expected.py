"""Deviations that a project knows of, in the suite that pytest runs: as ``mxemu check --known`` and ``--waivers``."""

from __future__ import annotations

from pathlib import Path

from conformance import known, waivers
from conformance.runner import Filters, Run, missing_capabilities
from conformance.verdict import Group
from mxemu.errors import MxemuError


class Expected:
    """What a file of known deviations or of waivers expects, strict both ways.

    Parameters
    ----------
    known_file : str
        Or ``auto`` for a built-in subject; empty for none.
    waivers_file : str
    target : str
        The subject.

    Raises
    ------
    MxemuError
        When a file cannot be read, or both are given.
    """

    def __init__(self, known_file: str, waivers_file: str, target: str) -> None:
        if known_file and waivers_file:
            raise MxemuError("mxemu_known and mxemu_waivers; expected one of them")
        self.file = Path(known_file or waivers_file).name
        self.known = known.load(known_file, target) if known_file else []
        self.waivers = waivers.load(Path(waivers_file)) if waivers_file else None
        self.day = waivers.today()

    def compare(self, run: Run) -> known.Comparison:
        """A run against the file."""
        if self.waivers is None:
            return known.compare(run, self.known)
        return waivers.compare(run, self.waivers, self.day)

    def reason(self, run: Run, group: Group) -> str:
        """Why a deviation of this group is expected; empty if it is not."""
        alone = Run(run.target, run.capabilities, run.level, run.asked, [group])
        found = self.compare(alone)
        if not found.known:
            return ""
        if self.waivers is not None:
            return "; ".join(waivers.lines(self.waivers, found, self.day))
        return next(one.reason for one in self.known if one.matches(group, run.base))

    def problems(self, run: Run, filters: Filters) -> list[str]:
        """Entries that no longer show, and missing capabilities of which no entry speaks."""
        missing = list(missing_capabilities(run, filters))
        whole = Run(run.target, run.capabilities, run.level, run.asked, [*run.groups, *missing])
        found = self.compare(whole)
        lines = [f"stale  {line}" for line in found.stale]
        return lines + [
            f"new    {group.operation} {group.format} any: unsupported {group.clause} ({group.reason})"
            for group in missing
            if group in found.new
        ]
