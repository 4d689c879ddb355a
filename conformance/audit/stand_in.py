"""Wrong kernels that take the place of a test's subject."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from conformance.adapter import pair_label
from conformance.adapters.tensors import Jax, Tensors, Torch
from conformance.arrays import Array, as_values, narrow_bits
from conformance.audit.answers import OF_CODES, Answer, answer, trivial
from conformance.audit.inputs import Inputs, carrier_of, usual_inputs
from conformance.audit.power import shown_by, what_of
from conformance.zoo import reference
from conformance.zoo.reference import Reference
from mxemu import __version__
from mxemu.errors import MxemuError, UnknownName
from mxemu.formats import BINARY32, block_format, element
from mxemu.formats import carrier as find_carrier
from mxemu.profile import OCP, Profile

_OF_CODES = ("all-zero", "sign-flipped", "last-row-dropped")
"""Results that no kernel should give which are codes, too."""


class StandIn:
    """An adapter that is wrong in one known way and remembers whether it showed.

    Parameters
    ----------
    member : Reference, optional
        Of the zoo; without one the name is that of a trivial result.
    name, what, kind : str
        See `conformance.audit.Class`.
    """

    version = __version__

    def __init__(self, name: str, what: str, kind: str, member: Reference | None = None) -> None:
        self.name, self.what, self.kind = name, what, kind
        self.member = member
        self.begin()

    @property
    def capabilities(self) -> dict[str, Any]:
        return reference.capabilities

    def begin(self) -> None:
        """Forget what was asked so far."""
        self.calls = self.rows = self.differing = 0

    def seen(self) -> dict[str, int]:
        """Calls, rows that were asked for, and rows that were wrong."""
        return {"calls": self.calls, "rows": self.rows, "differing": self.differing}

    def encode(self, values: Any, name: str, profile: Profile = OCP) -> Array:
        """Codes of numbers."""
        return self._codes(_inputs("encode", element(name).name, values))

    def decode(self, codes: Any, name: str) -> Array:
        """Numbers of codes."""
        found = Inputs("decode", element(name).name, (np.asarray(codes),))
        return self._answer(found).values.astype(np.float32)

    def encode_scaled(self, values: Any, scales: Any, name: str, profile: Profile = OCP) -> Array:
        """Codes of numbers under given scales."""
        return self._codes(_inputs("encode-scaled", block_format(name).name, values, scales))

    def quantize(self, values: Any, name: str, profile: Profile = OCP) -> tuple[Array, Array]:
        """Scales and codes of rows."""
        rows = self._codes(_inputs("quantize", block_format(name).name, values))
        return rows[:, 0].astype(np.uint8), rows[:, 1:].astype(np.uint8)

    def dequantize(self, scales: Any, codes: Any, name: str) -> Array:
        """Numbers of blocks."""
        found = Inputs(
            "dequantize", block_format(name).name, (np.asarray(scales), np.asarray(codes))
        )
        return self._answer(found).values.astype(np.float32)

    def fake_quantize(self, values: Any, name: str, profile: Profile = OCP) -> Array:
        """Numbers of rows after quantization."""
        given = _inputs("fake_quantize", block_format(name).name, values)
        found = self._answer(given).values
        return as_values(narrow_bits(found, find_carrier(given.carrier)), given.carrier)

    def dot(self, *arguments: Any) -> Array:
        """Bits of dot products, as the adapter's function of this name takes them."""
        return self._product("dot", arguments)

    def matmul(self, *arguments: Any) -> Array:
        """Bits of matrix products."""
        return self._product("matmul", arguments)

    def _product(self, operation: str, arguments: tuple[Any, ...]) -> Array:
        given = (*arguments, "exact") if len(arguments) == 6 else arguments
        label = pair_label(*given[5])
        right = _numbers(getattr(reference, operation)(*given))
        wrong = right if self.member is None else _numbers(getattr(self.member, operation)(*given))
        if self.member is None:
            wrong = self._trivial(Inputs(operation, label, (right.values,)), right)
        self._remember(wrong, right)
        return wrong.values.astype(np.float32).view(np.uint32)

    def _answer(self, inputs: Inputs) -> Answer:
        right = answer(reference, inputs)
        wrong = self._trivial(inputs, right) if self.member is None else answer(self.member, inputs)
        self._remember(wrong, right)
        return wrong

    def _remember(self, wrong: Answer, right: Answer) -> None:
        self.calls += 1
        self.rows += len(right.values)
        self.differing += int(wrong.unlike(right).sum())

    def _trivial(self, inputs: Inputs, right: Answer) -> Answer:
        for name, _, found in trivial(inputs, right):
            if name == self.name:
                return found
        raise UnknownName(f"{self.name} is no result of {inputs.operation}")

    def _codes(self, inputs: Inputs) -> Array:
        """Codes, and scales before them for blocks."""
        if self.member is not None:
            return self._answer(inputs).bits.astype(np.int64)
        right = answer(reference, inputs)
        codes = np.array(right.bits, dtype=np.int64)
        own = codes[:, 1:] if inputs.operation == "quantize" else codes
        match self.name:
            case "all-zero":
                own[...] = 0
            case "sign-flipped":
                own ^= 1 << (inputs.element.width - 1)
            case _:
                own[-1] = 0
        self.calls += 1
        self.rows += len(codes)
        self.differing += int((codes != right.bits).reshape(len(codes), -1).any(axis=1).sum())
        return codes


def _inputs(operation: str, name: str, *arrays: Any) -> Inputs:
    given = tuple(map(np.asarray, arrays))
    return Inputs(operation, name, given, carrier_of(given[0]))


def _numbers(bits: Array) -> Answer:
    found = as_values(bits, "binary32").reshape(bits.shape)
    return Answer(found.astype(np.float64), bits)


def stand_ins(operation: str, format_name: str, carrier: str = BINARY32.name) -> list[StandIn]:
    """The reference first, then every bug class of an operation, format and carrier."""
    inputs = usual_inputs(operation, format_name, carrier)
    names = list(trivial(inputs, answer(reference, inputs)))
    if operation in OF_CODES:
        names = [one for one in names if one[0] in _OF_CODES]
    found = [StandIn(reference.name, "a correct kernel", "correct", reference)]
    found += [StandIn(name, what, "trivial") for name, what, _ in names]
    found += [StandIn(one.name, what_of(one), "mistake", one) for one in shown_by(inputs).members]
    return found


def put(
    stand_in: StandIn, target: str, operation: str, format_name: str, setter: Callable[..., None]
) -> None:
    """Put a stand-in where a module has its adapter, or a function of one operation.

    Parameters
    ----------
    stand_in : StandIn
    target : str
        ``module:name``; the name may be dotted.
    operation, format_name : str
        What the function does.
    setter : callable
        As ``setattr``.

    Raises
    ------
    MxemuError
        When there is no such name, or it is a function of an operation whose arguments vary.
    """
    where, _, path = target.partition(":")
    holder: Any = import_module(where)
    *inside, name = path.split(".")
    for part in inside:
        holder = getattr(holder, part)
    if not path or not hasattr(holder, name):
        raise MxemuError(f"{target} is not there; expected module:name")
    found = getattr(holder, name)
    if hasattr(found, "capabilities"):
        setter(holder, name, stand_in)
    elif callable(found) and operation in ("encode", "decode", "fake_quantize"):
        setter(holder, name, _function(stand_in, operation, format_name))
    else:
        raise MxemuError(
            f"{target} is no adapter; expected one for {operation}",
            "or a function of one array, for encode, decode and fake_quantize",
        )


def _function(stand_in: StandIn, operation: str, format_name: str) -> Callable[..., Any]:
    """A function of one array, which may be a tensor, in the place of the user's own."""

    def wrong(values: Any, *_: object, **__: object) -> Any:
        library = _library_of(values)
        array = np.asarray(values) if library is None else library.array(values)
        # NumPy knows bfloat16 from other libraries only; its bits are what the stand-in takes.
        bits = array.view(np.uint16) if array.dtype.name == "bfloat16" else array
        k = block_format(format_name).k if operation == "fake_quantize" else 0
        flat = bits.reshape(-1, k) if k else bits.reshape(-1)
        found = getattr(stand_in, operation)(flat, format_name).reshape(array.shape)
        if library is not None:
            return library.tensor(found, operation == "fake_quantize")
        return found.view(array.dtype) if found.dtype == bits.dtype else found

    return wrong


def _library_of(tensor: Any) -> Tensors | None:
    """Whose tensor something is; None for arrays of NumPy and lists."""
    match type(tensor).__module__.partition(".")[0]:
        case "torch":
            return Torch(str(tensor.device))
        case "jax" | "jaxlib":
            return Jax()
        case _:
            return None
