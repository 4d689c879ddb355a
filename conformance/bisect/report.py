"""A bisection as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from conformance.adapter import accumulation_record
from conformance.bisect.drive import Bisection, Difference, Step
from conformance.report.words import decided_by
from mxemu import __version__
from mxemu.profile import plain

SCHEMA = 1

MEANINGS = {
    "decode": "what a code means",
    "scale": "which scale is chosen, or what it does",
    "divide": "an input divided by the scale",
    "exact": "numbers that need no rounding",
    "product": "which elements meet, and their product",
    "lanes": "the order of the elements",
    "align": "terms brought to one exponent",
    "accumulate": "terms added up",
    "round": "the result rounded to its format",
    "overflow": "numbers beyond the largest",
    "specials": "zeros, Inf and NaN",
}
"""What happens at each step."""


def text(found: Bisection) -> str:
    """The bisection for a terminal."""
    parts = ["\n".join(_head(found)), "\n".join(_steps(found)), "\n".join(_verdict(found))]
    return "\n\n".join(part for part in parts if part)


def _head(found: Bisection) -> Iterator[str]:
    about, request = found.subject, found.request
    name = f"{about.name}[{about.variant}]" if about.variant else about.name
    place = f"{request.operation} {request.format} ({request.carrier})"
    yield f"mxemu {__version__}   {name} {about.version}   {place}"
    yield f"compared with {_compared_with(found)}"
    if found.asked_case:
        yield f"the case: {_sides(found.given) if found.given else 'as expected'}"


def _compared_with(found: Bisection) -> str:
    terms = found.request.terms
    if terms.accumulation is None:
        return f"the profile {terms.profile.describe()}"
    if terms.declared:
        return f"the accumulation {terms.accumulation}, which the subject declares"
    return f"the accumulation {terms.accumulation}; MX 6.1 and 6.2 leave precision and order open"


def _sides(one: Difference) -> str:
    if one.case is None:
        return f"no result: {one.reason}"
    return f"{one.case.text()}{f' ({one.reason})' if one.reason else ''}"


def _steps(found: Bisection) -> Iterator[str]:
    """One line a step: how many of how many agree."""
    width = max(len(step.name) for step in found.steps)
    for step in found.steps:
        yield f"{step.name:<{width}}  {_counts(step, found.difference):<22}  {MEANINGS[step.name]}"


def _counts(step: Step, difference: Difference | None) -> str:
    if difference is not None and step.name == difference.step:
        return f"{step.asked - step.agreed:,} of {step.asked:,} differ"
    if step.asked:
        return f"{step.agreed:,} of {step.asked:,} agree"
    return "not asked" if difference is not None else "nothing to ask"


def _verdict(found: Bisection) -> Iterator[str]:
    one = found.difference
    if one is None:
        yield "no step differs"
        return
    if not one.step:
        steps = ", ".join(step.name for step in found.steps)
        yield "every step agrees where it is asked alone, but the case differs"
        yield f"  {steps}: from outside these cannot be told apart here"
        yield f"  see: {see(one)}" if one.case else f"  {one.reason}"
        return
    yield f"the first step that differs: {one.step}"
    if one.also:
        yield f"  or {' or '.join(one.also)}: from outside these cannot be told apart here"
    yield f"  shown by: {one.what}"
    yield f"  {_sides(one)}"
    if one.case is not None:
        yield f"  {decided_by(one.case.clause, '')}"
        yield f"  see: {see(one)}"


def see(one: Difference) -> str:
    """What to type to see the example derived: the derivation where it is short, else the token."""
    assert one.case is not None
    if len(one.case.explain) <= _LONGEST or not one.token:
        return one.case.explain
    return f"mxemu replay {one.token}"


_LONGEST = 200


def record(found: Bisection) -> dict[str, Any]:
    """The bisection as plain data."""
    request, terms = found.request, found.request.terms
    changes = {key: plain(choice) for key, choice in terms.profile.changes().items()}
    accumulation = terms.accumulation
    return {
        "schema": SCHEMA,
        "mxemu": __version__,
        "subject": {
            "name": found.subject.name,
            "version": found.subject.version,
            "variant": found.subject.variant,
        },
        "operation": request.operation,
        "format": request.format,
        "carrier": request.carrier,
        "profile": None if accumulation else {"name": terms.profile.name, "fields": changes},
        "accumulation": None if accumulation is None else accumulation_record(accumulation),
        "case": _difference(found.given) if found.asked_case else None,
        "case_asked": found.asked_case,
        "steps": [asdict(step) for step in found.steps],
        "first_difference": _difference(found.difference),
        "exit_code": found.exit_code,
    }


def _difference(one: Difference | None) -> dict[str, Any] | None:
    if one is None:
        return None
    case = one.case
    return {
        "step": one.step,
        "or": list(one.also),
        "question": one.what,
        "reason": one.reason,
        "clause": case.clause if case else "",
        "where": case.where if case else "",
        "input": asdict(case.given) if case else None,
        "dut": asdict(case.dut) if case else None,
        "ref": asdict(case.ref) if case else None,
        "replay": case.explain if case else "",
        "token": one.token,
    }


def as_json(found: Bisection) -> str:
    """The bisection as JSON text."""
    return json.dumps(record(found), indent=2, ensure_ascii=False)
