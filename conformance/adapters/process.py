"""A process that answers lines with lines: every wait has an end, and what it wrote to standard error is kept."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence

from conformance.adapters.fault import Ended

_READ = 1 << 16
_KEPT = 4096
"""Bytes of standard error that are kept."""


class LineProcess:
    """A process with its three streams.

    Parameters
    ----------
    words : sequence of str
        The program and its arguments.
    environment : mapping, optional
        Variables besides our own.

    Raises
    ------
    OSError
        There is no such program.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **(environment or {})},
        )
        streams = self._process.stdin, self._process.stdout, self._process.stderr
        self._in, self._out, self._errors = (one.fileno() for one in streams if one is not None)
        for descriptor in (self._in, self._out, self._errors):
            os.set_blocking(descriptor, False)
        self._answers = bytearray()
        self._lines = 0
        self._said = bytearray()
        self.close = weakref.finalize(self, _end, self._process)

    @property
    def log(self) -> str:
        """The last lines that it wrote to standard error."""
        return "\n".join(self._said.decode(errors="replace").splitlines()[-5:])

    def exchange(self, data: bytes, lines: int, seconds: float) -> list[str]:
        """Write some bytes and take that many lines.

        Raises
        ------
        Ended
            The process ended or closed its output, took longer, or wrote lines before it was asked.
        """
        if self._answers:
            early = self._answers.partition(b"\n")[0].decode(errors="replace")
            raise Ended("broke", f"gave a line that nobody asked for: {short(early)}", self.log)
        ends = time.monotonic() + seconds
        rest = memoryview(data)
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._out, selectors.EVENT_READ)
            waiting.register(self._errors, selectors.EVENT_READ)
            if rest:
                waiting.register(self._in, selectors.EVENT_WRITE)
            while rest or self._lines < lines:
                events = waiting.select(max(0.0, ends - time.monotonic()))
                if not events:
                    self._give_up(lines, seconds)
                for key, _ in events:
                    if key.fd == self._in:
                        rest = self._write(rest, waiting)
                    else:
                        self._read(key.fd, waiting, lines)
        return self._take(lines)

    def _write(self, rest: memoryview, waiting: selectors.BaseSelector) -> memoryview:
        """Write what fits; a reader that is gone shows in its output."""
        try:
            rest = rest[os.write(self._in, rest[:_READ]) :]
        except BlockingIOError:
            return rest
        except OSError:
            rest = rest[:0]
        if not rest:
            waiting.unregister(self._in)
        return rest

    def _read(self, descriptor: int, waiting: selectors.BaseSelector, lines: int) -> None:
        """Take what is there."""
        with contextlib.suppress(BlockingIOError):
            piece = os.read(descriptor, _READ)
            if descriptor == self._out:
                if not piece:
                    raise self._ended(lines)
                self._answers += piece
                self._lines += piece.count(b"\n")
            elif piece:
                self._hear(piece)
            else:
                waiting.unregister(descriptor)

    def _hear(self, piece: bytes) -> None:
        """Keep what was written to standard error, and pass it on."""
        self._said = (self._said + piece)[-_KEPT:]
        with contextlib.suppress(OSError):
            os.write(2, piece)

    def _give_up(self, lines: int, seconds: float) -> None:
        some = f" ({self._lines} of {lines} lines came)" if self._lines else ""
        raise Ended("hung", f"gave no answer within {seconds:g} s{some}", self.log)

    def _take(self, lines: int) -> list[str]:
        """The first lines of what came; the rest is nobody's yet."""
        *found, rest = bytes(self._answers).split(b"\n", lines)
        self._answers = bytearray(rest)
        self._lines = rest.count(b"\n")
        return [line.decode("ascii", errors="replace").strip() for line in found]

    def _ended(self, lines: int) -> Ended:
        """How its output came to an end, in words."""
        place = f" after {self._lines} of {lines} lines" if lines > 1 else ""
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return Ended("broke", f"closed its output{place}", self.log)
        self._drain()
        how = f"ended with exit status {code}"
        if code < 0:
            how = f"died of signal {-code} ({signal.Signals(-code).name})"
        return Ended("died", f"{how}{place}", self.log)

    def _drain(self) -> None:
        """Standard error to its end."""
        with contextlib.suppress(OSError):
            while piece := os.read(self._errors, _READ):
                self._hear(piece)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and close our ends of its streams."""
    with contextlib.suppress(OSError):
        process.kill()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    process.wait()


def short(text: str) -> str:
    """The beginning of a line, quoted."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
