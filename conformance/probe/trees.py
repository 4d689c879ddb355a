"""Which terms meet in which sum: trees of terms, from an accumulation and back to the records that say the same.

A tree is the number of a term, -1 for C, or a tuple of trees that meet in one sum, in which order means nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from conformance.probe.space import C
from mxemu.accumulation import (
    Chain,
    Fuse,
    Lanes,
    Late,
    Nested,
    Node,
    Parts,
    Sum,
    Tree,
    nodes,
)

Branch = int | tuple[Any, ...]
Path = tuple[str, ...]
"""The fields that lead from a node to a step in it, such as ("inner", "step")."""


class Add(NamedTuple):
    """One sum of an accumulation for K terms.

    Attributes
    ----------
    path : Path
        Of its step.
    inputs : tuple of frozenset of int
        The terms below each thing that is added.
    carried : frozenset of int or None
        The terms below what is carried in.
    """

    path: Path
    inputs: tuple[frozenset[int], ...]
    carried: frozenset[int] | None

    @property
    def children(self) -> tuple[frozenset[int], ...]:
        """Everything that is added and holds a term."""
        every = self.inputs if self.carried is None else (*self.inputs, self.carried)
        return tuple(one for one in every if one)

    @property
    def below(self) -> frozenset[int]:
        """All terms below."""
        return frozenset().union(*self.children)


def sums(node: Node, length: int, k: int, *, c: bool = True) -> list[Add]:
    """Every sum of a node for ``length`` terms in blocks of k, in the order in which they are made."""
    found: list[Add] = []
    start = [frozenset([index]) for index in range(length)]
    _reduce(found, node, (), start, frozenset([C] if c else []), k)
    return found


def _reduce(
    found: list[Add],
    node: Node,
    path: Path,
    terms: Sequence[frozenset[int]],
    carried: frozenset[int] | None,
    k: int,
) -> frozenset[int]:
    """The terms below the result of a node; its sums are noted."""

    def add(own: Sequence[frozenset[int]], last: frozenset[int] | None) -> frozenset[int]:
        found.append(Add((*path, "step"), tuple(own), last))
        return found[-1].below

    match node:
        case Sum():
            return add(terms, carried)
        case Chain():
            for group in node.groups(len(terms)):
                carried = add([terms[index] for index in group], carried)
            return carried or frozenset()
        case Tree():
            total = _halves(add, node, terms)
            return total if carried is None else add([total], carried)
        case Nested():
            total = _branch(add, node.tree, terms, carried)
            return total if node.holds_c or carried is None else add([total], carried)
        case Parts():
            size = node.length or k
            runs = [terms[at : at + size] for at in range(0, len(terms), size)]
        case Lanes():
            runs = [terms[lane :: node.count] for lane in range(min(node.count, len(terms)))]
        case Late():
            total = _reduce(found, node.inner, (*path, "inner"), terms, None, k)
            return total if carried is None else add([total], carried)
    totals = [_reduce(found, node.inner, (*path, "inner"), run, None, k) for run in runs]
    return _reduce(found, node.outer, (*path, "outer"), totals, carried, k)


def _halves(add: Any, node: Tree, terms: Sequence[frozenset[int]]) -> frozenset[int]:
    if len(terms) <= node.leaf:
        total: frozenset[int] | None = None
        for term in terms:
            total = add([term], total)
        return total or frozenset()
    middle = node.middle(len(terms))
    return add([_halves(add, node, terms[:middle]), _halves(add, node, terms[middle:])], None)


def _branch(
    add: Any, tree: Branch, terms: Sequence[frozenset[int]], carried: frozenset[int] | None
) -> frozenset[int]:
    if isinstance(tree, int):
        return terms[tree]
    own = [_branch(add, one, terms, carried) for one in tree if one != C]
    return add(own, (carried or frozenset()) if C in tree else None)


def leaves(tree: Branch) -> Iterator[int]:
    """The terms of a tree."""
    if isinstance(tree, int):
        yield tree
        return
    for branch in tree:
        yield from leaves(branch)


def ordered(tree: Branch) -> Branch:
    """The same tree with its branches in order of their first term, and no sum of one thing."""
    return _ordered(tree)[1]


def _ordered(tree: Branch) -> tuple[int, Branch]:
    """The first term of a tree, and the tree in order."""
    if isinstance(tree, int):
        return tree, tree
    pairs = sorted(map(_ordered, tree), key=lambda pair: pair[0])
    return pairs[0][0], pairs[0][1] if len(pairs) == 1 else tuple(branch for _, branch in pairs)


def tree_of(node: Node, length: int, k: int, *, c: bool = True) -> Branch:
    """The tree of a node for ``length`` terms."""
    made: dict[frozenset[int], Branch] = {}
    last: frozenset[int] = frozenset()
    for one in sums(node, length, k, c=c):
        last = one.below
        children = [child for child in one.children if child]
        made[last] = tuple(made.get(child, min(child)) for child in children)
    return ordered(made[last])


def foldings(tree: Branch, length: int, k: int, *, c: bool = True) -> list[Node]:
    """Nodes that have this tree for ``length`` terms, simplest first; their steps are still exact.

    Parameters
    ----------
    tree : Branch
        Of the terms 0 to length - 1, and of C if ``c``.
    length, k : int
    c : bool
        Whether C is one of the leaves.
    """
    tree = ordered(tree)
    found = _chains(tree, length, c)
    if not found:
        found = [*_trees(tree, length, c), *_late(tree, length, k, c)]
        found += _groups(tree, length, k, c)
    # A tree in runs is simpler than runs of runs.
    found.sort(key=lambda node: sum(1 for _ in nodes(node)))
    return found or [Nested(Fuse(), _nested(tree, c))]


def _nested(tree: Branch, c: bool) -> tuple[Any, ...]:
    if not isinstance(tree, tuple):
        return (tree,)
    # C is added last anyway, and a tree without it is good for a call without C as well.
    if c and len(tree) == 2 and C in tree:
        rest = next(branch for branch in tree if branch != C)
        return rest if isinstance(rest, tuple) else (rest,)
    return tree


def _chains(tree: Branch, length: int, c: bool) -> list[Node]:
    """The chain or the single sum that a tree is, if any."""
    groups: list[list[int]] = []
    branch = tree
    while isinstance(branch, tuple):
        inside = [one for one in branch if isinstance(one, tuple)]
        groups.append([one for one in branch if isinstance(one, int)])
        if len(inside) > 1:
            return []
        branch = inside[0] if inside else -2
    if length == 1:
        return [Chain(Fuse())]
    if not groups or c is not (C in groups[-1]):
        return []
    groups = [sorted(one for one in group if one != C) for group in groups[::-1]]
    if not c and len(groups) > 1 and [len(group) for group in groups[:2]] == [2, 1]:
        groups[:1] = [groups[0][:1], groups[0][1:]]
    if len(groups) == 1:
        return [Sum(), *([Chain(Fuse())] if length == 2 and not c else [])]
    return _chain(groups, length)


def _chain(groups: list[list[int]], length: int) -> list[Node]:
    size = len(groups[0])
    if {len(group) for group in groups[:-1]} != {size} or not 0 < len(groups[-1]) <= size:
        return []
    order = [index for group in groups for index in group]
    if order == list(range(length)):
        return [Chain(Fuse(), size)]
    for window in range(size, length + 1, size):
        if all(order[at] == order[at % window] + at // window * window for at in range(length)):
            first = tuple(order[:window])
            if sorted(first) == list(range(window)):
                return [Chain(Fuse(), size, first)]
    return []


def _late(tree: Branch, length: int, k: int, c: bool) -> list[Node]:
    """C added last to a tree of its own."""
    if not c or not isinstance(tree, tuple) or len(tree) != 2 or C not in tree:
        return []
    rest = next(branch for branch in tree if branch != C)
    if isinstance(rest, int):
        return []
    return [Late(inner, Fuse()) for inner in foldings(rest, length, k, c=False)]


def _trees(tree: Branch, length: int, c: bool) -> list[Node]:
    """Balanced trees."""
    sizes = [size for size in range(1, length // 2 + 1) if size in (1, 2, 3) or size % 4 == 0]
    nodes = (Tree(Fuse(), leaf) for leaf in sizes)
    same = [node for node in nodes if tree_of(node, length, length, c=c) == tree]
    return list(same[:1])


def _groups(tree: Branch, length: int, k: int, c: bool) -> list[Node]:
    """Runs or lanes of terms that are reduced by themselves first."""
    found: list[Node] = []
    known = branches(tree)
    for size in _sizes(length, k):
        runs = [list(range(at, min(at + size, length))) for at in range(0, length, size)]
        lengths = [0, size] if size == k and k < length else [size]
        for inner, outer in _reduced(tree, known, runs, k, c):
            found += [Parts(own, inner, outer) for own in lengths]
    for count in range(2, length // 2 + 1):
        lanes = [list(range(lane, length, count)) for lane in range(count)]
        found += [Lanes(count, *pair) for pair in _reduced(tree, known, lanes, k, c)]
    return found


def _sizes(length: int, k: int) -> list[int]:
    """Lengths of runs, those that are more likely first."""
    every = range(2, length)
    return sorted(
        every, key=lambda size: (size != k, size & (size - 1) != 0, length % size != 0, size)
    )


def _reduced(
    tree: Branch,
    found: dict[frozenset[int], Branch],
    runs: list[list[int]],
    k: int,
    c: bool,
) -> Iterator[tuple[Node, Node]]:
    """Inner and outer nodes if every run is a branch of its own with the same tree."""
    if len(runs) < 2 or len(runs[-1]) == 1 < len(runs[0]):
        return
    own = [found.get(frozenset(run)) for run in runs]
    if any(branch is None for branch in own):
        return
    inside = [_renumbered(branch, run) for branch, run in zip(own, runs, strict=True)]
    if any(one != inside[0] for one in inside[:-1]) or (
        len(runs[-1]) == len(runs[0]) and inside[-1] != inside[0]
    ):
        return
    outside = ordered(_without(tree, {frozenset(run): at for at, run in enumerate(runs)}))
    inners = foldings(inside[0], len(runs[0]), k, c=False)
    outers = [Sum()] if not c and len(runs) == 1 else foldings(outside, len(runs), len(runs), c=c)
    for inner in inners[:2]:
        for outer in outers[:2]:
            yield inner, outer


def branches(tree: Branch) -> dict[frozenset[int], Branch]:
    """The branches of a tree by their terms."""
    found: dict[frozenset[int], Branch] = {}

    def note(branch: Branch) -> frozenset[int]:
        below = (
            frozenset([branch])
            if isinstance(branch, int)
            else frozenset().union(*map(note, branch))
        )
        found[below] = branch
        return below

    note(tree)
    return found


def _renumbered(tree: Any, run: list[int]) -> Branch:
    """A branch with the terms of its run numbered from 0."""
    places = {term: at for at, term in enumerate(run)}

    def renumber(branch: Branch) -> Branch:
        return places[branch] if isinstance(branch, int) else tuple(map(renumber, branch))

    return ordered(renumber(tree))


def _without(tree: Branch, runs: dict[frozenset[int], int]) -> Branch:
    """A tree whose runs are single terms."""
    own = frozenset(leaves(tree))
    if own in runs:
        return runs[own]
    if isinstance(tree, int):
        return tree
    return tuple(_without(branch, runs) for branch in tree)


def steps_of(node: Node) -> dict[Path, Fuse]:
    """The steps of a node by their paths."""
    if isinstance(node, (Parts, Lanes)):
        inner, outer = steps_of(node.inner), steps_of(node.outer)
        return {("inner", *path): step for path, step in inner.items()} | {
            ("outer", *path): step for path, step in outer.items()
        }
    found: dict[Path, Fuse] = {("step",): node.step}
    if isinstance(node, Late):
        found |= {("inner", *path): step for path, step in steps_of(node.inner).items()}
    return found


def changed(node: Any, path: Path, value: Any) -> Any:
    """A node with one thing in it replaced."""
    name, *rest = path
    own = changed(getattr(node, name), tuple(rest), value) if rest else value
    return replace(node, **{name: own})
