"""mxemu: an exact emulator of the OCP Microscaling (MX) formats, and a checker of other implementations.

Reading order, ten minutes: `formats`, `profile`, `scalar`, `scale`, `block`, `accumulation`, `walk`, `products`; that
is the exact core. The verbs `encode`, `decode`, `quantize`, `dequantize`, `dot`, `matmul`, `pack`, `unpack` and
`compare_formats` do the same on NumPy arrays.
Everything is loaded when first used.

Examples
--------
>>> import mxemu
>>> mxemu.block.quantize_bits([0x40E00000] + [0] * 31, "binary32", "MXFP4").scale
127
>>> blocks = mxemu.quantize([7.0] + [0.0] * 31, "MXFP4")
>>> blocks.scales, mxemu.dequantize(blocks)[:2]
(array([127], dtype=uint8), array([6., 0.], dtype=float32))
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mxemu._version import __version__

_MODULES = (
    "accumulation",
    "accumulations",
    "block",
    "clauses",
    "errors",
    "explain",
    "formats",
    "layout",
    "philox",
    "products",
    "profile",
    "runs",
    "scalar",
    "scale",
    "value",
    "walk",
)

_VERBS = (
    "Blocks",
    "compare_formats",
    "decode",
    "dequantize",
    "dot",
    "encode",
    "get_threads",
    "matmul",
    "pack",
    "quantize",
    "set_threads",
    "unpack",
)

__all__ = ["__version__", *_MODULES, *_VERBS]  # noqa: PLE0604 - loaded by __getattr__


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"mxemu.{name}")
    if name in _VERBS:
        # Found here at once next time.
        found = globals()[name] = getattr(import_module("mxemu.array"), name)
        return found
    raise AttributeError(f"module 'mxemu' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
