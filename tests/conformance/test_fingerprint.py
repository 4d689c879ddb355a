"""The profile of an implementation is found from its results alone, and what nothing tells apart is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scramblers
from click.testing import CliRunner

import mxemu
from conformance.runner import Filters, Run
from conformance.why import fingerprint, separate
from conformance.why.fingerprint import Fingerprint
from conformance.why.separate import Separator
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
        carrier = "bfloat16" if values.dtype == np.uint16 else None
        blocks = mxemu.quantize(values, block_format, profile=self.profile, carrier=carrier)
        return blocks.scales[:, 0], blocks.codes[:, 0]

    def fake_quantize(self, values: Any, block_format: str, profile: Profile) -> Any:
        return mxemu.dequantize(mxemu.quantize(values, block_format, profile=self.profile))

    def encode(self, values: Any, element: str, profile: Profile) -> Any:
        return mxemu.encode(values, element, profile=self.profile)


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separate, "SEARCHED", 1 << 12)


def found(subject: Any, filters: Filters = Filters()) -> Fingerprint:  # noqa: B008 - it is frozen
    worker = InProcess(subject)
    return fingerprint.fingerprint(worker, Run("x", worker.introduce(), "smoke", None), filters)


@pytest.mark.parametrize(
    "profile",
    [
        OCP,
        PRESETS["rceil"],
        OCP.replace(overflow="overflow"),
        OCP.replace(
            scale_rule="EVEN",
            rounding="ties-to-away",
            zero_sign="positive",
            input_subnormals="flush",
            zero_block="one",
            amax_nan="ignore",
            nan_without_code="zero-positive",
            inf_block="finite-amax",
        ),
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


QUANTIZE = {"quantize": SEEN["quantize"]}
BFLOAT16 = {"quantize": {"formats": ["MXFP4_E2M1"], "carriers": ["bfloat16"]}}


def test_choices_that_no_input_tells_apart_are_said() -> None:
    """Of bfloat16 numbers the quotient amax / 6 never rounds to a power of two that it is not."""
    one = found(Subject(PRESETS["rceil"], BFLOAT16))
    assert one.alike["scale_rule"] == one.same["scale_rule"] == ("RCEIL_BINARY32",)
    assert "equivalent     scale_rule: RCEIL, RCEIL_BINARY32" in list(one.lines())


@pytest.mark.parametrize("rule", ["RCEIL", "RCEIL_BINARY32"])
def test_the_one_input_that_tells_two_rules_apart_is_found(rule: str) -> None:
    """Of binary32 numbers one largest magnitude does, just above 6 * 2^-127: its quotient rounds to 2^-127."""
    one = found(Subject(OCP.replace(scale_rule=rule), QUANTIZE))
    assert one.profile.scale_rule.name == rule
    assert "scale_rule" not in one.alike
    assert one.asked
    rows = separator(QUANTIZE, "RCEIL").difference(OCP.replace(scale_rule="RCEIL_BINARY32"))
    assert not rows.known
    assert rows.further is not None
    (block,) = rows.further.inputs
    assert hex(int(block[0])) == "0x1400001"


def separator(operations: dict[str, Any], rule: str) -> Separator:
    """What tells profiles from one with this rule."""
    subject = InProcess(Subject(OCP, operations))
    run = Run("x", subject.introduce(), "smoke", OCP.replace(scale_rule=rule), reduces=False)
    (group,) = [
        one for one in fingerprint.check(subject, run, Filters()).groups if one.carrier != "any"
    ]
    one = Separator.of(group, OCP.replace(scale_rule=rule), "smoke")
    assert one is not None
    return one


def test_what_steps_alike_everywhere_is_certainly_the_same() -> None:
    other = OCP.replace(scale_rule="EVEN_E2M1")
    told = separator(QUANTIZE, "EVEN").difference(other)
    assert (told.known, told.further, told.certain) == (False, None, True)
    told = separator(QUANTIZE, "RCEIL").difference(other)
    assert told.known


def test_values_that_give_no_codes_are_told_apart_too() -> None:
    """EVEN_E2M1 and RCEIL differ for E4M3 only where amax is 448 * 2^n, and there in small elements alone."""
    offer = {"fake_quantize": {"formats": ["MXFP8_E4M3"], "carriers": ["binary32"]}}
    told = separator(offer, "RCEIL").difference(OCP.replace(scale_rule="EVEN_E2M1"))
    assert not told.known
    assert told.further is not None


def test_what_stands_in_the_wrong_place_is_said_beside_the_profile() -> None:
    kind = type("Swapped", (scramblers.NibblesSwapped,), {"profile": "rceil"})
    one = found(kind())
    assert fingerprint.describe(one.profile) == "scale_rule=RCEIL"
    assert one.unexplained == ()
    text = "quantize MXFP4_E2M1 (binary32): codes are right, but the two nibbles of each byte are swapped"
    assert f"layout         {text}" in list(one.lines())
    assert [group.verdict for group in one.run.groups] == ["FAIL"]


class Strange(Subject):
    """Right, but for one bit of some codes."""

    def quantize(self, values: Any, block_format: str, profile: Profile) -> tuple[Any, Any]:
        scales, codes = super().quantize(values, block_format, profile)
        return scales, np.where(codes % 8 == 3, codes ^ 1, codes)


def test_what_follows_no_profile_is_said() -> None:
    one = found(Strange(OCP, QUANTIZE))
    assert one.unexplained == ("quantize MXFP4_E2M1 (binary32)",)
    assert fingerprint.describe(one.profile) == "ocp"
    assert any(line.startswith("unexplained ") for line in one.lines())
    assert [group.verdict for group in one.run.groups] == ["FAIL"]


class StrangeElsewhere(Subject):
    """Another scale just above 6 * 2^-127 than any rule gives: only the inputs that are sought show it."""

    def quantize(self, values: Any, block_format: str, profile: Profile) -> tuple[Any, Any]:
        scales, codes = super().quantize(values, block_format, profile)
        there = np.abs(values).max(axis=1).view(np.uint32) == 0x1400001
        return np.where(there, 77, scales), codes


def test_what_only_further_inputs_show_is_not_called_explained() -> None:
    one = found(StrangeElsewhere(PRESETS["rceil"], QUANTIZE))
    assert one.unexplained == ("quantize MXFP4_E2M1 (binary32): 1 of 1 further inputs",)
    assert [group.counts["FAIL"] + group.counts["free"] for group in one.run.groups] == [0, 1]


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
