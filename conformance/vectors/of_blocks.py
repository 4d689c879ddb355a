"""Vectors of blocks: scale, quantize, dequantize."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

import mxemu
from conformance.arrays import Array, as_bits, as_values, is_nan_bits, nan_code_mask
from conformance.cases import Cases, collect
from conformance.cases.blocks import dequantize_cases, quantize_cases, random_blocks
from conformance.vectors.of_elements import element_kinds
from conformance.vectors.suites import Columns, Suite, bits_of, codes_of, joined, kinds, out
from conformance.vectors.table import Expect, Field
from mxemu.block import dequantize_bits, quantize_bits, value_bits
from mxemu.formats import BINARY32, BlockFormat, FloatFormat, block_format, carrier
from mxemu.profile import Profile
from mxemu.scalar import carry_in, decode
from mxemu.scale import amax, scale_code, scale_rows

if TYPE_CHECKING:
    from conformance.judges import Judge


class _OfBlocks(Suite):
    """What the three share: a block format and a carrier."""

    kept = 5

    def _open(self) -> None:
        self.block = block_format(self.key.format)
        self.carrier = carrier(self.key.kind)
        self.element = self.block.element
        self._fields()

    @abstractmethod
    def _fields(self) -> None:
        """Set ``inputs`` and ``outputs``."""

    @property
    def _scale_width(self) -> int:
        return self.block.scale.width

    @cached_property
    def _nan_scales(self) -> Array:
        return nan_code_mask(self.block.scale)


class Scale(_OfBlocks):
    """scale: the largest magnitude of a block to its scale."""

    kept = 16

    def _fields(self) -> None:
        self.inputs = (Field("amax", self.carrier.width, format=self.carrier.name),)
        self.outputs = (out("scale", self._scale_width, 1, self.block.scale.name),)

    def given(self) -> Cases:
        given = quantize_cases(self.block, self.carrier, self.key.level)
        largest = self._largest(given.inputs)
        parts = [(note, largest[given.theme == at]) for at, note in enumerate(given.notes)]
        return collect(parts, largest.dtype)

    def _largest(self, blocks: Array) -> Array:
        return (blocks & blocks.dtype.type(self.carrier.magnitude_mask)).max(axis=1)

    def columns(self, rows: Array) -> dict[str, Array]:
        return {"amax": bits_of(rows, self.carrier)}

    def rows(self, columns: Columns) -> Array:
        return columns["amax"]

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        return self._largest(random_blocks(self.block, self.carrier, count, rng))

    def results(self, columns: Columns, profile: Profile) -> dict[str, Array]:
        if self.exact:
            largest = [carry_in(bits, self.carrier, profile) for bits in columns["amax"].tolist()]
            found = [scale_code(amax([one], profile), self.block, profile) for one in largest]
            codes = np.array(found, np.int64)
        else:
            firsts, values = scale_steps(self.carrier, self.block, profile)
            at = np.searchsorted(firsts, columns["amax"].astype(np.uint64), side="right")
            codes = values[at - 1]
        return {"scale": codes_of(codes, self._scale_width)}

    def expectations(self, columns: Columns, results: Columns) -> dict[str, Array]:
        found = kinds(results["scale"])
        inf = self.carrier.magnitude_mask - len(self.carrier.nans)
        found[(columns["amax"] == 0) | (columns["amax"] >= inf)] = Expect.BY_PROFILE
        return {"scale": found}


@lru_cache(maxsize=16)
def scale_steps(numbers: FloatFormat, block: BlockFormat, profile: Profile) -> tuple[Array, Array]:
    """Where the scale steps: first bits of the largest magnitude, and the scale codes from there on."""
    rows = scale_rows(numbers, block, profile)
    firsts = np.array([row.first for row in rows], np.uint64)
    return firsts, np.array([row.code for row in rows], np.int64)


class Quantize(_OfBlocks):
    """quantize: k values to a scale and k codes."""

    def _fields(self) -> None:
        self.inputs = (Field("values", self.carrier.width, self.block.k, format=self.carrier.name),)
        self.outputs = (
            out("scale", self._scale_width, 1, self.block.scale.name),
            out("codes", self.element.width, self.block.k, self.element.name),
        )

    def given(self) -> Cases:
        cases = quantize_cases(self.block, self.carrier, self.key.level)
        return joined(cases, self._more())

    def _more(self) -> Iterator[tuple[str, Array]]:
        """Inf and NaN in one block, and, above level smoke, every scale."""
        numbers, k = self.carrier, self.block.k
        assert numbers.inf is not None
        quiet = numbers.inf | 1 << (numbers.mantissa_bits - 1)
        both = np.zeros((2, k), np.uint64)
        both[0, :2], both[1, -2:] = (numbers.inf, quiet), (quiet, numbers.inf | numbers.sign_mask)
        yield "nan-in-block", both
        if self.key.level == "smoke":
            return
        powers = np.arange(1, (1 << numbers.exponent_bits) - 1, dtype=np.uint64)
        blocks = np.zeros((len(powers), k), np.uint64)
        blocks[np.arange(len(powers)), powers % k] = powers << np.uint64(numbers.mantissa_bits)
        yield "scale-rule", blocks

    def columns(self, rows: Array) -> dict[str, Array]:
        return {"values": bits_of(rows, self.carrier)}

    def rows(self, columns: Columns) -> Array:
        return columns["values"]

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        return random_blocks(self.block, self.carrier, count, rng)

    def results(self, columns: Columns, profile: Profile) -> dict[str, Array]:
        if self.exact:
            blocks = [
                quantize_bits(row, self.carrier, self.block, profile)
                for row in columns["values"].tolist()
            ]
            scales = np.array([block.scale for block in blocks], np.int64)
            codes = np.array([block.codes for block in blocks], np.int64).reshape(-1, self.block.k)
            return {
                "scale": codes_of(scales, self._scale_width),
                "codes": codes_of(codes, self.element.width),
            }
        numbers = as_values(columns["values"], self.carrier.name)
        given = None if self.carrier.name != "bfloat16" else self.carrier.name
        blocks = mxemu.quantize(numbers, self.block, profile=profile, carrier=given)
        return {"scale": blocks.scales[:, 0], "codes": blocks.codes[:, 0]}

    def expectations(self, columns: Columns, results: Columns) -> dict[str, Array]:
        values = columns["values"]
        magnitude = values & values.dtype.type(self.carrier.magnitude_mask)
        inf = self.carrier.magnitude_mask - len(self.carrier.nans)
        special = (magnitude >= inf).any(axis=1)
        scale, codes = kinds(results["scale"]), None
        scale[special | (magnitude == 0).all(axis=1)] = Expect.BY_PROFILE
        codes = element_kinds(self.element, results["codes"], is_nan_bits(values, self.carrier))
        codes[special] = np.maximum(codes[special], Expect.BY_PROFILE)
        codes[self._nan_scales[results["scale"]]] = Expect.UNSPECIFIED
        return {"scale": scale, "codes": codes}

    def judge(self) -> Judge:
        from conformance.judges import QuantizeJudge

        return QuantizeJudge(self.block, self.carrier, "smoke")


class Dequantize(_OfBlocks):
    """dequantize: a scale and k codes to k values."""

    def _fields(self) -> None:
        self.inputs = (
            Field("scale", self._scale_width, format=self.block.scale.name),
            Field("codes", self.element.width, self.block.k, format=self.element.name),
        )
        self.outputs = (out("values", self.carrier.width, self.block.k, self.carrier.name),)

    def given(self) -> Cases:
        return dequantize_cases(self.block, self.key.level)

    def columns(self, rows: Array) -> dict[str, Array]:
        return {
            "scale": codes_of(rows[:, 0], self._scale_width),
            "codes": codes_of(rows[:, 1:], self.element.width),
        }

    def rows(self, columns: Columns) -> Array:
        return np.column_stack([columns["scale"], columns["codes"]]).astype(np.int64)

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        scales = rng.integers(0, 1 << self._scale_width, size=(count, 1))
        codes = rng.integers(0, 1 << self.element.width, size=(count, self.block.k))
        return np.column_stack([scales, codes])

    def results(self, columns: Columns, profile: Profile) -> dict[str, Array]:
        return {"values": self._values(columns, profile, self.carrier)}

    def _values(self, columns: Columns, profile: Profile, numbers: FloatFormat) -> Array:
        scales, codes = columns["scale"], columns["codes"]
        if self.exact or numbers != BINARY32:
            rows = [
                dequantize_bits(scale, row, self.block, profile, numbers)
                for scale, row in zip(scales.tolist(), codes.tolist(), strict=True)
            ]
            return bits_of(np.array(rows, np.uint64).reshape(-1, self.block.k), numbers)
        blocks = mxemu.Blocks(codes[:, None], scales[:, None], self.block, profile)
        return as_bits(mxemu.dequantize(blocks), numbers.name)

    def expectations(self, columns: Columns, results: Columns) -> dict[str, Array]:
        values = results["values"]
        found = kinds(values)
        magnitude = values & values.dtype.type(self.carrier.magnitude_mask)
        infs = [
            code for code in range(1 << self.element.width) if decode(code, self.element).is_inf
        ]
        beyond = magnitude > value_bits(BINARY32.max, self.carrier)
        found[beyond & ~np.isin(columns["codes"], infs)] = Expect.BY_PROFILE
        if self.carrier != BINARY32:
            found[~self._exact(columns, values)] = Expect.BY_PROFILE
        found[is_nan_bits(values, self.carrier)] = Expect.ANY_NAN
        return {"values": found}

    def _exact(self, columns: Columns, values: Array) -> Array:
        """Whether a narrower carrier holds a product without rounding it."""
        wide = as_values(self._values(columns, self.key.profile, BINARY32), "binary32")
        table = {bits: value_bits(decode(bits, self.carrier), BINARY32) for bits in _unique(values)}
        same = np.vectorize(table.__getitem__, otypes=[np.uint32])(values)
        return np.asarray(as_bits(wide, "binary32") == same)

    def judge(self) -> Judge:
        from conformance.judges import DequantizeJudge

        return DequantizeJudge(self.block, self.carrier, "smoke")


def _unique(values: Array) -> list[int]:
    found: list[int] = np.unique(values).tolist()
    return found
