"""The numbers of a case as codes and exact values, taken back from its words, for whoever draws them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from conformance.adapter import PRODUCT_OPERATIONS
from conformance.judges import Case, Side
from conformance.verdict import Group
from mxemu.formats import ElementFormat, FloatFormat, block_format, carrier, element
from mxemu.profile import Profile
from mxemu.scalar import carry_in, decode
from mxemu.value import Value, divide

_SCALE = re.compile(r"scale (0x[0-9A-F]+)")


@dataclass(frozen=True)
class Number:
    """One number of a case.

    Attributes
    ----------
    role : str
        ``in``, ``dut`` or ``ref``.
    side : Side
        The number in words.
    format : FloatFormat or IntFormat
    code : int or None
        None when nothing came, or something that is no code of the format.
    """

    role: str
    side: Side
    format: ElementFormat | None
    code: int | None

    @property
    def value(self) -> Value | None:
        """The exact value of the code."""
        if self.code is None or self.format is None:
            return None
        return decode(self.code, self.format)

    @property
    def exact(self) -> Fraction | None:
        """The same as a fraction; None for Inf and NaN too."""
        value = self.value
        return value.fraction() if value is not None and value.is_finite else None


@dataclass(frozen=True)
class Scene:
    """A case to draw.

    Attributes
    ----------
    given, dut, ref : Number
    line : FloatFormat, IntFormat or None
        The format among whose values the number lies; None where it has no place among them.
    at : Value or None
        What is converted: the input, divided by its scale if there is one.
    of_scale : bool
        Whether the result is the scale of a block.
    """

    given: Number
    dut: Number
    ref: Number
    line: ElementFormat | None
    at: Value | None
    of_scale: bool = False


def scene_of(group: Group, case: Case) -> Scene:
    """The numbers of a case.

    Parameters
    ----------
    group : Group
        To which the case belongs: it says which formats they have.
    case : Case
    """
    of_scale = case.ref.label.endswith("scale")
    source, target = _formats(group, of_scale=of_scale)
    given = _number("in", case.given, source)
    dut, ref = _number("dut", case.dut, target), _number("ref", case.ref, target)
    line, at = _line(group, case, given, target)
    return Scene(given, dut, ref, None if of_scale else line, at, of_scale)


def _formats(group: Group, *, of_scale: bool) -> tuple[ElementFormat | None, ElementFormat | None]:
    """Formats of the input and of the result; None for an input that is many numbers."""
    operation = group.operation
    if operation in PRODUCT_OPERATIONS:
        return None, carrier(group.carrier)
    if operation == "encode":
        return carrier(group.carrier), element(group.format)
    if operation == "decode":
        return element(group.format), carrier(group.carrier)
    block = block_format(group.format)
    match operation:
        case "dequantize":
            return block.element, carrier(group.carrier)
        case "fake_quantize":
            return carrier(group.carrier), carrier(group.carrier)
        case _:
            return carrier(group.carrier), block.scale if of_scale else block.element


def _number(role: str, side: Side, fmt: ElementFormat | None) -> Number:
    """A number by its hexadecimal digits."""
    try:
        code = int(side.hex, 16)
    except ValueError:
        return Number(role, side, fmt, None)
    inside = fmt is not None and 0 <= code < 1 << fmt.width
    return Number(role, side, fmt, code if inside else None)


def _line(
    group: Group, case: Case, given: Number, target: ElementFormat | None
) -> tuple[ElementFormat | None, Value | None]:
    """The format whose values are drawn, and what lies among them."""
    if given.code is None or given.value is None:
        return target, None
    match group.operation:
        case "encode":
            return target, _carried(given, group.profile)
        case "decode":
            return given.format, given.value
        case "quantize" | "encode-scaled":
            return target, _scaled(case, given, group)
        case _:
            return target, None if group.operation == "dequantize" else given.value


def _carried(given: Number, profile: Profile) -> Value | None:
    """An input as a profile reads it."""
    if given.code is None or not isinstance(given.format, FloatFormat):
        return given.value
    return carry_in(given.code, given.format, profile)


def _scaled(case: Case, given: Number, group: Group) -> Value | None:
    """An input divided by the scale that the words of the case name."""
    value, found = _carried(given, group.profile), _SCALE.search(case.where)
    if found is None or value is None:
        return value
    scale = decode(int(found[1], 16), block_format(group.format).scale)
    return divide(value, scale) if value.is_finite and scale.is_finite else None
