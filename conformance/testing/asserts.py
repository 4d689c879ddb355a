"""Assertions whose failure says what is wrong, in words that can be pasted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import mxemu
from conformance.adapter import pair_label
from conformance.arrays import (
    BITS_DTYPES,
    VALUE_DTYPES,
    Array,
    as_bits,
    as_values,
    fits,
    nan_code_mask,
)
from conformance.bound import Bounds, Freedom, any_order, bounds
from conformance.cases import Cases
from conformance.judges import Judge
from conformance.judges.base import side, typed
from conformance.runner import Request, judge_with
from conformance.verdict import Group, Terms, judge_group
from mxemu.errors import BadShape, BadType
from mxemu.formats import BINARY32, CARRIERS, BlockFormat, ElementFormat, FloatFormat, element
from mxemu.formats import carrier as find_carrier
from mxemu.profile import OCP, Profile
from mxemu.profile import profile as find_profile

SHOWN = 3
"""Cases that a message shows."""

_UNEXPLAINED = "no known mistake and no legal convention explains it"
_LONG = 100
_MOST_JUDGED = 256
"""Differing blocks, and as many others, among which a cause is sought."""


def assert_mx_equal(
    actual: Any,
    expected: Any,
    *,
    format: str | None = None,  # noqa: A002 - the word that everybody uses
    inputs: Any | None = None,
    profile: Profile | str = OCP,
) -> None:
    """Fail unless codes, blocks or values are the expected ones, bit for bit.

    Parameters
    ----------
    actual : Blocks, tuple of (scales, codes), or ndarray
        Blocks or their parts; codes of single elements where ``expected`` is an array; or numbers, which are compared
        with what the expected blocks or codes mean.
    expected : Blocks, or ndarray of codes
    format : str, optional
        Element format of codes.
    inputs : ndarray, optional
        The numbers that were converted, of the same shape. With them the message names the cause: a known mistake, or
        the profile that was followed.
    profile : Profile or str
        Under which ``inputs`` were to be converted.

    Raises
    ------
    AssertionError
        How many differ, the cause, the first cases, and the command that derives each.
    BadShape, BadType
        When the two cannot be compared.

    Notes
    -----
    Two NaN agree whatever their bits. Under an expected NaN scale the elements mean nothing and are not compared.

    Examples
    --------
    >>> assert_mx_equal(np.array([0x7E]), np.array([0x7D]), format="E4M3")
    Traceback (most recent call last):
    ...
    AssertionError: 1 of 1 codes of E4M3 differ: every code is one too large
      [0]  dut 0x7E 0_1111_110 = 448  ref 0x7D 0_1111_101 = 416
           see: mxemu explain E4M3 0x7d
    """
    blocked = isinstance(expected, mxemu.Blocks)
    pair = _blocks(actual, expected) if blocked else _elements(actual, expected, format)
    if not pair.differs.any():
        return
    seen = _by_eye(pair)
    if inputs is not None:
        cause = _of_inputs(pair, inputs, find_profile(profile))
        both = cause == _UNEXPLAINED and bool(seen)
        seen = f"{seen}; {cause}" if both else cause or seen
    raise AssertionError("\n".join(_message(pair, seen, inputs)))


class _Pair(NamedTuple):
    """Codes side by side, and which differ.

    Attributes
    ----------
    actual, expected : ndarray of int64
        Shape (n,) of single elements, or (n, 1 + k) of a scale and codes; bits of values where those are compared.
    differs : ndarray of bool
    what : str
    fmt : BlockFormat or element format
    carrier : FloatFormat or None
        Of values.
    """

    actual: Array
    expected: Array
    differs: Array
    what: str
    fmt: BlockFormat | ElementFormat
    carrier: FloatFormat | None = None


def _blocks(actual: Any, expected: mxemu.Blocks) -> _Pair:
    """Blocks beside blocks, parts of them, or values."""
    fmt = expected.block_format
    rows = _rows(expected.scales, expected.codes, fmt)
    if isinstance(actual, mxemu.Blocks):
        if actual.block_format != fmt:
            raise BadType(f"blocks of {actual.block_format}; expected {fmt}")
        actual = actual.scales, actual.codes
    if not isinstance(actual, tuple):
        return _values(np.asarray(actual), expected)
    found = _rows(np.asarray(actual[0]), np.asarray(actual[1]), fmt)
    if found.shape != rows.shape:
        raise BadShape(
            f"{found.shape[0]} blocks of {found.shape[1] - 1}; expected {rows.shape[0]} of {fmt.k}"
        )
    differs = found != rows
    differs[nan_code_mask(fmt.scale)[rows[:, 0]], 1:] = False
    inside, nans = fits(found[:, 1:], fmt.element), nan_code_mask(fmt.element)
    differs[:, 1:] &= ~(nans[np.where(inside, found[:, 1:], 0)] & inside & nans[rows[:, 1:]])
    return _Pair(found, rows, differs, f"scales and codes of {fmt}", fmt)


def _rows(scales: Array, codes: Array, fmt: BlockFormat) -> Array:
    """A scale and k codes in each row."""
    if codes.size != scales.size * fmt.k:
        raise BadShape(f"{codes.size} codes and {scales.size} scales; {fmt} has k = {fmt.k}")
    if codes.dtype.kind not in "iu" or scales.dtype.kind not in "iu":
        raise BadType(
            f"codes of dtype {codes.dtype} and scales of {scales.dtype}; expected integers"
        )
    return np.column_stack([scales.reshape(-1), codes.reshape(-1, fmt.k)]).astype(np.int64)


def _values(actual: Array, expected: mxemu.Blocks) -> _Pair:
    """Numbers beside what blocks mean."""
    names = {np.dtype(dtype): name for name, dtype in VALUE_DTYPES.items() if name != "bfloat16"}
    if actual.dtype not in names:
        raise BadType(
            f"values of dtype {actual.dtype}; expected one of {', '.join(map(str, names))}"
        )
    wanted = mxemu.dequantize(expected, dtype=actual.dtype)
    if actual.shape != wanted.shape:
        raise BadShape(f"values of shape {actual.shape}; expected {wanted.shape}")
    carrier = CARRIERS[names[actual.dtype]]
    found, right = (
        as_bits(actual, carrier.name).reshape(-1),
        as_bits(wanted, carrier.name).reshape(-1),
    )
    both = np.isnan(actual.reshape(-1)) & np.isnan(wanted.reshape(-1))
    what = f"values of {expected.block_format}"
    return _Pair(found, right, (found != right) & ~both, what, expected.block_format, carrier)


def _elements(actual: Any, expected: Any, name: str | None) -> _Pair:
    """Codes beside codes."""
    if name is None:
        raise BadType("codes without a format; expected format=, such as 'E4M3'")
    fmt, found, right = element(name), np.asarray(actual), np.asarray(expected)
    if found.shape != right.shape:
        raise BadShape(f"codes of shape {found.shape}; expected {right.shape}")
    for codes in (found, right):
        if codes.dtype.kind not in "iu":
            raise BadType(f"codes of dtype {codes.dtype}; expected integers")
    found, right = found.reshape(-1).astype(np.int64), right.reshape(-1).astype(np.int64)
    inside, nans = fits(found, fmt), nan_code_mask(fmt)
    both = nans[np.where(inside, found, 0)] & inside & nans[right]
    return _Pair(found, right, (found != right) & ~both, f"codes of {fmt}", fmt)


def _message(pair: _Pair, cause: str, inputs: Any | None) -> Iterator[str]:
    """The text of a failure."""
    differing = int(pair.differs.sum())
    yield f"{differing:,} of {pair.differs.size:,} {pair.what} differ" + (
        f": {cause}" if cause else ""
    )
    for count, place in enumerate(np.argwhere(pair.differs)[:SHOWN]):
        line, command = _case(pair, tuple(int(one) for one in place), inputs)
        yield line
        # One long command is enough to see how a block is derived.
        if not count or len(command) <= _LONG:
            yield command
    if differing > SHOWN:
        yield f"  and {differing - SHOWN:,} more"


def _case(pair: _Pair, place: tuple[int, ...], inputs: Any | None) -> tuple[str, str]:
    """One difference, and how to see it."""
    fmt: ElementFormat
    if pair.carrier is not None:
        fmt = pair.carrier
    elif isinstance(pair.fmt, BlockFormat):
        fmt = pair.fmt.element if place[1] else pair.fmt.scale
    else:
        fmt = pair.fmt
    dut, ref = (
        side(name, int(one[place]), fmt)
        for name, one in (("dut", pair.actual), ("ref", pair.expected))
    )
    where = f"[{place[0]}]"
    if len(place) == 2:
        where = f"block {place[0]} {f'element {place[1] - 1}' if place[1] else 'scale'}"
    command = f"  {' ' * len(where)}  see: {_replay(pair, place, fmt, inputs)}"
    return f"  {where}  {dut.text()}  {ref.text()}", command


def _replay(pair: _Pair, place: tuple[int, ...], fmt: ElementFormat, inputs: Any | None) -> str:
    """The command that derives what was expected."""
    if inputs is None or (pair.carrier is not None and not isinstance(pair.fmt, BlockFormat)):
        shown = pair.fmt.element if pair.carrier and isinstance(pair.fmt, BlockFormat) else fmt
        if pair.carrier is None:
            return f"mxemu explain {shown} {int(pair.expected[place]):#x}"
        return f"mxemu explain {shown} {typed(int(pair.expected[place]), pair.carrier)}"
    given = np.asarray(inputs)
    carrier = _carrier_of(given)
    bits = as_bits(given, carrier.name).reshape(-1)
    if not isinstance(pair.fmt, BlockFormat):
        return f"mxemu explain {pair.fmt} {typed(int(bits[place[0]]), carrier)}"
    k = pair.fmt.k
    block = place[0] if len(place) == 2 else place[0] // k
    lane = max(place[1] - 1, 0) if len(place) == 2 else place[0] % k
    row = bits[block * k : (block + 1) * k]
    numbers = " ".join(typed(int(one), carrier) for one in row)
    return f"mxemu explain quantize {pair.fmt} {numbers} --elem {lane}"


def _carrier_of(array: Array) -> FloatFormat:
    for name, dtype in VALUE_DTYPES.items():
        if array.dtype == dtype:
            return CARRIERS[name]
    raise BadType(
        f"inputs of dtype {array.dtype}; expected float64, float32, float16, or uint16 for bfloat16"
    )


def _by_eye(pair: _Pair) -> str:
    """What one can see without the inputs: one change that explains every code; empty if there is none."""
    actual, expected = pair.actual, pair.expected
    if pair.carrier is not None:
        tests = _value_readings(actual, expected, pair.carrier)
    elif actual.ndim == 2:
        tests = _block_readings(actual, expected, pair.fmt)
    else:
        tests = _code_readings(actual, expected, pair.fmt)
    return next((words for words, holds in tests if np.asarray(holds).all()), "")


def _value_readings(actual: Array, expected: Array, carrier: FloatFormat) -> list[tuple[str, Any]]:
    mask = actual.dtype.type(carrier.sign_mask)
    with np.errstate(all="ignore"):
        wide = as_values(expected, carrier.name)
        twice, half = (as_bits(wide * wide.dtype.type(by), carrier.name) for by in (2, 0.5))
    return [
        ("every value is zero", (actual & ~mask) == 0),
        ("every sign is wrong", actual == expected ^ mask),
        ("every value is twice as large: a scale that is one too large", actual == twice),
        ("every value is half as large: a scale that is one too small", actual == half),
    ]


def _code_readings(actual: Array, expected: Array, fmt: Any) -> list[tuple[str, Any]]:
    sign = 1 << (fmt.width - 1)
    return [
        ("every code is zero", actual == 0),
        ("every sign bit is wrong", actual == expected ^ sign),
        ("every code is one too large", actual == expected + 1),
        ("every code is one too small", actual == expected - 1),
    ]


def _block_readings(actual: Array, expected: Array, fmt: Any) -> list[tuple[str, Any]]:
    """Scales and codes, each as expected or changed in one way."""
    scales, right_scales = actual[:, 0], expected[:, 0]
    codes, right = actual[:, 1:], expected[:, 1:]
    same = right_scales == scales
    order = np.minimum(np.arange(right.shape[1]) ^ 1, right.shape[1] - 1)
    return [
        ("every code is zero", (codes == 0).all()),
        (
            "the two codes of each pair are exchanged",
            same.all() and (codes == right[:, order]).all(),
        ),
        (
            "only scales differ, each one too large",
            (codes == right).all() and (scales == right_scales + 1).all(),
        ),
        (
            "only scales differ, each one too small",
            (codes == right).all() and (scales == right_scales - 1).all(),
        ),
        ("only scales differ", (codes == right).all()),
        *(
            (words, same.all() and holds.all())
            for words, holds in _code_readings(codes, right, fmt.element)
        ),
        ("all scales are right, only codes differ", same.all()),
    ]


def _of_inputs(pair: _Pair, inputs: Any, profile: Profile) -> str:
    """The cause that the checker finds for these inputs."""
    given = np.asarray(inputs)
    carrier = _carrier_of(given)
    bits = as_bits(given, carrier.name)
    if isinstance(pair.fmt, BlockFormat):
        operation = "quantize" if pair.carrier is None else "fake_quantize"
        if (pair.carrier is not None and pair.carrier != carrier) or bits.size % pair.fmt.k:
            return ""
        bits = bits.reshape(-1, pair.fmt.k)
        observed = pair.actual if pair.carrier is None else pair.actual.reshape(-1, pair.fmt.k)
        wrong = pair.differs.reshape(len(bits), -1).any(axis=1)
    else:
        operation, observed, wrong = "encode", pair.actual, pair.differs
        bits = bits.reshape(-1)
    if len(bits) != len(observed):
        raise BadShape(f"inputs of shape {given.shape}; expected as many as were converted")
    kept = np.concatenate(
        [np.flatnonzero(wrong)[:_MOST_JUDGED], np.flatnonzero(~wrong)[:_MOST_JUDGED]]
    )
    bits, observed = bits[kept], observed[kept]
    request = Request(operation, pair.fmt.name, carrier.name, Terms(profile, declared=False))
    judge = judge_with(request, Cases(bits, np.zeros(len(bits), dtype=np.int64), ("random",)))
    return _verdict(judge, observed, request)


def _verdict(judge: Judge, observed: Array, request: Request) -> str:
    """The best hypothesis in words."""
    group = Group(request.operation, request.format, request.carrier, request.terms.profile)
    judge_group(group, judge, observed, np.zeros(len(observed), dtype=bool), request.terms)
    for one in (*group.hypotheses, group.open_hypothesis):
        if one is not None:
            kinds = {"mistake": "the known mistake ", "profile": "another legal convention: "}
            words = f"{kinds.get(one.kind, '')}{one.text or one.name}"
            share = "" if one.complete else f" explains {one.explains:,} of {one.of:,}"
            rule = {"mistake": one.name, "layout": one.note}.get(one.kind, "")
            more = f" (mxemu rule {rule})" if rule else ""
            return words + share + more
    return _UNEXPLAINED


def assert_within_bound(
    actual: Any,
    a: Any,
    b: Any,
    *,
    c: Any | None = None,
    freedom: Freedom | None = None,
    out: FloatFormat | str = BINARY32,
) -> None:
    """Fail unless every dot product lies where some order of additions can put it.

    Parameters
    ----------
    actual : ndarray
        Results: shape (n,) for dot products of n pairs of rows, (m, n) for a matrix product; floats, or bit patterns of
        ``out`` as unsigned integers.
    a, b : Blocks, or (codes, element format)
        Operands of shape (n, K), or (m, K) and (n, K).
    c : ndarray, optional
        What was added.
    freedom : conformance.bound.Freedom, optional
        Any order of binary32 additions unless given.
    out : FloatFormat or str

    Raises
    ------
    AssertionError
        How many lie outside, the known mistake that gives just these results, the first cases with their intervals, and
        the command that adds up each.

    Examples
    --------
    >>> ones = mxemu.quantize(np.ones((1, 32), np.float32), "MXFP4")
    >>> assert_within_bound(np.float32([32.0]), ones, ones)
    """
    freedom, out = freedom or any_order(), find_carrier(out)
    results = _results(np.asarray(actual), out)
    matrix = results.ndim == 2
    found = bounds(a, b, c=c, freedom=freedom, out=out, matrix=matrix)
    if found.lo.shape != results.shape:
        raise BadShape(f"results of shape {results.shape}; expected {found.lo.shape}")
    outside = ~found.holds(results)
    if outside.any():
        raise AssertionError("\n".join(_outside(results, outside, found, (a, b, c), freedom, out)))


def _results(actual: Array, out: FloatFormat) -> Array:
    """Results as numbers."""
    if actual.dtype == BITS_DTYPES[out.name]:
        if out.name == "bfloat16":
            return (actual.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return as_values(actual, out.name).reshape(actual.shape)
    if actual.dtype.kind != "f":
        raise BadType(
            f"results of dtype {actual.dtype}; expected floats, or bits of {out} as unsigned integers"
        )
    return actual


def _outside(
    results: Array,
    outside: Array,
    found: Bounds,
    operands: tuple[Any, Any, Any],
    freedom: Freedom,
    out: FloatFormat,
) -> Iterator[str]:
    """The text of a failure."""
    known = _known_product(results, operands, out)
    cause = f": the known mistake {known} (mxemu rule {known})" if known else ""
    yield f"{int(outside.sum()):,} of {outside.size:,} results are outside of {freedom}{cause}"
    for count, place in enumerate(np.argwhere(outside)[:SHOWN]):
        index = tuple(int(one) for one in place)
        lo, hi, result = (float(array[index]) for array in (found.lo, found.hi, results))
        yield f"  {list(index)}  dut {result!r}  in [{lo!r}, {hi!r}]"
        command = f"       see: {_explained(operands, index, out)}"
        if not count or len(command) <= _LONG:
            yield command
    if outside.sum() > SHOWN:
        yield f"  and {int(outside.sum()) - SHOWN:,} more"


def _known_product(results: Array, operands: tuple[Any, Any, Any], out: FloatFormat) -> str:
    """The member of the zoo that gives all these results; empty if none does."""
    from conformance.zoo.products import MEMBERS

    a, b, c = operands
    if out != BINARY32 or not all(isinstance(one, mxemu.Blocks) for one in (a, b)):
        return ""
    sides = [part for one in (a, b) for part in (one.scales, one.codes.reshape(len(one.codes), -1))]
    bits = None if c is None else as_bits(np.broadcast_to(np.float32(c), results.shape), "binary32")
    names = a.block_format.name, b.block_format.name
    for member in MEMBERS:
        wanted = "matmul" if results.ndim == 2 else "dot-general"
        if wanted not in member.operations or (member.formats and not {*names} & {*member.formats}):
            continue
        function: Callable[..., Array] = member.matmul if results.ndim == 2 else member.dot
        with np.errstate(all="ignore"):
            values = as_values(function(*sides, bits, names, "exact"), "binary32").reshape(
                results.shape
            )
        if ((values == results) | (np.isnan(values) & np.isnan(results))).all():
            return member.name
    return ""


def _explained(operands: tuple[Any, Any, Any], index: tuple[int, ...], out: FloatFormat) -> str:
    """The command that adds up one result."""
    names, words = [], []
    for which, one, row in (("a", operands[0], index[0]), ("b", operands[1], index[-1])):
        blocked = isinstance(one, mxemu.Blocks)
        codes = one.codes[row].ravel() if blocked else np.asarray(one[0])[row]
        names.append(one.block_format.name if blocked else str(one[1]))
        words.append(f"--{which} {','.join(hex(int(code)) for code in codes)}")
        if blocked:
            words.append(f"--scale-{which} {','.join(hex(int(code)) for code in one.scales[row])}")
    if operands[2] is not None:
        carried = np.asarray(operands[2], dtype=np.float64)
        # What is added has the shape of the results, or spreads over it.
        place = tuple(
            at if size > 1 else 0
            for at, size in zip(index[::-1], carried.shape[::-1], strict=False)
        )
        words.append(f"--c {float(carried[place[::-1]])!r}")
    words += [] if out == BINARY32 else [f"--out {out.name}"]
    return f"mxemu explain dot {pair_label(names[0], names[1])} {' '.join(words)}"
