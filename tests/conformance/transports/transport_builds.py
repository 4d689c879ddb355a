"""Programs and libraries from C, where there is a compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.adapters.library import INCLUDE

SUBJECTS = Path(__file__).parent / "subjects"


def built(folder: Path, source: str, *flags: str, name: str = "") -> Path:
    """A program or library from C."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler cc")
    target = folder / (name or Path(source).stem)
    words = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-std=c11", f"-I{INCLUDE}", *flags]
    subprocess.run([*words, str(SUBJECTS / source), "-o", str(target), "-lm"], check=True)
    return target
