"""Subjects behind a command: a process that answers requests on its standard input, in JSON or as plain hex.

docs/guides/transports.md describes what goes over the lines.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.adapters.exchange import Call, Remote, Slot
from conformance.adapters.fault import Ended, Fault
from conformance.adapters.process import LineProcess, short
from conformance.arrays import Array
from mxemu.errors import MxemuError, Unsupported
from mxemu.profile import plain

START = 100.0
"""Seconds until the first line must have come."""

TIMEOUT = 60.0
"""Seconds for the answer to one batch, unless the first line says otherwise."""

BATCH_NUMBERS = 1 << 16
"""Numbers in a batch, about."""

ENCODINGS = ("json", "hex")

VARIANT = "MXEMU_VARIANT"
"""The environment variable that tells a subject which variant is asked for."""

_LARGEST = (1 << 62) - 1
"""What stands for a code that is too large for any format."""


class Command(Remote):
    """A command as an adapter.

    Parameters
    ----------
    command : str
        Program and arguments, split as a shell does; no shell runs.
    variant : str, optional

    Raises
    ------
    MxemuError
        It cannot be started, or its first line is no handshake.
    """

    def __init__(self, command: str, variant: str | None = None) -> None:
        self.command = command
        self.where = f"cmd:{command}"
        self._variant = variant
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise MxemuError(f"{self.where}: {error}; expected a command line") from None
        if not self._words:
            raise MxemuError("cmd: names no command; expected a program and its arguments")
        self._process: LineProcess | None = None
        record = self._start()
        super().__init__(record, self.where, variant)
        self.encoding: str = record.get("encoding", "json")
        if self.encoding not in ENCODINGS:
            raise MxemuError(f"{self.where}: encoding {self.encoding!r}; expected json or hex")
        self.batch = _limit(record, "batch", self.where)
        self.timeout = _limit(record, "timeout", self.where) or TIMEOUT
        self._count = 0

    def _start(self) -> Mapping[str, Any]:
        """A fresh process, and its first line."""
        environment = {VARIANT: self._variant} if self._variant else {}
        try:
            self._process = LineProcess(self._words, environment)
        except OSError as error:
            raise MxemuError(f"cannot start {self._words[0]}: {error.strerror}") from None
        try:
            (line,) = self._process.exchange(b"", 1, START)
        except Ended as error:
            self.close()
            raise MxemuError(f"{self.where} {error} before its first line", error.log) from None
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            self.close()
            raise MxemuError(
                f"{self.where}: the first line is {short(line)}; expected a JSON object",
                "docs/guides/transports.md says what stands in it",
            )
        return record

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
        self._process = None

    def ask(self, call: Call) -> dict[str, Array]:
        """All batches of a call; see `Remote.ask`.

        Raises
        ------
        Ended
            The process died, was silent for too long, or answered something else.
        Fault, Unsupported
            It said so.
        """
        exchange = self._json if self.encoding == "json" else self._hex
        found = [self._guarded(exchange, part) for part in self._batches(call)]
        return {
            slot.name: np.concatenate([one[slot.name] for one in found])
            if len(found) > 1
            else found[0][slot.name]
            for slot in call.results
        }

    def _batches(self, call: Call) -> Iterator[Call]:
        if not call.splits or not call.rows:
            yield call
            return
        step = max(1, BATCH_NUMBERS // max(call.row_numbers, 1))
        step = min(step, int(self.batch or step))
        for start in range(0, call.rows, step):
            yield call.part(start, start + step)

    def _guarded(self, exchange: Any, call: Call) -> dict[str, Array]:
        """One batch; a process that cannot go on is ended, and the next batch starts another."""
        if self._process is None:
            try:
                self._start()
            except MxemuError as error:
                raise Ended("died", f"could not be started again: {error}", error.hint) from None
        assert self._process is not None
        try:
            return exchange(self._process, call)
        except Ended as error:
            error.log = error.log or self._process.log
            self.close()
            raise

    def _json(self, process: LineProcess, call: Call) -> dict[str, Array]:
        """One batch as a JSON object in a line."""
        self._count += 1
        request = json.dumps(json_request(self._count, call)) + "\n"
        (line,) = process.exchange(request.encode(), 1, self.timeout)
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise Ended("broke", f"gave {short(line)}; expected a JSON object")
        if answer.get("id") != self._count:
            found = answer.get("id")
            raise Ended("broke", f"gave the id {found!r}; expected {self._count}, in order")
        if "unsupported" in answer:
            raise Unsupported(str(answer["unsupported"]))
        if "error" in answer:
            raise Fault(f"gave an error: {answer['error']}")
        arrays = answer.get("arrays")
        if not isinstance(arrays, dict):
            raise Ended("broke", f"gave {short(line)}; expected arrays, unsupported or error")
        return {slot.name: _array(arrays, slot) for slot in call.results}

    def _hex(self, process: LineProcess, call: Call) -> dict[str, Array]:
        """One batch as lines of numbers, then an empty line; an answer for each of the others."""
        rows = list(hex_lines(self._with_c(call)))
        data = ("\n".join(rows) + "\n\n").encode()
        answers = [line.split() for line in process.exchange(data, len(rows), self.timeout)]
        for words in answers:
            if words and words[0] == "unsupported":
                raise Unsupported(" ".join(words[1:]) or "it gave no reason")
            if words and words[0] == "error":
                raise Fault(f"gave an error: {' '.join(words[1:])}")
        return _columns(answers, call)

    def _with_c(self, call: Call) -> Call:
        """A dot product of a subject that takes C has it in every line, zero where there is none."""
        if "c" in call.inputs or not self.offers.operations[call.operation].c:
            return call
        nothing = np.zeros(call.rows, dtype=call.results[0].dtype)
        return replace(call, inputs={**call.inputs, "c": nothing})


def _limit(record: Mapping[str, Any], key: str, where: str) -> float | None:
    """A positive number of the handshake."""
    found = record.get(key)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not found > 0:
        raise MxemuError(f"{where}: {key} is {found!r}; expected a number above 0")
    return found


def json_request(number: int, call: Call) -> dict[str, Any]:
    """A batch as a JSON object; keys that have no meaning for an operation are left out."""
    request = {
        "id": number,
        "operation": call.operation,
        "format": call.format,
        "carrier": call.carrier,
        "profile": call.profile_record(),
        "accumulation": call.accumulation_record(),
        "shapes": {name: list(array.shape) for name, array in call.inputs.items()},
        "arrays": {name: hex_text(array) for name, array in call.inputs.items()},
    }
    return {key: found for key, found in request.items() if found is not None}


def hex_lines(call: Call) -> Iterator[str]:
    """The lines of a batch: operation, format, carrier, mode, then the numbers of a row.

    Scales stand in front of what they belong to.

    Raises
    ------
    Unsupported
        For a matrix product, which has no rows that stand alone.
    """
    if not call.splits:
        raise Unsupported(f"{call.operation} is not asked for in hex; expected the encoding json")
    head = " ".join((call.operation, call.format, call.carrier, _mode(call)))
    scales_first = sorted(call.inputs, key=lambda name: name == "values")
    rows = [_row_texts(call.inputs[name]) for name in scales_first]
    for words in zip(*rows, strict=True):
        yield " ".join((head, *words))


def _mode(call: Call) -> str:
    """Rounding and overflow in one word; ``-`` where there is nothing to choose."""
    if call.profile is None:
        return "-"
    return f"{plain(call.profile.rounding)},{plain(call.profile.overflow)}"


def hex_text(array: Array) -> str:
    """Numbers as hex words of equal length, with a space between two.

    Examples
    --------
    >>> hex_text(np.array([1.0, -2.0], dtype=np.float32).view(np.uint32))
    '3f800000 c0000000'
    """
    size = array.dtype.itemsize
    return np.ascontiguousarray(array, array.dtype.newbyteorder(">")).tobytes().hex(" ", size)


def _row_texts(array: Array) -> list[str]:
    """The same for each row."""
    text, words = hex_text(array), int(np.prod(array.shape[1:], dtype=np.int64))
    step = words * (2 * array.dtype.itemsize + 1)
    return [text[start : start + step - 1] for start in range(0, len(text), step)]


def _array(arrays: Mapping[str, Any], slot: Slot) -> Array:
    """A result from the hex words of a JSON answer."""
    text = arrays.get(slot.name)
    if not isinstance(text, str):
        raise Ended("broke", f"gave no array {slot.name!r}, but {short(', '.join(arrays))}")
    return _numbers(text.split(), slot)


def _columns(answers: list[list[str]], call: Call) -> dict[str, Array]:
    """Results from the words of the lines, in the order of the slots."""
    wanted = sum(slot.row_count for slot in call.results)
    for number, words in enumerate(answers, 1):
        if len(words) != wanted:
            what = short(" ".join(words))
            raise Ended(
                "broke", f"gave {len(words)} numbers in line {number}: {what}; expected {wanted}"
            )
    found, start = {}, 0
    for slot in call.results:
        stop = start + slot.row_count
        found[slot.name] = _numbers([word for words in answers for word in words[start:stop]], slot)
        start = stop
    return found


def _numbers(words: list[str], slot: Slot) -> Array:
    """Hex words as integers in the shape of a slot.

    Raises
    ------
    Ended
        There are more or fewer, or one is no hex number, or no bit pattern of the carrier.
    """
    if len(words) != slot.count:
        raise Ended("broke", f"gave {len(words)} {slot.name}; expected {slot.count}")
    size = 2 * slot.dtype.itemsize
    try:
        if all(len(word) == size and word[0] != "-" for word in words):
            raw = np.frombuffer(bytes.fromhex("".join(words)), slot.dtype.newbyteorder(">"))
            known = raw.astype(slot.dtype).reshape(slot.shape)
            return _signed(known) if slot.is_codes else known
    except ValueError:
        pass  # the word that is no hex number is named below
    numbers = [_integer(word, slot) for word in words]
    if slot.is_codes:
        bounded = [max(-_LARGEST, min(number, _LARGEST)) for number in numbers]
        return np.array(bounded, dtype=np.int64).reshape(slot.shape)
    wide = [number for number in numbers if not 0 <= number < 1 << (4 * size)]
    if wide:
        raise Ended("broke", f"gave {wide[0]:#x} in {slot.name}; expected {4 * size} bits")
    return np.array(numbers, dtype=slot.dtype).reshape(slot.shape)


def _signed(codes: Array) -> Array:
    """Codes as int64; the largest uint64 must not turn into a refusal."""
    bounded = np.minimum(codes, np.uint64(_LARGEST)) if codes.dtype == np.uint64 else codes
    return bounded.astype(np.int64)


def _integer(word: str, slot: Slot) -> int:
    try:
        if "_" not in word:
            return int(word, 16)
    except ValueError:
        pass
    raise Ended("broke", f"gave {short(word)} in {slot.name}; expected a hex number")
