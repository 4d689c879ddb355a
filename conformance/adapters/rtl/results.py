"""Results of a design that was simulated elsewhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from conformance.adapters.fault import Fault
from conformance.adapters.rtl.fields import Interface, size
from conformance.adapters.rtl.portmap import OperationMap, PortMap
from conformance.adapters.rtl.simulate import FILE, Simulation, read_results
from conformance.adapters.rtl.subject import taken
from conformance.arrays import Array
from mxemu.errors import BadFile, Unsupported

VERSION = "mxemu-rtl-results 1"
"""The first line of a file of results, without ``#``."""

_AGAIN = "write the vectors again (mxemu rtl emit), simulate them, and take the new results"


def fingerprint(inputs: Array) -> str:
    """What tells one set of vectors from another: sha256 of their bytes."""
    return hashlib.sha256(np.ascontiguousarray(inputs).tobytes()).hexdigest()


@dataclass(frozen=True)
class ResultFile:
    """One file of results.

    Attributes
    ----------
    path : Path
    label : str
        Of the operation.
    level : str
        Of the vectors.
    inputs : str
        `fingerprint` of the vectors, as the bench wrote it.
    text : str
        The whole file.
    """

    path: Path
    label: str
    level: str
    inputs: str
    text: str


class Results:
    """The results in a file, or in all folders of a folder.

    Raises
    ------
    BadFile
        There are none, or a file is no such file.
    """

    def __init__(self, design: PortMap, where: Path) -> None:
        paths = [where] if where.is_file() else sorted(where.glob(f"*/{FILE}"))
        if not paths:
            raise BadFile(f"{where}: no results; expected a {FILE}, or a folder of mxemu rtl emit")
        self.design = design
        self.files = {found.label: found for found in map(_read, paths)}
        self._read: dict[str, Simulation] = {}

    def file(self, operation: OperationMap) -> ResultFile:
        """The file of an operation.

        Raises
        ------
        Unsupported
            There are no results of it.
        """
        if operation.label not in self.files:
            raise Unsupported(f"there are no results of {operation.label}")
        return self.files[operation.label]

    def simulation(self, operation: OperationMap) -> Simulation:
        """All results of an operation, with the inputs that the bench repeats beside them.

        Raises
        ------
        BadFile
            Lines are missing or malformed, or the inputs are others than those that the head of the file names.
        """
        if operation.label not in self._read:
            self._read[operation.label] = _simulation(self.file(operation), operation)
        return self._read[operation.label]

    def answer(self, operation: OperationMap, inputs: Array) -> Simulation:
        """The results of some vectors of the file.

        Raises
        ------
        BadFile
            The file has no results of these vectors.
        """
        simulation = self.simulation(operation)
        found = taken(simulation, inputs)
        if found is None and simulation.gave_up:
            raise Fault(simulation.gave_up)
        if found is None:
            path = self.file(operation).path
            raise BadFile(f"{path}: results of other vectors than those of this check", _AGAIN)
        return found

    def check_vectors(self, operation: OperationMap, inputs: Array, level: str) -> None:
        """Refuse results of other vectors, before anything is judged.

        Raises
        ------
        BadFile
        """
        file = self.file(operation)
        if file.level != level:
            hint = f"check with --level {file.level}"
            raise BadFile(f"{file.path}: results of level {file.level}; expected {level}", hint)
        if file.inputs != fingerprint(inputs):
            raise BadFile(
                f"{file.path}: stale: results of other vectors than this check has", _AGAIN
            )
        self.simulation(operation)


def _read(path: Path) -> ResultFile:
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    lines = text.splitlines()
    if not lines or lines[0] != f"# {VERSION}":
        raise BadFile(f"{path} line 1: expected '# {VERSION}'")
    head = [line[2:].partition("=") for line in lines[1:8] if line.startswith("# ")]
    found = {key: value for key, equals, value in head if equals}
    for key in ("operation", "level", "inputs"):
        if key not in found:
            raise BadFile(f"{path}: the line '# {key}=...' is missing; expected it at the head")
    return ResultFile(path, found["operation"], found["level"], found["inputs"], text)


def _simulation(file: ResultFile, operation: OperationMap) -> Simulation:
    """Split what the bench wrote: its inputs, then its results."""
    inputs, results = operation.interface.inputs, operation.interface.results
    echoing = replace(operation, interface=Interface(inputs, (*inputs, *results)))
    found = read_results(file.text, echoing, None, str(file.path))
    lines = file.text.splitlines()
    if not found.gave_up and not lines[-1].startswith("# end "):
        where = f"{file.path} line {len(lines)}"
        raise BadFile(f"{where}: ends without '# end'; the simulation was cut off", _AGAIN)
    cut = size(inputs)
    given, answers = found.results[:, :cut], found.results[:, cut:]
    if not found.gave_up and fingerprint(given) != file.inputs:
        raise BadFile(f"{file.path}: its inputs are not those that its head names", _AGAIN)
    return Simulation(given, answers, found.cycles, found.unknown, found.gave_up)
