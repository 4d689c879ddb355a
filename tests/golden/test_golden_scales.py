"""Published scale codes against the oracle and the core."""

from __future__ import annotations

from collections.abc import Sequence

import oracle
import pytest
from exhaustive.bridge import to_number, to_value
from golden import scales
from golden.parameters import exact

from mxemu import profile as profiles
from mxemu import scale
from mxemu.formats import BINARY32, E8M0, MXFP4_E2M1, MXFP8_E4M3
from mxemu.profile import OCP
from mxemu.scalar import decode
from mxemu.value import Value

ORDINARY = [
    *[("E2M1", scales.AMAX_E2M1, rule, codes) for rule, codes in scales.SCALES_E2M1.items()],
    *[("E4M3", scales.AMAX_E4M3, rule, codes) for rule, codes in scales.SCALES_E4M3.items()],
]
BLOCKS = {"E2M1": MXFP4_E2M1, "E4M3": MXFP8_E4M3}


def binary32(text: str) -> oracle.Number:
    """The binary32 number that a decimal text stands for."""
    return oracle.decode(oracle.round_to_carrier(exact(text), "binary32"), "binary32")


@pytest.mark.parametrize(("name", "amax", "rule", "codes"), ORDINARY)
def test_oracle_at_ordinary_amax(
    name: str, amax: Sequence[str], rule: str, codes: Sequence[int]
) -> None:
    found = [oracle.scale_code(binary32(text).magnitude, name, rule) for text in amax]
    assert found == list(codes)


@pytest.mark.clause("MX-6.3-SCALE", "MX-6.3-ALT", "MX-4-SCOPE-SCALEALG")
@pytest.mark.parametrize(("name", "amax", "rule", "codes"), ORDINARY)
def test_core_at_ordinary_amax(
    name: str, amax: Sequence[str], rule: str, codes: Sequence[int]
) -> None:
    profile = OCP.replace(scale_rule=rule)
    values = [to_value(binary32(text)) for text in amax]
    assert [scale.scale_code(value, BLOCKS[name], profile) for value in values] == list(codes)


@pytest.mark.parametrize("row", scales.PTX_CONVERSIONS, ids=lambda row: f"{row[0]:08x}")
def test_oracle_casts_to_e8m0(row: tuple[int, int, int, int, int]) -> None:
    value = oracle.decode(row[0], "binary32")
    found = [oracle.cast_to_e8m0(value, up, sat) for up in (False, True) for sat in (False, True)]
    assert found == list(row[1:])


@pytest.mark.parametrize("row", scales.PTX_CONVERSIONS, ids=lambda row: f"{row[0]:08x}")
def test_core_casts_to_e8m0(row: tuple[int, int, int, int, int]) -> None:
    value = decode(row[0], BINARY32)
    found = [
        scale.encode_scale(
            value,
            E8M0,
            OCP.replace(scale_cast=cast, scale_overflow=overflow, scale_negative="magnitude"),
        )
        for cast in ("toward-zero", "toward-positive")
        for overflow in ("nan", "saturate")
    ]
    assert found == list(row[1:])


def special(text: str) -> Value:
    """One column head of the table of unusual amax."""
    words = {"Inf": 0x7F800000, "NaN": 0x7FC00000, "max": 0x7F7FFFFF}
    if text in words:
        return to_value(oracle.decode(words[text], "binary32"))
    return to_value(oracle.number(exact(text)))


@pytest.mark.parametrize("preset", scales.SCALES_SPECIAL)
def test_core_at_unusual_amax(preset: str) -> None:
    profile = profiles.profile(preset)
    zeros = [Value(0, 0, 0)] * 31
    found = []
    for text in scales.AMAX_SPECIAL:
        largest = scale.amax([*zeros, special(text)], profile)
        found.append(scale.scale_code(largest, MXFP4_E2M1, profile))
    assert found == list(scales.SCALES_SPECIAL[preset])


@pytest.mark.parametrize(
    ("preset", "rule"),
    [("ocp", "FLOOR"), ("ceil", "CEIL"), ("rceil", "RCEIL"), ("log-nearest", "LOG_NEAREST")],
)
def test_oracle_at_unusual_amax(preset: str, rule: str) -> None:
    values = [to_number(special(text)) for text in scales.AMAX_SPECIAL]
    found = [oracle.quantize([oracle.number(0), value], "E2M1", rule)[0] for value in values]
    assert found == list(scales.SCALES_SPECIAL[preset])
