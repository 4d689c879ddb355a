"""The benchmark itself: the committed page follows from the committed record, and marks are judged as they say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from bench import cli, marks, page, tables
from bench.chart import chart
from bench.converters import Copy
from bench.machine import Busy
from bench.peer import Missing, load, nibbles, scale_and_codes, value_bits
from bench.peers import PEERS, installed
from bench.rounds import Contest, Way, differences, interleaved, measure, quartiles
from bench.works import Plan, Works


@pytest.mark.parametrize("name", cli.FILES[1:])
def test_page_and_chart_follow_from_the_record(name: str) -> None:
    assert (cli.HERE / name).read_text(encoding="utf-8") == cli.rendered(cli.HERE)[name]


def test_the_record_is_of_a_complete_run_on_this_table_of_marks() -> None:
    run = json.loads((cli.HERE / cli.FILES[0]).read_text(encoding="utf-8"))
    assert run["plan"]["slow"]
    assert run["plan"]["rounds"] >= 7
    assert [verdict.mark.words for verdict in marks.verdicts(run) if verdict.met is None] == []


def test_a_record_is_read_as_it_was_written() -> None:
    run = a_run(contests=[contest("encode", "E4M3", 2.0, "torch")] * 2)
    text = cli.recorded(run)
    assert json.loads(text) == run
    assert text.count('\n  {"') == 2


def contest(work: str, name: str, ratio: float, against: str, **more: Any) -> dict[str, Any]:
    return {
        "work": work,
        "name": name,
        "threads": 1,
        "out": False,
        "elements": 1 << 20,
        "speeds": {"mxemu": [900.0, 1000.0, 1100.0], against: [90.0, 1000.0 / ratio, 2000.0]},
        "ratios": {against: [ratio / 2, ratio, ratio * 2]},
        "differ": {},
        **more,
    }


def a_run(**more: Any) -> dict[str, Any]:
    return {
        "date": "2026-01-02",
        "plan": {"threads": [1], "rounds": 7, "rows": 64, "elements": 1 << 20, "slow_rows": 8},
        "machine": {"processor": "one", "others": 0.03},
        "environment": {},
        "versions": {"mxemu": "1", "copy": "NumPy"},
        "missing": [],
        "contests": [],
        "scaling": [],
        "figures": [],
        **more,
    }


def verdict(run: dict[str, Any], words: str) -> marks.Verdict:
    (found,) = [each for each in marks.verdicts(run) if each.mark.words == words]
    return found


def test_a_mark_is_judged_by_its_least_favourable_median() -> None:
    contests = [
        contest("encode", "E4M3", 30.0, "ml_dtypes"),
        contest("encode", "E2M1", 11.9, "ml_dtypes", out=True),
        contest("encode", "E5M2", 12.1, "ml_dtypes"),
    ]
    found = verdict(a_run(contests=contests), ">= 12 x ml_dtypes")
    assert (found.met, found.word) == (False, "MISSED")
    assert found.measured == "11.9 x [5.95, 23.8] (E2M1, out=); best 30"
    assert verdict(a_run(contests=contests[::2]), ">= 12 x ml_dtypes").met


@pytest.mark.parametrize(
    ("ratio", "words", "against", "met"),
    [
        (1.0, "ahead of torch's cast", "torch", False),
        (1.01, "ahead of torch's cast", "torch", True),
        (1.0, "fresh result: >= 1.0 x a fresh float32 copy", "copy", True),
        (0.99, "fresh result: >= 1.0 x a fresh float32 copy", "copy", False),
    ],
)
def test_ahead_is_more_than_equal(ratio: float, words: str, against: str, met: bool) -> None:
    run = a_run(contests=[contest("encode", "E4M3", ratio, against)])
    assert verdict(run, words).met is met


def test_a_mark_about_some_formats_or_about_out_sees_no_others() -> None:
    contests = [
        contest("quantize", "E5M2, RCEIL", 0.5, "torchao"),
        contest("quantize", "E4M3, RCEIL", 1.5, "torchao"),
        contest("encode", "E4M3", 0.1, "copy", out=False),
        contest("encode", "E4M3", 0.9, "copy", out=True),
        contest("encode", "E4M3", 0.2, "copy", out=True, threads=2),
    ]
    run = a_run(contests=contests)
    assert verdict(run, "ahead of torch.compile'd torchao RCEIL on E4M3").met
    assert verdict(run, "with out=: >= 0.70 x np.copyto of float32").met


@pytest.mark.parametrize(("figure", "met"), [(8.0, True), (8.01, False)])
def test_a_figure_is_judged_by_the_largest(figure: float, met: bool) -> None:
    figures = [
        {"key": "small", "name": "encode", "unit": "us", "figures": [1.0, 2.0, 3.0]},
        {"key": "small", "name": "decode", "unit": "us", "figures": [1.0, figure, 9.0]},
    ]
    found = verdict(a_run(figures=figures), "<= 8 us a call")
    assert found.met is met
    assert found.measured == f"{figure:.3g} us [1, 9] (decode); best 2"


@pytest.mark.parametrize("said", [True, False])
def test_a_cold_start_has_to_say_what_it_does(said: bool) -> None:
    cold = {"key": "first cold", "name": "first", "unit": "s", "figures": [2.0] * 3, "said": said}
    words = next(mark.words for mark in marks.MARKS if mark.key == "first cold")
    assert verdict(a_run(figures=[cold]), words).met is said


def test_what_was_not_measured_is_said_with_the_reason() -> None:
    missing = [{"peer": "openvino", "why": "not here"}]
    found = verdict(a_run(missing=missing), "ahead of OpenVINO's cast")
    assert (found.met, found.word, found.measured) == (None, "not measured", "openvino: not here")
    assert verdict(a_run(), "inputs + outputs + <= 64 MB").measured == "left out of this run"


def test_every_mark_has_contests_or_figures_of_its_own() -> None:
    """Each key of the table is something that a run records."""
    works = {"encode", "profiles", "decode", "quantize", "bfloat16", "axis", "dequantize", "pack"}
    works |= {"blockwise", "exact", "fused"}
    assert all(hasattr(Works, work) for work in works)
    figures = {"small", "import", "first warm", "first cold", "memory", "digits ns", "fused ns"}
    assert {mark.key for mark in marks.MARKS} == works | figures
    assert {bool(mark.against) for mark in marks.MARKS if mark.key in figures} == {False}


def test_the_page_names_what_is_missing_and_what_differs() -> None:
    contests = [
        contest("encode", "E4M3", 2.0, "torch", differ={"torch": [3, 64]}),
        contest("encode", "E5M2", 2.0, "torch", differ={"torch": [0, 64]}),
    ]
    scaling = [
        {"work": work, "threads": 1, "elements": 1 << power, "speeds": [1.0, 100.0 * power, 9.0]}
        for work in ("encode", "quantize")
        for power in (10, 12)
    ]
    missing = [{"peer": "torchao", "why": "not installed"}]
    run = a_run(contests=contests, scaling=scaling, missing=missing)
    text = page.page(run)
    assert "- torchao: not installed\n" in text
    assert "| encode | E4M3 | torch | 3 of 64 |" in text
    assert "| E4M3 | fresh | 1 | 1000 | 500* |" in text
    assert "| E5M2 | fresh | 1 | 1000 | 500 |" in text
    assert "| 2^12 | 1200 | 1200 |" in text
    drawing = ET.fromstring(chart(run))
    bars = [bar for bar in drawing.iter() if bar.tag.endswith("rect")]
    assert [bar.get("class") for bar in bars] == ["own", "peer"] * 2
    assert float(bars[0].get("width", "0")) == 2 * float(bars[1].get("width", "0"))


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "unknown"),
        (0.03, "3% of the cores' time during the run"),
        (0.64, "64% of the cores' time during the run; too much for figures to be relied on"),
    ],
)
def test_a_busy_machine_is_no_place_to_measure(share: float | None, text: str) -> None:
    run = a_run(machine={"others": share})
    assert f"| other programs | {text} |" in page.page({**run, "scaling": []})


def test_own_time_is_not_that_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds of two cores, of which twelve seconds were busy and nine our own."""
    readings = iter([(100.0, 50.0, 7.0), (120.0, 62.0, 16.0)])
    monkeypatch.setattr(Busy, "_seconds", staticmethod(lambda: next(readings)))
    assert Busy().others() == 0.15


def test_rounds_alternate_and_each_call_is_timed() -> None:
    seen: list[str] = []

    def slow() -> None:
        seen.append("slow")
        time.sleep(0.006)

    def fast() -> None:
        seen.append("fast")
        time.sleep(0.003)

    timed = interleaved([slow, fast], 3)
    assert seen[4:] == ["slow", "fast", "fast", "slow", "slow", "fast"]
    assert min(timed[0]) >= 0.006
    assert min(timed[1]) >= 0.003


def test_ratios_are_of_speeds_whatever_the_numbers_of_elements() -> None:
    own = Way(lambda: time.sleep(0.01), 1000)
    other = Way(lambda: time.sleep(0.01), 100)
    found = measure(Contest("encode", "E4M3", 1, False, own, {"copy": other}), 3)
    assert 5 < found["ratios"]["copy"][1] < 20
    assert found["speeds"]["mxemu"][1] <= 0.1


def test_quartiles() -> None:
    assert quartiles([5.0, 1.0, 2.0, 4.0, 3.0]) == (2.0, 3.0, 4.0)
    assert quartiles([7.0]) == (7.0, 7.0, 7.0)


def test_results_are_compared_where_both_have_them() -> None:
    def way(*codes: int, **more: Any) -> Way:
        return Way(lambda: np.array(codes), len(codes), np.ravel, **more)

    assert differences(way(1, 2, 3), way(1, 2, 3)) == [0, 3]
    assert differences(way(1, 2, 3), way(1, 7)) == [1, 2]
    values = Way(lambda: np.array([-0.0, 2.0]), 2, values=np.ravel)
    assert differences(way(0, 3, values=np.ravel), values) == [1, 2]
    assert differences(way(1), values) is None
    with pytest.raises(ValueError, match="nothing to compare"):
        differences(way(1), way())


def test_a_peer_that_is_missing_or_fails_is_named() -> None:
    with pytest.raises(Missing, match="no_such_peer cannot be imported: No module named"):
        load("no_such_peer")
    names = [found if isinstance(found, tuple) else found.name for found in installed(("copy",))]
    assert names[0] == ("copy", "left out of a quick run")
    assert len(names) == len(PEERS)

    class Broken(Copy):
        name = "broken"

        def encode(self, x: Any, element: str, out: bool) -> Way | None:
            raise RuntimeError("first\nsecond")

    told: list[tuple[str, str]] = []
    plan = Plan(elements=1 << 10, threads=(1,))
    works = Works(plan, [Copy(), Broken()], lambda *words: told.append(words))
    first = next(works.contests(lambda work: work == "encode"))
    assert list(first.others) == ["copy"]
    assert told == [("broken", "encode: RuntimeError: first")]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("out", [True, False])
def test_copying_copies(threads: int, out: bool) -> None:
    copy, x = Copy(), np.arange(1000, dtype=np.float32)
    copy.set_threads(threads)
    result: Any = copy.way(x, out).call()
    assert result is not x
    assert np.array_equal(result.view(np.uint32), x.view(np.uint32))


def test_results_are_brought_into_one_form() -> None:
    assert list(nibbles(np.array([0x21, 0x43], np.uint8))) == [1, 2, 3, 4]
    rows = scale_and_codes(np.array([7, 8]), np.arange(4))
    assert rows.tolist() == [[7, 0, 1], [8, 2, 3]]
    nans = np.array([0x7FC00001, 0xFFC00000, 0x80000000], np.uint32).view(np.float32)
    assert value_bits(nans).tolist() == [0x7FC00000, 0x7FC00000, 0x80000000]


def test_tables_are_laid_out_for_terminal_and_page() -> None:
    table = [["a", "bb"], ["1|2", "3"]]
    assert tables.plain(table) == "a    bb\n1|2  3"
    assert tables.markdown(table) == "| a | bb |\n| --- | --- |\n| 1\\|2 | 3 |"


def test_a_quick_run_prints_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    works = ["--works", "axis", "small"]
    assert cli.main(["--quick", "--rounds", "2", "--folder", str(tmp_path), *works]) == 0
    shown = capsys.readouterr()
    assert "missing: torchao: left out of a quick run\n" in shown.out
    assert "axis, 1 thread\n" in shown.err
    assert not list(tmp_path.iterdir())
