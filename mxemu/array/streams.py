"""Files of any size, converted piece by piece: .npy to a file of blocks, and back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from math import nan, prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from mxemu.array import files
from mxemu.array.blocks import Blocks
from mxemu.array.elements import value_dtype
from mxemu.array.files import Header, PathName, Stored, Tensor, npy_head, opened, replacing
from mxemu.array.inputs import Array, Bits, to_bits
from mxemu.array.pieces import Conversion, Piece, conversion, pieces
from mxemu.array.quantizer import dequantize
from mxemu.errors import BadFile, BadType, BadValue, MxemuError
from mxemu.formats import BlockFormat, FloatFormat
from mxemu.formats import carrier as find_carrier
from mxemu.profile import Profile

# Bytes of numbers in a piece. Blocks down the columns are written one column after the other, so that a piece is a
# strip of columns; a narrow strip would read the whole file again and again.
_ROWS = 1 << 24
_STRIP = 1 << 27
# Bytes of a file that are mapped at once: mapped pages count as memory in use.
_WINDOW = 1 << 25
# A random word takes eight bytes, and as much again while it is drawn.
_RANDOM = 1 << 22

# Told the elements that are done, each time some are.
Progress = Callable[[int], None]


class Written(NamedTuple):
    """What a conversion wrote.

    Attributes
    ----------
    header : Header
    elements : int
        Elements that were read.
    size : int
        Bytes of the file.
    """

    header: Header
    elements: int
    size: int

    @property
    def bits_per_element(self) -> float:
        """Bits for one element, with its share of the scales, densely packed."""
        blocks = _count(self.header.tensors["scales"].shape)
        bits = blocks * self.header.block_format.bits_per_block
        return bits / self.elements if self.elements else nan


class NpyFile:
    """Numbers in a .npy file, of which only the piece in use is in memory.

    Parameters
    ----------
    path : path-like
    carrier : FloatFormat or str, optional
        Says that the file holds bit patterns of this format: unsigned integers, or the two unnamed bytes as which NumPy
        writes bfloat16.

    Raises
    ------
    BadFile
        When it is missing, truncated, or no .npy file of an array of numbers.
    BadType
        When it holds no numbers of a known format.
    """

    def __init__(self, path: PathName, carrier: FloatFormat | str | None = None) -> None:
        self.path = Path(path)
        self.given = None if carrier is None else find_carrier(carrier)
        array = self._map()
        self.shape: tuple[int, ...] = array.shape
        self.dtype = array.dtype
        self.fortran: bool = array.flags.f_contiguous and not array.flags.c_contiguous
        if array.dtype.kind == "V" and self.given is None:
            raise BadType(
                f"{path}: numbers without a name, dtype {array.dtype}",
                'bfloat16 is written so; say carrier="bfloat16"',
            )
        self.carrier = self._bits(array[(slice(0, 0),) * array.ndim]).carrier

    @property
    def elements(self) -> int:
        return _count(self.shape)

    def read(self, index: tuple[slice, ...]) -> Array:
        """The bit patterns of a piece, in memory of its own."""
        array = np.empty([span.stop - span.start for span in index], self.dtype)
        for window in self._windows(index):
            array[_within(window, index)] = self._map()[window]
        return self._bits(array).array

    def _windows(self, index: tuple[slice, ...]) -> Iterator[tuple[slice, ...]]:
        if not self.fortran:
            return windows(self.shape, index, _WINDOW // self.dtype.itemsize)
        found = windows(self.shape[::-1], index[::-1], _WINDOW // self.dtype.itemsize)
        return (window[::-1] for window in found)

    def _map(self) -> Array:
        try:
            self._check_start()
            found: Array = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except OSError as error:
            raise BadFile(f"{self.path}: cannot be read: {error.strerror or error}") from None
        except (ValueError, EOFError) as error:
            words = str(error).partition(". ")[0]
            raise BadFile(f"{self.path}: damaged, or no array of numbers: {words}") from None
        return found

    def _check_start(self) -> None:
        """Refuse what NumPy would read as something else than an array."""
        with self.path.open("rb") as file:
            start = file.read(8)
        if start.startswith(b"PK"):
            raise ValueError("an archive; expected a .npy file with one array")
        if not start.startswith(np.lib.format.MAGIC_PREFIX):
            raise ValueError(f"it starts with 0x{start.hex()}")

    def _bits(self, array: Array) -> Bits:
        if array.dtype.kind == "V" and self.given is not None:
            array = array.view(f"u{array.itemsize}")
        try:
            return to_bits(array, self.given)
        except MxemuError as error:
            raise type(error)(f"{self.path}: {error}", error.hint) from None


def windows(
    shape: tuple[int, ...], index: tuple[slice, ...], limit: int
) -> Iterator[tuple[slice, ...]]:
    """Cut a part of a C-contiguous array so that each piece begins and ends within ``limit`` elements of memory.

    Examples
    --------
    >>> list(windows((4, 100), (slice(0, 3), slice(10, 20)), 200))
    [(slice(0, 2, None), slice(10, 20, None)), (slice(2, 3, None), slice(10, 20, None))]
    """
    first, *rest = index
    inner = prod(shape[1:])
    if inner > limit:
        for place in range(first.start, first.stop):
            for window in windows(shape[1:], tuple(rest), limit):
                yield (slice(place, place + 1), *window)
        return
    step = max(limit // max(inner, 1), 1)
    for start in range(first.start, first.stop, step):
        yield (slice(start, min(start + step, first.stop)), *rest)


def _within(window: tuple[slice, ...], index: tuple[slice, ...]) -> tuple[slice, ...]:
    """A part of an array as an index of the piece at ``index``."""
    return tuple(
        slice(own.start - whole.start, own.stop - whole.start)
        for own, whole in zip(window, index, strict=True)
    )


def quantize_file(
    source: NpyFile,
    target: PathName,
    block_format: BlockFormat,
    profile: Profile,
    *,
    axis: int = -1,
    tail: str = "refuse",
    tensor_scale: Any | None = None,
    key: int | None = None,
    progress: Progress = lambda _: None,
) -> Written:
    """Convert a .npy file to a file of blocks; the result is that of `quantize` and `Blocks.save`.

    Parameters
    ----------
    source : NpyFile
    target : path-like
        Ends in ``.npz`` or ``.safetensors``; replaced if it is there.
    block_format, profile, axis, tail, tensor_scale, key
        As for `quantize`; ``tensor_scale="amax"`` reads the file twice.
    progress : callable
        Told the elements of each piece.

    Returns
    -------
    Written

    Raises
    ------
    BadFile
        When a file cannot be read or written.
    BadShape, BadType, BadValue
        As for `quantize`.
    """
    files.writer_for(target)
    made = conversion(
        source,
        block_format,
        profile,
        axis=axis,
        tail=tail,
        tensor_scale=tensor_scale,
        key=key,
        progress=progress,
    )
    header = Header(block_format, profile, made.axis, made.shape, made.tensor_scale)
    size = files.write(
        target, header, _converted(made, _limit(made, source.dtype.itemsize), progress)
    )
    return Written(header, source.elements, size)


def _limit(made: Conversion, itemsize: int) -> int:
    """Elements in a piece."""
    last = made.axis == len(made.source.shape) - 1
    most = (_ROWS if last else _STRIP) // itemsize
    return most if made.words is None else min(most, _RANDOM // 8)


def _converted(made: Conversion, limit: int, progress: Progress) -> Iterator[tuple[Array, Array]]:
    """Codes and scales of all pieces."""
    shape = made.source.shape
    for piece in pieces(shape, made.axis, made.block_format.k, limit):
        blocks = made.convert(piece, made.source.read(piece.array))
        yield blocks.codes, blocks.scales
        progress(_elements(piece))


def _elements(piece: Piece) -> int:
    return _count(tuple(span.stop - span.start for span in piece.array))


def _count(shape: tuple[int, ...]) -> int:
    return prod(shape)


def elements_of(source: PathName) -> int:
    """Elements of the original of a file of blocks; BadFile when it is none."""
    with opened(source) as stored:
        return _count(stored.header.shape)


def dequantize_file(
    source: PathName,
    target: PathName,
    dtype: Any = np.float32,
    progress: Progress = lambda _: None,
) -> Written:
    """Convert a file of blocks to a .npy file; the result is that of `Blocks.load`, `dequantize` and `numpy.save`.

    Parameters
    ----------
    source : path-like
        A file from `quantize_file` or `Blocks.save`.
    target : path-like
        Ends in ``.npy``; replaced if it is there.
    dtype : dtype or str
        As for `dequantize`.
    progress : callable
        Told the elements of each piece.

    Returns
    -------
    Written

    Raises
    ------
    BadFile
        When a file cannot be read or written, or holds codes that do not fit their format.
    BadType, BadValue
        When there is no such dtype; when the target has another ending.
    """
    if Path(target).suffix.lower() != ".npy":
        raise BadValue(f"{target}: expected a name that ends in .npy")
    wanted, _ = value_dtype(dtype)
    with opened(source) as stored, replacing(target) as file:
        header = stored.header
        head = npy_head(Tensor(wanted, header.shape))
        elements = _count(header.shape)
        _reserve(file, head, elements * wanted.itemsize)
        for piece, blocks in _parts(stored, _STRIP // 8):
            values = dequantize(blocks, wanted)
            for window in windows(header.shape, piece.array, _WINDOW // wanted.itemsize):
                room = np.memmap(file, wanted, "r+", len(head), header.shape)
                room[window] = values[_within(window, piece.array)]
            progress(_elements(piece))
        return Written(header, elements, file.seek(0, os.SEEK_END))


def _reserve(file: IO[bytes], head: bytes, size: int) -> None:
    """Write the head, and take the room for what follows: a full disk must show now, not in the map."""
    file.write(head)
    file.flush()
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), len(head), size)
        return
    zeros = bytes(1 << 20)
    for start in range(0, size, len(zeros)):
        file.write(zeros[: size - start])
    file.flush()


def _parts(stored: Stored, size: int) -> Iterator[tuple[Piece, Blocks]]:
    """The pieces of an open file and their blocks."""
    header = stored.header
    k, codes_of = header.block_format.k, header.tensors["codes"]
    with stored.open("codes") as codes, stored.open("scales") as scales:
        for piece in pieces(header.shape, header.axis, k, size // codes_of.dtype.itemsize):
            places = tuple(span.stop - span.start for span in piece.blocks)
            shape = tuple(span.stop - span.start for span in piece.array)
            made = header._replace(shape=shape).blocks(
                stored.read(codes, "codes", (*places, k)), stored.read(scales, "scales", places)
            )
            yield piece, made
