"""Arrays from the user's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from conformance.arrays import Array
from mxemu.errors import BadFile


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an .npy or .npz file by name; that of a single one is ``array``.

    Raises
    ------
    BadFile
    """
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return {"array": found}
            return {name: found[name] for name in _order(found.files)}
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise BadFile(f"{path}: no array: {error}") from None


def _order(names: list[str]) -> list[str]:
    """Scales before codes, and a before b, as functions take them."""
    return sorted(names, key=lambda name: (name == "codes", name))
