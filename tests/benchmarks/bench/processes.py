"""What is measured on whole processes: importing, the first call, the peak of memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from bench.rounds import summary

# NumPy is there already: whoever has an array has imported it.
_FIRST = """
import json, time
import numpy as np
x = np.ones((128, 4096), np.float32)
start = time.perf_counter()
import mxemu
mxemu.quantize(x, "MXFP8_E4M3")
print(json.dumps(time.perf_counter() - start))
"""

# The high-water mark of the process's own memory; getrusage would start from its parent's.
_MEMORY = """
import json, pathlib, sys
import numpy as np
import mxemu

def kilobytes(key):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))

def size(result):
    parts = (result,) if isinstance(result, np.ndarray) else (result.codes, result.scales)
    return sum(part.nbytes for part in parts)

def prepared(rows):
    x = np.ones((rows, 4096), np.float32)
    if verb == "decode":
        return mxemu.encode(x, "E4M3")
    if verb == "matmul":
        return mxemu.quantize(x.reshape(64, -1), "MXFP8_E4M3")
    return mxemu.quantize(x, "MXFP8_E4M3") if verb == "dequantize" else x

def call(given):
    match verb:
        case "encode" | "decode":
            return getattr(mxemu, verb)(given, "E4M3")
        case "dequantize":
            return mxemu.dequantize(given)
        case "matmul":
            return mxemu.matmul(given, given)
        case _:
            return mxemu.quantize(given, "MXFP8_E4M3", axis=0 if verb == "quantize, axis 0" else -1)

verb = sys.argv[1]
call(prepared(512))
given = prepared(16384)
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the mark starts anew
before = kilobytes("VmRSS")
result = call(given)
print(json.dumps((1024 * (kilobytes("VmHWM") - before) - size(result)) / 1e6))
"""
VERBS = ("encode", "decode", "quantize", "quantize, axis 0", "dequantize", "matmul")


def figure(key: str, name: str, unit: str, found: list[float], **more: Any) -> dict[str, Any]:
    """One measured figure: lower quartile, median and upper quartile of what was found."""
    return {"key": key, "name": name, "unit": unit, "figures": summary(found), **more}


def importing(rounds: int) -> dict[str, Any]:
    """Milliseconds that ``import mxemu`` takes, a bare interpreter alternating with one that imports."""
    found = []
    for _ in range(rounds):
        bare = _seconds("pass")
        found.append(1e3 * (_seconds("import mxemu") - bare))
    return figure("import", "import mxemu", "ms", found)


def _seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def first_calls(rounds: int) -> list[dict[str, Any]]:
    """Seconds of import and first quantize: with no compiled kernels on the disk, and with all of them."""
    cold, warm, said = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            seconds, words = first_call(cache)
            cold.append(seconds)
            said.append("compiling kernels" in words)
            warm.append(first_call(cache)[0])
    return [
        figure("first warm", "import and first quantize, warm cache", "s", warm),
        figure("first cold", "import and first quantize, empty cache", "s", cold, said=all(said)),
    ]


def memory() -> list[dict[str, Any]]:
    """Megabytes beyond input and output at the peak of one call, by verb."""
    with tempfile.TemporaryDirectory() as cache:
        return [
            figure(
                "memory",
                f"peak memory, {verb}",
                "MB",
                [extra_memory(verb, cache) for _ in range(3)],
            )
            for verb in VERBS
        ]


def extra_memory(verb: str, cache: str) -> float:
    """Megabytes beyond input and output at the peak of one call on 2^26 elements."""
    return _child(_MEMORY, cache, verb)[0]


def first_call(cache: str) -> tuple[float, str]:
    """Seconds from before ``import mxemu`` to the end of the first quantize, and what is said on stderr."""
    return _child(_FIRST, cache)


def _child(code: str, cache: str, *arguments: str) -> tuple[float, str]:
    """The number that a program prints and what it says on stderr, its kernels being kept in a folder."""
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
    )
    return float(json.loads(ended.stdout)), ended.stderr
