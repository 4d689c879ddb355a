"""Smallest failing inputs: every note with a wrong implementation shows one, and what it says can be typed."""

from __future__ import annotations

import shlex

import pytest
from click.testing import CliRunner

from conformance import zoo
from conformance.notes import NOTES
from conformance.report import smallest
from conformance.zoo.reference import Reference
from mxemu.cli import cli

MEMBERS = {member.name: member for member in zoo.MEMBERS}


def test_every_note_of_the_zoo_has_one() -> None:
    found = smallest.by_note()
    assert set(found) == {member.note for member in zoo.MEMBERS} <= set(NOTES)
    assert [note for note, (_, lines) in found.items() if not lines] == []


def test_what_came_is_not_what_was_expected() -> None:
    for name, (_, sides, *_more) in smallest.by_note().values():
        dut, ref = (part for part in sides.split("  ") if part.startswith(("dut", "ref")))
        assert dut.removeprefix("dut") != ref.removeprefix("ref"), name


SHOWN = ["half-up", "early-overflow", "shift23", "float-log2-binary32", "second-scale-dropped"]


@pytest.mark.parametrize("name", SHOWN)
def test_the_rule_shows_it_and_the_command_runs(name: str) -> None:
    *_, command = smallest.lines(MEMBERS[name])
    assert CliRunner().invoke(cli, shlex.split(command)[1:]).exit_code == 0
    shown = CliRunner().invoke(cli, ["rule", name]).stdout
    assert "  smallest   " in shown
    assert command in " ".join(shown.split())


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
