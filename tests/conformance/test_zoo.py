"""The suite under test: every deliberate mistake is caught and named, and every note is earned by a mistake."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from time import process_time
from typing import Any

import numpy as np
import pytest

from conformance import zoo
from conformance.adapter import PRODUCT_OPERATIONS
from conformance.judges import (
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    FakeQuantizeJudge,
    Judge,
    QuantizeJudge,
    ScaleCastJudge,
    ScaledEncodeJudge,
    product_judge,
)
from conformance.notes import NOTES
from conformance.runner import Filters, Run, check
from conformance.verdict import Group
from conformance.worker import InProcess
from conformance.zoo.reference import Reference, rounded_bits
from mxemu.accumulation import EXACT
from mxemu.accumulations import ACCUMULATIONS
from mxemu.cli.check import exit_code
from mxemu.formats import (
    BFLOAT16,
    BINARY16,
    BINARY32,
    CARRIERS,
    E8M0,
    FloatFormat,
    block_format,
    element,
)
from mxemu.profile import OCP, PRESETS, Profile, Rounding, spelled
from mxemu.scalar import decode, encode

OVERFLOW = OCP.replace(overflow="overflow")

FORMATS = {
    "encode": ("E4M3", "E5M2", "E2M1"),
    "scale-cast": ("E8M0",),
    "decode": ("E4M3", "E2M1", "INT8", "E8M0"),
    "encode-scaled": ("MXFP8_E4M3", "MXFP4_E2M1"),
    "quantize": ("MXFP8_E4M3",),
    "fake_quantize": ("MXFP4_E2M1",),
    "dequantize": ("MXFP8_E4M3", "MXFP8_E5M2", "MXFP4_E2M1", "MXINT8"),
}

PRODUCTS = {
    "dot": ("MXFP8_E4M3", "MXFP8_E5M2", "MXINT8", "MXFP8_E5M2,MXFP8_E4M3"),
    "dot-general": ("MXFP8_E4M3",),
    "matmul": ("MXFP8_E4M3",),
}

SECONDS = 2
"""CPU time that one check of a member may take at level smoke."""

# What is checked of each member in its first carrier: all formats that it offers, or some where there are many.
CHECKED = {
    "encode": ("E4M3", "E2M1", "INT8", "E8M0"),
    "decode": (),
    "dequantize": (),
    **dict.fromkeys(("encode-scaled", "quantize", "fake_quantize"), ("MXFP8_E4M3", "MXINT8")),
    **dict.fromkeys(PRODUCT_OPERATIONS, ("MXFP8_E4M3", "MXFP8_E5M2,MXFP8_E4M3", "MXINT8")),
}

# Themes whose mistake is a choice of the profile: legal in itself, wrong where another choice was promised.
CHOICES = {
    "truncation": (EncodeJudge(element("E2M1"), BINARY32, "smoke"), {"rounding": "toward-zero"}),
    "input-subnormal-flush": (
        QuantizeJudge(block_format("MXFP4_E2M1"), BINARY32, "smoke"),
        {"input_subnormals": "flush"},
    ),
    "scale-rule": (
        QuantizeJudge(block_format("MXFP4_E2M1"), BINARY32, "smoke"),
        {"scale_rule": "EVEN"},
    ),
    "nan-in-block": (
        QuantizeJudge(block_format("MXFP4_E2M1"), BINARY32, "smoke"),
        {"amax_nan": "ignore"},
    ),
    "inf-in-block": (
        QuantizeJudge(block_format("MXFP4_E2M1"), BINARY32, "smoke"),
        {"inf_block": "finite-amax"},
    ),
    "scale-cast": (ScaleCastJudge(E8M0, BINARY32, "smoke"), {"scale_cast": "toward-zero"}),
}

# Themes of dot products in which only accumulations differ, and one that does.
ACCUMULATION_CHOICES = {
    "cancellation-depth": "nv-hopper-fp8-wgmma",
    "term-order": "fp32-sequential",
}

SWEEPS = {"every-input", "every-upper-half", "random"}  # stand for no mistake in particular

# Notes that no case carries and no member has, with the reason.
WITHOUT_A_CASE = {
    "overflow-policy": "a whole mode, not a mistake of one input: named as overflow=... by the diagnosis",
    "out-of-binary32": "implementation-defined: its lanes are left out of the judged ones, whatever the theme",
    "nan-sign": "allowed, and no comparison sees it: any NaN code equals any other",
    "bit-order": "only vectors of packed bytes carry it; check does not ask for bytes",
    "scale-place": "only vectors of packed bytes carry it; check does not ask for bytes",
    "int8-minus-128": "both codes are legal: named as int_minimum=... by the diagnosis",
}


@dataclass
class Checked:
    """What came of one check of a member."""

    groups: list[Group]
    seconds: float


def judges_of(member: Reference) -> list[Judge]:
    """The judges of the groups in which a member's mistake can show, a few formats and carriers."""
    if member.operations[0] in PRODUCTS:
        return _product_judges_of(member)
    carrier = (member.carriers or ("binary32",))[0]
    some = [
        judge(operation, name, "binary32" if operation == "dequantize" else carrier)
        for operation in member.operations
        for name in FORMATS[operation]
    ]
    return [one for one in some if member.touches(one)]


def _product_judges_of(member: Reference) -> list[Judge]:
    """Matrix products only for what is wrong with them alone: they are few results, and the rows are those of dot."""
    operations = member.operations if member.note == "matrix-row" else member.operations[:2]
    some = [
        product_judge(operation, label, BINARY32, "smoke", True, EXACT)
        for operation in operations
        if operation in PRODUCTS
        for label in PRODUCTS[operation]
    ]
    return [one for one in some if member.touches(one)]


@cache
def judge(operation: str, name: str, carrier: str) -> Judge:
    numbers = CARRIERS[carrier]
    match operation:
        case "encode":
            return EncodeJudge(element(name), numbers, "core")
        case "scale-cast":
            return ScaleCastJudge(E8M0, numbers, "smoke")
        case "decode":
            return DecodeJudge(element(name), numbers)
        case "encode-scaled":
            return ScaledEncodeJudge(block_format(name), numbers, "smoke")
        case "quantize":
            return QuantizeJudge(block_format(name), numbers, "smoke")
        case "fake_quantize":
            return FakeQuantizeJudge(block_format(name), numbers, "smoke")
        case _:
            return DequantizeJudge(block_format(name), numbers, "smoke")


@cache
def checked(member: Reference) -> Checked:
    """Check one member at level smoke, as the command line does, in this process."""
    subject = InProcess(member)
    run = Run(member.name, subject.introduce(), "smoke", None)
    (operation,) = run.capabilities.operations
    offered = run.capabilities.operations[operation].formats
    kept = [name for name in CHECKED[operation] if name in offered] or offered
    start = process_time()
    carriers = run.capabilities.operations[operation].carriers[:1]
    check(subject, run, Filters(formats=tuple(kept), carriers=tuple(carriers)))
    return Checked(
        [group for group in run.groups if group.carrier != "any"], process_time() - start
    )


@cache
def themes_caught(member: Reference) -> frozenset[str]:
    """The notes of the cases that a member gets wrong."""
    found: set[str] = set()
    for one in judges_of(member):
        declared = spelled(member.profile)
        profiles = (OCP, OVERFLOW) if type(one) is EncodeJudge else (declared,)
        for profile in profiles:
            observed = member.outcome(one, profile)
            wrong, silent = one.compare(observed, profile)
            wrong |= silent & isinstance(one, ScaleCastJudge)
            found |= {one.cases.notes[theme] for theme in np.unique(one.cases.theme[wrong])}
    return frozenset(found)


# What a profile field stands for is no violation, and is named as the convention that it is.
CONVENTIONS = {"amax-eps-floor": "amax_floor", "quotient-eps-floor": "amax_floor"}


def names(member: Reference) -> str:
    return member.name


@pytest.mark.parametrize("member", zoo.MEMBERS, ids=names)
def test_a_member_is_caught_and_named_in_time(member: Reference) -> None:
    found = checked(member)
    failed = [group for group in found.groups if group.verdict == "FAIL"]
    assert failed, f"{member.name} passes every case"
    for group in failed:
        first = group.hypotheses[0]
        assert first.complete, group.key
        if member.name in CONVENTIONS:
            assert (first.name.partition("=")[0], first.kind) == (
                CONVENTIONS[member.name],
                "profile",
            )
            continue
        assert first.name == member.name, group.key
        assert first.kind in ("mistake", "layout")
        assert first.note == member.note or first.kind == "layout"
    seconds = found.seconds
    if seconds > SECONDS:  # kernels may have been compiled, once for this machine
        seconds = checked.__wrapped__(member).seconds
    print("CPU", member.name, round(seconds, 2))
    assert seconds <= SECONDS


@pytest.mark.parametrize("carrier", [BFLOAT16, BINARY16], ids=str)
def test_what_members_round_first_is_rounded_to_even(carrier: FloatFormat) -> None:
    """Their mistake is to round twice, and not to round wrongly."""
    beside = np.arange(-2, 3, dtype=np.int64)
    lost = BINARY32.mantissa_bits - carrier.mantissa_bits
    upper = np.arange(0x3F80 << 16, 0x4100 << 16, 1 << (lost - 1))
    bits = (upper[:, None] + beside).ravel()[::7].astype(np.uint32)
    found = rounded_bits(bits.view(np.float32).astype(np.float64), carrier)
    exact = [encode(decode(int(one), BINARY32), carrier).code for one in bits]
    assert len(bits) > 200
    assert found.tolist() == exact


@pytest.mark.parametrize("member", zoo.MEMBERS, ids=names)
def test_a_member_that_passes_a_group_is_right_there(member: Reference) -> None:
    for group in checked(member).groups:
        assert group.verdict in ("FAIL", "free", "pass")
        assert group.verdict != "free" or "NaN" in group.clusters[0].first.given.value


@pytest.mark.parametrize("member", zoo.MEMBERS, ids=names)
def test_a_member_is_documented_and_reachable_by_name(member: Reference) -> None:
    assert member.note in NOTES
    assert type(member).__doc__
    assert getattr(zoo, member.name.replace("-", "_")) is member


def test_members_have_names_of_their_own() -> None:
    listed = [member.name for member in zoo.MEMBERS]
    assert len(set(listed)) == len(listed) >= 8
    assert dir(zoo) == sorted(name.replace("-", "_") for name in listed)
    with pytest.raises(AttributeError, match="no member 'none'"):
        zoo.none  # noqa: B018


def test_a_member_offers_one_operation_and_declares_what_its_mistake_needs() -> None:
    for member in zoo.MEMBERS:
        record = InProcess(member).introduce()
        (operation,) = record.operations
        assert operation in (*member.operations, "encode")
        assert record.profile == spelled(member.profile)


def test_the_reference_passes_everything() -> None:
    subject = InProcess(zoo.reference)
    run = Run("reference", subject.introduce(), "smoke", None)
    check(subject, run, Filters(carriers=("binary32",)))
    assert {group.verdict for group in run.groups} == {"pass"}
    assert {group.operation for group in run.groups} == {*FORMATS, *PRODUCTS} - {"scale-cast"}
    assert not any(group.counts["free"] for group in run.groups)
    assert exit_code(run) == 0


@cache
def themes() -> set[str]:
    """Every note that some case of the suite carries."""
    some = [judge("encode", name, "binary32") for name in FORMATS["encode"]]
    some += [judge("encode", "E2M1", "binary16"), EncodeJudge(element("E2M1"), BINARY32, "full")]
    some += [judge("decode", name, "binary32") for name in FORMATS["decode"]]
    some += [judge("quantize", "MXFP8_E4M3", "binary32")]
    some += [judge("dequantize", name, "binary32") for name in FORMATS["dequantize"]]
    some += [judge("scale-cast", "E8M0", "binary32")]
    some += [product_judge(*key, BINARY32, "smoke", True, EXACT) for key in _product_keys()]
    return {one.cases.notes[theme] for one in some for theme in np.unique(one.cases.theme)}


def _product_keys() -> list[tuple[str, str]]:
    return [(operation, label) for operation, labels in PRODUCTS.items() for label in labels]


def killers() -> dict[str, list[str]]:
    """Note to the members that a case with this note catches."""
    return {
        note: [member.name for member in zoo.MEMBERS if note in themes_caught(member)]
        for note in sorted(themes())
    }


def test_every_note_that_a_case_carries_catches_its_mistake() -> None:
    found = killers()
    own = {
        note: [
            member.name for member in zoo.MEMBERS if member.note == note and member.name in names
        ]
        for note, names in found.items()
    }
    for note, members in found.items():
        print(f"{note:24} {', '.join(members)}")
    idle = {note for note, members in own.items() if not members}
    assert idle == set(CHOICES) | set(ACCUMULATION_CHOICES) | SWEEPS


@pytest.mark.parametrize("note", CHOICES)
def test_a_note_of_a_choice_tells_the_choices_apart(note: str) -> None:
    one, changes = CHOICES[note]
    other: Profile = OCP.replace(**changes)
    observed = [_outcome(one, profile) for profile in (OCP, other)]
    differs = observed[0] != observed[1]
    rows = differs.any(axis=1) if differs.ndim == 2 else differs
    assert note in {one.cases.notes[theme] for theme in one.cases.theme[rows]}


@pytest.mark.parametrize("note", ACCUMULATION_CHOICES)
def test_a_note_of_accumulations_tells_some_apart(note: str) -> None:
    one = product_judge("dot-general", "MXFP8_E4M3", BINARY32, "smoke", True, EXACT)
    other = one.expected(ACCUMULATIONS[ACCUMULATION_CHOICES[note]])
    differs = one.differ(one.expected(EXACT), other)
    assert note in {one.cases.notes[theme] for theme in one.cases.theme[differs]}


def _outcome(one: Judge, profile: Profile) -> np.ndarray:
    if isinstance(one, ScaleCastJudge):
        return zoo.reference.encode_bits(one.cases.inputs, one.scale, one.carrier, profile)
    return zoo.reference.outcome(one, profile)


def test_every_note_is_a_theme_or_a_diagnosis_or_has_a_reason() -> None:
    diagnoses = {member.note for member in zoo.MEMBERS}
    assert themes() <= set(NOTES)
    assert set(NOTES) - themes() - diagnoses == set(WITHOUT_A_CASE)


# Conforming subjects.


class Follows(Reference):
    """A right implementation that follows a profile, whatever it is asked for, and declares it or not."""

    def __init__(self, own: Profile, declared: bool) -> None:
        self.own, self.declared = own, declared

    @property
    def capabilities(self) -> dict[str, Any]:
        offers = {
            "encode": {"formats": ["E4M3", "INT8"], "carriers": ["binary32"]},
            "quantize": {"formats": ["MXFP4_E2M1"], "carriers": ["binary32"]},
        }
        return {"operations": offers, "profile": self.own if self.declared else None}

    def encode(self, values: np.ndarray, name: str, profile: Profile = OCP) -> np.ndarray:
        return super().encode(values, name, self.own)

    def quantize(
        self, values: np.ndarray, name: str, profile: Profile = OCP
    ) -> tuple[np.ndarray, np.ndarray]:
        return super().quantize(values, name, self.own)


def run_of(subject: object) -> Run:
    """The groups of a check that were judged."""
    worker = InProcess(subject)
    run = Run("follows", worker.introduce(), "smoke", None)
    check(worker, run, Filters())
    run.groups = [group for group in run.groups if group.carrier != "any"]
    return run


FOLLOWED = [
    preset
    for preset in PRESETS.values()
    if preset.changes(OCP)
    and not preset.scale_rule.ratio
    and preset.rounding is not Rounding.STOCHASTIC
]


@pytest.mark.parametrize("preset", FOLLOWED, ids=lambda preset: preset.name)
def test_who_follows_a_profile_is_blamed_for_no_mistake(preset: Profile) -> None:
    promised, silent = (run_of(Follows(preset, declared)) for declared in (True, False))
    for group in (*promised.groups, *silent.groups):
        assert all(one.kind in ("profile", "departure") for one in group.hypotheses), group.key
        departs = [one.kind for one in group.hypotheses] == ["departure"]
        assert departs or group.verdict in ("pass", "free")
    assert all(group.verdict == "pass" or group.hypotheses for group in promised.groups)
    assert not any(group.counts["free"] for group in promised.groups)


class Adds(Reference):
    """Right products under an accumulation that nobody was told of."""

    def __init__(self, accumulation: str) -> None:
        self.own = accumulation

    @property
    def capabilities(self) -> dict[str, Any]:
        return {"operations": {"dot": {"formats": ["MXFP8_E4M3"], "out": "binary32", "c": True}}}

    def dot(self, *operands: Any) -> np.ndarray:
        return super().dot(*operands[:-1], self.own)


ADDED = ("fp32-sequential", "pairwise", "block-fp32", "nv-hopper-fp8-wgmma", "bf16-accumulator")


@pytest.mark.parametrize("name", ADDED)
def test_who_adds_in_another_way_is_blamed_for_no_mistake(name: str) -> None:
    (group,) = run_of(Adds(name)).groups
    assert group.verdict == "free"
    (found,) = group.hypotheses
    assert (found.kind, found.complete) == ("accumulation", True)
    assert name in (found.name, *found.also)
