"""What a test asks of its results: tolerances, or a function of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.arrays import Array
from conformance.target import load
from mxemu.errors import MxemuError

Comparison = Callable[[Array, Array], Any]


@dataclass(frozen=True)
class Tolerance:
    """An assertion in numbers; what is None is not asked for.

    Parameters
    ----------
    rtol, atol : float, optional
        |actual - expected| <= atol + rtol |expected| for every element; equal Inf and two NaN agree.
    sqnr : float, optional
        At least so many dB of signal to quantization noise.
    cosine : float, optional
        At least this cosine of the angle between both arrays.
    exact : bool
        Every code or bit is the same.
    """

    rtol: float | None = None
    atol: float | None = None
    sqnr: float | None = None
    cosine: float | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if not str(self):
            raise MxemuError("no tolerance", "name one: rtol, atol, sqnr, cosine or exact")

    def __str__(self) -> str:
        found = [
            f"{key} {self.__dict__[key]:g}"
            for key in ("rtol", "atol")
            if self.__dict__[key] is not None
        ]
        found += [f"SQNR {self.sqnr:g} dB"] if self.sqnr is not None else []
        found += [f"cosine {self.cosine:g}"] if self.cosine is not None else []
        return ", ".join([*found, *(["exact"] if self.exact else [])])

    def __call__(self, actual: Array, expected: Array) -> bool:
        """Whether the assertion accepts."""
        actual, expected = (np.asarray(one, dtype=np.float64) for one in (actual, expected))
        with np.errstate(all="ignore"):
            return all(check(self, actual, expected) for check in _CHECKS)


def _within(asked: Tolerance, actual: Array, expected: Array) -> bool:
    if asked.rtol is None and asked.atol is None:
        return True
    allowed = (asked.atol or 0.0) + (asked.rtol or 0.0) * np.abs(expected)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    return bool((same | (np.isfinite(expected) & (np.abs(actual - expected) <= allowed))).all())


def _quiet(asked: Tolerance, actual: Array, expected: Array) -> bool:
    if asked.sqnr is None:
        return True
    noise, signal = float(((actual - expected) ** 2).sum()), float((expected**2).sum())
    return noise == 0 or bool(10 * np.log10(signal / noise) >= asked.sqnr)


def _aligned(asked: Tolerance, actual: Array, expected: Array) -> bool:
    if asked.cosine is None:
        return True
    lengths = float(np.sqrt((actual**2).sum() * (expected**2).sum()))
    if lengths == 0:
        return bool((actual == expected).all())
    return float((actual * expected).sum()) / lengths >= asked.cosine


def _equal(asked: Tolerance, actual: Array, expected: Array) -> bool:
    if not asked.exact:
        return True
    same = (actual == expected) & (np.signbit(actual) == np.signbit(expected))
    return bool((same | (np.isnan(actual) & np.isnan(expected))).all())


_CHECKS = (_within, _quiet, _aligned, _equal)


def comparison(target: str) -> Comparison:
    """The user's own ``pkg.mod:function`` or ``file.py:function`` that takes actual and expected.

    Raises
    ------
    MxemuError
        When it cannot be loaded, or is no function.
    """
    found = load(target)
    if not callable(found):
        raise MxemuError(f"{target} is no function; expected function(actual, expected)")
    accepts: Comparison = found
    return accepts
