"""A correct subject: E2M1 by table and search, without a line of mxemu."""

import numpy as np

name = "good"
version = "1.0"
capabilities = {
    "operations": {
        "encode": {"formats": ["E2M1"], "carriers": ["binary64", "binary32", "binary16"]},
        "decode": {"formats": ["E2M1"], "carriers": ["binary32"]},
    },
    "profile": "ocp",
}

MAGNITUDES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
TIES = (MAGNITUDES[1:] + MAGNITUDES[:-1]) / 2


def encode(values, element):
    below = np.searchsorted(TIES, np.abs(values), side="left")
    above = np.searchsorted(TIES, np.abs(values), side="right")
    codes = np.where(below % 2 == 0, below, above)  # they differ on a tie only: take the even code
    negative = np.signbit(values) & ~np.isnan(values)  # NaN sorts above all ties: the largest value
    return (codes | negative * 8).astype(np.uint8)


def decode(codes, element):
    return np.concatenate([MAGNITUDES, -MAGNITUDES]).astype(np.float32)[codes]
