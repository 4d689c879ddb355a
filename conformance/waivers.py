"""Waivers for one's own design: deviations that somebody decided to live with, each with a reason and a last day.

Everything that is waived still runs and is reported, apart from the rest. A waiver that matches nothing any more fails
the check, and so does one whose day has passed: the file cannot rot.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.adapter import find_pair
from conformance.known import Comparison, cause_of, deviates
from conformance.runner import CHECKED, Run
from conformance.verdict import Cluster, Group
from mxemu.errors import MxemuError, unknown
from mxemu.formats import carrier, find

_KEYS = ("id", "reason", "expires", "operation", "format", "carrier", "clause", "cause", "verdict")
_SCOPE = ("operation", "format", "carrier", "clause", "cause")
_VERDICTS = ("FAIL", "crash", "unsupported")


@dataclass(frozen=True)
class Waiver:
    """One entry of a file of waivers. Empty fields cover anything.

    Attributes
    ----------
    id, reason : str
        For people.
    expires : date
        The last day on which it counts.
    operation, format, carrier : str
    clause : str
        Covers the differing cases that this clause decides.
    cause : str
        Covers groups that this hypothesis explains completely, see ``mxemu list notes``.
    verdict : str
        ``FAIL``, ``crash`` or ``unsupported``.
    """

    id: str
    reason: str
    expires: dt.date
    operation: str = ""
    format: str = ""
    carrier: str = ""
    clause: str = ""
    cause: str = ""
    verdict: str = "FAIL"

    def speaks_of(self, group: Group) -> bool:
        """Whether a group is of the kind that the waiver names, deviating or not."""
        own = (self.operation, self.format, self.carrier)
        return all(name in ("", found) for name, found in zip(own, group.key, strict=True))

    def covers(self, group: Group, clause: str, verdict: str) -> bool:
        """Whether it waives the cases of a group that one clause decides."""
        return (
            self.speaks_of(group)
            and self.verdict == verdict
            and self.clause in ("", clause)
            and self.cause in ("", cause_of(group))
        )


def load(path: Path) -> list[Waiver]:
    """Read a file of waivers.

    Raises
    ------
    MxemuError
        It cannot be read, an entry is malformed, or an id stands twice.
    """
    where = f"waivers {path}"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MxemuError(f"{where}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MxemuError(f"{where}: {error}") from None
    entries = table.pop("waiver", [])
    if table or not isinstance(entries, list):
        found = f"{min(table)!r}" if table else "'waiver' once"
        raise MxemuError(f"{where}: has {found}; expected [[waiver]] only")
    waivers = [_entry(entry, f"{where}: waiver[{n}]") for n, entry in enumerate(entries)]
    names = [one.id for one in waivers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise MxemuError(f"{where}: id {twice!r} stands twice; expected each once")
    return waivers


def _entry(entry: Any, where: str) -> Waiver:
    if not isinstance(entry, Mapping):
        raise MxemuError(f"{where} is {entry!r}; expected a table")
    for key, found in entry.items():
        if key not in _KEYS:
            raise unknown(f"key in {where}", key, _KEYS)
        if key != "expires" and (not isinstance(found, str) or not found):
            raise MxemuError(f"{where}.{key} is {found!r}; expected a text")
    for key in ("id", "reason", "expires"):
        if key not in entry:
            raise MxemuError(f"{where}.{key} is missing")
    if type(entry["expires"]) is not dt.date:
        raise MxemuError(
            f"{where}.expires is {entry['expires']!r}; expected a day such as 2030-12-31"
        )
    if not any(key in entry for key in _SCOPE):
        raise MxemuError(f"{where} covers everything; expected one of {', '.join(_SCOPE)}")
    try:
        return Waiver(**{**entry, **_canonical(entry)})
    except MxemuError as error:
        raise type(error)(f"{where}: {error}", error.hint) from None


def _canonical(entry: Mapping[str, str]) -> dict[str, str]:
    """Names as the groups have them."""
    found = {}
    if "operation" in entry and entry["operation"] not in CHECKED:
        raise unknown("operation", entry["operation"], CHECKED)
    if "verdict" in entry and entry["verdict"] not in _VERDICTS:
        raise unknown("verdict", entry["verdict"], _VERDICTS)
    if "format" in entry:
        name = entry["format"]
        found["format"] = find_pair(name) if "," in name else find(name).name
    if "carrier" in entry:
        found["carrier"] = carrier(entry["carrier"]).name
    return found


def today() -> dt.date:
    """The day on which waivers are read, in universal time."""
    return dt.datetime.now(dt.UTC).date()


def compare(run: Run, waivers: list[Waiver], day: dt.date) -> Comparison:
    """Match every deviating group with waivers, and every waiver with a group.

    Parameters
    ----------
    run : Run
    waivers : list of Waiver
    day : date
        Those that expired before it waive nothing.

    Returns
    -------
    Comparison
        ``known`` are the groups whose deviations are all waived, ``new`` the others, ``stale`` the waivers that match
        nothing or have expired.
    """
    valid = [one for one in waivers if one.expires >= day]
    used: set[str] = set()
    known: list[Group] = []
    new: list[Group] = []
    for group in filter(deviates, run.groups):
        matches = [
            {one.id for one in valid if one.covers(group, clause, verdict)}
            for clause, verdict in _problems(group)
        ]
        used |= set().union(*matches)
        (known if all(matches) else new).append(group)
    stale = [
        _stale(one, day)
        for one in waivers
        if one.expires < day or (one.id not in used and _was_looked_for(one, run))
    ]
    return Comparison(known, new, stale)


def _problems(group: Group) -> list[tuple[str, str]]:
    """What has to be waived in a group: the clause and the verdict of each cluster, or of the whole."""
    judged: list[Cluster] = [one for one in group.clusters if one.verdict in _VERDICTS]
    found = [(one.first.clause, one.verdict) for one in judged]
    missing = group.counts["crash"] and not any(one.verdict == "crash" for one in judged)
    if missing or not found:
        found.append((group.clause, "crash" if missing else group.verdict))
    return found


def _was_looked_for(waiver: Waiver, run: Run) -> bool:
    """Whether the run could have shown what a waiver is about; then its absence tells something."""
    if any(waiver.speaks_of(group) for group in run.groups):
        return True
    offer = run.capabilities.operations.get(waiver.operation)
    if waiver.operation and offer is None:
        return True
    formats = offer.formats if offer else _all(run, "formats")
    carriers = offer.carriers if offer else _all(run, "carriers")
    known = waiver.format in ("", *formats) and waiver.carrier in ("", "any", *carriers)
    return not known


def _all(run: Run, key: str) -> tuple[str, ...]:
    offers = run.capabilities.operations.values()
    return tuple(name for offer in offers for name in getattr(offer, key))


def _stale(waiver: Waiver, day: dt.date) -> str:
    scope = [getattr(waiver, key) for key in _SCOPE if getattr(waiver, key)]
    what = f"waiver {waiver.id} ({', '.join(scope)})"
    if waiver.expires < day:
        return f"{what}: expired after {waiver.expires}"
    return f"{what}: matches nothing; expected {waiver.verdict}"


def lines(waivers: list[Waiver], comparison: Comparison, day: dt.date) -> Iterator[str]:
    """What is waived, one line each with its reason and last day."""
    for one in waivers:
        groups = [
            group
            for group in comparison.known
            for clause, verdict in _problems(group)
            if one.covers(group, clause, verdict)
        ]
        if groups and one.expires >= day:
            yield f"waived   {one.id} until {one.expires}: {one.reason}"
