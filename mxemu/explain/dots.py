"""One dot product under an accumulation: every sum of it, what each term lost, and what others make of it.

Imported on its own: most explanations need no accumulation, and start faster without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from mxemu import walk
from mxemu.accumulation import (
    EXACT,
    Accumulation,
    Fuse,
    Parts,
    Round,
    ScaleAt,
)
from mxemu.accumulations import find as find_accumulation
from mxemu.errors import BadShape
from mxemu.explain.conversion import Point, point
from mxemu.explain.sentences import GRADES, describe, round_text, rounds_text, specials
from mxemu.formats import BINARY32, BlockFormat, ElementFormat, FloatFormat
from mxemu.formats import carrier as find_carrier
from mxemu.products import (
    Added,
    Cut,
    Operand,
    Product,
    Rounded,
    block_size,
    dot,
    find_operand_format,
)
from mxemu.value import ZERO, Value

__all__ = [
    "GRADES",
    "NOTHING",
    "DotExplanation",
    "DotOutcome",
    "Pair",
    "Planned",
    "SumStep",
    "TermLine",
    "describe",
    "distance",
    "explain_dot",
    "round_text",
    "rounds_text",
    "specials",
    "sums_of",
    "to_mapping",
]


NOTHING = "+0"
"""The name of what a chain without C starts from."""


class Planned(NamedTuple):
    """A sum before there are numbers: its `Fuse`, and the names of what it adds."""

    step: Fuse
    terms: tuple[str, ...]
    carried: str


class TermLine(NamedTuple):
    """A term of a sum, by name: ``p0`` is a product, ``s1`` the result of an earlier sum, ``C`` is C.

    Attributes
    ----------
    name : str
    cut : Cut
    quantum : int or None
        The term was cut to a multiple of 2^quantum; None where nothing is cut.
    """

    name: str
    cut: Cut
    quantum: int | None


class SumStep(NamedTuple):
    """One sum, with its numbers.

    Attributes
    ----------
    number : int
        From 1; the result is called ``s`` and this.
    step : Fuse
    terms : tuple of TermLine
    carried : TermLine or None
    exponent : int or None
        What the terms were aligned to.
    quantum : int or None
    total, result : Value
        The exact sum of what was kept, and that after rounding.
    """

    number: int
    step: Fuse
    terms: tuple[TermLine, ...]
    carried: TermLine | None
    exponent: int | None
    quantum: int | None
    total: Value
    result: Value

    @property
    def lines(self) -> tuple[TermLine, ...]:
        """The terms, and what is carried in."""
        return self.terms if self.carried is None else (*self.terms, self.carried)

    @property
    def cut_off(self) -> Fraction | None:
        """What alignment took from the sum; None for Inf and NaN."""
        if not self.total.is_finite:
            return None
        return sum((one.cut.lost.fraction() for one in self.lines), Fraction(0))

    @property
    def rounded_off(self) -> Fraction | None:
        """What rounding the sum took from it; None for Inf and NaN."""
        if not (self.total.is_finite and self.result.is_finite):
            return None
        return self.total.fraction() - self.result.fraction()

    @property
    def only_zeros(self) -> bool:
        """Whether nothing is added to what is carried in."""
        return all(one.cut.value.is_zero for one in self.terms)


class Pair(NamedTuple):
    """Two elements and their product.

    Attributes
    ----------
    name : str
        ``p0``, ``p1``, ...
    a, b : Point
    a_scale, b_scale : Point or None
    exact : Value or None
        Of elements and, if they enter here, scales; None if one of them is Inf or NaN.
    value : Value
        As the first sum takes it: after conversions and roundings of operand and product.
    exponent : int or None
        That alignment takes it to have; None for zero.
    """

    name: str
    a: Point
    b: Point
    a_scale: Point | None
    b_scale: Point | None
    exact: Value | None
    value: Value
    exponent: int | None


class DotOutcome(NamedTuple):
    """The result of one accumulation.

    Attributes
    ----------
    accumulation : Accumulation
    product : Product or None
        None if the accumulation refuses the operands.
    distance : int or None
        How many values of the output format above the exact result, below if negative; None for NaN and Inf.
    reason : str
        Of a refusal.
    """

    accumulation: Accumulation
    product: Product | None
    distance: int | None
    reason: str = ""


class DotExplanation(NamedTuple):
    """How a dot product comes about.

    Attributes
    ----------
    a, b : Operand
        Their formats looked up.
    k : int
        Block size; all of K without blocks.
    c : Value or None
    accumulation : Accumulation
    out : FloatFormat
    pairs : tuple of Pair
    steps : tuple of SumStep
    roundings : tuple of Rounded
        Those outside of sums that changed something, in order.
    product : Product
    exact : Product
        The same under ``EXACT``.
    distance : int or None
        As of `DotOutcome`.
    others : tuple of DotOutcome
    """

    a: Operand
    b: Operand
    k: int
    c: Value | None
    accumulation: Accumulation
    out: FloatFormat
    pairs: tuple[Pair, ...]
    steps: tuple[SumStep, ...]
    roundings: tuple[Rounded, ...]
    product: Product
    exact: Product
    distance: int | None
    others: tuple[DotOutcome, ...]


def explain_dot(
    a: Operand,
    b: Operand,
    c: Value | None = None,
    accumulation: Accumulation | str = EXACT,
    out: FloatFormat | str = BINARY32,
    compare: Sequence[Accumulation | str] = (),
) -> DotExplanation:
    """How a dot product comes about, sum by sum.

    Parameters
    ----------
    a, b, c, accumulation, out
        As for `mxemu.products.dot`; K is at least 1.
    compare : sequence of Accumulation or str
        Others to compute the same with.

    Returns
    -------
    DotExplanation

    Raises
    ------
    BadShape, BadCode, UnknownName

    Examples
    --------
    >>> a, b = Operand([0x38, 0x7E], "E4M3"), Operand([0x30, 0xFE], "E4M3")  # 1 * 0.5 + 448 * -448
    >>> found = explain_dot(a, b, accumulation="nv-hopper-fp8-wgmma")
    >>> [str(one.cut.lost) for one in found.steps[0].terms], str(found.product.value), found.distance
    (['0.5', '0'], '-200704', -32)
    """
    record, out = find_accumulation(accumulation), find_carrier(out)
    a, b = _named(a), _named(b)
    size = block_size(a, b)
    if not a.codes:
        raise BadShape("no elements; expected at least one pair")
    product = dot(a, b, c, record, out, trace=True)
    exact = dot(a, b, c, EXACT, out)
    added = [one for one in product.trace if isinstance(one, Added)]
    steps = tuple(_steps(sums_of(record, len(a.codes), size, tensor=_tensor(a, b)), added))
    return DotExplanation(
        a=a,
        b=b,
        k=size,
        c=c,
        accumulation=record,
        out=out,
        pairs=tuple(_pairs(a, b, record, steps)),
        steps=steps,
        roundings=tuple(one for one in product.trace if isinstance(one, Rounded)),
        product=product,
        exact=exact,
        distance=distance(product.bits, exact.bits, out),
        others=tuple(_outcome(a, b, c, find_accumulation(one), out, exact) for one in compare),
    )


def _named(operand: Operand) -> Operand:
    """An operand with its format looked up."""
    fmt = operand.format
    fmt = find_operand_format(fmt) if isinstance(fmt, str) else fmt
    return operand._replace(format=fmt, codes=tuple(operand.codes), scales=tuple(operand.scales))


def _tensor(a: Operand, b: Operand) -> bool:
    return a.tensor_scale is not None or b.tensor_scale is not None


def _outcome(
    a: Operand,
    b: Operand,
    c: Value | None,
    record: Accumulation,
    out: FloatFormat,
    exact: Product,
) -> DotOutcome:
    """What another accumulation makes of the same operands."""
    try:
        product = dot(a, b, c, record, out)
    except BadShape as error:
        return DotOutcome(record, None, None, str(error))
    return DotOutcome(record, product, distance(product.bits, exact.bits, out))


def distance(bits: int, other: int, fmt: FloatFormat) -> int | None:
    """How many values of a format one is above another, both zeros counted as one; None for Inf and NaN.

    Examples
    --------
    >>> distance(0x3F800002, 0x3F800000, BINARY32), distance(0x80000001, 0x00000001, BINARY32)
    (2, -2)
    """
    places = []
    for one in (bits, other):
        magnitude = one & fmt.magnitude_mask
        if magnitude > fmt.max_code:
            return None
        places.append(-magnitude if one & fmt.sign_mask else magnitude)
    return places[0] - places[1]


def _steps(plan: Sequence[Planned], added: Sequence[Added]) -> Iterator[SumStep]:
    """The sums of the trace, with the names of what they add."""
    for number, (planned, one) in enumerate(zip(plan, added, strict=True), 1):
        step = planned.step
        names = zip(planned.terms, one.terms, strict=True)
        carried = None
        if one.carried is not None:
            quantum = one.quantum
            if step.carried_bits is not None and one.exponent is not None:
                quantum = one.exponent - step.carried_bits
            carried = TermLine(planned.carried, one.carried, quantum)
        terms = tuple(TermLine(name, cut, one.quantum) for name, cut in names)
        yield SumStep(
            number, step, terms, carried, one.exponent, one.quantum, one.total, one.result
        )


def _pairs(
    a: Operand, b: Operand, record: Accumulation, steps: Sequence[SumStep]
) -> Iterator[Pair]:
    """Every product, with what the sum that takes it first made of it."""
    taken: dict[str, Cut] = {}
    for step in steps:
        for line in step.terms:
            taken.setdefault(line.name, line.cut)
    for index, (left, right) in enumerate(zip(_points(a), _points(b), strict=True)):
        name = f"p{index}"
        (x, x_scale), (y, y_scale) = left, right
        own = [x, y]
        if record.scale_at is not ScaleAt.PART:
            own += [one for one in (x_scale, y_scale) if one is not None]
        cut = taken[name]
        exact = _product([one.value for one in own])
        yield Pair(name, x, y, x_scale, y_scale, exact, cut.value, cut.exponent)


def _points(operand: Operand) -> Iterator[tuple[Point, Point | None]]:
    """Elements and the scales of their blocks."""
    fmt = operand.format
    assert not isinstance(fmt, str)
    element: ElementFormat = fmt.element if isinstance(fmt, BlockFormat) else fmt
    for index, code in enumerate(operand.codes):
        scale = None
        if isinstance(fmt, BlockFormat):
            scale = point(operand.scales[index // fmt.k], fmt.scale)
        yield point(code, element), scale


def _product(values: Sequence[Value]) -> Value | None:
    """The exact product of finite values."""
    result = Value(0, 1, 0)
    for one in values:
        if not one.is_finite:
            return None
        exponent = result.exponent + one.exponent
        result = Value(result.sign ^ one.sign, result.significand * one.significand, exponent)
    return result if result.significand else ZERO._replace(sign=result.sign)


def sums_of(
    accumulation: Accumulation | str, length: int, k: int = 0, *, tensor: bool = False
) -> tuple[Planned, ...]:
    """Every sum of a dot product in order, by the names of what it adds.

    Parameters
    ----------
    accumulation : Accumulation or str
    length : int
        K, the number of products.
    k : int
        Block size; 0 for all of K.
    tensor : bool
        Whether there are scales of whole tensors.

    Examples
    --------
    >>> [(one.terms, one.carried) for one in sums_of("nv-volta", 8)]
    [(('p0', 'p1', 'p2', 'p3'), 'C'), (('p4', 'p5', 'p6', 'p7'), 's1')]
    """
    record = find_accumulation(accumulation)
    order = _Order(k or length)
    names = [f"p{index}" for index in range(length)]
    total = walk.reduce(record.node, names, None if tensor else "C", order)
    if tensor and record.tensor_scale is None:
        order.add(Fuse(), [f"{total} * tensor scales"], "C")
    return tuple(order.sums)


class _Order:
    """Notes every sum of a walk, on names."""

    nothing = NOTHING

    def __init__(self, k: int) -> None:
        self.k = k
        self.sums: list[Planned] = []

    def add(self, step: Fuse, terms: list[str], carried: str | None) -> str:
        self.sums.append(Planned(step, tuple(terms), carried or ""))
        return f"s{len(self.sums)}"

    def round_term(self, _rounding: Round, term: str) -> str:
        return term

    def scale_sum(self, _node: Parts, total: str, _run: list[str]) -> str:
        return f"{total} * scales"


def to_mapping(found: DotExplanation) -> dict[str, Any]:
    """An explanation in plain texts and numbers; every value is exact, as `mxemu.value.parse` reads it."""
    return {
        "accumulation": found.accumulation.name,
        "describes": describe(found.accumulation),
        "grade": found.accumulation.grade.value,
        "formats": [str(found.a.format), str(found.b.format)],
        "c": None if found.c is None else str(found.c),
        "out": found.out.name,
        "products": [_pair_mapping(one) for one in found.pairs],
        "steps": [_step_mapping(one) for one in found.steps],
        "roundings": [
            {"what": one.what, "value": str(one.value), "result": str(one.result)}
            for one in found.roundings
        ],
        "result": _product_mapping(found.product, found.out, found.distance),
        "exact": _product_mapping(found.exact, found.out, 0),
        "compare": [
            {"accumulation": one.accumulation.name, "refused": one.reason}
            if one.product is None
            else {
                "accumulation": one.accumulation.name,
                **_product_mapping(one.product, found.out, one.distance),
            }
            for one in found.others
        ],
    }


def _pair_mapping(one: Pair) -> Mapping[str, Any]:
    points = {"a": one.a, "b": one.b, "a_scale": one.a_scale, "b_scale": one.b_scale}
    return {
        "name": one.name,
        **{
            key: {"code": given.code, "value": str(given.value)}
            for key, given in points.items()
            if given is not None
        },
        "exact": None if one.exact is None else str(one.exact),
        "value": str(one.value),
        "exponent": one.exponent,
    }


def _step_mapping(one: SumStep) -> Mapping[str, Any]:
    return {
        "name": f"s{one.number}",
        "terms": [_line_mapping(line) for line in one.terms],
        "carried": None if one.carried is None else _line_mapping(one.carried),
        "exponent": one.exponent,
        "quantum": one.quantum,
        "sum": str(one.total),
        "roundings": [str(rounding) for rounding in one.step.out],
        "result": str(one.result),
    }


def _line_mapping(line: TermLine) -> Mapping[str, Any]:
    return {
        "name": line.name,
        "value": str(line.cut.value),
        "exponent": line.cut.exponent,
        "kept": str(line.cut.kept),
        "lost": str(line.cut.lost),
    }


def _product_mapping(product: Product, fmt: FloatFormat, ulps: int | None) -> Mapping[str, Any]:
    return {
        "value": str(product.value),
        "bits": f"0x{product.bits:0{fmt.width // 4}X}",
        "status": list(product.status.names()),
        "ulps_from_exact": ulps,
    }
