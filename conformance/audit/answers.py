"""What right and wrong kernels give for a test's inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

import mxemu
from conformance.adapter import PRODUCT_OPERATIONS, pair_of
from conformance.arrays import Array, as_values
from conformance.zoo import reference
from conformance.zoo.reference import Reference
from mxemu.accumulation import EXACT
from mxemu.errors import BadShape, MxemuError
from mxemu.formats import E8M0, BlockFormat, ElementFormat, FloatFormat, element
from mxemu.formats import block_format as find_block_format
from mxemu.profile import OCP
from mxemu.scalar import decode

AUDITED = ("encode", "decode", "quantize", "dequantize", "fake_quantize", "dot", "matmul")
"""Operations whose tests can be audited; decode takes codes, dequantize blocks."""

SEED = 20260101
"""Of the numbers that stand for a test's inputs where none are given."""

MOST_BLOCKS = 128
"""Blocks, or rows of a dot product, that are looked at unless more are asked for."""


@dataclass(frozen=True)
class Answer:
    """What an implementation gives for some inputs: numbers that a test compares, and all bits of it."""

    values: Array
    bits: Array

    def same(self, other: Answer) -> bool:
        """Whether two answers agree in every bit, NaN apart."""
        return bool(not self.unlike(other).any())

    def unlike(self, other: Answer) -> Array:
        """Which rows differ."""
        nans = np.isnan(self.values) & np.isnan(other.values)
        differs = (self.values != other.values) | (
            np.signbit(self.values) != np.signbit(other.values)
        )
        found = differs & ~nans
        return found.reshape(len(found), -1).any(axis=1)


@dataclass(frozen=True)
class Inputs:
    """What a test gives to the implementation.

    Attributes
    ----------
    operation, format : str
        ``format`` names an element format, a block format, or a pair of them.
    arrays : tuple of ndarray
        Rows of k numbers (quantize, fake_quantize), numbers (encode), codes (decode), scales and codes (dequantize), or
        two matrices of numbers (dot, matmul), which are quantized before they are multiplied.
    carrier : str
    left_out : int
        Rows that were given and are not looked at.
    """

    operation: str
    format: str
    arrays: tuple[Array, ...]
    carrier: str = "binary32"
    left_out: int = 0

    @property
    def rows(self) -> int:
        return len(self.arrays[0])

    @cached_property
    def operands(self) -> tuple[mxemu.Blocks, mxemu.Blocks]:
        """The operands of a product, quantized by the default profile."""
        first, second = (
            mxemu.quantize(array, name)
            for array, name in zip(self.arrays, pair_of(self.format), strict=True)
        )
        return first, second


def given_inputs(
    operation: str, format_name: str, data: Mapping[str, Array], most: int = MOST_BLOCKS
) -> Inputs:
    """The user's arrays in the form that an operation takes.

    Parameters
    ----------
    operation, format_name : str
    data : mapping
        Arrays by name, in order: one of numbers or codes; ``scales`` and ``codes`` for dequantize; ``a`` and ``b`` for
        products, whose last axis is multiplied.
    most : int
        Rows that are kept.

    Raises
    ------
    BadShape, MxemuError
    """
    arrays = [np.asarray(array) for array in data.values()]
    wanted = 2 if operation in (*PRODUCT_OPERATIONS, "dequantize") else 1
    if len(arrays) != wanted:
        names = {"dequantize": "scales and codes"}.get(
            operation, "a and b" if wanted == 2 else "one array"
        )
        raise BadShape(f"{len(arrays)} arrays for {operation}; expected {names}")
    carrier = "binary32"
    if operation not in ("decode", "dequantize"):
        carrier = _carrier(arrays[0])
    shaped = _shaped(operation, format_name, arrays)
    if operation in PRODUCT_OPERATIONS:
        most = max(1, most // 4)
    kept = tuple(array[:most] for array in shaped)
    return Inputs(operation, format_name, kept, carrier, max(len(shaped[0]) - most, 0))


def _carrier(array: Array) -> str:
    names = {"float64": "binary64", "float32": "binary32", "float16": "binary16"}
    if array.dtype.name not in names:
        raise MxemuError(f"inputs of dtype {array.dtype}; expected one of {', '.join(names)}")
    return names[array.dtype.name]


def _shaped(operation: str, format_name: str, arrays: list[Array]) -> list[Array]:
    """Rows of one block each, or rows of K."""
    match operation:
        case "encode" | "decode":
            return [arrays[0].reshape(-1)]
        case "dequantize":
            k = find_block_format(format_name).k
            return [arrays[0].reshape(-1), _in_rows(arrays[1], k)]
        case "quantize" | "fake_quantize":
            return [_in_rows(arrays[0], find_block_format(format_name).k)]
        case _:
            k = find_block_format(pair_of(format_name)[0]).k
            for array in arrays:
                if array.ndim != 2 or array.shape[1] % k:
                    raise BadShape(
                        f"operand of shape {array.shape}; expected rows of a multiple of k = {k}"
                    )
            if arrays[0].shape[1] != arrays[1].shape[1]:
                raise BadShape(
                    f"K = {arrays[0].shape[1]} and {arrays[1].shape[1]}; expected one length"
                )
            if operation == "dot" and len(arrays[0]) != len(arrays[1]):
                raise BadShape(f"{len(arrays[0])} and {len(arrays[1])} rows; expected as many")
            return [array.astype(np.float32) for array in arrays]


def _in_rows(array: Array, k: int) -> Array:
    if array.shape[-1:] == () or array.shape[-1] % k:
        raise BadShape(f"last axis of {array.shape}; expected a multiple of k = {k} (MX-6.3-MECH)")
    return array.reshape(-1, k)


def usual_inputs(operation: str, format_name: str) -> Inputs:
    """What most tests use: numbers from a normal distribution, without a special one among them."""
    rng = np.random.Generator(np.random.Philox(key=SEED))
    if operation in PRODUCT_OPERATIONS:
        k = find_block_format(pair_of(format_name)[0]).k
        a, b = (rng.standard_normal((16, 4 * k)).astype(np.float32) for _ in range(2))
        return Inputs(operation, format_name, (a, b))
    if operation == "encode":
        return Inputs(operation, format_name, (rng.standard_normal(1024).astype(np.float32),))
    if operation == "decode":
        numbers = rng.standard_normal(1024).astype(np.float32)
        return Inputs(operation, format_name, (mxemu.encode(numbers, format_name),))
    fmt = find_block_format(format_name)
    numbers = rng.standard_normal((32, fmt.k)).astype(np.float32)
    if operation == "dequantize":
        blocks = mxemu.quantize(numbers, fmt)
        return Inputs(
            operation, fmt.name, (blocks.scales.reshape(-1), blocks.codes.reshape(-1, fmt.k))
        )
    return Inputs(operation, fmt.name, (numbers,))


def answer(member: Reference, inputs: Inputs) -> Answer:
    """What a member of the zoo, or the reference, gives."""
    with np.errstate(all="ignore"):
        return _ANSWERS[inputs.operation](member, inputs)


def _encoded(member: Reference, inputs: Inputs) -> Answer:
    codes = member.encode(inputs.arrays[0], inputs.format, OCP)
    return Answer(_values_of(codes, element(inputs.format)), codes)


def _decoded(member: Reference, inputs: Inputs) -> Answer:
    values = member.decode(inputs.arrays[0], inputs.format)
    return Answer(values.astype(np.float64), values)


def _quantized(member: Reference, inputs: Inputs) -> Answer:
    scales, codes = _blocks(member, inputs)
    return Answer(
        _scaled(scales, codes, find_block_format(inputs.format)), np.column_stack([scales, codes])
    )


def _blocks(member: Reference, inputs: Inputs) -> tuple[Array, Array]:
    """Scales and codes; a member that spoils the element encoder gets the right scales."""
    values = inputs.arrays[0]
    if "encode" not in member.operations and "encode-scaled" not in member.operations:
        return member.quantize(values, inputs.format, OCP)
    scales, _ = _right_blocks(inputs)
    each = np.repeat(scales, values.shape[1])
    codes = member.encode_scaled(values.ravel(), each, inputs.format, OCP)
    return scales, codes.reshape(values.shape)


_KEPT: dict[int, tuple[Inputs, tuple[Array, Array]]] = {}


def _right_blocks(inputs: Inputs) -> tuple[Array, Array]:
    """The right blocks of inputs, made once for the inputs in use."""
    kept = _KEPT.get(id(inputs))
    if kept is None or kept[0] is not inputs:
        _KEPT.clear()
        kept = _KEPT[id(inputs)] = inputs, reference.quantize(inputs.arrays[0], inputs.format, OCP)
    return kept[1]


def _dequantized(member: Reference, inputs: Inputs) -> Answer:
    scales, codes = inputs.arrays
    values = _read_back(member, scales, codes, inputs.format)
    return Answer(values.astype(np.float64), values)


def _read_back(member: Reference, scales: Array, codes: Array, name: str) -> Array:
    """Values of blocks; a member that spoils the element decoder gets the right scales."""
    fmt = find_block_format(name)
    if "decode" in member.operations and fmt.scale == E8M0:
        elements = member.decode(codes.astype(np.int64), fmt.element.name).astype(np.float64)
        powers = scales.astype(np.int64)[:, None] - E8M0.bias
        return np.where(scales[:, None] == E8M0.nans[0], np.nan, np.ldexp(elements, powers)).astype(
            np.float32
        )
    return member.dequantize(scales, codes, name)


def _there_and_back(member: Reference, inputs: Inputs) -> Answer:
    backwards = {"decode", "dequantize"} & {*member.operations}
    scales, codes = _right_blocks(inputs) if backwards else _blocks(member, inputs)
    values = (
        _read_back(member, scales, codes, inputs.format)
        if backwards
        else _scaled(scales, codes, find_block_format(inputs.format))
    )
    return Answer(values.astype(np.float64), values)


def _multiplied(member: Reference, inputs: Inputs) -> Answer:
    a, b = inputs.operands
    names = a.block_format.name, b.block_format.name
    first, second = (one.codes.reshape(len(one.codes), -1) for one in (a, b))
    function: Callable[..., Array]
    function = member.matmul if inputs.operation == "matmul" else member.dot
    bits = np.asarray(function(a.scales, first, b.scales, second, None, names, EXACT.name))
    return Answer(as_values(bits, "binary32").astype(np.float64), bits)


_ANSWERS: Mapping[str, Callable[[Reference, Inputs], Answer]] = {
    "encode": _encoded,
    "decode": _decoded,
    "quantize": _quantized,
    "dequantize": _dequantized,
    "fake_quantize": _there_and_back,
    "dot": _multiplied,
    "matmul": _multiplied,
}


@lru_cache(maxsize=64)
def _table(fmt: ElementFormat) -> Array:
    """The value of every code in binary64, exact for formats of up to 16 bits."""
    found = []
    for code in range(1 << fmt.width):
        value = decode(code, fmt)
        if value.is_finite:
            number = float(np.ldexp(float(value.significand), value.exponent))
        else:
            number = float("nan") if value.is_nan else float("inf")
        found.append(-number if value.sign else number)
    return np.array(found)


def _values_of(codes: Array, fmt: ElementFormat) -> Array:
    """What codes mean; no code of the format is NaN."""
    table = _table(fmt)
    inside = (codes >= 0) & (codes < len(table))
    return np.where(inside, table[np.where(inside, codes, 0)], np.nan)


def _scaled(scales: Array, codes: Array, fmt: BlockFormat) -> Array:
    """Exact values of blocks."""
    with np.errstate(all="ignore"):
        return _values_of(codes, fmt.element) * _values_of(scales, fmt.scale)[:, None]


def trivial(inputs: Inputs, right: Answer) -> Iterator[tuple[str, str, Answer]]:
    """Results that no kernel should give: name, what it is, and the answer."""
    values = right.values
    yield "all-zero", "zeros for everything", Answer(np.zeros_like(values), values)
    yield "sign-flipped", "every sign is wrong", Answer(-values, values)
    yield "all-nan", "NaN for everything", Answer(np.full_like(values, np.nan), values)
    dropped = values.copy()
    dropped[-1] = 0
    yield "last-row-dropped", "zeros where the last block or row belongs", Answer(dropped, values)
    if inputs.operation in ("encode", "quantize", "fake_quantize"):
        untouched = _numbers(inputs)
        yield "not-quantized", "the inputs as they are", Answer(untouched, untouched)
    yield from _one_off(inputs, right)


def _numbers(inputs: Inputs) -> Array:
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return inputs.arrays[0].astype(np.float64)


def _one_off(inputs: Inputs, right: Answer) -> Iterator[tuple[str, str, Answer]]:
    """Every code the next one; for numbers that come without codes, every result twice as large."""
    if inputs.operation in ("encode", "quantize"):
        blocks = inputs.operation == "quantize"
        fmt = find_block_format(inputs.format).element if blocks else element(inputs.format)
        codes = right.bits[:, 1:] if blocks else right.bits
        top = fmt.max_code if isinstance(fmt, FloatFormat) else (1 << fmt.width) - 1
        mask = (1 << (fmt.width - 1)) - 1
        moved = np.where((codes & mask) < (top & mask), codes + 1, codes)
        values = (
            _scaled(right.bits[:, 0], moved, find_block_format(inputs.format))
            if blocks
            else _values_of(moved, fmt)
        )
        yield "one-code-off", "every code is the next one", Answer(values, values)
    yield "doubled", "every result is twice as large", Answer(2 * right.values, right.values)
