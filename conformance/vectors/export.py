"""What another language needs to use vectors without Python: generated C, SystemVerilog and Verilog."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from conformance.vectors import memh, mxb
from conformance.vectors.emit import c, golden, model, systemverilog
from conformance.vectors.of_elements import Decode, Encode, EncodeScaled
from conformance.vectors.of_products import Dot
from conformance.vectors.shipped import runs_text, scaled_runs
from conformance.vectors.suites import Key, Suite, suite
from mxemu.errors import MxemuError
from mxemu.formats import BlockFormat
from mxemu.runs import runs

Export = tuple[str, Iterator[bytes]]


def export(keys: Sequence[Key], target: str, scales: Sequence[int] = ()) -> Iterator[Export]:
    """Files by name, each in pieces.

    Parameters
    ----------
    keys : sequence of Key
    target : str
        ``c``, ``sv``, ``model``, ``golden`` or ``runs``.
    scales : sequence of int
        Scale codes, for golden modules and runs tables of encode-scaled.

    Raises
    ------
    MxemuError
        When a set has no such export.
    """
    if target == "model":
        yield from _model(keys)
        return
    for key in keys:
        one = suite(key)
        match target:
            case "c":
                yield from _c(one)
            case "sv":
                yield from _systemverilog(one)
            case "golden":
                yield from _golden(one, scales)
            case _:
                yield from _runs(one, scales)


def _c(one: Suite) -> Iterator[Export]:
    name = one.table.identifier
    yield f"{name}.h", _text(c.header(one.table))
    yield f"{name}_runner.c", _text(c.runner(one.table))
    yield f"{name}.mxb", mxb.data(one.table, one.batches(), one.count)


def _systemverilog(one: Suite) -> Iterator[Export]:
    name = one.table.identifier
    yield f"{name}_pkg.sv", _text(systemverilog.package(one.table, one.count, f"{name}.memh"))
    yield f"{name}_tb.sv", _text(systemverilog.testbench(one.table, one.count, f"{name}.memh"))
    yield f"{name}.memh", memh.text(one.table, one.batches(), one.count)


def _model(keys: Sequence[Key]) -> Iterator[Export]:
    """One model for the block formats of all sets."""
    blocks: dict[str, BlockFormat] = {}
    for key in keys:
        one = suite(key)
        found = one.formats if isinstance(one, Dot) else (getattr(one, "block", None),)
        blocks |= {fmt.name: fmt for fmt in found if isinstance(fmt, BlockFormat)}
    if not blocks:
        raise MxemuError(
            f"no block format in {', '.join(key.name for key in keys[:3])}",
            "a model is of block formats: mxemu vectors export mxfp8_e4m3 --to model",
        )
    accumulations = dict.fromkeys(key.accumulation for key in keys)
    record = next(iter(accumulations))
    for name, text in model.c_model(tuple(blocks.values()), keys[0].profile, record).items():
        yield name, _text(text)


def _golden(one: Suite, scales: Sequence[int]) -> Iterator[Export]:
    match one:
        case Decode():
            texts = [golden.golden_decoder(one.element, one.carrier)]
        case Encode():
            texts = [golden.golden_encoder(one.element, one.carrier, one.key.profile, None)]
        case EncodeScaled():
            texts = [
                golden.golden_encoder(one.element, one.carrier, one.key.profile, scale)
                for scale in _needed(one, scales)
            ]
        case _:
            raise _none(one, "golden module")
    for text in texts:
        yield f"{_module(text)}.v", _text(text)


def _module(text: str) -> str:
    """The name of the first module in a Verilog text."""
    line = next(line for line in text.splitlines() if line.startswith("module "))
    return line.split()[1].strip("(;#")


def _runs(one: Suite, scales: Sequence[int]) -> Iterator[Export]:
    name = one.table.identifier
    match one:
        case Encode():
            table = runs(one.element, one.carrier, one.key.profile)
            yield f"{name}.runs.csv", _text(runs_text(table))
        case EncodeScaled():
            for scale in _needed(one, scales):
                table = scaled_runs(one.block, scale, one.carrier, one.key.profile)
                yield f"{name}.s{scale:02x}.runs.csv", _text(runs_text(table))
        case _:
            raise _none(one, "runs table")


def _needed(one: Suite, scales: Sequence[int]) -> Sequence[int]:
    if not scales:
        raise MxemuError(f"{one.table.name} depends on the scale; expected --scale CODE")
    return scales


def _none(one: Suite, what: str) -> MxemuError:
    return MxemuError(
        f"{one.table.name} has no {what}",
        "encode and encode-scaled have, decode for golden modules",
    )


def _text(text: str) -> Iterator[bytes]:
    yield text.encode()
