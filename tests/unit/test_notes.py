"""The register of notes: every entry is complete and cites real clauses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import conformance.notes
from conformance.notes import NOTES, SETS, Note
from mxemu.clauses import CLAUSES


@pytest.mark.parametrize("note", NOTES.values(), ids=list(NOTES))
def test_a_note_is_complete(note: Note) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", note.key)
    assert NOTES[note.key] is note
    assert 5 <= len(note.title) <= 60
    for words in (note.bug, note.effect, note.fix):
        assert words.endswith(".")
        assert len(words) <= 160
    assert len({note.bug, note.effect, note.fix}) == 3
    assert len(note.hint) <= 90
    assert "  " not in note.bug + note.effect + note.fix + note.seen


@pytest.mark.parametrize("note", NOTES.values(), ids=list(NOTES))
def test_a_note_cites_clauses_of_the_register_once_each(note: Note) -> None:
    assert note.clauses
    assert len(set(note.clauses)) == len(note.clauses)
    assert set(note.clauses) <= CLAUSES.keys()


def test_every_file_is_read_and_no_note_is_given_twice() -> None:
    files = sorted(Path(conformance.notes.__file__).parent.glob("*.toml"))
    text = "\n".join(path.read_text("utf-8") for path in files)
    keys = re.findall(r"^\[([a-z0-9-]+)\]$", text, re.MULTILINE)
    assert len(keys) == len(NOTES)
    assert set(keys) == NOTES.keys()
    assert {name for name in SETS if f'"@{name}"' in text} == SETS.keys()
