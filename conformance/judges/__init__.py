"""What is expected of each operation, and how an outcome differs from it.

A judge holds the cases of one group. It computes the expectation under any profile, compares outcomes with it,
and puts a case in words. Outcomes and expectations are integer arrays: codes, or bits of a carrier, one row a
case.
"""

from __future__ import annotations

from conformance.judges.base import Case, Judge, Side, allowed, family, side
from conformance.judges.blocks import (
    BlockJudge,
    DequantizeJudge,
    FakeQuantizeJudge,
    QuantizeJudge,
)
from conformance.judges.elements import DecodeJudge, EncodeJudge, ScaleCastJudge
from conformance.judges.products import MatmulJudge, ProductJudge, product_judge
from conformance.judges.scaled import ScaledEncodeJudge

__all__ = [
    "BlockJudge",
    "Case",
    "DecodeJudge",
    "DequantizeJudge",
    "EncodeJudge",
    "FakeQuantizeJudge",
    "Judge",
    "MatmulJudge",
    "ProductJudge",
    "QuantizeJudge",
    "ScaleCastJudge",
    "ScaledEncodeJudge",
    "Side",
    "allowed",
    "family",
    "product_judge",
    "side",
]
