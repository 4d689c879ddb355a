"""Blocks in files: .npz and .safetensors, written and read as streams, and never half written.

Both hold the arrays ``codes`` and ``scales`` and a header in JSON with the whole format and profile, so that a file
says what its codes mean without this program. In .npz the header is the member ``header.json``, in .safetensors the
entry ``mxemu`` of the metadata.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NamedTuple

import numpy as np

from mxemu.array.blocks import Blocks, checked_axis, checked_tensor_scale, storage_shape
from mxemu.array.inputs import Array, code_dtype
from mxemu.array.records import block_format_of, format_table, profile_of, profile_table
from mxemu.errors import BadFile, BadShape, BadValue, MxemuError
from mxemu.formats import BlockFormat
from mxemu.profile import Profile

PathName = str | os.PathLike[str]

SCHEMA = "mxemu.blocks/1"
ENDINGS = (".npz", ".safetensors")
_FAMILY = "mxemu.blocks/"
_METADATA = "mxemu"
# Scales are kept in memory up to here, and then beside the file.
_SPOOL = 1 << 26
# Bytes that are read at once.
_READ = 1 << 22
# A longer header is none: this is what the safetensors library refuses too.
_LONGEST_HEADER = 100_000_000
_SAFETENSORS = {"U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64"}
_SAFETENSORS_OF = {numpy: own for own, numpy in _SAFETENSORS.items()}


class Header(NamedTuple):
    """Everything about blocks but their codes and scales.

    Attributes
    ----------
    block_format : BlockFormat
    profile : Profile
    axis : int
    shape : tuple of int
    tensor_scale : float32 or None
    """

    block_format: BlockFormat
    profile: Profile
    axis: int
    shape: tuple[int, ...]
    tensor_scale: np.float32 | None

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Dtype and shape of codes and scales, in the order of the file."""
        codes = storage_shape(self.shape, self.axis, self.block_format.k)
        return {
            "codes": Tensor(code_dtype(self.block_format.element.width), codes),
            "scales": Tensor(code_dtype(self.block_format.scale.width), codes[:-1]),
        }

    def blocks(self, codes: Array, scales: Array) -> Blocks:
        """The blocks of which this is the header, or a part of them with the same number of axes."""
        return Blocks(codes, scales, *self)


class Tensor(NamedTuple):
    """Dtype and shape of an array in a file; it is little-endian and in C order."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        size = self.dtype.itemsize
        for length in self.shape:
            size *= length
        return size


def header_text(header: Header) -> str:
    """The header as JSON."""
    scale = header.tensor_scale
    table = {
        "schema": SCHEMA,
        "block_format": format_table(header.block_format),
        "profile": profile_table(header.profile),
        "axis": header.axis,
        "shape": list(header.shape),
        "tensor_scale": None if scale is None else f"0x{int(scale.view(np.uint32)):08X}",
    }
    return json.dumps(table, indent=1)


def header_of(text: str | bytes) -> Header:
    """The header of a JSON text.

    Raises
    ------
    BadValue, BadFormat, BadShape, UnknownName
        When it is none, or of another version, or says what cannot be.
    """
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise BadValue("the header is no JSON") from None
    schema = table.get("schema") if isinstance(table, dict) else None
    if schema != SCHEMA:
        later = isinstance(schema, str) and schema.startswith(_FAMILY)
        hint = "it was written by another version of mxemu" if later else ""
        raise BadValue(f"schema {schema!r}; expected {SCHEMA!r}", hint)
    shape: Any = table.get("shape")
    axis: Any = table.get("axis")
    if not _are_lengths(shape):
        raise BadShape(f"shape {shape!r} in the header; expected lengths of 0 or more")
    if type(axis) is not int:
        raise BadShape(f"axis {axis!r} in the header; expected an integer")
    return Header(
        block_format_of(table.get("block_format")),
        profile_of(table.get("profile")),
        checked_axis(axis, tuple(shape)),
        tuple(shape),
        _tensor_scale_of(table.get("tensor_scale")),
    )


def _tensor_scale_of(text: Any) -> np.float32 | None:
    """A tensor scale from its bits."""
    if text is None:
        return None
    try:
        bits = np.uint32(int(text, 16))
    except (TypeError, ValueError, OverflowError):
        raise BadValue(f"tensor_scale {text!r} in the header; expected binary32 bits") from None
    return checked_tensor_scale(bits.view(np.float32))


def save(blocks: Blocks, path: PathName) -> None:
    """Write blocks to a file; see `Blocks.save`."""
    own = (blocks.block_format, blocks.profile, blocks.axis, blocks.shape, blocks.tensor_scale)
    write(path, Header(*own), [(blocks.codes, blocks.scales)])


def write(path: PathName, header: Header, parts: Iterable[tuple[Array, Array]]) -> int:
    """Write a file of blocks as a stream.

    Parameters
    ----------
    path : path-like
        Ends in ``.npz`` or ``.safetensors``.
    header : Header
    parts : iterable of (codes, scales)
        In the order of the codes; each is written before the next one is asked for.

    Returns
    -------
    int
        Bytes of the file.

    Raises
    ------
    BadFile, BadValue
    """
    form = writer_for(path)
    text = header_text(header)
    # What cannot be read again is not written.
    header_of(text)
    with replacing(path) as file, _spool(path) as scales:
        form(file, header.tensors, text, _split(parts, scales), scales)
        return file.seek(0, os.SEEK_END)


def writer_for(path: PathName) -> Callable[..., None]:
    """The writer for the ending of a name.

    Raises
    ------
    BadValue
    """
    found = {".npz": _write_npz, ".safetensors": _write_safetensors}.get(Path(path).suffix.lower())
    if found is None:
        raise BadValue(f"{path}: expected a name that ends in {' or '.join(ENDINGS)}")
    return found


def _split(parts: Iterable[tuple[Array, Array]], scales: IO[bytes]) -> Iterator[memoryview]:
    """The codes one after the other, while the scales are put aside."""
    for codes, own in parts:
        yield _little(codes)
        scales.write(_little(own))


def _little(array: Array) -> memoryview:
    """The bytes of an array, little-endian and in C order."""
    ordered = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data


def _write_npz(
    file: IO[bytes],
    tensors: dict[str, Tensor],
    text: str,
    codes: Iterator[memoryview],
    scales: IO[bytes],
) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        archive.writestr(zipfile.ZipInfo("header.json"), text)
        with archive.open(zipfile.ZipInfo("codes.npy"), "w", force_zip64=True) as member:
            member.write(npy_head(tensors["codes"]))
            for part in codes:
                member.write(part)
        scales.seek(0)
        with archive.open(zipfile.ZipInfo("scales.npy"), "w", force_zip64=True) as member:
            member.write(npy_head(tensors["scales"]))
            shutil.copyfileobj(scales, member)


def npy_head(tensor: Tensor) -> bytes:
    """What stands before the data of a .npy file."""
    head = BytesIO()
    descr = np.lib.format.dtype_to_descr(tensor.dtype.newbyteorder("<"))
    fields = {"descr": descr, "fortran_order": False, "shape": tensor.shape}
    np.lib.format.write_array_header_1_0(head, fields)
    return head.getvalue()


def _write_safetensors(
    file: IO[bytes],
    tensors: dict[str, Tensor],
    text: str,
    codes: Iterator[memoryview],
    scales: IO[bytes],
) -> None:
    table: dict[str, Any] = {"__metadata__": {_METADATA: text}}
    start = 0
    for name, tensor in tensors.items():
        table[name] = {
            "dtype": _SAFETENSORS_OF[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [start, start + tensor.size],
        }
        start += tensor.size
    head = json.dumps(table).encode()
    head += b" " * (-len(head) % 8)
    file.write(struct.pack("<Q", len(head)) + head)
    for part in codes:
        file.write(part)
    scales.seek(0)
    shutil.copyfileobj(scales, file)


@contextmanager
def replacing(path: PathName) -> Iterator[IO[bytes]]:
    """A file that takes the place of another one when it is complete, and leaves no trace when it is not.

    Raises
    ------
    BadFile
        When something cannot be written.
    """
    target = Path(path).resolve()
    temporary = target.with_name(f".{target.name}.{token_hex(4)}.part")
    try:
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
        _sync(target.parent)
    except MxemuError:
        raise
    except OSError as error:
        raise BadFile(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _spool(path: PathName) -> SpooledTemporaryFile[bytes]:
    """Room for scales, until the codes are written."""
    return SpooledTemporaryFile(_SPOOL, dir=str(Path(path).resolve().parent))


def _sync(folder: Path) -> None:
    """Have the new name on the disk too, where folders can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Stored:
    """An open file of blocks.

    Attributes
    ----------
    header : Header
    open : callable
        Name of a tensor to a new stream of its data.
    """

    header: Header
    open: Callable[[str], IO[bytes]]

    def read(self, stream: IO[bytes], name: str, shape: tuple[int, ...]) -> Array:
        """The next elements of a stream, as an array of a shape.

        Raises
        ------
        EOFError
        """
        array = np.empty(shape, self.header.tensors[name].dtype.newbyteorder("<"))
        room = array.reshape(-1).view(np.uint8).data
        filled = 0
        while filled < len(room):
            data = stream.read(min(_READ, len(room) - filled))
            if not data:
                raise EOFError(f"{name} end after {filled} of {len(room)} bytes")
            room[filled : filled + len(data)] = data
            filled += len(data)
        return array.astype(self.header.tensors[name].dtype, copy=False)


def load(path: PathName) -> Blocks:
    """Read blocks from a file; see `Blocks.load`."""
    with opened(path) as stored:
        arrays = []
        for name, tensor in stored.header.tensors.items():
            with stored.open(name) as stream:
                arrays.append(stored.read(stream, name, tensor.shape))
        codes, scales = arrays
        return stored.header.blocks(codes, scales)


# What the standard library and NumPy say about files that are damaged or none of theirs.
_DAMAGED = (
    ValueError,
    KeyError,
    EOFError,
    MemoryError,
    RuntimeError,  # an encrypted or strangely compressed member
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def opened(path: PathName) -> Iterator[Stored]:
    """Open a file of blocks for reading.

    Raises
    ------
    BadFile
        For whatever is wrong with it, also while it is read.
    """
    try:
        with Path(path).open("rb") as file:
            yield _find_form(file)(file)
    except BadFile:
        raise
    except MxemuError as error:
        raise BadFile(f"{path}: {error}", error.hint) from None
    except OSError as error:
        raise BadFile(f"{path}: cannot be read: {error.strerror or error}") from None
    except _DAMAGED as error:
        words = str(error).strip("'\"") or type(error).__name__
        raise BadFile(f"{path}: damaged, or no file of blocks: {words}") from None


def _find_form(file: IO[bytes]) -> Callable[[IO[bytes]], Stored]:
    """The reader for the first bytes of a file."""
    start = file.read(9)
    file.seek(0)
    if start.startswith(b"PK"):
        return _open_npz
    if start[8:] == b"{":
        return _open_safetensors
    raise BadValue(f"neither .npz nor .safetensors; it starts with 0x{start[:8].hex()}")


def _open_npz(file: IO[bytes]) -> Stored:
    archive = zipfile.ZipFile(file)
    names = archive.namelist()
    if "header.json" not in names:
        raise BadValue(f"no header.json among {', '.join(names[:4]) or 'no members'}")
    if archive.getinfo("header.json").file_size > _LONGEST_HEADER:
        raise BadValue("header.json is too long")
    header = header_of(archive.read("header.json"))

    def start(name: str) -> IO[bytes]:
        stream = archive.open(f"{name}.npy")
        _check_tensor(name, npy_tensor(stream), header)
        size = archive.getinfo(f"{name}.npy").file_size - stream.tell()
        _check_size(name, size, header)
        return stream

    return Stored(header, start)


def npy_tensor(stream: IO[bytes]) -> Tensor:
    """Dtype and shape of the .npy data that follow in a stream.

    Raises
    ------
    BadValue, ValueError
        When it holds something else; NumPy raises the second one.
    """
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    if fortran and len(shape) > 1:
        raise BadValue("an array in Fortran order; expected C order")
    return Tensor(dtype, tuple(shape))


def _check_tensor(name: str, found: Tensor, header: Header) -> None:
    """Refuse an array that is not the one of the header."""
    expected = header.tensors[name]
    if found.dtype != expected.dtype.newbyteorder("<") or found.shape != expected.shape:
        raise BadShape(
            f"{name} are {found.dtype} of shape {found.shape}; "
            f"the header says {expected.dtype} of shape {expected.shape}"
        )


def _check_size(name: str, size: int, header: Header) -> None:
    """Refuse data of another size before room for them is made."""
    if size != header.tensors[name].size:
        raise BadValue(f"{name} have {size} bytes; expected {header.tensors[name].size}")


def _open_safetensors(file: IO[bytes]) -> Stored:
    table, data = _safetensors_table(file)
    metadata = table.get("__metadata__")
    if not isinstance(metadata, dict) or not isinstance(metadata.get(_METADATA), str):
        raise BadValue(f"no entry {_METADATA!r} in the metadata; expected a file from Blocks.save")
    header = header_of(metadata[_METADATA])
    end = file.seek(0, os.SEEK_END)
    starts = {}
    for name in header.tensors:
        entry: Any = table.get(name)
        _check_tensor(name, _safetensors_tensor(name, entry), header)
        first, after = (data + offset for offset in entry["data_offsets"])
        _check_size(name, min(after, end) - first, header)
        starts[name] = first

    def start(name: str) -> IO[bytes]:
        stream = Path(file.name).open("rb")  # noqa: SIM115 - the caller closes it
        stream.seek(starts[name])
        return stream

    return Stored(header, start)


def _safetensors_table(file: IO[bytes]) -> tuple[dict[str, Any], int]:
    """The JSON in front of a file, and where its data begin."""
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _LONGEST_HEADER:
        raise BadValue(f"a header of {length} bytes; expected at most {_LONGEST_HEADER}")
    text = file.read(length)
    if len(text) != length:
        raise EOFError(f"the header ends after {len(text)} of {length} bytes")
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise BadValue("the header is no JSON") from None
    if not isinstance(table, dict):
        raise BadValue("the header is no object")
    return table, 8 + length


def _safetensors_tensor(name: str, entry: Any) -> Tensor:
    """Dtype and shape of an entry whose offsets are a pair."""
    if not isinstance(entry, dict):
        raise BadValue(f"no tensor {name}")
    offsets: Any = entry.get("data_offsets")
    shape: Any = entry.get("shape")
    if not (_are_lengths(offsets) and _are_lengths(shape) and len(offsets) == 2):
        raise BadValue(f"{name} have offsets {offsets!r} and shape {shape!r}; expected lengths")
    dtype: Any = entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in _SAFETENSORS:
        raise BadValue(f"{name} are {dtype!r}; expected one of {', '.join(_SAFETENSORS)}")
    return Tensor(np.dtype(_SAFETENSORS[dtype]), tuple(shape))


def _are_lengths(found: Any) -> bool:
    """Whether something from JSON is a list of integers of 0 or more."""
    return isinstance(found, list) and all(type(n) is int and n >= 0 for n in found)
