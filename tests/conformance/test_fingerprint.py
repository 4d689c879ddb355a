"""The profile of an implementation is found from its results alone, and what nothing tells apart is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import mxemu
from conformance import fingerprint, zoo
from conformance.fingerprint import Fingerprint
from conformance.runner import Filters, Run
from conformance.worker import InProcess
from mxemu.cli import cli
from mxemu.profile import OCP, PRESETS, Profile

SEEN = {
    "quantize": {"formats": ["MXFP4_E2M1"], "carriers": ["binary32"]},
    "encode": {"formats": ["E4M3"], "carriers": ["binary32"]},
}


class Subject:
    """An implementation that follows a profile and says nothing about it."""

    name, version = "subject", "1"

    def __init__(self, profile: Profile, operations: dict[str, Any] | None = None) -> None:
        self.profile = profile
        self.capabilities = {"operations": operations or SEEN}

    def quantize(self, values: Any, block_format: str, profile: Profile) -> tuple[Any, Any]:
        blocks = mxemu.quantize(values, block_format, profile=self.profile)
        return blocks.scales[:, 0], blocks.codes[:, 0]

    def encode(self, values: Any, element: str, profile: Profile) -> Any:
        return mxemu.encode(values, element, profile=self.profile)


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "SEARCHED", 1 << 12)


def found(subject: Any, filters: Filters = Filters()) -> Fingerprint:  # noqa: B008 - it is frozen
    worker = InProcess(subject)
    return fingerprint.fingerprint(worker, Run("x", worker.introduce(), "smoke", None), filters)


@pytest.mark.parametrize(
    "profile",
    [
        OCP,
        PRESETS["rceil"],
        PRESETS["finite-amax"],
        OCP.replace(overflow="overflow"),
        OCP.replace(scale_rule="EVEN", rounding="ties-to-away", zero_sign="positive"),
        OCP.replace(zero_block="one", amax_nan="ignore"),
    ],
    ids=fingerprint.describe,
)
def test_a_profile_is_found(profile: Profile) -> None:
    one = found(Subject(profile))
    assert one.unexplained == ()
    for name, choice in profile.changes(OCP).items():
        same = getattr(one.profile, name) == choice
        assert same or name in one.alike, (name, one.profile)
    worker = InProcess(Subject(one.profile))
    again = Run("x", worker.introduce(), "smoke", profile)
    fingerprint.check(worker, again, Filters())
    assert all(
        group.counts["FAIL"] == group.counts["free"] == 0 or group.hypotheses
        for group in again.groups
    )
    text = "\n".join(one.lines())
    assert "explains " in text
    assert text.startswith(f"follows        {fingerprint.describe(one.profile)}")


def test_choices_that_no_input_tells_apart_are_said() -> None:
    """RCEIL in binary32 differs from RCEIL in one ulp next to few numbers, or not at all."""
    one = found(Subject(PRESETS["rceil"], {"quantize": SEEN["quantize"]}))
    assert "RCEIL_BINARY32" in one.alike["scale_rule"]
    assert any(line.startswith("not told apart scale_rule: RCEIL, ") for line in one.lines())


def test_inputs_are_sought_that_tell_choices_apart() -> None:
    """Ties to away and half-way cases that are seldom: the random inputs of the suite do not hold them."""
    one = found(Subject(OCP.replace(rounding="ties-to-away"), {"encode": SEEN["encode"]}))
    assert one.profile.rounding.value == "ties-to-away"
    assert "rounding" not in one.alike


def test_what_follows_no_profile_is_said() -> None:
    one = found(zoo.pairs_swapped, Filters(("quantize",), ("MXFP4_E2M1",), ("binary32",)))
    assert any(name.startswith("quantize MXFP4_E2M1") for name in one.unexplained)
    assert fingerprint.describe(one.profile) == "ocp"
    assert any(line.startswith("unexplained ") for line in one.lines())


_SOURCE = """
import mxemu
name, version = "mine", "1"
capabilities = {"operations": {"quantize": {"formats": ["MXFP4"], "carriers": ["bfloat16"]}}}
def quantize(values, block_format, profile):
    blocks = mxemu.quantize(values, block_format, profile="rceil", carrier="bfloat16")
    return blocks.scales[:, 0], blocks.codes[:, 0]
"""


def test_the_command_line_finds_it_out(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(_SOURCE)
    words = ["check", str(tmp_path / "mine.py"), "--profile", "auto", "--level", "smoke"]
    result = CliRunner().invoke(cli, [*words, "--in-process"], prog_name="mxemu")
    assert result.exit_code == 0, result.output
    assert "\nfollows        scale_rule=RCEIL\n" in result.output
    assert "quantize  MXFP4_E2M1  pass" in result.output
    saved = tmp_path / "found.toml"
    again = CliRunner().invoke(
        cli, [*words, "--in-process", "--write-profile", str(saved)], prog_name="mxemu"
    )
    assert again.exit_code == 0, again.output
    assert 'scale_rule = "RCEIL"' in saved.read_text()
