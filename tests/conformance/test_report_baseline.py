"""A check beside an earlier one: what is new, fixed, changed or gone, and what the exit code makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result
from report_subjects import run_of

from conformance import zoo
from conformance.report import baseline, json_report
from conformance.report.baseline import KINDS, Change, compare
from mxemu.cli import cli
from mxemu.errors import MxemuError
from mxemu.profile import OCP

FORMATS = ["E2M1", "E3M2", "E2M3"]


def subject(**encoders: object) -> SimpleNamespace:
    """Encoders by format; the others are right. A mistake of the zoo, a rounding, ``raise`` or ``drop``."""

    def encode(values: np.ndarray, name: str, profile: object) -> np.ndarray:
        choice = encoders.get(name, zoo.reference)
        if choice == "raise":
            raise ValueError("no")
        if isinstance(choice, str):
            return zoo.reference.encode(values, name, OCP.replace(rounding=choice))
        return choice.encode(values, name, profile)  # type: ignore[attr-defined]

    formats = [name for name in FORMATS if encoders.get(name) != "drop"]
    return SimpleNamespace(
        name="mine",
        version="1",
        capabilities={"operations": {"encode": {"formats": formats, "carriers": ["binary32"]}}},
        encode=encode,
    )


@cache
def report(**encoders: object) -> dict[str, Any]:
    return json_report.record(run_of(subject(**encoders)), 0)


def fates(now: dict[str, Any], before: dict[str, Any]) -> dict[str, list[str]]:
    change = compare(now, before)
    return {kind: [entry.format for entry in change.of_kind(kind)] for kind in KINDS}


AWAY, HALF, ZERO = zoo.ties_toward_zero, zoo.half_up, "toward-zero"
CASES: dict[str, tuple[dict[str, object], dict[str, object], dict[str, list[str]], int]] = {
    "nothing": ({}, {}, {}, 0),
    "as before": ({"E2M1": HALF}, {"E2M1": HALF}, {}, 1),
    "new": ({}, {"E2M1": HALF}, {"new": ["E2M1"]}, 0),
    "new beside an old one": ({"E3M2": HALF}, {"E2M1": HALF, "E3M2": HALF}, {"new": ["E2M1"]}, 1),
    "another cause": ({"E2M1": HALF}, {"E2M1": AWAY}, {"new": ["E2M1"]}, 0),
    "a crash in place of a failure": ({"E2M1": HALF}, {"E2M1": "raise"}, {"new": ["E2M1"]}, 0),
    "a failure in place of a crash": ({"E2M1": "raise"}, {"E2M1": HALF}, {"new": ["E2M1"]}, 0),
    "fixed": ({"E2M1": HALF}, {}, {"fixed": ["E2M1"]}, 0),
    "fixed and new": ({"E2M1": HALF}, {"E2M3": HALF}, {"new": ["E2M3"], "fixed": ["E2M1"]}, 0),
    # Besides, it has no rounding to even any more, and then has it again.
    "follows another": ({}, {"E2M1": ZERO}, {"changed": ["E2M1"], "gone": ["E2M1"]}, 0),
    "follows ocp again": ({"E2M1": ZERO}, {}, {"changed": ["E2M1"], "fixed": ["E2M1"]}, 0),
    "from one to another": ({"E2M1": ZERO}, {"E2M1": "toward-positive"}, {"changed": ["E2M1"]}, 0),
    "gone": ({}, {"E2M1": "drop"}, {"gone": ["E2M1"]}, 0),
    "there now": ({"E2M1": "drop"}, {}, {}, 0),
    "there now and wrong": ({"E2M1": "drop"}, {"E2M1": HALF}, {"new": ["E2M1"]}, 0),
}


@pytest.mark.parametrize(("before", "now", "expected", "old"), CASES.values(), ids=CASES)
def test_what_became_of_each_group(
    before: dict[str, object], now: dict[str, object], expected: dict[str, list[str]], old: int
) -> None:
    found = report(**now), report(**before)
    assert fates(*found) == {kind: expected.get(kind, []) for kind in KINDS}
    assert compare(*found).before == old


def edited(**changes: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    found = deepcopy(report(E2M1=HALF))
    for edit in changes.values():
        edit(found)
    return found


def test_more_cases_of_the_same_are_new_at_the_same_level_only() -> None:
    def fewer(found: dict[str, Any]) -> None:
        found["groups"][0]["verdicts"]["FAIL"] -= 1

    def deeper(found: dict[str, Any]) -> None:
        found["level"] = "core"

    def older(found: dict[str, Any]) -> None:
        found["mxemu"] = "0.0.1"
        found["groups"][0]["hypotheses"] = []

    now = report(E2M1=HALF)
    assert fates(now, edited(a=fewer))["new"] == ["E2M1"]
    for edit in (deeper, older):
        change = compare(now, edited(a=fewer, b=edit))
        assert (change.before, change.of_kind("new")) == (1, [])
        assert "numbers of cases and causes are not compared" in change.remarks[0]


def test_another_clause_is_new_at_any_level() -> None:
    def other(found: dict[str, Any]) -> None:
        found["level"] = "core"
        for cluster in found["groups"][0]["clusters"]:
            cluster["clause"] = "MX-5.3.3-SAT"

    assert fates(report(E2M1=HALF), edited(a=other))["new"] == ["E2M1"]


def test_groups_are_matched_by_what_they_were_asked_for_besides() -> None:
    now = deepcopy(report(E2M1=HALF))
    before = deepcopy(now)
    declared = {"name": "custom", "fields": {"overflow": "overflow"}}
    before["profiles"]["declared"] = declared
    for group in before["groups"]:
        group["profile"] = declared
    change = compare(now, before)
    assert (change.before, change.entries) == (1, [])
    assert change.remarks == ["compared with ocp with overflow=overflow then, with ocp now"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda found: found["subject"].update(name="other"),
            "the baseline is of other; this is mine",
        ),
        (lambda found: found["subject"].update(variant="x"), r"the baseline is of mine\[x\]"),
        (lambda found: found.pop("groups"), "a report without 'groups'"),
        (lambda found: found["groups"][0].pop("verdict"), "a report without 'verdict'"),
        (lambda found: found.update(groups=[3]), "a report without"),
    ],
)
def test_a_baseline_that_is_none(edit: Callable[[dict[str, Any]], None], message: str) -> None:
    with pytest.raises(MxemuError, match=message):
        compare(report(), edited(a=edit))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not a report"),
        ('{"schema": "x"}', "not a report"),
        ("<", "no JSON"),
        (None, "No such"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "b.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(MxemuError, match=message) as caught:
        baseline.load(path)
    assert "--output-format json" in caught.value.hint


def test_a_change_in_words() -> None:
    now = report(E2M1=HALF, E3M2=HALF, E2M3=ZERO)
    change = compare(now, report(E3M2=HALF))
    head, *lines = baseline.lines(change)
    assert head == f"since the baseline (version 1, mxemu {now['mxemu']}, level smoke):"
    assert lines == [
        "new      encode E2M1 (binary32): FAIL, half-up; was pass",
        "changed  encode E2M3 (binary32): free, rounding=toward-zero; was pass",
        "gone     encode E2M3 (any): unsupported, no ties-to-even rounding; was supported",
        "1 fail anew, 1 follow another convention, 1 gone, 1 fail as before",
    ]


def test_groups_with_the_same_fate_share_a_line() -> None:
    lines = baseline.lines(compare(report(), report(E2M1=HALF, E3M2=HALF)))
    assert lines[1] == ("fixed    encode E2M1 E3M2 (binary32): pass; was FAIL, half-up [2 groups]")
    assert isinstance(Change({}, []).record(), dict)


def test_a_capability_is_no_matter_of_an_interrupted_run() -> None:
    now = deepcopy(report())
    now["skipped"] = [{"what": "everything after this", "why": "interrupted"}]
    change = compare(now, report(E2M1=ZERO))
    assert [(entry.carrier, entry.now) for entry in change.of_kind("gone")] == [
        ("any", "not checked")
    ]


# The command line.

SUBJECT = """\
from conformance import zoo
from mxemu.profile import OCP
name, version = "mine", "{version}"
capabilities = {{"operations": {{"encode": {{"formats": ["E2M1", "E3M2"], "carriers": ["binary32"]}}}}}}
def encode(values, name, profile):
    return {encoders}[name].encode(values, name, {profile})
"""
RIGHT, WRONG = "zoo.reference", "zoo.half_up"


def mxemu(path: Path, first: str, second: str, *arguments: str, profile: str = "OCP") -> Result:
    encoders = f'{{"E2M1": {first}, "E3M2": {second}}}'
    path.write_text(SUBJECT.format(version=len(arguments), encoders=encoders, profile=profile))
    command = ["check", str(path), "--level", "smoke", "--in-process", *arguments]
    return CliRunner().invoke(cli, command)


def test_the_exit_code_is_for_new_failures(tmp_path: Path) -> None:
    path, before = tmp_path / "mine.py", tmp_path / "before.json"
    assert mxemu(path, WRONG, RIGHT, "--output", str(before)).exit_code == 1
    against = ("--baseline", str(before))

    same = mxemu(path, WRONG, RIGHT, *against)
    assert same.exit_code == 0, same.output
    assert "FAIL (as before)  encode E2M1 (binary32)" in same.stdout
    assert same.stdout.endswith("exit 0: it deviates, but only as it did in the baseline\n")

    worse = mxemu(path, WRONG, WRONG, *against)
    assert worse.exit_code == 1
    titles = [line for line in worse.stdout.splitlines() if line.startswith("FAIL")]
    assert titles == [
        "FAIL (new)  encode E3M2 (binary32)",
        "FAIL (as before)  encode E2M1 (binary32)",
    ]
    assert "1 fail anew, 1 fail as before" in worse.stdout
    assert worse.stdout.endswith("exit 1: something is wrong that was not in the baseline\n")

    fixed = mxemu(path, RIGHT, RIGHT, *against)
    assert fixed.exit_code == 0
    assert "fixed    encode E2M1 (binary32): pass; was FAIL, half-up" in fixed.stdout

    other = mxemu(path, RIGHT, RIGHT, *against, profile='OCP.replace(rounding="toward-zero")')
    assert other.exit_code == 0
    assert "free (changed)  encode E3M2 (binary32)" in other.stdout


def test_every_form_shows_what_changed(tmp_path: Path) -> None:
    path, before = tmp_path / "mine.py", tmp_path / "before.json"
    mxemu(path, WRONG, RIGHT, "--output", str(before))
    wanted = {
        form: tmp_path / f"r.{form}"
        for form in ("json", "jsonl", "junit", "sarif", "github", "html")
    }
    more = [word for form, file in wanted.items() for word in ("--report", f"{form}={file}")]
    mxemu(path, WRONG, WRONG, "--baseline", str(before), *more)
    texts = {form: file.read_text("utf-8") for form, file in wanted.items()}
    found = json.loads(texts["json"])
    jsonschema.Draft202012Validator(
        json.loads(json_report.SCHEMA_FILE.read_text("utf-8"))
    ).validate(found)
    assert [entry["format"] for entry in found["baseline"]["new"]] == ["E3M2"]
    assert [one["since"] for one in found["findings"]] == ["new", "as before"]
    states = [
        result["baselineState"] for result in json.loads(texts["sarif"])["runs"][0]["results"]
    ]
    assert states == ["new", "unchanged"]
    assert texts["junit"].count("<failure") == 1
    assert 'message="as in the baseline: a known mistake' in texts["junit"]
    annotated = [line.split()[0] for line in texts["github"].splitlines() if "title=mxemu" in line]
    assert annotated == ["::error", "::warning"]
    assert "Since the baseline" in texts["html"]
    assert json.loads(texts["jsonl"].splitlines()[-1])["baseline"] == found["baseline"]


def test_the_baseline_is_read_before_anything_is_checked(tmp_path: Path) -> None:
    result = mxemu(tmp_path / "mine.py", RIGHT, RIGHT, "--baseline", str(tmp_path / "none.json"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No such file" in result.stderr
