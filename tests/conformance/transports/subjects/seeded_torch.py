"""The seeded subject in operations of PyTorch, on the CPU and on a GPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))
import seeded

TIES = torch.from_numpy(seeded.TIES)
ODD = torch.from_numpy(seeded.ODD)
VALUES = torch.from_numpy(seeded.VALUES)


def infinite(values: Any) -> Any:
    """Magnitudes in binary64, which holds every scaled binary32; NaN as Inf."""
    return values.abs().double().nan_to_num(nan=torch.inf, posinf=torch.inf)[..., None]


class OnCpu:
    """Encode, decode and quantize as ``seeded.py`` does."""

    name, version, capabilities = "seeded", "1", seeded.capabilities
    tensors = "torch"

    def encode(self, values: Any, element: str) -> Any:
        magnitudes, ties = infinite(values), TIES.to(values.device)
        negative = torch.signbit(values)
        over = torch.where(negative[..., None], magnitudes > ties, magnitudes >= ties)
        return (over.sum(-1) + 8 * negative).to(torch.uint8)

    def decode(self, codes: Any, element: str) -> Any:
        magnitudes = VALUES.to(codes.device)[(codes & 7).long()]
        return torch.where((codes & 8) != 0, -magnitudes, magnitudes)

    def quantize(self, values: Any, block_format: str) -> tuple[Any, Any]:
        ties, odd = TIES.to(values.device), ODD.to(values.device)
        magnitudes = values.view(torch.int32) & 0x7FFFFFFF
        scales = ((magnitudes.amax(1) >> 23) - 3).clamp(min=0)
        scaled = infinite(torch.ldexp(values.double(), (127 - scales)[:, None]))
        over = torch.where(odd, scaled >= ties, scaled > ties)
        codes = over.sum(-1) + 8 * torch.signbit(values)
        return scales.to(torch.uint8), codes.to(torch.uint8)


class OnGpu(OnCpu):
    """The same on a GPU."""

    tensors = "torch:cuda"
