"""quantize and dequantize of arrays, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, reduce
from operator import or_
from typing import Any

import numpy as np

from mxemu.array import integers, kernels
from mxemu.array.blocks import (
    Blocks,
    checked_axis,
    checked_tensor_scale,
    padded_shape,
    storage_shape,
)
from mxemu.array.elements import CHUNK, Draws, chosen, chunks, draws, swapped, value_dtype
from mxemu.array.inputs import BITS, Array, check_out, check_range, code_dtype, native, to_bits
from mxemu.array.plans import KEPT, BlockPlan, block_plan
from mxemu.array.threads import spread
from mxemu.block import dequantize_bits, quantize_bits, value_bits
from mxemu.errors import BadType, BadValue
from mxemu.formats import BINARY32, BlockFormat, FloatFormat
from mxemu.formats import block_format as find_block_format
from mxemu.profile import OCP, Profile, Rounding
from mxemu.scalar import decode
from mxemu.value import Value, quotient

_NO_WORDS = np.empty(0, np.uint64)
_NO_STATUS = np.empty(0, np.uint8)
_LARGEST = OCP.replace(out_of_binary32="largest")
# Wider elements or scales have too many (scale, code) pairs for a table.
_WIDEST_ROW = 10


def quantize(
    x: Any,
    block_format: BlockFormat | str,
    *,
    axis: int = -1,
    profile: Profile | str = OCP,
    rounding: Rounding | str | None = None,
    overflow: Any | None = None,
    carrier: FloatFormat | str | None = None,
    tail: str = "refuse",
    tensor_scale: Any | None = None,
    random: Any | None = None,
    key: int | None = None,
    out: Blocks | None = None,
    return_status: bool = False,
) -> Any:
    """Convert an array to blocks of k elements along an axis, each block with a scale of its own (MX 6.3).

    Parameters
    ----------
    x : array_like, at least one-dimensional
        As for `encode`.
    block_format : BlockFormat or str
    axis : int
        The axis that is cut into blocks. Blocks never straddle rows.
    profile, rounding, overflow, carrier, random, key
        As for `encode`; ``random`` has the shape of x, and ``key`` counts positions in x in C order.
    tail : str
        What to do when k does not divide the length of the axis: ``"refuse"``; ``"pad"`` with zeros to an array that is
        that much longer; ``"partial"`` for a shorter last block, after which only its codes are filled up.
    tensor_scale : float, optional
        A second scale: every number is divided by it, exactly, before anything else. It must be a binary32 number above
        zero. ``"amax"`` takes max |x| / (largest element * largest scale), rounded to binary32.
    out : Blocks, optional
        Receives codes and scales; must fit in shape, format and profile.
    return_status : bool
        Also return a uint8 array of `scalar.Status` bits in the shape of the codes.

    Returns
    -------
    blocks : Blocks
    status : ndarray of uint8, shape (..., n_blocks, k)
        With ``return_status``.

    Raises
    ------
    BadShape
        When k does not divide the axis and ``tail`` does not say what to do.
    BadType, BadValue, UnknownName

    Examples
    --------
    >>> blocks = quantize(np.arange(32, dtype=np.float32), "MXFP4")
    >>> blocks.scales, blocks.codes[0, :6]
    (array([129], dtype=uint8), array([0, 0, 1, 2, 2, 2], dtype=uint8))
    """
    array, source = to_bits(x, carrier)
    fmt = named_block_format(block_format)
    choices = chosen(profile, rounding, overflow)
    axis = checked_axis(axis, array.shape)
    shape = padded_shape(array.shape, axis, fmt, tail)
    second = _tensor_scale(tensor_scale, array, source, fmt)
    drawn = draws(array.shape, choices, random, key, axis)
    plan = _plan(fmt, source, choices, second)
    if out is None:
        blocks = _empty(shape, axis, fmt, choices, second)
    else:
        blocks = _checked_blocks(out, shape, axis, fmt, choices, second)
    status = np.empty(blocks.codes.shape, np.uint8) if return_status else None
    _run(moved_last(array, axis), plan, drawn, blocks, status)
    return (blocks, status) if status is not None else blocks


def named_block_format(fmt: BlockFormat | str) -> BlockFormat:
    """A block format by record or name; a name is searched for once."""
    return fmt if isinstance(fmt, BlockFormat) else _named_block_format(fmt)


_named_block_format = lru_cache(maxsize=256)(find_block_format)


def moved_last(array: Array, axis: int) -> Array:
    """The array with one axis moved to the end; a view."""
    return array if axis == array.ndim - 1 else np.moveaxis(array, axis, -1)


def _tensor_scale(
    given: Any | None, array: Array, carrier: FloatFormat, fmt: BlockFormat
) -> np.float32 | None:
    """The second scale as binary32."""
    if isinstance(given, str) and given == "amax":
        return _amax_scale(array, carrier, fmt)
    return checked_tensor_scale(given)


def _amax_scale(array: Array, carrier: FloatFormat, fmt: BlockFormat) -> np.float32:
    """The second scale that the largest finite magnitude of an array asks for."""
    parts = (array[part] for part in chunks(array.shape, CHUNK))
    return scale_for(
        max((largest_finite(part, carrier) for part in parts), default=0), carrier, fmt
    )


def largest_finite(bits: Array, carrier: FloatFormat) -> int:
    """The bits of the largest finite magnitude."""
    magnitudes = bits & bits.dtype.type(carrier.magnitude_mask)
    return int(magnitudes.max(initial=0, where=magnitudes <= carrier.max_code))


def scale_for(largest: int, carrier: FloatFormat, fmt: BlockFormat) -> np.float32:
    """largest / (largest element * largest scale) in binary32; 1 when all numbers are zero."""
    if not largest:
        return np.float32(1)
    element, scale = fmt.element.max, fmt.scale.max
    top = Value(0, element.significand * scale.significand, element.exponent + scale.exponent)
    bits = value_bits(quotient(decode(largest, carrier), top), BINARY32, _LARGEST)
    return np.float32(np.array(max(bits, 1), np.uint32).view(np.float32))


def as_value(scale: np.float32 | None) -> Value | None:
    """A tensor scale as an exact number."""
    return None if scale is None else decode(int(scale.view(np.uint32)), BINARY32)


def _plan(
    fmt: BlockFormat, carrier: FloatFormat, profile: Profile, second: np.float32 | None
) -> BlockPlan:
    """The plan of a quantizer, kept for the next call."""
    if second is None:
        plan: BlockPlan = KEPT.find(_plain_plan, fmt, carrier, profile)
        return plan
    return _scaled_plan(fmt, carrier, profile, int(second.view(np.uint32)))


@lru_cache(maxsize=512)
def _plain_plan(fmt: BlockFormat, carrier: FloatFormat, profile: Profile) -> BlockPlan:
    return block_plan(fmt, carrier, profile, None)


@lru_cache(maxsize=32)
def _scaled_plan(fmt: BlockFormat, carrier: FloatFormat, profile: Profile, bits: int) -> BlockPlan:
    return block_plan(fmt, carrier, profile, decode(bits, BINARY32))


def _empty(
    shape: tuple[int, ...],
    axis: int,
    fmt: BlockFormat,
    profile: Profile,
    second: np.float32 | None,
) -> Blocks:
    storage = storage_shape(shape, axis, fmt.k)
    codes = np.empty(storage, code_dtype(fmt.element.width))
    scales = np.empty(storage[:-1], code_dtype(fmt.scale.width))
    blocks = object.__new__(Blocks)  # what is made here need not be checked
    blocks.__dict__.update(
        codes=codes,
        scales=scales,
        block_format=fmt,
        profile=profile,
        axis=axis,
        shape=shape,
        tensor_scale=second,
    )
    return blocks


def _checked_blocks(
    out: Blocks,
    shape: tuple[int, ...],
    axis: int,
    fmt: BlockFormat,
    profile: Profile,
    second: np.float32 | None,
) -> Blocks:
    """The given blocks, if they can receive the result."""
    if not isinstance(out, Blocks):
        raise BadType(f"out is a {type(out).__name__}; expected Blocks")
    if not out.stands_for(shape, axis, fmt, profile, second):
        expected = _empty(shape, axis, fmt, profile, second)
        raise BadValue(f"out stands for {out.summary}; expected {expected.summary}")
    for name, array in (("out.codes", out.codes), ("out.scales", out.scales)):
        if not (array.flags.c_contiguous and array.flags.writeable):
            raise BadValue(f"{name} must be C-contiguous and writable")
    return out


def _run(
    array: Array, plan: BlockPlan, words: Draws | None, blocks: Blocks, status: Array | None
) -> None:
    """Fill blocks from an array whose blocked axis is the last one."""
    if not array.size:
        return
    if plan.lookup is None:
        _by_core(array, plan, words, blocks, status)
    elif plan.gather is None:
        _by_integers(array, plan, words, blocks, status)
    else:
        _by_gather(array, plan, blocks)
        if status is not None:
            _status_by_gather(array, plan, blocks, status)


def _by_gather(array: Array, plan: BlockPlan, blocks: Blocks) -> None:
    """Gather from the caller's memory where rows or columns lie in order, else from copies of parts."""
    place = contiguous_place(array) if array.dtype.isnative else None
    if place is None:
        for part, blocked in _parts(array.shape, plan.block_format.k):
            piece = native(array[part])
            _gather_rows(piece, plan, blocks.codes[blocked], blocks.scales[blocked])
    elif place == array.ndim - 1:
        _gather_rows(array, plan, blocks.codes, blocks.scales)
    else:
        _gather_columns(np.moveaxis(array, -1, place), place, plan, blocks)


def contiguous_place(array: Array) -> int | None:
    """Where the last axis must go for the array to be C-contiguous; None when no place does."""
    if array.flags.c_contiguous:
        return array.ndim - 1
    for place in range(array.ndim - 2, -1, -1):
        if np.moveaxis(array, -1, place).flags.c_contiguous:
            return place
    return None


def _parts(shape: tuple[int, ...], k: int) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Index tuples of pieces of an array, and of the same pieces of its scales."""
    for part in chunks(shape, CHUNK, k):
        if len(part) < len(shape):
            yield part, part
            continue
        start, stop = part[-1].start, min(part[-1].stop, shape[-1])
        yield part, (*part[:-1], slice(start // k, -(-stop // k)))


def _gather_rows(array: Array, plan: BlockPlan, codes: Array, scales: Array) -> None:
    """Blocks of contiguous rows."""
    n, k = array.shape[-1], plan.block_format.k
    bits, codes, scales = array.reshape(-1), codes.reshape(-1), scales.reshape(-1)
    fields, lookup, gather = plan.fields, plan.lookup, plan.gather
    if n % k == 0:
        plain = plan.plain
        spread(
            lambda first, after: kernels.quantize_blocks(
                bits, k, plain, codes, scales, first, after
            ),
            scales.size,
            cost=k,
            align=64,
        )
        return
    spread(
        lambda first, after: kernels.quantize_any(
            bits, n, k, fields, lookup, gather, codes, scales, first, after
        ),
        scales.size,
        cost=k,
        align=64,
    )


def _gather_columns(base: Array, place: int, plan: BlockPlan, blocks: Blocks) -> None:
    """Blocks down the columns of C-contiguous memory."""
    n, k = base.shape[place], plan.block_format.k
    inner = int(np.prod(base.shape[place + 1 :], dtype=np.int64))
    width = kernels.tile_width(k)
    tiles = -(-inner // width)
    bits, codes, scales = base.reshape(-1), blocks.codes.reshape(-1), blocks.scales.reshape(-1)
    spread(
        lambda first, after: kernels.quantize_columns(
            bits,
            n,
            inner,
            k,
            width,
            plan.fields,
            plan.lookup,
            plan.gather,
            codes,
            scales,
            first,
            after,
        ),
        bits.size // (n * inner) * blocks.n_blocks * tiles,
        cost=k * width,
    )


def _status_by_gather(array: Array, plan: BlockPlan, blocks: Blocks, status: Array) -> None:
    """Statuses from the table that has them, under the scales that were found."""
    gather = plan.status_gather
    if gather is None:
        _by_integers(array, plan.with_integers, None, blocks, status)
        return
    k = plan.block_format.k
    for part, blocked in _parts(array.shape, k):
        piece = native(array[part])
        into, scales = status[blocked].reshape(-1), blocks.scales[blocked].reshape(-1)
        kernels.element_entries(
            piece.reshape(-1),
            piece.shape[-1],
            k,
            plan.fields,
            plan.lookup,
            gather,
            scales,
            into,
            0,
            scales.size,
        )


def _by_integers(
    array: Array, plan: BlockPlan, words: Draws | None, blocks: Blocks, status: Array | None
) -> None:
    """Blocks by the integer kernel."""
    k = plan.block_format.k
    for part, blocked in _parts(array.shape, k):
        piece = native(array[part])
        drawn = _NO_WORDS if words is None else words.of(part)
        seen = _NO_STATUS if status is None else status[blocked].reshape(-1)
        codes, scales = blocks.codes[blocked].reshape(-1), blocks.scales[blocked].reshape(-1)
        _spread_integers(piece, drawn, plan, codes, scales, seen)


def _spread_integers(
    piece: Array, words: Array, plan: BlockPlan, codes: Array, scales: Array, status: Array
) -> None:
    n, k = piece.shape[-1], plan.block_format.k
    bits = piece.reshape(-1)
    spread(
        lambda first, after: integers.quantize_numbers(
            bits,
            words,
            n,
            k,
            plan.fields,
            plan.lookup,
            plan.divisors,
            plan.rounder,
            codes,
            scales,
            status,
            first,
            after,
        ),
        scales.size,
        cost=8 * k,
    )


def _by_core(
    array: Array, plan: BlockPlan, words: Draws | None, blocks: Blocks, status: Array | None
) -> None:
    """Block by block in the exact core, for formats that nothing here holds."""
    k, n = plan.block_format.k, array.shape[-1]
    for row in np.ndindex(array.shape[:-1]):
        for block, start in enumerate(range(0, n, k)):
            piece = array[row][start : start + k]
            part = (*row, slice(start, start + k))
            drawn = [0] * k if words is None else words.of(part).tolist()
            filled = [*piece.tolist(), *[0] * (k - piece.size)]
            drawn += [0] * (k - len(drawn))
            found = quantize_bits(
                filled, plan.carrier, plan.block_format, plan.profile, drawn, plan.tensor_scale
            )
            blocks.scales[(*row, block)] = found.scale
            blocks.codes[(*row, block)] = found.codes
            if status is not None:
                status[(*row, block)] = found.status
                status[(*row, block)][piece.size :] = 0


def dequantize(blocks: Blocks, dtype: Any = np.float32, *, out: Array | None = None) -> Array:
    """The numbers that blocks stand for, in the shape of the original.

    Parameters
    ----------
    blocks : Blocks
    dtype : dtype or str
        float32, float64, float16 or bfloat16 of ml_dtypes. Every product of element, scale and tensor scale is
        exact and rounded once, TIES_TO_EVEN, if the dtype does not hold it.
    out : ndarray, optional
        Receives the numbers; must have the original's shape and this dtype.

    Returns
    -------
    ndarray of ``dtype``, shape ``blocks.shape``

    Raises
    ------
    BadCode
        When a code does not fit the element's width, or a scale code the scale's.
    BadType, BadShape

    Examples
    --------
    >>> dequantize(quantize(np.arange(32, dtype=np.float32), "MXFP4"))[[3, 7, 31]]
    array([ 4.,  8., 24.], dtype=float32)
    """
    if not isinstance(blocks, Blocks):
        raise BadType(f"blocks is a {type(blocks).__name__}; expected Blocks, from quantize")
    wanted, carrier = value_dtype(dtype)
    if not wanted.isnative:
        return swapped(dequantize(blocks, carrier.name), wanted, out)
    values = np.empty(blocks.shape, wanted) if out is None else check_out(out, blocks.shape, wanted)
    check_scales(blocks)
    if values.size:
        moved = moved_last(values.view(BITS[carrier.name]), blocks.axis)
        rows = _rows(blocks, carrier)
        if rows is None:
            _pairs_by_core(blocks, carrier, moved)
        else:
            _by_rows(blocks, rows, moved)
    return values


class _Rows:
    """The carrier's bits of every code under each scale code, filled by the exact core when a scale is first met."""

    def __init__(
        self, fmt: BlockFormat, carrier: FloatFormat, profile: Profile, second: Value | None
    ) -> None:
        codes = 1 << fmt.element.width
        self.row_format = BlockFormat("row", fmt.element, fmt.scale, codes)
        self.carrier, self.profile, self.second = carrier, profile, second
        self.entries = np.zeros((1 << fmt.scale.width, codes), BITS[carrier.name])
        self.known = np.zeros(1 << fmt.scale.width, np.bool_)

    def fill(self, scales: Array) -> None:
        """Compute the rows of some scale codes."""
        codes = range(self.row_format.k)
        for scale in scales.tolist():
            self.entries[scale] = dequantize_bits(
                scale, codes, self.row_format, self.profile, self.carrier, self.second
            )
            self.known[scale] = True


def _rows(blocks: Blocks, carrier: FloatFormat) -> _Rows | None:
    """The rows for some blocks, kept for the next call; None for a format that is too wide."""
    fmt = blocks.block_format
    if max(fmt.scale.width, fmt.element.width) > _WIDEST_ROW:
        return None
    if blocks.tensor_scale is None:
        rows: _Rows = KEPT.find(_plain_rows, fmt, carrier, blocks.profile)
        return rows
    bits = int(blocks.tensor_scale.view(np.uint32))
    return _scaled_rows(fmt, carrier, blocks.profile, bits)


@lru_cache(maxsize=512)
def _plain_rows(fmt: BlockFormat, carrier: FloatFormat, profile: Profile) -> _Rows:
    return _Rows(fmt, carrier, profile, None)


@lru_cache(maxsize=32)
def _scaled_rows(fmt: BlockFormat, carrier: FloatFormat, profile: Profile, bits: int) -> _Rows:
    return _Rows(fmt, carrier, profile, decode(bits, BINARY32))


def _by_rows(blocks: Blocks, rows: _Rows, moved: Array) -> None:
    """Gather the numbers; a second time when the first met scales that had no row."""
    missing = np.zeros(rows.known.shape, np.bool_)
    while True:
        seen = _gather_numbers(blocks, rows, missing, moved)
        if seen >> blocks.block_format.element.width:
            check_range(blocks.codes, blocks.block_format.element.width)
        if not missing.any():
            return
        rows.fill(np.flatnonzero(missing))
        missing[:] = False


def _gather_numbers(blocks: Blocks, rows: _Rows, missing: Array, moved: Array) -> int:
    """One pass over all blocks; returns all codes OR-ed."""
    codes, scales = np.ascontiguousarray(blocks.codes), np.ascontiguousarray(blocks.scales)
    place = contiguous_place(moved)
    if place == moved.ndim - 1:
        return _numbers_in_rows(codes, scales, rows, missing, moved)
    if place is not None:
        return _numbers_in_columns(
            codes, scales, rows, missing, np.moveaxis(moved, -1, place), place
        )
    seen = 0
    for part, blocked in _parts(moved.shape, blocks.k):
        piece = np.empty(moved[part].shape, moved.dtype)
        seen |= _numbers_in_rows(codes[blocked], scales[blocked], rows, missing, piece)
        moved[part] = piece
    return seen


def _numbers_in_rows(codes: Array, scales: Array, rows: _Rows, missing: Array, out: Array) -> int:
    n, k = out.shape[-1], codes.shape[-1]
    codes, scales, flat = codes.reshape(-1), scales.reshape(-1), out.reshape(-1)
    entries, count = rows.entries.reshape(-1), rows.row_format.k
    seen: list[int] = []

    def work(first: int, after: int) -> None:
        if n % k == 0:
            found = kernels.dequantize_blocks(
                codes, scales, k, entries, count, rows.known, missing, flat, first, after
            )
        else:
            found = kernels.dequantize_any(
                codes, scales, n, k, entries, count, rows.known, missing, flat, first, after
            )
        seen.append(found)

    spread(work, scales.size, cost=k, align=16)
    return reduce(or_, seen)


def _numbers_in_columns(
    codes: Array, scales: Array, rows: _Rows, missing: Array, base: Array, place: int
) -> int:
    n, k = base.shape[place], codes.shape[-1]
    inner = int(np.prod(base.shape[place + 1 :], dtype=np.int64))
    width = kernels.tile_width(k)
    flat, codes, scales = base.reshape(-1), codes.reshape(-1), scales.reshape(-1)
    entries, count = rows.entries.reshape(-1), rows.row_format.k
    seen: list[int] = []

    def work(first: int, after: int) -> None:
        found = kernels.dequantize_columns(
            codes,
            scales,
            n,
            inner,
            k,
            width,
            entries,
            count,
            rows.known,
            missing,
            flat,
            first,
            after,
        )
        seen.append(found)

    items = flat.size // (n * inner) * -(-n // k) * -(-inner // width)
    spread(work, items, cost=k * width)
    return reduce(or_, seen)


def check_scales(blocks: Blocks) -> None:
    """Refuse scale codes that do not fit their format; those of 8 or 16 bits always do."""
    width = blocks.block_format.scale.width
    if width != 8 * blocks.scales.itemsize:
        check_range(blocks.scales, width)


def _pairs_by_core(blocks: Blocks, carrier: FloatFormat, moved: Array) -> None:
    """Each distinct pair of scale and code once in the exact core, for formats too wide for rows."""
    fmt, second = blocks.block_format, as_value(blocks.tensor_scale)
    check_range(blocks.codes, fmt.element.width)
    one = BlockFormat("one", fmt.element, fmt.scale, 1)
    known: dict[tuple[int, int], int] = {}
    for row in np.ndindex(moved.shape[:-1]):
        for block, scale in enumerate(blocks.scales[row].tolist()):
            part = moved[row][block * fmt.k : (block + 1) * fmt.k]
            for i, code in enumerate(blocks.codes[row][block][: part.size].tolist()):
                if (scale, code) not in known:
                    bits = dequantize_bits(scale, [code], one, blocks.profile, carrier, second)
                    known[scale, code] = bits[0]
                part[i] = known[scale, code]
