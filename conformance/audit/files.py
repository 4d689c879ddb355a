"""Arrays from the user's files, and into files for the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from conformance.adapters.arrayfiles import read
from conformance.arrays import Array
from mxemu.errors import BadFile

_ORDER = ("values", "scales", "codes")


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an .npy, .npz or .safetensors file by name, in the order in which functions take them.

    Numbers of bfloat16 come as their bits in uint16, 8-bit floating-point ones as codes.

    Raises
    ------
    BadFile
    """
    found = read(path)
    if any(one.raw for one in found.values()):
        raise BadFile(f"{path}: expected a file that ends in .npy, .npz or .safetensors")
    return {name: found[name].array for name in sorted(found, key=_place)}


def _place(name: str) -> tuple[int, str]:
    """Values before scales and scales before codes; a before b."""
    return (_ORDER.index(name) if name in _ORDER else -1), name


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write an .npz file.

    Raises
    ------
    BadFile
    """
    try:
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(arrays))
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
