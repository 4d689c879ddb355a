"""Rule pages: every mistake shows its smallest failing input, computed, and says how to fix it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from functools import cache

import pytest
from click.testing import CliRunner

from conformance import rules, zoo
from conformance.generate import ROOT
from conformance.notes import NOTES
from conformance.report import smallest
from conformance.zoo.reference import Reference
from mxemu.cli import cli

MEMBERS = {member.name: member for member in zoo.MEMBERS}

# Notes that no case of check shows: they are about bytes, sweeps, or what no comparison sees.
WITHOUT_INPUT = {
    "nan-sign",
    "out-of-binary32",
    "bit-order",
    "scale-place",
    "every-input",
    "every-upper-half",
    "random",
}


@cache
def shown(*words: str) -> str:
    found = CliRunner().invoke(cli, ["rule", *words])
    assert found.exit_code == 0, found.output
    return found.stdout


def test_every_note_shows_an_input_or_has_a_reason() -> None:
    found = {page.note.key: page for page in rules.pages()}
    assert list(found) == list(NOTES)
    assert {key for key, page in found.items() if not page.smallest} == WITHOUT_INPUT
    for member in zoo.MEMBERS:
        assert found[member.note].member in MEMBERS


def test_what_came_is_not_what_was_expected() -> None:
    for page in rules.pages():
        for sides in page.smallest[1:2]:
            parts = [part for part in sides.split("  ") if part.startswith(("dut", "ref"))]
            dut, ref = (part[3:] for part in parts)
            assert dut != ref, page.note.key


SHOWN = ["half-up", "early-overflow", "shift23", "float-log2-binary32", "second-scale-dropped"]


@pytest.mark.parametrize("name", SHOWN)
def test_the_rule_shows_it_and_the_command_runs(name: str) -> None:
    *_, command = smallest.lines(MEMBERS[name])
    assert CliRunner().invoke(cli, shlex.split(command)[1:]).exit_code == 0
    assert "  smallest   " in shown(name)
    assert command in " ".join(shown(name).split())


def test_half_up_goes_wrong_at_a_tie() -> None:
    assert smallest.lines(MEMBERS["half-up"]) == [
        "encode E4M3 (binary32)",
        "in 0x3A800000 = 2^-10  dut 0x01 0_0000_001 = 2^-9  ref 0x00 0_0000_000 = 0",
        "mxemu explain E4M3 2^-10",
    ]


def test_what_is_right_has_none() -> None:
    class Right(Reference):
        name = "right"
        operations = ("decode",)

    assert smallest.smallest(Right()) is None


@pytest.mark.parametrize("key", ["ties-to-even", "float-log2", "scale-rule", "bit-order"])
def test_a_note_has_all_of_its_page(key: str) -> None:
    note, page = NOTES[key], rules.page(key)
    text = " ".join(shown(key).split())
    wanted = [note.bug, note.effect, note.fix, note.hint, note.seen, *page.systems]
    for part in [*wanted, *note.clauses, *page.smallest[:1]]:
        assert " ".join(part.split()) in text
    assert max(map(len, shown(key).splitlines())) <= 100


def test_a_wrong_implementation_says_how_to_fix_it() -> None:
    note = NOTES["half-up-ties"]
    assert f"fix        {note.fix}" in shown("half-up")
    assert note.hint in shown("half-up")


def test_systems_are_those_whose_record_names_the_cause() -> None:
    assert "ml_dtypes" in rules.page("double-rounding").systems
    assert "ml_dtypes" not in rules.page("float-log2").systems


def test_a_clause_names_its_mistakes_and_the_systems_that_deviate() -> None:
    text = shown("MX-6.3-SCALE")
    assert "float-log2  " in text
    assert "that deviate: " in text


def test_the_page_in_the_reference_is_the_same() -> None:
    page = (ROOT / "docs/reference/notes.md").read_text("utf-8")
    for note in NOTES.values():
        assert f"## {note.key}\n" in page
        assert f"How to fix it: {note.fix}\n" in page
        assert note.hint in page
    for one in rules.pages():
        assert "\n".join(one.smallest) in page


def test_a_clause_is_shown_without_numpy() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom mxemu.cli import cli\n"
        "CliRunner().invoke(cli, ['rule', 'MX-6.3-RNE'])\n"
        "import json; print(json.dumps('numpy' in sys.modules))"
    )
    words = [sys.executable, "-c", code]
    found = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(found.stdout) is False
