"""Port maps: what they may say, and that every mistake is named with its file and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance.adapter import capabilities_of
from conformance.adapters.rtl import Design, Simulator, portmap, reading
from conformance.adapters.rtl.slices import Index, Part, read_index, read_part
from mxemu.errors import BadFile, MxemuError
from mxemu.profile import Overflow, profile

SMALL = Path(__file__).parent / "small"

HEAD = """
name = "mine"
version = "1"
top = "mine"
sources = ["mine.sv"]
"""
DECODE = """
[[operation]]
operation = "decode"
format = "E2M1"
in = { code = "code" }
out = { value = "value" }
"""
CLOCK = """
clock = { port = "clk" }
"""
SERIAL = """
[[operation]]
operation = "decode"
format = "E2M1"
[[operation.step]]
drive = { data = "code" }
[[operation.step]]
repeat = 4
read = { answer = "value[8*i +: 8]" }
"""


def read(tmp_path: Path, text: str) -> portmap.PortMap:
    (tmp_path / "mine.sv").touch()
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return reading.read(path)


def test_the_smallest_map(tmp_path: Path) -> None:
    found = read(tmp_path, HEAD + DECODE)
    (operation,) = found.operations
    assert operation.label == "decode.e2m1.binary32"
    assert operation.inputs == {"code": (Part("code", Index(0), 4),)}
    assert operation.ports == {"code": ("in", 4), "value": ("out", 32)}
    assert operation.timing.kind == portmap.COMBINATIONAL


@pytest.mark.parametrize("name", ["e2m1", "stream", "serial", "checksum"])
def test_the_maps_of_the_tests_are_read(name: str) -> None:
    assert reading.read(SMALL / f"{name}.toml").operations


def test_fields_spread_over_ports(tmp_path: Path) -> None:
    text = DECODE.replace('"code"', '["low[5:4]", "top", "sign[3]"]')
    (operation,) = read(tmp_path, HEAD + text).operations
    assert operation.inputs["code"] == (
        Part("low", Index(4), 2),
        Part("top", Index(0), 1),
        Part("sign", Index(3), 1),
    )
    assert operation.ports == {
        "low": ("in", 6),
        "top": ("in", 1),
        "sign": ("in", 4),
        "value": ("out", 32),
    }


def test_an_operation_takes_what_is_said_for_all_and_may_change_it(tmp_path: Path) -> None:
    shared = (
        HEAD + "parameters = { A = 1, B = 2 }\nconstants = { mode = 3 }\nports = { code = 8 }\n"
    )
    own = DECODE + "parameters = { B = 5 }\ntop = 'other'\noverflow = 'overflow'\n"
    (operation,) = read(tmp_path, shared + own).operations
    assert operation.parameters == {"A": 1, "B": 5}
    assert operation.constants == {"mode": 3}
    assert operation.ports["code"] == ("in", 8)
    assert operation.ports["mode"] == ("in", 2)
    assert operation.top == "other"
    assert operation.overflow is Overflow.OVERFLOW


def test_loops_with_an_index_are_unrolled() -> None:
    (operation,) = reading.read(SMALL / "checksum.toml").operations
    assert len(operation.steps) == 1 + 4 + 1
    third = operation.steps[3]
    assert third.repeat == 16
    assert {one.port.name: one.source for one in third.drive} == {
        "enable": 1,
        "scale_a": Part("sa", Index(16), 8),
        "scale_b": Part("sb", Index(16), 8),
        "a": Part("a", Index(512, 16), 16),
        "b": Part("b", Index(512, 16), 16),
        "place": "i",
        "first": "first",
        "last": "last",
    }


def test_a_profile_and_an_accumulation_may_be_files(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('preset = "rceil"\nzero_sign = "positive"\n')
    (tmp_path / "sums.toml").write_text('node = { kind = "round", out = "binary32" }\n')
    head = HEAD + 'profile = "own.toml"\n'
    found = capabilities_of(
        Design(read(tmp_path, head + DECODE), Simulator(read(tmp_path, head + DECODE)))
    )
    assert found.profile is not None
    assert found.profile.same_choices(profile("rceil").replace(zero_sign="positive"))
    assert found.profile.name == "own"
    found_map = read(tmp_path, HEAD + 'accumulation = "sums.toml"\n' + DECODE)
    assert found_map.accumulation["name"] == "sums"


def test_c_is_a_field_only_where_the_map_has_it(tmp_path: Path) -> None:
    fields = "in = { sa = 'sa', a = 'a', sb = 'sb', b = 'b', c = 'acc' }\nout = { result = 'r' }\n"
    text = HEAD + "[[operation]]\noperation = 'dot'\nformat = 'MXFP8_E4M3,MXFP4_E2M1'\n" + fields
    (operation,) = read(tmp_path, text).operations
    assert [one.name for one in operation.interface.inputs] == ["sa", "a", "sb", "b", "c"]
    assert [one.bits for one in operation.interface.inputs] == [8, 256, 8, 128, 32]
    text = text.replace(", c = 'acc'", "").replace("a = 'a'", "a = 'c'")
    (operation,) = read(tmp_path, text).operations
    assert [one.name for one in operation.interface.inputs] == ["sa", "a", "sb", "b"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name", "nome", "unknown key 'nome'; did you mean name?"),
        ('version = "1"', "version = 1", "version is 1; expected a text"),
        ('"mine.sv"', '"other.sv"', "sources has 'other.sv'; expected a file in "),
        ('sources = ["mine.sv"]', "", "sources is missing; expected a list of SystemVerilog files"),
        ('"decode"', '"decoed"', "unknown operation[0].operation 'decoed'; did you mean decode"),
        ('"E2M1"', '"E2M2x"', "operation[0].format: unknown format 'E2M2x'; "),
        ('"E2M1"', '"E2M1"\nblocks = 4', "operation[0].blocks is for dot-general only"),
        ("code =", "coda =", "unknown field in operation[0].in 'coda'; did you mean code?"),
        (
            'in = { code = "code" }',
            "in = {}",
            "operation[0].in.code is missing; expected its ports; field code has 4 bits",
        ),
        (
            '"value"',
            '"value[15:0]"',
            "operation[0].out.value: the ports have 16 bits; field value has 32 bits",
        ),
        (
            '"value"',
            '["a", "b", "c"]',
            "operation[0].out.value: 32 bits cannot be split evenly over 3 ports; field value has 32 bits",
        ),
        (
            '"code"',
            '["bus[2:1]", "bus[3:2]"]',
            "operation[0].in.code: bit 2 of port bus is driven twice",
        ),
        ('"value"', '"code"', "operation[0].out.value: port code is both driven and read"),
        ('"code"', '"code[0:3]"', "operation[0].in.code: 'code[0:3]'; expected [high:low]"),
        ('"code"', '"3code"', "operation[0].in.code: '3code'; expected a name, "),
        (
            "[[operation]]",
            "ports = { code = 3 }\n[[operation]]",
            "ports.code is 3; the map uses 4 bits of it",
        ),
        (
            "[[operation]]",
            "constants = { code = 1 }\n[[operation]]",
            "operation[0].in.code: bit 0 of port code is driven twice",
        ),
        (
            "[[operation]]",
            "timing = { kind = 'latency' }\n[[operation]]",
            "timing is latency; expected [clock] with its port",
        ),
        (
            "[[operation]]",
            "reset = { port = 'rst' }\n[[operation]]",
            "reset is given without clock; expected [clock] with its port",
        ),
        (
            "[[operation]]",
            "accumulation = 'none.toml'\n[[operation]]",
            "accumulation none.toml: No such file or directory",
        ),
        (
            "out =",
            "parameters = { A = 1.5 }\nout =",
            "operation[0].parameters.A is 1.5; expected an integer or a text",
        ),
        (
            "out =",
            "rounding = 'odd'\nout =",
            "unknown operation[0].rounding 'odd'; did you mean to-odd",
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = HEAD + DECODE
    assert old in text
    with pytest.raises(MxemuError) as caught:
        read(tmp_path, text.replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path / 'mine.toml'}: {message}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("repeat = 4", "repeat = 3", "operation[0].step: bit 24 of value is never read"),
        (
            "repeat = 4",
            "repeat = 5",
            "operation[0].step[1].read.answer: 'value[8*i +: 8]' reaches bit 39",
        ),
        ('"code"', '"code[1:0]"', "operation[0].step: bit 2 of code is never driven"),
        ('"code"', '"value"', "operation[0].step[0].drive.data: unknown field 'value'"),
        ("8*i", "8*j", "operation[0].step[1].read.answer: '8*j'; expected numbers, +, -, * and i"),
        ("data =", '"data[2:0]" =', "operation[0].step[0].drive.data[2:0] has 3 bits; "),
        (
            "repeat = 4",
            "repeat = 0",
            "operation[0].step[1].repeat is 0; expected an integer from 1",
        ),
        ("repeat", "again", "unknown key in operation[0].step[1] 'again'"),
        ("data =", "clk =", "operation[0]: port clk is the clock already"),
        ('format = "E2M1"', 'format = "E2M1"\nin = {}', "operation[0].in and operation[0].step; "),
    ],
)
def test_mistakes_in_sequences_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = HEAD + CLOCK + SERIAL
    assert read(tmp_path, text).operations[0].timing.kind == portmap.SEQUENCE
    with pytest.raises(MxemuError) as caught:
        read(tmp_path, text.replace(old, new))
    assert str(caught.value).startswith(f"{tmp_path / 'mine.toml'}: {message}")


def test_a_handshake_needs_its_ports(tmp_path: Path) -> None:
    timing = "timing = { kind = 'handshake', in_valid = 'v' }\n"
    with pytest.raises(MxemuError, match=r"timing\.out_valid is missing; expected the name of a p"):
        read(tmp_path, HEAD + CLOCK + timing + DECODE)
    timing = "timing = { kind = 'handshake', in_valid = 'code', out_valid = 'w' }\n"
    with pytest.raises(MxemuError, match=r"port code is in_valid of the handshake already"):
        read(tmp_path, HEAD + CLOCK + timing + DECODE)


def test_an_operation_stands_once(tmp_path: Path) -> None:
    with pytest.raises(
        MxemuError, match=r"operation\[1\] and operation\[0\] are both decode\.e2m1"
    ):
        read(tmp_path, HEAD + DECODE + DECODE)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No such file"):
        reading.read(tmp_path / "none.toml")
    with pytest.raises(BadFile, match="Invalid value"):
        read(tmp_path, "\nname = ")
    with pytest.raises(MxemuError, match="operation is missing; expected at least one"):
        read(tmp_path, HEAD)


def test_the_guide_has_every_key() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "rtl.md").read_text()
    tables = "\n".join(line for line in guide.splitlines() if line.startswith("| `"))
    keys = {*reading.TOP_KEYS, *reading.OPERATION_KEYS, *reading.STEP_KEYS, *reading.TIMING_KEYS}
    documented = set(re.findall(r"`(\w+)(?: = [^`]*)?`", guide))
    assert keys - documented == set()
    assert set(reading.STEP_KEYS) <= set(re.findall(r"`(\w+)`", tables))


def test_parts() -> None:
    assert read_part("a[3]") == Part("a", Index(3), 1)
    assert read_part("a[4 +: 2]").text(2) == "a[5:4]"
    assert read_part("a[2*i + 1 +: 2]", moving=True).text(2) == "a[1 + 2*i +: 2]"
    assert read_index("3*(i - 1) + 2*n", {"n": 4}, moving=True) == Index(5, 3)
    assert Index(7, -2).span(3) == (3, 7)
    for text in ("i*i", "a + ", "i / 2", "1.5", "f(1)"):
        with pytest.raises(MxemuError, match=r"expected numbers, \+, -, \* and i"):
            read_index(text, {}, moving=True)
