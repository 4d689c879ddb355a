"""The clause register: each requirement of the OCP Microscaling specification 1.0, in our words.

A clause has an identifier, ``MX-<section>-<word>``, that is never given to anything else. Code says
which clauses it carries out with `implements`, tests name them with ``@pytest.mark.clause``, cases
carry them, and reports cite them. The words *must*, *should* and *may* are the document's own
keywords. Where it uses none, the strength says what the sentence is: a definition, a choice left to
the implementation, a limit of scope, or a remark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar


class Strength(Enum):
    """How strongly the specification binds an implementation."""

    MUST = "must"
    SHOULD = "should"
    MAY = "may"
    DEF = "DEF"
    IMPL = "IMPL"
    SCOPE = "SCOPE"
    INFORMATIVE = "informative"


@dataclass(frozen=True)
class Clause:
    """One requirement.

    Attributes
    ----------
    id : str
        Such as ``MX-6.3-SCALE``.
    section : str
        Section of the specification, such as ``6.3``.
    strength : Strength
        The keyword of the text, or what the sentence is.
    title : str
        A few words for tables.
    text : str
        What is required, in our words.
    since : str or None
        Version of mxemu that owes code and a test; None where there is nothing to do.
    """

    id: str
    section: str
    strength: Strength
    title: str
    text: str
    since: str | None


CLAUSES: dict[str, Clause] = {}
"""Every clause by its id, in the order of the document."""

IMPLEMENTED: dict[str, list[str]] = {}
"""Clause id to the names of the functions that carry it out; filled while modules are imported."""

_Callable = TypeVar("_Callable", bound=Callable[..., object])


def implements(*ids: str) -> Callable[[_Callable], _Callable]:
    """Record that a function or class carries out clauses; the object itself is returned unchanged.

    Parameters
    ----------
    *ids : str
        Clause ids.

    Raises
    ------
    KeyError
        When an id is not in the register: while the module is imported, not when the function runs.

    Examples
    --------
    >>> implements("MX-5.1-BYTES")
    Traceback (most recent call last):
    KeyError: 'MX-5.1-BYTES is not in the clause register (mxemu/clauses.py)'
    """
    for clause_id in ids:
        if clause_id not in CLAUSES:
            raise KeyError(f"{clause_id} is not in the clause register (mxemu/clauses.py)")

    def record(function: _Callable) -> _Callable:
        name = f"{function.__module__}.{function.__qualname__}"
        for clause_id in ids:
            names = IMPLEMENTED.setdefault(clause_id, [])
            if name not in names:
                names.append(name)
        return function

    return record


_CORE = "0.1"
_PRODUCTS = "0.3"
_MUST = Strength.MUST
_SHOULD = Strength.SHOULD
_MAY = Strength.MAY
_DEF = Strength.DEF
_IMPL = Strength.IMPL
_SCOPE = Strength.SCOPE


def _clause(
    clause_id: str, strength: Strength, title: str, text: str, since: str | None = _CORE
) -> None:
    assert clause_id not in CLAUSES, f"{clause_id} is given twice"
    section = clause_id.split("-")[1]
    CLAUSES[clause_id] = Clause(clause_id, section, strength, title, text, since)


# Section 4: scope.

_clause(
    "MX-4-SCOPE-FP8",
    _SCOPE,
    "FP8 encodings come from OFP8",
    "The two FP8 element types are taken over from the OCP OFP8 specification; MX itself does not "
    "define their bits.",
    since=None,
)
_clause(
    "MX-4-SCOPE-NANELEM",
    _SCOPE,
    "Element bits under a NaN scale",
    "Nothing is said about the element codes that stand beside a NaN scale. No test may demand "
    "particular ones.",
    since=None,
)
_clause(
    "MX-4-SCOPE-SCALEALG",
    _SCOPE,
    "How a scale is chosen",
    "Choosing the scale of a block in detail is outside the specification, apart from the "
    "conversion that section 6.3 recommends. Tests of any other rule belong to a named profile.",
    since=None,
)
_clause(
    "MX-4-REALIZE",
    _MAY,
    "Software, hardware or both",
    "An implementation is free to be software, hardware or a mixture.",
    since=None,
)

# Sections 5.1 and 5.2: blocks, and the concrete formats.

_clause(
    "MX-5.1-BLOCK",
    _DEF,
    "Scale type, element type and k",
    "A format is fixed by three independent choices: the type of the scale X, the type of the "
    "elements P_i, and the block size k. One scale serves all k elements, and these share one "
    "type and width.",
)
_clause(
    "MX-5.1-BITS",
    _DEF,
    "Size of a block",
    "A block with a scale of w bits and k elements of d bits takes w + k*d bits.",
)
_clause(
    "MX-5.1-LAYOUT",
    _MAY,
    "Memory layout is free",
    "Scales may lie beside their elements or somewhere else; no arrangement in memory is "
    "prescribed.",
    since=None,
)
_clause(
    "MX-5.1-PRUNE",
    _MAY,
    "Repeated scales may be shared",
    "Where several blocks repeat the same scale, its copies may be compressed or left out.",
    since=None,
)
_clause(
    "MX-5.1-NANSCALE",
    _DEF,
    "A NaN scale makes a NaN block",
    "If X is NaN, then each of the k values is NaN, whatever the element codes are.",
)
_clause(
    "MX-5.1-SPECIAL",
    _DEF,
    "Inf and NaN elements ignore the scale",
    "If X is a number and an element is Inf or NaN, then the value is that Inf, with its sign, or "
    "that NaN.",
)
_clause(
    "MX-5.1-OVF32",
    _IMPL,
    "Values beyond binary32",
    "If X * P_i is finite but its magnitude exceeds the largest finite binary32, the "
    "implementation defines the value.",
)
_clause(
    "MX-5.1-VALUE",
    _DEF,
    "Value is scale times element",
    "In every remaining case the value is the exact product X * P_i.",
)
_clause(
    "MX-5.2-NAME",
    _DEF,
    "Names begin with MX",
    "A concrete format is called MX followed by the name of its element type, such as MXFP8 or "
    "MXINT8.",
)
_clause(
    "MX-5.2.1-SUBSET",
    _MAY,
    "Any subset is enough",
    "An implementation may support whichever of the concrete formats it likes.",
    since=None,
)
_clause(
    "MX-5.2.1-DISTINCT",
    _DEF,
    "Each encoding is its own format",
    "Two encodings of one element width, such as E4M3 and E5M2 of MXFP8, count as two formats. "
    "There are six in all.",
)
_clause(
    "MX-5.2.1-PARAMS",
    _MUST,
    "Parameters of Table 1",
    "A concrete format that is supported must have blocks of k = 32, an E8M0 scale of 8 bits, and "
    "elements of 8 (MXFP8, MXINT8), 6 (MXFP6) or 4 bits (MXFP4).",
)

# Section 5.3: elements in general.

_clause(
    "MX-5.3-NORMAL",
    _DEF,
    "Value of a normal code",
    "A code whose exponent field E is not zero, and which is not one of the special codes of FP8, "
    "means (-1)^S * 2^(E - bias) * (1 + M / 2^m).",
)
_clause(
    "MX-5.3-SUBNORMAL",
    _DEF,
    "Value of a subnormal code",
    "A code whose exponent field is zero means (-1)^S * 2^(1 - bias) * (M / 2^m): a subnormal "
    "number, or a signed zero when M is zero too.",
)

# Section 5.3.1: FP8.

_clause(
    "MX-5.3.1-OFP8",
    _MUST,
    "FP8 follows OFP8",
    "E4M3 and E5M2 must follow OFP8. From there come roundTiesToEven as a required rounding, "
    "overflow judged after rounding, subnormals, and a sign that is kept in every result except "
    "NaN, underflow to zero included.",
)
_clause(
    "MX-5.3.1-ENC",
    _MUST,
    "FP8 codes of Table 2",
    "E4M3 has bias 7, no Inf, and one NaN code for each sign. E5M2 has bias 15, one Inf and three "
    "NaN codes for each sign.",
)
_clause(
    "MX-5.3.1-SAT",
    _MUST,
    "FP8 saturating conversion",
    "A saturating conversion must be offered: NaN gives NaN; Inf, and whatever exceeds the "
    "largest finite number after rounding, gives the largest finite number with the same sign.",
)
_clause(
    "MX-5.3.1-OVF",
    _MUST,
    "FP8 overflowing conversion",
    "An overflowing conversion must be offered as well: NaN gives NaN; Inf, and whatever exceeds "
    "the largest finite number after rounding, gives NaN in E4M3 and Inf with the same sign in "
    "E5M2.",
)
_clause(
    "MX-5.3.1-OTHER",
    _MAY,
    "FP8 other overflow methods",
    "Further ways to treat overflow may be offered through a configurable attribute.",
)

# Section 5.3.2: FP6.

_clause(
    "MX-5.3.2-ENC",
    _MUST,
    "FP6 codes of Table 4",
    "E3M2 (bias 3) and E2M3 (bias 1) must have the codes of Table 4, with subnormals.",
)
_clause(
    "MX-5.3.2-NOSPECIAL",
    _DEF,
    "FP6 has no Inf and no NaN",
    "No code of E3M2 or E2M3 is set aside for Inf or NaN; the topmost exponent field is an "
    "ordinary binade.",
)
_clause(
    "MX-5.3.2-RNE",
    _MUST,
    "FP6 ties to even",
    "Conversion to E3M2 and E2M3 must support roundTiesToEven.",
)
_clause(
    "MX-5.3.2-RND",
    _MAY,
    "FP6 other roundings",
    "Conversion to E3M2 and E2M3 may support further roundings.",
)
_clause(
    "MX-5.3.2-SAT",
    _MUST,
    "FP6 clamps out-of-range values",
    "A number that is out of range after rounding must be convertible to the largest magnitude, "
    "28 in E3M2 and 7.5 in E2M3, with its sign kept.",
)
_clause(
    "MX-5.3.2-OVFATTR",
    _MAY,
    "FP6 other overflow methods",
    "Further ways to treat overflow may be offered through a configurable attribute.",
)
_clause(
    "MX-5.3.2-INF",
    _MUST,
    "FP6 clamps Inf",
    "An Inf of the wider format counts as out of range, so clamping must give +-28 in E3M2 and "
    "+-7.5 in E2M3 for it.",
)
_clause(
    "MX-5.3.2-UFLOW",
    _MUST,
    "FP6 underflow to zero",
    "A magnitude that rounds to less than the smallest subnormal must become zero. The sign of "
    "this zero is not stated.",
)
_clause(
    "MX-5.3.2-NAN",
    _IMPL,
    "FP6 from NaN",
    "The implementation defines what E3M2 or E2M3 code a NaN becomes.",
)

# Section 5.3.3: FP4.

_clause(
    "MX-5.3.3-ENC",
    _MUST,
    "FP4 codes of Table 5",
    "E2M1 (bias 1) must have the sixteen codes of Table 5, with its subnormals +-0.5.",
)
_clause(
    "MX-5.3.3-NOSPECIAL",
    _DEF,
    "FP4 has no Inf and no NaN",
    "No code of E2M1 is set aside for Inf or NaN; the topmost exponent field is an ordinary "
    "binade.",
)
_clause(
    "MX-5.3.3-RNE",
    _MUST,
    "FP4 ties to even",
    "Conversion to E2M1 must support roundTiesToEven.",
)
_clause(
    "MX-5.3.3-RND",
    _MAY,
    "FP4 other roundings",
    "Conversion to E2M1 may support further roundings.",
)
_clause(
    "MX-5.3.3-SAT",
    _MUST,
    "FP4 clamps out-of-range values",
    "A number that is out of range after rounding must be convertible to the largest magnitude, "
    "6, with its sign kept.",
)
_clause(
    "MX-5.3.3-OVFATTR",
    _MAY,
    "FP4 other overflow methods",
    "Further ways to treat overflow may be offered through a configurable attribute.",
)
_clause(
    "MX-5.3.3-INF",
    _MUST,
    "FP4 clamps Inf",
    "An Inf of the wider format counts as out of range, so clamping must give +-6 for it.",
)
_clause(
    "MX-5.3.3-UFLOW",
    _MUST,
    "FP4 underflow to zero",
    "A magnitude that rounds to less than the smallest subnormal must become zero. The sign of "
    "this zero is not stated.",
)
_clause(
    "MX-5.3.3-NAN",
    _IMPL,
    "FP4 from NaN",
    "The implementation defines what E2M1 code a NaN becomes.",
)

# Section 5.3.4: INT8.

_clause(
    "MX-5.3.4-ENC",
    _MUST,
    "INT8 codes of Table 6",
    "An INT8 element must be a two's complement integer n that means n / 64. Code 0x80 (n = -128, "
    "-2) is the one exception to the duty to follow Table 6.",
)
_clause(
    "MX-5.3.4-NEG2",
    _MAY,
    "INT8 code 0x80 may stay unused",
    "An encoder may leave -2 out, so that the range is symmetric and negative numbers get no bias.",
)
_clause(
    "MX-5.3.4-NOSPECIAL",
    _DEF,
    "INT8 has no Inf and no NaN",
    "No INT8 code is set aside for Inf or NaN.",
)
_clause(
    "MX-5.3.4-RNE",
    _MUST,
    "INT8 ties to even",
    "Conversion to INT8 must support roundTiesToEven.",
)
_clause(
    "MX-5.3.4-RND",
    _MAY,
    "INT8 other roundings",
    "Conversion to INT8 may support further roundings.",
)
_clause(
    "MX-5.3.4-SAT",
    _MUST,
    "INT8 clamps out-of-range values",
    "A number that is out of range after rounding must be convertible to the largest INT8 "
    "magnitude with its sign kept.",
)
_clause(
    "MX-5.3.4-OVFATTR",
    _MAY,
    "INT8 other overflow methods",
    "Further ways to treat overflow may be offered through a configurable attribute.",
)
_clause(
    "MX-5.3.4-INF",
    _MUST,
    "INT8 clamps Inf",
    "An Inf counts as out of range, so clamping must give 0x7F for +Inf and, for -Inf, 0x81 or "
    "the optional 0x80.",
)
_clause(
    "MX-5.3.4-NAN",
    _IMPL,
    "INT8 from NaN",
    "The implementation defines what INT8 code a NaN becomes.",
)

# Section 5.4.1: E8M0 scales.

_clause(
    "MX-5.4.1-BIAS",
    _DEF,
    "E8M0 is biased by 127",
    "An E8M0 code c other than 0xFF means 2^(c - 127).",
)
_clause(
    "MX-5.4.1-RANGE",
    _DEF,
    "E8M0 exponents -127 to 127",
    "The codes 0x00 to 0xFE cover every exponent from -127 to 127, both included.",
)
_clause(
    "MX-5.4.1-NAN",
    _DEF,
    "E8M0 code 0xFF is NaN",
    "Code 0xFF is the only NaN of E8M0.",
)
_clause(
    "MX-5.4.1-NOINF",
    _DEF,
    "E8M0 has no Inf",
    "No E8M0 code means Inf.",
)
_clause(
    "MX-5.4.1-NOZERO",
    _DEF,
    "E8M0 has no zero",
    "No E8M0 code means zero; 0x00 is 2^-127.",
)
_clause(
    "MX-5.4.1-UNSIGNED",
    _DEF,
    "E8M0 has no sign",
    "E8M0 has neither sign bit nor mantissa; every scale is positive.",
)

# Sections 6.1 and 6.2: dot products.

_clause(
    "MX-6.1-DOT",
    _MUST,
    "Dot product of two blocks",
    "For two MX vectors of length k, the scalar X_A * X_B * sum_i (P_A,i * P_B,i) must be "
    "supported at the least.",
    since=_PRODUCTS,
)
_clause(
    "MX-6.1-MIXED",
    _MAY,
    "Operands of different formats",
    "The two vectors may differ in the type of their elements, of their scales, or both.",
    since=_PRODUCTS,
)
_clause(
    "MX-6.1-PREC",
    _IMPL,
    "Internal precision and order",
    "The implementation defines the precision inside a dot product and the order of its "
    "operations.",
    since=_PRODUCTS,
)
_clause(
    "MX-6.1-FACTOR",
    Strength.INFORMATIVE,
    "Scales come out of the sum",
    "Both scales are common factors, so the sum itself needs the elements only.",
    since=None,
)
_clause(
    "MX-6.2-F32",
    _SHOULD,
    "General dot product gives binary32",
    "The result of a general dot product should be one binary32 number.",
    since=_PRODUCTS,
)
_clause(
    "MX-6.2-SUM",
    _DEF,
    "General dot product sums over blocks",
    "The general dot product of vectors of several blocks is the sum of the dot products of "
    "corresponding blocks.",
    since=_PRODUCTS,
)
_clause(
    "MX-6.2-PAD",
    _DEF,
    "Vectors are padded to whole blocks",
    "Vectors are taken to be padded to a multiple of k. What they are padded with is not stated; "
    "zeros alone leave the sum as it was.",
    since=_PRODUCTS,
)

# Section 6.3: conversion from a vector of scalars.

_clause(
    "MX-6.3-MECH",
    _MUST,
    "A conversion to blocks exists",
    "There must be a mechanism that turns k scalars into a scale X and k elements P_i.",
)
_clause(
    "MX-6.3-SCALE",
    _SHOULD,
    "Recommended scale",
    "X should be the largest power of two that is not above the largest |V_i|, divided by the "
    "largest power of two that the element type represents. Powers of two are 2^n for integer n, "
    "so the rule is exact and takes no rounded logarithm.",
)
_clause(
    "MX-6.3-ELEM",
    _SHOULD,
    "Recommended elements",
    "P_i should be V_i / X quantized to the element type.",
)
_clause(
    "MX-6.3-CLAMP",
    _SHOULD,
    "Clamped elements",
    "A normal number beyond the largest normal element should be clamped to it with its sign kept.",
)
_clause(
    "MX-6.3-ALT",
    _MAY,
    "Other conversions",
    "Other ways to turn scalars into a block may be used.",
)
_clause(
    "MX-6.3-RNE",
    _MUST,
    "Ties to even in the conversion",
    "Quantizing the elements of a block must support roundTiesToEven.",
)
_clause(
    "MX-6.3-RND",
    _MAY,
    "Other roundings in the conversion",
    "Quantizing the elements of a block may support further roundings.",
)
