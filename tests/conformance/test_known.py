"""Expected deviations are strict both ways: a new one fails, and so does one that no longer shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conformance import known
from conformance.adapter import capabilities_of
from conformance.known import Deviation
from conformance.runner import Run
from conformance.target import load, systems
from conformance.verdict import Group
from mxemu.clauses import CLAUSES
from mxemu.cli import cli
from mxemu.errors import MxemuError
from mxemu.profile import OCP

SUBJECTS = Path(__file__).parent / "subjects"

ENTRY = """
[[deviation]]
operation = "encode"
formats = ["E2M1"]
carriers = ["binary32"]
verdict = "crash"
reason = "it raises whatever it is given"
"""


def check(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments, "--level", "smoke"])


def with_known(tmp_path: Path, text: str, subject: str = "raises.py", *more: str) -> Result:
    path = tmp_path / "known.toml"
    path.write_text(text)
    return check(str(SUBJECTS / subject), "--known", str(path), *more)


def test_a_deviation_that_is_expected_is_subtracted(tmp_path: Path) -> None:
    assert check(str(SUBJECTS / "raises.py")).exit_code == 1
    result = with_known(tmp_path, ENTRY)
    assert "crash (known)  encode E2M1 (binary32)" in result.stdout
    assert "1 deviation, all known" in result.stdout
    assert result.exit_code == 4  # and nothing is left to judge


def test_a_new_deviation_fails(tmp_path: Path) -> None:
    result = with_known(tmp_path, "")
    assert "1 deviation, 1 new" in result.stdout
    assert result.exit_code == 1


def test_a_deviation_that_no_longer_shows_fails(tmp_path: Path) -> None:
    result = with_known(tmp_path, ENTRY, "good.py")
    assert "stale    encode E2M1 binary32: expected crash; found pass" in result.stdout
    assert "no deviations, 1 expected but not found" in result.stdout
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('verdict = "crash"', 'verdict = "FAIL"', "expected FAIL; found crash"),
        ('["E2M1"]', '["E2M1", "E4M3"]', "E4M3 binary32: expected crash; found no such offer"),
        (
            '["binary32"]',
            '["binary32", "binary16"]',
            "binary16: expected crash; found no such offer",
        ),
        ('"encode"', '"decode"', "decode E2M1 binary32: expected crash; found no such offer"),
        ('"crash"', '"crash"\ncause = "half-up"', "expected crash half-up; found crash"),
    ],
)
def test_an_entry_has_to_fit_in_everything(tmp_path: Path, old: str, new: str, found: str) -> None:
    result = with_known(tmp_path, ENTRY.replace(old, new))
    assert found in result.stdout
    assert result.exit_code == 1


def test_the_report_for_programs_tells_new_from_stale(tmp_path: Path) -> None:
    text = ENTRY.replace('["binary32"]', '["binary16"]')
    report = json.loads(with_known(tmp_path, text, "raises.py", "--output-format", "json").stdout)
    assert report["known"] == {
        "deviations": 1,
        "new": ["encode/E2M1/binary32"],
        "stale": ["encode E2M1 binary16: expected crash; found no such offer"],
    }
    assert report["exit_code"] == 1


MALFORMED = {
    "not toml": "Expected '=' after a key",
    'deviations = "none"': "has 'deviations'; expected [[deviation]] only",
    ENTRY.replace("[[deviation]]", "[deviation]"): "has 'deviation' once",
    'deviation = ["encode"]': "an entry has 'encode', which is no table",
    ENTRY + 'note = "x"': "unknown key 'note'",
    ENTRY.replace('reason = "it raises whatever it is given"', ""): "no 'reason'",
    ENTRY.replace('"it raises whatever it is given"', '""'): "reason = '', expected a text",
    ENTRY.replace('["E2M1"]', '"E2M1"'): "formats = 'E2M1', expected a list of names",
    ENTRY.replace('["E2M1"]', "[]"): "formats = [], expected a list of names",
    ENTRY.replace('["E2M1"]', "[1]"): "formats = [1], expected a list of names",
    ENTRY.replace('"crash"', '["crash"]'): "verdict = ['crash'], expected a text",
    ENTRY.replace('"crash"', '"free"'): "verdict 'free', not one of FAIL, crash, unsupported",
}


@pytest.mark.parametrize("text", MALFORMED, ids=MALFORMED.get)
def test_a_malformed_file_is_one_line(tmp_path: Path, text: str) -> None:
    result = with_known(tmp_path, text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: known deviations ")
    assert MALFORMED[text] in result.stderr.splitlines()[0]


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_bytes(b"\xff\xfe")
    result = check(str(SUBJECTS / "good.py"), "--known", str(path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: known deviations ")


# Matching, group by group.


def run_of(*groups: Group, subject: str = "ml_dtypes") -> Run:
    return Run(subject, capabilities_of(load(subject)), "smoke", None, list(groups))


def group(verdict: str, carrier: str = "binary32", clause: str = "", **changes: str) -> Group:
    found = Group(
        "encode", "E4M3", carrier, OCP.replace(**changes) if changes else OCP, clause=clause
    )
    found.counts[verdict] = 1
    return found


def entry(verdict: str, carrier: str = "binary32", **more: str) -> Deviation:
    return Deviation("encode", ("E4M3",), (carrier,), verdict, reason="r", **more)


ALL = [group("pass", carrier) for carrier in ("binary64", "binary32", "binary16", "bfloat16")]


def test_what_passes_or_is_free_needs_no_entry() -> None:
    run = run_of(group("pass"), group("free"))
    assert known.compare(run, []) == known.Comparison([], [], [])


def test_groups_that_were_not_run_make_nothing_stale() -> None:
    assert (
        known.compare(run_of(), [entry("FAIL"), entry("unsupported", "any", clause="X")]).stale
        == []
    )
    some = run_of(ALL[1])
    assert known.compare(some, [entry("unsupported", "any", clause="MX-5.3.1-SAT")]).stale == []


def test_a_capability_that_is_there_now_makes_its_entry_stale() -> None:
    missing = entry("unsupported", "any", clause="MX-5.3.1-SAT")
    still = group("unsupported", "any", "MX-5.3.1-SAT")
    assert known.compare(run_of(*ALL, still), [missing]).stale == []
    other = group("unsupported", "any", "MX-5.3.1-OVF")
    for groups in (ALL, [*ALL, other]):
        found = known.compare(run_of(*groups), [missing])
        assert found.stale == ["encode E4M3 any: expected unsupported; found nothing"]
    assert known.compare(run_of(*ALL, other), [missing]).new == [other]


def test_an_entry_may_be_about_one_thing_that_was_asked_for() -> None:
    run = run_of()
    base = run.base
    plain = Group("encode", "E4M3", "binary32", base)
    away = Group("encode", "E4M3", "binary32", base.replace(rounding="ties-to-away"))
    plain.counts["pass"] = away.counts["FAIL"] = 1
    about = entry("FAIL", asked="rounding=ties-to-away")
    assert known.compare(run_of(plain, away), [about]) == known.Comparison([away], [], [])
    assert known.compare(run_of(plain), [about]).stale == []  # nothing was asked for at this level
    cut = Group("encode", "E4M3", "binary32", base.replace(rounding="toward-zero"))
    cut.counts["FAIL"] = 1
    found = known.compare(run_of(plain, cut), [about])
    assert (found.new, len(found.stale)) == ([cut], 1)


# The files of the subjects.


@pytest.mark.parametrize("name", systems())
def test_the_file_of_a_subject_is_complete(name: str) -> None:
    for one in known.load("auto", name):
        assert len(one.reason.split()) > 4
        assert one.source
        assert one.clause in CLAUSES


@pytest.mark.parametrize("name", ["bitstring", "ml_dtypes"])
@pytest.mark.parametrize("level", ["smoke", "core"])
def test_a_subject_deviates_as_its_file_says(name: str, level: str) -> None:
    result = CliRunner().invoke(cli, ["check", name, "--known", "auto", "--level", level])
    assert "all known" in result.stdout or "no deviations" in result.stdout
    assert result.exit_code == 0


def test_gfloat_deviates_as_its_file_says() -> None:
    some = ["--format", "MXFP4_E2M1", "--format", "E8M0", "--format", "E4M3"]
    smoke = check("gfloat", "--known", "auto", *some)
    # The whole level takes a minute: gfloat quantizes one number at a time.
    core = CliRunner().invoke(
        cli,
        ["check", "gfloat", "--known", "auto", "--format", "MXFP4_E2M1", "--carrier", "binary64"],
    )
    for result in (smoke, core):
        assert "all known" in result.stdout
        assert result.exit_code == 0


@pytest.mark.parametrize("name", ["gfloat", "ml_dtypes"])
def test_filters_make_nothing_stale(name: str) -> None:
    for only in (["--operation", "decode"], ["--format", "E4M3"], ["--carrier", "binary16"]):
        assert check(name, "--known", "auto", *only).exit_code == 0


def test_entries_are_told_apart_from_other_files() -> None:
    with pytest.raises(MxemuError, match="--known auto is for built-in subjects"):
        known.load("auto", "./mine.py")
