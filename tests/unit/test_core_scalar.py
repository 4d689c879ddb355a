"""One element: decode, round, overflow, encode. Expectations are printed ones, hand-made ones, or the oracle's."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import oracle
import pytest

from mxemu import formats
from mxemu.errors import BadCode, BadValue, UnknownName
from mxemu.formats import FloatFormat, IntFormat, element
from mxemu.profile import OCP, IntMinimum, Overflow, Profile, Rounding
from mxemu.scalar import (
    Encoded,
    Status,
    carry_in,
    check_code,
    decode,
    encode,
    encode_bits,
    is_subnormal,
    round_to_multiple,
)
from mxemu.value import INF, NAN, ZERO, Kind, Value

MINUS_INF = Value(1, 0, 0, Kind.INF)
MINUS_NAN = Value(1, 0, 0, Kind.NAN)
MINUS_ZERO = Value(1, 0, 0)
OVERFLOW = OCP.replace(overflow="overflow")
BOTH = (OCP, OVERFLOW)

EXACT = Status(0)
INEXACT = Status.INEXACT
UNDERFLOW = Status.INEXACT | Status.UNDERFLOW
CLAMPED = Status.INEXACT | Status.OVERFLOW | Status.SATURATED
OVERFLOWED = Status.INEXACT | Status.OVERFLOW


def exact(number: Fraction | int | str, *, negative_zero: bool = False) -> Value:
    """A value from a fraction whose denominator is a power of two."""
    found = Fraction(number)
    assert found.denominator & (found.denominator - 1) == 0
    sign = int(found < 0 or negative_zero)
    return Value(sign, abs(found.numerator), 1 - found.denominator.bit_length())


def power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def bits32(number: float) -> int:
    return int(struct.unpack(">I", struct.pack(">f", number))[0])


def test_status_bits() -> None:
    names = ["INEXACT", "OVERFLOW", "UNDERFLOW", "INVALID", "SATURATED"]
    assert [bit.name for bit in Status] == names
    assert [bit.value for bit in Status] == [1, 2, 4, 8, 16]
    assert Status.EXACT == 0
    assert Status.EXACT.names() == ()
    assert CLAMPED.names() == ("inexact", "overflow", "saturated")
    assert (Status.INVALID | Status.UNDERFLOW).names() == ("underflow", "invalid")
    assert Status.INEXACT.names() == ("inexact",)


# Decoding.

E2M1 = "0 .5 1 1.5 2 3 4 6"
E2M3 = (
    "0 .125 .25 .375 .5 .625 .75 .875 1 1.125 1.25 1.375 1.5 1.625 1.75 1.875 "
    "2 2.25 2.5 2.75 3 3.25 3.5 3.75 4 4.5 5 5.5 6 6.5 7 7.5"
)
E3M2 = (
    "0 .0625 .125 .1875 .25 .3125 .375 .4375 .5 .625 .75 .875 1 1.25 1.5 1.75 "
    "2 2.5 3 3.5 4 5 6 7 8 10 12 14 16 20 24 28"
)


@pytest.mark.clause(
    "MX-5.3-NORMAL",
    "MX-5.3-SUBNORMAL",
    "MX-5.3.2-ENC",
    "MX-5.3.3-ENC",
    "MX-5.3.2-NOSPECIAL",
    "MX-5.3.3-NOSPECIAL",
)
@pytest.mark.parametrize(("name", "table"), [("E2M1", E2M1), ("E2M3", E2M3), ("E3M2", E3M2)])
def test_decode_of_fp4_and_fp6(name: str, table: str) -> None:
    magnitudes = [Fraction(entry) for entry in table.split()]
    for code, magnitude in enumerate(magnitudes):
        positive, negative = decode(code, name), decode(code + len(magnitudes), name)
        assert (positive.kind, positive.sign, positive.fraction()) == (Kind.FINITE, 0, magnitude)
        assert (negative.kind, negative.sign, negative.fraction()) == (Kind.FINITE, 1, -magnitude)


def magnitude_of(code: int, mantissa_bits: int, bias: int) -> Fraction:
    """MX 5.3, written as it is printed."""
    field, mantissa = divmod(code, 2**mantissa_bits)
    if field == 0:
        return power(1 - bias) * Fraction(mantissa, 2**mantissa_bits)
    return power(field - bias) * (1 + Fraction(mantissa, 2**mantissa_bits))


@pytest.mark.clause("MX-5.3-NORMAL", "MX-5.3-SUBNORMAL", "MX-5.3.1-ENC", "MX-5.3.1-OFP8")
@pytest.mark.parametrize(
    ("name", "mantissa_bits", "bias", "finite", "inf"),
    [
        ("E4M3", 3, 7, 0x7E, None),
        ("E5M2", 2, 15, 0x7B, 0x7C),
        ("E4M3IEEE", 3, 7, 0x77, 0x78),
        ("E3M4", 4, 3, 0x6F, 0x70),
    ],
)
def test_decode_of_eight_bit_floats(
    name: str, mantissa_bits: int, bias: int, finite: int, inf: int | None
) -> None:
    for code in range(256):
        found = decode(code, name)
        sign, magnitude = divmod(code, 128)
        assert found.sign == sign
        if magnitude <= finite:
            expected = magnitude_of(magnitude, mantissa_bits, bias)
            assert (found.kind, abs(found.fraction())) == (Kind.FINITE, expected)
        else:
            assert found.kind is (Kind.INF if magnitude == inf else Kind.NAN)
            assert (found.significand, found.exponent) == (0, 0)


@pytest.mark.parametrize(
    ("name", "mantissa_bits", "bias"),
    [("E4M3FNUZ", 3, 8), ("E5M2FNUZ", 2, 16), ("E4M3B11FNUZ", 3, 11)],
)
def test_decode_of_formats_whose_negative_zero_is_nan(
    name: str, mantissa_bits: int, bias: int
) -> None:
    for code in range(256):
        found = decode(code, name)
        sign, magnitude = divmod(code, 128)
        if code == 0x80:
            assert found == NAN
        else:
            assert found.fraction() == (-1) ** sign * magnitude_of(magnitude, mantissa_bits, bias)


@pytest.mark.clause("MX-5.3.4-ENC", "MX-5.3.4-NEG2", "MX-5.3.4-NOSPECIAL")
def test_decode_of_integers() -> None:
    for code in range(256):
        n = code - 256 if code >= 128 else code
        found = decode(code, "INT8")
        assert (found.kind, found.sign, found.fraction()) == (Kind.FINITE, n < 0, Fraction(n, 64))
    assert decode(0x80, "INT8") == Value(1, 128, -6)
    assert [decode(code, "INT4").fraction() for code in (7, 8, 15, 0)] == [
        Fraction(7, 4),
        -2,
        Fraction(-1, 4),
        0,
    ]


@pytest.mark.clause(
    "MX-5.4.1-BIAS",
    "MX-5.4.1-RANGE",
    "MX-5.4.1-NAN",
    "MX-5.4.1-NOINF",
    "MX-5.4.1-NOZERO",
    "MX-5.4.1-UNSIGNED",
)
def test_decode_of_e8m0() -> None:
    for code in range(255):
        assert decode(code, "E8M0") == Value(0, 1, code - 127)
    assert decode(255, "E8M0") == NAN


@pytest.mark.parametrize(
    ("carrier", "bits", "expected"),
    [
        ("binary32", 0x3FC00000, Fraction(3, 2)),
        ("binary32", 0x80000001, -power(-149)),
        ("binary32", 0x007FFFFF, (2**23 - 1) * power(-149)),
        ("binary32", 0x00800000, power(-126)),
        ("binary32", 0x7F7FFFFF, power(128) - power(104)),
        ("binary16", 0xFBFF, Fraction(-65504)),
        ("binary16", 0x0001, power(-24)),
        ("bfloat16", 0x3F81, 1 + power(-7)),
        ("bfloat16", 0x0001, power(-133)),
        ("binary64", 0x3FF0000000000001, 1 + power(-52)),
        ("binary64", 0x8000000000000001, -power(-1074)),
    ],
)
def test_decode_of_carriers(carrier: str, bits: int, expected: Fraction) -> None:
    assert decode(bits, carrier).fraction() == expected
    assert carry_in(bits, formats.carrier(carrier)).fraction() == expected


def test_decode_of_binary16_as_python_reads_it() -> None:
    for bits in range(0, 0x10000, 37):
        (number,) = struct.unpack(">e", bits.to_bytes(2, "big"))
        found = decode(bits, "binary16")
        assert found.sign == bits >> 15
        if not math.isfinite(number):
            assert found.kind is (Kind.NAN if math.isnan(number) else Kind.INF)
        else:
            assert found.fraction() == Fraction(number)


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        (256, "E4M3", "code 0x100 does not fit E4M3; expected 0 to 0xff"),
        (999, "E4M3", "code 0x3e7 does not fit E4M3; expected 0 to 0xff"),
        (-1, "E4M3", "code -0x1 does not fit E4M3; expected 0 to 0xff"),
        (64, "E3M2", "code 0x40 does not fit E3M2; expected 0 to 0x3f"),
        (16, "E2M1", "code 0x10 does not fit E2M1; expected 0 to 0xf"),
        (256, "INT8", "code 0x100 does not fit INT8; expected 0 to 0xff"),
        (-128, "INT8", "code -0x80 does not fit INT8; expected 0 to 0xff"),
        (256, "E8M0", "code 0x100 does not fit E8M0; expected 0 to 0xff"),
        (1 << 32, "binary32", "code 0x100000000 does not fit binary32; expected 0 to 0xffffffff"),
    ],
)
def test_codes_that_do_not_fit_are_refused(code: int, name: str, message: str) -> None:
    for use in (decode, check_code):
        with pytest.raises(BadCode) as caught:
            use(code, element(name))
        assert str(caught.value) == message


@pytest.mark.parametrize("code", [0, 1, 15])
def test_a_code_that_fits_is_returned(code: int) -> None:
    assert check_code(code, formats.E2M1) == code


@pytest.mark.clause("MX-5.3-SUBNORMAL")
def test_flushed_subnormals_decode_to_zero_with_their_sign() -> None:
    flush = OCP.replace(element_subnormals="flush")
    assert decode(0x07, "E4M3", flush) == ZERO
    assert decode(0x81, "E4M3", flush) == MINUS_ZERO
    assert decode(0x80, "E4M3", flush) == MINUS_ZERO
    assert decode(0x00, "E4M3", flush) == ZERO
    assert decode(0x08, "E4M3", flush) == Value(0, 8, -9)
    assert decode(0x00, "E8M0", flush) == Value(0, 1, -127)
    assert decode(0x01, "INT8", flush) == Value(0, 1, -6)
    # A format whose numbers are all of one binade has no subnormal ones to flush.
    assert decode(0x7F, "E4M3", flush).kind is Kind.NAN


# Rounding, before any format.


@pytest.mark.parametrize(
    ("rounding", "multiples"),
    [
        # 1.25, 1.5, 1.75, 2.25, 2.5, 2.75 and the same below zero, as multiples of 1
        ("ties-to-even", "1 2 2 2 2 3 / 1 2 2 2 2 3"),
        ("ties-to-away", "1 2 2 2 3 3 / 1 2 2 2 3 3"),
        ("toward-zero", "1 1 1 2 2 2 / 1 1 1 2 2 2"),
        ("toward-positive", "2 2 2 3 3 3 / 1 1 1 2 2 2"),
        ("toward-negative", "1 1 1 2 2 2 / 2 2 2 3 3 3"),
        ("to-odd", "1 1 1 3 3 3 / 1 1 1 3 3 3"),
        ("stochastic", "1 1 1 2 2 2 / 1 1 1 2 2 2"),
    ],
)
def test_round_to_multiple(rounding: str, multiples: str) -> None:
    own = OCP.replace(rounding=rounding)
    for sign, half in enumerate(multiples.split("/")):
        found = [
            round_to_multiple(Value(sign, quarters, -2), 0, own)
            for quarters in (5, 6, 7, 9, 10, 11)
        ]
        assert found == [(int(entry), True) for entry in half.split()]


@pytest.mark.parametrize("rounding", list(Rounding))
def test_a_multiple_stays_as_it_is(rounding: Rounding) -> None:
    own = OCP.replace(rounding=rounding)
    assert round_to_multiple(Value(0, 3, 4), 2, own) == (12, False)
    assert round_to_multiple(Value(1, 12, 2), 4, own) == (3, False)
    assert round_to_multiple(Value(0, 3, 4), 4, own) == (3, False)
    assert round_to_multiple(Value(0, 0, 4), 9, own) == (0, False)


@pytest.mark.parametrize("width", [1, 2, 3, 24, 60, 300])
def test_one_bit_anywhere_below_a_tie_decides_it(width: int) -> None:
    unit = 1 << width
    half = unit >> 1
    away = OCP.replace(rounding="ties-to-away")
    assert round_to_multiple(Value(0, unit * 2 + half, 0), width) == (2, True)
    assert round_to_multiple(Value(0, unit * 3 + half, 0), width) == (4, True)
    assert round_to_multiple(Value(0, unit * 2 + half, 0), width, away) == (3, True)
    if width > 1:
        assert round_to_multiple(Value(0, unit * 2 + half + 1, 0), width) == (3, True)
        assert round_to_multiple(Value(0, unit * 3 + half - 1, 0), width) == (3, True)
        assert round_to_multiple(Value(0, unit * 2 + half - 1, 0), width, away) == (2, True)


@pytest.mark.clause("MX-5.3.3-RND", "MX-6.3-RND")
@pytest.mark.parametrize("bits", [1, 2, 3, 5])
@pytest.mark.parametrize("numerator", [1, 3, 4, 7, 8, 9, 12, 15])
def test_stochastic_adds_the_word_below_the_kept_bits_and_cuts(bits: int, numerator: int) -> None:
    own = OCP.replace(rounding="stochastic", random_bits=bits)
    # The part between 2 and 3 is numerator / 16; its first `bits` bits take part in the sum.
    taken = numerator * 2**bits // 16
    for sign in (0, 1):
        value = Value(sign, 32 + numerator, -4)
        found = [round_to_multiple(value, 0, own, word) for word in range(2**bits)]
        up = [word + taken >= 2**bits for word in range(2**bits)]
        assert found == [(3 if goes else 2, True) for goes in up]
        assert sum(up) == taken


@pytest.mark.parametrize(("bits", "word"), [(4, 16), (4, 99), (4, -1), (1, 2), (64, 2**64)])
def test_random_words_of_the_wrong_width_are_refused(bits: int, word: int) -> None:
    own = OCP.replace(rounding="stochastic", random_bits=bits)
    with pytest.raises(BadValue) as caught:
        encode(exact("1.25"), "E2M1", own, word)
    assert str(caught.value) == f"random word {word} has more than random_bits = {bits} bits"


@pytest.mark.parametrize(("bits", "word"), [(4, 0), (4, 15), (64, 2**64 - 1)])
def test_random_words_of_the_right_width_are_taken(bits: int, word: int) -> None:
    own = OCP.replace(rounding="stochastic", random_bits=bits)
    assert encode(exact("1.25"), "E2M1", own, word).code == (3 if word else 2)


def test_the_random_word_is_zero_unless_given() -> None:
    own = OCP.replace(rounding="stochastic", random_bits=1)
    tie = exact("1.25")
    assert round_to_multiple(tie, -1, own) == round_to_multiple(tie, -1, own, 0) == (2, True)
    assert round_to_multiple(tie, -1, own, 1) == (3, True)
    assert (
        encode(tie, "E2M1", own).code == encode_bits(0x3FA00000, "binary32", "E2M1", own).code == 2
    )


def test_the_random_word_has_32_bits_unless_said_otherwise() -> None:
    own = OCP.replace(rounding="stochastic")
    value = exact(1 + power(-33))
    # The part above 1, of 0.5, is 2^-32: just the lowest of the 32 bits.
    assert encode(value, "E2M1", own, 2**32 - 1) == Encoded(3, INEXACT)
    assert encode(value, "E2M1", own, 2**32 - 2) == Encoded(2, INEXACT)
    assert encode(exact(1 + power(-34)), "E2M1", own, 2**32 - 1) == Encoded(2, INEXACT)


# The OFP8 conversion table: source, then E5M2 SAT, E5M2 OVF, E4M3 SAT, E4M3 OVF.
OFP8 = [
    (NAN, 0x7E, 0x7E, 0x7F, 0x7F),
    (MINUS_NAN, 0xFE, 0xFE, 0xFF, 0xFF),
    (INF, 0x7B, 0x7C, 0x7E, 0x7F),
    (MINUS_INF, 0xFB, 0xFC, 0xFE, 0xFF),
    (exact(10**9), 0x7B, 0x7C, 0x7E, 0x7F),
    (exact(-(10**9)), 0xFB, 0xFC, 0xFE, 0xFF),
    (exact(17), 0x4C, 0x4C, 0x58, 0x58),
    (exact(-19), 0xCD, 0xCD, 0xDA, 0xDA),
    (exact(power(-20)), 0, 0, 0, 0),
    (exact(-power(-20)), 0x80, 0x80, 0x80, 0x80),
    (ZERO, 0, 0, 0, 0),
    (MINUS_ZERO, 0x80, 0x80, 0x80, 0x80),
]


@pytest.mark.clause("MX-5.3.1-OFP8", "MX-5.3.1-SAT", "MX-5.3.1-OVF")
@pytest.mark.parametrize("row", OFP8, ids=lambda row: str(row[0]))
def test_the_conversion_table_of_ofp8(row: tuple[Value, int, int, int, int]) -> None:
    value = row[0]
    found = [encode(value, name, own).code for name in ("E5M2", "E4M3") for own in BOTH]
    assert found == list(row[1:])


# Format, magnitude, code when saturating, code when overflowing, whether that is an overflow.
EDGES: list[tuple[str, Fraction | int, int, int, bool]] = [
    ("E4M3", 448, 0x7E, 0x7E, False),
    ("E4M3", 463, 0x7E, 0x7E, False),
    ("E4M3", 464, 0x7E, 0x7E, False),
    ("E4M3", 464 + power(-15), 0x7E, 0x7F, True),
    ("E4M3", 465, 0x7E, 0x7F, True),
    ("E4M3", 480, 0x7E, 0x7F, True),
    ("E4M3", 512, 0x7E, 0x7F, True),
    ("E4M3", power(1000), 0x7E, 0x7F, True),
    ("E5M2", 57344, 0x7B, 0x7B, False),
    ("E5M2", 61440 - power(-8), 0x7B, 0x7B, False),
    ("E5M2", 61440, 0x7B, 0x7C, True),
    ("E5M2", 61441, 0x7B, 0x7C, True),
    ("E5M2", 65536, 0x7B, 0x7C, True),
    ("E3M2", 28, 0x1F, 0x1F, False),
    ("E3M2", 30 - power(-20), 0x1F, 0x1F, False),
    ("E3M2", 30, 0x1F, 0x1F, True),
    ("E3M2", 10**9, 0x1F, 0x1F, True),
    ("E2M3", Fraction(31, 4) - power(-20), 0x1F, 0x1F, False),
    ("E2M3", Fraction(31, 4), 0x1F, 0x1F, True),
    ("E2M1", 7 - power(-20), 7, 7, False),
    ("E2M1", 7, 7, 7, True),
    ("E2M1", 8, 7, 7, True),
    ("INT8", Fraction(127, 64), 0x7F, 0x7F, False),
    ("INT8", Fraction(255, 128) - power(-30), 0x7F, 0x7F, False),
    ("INT8", Fraction(255, 128), 0x7F, 0x7F, True),
    ("INT8", 2, 0x7F, 0x7F, True),
    ("INT4", Fraction(7, 4), 7, 7, False),
    ("INT4", Fraction(15, 8), 7, 7, True),
    ("E4M3IEEE", 240, 0x77, 0x77, False),
    ("E4M3IEEE", 248 - power(-10), 0x77, 0x77, False),
    ("E4M3IEEE", 248, 0x77, 0x78, True),
    ("E4M3FNUZ", 240, 0x7F, 0x7F, False),
    ("E4M3FNUZ", 248 - power(-10), 0x7F, 0x7F, False),
    ("E4M3FNUZ", 248, 0x7F, 0x80, True),
    ("E5M2FNUZ", 61440 - power(-8), 0x7F, 0x7F, False),
    ("E5M2FNUZ", 61440, 0x7F, 0x80, True),
]


def negated(code: int, name: str) -> int:
    """The code of the negative number, in two's complement or with a sign bit; the NaN of FNUZ has none."""
    form = element(name)
    if isinstance(form, IntFormat):
        return -code & (2**form.width - 1)
    return code if code == 2 ** (form.width - 1) else code + 2 ** (form.width - 1)


@pytest.mark.clause(
    "MX-5.3.1-SAT",
    "MX-5.3.1-OVF",
    "MX-5.3.2-SAT",
    "MX-5.3.3-SAT",
    "MX-5.3.4-SAT",
    "MX-6.3-CLAMP",
    "MX-5.3.2-OVFATTR",
    "MX-5.3.3-OVFATTR",
    "MX-5.3.4-OVFATTR",
)
@pytest.mark.parametrize(("name", "magnitude", "clamped", "overflowed", "is_overflow"), EDGES)
def test_overflow_is_judged_after_rounding(
    name: str, magnitude: Fraction | int, clamped: int, overflowed: int, is_overflow: bool
) -> None:
    leaves = overflowed != clamped
    for sign in (1, -1):
        value = exact(sign * magnitude)
        sat, ovf = encode(value, name), encode(value, name, OVERFLOW)
        if sign < 0:
            clamped, overflowed = negated(clamped, name), negated(overflowed, name)
        assert (sat.code, ovf.code) == (clamped, overflowed)
        rounded = EXACT if decode(sat.code, name).fraction() == value.fraction() else INEXACT
        assert sat.status == (CLAMPED if is_overflow else rounded)
        assert ovf.status == (OVERFLOWED if leaves else sat.status)


# Format, magnitude, code, whether it is inexact; tiny are those below the smallest normal number.
SMALL: list[tuple[str, Fraction, int, Status]] = [
    ("E4M3", power(-6), 0x08, EXACT),
    ("E4M3", power(-6) - power(-40), 0x08, UNDERFLOW),
    ("E4M3", power(-6) + power(-40), 0x08, INEXACT),
    ("E4M3", 15 * power(-10), 0x08, UNDERFLOW),
    ("E4M3", 7 * power(-9), 0x07, EXACT),
    ("E4M3", power(-9), 0x01, EXACT),
    ("E4M3", 3 * power(-10), 0x02, UNDERFLOW),
    ("E4M3", power(-10) + power(-40), 0x01, UNDERFLOW),
    ("E4M3", power(-10), 0x00, UNDERFLOW),
    ("E4M3", power(-11), 0x00, UNDERFLOW),
    ("E4M3", power(-1000), 0x00, UNDERFLOW),
    ("E5M2", power(-17), 0x00, UNDERFLOW),
    ("E5M2", power(-17) + power(-60), 0x01, UNDERFLOW),
    ("E5M2", power(-16), 0x01, EXACT),
    ("E5M2", power(-14), 0x04, EXACT),
    ("E3M2", power(-5), 0x00, UNDERFLOW),
    ("E3M2", power(-5) + power(-60), 0x01, UNDERFLOW),
    ("E3M2", power(-2), 0x04, EXACT),
    ("E2M3", power(-4), 0x00, UNDERFLOW),
    ("E2M3", power(-4) + power(-60), 0x01, UNDERFLOW),
    ("E2M3", Fraction(1), 0x08, EXACT),
    ("E2M1", Fraction(1, 4), 0x0, UNDERFLOW),
    ("E2M1", Fraction(1, 4) + power(-60), 0x1, UNDERFLOW),
    ("E2M1", Fraction(3, 4), 0x2, UNDERFLOW),
    ("E2M1", Fraction(3, 4) - power(-60), 0x1, UNDERFLOW),
    ("E2M1", Fraction(1, 2), 0x1, EXACT),
    ("E2M1", Fraction(1), 0x2, EXACT),
    ("INT8", power(-7), 0x00, INEXACT),
    ("INT8", power(-7) + power(-60), 0x01, INEXACT),
    ("INT8", 3 * power(-7), 0x02, INEXACT),
    ("INT8", power(-6), 0x01, EXACT),
]


@pytest.mark.clause("MX-5.3.1-OFP8", "MX-5.3.2-UFLOW", "MX-5.3.3-UFLOW", "MX-5.3.4-RNE")
@pytest.mark.parametrize(("name", "magnitude", "code", "status"), SMALL)
def test_small_numbers(name: str, magnitude: Fraction, code: int, status: Status) -> None:
    for own in BOTH:
        assert encode(exact(magnitude), name, own) == Encoded(code, status)
        assert encode(exact(-magnitude), name, own) == Encoded(negated(code, name), status)


# Ties and their neighbours in E2M1 under every rounding: magnitudes in eighths, codes for + and for -.
EIGHTHS = (1, 2, 3, 6, 9, 10, 11, 14, 20, 28, 40, 55, 56)
ROUNDED = {
    "ties-to-even": "0 0 1 2 2 2 3 4 4 6 6 7 7 / 0 0 1 2 2 2 3 4 4 6 6 7 7",
    "ties-to-away": "0 1 1 2 2 3 3 4 5 6 7 7 7 / 0 1 1 2 2 3 3 4 5 6 7 7 7",
    "toward-zero": "0 0 0 1 2 2 2 3 4 5 6 7 7 / 0 0 0 1 2 2 2 3 4 5 6 7 7",
    "toward-positive": "1 1 1 2 3 3 3 4 5 6 7 7 7 / 0 0 0 1 2 2 2 3 4 5 6 7 7",
    "toward-negative": "0 0 0 1 2 2 2 3 4 5 6 7 7 / 1 1 1 2 3 3 3 4 5 6 7 7 7",
    "to-odd": "1 1 1 1 3 3 3 3 5 5 7 7 7 / 1 1 1 1 3 3 3 3 5 5 7 7 7",
}


@pytest.mark.clause("MX-5.3.3-RNE", "MX-5.3.3-RND", "MX-6.3-RNE", "MX-6.3-RND")
@pytest.mark.parametrize("rounding", ROUNDED)
def test_roundings_of_e2m1(rounding: str) -> None:
    own = OCP.replace(rounding=rounding)
    for sign, half in enumerate(ROUNDED[rounding].split("/")):
        for eighths, code in zip(EIGHTHS, half.split(), strict=True):
            found = encode(Value(sign, eighths, -3), "E2M1", own)
            assert found.code == int(code) + 8 * sign
            assert Status.INEXACT in found.status


# Rounding, sign, then the codes of a number too large in E4M3, E5M2, E4M3FNUZ under OVERFLOW.
TOO_LARGE = [
    ("ties-to-even", 0, 0x7F, 0x7C, 0x80),
    ("ties-to-even", 1, 0xFF, 0xFC, 0x80),
    ("ties-to-away", 0, 0x7F, 0x7C, 0x80),
    ("ties-to-away", 1, 0xFF, 0xFC, 0x80),
    ("toward-zero", 0, 0x7E, 0x7B, 0x7F),
    ("toward-zero", 1, 0xFE, 0xFB, 0xFF),
    ("toward-positive", 0, 0x7F, 0x7C, 0x80),
    ("toward-positive", 1, 0xFE, 0xFB, 0xFF),
    ("toward-negative", 0, 0x7E, 0x7B, 0x7F),
    ("toward-negative", 1, 0xFF, 0xFC, 0x80),
    ("to-odd", 0, 0x7E, 0x7B, 0x7F),
    ("to-odd", 1, 0xFE, 0xFB, 0xFF),
    ("stochastic", 0, 0x7F, 0x7C, 0x80),
    ("stochastic", 1, 0xFF, 0xFC, 0x80),
]


@pytest.mark.clause("MX-5.3.1-OVF", "MX-5.3.1-OTHER")
@pytest.mark.parametrize(("rounding", "sign", "e4m3", "e5m2", "fnuz"), TOO_LARGE)
def test_overflow_under_each_rounding(
    rounding: str, sign: int, e4m3: int, e5m2: int, fnuz: int
) -> None:
    own = OVERFLOW.replace(rounding=rounding)
    for name, code in (("E4M3", e4m3), ("E5M2", e5m2), ("E4M3FNUZ", fnuz)):
        found = encode(Value(sign, 1, 20), name, own)
        assert found.code == code
        stops = decode(code, name).kind is Kind.FINITE
        assert found.status == (CLAMPED if stops else OVERFLOWED)
        # Inf stays Inf or NaN whatever the rounding.
        infinite = encode(Value(sign, 0, 0, Kind.INF), name, own).code
        assert infinite == {"E4M3": 0x7F + 128 * sign, "E5M2": 0x7C + 128 * sign}.get(name, 0x80)


@pytest.mark.parametrize("rounding", ROUNDED)
@pytest.mark.parametrize(("name", "largest"), [("E3M2", 0x1F), ("E2M1", 0x7), ("INT8", 0x7F)])
def test_overflow_clamps_where_there_is_nothing_else(
    rounding: str, name: str, largest: int
) -> None:
    own = OVERFLOW.replace(rounding=rounding)
    assert encode(Value(0, 1, 20), name, own) == Encoded(largest, CLAMPED)
    assert encode(Value(1, 1, 20), name, own) == Encoded(negated(largest, name), CLAMPED)


# Name, +Inf and its status when saturating, when overflowing
INFINITIES = [
    ("E4M3", 0x7E, CLAMPED, 0x7F, OVERFLOWED),
    ("E5M2", 0x7B, INEXACT | Status.SATURATED, 0x7C, EXACT),
    ("E3M2", 0x1F, CLAMPED, 0x1F, CLAMPED),
    ("E2M3", 0x1F, CLAMPED, 0x1F, CLAMPED),
    ("E2M1", 0x7, CLAMPED, 0x7, CLAMPED),
    ("INT8", 0x7F, CLAMPED, 0x7F, CLAMPED),
    ("E4M3FNUZ", 0x7F, CLAMPED, 0x80, OVERFLOWED),
    ("E4M3IEEE", 0x77, INEXACT | Status.SATURATED, 0x78, EXACT),
    ("binary16", 0x7BFF, INEXACT | Status.SATURATED, 0x7C00, EXACT),
]


@pytest.mark.clause("MX-5.3.1-SAT", "MX-5.3.1-OVF", "MX-5.3.2-INF", "MX-5.3.3-INF", "MX-5.3.4-INF")
@pytest.mark.parametrize(("name", "sat", "sat_status", "ovf", "ovf_status"), INFINITIES)
def test_inf(name: str, sat: int, sat_status: Status, ovf: int, ovf_status: Status) -> None:
    assert encode(INF, name) == Encoded(sat, sat_status)
    assert encode(INF, name, OVERFLOW) == Encoded(ovf, ovf_status)
    assert encode(MINUS_INF, name) == Encoded(negated(sat, name), sat_status)
    assert encode(MINUS_INF, name, OVERFLOW) == Encoded(negated(ovf, name), ovf_status)


# Format, then the codes of +NaN and -NaN under each nan_code
NANS = [
    ("E4M3", (0x7F, 0xFF), (0x7F, 0xFF), (0x7F, 0x7F)),
    ("E5M2", (0x7E, 0xFE), (0x7F, 0xFF), (0x7F, 0x7F)),
    ("E4M3FNUZ", (0x80, 0x80), (0x80, 0x80), (0x80, 0x80)),
    ("E4M3IEEE", (0x7C, 0xFC), (0x7F, 0xFF), (0x7F, 0x7F)),
    ("E3M4", (0x78, 0xF8), (0x7F, 0xFF), (0x7F, 0x7F)),
    ("binary16", (0x7E00, 0xFE00), (0x7FFF, 0xFFFF), (0x7FFF, 0x7FFF)),
    ("E5M1:ieee", (0x3F, 0x7F), (0x3F, 0x7F), (0x3F, 0x3F)),
]


@pytest.mark.clause("MX-5.3.1-SAT", "MX-5.3.1-OVF", "MX-5.3.1-OFP8")
@pytest.mark.parametrize("row", NANS, ids=lambda row: row[0])
def test_nan_in_formats_that_have_it(row: tuple[str, *tuple[tuple[int, int], ...]]) -> None:
    name, *codes = row
    choices = ("quiet-keep-sign", "all-ones-keep-sign", "all-ones-positive")
    for choice, expected in zip(choices, codes, strict=True):
        for base in BOTH:
            own = base.replace(nan_code=choice)
            found = [encode(value, name, own) for value in (NAN, MINUS_NAN)]
            assert found == [Encoded(code, EXACT) for code in expected]


# Choice, then the codes of +NaN and -NaN in E2M1, E3M2, INT8
SUBSTITUTES = [
    ("max-positive", (0x7, 0x7), (0x1F, 0x1F), (0x7F, 0x7F)),
    ("max-keep-sign", (0x7, 0xF), (0x1F, 0x3F), (0x7F, 0x81)),
    ("zero-positive", (0x0, 0x0), (0x00, 0x00), (0x00, 0x00)),
    ("zero-keep-sign", (0x0, 0x8), (0x00, 0x20), (0x00, 0x00)),
    ("zero-flip-sign", (0x8, 0x0), (0x20, 0x00), (0x00, 0x00)),
]


@pytest.mark.clause("MX-5.3.2-NAN", "MX-5.3.3-NAN", "MX-5.3.4-NAN")
@pytest.mark.parametrize("row", SUBSTITUTES, ids=lambda row: row[0])
def test_nan_in_formats_without_it(row: tuple[str, *tuple[tuple[int, int], ...]]) -> None:
    choice, *codes = row
    own = OCP.replace(nan_without_code=choice)
    for name, expected in zip(("E2M1", "E3M2", "INT8"), codes, strict=True):
        found = [encode(value, name, own) for value in (NAN, MINUS_NAN)]
        assert found == [Encoded(code, Status.INVALID) for code in expected]


def test_nan_in_a_format_with_inf_alone() -> None:
    form = FloatFormat("Inf alone", 4, 3, 7, inf=0x7F)
    assert encode(MINUS_NAN, form) == Encoded(0x7E, Status.INVALID)
    assert encode(exact(464), form, OVERFLOW).code == 0x7E
    assert encode(exact(465), form, OVERFLOW).code == 0x7F
    assert encode(exact(-465), form, OVERFLOW).code == 0xFF


def test_nan_codes_that_do_not_fill_a_binade() -> None:
    two = FloatFormat("two NaN codes", 4, 3, 7, nans=range(0x7E, 0x80))
    assert [encode(value, two).code for value in (NAN, MINUS_NAN)] == [0x7F, 0xFF]
    assert [encode(value, two, OVERFLOW).code for value in (INF, MINUS_INF)] == [0x7F, 0xFF]
    assert encode(exact(-1000), two, OVERFLOW) == Encoded(0xFF, OVERFLOWED)
    four = FloatFormat("four NaN codes", 4, 3, 7, nans=range(0x7C, 0x80))
    assert [encode(value, four).code for value in (NAN, MINUS_NAN)] == [0x7C, 0xFC]
    assert encode(NAN, four, OCP.replace(nan_code="all-ones-positive")).code == 0x7F
    plain = FloatFormat("no mantissa", 3, 0, 3, nans=range(7, 8))
    assert [encode(value, plain).code for value in (NAN, MINUS_NAN)] == [7, 15]


def test_inf_beside_a_nan_that_has_the_code_of_negative_zero() -> None:
    form = FloatFormat("binary8p3", 5, 2, 16, inf=0x7F, negative_zero=False)
    assert [decode(code, form) for code in (0x7F, 0x80, 0xFF)] == [INF, NAN, MINUS_INF]
    for value, code in ((INF, 0x7F), (MINUS_INF, 0xFF)):
        assert encode(value, form, OVERFLOW) == Encoded(code, EXACT)
    for value, code in ((exact(10**9), 0x7F), (exact(-(10**9)), 0xFF)):
        assert encode(value, form, OVERFLOW) == Encoded(code, OVERFLOWED)
        assert encode(value, form) == Encoded(code - 1, CLAMPED)
    assert encode(MINUS_NAN, form) == Encoded(0x80, EXACT)


def test_inf_above_the_nan_codes() -> None:
    form = FloatFormat("Inf above NaN", 4, 3, 7, inf=0x7F, nans=range(0x7E, 0x7F))
    kinds = [decode(code, form).kind for code in (0x7D, 0x7E, 0x7F)]
    assert kinds == [Kind.FINITE, Kind.NAN, Kind.INF]
    assert encode(NAN, form).code == 0x7E
    assert encode(exact(-1000), form, OVERFLOW).code == 0xFF
    assert encode(MINUS_INF, form, OVERFLOW) == Encoded(0xFF, EXACT)


# Flushing, and the sign of zero.


@pytest.mark.clause("MX-5.3-SUBNORMAL")
@pytest.mark.parametrize(
    ("number", "code", "status"),
    [
        (power(-9), 0x00, UNDERFLOW),
        (7 * power(-9), 0x00, UNDERFLOW),
        (-7 * power(-9), 0x80, UNDERFLOW),
        (power(-6), 0x08, EXACT),
        (15 * power(-10), 0x08, UNDERFLOW),
        (29 * power(-11), 0x00, UNDERFLOW),
        (power(-12), 0x00, UNDERFLOW),
        (-power(-12), 0x80, UNDERFLOW),
        (Fraction(0), 0x00, EXACT),
        (9 * power(-9), 0x09, EXACT),
    ],
)
def test_flushed_elements(number: Fraction, code: int, status: Status) -> None:
    own = OCP.replace(element_subnormals="flush")
    assert encode(exact(number), "E4M3", own) == Encoded(code, status)


def test_flushing_leaves_integers_alone() -> None:
    own = OCP.replace(element_subnormals="flush")
    assert encode(exact(Fraction(1, 64)), "INT8", own) == Encoded(1, EXACT)


@pytest.mark.clause("MX-5.3.1-OFP8")
@pytest.mark.parametrize("name", ["E4M3", "E5M2", "E3M2", "E2M3", "E2M1", "binary16"])
def test_zero_keeps_its_sign_unless_told_otherwise(name: str) -> None:
    negative_zero = 1 << (element(name).width - 1)
    positive = OCP.replace(zero_sign="positive")
    for value, status in ((MINUS_ZERO, EXACT), (Value(1, 1, -500), UNDERFLOW)):
        assert encode(value, name) == Encoded(negative_zero, status)
        assert encode(value, name, positive) == Encoded(0, status)
    assert encode(ZERO, name) == encode(ZERO, name, positive) == Encoded(0, EXACT)
    assert encode(exact(-1), name, positive).code & negative_zero


@pytest.mark.parametrize("name", ["E4M3FNUZ", "E5M2FNUZ", "E4M3B11FNUZ"])
def test_a_format_without_negative_zero_gives_zero(name: str) -> None:
    assert encode(MINUS_ZERO, name) == Encoded(0, EXACT)
    assert encode(Value(1, 1, -500), name) == Encoded(0, UNDERFLOW)
    assert encode(exact(-1), name).code > 0x80


# Integers.


@pytest.mark.clause("MX-5.3.4-RNE", "MX-5.3.4-SAT", "MX-5.3.4-NEG2", "MX-5.3.4-ENC")
@pytest.mark.parametrize(
    ("halves", "excluded", "allowed"),
    [
        # number * 128, code, code with 0x80 allowed
        (3, 2, 2),
        (5, 2, 2),
        (-1, 0, 0),
        (-3, 0xFE, 0xFE),
        (253, 0x7E, 0x7E),
        (254, 0x7F, 0x7F),
        (255, 0x7F, 0x7F),
        (-254, 0x81, 0x81),
        (-255, 0x81, 0x80),
        (-256, 0x81, 0x80),
        (-257, 0x81, 0x80),
        (-9999, 0x81, 0x80),
    ],
)
def test_int8(halves: int, excluded: int, allowed: int) -> None:
    value = exact(Fraction(halves, 128))
    assert encode(value, "INT8").code == excluded
    allow = OCP.replace(int_minimum="allow")
    assert encode(value, "INT8", allow).code == allowed


@pytest.mark.clause("MX-5.3.4-INF", "MX-5.3.4-NEG2")
def test_status_at_the_integer_minimum() -> None:
    allow = OCP.replace(int_minimum="allow")
    assert encode(exact(-2), "INT8", allow) == Encoded(0x80, EXACT)
    assert encode(exact(Fraction(-255, 128)), "INT8", allow) == Encoded(0x80, INEXACT)
    # -257/128 lies halfway between -128/64 and -129/64 and goes to even.
    assert encode(exact(Fraction(-257, 128)), "INT8", allow) == Encoded(0x80, INEXACT)
    assert encode(exact(Fraction(-258, 128)), "INT8", allow) == Encoded(0x80, CLAMPED)
    assert encode(exact(-2), "INT8") == Encoded(0x81, CLAMPED)
    assert encode(exact(2), "INT8", allow) == Encoded(0x7F, CLAMPED)
    assert encode(MINUS_INF, "INT8", allow) == Encoded(0x80, CLAMPED)
    assert encode(INF, "INT8", allow) == Encoded(0x7F, CLAMPED)
    assert encode(MINUS_NAN, "INT8", allow.replace(nan_without_code="max-keep-sign")).code == 0x81


@pytest.mark.clause("MX-5.3.4-RND")
@pytest.mark.parametrize(
    ("rounding", "codes"),
    [
        # 2.25, 2.5, 3.5, -2.5, -3.75 in units of 1/64
        ("ties-to-even", (2, 2, 4, -2, -4)),
        ("ties-to-away", (2, 3, 4, -3, -4)),
        ("toward-zero", (2, 2, 3, -2, -3)),
        ("toward-positive", (3, 3, 4, -2, -3)),
        ("toward-negative", (2, 2, 3, -3, -4)),
        ("to-odd", (3, 3, 3, -3, -3)),
    ],
)
def test_roundings_of_int8(rounding: str, codes: Sequence[int]) -> None:
    own = OCP.replace(rounding=rounding)
    quarters = (9, 10, 14, -10, -15)
    found = [encode(exact(Fraction(n, 256)), "INT8", own).code for n in quarters]
    assert found == [code & 0xFF for code in codes]


def test_int8_takes_a_random_word() -> None:
    own = OCP.replace(rounding="stochastic", random_bits=2)
    # 5.75: three of the four words carry.
    found = [encode(exact(Fraction(23, 256)), "INT8", own, word).code for word in range(4)]
    assert found == [5, 6, 6, 6]


# Against the oracle: every breakpoint of the small formats, some of the wide ones, both neighbours, every choice.

STEP = power(-40)


def corners(name: str) -> list[Fraction]:
    points = oracle.breakpoints(name)
    if len(points) > 100:
        points = [*points[:12], *points[14:40:5], *points[100:240:31], *points[-8:]]
    above = [point + STEP for point in points]
    below = [point - STEP for point in points if point]
    return [*points, *above, *below, 3 * points[-1], power(90)]


ENCODERS = list(product(oracle.ELEMENTS, oracle.ROUNDINGS, oracle.OVERFLOWS))


def profile_of(rounding: str, overflow: str, minimum: str = "EXCLUDE") -> Profile:
    return OCP.replace(
        rounding=Rounding[rounding],
        overflow=Overflow[overflow],
        int_minimum=IntMinimum[minimum],
    )


@pytest.mark.clause(
    "MX-5.3.1-OFP8",
    "MX-5.3.2-RNE",
    "MX-5.3.3-RNE",
    "MX-5.3.4-RNE",
    "MX-5.3.2-RND",
    "MX-5.3.3-RND",
    "MX-5.3.4-RND",
)
@pytest.mark.parametrize(("name", "rounding", "overflow"), ENCODERS)
def test_encode_agrees_with_the_oracle(name: str, rounding: str, overflow: str) -> None:
    own = profile_of(rounding, overflow)
    steps = [oracle.Steps(name, negative, rounding, overflow) for negative in (False, True)]
    for magnitude in corners(name):
        for negative in (False, True):
            value = exact(-magnitude if negative else magnitude, negative_zero=negative)
            assert encode(value, name, own).code == steps[negative].code(magnitude)


@pytest.mark.parametrize("name", ["E4M3", "E5M2", "E2M1", "INT4", "E4M3FNUZ"])
@pytest.mark.parametrize("rounding", oracle.ROUNDINGS)
def test_status_agrees_with_the_oracle(name: str, rounding: str) -> None:
    for overflow in oracle.OVERFLOWS:
        own = profile_of(rounding, overflow)
        for magnitude in corners(name)[::3]:
            for negative in (False, True):
                number = oracle.Number("finite", negative, magnitude)
                expected = oracle.encode(number, name, rounding, overflow)
                value = exact(-magnitude if negative else magnitude, negative_zero=negative)
                found = encode(value, name, own)
                assert (found.code, set(found.status.names())) == (expected.code, expected.status)


# Formats of one's own.

E3M3 = (
    "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 18 20 22 24 26 28 30 32 36 40 44 48 52 56 60 "
    "64 72 80 88 96 104 112 120 128 144 160 176 192 208 224 240 256 288 320 352 384 416 448 480 "
    "512 576 640 704 768 832 896 960"
)
CUSTOM = {
    # name: unit of the magnitudes, magnitudes, code of anything larger (None: clamps)
    "E3M3:finite": (Fraction(1, 32), E3M3, None),
    "E3M3:fn": (Fraction(1, 32), E3M3.removesuffix(" 960"), 0x3F),
    "E3M3:ieee": (Fraction(1, 32), E3M3.partition(" 512")[0], 0x38),
    "E1M2:finite": (Fraction(1, 2), "0 1 2 3 4 5 6 7", None),
    "INT6": (Fraction(1, 16), " ".join(map(str, range(32))), None),
    "INT3": (Fraction(1, 2), "0 1 2 3", None),
}


@pytest.mark.parametrize("name", CUSTOM)
def test_custom_formats(name: str) -> None:
    unit, words, beyond = CUSTOM[name]
    magnitudes = [unit * int(entry) for entry in words.split()]
    for code, magnitude in enumerate(magnitudes):
        assert decode(code, name).fraction() == magnitude
        assert encode(exact(magnitude), name) == Encoded(code, EXACT)
        if code:
            assert encode(exact(-magnitude), name).code == negated(code, name)
            middle = (magnitude + magnitudes[code - 1]) / 2
            even = code if code % 2 == 0 else code - 1
            assert encode(exact(middle), name).code == even
            assert encode(exact(middle + STEP), name).code == code
            assert encode(exact(middle - STEP), name).code == code - 1
            assert encode(exact(-middle), name, OCP.replace(rounding="ties-to-away")).code == (
                negated(code, name)
            )
    top = len(magnitudes) - 1
    too_large = exact(magnitudes[-1] * 4)
    assert encode(too_large, name) == Encoded(top, CLAMPED)
    assert encode(too_large, name, OVERFLOW).code == (top if beyond is None else beyond)


def test_a_tie_between_two_odd_significands_goes_up() -> None:
    # IEEE 754 4.3.1: the larger one where neither is even, which happens without a mantissa.
    found = [encode(exact(Fraction(eighths, 8)), "E3M0:finite") for eighths in (1, 2, 3, 6, 12)]
    assert [one.code for one in found] == [0, 1, 2, 3, 4]
    assert [decode(code, "E3M0:finite").fraction() for code in range(5)] == [
        0,
        Fraction(1, 4),
        Fraction(1, 2),
        1,
        2,
    ]


@pytest.mark.parametrize("exponent", [-30, 0, 30])
def test_a_format_may_lie_anywhere(exponent: int) -> None:
    form = FloatFormat("moved", 2, 1, 1 - exponent)
    codes = [encode(exact(power(exponent) * n / 4), form).code for n in (0, 1, 2, 3, 10, 24, 99)]
    assert codes == [0, 0, 1, 2, 4, 7, 7]
    coarse = IntFormat("coarse", 8, 0)
    assert encode(exact(Fraction(5, 2)), coarse) == Encoded(2, INEXACT)


def test_a_format_may_lack_a_sign() -> None:
    form = FloatFormat("UE4M3", 4, 3, 7, signed=False, nans=range(0x7F, 0x80))
    assert encode(exact(1), form).code == 0x38
    assert encode(exact(1000), form) == Encoded(0x7E, CLAMPED)
    assert encode(MINUS_NAN, form).code == 0x7F
    with pytest.raises(BadValue, match=r"^-1 has a sign and UE4M3 has none; use scale\."):
        encode(exact(-1), form)
    with pytest.raises(BadValue, match=r"^-Inf has a sign and UE4M3 has none"):
        encode(MINUS_INF, form)


@pytest.mark.clause("MX-5.4.1-NOZERO")
@pytest.mark.parametrize("value", [exact(1), ZERO, INF, exact(-1), NAN])
def test_a_format_without_zero_is_refused(value: Value) -> None:
    with pytest.raises(BadValue, match=r"^E8M0 has no zero, so no clause defines a conversion"):
        encode(value, "E8M0")


# Carriers as targets.


def binary32_inputs() -> list[int]:
    """Bits spread over all exponents, with all sorts of lower bits."""
    tails = (0, 1, 0x0FFF, 0x1000, 0x1001, 0x1FFF, 0x2000, 0x3000, 0x7FFF, 0x8000, 0x8001, 0x7FFFFF)
    fields = (0, 1, 60, 101, 102, 103, 104, 112, 113, 114, 127, 140, 141, 142, 143, 200, 254)
    return [
        sign | field << 23 | tail for sign in (0, 1 << 31) for field in fields for tail in tails
    ]


def test_binary32_to_binary16_as_python_rounds() -> None:
    for bits in binary32_inputs():
        (number,) = struct.unpack(">f", bits.to_bytes(4, "big"))
        try:
            expected = int.from_bytes(struct.pack(">e", number), "big")
        except OverflowError:
            expected = 0x7C00 | bits >> 31 << 15
        assert encode_bits(bits, "binary32", "binary16", OVERFLOW).code == expected


def test_binary32_to_bfloat16_by_integer_arithmetic() -> None:
    for bits in binary32_inputs():
        expected = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
        assert encode_bits(bits, "binary32", "bfloat16", OVERFLOW).code == expected


def test_binary64_to_binary32_as_python_rounds() -> None:
    tails = (0, 1, 1 << 28, (1 << 28) + 1, 1 << 29, 3 << 28, (1 << 29) - 1, (1 << 52) - 1)
    fields = (0, 1, 873, 874, 896, 897, 1023, 1149, 1150, 1151, 2046)
    for sign in (0, 1):
        for field in fields:
            for tail in tails:
                bits = sign << 63 | field << 52 | tail
                (number,) = struct.unpack(">d", bits.to_bytes(8, "big"))
                try:
                    expected = int.from_bytes(struct.pack(">f", number), "big")
                except OverflowError:
                    expected = 0x7F800000 | sign << 31
                assert encode_bits(bits, "binary64", "binary32", OVERFLOW).code == expected


@pytest.mark.parametrize("wide", ["binary32", "binary64"])
@pytest.mark.parametrize("narrow", ["binary16", "bfloat16", "binary32"])
def test_a_wider_carrier_holds_every_number_of_a_narrower_one(narrow: str, wide: str) -> None:
    width = element(narrow).width
    for bits in range(1, 1 << width, (1 << width) // 61):
        value = decode(bits, narrow)
        if value.kind is Kind.FINITE:
            code, status = encode(value, wide)
            assert status == EXACT
            assert encode_bits(code, wide, narrow) == Encoded(bits, EXACT)


# Bits in.


@pytest.mark.clause("MX-6.3-ELEM")
@pytest.mark.parametrize(
    ("carrier", "bits", "name", "code"),
    [
        ("binary32", 0x43E80000, "E4M3", 0x7E),
        ("binary32", 0x43E80001, "E4M3", 0x7E),
        ("binary32", 0x40A00000, "E2M1", 0x6),
        ("binary32", 0x40A00000, "E3M2", 0x15),
        ("binary32", 0x40A00000, "E2M3", 0x1A),
        ("binary32", 0xFF800000, "E2M1", 0xF),
        ("binary32", 0x80000000, "E2M1", 0x8),
        ("binary16", 0x4000, "E2M1", 0x4),
        ("binary16", 0xFC00, "E5M2", 0xFB),
        ("bfloat16", 0x40A0, "E2M1", 0x6),
        ("bfloat16", 0x7FFF, "E4M3", 0x7F),
        # 2.5 and the number above it, which differ in the last of 52 bits
        ("binary64", 0x4004000000000000, "E2M1", 0x4),
        ("binary64", 0x4004000000000001, "E2M1", 0x5),
        ("fp64", 0xC004000000000001, "int8", 0x81),
    ],
)
def test_encode_bits(carrier: str, bits: int, name: str, code: int) -> None:
    assert encode_bits(bits, carrier, name).code == code
    assert encode_bits(bits, formats.carrier(carrier), element(name)).code == code


def test_encode_bits_rounds_once() -> None:
    # Rounded to binary32 or to bfloat16 first, this would be the tie 464 and stay in range.
    bits = 0x407D000000000001
    assert encode_bits(bits, "binary64", "E4M3", OVERFLOW).code == 0x7F


def test_encode_bits_passes_the_random_word_on() -> None:
    own = OCP.replace(rounding="stochastic", random_bits=1)
    assert [encode_bits(0x3FA00000, "binary32", "E2M1", own, word).code for word in (0, 1)] == [
        2,
        3,
    ]


@pytest.mark.parametrize("carrier", ["binary64", "binary32", "binary16", "bfloat16"])
def test_subnormal_inputs(carrier: str) -> None:
    form = formats.carrier(carrier)
    sign, normal = form.sign_mask, 1 << form.mantissa_bits
    subnormal = [1, normal - 1, sign | 1, sign | (normal - 1)]
    other = [0, normal, normal + 1, sign, sign | normal, form.magnitude_mask, sign | (normal + 1)]
    assert [is_subnormal(bits, form) for bits in subnormal] == [True] * 4
    assert [is_subnormal(bits, form) for bits in other] == [False] * 7
    flush = OCP.replace(input_subnormals="flush")
    assert [carry_in(bits, form, flush) for bits in subnormal] == [
        ZERO,
        ZERO,
        MINUS_ZERO,
        MINUS_ZERO,
    ]
    for bits in other:
        assert carry_in(bits, form, flush) == carry_in(bits, form) == decode(bits, form)
    for bits in subnormal:
        assert carry_in(bits, form).significand
        assert carry_in(bits, form, OCP.replace(input_subnormals="flush-block")).significand


def test_flushed_inputs_encode_as_zero() -> None:
    flush = OCP.replace(input_subnormals="flush", rounding="toward-negative")
    # 2^-15 is subnormal in binary16 and the smallest but one in E5M2.
    assert encode_bits(0x0200, "binary16", "E5M2").code == 2
    assert encode_bits(0x0200, "binary16", "E5M2", flush) == Encoded(0, EXACT)
    assert encode_bits(0x8200, "binary16", "E5M2", flush) == Encoded(0x80, EXACT)
    assert encode_bits(0x0400, "binary16", "E5M2", flush) == Encoded(4, EXACT)


@pytest.mark.parametrize(
    ("bits", "carrier", "name", "kind"),
    [
        (1 << 16, "binary16", "E4M3", BadCode),
        (-1, "binary32", "E4M3", BadCode),
        (0, "E4M3", "E4M3", UnknownName),
        (0, "binary32", "E4M4", UnknownName),
    ],
)
def test_encode_bits_refuses(bits: int, carrier: str, name: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        encode_bits(bits, carrier, name)


def test_bits32_of_the_tests_is_right() -> None:
    assert bits32(464.0) == 0x43E80000
    assert encode_bits(bits32(-1e9), "binary32", "E4M3", OVERFLOW).code == 0xFF
    assert encode_bits(bits32(-1e-30), "binary32", "E2M1").code == 0x8
    assert encode_bits(bits32(7.75), "binary32", "E2M3").code == 0x1F
