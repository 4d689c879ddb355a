"""Peers that quantize blocks: torchao, compiled and eager, and microxcaling."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.converters import float8_dtypes
from bench.peer import (
    FLOAT8,
    Array,
    Missing,
    Peer,
    first_rows,
    load,
    nibbles,
    scale_and_codes,
    value_bits,
)
from bench.rounds import Way

_MICROXCALING_NAMES = {
    "E4M3": "fp8_e4m3",
    "E5M2": "fp8_e5m2",
    "E3M2": "fp6_e3m2",
    "E2M3": "fp6_e2m3",
    "E2M1": "fp4_e2m1",
    "INT8": "int8",
}
_MICROXCALING_SPECS = {
    "scale_bits": 8,
    "block_size": 32,
    "shared_exp_method": "max",
    "mx_flush_fp32_subnorms": False,
    "custom_cuda": False,
}


class Torchao(Peer):
    """torchao's conversions and to_mx, compiled with torch.compile; always into new arrays."""

    name = "torchao"
    compiled = True

    def __init__(self) -> None:
        self.torch = load("torch")
        formats = "torchao.prototype.mx_formats"
        self.kernels = load(f"{formats}.kernels", "torchao")
        self.tensors = load(f"{formats}.mx_tensor", "torchao")
        constants = load(f"{formats}.constants", "torchao")
        self.dtypes = {
            **dict(zip(FLOAT8, float8_dtypes(self.torch), strict=True)),
            "E3M2": constants.DTYPE_FP6_E3M2,
            "E2M3": constants.DTYPE_FP6_E2M3,
            "E2M1": self.torch.float4_e2m1fn_x2,
        }
        self.names = {"E3M2": "f6_e3m2", "E2M3": "f6_e2m3", "E2M1": "f4"}

    def set_threads(self, count: int) -> None:
        self.torch.set_num_threads(count)

    def encode(self, x: Array, element: str, out: bool) -> Way | None:
        if out or element not in self.names:
            return None
        convert = self._prepared(getattr(self.kernels, f"f32_to_{self.names[element]}_unpacked"))
        source = self.torch.from_numpy(self.fewer(x))
        return Way(lambda: convert(source), source.numel(), lambda result: result.numpy())

    def decode(self, codes: Array, element: str, out: bool) -> Way | None:
        if out or element not in self.names:
            return None
        convert = self._prepared(getattr(self.kernels, f"{self.names[element]}_unpacked_to_f32"))
        source = self.torch.from_numpy(self.fewer(codes))
        return Way(lambda: convert(source), source.numel(), value_bits)

    def quantize(self, x: Array, element: str, rule: str, out: bool) -> Way | None:
        # The code that torch.compile makes for a CPU lacks E8M0, which all rules but RCEIL need.
        if out or element not in self.dtypes or (self.compiled and rule != "RCEIL"):
            return None
        dtype, mode = self.dtypes[element], self.tensors.ScaleCalculationMode[rule]
        convert = self._prepared(lambda given: self.tensors.to_mx(given, dtype, 32, mode))
        source = self.torch.from_numpy(self.fewer(x))
        return Way(lambda: convert(source), source.numel(), self._blocks)

    def fewer(self, x: Array) -> Array:
        """The part of an array that this peer is given."""
        return x

    def _prepared(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if not self.compiled:
            return function
        # Compiled code belongs to a place in the source, and after a few versions of it torch gives up compiling.
        self.torch.compiler.reset()
        prepared: Callable[..., Any] = self.torch.compile(function, dynamic=False, fullgraph=True)
        return prepared

    def _blocks(self, result: tuple[Any, Any]) -> Array:
        scales, codes = (part.view(self.torch.uint8).numpy() for part in result)
        packed = codes.size == 16 * scales.size
        return scale_and_codes(scales, nibbles(codes) if packed else codes)


class TorchaoEager(Torchao):
    """torchao without torch.compile, on a part of the array."""

    name = "torchao eager"
    compiled = False

    def version(self) -> str:
        return version("torchao")

    def fewer(self, x: Array) -> Array:
        return first_rows(x)

    def emulated(self, x: Array, y: Array, element: str) -> Way | None:
        if element not in self.dtypes:
            return None
        make = partial(self.tensors.MXTensor.to_mx, elem_dtype=self.dtypes[element], block_size=32)
        a, b = (make(self.torch.from_numpy(each)) for each in (x, y))
        return Way(lambda: self.torch.mm(a, b.t()), len(x) * len(y) * x.shape[1])


class Microxcaling(Peer):
    """The Python part of microxcaling, which gives values, on a part of the array."""

    name = "microxcaling"

    def __init__(self) -> None:
        folder = Path(os.environ.get("MICROXCALING", ""))
        if not (folder / "mx" / "mx_ops.py").exists():
            raise Missing("the variable MICROXCALING does not name a checkout of it")
        self.torch = load("torch")
        sys.path.insert(0, str(folder))
        try:
            self.operations = load("mx.mx_ops", self.name)
        finally:
            sys.path.remove(str(folder))

    def version(self) -> str:
        return "from its repository"

    def set_threads(self, count: int) -> None:
        self.torch.set_num_threads(count)

    def quantize(self, x: Array, element: str, rule: str, out: bool) -> Way | None:
        if out or rule != "FLOOR":
            return None
        source = self.torch.from_numpy(first_rows(x))
        settings = {
            "elem_format": _MICROXCALING_NAMES[element],
            "axes": [-1],
            "round": "even",
            "mx_specs": _MICROXCALING_SPECS,
        }
        return Way(
            lambda: self.operations.quantize_mx_op(source, **settings),
            source.numel(),
            values=lambda result: result.numpy(),
        )
