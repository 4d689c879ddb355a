"""dot and matmul equal the exact core for every accumulation and pair of formats; shapes, C, and what is refused."""

from __future__ import annotations

from random import Random

import dot_compare
import numpy as np
import pytest

import mxemu
from mxemu.accumulation import (
    Accumulation,
    Chain,
    Fuse,
    Lanes,
    Late,
    Nested,
    Node,
    Parts,
    Sum,
    Tree,
)
from mxemu.accumulations import ACCUMULATIONS, kulisch
from mxemu.errors import BadCode, BadShape, BadType, UnknownName
from mxemu.formats import BINARY32, E4M3, E8M0, BlockFormat
from mxemu.products import Operand, dot
from mxemu.scalar import decode
from mxemu.value import Value

RESULTS = 10_000

# Trees and steps that no preset has.
CUSTOM = (
    Accumulation(node=Sum(Fuse("binary16 to-odd", fraction_bits=9, align="to-odd"))),
    Accumulation(node=Chain(Fuse("E5M4 toward-positive flush", fraction_bits=40), 3)),
    Accumulation(node=Chain(Fuse("binary32", fraction_bits=60, align="ties-to-even"), 5)),
    Accumulation(node=Tree(Fuse("bfloat16 ties-to-away"), leaf=3)),
    Accumulation(node=Late(Parts(8, Sum(), Sum(Fuse("binary32"))), Fuse("binary16"))),
    Accumulation(node=Parts(0, Sum(), Sum(), scale=()), scale_at="part"),
    Accumulation(
        node=Parts(0, Sum(), Chain(Fuse("binary32")), scale="binary16", scaled="bfloat16"),
        scale_at="part",
    ),
    Accumulation(node=Nested(Fuse("binary32"), ((0, 1, -1), tuple(range(2, 32))))),
    Accumulation(node=Chain(Fuse("binary32")), products="E5M3 toward-negative stop-at-max"),
    Accumulation(node=Chain(Fuse("binary32")), product_exponent="normalised", product_limit=3),
    Accumulation(node=Chain(Fuse("binary16 toward-negative", 12), 8), rounding="toward-negative"),
    kulisch(30, -12),
    kulisch(30, -12, saturate=True),
    kulisch(300, -150),
)


@pytest.mark.slow
@pytest.mark.clause("MX-6.1-DOT", "MX-6.1-MIXED", "MX-6.2-SUM", "MX-6.1-PREC")
@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_every_accumulation_equals_the_exact_core(name: str) -> None:
    done, found = dot_compare.one(name, RESULTS, 0)
    assert found == []
    assert done >= RESULTS


@pytest.mark.parametrize("record", CUSTOM, ids=lambda record: repr(record.node)[:60])
def test_custom_accumulations_equal_the_exact_core(record: Accumulation) -> None:
    rng = Random(3)
    for theme in dot_compare.draw.THEMES:
        for pair in dot_compare.pairs(record)[::5]:
            assert list(dot_compare.compare(record, pair, theme, 3, 32, rng)) == []


@pytest.mark.parametrize(
    "node",
    [
        Parts(2, Parts(1, Sum(), Sum(), scale=()), Sum()),
        Parts(4, Parts(2, Sum(), Sum(), scale=()), Sum()),
        Lanes(2, Parts(1, Sum(), Sum(), scale=()), Sum()),
        Lanes(2, Parts(2, Sum(), Sum(), scale=()), Sum()),
    ],
)
@pytest.mark.parametrize("k", [1, 2])
def test_scales_of_parts_below_other_nodes(node: Node, k: int) -> None:
    form = BlockFormat("small", E4M3, E8M0, k)
    record = Accumulation(node=node, scale_at="part")
    for scales in ([127] * 8, [120 + one for one in range(8)], [127, 128] * 4):
        own = scales[: 8 // k]
        operand = Operand([0x38, 0x40, 0x44, 0x30] * 2, form, own)
        blocks = mxemu.Blocks(
            np.array(operand.codes, np.uint8).reshape(1, -1, k), np.array([own], np.uint8), form
        )
        try:
            expected = dot(operand, operand, None, record).bits
        except BadShape:
            with pytest.raises(BadShape, match="two scales"):
                mxemu.dot(blocks, blocks, accumulation=record)
            continue
        assert mxemu.dot(blocks, blocks, accumulation=record, bits=True).tolist() == [expected]


def test_c_in_the_other_byte_order() -> None:
    ones = (np.full((2, 4), 0x38, np.uint8), "E4M3")
    for c in (np.ones((2, 2), ">f4"), np.full((2, 2), 0x3F800000, ">u4")):
        assert np.array_equal(mxemu.matmul(ones, ones, c=c), np.full((2, 2), 5.0))
        assert np.array_equal(mxemu.dot(ones, ones, c=c[0]), [5.0, 5.0])


@pytest.mark.parametrize("name", ["cublas-fp8-fast", "cublas-fp8-promoted"])
@pytest.mark.parametrize("out", ["binary32", "binary16"])
def test_a_result_that_a_tensor_scale_makes_zero_keeps_its_sign(name: str, out: str) -> None:
    tiny = np.float32(2.0**-100)
    a, b = (
        mxemu.Blocks(
            np.array([[[code] + [0] * 15]], np.uint8),
            np.array([[0x38]], np.uint8),
            "NVFP4",
            tensor_scale=tiny,
        )
        for code in (2, 10)
    )
    sides = (
        Operand(one.codes.ravel().tolist(), "NVFP4", [0x38], Value(0, 1, -100)) for one in (a, b)
    )
    expected = dot(*sides, None, name, out).bits
    assert expected == {"binary32": 0x80000000, "binary16": 0x8000}[out]
    assert int(mxemu.dot(a, b, accumulation=name, out=out, bits=True)[0]) == expected
    assert int(mxemu.matmul(a, b, accumulation=name, out=out, bits=True)[0, 0]) == expected


def test_nothing_at_all_is_checked_too() -> None:
    none = (np.zeros((0, 3, 32), np.uint8), "E4M3")
    with pytest.raises(BadShape, match="K = 32 and 64"):
        mxemu.matmul(none, (np.zeros((4, 64), np.uint8), "E4M3"))
    with pytest.raises(UnknownName):
        mxemu.matmul(none, (np.zeros((4, 32), np.uint8), "E4M3"), accumulation="typo")


def test_sums_that_no_register_holds_come_from_the_core() -> None:
    """An inner sum that is neither rounded nor narrow cannot be handed on in 62 bits."""
    record = Accumulation(node=Parts(8, Sum(), Sum(Fuse("binary32"))))
    codes = np.full((1, 32), 0x7B, np.uint8)
    codes[:, ::2] = 0x01
    bits = mxemu.dot((codes, "E5M2"), (codes, "E5M2"), accumulation=record, bits=True)
    operand = Operand(codes[0].tolist(), "E5M2")
    assert int(bits[0]) == dot(operand, operand, None, record).bits


def blocks(shape: tuple[int, ...], seed: int = 0, form: str = "MXFP8_E4M3") -> mxemu.Blocks:
    return mxemu.quantize(np.random.default_rng(seed).standard_normal(shape), form)


def test_leading_dimensions_broadcast_as_in_numpy() -> None:
    a, b = blocks((3, 1, 5, 64)), blocks((4, 2, 64), 1)
    got = mxemu.matmul(a, b)
    assert got.shape == (3, 4, 5, 2)
    for i, j in np.ndindex(3, 4):
        assert np.array_equal(got[i, j], mxemu.matmul(a[i, 0], b[j]))
    dots = mxemu.dot(blocks((3, 1, 64)), blocks((4, 64), 1))
    assert dots.shape == (3, 4)
    assert dots[2, 1] == mxemu.dot(blocks((3, 1, 64))[2, 0], blocks((4, 64), 1)[1])


def test_blocks_along_the_first_axis_are_the_second_operand_of_a_product() -> None:
    numbers = np.random.default_rng(2).standard_normal((64, 3)).astype(np.float32)
    columns = mxemu.quantize(numbers, "MXFP4", axis=0)
    rows = mxemu.quantize(np.ascontiguousarray(numbers.T), "MXFP4")
    a = blocks((5, 64), 3, "MXFP4")
    assert np.array_equal(mxemu.matmul(a, columns), mxemu.matmul(a, rows))


def test_a_padded_tail_changes_nothing() -> None:
    numbers = np.random.default_rng(4).standard_normal((2, 40)).astype(np.float32)
    padded = mxemu.quantize(np.pad(numbers, ((0, 0), (0, 24))), "MXFP8_E5M2")
    tail = mxemu.quantize(numbers, "MXFP8_E5M2", tail="pad")
    assert np.array_equal(mxemu.matmul(padded, padded), mxemu.matmul(tail, tail))


def test_the_number_of_threads_changes_nothing() -> None:
    a = blocks((300, 256))
    try:
        found = []
        for count in (1, 2, 3):
            mxemu.set_threads(count)
            found.append(mxemu.matmul(a, a, accumulation="nv-hopper", bits=True))
    finally:
        mxemu.set_threads(None)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
def test_c_is_a_number_or_a_bit_pattern(dtype: type) -> None:
    a = blocks((3, 32))
    c = np.array([1.5, -0.0, 3.0]).astype(dtype)
    as_number = mxemu.dot(a, a, c=c, bits=True)
    as_bits = mxemu.dot(a, a, c=c.astype(np.float32).view(np.uint32), bits=True)
    assert np.array_equal(as_number, as_bits)
    whole = mxemu.dot(a, a, c=2.0)
    assert np.array_equal(whole, mxemu.dot(a, a, c=np.full(3, 2.0)))


def test_out_is_any_carrier() -> None:
    a = blocks((2, 32))
    wide = mxemu.dot(a, a, out="binary64")
    assert wide.dtype == np.float64
    assert mxemu.dot(a, a).dtype == np.float32
    assert np.array_equal(mxemu.dot(a, a, out="binary16"), wide.astype(np.float16))
    assert mxemu.dot(a, a, out="bfloat16").dtype == np.uint16


@pytest.mark.parametrize(
    "name", ["exact", "fp32-sequential", "nv-blackwell-nvf4", "cublas-fp8-fast"]
)
def test_tensor_scales(name: str) -> None:
    numbers = np.random.default_rng(5).standard_normal((3, 64)).astype(np.float32)
    a = mxemu.quantize(numbers, "NVFP4", tensor_scale=np.float32(0.0123))
    b = mxemu.quantize(numbers[::-1].copy(), "NVFP4", tensor_scale=np.float32(7.7))
    got = mxemu.dot(a, b, accumulation=name, bits=True)
    for i in range(3):
        left, right = (
            Operand(
                one.codes[i].ravel().tolist(),
                "NVFP4",
                one.scales[i].tolist(),
                decode(int(one.tensor_scale.view(np.uint32)), BINARY32),
            )
            for one in (a, b)
        )
        assert int(got[i]) == dot(left, right, None, name).bits


def test_codes_without_scales() -> None:
    codes = np.arange(64, dtype=np.uint8).reshape(2, 32)
    got = mxemu.dot((codes, "E4M3"), (codes, "E5M2"), accumulation="nv-hopper-fp8-wgmma", bits=True)
    for i in range(2):
        left, right = Operand(codes[i].tolist(), "E4M3"), Operand(codes[i].tolist(), "E5M2")
        assert int(got[i]) == dot(left, right, None, "nv-hopper-fp8-wgmma").bits


def test_nothing_to_add() -> None:
    empty = (np.empty((2, 0), np.uint8), "E4M3")
    assert mxemu.dot(empty, empty, c=[1.0, -0.0], bits=True).tolist() == [0x3F800000, 0x80000000]
    assert mxemu.matmul(empty, (np.empty((0, 0), np.uint8), "E4M3")).shape == (2, 0)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: mxemu.dot(blocks((1, 32)), blocks((1, 64))), BadShape, "K = 32 and 64"),
        (lambda: mxemu.dot(blocks((1, 64)), blocks((1, 64), 0, "NVFP4")), BadShape, "k = 32 and k = 16"),
        (lambda: mxemu.dot(blocks((2, 32)), blocks((3, 32))), BadShape, "do not broadcast"),
        (lambda: mxemu.matmul(blocks((32,)), blocks((3, 32))), BadShape, r"expected \(\.\.\., m, K\)"),
        (lambda: mxemu.dot(blocks((2, 32)), blocks((2, 32)), c=np.ones(3)), BadShape, "c has shape"),
        (lambda: mxemu.dot(np.ones((2, 32)), blocks((2, 32))), BadType, "expected Blocks"),
        (lambda: mxemu.dot(([300], "E4M3"), ([1], "E4M3")), BadCode, "0x12c"),
        (lambda: mxemu.dot(([17], "E2M1"), ([1], "E2M1")), BadCode, "0x11"),
        (lambda: mxemu.dot(blocks((32,)), blocks((32,)), accumulation="nv-hoper"), UnknownName, "nv-hopper"),
        (lambda: mxemu.dot(blocks((32,)), blocks((32,)), out="E4M3"), UnknownName, "carrier"),
        (
            lambda: mxemu.dot(
                blocks((32,)),
                blocks((32,)),
                accumulation=Accumulation(node=Nested(Fuse("binary32"), ((0, 1),))),
            ),
            BadShape,
            "tree is for 2",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(call, kind, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(kind, match=words):
        call()


def test_a_c_beside_a_tensor_scale_is_refused_where_nothing_says_how_they_meet() -> None:
    a = mxemu.quantize(np.ones((1, 32)), "NVFP4", tensor_scale=np.float32(0.5))
    with pytest.raises(BadShape, match="does not say how C meets a tensor scale"):
        mxemu.dot(a, a, c=1.0, accumulation="fp32-sequential")
    left = Operand(a.codes.ravel().tolist(), "NVFP4", a.scales.ravel().tolist(), Value(0, 1, -1))
    expected = dot(left, left, Value(0, 1, 0)).bits
    assert int(mxemu.dot(a, a, c=1.0, bits=True)[0]) == expected
