"""What probing found: the accumulation, how each of its parameters shows, and why it is none of the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conformance.probe import words
from conformance.probe.box import Box, Unsteady
from conformance.probe.fit import Pool
from conformance.probe.moves import Move, moves
from conformance.probe.search import Search
from conformance.probe.space import Space
from conformance.probe.trees import steps_of
from mxemu.accumulation import Accumulation
from mxemu.accumulations import ACCUMULATIONS

_EXAMPLES = 20
_FIRST_LOOK = 400
_EXCLUDED = 2


@dataclass(frozen=True)
class Example:
    """A question whose answer an accumulation does not explain.

    Parameters
    ----------
    question : str
        In words.
    inputs : dict
        In codes, with the answer.
    box, other : str
        What the box gave, and what the accumulation gives.
    """

    question: str
    inputs: dict[str, str]
    box: str
    other: str


@dataclass(frozen=True)
class Parameter:
    """One parameter of the accumulation that was found.

    Parameters
    ----------
    name, value : str
    excluded : dict of str to Example
        Other values, each with a question that it answers otherwise than the box.
    free : tuple of str
        Other values that give the same answers to every question there was: they do not show.
    """

    name: str
    value: str
    excluded: dict[str, Example] = field(default_factory=dict)
    free: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A named accumulation that the box does not compute.

    Parameters
    ----------
    name : str
    wrong, of : int
        Answers that it does not explain, and all answers.
    examples : tuple of Example
        The first of them, the simplest first.
    """

    name: str
    wrong: int
    of: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Finding:
    """The outcome of probing.

    Parameters
    ----------
    subject : str
    space : Space
    record : Accumulation, optional
        None if nothing explains all answers.
    names : tuple of str
        The presets that explain all answers.
    parameters : tuple of Parameter
    rejected : tuple of Rejected
        The closest first.
    observations : tuple of (str, str, str)
        What was asked, in words; what came; what follows.
    queries : int
    seconds, box_seconds : float
    closest : Accumulation, optional
        What explains most, where nothing explains all.
    explained : int
        How many answers it explains.
    answers : int
        The answers that were kept.
    unsteady : (str, Example), optional
        How the box came to answer the same question differently, and both answers.
    """

    subject: str
    space: Space
    record: Accumulation | None
    names: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    rejected: tuple[Rejected, ...]
    observations: tuple[tuple[str, str, str], ...]
    queries: int
    seconds: float
    box_seconds: float
    closest: Accumulation | None
    explained: int
    answers: int
    unsteady: tuple[str, Example] | None = None


def unsteady(box: Box, subject: str, seconds: float, found: Unsteady) -> Finding:
    """The outcome of a box that answers the same question differently."""
    first, second = (words.answer(box.space, bits) for bits in found.answers)
    question = words.question(box.space, found.dots, 0)
    inputs = words.inputs(box.space, found.dots, 0, found.answers[0])
    return Finding(
        subject=subject,
        space=box.space,
        record=None,
        names=(),
        parameters=(),
        rejected=(),
        observations=(),
        queries=box.queries,
        seconds=seconds,
        box_seconds=box.seconds,
        closest=None,
        explained=0,
        answers=0,
        unsteady=(found.how, Example(question, inputs, first, second)),
    )


def conclude(search: Search, record: Accumulation | None, subject: str, seconds: float) -> Finding:
    """Everything that follows from a search."""
    box, pool = search.box, search.pool()
    names = tuple(name for name, own in ACCUMULATIONS.items() if pool.explains(own))
    closest = record or search.closest
    return Finding(
        subject=subject,
        space=box.space,
        record=record,
        names=names if record is not None else (),
        parameters=() if record is None else tuple(_parameters(search, record, pool)),
        rejected=tuple(_rejected(pool, names)),
        observations=tuple(_observations(search)),
        queries=box.queries,
        seconds=seconds,
        box_seconds=box.seconds,
        closest=closest,
        explained=0 if closest is None else pool.score(closest),
        answers=len(pool.bits),
    )


def _example(pool: Pool, row: int, other: int) -> Example:
    space, bits = pool.space, int(pool.bits[row])
    return Example(
        words.question(space, pool.dots, row),
        words.inputs(space, pool.dots, row, bits),
        words.answer(space, bits),
        words.answer(space, other),
    )


def _simplest(pool: Pool, rows: Any) -> list[int]:
    """Rows with few terms first."""
    counts = (pool.dots.a[rows] != 0).sum(axis=1) + (pool.dots.c[rows] != 0)
    return [int(row) for row in rows[np.argsort(counts, kind="stable")]]


def _parameters(search: Search, record: Accumulation, pool: Pool) -> list[Parameter]:
    """Every parameter with the values next to it that are excluded, and those that do not show."""
    free = {(move.parameter, move.value) for move in search.free}
    groups: dict[str, list[Move]] = {}
    for move in moves(record, pool.space, search.hints):
        groups.setdefault(move.parameter, []).append(move)
    found = []
    for name, group in groups.items():
        own = current(record, name)
        same = tuple(move.value for move in group if (name, move.value) in free)
        excluded: dict[str, Example] = {}
        for move in sorted(group, key=lambda move: _distance(own, move.value)):
            example = None if move.value in same else _against(pool, move)
            if example is not None and len(excluded) < _EXCLUDED:
                excluded[move.value] = example
            if len(excluded) == _EXCLUDED:
                break
        found.append(Parameter(name, own, excluded, same))
    return sorted(found, key=lambda one: _rank(one.name))


def _rank(name: str) -> int:
    """Structure first, then steps, then what holds for all of them."""
    _, colon, what = name.partition(": ")
    if not colon:
        return 2
    return 0 if what in ("length", "leaf", "count", "terms", "result", "stages") else 1


def _distance(own: str, other: str) -> int:
    """How far a whole number is from another; 0 for words."""
    numbers = [text.removeprefix("-").isdigit() for text in (own, other)]
    return abs(int(own) - int(other)) if all(numbers) else int(other.isdigit())


def _against(pool: Pool, move: Move) -> Example | None:
    """The simplest question that a neighbour answers otherwise than the box."""
    for part in (
        pool.part(np.arange(0, len(pool.bits), max(len(pool.bits) // _FIRST_LOOK, 1))),
        pool,
    ):
        bits = part.space.evaluate(move.record, part.dots)
        if bits is None:
            return None
        rows = np.flatnonzero(bits != part.bits)
        if len(rows):
            row = _simplest(part, rows)[0]
            return _example(part, row, int(bits[row]))
    return None


def _rejected(pool: Pool, names: tuple[str, ...]) -> list[Rejected]:
    """Every other preset with its counterexamples."""
    found = []
    for name, own in ACCUMULATIONS.items():
        bits = None if name in names else pool.space.evaluate(own, pool.dots)
        if bits is None:
            continue
        rows = np.flatnonzero(bits != pool.bits)
        examples = [
            _example(pool, row, int(bits[row])) for row in _simplest(pool, rows)[:_EXAMPLES]
        ]
        found.append(Rejected(name, len(rows), len(pool.bits), tuple(examples)))
    return sorted(found, key=lambda one: one.wrong)


def current(record: Accumulation, parameter: str) -> str:
    """The value of a parameter in words."""
    where, colon, name = parameter.partition(": ")
    if not colon:
        own = getattr(record, {"scales at parts": "scale_at"}.get(parameter, parameter), None)
        return _plain(own)
    names = {" ".join(path): step for path, step in steps_of(record.node).items()}
    step = names.get(where)
    if step is None:
        node: Any = record.node
        for part in where.split() if where != "node" else ():
            node = getattr(node, part)
        return _plain(getattr(node, name, None))
    last = step.out[-1] if step.out else None
    match name:
        case "out":
            return ", then ".join(map(str, step.out)) or "exact"
        case "rounding" | "flush" | "stop_at_max":
            return "-" if last is None else _plain(getattr(last, name))
        case _:
            return _plain(getattr(step, name, None))


def _plain(own: Any) -> str:
    if own is None:
        return "none"
    if isinstance(own, bool):
        return "yes" if own else "no"
    return str(getattr(own, "value", own))


def _observations(search: Search) -> list[tuple[str, str, str]]:
    """What was read directly from answers."""
    return [*_nans(search), *_range(search), *_order(search.box, search), *_reads(search)]


def _nans(search: Search) -> list[tuple[str, str, str]]:
    """The words of NaN, where there are several."""
    if not search.space.any_nan:
        return []
    width = search.space.out.width // 4
    about = "NaN of several words, for which no accumulation has a rule: they were compared as one"
    return [(asked, f"NaN 0x{word:0{width}X}", about) for word, asked in search.nans.items()]


def _range(search: Search) -> list[tuple[str, str, str]]:
    own, found = search.range, []
    about = "range: single numbers that come out whole"
    if own.low <= own.high:
        asked = "one product of a power of two, the others 0"
        found.append((asked, f"from 2^{own.low} to 2^{own.high}", about))
    if search.space.takes_c and own.c_low <= own.c_high:
        came = (
            f"from 2^{own.c_low} to 2^{own.c_high}, with {own.c_bits} bits behind the leading one"
        )
        found.append(("C alone", came, about))
    return found


def _order(box: Box, search: Search) -> list[tuple[str, str, str]]:
    """A few questions about the order with different answers."""
    shown: dict[int, str] = {}
    for batch in box.log:
        if batch.kind != "order" or not search.tree_from:
            continue
        for row, bits in enumerate(batch.bits):
            if len(shown) < _ORDERS and int(bits) not in shown:
                shown[int(bits)] = words.question(box.space, batch.dots, row)
    return [
        (text, words.answer(box.space, bits), _ORDER[search.tree_from])
        for bits, text in shown.items()
    ]


def _reads(search: Search) -> list[tuple[str, str, str]]:
    found = []
    for path, read in search.reads.items():
        for what, bits in (("cut", read.cut), ("kept", read.kept), ("carried", read.carried)):
            if what in read.asked:
                came = (
                    "at every distance" if bits is None else f"down to 2^-{bits} of the large one"
                )
                found.append(
                    (_ASKED[what], f"it is kept {came}", f"{' '.join(path)}: {_MEANS[what]}")
                )
    return found


_ORDERS = 4
_ORDER = {
    "masks": "order: a small term is lost if it meets a large one before the two large ones cancel",
    "triples": "order: the small term is lost if it meets a large one before the two large ones cancel",
    "C": "order: C is all ones; what meets it after it has become a power of two is cut",
}
_ASKED = {
    "cut": "two large terms that cancel, and a small one, in one sum",
    "kept": "a small term beside a large one, which is taken away in a later sum if there is one",
    "carried": "two large terms that cancel, and a small one that is carried in",
}
_MEANS = {
    "cut": "bits that alignment keeps",
    "kept": "bits that the sum keeps",
    "carried": "bits that alignment keeps of what is carried in",
}
