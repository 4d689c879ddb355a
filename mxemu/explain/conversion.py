"""Codes with their values, and one conversion for formats of every kind."""

from __future__ import annotations

from typing import NamedTuple

from mxemu.formats import CARRIERS, ElementFormat, IntFormat
from mxemu.profile import OCP, Overflow, Profile
from mxemu.scalar import Encoded, Status, decode, encode
from mxemu.scale import encode_scale
from mxemu.value import Value


class Point(NamedTuple):
    """A code and its exact value."""

    code: int
    value: Value


def point(code: int, fmt: ElementFormat) -> Point:
    """A code with its exact value."""
    return Point(code, decode(code, fmt))


def further(value: Value) -> Value:
    """The value one ulp further from zero."""
    return value._replace(significand=value.significand + 1)


def convert(value: Value, fmt: ElementFormat, profile: Profile = OCP, random: int = 0) -> Encoded:
    """Convert to an element by `scalar.encode`, and to a format without sign or zero by `scale.encode_scale`."""
    if isinstance(fmt, IntFormat) or (fmt.subnormals and (fmt.signed or not value.sign)):
        return encode(value, fmt, profile, random)
    code = encode_scale(value, fmt, profile)
    result = decode(code, fmt)
    same = result.kind is value.kind and (
        not value.is_finite or result.fraction() == value.fraction()
    )
    return Encoded(code, Status.EXACT if same else Status.INEXACT)


def suited(profile: Profile, fmt: ElementFormat) -> Profile:
    """The profile for a conversion to this format: carriers overflow to Inf, as IEEE 754 says."""
    if CARRIERS.get(fmt.name) == fmt and profile.overflow is not Overflow.OVERFLOW:
        return profile.replace(overflow=Overflow.OVERFLOW, name=f"{profile}, overflow to Inf")
    return profile
