"""The box: somebody else's dot product, of which nothing is known but what it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from conformance.arrays import Array
from conformance.probe.space import Dots, Space, joined
from mxemu.errors import MxemuError


class Subject(Protocol):
    """What `conformance.worker.Worker` and `InProcess` have in common."""

    def call(
        self, operation: str, arrays: tuple[Array | None, ...], extra: tuple[Any, ...]
    ) -> Any: ...


class BoxError(MxemuError):
    """The box cannot be probed: it fails, changes its mind or returns something else than bits."""


class Unsteady(BoxError):
    """The box answers the same question differently.

    Parameters
    ----------
    how : str
        What was different when it was asked again.
    dots : Dots
        The question.
    answers : tuple of int
        The bits of both answers.
    """

    def __init__(self, how: str, dots: Dots, answers: tuple[int, int]) -> None:
        super().__init__(f"the box answers the same question differently {how}")
        self.how, self.dots, self.answers = how, dots, answers


@dataclass
class Asked:
    """Questions of one kind with their answers.

    Parameters
    ----------
    kind : str
        What the questions are about.
    dots : Dots
    bits : ndarray of int64, shape (n,)
    """

    kind: str
    dots: Dots
    bits: Array


@dataclass
class Box:
    """A dot product that is asked in batches, with everything that was asked.

    Parameters
    ----------
    call : callable
        ``call(sa, a, sb, b, c) -> bits``.
    space : Space
    limit : int
        The number of questions after which no more are asked.
    """

    call: Callable[..., Array]
    space: Space
    limit: int = 5000
    queries: int = 0
    seconds: float = 0.0
    log: list[Asked] = field(default_factory=list)

    def ask(self, kind: str, dots: Dots) -> Array:
        """The answers to a batch of questions, as int64; they are kept."""
        bits = self.answer(dots)
        self.log.append(Asked(kind, dots, bits))
        return bits

    def answer(self, dots: Dots) -> Array:
        """The answers to a batch of questions, which are counted but not kept."""
        if not dots.size:
            return np.zeros(0, np.int64)
        c = dots.c if self.space.takes_c else None
        start = time.perf_counter()
        try:
            found = self.call(dots.sa, dots.a, dots.sb, dots.b, c)
        except BoxError:
            raise
        except Exception as problem:
            raise BoxError(f"the box raised {type(problem).__name__}: {problem}") from problem
        self.seconds += time.perf_counter() - start
        self.queries += dots.size
        return self.space.as_one_nan(_checked(found, dots.size, self.space.out.width))

    @property
    def left(self) -> int:
        """How many more questions there may be."""
        return max(self.limit - self.queries, 0)

    def pool(self) -> tuple[Dots, Array]:
        """Everything that was asked, and the answers."""
        return joined([one.dots for one in self.log]), np.concatenate(
            [one.bits for one in self.log]
        )


def _checked(found: Any, count: int, width: int) -> Array:
    """Bits as int64.

    Raises
    ------
    BoxError
    """
    bits = np.asarray(found)
    if bits.dtype.kind not in "ui" or bits.shape != (count,):
        raise BoxError(
            f"the box returned {bits.dtype} of shape {bits.shape}; "
            f"expected bits, uint{width} of shape ({count},)",
            "bits of a float32 array are array.view(numpy.uint32)",
        )
    if bits.dtype.itemsize * 8 != width:
        raise BoxError(
            f"the box returned {bits.dtype}; expected uint{width}",
            "--c-format names the format of C and of results: binary32, binary16 or bfloat16",
        )
    return bits.astype(np.int64) & ((1 << width) - 1)


def subject_call(subject: Subject, formats: tuple[str, str]) -> Callable[..., Array]:
    """The function of a box from the adapter in a worker."""

    def call(sa: Array | None, a: Array, sb: Array | None, b: Array, c: Array | None) -> Array:
        outcome = subject.call("dot", (sa, a, sb, b, c), (formats, None))
        if outcome.kind == "ok":
            if len(outcome.arrays) != 1:
                raise BoxError(
                    f"the box returned {len(outcome.arrays)} arrays; expected one of bits"
                )
            return outcome.arrays[0]
        raise BoxError(f"the box {_fate(outcome.kind)}: {outcome.message}", outcome.log)

    return call


def _fate(kind: str) -> str:
    return {"raised": "raised", "unsupported": "refuses"}.get(kind, kind)
