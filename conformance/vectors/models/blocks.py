"""Blocks: the largest magnitude and its scale, and what is read back."""

from __future__ import annotations

import numpy as np

from conformance.arrays import Array
from conformance.vectors.bins import Coverpoint
from conformance.vectors.models.shared import RESULTS, place_among, result_classes
from conformance.vectors.of_blocks import Dequantize, Quantize, scale_steps
from conformance.vectors.table import Batch


def quantization(suite: Quantize) -> list[Coverpoint]:
    """quantize: which scale, from which element, and blocks that are not ordinary."""
    k, carrier, block = suite.block.k, suite.carrier, suite.block
    scales = sorted(set(scale_steps(carrier, block, suite.key.profile)[1].tolist()))
    rules = ("rule-even", "rule-ceil", "rule-rceil", "rule-log")

    def magnitudes(batch: Batch) -> Array:
        values = batch.columns["values"]
        return values & values.dtype.type(carrier.magnitude_mask)

    def lane(batch: Batch) -> Array:
        found = magnitudes(batch)
        largest = found.max(axis=1)
        alone = (found == largest[:, None]).sum(axis=1) == 1
        return np.where(alone, found.argmax(axis=1), -1)

    def sign(batch: Batch) -> Array:
        at = lane(batch)
        first = batch.columns["values"][np.arange(len(batch)), np.maximum(at, 0)]
        negative = (first & first.dtype.type(carrier.sign_mask)) != 0
        return np.where(at < 0, -1, negative.astype(np.int64))

    def content(batch: Batch) -> Array:
        found = magnitudes(batch)
        inf = carrier.magnitude_mask - len(carrier.nans)
        subnormal = (found < 1 << carrier.mantissa_bits).all(axis=1) & (found > 0).any(axis=1)
        return np.column_stack(
            [
                (found == 0).all(axis=1),
                subnormal,
                (found == inf).any(axis=1),
                (found > inf).any(axis=1),
                (found == inf).any(axis=1) & (found > inf).any(axis=1),
                (found == found.max(axis=1)[:, None]).sum(axis=1) > 1,
            ]
        )

    contents = ["zeros", "subnormals only", "Inf", "NaN", "Inf and NaN", "two equal largest"]
    distinguishing = [
        Coverpoint(
            f"tells FLOOR from {name.removeprefix('rule-').upper()}",
            ["yes"],
            lambda batch: np.zeros(len(batch), np.int64),
            (name,),
        )
        for name in rules
    ]
    wrong = ("wrong-code",)
    lanes = [f"lane {at}" for at in range(k)]
    return [
        Coverpoint(
            "scale",
            [f"{code:#04x}" for code in scales],
            lambda batch: place_among(batch.columns["scale"], scales),
            wrong,
        ),
        Coverpoint(
            "lane of the largest",
            lanes,
            lane,
            ("amax-of-half-the-lanes", "pairs-swapped", "wrong-code"),
        ),
        Coverpoint("sign of the largest", ["+", "-"], sign, ("max-without-abs", "wrong-code")),
        Coverpoint(
            "content",
            contents,
            content,
            ("zero-block", "nan-ignored", "inf-finite", "input-flush", "wrong-code"),
        ),
        *distinguishing,
    ]


def reading(suite: Dequantize) -> list[Coverpoint]:
    """dequantize: every scale, every code, every class of results."""
    scales = [f"{code:#04x}" for code in range(1 << suite.block.scale.width)]
    codes = [f"{code:#x}" for code in range(1 << suite.element.width)]

    def present(batch: Batch) -> Array:
        found = np.zeros((len(batch), len(codes)), bool)
        found[np.arange(len(batch))[:, None], batch.columns["codes"]] = True
        return found

    wrong = ("wrong-code",)
    return [
        Coverpoint("scale", scales, lambda batch: batch.columns["scale"].astype(np.int64), wrong),
        Coverpoint("code", codes, present, wrong),
        Coverpoint("result", list(RESULTS), result_classes(suite.carrier, "values"), wrong),
    ]
