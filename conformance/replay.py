"""Replay tokens: one case of a check in a line that can be pasted, ``mxr1:`` and some letters.

A token holds operation, format, carrier, profile, accumulation and the inputs, and nothing of the subject: whoever gets
one sees what has to come out, and can try it on an implementation of their own.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.adapter import is_preset
from conformance.arrays import Array
from conformance.cases import Cases
from conformance.judges import Judge, ProductJudge
from conformance.runner import Request, make_judge
from conformance.vectors.suites import Key, Suite, suite
from conformance.vectors.words import pack_record, unpack_record
from conformance.verdict import Terms
from mxemu.accumulation import EXACT, Accumulation
from mxemu.accumulations import find as find_accumulation
from mxemu.accumulations import from_mapping, to_mapping
from mxemu.errors import BadValue, MxemuError
from mxemu.formats import CONCRETE, MX_ELEMENTS
from mxemu.profile import Profile, spell, spelled

PREFIX = "mxr1:"

# Operations that have no vectors of their own, and those whose inputs they have.
_INPUTS_OF = {"fake_quantize": "quantize", "matmul": "dot-general"}

# What compression starts from. A change makes older tokens unreadable: then the prefix has to change, too.
_DICTIONARY = " ".join(
    [
        *("decode", "encode", "scale", "dequantize", "fake_quantize", "matmul"),
        *("binary16", "bfloat16", "binary64", "accumulation", "profile", "rounding", "overflow"),
        *(element.name for element in MX_ELEMENTS),
        *(f"encode-scaled {block.name} binary32 ocp" for block in CONCRETE),
        *(f"dot-general {block.name} binary32 ocp" for block in CONCRETE),
        *(f"quantize {block.name} binary32 ocp" for block in CONCRETE),
        *(f"dot {block.name} binary32 ocp" for block in CONCRETE),
    ]
).encode()


@dataclass(frozen=True)
class Replay:
    """One case.

    Attributes
    ----------
    operation : str
    format, carrier : str
        As in the groups of a check.
    profile : Profile
    accumulation : Accumulation
        Of dot products.
    numbers : tuple of tuple of int
        The numbers of each input field.
    """

    operation: str
    format: str
    carrier: str
    profile: Profile
    accumulation: Accumulation
    numbers: tuple[tuple[int, ...], ...]

    @property
    def key(self) -> Key:
        """The set of vectors that the inputs have the form of."""
        operation = _INPUTS_OF.get(self.operation, self.operation)
        words = (operation, self.format, self.carrier, "smoke", self.profile)
        return Key(*words, self.accumulation)

    @property
    def suite(self) -> Suite:
        """That set."""
        return suite(self.key)

    def columns(self) -> dict[str, Array]:
        """The inputs as a batch of one."""
        found = {}
        for field, numbers in zip(self.suite.inputs, self.numbers, strict=True):
            column = np.array([numbers], np.uint64)
            found[field.name] = column[:, 0] if field.count == 1 else column
        return self.suite.columns(self.suite.rows(found))

    def cases(self) -> Cases:
        """The inputs as the case of a judge."""
        return Cases(self.suite.rows(self.columns()), np.zeros(1, np.int64), ("random",))

    def judge(self) -> Judge:
        """A judge of this case alone."""
        products = self.operation in ("dot", "dot-general", "matmul")
        accumulation = self.accumulation if products else None
        terms = Terms(self.profile, False, accumulation=accumulation, takes_c=products)
        operation = "dot-general" if self.operation == "matmul" else self.operation
        request = Request(operation, self.format, self.carrier, terms)
        return make_judge(request, "smoke").on(self.cases())

    @property
    def token(self) -> str:
        """The case in a line."""
        return PREFIX + _letters(_payload(self))


def of_case(judge: Judge, group: Any, index: int) -> Replay | None:
    """The replay of a case of a group; None for operations that have no such form.

    Parameters
    ----------
    judge : Judge
    group : Group
    index : int
        Of the case.
    """
    operation = _INPUTS_OF.get(group.operation, group.operation)
    accumulation = group.accumulation or EXACT
    key = Key(operation, group.format, group.carrier, "smoke", group.profile, accumulation)
    try:
        one = suite(key)
    except MxemuError:
        return None
    row = judge.cases.inputs[index : index + 1]
    if isinstance(judge, ProductJudge) and judge.layout.width != row.shape[1]:
        return None
    columns = one.columns(row)
    numbers = tuple(tuple(np.atleast_1d(columns[field.name][0]).tolist()) for field in one.inputs)
    operation, fmt, carrier = group.key
    return Replay(operation, fmt, carrier, group.profile, accumulation, numbers)


def read(token: str) -> Replay:
    """The case of a token.

    Raises
    ------
    BadValue
        When it is no token, or was cut off or mistyped.
    """
    word = token.strip()
    if not word.startswith(PREFIX):
        raise BadValue(f"{word[:24]!r} is no replay token; expected {PREFIX}...")
    try:
        data = _bytes(word.removeprefix(PREFIX))
        text, _, record = data.partition(b"\n")
        return _replay(text.decode(), record)
    except (ValueError, zlib.error, binascii.Error, KeyError) as error:
        raise BadValue(f"{word[:24]}... was cut off or changed: {error}") from None


def _payload(one: Replay) -> bytes:
    """What a token holds, before compression."""
    words = [one.operation, one.format, one.carrier, spell(one.profile)]
    if one.accumulation != EXACT:
        record = one.accumulation
        words.append(record.name if is_preset(record) else json.dumps(to_mapping(record)))
    record_bytes = pack_record(one.numbers, one.suite.inputs)
    return " ".join(words).encode() + b"\n" + record_bytes


def _replay(text: str, record: bytes) -> Replay:
    operation, fmt, carrier, changes, *rest = text.split(" ", 4)
    accumulation = EXACT
    if rest:
        table = rest[0].startswith("{")
        accumulation = from_mapping(json.loads(rest[0])) if table else find_accumulation(rest[0])
    one = Replay(operation, fmt, carrier, spelled(changes), accumulation, ())
    numbers = tuple(tuple(found) for found in unpack_record(record, one.suite.inputs))
    return Replay(operation, fmt, carrier, one.profile, accumulation, numbers)


def _letters(payload: bytes) -> str:
    """Compressed, with a checksum of 16 bits, in letters that need no quotes."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=_DICTIONARY)
    data = press.compress(payload) + press.flush()
    check = binascii.crc_hqx(payload, 0).to_bytes(2, "big")
    return base64.urlsafe_b64encode(check + data).rstrip(b"=").decode()


def _bytes(letters: str) -> bytes:
    data = base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))
    press = zlib.decompressobj(-15, zdict=_DICTIONARY)
    payload = press.decompress(data[2:], 1 << 20)
    if not press.eof or press.unused_data:
        raise ValueError("its end is missing, or there is more behind it")
    if binascii.crc_hqx(payload, 0).to_bytes(2, "big") != data[:2]:
        raise ValueError("its checksum is another one")
    return payload
