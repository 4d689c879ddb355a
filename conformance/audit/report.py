"""The audit in words, and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator

from conformance.audit.power import Audit, Class
from mxemu import __version__

SCHEMA = "mxemu-audit-1"
_LONGEST = 160


def render_text(found: Audit) -> str:
    """For a terminal."""
    parts = [list(_head(found)), list(_accepted(found)), list(_cases(found)), list(_end(found))]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _head(found: Audit) -> Iterator[str]:
    yield f"mxemu {__version__}   {found.operation} {found.format}   your assertion: {found.assertion}"
    left = f", {found.inputs.left_out:,} more left out (--blocks)" if found.inputs.left_out else ""
    yield f"inputs: {found.source}{left}"


def _accepted(found: Audit) -> Iterator[str]:
    """The sentence that counts, then each class that passes."""
    for line in found.vacuous:
        yield f"VACUOUS  {line}"
    for name in found.strict:
        wrong = (
            "a correct kernel" if name == "reference" else f"the correct order of additions {name}"
        )
        yield f"too strict  your assertion rejects {wrong}"
    passed, total = found.passed, len(found.classes)
    if not passed:
        yield f"your assertion rejects all {total} known bug classes"
        return
    zero = ", including an all-zero output" if any(one.name == "all-zero" for one in passed) else ""
    yield f"your assertion accepts {len(passed)} of {total} known bug classes{zero}"
    width = max(len(one.name) for one in passed)
    for one in passed:
        yield f"  {one.name:<{width}}  {_why(one)}"
        yield f"  {'':<{width}}  {one.what}"


def _why(one: Class) -> str:
    """Whether the tolerance or the inputs let a class pass."""
    if one.reason == "tolerance":
        return (
            f"the tolerance: other bits in {one.differing:,} of {one.of:,} rows, and still accepted"
        )
    shown = f"; case {one.case} shows it" if one.case >= 0 else ""
    return f"the inputs: the same bits as a correct kernel{shown}"


def _cases(found: Audit) -> Iterator[str]:
    """Inputs that would have shown what passes."""
    if not found.cases:
        return
    yield f"the smallest set of inputs that shows them all, bit for bit ({len(found.cases)} of {found.whole_suite:,}):"
    for index, line in found.cases.items():
        short = (
            line if len(line) <= _LONGEST else line[: _LONGEST - 28] + " ... (--output-format json)"
        )
        yield f"  case {index:<4} {short}"


def _end(found: Audit) -> Iterator[str]:
    code = found.exit_code
    words = (
        "the test catches every class"
        if not code
        else "the test misses bugs, or rejects what is right"
    )
    yield f"exit {code}: {words}"


def render_json(found: Audit) -> str:
    """For programs: stable order, no time stamps."""
    record = {
        "schema": SCHEMA,
        "mxemu": __version__,
        "operation": found.operation,
        "format": found.format,
        "assertion": found.assertion,
        "inputs": {
            "source": found.source,
            "rows": found.inputs.rows,
            "left_out": found.inputs.left_out,
        },
        "exit_code": found.exit_code,
        "accepted": len(found.passed),
        "of": len(found.classes),
        "vacuous": found.vacuous,
        "too_strict": found.strict,
        "classes": [
            {
                "name": one.name,
                "kind": one.kind,
                "what": one.what,
                "caught": one.caught,
                "reason": one.reason or None,
                "rows_differing": one.differing,
                "rows": one.of,
                "case": one.case if one.case >= 0 else None,
            }
            for one in found.classes
        ],
        "cases": [{"case": index, "shown_by": line} for index, line in found.cases.items()],
    }
    return json.dumps(record, indent=2, ensure_ascii=False)
