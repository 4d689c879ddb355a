"""Every named accumulation, hidden behind a box, is found again."""

from __future__ import annotations

import time

import pytest
from probe_boxes import QUERIES, SECONDS, differences, search, space_of

from mxemu.accumulations import ACCUMULATIONS
from mxemu.formats import BLOCK_FORMATS

# Units of which the scales are a part are asked in blocks.
_BLOCKS = {
    "nv-blackwell-mxf8f6f4": ("MXFP8_E4M3", "MXFP4_E2M1"),
    "nv-blackwell-mxf4": ("MXFP4_E2M1",),
    "nv-blackwell-nvf4": ("NVFP4",),
    "cublas-fp8-blockwise": ("MXFP8_E4M3",),
    "cublas-fp8-blockwise-1x128": ("E4M3/E8M0/32",),
    "triton-dot-scaled": ("MXFP8_E5M2", "MXFP4_E2M1"),
}
_ANY = ("MXFP8_E4M3", "MXFP4_E2M1")
_FORMATS = {
    name: _BLOCKS.get(name) or record.operands or _ANY for name, record in ACCUMULATIONS.items()
}
CASES = [(name, fmt) for name, formats in _FORMATS.items() for fmt in formats]
# Each preset with one of its formats, in turn; `make exhaustive` takes all of them.
FEW = [
    (name, formats[place % len(formats)]) for place, (name, formats) in enumerate(_FORMATS.items())
]


def test_every_preset_is_hidden_once() -> None:
    assert [name for name, _ in FEW] == list(ACCUMULATIONS)
    assert set(FEW) < set(CASES)
    assert all(name in ACCUMULATIONS for name in _BLOCKS)
    assert any(fmt in BLOCK_FORMATS for _, fmt in CASES)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fmt"), [*FEW, ("nv-blackwell-f8f6f4-fp16", "E2M1")])
def test_a_preset_is_found(name: str, fmt: str) -> None:
    find(name, fmt)


def find(name: str, fmt: str) -> None:
    """Hide a preset behind a box and look for it."""
    record = ACCUMULATIONS[name]
    space = space_of(record, fmt)
    looking, hidden = search(record, space)
    start = time.process_time()
    found = looking.run()
    seconds = time.process_time() - start
    assert found is not None
    assert looking.pool().explains(record)
    assert hidden.asked == looking.box.queries <= QUERIES
    assert seconds <= SECONDS
    assert differences(found, record, space) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fmt"),
    [
        ("fp32-sequential", "MXFP8_E4M3"),
        ("bf16-accumulator", "MXFP4_E2M1"),
        ("nv-volta-fp16", "binary16"),
        ("nv-hopper-fp8-wgmma", "E4M3"),
        ("nv-fp8-mma-emulated", "E5M2"),
        ("nv-blackwell-f8f6f4", "E2M1"),
        ("arm-fdot", "E4M3"),
    ],
)
def test_a_preset_is_found_without_the_list_of_presets(name: str, fmt: str) -> None:
    record = ACCUMULATIONS[name]
    space = space_of(record, fmt)
    looking, hidden = search(record, space, presets=False)
    found = looking.run()
    assert found is not None
    assert hidden.asked <= QUERIES
    assert differences(found, record, space) == 0
