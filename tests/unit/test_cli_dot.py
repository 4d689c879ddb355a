"""``mxemu explain dot`` and ``mxemu list accumulations`` as their users see them."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tomllib
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mxemu.accumulation import Grade
from mxemu.accumulations import ACCUMULATIONS, find, from_mapping
from mxemu.cli import cli
from mxemu.cli.bit_picture import Row, picture
from mxemu.cli.render_dot import render_dot
from mxemu.explain.dots import explain_dot
from mxemu.formats import E4M3
from mxemu.products import Operand
from mxemu.scalar import decode
from mxemu.value import Value

ROOT = Path(__file__).resolve().parents[2]
HOPPER = "explain dot E4M3 --a 1,2,448 --b 0.5,1,-448 --c 3 --accumulation nv-hopper-fp8-wgmma"

OUTPUTS = {
    f"{HOPPER} --compare exact,fp32-fma": """\
E4M3 . E4M3, K = 3, C = 3

  accumulation   nv-hopper-fp8-wgmma
                 groups of 32 onto E8M13 TOWARD_ZERO, 13 fraction bits kept, e >= -133; C aligned
                 with the first group.
  seen in        wgmma of H100.
  grade          measured: tests/silicon: an H100

Products
               a            b  product
  p0    0x38 = 1   0x30 = 0.5      0.5  = 1b * 2^-1
  p1    0x40 = 2     0x38 = 1        2  = 1b * 2^1
  p2  0x7E = 448  0xFE = -448  -200704  = -11.0001b * 2^16

Sum s1: p0 to p2 and C
  e = 16, the largest exponent, of p2. Terms are cut to multiples of 2^(e - 13) = 2^3, TOWARD_ZERO.

         2^17        2^3    2^-1    value    keeps  loses
  p0   + ...............|...1         0.5        0    0.5
  p1   + ...............|.1             2        0      2
  p2   - 110001000000000|         -200704  -200704      -
  C    + ...............|.11            3        0      3
         ---------------
  sum  - 110001000000000                   -200704    5.5

  s1 = -200704: the sum rounded to E8M13 TOWARD_ZERO, which loses nothing.

Result
  value    -200704
  bits     0xC8440000 in binary32    inexact
  exact    -200698.5; 0xC843FEA0 in binary32
  off by   -5.5; 352 ulps of binary32 below the exact result

Compared
                       bits            value  ulps from exact
  nv-hopper-fp8-wgmma  0xC8440000    -200704             -352
  exact                0xC843FEA0  -200698.5                0
  fp32-fma             0xC843FEA0  -200698.5                0
""",
    "explain dot MXFP4,MXFP8_E4M3 --a 6,-1 --b 0b0_1000_100,#126 --scale-a 2^-3 --scale-b 0x81 "
    "--accumulation amd-cdna3 --c -0x1.8p-20": """\
MXFP4_E2M1 . MXFP8_E4M3, K = 32, k = 32, C = -3*2^-21

  accumulation   amd-cdna3
                 a product of 2^128 or more is Inf; runs of 8 (one sum, 24 fraction bits kept),
                 their results one at a time onto E8M31 TOWARD_NEGATIVE, then binary32, 32 fraction
                 bits kept, by TOWARD_NEGATIVE, 24 of what is carried in, e >= -126; C aligned with
                 the first of them.
  seen in        MI300X.
  grade          simulator: MMA-Sim 2.1.1, arXiv 2511.10909

Products
  2 pairs given, filled up with 30 zeros
             a           b  product
  block 0: scale of a 0x7C = 0.125, of b 0x81 = 4
  p0   0x7 = 6    0x44 = 3        9  = 10.01b * 2^2
  p1  0xA = -1  0x7E = 448     -224  = -1.11b * 2^7
  30 products are zero

Sums
      adds       sum of what is kept  rounded      lost
  s1  p0 to p7                  -215        -         0
  s5  s1 and C       -28180481*2^-17     -215  -3*2^-21
  s8  s4 and s7                 -215     -215         0
  5 sums of zeros left out

s5 loses most and is drawn; --all draws all of them.

Sum s5: s1 and C
  e = 7, the largest exponent, of s1. Terms are cut to multiples of 2^(e - 32) = 2^-25,
  TOWARD_NEGATIVE. What is carried in is cut to 2^(e - 24).

         2^7                 2^-17    2^-25      value            keeps     loses
  s1   - 1101011100000000000000000 00000000|      -215             -215         -
  C    - .........................|..11       -3*2^-21           -2^-17  13*2^-21
         ----------------------------------
  sum  - 1101011100000000000000001 00000000             -28180481*2^-17  13*2^-21
  s5   - 11010111                                 -215

  s5 = -215: the sum rounded to E8M31 TOWARD_NEGATIVE, then binary32 TIES_TO_EVEN, which loses
  -2^-17.

Result
  value    -215
  bits     0xC3570000 in binary32    inexact
  exact    -450887683*2^-21 (~-215.000001); 0xC3570000 in binary32
  off by   nothing: the same bits as the exact result
""",
    "explain dot E5M2 --a inf,1 --b 0,nan": """\
E5M2 . E5M2, K = 2

  accumulation   exact
                 one exact sum; C is one more term; one rounding, at the end.
  in words       All products and C exactly, one rounding at the end.
  grade          definition: IEEE 754 clause 9.4 leaves sums open; this one has no choice left.

Products
               a           b  product
  p0  0x7C = Inf    0x00 = 0      NaN
  p1    0x3C = 1  0x7E = NaN      NaN

Sum s1: p0, p1 and C
  p0 = NaN and p1 = NaN, so the sum is NaN.

Result
  value    NaN
  bits     0x7FC00000 in binary32    invalid
  exact    NaN; 0x7FC00000 in binary32
  off by   nothing: the same bits as the exact result
""",
}


def mxemu(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), prog_name="mxemu")


def stdout(words: str) -> str:
    result = mxemu(*words.split())
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("words", OUTPUTS)
def test_whole_outputs(words: str) -> None:
    assert stdout(words) == OUTPUTS[words]


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ("E4M3", "Missing option '--a'.", "mxemu explain dot --help"),
        ("E4M3 --a 1 --b 1,2", "K = 1 and 2; expected the same length (MX-6.1-DOT)", ""),
        ("E4M3 --a , --b 1", "',' holds no number; expected a list such as 1,-2,0x38", ""),
        ("E4M3 --a 0x100 --b 1", "code 0x100 does not fit E4M3; expected 0 to 0xff", ""),
        (
            "E4M3 --a 1x --b 1",
            "'1x' is not a number; expected a decimal, a/b, 0x1.8p3, 2^-9, inf or nan",
            "",
        ),
        ("E4M3,E5M2,E2M1 --a 1 --b 1", "3 formats; expected one, or one for each of a and b", None),
        (
            "E4M4 --a 1 --b 1",
            "unknown format 'E4M4'; did you mean E4M3 or E3M4?",
            "mxemu list formats",
        ),
        (
            "E4M3 --a 1 --b 1 --accumulation nv-hoper",
            "unknown accumulation 'nv-hoper'; did you mean nv-hopper or nv-hopper-tf32 or nv-hopper-fp16?",
            "mxemu list accumulations",
        ),
        (
            "E4M3 --a 1 --b 1 --compare exact,nv-hoper",
            "unknown accumulation 'nv-hoper'; did you mean nv-hopper or nv-hopper-tf32 or nv-hopper-fp16?",
            "mxemu list accumulations",
        ),
        (
            "E4M3 --a 1 --b 1 --scale-a 127",
            "scale 127 of a is no E8M0 value; the closest is 0x86 = 128",
            "a code is written 0x.., 0b.. or '#127'",
        ),
        (
            "MXFP4 --a 1 --b 1 --scale-a 1,2",
            "2 scales of a; expected one, or one for each of 1 blocks",
            "",
        ),
        ("MXFP4 --a 1 --b 1 --k 16", "--k 16; MXFP4_E2M1 has k = 32", ""),
        (
            "MXFP4,NVFP4 --a 1 --b 1",
            "k = 32 and k = 16; expected the same block size (MX-6.1-DOT)",
            "",
        ),
        ("E4M3 --a 1 --b 1 --accumulation none.toml", "none.toml: No such file or directory", ""),
        ("E4M3 --a 1 --b 1 --out E4M3", "unknown carrier 'E4M3'", "mxemu list formats"),
        ("E4M3 --a 1 --b 1 --akkumulation x", "No such option '--akkumulation'.", None),
    ],
)
def test_errors_are_one_line_and_a_hint(words: str, error: str, hint: str | None) -> None:
    result = mxemu("explain", "dot", *words.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    first, *rest = result.stderr.splitlines()
    assert first.startswith(f"error: {error}")
    assert hint is None or rest == ([f"hint: {hint}"] if hint else [])


def test_a_record_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "unit.toml"
    path.write_text('node = { kind = "chain", step = { out = "bfloat16", fraction_bits = 3 } }')
    words = ["explain", "dot", "E4M3", "--a", "1,16", "--b", "1,1", "--accumulation", str(path)]
    result = mxemu(*words)
    assert "  accumulation   unit\n" in result.stdout
    assert "  value    16\n" in result.stdout
    path.write_text("node = ")
    assert mxemu(*words).stderr.startswith(f"error: {path}: ")
    path.write_text('node = { kind = "chian" }')
    assert "did you mean chain?" in mxemu(*words).stderr


def test_values_codes_and_what_is_not_taken_as_given() -> None:
    text = stdout("explain dot E4M3 --a 0.3,-1000 --b #56,0b0_0111_000 --c 0.1 --out binary16")
    assert "  a0 = 0.3 is taken as E4M3 0x2A = 0.3125\n" in text
    assert "  a1 = -1000 is taken as E4M3 0xFE = -448\n" in text
    assert "  C = 0.1 is taken as binary16 819*2^-13\n" in text
    assert "  p0  0x2A = 0.3125  0x38 = 1   0.3125  = 1.01b * 2^-2\n" in text
    assert (
        "C = 1" in stdout("explain dot E4M3 --a 1 --b 1 --c 0x3C00 --out binary16").splitlines()[0]
    )
    assert " is taken as " not in stdout("explain dot E5M2 --a -inf,2^-16 --b 1,1 --c nan")
    assert "0x7F80 = Inf" in stdout("explain dot bfloat16 --a 1e39 --b 1")
    assert "0x7FC0 = NaN" in stdout("explain dot bfloat16 --a nan --b 1")


def test_scales_and_block_sizes() -> None:
    text = stdout("explain dot E4M3 --a 1,1,1 --b 1,1,1 --k 2 --scale-a 2,4 --scale-b #128")
    assert text.startswith("E4M3/E8M0/2 . E4M3/E8M0/2, K = 4, k = 2") or "K = 4, k = 2" in text
    assert "  value    20\n" not in text
    assert "  value    16\n" in text
    assert "block 1: scale of a 0x81 = 4, of b 0x80 = 2" in text


def test_one_side_with_scales() -> None:
    text = stdout("explain dot E4M3 --a 1 --b 1 --scale-a 4")
    assert text.startswith("E4M3/E8M0/32 . E4M3, K = 32, k = 32\n")
    assert "  value    4\n" in text


def test_tensor_scales() -> None:
    words = "explain dot NVFP4 --a 6 --b 1 --scale-a 448 --tensor-scale-a 0.5 --tensor-scale-b 0.1"
    text = stdout(words)
    assert "  tensor scale 0.1 of b is taken as binary32 13421773*2^-27\n" in text
    assert "s1 * tensor scales" in text


def test_json() -> None:
    found = json.loads(stdout(f"{HOPPER} --compare exact --output-format json"))
    assert found["result"] == {
        "value": "-200704",
        "bits": "0xC8440000",
        "status": ["inexact"],
        "ulps_from_exact": -352,
    }
    assert found["steps"][0]["quantum"] == 3
    assert [line["lost"] for line in found["steps"][0]["terms"]] == ["0.5", "2", "0"]
    assert found["steps"][0]["carried"]["lost"] == "3"
    assert found["compare"][0]["accumulation"] == "exact"
    assert found["notes"] == []


def test_many_accumulations_are_grouped_by_their_result() -> None:
    text = stdout(f"{HOPPER} --compare all").partition("Compared\n")[2]
    named = re.sub(r"^  \S.*\n", "", text, flags=re.MULTILINE)
    names = re.sub(r"kulisch\(64, -32\)", "kulisch", named).replace(",", " ").split()
    assert sorted(names) == sorted(name.partition("(")[0] for name in ACCUMULATIONS)
    assert "  0xC8440000 = -200704, -352 ulps\n      nv-hopper-fp8-wgmma, " in text


def test_long_dots_are_abbreviated_unless_asked() -> None:
    ones = ",".join(["1"] * 63 + ["0"])
    words = f"explain dot E4M3 --a {ones} --b {ones} --accumulation fp32-sequential"
    short, full = stdout(words), stdout(f"{words} --all")
    assert "... 51 more that are not zero; --all shows them" in short
    assert "1 product is zero" in short
    assert len(short.splitlines()) < 60
    assert all(f"Sum s{number}:" in full for number in range(1, 65))
    assert "p63" in full
    assert "more" not in full


@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_no_line_is_too_wide(name: str) -> None:
    draw = random.Random(name)
    for fmt, scales in ((E4M3, True), (E4M3, False)):
        codes = [
            [draw.randrange(1 << 8) & ~(draw.randrange(4) and 0x7F) for _ in range(64)]
            for _ in "ab"
        ]
        operands = [
            Operand(one, "MXFP8_E4M3", [draw.randrange(100, 150) for _ in range(2)])
            if scales
            else Operand(one, fmt)
            for one in codes
        ]
        c = decode(draw.randrange(1 << 32), "binary32")
        text = render_dot(explain_dot(*operands, c, name))
        assert max(map(len, text.splitlines())) <= 100


LINE = re.compile(r"  (\w+) +([+-]) ([.01~>|]+) ")


def test_pictures_show_the_bits_of_their_numbers() -> None:
    draw = random.Random(1)
    read = 0
    for _ in range(40):
        codes = [draw.choices(range(256), k=6) for _ in "ab"]
        codes = [[code if decode(code, E4M3).is_finite else 0 for code in one] for one in codes]
        found = explain_dot(*(Operand(one, E4M3) for one in codes), accumulation="nv-ada-fp8")
        (step,) = found.steps
        values = {line.name: line.cut for line in step.lines}
        for name, sign, bits in LINE.findall(render_dot(found)):
            if name not in values or "~" in bits or ">" in bits:
                continue
            kept, _, lost = bits.replace(".", "0").partition("|")
            assert step.quantum is not None
            unit = Fraction(2) ** step.quantum * (-1 if sign == "-" else 1)
            assert int(kept, 2) * unit == values[name].kept.fraction()
            tail = Fraction(int(lost or "0", 2), 1 << len(lost))
            assert tail * unit == values[name].lost.fraction()
            read += 1
    assert read > 100


def test_pictures_leave_out_what_nobody_needs() -> None:
    rows = [Row("a", Value(0, 1, 90), -10), Row("b", Value(1, 5, -14), -10)]
    assert picture(rows, [Row("sum", Value(0, 1, 90), -10, bar=False)], (90, -10)) == [
        "       2^90   2^-14",
        "a    + 1~0|",
        "b    - .~.|.101",
        "       ---",
        "sum  + 1~0",
    ]


def test_pictures_end_where_the_line_does() -> None:
    wide = Value(0, (1 << 200) // 3 | 1, -199)
    (_, row, _, foot) = picture(
        [Row("a", wide, None, ("1",))], [Row("sum", wide, None, ("1",))], None
    )
    assert row.endswith("10>     1")
    assert len(row) <= 98
    assert foot.startswith("sum  + 1")


def test_the_core_alone_explains_a_dot() -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys(('numpy', 'numba', 'pandas'))); "
    code = f"{blocked}from mxemu.cli import cli; cli({HOPPER.split()!r})"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == OUTPUTS[f"{HOPPER} --compare exact,fp32-fma"].partition("\nCompared")[0]


def test_every_accumulation_is_listed_with_its_grade() -> None:
    lines = stdout("list accumulations").splitlines()
    heads = [line.split() for line in lines if line[:1].isalpha()]
    found = {words[0].partition("(")[0]: words for words in heads}
    for name, record in ACCUMULATIONS.items():
        assert record.grade.value in found[name.partition("(")[0]], name
    for grade in Grade:
        assert any(line.startswith(f"  {grade.value} ") for line in lines), grade
    assert max(map(len, lines)) <= 100


def test_accumulations_as_json() -> None:
    found = json.loads(stdout("list accumulations --output-format json"))
    assert [one["name"] for one in found] == list(ACCUMULATIONS)
    for one, record in zip(found, ACCUMULATIONS.values(), strict=True):
        assert from_mapping(one["record"]) == record
        assert one["does"]


@pytest.mark.parametrize("name", [*ACCUMULATIONS, "kulisch(90, -40, saturate)"])
def test_a_listed_record_reads_back(name: str) -> None:
    result = mxemu("list", "accumulations", name)
    assert result.exit_code == 0
    record, back = find(name), from_mapping(tomllib.loads(result.stdout))
    assert back == record
    for field in ("note", "grade", "source", "operands"):
        assert getattr(back, field) == getattr(record, field)


def test_other_lists_take_no_name() -> None:
    result = mxemu("list", "formats", "E4M3")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: list formats takes no name; try mxemu table E4M3")
    assert "error: list profiles takes no name\n" in mxemu("list", "profiles", "ocp").stderr
