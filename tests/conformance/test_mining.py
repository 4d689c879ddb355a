"""Rules about where a subject fails, from bugs of data paths that no profile and no known mistake describes."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.arrays import Array
from conformance.judges import (
    DequantizeJudge,
    EncodeJudge,
    Judge,
    QuantizeJudge,
    ScaledEncodeJudge,
    product_judge,
)
from conformance.vectors.features import features_of
from conformance.why.mining import Rule, mine
from mxemu.accumulation import EXACT
from mxemu.formats import BFLOAT16, BINARY32, E2M1, E4M3, MXFP4_E2M1, MXFP8_E4M3, MXFP8_E5M2
from mxemu.profile import OCP

DOT = product_judge("dot", "MXFP8_E4M3", BINARY32, "core", True, EXACT)
SMALL = product_judge("dot", "MXFP8_E4M3", BINARY32, "smoke", True, EXACT)
ENCODE = EncodeJudge(E4M3, BINARY32, "core")
SCALED = ScaledEncodeJudge(MXFP8_E4M3, BINARY32, "smoke")
QUANTIZE = QuantizeJudge(MXFP4_E2M1, BINARY32, "core")
DEQUANTIZE = DequantizeJudge(MXFP8_E5M2, BINARY32, "smoke")


def rules(judge: Judge, wrong: Array) -> list[Rule]:
    return mine(judge, wrong, np.ones(len(wrong), bool))


def borrow_at_a_tie(judge: Judge) -> Array:
    """One ulp off where the sum is negative, C lies far above the products and the discarded bits are a tie."""
    found = features_of(judge)
    return (
        (found["sign of the sum"] == "-")
        & (found["C above the largest product"] >= 23)
        & (found["tie"] == 1)
    )


def test_the_corner_of_a_dot_unit_is_described() -> None:
    wrong = borrow_at_a_tie(DOT)
    assert wrong.sum() >= 3
    found = rules(DOT, wrong)
    assert found[0].sharp
    assert "tie = 1" in found[0].parts
    assert any(part.startswith("sign of the") for part in found[0].parts)
    assert any(part.startswith("C above the largest product") for part in found[0].parts)
    assert found[0].text.endswith(f": {wrong.sum()} of {wrong.sum()} fail, 0 pass")


@pytest.mark.parametrize("seed", range(12))
def test_any_conjunction_of_two_facts_is_found_again(seed: int) -> None:
    """Bugs drawn at random: the rule that comes back need not be worded alike, but it has to be as sharp."""
    rng = np.random.default_rng(seed)
    judge = (ENCODE, SCALED, SMALL, QUANTIZE)[seed % 4]
    features = list(features_of(judge).items())
    for _ in range(200):
        (_, a), (_, b) = (features[at] for at in rng.choice(len(features), 2, replace=False))
        wrong = _holds(a, rng) & _holds(b, rng)
        if 5 <= wrong.sum() <= len(wrong) // 3:
            break
    found = rules(judge, wrong)
    assert found
    assert sum(rule.failing for rule in found) >= wrong.sum() or found[0].passing == 0
    assert found[0].passing <= wrong.sum() // 4
    if found[0].failing == wrong.sum():
        assert len(found[0].parts) <= 4


def _holds(values: Array, rng: np.random.Generator) -> Array:
    if values.dtype.kind in "US":
        return values == rng.choice(np.unique(values))
    edge = rng.choice(np.unique(values))
    return values >= edge if rng.random() < 0.5 else values <= edge


def test_a_rule_never_claims_more_than_it_has_seen() -> None:
    wrong = np.zeros(len(ENCODE.cases), bool)
    wrong[np.random.default_rng(0).choice(len(wrong), 40, replace=False)] = True
    for rule in rules(ENCODE, wrong):
        assert 0 < rule.failing <= rule.of == 40
        assert not rule.sharp or rule.failing == 40
        assert f"{rule.passing} pass" in rule.text


def test_two_faults_give_two_rules() -> None:
    found = features_of(ENCODE)
    wrong = (found["input"] == "NaN") | ((found["tie"] == 1) & (found["sign"] == "-"))
    texts = [rule.text for rule in rules(ENCODE, wrong)]
    assert len(texts) == 2
    assert any("input = NaN" in text for text in texts)
    assert any("tie = 1" in text and "sign = -" in text for text in texts)


@pytest.mark.parametrize(
    ("judge", "name", "value", "expected"),
    [
        (DEQUANTIZE, "scale", 0, "scale = 0"),
        (QUANTIZE, "lane of the largest of values", 17, "lane of the largest of values = 17"),
        (SCALED, "scale", 254, "scale = 254"),
        (EncodeJudge(E2M1, BFLOAT16, "core"), "tie", 1, "tie = 1"),
    ],
)
def test_a_single_fact_is_a_single_fact(judge: Judge, name: str, value: int, expected: str) -> None:
    found = rules(judge, features_of(judge)[name] == value)
    assert found[0].parts == (expected,)
    assert found[0].sharp


def test_where_there_is_nothing_to_tell_apart() -> None:
    everything = np.ones(len(ENCODE.cases), bool)
    assert rules(ENCODE, everything) == []
    assert rules(ENCODE, ~everything) == []
    two = np.zeros(len(ENCODE.cases), bool)
    two[:2] = True
    assert rules(ENCODE, two) == []
    grid = product_judge("matmul", "MXFP8_E4M3", BINARY32, "smoke", True, EXACT)
    some = np.arange(len(grid.cases)) % 3 == 0
    assert rules(grid, some) == []


def test_features_belong_to_their_cases() -> None:
    for judge in (ENCODE, SCALED, QUANTIZE, DEQUANTIZE, SMALL):
        for name, values in features_of(judge).items():
            assert values.shape == (len(judge.cases),), name
            assert values.dtype.kind in "iuUS", (name, values.dtype)
    found = features_of(ENCODE)
    codes = ENCODE.expected(OCP)
    exact = (found["guard bit"] == 0) & (found["round bit"] == 0) & (found["sticky"] == 0)
    assert np.array_equal(codes[exact], ENCODE.expected(OCP.replace(rounding="to-odd"))[exact])
