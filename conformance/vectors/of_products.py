"""Vectors of dot products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conformance.adapter import find_pair, pair_of
from conformance.arrays import Array, dot_bits, is_nan_bits
from conformance.cases import Cases
from conformance.cases.products import (
    BLOCKS,
    Layout,
    element_of,
    product_cases,
    random_products,
)
from conformance.vectors.suites import Columns, Suite, bits_of, codes_of, joined, kinds, out
from conformance.vectors.table import Expect, Field
from mxemu.accumulation import Accumulation
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat, carrier
from mxemu.formats import find as find_format
from mxemu.products import Operand, Product, dot
from mxemu.profile import Profile
from mxemu.scalar import decode, encode
from mxemu.value import Value

if TYPE_CHECKING:
    from conformance.judges import Judge


class Dot(Suite):
    """dot: one block of each operand; dot-general: several. With something to add to."""

    def _open(self) -> None:
        self.carrier = carrier(self.key.kind)
        self.label = find_pair(self.key.format)
        self.formats = tuple(find_format(name) for name in pair_of(self.label))
        blocks = 1 if self.key.operation == "dot" else BLOCKS
        self.kept = 8 if blocks == 1 else 4
        self.layout = Layout(self.formats[0], self.formats[1], blocks, self.carrier)
        sides = zip(("sa", "sb"), ("a", "b"), self.formats, strict=True)
        fields = [one for side in sides for one in self._fields(*side)]
        self.inputs = (*fields, Field("c", self.carrier.width, format=self.carrier.name))
        self.outputs = (out("result", self.carrier.width, 1, self.carrier.name),)

    def _fields(self, scales: str, codes: str, fmt: BlockFormat | ElementFormat) -> list[Field]:
        element, layout = element_of(fmt), self.layout
        own = [Field(codes, element.width, layout.length, format=element.name)]
        if not isinstance(fmt, BlockFormat):
            return own
        return [Field(scales, fmt.scale.width, layout.blocks, format=fmt.scale.name), *own]

    def header(self) -> dict[str, str]:
        return {**super().header(), "accumulation": self.key.accumulation.name}

    def given(self) -> Cases:
        cases = product_cases(self.layout, self.key.level, takes_c=True)
        more = {
            "result-overflow": self._largest(),
            "last-block": self._filled(),
            "zero-result-sign": self._negative_zero(),
        }
        return joined(cases, more.items())

    def _negative_zero(self) -> Array:
        """Nothing but -0: the only way to a result of -0 without rounding."""
        row = np.zeros((1, self.layout.width), np.int64)
        element = element_of(self.formats[1])
        if isinstance(element, FloatFormat):
            row[0, -1 - self.layout.length : -1] = element.sign_mask
        row[0, -1] = self.carrier.sign_mask
        return row

    def _largest(self) -> Array:
        """The largest number, as C and as the result."""
        rows = np.zeros((2, self.layout.width), np.int64)
        rows[:, -1] = self.carrier.max_code, self.carrier.max_code | self.carrier.sign_mask
        return rows

    def _filled(self) -> Array:
        """One to all products, the others zero."""
        rng = np.random.Generator(np.random.Philox(key=6200))
        length, n = self.layout.length, self.layout.blocks
        rows = self.draw(length, rng)
        half = n + length
        for side, fmt in enumerate(self.formats):
            one = encode(Value(0, 1, 0), element_of(fmt)).code
            codes = rows[:, side * half + n : (side + 1) * half]
            codes[codes & (codes - 1) == 0] = one
            codes[np.arange(length)[None] > np.arange(length)[:, None]] = 0
        return rows

    def columns(self, rows: Array) -> dict[str, Array]:
        n, length = self.layout.blocks, self.layout.length
        half = n + length
        found: dict[str, Array] = {}
        for start, scales, codes, fmt in zip(
            (0, half), ("sa", "sb"), "ab", self.formats, strict=True
        ):
            if isinstance(fmt, BlockFormat):
                own = codes_of(rows[:, start : start + n], fmt.scale.width)
                found[scales] = own[:, 0] if n == 1 else own
            found[codes] = codes_of(rows[:, start + n : start + half], element_of(fmt).width)
        found["c"] = bits_of(rows[:, -1].astype(np.uint64), self.carrier)
        return found

    def rows(self, columns: Columns) -> Array:
        count, n = len(columns["c"]), self.layout.blocks
        nothing = np.zeros((count, n), np.int64)
        parts = [
            columns.get("sa", nothing).reshape(count, n),
            columns["a"],
            columns.get("sb", nothing).reshape(count, n),
            columns["b"],
            columns["c"].astype(np.uint64).view(np.int64)[:, None],
        ]
        return np.column_stack([part.astype(np.int64) for part in parts])

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        return random_products(self.layout, True, count, rng)

    def results(self, columns: Columns, profile: Profile) -> dict[str, Array]:
        if not self.exact:
            dots = self.layout.dots(self.rows(columns))
            return {"result": dot_bits(dots, self.key.accumulation)}
        accumulation = self.key.accumulation
        count = len(columns["c"])
        found = [self.product(columns, row, accumulation).bits for row in range(count)]
        return {"result": bits_of(np.array(found, np.uint64), self.carrier)}

    def product(self, columns: Columns, row: int, accumulation: Accumulation) -> Product:
        """One result, from the exact core."""
        sides = zip(("sa", "sb"), "ab", self.formats, strict=True)
        a, b = (
            Operand(
                columns[codes][row].tolist(),
                fmt,
                np.atleast_1d(columns[scales][row]).tolist() if scales in columns else (),
            )
            for scales, codes, fmt in sides
        )
        c = decode(int(columns["c"][row]), self.carrier)
        return dot(a, b, c, accumulation, self.carrier)

    def expectations(self, columns: Columns, results: Columns) -> dict[str, Array]:
        """Precision and order are open (MX 6.1), so numbers are those of the accumulation that the set names."""
        found = kinds(results["result"], Expect.BY_PROFILE)
        found[is_nan_bits(results["result"], self.carrier)] = Expect.ANY_NAN
        return {"result": found}

    def judge(self) -> Judge:
        from conformance.judges import product_judge

        key = self.key
        return product_judge(
            key.operation, self.label, self.carrier, "smoke", True, key.accumulation
        )
