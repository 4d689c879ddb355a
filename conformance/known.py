"""Expected deviations of a subject, strict both ways: one that no longer shows is as wrong as a new one."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from conformance.runner import Run
from conformance.target import parse_target, system_folder
from conformance.verdict import Group
from conformance.why.diagnose import name_of
from mxemu.errors import MxemuError
from mxemu.profile import Profile

_VERDICTS = ("FAIL", "crash", "unsupported")
_KEYS = (
    *("operation", "formats", "carriers", "variants", "asked"),
    *("verdict", "cause", "clause", "reason", "source"),
)
_LISTS = ("formats", "carriers", "variants")
ANY = "any"
"""In place of a carrier: a capability that is missing, whatever the carrier."""

BASE = "base"
"""In place of a variant: the subject without one."""


@dataclass(frozen=True)
class Deviation:
    """One entry of a known.toml.

    Attributes
    ----------
    operation : str
    formats, carriers : tuple of str
        Every combination of them is expected to deviate.
    verdict : str
        ``FAIL``, ``crash`` or ``unsupported``.
    variants : tuple of str
        Variants of the subject that deviate so, `BASE` for the subject itself; empty for all.
    asked : str
        What was asked for besides the base profile, as ``rounding=ties-to-away``; empty for anything.
    cause : str
        Name of the hypothesis that explains all of it; empty where none does.
    clause, reason, source : str
        For the reader.
    """

    operation: str
    formats: tuple[str, ...]
    carriers: tuple[str, ...]
    verdict: str
    asked: str = ""
    cause: str = ""
    clause: str = ""
    reason: str = ""
    source: str = ""
    variants: tuple[str, ...] = ()

    def matches(self, group: Group, base: Profile) -> bool:
        """Whether a group deviates in just this way."""
        same = group.verdict == self.verdict and self.cause == cause_of(group)
        return same and self.covers(group, base)

    def covers(self, group: Group, base: Profile) -> bool:
        """Whether the entry speaks of this group; ``base`` is the profile beside which things are asked for."""
        return (
            group.operation == self.operation
            and group.format in self.formats
            and group.carrier in self.carriers
            and self.asked in ("", name_of(group.profile, base))
            and (not group.clause or group.clause == self.clause)
        )


def cause_of(group: Group) -> str:
    """The name of the first complete hypothesis of a group."""
    return next((hypothesis.name for hypothesis in group.hypotheses if hypothesis.complete), "")


def deviates(group: Group) -> bool:
    """Whether a group needs an entry."""
    return group.verdict in _VERDICTS


def load(where: str, target: str) -> list[Deviation]:
    """Read the entries of a file, or for ``auto`` those of the subject's own folder.

    Raises
    ------
    MxemuError
        When there is no such file, or an entry is malformed.
    """
    path = _path(where, target)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MxemuError(f"known deviations {where}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MxemuError(f"known deviations {where}: {error}") from None
    entries = table.pop("deviation", [])
    if table or not isinstance(entries, list):
        found = f"{min(table)!r}" if table else "'deviation' once"
        raise MxemuError(f"known deviations {where}: has {found}; expected [[deviation]] only")
    known = [_entry(entry, where) for entry in entries]
    return [one for one in known if not one.variants or _variant(target) in one.variants]


def _variant(target: str) -> str:
    """The variant that a TARGET names."""
    return target.partition("[")[2].rstrip("]") or BASE


def _path(where: str, target: str) -> Path:
    if where != "auto":
        return Path(where)
    parsed = parse_target(target)
    if parsed.kind != "system":
        raise MxemuError(
            f"--known auto is for built-in subjects; {target} has no folder of its own"
        )
    return system_folder(parsed.where) / "known.toml"


def _entry(entry: Any, where: str) -> Deviation:
    problem = _problem(entry) if isinstance(entry, dict) else f"{entry!r}, which is no table"
    if problem:
        raise MxemuError(
            f"known deviations {where}: an entry has {problem}; keys are {', '.join(_KEYS)}"
        )
    lists: dict[str, Any] = {key: tuple(entry[key]) for key in _LISTS if key in entry}
    return Deviation(**{**entry, **lists})


def _problem(entry: Mapping[str, Any]) -> str:
    """What is wrong with an entry, if anything."""
    strange = set(entry) - set(_KEYS)
    missing = {"operation", "formats", "carriers", "verdict", "reason"} - set(entry)
    if strange or missing:
        return f"unknown key {min(strange)!r}" if strange else f"no {min(missing)!r}"
    for key, found in entry.items():
        listed = key in _LISTS
        texts = found if listed and isinstance(found, list) else [found]
        if not texts or isinstance(found, list) is not listed or not all(map(_is_text, texts)):
            return f"{key} = {found!r}, expected {'a list of names' if listed else 'a text'}"
    verdict = entry["verdict"]
    return "" if verdict in _VERDICTS else f"verdict {verdict!r}, not one of {', '.join(_VERDICTS)}"


def _is_text(found: object) -> bool:
    return isinstance(found, str) and bool(found)


@dataclass(frozen=True)
class Comparison:
    """A run against its known deviations.

    Attributes
    ----------
    known : list of Group
        Deviating groups that an entry explains.
    new : list of Group
        Those that none does.
    stale : list of str
        Entries, or combinations of them, that were run and did not deviate as stated.
    """

    known: list[Group]
    new: list[Group]
    stale: list[str]


def compare(run: Run, entries: list[Deviation]) -> Comparison:
    """Match every deviating group with an entry and every entry with a group."""
    known: list[Group] = []
    new: list[Group] = []
    for group in run.groups:
        if deviates(group):
            expected = any(entry.matches(group, run.base) for entry in entries)
            (known if expected else new).append(group)
    stale = [line for entry in entries for line in _stale(entry, run)]
    return Comparison(known, new, stale)


def _stale(entry: Deviation, run: Run) -> Iterator[str]:
    """Combinations of an entry that were run, or cannot be, and do not deviate as stated."""
    for format_name, carrier_name in product(entry.formats, entry.carriers):
        found = _found_instead(entry, run, format_name, carrier_name)
        if found:
            where = f"{entry.operation} {format_name} {carrier_name}"
            expected = f"{entry.verdict} {entry.cause}".strip()
            yield f"{where}: expected {expected}; found {found}"


def _found_instead(entry: Deviation, run: Run, format_name: str, carrier_name: str) -> str:
    """What is there in place of an expected deviation; empty if it is there, or was not looked for."""
    offer = run.capabilities.operations.get(entry.operation)
    if offer is None or format_name not in offer.formats:
        return "no such offer"
    if carrier_name not in (*offer.carriers, ANY):
        return "no such offer"
    groups = [group for group in run.groups if group.key[:2] == (entry.operation, format_name)]
    here = [group for group in groups if group.carrier == carrier_name]
    covered = [group for group in here if entry.covers(group, run.base)]
    if covered:
        matched = any(entry.matches(group, run.base) for group in covered)
        return "" if matched else covered[0].verdict
    everything = carrier_name == ANY and {group.carrier for group in groups} >= set(offer.carriers)
    asked = bool(entry.asked) and any(group.profile != run.base for group in here)
    return "nothing" if everything or asked else ""
