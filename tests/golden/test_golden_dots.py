"""Known dot products against the oracle and the core: printed ones, and small ones worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from golden.blocks import DOTS, ROWS
from products import bridge

from mxemu.accumulations import from_mapping
from mxemu.formats import BINARY64, CONCRETE
from mxemu.products import Operand
from mxemu.scalar import encode
from mxemu.value import from_fraction

FORMATS = {record.element.name: record for record in CONCRETE}
Table = dict[str, Any]
Dot = Callable[[bridge.Case, Table], tuple[Fraction, int]]


def by_core(case: bridge.Case, table: Table) -> tuple[Fraction, int]:
    found = bridge.by_core(case, from_mapping(table))
    return found.value.fraction(), found.bits


def by_oracle(case: bridge.Case, table: Table) -> tuple[Fraction, int]:
    held, bits = bridge.by_oracle(case, table)
    return held.real, bits


@pytest.fixture(params=[by_core, by_oracle], ids=["core", "oracle"])
def dot(request: pytest.FixtureRequest) -> Dot:
    found: Dot = request.param
    return found


@pytest.mark.clause("MX-6.1-DOT", "MX-6.2-SUM")
@pytest.mark.parametrize("name", DOTS)
def test_printed_dots(dot: Dot, name: str) -> None:
    rows = {row[0]: row for row in ROWS if row[1] == name}
    a, b = (Operand(rows[letter][3], FORMATS[name], [rows[letter][2]]) for letter in "AB")
    assert dot(bridge.Case(a, b, None, "binary32"), {}) == DOTS[name]


def numbers(text: str) -> Operand:
    codes = [encode(from_fraction(Fraction(word)), BINARY64).code for word in text.split()]
    return Operand(codes, BINARY64)


def chain(out: str, **step: Any) -> Table:
    return {"node": {"kind": "chain", "step": {"out": out, **step}}}


def grouped(length: int, **step: Any) -> Table:
    return {"node": {"kind": "chain", "length": length, "step": step}}


# Terms, C, accumulation, what is held at the end.
BY_HAND: list[tuple[str, str, Table, str]] = [
    ("256 1 1", "0", {}, "258"),
    ("256 1 1", "0", chain("bfloat16"), "256"),
    ("1 1", "256", chain("bfloat16"), "256"),
    ("256 1 1", "0", {"node": {"kind": "tree", "step": {"out": "bfloat16"}}}, "256"),
    ("1 1 256", "0", {"node": {"kind": "tree", "step": {"out": "bfloat16"}}}, "258"),
    ("256 0 0 0 1 1", "0", {"node": {"kind": "tree", "step": {"out": "bfloat16"}}}, "258"),
    ("256 1 1", "0", grouped(2, out="bfloat16 toward-positive"), "260"),
    (
        "256 1 1",
        "0",
        {"node": {"kind": "chain", "order": [2, 1, 0], "step": {"out": "bfloat16"}}},
        "258",
    ),
    ("1 3/8", "0", grouped(2, fraction_bits=2), "5/4"),
    ("1 3/8", "0", grouped(2, fraction_bits=2, align="toward-positive"), "3/2"),
    ("1 -3/8", "0", grouped(2, fraction_bits=2, align="toward-negative"), "1/2"),
    ("1 3/8", "0", grouped(1, fraction_bits=2, floor=2), "1"),
    ("1 3/8", "17/16", grouped(2, fraction_bits=2, carried_bits=4), "37/16"),
    ("16", "1", grouped(1, fraction_bits=9, carried_reach=3), "16"),
    ("5 5", "0", grouped(2, quantum=0, width=4), "-6"),
    ("5 5", "0", grouped(2, quantum=0, width=4, saturate=True), "7"),
    (
        "16777216 1 -16777216 1",
        "0",
        {
            "node": {
                "kind": "lanes",
                "count": 2,
                "inner": chain("binary32")["node"],
                "outer": chain("binary32")["node"],
            }
        },
        "2",
    ),
    (
        "256 1 1 1",
        "0",
        {
            "node": {
                "kind": "parts",
                "length": 2,
                "inner": chain("bfloat16")["node"],
                "outer": {"kind": "sum"},
            }
        },
        "258",
    ),
    (
        "1 3/8",
        "1024",
        {"node": {"kind": "late", "inner": grouped(2, fraction_bits=2)["node"], "step": {}}},
        "4101/4",
    ),
    (
        "256 1 1",
        "0",
        {"node": {"kind": "nested", "tree": [[0, 1], 2], "step": {"out": "bfloat16"}}},
        "256",
    ),
    ("1 1/512", "0", {"operand_format": "bfloat16", "products": "E8M1"}, "513/512"),
    ("15 1", "0", {"product_limit": 4}, "16"),
]


@pytest.mark.parametrize(("terms", "c", "table", "expected"), BY_HAND)
def test_dots_by_hand(dot: Dot, terms: str, c: str, table: Table, expected: str) -> None:
    a = numbers(terms)
    b = numbers(" ".join(["1"] * len(a.codes)))
    case = bridge.Case(a, b, from_fraction(Fraction(c)), "binary64")
    assert dot(case, table)[0] == Fraction(expected)
