"""The table of verdicts: one row an operation and format, one column a carrier."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from conformance.runner import Run
from conformance.verdict import Group
from mxemu.formats import CARRIERS


def columns(run: Run) -> list[str]:
    """The carriers that appear."""
    return [name for name in CARRIERS if any(group.carrier == name for group in run.groups)]


@dataclass
class Row:
    """One line of the table; further profiles with the same verdicts share it."""

    operation: str
    format: str
    verdicts: dict[str, str]
    changes: list[str]
    also: list[str] = field(default_factory=list)

    def remark(self) -> str:
        """The profile of the line, and how many further ones share its verdicts."""
        counted = Counter(change.partition("=")[0] for change in self.also)
        words = [f"{count} other {name}{'s' * (count > 1)}" for name, count in counted.items()]
        return ", ".join([*self.changes, *(["also " + ", ".join(words)] if words else [])])


def rows(run: Run) -> list[Row]:
    """The lines of the table; capabilities, which have no carrier, are not in it."""
    found: dict[tuple[str, str, str], Row] = {}
    for group in run.groups:
        if group.carrier != "any":
            changed = changes_of(group, run)
            row = found.setdefault(
                (*group.key[:2], changed), Row(*group.key[:2], {}, [changed] if changed else [])
            )
            row.verdicts[group.carrier] = group.verdict
    joined: list[Row] = []
    for row in found.values():
        last = joined[-1] if joined else None
        same = last is not None and (last.operation, last.format) == (row.operation, row.format)
        if last is not None and same and last.verdicts == row.verdicts:
            last.also += row.changes
        else:
            joined.append(row)
    return joined


def changes_of(group: Group, run: Run) -> str:
    """How the profile of a group differs from the one that the subject is compared with."""
    changes = group.profile.changes(run.base)
    return ", ".join(f"{key}={choice.value}" for key, choice in changes.items())
