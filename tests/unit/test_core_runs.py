"""Runs tables: rows, borders, look-up, and agreement with the encoder that they stand for."""

from __future__ import annotations

import sys
from dataclasses import FrozenInstanceError
from typing import Any

import oracle
import pytest

from mxemu import formats
from mxemu.errors import BadCode, BadValue, UnknownName
from mxemu.formats import FloatFormat
from mxemu.profile import OCP, Overflow, Rounding
from mxemu.runs import Run, Runs, runs
from mxemu.scalar import Encoded, encode, encode_bits
from mxemu.value import Value

# Every row of E2M1 from binary32. 0.25 is a tie and still zero; so on up the ties; NaN has rows of its own.
E2M1_ROWS = [
    (0x00000000, 0x0),
    (0x3E800001, 0x1),
    (0x3F400000, 0x2),
    (0x3FA00001, 0x3),
    (0x3FE00000, 0x4),
    (0x40200001, 0x5),
    (0x40600000, 0x6),
    (0x40A00001, 0x7),
    (0x7F800001, 0x7),
    (0x80000000, 0x8),
    (0xBE800001, 0x9),
    (0xBF400000, 0xA),
    (0xBFA00001, 0xB),
    (0xBFE00000, 0xC),
    (0xC0200001, 0xD),
    (0xC0600000, 0xE),
    (0xC0A00001, 0xF),
    (0xFF800001, 0x7),
]


@pytest.mark.clause("MX-5.3.3-RNE", "MX-5.3.3-SAT", "MX-5.3.3-UFLOW", "MX-5.3.3-INF")
def test_the_table_of_e2m1() -> None:
    table = runs("E2M1")
    assert table.rows == tuple(Run(first, code) for first, code in E2M1_ROWS)
    assert table.firsts == tuple(first for first, _ in E2M1_ROWS)
    assert table.codes == tuple(code for _, code in E2M1_ROWS)
    assert (table.element, table.carrier, table.profile) == (formats.E2M1, formats.BINARY32, OCP)


@pytest.mark.parametrize(
    ("name", "rows"),
    [("E4M3", 256), ("E5M2", 250), ("E3M2", 66), ("E2M3", 66), ("E2M1", 18), ("INT8", 258)],
)
def test_number_of_rows(name: str, rows: int) -> None:
    assert len(runs(name).rows) == rows
    assert len(runs(name, "bfloat16").rows) == rows


def test_look_up_at_every_border() -> None:
    table = runs("E2M1")
    for row, (first, code) in enumerate(E2M1_ROWS):
        assert table.code(first) == code
        last = E2M1_ROWS[row + 1][0] - 1 if row + 1 < len(E2M1_ROWS) else 0xFFFFFFFF
        assert table.last(row) == last
        assert table.code(last) == code


def test_the_last_row_ends_with_the_carrier() -> None:
    for carrier, end in (("binary16", 0xFFFF), ("bfloat16", 0xFFFF), ("binary64", 2**64 - 1)):
        table = runs("E2M1", carrier)
        assert table.last(len(table.rows) - 1) == end
        assert table.last(0) == table.rows[1].first - 1


@pytest.mark.parametrize("carrier", ["binary16", "bfloat16", "binary32", "binary64"])
@pytest.mark.parametrize("rounding", oracle.ROUNDINGS)
@pytest.mark.parametrize(
    ("name", "overflow"), [("E2M1", "SATURATE"), ("E3M2", "SATURATE"), ("INT4", "SATURATE")]
)
def test_rows_agree_with_the_oracle(name: str, overflow: str, rounding: str, carrier: str) -> None:
    own = OCP.replace(rounding=Rounding[rounding], overflow=Overflow[overflow])
    table = runs(name, carrier, own)
    sign, inf = oracle.sign_bit(carrier), oracle.inf_bits(carrier)
    for start, expected in zip(
        (0, sign), oracle.runs(name, carrier, rounding, overflow), strict=True
    ):
        inside = [(row.first - start, row.code) for row in table.rows if start <= row.first]
        assert [row for row in inside if row[0] <= inf] == expected
        assert [row[0] for row in inside if inf < row[0] < sign] == [inf + 1]


@pytest.mark.parametrize("name", ["E4M3", "E5M2", "E4M3FNUZ"])
def test_rows_under_overflow_agree_with_the_oracle(name: str) -> None:
    own = OCP.replace(overflow="overflow")
    positive, negative = oracle.runs(name, "binary16", "TIES_TO_EVEN", "OVERFLOW")
    table = runs(name, "binary16", own)
    found = [(row.first, row.code) for row in table.rows]
    assert [row for row in found if row[0] <= 0x7C00] == positive
    expected = [(first + 0x8000, code) for first, code in negative]
    assert [row for row in found if 0x8000 <= row[0] <= 0xFC00] == expected


def test_nan_inputs_have_rows_even_where_their_code_is_not_new() -> None:
    own = OCP.replace(overflow="overflow")
    rows = dict(runs("E4M3", "bfloat16", own).rows)
    # 466 is the first bfloat16 above 464. It, Inf and NaN all become 0x7F.
    assert rows[0x43E9] == 0x7F
    assert 0x7F80 not in rows
    assert rows[0x7F81] == 0x7F
    assert rows[0xC3E9] == rows[0xFF81] == 0xFF
    other = dict(runs("E5M2", "bfloat16", own).rows)
    assert (other[0x7F81], other[0xFF81]) == (0x7E, 0xFE)


def test_the_negative_zero_starts_a_row_even_where_its_code_is_zero() -> None:
    rows = dict(runs("E4M3FNUZ", "binary16").rows)
    assert rows[0] == rows[0x8000] == 0
    rows = dict(runs("INT8", "binary16").rows)
    assert rows[0] == rows[0x8000] == 0


@pytest.mark.parametrize(
    ("changes", "first", "codes"),
    [
        # 2^-15 and the rest below 2^-14 are subnormal in binary16 and numbers of E5M2.
        ({"input_subnormals": "flush"}, 0x0400, (0, 4)),
        ({"element_subnormals": "flush"}, 0x0380, (0, 4)),
        ({}, 0x0380, (3, 4)),
    ],
)
def test_flushing_encoders(changes: dict[str, str], first: int, codes: tuple[int, int]) -> None:
    own = OCP.replace(**changes)
    table = runs("E5M2", "binary16", own)
    assert (table.code(first - 1), table.code(first)) == codes
    assert first in table.firsts
    for bits in range(0x0600):
        assert table.code(bits) == encode_bits(bits, "binary16", "E5M2", own).code


@pytest.mark.parametrize("name", ["E4M3", "INT8"])
def test_every_sampled_input_has_the_code_of_its_run(name: str) -> None:
    table = runs(name, "binary16")
    for bits in range(0, 0x10000, 97):
        assert table.code(bits) == encode_bits(bits, "binary16", name).code


def test_a_carrier_of_ones_own() -> None:
    carrier = FloatFormat("E3M2 with Inf", 3, 2, 3, inf=0x1C, nans=range(0x1D, 0x20))
    table = runs("E2M1", carrier)
    for bits in range(64):
        assert table.code(bits) == encode_bits(bits, carrier, "E2M1").code
    assert {0x1D, 0x3D} <= set(table.firsts)
    assert table.last(len(table.rows) - 1) == 63


@pytest.mark.parametrize(
    "carrier",
    [
        FloatFormat("no Inf, no NaN", 3, 2, 3),
        FloatFormat("NaN alone", 3, 2, 3, nans=range(0x1F, 0x20)),
        FloatFormat("two NaN codes", 3, 2, 3, nans=range(0x1E, 0x20)),
        FloatFormat("Inf alone", 3, 2, 3, inf=0x1F),
        FloatFormat("no mantissa", 4, 0, 7, inf=0xF),
        FloatFormat("no mantissa, no Inf, no NaN", 4, 0, 7),
        FloatFormat("one mantissa bit", 3, 1, 3, inf=0xE, nans=range(0xF, 0x10)),
        FloatFormat("one exponent bit", 1, 3, 1),
    ],
    ids=str,
)
def test_carriers_of_every_build(carrier: FloatFormat) -> None:
    half = 1 << (carrier.width - 1)
    first_nan = half - len(carrier.nans)
    starts = {0, half} | ({first_nan, half + first_nan} if carrier.nans else set())
    for name in ("E2M1", "INT4"):
        codes = [encode_bits(bits, carrier, name).code for bits in range(2 * half)]
        rows = [
            (bits, code)
            for bits, code in enumerate(codes)
            if bits in starts or code != codes[bits - 1]
        ]
        table = runs(name, carrier)
        assert [(row.first, row.code) for row in table.rows] == rows
        assert [table.code(bits) for bits in range(2 * half)] == codes


@pytest.mark.parametrize(
    ("name", "carrier", "encodings"),
    [("E2M1", "binary64", 210), ("E4M3", "binary32", 1600), ("INT8", "binary16", 1600)],
)
def test_a_table_takes_a_few_encodings_for_each_row(
    name: str, carrier: str, encodings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(value: Value, *rest: Any) -> Encoded:
        asked.append(value)
        return encode(value, *rest)

    monkeypatch.setattr(sys.modules[runs.__module__], "encode", counted)
    table = runs(name, carrier, OCP.replace(name=f"counted in {carrier}"))
    assert table.rows == runs(name, carrier).rows
    assert len(table.rows) < len(asked) <= encodings


def test_a_profile_belongs_to_its_table() -> None:
    away = OCP.replace(rounding="ties-to-away")
    assert runs("E2M1", "binary32", away).rows[1] == Run(0x3E800000, 1)
    assert runs("e2m1", "fp32") is runs(formats.E2M1, formats.BINARY32)
    assert runs("E2M1", profile=away).profile == away


def test_tables_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        runs("E2M1").rows = ()  # type: ignore[misc]
    assert Runs(formats.E2M1, formats.BINARY32, OCP, (Run(0, 5),)).code(77) == 5


def test_stochastic_rounding_has_no_table() -> None:
    with pytest.raises(BadValue, match=r"^STOCHASTIC rounding has no runs table; its result "):
        runs("E2M1", profile=OCP.replace(rounding="stochastic"))


@pytest.mark.parametrize("bits", [-1, 1 << 16])
def test_inputs_that_do_not_fit_the_carrier_are_refused(bits: int) -> None:
    with pytest.raises(BadCode, match=r"does not fit binary16; expected 0 to 0xffff$"):
        runs("E2M1", "binary16").code(bits)


@pytest.mark.parametrize(("name", "carrier"), [("E2M2", "binary32"), ("E2M1", "E4M3")])
def test_unknown_names_are_refused(name: str, carrier: str) -> None:
    with pytest.raises(UnknownName):
        runs(name, carrier)
