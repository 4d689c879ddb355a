"""Questions about block conversions: the scale of one number, then the elements under it, then what is special."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from conformance.arrays import Array
from conformance.bisect.questions import Question, is_exact, question, times
from conformance.judges import BlockJudge, DequantizeJudge, FakeQuantizeJudge
from mxemu.block import value_bits
from mxemu.formats import ElementFormat, FloatFormat
from mxemu.scalar import decode
from mxemu.value import INF, NAN, Value

EXPONENTS = (0, 1, -1, 10, -10, 60, -60)
"""Of the scales that elements are asked under, as far as a carrier reaches."""


def magnitudes(fmt: ElementFormat) -> list[Value]:
    """The magnitudes of a format's numbers, in order."""
    values = (decode(code, fmt) for code in range(1 << fmt.width))
    found = {value.fraction(): value for value in values if value.is_finite and not value.sign}
    return [found[key] for key in sorted(found)]


def middles(fmt: ElementFormat) -> list[Value]:
    """The midpoints between neighbouring magnitudes."""
    found = magnitudes(fmt)
    return [_middle(low, high) for low, high in pairwise(found)]


def _middle(low: Value, high: Value) -> Value:
    exponent = min(low.exponent, high.exponent)
    total = sum(one.significand << (one.exponent - exponent) for one in (low, high))
    return Value(0, total, exponent - 1)


def special_bits(carrier: FloatFormat) -> list[int]:
    """Zeros, Inf, and several NaN of a carrier, with both signs."""
    nans = (carrier.nans[0], value_bits(NAN, carrier), carrier.magnitude_mask)
    both = (0, value_bits(INF, carrier), *nans)
    return [bits | sign for bits in both for sign in (0, carrier.sign_mask)]


class Blocks:
    """Makes questions for a judge of quantize or fake_quantize."""

    def __init__(self, judge: BlockJudge) -> None:
        self.fmt, self.carrier, self.k = judge.fmt, judge.carrier, judge.fmt.k
        self.element = judge.fmt.element
        self.dtype = judge.cases.inputs.dtype
        self.hides_scale = isinstance(judge, FakeQuantizeJudge)

    def bits(self, value: Value) -> int | None:
        """A number in the carrier; None if it is not there as a normal number."""
        return value_bits(value, self.carrier) if is_exact(value, self.carrier) else None

    def block(self, *values: Value) -> Array | None:
        """A block that starts with these; zeros follow. None if the carrier has not all of them."""
        table = {value: self.bits(value) for value in dict.fromkeys(values)}
        found = [table[value] for value in values]
        if None in found:
            return None
        return np.array([*found, *[0] * (self.k - len(found))], self.dtype)

    def ask(
        self, step: str, what: str, rows: list[Array | None], part: str = "any-order"
    ) -> Question | None:
        also: tuple[str, ...] = ()
        if self.hides_scale:
            part = "all" if part in ("scale", "elements") else part
            also = ("divide",) if step == "scale" else ()
        return question(step, what, rows, self.dtype, also, part)

    def exponents(self) -> range:
        """Exponents of the carrier's normal numbers."""
        return range(self.carrier.emin, self.carrier.emax + 1)

    def scale(self) -> Iterator[Question | None]:
        """One number that decides, with every exponent, in every lane, with either sign."""
        own = self.exponents()
        step = max(1, len(own) // 512)
        some = [*own[::step], *own[:: -max(1, step)]]
        # Where the scale does not show, what is next to the largest number tells whether it is too large.
        tail = [self._small_beside()] if self.hides_scale else []
        powers = [self.block(Value(0, 1, e), *[one.scaled(e) for one in tail]) for e in some]
        yield self.ask("scale", "one power of two", powers, "scale")
        m = self.carrier.mantissa_bits
        full = (1 << (m + 1)) - 1
        nearly = [self.block(Value(0, full, e - m)) for e in some]
        above = [self.block(Value(0, (1 << m) + 1, e - m)) for e in some[::3]]
        mantissas = [self.block(Value(0, 16 + n, e - 4)) for e in (0, 7) for n in range(16)]
        if not self.hides_scale:
            yield self.ask("scale", "one number just below a power of two", nearly, "scale")
            yield self.ask("scale", "one number just above a power of two", above, "scale")
            yield self.ask(
                "scale", "one number next to the largest element", self._next_to_max(), "scale"
            )
            yield self.ask("scale", "one number between two powers of two", mantissas, "scale")
        one, small = Value(0, 1, 0), Value(0, 1, -1)
        for sign, words in ((0, ""), (1, " below zero")):
            lanes = [self._at(lane, one._replace(sign=sign), small) for lane in range(self.k)]
            yield self.ask("scale", f"the largest number{words} in each lane", lanes, "scale")
        tiny = [np.array([1 << n, *[0] * (self.k - 1)], self.dtype) for n in range(m)]
        yield self.ask("scale", "one subnormal number", [*tiny], "scale")

    def _next_to_max(self) -> list[Array | None]:
        """The largest element times powers of two, and its neighbours in the carrier: where scale rules step."""
        top, m = self.element.max, self.carrier.mantissa_bits
        room = m + 1 - top.significand.bit_length()
        if room < 0:
            return []
        near = [Value(0, (top.significand << room) + n, -m) for n in (-1, 0, 1)]
        return [self.block(one.scaled(e)) for e in self.exponents()[::5] for one in near]

    def _small_beside(self) -> Value:
        """The smallest element under a largest one of 1."""
        return self.element.min_positive.scaled(-self.element.emax)

    def _at(self, lane: int, value: Value, others: Value) -> Array | None:
        """One number in a lane, and a smaller one in all others."""
        return self.block(*[value if n == lane else others for n in range(self.k)])

    def under(self, values: list[Value]) -> Iterator[Array | None]:
        """Blocks with these elements under several scales; the first number of each decides the scale."""
        top = Value(0, 1, self.element.emax)
        width = self.k - 1
        for shift in EXPONENTS:
            for start in range(0, len(values), width):
                own = [one.scaled(shift) for one in values[start : start + width]]
                yield self.block(top.scaled(shift), *own)

    def divide(self) -> Iterator[Question | None]:
        """Elements that are not rounded, under scales near and far."""
        yield self.ask("divide", "each element's own value", [*self.under(_signed(self._values()))])

    def _values(self) -> list[Value]:
        """The format's magnitudes that do not decide another scale."""
        top = self.element.emax
        return [one for one in magnitudes(self.element) if one.is_zero or one.leading <= top]

    def lanes(self) -> Iterator[Question | None]:
        """One number in each lane, and blocks that rise."""
        one = Value(0, 1, self.element.emax)
        alone = [
            self._at(lane, one._replace(sign=sign), Value(0, 0, 0))
            for lane in range(self.k)
            for sign in (0, 1)
        ]
        values = _signed(self._values())
        turned = [values[by:] + values[:by] for by in range(0, min(self.k, len(values)), 3)]
        rising = [row for own in turned for row in self._unscaled(own)]
        yield self.ask(
            "lanes", "one number, and rising numbers, in place", [*alone, *rising], "all"
        )

    def _unscaled(self, values: list[Value]) -> list[Array | None]:
        """Blocks with these elements under a scale of 1."""
        top, width = Value(0, 1, self.element.emax), self.k - 1
        starts = range(0, len(values), width)
        return [self.block(top, *values[start : start + width]) for start in starts]

    def round(self) -> Iterator[Question | None]:
        """Halfway between two elements, and just beside."""
        ties = _signed([one for one in middles(self.element) if one.leading <= self.element.emax])
        yield self.ask("round", "halfway between two elements", [*self.under(ties)])
        beside = [value for one in ties for value in self._beside(one)]
        yield self.ask("round", "just beside halfway", [*self.under(beside)])

    def _beside(self, value: Value) -> Iterator[Value]:
        """The carrier's neighbours of a number, or what is close to them just above a power of two."""
        ulp = value.leading - self.carrier.mantissa_bits
        if value.exponent >= ulp:
            significand = value.significand << (value.exponent - ulp)
            yield Value(value.sign, significand + 1, ulp)
            yield Value(value.sign, significand - 1, ulp)

    def overflow(self) -> Iterator[Question | None]:
        """Numbers in the largest binade that are beyond the largest element."""
        top, m = self.element.emax, min(9, self.carrier.mantissa_bits)
        steps = {*range(0, 1 << m, max(1, 1 << (m - 5))), (1 << m) - 1}
        values = [Value(sign, (1 << m) + n, top - m) for n in sorted(steps) for sign in (0, 1)]
        largest = self.element.max.fraction()
        over = [one for one in values if one.magnitude().fraction() > largest]
        rows = [self.block(one.scaled(shift)) for one in over for shift in EXPONENTS]
        yield self.ask("overflow", "numbers beyond the largest element", rows)

    def far(self) -> Iterator[Question | None]:
        """Elements far below the smallest, and those of subnormal numbers."""
        tiny = [np.array([1 << n] * self.k, self.dtype) for n in range(self.carrier.mantissa_bits)]
        yield self.ask("divide", "subnormal numbers", [*tiny])
        low = self.element.min_positive.leading - 2
        values = [Value(sign, 1, low - far) for far in range(160) for sign in (0, 1)]
        yield self.ask("divide", "numbers far below the smallest element", [*self.under(values)])

    def specials(self) -> Iterator[Question | None]:
        """Zeros, Inf and NaN."""
        zero, one = Value(0, 0, 0), Value(0, 1, 0)
        rows: list[Array | None] = [self.block(zero), self._at(0, zero, zero._replace(sign=1))]
        for special in special_bits(self.carrier):
            for lane in (0, self.k - 1):
                row = self._at(lane, one, one)
                assert row is not None
                row[lane] = special
                rows.append(row)
        yield self.ask("specials", "zeros, Inf and NaN", rows, "all")


def _signed(values: list[Value]) -> list[Value]:
    return [one._replace(sign=sign) for one in values for sign in (0, 1)]


def block_questions(judge: BlockJudge) -> Iterator[Question | None]:
    """Those of quantize and fake_quantize.

    Numbers far below the smallest element come after those just below it: if these are right, the division is not.
    """
    make = Blocks(judge)
    for step in (make.scale, make.divide, make.lanes, make.round, make.overflow, make.far):
        yield from step()
    yield from make.specials()


def dequantize_questions(judge: DequantizeJudge) -> Iterator[Question | None]:
    """Those of dequantize: rows of a scale and k codes."""
    fmt, dtype, k = judge.fmt, judge.cases.inputs.dtype, judge.fmt.k
    one, codes = fmt.scale.bias << fmt.scale.mantissa_bits, range(1 << fmt.element.width)
    rows = [[one, *[code] * k] for code in codes]
    yield question("decode", "each code, under a scale of 1", rows, dtype, (), "any-order")
    powers = [code for code in codes if _is_power(decode(code, fmt.element))]
    numbers = [code for code in codes if decode(code, fmt.element).significand]
    scaled = [
        next(([s, *[x] * k] for x in powers + numbers if _fits(judge, s, x)), None)
        for s in range(1 << fmt.scale.width)
    ]
    yield question("scale", "each scale code, with one number", scaled, dtype, (), "any-order")
    yield question(
        "product", "codes under scales", _grid(judge, normal=True), dtype, (), "any-order"
    )
    alone = [[one, *(powers[0] if n == lane else 0 for n in range(k))] for lane in range(k)]
    yield question("lanes", "one number in each lane", alone, dtype)
    yield question("round", "results at the ends of the range", _grid(judge, normal=False), dtype)


def _is_power(value: Value) -> bool:
    return value.is_finite and not value.sign and value.significand.bit_count() == 1


def _fits(judge: DequantizeJudge, scale: int, code: int) -> bool:
    """Whether a result is a normal number, or special."""
    values = decode(scale, judge.fmt.scale), decode(code, judge.fmt.element)
    return is_exact(times(*values), judge.carrier)


def _grid(judge: DequantizeJudge, *, normal: bool) -> Iterator[list[int] | None]:
    """Scales with all codes whose results are normal or special, or with those whose results are neither."""
    fmt = judge.fmt
    for scale in range(1 << fmt.scale.width):
        if normal and scale % 16 and not decode(scale, fmt.scale).is_nan:
            continue
        codes = [
            code for code in range(1 << fmt.element.width) if _fits(judge, scale, code) is normal
        ]
        for start in range(0, len(codes), fmt.k):
            part = codes[start : start + fmt.k]
            yield [scale, *part, *[part[0]] * (fmt.k - len(part))]
