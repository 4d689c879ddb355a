"""Measure the array engine against its peers: ``python tests/benchmarks/run.py``, or ``make bench``.

The table of marks goes to stdout, and the record, the page and the chart of a complete run to docs/reference. Peers
are whatever is installed of ml_dtypes, torch, torchao, openvino and mmasim; the variable MICROXCALING names a checkout
of microxcaling. Those that are missing are named.
"""

from __future__ import annotations

import os

# The idle threads of numpy's own products spin for some 30 ms otherwise, in the time of whoever comes next.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")

from bench.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
