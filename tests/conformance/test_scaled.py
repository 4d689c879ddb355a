"""encode-scaled: the cases, and their expected codes by table, by array and by the exact core."""

from __future__ import annotations

import numpy as np
import oracle
import pytest

from conformance.arrays import BITS_DTYPES, scaled_codes
from conformance.cases.scaled import scaled_cases
from conformance.judges import ScaledEncodeJudge
from mxemu.block import encode_scaled
from mxemu.formats import BFLOAT16, BINARY16, BINARY32, BINARY64, CONCRETE, BlockFormat, FloatFormat
from mxemu.formats import block_format as find_block_format
from mxemu.profile import OCP
from mxemu.runs import runs
from mxemu.scalar import carry_in, decode
from mxemu.value import Value

PROFILES = (
    OCP,
    OCP.replace(rounding="ties-to-away"),
    OCP.replace(input_subnormals="flush", overflow="overflow"),
)


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize("carrier", [BINARY32, BFLOAT16, BINARY16, BINARY64], ids=str)
@pytest.mark.parametrize("fmt", [*CONCRETE, find_block_format("NVFP4")], ids=str)
def test_arrays_agree_with_the_core(
    fmt: BlockFormat, carrier: FloatFormat, profile: object
) -> None:
    cases = scaled_cases(fmt, carrier, "smoke")
    rows = cases.inputs[:: max(1, len(cases) // 300)]
    scales = rows[:, 0].astype(np.int64)
    bits = rows[:, 1].astype(BITS_DTYPES[carrier.name])
    found = scaled_codes(bits, scales, fmt, carrier, profile)
    expected = [
        encode_scaled(carry_in(int(one), carrier, profile), int(scale), fmt, profile).code
        for scale, one in rows
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize("name", ["MXFP8_E4M3", "MXFP4_E2M1", "MXINT8"])
def test_the_core_agrees_with_the_oracle(name: str) -> None:
    fmt = find_block_format(name)
    cases = scaled_cases(fmt, BINARY32, "smoke")
    rows = cases.inputs[:: len(cases) // 200]
    for scale, bits in ((int(row[0]), int(row[1])) for row in rows):
        value = oracle.decode(bits, "binary32")
        if scale == 255 or value.kind != "finite":
            continue
        quotient = value._replace(magnitude=value.magnitude / oracle.power(scale - 127))
        code = encode_scaled(carry_in(bits, BINARY32), scale, fmt).code
        assert code == oracle.encode(quotient, fmt.element.name).code


@pytest.mark.parametrize("exponent", [-127, -126, -3, 0, 1, 100, 127])
@pytest.mark.parametrize("name", ["E4M3", "E5M2", "E2M1"])
def test_a_table_under_a_scale_is_the_encoder_under_it(name: str, exponent: int) -> None:
    fmt = find_block_format(f"{name}/E8M0/32")
    table = runs(name, "binary32", OCP, Value(0, 1, exponent))
    for first, code in table.rows:
        for bits in {first, min(first + 1, 2**32 - 1), max(first - 1, 0)}:
            value = carry_in(bits, BINARY32)
            assert table.code(bits) == encode_scaled(value, exponent + 127, fmt).code
        assert table.code(first) == code
    assert len(table.rows) <= 258


def test_every_theme_has_cases_and_every_scale_is_there() -> None:
    fmt = find_block_format("MXFP8_E4M3")
    judge = ScaledEncodeJudge(fmt, BINARY32, "smoke")
    assert set(judge.scales.tolist()) == set(range(256))
    counts = np.bincount(judge.cases.theme, minlength=len(judge.cases.notes))
    assert (counts > 0).all()
    assert {"scale-byte-0", "scale-byte-254", "scale-byte-255", "input-subnormal-flush"} <= {
        *judge.cases.notes
    }
    assert judge.open_cases.tolist() == [decode(int(s), fmt.scale).is_nan for s in judge.scales]
