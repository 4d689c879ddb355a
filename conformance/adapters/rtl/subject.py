"""A design as an adapter: arrays become vectors, results become arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from conformance import tools
from conformance.adapters.fault import Fault
from conformance.adapters.rtl.build import Built, build, cache_folder
from conformance.adapters.rtl.fields import carrier_of, from_records, size, to_records
from conformance.adapters.rtl.portmap import OperationMap, PortMap
from conformance.adapters.rtl.simulate import Simulation, simulate
from conformance.arrays import Array, as_bits, as_values
from mxemu.errors import MxemuError, Unsupported, unknown
from mxemu.profile import Profile

RESULTS = "results="
"""What stands in front of a path in place of a simulator's name."""

MOST_KEPT = 1 << 20
"""Vectors of a simulation that is kept for a waveform."""

MOST_RUNS = 200
"""Simulations that are kept."""

_PRODUCTS = ("dot", "dot-general")


class Answers(Protocol):
    """Where the results of a design come from."""

    def answer(self, operation: OperationMap, inputs: Array) -> Simulation:
        """The results of some vectors."""


class Simulator:
    """A design in a simulator here.

    Parameters
    ----------
    design : PortMap
    name : str, optional
        ``verilator`` or ``icarus``; the fastest that is installed unless given.
    timeout : float, optional
        Seconds for one simulation; a minute, and a second more for every hundred vectors, unless given.
    """

    def __init__(
        self, design: PortMap, name: str | None = None, timeout: float | None = None
    ) -> None:
        if name is not None and name not in tools.SIMULATORS:
            raise unknown("simulator", name, tools.SIMULATORS)
        self.design = design
        self.name = name
        self.timeout = timeout
        self._last: tuple[str, Simulation] | None = None

    def built(self, operation: OperationMap) -> Built:
        """The design, ready to run.

        Raises
        ------
        Unsupported
            The simulator is not installed.
        MxemuError
            It cannot build the design.
        """
        return build(self.design, operation, tools.simulator(self.name))

    def answer(self, operation: OperationMap, inputs: Array) -> Simulation:
        """Simulate.

        Where the last simulation failed, its vectors are not simulated again in smaller parts: a design that gets stuck
        after a thousand vectors may do each hundred of them well.
        """
        if self._last is not None and self._last[0] == operation.label:
            again = taken(self._last[1], inputs)
            if again is not None:
                return again
        built = self.built(operation)
        try:
            found = simulate(built, operation, inputs, self.timeout)
        except Fault as error:
            found = _nothing(operation, inputs, str(error))
        self._last = (operation.label, found) if found.unknown else None
        keep(self.design, operation, found)
        return found


def _nothing(operation: OperationMap, inputs: Array, why: str) -> Simulation:
    """A simulation that gave no results at all."""
    results = np.zeros((len(inputs), size(operation.interface.results)), dtype=np.uint8)
    cycles = np.zeros(len(inputs), dtype=np.int64)
    return Simulation(inputs, results, cycles, dict.fromkeys(range(len(inputs)), why), why)


def taken(simulation: Simulation, inputs: Array) -> Simulation | None:
    """The part of a simulation that answers some vectors; None if one of them was not simulated."""
    if len(inputs) > len(simulation.inputs) or not len(inputs):
        return None
    row = np.dtype((np.void, inputs.shape[1]))
    known, asked = (
        np.ascontiguousarray(one).view(row)[:, 0] for one in (simulation.inputs, inputs)
    )
    order = np.argsort(known, kind="stable")
    places = np.minimum(np.searchsorted(known, asked, sorter=order), len(known) - 1)
    rows = order[places]
    if not (simulation.inputs[rows] == inputs).all():
        return None
    unknown_rows = {
        index: simulation.unknown[int(one)]
        for index, one in enumerate(rows)
        if int(one) in simulation.unknown
    }
    return Simulation(inputs, simulation.results[rows], simulation.cycles[rows], unknown_rows)


def run_name(operation: OperationMap, inputs: Array) -> str:
    """A name for a simulation, from what went in."""
    found = hashlib.sha256(
        operation.label.encode() + b"\0" + np.ascontiguousarray(inputs).tobytes()
    )
    return found.hexdigest()[:12]


def run_path(design: PortMap, name: str) -> Path:
    """Where a simulation is kept."""
    place = hashlib.sha256(str(design.path.resolve()).encode()).hexdigest()[:12]
    return cache_folder() / "runs" / place / f"{name}.npz"


def keep(design: PortMap, operation: OperationMap, simulation: Simulation) -> None:
    """Remember what went in and when results came, so that a waveform can be made of it."""
    if len(simulation.inputs) > MOST_KEPT:
        return
    path = run_path(design, run_name(operation, simulation.inputs))
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.savez(
                file,
                inputs=simulation.inputs,
                cycles=simulation.cycles,
                label=np.array(operation.label),
            )
        part.replace(path)
        _forget(path.parent.parent)
    except OSError:
        part.unlink(missing_ok=True)  # no room for a convenience is no reason to stop


def _forget(folder: Path) -> None:
    """Remove the oldest of the simulations that are kept, whatever design they are of."""
    kept = sorted(folder.glob("*/*.npz"), key=lambda path: path.stat().st_mtime)
    for path in kept[:-MOST_RUNS]:
        path.unlink(missing_ok=True)


class Design:
    """A design as `conformance.adapter.Adapter` describes it.

    Parameters
    ----------
    design : PortMap
    answers : Answers
    variant : str, optional
        The name under which the simulator, or the results, were asked for.
    """

    def __init__(self, design: PortMap, answers: Answers, variant: str | None = None) -> None:
        self.design = design
        self.answers = answers
        self.name = design.name
        self.version = design.version
        self.capabilities: Mapping[str, Any] = {
            "operations": _offers(design),
            "profile": design.profile,
            "accumulation": design.accumulation,
            "variants": [*tools.SIMULATORS]
            + ([variant] if variant and variant not in tools.SIMULATORS else []),
        }

    def encode(self, values: Array, element: str, profile: Profile | None = None) -> Array:
        """Codes of some numbers."""
        carrier = carrier_of(values.dtype)
        operation = self.find("encode", element, carrier, profile)
        return self._ask(operation, {"value": as_bits(values, carrier)})["code"]

    def decode(self, codes: Array, element: str, profile: Profile | None = None) -> Array:
        """Numbers of some codes."""
        operation = self.find("decode", element, None, profile)
        return as_values(self._ask(operation, {"code": codes})["value"], operation.carrier)

    def encode_scaled(
        self, values: Array, scales: Array, block_format: str, profile: Profile | None = None
    ) -> Array:
        """Codes of some numbers, each under a scale."""
        carrier = carrier_of(values.dtype)
        operation = self.find("encode-scaled", block_format, carrier, profile)
        columns = {"scale": scales, "value": as_bits(values, carrier)}
        return self._ask(operation, columns)["code"]

    def quantize(
        self, values: Array, block_format: str, profile: Profile | None = None
    ) -> tuple[Array, Array]:
        """Scales and codes of some blocks."""
        carrier = carrier_of(values.dtype)
        operation = self.find("quantize", block_format, carrier, profile)
        found = self._ask(operation, {"values": as_bits(values, carrier)})
        return found["scale"], _rows(found["codes"], len(values))

    def dequantize(
        self, scales: Array, codes: Array, block_format: str, profile: Profile | None = None
    ) -> Array:
        """Numbers of some blocks."""
        operation = self.find("dequantize", block_format, None, profile)
        found = self._ask(operation, {"scale": scales, "codes": codes})["values"]
        return as_values(_rows(found, len(codes)), operation.carrier)

    def dot(
        self,
        sa: Array | None,
        a: Array,
        sb: Array | None,
        b: Array,
        c: Array | None,
        block_formats: tuple[str, str],
        accumulation: object = None,
    ) -> Array:
        """Results of some dot products; without C, a design that takes it gets zero."""
        names = list(dict.fromkeys(block_formats))
        several = any(scales is not None and scales.shape[1] > 1 for scales in (sa, sb))
        name = "dot-general" if several else "dot"
        operation = self.find(name, ",".join(names), None, None)
        columns = {"sa": sa, "a": a, "sb": sb, "b": b, "c": c}
        if c is None:
            columns["c"] = np.zeros(len(a), dtype=np.uint64)
        return self._ask(operation, columns)["result"]

    def find(
        self, name: str, format_name: str, carrier: str | None, profile: Profile | None
    ) -> OperationMap:
        """The entry of the port map for what is asked; one made for a rounding or overflow goes first.

        Raises
        ------
        Unsupported
            There is none.
        """
        found = [
            one
            for one in self.design.operations
            if (one.operation, one.format) == (name, format_name)
            and carrier in (None, one.carrier)
            and _serves(one, profile)
        ]
        if not found:
            asked = f"{name} {format_name}" + (f" from {carrier}" if carrier else "")
            raise Unsupported(f"the port map has no {asked}")
        return max(found, key=lambda one: (one.rounding is not None) + (one.overflow is not None))

    def _ask(
        self, operation: OperationMap, columns: Mapping[str, Array | None]
    ) -> dict[str, Array]:
        """The results of some vectors, by field."""
        fields = operation.interface.inputs
        given = {one.name: columns.get(one.name) for one in fields}
        rows = max(len(one) for one in given.values() if one is not None)
        for one in fields:
            column = given[one.name]
            if column is None or column.size != rows * one.count:
                shape = None if column is None else column.shape
                raise Unsupported(
                    f"{one.name} has shape {shape}; the port map has {one.count} numbers"
                )
        inputs = to_records(fields, {k: v for k, v in given.items() if v is not None}, rows)
        try:
            found = self.answers.answer(operation, inputs)
        except Unsupported as error:
            raise Unsupported(f"{error}; {error.hint}" if error.hint else str(error)) from None
        if found.unknown:
            raise Fault(found.unknown[min(found.unknown)])
        return from_records(operation.interface.results, found.results)


def _rows(numbers: Array, rows: int) -> Array:
    return numbers.reshape(rows, -1)


def _serves(operation: OperationMap, profile: Profile | None) -> bool:
    """Whether an entry is for what a profile asks; one without a rounding or overflow is for all."""
    if profile is None:
        return operation.rounding is None and operation.overflow is None
    return operation.rounding in (None, profile.rounding) and operation.overflow in (
        None,
        profile.overflow,
    )


def _offers(design: PortMap) -> dict[str, Any]:
    """The operations of a port map as capabilities list them."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(one.operation for one in design.operations):
        own = [one for one in design.operations if one.operation == name]
        formats = list(dict.fromkeys(one.format for one in own))
        carriers = list(dict.fromkeys(one.carrier for one in own))
        if name in _PRODUCTS:
            if len(carriers) > 1:
                raise MxemuError(f"{design.path}: {name} has results in {' and '.join(carriers)}")
            takes_c = all(any(f.name == "c" for f in one.interface.inputs) for one in own)
            pairs = [label.split(",") for label in formats]
            found[name] = {"formats": pairs, "out": carriers[0], "c": takes_c}
            continue
        found[name] = {"formats": formats, "carriers": carriers}
        for key in ("rounding", "overflow"):
            asked = dict.fromkeys(getattr(one, key) for one in own if getattr(one, key) is not None)
            if asked:
                found[name][f"{key}s"] = [member.name for member in asked]
    return found
