"""Other values of one parameter of an accumulation: the neighbours that a search tries and a finding rules out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from conformance.probe.space import Space
from conformance.probe.trees import Path, changed, steps_of
from mxemu.accumulation import (
    Accumulation,
    Chain,
    Fuse,
    Lanes,
    Late,
    NanWord,
    Nested,
    Node,
    OperandSubnormals,
    Parts,
    ProductExponent,
    Round,
    ScaleAt,
    Sum,
    Tree,
    ZeroSign,
)
from mxemu.errors import BadFormat
from mxemu.formats import FloatFormat
from mxemu.profile import Rounding

ROUNDINGS = tuple(one for one in Rounding if one is not Rounding.STOCHASTIC)
_FORMATS = (
    "binary32",
    "E8M13",
    "binary16",
    "bfloat16",
    "TF32",
    "E6M9",
    "E8M24",
    "E8M31",
    "binary64",
)


class Move(NamedTuple):
    """A neighbour of an accumulation.

    Attributes
    ----------
    parameter : str
        What is different: a field of the record, or a step and a field of it.
    value : str
        The other value, in words.
    record : Accumulation
    """

    parameter: str
    value: str
    record: Accumulation


@dataclass(frozen=True)
class Hints:
    """Numbers that questions suggested.

    Parameters
    ----------
    bits : tuple of int
        Fraction bits.
    floors : tuple of int
    formats : tuple of str
        Accumulator formats.
    """

    bits: tuple[int, ...] = ()
    floors: tuple[int, ...] = ()
    formats: tuple[str, ...] = ()


def named_format(name: str) -> FloatFormat:
    """An accumulator's format by its name."""
    return Round(name).format  # type: ignore[arg-type]


def step_name(path: Path) -> str:
    """A step in words: ``step``, ``inner step``, ``outer inner step``."""
    return " ".join(path)


def moves(record: Accumulation, space: Space, hints: Hints, *, deep: bool = False) -> list[Move]:
    """Every neighbour, in groups of one parameter each.

    Parameters
    ----------
    record : Accumulation
    space : Space
    hints : Hints
    deep : bool
        Wider grids.
    """
    found: list[Move] = []
    for path, step in steps_of(record.node).items():
        name = step_name(path)
        for field, value, other in _steps(step, hints, deep):
            found += _tried(
                f"{name}: {field}", value, record, node=changed(record.node, path, other)
            )
    found += _fields(record, space)
    found += _shapes(record)
    return [move for move in found if not move.record.same_arithmetic(record)]


def _tried(parameter: str, value: Any, record: Accumulation, **changes: Any) -> list[Move]:
    """A record with changes, unless they contradict each other."""
    words = (
        {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    )
    try:
        return [Move(parameter, words, record.replace(**changes))]
    except BadFormat:
        return []


def _steps(step: Fuse, hints: Hints, deep: bool) -> Iterator[tuple[str, Any, Fuse]]:
    """Other steps: the field, its value in words, and the step."""
    yield from _bits(step, hints, deep)
    if step.cuts:
        for align in ROUNDINGS:
            yield "align", align.value, replace(step, align=align)
    if deep and step.quantum is None:
        for bits in range(6, 44):
            for align in ROUNDINGS:
                yield "cut", f"{bits} {align.value}", replace(step, fraction_bits=bits, align=align)
    yield from _outs(step, hints, deep)
    if step.fraction_bits is not None:
        yield from _relative(step, hints, deep)
    if step.quantum is not None:
        yield from _register(step)


def _bits(step: Fuse, hints: Hints, deep: bool) -> Iterator[tuple[str, Any, Fuse]]:
    """Other numbers of fraction bits."""
    none = {"fraction_bits": None, "floor": None, "carried_bits": None, "carried_reach": None}
    if step.quantum is None:
        yield "fraction_bits", "none cut", replace(step, **none)  # type: ignore[arg-type]
    near = (
        [] if step.fraction_bits is None else range(step.fraction_bits - 3, step.fraction_bits + 4)
    )
    every = range(6, 49) if deep or step.fraction_bits is None else ()
    for bits in sorted({*near, *hints.bits, *every}):
        if bits >= 0 and step.quantum is None:
            # A floor that moves along keeps the smallest quantum where it is.
            yield "fraction_bits", bits, replace(step, fraction_bits=bits)


def _outs(step: Fuse, hints: Hints, deep: bool) -> Iterator[tuple[str, Any, Fuse]]:
    """Other roundings of the sum."""
    yield "out", "exact", replace(step, out=())
    last = step.out[-1] if step.out else Round("binary32")  # type: ignore[arg-type]
    names = dict.fromkeys((*hints.formats, *_FORMATS))
    formats = [Round(name).format for name in names]  # type: ignore[arg-type]
    width, reach = last.format.mantissa_bits, last.format.exponent_bits
    near = range(3, 28) if deep else range(width - 2, width + 7)
    formats += [Round(f"E{reach}M{one}").format for one in near if 1 < one <= 52]  # type: ignore[arg-type]
    for fmt in formats:
        for rounding in ROUNDINGS if deep else _likely(last.rounding):
            own = replace(last, format=fmt, rounding=rounding)
            yield "out", own, replace(step, out=(own,))
    if not step.out:
        return
    for rounding in ROUNDINGS:
        yield (
            "rounding",
            rounding.value,
            replace(step, out=(*step.out[:-1], replace(last, rounding=rounding))),
        )
    yield (
        "flush",
        not last.flush,
        replace(step, out=(*step.out[:-1], replace(last, flush=not last.flush))),
    )
    stop = replace(last, stop_at_max=not last.stop_at_max)
    yield "stop_at_max", stop.stop_at_max, replace(step, out=(*step.out[:-1], stop))
    first = replace(last, format=named_format("E8M31"), rounding=Rounding.TOWARD_NEGATIVE)
    twice = (first, replace(last, rounding=Rounding.TIES_TO_EVEN))
    yield "out", ", then ".join(map(str, twice)), replace(step, out=twice)


def _likely(rounding: Rounding) -> tuple[Rounding, ...]:
    return tuple(dict.fromkeys((rounding, Rounding.TIES_TO_EVEN, Rounding.TOWARD_ZERO)))


def _relative(step: Fuse, hints: Hints, deep: bool) -> Iterator[tuple[str, Any, Fuse]]:
    """Other floors, and other treatment of what is carried in."""
    assert step.fraction_bits is not None
    yield "floor", "none", replace(step, floor=None)
    near = () if step.floor is None else range(step.floor - 2, step.floor + 3)
    grid = (*range(-160, -100), *range(-40, 0)) if deep else (*range(-140, -124), *range(-26, -12))
    for floor in sorted({*near, *hints.floors, *grid}):
        yield "floor", floor, replace(step, floor=floor)
    yield "carried_bits", "same", replace(step, carried_bits=None)
    base = step.fraction_bits if step.carried_bits is None else step.carried_bits
    for bits in sorted({*range(max(base - 2, 0), base + 3), *hints.bits, 23, 24, 25}):
        yield "carried_bits", bits, replace(step, carried_bits=bits)
    yield "carried_reach", "any", replace(step, carried_reach=None)
    far = [] if step.carried_reach is None else [step.carried_reach - 1, step.carried_reach + 1]
    for reach in sorted({*far, *range(20, 32)}):
        yield "carried_reach", reach, replace(step, carried_reach=reach)


def _register(step: Fuse) -> Iterator[tuple[str, Any, Fuse]]:
    """Other fixed-point registers."""
    assert step.quantum is not None
    for quantum in range(step.quantum - 3, step.quantum + 4):
        yield "quantum", quantum, replace(step, quantum=quantum)
    if step.width is not None:
        for width in range(max(step.width - 3, 2), step.width + 4):
            yield "width", width, replace(step, width=width)
        yield "saturate", not step.saturate, replace(step, saturate=not step.saturate)


def _fields(record: Accumulation, space: Space) -> Iterator[Move]:
    """Other fields of the record itself."""
    for name, kind in (
        ("nan_word", NanWord),
        ("zero_sign", ZeroSign),
        ("operand_subnormals", OperandSubnormals),
        ("product_exponent", ProductExponent),
    ):
        for one in kind:
            yield from _tried(name, one.value, record, **{name: one})
    for rounding in ROUNDINGS:
        yield from _tried("rounding", rounding.value, record, rounding=rounding)
    for own in (None, *_outer_formats(), "binary32 flush", "binary32 toward-zero"):
        yield from _tried("products", own or "exact", record, products=own)
    for limit in (None, 127, 128, 129):
        yield from _tried(
            "product_limit", "none" if limit is None else limit, record, product_limit=limit
        )
    yield from _operands(record, space)


def _outer_formats() -> tuple[str, ...]:
    return ("binary32", "bfloat16", "binary16", "TF32")


def _operands(record: Accumulation, space: Space) -> Iterator[Move]:
    """Other conversions of operands, and other places of scales."""
    places = [ScaleAt.PRODUCT, ScaleAt.OPERAND] if space.scaled else [ScaleAt.PRODUCT]
    if record.scale_at is ScaleAt.PART:
        places = [ScaleAt.PART]
    for own in (None, *_outer_formats()):
        for place in places:
            words = f"{own or 'as they are'}{', scaled' if place is ScaleAt.OPERAND else ''}"
            yield from _tried("operand_format", words, record, operand_format=own, scale_at=place)
    if not space.scaled:
        return
    for name in ("scale_zero_code", "scale_unsigned"):
        yield from _tried(
            name, not getattr(record, name), record, **{name: not getattr(record, name)}
        )
    yield from _parts_scale(record)


def _parts_scale(record: Accumulation) -> Iterator[Move]:
    """The scales at the results of parts instead."""
    parameter = "scales at parts"
    for path, node in _parts(record.node):
        for words, scale, apart in _AT_PARTS:
            for scaled in (None, "binary32"):
                own = replace(node, scale=scale, apart=apart, scaled=scaled)  # type: ignore[arg-type]
                yield from _tried(
                    parameter,
                    f"{words}, {'fused' if scaled is None else f'then {scaled}'}",
                    record,
                    node=_set(record.node, path, own),
                    scale_at=ScaleAt.PART,
                    product_exponent="sum",
                )
        if node.scale is not None:
            plain = _set(record.node, path, replace(node, scale=None, apart=None, scaled=None))
            yield from _tried(
                parameter, "at products", record, node=plain, scale_at=ScaleAt.PRODUCT
            )


_AT_PARTS = (
    ("sa * sb exactly", (), None),
    ("sa * sb in binary32", ("binary32",), None),
    ("sa, then sb in binary32", (), "binary32"),
)


def _set(node: Node, path: Path, other: Node) -> Node:
    found: Node = changed(node, path, other) if path else other
    return found


def _parts(node: Node, path: Path = ()) -> Iterator[tuple[Path, Parts]]:
    """The parts nodes below a node, with their paths."""
    if isinstance(node, Parts):
        yield path, node
    for name in ("inner", "outer"):
        if hasattr(node, name):
            yield from _parts(getattr(node, name), (*path, name))


def _below(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every node below a node, with its path."""
    yield path, node
    for name in ("inner", "outer"):
        if hasattr(node, name):
            yield from _below(getattr(node, name), (*path, name))


def _shapes(record: Accumulation) -> Iterator[Move]:
    """Products that are rounded before they are added, other lengths, and sums in two stages."""
    for path, node in _below(record.node):
        where = step_name(path) or "node"
        for name, value, other in _nodes(node):
            yield from _tried(
                f"{where}: {name}", value, record, node=_set(record.node, path, other)
            )


def _nodes(node: Node) -> Iterator[tuple[str, Any, Node]]:
    """Other nodes in the place of one: the field, its value in words, and the node."""
    if isinstance(node, (Chain, Tree, Nested)):
        for terms in (None, *_outer_formats(), "binary32 flush"):
            rounding = None if terms is None else _as_round(terms)
            yield "terms", terms or "exact", replace(node, terms=rounding)
    yield from _stages(node)
    if isinstance(node, Chain) and not node.order:
        for length in sorted({node.length * 2, max(node.length // 2, 1)} - {node.length}):
            yield "length", length, replace(node, length=length)
    if isinstance(node, Late):
        for name, inner in rounded_results(node.inner):
            yield "result", name, replace(node, inner=inner)
    if isinstance(node, Tree):
        for leaf in sorted({node.leaf * 2, max(node.leaf // 2, 1)} - {node.leaf}):
            yield "leaf", leaf, replace(node, leaf=leaf)
    if isinstance(node, (Parts, Lanes)) and getattr(node, "length", True):
        name = "length" if isinstance(node, Parts) else "count"
        own = getattr(node, name)
        for other in sorted({own * 2, max(own // 2, 1)} - {own}):
            yield name, other, replace(node, **{name: other})


def _stages(node: Node) -> Iterator[tuple[str, Any, Node]]:
    """A group that is summed by itself before it meets what is carried in, or not."""
    if isinstance(node, Chain) and node.length > 1 and not node.order and node.terms is None:
        for place, other in enumerate(_staged(node.length, node.step, deep=False)):
            yield "stages", f"two, form {place + 1}", other
    plain = isinstance(node, Parts) and node.scale is None and node.length
    if isinstance(node, Parts) and plain and isinstance(node.outer, Chain) and not node.outer.order:
        length = node.length * node.outer.length
        yield "stages", "one", replace(node.outer, length=length)
        yield "stages", "two", Parts(length, Sum(Fuse()), replace(node.outer, length=1))


def _as_round(text: str) -> Round:
    name, *rest = text.split()
    return Round(name, flush="flush" in rest)  # type: ignore[arg-type]


def two_stages(node: Node, length: int, *, deep: bool = False) -> list[Node]:
    """Nodes that masks cannot tell from this one: a group is summed by itself before it meets what is carried in.

    Parameters
    ----------
    node : node
    length : int
        K.
    deep : bool
        Groups whose own order is not known either.
    """
    found: list[Node] = []
    for path, own in _below(node):
        if isinstance(own, Chain) and own.length > 1 and not own.order:
            found += [_set(node, path, other) for other in _staged(own.length, own.step, deep=deep)]
        if isinstance(own, Late):
            found.append(_set(node, path, replace(own, inner=Lanes(1, own.inner, Sum(Fuse())))))
        if isinstance(own, Sum) and path == ():
            found += [_set(node, path, other) for other in _staged(length, own.step, deep=deep)]
    return found


def _staged(size: int, step: Fuse, *, deep: bool) -> list[Node]:
    """A group of ``size`` terms in two stages."""
    if size < 2:
        return []
    inners: list[Node] = [Sum(Fuse()), Lanes(2, Sum(Fuse()), Sum(Fuse()))]
    if deep:
        inners += [Chain(Fuse(), own) for own in (1, 2, 4, 8, 16, 32) if own < size]
        inners.append(Tree(Fuse()))
    found: list[Node] = [Parts(size, inner, Chain(step)) for inner in inners]
    parts = [part for part in (4, 8, 16, 32) if part < size]
    return found + [Parts(part, Sum(Fuse()), Chain(step, -(-size // part))) for part in parts]


def rounded_results(node: Node) -> Iterator[tuple[str, Node]]:
    """The same node with its result rounded once more, to formats that results are handed on in."""
    for name in ("bfloat16", "binary16", "binary32"):
        yield name, Lanes(1, node, Sum(Fuse(Round(name))))  # type: ignore[arg-type]
