"""Fields as bits, bytes and text, for whole batches at once, and one record at a time with bitstring.

In every file a field is one number: number i of it lies at bits ``i * width`` and up. In text it is printed in
hexadecimal, its most significant digit first; in binary files it is little-endian. Both are padded with zeros at the
top, to whole digits and to whole bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from bitstring import BitArray, Bits

from conformance.arrays import Array, code_dtype
from conformance.vectors.table import Batch, Field, Table
from mxemu.errors import MxemuError


def field_bytes(column: Array, field: Field) -> Array:
    """A column as little-endian bytes.

    Parameters
    ----------
    column : ndarray of unsigned integers, shape (n,) or (n, count)
    field : Field

    Returns
    -------
    ndarray of uint8, shape (n, field.size)
    """
    rows = np.ascontiguousarray(column.reshape(len(column), field.count))
    if field.width == 8 * rows.dtype.itemsize:
        return rows.astype(rows.dtype.newbyteorder("<"), copy=False).view(np.uint8)
    if field.width == 4:
        return _nibbles(rows.astype(np.uint8))
    wide = rows.astype(code_dtype(field.width)).astype(
        code_dtype(field.width)().dtype.newbyteorder("<")
    )
    each = wide.view(np.uint8).reshape(len(rows), field.count, -1)
    bits = np.unpackbits(each, axis=2, bitorder="little", count=field.width)
    return np.packbits(bits.reshape(len(rows), field.bits), axis=1, bitorder="little")


def _nibbles(rows: Array) -> Array:
    """Pairs of 4-bit numbers as bytes, the first one below."""
    if rows.shape[1] % 2:
        rows = np.column_stack([rows, np.zeros(len(rows), np.uint8)])
    return rows[:, ::2] | (rows[:, 1::2] << np.uint8(4))


def from_bytes(data: Array, field: Field) -> Array:
    """The column of little-endian bytes; the inverse of `field_bytes`.

    Raises
    ------
    MxemuError
        When a padding bit is set, with the number of the first such row.
    """
    rows = len(data)
    bits = np.unpackbits(np.ascontiguousarray(data), axis=1, bitorder="little")
    stray = bits[:, field.bits :].any(axis=1)
    if stray.any():
        row = int(np.argmax(stray))
        raise MxemuError(f"vector {row + 1}: {field.name} has more than {field.bits} bits")
    each = bits[:, : field.bits].reshape(rows, field.count, field.width)
    dtype = np.dtype(code_dtype(field.width))
    whole = np.zeros((rows, field.count, 8 * dtype.itemsize), np.uint8)
    whole[:, :, : field.width] = each
    packed = np.packbits(whole, axis=2, bitorder="little")
    column = (
        packed.reshape(rows, field.count * dtype.itemsize)
        .view(dtype.newbyteorder("<"))
        .astype(dtype)
    )
    return column[:, 0] if field.count == 1 else column


@cache
def _digit_table() -> Array:
    """Two lower-case hexadecimal digits for each byte."""
    text = b"".join(b"%02x" % byte for byte in range(256))
    return np.frombuffer(text, np.uint8).reshape(256, 2)


@cache
def _digit_values() -> Array:
    """The value of each character as a hexadecimal digit; 255 for others."""
    values = np.full(256, 255, np.uint8)
    for value, letters in enumerate(zip("0123456789abcdef", "0123456789ABCDEF", strict=True)):
        for letter in letters:
            values[ord(letter)] = value
    return values


def field_digits(column: Array, field: Field) -> Array:
    """A column as hexadecimal characters, the most significant first, shape (n, field.digits)."""
    data = field_bytes(column, field)[:, ::-1]
    text = _digit_table()[data].reshape(len(data), -1)
    return text[:, text.shape[1] - field.digits :]


def from_digits(text: Array, field: Field) -> Array:
    """The column of hexadecimal characters, shape (n, field.digits); the inverse of `field_digits`.

    Raises
    ------
    MxemuError
        When a character is no hexadecimal digit, or a padding bit is set, with the number of the row.
    """
    values = _digit_values()[text]
    strange = (values > 15).any(axis=1)
    if strange.any():
        row = int(np.argmax(strange))
        found = text[row].tobytes().decode("latin-1")
        raise MxemuError(f"vector {row + 1}: {field.name} is {found!r}; {_unknown(found, field)}")
    if values.shape[1] % 2:
        values = np.column_stack([np.zeros(len(values), np.uint8), values])
    data = (values[:, ::2] << np.uint8(4)) | values[:, 1::2]
    return from_bytes(data[:, ::-1], field)


def _unknown(found: str, field: Field) -> str:
    """What is wrong with the digits of a field; X and Z come from a simulator."""
    if set(found.lower()) & set("xz") and not set(found.lower()) - set("0123456789abcdefxz"):
        return "the simulated design left bits unknown (X) or undriven (Z)"
    return f"expected {field.digits} hexadecimal digits"


def lines(batch: Batch, fields: Sequence[Field], separator: bytes) -> Array:
    """Vectors as characters, shape (n, digits and separators): the fields in order with a separator between."""
    between = np.full((len(batch), 1), ord(separator), np.uint8)
    parts: list[Array] = []
    for field in fields:
        parts += [field_digits(batch.columns[field.name], field), between]
    return np.concatenate(parts[:-1], axis=1)


def records(batch: Batch, table: Table) -> Array:
    """Vectors as the records of a binary file, shape (n, table.size)."""
    return np.concatenate(
        [field_bytes(batch.columns[field.name], field) for field in table.fields], axis=1
    )


def pack_record(numbers: Sequence[Sequence[int]], fields: Sequence[Field]) -> bytes:
    """One record from the numbers of each field.

    Raises
    ------
    MxemuError
        When a number does not fit its field.

    Examples
    --------
    >>> pack_record([[0x12], [1, 2, 3]], [Field("scale", 8), Field("codes", 6, 3)]).hex()
    '12813000'
    """
    return b"".join(
        _field_record(given, field) for given, field in zip(numbers, fields, strict=True)
    )


def _field_record(given: Sequence[int], field: Field) -> bytes:
    """The bytes of one field of one record."""
    whole = BitArray()
    for number in given:
        if not 0 <= number < 1 << field.width:
            raise MxemuError(f"{field.name} is {number:#x}; expected {field.width} bits")
        whole.prepend(Bits(uint=number, length=field.width))
    whole.prepend(Bits.from_zeros(8 * field.size - field.bits))
    whole.byteswap()
    return whole.bytes


def unpack_record(data: bytes, fields: Sequence[Field]) -> list[list[int]]:
    """The numbers of each field of one record; the inverse of `pack_record`.

    Raises
    ------
    MxemuError
        When there are more or fewer bytes than the fields take.

    Examples
    --------
    >>> unpack_record(bytes.fromhex("12813000"), [Field("scale", 8), Field("codes", 6, 3)])
    [[18], [1, 2, 3]]
    """
    size = sum(field.size for field in fields)
    if len(data) != size:
        raise MxemuError(f"a record of {len(data)} bytes; expected {size}")
    found, at = [], 0
    for field in fields:
        whole = BitArray(data[at : at + field.size])
        whole.byteswap()
        numbers = [
            whole[len(whole) - (i + 1) * field.width : len(whole) - i * field.width].uint
            for i in range(field.count)
        ]
        found.append(numbers)
        at += field.size
    return found


def number(column: Array, row: int, field: Field) -> int:
    """A whole field of one vector as one number."""
    given = np.atleast_1d(column[row]).tolist()
    return sum(int(one) << (i * field.width) for i, one in enumerate(given))


def hex_text(column: Array, row: int, field: Field) -> str:
    """The same in hexadecimal, with ``0x`` and all its digits."""
    return f"0x{number(column, row, field):0{field.digits}x}"


def from_number(value: int, field: Field) -> Array:
    """A whole field of one vector from one number, shape () or (count,).

    Raises
    ------
    MxemuError
        When it has more bits.
    """
    if not 0 <= value < 1 << field.bits:
        raise MxemuError(f"{field.name} is {value:#x}; expected at most {field.bits} bits")
    mask = (1 << field.width) - 1
    numbers = [value >> (i * field.width) & mask for i in range(field.count)]
    found = np.array(numbers, code_dtype(field.width))
    return found[0] if field.count == 1 else found
