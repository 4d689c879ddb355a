"""``mxemu compare``: what each block format and profile loses on the numbers of a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import Any

import click

from mxemu.cli.options import output_format_option, read_block_format, read_profile
from mxemu.cli.progress import Bar
from mxemu.cli.text import columns, dyadic_text
from mxemu.cli.work import (
    axis_option,
    carrier_option,
    check_key,
    key_option,
    read_tensor_scale,
    set_threads,
    tail_option,
    tensor_scale_option,
    threads_option,
)

_Rows = list[dict[str, Any]]


def _scale_text(scale: float) -> str:
    return dyadic_text(Fraction(scale)) if isfinite(scale) else "none"


# Columns of the text: heading, key, and how a number is written.
_MEASURES = (
    ("format", "format", str),
    ("profile", "profile", str),
    ("bits", "bits_per_element", "{:.4g}".format),
    ("SQNR dB", "sqnr", "{:.2f}".format),
    ("max error", "max_abs_error", "{:.4g}".format),
    ("mean error", "mean_abs_error", "{:.4g}".format),
    ("clipped", "clip_rate", "{:.3%}".format),
    ("zero", "zero_rate", "{:.3%}".format),
    ("underflow", "underflow_rate", "{:.3%}".format),
    ("NaN scales", "nan_scales", str),
    ("scale from", "min_scale", _scale_text),
    ("to", "max_scale", _scale_text),
)


@click.command()
@click.argument("source", metavar="IN.npy", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_names",
    metavar="NAME",
    multiple=True,
    help="May be repeated; the six of MX unless given.",
)
@click.option(
    "--profile",
    "profile_texts",
    metavar="NAME[,FIELD=VALUE]",
    multiple=True,
    default=["ocp"],
    show_default=True,
    help="May be repeated.",
)
@axis_option
@tail_option("partial")
@tensor_scale_option
@key_option
@carrier_option
@click.option("--status", is_flag=True, help="Also count statuses, zeros, NaN and Inf made.")
@threads_option
@output_format_option("text", "json", "csv")
def compare(
    source: Path,
    *,
    format_names: Sequence[str],
    profile_texts: Sequence[str],
    axis: int,
    tail: str,
    tensor_scale: str | None,
    key: int | None,
    carrier: str | None,
    status: bool,
    threads: int | None,
    output_format: str,
) -> None:
    """Say what each block format loses on the numbers of a .npy file, which may be larger than the memory.

    \b
    mxemu compare weights.npy
    mxemu compare weights.npy --format MXFP4 --format NVFP4 --profile ocp --profile rceil
    """
    formats = [read_block_format(name) for name in format_names]
    profiles = [read_profile(text) for text in profile_texts]
    scale = read_tensor_scale(tensor_scale)
    check_key(profiles, key)
    from mxemu.array.compare import FORMATS, measure
    from mxemu.array.streams import NpyFile

    set_threads(threads)
    numbers = NpyFile(source, carrier)
    with Bar(f"comparing on {source.name}", numbers.elements) as bar:
        rows = measure(
            numbers,
            formats or FORMATS,
            profiles,
            axis=axis,
            tail=tail,
            tensor_scale=scale,
            key=key,
            progress=bar,
        )
    counts = [row.counts() for row in rows] if status else []
    about = {
        "table": "compare",
        "file": str(source),
        "carrier": numbers.carrier.name,
        "shape": numbers.shape,
        "axis": axis,
    }
    click.echo(_written(about, [row.measures() for row in rows], counts, output_format))


def _written(about: dict[str, Any], measures: _Rows, counts: _Rows, output_format: str) -> str:
    match output_format:
        case "json":
            return json.dumps({**about, "rows": _finite(_joined(measures, counts))}, indent=1)
        case "csv":
            rows = _joined(measures, counts)
            lines = io.StringIO()
            table = csv.DictWriter(lines, rows[0], lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
            return lines.getvalue().rstrip("\n")
        case _:
            title = "{file}: {carrier}, shape {shape}, blocks along axis {axis}".format(**about)
            parts = [title, "", *_measure_lines(measures)]
            return "\n".join([*parts, *(["", *_count_lines(counts)] if counts else [])])


def _joined(measures: _Rows, counts: _Rows) -> _Rows:
    """One row for each format and profile, with the counts if there are any."""
    if not counts:
        return measures
    return [{**measure, **count} for measure, count in zip(measures, counts, strict=True)]


def _finite(rows: _Rows) -> _Rows:
    """JSON has no NaN and no Inf; both are null."""
    return [
        {
            key: None if isinstance(found, float) and not isfinite(found) else found
            for key, found in row.items()
        }
        for row in rows
    ]


def _measure_lines(rows: _Rows) -> list[str]:
    head = [words for words, _, _ in _MEASURES]
    cells = [[write(row[key]) for _, key, write in _MEASURES] for row in rows]
    return columns([head, *cells], right=range(2, len(head)))


def _count_lines(rows: _Rows) -> list[str]:
    head = [key.replace("_", " ") for key in rows[0]]
    return columns(
        [head, *[list(map(str, row.values())) for row in rows]], right=range(2, len(head))
    )
