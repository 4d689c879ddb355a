"""Every bug class against an assertion, and which inputs would have shown those that pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import combinations
from math import comb

import numpy as np

import mxemu
from conformance.adapter import PRODUCT_OPERATIONS
from conformance.arrays import Array
from conformance.audit.answers import Answer, answer, trivial
from conformance.audit.inputs import AUDITED, OF_NUMBERS, Inputs
from conformance.audit.tolerance import Comparison, Tolerance
from conformance.judges import Judge, ProductJudge
from conformance.replay import of_case
from conformance.runner import Request, make_judge
from conformance.verdict import Group, Terms
from conformance.zoo import MEMBERS, reference
from conformance.zoo.reference import Reference
from mxemu.accumulation import EXACT
from mxemu.errors import BadShape, unknown
from mxemu.formats import block_format as find_block_format
from mxemu.profile import OCP

OTHER_ORDERS = ("fp32-sequential", "fp32-fma", "pairwise", "block-fp32")
"""Correct kernels with another order of additions than the exact one."""


FIELDS = {
    "decode": ("codes",),
    "encode-scaled": ("values", "scales"),
    "dequantize": ("scales", "codes"),
    **dict.fromkeys(PRODUCT_OPERATIONS, ("scales_a", "a", "scales_b", "b", "c")),
}
"""What the arrays of saved cases are called; others have one, of values."""

_LONGEST = 120
"""Commands that are longer are shown as replay tokens."""

_MOST_SETS = 200_000
"""Sets of cases that are tried before a short way is taken."""


@dataclass(frozen=True)
class Class:
    """What became of one bug class.

    Attributes
    ----------
    name : str
    what : str
        The mistake in words.
    kind : str
        ``mistake`` or ``trivial``.
    caught : bool
        The assertion rejects it.
    reason : str
        Why it passes: ``tolerance`` (other bits on these inputs) or ``inputs`` (the same bits).
    differing, of : int
        Rows that differ in some bit.
    case : int
        Number of the suite's case that shows it; -1 if the class is caught or trivial.
    """

    name: str
    what: str
    kind: str
    caught: bool
    reason: str = ""
    differing: int = 0
    of: int = 0
    case: int = -1


@dataclass
class Audit:
    """The power of an assertion.

    Attributes
    ----------
    operation, format, assertion : str
    inputs : Inputs
    classes : list of Class
    strict : list of str
        Correct kernels that the assertion rejects.
    vacuous : list of str
        Why it cannot fail, in words.
    cases : dict of int to str
        The smallest set of the suite's cases that shows every class that passes, each as a line.
    whole_suite : int
        Cases among which they were sought.
    raised : str
        What the assertion raises on the right result, if that is no failed assert.
    source : str
        Where the inputs come from, in words.
    """

    operation: str
    format: str
    assertion: str
    inputs: Inputs
    classes: list[Class] = field(default_factory=list)
    strict: list[str] = field(default_factory=list)
    vacuous: list[str] = field(default_factory=list)
    cases: dict[int, str] = field(default_factory=dict)
    whole_suite: int = 0
    raised: str = ""
    source: str = "numbers from a normal distribution"

    @property
    def passed(self) -> list[Class]:
        """Classes that the assertion accepts."""
        return [one for one in self.classes if not one.caught]

    @property
    def exit_code(self) -> int:
        """0 if every class is caught and the right result is accepted, else 1."""
        return int(bool(self.passed or self.vacuous or reference.name in self.strict))


def audit(
    inputs: Inputs,
    accepts: Comparison,
    assertion: str = "",
    claims: Iterable[str] = (),
    source: str = "numbers from a normal distribution",
) -> Audit:
    """Put every bug class to an assertion.

    Parameters
    ----------
    inputs : Inputs
        See `given_inputs` and `usual_inputs`.
    accepts : callable
        ``accepts(actual, expected)``: False or an exception rejects; anything else, None included, accepts. Both
        arrays are binary64.
    assertion : str
        How the report calls it.
    claims : iterable of str
        Only these classes; all unless given.
    source : str
        Where the inputs come from, for the report.

    Returns
    -------
    Audit

    Examples
    --------
    >>> from conformance.audit.inputs import usual_inputs
    >>> found = audit(usual_inputs("fake_quantize", "MXFP4"), Tolerance(atol=10.0))
    >>> found.vacuous[0]
    'atol 10 is not below the largest magnitude expected, 3: zeros pass everywhere'
    """
    if inputs.operation not in AUDITED:
        raise unknown("operation", inputs.operation, AUDITED)
    if not inputs.rows:
        raise BadShape("no inputs; expected at least one row")
    found = Audit(inputs.operation, inputs.format, assertion or str(accepts), inputs, source=source)
    right = answer(reference, inputs)
    found.vacuous += _vacuous(accepts, right)
    wanted = [*claims]
    for name, what, wrong in trivial(inputs, right):
        if not wanted or name in wanted:
            _add(found, Class(name, what, "trivial", True), wrong, right, accepts)
    shown = shown_by(inputs)
    for member in shown.members:
        if not wanted or member.name in wanted:
            _add(
                found,
                Class(member.name, what_of(member), "mistake", True),
                answer(member, inputs),
                right,
                accepts,
            )
    unknown_names = {*wanted} - {one.name for one in found.classes}
    if unknown_names:
        known = [*shown.names, *(name for name, _, _ in trivial(inputs, right))]
        raise unknown("bug class of this operation", min(unknown_names), known)
    found.strict = [
        name for name, one in _correct(inputs, right) if not _accepted(accepts, one, right)
    ]
    found.raised = _raised(accepts, right) if found.strict else ""
    choose(found, shown)
    return found


def what_of(member: Reference) -> str:
    """The mistake in words."""
    return ((member.__doc__ or member.name).strip().splitlines()[0]).rstrip(".")


def _add(found: Audit, one: Class, wrong: Answer, right: Answer, accepts: Comparison) -> None:
    """One class with its fate; a trivial answer that happens to be right is none."""
    unlike = wrong.unlike(right)
    if one.kind == "trivial" and not unlike.any():
        return
    passes = not unlike.any() or _accepted(accepts, wrong, right)
    reason = "" if not passes else "tolerance" if unlike.any() else "inputs"
    counts = int(unlike.sum()), len(unlike)
    found.classes.append(Class(one.name, one.what, one.kind, not passes, reason, *counts))


def _accepted(accepts: Comparison, actual: Answer, expected: Answer) -> bool:
    """Whether the assertion lets an answer through; whatever it raises makes a test fail."""
    try:
        verdict = accepts(actual.values.copy(), expected.values.copy())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - a test fails by any exception, and pytest.fail raises no Exception
        return False
    return verdict is None or bool(np.all(verdict))


def _raised(accepts: Comparison, right: Answer) -> str:
    """The exception of an assertion that breaks on the right result, which is no verdict on it."""
    try:
        accepts(right.values.copy(), right.values.copy())
    except (KeyboardInterrupt, SystemExit):
        raise
    except AssertionError:
        return ""
    except Exception as error:  # noqa: BLE001 - whatever a function of the user's raises
        said = (str(error).splitlines() or [""])[0]
        return f"{type(error).__name__}: {said}".rstrip(": ")
    except BaseException:  # noqa: BLE001 - pytest.fail
        return ""
    return ""


def _vacuous(accepts: Comparison, right: Answer) -> list[str]:
    """What makes an assertion accept anything of the right size."""
    finite = np.abs(right.values[np.isfinite(right.values)])
    largest = float(finite.max()) if finite.size else 0.0
    found = []
    if isinstance(accepts, Tolerance):
        bare = accepts.sqnr is None and accepts.cosine is None and not accepts.exact
        if bare and accepts.atol is not None and accepts.atol >= largest:
            found.append(
                f"atol {accepts.atol:g} is not below the largest magnitude expected, {largest:g}: "
                "zeros pass everywhere"
            )
        if bare and accepts.rtol is not None and accepts.rtol >= 1:
            found.append(f"rtol {accepts.rtol:g} is not below 1: zeros pass everywhere")
    if not largest:
        found.append("every expected number is zero: these inputs show nothing but zeros")
    elif not found and _accepted(accepts, Answer(np.zeros_like(right.values), right.bits), right):
        found.append("an all-zero output passes")
    return found


def _correct(inputs: Inputs, right: Answer) -> Iterator[tuple[str, Answer]]:
    """Correct kernels: the reference, and for products other orders of additions."""
    yield reference.name, right
    if inputs.operation not in PRODUCT_OPERATIONS:
        return
    a, b = inputs.operands
    multiply = mxemu.matmul if inputs.operation == "matmul" else mxemu.dot
    for name in OTHER_ORDERS:
        values = multiply(a, b, accumulation=name)
        yield name, Answer(values.astype(np.float64), values)


class Shown:
    """Cases of the suite, and which of them show which member."""

    def __init__(self, operation: str, format_name: str, carrier: str) -> None:
        self.asked, self.format = operation, format_name
        # A test of values back and forth is shown by the cases of quantize: they have other values, too.
        self.operation = {"fake_quantize": "quantize"}.get(operation, operation)
        accumulation = EXACT if self.operation in PRODUCT_OPERATIONS else None
        terms = Terms(OCP, declared=False, accumulation=accumulation)
        self.carrier = carrier if self.operation in OF_NUMBERS else "binary32"
        request = Request(self.operation, format_name, self.carrier, terms)
        self.judge: Judge = make_judge(request, "smoke")
        self.differs: dict[str, Array] = {}
        for member in MEMBERS:
            found = self._of(member)
            if found is not None and found.any():
                self.differs[member.name] = found

    @property
    def names(self) -> list[str]:
        return list(self.differs)

    @property
    def members(self) -> list[Reference]:
        """The members that are wrong somewhere in the suite."""
        return [member for member in MEMBERS if member.name in self.differs]

    def _of(self, member: Reference) -> Array | None:
        """Which cases show a member; None where it has no say."""
        if not member.touches(self.judge) and not self._inside(member):
            return None
        if isinstance(self.judge, ProductJudge):
            observed = member.outcome(self.judge, OCP)
            differs = self.judge.compare(observed, OCP)[0]
            return self.judge.impossible(observed, differs)
        wrong = answer(member, self.cases).unlike(self._right)
        return np.asarray(wrong & ~self.judge.silent())

    def _inside(self, member: Reference) -> bool:
        """Whether a member spoils what a block conversion is made of."""
        operation = self.asked
        parts = {
            "quantize": {"encode", "encode-scaled"},
            "dequantize": {"decode"},
            "fake_quantize": {"encode", "encode-scaled", "dequantize", "decode"},
        }.get(operation, set())
        if isinstance(self.judge, ProductJudge) or not parts & {*member.operations}:
            return False
        fmt = find_block_format(self.format)
        fits = not member.formats or bool({fmt.name, fmt.element.name} & {*member.formats})
        return fits and (not member.carriers or self.carrier in member.carriers)

    @cached_property
    def cases(self) -> Inputs:
        """The suite's cases as a test's inputs."""
        arrays = tuple(one for one in self.judge.arguments()[0] if one is not None)
        return Inputs(self.asked, self.format, arrays, self.carrier)

    @cached_property
    def _right(self) -> Answer:
        return answer(reference, self.cases)

    def line(self, index: int) -> str:
        """A case in words: its theme, and the command that derives it."""
        found = self.judge.describe(index, self._observed, OCP)
        command = found.explain
        if len(command) > _LONGEST:
            group = Group(self.operation, self.format, self.carrier, OCP)
            replay = of_case(self.judge, group, index)
            command = command if replay is None else f"mxemu explain {replay.token}"
        scale = f" ({found.where})" if self.operation == "encode-scaled" else ""
        return f"{found.note}{scale}: {command}"

    def arrays(self, cases: Iterable[int]) -> dict[str, Array]:
        """Inputs of some cases by name, as a test takes them."""
        rows = [*cases]
        names = FIELDS.get(self.operation, ("values",))
        found = zip(names, self.judge.arguments()[0], strict=True)
        return {name: array[rows] for name, array in found if array is not None}

    @cached_property
    def _observed(self) -> Array:
        """The right results, in the judge's form."""
        return reference.outcome(self.judge, OCP)


_kept_shown = lru_cache(maxsize=8)(Shown)


def shown_by(inputs: Inputs) -> Shown:
    """The suite's cases for the operation, format and carrier of some inputs."""
    return _kept_shown(inputs.operation, inputs.format, inputs.carrier)


def choose(found: Audit, shown: Shown) -> None:
    """The smallest set of the suite's cases that shows every mistake which passes."""
    names = sorted(one.name for one in found.passed if one.kind == "mistake")
    found.whole_suite = len(shown.judge.cases)
    if not names:
        return
    rows = np.stack([shown.differs[name] for name in names])
    _, columns = np.unique(rows, axis=1, return_index=True)
    chosen = _cover(rows, sorted(int(column) for column in columns))
    found.cases = {index: shown.line(index) for index in chosen}
    case_of = {
        name: next(index for index in chosen if row[index])
        for name, row in zip(names, rows, strict=True)
    }
    found.classes = [
        replace(one, case=case_of[one.name]) if one.name in case_of else one
        for one in found.classes
    ]


def _cover(rows: Array, columns: list[int]) -> list[int]:
    """The fewest columns that meet every row; of many candidates those that meet most first, one after the other."""
    sets = {index: frozenset(np.flatnonzero(rows[:, index]).tolist()) for index in columns}
    useful = [index for index in columns if not any(sets[index] < other for other in sets.values())]
    everything = frozenset(range(len(rows)))
    for size in range(1, len(rows) + 1):
        if comb(len(useful), size) > _MOST_SETS:
            break
        for chosen in combinations(useful, size):
            if frozenset().union(*(sets[index] for index in chosen)) == everything:
                return [*chosen]
    chosen_ones: list[int] = []
    open_rows = everything
    while open_rows:
        chosen_ones.append(max(useful, key=lambda index: len(sets[index] & open_rows)))
        open_rows -= sets[chosen_ones[-1]]
    return chosen_ones
