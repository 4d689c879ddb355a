"""What is right but in the wrong place is called that, and by its name; what is right raises no suspicion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scramblers
from scramblers import Scrambler

import mxemu
from conformance.adapters import dumps
from conformance.report.findings import findings
from conformance.report.words import paragraph
from conformance.runner import Filters, Run, check
from conformance.verdict import Group
from conformance.why.places import bit_orders, lane_orders, offsets_of, record_orders, scale_orders
from conformance.worker import InProcess
from mxemu.layout import ARRANGEMENTS, LAYOUTS, PACKINGS, pack, unpack
from mxemu.profile import PRESETS

# What each is called, and what is said of it.
NAMED: dict[type[Scrambler], tuple[str, str]] = {
    scramblers.NibblesSwapped: (
        "pairs-swapped",
        "codes are right, but the two nibbles of each byte are swapped",
    ),
    scramblers.NibblesReadSwapped: (
        "pairs-swapped",
        "arithmetic is right, but in the codes that it reads the two nibbles of each byte are swapped",
    ),
    scramblers.NibblesOfB: (
        "lanes-crossed",
        "arithmetic is right, but in b the two nibbles of each byte are swapped",
    ),
    scramblers.BigEndianWords: (
        "codes-of-32-bit-words-reversed",
        "codes are right, but the codes of each 32-bit word are in reverse order",
    ),
    scramblers.BigEndianWordsOfNibbles: (
        "bytes-of-32-bit-words-reversed",
        "codes are right, but the bytes of each 32-bit word are in reverse order",
    ),
    scramblers.SplitHalves: (
        "split-halves-32-read-as-dense",
        "codes are right, but the bytes are written as split-halves-32 and read as dense",
    ),
    scramblers.Reversed: (
        "lanes-reversed",
        "codes are right, but the elements of each block are in reverse order",
    ),
    scramblers.EvensFirst: (
        "even-lanes-first",
        "codes are right, but the elements at even places stand before those at odd places",
    ),
    scramblers.Interleaved: (
        "lanes-interleaved",
        "codes are right, but the two halves of each block are interleaved",
    ),
    scramblers.Tiles: ("block-transposed-8x4", "each block is transposed as a matrix of 8 x 4"),
    scramblers.HighBitsFirst: (
        "dense-read-as-high-bits-first",
        "the bytes are written as dense and read as high-bits-first",
    ),
    scramblers.OldFp6: (
        "torchao-fp6-read-as-dense",
        "codes are right, but the bytes are written as torchao-fp6 and read as dense",
    ),
    scramblers.ScaleBehind: (
        "scale-last-read-as-first",
        "blocks are written with the scale last and read with the scale first",
    ),
    scramblers.ScaleOfFbgemmReadAsGgml: (
        "scale-last-read-as-first-and-dense-read-as-split-halves-32",
        "codes written as dense and read as split-halves-32",
    ),
    scramblers.ScalesSwizzled: (
        "nvidia-128x4-read-as-row-major-of-a-and-b",
        "the scales of a and b are written as nvidia-128x4 and read row by row",
    ),
    scramblers.ScalesGivenSwizzled: (
        "nvidia-128x4-read-as-row-major",
        "codes are right, but the scales are written as nvidia-128x4 and read row by row",
    ),
    scramblers.ScalesOfEachOther: (
        "row-scales-crossed",
        "arithmetic is right, but the scales of a and b are swapped",
    ),
    scramblers.ProductTransposed: (
        "result-transposed",
        "results are right, but rows and columns of the product are exchanged",
    ),
    scramblers.ColumnMajorB: (
        "column-major-b",
        "stored row after row and read column after column",
    ),
    scramblers.Backwards: (
        "rows-reversed-of-b",
        "the elements of each row of b are in reverse order",
    ),
    scramblers.BigEndianInputs: (
        "bytes-swapped-of-inputs",
        "arithmetic is right, but the 4 bytes of each input are in reverse order",
    ),
    scramblers.BigEndianValues: (
        "bytes-swapped",
        "values are right, but the 4 bytes of each value are in reverse order",
    ),
    scramblers.HalvesOfWords: ("halves-swapped", "the 16-bit halves of each value are swapped"),
    scramblers.NextScale: ("scales-of-next-block", "each block has the scale of the next one"),
    scramblers.ColumnsFirst: ("inputs-transposed", "column after column"),
    scramblers.EncodedPairs: ("pairs-swapped", "the two nibbles of each byte are swapped"),
    scramblers.BitsUpsideDown: ("bits-reversed", "the bits of each code are in reverse order"),
}


def judged(subject: Any, level: str = "smoke") -> Group:
    """The one group of a subject."""
    worker = InProcess(subject)
    run = Run(subject.name, worker.introduce(), level, None, reduces=False)
    (group,) = [one for one in check(worker, run, Filters()).groups if one.carrier != "any"]
    return group


def test_every_kind_is_listed() -> None:
    kinds = {kind for kind in vars(scramblers).values() if isinstance(kind, type)}
    assert {kind for kind in kinds if issubclass(kind, Scrambler)} - {Scrambler} == {*NAMED}


@pytest.mark.parametrize("kind", NAMED, ids=lambda kind: kind.__name__)
def test_what_is_in_the_wrong_place_is_named(kind: type[Scrambler]) -> None:
    name, text = NAMED[kind]
    group = judged(kind())
    first = group.hypotheses[0]
    assert (group.verdict, first.name, first.kind) == ("FAIL", name, "layout")
    assert first.complete
    assert first.text.endswith(text)


@pytest.mark.parametrize("operation", ["quantize", "dequantize", "matmul", "fake_quantize"])
def test_what_is_right_raises_no_suspicion(operation: str) -> None:
    kind = type("Right", (Scrambler,), {"operation": operation})
    group = judged(kind())
    assert (group.verdict, group.hypotheses) == ("pass", [])


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_layout_is_suspected_where_it_is_read_as_it_was_written(name: str) -> None:
    layout = LAYOUTS[name]
    k = layout.k or 32
    format_name = "MXFP4_E2M1" if k == 32 else "NVFP4"
    format_name = "MXFP6_E3M2" if name == "torchao-fp6" else format_name

    class Stored(Scrambler):
        format = format_name

        def gave_blocks(self, scales: Any, codes: Any) -> tuple[Any, Any]:
            blocks = len(codes) // 4 * 4
            rows = codes.reshape(len(codes), -1)
            width = mxemu.formats.block_format(format_name).element.width
            through = [
                unpack(pack(row.tolist(), width, layout.packing), len(row), width, layout.packing)
                for row in rows[:blocks]
            ]
            return scales, np.concatenate([np.array(through, codes.dtype), rows[blocks:]])

    group = judged(Stored())
    assert (group.verdict, group.hypotheses) == ("pass", [])


@pytest.mark.parametrize("name", ["rceil", "ocp-overflow", "finite-amax"])
def test_another_convention_is_not_taken_for_another_layout(name: str) -> None:
    kind = type("Other", (Scrambler,), {"profile": PRESETS[name]})
    assert {one.kind for one in judged(kind()).hypotheses} <= {"profile", "departure"}


def test_cases_that_are_open_are_seen_through_the_layout_too() -> None:
    """Zeros of both signs in one block: with their places swapped back they are as expected, or follow a convention."""
    open_ones = judged(scramblers.NibblesSwapped()).open_hypothesis
    assert open_ones is not None
    assert (open_ones.name, open_ones.kind, open_ones.complete) == ("pairs-swapped", "layout", True)
    profile = mxemu.profile.OCP.replace(zero_block="one")
    kind = type("Swapped", (scramblers.NibblesSwapped,), {"profile": profile})
    open_ones = judged(kind()).open_hypothesis
    assert open_ones is not None
    assert (open_ones.name, open_ones.kind) == ("zero_block=one", "profile")


def test_two_names_for_one_order_are_both_said() -> None:
    """A pair exchanged in one operand of a dot product is a pair exchanged in the other."""
    first = judged(scramblers.NibblesOfB()).hypotheses[0]
    assert "pairs-swapped-of-a" in first.also


def test_the_report_says_the_sentence() -> None:
    worker = InProcess(scramblers.NibblesSwapped())
    run = check(worker, Run("x", worker.introduce(), "smoke", None), Filters())
    (finding,) = [one for one in findings(run) if one.verdict == "FAIL"]
    lines = "\n".join(paragraph(finding))
    assert (
        "codes are right, but the two nibbles of each byte are swapped: layout pairs-swapped"
        in lines
    )
    assert "mxemu rule code-order" in lines


def dump(folder: Path, scales: Any, codes: Any, values: Any) -> Group:
    """The group of a dump of quantized blocks."""
    np.savez(folder / "inputs.npz", values=values)
    np.savez(folder / "outputs.npz", scales=scales, codes=codes)
    where = f"files:{folder / 'inputs.npz'},{folder / 'outputs.npz'}"
    (group,) = dumps.check(where, Filters(("quantize",), ("MXFP4_E2M1",), ("binary32",))).groups
    return group


def drawn(rows: int, columns: int) -> Any:
    rng = np.random.default_rng(1)
    spread = np.exp2(rng.integers(-9, 9, (rows, columns)))
    return (rng.standard_normal((rows, columns)) * spread).astype(np.float32)


def test_the_swizzle_of_a_dump_is_named(tmp_path: Path) -> None:
    values = drawn(128, 128)
    blocks = mxemu.quantize(values, "MXFP4")
    scales = scramblers.swizzled(blocks.scales).reshape(blocks.scales.shape)
    first = dump(tmp_path, scales, blocks.codes, values).hypotheses[0]
    assert (first.name, first.kind) == ("nvidia-128x4-read-as-row-major", "layout")


def test_blocks_along_the_other_axis_are_named(tmp_path: Path) -> None:
    values = drawn(64, 96)
    blocks = mxemu.quantize(values, "MXFP4", axis=0)
    codes = np.ascontiguousarray(blocks.codes.reshape(96, 64).T)
    group = dump(tmp_path, blocks.scales.T.reshape(64, 3).copy(), codes, values)
    first = group.hypotheses[0]
    assert (first.name, first.kind, first.complete) == ("blocks-along-other-axis", "layout", True)
    assert "blocks run down the columns of 64 x 96" in first.text


def test_the_operands_of_a_dumped_product_are_seen_as_matrices(tmp_path: Path) -> None:
    a, b = (mxemu.quantize(drawn(rows, 128), "MXFP4") for rows in (6, 4))
    right = mxemu.matmul(a, b)
    given = {
        "sa": a.scales,
        "a": a.codes.reshape(6, -1),
        "sb": b.scales,
        "b": b.codes.reshape(4, -1),
    }
    np.savez(tmp_path / "inputs.npz", **given)
    np.savez(tmp_path / "outputs.npz", bits=right.T.reshape(6, 4).copy())
    where = f"files:{tmp_path / 'inputs.npz'},{tmp_path / 'outputs.npz'}"
    (group,) = dumps.check(where, Filters(("matmul",), ("MXFP4_E2M1",), ("binary32",))).groups
    assert (group.hypotheses[0].name, group.hypotheses[0].kind) == ("result-transposed", "layout")


@pytest.mark.parametrize(("k", "width"), [(32, 4), (16, 4), (32, 6), (32, 8), (7, 5)])
def test_orders_are_permutations_of_their_own(k: int, width: int) -> None:
    orders = [*lane_orders(k, width), *bit_orders(k, width), *record_orders(k, width, 8)]
    assert all(order.is_whole for order in orders)
    assert all(
        (order.undone[order.places] == np.arange(len(order.places))).all() for order in orders
    )
    assert len({order.places.tobytes() for order in orders}) == len(orders)


def test_orders_of_packings_are_those_of_the_layouts() -> None:
    """Packed as one and unpacked as another, code by code by the exact core."""
    codes = [5 * lane % 64 for lane in range(32)]
    bits = np.array([code >> bit & 1 for code in codes for bit in range(6)])
    (order,) = [one for one in bit_orders(32, 6) if one.name == "dense-read-as-torchao-fp6"]
    found = bits[order.places].reshape(32, 6) @ (1 << np.arange(6))
    stored = pack(codes, 6, PACKINGS["dense"])
    assert found.tolist() == [*unpack(stored, 32, 6, PACKINGS["torchao-fp6"])]


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_offsets_of_scales_are_those_of_the_layouts(name: str) -> None:
    record = ARRANGEMENTS[name]
    offsets = offsets_of(record, 40, 6)
    assert offsets.tolist() == [record.offset(r, c, 40, 6) for r in range(40) for c in range(6)]


def test_scales_lost_in_padding_leave_a_gap() -> None:
    orders = {order.name: order for order in scale_orders(12)}
    order = orders["nvidia-128x4-read-as-row-major"]
    assert not order.is_whole
    assert (order.undone == -1).sum() == 12 - (order.places != -1).sum()
