"""Encoders compared with the oracle over all inputs: 2^16 one by one, 2^32 and 2^64 by their runs tables.

Status bits are compared at every breakpoint and at both its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import oracle
import pytest
from exhaustive.bridge import core_profile, expand, first_difference, flags
from oracle import CARRIERS, ELEMENTS, INTEGERS, MX_ELEMENTS, OVERFLOWS, ROUNDINGS

from mxemu import scalar
from mxemu.runs import Runs, runs

NARROW = ("binary16", "bfloat16")
WIDE = ("binary32", "binary64")
INT_ALLOW = [(name, "ALLOW") for name in INTEGERS]
ALL_ELEMENTS = [*[(name, "EXCLUDE") for name in ELEMENTS], *INT_ALLOW]
MX_ENCODERS = [*[(name, "EXCLUDE") for name in MX_ELEMENTS], ("INT8", "ALLOW")]

RNE_CLAUSES = pytest.mark.clause(
    "MX-5.3.1-OFP8",
    "MX-5.3.1-SAT",
    "MX-5.3.2-RNE",
    "MX-5.3.2-SAT",
    "MX-5.3.2-INF",
    "MX-5.3.2-UFLOW",
    "MX-5.3.3-RNE",
    "MX-5.3.3-SAT",
    "MX-5.3.3-INF",
    "MX-5.3.3-UFLOW",
    "MX-5.3.4-RNE",
    "MX-5.3.4-SAT",
    "MX-5.3.4-INF",
    "MX-6.3-RNE",
)
ALL_CLAUSES = pytest.mark.clause(
    "MX-5.3.1-OVF",
    "MX-5.3.1-OTHER",
    "MX-5.3.2-RND",
    "MX-5.3.2-OVFATTR",
    "MX-5.3.3-RND",
    "MX-5.3.3-OVFATTR",
    "MX-5.3.4-RND",
    "MX-5.3.4-OVFATTR",
    "MX-5.3.4-NEG2",
    "MX-6.3-RND",
)


def halves(table: Runs) -> list[list[tuple[int, int]]]:
    """A runs table as rows of each sign, from zero to Inf, without the sign bit and without NaN."""
    carrier = table.carrier.name
    sign, inf = oracle.sign_bit(carrier), oracle.inf_bits(carrier)
    found = []
    for start in (0, sign):
        inside = [(row.first - start, row.code) for row in table.rows]
        found.append([row for row in inside if 0 <= row[0] <= inf])
    return found


def assert_nan(table: Runs, name: str) -> None:
    """NaN inputs: one row a sign, up to its last input, that gives a NaN if the format has one."""
    carrier = table.carrier.name
    sign, first_nan = oracle.sign_bit(carrier), oracle.inf_bits(carrier) + 1
    rows = dict(table.rows)
    for start in (0, sign):
        assert start + first_nan in rows
        assert not [row for row in table.rows if start + first_nan < row.first < start + sign]
        if oracle.nan_codes(name):
            assert rows[start + first_nan] in oracle.nan_codes(name)


@ALL_CLAUSES
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize(("name", "minimum"), MX_ENCODERS)
def test_runs_tables_equal_the_oracles_step_by_step(name: str, minimum: str, carrier: str) -> None:
    for rounding in ROUNDINGS:
        for overflow in OVERFLOWS:
            table = runs(name, carrier, core_profile(rounding, overflow, minimum))
            expected = oracle.runs(name, carrier, rounding, overflow, minimum)
            assert halves(table) == list(expected), (rounding, overflow)
            assert_nan(table, name)


@ALL_CLAUSES
@pytest.mark.parametrize("carrier", NARROW)
@pytest.mark.parametrize(("name", "minimum"), MX_ENCODERS)
def test_all_inputs_of_the_16_bit_carriers(name: str, minimum: str, carrier: str) -> None:
    size = oracle.inf_bits(carrier) + 1
    for rounding in ROUNDINGS:
        for overflow in OVERFLOWS:
            table = runs(name, carrier, core_profile(rounding, overflow, minimum))
            whole = expand(table.rows, 65536)
            for negative in (False, True):
                start = 0x8000 if negative else 0
                expected = by_oracle(name, carrier, negative, rounding, overflow, minimum)
                difference = first_difference(whole[start : start + size], expected)
                assert not difference, (rounding, overflow, negative, difference)


def by_oracle(
    name: str, carrier: str, negative: bool, rounding: str, overflow: str, minimum: str
) -> bytes:
    """The codes of all finite inputs of one sign and of Inf, from the oracle's breakpoints on the number line."""
    steps = oracle.Steps(name, negative, rounding, overflow, minimum)
    inf = oracle.infinity(negative)
    code = oracle.encode(inf, name, rounding, overflow, int_minimum=minimum).code
    rows = [
        (oracle.first_bits(key, carrier), step)
        for key, step in zip(steps.keys, steps.codes, strict=True)
    ]
    return expand(
        oracle.merge([*rows, (oracle.inf_bits(carrier), code)]), oracle.inf_bits(carrier) + 1
    )


@RNE_CLAUSES
@pytest.mark.parametrize("carrier", NARROW)
@pytest.mark.parametrize("name", MX_ELEMENTS)
def test_the_encoder_itself_on_all_inputs_of_the_16_bit_carriers(name: str, carrier: str) -> None:
    profile = core_profile("TIES_TO_EVEN", "SATURATE")
    record = runs(name, carrier, profile).carrier
    size = oracle.inf_bits(carrier) + 1
    for negative in (False, True):
        expected = by_oracle(name, carrier, negative, "TIES_TO_EVEN", "SATURATE", "EXCLUDE")
        start = 0x8000 if negative else 0
        own = bytes(
            scalar.encode_bits(bits, record, name, profile).code
            for bits in range(start, start + size)
        )
        assert not first_difference(own, expected)


@pytest.mark.clause("MX-5.3.2-NAN", "MX-5.3.3-NAN", "MX-5.3.4-NAN")
@pytest.mark.parametrize("carrier", NARROW)
@pytest.mark.parametrize("name", ELEMENTS)
def test_every_nan_of_the_16_bit_carriers(name: str, carrier: str) -> None:
    """A format with NaN gives one; another gives one code for each sign, says so, and its runs table agrees."""
    nans = oracle.nan_codes(name)
    for overflow in OVERFLOWS:
        profile = core_profile("TIES_TO_EVEN", overflow)
        table = runs(name, carrier, profile)
        for start in (0, 0x8000):
            first = start + oracle.inf_bits(carrier) + 1
            found = {
                scalar.encode_bits(bits, carrier, name, profile)
                for bits in range(first, start + 0x8000)
            }
            assert {one.code for one in found} == {table.code(first)}
            assert {flags(one.status) for one in found} == {
                frozenset() if nans else frozenset({"invalid"})
            }
            assert not nans or {one.code for one in found} <= nans


def inputs_around_breakpoints(name: str, minimum: str, carrier: str) -> list[int]:
    """Bits at and next to every breakpoint, both signs; zero, the largest finite number and Inf among them."""
    sign, inf = oracle.sign_bit(carrier), oracle.inf_bits(carrier)
    found = {0, inf - 1, inf}
    for point in oracle.breakpoints(name, minimum):
        found.update(oracle.nearby_bits(point, carrier))
    return sorted(found | {sign + bits for bits in found})


@ALL_CLAUSES
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize(("name", "minimum"), ALL_ELEMENTS)
def test_code_and_status_at_and_next_to_every_breakpoint(
    name: str, minimum: str, carrier: str
) -> None:
    inputs = inputs_around_breakpoints(name, minimum, carrier)
    values = [oracle.decode(bits, carrier) for bits in inputs]
    assert len(inputs) > (
        60 if carrier in NARROW else 3 * 2 * len(oracle.half(name, negative=False).codes)
    )
    for rounding in ROUNDINGS:
        for overflow in OVERFLOWS:
            profile = core_profile(rounding, overflow, minimum)
            for bits, value in zip(inputs, values, strict=True):
                code, status = scalar.encode_bits(bits, carrier, name, profile)
                expected = oracle.encode(value, name, rounding, overflow, int_minimum=minimum)
                assert (code, flags(status)) == expected, (rounding, overflow, hex(bits))


@pytest.mark.parametrize(
    ("name", "count"),
    [("E4M3", 256), ("E5M2", 250), ("E3M2", 66), ("E2M3", 66), ("E2M1", 18), ("INT8", 258)],
)
def test_runs_tables_of_binary32_have_the_published_number_of_rows(name: str, count: int) -> None:
    assert len(runs(name).rows) == count


@pytest.mark.parametrize("carrier", WIDE)
@pytest.mark.parametrize("name", ELEMENTS)
def test_every_row_begins_where_its_code_begins(name: str, carrier: str) -> None:
    """NaN and -0 begin a row even where the code does not change."""
    table = runs(name, carrier)
    kept: Sequence[int] = [
        oracle.sign_bit(carrier),
        oracle.inf_bits(carrier) + 1,
        oracle.sign_bit(carrier) + oracle.inf_bits(carrier) + 1,
    ]
    assert table.rows[0].first == 0
    for index, row in enumerate(table.rows):
        assert (
            scalar.encode_bits(row.first, carrier, name).code == row.code == table.code(row.first)
        )
        last = table.last(index)
        assert scalar.encode_bits(last, carrier, name).code == row.code == table.code(last)
        if index and row.first not in kept:
            assert table.rows[index - 1].code != row.code
    assert table.last(len(table.rows) - 1) == 2 * oracle.sign_bit(carrier) - 1
