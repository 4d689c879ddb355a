"""Judges of dot products: dot, dot-general and matmul.

MX 6.1 and 6.2 leave precision and order open, so a result is compared with a named accumulation, and beyond that with
what no accumulation may do: lose a NaN, or miss the exact value by more than a bound that holds for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from shlex import quote
from typing import Any, NamedTuple, Self

import numpy as np

from conformance.adapter import accumulation_record, pair_of
from conformance.arrays import BITS_DTYPES, Array, Dots, dot_bits, is_nan_bits
from conformance.cases import Cases
from conformance.cases.products import (
    BLOCKS,
    Layout,
    element_of,
    matmul_cases,
    product_cases,
)
from conformance.judges.base import Case, Judge, Side, only, side
from mxemu.accumulation import Accumulation
from mxemu.formats import BINARY32, BlockFormat, ElementFormat, FloatFormat
from mxemu.formats import find as find_format
from mxemu.profile import Profile
from mxemu.scalar import decode
from mxemu.value import INF, NAN, Value, decimal_text

LOSS = 8
"""A unit that keeps 8 bits, as bfloat16 does, and truncates loses up to 2^-LOSS of a magnitude at each step."""

BOUND = f"more than (n + 2) * 2^-{LOSS} of the magnitudes of the n terms together"
"""What no accumulation of 8 bits or more does, in words."""


class Sums(NamedTuple):
    """What is exact about one result.

    Attributes
    ----------
    total : Value
        The exact sum; NaN or Inf where an operand makes it so.
    magnitude : Value
        The sum of the magnitudes of all terms.
    terms : int
        Terms that are not zero, C among them.
    clause : str
        Of the special operand that decides the result; empty if all are finite.
    """

    total: Value
    magnitude: Value
    terms: int
    clause: str = ""


class ProductJudge(Judge):
    """dot and dot-general: one result a case.

    Parameters
    ----------
    operation, label : str
        ``label`` names the pair of formats, see `conformance.adapter.pair_label`.
    out : FloatFormat
    level : str
    takes_c : bool
    accumulation : Accumulation
        What results are compared with.
    """

    def __init__(
        self,
        operation: str,
        label: str,
        out: FloatFormat,
        level: str,
        takes_c: bool,
        accumulation: Accumulation,
    ) -> None:
        self.operation = operation
        self.label = label
        self.carrier = out
        self.takes_c = takes_c
        self.accumulation = accumulation
        formats = [find_format(name) for name in pair_of(label)]
        blocks = 1 if operation == "dot" else BLOCKS
        self.layout = Layout(formats[0], formats[1], blocks, out)
        self.cases = self._cases(level)
        self.forget()

    def forget(self) -> None:
        self._expected: dict[Accumulation, Array] = {}
        self._sums: dict[int, Sums] = {}

    def _cases(self, level: str) -> Cases:
        return product_cases(self.layout, level, self.takes_c)

    def compared_with(self, accumulation: Accumulation) -> ProductJudge:
        """The same cases, to be compared with another accumulation."""
        if accumulation == self.accumulation:
            return self
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.accumulation = accumulation
        return other

    @cached_property
    def dots(self) -> Dots:
        """The operands of all cases."""
        return self.layout.dots(self.cases.inputs)

    def arguments(self) -> tuple[tuple[Array | None, ...], tuple[Any, ...]]:
        dots = self.dots
        return (dots.sa, dots.a, dots.sb, dots.b, dots.c), (pair_of(self.label),)

    def batches(self) -> list[Array]:
        """Cases with C and without it: where there is none, the subject gets None."""
        carried = self.dots.c != 0
        return [part for part in (np.flatnonzero(carried), np.flatnonzero(~carried)) if len(part)]

    def given(self, arrays: tuple[Array | None, ...], part: Array) -> tuple[Array | None, ...]:
        *operands, c = (None if array is None else array[part] for array in arrays)
        return (*operands, c if c is not None and c.any() else None)

    def observe(self, results: Sequence[Array], rows: int) -> Array | str:
        return _patterns(only(results), (rows,), self.carrier)

    def expected(self, accumulation: Accumulation) -> Array:
        """Bits of all cases under an accumulation.

        Raises
        ------
        MxemuError
            When it is not for these operands.
        """
        if accumulation not in self._expected:
            self._expected[accumulation] = dot_bits(self.dots, accumulation)
        return self._expected[accumulation]

    def expected_of(self, rows: Array, accumulation: Accumulation) -> Array:
        """The same for some cases only."""
        if accumulation in self._expected:
            return self._expected[accumulation][rows]
        return dot_bits(self.layout.dots(self.cases.inputs[rows]), accumulation)

    def differ(self, observed: Array, expected: Array) -> Array:
        """Bits that are neither equal nor both NaN."""
        nans = is_nan_bits(observed, self.carrier) & is_nan_bits(expected, self.carrier)
        return (observed != expected) & ~nans

    def compare(self, observed: Array, profile: Profile) -> tuple[Array, Array]:
        differs = self.differ(observed, self.expected(self.accumulation))
        return differs, np.zeros_like(differs)

    def expectation(self, index: int, profile: Profile) -> int:
        return int(self.expected(self.accumulation)[index])

    def matches(self, index: int, observed: Array, profile: Profile) -> bool:
        one = slice(index, index + 1)
        return not self.differ(observed[one], self.expected(self.accumulation)[one])[0]

    def departures(self, profile: Profile) -> tuple[str, ...]:
        return ()

    def impossible(self, observed: Array, suspects: Array) -> Array:
        """Which of some cases have a result that no accumulation gives.

        A NaN scale or element must give NaN, and Inf must stay. A finite sum must be met within (n + 2) * 2^-8 of the
        sum of the magnitudes of its n terms that are not zero, and within (n + 2) times the smallest normal number.
        Where these magnitudes together leave the range of the result, Inf and NaN are possible too.
        """
        found = np.zeros(len(observed), dtype=bool)
        for index in np.flatnonzero(suspects):
            value = decode(int(observed[index]), self.carrier)
            found[index] = not self._possible(value, self.sums(int(index)))
        return found

    def _possible(self, value: Value, sums: Sums) -> bool:
        """Whether some accumulation gives this value."""
        largest = self.carrier.max
        if sums.total.is_nan:
            return value.is_nan or not sums.clause
        if sums.total.is_inf:
            same = value.sign == sums.total.sign
            return same and (value.is_inf or _magnitude(value) == _magnitude(largest))
        if not value.is_finite:
            return 4 * _magnitude(sums.magnitude) > _magnitude(largest)
        bound = (sums.terms + 2) * _magnitude(sums.magnitude) >> LOSS
        floor = (sums.terms + 2) << (self.carrier.emin + _UNIT)
        if _magnitude(sums.total) > _magnitude(largest):
            same = value.sign == sums.total.sign
            least = min(_magnitude(largest), _magnitude(sums.total) - bound)
            return same and _magnitude(value) >= least
        return abs(_number(value) - _number(sums.total)) <= bound + floor

    def sums(self, index: int) -> Sums:
        """The exact sum of one case and what is needed to bound it."""
        if index not in self._sums:
            self._sums[index] = self._summed(self.layout.dots(self.cases.inputs[index : index + 1]))
        return self._sums[index]

    def _summed(self, row: Dots) -> Sums:
        c = decode(int(row.c[0]), self.carrier)
        total, magnitude, terms = 0, 0, 0
        own = "MX-6.1-DOT" if self.operation == "dot" else "MX-6.2-SUM"
        specials: list[tuple[Value, str]] = []
        values = [*_products(row), (c, "" if c.is_finite else own)]
        for value, clause in values:
            if value.is_finite:
                total += _number(value)
                magnitude += _magnitude(value)
                terms += bool(value.significand)
            elif clause:
                specials.append((value, clause))
        if specials:
            return _special_sum(specials)
        return Sums(_value(total), _value(magnitude), terms)

    def describe(self, index: int, observed: Array, profile: Profile) -> Case:
        ref = int(self.expected_of(np.array([index]), self.accumulation)[0])
        found = int(observed[index])
        return Case(
            self._where(index),
            self._given(index),
            side("dut", found, self.carrier),
            side("ref", ref, self.carrier),
            str(self.clauses(np.array([index]), observed, profile)[0]),
            self.cases.note(index),
            self.replay(index),
        )

    def clauses(self, indices: Array, observed: Array, profile: Profile) -> Array:
        suspects = np.zeros(len(observed), dtype=bool)
        suspects[indices] = True
        impossible = self.impossible(observed, suspects)
        return np.array(
            [self._clause(int(i)) if impossible[i] else "MX-6.1-PREC" for i in indices],
            dtype=object,
        )

    def _clause(self, index: int) -> str:
        """The clause that an impossible result breaks."""
        special = self.sums(index).clause
        if special:
            return special
        if self.operation == "dot":
            return "MX-6.1-DOT"
        return "MX-6.2-PAD" if self.cases.note(index) == "last-block" else "MX-6.2-SUM"

    def _where(self, index: int) -> str:
        """Scales, and which lanes hold something."""
        row = self.layout.dots(self.cases.inputs[index : index + 1])
        words = [
            f"{name} {_listed(scales[0])}"
            for name, scales in (("sa", row.sa), ("sb", row.sb))
            if scales is not None
        ]
        lanes = np.flatnonzero((row.a[0] != 0) & (row.b[0] != 0))
        if not len(lanes):
            lanes = np.flatnonzero((row.a[0] != 0) | (row.b[0] != 0))
        shown = [
            f"{lane}: 0x{int(row.a[0, lane]):02X} * 0x{int(row.b[0, lane]):02X}"
            for lane in lanes[:2]
        ]
        more = [f"and {len(lanes) - 2} more"] if len(lanes) > 2 else []
        carried = [f"C 0x{int(row.c[0]):X}"] if row.c[0] else []
        return "  ".join([*words, *shown, *more, *carried])

    def _given(self, index: int) -> Side:
        """The exact sum."""
        total = self.sums(index).total
        exact = str(total)
        if total.is_finite and len(exact) > 16:
            exact = decimal_text(total.fraction(), 9)
        return Side("exact sum", "", "", exact)

    def replay(self, index: int) -> str:
        """A command that derives the expectation of one case; in Python where the accumulation has no name."""
        row = self.layout.dots(self.cases.inputs[index : index + 1])
        record = accumulation_record(self.accumulation)
        if isinstance(record, str):
            return self._explained(row, record)
        sides = ((row.a, row.sa, self.layout.a), (row.b, row.sb, self.layout.b))
        operands = [
            _operand_text(codes[0], fmt, None if scales is None else scales[0])
            for codes, scales, fmt in sides
        ]
        c = f"decode({int(row.c[0]):#x}, carrier({self.carrier.name!r}))" if row.c[0] else "None"
        call = f"dot({', '.join(operands)}, {c}, from_mapping({record!r}), {self.carrier.name!r})"
        imports = "from mxemu.products import Operand, dot"
        imports += "; from mxemu.accumulations import from_mapping"
        if row.c[0]:
            imports += "; from mxemu.formats import carrier; from mxemu.scalar import decode"
        return f'python -c "{imports}; print(hex({call}.bits))"'

    def _explained(self, row: Dots, name: str) -> str:
        """The command that explains one dot product; zeros at its end fill up the last block."""
        used = np.flatnonzero((row.a[0] != 0) | (row.b[0] != 0))
        last = max([0, *used.tolist(), (self.layout.blocks - 1) * self.layout.k])
        words = [f"mxemu explain dot {self.label}"]
        for which, codes, scales in (("a", row.a, row.sa), ("b", row.b, row.sb)):
            words.append(f"--{which} {_codes_list(codes[0, : last + 1])}")
            if scales is not None:
                words.append(f"--scale-{which} {_codes_list(scales[0])}")
        words += [f"--c {int(row.c[0]):#x}"] if row.c[0] else []
        words += [] if name == "exact" else [f"--accumulation {quote(name)}"]
        words += [] if self.carrier == BINARY32 else [f"--out {self.carrier.name}"]
        return " ".join(words)

    def simplicity(self, indices: Array) -> Array:
        """Fewest nonzero terms first, then no C, then ordinary scales."""
        dots = self.layout.dots(self.cases.inputs[indices])
        used = ((dots.a != 0) & (dots.b != 0)).sum(axis=1)
        far = np.zeros(len(indices), dtype=np.int64)
        for scales, fmt in ((dots.sa, self.layout.a), (dots.sb, self.layout.b)):
            if scales is not None and isinstance(fmt, BlockFormat):
                far += np.abs(scales.astype(np.int64) - fmt.scale.bias).sum(axis=1)
        found: Array = used * 1_000_000 + (dots.c != 0) * 100_000 + np.minimum(far, 99_999)
        return found


class MatmulJudge(ProductJudge):
    """matmul: some matrix products, each result of them a case."""

    def _cases(self, level: str) -> Cases:
        cases, self.grids = matmul_cases(self.layout, level, self.takes_c)
        return cases

    def on(self, cases: Cases) -> Self:
        """The same judge for other cases, each of them a matrix product of its own."""
        other = super().on(cases)
        other.grids = tuple(np.array([[index]]) for index in range(len(cases)))
        return other

    def batches(self) -> list[Array]:
        return [grid.ravel() for grid in self.grids]

    @property
    def splits(self) -> bool:
        """Part of a matrix product is none."""
        return False

    def given(self, arrays: tuple[Array | None, ...], part: Array) -> tuple[Array | None, ...]:
        sa, a, sb, b, c = arrays
        grid = self._grid(part)
        rows, columns = grid[:, 0], grid[0]
        left = [None if one is None else one[rows] for one in (sa, a)]
        right = [None if one is None else one[columns] for one in (sb, b)]
        carried = c[grid] if c is not None and self.takes_c else None
        return (*left, *right, carried)

    def answer(self, results: Sequence[Array], part: Array) -> Array | str:
        found = _patterns(only(results), self._grid(part).shape, self.carrier)
        return found if isinstance(found, str) else found.ravel()

    def _grid(self, part: Array) -> Array:
        return next(grid for grid in self.grids if len(part) == grid.size and part[0] == grid[0, 0])


_UNIT = 1 << 13
"""Values are added as multiples of 2^-_UNIT: no product of two binary64 numbers and two scales has a smaller bit."""


def _number(value: Value) -> int:
    """A finite value as a multiple of 2^-_UNIT."""
    shifted = value.significand << (value.exponent + _UNIT) if value.significand else 0
    return -shifted if value.sign else shifted


def _magnitude(value: Value) -> int:
    return abs(_number(value))


def _value(number: int) -> Value:
    return Value(int(number < 0), abs(number), -_UNIT)


def _products(row: Dots) -> list[tuple[Value, str]]:
    """The exact products of one row, each with the clause of what makes it special.

    Lanes of zeros are left out but for one in each block, which a NaN scale reaches.
    """
    found = []
    length, k = row.a.shape[1], row.k
    sides = ((row.sa, row.a, row.formats[0]), (row.sb, row.b, row.formats[1]))
    telling = (row.a[0] != 0) | (row.b[0] != 0) | (np.arange(length) % k == 0)
    for lane in np.flatnonzero(telling).tolist():
        factors: list[tuple[Value, str]] = []
        for scales, codes, fmt in sides:
            if scales is not None and isinstance(fmt, BlockFormat):
                factors.append((_decoded(int(scales[0, lane // k]), fmt.scale), "MX-5.1-NANSCALE"))
            factors.append((_decoded(int(codes[0, lane]), element_of(fmt)), "MX-5.1-SPECIAL"))
        found.append(_product(factors))
    return found


_decoded = lru_cache(maxsize=1 << 12)(decode)


def _product(factors: list[tuple[Value, str]]) -> tuple[Value, str]:
    """One exact product; of Inf * 0 the clause is ``invalid``."""
    sign, significand, exponent = 0, 1, 0
    for value, clause in factors:
        if value.is_nan:
            return NAN, clause
        sign ^= value.sign
    infinite = [clause for value, clause in factors if value.is_inf]
    if infinite:
        invalid = any(value.is_zero for value, _ in factors)
        return (NAN, "invalid") if invalid else (INF._replace(sign=sign), infinite[0])
    for value, _ in factors:
        significand *= value.significand
        exponent += value.exponent
    return Value(sign, significand, exponent), ""


def _special_sum(specials: list[tuple[Value, str]]) -> Sums:
    """NaN with a clause if an operand is NaN; without one if the sum is only invalid; else Inf."""
    nans = [clause for value, clause in specials if value.is_nan and clause != "invalid"]
    nothing = _value(0)
    if nans:
        return Sums(NAN, nothing, 0, nans[0])
    signs = {value.sign for value, clause in specials if clause != "invalid"}
    if len(signs) == 2 or any(clause == "invalid" for _, clause in specials):
        return Sums(NAN, nothing, 0)
    return Sums(INF._replace(sign=signs.pop()), nothing, 0, specials[0][1])


def _patterns(result: Array | str, shape: tuple[int, ...], out: FloatFormat) -> Array | str:
    """Bit patterns of the results' format, or what is wrong with them."""
    if isinstance(result, str):
        return result
    if result.shape != shape:
        return f"returned results of shape {result.shape}; expected {shape}"
    expected = np.dtype(BITS_DTYPES[out.name])
    if result.dtype.kind != "u":
        return f"returned results of dtype {result.dtype}; expected bit patterns of {out.name} as {expected}"
    if result.size and int(result.max()) >> out.width:
        return f"returned {int(result.max()):#x}; expected bit patterns of {out.name}, {out.width} bits"
    return result.astype(expected)


def _listed(scales: Array) -> str:
    """Scale codes, once if all are the same."""
    distinct = scales if len(set(scales.tolist())) > 1 else scales[:1]
    return "0x" + "_".join(f"{int(code):02X}" for code in distinct)


def _operand_text(codes: Array, fmt: BlockFormat | ElementFormat, scales: Array | None) -> str:
    """An operand as Python text: hex where codes are bytes."""
    return f"Operand({_codes_text(codes)}, {fmt.name!r}{'' if scales is None else ', ' + _codes_text(scales)})"


def _codes_list(codes: Array) -> str:
    """Codes as the command line takes them."""
    return ",".join(f"{int(code):#x}" for code in codes)


def _codes_text(codes: Array) -> str:
    if codes.dtype.itemsize > 1:
        return str(codes.tolist())
    return f"bytes.fromhex({codes.tobytes().hex()!r})"


def product_judge(
    operation: str,
    label: str,
    out: FloatFormat,
    level: str,
    takes_c: bool,
    accumulation: Accumulation,
) -> ProductJudge:
    """The judge of a group; one that has been used before remembers its expectations."""
    kept = _kept_judge if level != "exhaustive" else _kept_judge.__wrapped__
    return kept(operation, label, out, level, takes_c, accumulation)


@lru_cache(maxsize=8)
def _kept_judge(
    operation: str,
    label: str,
    out: FloatFormat,
    level: str,
    takes_c: bool,
    accumulation: Accumulation,
) -> ProductJudge:
    kind = MatmulJudge if operation == "matmul" else ProductJudge
    return kind(operation, label, out, level, takes_c, accumulation)
