"""Subjects that left files: what went into a kernel and what came out are judged without running it.

``files:inputs,outputs`` names the files. What they hold is said by ``--operation``, ``--format`` and ``--carrier``,
or by a TOML file beside the outputs; docs/guides/transports.md has its keys.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import mxemu
from conformance.adapter import (
    BLOCK_OPERATIONS,
    CARRIER_DTYPES,
    PRODUCT_OPERATIONS,
    Capabilities,
    Operation,
    find_pair,
    parse,
)
from conformance.adapters import arrayfiles, product_dumps
from conformance.adapters.arrayfiles import Stored
from conformance.arrays import BITS_DTYPES, Array, as_bits, as_values, code_dtype
from conformance.cases import Cases
from conformance.judges import BlockJudge, Judge, QuantizeJudge
from conformance.replay import with_token
from conformance.runner import Filters, Request, Run, judge_of, judge_with
from conformance.target import parse_target
from conformance.verdict import Group, Terms, judge_group
from mxemu.accumulation import EXACT, Accumulation
from mxemu.array.packing import from_bytes, unpack_scales
from mxemu.errors import BadFile, BadShape, MxemuError, unknown
from mxemu.formats import BlockFormat, ElementFormat, block_format
from mxemu.formats import carrier as find_carrier
from mxemu.formats import element as find_element
from mxemu.layout import BYTES, Layout, Place
from mxemu.layout import arrangement as find_arrangement
from mxemu.layout import layout as find_layout
from mxemu.layout import packing as find_packing
from mxemu.profile import OCP, Profile

ROLES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "encode": (("values",), ("codes",)),
    "decode": (("codes",), ("values",)),
    "encode-scaled": (("values", "scales"), ("codes",)),
    "quantize": (("values",), ("scales", "codes")),
    "dequantize": (("scales", "codes"), ("values",)),
    "fake_quantize": (("values",), ("values",)),
    **dict.fromkeys(PRODUCT_OPERATIONS, (product_dumps.INPUTS, ("bits",))),
}
"""The arrays that go in and that come out."""

BLOCKS = "blocks"
"""The array that holds scales and codes together, for layouts that keep them beside each other."""

_KEYS = (
    "name",
    "version",
    "operation",
    "format",
    "carrier",
    "axis",
    "shape",
    "layout",
    "packing",
    "arrangement",
    "profile",
    "accumulation",
    "inputs",
    "outputs",
)
_NOTE = "dump"


@dataclass(frozen=True)
class Side:
    """The files of the inputs or of the outputs.

    Attributes
    ----------
    files : tuple of Path
    names : mapping of str to str
        The array in these files for each role; its own name unless given.
    axis : int, optional
        The blocked axis in these arrays, where it is another than in the other side's.
    """

    files: tuple[Path, ...]
    names: Mapping[str, str]
    axis: int | None = None

    def arrays(self, roles: Sequence[str]) -> dict[str, Stored]:
        """The array of each role.

        Raises
        ------
        BadFile
            There is none, or it is not clear which.
        """
        found = self.held()
        return {role: self._pick(role, found, len(roles)) for role in roles}

    def held(self) -> dict[str, Stored]:
        """All arrays of the files by their own names."""
        found: dict[str, Stored] = {}
        for path in self.files:
            found |= arrayfiles.read(path)
        return found

    def _pick(self, role: str, found: Mapping[str, Stored], wanted: int) -> Stored:
        name = self.names.get(role, role)
        if name in found:
            return found[name]
        if wanted == 1 and len(found) == 1 and role not in self.names:
            return next(iter(found.values()))
        files = ", ".join(map(str, self.files))
        held = ", ".join(found) or "nothing"
        raise BadFile(
            f"{files}: no array {name!r} for {role}; there is {held}",
            f'name it in the TOML file: {role} = "..." under [inputs] or [outputs]',
        )


@dataclass(frozen=True)
class Dump:
    """What is in the files of a dump.

    Attributes
    ----------
    name, version : str
    operation, format : str
    carrier : str
        Empty if the files say it.
    inputs, outputs : Side
    axis : int
        The blocked axis.
    shape : tuple of int, optional
        Of the values, for files that do not say it.
    layout : Layout
        Of codes and scales.
    profile : Profile, optional
        What is declared.
    accumulation : Accumulation, optional
        What is declared of products.
    """

    name: str
    version: str
    operation: str
    format: str
    carrier: str
    inputs: Side
    outputs: Side
    axis: int = -1
    shape: tuple[int, ...] | None = None
    layout: Layout = field(default_factory=lambda: find_layout("bytes"))
    profile: Profile | None = None
    accumulation: Accumulation | None = None

    @property
    def block(self) -> BlockFormat | None:
        """The block format; None for operations on elements."""
        return block_format(self.format) if self.operation in BLOCK_OPERATIONS else None

    @property
    def element(self) -> ElementFormat:
        """The element format."""
        return find_element(self.format) if self.block is None else self.block.element


def is_dump(target: str) -> bool:
    """Whether a TARGET names the files of a dump."""
    return target.startswith("files:") and parse_target(target).kind == "files"


def check(
    target: str,
    filters: Filters,
    asked: Profile | None = None,
    accumulation: Accumulation | None = None,
) -> Run:
    """Judge the files of a dump.

    Parameters
    ----------
    target : str
        ``files:inputs,outputs`` or ``files:dump.toml``.
    filters : Filters
        The operation, format and carrier, where the TOML file does not say them.
    asked : Profile, optional
        What is compared with in place of what is declared.
    accumulation : Accumulation, optional
        The same for products.

    Raises
    ------
    MxemuError
        The files do not hold what is said.
    """
    dump = read(parse_target(target).where, filters)
    if dump.operation in PRODUCT_OPERATIONS:
        return _check_products(target, dump, accumulation)
    carrier, inputs, results = arrays_of(dump)
    base = asked or dump.profile or OCP
    terms = Terms(base, asked is None and dump.profile is not None)
    request = Request(dump.operation, dump.format, carrier, terms)
    group = Group(dump.operation, dump.format, carrier, base)
    judge = judge_with(request, _cases(request, inputs))
    if isinstance(judge, BlockJudge) and carrier != "bfloat16":
        judge.remember(_expected(judge, base), base)
    observed = judge.observe(results, len(judge.cases))
    if isinstance(observed, str):
        raise BadFile(f"{', '.join(map(str, dump.outputs.files))}: {observed}")
    judge_group(group, judge, observed, np.zeros(len(observed), dtype=bool), terms)
    group.clusters = [with_token(one, judge, group) for one in group.clusters]
    offered = {dump.operation: Operation((dump.format,), (carrier,))}
    capabilities = Capabilities(dump.name, dump.version, offered, dump.profile)
    return Run(target, capabilities, "dump", asked, [group])


def _check_products(target: str, dump: Dump, asked: Accumulation | None) -> Run:
    """Judge the files of a dump of products."""
    base = asked or dump.accumulation or EXACT
    named = dump.inputs.names.get("c", "c") in dump.inputs.held()
    given = dump.inputs.arrays(product_dumps.roles(dump.format, named))
    result = dump.outputs.arrays(("bits",))["bits"]
    carrier = product_dumps.carrier_of(result, dump.carrier)
    products = product_dumps.Products(dump.operation, dump.format, dump.layout, base)
    judge, bits = product_dumps.judge_of(products, given, result, carrier)
    group = Group(dump.operation, dump.format, carrier, OCP)
    group.accumulation = base
    promised = asked is None and dump.accumulation is not None
    terms = Terms(OCP, promised, accumulation=base, takes_c=named)
    judge_group(group, judge, bits, np.zeros(len(bits), dtype=bool), terms)
    group.clusters = [with_token(one, judge, group) for one in group.clusters]
    offered = {dump.operation: Operation((dump.format,), (carrier,), c=named)}
    capabilities = Capabilities(dump.name, dump.version, offered, accumulation=dump.accumulation)
    return Run(target, capabilities, "dump", None, [group], asked_accumulation=asked)


def suite_inputs(
    operation: str, format_name: str, carrier: str = "binary32", level: str = "core"
) -> dict[str, Array]:
    """The inputs of ``mxemu check``, for a kernel that runs elsewhere: arrays by role.

    Examples
    --------
    >>> sorted(suite_inputs("dequantize", "MXFP4", level="smoke"))
    ['codes', 'scales']
    """
    _roles(operation)
    if operation in PRODUCT_OPERATIONS:
        raise MxemuError(
            f"{operation}: expected a conversion; mxemu vectors has inputs of products"
        )
    fmt = block_format(format_name) if operation in BLOCK_OPERATIONS else find_element(format_name)
    request = Request(operation, fmt.name, find_carrier(carrier).name, Terms(OCP, declared=False))
    arrays, _ = judge_of(request, level).arguments()
    known = [array for array in arrays if array is not None]
    return dict(zip(_roles(operation)[0], known, strict=True))


def _roles(operation: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if operation not in ROLES:
        raise unknown("operation of a dump", operation, ROLES)
    return ROLES[operation]


def read(where: str, filters: Filters) -> Dump:
    """The description of a dump.

    Raises
    ------
    MxemuError
        Files are missing, or it is not said what they hold.
    """
    paths = [Path(part.strip()) for part in where.split(",") if part.strip()]
    if len(paths) == 1 and paths[0].suffix == ".toml":
        return _described(_table(paths[0]), paths[0], (), (), filters)
    if len(paths) < 2:
        raise MxemuError(
            f"files:{where}: expected files:inputs,outputs or a TOML file that names them"
        )
    beside = paths[1].with_suffix(".toml")
    table = _table(beside) if beside.is_file() else {}
    return _described(table, beside, paths[:1], paths[1:], filters)


def _table(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: {error}") from None
    for key in table:
        if key not in _KEYS:
            raise unknown(f"key in {path}", key, _KEYS)
    return table


def _described(
    table: Mapping[str, Any],
    path: Path,
    inputs: Sequence[Path],
    outputs: Sequence[Path],
    filters: Filters,
) -> Dump:
    """A dump from its table and the command line, which goes first."""
    operation = _said("operation", filters.operations, table, path)
    roles = _roles(operation)
    name = _format_name(operation, _said("format", filters.formats, table, path))
    carrier = _said("carrier", filters.carriers, table, path, needed=False)
    said = {key: table.get(key) for key in ("profile", "accumulation")}
    declared = parse("dump", "1", {"operations": {}, **said})
    shape, axis = table.get("shape"), table.get("axis", -1)
    if shape is not None and not _are_lengths(shape):
        raise BadFile(f"{path}: shape is {shape!r}; expected a list of lengths")
    if type(axis) is not int:
        raise BadFile(f"{path}: axis is {axis!r}; expected an integer")
    return Dump(
        str(table.get("name") or (outputs[0] if outputs else path).stem),
        str(table.get("version", "1")),
        operation,
        name,
        find_carrier(carrier).name if carrier else "",
        _side("inputs", table, path, inputs, roles[0]),
        _side("outputs", table, path, outputs, roles[1]),
        axis,
        None if shape is None else tuple(shape),
        _layout(table),
        declared.profile,
        declared.accumulation,
    )


def _format_name(operation: str, given: str) -> str:
    """The format as groups call it; of products the pair."""
    if operation in PRODUCT_OPERATIONS:
        return find_pair(given)
    blocks = operation in BLOCK_OPERATIONS
    return block_format(given).name if blocks else find_element(given).name


def _said(
    key: str, given: Sequence[str], table: Mapping[str, Any], path: Path, needed: bool = True
) -> str:
    """One word from the command line or the table."""
    if len(given) > 1:
        raise MxemuError(f"--{key} {' and '.join(given)}; expected one, a dump holds one operation")
    found = given[0] if given else table.get(key, "")
    if not isinstance(found, str):
        raise BadFile(f"{path}: {key} is {found!r}; expected a text")
    if needed and not found:
        raise MxemuError(f"the {key} of the dump is not said; expected --{key}, or {key} in {path}")
    return found


def _side(
    key: str, table: Mapping[str, Any], path: Path, files: Sequence[Path], roles: Sequence[str]
) -> Side:
    """The files of one side, and what their arrays are called."""
    said = table.get(key, {})
    if isinstance(said, (str, list)):
        said = {"file": said}
    own = ("file", "axis", BLOCKS, *roles)
    for name in said:
        if name not in own:
            raise unknown(f"key in [{key}] of {path}", name, own)
    if not files:
        listed = said.get("file", [])
        files = [path.parent / one for one in ([listed] if isinstance(listed, str) else listed)]
    if not files:
        raise BadFile(f"{path}: {key} are not said; expected {key} = a file or a list of files")
    names = {role: str(said[role]) for role in (BLOCKS, *roles) if role in said}
    return Side(tuple(files), names, said.get("axis"))


def _layout(table: Mapping[str, Any]) -> Layout:
    found = find_layout(table.get("layout", "bytes"))
    if "packing" in table:
        found = replace(found, packing=find_packing(table["packing"]))
    if "arrangement" in table:
        found = replace(found, arrangement=find_arrangement(table["arrangement"]))
    return found


def _are_lengths(found: object) -> bool:
    return isinstance(found, list) and all(type(one) is int and one >= 0 for one in found)


def arrays_of(dump: Dump) -> tuple[str, list[Array], list[Array]]:
    """The carrier, and the arrays of inputs and outputs with one row for each value or block."""
    roles = _roles(dump.operation)
    sides = [
        side.arrays(_stored_roles(dump, own))
        for side, own in zip((dump.inputs, dump.outputs), roles, strict=True)
    ]
    number = next(index for index, own in enumerate(roles) if "values" in own)
    carrier = _carrier(dump, sides[number]["values"])
    values = _values(sides[number]["values"], carrier, dump.shape)
    reader = _Reader(dump, carrier, values.shape)
    found = [
        reader.rows(own, stored, side)
        for own, stored, side in zip(roles, sides, (dump.inputs, dump.outputs), strict=True)
    ]
    return carrier, found[0], found[1]


def _stored_roles(dump: Dump, roles: Sequence[str]) -> tuple[str, ...]:
    """What the files of a side hold: scales and codes may be one array."""
    joined = dump.layout.place is not Place.SEPARATE and {"scales", "codes"} <= {*roles}
    return (BLOCKS,) if joined else tuple(roles)


def _carrier(dump: Dump, values: Stored) -> str:
    """What the values are."""
    if values.carrier and dump.carrier and values.carrier != dump.carrier:
        raise BadFile(f"the values are {values.carrier}; expected {dump.carrier}")
    found = values.carrier or dump.carrier
    if not found:
        what = "raw bytes" if values.raw else str(values.array.dtype)
        raise BadFile(f"the values are {what}; expected --carrier, or carrier in the TOML file")
    return found


def _values(stored: Stored, carrier: str, shape: tuple[int, ...] | None) -> Array:
    """Values as numbers of a carrier, in their shape."""
    if stored.raw and shape is None:
        raise BadFile("raw values have no shape; expected shape in the TOML file")
    array = stored.array
    dtype = np.dtype(CARRIER_DTYPES[carrier])
    if stored.carrier and stored.carrier != carrier:
        raise BadFile(f"values are {stored.carrier}; expected {carrier}")
    if stored.raw:
        if array.size % dtype.itemsize:
            raise BadFile(f"{array.size} bytes of values; expected a multiple of {dtype.itemsize}")
        array = array.view(dtype)
    elif not stored.carrier:
        if array.dtype.itemsize != dtype.itemsize:
            raise BadFile(f"values of dtype {array.dtype}; expected the bits of {carrier}")
        array = as_values(array.view(BITS_DTYPES[carrier]), carrier)
    if shape is None or array.shape == shape:
        return array
    if array.size != int(np.prod(shape, dtype=np.int64)):
        raise BadShape(f"values of shape {array.shape}; expected {shape}")
    return array.reshape(shape)


class _Reader:
    """Turns the arrays of the files into rows of the judge.

    Parameters
    ----------
    dump : Dump
    carrier : str
    shape : tuple of int
        Of the values.
    """

    def __init__(self, dump: Dump, carrier: str, shape: tuple[int, ...]) -> None:
        self.dump = dump
        self.carrier = carrier
        self.shape = shape
        self.k = 0
        self.blocked = dump.operation in ("quantize", "dequantize", "fake_quantize")
        if self.blocked:
            assert dump.block is not None
            self.k = dump.block.k
            self._check_axis(dump.axis)

    def _check_axis(self, axis: int) -> None:
        if not -len(self.shape) <= axis < len(self.shape):
            raise BadShape(f"axis {axis}; the values have shape {self.shape}")
        if self.shape[axis] % self.k:
            length = self.shape[axis]
            raise BadShape(
                f"axis {axis} has length {length}, not a multiple of k = {self.k} (MX-6.3-MECH)"
            )

    @property
    def places(self) -> tuple[int, ...]:
        """Shape of the scales with the blocked axis last."""
        moved = np.moveaxis(np.empty(self.shape, dtype=np.bool_), self.dump.axis, -1).shape
        return (*moved[:-1], moved[-1] // self.k)

    def rows(self, roles: Sequence[str], stored: Mapping[str, Stored], side: Side) -> list[Array]:
        """The arrays of one side, in the order of the roles."""
        if BLOCKS in stored:
            assert self.dump.block is not None
            data = np.ascontiguousarray(stored[BLOCKS].array).view(np.uint8).ravel()
            codes, scales = from_bytes(data, self.places, self.dump.block, self.dump.layout)
            both = {"scales": scales.reshape(-1), "codes": codes.reshape(-1, self.k)}
            return [both[role] for role in roles]
        axis = self.dump.axis if side.axis is None else side.axis
        found = {"values": self._of_values, "codes": self._of_codes, "scales": self._of_scales}
        return [found[role](stored[role], axis) for role in roles]

    def _of_values(self, stored: Stored, axis: int) -> Array:
        values = _values(stored, self.carrier, self.dump.shape)
        if values.shape != self.shape:
            raise BadShape(f"values of shape {values.shape}; expected {self.shape}")
        return self._split(values, self.dump.axis)

    def _of_codes(self, stored: Stored, axis: int) -> Array:
        element = self.dump.element
        array = _integers(stored, element.width, "codes")
        if self.blocked and self.dump.layout.packing != BYTES:
            packed = _bytes(array, "codes").reshape(int(np.prod(self.places[:-1])), -1)
            length = self.places[-1] * self.k
            unpacked = mxemu.unpack(packed, element, length, self.dump.layout.packing)
            return unpacked.reshape(-1, self.k)
        if not self.blocked:
            return _as_shape(array, self.shape, "codes", stored.raw).reshape(-1)
        if not stored.raw and array.shape == (*self.places, self.k):
            return array.reshape(-1, self.k)
        return self._split(_as_shape(array, self._moved(axis), "codes", stored.raw), axis)

    def _of_scales(self, stored: Stored, axis: int) -> Array:
        assert self.dump.block is not None
        array = _integers(stored, self.dump.block.scale.width, "scales")
        if not self.blocked:
            return _as_shape(array, self.shape, "scales", stored.raw).reshape(-1)
        arrangement = self.dump.layout.arrangement
        if arrangement != find_arrangement("row-major"):
            rows, columns = int(np.prod(self.places[:-1])), self.places[-1]
            return unpack_scales(
                _bytes(array, "scales").ravel(), rows, columns, arrangement
            ).reshape(-1)
        usual = [self.places, (*self.places, 1)]
        if self.places[-1] == 1:
            usual.append(self.places[:-1])  # one block in each row needs no axis of its own
        if not stored.raw and array.shape in usual:
            return array.reshape(-1)
        shape = list(self._moved(axis))
        shape[axis] //= self.k
        array = _as_shape(array, tuple(shape), "scales", stored.raw)
        return np.moveaxis(array, axis, -1).reshape(-1)

    def _moved(self, axis: int) -> tuple[int, ...]:
        """The shape of the values with the blocked axis in another place."""
        lengths = list(self.shape)
        length = lengths.pop(self.dump.axis)
        lengths.insert(axis if axis >= 0 else len(lengths) + 1 + axis, length)
        return tuple(lengths)

    def _split(self, array: Array, axis: int) -> Array:
        """Blocks as rows; single values for operations on these."""
        if not self.blocked:
            return array.reshape(-1)
        return np.ascontiguousarray(np.moveaxis(array, axis, -1)).reshape(-1, self.k)


def _bytes(array: Array, what: str) -> Array:
    """An array of bytes, or a refusal."""
    if array.dtype.itemsize != 1:
        raise BadFile(f"{what} of dtype {array.dtype}; expected bytes, as the layout has them")
    return np.ascontiguousarray(array).view(np.uint8)


def _integers(stored: Stored, width: int, what: str) -> Array:
    """Codes; signed ones of just their width are the same bits."""
    array = stored.array
    if stored.raw and width > 8:
        size = np.dtype(code_dtype(width)).itemsize
        if array.size % size:
            raise BadFile(f"{array.size} bytes of {what}; expected a multiple of {size}")
        array = array.view(code_dtype(width))
    if array.dtype.kind not in "iu":
        raise BadFile(f"{what} of dtype {array.dtype}; expected codes as integers")
    if array.dtype.kind == "i" and 8 * array.dtype.itemsize == width:
        return array.view(code_dtype(width))
    return array


def _as_shape(array: Array, shape: tuple[int, ...], what: str, raw: bool) -> Array:
    """An array in the shape that it must have."""
    if array.shape == shape:
        return array
    if raw and array.size == int(np.prod(shape, dtype=np.int64)):
        return array.reshape(shape)
    raise BadShape(f"{what} of shape {array.shape}; expected {shape}")


def _cases(request: Request, inputs: Sequence[Array]) -> Cases:
    """The inputs as the judges take them: the numbers of a row behind one another."""
    carrier = request.carrier
    columns = [
        as_bits(array, carrier) if role == "values" else array
        for role, array in zip(_roles(request.operation)[0], inputs, strict=True)
    ]
    if request.operation == "encode-scaled":
        columns.reverse()  # scale first, as in the cases of the suite
    rows = columns[0] if len(columns) == 1 else np.column_stack(columns)
    judge: Judge = judge_of(request, "smoke")
    if not len(rows):
        raise BadShape("the inputs are empty; expected at least one value or block")
    dtype = judge.cases.inputs.dtype
    return Cases(rows.astype(dtype), np.zeros(len(rows), dtype=np.int64), (_NOTE,))


def _expected(judge: BlockJudge, profile: Profile) -> Array:
    """The rows of all blocks at once, by the array engine, which gives what the core gives block by block."""
    carrier = judge.carrier.name
    blocks = mxemu.quantize(as_values(judge.cases.inputs, carrier), judge.fmt, profile=profile)
    if isinstance(judge, QuantizeJudge):
        codes = blocks.codes.reshape(len(judge.cases), -1)
        return np.column_stack([blocks.scales.reshape(-1), codes]).astype(np.int64)
    return as_bits(mxemu.dequantize(blocks, dtype=CARRIER_DTYPES[carrier]), carrier)
