"""Facts about cases that a data path could decide on, as columns: what rules about failures are made of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.arrays import Array, wide_values
from conformance.cases.products import element_of
from conformance.judges import (
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    Judge,
    ProductJudge,
    QuantizeJudge,
    ScaledEncodeJudge,
)
from conformance.vectors.models.elements import Parts
from conformance.vectors.models.products import Sums
from conformance.vectors.of_elements import Encode, EncodeScaled
from conformance.vectors.of_products import Dot
from conformance.vectors.suites import Key, Suite, suite
from conformance.vectors.table import Batch
from mxemu.accumulation import EXACT
from mxemu.errors import Unsupported
from mxemu.formats import CARRIERS, ElementFormat, FloatFormat
from mxemu.scalar import decode
from mxemu.value import Value

_FAR = 300
"""What stands for the exponent of zero."""


def features_of(judge: Judge) -> dict[str, Array]:
    """The facts about a judge's cases, by name: numbers, or words.

    Raises
    ------
    Unsupported
        For an operation without such facts.
    """
    one = _suite_of(judge)
    rows = judge.cases.inputs
    batch = one.batch(one.columns(rows), np.zeros(len(rows), np.int64))
    match one:
        case Encode() | EncodeScaled():
            return dict(_of_element(one, batch))
        case Dot():
            return dict(_of_product(one, batch))
        case _:
            return dict(_of_rows(one, batch))


def _suite_of(judge: Judge) -> Suite:
    """The set of vectors whose inputs have the form of a judge's."""
    match judge:
        case ScaledEncodeJudge():
            return suite(Key("encode-scaled", judge.fmt.name, judge.carrier.name, "smoke"))
        case EncodeJudge():
            return suite(Key("encode", judge.element.name, judge.carrier.name, "smoke"))
        case DecodeJudge():
            return suite(Key("decode", judge.element.name, judge.carrier.name, "smoke"))
        case QuantizeJudge():
            return suite(Key("quantize", judge.fmt.name, judge.carrier.name, "smoke"))
        case DequantizeJudge():
            return suite(Key("dequantize", judge.fmt.name, judge.carrier.name, "smoke"))
        case ProductJudge() if judge.operation != "matmul":
            key = Key(judge.operation, judge.label, judge.carrier.name, "smoke")
            return suite(key)
        case _:
            raise Unsupported(f"{type(judge).__name__} has no features")


def _words(flags: Array, yes: str, no: str) -> Array:
    return np.where(flags, yes, no)


def _kinds(values: Array) -> Array:
    """What sort of numbers they are."""
    words = np.where(values == 0, "zero", "number")
    return np.where(np.isnan(values), "NaN", np.where(np.isinf(values), "Inf", words))


def _of_element(one: Encode | EncodeScaled, batch: Batch) -> Iterator[tuple[str, Array]]:
    parts = Parts(one, batch)
    top = np.int64(1) << np.maximum(parts.low - 2, 0)
    with np.errstate(all="ignore"):
        exponent = np.where(parts.finite & ~parts.zero, np.frexp(parts.values)[1] - 1, -_FAR)
    yield "sign", _words(parts.sign, "-", "+")
    yield "input", _kinds(parts.values)
    yield "result", _words(parts.subnormal, "subnormal", "normal")
    yield "exponent", exponent
    yield "last kept bit", parts.kept & 1
    yield "guard bit", parts.half
    yield "round bit", ((parts.rest & top != 0) & (parts.low > 1)).astype(np.int64)
    yield "sticky", (parts.rest & (top - 1) != 0).astype(np.int64)
    yield "tie", ((parts.half == 1) & (parts.rest == 0)).astype(np.int64)
    lowest = np.where(parts.rest > 0, np.log2(np.maximum(parts.rest & -parts.rest, 1)), 62)
    yield "lowest discarded bit below the guard", (parts.low - 1 - lowest).astype(np.int64)
    yield "kept bits all ones", ((parts.kept & (parts.kept + 1)) == 0).astype(np.int64)
    yield "code", batch.columns["code"].astype(np.int64)
    if isinstance(one, EncodeScaled):
        yield "scale", batch.columns["scale"].astype(np.int64)


def _of_product(one: Dot, batch: Batch) -> Iterator[tuple[str, Array]]:
    sums = Sums(one, batch)
    finite = np.where(np.isfinite(sums.terms), sums.terms, 0)
    used = finite != 0
    exponents = sums.leading(finite)
    top = exponents.max(axis=1)
    low = np.where(used, exponents, 5000).min(axis=1)
    c = sums.leading(np.where(np.isfinite(sums.c), sums.c, 0))
    yield "products that are not zero", used.sum(axis=1)
    yield "lane of the first product", np.where(used.any(axis=1), used.argmax(axis=1), -1)
    yield "lane of the last product", _last(used)
    yield "largest product", np.maximum(top, -_FAR)
    yield "distance of products", np.where(used.any(axis=1), top - np.minimum(low, top), 0)
    yield "C", _kinds(sums.c)
    yield "C above the largest product", np.clip(c - top, -_FAR, _FAR)
    yield "special operands", _words(~sums.finite, "yes", "no")
    yield "smallest sum of scales", sums.scale_sum.min(axis=1)
    yield "largest sum of scales", sums.scale_sum.max(axis=1)
    value = wide_values(batch.columns["result"], one.carrier)
    yield "result", _kinds(value)
    yield "sign of the result", _words(np.signbit(value), "-", "+")
    negative = (np.signbit(sums.terms) & used).sum(axis=1)
    yield "subnormal elements", _subnormals(one, batch, used)
    yield from _of_sum(one, batch, top)
    yield "signs", _words((negative > 0) & (negative < used.sum(axis=1)), "mixed", "alike")


def _subnormals(one: Dot, batch: Batch, used: Array) -> Array:
    """How many elements of products that count are subnormal."""
    counts = np.zeros(len(batch), np.int64)
    for name, fmt in zip("ab", one.formats, strict=True):
        element: ElementFormat = element_of(fmt)
        if isinstance(element, FloatFormat):
            magnitude = batch.columns[name] & element.magnitude_mask
            small = (magnitude > 0) & (magnitude < 1 << element.mantissa_bits)
            counts += (small & used).sum(axis=1)
    return counts


def _of_sum(one: Dot, batch: Batch, top: Array) -> Iterator[tuple[str, Array]]:
    """The exact sum at the last bit that the result keeps."""
    sums = [one.product(batch.columns, row, EXACT).value for row in range(len(batch))]
    cut = np.array([_cut(value, one.carrier) for value in sums])
    leading = np.array(
        [value.leading if value.is_finite and value.significand else -_FAR for value in sums]
    )
    yield "sign of the sum", np.array(["-" if value.sign else "+" for value in sums])
    yield (
        "bits lost by cancellation",
        np.where(leading > -_FAR, np.maximum(top, leading) - leading, 0),
    )
    for at, name in enumerate(
        ("last kept bit", "guard bit", "sticky", "discarded bits of the sum")
    ):
        yield name, cut[:, at]
    yield "tie", cut[:, 1] & (1 - cut[:, 2])


def _cut(value: Value, carrier: FloatFormat) -> tuple[int, int, int, int]:
    """Last kept bit, guard bit, sticky bit of an exact number in a carrier, and how many bits are discarded."""
    if not value.is_finite or value.is_zero:
        return 0, 0, 0, 0
    quantum = max(value.leading, carrier.emin) - carrier.mantissa_bits
    low = quantum - value.exponent
    if low <= 0:
        return (value.significand << -low) & 1, 0, 0, 0
    rest = value.significand & ((1 << (low - 1)) - 1)
    return value.significand >> low & 1, value.significand >> (low - 1) & 1, int(rest != 0), low


def _last(used: Array) -> Array:
    """The last lane in use, -1 for none."""
    return np.where(used.any(axis=1), used.shape[1] - 1 - used[:, ::-1].argmax(axis=1), -1)


def _of_rows(one: Suite, batch: Batch) -> Iterator[tuple[str, Array]]:
    """Facts about decode, quantize and dequantize: numbers of each field, and where the largest is."""
    for field in one.inputs:
        column = batch.columns[field.name]
        if field.count == 1:
            yield field.name, column.astype(np.int64)
            continue
        width = np.uint64((1 << (field.width - 1)) - 1)
        sizes = column.astype(np.uint64) & width
        largest = sizes.argmax(axis=1)
        yield f"lane of the largest of {field.name}", largest
        yield f"{field.name} that are not zero", (sizes != 0).sum(axis=1)
        first = column[np.arange(len(column)), largest]
        negative = first.astype(np.uint64) >> np.uint64(field.width - 1)
        yield f"sign of the largest of {field.name}", _words(negative != 0, "-", "+")
        if field.format in ("binary32", "bfloat16", "binary16", "binary64"):
            yield from _of_largest(field.format, field.name, first)
    for field in one.outputs:
        if field.name in ("scale", "code"):
            yield f"right {field.name}", batch.columns[field.name].astype(np.int64)


def _of_largest(carrier_name: str, name: str, bits: Array) -> Iterator[tuple[str, Array]]:
    carrier = CARRIERS[carrier_name]
    values = [decode(int(one), carrier) for one in bits]
    yield f"largest of {name}", np.array([_kind(value) for value in values])
    exponent = [
        value.leading if value.is_finite and value.significand else -_FAR for value in values
    ]
    yield f"exponent of the largest of {name}", np.array(exponent)
    mantissa = bits.astype(np.uint64) & np.uint64((1 << carrier.mantissa_bits) - 1)
    yield f"mantissa of the largest of {name}", mantissa.astype(np.int64)


def _kind(value: Value) -> str:
    if not value.is_finite:
        return "NaN" if value.is_nan else "Inf"
    return "zero" if value.is_zero else "number"
