"""The facts of a run, taken from JSON, are in every other form, each finding's in one place."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from html import unescape
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from report_subjects import content

from conformance.report import forms
from conformance.report.frames import table

TEXTS = ("text", "jsonl", "junit", "sarif", "github", "html", "findings")
"""Forms beside JSON; ``findings`` is the table of findings."""


@cache
def text_of(form: str) -> str:
    return forms.render(form, content()).decode()


@cache
def report() -> dict[str, Any]:
    return json.loads(text_of("json"))


def parts(form: str) -> list[str]:
    """The findings of a report, each as one text; groups of the same finding may stand apart."""
    match form:
        case "text":
            return text_of(form).split("\n\n")
        case "jsonl":
            lines = map(json.loads, text_of(form).splitlines())
            return [_words(line) for line in lines if line["record"] == "finding"]
        case "junit":
            found = []
            for suite in ET.fromstring(text_of(form)):
                named = [suite.get("name", ""), *(case.get("name", "") for case in suite)]
                found += [f"{' '.join(named)} {''.join(case.itertext())}" for case in suite]
            return found
        case "sarif":
            run = json.loads(text_of(form))["runs"][0]
            return [_words(one) for one in run["results"]]
        case "github":
            lines = [line for line in text_of(form).splitlines() if line.startswith("::")]
            return [
                line.replace("%0A", "\n").replace("%3A", ":").replace("%25", "%") for line in lines
            ]
        case "html":
            # The text to paste says it all once more; the page itself is what is looked at.
            twice = r'<svg.*?</svg>|<script.*</script>|<details class="inner issue">.*?</details>'
            page = re.sub(twice, "", text_of(form), flags=re.DOTALL)
            found = re.split(r'<details class="finding', page)[1:]
            return [re.sub(r"<[^>]*>", " ", one) for one in found]
        case _:
            rows = table(content(), "findings").to_dict("records")
            return [" ".join(map(str, row.values())) for row in rows]


def _words(record: Any) -> str:
    """All texts and numbers of a record."""
    if isinstance(record, dict):
        return " ".join(map(_words, record.values()))
    return " ".join(map(_words, record)) if isinstance(record, list) else str(record)


def facts(finding: dict[str, Any]) -> list[str]:
    """What has to stand together."""
    found = [finding["verdict"], finding["operation"], *finding["formats"], finding["rule"]]
    found += [finding["cause"]["name"] if finding["cause"] else ""]
    found += [name for name in finding["carriers"] if name != "any"]
    if finding["verdict"] != "unsupported":
        found += [str(finding["count"]), str(finding["of"])]
    if finding["case"] is not None:
        case = finding["case"]
        found += [case["clause"], case["note"]]
        found += [case[side][key] for side in ("input", "dut", "ref") for key in ("hex", "value")]
    return [fact for fact in found if fact]


@pytest.mark.parametrize("form", TEXTS)
def test_the_facts_of_each_finding_stand_together(form: str) -> None:
    # Thousands are set apart for people.
    places = [re.sub(r"(?<=\d),(?=\d{3})", "", one).replace("&lt;", "<") for one in parts(form)]
    assert report()["findings"]
    for finding in report()["findings"]:
        if form == "junit" and finding["verdict"] == "free":
            continue  # what is free is no failure there; its text is in the output of the suite
        wanted = facts(finding)
        missing = [[fact for fact in wanted if fact not in place] for place in places]
        assert [] in missing, (wanted, min(missing, key=len))


def test_the_table_of_findings_has_rules_and_tokens() -> None:
    found = table(content(), "findings").to_dict("records")
    for row, finding in zip(found, report()["findings"], strict=True):
        assert row["rule"] == finding["rule"]
        assert row["token"] == (finding["case"]["token"] if finding["case"] else "")


def tally() -> dict[str, int]:
    return dict(Counter(group["verdict"] for group in report()["groups"]))


@pytest.mark.parametrize("form", ["text", "github"])
def test_the_verdicts_are_counted_in_a_sentence(form: str) -> None:
    line = next(line for line in text_of(form).splitlines() if line.startswith("groups: "))
    found = {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", line)}
    assert found == tally()


def test_the_verdicts_are_counted_in_a_page() -> None:
    listed = re.search(r'<ul class="tally".*?</ul>', text_of("html"), re.DOTALL)
    assert listed is not None
    found = re.findall(r"<b>(\d+)</b> (pass|FAIL|crash|free|unsupported)", listed[0])
    assert {name: int(count) for count, name in found} == tally()


def test_the_verdicts_are_counted_in_suites() -> None:
    """In JUnit what passes and what is free is neither failure, error nor skipped."""
    suites = ET.fromstring(text_of("junit"))
    counts = {
        key: sum(int(suite.get(key, "0")) for suite in suites)
        for key in ("tests", "failures", "errors", "skipped")
    }
    verdicts = Counter(tally())
    assert counts == {
        "tests": verdicts.total(),
        "failures": verdicts["FAIL"],
        "errors": verdicts["crash"],
        "skipped": verdicts["unsupported"],
    }


@pytest.mark.parametrize("form", ["jsonl", "sarif", "groups"])
def test_every_group_has_its_verdict_and_counts(form: str) -> None:
    match form:
        case "jsonl":
            lines = map(json.loads, text_of(form).splitlines())
            found = [line for line in lines if line["record"] == "group"]
        case "sarif":
            found = json.loads(text_of(form))["runs"][0]["properties"]["groups"]
        case _:
            names = report()["groups"][0]["verdicts"]
            rows = table(content()).to_dict("records")
            found = [{**one, "verdicts": {name: one[name] for name in names}} for one in rows]
    keys = ("operation", "format", "carrier", "verdict", "verdicts")
    assert [[one[key] for key in keys] for one in found] == [
        [one[key] for key in keys] for one in report()["groups"]
    ]


@pytest.mark.parametrize("form", ["text", "jsonl", "junit", "sarif", "github", "html"])
def test_who_was_checked_and_the_sum_are_everywhere(form: str) -> None:
    text = text_of(form)
    if form == "junit":
        everything = list(ET.fromstring(text).iter())
        text = " ".join(
            word for one in everything for word in (*one.attrib.values(), one.text or "")
        )
    elif form == "html":
        text = unescape(re.sub(r"<[^>]*>", " ", text))
    plain = re.sub(r"\s+", " ", text.replace('"', ""))
    for name in ("mine<&>", "2.1", report()["mxemu"], report()["level"], "pack"):
        assert name in plain
    assert re.search(rf"exit(_?[cC]ode)?\W+{report()['exit_code']}\b", plain)
