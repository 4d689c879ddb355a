"""Shared by all tests: Hypothesis profiles, and clause markers that name real clauses."""

from __future__ import annotations

import os

import pytest
from hypothesis import Phase, settings

from mxemu.clauses import CLAUSES

# Deterministic, so that a failure in CI is the failure on the desk. `HYPOTHESIS_PROFILE=search` looks further.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
# Mutation testing asks only whether a test fails, so nothing is shrunk.
settings.register_profile(
    "mutation",
    parent=settings.get_profile("repeatable"),
    max_examples=40,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a `clause` marker whose id is not in the register."""
    for item in items:
        for marker in item.iter_markers("clause"):
            unknown = [name for name in marker.args if name not in CLAUSES]
            if unknown or not marker.args:
                raise pytest.UsageError(
                    f"{item.nodeid}: unknown clauses {unknown or '(none given)'}"
                )
