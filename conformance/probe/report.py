"""A finding as text, as JSON, and as the TOML record that `mxemu.accumulations.from_mapping` takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from textwrap import wrap
from typing import Any

import tomli_w

from conformance.probe.finding import Example, Finding, Parameter, Rejected
from conformance.probe.words import ranges
from mxemu.accumulation import Accumulation
from mxemu.accumulations import ACCUMULATIONS, to_mapping
from mxemu.explain.sentences import describe, specials

SCHEMA = 1
_WIDTH = 110
_CLOSEST = 5


def record_of(finding: Finding) -> Accumulation | None:
    """The accumulation as it is written down: under a preset's name if it is one."""
    if finding.record is None:
        return None
    if finding.names:
        return ACCUMULATIONS[finding.names[0]]
    note = f"Found by probing {finding.subject}: {_operands(finding)}, K = {finding.space.length}."
    operands = tuple(dict.fromkeys(fmt.name for fmt in finding.space.elements))
    return finding.record.replace(
        name=f"probed-{finding.subject}", note=note, grade="measured", operands=operands
    )


def render_toml(finding: Finding) -> str:
    """The record with what is known about it as comments; empty if there is none."""
    record = record_of(finding)
    if record is None:
        return ""
    lines = [f"# mxemu probe: {finding.subject}, {_operands(finding)}, K = {finding.space.length}."]
    lines += [
        f"# {line}"
        for line in wrap(f"{finding.queries:,} questions. {_also(finding)}".strip(), _WIDTH)
    ]
    for parameter in _unseen(finding):
        lines += [f"# {line}" for line in wrap(f"Does not show: {_free(parameter)}", _WIDTH)]
    return "\n".join([*lines, "", tomli_w.dumps(_ordered(to_mapping(record)))]).rstrip()


def _ordered(table: dict[str, Any]) -> dict[str, Any]:
    """Plain fields before tables, as TOML wants them."""
    return dict(sorted(table.items(), key=lambda item: isinstance(item[1], dict)))


def render_json(finding: Finding, exit_code: int) -> str:
    """Everything, for programs."""
    record, space = record_of(finding), finding.space
    table = {
        "schema": SCHEMA,
        "subject": finding.subject,
        "formats": [space.a.name, space.b.name],
        "length": space.length,
        "k": space.k if space.scaled else None,
        "out": space.out.name,
        "c": space.takes_c,
        "exit_code": exit_code,
        "presets": list(finding.names),
        "record": None if record is None else to_mapping(record),
        "closest": None if finding.closest is None else to_mapping(finding.closest),
        "explained": finding.explained,
        "answers": finding.answers,
        "parameters": [asdict(one) for one in finding.parameters],
        "observations": [
            dict(zip(("question", "answer", "about"), one, strict=True))
            for one in finding.observations
        ],
        "rejected": [asdict(one) for one in finding.rejected],
        "unsteady": None
        if finding.unsteady is None
        else {"how": finding.unsteady[0], **asdict(finding.unsteady[1])},
        "queries": finding.queries,
        "seconds": round(finding.seconds, 3),
        "box_seconds": round(finding.box_seconds, 3),
    }
    return json.dumps(table, indent=1)


def render_text(finding: Finding) -> str:
    """The report for people."""
    parts = [
        _head(finding),
        _found(finding),
        _shown(finding),
        _not_shown(finding),
        _seen(finding),
        _others(finding),
    ]
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))


def _operands(finding: Finding) -> str:
    names = [finding.space.a.name, finding.space.b.name]
    return " times ".join(names)


def _head(finding: Finding) -> Iterator[str]:
    space = finding.space
    c = (
        f"C and results in {space.out.name}"
        if space.takes_c
        else f"results in {space.out.name}, no C"
    )
    yield f"{finding.subject}: dots of {_operands(finding)}, K = {space.length}, {c}"
    box = f"{finding.box_seconds:.1f} s of them in the box"
    yield f"{finding.queries:,} questions in {finding.seconds:.1f} s, {box}"


def _found(finding: Finding) -> Iterator[str]:
    record = record_of(finding)
    if finding.unsteady is not None:
        yield from _unsteady(*finding.unsteady)
        return
    if record is None:
        yield "NOT FOUND: no accumulation that was tried explains every answer"
        if finding.closest is not None:
            yield f"  closest   {finding.explained:,} of {finding.answers:,} answers:"
            yield from _indented(describe(finding.closest))
        return
    yield f"FOUND: {', '.join(finding.names) or 'an accumulation without a name'}"
    yield from _indented(describe(record))
    yield from _indented(specials(record))
    also = _also(finding)
    if also:
        yield from _indented(also)


def _unsteady(how: str, example: Example) -> Iterator[str]:
    """Two answers to one question."""
    yield f"NOT FOUND: the box answers the same question differently {how}"
    yield from _indented(f"asked     {example.question}")
    yield f"  answered  {example.box}, then {example.other}"


def _also(finding: Finding) -> str:
    if len(finding.names) < 2:
        return ""
    return f"These presets give the same bits for such dots: {', '.join(finding.names)}."


def _indented(text: str, indent: str = "  ") -> Iterator[str]:
    yield from wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)


def _shown(finding: Finding) -> Iterator[str]:
    """The parameters that show, each with the question that excludes another value."""
    known = [one for one in finding.parameters if one.excluded]
    if known:
        yield "How each parameter shows"
    for one in known:
        other, example = next(iter(one.excluded.items()))
        yield f"  {one.name} = {one.value}"
        yield from _indented(f"asked     {example.question}", "    ")
        yield f"    answered  {example.box}; with {other} it would be {example.other}"


def _unseen(finding: Finding) -> list[Parameter]:
    return [one for one in finding.parameters if one.free]


def _free(one: Parameter) -> str:
    return f"{one.name}: any of {ranges([*one.free, one.value])}"


def _not_shown(finding: Finding) -> Iterator[str]:
    """The values that cannot be told apart."""
    unseen = _unseen(finding)
    if unseen:
        yield "What does not show: these values give the same bits for every dot that was tried"
    for one in unseen:
        yield from _indented(_free(one))


def _seen(finding: Finding) -> Iterator[str]:
    """What was read directly, under what it says."""
    if finding.observations:
        yield "What was asked first"
    last = ""
    for asked, came, about in finding.observations:
        if about != last:
            yield from _indented(about)
        last = about
        yield from _indented(f"{asked}: {came}", "    ")


def _others(finding: Finding) -> Iterator[str]:
    """The closest presets that it is not."""
    if finding.rejected:
        yield "Presets that it is not, the closest first"
    for one in finding.rejected[:_CLOSEST]:
        yield from _rejected(one)
    rest = len(finding.rejected) - _CLOSEST
    if rest > 0:
        yield f"  and {rest} more; --output-format json has up to 20 counterexamples of each"


def _rejected(one: Rejected) -> Iterator[str]:
    yield f"  {one.name}: {one.wrong:,} of {one.of:,} answers are others"
    example = one.examples[0]
    yield from _indented(f"asked     {example.question}", "    ")
    yield f"    answered  {example.box}; {one.name} gives {example.other}"
