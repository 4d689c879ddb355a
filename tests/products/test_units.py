"""Single dots that tell units apart, worked out by hand from what is published about them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mxemu.formats import BINARY16, BINARY32
from mxemu.products import Operand, dot
from mxemu.scalar import encode
from mxemu.value import Value, from_fraction

BINARY16_UNITS = [
    "nv-volta",
    "nv-turing",
    "nv-ampere",
    "nv-hopper",
    "nv-blackwell",
    "amd-cdna1",
    "amd-cdna2",
    "amd-cdna3",
]


def halves(*numbers: Fraction | int) -> Operand:
    """Numbers in binary16."""
    return Operand([encode(from_fraction(one), BINARY16).code for one in numbers], BINARY16)


def power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def result(name: str, a: Operand, b: Operand, c: Fraction) -> Fraction:
    assert encode(from_fraction(c), BINARY32).status == 0
    return dot(a, b, from_fraction(c), name).value.fraction()


def test_one_dot_for_six_generations() -> None:
    """-2^23 - 1/2 - 1/4 - 1/8 + 2^23: what is left says how many bits each unit keeps below 2^23, and in what order."""
    a, b = halves(-8192, Fraction(-1, 2), Fraction(-1, 4), Fraction(-1, 8)), halves(1024, 1, 1, 1)
    expected = {
        "exact": Fraction(-7, 8),
        "nv-volta": 0,  # 23 bits: a quantum of 1
        "nv-turing": Fraction(-1, 2),
        "nv-ampere": Fraction(-1, 2),  # 24 bits
        "nv-hopper": Fraction(-3, 4),  # 25 bits
        "nv-blackwell": Fraction(-3, 4),
        "amd-cdna1": Fraction(-7, 8),  # exact
        "amd-cdna2": 0,  # -2^23 - 1/2 is a tie in binary32, and -3/8 is lost beside -2^23
        "amd-cdna3": Fraction(-1, 2),
        "fp32-fma": Fraction(-7, 8),
        "fp32-sequential": Fraction(-7, 8),  # C meets -2^23 first
    }
    assert {name: result(name, a, b, power(23)) for name in expected} == expected


@pytest.mark.parametrize("name", BINARY16_UNITS)
def test_a_bit_below_the_mantissa(name: str) -> None:
    """1 - (1 - 2^-24): 2^-24 needs one bit more than binary32 has below 1."""
    expected = power(-23) if name == "nv-volta" else power(-24)
    assert result(name, halves(1), halves(1), -(1 - power(-24))) == expected


@pytest.mark.parametrize("name", BINARY16_UNITS)
def test_two_bits_below_the_mantissa(name: str) -> None:
    """1.25 - (2^-3 + 2^-25) is just below 1.125: truncation shows whether 2^-25 was kept."""
    found = result(name, halves(1), halves(Fraction(5, 4)), -(power(-3) + power(-25)))
    kept = name in ("nv-hopper", "nv-blackwell")
    assert found == Fraction(9, 8) - (power(-23) if kept else 0)


@pytest.mark.parametrize("name", BINARY16_UNITS)
def test_terms_of_a_group_are_cut_before_they_are_added(name: str) -> None:
    """1 + 2^-24 + 2^-24: with a bit to spare the two make an ulp; each rounded alone is lost."""
    own = halves(1, power(-12), power(-12), 0)
    expected = 1 if name in ("nv-volta", "amd-cdna2") else 1 + power(-23)
    assert result(name, own, own, Fraction(0)) == expected


@pytest.mark.parametrize(
    "name", ["nv-hopper-fp8-wgmma", "nv-ada-fp8", "nv-fp8-mma-emulated", "nv-blackwell-f8f6f4"]
)
def test_thirteen_bits_of_small_floats(name: str) -> None:
    """256 + 2^-5 needs 13 bits below the leading one, 256 + 2^-6 needs 14; both fit 25."""
    long = name in ("nv-fp8-mma-emulated", "nv-blackwell-f8f6f4")
    large, one = 0x78, 0x38
    for exponent, kept in ((-5, True), (-6, long)):
        small = (7 + exponent) << 3 if exponent > -7 else 0
        a, b = Operand([large, small], "E4M3"), Operand([one, one], "E4M3")
        assert dot(a, b, None, name).value.fraction() == 256 + (power(exponent) if kept else 0)


@pytest.mark.parametrize(
    ("name", "expected"), [("nv-hopper-fp8-wgmma", 0x007FFC00), ("nv-fp8-mma-emulated", 0x007FFFFF)]
)
def test_c_through_a_unit_of_small_floats(name: str, expected: int) -> None:
    """The accumulator of wgmma has 13 mantissa bits even where all products are zero."""
    zeros = Operand([0] * 32, "E4M3")
    largest_subnormal = Value(0, 0x7FFFFF, -149)
    assert dot(zeros, zeros, largest_subnormal, name).bits == expected
    largest = Value(0, (1 << 24) - 1, 104)
    assert dot(zeros, zeros, largest, name).bits == (
        0x7F7FFC00 if expected == 0x007FFC00 else 0x7F7FFFFF
    )


def bfloat16_products(*exponents: int) -> tuple[Operand, Operand]:
    """Products 2^e, the second one negative."""
    a = [(127 + one // 2) << 7 | (index == 1) << 15 for index, one in enumerate(exponents)]
    b = [(127 + one - one // 2) << 7 for one in exponents]
    return Operand(a, "bfloat16"), Operand(b, "bfloat16")


def test_where_the_floor_of_hopper_shows() -> None:
    """With C = 0 a term below 2^(floor - 25) vanishes; one just above makes truncation go below the last bit."""
    for last, expected in ((-158, 0), (-159, 1)):
        assert dot(*bfloat16_products(-149, last), None, "nv-hopper").bits == expected
    # Half of binary16's last bit is a tie that falls to zero; 1.5 of it, less a little, falls to one.
    for last, expected in ((-46, 1), (-47, 2)):
        a, b = bfloat16_products(-24, last, -25)
        assert dot(a, b, None, "nv-hopper-fp16", BINARY16).bits == expected
