"""Which code, tests, cases and known deviations name each clause; and which clauses are owed code or a test."""

from __future__ import annotations

import ast
import pkgutil
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import mxemu
from mxemu.clauses import CLAUSES, IMPLEMENTED, Clause, Strength

ROOT = Path(__file__).resolve().parents[1]

_OWED = (Strength.MUST, Strength.SHOULD, Strength.DEF)
# They test the register and these pages: an id in them is an example, not a claim about the clause.
_ABOUT_THE_REGISTER = ("test_clauses.py", "test_generate.py")


def implementations() -> dict[str, list[str]]:
    """Clause id to the sorted names of the functions that carry it out, after importing the whole core."""
    for module in pkgutil.iter_modules(mxemu.__path__):
        if not module.ispkg and not module.name.startswith("_"):
            import_module(f"mxemu.{module.name}")
    return {clause_id: sorted(IMPLEMENTED.get(clause_id, ())) for clause_id in CLAUSES}


def naming_tests(root: Path = ROOT) -> dict[str, list[str]]:
    """Clause id to the tests that name it.

    Parameters
    ----------
    root : Path
        A checkout; everything under its ``tests`` is read, nothing is run.

    Returns
    -------
    dict of str to list of str
        ``tests/unit/test_x.py::test_y`` where a test function, its markers or its parameters hold the id as a
        string of its own; ``tests/unit/test_x.py`` where the module does, in a table or in ``pytestmark``.
    """
    found: dict[str, set[str]] = {clause_id: set() for clause_id in CLAUSES}
    for path in sorted((root / "tests").rglob("test_*.py")):
        if path.name in _ABOUT_THE_REGISTER:
            continue
        where = path.relative_to(root).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=where)
        for owner, clause_id in _named(tree, where):
            found[clause_id].add(owner)
    return {clause_id: sorted(names) for clause_id, names in found.items()}


def _named(node: ast.AST, owner: str) -> Iterator[tuple[str, str]]:
    """Each clause id below a syntax node, with the innermost test function that holds it."""
    for child in ast.iter_child_nodes(node):
        inside = owner
        if isinstance(child, ast.ClassDef | ast.FunctionDef) and child.name.lower().startswith(
            "test"
        ):
            inside = f"{owner}::{child.name}"
        if (
            isinstance(child, ast.Constant)
            and isinstance(child.value, str)
            and child.value in CLAUSES
        ):
            yield owner, child.value
        yield from _named(child, inside)


def case_counts() -> dict[str, int]:
    """Clause id to the number of groups of check cases that carry it."""
    from conformance.cases import clause_counts

    return clause_counts()


def deviating_subjects(root: Path = ROOT) -> dict[str, list[str]]:
    """Clause id to the subjects whose ``known.toml`` records a deviation from it."""
    found: dict[str, set[str]] = {clause_id: set() for clause_id in CLAUSES}
    for path in sorted((root / "conformance" / "systems").glob("*/known.toml")):
        for deviation in tomllib.loads(path.read_text(encoding="utf-8")).get("deviation", ()):
            named = deviation.get("clause", ())
            for clause_id in (named,) if isinstance(named, str) else named:
                if clause_id not in CLAUSES:
                    raise KeyError(
                        f"{path.relative_to(root)}: {clause_id} is not in the clause register"
                    )
                found[clause_id].add(path.parent.name)
    return {clause_id: sorted(names) for clause_id, names in found.items()}


def is_due(clause: Clause, version: str = mxemu.__version__) -> bool:
    """Whether this version owes code and a test for the clause.

    Examples
    --------
    >>> is_due(CLAUSES["MX-6.1-DOT"], "0.1.0"), is_due(CLAUSES["MX-6.1-DOT"], "0.10.2")
    (False, True)
    """
    return clause.since is not None and _release(clause.since) <= _release(version)


def _release(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def untraced(root: Path = ROOT) -> list[str]:
    """What is owed and missing: a line for each must, should or definition that is due without code or test."""
    code, tests = implementations(), naming_tests(root)
    missing = []
    for clause in CLAUSES.values():
        if clause.strength in _OWED and is_due(clause):
            lacks = [
                what
                for what, names in (("function", code), ("test", tests))
                if not names[clause.id]
            ]
            if lacks:
                missing.append(f"{clause.id}: no {' and no '.join(lacks)}")
    return missing
