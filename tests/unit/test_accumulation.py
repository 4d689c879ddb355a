"""Records of accumulations: texts, tables, names, and fields that contradict each other."""

from __future__ import annotations

import dataclasses
import tomllib
from importlib.resources import files
from typing import Any

import pytest

from mxemu import formats
from mxemu.accumulation import (
    E8M13,
    EXACT,
    FIELDS,
    TF32,
    Accumulation,
    Chain,
    Fuse,
    Grade,
    Lanes,
    Late,
    NanWord,
    Nested,
    Parts,
    Round,
    Sum,
    Tree,
    ZeroSign,
    nodes,
)
from mxemu.accumulations import ACCUMULATIONS, find, from_mapping, kulisch, to_mapping
from mxemu.errors import BadFormat, UnknownName
from mxemu.formats import BFLOAT16, BINARY16, BINARY32, E8M0
from mxemu.profile import Rounding

PRESETS = {
    "": ("exact", "fp32-sequential", "fp32-fma", "pairwise", "block-fp32"),
    "nv-": ("volta", "turing", "ampere", "ampere-tf32", "ada-fp8", "hopper", "hopper-tf32"),
    "nv-hopper-": ("fp8-wgmma", "fp8-wgmma-fp16", "fp16"),
    "nv-blackwell-": ("f8f6f4", "mxf8f6f4", "mxf4", "nvf4", "tf32"),
    "cublas-fp8-": ("fast", "promoted"),
    "amd-": ("cdna1", "cdna2", "cdna3", "cdna3-fp8"),
    "intel-": ("vdpbf16ps", "amx-bf16", "amx-fp16"),
}
PROMISED = [start + end for start, ends in PRESETS.items() for end in ends] + [
    *("bf16-accumulator", "fp16-accumulator", "nv-fp8-mma-emulated", "nv-blackwell"),
    *("triton-dot-scaled", "arm-fdot", "pulp-mxdotp"),
]


# Roundings.


@pytest.mark.parametrize(
    ("text", "expected", "printed"),
    [
        ("binary32", Round(BINARY32), "binary32"),
        ("Binary32 Toward_Zero", Round(BINARY32, Rounding.TOWARD_ZERO), "binary32 toward-zero"),
        ("bfloat16 flush", Round(BFLOAT16, flush=True), "bfloat16 flush"),
        ("tf32 to-odd", Round(TF32, "to-odd"), "TF32 to-odd"),
        (
            "E8M13 toward-zero stop-at-max",
            Round(E8M13, "toward-zero", False, True),
            "E8M13 toward-zero stop-at-max",
        ),
        (
            "binary16 stop-at-max flush ties-to-away",
            Round(BINARY16, "ties-to-away", True, True),
            "binary16 ties-to-away flush stop-at-max",
        ),
    ],
)
def test_roundings_as_text(text: str, expected: Round, printed: str) -> None:
    step = Fuse(text)
    assert step.out == (expected,)
    assert str(step.out[0]) == printed
    assert Fuse(printed) == step


def test_accumulator_formats_by_pattern_are_of_the_ieee_kind() -> None:
    found = Round("E6M9").format
    assert (found.exponent_bits, found.mantissa_bits, found.emax, found.emin) == (6, 9, 31, -30)
    assert Round("e4m3").format.max.fraction() == 240
    assert Round("E8M13").format is E8M13
    assert (TF32.width, E8M13.width) == (19, 22)


@pytest.mark.parametrize("name", ["E8M0", "INT8", "E2M1:finite", E8M0, formats.E4M3, formats.INT8])
def test_accumulators_need_a_sign_inf_and_nan(name: Any) -> None:
    with pytest.raises(
        BadFormat, match=r"expected a float with sign, Inf and NaN|Inf and NaN must be"
    ):
        Round(name)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("binary33", UnknownName, "unknown element format 'binary33'; did you mean binary32"),
        (
            "binary32 toward-zer",
            UnknownName,
            "unknown Rounding 'toward-zer'; did you mean toward-zero",
        ),
        (
            "binary32 stochastic",
            BadFormat,
            "STOCHASTIC rounding of a sum; an accumulation is deterministic",
        ),
        ("", BadFormat, "rounding ''; expected a text such as 'binary32 toward-zero'"),
        (32, BadFormat, "rounding 32; expected a text"),
    ],
)
def test_roundings_that_are_refused(text: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Chain(Fuse(), terms=text)


# Steps and nodes.


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"fraction_bits": 2, "quantum": 0}, "fraction_bits and quantum: one is relative"),
        (
            {"floor": 2},
            "floor, carried_bits and carried_reach say how terms are cut; expected fraction_bits",
        ),
        ({"carried_bits": 2}, "expected fraction_bits"),
        ({"carried_reach": 2, "quantum": 1}, "expected fraction_bits"),
        ({"width": 8}, "width and saturate belong to a fixed-point register; expected a quantum"),
        ({"saturate": True}, "belong to a fixed-point register"),
        ({"saturate": True, "quantum": 2}, "saturate without a width"),
        ({"quantum": 0, "width": 0}, "width = 0; expected at least 1"),
        ({"fraction_bits": -1}, "fraction_bits = -1; expected at least 0"),
        ({"fraction_bits": 2, "carried_bits": -3}, "carried_bits = -3; expected at least 0"),
        ({"fraction_bits": 2, "carried_reach": -1}, "carried_reach = -1; expected at least 0"),
        ({"fraction_bits": 2.5}, "fraction_bits = 2.5; expected a whole number"),
        ({"fraction_bits": True}, "fraction_bits = True; expected a whole number"),
        ({"fraction_bits": 2, "floor": "-133"}, "floor = '-133'; expected a whole number"),
        ({"align": "stochastic"}, "STOCHASTIC alignment; an accumulation is deterministic"),
    ],
)
def test_steps_that_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadFormat, match=words):
        Fuse(**fields)


def test_a_step_knows_whether_it_cuts() -> None:
    assert [Fuse("binary32").cuts, Fuse(fraction_bits=0).cuts, Fuse(quantum=0).cuts] == [
        False,
        True,
        True,
    ]


STEP = Fuse("binary32")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Chain(STEP, 0), "length = 0; expected at least 1"),
        (lambda: Chain(STEP, 1.0), "length = 1.0; expected at least 1"),
        (lambda: Chain(STEP, order=(0, 2)), "order .0, 2.; expected a permutation of 0, 1"),
        (lambda: Chain(STEP, order=(1, 1)), "expected a permutation"),
        (lambda: Chain(STEP, 2, order=(0, 2, 1)), "order of 3 terms; expected whole groups of 2"),
        (lambda: Chain(Round("binary32")), "step = Round.* of a Chain; expected a Fuse"),
        (lambda: Chain("binary32"), "step = 'binary32' of a Chain; expected a Fuse"),
        (lambda: Sum(None), "step = None of a Sum; expected a Fuse"),
        (lambda: Tree(STEP, 0), "leaf = 0; expected at least 1"),
        (lambda: Nested(STEP, (0, 2)), "tree with the terms .0, 2.; expected 0, 1, ... each once"),
        (lambda: Nested(STEP, (0, (0, 1))), "each once"),
        (lambda: Nested(STEP, (-1, -1, 0)), "each once"),
        (lambda: Nested(STEP, (-1,)), "each once"),
        (lambda: Nested(STEP, ()), "each once"),
        (lambda: Nested(STEP, 0), "tree = 0; expected nested sequences"),
        (lambda: Nested(STEP, (0, "1")), "'1' in a tree; expected the index of a term"),
        (lambda: Nested(STEP, (0, True)), "True in a tree; expected the index of a term"),
        (
            lambda: Parts(-1, Sum(), Sum()),
            "length = -1; expected a number of terms, or 0 for a block",
        ),
        (lambda: Parts(2.0, Sum(), Sum()), "length = 2.0; expected a whole number"),
        (lambda: Parts(2, Fuse(), Sum()), "inner = Fuse.* of a Parts; expected a node"),
        (lambda: Parts(2, Sum(), None), "outer = None of a Parts; expected a node"),
        (
            lambda: Parts(2, Sum(), Sum(), scaled="binary32"),
            "apart and scaled round products with scales; expected scale",
        ),
        (lambda: Lanes(0, Sum(), Sum()), "count = 0; expected at least 1"),
        (lambda: Lanes(2, Sum(), Fuse()), "outer = Fuse.* of a Lanes; expected a node"),
        (lambda: Late(Fuse(), Fuse()), "inner = Fuse.* of a Late; expected a node"),
    ],
)
def test_nodes_that_are_refused(make: Any, words: str) -> None:
    with pytest.raises(BadFormat, match=words):
        make()


def test_groups_of_a_chain() -> None:
    assert [list(group) for group in Chain(STEP, 3).groups(7)] == [[0, 1, 2], [3, 4, 5], [6]]
    twice = Chain(STEP, 2, order=(2, 0, 3, 1))
    assert [list(group) for group in twice.groups(6)] == [[2, 0], [3, 1], [4], [5]]
    assert list(Chain(STEP, 3).groups(0)) == []


def test_a_nested_tree_knows_its_terms() -> None:
    plain, with_c = Nested(STEP, [[0, 1], 2]), Nested(STEP, ((2, -1), (0, 1)))
    assert (plain.count, plain.holds_c, plain.tree) == (3, False, ((0, 1), 2))
    assert (with_c.count, with_c.holds_c) == (3, True)


def test_all_nodes_of_a_tree() -> None:
    inner, outer = Late(Sum(), Fuse()), Chain(STEP)
    tree = Parts(4, Lanes(2, inner, Sum(STEP)), outer)
    assert [type(node).__name__ for node in nodes(tree)] == [
        "Parts",
        "Lanes",
        "Late",
        "Sum",
        "Sum",
        "Chain",
    ]


# Accumulations.


SCALING = Parts(0, Sum(), Sum(), scale=())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rounding": "stochastic"}, "STOCHASTIC rounding of a result"),
        ({"scale_at": "part"}, "scale_at part; expected one parts node with scale, got 0"),
        ({"scale_at": "part", "node": Parts(0, SCALING, Sum(), scale=())}, "got 2"),
        ({"node": SCALING}, "a parts node with scale; expected scale_at part, not product"),
        (
            {"node": Parts(4, Sum(), SCALING), "scale_at": "part"},
            "a parts node with scale under outer",
        ),
        ({"node": Lanes(4, Sum(), Late(SCALING, Fuse())), "scale_at": "part"}, "under outer"),
        ({"scale_at": "operand"}, "scale_at operand; expected an operand_format to round to"),
        (
            {"scale_at": "part", "node": SCALING, "product_exponent": "scale"},
            "product_exponent scale; expected scale_at product",
        ),
        ({"products": "binary32", "product_exponent": "scale"}, "expected no product_exponent"),
        ({"product_limit": 1.5}, "product_limit = 1.5; expected a whole number"),
        (
            {"node": Fuse()},
            "node = Fuse.*; expected one of sum, chain, tree, nested, parts, lanes, late",
        ),
        ({"operands": "E4M3"}, "operands = 'E4M3'; expected a list of names"),
        ({"operands": [formats.E4M3]}, "expected a list of names"),
        ({"operand_format": "E8M0"}, "Inf and NaN"),
    ],
)
def test_accumulations_that_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadFormat, match=words):
        Accumulation(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"zero_sign": "positiv"}, "unknown ZeroSign 'positiv'; did you mean positive"),
        ({"nan_word": "quite"}, "unknown NanWord 'quite'; did you mean quiet"),
        ({"scale_at": "parts"}, "unknown ScaleAt 'parts'; did you mean part"),
        ({"grade": "measurd"}, "unknown Grade 'measurd'; did you mean measured"),
        (
            {"product_exponent": "max"},
            "unknown ProductExponent 'max'; expected one of sum, normalised, scale",
        ),
        (
            {"operand_subnormals": "flushed"},
            "unknown OperandSubnormals 'flushed'; did you mean flush",
        ),
        ({"rounding": None}, "unknown Rounding None"),
    ],
)
def test_choices_get_a_did_you_mean(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UnknownName, match=words):
        Accumulation(**fields)


def test_records_are_data() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXACT.name = "other"  # type: ignore[misc]
    assert hash(EXACT) == hash(Accumulation("exact"))
    assert str(EXACT) == "exact"
    assert Accumulation().node == Sum()
    assert Accumulation(zero_sign=ZeroSign.POSITIVE) == Accumulation(zero_sign="positive")
    assert Accumulation(zero_sign="POSITIVE").zero_sign is ZeroSign.POSITIVE
    assert Accumulation(nan_word="all_ones").nan_word is NanWord.ALL_ONES


def test_replace_makes_a_custom_record_that_claims_nothing() -> None:
    preset = find("nv-hopper")
    changed = preset.replace(nan_word="quiet")
    assert (changed.name, changed.grade, changed.nan_word) == (
        "custom",
        Grade.UNVERIFIED,
        NanWord.QUIET,
    )
    assert changed.node == preset.node
    assert preset.replace(name="mine", grade="document").grade is Grade.DOCUMENT
    with pytest.raises(
        UnknownName, match="unknown accumulation field 'nanword'; did you mean nan_word"
    ):
        preset.replace(nanword="quiet")
    with pytest.raises(BadFormat, match="expected an operand_format"):
        preset.replace(scale_at="operand")


def test_same_arithmetic_looks_past_names() -> None:
    assert EXACT.same_arithmetic(
        Accumulation("other", note="a note", grade="document", operands=("E4M3",))
    )
    assert not EXACT.same_arithmetic(EXACT.replace(rounding="toward-zero"))
    assert EXACT.replace() != EXACT
    assert find("nv-blackwell").same_arithmetic(find("nv-hopper"))


# Names.


def test_presets_that_are_promised() -> None:
    assert [name for name in PROMISED if name not in ACCUMULATIONS] == []
    assert next(iter(ACCUMULATIONS)) == "exact"
    assert ACCUMULATIONS["exact"] is EXACT
    assert all(name == record.name for name, record in ACCUMULATIONS.items())


@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_every_preset_says_what_it_rests_on(name: str) -> None:
    record = ACCUMULATIONS[name]
    assert record.note
    assert record.source or record.grade is Grade.DEFINITION
    assert all(operand == "TF32" or formats.element(operand) for operand in record.operands)
    vendor = name.split("-", maxsplit=1)[0] in (
        "nv",
        "amd",
        "intel",
        "arm",
        "pulp",
        "cublas",
        "triton",
    )
    assert (record.grade is Grade.DEFINITION) == (not vendor)


def test_names_are_found_in_any_case() -> None:
    assert find("NV_Hopper ") is ACCUMULATIONS["nv-hopper"]
    assert find(EXACT) is EXACT
    with pytest.raises(
        UnknownName, match="unknown accumulation 'nv-hoper'; did you mean nv-hopper"
    ):
        find("nv-hoper")
    with pytest.raises(UnknownName, match="unknown accumulation 'zzz'; expected one of exact, "):
        find("zzz")
    with pytest.raises(UnknownName, match="unknown accumulation None"):
        find(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kulisch(64, -32)", kulisch(64, -32)),
        ("Kulisch(8,0)", kulisch(8, 0)),
        ("kulisch( 96 , -48 , saturate )", kulisch(96, -48, saturate=True)),
    ],
)
def test_registers_by_name(text: str, expected: Accumulation) -> None:
    found = find(text)
    assert found == expected
    assert find(found.name) == found


def test_registers_that_are_refused() -> None:
    with pytest.raises(BadFormat, match="width = 0; expected at least 1"):
        find("kulisch(0, 4)")
    for text in ("kulisch(8)", "kulisch(-8, 0)", "kulisch(8, 0, wrap)"):
        with pytest.raises(UnknownName, match="did you mean kulisch"):
            find(text)


# Tables.


@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_presets_survive_their_table(name: str) -> None:
    record = ACCUMULATIONS[name]
    table = to_mapping(record)
    again = from_mapping(table)
    assert again == record
    for field in FIELDS:  # those that are left out of comparisons too
        assert getattr(again, field) == getattr(record, field)
    assert to_mapping(again) == table
    assert {type(leaf) for leaf in _leaves(table)} <= {str, int, bool}


def _leaves(table: Any) -> list[Any]:
    if isinstance(table, dict):
        return [leaf for one in table.values() for leaf in _leaves(one)]
    return [leaf for one in table for leaf in _leaves(one)] if isinstance(table, list) else [table]


def test_the_file_holds_no_field_at_its_default() -> None:
    tables = tomllib.loads(files("mxemu").joinpath("accumulations.toml").read_text("utf-8"))
    for name, table in tables.items():
        assert to_mapping(from_mapping(table | {"name": name})) == table | {"name": name}


def test_a_table_may_start_from_a_preset() -> None:
    record = from_mapping({"preset": "nv-hopper", "name": "mine", "zero_sign": "ieee"})
    assert (record.name, record.zero_sign, record.grade) == (
        "mine",
        ZeroSign.IEEE,
        Grade.UNVERIFIED,
    )
    assert record.node == find("nv-hopper").node
    assert from_mapping({"preset": "exact"}).same_arithmetic(EXACT)
    assert from_mapping({}) == Accumulation()
    assert from_mapping({"node": Sum()}) == Accumulation()


CHAIN = {"kind": "chain", "step": {"out": "binary32"}}


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        (
            {"nodes": CHAIN},
            UnknownName,
            "unknown accumulation field 'nodes'; did you mean node or note",
        ),
        (
            {"preset": "nv-hoper"},
            UnknownName,
            "unknown accumulation 'nv-hoper'; did you mean nv-hopper",
        ),
        (
            {"node": {"kind": "chian"}},
            UnknownName,
            "unknown kind of accumulation node 'chian'; did you mean chain",
        ),
        ({"node": {"kind": ["chain"]}}, UnknownName, "unknown kind of accumulation node"),
        ({"node": "chain"}, UnknownName, "unknown kind of accumulation node 'chain'"),
        (
            {"node": {}},
            UnknownName,
            "unknown kind of accumulation node None; expected one of sum, chain",
        ),
        (
            {"node": CHAIN | {"lenght": 2}},
            UnknownName,
            "unknown field of a chain node 'lenght'; did you mean length",
        ),
        (
            {"node": {"kind": "chain", "step": {"outs": "binary32"}}},
            UnknownName,
            "unknown field of a step 'outs'; did you mean out",
        ),
        (
            {"node": {"kind": "chain", "step": "binary32"}},
            BadFormat,
            "step = 'binary32'; expected a table",
        ),
        ({"node": {"kind": "chain"}}, BadFormat, "a chain node; expected its field 'step'"),
        (
            {"node": {"kind": "parts", "length": 2}},
            BadFormat,
            "a parts node; expected its field.* 'inner' and 'outer'",
        ),
        (
            {"node": {"kind": "parts", "length": 2, "inner": CHAIN, "outer": 3}},
            UnknownName,
            "unknown kind of accumulation node 3",
        ),
        ({"node": CHAIN | {"length": "8"}}, BadFormat, "length = '8'; expected at least 1"),
        ({"node": CHAIN, "zero_sign": "none"}, UnknownName, "unknown ZeroSign 'none'"),
    ],
)
def test_tables_that_are_refused(table: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        from_mapping(table)


@pytest.mark.parametrize(
    "node",
    [
        Sum(Fuse(("E8M31 toward-negative", "binary32"), 32, "toward-negative", -126, 24, 25)),
        Sum(Fuse(quantum=-4, width=9, saturate=True)),
        Chain(Fuse(), 2, (1, 0), "binary32 flush"),
        Chain(Fuse(), order=(0,)),
        Tree(Fuse("TF32"), 3, "bfloat16"),
        Nested(Fuse(), ((0, (1,)), -1), "binary16"),
        Lanes(3, Sum(), Late(Chain(Fuse()), Fuse("E8M13 stop-at-max"))),
        Parts(4, Tree(Fuse()), Sum()),
    ],
)
def test_nodes_survive_their_table(node: Any) -> None:
    record = Accumulation(node=node)
    assert from_mapping(to_mapping(record)) == record


@pytest.mark.parametrize(
    ("scale", "scaled"), [((), None), ("E8M2", None), (("E8M2", "E8M3"), "binary32")]
)
def test_scaling_parts_survive_their_table(scale: Any, scaled: str | None) -> None:
    record = Accumulation(node=Parts(0, Sum(), Sum(), scale, scaled), scale_at="part")
    assert from_mapping(to_mapping(record)) == record


@pytest.mark.parametrize("fmt", [formats.E5M2, formats.E3M4, formats.E4M3IEEE, TF32, BINARY16])
def test_records_of_formats_survive_their_table(fmt: Any) -> None:
    record = Accumulation(node=Sum(Fuse(Round(fmt))), operand_format=fmt)
    assert from_mapping(to_mapping(record)).same_arithmetic(record)
