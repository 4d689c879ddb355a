"""Shared libraries: each array goes to its parameter, and what a library does wrong is a verdict."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from transport_builds import built

from conformance.adapters.library import FUNCTIONS, INCLUDE, Library, symbol_of
from conformance.runner import Filters, Run, check
from conformance.verdict import Group
from conformance.worker import Worker
from mxemu.cli import cli
from mxemu.errors import Unsupported
from mxemu.profile import OCP

HEADER = INCLUDE / "mxemu_subject.h"
PAIR = ("MXFP4_E2M1", "MXFP4_E2M1")
ENCODES = Filters(("encode",))
RNG = np.random.Generator(np.random.Philox(key=9))


def mxemu(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments, "--level", "smoke"])


def encoded(library: Path, variant: str) -> Group:
    """The first group of a variant, checked in a worker."""
    worker = Worker(f"lib:{library}[{variant}]", 30)
    try:
        run = check(worker, Run("odd", worker.introduce(), "smoke", None), ENCODES)
    finally:
        worker.close()
    return run.groups[0]


CRASHES = {
    "segfault": "died of signal 11 (SIGSEGV)",
    "overrun": "gave more than 1264 codes: it wrote behind the array",
    "error": "returned status 7: ties-to-even saturate 1",
}


@pytest.mark.parametrize("variant", CRASHES)
def test_a_crash_is_a_verdict(odd_library: Path, variant: str) -> None:
    group = encoded(odd_library, variant)
    assert group.verdict == "crash"
    assert group.reason == CRASHES[variant]


def test_results_that_were_never_written_are_wrong(odd_library: Path) -> None:
    group = encoded(odd_library, "unwritten")
    assert group.verdict == "FAIL"
    assert group.clusters[0].first.dut.value == "no code of E2M1"


def test_a_code_too_large_is_wrong(odd_library: Path) -> None:
    group = encoded(odd_library, "wide")
    assert group.clusters[0].first.dut.hex == "0x12c"


def test_refusals_arrive(odd_library: Path) -> None:
    assert encoded(odd_library, "refuses").clusters[0].first.dut.hex == "refused"


def test_unsupported_says_why(odd_library: Path) -> None:
    group = encoded(odd_library, "unsupported")
    assert (group.verdict, group.reason) == ("unsupported", "ties-to-even saturate 1")


def test_rounding_and_overflow_are_passed(odd_library: Path) -> None:
    library = Library(str(odd_library), "unsupported")
    profile = OCP.replace(rounding="toward-zero", overflow="overflow")
    with pytest.raises(Unsupported, match="toward-zero overflow 1"):
        library.encode(np.zeros(2, np.float32), "E2M1", profile)


def test_encode_scaled_gets_bits_and_scales(odd_library: Path) -> None:
    bits = np.array([1, 0x3F80, 7], dtype=np.uint16)
    scales = np.array([3, 5, 9], dtype=np.uint8)
    found = Library(str(odd_library)).encode_scaled(bits, scales, "MXFP4_E2M1", OCP)
    assert found.tolist() == [4, 5, 0]


def test_dequantize_gives_the_carrier_that_is_listed(odd_library: Path) -> None:
    scales = np.array([2, 3], dtype=np.uint8)
    codes = np.arange(64, dtype=np.uint8).reshape(2, 32) % 16
    found = Library(str(odd_library)).dequantize(scales, codes, "MXFP4_E2M1")
    assert found.dtype == np.float64
    assert (found == 1000.0 * scales[:, None] + codes).all()


def test_fake_quantize_gives_the_carrier_that_it_gets(odd_library: Path) -> None:
    values = np.arange(64, dtype=np.float16).reshape(2, 32)
    found = Library(str(odd_library)).fake_quantize(values, "MXFP4_E2M1", OCP)
    assert found.dtype == np.float16
    assert (found == values).all()


def operands(rows: int, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    scales = RNG.integers(0, 255, (rows, blocks), dtype=np.uint8)
    return scales, RNG.integers(0, 16, (rows, blocks * 32), dtype=np.uint8)


def mixed(scales: np.ndarray, codes: np.ndarray, weights: tuple[int, int]) -> np.ndarray:
    wide = scales.astype(np.uint32), codes.astype(np.uint32)
    return weights[0] * wide[0].sum(axis=1) + weights[1] * wide[1].sum(axis=1)


@pytest.mark.parametrize("blocks", [1, 4])
@pytest.mark.parametrize("with_c", [True, False])
def test_each_operand_of_a_dot_product_arrives(
    odd_library: Path, blocks: int, with_c: bool
) -> None:
    (sa, a), (sb, b) = operands(5, blocks), operands(5, blocks)
    c = np.arange(5, dtype=np.uint32) * 100_000 if with_c else None
    found = Library(str(odd_library)).dot(sa, a, sb, b, c, PAIR, "exact")
    wanted = mixed(sa, a, (3, 7)) + mixed(sb, b, (5, 11)) + (0 if c is None else c)
    assert found.dtype == np.uint32
    assert (found == wanted).all()


def test_each_operand_of_a_matrix_product_arrives(odd_library: Path) -> None:
    (sa, a), (sb, b) = operands(3, 2), operands(4, 2)
    c = np.arange(12, dtype=np.uint32).reshape(3, 4) * 100_000
    found = Library(str(odd_library)).matmul(sa, a, sb, b, c, PAIR, "exact")
    wanted = mixed(sa, a, (3, 7))[:, None] + mixed(sb, b, (5, 11)) + c
    assert found.shape == (3, 4)
    assert (found == wanted).all()


LISTS_DECODE = (
    '{\\"protocol\\": 1, \\"name\\": \\"a\\", \\"version\\": \\"1\\", \\"capabilities\\": {\\"operations\\": '
    '{\\"decode\\": {\\"formats\\": [\\"E2M1\\"], \\"carriers\\": [\\"binary32\\"]}}}}'
)
DESCRIBE = 'const char *mx_subject_describe(void) {{ return "{}"; }}'


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("int other(void) { return 0; }", "has no function mx_subject_describe"),
        (DESCRIBE.format("{"), "gives no JSON"),
        ("const char *mx_subject_describe(void) { return 0; }", "gives no JSON"),
        (DESCRIBE.format('{\\"protocol\\": 2}'), "protocol 2; expected 1"),
        (DESCRIBE.format(LISTS_DECODE), "lists 'decode', but there is no function mx_decode"),
    ],
)
def test_a_wrong_library_is_refused(source: str, words: str, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler cc")
    library = tmp_path / "wrong.so"
    command = [compiler, "-shared", "-fPIC", "-xc", "-", "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True)
    result = mxemu(f"lib:{library}")
    assert result.exit_code == 2
    assert words in result.output


def test_no_library_at_all(tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library")
    assert "is not there; expected a shared library" in mxemu(f"lib:{tmp_path / 'none.so'}").output
    assert "is a folder" in mxemu(f"lib:{tmp_path}").output
    assert f"cannot load {text}" in mxemu(f"lib:{text}").output


def test_a_library_that_dies_when_it_is_asked_who_it_is(tmp_path: Path) -> None:
    source = tmp_path / "dies.c"
    source.write_text("#include <stdlib.h>\nconst char *mx_subject_describe(void) { abort(); }\n")
    library = built(tmp_path, str(source), "-shared", "-fPIC", name="dies.so")
    result = mxemu(f"lib:{library}")
    assert result.exit_code == 2
    assert "died of signal 6 (SIGABRT) while it was loaded" in result.output


@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_header_stands_alone(language: str, tmp_path: Path) -> None:
    compiler = shutil.which("cc" if language == "c" else "c++")
    if compiler is None:
        pytest.skip(f"no compiler for {language}")
    words = [compiler, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", f"-x{language}"]
    subprocess.run([*words, str(HEADER)], check=True)


def test_the_header_declares_every_function() -> None:
    text = HEADER.read_text(encoding="utf-8")
    for operation, arrays in FUNCTIONS.items():
        declaration = text.partition(f" {symbol_of(operation)}(")[2].partition(";")[0]
        names = [part.split()[-1].lstrip("*") for part in declaration.rstrip(")").split(",")]
        own = [name for name in names if name not in ("request", "n", "rows", "columns", "blocks")]
        assert own == ["results" if name == "bits" else name for name in arrays], operation


def test_the_folder_of_the_header_is_printed() -> None:
    words = [sys.executable, "-m", "conformance.adapters.library"]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip(), "mxemu_subject.h").is_file()
