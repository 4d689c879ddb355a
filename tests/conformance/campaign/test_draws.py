"""Random cases: the same for the same seed and number, of every kind, and strong enough to show known mistakes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from conformance.campaign import Chunk, make_plan
from conformance.campaign.plan import SWEEP
from conformance.judges import Judge, MatmulJudge
from conformance.notes import NOTES
from conformance.runner import Filters, Run, requests
from conformance.worker import InProcess
from conformance.zoo import MEMBERS
from conformance.zoo.reference import Reference


class Right(Reference):
    """Offers everything."""


def every_chunk(
    subject: Reference, level: str, formats: tuple[str, ...], count: int
) -> list[Chunk]:
    """The first random chunk of each group in binary32."""
    run = Run("right", InProcess(subject).introduce(), level, None)
    filters = Filters(formats=formats, carriers=("binary32",))
    found = make_plan(run, filters, count, 7).chunks
    return [chunk for chunk in found if chunk.kind == "random" and not chunk.index]


FEW = ("E4M3", "E8M0", "INT8", "MXFP8_E5M2", "MXINT8", "MXFP4_E2M1,MXINT8")
CHUNKS = every_chunk(Right(), "smoke", FEW, 101)


def same(one: Judge, other: Judge) -> bool:
    left, right = one.cases, other.cases
    return np.array_equal(left.inputs, right.inputs) and np.array_equal(left.theme, right.theme)


@pytest.mark.parametrize("chunk", CHUNKS, ids=lambda chunk: "-".join(chunk.request.key))
def test_a_chunk_depends_on_seed_group_and_index_alone(chunk: Chunk) -> None:
    judge = chunk.judge()
    assert len(judge.cases) == 101
    assert set(judge.cases.notes) <= set(NOTES)
    assert same(judge, replace(chunk, number=99, group=5, first=1234).judge())
    assert not same(judge, replace(chunk, index=1).judge())
    assert not same(judge, replace(chunk, seed=8).judge())
    if isinstance(judge, MatmulJudge):
        assert sorted(judge.grids[0].ravel().tolist()) == list(range(101))


def test_all_operations_have_random_cases() -> None:
    assert {chunk.request.operation for chunk in CHUNKS} == {
        *("encode", "decode", "encode-scaled", "quantize", "fake_quantize", "dequantize"),
        *("dot", "dot-general", "matmul"),
    }


# One for each way to draw cases, each of which only that way or a few others show.
SHOWN = {
    "subnormals-rounded-twice": 20_000,
    "half-smallest-up": 20_000,
    "short-sticky": 5_000,
    "nan-by-quiet-bit": 2_000,
    "shift23": 500,
    "float-log2-binary32": 300,
    "ceil-log2-binary32": 600,
    "scale-wraps": 300,
    "tiny-block-nan": 600,
    "scale-254-as-inf": 300,
    "scale-0-multiplies-by-1": 10_000,
    "dot-scale-0-as-zero": 300,
    "padding-scale-read": 300,
    "nan-scale-as-number": 300,
    "negative-zero-sum-lost": 2_000,
    "results-saturate": 300,
    "ignores-c": 100,
    "scales-of-first-row": 100,
}


@pytest.mark.parametrize("name", SHOWN)
def test_known_mistakes_show(name: str) -> None:
    member = next(one for one in MEMBERS if one.name == name)
    run = Run(name, InProcess(member).introduce(), "smoke", None)
    for request in requests(run, Filters(member.operations, carriers=("binary32",))):
        judge = Chunk(0, 0, "random", request, "smoke", count=SHOWN[name]).judge()
        if member.touches(judge):
            profile = request.terms.profile
            wrong, silent = judge.compare(member.outcome(judge, profile), profile)
            if (wrong | silent).any():
                return
    pytest.fail(f"{SHOWN[name]} random cases do not show {name}")


def test_all_inputs_are_in_the_chunks_of_a_sweep_once() -> None:
    run = Run("right", InProcess(Right()).introduce(), "exhaustive", None)
    chunks = make_plan(run, Filters(("encode",), ("E4M3", "E8M0")), 1000).chunks
    swept = [chunk for chunk in chunks if chunk.kind == "inputs"]
    assert {chunk.request.key for chunk in swept} == {("encode", "E4M3", "binary32")}
    assert [chunk.first for chunk in swept] == list(range(0, 1 << 32, SWEEP))
    assert {chunk.count for chunk in swept} == {SWEEP}
    assert swept[5].judge().cases.inputs[[0, -1]].tolist() == [5 * SWEEP, 6 * SWEEP - 1]
    both = {chunk.request.key for chunk in chunks if chunk.kind == "random"}
    assert ("encode", "E4M3", "binary32") not in {
        chunk.request.key
        for chunk in chunks
        if chunk.kind == "random" and not chunk.request.terms.further
    }
    assert {("encode", "E4M3", "binary16"), ("encode", "E4M3", "binary64")} <= both
