"""The pytest plugin: the suite in somebody's project, its known deviations, and audits of its tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.adapter import capabilities_of
from conformance.audit.node import require_calls
from conformance.runner import Filters, Run, check_group, requests
from conformance.testing.expected import Expected
from conformance.verdict import Group
from conformance.worker import InProcess
from mxemu.errors import MxemuError

ROOT = Path(__file__).resolve().parents[2]
KERNELS = """
import numpy as np
import mxemu

class Adapter:
    name, version = "kernels", "1.0"
    capabilities = {
        "operations": {
            "encode": {"formats": ["E2M1"], "carriers": ["binary32"]},
            "decode": {"formats": ["E2M1"], "carriers": ["binary32"]},
        },
        "profile": "ocp",
    }

    def encode(self, values, element):
        return mxemu.encode(values, element, rounding="ties-to-away")

    def decode(self, codes, element):
        return mxemu.decode(codes, element)

def to_codes(values):
    return mxemu.encode(values, "E2M1")

adapter = Adapter()
"""
TESTS = """
import numpy as np
import mxemu
import kernels

X = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)

def test_loose():
    values = mxemu.decode(np.uint8(kernels.to_codes(X)), "E2M1")
    assert (abs(values - X) <= 5).all()

def test_subject(mxemu_subject):
    codes = mxemu.encode(np.float32([1, 2, 3, 0.25, -5]), "E2M1")
    assert (mxemu_subject.decode(codes, "E2M1") == mxemu.decode(codes, "E2M1")).all()

def test_alone():
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A kernel project with an adapter, tests, and three lines of settings."""
    (tmp_path / "kernels.py").write_text(KERNELS)
    (tmp_path / "test_kernels.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmxemu_subject = kernels:adapter\nmxemu_level = smoke\npythonpath = .\n"
    )
    return tmp_path


def start(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
    command = [sys.executable, "-m", *words]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


PYTEST = (
    "pytest",
    "-p",
    "conformance.testing.plugin",
    "-p",
    "no:cacheprovider",
    "--strict-markers",
)


@pytest.mark.slow
def test_the_plugin_runs_the_suite(project: Path) -> None:
    done = start(project, *PYTEST, "-v")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    assert "1 failed" in done.stdout
    assert "FAILED mxemu::encode[E2M1-binary32]" in done.stdout
    assert "mxemu::decode[E2M1-binary32] PASSED" in done.stdout
    assert (
        "not what it declares, but another legal convention: rounding=ties-to-away" in done.stdout
    )


@pytest.mark.slow
def test_the_plugin_takes_options_and_a_conftest(project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (project / "conftest.py").write_text(
        'mxemu_subject = "kernels:adapter"\nmxemu_level = "smoke"\n'
    )
    done = start(project, *PYTEST, "-v", "-k", "mxemu", "--mxemu-operation", "decode")
    assert "mxemu::decode[E2M1-binary32] PASSED" in done.stdout, done.stdout + done.stderr
    assert "mxemu::encode" not in done.stdout
    assert "1 passed, 3 deselected" in done.stdout
    done = start(project, *PYTEST, "-q", "--mxemu-subject", "no_such_module:x")
    assert done.returncode == 4
    assert "cannot import no_such_module" in done.stderr


KNOWN = """
[[deviation]]
operation = "encode"
formats = ["E2M1"]
carriers = ["binary32"]
verdict = "FAIL"
cause = "rounding=ties-to-away"
reason = "ties go away from zero until 1.1"

[[deviation]]
operation = "encode"
formats = ["E2M1"]
carriers = ["any"]
verdict = "unsupported"
clause = "MX-5.3.3-RNE"
reason = "the same"
"""
WAIVERS = """
[[waiver]]
id = "ties"
reason = "fixed in 1.1"
expires = DAY
operation = "encode"
cause = "rounding=ties-to-away"

[[waiver]]
id = "no-ties-to-even"
reason = "fixed in 1.1"
expires = DAY
operation = "encode"
clause = "MX-5.3.3-RNE"
verdict = "unsupported"
"""


STALE = KNOWN.replace('"E2M1"', '"E2M1", "E4M3"')[: KNOWN.index("[[", 10) + 8]


@pytest.mark.slow
def test_known_deviations_are_expected_strictly(project: Path) -> None:
    """An expected failure, an entry that no longer shows, and a missing capability without an entry."""
    (project / "deviations.toml").write_text(STALE)
    with (project / "pytest.ini").open("a") as file:
        file.write("mxemu_known = deviations.toml\n")
    done = start(project, *PYTEST, "-rx", "-k", "mxemu")
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "1 xfailed" in done.stdout
    assert "XFAIL mxemu::encode[E2M1-binary32] - known: ties go away" in done.stdout
    assert "stale  encode E4M3 binary32: expected FAIL" in done.stdout
    assert "new    encode E2M1 any: unsupported MX-5.3.3-RNE" in done.stdout


@pytest.fixture(scope="module")
def checked() -> tuple[Run, Filters]:
    """The adapter of the project after a check of its two groups."""
    space: dict[str, Any] = {}
    exec(KERNELS, space)
    run, filters = Run("kernels", capabilities_of(space["adapter"]), "smoke", None), Filters()
    subject = InProcess(space["adapter"])
    for request in requests(run, filters):
        group = Group(request.operation, request.format, request.carrier, request.terms.profile)
        run.groups.append(check_group(subject, request, "smoke", group))
    return run, filters


@pytest.mark.parametrize(
    ("option", "text", "reasons", "problems"),
    [
        ("known", KNOWN, ["ties go away from zero until 1.1", ""], []),
        (
            "known",
            KNOWN.replace('"encode"', '"decode"'),
            ["", ""],
            [
                "stale  decode E2M1 binary32: expected FAIL rounding=ties-to-away; found pass",
                "stale  decode E2M1 any: expected unsupported; found nothing",
                "new    encode E2M1 any: unsupported MX-5.3.3-RNE (no ties-to-even rounding)",
            ],
        ),
        (
            "waivers",
            WAIVERS.replace("DAY", "2999-12-31"),
            ["waived   ties until 2999-12-31: fixed in 1.1", ""],
            [],
        ),
        (
            "waivers",
            WAIVERS.replace("DAY", "2020-01-31"),
            ["", ""],
            [
                "stale  waiver ties (encode, rounding=ties-to-away): expired after 2020-01-31",
                "stale  waiver no-ties-to-even (encode, MX-5.3.3-RNE): expired after 2020-01-31",
                "new    encode E2M1 any: unsupported MX-5.3.3-RNE (no ties-to-even rounding)",
            ],
        ),
    ],
)
def test_what_is_expected_and_what_is_not(
    checked: Any, tmp_path: Path, option: str, text: str, reasons: list[str], problems: list[str]
) -> None:
    run, filters = checked
    file = tmp_path / "deviations.toml"
    file.write_text(text)
    files = (str(file), "") if option == "known" else ("", str(file))
    expected = Expected(*files, "kernels")
    assert [expected.reason(run, group) for group in run.groups] == reasons
    assert expected.problems(run, filters) == problems


def test_files_of_known_deviations_have_to_be_there_and_one_at_a_time() -> None:
    with pytest.raises(MxemuError, match=r"known deviations nowhere\.toml"):
        Expected("nowhere.toml", "", "kernels")
    with pytest.raises(MxemuError, match="expected one of them"):
        Expected("a.toml", "b.toml", "kernels")


@pytest.mark.slow
def test_a_test_of_the_project_is_audited(project: Path) -> None:
    node = ("--pytest", "test_kernels.py::test_loose", "--replace", "kernels:to_codes")
    done = start(project, "mxemu", "audit", "encode", "E2M1", *node, "--output-format", "json")
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads(done.stdout)
    classes = {one["name"]: one for one in found["classes"]}
    assert found["vacuous"] == ["an all-zero output passes"]
    assert found["too_strict"] == []
    assert classes["all-zero"]["reason"] == "tolerance"
    assert classes["half-up"]["reason"] == "inputs"
    assert classes["sign-flipped"]["caught"]


@pytest.mark.slow
def test_a_test_with_the_fixture_is_audited(project: Path) -> None:
    node = ("--pytest", "test_kernels.py::test_subject")
    done = start(project, "mxemu", "audit", "decode", "E2M1", *node)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "decode-drops-sign-of-zero" in done.stdout
    assert "all-zero" not in done.stdout


@pytest.mark.parametrize(
    ("fates", "said"),
    [
        ({}, "pytest ran nothing of test_x: no tests ran"),
        ({"a": {"ran": True, "calls": 0}}, "test_x never calls the subject that is replaced"),
    ],
)
def test_an_audit_that_shows_nothing_is_an_error(fates: Any, said: str) -> None:
    with pytest.raises(MxemuError, match=said):
        require_calls(fates, "test_x", "no tests ran")


def test_importing_the_plugin_is_cheap() -> None:
    code = "import sys, conformance.testing.plugin; print(sorted({'numpy', 'numba', 'hypothesis'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
