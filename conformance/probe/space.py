"""What a box takes, and batches of dots for it: codes, scales and C as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

import mxemu
from conformance.arrays import Array
from mxemu.accumulation import Accumulation
from mxemu.errors import BadShape
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.profile import OCP
from mxemu.scalar import decode, encode
from mxemu.value import Value

C = -1
"""The number of C among the terms."""


class Dots(NamedTuple):
    """A batch of n dots.

    Attributes
    ----------
    a, b : ndarray of unsigned integers, shape (n, K)
    sa, sb : ndarray of unsigned integers, shape (n, K / k), or None
        None for an operand without scales.
    c : ndarray of unsigned integers, shape (n,)
        Bits in the format of results; ignored by a box that takes no C.
    """

    a: Array
    b: Array
    sa: Array | None
    sb: Array | None
    c: Array

    @property
    def size(self) -> int:
        """The number n of dots."""
        return len(self.a)

    def take(self, rows: Array | Sequence[int] | slice) -> Dots:
        """Some of the dots."""
        return Dots(*(None if part is None else part[rows] for part in self))  # type: ignore[arg-type]


def joined(batches: Sequence[Dots]) -> Dots:
    """Batches one after the other; at least one."""
    parts = zip(*batches, strict=True)
    return Dots(
        *(None if part[0] is None else np.concatenate(part) for part in parts)  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class Space:
    """The dots that a box can be asked.

    Parameters
    ----------
    a, b : BlockFormat or element format
    length : int
        K, the number of terms.
    out : FloatFormat
        Of C and of results: binary32, binary16 or bfloat16.
    takes_c : bool
    absent_c : int
        The bits that stand for the C of a box that takes none.
    any_nan : bool
        Every NaN counts as the same, for a box whose NaN are of several words.
    """

    a: BlockFormat | ElementFormat
    b: BlockFormat | ElementFormat
    length: int
    out: FloatFormat
    takes_c: bool = True
    absent_c: int = 0
    any_nan: bool = False

    @cached_property
    def elements(self) -> tuple[ElementFormat, ElementFormat]:
        """The element formats of a and b."""
        first, second = (
            one.element if isinstance(one, BlockFormat) else one for one in (self.a, self.b)
        )
        return first, second

    @cached_property
    def scales(self) -> tuple[FloatFormat | None, FloatFormat | None]:
        """The scale formats of a and b."""
        first, second = (
            one.scale if isinstance(one, BlockFormat) else None for one in (self.a, self.b)
        )
        return first, second

    @cached_property
    def k(self) -> int:
        """The block size; K without blocks."""
        sizes = [one.k for one in (self.a, self.b) if isinstance(one, BlockFormat)]
        return sizes[0] if sizes else self.length

    @property
    def scaled(self) -> bool:
        """Whether there are scales."""
        return self.scales != (None, None)

    @property
    def blocks(self) -> int:
        """Blocks along K."""
        return self.length // self.k

    @property
    def leaves(self) -> list[int]:
        """The numbers of the terms, and of C if there is one."""
        return [*([C] if self.takes_c else []), *range(self.length)]

    @cached_property
    def ones(self) -> tuple[int, int]:
        """The scale codes that mean 1, or 0 where there are none."""
        first, second = (_one(scale) for scale in self.scales)
        return first, second

    def dots(self, a: Array, b: Array, c: Array | None = None) -> Dots:
        """A batch whose scales are all 1."""
        count = len(a)
        scales = [
            None if scale is None else np.full((count, self.blocks), one, code_dtype(scale.width))
            for scale, one in zip(self.scales, self.ones, strict=True)
        ]
        codes = [
            own.astype(code_dtype(element.width), copy=False)
            for own, element in zip((a, b), self.elements, strict=True)
        ]
        bits = np.zeros(count, np.int64) if c is None else c
        return Dots(*codes, *scales, bits.astype(code_dtype(self.out.width)))  # type: ignore[call-arg]

    def c_bits(self, value: Value) -> int:
        """The bits of a C, ties to even."""
        return encode(value, self.out, _OVERFLOW).code

    def value(self, bits: int) -> Value:
        """What the bits of a result mean."""
        return decode(int(bits), self.out)

    def evaluate(self, record: Accumulation, dots: Dots) -> Array | None:
        """The bits that an accumulation gives, or None if it is not for these dots."""
        try:
            found = mxemu.dot(
                self._operand(self.a, dots.a, dots.sa),
                self._operand(self.b, dots.b, dots.sb),
                c=dots.c if self.takes_c else np.full_like(dots.c, self.absent_c),
                accumulation=record,
                out=self.out,
                bits=True,
            )
        except BadShape:
            return None
        return self.as_one_nan(found)

    def as_one_nan(self, bits: Array) -> Array:
        """Results with every NaN in the same word, if that is how they are compared."""
        if not self.any_nan:
            return bits
        nan = (bits & self.out.magnitude_mask) > self.out.max_code + 1
        return np.where(nan, self.out.max_code + 1 + (1 << (self.out.mantissa_bits - 1)), bits)

    def nan_words(self, bits: Array) -> list[int]:
        """The different words of NaN among results."""
        return np.unique(bits[(bits & self.out.magnitude_mask) > self.out.max_code + 1]).tolist()

    def _operand(
        self, fmt: BlockFormat | ElementFormat, codes: Array, scales: Array | None
    ) -> mxemu.Blocks | tuple[Array, ElementFormat]:
        if not isinstance(fmt, BlockFormat):
            return codes, fmt
        assert scales is not None
        count = len(codes)
        shaped = codes.reshape(count, -1, fmt.k)
        return mxemu.Blocks(shaped, scales, fmt, axis=1, shape=(count, self.length))


def code_dtype(width: int) -> type[np.unsignedinteger]:
    """The smallest unsigned integers of at least so many bits."""
    return np.uint8 if width <= 8 else np.uint16 if width <= 16 else np.uint32


def _one(scale: FloatFormat | None) -> int:
    return 0 if scale is None else scale.bias << scale.mantissa_bits


_OVERFLOW = OCP.replace(overflow="overflow")
