"""Codes of results that a subject returns as values only: a name for each value, with no rounding of ours."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mxemu.block import value_bits
from mxemu.formats import BINARY64, element
from mxemu.scalar import decode

NO_CODE = 1 << 20
"""Stands for a value that the format does not have: a wrong result, whatever was asked."""


def codes_of(values: NDArray[Any], format_name: str) -> NDArray[np.int64]:
    """The code of each value, bit for bit; NaN has the first NaN code, and `NO_CODE` where there is none.

    Parameters
    ----------
    values : ndarray of float
        Values in any carrier, which binary64 holds exactly.
    format_name : str
        An element or scale format.
    """
    bits, codes, nan = _table(format_name)
    wide = np.ascontiguousarray(values, dtype=np.float64)
    wanted = wide.view(np.uint64)
    if format_name.startswith("INT"):
        wanted = np.where(wide == 0, np.uint64(0), wanted)  # no sign of zero to name
    at = np.minimum(np.searchsorted(bits, wanted), len(bits) - 1)
    named = np.where(bits[at] == wanted, codes[at], NO_CODE)
    return np.where(np.isnan(wide), nan, named)


@cache
def _table(format_name: str) -> tuple[NDArray[np.uint64], NDArray[np.int64], int]:
    """Bits of every value in order, their codes, and the code of NaN."""
    fmt = element(format_name)
    values = [(decode(code, fmt), code) for code in range(1 << fmt.width)]
    nan = next((code for value, code in values if value.is_nan), NO_CODE)
    rows = sorted((value_bits(value, BINARY64), code) for value, code in values if not value.is_nan)
    bits, codes = zip(*rows, strict=True)
    return np.array(bits, dtype=np.uint64), np.array(codes, dtype=np.int64), nan
