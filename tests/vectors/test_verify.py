"""mxemu vectors verify and its companions: what is wrong is found, placed and named, whoever wrote the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from conformance import zoo
from conformance.vectors import files
from conformance.vectors.bins import cases_of, coverage
from conformance.vectors.suites import Key, catalogue, suite
from conformance.vectors.table import Batch
from conformance.vectors.verify import number_ranges, verify
from mxemu.cli import cli
from mxemu.profile import OCP

ROOT = Path(__file__).parents[2]


def run(*words: object, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(
        cli, [str(word) for word in ("vectors", *words)], input=given, prog_name="mxemu"
    )


def wrong_by(member: str, key: Key) -> list[Batch]:
    """The vectors of a set with the results of a member of the zoo."""
    one = suite(key)
    judge = one.judge()
    assert judge is not None
    found = []
    for batch in one.batches():
        own = judge.on(cases_of(one, batch))
        observed = getattr(zoo, member.replace("-", "_")).outcome(own, key.profile)
        name = one.outputs[0].name
        columns = dict(batch.columns)
        if observed.ndim == 2 and len(one.outputs) == 2:
            columns["scale"] = observed[:, 0].astype(columns["scale"].dtype)
            columns["codes"] = observed[:, 1:].astype(columns["codes"].dtype)
        else:
            columns[name] = observed.astype(columns[name].dtype)
        found.append(Batch(columns, batch.theme, batch.first))
    return found


MISTAKES = {
    "half-up": Key("encode", "E4M3", "binary32", "smoke"),
    "carry-lost": Key("encode", "E2M1", "bfloat16", "core"),
    "scale-0-as-subnormal": Key("encode-scaled", "MXFP8_E4M3", "binary32", "smoke"),
    "scale-subtracts-emax-and-bias": Key("quantize", "MXFP8_E4M3", "binary32", "smoke"),
    "pairs-swapped": Key("quantize", "MXFP4_E2M1", "binary32", "smoke"),
    "dequantize-shift23": Key("dequantize", "MXFP4_E2M1", "binary32", "smoke"),
    "product-lane-lost": Key("dot", "MXFP8_E4M3", "binary32", "smoke"),
}


@pytest.mark.parametrize(
    "member", [name for name in MISTAKES if hasattr(zoo, name.replace("-", "_"))]
)
def test_a_known_mistake_in_a_file_is_named(member: str) -> None:
    found = verify(suite(MISTAKES[member]), wrong_by(member, MISTAKES[member]))
    assert 0 < found.wrong < found.count
    judged = found.group()
    assert judged is not None
    assert judged[0].verdict == "FAIL"
    assert judged[0].hypotheses[0].name == member
    assert judged[0].hypotheses[0].complete


def test_another_convention_in_a_file_is_free() -> None:
    other = suite(Key("encode", "E5M2", "binary32", "smoke", OCP.replace(overflow="overflow")))
    found = verify(suite(Key("encode", "E5M2", "binary32", "smoke")), other.batches())
    judged = found.group()
    assert found.wrong
    assert judged is not None
    assert judged[0].verdict == "free"
    assert judged[0].hypotheses[0].name == "overflow=overflow"


def test_number_ranges() -> None:
    assert list(number_ranges([1, 3, 4, 5, 9])) == ["1", "3-5", "9"]
    assert list(number_ranges([])) == []


# The command line.


@pytest.fixture
def memh(tmp_path: Path) -> Path:
    path = tmp_path / "set.memh"
    files.write(suite(Key("encode", "E4M3", "binary32", "smoke")), path, "memh")
    return path


def test_a_right_file_is_right(memh: Path) -> None:
    result = run("verify", memh)
    assert result.exit_code == 0
    assert result.output.endswith("vectors of e4m3/encode.binary32, all as expected\n")


def test_a_wrong_line_is_shown(memh: Path) -> None:
    text = memh.read_text()
    place = text.splitlines().index("3d180000_12_0 // ties-to-even")
    memh.write_text(text.replace("3d180000_12_0", "3d180000_13_0"))
    result = run("verify", memh)
    assert result.exit_code == 1
    number = place - 8
    assert f"vectors {number}\n" in result.output
    assert f"vector {number}: value=0x3d180000  code 0x13, expected 0x12" in result.output
    assert "MX-5.3.1-OFP8" in result.output
    record = json.loads(run("verify", memh, "--output-format", "json").output)
    assert record["wrong"] == 1
    assert record["numbers"] == [number]
    assert record["first"][0]["expected"] == "0x12"
    assert record["check"]["groups"][0]["verdicts"]["FAIL"] == 1


def test_a_committed_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    path = folder / "mx-1.0/e2m1/encode.binary32.smoke.memh"
    path.parent.mkdir(parents=True)
    (folder / "manifest.json").write_bytes((ROOT / "vectors/manifest.json").read_bytes())
    path.write_bytes((ROOT / "vectors" / path.relative_to(folder)).read_bytes())
    assert run("verify", path).exit_code == 0
    path.write_text(path.read_text().replace("// code-order", "// other-note"))
    result = run("verify", path)
    assert result.exit_code == 2
    assert "SHA-256" in result.output


def test_errors_are_lines(tmp_path: Path, memh: Path) -> None:
    for words, message in (
        (("verify", tmp_path / "no.memh"), "No such file"),
        (("verify", memh, "--profile", "opc"), "did you mean ocp"),
        (("list", "nothing"), "unknown set of vectors 'nothing'"),
        (("generate", "decode", "--form", "mem"), "did you mean memh"),
        (("stream", "decode"), "decode are 7 sets"),
        (("show", "e2m1/decode.binary32", "99"), "0 of 1 found"),
        (("export", "e2m1/decode.binary32", "--to", "ada"), "unknown target of an export 'ada'"),
        (("export", "mxfp4_e2m1/encode-scaled.binary32", "--to", "runs"), "expected --scale CODE"),
        (("export", "mxfp4_e2m1/quantize.binary32", "--to", "golden"), "has no golden module"),
        (("export", "e2m1/decode.binary32", "--to", "model"), "no block format in"),
        (("coverage", "e2m1/pack.dense"), "pack has no coverage model"),
    ):
        result = run(*words)
        assert result.exit_code == 2, words
        assert message in result.output, result.output
        assert "Traceback" not in result.output


def test_list_show_and_generate(tmp_path: Path) -> None:
    listed = run("list", "e2m1/*", "--level", "smoke").output.splitlines()
    assert listed[0].split() == ["e2m1/decode.binary32", "16", "code:4", "->", "value:32"]
    result = run("generate", "e2m1/decode", "--form", "memh", "--form", "json", "-o", tmp_path)
    assert result.output.count("16 vectors") == 2
    path = tmp_path / "e2m1/decode.binary32.core.json"
    record = json.loads(path.read_text())["vectors"][3]
    shown = run("show", "e2m1/decode.binary32", record["id"]).output
    assert shown.splitlines()[0].startswith(f"e2m1/decode.binary32 4  {record['id']}  MX-5.3.3-ENC")
    assert "  out value   0x3fc00000  = 1.5" in shown
    assert "  out value   0x3fc00000  = 1.5" in run("show", path, "4").output


def test_where_the_committed_vectors_are() -> None:
    folder = Path(run("where").output.strip())
    assert (folder / "manifest.json").is_file()
    assert (folder / "README.md").is_file()


def test_coverage_names_what_is_missing() -> None:
    result = run("coverage", "e2m1/encode.binary32", "--level", "smoke", "--missing")
    assert "lone sticky bit" in result.output
    assert "not seen: 7 below the guard" in result.output


# Streams.

# Scales row by row are their bytes as they are, so the design has only to repeat them; it may spoil one line.
_ECHO = """
import sys
for number, line in enumerate(sys.stdin):
    line = line.rstrip()
    if not line.startswith("#"):
        line += " " + (line if number != %s else "0" * len(line))
    print(line)
"""


@pytest.mark.parametrize(("spoiled", "exit_code"), [(-1, 0), (12, 1)])
def test_a_design_behind_a_pipe(spoiled: int, exit_code: int) -> None:
    questions = run("stream", "e8m0/pack.row-major", "--level", "smoke")
    answer = subprocess.run(
        [sys.executable, "-c", _ECHO % spoiled],
        input=questions.output,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    result = run("verify", "-", given=answer)
    assert result.exit_code == exit_code, result.output
    assert ("all as expected" in result.output) == (exit_code == 0)


def test_answers_without_a_header_need_a_set() -> None:
    lines = "3f80 2\n4000 4 // a remark\n\n# another\nc0c0 f\n"
    result = run("verify", "-", given=lines)
    assert result.exit_code == 2
    assert "name the set with --set" in result.output
    assert run("verify", "-", "--set", "e2m1/encode.bfloat16", given=lines).exit_code == 0
    for line, message in (
        ("3f80", ":1: 1 words; expected value code"),
        ("3f80 x", ":1: code is 'x'; the simulated design left"),
        ("3f80 123", ":1: code is '123'; expected 1 digits"),
    ):
        result = run("verify", "-", "--set", "e2m1/encode.bfloat16", given=line + "\n")
        assert result.exit_code == 2
        assert message in result.output, result.output
    assert run("verify", "-", "--set", "e2m1/encode.bfloat16", given="").exit_code == 2


# Other people's files.

_MAPS = {
    "memh": (
        "x.hex",
        "// mine\n@0\n3f80_7f_38\nc3e0_80_f6\n3f80_80_31\n",
        "[fields]\nvalue = 0\nscale = 1\ncode = 2\n",
        [5],
    ),
    "slices": (
        "x.txt",
        "3f807f38\n3f808031\n",
        '[fields]\nvalue = "31:16"\nscale = "15:8"\ncode = "7:0"\n',
        [2],
    ),
    "csv": (
        "x.csv",
        "in,shared,out\n16256,127,56\n16256,128,49\n",
        'base = 10\n[fields]\nvalue = "in"\nscale = "shared"\ncode = "out"\n',
        [3],
    ),
    "json": (
        "x.json",
        json.dumps(
            {"tests": [{"i": {"v": "0x3f80"}, "o": "0x38"}, {"i": {"v": "0x3f80"}, "o": "0x31"}]}
        ),
        'base = 0\n[fields]\nvalue = "i.v"\ncode = "o"\n[constants]\nscale = "0x7f"\n',
        [2],
    ),
}


@pytest.mark.parametrize("form", _MAPS)
def test_other_files_by_a_map(form: str, tmp_path: Path) -> None:
    name, text, places, wrong = _MAPS[form]
    (tmp_path / name).write_text(text)
    head = 'operation = "encode-scaled"\nformat = "MXFP8_E4M3"\nkind = "bfloat16"\n'
    (tmp_path / "map.toml").write_text(head + places)
    result = run("verify", tmp_path / name, "--map", tmp_path / "map.toml")
    assert result.exit_code == 1, result.output
    assert f"lines {', '.join(map(str, wrong))}\n" in result.output
    assert f"line {wrong[0]}: " in result.output
    assert "code 0x31, expected" in result.output


def test_lanes_of_a_block_by_a_map(tmp_path: Path) -> None:
    one = suite(Key("quantize", "E2M1/E8M0/2", "binary32", "smoke"))
    lines = []
    for batch in one.batches():
        for row in range(len(batch)):
            values, scale, codes = (
                batch.columns[name][row] for name in ("values", "scale", "codes")
            )
            lines.append(f"{values[0]:08x} {values[1]:08x} {scale:02x} {codes[0]:x} {codes[1]:x}")
    (tmp_path / "x.txt").write_text("\n".join(lines) + "\n")
    head = 'operation = "quantize"\nformat = "E2M1/E8M0/2"\n'
    body = "[fields]\nvalues = [0, 1]\nscale = 2\ncodes = [3, 4]\n"
    (tmp_path / "map.toml").write_text(head + body)
    result = run("verify", tmp_path / "x.txt", "--map", tmp_path / "map.toml")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ("[fields]\nvalue = 0\ncode = 1\n", "has no place for scale"),
        ("[fields]\nvalue = 0\nscal = 1\ncode = 2\n", "did you mean scale"),
        ("[places]\nvalue = 0\n", "unknown key in"),
        ("base = 7\n[fields]\nvalue = 0\nscale = 1\ncode = 2\n", "base is 7; expected 16, 10 or 0"),
        ("[fields]\nvalue = 0\nscale = 1\ncode = 9\n", ":1: code: IndexError"),
        ('[fields]\nvalue = 0\nscale = 1\ncode = "a:b"\n', "expected a word's number or bits"),
        ("[fields]\nvalue = 0\nscale = 1\ncode = [2, 2]\n", "code has 2 places; expected 1"),
        ("skip = 9\n[fields]\nvalue = 0\nscale = 1\ncode = 2\n", "no vectors"),
    ],
)
def test_a_wrong_map_is_refused(places: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("3f80 7f 38\n")
    head = 'operation = "encode-scaled"\nformat = "MXFP8_E4M3"\nkind = "bfloat16"\n'
    (tmp_path / "map.toml").write_text(head + places)
    result = run("verify", tmp_path / "x.txt", "--map", tmp_path / "map.toml")
    assert result.exit_code == 2
    assert message in result.output, result.output


# Coverage.

COMPLETE = [
    "e4m3/encode.binary32",
    "e2m1/encode.bfloat16",
    "int8/encode.binary16",
    "mxfp8_e4m3/encode-scaled.binary32",
    "mxfp4_e2m1/quantize.binary32",
    "mxfp6_e2m3/dequantize.binary32",
    "mxfp8_e4m3/dot.binary32",
    "e5m2/decode.binary32",
]


@pytest.mark.parametrize("name", COMPLETE)
def test_level_core_reaches_every_bin_and_a_mistake_shows_in_each(name: str) -> None:
    key = next(key for key in catalogue("core") if key.name == name)
    for point in coverage(suite(key)):
        assert point.missing() == [], point.coverpoint.name
        assert point.hit == point.observable == point.total


def test_a_bin_without_its_mistake_does_not_count() -> None:
    """Vectors without a tie hit patterns, but a rounding of ties the other way would not show."""
    one = suite(Key("encode", "E4M3", "binary32", "smoke"))
    values = np.array([0x3F800000, 0x3F900000], np.uint32)
    batch = one.batch({"value": values}, np.zeros(2, np.int64))
    points = {point.coverpoint.name: point for point in coverage(one, [batch])}
    assert points["ties"].hit == 0
    assert points["input"].hit == 1
    assert points["sign LSB guard round sticky"].hit == 0
