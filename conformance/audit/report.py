"""The audit in words, and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator

from conformance.audit.power import Audit, Class
from mxemu import __version__

SCHEMA = "mxemu-audit-1"

_REASONS = {
    "tolerance": "the tolerance lets {} pass: other bits on these inputs, and still accepted",
    "inputs": "the inputs let {} pass: the same bits as a correct kernel, so no tolerance helps",
}


def render_text(found: Audit) -> str:
    """For a terminal."""
    parts = [_head(found), _accepted(found), *(_classes(found, one) for one in _REASONS)]
    texts = ["\n".join(lines) for lines in (*parts, _cases(found), _end(found))]
    return "\n\n".join(text for text in texts if text)


def _head(found: Audit) -> Iterator[str]:
    yield f"mxemu {__version__}   {found.operation} {found.format}   your assertion: {found.assertion}"
    given, source = found.inputs, found.source
    left = f", {given.left_out:,} more left out (--blocks)" if given.left_out else ""
    numbers = f" in {given.carrier}" if given.operation not in ("decode", "dequantize") else ""
    yield f"inputs: {source}{numbers}{left}"


def _accepted(found: Audit) -> Iterator[str]:
    """What an assertion is worth as a whole, and the sentence that counts."""
    for line in found.vacuous:
        yield f"VACUOUS  {line}"
    for name in found.strict:
        wrong = (
            "a correct kernel" if name == "reference" else f"the correct order of additions {name}"
        )
        yield f"too strict  your assertion rejects {wrong}"
    if found.raised:
        yield f"            it raises {found.raised}"
    passed, total = found.passed, len(found.classes)
    if not passed:
        yield f"your assertion rejects all {total} known bug classes"
        return
    zero = ", including an all-zero output" if any(one.name == "all-zero" for one in passed) else ""
    yield f"your assertion accepts {len(passed)} of {total} known bug classes{zero}"


def _classes(found: Audit, reason: str) -> Iterator[str]:
    """Each class that passes for one reason."""
    chosen = [one for one in found.passed if one.reason == reason]
    if not chosen:
        return
    yield _REASONS[reason].format(len(chosen))
    names, sides = max(len(one.name) for one in chosen), max(len(_side(one)) for one in chosen)
    for one in chosen:
        yield f"  {one.name:<{names}}  {_side(one):<{sides}}  {one.what}"


def _side(one: Class) -> str:
    """How much of the inputs shows a class, or which case would."""
    if one.reason == "tolerance":
        return f"{one.differing:,} of {one.of:,} rows"
    return f"case {one.case}" if one.case >= 0 else ""


def _cases(found: Audit) -> Iterator[str]:
    """Inputs that would have shown what passes."""
    if not found.cases:
        return
    counts = f"{len(found.cases)} of {found.whole_suite:,}; --save FILE.npz"
    yield f"the smallest set of inputs that shows them all, bit for bit ({counts}):"
    for index, line in found.cases.items():
        yield f"  case {index:<4} {line}"


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
            "carrier": found.inputs.carrier,
            "rows": found.inputs.rows,
            "left_out": found.inputs.left_out,
        },
        "exit_code": found.exit_code,
        "accepted": len(found.passed),
        "of": len(found.classes),
        "vacuous": found.vacuous,
        "too_strict": found.strict,
        "raised": found.raised or None,
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
