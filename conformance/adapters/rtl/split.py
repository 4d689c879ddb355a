"""The vectors of a check as files: for a simulation elsewhere, for its results, and for a waveform of one of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from conformance import tools
from conformance.adapter import function_of
from conformance.adapters.rtl.build import build
from conformance.adapters.rtl.fields import hex_words, size
from conformance.adapters.rtl.harness import bench, harness, render
from conformance.adapters.rtl.portmap import OperationMap, PortMap
from conformance.adapters.rtl.results import VERSION, Results, fingerprint
from conformance.adapters.rtl.simulate import FILE, Simulation, simulate
from conformance.adapters.rtl.subject import Design, Simulator, run_name, run_path
from conformance.arrays import Array
from conformance.judges import Judge
from conformance.runner import Filters, Request, Run, judge_of, requests
from conformance.verdict import Terms
from mxemu.errors import BadFile, MxemuError, Unsupported

VECTORS, BENCH, HARNESS, FILES = "vectors.memh", "mxemu_bench.sv", "mxemu_harness.sv", "files.f"


@dataclass(frozen=True)
class Call:
    """One call of a check: the vectors that go to one operation of a design.

    Attributes
    ----------
    request : Request
    judge : Judge
    part : ndarray of int
        The cases of the judge, in the order of the vectors.
    operation : OperationMap
    inputs : ndarray of uint8, shape (n, bytes)
    """

    request: Request
    judge: Judge
    part: Array
    operation: OperationMap
    inputs: Array


class _Recorder:
    """Answers zeros, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[OperationMap, Array]] = []

    def answer(self, operation: OperationMap, inputs: Array) -> Simulation:
        self.asked.append((operation, inputs))
        results = np.zeros((len(inputs), size(operation.interface.results)), dtype=np.uint8)
        return Simulation(inputs, results, np.zeros(len(inputs), dtype=np.int64))


def calls(
    design: PortMap, run: Run, filters: Filters, wanted: Callable[[Request], bool] = lambda _: True
) -> Iterator[Call]:
    """Every call that a check makes of a design, in its order."""
    for request in filter(wanted, requests(run, filters)):
        judge = judge_of(request, run.level)
        arrays, extra = judge.arguments()
        for part in judge.batches():
            recorder = _Recorder()
            function: Any = getattr(Design(design, recorder), function_of(request.operation))
            try:
                function(*judge.given(arrays, part), *extra, request.terms.profile)
            except Unsupported:
                continue
            for operation, inputs in recorder.asked:
                yield Call(request, judge, part, operation, inputs)


def prepare(subject: Design, run: Run, filters: Filters) -> None:
    """Build what a check needs, or see that results from elsewhere are those of this check's vectors.

    A simulator that is missing is no error here: every operation will be unsupported and say why.

    Raises
    ------
    MxemuError
        The design cannot be built, or results are stale, cut off or malformed.
    """
    answers = subject.answers
    if isinstance(answers, Results):
        _needs_files(run.level)
        for operation, inputs, _ in _joined(calls(subject.design, run, filters)):
            if operation.label in answers.files:
                answers.check_vectors(operation, inputs, run.level)
    elif isinstance(answers, Simulator):
        terms = Terms(run.base, declared=False)
        wanted = [
            one
            for one in subject.design.operations
            if filters.admit(Request(one.operation, one.format, one.carrier, terms))
        ]
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as line, suppress(Unsupported):
            list(line.map(answers.built, wanted))


def _needs_files(level: str) -> None:
    if level == "exhaustive":
        hint = "take --level full; a simulator here can do all inputs"
        raise MxemuError("all 2^32 inputs are too many for files of vectors", hint)


def _joined(found: Iterator[Call]) -> Iterator[tuple[OperationMap, Array, list[str]]]:
    """The vectors of each operation in one piece, each once, and the note of each."""
    pieces: dict[str, list[Call]] = {}
    for call in found:
        pieces.setdefault(call.operation.label, []).append(call)
    for own in pieces.values():
        inputs = np.concatenate([call.inputs for call in own])
        notes = [call.judge.cases.note(int(index)) for call in own for index in call.part]
        row = np.ascontiguousarray(inputs).view(np.dtype((np.void, inputs.shape[1])))[:, 0]
        kept = np.sort(np.unique(row, return_index=True)[1])
        yield own[0].operation, inputs[kept], [notes[int(index)] for index in kept]


def emit(subject: Design, run: Run, filters: Filters, folder: Path) -> list[tuple[str, int]]:
    """Write vectors, harness and bench of each operation, and how to run them.

    Parameters
    ----------
    subject : Design
    run : Run
        Its level says how many vectors.
    filters : Filters
    folder : Path
        Made if need be; files of an earlier run are replaced.

    Returns
    -------
    list of (str, int)
        The folder of each operation, and the number of its vectors.

    Raises
    ------
    BadFile
        A file cannot be written.
    MxemuError
        There is nothing to write, or too much.
    """
    _needs_files(run.level)
    design = subject.design
    written = []
    for operation, inputs, notes in _joined(calls(design, run, filters)):
        place = folder / operation.label
        for name, text in _files(design, operation, inputs, notes, run.level, place).items():
            write(place / name, text)
        written.append((operation.label, len(inputs)))
    if not written:
        raise MxemuError("no operation of the port map is left to write; see --operation, --format")
    text = render("rtl_readme.md", design=design, level=run.level, labels=written, files=FILES)
    write(folder / "README.md", text)
    return written


def _files(
    design: PortMap,
    operation: OperationMap,
    inputs: Array,
    notes: list[str],
    level: str,
    place: Path,
) -> dict[str, str]:
    """The files of one operation; paths inside are relative to the folder of the port map."""
    home = design.path.resolve().parent
    here = Path(os.path.relpath(place.resolve(), home))
    head = [f"operation={operation.label}", f"level={level}", f"inputs={fingerprint(inputs)}"]
    words = hex_words(operation.interface.inputs, inputs)
    fields = " ".join(f"{one.name}[{one.bits}]" for one in operation.interface.inputs)
    lines = [f"// {line}" for line in [*head, f"fields={fields}"]]
    lines += [f"{word} // {note}" for word, note in zip(words, notes, strict=True)]
    names = (str(here / VECTORS), str(here / FILE))
    text = bench(design, operation, len(inputs), names, [VERSION, *head], echo=True)
    return {
        VECTORS: "\n".join(lines) + "\n",
        HARNESS: harness(design, operation),
        BENCH: text,
        FILES: "\n".join(_file_list(design, operation, home, here)) + "\n",
    }


def _file_list(design: PortMap, operation: OperationMap, home: Path, here: Path) -> Iterator[str]:
    """Arguments that every simulator reads with -f."""
    for folder in dict.fromkeys([*design.include, *(path.parent for path in design.sources)]):
        yield f"+incdir+{os.path.relpath(folder, home)}"
    for key, value in operation.defines.items():
        yield f"+define+{key}={value}"
    yield from (os.path.relpath(path, home) for path in design.sources)
    yield str(here / HARNESS)
    yield str(here / BENCH)


def write(path: Path, text: str) -> None:
    """Write a file by way of a temporary name.

    Raises
    ------
    BadFile
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise BadFile(f"cannot write {path}: {error.strerror}") from None


@dataclass(frozen=True)
class Where:
    """Where in a simulation a finding shows.

    Attributes
    ----------
    operation, format, carrier : str
    line : int
        Of the vectors, from 1.
    cycle : int
        In which the result came.
    run : str
        Name of the simulation; empty for one elsewhere.
    """

    operation: str
    format: str
    carrier: str
    line: int
    cycle: int
    run: str


def places(subject: Design, run: Run, filters: Filters) -> list[Where]:
    """The vector and the cycle of the simplest case of every group that fails."""
    failing = {
        (group.key, group.profile): group.clusters[0].index
        for group in run.groups
        if group.verdict in ("FAIL", "crash") and group.clusters and group.clusters[0].index >= 0
    }
    found = []

    def fails(request: Request) -> bool:
        return (request.key, request.terms.profile) in failing

    for call in calls(subject.design, run, filters, fails):
        index = failing[call.request.key, call.request.terms.profile]
        rows = np.flatnonzero(call.part == index)
        if len(rows):
            found += _place(subject, call, int(rows[0]))
    return found


def _place(subject: Design, call: Call, row: int) -> list[Where]:
    """Where one vector of a call is: in the simulation that was kept, or in the results from elsewhere."""
    key = call.request.key
    if isinstance(subject.answers, Results):
        whole = subject.answers.simulation(call.operation)
        rows = np.flatnonzero((whole.inputs == call.inputs[row]).all(axis=1))
        return [Where(*key, int(one) + 1, int(whole.cycles[one]), "") for one in rows[:1]]
    name = run_name(call.operation, call.inputs)
    path = run_path(subject.design, name)
    if not path.is_file():
        return []
    with np.load(path) as kept:
        return [Where(*key, row + 1, int(kept["cycles"][row]), name)]


def wave(design: PortMap, name: str, line: int, before: int, path: Path) -> tuple[int, int]:
    """Simulate one vector of a kept simulation again, with a few before it, and record all signals.

    Parameters
    ----------
    design : PortMap
    name : str
        Of the simulation.
    line : int
        Of the vector, from 1.
    before : int
        Vectors before it.
    path : Path
        The VCD file to write.

    Returns
    -------
    tuple of two int
        The place of the vector in the new simulation, from 1, and the cycle of its result; a cycle is 2 ns.

    Raises
    ------
    MxemuError
        There is no such simulation or line, or the design gives no result.
    Unsupported
        Icarus Verilog is not installed.
    """
    kept = run_path(design, name)
    if not kept.is_file():
        raise BadFile(
            f"no simulation {name!r} is kept", "mxemu check prints the name of the last one"
        )
    with np.load(kept) as file:
        inputs, label = file["inputs"], str(file["label"])
    operation = next((one for one in design.operations if one.label == label), None)
    if operation is None:
        raise MxemuError(f"{design.path}: has no {label} any more; check it again")
    if not 1 <= line <= len(inputs):
        raise MxemuError(f"line {line}; expected 1 to {len(inputs)}")
    first = max(line - 1 - before, 0)
    part = path.with_name(path.name + ".part").resolve()
    built = build(design, operation, tools.simulator("icarus"))
    recording = replace(built, command=(*built.command, f"+wave={part}"))
    try:
        found = simulate(recording, operation, inputs[first:line])
        part.replace(path)
    except OSError as error:
        raise BadFile(f"cannot write {path}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return line - first, int(found.cycles[-1])
