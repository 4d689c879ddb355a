"""The committed vectors: as the manifest and the schemas say, and right, by the oracle."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import agree
import jsonschema
import oracle
import pytest

from conformance import zoo
from conformance.vectors import files, shipped
from conformance.vectors.bins import cases_of
from conformance.vectors.suites import Key, catalogue, suite
from conformance.vectors.table import Role
from conformance.vectors.verify import verify

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "vectors"
MANIFEST = json.loads((VECTORS / "manifest.json").read_text(encoding="utf-8"))
SETS = [one for one in MANIFEST["files"] if one["form"] == "json"]
SCHEMAS = ROOT / "conformance" / "vectors"


def test_the_manifest_lists_every_file_with_its_hash() -> None:
    listed = {one["path"]: one["sha256"] for one in MANIFEST["files"]}
    there = {
        path.relative_to(VECTORS).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VECTORS.rglob("*")
        if path.is_file() and path.parent != VECTORS
    }
    assert listed == there
    assert sum(path.stat().st_size for path in VECTORS.rglob("*") if path.is_file()) < 10_000_000


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((SCHEMAS / "vectors.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_manifest_follows_its_schema() -> None:
    schema = json.loads((SCHEMAS / "manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(MANIFEST)


@pytest.mark.parametrize("operation", sorted({one["operation"] for one in SETS}))
def test_files_follow_their_schema_and_the_manifest(
    operation: str, validator: jsonschema.Draft202012Validator
) -> None:
    for entry in (one for one in SETS if one["operation"] == operation):
        record = json.loads((VECTORS / entry["path"]).read_text(encoding="utf-8"))
        validator.validate(record)
        assert record["count"] == entry["vectors"]
        assert len({vector["id"] for vector in record["vectors"]}) == record["count"]
        for name in ("note", "clause"):
            counts: dict[str, int] = {}
            for vector in record["vectors"]:
                counts[vector[name]] = counts.get(vector[name], 0) + 1
            assert counts == entry[f"{name}s"]


@pytest.mark.parametrize("operation", sorted(agree.OPERATIONS))
def test_the_oracle_agrees_with_every_vector(operation: str) -> None:
    total = 0
    for entry in (one for one in SETS if one["operation"] == operation):
        count, wrong = agree.disagreements(VECTORS / entry["path"])
        assert not wrong, wrong[:5]
        total += count
    assert total == MANIFEST["counts"]["operation"][operation]


def test_the_manifest_counts_what_the_oracle_agreed_with() -> None:
    counts = MANIFEST["counts"]["operation"]
    assert MANIFEST["agreement"]["vectors"] == sum(counts[name] for name in agree.OPERATIONS)
    assert set(counts) - set(agree.OPERATIONS) == {"pack"}


def test_exact_sums_of_products_are_exact() -> None:
    for entry in (one for one in SETS if one["operation"] == "dot"):
        record = json.loads((VECTORS / entry["path"]).read_text(encoding="utf-8"))
        for vector in record["vectors"][::3]:
            if vector["why"]["exact_sum"] in ("NaN", "Inf", "-Inf"):
                continue
            fields = {one["name"]: one for one in record["fields"]}
            given = {
                name: agree.numbers_of(text, fields[name]) for name, text in vector["in"].items()
            }
            a, b = (
                [
                    oracle.dequantize(given[scale][0], code, agree.element_of(record, side)).real
                    for code in given[codes]
                ]
                for side, (codes, scale) in enumerate((("a", "sa"), ("b", "sb")))
            )
            total = sum(x * y for x, y in zip(a, b, strict=True))
            total += oracle.decode(given["c"][0], "binary32").real
            assert agree.exact_sum(vector) == total


def test_packed_bytes_by_formulas_of_their_own() -> None:
    """Where the layouts put their codes, written down once more."""
    formulas = {
        "e2m1/pack.dense": lambda codes, i: (
            codes[2 * i] | (codes[2 * i + 1 : 2 * i + 2] or [0])[0] << 4
        ),
        "e2m1/pack.high-nibble-first": lambda codes, i: (
            codes[2 * i] << 4 | (codes[2 * i + 1 : 2 * i + 2] or [0])[0]
        ),
        "e2m1/pack.split-halves-32": lambda codes, i: codes[i] | codes[i + 16] << 4,
        "e2m1/pack.bytes": lambda codes, i: codes[i],
        "e2m3/pack.dense": lambda codes, i: (
            sum(code << (6 * at) for at, code in enumerate(codes)) >> (8 * i) & 255
        ),
    }
    for name, formula in formulas.items():
        path = VECTORS / f"mx-1.0/{name}.smoke.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        fields = {one["name"]: one for one in record["fields"]}
        for vector in record["vectors"]:
            codes = agree.numbers_of(vector["in"]["codes"], fields["codes"])
            found = agree.numbers_of(vector["out"]["bytes"], fields["bytes"])
            assert found == [formula(codes, i) for i in range(len(found))], (name, vector["id"])


def test_both_forms_hold_the_same_vectors() -> None:
    for entry in SETS:
        path = VECTORS / entry["path"]
        one, other = files.read(path), files.read(path.with_suffix(".memh"))
        assert one.table.fields == other.table.fields
        for left, right in zip(one.batches(), other.batches(), strict=True):
            for field in one.table.fields:
                a, b = left.columns[field.name], right.columns[field.name]
                assert (a == b).all(), (path, field)


def test_every_set_of_the_catalogue_is_committed() -> None:
    names = {f"{shipped.SUITE}/{key.name}.smoke.json" for key in catalogue("smoke")}
    assert names == {one["path"] for one in SETS}
    assert all(shipped.shipped_key(name) is not None for name in names)


def test_ids_depend_on_inputs_and_choices_alone() -> None:
    path = VECTORS / "mx-1.0/e2m1/encode.binary32.smoke.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    first = record["vectors"][0]
    about = [1, "encode", "E2M1", "binary32", {}, first["in"]["value"]]
    assert first["id"] == hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


@pytest.mark.parametrize("member", zoo.MEMBERS, ids=lambda member: member.name)
def test_the_committed_vectors_catch_every_mistake(member: Any) -> None:
    """Some committed set holds a vector that each member of the zoo gets wrong."""
    for key in catalogue("smoke"):
        found = suite(key)
        judge = found.judge()
        if judge is None or not member.touches(judge):
            continue
        for profile in ({}, {"overflow": "overflow"}):
            own = key.profile.replace(**profile)
            for batch in found.batches():
                judged = judge.on(cases_of(found, batch))
                if judged.compare(member.outcome(judged, own), own)[0].any():
                    return
    assert member.name in NEEDS_MORE


# What no vectors are committed of: binary64 inputs, products and rows of several blocks, conversions to a scale
# format (no clause defines them), values there and back in one go, and profiles that are not the default.
NEEDS_MORE = {
    *("double-rounding-binary32", "float-log2-binary64", "inputs-in-binary32"),
    *("row-scales-crossed", "scales-of-first-row", "blocks-straddle-rows"),
    *("scale-cast-short-mask", "scale-cast-by-way-of-bfloat16", "scale-cast-by-way-of-binary32"),
    *("scale-cast-negative-nan", "scale-cast-keeps-sign"),
    "int8-negative-zero",
    "scale-carry-to-inf",
}


def test_runs_tables_under_scales_are_the_scaled_encoder() -> None:
    paths = sorted(VECTORS.rglob("encode-scaled.*.runs.csv"))
    assert len(paths) == 6 * len(shipped.RUN_SCALES)
    for path in paths:
        scale = int(path.name.split(".")[2][1:], 16)
        name = path.parent.name.split("_")[-1].removeprefix("mx").upper()
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert int(rows[0]["first_bits"], 16) == 0
        assert int(rows[-1]["last_bits"], 16) == (1 << 32) - 1
        for row in rows[:: max(1, len(rows) // 24)]:
            for bits in {int(row["first_bits"], 16), int(row["last_bits"], 16)}:
                value = oracle.decode(bits, "binary32")
                if value.kind != "nan":
                    divided = agree.divided(value, scale)
                    assert int(row["code"], 16) == oracle.encode(divided, name).code


def test_a_committed_file_verifies_and_a_changed_one_does_not() -> None:
    key = Key("quantize", "MXFP4_E2M1", "bfloat16", "smoke")
    reader = files.read(VECTORS / f"mx-1.0/{key.name}.smoke.memh")
    assert reader.table.of(Role.OUT)[0].name == "scale"
    assert verify(suite(key), reader.batches()).wrong == 0
