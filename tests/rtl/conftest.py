"""Simulators for the tests of RTL: skipped with the reason where one is missing, unless MXEMU_RTL=1 asks for all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from conformance import tools
from mxemu.errors import Unsupported


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is built goes to a folder of this run, which all its processes share."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
        yield


def need(name: str) -> str:
    """Skip where a simulator is not installed; fail if all are asked for."""
    try:
        tools.simulator(name)
    except Unsupported as error:
        reason = f"{error}; {error.hint}"
        if os.environ.get("MXEMU_RTL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return name


@pytest.fixture(params=tools.SIMULATORS)
def simulator(request: pytest.FixtureRequest) -> str:
    """Every simulator in turn."""
    return need(request.param)


@pytest.fixture
def icarus() -> str:
    return need("icarus")


@pytest.fixture
def verilator() -> str:
    return need("verilator")
