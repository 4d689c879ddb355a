"""Reports: the same bytes in every run, nothing of the machine in them, and lines that can be read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

from conformance import zoo
from conformance.adapter import PRODUCT_OPERATIONS
from conformance.judges import Side, side
from conformance.report import json_report, text
from conformance.report.findings import findings
from conformance.report.json_report import SCHEMA, SCHEMA_FILE
from conformance.runner import Filters, Run, check
from conformance.worker import InProcess
from mxemu import __version__
from mxemu.cli import cli
from mxemu.cli.check import exit_code
from mxemu.formats import BINARY32, E2M1, E4M3, E5M2, E8M0, INT8
from mxemu.profile import OCP

SUBJECTS = Path(__file__).parent / "subjects"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text("utf-8")))


def report(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments, "--level", "smoke"])


def as_json(*arguments: str) -> dict:
    return json.loads(report(*arguments, "--output-format", "json").stdout)


def in_process(subject: object, filters: Filters | None = None) -> Run:
    worker = InProcess(subject)
    return check(worker, Run("mine", worker.introduce(), "smoke", None), filters or Filters())


def floats() -> SimpleNamespace:
    """E2M1 with ties towards zero for encode, and a decode that is right."""
    return SimpleNamespace(
        name="mine",
        version="2.1",
        capabilities={
            "operations": {
                "encode": {"formats": ["E2M1"], "carriers": ["binary32"]},
                "decode": {"formats": ["E2M1"], "carriers": ["binary32"]},
                "pack": {"formats": ["MXFP4_E2M1"], "carriers": []},
            }
        },
        encode=zoo.ties_toward_zero.encode,
        decode=zoo.reference.decode,
        pack=len,
    )


# For programs.

TARGETS = {
    "pass": ["good.py"],
    "crash": ["partly.py"],
    "free": ["refuses.py"],
    "another profile": ["variants.py[cut]", "--profile", "ocp"],
    "nothing": ["good.py", "--format", "E4M3"],
}


@pytest.mark.parametrize("arguments", TARGETS.values(), ids=TARGETS)
def test_the_report_is_valid(arguments: list[str]) -> None:
    found = as_json(str(SUBJECTS / arguments[0]), *arguments[1:])
    VALIDATOR.validate(found)
    assert found["schema"] == SCHEMA
    assert found["mxemu"] == __version__


def test_the_schema_is_a_schema_and_refuses_strangers() -> None:
    VALIDATOR.check_schema(VALIDATOR.schema)
    found = as_json(str(SUBJECTS / "good.py"))
    for broken in (
        {**found, "date": "today"},
        {**found, "exit_code": 5},
        {**found, "groups": [{}]},
    ):
        assert not VALIDATOR.is_valid(broken)


def test_a_report_of_every_kind_of_finding_is_valid() -> None:
    run = in_process(zoo.reference, Filters(formats=("E2M1", "MXFP4_E2M1"), carriers=("binary32",)))
    record = json_report.record(run, 0)
    VALIDATOR.validate(record)
    assert {group["operation"] for group in record["groups"]} == {
        "encode",
        "decode",
        "encode-scaled",
        "quantize",
        "dequantize",
        "fake_quantize",
        *PRODUCT_OPERATIONS,
    }
    failing = in_process(floats())
    VALIDATOR.validate(json_report.record(failing, 1))


@pytest.mark.parametrize("output_format", ["text", "json"])
@pytest.mark.parametrize("name", ["raises.py", "prints.py", "variants.py"])
def test_two_runs_give_the_same_bytes_and_nothing_of_the_machine(
    name: str, output_format: str
) -> None:
    target = str(SUBJECTS / name)
    first, second = (report(target, "--output-format", output_format).stdout for _ in range(2))
    assert first == second
    assert str(SUBJECTS.parent) not in first
    assert not re.search(r"/(home|root|tmp|usr|work|Users)/|\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d", first)


def test_what_the_object_says() -> None:
    found = json_report.record(in_process(floats()), 1)
    assert found["subject"] == {"name": "mine", "version": "2.1", "variant": None}
    assert (found["verdict"], found["exit_code"], found["level"]) == ("FAIL", 1, "smoke")
    assert found["profiles"] == {"asked": None, "declared": None, "found": None}
    assert found["skipped"] == [
        {"what": "pack", "why": "the suite has no cases for this operation yet"}
    ]
    encode, decode = found["groups"]
    assert (decode["verdict"], decode["verdicts"]["pass"], decode["first_failure"]) == (
        "pass",
        16,
        None,
    )
    assert (encode["verdict"], encode["format"], encode["carrier"]) == ("FAIL", "E2M1", "binary32")
    assert encode["profile"] == {"name": "ocp", "fields": {}}
    assert encode["hypotheses"][0] == {
        "name": "ties-toward-zero",
        "kind": "mistake",
        "explains": 1213,
        "of": 1213,
        "clauses": [],
        "note": "ties-to-even",
        "also": [],
        "text": "",
    }
    first = encode["first_failure"]
    assert first["input"] == {"label": "in", "hex": "0x3F400000", "fields": "", "value": "0.75"}
    assert first["dut"] == {"label": "dut", "hex": "0x1", "fields": "0_00_1", "value": "0.5"}
    assert first["ref"] == {"label": "ref", "hex": "0x2", "fields": "0_01_0", "value": "1"}
    assert (first["clause"], first["note"]) == ("MX-5.3.3-RNE", "ties-to-even")
    assert first["replay"] == "mxemu explain E2M1 0.75"
    assert (
        sum(cluster["count"] for cluster in encode["clusters"] if cluster["verdict"] == "FAIL") == 6
    )


@pytest.mark.parametrize(
    ("arguments", "profiles"),
    [
        (["variants.py"], ("", "ocp", "ocp")),
        (["variants.py[cut]"], ("", "custom", "custom")),
        (["variants.py[cut]", "--profile", "ocp"], ("ocp", "custom", "custom")),
        (["variants.py", "--profile", "ocp"], ("ocp", "ocp", "ocp")),
        (["raises.py"], ("", "", "")),
    ],
)
def test_profiles_asked_for_declared_and_found(
    arguments: list[str], profiles: tuple[str, str, str]
) -> None:
    found = as_json(str(SUBJECTS / arguments[0]), *arguments[1:])["profiles"]
    assert (
        tuple((found[key] or {"name": ""})["name"] for key in ("asked", "declared", "found"))
        == profiles
    )
    if profiles[2] == "custom":
        assert found["found"]["fields"] == {"rounding": "toward-zero"}


def test_every_count_is_a_case() -> None:
    for group in as_json(str(SUBJECTS / "refuses.py"))["groups"]:
        clusters = sum(cluster["count"] for cluster in group["clusters"])
        assert clusters == sum(group["verdicts"].values()) - group["verdicts"]["pass"]


def test_a_report_goes_to_a_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    result = report(str(SUBJECTS / "good.py"), "--output-format", "json", "--output", str(path))
    assert (result.exit_code, result.stdout) == (0, "")
    VALIDATOR.validate(json.loads(path.read_text("utf-8")))
    assert list(tmp_path.iterdir()) == [path]
    nowhere = report(str(SUBJECTS / "good.py"), "--output", str(tmp_path / "none" / "report"))
    assert nowhere.exit_code == 2
    assert nowhere.stderr.startswith("error: cannot write ")


# For readers.

GOLDEN = """\
mxemu {version}   mine 2.1   level smoke
compared with the profile ocp; the subject declares none

              binary32
encode  E2M1  FAIL
decode  E2M1  pass

FAIL  encode E2M1 (binary32)
      a known mistake: ties-toward-zero (explains 1,213 of 1,213): tie not resolved to the even code
      6 of 1,264 cases; the simplest:
      MX-5.3.3-RNE  in 0x3F400000 = 0.75  dut 0x1 0_00_1 = 0.5  ref 0x2 0_01_0 = 1
      MX-5.3.3-RNE (must): FP4 ties to even   theme: ties-to-even
      see: mxemu rule ties-toward-zero; mxemu explain E2M1 0.75

skipped  pack: the suite has no cases for this operation yet

groups: 1 pass, 1 FAIL
exit 1: something is wrong"""


def test_the_whole_text_of_a_small_report() -> None:
    run = in_process(floats())
    assert text.render(run, exit_code(run)) == GOLDEN.format(version=__version__)


def test_what_a_report_tells_one_to_type_can_be_typed() -> None:
    lines = text.render(in_process(floats()), 1).splitlines()
    (see,) = [line.split("see: ")[1] for line in lines if "see: " in line]
    for command in see.split("; "):
        result = CliRunner().invoke(cli, command.split()[1:])
        assert result.exit_code == 0, command


@pytest.mark.parametrize(
    "name", ["good.py", "refuses.py", "partly.py", "raises.py", "variants.py[cut]"]
)
def test_lines_are_short_and_end_where_they_end(name: str) -> None:
    lines = report(str(SUBJECTS / name)).stdout.splitlines()
    assert all(len(line) <= 200 and line == line.rstrip() for line in lines)
    assert lines[-1].startswith("exit ")
    assert not any("\x1b" in line for line in lines)


def test_a_failing_line_is_hex_first_then_fields_then_the_value() -> None:
    (line,) = [
        line for line in text.render(in_process(floats()), 1).splitlines() if "  in 0x" in line
    ]
    number = r"0x[0-9A-F]+( [01_]+)? = \S+"
    assert re.fullmatch(rf" +MX-\S+  in {number}  dut {number}  ref {number}", line)


def test_findings_come_worst_first() -> None:
    def encode(values: np.ndarray, name: str, profile: object) -> np.ndarray:
        if values.dtype == np.float64:
            raise ValueError("no doubles")
        if values.dtype == np.float16:
            return zoo.half_up.encode(values, name)
        return zoo.reference.encode(values, name, OCP.replace(rounding="toward-zero"))

    offered = {"formats": ["E2M1"], "carriers": ["binary32", "binary16", "binary64"]}
    run = in_process(
        SimpleNamespace(
            name="m", version="1", capabilities={"operations": {"encode": offered}}, encode=encode
        )
    )
    verdicts = [finding.verdict for finding in findings(run)]
    assert verdicts == ["crash", "FAIL", "free"]
    assert json_report.overall(run) == "crash"


SIDES = [
    (0x7E, E4M3, "x 0x7E 0_1111_110 = 448"),
    (0xFF, E4M3, "x 0xFF 1_1111_111 = -NaN"),
    (0xFC, E5M2, "x 0xFC 1_11111_00 = -Inf"),
    (0x8, E2M1, "x 0x8 1_00_0 = -0"),
    (0x81, INT8, "x 0x81 1_0000001 = -1.984375"),
    (0x00, E8M0, "x 0x00 00000000 = 2^-127"),
    (0x3F400000, BINARY32, "x 0x3F400000 = 0.75"),
    (-1, E4M3, "x refused"),
    (0x100, E4M3, "x 0x100 = no code of E4M3"),
    (-5, E2M1, "x -0x5 = no code of E2M1"),
]


@pytest.mark.parametrize(("code", "fmt", "words"), SIDES, ids=[words for *_, words in SIDES])
def test_a_number_in_words(code: int, fmt: object, words: str) -> None:
    assert side("x", code, fmt).text() == words


def test_a_side_without_a_value_has_no_equals_sign() -> None:
    assert Side("dut", "raised", "", "").text() == "dut raised"
