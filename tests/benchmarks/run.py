"""Measure the array engine against its peers: ``python tests/benchmarks/run.py``, or ``make bench``.

The table of marks goes to stdout, and the record, the page and the chart of a complete run to docs/reference. Peers
are whatever is installed of ml_dtypes, torch, torchao and openvino; the variable MICROXCALING names a checkout of
microxcaling. Those that are missing are named.
"""

from __future__ import annotations

from bench.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
