"""Adapters whose functions take and give tensors of PyTorch or arrays of JAX instead of NumPy's.

Arrays pass by DLPack, on the same memory; only a device of its own costs a copy. bfloat16 goes in as bfloat16, and
comes back as its bits; 8-bit floating-point tensors come back as codes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np

from conformance import adapter as adapters
from conformance.adapter import OPERATIONS, function_of
from conformance.arrays import Array
from mxemu.errors import MxemuError, Unsupported, unknown

_VALUES = {
    "encode": 0,
    "encode_scaled": 0,
    "quantize": 0,
    "fake_quantize": 0,
}
"""The parameter that holds numbers, for functions that take any; all others are codes or bits."""


class Tensors(Protocol):
    """How arrays become tensors of a library, and back."""

    def tensor(self, array: Array, is_values: bool) -> Any:
        """A tensor on the memory of an array; uint16 among values are the bits of bfloat16."""

    def array(self, tensor: Any) -> Array:
        """An array of a tensor's numbers; bits where NumPy has no such dtype."""

    def wait(self) -> None:
        """Return when what was asked of the device is done."""


class Torch:
    """Tensors of PyTorch.

    Parameters
    ----------
    device : str
        ``cpu``, ``cuda``, ``cuda:1``.

    Raises
    ------
    MxemuError
        There is no PyTorch, or no such device.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.torch = _imported("torch")
        self.device = device
        try:
            self.torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            said = (str(error).splitlines() or ["it cannot be used"])[0]
            raise MxemuError(f"device {device!r}: {said}", "cpu is always there") from None

    def tensor(self, array: Array, is_values: bool) -> Any:
        """See `Tensors.tensor`."""
        found = self.torch.from_dlpack(_ready(array))
        if is_values and array.dtype == np.uint16:
            found = found.view(self.torch.bfloat16)
        return found if self.device == "cpu" else found.to(self.device)

    def array(self, tensor: Any) -> Array:
        """See `Tensors.array`."""
        if not isinstance(tensor, self.torch.Tensor):
            return np.asarray(tensor)
        plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
        if plain.dtype in self._packed():
            raise MxemuError(f"returned {plain.dtype}, two codes a byte; expected one in each item")
        if plain.dtype == self.torch.bfloat16:
            plain = plain.view(self.torch.uint16)
        elif plain.dtype.is_floating_point and plain.dtype.itemsize == 1:
            plain = plain.view(self.torch.uint8)
        return np.from_dlpack(plain)

    def _packed(self) -> tuple[Any, ...]:
        """Dtypes that hold several codes in a byte, as far as this version has them."""
        names = ("float4_e2m1fn_x2",)
        return tuple(getattr(self.torch, name) for name in names if hasattr(self.torch, name))

    def wait(self) -> None:
        """See `Tensors.wait`: an error of a kernel belongs to the call that started it."""
        if self.device.startswith("cuda"):
            self.torch.cuda.synchronize(self.device)


class Jax:
    """Arrays of JAX.

    Parameters
    ----------
    device : str
        A platform, ``cpu`` or ``cuda``, and after a colon the number of the device.

    Raises
    ------
    MxemuError
        There is no JAX, or no such device.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.jax = _imported("jax")
        self.numpy = _imported("jax.numpy")
        platform, _, number = device.partition(":")
        try:
            self.device = self.jax.devices(platform)[int(number or 0)]
        except (RuntimeError, IndexError, ValueError) as error:
            raise MxemuError(f"device {device!r}: {error}", "cpu is always there") from None

    def tensor(self, array: Array, is_values: bool) -> Any:
        """See `Tensors.tensor`.

        Raises
        ------
        Unsupported
            For 64 bits, unless JAX was told to keep them.
        """
        if array.dtype.itemsize == 8 and not self.jax.config.jax_enable_x64:
            raise Unsupported(f"{array.dtype} needs jax_enable_x64")
        found = self.numpy.from_dlpack(_ready(array))
        if is_values and array.dtype == np.uint16:
            found = self.jax.lax.bitcast_convert_type(found, self.numpy.bfloat16)
        return self.jax.device_put(found, self.device)

    def array(self, tensor: Any) -> Array:
        """See `Tensors.array`."""
        if not isinstance(tensor, self.jax.Array):
            return np.asarray(tensor)
        name = tensor.dtype.name
        if name.startswith("float4"):
            raise MxemuError(f"returned {name}; expected one code in each item")
        bits = {"bfloat16": "uint16"}.get(name, "uint8" if name.startswith("float8") else name)
        if bits != name:
            tensor = self.jax.lax.bitcast_convert_type(tensor, bits)
        return np.from_dlpack(self.jax.device_put(tensor, self.jax.devices("cpu")[0]))

    def wait(self) -> None:
        """See `Tensors.wait`; taking an array waits for it."""


LIBRARIES: Mapping[str, Callable[[str], Tensors]] = {"torch": Torch, "jax": Jax}


def _ready(array: Array) -> Array:
    """An array that can be lent: native, without gaps and writable; a copy where it is not."""
    return np.require(array, array.dtype.newbyteorder("="), ["C", "W", "A"])


def _imported(name: str) -> Any:
    """The library of the subject; it is no dependency of ours."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        library = name.partition(".")[0]
        hint = f"install it with: python -m pip install 'mxemu[{library}]'"
        raise MxemuError(f"the adapter takes tensors of {library}: {error}", hint) from None


class TensorAdapter:
    """An adapter of NumPy arrays around one of tensors.

    Parameters
    ----------
    inner : object
        A module or object as `conformance.adapter.Adapter` describes it, but for its arrays.
    library : str
        ``torch`` or ``jax``.
    device : str

    Raises
    ------
    MxemuError
        The library or the device is not there.
    """

    def __init__(self, inner: Any, library: str, device: str = "cpu") -> None:
        if library not in LIBRARIES:
            raise unknown("library of tensors", library, LIBRARIES)
        if isinstance(inner, type):
            inner = inner()
        self._inner = inner
        self._library = library
        self._device = device
        self._tensors = LIBRARIES[library](device)
        for name in ("name", "version", "capabilities"):
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))
        for operation in OPERATIONS:
            function = getattr(inner, function_of(operation), None)
            if callable(function):
                name = function_of(operation)
                setattr(self, name, partial(self._call, name, function))
        if callable(getattr(inner, "variant", None)):
            self.variant = self._variant

    def _variant(self, name: str) -> TensorAdapter:
        return TensorAdapter(self._inner.variant(name), self._library, self._device)

    def _call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """A function of the adapter with tensors for its arrays."""
        given = [
            self._tensors.tensor(one, place == _VALUES.get(name, -1))
            if isinstance(one, np.ndarray)
            else one
            for place, one in enumerate(arguments)
        ]
        result = adapters.call(function, *given)
        self._tensors.wait()
        if isinstance(result, (tuple, list)):
            return tuple(self._tensors.array(one) for one in result)
        return self._tensors.array(result)


def torch_adapter(inner: Any, device: str = "cpu") -> TensorAdapter:
    """An adapter whose functions take and give tensors of PyTorch.

    Parameters
    ----------
    inner : module, object or class
        Its functions are those of `conformance.adapter.Adapter`, with tensors on ``device`` for all arrays. A class is
        instantiated, so this can stand over one as a decorator.
    device : str
        ``cpu``, or ``cuda`` for kernels that run there.
    """
    return TensorAdapter(inner, "torch", device)


def jax_adapter(inner: Any, device: str = "cpu") -> TensorAdapter:
    """The same for arrays of JAX."""
    return TensorAdapter(inner, "jax", device)


def wrapped(inner: Any) -> TensorAdapter:
    """An adapter that says itself what it takes: ``tensors = "torch"``, or with a device ``"torch:cuda"``.

    Raises
    ------
    MxemuError
        It says something else.
    """
    said = inner.tensors
    if not isinstance(said, str):
        raise MxemuError(f"tensors is {said!r}; expected 'torch', 'jax', or 'torch:cuda'")
    library, _, device = said.partition(":")
    return TensorAdapter(inner, library, device or "cpu")
