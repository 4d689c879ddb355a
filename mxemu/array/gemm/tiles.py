"""Register tiles: the innermost loops of matrix products, written in vectors that stay in registers.

Operands lie in panels: ``ROWS`` rows of A (or `columns` rows of B) side by side, one position along K after the other.
Each function here handles one tile, a panel of A with a panel of B, whose results lie row after row. A compiler left to
itself spills such tiles, so their loops are emitted as vector instructions; what the machine does not have it splits.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

_WORD, _INDEX = ir.IntType(64), ir.IntType(32)


def _has(feature: str) -> bool:
    """Whether the machine that is compiled for has something; the variables NUMBA_CPU_... may name another one."""
    features = cpu_target.target_context.codegen().magic_tuple()[2]
    return f"+{feature}" in features.split(",")


def _shape() -> tuple[int, int]:
    """Bytes of a vector register, and rows of a tile: two vectors wide, it leaves three registers for operands."""
    if _has("avx512f"):
        return 64, 14
    if platform.machine().lower() in ("aarch64", "arm64"):
        return 16, 14
    return 32, 6


VECTOR_BYTES, ROWS = _shape()
_VECTORS = 2


def columns(dtype: Any) -> int:
    """Columns of a tile whose operands have this dtype."""
    return _VECTORS * VECTOR_BYTES // int(np.dtype(dtype).itemsize)


class _Emitter:
    """One tile being emitted: its operands, and an accumulator for each of its vectors.

    int32 operands are pairs of int16, the first one in the lower half.
    """

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.context, self.builder = context, builder
        self.signature, self.arguments = signature, arguments
        self.real = context.get_value_type(signature.args[0].dtype)
        self.lanes = VECTOR_BYTES // _bytes(self.real)
        self.a, self.b = self.start(0), self.start(2)

    def start(self, which: int) -> Any:
        """The address of array[offset], which are two arguments side by side."""
        array, kind = self.arguments[which], self.signature.args[which]
        data = self.context.make_array(kind)(self.context, self.builder, array).data
        return self.builder.gep(data, [self.arguments[which + 1]])

    def vector(self, scalar: Any) -> Any:
        return ir.VectorType(scalar, self.lanes)

    def splat(self, scalar: Any, number: Any) -> Any:
        return ir.Constant(self.vector(scalar), [number] * self.lanes)

    def accumulators(self, scalar: Any) -> list[list[Any]]:
        """Rows of places for vectors; the compiler keeps them in registers."""
        kind = self.vector(scalar)
        return [[_place(self.builder, kind) for _ in range(_VECTORS)] for _ in range(ROWS)]

    def fill(self, places: list[list[Any]], scalar: Any, number: Any) -> None:
        for row in places:
            for place in row:
                self.builder.store(self.splat(scalar, number), place)

    def load(self, start: Any, offset: Any, scalar: Any) -> Any:
        """A vector from memory, aligned as its elements are."""
        return self.builder.load(self._place(start, offset, scalar), align=_bytes(scalar))

    def store(self, vector: Any, start: Any, offset: Any, scalar: Any) -> None:
        self.builder.store(vector, self._place(start, offset, scalar), align=_bytes(scalar))

    def _place(self, start: Any, offset: Any, scalar: Any) -> Any:
        address = self.builder.gep(start, [offset])
        return self.builder.bitcast(address, ir.PointerType(self.vector(scalar)))

    def number(self, count: int) -> Any:
        return ir.Constant(_WORD, count)

    def along(self, first: Any, length: Any, each: Callable[[int, int, Any, Any], None]) -> None:
        """For every position call ``each(row, vector, x, y)``: an element of A everywhere, and a vector of B."""
        builder, width = self.builder, self.lanes * _VECTORS
        with cgutils.for_range(builder, length, intp=_WORD) as loop:
            step = builder.add(first, loop.index)
            left = builder.gep(self.a, [builder.mul(step, self.number(ROWS))])
            right = builder.gep(self.b, [builder.mul(step, self.number(width))])
            vectors = [
                self.load(right, self.number(self.lanes * v), self.real) for v in range(_VECTORS)
            ]
            for row in range(ROWS):
                x = self._everywhere(builder.load(builder.gep(left, [self.number(row)])))
                for v, y in enumerate(vectors):
                    each(row, v, x, y)

    def _everywhere(self, scalar: Any) -> Any:
        """A vector of one scalar."""
        nothing = ir.Constant(self.vector(self.real), ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(_INDEX, 0))
        return self.builder.shuffle_vector(first, nothing, self.splat(_INDEX, 0))

    def places(self) -> list[tuple[int, int, Any]]:
        """Row, vector and offset of every vector of the tile."""
        return [
            (row, v, self.number((row * _VECTORS + v) * self.lanes))
            for row in range(ROWS)
            for v in range(_VECTORS)
        ]

    def truncated(self, vector: Any) -> Any:
        """The vector's numbers without their fractions."""
        name = f"llvm.trunc.v{self.lanes}f{8 * _bytes(self.real)}"
        kind = ir.FunctionType(vector.type, [vector.type])
        found = self.builder.module.globals.get(name)
        return self.builder.call(found or ir.Function(self.builder.module, kind, name), [vector])


def _pair_products(tile: _Emitter, x: Any, y: Any) -> Any:
    """For pairs of int16 in vectors of int32: the sum of both products. Most machines have an operation for it."""
    builder, lanes = tile.builder, tile.lanes
    halves = ir.VectorType(ir.IntType(16), 2 * lanes)
    name = _PAIRS.get(VECTOR_BYTES)
    if name:
        kind = ir.FunctionType(tile.vector(_INDEX), [halves, halves])
        found = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        return builder.call(found, [builder.bitcast(each, halves) for each in (x, y)])
    upper = [builder.ashr(each, tile.splat(_INDEX, 16)) for each in (x, y)]
    lower = [
        builder.ashr(builder.shl(each, tile.splat(_INDEX, 16)), tile.splat(_INDEX, 16))
        for each in (x, y)
    ]
    return builder.add(builder.mul(*lower), builder.mul(*upper))


def _pair_operations() -> dict[int, str]:
    """The operation on pairs by bytes of a vector, on machines that have one."""
    known = {
        64: ("avx512bw", "llvm.x86.avx512.pmaddw.d.512"),
        32: ("avx2", "llvm.x86.avx2.pmadd.wd"),
    }
    return {size: name for size, (feature, name) in known.items() if _has(feature)}


_PAIRS = _pair_operations()


def _place(builder: Any, kind: Any) -> Any:
    """A place on the stack, made once for the whole function."""
    return cgutils.alloca_once(builder, kind)  # type: ignore[no-untyped-call]


def _bytes(scalar: Any) -> int:
    if isinstance(scalar, ir.IntType):
        return int(scalar.width) // 8
    return 8 if isinstance(scalar, ir.DoubleType) else 4


def _sums(
    _typing: Any,
    a: Any,
    _a_at: Any,
    b: Any,
    _b_at: Any,
    out: Any,
    _out_at: Any,
    _blocks: Any,
    _length: Any,
    _stride: Any,
) -> Any:
    """Add the sum of products of each block of positions to out, which is converted to its dtype first.

    Parameters are three arrays, each with its offset, the number of blocks, their length, and how far the results of
    one block lie from those of the block before (0 adds all blocks to one place, in order).
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile = _Emitter(context, builder, signature, arguments)
        out, (blocks, length, stride) = tile.start(4), arguments[6:]
        target = context.get_value_type(signature.args[4].dtype)
        sums = tile.accumulators(tile.real)

        def step(row: int, v: int, x: Any, y: Any) -> None:
            # Both are exact, so the machine may do them as one.
            product = builder.fmul(x, y, flags=("contract",))
            total = builder.fadd(builder.load(sums[row][v]), product, flags=("contract",))
            builder.store(total, sums[row][v])

        with cgutils.for_range(builder, blocks, intp=_WORD) as block:
            tile.fill(sums, tile.real, 0.0)
            tile.along(builder.mul(block.index, length), length, step)
            place = builder.gep(out, [builder.mul(block.index, stride)])
            for row, v, offset in tile.places():
                total = _converted(tile, builder.load(sums[row][v]), target)
                total = builder.fadd(tile.load(place, offset, target), total)
                tile.store(total, place, offset, target)
        return context.get_dummy_value()

    offset = types.intp
    return types.void(a, offset, b, offset, out, offset, offset, offset, offset), generate


def _converted(tile: _Emitter, vector: Any, target: Any) -> Any:
    """A vector in the dtype of the results: rounded to it, or widened."""
    if type(target) is type(tile.real):
        return vector
    convert = tile.builder.fptrunc if _bytes(target) == 4 else tile.builder.fpext
    return convert(vector, tile.vector(target))


def _largest(
    _typing: Any, a: Any, _a_at: Any, b: Any, _b_at: Any, out: Any, _out_at: Any, _length: Any
) -> Any:
    """The largest product of non-negative elements, into out; parameters as for `sums`, with one block."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile = _Emitter(context, builder, signature, arguments)
        out = tile.start(4)
        found = tile.accumulators(tile.real)
        tile.fill(found, tile.real, 0.0)

        def step(row: int, v: int, x: Any, y: Any) -> None:
            product, before = builder.fmul(x, y), builder.load(found[row][v])
            higher = builder.fcmp_ordered(">", product, before)
            builder.store(builder.select(higher, product, before), found[row][v])

        tile.along(tile.number(0), arguments[6], step)
        for row, v, offset in tile.places():
            tile.store(builder.load(found[row][v]), out, offset, tile.real)
        return context.get_dummy_value()

    return types.void(a, types.intp, b, types.intp, out, types.intp, types.intp), generate


def _kept(
    _typing: Any,
    a: Any,
    _a_at: Any,
    b: Any,
    _b_at: Any,
    factors: Any,
    _factors_at: Any,
    out: Any,
    _out_at: Any,
    _length: Any,
) -> Any:
    """Add the products times a factor for each result, each cut to an integer, to out: int32 or float64.

    Parameters are four arrays, each with its offset, and the number of positions.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile = _Emitter(context, builder, signature, arguments)
        factors, out = tile.start(4), tile.start(6)
        target = context.get_value_type(signature.args[6].dtype)
        sums, scales = tile.accumulators(target), tile.accumulators(tile.real)
        for row, v, offset in tile.places():
            builder.store(tile.load(out, offset, target), sums[row][v])
            builder.store(tile.load(factors, offset, tile.real), scales[row][v])

        def step(row: int, v: int, x: Any, y: Any) -> None:
            scaled = builder.fmul(builder.fmul(x, y), builder.load(scales[row][v]))
            before = builder.load(sums[row][v])
            if isinstance(target, ir.IntType):
                total = builder.add(before, builder.fptosi(scaled, tile.vector(target)))
            else:
                total = builder.fadd(before, tile.truncated(scaled))
            builder.store(total, sums[row][v])

        tile.along(tile.number(0), arguments[8], step)
        for row, v, offset in tile.places():
            tile.store(builder.load(sums[row][v]), out, offset, target)
        return context.get_dummy_value()

    offset = types.intp
    return types.void(a, offset, b, offset, factors, offset, out, offset, offset), generate


def _word_sums(
    _typing: Any,
    a: Any,
    _a_at: Any,
    b: Any,
    _b_at: Any,
    out: Any,
    _out_at: Any,
    _blocks: Any,
    _length: Any,
    _fresh: Any,
) -> Any:
    """Add the sum of products of each block to out, float64; parameters as for `sums`, positions are pairs.

    With ``fresh``, out counts as zeros before the first block.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile = _Emitter(context, builder, signature, arguments)
        out, (blocks, length, fresh), real = tile.start(4), arguments[6:], ir.DoubleType()
        found = tile.accumulators(_INDEX)

        def step(row: int, v: int, x: Any, y: Any) -> None:
            total = builder.add(builder.load(found[row][v]), _pair_products(tile, x, y))
            builder.store(total, found[row][v])

        with cgutils.for_range(builder, blocks, intp=_WORD) as block:
            tile.fill(found, _INDEX, 0)
            tile.along(builder.mul(block.index, length), length, step)
            first = builder.icmp_signed("==", block.index, tile.number(0))
            empty = builder.and_(first, fresh)
            for row, v, offset in tile.places():
                total = builder.sitofp(builder.load(found[row][v]), tile.vector(real))
                before = tile.load(out, offset, real)
                before = builder.select(empty, tile.splat(real, 0.0), before)
                tile.store(builder.fadd(before, total), out, offset, real)
        return context.get_dummy_value()

    offset = types.intp
    return types.void(a, offset, b, offset, out, offset, offset, offset, types.boolean), generate


def _adding(count: int, step: int) -> Callable[..., Any]:
    """An operation that adds a value times the upper or the lower integers of ``count`` pairs to out, ``step`` apart.

    Parameters of it are the pairs (int32) and out (float64), each with its offset, whether upper, and the value.
    """
    words, reals = ir.VectorType(_INDEX, count), ir.VectorType(ir.DoubleType(), count)
    half = ir.Constant(words, [16] * count)

    def typed(
        _typing: Any, pairs: Any, _at: Any, out: Any, _to: Any, _upper: Any, _value: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def start(which: int) -> Any:
                array, kind = arguments[which], signature.args[which]
                data = context.make_array(kind)(context, builder, array).data
                return builder.gep(data, [arguments[which + 1]])

            found = builder.load(builder.bitcast(start(0), ir.PointerType(words)), align=4)
            # The lower half comes up first; both come down with their sign.
            raised = builder.select(arguments[4], found, builder.shl(found, half))
            numbers = builder.sitofp(builder.ashr(raised, half), reals)
            nothing = ir.Constant(reals, ir.Undefined)
            first = builder.insert_element(nothing, arguments[5], ir.Constant(_INDEX, 0))
            factor = builder.shuffle_vector(first, nothing, ir.Constant(words, [0] * count))
            _add_apart(builder, builder.fmul(numbers, factor), start(2), step)
            return context.get_dummy_value()

        kinds = (types.boolean, types.float64)
        return types.void(pairs, types.intp, out, types.intp, *kinds), generate

    return typed


def _add_apart(builder: Any, numbers: Any, out: Any, step: int) -> None:
    """Add the numbers of a vector to places ``step`` apart."""
    if step == 1:
        place = builder.bitcast(out, ir.PointerType(numbers.type))
        total = builder.fadd(builder.load(place, align=8), numbers)
        builder.store(total, place, align=8)
        return
    for lane in range(numbers.type.count):
        place = builder.gep(out, [ir.Constant(_WORD, lane * step)])
        own = builder.extract_element(numbers, ir.Constant(_INDEX, lane))
        builder.store(builder.fadd(builder.load(place), own), place)


sums: Any = intrinsic(_sums)
word_sums: Any = intrinsic(_word_sums)
largest: Any = intrinsic(_largest)
kept: Any = intrinsic(_kept)
# To a row of a tile of pairs, and to a column of it.
add_row: Any = intrinsic(_adding(columns(np.int32), 1))
add_column: Any = intrinsic(_adding(ROWS, columns(np.int32)))
