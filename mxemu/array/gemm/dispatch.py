"""One matrix product: which of the fast ways it takes, and what they leave to do."""

from __future__ import annotations

import math

import numpy as np

from mxemu.accumulation import Accumulation, Fuse, Round, ScaleAt, Sum, ZeroSign
from mxemu.accumulations import find
from mxemu.array.gemm.choose import Region, blockwise, whole
from mxemu.array.gemm.drive import Result
from mxemu.array.gemm.fused import fused_product
from mxemu.array.gemm.sides import Rows, Side, side
from mxemu.array.gemm.specials import Fallback, patch
from mxemu.array.inputs import Array
from mxemu.formats import BINARY32, BlockFormat
from mxemu.products import nan_bits
from mxemu.profile import Rounding

_EXACT, _BLOCKS = Sum(), find("block-fp32").node
_ROUNDED = Sum(Fuse((Round(BINARY32),)))


def matmul(
    a: Rows,
    b: Rows,
    record: Accumulation,
    c: Array | None,
    out: Array,
    fallback: Fallback,
) -> bool:
    """See `mxemu.array.gemm.matmul`."""
    sides = _sides(a, b, record)
    if sides is None or not (out.size and a.codes.shape[1] and out.flags.c_contiguous):
        return False
    factor = _factor(a, b, record, c)
    regions = None if factor is None else _regions(*sides, record, _block_size(a, b), factor)
    if regions is None or factor is None:
        return False
    # What is rounded last is a sum, whose zeros may be positive, unless that was exact or is scaled.
    rounds = record.node != _EXACT and not factor
    positive = record.zero_sign is ZeroSign.POSITIVE and rounds
    form = np.array([nan_bits(BINARY32, record.nan_word), positive], np.int64)
    result = Result(out, c, factor, form)
    for region in regions:
        region.product.run(region.rows, region.columns, result)
    if any(one.strange() for one in sides):
        return False  # the general way says where
    patch(*sides, result, fallback)
    _settle_zeros(record, result, fallback)
    return True


def _sides(a: Rows, b: Rows, record: Accumulation) -> tuple[Side, Side] | None:
    """Both operands as tables and codes, if the accumulation takes products as they are."""
    if (
        record.products is not None
        or record.product_limit is not None
        or record.scale_at is not ScaleAt.PRODUCT
        or record.rounding is not Rounding.TIES_TO_EVEN
    ):
        return None
    left, right = side(a, record), side(b, record)
    return None if left is None or right is None else (left, right)


def _block_size(a: Rows, b: Rows) -> int:
    """The block size k; all of K without blocks."""
    sizes = [one.format.k for one in (a, b) if isinstance(one.format, BlockFormat)]
    return sizes[0] if sizes else a.codes.shape[1]


def _factor(a: Rows, b: Rows, record: Accumulation, c: Array | None) -> float | None:
    """The scale of whole tensors, 0 if there is none; None if it is not multiplied once and exactly rounded."""
    scales = [one.tensor_scale for one in (a, b) if one.tensor_scale is not None]
    if not scales:
        return 0.0
    product = math.prod(float(scale) for scale in scales)
    if record.tensor_scale is not None:
        if record.tensor_scale != Round(BINARY32):
            return None
        with np.errstate(over="ignore", under="ignore"):
            product = float(np.float32(product))
    return product if c is None and 0 < product < math.inf else None


def _regions(a: Side, b: Side, record: Accumulation, k: int, factor: float) -> list[Region] | None:
    """Products that cover all results, or None."""
    if record.node == _EXACT or (record.node == _ROUNDED and not factor):
        return whole(a, b, k, scaled=factor != 0)
    if record.node == _BLOCKS:
        return blockwise(a, b, k)
    product = fused_product(a, b, record, k)
    if product is None:
        return None
    return [Region(np.arange(a.count), np.arange(b.count), product)]


def _settle_zeros(record: Accumulation, result: Result, fallback: Fallback) -> None:
    """Zeros whose sign depends on the signs of all that was added."""
    if record.zero_sign is ZeroSign.POSITIVE:
        return
    plain = record.node in (_EXACT, _ROUNDED, _BLOCKS)
    if plain and result.c is None:
        return
    zero = result.bits & np.uint32(0x7FFFFFFF) == 0
    if plain and result.c is not None:
        zero &= (result.c == 0) & np.signbit(result.c)
    rows, columns = np.nonzero(zero)
    if len(rows):
        result.bits[rows, columns] = fallback(rows, columns)
