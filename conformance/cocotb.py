"""A scoreboard for benches of one's own: the verdicts and the words of ``mxemu check`` for any transactions.

It is made for cocotb and needs nothing of it: values may be integers, lists of them, or the ``value`` of a handle. The
bench drives the design and keeps its order; the scoreboard collects inputs and results, and judges them at the end.

Examples
--------
>>> board = Scoreboard("decode", "E2M1", name="my decoder")
>>> board.add({"code": 0x3}, {"value": 0x3FC00000})
>>> board.add({"code": 0xB}, {"value": 0x3FC00000})
>>> board.verdict()
'FAIL'
>>> print(board.report().splitlines()[9].strip())
MX-5.3.3-ENC  in 0xB 1_01_1 = -1.5  dut 0x3FC00000 = 1.5  ref 0xBFC00000 = -1.5
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.adapter import PRODUCT_OPERATIONS, Capabilities, Operation, find_pair, parse
from conformance.adapters.rtl.fields import Interface, from_records, interface, to_records
from conformance.arrays import Array, as_bits, as_values
from conformance.cases import Cases
from conformance.cases.products import BLOCKS, Layout
from conformance.judges import Judge, ProductJudge
from conformance.report.text import render
from conformance.runner import Request, Run, judge_of, judge_with
from conformance.vectors.table import Field
from conformance.verdict import Group, Terms, judge_group
from mxemu.accumulation import EXACT, Accumulation
from mxemu.errors import MxemuError
from mxemu.formats import carrier as carrier_format
from mxemu.formats import find
from mxemu.profile import OCP, Profile

Number = Any
"""An integer, a sequence of integers, or the value of a cocotb handle."""

_NOTE = "transaction"


class Scoreboard:
    """Collects the transactions of one operation and judges them.

    Parameters
    ----------
    operation, format, carrier : str
        As in a port map: ``encode-scaled``, ``MXFP8_E4M3``, ``binary32``. Products take one format or two with a comma.
    profile : str, mapping or Profile, optional
        What the design declares for conversions.
    accumulation : str, mapping or Accumulation, optional
        What it declares for dot products.
    name, version : str
        Of the design, for the report.

    Raises
    ------
    MxemuError
        There is no such operation, format, carrier, profile or accumulation.
    """

    def __init__(
        self,
        operation: str,
        format: str,  # noqa: A002 - the word of the port map
        carrier: str = "binary32",
        *,
        profile: str | Mapping[str, Any] | Profile | None = None,
        accumulation: str | Mapping[str, Any] | Accumulation | None = None,
        name: str = "design",
        version: str = "1",
    ) -> None:
        numbers = carrier_format(carrier)
        products = operation in PRODUCT_OPERATIONS
        label = find_pair(format) if products else find(format).name
        blocks = BLOCKS if operation == "dot-general" else 1
        self.interface: Interface = interface(operation, label, numbers, blocks)
        declared = parse(
            name,
            version,
            {"operations": {}, "profile": profile, "accumulation": accumulation},
        )
        self.capabilities = Capabilities(
            name,
            version,
            {operation: Operation((label,), (numbers.name,), c=products)},
            declared.profile,
            accumulation=declared.accumulation,
        )
        base = declared.profile or OCP
        sums = (declared.accumulation or EXACT) if products else None
        promised = declared.accumulation if products else declared.profile
        terms = Terms(base, promised is not None, accumulation=sums, takes_c=products)
        self.request = Request(operation, label, numbers.name, terms)
        self._inputs: list[bytes] = []
        self._results: list[bytes] = []
        self._unknown: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._inputs)

    def stimulus(self, level: str = "smoke") -> Iterator[dict[str, int]]:
        """The vectors of ``mxemu check``, each field as one integer that can go to a port.

        Parameters
        ----------
        level : str
            ``smoke`` or ``core``; more is for a faster way than a bench in Python.
        """
        if level not in ("smoke", "core"):
            raise MxemuError(f"level {level!r}; expected smoke or core")
        judge = judge_of(self.request, level)
        fields = self.interface.inputs
        columns = self._columns(judge)
        records = to_records(fields, columns, len(judge.cases))
        starts = np.cumsum([0, *(one.size for one in fields)])
        for row in records:
            yield {
                one.name: int.from_bytes(row[start : start + one.size].tobytes(), "little")
                for one, start in zip(fields, starts[:-1], strict=True)
            }

    def add(self, inputs: Mapping[str, Number], results: Mapping[str, Number]) -> None:
        """One transaction.

        Parameters
        ----------
        inputs, results : mapping of str to int, sequence of int, or cocotb value
            By field. One integer for a field with several numbers has number 0 in its least significant bits. C of a
            dot product may be left out. X and Z in a result make this transaction a crash.

        Raises
        ------
        MxemuError
            A field is missing or unknown, or a number does not fit.
        """
        given = {"c": 0, **inputs} if any(f.name == "c" for f in self.interface.inputs) else inputs
        record = b"".join(_whole(given, self.interface.inputs))
        answer = b""
        for one in _named(results, self.interface.results):
            value = results[one.name]
            if getattr(value, "is_resolvable", True):
                answer += _bytes(value, one)
                continue
            answer += bytes(one.size)
            place = f"vector line {len(self) + 1}"
            self._unknown.setdefault(len(self), f"gave X or Z in {one.name} of {place}: {value}")
        self._inputs.append(record)
        self._results.append(answer)

    def verdict(self) -> str:
        """pass, FAIL, free or crash."""
        return self._group().verdict

    def report(self) -> str:
        """What ``mxemu check`` would print."""
        group = self._group()
        run = Run(self.capabilities.name, self.capabilities, "bench", None, [group])
        return render(run, 1 if group.verdict in ("FAIL", "crash") else 0)

    def check(self) -> None:
        """Raise an AssertionError with the report if something is wrong, or nothing was seen."""
        if self.verdict() in ("FAIL", "crash"):
            raise AssertionError(self.report())

    def _group(self) -> Group:
        """All transactions judged."""
        if not len(self):
            raise AssertionError("the scoreboard has seen no transaction")
        request = self.request
        group = Group(request.operation, request.format, request.carrier, request.terms.profile)
        group.accumulation = request.terms.accumulation
        judge = judge_with(request, self._cases())
        observed = judge.observe(self._arrays(), len(self))
        if isinstance(observed, str):
            raise MxemuError(observed)
        raised = np.zeros(len(self), dtype=bool)
        raised[list(self._unknown)] = True
        judge_group(group, judge, observed, raised, request.terms)
        group.reason = next(iter(self._unknown.values()), "")
        return group

    def _cases(self) -> Cases:
        """The inputs as the judges take them: the numbers of a row behind one another."""
        fields = self.interface.inputs
        records = np.frombuffer(b"".join(self._inputs), dtype=np.uint8).reshape(len(self), -1)
        found = from_records(fields, records)
        wide = [found[one.name].reshape(len(self), -1).astype(np.uint64) for one in fields]
        if self.request.terms.accumulation is not None:
            wide = self._with_scales(found)
        rows = np.concatenate(wide, axis=1)
        if len(fields) == 1 and fields[0].count == 1:
            rows = rows[:, 0]
        dtype = judge_of(self.request, "smoke").cases.inputs.dtype
        return Cases(rows.astype(dtype), np.zeros(len(self), dtype=np.int64), (_NOTE,))

    def _with_scales(self, found: Mapping[str, Array]) -> list[Array]:
        """Operands of dot products; where a format has no scale, its place in a row holds zeros."""
        blocks = BLOCKS if self.request.operation == "dot-general" else 1
        nothing = np.zeros((len(self), blocks), dtype=np.uint64)
        names = ("sa", "a", "sb", "b", "c")
        columns = [found.get(name, nothing) for name in names]
        return [column.reshape(len(self), -1).astype(np.uint64) for column in columns]

    def _columns(self, judge: Judge) -> dict[str, Array]:
        """The inputs of a judge by field."""
        fields = self.interface.inputs
        if isinstance(judge, ProductJudge):
            layout: Layout = judge.layout
            dots = layout.dots(judge.cases.inputs)
            columns = {"sa": dots.sa, "a": dots.a, "sb": dots.sb, "b": dots.b, "c": dots.c}
            return {key: found for key, found in columns.items() if found is not None}
        rows = judge.cases.inputs.reshape(len(judge.cases), -1)
        cuts = np.cumsum([one.count for one in fields])[:-1]
        return dict(zip((one.name for one in fields), np.split(rows, cuts, axis=1), strict=True))

    def _arrays(self) -> list[Array]:
        """The results as an adapter would return them."""
        fields = self.interface.results
        records = np.frombuffer(b"".join(self._results), dtype=np.uint8).reshape(len(self), -1)
        found = from_records(fields, records)
        numbers = self.request.carrier
        if self.request.operation in ("decode", "dequantize"):
            (name,) = found
            values: Array = as_values(as_bits_of(found[name], numbers), numbers)
            return [values]
        return list(found.values())


def as_bits_of(column: Array, carrier: str) -> Array:
    """Bit patterns in the dtype of a carrier's."""
    return column.astype(as_bits(np.zeros(1), carrier).dtype)


def _named(given: Mapping[str, Number], fields: Sequence[Field]) -> Sequence[Field]:
    """The fields, if just these are given.

    Raises
    ------
    MxemuError
    """
    names = [one.name for one in fields]
    if set(given) != set(names):
        raise MxemuError(f"fields {', '.join(given)}; expected {', '.join(names)}")
    return fields


def _whole(given: Mapping[str, Number], fields: Sequence[Field]) -> Iterator[bytes]:
    for one in _named(given, fields):
        yield _bytes(given[one.name], one)


def _bytes(value: Number, one: Field) -> bytes:
    """A field in bytes from an integer, a list of numbers, or a cocotb value.

    Raises
    ------
    MxemuError
        It does not fit, or has X or Z.
    """
    if not getattr(value, "is_resolvable", True):
        raise MxemuError(f"{one.name} is {value}; expected no X or Z in an input")
    if isinstance(value, (list, tuple, np.ndarray)):
        numbers = [int(number) for number in value]
        if len(numbers) != one.count or any(not 0 <= n < 1 << one.width for n in numbers):
            raise MxemuError(
                f"{one.name} is {value}; expected {one.count} numbers of {one.width} bits"
            )
        whole = sum(number << (one.width * index) for index, number in enumerate(numbers))
    else:
        whole = value.to_unsigned() if hasattr(value, "to_unsigned") else int(value)
    if not 0 <= whole < 1 << one.bits:
        raise MxemuError(f"{one.name} is {whole:#x}; expected {one.bits} bits")
    return whole.to_bytes(one.size, "little")
