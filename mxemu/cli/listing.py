"""``mxemu list``: what there is to name in the other commands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mxemu.clauses import CLAUSES
from mxemu.cli.options import output_format_option
from mxemu.cli.text import WIDTH, columns, value_text, wrapped
from mxemu.formats import BLOCK_FORMATS, CARRIERS, ELEMENTS, MX_ELEMENTS, BlockFormat, ElementFormat
from mxemu.profile import FIELDS, PRESETS, SCALE_RULES, alternatives, plain

if TYPE_CHECKING:
    from mxemu.accumulation import Accumulation

_KINDS = ("formats", "profiles", "accumulations", "subjects", "clauses", "notes", "rules")

# What says more about one thing of a kind.
_MORE = {
    "formats": "try mxemu table",
    "subjects": "try mxemu check",
    "clauses": "try mxemu rule",
    "notes": "try mxemu rule",
    "rules": "try mxemu rule",
}

# A list as objects for programs, and as lines for people.
_Listing = tuple[list[dict[str, Any]], list[str]]


@click.command()
@click.argument("kind", metavar="KIND", type=click.Choice(_KINDS))
@click.argument("name", metavar="[NAME]", required=False)
@output_format_option("text", "json")
def listing(kind: str, name: str | None, output_format: str) -> None:
    """List one KIND of thing: formats, profiles, accumulations, subjects, clauses, notes (mistakes), rules (of scales).

    An accumulation that is named is printed as TOML, to copy and change.
    """
    if name is not None and kind != "accumulations":
        more = f"; {_MORE[kind]} {name}" if kind in _MORE else ""
        raise click.UsageError(f"list {kind} takes no name{more}")
    makers: dict[str, Callable[[], _Listing]] = {
        "formats": _formats,
        "profiles": _profiles,
        "accumulations": lambda: _accumulations(name),
        "subjects": _subjects,
        "clauses": _clauses,
        "notes": _notes,
        "rules": _rules,
    }
    objects, lines = makers[kind]()
    click.echo(json.dumps(objects, indent=1) if output_format == "json" else "\n".join(lines))


def _formats() -> _Listing:
    mx: list[ElementFormat] = [*MX_ELEMENTS, ELEMENTS["E8M0"]]
    others = [fmt for fmt in ELEMENTS.values() if fmt not in mx]
    carriers: list[ElementFormat] = [*CARRIERS.values()]
    lines = ["Element and scale formats of OCP MX v1.0", *_element_lines(mx, origin=False)]
    lines += ["", "Other element formats", *_element_lines(others, origin=True)]
    lines += ["", "Carriers, the formats of inputs", *_element_lines(carriers, origin=False)]
    lines += ["", "Block formats", *_block_lines(), ""]
    lines += wrapped(
        "Any case, with - or _ or neither; MXFP4 and MXFP8 mean MXFP4_E2M1 and MXFP8_E4M3. Made to measure: "
        "E3M3:finite, E4M3:fn (topmost code NaN), E4M3:ieee, E4M3:fnuz, INT6, and blocks as E2M1/E8M0/16."
    )
    objects = [_format_object(fmt) for fmt in (*mx, *others, *carriers)]
    return [*objects, *map(_block_object, BLOCK_FORMATS.values())], lines


def _element_lines(formats: list[ElementFormat], *, origin: bool) -> list[str]:
    rows = [("", "bits", "max", "smallest", "")]
    for fmt in formats:
        ends = (value_text(fmt.max), value_text(fmt.min_positive))
        rows.append((fmt.name, str(fmt.width), *ends, fmt.origin if origin else ""))
    return ["  " + line for line in columns(rows, right=(1,))]


def _block_lines() -> list[str]:
    rows = [("", "k", "bits", "elements", "scale", "")]
    for fmt in BLOCK_FORMATS.values():
        origin = "" if fmt.is_concrete_mx else fmt.origin
        counts = (str(fmt.k), str(fmt.bits_per_block))
        rows.append((fmt.name, *counts, fmt.element.name, fmt.scale.name, origin))
    return ["  " + line for line in columns(rows, right=(1, 2))]


def _format_object(fmt: ElementFormat) -> dict[str, Any]:
    return {
        "name": fmt.name,
        "kind": "element",
        "bits": fmt.width,
        "max": value_text(fmt.max),
        "min_positive": value_text(fmt.min_positive),
        "defined_by": fmt.origin,
    }


def _block_object(fmt: BlockFormat) -> dict[str, Any]:
    return {
        "name": fmt.name,
        "kind": "block",
        "element": fmt.element.name,
        "scale": fmt.scale.name,
        "k": fmt.k,
        "bits_per_block": fmt.bits_per_block,
        "concrete_mx": fmt.is_concrete_mx,
        "defined_by": fmt.origin,
    }


# What the fields take that have no list of choices.
_NUMBERS = {
    "random_bits": "32; a number from 1 to 64",
    "amax_floor": "None; a number such as 1e-4, rounded to binary32",
    "scale_clamp": "None; lowest and highest scale code, such as 1-254",
}


def _profiles() -> _Listing:
    objects, lines = [], []
    for preset in PRESETS.values():
        changes = {name: plain(choice) for name, choice in preset.changes().items()}
        objects.append({"name": preset.name, "note": preset.note, "changes": changes})
        lines += [preset.name, *wrapped(preset.note, indent=4)]
        if changes:
            lines += wrapped(
                ", ".join(f"{name}={choice}" for name, choice in changes.items()), indent=4
            )
    lines += [
        "",
        "To change fields: --profile NAME,FIELD=VALUE,... Fields and their values, those of ocp first:",
    ]
    for name in FIELDS:
        own = plain(PRESETS["ocp"].choices()[name])
        others = [plain(choice) for choice in alternatives(name) if plain(choice) != own]
        words = ", ".join([own, *others]) if others else _NUMBERS[name]
        lines += ["  " + name, *wrapped(words, indent=6)]
    return objects, lines


def _accumulations(name: str | None) -> _Listing:
    from mxemu.accumulations import ACCUMULATIONS, to_mapping
    from mxemu.cli.options import read_accumulation
    from mxemu.explain.sentences import describe, specials

    found = list(ACCUMULATIONS.values()) if name is None else [read_accumulation(name)]
    objects = [
        {
            "name": each.name,
            "grade": each.grade.value,
            "operands": list(each.operands),
            "does": describe(each),
            "specials": specials(each),
            "note": each.note,
            "source": each.source,
            "record": to_mapping(each),
        }
        for each in found
    ]
    return objects, _accumulation_lines(found) if name is None else _record_lines(found[0])


def _accumulation_lines(found: list[Accumulation]) -> list[str]:
    """Three lines for each: name and grade, what it does, where it is seen; and what the grades mean."""
    from mxemu.explain.sentences import GRADES, describe

    lines = []
    heads = columns((each.name, each.grade.value, ", ".join(each.operands)) for each in found)
    for each, head in zip(found, heads, strict=True):
        lines += [head, *wrapped(f"{describe(each)}.", indent=4)]
        lines += wrapped(" ".join(filter(None, (each.note, each.source))), indent=4)
    lines += ["", "What the agreement with the unit rests on:"]
    lines += columns((f"  {grade.value}", words) for grade, words in GRADES.items())
    tail = (
        "e is the exponent that the terms of one sum are aligned to. No accumulation is the MX specification, which "
        "leaves order and precision open. Made to measure: kulisch(width, lsb), or a TOML file; "
        "mxemu list accumulations NAME prints one to start from."
    )
    return [*lines, "", *wrapped(tail)]


def _record_lines(record: Accumulation) -> list[str]:
    """An accumulation as TOML, under what it does."""
    import tomli_w

    from mxemu.accumulations import to_mapping
    from mxemu.explain.sentences import describe, specials

    words = wrapped(f"{describe(record)}. {specials(record)}.", WIDTH - 2)
    written = tomli_w.dumps(to_mapping(record))
    # Lists hold numbers and names; one line each reads better than one line for each of them.
    flat = re.sub(r"\[\n((?: +[^\n]*,\n)+)\]", lambda found: _flat(found[1]), written)
    return [*("# " + line for line in words), *flat.splitlines()]


def _flat(lines: str) -> str:
    """A list of one line from the lines of its members."""
    return "[" + ", ".join(line.strip().rstrip(",") for line in lines.splitlines()) + "]"


def _subjects() -> _Listing:
    from mxemu.cli.subjects import subjects

    objects, rows, declared = [], [], []
    for each in subjects():
        here = (
            each.installed
            and f"{each.installed}, tested with {each.requirement.partition('==')[2]}"
        )
        objects.append(
            {
                "name": each.name,
                "installed": each.installed,
                "tested_with": each.requirement,
                "declares": each.declares,
            }
        )
        rows.append((each.name, here or f"not installed: pip install {each.requirement}"))
        declared.append((each.name, f"declares {each.declares}"))
    lines = [*columns(rows), "", *columns(declared), ""]
    lines += wrapped(
        "mxemu check NAME checks one, with --isolated in an environment of its own; mxemu check FILE.py checks yours."
    )
    return objects, lines


def _clauses() -> _Listing:
    objects = [
        {"id": each.id, "strength": each.strength.value, "title": each.title}
        for each in CLAUSES.values()
    ]
    lines = columns((each["id"], each["strength"], each["title"]) for each in objects)
    return objects, [*lines, "", "mxemu rule ID says more."]


def _notes() -> _Listing:
    from conformance.notes import NOTES

    objects = [
        {"key": each.key, "title": each.title, "clauses": list(each.clauses)}
        for each in NOTES.values()
    ]
    lines = columns((each.key, each.title) for each in NOTES.values())
    return objects, [*lines, "", "mxemu rule KEY says more."]


def _rules() -> _Listing:
    objects, lines = [], []
    for rule in SCALE_RULES.values():
        objects.append({"name": rule.name, "formula": rule.formula, "note": rule.note})
        lines += [f"{rule.name}: {rule.formula}", *wrapped(rule.note, indent=4)]
    tail = (
        "The largest magnitude of a block is f * 2^e with 1 <= f < 2. M is max / 2^emax of the element format, m its "
        "mantissa bits; [condition] counts 1 where it holds."
    )
    return objects, [*lines, "", *wrapped(tail)]
