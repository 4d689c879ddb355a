"""Exact numbers: arithmetic, reading and printing, every expectation worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mxemu import value as values
from mxemu.errors import BadValue
from mxemu.value import (
    INF,
    NAN,
    ZERO,
    Kind,
    Value,
    compare_magnitudes,
    decimal_text,
    from_fraction,
    parse,
    quotient,
    text,
)

MINUS_INF = Value(1, 0, 0, Kind.INF)


def test_constants_are_positive() -> None:
    assert Value(0, 0, 0, Kind.FINITE) == ZERO
    assert Value(0, 0, 0, Kind.INF) == INF
    assert Value(0, 0, 0, Kind.NAN) == NAN
    assert [kind.value for kind in Kind] == ["finite", "Inf", "NaN"]


@pytest.mark.parametrize(
    ("value", "finite", "inf", "nan", "zero"),
    [
        (ZERO, True, False, False, True),
        (Value(1, 0, 7), True, False, False, True),
        (Value(0, 3, -1), True, False, False, False),
        (INF, False, True, False, False),
        (MINUS_INF, False, True, False, False),
        (NAN, False, False, True, False),
    ],
)
def test_predicates(value: Value, finite: bool, inf: bool, nan: bool, zero: bool) -> None:
    assert value.is_finite is finite
    assert value.is_inf is inf
    assert value.is_nan is nan
    assert value.is_zero is zero


@pytest.mark.parametrize(
    ("significand", "exponent", "leading"),
    [(1, 0, 0), (1, -149, -149), (2, 3, 4), (3, 3, 4), (7, -9, -7), (8, -9, -6), (255, 1, 8)],
)
def test_leading_is_the_exponent_of_the_leading_bit(
    significand: int, exponent: int, leading: int
) -> None:
    assert Value(0, significand, exponent).leading == leading
    assert Value(1, significand, exponent).leading == leading


def test_magnitude_and_scaled_keep_the_rest() -> None:
    assert Value(1, 3, -1).magnitude() == Value(0, 3, -1)
    assert MINUS_INF.magnitude() == INF
    assert Value(1, 3, -1).scaled(5) == Value(1, 3, 4)
    assert Value(0, 3, -1).scaled(-5) == Value(0, 3, -6)
    assert MINUS_INF.scaled(5) == MINUS_INF
    assert NAN.scaled(-5) == NAN


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Value(0, 7, -9), Fraction(7, 512)),
        (Value(1, 7, -2), Fraction(-7, 4)),
        (Value(0, 7, 6), Fraction(448)),
        (Value(1, 0, 9), Fraction(0)),
        (Value(0, 1, -149), Fraction(1, 2**149)),
    ],
)
def test_fraction(value: Value, expected: Fraction) -> None:
    assert value.fraction() == expected


@pytest.mark.parametrize(("value", "name"), [(MINUS_INF, "-Inf"), (INF, "Inf"), (NAN, "NaN")])
def test_inf_and_nan_have_no_fraction(value: Value, name: str) -> None:
    with pytest.raises(BadValue, match=rf"^{name} has no exact fraction$"):
        value.fraction()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (ZERO, "0"),
        (Value(1, 0, 5), "-0"),
        (INF, "Inf"),
        (MINUS_INF, "-Inf"),
        (NAN, "NaN"),
        (Value(1, 0, 0, Kind.NAN), "-NaN"),
        (Value(0, 448, 0), "448"),
        (Value(1, 13, -3), "-1.625"),
        (Value(1, 7, -9), "-7*2^-9"),
        (Value(0, 1, -127), "2^-127"),
    ],
)
def test_values_print_exactly(value: Value, words: str) -> None:
    assert str(value) == words


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ((3, 0), (3, 0), 0),
        ((3, 0), (2, 0), 1),
        ((2, 0), (3, 0), -1),
        ((1, 4), (16, 0), 0),
        ((16, 0), (1, 4), 0),
        ((1, 4), (15, 0), 1),
        ((1, 4), (17, 0), -1),
        ((15, 0), (1, 4), -1),
        ((17, 0), (1, 4), 1),
        ((3, -5), (6, -6), 0),
        ((3, -5), (7, -6), -1),
        ((0, 9), (0, -9), 0),
        ((0, 900), (1, -900), -1),
        ((1, 900), (1, -900), 1),
    ],
)
def test_compare_magnitudes(left: tuple[int, int], right: tuple[int, int], order: int) -> None:
    for sign in (0, 1):
        found = compare_magnitudes(Value(sign, *left), Value(1 - sign, *right))
        assert type(found) is int
        assert found == order


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_quotient_has_the_sign_of_both(a: int, b: int) -> None:
    found = quotient(Value(a, 6, 1), Value(b, 3, -4))
    assert found.sign == (a != b)
    assert abs(found.fraction()) == 64


def test_quotient_that_is_exact_has_no_sticky_bit() -> None:
    # 6 / 3: 256 bits more than the difference of their widths, which is 1.
    assert quotient(Value(0, 6, 0), Value(0, 3, 0)) == Value(0, 2 << 255, -255)
    assert quotient(Value(0, 0, 0), Value(0, 3, 7)).fraction() == 0


def test_quotient_that_is_not_exact_ends_in_a_sticky_bit() -> None:
    third = quotient(Value(0, 1, 5), Value(0, 3, 2))
    # 2^257 = 3 * kept + 2 with an even number kept; the sticky bit makes it odd.
    kept = (2**257 - 2) // 3
    assert kept % 2 == 0
    assert third == Value(0, kept + 1, 5 - 2 - 257)
    assert third.significand.bit_length() == 256


def test_quotient_of_a_wide_number_drops_no_bit() -> None:
    wide = 3**400
    assert quotient(Value(0, wide, 0), Value(0, 9, 0)) == Value(0, 3**398, 0)
    assert quotient(Value(0, wide, 0), Value(0, 7, 0)) == Value(0, wide // 7 | 1, 0)


@pytest.mark.parametrize("distance", [255, 256, 257])
def test_quotient_keeps_256_bits_whatever_the_widths(distance: int) -> None:
    wide = (1 << (distance + 3)) - 1
    found = quotient(Value(0, wide, 0), Value(0, 5, 0))
    shift = max(0, 256 - distance)
    assert found == Value(0, (wide << shift) // 5 | 1, -shift)


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (0, Value(0, 0, 0)),
        (5, Value(0, 5, 0)),
        (Fraction(-3, 8), Value(1, 3, -3)),
        (Fraction(1, 2), Value(0, 1, -1)),
        (Fraction(448), Value(0, 448, 0)),
        (-1, Value(1, 1, 0)),
    ],
)
def test_from_fraction_of_a_binary_number(number: Fraction | int, value: Value) -> None:
    assert from_fraction(number) == value


def test_from_fraction_of_another_number_has_a_sticky_bit() -> None:
    third = (2**257 - 2) // 3 + 1
    assert from_fraction(Fraction(1, 3)) == Value(0, third, -257)
    assert from_fraction(Fraction(-1, 3)) == Value(1, third, -257)


def test_from_fraction_of_zero_has_the_sign_that_is_asked_for() -> None:
    assert from_fraction(0, negative_zero=True) == Value(1, 0, 0)
    assert from_fraction(0, negative_zero=False) == Value(0, 0, 0)
    assert from_fraction(3, negative_zero=True) == Value(0, 3, 0)
    assert from_fraction(-3, negative_zero=True) == Value(1, 3, 0)
    assert from_fraction(number=3) == Value(0, 3, 0)
    with pytest.raises(TypeError):
        from_fraction(0, True)  # type: ignore[call-arg]


NUMBERS = [
    ("0", Fraction(0)),
    ("7", Fraction(7)),
    ("+7", Fraction(7)),
    ("-7", Fraction(-7)),
    (" 7 ", Fraction(7)),
    ("1.5", Fraction(3, 2)),
    ("2.", Fraction(2)),
    (".5", Fraction(1, 2)),
    ("-.5", Fraction(-1, 2)),
    ("1e-3", Fraction(1, 1000)),
    ("1.25E+2", Fraction(125)),
    ("2.5e1", Fraction(25)),
    ("1/3", Fraction(1, 3)),
    ("-7/10", Fraction(-7, 10)),
    ("5/020", Fraction(1, 4)),
    ("0x1p4", Fraction(16)),
    ("0x1.8p3", Fraction(12)),
    ("-0x1.8p3", Fraction(-12)),
    ("0X.8P-1", Fraction(1, 4)),
    ("0x1.fcp+8", Fraction(508)),
    ("0xap0", Fraction(10)),
    ("0x10.p0", Fraction(16)),
    ("0x.01p0", Fraction(1, 256)),
    ("2^-9", Fraction(1, 512)),
    ("2**5", Fraction(32)),
    ("2^+5", Fraction(32)),
    ("-2^3", Fraction(-8)),
    ("7*2^-9", Fraction(7, 512)),
    ("7 * 2^-9", Fraction(7, 512)),
    ("3·2**2", Fraction(12)),
    ("0*2^4", Fraction(0)),
    ("2^2000", Fraction(2) ** 2000),
    ("2^-2000", 1 / Fraction(2) ** 2000),
    ("1e2000", Fraction(10) ** 2000),
    ("0x1p-2000", 1 / Fraction(2) ** 2000),
]


@pytest.mark.parametrize(("words", "number"), NUMBERS, ids=[words for words, _ in NUMBERS])
def test_parse_reads_a_number(words: str, number: Fraction) -> None:
    value, exact = parse(words)
    assert exact == number
    assert value.kind is Kind.FINITE
    assert value.sign == ("-" in words[:1])
    denominator = number.denominator
    if denominator & (denominator - 1) == 0:
        assert value.fraction() == number
    else:
        assert value.significand % 2 == 1
        assert 0 < abs(value.fraction() - number) * 2**255 < abs(number)


@pytest.mark.parametrize("words", ["-0", "-0.0", "-0/5", "-0x0p0"])
def test_parse_keeps_the_sign_of_zero(words: str) -> None:
    assert parse(words) == (Value(1, 0, 0), Fraction(0))


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("inf", INF),
        ("+Inf", INF),
        ("-INFINITY", MINUS_INF),
        ("Infinity", INF),
        ("nan", NAN),
        (" -NaN", Value(1, 0, 0, Kind.NAN)),
    ],
)
def test_parse_reads_inf_and_nan(words: str, value: Value) -> None:
    assert parse(words) == (value, None)


NOT_NUMBERS = [
    "",
    "-",
    "+",
    "x",
    "1.2.3",
    "1e",
    "e5",
    "1e5e5",
    ".",
    "1/0",
    "5/00",
    "1/",
    "/2",
    "1/2/3",
    "1.5/2",
    "0x",
    "0x.p3",
    "0xp3",
    "0x1.8",
    "0xg",
    "2^",
    "3^2",
    "2^1.5",
    "7*3^2",
    "7*",
    "1 2",
    "infinite",
    "nano",
    "0b101",
    "1_000",
    "--5",
    "+-5",
    "-+5",
    "- 5",
]


@pytest.mark.parametrize("words", NOT_NUMBERS)
def test_parse_refuses_what_is_no_number(words: str) -> None:
    with pytest.raises(BadValue) as caught:
        parse(words)
    expected = "is not a number; expected a decimal, a/b, 0x1.8p3, 2^-9, inf or nan"
    assert str(caught.value) == f"{words!r} {expected}"


@pytest.mark.parametrize(
    ("words", "exponent"),
    [
        ("2^2001", "2001"),
        ("2^-2001", "-2001"),
        ("1e2001", "2001"),
        ("1e-2001", "-2001"),
        ("0x1p2001", "2001"),
        ("0x1p-2001", "-2001"),
        ("3*2^99999999", "99999999"),
    ],
)
def test_parse_refuses_exponents_far_outside_every_format(words: str, exponent: str) -> None:
    with pytest.raises(BadValue) as caught:
        parse(words)
    assert str(caught.value) == f"exponent {exponent} is outside -2000 to 2000"


def test_parse_refuses_endless_digits() -> None:
    assert parse("1" * 1200)[1] == int("1" * 1200)
    assert parse("-0." + "0" * 1198)[1] == 0
    with pytest.raises(BadValue, match=r"^a number of 1201 characters; expected at most 1200$"):
        parse("-" + "1" * 1201)


def test_every_number_that_is_read_can_be_printed() -> None:
    for words in ("9" * 1194 + "e2000", "0x" + "f" * 1190 + "p0", "1e-2000", "0." + "1" * 1198):
        value, exact = parse(words)
        assert exact is not None
        assert text(exact)
        assert str(value)
        assert decimal_text(exact)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (Fraction(0), "0"),
        (Fraction(448), "448"),
        (Fraction(-448), "-448"),
        (Fraction(999_999_999), "999999999"),
        (Fraction(-999_999_999), "-999999999"),
        (Fraction(10**9), "1953125*2^9"),
        (Fraction(-(10**9)), "-1953125*2^9"),
        (Fraction(2**40), "2^40"),
        (Fraction(-(2**40)), "-2^40"),
        (Fraction(3 * 2**40), "3*2^40"),
        (Fraction(10**9 + 1), "1000000001*2^0"),
        (Fraction(1, 2), "0.5"),
        (Fraction(-1, 2), "-0.5"),
        (Fraction(-13, 8), "-1.625"),
        (Fraction(1, 128), "0.0078125"),
        (Fraction(129, 128), "1.0078125"),
        (Fraction(1281, 128), "10.0078125"),
        (Fraction(1, 256), "2^-8"),
        (Fraction(-1, 256), "-2^-8"),
        (Fraction(7, 512), "7*2^-9"),
        (Fraction(-7, 512), "-7*2^-9"),
        (Fraction(1, 3), "1/3"),
        (Fraction(-7, 10), "-7/10"),
        (Fraction(5, 12), "5/12"),
    ],
)
def test_text_is_short_and_exact(number: Fraction, words: str) -> None:
    assert text(number) == words
    assert parse(words)[1] == number


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (Fraction(0), "0"),
        (Fraction(1), "1"),
        (Fraction(10), "10"),
        (Fraction(1, 10), "0.1"),
        (Fraction(99, 100), "0.99"),
        (Fraction(1, 3), "~0.333333"),
        (Fraction(-2, 3), "~-0.666667"),
        (Fraction(5, 2), "2.5"),
        (Fraction(-25, 2), "-12.5"),
        (Fraction(123456), "123456"),
        (Fraction(1234564), "~1234560"),
        (Fraction(1234565), "~1234570"),
        (Fraction(1234566), "~1234570"),
        (Fraction(9999994, 10), "~999999"),
        (Fraction(9999995, 10), "~1000000"),
        (Fraction(1, 10**4), "0.0001"),
        (Fraction(123, 10**6), "0.000123"),
        (Fraction(1, 10**5), "1e-5"),
        (Fraction(12, 10**6), "1.2e-5"),
        (Fraction(1, 2**20), "~9.53674e-7"),
        (Fraction(10**15), "1000000000000000"),
        (Fraction(10**16), "1e16"),
        (Fraction(125 * 10**14), "1.25e16"),
        (Fraction(2) ** 127, "~1.70141e38"),
        (Fraction(1, 2**149), "~1.4013e-45"),
        (Fraction(1, 1024), "~0.000976563"),
        (Fraction(100, 7), "~14.2857"),
        (Fraction(999, 7), "~142.714"),
        (Fraction(7, 1000), "0.007"),
        (Fraction(999, 1000), "0.999"),
    ],
)
def test_decimal_text_has_six_digits_and_says_when_it_is_rounded(
    number: Fraction, words: str
) -> None:
    assert decimal_text(number) == words


@pytest.mark.parametrize(
    ("digits", "words"), [(1, "~2"), (2, "~1.5"), (3, "~1.55"), (4, "~1.546"), (5, "1.5455")]
)
def test_decimal_text_takes_a_number_of_digits(digits: int, words: str) -> None:
    assert decimal_text(Fraction(15455, 10000), digits) == words


def test_every_power_of_ten_has_its_own_exponent() -> None:
    for power in range(-30, 31):
        for factor in (Fraction(1), Fraction(999, 100), Fraction(1001, 1000)):
            number = factor * Fraction(10) ** power
            assert Fraction(decimal_text(number)) == number


def test_the_module_offers_no_float() -> None:
    assert all(
        isinstance(part, int | Kind) for value in (values.ZERO, values.INF) for part in value
    )
