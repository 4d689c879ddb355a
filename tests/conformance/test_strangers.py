"""The checker on implementations by another hand: right, legal or wrong, each gets the verdict it deserves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import strangers

from conformance import zoo
from conformance.runner import Filters, Run, check
from conformance.verdict import Group
from conformance.worker import InProcess
from mxemu.cli.check import exit_code


def run(subject: strangers.Stranger, level: str = "smoke") -> Run:
    worker = InProcess(subject)
    return check(worker, Run(subject.name, worker.introduce(), level, None), Filters())


def only(found: Run) -> Group:
    """The one group that was judged."""
    (group,) = [group for group in found.groups if group.verdict != "unsupported"]
    return group


def declared(kind: type[strangers.Stranger], profile: str) -> strangers.Stranger:
    """The same implementation, promising a profile."""
    return type(kind.__name__, (kind,), {"profile": profile})()


def test_they_know_nothing_of_the_emulator_and_are_no_hypotheses() -> None:
    tree = ast.parse(Path(strangers.__file__).read_text("utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert (imported, modules) == ({"numpy"}, {"__future__"})
    kinds = {kind for kind in vars(strangers).values() if isinstance(kind, type)}
    assert len(kinds) > 8
    assert not kinds & {type(member) for member in zoo.MEMBERS}


def test_what_is_right_passes_everything() -> None:
    found = run(strangers.Right(), level="core")
    assert [group.verdict for group in found.groups] == ["pass"] * 4
    assert exit_code(found) == 0


LEGAL = {
    strangers.FloorOfRatio: "scale_rule=FLOOR_OF_RATIO",
    strangers.RoundsScaleUp: "scale_rule=RCEIL",
    strangers.FlushesInputs: "input_subnormals=flush",
    strangers.Truncates: "rounding=toward-zero",
}


@pytest.mark.parametrize("kind", LEGAL, ids=lambda kind: kind.__name__)
def test_what_is_legal_is_free_and_named(kind: type[strangers.Stranger]) -> None:
    found = run(kind())
    group = only(found)
    first = group.hypotheses[0]
    assert (group.verdict, first.name, first.kind, first.complete) == (
        "free",
        LEGAL[kind],
        "profile",
        True,
    )
    assert exit_code(found) == 0


@pytest.mark.parametrize("kind", LEGAL, ids=lambda kind: kind.__name__)
def test_what_is_legal_but_not_what_was_promised_fails_and_is_named(
    kind: type[strangers.Stranger],
) -> None:
    found = run(declared(kind, "ocp"))
    group = only(found)
    assert (group.verdict, group.hypotheses[0].name) == ("FAIL", LEGAL[kind])
    assert group.hypotheses[0].kind == "profile"
    assert exit_code(found) == 1


def test_a_missing_rounding_is_named_under_its_clause() -> None:
    missing = [
        group for group in run(strangers.Truncates()).groups if group.verdict == "unsupported"
    ]
    assert {(group.format, group.clause, group.reason) for group in missing} == {
        ("E4M3", "MX-5.3.1-OFP8", "no ties-to-even rounding"),
        ("E4M3", "MX-5.3.1-OVF", "no overflowing conversion"),
    }


def test_the_sign_of_zero_is_owed_in_fp8_and_free_in_fp4() -> None:
    groups = {
        group.format: group
        for group in run(strangers.KeepsPlusZeroOnly()).groups
        if group.carrier != "any"
    }
    fp8, fp4 = groups["E4M3"], groups["E2M1"]
    assert (fp8.verdict, fp4.verdict) == ("FAIL", "free")
    assert fp8.hypotheses[0].name == fp4.hypotheses[0].name == "zero_sign=positive"
    assert (fp8.hypotheses[0].kind, fp8.hypotheses[0].clauses) == ("departure", ("MX-5.3.1-OFP8",))
    assert fp4.hypotheses[0].kind == "profile"


def test_minus_two_is_free_in_int8() -> None:
    found = run(strangers.AllCodes())
    assert [group.verdict for group in found.groups] == ["free", "pass"]
    assert found.groups[0].hypotheses[0].name == "int_minimum=allow"
    assert {
        group.verdict for group in run(declared(strangers.AllCodes, "ocp-int-minimum")).groups
    } == {"pass"}


def test_what_does_not_fit_binary32_is_free_whatever_it_becomes() -> None:
    group = only(run(strangers.InfiniteBeyondBinary32()))
    assert group.verdict == "free"
    assert not group.counts["FAIL"]
    assert {cluster.first.clause for cluster in group.clusters} == {"MX-5.1-OVF32"}


# The clauses of the failing cases, and the mistake that it is called, or comes closest to.
WRONG = {
    strangers.Scan: (
        {"MX-5.3.3-RNE", "MX-5.3.3-UFLOW"},
        "ties-toward-zero and zero_sign=positive",
    ),
    strangers.AddsLessThanHalf: ({"MX-5.3.2-RNE"}, "ties-toward-zero"),
    strangers.GarbageAbove: ({"MX-5.3.3-ENC"}, None),
    strangers.ClampsAt240: ({"MX-5.3.1-OFP8", "MX-5.3.1-SAT"}, None),
    strangers.HalvesToByte: ({"MX-5.3.1-OVF"}, None),
    strangers.SignUpsideDown: ({"MX-5.3.1-ENC"}, None),
    strangers.BiasOneTooLarge: ({"MX-5.3.1-ENC"}, "fnuz-codes"),
    strangers.BorrowsAmax: ({"MX-6.3-SCALE", "MX-6.3-ELEM"}, None),
    strangers.FlushesProducts: ({"MX-5.1-VALUE"}, "dequantize-flushes-subnormals"),
}


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_what_is_wrong_fails_under_its_clause(kind: type[strangers.Stranger]) -> None:
    clauses, close = WRONG[kind]
    found = run(kind())
    group = only(found)
    assert group.verdict == "FAIL"
    assert {
        cluster.first.clause for cluster in group.clusters if cluster.verdict == "FAIL"
    } == clauses
    assert [one.name for one in group.hypotheses] == ([close] if close else [])
    assert exit_code(found) == 1


def test_a_mistake_that_explains_little_of_what_is_wrong_is_not_named() -> None:
    whole, part = run(strangers.AddsLessThanHalf()), run(strangers.HalvesToByte())
    assert only(whole).hypotheses[0].complete
    assert only(part).hypotheses == []


# Dot products.


def test_right_products_pass() -> None:
    found = run(strangers.RightProducts(), level="core")
    assert [group.verdict for group in found.groups] == ["pass"]


def test_sums_in_binary32_are_free_and_named() -> None:
    group = only(run(strangers.AddsInBinary32()))
    assert (group.verdict, group.hypotheses[0].name) == ("free", "fp32-sequential")


# The clauses of what no accumulation does, and the mistake that it is called, or comes closest to.
WRONG_PRODUCTS = {
    strangers.ForgetsAFactor: ({"MX-6.1-DOT"}, "second-scale-dropped"),
    strangers.OneScaleForAll: ({"MX-6.2-SUM", "MX-5.1-NANSCALE"}, None),
    strangers.Backwards: ({"MX-6.1-DOT"}, "lanes-reversed-of-b"),
    strangers.ScaleIsNeverNan: ({"MX-5.1-NANSCALE"}, None),
    strangers.EndsAt65504: ({"MX-6.1-DOT"}, None),
}


@pytest.mark.parametrize("kind", WRONG_PRODUCTS, ids=lambda kind: kind.__name__)
def test_wrong_products_fail_under_their_clauses(kind: type[strangers.Stranger]) -> None:
    clauses, name = WRONG_PRODUCTS[kind]
    found = run(kind())
    group = only(found)
    failing = {cluster.first.clause for cluster in group.clusters if cluster.verdict == "FAIL"}
    assert (group.verdict, exit_code(found)) == ("FAIL", 1)
    assert failing - {"MX-6.1-PREC"} == clauses
    assert [one.name for one in group.hypotheses] == ([name] if name else [])
