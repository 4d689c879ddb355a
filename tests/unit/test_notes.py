"""The register of notes: every entry is complete and cites real clauses."""

from __future__ import annotations

import re

import pytest

from conformance.notes import NOTES, Note
from mxemu.clauses import CLAUSES


@pytest.mark.parametrize("note", NOTES.values(), ids=list(NOTES))
def test_a_note_is_complete(note: Note) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", note.key)
    assert NOTES[note.key] is note
    assert 5 <= len(note.title) <= 60
    assert note.bug.endswith(".")
    assert note.effect.endswith(".")
    assert note.bug != note.effect
    assert "  " not in note.bug + note.effect + note.seen


@pytest.mark.parametrize("note", NOTES.values(), ids=list(NOTES))
def test_a_note_cites_clauses_of_the_register_once_each(note: Note) -> None:
    assert note.clauses
    assert len(set(note.clauses)) == len(note.clauses)
    assert set(note.clauses) <= CLAUSES.keys()
