"""Subjects that crash, hang, raise or return nonsense: each is a verdict or one line, and never a traceback of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner, Result

from conformance.runner import FRUITLESS_CALLS, MOST_CALLS, Filters, Run, check
from conformance.worker import MEMORY_SHARE, InProcess, Worker, machine_memory
from mxemu.cli import cli
from mxemu.cli.check import exit_code
from mxemu.errors import MxemuError, Unsupported
from mxemu.profile import OCP

SUBJECTS = Path(__file__).parent / "subjects"
ROOT = Path(__file__).resolve().parents[2]
GB = 10**9
DEPTH = 32  # parts that are still to be asked for when the calls are used up


def mxemu(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments, "--level", "smoke"])


def checked(name: str, timeout: float = 20, memory: int | None = None) -> tuple[Run, int]:
    """A subject of the folder, checked in a worker, and how often the worker was started again."""
    worker = Worker(str(SUBJECTS / name), timeout, memory)
    try:
        run = check(worker, Run(name, worker.introduce(), "smoke", None), Filters())
    finally:
        worker.close()
    return run, worker.restarts


def in_process(**functions: object) -> Run:
    """An object with these functions, each for E2M1 and binary32, checked in this process."""
    offers = {operation: {"formats": ["E2M1"], "carriers": ["binary32"]} for operation in functions}
    subject = SimpleNamespace(
        name="mine", version="1", capabilities={"operations": offers}, **functions
    )
    worker = InProcess(subject)
    return check(worker, Run("mine", worker.introduce(), "smoke", None), Filters())


CRASHES = {
    "segfault.py": "died of signal 11 (SIGSEGV)",
    "exits.py": "ended with exit status 3",
    "raises.py": "RuntimeError: E2M1 lost its table and a second line (raises.py:9)",
    "wrong_shape.py": "returned codes of shape (1263,); expected (1264,)",
    "wrong_dtype.py": "returned codes of dtype float32; expected integers",
    "too_large.py": "returned arrays of 1,264,000 GB",
    "nothing.py:empty": "returned 0 arrays; expected one",
    "nothing.py:pair": "returned 2 arrays; expected one",
    "nothing.py:none": "returned an array of dtype object",
}


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_is_a_verdict(name: str) -> None:
    run, _ = checked(name)
    (group,) = run.groups
    assert (group.verdict, group.reason) == ("crash", CRASHES[name])
    assert group.counts["crash"] == sum(group.counts.values())
    assert exit_code(run) == 1


def test_an_endless_loop_is_a_verdict_and_its_process_is_ended() -> None:
    worker = Worker(str(SUBJECTS / "hangs.py"), timeout=0.5)
    run = Run("hangs", worker.introduce(), "smoke", None)
    assert worker._process is not None  # noqa: SLF001
    process = worker._process.pid  # noqa: SLF001
    start = time.monotonic()
    check(worker, run, Filters())
    worker.close()
    assert time.monotonic() - start < 5
    assert (run.groups[0].verdict, run.groups[0].reason) == (
        "crash",
        "gave no answer within 0.5 s",
    )
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_after_a_crash_the_other_groups_are_checked_in_a_new_process() -> None:
    run, restarts = checked("partly.py")
    verdicts = {group.key: group.verdict for group in run.groups}
    assert verdicts == {
        ("encode", "E2M1", "binary64"): "crash",
        ("encode", "E2M1", "binary32"): "pass",
        ("decode", "E2M1", "binary32"): "pass",
    }
    assert restarts >= 1
    assert run.groups[0].log == "partly: no table for 64 bits"


def test_a_report_shows_the_last_words_of_what_died() -> None:
    result = mxemu(str(SUBJECTS / "partly.py"), "--carrier", "binary64")
    assert result.exit_code == 1
    assert "the subject died of signal 9 (SIGKILL)" in result.stdout
    assert "      | partly: no table for 64 bits" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_a_subject_that_cannot_be_loaded_again_costs_only_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "once.py"
    text = (SUBJECTS / "partly.py").read_text().replace("print(", "os.unlink(__file__); print(")
    path.write_text(f"import sys\nsys.path.append({str(SUBJECTS)!r})\n{text}")
    result = mxemu(str(path), "--output-format", "json")
    groups = json.loads(result.stdout)["groups"]
    assert [group["verdict"] for group in groups] == ["crash"] * 3
    assert groups[0]["reason"] == "died of signal 9 (SIGKILL)"
    assert groups[1]["reason"].startswith("could not be loaded again: file ")
    assert result.exit_code == 1


NOT_LOADED = {
    "syntax_error.py": "SyntaxError: 'return' outside function (syntax_error.py:4)",
    "missing_name.py": "has no 'name'",
    "broken_import.py": "KeyError: 'version' (broken_import.py:4)",
    "exits_at_once.py": "it called exit(3)",
    "bad_record.py:subject": "RuntimeError: no device found (bad_record.py:10)",
    "absent.py": "is not there",
    "good.py:absent": "absent",
}


@pytest.mark.parametrize("name", NOT_LOADED)
def test_what_cannot_be_loaded_is_one_line_and_exit_2(name: str) -> None:
    result = mxemu(str(SUBJECTS / name))
    assert (result.exit_code, result.stdout) == (2, "")
    first = result.stderr.splitlines()[0]
    assert first.startswith("error: ")
    assert NOT_LOADED[name] in first
    assert "Traceback" not in result.stderr
    assert all(line.startswith("hint: ") for line in result.stderr.splitlines()[1:])


def test_a_subject_that_dies_while_it_is_loaded_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "dies.py"
    path.write_text("import os\nos._exit(5)\n")
    result = mxemu(str(path))
    assert result.exit_code == 2
    assert "the subject ended with exit status 5 while it was loaded" in result.stderr


def test_what_a_subject_prints_is_no_part_of_the_report() -> None:
    result = mxemu(str(SUBJECTS / "prints.py"), "--output-format", "json")
    assert json.loads(result.stdout)["verdict"] == "pass"
    assert (result.exit_code, result.stderr) == (0, "")


def test_in_process_prints_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    def encode(values: np.ndarray, name: str) -> np.ndarray:
        print("a word")
        return np.zeros(len(values), dtype=np.uint8)

    in_process(encode=encode)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "a word\n")


def test_leaving_by_exit_does_not_end_the_checker() -> None:
    def encode(values: np.ndarray, name: str) -> np.ndarray:
        sys.exit(0)

    (group,) = in_process(encode=encode).groups
    assert (group.verdict, group.reason) == ("crash", "called exit(0)")


def test_whatever_is_raised_is_an_outcome() -> None:
    class Odd(BaseException):
        pass

    def encode(values: np.ndarray, name: str) -> np.ndarray:
        raise Odd

    (group,) = in_process(encode=encode).groups
    assert group.verdict == "crash"
    assert group.reason.startswith("Odd: no message (test_worker.py:")


def test_unsupported_is_no_crash() -> None:
    def encode(values: np.ndarray, name: str) -> np.ndarray:
        raise Unsupported("not on this machine")

    run = in_process(encode=encode)
    assert [group.verdict for group in run.groups] == ["unsupported"]
    assert run.groups[0].reason == "not on this machine"
    assert exit_code(run) == 4


# Subjects that raise for some inputs only.

TABLE = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
MIDDLES = (TABLE[1:] + TABLE[:-1]) / 2


def right(values: np.ndarray) -> np.ndarray:
    """E2M1, ties to even, by search."""
    with np.errstate(invalid="ignore"):
        magnitudes = np.abs(values.astype(np.float64))
    below = np.searchsorted(MIDDLES, magnitudes, side="left")
    above = np.searchsorted(MIDDLES, magnitudes, side="right")
    return np.where(below % 2 == 0, below, above) | 8 * (np.signbit(values) & ~np.isnan(values))


def raises_for(bad: object, calls: list[int]) -> Run:
    def encode(values: np.ndarray, name: str) -> np.ndarray:
        calls.append(len(values))
        if bad(values).any():  # type: ignore[operator]
            raise ValueError("not these")
        return right(values)

    return in_process(encode=encode)


def test_one_input_that_raises_hides_no_other() -> None:
    calls: list[int] = []
    (group,) = raises_for(lambda values: values == 2.5, calls).groups
    assert (group.counts["crash"], group.counts["FAIL"]) == (1, 0)
    assert group.reason.startswith("ValueError: not these")
    assert group.clusters[0].first.text() == (
        "MX-5.3.3-RNE  in 0x40200000 = 2.5  dut raised  ref 0x4 0_10_0 = 2"
    )
    assert len(calls) < 50


def test_a_range_of_inputs_that_raises_is_counted_exactly() -> None:
    calls: list[int] = []
    seen: list[np.ndarray] = []

    def negative(values: np.ndarray) -> np.ndarray:
        seen.append(values)
        return values < 0

    (group,) = raises_for(negative, calls).groups
    assert group.counts["crash"] == int((seen[0] < 0).sum())
    assert len(calls) < MOST_CALLS + DEPTH


def test_raising_where_the_specification_is_silent_is_a_convention() -> None:
    calls: list[int] = []
    (group,) = raises_for(np.isnan, calls).groups
    assert group.verdict == "free"
    assert group.open_hypothesis is not None
    assert group.open_hypothesis.name == "refuses these inputs"
    assert "dut raised" in group.clusters[0].first.text()


def test_what_always_raises_is_not_asked_for_long() -> None:
    calls: list[int] = []
    (group,) = raises_for(lambda values: values == values, calls).groups  # noqa: PLR0124 - NaN alone passes
    assert group.counts["crash"] > 0
    calls.clear()
    (group,) = raises_for(lambda values: np.ones_like(values, dtype=bool), calls).groups
    assert group.counts["crash"] == sum(group.counts.values())
    assert len(calls) < FRUITLESS_CALLS + DEPTH


# Memory.


def test_a_memory_hog_is_a_verdict_and_what_follows_is_checked() -> None:
    run, restarts = checked("memory_hog.py", memory=GB // 4)
    hog, after = run.groups
    assert (hog.verdict, after.verdict) == ("crash", "pass")
    assert hog.reason.startswith("ran out of memory: MemoryError")
    assert restarts == 1


def test_the_limit_is_an_option() -> None:
    result = mxemu(str(SUBJECTS / "memory_hog.py"), "--memory-limit", "0.25")
    assert result.exit_code == 1
    assert "the subject ran out of memory: MemoryError: no message (memory_hog.py:" in result.stdout


def test_the_limit_leaves_room_for_a_chunk_of_an_exhaustive_run(tmp_path: Path) -> None:
    path = tmp_path / "zeros.py"
    record = {"operations": {"encode": {"formats": ["E2M1"], "carriers": ["binary32"]}}}
    path.write_text(
        f"import numpy as np\nname, version, capabilities = 'zeros', '1', {record!r}\n\n"
        "def encode(values, element):\n    return np.zeros(len(values), np.int64)\n"
    )
    worker = Worker(str(path), memory=GB // 2)
    try:
        worker.introduce()
        outcome = worker.call("encode", (np.zeros(1 << 24, dtype=np.float32),), ("E2M1", OCP))
    finally:
        worker.close()
    assert (outcome.kind, outcome.arrays[0].shape) == ("ok", (1 << 24,))


def test_three_quarters_of_the_memory_are_a_subjects() -> None:
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < machine_memory() <= pages
    assert Worker("good").memory == int(machine_memory() * MEMORY_SHARE)
    assert MEMORY_SHARE < 1


# The process itself.


def test_arrays_of_any_kind_go_there_and_back() -> None:
    worker = Worker(str(SUBJECTS / "good.py"))
    codes = [np.arange(16, dtype=dtype) for dtype in (np.uint8, np.int16, np.uint64)]
    codes += [np.zeros(0, dtype=np.uint8), np.arange(32, dtype=np.uint8)[::2] // 2]
    try:
        worker.introduce()
        for given in codes:
            outcome = worker.call("decode", (given,), ("E2M1",))
            assert outcome.kind == "ok"
            assert outcome.arrays[0].dtype == np.float32
            assert outcome.arrays[0].shape == given.shape
            assert np.array_equal(
                outcome.arrays[0][:8].view(np.uint32), TABLE[given[:8]].astype("f4").view("u4")
            )
    finally:
        worker.close()


def test_a_process_that_is_killed_from_outside_is_started_again() -> None:
    worker = Worker(str(SUBJECTS / "good.py"))
    codes = np.arange(16, dtype=np.uint8)
    try:
        worker.introduce()
        assert worker._process is not None  # noqa: SLF001
        os.kill(worker._process.pid, signal.SIGKILL)  # noqa: SLF001
        outcomes = [worker.call("decode", (codes,), ("E2M1",)) for _ in range(2)]
    finally:
        worker.close()
    assert [outcome.kind for outcome in outcomes] == ["died", "ok"]
    assert worker.restarts == 1


def test_a_subject_finds_nothing_on_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "asks.py"
    text = (SUBJECTS / "raises.py").read_text()
    path.write_text(text[: text.index("    raise")] + "    return input()\n")
    worker = Worker(str(path), timeout=10)
    try:
        worker.introduce()
        outcome = worker.call("encode", (np.zeros(3, dtype=np.float32),), ("E2M1", OCP))
    finally:
        worker.close()
    assert (outcome.kind, outcome.message[:8]) == ("raised", "EOFError")


def test_nothing_in_the_working_directory_hides_a_module(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise RuntimeError('not this one')\n")
    (tmp_path / "mine.py").write_text((SUBJECTS / "good.py").read_text())
    command = [sys.executable, "-P", "-m", "mxemu", "check", "./mine.py", "--level", "smoke"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_worker_that_was_closed_says_nothing_and_can_be_closed_again() -> None:
    worker = Worker(str(SUBJECTS / "good.py"))
    worker.introduce()
    worker.close()
    worker.close()
    with pytest.raises(MxemuError, match="unknown subject 'none'"):
        Worker("none").introduce()
