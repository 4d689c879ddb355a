"""Dot products by hand: every field of every record of an accumulation decides at least one of these."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from golden.blocks import DOTS, ROWS

from mxemu.accumulation import (
    EXACT,
    Accumulation,
    Chain,
    Fuse,
    Lanes,
    Late,
    Nested,
    Node,
    Parts,
    Sum,
    Tree,
)
from mxemu.accumulations import find, kulisch
from mxemu.errors import BadCode, BadFormat, BadShape, BadType, BadValue, UnknownName
from mxemu.formats import BINARY16, BINARY32, BINARY64, CONCRETE, FloatFormat
from mxemu.products import Added, Operand, Product, Rounded, dot
from mxemu.profile import OCP
from mxemu.scalar import Status, decode, encode
from mxemu.value import INF, NAN, ZERO, Value, from_fraction

MINUS_ZERO = ZERO._replace(sign=1)
MINUS_INF = INF._replace(sign=1)
Real = Fraction | int | Value
ONE = 0x3F800000


def power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def value(number: Real) -> Value:
    return number if isinstance(number, Value) else from_fraction(Fraction(number))


def numbers(given: Sequence[Real], fmt: FloatFormat = BINARY64) -> Operand:
    """Numbers that a wide format holds exactly."""
    codes = [encode(value(one), fmt, OCP.replace(overflow="overflow")).code for one in given]
    assert [decode(code, fmt).kind for code in codes] == [value(one).kind for one in given]
    return Operand(codes, fmt)


def add(terms: Sequence[Real], node: Node, c: Real | None = None, **fields: Any) -> Product:
    """The terms times one, under a tree; the result in binary64, so that nothing more is rounded."""
    record = Accumulation(node=node, **fields)
    carried = None if c is None else value(c)
    ones = numbers([1] * len(terms))
    return dot(numbers(terms), ones, carried, record, BINARY64)


def total(terms: Sequence[Real], node: Node, c: Real | None = None, **fields: Any) -> Fraction:
    return add(terms, node, c, **fields).value.fraction()


def bits(terms: Sequence[Real], node: Node, c: Real | None = None, **fields: Any) -> int:
    """The same in binary32."""
    carried = None if c is None else value(c)
    ones = numbers([1] * len(terms))
    return dot(numbers(terms), ones, carried, Accumulation(node=node, **fields)).bits


# The default.


@pytest.mark.clause("MX-6.1-DOT", "MX-6.2-SUM")
@pytest.mark.parametrize("name", DOTS)
def test_golden_dots(name: str) -> None:
    fmt = next(one for one in CONCRETE if one.element.name == name)
    rows = {row[0]: row for row in ROWS if row[1] == name}
    a, b = (Operand(rows[letter][3], fmt, [rows[letter][2]]) for letter in "AB")
    found = dot(a, b)
    assert (found.value.fraction(), found.bits) == DOTS[name]
    assert dot(a, b, Value(0, 1, 0)).value.fraction() == DOTS[name][0] + 1


@pytest.mark.clause("MX-6.1-MIXED", "MX-6.1-DOT")
def test_formats_of_the_operands_may_differ() -> None:
    left = Operand([0x38] * 32, "MXFP8_E4M3", [130])  # ones, times 8
    right = Operand([0x40] * 32, "MXINT8", [126])  # ones, times 1/2
    assert dot(left, right).value.fraction() == 128
    assert dot(left, Operand([0x38] * 32, "E4M3")).value.fraction() == 256


def test_nothing_is_lost_before_the_one_rounding() -> None:
    terms = [power(100), 1, -power(100), power(-100)]
    assert total(terms, Sum()) == 1 + power(-100)
    assert bits(terms, Sum()) == ONE
    assert total([1], Sum(), power(-60)) == 1 + power(-60)


# Fuse.


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([1, Fraction(3, 8)], Fraction(5, 4)),
        ([1, Fraction(-3, 8)], Fraction(3, 4)),
        ([1, Fraction(3, 16), Fraction(3, 16)], 1),  # each term is cut, not their sum
        ([4, Fraction(3, 8), Fraction(3, 4)], 4),  # a larger term moves the quantum for all
        ([Fraction(7, 8), 0], Fraction(7, 8)),
    ],
)
def test_terms_are_cut_below_the_largest(terms: list[Real], expected: Fraction) -> None:
    assert total(terms, Sum(Fuse(fraction_bits=2))) == expected


@pytest.mark.parametrize(
    ("align", "expected"),
    [
        # 3/8, -3/8, 1/8, -1/8 and 5/8 beside 1, in quarters
        ("toward-zero", (1, -1, 0, 0, 2)),
        ("toward-negative", (1, -2, 0, -1, 2)),
        ("toward-positive", (2, -1, 1, 0, 3)),
        ("ties-to-even", (2, -2, 0, 0, 2)),
        ("ties-to-away", (2, -2, 1, -1, 3)),
        ("to-odd", (1, -1, 1, -1, 3)),
    ],
)
def test_alignment_rounds_each_term(align: str, expected: tuple[int, ...]) -> None:
    step = Fuse(fraction_bits=2, align=align)
    eighths = (3, -3, 1, -1, 5)
    found = [total([1, Fraction(one, 8)], Sum(step)) - 1 for one in eighths]
    assert found == [Fraction(one, 4) for one in expected]


def test_floor_is_the_least_exponent_of_alignment() -> None:
    assert total([5, 1], Sum(Fuse(fraction_bits=2))) == 6
    assert total([5, 1], Sum(Fuse(fraction_bits=2, floor=2))) == 6
    assert total([5, 1], Sum(Fuse(fraction_bits=2, floor=3))) == 4
    assert total([5, 8], Sum(Fuse(fraction_bits=2, floor=3))) == 12


def test_c_is_aligned_with_the_terms_and_they_with_c() -> None:
    step = Fuse(fraction_bits=2)
    assert total([1], Sum(step), Fraction(3, 8)) == Fraction(5, 4)
    assert total([Fraction(3, 8)], Sum(step), 1) == Fraction(5, 4)


def test_what_is_carried_in_may_keep_other_bits() -> None:
    step = Fuse(fraction_bits=2, carried_bits=4)
    own = 1 + power(-4) + power(-5)
    assert total([1, Fraction(3, 8)], Sum(step), own) == Fraction(9, 4) + power(-4)
    assert total([own], Sum(step), Fraction(3, 8)) == Fraction(11, 8)


def test_what_is_carried_in_may_be_out_of_reach() -> None:
    step = Fuse(fraction_bits=30, carried_reach=3)
    assert total([8], Sum(step), 1) == 9
    assert total([16], Sum(step), 1) == 16
    assert add([16], Sum(step), 1).status is Status.INEXACT
    assert total([1], Sum(step), 1000) == 1001


def test_a_subnormal_c_is_aligned_by_the_smallest_exponent_of_the_accumulator() -> None:
    step = Fuse("binary16", fraction_bits=8)
    # e = -14 and the quantum 2^-22, although the leading bits are at -20 and -22.
    assert total([power(-22)], Chain(step), power(-20)) == power(-20) + power(-22)
    assert total([power(-23)], Chain(step), power(-20)) == power(-20)
    assert total([power(-23)], Chain(Fuse("binary32", fraction_bits=8)), power(-20)) == 9 * power(
        -23
    )
    assert total([power(-23)], Nested(step, (0, -1)), power(-20)) == power(-20)


def test_an_accumulated_subnormal_is_aligned_the_same_way() -> None:
    step = Fuse("binary16", fraction_bits=8)
    assert total([power(-20), power(-22)], Chain(step)) == power(-20) + power(-22)
    assert total([power(-20), power(-23)], Chain(step)) == power(-20)


def test_an_exact_inner_sum_keeps_its_exponent_even_if_it_is_zero() -> None:
    node = Parts(2, Sum(), Sum(Fuse(fraction_bits=2)))
    assert total([64, -64, 1, 1], node) == 0  # 64 says that the quantum is 16
    assert total([64, -63, 1, 1], node) == 0
    assert total([1, -1, 1, 1], node) == 2
    rounded = Parts(2, Sum(Fuse("binary32")), Sum(Fuse(fraction_bits=2)))
    assert total([64, -64, 1, 1], rounded) == 2


@pytest.mark.parametrize(
    ("terms", "wrapped", "saturated"),
    [
        ([5, 2], 7, 7),
        ([5, 3], -8, 7),
        ([5, 5], -6, 7),
        ([-4, -4], -8, -8),
        ([-5, -5], 6, -8),
        ([7, 7, 7, -8], -3, 7),
        ([8, 8], 0, 7),
    ],
)
def test_a_register_wraps_or_saturates(terms: list[Real], wrapped: int, saturated: int) -> None:
    assert total(terms, kulisch(4, 0).node) == wrapped
    assert total(terms, kulisch(4, 0, saturate=True).node) == saturated
    assert total([one * power(9) for one in terms], kulisch(4, 9).node) == wrapped * power(9)  # type: ignore[operator]


def test_a_register_rounds_terms_to_its_last_bit() -> None:
    halves = [Fraction(1, 2), Fraction(3, 2), Fraction(5, 2)]
    assert total(halves, kulisch(8, 0).node) == 0 + 2 + 2
    assert total([Fraction(1, 2)] * 8, kulisch(8, 0).node) == 0
    assert total([1], kulisch(8, 0).node, Fraction(3, 2)) == 3
    cut = Sum(Fuse(quantum=0, width=8, align="toward-negative"))
    assert total([Fraction(-1, 4), 3], cut) == 2


def test_a_register_says_when_it_overflows() -> None:
    assert add([5, 5], kulisch(4, 0).node).status is Status.OVERFLOW
    stopped = add([5, 5], kulisch(4, 0, saturate=True).node)
    assert stopped.status is Status.OVERFLOW | Status.SATURATED
    for terms in ([5, 2], [-4, -4]):
        for saturate in (False, True):
            assert add(terms, kulisch(4, 0, saturate=saturate).node).status is Status.EXACT


def test_a_register_without_a_width_never_overflows() -> None:
    assert total([power(90), 1, Fraction(1, 2)], Sum(Fuse(quantum=0))) == power(90) + 1


def test_a_register_has_no_negative_zero() -> None:
    assert bits([MINUS_ZERO], kulisch(8, 0).node, MINUS_ZERO) == 0
    assert bits([-8, -8], kulisch(4, 0).node, MINUS_ZERO) == 0


def test_roundings_one_after_the_other() -> None:
    own = [-1, -3 * power(-24), power(-40)]
    once = Sum(Fuse("binary32"))
    twice = Sum(Fuse(("E8M31 toward-negative", "binary32")))
    assert total(own, once) == -(1 + power(-23))
    assert total(own, twice) == -(1 + power(-22))


def test_flush_asks_whether_the_sum_is_subnormal_after_rounding() -> None:
    step = Fuse("binary32 flush")
    assert total([power(-127)], Sum(step)) == 0
    assert total([power(-127)], Sum(Fuse("binary32"))) == power(-127)
    assert total([power(-126), -power(-150)], Sum(step)) == 0
    assert total([power(-126), -power(-151)], Sum(step)) == power(-126)
    assert bits([-power(-127)], Sum(step), MINUS_ZERO) == 0x80000000
    assert add([power(-127)], Sum(step)).status is Status.UNDERFLOW | Status.INEXACT


def test_beyond_the_largest_there_is_inf_unless_a_rounding_stops() -> None:
    huge = [power(127), power(127)]
    assert bits(huge, Sum(Fuse("binary32 toward-zero"))) == 0x7F800000
    assert bits(huge, Sum(Fuse("binary32 toward-zero stop-at-max"))) == 0x7F7FFFFF
    assert bits(huge, Sum(Fuse("binary32 stop-at-max"))) == 0x7F800000
    negative = [-one for one in huge]
    assert bits(negative, Sum(Fuse("binary32 toward-positive stop-at-max"))) == 0xFF7FFFFF
    assert bits(huge, Sum(Fuse("binary32 toward-positive stop-at-max"))) == 0x7F800000
    assert add(huge, Sum(Fuse("binary32"))).status is Status.OVERFLOW | Status.INEXACT


# Nodes.


def test_a_chain_rounds_after_each_group() -> None:
    terms = [256, 1, 1]
    assert total(terms, Chain(Fuse("bfloat16"))) == 256
    assert total(terms, Chain(Fuse("bfloat16"), length=3)) == 258
    assert total([1, 1, 256], Chain(Fuse("bfloat16"))) == 258
    assert total([256, 1, 1, 1], Chain(Fuse("bfloat16"), length=2)) == 258


def test_a_chain_starts_with_c() -> None:
    assert total([1, 1], Chain(Fuse("bfloat16")), 256) == 256
    assert total([256, 1], Chain(Fuse("bfloat16")), 1) == 256
    assert total([1, 256], Chain(Fuse("bfloat16")), 1) == 258


def test_the_order_of_a_chain_repeats() -> None:
    last_first = Chain(Fuse("bfloat16"), order=(2, 1, 0))
    assert total([256, 1, 1], last_first) == 258
    assert total([0, 0, 0, 256, 1, 1], last_first) == 258
    assert total([256, 1], last_first) == 256  # 1 + 256 = 257 is a tie
    pairs = Chain(Fuse("bfloat16"), length=2, order=(0, 2, 1, 3))
    assert total([256, 1, 1, 1], pairs) == 256 + 2
    assert total([256, 1, 1, 0], pairs) == 256
    assert total([1, 256, 1], pairs) == 258


def test_terms_of_a_chain_may_be_rounded_before_they_are_added() -> None:
    own = 1 + power(-12)
    factors = numbers([own])
    c = value(-(1 + power(-11)))
    fused, apart = (
        dot(factors, factors, c, Accumulation(node=Chain(Fuse("binary32"), terms=terms)))
        for terms in (None, "binary32")
    )
    assert fused.value.fraction() == power(-24)
    assert apart.value.is_zero


def test_a_tree_adds_halves() -> None:
    step = Fuse("binary32")
    terms = [power(24), 1, 1, 1]
    assert total(terms, Tree(step)) == power(24) + 2
    assert total(terms, Tree(step, leaf=4)) == power(24)
    assert total(terms, Tree(step, leaf=2)) == power(24) + 2
    assert total([power(24), 1, 1], Tree(step, leaf=3)) == power(24)


def test_fewer_terms_of_a_tree_are_as_good_as_zeros() -> None:
    step = Fuse("binary32")
    assert total([1, 1, power(24)], Tree(step)) == power(24) + 2  # 2 and 1
    assert total([power(24), 1, 1], Tree(step)) == power(24)
    assert total([power(24), 0, 0, 0, 1, 1], Tree(step)) == power(24) + 2  # 4 and 2
    assert total([power(24), 0, 0, 1, 1, 0], Tree(step, leaf=3)) == power(24) + 2  # 3 and 3
    assert total([power(24), 0, 0, 0, 0, 1, 1, 1], Tree(step, leaf=3)) == power(24) + 2  # 6 and 2


def test_c_meets_a_tree_last() -> None:
    assert total([1, 1], Tree(Fuse("bfloat16")), 256) == 258
    assert total([1, 1], Chain(Fuse("bfloat16")), 256) == 256


def test_terms_of_a_tree_may_be_rounded_first() -> None:
    terms = [1 + power(-24), power(-24)]
    exact_step = Fuse()
    assert total(terms, Tree(exact_step)) == 1 + power(-23)
    assert total(terms, Tree(exact_step, terms="binary32")) == 1 + power(-24)


def test_a_tree_written_out() -> None:
    step = Fuse("bfloat16")
    assert total([256, 1, 1], Nested(step, ((0, 1), 2))) == 256
    assert total([256, 1, 1], Nested(step, (0, (1, 2)))) == 258
    assert total([256, 1, 1], Nested(step, (0, 1, 2))) == 258
    assert total([1, 1], Nested(step, (0, 1)), 256) == 258
    assert total([1, 1], Nested(step, ((0, -1), 1)), 256) == 256
    assert total([1 + power(-24)], Nested(Fuse(), (0,), terms="binary32")) == 1


def test_parts_are_reduced_alone() -> None:
    inner, outer = Chain(Fuse("bfloat16")), Chain(Fuse("binary32"))
    terms = [256, 1, 1, 1]
    assert total(terms, Parts(2, inner, outer)) == 258
    assert total(terms, Parts(4, inner, outer)) == 256
    assert total(terms, Parts(1, inner, outer)) == 259
    assert total(terms, Parts(3, inner, outer)) == 257
    assert total([1, 1], Parts(2, inner, outer), 256) == 258


def test_parts_of_length_0_are_blocks() -> None:
    node = Parts(0, Sum(Fuse("bfloat16")), Sum())
    record = Accumulation(node=node)
    codes = [0x78, *[0x38] * 7]  # 256, then ones
    for k, expected in ((8, 264), (4, 264), (2, 262), (1, 263)):
        own = Operand(codes, f"E4M3/E8M0/{k}", [127] * (8 // k))
        ones = Operand([0x38] * 8, "E4M3")
        # 256 + 7 = 263 is a tie; 256 + 3 = 259 is one too; 256 + 1 = 257 falls to 256.
        assert dot(own, ones, None, record).value.fraction() == expected
    assert dot(Operand(codes, "E4M3"), ones, None, record).value.fraction() == 264


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"scale": ()}, Fraction(3) * Fraction(81, 64)),
        ({"scale": "E8M2"}, Fraction(15, 4)),
        ({"scale": ("E8M2", "E8M1 toward-zero")}, Fraction(3)),
        ({"scale": (), "scaled": "E8M2"}, Fraction(4)),
        ({"scale": "E8M2", "scaled": "E8M2 toward-zero"}, Fraction(7, 2)),
    ],
)
def test_scales_of_a_run_meet_its_sum(fields: dict[str, Any], expected: Fraction) -> None:
    node = Parts(0, Sum(Fuse("binary32")), Sum(), **fields)
    record = Accumulation(node=node, scale_at="part")
    block = Operand([0x38, 0x40], "E4M3/E4M3/2", [0x39])  # 1 and 2, times 1.125
    ones = Operand([0x38, 0x38], "E4M3/E4M3/2", [0x39])
    assert dot(block, ones, None, record).value.fraction() == expected
    c = Value(0, 1, 20)
    assert dot(block, ones, c, record).value.fraction() == expected + 2**20


def test_a_run_with_two_scales_is_refused() -> None:
    record = Accumulation(node=Parts(4, Sum(), Sum(), scale=()), scale_at="part")
    own = Operand([0x38] * 4, "E4M3/E8M0/2", [127, 128])
    with pytest.raises(
        BadShape, match="a run of 4 terms with two scales; custom applies one to a run"
    ):
        dot(own, own, None, record)


def test_lanes_take_turns() -> None:
    step = Fuse("binary32")
    terms = [power(24), 1, -power(24), 1]
    assert total(terms, Chain(step)) == 1
    assert total(terms, Lanes(2, Chain(step), Chain(step))) == 2
    terms = [power(24), 1, 1, -power(24)]
    assert total(terms, Chain(step)) == 0
    assert total(terms, Lanes(2, Chain(step), Chain(step))) == 1
    assert total(terms, Lanes(3, Chain(step), Chain(step))) == 2
    assert total([1, 2], Lanes(5, Chain(step), Chain(step)), 4) == 7


def test_lanes_are_joined_in_order_after_c() -> None:
    step = Fuse("bfloat16")
    assert total([256, 1, 0], Lanes(3, Chain(step), Chain(step)), 1) == 256
    assert total([0, 1, 256], Lanes(3, Chain(step), Chain(step)), 1) == 258


def test_a_lane_starts_from_positive_zero() -> None:
    step = Fuse("binary32 flush")
    node = Lanes(2, Chain(step), Chain(step))
    assert bits([MINUS_ZERO, MINUS_ZERO], node, MINUS_ZERO) == 0


def test_late_c_is_not_aligned_with_the_terms() -> None:
    inner = Sum(Fuse("binary32", fraction_bits=2))
    terms = [1, Fraction(3, 8)]
    assert total(terms, Late(inner, Fuse("binary32")), 1024) == 1024 + Fraction(5, 4)
    assert total(terms, inner, 1024) == 1024
    assert total(terms, Late(inner, Fuse("binary32", fraction_bits=10)), 1024) == 1025


# Fields of the accumulation.


def test_operands_are_converted_first() -> None:
    own = numbers([1 + power(-9), 1 + power(-8)])
    ones = numbers([1, 1])
    record = Accumulation(operand_format="bfloat16")
    # Ties to even; 1 + 2^-8 is one too.
    assert dot(own, ones, None, record).value.fraction() == 2
    assert dot(ones, own, None, record).value.fraction() == 2
    assert dot(own, ones, None, EXACT).value.fraction() == 2 + 3 * power(-9)
    huge = numbers([power(128), 1])
    assert dot(huge, ones, None, record).value.is_inf


def test_a_converted_subnormal_is_aligned_by_its_leading_bit() -> None:
    node = Sum(Fuse(fraction_bits=2))
    tiny, one = Operand([0x01], "E4M3"), Operand([0x38], "E4M3")
    # 2^-9 counts as 0.001 * 2^-6 in E4M3, so its bit is below the quantum 2^-8.
    assert dot(tiny, one, None, Accumulation(node=node)).value.is_zero
    converted = Accumulation(node=node, operand_format="binary16")
    assert dot(tiny, one, None, converted).value.fraction() == power(-9)


def test_an_integer_element_has_the_exponent_of_its_format() -> None:
    node = Sum(Fuse(fraction_bits=4))
    small, one = Operand([0x01, 0x02, 0x04], "INT8"), Operand([0x40] * 3, "INT8")
    # 1/64, 2/64 and 4/64 beside the quantum 2^-4.
    assert dot(small, one, None, Accumulation(node=node)).value.fraction() == power(-4)


@pytest.mark.parametrize(
    ("rule", "terms", "expected"),
    [
        ("sum", [(0x3C, 0x3C), (0x30, 0x38)], Fraction(5, 2)),  # 2.25 has exponent 0: 2.0 + 0.5
        ("normalised", [(0x3C, 0x3C), (0x30, 0x38)], 2),
        ("scale", [(0x48, 0x48), (0x30, 0x38)], Fraction(33, 2)),  # 16 + 0.5 to halves
        ("scale", [(0x48, 0x48), (0x28, 0x38)], 16),
        ("sum", [(0x48, 0x48), (0x30, 0x38)], 16),
    ],
)
def test_product_exponents(rule: str, terms: list[tuple[int, int]], expected: Fraction) -> None:
    a, b = (Operand(list(own), "E4M3") for own in zip(*terms, strict=True))
    record = Accumulation(node=Sum(Fuse(fraction_bits=1)), product_exponent=rule)
    assert dot(a, b, None, record).value.fraction() == expected


def test_scales_move_the_exponents_of_products() -> None:
    a = Operand([0x38, 0x38], "E4M3/E8M0/1", [127, 124])  # 1 and 1/8
    b = Operand([0x38, 0x38], "E4M3/E8M0/1", [127, 127])
    for rule in ("sum", "scale", "normalised"):
        for bits_kept, expected in ((2, Fraction(1)), (3, Fraction(9, 8))):
            record = Accumulation(node=Sum(Fuse(fraction_bits=bits_kept)), product_exponent=rule)
            assert dot(a, b, None, record).value.fraction() == expected
            larger = a._replace(scales=[130, 127])  # 8 and 1
            assert dot(larger, b, None, record).value.fraction() == expected * 8


def test_products_may_be_rounded() -> None:
    own = numbers([1 + power(-12)])
    record = Accumulation(products="binary32")
    assert dot(own, own, None, record, BINARY64).value.fraction() == 1 + power(-11)
    assert dot(own, own, None, EXACT, BINARY64).value.fraction() == 1 + power(-11) + power(-24)


def test_the_limit_is_that_of_the_rounded_product() -> None:
    edge, one = numbers([Fraction(31, 16)]), numbers([1])
    for products, expected in (
        ("E8M2", INF),
        ("E8M2 toward-zero", Value(0, 7, -2)),
        (None, value(Fraction(31, 16))),
    ):
        record = Accumulation(products=products, product_limit=1)
        found = dot(edge, one, None, record).value
        assert found == expected or found.fraction() == expected.fraction()


def test_a_product_beyond_the_limit_is_inf() -> None:
    record = Accumulation(product_limit=4)
    for factor, expected in ((15, 15), (16, None), (-16, None)):
        found = dot(numbers([factor]), numbers([1]), None, record)
        if expected is None:
            assert found.value == INF._replace(sign=int(factor < 0))
            assert found.status is Status.OVERFLOW | Status.INEXACT
        else:
            assert found.value.fraction() == expected
    assert add([16], Sum(), MINUS_INF, product_limit=4).value.is_nan
    assert total([12, 12], Sum(), product_limit=4) == 24


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("keep", (power(-9), -power(-9), power(-130))),
        ("flush", (0, 0, 0)),
        ("flush-positive", (0, 0, 0)),
    ],
)
def test_subnormal_operands(rule: str, expected: tuple[Fraction, ...]) -> None:
    record = Accumulation(operand_subnormals=rule)
    one = Operand([0x38], "E4M3")
    found = [dot(Operand([code], "E4M3"), one, None, record) for code in (0x01, 0x81)]
    found.append(dot(Operand([0], "E4M3"), one, value(power(-130)), record))
    assert tuple(product.value.fraction() for product in found) == expected
    assert dot(Operand([0x08], "E4M3"), one, None, record).value.fraction() == power(-6)


def test_the_sign_of_a_flushed_operand() -> None:
    one, zero = Operand([0x38], "E4M3"), Operand([0], "E4M3")
    for code in (0x81, 0x80):
        own = Operand([code], "E4M3")
        for rule, expected in (("flush", 0x80000000), ("flush-positive", 0)):
            record = Accumulation(operand_subnormals=rule)
            assert dot(own, one, MINUS_ZERO, record).bits == (expected if rule == "flush" else 0)
            found = dot(
                zero,
                one,
                value(-power(-140)),
                Accumulation(node=Late(Sum(), Fuse()), operand_subnormals=rule),
            )
            assert found.bits == 0


def test_c_is_flushed_by_the_format_that_it_is_added_to() -> None:
    tiny = value(power(-20))
    for out, expected in (("binary16", 0), ("binary32", power(-20))):
        node = Parts(4, Chain(Fuse("E4M20")), Chain(Fuse(out)))
        assert total([0], node, tiny, operand_subnormals="flush") == expected


def test_scales_at_the_operand() -> None:
    record = find("triton-dot-scaled")
    one = Operand([0x38] * 32, "MXFP8_E4M3", [127])

    def with_scale(scale: int, code: int = 0x38) -> Product:
        return dot(Operand([code] + [0] * 31, "MXFP8_E4M3", [scale]), one, None, record)

    assert with_scale(130).value.fraction() == 8
    assert with_scale(1).value.fraction() == power(-126)
    assert with_scale(0).value.is_zero
    assert with_scale(0, 0x7E).value.is_zero
    assert with_scale(254, 0x7E).value.is_inf  # 448 * 2^127 is beyond bfloat16
    assert with_scale(255, 0).value.is_nan
    kept = record.replace(scale_zero_code=False)
    tiny = Operand([0x38] + [0] * 31, "MXFP8_E4M3", [0])
    assert dot(tiny, one, None, kept).value.fraction() == power(-127)


def test_the_sign_of_a_scale_may_be_ignored() -> None:
    own = Operand([0x2] * 16, "NVFP4", [0xB8])  # ones, times -1
    ones = Operand([0x2] * 16, "NVFP4", [0x38])
    assert dot(own, ones).value.fraction() == -16
    assert dot(own, ones, None, "nv-blackwell-nvf4").value.fraction() == 16
    assert dot(own, ones, None, EXACT.replace(scale_unsigned=True)).value.fraction() == 16


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ieee", (0x80000000, 0, 0, 0x80000000)),
        ("positive", (0, 0, 0, 0)),
        ("sum-positive", (0, 0, 0, 0x80000000)),
    ],
)
def test_signs_of_zero(rule: str, expected: tuple[int, ...]) -> None:
    node = Chain(Fuse("binary32"), length=4)
    found = (
        bits([MINUS_ZERO, MINUS_ZERO], node, MINUS_ZERO, zero_sign=rule),
        bits([MINUS_ZERO, 0], node, MINUS_ZERO, zero_sign=rule),
        bits([1, -1], node, MINUS_ZERO, zero_sign=rule),
        bits([-power(-160)], node, MINUS_ZERO, zero_sign=rule),
    )
    assert found == expected


def test_signs_of_zero_toward_negative() -> None:
    node = Sum(Fuse("binary32 toward-negative"))
    assert bits([1, -1], node) == 0x80000000
    assert bits([0, 0], node) == 0
    assert bits([1, -1], Sum(), rounding="toward-negative") == 0x80000000
    inner = Sum(Fuse(("E8M31 toward-negative", "binary32")))
    assert bits([1, -1], inner) == 0


def test_an_absent_c_is_positive_zero() -> None:
    for c in (None, ZERO):
        assert dot(numbers([MINUS_ZERO]), numbers([1]), c).bits == 0
    assert dot(numbers([MINUS_ZERO]), numbers([1]), MINUS_ZERO).bits == 0x80000000


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("quiet", (0x7FC00000, 0x7E00, 0x7FC0, 0x7FF8 << 48)),
        ("all-ones", (0x7FFFFFFF, 0x7FFF, 0x7FFF, (1 << 63) - 1)),
        ("negative-quiet", (0xFFC00000, 0xFE00, 0xFFC0, 0xFFF8 << 48)),
    ],
)
def test_nan_words(word: str, expected: tuple[int, ...]) -> None:
    record = Accumulation(nan_word=word)
    outs = ("binary32", "binary16", "bfloat16", "binary64")
    own = Operand([0x7F], "E4M3")
    assert tuple(dot(own, own, None, record, out).bits for out in outs) == expected


def test_tensor_scales_are_exact_unless_the_accumulation_rounds() -> None:
    own = Operand([0x3B, 0x38], "E4M3", (), Value(0, 5, -4))  # 1.375 and 1, times 0.3125
    other = Operand([0x38, 0x38], "E4M3", (), Value(0, 4, 0))
    assert dot(own, other).value.fraction() == Fraction(19, 8) * Fraction(5, 4)
    assert dot(own, other, Value(0, 1, 0)).value.fraction() == 1 + Fraction(95, 32)
    # 1.25 is a tie and becomes 1, 2.375 becomes 2; the exact product 2.97 would become 3.
    record = Accumulation(tensor_scale="E8M1")
    assert dot(own, other, None, record).value.fraction() == 2
    only = own._replace(tensor_scale=Value(0, 1, 3))
    assert dot(only, other._replace(tensor_scale=None)).value.fraction() == 19


def test_c_beside_a_rounded_tensor_scale_is_refused() -> None:
    own = Operand([0x38], "E4M3", (), Value(0, 1, 0))
    c = Value(0, 5, 0)
    for record in (
        Accumulation(tensor_scale="binary32"),
        find("cublas-fp8-fast"),
        find("fp32-fma"),
    ):
        with pytest.raises(
            BadShape, match="does not say how C meets a tensor scale; expected no C"
        ):
            dot(own, own, c, record)
        assert dot(own, own, None, record).value.fraction() == 1


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("ties-to-even", (0, 0)),
        ("ties-to-away", (1, 1)),
        ("toward-zero", (0, 0)),
        ("toward-positive", (1, 0)),
        ("toward-negative", (0, 1)),
        ("to-odd", (1, 1)),
    ],
)
def test_rounding_of_the_result(rounding: str, expected: tuple[int, int]) -> None:
    half = power(-24)
    found = tuple(
        bits([sign, sign * half], Sum(), rounding=rounding) - (ONE | (sign < 0) << 31)
        for sign in (1, -1)
    )
    assert found == expected


def test_results_leave_the_range_as_ieee_says() -> None:
    huge = [power(127), power(127)]
    assert bits(huge, Sum()) == 0x7F800000
    assert bits(huge, Sum(), rounding="toward-zero") == 0x7F7FFFFF
    assert bits([-one for one in huge], Sum(), rounding="toward-positive") == 0xFF7FFFFF
    found = dot(numbers(huge), numbers([1, 1]), None, EXACT.replace(rounding="toward-zero"))
    assert found.status is Status.INEXACT | Status.OVERFLOW | Status.SATURATED


def test_other_formats_of_the_result() -> None:
    own = numbers([1, power(-9)])
    ones = numbers([1, 1])
    found = {out: dot(own, ones, out=out).bits for out in ("binary16", "bfloat16", "binary64")}
    assert found == {"binary16": 0x3C02, "bfloat16": 0x3F80, "binary64": 0x3FF0080000000000}
    assert dot(own, ones, out=BINARY16).bits == 0x3C02


def test_status_of_the_result() -> None:
    ones = numbers([1, 1])
    assert dot(numbers([1, power(-60)]), ones).status is Status.INEXACT
    assert dot(numbers([1, 1]), ones).status is Status.EXACT
    tiny = dot(numbers([power(-150), power(-152)]), ones)
    assert tiny.status is Status.INEXACT | Status.UNDERFLOW
    assert dot(numbers([power(-149), 0]), ones).status is Status.EXACT


# Special values.


@pytest.mark.parametrize(
    ("x", "y", "c", "expected"),
    [
        (INF, 1, None, 0x7F800000),
        (INF, -1, None, 0xFF800000),
        (INF, INF, 5, 0x7F800000),
        (INF, 0, None, 0x7FC00000),
        (0, MINUS_INF, None, 0x7FC00000),
        (NAN, 0, None, 0x7FC00000),
        (1, 1, INF, 0x7F800000),
        (1, 1, MINUS_INF, 0xFF800000),
        (INF, 1, MINUS_INF, 0x7FC00000),
        (INF, 1, INF, 0x7F800000),
        (1, 1, NAN, 0x7FC00000),
        (NAN, 1, INF, 0x7FC00000),
    ],
)
@pytest.mark.parametrize(
    "name", ["exact", "fp32-sequential", "fp32-fma", "pairwise", "block-fp32", "kulisch(64, -32)"]
)
def test_special_values(x: Real, y: Real, c: Real | None, expected: int, name: str) -> None:
    carried = None if c is None else value(c)
    found = dot(numbers([x, 0, 2]), numbers([y, 1, 3]), carried, name)
    assert found.bits == expected
    made = expected == 0x7FC00000 and NAN not in (x, y, c)
    assert found.status is (Status.INVALID if made else Status.EXACT)


def test_a_nan_scale_is_nan_even_for_zeros() -> None:
    zeros, ones = Operand([0] * 32, "MXFP8_E4M3", [255]), Operand([0x38] * 32, "MXFP8_E4M3", [127])
    for name in ("exact", "block-fp32", "nv-blackwell-mxf8f6f4", "cublas-fp8-blockwise"):
        assert dot(zeros, ones, None, name).value.is_nan
        assert dot(ones, zeros, None, name).value.is_nan


def test_an_overflow_on_the_way_is_inf_from_then_on() -> None:
    step = Fuse("binary32")
    terms = [power(127), power(127), -power(127)]
    assert bits(terms, Chain(step)) == 0x7F800000
    assert bits(terms, Chain(step, length=3)) == 0x7F000000
    assert bits([*terms, MINUS_INF], Chain(step)) == 0x7FC00000


def test_no_terms_leave_c() -> None:
    empty = Operand([], "E4M3")
    for name in (
        "exact",
        "fp32-fma",
        "pairwise",
        "nv-hopper",
        "amd-cdna3",
        "block-fp32",
        "kulisch(64, -32)",
    ):
        assert dot(empty, empty, None, name).bits == 0
        assert dot(empty, empty, Value(0, 3, 0), name).bits == 0x40400000
    assert dot(empty, empty, MINUS_ZERO, "nv-hopper").bits == 0


# The trace.


def test_the_trace_of_one_fuse() -> None:
    record = Accumulation(node=Sum(Fuse("E8M1", fraction_bits=2)))
    found = dot(numbers([1, Fraction(3, 8)]), numbers([1, 1]), Value(1, 1, -1), record, trace=True)
    assert len(found.trace) == 1
    step = found.trace[0]
    assert isinstance(step, Added)
    kept = [cut.kept.fraction() for cut in step.terms]
    lost = [cut.lost.fraction() for cut in step.terms]
    assert (kept, lost) == ([1, Fraction(1, 4)], [0, Fraction(1, 8)])
    assert step.carried is not None
    assert step.carried.kept.fraction() == Fraction(-1, 2)
    assert (step.exponent, step.quantum) == (0, -2)
    assert (step.total.fraction(), step.result.fraction()) == (Fraction(3, 4), Fraction(3, 4))
    assert [cut.exponent for cut in step.terms] == [0, -2]


def test_the_trace_names_roundings_outside_of_sums() -> None:
    own = numbers([1 + power(-12)])
    record = Accumulation(operand_format="TF32", products="bfloat16")
    found = dot(own, numbers([1 + power(-9)]), None, record, trace=True)
    assert [step.what for step in found.trace if isinstance(step, Rounded)] == [
        "operand",
        "product",
    ]
    wide = dot(numbers([1, power(-60)]), numbers([1, 1]), trace=True)
    assert isinstance(wide.trace[-1], Rounded)
    assert wide.trace[-1].what == "result"
    assert wide.trace[-1].result.fraction() == 1


def test_the_trace_is_empty_unless_asked_for_and_holds_no_idle_rounding() -> None:
    own = Operand([0x38], "E4M3")
    assert dot(own, own).trace == ()
    assert all(isinstance(step, Added) for step in dot(own, own, trace=True).trace)


def test_the_trace_of_special_values() -> None:
    found = dot(numbers([INF, 1]), numbers([1, 1]), MINUS_INF, trace=True)
    step = found.trace[0]
    assert isinstance(step, Added)
    assert step.result.is_nan
    assert step.terms[0].value.is_inf


# Bad input.


OWN = Operand([0x38] * 32, "MXFP8_E4M3", [127])


@pytest.mark.parametrize(
    ("other", "error", "words"),
    [
        (
            Operand([0x38] * 64, "MXFP8_E4M3", [127, 127]),
            BadShape,
            "K = 32 and 64; expected the same length",
        ),
        (
            Operand([0x2] * 32, "NVFP4", [0x38] * 2),
            BadShape,
            "k = 32 and k = 16; expected the same block size",
        ),
        (
            Operand([0x38] * 32, "MXFP8_E4M3", []),
            BadShape,
            "32 codes and 0 scales; MXFP8_E4M3 has k = 32",
        ),
        (Operand([0x38] * 31, "MXFP8_E4M3", [127]), BadShape, "31 codes and 1 scales"),
        (
            Operand([0x38] * 32, "E4M3", [127]),
            BadShape,
            "1 scales; E4M3 is an element format and has none",
        ),
        (
            Operand([0x100] * 32, "E4M3"),
            BadCode,
            "code 0x100 does not fit E4M3; expected 0 to 0xff",
        ),
        (Operand([-1] * 32, "E4M3"), BadCode, "code -0x1 does not fit E4M3"),
        (Operand([0x38] * 32, "MXFP8_E4M3", [256]), BadCode, "code 0x100 does not fit E8M0"),
        (Operand([1.0] * 32, "E4M3"), BadType, "codes: 'float' object .*; expected integers"),  # type: ignore[list-item]
        (Operand([0x38] * 32, "E4M4"), UnknownName, "unknown format 'E4M4'; did you mean"),
        (
            Operand([0x38] * 32, "E4M3", (), MINUS_INF),
            BadValue,
            "tensor_scale = -Inf; expected a finite",
        ),
        ([0x38] * 32, BadType, "expected an Operand"),
    ],
)
def test_operands_that_are_refused(other: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        dot(OWN, other)
    with pytest.raises(
        error,
        match=words.replace("K = 32 and 64", "K = 64 and 32").replace(
            "k = 32 and k = 16", "k = 16 and k = 32"
        ),
    ):
        dot(other, OWN)


def test_other_arguments_that_are_refused() -> None:
    with pytest.raises(
        UnknownName, match="unknown accumulation 'nv-hoper'; did you mean nv-hopper"
    ):
        dot(OWN, OWN, None, "nv-hoper")
    with pytest.raises(UnknownName, match="unknown carrier 'binary33'; did you mean binary32"):
        dot(OWN, OWN, out="binary33")
    with pytest.raises(UnknownName, match="unknown carrier 'E4M3'"):
        dot(OWN, OWN, out="E4M3")
    with pytest.raises(BadType, match=r"c = 1.0; expected a Value"):
        dot(OWN, OWN, 1.0)  # type: ignore[arg-type]
    short = Operand([0x38] * 3, "E4M3")
    with pytest.raises(BadShape, match="3 terms; the accumulation's tree is for 2"):
        dot(short, short, None, Accumulation(node=Nested(Fuse(), (0, 1))))


def test_codes_of_any_integer_type() -> None:
    class Code:
        """An integer of another library."""

        def __index__(self) -> int:
            return 0x38

    own = Operand([Code()] * 40, "E4M3")  # type: ignore[list-item]
    assert dot(own, own).bits == 0x42200000
    assert dot(OWN, OWN).bits == 0x42000000


@pytest.mark.clause("MX-6.2-F32")
def test_binary32_is_the_default() -> None:
    assert dot(OWN, OWN) == dot(OWN, OWN, None, EXACT, BINARY32)
    with pytest.raises(BadFormat, match="expected a float with sign, Inf and NaN"):
        Accumulation(products="E8M0")
