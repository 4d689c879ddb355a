"""The C header and runner: compiled as C99 and C++, with designs that are right and wrong, and with damaged files."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from small_vectors import (
    Vectors,
    dequantize_vectors,
    dot_vectors,
    encode_vectors,
    quantize_vectors,
    table_of,
)

from conformance.vectors import memh
from conformance.vectors.emit import c
from conformance.vectors.emit.model import c_model
from conformance.vectors.mxb import field_table
from conformance.vectors.table import Expect, Field
from mxemu.errors import BadFormat
from mxemu.formats import MXFP4_E2M1, MXFP6_E3M2, MXFP8_E4M3, MXFP8_E5M2, BlockFormat

C99 = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
CPP = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic"]

ENCODE = """
#include "NAME.h"
#include "mx_model.h"
int mx_dut(const struct NAME_in *in, struct NAME_out *out)
{
    out->code = mx_encode(0, in->value);
    return 0;
}
"""
QUANTIZE = """
#include "NAME.h"
#include "mx_model.h"
int mx_dut(const struct NAME_in *in, struct NAME_out *out)
{
    uint8_t scale = 0;
    int status = mx_quantize(0, in->values, &scale, out->codes);
    out->scale = scale;
    return status;
}
"""
DEQUANTIZE = """
#include "NAME.h"
#include "mx_model.h"
int mx_dut(const struct NAME_in *in, struct NAME_out *out)
{
    return mx_dequantize(0, (uint8_t)in->scale, in->codes, out->values);
}
"""
DOT = """
#include "NAME.h"
#include "mx_model.h"
int mx_dut(const struct NAME_in *in, struct NAME_out *out)
{
    return mx_dot(0, in->sa, in->a, 0, in->sb, in->b, in->c, sizeof in->a, &out->result);
}
"""

Check = Callable[..., "subprocess.CompletedProcess[str]"]


class Bench:
    """A runner that is linked with a design."""

    def __init__(self, folder: Path, vectors: Vectors, design: str, model: dict[str, str]) -> None:
        self.folder, self.vectors = folder, vectors
        name = vectors.table.identifier
        texts = {
            f"{name}.h": c.header(vectors.table),
            f"{name}.c": c.runner(vectors.table),
            "dut.c": design.replace("NAME", name),
            **model,
        }
        for file, text in texts.items():
            (folder / file).write_text(text)
        sources = [file for file in texts if file.endswith(".c")]
        subprocess.run([*C99, "-O2", *sources, "-o", "check"], cwd=folder, check=True)

    def run(
        self, content: str | bytes, *options: str, name: str = "own.vectors"
    ) -> subprocess.CompletedProcess[str]:
        """Run with a file of this content."""
        data = content.encode() if isinstance(content, str) else content
        (self.folder / name).write_bytes(data)
        command = ["./check", name, *options]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=20, check=False
        )

    def both(self, vectors: Vectors, *options: str) -> subprocess.CompletedProcess[str]:
        """Run with both kinds of file, which differ in nothing but how a place is called."""
        binary = self.run(vectors.mxb(field_table(vectors.table)), *options)
        text = self.run(vectors.memh(), *options)
        assert binary.returncode == text.returncode
        assert [*map(without_place, binary.stdout.splitlines())] == [
            *map(without_place, text.stdout.splitlines())
        ]
        return text


def without_place(line: str) -> str:
    return line.partition(":")[0] if line.startswith("FAIL ") and ":" in line else line


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The E4M3 encoder of the C model under test."""
    model = c_model(MXFP8_E4M3)
    return Bench(tmp_path_factory.mktemp("encode"), encode_vectors(), ENCODE, model)


SHAPES = [
    (encode_vectors("E3M2"), ENCODE, MXFP6_E3M2, "exact"),
    (quantize_vectors(MXFP8_E5M2), QUANTIZE, MXFP8_E5M2, "exact"),
    (quantize_vectors(MXFP6_E3M2), QUANTIZE, MXFP6_E3M2, "exact"),
    (dequantize_vectors(MXFP4_E2M1), DEQUANTIZE, MXFP4_E2M1, "exact"),
    (dot_vectors(MXFP6_E3M2), DOT, MXFP6_E3M2, "exact"),
    (dot_vectors(MXFP8_E5M2, "fp32-fma", 3), DOT, MXFP8_E5M2, "fp32-fma"),
]


@pytest.mark.parametrize(("vectors", "design", "fmt", "accumulation"), SHAPES)
def test_a_design_that_is_right_passes(
    tmp_path: Path, vectors: Vectors, design: str, fmt: BlockFormat, accumulation: str
) -> None:
    bench = Bench(tmp_path, vectors, design, c_model(fmt, accumulation=accumulation))
    done = bench.both(vectors)
    assert (done.returncode, done.stdout) == (0, f"PASS {len(vectors.rows)} vectors\n"), done.stderr


def test_a_difference_is_shown_with_its_inputs(encoder: Bench) -> None:
    vectors = encoder.vectors
    index = next(i for i, row in enumerate(vectors.rows) if row["code"] == [0x7E])
    value = vectors.rows[index]["value"][0]
    done = encoder.both(vectors.changed(index, "code", {0: 0x7D}))
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:] == [
        f"  in   value {value:08x}",
        "  out  code 7e, expected 7d",
        f"FAIL 1 of {len(vectors.rows)}",
    ]
    line = index + 1 + memh.header(vectors.table, len(vectors.rows)).count("\n")
    assert done.stdout.startswith(f"FAIL e4m3/encode.binary32 own.vectors:line {line}\n")


def test_any_nan_means_any_and_only_nan(encoder: Bench) -> None:
    vectors = encoder.vectors
    assert vectors.rows[2]["code_expect"] == [Expect.ANY_NAN]
    assert encoder.both(vectors.changed(2, "code", {0: 0xFF})).returncode == 0
    number = vectors.changed(0, "code_expect", {0: Expect.ANY_NAN})
    done = encoder.both(number)
    assert done.returncode == 1
    assert "  out  code 00, expected any NaN\n" in done.stdout


def test_what_the_specification_leaves_open_is_counted_apart(encoder: Bench) -> None:
    vectors = encoder.vectors
    found = vectors.rows[5]["code"][0]
    wrong = vectors.changed(5, "code", {0: found ^ 1})
    free = wrong.changed(5, "code_expect", {0: Expect.BY_PROFILE})
    done = encoder.both(free)
    assert done.returncode == 1
    assert f"expected {found ^ 1:02x} (the specification leaves it to the profile)" in done.stdout
    assert "1 differ only where the specification leaves it to the profile" in done.stdout
    done = encoder.both(free, "--any-profile")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        f"PASS {len(vectors.rows)} vectors",
    )
    assert encoder.both(wrong, "--any-profile").returncode == 1
    skipped = wrong.changed(5, "code_expect", {0: Expect.UNSPECIFIED})
    assert encoder.both(skipped).returncode == 0


def test_a_vector_that_is_wrong_is_not_counted_as_left_open(tmp_path: Path) -> None:
    vectors = quantize_vectors(MXFP4_E2M1, 3)
    bench = Bench(tmp_path, vectors, QUANTIZE, c_model(MXFP4_E2M1))
    codes = vectors.rows[1]["codes"]
    changed = vectors.changed(1, "codes", {2: codes[2] ^ 1, 5: codes[5] ^ 1})
    changed = changed.changed(1, "codes_expect", {2: Expect.BY_PROFILE})
    done = bench.both(changed)
    assert done.stdout.count("  out  codes[") == 2
    assert done.stdout.endswith("FAIL 1 of 3\n")
    assert "differ only" not in done.stdout


def test_a_nan_with_bits_above_the_code_is_none(tmp_path: Path) -> None:
    vectors = encode_vectors("E4M3", 0)
    design = ENCODE.replace("out->code =", "out->code = 0x100 |")
    done = Bench(tmp_path, vectors, design, c_model(MXFP8_E4M3)).both(vectors)
    assert "  out  code 17f, expected any NaN\n" in done.stdout
    assert done.stdout.endswith("FAIL 4 of 4\n")


def test_no_more_failures_than_asked_for(encoder: Bench) -> None:
    vectors = encoder.vectors
    for index in range(4, 30):
        vectors = vectors.changed(index, "code", {0: vectors.rows[index]["code"][0] ^ 1})
    done = encoder.both(vectors, "-n", "3")
    assert done.stdout.count("  out  ") == 3
    assert done.stdout.endswith(f"FAIL 26 of {len(vectors.rows)}\n")
    assert encoder.both(vectors).stdout.count("  out  ") == 20


GUILTY = {
    "((volatile uint8_t *)out->codes)[-1] = 0;": "codes: bytes beside it were written to",
    "((volatile uint8_t *)out->codes)[32] = 0;": "codes: bytes beside it were written to",
    "((uint8_t *)in->values)[-1] = 0;": "values: bytes beside it were written to",
    "((uint32_t *)in->values)[3] ^= 1;": "the inputs were written to",
    "status = -7;": "mx_dut returned -7",
    "out->scale |= 0x100;": "out  scale 1",
    "out->codes[4] |= 0x10;": "out  codes[4] 1",
}


def test_writing_where_one_must_not_is_seen(tmp_path: Path) -> None:
    """One design that does each of these things to one vector, the one whose first value is its number."""
    vectors = quantize_vectors(MXFP4_E2M1, len(GUILTY) + 1, numbered=True)
    cases = "".join(
        f"if (in->values[0] == {place}) {{ {line} }}\n" for place, line in enumerate(GUILTY)
    )
    design = QUANTIZE.replace("return status;", f"{cases}return status;")
    bench = Bench(tmp_path, vectors, design, c_model(MXFP4_E2M1))
    done = bench.run(vectors.memh())
    assert done.returncode == 1
    assert done.stdout.endswith(f"FAIL {len(GUILTY)} of {len(vectors.rows)}\n")
    parts = done.stdout.split("FAIL ")[1:-1]
    for words, part in zip(GUILTY.values(), parts, strict=True):
        assert words in part


def damaged(encoder: Bench) -> dict[str, tuple[bytes, str]]:
    """Files that are none of ours any more, and what has to be said of each."""
    good = bytearray(encoder.vectors.mxb(field_table(encoder.vectors.table)))
    count, start = len(encoder.vectors.rows), len(good) - len(encoder.vectors.rows) * 6

    other = encode_vectors("E5M2", 2)

    def with_byte(place: int, value: int) -> bytes:
        return bytes(good[:place]) + bytes([value]) + bytes(good[place + 1 :])

    lines = encoder.vectors.memh().splitlines()
    at = memh.header(encoder.vectors.table, count).count("\n")
    line, text = lines[at].partition(" ")[0], {place: list(lines) for place in range(7)}
    text[0][at] = line[:-1]
    text[1][at] = "g" + line[1:]
    text[2][at] = line + "0"
    text[3][at] = line.rpartition("_")[0] + "_4"
    text[4][at] = "@10"
    text[5][at] = line.partition("_")[0]
    text[6][at] = line + "\0"
    joined = {key: ("\n".join(own) + "\n").encode() for key, own in text.items()}
    return {
        "version": (with_byte(8, 2), "another version"),
        "header size": (with_byte(10, 65), "another size of header"),
        "record size": (with_byte(12, 7), "another size of record"),
        "field count": (with_byte(24, 4), "another number of fields"),
        "table size": (with_byte(28, good[28] - 8), "SHA-256"),
        "huge table": (with_byte(31, 0x40), "impossible size"),
        "field table": (with_byte(70, ord("x")), "SHA-256"),
        "hash": (with_byte(40, good[40] ^ 1), "SHA-256"),
        "cut in the table": (bytes(good[:100]), "ends in its field table"),
        "other fields": (
            other.mxb(field_table(other.table)),
            "field code: another field stands here",
        ),
        "no fields": (other.mxb(b"{}      "), "no fields"),
        "short header": (bytes(good[:40]), "ends in its header"),
        "truncated": (
            bytes(good[: start + 10 * 6 + 4]),
            "record 11: field code: the file ends here",
        ),
        "cut between fields": (
            bytes(good[:-1]),
            f"record {count}: field code_expect: the file ends",
        ),
        "too long": (bytes(good) + b"\0", "bytes after the last record"),
        "padding": (
            with_byte(start + 11, 0x10),
            "record 2: field code_expect: bits above its width",
        ),
        "no vectors": (b"// nothing\n", "no vectors"),
        "empty": (b"", "no vectors"),
        "few digits": (joined[0], f"line {at + 1}: field code_expect: too few"),
        "letter": (joined[1], f"line {at + 1}: field value: too few hexadecimal digits"),
        "many digits": (
            joined[2],
            f"line {at + 1}: field code_expect: letters after its last digit",
        ),
        "wide": (joined[3], f"line {at + 1}: field code_expect: bits above its width are set"),
        "address": (joined[4], f"line {at + 1}: field value: too few"),
        "field missing": (
            joined[5],
            f"line {at + 1}: field value: expected _ after its last digit",
        ),
        "lines missing": (
            "\n".join(lines[:-3]).encode() + b"\n",
            f"line {at + count - 3}: the file ends here",
        ),
        "lines twice": ("\n".join([*lines, lines[-1]]).encode(), "the file ends here"),
        "zero byte": (
            joined[6],
            f"line {at + 1}: field code_expect: letters",
        ),
    }


def test_damaged_files_are_refused(encoder: Bench) -> None:
    for name, (content, words) in damaged(encoder).items():
        done = encoder.run(content, name="bad.vectors")
        assert done.returncode == 2, name
        assert done.stderr.startswith("bad.vectors: "), name
        assert words in done.stderr, (name, done.stderr)
        assert "PASS" not in done.stdout, name


def test_wrong_use(encoder: Bench) -> None:
    assert "usage" in encoder.run("", "--what").stderr
    assert "usage" in encoder.run("", "-n").stderr
    assert "usage" in encoder.run("", "-n", "x").stderr
    assert encoder.run("", "--what").returncode == 2
    command = ["./check", "no-such-file"]
    done = subprocess.run(command, cwd=encoder.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "no-such-file: cannot be read\n")


def test_a_header_and_runner_are_c_plus_plus_too(tmp_path: Path) -> None:
    vectors = dot_vectors(MXFP6_E3M2, blocks=2, count=1)
    name = vectors.table.identifier
    (tmp_path / f"{name}.h").write_text(c.header(vectors.table))
    (tmp_path / f"{name}.cpp").write_text(c.runner(vectors.table))
    subprocess.run([*CPP, "-fsyntax-only", f"{name}.cpp"], cwd=tmp_path, check=True)


def test_numbers_of_64_bits_fit_and_wider_ones_are_refused(tmp_path: Path) -> None:
    wide = table_of(
        "encode", "wide", [Field("value", 64, format="binary64")], [Field("code", 8, format="E4M3")]
    )
    assert "    uint64_t value;" in c.header(wide)
    text = c.runner(wide)
    (tmp_path / "wide.h").write_text(c.header(wide))
    (tmp_path / "wide.c").write_text(text)
    subprocess.run([*C99, "-fsyntax-only", "wide.c"], cwd=tmp_path, check=True)
    wider = table_of("encode", "wider", [Field("value", 65)], [Field("code", 8)])
    with pytest.raises(BadFormat, match="65 bits"):
        c.header(wider)


def test_getter_of_odd_widths(tmp_path: Path) -> None:
    """Every number of a 6-bit and of a 13-bit field, by the header's own function."""
    program = """
#include "own.h"
#include <stdio.h>
int main(void)
{
    static const unsigned char field[] = { 0x41, 0x20, 0xfc, 0x12, 0x34, 0x56, 0x78 };
    size_t i;
    for (i = 0; i < OWN_CODES_COUNT; i++)
        printf("%lx ", (unsigned long)own_number(field, OWN_CODES_WIDTH, i));
    printf("%lx", (unsigned long)own_number(field, 13, 3));
    return 0;
}
"""
    table = table_of("pack", "own", [Field("codes", 6, 4, format="E3M2")], [Field("bytes", 8, 3)])
    (tmp_path / "own.h").write_text(c.header(table))
    (tmp_path / "main.c").write_text(program)
    subprocess.run([*C99, "main.c", "-o", "main"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    whole = int.from_bytes(bytes([0x41, 0x20, 0xFC, 0x12, 0x34, 0x56, 0x78]), "little")
    numbers = [whole >> 6 * place & 63 for place in range(4)] + [whole >> 39 & 0x1FFF]
    assert done.stdout.split() == [f"{number:x}" for number in numbers]
