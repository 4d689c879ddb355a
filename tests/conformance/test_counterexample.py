"""The first failure of a group is made smaller by asking the subject again; every form of the report says so."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

from conformance import zoo
from conformance.arrays import Array
from conformance.replay import read
from conformance.report.content import Content
from conformance.report.forms import FORMS, render
from conformance.report.json_report import SCHEMA_FILE, whole
from conformance.report.words import paragraph
from conformance.runner import Filters, Run, check
from conformance.verdict import Cluster
from conformance.why import minimize
from conformance.worker import InProcess
from conformance.zoo.reference import Reference
from mxemu.cli import cli
from mxemu.profile import OCP

FLOATS = {"carriers": ["binary32"]}
FP4 = {"formats": ["MXFP4_E2M1"], **FLOATS}


class Lane13(Reference):
    """Loses the sign of lane 13, and sums in which a negative number stands in lane 3."""

    name = "lane13"
    operations = ("quantize", "dequantize", "dot", "matmul")
    calls = 0

    @property
    def capabilities(self) -> dict[str, Any]:
        pairs = {"formats": ["MXFP4_E2M1"], "out": "binary32", "c": True}
        one = dict.fromkeys(self.operations[:2], FP4) | dict.fromkeys(self.operations[2:], pairs)
        return {"operations": one}

    def quantize(self, *arguments: Any) -> tuple[Array, Array]:
        type(self).calls += 1
        scales, codes = super().quantize(*arguments)
        codes = codes.copy()
        codes[:, 13] &= 7
        return scales, codes

    def dequantize(self, scales: Array, codes: Array, name: str) -> Array:
        codes = codes.copy()
        codes[:, 13] &= 7
        return super().dequantize(scales, codes, name)

    def dot(self, sa: Array, a: Array, *further: Any) -> Array:
        right, b = super().dot(sa, a, *further), further[1]
        return np.where((a[:, 3] > 8) & (b[:, 3] > 0), np.uint32(0x7FC00000), right)

    def matmul(self, sa: Array, a: Array, *further: Any) -> Array:
        right, b = super().matmul(sa, a, *further), further[1]
        lost = (a[:, 3] > 8)[:, None] & (b[:, 3] > 0)
        return np.where(lost, np.uint32(0x7FC00000), right)


def run_of(subject: Any, *operations: str, **options: Any) -> Run:
    worker = InProcess(subject)
    run = Run("test", worker.introduce(), "smoke", None, **options)
    return check(worker, run, Filters(operations))


def first_of(run: Run) -> Cluster:
    return next(one for one in run.groups[0].clusters if not one.silent)


LANES = {
    "quantize": "lanes 0..12, 14..31 do not matter",
    "dequantize": "lanes 0..12, 14..31 do not matter",
    "dot": "lanes 0..2, 4..31 do not matter",
    "matmul": "lanes 0..2, 4..127 do not matter",
}


@pytest.mark.parametrize("operation", LANES)
def test_one_number_is_left_and_the_other_lanes_do_not_matter(operation: str) -> None:
    run = run_of(Lane13(), operation)
    (finding, *_) = Content(run, 1).findings
    lines = [line.strip() for line in paragraph(finding)]
    assert LANES[operation] in lines
    (see,) = (line for line in lines if line.startswith("see: "))
    command = shlex.split(see.rpartition("; ")[2].removeprefix("see: "))
    assert len(see) <= 220
    assert CliRunner().invoke(cli, command[1:]).exit_code == 0
    cluster = first_of(run)
    assert cluster.smallest is not None
    assert np.count_nonzero(cluster.smallest.row) <= 10  # scales of 1 among them
    assert cluster.smallest.questions <= minimize.MOST_QUESTIONS + 2
    assert cluster.token


def test_the_first_case_is_as_it_was_found_if_that_is_wanted() -> None:
    Lane13.calls = 0
    cluster = first_of(run_of(Lane13(), "quantize", reduces=False))
    assert cluster.smallest is None
    assert Lane13.calls == 1
    run_of(Lane13(), "quantize")
    assert 5 < Lane13.calls < minimize.MOST_QUESTIONS


def test_what_needs_others_beside_it_says_so() -> None:
    run = run_of(next(one for one in zoo.MEMBERS if one.name == "row-scales-crossed"), "matmul")
    text = "\n".join(paragraph(Content(run, 1).findings[0]))
    assert "      alone it comes out right: what stands beside it in a call matters\n" in text
    assert first_of(run).smallest.questions == 1


def test_every_form_says_it() -> None:
    content = Content(run_of(Lane13(), "quantize"), 1)
    for form in FORMS:
        if form not in ("json", "jsonl", "parquet"):
            assert b"lanes 0..12, 14..31 do not matter" in render(form, content), form
    report = whole(content)
    jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text("utf-8"))).validate(report)
    found = report["groups"][0]["first_failure"]["smallest"]
    assert found.pop("questions") > 3
    lanes = [*range(13), *range(14, 32)]
    assert found == {"alone": True, "idle_lanes": lanes, "together": True}
    assert report["findings"][0]["case"]["smallest"]["idle_lanes"] == lanes


def test_one_after_the_other_is_not_together() -> None:
    """Each lane may hold something, but 17 of them hide the mistake."""

    class Few(Lane13):
        def quantize(self, values: Array, *arguments: Any) -> tuple[Array, Array]:
            right = Reference.quantize(self, values, *arguments)
            wrong = super().quantize(values, *arguments)[1]
            few = ((values != 0).sum(axis=1) < 18)[:, None]
            return right[0], np.where(few, wrong, right[1])

    text = "\n".join(paragraph(Content(run_of(Few(), "quantize"), 1).findings[0]))
    assert "lanes 0..12, 14..31 do not matter, one at a time\n" in text


def test_the_case_of_a_slow_subject_stays_as_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**6, 7))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    Lane13.calls = 0
    cluster = first_of(run_of(Lane13(), "quantize"))
    assert Lane13.calls <= 6
    assert cluster.smallest is None


def test_what_a_subject_dies_of_has_a_token() -> None:
    class Dies(Lane13):
        def dot(self, sa: Array, a: Array, *further: Any) -> Array:
            if (a[:, 3] > 8).any():
                raise SystemExit(3)
            return super().dot(sa, a, *further)

    run = run_of(Dies(), "dot")
    (cluster,) = run.groups[0].clusters
    assert cluster.verdict == "crash"
    assert cluster.first.dut.hex == "died"
    assert (read(cluster.token).numbers[1][3]) > 8


# The command, and results of elsewhere.

MINE = """\
from conformance.zoo import reference

name, version = "mine", "1"
capabilities = {"operations": {"quantize": {"formats": ["MXFP4_E2M1"], "carriers": ["binary32"]}}}

def quantize(values, block_format):
    scales, codes = reference.quantize(values, block_format)
    codes[:, 13] &= 7
    return scales, codes
"""


def command(*words: str) -> Result:
    return CliRunner().invoke(cli, ["check", *words])


def test_the_option(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    words = (str(path), "--level", "smoke", "--in-process")
    assert "do not matter" in command(*words).stdout
    assert "do not matter" not in command(*words, "--no-minimize").stdout


def test_recorded_results_show_the_smallest_that_fails(tmp_path: Path) -> None:
    """The subject cannot be asked again: of the failing blocks the one with the fewest numbers is shown."""
    rng = np.random.default_rng(3)
    values = rng.standard_normal((64, 32)).astype(np.float32)
    values[:, 13] = -1.5
    values[41] = 0
    values[41, [13, 20]] = -1.5, 3
    scales, codes = zoo.reference.quantize(values, "MXFP4_E2M1")
    codes[:, 13] &= 7
    np.savez(tmp_path / "in.npz", values=values)
    wrong = {"scales": scales.astype(np.uint8), "codes": codes.astype(np.uint8)}
    np.savez(tmp_path / "out.npz", **wrong)
    target = f"files:{tmp_path / 'in.npz'},{tmp_path / 'out.npz'}"
    found = command(target, "--operation", "quantize", "--format", "MXFP4")
    assert found.exit_code == 1, found.output
    block = " ".join(["0"] * 13 + ["-1.5"] + ["0"] * 6 + ["3"])
    assert f"see: mxemu explain quantize MXFP4_E2M1 {block} --elem 13\n" in found.stdout
    assert "do not matter" not in found.stdout


def test_recorded_products_of_any_length_have_a_token(tmp_path: Path) -> None:
    """Six blocks, of which two hold something: the token has those."""
    rng = np.random.default_rng(4)
    a, b = (rng.integers(0, 16, (3, 192)).astype(np.uint8) for _ in range(2))
    a[:, 64:] = b[:, 64:] = 0
    scales = np.full((3, 6), 127, np.uint8)
    right = zoo.reference.matmul(scales, a, scales, b, None, ("MXFP4_E2M1",) * 2, "exact")
    np.savez(tmp_path / "in.npz", sa=scales, a=a, sb=scales, b=b)
    np.savez(tmp_path / "out.npz", bits=right ^ np.uint32(1 << 31))
    target = f"files:{tmp_path / 'in.npz'},{tmp_path / 'out.npz'}"
    words = ("--operation", "matmul", "--format", "MXFP4", "--carrier", "binary32")
    found = json.loads(command(target, *words, "--output-format", "json").stdout)
    first = found["groups"][0]["first_failure"]
    one = read(first["token"])
    assert one.judge().describe(0, np.zeros(1, np.uint32), OCP).ref.hex == first["ref"]["hex"]
