"""Reads port maps and checks everything in them that can be checked without the design."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from conformance.adapters.rtl.fields import OPERATIONS, Interface, interface
from conformance.adapters.rtl.portmap import (
    COMBINATIONAL,
    HANDSHAKE,
    LATENCY,
    SEQUENCE,
    Clock,
    Drive,
    OperationMap,
    PortMap,
    Read,
    Step,
    Timing,
)
from conformance.adapters.rtl.slices import Part, read_part
from conformance.vectors.table import Field
from mxemu.errors import BadFile, MxemuError, unknown
from mxemu.formats import BlockFormat, carrier, find
from mxemu.profile import Overflow, Rounding

_KINDS = (COMBINATIONAL, LATENCY, HANDSHAKE)
MOST_STEPS = 1024
"""Steps of one vector, loops with an index of their own unrolled."""

_PRODUCTS = ("dot", "dot-general")
TOP_KEYS = (
    *("name", "version", "top", "sources", "include", "profile", "accumulation", "parameters"),
    *("defines", "ports", "constants", "clock", "reset", "timing", "operation"),
)
OPERATION_KEYS = (
    *("operation", "format", "carrier", "blocks", "rounding", "overflow", "top", "parameters"),
    *("defines", "ports", "constants", "timing", "in", "out", "step"),
)
STEP_KEYS = ("repeat", "cycles", "drive", "read", "until", "for", "steps")
TIMING_KEYS = (
    *("kind", "latency", "in_valid", "in_ready", "out_valid", "out_ready", "stalls", "limit"),
)
_WORDS = ("i", "first", "last")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_Found = TypeVar("_Found")


def read(path: Path) -> PortMap:
    """Read and check a port map.

    Raises
    ------
    BadFile
        The file cannot be read, or is no TOML.
    MxemuError
        A key is unknown, missing or wrong: the message names the file and the key.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(f"port map {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadFile(f"port map {path}: {error}") from None
    try:
        return _Reader(path, table).port_map()
    except MxemuError as error:
        raise type(error)(f"{path}: {error}", error.hint) from None


class _Place:
    """A table of the file and where it is, for errors."""

    def __init__(self, table: object, where: str, keys: tuple[str, ...] = ()) -> None:
        if not isinstance(table, Mapping):
            raise MxemuError(f"{where} is {table!r}; expected a table")
        for key in table:
            if keys and key not in keys:
                raise unknown(f"key in {where}" if where else "key", key, keys)
        self.table = table
        self.where = where

    def at(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def text(self, key: str, default: str | None = None) -> str:
        found = self.table.get(key, default)
        if not isinstance(found, str) or (not found and default is None):
            raise MxemuError(f"{self.at(key)} is {_shown(found)}; expected a text")
        return found

    def port(self, key: str) -> str:
        """A port's name, or nothing."""
        found = self.text(key, "")
        if found and not _IDENTIFIER.fullmatch(found):
            raise MxemuError(f"{self.at(key)} is {found!r}; expected the name of a port")
        return found

    def number(self, key: str, default: int, least: int = 0) -> int:
        found = self.table.get(key, default)
        if type(found) is not int or found < least:
            raise MxemuError(f"{self.at(key)} is {_shown(found)}; expected an integer from {least}")
        return found

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        found = self.text(key, default)
        if found not in choices:
            raise unknown(self.at(key), found, choices)
        return found

    def flag(self, key: str) -> bool:
        found = self.table.get(key, False)
        if not isinstance(found, bool):
            raise MxemuError(f"{self.at(key)} is {_shown(found)}; expected true or false")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        found = self.table.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise MxemuError(f"{self.at(key)} is {_shown(found)}; expected a list of texts")
        return tuple(found)

    def settings(self, key: str) -> dict[str, int | str]:
        """Parameters or defines: identifiers with an integer or a text each."""
        place = _Place(self.table.get(key, {}), self.at(key))
        for name, found in place.table.items():
            if not _IDENTIFIER.fullmatch(name):
                raise MxemuError(f"{place.where} has {name!r}; expected an identifier")
            if type(found) is not int and not isinstance(found, str):
                raise MxemuError(f"{place.at(name)} is {found!r}; expected an integer or a text")
        return dict(place.table)

    def tables(self, key: str) -> list[object]:
        found = self.table.get(key, [])
        if not isinstance(found, list):
            raise MxemuError(f"{self.at(key)} is {_shown(found)}; expected [[{self.at(key)}]]")
        return found

    def located(self, key: str, run: Callable[[], _Found]) -> _Found:
        """What a function gives; its error gets this place in front."""
        try:
            return run()
        except MxemuError as error:
            raise type(error)(f"{self.at(key)}: {error}", error.hint) from None


def _shown(found: object) -> str:
    return "missing" if found is None else repr(found)


class _Reader:
    """One file on its way to a `PortMap`."""

    def __init__(self, path: Path, table: Mapping[str, Any]) -> None:
        self.path = path
        self.top = _Place(table, "", TOP_KEYS)

    def port_map(self) -> PortMap:
        top = self.top
        self.clock = self._clock()
        operations = [
            _Operation(self, _Place(one, f"operation[{index}]", OPERATION_KEYS)).read()
            for index, one in enumerate(top.tables("operation"))
        ]
        if not operations:
            raise MxemuError("operation is missing; expected at least one [[operation]]")
        _no_two_alike(operations)
        return PortMap(
            path=self.path,
            name=top.text("name"),
            version=top.text("version", "0"),
            sources=self._files("sources", Path.is_file, "a file"),
            include=self._files("include", Path.is_dir, "a folder"),
            clock=self.clock,
            profile=self._declared("profile"),
            accumulation=self._declared("accumulation"),
            operations=tuple(operations),
        )

    def _clock(self) -> Clock | None:
        if "clock" not in self.top.table:
            if "reset" in self.top.table:
                raise MxemuError("reset is given without clock; expected [clock] with its port")
            return None
        port = _Place(self.top.table["clock"], "clock", ("port",)).port("port")
        if not port:
            raise MxemuError("clock.port is missing; expected the name of a port")
        if "reset" not in self.top.table:
            return Clock(port)
        place = _Place(self.top.table["reset"], "reset", ("port", "active", "cycles"))
        low = place.choice("active", ("low", "high"), "high") == "low"
        return Clock(port, place.port("port"), low, place.number("cycles", 2, least=1))

    def _files(self, key: str, there: Callable[[Path], bool], what: str) -> tuple[Path, ...]:
        names = self.top.texts(key)
        if key == "sources" and not names:
            raise MxemuError("sources is missing; expected a list of SystemVerilog files")
        paths = tuple((self.path.parent / name).resolve() for name in names)
        for name, path in zip(names, paths, strict=True):
            if not there(path):
                raise MxemuError(f"{key} has {name!r}; expected {what} in {self.path.parent}")
        return paths

    def _declared(self, key: str) -> Any:
        """A preset's name, a table, or the table of a TOML file beside the map."""
        found = self.top.table.get(key)
        if not isinstance(found, str) or not found.endswith(".toml"):
            return found
        try:
            table = tomllib.loads((self.path.parent / found).read_text(encoding="utf-8"))
        except OSError as error:
            raise BadFile(f"{key} {found}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadFile(f"{key} {found}: {error}") from None
        return {"name": Path(found).stem, **table}


def _no_two_alike(operations: list[OperationMap]) -> None:
    labels = [one.label for one in operations]
    for index, label in enumerate(labels):
        if label in labels[:index]:
            first = labels.index(label)
            raise MxemuError(f"operation[{index}] and operation[{first}] are both {label}")


class _Operation:
    """One ``[[operation]]`` on its way to an `OperationMap`."""

    def __init__(self, reader: _Reader, place: _Place) -> None:
        self.reader = reader
        self.place = place
        self.uses: dict[str, list[tuple[str, int, int]]] = {}

    def read(self) -> OperationMap:
        place, top = self.place, self.reader.top
        operation, label, numbers = self._subject()
        constants = self._constants()
        steps = tuple(self._steps())
        inputs, results = ({}, {}) if steps else (self._fields("in"), self._fields("out"))
        if steps:
            self._all_bits_used(steps)
        timing = self._timing(bool(steps))
        return OperationMap(
            operation=operation,
            format=label,
            carrier=numbers,
            interface=self.interface,
            top=place.text("top", "") or top.text("top"),
            parameters=MappingProxyType(top.settings("parameters") | place.settings("parameters")),
            defines=MappingProxyType(top.settings("defines") | place.settings("defines")),
            constants=MappingProxyType(constants),
            inputs=MappingProxyType(inputs),
            results=MappingProxyType(results),
            steps=steps,
            timing=timing,
            ports=MappingProxyType(self._ports(timing)),
            blocks=self.blocks,
            rounding=self._member("rounding", Rounding),
            overflow=self._member("overflow", Overflow),
        )

    def _subject(self) -> tuple[str, str, str]:
        """Operation, format and carrier, with the interface that follows from them."""
        place = self.place
        operation = place.choice("operation", OPERATIONS)
        label = place.located("format", lambda: _format(operation, place.text("format")))
        numbers = place.located("carrier", lambda: carrier(place.text("carrier", "binary32")))
        self.blocks = blocks = self._blocks(operation)
        whole = place.located("format", lambda: interface(operation, label, numbers, blocks))
        self.interface = self._without_unused_c(whole)
        return operation, label, numbers.name

    def _blocks(self, operation: str) -> int:
        if operation == "dot-general":
            return self.place.number("blocks", 4, least=2)
        if "blocks" in self.place.table:
            raise MxemuError(f"{self.place.at('blocks')} is for dot-general only")
        return 1

    def _member(self, key: str, kind: Any) -> Any:
        name = self.place.text(key, "")
        if not name:
            return None
        members = {member.name.lower().replace("_", "-"): member for member in kind}
        if name.lower().replace("_", "-") not in members:
            raise unknown(self.place.at(key), name, members)
        return members[name.lower().replace("_", "-")]

    def _without_unused_c(self, whole: Interface) -> Interface:
        """The interface without C where nothing in the map mentions it."""
        given = self.place.table.get("in", {})
        if (isinstance(given, Mapping) and "c" in given) or _sends_c(self.place.table.get("step")):
            return whole
        return Interface(tuple(one for one in whole.inputs if one.name != "c"), whole.results)

    def _constants(self) -> dict[str, int]:
        """Those of the operation, and those for all."""
        found: dict[str, int] = {}
        for holder in (self.reader.top, self.place):
            place = _Place(holder.table.get("constants", {}), holder.at("constants"))
            found |= {name: place.number(name, 0) for name in place.table}
        for name, value in found.items():
            self._use("in", Part(name), max(value.bit_length(), 1), self.place.at("constants"))
        return found

    def _fields(self, side: str) -> dict[str, tuple[Part, ...]]:
        """The table ``in`` or ``out``: every field with its parts of ports."""
        fields = self.interface.inputs if side == "in" else self.interface.results
        names = tuple(one.name for one in fields)
        place = _Place(self.place.table.get(side, {}), self.place.at(side))
        for key in place.table:
            if key not in names:
                raise unknown(f"field in {place.where}", key, names)
        for one in fields:
            if one.name not in place.table:
                raise MxemuError(
                    f"{place.at(one.name)} is missing; expected its ports; {_sized(one)}"
                )
        return {one.name: self._parts(place, one, side) for one in fields}

    def _parts(self, place: _Place, one: Field, side: str) -> tuple[Part, ...]:
        """The parts of ports that hold a field; they have to be as wide as it is."""
        found = place.table[one.name]
        texts = found if isinstance(found, list) else [found]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise MxemuError(
                f"{place.at(one.name)} is {found!r}; expected a port, or a list of ports"
            )
        parts = place.located(one.name, lambda: [read_part(text) for text in texts])
        whole = sum(part.width is None for part in parts)
        rest = one.bits - sum(part.width or 0 for part in parts)
        if whole and (rest < whole or rest % whole):
            raise MxemuError(
                f"{place.at(one.name)}: {rest} bits cannot be split evenly over {whole} ports; {_sized(one)}"
            )
        share = rest // max(whole, 1)
        wide = [Part(part.name, part.first, part.width or share) for part in parts]
        total = sum(part.width or 0 for part in wide)
        if total != one.bits:
            raise MxemuError(f"{place.at(one.name)}: the ports have {total} bits; {_sized(one)}")
        for part in wide:
            self._use(side, part, part.width or 0, place.at(one.name), alone=True)
        return tuple(wide)

    def _use(self, side: str, part: Part, width: int, where: str, alone: bool = False) -> None:
        """Note that bits of a port are in use; bits that are driven twice are an error."""
        low = part.first.base
        uses = self.uses.setdefault(part.name, [])
        if any(other != side for other, _, _ in uses):
            raise MxemuError(f"{where}: port {part.name} is both driven and read")
        if alone and side == "in":
            for _, first, size in uses:
                if low < first + size and first < low + width:
                    shared = max(low, first)
                    raise MxemuError(f"{where}: bit {shared} of port {part.name} is driven twice")
        uses.append((side, low, width))

    def _ports(self, timing: Timing) -> dict[str, tuple[str, int]]:
        """Direction and width of every port: as declared under ``ports``, else up to the highest bit in use."""
        widths = self.reader.top.settings("ports") | self.place.settings("ports")
        taken = self._taken(timing)
        found = {}
        for name, uses in self.uses.items():
            if name in taken:
                raise MxemuError(f"{self.place.where}: port {name} is {taken[name]} already")
            used = max(low + width for _, low, width in uses)
            width = widths.get(name, used)
            if type(width) is not int or width < used:
                raise MxemuError(f"ports.{name} is {width!r}; the map uses {used} bits of it")
            found[name] = (uses[0][0], width)
        return found

    def _taken(self, timing: Timing) -> dict[str, str]:
        """Ports that are no fields; a sequence may drive the reset."""
        clock = self.reader.clock
        found = {clock.port: "the clock"} if clock else {}
        if clock and clock.reset and timing.kind != SEQUENCE:
            found[clock.reset] = "the reset"
        if timing.kind == HANDSHAKE:
            for name in ("in_valid", "in_ready", "out_valid", "out_ready"):
                found[getattr(timing, name)] = f"{name} of the handshake"
        return found

    def _timing(self, sequence: bool) -> Timing:
        place = self.place
        if "timing" in place.table:
            own = _Place(place.table["timing"], place.at("timing"), TIMING_KEYS)
        else:
            own = _Place(self.reader.top.table.get("timing", {}), "timing", TIMING_KEYS)
        kind = SEQUENCE if sequence else own.choice("kind", _KINDS, COMBINATIONAL)
        if kind != COMBINATIONAL and self.reader.clock is None:
            raise MxemuError(f"{own.where} is {kind}; expected [clock] with its port")
        timing = Timing(
            kind=kind,
            latency=own.number("latency", 1, least=1),
            in_valid=own.port("in_valid"),
            in_ready=own.port("in_ready"),
            out_valid=own.port("out_valid"),
            out_ready=own.port("out_ready"),
            stalls=own.flag("stalls"),
            limit=own.number("limit", 10_000, least=1),
        )
        if kind == HANDSHAKE and not (timing.in_valid and timing.out_valid):
            missing = "out_valid" if timing.in_valid else "in_valid"
            raise MxemuError(f"{own.at(missing)} is missing; expected the name of a port")
        return timing

    def _steps(self) -> Iterator[Step]:
        found = self.place.tables("step")
        if not found:
            return
        for key in ("in", "out"):
            if key in self.place.table:
                raise MxemuError(
                    f"{self.place.at(key)} and {self.place.at('step')}; expected one of them"
                )
        steps = list(self._unrolled(found, self.place.at("step"), {}))
        if len(steps) > MOST_STEPS:
            raise MxemuError(
                f"{self.place.at('step')} has {len(steps)} steps; expected at most {MOST_STEPS}"
            )
        yield from steps

    def _unrolled(
        self, tables: list[object], where: str, indices: dict[str, int]
    ) -> Iterator[Step]:
        """Steps in order; those in a loop with an index once for each of its values."""
        for number, table in enumerate(tables):
            place = _Place(table, f"{where}[{number}]", STEP_KEYS)
            if "steps" not in place.table:
                yield self._step(place, indices)
                continue
            name = place.port("for")
            if not name or name in (*_WORDS, *indices):
                raise MxemuError(f"{place.at('for')} is {name!r}; expected a name for the index")
            for value in range(self._repeat(place)):
                inner = {**indices, name: value}
                yield from self._unrolled(place.tables("steps"), place.at("steps"), inner)

    def _repeat(self, place: _Place) -> int:
        if place.table.get("repeat") == "blocks":
            return self.blocks
        return place.number("repeat", 1, least=1)

    def _step(self, place: _Place, indices: dict[str, int]) -> Step:
        repeat = self._repeat(place)
        drives = _Place(place.table.get("drive", {}), place.at("drive"))
        reads = _Place(place.table.get("read", {}), place.at("read"))
        until = place.port("until")
        if until:
            self._use("out", Part(until), 1, place.at("until"))
        return Step(
            tuple(self._drive(drives, port, repeat, indices) for port in drives.table),
            tuple(self._read(reads, port, repeat, indices) for port in reads.table),
            repeat,
            place.number("cycles", 1, least=1),
            until,
        )

    def _drive(self, place: _Place, key: str, repeat: int, indices: dict[str, int]) -> Drive:
        port = place.located(key, lambda: read_part(key))
        source = place.table[key]
        if type(source) is int and source >= 0:
            return self._driven(port, source, max(source.bit_length(), 1), place.at(key))
        if not isinstance(source, str):
            raise MxemuError(f"{place.at(key)} is {source!r}; expected a number or bits of a field")
        if source in indices:
            value = indices[source]
            return self._driven(port, value, max(value.bit_length(), 1), place.at(key))
        if source in _WORDS:
            width = max((repeat - 1).bit_length(), 1) if source == "i" else 1
            return self._driven(port, source, width, place.at(key))
        part = self._field_part(place, key, source, repeat, indices, "in")
        return self._driven(port, part, part.width or 0, place.at(key))

    def _driven(self, port: Part, source: int | str | Part, width: int, where: str) -> Drive:
        if port.width is not None and port.width < width:
            raise MxemuError(f"{where} has {port.width} bits; {source!r} needs {width}")
        if isinstance(source, Part) and port.width not in (None, width):
            raise MxemuError(
                f"{where} has {port.width} bits; the part of {source.name} has {width}"
            )
        self._use("in", port, port.width or width, where)
        return Drive(port, source, port.width or width)

    def _read(self, place: _Place, key: str, repeat: int, indices: dict[str, int]) -> Read:
        port = place.located(key, lambda: read_part(key))
        target = place.table[key]
        if not isinstance(target, str):
            raise MxemuError(f"{place.at(key)} is {target!r}; expected bits of a field")
        part = self._field_part(place, key, target, repeat, indices, "out")
        if port.width not in (None, part.width):
            raise MxemuError(
                f"{place.at(key)} has {port.width} bits; the part of {part.name} has {part.width}"
            )
        self._use("out", port, part.width or 0, place.at(key))
        return Read(port, part, part.width or 0)

    def _field_part(
        self, place: _Place, key: str, text: str, repeat: int, indices: dict[str, int], side: str
    ) -> Part:
        """Bits of a field, which have to be inside it for every i."""
        part = place.located(key, lambda: read_part(text, indices, moving=True))
        fields = self.interface.inputs if side == "in" else self.interface.results
        names = {one.name: one for one in fields}
        if part.name not in names:
            error = unknown("field", part.name, names)
            raise MxemuError(f"{place.at(key)}: {error}", error.hint)
        one = names[part.name]
        whole = Part(part.name, part.first, part.width or one.bits)
        low, high = whole.first.span(repeat)
        if low < 0 or high + (whole.width or 0) > one.bits:
            raise MxemuError(
                f"{place.at(key)}: {text!r} reaches bit {high + (whole.width or 0) - 1}; {_sized(one)}"
            )
        return whole

    def _all_bits_used(self, steps: tuple[Step, ...]) -> None:
        """Every bit of every input must be sent, and every bit of every result be read."""
        seen: dict[str, set[int]] = {}
        for step in steps:
            parts = [one.source for one in step.drive if isinstance(one.source, Part)]
            for part in [*parts, *(one.field for one in step.read)]:
                bits = seen.setdefault(part.name, set())
                for index in range(step.repeat):
                    low = part.first.base + part.first.step * index
                    bits.update(range(low, low + (part.width or 0)))
        for one in (*self.interface.inputs, *self.interface.results):
            missing = set(range(one.bits)) - seen.get(one.name, set())
            if missing:
                verb = "driven" if one in self.interface.inputs else "read"
                raise MxemuError(
                    f"{self.place.at('step')}: bit {min(missing)} of {one.name} is never {verb}"
                )


def _sends_c(steps: object) -> bool:
    """Whether a step drives bits of C."""
    for step in steps if isinstance(steps, list) else ():
        drive = step.get("drive") if isinstance(step, Mapping) else None
        sources = drive.values() if isinstance(drive, Mapping) else ()
        if any(re.match(r"\s*c\s*(\[|$)", str(source)) for source in sources):
            return True
        if isinstance(step, Mapping) and _sends_c(step.get("steps")):
            return True
    return False


def _sized(one: Field) -> str:
    """A field with its width in words."""
    many = f" ({one.count} * {one.width})" if one.count > 1 else ""
    return f"field {one.name} has {one.bits} bits{many}"


def _format(operation: str, text: str) -> str:
    """The canonical name of a format, or the label of a pair."""
    if operation in _PRODUCTS:
        names = [name.strip() for name in text.split(",")]
        found = [find(name) for name in names]
        sizes = {one.k for one in found if isinstance(one, BlockFormat)}
        if len(found) > 2 or len(sizes) > 1:
            raise MxemuError(f"{text!r}; expected one format, or two with the same block size")
        first, last = found[0].name, found[-1].name
        return first if first == last else f"{first},{last}"
    return find(text).name
