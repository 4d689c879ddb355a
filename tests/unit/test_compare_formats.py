"""compare_formats: each row is what the statistics of the blocks say, whatever the pieces."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from fractions import Fraction
from math import inf, isnan
from typing import Any

import ml_dtypes
import numpy as np
import pandas as pd
import pytest

import mxemu
from mxemu import block
from mxemu.array import pieces as pieces_module
from mxemu.array.compare import FORMATS, compare_formats, measure
from mxemu.array.pieces import InMemory, numbers_of, pieces
from mxemu.errors import BadShape, BadType, BadValue, UnknownName
from mxemu.formats import CARRIERS, CONCRETE
from mxemu.profile import OCP, PRESETS
from mxemu.scalar import Status

Array = np.ndarray[Any, Any]

COLUMNS = [
    "format",
    "profile",
    "bits_per_element",
    "sqnr",
    "max_abs_error",
    "mean_abs_error",
    "clip_rate",
    "zero_rate",
    "underflow_rate",
    "nan_scales",
    "min_scale",
    "max_scale",
]
COUNTS = [
    "format",
    "profile",
    "elements",
    "inexact",
    "overflow",
    "underflow",
    "invalid",
    "saturated",
    "flushed",
    "nan_made",
    "inf_made",
]


def sample(shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    return np.random.default_rng(11).standard_normal(shape).astype(dtype)


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.to_dict("records")


def test_a_row_for_each_format_and_profile() -> None:
    frame, counts = compare_formats(
        sample((4, 64)), profiles=["ocp", PRESETS["rceil"]], status=True
    )
    assert list(frame.columns) == COLUMNS
    assert list(counts.columns) == COUNTS
    names = [(fmt, profile) for fmt in FORMATS for profile in ("ocp", "rceil")]
    assert list(zip(frame.format, frame.profile, strict=True)) == names
    assert list(zip(counts.format, counts.profile, strict=True)) == names
    assert [fmt.name for fmt in CONCRETE] == list(FORMATS)
    assert isinstance(compare_formats(sample((32,))), pd.DataFrame)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("scale", [None, 0.5, "amax"])
def test_rows_are_the_statistics_of_blocks(axis: int, scale: Any) -> None:
    x = sample((70, 90))
    x[3, 4], x[60, 80], x[10] = np.nan, np.inf, 0
    formats = ["MXFP8_E4M3", "NVFP4", "INT5/E8M0/7"]
    choices = [OCP, PRESETS["finite-amax"].replace(overflow="overflow")]
    found, counts = compare_formats(x, formats, choices, axis=axis, tensor_scale=scale, status=True)
    place = 0
    for fmt in formats:
        for profile in choices:
            given = {"axis": axis, "profile": profile, "tail": "partial", "tensor_scale": scale}
            blocks, status = mxemu.quantize(x, fmt, return_status=True, **given)
            expected = blocks.statistics(x)
            row, count = rows(found)[place], rows(counts)[place]
            assert expected.errors is not None
            assert row["bits_per_element"] == expected.bits_per_element
            assert row["sqnr"] == expected.sqnr
            assert row["max_abs_error"] == expected.max_abs_error
            assert row["mean_abs_error"] == expected.mean_abs_error
            assert row["clip_rate"] == expected.clip_rate
            assert row["zero_rate"] == expected.zero_rate
            assert row["nan_scales"] == expected.nan_scales
            n = blocks.shape[blocks.axis]
            kept = status.reshape(*status.shape[:-2], -1)[..., :n]
            for bit in Status:
                if bit:
                    key = str(bit.name).lower()
                    assert count[key] == np.count_nonzero(kept & int(bit)), key
            assert row["underflow_rate"] == count["underflow"] / x.size
            assert count["elements"] == x.size
            assert count["flushed"] == expected.errors.flushed
            assert count["nan_made"] == expected.errors.nan_made
            assert count["inf_made"] == expected.errors.inf_made
            place += 1
    assert place == len(found) == 6


def test_counts_are_those_of_the_core() -> None:
    x = sample((3, 64)) * np.float32(2.0**-20)
    x[:, ::9] = 1
    _, counts = compare_formats(x, ["MXFP6_E3M2"], status=True)
    expected: Counter[str] = Counter()
    for row in x.reshape(-1, 32):
        one = block.quantize_bits(row.view(np.uint32).tolist(), "binary32", "MXFP6_E3M2")
        for status in one.status:
            expected.update(status.names())
    (row,) = rows(counts)
    names = [str(bit.name).lower() for bit in Status if bit]
    assert {name: row[name] for name in names} == {name: expected[name] for name in names}
    assert expected["underflow"] > 0


def test_scales_as_values() -> None:
    x = np.zeros((2, 32), np.float32)
    x[0], x[1] = 4, 1024
    (row,) = rows(compare_formats(x, ["MXFP4"]))
    assert (row["min_scale"], row["max_scale"]) == (1.0, 256.0)
    (row,) = rows(compare_formats(np.full(32, np.nan, np.float32), ["MXFP4"]))
    assert isnan(row["min_scale"])
    assert isnan(row["max_scale"])
    assert row["nan_scales"] == 1
    (row,) = rows(compare_formats(x * 0, ["MXFP4"]))
    assert row["min_scale"] == row["max_scale"] == 2.0**-127


def test_an_exact_conversion_and_nothing_at_all() -> None:
    (row,) = rows(compare_formats(np.arange(32.0), ["MXINT8"]))
    assert (row["sqnr"], row["max_abs_error"], row["mean_abs_error"]) == (inf, 0, 0)
    (row,) = rows(compare_formats(np.zeros((0, 32), np.float32), ["MXINT8"]))
    assert isnan(row["sqnr"])
    assert isnan(row["bits_per_element"])
    assert isnan(row["underflow_rate"])
    assert row["nan_scales"] == 0


@pytest.mark.parametrize("axis", [0, 1])
def test_counts_do_not_depend_on_the_pieces(axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = sample((96, 200))
    formats, profiles = ["MXFP4", "NVFP4"], ["ocp", "stochastic"]
    whole = measure(InMemory(x), formats, profiles, axis=axis, tensor_scale="amax", key=3)

    def small(shape: tuple[int, ...], axis: int, k: int, limit: int = 64) -> Any:
        return pieces(shape, axis, k, limit)

    monkeypatch.setattr("mxemu.array.compare.pieces", small)
    monkeypatch.setattr(pieces_module, "pieces", small)
    parts = measure(InMemory(x), formats, profiles, axis=axis, tensor_scale="amax", key=3)
    for one, other in zip(whole, parts, strict=True):
        assert one.status_counts == other.status_counts
        assert one.counts() == other.counts()
        for field in ("elements", "bits", "zeros", "at_largest", "scale_counts", "clipped"):
            assert getattr(one.statistics, field) == getattr(other.statistics, field)
        assert one.statistics.max_abs_error == other.statistics.max_abs_error


def test_sums_of_exact_numbers_are_exact() -> None:
    x = (np.arange(1 << 19) % 509).astype(np.float32)
    rows_found = measure(InMemory(x), ["MXFP4"], ["ocp"])
    errors = rows_found[0].statistics.errors
    assert errors is not None
    values = mxemu.dequantize(mxemu.quantize(x, "MXFP4")).astype(np.int64)
    gap = values - x.astype(np.int64)
    assert Fraction(errors.noise) == int((gap**2).sum())
    assert Fraction(errors.signal) == int((x.astype(np.int64) ** 2).sum())
    assert Fraction(errors.total) == int(np.abs(gap).sum())


def test_stochastic_profiles_draw_by_key() -> None:
    x = sample((64, 33))
    mixed = compare_formats(x, ["MXFP4"], ["ocp", "stochastic"], key=9, axis=0)
    blocks = mxemu.quantize(x, "MXFP4", axis=0, profile="stochastic", key=9)
    assert rows(mixed)[1]["sqnr"] == blocks.statistics(x, key=9).sqnr
    assert rows(mixed)[0]["sqnr"] == rows(compare_formats(x, ["MXFP4"], axis=0))[0]["sqnr"]
    with pytest.raises(BadValue, match="STOCHASTIC rounding needs"):
        compare_formats(x, ["MXFP4"], ["stochastic"], axis=0)


def test_inputs_of_other_types() -> None:
    x = sample((40, 64)).astype(ml_dtypes.bfloat16)
    expected = compare_formats(x.astype(np.float32), ["MXFP4"])
    wide = compare_formats(x.astype(np.float64), ["MXFP4"])
    raw = compare_formats(x.view(np.uint16), ["MXFP4"], carrier="bfloat16")
    for other in (compare_formats(x, ["MXFP4"]), wide, raw):
        assert rows(other) == rows(expected)
    assert rows(compare_formats(np.arange(64).tolist(), ["MXFP4"])) == rows(
        compare_formats(np.arange(64.0), ["MXFP4"])
    )


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=str)
def test_numbers_of_carriers(carrier: Any) -> None:
    bits = [0, 1, carrier.sign_mask, carrier.max_code, carrier.inf, carrier.inf + 1]
    found = numbers_of(np.array(bits, f"uint{carrier.width}"), carrier)
    assert found.dtype == np.float64
    for code, number in zip(bits, found.tolist(), strict=True):
        value = mxemu.scalar.decode(code, carrier)
        if value.is_nan:
            assert isnan(number)
        elif value.is_inf:
            assert number == inf
        else:
            assert Fraction(number) == value.fraction()


def test_tails() -> None:
    x = sample((3, 70))
    assert rows(compare_formats(x, tail="pad")) == rows(compare_formats(x))
    with pytest.raises(BadShape, match="axis 1 has length 70, not a multiple of k = 32"):
        compare_formats(x, tail="refuse")


@pytest.mark.parametrize(
    ("x", "more", "kind", "words"),
    [
        ([1.0], {"formats": []}, BadValue, "0 formats and 1 profiles; expected one of each"),
        ([1.0], {"profiles": []}, BadValue, "6 formats and 0 profiles"),
        ([1.0], {"formats": ["MXFP3"]}, UnknownName, "unknown block format 'MXFP3'"),
        ([1.0], {"profiles": ["ocd"]}, UnknownName, "unknown profile 'ocd'; did you mean ocp"),
        ([1.0], {"axis": 1}, BadShape, r"axis 1 of an array of shape \(1,\)"),
        (1.0, {}, BadShape, r"axis -1 of an array of shape \(\)"),
        (["a"], {}, BadType, "x has dtype <U1"),
        ([1.0], {"tensor_scale": 0.1}, BadValue, "0.1 is no binary32 number"),
        ([1.0], {"tail": "cut"}, BadValue, "tail = 'cut'"),
    ],
)
def test_bad_arguments(x: Any, more: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        compare_formats(x, **more)


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 1])
def test_memory_stays_small(axis: int) -> None:
    x = sample((2048, 4096))
    compare_formats(x[:32])
    tracemalloc.start()
    try:
        compare_formats(x, ["MXFP4", "MXFP8"], axis=axis, status=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert x.nbytes == 32 << 20
    assert peak < 24 << 20


def test_pieces_cover_an_array_once_in_the_order_of_codes() -> None:
    for shape, axis in (((3, 70), 1), ((70, 3), 0), ((2, 70, 3), 1), ((65,), 0), ((0, 4), 1)):
        moved = (*shape[:axis], *shape[axis + 1 :], shape[axis])
        places = np.arange(int(np.prod(shape))).reshape(shape)
        in_order = np.moveaxis(places, axis, -1).reshape(-1).tolist()
        for limit in (1, 32, 64, 100, 10**6):
            found: list[int] = []
            for piece in pieces(shape, axis, 32, limit):
                part = np.moveaxis(places[piece.array], axis, -1)
                assert np.array_equal(part, np.moveaxis(places, axis, -1)[piece.moved])
                assert part.shape[:-1] == tuple(
                    span.stop - span.start for span in piece.blocks[:-1]
                )
                assert piece.blocks[-1].start * 32 == piece.moved[-1].start
                assert piece.blocks[-1].stop == -(-piece.moved[-1].stop // 32)
                found += part.reshape(-1).tolist()
            assert found == in_order, (shape, moved, limit)
