"""The seeded subject in operations of JAX, compiled, on the CPU and on a GPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

sys.path.insert(0, str(Path(__file__).parent))
import seeded

# As bits of binary32, on which all comparisons are made: XLA may flush subnormals.
TIES = jnp.asarray(seeded.TIES.astype("float32").view("int32"))
ODD = jnp.asarray(seeded.ODD)
VALUES = jnp.asarray(seeded.VALUES.view("int32"))
INFINITE = 0xFF << 23


def pattern(values: Any) -> tuple[Any, Any]:
    """Sign bit and magnitude of binary32 numbers, as integers."""
    bits = jax.lax.bitcast_convert_type(values, jnp.int32)
    return (bits < 0).astype(jnp.int32), bits & 0x7FFFFFFF


@jax.jit
def encoded(values: Any) -> Any:
    negative, magnitudes = pattern(values)
    over = jnp.where(
        negative[..., None] != 0, magnitudes[..., None] > TIES, magnitudes[..., None] >= TIES
    )
    return (over.sum(-1) + 8 * negative).astype(jnp.uint8)


@jax.jit
def decoded(codes: Any) -> Any:
    bits = VALUES[(codes & 7).astype(jnp.int32)] | (codes >> 3).astype(jnp.int32) << 31
    return jax.lax.bitcast_convert_type(bits, jnp.float32)


def rescaled(magnitudes: Any, scales: Any) -> Any:
    """The bits of a magnitude over 2^(scale - 127), if that is a normal number; else those of zero or Inf.

    The smallest tie is 2^-2, so what becomes subnormal is below all of them.
    """
    fields, fractions = magnitudes >> 23, magnitudes & 0x7FFFFF
    shift = jax.lax.clz(fractions) - 8  # what brings the first bit of a subnormal to its place
    fractions = jnp.where(fields == 0, fractions << shift & 0x7FFFFF, fractions)
    found = jnp.where(fields == 0, 1 - shift, fields) + 127 - scales
    lost = (found <= 0) | (magnitudes == 0)
    over = (found >= 255) | (magnitudes >= INFINITE)
    bits = found << 23 | fractions
    return jnp.where(over, INFINITE, jnp.where(lost, 0, bits))


@jax.jit
def quantized(values: Any) -> tuple[Any, Any]:
    negative, magnitudes = pattern(values)
    scales = jnp.maximum((magnitudes.max(1) >> 23) - 3, 0)
    scaled = rescaled(magnitudes, scales[:, None])[..., None]
    codes = jnp.where(ODD, scaled >= TIES, scaled > TIES).sum(-1) + 8 * negative
    return scales.astype(jnp.uint8), codes.astype(jnp.uint8)


class OnCpu:
    """Encode, decode and quantize as ``seeded.py`` does."""

    name, version, capabilities = "seeded", "1", seeded.capabilities
    tensors = "jax"

    def encode(self, values: Any, element: str) -> Any:
        return encoded(values)

    def decode(self, codes: Any, element: str) -> Any:
        return decoded(codes)

    def quantize(self, values: Any, block_format: str) -> tuple[Any, Any]:
        return quantized(values)


class OnGpu(OnCpu):
    """The same on a GPU."""

    tensors = "jax:cuda"
