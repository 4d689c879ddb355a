"""Whatever is no array of numbers, or does not go together: one line with what was found and what was expected."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mxemu
from mxemu import formats
from mxemu.errors import BadCode, BadFormat, BadShape, BadType, BadValue, MxemuError, UnknownName

X = np.ones((2, 16), np.float32)
CODES, SCALES = np.zeros((2, 1, 16), np.uint8), np.full((2, 1), 0x38, np.uint8)


def refused(call: Callable[[], object], *words: str, kind: type[MxemuError] = MxemuError) -> None:
    """The call raises one line of this kind that contains the words."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert len(message) <= 200
    for word in words:
        assert word in message, message


NO_NUMBERS: dict[str, tuple[Any, str]] = {
    "objects": (np.array([1, "a"], object), "object"),
    "complex": (np.array([1j]), "complex128"),
    "text": (np.array(["1"]), "<U1"),
    "bytes": (np.array([b"1"]), "|S1"),
    "booleans": (np.array([True]), "bool"),
    "dates": (np.array(["2020"], "M8[Y]"), "datetime64"),
    "records": (np.zeros(2, [("a", "f4")]), "a"),
    "bytes without a type": (np.zeros(2, "V4"), "V4"),
    "a masked array": (np.ma.array([1.0]), "masked"),
    "ragged lists": ([[1, 2], [3]], "array"),
    "None": (None, "object"),
    "a word": ("abc", "<U3"),
    "a mapping": ({1: 2}, "object"),
    "a fraction": (Fraction(1, 2), "object"),
    "a large integer": (2**70, "object"),
    "4-bit integers": (np.array([1], ml_dtypes.int4), "int4"),
}


@pytest.mark.parametrize("case", NO_NUMBERS)
def test_what_holds_no_numbers(case: str) -> None:
    x, word = NO_NUMBERS[case]
    refused(lambda: mxemu.encode(x, "E4M3"), word, kind=BadType)
    refused(lambda: mxemu.quantize(x, "MXFP4"), word, kind=BadType)


@pytest.mark.parametrize(
    "x",
    [
        [2**53 + 1],
        [2**53 + 1, 0.5],
        [2**63 + 1, -1],
        np.array([5, 2**63 + 1], np.uint64),
        np.array([-(2**53) - 1]),
    ],
    ids=str,
)
def test_integers_that_binary64_does_not_hold(x: Any) -> None:
    """Never a silent loss, however NumPy would convert them."""
    refused(lambda: mxemu.encode(x, "INT64"))


def test_integers_that_binary64_holds() -> None:
    assert mxemu.encode([2**53, -(2**60)], "E5M2", overflow="overflow").tolist() == [0x7C, 0xFC]
    assert mxemu.encode(np.array([2**63], np.uint64), "E4M3").tolist() == [0x7E]


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="long double is binary64 here")
@pytest.mark.parametrize("words", ["0.1", "1e4000", "-1e4000", "1e-4000"])
def test_long_doubles_that_binary64_does_not_hold(words: str) -> None:
    refused(lambda: mxemu.encode(np.array([1.0, words], np.longdouble), "E4M3"), kind=BadValue)


@pytest.mark.parametrize("axis", [2, -3, 100])
def test_axes_that_are_not_there(axis: int) -> None:
    refused(lambda: mxemu.quantize(X, "NVFP4", axis=axis), str(axis), "(2, 16)", kind=BadShape)


@pytest.mark.parametrize("axis", [None, 1.0, "0", (0,)])
def test_axes_that_are_no_integers(axis: Any) -> None:
    refused(lambda: mxemu.quantize(X, "NVFP4", axis=axis), "axis")


def test_an_array_without_axes_has_no_blocks() -> None:
    refused(lambda: mxemu.quantize(np.float32(1), "NVFP4"), "()", kind=BadShape)


@pytest.mark.parametrize(("axis", "length"), [(0, 2), (1, 16)])
def test_lengths_that_k_does_not_divide(axis: int, length: int) -> None:
    words = (f"axis {axis}", f"length {length}", "k = 32")
    refused(lambda: mxemu.quantize(X, "MXFP4", axis=axis), *words, kind=BadShape)


@pytest.mark.parametrize("tail", ["bogus", None, 1])
def test_unknown_tails(tail: Any) -> None:
    refused(lambda: mxemu.quantize(X, "MXFP4", tail=tail), repr(tail), "partial", kind=BadValue)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64]
)
@pytest.mark.parametrize(("name", "code"), [("E2M1", 16), ("E3M2", 64), ("E2M3", 100)])
def test_codes_that_are_too_wide(name: str, code: int, dtype: type) -> None:
    codes = np.zeros((3, 5), dtype)
    codes[1, 2] = code
    for laid_out in (codes, codes[:, ::-1], np.asfortranarray(codes)):
        refused(lambda x=laid_out: mxemu.decode(x, name), hex(code), "expected 0 to", kind=BadCode)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("name", ["E2M1", "E4M3", "INT16", "INT32"])
def test_negative_codes(name: str, dtype: type) -> None:
    refused(lambda: mxemu.decode(np.array([0, -1], dtype), name), "-0x1", "(1,)", kind=BadCode)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int64])
def test_wide_codes_of_8_bit_elements(dtype: type) -> None:
    refused(lambda: mxemu.decode(np.array([1, 256], dtype), "E4M3"), "0x100", "0xff", kind=BadCode)


def test_wide_codes_of_odd_widths() -> None:
    refused(
        lambda: mxemu.decode(np.array([1, 1 << 12], np.uint16), "INT12"), "0x1000", kind=BadCode
    )
    refused(lambda: mxemu.decode(np.array([1 << 20], np.uint32), "INT20"), "0x100000", kind=BadCode)


@pytest.mark.parametrize(
    ("codes", "word"),
    [
        ([1.0], "float64"),
        ([True], "bool"),
        ([1j], "complex"),
        (["1"], "U1"),
        (None, "object"),
        ([2**64], "object"),
        (np.ma.array([1]), "masked"),
    ],
    ids=str,
)
def test_what_holds_no_codes(codes: Any, word: str) -> None:
    refused(lambda: mxemu.decode(codes, "E4M3"), word, kind=BadType)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.complex64, "f2x", "E4M3", None.__class__])
def test_values_of_no_such_dtype(dtype: Any) -> None:
    refused(lambda: mxemu.decode([1], "E4M3", dtype=dtype), "dtype", kind=BadType)
    blocks = mxemu.Blocks(CODES, SCALES, "NVFP4")
    refused(lambda: mxemu.dequantize(blocks, dtype), "dtype", kind=BadType)


def test_scales_and_codes_that_do_not_go_together() -> None:
    blocks = mxemu.Blocks
    refused(lambda: blocks(CODES, SCALES[0], "NVFP4"), "(1,)", "(2, 1)", kind=BadShape)
    refused(lambda: blocks(CODES, SCALES.T, "NVFP4"), "(1, 2)", "(2, 1)", kind=BadShape)
    refused(lambda: blocks(CODES, SCALES, "MXFP4"), "(2, 1, 16)", "32", kind=BadShape)
    refused(lambda: blocks(CODES[0, 0], SCALES, "NVFP4"), "(16,)", kind=BadShape)
    refused(lambda: blocks(CODES, SCALES, "NVFP4", shape=(2, 17)), "(2, 2, 16)", kind=BadShape)
    refused(lambda: blocks(CODES, SCALES, "NVFP4", axis=2), "axis 2", kind=BadShape)
    refused(lambda: blocks(CODES.astype(np.int64), SCALES, "NVFP4"), "int64", "uint8", kind=BadType)
    refused(lambda: blocks(CODES, SCALES.astype(float), "NVFP4"), "float64", "uint8", kind=BadType)
    refused(lambda: blocks(CODES.tolist(), SCALES, "NVFP4"), "list", kind=BadType)


@pytest.mark.parametrize("scale", [0.5, "1", np.float64(0.5)])
def test_tensor_scales_of_blocks_that_are_no_binary32(scale: Any) -> None:
    """Refused, or taken for the binary32 number that they are."""
    try:
        found = mxemu.Blocks(CODES, SCALES, "NVFP4", tensor_scale=scale)
    except MxemuError:
        return
    assert mxemu.dequantize(found).tolist() == np.zeros((2, 16)).tolist()


@pytest.mark.parametrize("scale", [np.nan, np.inf, -1.0, 0.0])
def test_tensor_scales_of_blocks_that_nothing_is_divided_by(scale: float) -> None:
    refused(
        lambda: mxemu.dequantize(
            mxemu.Blocks(CODES, SCALES, "NVFP4", tensor_scale=np.float32(scale))
        )
    )


def test_blocks_with_codes_that_are_too_wide() -> None:
    wide = CODES.copy()
    wide[1, 0, 3] = 0x1F
    refused(
        lambda: mxemu.dequantize(mxemu.Blocks(wide, SCALES, "NVFP4")),
        "0x1f",
        "(1, 0, 3)",
        kind=BadCode,
    )
    columns = mxemu.Blocks(wide, SCALES, "NVFP4", axis=0, shape=(16, 2))
    refused(lambda: mxemu.dequantize(columns), "0x1f", kind=BadCode)
    scales = np.array([[16], [0]], np.uint8)
    refused(
        lambda: mxemu.dequantize(mxemu.Blocks(CODES, scales, "E2M1/E2M1/16")), "0x10", kind=BadCode
    )


@pytest.mark.parametrize("blocks", [X, None, (CODES, SCALES)])
def test_what_are_no_blocks(blocks: Any) -> None:
    refused(lambda: mxemu.dequantize(blocks), type(blocks).__name__, kind=BadType)


READ_ONLY = np.zeros((2, 16), np.uint8)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("out", "word"),
    [
        (np.zeros(3, np.uint8), "(3,)"),
        (np.zeros((16, 2), np.uint8), "(16, 2)"),
        (np.zeros((2, 16), np.int8), "int8"),
        (np.zeros((2, 16), np.uint16), "uint16"),
        (READ_ONLY, "read-only"),
        (np.broadcast_to(np.zeros(16, np.uint8), (2, 16)), "read-only"),
        ([1], "list"),
        (bytearray(32), "bytearray"),
        (np.ma.zeros((2, 16), np.uint8), "asked"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_outputs_that_do_not_fit(out: Any, word: str) -> None:
    refused(lambda: mxemu.encode(X, "E4M3", out=out), word)


@pytest.mark.parametrize("dtype", [np.float64, np.uint32, np.float16])
def test_values_into_outputs_of_another_dtype(dtype: type) -> None:
    blocks = mxemu.Blocks(CODES, SCALES, "NVFP4")
    out = np.zeros((2, 16), dtype)
    refused(lambda: mxemu.dequantize(blocks, out=out), str(out.dtype), "float32", kind=BadType)
    refused(lambda: mxemu.decode(CODES[:, 0], "E2M1", out=out), str(out.dtype), kind=BadType)
    refused(
        lambda: mxemu.dequantize(blocks, out=np.zeros((2, 15), np.float32)),
        "(2, 15)",
        kind=BadShape,
    )


def test_blocks_that_cannot_receive_the_result() -> None:
    fits = mxemu.quantize(X, "NVFP4")
    refused(lambda: mxemu.quantize(X, "NVFP4", out=CODES), "ndarray", "Blocks", kind=BadType)
    for other in (
        mxemu.quantize(X, "NVFP4", rounding="toward-zero"),
        mxemu.quantize(X, "E2M1/E8M0/16"),
        mxemu.quantize(X[:1], "NVFP4"),
        mxemu.quantize(X, "NVFP4", tensor_scale=2.0),
        mxemu.quantize(X.T, "NVFP4", axis=0),
    ):
        refused(lambda out=other: mxemu.quantize(X, "NVFP4", out=out), "expected", kind=BadValue)
    fits.codes.flags.writeable = False
    refused(lambda: mxemu.quantize(X, "NVFP4", out=fits), "out.codes", kind=BadValue)
    wide = mxemu.Blocks(np.zeros((2, 2, 16), np.uint8)[:, ::2], SCALES, "NVFP4")
    refused(lambda: mxemu.quantize(X, "NVFP4", out=wide), "out.codes", kind=BadValue)


STOCHASTIC: dict[str, Any] = {"profile": "stochastic"}


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "random="),
        ({"random": np.zeros((2, 16), np.uint32), "key": 1}, "random="),
        ({"random": np.zeros((2, 16))}, "float64"),
        ({"random": np.zeros((2, 16), bool)}, "bool"),
        ({"random": np.full((2, 16), 1 << 32, np.uint64)}, "4294967296"),
        ({"random": np.full((2, 16), -1)}, "-1"),
        ({"random": np.zeros(7, np.uint32)}, "(7,)"),
        ({"random": np.zeros((3, 2, 16), np.uint32)}, "(3, 2, 16)"),
        ({"key": -1}, "-1"),
        ({"key": 1 << 64}, str(1 << 64)),
        ({"key": 1.5}, "1.5"),
        ({"key": "a"}, "a"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, dict) else given,
)
def test_random_words_that_are_none(given: dict[str, Any], word: str) -> None:
    refused(lambda: mxemu.encode(X, "E4M3", **STOCHASTIC, **given), word)
    refused(lambda: mxemu.quantize(X, "NVFP4", **STOCHASTIC, **given), word)


@pytest.mark.parametrize("bits", [1, 8, 31])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_random_words_that_are_too_wide(bits: int, dtype: Any) -> None:
    profile = mxemu.profile.PRESETS["stochastic"].replace(random_bits=bits)
    if 1 << bits > np.iinfo(dtype).max:
        words = np.full((2, 16), np.iinfo(dtype).max, dtype)
        assert mxemu.encode(X, "E4M3", profile=profile, random=words).shape == X.shape
        return
    words = np.zeros((2, 16), dtype)
    words[1, 3] = 1 << bits
    refused(
        lambda: mxemu.encode(X, "E4M3", profile=profile, random=words),
        str(1 << bits),
        kind=BadValue,
    )


@pytest.mark.parametrize("given", [{"key": 1}, {"random": np.zeros((2, 16), np.uint32)}], ids=str)
def test_random_words_without_stochastic_rounding(given: dict[str, Any]) -> None:
    refused(lambda: mxemu.encode(X, "E4M3", **given), "STOCHASTIC", kind=BadValue)
    refused(lambda: mxemu.quantize(X, "NVFP4", **given), "STOCHASTIC", kind=BadValue)


@pytest.mark.parametrize(
    "scale",
    [
        0,
        -1.0,
        math.nan,
        math.inf,
        0.1,
        1e39,
        1e-46,
        "x",
        1j,
        [1.0, 2.0],
        np.ones(2),
        Fraction(1, 3),
    ],
)
def test_tensor_scales_that_are_no_binary32_number_above_zero(scale: Any) -> None:
    refused(lambda: mxemu.quantize(X, "NVFP4", tensor_scale=scale), "tensor_scale")


@pytest.mark.parametrize("carrier", ["E4M3", formats.E4M3, "binary23"], ids=str)
def test_carriers_that_are_none(carrier: Any) -> None:
    refused(lambda: mxemu.encode(np.zeros(2, np.uint8), "E2M1", carrier=carrier), "arrier")


@pytest.mark.parametrize(
    "x", [np.zeros(2, np.uint8), np.zeros(2, np.int16), [1, 2], np.zeros(2, np.float64)], ids=str
)
def test_bit_patterns_of_another_width(x: Any) -> None:
    refused(lambda: mxemu.encode(x, "E4M3", carrier="bfloat16"), "uint16", kind=BadType)


@pytest.mark.parametrize("name", ["E4M4", "", "MXFP4"])
def test_unknown_elements(name: str) -> None:
    refused(lambda: mxemu.encode(X, name), repr(name), kind=UnknownName)
    refused(lambda: mxemu.decode(CODES, name), repr(name), kind=UnknownName)


@pytest.mark.parametrize(
    "given", [{"profile": "ocpp"}, {"rounding": "up"}, {"overflow": "wrap"}], ids=str
)
def test_unknown_choices(given: dict[str, str]) -> None:
    refused(lambda: mxemu.encode(X, "E4M3", **given), *given.values(), kind=UnknownName)
    refused(lambda: mxemu.quantize(X, "NVFP4", **given), *given.values(), kind=UnknownName)


def test_formats_of_the_wrong_sort() -> None:
    refused(lambda: mxemu.encode(X, "INT65"), "65", kind=BadType)
    refused(lambda: mxemu.quantize(X, "E4M3"), "E4M3", kind=UnknownName)
    profile = mxemu.profile.OCP.replace(scale_clamp=(0, 255))
    refused(lambda: mxemu.quantize(X, "E2M1/E8M0/16", profile=profile), "0xff", kind=BadFormat)


@pytest.mark.parametrize("count", [0, -1, 1.5, "2"])
def test_numbers_of_threads(count: Any) -> None:
    try:
        refused(lambda: mxemu.set_threads(count), str(count))
    finally:
        mxemu.set_threads(None)


class TestTensors:
    """Tensors of torch, where it is installed."""

    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        self.torch = pytest.importorskip("torch")

    def test_numbers(self) -> None:
        for dtype in ("float64", "float32", "float16", "bfloat16"):
            for grad in (False, True):
                x = self.torch.tensor(
                    [1.5, -2.0, 0.1], dtype=getattr(self.torch, dtype), requires_grad=grad
                )
                expected = mxemu.encode(x.detach().double().numpy(), "E4M3")
                assert np.array_equal(mxemu.encode(x, "E4M3"), expected)
                assert np.array_equal(mxemu.encode(x[::2], "E4M3"), expected[::2])

    def test_a_negation_that_torch_has_put_off(self) -> None:
        x = self.torch.tensor([1j, -2j]).conj().imag
        assert mxemu.decode(mxemu.encode(x, "E4M3"), "E4M3").tolist() == [-1.0, 2.0]

    def test_codes(self) -> None:
        x = self.torch.tensor([1.0, 2.0]).to(self.torch.float8_e4m3fn)
        assert mxemu.decode(x, "E4M3").tolist() == [1.0, 2.0]

    @pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"])
    def test_8_bit_floats_are_not_taken_for_integers(self, dtype: str) -> None:
        x = self.torch.tensor([1.0, 2.0]).to(getattr(self.torch, dtype))
        try:
            found = mxemu.encode(x, "E4M3")
        except BadType:
            return
        assert found.tolist() == [0x38, 0x40]

    def test_no_numbers(self) -> None:
        for x in (self.torch.tensor([True]), self.torch.tensor([1j])):
            refused(lambda given=x: mxemu.encode(given, "E4M3"), kind=BadType)
        refused(
            lambda: mxemu.encode(self.torch.zeros(2, device="meta"), "E4M3"), "meta", kind=BadType
        )

    def test_a_carrier_that_is_not_the_tensors(self) -> None:
        x = self.torch.ones(2, dtype=self.torch.bfloat16)
        refused(lambda: mxemu.encode(x, "E4M3", carrier="binary32"), "bfloat16", kind=BadType)


def test_torch_is_not_imported_for_arrays() -> None:
    before = "torch" in sys.modules
    mxemu.encode(X, "E4M3")
    assert ("torch" in sys.modules) == before
