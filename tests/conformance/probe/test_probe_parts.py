"""The parts of the prober: trees, codes, words, and boxes that misbehave."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from probe_boxes import Hidden, format_of, space_of

from conformance.probe import Box, BoxError, Space, out_format, probe, render_json, render_text
from conformance.probe.moves import Hints, moves
from conformance.probe.palette import Palette, codes_at
from conformance.probe.space import C, joined
from conformance.probe.stress import KINDS, batch, kinds
from conformance.probe.trees import foldings, sums, tree_of
from conformance.probe.words import number, question, ranges
from mxemu.accumulation import Accumulation, Chain, Fuse, Nested
from mxemu.accumulations import ACCUMULATIONS, from_mapping, to_mapping
from mxemu.explain.dots import sums_of
from mxemu.formats import BFLOAT16, BINARY16, BINARY32, E4M3, E5M2, INT8, NVFP4, FloatFormat
from mxemu.scalar import decode
from mxemu.value import Value

SPACE = Space(E4M3, E4M3, 32, BINARY32)


@pytest.mark.parametrize("name", ACCUMULATIONS)
@pytest.mark.parametrize("length", [32, 48, 128])
def test_sums_are_those_of_the_explanation(name: str, length: int) -> None:
    record = ACCUMULATIONS[name]
    own = sums(record.node, length, 32)
    others = sums_of(record, length, 32)
    assert len(own) == len(others)
    for one, other in zip(own, others, strict=True):
        assert len(one.inputs) == len(other.terms)


@pytest.mark.parametrize("name", ACCUMULATIONS)
@pytest.mark.parametrize("length", [32, 64, 128])
@pytest.mark.parametrize("c", [True, False])
def test_folding_a_tree_gives_nodes_with_this_tree(name: str, length: int, c: bool) -> None:
    tree = tree_of(ACCUMULATIONS[name].node, length, 32, c=c)
    found = foldings(tree, length, 32, c=c)
    assert found
    assert all(tree_of(node, length, 32, c=c) == tree for node in found)


def test_a_tree_of_no_known_kind_is_written_out() -> None:
    tree = ((0, (1, 2)), (3, C), 4)
    (node,) = foldings(tree, 5, 5)
    assert isinstance(node, Nested)
    assert tree_of(node, 5, 5) == ((C, 3), (0, (1, 2)), 4)


@pytest.mark.parametrize("fmt", ["E4M3", "E5M2", "E2M1", "INT8", "binary16", "E4M3FNUZ", "TF32"])
def test_codes_of_powers(fmt: str) -> None:
    own = format_of(fmt)
    palette = Palette(Space(own, own, 8, BINARY32))
    for exponent in range(palette.low, palette.high + 1):
        for sign in (0, 1):
            pair = palette.power(exponent, sign)
            values = [
                decode(code, one).fraction()
                for code, one in zip(pair, palette.space.elements, strict=True)
            ]
            assert values[0] * values[1] == (-1) ** sign * Fraction(2) ** exponent
    assert decode(int(palette.negated(np.array([pair.a]))[0]), palette.space.elements[0]).sign == 0


def test_codes_keep_their_exponent() -> None:
    for fmt in (E4M3, E5M2, INT8):
        for exponent in range(-5, fmt.emax + 1):
            for fraction in range(1 << fmt.mantissa_bits):
                arrays = (np.array([one]) for one in (exponent, fraction, 0))
                value = decode(int(codes_at(fmt, *arrays)[0]), fmt)
                assert value.leading == exponent


@pytest.mark.parametrize("fmt", ["E4M3", "E2M1", "INT8", "binary16", "NVFP4", "MXFP8_E5M2"])
def test_random_dots_are_valid(fmt: str) -> None:
    space = space_of(ACCUMULATIONS["exact"], fmt)
    dots = batch(Palette(space), np.random.default_rng(3), 200)
    assert dots.size >= 200
    assert (dots.a.max() >> space.elements[0].width) == 0
    assert space.evaluate(ACCUMULATIONS["exact"], dots) is not None
    assert set(KINDS) <= set(kinds(space))
    assert joined([dots, dots]).size == 2 * dots.size


def test_moves_change_one_thing_and_can_be_written_down() -> None:
    record = ACCUMULATIONS["nv-fp8-mma-emulated"]
    listed = moves(record, SPACE, Hints())
    assert len({move.parameter for move in listed}) > 15
    for move in listed:
        assert not move.record.same_arithmetic(record)
        assert from_mapping(to_mapping(move.record)).same_arithmetic(move.record)


def test_words() -> None:
    assert [number(Value(0, 1, -18)), number(Value(1, 3, -1)), number(Value(0, 1, 3))] == [
        "2^-18",
        "-1.5",
        "8",
    ]
    assert ranges(["3", "none", "1", "2", "-7"]) == "-7, 1 to 3, none"
    space = Space(NVFP4, NVFP4, 32, BINARY32)
    dots = space.dots(np.full((1, 32), 0), np.full((1, 32), 2))
    dots.a[0, 3], dots.a[0, 30] = 0x4, 0xC
    dots.sa[0, 1] = 0x40  # type: ignore[index]
    assert question(space, dots, 0) == "2 at 3, -2 at 30, block 1 * 2 * 1"


def answers(**changes: Any) -> Any:
    """The running sum with something wrong."""
    hidden = Hidden(ACCUMULATIONS["fp32-sequential"], SPACE)

    def call(sa: Any, a: Any, sb: Any, b: Any, c: Any) -> Any:
        return changes["spoilt"](np.asarray(hidden(sa, a, sb, b, c)), a, c)

    return call


def test_a_box_of_another_dtype_or_shape() -> None:
    for spoilt, words in (
        (lambda bits, a, c: bits.view(np.float32), "float32"),
        (lambda bits, a, c: bits[:-1], r"shape \(1,\); expected bits, uint32 of shape \(2,\)"),
        (lambda bits, a, c: bits.astype(np.uint16), "uint16; expected uint32"),
        (lambda bits, a, c: bits[:, None], "shape"),
    ):
        with pytest.raises(BoxError, match=words):
            probe(answers(spoilt=spoilt), SPACE)


def test_a_box_that_is_not_deterministic() -> None:
    rng = np.random.default_rng(0)

    def spoilt(bits: Any, a: Any, c: Any) -> Any:
        return np.where(rng.random(len(bits)) < 0.01, bits ^ 1, bits).astype(np.uint32)

    finding = probe(answers(spoilt=spoilt), SPACE)
    assert finding.record is None
    assert finding.unsteady is not None
    _, example = finding.unsteady
    assert example.box != example.other
    text = render_text(finding)
    assert "answers the same question differently" in text
    assert f"{example.box}, then {example.other}" in text
    assert '"unsteady": {' in render_json(finding, 4)


def test_a_box_that_looks_at_the_place_in_the_batch() -> None:
    def spoilt(bits: Any, a: Any, c: Any) -> Any:
        bits = bits.copy()
        bits[7::8] ^= 1
        return bits

    finding = probe(answers(spoilt=spoilt), SPACE)
    assert finding.record is None
    assert finding.unsteady is not None


def test_a_box_that_takes_no_c() -> None:
    record = ACCUMULATIONS["bf16-accumulator"]
    hidden = Hidden(record, SPACE)

    def call(sa: Any, a: Any, sb: Any, b: Any, c: Any) -> Any:
        if c is not None:
            raise BoxError("the box raised: C")
        return hidden(sa, a, sb, b, None)

    finding = probe(call, SPACE)
    assert not finding.space.takes_c
    assert record.name in finding.names


@pytest.mark.parametrize("out", [BINARY32, BINARY16, BFLOAT16], ids=str)
def test_the_format_of_results_is_recognised(out: FloatFormat) -> None:
    space = Space(E4M3, E4M3, 32, out)
    assert out_format(Hidden(ACCUMULATIONS["exact"], space), SPACE) == out


def test_nan_of_several_words_are_compared_as_one() -> None:
    def spoilt(bits: Any, a: Any, c: Any) -> Any:
        nan = (c & 0x7FFFFFFF) > 0x7F800000
        return np.where(nan, c | 0x00400000, bits).astype(np.uint32)

    finding = probe(answers(spoilt=spoilt), SPACE)
    assert finding.space.any_nan
    assert "fp32-sequential" in finding.names
    assert "NaN 0x7FC00001" in render_text(finding)


@pytest.mark.slow
def test_what_no_accumulation_does_is_not_found() -> None:
    def spoilt(bits: Any, a: Any, c: Any) -> Any:
        # The last bit of the result hangs on the number of terms that are not zero.
        odd = (a != 0).sum(axis=1) & 1
        return np.where((bits & 0x7F800000) < 0x7F800000, bits ^ odd, bits).astype(np.uint32)

    finding = probe(answers(spoilt=spoilt), SPACE, seconds=10)
    assert finding.record is None
    assert finding.closest is not None
    assert finding.explained < finding.answers
    assert "NOT FOUND" in render_text(finding)


def test_every_answer_is_kept_for_the_verdict() -> None:
    record = Accumulation("mine", Chain(Fuse("binary32 toward-zero", 20), 8))
    box = Box(Hidden(record, SPACE), SPACE)
    dots = batch(Palette(SPACE), np.random.default_rng(5), 100)
    bits = box.ask("random", dots)
    assert box.queries == dots.size
    kept, found = box.pool()
    assert np.array_equal(kept.a, dots.a)
    assert np.array_equal(found, bits)
