"""Rows whose width is no multiple of the block size, and blocks that run down columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDE = 32
"""The block size that is asked for."""

BESIDE = 8
"""Columns of zeros behind a whole block, so that the width of a row is no multiple of the block size."""

FORMATS = ["MXFP8_E4M3", "MXFP4_E2M1", "E4M3/E8M0/24"]
"""What variants called ragged offer; blocks of 24 are partial ones at the end of a row."""

Quantizer = Callable[[NDArray[Any]], NDArray[Any]]


def in_ragged_rows(quantizer: Quantizer, values: NDArray[Any]) -> NDArray[Any]:
    """What comes of blocks in rows of a whole block and a partial one; nothing in a row should change another.

    Parameters
    ----------
    quantizer : callable
        Takes and returns an array of shape (n, m), in blocks of `WIDE` along the rows.
    values : ndarray of shape (n, k)
        Blocks of `WIDE` get `BESIDE` zeros behind them; smaller ones a block of ones in front.
    """
    k = values.shape[1]
    if k == WIDE:
        return quantizer(np.pad(values, ((0, 0), (0, BESIDE))))[:, :k]
    ones = np.ones((len(values), WIDE), np.float64).astype(values.dtype)
    if values.dtype == np.uint16:
        ones[:] = 0x3F80  # the bits of 1 in bfloat16
    return quantizer(np.hstack([ones, values]))[:, WIDE:]
