"""``mxemu dequantize``: a file of blocks to a .npy file."""

from __future__ import annotations

from pathlib import Path

import click

from mxemu.cli.progress import Bar
from mxemu.cli.work import check_target, force_option, set_threads, threads_option


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT.npy", type=click.Path(path_type=Path))
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32", "float64"]),
    default="float32",
    show_default=True,
    help="Of the numbers that are written.",
)
@threads_option
@force_option
def dequantize(source: Path, target: Path, dtype: str, threads: int | None, force: bool) -> None:
    """Convert a file of blocks (.npz or .safetensors, from mxemu quantize or Blocks.save) to numbers in a .npy file.

    \b
    mxemu dequantize weights.npz back.npy
    mxemu dequantize weights.npz back.npy --dtype float16
    """
    check_target(target, force)
    from mxemu.array.streams import dequantize_file, elements_of

    set_threads(threads)
    with Bar(f"dequantizing {source.name}", elements_of(source)) as bar:
        made = dequantize_file(source, target, dtype, bar)
    click.echo(
        f"{target}: {made.elements} elements as {dtype}, shape {made.header.shape}, "
        f"from {made.header.block_format} ({made.header.profile}), {made.size} bytes"
    )
