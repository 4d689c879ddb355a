"""One block under one profile: the steps to its scale, and from there to every element."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from mxemu.block import (
    Quantized,
    dequantize,
    inputs,
    quantize,
    quantize_bits,
    value_bits,
)
from mxemu.explain.text import Number
from mxemu.explain.values import Error, Place, error_of, place_of
from mxemu.formats import BINARY32, BlockFormat, ElementFormat, FloatFormat
from mxemu.profile import Profile, StepPoint
from mxemu.scalar import Status, decode
from mxemu.scale import amax, shared_exponent, step_threshold
from mxemu.value import NAN, Kind, Value, compare_magnitudes, divide


class Step(NamedTuple):
    """A step point of a scale rule, the square of its place in the binade, and whether amax has passed it."""

    point: StepPoint
    square: Fraction
    passed: bool


class ScaleSteps(NamedTuple):
    """How the scale of a block was found.

    Attributes
    ----------
    amax : Value
    exact : Fraction or None
        amax without a sticky bit; None for Inf and NaN.
    element : int or None
        The first element of this magnitude; None when amax was raised to the profile's `amax_floor`.
    policy : str
        The profile field that decided instead of the rule: ``nan_block``, ``inf_block``, ``zero_block``, or ``""``.
    leading, fraction : int, Fraction or None
        amax = fraction * 2^leading with 1 <= fraction < 2.
    steps : tuple of Step
    exponent : int or None
        Of the scale, before it is fitted into the range of the scale format.
    ratio : Fraction or None
        amax / max, for a rule that divides.
    code : int
    value : Value
    """

    amax: Value
    exact: Fraction | None
    element: int | None
    policy: str
    leading: int | None
    fraction: Fraction | None
    steps: tuple[Step, ...]
    exponent: int | None
    ratio: Fraction | None
    code: int
    value: Value

    @property
    def fitted(self) -> bool:
        """Whether the scale is not the power of two that the rule gave."""
        if self.exponent is None:
            return False
        return not self.value.is_finite or self.value.fraction() != Fraction(2) ** self.exponent


class ElementSteps(NamedTuple):
    """One element of a block.

    Attributes
    ----------
    position : int
        0 to k - 1.
    number : Number
    ratio : Fraction or None
        V / X; None unless both are finite.
    scaled : Value
        The same for Inf and NaN too; NaN under a NaN scale.
    place : Place or None
    code : int
    value : Value
        Of the code, before the scale.
    status : Status
    back : Value
        The dequantized value.
    error : Error or None
    binary32 : int or None
        Bits of a dequantized value that is beyond binary32, under the profile; None if it is not beyond.
    """

    position: int
    number: Number
    ratio: Fraction | None
    scaled: Value
    place: Place | None
    code: int
    value: Value
    status: Status
    back: Value
    error: Error | None
    binary32: int | None


class BlockInput(NamedTuple):
    """The input of a quantization."""

    format: BlockFormat
    carrier: FloatFormat | None
    numbers: list[Number]

    def quantized(self, profile: Profile) -> Quantized:
        if self.carrier is None:
            return quantize([number.value for number in self.numbers], self.format, profile)
        bits = [number.bits or 0 for number in self.numbers]
        return quantize_bits(bits, self.carrier, self.format, profile)

    def entering(self, profile: Profile) -> list[Value]:
        """The values that take part: subnormals of the carrier may be flushed."""
        if self.carrier is None:
            return [number.value for number in self.numbers]
        return inputs([number.bits or 0 for number in self.numbers], self.carrier, profile)

    def steps(self, profile: Profile) -> tuple[ScaleSteps, tuple[ElementSteps, ...]]:
        """The way to the scale and to every element."""
        result = self.quantized(profile)
        values = self.entering(profile)
        scale = self._scale(values, result.scale, profile)
        back = dequantize(result.scale, result.codes, self.format, profile)
        elements = [
            self._element(index, value, scale.value, result, back[index], profile)
            for index, value in enumerate(values)
        ]
        return scale, tuple(elements)

    def _scale(self, values: list[Value], code: int, profile: Profile) -> ScaleSteps:
        fmt, rule = self.format, profile.scale_rule
        largest = amax(values, profile)
        index = _index_of(largest, values)
        exact = largest.fraction() if largest.is_finite else None
        if index is not None and exact:
            exact = abs(self.numbers[index].exact or exact)
        start = ScaleSteps(
            amax=largest,
            exact=exact,
            element=index,
            policy=_policy(largest),
            leading=None,
            fraction=None,
            steps=(),
            exponent=None,
            ratio=None,
            code=code,
            value=decode(code, fmt.scale),
        )
        if start.policy or exact is None:
            return start
        leading = largest.leading
        found = start._replace(leading=leading, fraction=exact * Fraction(2) ** -leading)
        if rule.ratio:
            return found._replace(ratio=Fraction(exact, fmt.element.max.fraction()))
        return found._replace(
            steps=tuple(_step(each, largest, fmt.element) for each in rule.steps),
            exponent=shared_exponent(largest, fmt.element, rule),
        )

    def _element(
        self,
        index: int,
        value: Value,
        scale: Value,
        result: Quantized,
        back: Value,
        profile: Profile,
    ) -> ElementSteps:
        number, fmt = self.numbers[index], self.format
        element = decode(result.codes[index], fmt.element, profile)
        if scale.is_nan:
            return ElementSteps(
                index, number, None, NAN, None, 0, element, Status.EXACT, back, None, None
            )
        ratio = None
        if number.exact is not None:
            ratio = Fraction(number.exact if value.significand else 0, scale.fraction())
        scaled = divide(value, scale)
        beyond = back.is_finite and compare_magnitudes(back, BINARY32.max) > 0
        return ElementSteps(
            position=index,
            number=number,
            ratio=ratio,
            scaled=scaled,
            place=place_of(scaled, ratio, fmt.element),
            code=result.codes[index],
            value=element,
            status=result.status[index],
            back=back,
            error=error_of(back, number.exact),
            binary32=value_bits(back, BINARY32, profile) if beyond else None,
        )


def _index_of(largest: Value, values: list[Value]) -> int | None:
    """The first element of this magnitude; None when there is none or all are zero."""
    for index, value in enumerate(values):
        if value.kind is largest.kind and (
            not value.is_finite or (value.significand and compare_magnitudes(value, largest) == 0)
        ):
            return index
    return None


def _policy(largest: Value) -> str:
    """The profile field that gives the scale where the rule cannot."""
    match largest.kind:
        case Kind.NAN:
            return "nan_block"
        case Kind.INF:
            return "inf_block"
        case Kind.FINITE:
            return "zero_block" if largest.is_zero else ""


def _step(point: StepPoint, largest: Value, element: ElementFormat) -> Step:
    threshold = step_threshold(point, element)
    square = Fraction(threshold.square_numerator, threshold.square_denominator)
    unit = 1 << (largest.significand.bit_length() - 1)
    return Step(point, square, threshold.passed_by(largest.significand, unit))
