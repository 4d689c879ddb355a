"""Numbers that are read directly from answers: ranges, precisions, the bits that alignment keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from conformance.arrays import Array
from conformance.probe.box import Box
from conformance.probe.directed import Sketch, Straight
from conformance.probe.moves import Hints
from conformance.probe.palette import Palette
from conformance.probe.space import C, Space
from conformance.probe.trees import Path
from mxemu.accumulation import Fuse, Round
from mxemu.profile import Rounding
from mxemu.value import Value

_KNOWN = {
    (8, 23): "binary32",
    (5, 10): "binary16",
    (8, 7): "bfloat16",
    (8, 10): "TF32",
    (11, 52): "binary64",
}


_DEEPEST = 64


@dataclass
class Range:
    """What single numbers become.

    Parameters
    ----------
    low, high : int
        Exponents between which one product of two powers of two comes out whole, at every place that was asked.
    c_low, c_high : int
        The same of C alone.
    c_bits : int
        The mantissa bits that C keeps.
    zero : bool
        Whether smaller products, and C, come out as zero and not rounded.
    """

    low: int
    high: int
    c_low: int
    c_high: int
    c_bits: int


def read_range(box: Box, palette: Palette) -> Range:
    """Ask single products and C alone."""
    low, high = _products(box, palette)
    if not box.space.takes_c:
        return Range(low, high, low, high, box.space.out.mantissa_bits)
    c_low, c_high = _c(box, palette)
    return Range(low, high, c_low, c_high, _c_bits(box))


def _products(box: Box, palette: Palette) -> tuple[int, int]:
    space = box.space
    fmt = space.out
    first = max(palette.low, fmt.emin - fmt.mantissa_bits)
    last = min(palette.high, fmt.emax)
    exponents = _spread(first, last, 40)
    places = sorted({0, space.length // 2, space.length - 1})
    sketch = Sketch(palette)
    for exponent in exponents:
        for place in places:
            sketch.add((place, exponent, 0, 0, 0))
    bits = box.ask("one product", sketch.dots()).reshape(len(exponents), len(places))
    expected = np.array([[space.c_bits(Value(0, 1, one))] for one in exponents])
    return _ends(exponents, (bits == expected).all(axis=1))


def _c(box: Box, palette: Palette) -> tuple[int, int]:
    fmt = box.space.out
    exponents = sorted(
        {*_spread(fmt.emin - fmt.mantissa_bits, fmt.emax, 60), *range(-40, 41), 126, 127, -126}
        & set(range(fmt.emin - fmt.mantissa_bits, fmt.emax + 1))
    )
    sketch = Sketch(palette)
    for exponent in exponents:
        sketch.add((C, exponent, 0, 0, 0))
    bits = box.ask("C alone", sketch.dots())
    expected = np.array([box.space.c_bits(Value(0, 1, one)) for one in exponents])
    return _ends(exponents, bits == expected)


def _c_bits(box: Box) -> int:
    space = box.space
    width = space.out.mantissa_bits
    values = [Value(0, (1 << depth) + 1, -depth) for depth in range(1, width + 1)]
    expected = np.array([space.c_bits(value) for value in values])
    zeros = np.zeros((width, space.length), np.int64)
    bits = box.ask("C alone", space.dots(zeros, zeros, expected))
    kept = np.flatnonzero(bits == expected)
    return int(kept[-1]) + 1 if len(kept) else 0


def ask_smallest(box: Box, palette: Palette, found: Range) -> int | None:
    """Ask for the smallest results: half an ulp of them, or one, and a term far below that decides.

    Returns
    -------
    int or None
        The exponent of the last term below that decided; None if none did or all did.
    """
    shift, codes = _scaled_down(palette, found.c_low - palette.high)
    sketch, depths = Sketch(palette), []
    for top in (found.c_low - 1, found.c_low):
        for depth in range(1, _DEEPEST):
            if palette.low <= top - depth - shift and top - shift <= palette.high:
                for sign in (0, 1):
                    small = (1, top - depth - shift, 0, 0, sign)
                    sketch.add((0, top - shift, 0, 0, 0), small)
                depths.append(top - depth)
    if not depths or box.space.length < 2:
        return None
    dots = sketch.dots()
    for scales, code in zip((dots.sa, dots.sb), codes, strict=True):
        if scales is not None:
            scales[:] = code
    bits = box.ask("smallest results", dots).reshape(-1, 2)
    decided = [depth for depth, own in zip(depths, bits, strict=True) if (own != bits[-1]).any()]
    return min(decided) if decided else None


def _scaled_down(palette: Palette, wanted: int) -> tuple[int, tuple[int, int]]:
    """A shift of all products by scales that are powers of two, about as wanted, and the codes of these scales."""
    space = palette.space
    first, second = space.ones
    reach = [0 if one is None or one.mantissa_bits else one.bias for one in space.scales]
    left = max(-reach[0], min(wanted, 0))
    right = max(-reach[1], min(wanted - left, 0))
    return left + right, (first + left, second + right)


def _spread(first: int, last: int, count: int) -> list[int]:
    """Whole numbers from first to last, both included, about as many as asked for."""
    return (
        np.unique(np.linspace(first, last, min(count, last - first + 1)).round())
        .astype(int)
        .tolist()
    )


def _ends(exponents: list[int], whole: Array) -> tuple[int, int]:
    """The longest run of exponents that came out whole; (0, -1) if there is none."""
    best, start = (0, -1), None
    for at, good in enumerate([*whole, False]):
        if good and start is None:
            start = at
        if not good and start is not None:
            if at - start > best[1] - best[0] + 1:
                best = (start, at - 1)
            start = None
    return (exponents[best[0]], exponents[best[1]]) if best[1] >= 0 else (0, -1)


@dataclass
class Read:
    """What straight questions say about one step.

    Parameters
    ----------
    cut : int, optional
        Fraction bits that alignment keeps; None if nothing was lost.
    kept : int, optional
        Mantissa bits that the sum keeps; None if nothing was lost.
    carried : int, optional
        Fraction bits kept of what is carried in.
    asked : set of str
    """

    cut: int | None = None
    kept: int | None = None
    carried: int | None = None
    asked: set[str] = field(default_factory=set)


def read_steps(straight: list[Straight], bits: Array) -> dict[Path, Read]:
    """The numbers that straight questions say, by step."""
    found: dict[Path, Read] = {}
    for path in dict.fromkeys(one.path for one in straight):
        own = [one for one in straight if one.path == path]
        read = found[path] = Read()
        read.cut = _last(
            read, "cut", [one for one in own if one.what == "cut" and not one.carried], bits
        )
        read.carried = _last(
            read, "carried", [one for one in own if one.what == "cut" and one.carried], bits
        )
        read.kept = _last(read, "kept", [one for one in own if one.what in ("kept", "sum")], bits)
    return found


def _last(read: Read, what: str, own: list[Straight], bits: Array) -> int | None:
    """The largest depth at which the small term came out whole; None if it did at all depths, or was not asked."""
    if not own:
        return None
    read.asked.add(what)
    whole = {one.depth for one in own if bits[one.row] == one.bits}
    lost = {one.depth for one in own} - whole
    if not lost:
        return None
    return max(whole, default=0)


def format_name(exponent_bits: int, mantissa_bits: int) -> str:
    """An accumulator's format."""
    return _KNOWN.get((exponent_bits, mantissa_bits), f"E{exponent_bits}M{mantissa_bits}")


def exponent_bits(found: Range, space: Space) -> int:
    """Width of the exponent field of the accumulator, from the largest C that comes out whole."""
    own = space.out.exponent_bits
    if not space.takes_c:
        return own
    return next((bits for bits in range(2, own) if (1 << (bits - 1)) - 1 >= found.c_high), own)


def first_step(read: Read | None, found: Range, space: Space) -> Fuse:
    """A step that agrees with what was read of it."""
    own = exponent_bits(found, space)
    width = space.out.mantissa_bits if space.out.exponent_bits == own else found.c_bits
    if read is None:
        return Fuse(Round(format_name(own, min(width, found.c_bits))))  # type: ignore[arg-type]
    kept = found.c_bits if read.kept is None else read.kept
    rounding = Rounding.TIES_TO_EVEN if read.cut is None else Rounding.TOWARD_ZERO
    out = (Round(format_name(own, max(kept, 1)), rounding),)  # type: ignore[arg-type]
    return Fuse(out, read.cut)


def hints(
    reads: dict[Path, Read], found: Range, space: Space, smallest: int | None = None
) -> Hints:
    """Values that a search should try."""
    own = exponent_bits(found, space)
    numbers = {one for read in reads.values() for one in (read.cut, read.kept, read.carried) if one}
    bits = {one + off for one in numbers for off in (-1, 0, 1)}
    formats = {format_name(width, one) for one in numbers for width in {own, 8} if one <= 52}
    lowest = {found.low, found.c_low} | (set() if smallest is None else {smallest})
    floors = {one + bit for one in lowest for bit in bits}
    return Hints(tuple(sorted(bits)), tuple(sorted(floors)), tuple(sorted(formats)))
