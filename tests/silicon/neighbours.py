"""Models one step away from that of a kind, and which of them no input of the kind can tell apart.

A deck is worth something if wrong models fail on it. Every neighbour here must differ from the silicon on several
designed dots, unless `unobservable` gives a reason why no input can show the difference; then it must agree on
everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from silicon.decks import Kind
from silicon.models import preset

from mxemu.accumulation import Accumulation, Chain, Fuse, Parts, Round
from mxemu.accumulations import find


def _chain(record: Accumulation) -> Chain:
    """The node whose `Fuse` is the matrix unit."""
    node = record.node.inner if isinstance(record.node, Parts) else record.node
    assert isinstance(node, Chain)
    return node


def _with_chain(record: Accumulation, **changes: object) -> Accumulation:
    """The record with another chain of fused groups."""
    chain = replace(_chain(record), **changes)
    node = replace(record.node, inner=chain) if isinstance(record.node, Parts) else chain
    return record.replace(node=node)


def _with_step(record: Accumulation, **changes: object) -> Accumulation:
    """The record with another fused group."""
    return _with_chain(record, step=replace(_chain(record).step, **changes))


def _with_round(record: Accumulation, **changes: object) -> Accumulation:
    """The record with another rounding of each group's sum."""
    (rounding,) = _chain(record).step.out
    return _with_step(record, out=(replace(rounding, **changes),))


def neighbours(kind: Kind) -> dict[str, Accumulation]:
    """The neighbours of a kind's model, by name."""
    record = find(preset(kind))
    emulated = isinstance(record.node, Parts)
    return {
        **dict(_alignments(record)),
        **dict(_roundings(record)),
        **dict(_groups(record, kind)),
        **dict(_emulations(record, kind) if emulated else _native(record)),
        "operands flushed": record.replace(operand_subnormals="flush-positive"),
        "operands renormalised": record.replace(operand_format="E11M23"),
        "products normalised": record.replace(product_exponent="normalised"),
        "zero keeps its sign": record.replace(zero_sign="ieee"),
        "quiet NaN": record.replace(nan_word="quiet"),
    }


def _alignments(record: Accumulation) -> Iterator[tuple[str, Accumulation]]:
    """Width, rounding and floor of the alignment."""
    step = _chain(record).step
    assert step.fraction_bits is not None
    assert step.floor is not None
    for change in (-2, -1, 1, 2):
        bits = step.fraction_bits + change
        yield f"fraction bits {change:+}", _with_step(record, fraction_bits=bits)
    for change in (-1, 1):
        yield f"floor {change:+}", _with_step(record, floor=step.floor + change)
    yield "no floor", _with_step(record, floor=None)
    yield "nothing cut", _with_step(record, fraction_bits=None, floor=None)
    for rounding in (
        "ties-to-even",
        "ties-to-away",
        "toward-negative",
        "toward-positive",
        "to-odd",
    ):
        yield f"align {rounding}", _with_step(record, align=rounding)
    for change in (-1, 1):
        yield (
            f"carried bits {change:+}",
            _with_step(record, carried_bits=step.fraction_bits + change),
        )


def _roundings(record: Accumulation) -> Iterator[tuple[str, Accumulation]]:
    """Rounding, width and range of the accumulator."""
    (rounding,) = _chain(record).step.out
    others = ("ties-to-even", "ties-to-away", "toward-zero", "toward-negative", "to-odd")
    for other in others:
        if other != rounding.rounding.value:
            yield f"sum {other}", _with_round(record, rounding=Round("binary32", other).rounding)
    exponent, mantissa = rounding.format.exponent_bits, rounding.format.mantissa_bits
    for bits in {mantissa - 1, mantissa + 1, 13 if mantissa == 23 else 23}:
        wide = Round(f"E{exponent}M{bits}").format
        yield f"accumulator of {bits} bits", _with_round(record, format=wide)
    yield "sums flushed", _with_round(record, flush=True)
    stopping = Round(rounding.format, "toward-zero", stop_at_max=True)
    if rounding.rounding.value == "toward-zero":
        yield "sums stop at the largest", _with_step(record, out=(stopping,))


def _groups(record: Accumulation, kind: Kind) -> Iterator[tuple[str, Accumulation]]:
    """Terms that are added at once."""
    chain = _chain(record)
    for divisor in (2, 4):
        yield f"groups of 1/{divisor}", _with_chain(record, length=chain.length // divisor)
    order = tuple(range(2 * chain.length)) if not chain.order else chain.order
    assert len(order) == 2 * chain.length
    yield "groups of twice the length", _with_chain(record, length=2 * chain.length, order=order)
    mixed = tuple(at for half in (0, 1) for at in range(2 * kind.k) if at % 2 == half)
    yield "even terms, then odd", _with_chain(record, order=mixed[: 2 * kind.k])


def _native(record: Accumulation) -> Iterator[tuple[str, Accumulation]]:
    """C elsewhere than among the terms."""
    chain = _chain(record)
    alone = Chain(chain.step, chain.length)
    for rounding in ("ties-to-even", "toward-zero"):
        add = Chain(Fuse(Round(chain.step.out[0].format, rounding)))
        yield f"C added after, {rounding}", record.replace(node=Parts(chain.length, alone, add))


def _emulations(record: Accumulation, kind: Kind) -> Iterator[tuple[str, Accumulation]]:
    """Another order of the halves, another way for C, operands that are not unpacked."""
    chain = _chain(record)
    assert isinstance(record.node, Parts)
    half = len(chain.order) // 2
    yield "halves swapped", _with_chain(record, order=chain.order[half:] + chain.order[:half])
    yield "terms in order", _with_chain(record, order=())
    yield "C aligned", record.replace(node=chain)
    for words in ("toward-zero", "ties-to-away", "flush"):
        add = Chain(Fuse(f"{'binary16' if kind.out.name == 'f16' else 'binary32'} {words}"))
        yield f"C added {words}", record.replace(node=replace(record.node, outer=add))
    yield "operands as they are", record.replace(operand_format=None)


def unobservable(kind: Kind, name: str) -> str | None:
    """Why no input of the kind can show a neighbour; None if some input does."""
    record = find(preset(kind))
    if reason := _unseen_range(kind, name, _chain(record).step):
        return reason
    if not isinstance(record.node, Parts):
        return None
    underflows = kind.least < kind.out.least
    if name == "zero keeps its sign" and not underflows:
        return "every half starts from +0, and no sum of products is small enough to be rounded to zero"
    if name == "sums flushed" and kind.least >= kind.out.emin:
        return "no sum of products is subnormal"
    return _unseen_operands({kind.a.name, kind.b.name}, name)


def _unseen_range(kind: Kind, name: str, step: Fuse) -> str | None:
    """Floors below, and limits above, all that the operands reach."""
    assert step.floor is not None
    assert step.fraction_bits is not None
    if name.startswith(("floor", "no floor")) and kind.least >= step.floor + 2 - step.fraction_bits:
        return (
            "products are no finer than the quantum at the floor, and C, unless zero, lies above it"
        )
    if name == "sums stop at the largest" and kind.a.name not in ("bf16", "tf32"):
        return "products this small are cut away before a sum with C could pass the largest number"
    return None


def _unseen_operands(operands: set[str], name: str) -> str | None:
    """Where it makes no difference that the operands of emulated instructions are unpacked to binary16."""
    if name == "operands renormalised" and operands == {"e4m3", "e5m2"}:
        return "a subnormal E5M2 factor means a quantum of at most 2^-31; the smallest product is 2^-25"
    if name == "operands renormalised" and operands == {"e4m3"}:
        return "binary16 holds every E4M3 number with a hidden bit already"
    if name == "operands as they are" and operands == {"e4m3"}:
        return "a subnormal E4M3 factor means a quantum of at most 2^-23; the smallest product is 2^-18"
    if name == "operands as they are" and operands == {"e5m2"}:
        return "E5M2 and binary16 have the same exponents"
    return None
