"""Run every deck, tile, conversion and library on this machine's Hopper GPU and write the results as data.

    python tests/silicon/run.py --out tests/silicon/data

Each part is a process of its own, so that a fault of one leaves the others alone; what failed is in provenance.json
and in the exit code. Nothing here knows what a result should be.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime as dt
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from silicon import decks, stacks  # noqa: E402 - the folder above is not on the path of a script

SOURCES = ("kernels.cu", "decks.py", "stacks.py", "triton_kernels.py", "run.py")
NVCC = (
    "nvcc",
    "-O2",
    "-std=c++17",
    "-gencode=arch=compute_90a,code=sm_90a",
    "-shared",
    "-Xcompiler",
    "-fPIC",
)
SECONDS = 240  # for one part
REGISTERS, SHARED, FRESH = range(3)  # as in kernels.cu
POISONS = (0xA5, 0x5A)
CHUNK = 1024  # words of one checksum

Words = NDArray[np.unsignedinteger]


class Failure(Exception):
    """A call into the kernels that did not succeed, or results that contradict each other."""


class Kernels:
    """The compiled kernels."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)
        for name in ("silicon_message", "silicon_kind", "silicon_conversion"):
            getattr(self._library, name).restype = ctypes.c_char_p

    def names(self, function: str) -> list[str]:
        """All names of a table."""
        found = []
        while (name := getattr(self._library, function)(len(found))) is not None:
            found.append(name.decode())
        return found

    def _call(self, function: str, *arguments: Any) -> None:
        if getattr(self._library, function)(*arguments):
            raise Failure(self._library.silicon_message().decode())

    def tiles(self, kind: decks.Kind, tiles: decks.Tiles, mode: int = REGISTERS) -> Words:
        """The results, flat: twice, over two poisons, and equal."""
        a, b = (_stored(codes, fmt) for codes, fmt in ((tiles.a, kind.a), (tiles.b, kind.b)))
        c = np.ascontiguousarray(tiles.c)
        results = [np.zeros(c.size, c.dtype) for _ in POISONS]
        steps = tiles.a.shape[2] // kind.k
        for poison, d in zip(POISONS, results, strict=True):
            arrays = [one.ctypes.data_as(ctypes.c_void_p) for one in (a, b, c, d)]
            count = ctypes.c_int64(len(a))
            self._call("silicon_tiles", kind.name.encode(), mode, poison, count, steps, *arrays)
        if not np.array_equal(*results):
            raise Failure(
                f"{kind.name}: two runs differ in {np.count_nonzero(results[0] != results[1])} words"
            )
        return results[0]

    def runs(self, index: int) -> tuple[Words, Words]:
        """The runs of a conversion, sorted, as first << 32 | code, and its histogram."""
        capacity = 1 << 16
        found, histogram = np.zeros(capacity, np.uint64), np.zeros(256, np.uint64)
        count = ctypes.c_uint()
        arrays = [one.ctypes.data_as(ctypes.c_void_p) for one in (found, histogram)]
        self._call("silicon_runs", index, arrays[0], capacity, ctypes.byref(count), arrays[1])
        return np.sort(found[: count.value]), histogram


def _stored(codes: Words, fmt: decks.Format) -> Words:
    """Codes as the instruction wants them: TF32 in the upper bits of a word."""
    return np.ascontiguousarray(codes << 13 if fmt.name == "tf32" else codes)


class Digest:
    """SHA-256 of arrays, one after the other."""

    def __init__(self) -> None:
        self._total = sha256()

    def add(self, *arrays: Words) -> Words:
        """Take in arrays in C order; the last one comes back."""
        for array in arrays:
            self._total.update(np.ascontiguousarray(array).tobytes())
        return arrays[-1]

    def text(self) -> str:
        return self._total.hexdigest()


def digest(*arrays: Words) -> str:
    """The SHA-256 of arrays."""
    total = Digest()
    total.add(*arrays)
    return total.text()


class Results:
    """What one part found: arrays to keep, facts about them, failures, and checksums that help to find a difference."""

    def __init__(self) -> None:
        self.arrays: dict[str, Words] = {}
        self.facts: dict[str, Any] = {}
        self.failures: dict[str, str] = {}
        self.checksums: dict[str, Words] = {}

    def attempt(self, name: str, action: Callable[[], None]) -> None:
        """Run something; if it fails, say so and go on."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever a library raises is a finding
            self.failures[name] = (
                f"{type(error).__name__}: {str(error).splitlines()[0][:400] if str(error) else ''}"
            )

    def write(self, folder: Path, part: str) -> None:
        np.savez_compressed(folder / f"{part}.npz", **self.arrays)
        np.savez_compressed(folder / f"{part}.checksums.npz", **self.checksums)
        facts = {"facts": self.facts, "failures": self.failures}
        (folder / f"{part}.json").write_text(json.dumps(facts))


def _modes(kernels: Kernels, kind: decks.Kind, tiles: decks.Tiles, words: Words) -> None:
    """wgmma with A in shared memory, and without C, gives what it gives with A in registers, and with C = 0."""
    if kind.rows != 64:
        return
    if not np.array_equal(words, kernels.tiles(kind, tiles, SHARED)):
        raise Failure(f"{kind.name}: A in shared memory gives other words")
    nothing = tiles._replace(c=np.zeros_like(tiles.c))
    if not np.array_equal(kernels.tiles(kind, tiles, FRESH), kernels.tiles(kind, nothing)):
        raise Failure(f"{kind.name}: scale-d = 0 differs from C = 0")


def _deck(kernels: Kernels, kind: decks.Kind, results: Results) -> None:
    """The designed dots."""
    given, came = Digest(), Digest()
    for steps, deck in decks.decks(kind).items():
        tiles, where = decks.deck_tiles(kind, deck)
        given.add(*tiles)
        words = came.add(kernels.tiles(kind, tiles))
        results.arrays[f"deck/{kind.name}/{steps}"] = words[where[:, 0]]
        if not (words[where] == words[where[:, :1]]).all():
            raise Failure(f"{kind.name}: the result depends on the place in the tile")
        _modes(kernels, kind, tiles, words)
    results.facts[f"deck/{kind.name}"] = {"inputs": given.text(), "words": came.text()}


def _sample(kernels: Kernels, kind: decks.Kind, results: Results) -> None:
    """The random tiles whose words are kept."""
    given, came, kept = Digest(), Digest(), []
    for distribution in decks.DISTRIBUTIONS:
        for steps in decks.SAMPLE:
            tiles, where = decks.sample(kind, distribution, steps)
            given.add(*tiles)
            words = came.add(kernels.tiles(kind, tiles))
            kept.append(words[where])
            _modes(kernels, kind, tiles, words)
    results.arrays[f"sample/{kind.name}"] = np.concatenate(kept)
    results.facts[f"sample/{kind.name}"] = {"inputs": given.text(), "words": came.text()}


def _bulk(kernels: Kernels, kind: decks.Kind, results: Results) -> None:
    """The random tiles of which a hash is kept."""
    given, came = Digest(), {}
    for distribution in decks.DISTRIBUTIONS:
        for steps in decks.BULK:
            tiles = decks.bulk(kind, distribution, steps)
            given.add(*tiles)
            words = kernels.tiles(kind, tiles)
            came[f"{distribution}/{steps}"] = digest(words)
            crcs = [zlib.crc32(row.tobytes()) for row in words.reshape(-1, CHUNK)]
            key = f"bulk/{kind.name}/{distribution}/{steps}"
            results.checksums[key] = np.array(crcs, np.uint32)
            if kind.rows == 64 and not np.array_equal(words, kernels.tiles(kind, tiles, SHARED)):
                raise Failure(f"{kind.name}: A in shared memory gives other words")
    results.facts[f"bulk/{kind.name}"] = {"inputs": given.text(), "words": came}


def _instructions(prefix: str) -> Callable[[str, Results], None]:
    """The part that runs all kinds of one instruction."""

    def run(library: str, results: Results) -> None:
        kernels = Kernels(library)
        if sorted(kernels.names("silicon_kind")) != sorted(decks.KINDS):
            raise Failure("kernels.cu and decks.py name different kinds")
        for kind in decks.KINDS.values():
            if kind.name.startswith(prefix):
                for name, action in (("deck", _deck), ("sample", _sample), ("bulk", _bulk)):
                    results.attempt(f"{name}/{kind.name}", partial(action, kernels, kind, results))

    return run


def _conversions(library: str, results: Results) -> None:
    """All conversions over all 2^32 inputs."""
    kernels = Kernels(library)
    for index, name in enumerate(kernels.names("silicon_conversion")):

        def one(index: int = index, name: str = name) -> None:
            runs, histogram = kernels.runs(index)
            firsts, codes = (
                (runs >> np.uint64(32)).astype(np.uint32),
                (runs & np.uint64(0xFF)).astype(np.uint8),
            )
            counted = np.zeros(256, np.uint64)
            np.add.at(
                counted, codes, np.diff(np.append(firsts.astype(np.uint64), np.uint64(1 << 32)))
            )
            if firsts[0] or not np.array_equal(counted, histogram):
                raise Failure(f"{name}: runs and histogram disagree")
            results.arrays[f"firsts/{name}"], results.arrays[f"codes/{name}"] = firsts, codes
            results.facts[name] = {"runs": len(firsts), "inputs": int(histogram.sum())}

        results.attempt(name, one)


def _keep(results: Results, stack: stacks.Stack, given: stacks.Inputs, words: Words) -> None:
    """Some words of a library's result, and hashes."""
    flat = words.reshape(-1)
    if flat.size != stack.m * stack.n:
        raise Failure(f"{flat.size} results; expected {stack.m} x {stack.n}")
    results.arrays[stack.name] = flat[stacks.kept(stack)]
    results.facts[stack.name] = {"inputs": digest(*given), "words": digest(flat)}
    results.checksums[stack.name] = flat[:4096]


def _run_stacks(
    results: Results,
    named: dict[str, stacks.Stack],
    call: Callable[[stacks.Stack, stacks.Inputs], Words],
) -> None:
    """Call each stack twice; equal results are kept."""
    for stack in named.values():

        def one(stack: stacks.Stack = stack) -> None:
            given = stacks.inputs(stack)
            words = call(stack, given)
            if not np.array_equal(words, call(stack, given)):
                raise Failure("two runs differ")
            _keep(results, stack, given, words)

        results.attempt(stack.name, one)


def _torch(_library: str, results: Results) -> None:
    """torch._scaled_mm and torch.matmul."""
    import torch  # noqa: PLC0415 - only on this machine, only in this part

    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    dtypes = {
        "e4m3": torch.float8_e4m3fn,
        "e5m2": torch.float8_e5m2,
        "bf16": torch.bfloat16,
        "f16": torch.float16,
    }
    dtypes["f32"] = torch.float32

    def tensor(codes: Words, name: str) -> Any:
        signed = codes.view(f"i{codes.dtype.itemsize}") if codes.dtype.itemsize > 1 else codes
        return torch.from_numpy(np.ascontiguousarray(signed)).cuda().view(dtypes[name])

    def words(result: Any, out: str) -> Words:
        raw = result.contiguous().view(torch.int32 if out == "f32" else torch.int16).cpu().numpy()
        return raw.view(np.uint32 if out == "f32" else np.uint16)

    def call(stack: stacks.Stack, given: stacks.Inputs) -> Words:
        a, b = tensor(given.a, stack.a), tensor(given.b, stack.b)
        if stack.call == "matmul":
            return words(a @ b.t(), stack.out)
        if "128" in stack.option:
            return words(_blocks(torch, stack, given, a, b, dtypes[stack.out]), stack.out)
        one = np.array(0x3F800000, np.uint32)
        scales = [tensor(scale.reshape(1) if scale.ndim == 0 else one.reshape(1), "f32")
                  for scale in (given.scale_a, given.scale_b)]  # fmt: skip
        fast = stack.option.startswith("fast")
        made = torch._scaled_mm(a, b.t(), *scales, out_dtype=dtypes[stack.out], use_fast_accum=fast)  # noqa: SLF001
        return words(made, stack.out)

    _run_stacks(results, stacks.TORCH, call)


def _blocks(torch: Any, stack: stacks.Stack, given: stacks.Inputs, a: Any, b: Any, out: Any) -> Any:
    """A product with a scale for each 1 x 128 or 128 x 128 block, as torch wants them laid out."""
    from torch.nn.functional import ScalingType, scaled_mm  # noqa: PLC0415

    scales, recipes = [], []
    for bits, option in zip((given.scale_a, given.scale_b), stack.option.split("+"), strict=True):
        tall = option == "128x128"
        scale = torch.from_numpy(bits.view(np.float32)).cuda()
        if tall:  # (k / 128 filled up to a multiple of 4, rows / 128), contiguous along k
            filled = torch.ones((scale.shape[0], -(-scale.shape[1] // 4) * 4), device="cuda")
            filled[:, : scale.shape[1]] = scale
            scales.append(filled.t())
        else:  # (rows, k / 128), contiguous along rows
            scales.append(scale.t().contiguous().t())
        recipes.append(ScalingType.BlockWise128x128 if tall else ScalingType.BlockWise1x128)
    return scaled_mm(
        a, b.t(), scale_a=scales[0], scale_recipe_a=recipes[0], scale_b=scales[1], scale_recipe_b=recipes[1],
        output_dtype=out,
    )  # fmt: skip


def _triton(_library: str, results: Results) -> None:
    """tl.dot and tl.dot_scaled."""
    import torch  # noqa: PLC0415
    from silicon import triton_kernels  # noqa: PLC0415

    names = {"e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}

    def bytes_of(codes: Words, fmt: str) -> Any:
        return torch.from_numpy(
            _packed(codes) if fmt == "e2m1" else np.ascontiguousarray(codes)
        ).cuda()

    def call(stack: stacks.Stack, given: stacks.Inputs) -> Words:
        a, b = bytes_of(given.a, stack.a), bytes_of(given.b, stack.b)
        d = torch.full((stack.m, stack.n), float("nan"), device="cuda")
        size = {"M": stack.m, "N": stack.n, "K": stack.k}
        if stack.call == "dot_scaled":
            scales = [
                torch.from_numpy(np.ascontiguousarray(one)).cuda()
                for one in (given.scale_a, given.scale_b)
            ]
            packs = {"PACK_A": 1 + (stack.a == "e2m1"), "PACK_B": 1 + (stack.b == "e2m1")}
            triton_kernels.dot_scaled[(1,)](
                a, scales[0], b, scales[1], d, **size, A=stack.a, B=stack.b, **packs
            )
        else:
            limit, _, with_c = stack.option.partition("+")
            imprecise = None if limit == "default" else int(limit)
            a, b = a.view(names[stack.a]), b.view(names[stack.b])
            if with_c:
                c = torch.from_numpy(given.c.view(np.float32)).cuda()
                triton_kernels.dot[(1,)](a, b, c, d, **size, IMPRECISE=imprecise)
            else:
                triton_kernels.dot_fresh[(1,)](a, b, d, **size, IMPRECISE=imprecise)
        torch.cuda.synchronize()
        return d.view(torch.int32).cpu().numpy().view(np.uint32)

    _run_stacks(results, stacks.TRITON, call)


def _packed(codes: Words) -> Words:
    """Two 4-bit codes in a byte, the first one low."""
    return np.ascontiguousarray(codes[:, 0::2] | codes[:, 1::2] << 4)


PARTS: dict[str, Callable[[str, Results], None]] = {
    "mma": _instructions("mma."),
    "wgmma": _instructions("wgmma."),
    "conversions": _conversions,
    "torch": _torch,
    "triton": _triton,
}


def _output(*command: str) -> str:
    """The output of a command; empty if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _gpu() -> list[str]:
    """Name, driver and VBIOS of the first GPU; empty without one."""
    fields = "--query-gpu=name,driver_version,vbios_version"
    return _output("nvidia-smi", fields, "--format=csv,noheader").split("\n")[0].split(", ")


def _versions() -> Iterator[tuple[str, str]]:
    """The machine and its software."""
    yield from zip(("gpu", "driver", "vbios"), _gpu(), strict=True)
    yield "nvcc", _output("nvcc", "--version").partition("release ")[2].partition("\n")[0]
    yield "python", platform.python_version()
    yield "numpy", np.__version__
    script = (
        "import torch, triton; print(torch.__version__, torch.version.cuda, triton.__version__)"
    )
    found = _output(sys.executable, "-c", script).split()
    yield from zip(("torch", "cuda of torch", "triton"), found, strict=False)
    listed = _output(sys.executable, "-m", "pip", "list", "--format=freeze").splitlines()
    yield "cublas", next((line for line in listed if line.startswith("nvidia-cublas==")), "unknown")


def _provenance() -> dict[str, Any]:
    """Where the data come from."""
    hashes = {name: digest(np.frombuffer((HERE / name).read_bytes(), np.uint8)) for name in SOURCES}
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return {"date": today, **dict(_versions()), "command": " ".join(NVCC), "sources": hashes}


def _instructions_in(library: str) -> dict[str, list[str]]:
    """The matrix instructions and conversions in the machine code of each tile kernel; empty without cuobjdump."""
    found: dict[str, list[str]] = {}
    kernel = ""
    for line in _output("cuobjdump", "--dump-sass", library).splitlines():
        if function := re.search(r"Function : \S*tilesI(\d+)(\w+)", line):
            kernel = function[2][: int(function[1])]
        elif "Function :" in line:
            kernel = ""
        elif kernel and (code := re.search(r"\b(?:[HQ]G?MMA|F2FP|FADD|HADD2)[.\w]*", line)):
            found[kernel] = sorted({*found.get(kernel, []), code[0]})
    return found


def main() -> int:
    """Build, run all parts, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE / "data")
    parser.add_argument(
        "--checksums", action="store_true", help="write what helps to find a difference, too"
    )
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--library", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        results = Results()
        results.attempt(options.part, lambda: PARTS[options.part](options.library, results))
        results.write(options.out, options.part)
        return 0
    if len(_gpu()) != 3:
        print(
            "nvidia-smi names no GPU; these tests need a Hopper GPU, nvcc, torch and triton",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory() as folder:
        return _all(options, Path(folder))


def _all(options: argparse.Namespace, work: Path) -> int:
    """Every part in a process of its own; then one folder of data."""
    options.out.mkdir(parents=True, exist_ok=True)
    library = str(work / "kernels.so")
    subprocess.run([*NVCC, "-o", library, str(HERE / "kernels.cu")], check=True)
    provenance: dict[str, Any] = {**_provenance(), "instructions": _instructions_in(library)}
    provenance |= {"facts": {}, "failures": {}}
    for part in options.parts:
        start = time.monotonic()
        command = [
            sys.executable,
            __file__,
            "--part",
            part,
            "--library",
            library,
            "--out",
            str(work),
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS, check=False
            )
            found = json.loads((work / f"{part}.json").read_text())
        except (subprocess.TimeoutExpired, OSError) as error:
            reason = (
                str(error) if isinstance(error, subprocess.TimeoutExpired) else done.stderr[-800:]
            )
            found = {"facts": {}, "failures": {part: reason}}
        provenance["facts"].update(found["facts"])
        provenance["failures"].update(found["failures"])
        for name in (
            (f"{part}.npz", f"{part}.checksums.npz") if options.checksums else (f"{part}.npz",)
        ):
            if (work / name).exists():
                (options.out / name).write_bytes((work / name).read_bytes())
        print(f"{part}: {len(found['facts'])} results, {len(found['failures'])} failures, "
              f"{time.monotonic() - start:.0f} s", flush=True)  # fmt: skip
    (options.out / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")
    for name, reason in provenance["failures"].items():
        print(f"FAILED {name}: {reason}", flush=True)
    return int(bool(provenance["failures"]))


if __name__ == "__main__":
    sys.exit(main())
