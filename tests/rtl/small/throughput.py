"""Vectors in a second, binary32 under a scale to E4M3: ``python tests/rtl/small/throughput.py``.

Random inputs go through both simulators; the second figure includes the comparison of every code with the runs tables.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from conformance import tools
from conformance.adapters import rtl
from conformance.arrays import scaled_codes
from mxemu.errors import Unsupported
from mxemu.formats import BINARY32, block_format
from mxemu.profile import OCP

DESIGNS = Path(__file__).parents[1] / "designs"
FORMAT = "MXFP8_E4M3"
VECTORS = {"verilator": 1 << 23, "icarus": 1 << 17}


def measure(name: str, simulator: str) -> str:
    """One line: the design, the simulator, and what they do in a second."""
    design = rtl.load(str(DESIGNS / f"{name}.toml"), simulator)
    count = VECTORS[simulator]
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 1 << 32, count, dtype=np.uint32)
    scales = rng.integers(0, 256, count, dtype=np.uint8)
    design.encode_scaled(bits[:4].view(np.float32), scales[:4], FORMAT, OCP)  # builds it
    scaled_codes(bits[:4], scales[:4], block_format(FORMAT), BINARY32, OCP)
    start = time.perf_counter()
    codes = design.encode_scaled(bits.view(np.float32), scales, FORMAT, OCP)
    simulated = time.perf_counter() - start
    wrong = (codes != scaled_codes(bits, scales, block_format(FORMAT), BINARY32, OCP)).sum()
    verified = time.perf_counter() - start
    return (
        f"{name:<26}{simulator:<10}{count:>10,} vectors  {count / simulated:>11,.0f}/s  "
        f"verified {count / verified:>10,.0f}/s  {wrong} wrong"
    )


if __name__ == "__main__":
    for one in VECTORS:
        try:
            tools.simulator(one)
        except Unsupported as error:
            sys.exit(f"{error}; {error.hint}")
        for design in ("mx_encode_scaled", "mx_encode_scaled_clocked"):
            print(measure(design, one))
