"""The clause register: complete, unambiguous, and hard to misspell."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from mxemu import clauses
from mxemu.clauses import CLAUSES, Strength, implements

# Typed in once more from a reading of the specification: section, then words and strengths.
REGISTER = """
4      SCOPE-FP8 SCOPE, SCOPE-NANELEM SCOPE, SCOPE-SCALEALG SCOPE, REALIZE may
5.1    BLOCK DEF, BITS DEF, LAYOUT may, PRUNE may, NANSCALE DEF, SPECIAL DEF, OVF32 IMPL, VALUE DEF
5.2    NAME DEF
5.2.1  SUBSET may, DISTINCT DEF, PARAMS must
5.3    NORMAL DEF, SUBNORMAL DEF
5.3.1  OFP8 must, ENC must, SAT must, OVF must, OTHER may
5.3.2  ENC must, NOSPECIAL DEF, RNE must, RND may, SAT must, OVFATTR may, INF must, UFLOW must, NAN IMPL
5.3.3  ENC must, NOSPECIAL DEF, RNE must, RND may, SAT must, OVFATTR may, INF must, UFLOW must, NAN IMPL
5.3.4  ENC must, NEG2 may, NOSPECIAL DEF, RNE must, RND may, SAT must, OVFATTR may, INF must, NAN IMPL
5.4.1  BIAS DEF, RANGE DEF, NAN DEF, NOINF DEF, NOZERO DEF, UNSIGNED DEF
6.1    DOT must, MIXED may, PREC IMPL, FACTOR informative
6.2    F32 should, SUM DEF, PAD DEF
6.3    MECH must, SCALE should, ELEM should, CLAMP should, ALT may, RNE must, RND may
"""


def expected() -> list[tuple[str, str, str]]:
    rows = []
    for line in REGISTER.strip().splitlines():
        section, _, words = line.partition(" ")
        for entry in words.split(","):
            word, strength = entry.split()
            rows.append((f"MX-{section}-{word}", section, strength))
    return rows


def test_the_register_holds_every_requirement_in_document_order() -> None:
    found = [(clause.id, clause.section, clause.strength.value) for clause in CLAUSES.values()]
    assert found == expected()
    assert [clause.id for clause in CLAUSES.values()] == list(CLAUSES)


@pytest.mark.parametrize("clause", CLAUSES.values(), ids=list(CLAUSES))
def test_texts_are_whole_sentences_and_titles_short(clause: clauses.Clause) -> None:
    assert re.fullmatch(r"[A-Z(].*\.", clause.text)
    assert "  " not in clause.text
    assert 5 <= len(clause.title) <= 40
    assert not clause.title.endswith(".")


def test_what_has_no_behaviour_is_owed_by_no_version() -> None:
    for clause in CLAUSES.values():
        assert clause.since in (None, "0.1", "0.3")
        if clause.strength in (Strength.MUST, Strength.SHOULD, Strength.DEF, Strength.IMPL):
            assert clause.since == ("0.3" if clause.section in ("6.1", "6.2") else "0.1")
        if clause.strength in (Strength.SCOPE, Strength.INFORMATIVE):
            assert clause.since is None


def test_a_clause_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        CLAUSES["MX-6.3-SCALE"].text = "anything"  # type: ignore[misc]


def test_implements_records_the_name_once_and_returns_the_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded: dict[str, list[str]] = {}
    monkeypatch.setattr(clauses, "IMPLEMENTED", recorded)

    def function() -> None: ...

    assert implements("MX-5.1-BITS", "MX-5.2-NAME")(function) is function
    assert implements("MX-5.1-BITS")(function) is function
    name = f"{__name__}.{function.__qualname__}"
    assert recorded == {"MX-5.1-BITS": [name], "MX-5.2-NAME": [name]}


def test_implements_refuses_an_unknown_clause_and_records_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded: dict[str, list[str]] = {}
    monkeypatch.setattr(clauses, "IMPLEMENTED", recorded)
    with pytest.raises(KeyError, match=r"MX-6\.3-SCALES is not in the clause register"):
        implements("MX-5.1-BITS", "MX-6.3-SCALES")
    assert recorded == {}


def test_the_register_imports_nothing_else_of_mxemu() -> None:
    program = (
        "import sys, mxemu.clauses; print(*sorted(m for m in sys.modules if m.startswith('mxemu')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["mxemu", "mxemu._version", "mxemu.clauses"]
