"""The number of threads changes nothing; calls from several threads and from forked children are independent."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from core_arrays import Array

import mxemu
from mxemu.profile import OCP, Profile

ROWS, COLUMNS = 96, 1 << 13


@pytest.fixture(autouse=True)
def all_threads_afterwards() -> Iterator[None]:
    yield
    mxemu.set_threads(None)


@pytest.fixture(scope="module")
def x() -> Array:
    """Enough elements for several threads, with special blocks among them."""
    source = np.random.default_rng(4)
    found = source.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    found.flat[source.integers(0, found.size, 500)] = np.nan
    found.flat[source.integers(0, found.size, 500)] = 1e-40
    return found


def digest(x: Array, profile: Profile | str = OCP) -> list[bytes]:
    """The results of every verb, by rows, columns and pieces."""
    key = {"key": 9} if profile == "stochastic" else {}
    codes, status = mxemu.encode(x, "E4M3", profile=profile, return_status=True, **key)
    found = [codes, status, mxemu.encode(x[:, ::-1], "INT8", profile=profile, **key)]
    for axis, name in ((1, "MXFP4"), (0, "MXFP8"), (1, "NVFP4"), (0, "E2M3/E8M0/7")):
        blocks = mxemu.quantize(x, name, axis=axis, profile=profile, tail="partial", **key)
        found += [blocks.codes, blocks.scales, mxemu.dequantize(blocks)]
    found.append(mxemu.decode(codes, "E4M3"))
    return [part.tobytes() for part in found]


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["ocp", "stochastic"])
def test_any_number_of_threads_gives_the_same(x: Array, profile: str) -> None:
    results = []
    for count in (1, 2, 3):
        mxemu.set_threads(count)
        assert mxemu.get_threads() == count
        results.append(digest(x, profile))
    assert results[0] == results[1] == results[2]


@pytest.mark.slow
def test_calls_from_several_threads(x: Array) -> None:
    """Each with its own formats and fresh profiles, so that tables are made while others are in use."""

    def job(number: int) -> list[bytes]:
        part = x[number * 8 : number * 8 + 8]
        return digest(part, OCP.replace(rounding=("to-odd", "toward-zero")[number % 2]))

    mxemu.set_threads(2)
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(job, range(12)))
    mxemu.set_threads(1)
    assert together == [job(number) for number in range(12)]


def test_the_number_of_threads_can_change_between_calls(x: Array) -> None:
    expected = mxemu.encode(x, "E2M1")
    for count in (3, 1, 2, None):
        mxemu.set_threads(count)
        assert np.array_equal(mxemu.encode(x, "E2M1"), expected)


def _child(send: Any, work: Callable[[], list[bytes]]) -> None:
    send.send(work())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_its_own_threads(x: Array) -> None:
    mxemu.set_threads(2)
    part = np.concatenate([x] * 2)
    expected = [mxemu.encode(part, "E4M3").tobytes(), mxemu.quantize(part, "MXFP4").codes.tobytes()]

    def work() -> list[bytes]:
        return [mxemu.encode(part, "E4M3").tobytes(), mxemu.quantize(part, "MXFP4").codes.tobytes()]

    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    with warnings.catch_warnings():
        # A fork beside threads is what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = context.Process(target=_child, args=(send, work))
        child.start()
    try:
        assert receive.poll(60), "the child hangs"
        assert receive.recv() == expected
    finally:
        child.kill()
        child.join()
    assert work() == expected
