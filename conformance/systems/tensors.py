"""Between the arrays of the checker and tensors of PyTorch, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def tensor_of(values: NDArray[Any]) -> torch.Tensor:
    """A tensor of the same numbers; uint16 holds the bits of bfloat16."""
    tensor = torch.from_numpy(np.array(values))  # a copy: subjects write into what they are given
    return tensor.view(torch.bfloat16) if values.dtype == np.uint16 else tensor


def array_of(tensor: torch.Tensor) -> NDArray[Any]:
    """The other way round."""
    plain = tensor.detach().contiguous()
    return plain.view(torch.uint16).numpy() if plain.dtype == torch.bfloat16 else plain.numpy()
