"""Formats and profiles side by side on the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import lcm, nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mxemu.array.elements import decode
from mxemu.array.pieces import Conversion, InMemory, Source, conversion, numbers_of, pieces
from mxemu.array.statistics import Errors, Statistics, Tally, add_piece
from mxemu.errors import BadValue
from mxemu.formats import CONCRETE, BlockFormat, FloatFormat
from mxemu.formats import block_format as find_block_format
from mxemu.profile import Profile, Rounding
from mxemu.profile import profile as find_profile
from mxemu.scalar import Status

if TYPE_CHECKING:
    from pandas import DataFrame

FORMATS = tuple(fmt.name for fmt in CONCRETE)


class Row(NamedTuple):
    """One format under one profile.

    Attributes
    ----------
    profile : Profile
    statistics : Statistics
        With errors and clipped.
    status_counts : mapping of Status to int
    """

    profile: Profile
    statistics: Statistics
    status_counts: Mapping[Status, int]

    def measures(self) -> dict[str, Any]:
        """The row of the table, see `compare_formats`."""
        found = self.statistics
        errors = found.errors or Errors()
        low, high = self._scales()
        return {
            **self._names(),
            "bits_per_element": found.bits_per_element,
            "sqnr": errors.sqnr,
            "max_abs_error": errors.largest,
            "mean_abs_error": errors.mean,
            "clip_rate": found.clip_rate,
            "zero_rate": found.zero_rate,
            "underflow_rate": self._rate(Status.UNDERFLOW),
            "nan_scales": found.nan_scales,
            "min_scale": low,
            "max_scale": high,
        }

    def counts(self) -> dict[str, Any]:
        """The row of the table of counts, see `compare_formats`."""
        errors = self.statistics.errors or Errors()
        statuses = {str(bit.name).lower(): self.status_counts.get(bit, 0) for bit in Status if bit}
        return {
            **self._names(),
            "elements": self.statistics.elements,
            **statuses,
            "flushed": errors.flushed,
            "nan_made": errors.nan_made,
            "inf_made": errors.inf_made,
        }

    def _names(self) -> dict[str, str]:
        return {
            "format": self.statistics.block_format.name,
            "profile": self.profile.describe(),
        }

    def _rate(self, bit: Status) -> float:
        elements = self.statistics.elements
        return self.status_counts.get(bit, 0) / elements if elements else nan

    def _scales(self) -> tuple[float, float]:
        found = self.statistics.scale_range
        if found is None:
            return nan, nan
        low, high = decode(list(found), self.statistics.block_format.scale, dtype=np.float64)
        return float(low), float(high)


def compare_formats(
    x: Any,
    formats: Iterable[BlockFormat | str] = FORMATS,
    profiles: Iterable[Profile | str] = ("ocp",),
    *,
    axis: int = -1,
    tail: str = "partial",
    tensor_scale: Any | None = None,
    key: int | None = None,
    carrier: FloatFormat | str | None = None,
    status: bool = False,
) -> DataFrame | tuple[DataFrame, DataFrame]:
    """Convert an array to several block formats under several profiles, and say what each loses.

    Parameters
    ----------
    x : array_like, at least one-dimensional
        As for `quantize`.
    formats : iterable of BlockFormat or str
    profiles : iterable of Profile or str
    axis, tail, tensor_scale, carrier
        As for `quantize`; ``tensor_scale="amax"`` finds one for each format.
    key : int, optional
        For profiles with STOCHASTIC rounding.
    status : bool
        Also return a table of counts.

    Returns
    -------
    measures : DataFrame
        One row for each format under each profile: ``format``, ``profile``, ``bits_per_element``, ``sqnr`` (dB),
        ``max_abs_error``, ``mean_abs_error``, ``clip_rate``, ``zero_rate``, ``underflow_rate`` (parts of the elements),
        ``nan_scales`` (blocks), ``min_scale``, ``max_scale`` (values of scales that are not NaN).
    counts : DataFrame
        With ``status``: ``format``, ``profile``, ``elements``; elements by status, ``inexact``, ``overflow``,
        ``underflow``, ``invalid``, ``saturated``; ``flushed`` (not zero before, zero after), ``nan_made`` and
        ``inf_made``.

    Raises
    ------
    BadShape, BadType, BadValue, UnknownName

    Notes
    -----
    The array is converted piece by piece and no result is kept, so that little memory is needed beyond x. Counts are
    exact. Errors are those of numbers that are finite before and after, summed in binary64. Elements of a block with a
    NaN scale have no status.

    Examples
    --------
    >>> x = np.arange(64, dtype=np.float32)
    >>> table = compare_formats(x, ["MXFP4", "MXINT8"], ["ocp", "rceil"])
    >>> print(table[["format", "profile", "sqnr", "clip_rate"]].round(2).to_string())
           format profile   sqnr  clip_rate
    0  MXFP4_E2M1     ocp  16.80       0.19
    1  MXFP4_E2M1   rceil  20.28       0.00
    2      MXINT8     ocp    inf       0.00
    3      MXINT8   rceil    inf       0.00
    """
    import pandas as pd  # noqa: PLC0415 - it takes longer to load than all of mxemu

    rows = measure(
        InMemory(x, carrier),
        formats,
        profiles,
        axis=axis,
        tail=tail,
        tensor_scale=tensor_scale,
        key=key,
    )
    measures = pd.DataFrame([row.measures() for row in rows])
    return (measures, pd.DataFrame([row.counts() for row in rows])) if status else measures


def measure(
    source: Source,
    formats: Iterable[BlockFormat | str],
    profiles: Iterable[Profile | str],
    *,
    axis: int = -1,
    tail: str = "partial",
    tensor_scale: Any | None = None,
    key: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Row]:
    """As `compare_formats`, of any source and without data frames.

    Parameters
    ----------
    source : Source
    formats, profiles, axis, tail, tensor_scale, key
        As for `compare_formats`.
    progress : callable
        Told the elements of each piece that is done.
    """
    wanted = [find_block_format(fmt) for fmt in formats]
    choices = [find_profile(profile) for profile in profiles]
    if not wanted or not choices:
        raise BadValue(f"{len(wanted)} formats and {len(choices)} profiles; expected one of each")
    runs = [
        conversion(
            source,
            fmt,
            profile,
            axis=axis,
            tail=tail,
            tensor_scale=tensor_scale,
            key=key if profile.rounding is Rounding.STOCHASTIC else None,
        )
        for fmt in wanted
        for profile in choices
    ]
    tallies = [_tally(run) for run in runs]
    for piece in pieces(source.shape, runs[0].axis, lcm(*[fmt.k for fmt in wanted])):
        bits = source.read(piece.array)
        numbers = numbers_of(bits, source.carrier)
        for run, tally in zip(runs, tallies, strict=True):
            blocks, status = run.convert(piece, bits, status=True)
            add_piece(tally, blocks, status, numbers, run.axis)
        progress(bits.size)
    return [_row(run, tally) for run, tally in zip(runs, tallies, strict=True)]


def _tally(run: Conversion) -> Tally:
    return Tally(run.block_format, bits=0 if run.tensor_scale is None else 32, errors=Errors())


def _row(run: Conversion, tally: Tally) -> Row:
    return Row(run.profile, tally.result(clipped=True), tally.status_counts)
