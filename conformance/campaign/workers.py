"""Who does the chunks: this process, processes of this machine, or those of a Dask cluster.

Each process keeps a subject, which runs in a process of its own as in any check. What is sent around is small: settings
and a chunk in one direction, a result in the other.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.campaign.chunk import Result, do, lost
from conformance.campaign.plan import Chunk
from conformance.isolated import Interpreter
from conformance.worker import InProcess, Outcome, Worker
from mxemu import __version__
from mxemu.errors import MxemuError

Done = tuple[Chunk, Result]

ATTEMPTS = 3
"""Processes that may end while they do a chunk, before that chunk counts as one that kills."""


@dataclass(frozen=True)
class Settings:
    """How a process comes by its subject, and what it has to be.

    Attributes
    ----------
    target : str
    subject : str
        Name and version.
    timeout : float
        Seconds for one call.
    memory : int, optional
        Bytes that the subject may take.
    interpreter : Interpreter, optional
        That of the subject's own environment.
    apart : bool
        Whether the subject runs in a process of its own.
    mxemu, numpy : str
        Versions that all processes have to have.
    """

    target: str
    subject: str
    timeout: float = 120.0
    memory: int | None = None
    interpreter: Interpreter | None = None
    apart: bool = True
    mxemu: str = __version__
    numpy: str = np.__version__


_IDLE: list[tuple[Settings, Worker | InProcess]] = []
"""Subjects of this process that nobody uses; each thread of a Dask worker takes one."""

_TURN = threading.Lock()


@contextmanager
def _borrowed(settings: Settings) -> Iterator[Worker | InProcess]:
    """A subject that is kept for the next chunk."""
    with _TURN:
        found = next((pair for pair in _IDLE if pair[0] == settings), None)
        if found is not None:
            _IDLE.remove(found)
    subject = _started(settings) if found is None else found[1]
    try:
        yield subject
    except BaseException:
        subject.close()
        raise
    _IDLE.append((settings, subject))


def _started(settings: Settings) -> Worker | InProcess:
    """A fresh subject, which has to be the one that the campaign is about."""
    found = {"mxemu": __version__, "numpy": np.__version__}
    for name, version in found.items():
        wanted = getattr(settings, name)
        if version != wanted:
            raise MxemuError(f"a worker has {name} {version}; this campaign is one of {wanted}")
    subject: Worker | InProcess
    if settings.apart:
        subject = Worker(settings.target, settings.timeout, settings.memory, settings.interpreter)
    else:
        subject = InProcess(settings.target)
    about = subject.introduce()
    if f"{about.name} {about.version}" != settings.subject:
        subject.close()
        raise MxemuError(
            f"a worker has {about.name} {about.version}; this campaign is one of {settings.subject}"
        )
    return subject


def perform(settings: Settings, chunk: Chunk) -> Result:
    """Do a chunk in this process."""
    with _borrowed(settings) as subject:
        return do(subject, chunk)


def dismiss() -> None:
    """End the subjects that this process keeps."""
    while _IDLE:
        _IDLE.pop()[1].close()


class Crew(ABC):
    """Does chunks; results come in any order."""

    @abstractmethod
    def results(self, chunks: Iterable[Chunk]) -> Iterator[Done]:
        """Each chunk with its result.

        Raises
        ------
        MxemuError
            When there is nobody left to do them.
        """

    @abstractmethod
    def close(self) -> None:
        """End what was started."""


class Here(Crew):
    """The process that asks, with a subject that is there already."""

    def __init__(self, subject: Worker | InProcess) -> None:
        self.subject = subject

    def results(self, chunks: Iterable[Chunk]) -> Iterator[Done]:
        for chunk in chunks:
            yield chunk, do(self.subject, chunk)

    def close(self) -> None:
        """Nothing was started here."""


class Pool(Crew):
    """Processes of this machine.

    Parameters
    ----------
    settings : Settings
    jobs : int
    """

    def __init__(self, settings: Settings, jobs: int) -> None:
        self.settings, self.jobs = settings, jobs
        self._context = multiprocessing.get_context("spawn")
        self._stop = self._context.Event()
        self._pool: ProcessPoolExecutor | None = None

    def results(self, chunks: Iterable[Chunk]) -> Iterator[Done]:
        """See `Crew.results`; chunks that were under way when a process ended are done again, one by one."""
        waiting, fallen = list(chunks)[::-1], dict[int, int]()
        under_way: dict[Future[Result], Chunk] = {}
        while waiting or under_way:
            try:
                while waiting and self._fits(waiting[-1], under_way, fallen):
                    future = self._started().submit(perform, self.settings, waiting[-1])
                    under_way[future] = waiting.pop()
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield under_way.pop(future), result
            except BrokenProcessPool:
                self._pool = None
                for chunk in under_way.values():
                    fallen[chunk.number] = fallen.get(chunk.number, 0) + 1
                    if fallen[chunk.number] < ATTEMPTS:
                        waiting.append(chunk)
                    else:
                        yield chunk, lost(chunk, _ENDED)
                under_way.clear()

    def _fits(
        self, chunk: Chunk, under_way: dict[Future[Result], Chunk], fallen: dict[int, int]
    ) -> bool:
        """Whether a chunk can be started now: one that may have ended a process is done alone."""
        if any(one.number in fallen for one in (chunk, *under_way.values())):
            return not under_way
        return len(under_way) < 2 * self.jobs

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.jobs, self._context, _attend, (self._stop,))
        return self._pool

    def close(self) -> None:
        """End the processes and their subjects, whatever they are doing."""
        self._stop.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


_ENDED = Outcome("gone", message="took down the process that judges it")


def _attend(stop: Any) -> None:
    """End this process with its subjects once that is asked for, or when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watch() -> None:
        while not stop.wait(0.25) and os.getppid() == parent:
            pass
        dismiss()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


class Cluster(Crew):
    """The workers of a Dask cluster.

    Parameters
    ----------
    settings : Settings
    scheduler : str
        Address of a scheduler, ``tcp://host:port``, or ``local:N`` for a cluster of N workers on this machine.
    """

    def __init__(self, settings: Settings, scheduler: str) -> None:
        self.settings = settings
        self._distributed = _imported()
        # What it says of workers that come and go is for its own log.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self._own = _local(scheduler)
        try:
            self.client = self._distributed.Client(self._own or scheduler, timeout=20)
        except (OSError, ValueError) as error:
            self._close_own()
            reason = " ".join(str(error).split()) or type(error).__name__
            raise MxemuError(f"cannot reach the scheduler {scheduler}: {reason}") from None

    def results(self, chunks: Iterable[Chunk]) -> Iterator[Done]:
        """See `Crew.results`; what a worker was doing when it went away is done by another one."""
        waiting = iter(chunks)
        wide = 2 * max(4, sum(self.client.nthreads().values()))
        under_way = {}
        arrived = self._distributed.as_completed()
        for chunk in waiting:
            future = self.client.submit(perform, self.settings, chunk, pure=False)
            under_way[future.key] = chunk
            arrived.add(future)
            if len(under_way) >= wide:
                yield self._next(arrived, under_way)
        while under_way:
            yield self._next(arrived, under_way)

    def _next(self, arrived: Any, under_way: dict[str, Chunk]) -> Done:
        """The next result that arrives."""
        future = next(arrived)
        chunk = under_way.pop(future.key)
        try:
            return chunk, future.result()
        except MxemuError:
            raise
        except self._distributed.KilledWorker:
            return chunk, lost(chunk, _ENDED)
        except Exception as error:  # noqa: BLE001 - whatever a lost connection raises
            raise MxemuError(f"lost the scheduler: {type(error).__name__}: {error}") from None

    def close(self) -> None:
        """Let go of the cluster; one of our own is ended."""
        with suppress(Exception):
            if self._own is None:
                self.client.run(dismiss)
            self.client.close()
        self._close_own()

    def _close_own(self) -> None:
        if self._own is not None:
            with suppress(Exception):
                self._own.close()


def _imported() -> Any:
    try:
        import distributed
    except ImportError:
        hint = 'install it with: python -m pip install "mxemu[cluster]"'
        raise MxemuError(
            "--scheduler needs Dask distributed, which is not installed", hint
        ) from None
    return distributed


def _local(scheduler: str) -> Any:
    """A cluster on this machine, None if the scheduler is one that runs already."""
    kind, _, count = scheduler.partition(":")
    if kind != "local":
        return None
    if not count.isdecimal() or not int(count):
        raise MxemuError(
            f"--scheduler {scheduler}; expected local:N with N workers, or tcp://host:port"
        )
    make: Any = _imported().LocalCluster
    return make(n_workers=int(count), threads_per_worker=1, dashboard_address=None, memory_limit=0)
