"""One dot product under an accumulation, in exact integers (MX 6.1 and 6.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import index
from typing import NamedTuple

from mxemu import walk
from mxemu.accumulation import (
    EXACT,
    TF32,
    Accumulation,
    Fuse,
    NanWord,
    OperandSubnormals,
    Parts,
    ProductExponent,
    Round,
    ScaleAt,
    Sum,
    ZeroSign,
    accumulator_of,
)
from mxemu.accumulations import find as find_accumulation
from mxemu.block import check_tensor_scale
from mxemu.clauses import implements
from mxemu.errors import BadShape, BadType
from mxemu.formats import BINARY32, BlockFormat, ElementFormat, FloatFormat
from mxemu.formats import carrier as find_carrier
from mxemu.formats import find as find_format
from mxemu.profile import OCP, Profile, Rounding
from mxemu.scalar import Status, decode, encode, round_to_multiple
from mxemu.value import INF, NAN, ZERO, Kind, Value


class Operand(NamedTuple):
    """One vector of a dot product.

    Attributes
    ----------
    codes : sequence of int, length K
        Element codes, block after block.
    format : BlockFormat, element format or str
        An element format stands for numbers without scales.
    scales : sequence of int, length K / k
        Scale codes; none for an element format.
    tensor_scale : Value, optional
        A scale above all blocks.
    """

    codes: Sequence[int]
    format: BlockFormat | ElementFormat | str
    scales: Sequence[int] = ()
    tensor_scale: Value | None = None


class Term(NamedTuple):
    """An exact number with the exponent that alignment takes it to have.

    Attributes
    ----------
    value : Value
    exponent : int or None
        A unit aligns by the exponents of the operands, not by the leading bit of their product, so a subnormal, or
        the product of two significands near 2, is not where its value would put it. None: nothing to align with.
    scale : pair of Value, optional
        Those of its blocks, while they still have to be applied.
    """

    value: Value
    exponent: int | None
    scale: tuple[Value, Value] | None = None


class Cut(NamedTuple):
    """What became of one term of a sum: ``value`` = ``kept`` + ``lost``."""

    value: Value
    exponent: int | None
    kept: Value
    lost: Value


class Added(NamedTuple):
    """One `Fuse`, as it went.

    Attributes
    ----------
    terms : tuple of Cut
    carried : Cut or None
    exponent : int or None
        What the terms were aligned to; None where nothing was cut.
    quantum : int or None
        They were cut to multiples of 2^quantum.
    total : Value
        The exact sum of what was kept.
    result : Value
        After rounding.
    """

    terms: tuple[Cut, ...]
    carried: Cut | None
    exponent: int | None
    quantum: int | None
    total: Value
    result: Value


class Rounded(NamedTuple):
    """A rounding outside of a sum: ``what`` is operand, product, scale, scaled part or result."""

    what: str
    value: Value
    result: Value


class Product(NamedTuple):
    """A dot product.

    Attributes
    ----------
    value : Value
        What the accumulation holds at the end, before it is rounded to the format asked for.
    bits : int
        In that format.
    status : Status
        Of all roundings together.
    trace : tuple of Added and Rounded
        Every step in order, if asked for.
    """

    value: Value
    bits: int
    status: Status
    trace: tuple[Added | Rounded, ...] = ()


@implements("MX-6.1-DOT", "MX-6.1-MIXED", "MX-6.2-SUM", "MX-6.2-F32")
def dot(
    a: Operand,
    b: Operand,
    c: Value | None = None,
    accumulation: Accumulation | str = EXACT,
    out: FloatFormat | str = BINARY32,
    *,
    trace: bool = False,
) -> Product:
    """The dot product of two vectors of blocks, plus C.

    Parameters
    ----------
    a, b : Operand
        Of the same length K and block size k; their formats may differ.
    c : Value, optional
        Added as the accumulation says; +0 if not given.
    accumulation : Accumulation or str
    out : FloatFormat or str
        binary32, bfloat16, binary16 or binary64.
    trace : bool
        Keep every step.

    Returns
    -------
    Product

    Raises
    ------
    BadShape
        When lengths or block sizes differ, or the accumulation is for another length.
    BadCode, UnknownName

    Notes
    -----
    Order, precision and special values are free (MX 6.1, 6.2): a NaN anywhere gives NaN, as do Inf * 0 and Inf - Inf.

    Examples
    --------
    >>> ones = Operand([0x38] * 32, "MXFP8_E4M3", [128])  # 32 ones, times 2
    >>> hex(dot(ones, ones).bits)  # 128
    '0x43000000'
    """
    record, out = find_accumulation(accumulation), find_carrier(out)
    a, b = _checked(a), _checked(b)
    unit = _Unit(record, block_size(a, b), trace)
    terms = unit.products(a, b)
    carried = unit.carried_in(ZERO if c is None else c)
    scales = [one.tensor_scale for one in (a, b) if one.tensor_scale is not None]
    if scales and c is not None and (record.node != Sum() or record.tensor_scale is not None):
        raise BadShape(f"{record.name} does not say how C meets a tensor scale; expected no C")
    total = walk.reduce(record.node, terms, None if scales else carried, unit).value
    if total.is_zero and record.zero_sign is ZeroSign.POSITIVE:
        total = ZERO
    if scales:
        total = unit.scale_result(total, scales, carried)
    result = unit.round_value(total, Round(out, record.rounding, stop_at_max=True), "result")
    return Product(
        total, _bits(result, out, record.nan_word), Status(unit.flags), tuple(unit.trace)
    )


class _Unit:
    """The arithmetic of one accumulation, with what happened so far."""

    def __init__(self, record: Accumulation, k: int, keep: bool) -> None:
        self.record = record
        self.k = k
        self.keep = keep
        self.nothing = _NOTHING
        self.flags = 0
        self.trace: list[Added | Rounded] = []

    def products(self, a: Operand, b: Operand) -> list[Term]:
        """The exact product of each pair of elements, with the scales if they enter here."""
        x_scales, y_scales = self._scales(a), self._scales(b)
        factors = [self._factor(*pair) for pair in zip(x_scales, y_scales, strict=True)]
        pairs = zip(self._elements(a, x_scales), self._elements(b, y_scales), strict=True)
        return [self._product(x, y, factors[i // self.k]) for i, (x, y) in enumerate(pairs)]

    def _scales(self, operand: Operand) -> list[Term]:
        """One scale for each block; ones where there are none."""
        if isinstance(operand.format, BlockFormat):
            return [self._scale(code, operand.format.scale) for code in operand.scales]
        return [_ONE] * -(-len(operand.codes) // self.k)

    def _factor(self, a: Term, b: Term) -> Term:
        """What the scales of two blocks do to their products; those that are applied later are kept apart."""
        match self.record.scale_at:
            case ScaleAt.PRODUCT:
                exponent = (a.exponent or 0) + (b.exponent or 0)
                return Term(self._multiply(a.value, b.value), exponent)
            case ScaleAt.OPERAND:
                return _ONE
            case ScaleAt.PART:
                return _ONE._replace(scale=(a.value, b.value))

    def _elements(self, operand: Operand, scales: Sequence[Term]) -> list[Term]:
        """Elements, converted to the operand's format if there is one."""
        fmt, record = operand.format, self.record
        assert not isinstance(fmt, str)
        fmt = fmt.element if isinstance(fmt, BlockFormat) else fmt
        known = _terms(fmt)
        terms = [known[code] for code in operand.codes]
        if record.operand_subnormals is not OperandSubnormals.KEEP:
            terms = [self._flushed(term) if _is_tiny(term, fmt) else term for term in terms]
        if record.scale_at is ScaleAt.OPERAND:
            terms = [
                term._replace(value=self._multiply(term.value, scales[i // self.k].value))
                for i, term in enumerate(terms)
            ]
        if record.operand_format is None:
            return terms
        rounding, emin = Round(record.operand_format), record.operand_format.emin
        return [_term(self.round_value(term.value, rounding, "operand"), emin) for term in terms]

    def _flushed(self, term: Term) -> Term:
        """The zero that a subnormal operand, or a zero, counts as."""
        positive = self.record.operand_subnormals is OperandSubnormals.FLUSH_POSITIVE
        return Term(ZERO if positive else ZERO._replace(sign=term.value.sign), None)

    def carried_in(self, c: Value) -> Term:
        """C as a term: a subnormal of the accumulator's format has its emin, or is flushed as an operand is."""
        if not isinstance(c, Value):
            raise BadType(f"c = {c!r}; expected a Value, see mxemu.value.from_fraction")
        fmt = accumulator_of(self.record)
        term = _term(c, None if fmt is None else fmt.emin)
        flushes = self.record.operand_subnormals is not OperandSubnormals.KEEP and c.is_finite
        if flushes and (c.is_zero or c.leading < (fmt or BINARY32).emin):
            return self._flushed(term)
        return term

    def _scale(self, code: int, fmt: FloatFormat) -> Term:
        """The value of a scale code."""
        value = _terms(fmt)[code].value
        if self.record.scale_zero_code and not code:
            value = ZERO
        if self.record.scale_unsigned:
            value = value._replace(sign=0)
        return Term(value, value.exponent + fmt.mantissa_bits)

    def _product(self, x: Term, y: Term, factor: Term) -> Term:
        """The product of two elements and their scales."""
        value, exponent = self._multiply(x.value, y.value), factor.exponent or 0
        if factor.value is not _ONE.value:
            value = self._multiply(value, factor.value)
        if self.record.product_exponent is ProductExponent.SUM:
            exponent += (x.exponent or 0) + (y.exponent or 0)
        return self._finished_product(value, exponent, factor.scale)

    def _multiply(self, a: Value, b: Value) -> Value:
        """The exact product; Inf * 0 is an invalid operation (IEEE 754, 7.2)."""
        if a.kind is Kind.FINITE and b.kind is Kind.FINITE:
            return Value(a.sign ^ b.sign, a.significand * b.significand, a.exponent + b.exponent)
        value = _times(a, b)
        if value.is_nan and not (a.is_nan or b.is_nan):
            self.flags |= Status.INVALID.value
        return value

    def _finished_product(
        self, value: Value, exponent: int, scale: tuple[Value, Value] | None
    ) -> Term:
        """A product after the rounding and the limit that the accumulation asks for."""
        record = self.record
        if record.products is not None:
            value = self.round_value(value, record.products, "product")
            exponent = max(value.leading, record.products.format.emin) if value.significand else 0
        if not value.significand:
            return Term(value, None, scale)
        if record.product_limit is not None and value.leading >= record.product_limit:
            self.flags |= _BEYOND
            return Term(INF._replace(sign=value.sign), None, scale)
        normalised = record.product_exponent is ProductExponent.NORMALISED
        return Term(value, value.leading if normalised else exponent, scale)

    def scale_sum(self, node: Parts, total: Term, run: list[Term]) -> Term:
        """The result of one run times the scales that its terms share."""
        scale = run[0].scale
        if any(term.scale != scale for term in run):
            raise BadShape(
                f"a run of {len(run)} terms with two scales; {self.record.name} applies one to a run"
            )
        first, second = (_ONE.value, _ONE.value) if scale is None else scale
        if node.apart is not None:
            value = self.round_value(self._multiply(total.value, first), node.apart, "scaled part")
            value = self._multiply(value, second)
        else:
            factor = self._multiply(first, second)
            for rounding in node.scale or ():
                factor = self.round_value(factor, rounding, "scale")
            value = self._multiply(total.value, factor)
        if node.scaled is not None:
            return _term(
                self.round_value(value, node.scaled, "scaled part"), node.scaled.format.emin
            )
        return _term(value)

    def round_term(self, rounding: Round, term: Term) -> Term:
        """A term that is rounded before it is added."""
        return _term(self.round_value(term.value, rounding, "product"), rounding.format.emin)

    def add(self, step: Fuse, terms: list[Term], carried: Term | None) -> Term:
        """Terms and what is carried in, through one `Fuse`."""
        everything = terms if carried is None else [*terms, carried]
        special = self._special([term.value for term in everything])
        if special is not None:
            self._note_special(terms, carried, special)
            return Term(special, None)
        reference = _reference(step, terms, carried)
        quantum = _quantum(step, reference, step.fraction_bits)
        kept = [self._kept(step, term, quantum) for term in terms]
        if carried is not None:
            kept.append(self._kept_of_carried(step, carried, reference))
        total = self._total(step, kept, [term.value.sign for term in everything])
        result = total
        for rounding in step.out:
            result = self._round(result, rounding)
            if self.record.zero_sign is ZeroSign.POSITIVE and result.is_zero:
                result = result._replace(sign=0)
        if self.keep:
            cuts = [_cut(*pair) for pair in zip(everything, kept, strict=True)]
            last = None if carried is None else cuts.pop()
            aligned = reference if step.fraction_bits is not None else None
            self.trace.append(Added(tuple(cuts), last, aligned, quantum, total, result))
        if step.out:
            return _term(result, step.out[-1].format.emin)
        return Term(result, reference)

    def _kept(self, step: Fuse, term: Term, quantum: int | None) -> Value:
        """One term, rounded to a multiple of 2^quantum."""
        value = term.value
        if quantum is None or value.exponent >= quantum or not value.significand:
            return value
        multiple, inexact = round_to_multiple(value, quantum, _PROFILES[step.align])
        if inexact:
            self.flags |= _INEXACT
        return Value(value.sign, multiple, quantum)

    def _kept_of_carried(self, step: Fuse, carried: Term, reference: int | None) -> Value:
        """What is carried in, cut at its own quantum or dropped if it is out of reach."""
        bits = step.fraction_bits if step.carried_bits is None else step.carried_bits
        far = step.carried_reach is not None and carried.exponent is not None
        if far and carried.exponent < reference - step.carried_reach:  # type: ignore[operator]
            self.flags |= _INEXACT if carried.value.significand else 0
            return ZERO
        return self._kept(step, carried, _quantum(step, reference, bits))

    def _total(self, step: Fuse, values: list[Value], signs: list[int]) -> Value:
        """The exact sum, in a register if the step has one, with the sign that a zero gets."""
        total = _exact_sum(values)
        if step.width is not None and step.quantum is not None:
            total = self._register(total, step)
        if total.significand:
            return total
        if self.record.zero_sign is not ZeroSign.IEEE or step.quantum is not None:
            return ZERO  # a register has no -0
        rounding = step.out[-1].rounding if step.out else self.record.rounding
        mixed = rounding is Rounding.TOWARD_NEGATIVE
        return Value(int((mixed and any(signs)) or (all(signs) and len(signs) > 0)), 0, 0)

    def _register(self, total: Value, step: Fuse) -> Value:
        """A sum in a two's complement register of ``width`` bits, whose last bit is 2^quantum."""
        assert step.width is not None
        assert step.quantum is not None
        count = total.significand << (total.exponent - step.quantum) if total.significand else 0
        count = -count if total.sign else count
        half = 1 << (step.width - 1)
        if -half <= count < half:
            return total
        self.flags |= Status.OVERFLOW.value | (Status.SATURATED.value if step.saturate else 0)
        kept = (
            max(-half, min(count, half - 1))
            if step.saturate
            else (count + half) % (2 * half) - half
        )
        return Value(int(kept < 0), abs(kept), step.quantum)

    def _special(self, values: list[Value]) -> Value | None:
        """NaN or Inf, if the sum is one."""
        if all(value.kind is Kind.FINITE for value in values):
            return None
        if any(value.is_nan for value in values):
            return NAN
        signs = {value.sign for value in values if value.is_inf}
        if len(signs) == 2:
            self.flags |= Status.INVALID.value
            return NAN
        return INF._replace(sign=signs.pop())

    def round_value(self, value: Value, rounding: Round, what: str) -> Value:
        """A rounding outside of a sum."""
        result = self._round(value, rounding)
        if self.keep and value.is_finite and result != value:
            self.trace.append(Rounded(what, value, result))
        return result

    def _round(self, value: Value, rounding: Round) -> Value:
        """A value in an accumulator's format."""
        if not value.significand:
            return value
        fmt, leading = rounding.format, value.leading
        if leading - value.exponent <= fmt.mantissa_bits and fmt.emin <= leading <= fmt.emax:
            return value
        unbounded = leading - fmt.mantissa_bits
        profile = _PROFILES[rounding.rounding]
        multiple, inexact = round_to_multiple(
            value, max(unbounded, fmt.emin - fmt.mantissa_bits), profile
        )
        result = Value(value.sign, multiple, max(unbounded, fmt.emin - fmt.mantissa_bits))
        if rounding.flush and leading < fmt.emin:
            full, _ = round_to_multiple(value, unbounded, profile)
            if full.bit_length() - 1 + unbounded < fmt.emin:
                self.flags |= _TINY
                return ZERO._replace(sign=value.sign)
        if not inexact:
            result = value
        else:
            self.flags |= _TINY if leading < fmt.emin else _INEXACT
        if not multiple:
            return ZERO._replace(sign=value.sign)
        if result.leading > fmt.emax:
            return self._beyond(value.sign, rounding)
        return result

    def _beyond(self, sign: int, rounding: Round) -> Value:
        """What a rounding beyond the largest finite value leaves."""
        self.flags |= _BEYOND
        profile = _PROFILES[rounding.rounding].replace(overflow="overflow")
        top = rounding.format.max
        if not rounding.stop_at_max:
            return INF._replace(sign=sign)
        beyond = encode(Value(sign, top.significand * 4, top.exponent), rounding.format, profile)
        self.flags |= beyond.status.value
        return decode(beyond.code, rounding.format)

    def scale_result(self, total: Value, scales: Sequence[Value], c: Term) -> Value:
        """The result times the scales of whole tensors, plus C if both are exact."""
        rounding = self.record.tensor_scale
        factor = scales[0] if len(scales) == 1 else self._multiply(*scales)
        if rounding is None:
            return self.add(Fuse(), [_term(self._multiply(total, factor))], c).value
        factor = self.round_value(factor, rounding, "scale")
        return self.round_value(self._multiply(total, factor), rounding, "result")

    def _note_special(self, terms: list[Term], carried: Term | None, result: Value) -> None:
        """A sum that is NaN or Inf, for the trace."""
        if self.keep:
            cuts = [Cut(term.value, term.exponent, term.value, ZERO) for term in terms]
            last = None if carried is None else Cut(*carried[:2], carried.value, ZERO)
            self.trace.append(Added(tuple(cuts), last, None, None, result, result))


def _reference(step: Fuse, terms: list[Term], carried: Term | None) -> int | None:
    """The exponent that terms are aligned to: the largest, at least the floor; None if there is none."""
    found = [term.exponent for term in terms if term.exponent is not None]
    if carried is not None and carried.exponent is not None:
        found.append(carried.exponent)
    if step.floor is not None:
        found.append(step.floor)
    return max(found, default=None)


def _quantum(step: Fuse, reference: int | None, bits: int | None) -> int | None:
    """The exponent of the unit that terms are cut to; None if nothing is cut."""
    if step.quantum is not None or bits is None or reference is None:
        return step.quantum
    return reference - bits


def _cut(term: Term, kept: Value) -> Cut:
    """What became of a term, for the trace."""
    lost = _exact_sum([term.value, kept._replace(sign=1 - kept.sign)])
    return Cut(term.value, term.exponent, kept, lost if lost.significand else ZERO)


def _exact_sum(values: Sequence[Value]) -> Value:
    """The sum of finite values, +0 if it is zero."""
    lowest = min([value.exponent for value in values if value.significand], default=0)
    total = 0
    for value in values:
        if value.significand:
            shifted = value.significand << (value.exponent - lowest)
            total += -shifted if value.sign else shifted
    return Value(int(total < 0), abs(total), lowest)


def _times(a: Value, b: Value) -> Value:
    """The exact product; Inf * 0 is NaN."""
    sign = a.sign ^ b.sign
    if a.kind is Kind.FINITE and b.kind is Kind.FINITE:
        return Value(sign, a.significand * b.significand, a.exponent + b.exponent)
    if a.is_nan or b.is_nan or a.is_zero or b.is_zero:
        return NAN
    return INF._replace(sign=sign)


def _term(value: Value, emin: int | None = None) -> Term:
    """A value as a term: it is aligned by its leading bit, or by emin if it is subnormal."""
    if not value.significand:
        return Term(value, None)
    leading = value.leading
    return Term(value, leading if emin is None else max(leading, emin))


# Flags are gathered as plain integers, which are quicker than members of Status.
_INEXACT = Status.INEXACT.value
_TINY = _INEXACT | Status.UNDERFLOW.value
_BEYOND = _INEXACT | Status.OVERFLOW.value
_ONE = Term(Value(0, 1, 0), 0)
_NOTHING = Term(ZERO, None)
_PROFILES: Mapping[Rounding, Profile] = {
    rounding: OCP.replace(rounding=rounding)
    for rounding in Rounding
    if rounding is not Rounding.STOCHASTIC
}


class _Terms(dict[int, Term]):
    """The terms that the codes of a format stand for, decoded when first met."""

    def __init__(self, fmt: ElementFormat) -> None:
        super().__init__()
        self.fmt = fmt

    def __missing__(self, code: int) -> Term:
        value = decode(code, self.fmt)
        exponent = value.exponent + self.fmt.mantissa_bits if value.significand else None
        self[code] = Term(value, exponent)
        return self[code]


@lru_cache(maxsize=256)
def _terms(fmt: ElementFormat) -> _Terms:
    return _Terms(fmt)


def _is_tiny(term: Term, fmt: ElementFormat) -> bool:
    """Whether an element is zero or has no hidden bit."""
    hidden = 1 << fmt.mantissa_bits
    return isinstance(fmt, FloatFormat) and term.value.is_finite and term.value.significand < hidden


@implements("MX-6.2-PAD")
def _checked(operand: Operand) -> Operand:
    """An operand with its format looked up and its lengths compared."""
    if not isinstance(operand, Operand):
        raise BadType(f"operand {operand!r}; expected an Operand")
    fmt = operand.format
    fmt = find_operand_format(fmt) if isinstance(fmt, str) else fmt
    codes, scales = _integers(operand.codes), _integers(operand.scales)
    operand = operand._replace(format=fmt, codes=codes, scales=scales)
    check_tensor_scale(operand.tensor_scale)
    if not isinstance(fmt, BlockFormat):
        if operand.scales:
            raise BadShape(f"{len(operand.scales)} scales; {fmt} is an element format and has none")
        return operand
    if len(operand.codes) != len(operand.scales) * fmt.k:
        raise BadShape(
            f"{len(operand.codes)} codes and {len(operand.scales)} scales; {fmt} has k = {fmt.k} (MX-6.2-SUM)"
        )
    return operand


def _integers(codes: Sequence[int]) -> tuple[int, ...]:
    """Codes as Python's own integers."""
    try:
        return tuple(map(index, codes))
    except TypeError as error:
        raise BadType(f"codes: {error}; expected integers") from None


def find_operand_format(name: str) -> BlockFormat | ElementFormat:
    """A format by name, ``TF32`` among them."""
    return TF32 if name.strip().lower() == "tf32" else find_format(name)


def block_size(a: Operand, b: Operand) -> int:
    """The block size k that both operands share; all of K without blocks.

    Raises
    ------
    BadShape
    """
    if len(a.codes) != len(b.codes):
        raise BadShape(
            f"K = {len(a.codes)} and {len(b.codes)}; expected the same length (MX-6.1-DOT)"
        )
    sizes = {one.format.k for one in (a, b) if isinstance(one.format, BlockFormat)}
    if len(sizes) == 2:
        first, second = (getattr(one.format, "k", None) for one in (a, b))
        raise BadShape(f"k = {first} and k = {second}; expected the same block size (MX-6.1-DOT)")
    return sizes.pop() if sizes else max(len(a.codes), 1)


def _bits(value: Value, fmt: FloatFormat, nan: NanWord) -> int:
    """The bits of a value that the format holds."""
    return nan_bits(fmt, nan) if value.is_nan else encode(value, fmt, _CARRIER).code


def nan_bits(fmt: FloatFormat, word: NanWord) -> int:
    """The bits of the NaN that comes out."""
    quiet = fmt.max_code + 1 + (1 << (fmt.mantissa_bits - 1))
    match word:
        case NanWord.QUIET:
            return quiet
        case NanWord.ALL_ONES:
            return fmt.magnitude_mask
        case NanWord.NEGATIVE_QUIET:
            return fmt.sign_mask | quiet


_CARRIER = OCP.replace(overflow="overflow")
