"""Every form of a report: valid for those who read it, with the same content, the same bytes each time."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from dataclasses import replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from report_subjects import content, run_of, subject

from conformance import report as reports
from conformance.known import Comparison
from conformance.notes import NOTES
from conformance.report import forms, github, json_report, junit, sarif
from conformance.report.content import Content
from conformance.report.frames import table
from conformance.report.places import source_file
from conformance.report.words import why
from conformance.runner import Filters
from mxemu.clauses import CLAUSES
from mxemu.cli import cli
from mxemu.cli.reports import FORMATS
from mxemu.errors import MxemuError

SUBJECTS = Path(__file__).parent / "subjects"
TEXTS = tuple(form for form in forms.FORMS if form != "parquet")
SCHEMA = json.loads(json_report.SCHEMA_FILE.read_text("utf-8"))
MACHINE = re.compile(r"/(home|root|tmp|usr|work|Users)/|\d\d:\d\d:\d\d")


def text_of(form: str, about: Content | None = None) -> str:
    return forms.render(form, about or content()).decode()


def plain(form: str, found: str) -> str:
    """A report with the escapes of its form undone, and every run of blanks one blank."""
    match form:
        case "junit" | "html":
            found = unescape(unescape(found))
        case "github":
            found = found.replace("%0A", " ").replace("%3A", ":").replace("%2C", ",")
            found = found.replace("%25", "%")
        case "json" | "jsonl" | "sarif":
            found = found.replace("\\n", " ").replace('\\"', '"').replace("\\u0000", "\x00")
    return re.sub(r"\s+", " ", found.replace("\x00", "").replace("\ufffd", ""))


# All forms.


def test_the_command_line_offers_every_form() -> None:
    assert FORMATS == forms.FORMS
    assert set(forms.SUFFIXES.values()) == set(forms.FORMS) - {"text", "github"}


@pytest.mark.parametrize("form", TEXTS)
def test_every_form_says_the_same(form: str) -> None:
    found = plain(form, text_of(form))
    for finding in content().findings:
        assert re.sub(r"\s+", " ", why(finding).replace("\x00", "")) in found
        assert finding.operation in found
        if finding.cluster is not None:
            case = finding.cluster.first
            for words in (case.given.value, case.dut.hex, case.ref.hex, case.clause):
                assert words in found, words
    assert "the suite has no cases for this operation yet" in found
    assert "mine<&>" in found


@pytest.mark.parametrize("form", TEXTS)
def test_two_runs_give_the_same_bytes_and_nothing_of_the_machine(form: str) -> None:
    small = Filters(formats=("E2M1",))
    first, second = (
        text_of(form, Content(run_of(subject(), small, "/home/me/mine.py"), 1)) for _ in range(2)
    )
    assert first == second
    assert not MACHINE.search(first.replace(junit.NO_DATE, ""))


@pytest.mark.parametrize("form", TEXTS)
def test_a_time_is_in_a_report_that_was_asked_for_it(form: str) -> None:
    date = "2031-04-05T06:07:08"
    assert date not in text_of(form)
    assert date in text_of(form, replace(content(), created=f"{date}Z"))


@pytest.mark.parametrize("form", TEXTS)
def test_every_form_says_what_is_known_and_what_is_stale(form: str) -> None:
    run = content().run
    stale = "encode E3M2 binary32: expected FAIL half-up; found pass"
    known = Comparison([group for group in run.groups if group.verdict == "FAIL"], [], [stale])
    found = plain(form, text_of(form, Content(run, 1, known, remarks=("a waiver ends soon",))))
    assert stale in found
    assert "known" in found
    assert "a waiver ends soon" in found


@pytest.mark.parametrize("form", TEXTS)
def test_a_report_of_nothing(form: str) -> None:
    run = run_of(subject(), Filters(formats=("INT8",)))
    assert text_of(form, Content(run, 4)).strip()


# JSON and JSON lines.


def test_findings_in_json_are_valid() -> None:
    whole = json_report.whole(content())
    jsonschema.Draft202012Validator(SCHEMA).validate(whole)
    assert [one["verdict"] for one in whole["findings"]] == [
        one.verdict for one in content().findings
    ]
    assert {one["rule"] for one in whole["findings"]} >= {"ties-toward-zero", "float-log2-binary32"}


def test_json_lines_are_the_parts_of_the_object() -> None:
    lines = [json.loads(line) for line in text_of("jsonl").splitlines()]
    kinds = [line.pop("record") for line in lines]
    whole = json_report.whole(content())
    groups, findings = whole.pop("groups"), whole.pop("findings")
    assert kinds == ["head", *["group"] * len(groups), *["finding"] * len(findings), "tail"]
    assert lines[1:-1] == [*groups, *findings]
    assert {**lines[0], **lines[-1]} == whole


# JUnit XML, by the schema of Ant, which is stricter than that of Jenkins.

SUITE = [
    "name",
    "package",
    "id",
    "timestamp",
    "hostname",
    "tests",
    "failures",
    "errors",
    "skipped",
    "time",
]


def junit_of(about: Content) -> list[ET.Element]:
    root = ET.fromstring(text_of("junit", about))
    assert (root.tag, root.attrib) == ("testsuites", {})
    for number, suite in enumerate(root):
        assert (suite.tag, list(suite.attrib)) == ("testsuite", SUITE)
        assert suite.get("id") == str(number)
        first, *cases, out, err = suite
        assert [one.tag for one in (first, out, err)] == ["properties", "system-out", "system-err"]
        assert all(list(one.attrib) == ["name", "value"] and one.get("name") for one in first)
        kinds = Counter(outcome_of(case) for case in cases)
        counts = [len(cases), kinds["failure"], kinds["error"], kinds["skipped"]]
        assert [int(suite.get(name, "")) for name in SUITE[5:9]] == counts
    return list(root)


def outcome_of(case: ET.Element) -> str:
    """What came of a test case, whose form is checked."""
    assert (case.tag, list(case.attrib)) == ("testcase", ["name", "classname", "time"])
    assert len(case) <= 1
    if not len(case):
        return ""
    wanted = ["message"] if case[0].tag == "skipped" else ["message", "type"]
    assert list(case[0].attrib) == wanted
    return case[0].tag


def test_junit_has_a_suite_for_each_operation_and_a_case_for_each_group() -> None:
    suites = junit_of(content())
    assert [suite.get("name") for suite in suites] == ["encode", "decode", "quantize", "dot"]
    cases = [
        (case.get("name"), outcome_of(case)) for suite in suites for case in suite.iter("testcase")
    ]
    assert cases == [
        ("E2M1 binary32", "failure"),
        ("E4M3 binary32", "error"),
        ("E5M2 binary32", "failure"),
        ("E5M2 any no overflowing conversion", "skipped"),
        ("E2M1 binary32", ""),
        ("MXFP4_E2M1 binary32", "failure"),
        ("MXFP4_E2M1 binary32", "failure"),
    ]
    failure = suites[0].find("testcase/failure")
    assert failure is not None
    assert "in 0x3F400000 = 0.75  dut 0x1 0_00_1 = 0.5  ref 0x2 0_01_0 = 1" in (failure.text or "")
    assert "refuses these inputs" in (suites[0].findtext("system-out") or "")


def test_junit_fails_where_the_exit_code_does() -> None:
    run = content().run
    known = Comparison([group for group in run.groups if group.verdict != "pass"], [], [])
    assert not any(failures(Content(run, 0, known)))
    stale = Comparison(known.known, [], ["encode E3M2 binary32: expected FAIL; found pass"])
    assert [failed for failed in failures(Content(run, 1, stale)) if failed] == ["known deviations"]
    assert [failed for failed in failures(Content(run, 3, known)) if failed] == ["check"]


def failures(about: Content) -> list[str]:
    """The names of suites with failures or errors."""
    return [
        suite.get("name", "")
        for suite in junit_of(about)
        if int(suite.get("failures", "")) + int(suite.get("errors", ""))
    ]


# SARIF 2.1.0: what its schema asks of the parts that are there.

TEXT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
}
RULE = {
    "type": "object",
    "required": ["id", "shortDescription", "fullDescription", "help", "defaultConfiguration"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string"},
        "shortDescription": TEXT,
        "fullDescription": TEXT,
        "help": TEXT,
        "defaultConfiguration": {
            "properties": {"level": {"enum": ["none", "note", "warning", "error"]}}
        },
    },
}
RESULT = {
    "type": "object",
    "required": ["ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints"],
    "additionalProperties": False,
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": {"enum": ["note", "error"]},
        "message": TEXT,
        "locations": {"type": "array", "minItems": 1, "maxItems": 1},
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
        "suppressions": {"type": "array", "items": {"required": ["kind"]}},
        "baselineState": {"enum": ["new", "unchanged", "updated", "absent"]},
        "properties": {"type": "object"},
    },
}
DRIVER = {
    "type": "object",
    "required": ["name", "semanticVersion", "rules"],
    "additionalProperties": False,
    "properties": {
        "name": {"const": "mxemu"},
        "semanticVersion": {"pattern": r"^\d+\.\d+\.\d+"},
        "rules": {"type": "array", "uniqueItems": True, "items": RULE},
    },
}
SARIF = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "pattern": "^https://"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "tool": {"required": ["driver"], "properties": {"driver": DRIVER}},
                    "invocations": {
                        "type": "array",
                        "items": {"required": ["executionSuccessful"]},
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {"type": "array", "items": RESULT},
                    "properties": {"type": "object"},
                },
            },
        },
    },
}


def sarif_of(about: Content) -> dict:
    found = json.loads(text_of("sarif", about))
    jsonschema.Draft202012Validator(SARIF).validate(found)
    return found["runs"][0]


def test_sarif_has_a_rule_for_each_result_and_no_other() -> None:
    run = sarif_of(content())
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == [
        result["ruleId"] for result in run["results"]
    ]
    assert set(rules) == {result["ruleId"] for result in run["results"]}
    assert all(rule in CLAUSES or rule in NOTES or rule in ("crash", "profile") for rule in rules)
    assert {"crash", "ties-to-even", "MX-5.3.1-OFP8", "MX-5.3.3-NAN", "MX-5.3.1-OVF"} <= set(rules)
    texts = {rule["id"]: rule["fullDescription"]["text"] for rule in run["tool"]["driver"]["rules"]}
    assert NOTES["ties-to-even"].bug in texts["ties-to-even"]
    assert CLAUSES["MX-5.3.1-OFP8"].text in texts["MX-5.3.1-OFP8"]


def test_sarif_levels_and_places() -> None:
    run = sarif_of(content())
    levels = [(result["properties"]["verdict"], result["level"]) for result in run["results"]]
    assert set(levels) == {
        ("crash", "error"),
        ("FAIL", "error"),
        ("free", "note"),
        ("unsupported", "note"),
    }
    (place,) = run["results"][0]["locations"]
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "mine<&>.encode"
    assert place["physicalLocation"]["artifactLocation"] == {"uri": "mine.py"}


def test_fingerprints_name_the_cause_and_not_the_numbers() -> None:
    prints = [
        result["partialFingerprints"]["mxemuFinding/v1"]
        for result in sarif_of(content())["results"]
    ]
    assert len(set(prints)) == len(prints)
    finding = next(
        one for one in content().findings if one.cause and one.cause.name == "ties-toward-zero"
    )
    spread = replace(finding, count=7, of=8, groups=[*finding.groups, *content().run.groups[:1]])
    assert sarif.fingerprint(spread, content()) == sarif.fingerprint(finding, content())
    other = replace(finding, cause=replace(finding.cause, name="half-up"))
    assert sarif.fingerprint(other, content()) != sarif.fingerprint(finding, content())


def test_sarif_suppresses_what_is_known() -> None:
    run = content().run
    known = Comparison([group for group in run.groups if group.verdict == "FAIL"], [], [])
    for result in sarif_of(Content(run, 0, known))["results"]:
        assert ("suppressions" in result) == (result["properties"]["verdict"] == "FAIL")


# GitHub.


def test_annotations_are_commands_on_one_line() -> None:
    lines = text_of("github").splitlines()
    commands = [line for line in lines if line.startswith("::")]
    named = [re.match(r"::(\w+)", line)[1] for line in commands]  # type: ignore[index]
    wanted = ["group", "endgroup", *["error"] * 5, *["notice"] * 2]
    assert named == wanted
    form = re.compile(r"::(error|notice) file=mine\.py,line=1,title=[^:,\n]+::[^\n]+")
    assert all(form.fullmatch(line) for line in commands[2:])
    assert "50%25, ::error:: next" in commands[2]
    assert lines[-1] == "exit 1: something is wrong"


@pytest.mark.parametrize(
    ("target", "file"),
    [
        ("mine.py", "mine.py"),
        ("./sub/mine.py:object[variant]", "sub/mine.py"),
        ("../other.py", ""),
        ("/somewhere/else/mine.py", ""),
        ("ml_dtypes", ""),
        ("conformance.zoo:half_up", ""),
        ("design.toml", "design.toml"),
        ("no such thing", ""),
    ],
)
def test_only_a_file_below_the_present_directory_is_named(target: str, file: str) -> None:
    assert source_file(replace(content().run, target=target)) == file


def test_a_line_of_the_log_is_no_command() -> None:
    strange = run_of(subject(name="::error::no"), Filters(formats=("INT8",)))
    assert [line for line in text_of("github", Content(strange, 4)).splitlines() if "no" in line]
    commands = [
        line for line in github.report(Content(strange, 4)).splitlines() if line[:2] == "::"
    ]
    assert commands == ["::group::verdicts", "::endgroup::"]


# Tables.


def test_a_frame_has_a_row_for_each_group() -> None:
    found = reports.frame(content().run)
    groups = content().run.groups
    assert list(found["operation"]) == [group.operation for group in groups]
    assert list(found["FAIL"]) == [group.counts["FAIL"] for group in groups]
    assert (
        found["cases"] == found[["pass", "FAIL", "free", "unsupported", "crash"]].sum(axis=1)
    ).all()
    row = found[(found["operation"] == "encode") & (found["format"] == "E2M1")].iloc[0]
    assert (row["cause"], row["dut"], row["ref"]) == ("ties-toward-zero", "0x1 = 0.5", "0x2 = 1")


def test_a_frame_of_findings_and_an_empty_one() -> None:
    found = reports.frame(content().run, "findings")
    assert list(found["why"]) == [why(finding) for finding in content().findings]
    nothing = run_of(subject(), Filters(formats=("INT8",)))
    for rows in ("groups", "findings"):
        empty, full = table(Content(nothing, 4), rows), table(content(), rows)
        assert (len(empty), list(empty.columns)) == (0, list(full.columns))
        assert list(empty.dtypes) == list(full.dtypes)
    with pytest.raises(MxemuError, match="expected 'groups' or 'findings'"):
        reports.frame(content().run, "cells")


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MxemuError, match="pyarrow") as caught:
        forms.render("parquet", content())
    assert caught.value.hint == 'pip install "mxemu[parquet]"'


def test_parquet_is_the_table_of_groups(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is an extra")
    path = tmp_path / "r.parquet"
    path.write_bytes(forms.render("parquet", content()))
    again, table_of_groups = pd.read_parquet(path), table(content())
    assert again.to_dict("records") == table_of_groups.to_dict("records")
    assert path.read_bytes() == forms.render("parquet", content())


# The command line.


def mxemu(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments, "--level", "smoke", "--in-process"])


def test_several_reports_at_once(tmp_path: Path) -> None:
    wanted = {form: tmp_path / f"r.{form}" for form in TEXTS}
    more = [word for form, path in wanted.items() for word in ("--report", f"{form}={path}")]
    result = mxemu(str(SUBJECTS / "refuses.py"), *more)
    assert result.exit_code == 0, result.output
    assert wanted["text"].read_text("utf-8") == result.stdout
    assert sorted(tmp_path.iterdir()) == sorted(wanted.values())
    for form in ("json", "sarif"):
        json.loads(wanted[form].read_text("utf-8"))


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("r.html", "<!DOCTYPE html>"),
        ("r.xml", "<?xml"),
        ("r.sarif", '{\n  "$schema"'),
        ("r.md", "mxemu "),
    ],
)
def test_the_name_of_a_file_says_its_form(tmp_path: Path, name: str, start: str) -> None:
    path = tmp_path / name
    assert mxemu(str(SUBJECTS / "good.py"), "--output", str(path)).exit_code == 0
    assert path.read_text("utf-8").startswith(start)
    assert (
        mxemu(str(SUBJECTS / "good.py"), "--output", str(path), "--output-format", "json").exit_code
        == 0
    )
    json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--report", "html"], "--report html: expected FORMAT=FILE"),
        (["--report", "pdf=x"], "unknown report format 'pdf'"),
        (["--output-format", "parquet"], "expected --output FILE with it"),
        (["--report", "html=/no/where/x.html"], "cannot write /no/where/x.html"),
        (
            ["--baseline", "b.json", "--known", "auto"],
            "--baseline and --known; expected one of them",
        ),
    ],
)
def test_wrong_use(arguments: list[str], message: str) -> None:
    result = mxemu(str(SUBJECTS / "good.py"), *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_timestamps_of_now() -> None:
    found = json.loads(
        mxemu(str(SUBJECTS / "good.py"), "--output-format", "json", "--timestamps").stdout
    )
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["created"])
