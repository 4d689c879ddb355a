"""What a test gives to the implementation: the user's arrays, or numbers as most tests use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import mxemu
from conformance.adapter import PRODUCT_OPERATIONS, pair_of
from conformance.arrays import Array, as_bits, as_values, fits, narrow_bits, wide_values
from mxemu.errors import BadShape, BadType, BadValue, MxemuError
from mxemu.formats import BINARY32, CARRIERS, ElementFormat, element
from mxemu.formats import block_format as find_block_format
from mxemu.formats import carrier as find_carrier

AUDITED = (
    *("encode", "decode", "encode-scaled", "quantize", "dequantize", "fake_quantize"),
    *PRODUCT_OPERATIONS,
)
"""Operations whose tests can be audited; decode takes codes, dequantize blocks, encode-scaled numbers and scales."""

OF_NUMBERS = ("encode", "encode-scaled", "quantize", "fake_quantize")
"""Those that take numbers of a carrier."""

SEED = 20260101
"""Of the numbers that stand for a test's inputs where none are given."""

MOST_BLOCKS = 128
"""Blocks, or rows of a dot product, that are looked at unless more are asked for."""

_BLOCKS_OF = {"dot": 1, "dot-general": 4, "matmul": 4}
"""Blocks in a row of the usual operands."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    "encode-scaled": ("values", "scales"),
    "dequantize": ("scales", "codes"),
    **dict.fromkeys(PRODUCT_OPERATIONS, ("a", "b")),
}

_CARRIERS = {
    "float64": "binary64",
    "float32": "binary32",
    "float16": "binary16",
    "uint16": "bfloat16",
}


@dataclass(frozen=True)
class Inputs:
    """What a test gives to the implementation.

    Attributes
    ----------
    operation, format : str
        ``format`` names an element format, a block format, or a pair of them.
    arrays : tuple of ndarray
        Rows of k numbers (quantize, fake_quantize), numbers (encode), numbers and a scale for each (encode-scaled),
        codes (decode), scales and codes (dequantize), or two matrices of numbers (products), which are quantized before
        they are multiplied. Numbers of bfloat16 are its bits in uint16.
    carrier : str
        Of the numbers.
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

    @property
    def element(self) -> ElementFormat:
        """The format of the codes that go in or come out; that of the first operand of a product."""
        if self.operation in ("encode", "decode"):
            return element(self.format)
        return find_block_format(pair_of(self.format)[0]).element

    @property
    def numbers(self) -> Array:
        """The numbers that go in, in binary64."""
        return wide_values(as_bits(self.arrays[0], self.carrier), find_carrier(self.carrier))

    @cached_property
    def operands(self) -> tuple[mxemu.Blocks, mxemu.Blocks]:
        """The operands of a product, quantized by the default profile."""
        first, second = map(quantized, self.arrays, pair_of(self.format))
        return first, second


def quantized(array: Array, name: str) -> mxemu.Blocks:
    """Blocks of numbers; those of bfloat16 are given as bits."""
    carrier = carrier_of(array)
    blocks: mxemu.Blocks = mxemu.quantize(as_bits(array, carrier), name, carrier=carrier)
    return blocks


def carrier_of(array: Array) -> str:
    """The carrier of numbers by their dtype.

    Raises
    ------
    BadType
    """
    if array.dtype.name not in _CARRIERS:
        raise BadType(
            f"numbers of dtype {array.dtype}; expected one of {', '.join(_CARRIERS)}",
            "uint16 holds the bits of bfloat16",
        )
    return _CARRIERS[array.dtype.name]


def given_inputs(
    operation: str, format_name: str, data: Mapping[str, Array], most: int = MOST_BLOCKS
) -> Inputs:
    """The user's arrays in the form that an operation takes.

    Parameters
    ----------
    operation, format_name : str
    data : mapping
        Arrays by name, in order: one of numbers or codes; ``values`` and ``scales`` for encode-scaled; ``scales`` and
        ``codes`` for dequantize; ``a`` and ``b`` for products, whose last axis is multiplied.
    most : int
        Rows that are kept.

    Raises
    ------
    BadShape, BadType, BadValue
    """
    arrays = [_plain(np.asarray(array)) for array in data.values()]
    wanted = _NAMES.get(operation, ("one array",))
    if len(arrays) != len(wanted):
        raise BadShape(f"{len(arrays)} arrays for {operation}; expected {' and '.join(wanted)}")
    products = operation in PRODUCT_OPERATIONS
    carrier = carrier_of(arrays[0]) if products or operation in OF_NUMBERS else BINARY32.name
    shaped = (
        _operands(operation, format_name, arrays)
        if products
        else _rows(operation, format_name, arrays)
    )
    most = max(1, most // 4) if products else most
    kept = tuple(array[:most] for array in shaped)
    return Inputs(operation, format_name, kept, carrier, max(len(shaped[0]) - most, 0))


def _plain(array: Array) -> Array:
    """An array whose dtype NumPy knows: bfloat16 of another library as its bits."""
    return array.view(np.uint16) if array.dtype.name == "bfloat16" else array


def _rows(operation: str, format_name: str, arrays: list[Array]) -> list[Array]:
    """Single numbers or codes, or rows of one block each."""
    if operation == "encode":
        return [arrays[0].reshape(-1)]
    if operation == "decode":
        return [_codes(arrays[0].reshape(-1), element(format_name), "codes")]
    fmt = find_block_format(format_name)
    match operation:
        case "encode-scaled":
            values, scales = arrays[0].reshape(-1), arrays[1].reshape(-1)
            if values.size == fmt.k * scales.size:
                scales = np.repeat(scales, fmt.k)
            if values.size != scales.size:
                raise BadShape(f"{values.size} values and {scales.size} scales; expected as many")
            return [values, _codes(scales, fmt.scale, "scales")]
        case "dequantize":
            scales = _codes(arrays[0].reshape(-1), fmt.scale, "scales")
            return [scales, _codes(_blocks(arrays[1], fmt.k), fmt.element, "codes")]
        case _:
            return [_blocks(arrays[0], fmt.k)]


def _codes(array: Array, fmt: ElementFormat, what: str) -> Array:
    """Codes of a format, or the reason why they are none."""
    if array.dtype.kind not in "iu":
        raise BadType(f"{what} of dtype {array.dtype}; expected integers, the codes of {fmt}")
    wrong = array[~fits(array, fmt)]
    if wrong.size:
        raise BadValue(
            f"{int(wrong[0])} among the {what}; expected codes of {fmt}, {fmt.width} bits"
        )
    return array


def _blocks(array: Array, k: int) -> Array:
    if array.shape[-1:] == () or array.shape[-1] % k:
        raise BadShape(f"last axis of {array.shape}; expected a multiple of k = {k} (MX-6.3-MECH)")
    return array.reshape(-1, k)


def _operands(operation: str, format_name: str, arrays: list[Array]) -> list[Array]:
    """Rows of K numbers each."""
    k = find_block_format(pair_of(format_name)[0]).k
    for array in arrays:
        if array.ndim != 2 or array.shape[1] % k:
            raise BadShape(
                f"operand of shape {array.shape}; expected rows of a multiple of k = {k}"
            )
    (m, length), (n, other) = arrays[0].shape, arrays[1].shape
    if length != other:
        raise BadShape(f"K = {length} and {other}; expected one length")
    if operation == "dot" and length != k:
        raise BadShape(
            f"K = {length}; expected one block of k = {k} (MX-6.1-DOT)", "see dot-general"
        )
    if operation != "matmul" and m != n:
        raise BadShape(f"{m} and {n} rows; expected as many")
    return arrays


def usual_inputs(operation: str, format_name: str, carrier: str = BINARY32.name) -> Inputs:
    """What most tests use: numbers from a normal distribution, without a special one among them.

    Parameters
    ----------
    operation, format_name : str
    carrier : str
        Of the numbers; decode and dequantize have none.

    Raises
    ------
    MxemuError
        A carrier for an operation that takes codes.
    """
    rng = np.random.Generator(np.random.Philox(key=SEED))
    if operation in PRODUCT_OPERATIONS:
        shape = 16, _BLOCKS_OF[operation] * find_block_format(pair_of(format_name)[0]).k
        arrays = [_normal(rng, shape, carrier) for _ in range(2)]
        return Inputs(operation, format_name, tuple(arrays), carrier)
    if operation in ("decode", "dequantize") and carrier != BINARY32.name:
        raise MxemuError(f"{operation} in {carrier}; it takes codes, which have no carrier")
    if operation in ("encode", "decode"):
        numbers = _normal(rng, (1024,), carrier)
        arrays = [numbers if operation == "encode" else mxemu.encode(numbers, format_name)]
        return Inputs(operation, format_name, tuple(arrays), carrier)
    fmt = find_block_format(format_name)
    numbers = _normal(rng, (32, fmt.k), carrier)
    if operation in ("quantize", "fake_quantize"):
        return Inputs(operation, fmt.name, (numbers,), carrier)
    blocks = quantized(numbers, fmt.name)
    scales, codes = blocks.scales.reshape(-1), blocks.codes.reshape(-1, fmt.k)
    if operation == "dequantize":
        return Inputs(operation, fmt.name, (scales, codes))
    return Inputs(operation, fmt.name, (numbers.reshape(-1), np.repeat(scales, fmt.k)), carrier)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], carrier: str) -> Array:
    bits = narrow_bits(rng.standard_normal(shape), CARRIERS[carrier])
    return as_values(bits, carrier).reshape(shape)
