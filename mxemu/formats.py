"""Formats as data: float and integer elements, scales, blocks, and the registry of those with a name.

A record holds what a document prints once: widths, bias, which codes are special. Everything else (largest
value, emin, emax, counts, bits of a block) is derived from the record by the properties here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

from mxemu.clauses import implements
from mxemu.errors import BadFormat, unknown
from mxemu.value import Value

MX = "OCP MX v1.0"
NOT_OCP = "not OCP"


@dataclass(frozen=True)
class FloatFormat:
    """A small float: sign, exponent field, mantissa, and which codes are special.

    Parameters
    ----------
    name : str
    exponent_bits, mantissa_bits : int
        Widths of the fields in bits; the mantissa is the stored field, without the hidden bit.
    bias : int
        The exponent field E of a normal number means 2^(E - bias).
    signed : bool
        Whether there is a sign bit above the exponent field.
    inf : int, optional
        The code of +Inf, without the sign bit; None if the format has none.
    nans : range
        The codes that are NaN, without the sign bit.
    negative_zero : bool
        False if the code of -0 is NaN instead (the FNUZ family).
    subnormals : bool
        False if exponent field 0 is an ordinary binade with a hidden bit, so that there is no zero (E8M0).
    origin : str
        The document that defines the format, or why it is not an OCP one.

    Raises
    ------
    BadFormat
        When the special codes are not the topmost ones, or a width is impossible.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    signed: bool = True
    inf: int | None = None
    nans: range = range(0)
    negative_zero: bool = True
    subnormals: bool = True
    origin: str = "custom"

    def __post_init__(self) -> None:
        if self.exponent_bits < 1 or self.mantissa_bits < 0:
            widths = f"E{self.exponent_bits}M{self.mantissa_bits}"
            raise BadFormat(
                f"{self.name}: {widths}; expected at least one exponent bit and no negative width"
            )
        top = self.magnitude_mask + 1
        first = self.max_code + 1
        placed = (
            (None, range(first, top)),
            (first, range(first + 1, top)),
            (top - 1, range(first, top - 1)),
        )
        if (self.inf, self.nans) not in placed:
            raise BadFormat(
                f"{self.name}: Inf and NaN must be distinct, topmost codes, up to {self.magnitude_mask:#x}"
            )
        if not self.signed and not self.negative_zero:
            raise BadFormat(f"{self.name}: an unsigned format has no -0 that could be NaN")
        if self.max_code < 1:
            raise BadFormat(f"{self.name}: no code is left for a positive number")

    @cached_property
    def width(self) -> int:
        """Bits of a code."""
        return int(self.signed) + self.exponent_bits + self.mantissa_bits

    @cached_property
    def magnitude_mask(self) -> int:
        """All bits but the sign."""
        return (1 << (self.exponent_bits + self.mantissa_bits)) - 1

    @cached_property
    def sign_mask(self) -> int:
        """The sign bit; 0 in an unsigned format."""
        return self.magnitude_mask + 1 if self.signed else 0

    @cached_property
    def max_code(self) -> int:
        """The code of the largest finite value."""
        return self.magnitude_mask - len(self.nans) - int(self.has_inf)

    @cached_property
    def emin(self) -> int:
        """Exponent of the smallest normal number."""
        return (1 if self.subnormals else 0) - self.bias

    @cached_property
    def emax(self) -> int:
        """Exponent of the largest finite value, hence of the largest power of two."""
        return (self.max_code >> self.mantissa_bits) - self.bias

    @cached_property
    def max(self) -> Value:
        """The largest finite value."""
        return self._value_of(self.max_code)

    @cached_property
    def min_normal(self) -> Value:
        return Value(0, 1, self.emin)

    @cached_property
    def min_positive(self) -> Value:
        """The smallest value above zero."""
        return Value(0, 1, self.emin - self.mantissa_bits) if self.subnormals else self.min_normal

    @property
    def max_subnormal(self) -> Value | None:
        """The largest subnormal value, or None without subnormals."""
        if not self.subnormals or not self.mantissa_bits:
            return None
        return Value(0, (1 << self.mantissa_bits) - 1, self.emin - self.mantissa_bits)

    @property
    def has_inf(self) -> bool:
        return self.inf is not None

    @property
    def has_nan(self) -> bool:
        return len(self.nans) > 0 or not self.negative_zero

    @property
    def nan_codes(self) -> tuple[int, ...]:
        """Every NaN code, both signs. Long for wide formats: 2^24 - 2 in binary32."""
        own = tuple(self.nans)
        negative = tuple(self.sign_mask | code for code in own) if self.signed else ()
        return own + negative + (() if self.negative_zero else (self.sign_mask,))

    @property
    def counts(self) -> Mapping[str, int]:
        """How many codes are zero, subnormal, normal, Inf and NaN, and how many distinct real values there are."""
        signs = 2 if self.signed else 1
        subnormal = (1 << self.mantissa_bits) - 1 if self.subnormals else 0
        zeros = int(self.subnormals) * (signs if self.negative_zero else 1)
        normal = self.max_code + 1 - subnormal - int(self.subnormals)
        finite = zeros + signs * (subnormal + normal)
        return {
            "codes": 1 << self.width,
            "finite": finite,
            "zero": zeros,
            "subnormal": signs * subnormal,
            "normal": signs * normal,
            "inf": signs * int(self.has_inf),
            "nan": signs * len(self.nans) + int(not self.negative_zero),
            "distinct": finite - max(zeros - 1, 0),
        }

    def _value_of(self, magnitude: int) -> Value:
        """The finite value of a code without its sign bit (MX 5.3: normal and subnormal rule)."""
        field, mantissa = (
            magnitude >> self.mantissa_bits,
            magnitude & ((1 << self.mantissa_bits) - 1),
        )
        hidden = 1 if field or not self.subnormals else 0
        exponent = max(field, int(self.subnormals)) - self.bias
        return Value(0, (hidden << self.mantissa_bits) | mantissa, exponent - self.mantissa_bits)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class IntFormat:
    """A two's complement integer n with an implied scale: value n * 2^-fraction_bits (MX 5.3.4).

    Parameters
    ----------
    name : str
    width : int
        Bits of a code, at least 2.
    fraction_bits : int, optional
        Bits below the binary point; ``width - 2`` (one sign and one integer bit) unless given.
    origin : str
    """

    name: str
    width: int
    fraction_bits: int = -1
    origin: str = "custom"

    def __post_init__(self) -> None:
        if self.width < 2:
            raise BadFormat(f"{self.name}: width {self.width}; expected at least 2 bits")
        if self.fraction_bits < -1:
            raise BadFormat(
                f"{self.name}: fraction_bits = {self.fraction_bits}; expected 0 or more"
            )
        if self.fraction_bits == -1:
            object.__setattr__(self, "fraction_bits", self.width - 2)

    @cached_property
    def max_code(self) -> int:
        """The code of the largest value; its negative is the symmetric minimum."""
        return (1 << (self.width - 1)) - 1

    @cached_property
    def min_code(self) -> int:
        """The code without a positive counterpart: 0x80 in INT8, value -2."""
        return 1 << (self.width - 1)

    @cached_property
    def emax(self) -> int:
        """Exponent of the largest representable power of two."""
        return self.width - 2 - self.fraction_bits

    @cached_property
    def max(self) -> Value:
        return Value(0, self.max_code, -self.fraction_bits)

    @cached_property
    def min_positive(self) -> Value:
        return Value(0, 1, -self.fraction_bits)

    @property
    def mantissa_bits(self) -> int:
        """Bits below the leading one of the largest value."""
        return self.width - 2

    @property
    def has_inf(self) -> bool:
        return False

    @property
    def has_nan(self) -> bool:
        return False

    @property
    def signed(self) -> bool:
        return True

    @property
    def counts(self) -> Mapping[str, int]:
        """As for FloatFormat; an integer is neither normal nor subnormal."""
        total = 1 << self.width
        return {"codes": total, "finite": total, "zero": 1, "inf": 0, "nan": 0, "distinct": total}

    def __str__(self) -> str:
        return self.name


ElementFormat = FloatFormat | IntFormat


@implements("MX-5.1-BLOCK", "MX-5.1-BITS")
@dataclass(frozen=True)
class BlockFormat:
    """A block: k elements of one format that share one scale (MX 5.1).

    Parameters
    ----------
    name : str
    element : FloatFormat or IntFormat
    scale : FloatFormat
    k : int
        Elements in a block.
    origin : str
    """

    name: str
    element: ElementFormat
    scale: FloatFormat
    k: int
    origin: str = "custom"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise BadFormat(
                f"{self.name}: k = {self.k}; expected at least one element (MX-5.1-BLOCK)"
            )

    @property
    def bits_per_block(self) -> int:
        """w + k * d bits (MX 5.1)."""
        return self.scale.width + self.k * self.element.width

    @property
    def is_concrete_mx(self) -> bool:
        """Whether this is one of the six formats of MX Table 1."""
        return self in CONCRETE

    def __str__(self) -> str:
        return self.name


E4M3 = FloatFormat("E4M3", 4, 3, 7, nans=range(0x7F, 0x80), origin=MX)
E5M2 = FloatFormat("E5M2", 5, 2, 15, inf=0x7C, nans=range(0x7D, 0x80), origin=MX)
E3M2 = FloatFormat("E3M2", 3, 2, 3, origin=MX)
E2M3 = FloatFormat("E2M3", 2, 3, 1, origin=MX)
E2M1 = FloatFormat("E2M1", 2, 1, 1, origin=MX)
INT8 = IntFormat("INT8", 8, origin=MX)
E8M0 = FloatFormat(
    "E8M0", 8, 0, 127, signed=False, nans=range(0xFF, 0x100), subnormals=False, origin=MX
)

INT4 = IntFormat("INT4", 4, origin=f"{NOT_OCP}: microxcaling")
E4M3FNUZ = FloatFormat("E4M3FNUZ", 4, 3, 8, negative_zero=False, origin=f"{NOT_OCP}: CDNA3")
E5M2FNUZ = FloatFormat("E5M2FNUZ", 5, 2, 16, negative_zero=False, origin=f"{NOT_OCP}: CDNA3")
E4M3B11FNUZ = FloatFormat(
    "E4M3B11FNUZ", 4, 3, 11, negative_zero=False, origin=f"{NOT_OCP}: ml_dtypes"
)


def ieee(name: str, exponent_bits: int, mantissa_bits: int, origin: str = "custom") -> FloatFormat:
    """A float by the IEEE 754 interchange pattern: topmost exponent field for Inf and NaN.

    Examples
    --------
    >>> ieee("binary16", 5, 10).emax
    15
    """
    inf = ((1 << exponent_bits) - 1) << mantissa_bits
    nans = range(inf + 1, inf + (1 << mantissa_bits))
    return FloatFormat(
        name,
        exponent_bits,
        mantissa_bits,
        (1 << (exponent_bits - 1)) - 1,
        inf=inf,
        nans=nans,
        origin=origin,
    )


E4M3IEEE = ieee("E4M3IEEE", 4, 3, f"{NOT_OCP}: IEEE 754 pattern, ml_dtypes float8_e4m3")
E3M4 = ieee("E3M4", 3, 4, f"{NOT_OCP}: IEEE 754 pattern, ml_dtypes float8_e3m4")
BINARY64 = ieee("binary64", 11, 52, "IEEE 754")
BINARY32 = ieee("binary32", 8, 23, "IEEE 754")
BINARY16 = ieee("binary16", 5, 10, "IEEE 754")
BFLOAT16 = ieee("bfloat16", 8, 7, "upper half of binary32")

MXFP8_E4M3 = BlockFormat("MXFP8_E4M3", E4M3, E8M0, 32, origin=MX)
MXFP8_E5M2 = BlockFormat("MXFP8_E5M2", E5M2, E8M0, 32, origin=MX)
MXFP6_E3M2 = BlockFormat("MXFP6_E3M2", E3M2, E8M0, 32, origin=MX)
MXFP6_E2M3 = BlockFormat("MXFP6_E2M3", E2M3, E8M0, 32, origin=MX)
MXFP4_E2M1 = BlockFormat("MXFP4_E2M1", E2M1, E8M0, 32, origin=MX)
MXINT8 = BlockFormat("MXINT8", INT8, E8M0, 32, origin=MX)
NVFP4 = BlockFormat("NVFP4", E2M1, E4M3, 16, origin=f"{NOT_OCP}: NVIDIA")
MXINT4 = BlockFormat("MXINT4", INT4, E8M0, 32, origin=f"{NOT_OCP}: microxcaling")

_Record = TypeVar("_Record", bound="FloatFormat | IntFormat | BlockFormat")


def _by_name(records: Iterable[_Record]) -> Mapping[str, _Record]:
    return MappingProxyType({record.name: record for record in records})


@implements("MX-5.2-NAME", "MX-5.2.1-DISTINCT", "MX-5.2.1-PARAMS", "MX-5.2.1-SUBSET")
def _concrete() -> tuple[BlockFormat, ...]:
    """The six rows of MX Table 1."""
    return MXFP8_E4M3, MXFP8_E5M2, MXFP6_E3M2, MXFP6_E2M3, MXFP4_E2M1, MXINT8


CONCRETE = _concrete()
BLOCK_FORMATS = _by_name((*CONCRETE, NVFP4, MXINT4))
MX_ELEMENTS: tuple[ElementFormat, ...] = tuple(record.element for record in CONCRETE)
ELEMENTS: Mapping[str, ElementFormat] = _by_name(
    (*MX_ELEMENTS, E8M0, INT4, E4M3FNUZ, E5M2FNUZ, E4M3B11FNUZ, E4M3IEEE, E3M4)
)
CARRIERS = _by_name((BINARY64, BINARY32, BINARY16, BFLOAT16))

_ALIASES = {
    "mxfp4": "MXFP4_E2M1",
    "mxfp8": "MXFP8_E4M3",
    "fp64": "binary64",
    "fp32": "binary32",
    "fp16": "binary16",
    "bf16": "bfloat16",
    "float64": "binary64",
    "float32": "binary32",
    "float16": "binary16",
}


def element(name: ElementFormat | str) -> ElementFormat:
    """Find an element or scale format.

    Parameters
    ----------
    name : ElementFormat or str
        A record (returned as it is), a registered name in any case with ``-`` or ``_`` or neither, or a
        pattern: ``E3M3:finite``, ``E4M3:ieee``, ``E4M3:fnuz``, ``E4M3:fn`` (topmost code is NaN), ``INT6``.
        Carriers are found too.

    Raises
    ------
    UnknownName
        With a did-you-mean.

    Examples
    --------
    >>> str(element("e4m3").max), str(element("INT6").max)
    ('448', '1.9375')
    """
    if isinstance(name, FloatFormat | IntFormat):
        return name
    text = _text(name)
    found = _lookup(text, {**ELEMENTS, **CARRIERS}) or _pattern(text)
    if found is None:
        raise unknown("element format", name, [*ELEMENTS, *CARRIERS])
    return found


def carrier(name: FloatFormat | str) -> FloatFormat:
    """Find the format of the numbers that are converted: binary64, binary32, binary16 or bfloat16."""
    if isinstance(name, FloatFormat):
        return name
    found = _lookup(_text(name), CARRIERS)
    if found is None:
        raise unknown("carrier", name, CARRIERS)
    return found


def block_format(name: BlockFormat | str) -> BlockFormat:
    """Find a block format by record, by name, or as ``ELEMENT/SCALE/k`` such as ``E2M1/E8M0/16``.

    Notes
    -----
    ``MXFP8`` alone means MXFP8_E4M3, the variant in general use; ``MXFP6`` names no default and is refused.

    Examples
    --------
    >>> block_format("mxfp4").bits_per_block, block_format("e2m1/e4m3/16").k
    (136, 16)
    """
    if isinstance(name, BlockFormat):
        return name
    text = _text(name)
    found = _lookup(text, BLOCK_FORMATS) or _custom_block(text)
    if found is None:
        raise unknown("block format", name, BLOCK_FORMATS)
    return found


def find(name: str) -> ElementFormat | BlockFormat:
    """Find a format of any sort: element, scale, carrier or block."""
    everything: dict[str, ElementFormat | BlockFormat] = {**ELEMENTS, **CARRIERS, **BLOCK_FORMATS}
    found = _lookup(name, everything) or _pattern(name) or _custom_block(name)
    if found is None:
        raise unknown("format", name, everything)
    return found


def _text(name: object) -> str:
    """A name, or nothing that any record is called by: None, a record of another sort."""
    return name if isinstance(name, str) else ""


def _squeeze(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def _lookup(name: str, records: Mapping[str, _Record]) -> _Record | None:
    wanted = _squeeze(_ALIASES.get(_squeeze(name), name))
    return next((record for key, record in records.items() if _squeeze(key) == wanted), None)


def _pattern(name: str) -> ElementFormat | None:
    """A format from its pattern name, see `element`."""
    if match := re.fullmatch("int([0-9]{1,3})", name.lower()):
        return IntFormat(name.upper(), int(match[1]))
    match = re.fullmatch("e([0-9]{1,2})m([0-9]{1,3}):(finite|fn|ieee|fnuz)", name.lower())
    if match is None:
        return None
    exponent_bits, mantissa_bits, kind = int(match[1]), int(match[2]), match[3]
    label = f"E{exponent_bits}M{mantissa_bits}:{kind}"
    if kind == "ieee":
        return ieee(label, exponent_bits, mantissa_bits)
    bias = (1 << exponent_bits >> 1) - (0 if kind == "fnuz" else 1)
    top = (1 << (exponent_bits + mantissa_bits)) - 1
    nans = range(top, top + 1) if kind == "fn" else range(0)
    return FloatFormat(
        label, exponent_bits, mantissa_bits, bias, nans=nans, negative_zero=kind != "fnuz"
    )


def _custom_block(name: str) -> BlockFormat | None:
    parts = name.split("/")
    if len(parts) != 3 or not re.fullmatch("[0-9]{1,9}", parts[2]):
        return None
    scale = element(parts[1])
    if not isinstance(scale, FloatFormat):
        raise BadFormat(
            f"{name}: scale {parts[1]} is an integer format; expected a float such as E8M0"
        )
    return BlockFormat(name.upper(), element(parts[0]), scale, int(parts[2]))
