"""Golden Verilog is the exact core, and the example designs equal it for every input: proofs, not simulations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rtl.golden import PARAMETERS, Miter, difference, need_yosys

from conformance.vectors.emit.golden import golden_decoder, golden_encoder
from mxemu.block import encode_scaled, value_bits
from mxemu.errors import BadCode, BadValue, UnknownName
from mxemu.formats import BFLOAT16, BINARY32, MX_ELEMENTS, MXFP4_E2M1, MXFP8_E4M3, carrier, element
from mxemu.profile import OCP, PRESETS, Profile
from mxemu.scalar import decode, encode_bits

pytestmark = pytest.mark.clause("MX-6.3-ELEM", "MX-6.3-RNE", "MX-6.3-CLAMP")

ROW = re.compile(r"^ +value < (\d+)'h([0-9a-f]+) \? (\d+)'h([0-9a-f]+) : // (.+)$", re.MULTILINE)
LAST = re.compile(r"^ +(\d+)'h([0-9a-f]+); // (.+)$", re.MULTILINE)
OVERFLOWING = PRESETS["ocp-overflow"]
BLOCKS = {"E4M3": MXFP8_E4M3, "E2M1": MXFP4_E2M1}


def spans(text: str, width: int) -> list[tuple[int, int, int]]:
    """First and last input and code of each row of a golden encoder."""
    last = LAST.search(text)
    assert last is not None
    limits = [(int(limit, 16), int(code, 16)) for _, limit, _, code, _ in ROW.findall(text)]
    limits.append((1 << width, int(last[2], 16)))
    firsts = [0, *[limit for limit, _ in limits]]
    return [(first, limit - 1, code) for first, (limit, code) in zip(firsts, limits, strict=False)]


@pytest.mark.parametrize("numbers", ["binary32", "binary16", "bfloat16"])
@pytest.mark.parametrize("fmt", MX_ELEMENTS, ids=str)
def test_rows_hold_what_the_exact_core_gives_at_both_ends(fmt, numbers):
    rows = spans(golden_encoder(fmt, numbers), carrier(numbers).width)
    assert len(rows) >= 18
    for first, last, code in rows:
        assert first <= last
        assert encode_bits(first, numbers, fmt).code == code, hex(first)
        assert encode_bits(last, numbers, fmt).code == code, hex(last)


@pytest.mark.parametrize("scale", [0, 3, 127, 254])
@pytest.mark.parametrize("name", BLOCKS)
def test_rows_under_a_scale_hold_what_the_exact_core_gives(name, scale):
    rows = spans(golden_encoder(name, scale_code=scale), 32)
    for first, last, code in rows:
        for bits in (first, last):
            assert encode_scaled(decode(bits, BINARY32), scale, BLOCKS[name]).code == code


@pytest.mark.parametrize("fmt", MX_ELEMENTS, ids=str)
def test_a_decoder_has_every_code(fmt):
    text = golden_decoder(fmt, "bfloat16")
    rows = re.findall(r"^ +\d+'h([0-9a-f]+): value = 16'h([0-9a-f]{4}); //", text, re.MULTILINE)
    rows += [
        (code, bits)
        for bits, code in re.findall(
            r"^ +default: value = 16'h([0-9a-f]{4}); // \d+'h([0-9a-f]+):", text, re.MULTILINE
        )
    ]
    expected = {code: value_bits(decode(code, fmt), BFLOAT16) for code in range(1 << fmt.width)}
    assert {int(code, 16): int(bits, 16) for code, bits in rows} == expected


def test_names_and_header_say_what_it_is():
    text = golden_encoder("E4M3", "bfloat16", OVERFLOWING, 3)
    assert "module mx_golden_e4m3_bfloat16_s3_ocp_overflow (" in text
    assert "// Profile: ocp-overflow." in text
    assert "under the scale code 3, 2^-124" in text
    assert text == golden_encoder("E4M3", "bfloat16", OVERFLOWING, 3)
    assert "module mx_golden_decode_int8_binary32 (" in golden_decoder("INT8")
    assert "module mine (" in golden_decoder("INT8", name="mine")


def test_what_cannot_be_a_table_is_an_error():
    with pytest.raises(BadValue, match=r"scale_code = 0xff is NaN; expected 0 to 0xfe"):
        golden_encoder("E4M3", scale_code=255)
    with pytest.raises(BadCode, match="0x100"):
        golden_encoder("E4M3", scale_code=256)
    with pytest.raises(BadValue, match="STOCHASTIC"):
        golden_encoder("E4M3", profile=OCP.replace(rounding="stochastic"))
    with pytest.raises(UnknownName, match="did you mean E4M3"):
        golden_decoder("E4M4")


def encoder(
    name: str, scale: int, *, numbers: str = "binary32", profile: Profile = OCP, bug: int = 0
) -> Miter:
    """The example encoder beside the golden one."""
    width = carrier(numbers).width
    settings = {"INPUT": width, "OVERFLOW": int(profile is OVERFLOWING), "BUG": bug}
    return Miter(
        "mx_encode_scaled",
        PARAMETERS[name] | settings,
        {"scale": f"8'd{scale}"},
        golden_encoder(name, numbers, profile, scale, name="golden"),
        ("value", width),
        ("code", element(name).width),
    )


# NaN is no exception: the designs make the very NaN code that the profile names, and the largest number in E2M1.
@pytest.mark.parametrize("scale", [3, 127, 250])
@pytest.mark.parametrize("name", ["E4M3", "E2M1"])
def test_the_encoder_equals_the_golden_one_for_all_inputs(name, scale, tmp_path):
    need_yosys()
    assert difference(encoder(name, scale), tmp_path) is None


@pytest.mark.parametrize(
    ("name", "scale", "numbers", "profile"),
    [
        ("E5M2", 127, "binary32", OCP),
        ("E3M2", 0, "binary32", OCP),
        ("E2M3", 254, "binary32", OCP),
        ("E4M3", 0, "bfloat16", OCP),
        ("E4M3", 127, "binary32", OVERFLOWING),
        ("E5M2", 2, "bfloat16", OVERFLOWING),
    ],
)
def test_other_formats_carriers_and_profiles_are_equal_too(name, scale, numbers, profile, tmp_path):
    need_yosys()
    assert difference(encoder(name, scale, numbers=numbers, profile=profile), tmp_path) is None


@pytest.mark.parametrize(
    ("bug", "scale"),
    [("ties-away", 127), ("input-subnormal-flush", 3), ("scale-zero", 0)],
)
def test_a_seeded_mistake_is_refuted_by_an_input_that_shows_it(bug, scale, tmp_path):
    need_yosys()
    number = {"ties-away": 1, "input-subnormal-flush": 7, "scale-zero": 9}[bug]
    found = difference(encoder("E4M3", scale, bug=number), tmp_path)
    assert found is not None
    value = decode(found["given"], BINARY32)
    expected = encode_scaled(value, scale, MXFP8_E4M3).code
    assert found["gold"] == expected != found["dut"]
    match bug:
        case "ties-away":
            away = OCP.replace(rounding="ties-to-away")
            assert found["dut"] == encode_scaled(value, scale, MXFP8_E4M3, away).code
        case "input-subnormal-flush":
            assert value.leading < BINARY32.emin
            assert not found["dut"] & 0x7F
        case _:
            assert found["dut"] & 0x7F == MXFP8_E4M3.element.max_code


@pytest.mark.parametrize(("bug", "scale"), [(7, 127), (7, 250), (9, 3)])
def test_one_scale_is_not_enough(bug, scale, tmp_path):
    """Flushed inputs, or a scale 0 that is taken for zero, are proved equal where they cannot matter."""
    need_yosys()
    assert difference(encoder("E4M3", scale, bug=bug), tmp_path) is None


def decoder(name: str, bug: int = 0) -> Miter:
    """The example decoder beside the golden one."""
    return Miter(
        "mx_decode",
        PARAMETERS[name] | {"BUG": bug},
        {},
        golden_decoder(name, name="golden"),
        ("code", element(name).width),
        ("value", 32),
    )


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_decoder_equals_the_golden_one_for_all_codes(name, tmp_path):
    need_yosys()
    assert difference(decoder(name), tmp_path) is None


def test_a_wrong_decoder_is_refuted(tmp_path: Path):
    need_yosys()
    assert difference(decoder("E4M3", bug=3), tmp_path) == {
        "given": 0x80,
        "dut": 0x00000000,
        "gold": 0x80000000,
    }
