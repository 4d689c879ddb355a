"""Wrong dot products: scales, lanes, special values or C go astray, or the sum loses what it should keep."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from conformance.adapter import PRODUCT_OPERATIONS
from conformance.arrays import Array, Dots, dot_bits
from conformance.cases.products import element_of
from conformance.judges import Judge, ProductJudge
from conformance.zoo.reference import Reference
from mxemu.accumulation import (
    EXACT,
    Accumulation,
    Chain,
    Fuse,
    OperandSubnormals,
    Parts,
    Round,
    ScaleAt,
    Sum,
)
from mxemu.block import value_bits
from mxemu.formats import BINARY32, CONCRETE, E8M0, BlockFormat, ElementFormat, FloatFormat
from mxemu.profile import Rounding
from mxemu.scalar import decode

WIDE = FloatFormat("E12M0", 12, 0, 2047, signed=False, nans=range(0xFFF, 0x1000), subnormals=False)
"""A scale with room for what an E8M0 scale is taken for."""


class ProductMistake(Reference):
    """Base of the members: operands, accumulation or results of a correct dot product are replaced."""

    operations: ClassVar[tuple[str, ...]] = PRODUCT_OPERATIONS

    def product_bits(self, dots: Dots, accumulation: Accumulation | str) -> Array:
        found = dot_bits(self.operands(dots), self.record(accumulation))
        return self.results(found, dots)

    def operands(self, dots: Dots) -> Dots:
        """What the sum is made of."""
        return dots

    def record(self, accumulation: Accumulation | str) -> Accumulation | str:
        """How it is added up."""
        return accumulation

    def results(self, bits: Array, dots: Dots) -> Array:
        """What becomes of the results."""
        return bits


def _rescaled(dots: Dots, first: Array | None, second: Array | None) -> Dots:
    """The same with other scales, given as codes of `WIDE` where the format has E8M0 scales."""
    formats = _wide(dots.formats[0]), _wide(dots.formats[1])
    return dots._replace(sa=first, sb=second, formats=formats)


def _wide(fmt: BlockFormat | ElementFormat) -> BlockFormat | ElementFormat:
    if not isinstance(fmt, BlockFormat) or fmt.scale != E8M0:
        return fmt
    return BlockFormat(f"{fmt.element.name}/E12M0/{fmt.k}", fmt.element, WIDE, fmt.k)


def _exponents(scales: Array, fmt: BlockFormat | ElementFormat, factor: int, nan: int) -> Array:
    """E8M0 codes as codes of `WIDE`, exponents multiplied; other scales as they are."""
    if not isinstance(fmt, BlockFormat) or fmt.scale != E8M0:
        return scales
    codes = factor * (scales.astype(np.int64) - E8M0.bias) + WIDE.bias
    return np.where(scales == E8M0.nans[0], nan, codes).astype(np.uint16)


class ScaleTwice(ProductMistake):
    """Multiplies by both scales when the elements are read, and again at the end."""

    name = "scales-applied-twice"
    note = "scale-sum"

    def operands(self, dots: Dots) -> Dots:
        pairs = zip((dots.sa, dots.sb), dots.formats, strict=True)
        return _rescaled(
            dots,
            *(
                None if scales is None else _exponents(scales, fmt, 2, WIDE.nans[0])
                for scales, fmt in pairs
            ),
        )


class SecondScaleDropped(ProductMistake):
    """Multiplies by the scale of the first operand only."""

    name = "second-scale-dropped"
    note = "scale-sum"

    def operands(self, dots: Dots) -> Dots:
        fmt = dots.formats[1]
        if dots.sb is None or not isinstance(fmt, BlockFormat):
            return dots
        one = next(
            code for code in range(fmt.scale.max_code) if decode(code, fmt.scale).fraction() == 1
        )
        nan = dots.sb > fmt.scale.max_code
        return dots._replace(sb=np.where(nan, dots.sb, one).astype(dots.sb.dtype))


class ScaleSumWraps(ProductMistake):
    """Adds the two scale codes in 8 bits, so that the sum wraps around."""

    name = "scale-sum-wraps"
    note = "scale-sum"

    def operands(self, dots: Dots) -> Dots:
        scales = [fmt.scale for fmt in dots.formats if isinstance(fmt, BlockFormat)]
        if dots.sa is None or dots.sb is None or scales != [E8M0, E8M0]:
            return dots
        summed = (dots.sa.astype(np.int64) + dots.sb.astype(np.int64) - E8M0.bias) & 0xFF
        nan = (dots.sa == 0xFF) | (dots.sb == 0xFF)
        kept = np.where(nan, 0xFF, summed).astype(np.uint8)
        return dots._replace(sa=kept, sb=np.full_like(dots.sb, E8M0.bias))


class ScaleProductInBinary32(ProductMistake):
    """Rounds the product of the two scales to binary32, which has neither 2^-254 nor 2^254."""

    name = "scale-product-in-binary32"
    note = "scale-sum"

    def record(self, accumulation: Accumulation | str) -> Accumulation:
        node = Parts(0, Sum(), Sum(), scale=(Round(BINARY32),))
        return EXACT.replace(node=node, scale_at=ScaleAt.PART)


class ScaleZeroAsZero(ProductMistake):
    """Reads the scale 0x00 as zero, so that all products of its block vanish."""

    name = "dot-scale-0-as-zero"
    note = "scale-sum"

    def operands(self, dots: Dots) -> Dots:
        first, second = dots.formats
        return dots._replace(
            a=_without(dots.sa, dots.a, first), b=_without(dots.sb, dots.b, second)
        )


def _without(scales: Array | None, codes: Array, fmt: BlockFormat | ElementFormat) -> Array:
    """Codes with the finite ones under the scale 0x00 set to zero."""
    if scales is None or not isinstance(fmt, BlockFormat) or fmt.scale != E8M0:
        return codes
    lost = np.repeat(scales == 0, codes.shape[1] // scales.shape[1], axis=1)
    return np.where(lost & ~_kinds(codes, fmt)[1], 0, codes).astype(codes.dtype)


class NanScaleAsNumber(ProductMistake):
    """Reads the NaN scale as 2^128."""

    name = "nan-scale-as-number"
    note = "nan-scale-product"

    def operands(self, dots: Dots) -> Dots:
        beyond = WIDE.bias + 128
        pairs = zip((dots.sa, dots.sb), dots.formats, strict=True)
        return _rescaled(
            dots,
            *(
                None if scales is None else _exponents(scales, fmt, 1, beyond)
                for scales, fmt in pairs
            ),
        )


class SkipsZeros(ProductMistake):
    """Leaves out products with a zero, so that zero times Inf or NaN is lost."""

    name = "skips-zeros"
    note = "invalid-product"

    def operands(self, dots: Dots) -> Dots:
        a, b = dots.a.copy(), dots.b.copy()
        zero_a, special_a = _kinds(dots.a, dots.formats[0])
        zero_b, special_b = _kinds(dots.b, dots.formats[1])
        a[special_a & zero_b] = 0
        b[special_b & zero_a] = 0
        return dots._replace(a=a, b=b)


def _kinds(codes: Array, fmt: BlockFormat | ElementFormat) -> tuple[Array, Array]:
    """Which codes are zero, and which are Inf or NaN."""
    one = element_of(fmt)
    values = {int(code): decode(int(code), one) for code in np.unique(codes)}
    zeros = [code for code, value in values.items() if value.is_zero]
    specials = [code for code, value in values.items() if not value.is_finite]
    return np.isin(codes, zeros), np.isin(codes, specials)


class LastLaneDropped(ProductMistake):
    """Leaves out the last product of the last block."""

    name = "last-lane-dropped"
    note = "product-lane"

    def operands(self, dots: Dots) -> Dots:
        a, b = dots.a.copy(), dots.b.copy()
        a[:, -1] = b[:, -1] = 0
        return dots._replace(a=a, b=b)


class LanesCrossed(ProductMistake):
    """Exchanges neighbouring elements of the second operand, as a packing with the nibbles the other way round does."""

    name = "lanes-crossed"
    note = "lane-pairing"

    def operands(self, dots: Dots) -> Dots:
        lanes = np.arange(dots.b.shape[1]) ^ 1
        return dots._replace(b=dots.b[:, np.minimum(lanes, len(lanes) - 1)])


class LastBlockDropped(ProductMistake):
    """Rounds the number of blocks down where the last block is not full, and leaves it out."""

    name = "last-block-dropped"
    note = "last-block"
    operations: ClassVar[tuple[str, ...]] = PRODUCT_OPERATIONS[1:]

    def operands(self, dots: Dots) -> Dots:
        k = dots.k
        partial = (dots.a[:, -1] == 0) & (dots.b[:, -1] == 0)
        a, b = dots.a.copy(), dots.b.copy()
        a[partial, -k:] = b[partial, -k:] = 0
        return dots._replace(a=a, b=b)


class PaddingScaleRead(ProductMistake):
    """Reads the scales of a padded block from memory that nobody wrote, where it finds 0xFF: NaN."""

    name = "padding-scale-read"
    note = "last-block"
    operations: ClassVar[tuple[str, ...]] = PRODUCT_OPERATIONS[1:]

    def operands(self, dots: Dots) -> Dots:
        fmt, k = dots.formats[0], dots.k
        if dots.sa is None or not isinstance(fmt, BlockFormat) or not fmt.scale.nans:
            return dots
        scales = dots.sa.copy()
        padded = (dots.a[:, -k:] == 0).all(axis=1) & (dots.b[:, -k:] == 0).all(axis=1)
        scales[padded, -1] = fmt.scale.nans[0]
        return dots._replace(sa=scales)


class NeighbourScale(ProductMistake):
    """Takes the scale of the first operand from the next block."""

    name = "scale-of-next-block"
    note = "block-scale"
    operations: ClassVar[tuple[str, ...]] = PRODUCT_OPERATIONS[1:]

    def operands(self, dots: Dots) -> Dots:
        return dots if dots.sa is None else dots._replace(sa=np.roll(dots.sa, -1, axis=1))


class RowScalesCrossed(ProductMistake):
    """Takes the scale of a row of a by the number of the column, and that of a column by the number of the row."""

    name = "row-scales-crossed"
    note = "matrix-row"
    operations: ClassVar[tuple[str, ...]] = ("matmul",)

    def grid_bits(
        self, dots: Dots, shape: tuple[int, int], accumulation: Accumulation | str
    ) -> Array:
        rows, columns = np.indices(shape)
        m, n = shape
        if dots.sa is not None:
            of_rows = dots.sa.reshape(m, n, -1)[:, 0]
            dots = dots._replace(sa=of_rows[columns.ravel() % m])
        if dots.sb is not None:
            of_columns = dots.sb.reshape(m, n, -1)[0]
            dots = dots._replace(sb=of_columns[rows.ravel() % n])
        return self.product_bits(dots, accumulation)


class FirstRowScales(ProductMistake):
    """Takes the scales of the first row of a for all of its rows."""

    name = "scales-of-first-row"
    note = "matrix-row"
    operations: ClassVar[tuple[str, ...]] = ("matmul",)

    def grid_bits(
        self, dots: Dots, shape: tuple[int, int], accumulation: Accumulation | str
    ) -> Array:
        if dots.sa is not None:
            first = dots.sa.reshape(*shape, -1)[:1]
            dots = dots._replace(sa=np.repeat(first, shape[0], axis=0).reshape(dots.sa.shape))
        return self.product_bits(dots, accumulation)


class FormatsSwapped(ProductMistake):
    """Reads the elements of each operand in the format of the other."""

    name = "operand-formats-swapped"
    note = "operand-formats"

    def touches(self, judge: Judge) -> bool:
        mixed = isinstance(judge, ProductJudge) and "," in judge.label
        return mixed and super().touches(judge)

    def operands(self, dots: Dots) -> Dots:
        first, second = dots.formats
        formats = _with_element(first, second), _with_element(second, first)
        masks = [(1 << element_of(fmt).width) - 1 for fmt in formats]
        return dots._replace(a=dots.a & masks[0], b=dots.b & masks[1], formats=formats)


def _with_element(
    fmt: BlockFormat | ElementFormat, other: BlockFormat | ElementFormat
) -> BlockFormat | ElementFormat:
    """A format with the elements of another one."""
    if not isinstance(fmt, BlockFormat):
        return element_of(other)
    name = f"{element_of(other).name}/{fmt.scale.name}/{fmt.k}"
    return BlockFormat(name, element_of(other), fmt.scale, fmt.k)


class Int8Clamped(ProductMistake):
    """Reads the INT8 code 0x80 as -127/64, as if it could not occur."""

    name = "int8-minus-128-clamped"
    note = "product-of-codes"
    formats: ClassVar[tuple[str, ...]] = ("MXINT8",)

    def operands(self, dots: Dots) -> Dots:
        a, b = (
            np.where((codes == 0x80) & (element_of(fmt).name == "INT8"), 0x81, codes)
            for codes, fmt in zip((dots.a, dots.b), dots.formats, strict=True)
        )
        return dots._replace(a=a.astype(dots.a.dtype), b=b.astype(dots.b.dtype))


class ElementsFlushed(ProductMistake):
    """Counts subnormal elements as zero."""

    name = "dot-flushes-elements"
    note = "product-of-codes"

    def record(self, accumulation: Accumulation | str) -> Accumulation:
        return EXACT.replace(operand_subnormals=OperandSubnormals.FLUSH)


class ProductsInBfloat16(ProductMistake):
    """Rounds every product to bfloat16, which has too few bits for INT8."""

    name = "products-in-bfloat16"
    note = "product-of-codes"
    formats: ClassVar[tuple[str, ...]] = ("MXINT8",)

    def record(self, accumulation: Accumulation | str) -> Accumulation:
        return EXACT.replace(products="bfloat16")


class BlockSumInBinary16(ProductMistake):
    """Adds up the products of a block in binary16 before the scales are applied: 65504 is the end."""

    name = "block-sum-in-binary16"
    note = "midway-overflow"

    def record(self, accumulation: Accumulation | str) -> Accumulation:
        inner, outer = (Chain(Fuse((Round(_find(name)),))) for name in ("binary16", "binary32"))
        return EXACT.replace(node=Parts(0, inner, outer, scale=()), scale_at=ScaleAt.PART)


def _find(name: str) -> FloatFormat:
    return Round(name).format  # type: ignore[arg-type]  # it takes names, too


class BlockSumCut(ProductMistake):
    """Adds up the products of a block in fixed point with 12 fraction bits before the scales are applied."""

    name = "block-sum-cut"
    note = "tiny-products"

    def record(self, accumulation: Accumulation | str) -> Accumulation:
        node = Parts(0, Sum(Fuse(quantum=-12)), Sum(), scale=())
        return EXACT.replace(node=node, scale_at=ScaleAt.PART)


class ResultsFlushed(ProductMistake):
    """Flushes subnormal results to zero."""

    name = "dot-flushes-results"
    note = "result-subnormal"

    def results(self, bits: Array, dots: Dots) -> Array:
        magnitude = bits & bits.dtype.type(dots.out.magnitude_mask)
        small = magnitude < 1 << dots.out.mantissa_bits
        return np.where(small, bits & bits.dtype.type(dots.out.sign_mask), bits)


class ResultsSaturate(ProductMistake):
    """Gives the largest finite number where a sum of numbers overflows."""

    name = "results-saturate"
    note = "result-overflow"

    def results(self, bits: Array, dots: Dots) -> Array:
        infinite = (bits & bits.dtype.type(dots.out.magnitude_mask)) == dots.out.inf
        given = np.zeros(len(bits), dtype=bool)
        for codes, fmt in zip((dots.a, dots.b), dots.formats, strict=True):
            given |= _kinds(codes, fmt)[1].any(axis=1)
        given |= (dots.c & dots.c.dtype.type(dots.out.magnitude_mask)) == dots.out.inf
        largest = (bits & bits.dtype.type(dots.out.sign_mask)) | bits.dtype.type(dots.out.max_code)
        return np.where(infinite & ~given, largest, bits)


class ResultsTruncated(ProductMistake):
    """Cuts the exact sum instead of rounding it."""

    name = "results-truncated"
    note = "carried-tie"

    def record(self, accumulation: Accumulation | str) -> Accumulation:
        return EXACT.replace(rounding=Rounding.TOWARD_ZERO)


class NegativeZeroLost(ProductMistake):
    """Gives +0 for every sum that is zero."""

    name = "negative-zero-sum-lost"
    note = "zero-result-sign"
    formats: ClassVar[tuple[str, ...]] = tuple(
        fmt.name for fmt in CONCRETE if isinstance(fmt.element, FloatFormat)
    )

    def results(self, bits: Array, dots: Dots) -> Array:
        return np.where(bits == dots.out.sign_mask, 0, bits).astype(bits.dtype)


class IgnoresC(ProductMistake):
    """Leaves C out."""

    name = "ignores-c"
    note = "carried-distance"

    def operands(self, dots: Dots) -> Dots:
        return dots._replace(c=np.zeros_like(dots.c))


class AddsCTwice(ProductMistake):
    """Starts from C, and adds it again at the end."""

    name = "adds-c-twice"
    note = "carried-distance"

    def operands(self, dots: Dots) -> Dots:
        patterns, places = np.unique(dots.c, return_inverse=True)
        values = [decode(int(bits), dots.out) for bits in patterns]
        doubled = [
            value_bits(value.scaled(1) if value.is_finite else value, dots.out) for value in values
        ]
        return dots._replace(c=np.array(doubled, dtype=dots.c.dtype)[places])


MEMBERS: tuple[Reference, ...] = (
    ScaleTwice(),
    SecondScaleDropped(),
    ScaleSumWraps(),
    ScaleProductInBinary32(),
    ScaleZeroAsZero(),
    NanScaleAsNumber(),
    SkipsZeros(),
    LastLaneDropped(),
    LanesCrossed(),
    LastBlockDropped(),
    PaddingScaleRead(),
    NeighbourScale(),
    RowScalesCrossed(),
    FirstRowScales(),
    FormatsSwapped(),
    Int8Clamped(),
    ElementsFlushed(),
    ProductsInBfloat16(),
    BlockSumInBinary16(),
    BlockSumCut(),
    ResultsFlushed(),
    ResultsSaturate(),
    ResultsTruncated(),
    NegativeZeroLost(),
    IgnoresC(),
    AddsCTwice(),
)
