"""Errors: their types, their one line, and the did-you-mean."""

from __future__ import annotations

import pytest

from mxemu import errors
from mxemu.errors import MxemuError, unknown

KINDS = [
    (errors.UnknownName, LookupError),
    (errors.BadFormat, ValueError),
    (errors.BadCode, ValueError),
    (errors.BadValue, ValueError),
    (errors.BadShape, ValueError),
    (errors.BadType, TypeError),
    (errors.BadIndex, IndexError),
    (errors.BadFile, OSError),
    (errors.Unsupported, Exception),
]


@pytest.mark.parametrize(("kind", "base"), KINDS)
def test_each_error_is_ours_and_a_usual_python_error(
    kind: type[MxemuError], base: type[Exception]
) -> None:
    error = kind("scale 7 is odd", hint="use 8")
    assert isinstance(error, MxemuError)
    assert isinstance(error, base)
    assert str(error) == "scale 7 is odd"
    assert error.hint == "use 8"
    assert kind("scale 7 is odd").hint == ""


def test_unsupported_is_no_mistake_of_the_caller() -> None:
    assert not issubclass(errors.Unsupported, (ValueError, LookupError))


@pytest.mark.parametrize(
    ("name", "known", "message"),
    [
        ("E4M4", ["E4M3", "INT8"], "unknown format 'E4M4'; did you mean E4M3?"),
        ("e4m4", ["E4M3", "INT8"], "unknown format 'e4m4'; did you mean E4M3?"),
        ("e2m2", ["E2M3", "E3M2"], "unknown format 'e2m2'; did you mean E3M2 or E2M3?"),
        ("floor", ["CEIL", "RATIO"], "unknown format 'floor'; expected one of CEIL, RATIO"),
        (7, ["CEIL"], "unknown format 7; expected one of CEIL"),
        (
            "abc",
            ["abc1", "abc2", "abc3", "abc4"],
            "unknown format 'abc'; did you mean abc4 or abc3 or abc2?",
        ),
    ],
)
def test_unknown_names_suggest_the_closest(name: object, known: list[str], message: str) -> None:
    error = unknown("format", name, iter(known))
    assert type(error) is errors.UnknownName
    assert str(error) == message


@pytest.mark.parametrize(("name", "close"), [("abcdz", True), ("abzzz", False)])
def test_a_suggestion_shares_most_of_its_letters(name: str, close: bool) -> None:
    assert ("did you mean" in str(unknown("x", name, ["abcde"]))) == close
