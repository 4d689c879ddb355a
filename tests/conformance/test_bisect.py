"""The first step that differs: of every member of the zoo that is about blocks or products, and of strangers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strangers
from click.testing import CliRunner, Result

from conformance import zoo
from conformance.adapter import PRODUCT_OPERATIONS, Capabilities, Operation
from conformance.arrays import Array
from conformance.bisect import Bisection, bisect, has_steps
from conformance.bisect.of_blocks import middles
from conformance.bisect.of_products import Products
from conformance.bisect.questions import STEPS, is_exact
from conformance.judges import ProductJudge, product_judge
from conformance.replay import Replay, read
from conformance.runner import Filters, Run, requests
from conformance.why.minimize import cases_of
from conformance.worker import InProcess
from conformance.zoo.reference import Reference
from mxemu.accumulation import EXACT
from mxemu.cli import cli
from mxemu.errors import Unsupported
from mxemu.formats import BFLOAT16, BINARY32, E2M1
from mxemu.profile import OCP
from mxemu.value import Value

# Of each mistake about blocks or products the step in which it is made, and those that cannot be told from it.
SCALE, DIVIDE, DECODE, PRODUCT = ("scale", ()), ("divide", ()), ("decode", ()), ("product", ())
STEP_OF = {
    "float-log2-binary64": SCALE,
    "float-log2-binary32": SCALE,
    "float-log2-binary16": SCALE,
    "ceil-log2-binary32": SCALE,
    "amax-in-bfloat16": SCALE,
    "scale-subtracts-emax-and-bias": SCALE,
    "scale-without-emax": SCALE,
    "scale-one-too-small": SCALE,
    "amax-eps-floor": SCALE,
    "quotient-eps-floor": SCALE,
    "scale-carry-to-inf": SCALE,
    "max-without-abs": SCALE,
    "amax-of-half-the-lanes": SCALE,
    "amax-of-two-blocks": SCALE,
    "scale-wraps": SCALE,
    "tiny-block-nan": SCALE,
    "inputs-in-bfloat16": SCALE,
    "inputs-in-binary32": SCALE,
    "zero-block-nan": ("specials", ()),
    "scale-0-as-subnormal": SCALE,
    "scale-0-multiplies-by-1": SCALE,
    "reciprocal-of-scale-254-flushed": SCALE,
    "quotient-exponent-wraps": DIVIDE,
    "shift-count-wraps": DIVIDE,
    "pairs-swapped": ("lanes", ()),
    "blocks-straddle-rows": DIVIDE,
    "int8-negative-zero": DIVIDE,
    "dequantize-shift23": SCALE,
    "scale-0-as-zero": SCALE,
    "scale-254-as-inf": SCALE,
    "scale-code-as-factor": ("decode", ("scale",)),
    "values-doubled": ("decode", ("scale",)),
    "dequantize-drops-sign-of-zero": DECODE,
    "specials-scaled": DECODE,
    "dequantize-flushes-subnormals": ("round", ()),
    "zero-times-nan-scale": PRODUCT,
    "scales-applied-twice": SCALE,
    "second-scale-dropped": SCALE,
    "scale-sum-wraps": SCALE,
    "scale-product-in-binary32": SCALE,
    "dot-scale-0-as-zero": SCALE,
    "nan-scale-as-number": SCALE,
    "skips-zeros": PRODUCT,
    "last-lane-dropped": PRODUCT,
    "lanes-crossed": PRODUCT,
    "last-block-dropped": PRODUCT,
    "padding-scale-read": SCALE,
    "scale-of-next-block": SCALE,
    "row-scales-crossed": SCALE,
    "scales-of-first-row": SCALE,
    "operand-formats-swapped": DECODE,
    "int8-minus-128-clamped": DECODE,
    "dot-flushes-elements": DECODE,
    "products-in-bfloat16": PRODUCT,
    # A product that is cut, and a sum that is: the register may be as narrow as the multiplier.
    "block-sum-in-binary16": ("product", ("align", "accumulate")),
    "block-sum-cut": ("product", ("align", "accumulate")),
    "dot-flushes-results": ("round", ()),
    "results-saturate": ("round", ()),
    "results-truncated": ("round", ()),
    "negative-zero-sum-lost": ("round", ()),
    "ignores-c": ("accumulate", ()),
    "adds-c-twice": ("accumulate", ()),
}

# The same of implementations by another hand.
STEP_OF_STRANGER = {
    "Right": None,
    "FloorOfRatio": SCALE,
    "RoundsScaleUp": SCALE,
    "FlushesInputs": DIVIDE,
    "BorrowsAmax": SCALE,
    "FlushesProducts": ("round", ()),
    "Scan": ("exact", ()),
    "Truncates": ("round", ()),
    "ClampsAt240": ("exact", ()),
    "HalvesToByte": ("specials", ()),
    "AddsLessThanHalf": ("round", ()),
    "AllCodes": ("overflow", ()),
    "SignUpsideDown": DECODE,
    "BiasOneTooLarge": DECODE,
    "RightProducts": None,
    "AddsInBinary32": ("accumulate", ("align",)),
    "ForgetsAFactor": SCALE,
    "OneScaleForAll": SCALE,
    "Backwards": PRODUCT,
    "ScaleIsNeverNan": SCALE,
    "EndsAt65504": ("product", ("align", "accumulate")),
}
OPERATIONS = (
    "encode-scaled",
    "quantize",
    "dequantize",
    "fake_quantize",
    *PRODUCT_OPERATIONS,
)


def bisections(subject: object, *operations: str) -> Iterator[Bisection]:
    """A bisection of each group that a subject offers of some operations, or of all."""
    worker = InProcess(subject)
    capabilities = worker.introduce()
    run = Run("test", capabilities, "smoke", None)
    for request in requests(run, Filters(operations)):
        if not request.terms.further and has_steps(request):
            yield bisect(worker, capabilities, request)


def step(found: Bisection) -> tuple[str, tuple[str, ...]] | None:
    return None if found.difference is None else (found.difference.step, found.difference.also)


def about_blocks_or_products() -> list[Reference]:
    return [member for member in zoo.MEMBERS if {*member.operations} & {*OPERATIONS}]


def test_the_table_has_all_of_them() -> None:
    assert {member.name for member in about_blocks_or_products()} == {*STEP_OF}


@pytest.mark.parametrize("member", about_blocks_or_products(), ids=lambda member: member.name)
def test_each_mistake_shows_at_its_step(member: Reference) -> None:
    operations = [name for name in member.operations if name in OPERATIONS]
    found = next(one for one in bisections(member, *operations) if one.difference)
    assert step(found) == STEP_OF[member.name]
    assert found.exit_code == 1
    names = [one.name for one in found.steps]
    for one in found.steps[: names.index(found.difference.step)]:
        assert one.asked == one.agreed
    assert found.difference.case is not None
    assert read(found.difference.token).cases().inputs.ndim > 1


@pytest.mark.parametrize("name", STEP_OF_STRANGER)
def test_strangers_show_at_their_step(name: str) -> None:
    assert step(next(bisections(getattr(strangers, name)()))) == STEP_OF_STRANGER[name]


def test_what_is_right_shows_nowhere() -> None:
    """In every operation, with a block of narrow and one of wide elements; one accumulation that is declared."""

    class Some(Reference):
        @property
        def capabilities(self) -> dict[str, Any]:
            numbers = {"formats": ["MXFP4_E2M1"], "carriers": ["binary32"]}
            one = dict.fromkeys(OPERATIONS[:4], numbers)
            one["quantize"] = {"formats": ["MXINT8"], "carriers": ["bfloat16"]}
            pairs = {"formats": ["MXFP4_E2M1"], "out": "binary32", "c": True}
            return {"operations": one | dict.fromkeys(("dot", "matmul"), pairs)}

    found = list(bisections(Some()))
    assert {one.request.operation for one in found} == {*OPERATIONS} - {"dot-general"}
    assert [one.request.key for one in found if one.exit_code] == []
    assert all(any(step.asked for step in one.steps) for one in found)


def test_a_declared_accumulation_is_what_counts() -> None:
    class Adds(strangers.AddsInBinary32):
        accumulation = "fp32-sequential"

    assert [step(one) for one in bisections(Adds())] == [None]


def test_a_subject_that_raises_says_so() -> None:
    class Raises(strangers.RightProducts):
        def products(self, sa: Array, a: Array, sb: Array, b: Array, names: Any) -> Array:
            if (a.astype(int) == 2).sum(axis=1).max() > 31:
                raise ValueError("too many ones")
            return super().products(sa, a, sb, b, names)

    (found,) = bisections(Raises())
    assert step(found) == DECODE
    assert found.difference.reason.startswith("ValueError: too many ones")
    assert found.difference.what == "each code of b, times 1"
    assert found.difference.case is None


def test_only_the_case_differs() -> None:
    """What no question meets is found by the case; which step it is cannot be told then."""

    class Once(strangers.RightProducts):
        def dot(self, sa: Array, a: Array, sb: Array, b: Array, c: Any, names: Any) -> Array:
            right = super().dot(sa, a, sb, b, c, names)
            return right ^ ((a[:, 7] == 5) & (a[:, 9] == 5) & (sa[:, 0] == 99)).astype(np.uint32)

    a = [5 if lane in (7, 9) else 0 for lane in range(32)]
    numbers = ((99,), tuple(a), (127,), (2,) * 32, (0,))
    one = Replay("dot", "MXFP4_E2M1", "binary32", OCP, EXACT, numbers)
    worker = InProcess(Once())
    found = bisect(worker, worker.introduce(), one.request, one.cases().inputs[0])
    assert found.given is not None
    assert step(found) == ("accumulate", ("align",))
    assert found.difference.what == "the first terms of the case"
    assert all(step.asked == step.agreed for step in found.steps[:4])


def test_a_single_product_that_no_question_met_is_a_product() -> None:
    """Full vectors meet it; what is left of them is one number, which no step after the product needs."""

    class Lane9(strangers.RightProducts):
        def dot(self, sa: Array, a: Array, sb: Array, b: Array, c: Any, names: Any) -> Array:
            right = super().dot(sa, a, sb, b, c, names)
            return right ^ ((a[:, 9] == 5) & (b[:, 9] > 0)).astype(np.uint32)

    (found,) = bisections(Lane9())
    assert step(found) == ("product", ("accumulate",))
    assert found.difference.what.endswith(", of which one product is left")
    assert "  9: 0x05 * 0x02  " in found.difference.case.text()


def test_operations_without_steps_are_refused() -> None:
    worker = InProcess(zoo.reference)
    capabilities = Capabilities("all", "1", {"encode": Operation(("E8M0",), ("binary32",))})
    request = Replay("encode", "E8M0", "binary32", OCP, EXACT, ((0,),)).request
    with pytest.raises(Unsupported, match="nothing is known about the steps of encode E8M0"):
        bisect(worker, capabilities, request)
    lacking = Capabilities("none", "1", {})
    with pytest.raises(Unsupported, match=r"none does not offer encode E4M3 \(binary32\)"):
        bisect(worker, lacking, Replay("encode", "E4M3", "binary32", OCP, EXACT, ((0,),)).request)


# What the questions are made of.


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        (Value(0, (1 << 24) - 1, 0), True),
        (Value(0, (1 << 24) + 1, 0), False),
        (Value(0, 1 << 30, 0), True),
        (Value(0, 1, -126), True),
        (Value(0, 1, -127), False),
        (Value(0, (1 << 24) - 1, 104), True),
        (Value(0, 1, 128), False),
        (Value(1, 0, 0), True),
    ],
)
def test_what_is_not_rounded(value: Value, exact: bool) -> None:
    assert is_exact(value, BINARY32) is exact
    assert not is_exact(Value(0, 257, 0), BFLOAT16)


def test_midpoints() -> None:
    found = [str(one) for one in middles(E2M1)]
    assert found == ["0.25", "0.75", "1.25", "1.75", "2.5", "3.5", "5"]


@pytest.fixture(scope="module")
def products() -> Products:
    judge = product_judge("dot", "MXINT8", BFLOAT16, "smoke", True, EXACT)
    return Products(judge, takes_c=True)


def test_questions_before_rounding_are_not_rounded(products: Products) -> None:
    judge: ProductJudge = products.judge
    for one in products.questions():
        if one is None:
            continue
        assert one.step in STEPS["dot"]
        own = judge.on(cases_of(one.rows[::11], "random"))
        exact = {is_exact(own.sums(n).total, BFLOAT16) for n in range(len(own.cases))}
        if one.step != "round":
            assert exact == {True}, one.what


def test_questions_about_one_number_hold_one_number(products: Products) -> None:
    for one in products.decode():
        assert one is not None
        dots = products.layout.dots(one.rows)
        assert (np.minimum((dots.a != 0).sum(axis=1), (dots.b != 0).sum(axis=1)) <= 1).all()
    distances = {int(n) for n in _distances(products)}
    assert distances >= {0, 1, 6}


def _distances(products: Products) -> list[int]:
    """Exponents between the two products of each row of the question about alignment."""
    one = next(iter(products.align()))
    assert one is not None
    dots = products.layout.dots(one.rows)
    found = []
    for a, b in zip(dots.a, dots.b, strict=True):
        lanes = np.flatnonzero((a != 0) & (b != 0))
        exponents = [
            products.value(0, int(a[n])).leading + products.value(1, int(b[n])).leading
            for n in lanes
        ]
        found.append(max(exponents) - min(exponents))
    return found


# The command.

WRONG = """\
import numpy as np


class Wrong:
    name, version = "wrong", "1"
    capabilities = {"operations": {"dot": {"formats": ["MXFP4_E2M1"]}}, "accumulation": "exact"}

    def dot(self, sa, a, sb, b, c, formats):
        table = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
        values = np.concatenate([table, -table])
        scale = lambda code: np.where(code == 255, np.nan, np.exp2(code - 127.0))
        scales = scale(sa[:, 0]) * scale(sb[:, 0])
        with np.errstate(all="ignore"):
            total = (values[a] * values[b])[:, :STOP].sum(axis=1) + 0.0
            return (total * scales).astype(np.float32).view(np.uint32)
"""


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bisect") / "wrong.py"
    path.write_text(WRONG.replace("STOP", "30"), encoding="utf-8")
    return f"{path}:Wrong"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["bisect", *words], prog_name="mxemu")


def test_the_command_takes_the_first_failure_of_a_check(wrong: str) -> None:
    found = run(wrong, "--in-process")
    assert found.exit_code == 1
    lines = found.stdout.splitlines()
    assert lines[0].split("   ")[1:] == ["wrong 1", "dot MXFP4_E2M1 (binary32)"]
    assert lines[1] == "compared with the accumulation exact, which the subject declares"
    assert lines[2].startswith("the case: MX-6.1-")
    assert [line.split()[0] for line in lines[4:10]] == [*STEPS["dot"]]
    assert "32 of 32 agree" in lines[4]
    assert "6 of 160 differ" in lines[6]
    assert "not asked" in lines[7]
    assert lines[11] == "the first step that differs: product"
    assert lines[13].startswith("  MX-6.1-DOT sa 0x7F  sb 0x7F  30: 0x02 * 0x02  exact sum = 1")
    command = lines[-1].removeprefix("  see: mxemu ").split()
    assert CliRunner().invoke(cli, command).exit_code == 0


def test_the_command_takes_a_token_and_gives_json(wrong: str) -> None:
    numbers = ((127,), (*[0] * 31, 2), (127,), (2,) * 32, (0,))
    token = Replay("dot", "MXFP4_E2M1", "binary32", OCP, EXACT, numbers).token
    found = run(token, wrong, "--in-process", "--output-format", "json")
    assert found.exit_code == 1
    report = json.loads(found.stdout)
    assert report["exit_code"] == 1
    assert report["case"]["dut"]["value"] == "0"
    assert report["case"]["ref"]["value"] == "1"
    assert report["first_difference"]["step"] == "product"
    assert report["first_difference"]["or"] == []
    assert [one["name"] for one in report["steps"]] == [*STEPS["dot"]]
    assert report["steps"][0] == {"name": "decode", "asked": 32, "agreed": 32}
    assert read(report["first_difference"]["token"]).operation == "dot"


def test_the_command_finds_nothing_wrong_with_what_is_right(tmp_path: Path) -> None:
    path = tmp_path / "right.py"
    path.write_text(WRONG.replace("STOP", "32"), encoding="utf-8")
    found = run(f"{path}:Wrong", "--operation", "dot", "--in-process")
    assert found.exit_code == 0, found.output
    assert found.stdout.splitlines()[-1] == "no step differs"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mxr1:abc",), "Missing argument 'TARGET'"),
        ((), "Missing argument 'TARGET'"),
        (("here", "there"), "'here' is no replay token"),
        (("TOKEN", "WRONG", "--format", "E4M3"), "a token and --format; expected one of them"),
        (("WRONG", "--operation", "encode"), "offers nothing of what was asked for"),
        (("files:a.npy,b.npy",), "is recorded results, which cannot be asked"),
        (("mxr1:abc", "WRONG"), "was cut off or changed"),
    ],
)
def test_wrong_use(words: tuple[str, ...], message: str, wrong: str) -> None:
    token = Replay("decode", "E4M3", "binary32", OCP, EXACT, ((1,),)).token
    found = run(*({"TOKEN": token, "WRONG": wrong}.get(word, word) for word in words))
    assert found.exit_code == 2
    assert message in found.stderr
