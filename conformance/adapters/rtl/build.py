"""Designs built for a simulator, once for each content: sources, harness, simulator and compiler.

What is built lies in the user's cache folder and may be removed at any time.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance import tools
from conformance.adapters.rtl.harness import bench, harness, program
from conformance.adapters.rtl.portmap import COMBINATIONAL, OperationMap, PortMap
from conformance.tools import Tool
from mxemu.errors import BadFile, MxemuError

ROOM = 1 << 15
"""Vectors in one run of the bench."""

_BUILD_SECONDS = 1800
_SHOWN = 4
"""Lines of a simulator's message that are shown."""

_SOURCES = ("*.v", "*.sv", "*.vh", "*.svh", "*.mem", "*.memh", "*.hex")
_PREFIX = "mxemu_harness"
_PRODUCTS = ("Vmx", "bench.vvp")
_RUNTIME = threading.Lock()
_VERILATOR_FLAGS = (
    *("--cc", "-O3", "--no-timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--sv"),
    *("-Wwarn-PINMISSING", "-Wwarn-WIDTH", "--x-assign", "unique", "--x-initial", "unique"),
    *("--prefix", "Vmx", "--top-module", "mxemu_harness"),
)
_CXX_FLAGS = ("-std=c++17", "-O2", "-fstrict-aliasing", "-DVM_TRACE=0", "-w")
_ICARUS_FLAGS = ("-g2012", "-Wimplicit", "-Wportbind", "-s", "mxemu_bench")


@dataclass(frozen=True)
class Built:
    """A design that is ready to run.

    Attributes
    ----------
    simulator : str
    command : tuple of str
    folder : Path
        Where designs that read files of their own find them.
    clocked : bool
        Whether results have a cycle; those of a combinational design do not need one.
    """

    simulator: str
    command: tuple[str, ...]
    folder: Path
    clocked: bool


def cache_folder() -> Path:
    """The folder of everything that is built: ``mxemu/rtl`` in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "mxemu" / "rtl"


def build(design: PortMap, operation: OperationMap, simulator: Tool) -> Built:
    """Build one operation of a design, unless that has been done.

    Raises
    ------
    MxemuError
        The simulator or the compiler refuses it: its first message, and the lines that follow as a hint.
    Unsupported
        There is no C++ compiler, which Verilator needs.
    """
    texts = {f"{_PREFIX}.sv": harness(design, operation)}
    if simulator.name == "verilator":
        texts["main.cpp"] = program(design, operation)
    else:
        texts["mxemu_bench.sv"] = bench(design, operation, ROOM)
    name = _PRODUCTS[simulator.name == "icarus"]
    folder = cache_folder() / _digest(design, operation, simulator, texts)
    if not (folder / name).exists():
        _build_in(folder, design, operation, simulator, texts)
    path = str(folder / name)
    command = (path,) if simulator.name == "verilator" else (simulator.command[1], "-n", path)
    clocked = operation.timing.kind != COMBINATIONAL
    return Built(simulator.name, command, design.path.resolve().parent, clocked)


def _digest(
    design: PortMap, operation: OperationMap, simulator: Tool, texts: Mapping[str, str]
) -> str:
    """A name from everything that decides what is built."""
    found = hashlib.sha256()
    parts = [*texts.values(), simulator.version, *simulator.command, str(operation.defines)]
    parts += [*_VERILATOR_FLAGS, *_CXX_FLAGS, *_ICARUS_FLAGS]
    if simulator.name == "verilator":
        parts.append(tools.compiler().version)
    for text in parts:
        found.update(text.encode() + b"\0")
    for path in _read_files(design):
        found.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:24]


def _read_files(design: PortMap) -> Iterator[Path]:
    """Sources, and all that they may include."""
    yield from design.sources
    for folder in _include_folders(design):
        for pattern in _SOURCES:
            yield from sorted(path for path in folder.glob(pattern) if path.is_file())


def _include_folders(design: PortMap) -> list[Path]:
    """The declared ones, and those of the sources."""
    return list(dict.fromkeys([*design.include, *(path.parent for path in design.sources)]))


def _build_in(
    folder: Path,
    design: PortMap,
    operation: OperationMap,
    simulator: Tool,
    texts: Mapping[str, str],
) -> None:
    """Build in a temporary folder, which gets its name only when it is complete."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    except OSError as error:
        raise BadFile(f"cannot write the cache {folder.parent}: {error.strerror}") from None
    try:
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
        if simulator.name == "verilator":
            _verilate(temporary, design, operation, simulator)
        else:
            _compile_bench(temporary, design, operation, simulator)
        _give_name(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _give_name(temporary: Path, folder: Path) -> None:
    """Move what was built to its place; another process that was faster has built the same."""
    try:
        temporary.rename(folder)
    except OSError as error:
        if not any((folder / name).is_file() for name in _PRODUCTS):
            hint = f"remove {folder}"
            raise BadFile(f"cannot write {folder}: {error.strerror}", hint) from None


def _verilate(folder: Path, design: PortMap, operation: OperationMap, simulator: Tool) -> None:
    """From SystemVerilog to a program. Verilator's own run time is compiled once for all designs."""
    defines = [f"-D{key}={value}" for key, value in operation.defines.items()]
    includes = [f"-I{path}" for path in _include_folders(design)]
    files = [*map(str, design.sources), str(folder / f"{_PREFIX}.sv")]
    said = _run(
        [*simulator.command, *_VERILATOR_FLAGS, *defines, *includes, *files, "--Mdir", str(folder)],
        simulator.environment,
        design,
        "Verilator",
    )
    _check_pins_of_verilator(said, design)
    root = simulator.root / "include"
    flags = [*_CXX_FLAGS, f"-I{root}", f"-I{root / 'vltstd'}", f"-I{folder}"]
    compiler = tools.compiler()
    unity = folder / "all.cpp"
    names = sorted(path.name for path in folder.glob("Vmx*.cpp"))
    unity.write_text("".join(f'#include "{name}"\n' for name in [*names, "main.cpp"]), "utf-8")
    runtime = _runtime(simulator, compiler, flags)
    command = [*compiler.command, *flags, str(unity), *map(str, runtime)]
    _run([*command, "-o", str(folder / "Vmx"), "-lpthread"], {}, design, "the C++ compiler")


def _runtime(simulator: Tool, compiler: Tool, flags: Sequence[str]) -> list[Path]:
    """Object files of Verilator's run time."""
    root = simulator.root / "include"
    sources = [root / "verilated.cpp", root / "verilated_threads.cpp"]
    key = "\0".join([simulator.version, str(root), compiler.version, *_CXX_FLAGS])
    folder = cache_folder() / f"verilated-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / f"{source.stem}.o" for source in sources]
    with _RUNTIME:
        for source, target in zip(sources, targets, strict=True):
            if not target.exists():
                part = folder / f"{source.stem}.{os.getpid()}.part.o"
                command = [*compiler.command, *flags, "-c", str(source), "-o", str(part)]
                _run(command, {}, None, "the C++ compiler")
                part.replace(target)
    return targets


def _compile_bench(folder: Path, design: PortMap, operation: OperationMap, simulator: Tool) -> None:
    defines = [f"-D{key}={value}" for key, value in operation.defines.items()]
    includes = [f"-I{path}" for path in _include_folders(design)]
    files = [*map(str, design.sources), str(folder / f"{_PREFIX}.sv")]
    files.append(str(folder / "mxemu_bench.sv"))
    command = [simulator.command[0], *_ICARUS_FLAGS, *defines, *includes, *files]
    said = _run([*command, "-o", str(folder / "bench.vvp")], {}, design, "Icarus Verilog")
    _check_pins_of_icarus(said, design)


def _run(
    command: list[str], environment: Mapping[str, str], design: PortMap | None, who: str
) -> str:
    """Run a tool; returns what it says."""
    what = design.path.name if design else "its own run time"
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_BUILD_SECONDS,
            check=False,
            env={**os.environ, **environment},
            cwd=design.path.resolve().parent if design else None,
        )
    except subprocess.TimeoutExpired:
        raise MxemuError(f"{who} was still building {what} after {_BUILD_SECONDS} s") from None
    said = ended.stdout + ended.stderr
    if ended.returncode:
        lines = [line for line in said.splitlines() if line.strip()]
        errors = [
            index
            for index, line in enumerate(lines)
            if re.search(r"\berror\b", line, re.IGNORECASE)
        ]
        first = errors[0] if errors else 0
        shown = [*lines[first:], f"it ended with exit status {ended.returncode}"]
        rest = "\n".join(shown[1 : 1 + _SHOWN])
        raise MxemuError(f"{who} cannot build {what}: {shown[0].strip()}", rest)
    return said


def _check_pins_of_verilator(said: str, design: PortMap) -> None:
    """Widths that differ and inputs that nobody drives; other warnings are the design's own business."""
    own = re.compile(
        rf"^%Warning-WIDTH\w*: \S*{_PREFIX}\.sv:[^\n]* '(\w+)' expects (\d+) bits[^\n]*generates (\d+) bits",
        re.MULTILINE,
    )
    for name, wanted, given in own.findall(said):
        raise _wrong_width(design, name, int(wanted), int(given))
    missing = re.compile(
        rf"^%Warning-PINMISSING: \S*{_PREFIX}\.sv:[^\n]*missing pin: '(\w+)'(.*?)(?=^%|\Z)",
        re.MULTILINE | re.DOTALL,
    )
    for name, more in missing.findall(said):
        place = re.search(r"(\S+):(\d+):(\d+): \.\.\. Location of port declaration", more)
        if place and _direction(Path(place[1]), int(place[2]), int(place[3]), design) == "input":
            raise _floating(design, name)


def _direction(path: Path, line: int, column: int, design: PortMap) -> str:
    """The last direction that stands before a place in a source."""
    where = path if path.is_absolute() else design.path.resolve().parent / path
    try:
        lines = where.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    before = "\n".join([*lines[: line - 1], lines[line - 1][: column - 1]])
    return (re.findall(r"\b(input|output|inout)\b", before) or [""])[-1]


def _check_pins_of_icarus(said: str, design: PortMap) -> None:
    own = rf"{_PREFIX}\.sv:\d+: warning: "
    for name, wanted, given in re.findall(
        own + r"Port \d+ \((\w+)\) of \S+ expects (\d+) bits, got (\d+)", said
    ):
        raise _wrong_width(design, name, int(wanted), int(given))
    for name in re.findall(own + r".*dangling input port \d+ \((\w+)\)", said):
        raise _floating(design, name)


def _wrong_width(design: PortMap, name: str, wanted: int, given: int) -> MxemuError:
    hint = f"if the map means a part of it: [ports] {name} = {wanted}" if wanted > given else ""
    return MxemuError(
        f"{design.path}: port {name} has {wanted} bits in the design; the map uses {given}", hint
    )


def _floating(design: PortMap, name: str) -> MxemuError:
    return MxemuError(
        f"{design.path}: nothing drives the input port {name} of the design",
        f"a port that never changes goes under constants: {name} = 0",
    )
