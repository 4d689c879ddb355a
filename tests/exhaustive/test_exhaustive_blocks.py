"""Scales at every binade and whole blocks against the oracle."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

import oracle
import pytest
from exhaustive.bridge import core_profile, flags, to_value
from oracle import MX_ELEMENTS, Number

from mxemu import block, formats, scale
from mxemu.profile import OCP

BLOCKS = {record.element.name: record for record in formats.CONCRETE}
RULES = (
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
)
K = 32
# Mantissas where some rule steps for some element format: 1, 5/4, 3/2, 7/4, 15/8, 31/16, 63/32, 127/64, 255/128, and
# sqrt(2) times 1, 3/4, 7/8, 15/16, 127/128, cut; with their neighbours in binary32.
_STEPS = (0x000000, 0x200000, 0x400000, 0x600000, 0x700000, 0x780000, 0x7C0000, 0x7E0000, 0x7F0000)
_ROOTS = (0x3504F3, 0x07C3B6, 0x1E6454, 0x29B4A4, 0x339AE9)
MANTISSAS = sorted({(at + near) & 0x7FFFFF for at in (*_STEPS, *_ROOTS) for near in (-1, 0, 1)})


def magnitudes(fields: Iterator[int] | range) -> Iterator[Number]:
    """binary32 numbers of these exponent fields at all mantissas of interest; zero is left out."""
    for field in fields:
        for mantissa in MANTISSAS:
            if field or mantissa:
                yield oracle.decode(field << 23 | mantissa, "binary32")


@pytest.mark.clause("MX-6.3-SCALE")
@pytest.mark.parametrize("name", MX_ELEMENTS)
def test_floor_in_every_binade(name: str) -> None:
    for number in magnitudes(range(255)):
        found = scale.scale_code(to_value(number), BLOCKS[name], OCP)
        assert found == oracle.scale_code(number.magnitude, name), number


@pytest.mark.clause("MX-6.3-SCALE")
@pytest.mark.parametrize("name", MX_ELEMENTS)
def test_floor_of_every_bfloat16_and_of_every_subnormal_power(name: str) -> None:
    for bits in range(1, 0x7F80):
        number = oracle.decode(bits, "bfloat16")
        found = scale.scale_code(to_value(number), BLOCKS[name], OCP)
        assert found == oracle.scale_code(number.magnitude, name), number
    for place in range(23):
        for bits in {1 << place, (2 << place) - 1}:
            number = oracle.decode(bits, "binary32")
            found = scale.scale_code(to_value(number), BLOCKS[name], OCP)
            assert found == oracle.scale_code(number.magnitude, name), number


@pytest.mark.clause("MX-6.3-ALT", "MX-4-SCOPE-SCALEALG")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", MX_ELEMENTS)
def test_every_exact_rule_at_its_steps(name: str, rule: str) -> None:
    profile = OCP.replace(scale_rule=rule)
    for number in magnitudes(iter((0, 1, 2, 7, 126, 127, 128, 200, 253, 254))):
        found = scale.scale_code(to_value(number), BLOCKS[name], profile)
        assert found == oracle.scale_code(number.magnitude, name, rule), number


def blocks(name: str) -> Iterator[list[Number]]:
    """Blocks of binary32 numbers: one binade, a few, all of them; with zeros of both signs."""
    source = random.Random(f"blocks of {name}")
    for spread in (0, 1, 3, 8, 30, 250):
        for low in (0, 60, 127, 254 - spread):
            bits = [
                source.getrandbits(1) << 31
                | min(low + source.randint(0, spread), 254) << 23
                | source.getrandbits(23) & source.choice((0x7FFFFF, 0x700000, 0x7C0000))
                for _ in range(K)
            ]
            bits[source.randrange(K)] = 0x80000000
            bits[source.randrange(K)] = 0x00000000
            yield [oracle.decode(pattern, "binary32") for pattern in bits]


@pytest.mark.clause("MX-6.3-MECH", "MX-6.3-ELEM", "MX-6.3-CLAMP", "MX-6.3-RNE", "MX-6.3-RND")
@pytest.mark.parametrize("rounding", oracle.ROUNDINGS)
@pytest.mark.parametrize("name", MX_ELEMENTS)
def test_whole_blocks(name: str, rounding: str) -> None:
    profile = core_profile(rounding, "SATURATE")
    for values in blocks(name):
        found = block.quantize([to_value(value) for value in values], BLOCKS[name], profile)
        assert (found.scale, found.codes) == oracle.quantize(values, name, rounding=rounding)
        divisor = oracle.decode(found.scale, "E8M0").magnitude
        for value, status in zip(values, found.status, strict=True):
            quotient = value._replace(magnitude=value.magnitude / divisor)
            assert flags(status) == oracle.encode(quotient, name, rounding).status


@pytest.mark.clause("MX-6.3-ALT")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", MX_ELEMENTS)
def test_whole_blocks_under_other_rules(name: str, rule: str) -> None:
    profile = OCP.replace(scale_rule=rule)
    for values in list(blocks(name))[::3]:
        found = block.quantize([to_value(value) for value in values], BLOCKS[name], profile)
        assert (found.scale, found.codes) == oracle.quantize(values, name, rule)


@pytest.mark.parametrize("name", MX_ELEMENTS)
def test_blocks_of_zeros_and_with_specials(name: str) -> None:
    zeros = [oracle.number(0), Number("finite", True, Fraction(0))] * (K // 2)
    found = block.quantize([to_value(value) for value in zeros], BLOCKS[name])
    assert (found.scale, found.codes) == oracle.quantize(zeros, name)
    for special in (oracle.infinity(False), oracle.infinity(True), oracle.nan(), oracle.nan(True)):
        for lane in range(K):
            values = [special if i == lane else oracle.number(1) for i in range(K)]
            quantized = block.quantize([to_value(value) for value in values], BLOCKS[name])
            assert quantized.scale == oracle.quantize(values, name)[0] == 0xFF
