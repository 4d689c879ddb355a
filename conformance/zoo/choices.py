"""Right implementations that choose otherwise than OCP where there is a choice. They are no mistakes."""

from __future__ import annotations

from typing import Any

from conformance.arrays import Array
from conformance.judges import Judge, ProductJudge
from conformance.zoo.reference import Reference
from mxemu.accumulations import ACCUMULATIONS
from mxemu.profile import Profile


class Choosing(Reference):
    """One operation under a profile that differs in some fields.

    Parameters
    ----------
    operation : str
    changes : dict
        Profile fields and their values.
    """

    def __init__(self, operation: str, changes: dict[str, Any]) -> None:
        self.name = ", ".join(f"{key}={value}" for key, value in changes.items())  # type: ignore[misc]
        self.operations = (operation,)  # type: ignore[misc]
        self.changes = changes

    def outcome(self, judge: Judge, profile: Profile, rows: Array | None = None) -> Array:
        return super().outcome(judge, profile.replace(**self.changes), rows)


class Accumulating(Reference):
    """General dot products under a named accumulation."""

    operations = ("dot-general",)

    def __init__(self, accumulation: str) -> None:
        self.name = accumulation  # type: ignore[misc]

    def outcome(self, judge: Judge, profile: Profile, rows: Array | None = None) -> Array:
        assert isinstance(judge, ProductJudge)
        found = judge.expected(ACCUMULATIONS[self.name])
        return found if rows is None else found[rows]
