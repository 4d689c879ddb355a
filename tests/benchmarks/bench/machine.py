"""What the figures were measured on and with."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mxemu
from mxemu.array.threads import available

_VARIABLES = ("OMP_", "OPENBLAS_", "MKL_", "NUMBA_NUM")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def machine() -> dict[str, Any]:
    """Processor, cores, caches, memory, system."""
    return {
        "processor": _processor(),
        "cores": available(),
        "caches": _caches(),
        "memory": f"{_memory_bytes() / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
    }


class Busy:
    """How much of the processor other programs take while this one runs; a figure for how far to trust a run."""

    def __init__(self) -> None:
        self.start = self._seconds()

    def others(self) -> float | None:
        """Their share of all cores' time since the start; None where that is unknown."""
        (all_before, busy_before, own_before), (total, busy, own) = self.start, self._seconds()
        elapsed = total - all_before
        if not elapsed:
            return None
        share = ((busy - busy_before) - (own - own_before)) / elapsed
        return round(max(share, 0.0), 3)

    @staticmethod
    def _seconds() -> tuple[float, float, float]:
        """Processor time of all cores, the part that was not idle, and that of this process and its children."""
        own = sum(os.times()[:4])
        file = Path("/proc/stat")
        if not file.exists():
            return 0.0, 0.0, own
        ticks = [int(tick) for tick in file.read_text(encoding="utf-8").split()[1:9]]
        second = os.sysconf("SC_CLK_TCK")
        idle = ticks[3] + ticks[4]
        return sum(ticks) / second, (sum(ticks) - idle) / second, own


def versions() -> dict[str, str]:
    """Of mxemu and of what it runs on."""
    return {
        "mxemu": mxemu.__version__,
        "Python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba", "llvmlite")},
    }


def environment() -> dict[str, str]:
    """The variables that set numbers of threads."""
    return {name: os.environ[name] for name in sorted(os.environ) if name.startswith(_VARIABLES)}


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    family = re.search(r"^cpu family\s*: (.*)\nmodel\s*: (.*)$", text, re.MULTILINE)
    name = model[1].strip() if model else platform.processor()
    return f"{name}, family {family[1]} model {family[2]}" if family else name


def _caches() -> str:
    """Size of each data cache as the first core sees it."""
    found = []
    for folder in sorted(_CACHES.glob("index*")):
        kind, level, size = (
            (folder / name).read_text(encoding="utf-8").strip()
            for name in ("type", "level", "size")
        )
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found) or "unknown"


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
