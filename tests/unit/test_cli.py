"""The command line as its users see it: whole outputs, errors, exit statuses."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mxemu import __version__, formats, profile, runs, scalar
from mxemu.clauses import CLAUSES
from mxemu.cli import cli
from mxemu.cli.doctor import NEEDED

ROOT = Path(__file__).resolve().parents[2]

OUTPUTS = {
    "explain E4M3 0x5D": """\
E4M3  0x5D  0_1011_101  =  26

  fields        sign + | exponent 11 - bias 7 = 4 | significand 1.101b = 13/8
  value         13/8 * 2^4 = 13*2^1 = 26
  class         normal, spacing 2
  neighbours    0x5C = 24 and 0x5E = 28

          24        25        26        27        28
         0x5C -------(------ 0x5D -------)------ 0x5E

  rounds here   reals in (25, 27)
  ties          25 -> 0x5C and 27 -> 0x5E: the even code wins (mxemu rule MX-5.3.1-OFP8)
  profile       ocp: TIES_TO_EVEN, SATURATE
""",
    "explain E2M1 -0": """\
-0 -> E2M1  0x8 = -0

  number    -0
  place     exactly a value of E2M1: no rounding
  result    0x8  1_00_0  exact
  error     0
  profile   ocp: TIES_TO_EVEN, SATURATE

  zero_sign (* this profile)
    KEEP       * 0x8 = -0
    POSITIVE     0x0 = 0
""",
    "explain E5M2 0x7C --profile ocp-overflow": """\
E5M2  0x7C  0_11111_00  =  Inf

  fields        sign + | Inf
  class         Inf
  rounds here   reals in [61440, Inf]
  profile       ocp-overflow: TIES_TO_EVEN, OVERFLOW
""",
    "explain INT8 0x80": """\
INT8  0x80  1_0_000000  =  -2

  fields        two's complement n = -128 | implied scale 2^-6
  value         -128 * 2^-6 = -2^1 = -2
  class         integer (min), spacing 0.015625
  neighbours    0x81 = -1.984375
  rounds here   nothing
  ties          -1.9921875 -> 0x81
  profile       ocp: TIES_TO_EVEN, int_minimum EXCLUDE
  note          0x80 has no positive counterpart and may be left out, as here: mxemu rule
                MX-5.3.4-NEG2
""",
    "explain E8M0 0xFF": """\
E8M0  0xFF  11111111  =  NaN

  fields        no sign | NaN
  class         NaN, the only NaN code
  binary32      0x7FC00000; code << 23 would be Inf (mxemu rule shift23-scale)
  rounds here   -Inf, NaN, negative numbers
  profile       ocp: scale_cast TIES_TO_EVEN
  note          no clause defines a conversion to E8M0; the profile does: mxemu rule MX-6.3-ALT
""",
    "explain E4M3 0.1 --carrier binary32": """\
0.1 -> E4M3  0x1D = 0.1015625

  number    0.1 = 1/10, which no binary format holds
  carrier   binary32 0x3DCCCCCD = 13421773*2^-27, by TIES_TO_EVEN
  between   0x1C = 0.09375 and 0x1D = 0.1015625

      0.09375              0.09765625             0.1015625
      0x1C |--------------------+-----------x--------| 0x1D

  place     ~0.8 of the way, above the tie 0.09765625
  result    0x1D  0_0011_101  inexact
  error     +209715*2^-27 (~0.0015625), relative +1.56 %
  profile   ocp: TIES_TO_EVEN, SATURATE

  rounding (* this profile; SATURATE and OVERFLOW give the same)
    TIES_TO_EVEN      * 0x1D = 0.1015625
    TIES_TO_AWAY        0x1D = 0.1015625
    TOWARD_ZERO         0x1C = 0.09375
    TOWARD_POSITIVE     0x1D = 0.1015625
    TOWARD_NEGATIVE     0x1C = 0.09375
    TO_ODD              0x1D = 0.1015625
    STOCHASTIC          0x1C = 0.09375, or 0x1D = 0.1015625 (p ~ 0.8)
""",
    "explain E4M3 465": """\
465 -> E4M3  0x7E = 448

  number    465
  range     above 0x7E = 448, the largest value of E4M3; next would be 480, and the tie 464
  result    0x7E  0_1111_110  inexact, overflow, saturated
  error     -17, relative -17/465 = -3.66 %
  profile   ocp: TIES_TO_EVEN, SATURATE

  rounding and overflow (* this profile)
                        SATURATE       OVERFLOW
    TIES_TO_EVEN      * 0x7E = 448     0x7F = NaN
    TIES_TO_AWAY        0x7E = 448     0x7F = NaN
    TOWARD_ZERO         0x7E = 448     0x7E = 448
    TOWARD_POSITIVE     0x7E = 448     0x7F = NaN
    TOWARD_NEGATIVE     0x7E = 448     0x7E = 448
    TO_ODD              0x7E = 448     0x7E = 448
    STOCHASTIC          0x7E = 448     0x7E = 448, or 0x7F = NaN (p ~ 0.5313)
""",
    "explain E2M1 nan": """\
nan -> E2M1  0x7 = 6

  number    NaN
  result    0x7  0_11_1  invalid
  profile   ocp: TIES_TO_EVEN, SATURATE
  note      E2M1 has no NaN; what a NaN becomes is free: mxemu rule MX-5.3.3-NAN

  nan_without_code (* this profile)
    MAX_POSITIVE     * 0x7 = 6
    MAX_KEEP_SIGN      0x7 = 6
    ZERO_POSITIVE      0x0 = 0
    ZERO_KEEP_SIGN     0x0 = 0
    ZERO_FLIP_SIGN     0x8 = -0
""",
    "explain quantize MXFP4 7 -1 0.3 --profile rceil --elem 2": """\
MXFP4_E2M1: 32 E2M1 elements and one E8M0 scale; 3 given, filled up with 29 zeros

Scale
  amax      7 (element 0) = 1.75 * 2^2, so e = 2
  rule      RCEIL: e - emax + [f > M] = 2 - 2 + 1 = 1
            f = 1.75 and M = 1.5, so [f > M] = 1
  scale     2^1 = 2, E8M0 code 0x80 (1 + bias 127)
  profile   rceil: scale rule RCEIL, TIES_TO_EVEN, SATURATE

Element 2
  V         0.3 = 3/10, which no binary format holds; taken exactly
  V / X     0.3 / 2 = 0.15
  between   0x0 = 0 and 0x1 = 0.5; 3/10 of the way, below the tie 0.25
  code      0x0 = 0    0_00_0    inexact, underflow
  back      0 * 2 = 0
  error     -0.3, relative -1 = -100 %

Elements given
       V  V / X  code  value  back  error  relative
  0    7    3.5   0x6      4     8     +1   +14.3 %
  1   -1   -0.5   0x9   -0.5    -1      0       0 %
  2  0.3   0.15   0x0      0     0   -0.3    -100 %

Other profiles
  scale 1 (0x7F): 0.3 -> 0x1 = 0.5 -> 0.5, +66.7 %
      ocp, ocp-overflow, ocp-int-minimum, finite-amax, even-ties-down, log-nearest, floor-ties-away,
      flush-block, ratio
  scale 1 (0x7F): 0.3 -> 0x0 = 0 -> 0, -100 %
      floor-truncate
  the same scale and codes
      ceil, even, even-carry-nan, even-e2m1-step, rceil-satfinite, rceil-subnormal-up,
      rceil-amax-floor
  not compared: random, or not for this scale
      stochastic
""",
    "explain quantize MXFP4 1 nan": """\
MXFP4_E2M1: 32 E2M1 elements and one E8M0 scale; 2 given, filled up with 30 zeros

Scale
  amax      NaN, element 1
  choice    no rule for NaN in a block: nan_block SCALE_NAN
  scale     NaN, E8M0 code 0xFF
  profile   ocp: scale rule FLOOR, TIES_TO_EVEN, SATURATE

Element 0
  V      1
  back   NaN: under a NaN scale every element is NaN (mxemu rule MX-5.1-NANSCALE)
  code   not prescribed, 0 here (mxemu rule MX-4-SCOPE-NANELEM)

Elements given
       V  V / X  code  value  back  error  relative
  0    1    NaN   0x0      0   NaN      -         -
  1  nan    NaN   0x0      0   NaN      -         -

Other profiles
  scale 0.25 (0x7D): 4 -> 0x6 = 4 -> 1, 0 %
      finite-amax
  scale 2^125 (0xFC): 2^-125 -> 0x0 = 0 -> 0, -100 %
      even-ties-down
  the same scale and codes
      ocp-overflow, ocp-int-minimum, ceil, even, even-carry-nan, even-e2m1-step, rceil,
      rceil-satfinite, rceil-subnormal-up, rceil-amax-floor, log-nearest, floor-ties-away,
      floor-truncate, flush-block, ratio
  not compared: random, or not for this scale
      stochastic
""",
    "table INT4": """\
INT4 under profile ocp: TIES_TO_EVEN, int_minimum EXCLUDE

code  bits    value  class          reals that round here
0x0   0_0_00      0  zero           [-0.125, 0.125]
0x1   0_0_01   0.25  integer        (0.125, 0.375)
0x2   0_0_10    0.5  integer        [0.375, 0.625]
0x3   0_0_11   0.75  integer        (0.625, 0.875)
0x4   0_1_00      1  integer        [0.875, 1.125]
0x5   0_1_01   1.25  integer        (1.125, 1.375)
0x6   0_1_10    1.5  integer        [1.375, 1.625]
0x7   0_1_11   1.75  integer (max)  (1.625, Inf]
0x8   1_0_00     -2  integer (min)  -
0x9   1_0_01  -1.75  integer        [-Inf, -1.625)
0xA   1_0_10   -1.5  integer        [-1.625, -1.375]
0xB   1_0_11  -1.25  integer        (-1.375, -1.125)
0xC   1_1_00     -1  integer        [-1.125, -0.875]
0xD   1_1_01  -0.75  integer        (-0.875, -0.625)
0xE   1_1_10   -0.5  integer        [-0.625, -0.375]
0xF   1_1_11  -0.25  integer        (-0.375, -0.125)

16 codes, 16 distinct values, no Inf, no NaN
""",
    "table E2M3 --grid": """\
E2M3: a code is the sum of the first column and the binary number above

code  binade     000    001   010    011  100    101   110    111
0x00  subnormal    0  0.125  0.25  0.375  0.5  0.625  0.75  0.875
0x08  2^0          1  1.125  1.25  1.375  1.5  1.625  1.75  1.875
0x10  2^1          2   2.25   2.5   2.75    3   3.25   3.5   3.75
0x18  2^2          4    4.5     5    5.5    6    6.5     7    7.5

With the sign bit 0x20 the same values are negative.
""",
    "table --stats": """\
The element formats of OCP MX v1.0

quantity       E4M3         E5M2          E3M2         E2M3        E2M1     INT8
bits           8            8             6            6           4        8
sign/exp/mant  1/4/3        1/5/2         1/3/2        1/2/3       1/2/1    -
bias           7            15            3            1           1        -
implied scale  -            -             -            -           -        2^-6
emin           -6           -14           -2           0           0        -
emax           8            15            4            2           2        0
max            0x7E 448     0x7B 57344    0x1F 28      0x1F 7.5    0x7 6    0x7F 1.984375
min, optional  -            -             -            -           -        0x80 -2
min normal     0x08 2^-6    0x04 2^-14    0x04 0.25    0x08 1      0x2 1    -
max subnormal  0x07 7*2^-9  0x03 3*2^-16  0x03 0.1875  0x07 0.875  0x1 0.5  -
min positive   0x01 2^-9    0x01 2^-16    0x01 0.0625  0x01 0.125  0x1 0.5  0x01 2^-6
binades        18           32            9            6           4        -
-0             0x80         0x80          0x20         0x20        0x8      none
Inf            none         2             none         none        none     none
NaN            2            6             none         none        none     none
codes          256          256           64           64          16       256
finite         254          248           64           64          16       256
zero           2            2             2            2           2        1
subnormal      14           6             6            14          2        -
normal         238          240           56           48          12       -
distinct       253          247           63           63          15       256
""",
    "table MXFP4": """\
MXFP4_E2M1

quantity            value
element             E2M1, 4 bits
scale               E8M0, 8 bits
k                   32
bits per block      136 = 8 + 32 * 4
bits per element    4.25
bytes per block     17
max                 3*2^128
min positive        2^-128
concrete MX format  yes
defined by          OCP MX v1.0
""",
    "table E2M1 --runs --carrier bfloat16": """\
E2M1 from bfloat16 under profile ocp: TIES_TO_EVEN, SATURATE

first   last    code  value
0x0000  0x3E80  0x0       0
0x3E81  0x3F3F  0x1     0.5
0x3F40  0x3FA0  0x2       1
0x3FA1  0x3FDF  0x3     1.5
0x3FE0  0x4020  0x4       2
0x4021  0x405F  0x5       3
0x4060  0x40A0  0x6       4
0x40A1  0x7F80  0x7       6
0x7F81  0x7FFF  0x7       6  NaN inputs
0x8000  0xBE80  0x8      -0
0xBE81  0xBF3F  0x9    -0.5
0xBF40  0xBFA0  0xA      -1
0xBFA1  0xBFDF  0xB    -1.5
0xBFE0  0xC020  0xC      -2
0xC021  0xC05F  0xD      -3
0xC060  0xC0A0  0xE      -4
0xC0A1  0xFF80  0xF      -6
0xFF81  0xFFFF  0x7       6  NaN inputs

18 rows cover all 2^16 inputs: each from first to last becomes the code.
""",
    "rule mx-6.2-sum": """\
MX-6.2-SUM  DEF, section 6.2: General dot product sums over blocks

  The general dot product of vectors of several blocks is the sum of the dot products of
  corresponding blocks.

  implemented by   mxemu.products.dot
  notes            product-of-codes  A code that only a product shows to be misread
                   product-lane      A lane left out of the sum
                   lane-pairing      Element multiplied with a neighbour's partner
                   block-scale       Scale of another block
                   last-block        Last block that is not full
                   matrix-row        Rows, columns or their scales exchanged
                   scale-sum         Sum of the two scale exponents
                   tiny-products     Products below the accumulator's last bit
                   result-subnormal  Subnormal results
                   result-overflow   Results beyond the largest number
                   midway-overflow   Partial sum beyond the range
                   carried-distance  C far above or below the products
  fix              mxemu rule NOTE, for the note that comes closest
""",
    "rule log_nearest": """\
LOG_NEAREST  scale rule: amax / max, closest in the logarithm; MLX

  formula      exponent of the scale = e - emax - 1 + [f >= M / sqrt(2)] + [f >= M * sqrt(2)]
  arithmetic   exact
  profiles     log-nearest
  try          mxemu explain quantize MXFP4 7 --profile ocp,scale_rule=LOG_NEAREST

  The largest magnitude of a block is f * 2^e with 1 <= f < 2. M is max / 2^emax of the element
  format, m its mantissa bits; [condition] counts 1 where it holds.
""",
}


def mxemu(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), prog_name="mxemu")


def lines(*words: str) -> list[str]:
    result = mxemu(*words)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def start(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "mxemu", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", OUTPUTS)
def test_whole_outputs(words: str) -> None:
    assert mxemu(*words.split()).stdout == OUTPUTS[words]


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (
            "explain E4M4 1",
            "unknown format 'E4M4'; did you mean E4M3 or E3M4?",
            "mxemu list formats",
        ),
        ("explain E4M3 0x100", "code 0x100 does not fit E4M3; expected 0 to 0xff", ""),
        (
            "explain E4M3 1,5",
            "'1,5' is not a number; expected a decimal, a/b, 0x1.8p3, 2^-9, inf or nan",
            "",
        ),
        (
            "explain E4M3",
            "expected a format and one code or value, found 1 word",
            "mxemu explain --help",
        ),
        (
            "explain E4M3 1 2",
            "expected a format and one code or value, found 3 words",
            "mxemu explain --help",
        ),
        ("explain", "expected a format and one code or value", "mxemu explain --help"),
        ("explain E4M3 1 --profle rceil", "No such option '--profle'.", "mxemu explain --help"),
        (
            "explain E4M3 1 --profile rceli",
            "unknown profile 'rceli'; did you mean rceil or ceil?",
            "mxemu list profiles",
        ),
        (
            "explain E4M3 1 --profile ocp,rounding",
            "'rounding' is no change of a profile; expected field=value",
            "mxemu list profiles",
        ),
        (
            "explain E4M3 1 --profile ocp,roundin=to-odd",
            "unknown profile field 'roundin'; did you mean rounding?",
            "mxemu list profiles",
        ),
        (
            "explain E4M3 0x5D --carrier binary32",
            "--carrier rounds a value first; 0x5D is a code",
            "mxemu explain --help",
        ),
        (
            "explain E4M3 1 --carrier binary33",
            "unknown carrier 'binary33'; did you mean binary32 or binary64 or binary16?",
            "mxemu list formats",
        ),
        (
            "explain MXFP4 0x5",
            "MXFP4_E2M1 is a block format; codes and values belong to its elements, E2M1, or scales, E8M0",
            "mxemu explain E2M1 0x5",
        ),
        (
            "explain dot E4M3 --a 1",
            "Missing option '--b'.",
            "mxemu explain dot --help",
        ),
        ("explain mxr1:9k2", "mxr1:9k2... was cut off or changed: its end is missing", ""),
        (
            "explain quantize MXFP4",
            "Missing argument 'VALUES...'.",
            "mxemu explain quantize --help",
        ),
        (
            "explain quantize MXFP44 1",
            "unknown block format 'MXFP44'; did you mean MXFP8_E4M3 or MXFP4_E2M1?",
            "mxemu list formats",
        ),
        (
            "explain quantize E2M1 1",
            "E2M1 is an element format; expected a block format",
            "MXFP4_E2M1, NVFP4, E2M1/E8M0/32",
        ),
        (
            "explain quantize NVFP4 " + "1 " * 17,
            "17 values; a block of NVFP4 holds 1 to k = 16 (MX-5.1-BLOCK)",
            "",
        ),
        (
            "explain quantize MXFP4 1 --elem 32",
            "element 32; a block of MXFP4_E2M1 has elements 0 to 31",
            "",
        ),
        (
            "table binary32",
            "binary32 has 2^32 codes; a table of codes is for formats of up to 12 bits",
            "mxemu table binary32 --stats, or mxemu explain binary32 0x1",
        ),
        (
            "table MXFP4 --grid",
            "MXFP4_E2M1 is a block format; --grid is about elements and scales",
            "mxemu table E2M1 --grid, or mxemu table E8M0 --grid",
        ),
        ("table --runs", "--runs needs a FORMAT", "mxemu table --help"),
        ("table E2M1 --carrier binary32", "--carrier goes with --runs", "mxemu table --help"),
        (
            "table E8M0 --runs",
            "E8M0 has no zero; no clause defines a conversion to it",
            "mxemu table E8M0",
        ),
        (
            "table E2M1 --runs --profile stochastic",
            "STOCHASTIC rounding has no runs table; its result depends on the random word",
            "",
        ),
        (
            "rule MX-6.3-SCAL",
            "unknown rule 'MX-6.3-SCAL'; did you mean MX-6.3-SCALE or MX-6.3-ALT or MX-6.3-CLAMP?",
            "mxemu list clauses, mxemu list notes, mxemu list rules",
        ),
        (
            "rule zzz",
            "unknown rule 'zzz'",
            "mxemu list clauses, mxemu list notes, mxemu list rules",
        ),
        ("expain E4M3 1", "unknown command 'expain'; did you mean explain?", ""),
        ("--frob", "No such option '--frob'.", "mxemu --help"),
    ],
)
def test_errors_are_one_line_and_a_hint(words: str, error: str, hint: str) -> None:
    result = mxemu(*words.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == f"error: {error}\n" + (f"hint: {hint}\n" if hint else "")


@pytest.mark.parametrize(
    "number", ["-0.3", "-1e-3", "-7/512", "-0x1.8p3", "-2^-9", "-inf", "-nan", "-.5"]
)
def test_negative_values_are_no_options(number: str) -> None:
    assert lines("explain", "E4M3", number)[0].startswith(f"{number} -> E4M3  0x")
    assert lines("explain", "quantize", "MXFP8", "1", number)[0].startswith("MXFP8_E4M3")


@pytest.mark.parametrize("code", ["0x5D", "0X5d", "0b1011101", "0b0_1011_101", "#93"])
def test_codes_in_any_spelling(code: str) -> None:
    assert lines("explain", "e4m3", code) == OUTPUTS["explain E4M3 0x5D"].splitlines()


def test_options_may_stand_anywhere() -> None:
    expected = lines("explain", "quantize", "MXFP4", "7", "--profile", "rceil")
    assert lines("explain", "--profile", "rceil", "quantize", "MXFP4", "7") == expected
    assert lines("explain", "QUANTIZE", "mxfp4", "--profile", "RCEIL", "7") == expected


def test_profiles_can_be_changed_field_by_field() -> None:
    text = "\n".join(lines("explain", "E2M1", "0.3", "--profile", "stochastic,random_bits=2"))
    assert "STOCHASTIC        * 0x0 = 0, or 0x1 = 0.5 (p = 0.5)" in text
    changes = "ocp,amax_floor=1e-4,scale_clamp=1-254"
    text = "\n".join(lines("explain", "quantize", "MXFP4", "0", "--profile", changes))
    assert "amax      13743895*2^-37 (~9.99999975e-5) (raised to amax_floor)" in text
    assert "scale     2^-16, E8M0 code 0x6F" in text


def test_departures_from_the_specification_are_named() -> None:
    text = "\n".join(
        lines("explain", "quantize", "MXFP4", "nan", "1", "--profile", "ocp,scale_nan=power")
    )
    assert "breaks" in text
    assert "MX-5.1-NANSCALE" in text


@pytest.mark.parametrize(
    "words",
    [
        "explain E4M3 1e2000",
        "explain E4M3 -1e-2000",
        "explain binary64 1e2000",
        "explain E8M0 1e-2000",
        "explain quantize MXFP4 1e2000 1e-2000 1/3",
        "explain quantize NVFP4 1e2000 1e-2000 1/3 --profile ratio",
        "explain quantize MXFP4 1e2000 --carrier binary32",
        "explain E4M3 0." + "3" * 1100,
    ],
)
def test_absurd_numbers_are_no_trouble(words: str) -> None:
    text = lines(*words.split())
    assert max(map(len, text)) <= 100


@pytest.mark.parametrize("name", [*formats.ELEMENTS, *formats.CARRIERS, "E3M3:finite", "INT6"])
def test_every_format_can_be_explained(name: str) -> None:
    fmt = formats.element(name)
    for code in {0, 1, 2, 3, fmt.max_code, (1 << fmt.width) - 1, 1 << (fmt.width - 1)}:
        text = lines("explain", name, f"0x{code:x}")
        assert max(map(len, text)) <= 100
        assert (
            text[0].endswith(str(scalar.decode(code, fmt)).partition("*")[0][-1:]) or "=" in text[0]
        )
    for number in ("0", "-0.1", "1/3", "1e40", "inf", "nan"):
        assert max(map(len, lines("explain", name, number))) <= 100


@pytest.mark.parametrize("name", formats.BLOCK_FORMATS)
@pytest.mark.parametrize("preset", profile.PRESETS)
def test_every_block_format_and_profile_can_be_explained(name: str, preset: str) -> None:
    words = ("explain", "quantize", name, "957", "-1/3", "1e-3", "--profile", preset)
    if name == "NVFP4" and profile.PRESETS[preset].scale_clamp:
        assert mxemu(*words).exit_code == 2
        return
    text = lines(*words)
    assert max(map(len, text)) <= 100
    assert text[-1]


def test_table_of_codes_for_programs() -> None:
    table = json.loads("\n".join(lines("table", "E2M1", "--output-format", "json")))
    assert (table["table"], table["format"], table["profile"]) == ("codes", "E2M1", "ocp")
    assert [row["value"] for row in table["rows"]] == [
        str(scalar.decode(code, "E2M1")) for code in range(16)
    ]
    assert table["rows"][5] == {
        "code": "0x5",
        "bits": "0_10_1",
        "value": "3",
        "class": "normal",
        "reals": "(2.5, 3.5)",
    }
    rows = list(
        csv.DictReader(io.StringIO("\n".join(lines("table", "E2M1", "--output-format", "csv"))))
    )
    assert rows == table["rows"]


@pytest.mark.parametrize(
    ("name", "rows"), [("E4M3", 256), ("E5M2", 250), ("E3M2", 66), ("INT8", 258)]
)
def test_runs_cover_every_input_once(name: str, rows: int) -> None:
    text = "\n".join(lines("table", name, "--runs", "--output-format", "csv"))
    table = list(csv.DictReader(io.StringIO(text)))
    assert len(table) == rows
    ends = [(int(row["first"], 16), int(row["last"], 16)) for row in table]
    assert ends[0][0] == 0
    assert ends[-1][1] == 0xFFFFFFFF
    assert all(ends[place][1] + 1 == ends[place + 1][0] for place in range(rows - 1))
    encoder = runs.runs(name)
    assert [encoder.code(first) for first, _ in ends] == [int(row["code"], 16) for row in table]


def test_table_follows_the_profile() -> None:
    (row,) = (
        line
        for line in lines("table", "E4M3", "--profile", "ocp-overflow")
        if line.startswith("0x7F")
    )
    assert row.split(maxsplit=4)[4] == "(464, Inf]"


def test_grid_marks_special_codes() -> None:
    text = lines("table", "E5M2", "--grid")
    assert text[-3].split() == ["0x7C", "2^16", "Inf", "NaN", "NaN", "NaN"]
    assert lines("table", "E8M0", "--grid")[-3].split()[-1] == "NaN"


@pytest.mark.parametrize("kind", ["formats", "profiles", "subjects", "clauses", "notes", "rules"])
def test_lists(kind: str) -> None:
    text = lines("list", kind)
    assert max(map(len, text)) <= 100
    objects = json.loads("\n".join(lines("list", kind, "--output-format", "json")))
    names = [each.get("name") or each.get("id") or each["key"] for each in objects]
    assert len(names) == len(set(names)) > 2
    for name in names:
        assert any(name in line for line in text)


def test_list_of_profiles_names_what_the_option_takes() -> None:
    text = "\n".join(lines("list", "profiles"))
    for field in profile.FIELDS:
        assert f"\n  {field}\n" in text
        for choice in profile.alternatives(field):
            words = ("explain", "E4M3", "26", "--profile", f"ocp,{field}={profile.plain(choice)}")
            assert profile.plain(choice) in text
            assert mxemu(*words).exit_code == 0


def test_list_of_subjects_says_what_is_installed() -> None:
    for each in json.loads("\n".join(lines("list", "subjects", "--output-format", "json"))):
        name, _, _ = each["tested_with"].partition("==")
        try:
            assert each["installed"] == metadata.version(name)
        except metadata.PackageNotFoundError:
            assert each["installed"] is None


def test_a_subject_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert any("not installed: pip install gfloat==" in line for line in lines("list", "subjects"))
    assert "\n9 missing: pip install 'numpy>=2.0' 'numba>=0.61'" in mxemu("doctor").stdout


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_clause_has_a_page_whose_example_runs(clause: str) -> None:
    text = lines("rule", clause.lower())
    assert text[0].startswith(clause)
    joined = " ".join(" ".join(text).split())
    assert CLAUSES[clause].text in joined
    assert "implemented by" in joined
    examples = [line.partition("mxemu ")[2] for line in text if line.startswith("  try")]
    for example in examples:
        assert mxemu(*example.split()).exit_code == 0


def test_rule_of_a_note_and_of_a_scale_rule() -> None:
    assert lines("rule", "SHIFT23-SCALE")[0] == "shift23-scale  Scale read as code << 23"
    assert lines("rule", "rceil")[0].startswith("RCEIL  scale rule: ")
    for name in profile.SCALE_RULES:
        (example,) = (line for line in lines("rule", name) if line.startswith("  try"))
        assert mxemu(*example.partition("mxemu ")[2].split()).exit_code == 0


def test_doctor_knows_the_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert list(NEEDED) == project["dependencies"]
    text = mxemu("doctor").stdout
    assert text.splitlines()[0].split() == ["mxemu", __version__]
    assert ["numpy", metadata.version("numpy")] in [line.split() for line in text.splitlines()]
    assert str(ROOT) not in text


def test_overview_and_version() -> None:
    text = mxemu().stdout
    assert text.startswith(f"mxemu {__version__}: ")
    assert mxemu("--version").stdout == f"mxemu {__version__}\n"
    for line in text.splitlines():
        if line.startswith("  mxemu ") and "check" not in line and "COMMAND" not in line:
            words = re.split(r"  +", line.strip())[0].split()[1:]
            assert mxemu(*words).exit_code == 0, line


@pytest.mark.parametrize(
    "words", ["", "explain", "explain quantize", "table", "list", "rule", "doctor", "check"]
)
def test_help(words: str) -> None:
    result = mxemu(*words.split(), "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: mxemu")


def test_help_after_a_format_is_the_help_of_explain() -> None:
    assert mxemu("explain", "E4M3", "--help").stdout.startswith("Usage: mxemu explain FORMAT")


def test_console_script_in_a_process() -> None:
    result = start("explain", "E4M3", "0x5D")
    assert (result.returncode, result.stdout, result.stderr) == (
        0,
        OUTPUTS["explain E4M3 0x5D"],
        "",
    )
    result = start("explain", "E4M3", "0x100")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")


def test_plain_bytes_in_any_locale() -> None:
    for words in (["explain", "E4M3", "0.3"], ["list", "profiles"], ["rule", "MX-6.3-SCALE"], []):
        result = start(*words, LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
        assert result.returncode == 0
        assert result.stdout.isascii()


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "mxemu", "table", "E5M6:finite"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), errors) == (141, b"")
