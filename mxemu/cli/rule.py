"""``mxemu rule``: one clause, one note or one scale rule."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import click

from mxemu.clauses import CLAUSES, IMPLEMENTED, Clause
from mxemu.cli.text import columns, labelled, wrapped
from mxemu.errors import unknown
from mxemu.profile import PRESETS, SCALE_RULES, ScaleRule

if TYPE_CHECKING:
    from conformance.notes import Note

# Importing them fills the register of implementing functions.
_CORE = ("formats", "profile", "scalar", "scale", "block", "accumulation", "products")

# A command that shows the clause at work: the longest beginning of the id counts.
_EXAMPLES = {
    "MX-5.1": "mxemu explain quantize MXFP4 7 -1 0.3",
    "MX-5.1-BITS": "mxemu table MXFP6_E3M2",
    "MX-5.1-NANSCALE": "mxemu explain quantize MXFP4 1 nan 3",
    "MX-5.1-SPECIAL": "mxemu explain quantize MXFP8_E5M2 1 inf --profile finite-amax,overflow=overflow --elem 1",
    "MX-5.1-OVF32": "mxemu explain quantize MXFP4 3.3e38 --profile rceil",
    "MX-4-SCOPE-NANELEM": "mxemu explain quantize MXFP4 1 nan 3",
    "MX-4-SCOPE-SCALEALG": "mxemu list rules",
    "MX-4-SCOPE-FP8": "mxemu table E4M3 --stats",
    "MX-5.2": "mxemu list formats",
    "MX-5.3-": "mxemu table E4M3 --grid",
    "MX-5.3.1": "mxemu explain E4M3 464",
    "MX-5.3.1-ENC": "mxemu table E4M3 --grid",
    "MX-5.3.2": "mxemu explain E3M2 29.9",
    "MX-5.3.2-ENC": "mxemu table E3M2 --grid",
    "MX-5.3.2-INF": "mxemu explain E3M2 inf",
    "MX-5.3.2-NAN": "mxemu explain E3M2 nan",
    "MX-5.3.3": "mxemu explain E2M1 5",
    "MX-5.3.3-ENC": "mxemu table E2M1",
    "MX-5.3.3-INF": "mxemu explain E2M1 inf",
    "MX-5.3.3-NAN": "mxemu explain E2M1 nan",
    "MX-5.3.4": "mxemu explain INT8 -2.5",
    "MX-5.3.4-ENC": "mxemu explain INT8 0x5D",
    "MX-5.3.4-NEG2": "mxemu explain INT8 0x80",
    "MX-5.3.4-NAN": "mxemu explain INT8 nan",
    "MX-5.4.1": "mxemu explain E8M0 0x00",
    "MX-5.4.1-NAN": "mxemu explain E8M0 0xFF",
    "MX-6.3": "mxemu explain quantize MXFP8_E4M3 957",
}


@click.command()
@click.argument("name", metavar="ID")
def rule(name: str) -> None:
    """Say what a clause, a note or a scale rule is about.

    ID is a clause such as MX-6.3-SCALE, a note such as shift23-scale, a known mistake that a report names, such as
    half-up, or a scale rule such as RCEIL. The page of a mistake has its smallest input and how to fix it.

    \b
    mxemu list clauses
    mxemu list notes
    mxemu list rules
    """
    wanted = name.strip().lower()
    clause = {key.lower(): clause for key, clause in CLAUSES.items()}.get(wanted)
    if clause is not None:
        click.echo("\n".join(_clause_lines(clause)))
        return
    found = SCALE_RULES.get(wanted.upper().replace("-", "_"))
    click.echo(
        "\n".join(_scale_rule_lines(found) if found is not None else _note_lines(wanted, name))
    )


def _clause_lines(clause: Clause) -> list[str]:
    from conformance.notes import NOTES
    from conformance.traceability import deviating_subjects

    for module in _CORE:
        import_module(f"mxemu.{module}")
    head = f"{clause.id}  {clause.strength.value}, section {clause.section}: {clause.title}"
    functions = IMPLEMENTED.get(clause.id, [])
    notes = columns((note.key, note.title) for note in NOTES.values() if clause.id in note.clauses)
    rows = _rows("implemented by", functions or [_unimplemented(clause)])
    rows += _rows("notes", notes)
    rows += [("fix", "mxemu rule NOTE, for the note that comes closest")] if notes else []
    beside = deviating_subjects()[clause.id]
    rows += _rows("systems", [f"that deviate: {', '.join(beside)}"] if beside else [])
    rows += _rows("try", _example(clause.id))
    return [head, "", *wrapped(clause.text, indent=2), "", *labelled(rows)]


def _rows(label: str, texts: list[str]) -> list[tuple[str, str]]:
    return [(label if place == 0 else "", text) for place, text in enumerate(texts)]


def _unimplemented(clause: Clause) -> str:
    if clause.since is None:
        return "nothing: there is nothing to compute"
    return f"nothing yet; due in mxemu {clause.since}"


def _example(clause_id: str) -> list[str]:
    fitting = [start for start in _EXAMPLES if clause_id.startswith(start)]
    return [_EXAMPLES[max(fitting, key=len)]] if fitting else []


def _scale_rule_lines(found: ScaleRule) -> list[str]:
    presets = [preset.name for preset in PRESETS.values() if preset.scale_rule == found]
    rows = [
        ("formula", found.formula if found.ratio else f"exponent of the scale = {found.formula}"),
        ("arithmetic", found.arithmetic.value),
        *_rows("profiles", [", ".join(presets)] if presets else []),
        (
            "try",
            f"mxemu explain quantize {'NVFP4' if found.ratio else 'MXFP4'} 7 --profile ocp,scale_rule={found.name}",
        ),
    ]
    tail = [] if found.ratio else _letters()
    return [f"{found.name}  scale rule: {found.note}", "", *labelled(rows), *tail]


def _letters() -> list[str]:
    return [
        "",
        *wrapped(
            "The largest magnitude of a block is f * 2^e with 1 <= f < 2. M is max / 2^emax of the element format, m "
            "its mantissa bits; [condition] counts 1 where it holds.",
            indent=2,
        ),
    ]


def _note_lines(wanted: str, name: str) -> list[str]:
    from conformance.notes import NOTES

    note = NOTES.get(wanted)
    if note is None:
        return _zoo_lines(wanted, name)
    from conformance.rules import page

    found = page(wanted)
    rows = [("mistake", note.bug), ("effect", note.effect), *_clauses(note.clauses)]
    rows += _smallest(found.smallest)
    rows += [("", f"as {found.member} computes it")] if found.smallest else []
    rows += [*_fix(note), *_rows("seen", [note.seen] if note.seen else [])]
    rows += _rows("systems", [", ".join(found.systems)] if found.systems else [])
    return [f"{note.key}  {note.title}", "", *labelled([*rows, *_try(found.member)])]


def _clauses(ids: Sequence[str]) -> list[tuple[str, str]]:
    return _rows("clauses", columns((one, CLAUSES[one].title) for one in ids))


def _fix(note: Note) -> list[tuple[str, str]]:
    return _rows("fix", [note.fix, *([note.hint] if note.hint else [])])


def _smallest(texts: Sequence[str]) -> list[tuple[str, str]]:
    """A failing input in lines that fit: a long one breaks where it has two spaces."""
    parts = (text.split("  ") if len(text) > _LINE else [text] for text in texts)
    return _rows("smallest", [part for some in parts for part in some])


_LINE = 80


def _try(member: str) -> list[tuple[str, str]]:
    """The command that checks a wrong implementation, if that is one."""
    from conformance.zoo import MEMBERS

    if member not in {one.name for one in MEMBERS}:
        return []
    return [("try", f"mxemu check conformance.zoo:{member.replace('-', '_')} --level smoke")]


def _zoo_lines(wanted: str, name: str) -> list[str]:
    """A wrong implementation of the zoo, which reports name as a cause; NumPy is imported for it."""
    from conformance.notes import NOTES
    from conformance.zoo import MEMBERS

    member = next((one for one in MEMBERS if one.name == wanted), None)
    if member is None:
        problem = unknown(
            "rule", name, [*CLAUSES, *NOTES, *SCALE_RULES, *(one.name for one in MEMBERS)]
        )
        short = str(problem).partition("; expected one of")[0]
        raise type(problem)(short, "mxemu list clauses, mxemu list notes, mxemu list rules")
    from conformance.report.smallest import lines

    note = NOTES[member.note]
    rows = [
        ("mistake", " ".join((inspect.getdoc(member) or "").split())),
        ("shows in", ", ".join(member.operations)),
        ("note", f"{member.note}  {note.title}"),
        *_smallest(lines(member)),
        *_fix(note),
        *_try(member.name),
    ]
    return [f"{member.name}  a wrong implementation in the zoo", "", *labelled(rows)]
