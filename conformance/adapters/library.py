"""Subjects behind a C ABI: a shared library with the functions of ``conformance/include/mxemu_subject.h``.

``python -m conformance.adapters.library`` prints the folder of that header.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from conformance.adapters.exchange import Call, Remote, Slot
from conformance.adapters.fault import Ended, Fault
from conformance.arrays import Array
from mxemu.errors import MxemuError, Unsupported
from mxemu.formats import BlockFormat
from mxemu.formats import find as find_format
from mxemu.profile import plain

INCLUDE = Path(__file__).resolve().parents[1] / "include"
"""The folder of the published header."""

FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "encode": ("values", "codes"),
    "decode": ("codes", "values"),
    "encode-scaled": ("values", "scales", "codes"),
    "quantize": ("values", "scales", "codes"),
    "dequantize": ("scales", "codes", "values"),
    "fake_quantize": ("values", "results"),
    "dot": ("sa", "a", "sb", "b", "c", "bits"),
    "dot-general": ("sa", "a", "sb", "b", "c", "bits"),
    "matmul": ("sa", "a", "sb", "b", "c", "bits"),
}
"""The arrays of each function, in the order of its parameters."""

_OK, _UNSUPPORTED = 0, 1
_UNWRITTEN = -2
"""What result codes hold before the call: no code of any format, and no refusal."""

_GUARD = 64
"""Bytes behind each result that must stay as they are."""

_FILL = 0xA5


class Request(ctypes.Structure):
    """``mx_request`` of the header."""

    _fields_ = (
        ("operation", ctypes.c_char_p),
        ("format", ctypes.c_char_p),
        ("carrier", ctypes.c_char_p),
        ("rounding", ctypes.c_char_p),
        ("overflow", ctypes.c_char_p),
        ("profile", ctypes.c_char_p),
        ("accumulation", ctypes.c_char_p),
        ("variant", ctypes.c_char_p),
        ("k", ctypes.c_size_t),
    )


class Room:
    """Memory for one result: filled before the call, with a guard behind it."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        dtype = np.dtype(np.int32) if slot.is_codes else slot.dtype
        size = slot.count * dtype.itemsize
        self.memory = np.full(size + _GUARD, _FILL, dtype=np.uint8)
        self.numbers: Array = self.memory[:size].view(dtype).reshape(slot.shape)
        if slot.is_codes:
            self.numbers[...] = _UNWRITTEN

    def found(self) -> Array:
        """What was written.

        Raises
        ------
        Ended
            More was written than the result has room for.
        """
        if (self.memory[-_GUARD:] != _FILL).any():
            name, count = self.slot.name, self.slot.count
            raise Ended("broke", f"gave more than {count} {name}: it wrote behind the array")
        if self.slot.is_codes and (not self.numbers.size or self.numbers.min() >= 0):
            fits = not self.numbers.size or self.numbers.max() <= np.iinfo(self.slot.dtype).max
            return self.numbers.astype(self.slot.dtype) if fits else self.numbers
        return self.numbers.astype(np.int64) if self.slot.is_codes else self.numbers


class Library(Remote):
    """A shared library as an adapter.

    Parameters
    ----------
    path : str
    variant : str, optional

    Raises
    ------
    MxemuError
        It cannot be loaded, has no ``mx_subject_describe``, or lists an operation that it has no function for.
    """

    def __init__(self, path: str, variant: str | None = None) -> None:
        where = f"lib:{path}"
        if not Path(path).is_file():
            what = "a folder" if Path(path).is_dir() else "not there"
            raise MxemuError(f"library {path} is {what}; expected a shared library")
        try:
            # Without a slash the loader would look in the system's folders.
            self._library = ctypes.CDLL(str(Path(path).resolve()))
        except OSError as error:
            raise MxemuError(f"cannot load {path}: {error}") from None
        super().__init__(_description(self._library, where), where, variant)
        for operation in self.offers.operations:
            symbol = symbol_of(operation)
            if operation in FUNCTIONS and not hasattr(self._library, symbol):
                raise MxemuError(f"{where}: lists {operation!r}, but there is no function {symbol}")
        self._variant = variant or ""

    def ask(self, call: Call) -> dict[str, Array]:
        """One call; see `Remote.ask`.

        Raises
        ------
        Ended
            It wrote behind a result.
        Fault, Unsupported
            It said so.
        """
        function = getattr(self._library, symbol_of(call.operation), None)
        if function is None:
            raise Unsupported(f"no function {symbol_of(call.operation)}")
        function.restype = ctypes.c_int
        given = {name: _given(name, array) for name, array in call.inputs.items()}
        rooms = {slot.name: Room(slot) for slot in call.results}
        status = function(*self._arguments(call, given, rooms))
        found = {name: room.found() for name, room in rooms.items()}
        if status == _UNSUPPORTED:
            raise Unsupported(self._message() or f"{call.operation} {call.format}")
        if status != _OK:
            said = self._message()
            raise Fault(f"returned status {status}{': ' if said else ''}{said}")
        return found

    def _arguments(
        self, call: Call, given: Mapping[str, Array], rooms: Mapping[str, Room]
    ) -> list[Any]:
        """The request, the counts, and the arrays in the order of the function."""
        found: list[Any] = [ctypes.byref(_request(call, self._variant)), ctypes.c_size_t(call.rows)]
        if "a" in call.inputs:
            if call.operation == "matmul":
                found.append(ctypes.c_size_t(len(call.inputs["b"])))
            found.append(ctypes.c_size_t(_blocks(call)))
        for name in FUNCTIONS[call.operation]:
            array = given.get(name)
            if array is None:
                room = rooms.get("values" if name == "results" else name)
                array = None if room is None else room.numbers
            found.append(None if array is None else ctypes.c_void_p(array.ctypes.data))
        return found

    def _message(self) -> str:
        """The library's own words about its last status."""
        if not hasattr(self._library, "mx_subject_message"):
            return ""
        function = self._library.mx_subject_message
        function.restype = ctypes.c_char_p
        text: bytes | None = function()
        return " ".join((text or b"").decode(errors="replace").split())[:300]


def symbol_of(operation: str) -> str:
    """The function of an operation.

    Examples
    --------
    >>> symbol_of("encode-scaled"), symbol_of("dot-general")
    ('mx_encode_scaled', 'mx_dot')
    """
    name = "dot" if operation == "dot-general" else operation.replace("-", "_")
    return f"mx_{name}"


def _description(library: ctypes.CDLL, where: str) -> Any:
    """The record of a library."""
    if not hasattr(library, "mx_subject_describe"):
        raise MxemuError(
            f"{where} has no function mx_subject_describe; expected those of mxemu_subject.h",
            f'the header is in {INCLUDE}; in C++ it needs extern "C", in Rust #[no_mangle]',
        )
    describe = library.mx_subject_describe
    describe.restype = ctypes.c_char_p
    text: bytes | None = describe()
    try:
        return json.loads((text or b"").decode())
    except (ValueError, RecursionError) as error:
        raise MxemuError(f"{where}: mx_subject_describe gives no JSON: {error}") from None


def _given(name: str, array: Array) -> Array:
    """An input as the function takes it: bit patterns as they are, codes as int32."""
    if name in ("values", "c"):
        return np.ascontiguousarray(array)
    return np.ascontiguousarray(array, dtype=np.int32)


def _request(call: Call, variant: str) -> Request:
    profile, asked = call.profile, call.accumulation_record()
    texts = (
        call.operation,
        call.format,
        call.carrier,
        "" if profile is None else plain(profile.rounding),
        "" if profile is None else plain(profile.overflow),
        "" if profile is None else json.dumps(call.profile_record()),
        asked if isinstance(asked, str) else json.dumps(asked) if asked else "",
        variant,
    )
    return Request(*(text.encode() for text in texts), _k(call))


def _k(call: Call) -> int:
    """Elements in a block."""
    if "a" in call.inputs:
        return int(call.inputs["a"].shape[1]) // _blocks(call)
    shape = next((one.shape for one in call.results if one.name != "scales"), ())
    return int(shape[1]) if len(shape) > 1 else 1


def _blocks(call: Call) -> int:
    """Blocks in each operand of a product."""
    formats = [find_format(name) for name in call.format.split(",")]
    sizes = [one.k for one in formats if isinstance(one, BlockFormat)]
    return int(call.inputs["a"].shape[1]) // sizes[0] if sizes else 1


if __name__ == "__main__":
    print(INCLUDE)
