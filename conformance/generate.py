"""Render every committed file that follows from the code: reference pages, vectors, their manifest.

``python -m conformance.generate`` writes them; with ``--check`` nothing is written, and the exit status is 1 if a file
on disk differs by one byte, is missing, or is not among those that would be written. Nothing here depends on the time,
the machine or the order of a directory.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from enum import Enum
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import mxemu
from conformance import rendering, rules, system_pages
from conformance.figures import figures
from conformance.notes import NOTES
from conformance.traceability import (
    ROOT,
    case_counts,
    deviating_subjects,
    implementations,
    is_due,
    naming_tests,
    untraced,
)
from conformance.vectors import shipped
from conformance.vectors.suites import OPERATIONS, SUITE, catalogue, suite
from conformance.vectors.table import Role
from mxemu.accumulation import KINDS, Accumulation, Fuse, Round
from mxemu.accumulations import ACCUMULATIONS
from mxemu.block import value_bits
from mxemu.clauses import CLAUSES
from mxemu.explain.dots import GRADES, describe, specials
from mxemu.formats import (
    BLOCK_FORMATS,
    CARRIERS,
    E8M0,
    ELEMENTS,
    MX_ELEMENTS,
    BlockFormat,
    ElementFormat,
    FloatFormat,
    IntFormat,
)
from mxemu.profile import FIELDS, OCP, PRESETS, SCALE_RULES, alternatives, plain
from mxemu.scalar import decode, encode
from mxemu.scale import encode_scale
from mxemu.value import Kind, Value

__all__ = ["check", "main", "products", "untraced", "write"]

# Every file below these is generated; a file that no product writes is one that was renamed or forgotten.
OWNED = ("docs/reference", "vectors")
MEASURED = {f"docs/reference/performance.{kind}" for kind in ("json", "md", "svg")}
"""Written by a run of the benchmarks, not from the code; a test compares the page with its record."""


def products(root: Path = ROOT) -> dict[str, str]:
    """Every generated file: its path relative to the root, and its text."""
    vectors = _shipped()
    return {
        **dict(_pages(root)),
        **{f"vectors/{path}": one.text for path, one in vectors.items()},
        "vectors/manifest.json": shipped.manifest(vectors),
        "vectors/README.md": _render("vectors.md", **_vectors(vectors)),
    }


def check(root: Path = ROOT) -> list[str]:
    """One line for each generated file that is stale, missing or extra; empty when all is well."""
    wanted = products(root)
    found = {path.relative_to(root).as_posix() for top in OWNED for path in _files(root / top)}
    problems = [f"extra    {path}" for path in found - wanted.keys() - MEASURED]
    for path, text in wanted.items():
        if path not in found:
            problems.append(f"missing  {path}")
        elif (root / path).read_bytes() != text.encode():
            problems.append(f"stale    {path}")
    return sorted(problems, key=lambda line: line.split()[1])


def write(root: Path = ROOT) -> list[str]:
    """Write every product that differs from what is on disk, and return the paths written."""
    written = []
    for path, text in products(root).items():
        target = root / path
        if not target.exists() or target.read_bytes() != text.encode():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
            written.append(path)
    return written


def _files(top: Path) -> Iterator[Path]:
    return (path for path in top.rglob("*") if path.is_file())


def _pages(root: Path) -> Iterator[tuple[str, str]]:
    """The reference pages."""
    sections = [
        (name, list(group))
        for name, group in groupby(CLAUSES.values(), lambda clause: clause.section)
    ]
    mistakes = {
        id_: [note.key for note in NOTES.values() if id_ in note.clauses] for id_ in CLAUSES
    }
    beside = {"mistakes": mistakes, "systems": deviating_subjects(root)}
    yield "docs/reference/clauses.md", _render("clauses.md", sections=sections, **beside)
    yield "docs/reference/notes.md", _render("notes.md", pages=list(rules.pages()))
    yield "docs/reference/traceability.md", _render("traceability.md", **_traces(root))
    yield "docs/reference/formats.md", _render("formats.md", **_formats())
    yield "docs/reference/profiles.md", _render("profiles.md", **_profiles())
    yield "docs/reference/accumulations.md", _render("accumulations.md", **_accumulations())
    for name, figure in figures().items():
        yield f"docs/reference/{name}", figure
    for element in (*MX_ELEMENTS, E8M0):
        page = _render("codes.md", element=element, **_codes(element))
        yield f"docs/reference/codes/{element.name.lower()}.md", page
    for path, context in system_pages.pages(root).items():
        template = "system.md" if "system" in context else "system_index.md"
        yield f"docs/reference/{path}", _render(template, **context)


def _render(template: str, **context: Any) -> str:
    """A page from its template."""
    rendering.environment().filters.update(cell=_cell, anchor=_anchor)
    return rendering.squeezed(rendering.render(f"{template}.j2", context)).strip() + "\n"


def _cell(text: object) -> str:
    """Text that can stand in a cell of a Markdown table."""
    return str(text).replace("|", "\\|") or "-"


def _anchor(heading: str) -> str:
    """The anchor that GitHub and most renderers give to a heading that is an id."""
    return heading.lower().replace(".", "")


def _first_line(record: object) -> str:
    """The first line of a docstring."""
    return (record.__doc__ or "").partition("\n")[0]


# Traceability.


def _traces(root: Path) -> dict[str, Any]:
    code, tests, subjects = implementations(), naming_tests(root), deviating_subjects(root)
    cases, vectors = case_counts(), _vector_counts()
    rows = [
        {
            "clause": clause,
            "due": is_due(clause),
            "code": code[clause.id],
            "tests": tests[clause.id],
            "cases": cases.get(clause.id, 0),
            "vectors": vectors.get(clause.id, 0),
            "subjects": subjects[clause.id],
        }
        for clause in CLAUSES.values()
    ]
    return {"rows": rows, "untraced": untraced(root), "version": mxemu.__version__}


def _vector_counts() -> dict[str, int]:
    """How many vector files hold a row that the clause decides."""
    counts: Counter[str] = Counter()
    for one in _shipped().values():
        if one.entry["form"] in ("runs", "json"):
            counts.update(set(one.entry["clauses"]))
    return dict(counts)


@cache
def _shipped() -> Mapping[str, shipped.Shipped]:
    """The committed vectors."""
    return dict(shipped.files())


def _vectors(files: Mapping[str, shipped.Shipped]) -> dict[str, Any]:
    """What the format document of the vectors shows."""
    keys = catalogue(shipped.LEVEL)
    operations = []
    for operation in OPERATIONS:
        key = next(key for key in keys if key.operation == operation)
        one = suite(key)
        fields = [field for field in one.table.fields if field.role is not Role.EXPECT]
        operations.append({"name": operation, "example": key.name, "fields": fields})
    name = next(key.name for key in keys if key.operation == "encode")
    lines = files[f"{SUITE}/{name}.{shipped.LEVEL}.memh"].text.splitlines()
    return {
        "suite": SUITE,
        "carriers": shipped.RUN_CARRIERS,
        "scales": [f"{scale:02x}" for scale in shipped.RUN_SCALES],
        "profile": OCP,
        "operations": operations,
        "sets": len(keys),
        "example": name,
        "lines": lines[:12],
        "megabytes": f"{sum(len(one.text) for one in files.values()) / 1e6:.0f}",
    }


# Formats and codes.


def _formats() -> dict[str, Any]:
    others = [fmt for fmt in ELEMENTS.values() if fmt not in (*MX_ELEMENTS, E8M0)]
    return {
        "mx_elements": _table((*MX_ELEMENTS, E8M0)),
        "other_elements": _table(others),
        "carriers": _table(tuple(CARRIERS.values())),
        "blocks": [_block_row(fmt) for fmt in BLOCK_FORMATS.values()],
    }


def _table(formats: Sequence[ElementFormat]) -> dict[str, list[str]]:
    """Property to one cell a format; ``format`` is the heading."""
    described = [_describe(fmt) for fmt in formats]
    fullest_first = sorted(described, key=len, reverse=True)
    labels = list(dict.fromkeys(label for one in fullest_first for label in one))
    return {label: [one.get(label, "-") for one in described] for label in labels}


def _describe(fmt: ElementFormat) -> dict[str, str]:
    """Every derived number of an element, scale or carrier format, as text."""
    own = _describe_float(fmt) if isinstance(fmt, FloatFormat) else _describe_int(fmt)
    counts = {_COUNTED[what]: str(number) for what, number in fmt.counts.items()}
    return {"format": fmt.name, **own, **counts, "defined by": fmt.origin}


_COUNTED = {
    "codes": "codes",
    "finite": "finite codes",
    "zero": "zeros",
    "subnormal": "subnormal codes",
    "normal": "normal codes",
    "inf": "Inf codes",
    "nan": "NaN codes",
    "distinct": "distinct real values",
}


def _describe_float(fmt: FloatFormat) -> dict[str, str]:
    inf = [] if fmt.inf is None else [fmt.inf]
    return {
        "bits (sign, exponent, mantissa)": f"{fmt.width} ({int(fmt.signed)}, {fmt.exponent_bits}, {fmt.mantissa_bits})",
        "bias": str(fmt.bias),
        "emin, emax": f"{fmt.emin}, {fmt.emax}",
        "largest": _value_and_code(fmt.max, fmt),
        "smallest normal": _value_and_code(fmt.min_normal, fmt),
        "largest subnormal": "-"
        if fmt.max_subnormal is None
        else _value_and_code(fmt.max_subnormal, fmt),
        "smallest above zero": _value_and_code(fmt.min_positive, fmt),
        "-0": hex_code(fmt.sign_mask, fmt) if fmt.signed and fmt.negative_zero else "-",
        "Inf": _code_ranges(inf, fmt) if inf else "-",
        "NaN": _nan_text(fmt),
    }


def _describe_int(fmt: IntFormat) -> dict[str, str]:
    return {
        "bits (sign, exponent, mantissa)": f"{fmt.width}, two's complement n * 2^-{fmt.fraction_bits}",
        "emin, emax": f"-, {fmt.emax}",
        "largest": _value_and_code(fmt.max, fmt),
        "smallest above zero": _value_and_code(fmt.min_positive, fmt),
        "without a positive counterpart": f"{decode(fmt.min_code, fmt)} ({hex_code(fmt.min_code, fmt)})",
    }


def hex_code(code: int, fmt: ElementFormat) -> str:
    """A code in hexadecimal, with all digits of its width."""
    return f"0x{code:0{(fmt.width + 3) // 4}X}"


def _value_and_code(value: Value, fmt: ElementFormat) -> str:
    without_zero = isinstance(fmt, FloatFormat) and not fmt.subnormals
    code = (
        encode_scale(value, fmt)
        if without_zero and isinstance(fmt, FloatFormat)
        else encode(value, fmt).code
    )
    return f"{value} ({hex_code(code, fmt)})"


def _nan_text(fmt: FloatFormat) -> str:
    if not fmt.negative_zero:
        return hex_code(fmt.sign_mask, fmt)
    return _code_ranges([fmt.nans[0], fmt.nans[-1]], fmt) if len(fmt.nans) else "-"


def _code_ranges(ends: Sequence[int], fmt: FloatFormat) -> str:
    """One range of codes for each sign."""
    signs = (0, fmt.sign_mask) if fmt.signed else (0,)
    spans = [sorted({sign | end for end in ends}) for sign in signs]
    return ", ".join(" to ".join(hex_code(end, fmt) for end in span) for span in spans)


def _block_row(fmt: BlockFormat) -> dict[str, str]:
    bits = fmt.bits_per_block
    return {
        "block format": fmt.name,
        "element": fmt.element.name,
        "scale": fmt.scale.name,
        "k": str(fmt.k),
        "bits per block": str(bits),
        "bytes per block": str(bits // 8) if bits % 8 == 0 else "-",
        "largest value": str(_product(fmt.scale.max, fmt.element.max)),
        "smallest above zero": str(_product(fmt.scale.min_positive, fmt.element.min_positive)),
        "concrete MX format": "yes" if fmt.is_concrete_mx else "no",
        "defined by": fmt.origin,
    }


def _product(a: Value, b: Value) -> Value:
    return Value(0, a.significand * b.significand, a.exponent + b.exponent)


def _codes(element: ElementFormat) -> dict[str, Any]:
    """The rows of a page of codes: all of them, or the telling ones of an integer format."""
    if isinstance(element, IntFormat):
        return {
            "rows": [_int_row(code, element) for code in _telling_codes(element)],
            "complete": False,
        }
    return {
        "rows": [_float_row(code, element) for code in range(1 << element.width)],
        "complete": True,
    }


def _telling_codes(fmt: IntFormat) -> list[int]:
    """Zero, the ends, 1 and its neighbours, each with its negative."""
    one = 1 << fmt.fraction_bits
    half = [0, 1, 2, one // 2, one - 1, one, one + 1, fmt.max_code - 1, fmt.max_code]
    mask = (1 << fmt.width) - 1
    return sorted({*half, *(-code & mask for code in half), fmt.min_code})


def _int_row(code: int, fmt: IntFormat) -> dict[str, str]:
    number = code - (1 << fmt.width) if code & fmt.min_code else code
    kind = (
        "optional: may stay unused" if code == fmt.min_code else "zero" if not code else "integer"
    )
    fields = f"{code:0{fmt.width}b}"
    value = str(decode(code, fmt))
    return {
        "code": hex_code(code, fmt),
        "fields": fields,
        "n": str(number),
        "value": value,
        "class": kind,
    }


def _float_row(code: int, fmt: FloatFormat) -> dict[str, str]:
    value = decode(code, fmt)
    return {
        "code": hex_code(code, fmt),
        "fields": _fields(code, fmt),
        "value": str(value),
        "binary32": f"0x{value_bits(value):08X}",
        "class": _class(code, value, fmt),
    }


def _fields(code: int, fmt: FloatFormat) -> str:
    """Sign, exponent field and mantissa in binary, separated by underscores."""
    mantissa = (
        f"{code & ((1 << fmt.mantissa_bits) - 1):0{fmt.mantissa_bits}b}"
        if fmt.mantissa_bits
        else ""
    )
    exponent = f"{(code & fmt.magnitude_mask) >> fmt.mantissa_bits:0{fmt.exponent_bits}b}"
    sign = f"{int(code & fmt.sign_mask != 0)}" if fmt.signed else ""
    return "_".join(part for part in (sign, exponent, mantissa) if part)


def _class(code: int, value: Value, fmt: FloatFormat) -> str:
    if value.kind is not Kind.FINITE:
        return str(value.kind.value)
    if value.is_zero:
        return "zero"
    magnitude, first_normal = code & fmt.magnitude_mask, int(fmt.subnormals) << fmt.mantissa_bits
    kind, first, last = (
        ("subnormal", 1, first_normal - 1)
        if magnitude < first_normal
        else ("normal", first_normal, fmt.max_code)
    )
    return kind + ", smallest" * (magnitude == first) + ", largest" * (magnitude == last)


# Profiles.


def _profiles() -> dict[str, Any]:
    presets = [
        {
            "profile": preset,
            "changes": {name: plain(choice) for name, choice in preset.changes().items()},
            "departures": preset.departures(),
        }
        for preset in PRESETS.values()
    ]
    return {
        "presets": presets,
        "fields": [_field(name) for name in FIELDS],
        "rules": SCALE_RULES.values(),
    }


def _field(name: str) -> dict[str, Any]:
    """A profile field, its default and its alternatives."""
    default = OCP.choices()[name]
    described = _parameters(type(OCP)).get(name, "")
    if name == "scale_rule":
        return {
            "name": name,
            "default": plain(default),
            "choices": ["see below"],
            "says": _first_line(type(default)),
        }
    choices = [plain(choice) for choice in alternatives(name)]
    return {
        "name": name,
        "default": "none" if default is None else plain(default),
        "choices": choices,
        "says": _first_line(type(default)) if choices else described,
    }


# Accumulations.


def _accumulations() -> dict[str, Any]:
    """Every named accumulation with the sentence that its record gives, the grades, and the fields of the records."""
    rows = [
        {
            "record": record,
            "does": describe(record),
            "specials": specials(record),
            "operands": ", ".join(record.operands) or "any",
        }
        for record in ACCUMULATIONS.values()
    ]
    counts = Counter(record.grade for record in ACCUMULATIONS.values())
    records = {"Accumulation": Accumulation, "Fuse": Fuse, "Round": Round}
    records |= {kind.__name__: kind for kind in KINDS.values()}
    return {
        "rows": rows,
        "grades": [(grade.value, words, counts[grade]) for grade, words in GRADES.items()],
        "records": [
            (name, _first_line(record), _record_fields(record)) for name, record in records.items()
        ],
    }


def _record_fields(record: Any) -> list[dict[str, str]]:
    """The fields of a record: name, default, and what its docstring or its kind of choice says."""
    described = _parameters(record)
    return [
        {
            "name": one.name,
            "default": _default_text(one),
            "says": described.get(one.name, "").replace("``", "`") or _choice_text(one),
        }
        for one in fields(record)
    ]


def _choice_text(one: Any) -> str:
    """The members of the enumeration that a field holds; else what all fields of its name are."""
    kind = type(one.default)
    if not issubclass(kind, Enum):
        return _SAYS[one.name]
    members = ", ".join(str(member.value) for member in kind)
    return f"{_first_line(kind)} One of {members}."


_SAYS = {
    "name": "By which it is listed.",
    "node": "Which terms meet in which sum.",
    "step": "The `Fuse` of each sum.",
    "inner": "Reduces the terms without C.",
    "outer": "Reduces the results of `inner`, with C.",
    "leaf": "Terms of the smallest sums.",
    "terms": "Each term is rounded first.",
    "count": "Of lanes.",
}


def _default_text(one: Any) -> str:
    """A default as it would be written in TOML."""
    if one.default is MISSING:
        return "-" if one.default_factory is MISSING else "{}"
    plainly = getattr(one.default, "value", one.default)
    return {None: "none", "": '""', (): "[]"}.get(plainly, str(plainly).lower())


def _parameters(record: type) -> dict[str, str]:
    """The descriptions of a numpydoc section Parameters, by name; empty where there is none."""
    entry = re.compile(r"^(\w+(?:, \w+)*) : .*\n((?:    .*\n)*)", re.MULTILINE)
    found = entry.findall(f"{inspect.getdoc(record) or ''}\n")
    return {name: " ".join(text.split()) for names, text in found for name in names.split(", ")}


# Vectors.


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0 if all files are as they should be, 1 if not, 2 outside a checkout."""
    parser = argparse.ArgumentParser(
        prog="python -m conformance.generate", description=_first_line(sys.modules[__name__])
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail if a file is stale, missing or extra",
    )
    only_check = parser.parse_args(arguments).check
    if not (ROOT / "pyproject.toml").exists():
        print(
            f"{ROOT} is not a checkout; expected pyproject.toml, docs and vectors there",
            file=sys.stderr,
        )
        return 2
    if not only_check:
        for path in write(ROOT):
            print(f"wrote    {path}")
    problems = check(ROOT)
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
