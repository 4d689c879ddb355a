"""A correct subject that refuses NaN, and says so for each value instead of raising for the whole array."""

import numpy as np
from good import encode as lenient_encode

from conformance.adapter import or_rejected

name = "refuses"
version = "1.0"
capabilities = {"operations": {"encode": {"formats": ["E2M1"], "carriers": ["binary32"]}}}


def strict_encode(values):
    if np.isnan(values).any():
        raise ValueError("E2M1 has no NaN")
    return lenient_encode(values, "E2M1")


def encode(values, element):
    return or_rejected(strict_encode, values)
