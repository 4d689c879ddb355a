"""TARGET of every transport."""

from __future__ import annotations

import pytest

from conformance.adapters.dumps import is_dump
from conformance.target import Target, parse_target, systems

TARGETS = {
    "cmd:./dut --flag": Target("cmd", "./dut --flag"),
    "cmd:./dut 'a b' x:y": Target("cmd", "./dut 'a b' x:y"),
    "cmd:./dut --flag[fast]": Target("cmd", "./dut --flag", None, "fast"),
    "cmd:python dut.py": Target("cmd", "python dut.py"),
    "lib:path/to/dut.so": Target("lib", "path/to/dut.so"),
    "lib:./dut.so[rceil]": Target("lib", "./dut.so", None, "rceil"),
    "files:x.npy,q.npz": Target("files", "x.npy,q.npz"),
    "files:dump.toml": Target("files", "dump.toml"),
    "./lib:thing": Target("file", "./lib", "thing"),
    "./files.py": Target("file", "./files.py"),
}


@pytest.mark.parametrize("text", TARGETS)
def test_targets_are_taken_apart(text: str) -> None:
    assert parse_target(text) == TARGETS[text]


def test_only_files_are_a_dump() -> None:
    assert is_dump("files:x.npy,q.npz")
    assert not any(map(is_dump, ["cmd:files:x", "lib:x.so", "./files.py", *systems()]))
