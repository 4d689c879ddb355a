"""What a campaign says of cases that it did not keep, and of answers that depend on the call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

import mxemu
from conformance.campaign import Chunk, Here, Ledger, Plan, finish, make_plan, work
from conformance.campaign import chunk as chunks
from conformance.campaign import merge as merging
from conformance.campaign import plan as plans
from conformance.campaign.chunk import COUNTED, Result, do
from conformance.campaign.ledger import identity
from conformance.campaign.merge import merge
from conformance.runner import Filters, Request, Run
from conformance.verdict import Group, Terms
from conformance.why.diagnose import Hypothesis
from conformance.worker import InProcess
from mxemu.accumulation import EXACT
from mxemu.formats import block_format
from mxemu.profile import OCP, Profile

RARE = 0x51
"""Low bits of the inputs that a subject gets wrong now and then."""


class Subject:
    """Answers in a convention of its own, and flips a bit where the inputs say so."""

    name, version = "own", "1"
    offers: ClassVar[dict[str, Any]] = {
        "encode": {"formats": ["E4M3"], "carriers": ["binary32"]},
        "quantize": {"formats": ["MXFP4"], "carriers": ["binary32"]},
        "dot": {"formats": ["MXFP8_E4M3"], "c": True},
    }

    def __init__(self, operation: str, rare: bool = False) -> None:
        self.capabilities = {"operations": {operation: self.offers[operation]}}
        self.rare = rare

    def hit(self, bits: Any, mask: int) -> Any:
        return ((bits & mask) == (RARE & mask)) & self.rare

    def encode(self, values: Any, fmt: str) -> Any:
        codes = mxemu.encode(values, fmt, profile=OCP.replace(overflow="overflow"))
        bits = values.view(np.uint32)
        return codes ^ 3 * (self.hit(bits, 0x1FF) & (np.abs(values) > 1000)).astype(np.uint8)

    def quantize(self, values: Any, fmt: str) -> Any:
        found = mxemu.quantize(values, fmt, profile=OCP.replace(scale_rule="RCEIL"))
        codes = found.codes.reshape(len(values), -1).copy()
        codes[self.hit(np.ascontiguousarray(values).view(np.uint32)[:, 1], 0x3F)] ^= 7
        return found.scales.reshape(-1), codes

    def dot(self, sa: Any, a: Any, sb: Any, b: Any, c: Any, formats: Any, _: Any) -> Any:
        fmt = block_format(formats[0])
        one, two = (
            mxemu.Blocks(codes.reshape(len(codes), -1, fmt.k), scales, fmt)
            for codes, scales in ((a, sa), (b, sb))
        )
        found = mxemu.dot(one, two, c=c, accumulation="nv-hopper-fp8-wgmma", bits=True)
        # The last bit: a result that some accumulation may give.
        return found ^ self.hit(a.astype(np.uint32).sum(axis=1), 0x3F).astype(np.uint32)


@pytest.fixture(autouse=True)
def few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plans.ROWS, "encode", 2048)
    monkeypatch.setattr(plans, "BLOCKS", 512)
    monkeypatch.setattr(plans, "PRODUCTS", 256)
    monkeypatch.setitem(chunks.KEPT, "encode", 4)
    monkeypatch.setattr(chunks, "FEW", 4)
    monkeypatch.setattr(chunks, "AGREEING", 2)


class Counting(Here):
    """Counts the chunks that are asked for, and may do the last one first."""

    def __init__(self, subject: Any, backwards: bool = False) -> None:
        super().__init__(InProcess(subject))
        self.backwards, self.asked = backwards, 0

    def results(self, chunks: Iterable[Chunk]) -> Iterator[Any]:
        every = list(chunks)[:: -1 if self.backwards else 1]
        self.asked += len(every)
        return super().results(every)


def campaign(crew: Counting, random: int) -> tuple[Group, Group]:
    """The group of a subject, and the same if what was asked once more is lost."""
    run = Run("./own.py", crew.subject.introduce(), "smoke", None)
    plan = make_plan(run, Filters(), random, 1)
    about = identity(run, Filters(), plan, random, 1)
    with closing(Ledger(None, about, plan)) as ledger:
        work(plan, ledger, crew)
        asked = crew.asked
        work(plan, ledger, crew)
        assert crew.asked == asked
        whole = finish(replace(run, groups=[]), plan, ledger, Filters()).groups[0]
    with closing(Ledger(None, about, plan)) as ledger:
        for chunk in plan.chunks:
            ledger.put(chunk.number, chunk.group, do(crew.subject, chunk))
        short = finish(replace(run, groups=[], skipped=[]), plan, ledger, Filters())
        told = [why for _, why in short.skipped]
        assert any("kept cases only" in why for why in told) == ("dot" not in short.groups[0].key)
        return whole, short.groups[0]


@pytest.mark.parametrize(
    ("operation", "random", "cause"),
    [
        ("encode", 4096, "overflow=overflow"),
        ("dot", 512, "nv-hopper-fp8-wgmma"),
    ],
)
def test_a_legal_cause_is_held_against_all_cases(operation: str, random: int, cause: str) -> None:
    good, unsure = campaign(Counting(Subject(operation)), random)
    assert (good.verdict, good.hypotheses[0].name) == ("free", cause)
    assert good.hypotheses[0].complete
    assert not unsure.hypotheses[0].complete
    rare = Subject(operation, rare=True)
    bad, unseen = campaign(Counting(rare), random)
    # Of the kept cases alone none speaks against it.
    assert (unseen.verdict, unseen.hypotheses[0].name) == ("free", cause)
    assert not any(one.complete for one in bad.hypotheses)
    # Of dot products another order is no failure, even if it has no name here.
    assert bad.verdict == ("free" if operation == "dot" else "FAIL")
    if operation == "encode":
        assert campaign(Counting(rare, backwards=True), random)[0] == bad


@pytest.mark.parametrize("profile", [OCP.replace(scale_rule="RCEIL"), None])
@pytest.mark.parametrize("rare", [False, True])
def test_blocks_that_a_legal_cause_leaves_unexplained(profile: Profile | None, rare: bool) -> None:
    chunk = Chunk(0, 0, "random", request_of("quantize", "MXFP4"), "smoke", 0, 0, 256)
    inputs = chunk.judge().cases.inputs
    hit = (inputs[:, 1] & 0x3F) == RARE & 0x3F
    # Without a profile the cause is a scale rule of its own.
    cause = Hypothesis("legal", "profile", 1, 1, profile)
    subject = InProcess(Subject("quantize", rare))
    result = do(subject, replace(chunk, under=cause))
    assert hit.sum() > 1
    if profile is None:
        assert (result.counts["wrong"] > 0) == rare
    else:
        assert result.counts["wrong"] == (hit.sum() if rare else 0)
    assert len(result.inputs) == min(result.counts["wrong"], chunks.FEW)


def test_a_sweep_is_held_against_a_legal_cause_as_well() -> None:
    request = request_of("encode", "E4M3")
    cause = Hypothesis("overflow", "profile", 1, 1, OCP.replace(overflow="overflow"))
    sweep = Chunk(0, 0, "inputs", request, "exhaustive", 0, 0x447A0200, 4096, under=cause)
    wrong = [
        do(InProcess(Subject("encode", rare)), sweep).counts["wrong"] for rare in (False, True)
    ]
    assert wrong == [0, 8]


def test_causes_that_fail_one_after_the_other_excuse_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("conformance.campaign.drive.TURNS", 0)
    run = Run("./own.py", InProcess(Subject("encode")).introduce(), "smoke", None)
    plan = make_plan(run, Filters(), 2048, 1)
    with closing(Ledger(None, identity(run, Filters(), plan, 2048, 1), plan)) as ledger:
        work(plan, ledger, Counting(Subject("encode")))
        found = finish(run, plan, ledger, Filters()).groups[0]
    assert found.verdict == "FAIL"
    assert {one.verdict for one in found.clusters} <= {"FAIL", "free"}
    assert found.clusters[0].verdict == "FAIL"
    assert not found.hypotheses


def request_of(operation: str, fmt: str, carrier: str = "binary32", **more: Any) -> Request:
    return Request(operation, fmt, carrier, Terms(OCP, **{"declared": False, **more}))


def merged(subject: Any, *pieces: Chunk) -> Group:
    given = InProcess(subject)
    return merge(Group(*pieces[0].request.key, OCP), [(one, do(given, one)) for one in pieces])


class Tail:
    """A vector kernel whose remainder is wrong, or raises."""

    name, version = "tail", "1"
    capabilities: ClassVar[dict[str, Any]] = {
        "operations": {"encode": {"formats": ["E2M1"], "carriers": ["binary16"]}}
    }

    def __init__(self, raises: bool) -> None:
        self.raises = raises

    def encode(self, values: Any, fmt: str) -> Any:
        codes = mxemu.encode(values, fmt)
        whole = len(values) // 4096 * 4096
        if self.raises and whole < len(values):
            raise ValueError("no remainder")
        codes[whole:] ^= 1
        return codes


@pytest.mark.parametrize(("raises", "verdict"), [(False, "FAIL"), (True, "crash")])
def test_what_comes_of_the_calls_of_the_level_alone_counts(raises: bool, verdict: str) -> None:
    request = request_of("encode", "E2M1", "binary16", declared=True)
    level = Chunk(0, 0, "cases", request, "smoke")
    sweep = [
        Chunk(1 + n, 0, "inputs", request, "smoke", n, n << 12, 1 << 12) for n in range(1 << 4)
    ]
    group = merged(Tail(raises), level, *sweep)
    assert group.verdict == verdict
    assert sum(group.counts.values()) == 1 << 16
    assert 0 < group.counts[verdict] <= len(level.judge().cases)


class Late:
    """Decodes the first 300 codes of a call only."""

    name, version = "late", "1"
    capabilities: ClassVar[dict[str, Any]] = {
        "operations": {"decode": {"formats": ["E4M3"], "carriers": ["binary32"]}}
    }

    def decode(self, codes: Any, fmt: str) -> Any:
        values = mxemu.decode(codes, fmt)
        values[300:] = 1.0
        return values


def test_another_answer_to_an_input_of_the_level_is_judged() -> None:
    request = request_of("decode", "E4M3")
    level = Chunk(0, 0, "cases", request, "smoke")
    group = merged(Late(), level, Chunk(1, 0, "random", request, "smoke", 0, 0, 400))
    assert group.verdict == "FAIL"
    assert group.clusters[0].verdict == "FAIL"
    assert group.clusters[0].first.dut.value == "1"


def beside(subject: Any, request: Request, **counts: int) -> Group:
    """A group of the cases of the level and of a chunk of which nothing was kept."""
    level = Chunk(0, 0, "cases", request, "smoke")
    told = Result({**dict.fromkeys(COUNTED, 0), "total": 10, **counts})
    done = [(level, do(InProcess(subject), level)), (replace(level, kind="random"), told)]
    return merge(Group(*request.key, OCP), done)


def test_no_difference_vanishes() -> None:
    assert beside(Late(), request_of("decode", "E4M3"), wrong=3).counts["FAIL"] == 3


def test_impossible_results_fail_beside_a_legal_accumulation() -> None:
    request = request_of("dot", "MXFP8_E4M3", accumulation=EXACT, takes_c=True)
    found = beside(Subject("dot"), request, wrong=4, impossible=2)
    assert found.hypotheses[0].complete
    assert (found.verdict, found.counts["FAIL"]) == ("FAIL", 2)


class Swaps:
    """Exchanges the codes of each pair."""

    name, version = "swaps", "1"
    capabilities: ClassVar[dict[str, Any]] = {
        "operations": {"encode": {"formats": ["E2M1"], "carriers": ["binary32"]}}
    }

    def encode(self, values: Any, fmt: str) -> Any:
        codes = mxemu.encode(values, fmt)
        even = len(codes) // 2 * 2
        codes[:even] = codes[:even].reshape(-1, 2)[:, ::-1].ravel()
        return codes


def test_random_cases_do_not_hide_a_layout() -> None:
    request = request_of("encode", "E2M1", declared=True)
    level = Chunk(0, 0, "cases", request, "smoke")
    group = merged(Swaps(), level, Chunk(1, 0, "random", request, "smoke", 0, 0, 600))
    assert group.verdict == "FAIL"
    assert (group.hypotheses[0].kind, group.hypotheses[0].complete) == ("layout", True)
    assert group.counts["FAIL"] > group.clusters[0].count


@pytest.mark.parametrize(
    ("sizes", "most", "taken"),
    [
        ([3, 3], 9, [3, 3]),
        ([8, 2, 8], 10, [4, 2, 4]),
        ([5, 5, 5, 5, 5], 3, [1, 1, 1]),
    ],
)
def test_every_chunk_has_its_share(sizes: list[int], most: int, taken: list[int]) -> None:
    none = dict.fromkeys(COUNTED, 0)
    parts = [
        Result(none, inputs=n, theme=n, observed=n, raised=n > 0) for n in map(np.arange, sizes)
    ]
    found = merging.spread(parts, most)
    assert [len(part.theme) for part in found] == taken
    assert found[-1].inputs[0] == 0
    assert all(len(part.raised) == len(part.observed) for part in found)


def test_each_seed_has_cases_of_its_own() -> None:
    chunk = Chunk(0, 0, "random", request_of("encode", "E4M3"), "core", 1, 0, 10)
    seeds = (0, 5, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1)
    drawn = [plans.generator(replace(chunk, seed=seed)).integers(1 << 60) for seed in seeds]
    assert len(set(drawn)) == len(seeds)
    # Those of a small seed stay what they have been.
    counter = plans.generator(chunk).bit_generator.state["state"]["counter"]
    plain = np.random.Generator(np.random.Philox(key=[5, 1], counter=counter))
    assert drawn[1] == plain.integers(1 << 60)


def test_numbers_of_chunks_are_used_once() -> None:
    run = Run("./own.py", InProcess(Subject("encode")).introduce(), "smoke", None)
    plan: Plan = make_plan(run, Filters(), 4096, 1)
    cause = Hypothesis("overflow=overflow", "profile", 1, 1)
    again = [plan.again(one, cause, turn).number for turn in range(3) for one in plan.chunks]
    numbers = [one.number for one in plan.chunks] + again
    numbers += [plan.culprit(plan.of(place)[0]).number for place in range(plan.groups)]
    assert len(set(numbers)) == len(numbers)
