"""The example designs conform, and every seeded mistake in them is found and named."""

from __future__ import annotations

import re
import tomllib

import pytest
from rtl.golden import DESIGNS, design

from conformance.notes import NOTES
from conformance.runner import Filters, Run, check
from conformance.verdict import Group
from conformance.worker import InProcess
from mxemu.accumulations import find, from_mapping

BUGS = tomllib.loads((DESIGNS / "bugs.toml").read_text(encoding="utf-8"))["bug"]
BINARY32 = Filters(carriers=("binary32",))
BFLOAT16 = Filters(carriers=("bfloat16",))
E4M3 = Filters(formats=("MXFP8_E4M3",))
E2M1 = Filters(operations=("encode-scaled",), formats=("MXFP4_E2M1",), carriers=("binary32",))
ENCODE = Filters(operations=("encode",))


def groups(simulator: str, name: str, level: str, filters: Filters, bug: int = 0) -> list[Group]:
    """The verdicts of a check."""
    subject = InProcess(design(name, bug, simulator))
    run = Run(name, subject.capabilities, level, None, reduces=False)
    return check(subject, run, filters).groups


@pytest.mark.parametrize(
    ("name", "level", "filters", "count"),
    [
        ("mx_decode", "core", Filters(), 6),
        ("mx_decode_clocked", "core", Filters(), 6),
        ("mx_encode_scaled", "core", E2M1, 1),
        ("mx_encode_scaled", "smoke", BFLOAT16, 5),
        ("mx_encode_scaled", "smoke", ENCODE, 5),
        ("mx_encode_scaled_clocked", "smoke", E4M3, 2),
        ("mx_quantize", "core", BINARY32, 2),
        ("mx_quantize", "smoke", BFLOAT16, 2),
        ("mx_dot_exact", "core", Filters(), 1),
        ("mx_dot_fused", "core", Filters(), 1),
    ],
)
def test_a_design_conforms_in_icarus(icarus, name, level, filters, count):
    found = groups(icarus, name, level, filters)
    assert [(one.key, one.verdict) for one in found if one.verdict != "pass"] == []
    assert len(found) == count
    assert all(one.counts["pass"] for one in found)


@pytest.mark.parametrize("name", ["mx_encode_scaled", "mx_dot_exact"])
def test_a_design_conforms_in_verilator(verilator, name):
    wide = Filters(formats=E4M3.formats, carriers=("binary32",))
    found = groups(verilator, name, "core", wide)
    assert [one.verdict for one in found] == ["pass"]


@pytest.mark.parametrize("bug", BUGS, ids=[bug["name"] for bug in BUGS])
def test_a_seeded_mistake_is_found_and_named(icarus, bug):
    asked = Filters((bug["operation"],), (bug["format"],), (bug["carrier"],))
    found = groups(icarus, bug["design"], bug.get("level", "smoke"), asked, bug["bug"])[0]
    assert found.verdict == bug.get("verdict", "FAIL")
    first = [cluster.first for cluster in found.clusters]
    assert {case.note for case in first} & set(bug["notes"]), [case.text() for case in first]
    assert all(case.dut.hex != case.ref.hex for case in first)
    if "explained" in bug:
        assert found.hypotheses[0].name == bug["explained"]


def test_every_seeded_mistake_is_listed_once():
    listed = {(bug["design"], bug["bug"]) for bug in BUGS}
    assert len({bug["name"] for bug in BUGS}) == len(BUGS) == len(listed)
    assert {note for bug in BUGS for note in bug["notes"]} <= NOTES.keys()
    for source in sorted(DESIGNS.glob("mx_*.sv")):
        text = source.read_text(encoding="utf-8")
        for name in re.findall(r"BUG == ([A-Z_]+)", text):
            number = re.search(rf"localparam {name} += (\d+);", text)
            assert number is not None, f"{source.name}: {name}"
            assert (source.stem, int(number[1])) in listed, f"{source.name}: {name} is not listed"


def test_the_record_of_the_fused_design_is_that_of_a_preset():
    table = tomllib.loads((DESIGNS / "fused25.toml").read_text(encoding="utf-8"))
    record, preset = from_mapping({"name": "fused25", **table}), find("nv-blackwell-mxf8f6f4")
    same = ("node", "zero_sign", "nan_word", "product_exponent", "scale_at", "rounding")
    assert [getattr(record, one) for one in same] == [getattr(preset, one) for one in same]
