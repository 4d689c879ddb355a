"""``mxemu quantize``: a .npy file to a file of blocks."""

from __future__ import annotations

from pathlib import Path

import click

from mxemu.cli.options import profile_option, read_block_format, read_profile
from mxemu.cli.progress import Bar
from mxemu.cli.work import (
    axis_option,
    carrier_option,
    check_key,
    check_target,
    force_option,
    key_option,
    read_tensor_scale,
    set_threads,
    tail_option,
    tensor_scale_option,
    threads_option,
)


@click.command()
@click.argument("source", metavar="IN.npy", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--format", "format_name", metavar="NAME", required=True, help="mxemu list formats shows them."
)
@profile_option
@axis_option
@tail_option("refuse")
@tensor_scale_option
@key_option
@carrier_option
@threads_option
@force_option
def quantize(
    source: Path,
    target: Path,
    *,
    format_name: str,
    profile_text: str,
    axis: int,
    tail: str,
    tensor_scale: str | None,
    key: int | None,
    carrier: str | None,
    threads: int | None,
    force: bool,
) -> None:
    """Convert the numbers of a .npy file to blocks, in a file OUT that ends in .npz or .safetensors.

    The file may be larger than the memory. mxemu dequantize is the way back, and Blocks.load in Python.

    \b
    mxemu quantize weights.npy weights.npz --format MXFP4
    mxemu quantize weights.npy weights.safetensors --format MXFP8_E4M3 --profile rceil --axis 0
    """
    fmt, profile = read_block_format(format_name), read_profile(profile_text)
    scale = read_tensor_scale(tensor_scale)
    check_key([profile], key)
    check_target(target, force)
    from mxemu.array.streams import NpyFile, quantize_file

    set_threads(threads)
    numbers = NpyFile(source, carrier)
    passes = 2 if scale == "amax" else 1
    with Bar(f"quantizing {source.name}", passes * numbers.elements) as bar:
        made = quantize_file(
            numbers,
            target,
            fmt,
            profile,
            axis=axis,
            tail=tail,
            tensor_scale=scale,
            key=key,
            progress=bar,
        )
    click.echo(
        f"{target}: {made.elements} elements in {fmt} ({profile}), "
        f"{made.bits_per_element:.4g} bits each, {made.size} bytes"
    )
