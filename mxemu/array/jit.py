"""How the kernels are compiled: once, kept on disk, without the interpreter lock; and the prefetch instruction."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import event, types
from numba.extending import intrinsic

_LOCALITY, _DATA_CACHE = 3, 1


def kernel(function: Callable[..., Any], *, allocates: bool = True) -> Any:
    """Compile a function with Numba at its first call with each set of dtypes.

    One that does not allocate does not count references to its arrays either, which small functions spend most of
    their time on.

    Machine code is kept on disk, beside this file or in the user's cache folder (NUMBA_CACHE_DIR chooses
    another); where neither can be written it is compiled anew in every process.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": False, "error_model": "numpy"}
    if not allocates:
        options["_nrt"] = False
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # Numba's word for "no place for a cache"
        return numba.njit(**options)(function)


def small(function: Callable[..., Any]) -> Any:
    """As `kernel`, for functions that work on arrays they are given and make none, not even a slice."""
    return kernel(function, allocates=False)


class _Announcement(event.Listener):
    """Says once on stderr that a compilation makes this call slow; silent when the code comes from the disk."""

    def __init__(self) -> None:
        self.told = False

    def on_start(self, event: event.Event) -> None:
        dispatcher = event.data["dispatcher"]
        if self.told or not dispatcher.py_func.__module__.startswith("mxemu."):
            return
        self.told = True
        sys.stderr.write("mxemu: compiling kernels, once for this machine; a few seconds\n")
        sys.stderr.flush()

    def on_end(self, event: event.Event) -> None:
        """Nothing to say."""


event.register("numba:compile", _Announcement())  # type: ignore[no-untyped-call]


def _prefetch(builder: Any, context: Any, array: Any, kind: Any, index: Any, write: int) -> Any:
    """Emit llvm.prefetch for one element's cache line. An address beyond the array is harmless."""
    data = context.make_array(kind)(context, builder, array).data
    byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
    signature = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
    name = "llvm.prefetch.p0"
    function = builder.module.globals.get(name) or ir.Function(builder.module, signature, name)
    options = [ir.Constant(word, number) for number in (write, _LOCALITY, _DATA_CACHE)]
    builder.call(function, [builder.bitcast(builder.gep(data, [index]), byte), *options])
    return context.get_dummy_value()


def _read(_typing: Any, array: Any, _index: Any) -> Any:
    """Ask for the cache line of array[index], which will be read."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _prefetch(builder, context, arguments[0], signature.args[0], arguments[1], 0)

    return types.void(array, types.intp), generate


def _write(_typing: Any, array: Any, _index: Any) -> Any:
    """Ask for the cache line of array[index], which will be written."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _prefetch(builder, context, arguments[0], signature.args[0], arguments[1], 1)

    return types.void(array, types.intp), generate


prefetch_read: Any = intrinsic(_read)
prefetch_write: Any = intrinsic(_write)


def _bit_length(_typing: Any, _value: Any) -> Any:
    """Bits of a non-negative 64-bit integer below and with its leading one."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        flag = ir.Constant(ir.IntType(1), 0)
        zeros = builder.ctlz(arguments[0], flag)
        return builder.sub(ir.Constant(ir.IntType(64), 64), zeros)

    return types.int64(types.int64), generate


bit_length: Any = intrinsic(_bit_length)
