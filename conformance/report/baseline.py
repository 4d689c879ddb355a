"""A check beside an earlier one: what fails that did not fail, what is fixed, whose convention is another one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mxemu.errors import MxemuError

KINDS = ("new", "fixed", "changed", "gone")
"""What can have become of a group, apart from nothing."""

FAILING = ("FAIL", "crash")
EVERYTHING = "everything after this"
"""What an interrupted run has skipped."""

_HINT = "mxemu check TARGET --output-format json --output FILE writes one"


@dataclass(frozen=True)
class Entry:
    """One group that is not what it was.

    Attributes
    ----------
    kind : str
        ``new`` (it fails, and did not so), ``fixed``, ``changed`` (another legal convention) or ``gone``.
    operation, format, carrier : str
    profile : str
        What it was asked for besides the base profile.
    was, now : str
        Verdict, and the cause or convention.
    """

    kind: str
    operation: str
    format: str
    carrier: str
    profile: str
    was: str
    now: str

    @property
    def where(self) -> str:
        """Operation, format, carrier and profile as one text."""
        beside = f" {self.profile}" if self.profile else ""
        return f"{self.operation} {self.format} ({self.carrier}){beside}"


@dataclass
class Change:
    """A run beside a baseline.

    Attributes
    ----------
    baseline : dict
        ``version`` of the subject, ``mxemu`` and ``level`` of the baseline.
    remarks : list of str
        What makes the two reports less comparable.
    entries : list of Entry
        In the order of the groups; those that are gone come last.
    before : int
        Groups that fail as they did.
    added : int
        Groups that the baseline does not have and that do not fail.
    since : dict
        Place of a group in the run to ``new``, ``fixed``, ``changed`` or ``as before``.
    """

    baseline: dict[str, str]
    remarks: list[str]
    entries: list[Entry] = field(default_factory=list)
    before: int = 0
    added: int = 0
    since: dict[int, str] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[Entry]:
        """The entries of one kind."""
        return [entry for entry in self.entries if entry.kind == kind]

    def word(self, place: int, verdict: str) -> str:
        """What a report says of a finding in the group at a place of the run."""
        since = self.since.get(place, "")
        if verdict in FAILING:
            return since if since in ("new", "as before") else ""
        return since if since == "changed" and verdict == "free" else ""

    def record(self) -> dict[str, Any]:
        """The change as plain data."""
        listed = {kind: [_plain(entry) for entry in self.of_kind(kind)] for kind in KINDS}
        return {
            **self.baseline,
            "remarks": self.remarks,
            **listed,
            "as_before": self.before,
            "added": self.added,
        }


def _plain(entry: Entry) -> dict[str, str]:
    return {key: text for key, text in asdict(entry).items() if key != "kind"}


def load(path: Path) -> dict[str, Any]:
    """Read a JSON report.

    Raises
    ------
    MxemuError
        When there is no such file, or it is no report.
    """
    from conformance.report.json_report import SCHEMA

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MxemuError(f"baseline {path}: {error.strerror}", _HINT) from None
    except ValueError:
        raise MxemuError(f"baseline {path}: no JSON; expected a report", _HINT) from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise MxemuError(f"baseline {path}: not a report of the schema {SCHEMA}", _HINT)
    return found


def compare(now: Mapping[str, Any], before: Mapping[str, Any]) -> Change:
    """One report beside an earlier one of the same subject.

    Parameters
    ----------
    now, before : mapping
        Reports as plain data, see ``report.schema.json``.

    Raises
    ------
    MxemuError
        When they are about different subjects, or the baseline lacks something.
    """
    try:
        return _compare(now, before)
    except (KeyError, TypeError, AttributeError) as error:
        raise MxemuError(f"baseline: a report without {error}", _HINT) from None


def _compare(now: Mapping[str, Any], before: Mapping[str, Any]) -> Change:
    names = [_subject(report) for report in (before, now)]
    if names[0] != names[1]:
        raise MxemuError(f"the baseline is of {names[0]}; this is {names[1]}")
    about = {
        "version": before["subject"]["version"],
        "mxemu": before["mxemu"],
        "level": before["level"],
    }
    change = Change(about, list(_remarks(now, before)))
    alike = now["level"] == before["level"] and now["mxemu"] == before["mxemu"]
    then = {_key(group, before): group for group in before["groups"]}
    checked = {group_key[:2] for group_key in then}
    for place, group in enumerate(now["groups"]):
        before_it = then.pop(_key(group, now), None)
        if before_it is None and group["carrier"] == "any" and _key(group, now)[:2] in checked:
            before_it = _CAPABLE
        _place(change, place, group, before_it, now, alike)
    for key, group in then.items():
        change.entries.append(_gone(key, group, now))
    change.entries.sort(key=lambda entry: KINDS.index(entry.kind))
    return change


# Groups without a carrier are there for a capability that is missing, and only then.
_CAPABLE: Mapping[str, Any] = {"verdict": "pass", "hypotheses": []}


def _gone(
    key: tuple[str, str, str, str, str], then: Mapping[str, Any], now: Mapping[str, Any]
) -> Entry:
    """A group that is not there any more, or a capability that is not missing any more."""
    whole = not any(one["what"] == EVERYTHING for one in now["skipped"])
    checked = any((one["operation"], one["format"]) == key[:2] for one in now["groups"])
    if key[2] == "any" and checked and whole:
        return Entry("fixed", *key[:4], _state(then), "supported")
    return Entry("gone", *key[:4], _state(then), "not checked")


def _place(
    change: Change,
    place: int,
    group: Mapping[str, Any],
    then: Mapping[str, Any] | None,
    now: Mapping[str, Any],
    alike: bool,
) -> None:
    """Say what became of one group."""
    kind = _kind(group, then, alike)
    if kind in KINDS:
        was = "not there" if then is None else "supported" if then is _CAPABLE else _state(then)
        change.entries.append(Entry(kind, *_key(group, now)[:4], was, _state(group)))
    change.since[place] = kind
    change.before += kind == "as before"
    change.added += then is None and kind != "new"


def _kind(group: Mapping[str, Any], then: Mapping[str, Any] | None, alike: bool) -> str:
    """``new``, ``fixed``, ``changed``, ``gone``, ``as before``, or nothing."""
    failed = then is not None and then["verdict"] in FAILING
    if group["verdict"] in FAILING:
        return "as before" if failed and not _is_worse(group, then or {}, alike) else "new"
    if then is None or group["verdict"] == then["verdict"] == "pass":
        return ""
    if group["verdict"] == "unsupported":
        return "" if then["verdict"] == "unsupported" else "gone"
    if failed:
        return "fixed"
    return "changed" if _convention(group) != _convention(then) else ""


def _is_worse(group: Mapping[str, Any], then: Mapping[str, Any], alike: bool) -> bool:
    """Whether a group that failed fails in another way: it crashes, or another clause, cause or case fails.

    Causes and numbers of cases compare only where both checks had the same cases and knew the same mistakes.
    """
    if group["verdict"] == "crash" and then["verdict"] != "crash":
        return True
    if not _broken(group) <= _broken(then):
        return True
    if not alike:
        return False
    more = any(group["verdicts"][verdict] > then["verdicts"][verdict] for verdict in FAILING)
    return more or _cause(group) != _cause(then)


def _broken(group: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Failing verdicts and the clauses that decide them."""
    return {
        (cluster["verdict"], cluster["clause"])
        for cluster in group["clusters"]
        if cluster["verdict"] in FAILING
    }


def _cause(group: Mapping[str, Any]) -> str:
    """The name of what explains a whole group."""
    found = (one["name"] for one in group["hypotheses"] if one["explains"] == one["of"])
    return str(next(found, ""))


def _convention(group: Mapping[str, Any]) -> tuple[str, ...]:
    """What a group follows besides what it was compared with."""
    if group["verdict"] != "free":
        return ()
    return tuple(str(one["name"]) for one in group["hypotheses"]) or ("none that is known",)


def _state(group: Mapping[str, Any]) -> str:
    """A verdict, and the cause or convention."""
    if group["verdict"] == "free":
        return f"free, {' and '.join(_convention(group))}"
    cause = _cause(group) if group["verdict"] in FAILING else ""
    if group["verdict"] == "unsupported":
        cause = group["reason"]
    return f"{group['verdict']}, {cause}" if cause else str(group["verdict"])


def _key(group: Mapping[str, Any], report: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """What makes a group the same in two reports: the profile counts only as far as it is not the base profile."""
    carrier = group["carrier"]
    own = group["clause"] if carrier == "any" else ""
    return group["operation"], group["format"], carrier, _beside(group, report), own


def _beside(group: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """The fields in which the profile of a group differs from the base profile of its report."""
    if group["profile"] is None:
        return ""
    base, fields = _base(report)["fields"], group["profile"]["fields"]
    own = {key: choice for key, choice in fields.items() if base.get(key) != choice}
    own |= {key: "as in ocp" for key in base if key not in fields}
    return ", ".join(f"{key}={choice}" for key, choice in own.items())


def _base(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """The profile that a report compares with: asked, else declared, else ocp."""
    found: Mapping[str, Any] | None = report["profiles"]["asked"] or report["profiles"]["declared"]
    return found or {"name": "ocp", "fields": {}}


def _subject(report: Mapping[str, Any]) -> str:
    about = report["subject"]
    return f"{about['name']}[{about['variant']}]" if about["variant"] else str(about["name"])


def _remarks(now: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    """What makes two reports less comparable."""
    for what in ("level", "mxemu"):
        if now[what] != before[what]:
            yield (
                f"{what} {before[what]} then, {now[what]} now: numbers of cases and causes are not compared"
            )
    if _base(now)["fields"] != _base(before)["fields"]:
        names = [_profile_text(_base(report)) for report in (before, now)]
        yield f"compared with {names[0]} then, with {names[1]} now"


def _profile_text(profile: Mapping[str, Any]) -> str:
    fields = ", ".join(f"{key}={choice}" for key, choice in profile["fields"].items())
    return f"ocp with {fields}" if fields else "ocp"


def lines(change: Change) -> list[str]:
    """A change in words: groups with the same fate on one line, then the sum."""
    about = change.baseline
    head = f"since the baseline (version {about['version']}, mxemu {about['mxemu']}, level {about['level']}):"
    joined: dict[tuple[str, str, str, str], list[Entry]] = {}
    for entry in change.entries:
        key = (entry.kind, entry.operation, entry.was, entry.now)
        joined.setdefault(key, []).append(entry)
    body = [_line(*key, entries) for key, entries in joined.items()]
    return [head, *(f"note     {remark}" for remark in change.remarks), *body, _sum(change)]


def _line(kind: str, operation: str, was: str, now: str, entries: Sequence[Entry]) -> str:
    formats = " ".join(dict.fromkeys(entry.format for entry in entries))
    carriers = ", ".join(dict.fromkeys(entry.carrier for entry in entries))
    beside = sum(bool(entry.profile) for entry in entries)
    more = f", {beside} of them with another rounding or overflow" if beside else ""
    count = f" [{len(entries)} groups{more}]" if len(entries) > 1 else ""
    return f"{kind:<8} {operation} {formats} ({carriers}): {now}; was {was}{count}"


def _sum(change: Change) -> str:
    counts = {kind: len(change.of_kind(kind)) for kind in KINDS}
    words = {
        "new": "fail anew",
        "fixed": "fixed",
        "changed": "follow another convention",
        "gone": "gone",
    }
    parts = [f"{counts[kind]} {words[kind]}" for kind in KINDS if counts[kind] or kind == "new"]
    parts += [f"{change.before} fail as before"] if change.before else []
    parts += [f"{change.added} more are checked"] if change.added else []
    return ", ".join(parts)
