"""What a call may cost beyond its input and output: memory, tables, and the call itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mxemu
from mxemu.array.plans import block_plan, encode_plan
from mxemu.formats import CARRIERS, block_format, element
from mxemu.profile import OCP, PRESETS

ROOT = Path(__file__).parents[2]
MEGABYTES = 64
TABLE_SECONDS = 20e-3
CALL_SECONDS = 20e-6

# The high-water mark of a process's own memory starts anew before the call.
_CHILD = """
import sys
from pathlib import Path
import numpy as np, ml_dtypes
import mxemu

def kilobytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))

def size(result):
    parts = (result,) if isinstance(result, np.ndarray) else (result.codes, result.scales)
    return sum(part.nbytes for part in parts)

def case(rows):
    x = np.ones((rows, 4096), np.float32)
    random = np.zeros(x.shape, np.uint32) if "words" in name else None
    stochastic = {"profile": "stochastic"}
    match name:
        case "encode": return lambda: mxemu.encode(x, "E4M3")
        case "encode, columns": return lambda: mxemu.encode(x[:, ::2], "E4M3")
        case "encode, binary16":
            half = x.astype(np.float16)
            return lambda: mxemu.encode(half, "E4M3")
        case "encode, key": return lambda: mxemu.encode(x, "E4M3", **stochastic, key=1)
        case "encode, words": return lambda: mxemu.encode(x, "E4M3", **stochastic, random=random)
        case "encode, swapped":
            swapped = x.astype(">f4")
            return lambda: mxemu.encode(swapped, "E4M3")
        case "quantize": return lambda: mxemu.quantize(x, "MXFP4")
        case "quantize, axis 0": return lambda: mxemu.quantize(x, "MXFP8", axis=0)
        case "quantize, columns": return lambda: mxemu.quantize(x[:, ::2], "MXFP8")
        case "quantize, amax": return lambda: mxemu.quantize(x, "NVFP4", profile="ratio", tensor_scale="amax")
        case "quantize, bfloat16":
            half = x.astype(ml_dtypes.bfloat16)
            return lambda: mxemu.quantize(half, "MXFP8", axis=0)
        case "decode":
            codes = mxemu.encode(x, "E4M3")
            return lambda: mxemu.decode(codes, "E4M3")
        case "dequantize":
            blocks = mxemu.quantize(x, "MXFP4")
            return lambda: mxemu.dequantize(blocks, np.float16)
        case "dequantize, axis 0":
            blocks = mxemu.quantize(x, "MXFP4", axis=0)
            return lambda: mxemu.dequantize(blocks)

name, rows = sys.argv[1], 4608
case(64)()
call = case(rows)
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
result = call()
print((kilobytes("VmHWM") - before) * 1024 - size(result))
"""
CASES = (
    "encode",
    "encode, columns",
    "encode, binary16",
    "encode, key",
    "encode, words",
    "encode, swapped",
    "quantize",
    "quantize, axis 0",
    "quantize, columns",
    "quantize, amax",
    "quantize, bfloat16",
    "decode",
    "dequantize",
    "dequantize, axis 0",
)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("case", CASES)
def test_memory_beyond_input_and_output(case: str) -> None:
    """19 million elements of 4 bytes: a copy of the input would take 75 MB."""
    ended = subprocess.run(
        [sys.executable, "-c", _CHILD, case],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert int(ended.stdout) <= MEGABYTES * 1e6, f"{case}: {int(ended.stdout) / 1e6:.0f} MB"


def best(call: Callable[[], object], times: int) -> float:
    """Processor seconds of the fastest of some calls; a shared machine only makes a call slower."""
    found = []
    for _ in range(times):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


@pytest.mark.parametrize("carrier", ["binary32", "binary64", "bfloat16"])
@pytest.mark.parametrize("name", ["E4M3", "E5M2", "E3M2", "E2M3", "E2M1", "INT8"])
def test_a_table_of_elements_is_soon_made(name: str, carrier: str) -> None:
    # Another number of random bits is another profile with the same tables, which are made anew.
    profiles = iter([OCP.replace(random_bits=bits) for bits in range(1, 6)])
    make = lambda: encode_plan(element(name), CARRIERS[carrier], next(profiles))  # noqa: E731
    assert best(make, 5) <= TABLE_SECONDS


@pytest.mark.parametrize("carrier", ["binary32", "bfloat16"])
@pytest.mark.parametrize("name", ["MXFP8_E4M3", "MXFP8_E5M2", "MXFP4_E2M1", "MXINT8", "NVFP4"])
def test_a_plan_of_blocks_is_soon_made(name: str, carrier: str) -> None:
    preset = PRESETS["ratio" if name == "NVFP4" else "ocp"]
    profiles = iter([preset.replace(random_bits=bits) for bits in range(1, 6)])
    fmt = block_format(name)
    make = lambda: block_plan(fmt, CARRIERS[carrier], next(profiles), None)  # noqa: E731
    assert best(make, 5) <= 2 * TABLE_SECONDS


@pytest.mark.parametrize("verb", ["encode", "decode", "quantize", "dequantize"])
def test_a_call_on_64_elements(verb: str) -> None:
    x = np.linspace(-1, 1, 64, dtype=np.float32)
    codes, blocks = mxemu.encode(x, "E4M3"), mxemu.quantize(x, "MXFP8_E4M3")
    calls: dict[str, Callable[[], object]] = {
        "encode": lambda: mxemu.encode(x, "E4M3"),
        "decode": lambda: mxemu.decode(codes, "E4M3"),
        "quantize": lambda: mxemu.quantize(x, "MXFP8_E4M3"),
        "dequantize": lambda: mxemu.dequantize(blocks),
    }
    call = calls[verb]
    call()
    assert best(lambda: [call() for _ in range(200)], 9) / 200 <= CALL_SECONDS


def test_an_equal_profile_finds_the_tables_that_are_there() -> None:
    """A profile made anew in each call of a loop costs no tables."""
    x = np.ones((1, 32), np.float32)
    mxemu.quantize(x, "MXFP8_E4M3", profile=OCP.replace(scale_rule="CEIL"))
    again = lambda: mxemu.quantize(x, "MXFP8_E4M3", profile=OCP.replace(scale_rule="CEIL"))  # noqa: E731
    assert best(again, 5) <= 1e-3


def test_the_next_tensor_scale_costs_little() -> None:
    """With "amax" every array has a tensor scale of its own, whose steps are no round numbers."""
    x = np.ones((1, 16), np.float32)
    scales = iter([np.float32(0.001 * n) for n in range(7, 13)])
    call = lambda: mxemu.quantize(x, "NVFP4", profile="ratio", tensor_scale=next(scales))  # noqa: E731
    assert best(call, 5) <= 5 * TABLE_SECONDS
