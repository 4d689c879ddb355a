"""A sample of the comparison with MMA-Sim, where that is installed; `mmasim_check.py` runs all of it."""

from __future__ import annotations

import pytest
from products import draw, mmasim_check

from mxemu.accumulation import Grade
from mxemu.accumulations import ACCUMULATIONS

# One instruction of each sort is enough here.
SAMPLE = {unit.preset: unit for unit in mmasim_check.units()}


def test_every_preset_that_rests_on_the_simulator_is_compared() -> None:
    wanted = {name for name, one in ACCUMULATIONS.items() if one.grade is Grade.SIMULATOR}
    assert wanted
    assert wanted <= set(SAMPLE)


@pytest.mark.parametrize("name", SAMPLE)
def test_presets_equal_mmasim(name: str) -> None:
    pytest.importorskip("mmasim", reason="MMA-Sim 2.1.1 is not installed")
    unit = SAMPLE[name]
    for theme in draw.THEMES:
        drawn = mmasim_check.drawn_dots(unit, theme, 12, seed=7)
        found = list(mmasim_check.differences(unit, drawn))
        assert [one for one in found if not mmasim_check.is_expected(unit.preset, one[0])] == []
