"""encode and decode of arrays, element by element."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from enum import Enum
from functools import lru_cache
from typing import Any

import numpy as np

from mxemu import philox
from mxemu.array import integers, kernels
from mxemu.array.inputs import (
    BITS,
    Array,
    check_out,
    check_range,
    code_dtype,
    native,
    to_bits,
    to_codes,
)
from mxemu.array.plans import KEPT, EncodePlan, encode_plan
from mxemu.array.threads import spread
from mxemu.block import value_bits
from mxemu.errors import BadShape, BadType, BadValue
from mxemu.formats import CARRIERS, ElementFormat, FloatFormat, IntFormat
from mxemu.formats import element as find_element
from mxemu.profile import OCP, Profile, Rounding
from mxemu.profile import profile as find_profile
from mxemu.scalar import decode as decode_one

# Elements copied at a time where the caller's memory cannot be used as it is.
CHUNK = 1 << 18
# Wider codes are decoded one distinct code at a time.
_WIDEST_DECODE = 16
_NO_WORDS = np.empty(0, np.uint64)
_NO_STATUS = np.empty(0, np.uint8)


def chosen(
    profile: Profile | str, rounding: Rounding | str | None, overflow: Any | None
) -> Profile:
    """The profile with the two fields that verbs take as a shorthand."""
    found = find_profile(profile)
    if rounding is None and overflow is None:
        return found
    given = {"rounding": rounding, "overflow": overflow}
    changes = {name: value for name, value in given.items() if value is not None}
    if not all(isinstance(value, str | Enum) for value in changes.values()):
        return found.replace(**changes)  # which refuses what is neither
    return _replaced(found, **changes)


@lru_cache(maxsize=256)
def _replaced(profile: Profile, **given: Any) -> Profile:
    return profile.replace(**given)


def encode(
    x: Any,
    element: ElementFormat | str,
    *,
    profile: Profile | str = OCP,
    rounding: Rounding | str | None = None,
    overflow: Any | None = None,
    carrier: FloatFormat | str | None = None,
    random: Any | None = None,
    key: int | None = None,
    out: Array | None = None,
    return_status: bool = False,
) -> Any:
    """Convert numbers to codes, each rounded once from its exact value.

    Parameters
    ----------
    x : array_like
        binary32, binary64, binary16 or bfloat16 numbers of any shape; see `inputs.to_bits`. Integers are taken when
        binary64 holds them exactly.
    element : FloatFormat, IntFormat or str
        A format without zero, such as E8M0, is converted to as `scale.encode_scale` does, and has no status.
    profile : Profile or str
    rounding, overflow : optional
        Shorthand for ``profile.replace(...)``.
    carrier : FloatFormat or str, optional
        Says that x is an array of unsigned bit patterns of this format, such as ``"bfloat16"``.
    random : array_like of unsigned integers, optional
        The random words of STOCHASTIC rounding, broadcast to the shape of x.
    key : int, optional
        Instead of them: word i is `philox.word` (key, i) for the element at position i in C order.
    out : ndarray, optional
        Receives the codes; must have the shape of x and the dtype of the codes.
    return_status : bool
        Also return a uint8 array of `scalar.Status` bits.

    Returns
    -------
    codes : ndarray of uint8, uint16, uint32 or uint64, shape of x
        The smallest dtype that holds the element's width; a NumPy scalar for a zero-dimensional x.
    status : ndarray of uint8, shape of x
        With ``return_status``.

    Raises
    ------
    BadType, BadShape, BadValue, UnknownName

    Examples
    --------
    >>> encode([0.1, -3.0, 1000.0], "E4M3")
    array([ 29, 196, 126], dtype=uint8)
    """
    array, source = to_bits(x, carrier)
    choices = chosen(profile, rounding, overflow)
    plan: EncodePlan = KEPT.find(_encode_plan, element, source, choices)
    if plan.rounder is None and (return_status or random is not None or key is not None):
        raise BadValue(f"{plan.element.name}: a conversion to a scale has no status and no draws")
    words = draws(array.shape, choices, random, key) if plan.rounder is not None else None
    dtype = code_dtype(plan.element.width)
    codes = np.empty(array.shape, dtype) if out is None else check_out(out, array.shape, dtype)
    status = np.empty(array.shape, np.uint8) if return_status else None
    if plan.table is None or words is not None:
        _encode_by_integers(array, words, plan, codes, status)
    else:
        _each_chunk(array, codes, lambda bits, into: _gather(bits, plan.table, into))
        if status is not None:
            _encode_status(array, plan, codes, status)
    result = codes[()] if out is None else out
    return (result, status[()]) if status is not None else result


@lru_cache(maxsize=512)
def _encode_plan(
    element: ElementFormat | str, carrier: FloatFormat, profile: Profile
) -> EncodePlan:
    return encode_plan(find_element(element), carrier, profile)


def named_element(element: ElementFormat | str) -> ElementFormat:
    """An element format by record or name; a name is searched for once."""
    return element if isinstance(element, FloatFormat | IntFormat) else _named_element(element)


_named_element = lru_cache(maxsize=256)(find_element)


def _gather(bits: Array, table: Any, into: Array) -> None:
    """Codes of contiguous inputs from a table."""
    if table.shift == 0:
        spread(
            lambda first, after: kernels.encode_direct(bits, table.codes, into, first, after),
            bits.size,
            align=64,
        )
        return
    spread(
        lambda first, after: kernels.encode_keys(
            bits, table.shift, table.codes, into, first, after
        ),
        bits.size,
        align=64,
    )


def _encode_status(array: Array, plan: EncodePlan, codes: Array, status: Array) -> None:
    """Statuses from their table, or from the integer kernel if they have none."""
    table = plan.status_table
    if table is None:
        _encode_by_integers(array, None, plan, codes, status)
    else:
        _each_chunk(array, status, lambda bits, into: _gather(bits, table, into))


def _encode_by_integers(
    array: Array, words: Draws | None, plan: EncodePlan, codes: Array, status: Array | None
) -> None:
    """Codes and statuses by the integer kernel."""
    for part in chunks(array.shape, CHUNK):
        bits = native(array[part]).reshape(-1)
        drawn = _NO_WORDS if words is None else words.of(part)
        found = np.empty(bits.size, codes.dtype)
        seen = _NO_STATUS if status is None else np.empty(bits.size, np.uint8)
        _spread_numbers(bits, drawn, plan, found, seen)
        shape = codes[part].shape
        codes[part] = found.reshape(shape)
        if status is not None:
            status[part] = seen.reshape(shape)


def _spread_numbers(
    bits: Array, words: Array, plan: EncodePlan, codes: Array, status: Array
) -> None:
    spread(
        lambda first, after: integers.encode_numbers(
            bits,
            words,
            plan.zero_below,
            plan.fields,
            plan.rounder,
            codes,
            status,
            first,
            after,
        ),
        bits.size,
        cost=8,
        align=64,
    )


def _each_chunk(array: Array, out: Array, work: Callable[[Array, Array], None]) -> None:
    """Run work(bits, into) over contiguous one-dimensional pieces of two arrays of the same shape."""
    plain = array.dtype.isnative
    if plain and array.flags.c_contiguous and out.flags.c_contiguous:
        work(array.reshape(-1), out.reshape(-1))
    elif plain and array.flags.f_contiguous and out.flags.f_contiguous:
        work(array.reshape(-1, order="F"), out.reshape(-1, order="F"))
    elif array.size:
        pieces = np.nditer(
            [array, out],
            flags=["external_loop", "buffered", "zerosize_ok", "delay_bufalloc"],
            op_flags=[["readonly"], ["writeonly"]],
            op_dtypes=[array.dtype.newbyteorder("="), out.dtype],
            casting="equiv",
            buffersize=CHUNK,
        )
        with pieces:
            pieces.reset()
            for bits, into in pieces:
                _contiguous(bits, into, work)


def _contiguous(bits: Array, into: Array, work: Callable[[Array, Array], None]) -> None:
    """NumPy's iterator may hand out evenly strided pieces without a buffer; the kernels want none."""
    if into.flags.c_contiguous:
        work(np.ascontiguousarray(bits), into)
    else:
        part = np.empty(into.shape, into.dtype)
        work(np.ascontiguousarray(bits), part)
        into[...] = part


def chunks(shape: tuple[int, ...], limit: int, unit: int = 1) -> Iterator[tuple[Any, ...]]:
    """Index tuples that cut an array into pieces of at most ``limit`` elements, contiguous if the array is.

    The last axis is cut at multiples of ``unit`` only.
    """
    if not shape or 0 in shape:
        if 0 not in shape:
            yield ()
        return
    inner = int(np.prod(shape[1:], dtype=np.int64))
    step = max(limit // inner, 0)
    if len(shape) == 1:
        step = max(step // unit * unit, unit)
    if step:
        for start in range(0, shape[0], step):
            yield (slice(start, start + step),)
        return
    for index in range(shape[0]):
        for rest in chunks(shape[1:], limit, unit):
            yield (index, *rest)


class Draws:
    """The random words of an array: given ones, or drawn by key and index."""

    def __init__(
        self, shape: tuple[int, ...], bits: int, random: Array | None, key: int, axis: int = -1
    ) -> None:
        self.bits, self.key, self.random = bits, key, random
        moved = np.arange(len(shape))
        strides = np.cumprod([1, *shape[:0:-1]], dtype=np.int64)[::-1] if shape else np.empty(0)
        self.axes = [int(i) for i in np.roll(moved, 0)]
        if shape:
            self.axes.append(self.axes.pop(axis))
        self.lengths = [shape[i] for i in self.axes]
        self.strides = [int(strides[i]) for i in self.axes]

    def of(self, part: tuple[Any, ...]) -> Array:
        """The words of a part of the array, whose blocked axis is moved to the end."""
        if self.random is not None:
            moved = self.random.transpose(self.axes) if self.axes else self.random
            return np.ascontiguousarray(moved[part], np.uint64).reshape(-1)
        index = np.zeros((), np.uint64)
        for axis, (length, stride) in enumerate(zip(self.lengths, self.strides, strict=True)):
            places = np.arange(length, dtype=np.uint64) * np.uint64(stride)
            places = places[part[axis]] if axis < len(part) else places
            index = index[..., None] + places if places.ndim else index + places
        flat = np.ascontiguousarray(index).reshape(-1)
        words = np.empty(flat.size, np.uint64)
        spread(
            lambda first, after: integers.random_words(
                flat, np.uint64(self.key), self.bits, words, first, after
            ),
            flat.size,
            cost=8,
        )
        return words


def draws(
    shape: tuple[int, ...], profile: Profile, random: Any | None, key: int | None, axis: int = -1
) -> Draws | None:
    """The random words that a conversion needs, None for a deterministic rounding.

    Raises
    ------
    BadValue
        When STOCHASTIC rounding has neither words nor a key, or a word is too large.
    """
    if profile.rounding is not Rounding.STOCHASTIC:
        if random is not None or key is not None:
            raise BadValue(f"random words are for STOCHASTIC rounding, not {profile.rounding.name}")
        return None
    if (random is None) == (key is None):
        raise BadValue("STOCHASTIC rounding needs either random= (one word an element) or key=")
    if key is not None:
        return Draws(shape, profile.random_bits, None, _checked_key(key), axis)
    given = np.asarray(random)
    if given.dtype.kind not in "iu":
        raise BadType(f"random has dtype {given.dtype}; expected unsigned integers")
    check_words(given, profile.random_bits)
    try:
        words = np.broadcast_to(given, shape)
    except ValueError:
        raise BadShape(f"random has shape {given.shape}; expected {shape} or less") from None
    return Draws(shape, profile.random_bits, words, 0, axis)


def _checked_key(key: Any) -> int:
    try:
        return philox.check_key(operator.index(key))
    except TypeError:
        raise BadType(f"key {key!r}; expected an integer") from None


def check_words(words: Array, bits: int) -> None:
    """Refuse a random word that is too wide.

    Raises
    ------
    BadValue
    """
    if words.size and not 0 <= int(words.min()) <= int(words.max()) < 1 << bits:
        wrong = [int(end) for end in (words.min(), words.max()) if not 0 <= int(end) < 1 << bits]
        raise BadValue(f"random word {wrong[0]} has more than random_bits = {bits} bits, or a sign")


def decode(
    codes: Any,
    element: ElementFormat | str,
    *,
    profile: Profile | str = OCP,
    dtype: Any = np.float32,
    out: Array | None = None,
) -> Any:
    """The values of codes.

    Parameters
    ----------
    codes : array_like
        Unsigned integers of any shape, or an array of an 8-bit float type whose bytes are codes.
    element : FloatFormat, IntFormat or str
    profile : Profile or str
        ``element_subnormals`` and ``out_of_binary32`` matter.
    dtype : dtype or str
        float32, float64, float16 or bfloat16 of ml_dtypes. Values that it does not hold are rounded TIES_TO_EVEN.
    out : ndarray, optional
        Receives the values; must have the shape of codes and this dtype.

    Returns
    -------
    ndarray of ``dtype``, shape of codes

    Raises
    ------
    BadCode
        When a code does not fit the element's width.
    BadType, BadShape, UnknownName

    Examples
    --------
    >>> decode([0x00, 0x38, 0x7E], "E4M3")
    array([  0.,   1., 448.], dtype=float32)
    """
    fmt, choices = named_element(element), find_profile(profile)
    array = to_codes(codes, fmt.width)
    wanted, carrier = value_dtype(dtype)
    if not wanted.isnative:
        return swapped(decode(array, fmt, profile=choices, dtype=carrier.name), wanted, out)
    values = np.empty(array.shape, wanted) if out is None else check_out(out, array.shape, wanted)
    bits = values.view(BITS[carrier.name])
    if fmt.width > _WIDEST_DECODE:
        distinct, places = np.unique(array, return_inverse=True)
        check_range(distinct, fmt.width)
        table = _decoded([int(code) for code in distinct], fmt, carrier, choices)
        bits[...] = table[places].reshape(array.shape)
    else:
        table = KEPT.find(_decode_table, fmt, carrier, choices)
        _decode_by_table(array, fmt, table, bits)
    return values[()] if out is None else out


@lru_cache(maxsize=512)
def _decode_table(fmt: ElementFormat, carrier: FloatFormat, profile: Profile) -> Array:
    """The carrier's bits of every code."""
    return _decoded(range(1 << fmt.width), fmt, carrier, profile)


def _decoded(codes: Any, fmt: ElementFormat, carrier: FloatFormat, profile: Profile) -> Array:
    return np.array(
        [value_bits(decode_one(code, fmt, profile), carrier, profile) for code in codes],
        BITS[carrier.name],
    )


def _decode_by_table(array: Array, fmt: ElementFormat, table: Array, bits: Array) -> None:
    """Gather; codes that are too wide are found by OR-ing all of them."""
    seen = []

    def piece(codes: Array, into: Array) -> None:
        spread(
            lambda first, after: seen.append(
                kernels.decode_codes(codes, table.size - 1, table, into, first, after)
            ),
            codes.size,
            align=64,
        )

    _each_chunk(array, bits, piece)
    if any(found >> fmt.width for found in seen):
        check_range(array, fmt.width)


def swapped(values: Any, wanted: np.dtype[Any], out: Array | None) -> Any:
    """The values in another byte order, in ``out`` if that is given."""
    if out is None:
        return np.asarray(values).astype(wanted)[()]
    check_out(out, np.shape(values), wanted)[...] = values
    return out


@lru_cache(maxsize=64)
def value_dtype(dtype: Any) -> tuple[np.dtype[Any], FloatFormat]:
    """A dtype of numbers and its carrier format.

    Raises
    ------
    BadType
    """
    name = _CARRIER_DTYPES.get(dtype, dtype) if isinstance(dtype, str) else dtype
    try:
        found = np.dtype(name)
    except TypeError:
        raise BadType(
            f"dtype {dtype!r}; expected float32, float64, float16 or bfloat16 of ml_dtypes"
        ) from None
    carrier = {dtype: name for name, dtype in _CARRIER_DTYPES.items()}.get(found.name, found.name)
    if carrier not in CARRIERS:
        raise BadType(f"dtype {found}; expected float32, float64, float16 or bfloat16 of ml_dtypes")
    return found, CARRIERS[carrier]


_CARRIER_DTYPES = {"binary64": "float64", "binary32": "float32", "binary16": "float16"}
