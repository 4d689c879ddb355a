"""Waivers are strict: what is not waived fails, and so does a waiver that is stale or expired."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conformance import waivers
from conformance.adapter import Capabilities, Operation
from conformance.judges import Case, Side
from conformance.runner import Run
from conformance.verdict import Cluster, Group
from conformance.why.diagnose import Hypothesis
from mxemu.cli import cli
from mxemu.errors import MxemuError
from mxemu.profile import OCP

DAY = dt.date(2030, 6, 1)
FAR = "2099-12-31"

WAIVER = f"""
[[waiver]]
id = "W-1"
reason = "ties go away from zero; mask 3 repairs it"
expires = {FAR}
operation = "encode"
format = "E4M3"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "waivers.toml"
    path.write_text(text)
    return path


def check(tmp_path: Path, text: str, *more: str, target: str = "conformance.zoo:half_up") -> Result:
    options = ["--operation", "encode", "--format", "E4M3", "--carrier", "binary32", *more]
    path = str(written(tmp_path, text))
    arguments = ["check", target, "--level", "smoke", "--waivers", path, "--in-process", *options]
    return CliRunner().invoke(cli, arguments)


def test_what_is_waived_is_reported_apart(tmp_path: Path) -> None:
    result = check(tmp_path, WAIVER)
    assert result.exit_code == 0, result.output
    assert "FAIL (known)  encode E4M3 (binary32)" in result.stdout
    assert "waived   W-1 until 2099-12-31: ties go away from zero; mask 3 repairs it" in (
        result.stdout
    )
    assert "it deviates, but only in ways that are known" in result.stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('format = "E4M3"', 'format = "e4m3"\ncause = "half-up"'),
        ('format = "E4M3"', 'clause = "MX-5.3.1-OFP8"'),
        ('operation = "encode"', 'carrier = "binary32"'),
    ],
)
def test_a_waiver_may_cover_a_cause_or_a_clause(tmp_path: Path, old: str, new: str) -> None:
    assert check(tmp_path, WAIVER.replace(old, new)).exit_code == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('format = "E4M3"', 'format = "E5M2"', "2 deviations, 2 new"),
        ('format = "E4M3"', 'cause = "truncation"', "(encode, truncation): matches nothing"),
        ('format = "E4M3"', 'clause = "MX-5.3.1-SAT"', "(encode, MX-5.3.1-SAT): matches nothing"),
        ('format = "E4M3"', 'verdict = "crash"', "(encode): matches nothing; expected crash"),
        (FAR, "2020-01-31", "waiver W-1 (encode, E4M3): expired after 2020-01-31"),
    ],
)
def test_what_is_not_waived_fails(tmp_path: Path, old: str, new: str, words: str) -> None:
    result = check(tmp_path, WAIVER.replace(old, new))
    assert result.exit_code == 1
    assert words in result.stdout
    assert "2 new" in result.stdout


def test_a_waiver_of_something_that_is_right_fails(tmp_path: Path) -> None:
    result = check(tmp_path, WAIVER, target="conformance.zoo:reference")
    assert "stale    waiver W-1 (encode, E4M3): matches nothing; expected FAIL" in result.stdout
    assert result.exit_code == 1


def test_a_waiver_of_something_that_was_not_run_stays(tmp_path: Path) -> None:
    text = WAIVER.replace("E4M3", "E2M1")
    result = check(tmp_path, text, target="conformance.zoo:reference")
    assert result.exit_code == 0, result.output


def test_an_expired_waiver_fails_whatever_was_run(tmp_path: Path) -> None:
    text = WAIVER.replace("E4M3", "E2M1").replace(FAR, "2020-01-31")
    result = check(tmp_path, text, target="conformance.zoo:reference")
    assert "waiver W-1 (encode, E2M1): expired after 2020-01-31" in result.stdout
    assert result.exit_code == 1


def test_a_waiver_of_something_that_is_not_offered_fails(tmp_path: Path) -> None:
    text = WAIVER.replace('format = "E4M3"', 'format = "E4M3"\ncarrier = "binary64"')
    good = Path(__file__).parents[1] / "conformance" / "subjects" / "good.py"
    result = check(tmp_path, text, target=str(good))
    assert "waiver W-1 (encode, E4M3, binary64): matches nothing" in result.stdout
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "W-1"', "", "waiver[0].id is missing"),
        ("reason", "raison", "unknown key in "),
        (FAR, '"2099-12-31"', "waiver[0].expires is '2099-12-31'; expected a day such as 2030-"),
        (
            'operation = "encode"\nformat = "E4M3"\n',
            "",
            "waiver[0] covers everything; expected one",
        ),
        ('"E4M3"', '"E4M4"', "waiver[0]: unknown format 'E4M4'"),
        ('"encode"', '"enocde"', "waiver[0]: unknown operation 'enocde'; did you mean encode"),
        ('"W-1"', '""', "waiver[0].id is ''; expected a text"),
        ("[[waiver]]", "[waiver]", "has 'waiver' once; expected [[waiver]] only"),
        ("[[waiver]]", "x = 1\n[[waiver]]", "has 'x'; expected [[waiver]] only"),
        ("[[waiver]]", "[[waiver", "Expected"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(MxemuError, match=re.escape(message)) as caught:
        waivers.load(written(tmp_path, WAIVER.replace(old, new)))
    assert str(caught.value).startswith(("waivers ", "unknown key in waivers "))


def test_an_id_stands_once(tmp_path: Path) -> None:
    with pytest.raises(MxemuError, match="id 'W-1' stands twice"):
        waivers.load(written(tmp_path, WAIVER + WAIVER))
    with pytest.raises(MxemuError, match="No such file"):
        waivers.load(tmp_path / "none.toml")


def test_known_and_waivers_exclude_each_other(tmp_path: Path) -> None:
    result = check(tmp_path, WAIVER, "--known", "auto")
    assert "--known and --waivers; expected one of them" in f"{result.exception}{result.stderr}"


def group(*clauses: str, cause: str = "") -> Group:
    """A group that fails in the cases of some clauses."""
    side = Side("", "", "", "")
    found = Group("encode", "E4M3", "binary32", OCP)
    found.counts["FAIL"] = len(clauses)
    found.clusters = [
        Cluster("FAIL", 1, Case("", side, side, side, clause, "", "")) for clause in clauses
    ]
    if cause:
        found.hypotheses = [Hypothesis(cause, "mistake", 1, 1)]
    return found


def compared(found: Group, *entries: waivers.Waiver) -> tuple[int, int, list[str]]:
    offers = {"encode": Operation(("E4M3",), ("binary32",))}
    run = Run("", Capabilities("mine", "1", offers), "smoke", None, [found])
    comparison = waivers.compare(run, list(entries), DAY)
    return len(comparison.known), len(comparison.new), comparison.stale


def waiver(name: str, **covers: str) -> waivers.Waiver:
    return waivers.Waiver(name, "why", DAY, **covers)


def test_every_clause_of_a_group_has_to_be_waived() -> None:
    one, other = waiver("1", clause="MX-5.3.1-SAT"), waiver("2", clause="MX-5.3.1-OFP8")
    both = group("MX-5.3.1-SAT", "MX-5.3.1-OFP8")
    assert compared(both, one) == (0, 1, [])
    assert compared(both, one, other) == (1, 0, [])
    assert compared(group("MX-5.3.1-SAT"), one, other) == (
        1,
        0,
        ["waiver 2 (MX-5.3.1-OFP8): matches nothing; expected FAIL"],
    )


def test_a_waiver_counts_on_its_last_day() -> None:
    known, new, stale = compared(group("X"), waiver("1", operation="encode"))
    assert (known, new, stale) == (1, 0, [])
    late = waivers.Waiver("1", "why", DAY - dt.timedelta(days=1), operation="encode")
    known, new, stale = compared(group("X"), late)
    assert (known, new) == (0, 1)
    assert stale == ["waiver 1 (encode): expired after 2030-05-31"]


def test_a_cause_waives_only_what_it_explains_completely() -> None:
    entry = waiver("1", cause="half-up")
    assert compared(group("X", cause="half-up"), entry) == (1, 0, [])
    partly = group("X")
    partly.hypotheses = [Hypothesis("half-up", "mistake", 1, 2)]
    assert compared(partly, entry)[:2] == (0, 1)
