"""Who may import whom, read from the syntax trees; and that the core runs without anything installed."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Each may import the ones before it. A package counts as one module; its files may import each other, but in no circle.
CORE = [
    "clauses",
    "errors",
    "philox",
    "value",
    "formats",
    "profile",
    "scalar",
    "runs",
    "scale",
    "block",
    "accumulation",
    "accumulations",
    "walk",
    "products",
    "layout",
    "explain",
]
# Third-party packages, by the part of the project that may import them at the top of a file.
EARLY = {
    "array": {"numpy", "numba", "llvmlite", "threadpoolctl"},
    "cli": {"click"},
    "conformance": {"numpy", "pandas", "bitstring", "tomli_w"},
    "testing": {"numpy", "hypothesis", "pytest"},
}
# The same, inside functions.
LATE = {
    "array": EARLY["array"] | {"pandas"},
    "cli": {"click", "rich", "conformance", "tomli_w"},
    "conformance": EARLY["conformance"] | {"jinja2", "pyarrow", "distributed"},
    "testing": EARLY["testing"],
}
# Exact integer functions of math; all others give floats.
INTEGER_MATH = {"gcd", "lcm", "isqrt", "comb", "factorial", "perm"}
# Modules of the standard library whose business is binary or decimal floating point, or chance.
FLOATING = {"array", "cmath", "ctypes", "decimal", "numbers", "random", "statistics", "struct"}


class Import(NamedTuple):
    """One imported name: `module` as in the text, `name` for `from module import name`."""

    module: str
    name: str
    late: bool
    line: int

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def sources(*parts: str) -> list[Path]:
    """The Python files below a folder of the project."""
    return sorted(ROOT.joinpath(*parts).rglob("*.py"))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file, those for type checkers only left out."""
    yield from _imports(parse(path), _package(path), late=False)


def _package(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts)


def _imports(node: ast.AST, package: str, late: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inner = late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, "", late, child.lineno) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = _absolute(child, package)
            yield from (Import(module, alias.name, late, child.lineno) for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (found for part in child.orelse for found in _imports(part, package, inner))
        else:
            yield from _imports(child, package, inner)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    kept = parts[: len(parts) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def targets(found: Import) -> str:
    """The module of mxemu that an import reaches: `from mxemu import scalar` reaches scalar."""
    parts = [*found.module.split("."), found.name]
    return parts[1] if len(parts) > 1 else ""


def core_files() -> list[Path]:
    return [
        path
        for name in CORE
        for path in [*sorted((ROOT / "mxemu").glob(f"{name}.py")), *sources("mxemu", name)]
    ]


def core_module(path: Path) -> str:
    """The name in CORE of the module that a file belongs to."""
    return path.relative_to(ROOT / "mxemu").with_suffix("").parts[0]


def dotted(path: Path) -> str:
    """The name by which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_order(files: dict[str, list[Import]]) -> list[str]:
    """Files by dotted name, each after those among them that it imports; CycleError when there is no such order."""
    graph = {
        name: {_reached(each, files) for each in found} & set(files)
        for name, found in files.items()
    }
    return list(TopologicalSorter(graph).static_order())


def _reached(found: Import, files: dict[str, list[Import]]) -> str:
    """The file of an import: `from a import b` reaches a.b where that is a file, else a."""
    inner = f"{found.module}.{found.name}"
    return inner if inner in files else found.module


def files_of(part: str) -> list[Path]:
    match part:
        case "array" | "cli":
            return sources("mxemu", part)
        case "testing":
            return [path for path in sources("conformance") if _is_testing(path)]
        case _:
            return [path for path in sources("conformance") if not _is_testing(path)]


def _is_testing(path: Path) -> bool:
    return path.relative_to(ROOT / "conformance").parts[0] in ("testing", "testing.py")


def test_the_walker_sees_what_it_should(tmp_path: Path) -> None:
    path = ROOT / "mxemu" / "cli" / "sample.py"
    tree = ast.parse(
        "import a.b\n"
        "from . import c\n"
        "from ..d import e\n"
        "if TYPE_CHECKING:\n    import f\n"
        "def g():\n    from h import _i\n"
        "class J:\n    import k\n"
    )
    found = list(_imports(tree, _package(path), late=False))
    assert [(each.module, each.name, each.late) for each in found] == [
        ("a.b", "", False),
        ("mxemu.cli", "c", False),
        ("mxemu.d", "e", False),
        ("h", "_i", True),
        ("k", "", False),
    ]


def test_core_files_are_all_known() -> None:
    present = {core_module(path) for path in sources("mxemu")}
    assert present - set(CORE) <= {"__init__", "__main__", "_version", "array", "cli"}
    assert {"value", "formats", "scalar", "block", "explain"} <= present


def test_a_core_module_is_a_file_or_a_package() -> None:
    both = [
        name for name in CORE if (ROOT / "mxemu" / f"{name}.py").exists() and sources("mxemu", name)
    ]
    assert not both


@pytest.mark.parametrize("path", core_files(), ids=dotted)
def test_core_imports_the_standard_library_and_earlier_modules(path: Path) -> None:
    own = core_module(path)
    allowed = {*CORE[: CORE.index(own)], "_version", *([own] if path.parent.name == own else [])}
    wrong = [
        where(path, found.line)
        for found in imports(path)
        if (targets(found) not in allowed if found.top == "mxemu" else not _standard(found.top))
    ]
    assert not wrong


@pytest.mark.parametrize("name", [name for name in CORE if sources("mxemu", name)])
def test_the_files_of_a_core_package_have_an_order(name: str) -> None:
    files = {dotted(path): list(imports(path)) for path in sources("mxemu", name)}
    assert import_order(files)[-1] == f"mxemu.{name}"


def test_a_circle_would_be_found() -> None:
    there = Import("a.d", "d", late=False, line=1)
    back = Import("a", "c", late=True, line=1)
    outside = Import("b", "c", late=False, line=1)
    assert import_order({"a.c": [there, outside], "a.d": []}) == ["a.d", "a.c"]
    with pytest.raises(CycleError):
        import_order({"a.c": [there], "a.d": [back]})
    with pytest.raises(CycleError):
        import_order(
            {
                "a": [Import("a.c", "e", late=False, line=1)],
                "a.c": [Import("a", "e", late=False, line=1)],
            }
        )


def _standard(top: str) -> bool:
    return top in sys.stdlib_module_names and top not in FLOATING


@pytest.mark.parametrize("path", core_files(), ids=dotted)
def test_core_has_no_floating_point(path: Path) -> None:
    wrong = [where(path, node.lineno) for node in ast.walk(parse(path)) if _is_floating(node)]
    wrong += [
        where(path, found.line)
        for found in imports(path)
        if found.module == "math" and found.name and found.name not in INTEGER_MATH
    ]
    assert not wrong


def _is_floating(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=float() | complex()):
            return True
        case ast.Name(id="float" | "complex"):
            return True
        case ast.Attribute(value=ast.Name(id="math"), attr=name):
            return name not in INTEGER_MATH
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            # Of two integers this is a float. Quotients are divmod, or Fraction(a, b).
            return True
    return False


@pytest.mark.parametrize(
    "text", ["1.0", "2j", "float(x)", "math.log2(x)", "a / b", "math.inf", "complex(1)"]
)
def test_floating_point_would_be_found(text: str) -> None:
    assert any(_is_floating(node) for node in ast.walk(ast.parse(text)))


@pytest.mark.parametrize("text", ["a // b", "math.gcd(a, b)", "a << 3", "'1.0'", "2 ** e"])
def test_integers_are_not_taken_for_floating_point(text: str) -> None:
    assert not any(_is_floating(node) for node in ast.walk(ast.parse(text)))


@pytest.mark.parametrize("part", list(EARLY))
def test_third_party_imports(part: str) -> None:
    wrong = [
        f"{where(path, found.line)} imports {found.top}"
        for path in files_of(part)
        for found in imports(path)
        if not _may_import(part, path, found)
    ]
    assert not wrong


def _may_import(part: str, path: Path, found: Import) -> bool:
    allowed = LATE[part] if found.late else EARLY[part]
    own = {"mxemu"} if part in ("array", "cli") else {"mxemu", "conformance"}
    if "systems" in path.parts:
        # The adapter of a subject imports the subject: that is its purpose.
        return True
    return found.top in sys.stdlib_module_names or found.top in own | allowed


def test_only_the_command_line_imports_conformance() -> None:
    wrong = [
        where(path, found.line)
        for path in sources("mxemu")
        for found in imports(path)
        if found.top == "conformance" and not (found.late and "cli" in path.parts)
    ]
    assert not wrong


def test_conformance_and_the_command_line_use_public_names() -> None:
    wrong = [
        where(path, found.line)
        for path in [*sources("conformance"), *sources("mxemu", "cli")]
        for found in imports(path)
        if found.top == "mxemu" and _is_private(found) and not _within_cli(path, found)
    ]
    assert not wrong


def _is_private(found: Import) -> bool:
    names = [*found.module.split("."), found.name]
    allowed = {"_version", "__version__"}
    return any(name.startswith("_") for name in names if name not in allowed)


def _within_cli(path: Path, found: Import) -> bool:
    return "cli" in path.parts and found.module.startswith("mxemu.cli")


def test_the_oracle_is_independent() -> None:
    assert not [found for found in imports(ROOT / "tests" / "oracle.py") if found.top == "mxemu"]


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that sees the project first."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        timeout=60,
        check=False,
    )


ALONE = """
import importlib, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top != "mxemu" and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{name} is not in the standard library")

for name in [name for name in sys.modules if name.partition(".")[0] not in sys.stdlib_module_names]:
    if name != "__main__":
        del sys.modules[name]
sys.meta_path.insert(0, Refuse())
for name in sys.argv[1:]:
    importlib.import_module(name)
print("alone")
"""


def test_core_runs_with_nothing_installed() -> None:
    result = python(ALONE, *map(dotted, core_files()))
    assert result.stdout == "alone\n", result.stderr


def test_a_third_party_import_would_be_refused() -> None:
    result = python(ALONE, "numpy")
    assert "numpy is not in the standard library" in result.stderr


LOADED = """
import json, sys
from mxemu.cli import main

sys.argv = ["mxemu", *sys.argv[1:]]
code = 0
try:
    main()
except SystemExit as stop:
    code = stop.code or 0
heavy = {"numpy", "pandas", "numba", "jinja2", "bitstring", "hypothesis", "pytest"}
print("\\n" + json.dumps([code, sorted(heavy & set(sys.modules))]))
"""


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--help",
        "explain E4M3 0x7E",
        "explain E2M1 0.3",
        "explain quantize MXFP4 1 2 3",
        "table E2M1",
        "table E4M3 --runs",
        "list formats",
        "list profiles",
        "list subjects",
        "list clauses",
        "rule MX-6.3-SCALE",
    ],
)
def test_commands_start_without_numpy(words: str) -> None:
    result = python(LOADED, *words.split())
    assert result.stdout, result.stderr
    code, heavy = json.loads(result.stdout.splitlines()[-1])
    assert code == 0, result.stdout + result.stderr
    assert not heavy
