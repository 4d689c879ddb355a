"""Blocks for people: an HTML table for notebooks, and a data frame."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from mxemu.array.blocks import Blocks
from mxemu.array.elements import decode

if TYPE_CHECKING:
    from pandas import DataFrame

# What fits a screen.
_ROWS = 8
_CODES = 16

# Only the reader's own colours, so that it can be read on light and on dark ground.
_STYLES = {
    "table": "border-collapse:collapse;font-family:monospace;text-align:left",
    "th": "padding:2px 8px;border-bottom:1px solid currentColor;text-align:left",
    "td": "padding:2px 8px;text-align:left",
}


def html(blocks: Blocks) -> str:
    """A table of the first blocks."""
    width = blocks.block_format.element.width
    head = ("block", "scale", "", "codes")
    rows = []
    for place in _first_places(blocks):
        scale = blocks.scales[place]
        value = decode(scale, blocks.block_format.scale, dtype=np.float64)
        codes = _codes(blocks, place)
        words = " ".join(_hex(code, width) for code in codes[:_CODES])
        dots = " ..." if len(codes) > _CODES else ""
        code = "0x" + _hex(scale, blocks.block_format.scale.width)
        rows.append((", ".join(map(str, place)), code, f"{value:.6g}", words + dots))
    left = blocks.scales.size - len(rows)
    more = f"<p>and {left} more blocks</p>" if left else ""
    grid = _tag("table", _row("th", head) + "".join(_row("td", row) for row in rows))
    return f"<div><p><b>Blocks</b> {escape(blocks.summary)}</p>{grid}{more}</div>"


def _row(name: str, cells: tuple[str, ...]) -> str:
    return "<tr>" + "".join(_tag(name, escape(cell)) for cell in cells) + "</tr>"


def _tag(name: str, body: str) -> str:
    return f'<{name} style="{_STYLES[name]}">{body}</{name}>'


def _first_places(blocks: Blocks) -> list[tuple[int, ...]]:
    """The indices of the first blocks."""
    count = min(_ROWS, blocks.scales.size)
    found = np.unravel_index(np.arange(count), blocks.scales.shape) if count else ()
    return [tuple(int(i) for i in place) for place in zip(*found, strict=True)]


def _codes(blocks: Blocks, place: tuple[int, ...]) -> list[int]:
    """The codes of one block, without those that fill it up."""
    length = min(blocks.k, blocks.length - place[-1] * blocks.k)
    codes: list[int] = blocks.codes[place][:length].tolist()
    return codes


def _hex(code: Any, width: int) -> str:
    return f"{int(code):0{-(-width // 4)}X}"


def table(blocks: Blocks) -> DataFrame:
    """One row a block; see `Blocks.to_pandas`."""
    import pandas as pd  # noqa: PLC0415 - it takes longer to load than all of mxemu

    element, scale = blocks.block_format.element, blocks.block_format.scale
    places = np.indices(blocks.scales.shape).reshape(blocks.scales.ndim, -1)
    others = [axis for axis in range(len(blocks.shape)) if axis != blocks.axis]
    names = [*[f"axis_{axis}" for axis in others], "block"]
    columns: dict[str, Any] = dict(zip(names, places, strict=True))
    flat = blocks.scales.reshape(-1)
    columns["scale_code"] = ["0x" + _hex(code, scale.width) for code in flat.tolist()]
    columns["scale"] = decode(flat, scale, dtype=np.float64)
    columns["codes"] = [
        " ".join(_hex(code, element.width) for code in _codes(blocks, tuple(place)))
        for place in places.T.tolist()
    ]
    return pd.DataFrame(columns)
