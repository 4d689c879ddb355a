"""How does a dot product add up: an accumulation recovered from a box that is only asked.

Designed questions read ranges, order and the bits that each sum keeps; random ones of many kinds decide between
candidates; questions on which neighbours of the candidate differ exclude those that show, and name those that do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from conformance.arrays import Array
from conformance.probe.box import Box, BoxError, Unsteady, subject_call
from conformance.probe.directed import Sketch
from conformance.probe.finding import Finding, conclude, unsteady
from conformance.probe.palette import Palette
from conformance.probe.report import record_of, render_json, render_text, render_toml
from conformance.probe.search import Search
from conformance.probe.space import Space
from mxemu.formats import BFLOAT16, BINARY16, BINARY32, FloatFormat
from mxemu.value import Value

__all__ = [
    "Box",
    "BoxError",
    "Finding",
    "Search",
    "Space",
    "out_format",
    "probe",
    "record_of",
    "render_json",
    "render_text",
    "render_toml",
    "subject_call",
]


def probe(
    call: Callable[..., Array],
    space: Space,
    *,
    subject: str = "box",
    presets: bool = True,
    seed: int = 1,
    seconds: float = 60.0,
) -> Finding:
    """Find the accumulation of a dot product.

    Parameters
    ----------
    call : callable
        ``call(sa, a, sb, b, c) -> bits``: codes [n, K], scale codes [n, K / k] or None, C as bits [n] or None.
    space : Space
        The formats, K, and the format of C and of results.
    subject : str
        A name for the report.
    presets : bool
        Whether named accumulations are candidates from the start.
    seed : int
        Of random questions.
    seconds : float
        After which no more candidates are tried.

    Returns
    -------
    Finding

    Raises
    ------
    BoxError
        When the box fails, or returns something else than bits.
    """
    start = time.monotonic()
    search = Search(Box(call, _hello(call, space)), seed, presets, seconds)
    try:
        found = search.run()
    except Unsteady as answers:
        return unsteady(search.box, subject, time.monotonic() - start, answers)
    return conclude(search, found, subject, time.monotonic() - start)


def out_format(call: Callable[..., Array], space: Space) -> FloatFormat:
    """The format of a box's results: that in which one product of a power of two comes out as itself.

    Raises
    ------
    BoxError
    """
    problem: BoxError | None = None
    for out in (BINARY32, BINARY16, BFLOAT16):
        try:
            palette = Palette(_hello(call, replace(space, out=out)))
            exponent = min(max(0, palette.low), palette.high)
            sketch = Sketch(palette)
            sketch.add((0, exponent, 0, 0, 0))
            bits = Box(call, palette.space).answer(sketch.dots())
            if int(bits[0]) == palette.space.c_bits(Value(0, 1, exponent)):
                return out
        except BoxError as error:
            problem = problem or error
    raise problem or BoxError(f"2^{exponent}, one product alone, comes out as something else")


def _hello(call: Callable[..., Array], space: Space) -> Space:
    """The space with what the first questions say: whether the box takes C, and the zero that it starts from.

    Raises
    ------
    BoxError
        When the box answers neither with C nor without.
    """
    if space.takes_c:
        try:
            _zeros(call, space, 0)
        except BoxError as problem:
            try:
                return _hello(call, replace(space, takes_c=False))
            except BoxError:
                raise problem from None
        return space
    first = space.elements[0]
    minus = space.out.sign_mask
    if not isinstance(first, FloatFormat) or not first.negative_zero:
        return space
    negative = _zeros(call, space, first.sign_mask) == minus
    return replace(space, absent_c=minus if negative else 0)


def _zeros(call: Callable[..., Array], space: Space, code: int) -> int:
    """The answer to products of which every first operand has one code, and the other is zero."""
    zeros = np.zeros((2, space.length), np.int64)
    return int(Box(call, space).answer(space.dots(zeros + code, zeros))[0])
