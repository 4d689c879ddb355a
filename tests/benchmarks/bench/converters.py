"""Peers that convert elements: copying as the measure of memory speed, ml_dtypes, torch, OpenVINO."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from bench.peer import FLOAT8, Array, Peer, load, nibbles, value_bits
from bench.rounds import Way

# Slices for each thread, so that a thread that was put off does not keep the others waiting.
_SLICES = 4


class Copy(Peer):
    """Copying float32; several threads copy slices, as one copy of NumPy uses one thread."""

    name = "copy"

    def __init__(self) -> None:
        self.threads = 1
        self.pool: ThreadPoolExecutor | None = None

    def version(self) -> str:
        return f"NumPy {np.__version__}"

    def set_threads(self, count: int) -> None:
        self.threads = count
        self.pool = ThreadPoolExecutor(count) if count > 1 else None

    def encode(self, x: Array, element: str, out: bool) -> Way | None:
        return self.way(x, out)

    def decode(self, codes: Array, element: str, out: bool) -> Way | None:
        return self.way(np.ones(codes.shape, np.float32), out)

    def way(self, x: Array, out: bool) -> Way:
        """Copy an array into one that exists, or into a new one."""
        if out:
            return Way(partial(self._into, np.zeros_like(x), x), x.size)
        if self.pool is None:
            return Way(x.copy, x.size)
        return Way(lambda: self._into(np.empty_like(x), x), x.size)

    def _into(self, buffer: Array, x: Array) -> Array:
        if self.pool is None:
            np.copyto(buffer, x)
            return buffer
        count = _SLICES * self.threads
        slices = (np.array_split(buffer, count), np.array_split(x, count))
        for _ in self.pool.map(np.copyto, *slices):
            pass
        return buffer


class MlDtypes(Peer):
    """ml_dtypes, through NumPy's astype; one thread."""

    name = "ml_dtypes"
    _NAMES = ("float8_e4m3fn", "float8_e5m2", "float6_e3m2fn", "float6_e2m3fn", "float4_e2m1fn")

    def __init__(self) -> None:
        module = load(self.name)
        dtypes = [np.dtype(getattr(module, name)) for name in self._NAMES]
        self.dtypes = {dtype.name.split("_")[1][:4].upper(): dtype for dtype in dtypes}

    def encode(self, x: Array, element: str, out: bool) -> Way | None:
        dtype = self.dtypes.get(element)
        return None if dtype is None else _astype(x, dtype, out, lambda codes: codes.view(np.uint8))

    def decode(self, codes: Array, element: str, out: bool) -> Way | None:
        dtype = self.dtypes.get(element)
        if dtype is None:
            return None
        return _astype(codes.view(dtype), np.dtype(np.float32), out, value_bits)


def _astype(source: Array, dtype: np.dtype[Any], out: bool, shown: Callable[[Any], Array]) -> Way:
    """NumPy's conversion, into a new array or into one that exists."""
    buffer = np.zeros(source.shape, dtype)

    def into() -> Array:
        np.copyto(buffer, source, casting="unsafe")
        return buffer

    return Way(into if out else lambda: source.astype(dtype), source.size, shown)


class Torch(Peer):
    """torch's own conversions, which exist for the two 8-bit formats."""

    name = "torch"

    def __init__(self) -> None:
        self.torch = load(self.name)
        self.dtypes = dict(zip(FLOAT8, float8_dtypes(self.torch), strict=True))

    def set_threads(self, count: int) -> None:
        self.torch.set_num_threads(count)

    def encode(self, x: Array, element: str, out: bool) -> Way | None:
        if element not in self.dtypes:
            return None
        return self._convert(self.torch.from_numpy(x), self.dtypes[element], out, self._codes)

    def decode(self, codes: Array, element: str, out: bool) -> Way | None:
        if element not in self.dtypes:
            return None
        source = self.torch.from_numpy(codes).view(self.dtypes[element])
        return self._convert(source, self.torch.float32, out, value_bits)

    def _convert(self, source: Any, dtype: Any, out: bool, shown: Callable[[Any], Array]) -> Way:
        if not out:
            return Way(lambda: source.to(dtype), source.numel(), shown)
        buffer = self.torch.zeros(source.shape, dtype=dtype)
        return Way(lambda: buffer.copy_(source), source.numel(), shown)

    def _codes(self, result: Any) -> Array:
        return result.view(self.torch.uint8).numpy()


def float8_dtypes(torch: Any) -> tuple[Any, Any]:
    """torch's dtypes of E4M3 and E5M2."""
    return torch.float8_e4m3fn, torch.float8_e5m2


class OpenVino(Peer):
    """OpenVINO's Convert: a model of one operation, on tensors that share memory with NumPy."""

    name = "openvino"

    def __init__(self) -> None:
        self.openvino = load(self.name)
        self.operations = load("openvino.opset13", self.name)
        self.core = self.openvino.Core()
        kinds = self.openvino.Type
        self.types = {"E4M3": kinds.f8e4m3, "E5M2": kinds.f8e5m2, "E2M1": kinds.f4e2m1}
        self.threads = 1

    def set_threads(self, count: int) -> None:
        self.threads = count

    def encode(self, x: Array, element: str, out: bool) -> Way | None:
        if element not in self.types:
            return None
        packed = element == "E2M1"
        make = partial(np.zeros if out else np.empty, x.size // 2 if packed else x.size, np.uint8)
        request = self._request(self._tensor(x, self.openvino.Type.f32), self.types[element])
        call = self._call(request, make, self.types[element], x.size, out)
        return Way(call, x.size, nibbles if packed else np.ravel)

    def decode(self, codes: Array, element: str, out: bool) -> Way | None:
        if element not in FLOAT8:
            return None
        make = partial(np.zeros if out else np.empty, codes.size, np.float32)
        number = self.openvino.Type.f32
        request = self._request(self._tensor(codes, self.types[element]), number)
        return Way(self._call(request, make, number, codes.size, out), codes.size, value_bits)

    def _tensor(self, array: Array, kind: Any, size: int = 0) -> Any:
        """A tensor on the memory of an array."""
        return self.openvino.Tensor(array, self.openvino.Shape([size or array.size]), kind)

    def _request(self, source: Any, kind: Any) -> Any:
        parameter = self.operations.parameter(list(source.shape), source.element_type)
        model = self.openvino.Model([self.operations.convert(parameter, kind)], [parameter])
        options = {"INFERENCE_NUM_THREADS": self.threads, "NUM_STREAMS": 1}
        request = self.core.compile_model(model, "CPU", options).create_infer_request()
        request.set_input_tensor(source)
        return request

    def _call(
        self, request: Any, make: Callable[[], Array], kind: Any, size: int, out: bool
    ) -> Callable[[], Array]:
        """A request that writes into a new array, or always into the same."""

        def prepared() -> Array:
            array = make()
            request.set_output_tensor(self._tensor(array, kind, size))
            return array

        def fresh() -> Array:
            array = prepared()
            request.infer()
            return array

        def into() -> Array:
            request.infer()
            return buffer

        buffer = prepared() if out else None
        return into if out else fresh
