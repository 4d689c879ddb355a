"""Parts of ports and fields as they stand in a port map: ``data``, ``data[7:0]``, ``data[3]``, ``a[8*i +: 8]``."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from mxemu.errors import MxemuError

_NAME = r"[A-Za-z_]\w*"
_PART = re.compile(rf"({_NAME})\s*(?:\[(.*)\])?")
_FIXED = re.compile(r"\s*(\d+)\s*(?::\s*(\d+)\s*)?")


@dataclass(frozen=True)
class Index:
    """A first bit that may move with the index of a repeated step: ``base + step * i``."""

    base: int
    step: int = 0

    def text(self) -> str:
        """As SystemVerilog."""
        if not self.step:
            return str(self.base)
        product = "i" if self.step == 1 else f"{self.step}*i"
        return f"{self.base} + {product}" if self.base else product

    def span(self, repeat: int) -> tuple[int, int]:
        """The smallest and the largest value over all repetitions."""
        ends = (self.base, self.base + self.step * (repeat - 1))
        return min(ends), max(ends)


@dataclass(frozen=True)
class Part:
    """Some bits of a port or field.

    Attributes
    ----------
    name : str
    first : Index
        The least significant bit.
    width : int or None
        None for all of it.
    """

    name: str
    first: Index = Index(0)
    width: int | None = None

    def text(self, width: int) -> str:
        """As SystemVerilog, for a part of ``width`` bits."""
        if self.width is None:
            return self.name
        if self.first.step:
            return f"{self.name}[{self.first.text()} +: {width}]"
        return f"{self.name}[{self.first.base + width - 1}:{self.first.base}]"


def read_part(text: str, indices: dict[str, int] | None = None, moving: bool = False) -> Part:
    """A part from its text.

    Parameters
    ----------
    text : str
    indices : dict of str to int, optional
        Values of the indices of outer loops.
    moving : bool
        Whether the bits may depend on ``i``.

    Raises
    ------
    MxemuError

    Examples
    --------
    >>> read_part("data[15:8]")
    Part(name='data', first=Index(base=8, step=0), width=8)
    >>> read_part("a[8*i +: 8]", moving=True)
    Part(name='a', first=Index(base=0, step=8), width=8)
    """
    match = _PART.fullmatch(text.strip())
    if match is None:
        raise MxemuError(
            f"{text!r}; expected a name, name[high:low], name[bit] or name[first +: width]"
        )
    name, inside = match.groups()
    if inside is None:
        return Part(name)
    first, indexed, width = inside.partition("+:")
    if indexed:
        index = read_index(first, indices or {}, moving)
        if not width.strip().isdecimal() or int(width) < 1:
            raise MxemuError(f"{text!r}; expected a width in bits after +:")
        return Part(name, index, int(width))
    fixed = _FIXED.fullmatch(inside)
    if fixed is None:
        return Part(name, read_index(inside, indices or {}, moving), 1)
    high, low = int(fixed[1]), int(fixed[2] or fixed[1])
    if high < low:
        raise MxemuError(f"{text!r}; expected [high:low] with high not below low")
    return Part(name, Index(low), high - low + 1)


def read_index(text: str, indices: dict[str, int], moving: bool) -> Index:
    """A sum of numbers and multiples of ``i``.

    Raises
    ------
    MxemuError

    Examples
    --------
    >>> read_index("256*j + 8*i", {"j": 2}, moving=True)
    Index(base=512, step=8)
    """
    known = {name: Index(value) for name, value in indices.items()}
    if moving:
        known["i"] = Index(0, 1)
    try:
        return _linear(ast.parse(text.strip(), mode="eval").body, known)
    except (SyntaxError, ValueError):
        names = ", ".join(known) or "no index here"
        raise MxemuError(f"{text.strip()!r}; expected numbers, +, -, * and {names}") from None


def _linear(node: ast.expr, known: dict[str, Index]) -> Index:
    match node:
        case ast.Constant(value=int(number)) if type(number) is int:
            return Index(number)
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as sign, right=right):
            one, other = _linear(left, known), _linear(right, known)
            factor = 1 if isinstance(sign, ast.Add) else -1
            return Index(one.base + factor * other.base, one.step + factor * other.step)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            one, other = _linear(left, known), _linear(right, known)
            if one.step and other.step:
                raise ValueError("i * i")
            return Index(one.base * other.base, one.base * other.step + one.step * other.base)
    raise ValueError("not linear")
