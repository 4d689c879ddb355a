"""Dumps: files of every kind give the same rows, in whatever shape, layout and order they are."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

import mxemu
from conformance.adapters import dumps
from conformance.adapters.dumps import arrays_of, read, suite_inputs
from conformance.report.json_report import SCHEMA_FILE
from conformance.runner import Filters
from mxemu.array.packing import pack_scales
from mxemu.cli import cli
from mxemu.errors import BadFile, MxemuError

RNG = np.random.Generator(np.random.Philox(key=61))
X = RNG.standard_normal((128, 128)).astype(np.float32)
NO_FILTERS = Filters()
FP4 = Filters(("quantize",), ("MXFP4_E2M1",))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def describe(where: Path | str = "q.toml", **keys: Any) -> None:
    """A TOML file beside the outputs."""
    lines = [f"{key} = {json.dumps(one)}" for key, one in keys.items() if not isinstance(one, dict)]
    for key, table in keys.items():
        if isinstance(table, dict):
            lines += [f"[{key}]", *(f"{name} = {json.dumps(one)}" for name, one in table.items())]
    Path(where).write_text("\n".join(lines) + "\n", encoding="utf-8")


def check(target: str, filters: Filters = FP4) -> dict[str, int]:
    """The counts of a dump's one group."""
    (group,) = dumps.check(target, filters).groups
    return {verdict: count for verdict, count in group.counts.items() if count}


def cli_check(*words: str) -> Result:
    return CliRunner().invoke(cli, ["check", *words])


def write_safetensors(path: str, arrays: dict[str, tuple[str, np.ndarray]]) -> None:
    table, data = {}, b""
    for name, (kind, array) in arrays.items():
        piece = array.tobytes()
        offsets = [len(data), len(data) + len(piece)]
        table[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
        data += piece
    head = json.dumps({"__metadata__": {"by": "a kernel"}, **table}).encode()
    Path(path).write_bytes(struct.pack("<Q", len(head)) + head + data)


def quantized(axis: int = -1) -> mxemu.Blocks:
    return mxemu.quantize(X, "MXFP4", axis=axis)


def as_written(blocks: mxemu.Blocks, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales in the shape of the values, the blocked axis in its place."""
    codes = blocks.codes.reshape(128, 128)
    return np.moveaxis(codes, -1, axis), np.moveaxis(blocks.scales, -1, axis)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_blocks_along_any_axis(here: Path, axis: int) -> None:
    codes, scales = as_written(quantized(axis), axis)
    np.save("x.npy", X)
    np.savez("q.npz", codes=codes, scales=scales)
    describe(axis=axis)
    assert check("files:x.npy,q.npz") == {"pass": 512}


def test_the_wrong_axis_is_seen(here: Path) -> None:
    codes, scales = as_written(quantized(0), -1)
    np.save("x.npy", X)
    np.savez("q.npz", codes=codes, scales=scales)
    assert check("files:x.npy,q.npz")["FAIL"] > 400


def test_results_with_the_blocked_axis_in_another_place(here: Path) -> None:
    codes, scales = as_written(quantized(0), -1)
    np.save("x.npy", X)
    np.savez("q.npz", codes=codes, scales=scales)
    describe(axis=0, outputs={"axis": -1})
    assert check("files:x.npy,q.npz") == {"pass": 512}


def test_blocks_as_they_are_stored(here: Path) -> None:
    blocks = quantized(0)
    np.save("x.npy", X)
    np.savez("q.npz", codes=blocks.codes, scales=blocks.scales[..., None])
    describe(axis=0)
    assert check("files:x.npy,q.npz") == {"pass": 512}


def test_three_files_with_names_of_their_own(here: Path) -> None:
    blocks = quantized()
    np.save("x.npy", X)
    np.save("my_codes.npy", blocks.codes.reshape(X.shape))
    np.save("s.npy", blocks.scales)
    describe("my_codes.toml", outputs={"codes": "my_codes", "scales": "s"})
    assert check("files:x.npy,my_codes.npy,s.npy") == {"pass": 512}


def test_everything_in_a_toml_file(here: Path) -> None:
    blocks = quantized()
    Path("data").mkdir()
    np.save("data/x.npy", X)
    np.savez("data/q.npz", codes=blocks.codes, scales=blocks.scales)
    describe(
        "data/run.toml",
        name="my kernel",
        version="7",
        operation="quantize",
        format="MXFP4",
        profile="ocp",
        inputs="x.npy",
        outputs={"file": "q.npz"},
    )
    run = dumps.check("files:data/run.toml", NO_FILTERS)
    assert (run.capabilities.name, run.capabilities.version) == ("my kernel", "7")
    assert run.capabilities.profile is not None
    assert run.groups[0].verdict == "pass"


@pytest.mark.parametrize("packing", ["dense", "high-nibble-first", "split-halves-32"])
def test_packed_codes(here: Path, packing: str) -> None:
    blocks = quantized()
    codes = mxemu.pack(blocks.codes.reshape(X.shape), "E2M1", packing)
    np.save("x.npy", X)
    np.savez("q.npz", codes=codes, scales=blocks.scales)
    describe(packing=packing)
    assert check("files:x.npy,q.npz") == {"pass": 512}


def test_arranged_scales(here: Path) -> None:
    blocks = quantized()
    np.save("x.npy", X)
    codes = mxemu.pack(blocks.codes.reshape(X.shape), "E2M1")
    np.savez("q.npz", codes=codes, scales=pack_scales(blocks.scales, "nvidia-128x4"))
    describe(layout="nvidia-128x4")
    assert check("files:x.npy,q.npz") == {"pass": 512}
    describe(layout="mx")
    np.savez("q.npz", codes=codes, scales=blocks.scales)
    assert check("files:x.npy,q.npz") == {"pass": 512}


def test_scales_and_codes_in_one_raw_file(here: Path) -> None:
    Path("x.bin").write_bytes(X.tobytes())
    Path("q.bin").write_bytes(quantized().to_bytes("ggml-mxfp4"))
    describe(layout="ggml-mxfp4", shape=[128, 128], carrier="binary32")
    assert check("files:x.bin,q.bin") == {"pass": 512}


def test_raw_codes_and_scales(here: Path) -> None:
    blocks = quantized()
    Path("x.raw").write_bytes(X.tobytes())
    Path("codes.raw").write_bytes(blocks.codes.tobytes())
    Path("scales.raw").write_bytes(blocks.scales.tobytes())
    describe("codes.toml", shape=[128, 128], carrier="binary32")
    assert check("files:x.raw,codes.raw,scales.raw") == {"pass": 512}


def test_bfloat16_in_every_kind_of_file(here: Path) -> None:
    bits = (X.view(np.uint32) >> 16).astype(np.uint16)
    blocks = mxemu.quantize(bits, "MXFP4", carrier="bfloat16")
    np.savez("q.npz", codes=blocks.codes, scales=blocks.scales)
    np.save("bits.npy", bits)
    np.save("opaque.npy", bits.view("V2"))
    Path("x.bin").write_bytes(bits.tobytes())
    write_safetensors("x.safetensors", {"w": ("BF16", bits)})
    said = Filters(FP4.operations, FP4.formats, ("bfloat16",))
    assert check("files:bits.npy,q.npz", said) == {"pass": 512}
    assert check("files:opaque.npy,q.npz") == {"pass": 512}
    assert check("files:x.safetensors,q.npz") == {"pass": 512}
    describe(shape=[128, 128], carrier="bfloat16")
    assert check("files:x.bin,q.npz") == {"pass": 512}


def test_codes_of_8_bits_in_safetensors(here: Path) -> None:
    blocks = mxemu.quantize(X, "MXFP8_E4M3")
    codes = blocks.codes.reshape(X.shape)
    write_safetensors("x.safetensors", {"x": ("F32", X), "y": ("F32", X + 1)})
    arrays = {"q": ("F8_E4M3", codes), "scales": ("F8_E8M0", blocks.scales)}
    write_safetensors("q.safetensors", arrays)
    describe(inputs={"values": "x"}, outputs={"codes": "q"})
    filters = Filters(("quantize",), ("MXFP8_E4M3",))
    assert check("files:x.safetensors,q.safetensors", filters) == {"pass": 512}


def test_signed_codes_of_just_their_width_are_the_same_bits(here: Path) -> None:
    blocks = mxemu.quantize(X, "MXINT8")
    np.save("x.npy", X)
    np.savez("q.npz", codes=blocks.codes.view(np.int8), scales=blocks.scales)
    assert check("files:x.npy,q.npz", Filters(("quantize",), ("MXINT8",))) == {"pass": 512}


def test_refused_elements_stay_refused(here: Path) -> None:
    values = np.array([1.0, np.nan], dtype=np.float32)
    np.save("x.npy", values)
    np.save("c.npy", np.array([2, -1], dtype=np.int16))
    assert check("files:x.npy,c.npy", Filters(("encode",), ("E2M1",))) == {"pass": 1, "free": 1}


@pytest.mark.parametrize("carrier", ["float32", "float16", "float64"])
def test_fake_quantized_values(here: Path, carrier: str) -> None:
    values = X.astype(carrier)
    found = mxemu.dequantize(mxemu.quantize(values, "MXFP4"), dtype=carrier)
    np.save("x.npy", values)
    np.save("y.npy", found)
    filters = Filters(("fake_quantize",), ("MXFP4_E2M1",))
    assert check("files:x.npy,y.npy", filters) == {"pass": 512}
    found[0, 0] += 1
    np.save("y.npy", found)
    assert check("files:x.npy,y.npy", filters) == {"pass": 511, "FAIL": 1}


def test_fake_quantized_bfloat16(here: Path) -> None:
    x = X[:4]
    bits = (x.view(np.uint32) >> 16).astype(np.uint16)
    found = mxemu.dequantize(mxemu.quantize(bits, "MXFP4", carrier="bfloat16"))
    write_safetensors("x.safetensors", {"x": ("BF16", bits)})
    cut = (found.view(np.uint32) >> 16).astype(np.uint16)
    write_safetensors("y.safetensors", {"y": ("BF16", cut)})
    filters = Filters(("fake_quantize",), ("MXFP4_E2M1",))
    assert check("files:x.safetensors,y.safetensors", filters) == {"pass": 16}


@pytest.mark.parametrize("operation", ["encode", "decode", "encode-scaled", "dequantize"])
def test_the_other_operations(here: Path, operation: str) -> None:
    element = operation in ("encode", "decode")
    fmt = "E4M3" if element else "MXFP8_E4M3"
    inputs = suite_inputs(operation, fmt, level="smoke")
    match operation:
        case "encode":
            results = {"codes": mxemu.encode(inputs["values"], fmt)}
        case "decode":
            results = {"values": mxemu.decode(inputs["codes"], fmt)}
        case "encode-scaled":
            filtered = inputs["scales"] == 127
            inputs = {name: array[filtered] for name, array in inputs.items()}
            results = {"codes": mxemu.encode(inputs["values"], "E4M3")}
        case _:
            codes = inputs["codes"][:, None]
            blocks = mxemu.Blocks(codes, inputs["scales"][:, None], mxemu.formats.block_format(fmt))
            results = {"values": mxemu.dequantize(blocks)}
    np.savez("in.npz", **inputs)
    np.savez("out.npz", **results)
    found = check("files:in.npz,out.npz", Filters((operation,), (fmt,)))
    assert found["pass"] > 100
    assert set(found) == {"pass"}


def test_rows_are_what_went_in(here: Path) -> None:
    np.save("x.npy", X)
    blocks = quantized(0)
    np.savez("q.npz", codes=blocks.codes, scales=blocks.scales)
    describe(axis=0)
    carrier, (values,), (scales, codes) = arrays_of(read("x.npy,q.npz", FP4))
    assert carrier == "binary32"
    assert (values == X.T.reshape(-1, 32)).all()
    assert (scales == blocks.scales.ravel()).all()
    assert (codes == blocks.codes.reshape(-1, 32)).all()


def test_a_difference_has_its_cause(here: Path) -> None:
    blocks = mxemu.quantize(X, "MXFP4", profile="rceil")
    np.save("x.npy", X)
    np.savez("q.npz", codes=blocks.codes, scales=blocks.scales)
    words = ("files:x.npy,q.npz", "--operation", "quantize", "--format", "MXFP4")
    result = cli_check(*words, "--output-format", "json")
    report = json.loads(result.stdout)
    jsonschema.validate(report, json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    assert (result.exit_code, report["verdict"], report["level"]) == (0, "free", "dump")
    assert report["groups"][0]["hypotheses"][0]["name"] == "scale_rule=RCEIL"
    assert cli_check(*words, "--profile", "rceil").exit_code == 0
    assert cli_check(*words, "--profile", "ceil").exit_code == 3


WRONG = [
    (("files:x.npy",), "expected files:inputs,outputs or a TOML file that names them"),
    (("files:x.npy,none.npz",), "the operation of the dump is not said"),
    (("files:x.npy,q.npz", "--operation", "quantize"), "the format of the dump is not said"),
    (("files:none.npy,q.npz", "FP4"), "none.npy: No such file or directory"),
    (("files:x.npy,q.npz", "--operation", "pack", "--format", "MXFP4"), "unknown operation"),
    (("files:x.npy,short.npz", "FP4"), "codes of shape (128, 96); expected (128, 128)"),
    (("files:x.npy,floats.npz", "FP4"), "codes of dtype float32; expected codes as integers"),
    (("files:x.npy,x.npy", "FP4"), "no array 'scales' for scales; there is x"),
    (("files:odd.npy,q.npz", "FP4"), "axis -1 has length 100, not a multiple of k = 32"),
    (("files:ints.npy,q.npz", "FP4"), "the values are int32; expected --carrier"),
    (("files:x.npy,q.npz", "FP4", "--carrier", "binary16"), "the values are binary32; expected"),
    (("files:text.npy,q.npz", "FP4"), "expected a file of NumPy without objects"),
    (("files:cut.safetensors,q.npz", "FP4"), "no header of .safetensors"),
    (("files:raw.bin,q.npz", "FP4", "--carrier", "binary32"), "raw values have no shape"),
    (("files:x.npy,unknown.npz", "FP4"), "unknown key in unknown.toml 'layuot'; did you mean"),
    (("files:missing.toml", "FP4"), "missing.toml: No such file"),
    (("files:empty.npy,q.npz", "FP4"), "the inputs are empty"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[said for _, said in WRONG])
def test_wrong_files_are_named(here: Path, words: tuple[str, ...], said: str) -> None:
    blocks = quantized()
    codes = blocks.codes.reshape(X.shape)
    np.save("x.npy", X)
    np.save("odd.npy", X[:, :100])
    np.save("ints.npy", X.astype(np.int32))
    np.save("empty.npy", X[:0])
    Path("text.npy").write_text("no array")
    Path("cut.safetensors").write_bytes(b"\xff" * 8)
    Path("raw.bin").write_bytes(X.tobytes())
    np.savez("q.npz", codes=codes, scales=blocks.scales)
    if "empty" in words[0]:
        np.savez("q.npz", codes=codes[:0], scales=blocks.scales[:0])
    np.savez("short.npz", codes=codes[:, :96], scales=blocks.scales)
    np.savez("floats.npz", codes=X, scales=blocks.scales)
    Path("unknown.toml").write_text('layuot = "mx"\n')
    fp4 = ("--operation", "quantize", "--format", "MXFP4")
    given = [part for word in words for part in (fp4 if word == "FP4" else (word,))]
    result = cli_check(*given)
    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_a_dump_cannot_be_called(here: Path) -> None:
    result = CliRunner().invoke(cli, ["probe", "files:x.npy,q.npz", "--format", "MXFP4"])
    assert result.exit_code == 2
    assert "holds results, which cannot be called" in result.output


def test_two_formats_are_one_too_many(here: Path) -> None:
    with pytest.raises(MxemuError, match="expected one, a dump holds one operation"):
        read("x.npy,q.npz", Filters(("quantize",), ("MXFP4_E2M1", "MXINT8")))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}, "is F4; expected one of"),
        ({"dtype": "U8", "shape": [2], "data_offsets": [0, 9]}, "has 9 bytes; expected 2"),
        ({"dtype": "U8", "shape": [2]}, "has no dtype, shape and data_offsets"),
        (7, "has no dtype, shape and data_offsets"),
    ],
)
def test_a_damaged_safetensors_file(here: Path, entry: object, said: str) -> None:
    head = json.dumps({"w": entry}).encode()
    Path("x.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + b"\0")
    with pytest.raises(BadFile, match=said):
        dumps.check("files:x.safetensors,q.npz", FP4)


A = mxemu.quantize(X[:6], "MXFP8_E4M3")
B = mxemu.quantize(X[6:11], "MXFP4")
MATMUL = Filters(("matmul",), ("MXFP8_E4M3,MXFP4_E2M1",))


def save_operands(a: mxemu.Blocks, b: mxemu.Blocks, **more: np.ndarray) -> None:
    codes = {"a": a.codes.reshape(len(a.codes), -1), "b": b.codes.reshape(len(b.codes), -1)}
    np.savez("in.npz", **codes, sa=a.scales, sb=b.scales, **more)


def test_a_matrix_product(here: Path) -> None:
    found = mxemu.matmul(A, B)
    save_operands(A, B)
    np.save("y.npy", found)
    assert check("files:in.npz,y.npy", MATMUL) == {"pass": 30}
    found[2, 3] = 1e6
    np.save("y.npy", found)
    assert check("files:in.npz,y.npy", MATMUL) == {"pass": 29, "FAIL": 1}


def test_rows_that_were_multiplied_one_by_one_with_something_to_add(here: Path) -> None:
    other = mxemu.quantize(X[20:26], "MXFP4")
    c = X[:6, 0].copy()
    save_operands(A, other, c=c)
    np.save("y.npy", mxemu.dot(A, other, c=c))
    filters = Filters(("dot-general",), MATMUL.formats)
    assert check("files:in.npz,y.npy", filters) == {"pass": 6}


def test_a_product_of_one_block_without_scales(here: Path) -> None:
    a, b = (RNG.integers(0, 16, (9, 32), dtype=np.uint8) for _ in range(2))
    np.savez("in.npz", a=a, b=b)
    np.save("y.npy", mxemu.dot((a, "E2M1"), (b, "E2M1")).view(np.uint32))
    said = Filters(("dot",), ("E2M1",), ("binary32",))
    assert check("files:in.npz,y.npy", said) == {"pass": 9}


def test_packed_operands_with_arranged_scales(here: Path) -> None:
    a = mxemu.quantize(X[:6], "MXFP4")
    arrays = {}
    for name, one in (("a", a), ("b", B)):
        arrays[name] = mxemu.pack(one.codes.reshape(len(one.codes), -1), "E2M1")
        arrays[f"s{name}"] = pack_scales(one.scales, "nvidia-128x4")
    np.savez("in.npz", **arrays)
    np.save("y.npy", mxemu.matmul(a, B))
    describe("y.toml", layout="nvidia-128x4")
    assert check("files:in.npz,y.npy", Filters(("matmul",), ("MXFP4_E2M1",))) == {"pass": 30}


def test_the_accumulation_of_a_product_is_found(here: Path) -> None:
    a, b = mxemu.quantize(X[:32], "MXFP8_E4M3"), mxemu.quantize(X[32:64], "MXFP8_E4M3")
    save_operands(a, b)
    np.save("y.npy", mxemu.matmul(a, b, accumulation="fp32-sequential"))
    filters = Filters(("matmul",), ("MXFP8_E4M3",))
    (group,) = dumps.check("files:in.npz,y.npy", filters).groups
    assert (group.verdict, group.hypotheses[0].name) == ("free", "fp32-sequential")
    words = ("files:in.npz,y.npy", "--operation", "matmul", "--format", "MXFP8")
    result = cli_check(*words, "--accumulation", "fp32-sequential")
    assert (result.exit_code, "pass" in result.output) == (0, True)
    describe("y.toml", accumulation="fp32-sequential")
    assert check("files:in.npz,y.npy", filters) == {"pass": 1024}
    describe("y.toml", accumulation="pairwise")
    assert check("files:in.npz,y.npy", filters)["FAIL"] > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"b": np.zeros((5, 64), np.uint8), "sb": np.zeros((5, 2), np.uint8)},
            "a has rows of 128 codes and b of 64",
        ),
        ({"a": np.full((6, 128), 300)}, "a holds 0x12c; expected codes of 8 bits"),
        ({"sa": np.zeros((6, 3), np.uint8)}, "sa of shape (6, 3) and uint8; expected scale codes"),
        ({"a": np.zeros(128, np.uint8)}, "a of shape (128,) and uint8; expected rows of codes"),
        ({"c": np.zeros((5, 6), np.float32)}, "c of shape (5, 6); expected (6, 5)"),
        ({"c": np.zeros((6, 5))}, "c of dtype float64; expected binary32"),
    ],
)
def test_operands_that_do_not_fit(here: Path, change: dict[str, np.ndarray], said: str) -> None:
    save_operands(A, B)
    np.save("y.npy", mxemu.matmul(A, B))
    with np.load("in.npz") as arrays:
        np.savez("in.npz", **{**arrays, **change})
    with pytest.raises(MxemuError) as caught:
        dumps.check("files:in.npz,y.npy", MATMUL)
    assert said in str(caught.value)


def test_too_many_results_are_refused(here: Path) -> None:
    codes = np.zeros((3000, 128), dtype=np.uint8)
    scales = np.full((3000, 4), 127, dtype=np.uint8)
    np.savez("in.npz", a=codes, b=codes, sa=scales, sb=scales)
    np.save("y.npy", np.zeros((3000, 3000), dtype=np.float32))
    with pytest.raises(MxemuError, match="9,000,000 results of 128 products; expected at most"):
        dumps.check("files:in.npz,y.npy", MATMUL)
