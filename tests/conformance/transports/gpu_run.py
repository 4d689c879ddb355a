"""Run one wrong implementation as PyTorch, JAX and Triton kernels on this machine's GPU; writes data/gpu.*.

    python tests/conformance/transports/gpu_run.py

`mxemu check` reaches each by DLPack. What it found, and what the kernels gave for a dump of its smoke suite, is kept;
test_on_gpu.py holds it against the same implementation in NumPy, without a GPU.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2]), str(HERE)]

from transport_findings import CASES, SUBJECTS, checked, findings  # noqa: E402

from conformance.adapters.dumps import suite_inputs  # noqa: E402
from conformance.target import load  # noqa: E402

LANES = {
    "torch": "seeded_torch.py:OnGpu",
    "jax": "seeded_jax.py:OnGpu",
    "triton": "seeded_triton.py:Kernels",
}
SOURCES = (
    "seeded.py",
    "seeded_torch.py",
    "seeded_jax.py",
    "seeded_triton.py",
)
RESULTS = {"encode": ("codes",), "decode": ("values",), "quantize": ("scales", "codes")}


def main() -> None:
    """Write the results of all lanes."""
    arrays: dict[str, Any] = {}
    found: dict[str, Any] = {}
    inputs = {one: suite_inputs(one, fmt, level="smoke") for one, fmt in CASES.items()}
    for operation, given in inputs.items():
        arrays |= {f"{operation}-{name}": array for name, array in given.items()}
    for lane, target in LANES.items():
        found[lane] = findings(checked(str(SUBJECTS / target)))
        subject = load(str(SUBJECTS / target))
        for operation, given in inputs.items():
            (array,) = given.values()
            results = getattr(subject, operation)(array, CASES[operation])
            results = results if isinstance(results, tuple) else (results,)
            for name, one in zip(RESULTS[operation], results, strict=True):
                arrays[f"{lane}-{operation}-{name}"] = one
        print(lane, {one: said["verdict"] for one, said in found[lane].items()})
    (HERE / "data").mkdir(exist_ok=True)
    np.savez_compressed(HERE / "data/gpu.npz", **arrays)
    text = json.dumps({"findings": found, **provenance()}, indent=1, sort_keys=True)
    (HERE / "data/gpu.json").write_text(text + "\n", encoding="utf-8")


def provenance() -> dict[str, Any]:
    """What the results were made with."""
    torch = import_module("torch")
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "gpu": torch.cuda.get_device_name(),
        "sources": {one: sha256((SUBJECTS / one).read_bytes()).hexdigest() for one in SOURCES},
        "versions": {one: import_module(one).__version__ for one in (*LANES, "numpy")},
    }


if __name__ == "__main__":
    main()
