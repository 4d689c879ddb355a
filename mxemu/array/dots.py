"""The verbs dot and matmul: dot products of arrays under any accumulation, equal to `mxemu.products` bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from mxemu.accumulation import (
    EXACT,
    TF32,
    Accumulation,
    OperandSubnormals,
    ProductExponent,
    ScaleAt,
    Sum,
    ZeroSign,
    accumulator_of,
)
from mxemu.accumulations import find as find_accumulation
from mxemu.array import gemm, machine
from mxemu.array.blocks import Blocks
from mxemu.array.inputs import BITS, Array, is_tensor, native, to_array, to_bits, to_codes
from mxemu.array.schedule import MODES, NONE, CannotSchedule, rounding_row, scale_rows, schedule
from mxemu.array.threads import spread
from mxemu.errors import BadShape, BadType
from mxemu.formats import BINARY32, BlockFormat, ElementFormat, FloatFormat
from mxemu.formats import carrier as find_carrier
from mxemu.formats import element as find_element
from mxemu.products import Operand, block_size, nan_bits
from mxemu.products import dot as dot_of_one
from mxemu.profile import Rounding
from mxemu.scalar import decode
from mxemu.value import Kind, Value

# Terms, and rows of a matrix, that are unpacked at a time: enough to hide the call, few enough for a cache.
_TERMS, _SIDE = 1 << 19, 512
# Formats up to this width are decoded by a table of all codes.
_TABLE_WIDTH = 16


class Vectors(NamedTuple):
    """Rows of an operand.

    Attributes
    ----------
    codes : ndarray of unsigned integers, shape (..., K)
    scales : ndarray of unsigned integers, shape (..., K / k), or None
    format : BlockFormat or element format
    tensor_scale : float32 or None
    """

    codes: Array
    scales: Array | None
    format: BlockFormat | ElementFormat
    tensor_scale: np.float32 | None

    @property
    def lead(self) -> tuple[int, ...]:
        """All axes but that of K."""
        return self.codes.shape[:-1]

    def rows(self) -> Vectors:
        """The same with one leading axis."""
        count, scales = int(np.prod(self.lead)), self.scales
        if scales is not None:
            scales = scales.reshape(count, scales.shape[-1])
        return self._replace(codes=self.codes.reshape(count, self.codes.shape[-1]), scales=scales)

    def at(self, place: tuple[int, ...], shape: tuple[int, ...]) -> Vectors:
        """One matrix, where the leading dimensions were broadcast to a shape."""
        own = self.codes.ndim - 2
        lead = self.codes.shape[:own]
        index = tuple(
            0 if length == 1 else one
            for one, length in zip(place[len(shape) - own :], lead, strict=True)
        )
        scales = None if self.scales is None else self.scales[index]
        return self._replace(codes=self.codes[index], scales=scales)

    def take(self, rows: Array) -> Vectors:
        """Some rows."""
        scales = None if self.scales is None else self.scales[rows]
        return self._replace(codes=self.codes[rows], scales=scales)

    def operand(self, row: int) -> Operand:
        """One row, as the exact core takes it."""
        scales = () if self.scales is None else self.scales[row].tolist()
        second = None if self.tensor_scale is None else _value_of(self.tensor_scale)
        return Operand(self.codes[row].tolist(), self.format, scales, second)


def dot(
    a: Any,
    b: Any,
    *,
    c: Any | None = None,
    accumulation: Accumulation | str = EXACT,
    out: FloatFormat | str = BINARY32,
    bits: bool = False,
) -> Array:
    """Dot products along the last axis of storage, the one that is cut into blocks.

    Parameters
    ----------
    a, b : Blocks, or (codes, element format)
        Shapes (..., K) with leading dimensions that broadcast; the blocked axis is the last one. A pair stands for
        numbers without scales: an array of codes and the name of their format.
    c : array_like, optional
        Added as the accumulation says; its shape broadcasts to that of the result. Floats, which enter as they are, a
        Python float as binary64; or unsigned integers that are bit patterns of ``out``.
    accumulation : Accumulation or str
    out : FloatFormat or str
        binary32, bfloat16, binary16 or binary64.
    bits : bool
        Return bit patterns.

    Returns
    -------
    ndarray, shape (...)
        Of ``out``; bfloat16 is always bit patterns.

    Raises
    ------
    BadShape
        When K, k or the leading dimensions do not go together.
    BadType, BadCode, UnknownName

    Notes
    -----
    Equal to `mxemu.products.dot` for every accumulation, bit for bit. The profile of the blocks plays no part. The
    zeros that fill up a last block are terms like others: K counts them, and they make -0 + -0 a +0.

    Examples
    --------
    >>> from mxemu.array import quantize
    >>> a = quantize(np.arange(64, dtype=np.float32).reshape(2, 32), "MXFP8_E4M3")
    >>> dot(a, a)
    array([10084., 71760.], dtype=float32)
    """
    left, right = _vectors(a, "a"), _vectors(b, "b")
    shape = _broadcast(left.lead, right.lead)
    rows, columns = (np.broadcast_to(_indices(one.lead), shape).ravel() for one in (left, right))
    unit = _Unit(left, right, find_accumulation(accumulation), find_carrier(out), c is not None)
    patterns = np.empty(len(rows), BITS[unit.out.name])
    carried = _carried(c, shape, unit.out, flat=True)
    for part in _parts(len(rows), max(1, _TERMS // max(unit.length, 1))):
        unit.fill(
            patterns[part], rows[part], columns[part], None if carried is None else carried.at(part)
        )
    return _finished(patterns.reshape(shape), unit.out, bits)


def matmul(
    a: Any,
    b: Any,
    *,
    c: Any | None = None,
    accumulation: Accumulation | str = EXACT,
    out: FloatFormat | str = BINARY32,
    bits: bool = False,
) -> Array:
    """Matrix product of two operands that are both blocked along K: every row of a with every row of b.

    Parameters
    ----------
    a : Blocks, or (codes, element format), shape (..., m, K)
    b : Blocks, or (codes, element format), shape (..., n, K)
        What is (K, n) in blocks along axis 0 has the same storage.
    c : array_like, shape (..., m, n), optional
    accumulation, out, bits
        As for `dot`.

    Returns
    -------
    ndarray, shape (..., m, n)

    Raises
    ------
    BadShape, BadType, BadCode, UnknownName

    Examples
    --------
    >>> from mxemu.array import quantize
    >>> a = quantize(np.eye(2, 32, dtype=np.float32), "MXFP4")
    >>> matmul(a, a, accumulation="nv-blackwell-mxf4")
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    left, right = _vectors(a, "a"), _vectors(b, "b")
    if len(left.lead) < 1 or len(right.lead) < 1:
        raise BadShape(
            f"operands of shape {left.codes.shape} and {right.codes.shape}; expected (..., m, K)"
        )
    lead = _broadcast(left.lead[:-1], right.lead[:-1])
    m, n = left.lead[-1], right.lead[-1]
    form = find_carrier(out)
    carried = _carried(c, (*lead, m, n), form)
    record = find_accumulation(accumulation)
    _Unit(left, right, record, form, carried is not None)  # refuses what does not go together
    patterns = np.empty((*lead, m, n), BITS[form.name])
    for place in np.ndindex(*lead):
        own = None if carried is None else carried.at(place)
        pair = left.at(place, lead), right.at(place, lead)
        unit = _Unit(*pair, record, form, own is not None)
        unit.product(patterns[place], own)
    return _finished(patterns, form, bits)


class _Unit:
    """Two operands and an accumulation, ready for the interpreter."""

    def __init__(
        self, a: Vectors, b: Vectors, record: Accumulation, out: FloatFormat, has_c: bool
    ) -> None:
        self.record, self.out = record, out
        self.a, self.b = a.rows(), b.rows()
        self.length = a.codes.shape[-1]
        if self.length != b.codes.shape[-1]:
            raise BadShape(
                f"K = {self.length} and {b.codes.shape[-1]}; expected the same length (MX-6.1-DOT)"
            )
        self.k = block_size(*(Operand(range(self.length), one.format) for one in (a, b)))
        tensor = [one.tensor_scale for one in (a, b) if one.tensor_scale is not None]
        if tensor and has_c and (record.node != Sum() or record.tensor_scale is not None):
            raise BadShape(f"{record.name} does not say how C meets a tensor scale; expected no C")
        self.tensor = _tensor_numbers(tensor, record)

    def product(self, result: Array, c: Carried | None) -> None:
        """The bits of all dots of a row of a with a row of b, shape (m, n)."""
        if self.out == BINARY32 and (c is None or c.form == BINARY32):
            numbers = None if c is None else np.ascontiguousarray(c.bits).view(np.float32)
            listed = partial(self._listed, c)
            if gemm.matmul(self.a, self.b, self.record, numbers, result, listed):
                return
        side = max(1, min(_SIDE, _TERMS // max(self.length, 1)))
        for rows in _parts(result.shape[0], side):
            for columns in _parts(result.shape[1], side):
                left, right = np.mgrid[rows, columns].reshape(2, -1)
                shape = result[rows, columns].shape
                result[rows, columns] = self._listed(c, left, right).reshape(shape)

    def _listed(self, c: Carried | None, rows: Array, columns: Array) -> Array:
        """The bits of the dots of listed rows and columns."""
        result = np.empty(len(rows), BITS[self.out.name])
        self.fill(result, rows, columns, None if c is None else c.at((rows, columns)))
        return result

    def fill(self, result: Array, left: Array, right: Array, c: Carried | None) -> None:
        """The bits of the dots of pairs of rows."""
        try:
            program = schedule(self.record, self.length, self.k, self.out, len(self.tensor))
        except CannotSchedule:
            self._one_by_one(result, left, right, c, range(len(result)))
            return
        x, first_rows = self._prepared(self.a, left)
        y, second_rows = self._prepared(self.b, right)
        carried = self._aligned(c, len(result))
        too_wide = np.zeros(len(result), np.bool_)
        found = np.empty(len(result), np.int64)
        options = self._options()
        code = (program.code, program.inputs, program.steps, program.roundings, program.result)
        scales = 3 * scale_rows(self.length, self.k) + len(self.tensor)

        def work(first: int, after: int) -> None:
            part = slice(first, after)
            pairs = np.stack([first_rows[part], second_rows[part]], axis=1)
            scratch = machine.scratch_for(program, self.length, scales)
            inputs = (x, y, self.tensor, carried[part], pairs, self.k)
            machine.dots(*inputs, code, options, scratch, found[part], too_wide[part])

        spread(work, len(result), cost=16 * max(self.length, 1))
        result[...] = found
        self._one_by_one(result, left, right, c, np.flatnonzero(too_wide))

    def _one_by_one(
        self, result: Array, left: Array, right: Array, c: Carried | None, places: Any
    ) -> None:
        """Results that the interpreter cannot hold, from the exact core."""
        for place in places:
            pair = self.a.operand(int(left[place])), self.b.operand(int(right[place]))
            own = None if c is None else decode(int(c.bits[place]), c.form)
            result[place] = dot_of_one(*pair, own, self.record, self.out).bits

    def _prepared(self, whole: Vectors, rows: Array) -> tuple[tuple[Array, Array], Array]:
        """The rows that occur, as elements (n, K, 5) and scales (n, K / k, 5), and where each one is."""
        occurring, places = np.unique(rows, return_inverse=True)
        one = whole.take(occurring)
        record = self.record
        element = one.format.element if isinstance(one.format, BlockFormat) else one.format
        numbers = _numbers(one.codes, element)
        scales = self._scales(one)
        flush = record.operand_subnormals
        signed = flush is not OperandSubnormals.FLUSH_POSITIVE
        if flush is not OperandSubnormals.KEEP and isinstance(element, FloatFormat):
            tiny = (numbers[..., 1] < 1 << element.mantissa_bits) & (
                numbers[..., 4] == machine.FINITE
            )
            _flush(numbers, tiny, signed)
        if record.operand_format is not None:
            row = np.array([_rounding(record.operand_format)], np.int64)
            own = record.scale_at is ScaleAt.OPERAND
            flat = numbers.reshape(-1, 5), scales.reshape(-1, 5)
            machine.convert(*flat, self.k, own, row)
        return (numbers, scales), places

    def _scales(self, one: Vectors) -> Array:
        """The scales of an operand, ones if it has none."""
        count = scale_rows(self.length, self.k)
        if one.scales is None or not one.scales.size or not isinstance(one.format, BlockFormat):
            return np.broadcast_to(_ONE, (len(one.codes), count, 5)).copy()
        numbers = _numbers(one.scales, one.format.scale)
        if self.record.scale_zero_code:
            numbers[one.scales == 0, 1] = 0
        if self.record.scale_unsigned:
            numbers[..., 0] = 0
        return numbers

    @property
    def _positive(self) -> bool:
        return self.record.zero_sign is ZeroSign.POSITIVE

    def _aligned(self, c: Carried | None, count: int) -> Array:
        """C as numbers with the exponents of the accumulator's format; +0 if there is none."""
        if c is None:
            return np.broadcast_to(_NOTHING, (count, 5))
        numbers, fmt = c.numbers(), accumulator_of(self.record)
        finite = (numbers[:, 4] == machine.FINITE) & (numbers[:, 1] != 0)
        leading = _leading(numbers)
        aligned = leading if fmt is None else np.maximum(leading, fmt.emin)
        numbers[:, 3] = np.where(finite, aligned, NONE)
        if self.record.operand_subnormals is not OperandSubnormals.KEEP:
            signed = self.record.operand_subnormals is OperandSubnormals.FLUSH
            zero = (numbers[:, 4] == machine.FINITE) & (numbers[:, 1] == 0)
            _flush(numbers, zero | (finite & (leading < (fmt or BINARY32).emin)), signed)
        return numbers

    def _options(self) -> tuple[Array, Array, Array]:
        """How products are made, their rounding, and the form of the result; see `machine`."""
        record, out = self.record, self.out
        scaled = record.scale_at is ScaleAt.PRODUCT and not self._unscaled
        own = _EXPONENTS[record.product_exponent]
        limit = NONE if record.product_limit is None else record.product_limit
        options = [int(scaled), own, limit, int(record.products is not None)]
        rounding = [[0] * 6 if record.products is None else rounding_row(record.products)]
        nan = np.uint64(nan_bits(out, record.nan_word)).view(np.int64)
        special = out.max_code + 1
        form = [out.mantissa_bits, out.emin, special, out.width, nan, int(self._positive)]
        return np.array(options), np.array(rounding), np.array(form, np.int64)

    @property
    def _unscaled(self) -> bool:
        """Whether neither operand has scales."""
        return self.a.scales is None and self.b.scales is None


_ONE = np.array([0, 1, 0, 0, machine.FINITE], np.int64)
_NOTHING = np.array([0, 0, 0, NONE, machine.FINITE], np.int64)
_EXPONENTS = {
    ProductExponent.SUM: machine.SUM,
    ProductExponent.NORMALISED: machine.NORMALISED,
    ProductExponent.SCALE: machine.SCALES,
}
_KINDS = {Kind.FINITE: machine.FINITE, Kind.INF: machine.INF, Kind.NAN: machine.NAN}


def _rounding(fmt: FloatFormat) -> list[int]:
    """The row of a rounding to a format, ties to even."""
    return [MODES[Rounding.TIES_TO_EVEN], fmt.mantissa_bits, fmt.emin, fmt.emax, 0, 0]


def _flush(numbers: Array, tiny: Array, signed: bool) -> None:
    """Make some numbers zero."""
    numbers[tiny, 1] = 0
    numbers[tiny, 3] = NONE
    if not signed:
        numbers[tiny, 0] = 0


def _leading(numbers: Array) -> Array:
    """Exponents of the leading bits."""
    lengths = np.frexp(numbers[:, 1].astype(np.float64))[1]
    # Above 2^53 the conversion can round up to the next power of two.
    lengths = lengths - (numbers[:, 1] >> np.maximum(lengths - 1, 0) == 0)
    return lengths - 1 + numbers[:, 2]


def _numbers(codes: Array, fmt: ElementFormat) -> Array:
    """Codes as sign, magnitude, exponent of its last bit, exponent that alignment sees, kind."""
    if codes.size and int(codes.max()) >> fmt.width:
        to_codes(codes.astype(np.int64), fmt.width)  # raises, naming the code
    if fmt.width <= _TABLE_WIDTH:
        return np.asarray(_table(fmt)[codes])
    assert isinstance(fmt, FloatFormat)
    return _wide(codes.astype(np.int64), fmt)


@lru_cache(maxsize=64)
def _table(fmt: ElementFormat) -> Array:
    """The numbers of all codes, from the exact core."""
    table = np.empty((1 << fmt.width, 5), np.int64)
    for code in range(1 << fmt.width):
        value = decode(code, fmt)
        aligned = value.exponent + fmt.mantissa_bits if value.significand else NONE
        table[code] = (value.sign, value.significand, value.exponent, aligned, _KINDS[value.kind])
    return table


def _wide(codes: Array, fmt: FloatFormat) -> Array:
    """As `_table`, for formats that are too wide for one."""
    magnitude, mantissa = codes & fmt.magnitude_mask, fmt.mantissa_bits
    field = magnitude >> mantissa
    hidden = field > 0
    number = np.empty((*codes.shape, 5), np.int64)
    number[..., 0] = (codes >> (fmt.width - 1)) & 1
    number[..., 1] = (magnitude & ((1 << mantissa) - 1)) | (hidden.astype(np.int64) << mantissa)
    number[..., 2] = np.maximum(field, 1) - fmt.bias - mantissa
    number[..., 4] = np.where(magnitude == fmt.inf, machine.INF, machine.NAN)
    number[magnitude <= fmt.max_code, 4] = machine.FINITE
    number[number[..., 4] != machine.FINITE, 1] = 0
    number[..., 3] = np.where(number[..., 1] != 0, number[..., 2] + mantissa, NONE)
    return number


def _vectors(x: Any, what: str) -> Vectors:
    """An operand as codes and scales."""
    if isinstance(x, Blocks):
        codes = x.codes.reshape(*x.codes.shape[:-2], x.codes.shape[-2] * x.codes.shape[-1])
        return Vectors(codes, x.scales, x.block_format, x.tensor_scale)
    if not isinstance(x, tuple) or len(x) != 2:
        raise BadType(
            f"{what} is {type(x).__name__}; expected Blocks, or codes and the name of their format"
        )
    fmt = TF32 if str(x[1]).lower() == "tf32" else find_element(x[1])
    codes = to_codes(x[0], fmt.width)
    if not codes.ndim:
        raise BadShape(f"{what} has no axis; expected codes of shape (..., K)")
    return Vectors(codes, None, fmt, None)


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        raise BadShape(f"leading dimensions {a} and {b} do not broadcast") from None


def _indices(shape: tuple[int, ...]) -> Array:
    """The number of each row."""
    return np.arange(int(np.prod(shape))).reshape(shape)


@dataclass(frozen=True)
class Carried:
    """C as bit patterns of a format."""

    bits: Array
    form: FloatFormat

    def at(self, index: Any) -> Carried:
        """A part of it."""
        return Carried(self.bits[index], self.form)

    def numbers(self) -> Array:
        """Shape (n, 5)."""
        return _wide(self.bits.astype(np.uint64).view(np.int64).reshape(-1), self.form)


def _carried(
    c: Any | None, shape: tuple[int, ...], out: FloatFormat, *, flat: bool = False
) -> Carried | None:
    """C in the shape of the result, or as one row."""
    if c is None:
        return None
    array = to_array(c)
    patterns = array.dtype.kind == "u" and not is_tensor(c)
    found = to_bits(c, out if patterns else None)
    try:
        whole = np.broadcast_to(native(found.array), shape)
    except ValueError:
        raise BadShape(
            f"c has shape {array.shape}; expected one that broadcasts to {shape}"
        ) from None
    return Carried(whole.reshape(-1) if flat else whole, found.carrier)


def _parts(count: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` that cover range(count)."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _value_of(number: np.float32) -> Value:
    return decode(int(np.float32(number).view(np.uint32)), BINARY32)


def _tensor_numbers(scales: list[np.float32], record: Accumulation) -> Array:
    """The scale of whole tensors as one number, or as two that add up if it is long and multiplies a long result."""
    if not scales:
        return np.empty((0, 5), np.int64)
    significand, exponent = 1, 0
    for scale in scales:
        value = _value_of(scale)
        significand, exponent = significand * value.significand, exponent + value.exponent
    zeros = (significand & -significand).bit_length() - 1
    significand, exponent = significand >> zeros, exponent + zeros
    at_once = record.tensor_scale is not None or record.node == Sum()
    if at_once or significand.bit_length() <= 24:
        parts = [(significand, exponent)]
    else:
        parts = [(significand >> 24, exponent + 24), (significand & 0xFFFFFF, exponent)]
    return np.array([(0, part, power, power, machine.FINITE) for part, power in parts], np.int64)


def _finished(patterns: Array, out: FloatFormat, bits: bool) -> Array:
    """Bit patterns, or numbers on the same memory."""
    if bits or out.name not in _FLOATS:
        return patterns
    return patterns.view(_FLOATS[out.name])


_FLOATS = {"binary64": np.float64, "binary32": np.float32, "binary16": np.float16}
