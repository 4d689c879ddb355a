"""Triton kernels: one program multiplies one tile. Triton reads their source, so they have a file of their own."""

import triton
import triton.language as tl


@triton.jit
def dot(
    a_at,
    b_at,
    c_at,
    d_at,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    IMPRECISE: tl.constexpr,
):
    """D = A . B^T + C, with a limit of terms in the unit's accumulator."""
    m = tl.arange(0, M)[:, None]
    n = tl.arange(0, N)[None, :]
    a = tl.load(a_at + m * K + tl.arange(0, K)[None, :])
    b = tl.load(b_at + n * K + tl.arange(0, K)[:, None])
    c = tl.load(c_at + m * N + n)
    tl.store(d_at + m * N + n, tl.dot(a, b, c, max_num_imprecise_acc=IMPRECISE))


@triton.jit
def dot_fresh(
    a_at, b_at, d_at, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, IMPRECISE: tl.constexpr
):
    """D = A . B^T."""
    m = tl.arange(0, M)[:, None]
    n = tl.arange(0, N)[None, :]
    a = tl.load(a_at + m * K + tl.arange(0, K)[None, :])
    b = tl.load(b_at + n * K + tl.arange(0, K)[:, None])
    tl.store(d_at + m * N + n, tl.dot(a, b, max_num_imprecise_acc=IMPRECISE))


@triton.jit
def dot_scaled(  # noqa: PLR0917 - a launch names the sizes, not the addresses
    a_at, sa_at, b_at, sb_at, d_at,
    M: tl.constexpr, N: tl.constexpr, K: tl.constexpr,
    A: tl.constexpr, B: tl.constexpr, PACK_A: tl.constexpr, PACK_B: tl.constexpr,
):  # fmt: skip
    """D = (A, scales) . (B, scales)^T; PACK is 2 for two 4-bit codes in a byte."""
    m = tl.arange(0, M)[:, None]
    n = tl.arange(0, N)[None, :]
    groups: tl.constexpr = K // 32
    wide_a: tl.constexpr = K // PACK_A
    wide_b: tl.constexpr = K // PACK_B
    a = tl.load(a_at + m * wide_a + tl.arange(0, wide_a)[None, :])
    b = tl.load(b_at + n * wide_b + tl.arange(0, wide_b)[:, None])
    group = tl.arange(0, groups)[None, :]
    sa = tl.load(sa_at + m * groups + group)
    sb = tl.load(sb_at + tl.arange(0, N)[:, None] * groups + group)
    tl.store(d_at + m * N + n, tl.dot_scaled(a, sa, A, b, sb, B))
