"""Accumulations that nobody has named are found as well."""

from __future__ import annotations

import pytest
from probe_boxes import QUERIES, differences, search, unseen

from conformance.probe import Space
from mxemu.accumulation import Chain, Fuse
from mxemu.formats import BINARY32, E4M3, E5M2, INT8, MXFP4_E2M1

SEEDS = range(1, 25)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_an_unseen_accumulation_is_found(seed: int) -> None:
    space = Space(E4M3, E5M2, 48 if seed % 3 else 64, BINARY32)
    record = unseen(seed, space.length)
    looking, hidden = search(record, space)
    found = looking.run()
    assert found is not None, record
    assert hidden.asked <= QUERIES
    assert differences(found, record, space) == 0, record


@pytest.mark.parametrize("fmt", [INT8, MXFP4_E2M1], ids=str)
def test_products_of_few_binades_show_their_order_against_c(fmt: object) -> None:
    order = (3, 1, 7, 0, 6, 2, 5, 4)
    record = unseen(1, 64).replace(node=Chain(Fuse("binary32 toward-zero", 24), 4, order))
    space = Space(fmt, fmt, 64, BINARY32)  # type: ignore[arg-type]
    looking, hidden = search(record, space)
    found = looking.run()
    assert found is not None
    assert looking.tree_from == "C"
    assert hidden.asked <= QUERIES
    assert differences(found, record, space) == 0
