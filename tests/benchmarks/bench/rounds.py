"""Contestants timed in alternating rounds, and what is kept of the times."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# A shorter call is repeated until a round of it takes this many seconds.
_SHORTEST = 2e-3
# Seconds of rest before each timing: the idle threads of some libraries spin for a while.
_REST = 3e-3

Quartiles = tuple[float, float, float]


@dataclass(frozen=True)
class Way:
    """One way to do a piece of work.

    Parameters
    ----------
    call : callable
        Does the work once; what it returns is thrown away after the clock has stopped.
    elements : int
        Elements that one call handles; a slow contestant may be given fewer than the others.
    shown : callable, optional
        From the result of ``call`` to an array of integers that the results of others are compared with.
    values : callable, optional
        The same as binary32 values, for contestants that give no codes.
    """

    call: Callable[[], object]
    elements: int
    shown: Callable[[Any], Any] | None = None
    values: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Contest:
    """One piece of work, done by a subject and by others.

    Parameters
    ----------
    work : str
        Key of the work, as in `marks`.
    name : str
        Format, and the choice within it where there is one.
    threads : int
    out : bool
        True when results go to arrays that exist already.
    subject : Way
    others : mapping of str to Way
    """

    work: str
    name: str
    threads: int
    out: bool
    subject: Way
    others: Mapping[str, Way]


def quartiles(figures: Sequence[float]) -> Quartiles:
    """Lower quartile, median and upper quartile."""
    if len(figures) == 1:
        return (figures[0],) * 3
    low, middle, high = statistics.quantiles(figures, n=4, method="inclusive")
    return low, middle, high


def interleaved(calls: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of each call in each round.

    Every round starts with another contestant, so that nobody always follows the same one.
    """
    loops = [_loops(call) for call in calls]
    seconds: list[list[float]] = [[] for _ in calls]
    collecting = gc.isenabled()
    gc.disable()
    try:
        for turn in range(rounds):
            for step in range(len(calls)):
                which = (turn + step) % len(calls)
                time.sleep(_REST)
                seconds[which].append(_seconds(calls[which], loops[which]))
    finally:
        if collecting:
            gc.enable()
    return seconds


def _loops(call: Callable[[], object]) -> int:
    """Calls in one timing, from the second of two calls: the first may still compile."""
    call()
    return max(1, round(_SHORTEST / max(_seconds(call, 1), 1e-7)))


def _seconds(call: Callable[[], object], loops: int) -> float:
    """Seconds of one call, the mean of some; results are freed while the clock stands, but for repeated calls."""
    if loops == 1:
        start = time.perf_counter()
        result = call()
        spent = time.perf_counter() - start
        del result
        return spent
    start = time.perf_counter()
    for _ in range(loops):
        call()
    return (time.perf_counter() - start) / loops


def measure(contest: Contest, rounds: int) -> dict[str, Any]:
    """Hold one contest.

    Returns
    -------
    dict
        ``speeds``: millions of elements in a second, by contestant. ``ratios``: the subject's speed over another's,
        taken round by round. Both as lower quartile, median, upper quartile. ``differ``: how many results are not
        the subject's, and out of how many, for every other whose results can be compared.
    """
    ways = {"mxemu": contest.subject, **contest.others}
    differ = {
        name: count
        for name, way in contest.others.items()
        if (count := differences(contest.subject, way)) is not None
    }
    timed = interleaved([way.call for way in ways.values()], rounds)
    rates = {
        name: [way.elements / spent / 1e6 for spent in times]
        for (name, way), times in zip(ways.items(), timed, strict=True)
    }
    ratios = {
        name: [own / other for own, other in zip(rates["mxemu"], rates[name], strict=True)]
        for name in contest.others
    }
    return {
        "work": contest.work,
        "name": contest.name,
        "threads": contest.threads,
        "out": contest.out,
        "elements": contest.subject.elements,
        "speeds": {name: _rounded(quartiles(found)) for name, found in rates.items()},
        "ratios": {name: _rounded(quartiles(found)) for name, found in ratios.items()},
        "differ": differ,
    }


def differences(subject: Way, other: Way) -> list[int] | None:
    """How many results of two contestants differ and how many were compared; None if they cannot be compared."""
    for kind in ("shown", "values"):
        first, second = getattr(subject, kind), getattr(other, kind)
        if first is not None and second is not None:
            own, theirs = np.ravel(first(subject.call())), np.ravel(second(other.call()))
            both = min(own.size, theirs.size)
            if not both:
                raise ValueError("nothing to compare; expected results of both contestants")
            return [int(np.count_nonzero(own[:both] != theirs[:both])), both]
    return None


def _rounded(figures: Quartiles) -> list[float]:
    """Four significant digits: more would only be noise in a committed file."""
    return [float(f"{figure:.4g}") for figure in figures]


def summary(figures: Sequence[float]) -> list[float]:
    """Lower quartile, median and upper quartile, as they are kept."""
    return _rounded(quartiles(figures))
