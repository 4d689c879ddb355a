"""Work spread over threads: kernels release the interpreter lock, so plain threads over slices are enough."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from mxemu.errors import BadValue

# Below this many elements a thread costs more than it saves.
_FEWEST = 1 << 19
# Slices of a call for each thread.
_SLICES = 4


class _Pool:
    """The threads, started when first needed and forgotten by a forked child, which does not inherit them."""

    def __init__(self) -> None:
        self.size = available()
        self.executor: ThreadPoolExecutor | None = None

    def submit_to(self) -> ThreadPoolExecutor:
        if self.executor is None:
            self.executor = ThreadPoolExecutor(self.size, thread_name_prefix="mxemu")
        return self.executor

    def resize(self, size: int) -> None:
        if self.executor is not None:
            self.executor.shutdown()
        self.executor, self.size = None, size

    def forget(self) -> None:
        self.executor = None


def available() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)


def set_threads(count: int | None) -> None:
    """Set the number of threads of the array verbs; None for all cores that the process may use.

    Parameters
    ----------
    count : int or None

    Raises
    ------
    BadValue
        When the count is no integer or below 1.
    """
    wanted = available() if count is None else count
    if type(wanted) is not int or wanted < 1:
        raise BadValue(f"{count!r} threads; expected an integer of at least 1, or None")
    _pool.resize(wanted)


def get_threads() -> int:
    """The number of threads in use."""
    return _pool.size


def spread(work: Callable[[int, int], object], count: int, cost: int = 1, align: int = 1) -> None:
    """Call ``work(first, after)`` over slices that cover range(count), in threads when that pays.

    Parameters
    ----------
    work : callable
        Releases the interpreter lock; its slices do not overlap.
    count : int
        Number of items.
    cost : int
        Elements in an item.
    align : int
        Slices start at multiples of this, so that threads do not share cache lines.
    """
    helpers = min(_pool.size, count * cost // _FEWEST) - 1
    if helpers <= 0:
        work(0, count)
        return
    # More slices than threads, so that a thread that was put off does not keep the others waiting.
    step = -(-count // (_SLICES * (helpers + 1)))
    step += -step % align
    starts = iter(range(0, count, step))

    def drain() -> None:
        for first in starts:
            work(first, min(first + step, count))

    # The caller takes slices too: a thread that sleeps needs longer to wake than a slice to be done.
    pending = [_pool.submit_to().submit(drain) for _ in range(helpers)]
    try:
        drain()
    finally:
        for future in pending:
            future.result()
