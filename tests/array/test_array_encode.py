"""encode and decode against the exact core and the oracle, element by element."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import oracle
import pytest
from core_arrays import (
    CARRIERS,
    DETERMINISTIC,
    NUMBERS,
    WORDS,
    element_inputs,
    encoded,
    numbers,
    specials,
)
from exhaustive.array_tables import NANS
from exhaustive.bridge import core_profile, expand
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import MX_ELEMENTS, OVERFLOWS, ROUNDINGS
from property.strategies import elements

import mxemu
from mxemu import block, philox, scalar
from mxemu.formats import CARRIERS as CARRIER_FORMATS
from mxemu.formats import E8M0, ElementFormat
from mxemu.formats import element as find_element
from mxemu.profile import OCP, PRESETS, Overflow, Profile, alternatives
from mxemu.scale import encode_scale

NARROW = ("binary16", "bfloat16")
MX_ENCODERS = [*[(name, "EXCLUDE") for name in MX_ELEMENTS], ("INT8", "ALLOW")]
OTHERS = (
    "INT4",
    "E4M3FNUZ",
    "E5M2FNUZ",
    "E4M3B11FNUZ",
    "E4M3:ieee",
    "E3M4",
    "E3M3:finite",
    "E1M2:finite",
    "E5M10:ieee",
    "E8M7:ieee",
    "E6M9:fn",
    "INT2",
    "INT6",
    "INT16",
    "INT32",
    "binary32",
)
FIELDS = (
    "rounding",
    "overflow",
    "element_subnormals",
    "input_subnormals",
    "zero_sign",
    "nan_code",
    "nan_without_code",
    "int_minimum",
)
STOCHASTIC = PRESETS["stochastic"]


def assert_encodes(
    bits: Any, carrier: str, element: ElementFormat | str, profile: Profile, words: Any = None
) -> None:
    """Codes and statuses of some inputs."""
    codes, status = mxemu.encode(
        numbers(bits, carrier), element, profile=profile, random=words, return_status=True
    )
    expected = encoded(bits, carrier, element, profile, words)
    for found, wanted in zip((codes, status), expected, strict=True):
        wrong = np.flatnonzero(found != wanted)
        assert not wrong.size, (
            f"{carrier} to {element}, {profile}: {int(bits[wrong[0]]):#x} gives {found[wrong[0]]:#x}, "
            f"the core {wanted[wrong[0]]:#x}"
        )


@pytest.mark.slow
@pytest.mark.parametrize("carrier", NARROW)
@pytest.mark.parametrize(("name", "minimum"), MX_ENCODERS)
def test_all_inputs_of_the_16_bit_carriers(name: str, minimum: str, carrier: str) -> None:
    """Every code from the oracle's table; each input's status under one of the twelve pairs from the core."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    sign, first_nan = oracle.sign_bit(carrier), oracle.inf_bits(carrier) + 1
    pairs = [(rounding, overflow) for rounding in ROUNDINGS for overflow in OVERFLOWS]
    for index, (rounding, overflow) in enumerate(pairs):
        profile = core_profile(rounding, overflow, minimum)
        rows: list[tuple[int, int]] = []
        sides = oracle.runs(name, carrier, rounding, overflow, minimum)
        for start, side, nan in zip((0, sign), sides, NANS[name], strict=True):
            rows += [(start + first, code) for first, code in side] + [(start + first_nan, nan)]
        codes, status = mxemu.encode(
            numbers(bits, carrier), name, profile=profile, return_status=True
        )
        assert codes.tobytes() == expand(rows, 1 << 16), (rounding, overflow)
        part = slice(index, None, len(pairs))
        assert np.array_equal(status[part], encoded(bits[part], carrier, name, profile)[1])


def offsets(carrier: str) -> tuple[int, ...]:
    """Ulp around a breakpoint; in binary64 also where a first rounding to binary32 would land on it."""
    near = (-2, -1, 0, 1, 2)
    half = 1 << 28
    return (
        near
        if carrier == "binary32"
        else (*near, half, -half, half + 1, half - 1, -half - 1, 1 - half)
    )


@pytest.mark.slow
@pytest.mark.parametrize("carrier", ["binary32", "binary64"])
@pytest.mark.parametrize(("name", "minimum"), MX_ENCODERS)
def test_every_breakpoint_of_the_wide_carriers(name: str, minimum: str, carrier: str) -> None:
    """Codes from the oracle's steps for finite inputs, statuses from the core."""
    sign, inf = oracle.sign_bit(carrier), oracle.inf_bits(carrier)
    firsts = [
        oracle.first_bits(oracle.Key(point, 0), carrier) for point in oracle.breakpoints(name)
    ]
    magnitudes = sorted({0, 1, 2, inf - 1, *[at + by for at in firsts for by in offsets(carrier)]})
    magnitudes = [bits for bits in magnitudes if 0 <= bits < inf]
    values = [oracle.decode(bits, carrier).magnitude for bits in magnitudes]
    bits = np.array([magnitudes, [sign | one for one in magnitudes]], WORDS[carrier])
    for index, rounding in enumerate(ROUNDINGS):
        for overflow in OVERFLOWS:
            profile = core_profile(rounding, overflow, minimum)
            steps = [
                oracle.Steps(name, negative, rounding, overflow, minimum)
                for negative in (False, True)
            ]
            expected = [[side.code(value) for value in values] for side in steps]
            codes, status = mxemu.encode(
                numbers(bits, carrier), name, profile=profile, return_status=True
            )
            assert codes.tolist() == expected, (rounding, overflow)
            part = bits[:, index::6]
            assert np.array_equal(status[:, index::6], encoded(part, carrier, name, profile)[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MX_ELEMENTS, *OTHERS])
def test_every_rounding_and_overflow(name: str) -> None:
    fmt = find_element(name)
    for index, rounding in enumerate(DETERMINISTIC):
        for overflow in Overflow:
            profile = OCP.replace(rounding=rounding, overflow=overflow)
            carrier = CARRIERS[(index + (overflow is Overflow.SATURATE)) % 4]
            bits = element_inputs(fmt, carrier)
            assert_encodes(bits[index % 2 :: 2], carrier, fmt, profile)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["E4M3", "E5M2", "E2M1", "INT8", "E4M3FNUZ", "E3M4", "E5M10:ieee", "INT16"]
)
def test_every_field_flipped_alone(name: str) -> None:
    fmt = find_element(name)
    for field in FIELDS:
        for index, value in enumerate(alternatives(field)):
            if value is STOCHASTIC.rounding:
                continue
            for base in (OCP, OCP.replace(overflow="overflow", rounding="toward-positive")):
                carrier = CARRIERS[(index + (base is OCP)) % 4]
                assert_encodes(
                    element_inputs(fmt, carrier, 20)[::3],
                    carrier,
                    fmt,
                    base.replace(**{field: value}),
                )


def element_profiles() -> st.SearchStrategy[Profile]:
    """Any deterministic choice of all fields that an encoder reads."""
    choices = {
        field: st.sampled_from(
            [one for one in alternatives(field) if one is not STOCHASTIC.rounding]
        )
        for field in FIELDS
    }
    return st.fixed_dictionaries(choices).map(lambda given: OCP.replace(**given))


@pytest.mark.slow
@settings(max_examples=60)
@given(elements(), element_profiles(), st.sampled_from(CARRIERS))
def test_any_element_under_any_profile(fmt: ElementFormat, profile: Profile, carrier: str) -> None:
    assert_encodes(element_inputs(fmt, carrier, 20)[::5], carrier, fmt, profile)


@pytest.mark.slow
@pytest.mark.parametrize("random_bits", [1, 8, 32, 64])
@pytest.mark.parametrize(
    "name", ["E4M3", "E5M2", "E2M1", "INT8", "E4M3FNUZ", "E5M10:ieee", "INT32"]
)
def test_stochastic_rounding_with_given_words(name: str, random_bits: int) -> None:
    fmt, source = find_element(name), np.random.default_rng(random_bits)
    profile = STOCHASTIC.replace(random_bits=random_bits, overflow="overflow")
    top = (1 << random_bits) - 1
    for carrier in CARRIERS:
        bits = element_inputs(fmt, carrier, 100)[::5]
        words = source.integers(0, top, bits.shape, np.uint64, endpoint=True)
        words[::7], words[1::7] = 0, top
        assert_encodes(bits, carrier, fmt, profile, words)


@pytest.mark.parametrize("random_bits", [1, 8, 32, 33, 64])
def test_a_key_draws_a_word_for_each_position(random_bits: int) -> None:
    profile = STOCHASTIC.replace(random_bits=random_bits)
    x = np.linspace(-3, 3, 30, dtype=np.float32).reshape(5, 3, 2)
    for key in (0, 1, 0xFFFFFFFF, (1 << 64) - 1):
        words = np.array([philox.word(key, i, random_bits) for i in range(30)], np.uint64).reshape(
            5, 3, 2
        )
        expected = encoded(x.view(np.uint32), "binary32", "E4M3", profile, words)[0]
        for laid_out in (x, np.asfortranarray(x), x.transpose(2, 0, 1).copy().transpose(1, 2, 0)):
            assert np.array_equal(
                mxemu.encode(laid_out, "E4M3", profile=profile, key=key), expected
            )
    first = mxemu.encode(x[0, 0, 0], "E4M3", profile=profile, key=7)
    word = np.array(philox.word(7, 0, random_bits), np.uint64)
    assert first == mxemu.encode(x[0, 0, 0], "E4M3", profile=profile, random=word)


def test_random_words_are_broadcast() -> None:
    x = np.full((3, 4), 1.03125, np.float32)
    words = np.array([0, 1 << 30, 1 << 31, (1 << 32) - 1], np.uint32)
    found = mxemu.encode(x, "E4M3", profile=STOCHASTIC, random=words)
    assert (
        found.tolist()
        == [mxemu.encode(x[0], "E4M3", profile=STOCHASTIC, random=words).tolist()] * 3
    )
    assert len(set(found[0].tolist())) == 2


@pytest.mark.clause("MX-5.3-NORMAL", "MX-5.3-SUBNORMAL")
@pytest.mark.parametrize("dtype", CARRIERS)
@pytest.mark.parametrize("name", oracle.ELEMENTS)
def test_decode_of_every_code(name: str, dtype: str) -> None:
    codes = np.arange(1 << oracle.width(name))
    bits = mxemu.decode(codes, name, dtype=NUMBERS[dtype]).view(WORDS[dtype])
    for code, found in enumerate(bits.tolist()):
        value = oracle.decode(code, name)
        if value.kind == "nan":
            assert oracle.decode(found, dtype).kind == "nan"
        elif value.kind == "inf":
            assert oracle.decode(found, dtype) == value
        else:
            expected = oracle.round_to_carrier(Fraction(value.magnitude), dtype)
            assert found == expected | (oracle.sign_bit(dtype) if value.negative else 0), hex(code)


@pytest.mark.parametrize("field", ["element_subnormals", "out_of_binary32"])
@pytest.mark.parametrize(
    "name", ["E4M3", "INT8", "E5M2", "E8M0", "E8M7:ieee", "INT16", "binary32", "INT32"]
)
def test_decode_under_other_profiles(name: str, field: str) -> None:
    fmt = find_element(name)
    source = np.random.default_rng(3)
    codes = source.integers(0, (1 << fmt.width) - 1, 120, np.uint64, endpoint=True)
    codes[:4] = [0, 1, getattr(fmt, "max_code", 1), (1 << fmt.width) - 1]
    for choice in alternatives(field):
        profile = OCP.replace(**{field: choice})
        for dtype in CARRIERS:
            found = mxemu.decode(codes, fmt, profile=profile, dtype=NUMBERS[dtype])
            expected = [
                block.value_bits(scalar.decode(code, fmt, profile), dtype, profile)
                for code in codes.tolist()
            ]
            assert found.view(WORDS[dtype]).tolist() == expected, dtype


@pytest.mark.parametrize("name", [*MX_ELEMENTS, "INT32", "E5M10:ieee"])
def test_codes_are_in_the_smallest_dtype(name: str) -> None:
    width = find_element(name).width
    found = mxemu.encode(np.zeros(3), name)
    assert found.dtype == np.dtype(f"uint{next(size for size in (8, 16, 32, 64) if width <= size)}")


@pytest.mark.parametrize("carrier", CARRIERS)
def test_raw_bits_are_the_same_as_numbers(carrier: str) -> None:
    bits = element_inputs(find_element("E4M3"), carrier)
    by_number = mxemu.encode(numbers(bits, carrier), "E4M3")
    for raw in (bits, bits.astype(bits.dtype.newbyteorder(">"))):
        assert np.array_equal(mxemu.encode(raw, "E4M3", carrier=carrier), by_number)
    assert np.array_equal(mxemu.encode(bits, "E4M3", carrier=CARRIER_FORMATS[carrier]), by_number)


@pytest.mark.parametrize("carrier", CARRIERS)
def test_numbers_become_powers_of_two_as_in_the_core(carrier: str) -> None:
    """E8M0 has no zero; every choice of its conversion, alone and with a directed overflow."""
    form = CARRIER_FORMATS[carrier]
    magnitudes = {*specials(carrier), oracle.inf_bits(carrier) - 2}
    for field in range(oracle.inf_bits(carrier) >> form.mantissa_bits):
        tie = 1 << form.mantissa_bits >> 1
        near = [part % (2 * tie) for part in (-1, 0, 1, tie - 1, tie, tie + 1)]
        # binary64 has 2047 binades; those around E8M0's own are taken.
        if carrier != "binary64" or abs(field - form.bias) < 160:
            magnitudes.update(field << form.mantissa_bits | part for part in near)
    both = [sign | one for one in sorted(magnitudes) for sign in (0, form.sign_mask)]
    bits = np.array(both, WORDS[carrier])
    fields = ("scale_cast", "scale_zero", "scale_negative", "scale_overflow", "input_subnormals")
    for field_name in fields:
        for choice in alternatives(field_name):
            for base in (OCP, OCP.replace(scale_negative="magnitude", scale_overflow="nan")):
                profile = base.replace(**{field_name: choice})
                expected = [
                    encode_scale(scalar.carry_in(pattern, form, profile), E8M0, profile)
                    for pattern in bits.tolist()
                ]
                found = mxemu.encode(numbers(bits, carrier), "E8M0", profile=profile)
                assert found.tolist() == expected, profile
