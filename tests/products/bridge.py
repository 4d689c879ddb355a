"""One dot of the core and the same dot of the oracle, and the formats that the tests pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import oracle
from exhaustive.bridge import to_number
from products import draw

from mxemu.accumulation import TF32, Accumulation
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat
from mxemu.formats import find as find_format
from mxemu.products import Operand, Product, dot
from mxemu.value import Value

ELEMENTS = (
    *("E4M3", "E5M2", "E3M2", "E2M3", "E2M1", "INT8", "INT4"),
    *("E4M3FNUZ", "E5M2FNUZ", "E4M3B11FNUZ", "E3M4", "E4M3IEEE"),
    *("TF32", "binary16", "bfloat16", "binary32"),
)
BLOCKS = (
    *("MXFP8_E4M3", "MXFP8_E5M2", "MXFP6_E3M2", "MXFP6_E2M3", "MXFP4_E2M1", "MXINT8"),
    *("NVFP4", "E2M1/E8M0/16", "E4M3/E4M3/16"),
)
OUTS = ("binary32", "binary32", "binary16", "bfloat16", "binary64")

Format = BlockFormat | ElementFormat


class Case(NamedTuple):
    """One dot product, with all that is needed to repeat it."""

    a: Operand
    b: Operand
    c: Value | None
    out: str


def record(name: str) -> Format:
    """A format of the lists here."""
    return TF32 if name == "TF32" else find_format(name)


def vector(operand: Operand) -> oracle.Vector:
    """An operand as the oracle takes it."""
    fmt = operand.format
    assert not isinstance(fmt, str)
    scale = None if operand.tensor_scale is None else operand.tensor_scale.fraction()
    if isinstance(fmt, BlockFormat):
        names = (fmt.element.name, operand.scales, fmt.scale.name, fmt.k)
        return oracle.Vector(operand.codes, *names, scale)
    return oracle.Vector(operand.codes, fmt.name, tensor_scale=scale)


def by_core(case: Case, accumulation: Accumulation, trace: bool = False) -> Product:
    return dot(case.a, case.b, case.c, accumulation, case.out, trace=trace)


def by_oracle(case: Case, table: Mapping[str, Any]) -> tuple[oracle.Number, int]:
    c = None if case.c is None else to_number(case.c)
    return oracle.dot(vector(case.a), vector(case.b), c, table, case.out)


def same(found: Product, expected: tuple[oracle.Number, int]) -> bool:
    """Whether the bits are equal and what is held before the last rounding is too; one NaN is as good as another."""
    held = to_number(found.value)
    return found.bits == expected[1] and (
        held == expected[0] or held.kind == expected[0].kind == "nan"
    )


def case(theme: str, left: Format, right: Format, count: int, rng: Random, out: str) -> Case:
    """A drawn dot; C is a number of `out`, and sometimes cancels the dot."""
    own = draw.vectors(theme, left, right, count, rng)
    a, b = Operand(own.a, left, own.a_scales), Operand(own.b, right, own.b_scales)
    exact = dot(a, b).value if rng.random() < 0.2 else None
    form = find_format(out)
    assert isinstance(form, FloatFormat)
    return Case(a, b, draw.carried(theme, form, rng, exact), out)


def pair(rng: Random, wanted: Sequence[str] = ()) -> tuple[Format, Format, int]:
    """Two formats that fit together, and a length: the wanted elements in half of the draws, else anything."""
    elements = [name for name in wanted if name in ELEMENTS] or ELEMENTS
    if rng.random() < 0.5:
        names = [rng.choice(elements if rng.random() < 0.8 else ELEMENTS) for _ in range(2)]
        return record(names[0]), record(names[1]), rng.choice((1, 2, 3, 7, 8, 16, 17, 32, 40))
    left = record(rng.choice(BLOCKS))
    assert isinstance(left, BlockFormat)
    alike = [one for one in map(record, BLOCKS) if isinstance(one, BlockFormat) and one.k == left.k]
    right = rng.choice(alike) if rng.random() < 0.9 else record(rng.choice(ELEMENTS))
    return left, right, left.k * rng.choice((1, 1, 2))
