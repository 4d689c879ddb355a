"""Matrix products of 1024 x 1024 in blocks: what is multiplied, numpy's product, and MMA-Sim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

import mxemu
from bench import ours
from bench.peer import Array, Peer, load
from bench.rounds import Way
from mxemu.formats import ELEMENTS, FloatFormat

SIDE = 1024
# Results that MMA-Sim is given to compute: some rows of the first matrix with all of the second.
_SIMULATED_ROWS = 4
# Accumulations of fused groups: 13, 25 and 35 bits, run after run, a permutation.
FUSED = (
    "nv-hopper-fp8-wgmma",
    "nv-blackwell-f8f6f4",
    "nv-blackwell-mxf8f6f4",
    "nv-blackwell-mxf4",
    "cublas-fp8-promoted",
    "nv-fp8-mma-emulated",
)
_SCALED = {"nv-blackwell-mxf8f6f4": "E4M3", "nv-blackwell-mxf4": "E2M1"}


# Which of its units is which accumulation.
_UNITS = {
    "nv-hopper-fp8-wgmma": ("WGMMA", "Hopper", "m64n8k32.f32.e4m3.e4m3"),
    "nv-blackwell-f8f6f4": ("TCGen05MMA", "Blackwell", "m64n8k32.kind::f8f6f4.f32.e4m3.e4m3"),
}


def matrices() -> tuple[Array, Array]:
    """Two matrices of Gaussian numbers."""
    both = ours.gaussian((2, SIDE, SIDE))
    return both[0], both[1]


def blocks(x: Array, element: str) -> Any:
    """A matrix in blocks of 32."""
    return mxemu.quantize(x, ours.BLOCKS[element])


def wild(element: str, seed: int, *, scales: bool) -> Any:
    """Blocks of equally likely finite codes; with scales from all of E8M0, or all 1."""
    generator, fmt = np.random.default_rng(seed), ELEMENTS[element]
    codes = generator.integers(0, 1 << fmt.width, (SIDE, SIDE // 32, 32), dtype=np.uint8)
    if isinstance(fmt, FloatFormat):
        special = (codes & fmt.magnitude_mask) > fmt.max_code
        codes[special] = 0
    own = generator.integers(0, 255, codes.shape[:2], dtype=np.uint8)
    return mxemu.Blocks(codes, own if scales else np.full_like(own, 127), ours.BLOCKS[element])


def way(a: Any, b: Any, accumulation: str) -> Way:
    """A product of two matrices; one of the speeds' elements is a product of two numbers."""
    function = partial(mxemu.matmul, a, b, accumulation=accumulation, bits=True)
    return Way(function, SIDE**3, np.ravel)


def unscaled(given: Any, element: str) -> tuple[Array, str]:
    """The codes of blocks alone."""
    return given.codes.reshape(SIDE, SIDE), element


def fused_operands(name: str) -> tuple[Any, Any]:
    """What an accumulation of fused groups is given: blocks where the unit takes scales, else codes of E4M3."""
    element = _SCALED.get(name, "E4M3")
    a, b = (blocks(x, element) for x in matrices())
    if name in _SCALED:
        return a, b
    return unscaled(a, element), unscaled(b, element)


class Single(Peer):
    """numpy's ``@``, its threads limited to the number of the contest."""

    name = "float32 @"
    dtype: Any = np.float32

    def __init__(self) -> None:
        self.limit: Any = None

    def version(self) -> str:
        found = [each for each in threadpool_info() if each["user_api"] == "blas"]
        library = " ".join(str(found[0][key]) for key in ("internal_api", "version"))
        return f"NumPy {np.__version__}, {library}"

    def set_threads(self, count: int) -> None:
        self.limit = threadpool_limits(count, "blas")

    def product(self, x: Array, y: Array) -> Way | None:
        a, b = x.astype(self.dtype), np.ascontiguousarray(y.T, self.dtype)
        return Way(lambda: a @ b, SIDE**3)


class Double(Single):
    """The same in binary64."""

    name = "float64 @"
    dtype = np.float64


class MmaSim(Peer):
    """MMA-Sim, a simulator of matrix units in torch; one thread, with more of them it is slower."""

    name = "mmasim"

    def __init__(self) -> None:
        self.torch = load("torch")
        self.units = load("mmasim.nv_ptx", self.name)

    def version(self) -> str:
        return version(self.name)

    def fused(self, accumulation: str, a: Any, b: Any) -> Way | None:
        if accumulation not in _UNITS:
            return None
        kind, architecture, shape = _UNITS[accumulation]
        unit = getattr(self.units, kind)(architecture, shape)
        x = self._codes(np.repeat(a[0][:_SIMULATED_ROWS], SIDE, axis=0))
        y = self._codes(np.tile(b[0], (_SIMULATED_ROWS, 1)))
        c = self.torch.zeros(len(x))

        def call() -> Any:
            # Two threads of torch are slower here than one.
            before = self.torch.get_num_threads()
            self.torch.set_num_threads(1)
            try:
                return unit.dpa(x, y, c)
            finally:
                self.torch.set_num_threads(before)

        return Way(call, len(x) * SIDE, lambda result: result.numpy().view(np.uint32))

    def _codes(self, codes: Array) -> Any:
        own = np.ascontiguousarray(codes)
        return self.torch.from_numpy(own).view(self.torch.float8_e4m3fn)


def figures(contests: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Nanoseconds a product, from the speeds of contests: of one core for sums in digits, of all for fused groups."""
    most = max((each["threads"] for each in contests), default=0)
    for each in contests:
        if each["work"] not in ("digits", "fused") or each["threads"] != most:
            continue
        cores = most if each["work"] == "digits" else 1
        found = [1e3 * cores / speed for speed in reversed(each["speeds"]["mxemu"])]
        yield {
            "key": f"{each['work']} ns",
            "name": f"{each['work']}, {each['name']}, {most} threads",
            "unit": "ns a product and core" if cores > 1 else "ns a product",
            "figures": [float(f"{one:.4g}") for one in found],
        }
