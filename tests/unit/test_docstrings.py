"""The examples in docstrings do what they show."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

import conformance
import mxemu

# The exact core: a reader looks here first, so most modules have an example.
CORE = ("errors", "value", "formats", "profile", "scalar", "runs", "scale", "block")
_NOT_IMPORTED = ("mxemu.__main__", "conformance.systems.")


def modules() -> list[str]:
    """All modules of both packages, but for adapters, which import the libraries that they adapt."""
    found = [mxemu.__name__, conformance.__name__]
    for package in (mxemu, conformance):
        inside = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        found += [entry.name for entry in inside]
    return [name for name in found if not name.startswith(_NOT_IMPORTED)]


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0


@pytest.mark.parametrize("name", CORE)
def test_core_modules_have_examples(name: str) -> None:
    tests = doctest.DocTestFinder().find(import_module(f"mxemu.{name}"))
    assert sum(len(test.examples) for test in tests) > 0
