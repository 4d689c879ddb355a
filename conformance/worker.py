"""Subjects run in a process of their own, so that a crash, an endless loop or a wrong result type is a verdict.

The parent and the worker share one memory file for arrays and one socket for small messages. What the subject
prints goes to a log that is shown when it dies. `Worker` and `InProcess` answer the same calls.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import numpy as np

from conformance import adapter as adapters
from conformance.adapters.fault import Ended, Fault
from conformance.arrays import Array
from conformance.isolated import Interpreter
from conformance.target import load, parse_target
from mxemu.errors import MxemuError, Unsupported

START_TIMEOUT = 120.0
"""Seconds that a worker may take to start and import its subject."""

MEMORY_SHARE = 0.75
"""The part of this machine's memory that a subject may take, unless told otherwise."""


@dataclass(frozen=True)
class Outcome:
    """What one call gave.

    Attributes
    ----------
    kind : str
        ``ok``, ``raised``, ``unsupported``, ``died``, ``hung``, ``exhausted`` (its memory), ``gone`` (died and
        could not be loaded again) or ``broke`` (answered outside of its protocol).
    arrays : tuple of ndarray
        The results, for ``ok``.
    message : str
        One line for the other kinds.
    log : str
        The last lines that the subject printed.
    """

    kind: str
    arrays: tuple[Array, ...] = ()
    message: str = ""
    log: str = ""


Place = tuple[str, tuple[int, ...], int]
"""Where an array lies in shared memory: dtype, shape and first byte."""


class Arena:
    """A shared memory file that holds the arrays of one message, grown as needed."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.map: mmap.mmap | None = None

    def write(self, arrays: tuple[Array | None, ...], after: int = 0) -> list[Place | None]:
        """Put arrays in the file from byte ``after`` on; returns the place of each, None for None."""
        places: list[Place | None] = []
        offset = _padded(after)
        for array in arrays:
            places.append(None if array is None else (array.dtype.str, array.shape, offset))
            offset += 0 if array is None else _padded(array.nbytes)
        memory = self._mapped(offset)
        for array, place in zip(arrays, places, strict=True):
            if array is not None and place is not None:
                np.ndarray(array.shape, array.dtype, buffer=memory, offset=place[2])[...] = array
        return places

    def read(self, places: list[Place | None], *, copy: bool) -> tuple[Array | None, ...]:
        """The arrays of a message, as views or copies."""
        memory = self._mapped(end_of(places))
        views = [
            None
            if place is None
            else np.ndarray(place[1], np.dtype(place[0]), buffer=memory, offset=place[2])
            for place in places
        ]
        return tuple(view.copy() if copy and view is not None else view for view in views)

    def _mapped(self, size: int) -> mmap.mmap:
        """The file in memory, at least ``size`` bytes of it."""
        descriptor = self.file.fileno()
        if os.fstat(descriptor).st_size < max(size, 1):
            os.ftruncate(descriptor, max(size, 1 << 16))
        if self.map is None or len(self.map) < size:
            self.map = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        return self.map


def end_of(places: list[Place | None]) -> int:
    """The first byte behind all arrays of a message."""
    ends = (place[2] + _size(*place[:2]) for place in places if place is not None)
    return max(ends, default=0)


def _padded(size: int) -> int:
    """Bytes up to the next cache line."""
    return -(-size // 64) * 64


def _size(dtype: str, shape: tuple[int, ...]) -> int:
    return int(np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64))


class Worker:
    """A subject in a spawned process.

    Parameters
    ----------
    target : str
        TARGET of the command line.
    timeout : float
        Seconds that one call may take.
    memory : int, optional
        Bytes that the process may allocate; three quarters of this machine's unless given.
    interpreter : Interpreter, optional
        That of the subject's own environment; this process' own unless given.
    """

    def __init__(
        self,
        target: str,
        timeout: float = 60.0,
        memory: int | None = None,
        interpreter: Interpreter | None = None,
    ) -> None:
        self.target = target
        self.interpreter = interpreter or _own_interpreter()
        self.timeout = timeout
        self.memory = memory or int(machine_memory() * MEMORY_SHARE)
        self.restarts = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def introduce(self) -> adapters.Capabilities:
        """Start the process and load the subject.

        Raises
        ------
        MxemuError
            When the subject cannot be loaded, or its record is wrong.
        """
        self._start()
        reply = self._exchange(("load", self.target), START_TIMEOUT)
        if isinstance(reply, Outcome):
            self.close()
            raise MxemuError(
                f"{self.target}: the subject {_fate(reply)} while it was loaded", reply.log
            )
        kind, *rest = reply
        if kind == "capabilities":
            capabilities: adapters.Capabilities = rest[0]
            return capabilities
        self.close()
        raise MxemuError(rest[0], rest[1])

    def call(
        self, operation: str, arrays: tuple[Array | None, ...], extra: tuple[Any, ...]
    ) -> Outcome:
        """Let the subject do one operation; the process is started again when it is gone."""
        if self._process is None:
            try:
                self.introduce()
            except MxemuError as error:
                return Outcome("gone", message=f"could not be loaded again: {error}")
        places = self._arena.write(arrays)
        reply = self._exchange(("call", operation, places, extra), self.timeout)
        if isinstance(reply, Outcome):
            self.close()
            return reply
        kind, *rest = reply
        if kind == "ok":
            read = self._arena.read(rest[0], copy=True)
            return Outcome("ok", tuple(array for array in read if array is not None))
        if kind == "exhausted":
            self.close()  # what is left of the subject may be in any state
        return _without_arrays(kind, rest[0])

    def _start(self) -> None:
        """A fresh process with its memory, socket and log."""
        self.close()
        memory = _memory_file()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._arena = Arena(memory)
        ours, theirs = socket.socketpair()
        descriptors = (theirs.fileno(), memory.fileno())
        # -P: nothing in the working directory may hide a module that the worker imports.
        command = [self.interpreter.executable, "-P", "-m", "conformance.worker"]
        command += [*map(str, descriptors), str(self.memory)]
        self._process = subprocess.Popen(
            command,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": self.interpreter.path},
            start_new_session=True,
        )
        theirs.close()
        self._connection = Connection(ours.detach())
        self.restarts += 1

    def _exchange(self, message: tuple[Any, ...], timeout: float) -> Any:
        """Send a message and wait for the answer; an Outcome says that none came."""
        assert self._connection is not None
        try:
            self._connection.send(message)
            if not self._connection.poll(timeout):
                return Outcome(
                    "hung", message=f"gave no answer within {timeout:g} s", log=self._tail()
                )
            return self._connection.recv()
        except (EOFError, OSError):
            return Outcome("died", message=self._cause(), log=self._tail())

    def _cause(self) -> str:
        """How the process ended, in words."""
        assert self._process is not None
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        if code < 0:
            return f"died of signal {-code} ({signal.Signals(-code).name})"
        return f"ended with exit status {code}"

    def _tail(self) -> str:
        """The last lines that the subject printed."""
        self._log.seek(0)
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-5:])

    def close(self) -> None:
        """End the process, if there is one."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._log.close()
            self._arena.file.close()
        self._process = self._connection = None


def _own_interpreter() -> Interpreter:
    """That of this process, with everything that it can import."""
    return Interpreter(sys.executable, os.pathsep.join(entry for entry in sys.path if entry))


def machine_memory() -> int:
    """Bytes of memory of this machine, or of the container that this process runs in."""
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            here = min(here, int(Path(limit).read_text(encoding="ascii")))
    return here


def _memory_file() -> IO[bytes]:
    """A file in memory without a name. It is not in /dev/shm, which containers keep small."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("mxemu"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


class InProcess:
    """A subject in this process, for debugging: a crash of it is a crash of ours."""

    restarts = 0

    def __init__(self, target: object) -> None:
        if isinstance(target, str):
            with _without_output():
                self.subject, self.capabilities = _load(target)
        else:
            self.subject, self.capabilities = target, adapters.capabilities_of(target)

    def introduce(self) -> adapters.Capabilities:
        """See `Worker.introduce`."""
        return self.capabilities

    def call(
        self, operation: str, arrays: tuple[Array | None, ...], extra: tuple[Any, ...]
    ) -> Outcome:
        """See `Worker.call`."""
        try:
            with _without_output():
                kind, result = _call(self.subject, operation, arrays, extra)
        except SystemExit as error:
            return Outcome("died", message=f"called exit({error.code})")
        if kind != "ok":
            return _without_arrays(kind, result)
        # A result may be a view of the inputs, which the caller uses again.
        return Outcome("ok", tuple(array.copy() for array in result))

    def close(self) -> None:
        """Nothing to end."""


@contextlib.contextmanager
def _without_output() -> Iterator[None]:
    """What the subject prints goes to standard error: standard output is the report's."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _without_arrays(kind: str, why: str | tuple[str, str]) -> Outcome:
    """An outcome from its message, or from message and log."""
    message, log = (why, "") if isinstance(why, str) else why
    return Outcome(kind, message=message, log=log)


def _fate(outcome: Outcome) -> str:
    return outcome.message or outcome.kind


def _load(target: str) -> tuple[object, adapters.Capabilities]:
    """The adapter of a TARGET and its checked capabilities."""
    subject = load(target)
    try:
        return subject, adapters.capabilities_of(subject, parse_target(target).variant)
    except MxemuError:
        raise
    except Exception as error:  # noqa: BLE001 - attributes of a subject may be code of any kind
        raise MxemuError(f"cannot read what {target} says of itself: {_one_line(error)}") from None


def _call(
    subject: object, operation: str, arrays: tuple[Array | None, ...], extra: tuple[Any, ...]
) -> tuple[str, Any]:
    """One operation of a subject: ("ok", arrays), ("unsupported", why) or ("raised", why)."""
    function = getattr(subject, operation, None)
    if function is None:
        return "unsupported", f"no function {operation!r}"
    try:
        result = adapters.call(function, *arrays, *extra)
        results = result if isinstance(result, tuple) else (result,)
        converted = tuple(np.asarray(one) for one in results)
    except Unsupported as error:
        return "unsupported", str(error)
    except Ended as error:
        return error.kind, (str(error), error.log)
    except Fault as error:
        return "raised", str(error)
    except MemoryError as error:
        return "exhausted", f"ran out of memory: {_one_line(error)}"
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a subject raises is an outcome
        return "raised", _one_line(error)
    objects = [array.dtype for array in converted if array.dtype.hasobject]
    return ("raised", f"returned an array of dtype {objects[0]}") if objects else ("ok", converted)


def _one_line(error: BaseException) -> str:
    """Type, message and place of an exception."""
    text = " ".join(str(error).split()) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text[:300]}{place}"


def main(arguments: list[str]) -> None:
    """The worker's side: load a subject, answer calls until the parent goes away.

    Parameters
    ----------
    arguments : list of str
        Two open file descriptors, the socket and the memory file, and the bytes that may be allocated.
    """
    connection, memory, limit = Connection(int(arguments[0])), int(arguments[1]), int(arguments[2])
    _limit_memory(limit)
    arena = Arena(os.fdopen(memory, "r+b", buffering=0))
    subject: object = None
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        if message[0] == "load":
            subject, reply = _loaded(message[1])
        else:
            _, operation, places, extra = message
            # The inputs are ours to spoil: the parent has its own. Results, which may be views of them, go behind them.
            kind, result = _call(subject, operation, arena.read(places, copy=False), extra)
            reply = (
                _written(arena, result, end_of(places), limit) if kind == "ok" else (kind, result)
            )
        connection.send(reply)


def _limit_memory(limit: int) -> None:
    """Let allocations beyond a limit fail.

    The limit counts memory that can be written. Addresses that are only reserved, as CUDA and garbage collectors do by
    the terabyte, would count for RLIMIT_AS.
    """
    import resource

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _written(arena: Arena, results: tuple[Array, ...], after: int, limit: int) -> tuple[str, Any]:
    """Results in shared memory behind the inputs, unless they are far too large to be any."""
    size = sum(array.nbytes for array in results)
    if size > limit:
        return "exhausted", f"returned arrays of {size / 1e9:,.0f} GB"
    return "ok", arena.write(results, after)


def _loaded(target: str) -> tuple[object, tuple[Any, ...]]:
    """The subject and its capabilities, or why there is none."""
    try:
        subject, capabilities = _load(target)
    except MxemuError as error:
        return None, ("error", str(error), error.hint)
    return subject, ("capabilities", capabilities)


if __name__ == "__main__":
    main(sys.argv[1:])
