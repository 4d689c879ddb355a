"""First findings, found again by running the installed libraries."""

from __future__ import annotations

from functools import cache

import pytest

from conformance.runner import Filters, Run, check
from conformance.verdict import Group
from conformance.worker import InProcess
from mxemu.cli.check import exit_code
from mxemu.profile import OCP, Profile

FP8 = ("E4M3", "E5M2")
WITHOUT_NAN = ("E3M2", "E2M3", "E2M1")
WIDE = ("binary64", "binary32", "binary16")


@cache
def run(
    name: str,
    asked: Profile | None = None,
    level: str = "smoke",
    formats: tuple[str, ...] = (),
    operations: tuple[str, ...] = (),
    carriers: tuple[str, ...] = (),
) -> Run:
    worker = InProcess(name)
    found = Run(name, worker.introduce(), level, asked)
    return check(worker, found, Filters(operations, formats, carriers))


def groups(found: Run, operation: str, fmt: str, carrier: str) -> list[Group]:
    listed = [group for group in found.groups if group.key == (operation, fmt, carrier)]
    assert listed
    return listed


def first(found: Run, operation: str, fmt: str, carrier: str) -> Group:
    return groups(found, operation, fmt, carrier)[0]


# ml_dtypes 0.6.0


@pytest.mark.parametrize("fmt", [*FP8, *WITHOUT_NAN])
def test_ml_dtypes_rounds_binary64_twice(fmt: str) -> None:
    found = run("ml_dtypes", level="core", formats=(fmt,), operations=("encode",))
    group = first(found, "encode", fmt, "binary64")
    cause = group.hypotheses[0]
    assert group.verdict == "FAIL"
    assert (cause.name, cause.complete) == ("double-rounding-binary32", True)
    others = [
        first(found, "encode", fmt, carrier) for carrier in ("binary32", "binary16", "bfloat16")
    ]
    assert all(not group.counts["FAIL"] for group in others)


@pytest.mark.parametrize("fmt", WITHOUT_NAN)
@pytest.mark.parametrize("carrier", [*WIDE, "bfloat16"])
def test_ml_dtypes_turns_nan_into_zero_of_the_other_sign(fmt: str, carrier: str) -> None:
    group = first(run("ml_dtypes", formats=(fmt,), operations=("encode",)), "encode", fmt, carrier)
    assert group.open_hypothesis is not None
    assert group.open_hypothesis.name == "nan_without_code=zero-flip-sign"
    cluster = next(one for one in group.clusters if one.verdict == "free")
    assert (cluster.first.given.value, cluster.first.dut.value) == ("NaN", "-0")


@pytest.mark.parametrize("fmt", FP8)
def test_ml_dtypes_overflows_in_fp8(fmt: str) -> None:
    declared = run("ml_dtypes", formats=(fmt,), operations=("encode",))
    assert first(declared, "encode", fmt, "binary32").verdict == "pass"
    missing = first(declared, "encode", fmt, "any")
    assert (missing.verdict, missing.clause) == ("unsupported", "MX-5.3.1-SAT")
    asked = run("ml_dtypes", OCP, formats=(fmt,), operations=("encode",))
    group = first(asked, "encode", fmt, "binary32")
    assert (group.verdict, group.hypotheses[0].name) == ("free", "overflow=overflow")


def test_ml_dtypes_saturates_in_fp6_and_fp4() -> None:
    asked = run("ml_dtypes", OCP, formats=("E2M1",), operations=("encode",))
    assert not first(asked, "encode", "E2M1", "binary32").counts["FAIL"]


def test_ml_dtypes_asked_for_ocp_follows_another_legal_profile() -> None:
    worker = InProcess("ml_dtypes")
    found = Run("ml_dtypes", worker.introduce(), "smoke", OCP)
    check(worker, found, Filters(formats=FP8, operations=("encode",), carriers=("binary32",)))
    assert exit_code(found) == 3


@pytest.mark.parametrize(
    ("carrier", "cast"), [("binary32", "ties-to-away-binary32"), ("binary16", "ties-to-away")]
)
def test_ml_dtypes_rounds_scales_half_up_and_has_no_code_for_zero(carrier: str, cast: str) -> None:
    found = run("ml_dtypes", level="core", formats=("E8M0",), operations=("encode",))
    group = first(found, "encode", "E8M0", carrier)
    assert group.verdict == "free"
    assert group.open_hypothesis is not None
    changes = dict(part.split("=") for part in group.open_hypothesis.name.split(", "))
    assert changes == {"scale_overflow": "nan", "scale_cast": cast, "scale_zero": "nan"}


def test_ml_dtypes_decodes_every_code_right() -> None:
    decoded = run("ml_dtypes", operations=("decode",)).groups
    assert {group.format for group in decoded} >= {*FP8, *WITHOUT_NAN, "E8M0"}
    assert {group.verdict for group in decoded} == {"pass"}


# gfloat 0.5.2


@pytest.mark.parametrize(
    ("carrier", "cause"), [("binary32", "float-log2-binary32"), ("binary64", "float-log2-binary64")]
)
@pytest.mark.parametrize("fmt", ["MXFP4_E2M1", "MXFP8_E5M2"])
def test_gfloat_takes_its_scale_from_a_rounded_logarithm(
    fmt: str, carrier: str, cause: str
) -> None:
    group = first(run("gfloat", formats=(fmt,), operations=("quantize",)), "quantize", fmt, carrier)
    assert (group.verdict, group.hypotheses[0].name) == ("FAIL", cause)
    assert group.hypotheses[0].complete
    cluster = group.clusters[0]
    assert cluster.first.clause == "MX-6.3-SCALE"
    assert int(cluster.first.dut.hex, 16) == int(cluster.first.ref.hex, 16) + 1


def test_gfloat_rounds_elements_right_in_every_mode() -> None:
    found = run("gfloat", formats=FP8, operations=("encode",))
    for fmt in FP8:
        for carrier in WIDE:
            listed = groups(found, "encode", fmt, carrier)
            assert len(listed) == 6  # five roundings, and the other overflow
            assert {group.verdict for group in listed} == {"pass"}


def test_gfloat_takes_just_less_than_a_tie_for_the_tie_in_one_of_its_two_functions() -> None:
    found = run("gfloat", None, "core", ("MXFP4_E2M1",), ("quantize",), ("binary64",))
    away = [
        group
        for group in groups(found, "quantize", "MXFP4_E2M1", "binary64")
        if group.profile.rounding.value == "ties-to-away"
    ]
    (group,) = away
    rounded = [one for one in group.clusters if one.first.clause == "MX-6.3-ELEM"]
    assert (group.verdict, len(rounded)) == ("FAIL", 1)
    (named,) = group.hypotheses
    assert (named.name, named.complete) == ("float-log2-binary64 and half-added-in-carrier", True)


@pytest.mark.parametrize("fmt", ["E3M2", "INT8"])
def test_gfloat_refuses_nan_where_there_is_none(fmt: str) -> None:
    group = first(run("gfloat", formats=(fmt,), operations=("encode",)), "encode", fmt, "binary32")
    assert group.open_hypothesis is not None
    assert group.open_hypothesis.name == "refuses these inputs"


def test_gfloat_gives_no_code_for_a_negative_scale() -> None:
    group = first(
        run("gfloat", formats=("E8M0",), operations=("encode",)), "encode", "E8M0", "binary32"
    )
    case = group.clusters[0].first
    assert (group.verdict, case.clause, case.dut.value) == (
        "FAIL",
        "MX-5.4.1-RANGE",
        "no code of E8M0",
    )
    assert case.given.value.startswith("-")


def test_gfloat_uses_minus_two() -> None:
    asked = run("gfloat", OCP, formats=("INT8",), operations=("encode",))
    group = first(asked, "encode", "INT8", "binary32")
    assert (group.verdict, group.hypotheses[0].name) == ("free", "int_minimum=allow")


# bitstring 5.0.0


def test_bitstring_is_what_it_says() -> None:
    found = run("bitstring")
    assert not any(group.verdict in ("FAIL", "crash", "unsupported") for group in found.groups)
    assert exit_code(found) == 0


def test_bitstring_refuses_what_is_no_power_of_two_as_a_scale() -> None:
    group = first(run("bitstring"), "encode", "E8M0", "binary32")
    assert group.open_hypothesis is not None
    assert group.open_hypothesis.name == "refuses these inputs"
