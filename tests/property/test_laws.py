"""Laws that hold for every input: of one element, of a block, of a scale, of numbers and of tables."""

from __future__ import annotations

import struct
from fractions import Fraction

import oracle
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from property.strategies import (
    DETERMINISTIC,
    any_values,
    blocks,
    elements,
    finite,
    floats,
    profiles,
    values_of,
    wide_values,
)

from mxemu import formats
from mxemu.block import dequantize, dequantize_bits, quantize, quantize_bits, value_bits
from mxemu.formats import BINARY32, CARRIERS, CONCRETE, E8M0, ElementFormat, FloatFormat
from mxemu.profile import OCP, SCALE_RULES, Overflow, Profile, Rounding, ScaleCast
from mxemu.profile import profile as preset
from mxemu.runs import runs
from mxemu.scalar import Encoded, Status, decode, encode, encode_bits, round_to_multiple
from mxemu.scale import encode_scale, scale_code, shared_exponent
from mxemu.value import Kind, Value, compare_magnitudes, from_fraction, parse, quotient, text

SMALL_BLOCK = formats.block_format("E2M1/E8M0/5")
# The laws hold for any block size, and four elements are drawn faster than 32.
SHORT = [formats.block_format(f"{fmt.element}/E8M0/4") for fmt in formats.CONCRETE]
EXPONENT_RULES = [
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
]
MIRRORED = {
    Rounding.TOWARD_POSITIVE: Rounding.TOWARD_NEGATIVE,
    Rounding.TOWARD_NEGATIVE: Rounding.TOWARD_POSITIVE,
}


def negative(value: Value) -> Value:
    return value._replace(sign=1 - value.sign)


def finite_codes(form: ElementFormat) -> list[int]:
    return [code for code in range(1 << form.width) if decode(code, form).kind is Kind.FINITE]


def real(code: int, form: ElementFormat) -> Fraction:
    return decode(code, form).fraction()


# One element.


@given(st.data(), elements())
def test_the_encoder_finds_the_right_one_of_the_two_neighbours(
    data: st.DataObject, form: ElementFormat
) -> None:
    value = data.draw(values_of(form, limit=0))
    numbers = sorted({real(code, form) for code in finite_codes(form)})
    number = value.fraction()
    assume(numbers[0] <= number <= numbers[-1])
    below = max(entry for entry in numbers if entry <= number)
    above = min(entry for entry in numbers if entry >= number)
    own = OCP.replace(int_minimum="allow")
    found = {
        rounding: real(encode(value, form, own.replace(rounding=rounding)).code, form)
        for rounding in DETERMINISTIC
    }
    assert found[Rounding.TOWARD_NEGATIVE] == below
    assert found[Rounding.TOWARD_POSITIVE] == above
    inner, outer = (below, above) if number > 0 else (above, below)
    assert found[Rounding.TOWARD_ZERO] == inner
    middle = (below + above) / 2
    beyond_middle = outer if abs(number) > abs(middle) else inner
    tie = number == middle
    assert found[Rounding.TIES_TO_AWAY] == (outer if tie else beyond_middle)
    assert found[Rounding.TIES_TO_EVEN] in ({inner, outer} if tie else {beyond_middle})
    assert found[Rounding.TO_ODD] in (inner, outer)
    inexact = Status.INEXACT in encode(value, form, own).status
    assert inexact == (below != above)


@pytest.mark.clause("MX-5.3.1-OFP8", "MX-5.3.2-RNE", "MX-5.3.3-RNE", "MX-5.3.4-RNE", "MX-6.3-RNE")
@given(st.data(), st.sampled_from(formats.MX_ELEMENTS))
def test_ties_to_even_stays_within_half_an_ulp(data: st.DataObject, form: ElementFormat) -> None:
    value = data.draw(values_of(form))
    code, status = encode(value, form)
    assume(Status.OVERFLOW not in status)
    error = abs(real(code, form) - value.fraction())
    for neighbour in finite_codes(form):
        distance = abs(real(neighbour, form) - value.fraction())
        assert error <= distance
        if distance == error and real(neighbour, form) != real(code, form):
            assert code % 2 == 0


@given(elements(), profiles())
def test_every_finite_code_encodes_to_itself(form: ElementFormat, own: Profile) -> None:
    own = own.replace(int_minimum="allow")
    for code in finite_codes(form):
        assert encode(decode(code, form), form, own) == Encoded(code, Status.EXACT)


@given(st.data(), elements(), profiles())
def test_a_larger_number_never_gets_a_smaller_code(
    data: st.DataObject, form: ElementFormat, own: Profile
) -> None:
    own = own.replace(overflow="saturate")
    values = data.draw(st.lists(values_of(form), min_size=2, max_size=6))
    values.sort(key=lambda value: value.fraction())
    found = [real(encode(value, form, own).code, form) for value in values]
    assert found == sorted(found)


@given(st.data(), elements(), profiles())
def test_the_other_sign_gives_the_other_sign(
    data: st.DataObject, form: ElementFormat, own: Profile
) -> None:
    value = data.draw(values_of(form))
    mirrored = own.replace(rounding=MIRRORED.get(own.rounding, own.rounding))
    one, other = encode(value, form, own), encode(negative(value), form, mirrored)
    assert one.status == other.status
    here, there = decode(one.code, form), decode(other.code, form)
    assert here.kind is there.kind
    if here.kind is Kind.FINITE:
        assert here.fraction() == -there.fraction()


@pytest.mark.clause("MX-5.3.2-RND", "MX-5.3.3-RND", "MX-5.3.4-RND", "MX-6.3-RND")
@given(st.data(), elements())
def test_directed_roundings_enclose_the_value(data: st.DataObject, form: ElementFormat) -> None:
    value = data.draw(values_of(form))
    down, status = encode(value, form, OCP.replace(rounding="toward-negative"))
    up, _ = encode(value, form, OCP.replace(rounding="toward-positive"))
    zero, _ = encode(value, form, OCP.replace(rounding="toward-zero"))
    assert abs(real(zero, form)) <= abs(value.fraction())
    if abs(value.fraction()) <= form.max.fraction():
        assert real(down, form) <= value.fraction() <= real(up, form)
        assert (down == up) == (status == Status.EXACT) or not value.significand


@pytest.mark.clause("MX-5.3.1-SAT", "MX-5.3.1-OVF")
@given(st.data(), elements(), st.sampled_from(DETERMINISTIC))
def test_both_overflow_rules_agree_unless_something_overflows(
    data: st.DataObject, form: ElementFormat, rounding: Rounding
) -> None:
    value = data.draw(values_of(form))
    sat = encode(value, form, OCP.replace(rounding=rounding))
    ovf = encode(value, form, OCP.replace(rounding=rounding, overflow="overflow"))
    if Status.OVERFLOW not in sat.status:
        assert sat == ovf
    else:
        assert Status.OVERFLOW in ovf.status
        assert abs(real(sat.code, form)) == form.max.fraction()
        kept = ovf.code == sat.code
        assert kept == (Status.SATURATED in ovf.status)
        assert kept or decode(ovf.code, form).kind is not Kind.FINITE


@given(st.data(), elements(), profiles(), st.booleans())
def test_status_bits_imply_one_another(
    data: st.DataObject, form: ElementFormat, own: Profile, flush: bool
) -> None:
    value = data.draw(values_of(form))
    own = own.replace(element_subnormals="flush" if flush else "keep")
    code, status = encode(value, form, own)
    for bit in (Status.OVERFLOW, Status.UNDERFLOW, Status.SATURATED):
        assert bit not in status or Status.INEXACT in status
    assert Status.INVALID not in status
    assert not {Status.OVERFLOW, Status.UNDERFLOW} <= set(status)
    found = decode(code, form)
    exact = found.kind is Kind.FINITE and found.fraction() == value.fraction()
    assert exact == (status == Status.EXACT)


@given(st.data(), floats(), st.integers(1, 12))
def test_stochastic_rounding_takes_a_neighbour_and_more_words_go_up_above(
    data: st.DataObject, form: FloatFormat, bits: int
) -> None:
    value = data.draw(values_of(form, limit=0))
    own = OCP.replace(rounding="stochastic", random_bits=bits)
    outwards = "toward-negative" if value.sign else "toward-positive"
    inner = encode(value, form, OCP.replace(rounding="toward-zero")).code
    outer = encode(value, form, OCP.replace(rounding=outwards)).code
    words = sorted(data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=6)))
    found = [encode(value, form, own, word).code for word in words]
    assert set(found) <= {inner, outer}
    sizes = [abs(real(code, form)) for code in found]
    assert sizes == sorted(sizes)
    assert encode(value, form, own, 0).code == inner


# Bits.


@given(
    st.data(),
    st.sampled_from([*formats.MX_ELEMENTS, formats.E4M3FNUZ, formats.INT4]),
    st.sampled_from(list(CARRIERS.values())),
    profiles(),
)
def test_tables_answer_as_the_encoder_does(
    data: st.DataObject, form: ElementFormat, carrier: FloatFormat, own: Profile
) -> None:
    table = runs(form, carrier, own)
    row = data.draw(st.integers(0, len(table.rows) - 1))
    near = [table.firsts[row], table.last(row), data.draw(st.integers(0, (1 << carrier.width) - 1))]
    for bits in near:
        assert table.code(bits) == encode_bits(bits, carrier, form, own).code
    assert table.firsts[0] == 0
    assert list(table.firsts) == sorted(set(table.firsts))


@given(st.sampled_from(list(CARRIERS.values())), st.data())
def test_bits_out_are_the_bits_in(carrier: FloatFormat, data: st.DataObject) -> None:
    bits = data.draw(st.integers(0, (1 << carrier.width) - 1))
    value = decode(bits, carrier)
    if value.kind is not Kind.NAN:
        assert value_bits(value, carrier) == bits


@given(wide_values(), st.sampled_from(list(CARRIERS)))
def test_bits_out_are_rounded_as_the_oracle_does(value: Value, carrier: str) -> None:
    expected = oracle.round_to_carrier(abs(value.fraction()), carrier)
    sign = oracle.sign_bit(carrier) if value.sign else 0
    assert value_bits(value, carrier) == expected | sign


@given(st.floats(allow_nan=False), st.integers(1, 2**60))
def test_binary64_quotients_are_as_python_divides(number: float, divisor: int) -> None:
    assume(abs(number) < 2**1000)
    exact = Fraction(number) / divisor
    expected = int.from_bytes(struct.pack(">d", exact.numerator / exact.denominator), "big")
    assert value_bits(from_fraction(exact), "binary64") == expected


@given(st.sampled_from(list(CARRIERS.values())), st.sampled_from(formats.MX_ELEMENTS), st.data())
def test_encoding_bits_is_encoding_their_value(
    carrier: FloatFormat, form: ElementFormat, data: st.DataObject
) -> None:
    bits = data.draw(st.integers(0, (1 << carrier.width) - 1))
    assert encode_bits(bits, carrier, form) == encode(decode(bits, carrier), form)


# Numbers.


@given(any_values())
def test_a_printed_value_reads_back_as_itself(value: Value) -> None:
    again, exact = parse(str(value))
    assert (again.kind, again.sign) == (value.kind, value.sign)
    if value.kind is Kind.FINITE:
        assert exact == value.fraction() == again.fraction()


@given(st.fractions(max_denominator=10**6))
def test_a_printed_fraction_reads_back_as_itself(number: Fraction) -> None:
    assert parse(text(number))[1] == number
    value = from_fraction(number)
    assert value.sign == (number < 0)
    denominator = number.denominator
    if denominator & (denominator - 1) == 0:
        assert value.fraction() == number
    else:
        unit = Fraction(2) ** value.exponent
        assert 0 < abs(value.fraction() - number) < unit
        assert value.significand & 1


@given(wide_values(), wide_values())
def test_magnitudes_compare_as_fractions_do(a: Value, b: Value) -> None:
    left, right = abs(a.fraction()), abs(b.fraction())
    assert compare_magnitudes(a, b) == (left > right) - (left < right)
    assert compare_magnitudes(a, a.scaled(1)) == (-1 if a.significand else 0)


@given(
    finite((0, 1), (1, 2**80), (-40, 40)),
    finite((0, 1), (1, 2**80), (-40, 40)),
    st.integers(0, 60),
    st.sampled_from(DETERMINISTIC),
)
def test_a_quotient_rounds_as_the_exact_one_does(
    a: Value, b: Value, bits: int, rounding: Rounding
) -> None:
    exact = a.fraction() / b.fraction()
    found = quotient(a, b)
    assert found.sign == (exact < 0)
    quantum = found.leading - bits
    multiple, inexact = round_to_multiple(found, quantum, OCP.replace(rounding=rounding))
    units = abs(exact) / Fraction(2) ** quantum
    whole, part = int(units), units - int(units)
    half = Fraction(1, 2)
    up = {
        Rounding.TIES_TO_EVEN: part > half or (part == half and whole % 2 == 1),
        Rounding.TIES_TO_AWAY: part >= half,
        Rounding.TOWARD_ZERO: False,
        Rounding.TOWARD_POSITIVE: part > 0 and exact > 0,
        Rounding.TOWARD_NEGATIVE: part > 0 and exact < 0,
        Rounding.TO_ODD: part > 0 and whole % 2 == 0,
    }
    assert (multiple, inexact) == (whole + up[rounding], part > 0)


# Scales.


@pytest.mark.clause("MX-6.3-SCALE", "MX-6.3-ALT")
@given(
    st.integers(1, 2**26),
    st.integers(-180, 120),
    st.sampled_from(formats.MX_ELEMENTS),
    st.sampled_from(EXPONENT_RULES),
)
def test_rules_follow_their_definitions(
    significand: int, exponent: int, form: ElementFormat, rule: str
) -> None:
    number = Fraction(significand) * Fraction(2) ** exponent
    found = shared_exponent(Value(0, significand, exponent), form, SCALE_RULES[rule])
    assert found == oracle.shared_exponent(number, form.name, rule)


@given(st.integers(1, 2**24 - 1), st.integers(-120, 100), st.sampled_from(formats.MX_ELEMENTS))
def test_rceil_of_a_binary32_quotient_is_exact_far_from_the_smallest(
    significand: int, exponent: int, form: ElementFormat
) -> None:
    largest = Value(0, significand, exponent)
    exact = shared_exponent(largest, form, SCALE_RULES["RCEIL"])
    assume(exact > -126)
    for rule in ("RCEIL_BINARY32", "RCEIL_SUBNORMAL_UP"):
        assert shared_exponent(largest, form, SCALE_RULES[rule]) == exact


@given(
    st.lists(finite((0, 0), (1, 2**26), (-200, 160)), min_size=2, max_size=5),
    st.sampled_from(CONCRETE),
    st.sampled_from([rule for rule in SCALE_RULES if rule != "RATIO"]),
)
def test_a_larger_amax_never_gets_a_smaller_scale(
    numbers: list[Value], fmt: formats.BlockFormat, rule: str
) -> None:
    numbers.sort(key=lambda value: value.fraction())
    own = OCP.replace(scale_rule=rule)
    # Beyond binary32 a carry is no carry any more.
    inside = [value for value in numbers if rule != "EVEN_CARRY_NAN" or value.leading <= 127]
    found = [scale_code(value, fmt, own) for value in inside]
    assert found == sorted(found)


@given(
    st.lists(finite((0, 0), (1, 2**26), (-180, 130)), min_size=2, max_size=5),
    st.sampled_from(list(ScaleCast)),
)
def test_casts_to_a_scale_are_monotone_and_keep_powers_of_two(
    numbers: list[Value], cast: ScaleCast
) -> None:
    own = OCP.replace(scale_cast=cast)
    numbers.sort(key=lambda value: value.fraction())
    found = [encode_scale(value, E8M0, own) for value in numbers]
    assert found == sorted(found)
    for value, code in zip(numbers, found, strict=True):
        if -126 <= value.leading < 127:
            assert code - 127 in (value.leading, value.leading + 1)
            assert encode_scale(Value(0, 1, value.leading), E8M0, own) == value.leading + 127


# Blocks.


@pytest.mark.clause("MX-6.3-SCALE", "MX-6.3-ELEM")
@given(st.data(), st.sampled_from(SHORT), st.integers(-15, 15), profiles())
def test_a_block_times_a_power_of_two_has_the_same_codes(
    data: st.DataObject, fmt: formats.BlockFormat, shift: int, own: Profile
) -> None:
    values = data.draw(blocks(fmt))
    one = quantize(values, fmt, own)
    other = quantize([value.scaled(shift) for value in values], fmt, own)
    if one.scale and other.scale:
        assert other.scale == one.scale + shift
    assert (other.codes, other.status) == (one.codes, one.status)


@given(st.data(), blocks(SMALL_BLOCK), st.sampled_from(EXPONENT_RULES))
def test_a_permuted_block_has_permuted_codes(
    data: st.DataObject, values: list[Value], rule: str
) -> None:
    own = OCP.replace(scale_rule=rule)
    order = data.draw(st.permutations(range(5)))
    one = quantize(values, SMALL_BLOCK, own)
    other = quantize([values[lane] for lane in order], SMALL_BLOCK, own)
    assert other.scale == one.scale
    assert list(other.codes) == [one.codes[lane] for lane in order]
    assert list(other.status) == [one.status[lane] for lane in order]


@pytest.mark.clause("MX-6.3-MECH", "MX-5.1-VALUE")
@given(st.data(), st.sampled_from([*SHORT, formats.block_format("INT4/E8M0/4")]), profiles())
def test_a_quantized_block_quantizes_to_the_same_values(
    data: st.DataObject, fmt: formats.BlockFormat, own: Profile
) -> None:
    own = own.replace(overflow=Overflow.SATURATE)
    once = dequantize(*quantize(data.draw(blocks(fmt)), fmt, own)[:2], fmt)
    again = quantize(once, fmt, own)
    assert set(again.status) == {Status.EXACT}
    twice = dequantize(again.scale, again.codes, fmt)
    assert [value.fraction() for value in twice] == [value.fraction() for value in once]
    assert [value.sign for value in twice] == [value.sign for value in once]


@given(blocks(SMALL_BLOCK), st.sampled_from(["rceil", "ceil"]))
def test_rules_that_round_up_clip_nothing(values: list[Value], name: str) -> None:
    found = quantize(values, SMALL_BLOCK, preset(name))
    assert not any(Status.OVERFLOW in status for status in found.status)


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=5, max_size=5),
    st.sampled_from(["ocp", "finite-amax", "rceil", "flush-block", "rceil-amax-floor"]),
)
def test_a_block_of_bits_is_the_block_of_their_values(bits: list[int], name: str) -> None:
    own = preset(name)
    values = [decode(pattern, BINARY32) for pattern in bits]
    found = quantize_bits(bits, "binary32", SMALL_BLOCK, own)
    subnormal = all(not pattern >> 23 & 0xFF for pattern in bits)
    if name != "flush-block" or not subnormal:
        assert found == quantize(values, SMALL_BLOCK, own)
    else:
        assert (found.scale, {code & 7 for code in found.codes}) == (0, {0})


@given(st.sampled_from(SHORT), st.integers(0, 255), st.data())
def test_dequantized_bits_are_the_exact_values(
    fmt: formats.BlockFormat, scale: int, data: st.DataObject
) -> None:
    top = (1 << fmt.element.width) - 1
    codes = data.draw(st.lists(st.integers(0, top), min_size=4, max_size=4))
    values, bits = dequantize(scale, codes, fmt), dequantize_bits(scale, codes, fmt)
    for value, pattern in zip(values, bits, strict=True):
        back = decode(pattern, BINARY32)
        if value.kind is Kind.NAN or back.kind is Kind.INF:
            beyond = value.is_finite and abs(value.fraction()) >= 2**128
            assert beyond or back.kind is value.kind
        else:
            assert (back.sign, back.fraction()) == (value.sign, value.fraction())
