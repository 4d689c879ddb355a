"""All peers. One that is not installed is named with the reason, never skipped in silence."""

from __future__ import annotations

from collections.abc import Iterator

from bench.block_peers import Microxcaling, Torchao, TorchaoEager
from bench.converters import Copy, MlDtypes, OpenVino, Torch
from bench.peer import Missing, Peer
from bench.products import Double, MmaSim, Single

PEERS: tuple[type[Peer], ...] = (
    Copy,
    MlDtypes,
    Torch,
    OpenVino,
    Torchao,
    TorchaoEager,
    Microxcaling,
    Single,
    Double,
    MmaSim,
)


def installed(without: tuple[str, ...] = ()) -> Iterator[Peer | tuple[str, str]]:
    """Every peer that is here, and for each other its name and why it is not."""
    for kind in PEERS:
        if kind.name in without:
            yield kind.name, "left out of a quick run"
            continue
        try:
            yield kind()
        except Missing as reason:
            yield kind.name, str(reason)
