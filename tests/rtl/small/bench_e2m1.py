"""A bench as a user of cocotb would write it: it drives the design, the scoreboard judges. Run by test_cocotb.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer

from conformance.cocotb import Scoreboard


@cocotb.test()
async def every_code(dut: Any) -> None:
    board = Scoreboard("decode", "E2M1", name="e2m1")
    for inputs in board.stimulus():
        dut.code.value = inputs["code"]
        await Timer(1, "ns")
        board.add(inputs, {"value": dut.value.value})
    keep(board.report())
    board.check()


def keep(report: str) -> None:
    Path(os.environ["REPORT"]).write_text(report, encoding="utf-8")
