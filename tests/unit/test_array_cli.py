"""quantize, dequantize and compare at the command line: files of any size, errors, progress."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import mxemu
from mxemu.array.blocks import Blocks
from mxemu.array.compare import compare_formats
from mxemu.array.threads import get_threads, set_threads
from mxemu.cli import cli
from mxemu.cli.progress import Bar
from mxemu.formats import CONCRETE

ROOT = Path(__file__).resolve().parents[2]
Array = np.ndarray[Any, Any]


def sample(shape: tuple[int, ...] = (8, 64)) -> Array:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A command in a folder that holds x.npy."""
    np.save(tmp_path / "x.npy", sample())
    np.save(tmp_path / "odd.npy", sample((3, 70)))
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> Result:
        return CliRunner().invoke(cli, [part for word in words for part in word.split()])

    return command


def test_quantize_and_back(run: Any) -> None:
    found = run("quantize x.npy x.npz --format MXFP4 --profile rceil")
    size = Path("x.npz").stat().st_size
    assert (
        found.stdout == f"x.npz: 512 elements in MXFP4_E2M1 (rceil), 4.25 bits each, {size} bytes\n"
    )
    assert (found.exit_code, found.stderr) == (0, "")
    expected = mxemu.quantize(sample(), "MXFP4", profile="rceil")
    assert Blocks.load("x.npz") == expected
    found = run("dequantize x.npz y.npy")
    size = Path("y.npy").stat().st_size
    assert found.stdout == (
        f"y.npy: 512 elements as float32, shape (8, 64), from MXFP4_E2M1 (rceil), {size} bytes\n"
    )
    assert np.array_equal(np.load("y.npy"), mxemu.dequantize(expected))


def test_options_of_quantize(run: Any) -> None:
    words = "quantize odd.npy x.safetensors --format NVFP4 --axis 0 --tail pad --profile"
    assert run(words, "ocp,scale_rule=RATIO --tensor-scale amax").exit_code == 0
    expected = mxemu.quantize(
        sample((3, 70)),
        "NVFP4",
        axis=0,
        tail="pad",
        profile=mxemu.profile.OCP.replace(scale_rule="RATIO"),
        tensor_scale="amax",
    )
    assert Blocks.load("x.safetensors") == expected
    assert run(words, "stochastic --key 5 --tensor-scale 0.25 --force").exit_code == 0
    assert Blocks.load("x.safetensors") == mxemu.quantize(
        sample((3, 70)), "NVFP4", axis=0, tail="pad", profile="stochastic", key=5, tensor_scale=0.25
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_of_dequantize(dtype: str, run: Any) -> None:
    mxemu.quantize(sample(), "MXINT8").save("x.npz")
    assert run(f"dequantize x.npz y.npy --dtype {dtype}").exit_code == 0
    found = np.load("y.npy")
    assert found.dtype == dtype
    assert np.array_equal(found, mxemu.dequantize(mxemu.quantize(sample(), "MXINT8"), dtype))


def test_bit_patterns(run: Any) -> None:
    bits = (sample().view(np.uint32) >> 16).astype(np.uint16)
    np.save("bits.npy", bits)
    assert run("quantize bits.npy x.npz --format MXFP4 --carrier bf16").exit_code == 0
    assert Blocks.load("x.npz") == mxemu.quantize(bits, "MXFP4", carrier="bfloat16")


def test_threads_are_set(run: Any) -> None:
    before = get_threads()
    try:
        assert run("quantize x.npy x.npz --format MXFP4 --threads 1").exit_code == 0
        assert get_threads() == 1
    finally:
        set_threads(before)


def test_a_file_that_is_there_stays_without_force(run: Any) -> None:
    Path("y.npz").write_bytes(b"mine")
    found = run("quantize x.npy y.npz --format MXFP4")
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr == "error: y.npz is there already\nhint: --force replaces it\n"
    assert Path("y.npz").read_bytes() == b"mine"
    assert run("quantize x.npy y.npz --format MXFP4 --force").exit_code == 0
    found = run("dequantize y.npz x.npy")
    assert found.stderr.startswith("error: x.npy is there already\n")
    assert run("dequantize y.npz x.npy --force").exit_code == 0


ERRORS = [
    ("quantize x.npy y.npz", "Missing option '--format'."),
    ("quantize x.npy y.npz --format E2M1", "E2M1 is an element format; expected a block format"),
    ("quantize x.npy y.npz --format MXFP5", "unknown block format 'MXFP5'; did you mean"),
    ("quantize x.npy y.npz --format MXFP4 --profile ocd", "unknown profile 'ocd'"),
    ("quantize x.npy y.npz --format MXFP4 --axis 2", "axis 2 of an array of shape (8, 64)"),
    ("quantize x.npy y.npz --format MXFP4 --tail cut", "Invalid value for '--tail'"),
    ("quantize x.npy y.npz --format MXFP4 --threads 0", "Invalid value for '--threads'"),
    (
        "quantize x.npy y.npz --format MXFP4 --tensor-scale big",
        "--tensor-scale 'big'; expected a number",
    ),
    ("quantize x.npy y.npz --format MXFP4 --tensor-scale 0.1", "tensor_scale = 0.1 is no binary32"),
    ("quantize x.npy y.npz --format MXFP4 --key 3", "random words are for STOCHASTIC rounding"),
    (
        "quantize x.npy y.npz --format MXFP4 --profile stochastic",
        "stochastic draws random words; expected --key N",
    ),
    (
        "quantize x.npy y.npz --format MXFP4 --carrier bfloat16",
        "x.npy: x has dtype float32; bit patterns",
    ),
    (
        "quantize x.npy y.dat --format MXFP4",
        "y.dat: expected a name that ends in .npz or .safetensors",
    ),
    ("quantize x.npy no/y.npz --format MXFP4", "no/y.npz: cannot be written: No such file"),
    ("quantize z.npy y.npz --format MXFP4", "z.npy: cannot be read: No such file or directory"),
    ("quantize odd.npy y.npz --format MXFP4", "axis 1 has length 70, not a multiple of k = 32"),
    ("dequantize x.npy y.npy", "x.npy: neither .npz nor .safetensors"),
    ("dequantize z.npz y.npy", "z.npz: cannot be read: No such file or directory"),
    ("dequantize x.npz y.npy --dtype int8", "Invalid value for '--dtype'"),
    ("compare z.npy", "z.npy: cannot be read"),
    ("compare x.npy --profile stochastic", "stochastic draws random words; expected --key N"),
    ("compare odd.npy --tail refuse", "axis 1 has length 70"),
    ("compare x.npy --format MXFP4 --format E4M3", "E4M3 is an element format"),
    ("compare", "Missing argument 'IN.npy'."),
]


@pytest.mark.parametrize(("words", "message"), ERRORS)
def test_errors_are_one_line(words: str, message: str, run: Any) -> None:
    before = sorted(Path.cwd().iterdir())
    found = run(words)
    assert (found.exit_code, found.stdout) == (2, "")
    first, *hints = found.stderr.splitlines()
    assert first.startswith(f"error: {message}")
    assert len(hints) <= 1
    assert sorted(Path.cwd().iterdir()) == before


def test_compare_as_text(run: Any) -> None:
    found = run("compare x.npy --format MXFP4 --format MXINT8 --profile ocp --profile rceil")
    title, empty, head, *rows = found.stdout.splitlines()
    assert title == "x.npy: binary32, shape (8, 64), blocks along axis -1"
    assert (empty, len(rows)) == ("", 4)
    assert head.split()[:3] == ["format", "profile", "bits"]
    assert rows[0].split()[:3] == ["MXFP4_E2M1", "ocp", "4.25"]
    statistics = mxemu.quantize(sample(), "MXFP4").statistics(sample())
    assert rows[0].split()[3] == f"{statistics.sqnr:.2f}"
    assert rows[0].split()[6] == f"{statistics.clip_rate:.3%}"
    assert rows[0].split()[-2:] == ["2^-2", "2^-1"]


def test_compare_with_status_as_text(run: Any) -> None:
    lines = run("compare x.npy --format MXFP4 --status").stdout.splitlines()
    head = "format profile elements inexact overflow underflow invalid saturated flushed"
    assert lines[5].split() == [*head.split(" "), "nan", "made", "inf", "made"]
    assert lines[6].split()[:3] == ["MXFP4_E2M1", "ocp", "512"]


def test_compare_for_programs(run: Any) -> None:
    frame, counts = compare_formats(sample(), status=True)
    found = json.loads(run("compare x.npy --output-format json --status").stdout)
    assert {key: found[key] for key in found if key != "rows"} == {
        "table": "compare",
        "file": "x.npy",
        "carrier": "binary32",
        "shape": [8, 64],
        "axis": -1,
    }
    expected = [
        {**one, **other}
        for one, other in zip(frame.to_dict("records"), counts.to_dict("records"), strict=True)
    ]
    assert found["rows"] == expected
    assert [row["format"] for row in expected] == [fmt.name for fmt in CONCRETE]
    table = csv.DictReader(io.StringIO(run("compare x.npy --output-format csv").stdout))
    assert [
        {key: float(row[key]) for key in row if key not in ("format", "profile")} for row in table
    ] == [
        {key: row[key] for key in row if key not in ("format", "profile")}
        for row in frame.to_dict("records")
    ]


def test_json_has_neither_nan_nor_inf(run: Any) -> None:
    np.save("x.npy", np.full(32, np.nan, np.float32))
    text = run("compare x.npy --format MXFP4 --output-format json").stdout
    (row,) = json.loads(text, parse_constant=pytest.fail)["rows"]
    assert (row["sqnr"], row["min_scale"], row["nan_scales"]) == (None, None, 1)
    assert "none" in run("compare x.npy --format MXFP4").stdout


def child(code: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        timeout=120,
        check=False,
    )


LARGE = """
import re, sys
from pathlib import Path
from mxemu.cli import main

def peak():
    # getrusage would also count the process that started this one, from before the exec.
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10

sys.argv = ["mxemu", *sys.argv[1].split()]
try:
    main()
except SystemExit as stop:
    print(stop.code, peak())
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
@pytest.mark.parametrize("axis", [0, 1])
def test_files_larger_than_what_is_used_of_the_memory(axis: int, tmp_path: Path) -> None:
    # Compiling kernels takes memory too; a small file first, so that they come from the disk.
    np.save(tmp_path / "small.npy", np.ones((64, 64), np.float32))
    peak_of(f"quantize small.npy small.npz --format MXFP4 --axis {axis}", tmp_path)
    peak_of("dequantize small.npz back.npy", tmp_path)
    # A sparse file: 512 MiB that take no room on the disk.
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (16384, 8192))
    x[0, :64], x[-1, -64:] = 1, 2
    del x
    assert peak_of(f"quantize x.npy x.npz --format MXFP4 --axis {axis}", tmp_path) < 448
    with np.load(tmp_path / "x.npz") as archive:
        assert np.count_nonzero(archive["codes"]) == 128
    if axis == 0:
        assert peak_of("dequantize x.npz y.npy", tmp_path) < 448
        y = np.load(tmp_path / "y.npy", mmap_mode="r")
        assert y[0, :65].tolist() == [1.0] * 64 + [0.0]
        assert y[-1, -65:].tolist() == [0.0] + [2.0] * 64


def peak_of(command: str, folder: Path) -> int:
    """The most memory, in MiB, that a command has used at once."""
    result = child(LARGE, f"{command} --threads 1", folder=folder)
    code, peak = map(int, result.stdout.splitlines()[-1].split())
    assert code == 0, result.stderr
    return peak


LOADED = """
import sys
from mxemu.cli import main
try:
    main()
except SystemExit:
    print(sorted({"numpy", "numba", "pandas", "rich"} & set(sys.modules)))
"""


@pytest.mark.parametrize("command", ["quantize", "dequantize", "compare"])
def test_help_comes_without_numpy(command: str, tmp_path: Path) -> None:
    code = LOADED.replace("try:", f"sys.argv = ['mxemu', '{command}', '--help']\ntry:")
    result = child(code, folder=tmp_path)
    assert f"mxemu {command} [OPTIONS]" in result.stdout
    assert result.stdout.endswith("[]\n")


def test_compare_comes_without_pandas(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", sample())
    code = LOADED.replace("try:", "sys.argv = ['mxemu', 'compare', 'x.npy']\ntry:")
    result = child(code, folder=tmp_path)
    assert result.stdout.endswith("['numba', 'numpy']\n"), result.stderr


class Clock:
    """Time that passes as told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setenv("TERM", "xterm")
    found = Clock()
    monkeypatch.setattr("mxemu.cli.progress.time.monotonic", found)
    return found


def test_a_bar_is_shown_after_two_seconds(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bar("quantizing x.npy", 100) as bar:
        clock.now = 1.9
        bar(10)
        assert not terminal.getvalue()
        clock.now = 2.0
        bar(40)
        bar(50)
    assert "quantizing x.npy" in terminal.getvalue()
    assert bar.done == 100


def test_no_bar_where_nobody_looks(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with Bar("quantizing x.npy", 100) as bar:
        clock.now = 100.0
        bar(100)
    assert not file.getvalue()
