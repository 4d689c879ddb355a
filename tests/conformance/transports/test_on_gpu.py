"""A wrong implementation on a GPU, behind DLPack: the same results and the same findings as in NumPy."""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transport_findings import CASES, SUBJECTS, checked, findings

from conformance.target import load

DATA = Path(__file__).parent / "data"
KEPT: dict[str, Any] = json.loads((DATA / "gpu.json").read_text("utf-8"))
LANES = sorted(KEPT["findings"])


@cache
def expected() -> dict[str, Any]:
    return findings(checked(str(SUBJECTS / "seeded.py")))


@cache
def arrays() -> dict[str, Any]:
    with np.load(DATA / "gpu.npz") as file:
        return dict(file)


def test_the_results_were_made_by_these_sources() -> None:
    found = {one: sha256((SUBJECTS / one).read_bytes()).hexdigest() for one in KEPT["sources"]}
    assert KEPT["sources"] == found, "a kernel changed; run gpu_run.py again"
    assert LANES == ["jax", "torch", "triton"]
    assert "H100" in KEPT["gpu"]


@pytest.mark.parametrize("lane", LANES)
def test_a_gpu_gives_the_same_bits(lane: str) -> None:
    subject = load(str(SUBJECTS / "seeded.py"))
    for operation, fmt in CASES.items():
        (given,) = (
            one
            for name, one in arrays().items()
            if name in (f"{operation}-values", f"{operation}-codes")
        )
        results = getattr(subject, operation)(given, fmt)
        kept = {
            name: one for name, one in arrays().items() if name.startswith(f"{lane}-{operation}-")
        }
        results = results if isinstance(results, tuple) else (results,)
        assert len(kept) == len(results)
        for one, mine in zip(kept.values(), results, strict=True):
            assert len(one) > 4
            assert one.dtype == mine.dtype
            assert one.tobytes() == mine.tobytes()


@pytest.mark.parametrize("lane", LANES)
def test_a_check_on_a_gpu_found_the_same(lane: str) -> None:
    kept, here = KEPT["findings"][lane], expected()
    assert kept.keys() == here.keys()
    for operation, found in here.items():
        assert kept[operation]["verdict"] == found["verdict"]
        assert [one[:2] for one in kept[operation]["causes"]] == [
            one[:2] for one in found["causes"]
        ]
        # The suite may have other cases by now, so no counts and no case; its rule stays.
        assert [one[2].split()[0] for one in kept[operation]["first"]] == [
            one[2].split()[0] for one in found["first"]
        ]
