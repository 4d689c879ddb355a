"""What is generated from a port map: the harness around a design, and a program and a bench that drive it.

The harness has all knowledge of the design's ports and protocol. To the C++ program and the SystemVerilog bench,
which take the same steps in each cycle, every design looks alike: vectors go in by valid and ready, results come out
by valid and ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conformance import rendering
from conformance.adapters.rtl.fields import offsets, size
from conformance.adapters.rtl.portmap import (
    COMBINATIONAL,
    HANDSHAKE,
    SEQUENCE,
    Clock,
    Drive,
    OperationMap,
    PortMap,
    Step,
)
from conformance.adapters.rtl.slices import Part
from conformance.rendering import squeezed
from conformance.vectors.table import Field


def render(template: str, **context: Any) -> str:
    """A text from its template, without empty lines that follow each other."""
    return squeezed(rendering.render(f"{template}.j2", context))


def harness(design: PortMap, operation: OperationMap) -> str:
    """The SystemVerilog module ``mxemu_harness`` around a design."""
    interface, timing = operation.interface, operation.timing
    return render(
        "rtl_harness.sv",
        title=_title(design, operation),
        kind=timing.kind,
        latency=timing.latency,
        stalls=timing.stalls,
        top=operation.top,
        parameters=list(operation.parameters.items()),
        in_bits=8 * size(interface.inputs),
        out_bits=8 * size(interface.results),
        inputs=_placed(interface.inputs),
        results=[
            {**field, "parts": _joined(operation.results.get(field["name"], ()))}
            for field in _placed(interface.results)
        ],
        ports=[
            {"name": name, "direction": direction, "width": width}
            | {"parts": _idle(operation, design.clock, name, width) if direction == "in" else []}
            for name, (direction, width) in operation.ports.items()
        ],
        connections=_connections(design.clock, operation),
        out_parts=_padded([(f"r_{one.name}", one.bits, 8 * one.size) for one in interface.results]),
        steps=[_step(step) for step in operation.steps],
    )


def program(design: PortMap, operation: OperationMap) -> str:
    """The C++ program that drives the harness in Verilator."""
    return render(
        "rtl_main.cpp",
        title=_title(design, operation),
        in_bytes=size(operation.interface.inputs),
        out_bytes=size(operation.interface.results),
        **_driving(design, operation),
    )


def bench(
    design: PortMap,
    operation: OperationMap,
    depth: int,
    names: tuple[str, str] = ("vectors.memh", "results.txt"),
    header: Sequence[str] = (),
    echo: bool = False,
) -> str:
    """The SystemVerilog module ``mxemu_bench`` that drives the harness in any simulator.

    Parameters
    ----------
    depth : int
        Vectors that it has room for, and reads unless ``+count`` says less.
    names : tuple of two str
        The files that it reads and writes unless told otherwise.
    header : sequence of str
        Lines at the head of the results.
    echo : bool
        Whether each line of the results repeats the inputs in front of them.
    """
    inputs = operation.interface.inputs
    return render(
        "rtl_bench.sv",
        title=_title(design, operation),
        depth=depth,
        memh=names[0],
        results_name=names[1],
        header=list(header),
        echo=_echo(inputs) if echo else [],
        word_bits=4 * sum(one.digits for one in inputs),
        word_parts=_word_parts(inputs),
        out_bits=8 * size(operation.interface.results),
        results=_placed(operation.interface.results),
        **_driving(design, operation),
    )


def _driving(design: PortMap, operation: OperationMap) -> dict[str, Any]:
    """What both drivers have to agree on, so that their cycles are the same."""
    return {
        "clocked": operation.timing.kind != COMBINATIONAL,
        "reset_cycles": design.clock.cycles if design.clock else 1,
        "limit": operation.timing.limit,
    }


def _title(design: PortMap, operation: OperationMap) -> str:
    return f"{design.name}, {operation.operation} {operation.format} {operation.carrier}"


def _placed(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Fields with their first bit in the harness's data."""
    starts = offsets(fields)
    return [
        {"name": one.name, "bits": one.bits, "low": 8 * start}
        for one, start in zip(fields, starts, strict=True)
    ]


def _padded(parts: Sequence[tuple[str, int, int]]) -> list[str]:
    """Signals for a concatenation, the last one first, each with zeros above it up to a width."""
    found = []
    for text, bits, width in reversed(parts):
        found += [f"{width - bits}'d0"] if width > bits else []
        found.append(text)
    return found


def _word_parts(fields: Sequence[Field]) -> list[str]:
    """The harness's data from a word of the .memh file, in which the first field is the most significant."""
    parts = []
    low = 4 * sum(one.digits for one in fields)
    for one in fields:
        low -= 4 * one.digits
        parts.append((f"word[{low + one.bits - 1}:{low}]", one.bits, 8 * one.size))
    return _padded(parts)


def _echo(fields: Sequence[Field]) -> list[str]:
    """The fields of the word whose result has come."""
    low = 4 * sum(one.digits for one in fields)
    found = []
    for one in fields:
        low -= 4 * one.digits
        found.append(f"answered[{low + one.bits - 1}:{low}]")
    return found


def _joined(parts: Sequence[Part]) -> list[str]:
    """Parts of output ports for a concatenation, the last one first."""
    return [f"p_{_whole(part)}" for part in reversed(parts)]


def _whole(part: Part) -> str:
    width = part.width or 0
    return Part(part.name, part.first, width).text(width)


def _idle(operation: OperationMap, clock: Clock | None, port: str, width: int) -> list[str]:
    """What is on an input port: fields, constants and zeros; of a sequence what is there while no step drives it."""
    pieces = [
        (part.first.base, part.width or 0, f"f_{name}[{low} +: {part.width}]")
        for name, parts in operation.inputs.items()
        for part, low in _lows(parts)
        if part.name == port
    ]
    if port in operation.constants:
        pieces.append((0, width, f"{width}'d{operation.constants[port]}"))
    elif operation.timing.kind == SEQUENCE and clock and clock.active_low and port == clock.reset:
        pieces.append((0, width, f"{width}'d1"))
    found, at = [], 0
    for low, bits, text in sorted(pieces):
        found += [f"{low - at}'d0"] if low > at else []
        found.append(text)
        at = low + bits
    found += [f"{width - at}'d0"] if width > at else []
    return found[::-1]


def _lows(parts: Sequence[Part]) -> list[tuple[Part, int]]:
    """Each part with the first bit of the field that it holds."""
    widths = [part.width or 0 for part in parts]
    return [(part, sum(widths[:index])) for index, part in enumerate(parts)]


def _connections(clock: Clock | None, operation: OperationMap) -> list[tuple[str, str]]:
    """What every port of the design is connected to."""
    found = {name: f"p_{name}" for name in operation.ports}
    if clock is not None:
        found[clock.port] = "clk"
        if clock.reset:
            driven = found.get(clock.reset)
            own = "~rst" if clock.active_low else "rst"
            joined = f"{driven} {'&' if clock.active_low else '|'} {own}"
            found[clock.reset] = own if driven is None else joined
    timing = operation.timing
    if timing.kind == HANDSHAKE:
        for name in ("in_valid", "in_ready", "out_valid", "out_ready"):
            if getattr(timing, name):
                found[getattr(timing, name)] = f"dut_{name}"
    return list(found.items())


def _step(step: Step) -> dict[str, Any]:
    """A step in SystemVerilog."""
    return {
        "drive": [(_target(one), _source(one, step)) for one in step.drive],
        "read": [(f"r_{_field(one.field)}", f"p_{one.port.text(one.width)}") for one in step.read],
        "until": f"p_{step.until}[0]" if step.until else "1'b1",
        "repeat": step.repeat,
        "cycles": step.cycles,
    }


def _target(drive: Drive) -> str:
    part = Part(drive.port.name, drive.port.first, drive.width)
    return f"p_{part.text(drive.width)}"


def _source(drive: Drive, step: Step) -> str:
    match drive.source:
        case int(number):
            return f"{drive.width}'d{number}"
        case Part() as part:
            return f"f_{_field(part)}"
        case "first":
            return "i == 32'd0"
        case "last":
            return f"i == 32'd{step.repeat - 1}"
        case _:
            return f"i[{drive.width - 1}:0]"


def _field(part: Part) -> str:
    return part.text(part.width or 0)
