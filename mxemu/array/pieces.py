"""Arrays too large to convert at once: cut into pieces, each converted as it is in the whole array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from mxemu.array.blocks import checked_axis, checked_tensor_scale, padded_shape
from mxemu.array.elements import Draws, chunks, draws
from mxemu.array.inputs import BITS, Array, native, to_bits
from mxemu.array.quantizer import largest_finite, quantize, scale_for
from mxemu.formats import BFLOAT16, BINARY32, BlockFormat, FloatFormat
from mxemu.profile import Profile

# Elements in a piece: enough to hide the cost of a call, few enough for a dozen arrays of it.
PIECE = 1 << 18


class Piece(NamedTuple):
    """Where a piece of an array is.

    Attributes
    ----------
    array : tuple of slice
        In the array.
    moved : tuple of slice
        In the array with the blocked axis last.
    blocks : tuple of slice
        In the scales.
    """

    array: tuple[slice, ...]
    moved: tuple[slice, ...]
    blocks: tuple[slice, ...]


def pieces(shape: tuple[int, ...], axis: int, k: int, limit: int = PIECE) -> Iterator[Piece]:
    """Cut an array into pieces of about ``limit`` elements that are whole blocks, in the order of their codes.

    Examples
    --------
    >>> for piece in pieces((2, 96), 1, 32, 64):
    ...     print(piece.array, piece.blocks)
    (slice(0, 1, 1), slice(0, 64, 1)) (slice(0, 1, 1), slice(0, 2, 1))
    (slice(0, 1, 1), slice(64, 96, 1)) (slice(0, 1, 1), slice(2, 3, 1))
    (slice(1, 2, 1), slice(0, 64, 1)) (slice(1, 2, 1), slice(0, 2, 1))
    (slice(1, 2, 1), slice(64, 96, 1)) (slice(1, 2, 1), slice(2, 3, 1))
    """
    lengths = (*shape[:axis], *shape[axis + 1 :], shape[axis])
    for part in chunks(lengths, limit, k):
        given = (*part, *[slice(None)] * (len(lengths) - len(part)))
        moved = tuple(_span(one, n) for one, n in zip(given, lengths, strict=True))
        *rest, last = moved
        blocked = slice(last.start // k, -(-last.stop // k), 1)
        yield Piece((*rest[:axis], last, *rest[axis:]), moved, (*rest, blocked))


def _span(index: slice | int, length: int) -> slice:
    """An index as a slice with a start and a stop."""
    return slice(*index.indices(length)) if isinstance(index, slice) else slice(index, index + 1, 1)


class Source(Protocol):
    """Numbers that are read piece by piece."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def carrier(self) -> FloatFormat: ...

    def read(self, index: tuple[slice, ...]) -> Array:
        """The bit patterns of a piece, in an array of the carrier's dtype."""
        ...


class InMemory:
    """An array-like as a source, on the same memory where that is possible.

    Parameters
    ----------
    x : array_like
    carrier : FloatFormat or str, optional
        As for `encode`.
    """

    def __init__(self, x: Any, carrier: FloatFormat | str | None = None) -> None:
        self.array, self.carrier = to_bits(x, carrier)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def read(self, index: tuple[slice, ...]) -> Array:
        piece = self.array[index]
        return piece if piece.dtype.isnative else native(piece)


def numbers_of(bits: Array, carrier: FloatFormat) -> Array:
    """Bit patterns of a carrier as binary64 numbers."""
    if carrier is BFLOAT16:
        bits, carrier = bits.astype(np.uint32) << np.uint32(16), BINARY32
    # A signalling NaN becomes a quiet one, which the processor reports.
    with np.errstate(invalid="ignore"):
        return bits.view(f"float{carrier.width}").astype(np.float64)


@dataclass(frozen=True, eq=False)
class Conversion:
    """A quantization that is done piece by piece; see `conversion`."""

    source: Source
    block_format: BlockFormat
    profile: Profile
    axis: int
    shape: tuple[int, ...]
    tail: str
    tensor_scale: np.float32 | None
    words: Draws | None

    def convert(self, piece: Piece, bits: Array, *, status: bool = False) -> Any:
        """What `quantize` makes of a piece: Blocks, or with ``status`` Blocks and statuses."""
        return quantize(
            bits,
            self.block_format,
            axis=self.axis,
            profile=self.profile,
            carrier=self.source.carrier,
            tail=self.tail,
            tensor_scale=self.tensor_scale,
            random=None if self.words is None else self._random(piece),
            return_status=status,
        )

    def _random(self, piece: Piece) -> Array:
        """The random words of a piece, those of its places in the whole array."""
        assert self.words is not None
        lengths = [span.stop - span.start for span in piece.moved]
        return np.moveaxis(self.words.of(piece.moved).reshape(lengths), -1, self.axis)


def conversion(
    source: Source,
    fmt: BlockFormat,
    profile: Profile,
    *,
    axis: int,
    tail: str,
    tensor_scale: Any | None,
    random: Any | None = None,
    key: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Conversion:
    """Prepare a quantization that is done piece by piece.

    Parameters
    ----------
    source : Source
    fmt, profile, axis, tail, tensor_scale, random, key
        As for `quantize`; ``"amax"`` reads the source once more.
    progress : callable
        Told the number of elements of each piece of that.

    Raises
    ------
    BadShape, BadValue, BadType
    """
    axis = checked_axis(axis, source.shape)
    shape = padded_shape(source.shape, axis, fmt, tail)
    words = draws(source.shape, profile, random, key, axis)
    second = (
        _amax_scale(source, fmt, axis, progress)
        if isinstance(tensor_scale, str) and tensor_scale == "amax"
        else checked_tensor_scale(tensor_scale)
    )
    return Conversion(source, fmt, profile, axis, shape, tail, second, words)


def _amax_scale(
    source: Source, fmt: BlockFormat, axis: int, progress: Callable[[int], None]
) -> np.float32:
    """The tensor scale that the largest finite magnitude of a whole source asks for."""
    largest = 0
    for piece in pieces(source.shape, axis, fmt.k):
        bits = source.read(piece.array)
        largest = max(largest, largest_finite(bits, source.carrier))
        progress(bits.size)
    return scale_for(largest, source.carrier, fmt)


def binary32_text(scale: np.float32) -> str:
    """A binary32 number by its bits, ``0x3F800000``."""
    return f"0x{int(scale.view(BITS[BINARY32.name])):08X}"
