"""What right and wrong kernels give for a test's inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from conformance.adapter import PRODUCT_OPERATIONS
from conformance.arrays import Array, as_values
from conformance.audit.inputs import OF_NUMBERS, Inputs
from conformance.zoo import reference
from conformance.zoo.reference import Reference
from mxemu.accumulation import EXACT
from mxemu.formats import E8M0, BlockFormat, ElementFormat, FloatFormat
from mxemu.formats import block_format as find_block_format
from mxemu.profile import OCP
from mxemu.scalar import decode

OF_CODES = ("encode", "encode-scaled", "quantize")
"""Operations whose results are codes."""


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


def answer(member: Reference, inputs: Inputs) -> Answer:
    """What a member of the zoo, or the reference, gives."""
    with np.errstate(all="ignore"):
        return _ANSWERS[inputs.operation](member, inputs)


def _encoded(member: Reference, inputs: Inputs) -> Answer:
    codes = member.encode(inputs.arrays[0], inputs.format, OCP)
    return Answer(_meant(codes, inputs), codes)


def _decoded(member: Reference, inputs: Inputs) -> Answer:
    values = member.decode(inputs.arrays[0], inputs.format)
    return Answer(values.astype(np.float64), values)


def _encoded_scaled(member: Reference, inputs: Inputs) -> Answer:
    values, scales = inputs.arrays
    codes = member.encode_scaled(values, scales, inputs.format, OCP)
    return Answer(_meant(codes, inputs), codes)


def _quantized(member: Reference, inputs: Inputs) -> Answer:
    scales, codes = _blocks(member, inputs)
    rows = np.column_stack([scales, codes])
    return Answer(_meant(rows, inputs), rows)


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
    "encode-scaled": _encoded_scaled,
    "quantize": _quantized,
    "dequantize": _dequantized,
    "fake_quantize": _there_and_back,
    **dict.fromkeys(PRODUCT_OPERATIONS, _multiplied),
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


def _meant(codes: Array, inputs: Inputs) -> Array:
    """The numbers that codes, or rows of a scale and codes, stand for."""
    if inputs.operation == "encode":
        return _values_of(codes, inputs.element)
    fmt = find_block_format(inputs.format)
    if inputs.operation == "quantize":
        return _scaled(codes[:, 0], codes[:, 1:], fmt)
    return _scaled(inputs.arrays[1], codes[:, None], fmt)[:, 0]


def trivial(inputs: Inputs, right: Answer) -> Iterator[tuple[str, str, Answer]]:
    """Results that no kernel should give: name, what it is, and the answer."""
    values = right.values
    yield "all-zero", "zeros for everything", Answer(np.zeros_like(values), values)
    yield "sign-flipped", "every sign is wrong", Answer(-values, values)
    yield "all-nan", "NaN for everything", Answer(np.full_like(values, np.nan), values)
    dropped = values.copy()
    dropped[-1] = 0
    yield "last-row-dropped", "zeros where the last block or row belongs", Answer(dropped, values)
    if inputs.operation in OF_NUMBERS:
        yield "not-quantized", "the inputs as they are", Answer(inputs.numbers, values)
    if inputs.operation in OF_CODES:
        moved = _meant(_next_codes(inputs, right.bits), inputs)
        yield "one-code-off", "every code is the next one", Answer(moved, values)
    yield "doubled", "every result is twice as large", Answer(2 * values, values)


def _next_codes(inputs: Inputs, rows: Array) -> Array:
    """Codes of the next larger magnitude, as far as there is one; scales stay."""
    fmt = inputs.element
    own = np.ones(rows.shape, dtype=bool)
    if inputs.operation == "quantize":
        own[:, 0] = False
    top = fmt.max_code if isinstance(fmt, FloatFormat) else (1 << fmt.width) - 1
    mask = (1 << (fmt.width - 1)) - 1
    return np.asarray(np.where(own & ((rows & mask) < (top & mask)), rows + 1, rows))
