"""Scales: step points, the tables of scale codes that are published, special blocks, and conversions to a scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError
from fractions import Fraction
from itertools import pairwise
from typing import Any

import oracle
import pytest

from mxemu import formats, scale
from mxemu import profile as profiles
from mxemu.errors import BadFormat
from mxemu.formats import (
    E2M1,
    E4M3,
    E5M2,
    E8M0,
    INT8,
    MXFP4_E2M1,
    MXFP6_E3M2,
    MXFP8_E4M3,
    MXINT8,
    NVFP4,
    BlockFormat,
    FloatFormat,
    element,
)
from mxemu.profile import OCP, SCALE_RULES, Profile, StepPoint
from mxemu.profile import profile as preset
from mxemu.scale import (
    amax,
    encode_scale,
    scale_code,
    scale_rows,
    shared_exponent,
    smallest_code,
)
from mxemu.value import INF, NAN, ZERO, Kind, Value, from_fraction

MINUS_INF = Value(1, 0, 0, Kind.INF)


def exact(number: Fraction | int | str) -> Value:
    found = Fraction(number)
    assert found.denominator & (found.denominator - 1) == 0
    return Value(int(found < 0), abs(found.numerator), 1 - found.denominator.bit_length())


def power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def binary32(words: str) -> Value:
    """The binary32 number that a decimal text stands for."""
    bits = oracle.round_to_carrier(Fraction(words), "binary32")
    return exact(oracle.decode(bits, "binary32").real)


FLT_MAX = exact(power(128) - power(104))

# Largest magnitude of a block.


@pytest.mark.parametrize(
    ("numbers", "largest"),
    [
        ([1, -3, 2], 3),
        ([-3, 1, 2], 3),
        ([1, 2, -3], 3),
        ([0, 0], 0),
        ([Fraction(1, 8), Fraction(-1, 4)], Fraction(1, 4)),
        ([5, 5], 5),
        ([power(-149)], power(-149)),
        ([-power(100), power(99)], power(100)),
        ([], 0),
    ],
)
def test_amax(numbers: Sequence[Fraction | int], largest: Fraction | int) -> None:
    found = amax(exact(number) for number in numbers)
    assert (found.sign, found.fraction()) == (0, largest)


@pytest.mark.clause("MX-6.3-SCALE")
@pytest.mark.parametrize("lane", range(32))
def test_amax_may_stand_in_any_lane(lane: int) -> None:
    for sign in (0, 1):
        values = [Value(1 - sign, 3, 0)] * 32
        values[lane] = Value(sign, 7, -1)
        assert amax(values) == Value(0, 7, -1)


def test_amax_of_zeros_is_a_positive_zero() -> None:
    assert amax([Value(1, 0, 0)] * 3) == ZERO


IGNORE = OCP.replace(amax_nan="ignore")
FINITE = OCP.replace(inf_block="finite-amax")
LARGEST = OCP.replace(inf_block="scale-largest")


@pytest.mark.parametrize(
    ("values", "own", "largest"),
    [
        ([exact(1), NAN, exact(2)], OCP, NAN),
        ([NAN], OCP, NAN),
        ([MINUS_INF, NAN], OCP, NAN),
        ([NAN, INF], OCP, NAN),
        ([exact(1), NAN, exact(2)], IGNORE, exact(2)),
        ([NAN, NAN], IGNORE, ZERO),
        ([NAN, MINUS_INF, exact(1)], IGNORE, INF),
        ([exact(1), MINUS_INF, exact(2)], OCP, INF),
        ([exact(1), MINUS_INF, exact(2)], LARGEST, INF),
        ([exact(1), MINUS_INF, exact(2)], FINITE, exact(2)),
        ([MINUS_INF], FINITE, ZERO),
        ([MINUS_INF, NAN, exact(-2)], FINITE.replace(inf_block="finite-amax"), NAN),
        ([MINUS_INF, NAN, exact(-2)], preset("finite-amax"), exact(2)),
    ],
)
def test_amax_of_special_blocks(values: Sequence[Value], own: Profile, largest: Value) -> None:
    assert amax(values, own) == largest


@pytest.mark.parametrize(
    ("values", "largest"),
    [
        ([exact(1)], exact(2)),
        ([exact(2)], exact(2)),
        ([exact(-3)], exact(3)),
        ([ZERO], exact(2)),
        ([NAN], NAN),
        ([INF], INF),
    ],
)
def test_amax_is_raised_to_a_floor(values: Sequence[Value], largest: Value) -> None:
    own = OCP.replace(amax_floor=exact(2))
    assert amax(values, own) == largest


# Rules.

AMAX_E2M1 = "1 1.25 1.5 1.5000001 1.7499999 1.75 1.7500001 1.9999999 6 7 448"
CODES_E2M1 = {
    "FLOOR": "125 125 125 125 125 125 125 125 127 127 133",
    "CEIL": "125 126 126 126 126 126 126 126 128 128 134",
    "EVEN": "125 125 125 125 125 126 126 126 127 128 134",
    "EVEN_CARRY_NAN": "125 125 125 125 125 126 126 126 127 128 134",
    "EVEN_TIES_DOWN": "125 125 125 125 125 125 126 126 127 127 133",
    "EVEN_E2M1": "125 125 125 125 125 126 126 126 127 128 134",
    "RCEIL": "125 125 125 126 126 126 126 126 127 128 134",
    "RCEIL_BINARY32": "125 125 125 126 126 126 126 126 127 128 134",
    "RCEIL_SUBNORMAL_UP": "125 125 125 126 126 126 126 126 127 128 134",
    "FLOOR_OF_RATIO": "124 124 125 125 125 125 125 125 127 127 133",
    "LOG_NEAREST": "124 125 125 125 125 125 125 125 127 127 133",
    # By the definitions: f >= 3/2; f >= sqrt(2).
    "ROUND": "125 125 126 126 126 126 126 126 128 128 134",
    "LOG_ROUND": "125 125 126 126 126 126 126 126 128 128 134",
}
AMAX_E4M3 = "1 1.5 1.75 1.7500001 1.9375 1.9999999 448 448.00003 480 496 511.99997"
CODES_E4M3 = {
    "FLOOR": "119 119 119 119 119 119 127 127 127 127 127",
    "CEIL": "119 120 120 120 120 120 128 128 128 128 128",
    "EVEN": "119 119 119 119 120 120 127 127 127 128 128",
    "EVEN_CARRY_NAN": "119 119 119 119 120 120 127 127 127 128 128",
    "EVEN_TIES_DOWN": "119 119 119 119 119 120 127 127 127 127 128",
    "EVEN_E2M1": "119 119 120 120 120 120 128 128 128 128 128",
    "RCEIL": "119 119 119 120 120 120 127 128 128 128 128",
    "RCEIL_BINARY32": "119 119 119 120 120 120 127 128 128 128 128",
    "RCEIL_SUBNORMAL_UP": "119 119 119 120 120 120 127 128 128 128 128",
}
TABLES = [(MXFP4_E2M1, AMAX_E2M1, rule, row) for rule, row in CODES_E2M1.items()]
TABLES += [(MXFP8_E4M3, AMAX_E4M3, rule, row) for rule, row in CODES_E4M3.items()]


@pytest.mark.clause("MX-6.3-SCALE", "MX-6.3-ALT", "MX-4-SCOPE-SCALEALG")
@pytest.mark.parametrize(("fmt", "heads", "rule", "row"), TABLES)
def test_published_scale_codes(fmt: BlockFormat, heads: str, rule: str, row: str) -> None:
    own = OCP.replace(scale_rule=rule)
    found = [scale_code(binary32(head), fmt, own) for head in heads.split()]
    assert found == [int(code) for code in row.split()]


EMAX = {"E4M3": 8, "E5M2": 15, "E3M2": 4, "E2M3": 2, "E2M1": 2, "INT8": 0}


@pytest.mark.clause("MX-6.3-SCALE")
@pytest.mark.parametrize("name", EMAX)
def test_floor_is_exact_next_to_powers_of_two(name: str) -> None:
    form = element(name)
    for exponent in (-149, -126, -3, 0, 1, 5, 64, 127):
        at, below = exact(power(exponent)), Value(0, 2**40 - 1, exponent - 40)
        above = Value(0, 2**40 + 1, exponent - 40)
        assert shared_exponent(at, form, profiles.FLOOR) == exponent - EMAX[name]
        assert shared_exponent(above, form, profiles.FLOOR) == exponent - EMAX[name]
        assert shared_exponent(below, form, profiles.FLOOR) == exponent - EMAX[name] - 1
        assert shared_exponent(below, form, profiles.CEIL) == exponent - EMAX[name]
        assert shared_exponent(at, form, profiles.CEIL) == exponent - EMAX[name]
        assert shared_exponent(above, form, profiles.CEIL) == exponent - EMAX[name] + 1


# Step point: the f at which it steps, by element; the square of f for irrational ones
STEPS: Mapping[StepPoint, Mapping[str, str]] = {
    StepPoint.ABOVE_ONE: dict.fromkeys(EMAX, "1"),
    StepPoint.FROM_ONE_AND_A_HALF: dict.fromkeys(EMAX, "3/2"),
    StepPoint.ABOVE_MAX: {
        "E4M3": "7/4",
        "E5M2": "7/4",
        "E3M2": "7/4",
        "E2M3": "15/8",
        "E2M1": "3/2",
        "INT8": "127/64",
    },
    StepPoint.FROM_ROUND_UP: {
        "E4M3": "31/16",
        "E5M2": "15/8",
        "E3M2": "15/8",
        "E2M3": "31/16",
        "E2M1": "7/4",
        "INT8": "255/128",
    },
    StepPoint.FROM_SEVEN_QUARTERS: dict.fromkeys(EMAX, "7/4"),
}
STEPS = {
    **STEPS,
    StepPoint.FROM_MAX: STEPS[StepPoint.ABOVE_MAX],
    StepPoint.ABOVE_ROUND_UP: STEPS[StepPoint.FROM_ROUND_UP],
}
STRICT = (StepPoint.ABOVE_ONE, StepPoint.ABOVE_MAX, StepPoint.ABOVE_ROUND_UP)


@pytest.mark.parametrize("name", EMAX)
@pytest.mark.parametrize("point", STEPS, ids=lambda point: point.name)
def test_rational_step_points(point: StepPoint, name: str) -> None:
    at = Fraction(STEPS[point][name])
    rule = profiles.ScaleRule("one step", (point,))
    tiny = power(-60)

    def step(f: Fraction) -> int:
        return shared_exponent(exact(f * power(10)), element(name), rule) - 10 + EMAX[name]

    assert step(at) == (point not in STRICT)
    assert step(at + tiny) == 1
    assert at == 1 or step(at - tiny) == 0
    assert scale.step_threshold(point, element(name)).strict is (point in STRICT)


@pytest.mark.parametrize("name", EMAX)
@pytest.mark.parametrize(
    ("point", "numerator", "denominator"),
    [
        (StepPoint.FROM_SQRT2, 1, 1),
        (StepPoint.FROM_MAX_OVER_SQRT2, 1, 4),
        (StepPoint.FROM_MAX_TIMES_SQRT2, 1, 1),
    ],
    ids=lambda entry: getattr(entry, "name", str(entry)),
)
def test_irrational_step_points(
    point: StepPoint, numerator: int, denominator: int, name: str
) -> None:
    largest = Fraction(STEPS[StepPoint.ABOVE_MAX][name])
    base = Fraction(1) if point is StepPoint.FROM_SQRT2 else largest
    # f^2 steps at 2 * base^2 * numerator / denominator; f is tried in units of 2^-20.
    square = 2 * base * base * numerator / denominator
    rule = profiles.ScaleRule("one step", (point,))
    for unit in range(2**20, 2**21, 2**13 + 1):
        f = Fraction(unit, 2**20)
        found = shared_exponent(exact(f), element(name), rule) + EMAX[name]
        assert found == (f * f >= square)


@pytest.mark.parametrize(
    ("form", "largest"),
    [
        (FloatFormat("E3M0", 3, 0, 3), Fraction(1)),
        (FloatFormat("ends at 20", 3, 2, 3, nans=range(0x1E, 0x20)), Fraction(5, 4)),
    ],
    ids=str,
)
def test_both_steps_of_log_nearest(form: FloatFormat, largest: Fraction) -> None:
    # With M below sqrt(2) the second step lies inside the binade.
    for unit in range(2**12, 2**13, 61):
        f = Fraction(unit, 2**12)
        expected = oracle.round_log2(f / largest)
        assert shared_exponent(exact(f), form, profiles.LOG_NEAREST) + form.emax == expected
    assert oracle.round_log2(Fraction(2**13 - 1, 2**12) / largest) == 1


def test_a_step_at_an_irrational_point_is_found_to_the_last_bit() -> None:
    # The square root of 2 in units of 2^-100, rounded down.
    below = 1792728671193156477399422023278
    assert below**2 < 2 * 4**100 < (below + 1) ** 2
    for significand, steps in ((below, 0), (below + 1, 1)):
        value = Value(0, significand, -100)
        assert shared_exponent(value, INT8, profiles.LOG_ROUND) == steps


def test_thresholds_are_records() -> None:
    threshold = scale.Threshold(2, 1, strict=False)
    with pytest.raises(FrozenInstanceError):
        threshold.strict = True  # type: ignore[misc]
    # (3/2)^2 = 9/4
    assert scale.Threshold(9, 4, strict=False).passed_by(3, 2)
    assert not scale.Threshold(9, 4, strict=True).passed_by(3, 2)
    assert scale.Threshold(9, 4, strict=True).passed_by(7, 4)
    assert not scale.Threshold(9, 4, strict=False).passed_by(5, 4)


@pytest.mark.clause("MX-6.3-SCALE", "MX-6.3-ALT")
@pytest.mark.parametrize("name", EMAX)
@pytest.mark.parametrize(
    "rule",
    [
        "FLOOR",
        "CEIL",
        "ROUND",
        "LOG_ROUND",
        "EVEN",
        "EVEN_TIES_DOWN",
        "EVEN_E2M1",
        "RCEIL",
        "FLOOR_OF_RATIO",
        "LOG_NEAREST",
    ],
)
def test_rules_agree_with_the_oracle(rule: str, name: str) -> None:
    for sixty_fourths in (64, 65, 79, 90, 91, 95, 96, 97, 111, 112, 113, 119, 120, 121, 124, 127):
        for extra in (-power(-50), 0, power(-50)):
            number = (Fraction(sixty_fourths, 64) + extra) * power(7)
            expected = oracle.shared_exponent(number, name, rule)
            assert shared_exponent(exact(number), element(name), SCALE_RULES[rule]) == expected


# Rounding up a binary32 quotient: nextafter(max * 2^-127) gives 2^-127, which only the exact rule rounds up.


@pytest.mark.parametrize("fmt", [MXFP4_E2M1, MXFP8_E4M3, MXFP6_E3M2], ids=str)
def test_rceil_of_a_binary32_quotient_next_to_the_smallest_scale(fmt: BlockFormat) -> None:
    edge = fmt.element.max.fraction() * power(-127)
    ulp = power(oracle.floor_log2(edge) - 23)
    rows = {
        "RCEIL": (0, 0, 1, 1),
        "RCEIL_BINARY32": (0, 0, 0, 1),
        "RCEIL_SUBNORMAL_UP": (1, 1, 1, 1),
    }
    for rule, codes in rows.items():
        own = OCP.replace(scale_rule=rule)
        found = [
            scale_code(exact(edge + n * ulp), fmt, own) for n in (-1, 0, 1, fmt.element.emax * 2)
        ]
        assert (rule, found) == (rule, list(codes))


@pytest.mark.parametrize(
    ("rule", "multiples", "exponents"),
    [
        # amax = n * 6 * 2^-150: the quotient is n * 2^-150, and 2^-149 the smallest binary32 number.
        ("RCEIL", (1, 2, 3, 4, 5), (-150, -149, -148, -148, -147)),
        ("RCEIL_BINARY32", (1, 2, 3, 4, 5), (-127, -149, -148, -148, -148)),
        ("RCEIL_SUBNORMAL_UP", (1, 2, 3, 4, 5), (-127, -126, -126, -126, -126)),
    ],
)
def test_rceil_of_subnormal_quotients(
    rule: str, multiples: Sequence[int], exponents: Sequence[int]
) -> None:
    found = [shared_exponent(Value(0, 6 * n, -150), E2M1, SCALE_RULES[rule]) for n in multiples]
    assert found == list(exponents)


@pytest.mark.parametrize(
    ("quotient", "exact_rule", "subnormal_up"),
    [
        (power(-126), -126, -126),
        (power(-126) - power(-149), -126, -126),
        (power(-126) + power(-149), -125, -125),
        (power(-127), -127, -126),
        (power(-100), -100, -100),
        (power(-100) + power(-123), -99, -99),
        # Less than half an ulp of binary32 above a power of two is lost; a tie goes to even.
        (1 + power(-25), 0, 0),
        (1 + power(-24), 0, 0),
        (1 + power(-24) + power(-40), 1, 1),
        (1 - power(-26), 0, 0),
        (2 - power(-30), 1, 1),
    ],
)
def test_rceil_of_binary32_quotients(
    quotient: Fraction, exact_rule: int, subnormal_up: int
) -> None:
    largest = exact(6 * quotient)
    assert shared_exponent(largest, E2M1, profiles.RCEIL_BINARY32) == exact_rule
    assert shared_exponent(largest, E2M1, profiles.RCEIL_SUBNORMAL_UP) == subnormal_up


# Special blocks. One block of E2M1 for each head; what implementations were found to give.
HEADS = {
    "0": ZERO,
    "2^-149": exact(power(-149)),
    "2^-128": exact(power(-128)),
    "2^-127": exact(power(-127)),
    "2^-126": exact(power(-126)),
    "2^-124": exact(power(-124)),
    "1.5*2^-124": exact(3 * power(-125)),
    "FLT_MAX": FLT_MAX,
    "Inf": MINUS_INF,
    "NaN": NAN,
}
SPECIAL: Mapping[str, tuple[str | Profile, str]] = {
    "torchao FLOOR": ("ocp", "0 0 0 0 0 1 1 252 255 255"),
    "torchao CEIL": ("ceil", "0 0 0 0 0 1 2 253 255 255"),
    "torchao EVEN, aiter Even": ("even-carry-nan", "0 0 0 0 0 1 1 255 255 255"),
    "exact EVEN": ("even", "0 0 0 0 0 1 1 253 255 255"),
    "torchao RCEIL": (
        OCP.replace(scale_rule="RCEIL_BINARY32"),
        "0 0 0 0 0 1 1 253 255 255",
    ),
    "exact RCEIL": ("rceil", "0 0 0 0 0 1 1 253 255 255"),
    "TransformerEngine": ("rceil-satfinite", "0 0 0 0 0 1 1 253 254 255"),
    "aiter RoundUp": ("rceil-subnormal-up", "0 0 1 1 1 1 1 253 255 255"),
    "triton_kernels ROUND_UP": (
        preset("rceil-subnormal-up").replace(nan_block="scale-smallest"),
        "0 0 1 1 1 1 1 253 255 0",
    ),
    "gfloat": (OCP.replace(inf_block="scale-largest"), "0 0 0 0 0 1 1 252 254 255"),
    "MLX": ("log-nearest", "0 0 0 0 0 0 1 252 255 255"),
    "MLX, graph": (preset("log-nearest").replace(zero_block="one"), "127 0 0 0 0 0 1 252 255 255"),
    "auto-round": (OCP.replace(zero_block="as-two"), "126 0 0 0 0 1 1 252 255 255"),
    "DeepGEMM": (
        preset("rceil-amax-floor").replace(nan_block="scale-largest"),
        "112 112 112 112 112 112 112 253 254 254",
    ),
    "FBGEMM even": ("even-ties-down", "0 0 0 0 0 1 1 252 252 252"),
}


@pytest.mark.clause("MX-6.3-ALT", "MX-4-SCOPE-SCALEALG")
@pytest.mark.parametrize("name", SPECIAL)
def test_scale_codes_of_special_blocks(name: str) -> None:
    own, row = SPECIAL[name]
    own = preset(own)
    found = {
        head: scale_code(amax([value, exact(0)], own), MXFP4_E2M1, own)
        for head, value in HEADS.items()
    }
    assert found == dict(zip(HEADS, map(int, row.split()), strict=True))


@pytest.mark.parametrize(
    ("policy", "codes"),
    [
        # in MXFP4 (emax 2), MXFP8 E4M3 (emax 8), MXINT8 (emax 0)
        ("smallest", (0, 0, 0)),
        ("one", (127, 127, 127)),
        ("as-two", (126, 120, 128)),
        ("as-min-normal", (0, 0, 1)),
    ],
)
def test_zero_blocks(policy: str, codes: Sequence[int]) -> None:
    own = OCP.replace(zero_block=policy)
    assert [scale_code(ZERO, fmt, own) for fmt in (MXFP4_E2M1, MXFP8_E4M3, MXINT8)] == list(codes)


def test_the_stand_in_for_zero_follows_the_rule() -> None:
    own = OCP.replace(zero_block="as-two", scale_rule="FLOOR_OF_RATIO")
    # floor(log2(2 / 6)) = -2
    assert scale_code(ZERO, MXFP4_E2M1, own) == 125
    # 2 / 6 rounds to 11 * 2^-5 in E4M3 and to 2^-2 in E8M0; 2^-126 / 6 is below both.
    for policy, codes in (("as-two", (0x2B, 125)), ("as-min-normal", (1, 0))):
        ratio = OCP.replace(zero_block=policy, scale_rule="RATIO")
        assert tuple(scale_code(ZERO, fmt, ratio) for fmt in (NVFP4, MXFP4_E2M1)) == codes
    one = OCP.replace(zero_block="one", scale_rule="FLOOR_OF_RATIO", scale_cast="subnormal-up")
    assert scale_code(ZERO, MXFP4_E2M1, one) == 127


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (power(-126), 1),
        (power(-127), 0),
        (power(-128), 0),
        (power(-1000), 0),
        (power(127), 254),
        (power(128) - power(104), 254),
        (power(128), 254),
        (power(1000), 254),
    ],
)
def test_exponents_are_clamped_to_the_scale_format(number: Fraction, code: int) -> None:
    assert scale_code(exact(number), MXINT8, OCP) == code
    nan = OCP.replace(scale_overflow="nan")
    assert scale_code(exact(number), MXINT8, nan) == (255 if number > power(128) - 1 else code)


def test_an_exponent_is_not_cast_again() -> None:
    for cast in profiles.ScaleCast:
        own = OCP.replace(scale_cast=cast)
        found = [scale_code(exact(power(n)), MXFP4_E2M1, own) for n in (-126, -125, -124, 0)]
        assert (cast, found) == (cast, [0, 0, 1, 125])


@pytest.mark.parametrize(
    ("clamp", "codes"),
    [
        # amax 2^-140, 1, 1.5, 2, 2^127 in MXFP4
        (None, (0, 125, 125, 126, 252)),
        ((1, 254), (1, 125, 125, 126, 252)),
        ((0, 126), (0, 125, 125, 126, 126)),
        ((126, 126), (126, 126, 126, 126, 126)),
        ((126, 200), (126, 126, 126, 126, 200)),
    ],
)
def test_scale_clamp(clamp: tuple[int, int] | None, codes: Sequence[int]) -> None:
    own = OCP.replace(scale_clamp=clamp)
    numbers = (power(-140), power(0), Fraction(3, 2), power(1), power(127))
    found = [scale_code(exact(number), MXFP4_E2M1, own) for number in numbers]
    assert found == list(codes)
    assert scale_code(NAN, MXFP4_E2M1, own) == 255
    assert scale_code(INF, MXFP4_E2M1, own) == 255


def test_a_clamp_holds_for_every_way_to_a_scale() -> None:
    own = OCP.replace(scale_clamp=(3, 100))
    assert scale_code(exact(power(500)), MXFP4_E2M1, own) == 100
    assert scale_code(ZERO, MXFP4_E2M1, own.replace(zero_block="one")) == 100
    assert scale_code(ZERO, MXFP4_E2M1, own.replace(zero_block="as-two")) == 100
    assert scale_code(exact(1), MXFP4_E2M1, own.replace(scale_rule="RATIO")) == 100
    nan = own.replace(scale_overflow="nan")
    assert scale_code(exact(power(500)), MXFP4_E2M1, nan) == 255
    assert scale_code(ZERO, MXFP4_E2M1, own) == 3
    assert scale_code(INF, MXFP4_E2M1, own.replace(inf_block="scale-largest")) == 100
    assert scale_code(NAN, MXFP4_E2M1, own.replace(nan_block="scale-largest")) == 100
    assert scale_code(NAN, MXFP4_E2M1, own.replace(nan_block="scale-smallest")) == 3
    ratio = OCP.replace(scale_rule="RATIO", scale_clamp=(2, 0x30))
    assert [scale_code(exact(n), NVFP4, ratio) for n in (6, power(-20))] == [0x30, 2]


@pytest.mark.parametrize(
    ("fmt", "high", "message"),
    [
        (MXFP4_E2M1, 255, "scale_clamp ends at 0xff; the largest scale code of E8M0 is 0xfe"),
        (NVFP4, 0x7F, "scale_clamp ends at 0x7f; the largest scale code of E4M3 is 0x7e"),
    ],
)
def test_a_clamp_beyond_the_scale_format_is_refused(
    fmt: BlockFormat, high: int, message: str
) -> None:
    with pytest.raises(BadFormat) as caught:
        scale_code(exact(1), fmt, OCP.replace(scale_clamp=(0, high)))
    assert str(caught.value) == message
    assert scale_code(exact(1), fmt, OCP.replace(scale_clamp=(0, high - 1)))


def test_a_carry_out_of_the_exponent_makes_nan() -> None:
    own = preset("even-carry-nan")
    threshold = Fraction(7, 4) * power(127)
    assert scale_code(exact(threshold), MXFP4_E2M1, own) == 255
    assert scale_code(exact(threshold - power(80)), MXFP4_E2M1, own) == 252
    assert scale_code(exact(threshold / 2), MXFP4_E2M1, own) == 252
    # A number beyond binary32 never was one, so nothing carries.
    assert scale_code(exact(power(128)), MXFP4_E2M1, own) == 253
    assert scale_code(exact(threshold), MXFP4_E2M1, preset("even")) == 253
    assert scale_code(exact(Fraction(255, 128) * power(127)), MXINT8, own) == 255


def without_nan() -> BlockFormat:
    return BlockFormat("no NaN", E2M1, FloatFormat("UE5M0", 5, 0, 15, signed=False), 8)


def test_a_scale_format_without_nan_takes_the_closest_thing() -> None:
    fmt = without_nan()
    assert scale_code(NAN, fmt) == 1
    assert scale_code(INF, fmt) == 31
    assert scale_code(INF, fmt, LARGEST) == 31
    assert scale_code(exact(power(90)), fmt, OCP.replace(scale_overflow="nan")) == 31
    assert encode_scale(NAN, fmt.scale) == 31
    assert encode_scale(exact(-1), fmt.scale) == 1
    assert encode_scale(INF, fmt.scale, OCP.replace(scale_overflow="nan")) == 31
    assert encode_scale(ZERO, fmt.scale, OCP.replace(scale_zero="nan")) == 1
    short = BlockFormat(
        "short", E2M1, FloatFormat("E6M0", 6, 0, 31, signed=False, subnormals=False), 8
    )
    own = preset("even-carry-nan")
    assert scale_code(FLT_MAX, short, own) == 63
    assert scale_code(exact(power(-500)), short, own) == 0


@pytest.mark.parametrize("fmt", [MXFP4_E2M1, NVFP4], ids=str)
def test_nan_blocks(fmt: BlockFormat) -> None:
    smallest = OCP.replace(nan_block="scale-smallest")
    nan = {"E8M0": 0xFF, "E4M3": 0x7F}[fmt.scale.name]
    assert scale_code(NAN, fmt) == nan
    assert scale_code(NAN, fmt, smallest) == {"E8M0": 0, "E4M3": 1}[fmt.scale.name]
    largest = OCP.replace(nan_block="scale-largest")
    assert scale_code(NAN, fmt, largest) == nan - 1
    assert scale_code(INF, fmt, smallest) == scale_code(INF, fmt, largest) == nan
    assert scale_code(INF, fmt, LARGEST) == nan - 1


@pytest.mark.parametrize(
    ("form", "code"),
    [(E8M0, 0), (E4M3, 1), (E5M2, 1), (FloatFormat("E6M0", 6, 0, 31, subnormals=False), 0)],
    ids=str,
)
def test_smallest_code(form: FloatFormat, code: int) -> None:
    assert smallest_code(form) == code


# Scales with a mantissa.


def test_ratio_scales_are_rounded_quotients() -> None:
    own = preset("ratio")
    for numerator in range(1, 120):
        largest = Fraction(numerator, 7 * 2**4) if numerator % 7 == 0 else Fraction(numerator, 16)
        expected = oracle.encode(oracle.number(largest / 6), "E4M3").code
        assert scale_code(exact(largest), NVFP4, own) == max(expected, 1)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (Fraction(6), 0x38),
        (Fraction(7), 0x39),
        (Fraction(6 * 448), 0x7E),
        (Fraction(6 * 464), 0x7E),
        (Fraction(6 * 10**6), 0x7E),
        (6 * power(-9), 0x01),
        (power(-30), 0x01),
        (6 * power(-10), 0x01),
        (9 * power(-9), 0x02),
    ],
)
def test_ratio_scales_of_nvfp4(number: Fraction, code: int) -> None:
    assert scale_code(exact(number), NVFP4, preset("ratio")) == code


@pytest.mark.parametrize(
    ("cast", "codes"),
    [
        # amax / 6 = 1, 7/6, 3/2, 3
        ("ties-to-even", (127, 127, 128, 128)),
        ("ties-to-away", (127, 127, 128, 129)),
        ("toward-zero", (127, 127, 127, 128)),
        ("toward-positive", (127, 128, 128, 129)),
    ],
)
def test_ratio_scales_of_e8m0_are_cast(cast: str, codes: Sequence[int]) -> None:
    own = OCP.replace(scale_rule="RATIO", scale_cast=cast)
    assert [scale_code(exact(n), MXFP4_E2M1, own) for n in (6, 7, 9, 18)] == list(codes)


def test_powers_of_two_in_a_scale_format_with_a_mantissa() -> None:
    # amax 8: the scale is 2 = 0x40 in E4M3; far out it is the smallest or the largest code.
    for number, code in ((8, 0x40), (power(-7), 0x01), (power(-8), 0x01), (power(20), 0x7E)):
        assert scale_code(exact(number), NVFP4, OCP) == code
    nan = OCP.replace(scale_overflow="nan")
    assert scale_code(exact(power(20)), NVFP4, nan) == 0x7F
    assert scale_code(exact(power(10)), NVFP4, nan) == 0x78


# Conversion to E8M0: bits of binary32, then rz, rz.satfinite, rp, rp.satfinite as PTX defines them.
PTX = [
    (0x00000000, 0, 0, 0, 0),
    (0x80000000, 0, 0, 0, 0),
    (0x00000001, 0, 0, 0, 0),
    (0x00400000, 0, 0, 0, 0),
    (0x00400001, 0, 0, 1, 1),
    (0x007FFFFF, 0, 0, 1, 1),
    (0x00800000, 1, 1, 1, 1),
    (0x00800001, 1, 1, 2, 2),
    (0x3F800000, 127, 127, 127, 127),
    (0x3F800001, 127, 127, 128, 128),
    (0xBF800001, 127, 127, 128, 128),
    (0x7F000000, 254, 254, 254, 254),
    (0x7F000001, 254, 254, 255, 254),
    (0x7F800000, 255, 254, 255, 254),
    (0xFF800000, 255, 254, 255, 254),
    (0x7FC00000, 255, 255, 255, 255),
    (0xFFC00000, 255, 255, 255, 255),
]


def carried(bits: int) -> Value:
    """A binary32 number as a value, by the oracle."""
    found = oracle.decode(bits, "binary32")
    if found.kind != "finite":
        return Value(int(found.negative), 0, 0, Kind.INF if found.kind == "inf" else Kind.NAN)
    return exact(found.real)._replace(sign=int(found.negative))


@pytest.mark.parametrize("row", PTX, ids=lambda row: f"{row[0]:08x}")
def test_conversions_of_ptx(row: tuple[int, int, int, int, int]) -> None:
    found = [
        encode_scale(
            carried(row[0]),
            E8M0,
            OCP.replace(scale_cast=cast, scale_overflow=overflow, scale_negative="magnitude"),
        )
        for cast in ("toward-zero", "toward-positive")
        for overflow in ("nan", "saturate")
    ]
    assert found == list(row[1:])


LIBRARIES: Mapping[str, Mapping[str, str]] = {
    "PyTorch": {
        "scale_cast": "ties-to-away-binary32",
        "scale_overflow": "nan",
        "scale_zero": "smallest",
        "scale_negative": "magnitude",
    },
    "ml_dtypes": {
        "scale_cast": "ties-to-away-binary32",
        "scale_overflow": "nan",
        "scale_zero": "nan",
        "scale_negative": "nan",
    },
    "oneDNN": {
        "scale_cast": "toward-zero",
        "scale_overflow": "saturate",
        "scale_negative": "magnitude",
    },
    "ONNX up": {"scale_cast": "subnormal-up", "scale_negative": "magnitude"},
}
# number: codes in the libraries above
CASTS: Sequence[tuple[str, tuple[int, int, int, int]]] = [
    ("1", (127, 127, 127, 127)),
    ("1.25", (127, 127, 127, 128)),
    ("1.5", (128, 128, 127, 128)),
    ("1.75", (128, 128, 127, 128)),
    ("3", (129, 129, 128, 129)),
    ("6", (130, 130, 129, 130)),
    ("0", (0, 255, 0, 0)),
    ("-2", (128, 255, 128, 128)),
    ("2^-127", (0, 0, 0, 1)),
    ("5*2^-129", (1, 1, 0, 1)),
    ("3*2^-127", (2, 2, 1, 2)),
    ("2^-126", (1, 1, 1, 1)),
    ("2^-149", (0, 0, 0, 1)),
    ("2^127", (254, 254, 254, 254)),
    ("3*2^126", (255, 255, 254, 254)),
]


@pytest.mark.parametrize(("words", "codes"), CASTS)
def test_casts_of_libraries(words: str, codes: tuple[int, ...]) -> None:
    factor, _, exponent = words.rpartition("2^") if "^" in words else (words, "", "0")
    number = Fraction(factor.rstrip("*") or 1) * power(int(exponent))
    found = [encode_scale(exact(number), E8M0, OCP.replace(**one)) for one in LIBRARIES.values()]
    assert found == list(codes)


@pytest.mark.parametrize(
    ("number", "even", "away", "binary32_away"),
    [
        (Fraction(3, 2), 128, 128, 128),
        (Fraction(3), 128, 129, 129),
        (Fraction(6), 130, 130, 130),
        (Fraction(12), 130, 131, 131),
        (Fraction(3, 2) - power(-30), 127, 127, 127),
        (Fraction(3) + power(-30), 129, 129, 129),
        (Fraction(3, 2) * power(-127), 0, 1, 1),
        (Fraction(7, 4) * power(-127), 1, 1, 1),
        (Fraction(5, 4) * power(-127), 0, 0, 1),
        (power(-127), 0, 0, 0),
        (Fraction(3, 2) * power(-128), 0, 0, 0),
        (Fraction(3, 2) * power(-126), 2, 2, 2),
        (Fraction(5, 4) * power(-126), 1, 1, 1),
        (Fraction(3, 2) * power(127), 254, 254, 254),
        (Fraction(3, 2) * power(126), 254, 254, 254),
        (power(-300), 0, 0, 0),
        (power(300), 254, 254, 254),
    ],
)
def test_casts_with_ties(number: Fraction, even: int, away: int, binary32_away: int) -> None:
    casts = {"ties-to-even": even, "ties-to-away": away, "ties-to-away-binary32": binary32_away}
    for cast, code in casts.items():
        assert encode_scale(exact(number), E8M0, OCP.replace(scale_cast=cast)) == code


def test_a_cast_beyond_the_largest_scale() -> None:
    nan = OCP.replace(scale_overflow="nan")
    tie = exact(Fraction(3, 2) * power(127))
    assert encode_scale(tie, E8M0, nan) == 254
    assert encode_scale(tie, E8M0, nan.replace(scale_cast="ties-to-away")) == 255
    assert encode_scale(tie, E8M0, OCP.replace(scale_cast="ties-to-away")) == 254
    assert encode_scale(exact(Fraction(13, 8) * power(127)), E8M0, nan) == 255
    assert encode_scale(exact(power(128)), E8M0, nan) == 255


@pytest.mark.parametrize(
    ("value", "changes", "codes"),
    [
        # codes in E8M0, in E4M3
        (NAN, {}, (255, 0x7F)),
        (Value(1, 0, 0, Kind.NAN), {"scale_negative": "magnitude"}, (255, 0x7F)),
        (INF, {}, (254, 0x7E)),
        (INF, {"scale_overflow": "nan"}, (255, 0x7F)),
        (MINUS_INF, {}, (255, 0x7F)),
        (MINUS_INF, {"scale_negative": "smallest"}, (0, 1)),
        (MINUS_INF, {"scale_negative": "magnitude"}, (254, 0x7E)),
        (MINUS_INF, {"scale_negative": "magnitude", "scale_overflow": "nan"}, (255, 0x7F)),
        (ZERO, {}, (0, 1)),
        (ZERO, {"scale_zero": "nan"}, (255, 0x7F)),
        (ZERO, {"scale_zero": "magnitude"}, (0, 1)),
        (Value(1, 0, 0), {}, (0, 1)),
        (Value(1, 0, 0), {"scale_zero": "nan", "scale_negative": "smallest"}, (255, 0x7F)),
        (exact(-2), {}, (255, 0x7F)),
        (exact(-2), {"scale_negative": "smallest"}, (0, 1)),
        (exact(-2), {"scale_negative": "magnitude"}, (128, 0x40)),
        (exact(2), {"scale_negative": "smallest"}, (128, 0x40)),
        (exact(power(-40)), {}, (87, 1)),
        (exact(Fraction(33, 32)), {}, (127, 0x38)),
        (exact(Fraction(17, 16)), {}, (127, 0x38)),
        (exact(1000), {}, (137, 0x7E)),
        (exact(1000), {"scale_overflow": "nan"}, (137, 0x7F)),
        (exact(464), {"scale_overflow": "nan"}, (136, 0x7E)),
        # A scale format with a mantissa is rounded TIES_TO_EVEN whatever the element's rounding.
        (exact(Fraction(35, 32)), {"rounding": "toward-zero"}, (127, 0x39)),
    ],
)
def test_special_numbers_become_scales(
    value: Value, changes: Mapping[str, Any], codes: tuple[int, int]
) -> None:
    own = OCP.replace(**changes)
    assert (encode_scale(value, E8M0, own), encode_scale(value, E4M3, own)) == codes


@pytest.mark.clause("MX-5.4.1-NOZERO")
@pytest.mark.parametrize("cast", list(profiles.ScaleCast))
def test_a_scale_is_never_zero(cast: profiles.ScaleCast) -> None:
    own = OCP.replace(scale_cast=cast)
    for exponent in (-2000, -140, -128, -127):
        assert encode_scale(exact(power(exponent)), E8M0, own) in (0, 1)
        assert encode_scale(exact(power(exponent)), E4M3, own) == 1


@pytest.mark.parametrize("name", ["FLOOR", "CEIL", "EVEN", "RCEIL", "ROUND", "FLOOR_OF_RATIO"])
@pytest.mark.parametrize("fmt", ["MXFP4_E2M1", "MXFP8_E4M3", "MXINT8"])
def test_scale_rows_are_the_scale_of_every_largest_magnitude(name: str, fmt: str) -> None:
    own = OCP.replace(scale_rule=name)
    record = formats.block_format(fmt)
    rows = scale_rows(formats.BFLOAT16, record, own)
    assert [row.first for row in rows] == sorted({row.first for row in rows})
    codes = {row.first: row.code for row in rows}
    current = None
    for bits in range(0x7F80):
        current = codes.get(bits, current)
        value = oracle.decode(bits, "bfloat16").magnitude
        if value:
            assert current == oracle.scale_code(value, record.element.name, name), bits
    assert codes[0] == 0
    assert codes[0x7F81] == 255


@pytest.mark.parametrize("second", [Fraction(1, 8), Fraction(12345677, 2**24)])
def test_scale_rows_under_a_tensor_scale(second: Fraction) -> None:
    record, own = formats.NVFP4, OCP.replace(scale_rule="RATIO")
    rows = scale_rows(formats.BFLOAT16, record, own, from_fraction(second))
    for before, row in pairwise(rows):
        if 1 < row.first < 0x7F80:
            edges = [
                oracle.decode(bits, "bfloat16").magnitude for bits in (row.first - 1, row.first)
            ]
            # Each side of a step by the oracle: the ratio amax / (6 * second), rounded to E4M3.
            found = [
                max(oracle.encode(oracle.number(edge / second / 6), "E4M3").code, 1)
                for edge in edges
            ]
            assert found == [before.code, row.code]
