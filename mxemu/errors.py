"""Every error that mxemu raises for a caller's mistake: one line, with the value and what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MxemuError(Exception):
    """Base of all errors of mxemu.

    Parameters
    ----------
    message : str
        One line: the offending value, what was expected, the clause if there is one.
    hint : str, optional
        What to do next; printed on a line of its own.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UnknownName(MxemuError, LookupError):
    """No format, profile, clause or subject has this name."""


class BadFormat(MxemuError, ValueError):
    """The fields of a format or profile record contradict each other."""


class BadCode(MxemuError, ValueError):
    """A code or bit pattern does not fit its format's width."""


class BadValue(MxemuError, ValueError):
    """A text is not a number, or a number is not usable here."""


class BadType(MxemuError, TypeError):
    """An array holds what is no number of a known format: objects, complex numbers, text."""


class BadShape(MxemuError, ValueError):
    """A block does not have the block size k, or an array not the shape that its format needs."""


class BadIndex(MxemuError, IndexError):
    """An index leads outside of blocks, or into one."""


class BadFile(MxemuError, OSError):
    """A file cannot be read or written, or is none of ours."""


class Unsupported(MxemuError):
    """An implementation does not offer what it was asked for; subjects raise it on purpose."""


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownName:
    """Build the error for a name that is not registered, with a did-you-mean.

    Parameters
    ----------
    kind : str
        What was looked up, for example ``"element format"``.
    name : object
        The name that was not found.
    known : iterable of str
        All names that would have been found.

    Returns
    -------
    UnknownName

    Examples
    --------
    >>> str(unknown("element format", "E4M4", ["E4M3", "E5M2"]))
    "unknown element format 'E4M4'; did you mean E4M3?"
    """
    names = {str(entry).lower(): str(entry) for entry in known}
    close = get_close_matches(str(name).lower(), names)
    if close:
        suffix = "did you mean " + " or ".join(names[match] for match in close) + "?"
    else:
        suffix = "expected one of " + ", ".join(names.values())
    return UnknownName(f"unknown {kind} {name!r}; {suffix}")
