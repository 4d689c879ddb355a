"""The implementations that come with an adapter, found without importing any of them."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from typing import NamedTuple


class Subject(NamedTuple):
    """One folder of conformance/systems.

    Attributes
    ----------
    name : str
    requirement : str
        The version that was tested, as pip takes it.
    installed : str or None
        The version that is here.
    declares : str
        The profile it says it follows.
    """

    name: str
    requirement: str
    installed: str | None
    declares: str


def subjects() -> list[Subject]:
    """Every subject, by name."""
    import conformance

    folders = [
        folder
        for root in conformance.__path__
        for folder in sorted(Path(root, "systems").glob("*"))
    ]
    return [_subject(folder) for folder in folders if (folder / "adapter.py").exists()]


def _subject(folder: Path) -> Subject:
    requirement = _requirement(folder / "requirements.txt")
    name = requirement.partition("==")[0] or folder.name
    return Subject(folder.name, requirement, version_of(name), _declared(folder / "profile.toml"))


def version_of(distribution: str) -> str | None:
    """The installed version of a distribution, without importing it."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _requirement(path: Path) -> str:
    """The first requirement of a file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    words = (line.partition("#")[0].strip() for line in lines)
    return next((word for word in words if word), "")


def _declared(path: Path) -> str:
    """The declared profile, as ``--profile`` takes it."""
    if not path.exists():
        return "nothing"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    changes = [f"{field}={choice}" for field, choice in table.get("overrides", {}).items()]
    return ",".join([str(table.get("profile", "nothing")), *changes])
