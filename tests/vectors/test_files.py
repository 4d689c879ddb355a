"""Vector files of every form: written and read back, the same bytes each time, and refused when they are damaged."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.vectors import files, mxb
from conformance.vectors.suites import Key, Suite, catalogue, find, suite
from conformance.vectors.table import Batch, Expect, Field
from conformance.vectors.words import (
    field_bytes,
    field_digits,
    from_bytes,
    from_digits,
    from_number,
    hex_text,
    number,
    pack_record,
    unpack_record,
)
from mxemu.errors import BadFile, MxemuError, UnknownName
from mxemu.profile import OCP

KEYS = [
    Key("encode", "E4M3", "bfloat16", "smoke", random=50),
    Key("quantize", "MXFP6_E2M3", "binary32", "smoke", random=20),
    Key("dot-general", "MXFP4_E2M1,MXINT8", "binary32", "smoke"),
    Key("pack", "E2M3", "torchao-fp6", "smoke"),
]
FORMS = ("json", "memh", "mxb", "csv", "npz")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_what_is_written_is_read_back(key: Key, form: str, tmp_path: Path) -> None:
    one = suite(key)
    path = tmp_path / "deep" / f"set.{form}"
    assert files.write(one, path, form) == one.count
    again = tmp_path / f"again.{form}"
    files.write(suite(key), again, form)
    assert path.read_bytes() == again.read_bytes()
    reader = files.read(path)
    assert reader.count == one.count
    assert reader.table.name == one.table.name
    assert dict(reader.table.header)["operation"] == key.operation
    same_batches(one, list(reader.batches(7)))
    assert [path.name for path in path.parent.iterdir()] == [path.name]


def same_batches(one: Suite, batches: list[Batch]) -> None:
    expected = list(one.batches())
    for field in one.table.fields:
        left = np.concatenate([batch.columns[field.name] for batch in expected])
        right = np.concatenate([batch.columns[field.name] for batch in batches])
        assert np.array_equal(left, right), field
    counts = [len(batch) for batch in batches]
    assert [batch.first for batch in batches] == [sum(counts[:at]) for at in range(len(counts))]
    assert max(counts) <= 7


def test_notes_survive_where_a_form_has_them(tmp_path: Path) -> None:
    one = suite(KEYS[0])
    expected = [one.notes[theme] for batch in one.batches() for theme in batch.theme.tolist()]
    for form in ("json", "memh", "csv", "npz"):
        path = tmp_path / f"x.{form}"
        files.write(one, path, form)
        reader = files.read(path)
        found = [
            reader.table.notes[theme]
            for batch in reader.batches()
            for theme in batch.theme.tolist()
        ]
        assert found == expected, form


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'mxemu[parquet]'")
    one = suite(KEYS[1])
    files.write(one, tmp_path / "x.parquet", "parquet")
    same_batches(one, list(files.read(tmp_path / "x.parquet").batches(7)))


def test_batches_do_not_change_the_vectors() -> None:
    one = suite(Key("encode-scaled", "MXFP8_E4M3", "binary32", "smoke", random=40_000, seed=3))
    columns = [np.concatenate([b.columns["code"] for b in one.batches(n)]) for n in (999, 1 << 14)]
    assert np.array_equal(*columns)
    other = suite(Key("encode-scaled", "MXFP8_E4M3", "binary32", "smoke", random=40_000, seed=4))
    values = [np.concatenate([b.columns["value"] for b in s.batches()]) for s in (one, other)]
    assert not np.array_equal(*values)


@pytest.mark.parametrize("operation", ["encode-scaled", "scale", "quantize", "dequantize", "dot"])
def test_bulk_results_are_those_of_the_core(operation: str) -> None:
    for key in (key for key in catalogue("smoke") if key.operation == operation):
        fast, exact = suite(key), suite(key, exact=True)
        for left, right in zip(fast.batches(), exact.batches(), strict=True):
            for field in fast.table.fields:
                assert np.array_equal(left.columns[field.name], right.columns[field.name])


def test_another_profile_is_compared_by_profile() -> None:
    key = Key("encode", "E4M3", "binary32", "smoke", OCP.replace(rounding="toward-zero"))
    usual, other = (next(suite(one).batches()) for one in (Key(*_first(key)), key))
    differs = usual.columns["code"] != other.columns["code"]
    assert differs.any()
    kinds = other.columns["code_expect"]
    assert (kinds[differs] != Expect.EXACT).all()
    assert (kinds[~differs] == usual.columns["code_expect"][~differs]).all()
    assert suite(key).table.header["profile"] == "ocp,rounding=toward-zero"


def _first(key: Key) -> tuple[str, str, str, str]:
    return key.operation, key.format, key.kind, key.level


# Fields.


@given(st.integers(1, 33), st.integers(1, 40), st.randoms(use_true_random=False))
def test_fields_as_bits_bytes_and_digits(width: int, count: int, random: object) -> None:
    field = Field("x", width, count)
    numbers = [random.getrandbits(width) for _ in range(count)]  # type: ignore[attr-defined]
    column = np.array([from_number(sum(n << (i * width) for i, n in enumerate(numbers)), field)])
    data, digits = field_bytes(column, field), field_digits(column, field)
    assert data.shape == (1, field.size)
    assert np.array_equal(from_bytes(data, field), column)
    assert np.array_equal(from_digits(digits, field), column)
    assert number(column, 0, field) == int.from_bytes(data.tobytes(), "little")
    assert hex_text(column, 0, field)[2:] == digits.tobytes().decode()
    assert pack_record([numbers], [field]) == data.tobytes()
    assert unpack_record(data.tobytes(), [field]) == [numbers]


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(MxemuError, match="x is 0x40; expected at most 6 bits"):
        from_number(0x40, Field("x", 6))
    with pytest.raises(MxemuError, match="codes is 0x40; expected 6 bits"):
        pack_record([[1, 0x40]], [Field("codes", 6, 2)])
    with pytest.raises(MxemuError, match="a record of 1 bytes; expected 2"):
        unpack_record(b"1", [Field("x", 16)])


# Damage.


@pytest.fixture
def memh(tmp_path: Path) -> Path:
    path = tmp_path / "set.memh"
    files.write(suite(Key("encode", "E2M1", "bfloat16", "smoke")), path, "memh")
    return path


def read_all(path: Path) -> Iterator[Batch]:
    return (batch for batch in files.read(path).batches())


DAMAGE = {
    "cut off in a line": (lambda text: text[:-12], "the file is cut off|characters; expected"),
    "cut off at a line": (lambda text: text[: text.rindex("\n", 0, -1) + 1], "its header says"),
    "X from a simulator": (
        lambda text: text.replace("3f80_2_0", "3f80_x_0", 1),
        r":10: code is 'x'; the simulated design left bits unknown \(X\) or undriven \(Z\)",
    ),
    "another character": (
        lambda text: text.replace("3f80_2_0", "3f8g_2_0", 1),
        ":10: value is '3f8g'; expected 4 hexadecimal digits",
    ),
    "stray bits": (
        lambda text: text.replace("3f80_2_0", "3f80_2_8", 1),
        ":10: code_expect has more than 2 bits",
    ),
    "a field too few": (lambda text: text.replace("3f80_2_0", "3f80_2", 1), ":10: 6 characters"),
    "no underscore": (
        lambda text: text.replace("3f80_2_0", "3f8002_0", 1),
        ":10: no _ after value",
    ),
    "another version": (
        lambda text: text.replace("vectors 1", "vectors 2", 1),
        "expected '// mxemu",
    ),
    "no fields": (lambda text: text.replace("// fields=", "// felder=", 1), "no line // fields="),
    "no count": (lambda text: text.replace("// vectors=", "// count=", 1), "no line // vectors="),
    "a field that is none": (
        lambda text: text.replace("value:in:16x1", "value:in:16"),
        "WIDTHxCOUNT",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_memh_is_refused_with_its_line(damage: str, memh: Path) -> None:
    change, message = DAMAGE[damage]
    text = memh.read_text(encoding="utf-8")
    memh.write_text(change(text), encoding="utf-8")
    assert memh.read_text(encoding="utf-8") != text
    with pytest.raises(BadFile, match=message):
        list(read_all(memh))


def test_a_damaged_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.mxb"
    files.write(suite(Key("quantize", "MXFP6_E2M3", "binary32", "smoke")), path, "mxb")
    whole = path.read_bytes()
    for data, message in (
        (whole[:-1], "bytes; expected"),
        (whole[:40], "starts with|expected"),
        (b"x" + whole[1:], "starts with b'xXEMUVEC'"),
        (whole[:8] + struct.pack("<H", 9) + whole[10:], "version 9; expected 1"),
        (whole[:80] + b"?" + whole[81:], "SHA-256"),
    ):
        path.write_bytes(data)
        with pytest.raises(BadFile, match=message):
            list(read_all(path))


def test_a_stray_bit_in_a_binary_file_is_refused_with_its_field(tmp_path: Path) -> None:
    path = tmp_path / "set.mxb"
    files.write(suite(Key("encode", "E2M1", "binary32", "smoke")), path, "mxb")
    data = bytearray(path.read_bytes())
    data[mxb.Reader(path).start + 6 * 3 + 4] |= 0x80
    path.write_bytes(data)
    with pytest.raises(BadFile, match="vector 4: code has more than 4 bits"):
        list(read_all(path))


def test_damaged_json_csv_and_npz_are_refused(tmp_path: Path) -> None:
    key = Key("encode", "E2M1", "bfloat16", "smoke")
    for form, old, new, message in (
        ("json", b'"schema": 1', b'"schema": 7', "schema 7; expected 1"),
        ("json", b"]\n}\n", b"", "may be cut off"),
        ("json", b'"value": "0x3f80"', b'"value": "0xz"', r"vector 1 \([0-9a-f]{16}\): value"),
        ("json", b'"out": {"code": "0x2"}, ', b"", "vector 1"),
        ("json", b'"count": 145', b'"count": 144', "its header says 144"),
        ("csv", b"# mxemu", b"# other", "expected # mxemu vectors"),
        ("csv", b"\n3f80,", b"\n3f8,", "vector 1: value is '3f8'; expected 4 digits"),
        ("npz", b"PK", b"QK", "expected a .npz file of vectors"),
    ):
        path = tmp_path / f"set.{form}"
        files.write(suite(key), path, form)
        data = path.read_bytes()
        assert old in data, (form, old)
        path.write_bytes(data.replace(old, new, 1))
        with pytest.raises(BadFile, match=message):
            list(read_all(path))


def test_other_endings_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"\.txt ending; expected one of \.json, \.memh"):
        files.read(tmp_path / "x.txt")
    for form in FORMS:
        with pytest.raises(BadFile, match="No such file"):
            files.read(tmp_path / f"x.{form}")
    with pytest.raises(UnknownName, match="unknown form of vector files 'mem'; did you mean memh"):
        files.write(suite(KEYS[0]), tmp_path / "x", "mem")


def test_nothing_partial_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = suite(Key("encode", "E4M3", "binary32", "smoke", random=100_000))
    path = tmp_path / "set.memh"
    path.write_text("before")

    def stopped(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write(one, path, "memh", stopped)
    assert [found.name for found in tmp_path.iterdir()] == ["set.memh"]
    assert path.read_text() == "before"
    with pytest.raises(BadFile, match=r"File exists|Not a directory"):
        files.write(one, path / "below.memh", "memh")


# Names.


def test_sets_are_found_by_name_pattern_format_and_operation() -> None:
    assert [key.name for key in find("e4m3/encode.binary32")] == ["e4m3/encode.binary32"]
    assert {key.operation for key in find("quantize")} == {"quantize"}
    assert {key.name.split("/")[0] for key in find("mxfp4_e2m1")} == {"mxfp4_e2m1"}
    assert len(find("*.bfloat16,e2m1/decode")) == 25
    assert len(find("all")) == len(catalogue())
    custom = find("NVFP4/quantize.bfloat16", "smoke")
    assert suite(custom[0]).table.field("codes").count == 16


def test_unknown_sets_get_a_hint() -> None:
    with pytest.raises(UnknownName, match=r"did you mean .*e4m3/encode\.binary32"):
        find("e4m3/encode.binary23")
    with pytest.raises(UnknownName, match="unknown set of vectors 'nothing'"):
        find("nothing")
    with pytest.raises(UnknownName, match="unknown level 'tiny'"):
        find("decode", "tiny")
    with pytest.raises(MxemuError, match="-1 random vectors"):
        Key("decode", "E4M3", random=-1)
    with pytest.raises(MxemuError, match="E8M0 has no encode vectors"):
        suite(Key("encode", "E8M0"))
    with pytest.raises(MxemuError, match="no field 'cod'"):
        suite(KEYS[0]).table.field("cod")


# Size.

_PEAK = """
import resource, sys
from pathlib import Path
from conformance.vectors.files import write
from conformance.vectors.suites import Key, suite
write(suite(Key("encode", "E4M3", "binary32", "smoke", random=int(sys.argv[1]))), Path(sys.argv[2]), "memh")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_vectors(tmp_path: Path) -> None:
    few, many = (
        int(
            subprocess.run(
                [sys.executable, "-c", _PEAK, str(count), str(tmp_path / "x.memh")],
                capture_output=True,
                text=True,
                check=True,
                cwd=Path(__file__).parents[2],
            ).stdout
        )
        for count in (50_000, 1_500_000)
    )
    assert many - few < 30_000, f"{many - few} KiB more for 1.45 million vectors"


def test_json_has_a_limit() -> None:
    one = suite(Key("encode", "E4M3", "binary32", "smoke", random=1 << 21))
    with pytest.raises(MxemuError, match="vectors as JSON; expected at most 1048576"):
        files.write(one, Path("never.json"), "json")


def test_json_is_json(tmp_path: Path) -> None:
    one = suite(KEYS[2])
    files.write(one, tmp_path / "x.json", "json")
    record = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert record["accumulation"] == "exact"
    assert record["formats"] == ["MXFP4_E2M1", "MXINT8"]
