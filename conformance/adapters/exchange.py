"""Calls of an adapter as named arrays of integers, for subjects that are no Python objects.

`Remote` is the adapter that the checker sees. A transport adds one method, ``ask``, which takes a `Call` and gives its
results back; values travel as bit patterns of their carrier, codes as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conformance.adapter import (
    CARRIER_DTYPES,
    Capabilities,
    accumulation_record,
    pair_label,
    parse,
)
from conformance.arrays import BITS_DTYPES, Array, as_bits, as_values, code_dtype
from mxemu.accumulation import Accumulation
from mxemu.errors import MxemuError, Unsupported
from mxemu.formats import BlockFormat, block_format, element
from mxemu.formats import find as find_format
from mxemu.profile import Profile, plain_data

VERSION = 1
"""Of the handshake and of what follows it; a subject that names another one is refused."""


_WITHOUT_BLOCKS = 32
"""Elements of an operand whose format has no blocks: as many as in one block of MX."""


@dataclass(frozen=True)
class Slot:
    """A result of a call.

    Attributes
    ----------
    name : str
        ``codes``, ``scales``, ``values`` or ``bits``.
    shape : tuple of int
    dtype : dtype of unsigned integers
        The smallest that holds one number.
    is_codes : bool
        Codes may be refused with -1; bit patterns may not.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_codes: bool

    @property
    def count(self) -> int:
        """Numbers in it."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def row_count(self) -> int:
        """Numbers in one row."""
        return int(np.prod(self.shape[1:], dtype=np.int64))


@dataclass(frozen=True)
class Call:
    """One call of an adapter's function.

    Attributes
    ----------
    operation, format, carrier : str
        ``format`` has a comma between the formats of a product of two.
    inputs : dict of str to ndarray of unsigned integers
        In the order of the function's parameters; what is None there is absent.
    results : tuple of Slot
    profile : Profile, optional
    accumulation : Accumulation or str, optional
    splits : bool
        Whether a part of the rows is a call, too.
    """

    operation: str
    format: str
    carrier: str
    inputs: Mapping[str, Array]
    results: tuple[Slot, ...]
    profile: Profile | None = None
    accumulation: Accumulation | str | None = None
    splits: bool = True

    @property
    def rows(self) -> int:
        """Cases, or rows of the first operand of a matrix product."""
        return len(next(iter(self.inputs.values())))

    @property
    def row_numbers(self) -> int:
        """Numbers that go in and come out for one row, about."""
        inputs = sum(array.size for array in self.inputs.values())
        return (inputs + sum(slot.count for slot in self.results)) // max(self.rows, 1)

    def part(self, start: int, stop: int) -> Call:
        """The call for some of the rows."""
        stop = min(stop, self.rows)
        inputs = {name: array[start:stop] for name, array in self.inputs.items()}
        results = tuple(
            replace(slot, shape=(stop - start, *slot.shape[1:])) for slot in self.results
        )
        return replace(self, inputs=inputs, results=results)

    def profile_record(self) -> dict[str, Any] | None:
        """Every choice of the profile as text, number or list of numbers, with its name."""
        if self.profile is None:
            return None
        choices = {key: plain_data(one) for key, one in self.profile.choices().items()}
        return {"name": self.profile.name, **choices}

    def accumulation_record(self) -> str | dict[str, Any] | None:
        """The accumulation as a preset's name or as a table."""
        asked = self.accumulation
        return asked if asked is None or isinstance(asked, str) else accumulation_record(asked)


class Remote(ABC):
    """An adapter whose functions become calls.

    Parameters
    ----------
    record : mapping
        ``protocol``, ``name``, ``version`` and ``capabilities``, as a handshake has them.
    where : str
        What the record came from, for errors.
    variant : str, optional

    Raises
    ------
    MxemuError
        The record is wrong.
    """

    def __init__(self, record: object, where: str, variant: str | None = None) -> None:
        table = _checked(record, where)
        self.name: str = table["name"]
        self.version: str = table["version"]
        self.capabilities: Mapping[str, Any] = table["capabilities"]
        self.offers: Capabilities = parse(self.name, self.version, self.capabilities, variant)

    @abstractmethod
    def ask(self, call: Call) -> dict[str, Array]:
        """The results of a call by name, in the shape of their slots."""

    def encode(self, values: Array, element_name: str, profile: Profile | None = None) -> Array:
        """Codes of numbers."""
        slot = _codes("codes", values.shape, element(element_name).width)
        return self._convert("encode", element_name, {"values": values}, (slot,), profile)[0]

    def decode(self, codes: Array, element_name: str) -> Array:
        """Numbers of codes."""
        inputs = {"codes": _narrow(codes, element(element_name).width)}
        return self._numbers("decode", element_name, inputs, codes.shape)

    def encode_scaled(
        self, values: Array, scales: Array, format_name: str, profile: Profile | None = None
    ) -> Array:
        """Codes of numbers, each under a scale."""
        fmt = block_format(format_name)
        inputs = {"values": values, "scales": _narrow(scales, fmt.scale.width)}
        slot = _codes("codes", values.shape, fmt.element.width)
        return self._convert("encode-scaled", format_name, inputs, (slot,), profile)[0]

    def quantize(
        self, values: Array, format_name: str, profile: Profile | None = None
    ) -> tuple[Array, Array]:
        """Scales and codes of blocks."""
        fmt = block_format(format_name)
        slots = (
            _codes("scales", values.shape[:1], fmt.scale.width),
            _codes("codes", values.shape, fmt.element.width),
        )
        scales, codes = self._convert("quantize", format_name, {"values": values}, slots, profile)
        return scales, codes

    def dequantize(self, scales: Array, codes: Array, format_name: str) -> Array:
        """Numbers of blocks."""
        fmt = block_format(format_name)
        inputs = {
            "scales": _narrow(scales, fmt.scale.width),
            "codes": _narrow(codes, fmt.element.width),
        }
        return self._numbers("dequantize", format_name, inputs, codes.shape)

    def fake_quantize(
        self, values: Array, format_name: str, profile: Profile | None = None
    ) -> Array:
        """Numbers that blocks stand for."""
        carrier = _carrier_of(values.dtype)
        slots = (_bits("values", values.shape, carrier),)
        inputs = {"values": values}
        (found,) = self._convert("fake_quantize", format_name, inputs, slots, profile)
        return as_values(found, carrier)

    def dot(self, *operands: Any) -> Array:
        """Bits of dot products; see `conformance.adapter.Adapter`."""
        sa, a, sb, _, _, formats, *_ = operands
        counts = [one.shape[1] for one in (sa, sb) if one is not None]
        several = counts[0] > 1 if counts else a.shape[1] > _WITHOUT_BLOCKS
        name = "dot-general" if several or "dot" not in self.offers.operations else "dot"
        return self._product(name, operands, a.shape[:1], formats)

    def matmul(self, *operands: Any) -> Array:
        """Bits of a matrix product; see `conformance.adapter.Adapter`."""
        _, a, _, b, _, formats, *_ = operands
        return self._product("matmul", operands, (len(a), len(b)), formats)

    def _convert(
        self,
        operation: str,
        format_name: str,
        inputs: dict[str, Array],
        slots: tuple[Slot, ...],
        profile: Profile | None,
    ) -> tuple[Array, ...]:
        """A call that takes numbers of a carrier."""
        carrier = _carrier_of(inputs["values"].dtype)
        given = {**inputs, "values": as_bits(inputs["values"], carrier)}
        found = self.ask(Call(operation, format_name, carrier, given, slots, profile))
        return tuple(found[slot.name] for slot in slots)

    def _numbers(
        self, operation: str, format_name: str, inputs: dict[str, Array], shape: tuple[int, ...]
    ) -> Array:
        """A call that gives numbers of the first carrier that the subject lists for it."""
        carrier = self._carrier(operation)
        slot = _bits("values", shape, carrier)
        found = self.ask(Call(operation, format_name, carrier, inputs, (slot,)))
        return as_values(found["values"], carrier)

    def _product(
        self, operation: str, operands: Any, shape: tuple[int, ...], formats: tuple[str, str]
    ) -> Array:
        *arrays, _ = operands[:6]
        names = ("sa", "a", "sb", "b", "c")
        carrier = self._carrier(operation)
        widths = [width for name in formats for width in _operand_widths(find_format(name))] + [
            8 * np.dtype(BITS_DTYPES[carrier]).itemsize
        ]
        inputs = {
            name: _narrow(array, width)
            for name, array, width in zip(names, arrays, widths, strict=True)
            if array is not None
        }
        accumulation = operands[6] if len(operands) > 6 else None
        slots = (_bits("bits", shape, carrier),)
        label = pair_label(*formats)
        splits = operation != "matmul"
        call = Call(operation, label, carrier, inputs, slots, None, accumulation, splits)
        return self.ask(call)["bits"]

    def _carrier(self, operation: str) -> str:
        offer = self.offers.operations.get(operation)
        if offer is None:
            raise Unsupported(f"{self.name} does not offer {operation}")
        return offer.carriers[0]


def _carrier_of(dtype: np.dtype[Any]) -> str:
    """The carrier that arrives in a dtype.

    Raises
    ------
    Unsupported
        None does.
    """
    for carrier, name in CARRIER_DTYPES.items():
        if dtype.name == name:
            return carrier
    raise Unsupported(f"values of dtype {dtype} are those of no carrier")


def _operand_widths(fmt: Any) -> tuple[int, int]:
    """Bits of a scale and of an element; a format without scales counts 8 for these."""
    return (fmt.scale.width, fmt.element.width) if isinstance(fmt, BlockFormat) else (8, fmt.width)


def _narrow(numbers: Array, width: int) -> Array:
    """Numbers of a width in the dtype in which they travel."""
    return np.ascontiguousarray(numbers, dtype=code_dtype(width))


def _codes(name: str, shape: tuple[int, ...], width: int) -> Slot:
    return Slot(name, shape, np.dtype(code_dtype(width)), is_codes=True)


def _bits(name: str, shape: tuple[int, ...], carrier: str) -> Slot:
    return Slot(name, shape, np.dtype(BITS_DTYPES[carrier]), is_codes=False)


def _checked(record: object, where: str) -> Mapping[str, Any]:
    """A handshake with the keys that it must have.

    Raises
    ------
    MxemuError
    """
    if not isinstance(record, Mapping):
        raise MxemuError(f"{where}: the first line is no JSON object", _HANDSHAKE)
    if record.get("protocol") != VERSION:
        found = record.get("protocol")
        raise MxemuError(f"{where}: protocol {found!r}; expected {VERSION}", _HANDSHAKE)
    for key in ("name", "version"):
        if not isinstance(record.get(key), str) or not record[key]:
            raise MxemuError(f"{where}: {key} is {record.get(key)!r}; expected a text", _HANDSHAKE)
    if "capabilities" not in record:
        raise MxemuError(f"{where}: capabilities are missing; expected a table", _HANDSHAKE)
    return record


_HANDSHAKE = (
    'expected {"protocol": 1, "name": ..., "version": ..., "capabilities": {...}}; '
    "see docs/guides/transports.md"
)
