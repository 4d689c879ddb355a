"""Mutation testing of the exact core: change one operator or number at a time; some test must fail.

Usage: python tests/mutation/run.py [--jobs N] [--again] [MODULE ...]

Cosmic Ray makes the mutants. Each worker has its own copy of the tree and forks a test run for each
mutant from a process that has imported pytest already, in a fifth of the time that a fresh one takes.
The result is written to report.json beside this file. The exit status is 1 when the score is below the
minimum, when a survivor has no reason in survivors.toml, or when an entry there is stale.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import difflib
import hashlib
import json
import os
import py_compile
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from cosmic_ray.commands import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CONFIG = tomllib.loads((HERE / "mutation.toml").read_text(encoding="utf-8"))
REPORT = HERE / "report.json"
# Bytes of memory for one test run: a mutated shift can ask for all there is.
MEMORY = 4 << 30


@dataclass(frozen=True, order=True)
class Survivor:
    """A mutant that no test noticed; its line and operator say where, the rest identifies it."""

    module: str
    definition: str
    before: str
    after: str
    line: int = 0
    operator: str = ""
    occurrence: int = 0

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.module, self.definition, self.before, self.after


@lru_cache
def stages(module: str) -> list[list[str]]:
    """Arguments of the test runs of a module: its own tests first, because they kill most mutants."""
    plain = [stage for stage in CONFIG["stages"] if "keyword" not in stage]
    own = [name for stage in plain for name in core_tests(stage) if module in Path(name).stem]
    found = [own]
    for stage in CONFIG["stages"]:
        keyword = ["-k", stage["keyword"]] if "keyword" in stage else []
        files = [name for name in core_tests(stage) if keyword or name not in own]
        found.append([*keyword, *files] if files else [])
    return [arguments for arguments in found if arguments]


def core_tests(stage: dict[str, Any]) -> list[str]:
    """The test files of a stage that test the core alone."""
    rules = CONFIG["files"]
    paths = [
        path
        for folder in stage["paths"]
        for path in sorted(ROOT.joinpath(folder).rglob("test_*.py"))
    ]
    kept = [path for path in paths if not set(_imported(path)) & set(rules["outside"])]
    return [name for path in kept if (name := str(path.relative_to(ROOT))) not in rules["excluded"]]


def _imported(path: Path) -> Iterator[str]:
    """Every package and module that a file imports: for a.b both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def mutants(module: str) -> list[MutationSpec]:
    """Every mutant of a module that is worth a test run."""
    path = Path("mxemu", f"{module}.py")
    with tempfile.TemporaryDirectory() as room:
        database = WorkDB(Path(room, "session.sqlite"), WorkDB.Mode.create)
        init([path], database, {})
        found = [item.mutations[0] for item in database.work_items]
        database.close()
    equivalent = {name for entry in CONFIG["equivalent"] for name in entry["operators"]}
    spans = list(unmutated(ast.parse(path.read_text(encoding="utf-8"))))
    return [
        spec
        for spec in found
        if spec.operator_name not in equivalent
        and not any(start <= spec.start_pos < end for start, end in spans)
    ]


def unmutated(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Start and end, as (line, column), of the parts that mutation.toml leaves alone."""
    parts = {entry["part"] for entry in CONFIG["unmutated"]}
    for node in ast.walk(tree):
        for decorator in getattr(node, "decorator_list", []):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(called, ast.Name) and called.id in parts:
                yield (decorator.lineno, 0), (decorator.end_lineno or 0, 10**6)
        for name in ("annotation", "returns"):
            part = getattr(node, name, None)
            if isinstance(part, ast.expr) and "annotation" in parts:
                yield (
                    (part.lineno, part.col_offset),
                    (part.end_lineno or 0, part.end_col_offset or 0),
                )


def enter_copy(room: str) -> None:
    """Give this worker a copy of the tree to mutate, and import what every test run needs.

    Bytecode of the core is checked by the hash of its source: a mutant may have the size and time of another.
    """
    place = Path(tempfile.mkdtemp(dir=room))
    empty, copy = place / "empty", place / "tree"
    empty.mkdir()
    ignored = shutil.ignore_patterns(".*", "__pycache__", "vectors", "docs", "build", "dist")
    shutil.copytree(ROOT, copy, ignore=ignored)
    os.environ.update(HYPOTHESIS_PROFILE="mutation")
    sys.path[:] = [
        str(copy),
        *(folder for folder in sys.path if Path(folder).resolve() not in (ROOT, HERE)),
    ]
    os.chdir(empty)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    pytest.main(["-p", "no:cacheprovider", "-p", "no:xdist", str(empty)])
    os.chdir(copy)
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir("mxemu", quiet=2, invalidation_mode=mode)


def tests_pass(runs: list[list[str]], seconds: float) -> bool:
    """Run tests in a forked process until one test fails; no answer in time counts as a failure."""
    child = os.fork()
    if child == 0:
        os._exit(_run_tests(runs))
    deadline = time.monotonic() + seconds
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.002)
    return ended[1] == 0


def _run_tests(runs: list[list[str]]) -> int:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    options = ["-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow", "--tb=no"]
    try:
        return next((1 for part in runs if pytest.main([*options, *part])), 0)
    except BaseException:  # noqa: BLE001 - whatever a mutant raises, it has been noticed
        return 1


def baseline(module: str) -> float | None:
    """Seconds that the tests take on the unmutated module; None when they fail."""
    start = time.monotonic()
    passed = tests_pass(stages(module), 3600)
    return time.monotonic() - start if passed else None


def attempt(spec: MutationSpec, seconds: float) -> Survivor | None:
    """Test one mutant in this worker's copy; the mutant if it survived."""
    module = spec.module_path.stem
    operator = get_operator(spec.operator_name)(**spec.operator_args)
    with use_mutation(spec.module_path, operator, spec.occurrence) as (source, mutated):
        if not tests_pass(stages(module), seconds):
            return None
    changed = list(difflib.ndiff(source.splitlines(), mutated.splitlines()))
    before, after = (
        " ".join(line[2:].strip() for line in changed if line.startswith(sign)) for sign in "-+"
    )
    where = (spec.start_pos[0], spec.operator_name.removeprefix("core/"), spec.occurrence)
    return Survivor(module, spec.definition_name or "", before, after, *where)


def run_module(
    pool: ProcessPoolExecutor, module: str, again: list[Survivor] | None
) -> dict[str, Any]:
    """Test the mutants of one module, or only those that survived the last time; its part of the report."""
    seconds = pool.submit(baseline, module).result()
    if seconds is None:
        sys.exit(
            f"the tests of {module} fail without a mutation, or there are none: {stages(module)}"
        )
    every = mutants(module)
    wanted = {(each.operator, each.occurrence) for each in again or []}
    chosen = [
        spec
        for spec in every
        if again is None or (spec.operator_name.removeprefix("core/"), spec.occurrence) in wanted
    ]
    start = time.monotonic()
    jobs = [pool.submit(attempt, spec, 3 * seconds + 5) for spec in chosen]
    survivors = []
    for done, job in enumerate(jobs, 1):
        if (survivor := job.result()) is not None:
            survivors.append(survivor)
        progress(f"{module}: {done} of {len(jobs)} mutants, {len(survivors)} survive", start)
    print(file=sys.stderr)
    return {
        "source": source_hash(module),
        "mutants": len(every),
        "killed": len(every) - len(survivors),
        "survivors": [asdict(survivor) for survivor in sorted(survivors)],
    }


def progress(text: str, start: float) -> None:
    print(f"\r{text}, {time.monotonic() - start:.0f} s ", end="", file=sys.stderr, flush=True)


def source_hash(module: str) -> str:
    return hashlib.sha256(Path(ROOT, "mxemu", f"{module}.py").read_bytes()).hexdigest()[:16]


def explained() -> dict[tuple[str, str, str, str], str]:
    """The reasons in survivors.toml, by mutant."""
    table = tomllib.loads((HERE / "survivors.toml").read_text(encoding="utf-8"))
    reasons = {}
    for entry in table.get("survivor", []):
        if not entry["reason"].strip():
            sys.exit(f"survivors.toml: no reason for {entry['before']!r}")
        for after in entry["after"]:
            reasons[entry["module"], entry["definition"], entry["before"], after] = entry["reason"]
    return reasons


def judge(report: dict[str, Any], modules: Iterable[str]) -> int:
    """Print the score and what is wrong; 1 if anything is."""
    reasons = explained()
    parts = {module: report["modules"][module] for module in modules}
    survivors = [Survivor(**entry) for part in parts.values() for entry in part["survivors"]]
    found = Counter(survivor.key for survivor in survivors)
    unexplained = [survivor for survivor in survivors if survivor.key not in reasons]
    stale = [key for key in reasons if key[0] in parts and key not in found]
    for survivor in unexplained:
        print(
            f"\nmxemu/{survivor.module}.py:{survivor.line}  {survivor.operator}, survives without a reason:"
        )
        print(entry_text(survivor))
    for key in stale:
        print(f"\nsurvivors.toml: stale, no such mutant survives: {key}")
    total = sum(part["mutants"] for part in parts.values())
    killed = sum(part["killed"] for part in parts.values())
    print()
    for module, part in parts.items():
        print(
            f"{module:<10} {part['killed']:>5} of {part['mutants']:>5} killed  {part['killed'] / part['mutants']:.1%}"
        )
    print(f"{'all':<10} {killed:>5} of {total:>5} killed  {killed / total:.1%}")
    print(
        f"{len(survivors)} survivors, {len(unexplained)} without a reason, {len(stale)} stale entries"
    )
    return int(killed < CONFIG["minimum_score"] * total or bool(unexplained) or bool(stale))


def entry_text(survivor: Survivor) -> str:
    """An entry for survivors.toml that lacks only its reason."""
    fields = {
        "module": survivor.module,
        "definition": survivor.definition,
        "before": survivor.before,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items()]
    return "\n".join(
        ["[[survivor]]", *lines, f"after = [{json.dumps(survivor.after)}]", 'reason = ""']
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "modules",
        nargs="*",
        metavar="MODULE",
        help=f"of {', '.join(CONFIG['modules'])}; default all",
    )
    parser.add_argument("--jobs", type=int, default=2, help="workers (default 2)")
    parser.add_argument(
        "--again", action="store_true", help="only mutants that survived the last run"
    )
    options = parser.parse_args()
    if unknown := set(options.modules) - set(CONFIG["modules"]):
        parser.error(f"unknown modules {sorted(unknown)}; expected some of {CONFIG['modules']}")
    chosen = [
        module for module in CONFIG["modules"] if module in (options.modules or CONFIG["modules"])
    ]
    report = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else {"modules": {}}
    os.chdir(ROOT)
    with (
        tempfile.TemporaryDirectory(prefix="mutation-") as room,
        ProcessPoolExecutor(options.jobs, get_context("spawn"), enter_copy, (room,)) as pool,
    ):
        for module in chosen:
            last = report["modules"].get(module, {})
            repeat = options.again and last.get("source") == source_hash(module)
            again = [Survivor(**entry) for entry in last["survivors"]] if repeat else None
            report["modules"][module] = run_module(pool, module, again)
            REPORT.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return judge(report, chosen)


if __name__ == "__main__":
    sys.exit(main())
