"""The report as a page: it stands alone, everybody can read it, and its pictures show what the core computes."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from report_subjects import content, run_of, subject

from conformance import zoo
from conformance.judges import Case, side
from conformance.report import page, pictures
from conformance.report.content import Content
from conformance.report.scene import Scene, scene_of
from conformance.report.staircase import staircase
from conformance.runner import Filters
from conformance.verdict import Group
from mxemu.block import value_bits
from mxemu.formats import (
    BINARY32,
    E2M1,
    E4M3,
    E8M0,
    MXFP4_E2M1,
    ElementFormat,
    block_format,
    element,
)
from mxemu.profile import OCP, PRESETS
from mxemu.scale import scale_rows
from mxemu.value import parse

VOID = {"meta", "link", "br", "hr", "img", "input"}
DRAWN = ("path", "rect", "circle")


class Reader(HTMLParser):
    """Elements with their attributes; refuses what is not closed or closed twice."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@cache
def html() -> str:
    return page.report(content())


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader


def all_of(reader: Reader, tag: str) -> list[dict[str, str | None]]:
    return [attributes for name, attributes in reader.elements if name == tag]


# The page.


def test_the_page_is_whole_and_small() -> None:
    reader = read(html())
    names = [tag for tag, _ in reader.elements]
    for tag in (
        "html",
        "head",
        "title",
        "body",
        "header",
        "main",
        "footer",
        "h1",
        "script",
        "style",
    ):
        assert names.count(tag) == 1, tag
    assert len(html().encode()) < 400_000
    assert html().startswith("<!DOCTYPE html>")


def test_nothing_is_loaded_from_elsewhere() -> None:
    loading = {"src", "srcset", "href", "action", "data", "poster", "background", "xlink:href"}
    for tag, attributes in read(html()).elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base"), tag
        for name in loading & set(attributes):
            assert (attributes[name] or "").startswith("#"), (tag, attributes)
    outside = re.compile(r"url\(|@import|fetch\(|XMLHttpRequest|import\(|//[a-z]+\.", re.IGNORECASE)
    assert not outside.search("".join(re.findall(r"<(?:style|script)>(.*?)</", html(), re.DOTALL)))


def test_everybody_can_read_it() -> None:
    reader = read(html())
    assert all_of(reader, "html") == [{"lang": "en"}]
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in all_of(reader, "a"):
        assert (link["href"] or "")[1:] in ids
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in all_of(reader, "svg"))
    assert all(cell.get("scope") in ("row", "col") for cell in all_of(reader, "th"))
    assert all(button["type"] == "button" for button in all_of(reader, "button"))
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(all_of(reader, "summary")) == len(all_of(reader, "details"))


def test_what_a_subject_says_is_text() -> None:
    strange = "<script>alert(1)</script>"
    run = run_of(subject(name=strange, version='"><img src=x>'), Filters(formats=("E4M3",)))
    run.skipped.append((strange, strange))
    text = page.report(Content(run, 1, remarks=(strange,)))
    assert read(text).elements.count(("script", {})) == 1
    assert strange not in text
    assert not all_of(read(text), "img")


def test_every_finding_has_its_parts() -> None:
    text = html()
    parts = re.split(r'<details class="finding', text)[1:]
    assert len(parts) == len(content().findings)
    for part, finding in zip(parts, content().findings, strict=True):
        assert "For an issue" in part
        assert ("Bit fields" in part) == (finding.cluster is not None)
        if finding.cluster is not None:
            assert "mxemu " in part
            assert finding.cluster.first.clause in part
    assert "Number line of E2M1" in parts[1]
    assert "Scale staircase" in parts[3]
    assert "dut - ref" in parts[4]
    assert [" open>" in part.partition("<summary")[0] for part in parts] == [True] * 5 + [False] * 2


def test_an_issue_can_be_pasted() -> None:
    finding = content().findings[1]
    (issue,) = [text for text in issues() if "ties-toward-zero" in text]
    assert issue.startswith("```text\nmxemu ")
    assert "\n\nFAIL  encode E2M1 (binary32)\na known mistake" in issue
    assert issue.endswith(
        "\n\nTo see it again: `mxemu check mine.py --level smoke --operation encode --format E2M1 "
        "--carrier binary32`"
    )
    assert finding.cluster is not None


def issues() -> list[str]:
    return [one["issue"] for one in page.context(content())["findings"]]


def test_the_table_leads_to_findings() -> None:
    matrix = page.context(content())["matrix"]
    cells = {(row["operation"], row["format"]): row["cells"] for row in matrix["rows"]}
    assert matrix["carriers"] == ["binary32"]
    assert cells["encode", "E4M3"] == [("crash", 1)]
    assert cells["encode", "E2M1"] == [("FAIL", 2)]
    assert cells["decode", "E2M1"] == [("pass", 0)]


# Light and dark ground.

PAIRS = [
    *[("text", ground) for ground in ("bg", "panel", "f-sign", "f-exponent", "f-mantissa")],
    *[("quiet", ground) for ground in ("bg", "panel")],
    *[(name, f"{name}-bg") for name in ("pass", "fail", "crash", "free", "un")],
    *[("text", f"{name}-bg") for name in ("pass", "fail", "un")],
    *[(name, "bg") for name in ("link", "ref", "dut", "in")],
]


@pytest.mark.parametrize("ground", ["light", "dark"])
@pytest.mark.parametrize("pair", PAIRS, ids="-on-".join)
def test_contrast(pair: tuple[str, str], ground: str) -> None:
    (block,) = {
        found
        for found in re.findall(r"\{([^{}]*--bg: [^{}]*)\}", html())
        if f"color-scheme: {ground}" in found
    }
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    front, back = (luminance(colours[name]) for name in pair)
    assert (max(front, back) + 0.05) / (min(front, back) + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_dark_is_on_screen_only() -> None:
    assert html().count("color-scheme: dark;") == 2
    assert re.search(r"@media screen and \(prefers-color-scheme: dark\)", html())
    assert re.search(r'@media screen \{ :root\[data-theme="dark"\]', html())


# Pictures.


def case_of(given: str, dut: int, ref: int, fmt: ElementFormat = E2M1, where: str = "") -> Case:
    bits = value_bits(parse(given)[0], BINARY32)
    return Case(
        where, side("in", bits, BINARY32), side("dut", dut, fmt), side("ref", ref, fmt), "", "", ""
    )


def encode_scene(given: str, dut: int, ref: int, fmt: ElementFormat = E2M1) -> Scene:
    group = Group("encode", fmt.name, "binary32", OCP)
    return scene_of(group, case_of(given, dut, ref, fmt))


def scale_scene(given: str, dut: int, ref: int) -> tuple[Scene, Group]:
    group = Group("quantize", "MXFP4_E2M1", "binary32", OCP)
    case = case_of(given, dut, ref, E8M0)
    case = replace(
        case, dut=replace(case.dut, label="dut scale"), ref=replace(case.ref, label="ref scale")
    )
    return scene_of(group, case), group


@pytest.mark.parametrize(("dut", "ref"), [(0x3, 0x2), (0xF, 0x0), (0x7, 0x7)])
def test_bits_that_differ_are_framed(dut: int, ref: int) -> None:
    drawn = pictures.bits(encode_scene("1.25", dut, ref))
    assert drawn is not None
    assert drawn.count(' x"') == (dut ^ ref).bit_count()
    assert drawn.count("<rect") == 32 + 4 + 4


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("E4M3", ["sign", "exponent", "mantissa"]),
        ("INT8", ["sign", "integer", "fraction"]),
        ("E8M0", ["exponent"]),
        ("INT4", ["sign", "integer", "fraction"]),
        ("INT2", ["sign", "integer"]),
    ],
)
def test_every_field_has_its_colour(name: str, fields: list[str]) -> None:
    fmt = element(name)
    group = Group("encode", name, "binary32", OCP)
    drawn = pictures.bits(scene_of(group, case_of("1", 1, 2, fmt)))
    assert drawn is not None
    kinds = re.findall(r'class="f-(\w+)', drawn)[32 : 32 + fmt.width]
    assert list(dict.fromkeys(kinds)) == fields
    assert len(kinds) == fmt.width


@pytest.mark.parametrize(
    ("dut", "words"), [(-1, "refused"), (0x100, "no code of E2M1"), (0x3, "0x3 0_01_1 = 1.5")]
)
def test_a_result_that_is_no_code_is_told(dut: int, words: str) -> None:
    drawn = pictures.bits(encode_scene("1.25", dut, 2))
    assert drawn is not None
    assert words in drawn


def place(drawn: str, kind: str) -> float:
    """Where a mark stands, from left to right."""
    found = re.search(rf'class="{kind}" (?:cx|x|d)="M?([\d.]+)', drawn)
    assert found, kind
    return float(found[1]) + (6 if kind == "dut" else 0)


def label(drawn: str, words: str) -> float:
    found = re.search(rf'<text x="([\d.]+)"[^>]*>{re.escape(words)}<', drawn)
    assert found, words
    return float(found[1])


@pytest.mark.parametrize(
    ("given", "part", "words"),
    [
        ("1.25", Fraction(1, 2), "on the tie"),
        ("1.375", Fraction(3, 4), "above the tie"),
        ("1.125", Fraction(1, 4), "below the tie"),
        ("1.2499999", Fraction(1, 2), "below the tie"),
    ],
)
def test_the_number_stands_between_its_neighbours(given: str, part: Fraction, words: str) -> None:
    drawn = pictures.number_line(encode_scene(given, 3, 2))
    assert drawn is not None
    low, high, tie = label(drawn, "1"), label(drawn, "1.5"), label(drawn, "tie")
    assert abs(tie - (low + high) / 2) < 0.01
    assert abs(place(drawn, "in") - (low + float(part) * (high - low))) < 0.1
    assert (abs(place(drawn, "ref") - low) < 0.1, abs(place(drawn, "dut") - high) < 0.1) == (
        True,
        True,
    )
    assert words in drawn


def test_beyond_the_largest_number_there_is_no_code() -> None:
    drawn = pictures.number_line(encode_scene("464", 0x7F, 0x7E, E4M3))
    assert drawn is not None
    assert label(drawn, "448") < label(drawn, "tie") < label(drawn, "480")
    assert "no code" in drawn
    assert "not on the line: dut 0x7F 0_1111_111 = NaN" in drawn


def test_the_sign_of_zero_is_told() -> None:
    drawn = pictures.number_line(encode_scene("-0", 0x0, 0x8))
    assert drawn is not None
    assert ">in -0<" in drawn
    assert ">0x0 0x8<" in drawn


def test_a_gap_is_drawn_where_values_are_left_out() -> None:
    near = pictures.number_line(encode_scene("1.25", 3, 2))
    far = pictures.number_line(encode_scene("1.25", 7, 2))
    assert near is not None
    assert far is not None
    assert far.count('"a gap"') == near.count('"a gap"') + 1


@pytest.mark.parametrize("given", ["nan", "inf"])
def test_no_line_without_a_number(given: str) -> None:
    assert pictures.number_line(encode_scene(given, 7, 2)) is not None
    assert pictures.number_line(encode_scene(given, 0x7F, 0x7E, E4M3)) is None


def test_an_element_is_drawn_under_its_scale() -> None:
    group = Group("quantize", "MXFP4_E2M1", "binary32", OCP)
    case = case_of("10", 7, 6, where="elem 3 scale 0x81")
    scene = scene_of(group, case)
    assert scene.at is not None
    assert scene.at.fraction() == Fraction(10, 4)


@pytest.mark.parametrize("rule", ["ocp", "rceil", "even"])
def test_the_staircase_steps_where_the_core_does(rule: str) -> None:
    scene, _ = scale_scene("7", 0x81, 0x7F)
    profile = PRESETS[rule]
    drawn = staircase(scene, MXFP4_E2M1, profile)
    assert drawn is not None
    low, high = (value_bits(parse(text)[0], BINARY32) for text in ("2", "16"))
    steps = [
        run.first for run in scale_rows(BINARY32, MXFP4_E2M1, profile) if low < run.first < high
    ]
    shown = re.search(r"expected: steps at ([^<]*)<", drawn)
    assert shown is not None
    texts = shown[1].replace("~", "").split(", ")
    assert [value_bits(parse(text)[0], BINARY32) for text in texts] == steps


def test_the_convention_that_was_found_has_a_staircase_too() -> None:
    scene, group = scale_scene("7", 0x80, 0x7F)
    drawn = staircase(scene, MXFP4_E2M1, group.profile, PRESETS["rceil"])
    assert drawn is not None
    assert "the convention that was found: steps at" in drawn


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("8", "in 8, on a step"),
        ("8.00000191", "2 ulp above a step"),
        ("7.9999995", "1 ulp below a step"),
        ("7", "in 7<"),
    ],
)
def test_what_is_next_to_a_step_is_told(given: str, words: str) -> None:
    scene, group = scale_scene(given, 0x80, 0x7F)
    drawn = staircase(scene, MXFP4_E2M1, group.profile)
    assert drawn is not None
    assert words in drawn


def test_a_scale_far_away_is_off_the_chart() -> None:
    scene, group = scale_scene("7", 0x00, 0x7F)
    drawn = staircase(scene, MXFP4_E2M1, group.profile)
    assert drawn is not None
    assert "dut 0x00 = 2^-127, off the chart" in drawn


@pytest.mark.parametrize("given", ["0", "inf", "nan"])
def test_no_staircase_where_no_rule_decides(given: str) -> None:
    scene, group = scale_scene(given, 0x01, 0x00)
    assert staircase(scene, MXFP4_E2M1, group.profile) is None


@pytest.mark.parametrize("given", ["2^-149", "2^-126", "3.4e38"])
def test_a_staircase_at_the_ends_of_binary32(given: str) -> None:
    scene, group = scale_scene(given, 0x01, 0x00)
    assert staircase(scene, MXFP4_E2M1, group.profile) is not None


DRAWING = [
    ("float-log2-binary32", "quantize", "MXFP8_E4M3", "Scale staircase"),
    ("pairs-swapped", "quantize", "MXFP4_E2M1", "Number line of E2M1"),
    ("scale-0-as-subnormal", "encode-scaled", "MXFP8_E4M3", "Number line of E4M3"),
    ("dequantize-shift23", "dequantize", "MXFP4_E2M1", "dut - ref"),
    ("shift23", "decode", "E8M0", "Number line of E8M0"),
    ("int8-over-128", "decode", "INT8", "Number line of INT8"),
    ("last-lane-dropped", "dot", "MXFP8_E4M3", "dut - ref"),
    ("inf-as-nan", "encode", "E5M2", "Bit fields"),
]


@pytest.mark.parametrize(
    ("name", "operation", "fmt", "words"), DRAWING, ids=[name for name, *_ in DRAWING]
)
def test_every_operation_is_drawn(name: str, operation: str, fmt: str, words: str) -> None:
    member = next(one for one in zoo.MEMBERS if one.name == name)
    run = run_of(member, Filters((operation,), (fmt,), ("binary32",)))
    text = page.report(Content(run, 1))
    read(text)
    assert {group.verdict for group in run.groups if group.carrier != "any"} == {"FAIL"}
    assert words in text
    assert "Bit fields" in text


def test_block_formats_with_a_mantissa_in_the_scale() -> None:
    block = block_format("NVFP4")
    profile = PRESETS["ratio"]
    group = Group("quantize", "NVFP4", "binary32", profile)
    assert block.scale.mantissa_bits
    case = case_of("7", 0x38, 0x3A, block.scale)
    case = replace(
        case, dut=replace(case.dut, label="dut scale"), ref=replace(case.ref, label="ref scale")
    )
    scene = scene_of(group, case)
    drawn = staircase(scene, block, profile)
    assert drawn is not None
    assert "2^2" in drawn
    assert "2^3" in drawn
    assert "2^4" not in drawn
