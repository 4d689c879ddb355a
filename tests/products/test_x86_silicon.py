"""VDPBF16PS and TDPBF16PS as an x86 core computed them (tests/silicon/x86_run.py) against the two presets."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mxemu.accumulation import Accumulation, Chain, Fuse, Lanes, Parts, Sum
from mxemu.accumulations import find
from mxemu.formats import BFLOAT16, BINARY32
from mxemu.products import Operand, dot
from mxemu.scalar import decode

SILICON = Path(__file__).resolve().parents[1] / "silicon"
DATA = np.load(SILICON / "data" / "x86.npz")
KINDS = {"vdp2": "intel-vdpbf16ps", "amx4": "intel-amx-bf16", "amx32": "intel-amx-bf16"}
FLUSH, KEEP = Fuse("binary32 flush"), Fuse("binary32")
CHAIN = Chain(FLUSH)


def test_the_data_is_of_this_program() -> None:
    provenance = json.loads(str(DATA["provenance"]))
    assert provenance["source"] == sha256((SILICON / "x86_dots.c").read_bytes()).hexdigest()
    assert {"avx512_bf16", "amx_bf16"} <= set(provenance["features"].split())
    assert all(len(DATA[kind]) == len(DATA[f"{kind}_d"]) >= 500 for kind in KINDS)


def computed(kind: str, record: Accumulation) -> NDArray[np.int64]:
    """What an accumulation makes of the inputs; every NaN as the one that the unit makes itself."""
    found = [
        dot(
            Operand(own["a"].tolist(), BFLOAT16),
            Operand(own["b"].tolist(), BFLOAT16),
            decode(int(own["c"]), BINARY32),
            record,
        ).bits
        for own in DATA[kind]
    ]
    return np.array(found)


def one_nan(words: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Words with every NaN as the one that the unit makes itself."""
    return np.where(words & 0x7FFFFFFF > 0x7F800000, 0xFFC00000, words).astype(np.int64)


@pytest.mark.parametrize(("kind", "preset"), KINDS.items())
def test_presets_equal_the_silicon(kind: str, preset: str) -> None:
    wrong = np.flatnonzero(computed(kind, find(preset)) != one_nan(DATA[f"{kind}_d"]))
    assert [(DATA[kind][at], hex(DATA[f"{kind}_d"][at])) for at in wrong[:3]] == []


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_nans(kind: str) -> None:
    """The unit makes 0xFFC00000; a NaN that is fed in comes out quiet, with its sign and payload."""
    words, made, kept = DATA[f"{kind}_d"], 0, 0
    for own, word in zip(DATA[kind], words.tolist(), strict=True):
        fed = [code << 16 for side in "ab" for code in own[side].tolist()] + [int(own["c"])]
        nans = [bits for bits in fed if bits & 0x7FFFFFFF > 0x7F800000]
        if word & 0x7FFFFFFF <= 0x7F800000:
            assert not nans
        elif not nans:
            assert word == 0xFFC00000
            made += 1
        elif len(nans) == 1:
            assert word in (nans[0] | 0x400000, 0xFFC00000)
            kept += word == nans[0] | 0x400000
    assert made >= 5
    assert kept >= 5


NEIGHBOURS = {
    "even first": ("vdp2", {"node": Chain(FLUSH)}),
    "both at once": ("vdp2", {"node": Chain(FLUSH, 2)}),
    "products rounded": ("vdp2", {"node": Chain(FLUSH, order=(1, 0)), "products": "bfloat16"}),
    "sums not flushed": ("vdp2", {"node": Chain(KEEP, order=(1, 0))}),
    "operands not flushed": ("vdp2", {"operand_subnormals": "keep"}),
    "zeros positive": ("vdp2", {"zero_sign": "positive"}),
    "toward zero": ("vdp2", {"node": Chain(Fuse("binary32 toward-zero flush"), order=(1, 0))}),
    "one chain": ("amx32", {"node": Chain(FLUSH)}),
    "one chain, odd first": ("amx32", {"node": Chain(FLUSH, order=(1, 0))}),
    "C into a lane": ("amx32", {"node": Lanes(2, CHAIN, CHAIN)}),
    "four lanes": ("amx32", {"node": Parts(32, Lanes(4, CHAIN, Sum(FLUSH)), CHAIN)}),
    "halves": ("amx32", {"node": Parts(32, Parts(16, CHAIN, Sum(FLUSH)), CHAIN)}),
    "instructions of 16": ("amx32", {"node": Parts(16, Lanes(2, CHAIN, Sum(FLUSH)), CHAIN)}),
    "zeros positive too": ("amx4", {"zero_sign": "positive"}),
    "lanes joined after +0": ("amx4", {"node": Parts(4, Lanes(2, CHAIN, CHAIN), CHAIN)}),
    "lanes not flushed": ("amx4", {"operand_subnormals": "keep"}),
}


@pytest.mark.parametrize(("kind", "changes"), NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_neighbours_are_told_apart(kind: str, changes: dict[str, object]) -> None:
    record = find(KINDS[kind]).replace(**changes)
    assert (computed(kind, record) != one_nan(DATA[f"{kind}_d"])).sum() >= 3
