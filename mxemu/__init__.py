"""mxemu: an exact emulator of the OCP Microscaling (MX) formats, and a checker of other implementations.

Reading order, ten minutes: `formats`, `profile`, `scalar`, `scale`, `block`. Modules are loaded when first used.

Examples
--------
>>> import mxemu
>>> mxemu.block.quantize_bits([0x40E00000] + [0] * 31, "binary32", "MXFP4").scale
127
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mxemu._version import __version__

_MODULES = (
    "block",
    "clauses",
    "errors",
    "explain",
    "formats",
    "profile",
    "runs",
    "scalar",
    "scale",
    "value",
)

__all__ = ["__version__", *_MODULES]  # noqa: PLE0604 - names of modules, loaded by __getattr__


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"mxemu.{name}")
    raise AttributeError(f"module 'mxemu' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
