"""Compare presets with MMA-Sim on random dots, where mmasim 2.1.1, torch and a C++ compiler are installed.

MMA-Sim's authors compared it with the units on about 10^6 dots an instruction (arXiv 2511.10909). It is a second
implementation, not the truth: differences are counted by kind, and `is_expected` says which are MMA-Sim's own.

    PYTHONPATH=.:tests python tests/products/mmasim_check.py --dots 20000
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import product
from typing import Any, NamedTuple

from products import draw

from mxemu.accumulation import TF32
from mxemu.accumulations import find
from mxemu.block import value_bits
from mxemu.formats import BINARY16, BINARY32, BlockFormat, ElementFormat, FloatFormat, block_format
from mxemu.formats import element as find_element
from mxemu.products import Operand, dot
from mxemu.value import ZERO, Value


class Unit(NamedTuple):
    """One instruction of MMA-Sim and the preset that should equal it.

    Attributes
    ----------
    preset : str
    family : str
        Class of MMA-Sim: MMA, WGMMA, TCGen05MMA, TCGen05MMABlockScale, MFMA.
    arch, shape : str
        Its arguments.
    a, b : str
        Element or block formats.
    terms : int
        K of the dots, in whole instructions.
    out : FloatFormat
        Format of C and D.
    """

    preset: str
    family: str
    arch: str
    shape: str
    a: str
    b: str
    terms: int
    out: FloatFormat = BINARY32


FP8 = ("E4M3", "E5M2")
NARROW = (*FP8, "E3M2", "E2M3", "E2M1")
FNUZ = (("fp8", "E4M3FNUZ"), ("bf8", "E5M2FNUZ"))
# Preset, architecture, shape, format of both operands, K.
HALF = (
    ("nv-volta", "Volta", "m8n8k4.f32.f16.f16.f32", "binary16", 8),
    ("nv-volta-fp16", "Volta", "m8n8k4.f16.f16.f16.f16", "binary16", 8),
    ("nv-turing", "Turing", "m16n8k8.f32.f16.f16.f32", "binary16", 16),
    ("nv-turing-fp16", "Turing", "m16n8k8.f16.f16.f16.f16", "binary16", 16),
)
SINCE_AMPERE = (
    ("", "m16n8k16.f32.f16.f16.f32", "binary16", 32),
    ("", "m16n8k16.f32.bf16.bf16.f32", "bfloat16", 32),
    ("-fp16", "m16n8k16.f16.f16.f16.f16", "binary16", 32),
    ("-tf32", "m16n8k8.f32.tf32.tf32.f32", "TF32", 16),
)
ARCHITECTURES = (
    ("nv-ampere", "Ampere"),
    ("nv-ampere", "Ada Lovelace"),
    ("nv-hopper", "Hopper"),
    ("nv-blackwell", "Blackwell"),
)
# Preset, class, architecture, shape with the formats of the operands, those formats.
NARROW_UNITS = (
    ("nv-ada-fp8", "MMA", "Ada Lovelace", "m16n8k32.f32.{}.{}.f32", FP8),
    ("nv-ada-fp8-fp16", "MMA", "Ada Lovelace", "m16n8k32.f16.{}.{}.f16", FP8),
    ("nv-hopper-fp8-wgmma", "WGMMA", "Hopper", "m64n8k32.f32.{}.{}", FP8),
    ("nv-hopper-fp8-wgmma-fp16", "WGMMA", "Hopper", "m64n8k32.f16.{}.{}", FP8),
    ("nv-blackwell-f8f6f4", "TCGen05MMA", "Blackwell", "m64n8k32.kind::f8f6f4.f32.{}.{}", NARROW),
    (
        "nv-blackwell-f8f6f4-fp16",
        "TCGen05MMA",
        "Blackwell",
        "m64n8k32.kind::f8f6f4.f16.{}.{}",
        NARROW,
    ),
)
MXF8 = "m128n8k32.kind::mxf8f6f4.block32.f32.{}.{}.ue8m0"
FP4 = (
    ("nv-blackwell-mxf4", "mxf4.block32", "ue8m0", "E2M1/E8M0/32"),
    ("nv-blackwell-mxf4", "mxf4nvf4.block16", "ue8m0", "E2M1/E8M0/16"),
    ("nv-blackwell-nvf4", "mxf4nvf4.block16", "ue4m3", "NVFP4"),
)
AMD = (
    ("fp32-fma", "CDNA3", "f32_32x32x2_f32", "binary32", 4),
    ("amd-cdna1", "CDNA1", "f32_16x16x16f16", "binary16", 16),
    ("amd-cdna1-bf16", "CDNA1", "f32_16x16x8bf16", "bfloat16", 8),
    ("amd-cdna2", "CDNA2", "f32_16x16x16f16", "binary16", 16),
    ("amd-cdna2", "CDNA2", "f32_16x16x16bf16_1k", "bfloat16", 16),
    ("amd-cdna2-bf16", "CDNA2", "f32_16x16x8bf16", "bfloat16", 8),
    ("amd-cdna3", "CDNA3", "f32_16x16x16_f16", "binary16", 16),
    ("amd-cdna3", "CDNA3", "f32_16x16x16_bf16", "bfloat16", 16),
    ("amd-cdna3-xf32", "CDNA3", "f32_16x16x8_xf32", "TF32", 8),
)


def units() -> list[Unit]:
    """Every preset that MMA-Sim has an instruction for."""
    return [*_of_nvidia(), *_with_scales(), *_of_amd()]


def _of_nvidia() -> Iterator[Unit]:
    for preset, arch, shape, form, terms in HALF:
        yield Unit(preset, "MMA", arch, shape, form, form, terms, _out(preset))
    for start, arch in ARCHITECTURES:
        for end, shape, form, terms in SINCE_AMPERE:
            yield Unit(start + end, "MMA", arch, shape, form, form, terms, _out(end))
    for preset, family, arch, shape, names in NARROW_UNITS:
        for a, b in product(names, repeat=2):
            full = shape.format(a.lower(), b.lower())
            yield Unit(preset, family, arch, full, a, b, 64, _out(preset))


def _with_scales() -> Iterator[Unit]:
    family, arch = "TCGen05MMABlockScale", "Blackwell"
    for a, b in product(NARROW, repeat=2):
        shape, forms = MXF8.format(a.lower(), b.lower()), (f"{a}/E8M0/32", f"{b}/E8M0/32")
        yield Unit("nv-blackwell-mxf8f6f4", family, arch, shape, *forms, 64)
    for preset, kind, scale, form in FP4:
        shape = f"m128n8k64.kind::{kind}.f32.e2m1.e2m1.{scale}"
        yield Unit(preset, family, arch, shape, form, form, 128)


def _of_amd() -> Iterator[Unit]:
    for preset, arch, shape, form, terms in AMD:
        yield Unit(preset, "MFMA", arch, shape, form, form, terms)
    for (a, form_a), (b, form_b) in product(FNUZ, repeat=2):
        yield Unit("amd-cdna3-fp8", "MFMA", "CDNA3", f"f32_16x16x32_{a}_{b}", form_a, form_b, 32)


def _out(preset: str) -> FloatFormat:
    """The format of C and D."""
    return BINARY16 if preset.endswith("-fp16") else BINARY32


def simulate(unit: Unit, drawn: Sequence[draw.Drawn]) -> list[int]:
    """The bits of D of MMA-Sim for each dot."""
    torch = import_module("torch")
    makers = import_module("mmasim.amd" if unit.family == "MFMA" else "mmasim.nv_ptx")
    simulator = getattr(makers, unit.family)(unit.arch, unit.shape)
    fmt_a, fmt_b = record(unit.a), record(unit.b)
    packed = unit.preset in ("nv-blackwell-mxf4", "nv-blackwell-nvf4")
    operands = [
        _tensor([one.a for one in drawn], fmt_a, packed),
        _tensor([one.b for one in drawn], fmt_b, packed),
        _tensor([_c_bits(one.c, unit.out) for one in drawn], unit.out),
    ]
    step = simulator.k
    total = operands[2]
    for start in range(0, unit.terms, step):
        parts = [one[:, _part(start, step, packed)] for one in operands[:2]]
        if isinstance(fmt_a, BlockFormat):
            own = slice(start // fmt_a.k, (start + step) // fmt_a.k)
            scales = ([one.a_scales[own] for one in drawn], [one.b_scales[own] for one in drawn])
            total = simulator.dpa(*parts, total, *(_tensor(part, fmt_a.scale) for part in scales))
        else:
            total = simulator.dpa(*parts, total)
    kind = torch.int16 if unit.out is BINARY16 else torch.int32
    mask = (1 << unit.out.width) - 1
    return [bits & mask for bits in total.contiguous().view(kind).tolist()]


def _part(start: int, step: int, packed: bool) -> slice:
    """Elements of one instruction; two share a byte where FP4 is packed."""
    return slice(start // 2, (start + step) // 2) if packed else slice(start, start + step)


def _c_bits(c: Value | None, out: FloatFormat) -> int:
    return value_bits(ZERO if c is None else c, out)


def record(name: str) -> BlockFormat | ElementFormat:
    """A format by the names used here."""
    if name == "TF32":
        return TF32
    return block_format(name) if "/" in name or name == "NVFP4" else find_element(name)


DTYPES = {
    "binary32": "float32",
    "binary16": "float16",
    "bfloat16": "bfloat16",
    "E4M3": "float8_e4m3fn",
    "E5M2": "float8_e5m2",
    "E4M3FNUZ": "float8_e4m3fnuz",
    "E5M2FNUZ": "float8_e5m2fnuz",
    "E8M0": "float8_e8m0fnu",
}


def _tensor(codes: Any, fmt: BlockFormat | ElementFormat, packed: bool = False) -> Any:
    """Codes as a tensor of the dtype that MMA-Sim takes."""
    torch = import_module("torch")
    fmt = fmt.element if isinstance(fmt, BlockFormat) else fmt
    found = torch.tensor(codes, dtype=torch.int64)
    if packed:  # the first of two in the high half of the byte
        return (found[..., ::2] << 4 | found[..., 1::2]).to(torch.uint8)
    narrow = {"E3M2": 0, "E2M3": 0, "E2M1": 2}
    if fmt.name in narrow:
        return (found << narrow[fmt.name]).to(torch.uint8)
    if fmt.name == "TF32":
        return (found << 13).to(torch.int32).view(torch.float32)
    dtype = getattr(torch, DTYPES[fmt.name])
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32}[dtype.itemsize]
    return found.to(whole).view(dtype)


def drawn_dots(unit: Unit, theme: str, count: int, seed: int) -> list[draw.Drawn]:
    """Random dots of one theme."""
    rng = random.Random(f"{unit.preset} {unit.shape} {theme} {seed}")
    left, right = record(unit.a), record(unit.b)
    found = []
    for _ in range(count):
        own = draw.vectors(theme, left, right, unit.terms, rng)
        exact = None
        if theme in ("cancelling", "ordinary") and rng.random() < 0.2:
            exact = dot(*_operands(unit, own)).value
        found.append(own._replace(c=draw.carried(theme, unit.out, rng, exact)))
    return found


def _operands(unit: Unit, own: draw.Drawn) -> tuple[Operand, Operand]:
    return Operand(own.a, record(unit.a), own.a_scales), Operand(
        own.b, record(unit.b), own.b_scales
    )


def differences(
    unit: Unit, drawn: Sequence[draw.Drawn]
) -> Iterator[tuple[str, draw.Drawn, int, int]]:
    """Each difference: its kind, the dot, our bits, the simulator's."""
    preset = find(unit.preset)
    for one, theirs in zip(drawn, simulate(unit, drawn), strict=True):
        ours = dot(*_operands(unit, one), one.c, preset, unit.out).bits
        if ours != theirs:
            yield _kind(ours, theirs, unit.out), one, ours, theirs


def _kind(ours: int, theirs: int, out: FloatFormat) -> str:
    mask, inf = out.magnitude_mask, out.max_code + 1
    if ours & mask > inf and theirs & mask > inf:
        return "nan-word"
    if not (ours | theirs) & mask:
        return "zero-sign"
    return "special" if inf in (min(ours & mask, inf), min(theirs & mask, inf)) else "value"


def is_expected(preset: str, kind: str) -> bool:
    """Whether a difference is MMA-Sim's own.

    Its NaN of AMD's units is that of the host, or of the code it shares with NVIDIA's, and no unit's. Its CDNA3 model
    of 8-bit floats takes the exponent of C, or of what the group before left, from `frexp`, which gives 0 for NaN and
    Inf, so it drops them below large products.
    """
    if kind == "nan-word":
        return preset.startswith("amd-") or preset == "fp32-fma"
    return kind == "special" and preset == "amd-cdna3-fp8"


def main() -> int:
    """Print differences by preset, instruction, theme and kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dots", type=int, default=20000, help="for each preset, spread over all themes"
    )
    parser.add_argument("--preset", default="", help="only presets whose name holds this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=2, help="differences to print for each kind")
    options = parser.parse_args()
    chosen = [one for one in units() if options.preset in one.preset]
    sharing = Counter(one.preset for one in chosen)
    failed = 0
    for unit in chosen:
        counts: Counter[str] = Counter()
        compared = 0
        for theme in draw.THEMES:
            size = -(-options.dots // (sharing[unit.preset] * len(draw.THEMES)))
            drawn = drawn_dots(unit, theme, size, options.seed)
            compared += len(drawn)
            for kind, one, ours, theirs in differences(unit, drawn):
                counts[kind] += 1
                if counts[kind] <= options.show and not is_expected(unit.preset, kind):
                    print(f"  {theme} {kind}: ours {ours:#010x}, theirs {theirs:#010x}: {one}")
        print(
            f"{unit.preset:26} {unit.arch:12} {unit.shape:52} {compared:6} dots  {dict(counts) or 'equal'}"
        )
        sys.stdout.flush()
        failed += sum(not is_expected(unit.preset, kind) for kind in counts)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
