"""What a peer is, and what the peers share: finding them, and bringing their results into one form."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from bench.rounds import Way

Array = Any
FLOAT8 = ("E4M3", "E5M2")
# Rows of 4096 elements that a peer is given which would take a second for all of them.
SLOW_ROWS = 512
_QUIET_NAN = 0x7FC00000


class Missing(Exception):
    """A peer is not installed here; the message is the reason."""


class Peer:
    """A contestant; a method gives None where the peer does not offer the work.

    Notes
    -----
    ``x`` and ``codes`` are arrays, ``element`` is a name such as "E4M3", ``rule`` is "FLOOR" or "RCEIL". With ``out``
    results go to an array that exists already.
    """

    name = ""

    def version(self) -> str:
        return version(self.name)

    def set_threads(self, count: int) -> None:
        """Use this many threads in the ways that are made from now on."""

    def encode(self, x: Array, element: str, out: bool) -> Way | None:
        """binary32 to codes."""
        return None

    def decode(self, codes: Array, element: str, out: bool) -> Way | None:
        """Codes to binary32."""
        return None

    def quantize(self, x: Array, element: str, rule: str, out: bool) -> Way | None:
        """A matrix to blocks of 32 along its rows."""
        return None

    def product(self, x: Array, y: Array) -> Way | None:
        """The product of a matrix with the transpose of another, in the machine's own arithmetic."""
        return None

    def emulated(self, x: Array, y: Array, element: str) -> Way | None:
        """The same of both matrices in blocks of 32."""
        return None

    def fused(self, accumulation: str, a: Any, b: Any) -> Way | None:
        """The same of codes without scales, or of blocks, under an accumulation of fused groups."""
        return None


def load(name: str, package: str = "") -> Any:
    """Import a module of a peer.

    Raises
    ------
    Missing
        When it cannot be imported.
    """
    try:
        with silence():
            return import_module(name)
    except ImportError as reason:
        raise Missing(f"{package or name} cannot be imported: {first_line(reason)}") from reason


def first_line(reason: Exception) -> str:
    """The first line of what an exception says."""
    return str(reason).partition("\n")[0]


@contextmanager
def silence() -> Iterator[None]:
    """Keep a library's warnings and log lines out of the output."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def value_bits(values: Array) -> Array:
    """The bits of binary32 values, all NaNs alike."""
    own = np.array(values, np.float32)
    bits = own.view(np.uint32)
    bits[np.isnan(own)] = _QUIET_NAN
    return bits


def nibbles(packed: Array) -> Array:
    """Codes of 4 bits out of bytes, low nibble first."""
    return np.stack([packed & 15, packed >> 4], axis=-1).ravel()


def scale_and_codes(scales: Array, codes: Array) -> Array:
    """One row for each block: its scale, then its codes."""
    column = scales.reshape(-1, 1)
    return np.concatenate([column, codes.reshape(len(column), -1)], axis=1)


def first_rows(x: Array) -> Array:
    """The start of an array, for a peer that would take a second for all of it."""
    return x[: SLOW_ROWS * 4096] if x.ndim == 1 else x[:SLOW_ROWS]
