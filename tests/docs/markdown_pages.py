"""Markdown pages as programs: every block is run, and what a page shows must be what comes.

``python`` blocks run in order in one namespace; ``>>>`` is compared as a doctest, and a ``text`` block that follows
is what the block before it prints. ``console`` blocks go to a shell: after each ``$ command`` stands what it prints,
errors included. A line ``...`` stands for any lines, and ``...`` at the end of a line for the rest of it.
``<!-- exit 1 -->`` before a block is the exit code of its last command, ``<!-- needs cc -->`` names a program without
which it is left out. A block that starts with a comment such as ``# name.py`` is written to that file as well.

``python tests/docs/markdown_pages.py PAGE`` rewrites what a page shows.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from difflib import get_close_matches, unified_diff
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMPILING = "mxemu: compiling kernels, once for this machine; a few seconds\n"
MARK = "--- end of command, exit "
# Variables by which programs find out that nobody reads along.
_OF_CI = ("CI", "BUILD_NUMBER")
# What sets up the environment that the tests already run in.
NOT_RUN = ("make check\nmake test\n",)

_FENCE = re.compile(r"^((?:<!-- [^\n]* -->\n\n?)*)^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"\A(?:#|//|/\*) ([\w-]+\.\w+)\b")


class PageError(AssertionError):
    """A block does not do what the page says."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language and text, the line that it starts on, and the comments before it."""

    language: str
    text: str
    line: int
    exit: int
    needs: str
    follows: bool

    @property
    def file(self) -> str:
        found = _FILE.match(self.text)
        return found[1] if found else ""


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page; ``follows`` says that nothing stands between a block and the one before."""
    found, end = [], -1
    for match in _FENCE.finditer(page):
        comments, language, text = match.groups()
        line = page.count("\n", 0, match.start(3))
        said = dict(re.findall(r"<!-- (exit|needs) ([\w-]+) -->", comments))
        follows = end >= 0 and not page[end : match.start()].strip()
        status, needs = int(said.get("exit", 0)), said.get("needs", "")
        found.append(Block(language, text, line, status, needs, follows))
        end = match.end()
    return found


def prose(page: str) -> str:
    """What is left of a page without its blocks and comments."""
    return re.sub(r"<!-- .*? -->", "", _FENCE.sub("", page), flags=re.DOTALL)


class Runner:
    """Runs the blocks of one page in a directory of its own.

    Attributes
    ----------
    seen : str
        The text of all blocks that were run, outputs included.
    missing : set of str
        Programs that blocks need and that are not there.
    corrected : str or None
        The page with what its blocks print; wrong blocks are refused while it is None.
    """

    def __init__(self, path: Path, directory: Path) -> None:
        self.path = path
        self.directory = directory
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.printed = ""
        self.seen = ""
        self.missing: set[str] = set()
        self.corrected: str | None = None
        self.environment = environment(directory)

    def run(self) -> None:
        """Run all blocks in order."""
        modules = set(sys.modules)
        sys.path.insert(0, str(self.directory))
        try:
            for block in blocks(self.path.read_text(encoding="utf-8")):
                self._block(block)
        finally:
            sys.path.remove(str(self.directory))
            for name in set(sys.modules) - modules:
                if str(self.directory) in str(getattr(sys.modules[name], "__file__", "")):
                    del sys.modules[name]

    def _block(self, block: Block) -> None:
        if block.needs and not self._has(block.needs):
            self.missing.add(block.needs)
            return
        if block.file:
            (self.directory / block.file).write_text(block.text, encoding="utf-8")
        match block.language:
            case "python":
                self._python(block)
            case "console":
                self._console(block)
            case "text" if block.follows:
                self._compare(block, block.text, self.printed, "the block before")
            case _ if not block.file and block.text not in NOT_RUN:
                language = block.language or "no language"
                raise PageError(f"{self._place(block)}: a block of {language} is not run")
        self.seen += block.text

    def _has(self, program: str) -> bool:
        """Whether a program can be started; that of rustup is there before any compiler is."""
        if shutil.which(program) is None:
            return False
        return (
            program != "rustc"
            or subprocess.run(
                [program, "--version"], check=False, capture_output=True, env=self.environment
            ).returncode
            == 0
        )

    def _python(self, block: Block) -> None:
        printed = io.StringIO()
        name = self._place(block)
        with contextlib.redirect_stdout(printed), contextlib.chdir(self.directory):
            if ">>> " in block.text:
                self._doctest(block, name)
            else:
                code = compile("\n" * block.line + block.text, str(self.path), "exec")
                exec(code, self.namespace)
        self.printed = printed.getvalue()

    def _doctest(self, block: Block, name: str) -> None:
        test = doctest.DocTestParser().get_doctest(block.text, {}, name, str(self.path), block.line)
        test.globs = self.namespace
        report: list[str] = []
        runner = doctest.DocTestRunner(verbose=False)
        if runner.run(test, out=report.append, clear_globs=False).failed:
            raise PageError(f"{name}\n{''.join(report)}")

    def _console(self, block: Block) -> None:
        commands = _commands(block.text)
        if not commands:
            raise PageError(f"{self._place(block)}: no line starts with $")
        script = "".join(
            f"{command}\nstatus=$?; echo '{MARK}'$status; (exit $status)\n"
            for command, _ in commands
        )
        ended = subprocess.run(
            ["/bin/sh", "-c", script],
            check=False,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=60,
        )
        outputs = re.findall(rf"(.*?){MARK}(\d+)\n", ended.stdout, re.DOTALL)
        following = [*(command for command, _ in commands[1:]), ""]
        for (command, shown), (output, status), after in zip(
            commands, outputs, following, strict=True
        ):
            self._compare(block, shown, output, command)
            expected = 0 if after else block.exit
            if after != "echo $?" and int(status) != expected:
                where = f"{self._place(block)}: {command}"
                raise PageError(f"{where}: exit {status}, expected {expected}")

    def _compare(self, block: Block, shown: str, output: str, what: str) -> None:
        # Said once on a machine, by whichever command comes first.
        output = output.replace(COMPILING, "")
        if not agrees(shown, output):
            self._correct(block, shown, output, what)

    def _correct(self, block: Block, shown: str, output: str, what: str) -> None:
        """Refuse a block that shows something else, or write down what it should show."""
        better = renewed(shown, output)
        if self.corrected is None or not agrees(better, output):
            lines = (text.splitlines(keepends=True) for text in (shown, output))
            difference = "".join(unified_diff(*lines, "shown", "printed"))
            raise PageError(f"{self._place(block)}: {what}\n{difference}")
        command = "$ " + what.replace("\n", "\n> ") + "\n"
        before = command if block.language == "console" else "```text\n"
        self.corrected = self.corrected.replace(before + shown, before + better, 1)

    def _place(self, block: Block) -> str:
        return f"{self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path}:{block.line}"


def _commands(text: str) -> list[tuple[str, str]]:
    """Each command after ``$ ``, continued by lines after ``> ``, and the output shown for it."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", "")
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def agrees(shown: str, output: str) -> bool:
    """Whether an output is what is shown, dots standing for whatever comes."""
    parts = re.split(r"^ *\.\.\.\n", shown, flags=re.MULTILINE)
    place = 0
    for number, part in enumerate(parts):
        begin, end = "" if number else r"\A", r"\Z" if number == len(parts) - 1 else ""
        body = re.sub(r"\\\.\\\.\\\.(?=\\\n)", ".*", re.escape(part))
        found = re.compile(f"^{begin}{body}{end}", re.MULTILINE).search(output, place)
        if found is None:
            return False
        place = found.end()
    return True


def renewed(shown: str, output: str) -> str:
    """What should be shown: all of the output, or the lines of it that are most like those shown between dots."""
    if "...\n" not in shown:
        return output
    lines = output.splitlines()
    better = []
    for line in shown.splitlines():
        alike = get_close_matches(line, lines, 1)
        better.append(alike[0] if alike and not line.endswith("...") else line)
    return "\n".join([*better, ""])


def correct(path: Path) -> None:
    """Rewrite what a page shows."""
    with tempfile.TemporaryDirectory() as directory:
        runner = Runner(path, Path(directory))
        runner.corrected = path.read_text(encoding="utf-8")
        runner.run()
    path.write_text(runner.corrected, encoding="utf-8")


def environment(directory: Path) -> dict[str, str]:
    """The variables of a reader's shell: this Python's programs first, and a directory that looks like a checkout."""
    programs = Path(sys.executable).parent
    (directory / "vectors").symlink_to(ROOT / "vectors")
    (directory / ".venv" / "bin").mkdir(parents=True)
    activate = f'PATH="{directory / ".venv" / "bin"}:{programs}:$PATH"\n'
    (directory / ".venv" / "bin" / "activate").write_text(activate, encoding="utf-8")
    command = programs / "mxemu"
    start = f'"{command}"'
    if not command.exists():
        start = f'PYTHONPATH="{ROOT}" "{sys.executable}" -m mxemu'
    shim = directory / ".venv" / "bin" / "mxemu"
    shim.write_text(f'#!/bin/sh\n{start} "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    path = os.pathsep.join([str(shim.parent), str(programs), os.environ.get("PATH", os.defpath)])
    # Programs other than mxemu, such as pytest, find it where it is installed, or here.
    found = {} if command.exists() else {"PYTHONPATH": str(ROOT)}
    # pytest shortens no lines where it believes to run in continuous integration.
    kept = {name: value for name, value in os.environ.items() if name not in _OF_CI}
    return {
        **kept,
        **found,
        "PATH": path,
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
    }


if __name__ == "__main__":
    for page in sys.argv[1:]:
        correct(Path(page).resolve())
