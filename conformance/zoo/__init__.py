"""Deliberately wrong implementations, one class of public mistake each.

They are how the suite is tested (each must be caught and named), what a diagnosis compares with, and exercises
for readers. Every member is a correct implementation with one thing wrong, and an adapter: ``mxemu check
conformance.zoo:half_up``.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.judges import Judge
from conformance.zoo import blocks, casts, codes, dequantize, elements, products, scales
from conformance.zoo.reference import Reference

MEMBERS: tuple[Reference, ...] = (
    *elements.MEMBERS,
    *codes.MEMBERS,
    *casts.MEMBERS,
    *scales.MEMBERS,
    *blocks.MEMBERS,
    *dequantize.MEMBERS,
    *products.MEMBERS,
)
reference = Reference()


def mistakes(judge: Judge) -> Iterator[Reference]:
    """The members whose mistake can show in a group."""
    for member in MEMBERS:
        if member.touches(judge):
            yield member


def __getattr__(name: str) -> Reference:
    for member in MEMBERS:
        if member.name.replace("-", "_") == name:
            return member
    raise AttributeError(f"the zoo has no member {name!r}")


def __dir__() -> list[str]:
    return sorted(member.name.replace("-", "_") for member in MEMBERS)
