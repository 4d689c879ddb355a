"""Dot products under the checker: what is promised, what is free, what no accumulation may do, and what is said."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

from conformance import zoo
from conformance.adapter import PRODUCT_OPERATIONS, capabilities_of, find_pair, pair_of, parse
from conformance.arrays import dot_bits
from conformance.cases.products import (
    BLOCKS,
    GRIDS,
    RANDOM,
    Layout,
    matmul_cases,
    product_cases,
)
from conformance.judges import ProductJudge, product_judge
from conformance.judges.products import LOSS
from conformance.report import text
from conformance.report.json_report import SCHEMA_FILE, record
from conformance.runner import Filters, Run, check
from conformance.verdict import Group, Terms, judge_group
from conformance.worker import InProcess, Worker
from mxemu.accumulation import EXACT, Accumulation
from mxemu.accumulations import ACCUMULATIONS, from_mapping
from mxemu.cli import cli
from mxemu.cli.check import exit_code
from mxemu.errors import MxemuError, Unsupported
from mxemu.formats import (
    BINARY16,
    BINARY32,
    CONCRETE,
    MXFP4_E2M1,
    MXFP8_E4M3,
    MXFP8_E5M2,
    MXINT8,
    FloatFormat,
    block_format,
    carrier,
    find,
)
from mxemu.products import Operand
from mxemu.products import dot as dot_of_one
from mxemu.profile import OCP
from mxemu.scalar import decode

SUBJECTS = Path(__file__).parent / "subjects"
DOTS = str(SUBJECTS / "dots.py")
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text("utf-8")))
UNIT = {
    "name": "unit",
    "node": {
        "kind": "chain",
        "length": 8,
        "step": {"fraction_bits": 20, "out": "binary32 toward-zero"},
    },
}


def judge_of(
    operation: str = "dot",
    label: str = "MXFP8_E4M3",
    accumulation: Accumulation = EXACT,
    out: FloatFormat = BINARY32,
    takes_c: bool = True,
) -> ProductJudge:
    return product_judge(operation, label, out, "smoke", takes_c, accumulation)


def judged(judge: ProductJudge, observed: np.ndarray, declared: bool = False) -> Group:
    """The group of some results."""
    group = Group(judge.operation, judge.label, judge.carrier.name, OCP)
    group.accumulation = judge.accumulation
    nothing = np.zeros(len(observed), dtype=bool)
    terms = Terms(OCP, declared, accumulation=judge.accumulation)
    return judge_group(group, judge, observed, nothing, terms)


def subject(dot: Callable[..., Any], declared: object = None, **offer: Any) -> SimpleNamespace:
    """A subject with the operation dot."""
    offered = {"formats": ["MXFP8_E4M3"], "c": True, **offer}
    capabilities = {"operations": {"dot": offered}, "accumulation": declared}
    return SimpleNamespace(name="s", version="1", capabilities=capabilities, dot=dot)


def checked(one: object, **settings: Any) -> Run:
    worker = InProcess(one)
    run = Run("s", worker.introduce(), "smoke", None, **settings)
    return check(worker, run, Filters())


# As promised, and as named accumulations do.


@pytest.mark.parametrize("operation", PRODUCT_OPERATIONS)
@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_a_named_accumulation_passes_if_declared_and_is_free_and_named_if_not(
    name: str, operation: str
) -> None:
    label = "MXFP8_E4M3" if operation == "dot" else "MXFP4_E2M1,MXINT8"
    judge = judge_of(operation, label)
    observed = judge.expected(ACCUMULATIONS[name])
    declared = judged(judge.compared_with(ACCUMULATIONS[name]), observed, declared=True)
    assert (declared.verdict, declared.hypotheses) == ("pass", [])
    silent = judged(judge, observed)
    if not judge.differ(observed, judge.expected(EXACT)).any():
        # Sums of E2M1 times INT8 over this length are exact in many accumulators.
        assert silent.verdict == "pass"
        assert name == "exact" or operation == "matmul"
        return
    (cause,) = silent.hypotheses
    assert (silent.verdict, cause.kind, cause.complete) == ("free", "accumulation", True)
    assert name in (cause.name, *cause.also)
    for other in (cause.name, *cause.also):
        assert not judge.differ(judge.expected(ACCUMULATIONS[other]), observed).any()


@pytest.mark.parametrize("name", ["pairwise", "nv-blackwell-mxf8f6f4", "kulisch(64, -32)"])
def test_another_accumulation_than_the_declared_one_fails_and_is_named(name: str) -> None:
    judge = judge_of(accumulation=ACCUMULATIONS["fp32-fma"])
    group = judged(judge, judge.expected(ACCUMULATIONS[name]), declared=True)
    (cause,) = group.hypotheses
    assert (group.verdict, cause.kind, cause.complete) == ("FAIL", "accumulation", True)
    assert name in (cause.name, *cause.also)
    assert not group.counts["free"]


def test_units_for_these_operands_are_named_first_then_definitions() -> None:
    hopper = judge_of()
    (cause,) = judged(hopper, hopper.expected(ACCUMULATIONS["nv-hopper-fp8-wgmma"])).hypotheses
    assert cause.name == "nv-hopper-fp8-wgmma"
    ints = judge_of(label="MXINT8")
    (cause,) = judged(ints, ints.expected(ACCUMULATIONS["fp32-fma"])).hypotheses
    # Products of INT8 are exact in binary32, so fusing them changes nothing.
    assert (cause.name, cause.also[0]) == ("fp32-sequential", "fp32-fma")


def test_an_accumulation_without_a_name_is_free_and_fails_only_a_promise() -> None:
    judge = judge_of()
    observed = dot_bits(judge.dots, from_mapping(UNIT))
    silent, promised = judged(judge, observed), judged(judge, observed, declared=True)
    assert (silent.verdict, silent.hypotheses, silent.counts["FAIL"]) == ("free", [], 0)
    assert {one.first.clause for one in silent.clusters} == {"MX-6.1-PREC"}
    assert (promised.verdict, promised.counts["free"]) == ("FAIL", 0)


def test_what_is_nearly_an_accumulation_names_it_as_the_closest() -> None:
    judge = judge_of()
    observed = judge.expected(ACCUMULATIONS["nv-hopper-fp8-wgmma"]).copy()
    wrong = np.flatnonzero(judge.differ(observed, judge.expected(EXACT)))
    observed[wrong[:2]] ^= np.uint32(1 << 9)
    (cause,) = judged(judge, observed).hypotheses
    assert (cause.name, cause.complete) == ("nv-hopper-fp8-wgmma", False)
    assert cause.of - cause.explains == 2


# Beyond what any accumulation does.

POSSIBLE = {
    # These lose precision, range or a sign, which MX leaves open; all others miss the sum or lose a NaN.
    *("dot-flushes-results", "results-saturate", "results-truncated", "negative-zero-sum-lost"),
    "products-in-bfloat16",
}


@pytest.mark.parametrize("member", zoo.products.MEMBERS, ids=lambda member: member.name)
def test_a_mistake_fails_without_any_promise_if_no_accumulation_explains_it(member: Any) -> None:
    labels = ("MXFP8_E5M2", "MXFP8_E5M2,MXFP8_E4M3", "MXINT8")
    judges = [judge_of(member.operations[0], label) for label in labels]
    judge = next(one for one in judges if member.touches(one))
    group = judged(judge, member.outcome(judge, OCP))
    assert group.hypotheses[0].name == member.name
    assert group.hypotheses[0].complete
    assert group.verdict == ("free" if member.name in POSSIBLE else "FAIL")
    assert bool(group.counts["FAIL"]) != bool(group.counts["free"])


def one_product(judge: ProductJudge) -> int:
    """A case of one ordinary product without C."""
    theme = judge.cases.notes.index("product-lane")
    return int(np.flatnonzero(judge.cases.theme == theme)[0])


def changed(judge: ProductJudge, index: int, bits: int) -> Group:
    observed = judge.expected(EXACT).copy()
    observed[index] = bits
    return judged(judge, observed)


def test_the_bound_is_where_it_is_said_to_be() -> None:
    judge = judge_of()
    index = one_product(judge)
    right = judge.expectation(index, OCP)
    exact = decode(right, BINARY32).fraction()
    bound = 3 * exact / 2**LOSS  # of one term, and the smallest normal number does not count here
    inside = int(np.float32(float(exact + bound)).view(np.uint32)) - 1
    assert decode(inside, BINARY32).fraction() - exact <= bound
    assert changed(judge, index, inside).verdict == "free"
    assert changed(judge, index, inside + 2).verdict == "FAIL"
    assert changed(judge, index, right | 1 << 31).verdict == "FAIL"
    assert changed(judge, index, 0).verdict == "FAIL"
    for special in (0x7F800000, 0x7FC00000):
        assert changed(judge, index, special).verdict == "FAIL"


def case(judge: ProductJudge, total: Callable[[Any], bool]) -> int:
    """The first case whose exact sum is of some kind."""
    return next(index for index in range(len(judge.cases)) if total(judge.sums(index)))


def test_nan_operands_stay_nan_and_invalid_sums_may_be_anything() -> None:
    judge = judge_of(label="MXFP8_E5M2")
    scale = case(judge, lambda sums: sums.clause == "MX-5.1-NANSCALE")
    element = case(judge, lambda sums: sums.total.is_nan and sums.clause == "MX-5.1-SPECIAL")
    invalid = case(judge, lambda sums: sums.total.is_nan and not sums.clause)
    for index, clause in ((scale, "MX-5.1-NANSCALE"), (element, "MX-5.1-SPECIAL")):
        group = changed(judge, index, 0x3F800000)
        assert (group.verdict, group.clusters[0].first.clause) == ("FAIL", clause)
        assert changed(judge, index, 0xFFFFFFFF).verdict == "pass"  # any NaN is as good
    assert changed(judge, invalid, 0x3F800000).verdict == "free"


def test_inf_stays_and_what_overflows_may_stop_at_the_largest_number() -> None:
    judge = judge_of(label="MXFP8_E5M2")
    given = case(judge, lambda sums: sums.total.is_inf and not sums.total.sign)
    beyond = case(judge, lambda sums: sums.total.is_finite and sums.total.leading > 140)
    sign = decode(judge.expectation(beyond, OCP), BINARY32).sign << 31
    for index, own in ((given, 0), (beyond, sign)):
        assert changed(judge, index, own | 0x7F7FFFFF).verdict == "free"
        assert changed(judge, index, own | 0x3F800000).verdict == "FAIL"
        assert changed(judge, index, (own ^ 1 << 31) | 0x7F7FFFFF).verdict == "FAIL"
    assert changed(judge, given, 0x3F800000).clusters[0].first.clause == "MX-5.1-SPECIAL"


def test_tiny_results_may_vanish() -> None:
    judge = judge_of()
    tiny = case(judge, lambda sums: sums.total.significand > 0 and sums.total.leading == -135)
    assert changed(judge, tiny, 0).verdict == "free"


def test_the_exact_sums_agree_with_the_core() -> None:
    for label in ("MXFP8_E5M2", "MXINT8", "MXFP4_E2M1,MXFP8_E4M3"):
        judge = judge_of("dot-general", label)
        for index in range(0, len(judge.cases), 23):
            value = of_the_core(judge, index, EXACT).value
            total = judge.sums(index).total
            assert value.kind is total.kind
            if value.is_finite:
                assert value.fraction() == total.fraction()


# Expectations.


def of_the_core(judge: ProductJudge, index: int, accumulation: Accumulation) -> Any:
    row = judge.layout.dots(judge.cases.inputs[index : index + 1])
    operands = [
        Operand(codes[0].tolist(), fmt, () if scales is None else scales[0].tolist())
        for scales, codes, fmt in (
            (row.sa, row.a, judge.layout.a),
            (row.sb, row.b, judge.layout.b),
        )
    ]
    c = decode(int(row.c[0]), judge.carrier)
    return dot_of_one(*operands, c, accumulation, judge.carrier)


@pytest.mark.parametrize("label", ["MXFP8_E4M3", "MXINT8,MXFP6_E3M2", "NVFP4", "E4M3,E5M2"])
@pytest.mark.parametrize("out", ["binary32", "binary16", "bfloat16"])
def test_expectations_are_those_of_the_core(label: str, out: str) -> None:
    names = ("exact", "fp32-sequential", "nv-hopper-fp8-wgmma", "amd-cdna3")
    judge = judge_of("dot-general", label, out=carrier(out))
    for name in names:
        record = ACCUMULATIONS[name]
        expected = judge.expected(record)
        for index in range(len(name), len(judge.cases), 37):
            assert int(expected[index]) == of_the_core(judge, index, record).bits


def replayed(judge: ProductJudge, note: str) -> tuple[str, int]:
    """The replay of the first case of a theme, and what it should show."""
    index = int(np.flatnonzero(judge.cases.theme == judge.cases.notes.index(note))[0])
    return judge.replay(index), judge.expectation(index, OCP)


@pytest.mark.parametrize("note", ["carried-distance", "nan-scale-product", "product-lane"])
@pytest.mark.parametrize(
    ("name", "out", "label"),
    [
        ("exact", "binary32", "MXFP8_E4M3"),
        ("kulisch(64, -32)", "bfloat16", "MXFP4_E2M1,MXINT8"),
        ("pairwise", "binary16", "MXFP6_E3M2"),
    ],
)
@pytest.mark.parametrize("operation", ["dot", "dot-general"])
def test_a_replay_explains_what_was_expected(
    name: str, out: str, label: str, operation: str, note: str
) -> None:
    judge = judge_of(operation, label, ACCUMULATIONS[name], carrier(out))
    shown, expected = replayed(judge, note)
    result = CliRunner().invoke(cli, [*shlex.split(shown)[1:], "--output-format", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["result"]["bits"]
    assert int(found, 16) == expected


def test_a_replay_of_a_record_without_a_name_computes_what_was_expected() -> None:
    judge = judge_of("dot-general", "MXFP8_E4M3", from_mapping(UNIT))
    shown, expected = replayed(judge, "carried-distance")
    assert shown.startswith('python -c "')
    code = shown.removeprefix('python -c "').removesuffix('"')
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ran.stdout, 16) == expected


# How a subject is asked.


def test_what_a_subject_is_given() -> None:
    calls: list[tuple[Any, ...]] = []

    def dot(*given: Any) -> np.ndarray:
        calls.append(given)
        return zoo.reference.dot(*given)

    run = checked(subject(dot))
    assert [group.verdict for group in run.groups] == ["pass"]
    without, carried = sorted(calls, key=lambda given: given[4] is not None)
    assert without[4] is None
    assert (carried[4] != 0).all()
    for sa, a, sb, b, _, names, accumulation in calls:
        assert (names, accumulation) == (("MXFP8_E4M3", "MXFP8_E4M3"), "exact")
        assert sa.shape == sb.shape == (len(a), 1)
        assert a.shape == b.shape == (len(a), 32)
        assert {array.dtype for array in (sa, a, sb, b)} == {np.dtype(np.uint8)}
    assert len(without[1]) + len(carried[1]) == run.groups[0].counts["pass"]


def test_one_that_takes_no_c_is_never_given_any() -> None:
    calls: list[Any] = []

    def dot(*given: Any) -> np.ndarray:
        calls.append(given[4])
        return zoo.reference.dot(*given)

    run = checked(subject(dot, c=False))
    assert (run.groups[0].verdict, calls) == ("pass", [None])


def test_formats_without_scales_come_without_scales() -> None:
    def dot(sa: Any, a: Any, sb: Any, b: Any, c: Any, names: Any, accumulation: Any) -> np.ndarray:
        assert sa is None
        assert sb is None
        return zoo.reference.dot(sa, a, sb, b, c, names, accumulation)

    run = checked(subject(dot, formats=[["E4M3", "E5M2"], "bfloat16"]))
    assert [(group.format, group.verdict) for group in run.groups] == [
        ("E4M3,E5M2", "pass"),
        ("bfloat16", "pass"),
    ]


def test_a_declared_record_is_passed_on_and_a_preset_by_its_name() -> None:
    asked: list[Any] = []

    def dot(*given: Any) -> np.ndarray:
        asked.append(given[-1])
        return zoo.reference.dot(*given)

    for declared, expected in ((UNIT, from_mapping(UNIT)), ("nv_hopper", "nv-hopper")):
        asked.clear()
        assert [group.verdict for group in checked(subject(dot, declared)).groups] == ["pass"]
        assert set(asked) == {expected}


def test_matrix_products_of_every_shape_are_asked_for_whole() -> None:
    shapes: list[tuple[int, ...]] = []

    def matmul(sa: Any, a: Any, sb: Any, b: Any, c: Any, *rest: Any) -> np.ndarray:
        shapes.append((len(a), len(b)))
        assert c.shape == (len(a), len(b))
        assert a.shape[1] == b.shape[1] == 32 * BLOCKS
        return zoo.reference.matmul(sa, a, sb, b, c, *rest)

    record_of = {"operations": {"matmul": {"formats": ["MXFP4"], "c": True}}}
    run = checked(SimpleNamespace(name="s", version="1", capabilities=record_of, matmul=matmul))
    assert run.groups[0].verdict == "pass"
    assert sorted(shapes) == sorted(GRIDS["smoke"])


def test_a_subject_that_raises_for_some_loses_only_those() -> None:
    def dot(sa: Any, a: Any, sb: Any, *rest: Any) -> np.ndarray:
        if (sa == 255).any():
            raise ValueError("a NaN scale")
        return zoo.reference.dot(sa, a, sb, *rest)

    (group,) = checked(subject(dot)).groups
    judge = judge_of()
    expected = int((judge.dots.sa == 255).sum())
    assert (group.counts["crash"], group.counts["pass"]) == (expected, len(judge.cases) - expected)
    assert group.clusters[0].first.dut.hex == "raised"


def test_a_matrix_product_that_raises_is_lost_whole_and_no_other() -> None:
    def matmul(sa: Any, a: Any, *rest: Any) -> np.ndarray:
        if len(a) == 1:
            raise ValueError("one row")
        return zoo.reference.matmul(sa, a, *rest)

    record_of = {"operations": {"matmul": {"formats": ["MXFP4"], "c": True}}}
    run = checked(SimpleNamespace(name="s", version="1", capabilities=record_of, matmul=matmul))
    (group,) = run.groups
    sizes = {m == 1: m * n for m, n in GRIDS["smoke"]}
    assert (group.counts["crash"], group.counts["pass"]) == (sizes[True], sizes[False])
    assert group.reason.startswith("ValueError: one row")


WRONG_RESULTS = {
    "floats": (
        lambda bits: bits.view(np.float32),
        "dtype float32; expected bit patterns of binary32",
    ),
    "signed": (lambda bits: bits.view(np.int32), "dtype int32"),
    "narrow": (lambda bits: bits.astype(np.uint64) << np.uint64(4), "expected bit patterns"),
    "transposed": (lambda bits: bits[:, None], "shape"),
    "two": (lambda bits: (bits, bits), "returned 2 arrays; expected one"),
}


@pytest.mark.parametrize("what", WRONG_RESULTS)
def test_results_of_another_form_are_a_crash_that_says_so(what: str) -> None:
    change, message = WRONG_RESULTS[what]
    (group,) = checked(subject(lambda *given: change(zoo.reference.dot(*given)))).groups
    assert group.verdict == "crash"
    assert message in group.reason


def test_what_is_unsupported_is_no_failure() -> None:
    def dot(*given: Any) -> np.ndarray:
        raise Unsupported("not today")

    (group,) = checked(subject(dot)).groups
    assert (group.verdict, group.reason) == ("unsupported", "not today")


def test_general_products_that_give_no_binary32_are_named_under_their_clause() -> None:
    judge = judge_of("dot-general", "MXFP4_E2M1", out=BINARY16, takes_c=False)

    def dot(*given: Any) -> np.ndarray:
        return judge.expected(EXACT)

    offered = {"formats": ["MXFP4"], "out": "binary16"}
    record_of = {"operations": {"dot-general": offered}}
    run = checked(SimpleNamespace(name="s", version="1", capabilities=record_of, dot=dot))
    assert [(one.verdict, one.carrier, one.clause) for one in run.groups] == [
        ("pass", "binary16", ""),
        ("unsupported", "any", "MX-6.2-F32"),
    ]
    assert exit_code(run) == 0


# The record of an adapter.


def test_pairs_of_formats_are_names_or_lists_of_two() -> None:
    assert find_pair("mxfp4") == "MXFP4_E2M1"
    assert find_pair("MXFP8_E4M3, mxfp4") == find_pair(["MXFP8_E4M3", "MXFP4"])
    assert pair_of(find_pair(("E4M3", "E4M3"))) == ("E4M3", "E4M3")
    offered = {"formats": ["MXFP4", ["MXFP8_E4M3", "MXINT8"]], "c": True, "out": "bfloat16"}
    found = parse("s", "1", {"operations": {"dot": offered}, "accumulation": UNIT})
    assert found.accumulation == from_mapping(UNIT)
    assert found.operations["dot"].formats == ("MXFP4_E2M1", "MXFP8_E4M3,MXINT8")
    assert (found.operations["dot"].carriers, found.operations["dot"].c) == (("bfloat16",), True)
    written = json.loads(json.dumps(found.record()))
    assert written.pop("variants") == []
    assert parse("s", "1", written) == found


BAD_RECORDS = [
    ({"formats": [["MXFP4", "NVFP4"]]}, "k = 32 and 16; expected one (MX-6.1-DOT)"),
    ({"formats": [["MXFP4", "MXFP4", "MXFP4"]]}, "3 formats"),
    ({"formats": ["MXFP5"]}, "dot.formats: unknown format 'MXFP5'"),
    ({"formats": [7]}, "expected the name of a format, or two names"),
    ({"formats": []}, "expected a list of names or pairs of names"),
    ({}, "expected a list of names or pairs of names"),
    ({"formats": ["MXFP4"], "out": "binary31"}, "binary31"),
    ({"formats": ["MXFP4"], "c": 1}, "dot.c is 1; expected true or false"),
    ({"formats": ["MXFP4"], "carriers": ["binary32"]}, "carriers"),
]


@pytest.mark.parametrize(("offered", "message"), BAD_RECORDS, ids=[one for _, one in BAD_RECORDS])
def test_a_wrong_record_is_refused(offered: dict[str, Any], message: str) -> None:
    with pytest.raises(MxemuError) as caught:
        parse("s", "1", {"operations": {"dot": offered}})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("nv-hoper", "did you mean nv-hopper"),
        ({"node": {"kind": "chian"}}, "chian"),
        (7, "expected a preset's name, a table of fields, or None"),
    ],
)
def test_a_wrong_accumulation_is_refused_with_its_place(declared: object, message: str) -> None:
    with pytest.raises(MxemuError, match=r"^s: capabilities.accumulation") as caught:
        parse("s", "1", {"operations": {}, "accumulation": declared})
    assert message in str(caught.value)


def test_general_products_need_the_function_dot() -> None:
    record_of = {"operations": {"dot-general": {"formats": ["MXFP4"]}}}
    nothing = SimpleNamespace(name="s", version="1", capabilities=record_of)
    with pytest.raises(MxemuError, match="list 'dot-general', but there is no function dot"):
        capabilities_of(nothing)


# The command, and a subject in a process of its own.


def command(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments, "--level", "smoke"])


def test_a_worker_gets_none_and_records_like_any_other_argument() -> None:
    worker = Worker(f"{DOTS}[own]")
    try:
        run = Run(DOTS, worker.introduce(), "smoke", None)
        check(worker, run, Filters())
    finally:
        worker.close()
    assert {group.verdict for group in run.groups} == {"pass"}
    assert {group.key[0] for group in run.groups} == {*PRODUCT_OPERATIONS}


GOLDEN = """\
dot products compared with exact; the subject declares no accumulation

                        binary32
dot  MXFP4_E2M1,MXINT8  free

free  dot MXFP4_E2M1,MXINT8 (binary32)
      follows nv-hopper-fp8-wgmma (as does cublas-fp8-fast): MX 6.1 and 6.2 leave precision and order open
"""


def test_the_report_says_what_is_followed() -> None:
    result = command(f"{DOTS}[silent]", "--operation", "dot", "--format", "mxfp4,mxint8")
    assert result.exit_code == 0
    assert GOLDEN in result.stdout
    assert result.stdout.endswith("exit 0: no result breaks the specification or a promise\n")
    assert all(len(line) <= 200 for line in result.stdout.splitlines())


def test_what_the_report_tells_one_to_type_can_be_typed() -> None:
    stdout = command(f"{DOTS}[silent]", "--operation", "dot").stdout
    (see,) = [line.split("see: ")[1] for line in stdout.splitlines() if "see: " in line]
    assert CliRunner().invoke(cli, see.split("   ")[0].split()[1:]).exit_code == 0


EXITS = {
    ("[silent]",): 0,
    ("[honest]",): 0,
    ("[wrong]",): 1,
    ("[silent]", "--accumulation", "nv-hopper-fp8-wgmma"): 0,
    ("[silent]", "--accumulation", "fp32-fma"): 3,
    ("[wrong]", "--accumulation", "NV_HOPPER_FP8_WGMMA"): 0,
    ("[wrong]", "--operation", "matmul"): 1,
    ("[silent]", "--operation", "dot_general"): 0,
    ("[silent]", "--format", "MXFP4"): 4,
}


@pytest.mark.parametrize("arguments", EXITS, ids=" ".join)
def test_exit_codes(arguments: tuple[str, ...]) -> None:
    result = command(DOTS + arguments[0], *arguments[1:])
    assert result.exit_code == EXITS[arguments], result.output
    assert f"exit {EXITS[arguments]}: " in result.stdout


def test_a_record_from_a_file_is_compared_with(tmp_path: Path) -> None:
    path = tmp_path / "unit.toml"
    path.write_text(
        'name = "unit"\n[node]\nkind = "chain"\nlength = 8\n'
        'step = { fraction_bits = 20, out = "binary32 toward-zero" }\n'
    )
    result = command(f"{DOTS}[own]", "--accumulation", str(path), "--operation", "dot")
    assert result.exit_code == 0
    assert "dot products compared with unit, which was asked for" in result.stdout
    assert "pass" in result.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fp32-fmma", "did you mean fp32-fma"),
        ("none.toml", "none.toml: No such file"),
    ],
)
def test_an_unknown_accumulation_is_wrong_use(name: str, message: str) -> None:
    result = command(DOTS, "--accumulation", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_pairs_that_cannot_meet_are_wrong_use() -> None:
    result = command(DOTS, "--format", "MXFP4,NVFP4")
    assert result.exit_code == 2
    assert "k = 32 and 16" in result.stderr


@pytest.mark.parametrize("variant", ["silent", "honest", "wrong", "own"])
def test_the_report_for_programs_is_valid(variant: str) -> None:
    result = command(f"{DOTS}[{variant}]", "--operation", "dot", "--output-format", "json")
    found = json.loads(result.stdout)
    VALIDATOR.validate(found)
    for group in found["groups"]:
        assert group["profile"] is None
        declared = {"silent": "exact", "wrong": "fp32-fma", "own": "unit"}
        assert group["accumulation"]["name"] == declared.get(variant, "nv-hopper-fp8-wgmma")
        assert (group["accumulation"]["fields"] is None) == (variant != "own")
    if variant == "silent":
        first = found["groups"][0]
        assert first["hypotheses"][0]["kind"] == "accumulation"
        assert first["hypotheses"][0]["also"] == ["cublas-fp8-fast"]
        assert first["first_failure"]["replay"].startswith("mxemu explain dot MXFP8_E4M3")


WORDS = {
    "free, named": (False, ACCUMULATIONS["pairwise"], "follows pairwise: MX 6.1 and 6.2 leave"),
    "free, unnamed": (False, from_mapping(UNIT), "follows no accumulation that has a name here; "),
    "FAIL, named": (True, ACCUMULATIONS["pairwise"], "declares exact, but follows pairwise"),
    "FAIL, unnamed": (True, from_mapping(UNIT), "does not compute exact, which it declares; mxemu"),
}


@pytest.mark.parametrize("what", WORDS)
def test_every_cause_is_said_in_words(what: str) -> None:
    declared, added, words = WORDS[what]

    def dot(*given: Any) -> np.ndarray:
        return zoo.reference.dot(*given[:-1], added)

    run = checked(subject(dot, "exact" if declared else None))
    shown = text.render(run, exit_code(run))
    assert f"{what.split(',', maxsplit=1)[0]}  dot MXFP8_E4M3" in shown
    assert words in shown
    VALIDATOR.validate(record(run, exit_code(run)))


def test_what_no_accumulation_does_is_said_in_words() -> None:
    def dot(*given: Any) -> np.ndarray:
        bits = zoo.reference.dot(*given).copy()
        bits[7::40] ^= np.uint32(1 << 31)
        return bits

    shown = text.render(checked(subject(dot)), 1)
    assert "no accumulation does this: NaN or Inf is lost, or the exact sum is missed by" in shown
    assert f"more than (n + 2) * 2^-{LOSS} of the magnitudes of the n terms together" in shown
    free = checked(subject(zoo.results_truncated.dot))
    assert "computes as the known mistake results-truncated does; MX 6.1" in text.render(free, 0)


# The cases.


@cache
def cases(operation: str, label: str, level: str = "core") -> tuple[Layout, Any]:
    pair = [find(name) for name in pair_of(label)]
    layout = Layout(pair[0], pair[1], 1 if operation == "dot" else BLOCKS, BINARY32)
    return layout, product_cases(layout, level, True)


def rows_of(operation: str, label: str, note: str) -> Any:
    layout, found = cases(operation, label)
    return layout.dots(found.inputs[found.theme == found.notes.index(note)])


def exponents(values: np.ndarray) -> set[int]:
    return {int(one) - 127 for one in values}


def test_every_pair_of_codes_of_small_formats_stands_alone() -> None:
    rows = rows_of("dot", "MXFP4_E2M1", "product-of-codes")
    assert len(set(zip(rows.a[:, 0].tolist(), rows.b[:, 0].tolist(), strict=True))) == 256
    assert not rows.a[:, 1:].any()
    wide = rows_of("dot", "MXFP8_E5M2", "product-of-codes")
    finite = [code for code in range(256) if code & 0x7F < 0x7C]
    assert sorted(set(wide.a[:, 0].tolist())) == sorted(set(wide.b[:, 0].tolist())) == finite


@pytest.mark.parametrize("operation", ["dot", "dot-general"])
def test_each_lane_holds_a_product_alone(operation: str) -> None:
    for note in ("product-lane", "lane-pairing"):
        rows = rows_of(operation, "MXFP8_E4M3", note)
        singles = [(a, b) for a, b in zip(rows.a != 0, rows.b != 0, strict=True) if a.sum() == 1]
        assert {int(np.argmax(a)) for a, _ in singles} == set(range(rows.a.shape[1]))


def test_scale_sums_take_every_value() -> None:
    rows = rows_of("dot", "MXFP8_E4M3", "scale-sum")
    sums = rows.sa.astype(int) + rows.sb.astype(int)
    assert set(sums[:, 0].tolist()) == set(range(509))


def test_c_is_at_every_distance_with_both_signs_and_a_last_bit() -> None:
    rows = rows_of("dot", "MXFP8_E4M3", "carried-distance")
    for sign in (0, 1):
        own = rows.c[rows.c >> 31 == sign] & 0x7FFFFFFF
        assert exponents(own >> 23) == set(range(-70, 71))
        assert set((own & 0x7FFFFF).tolist()) == {0, 1}


def test_ties_are_ties_of_c() -> None:
    rows = rows_of("dot", "MXFP8_E4M3", "carried-tie")
    totals = dot_bits(rows, EXACT)
    cut = dot_bits(rows, EXACT.replace(rounding="toward-zero"))
    away = dot_bits(rows, EXACT.replace(rounding="ties-to-away"))
    assert (totals != cut).any()
    assert (totals != away).any()


def test_special_operands_meet_zero_numbers_and_each_other() -> None:
    judge = judge_of(label="MXFP8_E5M2")
    kinds = {
        (sums.total.kind.value, sums.clause)
        for index in range(len(judge.cases))
        if judge.cases.note(index) in ("nan-scale-product", "invalid-product")
        for sums in [judge.sums(index)]
    }
    assert kinds == {
        ("NaN", "MX-5.1-NANSCALE"),
        ("NaN", "MX-5.1-SPECIAL"),
        ("NaN", "MX-6.1-DOT"),
        ("NaN", ""),
        ("Inf", "MX-5.1-SPECIAL"),
        ("Inf", "MX-6.1-DOT"),
    }


def test_large_small_and_opposite_come_in_all_orders_over_blocks() -> None:
    judge = judge_of("dot-general")
    record_of = ACCUMULATIONS["block-fp32"]
    theme = judge.cases.theme == judge.cases.notes.index("term-order")
    kept = judge.expected(record_of)[theme] == judge.expected(EXACT)[theme]
    assert kept.any()
    assert not kept.all()


def test_results_reach_zero_subnormals_the_largest_numbers_and_inf() -> None:
    judge = judge_of(label="MXFP4_E2M1")
    bits = judge.expected(EXACT) & np.uint32(0x7FFFFFFF)
    assert {0, 1, 0x00400000, 0x00800000, 0x7F800000} <= set(bits.tolist())
    assert (judge.expected(EXACT) == 1 << 31).any()


DOT_THEMES = {
    *("product-of-codes", "product-lane", "lane-pairing", "block-scale", "scale-sum"),
    *("result-subnormal", "result-overflow", "zero-result-sign", "cancellation-depth"),
    *("term-order", "carried-distance", "carried-tie", "midway-overflow", "tiny-products"),
    *("nan-scale-product", "invalid-product", "random"),
}


@pytest.mark.parametrize("fmt", CONCRETE, ids=str)
@pytest.mark.parametrize("level", ["smoke", "core"])
def test_no_theme_is_empty(fmt: Any, level: str) -> None:
    _, dot = cases("dot", fmt.name, level)
    _, general = cases("dot-general", fmt.name, level)
    assert set(dot.notes) == DOT_THEMES
    assert set(general.notes) == DOT_THEMES | {"last-block"}
    other = "MXINT8" if fmt != MXINT8 else "MXFP4_E2M1"
    _, mixed = cases("dot", f"{fmt.name},{other}", level)
    assert set(mixed.notes) == DOT_THEMES | {"operand-formats"}


def test_levels_grow() -> None:
    assert list(RANDOM.values()) == sorted(RANDOM.values())
    smoke, core, full = (len(cases("dot", "MXFP4_E2M1", level)[1]) for level in list(RANDOM)[:3])
    assert smoke < core < full


def test_matrix_cases_are_all_pairs_of_rows() -> None:
    layout = Layout(MXFP8_E4M3, MXFP8_E5M2, BLOCKS, BINARY32)
    found, grids = matmul_cases(layout, "smoke", True)
    dots = layout.dots(found.inputs)
    assert sum(grid.size for grid in grids) == len(found)
    assert len({grid.size for grid in grids}) == len(grids)
    for grid in grids:
        for row in grid:
            assert (dots.a[row] == dots.a[row[0]]).all()
        for column in grid.T:
            assert (dots.b[column] == dots.b[column[0]]).all()
            assert (dots.sb[column] == dots.sb[column[0]]).all()


def test_cases_are_the_same_in_every_run() -> None:
    layout = Layout(MXFP4_E2M1, MXFP4_E2M1, 1, BINARY32)
    first = product_cases(layout, "smoke", True).inputs
    product_cases.cache_clear()
    assert np.array_equal(product_cases(layout, "smoke", True).inputs, first)


def test_formats_of_other_sizes_have_cases_too() -> None:
    for name in ("NVFP4", "E2M1/E8M0/16", "E3M2/E4M3/8"):
        fmt = block_format(name)
        found = product_cases(Layout(fmt, fmt, BLOCKS, BINARY32), "smoke", True)
        assert {"product-of-codes", "product-lane", "carried-distance"} <= set(found.notes)
