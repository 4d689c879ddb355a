"""What an implementation of a dot product may choose."""

from __future__ import annotations

from dataclasses import dataclass, field

from mxemu.accumulation import (
    Accumulation,
    Fuse,
    Node,
    Parts,
    ProductExponent,
    Round,
    ScaleAt,
    nodes,
)
from mxemu.accumulations import find as find_accumulation
from mxemu.errors import BadFormat
from mxemu.formats import BINARY32, FloatFormat
from mxemu.profile import Rounding


@dataclass(frozen=True)
class Freedom:
    """What an implementation may choose.

    Parameters
    ----------
    name : str
    steps : tuple of Fuse
        Every node of the tree is one of these, with any number of inputs.
    terms : tuple of Round
        Each product may be rounded by these before it is added.
    node : node, optional
        The tree, where only it is free which term goes where; any tree if None.
    record : Accumulation, optional
        Where the freedom is that of one accumulation with its terms in any order.
    runs : Freedom, optional
        Where scales multiply the sums of runs: that of the terms of a run; all else here is that of the scaled sums.
    """

    name: str
    steps: tuple[Fuse, ...]
    terms: tuple[Round, ...] = ()
    node: Node | None = None
    record: Accumulation | None = field(default=None, compare=False)
    runs: Freedom | None = None

    def __post_init__(self) -> None:
        if not self.steps:
            raise BadFormat("a freedom without steps; expected at least one Fuse")
        if self.runs is not None and any(step.cuts for step in self.steps):
            raise BadFormat(
                f"{self.name} aligns and cuts the scaled sums of runs, of which only ends are known; "
                "no bound is known for that"
            )
        widths = [
            (one.format.mantissa_bits, one.format.exponent_bits)
            for one in (*self.rounds, *self.terms)
        ]
        if any(
            one[1] > two[1] for one, two in zip(sorted(widths), sorted(widths)[1:], strict=False)
        ):
            raise BadFormat(
                f"{self.name}: of two formats one is wider and the other reaches farther"
            )

    @property
    def parts(self) -> Parts:
        """The node whose runs are scaled."""
        assert self.record is not None
        assert isinstance(self.record.node, Parts)
        return self.record.node

    @property
    def by_scale(self) -> bool:
        """Whether products are aligned by the exponents of their scales alone."""
        record = self.record
        return record is not None and record.product_exponent is ProductExponent.SCALE

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The different roundings of sums."""
        return tuple(dict.fromkeys(one for step in self.steps for one in step.out))

    @property
    def cuts_once(self) -> bool:
        """Whether cutting a number twice, or rounding in between, loses no more than the coarser cut does."""
        rounds = (*self.rounds, *self.terms)
        return all(one.rounding is Rounding.TOWARD_ZERO for one in rounds) and all(
            step.align is Rounding.TOWARD_ZERO
            and step.carried_bits is None
            and step.carried_reach is None
            for step in self.steps
            if step.cuts
        )

    @property
    def unit(self) -> int:
        """t, where u is 2^-t."""
        rounds = (*self.rounds, *self.terms)
        return min((_unit(one) for one in rounds), default=0)

    @property
    def accumulator(self) -> FloatFormat | None:
        """The one format of all sums; None if there are several, or sums are exact."""
        formats = {one.format.name: one.format for one in self.rounds}
        exact = any(not step.out for step in self.steps)
        return next(iter(formats.values())) if len(formats) == 1 and not exact else None

    def __str__(self) -> str:
        return self.name


def _unit(one: Round) -> int:
    ties = one.rounding in (Rounding.TIES_TO_EVEN, Rounding.TIES_TO_AWAY)
    return one.format.mantissa_bits + int(ties)


def any_order(
    accumulator: FloatFormat | str = BINARY32, rounding: Rounding = Rounding.TIES_TO_EVEN
) -> Freedom:
    """Any tree of additions, fused with the products or not, every sum rounded to one format.

    Parameters
    ----------
    accumulator : FloatFormat or str
        A carrier, or ``ExMy``.
    rounding : Rounding or str
        TO_ODD stands for any direction at each rounding: it has the same bound as all of them together.

    Examples
    --------
    >>> any_order("binary32").name
    'any order of additions in binary32'
    """
    one = Round(accumulator, rounding)  # type: ignore[arg-type]  # it takes names, too
    return Freedom(f"any order of additions in {one}", (Fuse((one,)),), (one,))


def truncating(
    fraction_bits: int,
    accumulator: FloatFormat | str = BINARY32,
    floor: int | None = None,
    group: int = 1,
) -> Freedom:
    """Groups of ``group`` terms in any order, aligned to the largest exponent and cut to ``fraction_bits`` bits.

    Sums are rounded towards zero to the accumulator's format.
    """
    from mxemu.accumulation import Chain

    one = Round(accumulator, Rounding.TOWARD_ZERO)  # type: ignore[arg-type]  # it takes names, too
    step = Fuse((one,), fraction_bits, floor=floor)
    name = f"groups of {group} terms in any order, cut to {fraction_bits} fraction bits, {one}"
    return Freedom(name, (step,), node=Chain(step, group) if group > 1 else None)


def permuted(accumulation: Accumulation | str) -> Freedom:
    """The arithmetic of an accumulation, with its terms in any order.

    Where scales multiply the sum of a run, its terms are in any order, and so are the runs.

    Raises
    ------
    BadFormat
        When scales multiply sums below the root of the tree, or scaled sums are cut: no bound is known for that.
    """
    record = find_accumulation(accumulation)
    name = f"{record.name}, its terms in any order"
    if record.scale_at is not ScaleAt.PART:
        steps, terms = _arithmetic(record.node)
        rounds = (*_once([record.products]), *terms)
        return Freedom(name, steps, tuple(dict.fromkeys(rounds)), record.node, record)
    root = record.node
    if not isinstance(root, Parts) or root.scale is None:
        raise BadFormat(
            f"{record.name} scales sums below the root of its tree; no bound is known for that"
        )
    steps, terms = _arithmetic(root.inner)
    rounds = tuple(dict.fromkeys((*_once([record.products]), *terms)))
    runs = Freedom(f"the runs of {record.name}", steps, rounds, root.inner)
    return Freedom(name, *_arithmetic(root.outer), root.outer, record, runs)


def _arithmetic(node: Node) -> tuple[tuple[Fuse, ...], tuple[Round, ...]]:
    """The different sums of a tree, and the roundings of its terms."""
    inside = list(nodes(node))
    steps = dict.fromkeys(one.step for one in inside if hasattr(one, "step"))
    return tuple(steps), _once([getattr(one, "terms", None) for one in inside])


def _once(rounds: list[Round | None]) -> tuple[Round, ...]:
    return tuple(dict.fromkeys(one for one in rounds if one is not None))
