"""Matrix products at the speed of the machine's own arithmetic, wherever that can be proven to give the same bits.

A sum of products is a whole number of some unit. Below 2^24 units it is exact in binary32 in any order, below 2^53 in
binary64; scales that are powers of two change nothing about it. `sums` computes with such sums, `cascade` with longer
ones, `fused` groups of terms that are cut to one quantum; `tiles` are their innermost loops, `drive` the outer ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mxemu.accumulation import Accumulation
from mxemu.array.inputs import Array

if TYPE_CHECKING:
    from mxemu.array.gemm.sides import Rows
    from mxemu.array.gemm.specials import Fallback


def matmul(
    a: Rows,
    b: Rows,
    record: Accumulation,
    c: Array | None,
    out: Array,
    fallback: Fallback,
) -> bool:
    """Fill out with all dot products of rows of a and rows of b, if there is a fast way for them.

    Parameters
    ----------
    a, b : Rows
        Of the same length K, and of the same k where both have blocks.
    record : Accumulation
    c : ndarray of float32, shape (m, n), optional
    out : ndarray of uint32, shape (m, n), contiguous
        Gets bits of binary32.
    fallback : callable
        From equally long arrays of rows and of columns to the bits of these results.

    Returns
    -------
    bool
        False if there is none; what out holds then is meaningless. True: every bit is as `mxemu.products` has it.
    """
    # Its kernels take a while to be found; whoever only converts numbers does not need them.
    from mxemu.array.gemm.dispatch import matmul as dispatched  # noqa: PLC0415

    return dispatched(a, b, record, c, out, fallback)
