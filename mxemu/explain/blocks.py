"""One block: how it is quantized, and what the other presets make of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mxemu.block import Quantized
from mxemu.errors import BadFormat, BadShape, BadValue
from mxemu.explain.conversion import Point
from mxemu.explain.steps import BlockInput, ElementSteps, ScaleSteps
from mxemu.explain.text import read_number
from mxemu.formats import BlockFormat, FloatFormat
from mxemu.formats import block_format as find_block_format
from mxemu.formats import carrier as find_carrier
from mxemu.profile import OCP, PRESETS, Profile, Rounding
from mxemu.value import ZERO, Value


class BlockOutcome(NamedTuple):
    """What some profiles make of the same block: the scale, the element shown, and which elements differ."""

    profiles: tuple[str, ...]
    scale: Point
    element: ElementSteps
    differing: tuple[int, ...]


class BlockExplanation(NamedTuple):
    """How a block is quantized.

    Attributes
    ----------
    format : BlockFormat
    profile : Profile
    carrier : FloatFormat or None
    given : int
        Elements given; the others are zeros that fill the block.
    scale : ScaleSteps
    elements : tuple of ElementSteps
        All k of them.
    shown : int
        Index of the element to show in detail.
    same : tuple of str
        Other presets that give the same scale and codes.
    others : tuple of BlockOutcome
        Those that do not, grouped by what they give.
    left_out : tuple of str
        Presets that were not compared: they round at random, or do not go with the scale format.
    """

    format: BlockFormat
    profile: Profile
    carrier: FloatFormat | None
    given: int
    scale: ScaleSteps
    elements: tuple[ElementSteps, ...]
    shown: int
    same: tuple[str, ...]
    others: tuple[BlockOutcome, ...]
    left_out: tuple[str, ...]


def explain_block(
    numbers: Sequence[str | Value],
    fmt: BlockFormat | str,
    profile: Profile = OCP,
    element: int = 0,
    carrier: FloatFormat | str | None = None,
) -> BlockExplanation:
    """How a block is quantized, and what the other presets make of it.

    Parameters
    ----------
    numbers : sequence of str or Value, length 1 to k
        Fewer than k are filled up with zeros.
    fmt : BlockFormat or str
    profile : Profile
        Under STOCHASTIC every random word is 0.
    element : int
        Index of the element to show, 0 to k - 1.
    carrier : FloatFormat or str, optional
        Format that every number is rounded to first, TIES_TO_EVEN.

    Returns
    -------
    BlockExplanation

    Raises
    ------
    BadShape
        When there are no numbers, or more than k.
    BadValue
        When a text is not a number, or there is no such element.

    Examples
    --------
    >>> found = explain_block(["957"], "MXFP8_E4M3")
    >>> found.scale.exponent, str(found.elements[0].back)
    (1, '896')
    """
    fmt = find_block_format(fmt)
    carrier = None if carrier is None else find_carrier(carrier)
    _check_block(len(numbers), element, fmt)
    padded = [*numbers, *[ZERO] * (fmt.k - len(numbers))]
    block = BlockInput(fmt, carrier, [read_number(number, carrier) for number in padded])
    scale, elements = block.steps(profile)
    same, others, left_out = _compare(block, profile, scale, elements, element)
    return BlockExplanation(
        fmt, profile, carrier, len(numbers), scale, elements, element, same, others, left_out
    )


def _check_block(given: int, element: int, fmt: BlockFormat) -> None:
    if not 1 <= given <= fmt.k:
        raise BadShape(
            f"{given} values; a block of {fmt.name} holds 1 to k = {fmt.k} (MX-5.1-BLOCK)"
        )
    if not 0 <= element < fmt.k:
        raise BadValue(f"element {element}; a block of {fmt.name} has elements 0 to {fmt.k - 1}")


def _compare(
    block: BlockInput,
    profile: Profile,
    scale: ScaleSteps,
    elements: tuple[ElementSteps, ...],
    shown: int,
) -> tuple[tuple[str, ...], tuple[BlockOutcome, ...], tuple[str, ...]]:
    """The other presets, sorted into those that give the same, those that do not, and those that cannot be compared."""
    own = (scale.code, tuple(element.code for element in elements))
    groups: dict[tuple[int, tuple[int, ...]], list[Profile]] = {own: []}
    left_out = []
    for preset in PRESETS.values():
        if preset.same_choices(profile):
            continue
        found = (
            None if preset.rounding is Rounding.STOCHASTIC else _quantized_or_none(block, preset)
        )
        if found is None:
            left_out.append(preset.name)
        else:
            groups.setdefault((found.scale, found.codes), []).append(preset)
    same = tuple(preset.name for preset in groups.pop(own))
    others = [_block_outcome(block, presets, elements, shown) for presets in groups.values()]
    return same, tuple(others), tuple(left_out)


def _quantized_or_none(block: BlockInput, preset: Profile) -> Quantized | None:
    try:
        return block.quantized(preset)
    except BadFormat:
        return None


def _block_outcome(
    block: BlockInput, presets: list[Profile], own: tuple[ElementSteps, ...], shown: int
) -> BlockOutcome:
    scale, elements = block.steps(presets[0])
    differing = tuple(
        one.position for one, other in zip(own, elements, strict=True) if one.code != other.code
    )
    names = tuple(preset.name for preset in presets)
    return BlockOutcome(names, Point(scale.code, scale.value), elements[shown], differing)
