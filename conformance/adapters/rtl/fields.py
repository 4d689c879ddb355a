"""The fields of one vector of each operation that a design can be checked for, and NumPy arrays as their bytes.

The names are those of the vector files, see `conformance.vectors.table`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from conformance.arrays import Array, code_dtype
from conformance.vectors.table import Field, Role
from conformance.vectors.words import field_bytes, from_bytes
from mxemu.errors import MxemuError, unknown
from mxemu.formats import BINARY32, BlockFormat, ElementFormat, FloatFormat, block_format, element
from mxemu.formats import find as find_format

OPERATIONS = (
    "encode",
    "decode",
    "encode-scaled",
    "quantize",
    "dequantize",
    "dot",
    "dot-general",
)
"""Operations that a port map can offer."""

_WITHOUT_BLOCKS = 32
"""Elements of an operand whose format has no blocks, as many as in a block of MX."""


@dataclass(frozen=True)
class Interface:
    """What goes into a design for one vector, and what comes out.

    Attributes
    ----------
    inputs, results : tuple of Field
        In the order of the vector files.
    """

    inputs: tuple[Field, ...]
    results: tuple[Field, ...]

    def field(self, name: str) -> Field:
        """A field by name.

        Raises
        ------
        UnknownName
        """
        fields = {one.name: one for one in (*self.inputs, *self.results)}
        if name not in fields:
            raise unknown("field", name, fields)
        return fields[name]


def interface(operation: str, format_name: str, carrier: FloatFormat, blocks: int = 1) -> Interface:
    """The fields of an operation.

    Parameters
    ----------
    operation : str
        One of `OPERATIONS`.
    format_name : str
        A format, or for products a pair of them with a comma.
    carrier : FloatFormat
        Of the numbers that go in; for decode, dequantize and products of those that come out.
    blocks : int
        In each operand of a general dot product.

    Raises
    ------
    UnknownName
    """
    match operation:
        case "encode" | "decode":
            fmt = element(format_name)
            value = Field("value", carrier.width, format=carrier.name)
            code = Field("code", fmt.width, format=fmt.name)
            sides = ([value], [code]) if operation == "encode" else ([code], [value])
            return _interface(*sides)
        case "encode-scaled" | "quantize" | "dequantize":
            return _of_blocks(operation, block_format(format_name), carrier)
        case "dot" | "dot-general":
            return _of_products(format_name, carrier, blocks)
    raise unknown("operation", operation, OPERATIONS)


def _of_blocks(operation: str, fmt: BlockFormat, carrier: FloatFormat) -> Interface:
    scale = Field("scale", fmt.scale.width, format=fmt.scale.name)
    if operation == "encode-scaled":
        value = Field("value", carrier.width, format=carrier.name)
        return _interface(
            [scale, value], [Field("code", fmt.element.width, format=fmt.element.name)]
        )
    values = Field("values", carrier.width, fmt.k, format=carrier.name)
    codes = Field("codes", fmt.element.width, fmt.k, format=fmt.element.name)
    if operation == "quantize":
        return _interface([values], [scale, codes])
    return _interface([scale, codes], [values])


def _of_products(label: str, out: FloatFormat, blocks: int) -> Interface:
    first, _, second = label.partition(",")
    inputs = []
    for name, fmt in (("a", find_format(first)), ("b", find_format(second or first))):
        k = fmt.k if isinstance(fmt, BlockFormat) else _WITHOUT_BLOCKS
        own: ElementFormat = fmt.element if isinstance(fmt, BlockFormat) else fmt
        if isinstance(fmt, BlockFormat):
            inputs.append(Field(f"s{name}", fmt.scale.width, blocks, format=fmt.scale.name))
        inputs.append(Field(name, own.width, k * blocks, format=own.name))
    inputs.append(Field("c", out.width, format=out.name))
    return _interface(inputs, [Field("result", out.width, format=out.name)])


def _interface(inputs: Sequence[Field], results: Sequence[Field]) -> Interface:
    outs = tuple(Field(one.name, one.width, one.count, Role.OUT, one.format) for one in results)
    return Interface(tuple(inputs), outs)


def size(fields: Sequence[Field]) -> int:
    """Bytes of some fields, each padded to whole bytes."""
    return sum(one.size for one in fields)


def offsets(fields: Sequence[Field]) -> list[int]:
    """The first byte of each field."""
    return [size(fields[:index]) for index in range(len(fields))]


def to_records(fields: Sequence[Field], columns: Mapping[str, Array], rows: int) -> Array:
    """Vectors as bytes: fields in order, each little-endian in whole bytes.

    Parameters
    ----------
    fields : sequence of Field
    columns : mapping of str to ndarray
        Unsigned integers, shape (rows,) or (rows, count).
    rows : int

    Returns
    -------
    ndarray of uint8, shape (rows, size)
    """
    records = np.zeros((rows, size(fields)), dtype=np.uint8)
    for one, start in zip(fields, offsets(fields), strict=True):
        numbers = columns[one.name].reshape(rows, one.count)
        records[:, start : start + one.size] = field_bytes(
            numbers.astype(code_dtype(one.width), copy=False), one
        )
    return records


def from_records(fields: Sequence[Field], records: Array) -> dict[str, Array]:
    """The columns of some records; the reverse of `to_records`.

    Returns
    -------
    dict of str to ndarray
        Unsigned integers, shape (rows,) where a field holds one number, else (rows, count).
    """
    columns = {}
    for one, start in zip(fields, offsets(fields), strict=True):
        columns[one.name] = _column(records[:, start : start + one.size], one)
    return columns


def _column(records: Array, one: Field) -> Array:
    """The numbers of one field; those of whole bytes are there already."""
    dtype = np.dtype(code_dtype(one.width))
    if one.width != 8 * dtype.itemsize:
        return from_bytes(records, one)
    whole = np.ascontiguousarray(records).view(dtype.newbyteorder("<"))
    numbers = whole.astype(dtype, copy=False)
    return numbers[:, 0] if one.count == 1 else numbers


def hex_words(fields: Sequence[Field], records: Array) -> list[str]:
    """Vectors as lines of a ``.memh`` file: fields in hexadecimal digits, the most significant first, with ``_``."""
    parts = []
    for one, start in zip(fields, offsets(fields), strict=True):
        text = np.ascontiguousarray(records[:, start : start + one.size][:, ::-1]).tobytes().hex()
        step = 2 * one.size
        cut = step - one.digits
        parts.append([text[at + cut : at + step] for at in range(0, len(text), step)])
    return ["_".join(words) for words in zip(*parts, strict=True)]


def read_words(words: Sequence[str], fields: Sequence[Field]) -> bytes:
    """One vector from the hexadecimal texts of its fields.

    Raises
    ------
    MxemuError
        A text is not hexadecimal, or of another length than its field.
    """
    if len(words) != len(fields):
        raise MxemuError(f"{len(words)} fields; expected {len(fields)}")
    found = b""
    for word, one in zip(words, fields, strict=True):
        try:
            number = int(word, 16) if len(word) == one.digits else -1
        except ValueError:
            number = -1
        if number < 0 or number >> one.bits:
            raise MxemuError(
                f"field {one.name} is {word!r}; expected {one.digits} digits, {one.bits} bits"
            )
        found += number.to_bytes(one.size, "little")
    return found


def carrier_of(dtype: np.dtype[np.generic]) -> str:
    """The carrier that arrives in a dtype; bfloat16 comes as its bits."""
    names = {
        "float32": "binary32",
        "float16": "binary16",
        "uint16": "bfloat16",
        "float64": "binary64",
    }
    return names.get(dtype.name, BINARY32.name)
