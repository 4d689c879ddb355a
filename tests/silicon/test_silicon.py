"""What a Hopper GPU computed, word for word, against the presets that claim to say it.

The data were written by run.py on the GPU named in data/provenance.json; the inputs are made again here. Every word
is compared, those of NaN included.
"""

from __future__ import annotations

from functools import cache
from itertools import groupby, product
from operator import itemgetter

import numpy as np
import pytest
from silicon import models, stacks
from silicon.decks import (
    BULK,
    DISTRIBUTIONS,
    KINDS,
    SAMPLE,
    SECTIONS,
    Kind,
    bulk,
    deck_tiles,
    sample,
)
from silicon.neighbours import neighbours, unobservable
from silicon.stacks import Stack

from mxemu.accumulation import Accumulation, Chain, Fuse, Grade, Parts
from mxemu.accumulations import ACCUMULATIONS, find
from mxemu.formats import BINARY32, E8M0
from mxemu.profile import OCP, Profile
from mxemu.runs import runs, step_rows
from mxemu.scalar import decode
from mxemu.scale import encode_scale

pytestmark = pytest.mark.slow

SOURCES = ("kernels.cu", "decks.py", "stacks.py", "triton_kernels.py", "run.py")
STACKS = {**stacks.TORCH, **stacks.TRITON}
PROVENANCE = models.provenance()
FACTS = PROVENANCE["facts"]
FEWEST = 3  # designed dots on which a wrong model fails

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def part(kind: Kind) -> dict[str, models.Words]:
    """The data of the instruction."""
    return models.data(kind.name.partition(".")[0])


# Where the data come from.


def test_the_data_were_made_by_these_sources() -> None:
    hashes = {name: models.digest_of_file(models.HERE / name) for name in SOURCES}
    assert PROVENANCE["sources"] == hashes, "inputs or kernels changed; run `make silicon` again"


def test_nothing_failed_or_is_missing_or_left_over() -> None:
    assert PROVENANCE["failures"] == {}
    arrays = {name for one in ("mma", "wgmma") for name in models.data(one)}
    expected = {
        f"deck/{name}/{steps}" for name, kind in KINDS.items() for steps in models.decks(kind)
    }
    assert arrays == expected | {f"sample/{name}" for name in KINDS}
    assert {*models.data("torch")} == {*stacks.TORCH}
    assert {*models.data("triton")} == {*stacks.TRITON}
    conversions = {f"{what}/{name}" for what in ("firsts", "codes") for name in CONVERSIONS}
    assert {*models.data("conversions")} == conversions
    instructions = {f"{what}/{name}" for what in ("deck", "sample", "bulk") for name in KINDS}
    assert {*FACTS} == instructions | {*STACKS} | {*CONVERSIONS}


def test_the_gpu_is_the_one_the_presets_name() -> None:
    assert PROVENANCE["gpu"].startswith("NVIDIA H100")
    assert PROVENANCE["triton"].startswith("3.6.")


def test_the_instructions_are_in_the_machine_code() -> None:
    found = PROVENANCE["instructions"]
    assert len(found) == len(KINDS)
    for kernel, mnemonics in found.items():
        stems = {one.partition(".")[0] for one in mnemonics}
        if kernel.startswith("Wgmma"):
            assert stems == {"QGMMA" if "E4M3" in kernel or "E5M2" in kernel else "HGMMA"}
        elif "E4M3" in kernel or "E5M2" in kernel:
            # Unpacked to binary16, multiplied by a binary16 instruction, C added last.
            assert stems == {"F2FP", "HMMA", "HADD2" if kernel.endswith("F16") else "FADD"}
        else:
            assert stems == {"HMMA"}


def test_every_preset_measured_on_this_gpu_is_here() -> None:
    measured = {
        name
        for name, one in ACCUMULATIONS.items()
        if one.grade is Grade.MEASURED and "H100" in one.source
    }
    shown = {models.preset(kind) for kind in KINDS.values()}
    shown |= {models.stack_preset(stack) for stack in STACKS.values()}
    assert measured
    assert measured <= shown


# Instructions.


@kinds
def test_designed_dots(kind: Kind) -> None:
    given, came = [], []
    for steps, deck in models.decks(kind).items():
        tiles, where = deck_tiles(kind, deck)
        words = models.evaluate_tiles(kind, tiles)
        differing = np.flatnonzero(words[where[:, 0]] != part(kind)[f"deck/{kind.name}/{steps}"])
        assert not differing.size, [
            (deck.sections[at], hex(words[where[at, 0]])) for at in differing[:5]
        ]
        given += tiles
        came.append(words)
    assert FACTS[f"deck/{kind.name}"] == {
        "inputs": models.digest(*given),
        "words": models.digest(*came),
    }


@kinds
def test_random_tiles(kind: Kind) -> None:
    given, came, kept = [], [], []
    for distribution in DISTRIBUTIONS:
        for steps in SAMPLE:
            tiles, where = sample(kind, distribution, steps)
            given += tiles
            came.append(models.evaluate_tiles(kind, tiles))
            kept.append(came[-1][where])
    differing = np.flatnonzero(np.concatenate(kept) != part(kind)[f"sample/{kind.name}"])
    assert not differing.size, differing[:5]
    assert FACTS[f"sample/{kind.name}"] == {
        "inputs": models.digest(*given),
        "words": models.digest(*came),
    }


@kinds
def test_the_exact_core_agrees(kind: Kind) -> None:
    for steps, deck in models.decks(kind).items():
        words = part(kind)[f"deck/{kind.name}/{steps}"]
        for at in range(0, len(words), 41):
            word = models.evaluate_one(kind, deck.a[at], deck.b[at], deck.c[at])
            assert word == words[at], (steps, at, deck.sections[at])


@kinds
def test_large_sets_have_hashes_and_one_of_them_is_made_again(kind: Kind) -> None:
    """All of them: ``make silicon-verify``."""
    words = FACTS[f"bulk/{kind.name}"]["words"]
    assert {*words} == {f"{one}/{steps}" for one in DISTRIBUTIONS for steps in BULK}
    assert sum(BULK.values()) * len(DISTRIBUTIONS) >= 1 << 17
    one = DISTRIBUTIONS[list(KINDS).index(kind.name) % len(DISTRIBUTIONS)]
    made = models.evaluate_tiles(kind, bulk(kind, one, 4))
    assert words[f"{one}/4"] == models.digest(made)


@kinds
def test_decks_tell_neighbours_apart(kind: Kind) -> None:
    seen = {
        name: _differing_dots(kind, record)
        for name, record in neighbours(kind).items()
        if unobservable(kind, name) is None
    }
    assert {name: count for name, count in seen.items() if count < FEWEST} == {}


def _differing_dots(kind: Kind, record: Accumulation) -> int:
    """On how many designed dots a model is wrong; every eighth dot is asked first, and enough is enough."""
    differing = 0
    for start in range(8):
        for deck, words in words_of_decks(kind):
            some = (one[start::8] for one in (deck.a, deck.b, deck.c))
            differing += np.count_nonzero(models.evaluate(kind, *some, record) != words[start::8])
        if differing >= FEWEST:
            break
    return differing


@kinds
def test_unobservable_neighbours_agree_everywhere(kind: Kind) -> None:
    hidden = {name: one for name, one in neighbours(kind).items() if unobservable(kind, name)}
    assert hidden or kind.a.name in ("f16", "bf16", "tf32")
    for name, record in hidden.items():
        for deck, words in words_of_decks(kind):
            assert np.array_equal(models.evaluate(kind, deck.a, deck.b, deck.c, record), words), (
                name
            )
    place = 0
    for distribution, (steps, count) in product(DISTRIBUTIONS, SAMPLE.items()):
        tiles, where = sample(kind, distribution, steps)
        words = part(kind)[f"sample/{kind.name}"][place : place + count]
        place += count
        for name, record in hidden.items():
            assert np.array_equal(models.evaluate_at(kind, tiles, where, record), words), name


def words_of_decks(kind: Kind) -> list[tuple[models.Deck, models.Words]]:
    """Each deck of a kind with its words."""
    return [
        (deck, part(kind)[f"deck/{kind.name}/{steps}"])
        for steps, deck in models.decks(kind).items()
    ]


@kinds
def test_every_section_has_dots(kind: Kind) -> None:
    found = {name for deck in models.decks(kind).values() for name in deck.sections}
    # Where products cannot get near the floor, there is nothing to ask.
    assert {*SECTIONS} - found <= ({"floor"} if unobservable(kind, "no floor") else set())


def test_a_wrong_word_is_found() -> None:
    kind = KINDS["wgmma.m64n8k32.f32.e4m3.e4m3"]
    deck = models.decks(kind)[1]
    words = part(kind)[f"deck/{kind.name}/1"].copy()
    words[7] ^= 1
    assert np.count_nonzero(models.evaluate(kind, deck.a, deck.b, deck.c) != words) == 1


# Conversions.


def _element(words: str) -> Profile:
    return OCP.replace(
        nan_code="all-ones-positive",
        overflow="overflow" if words == "nosat" else "saturate",
        rounding="toward-zero" if words == "rz" else "ties-to-even",
    )


def _scale(words: str) -> Profile:
    saturation, rounding = words.split(".")
    return OCP.replace(
        scale_cast={"rz": "toward-zero", "rp": "toward-positive"}[rounding],
        scale_overflow={"satfinite": "saturate", "nosat": "nan"}[saturation],
        scale_negative="magnitude",
    )


CONVERSIONS = {
    **{
        f"{fmt}.{words}": _element(words)
        for fmt in ("e4m3", "e5m2")
        for words in ("satfinite", "nosat")
    },
    **{
        f"{fmt}.{words}": _element(words)
        for fmt in ("e2m3", "e3m2", "e2m1")
        for words in ("rn", "rz")
    },
    **{
        f"e8m0.{words}.{way}": _scale(f"{words}.{way}")
        for words in ("satfinite", "nosat")
        for way in ("rz", "rp")
    },
}


def _rows(name: str, profile: Profile) -> list[tuple[int, int]]:
    """Our runs of a conversion, as (first, code), neighbours with one code joined."""
    fmt = name.partition(".")[0].upper()
    if fmt == "E8M0":
        rows = step_rows(
            lambda bits: encode_scale(decode(bits, BINARY32), E8M0, profile),
            BINARY32,
            (0, BINARY32.sign_mask),
        )
    else:
        rows = runs(fmt, BINARY32, profile).rows
    return [next(group) for _, group in groupby(map(tuple, rows), key=itemgetter(1))]


@pytest.mark.parametrize("name", CONVERSIONS)
def test_conversions_of_all_binary32(name: str) -> None:
    data = models.data("conversions")
    firsts, codes = data[f"firsts/{name}"], data[f"codes/{name}"]
    assert FACTS[name] == {"runs": len(firsts), "inputs": 1 << 32}
    assert list(zip(firsts.tolist(), codes.tolist(), strict=True)) == _rows(name, CONVERSIONS[name])


# Libraries.


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_libraries(stack: Stack) -> None:
    """The words that are kept; of Triton's small products all of them, by their hash."""
    given = stacks.inputs(stack)
    assert models.digest(*given) == FACTS[stack.name]["inputs"]
    words, where = _stack_data(stack), stacks.kept(stack)
    found = models.evaluate_stack(stack, given, where)
    differing = np.flatnonzero(found != words)
    assert not differing.size, [(hex(found[at]), hex(words[at])) for at in differing[:5]]
    if stack.name in stacks.TRITON:
        assert models.digest(_whole(stack)) == FACTS[stack.name]["words"]
    for at in range(0, len(where), 100):
        assert models.evaluate_stack_one(stack, given, int(where[at])) == words[at]


@cache
def _whole(stack: Stack) -> models.Words:
    """All words of one of Triton's products; `test_libraries` compares them with the silicon's by their hash."""
    return models.evaluate_stack(stack, stacks.inputs(stack), np.arange(stack.m * stack.n))


def _stack_data(stack: Stack) -> models.Words:
    return models.data("torch" if stack.name in stacks.TORCH else "triton")[stack.name]


def _restarted(length: int) -> Accumulation:
    """Hopper's unit for 8-bit floats, restarted every so many terms."""
    promoted = find("cublas-fp8-promoted")
    assert isinstance(promoted.node, Parts)
    return promoted.replace(node=Parts(length, promoted.node.inner, promoted.node.outer))


def _scaled_in_order(scaled: str) -> Accumulation:
    """Block scales with a rounding too many: multiply, then add."""
    blocks = find("cublas-fp8-blockwise")
    assert isinstance(blocks.node, Parts)
    node = Parts(0, blocks.node.inner, blocks.node.outer, blocks.node.scale, scaled)
    return blocks.replace(node=node)


def _rounded_twice() -> Accumulation:
    """Block scales one after the other, with a rounding after each."""
    apart = find("cublas-fp8-blockwise-1x128")
    assert isinstance(apart.node, Parts)
    return apart.replace(
        node=Parts(0, apart.node.inner, apart.node.outer, (), "binary32", "binary32")
    )


def _exact_scales() -> Accumulation:
    """Block scales whose product is not rounded."""
    blocks = find("cublas-fp8-blockwise")
    assert isinstance(blocks.node, Parts)
    return blocks.replace(node=Parts(0, blocks.node.inner, blocks.node.outer, ()))


def _scaled(**changes: object) -> Accumulation:
    """Triton's dot_scaled with something changed."""
    return find("triton-dot-scaled").replace(**changes)


STACK_NEIGHBOURS: dict[str, list[Accumulation]] = {
    "fast": [_restarted(128), find("nv-blackwell-f8f6f4"), find("nv-fp8-mma-emulated")],
    "promoted": [_restarted(64), _restarted(256), find("cublas-fp8-fast")],
    "fast+tensor": [find("cublas-fp8-fast").replace(tensor_scale=None)],
    "promoted+tensor": [find("cublas-fp8-promoted").replace(tensor_scale=None)],
    "1x128+128x128": [_scaled_in_order("binary32"), _exact_scales()],
    "128x128+1x128": [
        _scaled_in_order("binary32"),
        _exact_scales(),
        find("cublas-fp8-blockwise-1x128"),
    ],
    "1x128+1x128": [
        find("cublas-fp8-blockwise"),
        _scaled_in_order("binary32"),
        _exact_scales(),
        _rounded_twice(),
    ],
    "": [find("nv-ampere"), find("fp32-fma"), find("exact")],
    "default": [_restarted(128), _restarted(32)],
    "32": [_restarted(64), find("cublas-fp8-fast")],
    "64": [_restarted(32), _restarted(128)],
    "128": [_restarted(64), _restarted(256)],
    "0": [
        find("nv-fp8-mma-emulated"),
        find("nv-blackwell-f8f6f4"),
        find("triton-dot-fp8-0").replace(
            node=Chain(Fuse("binary32 toward-zero", 25, floor=-133), 16)
        ),
    ],
    "near": [
        _scaled(node=find("nv-ampere").node),
        _scaled(operand_subnormals="flush"),
        find("exact"),
    ],
    "low": [find("exact")],
    "high": [_scaled(operand_format="E11M7"), find("exact")],
    "nan": [_scaled(nan_word="quiet"), find("exact")],
    "any": [
        _scaled(scale_zero_code=False),
        _scaled(operand_format="binary32"),
        _scaled(operand_format="E11M7"),
    ],
}


@pytest.mark.parametrize("option", STACK_NEIGHBOURS)
def test_libraries_tell_neighbours_apart(option: str) -> None:
    chosen = [one for one in STACKS.values() if one.option.removesuffix("+c") == option]
    for record in STACK_NEIGHBOURS[option]:
        differing = 0
        for stack in chosen:
            differing += _differing(stack, record)
            if differing >= FEWEST:
                break
        assert differing >= FEWEST, record


def _differing(stack: Stack, record: Accumulation) -> int:
    """On how many words of a stack another model is wrong."""
    whole = stack.name in stacks.TRITON
    words = _whole(stack) if whole else _stack_data(stack)
    where = np.arange(words.size) if whole else stacks.kept(stack)
    return np.count_nonzero(
        models.evaluate_stack(stack, stacks.inputs(stack), where, record) != words
    )


def test_every_option_of_a_library_has_neighbours() -> None:
    assert {one.option.removesuffix("+c") for one in STACKS.values()} == {*STACK_NEIGHBOURS}


def test_scale_codes_0_and_255_of_triton() -> None:
    """Code 0 acts as zero, 255 makes NaN of a whole row, even beside zeros, in this release."""
    stack = next(one for one in STACKS.values() if one.option == "nan")
    given = stacks.inputs(stack)
    rows, columns = np.divmod(stacks.kept(stack).astype(np.int64), stack.n)
    poisoned = (given.scale_a[rows] == 255).any(axis=1) | (given.scale_b[columns] == 255).any(
        axis=1
    )
    words = _stack_data(stack)
    assert poisoned.any()
    assert not poisoned.all()
    assert np.array_equal(words == 0x7FFFFFFF, poisoned)


def test_all_ones_nan_everywhere() -> None:
    """No other NaN word came out of any instruction or library."""
    for one in ("mma", "wgmma", "torch", "triton"):
        for name, words in models.data(one).items():
            half = words.dtype == np.uint16
            bfloat = half and ".bf16." in name
            mask, inf = (0x7FFF, 0x7F80 if bfloat else 0x7C00) if half else (0x7FFFFFFF, 0x7F800000)
            nans = words[(words & mask) > inf]
            assert {*nans.tolist()} <= {mask}, name
