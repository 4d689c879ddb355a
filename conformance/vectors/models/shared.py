"""What the coverage models of several operations need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from conformance.arrays import Array
from conformance.vectors.table import Batch
from mxemu.formats import FloatFormat
from mxemu.scalar import decode


def place_among(numbers: Array, known: Sequence[int]) -> Array:
    """The index of numbers in a list of them, -1 for others."""
    table = np.full(int(max(known)) + 2, -1)
    table[list(known)] = np.arange(len(known))
    return table[np.minimum(numbers.astype(np.int64), len(table) - 1)]


@lru_cache(maxsize=8)
def scale_exponents(scale: FloatFormat) -> Array:
    """The exponent of every scale code, 0 for NaN."""
    values = [decode(code, scale) for code in range(1 << scale.width)]
    return np.array([value.leading if value.is_finite else 0 for value in values])


RESULTS = ("+0", "-0", "subnormal", "normal", "Inf", "NaN")


def result_classes(carrier: FloatFormat, name: str) -> Callable[[Batch], Array]:
    """Which of `RESULTS` the numbers of a field are."""

    def place(batch: Batch) -> Array:
        bits = batch.columns[name].reshape(len(batch), -1)
        magnitude = bits & bits.dtype.type(carrier.magnitude_mask)
        sign = (bits & bits.dtype.type(carrier.sign_mask)) != 0
        inf = carrier.magnitude_mask - len(carrier.nans)
        subnormal = (magnitude > 0) & (magnitude < 1 << carrier.mantissa_bits)
        classes = [
            (magnitude == 0) & ~sign,
            (magnitude == 0) & sign,
            subnormal,
            (magnitude >= 1 << carrier.mantissa_bits) & (magnitude < inf),
            magnitude == inf,
            magnitude > inf,
        ]
        return np.column_stack([one.any(axis=1) for one in classes])

    return place
