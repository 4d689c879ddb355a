"""Designs in simulators: every interface, both simulators, and what is said when something goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from conformance import tools
from conformance.adapters import rtl
from conformance.adapters.rtl import subject
from conformance.adapters.rtl.build import ROOM, build
from conformance.adapters.rtl.fields import from_records, interface, to_records
from conformance.adapters.rtl.simulate import Simulation, simulate
from mxemu.cli import cli
from mxemu.errors import MxemuError, Unsupported
from mxemu.formats import BINARY32

SMALL = Path(__file__).parent / "small"


def copied(tmp_path: Path, name: str, *changes: tuple[str, str]) -> Path:
    """A port map and its sources in a folder of their own, with changes to the map."""
    for source in SMALL.glob("*.sv"):
        shutil.copy(source, tmp_path)
    text = (SMALL / f"{name}.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def wrong(number: int) -> tuple[str, str]:
    return "[[operation]]", f"[parameters]\nWRONG = {number}\n[[operation]]"


def check(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["check", *map(str, arguments), "--level", "smoke"])


SPLIT = (
    ('"e2m1_comb"', '"e2m1_split"'),
    ('"code"', '["bus[6:4]", "sign"]'),
    ('"value"', '["low", "high"]'),
    ("[[operation]]", "[ports]\nbus = 8\n[constants]\nmode = 2\n[[operation]]"),
)
PIPE = (
    ('"e2m1_comb"', '"e2m1_pipe"'),
    (
        "[[operation]]",
        'timing = { kind = "latency", latency = 2 }\nclock = { port = "clk" }\n[[operation]]',
    ),
)
NO_STALLS = (("stalls = true", "stalls = false"),)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("e2m1", ()),
        ("e2m1", SPLIT),
        ("e2m1", PIPE),
        ("stream", ()),
        ("stream", NO_STALLS),
        ("serial", ()),
    ],
    ids=["combinational", "split", "latency", "stalling", "handshake", "serial"],
)
@pytest.mark.slow
def test_every_interface_gives_the_right_values(
    tmp_path: Path, simulator: str, name: str, changes: tuple[tuple[str, str], ...]
) -> None:
    design = rtl.load(str(copied(tmp_path, name, *changes)), simulator)
    codes = np.array([3, 15, *range(16), 0], dtype=np.uint8)
    magnitudes = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=np.float32)
    expected = np.where(codes < 8, magnitudes[codes % 8], -magnitudes[codes % 8])
    found = design.decode(codes, "E2M1")
    assert (found.view(np.uint32) == expected.view(np.uint32)).all()


@pytest.mark.slow
def test_the_simulators_agree_on_cycles(tmp_path: Path, verilator: str, icarus: str) -> None:
    design = rtl.read(copied(tmp_path, "stream"))
    (operation,) = design.operations
    inputs = to_records(operation.interface.inputs, {"code": np.arange(16, dtype=np.uint8)}, 16)
    one, other = (
        simulate(build(design, operation, tools.simulator(name)), operation, inputs)
        for name in (verilator, icarus)
    )
    assert (one.cycles == other.cycles).all()
    assert (one.results == other.results).all()
    assert len(set(np.diff(one.cycles).tolist())) > 1  # it did stall


@pytest.mark.slow
def test_a_pipeline_is_kept_full(tmp_path: Path, simulator: str) -> None:
    design = rtl.read(copied(tmp_path, "e2m1", *PIPE))
    (operation,) = design.operations
    inputs = to_records(operation.interface.inputs, {"code": np.arange(16, dtype=np.uint8)}, 16)
    found = simulate(build(design, operation, tools.simulator(simulator)), operation, inputs)
    assert np.diff(found.cycles).tolist() == [1] * 15


@pytest.mark.slow
def test_a_sequence_of_blocks(simulator: str) -> None:
    rng = np.random.default_rng(5)
    rows, blocks = 8, 4
    sa, sb = (rng.integers(0, 256, (rows, blocks), dtype=np.uint8) for _ in range(2))
    a, b = (rng.integers(0, 256, (rows, 32 * blocks), dtype=np.uint8) for _ in range(2))
    design = rtl.load(str(SMALL / "checksum.toml"), simulator)
    found = design.dot(sa, a, sb, b, None, ("MXFP8_E4M3", "MXFP8_E4M3"))
    assert found.tolist() == [_checksum(sa[n], a[n], sb[n], b[n]) for n in range(rows)]


def _checksum(sa: np.ndarray, a: np.ndarray, sb: np.ndarray, b: np.ndarray) -> int:
    """What checksum.sv computes when checksum.toml is followed."""
    total = 0
    for block in range(4):
        for i in range(16):
            at = 32 * block + 2 * i
            total = 3 * total + int(a[at]) + 256 * int(a[at + 1]) + 7 * i
            total += 5 * (int(b[at]) + 256 * int(b[at + 1]))
            total += int(sa[block]) if i == 0 else int(sb[block]) if i == 15 else 0
    return total % (1 << 32)


@pytest.mark.slow
def test_a_check_of_a_design(simulator: str) -> None:
    result = check(SMALL / "e2m1.toml", "--simulator", simulator)
    assert result.exit_code == 0, result.output
    assert f"e2m1[{simulator}] 1   level smoke" in result.stdout
    assert "decode  E2M1  pass" in result.stdout


@pytest.mark.slow
def test_a_wrong_result_is_found_and_placed(tmp_path: Path, simulator: str) -> None:
    path = copied(tmp_path, "e2m1", wrong(1))
    result = check(path, "--simulator", simulator)
    assert result.exit_code == 1
    assert "in 0xA 1_01_0 = -1  dut 0x3F800000 = 1  ref 0xBF800000 = -1" in result.stdout
    assert "waveform  decode E2M1 (binary32): vector line 11, cycle 10: mxemu rtl wave" in (
        result.stdout
    )
    outcome = json.loads(check(path, "--output-format", "json").stdout)
    assert outcome["groups"][0]["verdicts"]["FAIL"] == 8


@pytest.mark.slow
def test_a_waveform_of_one_vector(tmp_path: Path, icarus: str) -> None:
    result = check(copied(tmp_path, "stream", wrong(2)), "--simulator", icarus)
    command = result.stdout.rpartition("mxemu rtl wave ")[2].split()
    path = tmp_path / "failure.vcd"
    wave = ["rtl", "wave", *command, "-o", str(path)]
    result = CliRunner().invoke(cli, wave)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{path}: vector line 4 is number 4, its result comes at ")
    text = path.read_text()
    assert "$scope module dut $end" in text
    assert "taken [2:0]" in text
    assert not list(tmp_path.glob("*.part"))
    result = CliRunner().invoke(cli, [*wave[:-2], "--line", "99"])
    assert "line 99; expected 1 to 16" in f"{result.exception}{result.stderr}"


@pytest.mark.slow
def test_unknown_bits_are_named_by_line_and_field(tmp_path: Path, icarus: str) -> None:
    result = check(copied(tmp_path, "e2m1", wrong(2)), "--simulator", icarus)
    assert result.exit_code == 1
    assert (
        "the subject gave X or Z in value of vector line 6, cycle 5: value = xxxxxxxx\n"
        in result.stdout
    )
    assert "1 of 16 cases" in result.stdout


@pytest.mark.slow
def test_a_design_that_gets_stuck(tmp_path: Path, simulator: str) -> None:
    result = check(copied(tmp_path, "stream", wrong(2)), "--simulator", simulator)
    assert result.exit_code == 1
    words = "the subject gave no result for vector line 4 after 10000 cycles without progress"
    assert words in result.stdout
    assert "3 vectors sent, 3 results" in result.stdout
    assert "13 of 16 cases" in result.stdout  # those that came are judged, also when asked again


@pytest.mark.slow
def test_lines_are_counted_over_all_benches(tmp_path: Path, icarus: str) -> None:
    design = rtl.read(copied(tmp_path, "e2m1", wrong(2)))
    (operation,) = design.operations
    inputs = np.zeros((ROOM + 9, 1), dtype=np.uint8)
    inputs[ROOM + 6] = 5
    found = simulate(build(design, operation, tools.simulator(icarus)), operation, inputs)
    assert list(found.unknown) == [ROOM + 6]
    assert f"X or Z in value of vector line {ROOM + 7}, " in found.unknown[ROOM + 6]
    assert len(found.results) == ROOM + 9


@pytest.mark.slow
def test_a_handshake_that_is_unknown(tmp_path: Path, icarus: str) -> None:
    reset = 'reset = { port = "rst_n", active = "low", cycles = 3 }'
    path = copied(tmp_path, "stream", (reset, "constants = { rst_n = 1 }"), wrong(2))
    result = check(path, "--simulator", icarus)
    assert result.exit_code == 1
    words = "the subject gave X or Z for whether it is ready or its result valid, and no result for"
    assert f"{words} vector line 1 (cycle 2; 0 vectors sent, 0 results)" in result.stdout


@pytest.mark.slow
def test_results_that_nobody_took_may_not_be_lost(tmp_path: Path, simulator: str) -> None:
    assert check(copied(tmp_path, "stream", wrong(1)), "--simulator", simulator).exit_code == 1
    path = copied(tmp_path, "stream", wrong(1), *NO_STALLS)
    assert check(path, "--simulator", simulator).exit_code == 0  # only stalls show it


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([('"code"', '"code[5:2]"')], "port code has 4 bits in the design; the map uses 6"),
        ([*SPLIT[:3], SPLIT[3]][:3], "port bus has 8 bits in the design; the map uses 7"),
        (
            [*SPLIT[:3], ("[[operation]]", "[ports]\nbus = 8\n[[operation]]")],
            "nothing drives the input port mode of the design",
        ),
        ([('"code"', '"kode"')], "cannot build mine.toml: "),
        ([('"e2m1.sv"', '"mine.toml"')], "cannot build mine.toml: "),
        ([('"e2m1_comb"', '"nothing"')], "cannot build mine.toml: "),
    ],
    ids=["width", "partial", "floating", "no-such-port", "syntax", "no-such-module"],
)
@pytest.mark.slow
def test_a_design_that_does_not_fit_its_map(
    tmp_path: Path, simulator: str, changes: list[tuple[str, str]], message: str
) -> None:
    path = copied(tmp_path, "e2m1", *changes)
    result = check(path, "--simulator", simulator)
    assert isinstance(result.exception, MxemuError | SystemExit)
    assert message in f"{result.exception}{result.stderr}"
    assert not list(Path(os.environ["XDG_CACHE_HOME"]).rglob(".building-*"))


@pytest.mark.slow
def test_a_simulation_that_hangs_is_ended(tmp_path: Path, icarus: str) -> None:
    path = copied(tmp_path, "e2m1")
    loop = "module e2m1_comb(input wire [3:0] code, output wire [31:0] value);\n"
    loop += "  assign value = {28'd0, code};\n  initial forever #0;\nendmodule\n"
    (tmp_path / "e2m1.sv").write_text(loop)
    design = rtl.Design(rtl.read(path), rtl.Simulator(rtl.read(path), icarus, timeout=1.0))
    start = time.monotonic()
    with pytest.raises(MxemuError, match=r"gave no results within 1 s"):
        design.decode(np.arange(16, dtype=np.uint8), "E2M1")
    assert time.monotonic() - start < 20


@pytest.mark.slow
def test_a_simulation_that_ends_early(tmp_path: Path, icarus: str) -> None:
    path = copied(tmp_path, "e2m1")
    text = (tmp_path / "e2m1.sv").read_text()
    text = text.replace("assign spare = 1'b0;", "assign spare = 1'b0;\n  initial #8 $finish;")
    (tmp_path / "e2m1.sv").write_text("`timescale 1ns / 1ns\n" + text)
    with pytest.raises(
        MxemuError, match=r"gave \d results for 16 vectors; the simulation ended early"
    ):
        rtl.load(str(path), icarus).decode(np.arange(16, dtype=np.uint8), "E2M1")


def test_a_missing_simulator_is_unsupported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tools.icarus.cache_clear()
    try:
        with pytest.raises(Unsupported) as caught:
            tools.simulator("icarus")
        assert "apt-get install iverilog" in caught.value.hint
        result = check(SMALL / "e2m1.toml", "--simulator", "icarus", "--in-process")
        assert result.exit_code == 4
        assert "Icarus Verilog is not installed here; install it with: " in result.stdout
        assert "decode  E2M1  unsupported" in result.stdout
    finally:
        tools.icarus.cache_clear()


@pytest.mark.parametrize(
    ("said", "version"),
    [("Verilator 5.006 2023-01-22", "Verilator 5.006"), ("Verilator 4.038 2020-07-11", "")],
)
def test_an_old_verilator_on_the_path_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, version: str
) -> None:
    program = tmp_path / "verilator"
    program.write_text(
        f"#!/bin/sh\n[ $1 = --version ] && echo {said} || echo /usr/share/verilator\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("VERILATOR_ROOT", raising=False)
    monkeypatch.setattr(tools, "find_spec", lambda _: None)
    tools.verilator.cache_clear()
    try:
        if version:
            assert tools.verilator().version == version
            assert tools.verilator().root == Path("/usr/share/verilator")
        else:
            with pytest.raises(Unsupported, match="Verilator 5 is not installed here"):
                tools.verilator()
    finally:
        tools.verilator.cache_clear()


def test_only_the_newest_simulations_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "MOST_RUNS", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    design = rtl.read(SMALL / "e2m1.toml")
    (operation,) = design.operations
    paths = []
    for number in range(5):
        inputs = np.full((2, 1), number, dtype=np.uint8)
        paths.append(subject.run_path(design, subject.run_name(operation, inputs)))
        found = Simulation(inputs, np.zeros((2, 4), np.uint8), np.arange(2))
        subject.keep(design, operation, found)
        os.utime(paths[-1], (number, number))
    assert [path.is_file() for path in paths] == [False, False, True, True, True]


def test_a_target_that_is_no_port_map() -> None:
    for arguments, words in (
        (["ml_dtypes", "--simulator", "icarus"], "--simulator is for port maps"),
        (["none.toml"], "file none.toml is not there; expected a port map"),
        ([str(SMALL / "e2m1.toml[ikarus]")], "unknown simulator 'ikarus'; did you mean icarus?"),
        ([str(SMALL / "e2m1.toml"), "--results", "none"], "there is no such file or folder"),
    ):
        result = check(*arguments)
        assert words in f"{result.exception}{result.stderr}"


class TestSplit:
    """Vectors written here, simulated by hand, judged here."""

    def emitted(self, folder: Path, path: Path) -> Path:
        result = CliRunner().invoke(
            cli, ["rtl", "emit", str(path), "-o", str(folder), "--level", "smoke"]
        )
        assert result.exit_code == 0, result.output
        (place,) = (one for one in folder.iterdir() if one.is_dir())
        return place

    def simulated(self, place: Path, path: Path) -> None:
        """As the README of the folder says, in the folder of the port map."""
        (tool, runner), bench = tools.icarus().command, place / "bench.vvp"
        files = os.path.relpath(place / "files.f", path.parent)
        script = f"{tool} -g2012 -s mxemu_bench -f {files} -o {bench} && {runner} {bench}"
        assert os.system(f"cd {path.parent} && {script} > {place}/log") == 0

    @pytest.mark.slow
    def test_there_and_back(self, tmp_path: Path, icarus: str) -> None:
        path = copied(tmp_path, "stream")
        place = self.emitted(tmp_path / "out", path)
        vectors = (place / "vectors.memh").read_text().splitlines()
        assert vectors[:2] == ["// operation=decode.e2m1.binary32", "// level=smoke"]
        assert vectors[4].split(" // ")[0] == "0"
        before = (place / "mxemu_bench.sv").read_bytes()
        self.simulated(place, path)
        for results in (tmp_path / "out", place / "results.txt"):
            result = check(path, "--results", results)
            assert result.exit_code == 0, result.output
            assert "e2m1 stream[results] 1   level smoke" in result.stdout
        self.emitted(tmp_path / "out", path)
        assert (place / "mxemu_bench.sv").read_bytes() == before

    @pytest.mark.slow
    def test_wrong_results_are_found(self, tmp_path: Path, icarus: str) -> None:
        path = copied(tmp_path, "e2m1", wrong(1))
        self.simulated(self.emitted(tmp_path / "out", path), path)
        result = check(path, "--results", tmp_path / "out")
        assert result.exit_code == 1
        assert "8 of 16 cases" in result.stdout
        words = "vector line 11, cycle 10: run the bench with +wave=FILE.vcd +results="
        assert words in result.stdout

    @pytest.mark.slow
    def test_a_design_that_got_stuck_there(self, tmp_path: Path, icarus: str) -> None:
        path = copied(tmp_path, "stream", wrong(2))
        self.simulated(self.emitted(tmp_path / "out", path), path)
        result = check(path, "--results", tmp_path / "out")
        assert result.exit_code == 1
        assert "the subject gave no result for vector line 4" in result.stdout
        assert "13 of 16 cases" in result.stdout

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("# mxemu-rtl", "# other", "results.txt line 1: expected '# mxemu-rtl-results 1'"),
            ("# level=smoke", "# level=core", "results of level core; expected smoke"),
            ("# inputs=", "# inputs=0", "stale: results of other vectors than this check has"),
            ("\n7 6 6 ", "\n7 6 4 ", "its inputs are not those that its head names"),
            ("\n7 6 6 ", "\n8 6 6 ", "line 11: '8 6 6 40800000'; expected result 7"),
            (
                "\n7 6 6 40800000",
                "\n7 6 6 408000",
                "line 11: field value is '408000'; expected 8 digits",
            ),
            ("# end 16\n", "", "line 20: ends without '# end'; the simulation was cut off"),
        ],
    )
    def test_results_that_cannot_be_taken(
        self, tmp_path: Path, old: str, new: str, message: str
    ) -> None:
        path = copied(tmp_path, "e2m1")
        place = self.emitted(tmp_path / "out", path)
        digest = (place / "vectors.memh").read_text().splitlines()[2].partition("=")[2]
        values = interface("decode", "E2M1", BINARY32).results
        lines = ["# mxemu-rtl-results 1", "# operation=decode.e2m1.binary32", "# level=smoke"]
        lines += [f"# inputs={digest}"]
        numbers = ["00000000", "3f000000", "3f800000", "3fc00000", "40000000", "40400000"]
        numbers += ["40800000", "40c00000"]
        numbers += [f"{int(one, 16) | 1 << 31:08x}" for one in numbers]
        lines += [f"{n + 1} {n} {n:x} {number}" for n, number in enumerate(numbers)]
        text = "\n".join([*lines, "# end 16"]) + "\n"
        results = place / "results.txt"
        results.write_text(text)
        assert check(path, "--results", results).exit_code == 0
        assert old in text
        results.write_text(text.replace(old, new))
        result = check(path, "--results", results)
        assert message in f"{result.exception}{result.stderr}", result.output
        assert [one.name for one in values] == ["value"]


def test_records_and_back() -> None:
    rng = np.random.default_rng(9)
    for operation, name in (
        ("quantize", "MXFP6_E2M3"),
        ("dequantize", "MXFP4_E2M1"),
        ("dot", "MXFP8_E5M2,MXFP6_E3M2"),
        ("encode-scaled", "MXINT8"),
    ):
        fields = interface(operation, name, BINARY32).inputs
        columns = {
            one.name: rng.integers(0, 1 << one.width, (20, one.count), dtype=np.uint64)
            for one in fields
        }
        back = from_records(fields, to_records(fields, columns, 20))
        for one in fields:
            assert (back[one.name].reshape(20, -1) == columns[one.name]).all()


def test_number_0_lies_in_the_least_significant_bits() -> None:
    fields = interface("quantize", "MXFP6_E2M3", BINARY32).results
    codes = np.zeros((1, 32), dtype=np.uint8)
    codes[0, :3] = 1, 2, 3
    columns = {"scale": np.array([[7]]), "codes": codes}
    assert to_records(fields, columns, 1)[0, :4].tolist() == [7, 0b10_000001, 0b0011_0000, 0]
