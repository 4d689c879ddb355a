"""Asks a subject one step after the other, until one differs from the exact core."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from conformance.adapter import Capabilities
from conformance.arrays import Array
from conformance.bisect.asked import Answer, Asked
from conformance.bisect.loss import is_one_factor, later_steps
from conformance.bisect.of_blocks import block_questions, dequantize_questions
from conformance.bisect.of_case import case_questions
from conformance.bisect.of_elements import decode_questions, encode_questions
from conformance.bisect.of_products import SINGLE, Products
from conformance.bisect.questions import STEPS, Question
from conformance.judges import (
    BlockJudge,
    Case,
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    Judge,
    ProductJudge,
    ScaleCastJudge,
)
from conformance.replay import of_case
from conformance.runner import Request, make_judge
from conformance.verdict import Group, without_result
from conformance.why.counterexample import REDUCED, asker
from conformance.why.minimize import cases_of, minimize
from conformance.worker import InProcess, Worker
from mxemu.errors import Unsupported
from mxemu.scalar import decode


@dataclass
class Step:
    """How a step went.

    Attributes
    ----------
    name : str
    asked, agreed : int
        Cases that were asked for, and those with the right result; none behind the first step that differs.
    """

    name: str
    asked: int = 0
    agreed: int = 0


@dataclass(frozen=True)
class Difference:
    """Where something differs.

    Attributes
    ----------
    step : str
    also : tuple of str
        Other steps that the answers do not tell from this one.
    what : str
        The question that showed it, in words.
    case : Case or None
        The simplest case; None where the subject gave nothing at all.
    token : str
    reason : str
        What the subject raised, or why it gave nothing.
    """

    step: str
    also: tuple[str, ...]
    what: str
    case: Case | None
    token: str = ""
    reason: str = ""


def has_steps(request: Request) -> bool:
    """Whether something is known about the steps of a request: of conversions to a scale format nothing is."""
    judge = make_judge(request, "smoke") if request.operation in STEPS else None
    return judge is not None and not isinstance(judge, ScaleCastJudge)


@dataclass
class Bisection:
    """What came of it.

    Attributes
    ----------
    subject : Capabilities
    request : Request
        What was compared: operation, format, carrier, and the profile or accumulation.
    steps : list of Step
    difference : Difference or None
        The first step that differs.
    given : Difference or None
        The case that was to be looked into, where it differs.
    asked_case : bool
        Whether there was one.
    """

    subject: Capabilities
    request: Request
    steps: list[Step] = field(default_factory=list)
    difference: Difference | None = None
    given: Difference | None = None
    asked_case: bool = False

    @property
    def exit_code(self) -> int:
        """0: nothing differs; 1: something does."""
        return int(self.difference is not None)


def bisect(
    subject: Worker | InProcess,
    capabilities: Capabilities,
    request: Request,
    row: Array | None = None,
) -> Bisection:
    """Find the first step of an operation at which a subject differs from the exact core.

    Parameters
    ----------
    subject : Worker or InProcess
    capabilities : Capabilities
        As ``subject.introduce()`` gives it.
    request : Request
        Operation, format, carrier, and what results are compared with.
    row : ndarray, optional
        A case to look into, in the form of the operation's judge.

    Raises
    ------
    Unsupported
        When the subject does not offer this, or the operation has no steps that are known here.

    Notes
    -----
    The subject is a black box: each question is made of inputs that can go wrong at one step only if all steps before
    it are right, and the first that differs ends the search.
    """
    if not capabilities.offers(*request.key):
        place = f"{request.operation} {request.format} ({request.carrier})"
        raise Unsupported(f"{capabilities.name} does not offer {place}")
    if not has_steps(request):
        raise Unsupported(
            f"nothing is known about the steps of {request.operation} {request.format}"
        )
    asked = Asked(subject, request)
    found = Bisection(capabilities, request, [Step(name) for name in STEPS[request.operation]])
    takes_c = capabilities.operations[request.operation].c
    if row is not None:
        found.asked_case = True
        whole = Question("", "the case itself", row[None])
        found.given = _difference(asked, whole, asked.answer(whole), (), reduces=False)
    for one in _questions(asked.judge, row, takes_c):
        answer = asked.answer(one)
        for step in found.steps:
            if step.name == one.step:
                step.asked += len(answer.wrong)
                step.agreed += int((~answer.wrong).sum())
        if answer.wrong.any():
            also = _cannot_tell(asked, one, answer, takes_c)
            found.difference = _difference(asked, one, answer, also)
            break
    return found


def _questions(judge: Judge, row: Array | None, takes_c: bool) -> Iterator[Question]:
    """All questions about an operation, then those that a case leads to."""
    for one in _of_operation(judge, takes_c):
        if one is not None and len(one.rows):
            yield one
    if row is not None:
        yield from case_questions(judge, row, takes_c)


def _of_operation(judge: Judge, takes_c: bool) -> Iterator[Question | None]:
    match judge:
        case ProductJudge():
            return Products(judge, takes_c).questions()
        case BlockJudge():
            return block_questions(judge)
        case DequantizeJudge():
            return dequantize_questions(judge)
        case DecodeJudge():
            return decode_questions(judge)
        case EncodeJudge():
            return encode_questions(judge)
        case _:
            raise Unsupported(f"no steps are known of {type(judge).__name__}")


def _cannot_tell(asked: Asked, one: Question, answer: Answer, takes_c: bool) -> tuple[str, ...]:
    """Other steps that the wrong answers to a question may be due to."""
    judge = answer.judge
    if one.step == "decode" and len(answer.observed) and _by_one_factor(asked, answer):
        return ("scale",)
    if one.what != SINGLE or not isinstance(judge, ProductJudge) or answer.reason:
        return one.also
    make = Products(asked.products, takes_c)
    wrong = np.flatnonzero(answer.wrong)
    wrong = wrong[np.argsort(judge.simplicity(wrong), kind="stable")]
    return later_steps(
        make,
        judge.cases.inputs[wrong],
        answer.observed[wrong],
        judge.expected_of(wrong, judge.accumulation),
        lambda rows: asked.answer(Question("product", "", rows)).wrong,
    )


def _by_one_factor(asked: Asked, answer: Answer) -> bool:
    """Whether all values that were decoded are wrong by the same factor, which may as well be one of the scale."""
    judge, profile = answer.judge, asked.request.terms.profile
    match judge:
        case ProductJudge():
            expected = judge.expected(judge.accumulation)
        case DequantizeJudge():
            expected = judge.expected(profile)[:, 0]
        case _:
            return False
    observed = answer.observed.reshape(len(expected), -1)[:, 0]
    numbers = [[decode(int(one), judge.carrier) for one in side] for side in (observed, expected)]
    return is_one_factor(*numbers)


def _difference(
    asked: Asked, one: Question, answer: Answer, also: tuple[str, ...], *, reduces: bool = True
) -> Difference | None:
    """The simplest wrong answer to a question, made smaller if that is wanted."""
    if not answer.wrong.any():
        return None
    if not len(answer.observed):
        return Difference(one.step, also, one.what, None, "", answer.reason)
    judge, wrong = answer.judge, np.flatnonzero(answer.wrong)
    index = int(wrong[np.argmin(judge.simplicity(wrong))])
    observed, profile = answer.observed, asked.request.terms.profile
    if reduces and not answer.raised[index]:
        judge, index, observed = _smaller(asked, answer, index)
    case = judge.describe(index, observed, profile)
    if answer.raised.any() and judge is answer.judge and answer.raised[index]:
        case = without_result(case, "raised")
    if isinstance(judge, ProductJudge) and one.step in _LATE and _is_single(judge, index):
        also, one = (one.step, *also), replace(one, step="product", what=f"{one.what}, {_ONE}")
    group = Group(*asked.request.key, profile, accumulation=asked.request.terms.accumulation)
    token = of_case(judge, group, index)
    word = token.token if token is not None else ""
    return Difference(one.step, also, one.what, case, word, answer.reason)


_LATE = ("align", "accumulate")
_ONE = "of which one product is left"


def _is_single(judge: ProductJudge, index: int) -> bool:
    """Whether a case is one product, and nothing is added to it."""
    dots = judge.layout.dots(judge.cases.inputs[index : index + 1])
    used = (dots.a[0] != 0) | (dots.b[0] != 0)
    return int(used.sum()) == 1 and not dots.c[0]


def _smaller(asked: Asked, answer: Answer, index: int) -> tuple[Judge, int, Array]:
    """A smaller case with what came for it; the case itself where there is none."""
    judge, profile = answer.judge, asked.request.terms.profile
    if isinstance(judge, REDUCED) and judge.compare(answer.observed, profile)[0][index]:
        clause = str(judge.clauses(np.array([index]), answer.observed, profile)[0])
        ask = asker(asked.subject, asked.request, asked.judge, "random")
        found = minimize(judge, index, clause, profile, ask)
        if found is not None and found.alone:
            return asked.judge.on(cases_of(found.row[None], "random")), 0, found.observed
    return judge, index, answer.observed
