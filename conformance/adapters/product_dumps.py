"""The operands and results of dot products and matrix products that a kernel left in files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

import mxemu
from conformance.adapter import pair_of
from conformance.adapters.arrayfiles import Stored
from conformance.arrays import BITS_DTYPES, Array, as_bits, code_dtype
from conformance.cases import Cases
from conformance.cases.products import Layout as Operands
from conformance.cases.products import element_of
from conformance.judges import ProductJudge
from mxemu.accumulation import Accumulation
from mxemu.array.packing import unpack_scales
from mxemu.errors import BadFile, BadShape
from mxemu.formats import BlockFormat, ElementFormat
from mxemu.formats import carrier as find_carrier
from mxemu.formats import find as find_format
from mxemu.layout import BYTES, ROW_MAJOR, Layout, Place

INPUTS = ("sa", "a", "sb", "b", "c")
"""The arrays that go in; scales where the format has them, c if there is something to add."""

MOST = 1 << 26
"""Numbers in the rows of all results together."""

_NOTE = "dump"


class Products(NamedTuple):
    """What a dump of products says.

    Attributes
    ----------
    operation, label : str
    layout : Layout
        Of codes and scales.
    accumulation : Accumulation
        What results are compared with.
    """

    operation: str
    label: str
    layout: Layout
    accumulation: Accumulation


def roles(label: str, with_c: bool) -> tuple[str, ...]:
    """The arrays that go in for a pair of formats."""
    scaled = [isinstance(find_format(name), BlockFormat) for name in pair_of(label)]
    needed = {"sa": scaled[0], "a": True, "sb": scaled[1], "b": True, "c": with_c}
    return tuple(name for name in INPUTS if needed[name])


def carrier_of(result: Stored, said: str) -> str:
    """What the results are."""
    if result.carrier and said and result.carrier != said:
        raise BadFile(f"the results are {result.carrier}; expected {said}")
    if not (result.carrier or said):
        what = "raw bytes" if result.raw else str(result.array.dtype)
        raise BadFile(f"the results are {what}; expected --carrier, or carrier in the TOML file")
    return result.carrier or said


def judge_of(
    asked: Products, given: Mapping[str, Stored], result: Stored, carrier: str
) -> tuple[ProductJudge, Array]:
    """The judge of a dump, and the results in the order of its cases.

    Raises
    ------
    BadFile, BadShape
        The arrays do not fit each other, or are too many.
    """
    formats = [find_format(name) for name in pair_of(asked.label)]
    a, b = (
        _operand(name, given, fmt, asked.layout)
        for name, fmt in zip(("a", "b"), formats, strict=True)
    )
    if a[1].shape[1] != b[1].shape[1]:
        raise BadShape(f"a has rows of {a[1].shape[1]} codes and b of {b[1].shape[1]}")
    shape, pairs = _pairs(asked.operation, len(a[1]), len(b[1]))
    bits = _patterns(result, carrier, shape, "results")
    c = _patterns(given["c"], carrier, shape, "c") if "c" in given else np.zeros_like(bits)
    operands = Operands(formats[0], formats[1], 1, find_carrier(carrier))
    blocks, rest = divmod(a[1].shape[1], operands.k)
    if rest or not blocks:
        raise BadShape(
            f"rows of {a[1].shape[1]} codes, not a multiple of k = {operands.k} (MX-6.2-SUM)"
        )
    operands = Operands(formats[0], formats[1], blocks, find_carrier(carrier))
    numbers = len(pairs[0]) * operands.width
    if numbers > MOST:
        raise BadShape(
            f"{len(pairs[0]):,} results of {operands.length} products; expected at most "
            f"{MOST // operands.width:,}",
            "cut a part out of the dump: some rows of a, of b and of the results",
        )
    rows = _rows((a, b), pairs, c.reshape(-1), blocks)
    return _judge(asked, operands, rows, "c" in given), bits.reshape(-1)


def _judge(asked: Products, operands: Operands, rows: Array, takes_c: bool) -> ProductJudge:
    """A judge of these rows, whatever number of blocks they have."""
    operation = "dot" if operands.blocks == 1 and asked.operation == "dot" else "dot-general"
    judge = ProductJudge(operation, asked.label, operands.out, "smoke", takes_c, asked.accumulation)
    theme = np.zeros(len(rows), dtype=np.int64)
    judge = judge.on(Cases(rows.astype(judge.cases.inputs.dtype), theme, (_NOTE,)))
    judge.layout = operands
    return judge


def _operand(
    name: str, given: Mapping[str, Stored], fmt: BlockFormat | ElementFormat, layout: Layout
) -> tuple[Array | None, Array]:
    """Scales and codes of one operand, one row for each of its vectors."""
    if layout.place is not Place.SEPARATE:
        raise BadFile(f"layout {layout} for products; expected one with separate scales")
    width = element_of(fmt).width
    codes = given[name].array
    if codes.ndim != 2 or codes.dtype.kind not in "iu":
        raise BadShape(f"{name} of shape {codes.shape} and {codes.dtype}; expected rows of codes")
    if layout.packing != BYTES:
        length = 8 * codes.shape[1] // width
        packed = np.ascontiguousarray(codes).view(np.uint8)
        codes = mxemu.unpack(packed, element_of(fmt), length, layout.packing)
    elif codes.dtype.kind == "i" and 8 * codes.dtype.itemsize == width:
        codes = codes.view(code_dtype(width))
    _check_codes(name, codes, width)
    if not isinstance(fmt, BlockFormat):
        return None, codes
    return _scales(f"s{name}", given[f"s{name}"].array, codes.shape, fmt, layout), codes


def _scales(
    name: str, scales: Array, shape: tuple[int, ...], fmt: BlockFormat, layout: Layout
) -> Array:
    """Scale codes as a matrix."""
    rows, columns = shape[0], shape[1] // fmt.k
    if layout.arrangement != ROW_MAJOR:
        flat = np.ascontiguousarray(scales).view(np.uint8).ravel()
        return unpack_scales(flat, rows, columns, layout.arrangement)
    if scales.shape != (rows, columns) or scales.dtype.kind not in "iu":
        raise BadShape(
            f"{name} of shape {scales.shape} and {scales.dtype}; "
            f"expected scale codes of shape {(rows, columns)}"
        )
    _check_codes(name, scales, fmt.scale.width)
    return scales


def _check_codes(name: str, codes: Array, width: int) -> None:
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < 1 << width:
        raise BadFile(f"{name} holds {int(codes.max()):#x}; expected codes of {width} bits")


def _pairs(operation: str, rows: int, columns: int) -> tuple[tuple[int, ...], tuple[Array, Array]]:
    """The shape of the results, and which rows of a and b make each."""
    if not rows or not columns:
        raise BadShape("the inputs are empty; expected at least one row of a and of b")
    if operation == "matmul":
        left, right = (place.ravel() for place in np.indices((rows, columns)))
        return (rows, columns), (left, right)
    if rows != columns:
        raise BadShape(f"a has {rows} rows and b {columns}; expected as many, or matmul")
    return (rows,), (np.arange(rows), np.arange(rows))


def _patterns(stored: Stored, carrier: str, shape: tuple[int, ...], what: str) -> Array:
    """Numbers of a carrier as bits, in a shape."""
    array = stored.array
    if stored.raw and array.size == np.prod(shape) * np.dtype(BITS_DTYPES[carrier]).itemsize:
        array = array.view(BITS_DTYPES[carrier]).reshape(shape)
    if array.shape != shape:
        raise BadShape(f"{what} of shape {array.shape}; expected {shape}")
    if stored.carrier == carrier:
        return as_bits(array, carrier)
    if stored.carrier or array.dtype.itemsize != np.dtype(BITS_DTYPES[carrier]).itemsize:
        raise BadFile(f"{what} of dtype {array.dtype}; expected {carrier}")
    return array.view(BITS_DTYPES[carrier])


def _rows(
    operands: tuple[tuple[Array | None, Array], ...],
    pairs: tuple[Array, Array],
    c: Array,
    blocks: int,
) -> Array:
    """Rows of cases: scales of a, a, scales of b, b, C; zeros where a format has no scale."""
    columns = []
    for (scales, codes), chosen in zip(operands, pairs, strict=True):
        nothing = np.zeros((len(codes), blocks), dtype=np.uint8)
        columns += [(nothing if scales is None else scales)[chosen], codes[chosen]]
    return np.column_stack([*(one.astype(np.uint64) for one in columns), c.astype(np.uint64)])
