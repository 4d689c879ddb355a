"""The table of verdicts, row by row, and the exit codes: each by the smallest subject that shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from conformance import zoo
from conformance.adapter import REJECTED
from conformance.judges import EncodeJudge
from conformance.runner import Filters, Run, check
from conformance.verdict import Group, lawful
from conformance.why.diagnose import Hypothesis
from conformance.worker import InProcess
from mxemu.cli import cli
from mxemu.cli.check import exit_code
from mxemu.formats import BINARY16, BINARY32, E2M1, E4M3, E5M2
from mxemu.profile import OCP, Profile, from_mapping

SUBJECTS = Path(__file__).parent / "subjects"
TRUE = zoo.reference


def offer(
    function: Callable[..., Any],
    operation: str = "encode",
    formats: Sequence[str] = ("E2M1",),
    carrier: str = "binary32",
    profile: object = None,
    **record: Any,
) -> SimpleNamespace:
    """A subject with one operation."""
    offered = {"formats": list(formats), "carriers": [carrier], **record}
    capabilities = {"operations": {operation: offered}, "profile": profile}
    return SimpleNamespace(
        name="s", version="1", capabilities=capabilities, **{operation: function}
    )


def follows(profile: object = None, operation: str = "encode", **changes: Any) -> SimpleNamespace:
    """A subject that follows OCP with some changes, whatever it is asked for, and declares a profile."""
    record = {key: changes.pop(key) for key in ("formats", "carrier") if key in changes}
    own = OCP.replace(**changes)
    function = getattr(TRUE, operation)
    return offer(lambda *given: function(*given[:2], own), operation, profile=profile, **record)


def checked(
    subject: object,
    asked: Profile | None = None,
    filters: Filters | None = None,
    level: str = "smoke",
) -> Run:
    worker = InProcess(subject)
    return check(worker, Run("s", worker.introduce(), level, asked), filters or Filters())


def group_of(subject: object, asked: Profile | None = None) -> Group:
    """The group that was judged; capabilities that are missing stand beside it."""
    (group,) = [one for one in checked(subject, asked).groups if one.carrier != "any"]
    return group


def cause(group: Group) -> tuple[str, str, tuple[str, ...]]:
    """Name and kind of the first hypothesis, and the clauses that it breaks."""
    first = group.hypotheses[0]
    assert first.complete
    return first.name, first.kind, first.clauses


# As declared, and legal: pass.


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rounding": "ties-to-away"},
        {"overflow": "overflow"},
        {"zero_sign": "positive"},
        {"input_subnormals": "flush"},
        {"int_minimum": "allow"},
    ],
    ids=str,
)
def test_what_keeps_a_legal_promise_passes(changes: dict[str, str]) -> None:
    for fmt in ("E2M1", "INT8"):
        run = checked(follows({"preset": "ocp", **changes}, formats=[fmt], **changes))
        judged = [group for group in run.groups if group.carrier != "any"]
        assert [group.verdict for group in judged] == ["pass"]
        assert not judged[0].hypotheses
        assert not judged[0].clusters
        assert exit_code(run) == 0


def test_a_pass_says_how_many_cases_ocp_itself_decides_otherwise() -> None:
    overflows = group_of(follows("ocp-overflow", formats=["E4M3"], overflow="overflow"))
    assert overflows.verdict == "pass"
    assert overflows.beside_ocp > 0
    assert group_of(follows("ocp")).beside_ocp == 0


# Broken under every legal choice: FAIL.


def test_what_no_choice_allows_fails() -> None:
    group = group_of(offer(lambda values, name: TRUE.encode(values, name) ^ 1))
    assert group.verdict == "FAIL"
    assert not group.hypotheses
    assert group.counts["pass"] == 0


def test_a_known_mistake_fails_under_its_name() -> None:
    group = group_of(offer(zoo.half_up.encode))
    assert (group.verdict, cause(group)) == ("FAIL", ("half-up", "mistake", ()))


DEPARTURES = [
    ("encode", "E2M1", {"element_subnormals": "flush"}, "MX-5.3-SUBNORMAL"),
    ("encode", "E4M3", {"element_subnormals": "flush"}, "MX-5.3-SUBNORMAL"),
    ("encode", "E4M3", {"zero_sign": "positive"}, "MX-5.3.1-OFP8"),
    ("quantize", "MXFP4_E2M1", {"element_subnormals": "flush"}, "MX-5.3-SUBNORMAL"),
    ("quantize", "MXFP8_E5M2", {"zero_sign": "positive"}, "MX-5.3.1-OFP8"),
]


@pytest.mark.parametrize(("operation", "fmt", "changes", "clause"), DEPARTURES, ids=str)
def test_a_choice_that_a_clause_forbids_fails_whoever_wants_it(
    operation: str, fmt: str, changes: dict[str, str], clause: str
) -> None:
    name = ", ".join(f"{key}={value}" for key, value in changes.items())
    expected = ("FAIL", (name, "departure", (clause,)))
    silent = group_of(follows(None, operation, formats=[fmt], **changes))
    promised = group_of(follows({"preset": "ocp", **changes}, operation, formats=[fmt], **changes))
    asked = group_of(follows(None, operation, formats=[fmt], **changes), OCP.replace(**changes))
    for group in (silent, promised, asked):
        assert (group.verdict, cause(group)) == expected
        assert group.counts["FAIL"] == silent.counts["FAIL"] > 0


@pytest.mark.parametrize("choice", ["power", "inf"])
def test_a_scale_that_is_nan_makes_every_element_nan(choice: str) -> None:
    def dequantize(scales: np.ndarray, codes: np.ndarray, name: str) -> np.ndarray:
        rows = TRUE.dequantize(scales, codes, name)
        factor = np.float32(np.inf if choice == "inf" else 2.0**127)
        with np.errstate(all="ignore"):
            numbers = TRUE.decode(codes[scales == 255].reshape(-1), "E2M1") * factor
            numbers = numbers if choice == "inf" else numbers * np.float32(2)
        rows[scales == 255] = numbers.reshape(-1, 32)
        return rows

    group = group_of(offer(dequantize, "dequantize", ["MXFP4_E2M1"]))
    name = f"scale_nan={choice}"
    assert (group.verdict, cause(group)) == ("FAIL", (name, "departure", ("MX-5.1-NANSCALE",)))
    assert group.clusters[0].first.clause == "MX-5.1-NANSCALE"


def test_a_forbidden_promise_that_is_not_kept_fails_too() -> None:
    group = group_of(follows({"preset": "ocp", "element_subnormals": "flush"}))
    assert (group.verdict, cause(group)) == ("FAIL", ("element_subnormals=keep", "profile", ()))


def test_the_lawful_part_of_a_profile() -> None:
    mixed = OCP.replace(zero_sign="positive", scale_nan="inf", rounding="to-odd")
    fp8, fp4 = (EncodeJudge(fmt, BINARY32, "smoke") for fmt in (E4M3, E2M1))
    assert dict(lawful(mixed, fp8).changes()) == {"rounding": mixed.rounding}
    assert dict(lawful(mixed, fp4).changes()) == {
        "rounding": mixed.rounding,
        "zero_sign": mixed.zero_sign,
    }
    assert lawful(OCP, fp8) is OCP


def test_flushed_inputs_break_ofp8_only_where_a_code_stands_for_them() -> None:
    flushing = OCP.replace(input_subnormals="flush")
    broken = {
        (fmt.name, carrier.name): EncodeJudge(fmt, carrier, "smoke").departures(flushing)
        for fmt in (E4M3, E5M2)
        for carrier in (BINARY16, BINARY32)
    }
    assert broken == {
        ("E4M3", "binary16"): (),
        ("E4M3", "binary32"): (),
        ("E5M2", "binary16"): ("MX-5.3.1-OFP8",),
        ("E5M2", "binary32"): (),
    }


# Another convention: free, unless something else was promised.

CONVENTIONS = [
    ("encode", "E4M3", {"overflow": "overflow"}),
    ("encode", "E2M1", {"rounding": "to-odd"}),
    ("encode", "E2M1", {"zero_sign": "positive"}),
    ("encode", "INT8", {"rounding": "toward-negative", "int_minimum": "allow"}),
    ("encode", "E5M2", {"overflow": "overflow", "rounding": "ties-to-away"}),
    ("quantize", "MXFP4_E2M1", {"scale_rule": "RCEIL"}),
    ("quantize", "MXFP6_E3M2", {"scale_rule": "EVEN", "rounding": "ties-to-away"}),
    ("fake_quantize", "MXFP4_E2M1", {"scale_rule": "CEIL"}),
]


def fake(values: np.ndarray, name: str, profile: Profile) -> np.ndarray:
    return TRUE.dequantize(*TRUE.quantize(values, name, profile), name)


@pytest.mark.parametrize(("operation", "fmt", "changes"), CONVENTIONS, ids=str)
def test_one_legal_profile_that_explains_everything_is_free(
    operation: str, fmt: str, changes: dict[str, str]
) -> None:
    own = OCP.replace(**changes)
    function = fake if operation == "fake_quantize" else getattr(TRUE, operation)

    def subject(profile: object) -> SimpleNamespace:
        return offer(
            lambda values, name: function(values, name, own), operation, [fmt], "binary32", profile
        )

    undeclared, declared, otherwise = (
        group_of(subject(profile)) for profile in (None, {"preset": "ocp", **changes}, "ocp")
    )
    name, kind, _ = cause(undeclared)
    assert (undeclared.verdict, kind) == ("free", "profile")
    assert dict(part.split("=") for part in name.split(", ")) == changes
    assert not undeclared.counts["FAIL"]
    assert declared.verdict == "pass"
    assert (otherwise.verdict, cause(otherwise)) == ("FAIL", (name, "profile", ()))
    assert otherwise.counts["FAIL"] == undeclared.counts["free"]


def test_no_single_profile_for_all_of_a_group_fails() -> None:
    def encode(values: np.ndarray, name: str) -> np.ndarray:
        large = np.abs(values) > 2
        return np.where(
            large,
            TRUE.encode(values, name, OCP.replace(rounding="toward-zero")),
            TRUE.encode(values, name),
        )

    group = group_of(offer(encode))
    assert group.verdict == "FAIL"
    assert not any(one.complete for one in group.hypotheses)


def test_scales_by_no_rule_known_here_are_free_while_the_elements_fit_them() -> None:
    def quantize(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        rows = [
            TRUE.quantize(values, name, OCP.replace(scale_rule=rule)) for rule in ("FLOOR", "CEIL")
        ]
        odd = values[:, :1].view(np.uint32) & 1 == 1
        return tuple(
            np.where(odd.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in zip(*rows, strict=True)
        )

    def clipped(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        scales, codes = quantize(values, name)
        return scales, np.where(codes & 7 == 7, codes - 1, codes)

    name = ["MXFP4_E2M1"]
    own = group_of(offer(quantize, "quantize", name))
    assert (own.verdict, own.hypotheses[0].name) == ("free", "a scale rule of its own")
    assert group_of(offer(quantize, "quantize", name, profile="ocp")).verdict == "FAIL"
    assert group_of(offer(clipped, "quantize", name)).verdict == "FAIL"


# Where the specification is silent: free, never worse.


def with_nan_as(code: Callable[[np.ndarray], Any]) -> SimpleNamespace:
    def encode(values: np.ndarray, name: str) -> np.ndarray:
        codes = TRUE.encode(values, name)
        nan = np.isnan(values)
        codes[nan] = code(values[nan])
        return codes

    return offer(encode)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (lambda values: 7, "pass"),
        (lambda values: 7 | 8 * np.signbit(values), "nan_without_code=max-keep-sign"),
        (lambda values: 0, "nan_without_code=zero-positive"),
        (lambda values: 8 * ~np.signbit(values), "nan_without_code=zero-flip-sign"),
        (lambda values: REJECTED, "refuses these inputs"),
        (lambda values: np.arange(len(values)) % 16, ""),
    ],
    ids=["as ocp", "sign kept", "zero", "zero flipped", "refused", "anything"],
)
def test_nan_into_a_format_without_nan_is_never_a_fault(code: Any, name: str) -> None:
    run = checked(with_nan_as(code))
    (group,) = run.groups
    assert group.verdict == ("pass" if name == "pass" else "free")
    assert not group.hypotheses
    found = group.open_hypothesis
    assert (found.name if found else "") == ("" if name == "pass" else name)
    assert exit_code(run) == 0


def test_what_is_no_code_of_the_format_is_a_fault_even_there() -> None:
    group = group_of(with_nan_as(lambda values: 0x47))
    assert group.verdict == "FAIL"
    assert group.clusters[0].first.text() == (
        "MX-5.3.3-ENC  in 0x7FC00000 = NaN  dut 0x47 = no code of E2M1  ref 0x7 0_11_1 = 6"
    )


def test_a_convention_is_found_beside_a_fault() -> None:
    def encode(values: np.ndarray, name: str) -> np.ndarray:
        codes = zoo.double_rounding_binary32.encode(values, name)
        return np.where(np.isnan(values), 8 * ~np.signbit(values), codes)

    group = group_of(offer(encode, carrier="binary64"))
    assert (group.verdict, cause(group)[0]) == ("FAIL", "double-rounding-binary32")
    assert group.open_hypothesis is not None
    assert group.open_hypothesis.name == "nan_without_code=zero-flip-sign"


def with_special_blocks(scale: int, code: int) -> SimpleNamespace:
    def quantize(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        scales, codes = (part.copy() for part in TRUE.quantize(values, name))
        special = ~np.isfinite(values).all(axis=1)
        scales[special], codes[special] = scale, code
        return scales, codes

    return offer(quantize, "quantize", ["MXFP4_E2M1"])


@pytest.mark.parametrize(("scale", "code"), [(0, 0), (254, 7), (127, 3), (REJECTED, REJECTED)])
def test_blocks_with_nan_or_inf_are_never_a_fault(scale: int, code: int) -> None:
    group = group_of(with_special_blocks(scale, code))
    assert (group.verdict, group.counts["FAIL"]) == ("free", 0)
    assert {cluster.first.clause for cluster in group.clusters} == {"MX-6.3-ALT"}


@pytest.mark.parametrize(
    ("scale", "code", "clause"),
    [(256, 0, "MX-5.4.1-RANGE"), (127, 16, "MX-5.3.3-ENC"), (REJECTED, 0, "MX-5.4.1-RANGE")],
    ids=["no scale", "no element", "half refused"],
)
def test_rows_that_are_no_blocks_are_a_fault_even_there(scale: int, code: int, clause: str) -> None:
    group = group_of(with_special_blocks(scale, code))
    assert (group.verdict, group.clusters[0].first.clause) == ("FAIL", clause)


@pytest.mark.parametrize("scale", [0, 1, 126, 127, 254])
def test_the_scale_of_a_zero_block_is_free(scale: int) -> None:
    group = group_of(with_zero_blocks(scale))
    assert (group.verdict, group.counts["FAIL"]) == (
        "free",
        0,
    )  # free as to the sign of its zeros, too


def test_a_promise_is_kept_where_the_specification_is_silent_too() -> None:
    def blocks(declared: object, **changes: str) -> Group:
        return group_of(follows(declared, "quantize", formats=["MXFP4_E2M1"], **changes))

    largest = {"preset": "ocp", "inf_block": "scale-largest"}
    assert blocks(largest, inf_block="scale-largest").verdict == "pass"
    broken = blocks(largest)
    assert (broken.verdict, cause(broken)) == ("FAIL", ("inf_block=scale-nan", "profile", ()))
    assert broken.counts["FAIL"] == 22
    # What nobody spoke of is a default, and no promise.
    assert blocks("ocp", inf_block="scale-largest").verdict == "free"
    assert blocks(None, inf_block="scale-largest").verdict == "free"


def test_a_promised_scale_cast_is_kept_and_an_unusual_one_breaks_any_promise() -> None:
    def cast(declared: object, **changes: str) -> Group:
        return group_of(follows(declared, formats=["E8M0"], **changes))

    cut = {"preset": "ocp", "scale_cast": "toward-zero"}
    assert cast(cut, scale_cast="toward-zero").verdict == "pass"
    broken = cast(cut)
    assert (broken.verdict, cause(broken)[0]) == ("FAIL", "scale_cast=ties-to-even")
    assert cast("ocp", scale_cast="toward-zero").verdict == "free"
    odd = offer(lambda values, name: np.full(len(values), 77), formats=["E8M0"], profile="ocp")
    assert group_of(odd).verdict == "FAIL"


def test_no_promise_about_nan_makes_it_worse_than_free() -> None:
    declared = {"preset": "ocp", "nan_without_code": "max-keep-sign"}
    assert group_of(follows(declared, nan_without_code="zero-positive")).verdict == "free"


def with_zero_blocks(scale: int, code: int = 0) -> SimpleNamespace:
    def quantize(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        scales, codes = (part.copy() for part in TRUE.quantize(values, name))
        zero = (values == 0).all(axis=1)
        scales[zero], codes[zero] = scale, code
        return scales, codes

    return offer(quantize, "quantize", ["MXFP4_E2M1"])


@pytest.mark.parametrize(("scale", "code"), [(255, 0), (0, 1), (REJECTED, REJECTED)])
def test_a_zero_block_that_is_not_zero_any_more_is_a_fault(scale: int, code: int) -> None:
    group = group_of(with_zero_blocks(scale, code))
    assert (group.verdict, group.clusters[0].first.clause) == ("FAIL", "MX-6.3-ELEM")
    assert group.counts["FAIL"] == 3


def test_conversion_to_a_scale_is_free_whatever_it_gives() -> None:
    anything = offer(lambda values, name: np.arange(len(values)) % 256, formats=["E8M0"])
    refuses = offer(lambda values, name: np.full(len(values), REJECTED), formats=["E8M0"])
    for subject in (anything, refuses):
        run = checked(subject)
        assert [group.verdict for group in run.groups] == ["free"]
        assert exit_code(run) == 0
    group = group_of(offer(lambda values, name: np.full(len(values), 256), formats=["E8M0"]))
    assert (group.verdict, group.clusters[0].first.clause) == ("FAIL", "MX-5.4.1-RANGE")


@pytest.mark.parametrize(
    "changes",
    [
        {"scale_cast": "toward-positive"},
        {"scale_cast": "ties-to-away-binary32", "scale_zero": "nan", "scale_overflow": "nan"},
    ],
    ids=str,
)
def test_the_convention_of_a_scale_cast_is_named(changes: dict[str, str]) -> None:
    group = group_of(follows(None, formats=["E8M0"], **changes))
    assert group.open_hypothesis is not None
    assert dict(part.split("=") for part in group.open_hypothesis.name.split(", ")) == changes


# What every implementation has to offer.


def missing(run: Run) -> set[tuple[str, str, str]]:
    return {
        (one.operation, one.format, one.clause)
        for one in run.groups
        if one.verdict == "unsupported"
    }


def test_both_overflows_are_asked_of_fp8_and_of_nothing_else() -> None:
    formats = ["E4M3", "E5M2", "E2M1", "INT8", "E4M3FNUZ"]
    saturating, overflowing, both = (
        missing(checked(follows(None, formats=formats))),
        missing(checked(follows(None, formats=formats, overflow="overflow"))),
        missing(
            checked(
                offer(
                    TRUE.encode, formats=formats, profile="ocp", overflows=["SATURATE", "OVERFLOW"]
                )
            )
        ),
    )
    fp8 = ("E4M3", "E5M2")
    assert saturating == {("encode", fmt, "MX-5.3.1-OVF") for fmt in fp8}
    assert overflowing == {("encode", fmt, "MX-5.3.1-SAT") for fmt in fp8}
    assert both == set()


def test_ties_to_even_is_asked_of_every_conversion() -> None:
    formats = ["E4M3", "E3M2", "E2M1", "INT8", "E4M3FNUZ"]
    cuts = missing(checked(follows("floor-truncate", formats=formats, rounding="toward-zero")))
    assert cuts - {("encode", "E4M3", "MX-5.3.1-OVF")} == {
        ("encode", "E4M3", "MX-5.3.1-OFP8"),
        ("encode", "E3M2", "MX-5.3.2-RNE"),
        ("encode", "E2M1", "MX-5.3.3-RNE"),
        ("encode", "INT8", "MX-5.3.4-RNE"),
    }
    blocks = follows("floor-ties-away", "quantize", formats=["MXFP4_E2M1"], rounding="ties-to-away")
    assert missing(checked(blocks)) == {("quantize", "MXFP4_E2M1", "MX-6.3-RNE")}


def test_missing_capabilities_do_not_fail_and_follow_the_filters() -> None:
    subject = follows("ocp-overflow", formats=["E4M3", "E5M2"], overflow="overflow")
    assert exit_code(checked(subject)) == 0
    one = checked(subject, filters=Filters(formats=("E5M2",)))
    assert missing(one) == {("encode", "E5M2", "MX-5.3.1-SAT")}
    assert missing(checked(subject, filters=Filters(operations=("decode",)))) == set()
    assert missing(checked(subject, filters=Filters(carriers=("binary32",)))) == set()


def test_what_offers_nothing_of_a_format_is_not_asked_for_more() -> None:
    def encode(values: np.ndarray, name: str) -> np.ndarray:
        raise ValueError("no")

    run = checked(offer(encode, formats=["E4M3"]))
    assert [group.verdict for group in run.groups] == ["crash"]


def test_a_rounding_that_is_offered_is_a_promise() -> None:
    rounds = offer(TRUE.encode, profile="ocp", roundings=["TOWARD_ZERO", "STOCHASTIC"])
    run = checked(rounds)
    assert [group.verdict for group in run.groups] == ["pass", "pass"]
    assert [what for what, _ in run.skipped] == ["encode with stochastic rounding"]
    ignores = offer(
        lambda values, name, profile: TRUE.encode(values, name),
        profile="ocp",
        roundings=["TOWARD_ZERO"],
    )
    assert [group.verdict for group in checked(ignores).groups] == ["pass", "FAIL"]


# Exit codes.


def test_exit_3_is_another_legal_profile_than_the_one_asked_for() -> None:
    overflows = follows("ocp-overflow", formats=["E4M3"], overflow="overflow")
    assert exit_code(checked(overflows)) == 0
    assert exit_code(checked(overflows, OCP)) == 3
    assert exit_code(checked(overflows, from_mapping({"preset": "ocp-overflow"}))) == 0
    wrong = offer(zoo.half_up.encode)
    assert exit_code(checked(wrong, OCP)) == 1


def test_conventions_where_the_specification_is_silent_are_no_other_profile() -> None:
    assert exit_code(checked(with_nan_as(lambda values: 0), OCP)) == 0


def test_exit_4_is_nothing_to_judge() -> None:
    subject = follows("ocp")
    assert exit_code(checked(subject, filters=Filters(formats=("E4M3",)))) == 4
    assert exit_code(checked(subject, filters=Filters(operations=("decode",)))) == 4
    run = checked(subject)
    run.interrupted = True
    assert exit_code(run) == 4
    run.groups[0].counts["FAIL"] = 1
    assert exit_code(run) == 1


USE = {
    ("good.py", "--format", "E4M4"): "format",
    ("good.py", "--operation", "dott"): "operation",
    ("good.py", "--carrier", "binary31"): "carrier",
    ("good.py", "--profile", "no-such"): "profile",
    ("good.py", "--profile", "no-such.toml"): "no-such.toml",
    ("good.py", "--known", "no-such.toml"): "no-such.toml",
    ("good.py", "--known", "auto"): "--known auto is for built-in subjects",
    ("good.py", "--level", "deep"): "deep",
    ("good.py[none]",): "no variants",
    ("variants.py[none]",): "none",
    ("nosuch.py",): "is not there",
}


@pytest.mark.parametrize("arguments", USE, ids=" ".join)
def test_exit_2_is_wrong_use_in_one_line(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, ["check", str(SUBJECTS / arguments[0]), *arguments[1:]])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert USE[arguments] in result.stderr
    assert "Traceback" not in result.stderr


EXITS = {
    ("good.py",): 0,
    ("good.py", "--profile", "ocp"): 0,
    ("variants.py[even]",): 0,
    ("variants.py[cut]",): 0,
    ("variants.py[cut]", "--profile", "floor-truncate"): 0,
    ("variants.py[cut]", "--profile", "ocp"): 3,
    ("variants.py[even]", "--profile", "floor-truncate"): 3,
    ("raises.py",): 1,
    ("good.py", "--format", "E4M3"): 4,
}


@pytest.mark.parametrize("arguments", EXITS, ids=" ".join)
def test_the_command_exits_as_its_table_says(arguments: tuple[str, ...]) -> None:
    target = str(SUBJECTS / arguments[0])
    result = CliRunner().invoke(cli, ["check", target, *arguments[1:], "--level", "smoke"])
    assert result.exit_code == EXITS[arguments]
    assert f"exit {EXITS[arguments]}: " in result.stdout


def test_hypotheses_know_whether_they_explain_everything() -> None:
    assert Hypothesis("a", "profile", 3, 3).complete
    assert not Hypothesis("a", "mistake", 2, 3).complete


@pytest.mark.parametrize(
    "changes",
    [
        {"rounding": "toward-negative", "scale_rule": "EVEN", "scale_clamp": (0, 252)},
        {"rounding": "toward-zero", "amax_floor": "0x1p-23"},
    ],
)
def test_a_choice_that_few_cases_show_is_found_among_others(changes: dict[str, Any]) -> None:
    """The ends of the scale are seldom among the cases that are looked at first."""
    own = from_mapping(changes)
    subject = offer(lambda *given: TRUE.quantize(*given[:2], own), "quantize", ["MXFP4_E2M1"])
    group = checked(subject).groups[0]
    assert group.verdict == "free"
    assert all(field in group.hypotheses[0].name for field in changes)


def test_a_clamp_that_a_scale_format_does_not_have_is_not_tried() -> None:
    def quantize(values: Any, block_format: str, profile: Profile) -> Any:
        scales, codes = TRUE.quantize(values, block_format, profile)
        return scales ^ 1, codes

    assert checked(offer(quantize, "quantize", ["NVFP4"])).groups[0].verdict == "FAIL"
