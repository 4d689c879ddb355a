"""mxemu audit: can somebody's test fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mxemu.cli.options import read_carrier
from mxemu.errors import MxemuError, unknown
from mxemu.formats import BINARY32, block_format, element

if TYPE_CHECKING:
    from conformance.audit import Audit, Inputs
    from conformance.audit.tolerance import Comparison

_EPILOG = """\b
What is audited is one of
  a tolerance              --rtol R --atol A, --sqnr DB, --cosine C, --exact; several must all hold
  a function of yours      --comparison pkg.mod:name or file.py:name, called with actual and expected
  a test of yours          --pytest tests/test_kernel.py::test_quantize; it takes the kernel from the fixture
                           mxemu_subject, or from the module where --replace puts the bug

\b
Exit: 0 every bug class is caught   1 some are not, or the right result is rejected   2 wrong use
"""


@click.command(epilog=_EPILOG)
@click.argument("operation")
@click.argument("format_name", metavar="FORMAT[,FORMAT]")
@click.option("--rtol", type=click.FloatRange(min=0), help="Relative tolerance of each element.")
@click.option("--atol", type=click.FloatRange(min=0), help="Absolute tolerance of each element.")
@click.option("--sqnr", type=float, metavar="DB", help="Least signal to quantization noise.")
@click.option("--cosine", type=click.FloatRange(-1, 1), help="Least cosine similarity.")
@click.option("--exact", is_flag=True, help="Equality of every element, the sign of zero included.")
@click.option("--comparison", metavar="TARGET", help="A function of yours in place of a tolerance.")
@click.option("--pytest", "node", metavar="NODE", help="A test of yours.")
@click.option("--replace", metavar="MODULE:NAME", help="With --pytest: what the bugs replace.")
@click.option(
    "--inputs",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Your test's inputs, .npy, .npz or .safetensors; may be repeated.  [default: a normal distribution]",
)
@click.option(
    "--blocks",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Blocks of the inputs that are looked at.",
)
@click.option(
    "--carrier", metavar="NAME", help="Of the numbers, where no files say it.  [default: binary32]"
)
@click.option(
    "--save",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the inputs that show what passes, .npz.",
)
@click.option(
    "--claim", "claims", multiple=True, metavar="NAME", help="Only this class; may be repeated."
)
@click.option(
    "--output-format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_context
def audit(context: click.Context, /, operation: str, format_name: str, **options: Any) -> None:
    """Say which known bugs a test would not notice, and whether its tolerance or its inputs are the reason.

    \b
    mxemu audit fake_quantize MXFP4 --rtol 1e-2 --atol 1e-2
    mxemu audit matmul MXFP8,MXFP4 --atol 0.1 --inputs a.npy --inputs b.npy
    mxemu audit quantize MXFP8 --pytest tests/test_kernel.py::test_quantize
    """
    operation, format_name = _operation(operation), _format(operation, format_name)
    given = [name for name in ("comparison", "node") if options[name]]
    given += ["a tolerance"] * any(_asked(options))
    if len(given) != 1:
        raise MxemuError(
            f"{' and '.join(given) or 'nothing'} to audit; expected one assertion",
            "--rtol, --atol, --sqnr, --cosine, --exact; --comparison; or --pytest",
        )
    run = _node if options["node"] else _assertion
    found = run(operation, format_name, options)
    if options["save"]:
        _save(found, options["save"])
    _write(found, options["output_format"])
    context.exit(found.exit_code)


def _asked(options: dict[str, Any]) -> list[bool]:
    return [
        options[name] not in (None, False) for name in ("rtol", "atol", "sqnr", "cosine", "exact")
    ]


def _operation(name: str) -> str:
    from conformance.audit import AUDITED

    plain = name.replace("-", "_")
    found = next((one for one in AUDITED if one.replace("-", "_") == plain), None)
    if found is None:
        raise unknown("operation that can be audited", name, AUDITED)
    return found


def _format(operation: str, name: str) -> str:
    """The name of an element format, a block format, or a pair."""
    from conformance.adapter import PRODUCT_OPERATIONS, find_pair

    if operation in ("encode", "decode"):
        return element(name).name
    if operation in PRODUCT_OPERATIONS:
        pair = find_pair(name)
        for one in pair.split(","):
            block_format(one)
        return pair
    return block_format(name).name


def _node(operation: str, format_name: str, options: dict[str, Any]) -> Audit:
    """A pytest test."""
    from conformance.audit import audit_node

    if options["files"]:
        raise MxemuError("--inputs with --pytest; a test has its own inputs")
    return audit_node(
        options["node"],
        operation,
        format_name,
        options["replace"] or "",
        options["claims"],
        carrier=_carrier(options),
    )


def _assertion(operation: str, format_name: str, options: dict[str, Any]) -> Audit:
    """A tolerance, or a function of the user's."""
    from conformance.audit import Tolerance, comparison
    from conformance.audit import audit as run

    accepts: Comparison
    if options["comparison"]:
        accepts, words = comparison(options["comparison"]), options["comparison"]
    else:
        names = ("rtol", "atol", "sqnr", "cosine", "exact")
        accepts = Tolerance(**{name: options[name] for name in names})
        words = str(accepts)
    if options["replace"]:
        raise MxemuError("--replace without --pytest; expected a test whose subject is replaced")
    inputs, source = _inputs(operation, format_name, options)
    return run(inputs, accepts, words, options["claims"], source)


def _carrier(options: dict[str, Any]) -> str:
    found = read_carrier(options["carrier"] or BINARY32.name)
    return (found or BINARY32).name


def _inputs(operation: str, format_name: str, options: dict[str, Any]) -> tuple[Inputs, str]:
    """The user's arrays, or the usual ones."""
    from conformance.audit import given_inputs, read_arrays, usual_inputs

    files: tuple[Path, ...] = options["files"]
    if not files:
        usual = usual_inputs(operation, format_name, _carrier(options))
        return usual, "numbers from a normal distribution"
    if options["carrier"]:
        raise MxemuError("--carrier with --inputs; expected one, as files say what they hold")
    data: dict[str, Any] = {}
    for path in files:
        data |= {f"{path}:{name}": array for name, array in read_arrays(path).items()}
    return given_inputs(operation, format_name, data, options["blocks"]), ", ".join(map(str, files))


def _save(found: Audit, path: Path) -> None:
    """The inputs that show what passes."""
    from conformance.audit import save_arrays
    from conformance.audit.power import shown_by

    if not found.cases:
        click.echo(f"nothing passes for which inputs are known; {path} is not written", err=True)
        return
    arrays = shown_by(found.inputs).arrays(found.cases)
    save_arrays(path, arrays)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    click.echo(f"{path}: {shapes}", err=True)


def _write(found: Audit, output_format: str) -> None:
    from conformance.audit import render_json, render_text

    click.echo(render_json(found) if output_format == "json" else render_text(found))
