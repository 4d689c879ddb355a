"""One chunk: ask a subject for its cases, count what differs, and keep some of it."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

import mxemu
from conformance.arrays import (
    BITS_DTYPES,
    VALUE_DTYPES,
    Array,
    as_bits,
    as_values,
    code_dtype,
    equals_runs,
    wide_values,
)
from conformance.campaign.plan import Chunk
from conformance.cases import Cases
from conformance.judges import (
    BlockJudge,
    DecodeJudge,
    DequantizeJudge,
    EncodeJudge,
    Judge,
    ProductJudge,
    QuantizeJudge,
)
from conformance.runner import Answers, Request, ask, culprit, judge_with
from conformance.verdict import broken_promises, lawful
from conformance.why.diagnose import Hypothesis
from conformance.worker import InProcess, Outcome, Worker
from mxemu.accumulation import EXACT
from mxemu.accumulations import ACCUMULATIONS
from mxemu.errors import MxemuError
from mxemu.formats import BINARY32, carrier, element
from mxemu.profile import OCP, Profile
from mxemu.runs import runs

COUNTED = ("total", "wrong", "unlawful", "impossible", "silent", "raised", "lost", "beside_ocp")
"""What is counted of each chunk: all cases; those that differ where a clause decides; that differ from what a clause
demands although they are as declared; that no accumulation gives; that differ where the specification is silent; that
raised; that got no result at all; and that differ from OCP."""

KEPT = {"encode": 1024, "decode": 1024, "encode-scaled": 1024}
"""Differing cases of a chunk that are kept; `FEW` of blocks and products, which are long."""

FEW = 128
AGREEING = 16
"""Other cases of a chunk of random ones that are kept: a cause has to explain them, too."""


@dataclass
class Result:
    """What came of a chunk.

    Attributes
    ----------
    counts : dict of str to int
        See `COUNTED`.
    kind, message, log : str
        Why there are no results, as in an `Outcome`; ``kind`` is empty if there are some.
    reason : str
        The first message of cases that raised.
    notes : tuple of str
        Themes of the cases that are kept.
    inputs, theme, observed, raised : ndarray
        These cases: for a chunk of the kind ``cases`` results of all of them, and no inputs. For a chunk that
        seeks what kills, the inputs of that.
    """

    counts: dict[str, int]
    kind: str = ""
    message: str = ""
    log: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()
    inputs: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    theme: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    observed: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    raised: Array = field(default_factory=lambda: np.zeros(0, np.bool_))

    @property
    def outcome(self) -> Outcome:
        """Why there are no results."""
        return Outcome(self.kind, message=self.message, log=self.log)

    def words(self) -> str:
        """Everything but the arrays, as JSON."""
        record = {key: found for key, found in asdict(self).items() if key not in _ARRAYS}
        return json.dumps(record, ensure_ascii=False)

    def data(self) -> bytes:
        """The arrays, as a compressed archive of NumPy."""
        file = io.BytesIO()
        np.savez_compressed(file, **{key: getattr(self, key) for key in _ARRAYS})
        return file.getvalue()

    @classmethod
    def read(cls, words: str, data: bytes) -> Result:
        """A result from its two parts."""
        record: dict[str, Any] = json.loads(words)
        record["notes"] = tuple(record["notes"])
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in _ARRAYS}
        return cls(**record, **found)


_ARRAYS = ("inputs", "theme", "observed", "raised")


def lost(chunk: Chunk, outcome: Outcome) -> Result:
    """The result of a chunk that nothing came of."""
    total = chunk.count or len(chunk.judge().cases)
    counts = {**dict.fromkeys(COUNTED, 0), "total": total, "lost": total}
    return Result(counts, outcome.kind, outcome.message, outcome.log)


def do(subject: Worker | InProcess, chunk: Chunk) -> Result:
    """Do one chunk.

    Parameters
    ----------
    subject : Worker or InProcess
    chunk : Chunk
    """
    if chunk.seeks:
        return _culprit(subject, chunk)
    if chunk.under is not None:
        return _again(subject, chunk, chunk.under)
    if chunk.kind == "inputs":
        return _sweep(subject, chunk)
    judge = chunk.judge()
    answers = ask(subject, chunk.request, judge)
    if answers.failed is not None:
        return lost(chunk, answers.failed)
    result = summary(judge, answers, chunk)
    if chunk.kind == "cases":
        result.observed, result.raised = answers.observed, answers.raised
        result.inputs, result.theme, result.notes = result.inputs[:0], result.theme[:0], ()
    return result


def _sweep(subject: Worker | InProcess, chunk: Chunk) -> Result:
    """A run of inputs in order. Where all is as expected no array of the expected codes is made."""
    request = chunk.request
    outcome = _encoded(subject, chunk)
    if outcome.kind not in ("ok", "raised"):
        return lost(chunk, outcome)
    if _as_expected(outcome, chunk, request.terms.profile):
        beside = inputs_beside(request, chunk.first, chunk.count) if _beside(request) else 0
        return Result({**dict.fromkeys(COUNTED, 0), "total": chunk.count, "beside_ocp": beside})
    judge = chunk.judge()
    if outcome.kind == "raised":
        answers = ask(subject, request, judge)
    else:
        found = judge.observe(outcome.arrays, chunk.count)
        if isinstance(found, str):
            return lost(chunk, Outcome("shape", message=found))
        answers = Answers(found, np.zeros(chunk.count, dtype=bool))
    if answers.failed is not None:
        return lost(chunk, answers.failed)
    return summary(judge, answers, chunk)


def _encoded(subject: Worker | InProcess, chunk: Chunk) -> Outcome:
    """What the subject gives for a run of inputs."""
    request = chunk.request
    inputs = np.arange(chunk.first, chunk.first + chunk.count, dtype=BITS_DTYPES[request.carrier])
    values = as_values(inputs, request.carrier)
    return subject.call("encode", (values,), (request.format, request.terms.profile))


def _beside(request: Request) -> bool:
    """Whether results are compared with OCP as well."""
    terms = request.terms
    return terms.accumulation is None and bool(terms.profile.changes(OCP)) and not terms.further


def inputs_beside(request: Request, first: int, count: int) -> int:
    """How many inputs of a run have another code under OCP, where the results are as the profile says."""
    edges, differs = _spans_beside(request)
    ends = np.clip(np.append(edges, 1 << 62), first, first + count)
    return int(np.diff(ends)[differs].sum())


@lru_cache(maxsize=32)
def _spans_beside(request: Request) -> tuple[Array, Array]:
    """The runs of inputs that have one code under the profile and one under OCP: first inputs, and which differ."""
    fmt, numbers, profile = element(request.format), carrier(request.carrier), request.terms.profile
    nans = [sign | one for sign in (0, numbers.sign_mask) for one in numbers.nans[:1]]
    firsts = [*runs(fmt, numbers, profile).firsts, *runs(fmt, numbers, OCP).firsts, *nans]
    edges = np.unique(np.array(firsts, np.int64))
    bits = edges.astype(BITS_DTYPES[request.carrier])
    judge = judge_with(request, Cases(bits, np.zeros(len(bits), np.int64), ("every-input",)))
    assert isinstance(judge, EncodeJudge)
    return edges, judge.compare(judge.expected(profile), OCP)[0]


def _as_expected(outcome: Outcome, chunk: Chunk, profile: Profile) -> bool:
    """Whether an answer is exactly the expected codes, compared in the dtype in which it came."""
    if outcome.kind != "ok" or len(outcome.arrays) != 1:
        return False
    codes, request = outcome.arrays[0], chunk.request
    fmt, numbers = element(request.format), carrier(request.carrier)
    return (
        codes.shape == (chunk.count,)
        and codes.dtype.kind == "u"
        and equals_runs(codes, chunk.first, fmt, numbers, profile)
    )


def summary(judge: Judge, answers: Answers, chunk: Chunk) -> Result:
    """Count the cases of a chunk, and keep some of them.

    Parameters
    ----------
    judge : Judge
    answers : Answers
    chunk : Chunk
    """
    terms = chunk.request.terms
    observed, raised = answers.observed, answers.raised
    wrong, silent = compared(judge, observed, terms.profile)
    crashed = raised & ~judge.silent()
    wrong, silent = wrong & ~raised, (silent & ~raised) | (raised & judge.silent())
    broken = broken_promises(judge, observed, silent & ~raised, terms)
    wrong, silent = wrong | broken, silent & ~broken
    unlawful = np.zeros_like(wrong)
    law = lawful(terms.profile, judge)
    if law is not terms.profile:
        unlawful = compared(judge, observed, law)[0] & ~raised
    masks = {"wrong": wrong, "unlawful": unlawful, "silent": silent, "raised": crashed}
    if isinstance(judge, ProductJudge) and not terms.declared:
        masks["impossible"] = judge.impossible(observed, wrong & ~_close(judge, observed))
    if _beside(chunk.request):
        masks["beside_ocp"] = compared(judge, observed, OCP)[0]
    counts = {name: int(masks[name].sum()) if name in masks else 0 for name in COUNTED}
    counts["total"] = len(raised)
    kept = _kept(judge, [wrong | unlawful, silent, crashed], chunk)
    return Result(
        counts,
        reason=answers.reason,
        notes=judge.cases.notes,
        inputs=judge.cases.inputs[kept],
        theme=judge.cases.theme[kept],
        observed=observed[kept],
        raised=raised[kept],
    )


def _close(judge: ProductJudge, observed: Array) -> Array:
    """Results within 2^-8 of the exact sum, which are possible for sure: most are, and this is quickly seen."""
    found, exact = (wide_values(bits, judge.carrier) for bits in (observed, judge.expected(EXACT)))
    with np.errstate(invalid="ignore"):
        near = np.abs(found - exact) <= np.abs(exact) / 2**8
    return np.asarray(near & np.isfinite(exact))


def compared(judge: Judge, observed: Array, profile: Profile) -> tuple[Array, Array]:
    """As `Judge.compare`; only what is not what the array engine gives is looked at case by case."""
    expected = engine(judge, profile)
    if expected is None or expected.shape != observed.shape:
        return judge.compare(observed, profile)
    differs = observed != expected
    suspects = np.flatnonzero(differs if differs.ndim == 1 else differs.any(axis=1))
    wrong, silent = np.zeros((2, len(observed)), dtype=bool)
    if len(suspects):
        cases = judge.cases
        own = judge.on(Cases(cases.inputs[suspects], cases.theme[suspects], cases.notes))
        if isinstance(own, BlockJudge):
            own.remember(expected[suspects], profile)
        wrong[suspects], silent[suspects] = own.compare(observed[suspects], profile)
    return wrong, silent


def engine(judge: Judge, profile: Profile) -> Array | None:
    """The expectations of all cases by tables or the array engine; None where the judge is fast by itself."""
    if isinstance(judge, DecodeJudge):
        return judge.expected
    try:
        if isinstance(judge, BlockJudge):
            return _quantized(judge, profile)
        if isinstance(judge, DequantizeJudge) and judge.carrier == BINARY32:
            return _dequantized(judge, profile)
    except MxemuError:
        pass  # what the engine does not do, the core does
    return None


def _quantized(judge: BlockJudge, profile: Profile) -> Array | None:
    name = judge.carrier.name
    given = name if name == "bfloat16" else None
    values = as_values(judge.cases.inputs, name)
    blocks = mxemu.quantize(values, judge.fmt, profile=profile, carrier=given)
    if isinstance(judge, QuantizeJudge):
        codes = blocks.codes.reshape(len(values), -1)
        return np.column_stack([blocks.scales.reshape(-1), codes]).astype(np.int64)
    if given is not None:
        return None
    found: Array = as_bits(mxemu.dequantize(blocks, dtype=VALUE_DTYPES[name]), name)
    return found


def _dequantized(judge: DequantizeJudge, profile: Profile) -> Array:
    rows, fmt = judge.cases.inputs, judge.fmt
    codes = rows[:, None, 1:].astype(code_dtype(fmt.element.width))
    scales = rows[:, :1].astype(code_dtype(fmt.scale.width))
    return as_bits(mxemu.dequantize(mxemu.Blocks(codes, scales, fmt, profile)), "binary32")


def _again(subject: Worker | InProcess, chunk: Chunk, cause: Hypothesis) -> Result:
    """Ask once more: counted as wrong, and kept, is what a legal cause does not explain."""
    if chunk.kind == "inputs" and cause.profile is not None:
        outcome = _encoded(subject, chunk)
        if _as_expected(outcome, chunk, cause.profile):
            return Result({**dict.fromkeys(COUNTED, 0), "total": chunk.count})
    judge = chunk.judge()
    answers = ask(subject, chunk.request, judge)
    if answers.failed is not None:
        return lost(chunk, answers.failed)
    left = unexplained(judge, answers, chunk.request, cause)
    some = _some(judge, np.flatnonzero(left), KEPT.get(chunk.request.operation, FEW))
    return Result(
        {**dict.fromkeys(COUNTED, 0), "total": len(left), "wrong": int(left.sum())},
        notes=judge.cases.notes,
        inputs=judge.cases.inputs[some],
        theme=judge.cases.theme[some],
        observed=answers.observed[some],
        raised=answers.raised[some],
    )


def unexplained(judge: Judge, answers: Answers, request: Request, cause: Hypothesis) -> Array:
    """The cases that speak against a legal cause, whether they differ from what was asked for or not.

    Parameters
    ----------
    judge : Judge
    answers : Answers
    request : Request
    cause : Hypothesis
        A profile, an accumulation, or a scale rule of its own.
    """
    observed, base = answers.observed, request.terms.profile
    if isinstance(judge, ProductJudge):
        return judge.differ(observed, judge.expected(ACCUMULATIONS[cause.name])) & ~answers.raised
    wrong = compared(judge, observed, base)[0] & ~answers.raised
    if cause.profile is not None:
        differs, silent = compared(judge, observed, cause.profile)
        return np.asarray((differs | (silent & wrong)) & ~answers.raised)
    assert isinstance(judge, QuantizeJudge)
    for index in np.flatnonzero(wrong):
        wrong[index] = not judge.fits_its_scale(int(index), observed, base)
    return wrong


def _kept(judge: Judge, masks: list[Array], chunk: Chunk) -> Array:
    """Numbers of the cases that are kept: some of each mask, and of a random chunk some that agree."""
    if chunk.kind == "cases":
        return np.zeros(0, np.int64)
    most = KEPT.get(chunk.request.operation, FEW)
    parts = [_some(judge, np.flatnonzero(mask), most) for mask in masks]
    differs = np.logical_or.reduce(masks)
    if chunk.kind == "random":
        agreeing = np.flatnonzero(~differs)
        parts.append(agreeing[:: max(1, len(agreeing) // AGREEING)][:AGREEING])
    return np.unique(np.concatenate(parts))


def _some(judge: Judge, indices: Array, most: int) -> Array:
    """At most so many cases: the simplest ones, and others evenly spread."""
    if len(indices) <= most:
        return indices
    order = np.argsort(judge.simplicity(indices), kind="stable")
    spread = indices[np.linspace(0, len(indices) - 1, most - most // 4).astype(np.int64)]
    return np.union1d(indices[order[: most // 4]], spread)


def _culprit(subject: Worker | InProcess, chunk: Chunk) -> Result:
    """The cases that the subject dies of, in a chunk in which it died."""
    judge = chunk.judge()
    found = culprit(subject, chunk.request, judge)
    result = Result(dict.fromkeys(COUNTED, 0), notes=judge.cases.notes)
    if found is not None:
        part = slice(*found)
        result.inputs, result.theme = judge.cases.inputs[part], judge.cases.theme[part]
    return result
