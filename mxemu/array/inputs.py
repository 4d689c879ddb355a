"""Array-likes to bit patterns: whatever holds numbers becomes an unsigned array and the name of its carrier."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mxemu.errors import BadCode, BadShape, BadType, BadValue, unknown
from mxemu.formats import BFLOAT16, BINARY16, BINARY32, BINARY64, FloatFormat
from mxemu.formats import carrier as find_carrier

Array = NDArray[Any]

BITS: dict[str, np.dtype[Any]] = {
    "binary64": np.dtype(np.uint64),
    "binary32": np.dtype(np.uint32),
    "binary16": np.dtype(np.uint16),
    "bfloat16": np.dtype(np.uint16),
}
_FLOATS = {
    np.dtype(np.float64): BINARY64,
    np.dtype(np.float32): BINARY32,
    np.dtype(np.float16): BINARY16,
}
_EXPECTED = "expected binary32, binary64, binary16 or bfloat16 numbers"
# Integers up to here are binary64 numbers.
_EXACT = 1 << 53


class Bits(NamedTuple):
    """Numbers as bit patterns.

    Attributes
    ----------
    array : ndarray of uint16, uint32 or uint64
        In the caller's shape, strides and byte order, sharing the caller's memory where that is possible.
    carrier : FloatFormat
    """

    array: Array
    carrier: FloatFormat


def to_bits(x: Any, carrier: FloatFormat | str | None = None) -> Bits:
    """The bit patterns of an array-like of numbers.

    Parameters
    ----------
    x : array_like
        binary64, binary32, binary16 or bfloat16 numbers in an ndarray, a tensor in the host's memory, a list; or
        integers, which are converted to binary64 and refused when that would change one.
    carrier : FloatFormat or str, optional
        Says that x is an array of unsigned integers which are bit patterns of this format.

    Raises
    ------
    BadType
        For anything else: objects, complex numbers, text, booleans, masked arrays.
    BadValue
        For an integer or a long double that binary64 does not hold.
    """
    if type(x) is np.ndarray and x.dtype in _FLOATS and carrier is None:
        found = _FLOATS[x.dtype]
        return Bits(x.view(BITS[found.name]), found)  # at once: this is what most calls pass
    array = to_array(x)
    if is_tensor(x) and str(x.dtype) == "torch.bfloat16":
        return _patterns(array, BFLOAT16 if carrier is None else _known_carrier(carrier), x.dtype)
    if is_tensor(x) and x.dtype.is_floating_point and x.dtype.itemsize == 1:
        raise BadType(f"x has dtype {x.dtype}; {_EXPECTED}: decode it first")
    if carrier is not None:
        return _patterns(array, _known_carrier(carrier))
    _check_integers(x, array)
    # Numbers in the other byte order stay as they are; they are turned round piece by piece.
    known = _FLOATS.get(array.dtype.newbyteorder("="))
    if known is not None:
        return Bits(array.view(BITS[known.name].newbyteorder(array.dtype.byteorder)), known)
    if array.dtype.name == "bfloat16":
        return Bits(array.view(np.uint16), BFLOAT16)
    return Bits(_to_binary64(array).view(np.uint64), BINARY64)


def _known_carrier(name: FloatFormat | str) -> FloatFormat:
    carrier = find_carrier(name)
    if carrier.name not in BITS:
        raise unknown("carrier", carrier.name, BITS)
    return carrier


def _check_integers(x: Any, array: Array) -> None:
    """Refuse a list that holds integers which NumPy has already rounded."""
    if array.dtype == np.float64 and isinstance(x, list | tuple):
        for one in np.asarray(x, dtype=object).flat:
            if isinstance(one, int) and int(float(one)) != one:
                raise BadValue(f"{one} is no binary64 number; round it yourself first")


def native(array: Array) -> Array:
    """The array, or a copy of it, contiguous and in this machine's byte order."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def to_array(x: Any) -> Array:
    """An ndarray, on the same memory where the object allows it."""
    if type(x) is np.ndarray:
        return x
    if isinstance(x, np.ma.MaskedArray):
        raise BadType("x is a masked array; fill it or take its .data first")
    if is_tensor(x):
        return _from_torch(x)
    try:
        return np.asarray(x)
    except (ValueError, TypeError) as error:
        raise BadType(f"x is no array: {str(error).partition('.')[0]}; {_EXPECTED}") from None


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor of torch; a program that has one has imported torch already."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def _from_torch(x: Any) -> Array:
    """The memory of a tensor. NumPy has no bfloat16 and no 8-bit floats, so those pass as unsigned bits."""
    torch = sys.modules["torch"]
    if x.device.type != "cpu":
        raise BadType(f"x is a tensor on {x.device}; expected one in the host's memory, x.cpu()")
    x = x.detach().resolve_conj().resolve_neg()
    if x.dtype is torch.bfloat16:
        return np.asarray(x.view(torch.int16).numpy().view(np.uint16))
    if x.dtype.itemsize == 1 and x.dtype not in (torch.int8, torch.uint8, torch.bool):
        return np.asarray(x.view(torch.uint8).numpy())
    return np.asarray(x.numpy())


def _patterns(array: Array, carrier: FloatFormat, given: Any = None) -> Bits:
    """Unsigned integers that the caller declares to be bit patterns."""
    dtype = BITS[carrier.name]
    if given is not None and carrier is not BFLOAT16:
        raise BadType(f"x has dtype {given}; expected bit patterns of {carrier.name} ({dtype})")
    if array.dtype.name == "bfloat16" and carrier is BFLOAT16:
        return Bits(array.view(np.uint16), carrier)
    if array.dtype.kind == "f" and _FLOATS.get(array.dtype) == carrier:
        return Bits(array.view(dtype), carrier)
    if array.dtype != dtype and array.dtype.newbyteorder("=") != dtype:
        raise BadType(
            f"x has dtype {array.dtype}; bit patterns of {carrier.name} are {dtype.name}, numbers need no carrier="
        )
    return Bits(array, carrier)


def _to_binary64(array: Array) -> NDArray[np.float64]:
    """Integers and long doubles as binary64, if every one of them is a binary64 number."""
    if array.dtype.kind not in "iuf":
        raise BadType(f"x has dtype {array.dtype}; {_EXPECTED}")
    with np.errstate(all="ignore"):
        converted = array.astype(np.float64)
        back = converted.astype(array.dtype) if array.dtype.kind == "f" else None
    if back is not None:
        changed = list(array[(back != array) & ~np.isnan(array)])
    else:
        # Only integers beyond 2^53 can change; they are compared as Python's own.
        large = array[np.abs(converted) >= _EXACT]
        changed = [number for number in large.tolist() if int(float(number)) != number]
    if changed:
        raise BadValue(
            f"{changed[0]} ({array.dtype}) is no binary64 number; round the array yourself first"
        )
    return converted


def to_codes(codes: Any, width: int) -> Array:
    """An array of codes as unsigned integers.

    Raises
    ------
    BadType
        When they are no integers, nor an 8-bit (or narrower) float type whose bytes are codes.
    BadCode
        When a signed or wide integer lies outside 0 to 2^width - 1; smaller ones are checked later.
    """
    array = to_array(codes)
    wanted = code_dtype(width)
    if array.dtype == wanted:
        return array
    if array.dtype.kind in "Vf" and array.dtype.itemsize == 1:  # ml_dtypes
        return array.view(np.uint8)
    if not isinstance(codes, np.ndarray) and not array.size:
        return array.astype(wanted)  # an empty list has no integers, and nothing else either
    if array.dtype.kind not in "iu":
        raise BadType(f"codes have dtype {array.dtype}; expected unsigned integers of {width} bits")
    if array.size:
        check_range(array, width)
    return array.astype(wanted)


def check_range(codes: Array, width: int) -> None:
    """Refuse codes that do not fit.

    Raises
    ------
    BadCode
        Naming the first one and its index.
    """
    top = (1 << width) - 1
    wrong = (codes < 0) | (codes > top) if width < 8 * codes.itemsize else codes < 0
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = f" at index {index}" if index else ""
        raise BadCode(f"code {int(codes[index]):#x}{place}; expected 0 to {top:#x}")


@cache
def code_dtype(width: int) -> np.dtype[Any]:
    """The smallest unsigned dtype that holds codes of a width in bits.

    Raises
    ------
    BadType
        Beyond 64 bits; the exact core takes any width.
    """
    for size in (8, 16, 32, 64):
        if width <= size:
            return np.dtype(f"uint{size}")
    raise BadType(f"codes of {width} bits; an array holds up to 64, mxemu.scalar any width")


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], what: str = "out") -> Array:
    """The given output array, if the result fits it.

    Raises
    ------
    BadType, BadShape
    """
    if isinstance(out, np.ma.MaskedArray):
        raise BadType(f"{what} is a masked array; expected an ndarray of {dtype}")
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        found = getattr(out, "dtype", type(out).__name__)
        raise BadType(f"{what} has dtype {found}; expected an ndarray of {dtype}")
    if out.shape != shape:
        raise BadShape(f"{what} has shape {out.shape}; expected {shape}")
    if not out.flags.writeable:
        raise BadValue(f"{what} is read-only")
    return np.asarray(out)
