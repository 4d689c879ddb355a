"""Run dots of bfloat16 on this x86 core and keep inputs and outputs; on a core with AVX512_BF16 and AMX only.

PYTHONPATH=.:tests python tests/silicon/x86_run.py            # write tests/silicon/data/x86.npz
PYTHONPATH=.:tests python tests/silicon/x86_run.py --check 100000   # compare random dots with the presets
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from products import draw

from mxemu.block import value_bits
from mxemu.formats import BFLOAT16, BINARY32
from mxemu.products import Operand, dot
from mxemu.scalar import decode
from mxemu.value import ZERO

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "x86_dots.c"
DATA = HERE / "data" / "x86.npz"
FLAGS = ["-O2", "-mavx512f", "-mavx512bf16", "-mamx-tile", "-mamx-bf16"]
# Instruction, products of a dot; the preset of each instruction.
KINDS = (("vdp", 2), ("amx", 4), ("amx", 32))
PRESETS = {"vdp": "intel-vdpbf16ps", "amx": "intel-amx-bf16"}

Dot = tuple[list[int], list[int], int]
Words = NDArray[np.uint32]


def record_type(terms: int) -> np.dtype[np.void]:
    """One dot in memory: codes of A, codes of B, bits of C."""
    return np.dtype([("a", "<u2", (terms,)), ("b", "<u2", (terms,)), ("c", "<u4")])


def silicon(program: Path, kind: str, dots: NDArray[np.void]) -> Words:
    """The words that the core gives."""
    words = [] if kind == "vdp" else [str(dots["a"].shape[1] // 2)]
    ran = subprocess.run(
        [program, kind, *words], input=dots.tobytes(), capture_output=True, check=True
    )
    found = np.frombuffer(ran.stdout, "<u4")
    assert len(found) == len(dots)
    return found


def build(folder: Path) -> Path:
    """The program, compiled here."""
    program = folder / "x86_dots"
    subprocess.run(["cc", *FLAGS, "-o", program, SOURCE], check=True)
    return program


def random_dots(terms: int, each: int, seed: int) -> list[Dot]:
    """Dots of every theme; C is a number of binary32, or +0."""
    found = []
    for theme in draw.THEMES:
        rng = Random(f"x86 {terms} {theme} {seed}")
        for _ in range(each):
            own = draw.vectors(theme, BFLOAT16, BFLOAT16, terms, rng)
            exact = dot(Operand(own.a, BFLOAT16), Operand(own.b, BFLOAT16)).value
            c = draw.carried(theme, BINARY32, rng, exact if rng.random() < 0.3 else None)
            found.append((own.a, own.b, value_bits(ZERO if c is None else c)))
    return found


def designed_dots(terms: int) -> list[Dot]:
    """Signs of zero, sums next to the smallest normal number, and orders that differ."""
    rng = Random(f"x86 designed {terms}")
    zeros = (0, 0x8000, 0x0001, 0x8001, 0x3F80, 0xBF80, 0x0080, 0x8080)
    ends = (0, 1 << 31, 1, 0x80000001, 0x3F800000, 0xBF800000, 0x00800000, 0x80800000)
    found = [
        ([rng.choice(zeros) for _ in range(terms)], [rng.choice(zeros) for _ in range(terms)], c)
        for c in ends
        for _ in range(8)
    ]
    found += [([0x8000] * terms, [0x3F80] * terms, c) for c in ends]
    # Each lane ends below zero by less than the smallest normal number, and C is -0: -0 comes out.
    found += [
        ([0x2000] * terms, [0x8000 | code] * terms, 1 << 31)
        for code in (0x1380, 0x1400, 0x1480, 0x1500)
    ]
    for _ in range(80):
        c = rng.choice((0x00800000, 0x80800000, 0x00800001, 0x807FFFFF, 0x00FFFFFF, 0x81000000))
        found.append((*_tiny_products(terms, rng), c))
    large, one = (0x4B80, 0xCB80), 0x3F80  # 2^24, -2^24
    for _ in range(60):
        own = [rng.choice((*large, one, one, 0)) for _ in range(terms)]
        found.append((own, [one] * terms, rng.choice((0, 0x3F800000, 0x4B800000, 0xCB800000))))
    return found


def _tiny_products(terms: int, rng: Random) -> tuple[list[int], list[int]]:
    """A few products of a power of two from 2^-154 to 2^-124, the rest zero."""
    a, b = [0] * terms, [0] * terms
    for index in rng.sample(range(terms), min(terms, 2)):
        a[index] = 0x2000 | rng.choice((0, 0x8000))  # 2^-63
        b[index] = (127 - rng.choice((61, 63, 64, 86, 87, 88, 89, 91))) << 7
    return a, b


def as_records(dots: Sequence[Dot], terms: int) -> NDArray[np.void]:
    return np.array(dots, dtype=record_type(terms))


def differences(kind: str, dots: NDArray[np.void], words: Words) -> int:
    """Dots for which the preset gives another word; one NaN is as good as another."""
    wrong = 0
    for own, word in zip(dots, words.tolist(), strict=True):
        a, b = (Operand(own[side].tolist(), BFLOAT16) for side in "ab")
        bits = dot(a, b, decode(int(own["c"]), BINARY32), PRESETS[kind]).bits
        both_nan = min(bits & 0x7FFFFFFF, word & 0x7FFFFFFF) > 0x7F800000
        wrong += bits != word and not both_nan
    return wrong


def provenance() -> str:
    """Core, compiler and source, as JSON."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    core = dict(line.replace("\t", "").split(": ", 1) for line in lines if ": " in line)
    fields = {key: core[key] for key in ("model name", "cpu family", "model", "stepping")}
    compiler = subprocess.run(["cc", "--version"], capture_output=True, check=True, text=True)
    fields |= {
        "features": " ".join(one for one in core["flags"].split() if "bf16" in one),
        "compiler": compiler.stdout.splitlines()[0],
        "flags": " ".join(FLAGS),
        "source": sha256(SOURCE.read_bytes()).hexdigest(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    return json.dumps(fields, indent=1)


def main() -> int:
    """Write the data, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", type=int, metavar="DOTS", help="for each kind; writes nothing")
    parser.add_argument("--seed", type=int, default=2)
    options = parser.parse_args()
    arrays: dict[str, NDArray[np.generic]] = {}
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for kind, terms in KINDS:
            each = -(-(options.check or 6 * (200 if terms == 2 else 60)) // len(draw.THEMES))
            dots = [] if options.check else designed_dots(terms)
            records = as_records([*dots, *random_dots(terms, each, options.seed)], terms)
            words = silicon(program, kind, records)
            wrong = differences(kind, records, words)
            print(f"{kind} {terms:2}: {len(records)} dots, {wrong} unlike {PRESETS[kind]}")
            failed += wrong
            arrays[f"{kind}{terms}"], arrays[f"{kind}{terms}_d"] = records, words
    if not options.check:
        np.savez_compressed(DATA, provenance=np.array(provenance()), **arrays)  # type: ignore[arg-type]
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
