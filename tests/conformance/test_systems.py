"""The subjects that run in environments of their own: their files, their results, and how they are run."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conformance import known, system_pages
from conformance.adapter import parse
from conformance.runner import Filters, Run, check
from conformance.systems import ragged
from conformance.systems import run as results
from conformance.systems.naming import NO_CODE, codes_of
from conformance.target import declared_profile, load, requirements, system_folder, systems
from conformance.worker import InProcess
from mxemu.block import value_bits
from mxemu.errors import MxemuError
from mxemu.formats import BINARY64, element
from mxemu.profile import from_mapping
from mxemu.scalar import decode

ROOT = Path(__file__).resolve().parents[2]
DEVIATING = ("FAIL", "crash", "unsupported")


def result_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((system_folder(name) / results.RESULT).read_text("utf-8"))
    return found


# Files and results.


@pytest.mark.parametrize("name", systems())
def test_a_subject_is_pinned_and_says_what_it_follows(name: str) -> None:
    assert all(line.count("==") == 1 for line in requirements(name))
    declared = declared_profile(name)
    profile = from_mapping({"preset": declared} if isinstance(declared, str) else declared)
    assert profile.departures() == ()
    text = (system_folder(name) / "profile.toml").read_text("utf-8")
    assert tomllib.loads(text)["source"]
    assert text.startswith("# What ")


@pytest.mark.parametrize("name", systems())
def test_a_result_is_that_of_the_files_beside_it(name: str) -> None:
    result = result_of(name)
    assert (result["schema"], result["system"]) == (results.SCHEMA, name)
    assert result["requirements"] == list(requirements(name))
    assert date.fromisoformat(result["date"]).isoformat() == result["date"]
    variants = [report["subject"]["variant"] for report in result["reports"]]
    assert variants[0] is None
    assert len(set(variants)) == len(variants)
    for report in result["reports"]:
        assert report["level"] == "core"
        assert report["subject"]["name"] == name
        assert report["groups"]


@pytest.mark.parametrize("name", systems())
def test_a_result_deviates_exactly_as_its_file_says(name: str) -> None:
    for report in result_of(name)["reports"]:
        deviating = [group for group in report["groups"] if group["verdict"] in DEVIATING]
        assert report["known"] == {"deviations": len(deviating), "new": [], "stale": []}


@pytest.mark.parametrize("name", systems())
def test_each_known_deviation_shows_in_the_result(name: str) -> None:
    page = system_pages.pages(ROOT)[f"systems/{name}.md"]["system"]
    shown = [one["reason"] for report in page["reports"] for one in report["deviations"]]
    entries = tomllib.loads((system_folder(name) / "known.toml").read_text("utf-8"))
    assert set(shown) == {one["reason"] for one in entries.get("deviation", [])}
    for report in page["reports"]:
        for one in report["deviations"]:
            assert one["examples"] or one["verdict"] in ("crash", "unsupported")


@pytest.mark.parametrize("name", ["torchao", "pychop", "nncf", "gguf", "openvino", "onnx"])
def test_a_missing_library_is_named_with_its_pin(name: str, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"conformance.systems.{name}.adapter", raising=False)
    with pytest.raises(MxemuError, match=f"needs {requirements(name)[0]}"):
        load(name)


# Facts that the results must go on to show, each found by hand first.


def groups(name: str, variant: str | None, **wanted: str) -> Iterator[dict[str, Any]]:
    for report in result_of(name)["reports"]:
        for group in report["groups"] if report["subject"]["variant"] == variant else ():
            if all(group[key] == value for key, value in wanted.items()):
                yield group


def simplest(name: str, variant: str | None, clause: str, **wanted: str) -> tuple[str, str, str]:
    found = [one for group in groups(name, variant, **wanted) for one in group["clusters"]]
    case = next(one for one in found if one["clause"] == clause and one["verdict"] == "FAIL")
    return case["input"]["hex"], case["dut"]["hex"], case["ref"]["hex"]


def test_torchao_halves_the_data_under_the_smallest_scale() -> None:
    case = simplest("torchao", None, "MX-6.3-ELEM", format="MXFP8_E4M3", carrier="binary32")
    assert case == ("0x03800000", "0x68", "0x70")  # 64 where 2^-120 / 2^-127 is 128
    case = simplest("torchao", "rceil", "MX-6.3-ELEM", format="MXFP8_E4M3", carrier="binary32")
    assert case == ("0x03800000", "0x00", "0x70")  # and by RCEIL nothing is left


def test_torchao_takes_the_ceiling_of_a_rounded_logarithm() -> None:
    case = simplest("torchao", "rceil", "MX-6.3-SCALE", format="MXFP8_E4M3", carrier="binary32")
    assert case == ("0x3FE00001", "0x77", "0x78")
    assert not list(groups("torchao", "rceil", carrier="bfloat16", verdict="pass"))


@pytest.mark.parametrize(("fmt", "first"), [("E4M3", "0x3A800001"), ("E5M2", "0x476FFFFF")])
def test_openvino_rounds_binary32_by_way_of_binary16(fmt: str, first: str) -> None:
    (group,) = groups("openvino", None, operation="encode", format=fmt, carrier="binary32")
    assert group["hypotheses"][0]["name"] == "double-rounding-binary16"
    assert group["clusters"][0]["input"]["hex"] == first
    (half,) = groups("openvino", None, operation="encode", format=fmt, carrier="binary16")
    assert half["verdict"] == "pass"


def test_nncf_changes_its_scale_with_the_size_of_the_array() -> None:
    zeros = {}
    for variant in (None, "large"):
        (group,) = groups("nncf", variant, format="MXFP4_E2M1", carrier="binary32")
        zeros[variant] = next(one for one in group["clusters"] if one["verdict"] == "free")
    assert zeros[None]["input"]["hex"] == zeros["large"]["input"]["hex"] == "0x00000000"
    assert (zeros[None]["dut"]["value"], zeros["large"]["dut"]["value"]) == ("2^-23", "2^-25")


def test_pychop_takes_scales_from_a_rounded_logarithm() -> None:
    for carrier in ("binary32", "binary64"):
        (group,) = groups(
            "pychop", None, operation="quantize", format="MXFP8_E4M3", carrier=carrier
        )
        assert group["hypotheses"][0]["name"] == f"float-log2-{carrier}"
        assert group["hypotheses"][0]["explains"] == group["hypotheses"][0]["of"]


def test_pychop_loses_the_block_size_and_bfloat16_on_its_way_through_torch() -> None:
    failing = {}
    for variant in (None, "torch"):
        (group,) = groups(
            "pychop",
            variant,
            operation="fake_quantize",
            format="E2M1/E8M0/16",
            carrier="binary32",
            asked="",
        )
        failing[variant] = group["verdicts"]["FAIL"]
    assert failing["torch"] > failing[None]
    assert {group["verdict"] for group in groups("pychop", "torch", carrier="bfloat16")} == {
        "crash"
    }


def test_pychop_lets_blocks_straddle_rows_and_microxcaling_does_not() -> None:
    wanted = {"format": "MXFP4_E2M1", "carrier": "binary32", "asked": ""}
    counts = {
        (name, variant): next(groups(name, variant, operation="fake_quantize", **wanted))
        for name in ("pychop", "microxcaling")
        for variant in (None, "ragged")
    }
    failing = {key: group["verdicts"]["FAIL"] for key, group in counts.items()}
    assert failing["microxcaling", "ragged"] == failing["microxcaling", None]
    assert failing["pychop", "ragged"] > failing["pychop", None]


def test_the_headers_of_cuda_are_right_throughout() -> None:
    verdicts = {
        group["verdict"]
        for report in result_of("cuda_headers")["reports"]
        for group in report["groups"]
    }
    assert verdicts == {"pass"}


def test_compressed_tensors_gives_the_largest_blocks_the_scale_one() -> None:
    wanted = {"format": "MXFP8_E4M3", "carrier": "binary32"}
    case = simplest("compressed_tensors", None, "MX-6.3-SCALE", **wanted)
    assert case[1:] == ("0x7F", "0xF7")
    (group,) = groups("compressed_tensors", None, **wanted)
    assert [theme["theme"] for theme in group["themes"]] == ["scale-byte-254"]


def test_gguf_wraps_small_scales_around() -> None:
    (group,) = groups("gguf", None, operation="quantize")
    themes = {theme["theme"]: theme["case"] for theme in group["themes"]}
    assert "dut scale 0xE8 11101000 = 2^105" in themes["input-subnormal-flush"]
    case = simplest("gguf", None, "MX-6.3-RNE", operation="quantize")
    assert case == ("0xBEE00000", "0xD", "0xE")  # -7/16 / 2^-3 is a tie, and goes to the odd code
    case = simplest("gguf", None, "MX-5.1-NANSCALE", operation="dequantize")
    assert case[1:] == ("0x00000000", "0x7FC00000")


def test_onnx_is_right_but_from_binary64() -> None:
    wrong = {group["carrier"] for group in groups("onnx", None, verdict="FAIL")}
    assert wrong == {"binary64"}


def test_auto_round_is_right_from_bfloat16_but_for_minus_zero() -> None:
    for group in groups("neural_compressor", "auto_round", carrier="bfloat16"):
        expected = 0 if "INT" in group["format"] else 1
        assert group["verdicts"]["FAIL"] == expected


def test_fms_rounds_to_bfloat16_first_by_default() -> None:
    wanted = {"format": "MXFP8_E4M3", "carrier": "binary32", "asked": "rounding=ties-to-even"}
    counts = [
        next(groups("fms_model_optimizer", variant, **wanted))["verdicts"]["FAIL"]
        for variant in (None, "no_bfloat")
    ]
    assert counts[0] > counts[1] > 0


def test_nncf_takes_a_weight_of_binary64_if_it_is_small() -> None:
    for variant, verdict in ((None, "FAIL"), ("large", "crash")):
        found = {group["verdict"] for group in groups("nncf", variant, carrier="binary64")}
        assert found == {verdict}


@pytest.mark.parametrize(("fmt", "largest"), [("E4M3", "-448"), ("E5M2", "-57344")])
def test_openvino_makes_the_most_negative_number_of_nan(fmt: str, largest: str) -> None:
    (group,) = groups("openvino", "fake_convert", format=fmt, carrier="bfloat16")
    (case,) = group["clusters"]
    assert (case["input"]["value"], case["dut"]["value"]) == ("NaN", largest)


def test_openvino_doubles_what_rounds_up_to_a_subnormal() -> None:
    (group,) = groups("openvino", "constant", format="E5M2", carrier="binary32")
    themes = {theme["theme"]: theme["case"] for theme in group["themes"]}
    assert "dut 0x04 0_00001_00 = 2^-14  ref 0x02 0_00000_10 = 2^-15" in themes["carry-lost"]


def test_ml_dtypes_rounds_scalars_once() -> None:
    wanted = {"operation": "encode", "format": "E4M3", "carrier": "binary64"}
    verdicts = [next(groups("ml_dtypes", one, **wanted))["verdict"] for one in (None, "scalar")]
    assert verdicts == ["FAIL", "pass"]


def test_compressed_tensors_makes_inf_of_a_nan_scale() -> None:
    for group in groups("compressed_tensors", None, operation="dequantize"):
        assert group["hypotheses"][0]["name"] == "scale_nan=inf"
        assert group["clusters"][0]["dut"]["value"] == "Inf"


# Shapes.


@pytest.mark.parametrize(("k", "dtype"), [(32, "float32"), (24, "float64"), (24, "uint16")])
def test_ragged_rows_give_back_the_block_that_went_in(k: int, dtype: str) -> None:
    values = np.arange(3 * k).reshape(3, k).astype(dtype)
    seen: list[tuple[int, ...]] = []

    def quantizer(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        seen.append(rows.shape)
        return rows

    assert np.array_equal(ragged.in_ragged_rows(quantizer, values), values)
    assert all(width % ragged.WIDE for _, width in seen)


# Pages.


def test_there_is_a_page_for_each_result_and_one_of_all() -> None:
    found = system_pages.pages(ROOT)
    assert set(found) == {"systems/index.md", *(f"systems/{name}.md" for name in systems())}


def test_without_results_there_are_no_pages(tmp_path: Path) -> None:
    assert system_pages.pages(tmp_path) == {}


def test_the_matrix_names_the_carriers_that_fail() -> None:
    page = system_pages.pages(ROOT)["systems/onnx.md"]["system"]
    cells = page["reports"][0]["cells"]
    assert (cells["E4M3"], cells["INT8"]) == ("FAIL (binary64)", "")
    assert {"what", "why"} == set(page["left_out"][0])
    assert page["called"][0].startswith("onnx: ")
    openvino = system_pages.pages(ROOT)["systems/openvino.md"]["system"]["reports"][0]
    assert openvino["cells"]["E2M1"] == "free"
    row = next(row for row in openvino["rows"] if row["format"] == "E4M3")
    assert openvino["carriers"] == ["binary32", "bfloat16", "binary16"]
    assert [cell.partition(" ")[0] for cell in row["cells"]] == ["FAIL", "pass", "pass"]


# Names of values.


@pytest.mark.parametrize("name", ["E5M2", "E4M3", "E3M2", "E2M3", "E2M1", "INT8", "E8M0"])
def test_every_value_gets_its_code_back(name: str) -> None:
    fmt = element(name)
    values = [decode(code, fmt) for code in range(1 << fmt.width)]
    bits = np.array([value_bits(value, BINARY64) for value in values], dtype=np.uint64)
    found = codes_of(bits.view(np.float64), name)
    expected = [code if not value.is_nan else found[code] for code, value in enumerate(values)]
    assert found.tolist() == expected
    assert all(
        values[code].is_nan for code, value in zip(found, values, strict=True) if value.is_nan
    )


def test_a_value_without_a_code_has_none() -> None:
    strange = np.array([0.25, 7.0, np.inf, np.nan, -0.0])
    assert codes_of(strange, "E2M1").tolist() == [NO_CODE] * 4 + [0x8]
    assert codes_of(np.array([-0.0, 2.0, -2.0]), "INT8").tolist() == [0, NO_CODE, 0x80]


# Known deviations of variants.


VARIANT = """
[[deviation]]
operation = "encode"
formats = ["E2M1"]
carriers = ["binary32"]
variants = {variants}
verdict = "FAIL"
reason = "only there, and nowhere else at all"
"""


@pytest.mark.parametrize(
    ("variants", "target", "expected"),
    [
        ('["base"]', "torchao", 1),
        ('["base"]', "torchao[even]", 0),
        ('["even", "ceil"]', "torchao[even]", 1),
        ('["even", "ceil"]', "torchao", 0),
    ],
)
def test_an_entry_may_be_for_some_variants(
    tmp_path: Path, variants: str, target: str, expected: int
) -> None:
    path = tmp_path / "known.toml"
    path.write_text(VARIANT.format(variants=variants))
    assert len(known.load(str(path), target)) == expected


# A scale conversion that nothing explains: the search by way of binary32 has to come to an end.


def test_an_unexplained_scale_conversion_is_left_unexplained() -> None:
    offer = {"encode": {"formats": ["E8M0"], "carriers": ["binary64"]}}
    subject = SimpleNamespace(
        name="odd",
        version="1",
        capabilities=parse("odd", "1", {"operations": offer}),
        encode=lambda values, _: np.arange(len(values)) % 255,
    )
    worker = InProcess(subject)
    found = check(worker, Run("odd", worker.introduce(), "smoke", None), Filters())
    assert found.groups[0].open_hypothesis is None
