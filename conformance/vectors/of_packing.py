"""Vectors of packed bytes: codes, scales, or whole blocks, in the layouts that are in use."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from conformance.arrays import Array, code_dtype
from conformance.cases import Cases, collect
from conformance.vectors.suites import Columns, Suite, codes_of, kinds, out
from conformance.vectors.table import Field
from mxemu.formats import (
    CONCRETE,
    E2M1,
    E2M3,
    E3M2,
    E8M0,
    NVFP4,
    BlockFormat,
    ElementFormat,
    find,
)
from mxemu.layout import (
    ARRANGEMENTS,
    LAYOUTS,
    PACKINGS,
    Layout,
    Place,
    pack,
    pack_blocks,
    pack_scales,
)
from mxemu.layout import arrangement as arrangement_named
from mxemu.layout import layout as layout_named
from mxemu.layout import packing as packing_named
from mxemu.profile import Profile

_CODES, _ODD = 32, 37
"""Codes in a row; where rows of any length can be packed, a length that no group divides."""

_BLOCKS = 4
"""Blocks of a layout that keeps scales beside codes."""

_STRIDE = {"smoke": 5}
_RANDOM = {"smoke": 8, "core": 64}


def pack_kinds() -> list[tuple[str, str]]:
    """Every format with each packing, arrangement or layout that has vectors."""
    found = [
        (element.name, packing.name)
        for element in (E2M1, E2M3, E3M2)
        for packing in PACKINGS.values()
        if element.width in packing.widths
    ]
    found += [(E8M0.name, name) for name in ARRANGEMENTS]
    return found + [
        (block.name, layout.name)
        for block in (*CONCRETE, NVFP4)
        for layout in LAYOUTS.values()
        if layout.place is not Place.SEPARATE and _holds(layout, block)
    ]


def _holds(layout: Layout, block: BlockFormat) -> bool:
    widths = layout.widths or layout.packing.widths
    return (
        block.element.width in widths
        and layout.k in (None, block.k)
        and (layout.name != "ggml-mxfp4" or block.scale == E8M0)
    )


class Pack(Suite):
    """pack: codes, scales or both to bytes."""

    kept = 12

    def _open(self) -> None:
        found = find(self.key.format)
        if isinstance(found, BlockFormat):
            self._open_layout(found)
        elif found == E8M0:
            self._open_arrangement()
        else:
            self._open_packing(found)
        self.outputs = (out("bytes", 8, self.size),)

    def _open_packing(self, element: ElementFormat) -> None:
        packing = packing_named(self.key.kind)
        n = _CODES if packing.whole else _ODD
        self.inputs = (Field("codes", element.width, n, format=element.name),)
        self.size = packing.size(n, element.width)
        self._note = "bit-order"

    def _open_arrangement(self) -> None:
        arrangement = arrangement_named(self.key.kind)
        # More than one tile along each axis, and not whole ones.
        self.rows_of, self.columns_of = arrangement.rows + 2, arrangement.columns + 1
        count = self.rows_of * self.columns_of
        self.inputs = (Field("scales", E8M0.width, count, format=E8M0.name),)
        self.size = arrangement.size(self.rows_of, self.columns_of)
        self._note = "scale-place"

    def _open_layout(self, block: BlockFormat) -> None:
        layout = layout_named(self.key.kind)
        self.block = block
        self.inputs = (
            Field("scales", block.scale.width, _BLOCKS, format=block.scale.name),
            Field("codes", block.element.width, _BLOCKS * block.k, format=block.element.name),
        )
        self.size = layout.map(1, _BLOCKS, block).size
        self._note = "bit-order"

    def given(self) -> Cases:
        return collect(self._themes(), np.int64)

    def _themes(self) -> Iterator[tuple[str, Array]]:
        """One bit set, one bit clear, every index by its two halves; scales are never all alike."""
        widths = np.concatenate([np.full(field.count, field.width) for field in self.inputs])
        step = _STRIDE.get(self.key.level, 1)
        places = [(at, bit) for at, width in enumerate(widths) for bit in range(width)][::step]
        # A scale matrix has too many bits for a vector each; its bytes are numbered instead.
        if len(widths) <= _MOST_WALKED:
            walking = np.zeros((len(places), len(widths)), np.int64)
            for row, (at, bit) in enumerate(places):
                walking[row, at] = 1 << bit
            ones = (1 << widths) - 1
            yield self._note, walking
            yield self._note, ones - walking
        index = np.arange(len(widths))
        yield self._note, np.array([index, index >> 4, index * 7 + 1]) & ((1 << widths) - 1)
        rng = np.random.Generator(np.random.Philox(key=3000 + len(widths)))
        yield "random", self.draw(_RANDOM.get(self.key.level, 512), rng)

    def columns(self, rows: Array) -> dict[str, Array]:
        cuts = np.cumsum([field.count for field in self.inputs])[:-1]
        parts = np.split(rows, cuts, axis=1)
        pairs = zip(self.inputs, parts, strict=True)
        return {field.name: codes_of(part, field.width) for field, part in pairs}

    def rows(self, columns: Columns) -> Array:
        return np.column_stack([columns[field.name] for field in self.inputs]).astype(np.int64)

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        parts = [
            rng.integers(0, 1 << field.width, size=(count, field.count)) for field in self.inputs
        ]
        return np.column_stack(parts)

    def results(self, columns: Columns, profile: Profile) -> dict[str, Array]:
        count = len(next(iter(columns.values())))
        found = b"".join(self._bytes(columns, row) for row in range(count))
        return {"bytes": np.frombuffer(found, code_dtype(8)).reshape(count, self.size)}

    def _bytes(self, columns: Columns, row: int) -> bytes:
        """The bytes of one vector, from the exact core."""
        given = {name: column[row].tolist() for name, column in columns.items()}
        if len(given) == 2:
            k = self.block.k
            codes = [given["codes"][at : at + k] for at in range(0, len(given["codes"]), k)]
            return pack_blocks([codes], [given["scales"]], self.block, self.key.kind)
        if "codes" in given:
            return pack(given["codes"], self.inputs[0].width, self.key.kind)
        flat, width = given["scales"], self.columns_of
        matrix = [flat[at : at + width] for at in range(0, len(flat), width)]
        return pack_scales(matrix, self.key.kind)

    def expectations(self, columns: Columns, results: Columns) -> dict[str, Array]:
        return {"bytes": kinds(results["bytes"])}

    def header(self) -> dict[str, str]:
        found = super().header()
        if self.inputs[0].name == "scales" and len(self.inputs) == 1:
            return found | {"rows": str(self.rows_of), "columns": str(self.columns_of)}
        return found


_MOST_WALKED = 300
