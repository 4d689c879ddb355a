"""What has been done of a campaign, in a file that survives whatever ends the program.

The file is a database of SQLite in WAL mode. Each result is one transaction, so it is there as a whole or not at all.
One process at a time writes; it holds a lock that the system takes back however the process ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from conformance.adapter import accumulation_record
from conformance.campaign.chunk import Result
from conformance.campaign.plan import Plan
from conformance.runner import Filters, Run
from conformance.target import parse_target, system_folder
from mxemu import __version__
from mxemu.errors import MxemuError
from mxemu.profile import spell

_TABLES = """
CREATE TABLE IF NOT EXISTS campaign (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS groups (place INTEGER PRIMARY KEY, name TEXT NOT NULL, chunks INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS results (
  number INTEGER PRIMARY KEY, place INTEGER NOT NULL, words TEXT NOT NULL, data BLOB NOT NULL);
"""

FILE = "campaign.sqlite"
"""The ledger in a folder."""


class Progress(NamedTuple):
    """How far a group is: its name, chunks that are done, chunks of all, and cases that are done."""

    name: str
    done: int
    chunks: int
    cases: int


def identity(
    run: Run,
    filters: Filters,
    plan: Plan,
    random: int,
    seed: int,
    timeout: float | None = None,
    memory: int | None = None,
) -> dict[str, Any]:
    """All that the results of a campaign depend on.

    Parameters
    ----------
    run : Run
    filters : Filters
    plan : Plan
    random : int
        Random cases for each group.
    seed : int
    timeout : float, optional
        Seconds for one call.
    memory : int, optional
        Bytes that the subject may take, if a limit was asked for.
    """
    asked = run.asked_accumulation
    about = run.capabilities
    return {
        "mxemu": __version__,
        "numpy": np.__version__,
        "target": run.target,
        "file": _digests(run.target),
        "subject": f"{about.name} {about.version}",
        "capabilities": _hash(json.dumps(about.record(), sort_keys=True, default=str)),
        "level": run.level,
        "fuzz": random,
        "seed": seed,
        "profile": None if run.asked is None else spell(run.asked),
        "accumulation": None if asked is None else accumulation_record(asked),
        "operation": list(filters.operations),
        "format": list(filters.formats),
        "carrier": list(filters.carriers),
        "chunks": len(plan.chunks),
        # With other limits, calls that hung or took too much memory may come to an end.
        "timeout": None if timeout is None else f"{timeout:.12g} s",
        "memory-limit": None if memory is None else f"{memory / 1e9:.12g} GB",
    }


def _digests(target: str) -> str | None:
    """Names and hashes of the files that a subject comes from, None if it comes from none."""
    hashes = ((name, _digest(path)) for name, path in _files(target))
    return ", ".join(f"{name} {found}" for name, found in hashes if found) or None


def _files(target: str) -> Iterator[tuple[str, Path]]:
    """Names and paths of what a subject may come from; what these import or load in turn is not among them."""
    kind, where, _, _ = parse_target(target)
    match kind:
        case "cmd":
            yield from _words(shlex.split(where))
        case "module":
            yield where, Path(_origin(where) or "")
        case "system":
            yield where, system_folder(where) / "adapter.py"
        case "file" | "lib" | "rtl":
            yield Path(where).name, Path(where)


def _words(words: list[str]) -> Iterator[tuple[str, Path]]:
    """The program of a command, and each further word, which may be a file or an option with one: ``--table=FILE``."""
    yield words[0], Path(shutil.which(words[0]) or "")
    for word in words[1:]:
        yield word, Path(word)
        _, sign, value = word.partition("=")
        if sign:
            yield value, Path(value)


def _origin(module: str) -> str | None:
    """The file of a module, found without a run of the user's code: only a subject's own process imports it."""
    places: list[str] | None = None
    origin = None
    for name in accumulate(module.split("."), "{}.{}".format):
        if "." in name and places is None:
            return None  # what it should be in is no package
        spec = _spec(name, places)
        if spec is None:
            return None
        within, origin = spec.submodule_search_locations, spec.origin
        places = None if within is None else list(within)
    return origin


def _spec(name: str, places: list[str] | None) -> ModuleSpec | None:
    """Where a module is: in a package with these places or, on the import path and last in the working directory."""
    found = (finder.find_spec(name, places) for finder in sys.meta_path)
    spec = next((one for one in found if one is not None), None)
    if spec is None and places is None:
        return PathFinder.find_spec(name, [str(Path.cwd())])
    return spec


def _digest(path: Path) -> str | None:
    """A hash of a file, None if there is no such file."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except PermissionError:
        return "unreadable"  # a program may be one that can be run only
    except OSError:
        return None  # a word of a command that is too long for a path


def _hash(content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:16]


class Ledger:
    """The results of a campaign.

    Parameters
    ----------
    path : Path, optional
        A file, or a folder that it is put into; without one the results are in a temporary file.
    identity : mapping
        See `identity`.
    plan : Plan

    Raises
    ------
    MxemuError
        When the ledger is one of another campaign, or in use, or no ledger.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, Any], plan: Plan) -> None:
        self.file = None if path is None else file_of(path)
        self._lock = None if self.file is None else _locked(self.file)
        try:
            self._open(identity, plan)
        except BaseException:
            self.close()
            raise

    def _open(self, identity: Mapping[str, Any], plan: Plan) -> None:
        self._base = _connected(self.file)
        with _readable(self.file), self._base:
            self._base.executescript(_TABLES)
            known = _stored(self._base)
            if not known:
                rows = [(key, json.dumps(value)) for key, value in identity.items()]
                self._base.executemany("INSERT INTO campaign VALUES (?, ?)", rows)
                self._base.executemany("INSERT INTO groups VALUES (?, ?, ?)", _groups(plan))
        if known:
            _compare(self.file, known, identity)

    def done(self, kind: str = "") -> set[int]:
        """Numbers of the chunks whose results are here; of those only that came to nothing in some way, if asked."""
        query = "SELECT number FROM results WHERE ? IN ('', json_extract(words, '$.kind'))"
        return {number for (number,) in self._base.execute(query, (kind,))}

    def put(self, number: int, place: int, result: Result) -> None:
        """Add the result of a chunk."""
        row = (number, place, result.words(), result.data())
        with self._base:
            self._base.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?)", row)

    def get(self, place: int) -> dict[int, Result]:
        """The results of a group by the number of their chunk, in the order of these."""
        query = "SELECT number, words, data FROM results WHERE place = ? ORDER BY number"
        rows = self._base.execute(query, (place,))
        return {number: Result.read(words, data) for number, words, data in rows}

    def close(self) -> None:
        """Let others use the file."""
        base = getattr(self, "_base", None)
        if base is not None:
            base.close()
        if self._lock is not None:
            self._lock.close()


def file_of(path: Path) -> Path:
    """The file of a ledger: the path itself, or a file in it if it is a folder."""
    return path / FILE if path.is_dir() else path


def _connected(file: Path | None) -> sqlite3.Connection:
    """The database; a temporary one on disk without a file."""
    with _readable(file):
        base = sqlite3.connect("" if file is None else file)
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = NORMAL")
    return base


@contextmanager
def _readable(file: Path | None) -> Iterator[None]:
    """Turns the errors of a file that is no ledger into one line."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise MxemuError(f"cannot use {file} as a ledger: {error}") from None


def _locked(file: Path) -> IO[str]:
    """The lock of a ledger, which stands beside it."""
    path = file.with_name(file.name + ".lock")
    try:
        lock = path.open("w", encoding="utf-8")
    except OSError as error:
        raise MxemuError(f"cannot open the ledger {file}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        hint = "wait for it, or see --status"
        raise MxemuError(f"another check is at work on the ledger {file}", hint) from None
    return lock


def _groups(plan: Plan) -> Iterator[tuple[int, str, int]]:
    """Place, name and number of chunks of each group."""
    for place in range(plan.groups):
        own = plan.of(place)
        request = own[0].request
        about = f" {request.terms.profile}" if request.terms.further else ""
        yield place, f"{request.operation} {request.format} ({request.carrier}){about}", len(own)


def _stored(base: sqlite3.Connection) -> dict[str, Any]:
    rows = base.execute("SELECT key, value FROM campaign")
    return {key: json.loads(value) for key, value in rows}


def _compare(file: Path | None, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with another campaign, and say what differs."""
    plain = json.loads(json.dumps(dict(wanted)))
    for key, value in plain.items():
        if known.get(key) != value:
            said = f"has {key} {_said(known.get(key))}; this check has {_said(value)}"
            raise MxemuError(f"the ledger {file} {said}", "take another --ledger, or ask as before")


def _said(value: Any) -> str:
    """A value of the identity in words."""
    if isinstance(value, list):
        return ",".join(value) or "all"
    return "none" if value is None else str(value)


def status(path: Path) -> tuple[dict[str, Any], list[Progress]]:
    """What a ledger is about and how far it is, while others may be at work on it.

    Raises
    ------
    MxemuError
        When there is none.
    """
    file = file_of(path)
    if not file.is_file():
        raise MxemuError(f"there is no ledger {file}")
    query = """
    SELECT groups.name, COUNT(results.number), groups.chunks,
      COALESCE(SUM(json_extract(results.words, '$.counts.total')), 0)
    FROM groups LEFT JOIN results
      ON results.place = groups.place AND results.number < (SELECT SUM(chunks) FROM groups)
    GROUP BY groups.place ORDER BY groups.place
    """
    base = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
    try:
        with _readable(file):
            return _stored(base), [Progress(*row) for row in base.execute(query)]
    finally:
        base.close()
