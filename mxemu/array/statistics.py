"""What a conversion to blocks did to the numbers: counts, which are exact, and errors, summed in binary64."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, log10, nan, prod
from typing import Any

import numpy as np

from mxemu.array.blocks import Blocks, padded_shape
from mxemu.array.inputs import Array
from mxemu.array.pieces import Conversion, InMemory, conversion, numbers_of, pieces
from mxemu.array.quantizer import dequantize
from mxemu.errors import BadShape
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat, IntFormat
from mxemu.profile import Rounding
from mxemu.scalar import Status
from mxemu.scalar import decode as decode_one

# Scale codes of more bits are counted by sorting.
_WIDEST_COUNT = 16


@dataclass(frozen=True)
class Errors:
    """What became of numbers, against the numbers themselves.

    Parameters
    ----------
    compared : int
        Elements that are finite before and after; the sums and the maximum are over these.
    signal, noise : float
        Sums of the squares of the numbers and of their errors.
    largest, total : float
        The largest error without its sign, and the sum of all.
    flushed : int
        Numbers other than zero that became zero.
    nan_made, inf_made : int
        Elements that became NaN without having been it; finite ones that became Inf.

    Notes
    -----
    Sums and squares are rounded to binary64, so the last digits depend on the order; squares that leave binary64 make
    them Inf, NaN or zero. This can happen with binary64 numbers only.
    """

    compared: int = 0
    signal: float = 0.0
    noise: float = 0.0
    largest: float = 0.0
    total: float = 0.0
    flushed: int = 0
    nan_made: int = 0
    inf_made: int = 0

    @property
    def sqnr(self) -> float:
        """Signal to quantization noise in dB; Inf without any error, NaN without any signal."""
        if not self.signal > 0:
            return nan
        return 10 * log10(self.signal / self.noise) if self.noise else inf

    @property
    def mean(self) -> float:
        """The mean error without its sign; NaN when nothing was compared."""
        return self.total / self.compared if self.compared else nan


@dataclass(frozen=True)
class Statistics:
    """Counts over some blocks.

    Parameters
    ----------
    block_format : BlockFormat
    elements, blocks : int
        Elements of the original, without those that fill up a last block.
    bits : int
        Of all codes, scales and the tensor scale, densely packed.
    zeros, at_largest : int
        Elements whose code is a zero, and whose code is the largest magnitude; those under a NaN scale have no value.
    scale_counts : mapping of int to int
        How many blocks have each scale code, in the order of the codes.
    clipped : int or None
        Elements that were clamped to the largest magnitude, from the statuses of the conversion. None when there is no
        source, or when the source, the profile and the random words do not give these blocks. ``at_largest`` is never
        less.
    errors : Errors or None
        None without a source.
    """

    block_format: BlockFormat
    elements: int
    blocks: int
    bits: int
    zeros: int
    at_largest: int
    scale_counts: Mapping[int, int]
    clipped: int | None = None
    errors: Errors | None = None

    @property
    def bits_per_element(self) -> float:
        """Bits for one element, with its share of the scales."""
        return _share(self.bits, self.elements)

    @property
    def compression(self) -> float:
        """How many times smaller than in binary32."""
        return _share(32 * self.elements, self.bits)

    @property
    def compression_binary16(self) -> float:
        """How many times smaller than in binary16 or bfloat16."""
        return _share(16 * self.elements, self.bits)

    @property
    def zero_rate(self) -> float:
        return _share(self.zeros, self.elements)

    @property
    def clip_rate(self) -> float | None:
        """The part of the elements that were clamped; None when that is not known."""
        return None if self.clipped is None else _share(self.clipped, self.elements)

    @property
    def nan_scales(self) -> int:
        """Blocks with a NaN scale, all of whose elements are NaN."""
        scale = self.block_format.scale
        return sum(n for code, n in self.scale_counts.items() if decode_one(code, scale).is_nan)

    @property
    def scale_range(self) -> tuple[int, int] | None:
        """The smallest and the largest scale code that is not NaN; None when there is none."""
        scale = self.block_format.scale
        codes = [code for code in self.scale_counts if not decode_one(code, scale).is_nan]
        return (min(codes), max(codes)) if codes else None

    @property
    def sqnr(self) -> float | None:
        """Signal to quantization noise in dB, see `Errors`; None without a source."""
        return None if self.errors is None else self.errors.sqnr

    @property
    def max_abs_error(self) -> float | None:
        return None if self.errors is None else self.errors.largest

    @property
    def mean_abs_error(self) -> float | None:
        return None if self.errors is None else self.errors.mean

    def __str__(self) -> str:
        rows = [
            (
                "bits",
                f"{self.bits_per_element:.4g} an element, {self.compression:.3g} x less than binary32",
            ),
            ("zeros", _percent(self.zeros, self.elements)),
            ("at largest", _percent(self.at_largest, self.elements)),
            ("clipped", "" if self.clipped is None else _percent(self.clipped, self.elements)),
            ("scales", self._scales_text()),
        ]
        if self.errors is not None:
            rows += [
                ("SQNR", f"{self.errors.sqnr:.2f} dB"),
                ("error", f"{self.errors.mean:.4g} on average, at most {self.errors.largest:.4g}"),
            ]
        head = f"{self.block_format}: {self.elements} elements in {self.blocks} block{'' if self.blocks == 1 else 's'}"
        return "\n".join([head, *[f"  {label:<12}{text}" for label, text in rows if text]])

    def _scales_text(self) -> str:
        digits = -(-self.block_format.scale.width // 4)
        found = self.scale_range
        span = (
            "none" if found is None else f"{found[0]:#0{digits + 2}x} to {found[1]:#0{digits + 2}x}"
        )
        return span + (f", {self.nan_scales} NaN" if self.nan_scales else "")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else nan


def _percent(part: int, whole: int) -> str:
    return f"{part} ({100 * _share(part, whole):.3g} %)"


@dataclass
class Tally:
    """Statistics in the making: blocks are added piece by piece.

    Attributes
    ----------
    status_counts : Counter
        Elements by single `scalar.Status` bit.
    """

    block_format: BlockFormat
    elements: int = 0
    blocks: int = 0
    bits: int = 0
    zeros: int = 0
    at_largest: int = 0
    scale_counts: Counter[int] = field(default_factory=Counter)
    status_counts: Counter[Status] = field(default_factory=Counter)
    errors: Errors | None = None

    def add(self, blocks: Blocks, length: int) -> None:
        """Count codes and scales, those of the first ``length`` elements along the blocked axis."""
        fmt = self.block_format
        kept = _with_value(blocks, length)
        self.zeros += _occurrences(kept, zero_codes(fmt.element))
        self.at_largest += _occurrences(kept, largest_codes(fmt.element))
        self.elements += prod(blocks.scales.shape[:-1]) * length
        self.blocks += blocks.scales.size
        self.bits += blocks.scales.size * fmt.bits_per_block
        self.scale_counts.update(_counts(blocks.scales, fmt.scale.width))

    def add_errors(self, numbers: Array, values: Array) -> None:
        """Compare numbers before and after, both in binary64."""
        self.errors = _joined(self.errors or Errors(), _errors(numbers, values))

    def add_statuses(self, status: Array) -> None:
        """Count `scalar.Status` bits."""
        found = np.bincount(status.reshape(-1), minlength=1)
        for combined in np.flatnonzero(found).tolist():
            for bit in Status(combined):
                self.status_counts[bit] += int(found[combined])

    @property
    def clipped(self) -> int:
        return self.status_counts[Status.SATURATED]

    def result(self, *, clipped: bool) -> Statistics:
        """The finished record."""
        return Statistics(
            self.block_format,
            self.elements,
            self.blocks,
            self.bits,
            self.zeros,
            self.at_largest,
            dict(sorted(self.scale_counts.items())),
            self.clipped if clipped else None,
            self.errors,
        )


def zero_codes(fmt: ElementFormat) -> tuple[int, ...]:
    """The codes whose value is zero.

    Examples
    --------
    >>> from mxemu.formats import E2M1, INT8, E8M0
    >>> zero_codes(E2M1), zero_codes(INT8), zero_codes(E8M0)
    ((0, 8), (0,), ())
    """
    candidates = {0} if isinstance(fmt, IntFormat) else {0, fmt.sign_mask}
    return tuple(sorted(code for code in candidates if decode_one(code, fmt).is_zero))


def largest_codes(fmt: ElementFormat) -> tuple[int, ...]:
    """The codes with the largest finite magnitude; of an integer both ends.

    Examples
    --------
    >>> from mxemu.formats import E2M1, INT8
    >>> largest_codes(E2M1), largest_codes(INT8)
    ((7, 15), (127, 128, 129))
    """
    if isinstance(fmt, IntFormat):
        return fmt.max_code, fmt.min_code, fmt.min_code + 1
    return tuple(sorted({fmt.max_code, fmt.sign_mask | fmt.max_code}))


def _with_value(blocks: Blocks, length: int) -> Array:
    """The codes of elements that have a value: none that fills up a block, none under a NaN scale."""
    codes = blocks.codes.reshape(*blocks.codes.shape[:-2], blocks.n_blocks * blocks.k)[..., :length]
    undefined = _nan_codes(blocks.scales, blocks.block_format.scale)
    if not undefined.any():
        return codes
    return codes[~np.repeat(undefined, blocks.k, axis=-1)[..., :length]]


def _nan_codes(scales: Array, fmt: FloatFormat) -> Array:
    """Where scale codes are NaN."""
    finite = fmt.max_code if fmt.inf is None else fmt.inf
    found = (scales & scales.dtype.type(fmt.magnitude_mask)) > finite
    return found if fmt.negative_zero else found | (scales == fmt.sign_mask)


def _occurrences(codes: Array, wanted: tuple[int, ...]) -> int:
    return sum(int(np.count_nonzero(codes == code)) for code in wanted)


def _counts(codes: Array, width: int) -> dict[int, int]:
    """How often each code occurs."""
    if width <= _WIDEST_COUNT:
        found = np.bincount(codes.reshape(-1), minlength=1)
        present = np.flatnonzero(found)
        return dict(zip(present.tolist(), found[present].tolist(), strict=True))
    distinct, numbers = np.unique(codes, return_counts=True)
    return dict(zip(distinct.tolist(), numbers.tolist(), strict=True))


def _errors(numbers: Array, values: Array) -> Errors:
    """The errors of some elements."""
    both = np.isfinite(numbers) & np.isfinite(values)
    made = np.isnan(values) & ~np.isnan(numbers)
    with np.errstate(over="ignore", under="ignore"):
        before = numbers[both]
        error = np.abs(values[both] - before)
        signal, noise, total = np.square(before).sum(), np.square(error).sum(), error.sum()
    return Errors(
        error.size,
        float(signal),
        float(noise),
        float(error.max(initial=0.0)),
        float(total),
        int(np.count_nonzero((values == 0) & (numbers != 0) & ~np.isnan(numbers))),
        int(np.count_nonzero(made)),
        int(np.count_nonzero(np.isinf(values) & np.isfinite(numbers))),
    )


def _joined(a: Errors, b: Errors) -> Errors:
    return Errors(
        a.compared + b.compared,
        a.signal + b.signal,
        a.noise + b.noise,
        max(a.largest, b.largest),
        a.total + b.total,
        a.flushed + b.flushed,
        a.nan_made + b.nan_made,
        a.inf_made + b.inf_made,
    )


def add_piece(
    tally: Tally, blocks: Blocks, status: Array | None, numbers: Array, axis: int
) -> None:
    """Add the blocks of a piece, with the binary64 numbers that they were made from."""
    length = numbers.shape[axis]
    tally.add(blocks, length)
    values = np.moveaxis(dequantize(blocks, np.float64), axis, -1)[..., :length]
    tally.add_errors(np.moveaxis(numbers, axis, -1), values)
    if status is not None:
        filled = status.reshape(*status.shape[:-2], blocks.n_blocks * blocks.k)
        tally.add_statuses(filled[..., :length])


def statistics(
    blocks: Blocks,
    source: Any | None = None,
    carrier: FloatFormat | str | None = None,
    random: Any | None = None,
    key: int | None = None,
) -> Statistics:
    """The statistics of some blocks; see `Blocks.statistics`."""
    tally = Tally(blocks.block_format, bits=0 if blocks.tensor_scale is None else 32)
    if source is None:
        for piece in pieces(blocks.shape, blocks.axis, blocks.k):
            tally.add(blocks[piece.blocks], piece.moved[-1].stop - piece.moved[-1].start)
        return tally.result(clipped=False)
    given = InMemory(source, carrier)
    _check_source(given.shape, blocks)
    again = _again(blocks, given, random, key)
    for piece in pieces(given.shape, blocks.axis, blocks.k):
        part, bits, status = blocks[piece.blocks], given.read(piece.array), None
        if again is not None:
            made, status = again.convert(piece, bits, status=True)
            again = again if made == part else None
        add_piece(tally, part, status, numbers_of(bits, given.carrier), blocks.axis)
    return tally.result(clipped=again is not None)


def _check_source(shape: tuple[int, ...], blocks: Blocks) -> None:
    """Refuse a source that cannot be what the blocks were made from."""
    if shape != blocks.shape and (
        len(shape) != len(blocks.shape)
        or padded_shape(shape, blocks.axis, blocks.block_format, "pad") != blocks.shape
    ):
        raise BadShape(f"source has shape {shape}; the blocks stand for {blocks.shape}")


def _again(
    blocks: Blocks, given: InMemory, random: Any | None, key: int | None
) -> Conversion | None:
    """The conversion that made the blocks; None when its random words are not known."""
    profile = blocks.profile
    if profile.rounding is Rounding.STOCHASTIC and random is None and key is None:
        return None
    return conversion(
        given,
        blocks.block_format,
        profile,
        axis=blocks.axis,
        tail="partial" if given.shape == blocks.shape else "pad",
        tensor_scale=blocks.tensor_scale,
        random=random,
        key=key,
    )
