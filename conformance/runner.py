"""Cases times subject: ask for every operation, format and carrier that a subject offers, and collect the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from conformance.adapter import (
    BLOCK_OPERATIONS,
    PRODUCT_OPERATIONS,
    Capabilities,
    Operation,
    function_of,
    is_preset,
)
from conformance.arrays import Array
from conformance.cases import Cases
from conformance.coverage import all_wrong
from conformance.judges import (
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    FakeQuantizeJudge,
    Judge,
    QuantizeJudge,
    ScaleCastJudge,
    ScaledEncodeJudge,
    family,
    product_judge,
)
from conformance.verdict import Cluster, Group, Terms, judge_group, without_result
from conformance.worker import InProcess, Outcome, Worker
from mxemu.accumulation import EXACT, Accumulation
from mxemu.formats import ElementFormat, FloatFormat, block_format, carrier, element
from mxemu.profile import OCP, Overflow, Profile, Rounding

CHECKED = (
    "encode",
    "decode",
    "encode-scaled",
    "quantize",
    "dequantize",
    "fake_quantize",
    *PRODUCT_OPERATIONS,
)
"""Operations that have cases; the protocol has more."""

MOST_CALLS = 400
"""Calls spent on finding out which inputs of a group raise."""

FRUITLESS_CALLS = 64
"""The same while every call has raised: what always raises is not searched for inputs that it takes."""

_LEVEL_OF_FURTHER = {"smoke": "smoke", "core": "smoke", "full": "core", "exhaustive": "full"}
"""Roundings and overflows besides the base profile are checked one level down: the time goes to what is
promised first."""

_TAKES_PROFILE = ("encode", "encode-scaled", "quantize", "fake_quantize")


@dataclass(frozen=True)
class Request:
    """One group to check."""

    operation: str
    format: str
    carrier: str
    terms: Terms

    @property
    def key(self) -> tuple[str, str, str]:
        return self.operation, self.format, self.carrier


@dataclass
class Run:
    """A whole check: what was asked, and what came of it."""

    target: str
    capabilities: Capabilities
    level: str
    asked: Profile | None
    groups: list[Group] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False
    asked_accumulation: Accumulation | None = None
    reduces: bool = True
    """Whether the first failure of a group is made smaller by asking the subject again."""

    @property
    def accumulation(self) -> Accumulation:
        """What dot products are compared with: asked, else declared, else EXACT."""
        return self.asked_accumulation or self.capabilities.accumulation or EXACT

    @property
    def base(self) -> Profile:
        """The profile that results are compared with first: asked, else declared, else OCP."""
        return self.asked or self.capabilities.profile or OCP


@dataclass(frozen=True)
class Filters:
    """What the user asked to see; empty means everything."""

    operations: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    carriers: tuple[str, ...] = ()

    def admit(self, request: Request) -> bool:
        """Whether a request passes."""
        return (
            (not self.operations or request.operation in self.operations)
            and (not self.formats or request.format in self.formats)
            and (not self.carriers or request.carrier in self.carriers)
        )


def requests(run: Run, filters: Filters) -> Iterator[Request]:
    """Every group that the subject's capabilities call for, in the order of the capabilities."""
    for operation in CHECKED:
        offer = run.capabilities.operations.get(operation)
        if offer is None:
            continue
        for format_name in offer.formats:
            for carrier_name in offer.carriers:
                for terms in _terms(operation, format_name, offer, run):
                    request = Request(operation, format_name, carrier_name, terms)
                    if filters.admit(request):
                        yield request


def _terms(operation: str, format_name: str, offer: Operation, run: Run) -> Iterator[Terms]:
    """The base profile, and each further rounding and overflow that the subject says it can be asked for."""
    if operation in PRODUCT_OPERATIONS:
        promised = run.asked_accumulation is None and run.capabilities.accumulation is not None
        yield Terms(run.base, promised, accumulation=run.accumulation, takes_c=offer.c)
        return
    declared = run.asked is None and run.capabilities.profile is not None
    yield Terms(run.base, declared)
    if operation not in _TAKES_PROFILE or (run.level == "smoke" and operation in BLOCK_OPERATIONS):
        return
    fmt = (
        block_format(format_name).element if operation in BLOCK_OPERATIONS else element(format_name)
    )
    if _is_of_scales(fmt):
        return
    for rounding in offer.roundings:
        if rounding not in (run.base.rounding, Rounding.STOCHASTIC):
            yield Terms(run.base.replace(rounding=rounding), declared=True, further=True)
    for overflow in offer.overflows:
        if overflow is not run.base.overflow and (fmt.has_inf or fmt.has_nan):
            yield Terms(run.base.replace(overflow=overflow), declared=True, further=True)


def make_judge(request: Request, level: str) -> Judge:
    """The judge of a request; one that has been used before remembers its expectations."""
    key = request.operation, request.format, request.carrier, level
    terms = request.terms
    if terms.accumulation is not None:
        out = carrier(request.carrier)
        return product_judge(*key[:2], out, level, terms.takes_c, terms.accumulation)
    return _make_judge(*key) if level == "exhaustive" else _kept_judge(*key)


def judge_of(request: Request, level: str) -> Judge:
    """The judge of a request in a check of some level."""
    return make_judge(request, _LEVEL_OF_FURTHER[level] if request.terms.further else level)


def judge_with(request: Request, cases: Cases) -> Judge:
    """A judge of cases that are not those of the suite, such as the transactions of somebody's own bench."""
    return make_judge(request, "smoke").on(cases)


def _make_judge(operation: str, format_name: str, carrier_name: str, level: str) -> Judge:
    numbers = carrier(carrier_name)
    if operation in ("encode", "decode"):
        fmt = element(format_name)
        if operation == "decode":
            return DecodeJudge(fmt, numbers)
        if isinstance(fmt, FloatFormat) and _is_of_scales(fmt):
            return ScaleCastJudge(fmt, numbers, level)
        return EncodeJudge(fmt, numbers, level)
    block = block_format(format_name)
    match operation:
        case "encode-scaled":
            return ScaledEncodeJudge(block, numbers, level)
        case "quantize":
            return QuantizeJudge(block, numbers, level)
        case "fake_quantize":
            return FakeQuantizeJudge(block, numbers, level)
        case _:
            return DequantizeJudge(block, numbers, level)


_kept_judge = lru_cache(maxsize=8)(_make_judge)


def check(
    subject: Worker | InProcess,
    run: Run,
    filters: Filters,
    progress: Callable[[Request], None] = lambda _: None,
) -> Run:
    """Check everything that a subject offers; a partial run is kept in ``run`` whatever happens."""
    run.skipped += skipped(run.capabilities)
    for request in requests(run, filters):
        progress(request)
        group = Group(request.operation, request.format, request.carrier, request.terms.profile)
        run.groups.append(group)
        check_group(subject, request, run.level, group)
        if run.reduces:
            from conformance.why.counterexample import with_smallest

            group.clusters = with_smallest(subject, request, run.level, group)
    run.groups += missing_capabilities(run, filters)
    return run


def skipped(capabilities: Capabilities) -> list[tuple[str, str]]:
    """What the subject offers and the suite has no cases for."""
    reasons = [
        (operation, "the suite has no cases for this operation yet")
        for operation in capabilities.operations
        if operation not in CHECKED
    ]
    for operation, offer in capabilities.operations.items():
        if Rounding.STOCHASTIC in offer.roundings:
            reasons.append(
                (f"{operation} with stochastic rounding", "needs the random words that were used")
            )
    return reasons


def check_one(
    subject: Worker | InProcess, run: Run, operation: str, label: str, out: str, cases: Cases
) -> Group:
    """The verdict on some cases of one operation, format and carrier, which need not be those of the suite."""
    group = Group(operation, label, out, run.base)
    offer = run.capabilities.operations.get(operation)
    if offer is None or not run.capabilities.offers(operation, label, out):
        group.reason = f"not among its {operation} formats" if offer else "no such operation"
        group.counts["unsupported"] = len(cases)
        return group
    request = Request(operation, label, out, next(_terms(operation, label, offer, run)))
    return check_group(subject, request, "smoke", group, judge_with(request, cases))


def check_group(
    subject: Worker | InProcess,
    request: Request,
    level: str,
    group: Group,
    judge: Judge | None = None,
) -> Group:
    """Ask for one group and judge what comes; with cases of its own if a judge is given."""
    if judge is None and sweeps(request, level):
        from conformance.campaign import check_in_chunks

        return check_in_chunks(subject, request, level, group)
    judge = judge or judge_of(request, level)
    answers = ask(subject, request, judge)
    conclude(group, request, judge, answers)
    if answers.failed is not None and answers.failed.kind == "died":
        lethal = culprit(subject, request, judge)
        group.clusters = [] if lethal is None else [killed(judge, *lethal, group)]
    return group


def sweeps(request: Request, level: str) -> bool:
    """Whether all inputs of a carrier are asked for besides the cases of a group."""
    if level != "exhaustive" or request.terms.further or request.operation != "encode":
        return False
    return carrier(request.carrier).width == 32 and not _is_of_scales(element(request.format))


def _is_of_scales(fmt: ElementFormat) -> bool:
    """Whether a format is one of scales only, such as E8M0: a conversion to it is a cast without a clause."""
    return isinstance(fmt, FloatFormat) and not fmt.subnormals


def conclude(group: Group, request: Request, judge: Judge, answers: Answers) -> Group:
    """The verdict of a group from the answers to the cases of its judge."""
    group.further = request.terms.further
    group.accumulation = request.terms.accumulation
    if answers.failed is not None:
        return _without_results(group, answers.failed, judge)
    judge_group(group, judge, answers.observed, answers.raised, request.terms)
    group.reason = answers.reason
    from conformance.replay import with_token

    group.clusters = [with_token(one, judge, group) for one in group.clusters]
    return group


@dataclass
class Answers:
    """What a subject gave for the cases of a judge.

    Attributes
    ----------
    observed : ndarray
        One row a case; rows that raised hold anything.
    raised : ndarray of bool
        Cases for which the subject raised an exception.
    reason : str
        The first message of these.
    failed : Outcome, optional
        Why there are no results at all.
    """

    observed: Array
    raised: Array
    reason: str = ""
    failed: Outcome | None = None


def ask(subject: Worker | InProcess, request: Request, judge: Judge) -> Answers:
    """All cases in one call; when that raises, in ever smaller parts, so that one bad input hides no other."""
    arrays, extra = _arguments(request, judge)
    total = len(judge.cases)
    answers = Answers(np.zeros(0), np.zeros(total, dtype=bool))
    observed: Array | None = None
    pending, calls = judge.batches(), 0
    while pending:
        part = pending.pop()
        outcome = subject.call(function_of(request.operation), judge.given(arrays, part), extra)
        calls += 1
        if outcome.kind == "raised":
            enough = calls >= (FRUITLESS_CALLS if observed is None else MOST_CALLS)
            halves = judge.splits and not enough
            smaller = _smaller(part, judge.silent()) if halves else []
            pending += smaller
            if not smaller:
                answers.raised[part] = True
                answers.reason = answers.reason or outcome.message
            continue
        rows = judge.answer(outcome.arrays, part) if outcome.kind == "ok" else None
        if rows is None or isinstance(rows, str):
            answers.failed = Outcome("shape", message=rows) if rows is not None else outcome
            return answers
        if observed is None:
            observed = np.zeros((total, *rows.shape[1:]), dtype=rows.dtype)
        observed[part] = rows
    if observed is None:
        answers.failed = Outcome("raised", message=answers.reason)
    else:
        answers.observed = observed
    return answers


def _arguments(
    request: Request, judge: Judge
) -> tuple[tuple[Array | None, ...], tuple[object, ...]]:
    """What the subject's function is given: arrays, and what it is asked for."""
    arrays, extra = judge.arguments()
    accumulation = request.terms.accumulation
    if request.operation in _TAKES_PROFILE:
        extra = (*extra, request.terms.profile)
    if accumulation is not None:
        extra = (*extra, accumulation.name if is_preset(accumulation) else accumulation)
    return arrays, extra


def _smaller(part: Array, silent: Array) -> list[Array]:
    """Silent and other cases apart, then halves; the second part is asked first. Nothing for a single case."""
    halves = [part[silent[part]], part[~silent[part]]]
    if not all(len(half) for half in halves):
        middle = len(part) // 2
        halves = [part[middle:], part[:middle]]
    return halves if len(part) > 1 else []


def _without_results(group: Group, outcome: Outcome, judge: Judge) -> Group:
    """A group that gave nothing to compare."""
    verdict = "unsupported" if outcome.kind == "unsupported" else "crash"
    group.counts[verdict] = len(judge.cases)
    group.reason = outcome.message
    group.log = outcome.log
    return group


def culprit(subject: Worker | InProcess, request: Request, judge: Judge) -> tuple[int, int] | None:
    """Cases on which the subject dies, one if it can be, by halving; None when it takes several together.

    Returns
    -------
    tuple of two int, or None
        The first case, and the one after the last.
    """
    arrays, extra = _arguments(request, judge)
    start, stop = 0, len(judge.cases)
    if not judge.splits:
        return None

    def dies(part: tuple[int, int]) -> bool:
        given = judge.given(arrays, np.arange(*part))
        return subject.call(function_of(request.operation), given, extra).kind == "died"

    if dies((0, 1)):
        stop = 1  # most of what dies, dies of anything, and every search step costs a new process
    while stop - start > 1:
        middle = (start + stop) // 2
        halves = ((start, middle), (middle, stop))
        dying = next((half for half in halves if dies(half)), None)
        if dying is None:
            return None
        start, stop = dying
    return start, stop


def killed(judge: Judge, start: int, stop: int, group: Group) -> Cluster:
    """Cases on which the subject died, in words."""
    from conformance.replay import of_case

    case = judge.describe(start, all_wrong(judge), group.profile)
    one = of_case(judge, group, start)
    token = one.token if one is not None else ""
    return Cluster("crash", stop - start, without_result(case, "died"), token=token)


def missing_capabilities(run: Run, filters: Filters) -> Iterator[Group]:
    """What the specification asks every implementation to offer, and this one was not seen to do and does not offer."""
    for operation in _TAKES_PROFILE:
        offer = run.capabilities.operations.get(operation)
        for format_name in offer.formats if offer else ():
            groups = [group for group in run.groups if group.key[:2] == (operation, format_name)]
            followed = [_followed(group) for group in groups if _gave_results(group)]
            request = Request(operation, format_name, "any", Terms(run.base, False))
            if offer is None or not followed or not filters.admit(request):
                continue
            overflows = {*offer.overflows, *(profile.overflow for profile in followed)}
            roundings = {*offer.roundings, *(profile.rounding for profile in followed)}
            for clause, wanted in _required(operation, format_name, overflows, roundings):
                yield _missing(request, clause, wanted)
    yield from _other_results(run, filters)


def _other_results(run: Run, filters: Filters) -> Iterator[Group]:
    """General dot products that were seen to give something else than binary32."""
    for operation in PRODUCT_OPERATIONS[1:]:
        offer = run.capabilities.operations.get(operation)
        for label in offer.formats if offer and "binary32" not in offer.carriers else ():
            groups = [group for group in run.groups if group.key[:2] == (operation, label)]
            terms = Terms(run.base, False, accumulation=run.accumulation)
            request = Request(operation, label, "any", terms)
            if filters.admit(request) and any(map(_gave_results, groups)):
                yield _missing(request, "MX-6.2-F32", "no result in binary32")


def _missing(request: Request, clause: str, wanted: str) -> Group:
    """A capability that is not there."""
    group = Group(*request.key, request.terms.profile, reason=wanted, clause=clause)
    group.accumulation = request.terms.accumulation
    group.counts["unsupported"] = 1
    return group


def _gave_results(group: Group) -> bool:
    return any(group.counts[verdict] for verdict in ("pass", "FAIL", "free"))


def _followed(group: Group) -> Profile:
    """The profile that the results of a group agree with, as far as one was found."""
    legal = (one.profile for one in group.hypotheses if one.kind == "profile")
    return next(legal, None) or group.profile


def _required(
    operation: str, format_name: str, overflows: set[Overflow], roundings: set[Rounding]
) -> Iterator[tuple[str, str]]:
    """Clauses whose capability is missing, with what is missing."""
    blocks = operation in BLOCK_OPERATIONS
    prefix = family(block_format(format_name).element if blocks else element(format_name))
    if not prefix:
        return
    if prefix == "MX-5.3.1" and not blocks and Overflow.SATURATE not in overflows:
        yield "MX-5.3.1-SAT", "no saturating conversion"
    if prefix == "MX-5.3.1" and not blocks and Overflow.OVERFLOW not in overflows:
        yield "MX-5.3.1-OVF", "no overflowing conversion"
    if Rounding.TIES_TO_EVEN not in roundings:
        own = "MX-5.3.1-OFP8" if prefix == "MX-5.3.1" else f"{prefix}-RNE"
        yield "MX-6.3-RNE" if blocks else own, "no ties-to-even rounding"
