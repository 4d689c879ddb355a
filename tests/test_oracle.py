"""The oracle tested by itself: order of codes, scan against bisection, and answers worked out by hand."""

from __future__ import annotations

import ast
import sys
from bisect import bisect_left, bisect_right
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import oracle
import pytest
from oracle import ELEMENTS, FLOATS, INTEGERS, OVERFLOWS, ROUNDINGS, Number, number

SIGNS = (False, True)
# Far below the distance of any two breakpoints of any format here.
STEP = oracle.power(-30)


def around(point: Fraction) -> list[Fraction]:
    """A point and two next to it, none negative."""
    return [near for near in (point - STEP, point, point + STEP) if near >= 0]


def minimums(name: str) -> tuple[str, ...]:
    return ("EXCLUDE", "ALLOW") if name in INTEGERS else ("EXCLUDE",)


def test_imports_the_standard_library_only() -> None:
    tree = ast.parse(Path(oracle.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert imported
    assert {str(module).split(".")[0] for module in imported} <= sys.stdlib_module_names


@pytest.mark.parametrize("negative", SIGNS)
@pytest.mark.parametrize("name", FLOATS)
def test_magnitudes_rise_with_codes_and_the_parity_of_an_index_is_that_of_its_code(
    name: str, negative: bool
) -> None:
    side = oracle.half(name, negative)
    sign = 1 << (oracle.width(name) - 1) if negative else 0
    single_zero = negative and 0x80 in FLOATS[name].nans
    expected = [sign + index for index in range(len(side.codes))]
    assert list(side.codes) == ([0, *expected[1:]] if single_zero else expected)
    assert list(side.magnitudes) == sorted(set(side.magnitudes))


@pytest.mark.parametrize("name", FLOATS)
def test_the_value_beyond_the_largest_continues_its_binade(name: str) -> None:
    second, largest, beyond = oracle.half(name, negative=False).magnitudes[-3:]
    assert beyond - largest == largest - second
    assert oracle.floor_log2(largest) == oracle.emax(name)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("minimum", ["EXCLUDE", "ALLOW"])
def test_integers_end_where_the_minimum_says(name: str, minimum: str) -> None:
    form = INTEGERS[name]
    top = 2 ** (form.width - 1)
    positive, negative = (oracle.half(name, sign, minimum) for sign in SIGNS)
    assert positive.codes == tuple(range(top))
    expected_negative = (0, *range(2 * top - 1, top if minimum == "EXCLUDE" else top - 1, -1))
    assert negative.codes == expected_negative
    assert negative.magnitudes[-1] * 2**form.fraction_bits == len(expected_negative)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", ELEMENTS)
def test_steps_equal_the_scan_at_and_next_to_every_breakpoint(name: str, rounding: str) -> None:
    compared = 0
    for minimum in minimums(name):
        points = [near for point in oracle.breakpoints(name, minimum) for near in around(point)]
        for overflow in OVERFLOWS:
            for negative in SIGNS:
                steps = oracle.Steps(name, negative, rounding, overflow, minimum)
                for magnitude in (*points, 3 * points[-1], oracle.power(900)):
                    value = Number("finite", negative, magnitude)
                    scanned = oracle.encode(value, name, rounding, overflow, int_minimum=minimum)
                    assert steps.code(magnitude) == scanned.code, (overflow, value)
                    compared += 1
    assert compared > 100


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", ELEMENTS)
def test_scan_obeys_the_definition_of_its_rounding(name: str, rounding: str) -> None:
    """Nothing here looks at codes in order: the claim is about values alone."""
    values = sorted(
        {
            oracle.decode(code, name).real
            for code in range(2 ** oracle.width(name))
            if oracle.decode(code, name).kind == "finite"
        }
    )
    reach = oracle.largest(name)
    for point in oracle.breakpoints(name):
        for magnitude in around(point):
            for real in (magnitude, -magnitude):
                if magnitude > reach:
                    continue
                value = Number("finite", real < 0, magnitude)
                found = oracle.decode(oracle.encode(value, name, rounding).code, name).real
                below = values[bisect_right(values, real) - 1]
                above = values[bisect_left(values, real)]
                assert found in (below, above)
                assert is_allowed(real, found, below, above, rounding)


def is_allowed(
    real: Fraction, found: Fraction, below: Fraction, above: Fraction, rounding: str
) -> bool:
    """Whether a rounding may answer `found` when the neighbours of `real` are these two, parity of ties apart."""
    match rounding:
        case "TOWARD_ZERO":
            return found == min(below, above, key=abs)
        case "TOWARD_POSITIVE":
            return found == above
        case "TOWARD_NEGATIVE":
            return found == below
        case "TO_ODD":
            return found == real or below < real < above
        case "TIES_TO_AWAY" if real - below == above - real:
            return found == max(below, above, key=abs)
        case _:
            return abs(found - real) == min(real - below, above - real)


# Each row worked out by hand from the codes: value, format, rounding, overflow, code, status.
BY_HAND = [
    ("464", "E4M3", "TIES_TO_EVEN", "OVERFLOW", 0x7E, "inexact"),
    ("465", "E4M3", "TIES_TO_EVEN", "OVERFLOW", 0x7F, "inexact overflow"),
    ("464", "E4M3", "TIES_TO_AWAY", "OVERFLOW", 0x7F, "inexact overflow"),
    ("-464", "E4M3", "TIES_TO_AWAY", "SATURATE", 0xFE, "inexact overflow saturated"),
    ("479", "E4M3", "TOWARD_ZERO", "OVERFLOW", 0x7E, "inexact"),
    ("480", "E4M3", "TOWARD_ZERO", "OVERFLOW", 0x7E, "inexact overflow saturated"),
    ("449", "E4M3", "TO_ODD", "OVERFLOW", 0x7E, "inexact overflow saturated"),
    ("57345", "E5M2", "TO_ODD", "OVERFLOW", 0x7B, "inexact"),
    ("65536", "E5M2", "TO_ODD", "OVERFLOW", 0x7B, "inexact overflow saturated"),
    ("57345", "E5M2", "TOWARD_POSITIVE", "OVERFLOW", 0x7C, "inexact overflow"),
    ("-57345", "E5M2", "TOWARD_POSITIVE", "OVERFLOW", 0xFB, "inexact"),
    ("-70000", "E5M2", "TOWARD_POSITIVE", "OVERFLOW", 0xFB, "inexact overflow saturated"),
    ("-70000", "E5M2", "TOWARD_NEGATIVE", "OVERFLOW", 0xFC, "inexact overflow"),
    ("61440", "E5M2", "TIES_TO_EVEN", "OVERFLOW", 0x7C, "inexact overflow"),
    ("7", "E2M1", "TIES_TO_EVEN", "OVERFLOW", 0x7, "inexact overflow saturated"),
    ("1/4", "E2M1", "TIES_TO_EVEN", "SATURATE", 0x0, "inexact underflow"),
    ("-1/4", "E2M1", "TIES_TO_AWAY", "SATURATE", 0x9, "inexact underflow"),
    ("-1/100", "E2M1", "TOWARD_NEGATIVE", "SATURATE", 0x9, "inexact underflow"),
    ("-1/100", "E2M1", "TOWARD_POSITIVE", "SATURATE", 0x8, "inexact underflow"),
    ("-1/10000", "E4M3FNUZ", "TOWARD_ZERO", "SATURATE", 0x00, "inexact underflow"),
    ("63/64", "E2M1", "TIES_TO_EVEN", "SATURATE", 0x2, "inexact underflow"),
    ("1/2", "E2M1", "TIES_TO_EVEN", "SATURATE", 0x1, ""),
    ("5/2", "E2M1", "TO_ODD", "SATURATE", 0x5, "inexact"),
    ("1/128", "INT8", "TIES_TO_EVEN", "SATURATE", 0x00, "inexact"),
    ("3/128", "INT8", "TIES_TO_EVEN", "SATURATE", 0x02, "inexact"),
    ("-3/128", "INT8", "TOWARD_ZERO", "SATURATE", 0xFF, "inexact"),
    ("255/128", "INT8", "TIES_TO_EVEN", "OVERFLOW", 0x7F, "inexact overflow saturated"),
    ("-2", "INT8", "TIES_TO_EVEN", "SATURATE", 0x81, "inexact overflow saturated"),
    ("1000", "E4M3FNUZ", "TIES_TO_EVEN", "OVERFLOW", 0x80, "inexact overflow"),
    ("-250", "E4M3IEEE", "TIES_TO_EVEN", "OVERFLOW", 0xF8, "inexact overflow"),
]


@pytest.mark.parametrize(("text", "name", "rounding", "overflow", "code", "status"), BY_HAND)
def test_codes_and_status_worked_out_by_hand(
    text: str, name: str, rounding: str, overflow: str, code: int, status: str
) -> None:
    found = oracle.encode(number(Fraction(text)), name, rounding, overflow)
    assert found == oracle.Encoded(code, frozenset(status.split()))


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("-2", 0x80, ""),
        ("-255/128", 0x80, "inexact"),
        ("-257/128", 0x80, "inexact"),
        ("-259/128", 0x80, "inexact overflow saturated"),
    ],
)
def test_the_integer_minimum_when_it_is_allowed(text: str, code: int, status: str) -> None:
    found = oracle.encode(number(Fraction(text)), "INT8", int_minimum="ALLOW")
    assert found == oracle.Encoded(code, frozenset(status.split()))


@pytest.mark.parametrize(
    ("name", "overflow", "codes", "status"),
    [
        ("E4M3", "SATURATE", (0x7E, 0xFE), "inexact overflow saturated"),
        ("E4M3", "OVERFLOW", (0x7F, 0xFF), "inexact overflow"),
        ("E5M2", "SATURATE", (0x7B, 0xFB), "inexact saturated"),
        ("E5M2", "OVERFLOW", (0x7C, 0xFC), ""),
        ("E2M1", "SATURATE", (0x7, 0xF), "inexact overflow saturated"),
        ("E2M1", "OVERFLOW", (0x7, 0xF), "inexact overflow saturated"),
        ("INT8", "SATURATE", (0x7F, 0x81), "inexact overflow saturated"),
        ("INT8", "OVERFLOW", (0x7F, 0x81), "inexact overflow saturated"),
        ("E5M2FNUZ", "OVERFLOW", (0x80, 0x80), "inexact overflow"),
    ],
)
def test_infinities(name: str, overflow: str, codes: tuple[int, int], status: str) -> None:
    for rounding in ROUNDINGS:
        for negative in SIGNS:
            found = oracle.encode(oracle.infinity(negative), name, rounding, overflow)
            assert found == oracle.Encoded(codes[negative], frozenset(status.split()))


def test_stochastic_counts_the_words_that_carry() -> None:
    value = number(Fraction(5, 4))  # halfway between codes 2 and 3 of E2M1
    codes = [oracle.encode(value, "E2M1", "STOCHASTIC", word=w, bits=2).code for w in range(4)]
    assert codes == [2, 2, 3, 3]
    low = number(1 + Fraction(1, 100))  # less than the last of two bits: every word leaves it
    found = [oracle.encode(low, "E2M1", "STOCHASTIC", word=w, bits=2) for w in range(4)]
    assert found == [oracle.Encoded(2, frozenset({"inexact"}))] * 4


@pytest.mark.parametrize("carrier", oracle.CARRIERS)
def test_carriers_decode_in_order_and_bits_are_found_again(carrier: str) -> None:
    top = oracle.inf_bits(carrier)
    form = oracle.CARRIERS[carrier]
    samples = sorted({0, 1, 2, *range(1, top, max(1, top // 500)), top - 1})
    values = [oracle.decode(bits, carrier).magnitude for bits in samples]
    assert values == sorted(set(values))
    for bits, value in zip(samples, values, strict=True):
        assert oracle.first_bits(oracle.Key(value, 0), carrier) == bits
        assert oracle.first_bits(oracle.Key(value, 1), carrier) == bits + 1
        assert (
            oracle.round_to_carrier(-value, carrier)
            == (oracle.sign_bit(carrier) if bits else 0) + bits
        )
    assert oracle.decode(top, carrier) == oracle.infinity(negative=False)
    assert oracle.decode(top + 1, carrier).kind == "nan"
    one = form.bias << form.mantissa_bits
    assert oracle.decode(one, carrier) == number(1)
    assert oracle.decode(1, carrier) == number(oracle.power(1 - form.bias - form.mantissa_bits))
    assert oracle.decode(oracle.sign_bit(carrier), carrier) == Number("finite", True, Fraction(0))


@pytest.mark.parametrize("carrier", oracle.CARRIERS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rows_of_runs_begin_where_the_scan_changes(rounding: str, carrier: str) -> None:
    for name in ("E5M2", "E2M1", "INT8"):
        for sign, rows in enumerate(oracle.runs(name, carrier, rounding, "OVERFLOW")):
            assert rows[0][0] == 0
            for (_, before), (first, code) in pairwise(rows):
                found = [
                    oracle.encode(
                        oracle.decode(bits, carrier)._replace(negative=bool(sign)),
                        name,
                        rounding,
                        "OVERFLOW",
                    ).code
                    for bits in (first - 1, first)
                ]
                assert found == [before, code]
                assert before != code


def test_rounding_to_binary32_by_hand() -> None:
    ulp = oracle.power(-23)
    assert oracle.round_to_carrier(1 + ulp / 2, "binary32") == 0x3F800000
    assert oracle.round_to_carrier(1 + 3 * ulp / 2, "binary32") == 0x3F800002
    assert oracle.round_to_carrier(oracle.power(128) - oracle.power(103), "binary32") == 0x7F800000
    below = oracle.power(128) - oracle.power(103) - 1
    assert oracle.round_to_carrier(below, "binary32") == 0x7F7FFFFF
    assert oracle.round_to_carrier(-oracle.power(-150), "binary32") == 0x80000000


def test_logarithms() -> None:
    for n in (-150, -1, 0, 1, 127):
        two_to_n = oracle.power(n)
        assert oracle.floor_log2(two_to_n) == oracle.ceil_log2(two_to_n) == n
        assert oracle.floor_log2(two_to_n - oracle.power(-300)) == n - 1
        assert oracle.ceil_log2(two_to_n + oracle.power(-300)) == n + 1
        assert oracle.round_log2(two_to_n * Fraction(14142, 10000)) == n
        assert oracle.round_log2(two_to_n * Fraction(14143, 10000)) == n + 1


def test_scale_is_clamped_and_specials_win() -> None:
    assert oracle.scale_code(oracle.power(-149), "E2M1") == 0
    assert oracle.scale_code(oracle.power(1000), "E2M1") == 254
    assert oracle.quantize([number(0)] * 2, "E2M1") == (0, (0, 0))
    assert oracle.quantize([number(1), oracle.infinity(negative=True)], "E2M1") == (255, ())
    assert oracle.quantize([number(1), oracle.nan()], "E2M1") == (255, ())


def test_dequantize_keeps_specials_and_signs() -> None:
    assert oracle.dequantize(0xFF, 0x01, "E2M1").kind == "nan"
    assert oracle.dequantize(0xFE, 0xFC, "E5M2") == oracle.infinity(negative=True)
    assert oracle.dequantize(0x00, 0x80, "E5M2") == Number("finite", True, Fraction(0))
    assert oracle.dequantize(0xFE, 0x80, "INT8") == number(-oracle.power(128))
