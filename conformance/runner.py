"""Cases times subject: ask for every operation, format and carrier that a subject offers, and collect the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
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
from conformance.arrays import Array, as_values, equals_runs, span_by_runs
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
from mxemu.formats import FloatFormat, block_format, carrier, element
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
    if isinstance(fmt, FloatFormat) and not fmt.subnormals:
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
        if isinstance(fmt, FloatFormat) and not fmt.subnormals:
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
    run.skipped += _skipped(run.capabilities)
    for request in requests(run, filters):
        progress(request)
        group = Group(request.operation, request.format, request.carrier, request.terms.profile)
        run.groups.append(group)
        check_group(subject, request, run.level, group)
    run.groups += _missing_capabilities(run, filters)
    return run


def _skipped(capabilities: Capabilities) -> list[tuple[str, str]]:
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
    group.further = request.terms.further
    sweeps = level == "exhaustive" and not request.terms.further
    judge = judge or judge_of(request, level)
    profile, accumulation = request.terms.profile, request.terms.accumulation
    group.accumulation = accumulation
    arrays, extra = judge.arguments()
    if request.operation in _TAKES_PROFILE:
        extra = (*extra, profile)
    if accumulation is not None:
        extra = (*extra, accumulation.name if is_preset(accumulation) else accumulation)
    observed, raised, failed = _ask(subject, request.operation, arrays, extra, judge)
    if failed is not None:
        _without_results(group, failed, judge)
        if failed.kind == "died":
            _name_culprit(subject, request.operation, arrays, extra, judge, group)
        return group
    judge_group(group, judge, observed, raised.mask, request.terms)
    group.reason = raised.reason
    group.clusters = [_with_token(one, judge, group) for one in group.clusters]
    if sweeps and isinstance(judge, EncodeJudge) and judge.sweeps and judge.carrier.width == 32:
        _sweep(subject, judge, request, group)
    return group


def _with_token(cluster: Cluster, judge: Judge, group: Group) -> Cluster:
    """A cluster whose first case can be replayed, where its operation has such a form."""
    from conformance.replay import of_case

    found = of_case(judge, group, cluster.index) if cluster.index >= 0 else None
    return cluster if found is None else replace(cluster, token=found.token)


@dataclass
class Raised:
    """Which cases made the subject raise, and the first message."""

    mask: Array
    reason: str = ""


def _ask(
    subject: Worker | InProcess,
    operation: str,
    arrays: tuple[Array | None, ...],
    extra: tuple[object, ...],
    judge: Judge,
) -> tuple[Array, Raised, Outcome | None]:
    """All cases in one call; when that raises, in ever smaller parts, so that one bad input hides no other."""
    total = len(judge.cases)
    raised = Raised(np.zeros(total, dtype=bool))
    observed: Array | None = None
    pending, calls = judge.batches(), 0
    while pending:
        part = pending.pop()
        outcome = subject.call(function_of(operation), judge.given(arrays, part), extra)
        calls += 1
        if outcome.kind == "raised":
            enough = calls >= (FRUITLESS_CALLS if observed is None else MOST_CALLS)
            halves = judge.splits and not enough
            smaller = _smaller(part, judge.silent()) if halves else []
            pending += smaller
            if not smaller:
                raised.mask[part] = True
                raised.reason = raised.reason or outcome.message
            continue
        rows = judge.answer(outcome.arrays, part) if outcome.kind == "ok" else None
        if rows is None:
            return np.zeros(0), raised, outcome
        if isinstance(rows, str):
            return np.zeros(0), raised, Outcome("shape", message=rows)
        if observed is None:
            observed = np.zeros((total, *rows.shape[1:]), dtype=rows.dtype)
        observed[part] = rows
    if observed is None:
        return np.zeros(0), raised, Outcome("raised", message=raised.reason)
    return observed, raised, None


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


def _name_culprit(
    subject: Worker | InProcess,
    operation: str,
    arrays: tuple[Array | None, ...],
    extra: tuple[object, ...],
    judge: Judge,
    group: Group,
) -> None:
    """One input on which the subject dies, by halving; none is named when it takes several together."""
    start, stop = 0, len(judge.cases)
    if not judge.splits:
        return

    def dies(part: tuple[int, int]) -> bool:
        given = judge.given(arrays, np.arange(*part))
        return subject.call(function_of(operation), given, extra).kind == "died"

    if dies((0, 1)):
        stop = 1  # most of what dies, dies of anything, and every search step costs a new process
    while stop - start > 1:
        middle = (start + stop) // 2
        halves = ((start, middle), (middle, stop))
        dying = next((half for half in halves if dies(half)), None)
        if dying is None:
            return
        start, stop = dying
    case = judge.describe(start, all_wrong(judge), group.profile)
    group.clusters = [Cluster("crash", stop - start, without_result(case, "died"))]


CHUNK = 1 << 24
"""Inputs in one call of the exhaustive sweep."""

KEPT = 100_000
"""Differing inputs of the sweep that are judged one by one; the others are counted."""


def _sweep(subject: Worker | InProcess, judge: EncodeJudge, request: Request, group: Group) -> None:
    """All inputs of a 32-bit carrier against the runs table.

    Differing inputs join the cases of the group, which is then judged again, so that a cause is accepted only
    if it explains them too.
    """
    kept: list[Array] = []
    judged = silent = 0
    for bits, outcome in _answers(subject, judge, request.terms.profile):
        found = judge.observe(outcome.arrays, CHUNK) if outcome.kind == "ok" else outcome.message
        if isinstance(found, str):
            group.counts["crash"] += CHUNK
            group.reason, group.log = found, outcome.log
            return
        expected = span_by_runs(
            int(bits[0]), CHUNK, judge.element, judge.carrier, request.terms.profile
        )
        differs = judge.differs(found, expected)
        open_inputs = differs & judge.is_open(bits)
        judged += int((differs & ~open_inputs).sum())
        silent += int(open_inputs.sum())
        kept += [bits[differs & ~open_inputs][:KEPT], bits[open_inputs][:8]]
    judge.extend(np.concatenate([*kept, judge.cases.inputs[:0]])[:KEPT])
    _judge_again(subject, judge, request, group)
    _count_sweep(group, judge.carrier.width, judged, silent)


def _answers(
    subject: Worker | InProcess, judge: EncodeJudge, profile: Profile
) -> Iterator[tuple[Array, Outcome]]:
    """The inputs and answers of the sweep that are not all as expected.

    The subject works on the next inputs while its last answer is looked at.
    """
    bits = np.arange(CHUNK, dtype=judge.cases.inputs.dtype)
    values = as_values(bits, judge.carrier.name)

    def ask(first: int) -> Outcome:
        np.add(bits, bits.dtype.type(first - int(bits[0])), out=bits)
        return subject.call("encode", (values,), (judge.element.name, profile))

    with ThreadPoolExecutor(1) as line:
        pending = line.submit(ask, 0)
        for first in range(0, 1 << judge.carrier.width, CHUNK):
            outcome = pending.result()
            if first + CHUNK < 1 << judge.carrier.width:
                pending = line.submit(ask, first + CHUNK)
            if not _as_expected(outcome, first, judge, profile):
                yield np.arange(first, first + CHUNK, dtype=bits.dtype), outcome


def _as_expected(outcome: Outcome, first: int, judge: EncodeJudge, profile: Profile) -> bool:
    """Whether an answer is exactly the expected codes, compared in the dtype in which it came."""
    if outcome.kind != "ok" or len(outcome.arrays) != 1:
        return False
    codes = outcome.arrays[0]
    return (
        codes.shape == (CHUNK,)
        and codes.dtype.kind == "u"
        and equals_runs(codes, first, judge.element, judge.carrier, profile)
    )


def _judge_again(
    subject: Worker | InProcess, judge: EncodeJudge, request: Request, group: Group
) -> None:
    """Ask for the enlarged cases and judge them all."""
    arrays, extra = judge.arguments()
    observed, raised, failed = _ask(
        subject, "encode", arrays, (*extra, request.terms.profile), judge
    )
    fresh = Group(group.operation, group.format, group.carrier, group.profile)
    if failed is not None:
        _without_results(fresh, failed, judge)
    else:
        judge_group(fresh, judge, observed, raised.mask, request.terms)
    group.__dict__.update(fresh.__dict__)


def _count_sweep(group: Group, width: int, judged: int, silent: int) -> None:
    """The counts of all inputs, under the verdicts that the judged ones got."""
    differing = "FAIL" if group.counts["FAIL"] else "free"
    group.silent = silent
    group.counts["FAIL"] = judged if differing == "FAIL" else 0
    group.counts["free"] = silent + (judged if differing == "free" else 0)
    group.counts["pass"] = (1 << width) - judged - silent - group.counts["crash"]


def _missing_capabilities(run: Run, filters: Filters) -> Iterator[Group]:
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
