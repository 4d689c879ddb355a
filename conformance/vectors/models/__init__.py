"""The coverage models: what has to be decided in each operation, and which mistakes would show it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from conformance.arrays import Array, dot_bits, encode_by_runs
from conformance.judges import Judge
from conformance.vectors.bins import Coverpoint, Mutant, cases_of
from conformance.vectors.verify import changes
from conformance.vectors.models.blocks import quantization, reading
from conformance.vectors.models.elements import Parts, conversion, scales
from conformance.vectors.models.products import ACCUMULATIONS, products
from conformance.vectors.of_blocks import Dequantize, Quantize
from conformance.vectors.of_elements import Decode, Encode, EncodeScaled
from conformance.vectors.of_products import Dot
from conformance.vectors.suites import Suite
from conformance.vectors.table import Batch
from conformance.zoo import mistakes
from conformance.zoo.reference import Reference
from mxemu.accumulations import find as find_accumulation
from mxemu.formats import BINARY64, ElementFormat, FloatFormat, IntFormat
from mxemu.profile import Profile

_CHOICES: Mapping[str, Mapping[str, str]] = {
    "ties-to-away": {"rounding": "ties-to-away"},
    "toward-zero": {"rounding": "toward-zero"},
    "toward-positive": {"rounding": "toward-positive"},
    "toward-negative": {"rounding": "toward-negative"},
    "to-odd": {"rounding": "to-odd"},
    "overflow": {"overflow": "overflow"},
    "element-flush": {"element_subnormals": "flush"},
    "input-flush": {"input_subnormals": "flush"},
    "zero-positive": {"zero_sign": "positive"},
    "rule-even": {"scale_rule": "EVEN"},
    "rule-ceil": {"scale_rule": "CEIL"},
    "rule-rceil": {"scale_rule": "RCEIL"},
    "rule-log": {"scale_rule": "LOG_NEAREST"},
    "zero-block": {"zero_block": "one"},
    "nan-ignored": {"amax_nan": "ignore"},
    "inf-finite": {"inf_block": "finite-amax"},
}
"""Other choices of a profile, by the word that claims use."""


def mutants(suite: Suite) -> dict[str, Mutant]:
    """Every mistake that can be made in a set's operation: members of the zoo, and other choices.

    ``wrong-code`` stands for a table with one wrong entry: it changes every result. ``overflow-wraps`` drops what does
    not fit the code, ``inf-as-zero`` makes nothing of Inf.
    """
    found: dict[str, Mutant] = {"wrong-code": lambda batch: np.ones(len(batch), bool)}
    judge = suite.judge()
    if judge is not None:
        for member in mistakes(judge):
            found[member.name] = _member(suite, judge, member)
    if isinstance(suite, (Encode, EncodeScaled)):
        found["overflow-wraps"] = _wrapped(suite)
        found["inf-as-zero"] = _inf_as_zero(suite)
    if isinstance(suite, Dot):
        for name in ACCUMULATIONS:
            found[name] = _accumulation(suite, name)
        return found
    for name, choice in _CHOICES.items():
        profile = suite.key.profile.replace(**choice)
        if profile.changes(suite.key.profile):
            found[name] = _choice(suite, profile)
    return found


def _member(suite: Suite, judge: Judge, member: Reference) -> Mutant:
    """A member of the zoo on the vectors of a batch."""

    def changed(batch: Batch) -> Array:
        own = judge.on(cases_of(suite, batch))
        observed = member.outcome(own, suite.key.profile)
        differs, silent = own.compare(observed, suite.key.profile)
        return np.asarray(differs | silent)

    return changed


def _choice(suite: Suite, profile: Profile) -> Mutant:
    def changed(batch: Batch) -> Array:
        inputs = {one.name: batch.columns[one.name] for one in suite.inputs}
        return changes(suite, batch, suite.results(inputs, profile))

    return changed


def _wrapped(suite: Encode | EncodeScaled) -> Mutant:
    """An encoder with one exponent bit or integer bit more, of whose code the top bit is dropped."""
    element = suite.element
    wider: ElementFormat
    if isinstance(element, FloatFormat):
        wider = FloatFormat("wider", element.exponent_bits + 1, element.mantissa_bits, element.bias)
    else:
        wider = IntFormat("wider", element.width + 1, element.fraction_bits)
    low = (1 << (element.width - 1)) - 1

    def changed(batch: Batch) -> Array:
        values = np.asarray(Parts(suite, batch).values)
        codes = encode_by_runs(values.view(np.uint64), wider, BINARY64, suite.key.profile)
        sign = np.where(np.signbit(values), low + 1, 0) if isinstance(element, FloatFormat) else 0
        kept = codes & low | sign if isinstance(element, FloatFormat) else codes & (2 * low + 1)
        return changes(suite, batch, {"code": kept.astype(batch.columns["code"].dtype)})

    return changed


def _inf_as_zero(suite: Encode | EncodeScaled) -> Mutant:
    def changed(batch: Batch) -> Array:
        zero = np.where(np.isinf(Parts(suite, batch).values), 0, batch.columns["code"])
        return changes(suite, batch, {"code": zero})

    return changed


def _accumulation(suite: Dot, name: str) -> Mutant:
    record = find_accumulation(name)

    def changed(batch: Batch) -> Array:
        dots = suite.layout.dots(suite.rows(batch.columns))
        return changes(suite, batch, {"result": dot_bits(dots, record)})

    return changed


def coverpoints(suite: Suite) -> list[Coverpoint]:
    """The coverage model of a set; empty where there is none."""
    match suite:
        case Encode() | EncodeScaled():
            return [
                *conversion(suite),
                *(scales(suite) if isinstance(suite, EncodeScaled) else []),
            ]
        case Decode():
            codes = [f"{code:#x}" for code in range(1 << suite.element.width)]
            return [Coverpoint("code", codes, lambda batch: batch.columns["code"], ("wrong-code",))]
        case Quantize():
            return quantization(suite)
        case Dequantize():
            return reading(suite)
        case Dot():
            return products(suite)
        case _:
            return []
