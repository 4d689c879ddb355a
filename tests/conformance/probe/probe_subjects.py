"""Dot products of NumPy, torch and compiled loops, on decoded operands."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mxemu

Call = Callable[..., Any]

FMA_LOOP = """
#include <math.h>
#include <stddef.h>
void dots(const float *x, const float *y, const float *c, float *out, size_t n, size_t k) {
    for (size_t i = 0; i < n; i++) {
        float total = c[i];
        for (size_t j = k; j-- > 0;) total = fmaf(x[i * k + j], y[i * k + j], total);
        out[i] = total;
    }
}
"""
LANES_LOOP = """
#include <stddef.h>
void dots(const float *x, const float *y, const float *c, float *out, size_t n, size_t k) {
    for (size_t i = 0; i < n; i++) {
        float lane[4] = {0, 0, 0, 0};
        for (size_t j = 0; j < k; j++) lane[j % 4] += x[i * k + j] * y[i * k + j];
        out[i] = (((lane[0] + lane[1]) + lane[2]) + lane[3]) + c[i];
    }
}
"""


def numbers(codes: Any) -> Any:
    return mxemu.decode(codes, "E4M3")


def added(totals: Any, c: Any) -> Any:
    """Bits of totals, and C if there is one."""
    result = totals if c is None else totals + c.view(np.float32)
    return np.ascontiguousarray(result, np.float32).view(np.uint32)


def box(dot: Callable[[Any, Any], Any]) -> Call:
    """A box of a function of two arrays of float32."""

    def call(sa: Any, a: Any, sb: Any, b: Any, c: Any) -> Any:
        with np.errstate(all="ignore"):
            return added(dot(numbers(a), numbers(b)), c)

    return call


def running_sum(x: Any, y: Any) -> Any:
    total = np.zeros(len(x), np.float32)
    for place in range(x.shape[1]):
        total = total + x[:, place] * y[:, place]
    return total


NUMPY: dict[str, Call] = {
    "running sum": box(running_sum),
    "sum of products": box(lambda x, y: (x * y).sum(axis=1)),
    "dot": box(
        lambda x, y: np.array([np.dot(p, q) for p, q in zip(x, y, strict=True)], np.float32)
    ),
    "einsum": box(lambda x, y: np.einsum("nk,nk->n", x, y)),
    "matmul": box(lambda x, y: (x[:, None, :] @ y[:, :, None])[:, 0, 0]),
}


def torch_boxes(torch: Any) -> dict[str, Call]:
    def tensors(x: Any, y: Any) -> tuple[Any, Any]:
        return torch.from_numpy(x), torch.from_numpy(y)

    def total(x: Any, y: Any) -> Any:
        first, second = tensors(x, y)
        return (first * second).sum(-1).numpy()

    def product(x: Any, y: Any) -> Any:
        first, second = tensors(x, y)
        return torch.bmm(first[:, None, :], second[:, :, None])[:, 0, 0].numpy()

    return {"sum": box(total), "bmm": box(product)}


def compiled(source: str, directory: Path) -> Call:
    """A box of a C function."""
    code, library = directory / "dots.c", directory / "dots.so"
    code.write_text(source, encoding="utf-8")
    # Contraction would make one rounding of a product and a sum.
    options = ["-O2", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run(["cc", *options, code, "-o", library, "-lm"], check=True)
    function = ctypes.CDLL(str(library)).dots

    def call(sa: Any, a: Any, sb: Any, b: Any, c: Any) -> Any:
        arrays = [np.ascontiguousarray(one) for one in (numbers(a), numbers(b), c)]
        result = np.zeros(len(a), np.uint32)
        places = [ctypes.c_void_p(one.ctypes.data) for one in (*arrays, result)]
        function(*places, *map(ctypes.c_size_t, a.shape))
        return result

    return call
