"""Arrays in .npy, .npz, .safetensors and raw files, with what NumPy cannot say of them."""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple

import numpy as np

from conformance.arrays import Array
from mxemu.errors import BadFile

_LONGEST_HEADER = 100_000_000

_FLOATS: Mapping[str, str] = MappingProxyType(
    {"float64": "binary64", "float32": "binary32", "float16": "binary16"}
)

_SAFETENSORS: Mapping[str, str] = MappingProxyType(
    {
        "F64": "<f8",
        "F32": "<f4",
        "F16": "<f2",
        "BF16": "<u2",
        **{f"{sign}{8 * size}": f"<{sign.lower()}{size}" for sign in "UI" for size in (1, 2, 4, 8)},
        **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0"), "u1"),
    }
)
"""The dtypes of the file format that are taken, as NumPy reads them; 8-bit floating-point ones are codes."""


class Stored(NamedTuple):
    """An array of a file.

    Attributes
    ----------
    array : ndarray
    carrier : str
        What its items are, as far as the file says that; empty for integers and bytes.
    raw : bool
        Whether it is bytes whose dtype and shape are said elsewhere.
    """

    array: Array
    carrier: str
    raw: bool = False


def read(path: Path) -> dict[str, Stored]:
    """The arrays of a file by name; that of a .npy or raw file has the name of the file without its ending.

    Raises
    ------
    BadFile
        It is not there, damaged, or holds what is no array of numbers.
    """
    try:
        match path.suffix.lower():
            case ".npy":
                return {path.stem: _of_numpy(_loaded(path), path)}
            case ".npz":
                return {name: _of_numpy(array, path) for name, array in _loaded(path).items()}
            case ".safetensors":
                with path.open("rb") as file:
                    return _safetensors(file, path)
            case _:
                raw = np.fromfile(path, dtype=np.uint8)
                return {path.stem: Stored(raw, "", raw=True)}
    except OSError as error:
        if isinstance(error, BadFile):
            raise
        raise BadFile(f"{path}: {error.strerror or error}") from None


def _loaded(path: Path) -> Any:
    try:
        found = np.load(path, allow_pickle=False)
        return dict(found) if path.suffix.lower() == ".npz" else found
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        why = (str(error).splitlines() or ["it is cut off"])[0]
        raise BadFile(f"{path}: {why}; expected a file of NumPy without objects") from None


def _of_numpy(array: Array, path: Path) -> Stored:
    """An array; what NumPy reads as opaque items is bfloat16 or a code of 8 bits."""
    if array.dtype.kind == "V" and not array.dtype.names:
        wide = {1: np.uint8, 2: np.uint16}.get(array.dtype.itemsize)
        if wide is not None:
            carrier = "bfloat16" if wide is np.uint16 else ""
            return Stored(np.ascontiguousarray(array).view(wide), carrier)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if native.dtype.kind in "iu" or native.dtype.name in _FLOATS:
        return Stored(native, _FLOATS.get(native.dtype.name, ""))
    raise BadFile(f"{path}: an array of {array.dtype}; expected numbers of a carrier, or integers")


def _safetensors(file: IO[bytes], path: Path) -> dict[str, Stored]:
    """The tensors of a .safetensors file: a length, a table in JSON, the data."""
    head = file.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else _LONGEST_HEADER + 1
    if length > _LONGEST_HEADER:
        raise BadFile(f"{path}: no header of .safetensors")
    try:
        table = json.loads(file.read(length))
    except (ValueError, RecursionError):
        raise BadFile(f"{path}: the header is no JSON") from None
    if not isinstance(table, dict):
        raise BadFile(f"{path}: the header is no object")
    data = file.read()
    return {
        name: _tensor(name, entry, data, path)
        for name, entry in table.items()
        if name != "__metadata__"
    }


def _tensor(name: str, entry: Any, data: bytes, path: Path) -> Stored:
    try:
        kind, shape, (start, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        dtype = np.dtype(_SAFETENSORS[kind]) if kind in _SAFETENSORS else None
        fits = 0 <= start <= stop <= len(data)
        size = math.prod(shape) * (dtype.itemsize if dtype else 1)
    except (KeyError, TypeError, ValueError):
        raise BadFile(f"{path}: tensor {name!r} has no dtype, shape and data_offsets") from None
    if dtype is None:
        raise BadFile(
            f"{path}: tensor {name!r} is {kind}; expected one of {', '.join(_SAFETENSORS)}"
        )
    if not fits or stop - start != size:
        raise BadFile(f"{path}: tensor {name!r} has {stop - start} bytes; expected {size}")
    array = np.frombuffer(data[start:stop], dtype).reshape(shape)
    native = array.astype(dtype.newbyteorder("="), copy=False)
    carrier = "bfloat16" if kind == "BF16" else _FLOATS.get(native.dtype.name, "")
    return Stored(native, carrier)
