"""Who does what: the contests, made one after the other because their arrays are large."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import mxemu
from bench import ours, products
from bench.converters import Copy
from bench.peer import Peer, first_line, silence
from bench.rounds import Contest, Way

_OUT = (True, False)


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Parameters
    ----------
    elements : int
        Elements of one conversion.
    rows : int
        Rows of the matrix that is quantized; a row has 4096 elements.
    rounds : int
    threads : tuple of int
        Numbers of threads, one after the other.
    largest : int
        Logarithm to base two of the largest array of the scaling.
    slow : bool
        Whether to measure what takes seconds: compilation, memory, cold starts.
    """

    elements: int = 1 << 24
    rows: int = 4096
    rounds: int = 9
    threads: tuple[int, ...] = (1, 2)
    largest: int = 28
    slow: bool = True


QUICK = Plan(1 << 20, 256, 3, (1,), 20, slow=False)
COLUMNS = 4096
Failure = Callable[[str, str], None]


class Works:
    """The contests of one run.

    Parameters
    ----------
    plan : Plan
    peers : sequence of Peer
    failed : callable
        Told the name of a peer and the reason when it fails at a work that it offers.
    """

    def __init__(self, plan: Plan, peers: Sequence[Peer], failed: Failure) -> None:
        self.plan = plan
        self.peers = peers
        self.failed = failed
        self.threads = 1
        self.copy = next(peer for peer in peers if isinstance(peer, Copy))

    def contests(self, wanted: Callable[[str], bool]) -> Iterator[Contest]:
        """All contests of the works that are wanted, for each number of threads."""
        works = (self.encode, self.profiles, self.decode, self.quantize)
        within = (self.bfloat16, self.axis, self.dequantize, self.pack)
        matrices = (self.blockwise, self.exact, self.digits, self.fused)
        try:
            for threads in self.plan.threads:
                self._use(threads)
                for work in (*works, *within, *matrices):
                    if wanted(work.__name__):
                        yield from work()
        finally:
            mxemu.set_threads(None)

    def _use(self, threads: int) -> None:
        """Give every contestant a number of threads."""
        self.threads = threads
        mxemu.set_threads(threads)
        for peer in self.peers:
            peer.set_threads(threads)

    def encode(self) -> Iterator[Contest]:
        x = ours.gaussian((self.plan.elements,))
        for element in ours.NAMES:
            for out in _OUT:
                others = self._others("encode", x, element, out)
                yield self._contest("encode", element, out, ours.encode(x, element, out), others)

    def profiles(self) -> Iterator[Contest]:
        """Every deterministic profile against copying."""
        x = ours.gaussian((self.plan.elements,))
        copy = {"copy": self.copy.way(x, out=True)}
        for element in ours.NAMES:
            for name, profile in ours.deterministic_profiles().items():
                subject = ours.encode(x, element, True, profile)
                yield self._contest("profiles", f"{element}, {name}", True, subject, copy)

    def decode(self) -> Iterator[Contest]:
        for element in ours.NAMES:
            codes = ours.random_codes(element, self.plan.elements)
            for out in _OUT:
                others = self._others("decode", codes, element, out)
                subject = ours.decode(codes, element, out)
                yield self._contest("decode", element, out, subject, others)

    def quantize(self) -> Iterator[Contest]:
        x = ours.gaussian((self.plan.rows, COLUMNS))
        for element in ours.NAMES:
            for rule in ours.RULES:
                for out in _OUT:
                    subject = ours.quantize(x, element, rule, out)
                    # Peers give new arrays only, so they are compared without an array to write to.
                    others = self._others("quantize", x, element, rule, out)
                    yield self._contest("quantize", f"{element}, {rule}", out, subject, others)

    def bfloat16(self) -> Iterator[Contest]:
        """bfloat16 input against binary32 input."""
        x = ours.gaussian((self.plan.rows, COLUMNS))
        bits = (x.view(np.uint32) >> 16).astype(np.uint16)
        for element in ours.NAMES:
            for out in _OUT:
                function = partial(mxemu.quantize, bits, ours.BLOCKS[element], carrier="bfloat16")
                subject = Way(ours.into(function, out), x.size)
                others = {"binary32": ours.quantize(x, element, "FLOOR", out)}
                yield self._contest("bfloat16", element, out, subject, others)

    def axis(self) -> Iterator[Contest]:
        """Blocks along columns against blocks along rows."""
        x = ours.gaussian((self.plan.rows, COLUMNS))
        for element in ours.NAMES:
            for out in _OUT:
                along_columns = ours.quantize(x, element, "FLOOR", out, axis=0)
                subject = Way(along_columns.call, x.size)
                others = {"axis -1": ours.quantize(x, element, "FLOOR", out)}
                yield self._contest("axis", element, out, subject, others)

    def dequantize(self) -> Iterator[Contest]:
        """Dequantizing against decoding."""
        x = ours.gaussian((self.plan.rows, COLUMNS))
        for element in ours.NAMES:
            codes = ours.random_codes(element, x.size)
            for out in _OUT:
                others = {"decode": ours.decode(codes, element, out)}
                subject = ours.dequantize(x, element, out)
                yield self._contest("dequantize", element, out, subject, others)

    def pack(self) -> Iterator[Contest]:
        """Packing against decoding."""
        for element in ("E2M1", "E3M2", "E2M3"):
            codes = ours.random_codes(element, self.plan.elements)
            for out in _OUT:
                others = {"decode": ours.decode(codes, element, out)}
                subject = ours.pack(codes, element, out)
                yield self._contest("pack", element, out, subject, others)

    def blockwise(self) -> Iterator[Contest]:
        """Products with a sum for each block, beside numpy's own."""
        x, y = products.matrices()
        others = self._others("product", x, y)
        for element in ours.NAMES:
            a, b = products.blocks(x, element), products.blocks(y, element)
            subject = products.way(a, b, "block-fp32")
            yield self._contest("blockwise", element, False, subject, others)
        pair = [products.wild("E5M2", seed, scales=False) for seed in (3, 4)]
        subject = products.way(*pair, "block-fp32")
        yield self._contest("blockwise", "E5M2, any codes", False, subject, others)

    def exact(self) -> Iterator[Contest]:
        """Products with one rounding, beside numpy's and torchao's."""
        x, y = products.matrices()
        own = self._others("product", x, y)
        for element in ours.NAMES:
            a, b = products.blocks(x, element), products.blocks(y, element)
            others = {**own, **self._others("emulated", x, y, element)}
            subject = products.way(a, b, "exact")
            yield self._contest("exact", element, False, subject, others)

    def digits(self) -> Iterator[Contest]:
        """The same with scales so far apart that sums need digits."""
        for element in ours.NAMES:
            pair = [products.wild(element, seed, scales=True) for seed in (5, 6)]
            yield self._contest("digits", element, False, products.way(*pair, "exact"), {})

    def fused(self) -> Iterator[Contest]:
        """Products of matrix units that align, beside a simulator."""
        for name in products.FUSED:
            a, b = products.fused_operands(name)
            others = self._others("fused", name, a, b)
            yield self._contest("fused", name, False, products.way(a, b, name), others)

    def _contest(
        self, work: str, name: str, out: bool, subject: Way, others: dict[str, Way]
    ) -> Contest:
        return Contest(work, name, self.threads, out, subject, others)

    def _others(self, work: str, *given: Any) -> dict[str, Way]:
        """The ways of all peers that offer a work and get through it once."""
        found: dict[str, Way] = {}
        for peer in self.peers:
            try:
                with silence():
                    way = getattr(peer, work)(*given)
                    if way is not None:
                        way.call()
                        found[peer.name] = way
            except Exception as reason:  # noqa: BLE001 - a peer may fail in any way, and the run goes on
                self.failed(peer.name, f"{work}: {type(reason).__name__}: {first_line(reason)}")
        return found


def scaling(plan: Plan) -> Iterable[tuple[str, int, int, Way]]:
    """Ways of encode and quantize over growing arrays: work, threads, elements, way."""
    for threads in plan.threads:
        for power in range(10, plan.largest + 1, 2):
            x = ours.gaussian((1 << power,))
            yield "encode", threads, x.size, ours.encode(x, "E4M3", out=True)
            yield "quantize", threads, x.size, ours.quantize(x, "E4M3", "FLOOR", out=True)


def small() -> dict[str, Callable[[], object]]:
    """Calls on 64 elements."""
    x, codes = ours.gaussian((64,)), ours.random_codes("E4M3", 64)
    calls: dict[str, Callable[[], object]] = {}
    for out in _OUT:
        end = ", out=" * out
        calls[f"encode{end}"] = ours.encode(x, "E4M3", out).call
        calls[f"decode{end}"] = ours.decode(codes, "E4M3", out).call
        calls[f"quantize{end}"] = ours.quantize(x, "E4M3", "FLOOR", out).call
        calls[f"dequantize{end}"] = ours.dequantize(x, "E4M3", out).call
    return calls
