"""Dot products that somebody else wrote: what is found computes their bits."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
from probe_boxes import FRESH, QUERIES
from probe_subjects import FMA_LOOP, LANES_LOOP, NUMPY, Call, compiled, torch_boxes

from conformance.probe import Finding, Space, probe, record_of
from conformance.probe.palette import Palette
from conformance.probe.stress import batch
from mxemu.accumulation import Chain, Lanes, Late, Node
from mxemu.accumulations import from_mapping, to_mapping
from mxemu.formats import BINARY32, E4M3

SPACE = Space(E4M3, E4M3, 64, BINARY32)


def found_in(call: Call) -> Finding:
    """What is found in a box, after the record computed its bits on fresh dots."""
    finding = probe(call, SPACE)
    record = record_of(finding)
    assert record is not None, finding.explained
    assert finding.queries <= QUERIES
    written = from_mapping(to_mapping(record))
    dots = batch(Palette(SPACE), np.random.default_rng(7), FRESH // 4)
    bits = finding.space.evaluate(written, dots)
    given = np.asarray(call(dots.sa, dots.a, dots.sb, dots.b, dots.c))
    assert bits is not None
    differ = np.flatnonzero(bits != finding.space.as_one_nan(given))
    assert not len(differ)
    return finding


def _lanes(node: Node) -> int:
    """How many lanes there are, before C or with it."""
    found = node.inner if isinstance(node, Late) else node
    assert isinstance(found, Lanes)
    return found.count


@pytest.mark.slow
@pytest.mark.parametrize("name", NUMPY)
def test_numpy(name: str) -> None:
    finding = found_in(NUMPY[name])
    assert finding.record is not None
    node = finding.record.node
    if name == "running sum":
        assert isinstance(node, (Late, Chain))
    if name == "sum of products":
        assert _lanes(node) == 8


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
@pytest.mark.parametrize("source", [FMA_LOOP, LANES_LOOP], ids=["backwards", "lanes"])
def test_compiled_loops(source: str, tmp_path: Path) -> None:
    record = found_in(compiled(source, tmp_path)).record
    assert record is not None
    if source is FMA_LOOP:
        assert isinstance(record.node, Chain)
        assert record.node.order == tuple(range(63, -1, -1))
    else:
        assert _lanes(record.node) == 4


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("name", ["sum", "bmm"])
def test_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    found_in(torch_boxes(torch)[name])
