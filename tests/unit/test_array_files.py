"""Blocks in files: there and back, damaged and foreign files, full disks, and files larger than their pieces."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mxemu
from mxemu.array import files, streams
from mxemu.array.blocks import Blocks
from mxemu.array.files import Header, header_of, header_text, load, npy_head
from mxemu.array.streams import NpyFile, dequantize_file, quantize_file, windows
from mxemu.errors import BadFile, BadFormat, BadShape, BadType, BadValue
from mxemu.formats import BLOCK_FORMATS, E8M0, BlockFormat, IntFormat
from mxemu.formats import block_format as find
from mxemu.profile import OCP, PRESETS
from mxemu.value import Value

ROOT = Path(__file__).resolve().parents[2]
Array = np.ndarray[Any, Any]

ENDINGS = [".npz", ".safetensors"]
CUSTOM = BlockFormat("mine", IntFormat("INT12", 12, 3), E8M0, 5)
WIDE = BlockFormat("wide", mxemu.formats.element("INT33"), mxemu.formats.element("E8M8:ieee"), 4)


def sample(shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    return np.random.default_rng(7).standard_normal(shape).astype(dtype)


def made(shape: tuple[int, ...] = (3, 70), axis: int = -1, fmt: Any = "MXFP4", **more: Any) -> Any:
    return mxemu.quantize(sample(shape), fmt, axis=axis, tail="partial", **more)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("fmt", [*BLOCK_FORMATS.values(), CUSTOM, WIDE], ids=str)
def test_every_format_comes_back(fmt: BlockFormat, ending: str, tmp_path: Path) -> None:
    blocks = made((4, 70), 0, fmt, tensor_scale=0.375)
    blocks.save(tmp_path / f"x{ending}")
    again = Blocks.load(str(tmp_path / f"x{ending}"))
    assert again == blocks
    assert again.block_format == fmt
    assert again.block_format is BLOCK_FORMATS.get(fmt.name, again.block_format)
    assert (again.codes.dtype, again.scales.dtype) == (blocks.codes.dtype, blocks.scales.dtype)
    assert again.codes.flags.writeable


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("shape", [(0,), (0, 32), (2, 0), (1,), (32,), (2, 3, 4)], ids=str)
def test_every_shape_comes_back(shape: tuple[int, ...], ending: str, tmp_path: Path) -> None:
    for axis in range(len(shape)):
        blocks = made(shape, axis)
        blocks.save(tmp_path / f"x{ending}")
        assert load(tmp_path / f"x{ending}") == blocks


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_profile_field_comes_back(ending: str, tmp_path: Path) -> None:
    changed = OCP.replace(rounding="to-odd", scale_clamp=(3, 200), amax_floor=Value(0, 3, -20))
    for profile in [*PRESETS.values(), changed]:
        blocks = Blocks(np.zeros((1, 32), np.uint8), np.zeros(1, np.uint8), find("MXFP4"), profile)
        blocks.save(tmp_path / f"x{ending}")
        again = load(tmp_path / f"x{ending}")
        assert again.profile == profile
        assert again == blocks


@pytest.mark.parametrize("ending", ENDINGS)
def test_views_and_fortran_order_are_written_by_value(ending: str, tmp_path: Path) -> None:
    blocks = made((6, 70))[::2, 1:]
    blocks.save(tmp_path / f"x{ending}")
    assert load(tmp_path / f"x{ending}") == blocks


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_blocks_give_the_same_bytes(ending: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        made().save(tmp_path / f"{name}{ending}")
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_npz_can_be_read_by_others(tmp_path: Path) -> None:
    blocks = made()
    blocks.save(tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["codes"], blocks.codes)
        assert np.array_equal(archive["scales"], blocks.scales)
        table = json.loads(archive["header.json"])
    assert table["schema"] == "mxemu.blocks/1"
    assert (table["shape"], table["axis"], table["tensor_scale"]) == ([3, 70], 1, None)
    assert table["block_format"]["element"]["mantissa_bits"] == 1
    assert table["profile"]["rounding"] == "ties-to-even"


def test_npz_that_was_packed_again_can_be_read(tmp_path: Path) -> None:
    made().save(tmp_path / "x.npz")
    with (
        zipfile.ZipFile(tmp_path / "x.npz") as old,
        zipfile.ZipFile(tmp_path / "y.npz", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in reversed(old.namelist()):
            new.writestr(name, old.read(name))
    assert load(tmp_path / "y.npz") == made()


def test_safetensors_is_what_its_document_says(tmp_path: Path) -> None:
    blocks = made(fmt=CUSTOM)
    blocks.save(tmp_path / "x.safetensors")
    data = (tmp_path / "x.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    assert length % 8 == 0
    table = json.loads(data[8 : 8 + length])
    assert list(table) == ["__metadata__", "codes", "scales"]
    assert set(table["__metadata__"]) == {"mxemu"}
    assert table["codes"]["dtype"] == "U16"
    body = data[8 + length :]
    first, after = table["codes"]["data_offsets"]
    assert first == 0
    codes = np.frombuffer(body[first:after], "<u2").reshape(table["codes"]["shape"])
    assert np.array_equal(codes, blocks.codes)
    # No holes, nothing behind.
    assert table["scales"] == {
        "dtype": "U8",
        "shape": [3, 14],
        "data_offsets": [after, after + 3 * 14],
    }
    assert len(body) == after + 3 * 14


def test_the_safetensors_library_reads_it(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    blocks = made()
    blocks.save(tmp_path / "x.safetensors")
    found = safetensors.load_file(tmp_path / "x.safetensors")
    assert np.array_equal(found["codes"], blocks.codes)
    assert np.array_equal(found["scales"], blocks.scales)


def test_names_with_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"x\.npy: expected a name that ends in \.npz or \.safeten"):
        made().save(tmp_path / "x.npy")
    made().save(tmp_path / "x.NPZ")
    # The content counts when reading.
    assert load((tmp_path / "x.NPZ").rename(tmp_path / "x.safetensors")) == made()


def check_refused(path: Path, words: str = "") -> None:
    """The error names the file; nothing else comes out."""
    with pytest.raises(BadFile) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert words in text


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_truncated_file_is_read(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{ending}"
    made((2, 32)).save(path)
    data = path.read_bytes()
    for length in (*range(0, len(data), 37), len(data) - 1):
        path.write_bytes(data[:length])
        check_refused(path)


def test_a_flipped_bit_of_npz_is_found_or_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    made((2, 32)).save(path)
    data = path.read_bytes()
    refused = 0
    for place in range(0, len(data), 11):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        try:
            found = load(path)
        except BadFile:
            refused += 1
        else:
            assert found == made((2, 32))
    assert refused > len(data) / 11 / 2


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    check_refused(tmp_path / "none.npz", "cannot be read: No such file or directory")
    check_refused(tmp_path, "cannot be read: Is a directory")
    (tmp_path / "empty.npz").touch()
    check_refused(tmp_path / "empty.npz", "neither .npz nor .safetensors; it starts with 0x")
    (tmp_path / "text.npz").write_text("hello, world")
    check_refused(tmp_path / "text.npz", "it starts with 0x68656c6c6f2c2077")


def test_a_bad_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"none\.npz: cannot be read"):
        load(tmp_path / "none.npz")


def test_foreign_npz(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, codes=np.zeros(3), weights=np.zeros(3))
    check_refused(path, "no header.json among codes.npy, weights.npy")
    with zipfile.ZipFile(path, "w"):
        pass
    check_refused(path, "no header.json among no members")
    rewrite(path, {"header.json": b"{}"})
    check_refused(path, "schema None; expected 'mxemu.blocks/1'")
    rewrite(path, {"header.json": b"[[1]"})
    check_refused(path, "the header is no JSON")
    rewrite(path, {"header.json": b"\xff\xfe\xff"})
    check_refused(path, "the header is no JSON")
    rewrite(path, {"header.json": b"[" * 100_000})
    check_refused(path, "the header is no JSON")


def rewrite(path: Path, members: dict[str, bytes | None], of: Any = None) -> None:
    """A file of blocks with some members replaced, or left out where None."""
    (of or made((2, 32))).save(path.with_suffix(".ok.npz"))
    with (
        zipfile.ZipFile(path.with_suffix(".ok.npz")) as old,
        zipfile.ZipFile(path, "w") as new,
    ):
        for name in old.namelist():
            data = members.get(name, old.read(name))
            if data is not None:
                new.writestr(name, data)


def npy(array: Array) -> bytes:
    """An array as .npy bytes, in whatever order it has."""
    file = BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (None, "codes.npy"),
        (b"hello", "magic string"),
        (npy(np.zeros((2, 1, 32), np.uint8))[:-1], "codes have 63 bytes; expected 64"),
        (npy(np.zeros((2, 1, 32), np.uint8)) + b"x", "codes have 65 bytes; expected 64"),
        (
            npy(np.zeros((2, 1, 31), np.uint8)),
            "codes are uint8 of shape (2, 1, 31); the header says",
        ),
        (npy(np.zeros((2, 1, 32), np.uint16)), "codes are uint16 of shape (2, 1, 32)"),
        (npy(np.zeros((2, 1, 32), np.int8)), "codes are int8 of shape (2, 1, 32)"),
        (npy(np.zeros((2, 1, 32), object)), "codes are object of shape (2, 1, 32)"),
        (npy(np.asfortranarray(np.zeros((2, 3, 32), np.uint8))), "Fortran order; expected C order"),
    ],
)
def test_foreign_codes(member: bytes | None, words: str, tmp_path: Path) -> None:
    rewrite(tmp_path / "x.npz", {"codes.npy": member})
    check_refused(tmp_path / "x.npz", words)


def test_later_npy_headers_are_read(tmp_path: Path) -> None:
    file = BytesIO()
    np.lib.format.write_array(file, made((2, 32)).codes, version=(3, 0))
    rewrite(tmp_path / "x.npz", {"codes.npy": file.getvalue()})
    assert load(tmp_path / "x.npz") == made((2, 32))


def header(**changes: Any) -> bytes:
    """The header of some blocks with fields replaced, or left out where None is given."""
    own = made((2, 32))
    parts = (own.block_format, own.profile, own.axis, own.shape, own.tensor_scale)
    table = json.loads(header_text(Header(*parts)))
    for key, change in changes.items():
        table[key] = change
    return json.dumps(table).encode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": "mxemu.blocks/2"}, "schema 'mxemu.blocks/2'; expected 'mxemu.blocks/1'"),
        ({"shape": [2, -32]}, "shape [2, -32] in the header; expected lengths"),
        ({"shape": [2, 32.0]}, "shape [2, 32.0] in the header"),
        ({"shape": "x"}, "shape 'x' in the header"),
        ({"shape": []}, "axis 1 of an array of shape ()"),
        ({"shape": [2, 64]}, "codes are uint8 of shape (2, 1, 32); the header says uint8 of shape"),
        ({"shape": [1 << 70, 32]}, "codes are uint8 of shape (2, 1, 32)"),
        ({"axis": 2}, "axis 2 of an array of shape (2, 32)"),
        ({"axis": None}, "axis None in the header"),
        (
            {"axis": 0},
            "codes are uint8 of shape (2, 1, 32); the header says uint8 of shape (32, 1, 32)",
        ),
        ({"tensor_scale": 1.0}, "tensor_scale 1.0 in the header; expected binary32 bits"),
        ({"tensor_scale": "0x1FFFFFFFF"}, "expected binary32 bits"),
        ({"tensor_scale": "-1"}, "expected binary32 bits"),
        ({"tensor_scale": "0x7F800000"}, "expected a finite binary32 number above 0"),
        ({"block_format": None}, "None; expected an object of kind block"),
        (
            {"profile": {"rounding": "sideways"}},
            "unknown value of profile field rounding 'sideways'",
        ),
    ],
)
def test_headers_that_say_what_cannot_be(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    rewrite(tmp_path / "x.npz", {"header.json": header(**changes)})
    check_refused(tmp_path / "x.npz", words)


def test_a_later_version_is_named(tmp_path: Path) -> None:
    rewrite(tmp_path / "x.npz", {"header.json": header(schema="mxemu.blocks/9")})
    with pytest.raises(BadFile) as caught:
        load(tmp_path / "x.npz")
    assert caught.value.hint == "it was written by another version of mxemu"


def safetensors(table: Any, body: bytes = b"", length: int | None = None) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(**changes: Any) -> dict[str, Any]:
    codes = {"dtype": "U8", "shape": [2, 1, 32], "data_offsets": [0, 64], **changes}
    return {
        "__metadata__": {"mxemu": header().decode()},
        "codes": codes,
        "scales": {"dtype": "U8", "shape": [2, 1], "data_offsets": [64, 66]},
    }


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"{nonsense", "the header is no JSON"),
        (b"{" + b'"a":[' * 50_000, "the header is no JSON"),
        ({"weight": {}}, "no entry 'mxemu' in the metadata"),
        ({"__metadata__": []}, "no entry 'mxemu' in the metadata"),
        ({"__metadata__": {"mxemu": 3}}, "no entry 'mxemu' in the metadata"),
        ({"__metadata__": {"mxemu": "{}"}}, "schema None"),
        ({"__metadata__": {"mxemu": header().decode()}}, "no tensor codes"),
        (entry(dtype="F8_E4M3"), "codes are 'F8_E4M3'; expected one of U8, U16, U32, U64"),
        (entry(dtype=["U8"]), "codes are ['U8']; expected one of"),
        (entry(dtype="U16"), "codes are uint16 of shape (2, 1, 32); the header says uint8"),
        (entry(shape=[64]), "codes are uint8 of shape (64,); the header says"),
        (entry(shape=[2, -1, 32]), "expected lengths"),
        (entry(shape=None), "expected lengths"),
        (entry(data_offsets=[0]), "expected lengths"),
        (entry(data_offsets=[0, 63]), "codes have 63 bytes; expected 64"),
        (entry(data_offsets=[1000, 1064]), "bytes; expected 64"),
        (entry(data_offsets=[64, 0]), "codes have -64 bytes"),
    ],
)
def test_foreign_safetensors(table: Any, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(safetensors(table, bytes(66)))
    check_refused(tmp_path / "x.safetensors", words)


def test_lengths_of_safetensors_headers(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors(entry(), bytes(66)))
    assert load(path).shape == (2, 32)
    path.write_bytes(safetensors(entry(), bytes(66), length=1 << 60))
    check_refused(path, "a header of 1152921504606846976 bytes; expected at most 100000000")
    path.write_bytes(safetensors(entry(), bytes(66), length=90_000_000))
    check_refused(path, "the header ends after")
    path.write_bytes(safetensors(b"[]"))
    check_refused(path, "neither .npz nor .safetensors")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "trapped"),)

    member = npy(np.array([Trap()] * 64, object).reshape(2, 1, 32))
    rewrite(tmp_path / "x.npz", {"codes.npy": member})
    check_refused(tmp_path / "x.npz")
    np.save(tmp_path / "x.npy", np.array([Trap()], object), allow_pickle=True)
    with pytest.raises(BadFile, match=r"x\.npy: damaged, or no array of numbers"):
        NpyFile(tmp_path / "x.npy")
    assert not (tmp_path / "trapped").exists()


def test_an_older_file_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    made().save(path)
    before = path.read_bytes()

    def parts() -> Any:
        yield made().codes, made().scales
        raise ValueError("stopped")

    own = made((6, 70))
    head = Header(own.block_format, own.profile, own.axis, own.shape, None)
    with pytest.raises(ValueError, match="stopped"):
        files.write(path, head, parts())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


FULL = """
import resource, sys
import numpy as np
import mxemu
from mxemu.array.streams import dequantize_file
blocks = mxemu.quantize(np.ones((64, 1024), np.float32), "MXFP4")
blocks.save(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))
try:
    if sys.argv[1].endswith(".npy"):
        dequantize_file(sys.argv[2], sys.argv[1])
    else:
        blocks.save(sys.argv[1])
except mxemu.errors.BadFile as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["x.npz", "x.safetensors", "x.npy"])
def test_a_full_disk_is_one_clear_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"old")
    stored = tmp_path / "stored.npz"
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(stored)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    assert result.stdout == f"{path}: cannot be written: File too large\n", result.stderr
    assert path.read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == sorted([path, stored])


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"none/x\.npz: cannot be written: No such file or directory"):
        made().save(tmp_path / "none" / "x.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(BadFile, match=r"folder\.npz: cannot be written: Is a directory"):
        made().save(tmp_path / "folder.npz")
    (tmp_path / "file").touch()
    with pytest.raises(BadFile, match=r"x\.npz: cannot be written: Not a directory"):
        made().save(tmp_path / "file" / "x.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.npz"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadFile, match="cannot be written: Permission denied"):
        made().save(tmp_path / "x.npz")


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    real = tmp_path / "there" / "real.npz"
    made((1,)).save(real)
    usual = tmp_path / "usual"
    usual.touch()
    assert stat.S_IMODE(real.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)
    real.chmod(0o640)
    (tmp_path / "link.npz").symlink_to(real)
    made().save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    assert load(real) == made()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_scales_that_do_not_fit_the_memory_go_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_SPOOL", 16)
    blocks = made((40, 70))
    for ending in ENDINGS:
        blocks.save(tmp_path / f"x{ending}")
        assert load(tmp_path / f"x{ending}") == blocks


def test_what_cannot_be_read_again_is_not_written(tmp_path: Path) -> None:
    far = BlockFormat("far", mxemu.formats.FloatFormat("far", 2, 1, 1 << 20), E8M0, 32)
    blocks = Blocks(np.zeros((1, 32), np.uint8), np.zeros(1, np.uint8), far)
    with pytest.raises(BadFormat, match="bias = 1048576; expected at most 65536"):
        blocks.save(tmp_path / "x.npz")
    assert not list(tmp_path.iterdir())


def test_the_head_of_npy_is_that_of_numpy() -> None:
    array = made().codes
    assert npy(array) == npy_head(files.Tensor(array.dtype, array.shape)) + array.tobytes()


def test_header_there_and_back() -> None:
    own = Header(find("NVFP4"), PRESETS["rceil"], 0, (64, 3), np.float32(0.1))
    again = header_of(header_text(own))
    assert again == own
    assert again.block_format is own.block_format
    assert again.profile is own.profile


SHAPES = [((5, 100), 1), ((100, 7), 0), ((3, 64, 5), 1), ((96,), 0), ((2, 0), 1), ((0, 32), 1)]
KINDS: list[tuple[str, str, Any, int | None]] = [
    ("MXFP4", "ocp", None, None),
    ("NVFP4", "ratio", "amax", None),
    ("MXFP6_E3M2", "stochastic", None, 7),
    ("INT12/E8M0/32", "rceil", 0.5, None),
]


@pytest.fixture
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of one or two blocks, and maps of a few rows."""
    for name in ("_ROWS", "_STRIP", "_RANDOM", "_WINDOW"):
        monkeypatch.setattr(streams, name, 512)


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("tail", ["partial", "pad"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)
def test_pieces_of_files_give_what_whole_arrays_give(
    shape: tuple[int, ...],
    axis: int,
    kind: tuple[str, str, Any, int | None],
    tail: str,
    ending: str,
    tmp_path: Path,
) -> None:
    x, (fmt, profile, scale, key) = sample(shape), kind
    np.save(tmp_path / "x.npy", x)
    choices: dict[str, Any] = {"axis": axis, "tail": tail, "tensor_scale": scale, "key": key}
    whole = mxemu.quantize(x, fmt, profile=profile, **choices)
    source, target = NpyFile(tmp_path / "x.npy"), tmp_path / f"x{ending}"
    done: list[int] = []
    written = quantize_file(
        source, target, find(fmt), PRESETS[profile], progress=done.append, **choices
    )
    assert load(target) == whole
    assert written.size == target.stat().st_size
    assert (written.elements, sum(done)) == (x.size, x.size * (2 if scale == "amax" else 1))
    whole.save(tmp_path / f"whole{ending}")
    assert target.read_bytes() == (tmp_path / f"whole{ending}").read_bytes()
    for dtype in (np.float32, np.float64):
        dequantize_file(target, tmp_path / "y.npy", dtype)
        assert (tmp_path / "y.npy").read_bytes() == npy(mxemu.dequantize(whole, dtype))


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("axis", [0, 1])
def test_files_of_other_dtypes_and_orders(axis: int, tmp_path: Path) -> None:
    x = sample((64, 96))
    upper = (x.view(np.uint32) >> 16).astype(np.uint16)
    arrays = [
        (x, None),
        (np.asfortranarray(x), None),
        (x.astype(">f4"), None),
        (x.astype(np.float64), None),
        (x.astype(np.float16), None),
        ((x * 100).astype(np.int32), None),
        (x.view(np.uint32), "binary32"),
        (upper, "bfloat16"),
        (upper.view(ml_dtypes.bfloat16), "bfloat16"),
    ]
    for array, carrier in arrays:
        np.save(tmp_path / "x.npy", array)
        native = array.astype(array.dtype.newbyteorder("="))
        whole = mxemu.quantize(native, "MXFP4", axis=axis, carrier=carrier)
        source = NpyFile(tmp_path / "x.npy", carrier)
        quantize_file(source, tmp_path / "x.npz", find("MXFP4"), OCP, axis=axis)
        assert load(tmp_path / "x.npz") == whole


@pytest.mark.parametrize("shape", [(100,), (7, 10), (3, 4, 5), (2, 0, 3), (1, 1, 1)])
def test_windows_cover_a_part_once(shape: tuple[int, ...]) -> None:
    index = tuple(slice(min(1, n), n) for n in shape)
    for limit in (1, 3, 12, 1000):
        seen = np.zeros(shape, int)
        place = np.arange(seen.size).reshape(shape)
        for window in windows(shape, index, limit):
            seen[window] += 1
            part = place[window]
            assert part.size == 0 or part.max() - part.min() < limit
        expected = np.zeros(shape, int)
        expected[index] = 1
        assert np.array_equal(seen, expected)


def bad_npy(path: Path, kind: str) -> None:
    match kind:
        case "missing":
            pass
        case "empty":
            path.touch()
        case "text":
            path.write_text("hello, world")
        case "truncated":
            path.write_bytes(npy(sample((8, 32)))[:-1])
        case "archive":
            np.savez(path.with_suffix(".npz"), x=sample((8,)))
            shutil.move(path.with_suffix(".npz"), path)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "cannot be read: No such file or directory"),
        ("empty", "damaged, or no array of numbers: it starts with 0x"),
        ("text", "damaged, or no array of numbers: it starts with 0x68656c6c6f2c2077"),
        ("truncated", "damaged, or no array of numbers: mmap length is greater than file size"),
        (
            "archive",
            "damaged, or no array of numbers: an archive; expected a .npy file with one array",
        ),
    ],
)
def test_bad_npy_files(kind: str, words: str, tmp_path: Path) -> None:
    bad_npy(tmp_path / "x.npy", kind)
    with pytest.raises(BadFile) as caught:
        NpyFile(tmp_path / "x.npy")
    assert str(caught.value).startswith(f"{tmp_path / 'x.npy'}: {words}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("array", "carrier", "words"),
    [
        (np.zeros(4, complex), None, "x has dtype complex128"),
        (np.zeros(4, "U3"), None, "x has dtype <U3"),
        (np.zeros(4, "V2"), None, r"numbers without a name, dtype \|V2"),
        (np.zeros(4, bool), None, "x has dtype bool"),
        (np.zeros(4, np.float32), "bfloat16", "x has dtype float32; bit patterns of bfloat16 are"),
        (np.zeros(4, "V4"), "bfloat16", "x has dtype uint32; bit patterns of bfloat16 are uint16"),
    ],
)
def test_npy_files_without_numbers(
    array: Array, carrier: str | None, words: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(BadType, match=rf"x\.npy: {words}"):
        NpyFile(tmp_path / "x.npy", carrier)


def test_what_quantize_file_refuses_leaves_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", sample((3, 70)))
    np.save(tmp_path / "zero.npy", sample(()))
    source = NpyFile(tmp_path / "x.npy")
    target = tmp_path / "x.npz"
    with pytest.raises(BadShape, match="axis 1 has length 70, not a multiple of k = 32"):
        quantize_file(source, target, find("MXFP4"), OCP)
    with pytest.raises(BadShape, match=r"axis -1 of an array of shape \(\)"):
        quantize_file(NpyFile(tmp_path / "zero.npy"), target, find("MXFP4"), OCP)
    with pytest.raises(BadValue, match="expected refuse, pad, partial"):
        quantize_file(source, target, find("MXFP4"), OCP, tail="cut")
    with pytest.raises(BadValue, match="STOCHASTIC rounding needs"):
        quantize_file(source, target, find("MXFP4"), PRESETS["stochastic"], tail="pad")
    with pytest.raises(BadValue, match="'most'; expected a number or \"amax\""):
        quantize_file(source, target, find("MXFP4"), OCP, tail="pad", tensor_scale="most")
    with pytest.raises(BadValue, match="ends in"):
        quantize_file(source, tmp_path / "x.bin", find("MXFP4"), OCP, tail="pad")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npy", "zero.npy"]


def test_what_dequantize_file_refuses_leaves_nothing(tmp_path: Path) -> None:
    stored, target = tmp_path / "x.npz", tmp_path / "y.npy"
    made().save(stored)
    with pytest.raises(BadValue, match=r"y\.npz: expected a name that ends in \.npy"):
        dequantize_file(stored, tmp_path / "y.npz")
    with pytest.raises(BadType, match="dtype complex128"):
        dequantize_file(stored, target, complex)
    blocks = made()
    blocks.codes[1, 1, 1] = 0x10
    blocks.save(stored)
    with pytest.raises(BadFile, match=r"x\.npz: code 0x10 at index"):
        dequantize_file(stored, target)
    data = stored.read_bytes()
    stored.write_bytes(data[:-30])
    with pytest.raises(BadFile, match=r"x\.npz: "):
        dequantize_file(stored, target)
    assert list(tmp_path.iterdir()) == [stored]


def test_room_is_taken_also_where_the_system_cannot_reserve_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made((3, 70)).save(tmp_path / "x.npz")
    monkeypatch.delattr(os, "posix_fallocate")
    dequantize_file(tmp_path / "x.npz", tmp_path / "y.npy")
    assert (tmp_path / "y.npy").read_bytes() == npy(np.asarray(made((3, 70))))


def test_files_of_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", sample((0, 32)))
    written = quantize_file(NpyFile(tmp_path / "x.npy"), tmp_path / "x.npz", find("MXFP4"), OCP)
    assert written.elements == 0
    assert np.isnan(written.bits_per_element)
    dequantize_file(tmp_path / "x.npz", tmp_path / "y.npy")
    assert np.load(tmp_path / "y.npy").shape == (0, 32)
