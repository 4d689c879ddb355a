"""quantize against the exact core: every scale rule, preset and profile field, on blocks that are hard to convert."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from core_arrays import (
    CARRIERS,
    CUSTOM_FORMATS,
    DETERMINISTIC,
    FORMATS,
    NUMBERS,
    Array,
    Blockmaker,
    clamp_fits,
    numbers,
    presets,
    quantized,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import mxemu
from mxemu import philox, scalar
from mxemu.formats import BINARY32, BlockFormat, block_format
from mxemu.profile import OCP, PRESETS, SCALE_RULES, Overflow, Profile, alternatives
from mxemu.value import Value

STOCHASTIC = PRESETS["stochastic"]
# Fields that a quantizer reads, each with values that are not the default.
ENUMERATED = (
    "rounding",
    "overflow",
    "element_subnormals",
    "input_subnormals",
    "zero_sign",
    "nan_code",
    "nan_without_code",
    "int_minimum",
    "scale_rule",
    "zero_block",
    "amax_nan",
    "nan_block",
    "inf_block",
    "scale_overflow",
    "scale_cast",
    "scale_zero",
    "scale_negative",
    "scale_nan",
    "out_of_binary32",
)
FLOORS = (Value(0, 13743895, -37), Value(0, 1, -140), Value(0, 3, 90))
CLAMPS = ((1, 254), (0, 120), (130, 140), (7, 7))
FLIPS: list[dict[str, Any]] = [
    *[
        {field: value}
        for field in ENUMERATED
        for value in alternatives(field)
        if value is not getattr(OCP, field) and value is not STOCHASTIC.rounding
    ],
    *[{"amax_floor": floor} for floor in FLOORS],
    *[{"scale_clamp": clamp} for clamp in CLAMPS],
]
# Under this one Inf and NaN reach the elements.
OPEN = PRESETS["finite-amax"]


def assert_as_core(
    bits: Array,
    carrier: str,
    fmt: BlockFormat,
    profile: Profile,
    tensor_scale: np.float32 | None = None,
) -> None:
    """Scale codes, element codes and statuses of blocks given as rows."""
    x = numbers(bits, carrier)
    found, status = mxemu.quantize(
        x, fmt, profile=profile, tensor_scale=tensor_scale, return_status=True
    )
    expected = quantized(bits, carrier, fmt, profile, tensor_scale=as_value(tensor_scale))
    same = (found.scales == expected.scales) & (found.codes == expected.codes).all(axis=-1)
    same &= (status == expected.status).all(axis=-1)
    if not same.all():
        at = tuple(int(i) for i in np.argwhere(~same)[0])
        raise AssertionError(
            f"{carrier} {fmt} {profile}: block {at} {[hex(one) for one in bits[at[0]].tolist()]} gives "
            f"{found.scales[at]} {found.codes[at].tolist()} {status[at].tolist()}, the core "
            f"{expected.scales[at]} {expected.codes[at].tolist()} {expected.status[at].tolist()}"
        )


def as_value(scale: np.float32 | None) -> Value | None:
    return None if scale is None else scalar.decode(int(scale.view(np.uint32)), BINARY32)


def check(
    carrier: str,
    fmt: BlockFormat,
    profile: Profile,
    count: int,
    tensor_scale: np.float32 | None = None,
) -> None:
    profile = clamp_fits(profile, fmt.scale)
    maker = Blockmaker(carrier, fmt, profile, profile.changes())
    assert_as_core(maker.make(count), carrier, fmt, profile, tensor_scale)


@pytest.mark.slow
@pytest.mark.clause("MX-6.3-SCALE", "MX-6.3-ELEM", "MX-6.3-ALT")
@pytest.mark.parametrize("name", FORMATS)
def test_every_scale_rule(name: str) -> None:
    """Each in another carrier; blocks of binary32 under all of them are among the exhaustive tests."""
    for index, rule in enumerate(SCALE_RULES.values()):
        carrier = CARRIERS[(index + FORMATS.index(name)) % 4]
        check(carrier, block_format(name), OCP.replace(scale_rule=rule), 45)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_every_preset(name: str) -> None:
    for index, profile in enumerate(presets()):
        check(CARRIERS[(index + len(name)) % 4], block_format(name), profile, 36)


@pytest.mark.slow
@pytest.mark.clause("MX-6.3-RNE", "MX-6.3-RND")
@pytest.mark.parametrize("name", FORMATS)
def test_every_rounding_and_overflow(name: str) -> None:
    for index, rounding in enumerate(DETERMINISTIC):
        for overflow in Overflow:
            profile = OPEN.replace(rounding=rounding, overflow=overflow, scale_rule="FLOOR")
            check(CARRIERS[index % 4], block_format(name), profile, 45)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MXFP8_E4M3", "MXFP4_E2M1", "MXINT8", "NVFP4", "E5M2FNUZ/E8M0/8"])
def test_every_field_flipped_alone(name: str) -> None:
    for index, flip in enumerate(FLIPS):
        base = OPEN if index % 2 and not flip.keys() & {"nan_block", "inf_block"} else OCP
        check(CARRIERS[1 + index % 3], block_format(name), base.replace(**flip), 18)


def any_profile() -> st.SearchStrategy[Profile]:
    """Any deterministic choice of every field at once."""
    choices: dict[str, st.SearchStrategy[Any]] = {
        field: st.sampled_from(
            [one for one in alternatives(field) if one is not STOCHASTIC.rounding]
        )
        for field in ENUMERATED
    }
    choices["amax_floor"] = st.sampled_from([None, None, *FLOORS])
    choices["scale_clamp"] = st.sampled_from([None, None, *CLAMPS])
    return st.fixed_dictionaries(choices).map(lambda given: OCP.replace(**given))


@pytest.mark.slow
@settings(max_examples=60)
@given(
    any_profile(),
    st.sampled_from(["E4M3/E8M0/4", "E5M2/E8M0/3", "E2M1/E4M3/4", "INT8/E8M0/4", "E3M4/E5M2/4"]),
    st.sampled_from(CARRIERS),
    st.sampled_from([None, None, np.float32(0.25), np.float32(1.0123)]),
)
def test_all_fields_at_once(
    profile: Profile, name: str, carrier: str, second: np.float32 | None
) -> None:
    check(carrier, block_format(name), profile, 36, second)


@pytest.mark.slow
@pytest.mark.parametrize("name", CUSTOM_FORMATS)
def test_custom_formats(name: str) -> None:
    fmt = block_format(name)
    for index, profile in enumerate((OCP, OPEN, *[PRESETS[one] for one in ("ratio", "rceil")])):
        for rounding in ("ties-to-even", "to-odd", "toward-positive"):
            check(CARRIERS[index % 4], fmt, profile.replace(rounding=rounding), 18)


def test_a_scale_format_as_wide_as_binary32() -> None:
    fmt, source = block_format("INT8/binary32/32"), np.random.default_rng(5)
    bits = source.standard_normal((12, 32)).astype(np.float32).view(np.uint32)
    bits[3], bits[5, 7] = 0x80000000, 0x7F7FFFFF
    for rule in ("FLOOR", "RATIO"):
        assert_as_core(bits, "binary32", fmt, OCP.replace(scale_rule=rule))


@pytest.mark.parametrize("k", [1, 2, 7, 16, 31, 64, 1000])
@pytest.mark.parametrize("name", ["E4M3/E8M0/1", "INT8/E8M0/1", "E2M1/E4M3/1"])
def test_block_sizes(name: str, k: int) -> None:
    fmt = replace(block_format(name), k=k)
    for carrier in ("binary32", "bfloat16"):
        check(carrier, fmt, OCP.replace(scale_rule="RCEIL"), 18 if k < 100 else 9)


def tensor_scales() -> list[np.float32]:
    """Powers of two, a round number, arbitrary ones, and both ends of binary32."""
    ends = [np.float32(2.0**-149), np.finfo(np.float32).max, np.float32(2.0**-126)]
    return [np.float32(one) for one in (1.0, 0.25, 2.0**20, 1.5, 0.0123, 3.3e-9, 7e11)] + ends


@pytest.mark.slow
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("name", ["NVFP4", "MXFP8_E4M3", "MXINT8"])
def test_tensor_scales(name: str, carrier: str) -> None:
    rules = ("RATIO", "FLOOR", "RCEIL_BINARY32")
    start = CARRIERS.index(carrier)
    for index, scale in enumerate(tensor_scales()[start % 2 :: 2]):
        profile = OCP.replace(scale_rule=rules[index % 3], rounding=DETERMINISTIC[index % 6])
        check(carrier, block_format(name), profile, 18, scale)


@pytest.mark.parametrize("second", [0.0123, 3.3e-9, 1.7, 1.03125, 1.421875, 1.1796875])
@pytest.mark.parametrize("carrier", ["binary16", "bfloat16"])
def test_status_between_the_numbers_that_a_narrow_carrier_has(carrier: str, second: float) -> None:
    """Whether a quotient by an arbitrary scale is tiny is decided between two inputs, not at one."""
    fmt, profile = block_format("NVFP4"), OCP.replace(scale_rule="RATIO")
    bits = np.empty((30, 16), np.uint16)
    for row, top in enumerate(np.linspace(1, 2, 30)):
        # The smallest normal element, 1, is about the largest number / 6.
        ends = np.array([top, top / 6]).astype(NUMBERS[carrier]).view(np.uint16)
        bits[row] = [ends[0], *range(ends[1] - 7, ends[1] + 8)]
    assert_as_core(bits, carrier, fmt, profile, np.float32(second))


@pytest.mark.slow
@pytest.mark.parametrize(
    "flip",
    [
        {"input_subnormals": "flush"},
        {"input_subnormals": "flush-block"},
        {"amax_floor": Value(0, 1, 2)},
        {"scale_clamp": (40, 50)},
        {"zero_block": "as-two"},
        {"scale_overflow": "nan"},
        {"element_subnormals": "flush"},
        {"inf_block": "scale-largest", "amax_nan": "ignore"},
        {"nan_block": "scale-smallest", "amax_nan": "propagate"},
    ],
    ids=str,
)
def test_fields_with_a_tensor_scale(flip: dict[str, Any]) -> None:
    profile = OPEN.replace(scale_rule="RATIO", **flip)
    check("bfloat16", block_format("NVFP4"), profile, 27, np.float32(1.5))
    check("binary32", block_format("NVFP4"), profile, 27, np.float32(0.0123))


def carried_blocks(fmt: BlockFormat, top: float, carrier: str) -> Array:
    """Blocks whose largest magnitude runs up to a power of two and over it."""
    dtype = np.float64 if carrier == "binary64" else np.float32
    edge = int(np.array(top, dtype).view(f"u{np.dtype(dtype).itemsize}"))
    step = 1 << (44 if carrier == "binary64" else 15)
    tops = [edge + by for by in (-step, -step // 2, -2, -1, 0, 1, step)]
    bits = np.zeros((len(tops), fmt.k), f"u{np.dtype(dtype).itemsize}")
    bits[:, fmt.k // 2] = tops
    return bits


@pytest.mark.parametrize("name", FORMATS)
def test_the_carry_out_of_binary32_is_found_in_wider_inputs(name: str) -> None:
    """EVEN_CARRY_NAN gives NaN just below 2^128 and a number again above it."""
    fmt, profile = block_format(name), OCP.replace(scale_rule="EVEN_CARRY_NAN")
    assert_as_core(carried_blocks(fmt, 2.0**128, "binary64"), "binary64", fmt, profile)
    bits = carried_blocks(fmt, 2.0**120, "binary32")
    assert_as_core(bits, "binary32", fmt, profile, np.float32(2.0**-8))


@pytest.mark.slow
@pytest.mark.parametrize("random_bits", [1, 8, 32, 64])
@pytest.mark.parametrize(
    "name", ["MXFP8_E4M3", "MXFP4_E2M1", "MXINT8", "NVFP4", "E5M10:ieee/E8M0/9", "INT32/E8M0/4"]
)
def test_stochastic_rounding_with_given_words(name: str, random_bits: int) -> None:
    fmt = block_format(name)
    profile = STOCHASTIC.replace(random_bits=random_bits, scale_rule="RATIO")
    source = np.random.default_rng(random_bits)
    for index, carrier in enumerate(CARRIERS):
        for second in (None, np.float32((0.0123, 0.5, 3.7e5, 1.5)[index])):
            value = as_value(second)
            bits = Blockmaker(carrier, fmt, OCP, random_bits).make(18)
            top = (1 << random_bits) - 1
            words = source.integers(0, top, bits.shape, np.uint64, endpoint=True)
            found, status = mxemu.quantize(
                numbers(bits, carrier),
                fmt,
                profile=profile,
                tensor_scale=second,
                random=words,
                return_status=True,
            )
            expected = quantized(bits, carrier, fmt, profile, words=words, tensor_scale=value)
            assert np.array_equal(found.scales, expected.scales)
            assert np.array_equal(found.codes, expected.codes)
            assert np.array_equal(status, expected.status)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("random_bits", [1, 8, 32, 64])
def test_a_key_draws_by_position_in_c_order(axis: int, random_bits: int) -> None:
    fmt, key = block_format("E4M3/E8M0/4"), (1 << 64) - 12345
    profile = STOCHASTIC.replace(random_bits=random_bits)
    x = np.random.default_rng(axis).standard_normal((4, 6, 8)).astype(np.float32)
    words = [philox.word(key, index, random_bits) for index in range(x.size)]
    drawn = np.array(words, np.uint64).reshape(x.shape)
    for laid_out in (x, np.asfortranarray(x), x[::-1, :, ::-1][::-1, :, ::-1]):
        found = mxemu.quantize(laid_out, fmt, axis=axis, profile=profile, key=key, tail="partial")
        expected = quantized(x.view(np.uint32), "binary32", fmt, profile, axis, drawn)
        assert np.array_equal(found.codes, expected.codes)
        assert np.array_equal(found.scales, expected.scales)


def test_the_amax_tensor_scale_uses_the_range_of_both_formats() -> None:
    x = np.array([[3.0, -2.5] * 8, [np.nan, np.inf] + [0.1] * 14], np.float32)
    found = mxemu.quantize(x, "NVFP4", profile="ratio", tensor_scale="amax")
    assert found.tensor_scale == np.float32(3.0) / np.float32(6 * 448)
    assert found.scales[0, 0] == 0x7E
    zeros = mxemu.quantize(np.zeros((1, 16)), "NVFP4", tensor_scale="amax")
    assert zeros.tensor_scale == np.float32(1)


@pytest.mark.parametrize("top", [1e300, 2.0**200, 1e-300, 5e-324])
def test_the_amax_tensor_scale_of_numbers_beyond_binary32_is_finite(top: float) -> None:
    found = mxemu.quantize(np.full((1, 16), top), "NVFP4", profile="ratio", tensor_scale="amax")
    assert found.tensor_scale is not None
    assert 0 < found.tensor_scale < np.inf


# One leaves 1 and the other 3 when divided by 4, so that the tie lies above an odd and above an even code.
@pytest.mark.parametrize("divisor", [12345677, 12345679])
@pytest.mark.parametrize("rounding", ["ties-to-even", "ties-to-away", "toward-zero", "to-odd"])
def test_a_rest_below_all_bits_of_the_quotient_decides_a_tie(rounding: str, divisor: int) -> None:
    """V = (t * d + rest) / 2^13 with t a tie of 42 bits: V / d misses it by 2^-66, below the kernel's 62 bits."""
    fmt, bits = block_format("E5M40:finite/E8M0/1"), 13
    second = np.float32(divisor)
    found = []
    for rest in (-1, 1):
        for high in range(1 << 41, (1 << 41) + (1 << 15), 1 << 13):
            # An odd t with t * d + rest a multiple of 2^13; d is odd, so there is one.
            t = high + (-rest * pow(divisor, -1, 1 << bits)) % (1 << bits)
            product = t * divisor + rest
            assert product % (1 << bits) == 0
            assert t % 2 == 1
            assert product >> bits < 1 << 53
            found.append(float(product >> bits))
    assert len(found) == 8
    x = np.array(found).view(np.uint64).reshape(-1, 1)
    assert_as_core(x, "binary64", fmt, OCP.replace(rounding=rounding), second)
