"""Stochastic rounding with every random word: the oracle's code, the exact mean, and each word its own step."""

from __future__ import annotations

from fractions import Fraction

import oracle
import pytest
from exhaustive.bridge import flags, to_value
from oracle import ELEMENTS, OVERFLOWS, Number

from mxemu import scalar
from mxemu.profile import OCP, Overflow, Rounding


def sample(name: str, bits: int) -> list[Fraction]:
    """Magnitudes inside, at and between the steps that `bits` random bits can tell apart, for some pairs of codes."""
    entries = oracle.half(name, negative=False).magnitudes
    last = len(entries) - 2
    picked = sorted({0, 1, 2, 3, last // 3, last // 2, last - 2, last - 1, last})
    # Fractions of an ulp: none, one step, half, all steps; then half a step off, and a hair beside a step.
    steps = [Fraction(n, 2**bits) for n in (0, 1, 2 ** (bits - 1), 2**bits - 1)]
    steps += [
        Fraction(3, 2 ** (bits + 1)),
        Fraction(1, 2) + oracle.power(-60),
        1 - oracle.power(-60),
    ]
    found = {entries[i] + part * (entries[i + 1] - entries[i]) for i in picked for part in steps}
    return sorted(found | {entries[-1], 3 * entries[-1]})


@pytest.mark.clause("MX-5.3.2-RND", "MX-5.3.3-RND", "MX-5.3.4-RND", "MX-6.3-RND")
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ELEMENTS)
def test_every_random_word(name: str, bits: int) -> None:
    for overflow in OVERFLOWS:
        profile = OCP.replace(
            rounding=Rounding.STOCHASTIC, random_bits=bits, overflow=Overflow[overflow]
        )
        for index, magnitude in enumerate(sample(name, bits)):
            number = Number("finite", index % 2 == 1, magnitude)
            value = to_value(number)
            for word in range(2**bits):
                code, status = scalar.encode(value, name, profile, word)
                expected = oracle.encode(number, name, "STOCHASTIC", overflow, word=word, bits=bits)
                assert (code, flags(status)) == expected, (number, word)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ELEMENTS)
def test_the_mean_over_all_words_is_the_value(name: str, bits: int) -> None:
    """Exactly, if no more than `bits` bits are discarded."""
    profile = OCP.replace(rounding=Rounding.STOCHASTIC, random_bits=bits)
    entries = oracle.half(name, negative=False).magnitudes[:-1]
    for index in {0, 1, 2, len(entries) // 2, len(entries) - 2}:
        low, high = entries[index], entries[index + 1]
        for step in (1, 3, 2 ** (bits - 1), 2**bits - 1):
            real = low + (high - low) * Fraction(step, 2**bits)
            for signed in (real, -real):
                value = to_value(oracle.number(signed))
                codes = [scalar.encode(value, name, profile, word).code for word in range(2**bits)]
                total = sum((oracle.decode(code, name).real for code in codes), Fraction(0))
                assert total == signed * 2**bits
                # Larger words never round down where smaller ones rounded up.
                magnitudes = [oracle.decode(code, name).magnitude for code in codes]
                assert magnitudes == sorted(magnitudes)
