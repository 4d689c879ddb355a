"""How a result comes about, as data: what a code means, how a number becomes a code, how a block is quantized.

Nothing is decided here. The functions call `scalar`, `scale` and `block`, and lay their inputs, steps and results
side by side; drawing them is left to others, such as the command line.

Reading order: `text` and `conversion`, the words and the one conversion that all others use; `line`, the reals that
become a code; `codes` (`explain_code`); `values` (`explain_value`); `steps` and `blocks` (`explain_block`); `sentences`
and `dots` (`mxemu.explain.dots.explain_dot`), which are imported on their own.
"""

from __future__ import annotations

from mxemu.explain.blocks import BlockExplanation, BlockOutcome, explain_block
from mxemu.explain.codes import CodeExplanation, explain_code
from mxemu.explain.conversion import Point, convert
from mxemu.explain.line import Interval, Line
from mxemu.explain.steps import ElementSteps, ScaleSteps, Step
from mxemu.explain.text import Number, bit_fields, code_text, read_code, read_number
from mxemu.explain.values import Error, Outcome, Place, ValueExplanation, explain_value

__all__ = [
    "BlockExplanation",
    "BlockOutcome",
    "CodeExplanation",
    "ElementSteps",
    "Error",
    "Interval",
    "Line",
    "Number",
    "Outcome",
    "Place",
    "Point",
    "ScaleSteps",
    "Step",
    "ValueExplanation",
    "bit_fields",
    "code_text",
    "convert",
    "explain_block",
    "explain_code",
    "explain_value",
    "read_code",
    "read_number",
]
