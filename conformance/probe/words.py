"""Dots and numbers in words."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from conformance.probe.space import Dots, Space
from mxemu.scalar import decode
from mxemu.value import Value, text

_SHOWN = 5


def number(value: Value) -> str:
    """A value, powers of two as such."""
    if not value.is_finite or value.is_zero:
        return str(value)
    fraction = value.fraction()
    size = abs(fraction)
    top = size.numerator if size.denominator == 1 else size.denominator
    if (
        1 in (size.numerator, size.denominator)
        and not top & (top - 1)
        and not Fraction(1, 8) <= size <= 16
    ):
        power = top.bit_length() - 1
        return f"{'-' if fraction < 0 else ''}2^{power if size > 1 else -power}"
    return text(fraction)


def answer(space: Space, bits: int) -> str:
    """A result: its value and its bits."""
    return f"{number(space.value(bits))} (0x{bits:0{space.out.width // 4}X})"


def question(space: Space, dots: Dots, row: int) -> str:
    """One dot: its products, those that are alike together, C, and scales that are not 1."""
    alike: dict[str, list[int]] = {}
    for place in range(space.length):
        alike.setdefault(_product(space, dots, row, place), []).append(place)
    zeros = {value for value in ("0", "-0") if value in alike}
    shown = sorted((places, value) for value, places in alike.items() if value not in zeros)
    most = sorted(shown, key=lambda one: len(one[0]))
    parts = [f"{value} at {_places(places)}" for places, value in sorted(most[:_SHOWN])]
    rest = sum(len(places) for places, _ in most[_SHOWN:])
    parts += [f"{rest} other terms"] if rest else []
    parts += ["-0 elsewhere"] if zeros == {"-0"} and len(shown) < _SHOWN else []
    c = number(space.value(int(dots.c[row]))) if space.takes_c else "0"
    parts += [f"C = {c}"] if c != "0" else []
    return ", ".join([*(parts or ["every term 0"]), *_scales(space, dots, row)])


def _product(space: Space, dots: Dots, row: int, place: int) -> str:
    """The product of two elements, without scales."""
    first, second = (
        decode(int(codes[row, place]), fmt)
        for codes, fmt in zip((dots.a, dots.b), space.elements, strict=True)
    )
    if not (first.is_finite and second.is_finite):
        return f"{number(first)} * {number(second)}"
    sign = first.sign ^ second.sign
    return number(
        Value(sign, first.significand * second.significand, first.exponent + second.exponent)
    )


def _places(places: list[int]) -> str:
    """Places in words: ``3``, ``0-31``, ``1, 5, 9 and 29 more``."""
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    if len(parts) <= 3:
        return ", ".join(parts)
    return f"{', '.join(parts[:3])} and {sum(map(len, runs[3:]))} more"


def _scales(space: Space, dots: Dots, row: int) -> list[str]:
    """The products of scales that are not 1, by block."""
    found = []
    for block in range(space.blocks if space.scaled else 0):
        codes = [None if own is None else int(own[row, block]) for own in (dots.sa, dots.sb)]
        values = [
            Value(0, 1, 0) if code is None or fmt is None else decode(code, fmt)
            for code, fmt in zip(codes, space.scales, strict=True)
        ]
        if any(str(value) != "1" for value in values):
            found.append(f"block {block} * {' * '.join(number(value) for value in values)}")
    return [*found[:3], f"{len(found) - 3} more scales"] if len(found) > 4 else found


def inputs(space: Space, dots: Dots, row: int, bits: int) -> dict[str, str]:
    """One dot with its answer as codes in hexadecimal, from the first to the last, for programs."""
    found: dict[str, str] = {}
    for name, codes, fmt in (("a", dots.a, space.elements[0]), ("b", dots.b, space.elements[1])):
        found[name] = _hex(codes[row], fmt.width)
    for name, scales, scale in (("sa", dots.sa, space.scales[0]), ("sb", dots.sb, space.scales[1])):
        if scales is not None and scale is not None:
            found[name] = _hex(scales[row], scale.width)
    if space.takes_c:
        found["c"] = f"0x{int(dots.c[row]):0{space.out.width // 4}X}"
    found["box"] = f"0x{bits:0{space.out.width // 4}X}"
    return found


def _hex(codes: Iterable[Any], width: int) -> str:
    return " ".join(f"{int(code):0{-(-width // 4)}X}" for code in codes)


def ranges(values: list[str]) -> str:
    """Values in words, whole numbers in a row as a range."""
    whole = sorted(int(value) for value in values if value.lstrip("-").isdigit())
    rest = [value for value in values if not value.lstrip("-").isdigit()]
    runs: list[list[int]] = []
    for value in whole:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    parts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return ", ".join([*parts, *rest])
