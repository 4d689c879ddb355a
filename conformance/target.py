"""How a TARGET of the command line becomes a subject: names, files, modules, commands, libraries, dumps and designs.

Notes
-----
NumPy is imported by what loads a subject, not by this module: listing subjects must not need it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import tomllib
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from conformance.adapter import capabilities_of, public_names
from mxemu.errors import MxemuError, UnknownName, unknown

_Found = TypeVar("_Found")

TRANSPORTS = ("cmd", "lib", "files")
"""What stands before a colon for a subject that is no Python object; docs/guides/transports.md."""


SYSTEMS = Path(__file__).parent / "systems"


class Target(NamedTuple):
    """A TARGET of the command line, taken apart.

    Parameters
    ----------
    kind : str
        ``system`` (a folder of this suite), ``file``, ``module``, ``rtl`` (a port map), ``cmd``, ``lib`` or ``files``.
    where : str
        The system's name, the path, the dotted module name, the command, or the paths with commas.
    attribute : str, optional
        The object inside, dotted; None for the module itself.
    variant : str, optional
    """

    kind: str
    where: str
    attribute: str | None = None
    variant: str | None = None


def parse_target(target: str) -> Target:
    """Take a TARGET apart: ``NAME``, ``file.py[:object]`` or ``pkg.mod[:object]``, each with ``[variant]`` after it.

    A known name wins; ``./`` forces a path. A file that ends in ``.toml`` is the port map of a design. ``cmd:``,
    ``lib:`` and ``files:`` stand in front of a command, a shared library and the files of a dump.

    Raises
    ------
    UnknownName
        For a plain word that is no subject.

    Examples
    --------
    >>> parse_target("./mine.py:Rounds[up]")
    Target(kind='file', where='./mine.py', attribute='Rounds', variant='up')
    """
    match = re.fullmatch(r"(.*?)(?:\[([^\[\]]*)\])?", target.strip(), re.DOTALL)
    assert match is not None  # every text matches
    rest, variant = match[1], match[2]
    if rest in systems():
        return Target("system", rest, None, variant)
    transport, colon, where = rest.partition(":")
    if colon and transport in TRANSPORTS:
        return Target(transport, where, None, variant)
    if rest.endswith(".toml"):
        return Target("rtl", rest, None, variant)
    where, colon, attribute = rest.rpartition(":")
    if not colon or not all(part.isidentifier() for part in attribute.split(".")):
        where, attribute = rest, ""
    if where.endswith(".py") or where.startswith(".") or "/" in where or os.sep in where:
        return Target("file", where, attribute or None, variant)
    if all(part.isidentifier() for part in where.split(".")) and (attribute or "." in where):
        return Target("module", where, attribute or None, variant)
    raise _unknown_subject(rest)


def _unknown_subject(name: str) -> UnknownName:
    error = unknown("subject", name, systems())
    if Path(f"{name}.py").is_file():
        error.hint = f"for the file write ./{name}.py"
    else:
        error.hint = _SPELLINGS
    return error


_SPELLINGS = "a file is written path/to/file.py or file.py:object, a module pkg.mod:object"


def load(target: str) -> Any:
    """Find the adapter of a TARGET; this imports it, so it runs the subject's code.

    Parameters
    ----------
    target : str
        See `parse_target`. Without ``:object`` the module itself is the adapter. A class is instantiated. A file's
        folder is put last on the import path, a module is looked for in the working directory too.

    Returns
    -------
    object
        The adapter; `capabilities_of` checks it. If a variant is named and the adapter has ``variant``, what that
        returns.

    Raises
    ------
    UnknownName
        No subject or no object of this name, with a did-you-mean.
    MxemuError
        The file is not there or cannot be imported, or the subject's library is not installed.
    """
    parsed = parse_target(target)
    match parsed.kind:
        case "rtl":
            from conformance.adapters import rtl

            return rtl.load(parsed.where, parsed.variant)
        case "cmd":
            from conformance.adapters.command import Command

            return Command(parsed.where, parsed.variant)
        case "lib":
            from conformance.adapters.library import Library

            return Library(parsed.where, parsed.variant)
        case "files":
            raise MxemuError(f"{target} holds results, which cannot be called; use mxemu check")
        case "system":
            module = _import_system(parsed.where)
        case "file":
            module = _import_file(parsed.where)
        case _:
            module = _import_module(parsed.where)
    found = _attribute(module, parsed.attribute, parsed.where)
    if isinstance(found, type):
        found = _guarded(found, f"make {parsed.attribute} of {parsed.where}")
    tensors = getattr(found, "tensors", None)
    if tensors is not None and not isinstance(tensors, ModuleType):
        from conformance.adapters.tensors import wrapped

        found = wrapped(found)
    select = getattr(found, "variant", None)
    if parsed.variant is None or not callable(select):
        return found
    capabilities_of(found, parsed.variant)  # a variant that is not listed is reported as such
    return _guarded(
        lambda: select(parsed.variant), f"select variant {parsed.variant} of {parsed.where}"
    )


def _import_system(name: str) -> ModuleType:
    """A built-in adapter; its library is named when it is not installed or too old."""
    needed = " ".join(requirements(name))
    try:
        return _guarded(
            lambda: importlib.import_module(f"conformance.systems.{name}.adapter"),
            f"load subject {name}, which needs {needed}",
        )
    except MxemuError as error:
        error.hint = f"install it with: python -m pip install {needed}"
        raise


def _import_file(where: str) -> ModuleType:
    """A user's file as a module of its own name, whatever other module has that name."""
    path = Path(where)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not there"
        raise MxemuError(f"file {where} is {what}; expected a Python file with an adapter")
    name = f"mxemu_subject_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise MxemuError(
            f"file {where} does not end in .py; expected a Python file with an adapter"
        )
    _look_in(path.resolve().parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up there
    run = spec.loader.exec_module
    try:
        _guarded(lambda: run(module), f"import {where}", path)
    except MxemuError:
        sys.modules.pop(name, None)
        raise
    return module


def _import_module(where: str) -> ModuleType:
    _look_in(Path.cwd())
    try:
        return _guarded(lambda: importlib.import_module(where), f"import {where}")
    except MxemuError as error:
        error.hint = _SPELLINGS
        raise


def _look_in(folder: Path) -> None:
    """Put a folder last on the import path, so that nothing in it hides an installed package."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _guarded(run: Callable[[], _Found], what: str, path: Path | None = None) -> _Found:
    """The result of somebody else's code; whatever it raises becomes one line that says what and where."""
    try:
        return run()
    except SystemExit as error:
        raise MxemuError(f"cannot {what}: it called exit({error.code})") from None
    except SyntaxError as error:
        place = f"{Path(error.filename or what).name}:{error.lineno}"
        raise MxemuError(f"cannot {what}: SyntaxError: {error.msg} ({place})") from None
    except Exception as error:  # noqa: BLE001 - any exception of the user's code is the user's to see
        text = (str(error).splitlines() or [""])[0]
        raise MxemuError(
            f"cannot {what}: {type(error).__name__}: {text}{_place(error, path)}"
        ) from None


def _place(error: BaseException, path: Path | None) -> str:
    """File and line of the last frame in the user's file, or of the last frame outside the import machinery."""
    own = (__file__, importlib.__file__, "<frozen")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(own)
    ]
    if path is not None:
        frames = [frame for frame in frames if Path(frame.filename).name == path.name] or frames
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _attribute(module: ModuleType, attribute: str | None, where: str) -> Any:
    found: Any = module
    for part in attribute.split(".") if attribute else ():
        if not hasattr(found, part):
            known = public_names(found)
            if not known:
                raise UnknownName(f"no object {part!r} in {where}: nothing public is defined there")
            raise unknown(f"object in {where}:", part, known)
        found = getattr(found, part)
    return found


@cache
def systems() -> tuple[str, ...]:
    """Names of the built-in subjects: the folders of ``conformance/systems`` with an adapter."""
    return tuple(sorted(folder.parent.name for folder in SYSTEMS.glob("*/adapter.py")))


def system_folder(name: str) -> Path:
    """The folder of a built-in subject, with its requirements, declared profile and known deviations."""
    if name not in systems():
        raise _unknown_subject(name)
    return SYSTEMS / name


def requirements(name: str) -> tuple[str, ...]:
    """What a built-in subject needs installed, pinned: the lines of its ``requirements.txt``."""
    lines = (system_folder(name) / "requirements.txt").read_text("utf-8").splitlines()
    return tuple(line for line in map(str.strip, lines) if line and not line.startswith("#"))


def declared_profile(name: str) -> Any:
    """What a built-in subject's ``profile.toml`` declares, in the form that ``capabilities["profile"]`` takes.

    Returns
    -------
    str or dict
        The preset's name, or with overrides a table of ``preset`` and the overridden fields.
    """
    text = (system_folder(name) / "profile.toml").read_text("utf-8")
    table = tomllib.loads(text)
    overrides = table.get("overrides", {})
    return {"preset": table["profile"], **overrides} if overrides else table["profile"]
