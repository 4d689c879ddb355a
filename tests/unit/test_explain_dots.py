"""Explained dot products: names, numbers and sentences against the core and the records they come from."""

from __future__ import annotations

import json
import random
import re
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from conformance.figures import figures
from mxemu.accumulation import KINDS, Accumulation
from mxemu.accumulations import ACCUMULATIONS, find, from_mapping
from mxemu.errors import BadShape, UnknownName
from mxemu.explain.dots import (
    GRADES,
    NOTHING,
    DotExplanation,
    SumStep,
    describe,
    distance,
    explain_dot,
    specials,
    sums_of,
    to_mapping,
)
from mxemu.formats import BFLOAT16, BINARY16, BINARY32, BlockFormat
from mxemu.products import Operand, dot, find_operand_format
from mxemu.scalar import decode
from mxemu.value import Value, parse

ROOT = Path(__file__).resolve().parents[2]
OTHERS = {
    "late": {
        "kind": "late",
        "inner": {"kind": "tree", "step": {}, "leaf": 3},
        "step": {"out": "binary32"},
    },
    "nested": {
        "kind": "nested",
        "tree": [[0, [2, 1]], [3, -1], *range(4, 32)],
        "step": {"out": "binary16"},
    },
    "nested-c-last": {
        "kind": "nested",
        "tree": [[1, 0], *range(2, 32)],
        "step": {"out": "bfloat16", "fraction_bits": 9, "align": "to-odd"},
        "terms": "binary16",
    },
    "lanes": {
        "kind": "lanes",
        "count": 3,
        "inner": {"kind": "chain", "length": 2, "order": [1, 0], "step": {"out": "TF32"}},
        "outer": {"kind": "sum", "step": {"out": "binary32", "quantum": -9}},
    },
}
RECORDS = {
    **ACCUMULATIONS,
    "kulisch(70, -20, saturate)": find("kulisch(70, -20, saturate)"),
    **{name: from_mapping({"name": name, "node": node}) for name, node in OTHERS.items()},
}
FORMATS = ("MXFP8_E5M2", "MXFP4", "E4M3", "bfloat16", "INT8")


def operand(name: str, draw: random.Random, length: int = 32) -> Operand:
    """Random codes, finite in half of the cases, and some zeros."""
    fmt = find_operand_format(name)
    element = fmt.element if isinstance(fmt, BlockFormat) else fmt
    codes = [draw.randrange(1 << element.width) for _ in range(length)]
    if draw.random() < Fraction(1, 2):
        codes = [code if decode(code, element).is_finite else 0 for code in codes]
    if draw.random() < Fraction(1, 3):
        codes = [code if draw.random() < Fraction(1, 4) else 0 for code in codes]
    scales = []
    if isinstance(fmt, BlockFormat):
        scales = [draw.randrange(120, 135) for _ in range(length // fmt.k)]
    return Operand(codes, name, scales)


def explained(record: Accumulation, seed: int) -> list[DotExplanation]:
    """Random dots of every format, with C and without."""
    draw, found = random.Random(f"{record.name} {seed}"), []
    for name in FORMATS:
        c = decode(draw.randrange(1 << 32), BINARY32) if draw.random() < Fraction(1, 2) else None
        found.append(explain_dot(operand(name, draw), operand(name, draw), c, record))
    return found


def exactly(value: Value) -> object:
    """A value as something that compares as numbers do; both zeros are the same."""
    return value.fraction() if value.is_finite else (value.kind, value.sign * (not value.is_nan))


@pytest.mark.parametrize("name", RECORDS)
def test_every_sum_adds_what_its_names_say(name: str) -> None:
    for found in explained(RECORDS[name], 1):
        results = {f"s{step.number}": step.result for step in found.steps}
        pairs = {pair.name: pair.value for pair in found.pairs}
        used = [line.name for step in found.steps for line in step.lines]
        for line in (line for step in found.steps for line in step.lines):
            if line.name in results:
                assert exactly(line.cut.value) == exactly(results[line.name]), line.name
            elif line.name == "C":
                c = found.c if found.c is not None else Value(0, 0, 0)
                tiny = line.cut.value.is_zero and c.is_finite
                assert tiny or exactly(line.cut.value) == exactly(c)
            elif line.name == NOTHING:
                assert line.cut.value.is_zero
            elif line.name in pairs:
                assert exactly(line.cut.value) == exactly(pairs[line.name])
            else:
                assert line.name.endswith(" * scales"), line.name
        # Each product and each sum but the last is added once, and C once.
        once = [*pairs, *(f"s{step.number}" for step in found.steps[:-1]), "C"]
        assert sorted(one.removesuffix(" * scales") for one in used if one != NOTHING) == sorted(
            once
        )
        assert exactly(found.steps[-1].result) == exactly(found.product.value)


@pytest.mark.parametrize("name", RECORDS)
def test_numbers_are_those_of_the_core(name: str) -> None:
    record = RECORDS[name]
    for found in explained(record, 2):
        assert found.product[:3] == dot(found.a, found.b, found.c, record)[:3]
        assert found.exact[:3] == dot(found.a, found.b, found.c)[:3]
        for step in (step for step in found.steps if step.total.is_finite):
            assert kept_and_lost(step) == terms(step)


def terms(step: SumStep) -> Fraction:
    return sum((line.cut.value.fraction() for line in step.lines), Fraction(0))


def kept_and_lost(step: SumStep) -> Fraction | None:
    """The total and all that alignment cut off, unless a register wrapped: then the terms themselves."""
    if step.step.width is not None:
        return terms(step)
    assert step.cut_off is not None
    return step.total.fraction() + step.cut_off


def test_a_term_is_cut_at_its_own_quantum() -> None:
    one = Operand([0x38, 0x30], "E4M3")
    found = explain_dot(one, one, parse("0x1.fffffep0")[0], "amd-cdna3")
    last = found.steps[-1]
    assert last.carried is not None
    assert (last.exponent, last.quantum, last.carried.quantum) == (0, -32, -24)


@pytest.mark.parametrize(
    ("name", "length", "k", "expected"),
    [
        ("exact", 3, 0, ["p0 p1 p2 + C"]),
        ("fp32-fma", 3, 0, ["p0 + C", "p1 + s1", "p2 + s2"]),
        ("pairwise", 3, 0, ["p0", "p1", "s1 s2", "p2", "s3 s4", "s5 + C"]),
        ("block-fp32", 4, 2, ["p0 p1", "p2 p3", "s1 + C", "s2 + s3"]),
        (
            "cublas-fp8-blockwise",
            2,
            1,
            ["p0 + +0", "p1 + +0", "s1 * scales + C", "s2 * scales + s3"],
        ),
        ("intel-vdpbf16ps", 4, 0, ["p1 + C", "p0 + s1", "p3 + s2", "p2 + s3"]),
        ("amd-cdna3-fp8", 4, 0, ["p0 p2", "p1 p3", "s1 s2", "s3 + C"]),
        ("late", 2, 0, ["p0", "p1 + s1", "s2 + C"]),
    ],
)
def test_order_of_sums(name: str, length: int, k: int, expected: list[str]) -> None:
    found = sums_of(RECORDS[name], length, k)
    words = [" ".join(one.terms) + f" + {one.carried}" * bool(one.carried) for one in found]
    assert words == expected


def test_a_tensor_scale_comes_last() -> None:
    a = Operand([0x3] * 16, "NVFP4", [0x38], parse("0.5")[0])
    found = explain_dot(a, a, parse("3")[0])
    assert found.steps[-1].terms[0].name == "s1 * tensor scales"
    assert found.steps[-1].carried is not None
    assert str(found.product.value) == "12"


def test_products_before_and_after_the_operands_conversion() -> None:
    a = Operand([0x3F81, 0x0001], "bfloat16")
    found = explain_dot(a, a, accumulation="amd-cdna2-bf16")
    assert [str(pair.exact) for pair in found.pairs] == ["16641*2^-14", "2^-266"]
    assert [str(pair.value) for pair in found.pairs] == ["16641*2^-14", "0"]
    assert explain_dot(a, a).pairs[1].exponent == -252


@pytest.mark.parametrize(
    ("bits", "other", "fmt", "apart"),
    [
        (0x3F800001, 0x3F800000, BINARY32, 1),
        (0x00000001, 0x80000001, BINARY32, 2),
        (0x80000000, 0x00000000, BINARY32, 0),
        (0x7F7FFFFF, 0x7F800000, BINARY32, None),
        (0x7FC00000, 0x7FC00000, BINARY32, None),
        (0xC000, 0x4000, BINARY16, -0x8000),
        (0x3F80, 0x3F7F, BFLOAT16, 1),
    ],
)
def test_distance(bits: int, other: int, fmt: Any, apart: int | None) -> None:
    assert distance(bits, other, fmt) == apart


def test_others_and_refusals() -> None:
    a = Operand([0x38] * 4, "E4M3")
    tree = from_mapping({"node": {"kind": "nested", "tree": [0, 1], "step": {}}})
    found = explain_dot(a, a, compare=["bf16-accumulator", tree])
    assert [one.distance for one in found.others] == [0, None]
    assert found.others[1].product is None
    assert "tree is for 2" in found.others[1].reason
    with pytest.raises(BadShape, match="expected at least one pair"):
        explain_dot(Operand([], "E4M3"), Operand([], "E4M3"))
    with pytest.raises(UnknownName, match="did you mean"):
        explain_dot(a, a, accumulation="exakt")


@pytest.mark.parametrize("name", ["nv-blackwell-mxf4", "fp32-sequential", "triton-dot-scaled"])
def test_every_number_as_data_can_be_read_back(name: str) -> None:
    for found in explained(RECORDS[name], 3):
        plain = json.loads(json.dumps(to_mapping(found)))
        assert [step["name"] for step in plain["steps"]] == [
            f"s{one.number}" for one in found.steps
        ]
        for step, one in zip(plain["steps"], found.steps, strict=True):
            assert exactly(parse(step["sum"])[0]) == exactly(one.total)
            for line, own in zip(step["terms"], one.terms, strict=True):
                assert exactly(parse(line["value"])[0]) == exactly(own.cut.value)
                assert exactly(parse(line["lost"])[0]) == exactly(own.cut.lost)
        assert int(plain["result"]["bits"], 16) == found.product.bits
        assert plain["result"]["ulps_from_exact"] == found.distance


def test_two_records_have_one_sentence_if_and_only_if_they_say_the_same() -> None:
    for one, other in combinations(RECORDS.values(), 2):
        alike = (describe(one), specials(one)) == (describe(other), specials(other))
        assert alike == one.same_arithmetic(other), (one.name, other.name)


@pytest.mark.parametrize(
    "changes",
    [
        {"operand_format": "TF32"},
        {"operand_subnormals": "flush"},
        {"operand_subnormals": "flush-positive"},
        {"products": "binary32"},
        {"product_exponent": "normalised"},
        {"product_exponent": "scale"},
        {"product_limit": 128},
        {"scale_at": "operand", "operand_format": "TF32"},
        {"scale_zero_code": True},
        {"scale_unsigned": True},
        {"tensor_scale": "binary32"},
        {"rounding": "toward-zero"},
        {"zero_sign": "positive"},
        {"zero_sign": "sum-positive"},
        {"nan_word": "negative-quiet"},
    ],
    ids=str,
)
def test_every_field_of_a_record_is_told(changes: dict[str, Any]) -> None:
    base = find("nv-volta").replace(zero_sign="ieee")
    changed = base.replace(**changes)
    assert (describe(changed), specials(changed)) != (describe(base), specials(base))


STEP = {"fraction_bits": 20, "out": "binary32"}


@pytest.mark.parametrize(
    "step",
    [
        {"fraction_bits": 21, "out": "binary32"},
        {"quantum": -20, "out": "binary32"},
        {"quantum": -20, "width": 40, "out": "binary32"},
        {"quantum": -20, "width": 40, "saturate": True, "out": "binary32"},
        {**STEP, "align": "to-odd"},
        {**STEP, "floor": -126},
        {**STEP, "carried_bits": 22},
        {**STEP, "carried_reach": 22},
        {**STEP, "out": "binary32 flush"},
        {**STEP, "out": "binary32 stop-at-max"},
        {**STEP, "out": ["TF32", "binary32"]},
        {"fraction_bits": 20},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["sum", "chain", "tree"])
def test_every_field_of_a_step_is_told(step: dict[str, Any], kind: str) -> None:
    told = [describe(from_mapping({"node": {"kind": kind, "step": one}})) for one in (STEP, step)]
    assert told[0] != told[1]


def test_every_grade_has_its_words() -> None:
    assert {record.grade for record in ACCUMULATIONS.values()} <= set(GRADES)
    assert len(set(GRADES.values())) == len(GRADES)


def test_figures_show_the_bits_of_the_example() -> None:
    drawn = figures()
    for text in drawn.values():
        ET.fromstring(text)
    words = re.findall(r">([^<>]+)</text>", drawn["alignment-window.svg"])
    start = words.index("p1 = 2.75")
    # Sign, then the bits down to the quantum 2^-1, then the one bit that is lost.
    assert words[start + 1 : start + 19] == ["+", *"0" * 12, *"1011", "loses 0.25"]
    assert "= \u221212538" in words
    assert "exactly \u221212537.40625" in words


def test_every_node_is_on_the_page() -> None:
    page = (ROOT / "docs" / "concepts" / "accumulation.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(KINDS)
