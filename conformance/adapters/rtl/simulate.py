"""Vectors through a design that has been built, and the results that come back."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from conformance.adapters.fault import Fault
from conformance.adapters.rtl.build import ROOM, Built
from conformance.adapters.rtl.fields import hex_words, read_words, size
from conformance.adapters.rtl.portmap import OperationMap
from conformance.arrays import Array
from conformance.vectors.table import Field
from mxemu.errors import BadFile, MxemuError

FILE = "results.txt"
"""How a bench calls its results."""

_START = 60.0
"""Seconds that any simulation may take."""

_SLOWEST = 100
"""Vectors in a second, below which a simulation counts as hanging."""

_UNKNOWN = re.compile(r"[xXzZ]")


@dataclass
class Simulation:
    """What a design made of some vectors.

    Attributes
    ----------
    inputs, results : ndarray of uint8, shape (n, bytes)
        One row a vector, fields in order, see `conformance.adapters.rtl.fields.to_records`.
    cycles : ndarray of int64, shape (n,)
        The cycle in which each result came, counted from the first cycle of the reset.
    unknown : dict of int to str
        Rows without a result or with X or Z in it, and what is to be said of them.
    gave_up : str
        Why there are no more results, if there are not.
    """

    inputs: Array
    results: Array
    cycles: Array
    unknown: dict[int, str] = field(default_factory=dict)
    gave_up: str = ""


def simulate(
    built: Built, operation: OperationMap, inputs: Array, timeout: float | None = None
) -> Simulation:
    """Send vectors through a design.

    Parameters
    ----------
    built : Built
    operation : OperationMap
    inputs : ndarray of uint8, shape (n, bytes)
    timeout : float, optional
        Seconds; a minute, and a second more for every hundred vectors, unless given.

    Raises
    ------
    Fault
        The simulator fails or hangs, or ends early. A design that gets stuck gives a simulation that says so.
    """
    if timeout is None:
        timeout = _START + len(inputs) / _SLOWEST
    with tempfile.TemporaryDirectory(prefix="mxemu-rtl-") as folder:
        if built.simulator == "verilator":
            return _by_program(built, operation, inputs, Path(folder), timeout)
        return _by_benches(built, operation, inputs, Path(folder), timeout)


def _by_benches(
    built: Built, operation: OperationMap, inputs: Array, folder: Path, timeout: float
) -> Simulation:
    """Text files in and out of benches, each with as many vectors as it has room for."""
    starts = range(0, len(inputs), ROOM)

    def part(start: int) -> Simulation:
        place = folder / str(start)
        place.mkdir()
        return _by_bench(built, operation, inputs[start : start + ROOM], place, timeout, start)

    with ThreadPoolExecutor(os.cpu_count()) as line:
        parts = list(line.map(part, starts))
    unknown = {
        start + row: text
        for start, found in zip(starts, parts, strict=True)
        for row, text in found.unknown.items()
    }
    results, cycles = ([getattr(one, key) for one in parts] for key in ("results", "cycles"))
    return Simulation(inputs, np.concatenate(results), np.concatenate(cycles), unknown)


def _by_program(
    built: Built, operation: OperationMap, inputs: Array, folder: Path, timeout: float
) -> Simulation:
    """Binary files in and out of a program."""
    names = [folder / name for name in ("inputs", "results", "cycles")]
    np.ascontiguousarray(inputs).tofile(names[0])
    code, said = run([*built.command, *map(str, names)], built.folder, timeout)
    stuck = re.search(r"^stalled \d+ \d+ \d+$", said, re.MULTILINE)
    if code and not stuck:
        raise Fault(f"ended with exit status {code}: {_first_line(said)}")
    width = size(operation.interface.results)
    results = np.fromfile(names[1], dtype=np.uint8)
    results = results[: len(results) // width * width].reshape(-1, width)
    cycles = np.fromfile(names[2], dtype="<u4") if built.clocked else np.arange(len(results))
    gave_up = _gave_up(f"# {stuck[0]}", operation) if stuck else ""
    found = Simulation(inputs, results, cycles.astype(np.int64, copy=False), gave_up=gave_up)
    return _complete(found)


def _by_bench(
    built: Built,
    operation: OperationMap,
    inputs: Array,
    folder: Path,
    timeout: float,
    before: int,
) -> Simulation:
    """Text files in and out of one bench; ``before`` is the number of vectors that other benches have before it."""
    vectors, answers = folder / "vectors.memh", folder / FILE
    words = hex_words(operation.interface.inputs, inputs)
    vectors.write_text("\n".join(words) + "\n", encoding="ascii")
    options = [f"+inputs={vectors}", f"+results={answers}", f"+count={len(inputs)}"]
    code, said = run([*built.command, *options], built.folder, timeout)
    if code or not answers.is_file():
        raise Fault(f"ended with exit status {code}: {_first_line(said)}")
    text = answers.read_text(encoding="ascii", errors="replace")
    return read_results(text, operation, inputs, before=before)


def run(command: Sequence[str], folder: Path, timeout: float) -> tuple[int, str]:
    """Run a simulation; one that takes too long is ended.

    Returns
    -------
    tuple of int and str
        Its exit status, and the last that it printed.
    """
    with tempfile.TemporaryFile() as log:
        try:
            ended = subprocess.run(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
                cwd=folder,
            )
        except subprocess.TimeoutExpired:
            raise Fault(f"gave no results within {timeout:g} s") from None
        except OSError as error:
            raise MxemuError(f"cannot start {command[0]}: {error.strerror}") from None
        log.seek(max(log.tell() - 4096, 0))
        return ended.returncode, log.read().decode(errors="replace")


def _first_line(said: str) -> str:
    return next((line.strip() for line in said.splitlines() if line.strip()), "it printed nothing")


def read_results(
    text: str,
    operation: OperationMap,
    inputs: Array | None,
    where: str = "",
    before: int = 0,
) -> Simulation:
    """The results that a bench wrote.

    Parameters
    ----------
    text : str
        Lines of the number of the vector, the cycle and the results in hexadecimal; lines with ``#`` are remarks.
    operation : OperationMap
    inputs : ndarray of uint8, shape (n, bytes), or None
        What went in; None where the results repeat it.
    where : str
        The name of the file, for errors; nothing for a simulation here.
    before : int
        Vectors of the same check that other files have before this one.

    Raises
    ------
    BadFile
        A line is malformed, or results are missing although the bench did not give up.
    """
    rows: list[bytes] = []
    cycles: list[int] = []
    unknown: dict[int, str] = {}
    gave_up = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            gave_up = gave_up or _gave_up(line, operation, before)
            continue
        words = line.split(" ")
        if not all(map(str.isdecimal, words[:2])) or int(words[0]) != len(rows) + 1:
            raise BadFile(
                f"{where or FILE} line {number}: {line[:60]!r}; expected result {len(rows) + 1}"
            )
        row, said = _row(
            operation.interface.results, words, f"{where or FILE} line {number}", before
        )
        unknown |= {len(rows): said} if said else {}
        rows.append(row)
        cycles.append(int(words[1]) if len(words) > 1 else 0)
    results = np.frombuffer(b"".join(rows), dtype=np.uint8)
    shaped = results.reshape(len(rows), size(operation.interface.results))
    when = np.array(cycles, dtype=np.int64)
    given = np.zeros((len(rows), 0), dtype=np.uint8) if inputs is None else inputs
    return _complete(Simulation(given, shaped, when, unknown, gave_up), where)


def _row(
    fields: Sequence[Field], words: Sequence[str], where: str, before: int
) -> tuple[bytes, str]:
    """One line of results, X and Z taken for 0, and what is to be said of these."""
    said = _unknown(fields, words, before) if _UNKNOWN.search("".join(words[2:])) else ""
    try:
        return read_words([_UNKNOWN.sub("0", word) for word in words[2:]], fields), said
    except MxemuError as error:
        raise BadFile(f"{where}: {error}") from None


def _complete(found: Simulation, where: str = "") -> Simulation:
    """A simulation with a row for every vector; those that got no result say why.

    Raises
    ------
    BadFile
        Results of a file are missing, or there are too many, and nobody said why.
    Fault
        The same of a simulation here.
    """
    there, wanted = len(found.results), len(found.inputs)
    if there == wanted:
        return found
    if not found.gave_up or there > wanted:
        said = f"{there} results for {wanted} vectors; the simulation ended early"
        raise BadFile(f"{where}: {said}") if where else Fault(f"gave {said}")
    results = np.zeros((wanted, found.results.shape[1]), dtype=np.uint8)
    results[:there] = found.results
    last = re.search(r"cycle (\d+)", found.gave_up)
    cycles = np.full(wanted, int(last[1]) if last else 0, dtype=np.int64)
    cycles[:there] = found.cycles
    unknown = found.unknown | dict.fromkeys(range(there, wanted), found.gave_up)
    return Simulation(found.inputs, results, cycles, unknown, found.gave_up)


def _gave_up(line: str, operation: OperationMap, before: int = 0) -> str:
    """Why the bench gave up, if a remark says so."""
    words = line[1:].split()
    numbers = [int(word) for word in words[1:] if word.isdecimal()]
    if len(numbers) != 3 or words[0] not in ("stalled", "unknown"):
        return ""
    sent, received, cycle = numbers
    seen = f"cycle {cycle}; {sent} vectors sent, {received} results"
    missing = f"no result for vector line {before + received + 1}"
    if words[0] == "stalled":
        wait = f"{operation.timing.limit} cycles without progress"
        return f"gave {missing} after {wait} ({seen})"
    return f"gave X or Z for whether it is ready or its result valid, and {missing} ({seen})"


def _unknown(fields: Sequence[Field], words: Sequence[str], before: int) -> str:
    """Which field of which vector is X or Z."""
    place = f"vector line {before + int(words[0])}, cycle {words[1]}"
    for one, word in zip(fields, words[2:], strict=False):
        if _UNKNOWN.search(word):
            return f"gave X or Z in {one.name} of {place}: {one.name} = {word}"
    return f"gave X or Z in {place}"
