"""Blocks in daily use: indices, bytes, statistics, pickling, and how they show themselves."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from math import inf, isnan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mxemu
from mxemu import block, scalar
from mxemu.array.blocks import Blocks
from mxemu.array.records import block_format_of, canonical, format_table, profile_of, profile_table
from mxemu.array.statistics import Errors, Statistics, largest_codes, zero_codes
from mxemu.errors import BadFormat, BadIndex, BadShape, BadType, BadValue
from mxemu.formats import BLOCK_FORMATS, E2M1, E8M0, ELEMENTS, BlockFormat, FloatFormat, IntFormat
from mxemu.formats import block_format as find
from mxemu.layout import LAYOUTS
from mxemu.profile import OCP, PRESETS, Profile, ScaleRule, StepPoint
from mxemu.scalar import Status
from mxemu.value import Value

Array = np.ndarray[Any, Any]
CUSTOM = BlockFormat("mine <b>", IntFormat("INT5", 5), E8M0, 8)


def sample(shape: tuple[int, ...]) -> Array:
    """Multiples of 1/8 that cover several binades; all their squares sum exactly."""
    count = int(np.prod(shape))
    numbers = (np.arange(count) * 7919 % 1021 - 510).astype(np.float32) / 8
    numbers[::13] = 0
    return numbers.reshape(shape)


def made(shape: tuple[int, ...] = (3, 70), axis: int = -1, fmt: Any = "MXFP4", **more: Any) -> Any:
    return mxemu.quantize(sample(shape), fmt, axis=axis, tail="partial", **more)


# Shape, axis, and an index of scales with what it means for the elements along each axis of the original.
PARTS: list[tuple[tuple[int, ...], int, Any, tuple[Any, ...]]] = [
    ((100,), 0, 0, (slice(0, 32),)),
    ((100,), 0, -1, (slice(96, 100),)),
    ((100,), 0, slice(1, 3), (slice(32, 96),)),
    ((100,), 0, slice(2, None), (slice(64, 100),)),
    ((100,), 0, slice(4, 9), (slice(100, 100),)),
    ((100,), 0, slice(3, 1), (slice(96, 96),)),
    ((100,), 0, (), (slice(None),)),
    ((100,), 0, ..., (slice(None),)),
    ((3, 70), 1, 1, (1, slice(None))),
    ((3, 70), 1, (1, 2), (1, slice(64, 70))),
    ((3, 70), 1, (slice(None, None, -1), slice(1, None)), (slice(None, None, -1), slice(32, 70))),
    ((3, 70), 1, (..., 0), (slice(None), slice(0, 32))),
    ((3, 70), 1, (np.int64(-1), ..., slice(0, 1)), (2, slice(0, 32))),
    ((70, 3), 0, 2, (slice(None), 2)),
    ((70, 3), 0, (slice(0, 2), 1), (slice(32, 64), slice(0, 2))),
    ((2, 70, 3), 1, 1, (1, slice(None), slice(None))),
    ((2, 70, 3), 1, (slice(None), 2), (slice(None), slice(None), 2)),
    ((2, 70, 3), 1, (0, slice(2), slice(2, 3)), (0, slice(64, 70), slice(0, 2))),
    ((2, 3, 70), 0, (2, 69), (slice(None), 2, 69)),
]


@pytest.mark.parametrize(("shape", "axis", "index", "elements"), PARTS, ids=str)
def test_an_index_selects_elements(
    shape: tuple[int, ...], axis: int, index: Any, elements: tuple[Any, ...]
) -> None:
    blocks = made(shape, axis)
    part = blocks[index]
    assert np.array_equal(np.asarray(part), np.asarray(blocks)[elements])
    assert np.shares_memory(part.codes, blocks.codes) or not part.codes.size
    assert (part.block_format, part.profile) == (blocks.block_format, blocks.profile)


@given(st.data())
def test_any_index_keeps_codes_and_shape_consistent(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(65,), (2, 33), (33, 2), (2, 40, 3)]))
    axis = data.draw(st.integers(0, len(shape) - 1))
    blocks = made(shape, axis)
    *others, count = blocks.scales.shape
    along = st.integers(-count, count - 1) | st.builds(slice, *[st.none() | st.integers(-3, 3)] * 2)
    spans = [data.draw(st.integers(-n, n - 1) | st.slices(n)) for n in others]
    index = (*spans, data.draw(along))
    part = blocks[index]
    last = index[-1] if isinstance(index[-1], slice) else [index[-1]]
    assert np.array_equal(part.codes, blocks.codes[(*index[:-1], last)])
    assert np.array_equal(part.scales, blocks.scales[(*index[:-1], last)])
    assert Blocks(part.codes, part.scales, "MXFP4", OCP, part.axis, part.shape) == part


@pytest.mark.parametrize(
    ("index", "kind", "words"),
    [
        (3, BadIndex, "index 3 along axis 0 of the scales, which has length 3"),
        (-4, BadIndex, "index -4 along axis 0"),
        ((0, 3), BadIndex, "index 3 along axis 1"),
        (
            (0, 0, 0),
            BadIndex,
            r"3 indices into blocks of shape \(3, 3\); a block is the smallest part",
        ),
        ((..., 0, ...), BadIndex, "3 indices"),
        ((0, slice(None, None, 2)), BadIndex, "step 2 along the blocks; expected neighbours"),
        ((0, slice(None, None, -1)), BadIndex, "step -1 along the blocks"),
        (True, BadType, "index True; expected integers, slices"),
        (1.0, BadType, "index 1.0; expected integers"),
        (None, BadType, "index None"),
        ([0, 1], BadType, r"index \[0, 1\]"),
    ],
)
def test_bad_indices(index: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        made()[index]


def test_iteration_goes_along_the_first_axis_of_scales() -> None:
    blocks = made()
    assert len(blocks) == 3
    assert list(blocks) == [blocks[0], blocks[1], blocks[2]]
    assert [one.shape for one in made((70,))] == [(32,), (32,), (6,)]


def test_numbers_of_blocks() -> None:
    blocks = made()
    assert np.asarray(blocks).dtype == np.float32
    assert np.array_equal(np.asarray(blocks), mxemu.dequantize(blocks))
    assert np.array_equal(np.asarray(blocks, np.float64), mxemu.dequantize(blocks, np.float64))
    assert mxemu.quantize(blocks, "MXFP4", tail="partial") == blocks
    with pytest.raises(ValueError, match="computed"):
        np.array(blocks, copy=False)


def test_equality() -> None:
    blocks = made()
    assert blocks == made()
    assert blocks != made(fmt="MXFP8")
    assert blocks != made(profile="rceil")
    assert blocks != made(tensor_scale=2.0)
    assert made(tensor_scale=4.0) != made(tensor_scale=2.0)
    assert blocks != "blocks"
    other = copy.deepcopy(blocks)
    other.codes[0, 0, 0] ^= 1
    assert blocks != other
    assert replace(blocks, profile=OCP.replace(name="renamed")) == blocks
    with pytest.raises(TypeError):
        hash(blocks)


@pytest.mark.parametrize(
    "twin", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_copies_use_the_registered_records(twin: Any) -> None:
    blocks = made(tensor_scale=0.5, profile="rceil")
    again = twin(blocks)
    assert again == blocks
    assert again.block_format is find("MXFP4")
    assert again.profile is PRESETS["rceil"]
    assert type(again.tensor_scale) is np.float32


def test_copies_of_a_custom_format_share_one_record() -> None:
    blocks = made(fmt=CUSTOM, profile=OCP.replace(zero_sign="positive"))
    twins = [pickle.loads(pickle.dumps(blocks)) for _ in range(2)]
    assert twins[0] == blocks
    assert twins[0].block_format is twins[1].block_format
    assert twins[0].profile is twins[1].profile


def test_names_of_formats_and_profiles_become_records() -> None:
    blocks = made((64,))
    again = Blocks(blocks.codes, blocks.scales, "mxfp4", "rceil")
    assert again.block_format is find("MXFP4")
    assert again.profile is PRESETS["rceil"]
    assert (again.shape, again.axis) == ((64,), 0)


def test_an_index_that_leads_outside_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        made()[3]


def test_repr_is_one_line() -> None:
    assert repr(made()) == "<Blocks MXFP4_E2M1 (ocp), shape (3, 70), axis 1, 297 bytes>"
    custom = made((8,), fmt=CUSTOM, profile=OCP.replace(rounding="to-odd"), tensor_scale=2.0)
    assert repr(custom) == (
        "<Blocks mine <b> (ocp with rounding=to-odd), shape (8,), axis 0, tensor scale 2.0, 9 bytes>"
    )


class Tags(HTMLParser):
    """Counts tags and keeps the text; every tag that is opened must be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: Counter[str] = Counter()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.count[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def parsed(blocks: Blocks) -> Tags:
    tags = Tags()
    tags.feed(blocks._repr_html_())
    assert not tags.open
    return tags


def test_html_is_escaped_and_small() -> None:
    found = parsed(made((8, 20), fmt=CUSTOM))
    assert "mine <b>" in found.text
    assert "shape (8, 20), axis 1" in found.text
    assert found.count["tr"] == 9
    assert "and 16 more blocks" in found.text
    assert found.count["b"] == 1


def test_html_shows_codes_and_scales() -> None:
    found = parsed(mxemu.quantize([1.0, 2.0, -3.0, float("nan")], "E2M1/E8M0/4"))
    assert "0xFF\nnan\n0 0 0 0\n" in found.text
    found = parsed(mxemu.quantize(np.arange(20), "E4M3/E8M0/20"))
    assert "0x7B\n0.0625\n" in found.text
    assert "... " not in found.text
    assert "77 ...\n" in found.text
    assert "more blocks" not in found.text


def test_html_takes_the_colours_of_the_reader() -> None:
    page = made()._repr_html_()
    assert "background" not in page
    assert "color:" not in page.replace("currentColor", "")


def test_html_of_nothing() -> None:
    assert parsed(made((0, 32))).count["td"] == 0


def test_table_has_a_row_for_each_block() -> None:
    table = made((2, 40, 3), 1).to_pandas()
    assert list(table.columns) == ["axis_0", "axis_2", "block", "scale_code", "scale", "codes"]
    assert len(table) == 12
    blocks = made((2, 40, 3), 1)
    for row in table.itertuples():
        place = (row.axis_0, row.axis_2, row.block)
        assert int(row.scale_code, 16) == blocks.scales[place]
        assert row.scale == 2.0 ** (int(blocks.scales[place]) - 127)
        codes = [int(code, 16) for code in row.codes.split()]
        assert codes == blocks.codes[place][: 8 if row.block else 32].tolist()
    wide = made((1, 8), fmt="INT12/E8M0/8")
    assert wide.to_pandas().codes[0].split() == [
        f"{code:03X}" for code in wide.codes[0, 0].tolist()
    ]


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "axis"), [((256,), 0), ((3, 256), 1), ((256, 2), 0), ((2, 128, 3), 1)]
)
def test_bytes_there_and_back(name: str, shape: tuple[int, ...], axis: int) -> None:
    formats = [fmt for fmt in BLOCK_FORMATS.values() if holds(name, fmt)]
    assert formats
    for fmt in formats:
        blocks = made(shape, axis, fmt, tensor_scale=0.5, profile="rceil")
        data = blocks.to_bytes(name)
        assert type(data) is bytes
        more = {"axis": axis, "profile": "rceil", "tensor_scale": 0.5}
        assert Blocks.from_bytes(data, fmt, shape, name, **more) == blocks
        array = np.frombuffer(data, np.uint8)
        assert Blocks.from_bytes(array, fmt.name, shape, name, **more) == blocks


def holds(name: str, fmt: BlockFormat) -> bool:
    try:
        LAYOUTS[name].map(2, 8, fmt)
    except BadFormat:
        return False
    return True


def test_bytes_of_a_shorter_last_block() -> None:
    blocks = made((3, 70))
    assert Blocks.from_bytes(blocks.to_bytes(), "MXFP4", (3, 70)) == blocks
    with pytest.raises(BadShape, match=r"153 bytes; expected 102 \(3 x 2 blocks"):
        Blocks.from_bytes(blocks.to_bytes(), "MXFP4", (3, 64))


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (0.1, "0.1 is no binary32 number; 0.10000000149011612 is the closest one"),
        (0.0, "expected a finite binary32 number above 0"),
        (-1.0, "above 0"),
        (inf, "above 0"),
        (1e300, "above 0"),
        (1e-300, "above 0"),
        (float("nan"), "above 0"),
        ("much", "'much'; expected a number"),
        ([1.0, 2.0], "expected a number"),
    ],
)
def test_bad_tensor_scales(scale: Any, words: str) -> None:
    with pytest.raises(BadValue, match=words):
        Blocks.from_bytes(bytes(17), "MXFP4", (32,), tensor_scale=scale)


def statuses(
    x: Array, fmt: BlockFormat, profile: Profile
) -> list[tuple[float, Fraction, int, Status]]:
    """What the exact core makes of each element: input, value, code, status; blocks with a NaN scale left out."""
    found = []
    for row in x.reshape(-1, x.shape[-1]):
        for start in range(0, row.size, fmt.k):
            part = row[start : start + fmt.k]
            bits = [*part.view(np.uint32).tolist(), *[0] * (fmt.k - part.size)]
            one = block.quantize_bits(bits, "binary32", fmt, profile)
            values = block.dequantize(one.scale, one.codes, fmt, profile)
            if values[0].is_nan and scalar.decode(one.scale, fmt.scale).is_nan:
                continue
            found += [
                (float(v), value.fraction(), code, status)
                for v, value, code, status in zip(part, values, one.codes, one.status, strict=False)
            ]
    return found


@pytest.mark.parametrize("name", BLOCK_FORMATS)
@pytest.mark.parametrize("profile", ["ocp", "rceil", "floor-truncate"])
def test_statistics_are_those_of_the_core(name: str, profile: str) -> None:
    fmt, x = find(name), sample((5, 70))
    found = made((5, 70), fmt=fmt, profile=profile).statistics(x)
    rows = statuses(x, fmt, PRESETS[profile])
    errors = [abs(value - Fraction(v)) for v, value, _, _ in rows]
    n_blocks = 5 * -(-70 // fmt.k)
    largest = abs(fmt.element.max.fraction())
    assert (found.elements, found.blocks) == (350, n_blocks)
    assert found.bits == n_blocks * fmt.bits_per_block
    assert found.bits_per_element == n_blocks * fmt.bits_per_block / 350
    assert found.compression == 2 * found.compression_binary16 == 32 * 350 / found.bits
    assert found.zeros == sum(value == 0 for _, value, _, _ in rows)
    assert found.clipped == sum(Status.SATURATED in status for _, _, _, status in rows)
    assert found.at_largest == sum(
        abs(scalar.decode(code, fmt.element).fraction()) >= largest for _, _, code, _ in rows
    )
    assert found.errors is not None
    assert found.errors.compared == 350
    assert Fraction(found.errors.noise) == sum(error**2 for error in errors)
    assert Fraction(found.errors.signal) == sum(Fraction(v) ** 2 for v, _, _, _ in rows)
    assert Fraction(found.errors.total) == sum(errors)
    assert found.max_abs_error == max(errors)
    assert found.mean_abs_error == float(sum(errors)) / 350
    assert found.errors.flushed == sum(v != 0 and value == 0 for v, value, _, _ in rows)


def test_scales_are_counted() -> None:
    x = np.zeros((4, 32), np.float32)
    x[0], x[1], x[2, 5] = 1, 1024, np.nan
    blocks = mxemu.quantize(x, "MXFP4")
    found = blocks.statistics()
    assert found.scale_counts == {0: 1, 125: 1, 135: 1, 255: 1}
    assert list(found.scale_counts) == [0, 125, 135, 255]
    assert found.nan_scales == 1
    assert found.scale_range == (0, 135)
    # The zero codes under the NaN scale are no zeros.
    assert found.zeros == 32
    assert (found.clipped, found.errors, found.sqnr, found.clip_rate) == (None, None, None, None)
    assert (found.max_abs_error, found.mean_abs_error) == (None, None)


def test_a_signed_scale_and_a_scale_with_inf() -> None:
    codes, scales = np.zeros((4, 16), np.uint8), np.array([0x7F, 0xFF, 0x81, 0x05], np.uint8)
    found = Blocks(codes, scales, "NVFP4").statistics()
    assert (found.nan_scales, found.scale_range, found.zeros) == (2, (0x05, 0x81), 32)
    fmt = BlockFormat("e5m2 scales", E2M1, ELEMENTS["E5M2"], 16)
    scales = np.array([0x7C, 0x7D, 0xFF, 0x05], np.uint8)
    assert Blocks(codes, scales, fmt).statistics().nan_scales == 2
    fmt = BlockFormat("fnuz scales", E2M1, ELEMENTS["E4M3FNUZ"], 16)
    scales = np.array([0x7F, 0x80, 0xFF, 0x80], np.uint8)
    assert Blocks(codes, scales, fmt).statistics().nan_scales == 2


def test_wide_scales_are_counted() -> None:
    fmt = BlockFormat("binary32 scales", E2M1, find_carrier("binary32"), 4)
    scales = np.array([0x3F800000, 0x7FC00000, 0x3F800000], np.uint32)
    found = Blocks(np.zeros((3, 4), np.uint8), scales, fmt).statistics()
    assert found.scale_counts == {0x3F800000: 2, 0x7FC00000: 1}
    assert found.nan_scales == 1


def find_carrier(name: str) -> FloatFormat:
    return mxemu.formats.carrier(name)


def test_no_scale_has_a_value() -> None:
    found = mxemu.quantize([float("nan")] * 32, "MXFP4").statistics([float("nan")] * 32)
    assert found.scale_range is None
    assert (found.zeros, found.at_largest, found.clipped) == (0, 0, 0)
    assert isnan(found.sqnr or 0)
    assert isnan(found.mean_abs_error or 0)
    assert "none, 1 NaN" in str(found)


def test_nan_and_inf_made() -> None:
    x = np.ones((3, 32), np.float32)
    x[0, 0], x[1, 1], x[2, 2] = np.nan, np.inf, 900
    found = mxemu.quantize(x, "MXFP8_E5M2", profile="finite-amax", overflow="overflow").statistics(
        x
    )
    assert found.errors is not None
    assert (found.errors.nan_made, found.errors.inf_made, found.errors.compared) == (0, 0, 94)
    found = mxemu.quantize(x, "MXFP8_E5M2").statistics(x)
    assert found.errors is not None
    # The NaN itself was there before; its 31 neighbours and the 32 of the other block were not.
    assert (found.errors.nan_made, found.errors.compared) == (63, 32)
    x[2, 2] = 1.99 * 1024
    found = mxemu.quantize(x[2], "MXFP8_E5M2", overflow="overflow").statistics(x[2])
    assert found.errors is not None
    assert (found.errors.inf_made, found.clipped) == (1, 0)


def test_signalling_nans_are_silent() -> None:
    bits = np.array([0x7F800001] + [0x3F800000] * 31, np.uint32)
    found = mxemu.quantize(bits.view(np.float32), "MXFP4").statistics(bits.view(np.float32))
    assert found.nan_scales == 1


def test_sqnr_at_its_ends() -> None:
    assert Errors(4, 100.0, 1.0).sqnr == 20
    assert Errors(4, 100.0, 0.0).sqnr == inf
    assert isnan(Errors(4, 0.0, 0.0).sqnr)
    assert made().statistics(np.asarray(made())).sqnr == inf
    huge = np.full(32, 1e300)
    assert isnan(mxemu.quantize(huge, "MXFP4").statistics(huge).sqnr or 0)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("tail", ["pad", "partial"])
def test_statistics_along_any_axis(axis: int, tail: str) -> None:
    x = sample((40, 41, 42))
    found = mxemu.quantize(x, "MXFP4", axis=axis, tail=tail).statistics(x)
    moved = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    expected = mxemu.quantize(moved, "MXFP4", tail="partial").statistics(moved)
    assert found == expected
    assert found.elements == x.size


def test_statistics_do_not_depend_on_the_pieces() -> None:
    x = sample((1 << 20,))
    blocks = mxemu.quantize(x, "MXFP6_E2M3")
    whole = blocks.statistics(x)
    assert whole.elements == 1 << 20
    parts = [
        part.statistics(piece) for part, piece in zip(halves(blocks), (x[:64], x[64:]), strict=True)
    ]
    assert whole.zeros == sum(part.zeros for part in parts)
    assert whole.clipped == sum(part.clipped or 0 for part in parts)
    assert Counter(whole.scale_counts) == Counter(parts[0].scale_counts) + Counter(
        parts[1].scale_counts
    )
    assert whole.errors is not None
    assert Fraction(whole.errors.noise) == sum(
        Fraction(part.errors.noise) for part in parts if part.errors
    )


def halves(blocks: Blocks) -> tuple[Blocks, Blocks]:
    return blocks[:2], blocks[2:]


def test_clipped_is_not_known_of_others_blocks() -> None:
    x = sample((4, 64))
    blocks = mxemu.quantize(x, "MXFP4")
    other = copy.deepcopy(blocks)
    other.codes[1, 0, 3] ^= 8
    found = other.statistics(x)
    assert found.clipped is None
    assert found.sqnr is not None
    assert blocks.statistics(x).clipped is not None


def test_clipped_under_stochastic_rounding_needs_the_words() -> None:
    x = sample((4, 64))
    blocks = mxemu.quantize(x, "MXFP4", profile="stochastic", key=5, axis=0, tail="partial")
    assert blocks.statistics(x).clipped is None
    assert blocks.statistics(x, key=6).clipped is None
    known = blocks.statistics(x, key=5)
    assert known.clipped is not None
    assert replace(known, clipped=None) == blocks.statistics(x)
    words = np.arange(256, dtype=np.uint32).reshape(4, 64) << 20
    blocks = mxemu.quantize(x, "MXFP4", profile="stochastic", random=words)
    assert blocks.statistics(x, random=words).clipped is not None


def test_sources_of_other_types() -> None:
    x = sample((64,))
    expected = mxemu.quantize(x, "MXFP4").statistics(x)
    assert mxemu.quantize(x, "MXFP4").statistics(x.tolist()) == expected
    assert mxemu.quantize(x, "MXFP4").statistics(x.astype(np.float64)) == expected
    halfs = x.astype(np.float16)
    assert mxemu.quantize(halfs, "MXFP4").statistics(halfs) == expected
    upper = (x.view(np.uint32) >> 16).astype(np.uint16)
    short = (upper.astype(np.uint32) << 16).view(np.float32)
    blocks = mxemu.quantize(upper, "MXFP4", carrier="bfloat16")
    assert blocks.statistics(upper, carrier="bfloat16") == blocks.statistics(short)


def test_a_source_of_another_shape_is_refused() -> None:
    with pytest.raises(
        BadShape, match=r"source has shape \(3, 64\); the blocks stand for \(3, 70\)"
    ):
        made().statistics(sample((3, 64)))
    with pytest.raises(BadShape, match=r"\(210,\)"):
        made().statistics(sample((210,)))
    padded = mxemu.quantize(sample((3, 70)), "MXFP4", tail="pad")
    assert padded.statistics(sample((3, 70))).elements == 210
    assert padded.statistics().elements == 288


def test_statistics_of_nothing() -> None:
    found = made((0, 32)).statistics(sample((0, 32)))
    assert (found.elements, found.blocks, found.bits, found.scale_range) == (0, 0, 0, None)
    assert isnan(found.bits_per_element)
    assert isnan(found.zero_rate)


def test_the_tensor_scale_takes_its_bits() -> None:
    assert made((32,), tensor_scale=2.0).statistics().bits == 136 + 32


def test_statistics_as_text() -> None:
    text = str(made((3, 70)).statistics())
    assert text.splitlines()[0] == "MXFP4_E2M1: 210 elements in 9 blocks"
    assert "SQNR" not in text
    assert "clipped" not in text
    assert isinstance(made().statistics(), Statistics)


@pytest.mark.parametrize("fmt", ELEMENTS.values(), ids=str)
def test_zero_and_largest_codes(fmt: Any) -> None:
    values = {code: scalar.decode(code, fmt) for code in range(1 << fmt.width)}
    finite = {code: abs(value.fraction()) for code, value in values.items() if value.is_finite}
    assert zero_codes(fmt) == tuple(code for code, value in finite.items() if not value)
    largest = abs(fmt.max.fraction())
    assert sorted(largest_codes(fmt)) == [
        code for code, value in finite.items() if value >= largest
    ]


RULE = ScaleRule("MINE", (StepPoint.ABOVE_MAX,), offset=-2, note="mine")
PROFILES = [
    *PRESETS.values(),
    OCP.replace(rounding="to-odd", scale_clamp=(3, 200), amax_floor=Value(0, 3, -20)),
    OCP.replace(name="mine", note="by me", scale_rule=RULE, random_bits=7),
]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_profiles_as_tables(profile: Profile) -> None:
    again = profile_of(profile_table(profile))
    assert again == profile
    assert again is canonical(profile)
    assert again.name not in PRESETS or again is PRESETS[again.name]


@pytest.mark.parametrize(
    "fmt", [*BLOCK_FORMATS.values(), CUSTOM, find("E3M3:fn/E5M3:ieee/7")], ids=str
)
def test_formats_as_tables(fmt: BlockFormat) -> None:
    again = block_format_of(format_table(fmt))
    assert again == fmt
    assert again is canonical(fmt)


def test_a_format_that_took_a_known_name_stays_itself() -> None:
    fmt = BlockFormat("MXFP4_E2M1", E2M1, E8M0, 64)
    assert block_format_of(format_table(fmt)).k == 64


def changed(table: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    """A copy of a table with one field changed; None takes it out."""
    table = copy.deepcopy(table)
    inner = table
    for key in path[:-1]:
        inner = inner[key]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return table


FORMAT, INTS, OWN = format_table(find("MXFP4")), format_table(CUSTOM), profile_table(PROFILES[-2])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (None, "None; expected an object of kind block"),
        ([], r"\[\]; expected an object of kind block"),
        (changed(FORMAT, "kind", to="float"), "expected an object of kind block"),
        (changed(FORMAT, "k", to=None), "fields missing or unknown: k"),
        (changed(FORMAT, "l", to=3), "fields missing or unknown: l"),
        (changed(FORMAT, "k", to="32"), "block field k = '32'; expected int"),
        (changed(FORMAT, "k", to=True), "block field k = True; expected int"),
        (changed(FORMAT, "k", to=0), "k = 0; expected at least one"),
        (changed(FORMAT, "element", to={}), "expected an object of kind float"),
        (
            changed(FORMAT, "element", "exponent_bits", to=10**9),
            "exponent_bits = 1000000000; expected",
        ),
        (
            changed(FORMAT, "element", "mantissa_bits", to=65),
            "mantissa_bits = 65; expected at most 64",
        ),
        (changed(FORMAT, "element", "bias", to=10**9), "bias = 1000000000"),
        (changed(FORMAT, "element", "nans", to=[1]), r"nans = \[1\]; expected the first code"),
        (changed(FORMAT, "element", "nans", to=["a", "b"]), "nans = "),
        (changed(FORMAT, "element", "nans", to=[1, 2]), "Inf and NaN must be distinct, topmost"),
        (changed(FORMAT, "element", "inf", to="x"), "float field inf = 'x'; expected int | None"),
        (changed(INTS, "element", "width", to=65), "width = 65; expected at most 64"),
        (changed(INTS, "element", "fraction_bits", to=10**9), "fraction_bits"),
        (changed(FORMAT, "scale", to=INTS["element"]), "scale INT5 is an integer format"),
    ],
)
def test_tables_that_are_no_format(table: Any, words: str) -> None:
    with pytest.raises(BadFormat, match=words):
        block_format_of(table)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("ocp", "profile 'ocp'; expected an object"),
        (changed(OWN, "name", to=3), "profile field name = 3; expected str"),
        (changed(OWN, "rounding", to=3), "profile field rounding = 3; expected Rounding"),
        (changed(OWN, "random_bits", to="x"), "profile field random_bits = 'x'"),
        (changed(OWN, "scale_rule", to="FLOOR"), "expected an object of kind rule"),
        (changed(OWN, "scale_rule", "steps", to=["f > 9"]), "scale rule FLOOR: 'f > 9'"),
        (changed(OWN, "scale_rule", "steps", to=[[]]), "scale rule FLOOR: "),
        (changed(OWN, "scale_rule", "arithmetic", to="none"), "scale rule FLOOR: 'none'"),
        (changed(OWN, "scale_rule", "offset", to=10**9), "offset = 1000000000"),
        (changed(OWN, "amax_floor", to=3), "3; expected an object of kind value"),
        (changed(OWN, "amax_floor", "significand", to=0), "amax_floor"),
        (changed(OWN, "amax_floor", "exponent", to=10**9), "exponent = 1000000000"),
        (changed(OWN, "scale_clamp", to=[1]), "scale_clamp"),
    ],
)
def test_tables_that_are_no_profile(table: Any, words: str) -> None:
    with pytest.raises(BadFormat, match=words):
        profile_of(table)


def test_unknown_fields_and_values_of_profiles() -> None:
    with pytest.raises(
        LookupError, match=r"unknown profile field 'roundin'; did you mean rounding\?"
    ):
        profile_of({"roundin": "to-odd"})
    with pytest.raises(LookupError, match="unknown value of profile field rounding 'to-even'"):
        profile_of({"rounding": "to-even"})
    # What is left out is as in OCP.
    assert profile_of({"rounding": "to-odd"}).same_choices(OCP.replace(rounding="to-odd"))


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (
            {"codes": np.zeros((2, 31), np.uint8)},
            BadShape,
            r"codes have shape \(2, 31\); expected \(2, 32\)",
        ),
        (
            {"codes": np.zeros((2, 32), np.uint16)},
            BadType,
            "codes have dtype uint16; expected an ndarray of uint8",
        ),
        ({"codes": [[0] * 32] * 2}, BadType, "codes have dtype list"),
        ({"scales": np.zeros(3, np.uint8)}, BadShape, r"scales have shape \(3,\); expected \(2,\)"),
        ({"scales": np.zeros(2, np.int8)}, BadType, "scales have dtype int8"),
        ({"axis": 1}, BadShape, r"axis 1 of an array of shape \(64,\)"),
        ({"shape": (128,)}, BadShape, r"expected \(4, 32\) for an array of shape \(128,\)"),
        (
            {"codes": np.zeros(64, np.uint8), "shape": ()},
            BadShape,
            r"expected \(\.\.\., n_blocks, k\)",
        ),
    ],
)
def test_records_that_contradict_themselves(change: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        replace(made((64,)), **change)
