"""Coarse guards on the speed of the array engine, wide enough for a busy machine; `run.py` measures it.

Seconds of the processor are compared, the best of several runs each, because a shared machine can only make a run
slower. One thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from bench import ours, processes
from test_core_speed import best, seconds_of_a_process

import mxemu

ELEMENTS = 1 << 22
SMALL_SECONDS = 60e-6
IMPORT_SECONDS = 0.080
MEMORY_MEGABYTES = 96
TIMES = 9


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    mxemu.set_threads(1)
    yield
    mxemu.set_threads(None)


@pytest.fixture(scope="module")
def numbers() -> Any:
    return ours.gaussian((ELEMENTS,))


def speed(call: Callable[[], object], other: Callable[[], object]) -> float:
    """How many times as fast as another call one is."""
    call()
    other()
    return best(other, TIMES) / best(call, TIMES)


def copying(x: Any) -> Callable[[], object]:
    buffer = np.zeros_like(x)
    return lambda: np.copyto(buffer, x)


@pytest.mark.parametrize("element", ours.NAMES)
def test_encode_keeps_up_with_copying(element: str, numbers: Any) -> None:
    assert speed(ours.encode(numbers, element, True).call, copying(numbers)) >= 0.20


@pytest.mark.parametrize("element", ours.NAMES)
def test_decode_keeps_up_with_copying(element: str, numbers: Any) -> None:
    codes = ours.random_codes(element, ELEMENTS)
    assert speed(ours.decode(codes, element, True).call, copying(numbers)) >= 0.25


def test_every_deterministic_profile_is_as_fast(numbers: Any) -> None:
    x = numbers[: ELEMENTS // 4]
    usual = ours.encode(x, "E4M3", True).call
    for profile in ours.deterministic_profiles().values():
        assert speed(ours.encode(x, "E4M3", True, profile).call, usual) >= 0.5


def test_encode_leaves_ml_dtypes_behind(numbers: Any) -> None:
    cast = lambda: numbers.astype(ml_dtypes.float8_e4m3fn)  # noqa: E731
    assert speed(ours.encode(numbers, "E4M3", False).call, cast) >= 4


@pytest.mark.parametrize("rule", ours.RULES)
@pytest.mark.parametrize("element", ours.NAMES)
def test_quantize_keeps_up_with_encode(element: str, rule: str, numbers: Any) -> None:
    x = numbers.reshape(-1, 4096)
    quantize = ours.quantize(x, element, rule, True).call
    assert speed(quantize, ours.encode(numbers, element, True).call) >= 0.3


def test_columns_are_not_much_slower_than_rows(numbers: Any) -> None:
    x = numbers.reshape(-1, 2048)
    along_columns = ours.quantize(x, "E4M3", "FLOOR", True, axis=0).call
    assert speed(along_columns, ours.quantize(x, "E4M3", "FLOOR", True).call) >= 0.4


def test_dequantize_keeps_up_with_decode(numbers: Any) -> None:
    x = numbers.reshape(-1, 4096)
    decode = ours.decode(ours.random_codes("E4M3", ELEMENTS), "E4M3", True).call
    assert speed(ours.dequantize(x, "E4M3", True).call, decode) >= 0.3


@pytest.mark.parametrize("element", ["E2M1", "E3M2"])
def test_pack_keeps_up_with_decode(element: str) -> None:
    codes = ours.random_codes(element, ELEMENTS)
    pack, decode = ours.pack(codes, element, True), ours.decode(codes, element, True)
    assert speed(pack.call, decode.call) >= 0.5


@pytest.mark.parametrize("verb", [ours.encode, ours.quantize, ours.dequantize])
def test_small_arrays_take_little_time(verb: Callable[..., Any]) -> None:
    x = ours.gaussian((64,))
    rule = ("FLOOR",) if verb is ours.quantize else ()
    call = verb(x, "E4M3", *rule, out=False).call
    call()
    assert best(lambda: [call() for _ in range(100)], TIMES) / 100 <= SMALL_SECONDS


def test_import_takes_little_time() -> None:
    bare, importing = (
        min(seconds_of_a_process([sys.executable, "-c", code]) for _ in range(7))
        for code in ("pass", "import mxemu")
    )
    assert importing - bare <= IMPORT_SECONDS


@pytest.mark.slow
def test_kernels_are_compiled_once_with_a_word_about_it(tmp_path: Path) -> None:
    _, cold_words = processes.first_call(str(tmp_path))
    _, warm_words = processes.first_call(str(tmp_path))
    assert cold_words.count("compiling kernels") == 1
    assert not warm_words


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("verb", processes.VERBS)
def test_memory_is_input_and_output(verb: str, cache: str) -> None:
    assert processes.extra_memory(verb, cache) <= MEMORY_MEGABYTES


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder for compiled kernels, shared by processes."""
    return str(tmp_path_factory.mktemp("kernels"))
