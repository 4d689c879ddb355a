"""How a dot product is added up: every choice of it as data, and named sets of choices.

MX 6.1 and 6.2 leave order and precision open. Whatever a unit does can be said with one operation: take some exact
terms, cut each to a multiple of one quantum, add them exactly, round (`Fuse`). A small tree of nodes says which terms
meet in which sum. ``EXACT`` is the default, and no preset is "the MX specification".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

from mxemu.clauses import implements
from mxemu.errors import BadFormat, unknown
from mxemu.formats import BINARY64, CARRIERS, FloatFormat, element, ieee
from mxemu.profile import Rounding


class Grade(Enum):
    """What the agreement of an accumulation with the unit in its note rests on, best first."""

    DEFINITION = "definition"  # arithmetic by definition; names no unit
    MEASURED = "measured"  # measured on the unit, bit for bit
    RECORDS = "records"  # agrees with published inputs and outputs of the unit
    SIMULATOR = "simulator"  # agrees with a simulator that its authors compared with the unit
    DOCUMENT = "document"  # from the maker's text, or the source of the design
    UNVERIFIED = "unverified"  # documents disagree, or nobody has looked


class ScaleAt(Enum):
    """Where the scales of the blocks enter."""

    PRODUCT = "product"  # exactly, in every product
    OPERAND = "operand"  # times each element, rounded to the operand's format
    PART = "part"  # times the sum of a run, at the `Parts` node that has ``scale``


class OperandSubnormals(Enum):
    """What a subnormal operand, or a subnormal C, counts as."""

    KEEP = "keep"
    FLUSH = "flush"  # zero of the same sign
    FLUSH_POSITIVE = "flush-positive"  # +0, as does -0


class ProductExponent(Enum):
    """The exponent that alignment takes a product to have."""

    SUM = "sum"  # that of both operands and scales, although the product of two significands may reach 2
    NORMALISED = "normalised"  # that of the product's leading bit
    SCALE = "scale"  # that of the scales alone


class ZeroSign(Enum):
    """The sign of a sum that is, or is rounded to, zero. Roundings elsewhere, that of the result too, keep the sign."""

    IEEE = "ieee"  # -0 if all terms are -0 or a negative sum is rounded to zero; TOWARD_NEGATIVE prefers -0
    POSITIVE = "positive"
    SUM_POSITIVE = (
        "sum-positive"  # +0 if the sum is zero; a negative sum that is rounded to zero gives -0
    )


class NanWord(Enum):
    """The NaN that comes out."""

    QUIET = "quiet"  # 0x7FC00000 in binary32
    ALL_ONES = "all-ones"  # 0x7FFFFFFF
    NEGATIVE_QUIET = "negative-quiet"  # 0xFFC00000, what x86 makes


TF32 = ieee("TF32", 8, 10, "operand of some matrix units: binary32 without its 13 lowest bits")
E8M13 = ieee(
    "E8M13", 8, 13, "accumulator of some matrix units: binary32 without its ten lowest bits"
)


@dataclass(frozen=True)
class Round:
    """Rounding of a sum into a format with sign, Inf and NaN.

    Parameters
    ----------
    format : FloatFormat or str
        A carrier, ``TF32``, or ``ExMy`` with the IEEE 754 pattern of special codes.
    rounding : Rounding or str
        Any but STOCHASTIC.
    flush : bool
        What is subnormal after rounding becomes zero.
    stop_at_max : bool
        Beyond the largest finite value a rounding towards zero stops there, as IEEE 754 has it. Matrix units
        give Inf, so that is the default.

    Examples
    --------
    >>> str(Round("binary32", "toward-zero"))
    'binary32 toward-zero'
    """

    format: FloatFormat
    rounding: Rounding = Rounding.TIES_TO_EVEN
    flush: bool = False
    stop_at_max: bool = False

    def __post_init__(self) -> None:
        _set(self, format=_accumulator(self.format), rounding=_member(Rounding, self.rounding))
        _flag(self, "flush", "stop_at_max")
        if self.rounding is Rounding.STOCHASTIC:
            raise BadFormat("STOCHASTIC rounding of a sum; an accumulation is deterministic")

    def __str__(self) -> str:
        words = [self.format.name]
        if self.rounding is not Rounding.TIES_TO_EVEN:
            words.append(self.rounding.value)
        words += ["flush"] * self.flush + ["stop-at-max"] * self.stop_at_max
        return " ".join(words)


@dataclass(frozen=True)
class Fuse:
    """Add some terms at once: cut each to one quantum, add exactly, round.

    With e the largest exponent of the terms that are not zero, but at least ``floor``, each term is rounded by
    ``align`` to a multiple of 2^(e - fraction_bits); the multiples are added exactly, and ``out`` rounds the sum.
    A term that is itself a sum without ``out`` counts with the exponent that it was aligned to, zero or not.

    Parameters
    ----------
    out : Round, str, or sequence of them
        Roundings of the sum, one after the other; none leaves it exact.
    fraction_bits : int, optional
        None cuts nothing.
    align : Rounding or str
        Of each term: TOWARD_ZERO and the like act on the magnitude, TOWARD_NEGATIVE is two's complement truncation,
        TO_ODD keeps a sticky bit.
    floor : int, optional
        The least exponent e.
    carried_bits : int, optional
        ``fraction_bits`` of what is carried in (an accumulator, C), where it differs.
    carried_reach : int, optional
        What is carried in counts as zero if its exponent is more than this below e.
    quantum : int, optional
        Instead of ``fraction_bits``: every term is rounded to a multiple of 2^quantum, as in a fixed-point register.
    width : int, optional
        Bits of that register in two's complement; a sum beyond it wraps.
    saturate : bool
        A sum beyond it stops at the largest instead.
    """

    out: tuple[Round, ...] = ()
    fraction_bits: int | None = None
    align: Rounding = Rounding.TOWARD_ZERO
    floor: int | None = None
    carried_bits: int | None = None
    carried_reach: int | None = None
    quantum: int | None = None
    width: int | None = None
    saturate: bool = False

    def __post_init__(self) -> None:
        _set(self, out=_rounds(self.out), align=_member(Rounding, self.align))
        for name in ("fraction_bits", "floor", "carried_bits", "carried_reach", "quantum", "width"):
            _whole(self, name)
        _flag(self, "saturate")
        if self.align is Rounding.STOCHASTIC:
            raise BadFormat("STOCHASTIC alignment; an accumulation is deterministic")
        if self.fraction_bits is not None and self.quantum is not None:
            raise BadFormat(
                "fraction_bits and quantum: one is relative to the largest term, one absolute"
            )
        relative = (self.floor, self.carried_bits, self.carried_reach)
        if self.fraction_bits is None and any(given is not None for given in relative):
            raise BadFormat(
                "floor, carried_bits and carried_reach say how terms are cut; expected fraction_bits"
            )
        if self.quantum is None and (self.width is not None or self.saturate):
            raise BadFormat(
                "width and saturate belong to a fixed-point register; expected a quantum"
            )
        if self.saturate and self.width is None:
            raise BadFormat("saturate without a width; expected the register's bits")

    @property
    def cuts(self) -> bool:
        """Whether terms lose bits before they are added."""
        return self.fraction_bits is not None or self.quantum is not None


@dataclass(frozen=True)
class Sum:
    """All terms, and C, in one `Fuse`."""

    step: Fuse = field(default_factory=Fuse)

    def __post_init__(self) -> None:
        _children(self)


@dataclass(frozen=True)
class Chain:
    """Groups of terms one after the other: each `Fuse` takes what was carried so far, C or +0 at first, and a group.

    Parameters
    ----------
    step : Fuse
    length : int
        Terms of a group; the last one may be shorter.
    order : tuple of int
        A permutation of the terms, repeated every len(order) terms; empty leaves them as they are.
    terms : Round or str, optional
        Each term is rounded first: a product that is not fused with the addition.
    """

    step: Fuse
    length: int = 1
    order: tuple[int, ...] = ()
    terms: Round | None = None

    def __post_init__(self) -> None:
        _children(self)
        _set(self, order=_tuples(self.order), terms=_round(self.terms))
        _positive("length", self.length)
        order: Any = self.order
        indices = order if isinstance(order, tuple) else (order,)
        if not all(type(one) is int for one in indices) or {*indices} != {*range(len(indices))}:
            raise BadFormat(f"order {[*indices]}; expected a permutation of 0, 1, ...")
        if len(self.order) % self.length:
            raise BadFormat(
                f"order of {len(self.order)} terms; expected whole groups of {self.length}"
            )

    def groups(self, count: int) -> Iterator[range | list[int]]:
        """The indices of the terms of each group."""
        window = self.order or range(self.length)
        for base in range(0, count, len(window)):
            for start in range(0, len(window), self.length):
                members = window[start : start + self.length]
                yield [base + member for member in members if base + member < count]


@dataclass(frozen=True)
class Tree:
    """Half of the terms, then the other half, and so on down to ``leaf`` terms, which are a chain; C is added last.

    The first part is ``leaf`` times a power of two, the largest that leaves something, so missing terms are as zeros.
    """

    step: Fuse
    leaf: int = 1
    terms: Round | None = None

    def __post_init__(self) -> None:
        _children(self)
        _set(self, terms=_round(self.terms))
        _positive("leaf", self.leaf)

    def middle(self, count: int) -> int:
        """Where more than ``leaf`` terms are divided."""
        return self.leaf << (-(-count // self.leaf) - 1).bit_length() - 1


@dataclass(frozen=True)
class Nested:
    """A tree written out: nested sequences of the indices of terms, each sequence one `Fuse`.

    Parameters
    ----------
    step : Fuse
    tree : sequence
        Each index from 0 once, such as ``((0, 1), (2, 3))``; -1 is C, which is otherwise added last.
    terms : Round or str, optional
        As for `Chain`.
    """

    step: Fuse
    tree: tuple[Any, ...]
    terms: Round | None = None

    def __post_init__(self) -> None:
        _children(self)
        _set(self, tree=_tuples(self.tree), terms=_round(self.terms))
        if not isinstance(self.tree, tuple):
            raise BadFormat(f"tree = {self.tree!r}; expected nested sequences")
        leaves = sorted(_leaves(self.tree))
        found = leaves[1:] if leaves[:1] == [-1] else leaves
        if found != list(range(len(found))) or not found:
            raise BadFormat(
                f"tree with the terms {leaves[:8]}; expected 0, 1, ... each once, and -1 for C"
            )

    @property
    def count(self) -> int:
        """The number of terms it is for."""
        return max(_leaves(self.tree)) + 1

    @property
    def holds_c(self) -> bool:
        """Whether C is one of the leaves."""
        return -1 in _leaves(self.tree)


@dataclass(frozen=True)
class Parts:
    """Runs of ``length`` terms, each reduced by ``inner`` without C; ``outer`` reduces the results, with C.

    Parameters
    ----------
    length : int
        0 is the block size k.
    inner, outer : node
    scale : sequence of Round or str, optional
        The scales of a run enter here and not at its products: sa * sb, rounded so, times the inner result. Empty
        leaves sa * sb exact; None leaves the scales where they are.
    scaled : Round or str, optional
        The product with both is rounded; None hands it on exactly, as a fused multiply-add does.
    apart : Round or str, optional
        The scale of a multiplies the inner result alone, rounded so, and then that of b does; ``scale`` is empty.
    """

    length: int
    inner: Node
    outer: Node
    scale: tuple[Round, ...] | None = None
    scaled: Round | None = None
    apart: Round | None = None

    def __post_init__(self) -> None:
        _children(self)
        scale = None if self.scale is None else _rounds(self.scale)
        _set(self, scale=scale, apart=_round(self.apart), scaled=_round(self.scaled))
        _whole(self, "length")
        if self.length < 0:
            raise BadFormat(f"length = {self.length}; expected a number of terms, or 0 for a block")
        if self.scale is None and (self.apart is not None or self.scaled is not None):
            raise BadFormat("apart and scaled round products with scales; expected scale")
        if self.apart is not None and self.scale:
            raise BadFormat(
                "apart: the scales are not multiplied with each other; expected an empty scale"
            )


@dataclass(frozen=True)
class Lanes:
    """Term i goes to lane i % count; each lane is reduced by ``inner`` without C, the lanes by ``outer``, with C."""

    count: int
    inner: Node
    outer: Node

    def __post_init__(self) -> None:
        _children(self)
        _positive("count", self.count)


@dataclass(frozen=True)
class Late:
    """The result of ``inner``, without C, and C meet in a `Fuse` of their own."""

    inner: Node
    step: Fuse

    def __post_init__(self) -> None:
        _children(self)


Node = Sum | Chain | Tree | Nested | Parts | Lanes | Late


@implements("MX-6.1-PREC", "MX-6.1-FACTOR")
@dataclass(frozen=True)
class Accumulation:
    """The arithmetic of a dot product.

    Parameters
    ----------
    name : str
    node : node
        Which terms meet in which sum.
    note : str
        Where it is seen.
    grade : Grade or str
        What the note rests on.
    source : str
        Where that can be read.
    operands : tuple of str
        Element formats that the unit takes; empty for any. Nothing is refused.
    operand_format : FloatFormat or str, optional
        Operands are converted to this format first, ties to even; its subnormals and Inf are those of the format.
    operand_subnormals : OperandSubnormals or str
    products : Round or str, optional
        Every product is rounded.
    product_exponent : ProductExponent or str
    product_limit : int, optional
        A product of magnitude 2^product_limit or more counts as Inf.
    scale_at : ScaleAt or str
    scale_zero_code : bool
        The E8M0 code 0 counts as zero instead of 2^-127.
    scale_unsigned : bool
        The sign of a scale is ignored.
    tensor_scale : Round or str, optional
        Scales of whole tensors multiply the result: fl(sa * sb), then fl(result * that), both by this rounding. None
        multiplies exactly.
    rounding : Rounding or str
        Of the result into the format that is asked for, where it does not fit.
    zero_sign : ZeroSign or str
    nan_word : NanWord or str

    Raises
    ------
    BadFormat
        When fields contradict each other.
    """

    name: str = "custom"
    node: Node = field(default_factory=Sum)
    note: str = field(default="", compare=False)
    grade: Grade = field(default=Grade.DEFINITION, compare=False)
    source: str = field(default="", compare=False)
    operands: tuple[str, ...] = field(default=(), compare=False)
    operand_format: FloatFormat | None = None
    operand_subnormals: OperandSubnormals = OperandSubnormals.KEEP
    products: Round | None = None
    product_exponent: ProductExponent = ProductExponent.SUM
    product_limit: int | None = None
    scale_at: ScaleAt = ScaleAt.PRODUCT
    scale_zero_code: bool = False
    scale_unsigned: bool = False
    tensor_scale: Round | None = None
    rounding: Rounding = Rounding.TIES_TO_EVEN
    zero_sign: ZeroSign = ZeroSign.IEEE
    nan_word: NanWord = NanWord.QUIET

    def __post_init__(self) -> None:
        if self.operand_format is not None:
            _set(self, operand_format=_accumulator(self.operand_format))
        _set(
            self,
            grade=_member(Grade, self.grade),
            operands=_names(self.operands),
            operand_subnormals=_member(OperandSubnormals, self.operand_subnormals),
            products=_round(self.products),
            product_exponent=_member(ProductExponent, self.product_exponent),
            scale_at=_member(ScaleAt, self.scale_at),
            tensor_scale=_round(self.tensor_scale),
            rounding=_member(Rounding, self.rounding),
            zero_sign=_member(ZeroSign, self.zero_sign),
            nan_word=_member(NanWord, self.nan_word),
        )
        _whole(self, "product_limit")
        _flag(self, "scale_zero_code", "scale_unsigned")
        if not isinstance(self.node, Node):
            raise BadFormat(f"node = {self.node!r}; expected one of {', '.join(KINDS)}")
        self._check()

    def _check(self) -> None:
        """Refuse fields that contradict each other."""
        if self.rounding is Rounding.STOCHASTIC:
            raise BadFormat("STOCHASTIC rounding of a result; an accumulation is deterministic")
        scaling = [
            node for node in nodes(self.node) if isinstance(node, Parts) and node.scale is not None
        ]
        if self.products is not None and self.product_exponent is not ProductExponent.SUM:
            raise BadFormat(
                "products are rounded, so their exponent is their own; expected no product_exponent"
            )
        if any(self._meets_sums(node) for node in scaling):
            raise BadFormat(
                "a parts node with scale under outer, where terms have no scale of their own"
            )
        if self.scale_at is ScaleAt.PART and len(scaling) != 1:
            raise BadFormat(
                f"scale_at part; expected one parts node with scale, got {len(scaling)}"
            )
        if self.scale_at is not ScaleAt.PART and scaling:
            raise BadFormat(
                f"a parts node with scale; expected scale_at part, not {self.scale_at.value}"
            )
        if self.scale_at is ScaleAt.OPERAND and self.operand_format is None:
            raise BadFormat("scale_at operand; expected an operand_format to round to")
        if self.product_exponent is ProductExponent.SCALE and self.scale_at is not ScaleAt.PRODUCT:
            raise BadFormat("product_exponent scale; expected scale_at product")

    def _meets_sums(self, wanted: Node) -> bool:
        """Whether a node reduces the results of others rather than products."""
        outer = [node.outer for node in nodes(self.node) if isinstance(node, (Parts, Lanes))]
        return any(found is wanted for node in outer for found in nodes(node))

    def replace(self, **changes: Any) -> Accumulation:
        """A copy with some fields changed, named ``custom`` unless a name is given."""
        for key in changes:
            if key not in FIELDS:
                raise unknown("accumulation field", key, FIELDS)
        return replace(self, **{"name": "custom", "grade": Grade.UNVERIFIED, **changes})

    def same_arithmetic(self, other: Accumulation) -> bool:
        """Whether two records say the same, whatever their names."""
        return replace(self, name="") == replace(other, name="")

    def __str__(self) -> str:
        return self.name


FIELDS = tuple(one.name for one in fields(Accumulation))
KINDS: Mapping[str, type] = {kind.__name__.lower(): kind for kind in Node.__args__}


def nodes(node: Node) -> Iterator[Node]:
    """A node and all nodes below it."""
    yield node
    for one in fields(node):
        child = getattr(node, one.name)
        if isinstance(child, Node):
            yield from nodes(child)


def accumulator_of(record: Accumulation) -> FloatFormat | None:
    """The format of what C is added to; None if that is exact."""
    node = record.node
    while isinstance(node, (Parts, Lanes)):
        node = node.outer
    return node.step.out[-1].format if node.step.out else None


# Beyond every exponent in use, and far from what would only cost memory.
_FARTHEST = 1 << 16

_PATTERN = re.compile(r"E(\d{1,2})M(\d{1,3})", re.IGNORECASE)


def _accumulator(name: FloatFormat | str) -> FloatFormat:
    """A format for sums, with the IEEE 754 pattern of special codes: the known one of these widths, or ``ExMy``."""
    found: object = name
    if isinstance(name, str):
        named = {one.name.lower(): one for one in _PATTERNS.values()}
        match = _PATTERN.fullmatch(name.strip())
        if name.strip().lower() in named:
            return named[name.strip().lower()]
        if match and (
            int(match[1]) > BINARY64.exponent_bits or int(match[2]) > BINARY64.mantissa_bits
        ):
            raise BadFormat(f"accumulator format {name}; expected at most E11M52")
        found = _pattern(int(match[1]), int(match[2])) if match else element(name)
    if isinstance(found, FloatFormat) and found.exponent_bits > 1 and found.has_nan:
        plain = _pattern(found.exponent_bits, found.mantissa_bits)
        if replace(found, name=plain.name, origin=plain.origin) == plain:
            return plain
    raise BadFormat(
        f"accumulator format {found}; expected a float with sign, Inf and NaN as in IEEE 754"
    )


def _pattern(exponent_bits: int, mantissa_bits: int) -> FloatFormat:
    """The format of some widths."""
    found = _PATTERNS.get((exponent_bits, mantissa_bits))
    return found or ieee(f"E{exponent_bits}M{mantissa_bits}", exponent_bits, mantissa_bits)


_PATTERNS = {
    (one.exponent_bits, one.mantissa_bits): one for one in (*CARRIERS.values(), TF32, E8M13)
}


def _round(given: Any) -> Round | None:
    """A rounding from its text: a format, then any of a rounding's name, ``flush``, ``stop-at-max``."""
    if given is None or isinstance(given, Round):
        return given
    if not isinstance(given, str) or not given.split():
        raise BadFormat(f"rounding {given!r}; expected a text such as 'binary32 toward-zero'")
    name, *words = given.split()
    options: dict[str, Any] = {}
    for word in words:
        match word.lower():
            case "flush":
                options["flush"] = True
            case "stop-at-max":
                options["stop_at_max"] = True
            case _:
                options["rounding"] = _member(Rounding, word)
    return Round(_accumulator(name), **options)


def _rounds(given: Any) -> tuple[Round, ...]:
    """Roundings, one after the other, from one of them, its text, or a sequence."""
    listed = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
    return tuple(found for one in listed if (found := _round(one)) is not None)


def _member(kind: type[Enum], given: Any) -> Any:
    """A member of an enumeration from itself or its text."""
    if isinstance(given, kind):
        return given
    known = {str(one.value): one for one in kind}
    found = known.get(str(given).lower().replace("_", "-"))
    if found is None:
        raise unknown(kind.__name__, given, known)
    return found


def _set(record: Any, **given: Any) -> None:
    """Fields of a frozen record in their final form."""
    for name, value in given.items():
        object.__setattr__(record, name, value)


def _whole(record: Any, name: str) -> None:
    given = getattr(record, name)
    if given is not None and type(given) is not int:
        raise BadFormat(f"{name} = {given!r}; expected a whole number")
    least = {"fraction_bits": 0, "carried_bits": 0, "carried_reach": 0, "width": 1}.get(name)
    if given is not None and least is not None and given < least:
        raise BadFormat(f"{name} = {given}; expected at least {least}")
    if given is not None and abs(given) > _FARTHEST:
        raise BadFormat(f"{name} = {given}; expected at most {_FARTHEST}")


def _flag(record: Any, *names: str) -> None:
    for name in names:
        if type(getattr(record, name)) is not bool:
            raise BadFormat(f"{name} = {getattr(record, name)!r}; expected true or false")


def _children(node: Any) -> None:
    """Refuse what is no step or no node where one belongs."""
    for name, kind in (("step", Fuse), ("inner", Node), ("outer", Node)):
        given = getattr(node, name, None)
        if hasattr(node, name) and not isinstance(given, kind):
            wanted = "a Fuse" if kind is Fuse else "a node"
            raise BadFormat(f"{name} = {given!r} of a {type(node).__name__}; expected {wanted}")


def _names(given: Any) -> tuple[str, ...]:
    if not isinstance(given, (list, tuple)) or not all(isinstance(one, str) for one in given):
        raise BadFormat(f"operands = {given!r}; expected a list of names of formats")
    return tuple(given)


def _positive(name: str, given: Any) -> None:
    if type(given) is not int or given < 1:
        raise BadFormat(f"{name} = {given!r}; expected at least 1")


def _tuples(tree: Any) -> Any:
    """Nested sequences as nested tuples."""
    return tuple(map(_tuples, tree)) if isinstance(tree, (list, tuple)) else tree


def _leaves(tree: Any) -> Iterator[int]:
    """The indices in nested tuples."""
    if not isinstance(tree, tuple):
        if type(tree) is not int:
            raise BadFormat(f"{tree!r} in a tree; expected the index of a term")
        yield tree
        return
    for branch in tree:
        yield from _leaves(branch)


EXACT = Accumulation(
    "exact",
    note="All products and C exactly, one rounding at the end.",
    source="IEEE 754 clause 9.4 leaves sums open; this one has no choice left.",
)
