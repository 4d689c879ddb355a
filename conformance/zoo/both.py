"""Two mistakes in one implementation."""

from __future__ import annotations

from typing import Any

from conformance.arrays import Array, Dots
from conformance.zoo.products import ProductMistake
from conformance.zoo.reference import Reference
from mxemu.accumulation import Accumulation


def both(first: Reference, second: Reference) -> Reference | None:
    """One implementation with two mistakes, the second within the first; None if they do not go together."""
    if isinstance(first, ProductMistake) and isinstance(second, ProductMistake):
        return BothProducts(first, second)
    if isinstance(first, ProductMistake) or isinstance(second, ProductMistake):
        return None
    kinds: tuple[Any, ...] = (type(first), type(second))
    try:
        # Each mistake changes one step and calls the next class for it, as far as it needs the right one.
        made: Reference = type("Both", kinds, {"name": f"{first.name} and {second.name}"})()
    except TypeError:  # one is a special case of the other
        return None
    return made


class BothProducts(ProductMistake):
    """Two mistakes of dot products: the other one gets what the first makes of operands, accumulation and results."""

    def __init__(self, first: ProductMistake, second: ProductMistake) -> None:
        self.first, self.second = first, second
        self.name = f"{first.name} and {second.name}"  # type: ignore[misc]

    def operands(self, dots: Dots) -> Dots:
        return self.second.operands(self.first.operands(dots))

    def record(self, accumulation: Accumulation | str) -> Accumulation | str:
        return self.second.record(self.first.record(accumulation))

    def results(self, bits: Array, dots: Dots) -> Array:
        return self.second.results(self.first.results(bits, dots), dots)

    def grid_bits(
        self, dots: Dots, shape: tuple[int, int], accumulation: Accumulation | str
    ) -> Array:
        # A mistake of whole matrix products ends in `product_bits`, which is that of both.
        for one in (self.first, self.second):
            if type(one).grid_bits is not Reference.grid_bits:
                return type(one).grid_bits(self, dots, shape, accumulation)
        return super().grid_bits(dots, shape, accumulation)
