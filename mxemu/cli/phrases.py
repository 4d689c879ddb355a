"""What the explanations of codes, values and blocks say in the same words."""

from __future__ import annotations

from mxemu.cli.text import (
    about_text,
    dyadic_text,
    fraction_text,
    given_text,
    number_text,
    percent_text,
    point_text,
    signed_text,
    value_text,
)
from mxemu.explain import CodeExplanation, Error, Number, Place, code_text
from mxemu.formats import ElementFormat, FloatFormat, IntFormat
from mxemu.profile import IntMinimum, Profile
from mxemu.scalar import Status

# The clause that decides a tie, by element format.
TIE_CLAUSES = {
    "E4M3": "MX-5.3.1-OFP8",
    "E5M2": "MX-5.3.1-OFP8",
    "E3M2": "MX-5.3.2-RNE",
    "E2M3": "MX-5.3.2-RNE",
    "E2M1": "MX-5.3.3-RNE",
    "INT8": "MX-5.3.4-RNE",
}
# A format of more bits has values that need a line of their own.
WIDE_FORMAT = 32


def profile_text(profile: Profile, fmt: ElementFormat) -> str:
    """The name of the profile, and its choices that matter to one conversion."""
    return f"{profile}: {choices_text(profile, fmt)}{departures_text(profile)}"


def departures_text(profile: Profile) -> str:
    """The clauses that a profile breaks whatever it is used for, if there are any."""
    broken = profile.departures()
    return f"; breaks {', '.join(broken)}" if broken else ""


def choices_text(profile: Profile, fmt: ElementFormat) -> str:
    """``TIES_TO_EVEN, SATURATE``, or what else decides for the format."""
    if isinstance(fmt, IntFormat):
        return f"{profile.rounding.name}, int_minimum {profile.int_minimum.name}"
    if fmt.subnormals:
        return f"{profile.rounding.name}, {profile.overflow.name}"
    return f"scale_cast {profile.scale_cast.name}"


def class_text(found: CodeExplanation) -> str:
    """``normal (max)``."""
    return found.kind + (f" ({', '.join(found.marks)})" if found.marks else "")


def status_text(status: Status) -> str:
    """``inexact, overflow``; ``exact`` when nothing happened."""
    return ", ".join(status.names()) or "exact"


def exact_text(number: Number, carrier: FloatFormat | None) -> str:
    """What a text means exactly, and whether a binary format could hold it."""
    given = number.given
    if given is None:
        return str(number.value)
    if given.denominator & (given.denominator - 1):
        exact = fraction_text(given, 40) or number_text(given)
        taken = "" if carrier else "; taken exactly"
        return (
            " = ".join(dict.fromkeys([given_text(number.text, 60), exact]))
            + f", which no binary format holds{taken}"
        )
    forms = [
        given_text(number.text, 60),
        number_text(given) if given.denominator == 1 else dyadic_text(given),
    ]
    return " = ".join(dict.fromkeys(forms if given else forms[:1]))


def carried_text(number: Number, carrier: FloatFormat) -> str:
    """The bits and value of a number in its carrier."""
    exact = str(number.value) if number.exact is None else number_text(number.exact)
    return f"{carrier.name} {code_text(number.bits or 0, carrier)} = {exact}"


def outside_text(place: Place, fmt: ElementFormat) -> str:
    """The end of the range that a number lies beyond, and what would come next."""
    end = place.below or place.above
    if end is None:
        return ""
    word = "above" if place.below else "below"
    last = "largest" if place.below else "lowest" if fmt.signed else "smallest"
    words = f"{word} {point_text(*end, fmt)}, the {last} value of {fmt.name}"
    if place.beyond is None or place.tie is None:
        return words
    return f"{words}; next would be {value_text(place.beyond)}, and the tie {value_text(place.tie)}"


def part_text(place: Place) -> str:
    """How far a number is on the way between its neighbours, and on which side of the tie."""
    if place.part is None or place.tie is None:
        return ""
    if 2 * place.part == 1:
        return f"exactly the tie {value_text(place.tie)}"
    side = "above" if 2 * place.part > 1 else "below"
    part = fraction_text(place.part, 12) or about_text(place.part, 6)
    return f"{part} of the way, {side} the tie {value_text(place.tie)}"


def error_text(error: Error) -> str:
    """The error, absolute and relative, exact where that is short."""
    if not error.absolute:
        return "0"
    words = signed_text(error.absolute)
    if ("2^" in words or "/" in words) and "about" not in words:
        words += f" ({about_text(error.absolute, 6)})"
    if error.relative is None:
        return words
    exact = fraction_text(error.relative, 14)
    return f"{words}, relative {exact + ' = ' if exact else ''}{percent_text(error.relative)}"


def leaves_out(code: int, fmt: ElementFormat, profile: Profile) -> bool:
    """Whether a code is the integer minimum, and the profile does not produce it."""
    excluded = profile.int_minimum is IntMinimum.EXCLUDE
    return isinstance(fmt, IntFormat) and code == fmt.min_code and excluded


def minimum_text(fmt: ElementFormat) -> str:
    """A note about the integer minimum."""
    code = code_text(1 << (fmt.width - 1), fmt)
    return (
        f"{code} has no positive counterpart and may be left out, as here: mxemu rule MX-5.3.4-NEG2"
    )


def no_clause(fmt: ElementFormat) -> list[tuple[str, str]]:
    """A note that the document says nothing about a conversion to a scale."""
    if fmt.name != "E8M0":
        return []
    return [
        ("note", "no clause defines a conversion to E8M0; the profile does: mxemu rule MX-6.3-ALT")
    ]


def nan_clause(fmt: ElementFormat) -> str:
    """The clause about a NaN that is converted to a format without NaN."""
    prefix = TIE_CLAUSES.get(fmt.name, "MX-5.3.4").rpartition("-")[0]
    return f"{prefix}-NAN"
