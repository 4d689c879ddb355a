"""A progress bar for what takes longer than two seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

_PATIENCE = 2


class Bar:
    """A bar on standard error, shown once two seconds have passed and if somebody is looking.

    Parameters
    ----------
    words : str
        What is done.
    total : int
        Elements of the whole work.
    """

    def __init__(self, words: str, total: int) -> None:
        self.words, self.total = words, total
        self.start, self.done = time.monotonic(), 0
        self.shown: Any = None
        self.task: Any = None

    def __enter__(self) -> Bar:
        return self

    def __call__(self, elements: int) -> None:
        """Some more elements are done."""
        self.done += elements
        if self.shown is None and sys.stderr.isatty() and self._waited():
            self._show()
        if self.shown is not None:
            self.shown.update(self.task, completed=self.done)

    def _waited(self) -> bool:
        return time.monotonic() - self.start >= _PATIENCE

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.shown = Progress(console=Console(stderr=True), transient=True)
        self.task = self.shown.add_task(self.words, total=self.total)
        self.shown.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.shown is not None:
            self.shown.stop()
