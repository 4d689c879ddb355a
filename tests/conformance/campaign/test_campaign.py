"""Campaigns: one report whoever does the chunks, in whatever order, and whatever is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner, Result

import mxemu
from conformance import zoo
from conformance.campaign import (
    Chunk,
    Cluster,
    Crew,
    Here,
    Ledger,
    Plan,
    Pool,
    Settings,
    check_in_chunks,
    finish,
    make_plan,
    work,
)
from conformance.campaign import chunk as chunks
from conformance.campaign import plan as plans
from conformance.campaign.ledger import identity, status
from conformance.campaign.merge import merge
from conformance.campaign.workers import perform
from conformance.report.json_report import render
from conformance.runner import Filters, Request, Run, judge_of, requests
from conformance.verdict import Group, Terms
from conformance.worker import InProcess, Worker
from conformance.zoo.reference import Reference
from mxemu.cli import cli
from mxemu.cli.campaign import rate
from mxemu.errors import MxemuError
from mxemu.profile import OCP

ROOT = Path(__file__).resolve().parents[3]
SUBJECT = str(Path(__file__).parent / "subjects" / "unlucky.py")
WRONG = f"{SUBJECT}:wrong"
NOTED = f"{SUBJECT}:noted"
RANDOM = 1_280
"""Five chunks of numbers and ten of products."""


@pytest.fixture(scope="module")
def small_chunks() -> Iterator[None]:
    """Chunks of few cases."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(plans.ROWS, "encode", 256)
        patch.setattr(plans, "PRODUCTS", 128)
        yield


def planned(target: str = WRONG, random: int = RANDOM) -> tuple[Run, Plan]:
    run = Run(target, InProcess(target).introduce(), "smoke", None)
    return run, make_plan(run, Filters(), random, 3)


def report(crew: Crew, target: str = WRONG, tell: Any = lambda _, __: None) -> str:
    """The report of a campaign, as JSON."""
    run, plan = planned(target)
    about = identity(run, Filters(), plan, RANDOM, 3)
    with closing(crew), closing(Ledger(None, about, plan)) as ledger:
        work(plan, ledger, crew, tell)
        return render(finish(run, plan, ledger, Filters()), 1)


@pytest.fixture(scope="module")
def expected(small_chunks: None) -> str:
    """The report of one process."""
    return report(Here(InProcess(WRONG)))


def settings(**more: Any) -> Settings:
    return Settings(WRONG, "unlucky 1", apart=False, **more)


def test_the_report_counts_all_cases_and_explains_them(expected: str) -> None:
    encode, dot = json.loads(expected)["groups"][:2]
    assert sum(encode["verdicts"].values()) > RANDOM
    assert encode["verdicts"]["FAIL"] > 1
    assert encode["verdicts"]["crash"] > 1
    assert "an unlucky number" in encode["reason"]
    assert dot["verdicts"]["free"] > RANDOM // 2
    assert not dot["verdicts"]["FAIL"]
    assert dot["hypotheses"][0]["name"] == "nv-hopper-fp8-wgmma"
    assert encode["clusters"][0]["token"].startswith("mxr1:")


class Backwards(Here):
    """The last chunk first."""

    def results(self, chunks: Iterable[Chunk]) -> Iterator[Any]:
        return super().results(list(chunks)[::-1])


def test_the_order_does_not_matter(expected: str) -> None:
    assert report(Backwards(InProcess(WRONG))) == expected


@pytest.mark.slow
def test_two_processes_give_the_same_report(expected: str) -> None:
    assert report(Pool(settings(), 2)) == expected


@pytest.mark.slow
def test_three_workers_of_which_one_is_killed_give_the_same_report(expected: str) -> None:
    own = Cluster(settings(), "local:3")
    crew = Cluster(settings(), own.client.scheduler_info()["address"])
    before = crew.client.run(os.getpid)
    killed = []

    def tell(chunk: Chunk, _: object) -> None:
        if chunk.number and not killed:
            killed.append(next(iter(before.values())))
            os.kill(killed[0], signal.SIGKILL)

    with closing(own):
        assert len(before) == 3
        assert report(crew, tell=tell) == expected
        assert not any(map(is_alive, killed))
    assert killed


class Falling:
    """A pool whose process ends while it does chunk 2, as often as is said."""

    def __init__(self, falls: int) -> None:
        self.falls = falls
        self.alone: list[bool] = []

    def submit(self, do: Any, given: Settings, chunk: Chunk) -> Future[Any]:
        future: Future[Any] = Future()
        if chunk.number == 2 and self.falls:
            self.falls -= 1
            future.set_exception(BrokenProcessPool("ended"))
        else:
            future.set_result(do(given, chunk))
        return future

    def shutdown(self, **_: Any) -> None:
        pass


@pytest.mark.parametrize("falls", [1, 3])
def test_chunks_of_a_process_that_ends_are_done_again(
    falls: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Falling(falls)
    monkeypatch.setattr(Pool, "_started", lambda _: pool)
    found = report(Pool(settings(), 2))
    if falls == 1:
        assert found == expected
    else:
        assert "took down the process that judges it" in found
        counts = json.loads(found)["groups"][0]["verdicts"]
        assert counts["crash"] >= plans.rows_of(planned()[1].chunks[2].request)


def started(*arguments: str, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mxemu", "check", NOTED, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "UNLUCKY_LOG": str(log)}
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)


def recorded(ledger: Path) -> int:
    try:
        return sum(group.done for group in status(ledger)[1])
    except (MxemuError, sqlite3.Error):
        return 0


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_campaign_that_is_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, ledger = tmp_path / "log", tmp_path / "ledger"
    words = ["--level", "smoke", "--fuzz", str(20 << 16), "--output-format", "json"]
    process = started(*words, "--jobs", "2", "--ledger", str(ledger), log=log)
    while recorded(ledger) < 4 and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = recorded(ledger)
    assert 4 <= done < 19
    subjects = {int(line.split()[1]) for line in log.read_text().splitlines()}
    for _ in range(200):
        if any(map(is_alive, subjects)):
            time.sleep(0.05)
    assert not any(map(is_alive, subjects))
    asked = log.read_text().splitlines()
    # What was under way when it was killed is lost; the rest is there, and is not asked for again.
    assert len(asked) <= done + 4
    monkeypatch.setenv("UNLUCKY_LOG", str(log))
    resumed = check(NOTED, *words, "--in-process", "--ledger", str(ledger))
    every = Counter(line.split()[0] for line in log.read_text().splitlines())
    assert (recorded(ledger), len(every)) == (21, 21)
    assert sum(every.values()) == len(asked) + 21 - done
    monkeypatch.delenv("UNLUCKY_LOG")
    assert resumed.stdout == check(NOTED, *words, "--in-process").stdout
    assert resumed.exit_code == 0


def check(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments])


def test_a_ledger_is_of_one_campaign(tmp_path: Path) -> None:
    run, plan = planned(random=100)
    about = identity(run, Filters(), plan, 100, 3)
    Ledger(tmp_path, about, plan).close()
    for key, value in about.items():
        changed = {**about, key: ["other"] if isinstance(value, list) else "other"}
        with pytest.raises(
            MxemuError, match=rf"campaign\.sqlite has {key} .*; this check has other$"
        ):
            Ledger(tmp_path, changed, plan)
    with closing(Ledger(tmp_path, about, plan)), pytest.raises(MxemuError, match="another check"):
        Ledger(tmp_path, about, plan)
    (tmp_path / "text").write_text("no ledger, but long enough to be read as one\n" * 99)
    with pytest.raises(MxemuError, match="as a ledger"):
        Ledger(tmp_path / "text", about, plan)


def test_what_a_ledger_depends_on(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(Path(SUBJECT).read_text())
    run, plan = planned(f"{path}:wrong", random=100)
    about = identity(run, Filters(), plan, 100, 3)
    path.write_text(path.read_text() + "\n")
    assert identity(run, Filters(), plan, 100, 3)["file"] != about["file"]
    run.level = "core"
    assert identity(run, Filters(("dot",)), plan, 100, 3) != about
    assert {"mxemu", "numpy", "target", "subject", "level", "fuzz", "seed", "profile"} < set(about)


def test_status_says_how_far_it_is(tmp_path: Path, small_chunks: None) -> None:
    ledger = str(tmp_path / "ledger")
    words = ["--level", "smoke", "--fuzz", "512", "--seed", "5", "--ledger", ledger]
    check(WRONG, *words, "--in-process")
    with closing(sqlite3.connect(ledger)) as base, base:
        base.execute("DELETE FROM results WHERE number IN (1, 2)")
    lines = check(WRONG, "--ledger", ledger, "--status").stdout.splitlines()
    assert lines[0] == "unlucky 1   level smoke   fuzz 512 seed 5"
    assert lines[1].startswith("encode E4M3 (binary32)      33 %  ")
    assert lines[2].startswith("dot MXFP8_E4M3 (binary32)  100 %  ")
    assert lines[3] == "75 %: 6 of 8 chunks"
    assert "expected --ledger" in check(WRONG, "--status").stderr
    assert "there is no ledger" in check(WRONG, "--status", "--ledger", f"{ledger}s").stderr


class Right(Reference):
    """Is right about everything."""


def small(name: str, timeout: float) -> tuple[Group, list[str]]:
    """A group of two chunks, of which the second holds the one input that a subject does not survive."""
    request = Request("encode", "E2M1", "binary32", Terms(OCP, False))
    parts = [(0x3F800000, 128), (0x3F8050A0, 8)]
    whole = Plan(
        tuple(
            Chunk(number, 0, "inputs", request, "smoke", number, *part)
            for number, part in enumerate(parts)
        ),
        1,
    )
    worker = Worker(f"{SUBJECT}:{name}", timeout)
    run = Run(worker.target, InProcess(worker.target).introduce(), "smoke", None)
    with (
        closing(worker),
        closing(Ledger(None, identity(run, Filters(), whole, 0, 0), whole)) as ledger,
    ):
        work(whole, ledger, Here(worker))
        kinds = [result.kind for result in ledger.get(0).values()]
        return finish(run, whole, ledger, Filters()).groups[0], kinds


def test_a_chunk_that_kills_is_a_crash_and_the_rest_goes_on() -> None:
    group, kinds = small("dies", 60.0)
    assert kinds == ["", "died", ""]
    assert (group.counts["crash"], group.counts["pass"]) == (8, 128)
    assert "SIGSEGV" in group.reason
    assert group.clusters[0].first.given.hex == "0x3F8050A5"


def test_a_chunk_that_hangs_is_a_crash_and_the_rest_goes_on() -> None:
    group, kinds = small("hangs", 1.0)
    assert kinds == ["", "hung"]
    assert (group.counts["crash"], group.counts["pass"]) == (8, 128)
    assert "gave no answer" in group.reason


class Spoiled:
    """ml_dtypes' convention for what overflows, and one wrong bit every 2^12 inputs from some input on."""

    name, version = "spoiled", "1"
    capabilities: ClassVar[dict[str, Any]] = {
        "operations": {"encode": {"formats": ["E4M3"], "carriers": ["binary32"]}},
        "profile": "ocp-overflow",
    }

    def __init__(self, first: int) -> None:
        self.first = first

    def encode(self, values: Any, element: str, profile: Any) -> Any:
        codes = mxemu.encode(values, element, profile=profile)
        bits = values.view(np.uint32)
        return np.where((bits >= self.first) & (bits % 4096 == 77), codes ^ 1, codes)


def swept(subject: Any) -> Group:
    """A check with all inputs of binary16, in chunks."""
    request = Request("encode", "E2M1", "binary16", Terms(OCP, declared=True))
    pieces = [
        ("cases", 0, 0),
        *(("inputs", first, 1 << 12) for first in range(0, 1 << 16, 1 << 12)),
    ]
    numbered = enumerate(pieces)
    whole = [Chunk(n, 0, kind, request, "smoke", n, *part) for n, (kind, *part) in numbered]
    return merge(Group(*request.key, OCP), Here(InProcess(subject)).results(whole))


@pytest.mark.parametrize(("subject", "failing"), [(zoo.half_up, 7), (Right(), 0)])
def test_a_sweep_counts_every_input_once(subject: Reference, failing: int) -> None:
    group = swept(subject)
    assert sum(group.counts.values()) == 1 << 16
    assert group.counts["FAIL"] == failing
    assert [one.name for one in group.hypotheses] == (["half-up"] if failing else [])


class Refuses(Right):
    """Raises when it sees 32."""

    def encode(self, values: Any, name: str, profile: Any = OCP) -> Any:
        if (values == 32).any():
            raise ValueError("not 32")
        return super().encode(values, name, profile)


def test_one_input_that_raises_in_a_sweep_is_one_crash() -> None:
    group = swept(Refuses())
    assert (group.counts["crash"], group.counts["pass"]) == (1, (1 << 16) - 1)
    assert group.reason.startswith("ValueError: not 32")
    assert group.clusters[0].first.given.hex == "0x5000"


def test_a_sweep_counts_every_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "SWEEP", 1 << 16)
    first = 0x43DF0000
    sweep = [("cases", 0, 0, 0), *(("inputs", i, first + (i << 16), 1 << 16) for i in range(4))]
    monkeypatch.setattr(plans, "_pieces", lambda *_: iter(sweep))
    subject = InProcess(Spoiled(first + (3 << 16)))
    run = Run("spoiled", subject.introduce(), "exhaustive", None)
    request = next(requests(run, Filters()))
    level = "smoke"
    group = check_in_chunks(subject, request, level, Group(*request.key, request.terms.profile))
    assert group.counts == {
        "pass": 4 * 65536 - 16,
        "FAIL": 16,
        "free": 0,
        "unsupported": 0,
        "crash": 0,
    }
    # Counted from the tables where all is as declared, and case by case where it is not.
    values = np.arange(first, first + (4 << 16), dtype=np.uint32).view(np.float32)
    one = judge_of(request, level)
    saturated = subject.subject.encode(values, "E4M3", OCP)
    found = subject.subject.encode(values, "E4M3", request.terms.profile)
    assert group.beside_ocp == int((found != saturated).sum() + 16 * (found[-1] == saturated[-1]))
    assert len(one.cases) < 5000


def test_counts_from_tables_are_those_of_a_comparison() -> None:
    request = Request("encode", "E4M3", "binary32", Terms(OCP.replace(overflow="overflow"), True))
    for first in (0x43E00000 - 500, 0x7F800000 - 500, 0xC3E80000 - 500, 0xFF800000 - 500):
        sweep = Chunk(0, 0, "inputs", request, "exhaustive", 0, first, 1000)
        judge = sweep.judge()
        answers = chunks.Answers(judge.expected(request.terms.profile), np.zeros(1000, bool))
        slow = chunks.summary(judge, answers, sweep).counts["beside_ocp"]
        assert chunks.inputs_beside(request, first, 1000) == slow
    # From -Inf on to the last NaN: of these only Inf has another code.
    assert slow == 501


def test_a_worker_of_another_version_is_refused() -> None:
    one = planned()[1].chunks[0]
    for wrong in ({"mxemu": "0"}, {"numpy": "0"}):
        with pytest.raises(MxemuError, match="this campaign is one of 0"):
            perform(settings(**wrong), one)
    with pytest.raises(MxemuError, match="has unlucky 1; this campaign is one of unlucky 2"):
        perform(replace(settings(), subject="unlucky 2"), one)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fuzz", "9", "--profile", "auto"], "--fuzz and --profile auto"),
        (["--jobs", "2", "--in-process"], "--jobs and --in-process"),
        (["--jobs", "2", "--scheduler", "local:2"], "--scheduler and --jobs"),
        (["--ledger", "a", "--write-profile", "b"], "--ledger and --write-profile"),
        (["--fuzz", "9", "--scheduler", "local:many"], "expected local:N"),
        (["--fuzz", "9", "--scheduler", "nowhere"], "cannot reach the scheduler nowhere"),
        (["--fuzz", "9", "--ledger", "/nowhere/at/all"], "cannot open the ledger"),
    ],
)
def test_wrong_use(words: list[str], said: str) -> None:
    result = check(WRONG, "--level", "smoke", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr.splitlines()[0]


def test_rates_are_short() -> None:
    assert [rate(one) for one in (0.4, 950, 1.25e4, 8.5e7)] == [
        *("0 cases/s", "950 cases/s", "12.5 k cases/s", "85.0 M cases/s")
    ]
