"""Any shape, axis and layout of memory gives what the exact core gives for the moved axis."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from core_arrays import CARRIERS, NUMBERS, WORDS, Array, encoded, numbers, quantized
from hypothesis import given, settings
from hypothesis import strategies as st

import mxemu
from mxemu.formats import block_format
from mxemu.profile import OCP

FMT = "E4M3/E8M0/4"
SHAPES = ((8,), (3, 8), (4, 5, 8), (2, 4, 3, 8), (2, 3, 4, 1, 8))


class _Subclass(np.ndarray[Any, Any]):
    """An ndarray under another name."""


def _read_only(x: Array) -> Array:
    found = x.copy()
    found.flags.writeable = False
    return found


def _unaligned(x: Array) -> Array:
    """The same numbers at an odd address."""
    buffer = np.empty(x.nbytes + 1, np.uint8)
    found = np.frombuffer(buffer, x.dtype, x.size, offset=1).reshape(x.shape)
    np.copyto(found, x)
    return found


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "reversed": lambda x: np.ascontiguousarray(np.flip(x))[(slice(None, None, -1),) * x.ndim],
    "every second": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "every third row": lambda x: np.repeat(x, 3, axis=0)[::3],
    "read-only": _read_only,
    "unaligned": _unaligned,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "subclass": lambda x: x.view(_Subclass),
}


def sample(shape: tuple[int, ...], carrier: str = "binary32") -> Array:
    """Numbers of several binades with zeros, Inf and NaN among them."""
    source = np.random.default_rng(len(shape))
    x = source.standard_normal(shape) * np.exp2(source.integers(-9, 9, shape))
    x[source.random(shape) < 0.05] = -0.0
    if x.size > 30:
        x.flat[7], x.flat[29] = np.inf, np.nan
    return x.astype(NUMBERS[carrier])


def assert_quantizes(x: Array, axis: int, name: str = FMT, tail: str = "refuse") -> None:
    """Codes, scales and statuses along an axis, and the way back."""
    carrier = next(one for one in CARRIERS if NUMBERS[one] == x.dtype.newbyteorder("="))
    native = np.ascontiguousarray(x.astype(NUMBERS[carrier])).reshape(x.shape)
    expected = quantized(native.view(WORDS[carrier]), carrier, name, OCP, axis)
    found, status = mxemu.quantize(x, name, axis=axis, tail=tail, return_status=True)
    assert np.array_equal(found.codes, expected.codes)
    assert np.array_equal(found.scales, expected.scales)
    assert np.array_equal(status, expected.status)
    assert found.axis == axis % x.ndim
    assert found.length == found.shape[found.axis]
    back = mxemu.dequantize(found)
    assert back.shape == found.shape
    rows = np.moveaxis(back, axis, -1)
    flat = mxemu.dequantize(mxemu.Blocks(found.codes, found.scales, name))
    assert rows.tobytes() == np.ascontiguousarray(flat[..., : rows.shape[-1]]).tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_axis_of_every_layout(shape: tuple[int, ...], layout: str) -> None:
    x = sample(shape)
    for axis in (*range(x.ndim), -1, -x.ndim):
        if x.shape[axis] % 4 == 0:
            laid_out = LAYOUTS[layout](x)
            assert np.array_equal(laid_out, x, equal_nan=True)
            assert_quantizes(laid_out, axis)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_every_transposition(order: tuple[int, ...]) -> None:
    x = sample((4, 12, 8)).transpose(order)
    for axis in range(3):
        assert_quantizes(x, axis)
        found = mxemu.encode(x, "E4M3")
        assert np.array_equal(found, encoded(x.copy().view(np.uint32), "binary32", "E4M3")[0])


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_encode_and_decode_in_every_layout(layout: str, carrier: str) -> None:
    if layout == "byte-swapped" and carrier == "bfloat16":
        pytest.skip("NumPy has no byte-swapped bfloat16")
    x = sample((6, 10), carrier)
    expected = encoded(x.view(WORDS[carrier]), carrier, "E5M2")[0]
    found, status = mxemu.encode(LAYOUTS[layout](x), "E5M2", return_status=True)
    assert np.array_equal(found, expected)
    assert found.shape == status.shape == x.shape
    codes = LAYOUTS[layout](expected.astype(np.uint8))
    assert mxemu.decode(codes, "E5M2").tobytes() == mxemu.decode(expected, "E5M2").tobytes()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_broadcast_input(axis: int) -> None:
    x = np.broadcast_to(sample((1, 8, 1)), (4, 8, 4))
    assert_quantizes(x, axis)
    assert np.array_equal(
        mxemu.encode(x, "E4M3"), np.broadcast_to(mxemu.encode(x[0, :, :1], "E4M3"), x.shape)
    )


@pytest.mark.parametrize("tail", ["pad", "partial"])
@pytest.mark.parametrize("layout", ["C", "F", "reversed"])
@pytest.mark.parametrize("length", [1, 3, 4, 5, 31, 32, 33, 67])
def test_tails(length: int, layout: str, tail: str) -> None:
    for shape, axis in (((length,), 0), ((3, length), 1), ((length, 3), 0), ((2, length, 3), 1)):
        for name in (FMT, "MXFP4", "NVFP4"):
            x = LAYOUTS[layout](sample(shape))
            assert_quantizes(x, axis, name, tail)
            found = mxemu.quantize(x, name, axis=axis, tail=tail)
            k = block_format(name).k
            full = -(-length // k) * k
            assert found.length == (full if tail == "pad" else length)


def test_blocks_do_not_straddle_rows() -> None:
    x = np.ones((2, 6), np.float32)
    x[0, 4:], x[1, :4] = 64, 0.125
    found = mxemu.quantize(x, FMT, tail="partial")
    assert found.scales.tolist() == [[119, 125], [116, 119]]


@pytest.mark.parametrize("shape", [(0,), (0, 8), (3, 0), (2, 0, 8), (2, 4, 0)], ids=str)
def test_nothing_in_nothing_out(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, np.float32)
    assert mxemu.encode(x, "E4M3").shape == shape
    assert mxemu.decode(np.zeros(shape, np.uint8), "E4M3").shape == shape
    for axis in range(len(shape)):
        for tail in ("pad", "partial"):
            found, status = mxemu.quantize(x, FMT, axis=axis, tail=tail, return_status=True)
            assert found.codes.size == status.size == 0
            assert mxemu.dequantize(found).shape == found.shape
        assert (
            mxemu.quantize(x, "NVFP4", axis=axis, tail="pad", tensor_scale="amax").codes.size == 0
        )
    stochastic = mxemu.encode(x, "E4M3", profile="stochastic", key=1)
    assert stochastic.shape == shape


def test_empty_lists() -> None:
    assert mxemu.encode([], "E4M3").tolist() == []
    assert mxemu.decode([], "E4M3").tolist() == []


@pytest.mark.parametrize("carrier", CARRIERS)
def test_zero_dimensions_in_zero_dimensions_out(carrier: str) -> None:
    one = np.array(1.5, NUMBERS[carrier])
    for x in (one, one[()], np.broadcast_to(one, ())):
        code, status = mxemu.encode(x, "E4M3", return_status=True)
        assert (np.ndim(code), int(code), int(status)) == (0, 0x3C, 0)
    value = mxemu.decode(np.uint8(0x3C), "E4M3", dtype=NUMBERS[carrier])
    assert (np.ndim(value), float(value)) == (0, 1.5)
    out = np.zeros((), np.uint8)
    assert mxemu.encode(one, "E4M3", out=out) is out
    assert out[()] == 0x3C
    assert mxemu.encode(3, "E4M3") == 0x44


@pytest.mark.parametrize("rounding", ["ties-to-even", "stochastic"])
@pytest.mark.parametrize(
    "layout", ["C", "F", "reversed", "every second", "every third row", "unaligned"]
)
def test_encode_into_any_output(layout: str, rounding: str) -> None:
    x = sample((6, 10))
    drawn = {"key": 5} if rounding == "stochastic" else {}
    expected = mxemu.encode(x, "E4M3", rounding=rounding, **drawn)
    for lay_out in LAYOUTS.values():
        out = LAYOUTS[layout](np.zeros(x.shape, np.uint8))
        found = mxemu.encode(lay_out(x), "E4M3", rounding=rounding, out=out, **drawn)
        assert found is out
        assert np.array_equal(out, expected)


@pytest.mark.parametrize("dtype", CARRIERS)
@pytest.mark.parametrize(
    "layout", ["C", "F", "reversed", "every second", "every third row", "unaligned"]
)
def test_decode_and_dequantize_into_any_output(layout: str, dtype: str) -> None:
    for axis in (0, 1):
        blocks = mxemu.quantize(sample((8, 12)), FMT, axis=axis)
        expected = mxemu.dequantize(blocks, NUMBERS[dtype])
        out = LAYOUTS[layout](np.zeros(blocks.shape, NUMBERS[dtype]))
        assert mxemu.dequantize(blocks, NUMBERS[dtype], out=out) is out
        assert np.ascontiguousarray(out).tobytes() == expected.tobytes()
    codes = mxemu.encode(sample((8, 12)), "E4M3")
    out = LAYOUTS[layout](np.zeros(codes.shape, NUMBERS[dtype]))
    mxemu.decode(codes, "E4M3", dtype=NUMBERS[dtype], out=out)
    assert (
        np.ascontiguousarray(out).tobytes()
        == mxemu.decode(codes, "E4M3", dtype=NUMBERS[dtype]).tobytes()
    )


@pytest.mark.parametrize("second", [None, 0.5])
@pytest.mark.parametrize("axis", [0, 1])
def test_quantize_into_blocks(axis: int, second: float | None) -> None:
    x = sample((8, 12))
    expected = mxemu.quantize(x, FMT, axis=axis, tensor_scale=second)
    out = mxemu.quantize(np.zeros_like(x), FMT, axis=axis, tensor_scale=second)
    assert out != expected
    assert mxemu.quantize(x, FMT, axis=axis, tensor_scale=second, out=out) is out
    assert out == expected


def test_output_in_mapped_memory(tmp_path: Any) -> None:
    x = sample((8, 12))
    out = np.memmap(tmp_path / "codes", np.uint8, "w+", shape=x.shape)
    mxemu.encode(x, "E4M3", out=out)
    assert np.array_equal(out, mxemu.encode(x, "E4M3"))
    stored = np.memmap(tmp_path / "numbers", np.float32, "w+", shape=x.shape)
    stored[...] = x
    for axis in (0, 1):
        assert mxemu.quantize(stored, FMT, axis=axis) == mxemu.quantize(x, FMT, axis=axis)


@pytest.mark.parametrize("rows", [3, 1 << 9])
@pytest.mark.parametrize("layout", ["reversed", "F", "every second"])
def test_arrays_longer_than_a_piece(layout: str, rows: int) -> None:
    """More elements than are copied at a time, in long rows and in many."""
    x = np.random.default_rng(1).standard_normal((rows, 3 * (1 << 19) // rows // 32 * 32))
    x = x.astype(np.float32)
    strange = LAYOUTS[layout](x)
    assert np.array_equal(mxemu.encode(strange, "E4M3"), mxemu.encode(x, "E4M3"))
    assert mxemu.quantize(strange, "MXFP4") == mxemu.quantize(x, "MXFP4")
    blocks = mxemu.quantize(x, "MXFP4")
    out = LAYOUTS[layout](np.zeros_like(x))
    assert np.array_equal(mxemu.dequantize(blocks, out=out), mxemu.dequantize(blocks))
    drawn = [mxemu.quantize(one, "MXFP4", profile="stochastic", key=3) for one in (x, strange)]
    assert drawn[0] == drawn[1]


@st.composite
def strided(draw: st.DrawFn) -> tuple[Array, int]:
    """An array of up to five axes, each reversed, skipped through or repeated, in any order; and an axis."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=5)))
    steps = [draw(st.sampled_from([1, 2, -1, -2])) for _ in shape]
    base = sample(tuple(length * abs(step) for length, step in zip(shape, steps, strict=True)))
    x = base[tuple(slice(None, None, step) for step in steps)]
    x = x.transpose(draw(st.permutations(range(x.ndim))))
    if draw(st.booleans()):
        x = np.broadcast_to(x[..., :1], x.shape)
    return x, draw(st.integers(-x.ndim, x.ndim - 1))


@settings(max_examples=80)
@given(strided(), st.sampled_from(["E2M1/E8M0/3", "INT8/E8M0/2", "E2M1/E4M3/4"]))
def test_any_strides(drawn: tuple[Array, int], name: str) -> None:
    x, axis = drawn
    assert_quantizes(x, axis, name, "partial")
    codes = mxemu.encode(x, "E2M3")
    assert np.array_equal(
        codes,
        encoded(np.ascontiguousarray(x).view(np.uint32), "binary32", "E2M3")[0].reshape(x.shape),
    )


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint16, np.int32, np.uint64, np.int64, np.longdouble, "i4", ">f8"]
)
def test_other_numbers_are_taken_exactly(dtype: Any) -> None:
    x = np.array([0, 1, 3, 100, 27], dtype)
    assert np.array_equal(mxemu.encode(x, "E5M2"), mxemu.encode(x.astype(np.float64), "E5M2"))
    assert mxemu.quantize(x[:4], FMT) == mxemu.quantize(x[:4].astype(np.float64), FMT)


def test_long_doubles_with_inf_and_nan() -> None:
    x = np.array([1.5, np.inf, -np.inf, np.nan, -0.0], np.longdouble)
    assert mxemu.encode(x, "E5M2").tolist() == mxemu.encode(x.astype(np.float64), "E5M2").tolist()


def test_lists_and_bfloat16() -> None:
    x = [[1.5, -2.0], [0.1, 3]]
    assert np.array_equal(mxemu.encode(x, "E4M3"), mxemu.encode(np.array(x), "E4M3"))
    short = np.array(x, ml_dtypes.bfloat16)
    assert np.array_equal(
        mxemu.encode(short, "E4M3"), mxemu.encode(short.astype(np.float32), "E4M3")
    )
    assert numbers(short.view(np.uint16), "bfloat16").dtype == short.dtype


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">f2"])
def test_values_in_a_foreign_byte_order(dtype: str) -> None:
    """Either refused or right."""
    blocks = mxemu.quantize(sample((2, 8)), FMT)
    try:
        found = mxemu.decode([0x38, 0x40], "E4M3", dtype=dtype), mxemu.dequantize(blocks, dtype)
    except mxemu.errors.BadType:
        return
    assert found[0].tolist() == [1.0, 2.0]
    assert np.array_equal(found[1], mxemu.dequantize(blocks), equal_nan=True)
