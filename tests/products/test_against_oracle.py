"""Every preset and random trees of every kind against the oracle: thousands of dots, bit for bit."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from random import Random
from typing import Any

import pytest
from products import bridge, draw, trees

from mxemu.accumulations import ACCUMULATIONS, from_mapping, to_mapping

# As the file has them, so that what the oracle reads is not what the package made of it.
TABLES: dict[str, dict[str, Any]] = tomllib.loads(
    files("mxemu").joinpath("accumulations.toml").read_text("utf-8")
)
DOTS = 8
TREES = 40


def test_presets_are_those_of_the_file_and_two_that_are_made() -> None:
    assert set(ACCUMULATIONS) - set(TABLES) == {"exact", "kulisch(64, -32)"}


@pytest.mark.clause("MX-6.1-DOT", "MX-6.1-MIXED", "MX-6.2-SUM", "MX-6.1-PREC")
@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_presets_equal_the_oracle(name: str) -> None:
    own = ACCUMULATIONS[name]
    table = TABLES.get(name) or to_mapping(own)
    for theme in draw.THEMES:
        for number in range(DOTS):
            rng = Random(f"{name} {theme} {number}")
            left, right, count = bridge.pair(rng, own.operands)
            case = bridge.case(theme, left, right, count, rng, rng.choice(bridge.OUTS))
            found = bridge.by_core(case, own)
            expected = bridge.by_oracle(case, table)
            assert bridge.same(found, expected), (theme, number, case, found, expected)


@pytest.mark.parametrize("seed", range(20))
def test_random_trees_equal_the_oracle_and_survive_the_table_form(seed: int) -> None:
    kinds = set()
    for number in range(TREES):
        rng = Random(f"tree {seed} {number}")
        left, right, count = bridge.pair(rng)
        table = trees.table(rng, count)
        own = from_mapping(table)
        kinds.add(table["node"]["kind"])
        assert from_mapping(to_mapping(own)) == own
        for theme in draw.THEMES[:: rng.choice((1, -1))][:3]:
            case = bridge.case(theme, left, right, count, rng, rng.choice(bridge.OUTS))
            found, expected = bridge.by_core(case, own), bridge.by_oracle(case, table)
            assert bridge.same(found, expected), (table, theme, case, found, expected)
    assert kinds == {"sum", "chain", "tree", "nested", "parts", "lanes", "late"}


def test_what_the_random_trees_do_not_reach_is_known() -> None:
    """Each field of each record is drawn; a new one has to be added to `trees`."""
    drawn = str([trees.table(Random(number), 5) for number in range(600)])
    words = {word for key in ACCUMULATIONS.values() for word in _keys(to_mapping(key))}
    words |= {"carried_reach", "width", "saturate", "scaled", "tree", "leaf", "terms", "quantum"}
    missing = {word for word in words if f"'{word}'" not in drawn}
    assert missing == {"note", "grade", "source", "operands", "tensor_scale"}


def _keys(table: Any) -> set[str]:
    if isinstance(table, dict):
        return set(table) | {key for value in table.values() for key in _keys(value)}
    return set()
