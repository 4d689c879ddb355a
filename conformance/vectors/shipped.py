"""The committed vectors: which files, with what in them, and the manifest that lists them.

A clone has them in ``vectors/``, an installed package beside this module.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from conformance.notes import NOTES
from conformance.vectors import json_file, memh
from conformance.vectors.suites import SUITE, Key, Suite, catalogue, suite
from mxemu import __version__
from mxemu.clauses import CLAUSES, Clause
from mxemu.errors import BadFile
from mxemu.formats import (
    CARRIERS,
    CONCRETE,
    MX_ELEMENTS,
    BlockFormat,
    ElementFormat,
    FloatFormat,
    IntFormat,
)
from mxemu.profile import FIELDS, OCP, Profile, plain_data
from mxemu.runs import Runs, runs
from mxemu.scalar import decode

RUN_CARRIERS = ("binary32", "binary16", "bfloat16")
RUN_SCALES = (0x00, 0x03, 0x80, 0xFA)
"""Scales besides 1 whose tables are committed: both ends, where binary32 is subnormal or overflows, and 2."""

LEVEL = "smoke"
MANIFEST_SCHEMA = 1


class Shipped(NamedTuple):
    """One committed file: its text, and its entry in the manifest without path and hash."""

    text: str
    entry: dict[str, Any]


def folder() -> Path:
    """Where the committed vectors are.

    Raises
    ------
    BadFile
        When they are not where they belong.
    """
    here = Path(__file__).parent
    for found in (here / "pack", here.parents[1] / "vectors"):
        if (found / "manifest.json").is_file():
            return found
    raise BadFile(f"{here / 'pack'}: no manifest.json; the package was not built from a clone")


def files() -> Iterator[tuple[str, Shipped]]:
    """Every committed file but the manifest and the README, with its path below ``vectors/``."""
    yield from _run_files()
    for key in catalogue(LEVEL):
        found = suite(key, exact=True)
        batches = list(found.batches())
        forms = {"json": json_file.text, "memh": _memh}
        for form, write in forms.items():
            text = b"".join(write(found, iter(batches), found.count)).decode()
            path = f"{SUITE}/{key.name}.{LEVEL}.{form}"
            yield path, Shipped(text, _entry(found, batches, form))


def _memh(found: Suite, batches: Any, count: int) -> Iterator[bytes]:
    return memh.text(found.table, batches, count)


def _entry(found: Suite, batches: list[Any], form: str) -> dict[str, Any]:
    """What the manifest says of a set."""
    key = found.key
    notes: Counter[str] = Counter()
    clauses: Counter[str] = Counter()
    for batch in batches:
        notes.update(found.notes[theme] for theme in batch.theme.tolist())
        clauses.update(json_file.clauses_of(found, batch))
    entry: dict[str, Any] = {
        "operation": key.operation,
        "formats": key.format.split(","),
        "kind": key.kind,
        "level": key.level,
        "form": form,
        "profile": key.profile.name,
    }
    if "accumulation" in found.table.header:
        entry["accumulation"] = found.table.header["accumulation"]
    return entry | {
        "vectors": found.count,
        "notes": dict(sorted(notes.items())),
        "clauses": dict(sorted(clauses.items())),
        **({"bins": _bins(found, batches)} if form == "json" else {}),
    }


def _bins(found: Suite, batches: list[Any]) -> dict[str, list[int]]:
    """Bins hit, observable and in all, by coverpoint; nothing where there is no model."""
    from conformance.vectors.bins import coverage
    from conformance.vectors.models import coverpoints

    if not coverpoints(found):
        return {}
    points = coverage(found, batches)
    return {one.coverpoint.name: [one.hit, one.observable, one.total] for one in points}


# Runs tables.


def _run_files() -> Iterator[tuple[str, Shipped]]:
    for element in MX_ELEMENTS:
        for name in RUN_CARRIERS:
            table = runs(element, CARRIERS[name], OCP)
            path = f"{SUITE}/{element.name.lower()}/encode.{name}.runs.csv"
            yield path, Shipped(runs_text(table), _runs_entry(table, element))
    for block in CONCRETE:
        for scale in RUN_SCALES:
            table = scaled_runs(block, scale)
            path = f"{SUITE}/{block.name.lower()}/encode-scaled.binary32.s{scale:02x}.runs.csv"
            entry = _runs_entry(table, block.element)
            entry |= {
                "operation": "encode-scaled",
                "formats": [block.name],
                "scale": f"{scale:#04x}",
            }
            yield path, Shipped(runs_text(table), entry)


def scaled_runs(
    block: BlockFormat, scale: int, carrier: FloatFormat | str = "binary32", profile: Profile = OCP
) -> Runs:
    """The runs table of an element under a scale code."""
    return runs(block.element, carrier, profile, decode(scale, block.scale))


def runs_text(table: Runs) -> str:
    """A runs table as CSV: first and last input bits, code, exact value of the code."""
    lines = ["first_bits,last_bits,code,value"]
    for row, run in enumerate(table.rows):
        span = f"{_hex(run.first, table.carrier)},{_hex(table.last(row), table.carrier)}"
        value = decode(run.code, table.element)
        lines.append(f"{span},{_hex(run.code, table.element)},{value}")
    return "\n".join(lines) + "\n"


def _hex(code: int, fmt: ElementFormat) -> str:
    return f"0x{code:0{(fmt.width + 3) // 4}X}"


def _runs_entry(table: Runs, element: ElementFormat) -> dict[str, Any]:
    return {
        "operation": "encode",
        "formats": [element.name],
        "kind": table.carrier.name,
        "form": "runs",
        "profile": table.profile.name,
        "rows": len(table.rows),
        "clauses": [clause.id for clause in encode_clauses(element)],
    }


def encode_clauses(element: ElementFormat) -> list[Clause]:
    """The clauses that decide a conversion to one element under SATURATE and TIES_TO_EVEN."""
    floats = {8: "5.3.1", 6: "5.3.2", 4: "5.3.3"}
    section = "5.3.4" if isinstance(element, IntFormat) else floats[element.width]
    deciding = ("OFP8", "RNE", "SAT", "INF", "UFLOW", "NAN")
    return [
        clause
        for clause in CLAUSES.values()
        if clause.section == section and clause.id.rpartition("-")[2] in deciding
    ]


# The manifest.


def manifest(shipped: Mapping[str, Shipped]) -> str:
    """The manifest of the committed files. No time, no place, no machine."""
    listed = [
        {"path": path, **one.entry, "sha256": hashlib.sha256(one.text.encode()).hexdigest()}
        for path, one in shipped.items()
    ]
    vectors = [one for one in listed if one["form"] == "json"]
    record = {
        "schema": MANIFEST_SCHEMA,
        "suite": SUITE,
        "specification": "OCP Microscaling Formats (MX) Specification, version 1.0",
        "licence": "Apache-2.0",
        "generator": {"name": "mxemu", "version": __version__},
        "seed": 0,
        "profiles": {OCP.name: complete_profile(OCP)},
        "agreement": {
            "oracle": "tests/oracle.py",
            "vectors": sum(one["vectors"] for one in vectors if one["operation"] != "pack"),
        },
        "counts": {
            "operation": _sums(vectors, lambda one: {one["operation"]: one["vectors"]}),
            "note": _sums(vectors, lambda one: one["notes"]),
            "clause": _sums(vectors, lambda one: one["clauses"]),
        },
        "notes": {
            key: {"title": note.title, "bug": note.bug, "effect": note.effect}
            | {"clauses": list(note.clauses), "seen": note.seen}
            for key, note in NOTES.items()
            if any(key in one["notes"] for one in vectors)
        },
        "files": listed,
    }
    return json.dumps(record, indent=1) + "\n"


def complete_profile(profile: Profile) -> dict[str, Any]:
    """Every choice of a profile, and a hash of them all."""
    choices = {name: plain_data(getattr(profile, name)) for name in FIELDS}
    text = json.dumps(choices, sort_keys=True)
    return {"choices": choices, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _sums(entries: list[dict[str, Any]], part: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for entry in entries:
        total.update(part(entry))
    return dict(sorted(total.items()))


def verify_hash(path: Path) -> None:
    """Refuse a file that a manifest in a folder above lists with another hash.

    Raises
    ------
    BadFile
    """
    for above in path.resolve().parents:
        listed = above / "manifest.json"
        if listed.is_file():
            break
    else:
        return
    try:
        record = json.loads(listed.read_text(encoding="utf-8"))
        entries = {one["path"]: one["sha256"] for one in record["files"]}
    except (ValueError, KeyError, TypeError):
        return  # somebody else's manifest.json
    name = path.resolve().relative_to(above).as_posix()
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if entries.get(name, found) != found:
        raise BadFile(f"{path}: SHA-256 {found[:16]}...; {listed} lists {entries[name][:16]}...")


def shipped_key(path: str) -> Key | None:
    """The set of a committed vector file; None for runs tables."""
    for key in catalogue(LEVEL):
        if path.startswith(f"{SUITE}/{key.name}.{LEVEL}."):
            return key
    return None
