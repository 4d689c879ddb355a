"""One wrong implementation behind every transport: verdict, cause, counts and the case that is shown are the same."""

from __future__ import annotations

import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transport_findings import CASES, SUBJECTS, checked, findings

from conformance.adapters import dumps
from conformance.adapters.dumps import suite_inputs
from conformance.runner import Filters
from conformance.target import load


@cache
def expected() -> dict[str, Any]:
    return findings(checked(str(SUBJECTS / "seeded.py")))


def test_the_seeded_mistakes_are_named() -> None:
    found = expected()
    assert [found[name]["verdict"] for name in CASES] == ["FAIL", "pass", "FAIL"]
    assert found["encode"]["causes"][0][:2] == ["half-up", "mistake"]
    assert found["quantize"]["causes"][0][:2] == ["scale-subtracts-emax-and-bias", "mistake"]
    assert found["encode"]["counts"]["FAIL"] == 7


def test_json_lines() -> None:
    assert findings(checked(f"cmd:{sys.executable} {SUBJECTS / 'seeded_json.py'}")) == expected()


def test_lines_of_hex(hex_program: Path) -> None:
    assert findings(checked(f"cmd:{hex_program}")) == expected()


def test_a_library_in_c(c_library: Path) -> None:
    assert findings(checked(f"lib:{c_library}")) == expected()


def test_a_library_in_rust(rust_library: Path) -> None:
    assert findings(checked(f"lib:{rust_library}")) == expected()


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_tensors(library: str) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    assert findings(checked(str(SUBJECTS / f"seeded_{library}.py:OnCpu"))) == expected()


@pytest.mark.parametrize("operation", CASES)
def test_two_dump_files(operation: str, tmp_path: Path) -> None:
    subject = load(str(SUBJECTS / "seeded.py"))
    inputs = suite_inputs(operation, CASES[operation], level="smoke")
    (given,) = inputs.values()
    results = getattr(subject, operation)(given, CASES[operation])
    names = {"encode": ("codes",), "decode": ("values",), "quantize": ("scales", "codes")}
    arrays = results if isinstance(results, tuple) else (results,)
    np.savez(tmp_path / "in.npz", **inputs)
    np.savez(tmp_path / "out.npz", **dict(zip(names[operation], arrays, strict=True)))
    (tmp_path / "out.toml").write_text('profile = "ocp"\n', encoding="utf-8")
    filters = Filters((operation,), (CASES[operation],))
    run = dumps.check(f"files:{tmp_path / 'in.npz'},{tmp_path / 'out.npz'}", filters)
    found, wanted = findings(run)[operation], expected()[operation]
    # A dump does not know the themes of the suite, by which clusters choose the case that they show.
    shown = [one.pop("first") for one in (found, {**wanted})]
    assert found == {key: one for key, one in wanted.items() if key != "first"}
    assert [one[:2] for one in shown[0]] == [one[:2] for one in shown[1]]


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no simulator iverilog")
def test_a_design_in_a_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = findings(checked(f"{SUBJECTS / 'half_up.toml'}[icarus]"))
    assert found["encode"] == expected()["encode"]
