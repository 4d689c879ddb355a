"""Which terms meet in which sum: one walk through the tree of an accumulation, for everybody who follows it.

What a term is, a unit says: a number (`mxemu.products`), the place where one will be (`mxemu.array`), a name for it
(`mxemu.explain`).
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from mxemu.accumulation import Chain, Fuse, Lanes, Late, Nested, Node, Parts, Round, Sum, Tree
from mxemu.errors import BadShape

Term = TypeVar("Term")


class Unit(Protocol[Term]):
    """What can be done with terms."""

    @property
    def k(self) -> int:
        """Block size: the length of `Parts` that do not say theirs."""

    @property
    def nothing(self) -> Term:
        """+0, from which a `Chain` without C starts."""

    def add(self, step: Fuse, terms: list[Term], carried: Term | None) -> Term:
        """Terms and what is carried in, through one `Fuse`."""

    def round_term(self, rounding: Round, term: Term) -> Term:
        """A term that is rounded before it is added."""

    def scale_sum(self, node: Parts, total: Term, run: list[Term]) -> Term:
        """The sum of a run times the scales of its terms."""


def reduce(node: Node, terms: list[Term], carried: Term | None, unit: Unit[Term]) -> Term:
    """The sum of some terms, and of what is carried in, as a node of the tree has it.

    Raises
    ------
    BadShape
        When a `Nested` is for another number of terms.
    """
    match node:
        case Sum():
            return unit.add(node.step, terms, carried)
        case Chain():
            terms = _rounded(node.terms, terms, unit)
            return _chain(node, terms, unit.nothing if carried is None else carried, unit)
        case Tree():
            terms = _rounded(node.terms, terms, unit)
            return _join(node.step, _halves(node, terms, unit), carried, unit)
        case Nested():
            return _nested(node, _rounded(node.terms, terms, unit), carried, unit)
        case Parts():
            return reduce(node.outer, _parts(node, terms, unit), carried, unit)
        case Lanes():
            lanes = [terms[lane :: node.count] for lane in range(min(node.count, len(terms)))]
            sums = [reduce(node.inner, lane, None, unit) for lane in lanes]
            return reduce(node.outer, sums, carried, unit)
        case Late():
            return _join(node.step, reduce(node.inner, terms, None, unit), carried, unit)


def _rounded(rounding: Round | None, terms: list[Term], unit: Unit[Term]) -> list[Term]:
    """The terms, each rounded first if the node says so."""
    return terms if rounding is None else [unit.round_term(rounding, term) for term in terms]


def _join(step: Fuse, total: Term, carried: Term | None, unit: Unit[Term]) -> Term:
    """A sum and what is added to it last."""
    return total if carried is None else unit.add(step, [total], carried)


def _chain(node: Chain, terms: list[Term], carried: Term | None, unit: Unit[Term]) -> Term:
    """Group after group."""
    for group in node.groups(len(terms)):
        carried = unit.add(node.step, [terms[index] for index in group], carried)
    return unit.nothing if carried is None else carried


def _halves(node: Tree, terms: list[Term], unit: Unit[Term]) -> Term:
    """The sum of a tree, without C."""
    if len(terms) <= node.leaf:
        return _chain(Chain(node.step), terms, None, unit)
    middle = node.middle(len(terms))
    halves = [_halves(node, terms[:middle], unit), _halves(node, terms[middle:], unit)]
    return unit.add(node.step, halves, None)


def _nested(node: Nested, terms: list[Term], carried: Term | None, unit: Unit[Term]) -> Term:
    """A tree that is written out."""
    if len(terms) != node.count:
        raise BadShape(f"{len(terms)} terms; the accumulation's tree is for {node.count}")

    def branch(tree: Any) -> Term:
        if isinstance(tree, int):
            return terms[tree]
        own = [branch(one) for one in tree if one != -1]
        return unit.add(node.step, own, carried if -1 in tree else None)

    total = branch(node.tree)
    return total if node.holds_c else _join(node.step, total, carried, unit)


def _parts(node: Parts, terms: list[Term], unit: Unit[Term]) -> list[Term]:
    """The result of each run, times its scales if they enter here."""
    length = node.length or unit.k
    runs = [terms[start : start + length] for start in range(0, len(terms), length)]
    sums = [reduce(node.inner, run, None, unit) for run in runs]
    if node.scale is None:
        return sums
    return [unit.scale_sum(node, *pair) for pair in zip(sums, runs, strict=True)]
