"""A model in C that anybody can call: conversions of some block formats and their dot product, without Python.

Nothing of the arithmetic is written a second time. What codes stand for, where an encoder steps and where a scale steps
are tables that the exact core makes; the sums are the nodes of the accumulation, each a C function. The C that remains
adds, shifts and rounds integers.

One table serves an encoder under every power of two. It is over binary64, and an input of at most 24 bits divided by a
scale of 8 bits is a normal number of binary64, exactly: subnormal inputs have their leading bit, and quotients that
binary32 could not hold are as good as any. Scales with a mantissa have one table for each odd significand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from textwrap import wrap
from typing import Any, NamedTuple

from conformance.rendering import render
from mxemu import __version__
from mxemu.accumulation import (
    EXACT,
    Accumulation,
    Chain,
    Fuse,
    Lanes,
    Late,
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
    accumulator_of,
)
from mxemu.accumulations import find as find_accumulation
from mxemu.accumulations import to_mapping
from mxemu.errors import BadFormat
from mxemu.formats import (
    BINARY32,
    BINARY64,
    CARRIERS,
    BlockFormat,
    ElementFormat,
    FloatFormat,
)
from mxemu.formats import block_format as find_block_format
from mxemu.formats import carrier as find_carrier
from mxemu.products import nan_bits
from mxemu.profile import (
    OCP,
    AmaxNan,
    InfBlock,
    InputSubnormals,
    Profile,
    Rounding,
    ScaleNan,
    plain,
)
from mxemu.profile import profile as find_profile
from mxemu.runs import Run, runs
from mxemu.scalar import decode, encode
from mxemu.scale import scale_rows
from mxemu.value import INF, ZERO, Kind, Value

# Codes and scales are bytes in C.
_WIDEST = 8
_NONE = "NONE"
# Doublings of any number of terms that fits a machine.
_DOUBLINGS = 33
_MODES = {
    Rounding.TIES_TO_EVEN: "TIES_TO_EVEN",
    Rounding.TIES_TO_AWAY: "TIES_TO_AWAY",
    Rounding.TOWARD_ZERO: "TOWARD_ZERO",
    Rounding.TOWARD_POSITIVE: "TOWARD_POSITIVE",
    Rounding.TOWARD_NEGATIVE: "TOWARD_NEGATIVE",
    Rounding.TO_ODD: "TO_ODD",
}
_KINDS = {Kind.FINITE: 0, Kind.INF: 1, Kind.NAN: 2}


def c_model(
    formats: BlockFormat | str | Sequence[BlockFormat | str],
    profile: Profile | str = OCP,
    accumulation: Accumulation | str = EXACT,
    *,
    carrier: FloatFormat | str = BINARY32,
    name: str = "mx_model",
    prefix: str = "mx",
    blocks: int = 8,
) -> dict[str, str]:
    """A model in plain C99: a header, its source, and the imports for DPI-C.

    Parameters
    ----------
    formats : block formats or their names
        Elements and scales of at most 8 bits; any two of the same block size can meet in a dot product.
    profile : Profile or str
        Any rounding but STOCHASTIC.
    accumulation : Accumulation or str
        Of the dot product, whose C and result are binary32. Scales of whole tensors have no place in it.
    carrier : FloatFormat or str
        Of the numbers that are encoded and quantized: binary32, binary16 or bfloat16.
    name : str
        Of the files, without ending.
    prefix : str
        Of functions and, in capitals, constants.
    blocks : int
        The most blocks of a dot product that is called through DPI-C.

    Returns
    -------
    dict of str to str
        File name to text; the same for the same arguments.

    Raises
    ------
    BadFormat
        For what the model has no room for.
    UnknownName

    Examples
    --------
    >>> sorted(c_model("MXFP4", accumulation="fp32-fma"))
    ['mx_model.c', 'mx_model.h', 'mx_model_dpi.sv']
    """
    listed = [formats] if isinstance(formats, BlockFormat | str) else formats
    found = tuple(dict.fromkeys(map(find_block_format, listed)))
    source, record = find_carrier(carrier), find_accumulation(accumulation)
    _check(found, find_profile(profile), source, blocks)
    for word in (name, prefix):
        if not word.isidentifier() or not word.isascii():
            raise BadFormat(f"{word!r} is no identifier in C")
    context = _context(found, find_profile(profile), record, source)
    context |= {"name": name, "p": prefix, "P": prefix.upper(), "blocks": blocks}
    context |= {
        "guard": f"{name.upper()}_H",
        "title": f"{name}: a reference model of MX arithmetic",
    }
    return {
        f"{name}.c": render("model_c.j2", context),
        f"{name}.h": render("model_h.j2", context),
        f"{name}_dpi.sv": render("model_dpi.j2", context),
    }


def identifier(name: str) -> str:
    """A name as a part of an identifier."""
    return "".join(letter if letter.isalnum() else "_" for letter in name).lower()


def _check(
    formats: tuple[BlockFormat, ...], profile: Profile, carrier: FloatFormat, blocks: int
) -> None:
    """Refuse what the model has no room for."""
    if profile.rounding is Rounding.STOCHASTIC:
        raise BadFormat(
            "STOCHASTIC rounding in a C model; its result is no function of the input alone"
        )
    if carrier not in CARRIERS.values() or carrier.width > 32:
        raise BadFormat(f"carrier {carrier} in a C model; expected binary32, binary16 or bfloat16")
    if not formats:
        raise BadFormat("no format for a C model; expected at least one")
    if type(blocks) is not int or blocks < 1:
        raise BadFormat(f"blocks = {blocks!r}; expected at least 1")
    for one in formats:
        if max(one.element.width, one.scale.width) > _WIDEST:
            raise BadFormat(f"{one} in a C model; expected codes and scales of at most 8 bits")
        if isinstance(one.element, FloatFormat) and not one.element.subnormals:
            raise BadFormat(f"{one}: no clause defines a conversion to elements without zero")
    if len({identifier(one.name) for one in formats}) < len(formats):
        raise BadFormat("formats of the same name in a C model; expected names that differ")


def _context(
    formats: tuple[BlockFormat, ...],
    profile: Profile,
    record: Accumulation,
    carrier: FloatFormat,
) -> dict[str, Any]:
    """All that the templates name."""
    tables = _Tables(profile, record, carrier)
    rows = [tables.format_row(one) for one in formats]
    nodes = _Nodes(_finished(record), record, formats)
    return {
        "version": __version__,
        "record": [*_record_lines(formats, profile, record, carrier)],
        "formats": rows,
        "values": [*tables.values.values()],
        "runs": [*tables.runs.values()],
        "encoders": [*tables.encoders.values()],
        **_conversion(profile, carrier),
        **_widest(formats),
        **nodes.context(),
        **_products(record, nodes),
    }


def _record_lines(
    formats: tuple[BlockFormat, ...], profile: Profile, record: Accumulation, carrier: FloatFormat
) -> Iterator[str]:
    """What the model is of, for a comment."""
    choices = {key: plain(one) for key, one in profile.changes().items()}
    lines = [
        f"Formats: {', '.join(map(str, formats))}; inputs are {carrier}, values and sums binary32.",
        f"Profile: {profile.name}{' ' + json.dumps(choices, default=str) if choices else ''}",
        f"Accumulation: {json.dumps(to_mapping(record))}",
    ]
    for line in lines:
        yield from wrap(line.replace("*/", "* /"), 108, break_long_words=False)


def _conversion(profile: Profile, carrier: FloatFormat) -> dict[str, Any]:
    """The carrier and the choices of a profile that are no tables."""
    flushes = profile.input_subnormals is InputSubnormals.FLUSH
    tiny = f"{1 << carrier.mantissa_bits:#x}u"
    return {
        "carrier": carrier.name,
        "carrier_width": carrier.width,
        "mantissa": carrier.mantissa_bits,
        "bias": carrier.bias,
        "top": carrier.width - 1,
        "magnitude": carrier.magnitude_mask,
        "inf": carrier.inf,
        "min_normal": 1 << carrier.mantissa_bits,
        "least": tiny if flushes else 1,
        "least_amax": 1 if profile.input_subnormals is InputSubnormals.KEEP else tiny,
        "flush_block": profile.input_subnormals is InputSubnormals.FLUSH_BLOCK,
        "propagate_nan": profile.amax_nan is AmaxNan.PROPAGATE,
        "count_inf": profile.inf_block is not InfBlock.FINITE_AMAX,
        "out_of_range": profile.out_of_binary32.value,
    }


def _widest(formats: tuple[BlockFormat, ...]) -> dict[str, int]:
    """Sizes of the arrays that hold a block of any format."""
    return {
        "widest_k": max(one.k for one in formats),
        "widest_codes": max(one.k * one.element.width for one in formats),
        "widest_scale": max(one.scale.width for one in formats),
    }


def _products(record: Accumulation, nodes: _Nodes) -> dict[str, Any]:
    """What is done before and after the sums."""
    fmt, subnormals = accumulator_of(record), record.operand_subnormals
    at_operand = record.scale_at is ScaleAt.OPERAND
    return {
        "accumulation": record.name,
        "positive": record.zero_sign is ZeroSign.POSITIVE,
        "at_product": record.scale_at is ScaleAt.PRODUCT,
        "at_operand": at_operand,
        "operand": nodes.rounding(Round(record.operand_format))
        if at_operand and record.operand_format
        else None,
        "exponent": record.product_exponent.value,
        "products": None if record.products is None else nodes.rounding(record.products),
        "limit": record.product_limit,
        "flush_c": subnormals is not OperandSubnormals.KEEP,
        "flush_c_positive": subnormals is OperandSubnormals.FLUSH_POSITIVE,
        "flush_c_below": (fmt or BINARY32).emin,
        "c_emin": None if fmt is None else fmt.emin,
        "final": nodes.rounding(_last_rounding(record)),
        "nan": f"{nan_bits(BINARY32, record.nan_word):#x}u",
        "roundings": nodes.roundings,
    }


def _last_rounding(record: Accumulation) -> Round:
    """That of the result."""
    return Round(BINARY32, record.rounding, stop_at_max=True)


def _finished(record: Accumulation) -> Node:
    """The accumulation's node, with the result's rounding in the last sum where that would hand on what is exact.

    So the longest sum of all, that of ``EXACT``, is rounded where it stands.
    """
    if record.zero_sign is ZeroSign.POSITIVE:
        return record.node

    def finished(node: Node) -> Node:
        match node:
            case Sum() | Late() if not node.step.out:
                return replace(node, step=replace(node.step, out=(_last_rounding(record),)))
            case Parts() | Lanes():
                return replace(node, outer=finished(node.outer))
            case _:
                return node

    return finished(record.node)


class _Values(NamedTuple):
    """A table of the values of all codes: magnitude, exponent, align, sign, kind."""

    name: str
    note: str
    rows: tuple[tuple[Any, ...], ...]


class _StepFunction(NamedTuple):
    """A table of first inputs and codes."""

    name: str
    note: str
    firsts: tuple[int, ...]
    codes: tuple[int, ...]


class _Encoders(NamedTuple):
    """The encoders of an element under the scales of a format, one for each odd significand."""

    name: str
    members: tuple[_StepFunction, ...]


@dataclass
class _Tables:
    """The tables of a model; formats that need the same ones share them."""

    profile: Profile
    record: Accumulation
    carrier: FloatFormat
    values: dict[Any, _Values] = field(default_factory=dict)
    runs: dict[Any, _StepFunction] = field(default_factory=dict)
    encoders: dict[str, _Encoders] = field(default_factory=dict)

    def format_row(self, fmt: BlockFormat) -> dict[str, Any]:
        """One block format: its widths and the names of its tables."""
        element, scale = fmt.element, fmt.scale
        _check_reach(fmt, self.carrier)
        return {
            "identifier": identifier(fmt.name),
            "width": element.width,
            "scale_width": scale.width,
            "k": fmt.k,
            "decoded": self._codes(
                element, "values", lambda code: decode(code, element, self.profile)
            ),
            "terms": self._codes(
                element, "terms", lambda code: _operand(decode(code, element), element, self.record)
            ),
            "scales": self._codes(scale, "scales", lambda code: self._scale(code, scale)),
            "dividers": self._codes(scale, "dividers", lambda code: decode(code, scale)),
            "factors": self._codes(scale, "factors", lambda code: self._factor(code, scale)),
            "encoders": self._encoders(element, scale),
            "scaling": f"&{self._scaling(fmt)}",
        }

    def _codes(self, fmt: ElementFormat, use: str, value_of: Callable[[int], Value]) -> str:
        """The name of the table of all codes of a format, as one use of it has them."""
        emin = self._operand_emin() if use == "terms" else None
        rows = tuple(
            _code_row(value_of(code), fmt.mantissa_bits, emin) for code in range(1 << fmt.width)
        )
        if rows not in self.values:
            name = f"{identifier(fmt.name)}_{use}"
            self.values[rows] = _Values(name, f"Every code of {fmt}, as {use}.", rows)
        return self.values[rows].name

    def _operand_emin(self) -> int | None:
        """The smallest exponent of the operands' format, if the terms are numbers of it."""
        if self.record.operand_format is None or self.record.scale_at is ScaleAt.OPERAND:
            return None
        return self.record.operand_format.emin

    def _scale(self, code: int, fmt: FloatFormat) -> Value:
        """A scale as `dequantize` reads it."""
        value = decode(code, fmt)
        if not value.is_nan:
            return value
        match self.profile.scale_nan:
            case ScaleNan.NAN:
                return value
            case ScaleNan.POWER:
                return Value(0, 1, fmt.max.leading + 1)
            case ScaleNan.INF:
                return INF

    def _factor(self, code: int, fmt: FloatFormat) -> Value:
        """A scale as a dot product reads it."""
        value = ZERO if self.record.scale_zero_code and not code else decode(code, fmt)
        return value._replace(sign=0) if self.record.scale_unsigned else value

    def _encoders(self, element: ElementFormat, scale: FloatFormat) -> str:
        """The name of the encoders of an element under any scale of a format."""
        name = f"{identifier(element.name)}_under_{identifier(scale.name)}"
        if name not in self.encoders:
            widest = max(value.significand for value in _numbers(scale))
            odd = range(1, max(widest, 1) + 1, 2)
            members = tuple(self._encoder(element, significand) for significand in odd)
            self.encoders[name] = _Encoders(name, members)
        return name

    def _encoder(self, element: ElementFormat, significand: int) -> _StepFunction:
        """The steps of an element's code over binary64 numbers that are divided by a significand."""
        key = (element, significand)
        if key not in self.runs:
            profile = self.profile.replace(input_subnormals=InputSubnormals.KEEP)
            scale = None if significand == 1 else Value(0, significand, 0)
            rows = runs(element, BINARY64, profile, scale).rows
            divided = "" if scale is None else f" divided by {significand}"
            note = f"The {element} code of a number{divided}: first binary64 bits of each row."
            name = f"{identifier(element.name)}_by_{significand}"
            self.runs[key] = _step_function(name, note, rows)
        return self.runs[key]

    def _scaling(self, fmt: BlockFormat) -> str:
        """The name of the scale of a block as a function of its largest magnitude."""
        name = f"{identifier(fmt.name)}_scaling"
        note = f"The scale code of {fmt}: first {self.carrier} bits of the largest magnitude of each row."
        table = _step_function(name, note, scale_rows(self.carrier, fmt, self.profile))
        self.runs[name] = table
        self.encoders[name] = _Encoders(name, (table,))
        return f"{name}[0]"


def _step_function(name: str, note: str, rows: Iterable[Run]) -> _StepFunction:
    firsts, codes = zip(*rows, strict=True)
    return _StepFunction(name, note, firsts, codes)


def _check_reach(fmt: BlockFormat, carrier: FloatFormat) -> None:
    """Refuse scales that divide a number out of binary64: the model's search is over its normal numbers."""
    scales = [value for value in _numbers(fmt.scale) if not value.sign]
    lowest = carrier.min_positive.leading - max(value.leading for value in scales)
    highest = carrier.max.leading - min(value.exponent for value in scales)
    if lowest < BINARY64.emin or highest > BINARY64.emax:
        raise BadFormat(f"{fmt} in a C model; its scales take {carrier} beyond binary64")


def _numbers(fmt: ElementFormat) -> list[Value]:
    """The finite values of a format, without zeros."""
    values = [decode(code, fmt) for code in range(1 << fmt.width)]
    return [value for value in values if value.significand]


def _code_row(value: Value, mantissa_bits: int, emin: int | None) -> tuple[Any, ...]:
    """A value for C; it is aligned by its exponent field, or as a number of the operands' format."""
    if not value.significand:
        return 0, 0, "INT16_MIN", value.sign, _KINDS[value.kind]
    align = value.exponent + mantissa_bits if emin is None else max(value.leading, emin)
    return value.significand, value.exponent, align, value.sign, 0


def _operand(value: Value, fmt: ElementFormat, record: Accumulation) -> Value:
    """An element as a dot product takes it: flushed, and converted to the operands' format."""
    hidden = 1 << fmt.mantissa_bits
    tiny = isinstance(fmt, FloatFormat) and value.is_finite and value.significand < hidden
    if tiny and record.operand_subnormals is not OperandSubnormals.KEEP:
        positive = record.operand_subnormals is OperandSubnormals.FLUSH_POSITIVE
        value = ZERO if positive else ZERO._replace(sign=value.sign)
    if record.operand_format is None or record.scale_at is ScaleAt.OPERAND or value.is_nan:
        return value
    overflowing = OCP.replace(overflow="overflow")
    return decode(encode(value, record.operand_format, overflowing).code, record.operand_format)


class _Span(NamedTuple):
    """Where the bits of certain numbers can lie.

    Attributes
    ----------
    lowest, leading : int
        Exponents of the last and of the leading bit.
    bits : int
        Of a magnitude.
    shared : int
        Between the lowest and the leading bit of numbers that have the same scales.
    over : int
        How far the leading bit can lie above the exponent that alignment sees.
    """

    lowest: int
    leading: int
    bits: int
    shared: int
    over: int

    @property
    def width(self) -> int:
        return self.leading - self.lowest + 1


def _join(*spans: _Span) -> _Span:
    """What holds numbers of several kinds."""
    lowest, leading, bits, shared, over = zip(*spans, strict=True)
    return _Span(min(lowest), max(leading), max(bits), max(shared), max(over))


def _span_of(values: Iterable[Value], mantissa_bits: int) -> _Span:
    """That of the values of some codes."""
    listed = [one for one in values if one.significand] or [Value(0, 1, 0)]
    lowest = min(one.exponent for one in listed)
    leading = max(one.leading for one in listed)
    bits = max(one.significand.bit_length() for one in listed)
    over = max(one.leading - one.exponent - mantissa_bits for one in listed)
    return _Span(lowest, leading, bits, leading - lowest + 1, max(over, 0))


def _span_in(rounding: Round) -> _Span:
    """That of the numbers of a format."""
    fmt = rounding.format
    lowest, leading = fmt.emin - fmt.mantissa_bits, fmt.emax
    return _Span(lowest, leading, fmt.mantissa_bits + 2, leading - lowest + 1, 0)


def _times(a: _Span, b: _Span, *, same: bool) -> _Span:
    """That of products; the second factor is the same in all that share scales, or not."""
    shared = a.shared + (b.bits if same else b.shared)
    lowest, leading = a.lowest + b.lowest, a.leading + b.leading + 1
    return _Span(lowest, leading, a.bits + b.bits, shared, a.over + b.over + 1)


class _Nodes:
    """The accumulation's tree as C functions, steps and roundings, and the bits that its sums need."""

    def __init__(self, node: Node, record: Accumulation, formats: tuple[BlockFormat, ...]) -> None:
        self.record, self.formats = record, formats
        self.nodes: list[dict[str, Any]] = []
        self.steps: list[tuple[Any, ...]] = []
        self.roundings: list[tuple[Any, ...]] = []
        self.scaling: dict[str, Any] | None = None
        self.wide = 1
        self.bits = 1
        self.root = self._emit(node)
        carried = Round(BINARY32)
        self._walk(node, self._keep(self._products()), None, _span_in(carried), same=False)

    def context(self) -> dict[str, Any]:
        limbs = -(-self.bits // 64)
        depth = sum(node["kind"] == "parts" for node in self.nodes)
        return {
            "nodes": self.nodes,
            "root": self.root,
            "steps": self.steps,
            "scaling": self.scaling,
            "limbs": limbs,
            "wide": max(self.wide // 64 + 1, limbs),
            "room": 3 + depth,
        }

    def rounding(self, given: Round) -> int:
        """The row of a rounding."""
        return self._rows((given,))[0]

    def _rows(self, given: tuple[Round, ...]) -> tuple[int, int]:
        """First and after of some roundings, one after the other."""
        rows = [_rounding_row(one) for one in given]
        for first in range(len(self.roundings) - len(rows) + 1):
            if self.roundings[first : first + len(rows)] == rows:
                return first, first + len(rows)
        self.roundings += rows
        return len(self.roundings) - len(rows), len(self.roundings)

    def _optional(self, given: Round | None) -> int | None:
        return None if given is None else self.rounding(given)

    def _step(self, step: Fuse) -> int:
        """The row of a step."""
        carried = step.fraction_bits if step.carried_bits is None else step.carried_bits
        given = (step.fraction_bits, carried, step.carried_reach)
        register = (step.floor, step.quantum, step.width)
        row = (
            *map(_or_none, given),
            _MODES[step.align],
            *map(_or_none, register),
            int(step.saturate),
            *self._rows(step.out),
            self._zero(step),
        )
        if row not in self.steps:
            self.steps.append(row)
        return self.steps.index(row)

    def _zero(self, step: Fuse) -> str:
        """The rule for the sign of a sum that is zero; a register has no -0."""
        if self.record.zero_sign is not ZeroSign.IEEE or step.quantum is not None:
            return "ZERO_POSITIVE"
        rounding = step.out[-1].rounding if step.out else self.record.rounding
        negative = rounding is Rounding.TOWARD_NEGATIVE
        return "ZERO_IEEE_NEGATIVE" if negative else "ZERO_IEEE"

    def _emit(self, node: Node) -> int:
        """A node as a function, after those that it calls; its number."""
        row: dict[str, Any] = {"kind": type(node).__name__.lower(), "note": _NOTES[type(node)]}
        match node:
            case Sum():
                row |= {"step": self._step(node.step)}
            case Chain():
                row |= {"step": self._step(node.step), "length": node.length, "order": node.order}
            case Tree():
                row |= {"step": self._step(node.step), "leaf": node.leaf}
            case Nested():
                row |= {"step": self._step(node.step), "branches": [*_branches(node.tree)]}
                row |= {"count": node.count, "holds_c": node.holds_c}
            case Parts():
                row |= self._inside(node) | {"length": node.length}
                row |= {"scale": node.scale is not None}
                self._set_scaling(node)
            case Lanes():
                row |= self._inside(node) | {"count": node.count}
            case Late():
                row |= {"step": self._step(node.step), "inner": self._emit(node.inner)}
        if isinstance(node, Chain | Tree | Nested):
            row["rounding"] = self._optional(node.terms)
        self.nodes.append(row | {"id": len(self.nodes)})
        return len(self.nodes) - 1

    def _inside(self, node: Parts | Lanes) -> dict[str, int]:
        return {"inner": self._emit(node.inner), "outer": self._emit(node.outer)}

    def _set_scaling(self, node: Parts) -> None:
        """How the sums of runs are scaled; one node at most does it."""
        if node.scale is not None:
            self.scaling = {
                "scale": [self.rounding(one) for one in node.scale],
                "apart": self._optional(node.apart),
                "scaled": self._optional(node.scaled),
            }

    @cached_property
    def _factors(self) -> _Span:
        """That of products of two scales."""
        spans = [_span_of(_numbers(one.scale), one.scale.mantissa_bits) for one in self.formats]
        return _times(_join(*spans), _join(*spans), same=True)

    def _products(self) -> _Span:
        """That of the products."""
        record = self.record
        elements = _join(*(self._elements(one.element) for one in self.formats))
        if record.scale_at is ScaleAt.OPERAND and record.operand_format is not None:
            elements = _span_in(Round(record.operand_format))
        span = _times(elements, elements, same=False)
        if record.product_exponent is ProductExponent.SCALE:
            span = span._replace(over=max(span.leading, 0))
        if record.scale_at is ScaleAt.PRODUCT:
            span = _times(span, self._factors, same=True)
        return span if record.products is None else _span_in(record.products)

    def _elements(self, fmt: ElementFormat) -> _Span:
        """That of the elements as a dot product takes them."""
        values = [_operand(one, fmt, self.record) for one in _numbers(fmt)]
        if self.record.operand_format is not None:
            return _span_of(values, 0)._replace(over=0)
        return _span_of(values, fmt.mantissa_bits)

    def _keep(self, span: _Span) -> _Span:
        """A span whose numbers are handed on, noted."""
        self.bits = max(self.bits, span.bits)
        return span

    def _sum(self, step: Fuse, terms: _Span, count: int | None, *, same: bool) -> _Span:
        """That of sums of some terms."""
        growth = _DOUBLINGS if count is None else count.bit_length() + 1
        lowest = terms.lowest if step.quantum is None else max(terms.lowest, step.quantum)
        bits = max(terms.leading - lowest + 1, 1)
        bits = min(bits, terms.shared) if same else bits
        if step.fraction_bits is not None:
            kept = max(step.fraction_bits, step.carried_bits or 0)
            bits = min(bits, kept + terms.over + 2)
        register = step.width is not None and step.quantum is not None
        if register:
            bits = max(terms.leading - lowest + 1, lowest - (step.quantum or 0) + 1)
        # A bit for a carry, one for the sign, and what `words_of` adds.
        self.wide = max(self.wide, bits + growth + 6)
        if step.out:
            return self._keep(_span_in(step.out[-1]))
        bits, leading = bits + growth, terms.leading + growth
        if register and step.width is not None:
            bits = min(bits, step.width)
        return self._keep(_Span(lowest, leading, bits, bits, terms.over + growth))

    def _again(self, step: Fuse, terms: _Span, count: int | None, *, same: bool) -> _Span:
        """That of sums of sums, however many follow each other."""
        if step.out:
            terms = _join(terms, self._sum(step, terms, count, same=same))
            return self._sum(step, terms, count, same=False)
        return self._sum(step, terms, None, same=same)

    def _walk(
        self, node: Node, terms: _Span, count: int | None, carried: _Span | None, *, same: bool
    ) -> _Span:
        """That of the sum of some terms, and of what is carried in, as a node has it."""
        both = terms if carried is None else _join(terms, carried)
        alike = same and carried is None
        match node:
            case Sum():
                return self._sum(node.step, both, count, same=alike)
            case Chain() | Tree() | Nested():
                if node.terms is not None:
                    both = _join(both, self._keep(_span_in(node.terms)))
                return self._again(node.step, both, None, same=alike)
            case Parts():
                lengths = [(one.k, node.length or one.k) for one in self.formats]
                whole = same or all(k % length == 0 for k, length in lengths)
                most = max(length for _, length in lengths)
                inner = self._scaled(node, self._walk(node.inner, terms, most, None, same=whole))
                return self._walk(node.outer, inner, None, carried, same=False)
            case Lanes():
                inner = self._walk(node.inner, terms, count, None, same=same)
                return self._walk(node.outer, inner, node.count, carried, same=False)
            case Late():
                inner = self._walk(node.inner, terms, count, None, same=same)
                last = inner if carried is None else _join(inner, carried)
                return self._sum(node.step, last, 2, same=False)

    def _scaled(self, node: Parts, span: _Span) -> _Span:
        """That of sums of runs after their scales."""
        if node.scale is None:
            return span
        if node.apart is not None:
            span = _join(span, _span_in(node.apart))
        span = self._keep(_times(span, self._factors, same=False))
        return span if node.scaled is None else self._keep(_span_in(node.scaled))


_NOTES: Mapping[type, str] = {
    Sum: "All terms and what is carried in, in one sum.",
    Chain: "Groups of terms one after the other.",
    Tree: "Halves added to halves.",
    Nested: "A tree that is written out.",
    Parts: "Runs of terms, then their sums.",
    Lanes: "Every so many terms, then the sums of these lanes.",
    Late: "The terms, then what is carried in.",
}


def _or_none(given: int | None) -> int | str:
    return _NONE if given is None else given


def _rounding_row(one: Round) -> tuple[Any, ...]:
    """A rounding in the fields of C."""
    fmt = one.format
    flags = (int(one.flush), int(one.stop_at_max))
    return (_MODES[one.rounding], fmt.mantissa_bits, fmt.emin, fmt.emax, *flags)


class _Branch(NamedTuple):
    """One sum of a tree that is written out: its terms lie in [first, after), its result goes to another place."""

    leaves: tuple[tuple[int, int], ...]
    first: int
    after: int
    result: int
    holds_c: bool


def _branches(tree: Any, result: int = 0, free: int = 1) -> Iterator[_Branch]:
    """The sums of a tree in the order in which they can be made."""
    own = [one for one in tree if one != -1]
    places = [*enumerate(own, free)]
    below = free + len(own)
    for place, one in places:
        if isinstance(one, tuple):
            yield from _branches(one, place, below)
    leaves = tuple((one, place) for place, one in places if not isinstance(one, tuple))
    yield _Branch(leaves, free, below, result, -1 in tree)
