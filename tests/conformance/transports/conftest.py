"""Subjects that are no Python, built once."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from transport_builds import SUBJECTS, built


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("built")


@pytest.fixture(scope="session")
def hex_program(folder: Path) -> Path:
    return built(folder, "seeded_hex.c")


@pytest.fixture(scope="session")
def c_library(folder: Path) -> Path:
    return built(folder, "seeded_library.c", "-shared", "-fPIC", name="seeded.so")


@pytest.fixture(scope="session")
def rust_library(folder: Path) -> Path:
    compiler = shutil.which("rustc", path=f"{Path.home() / '.cargo/bin'}:/usr/local/bin:/usr/bin")
    if compiler is None:
        pytest.skip("no Rust compiler rustc")
    target = folder / "seeded_rust.so"
    words = [compiler, "--edition", "2021", "-O", "--crate-type", "cdylib", "-o", str(target)]
    subprocess.run([*words, str(SUBJECTS / "seeded_library.rs")], check=True)
    return target


@pytest.fixture(scope="session")
def odd_library(folder: Path) -> Path:
    return built(folder, "odd_library.c", "-shared", "-fPIC", name="odd.so")
