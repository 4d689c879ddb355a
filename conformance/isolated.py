"""An environment of its own for a built-in subject that is too heavy to be installed beside mxemu.

`environment` makes a virtual environment from the subject's ``requirements.txt``, once, and keeps it in the user's
cache under a name that changes with the requirements. A `Worker` then runs the adapter with that interpreter. The
subject's process and ours share nothing but two descriptors, so the report is that of any other subject.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from conformance.target import parse_target, requirements
from mxemu.errors import MxemuError

READY = "ready"
"""The file that says that everything was installed; without it the environment is made again."""

STEPS = ("Collecting", "Downloading", "Processing", "Building", "Installing")
"""How the lines of pip begin that say what it is at."""

EVERY = 5.0
"""Seconds between two lines about it."""

CODE = ("mxemu", "conformance")
"""What the subject's interpreter needs of ours; anything else that is installed here stays out of its sight."""


class Interpreter(NamedTuple):
    """How a subject's process is started: the interpreter, and the import path that it is given."""

    executable: str
    path: str


def environment(target: str, say: Callable[[str], None] = lambda _: None) -> Interpreter:
    """The interpreter of a subject's own environment, which is made first if it is not there.

    Parameters
    ----------
    target : str
        A built-in subject, with or without a variant.
    say : callable, optional
        Told what takes long.

    Raises
    ------
    MxemuError
        When the target is no built-in subject, or its requirements cannot be installed.
    """
    parsed = parse_target(target)
    if parsed.kind != "system":
        raise MxemuError(
            f"--isolated is for built-in subjects; {target} runs in the environment of mxemu"
        )
    folder = folder_of(parsed.where)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(folder.name + ".lock")):
        if not (folder / READY).exists():
            _make(folder, parsed.where, say)
        code = _linked(folder / "code")
    return Interpreter(str(_python(folder)), str(code))


def folder_of(name: str) -> Path:
    """Where the environment of a subject is kept: one for each set of requirements and version of Python."""
    wanted = "\n".join([*requirements(name), "{}.{}".format(*sys.version_info)])
    digest = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "mxemu" / "systems" / f"{name}-{digest}"


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time makes an environment; the others wait for it."""
    with path.open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, name: str, say: Callable[[str], None]) -> None:
    """A fresh environment with the requirements in it."""
    needed = requirements(name)
    say(f"making an environment for {name} in {folder}: {' '.join(needed)}")
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)], f"make an environment in {folder}", say)
    install = ["-m", "pip", "install", "--disable-pip-version-check", *needed]
    what = f"install what {name} needs ({' '.join(needed)})"
    _run([str(_python(folder)), *install], what, say)
    (folder / READY).write_text("\n".join(needed) + "\n", encoding="utf-8")


def _run(command: list[str], what: str, say: Callable[[str], None]) -> None:
    """Run a command, and say now and then what it is at; a failure becomes one line."""
    lines: list[str] = []
    done = threading.Event()
    teller = threading.Thread(target=_tell, args=(lines, done, say), daemon=True)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        teller.start()
        lines.extend(line.strip() for line in process.stdout)
    done.set()
    teller.join()
    if process.returncode:
        raise _failure(what, lines, process.returncode)


def _tell(lines: list[str], done: threading.Event, say: Callable[[str], None]) -> None:
    """The last step of a command and how long it has been running, until it is done."""
    start = time.monotonic()
    while not done.wait(EVERY):
        step = next((line for line in reversed(lines) if line.startswith(STEPS)), "")
        say(f"  {time.monotonic() - start:.0f} s  {step[:80]}".rstrip())


def _failure(what: str, lines: list[str], status: int) -> MxemuError:
    """What went wrong on one line: what the command calls errors, else its last words."""
    if any("ensurepip" in line for line in lines):
        hint = "on Debian and Ubuntu: apt install python3-venv"
        return MxemuError(f"cannot {what}: {sys.executable} has no venv with pip", hint)
    errors = [line for line in lines if line.startswith("ERROR")] or [one for one in lines if one]
    return MxemuError(f"cannot {what}: {errors[-1][:200] if errors else f'exit status {status}'}")


def _linked(folder: Path) -> Path:
    """A folder that holds our packages alone, as links; the links follow when the packages move."""
    folder.mkdir(exist_ok=True)
    for name in CODE:
        package = Path(str(importlib.import_module(name).__file__)).parent
        link = folder / name
        if not link.is_symlink() or link.readlink() != package:
            link.unlink(missing_ok=True)
            link.symlink_to(package, target_is_directory=True)
    return folder
