"""Questions about conversions of single elements, with a scale and without."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.bisect.of_blocks import magnitudes, middles, special_bits
from conformance.bisect.questions import Question, is_exact, question
from conformance.judges import DecodeJudge, EncodeJudge, ScaledEncodeJudge
from mxemu.block import value_bits
from mxemu.scalar import decode
from mxemu.value import Value

_SCALES = (0, 1, -1, 20, -20, 100, -100)


def decode_questions(judge: DecodeJudge) -> Iterator[Question | None]:
    """Every code."""
    yield Question("decode", "each code", judge.cases.inputs)


class Elements:
    """Makes questions for a judge of encode or encode-scaled."""

    def __init__(self, judge: EncodeJudge) -> None:
        self.element, self.carrier = judge.element, judge.carrier
        self.dtype = judge.cases.inputs.dtype
        self.fmt = judge.fmt if isinstance(judge, ScaledEncodeJudge) else None

    def rows(self, values: list[Value]) -> Iterator[np.ndarray | None]:
        """Inputs whose quotients are these values."""
        if self.fmt is None:
            yield from (self.row(None, value) for value in values)
            return
        scale = self.fmt.scale
        for shift in _SCALES:
            if abs(shift) < scale.bias:
                code = (shift + scale.bias) << scale.mantissa_bits
                yield from (self.row(code, value.scaled(shift)) for value in values)

    def row(self, scale: int | None, value: Value) -> np.ndarray | None:
        """One input; None if the carrier has not this value as a normal number."""
        if not is_exact(value, self.carrier):
            return None
        bits = value_bits(value, self.carrier)
        return np.array(bits if scale is None else [scale, bits], self.dtype)

    def ask(self, step: str, what: str, values: list[Value]) -> Question | None:
        return question(step, what, self.rows(values), self.dtype)

    def scale(self) -> Iterator[Question | None]:
        """Each scale code with a number that is a power of two times it."""
        assert self.fmt is not None
        powers = (0, self.element.emax, self.element.min_positive.leading)
        rows = [
            self.row(code, scale.scaled(power))
            for code in range(1 << self.fmt.scale.width)
            if (scale := decode(code, self.fmt.scale)).is_finite
            for power in powers
        ]
        yield question("scale", "each scale code, with a power of two", rows, self.dtype)

    def exact(self, step: str) -> Iterator[Question | None]:
        """Quotients that are elements."""
        yield self.ask(step, "each element's own value", _signed(magnitudes(self.element)))

    def round(self) -> Iterator[Question | None]:
        """Halfway between two elements, and just beside."""
        ties = _signed(middles(self.element))
        yield self.ask("round", "halfway between two elements", ties)
        beside = [one for tie in ties for one in self._beside(tie)]
        yield self.ask("round", "just beside halfway", beside)

    def _beside(self, tie: Value) -> Iterator[Value]:
        """Numbers beside a midpoint, a little away and as close as the carrier has them."""
        room = self.carrier.mantissa_bits + 1 - tie.significand.bit_length()
        for bits in {min(4, room), room - 1, room}:
            if bits > 0:
                for step in (-1, 1):
                    significand = (tie.significand << bits) + step
                    yield Value(tie.sign, significand, tie.exponent - bits)

    def overflow(self) -> Iterator[Question | None]:
        """Just beyond the largest element."""
        largest = self.element.max
        values = [
            Value(0, (largest.significand << 6) + n, largest.exponent - 6) for n in range(1, 129)
        ]
        yield self.ask("overflow", "numbers beyond the largest element", _signed(values))

    def far(self) -> Iterator[Question | None]:
        """Quotients far beyond the largest element, and far below the smallest."""
        step, reach = "divide" if self.fmt is not None else "round", self.carrier.emax
        rows = [
            self.row(code, Value(sign, 1, exponent))
            for code in self._scale_codes()
            for exponent in range(-reach, reach, 5)
            for sign in (0, 1)
        ]
        tiny = [1 << bit for bit in range(self.carrier.mantissa_bits)]
        subnormal = tiny if self.fmt is None else [[code, one] for code in (0, 1) for one in tiny]
        also = ("scale",) if self.fmt is not None else ()
        yield question(step, "subnormal numbers", map(np.array, subnormal), self.dtype, also)
        yield question(step, "numbers far from the elements' range", rows, self.dtype)

    def _scale_codes(self) -> list[int | None]:
        if self.fmt is None:
            return [None]
        every = range(1 << self.fmt.scale.width)
        finite = [code for code in every if decode(code, self.fmt.scale).is_finite]
        return [*finite[::32], finite[-1]]

    def specials(self) -> Iterator[Question | None]:
        """Zeros, Inf, NaN, and the NaN scale."""
        bits = special_bits(self.carrier)
        if self.fmt is None:
            rows = [np.array(one, self.dtype) for one in bits]
        else:
            scale = self.fmt.scale
            codes = [scale.bias << scale.mantissa_bits, *scale.nans]
            rows = [np.array([code, one], self.dtype) for code in codes for one in bits]
        yield question("specials", "zeros, Inf and NaN", rows, self.dtype)


def _signed(values: list[Value]) -> list[Value]:
    return [one._replace(sign=sign) for one in values for sign in (0, 1)]


def encode_questions(judge: EncodeJudge) -> Iterator[Question | None]:
    """Those of encode and encode-scaled.

    Numbers far away come after those just outside the range: if these are right, the division is not.
    """
    make = Elements(judge)
    if isinstance(judge, ScaledEncodeJudge):
        yield from make.scale()
    yield from make.exact("divide" if isinstance(judge, ScaledEncodeJudge) else "exact")
    for step in (make.round, make.overflow, make.far, make.specials):
        yield from step()
