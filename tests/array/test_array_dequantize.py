"""dequantize against the exact core: every pair of a scale and an element code, in every dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core_arrays import CARRIERS, CUSTOM_FORMATS, NUMBERS, WORDS, Array, dequantized

import mxemu
from mxemu import block
from mxemu.formats import BlockFormat, block_format
from mxemu.profile import OCP, Profile, alternatives
from mxemu.value import Value

TABLED = ("MXFP8_E4M3", "MXFP8_E5M2", "MXFP6_E3M2", "MXFP6_E2M3", "MXFP4_E2M1", "MXINT8", "NVFP4")
SMALL = ("MXFP4_E2M1", "NVFP4", "MXINT4", "E4M3FNUZ/E8M0/8", "E3M3:finite/E5M2/8")


def all_pairs(fmt: BlockFormat) -> tuple[Array, Array]:
    """Codes and scales of blocks that hold every element code under every scale code."""
    codes = np.arange(max(1 << fmt.element.width, fmt.k)) % (1 << fmt.element.width)
    codes = np.resize(codes, (-(-codes.size // fmt.k), fmt.k)).astype(np.uint8)
    every = np.arange(1 << fmt.scale.width, dtype=np.uint8)
    return np.tile(codes, (every.size, 1, 1)), np.repeat(every[:, None], len(codes), axis=1)


def assert_dequantizes(
    fmt: BlockFormat, profile: Profile, dtype: str, tensor_scale: np.float32 | None = None
) -> None:
    codes, scales = all_pairs(fmt)
    blocks = mxemu.Blocks(codes, scales, fmt, profile, tensor_scale=tensor_scale)
    found = mxemu.dequantize(blocks, NUMBERS[dtype]).view(WORDS[dtype])
    second = None
    if tensor_scale is not None:
        mantissa, exponent = np.frexp(tensor_scale)
        second = Value(0, int(np.ldexp(np.float64(mantissa), 24)), int(exponent) - 24)
    expected = dequantized(codes, scales, fmt, profile, dtype, second).reshape(found.shape)
    wrong = np.argwhere(found != expected)
    assert not wrong.size, (fmt.name, profile, dtype, tuple(wrong[0]))


@pytest.mark.slow
@pytest.mark.clause("MX-5.1-VALUE", "MX-5.1-NANSCALE", "MX-5.1-SPECIAL", "MX-5.1-OVF32")
@pytest.mark.parametrize("name", TABLED)
def test_every_pair_in_every_dtype(name: str) -> None:
    """The products of the core are rounded here once more, by NumPy where that is exact enough to be trusted."""
    fmt = block_format(name)
    codes, scales = all_pairs(fmt)
    blocks = mxemu.Blocks(codes, scales, fmt)
    exact = dequantized(codes, scales, fmt, OCP, "binary64").reshape(blocks.shape)
    as64 = mxemu.dequantize(blocks, np.float64)
    assert np.array_equal(as64.view(np.uint64), exact)
    for dtype in CARRIERS[1:]:
        found = mxemu.dequantize(blocks, NUMBERS[dtype])
        # binary64 holds every product, so this rounds once.
        with np.errstate(over="ignore"):
            expected = as64.astype(NUMBERS[dtype])
        same = found.view(WORDS[dtype]) == expected.view(WORDS[dtype])
        nan = np.isnan(as64)
        assert (same | nan).all()
        assert np.isnan(found[nan]).all()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("dtype", CARRIERS)
def test_every_pair_of_small_formats_by_the_core(name: str, dtype: str) -> None:
    assert_dequantizes(block_format(name), OCP, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("field", ["scale_nan", "element_subnormals", "out_of_binary32"])
@pytest.mark.parametrize("name", ["MXFP4_E2M1", "NVFP4", "E2M2:fnuz/E5M2/8"])
def test_fields_that_matter_to_dequantize(name: str, field: str) -> None:
    for choice in alternatives(field):
        for dtype in ("binary32", "binary16"):
            assert_dequantizes(block_format(name), OCP.replace(**{field: choice}), dtype)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.25, 0.0123, 3.0e38, 1e-40])
@pytest.mark.parametrize("name", ["NVFP4", "MXFP4_E2M1"])
def test_a_tensor_scale_multiplies_before_the_one_rounding(name: str, scale: float) -> None:
    for dtype in CARRIERS:
        assert_dequantizes(block_format(name), OCP, dtype, np.float32(scale))


@pytest.mark.parametrize("name", CUSTOM_FORMATS)
def test_custom_formats(name: str) -> None:
    """Random codes under random scales, those without a number among them."""
    fmt, source = block_format(name), np.random.default_rng(11)
    kind = lambda width: np.dtype(f"uint{next(w for w in (8, 16, 32, 64) if width <= w)}")  # noqa: E731
    codes = source.integers(
        0, (1 << fmt.element.width) - 1, (40, 2, fmt.k), np.uint64, endpoint=True
    )
    scales = source.integers(0, (1 << fmt.scale.width) - 1, (40, 2), np.uint64, endpoint=True)
    scales[0], scales[1] = 0, (1 << fmt.scale.width) - 1
    blocks = mxemu.Blocks(
        codes.astype(kind(fmt.element.width)), scales.astype(kind(fmt.scale.width)), fmt
    )
    for dtype in ("binary32", "bfloat16"):
        found = mxemu.dequantize(blocks, NUMBERS[dtype]).view(WORDS[dtype])
        assert np.array_equal(
            found, dequantized(codes, scales, fmt, OCP, dtype).reshape(found.shape)
        )


@pytest.mark.parametrize("name", ["MXFP8_E4M3", "NVFP4", "MXINT8"])
def test_what_dequantize_gives_quantizes_to_the_same_numbers(name: str) -> None:
    x = np.random.default_rng(2).standard_normal((40, 64)).astype(np.float32)
    blocks = mxemu.quantize(x, name, profile="ratio" if name == "NVFP4" else "ocp")
    once = mxemu.dequantize(blocks)
    again = mxemu.dequantize(mxemu.Blocks(blocks.codes, blocks.scales, name, blocks.profile))
    assert once.tobytes() == again.tobytes()
    if name != "NVFP4":
        assert mxemu.dequantize(mxemu.quantize(once, name)).tobytes() == once.tobytes()


def test_the_next_profile_does_not_get_the_last_ones_table() -> None:
    codes, scales = np.array([[[0x7E] * 32]], np.uint8), np.array([[0xFE]], np.uint8)
    results: list[Any] = []
    for choice in alternatives("out_of_binary32"):
        profile = OCP.replace(out_of_binary32=choice)
        results.append(mxemu.dequantize(mxemu.Blocks(codes, scales, "MXFP8_E4M3", profile))[0, 0])
    assert str(results) == str([np.float32("inf"), np.finfo(np.float32).max, np.float32("nan")])
    assert block.dequantize_bits(0xFE, [0x7E] * 32, "MXFP8_E4M3")[0] == 0x7F800000
