"""Replay tokens: one case of a check in a line that can be pasted, ``mxr1:`` and some letters.

A token holds operation, format, carrier, profile, accumulation and the inputs, and nothing of the subject: whoever gets
one sees what has to come out, and can try it on an implementation of their own.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from conformance.adapter import PRODUCT_OPERATIONS, Capabilities, is_preset
from conformance.arrays import Array
from conformance.cases import Cases
from conformance.cases.products import BLOCKS
from conformance.judges import Judge, ProductJudge
from conformance.runner import Request, check_group, make_judge
from conformance.vectors.suites import Key, Suite, suite
from conformance.vectors.words import pack_record, unpack_record
from conformance.verdict import Cluster, Group, Terms
from conformance.worker import InProcess, Worker
from mxemu.accumulation import EXACT, Accumulation
from mxemu.accumulations import find as find_accumulation
from mxemu.accumulations import from_mapping, to_mapping
from mxemu.errors import BadValue, MxemuError, Unsupported
from mxemu.formats import CONCRETE, MX_ELEMENTS, BlockFormat
from mxemu.profile import Profile, spell, spelled

PREFIX = "mxr1:"

# Operations that have no vectors of their own, and those whose inputs they have.
_INPUTS_OF = {"fake_quantize": "quantize", "matmul": "dot-general"}

# What compression starts from. References count from its end, so words may be put in front; any other change makes
# older tokens unreadable: then the prefix has to change, too.
_PROFILES = """
=inf =nan =zero =clamp =keep =flush =largest =smallest =saturate =overflow =refuse =ignore =propagate
finite-amax even-carry-nan even-ties-down even-e2m1-step rceil-satfinite rceil-subnormal-up rceil-amax-floor log-nearest
floor-ties-away floor-truncate flush-block ocp-int-minimum ocp-overflow stochastic ratio rceil even ceil
random_bits= element_subnormals= input_subnormals= zero_sign=
nan_code= nan_without_code= int_minimum= amax_floor= zero_block= amax_nan= nan_block= inf_block= scale_overflow=
scale_clamp= scale_cast= scale_zero= scale_negative= scale_nan= out_of_binary32= ,scale_rule=LOG_NEAREST
,scale_rule=FLOOR ,scale_rule=CEIL ,scale_rule=RCEIL ,scale_rule=EVEN ocp,overflow=overflow ocp,rounding=ties-to-even
ocp,rounding=ties-to-away ocp,rounding=toward-negative ocp,rounding=toward-positive ocp,rounding=toward-zero
ocp,rounding=to-odd """
_DICTIONARY = " ".join(
    [
        *_PROFILES.split(),
        *("decode", "encode", "scale", "dequantize", "fake_quantize", "matmul"),
        *("binary16", "bfloat16", "binary64", "accumulation", "profile", "rounding", "overflow"),
        *(element.name for element in MX_ELEMENTS),
        *(f"encode-scaled {block.name} binary32 ocp" for block in CONCRETE),
        *(f"dot-general {block.name} binary32 ocp" for block in CONCRETE),
        *(f"quantize {block.name} binary32 ocp" for block in CONCRETE),
        *(f"dot {block.name} binary32 ocp" for block in CONCRETE),
    ]
).encode()


# A set lists all its cases when it is made.
_kept_suite = lru_cache(maxsize=16)(suite)


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
        return _kept_suite(self.key)

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
        return make_judge(self.request, "smoke").on(self.cases())

    @property
    def request(self) -> Request:
        """What an implementation is asked for: a matrix product is one of 1 x 1 results."""
        products = self.operation in PRODUCT_OPERATIONS
        accumulation = self.accumulation if products else None
        terms = Terms(self.profile, False, accumulation=accumulation, takes_c=products)
        return Request(self.operation, self.format, self.carrier, terms)

    @property
    def token(self) -> str:
        """The case in a line."""
        return PREFIX + _letters(_header(self), pack_record(self.numbers, self.suite.inputs))


def of_case(judge: Judge, group: Group, index: int) -> Replay | None:
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
        one = _kept_suite(key)
    except MxemuError:
        return None
    row = judge.cases.inputs[index : index + 1]
    if isinstance(judge, ProductJudge) and operation != "dot" and judge.layout.blocks != BLOCKS:
        shorter = _in_blocks(judge, row)
        return None if shorter is None else _same(of_case(shorter, group, 0), judge, index)
    columns = one.columns(row)
    numbers = tuple(tuple(np.atleast_1d(columns[field.name][0]).tolist()) for field in one.inputs)
    operation, fmt, carrier = group.key
    return Replay(operation, fmt, carrier, group.profile, accumulation, numbers)


def _in_blocks(judge: ProductJudge, row: Array) -> ProductJudge | None:
    """A dot product of another length in as many blocks as vectors have, without blocks of zeros; None if too long."""
    given = judge.layout
    fewer = replace(given, blocks=BLOCKS)
    codes = row[0, :-1].reshape(2, given.blocks + given.length)
    scales, numbers = codes[:, : given.blocks], codes[:, given.blocks :].reshape(2, -1, given.k)
    used = np.flatnonzero(numbers.any(axis=(0, 2)))
    if len(used) > BLOCKS:
        return None
    own = np.zeros((2, fewer.blocks + fewer.length), row.dtype)
    own[:, : len(used)] = scales[:, used]
    own[:, BLOCKS : BLOCKS + len(used) * given.k] = numbers[:, used].reshape(2, -1)
    for side, fmt in enumerate((given.a, given.b)):
        if isinstance(fmt, BlockFormat):
            own[side, len(used) : BLOCKS] = fmt.scale.bias << fmt.scale.mantissa_bits
    cases = Cases(np.append(own, row[0, -1])[None], np.zeros(1, np.int64), ("random",))
    other = judge.on(cases)
    other.layout = fewer
    return other


def _same(one: Replay | None, judge: ProductJudge, index: int) -> Replay | None:
    """A replay that has the result of a case, whatever was left out of it."""
    expected = judge.expected_of(np.array([index]), judge.accumulation)[0]
    if one is None or one.judge().expectation(0, one.profile) != int(expected):
        return None
    return one


def with_token(cluster: Cluster, judge: Judge, group: Group) -> Cluster:
    """A cluster whose first case can be replayed, where its operation has such a form."""
    found = of_case(judge, group, cluster.index) if cluster.index >= 0 else None
    return cluster if found is None else replace(cluster, token=found.token)


def again(one: Replay, subject: Worker | InProcess, capabilities: Capabilities) -> Group:
    """What a subject makes of a case: a group of this one case, with its verdict.

    Parameters
    ----------
    one : Replay
    subject : Worker or InProcess
    capabilities : Capabilities
        What the subject says that it offers, as ``subject.introduce()`` gives it.

    Raises
    ------
    Unsupported
        When the subject does not offer this operation, format and carrier.
    """
    group = Group(one.operation, one.format, one.carrier, one.profile)
    if not capabilities.offers(one.operation, one.format, one.carrier):
        place = f"{one.operation} {one.format} ({one.carrier})"
        raise Unsupported(f"{capabilities.name} does not offer {place}")
    check_group(subject, one.request, "smoke", group, one.judge())
    return group


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
        header, record = _parts(word.removeprefix(PREFIX))
        return _replay(header.decode(), record)
    except (ValueError, zlib.error, binascii.Error, KeyError) as error:
        raise BadValue(f"{word[:24]}... was cut off or changed: {error}") from None


def _header(one: Replay) -> bytes:
    """Everything but the inputs."""
    words = [one.operation, one.format, one.carrier, spell(one.profile)]
    if one.accumulation != EXACT:
        record = one.accumulation
        words.append(record.name if is_preset(record) else json.dumps(to_mapping(record)))
    return " ".join(words).encode()


def _replay(text: str, record: bytes) -> Replay:
    operation, fmt, carrier, changes, *rest = text.split(" ", 4)
    accumulation = EXACT
    if rest:
        table = rest[0].startswith("{")
        accumulation = from_mapping(json.loads(rest[0])) if table else find_accumulation(rest[0])
    one = Replay(operation, fmt, carrier, spelled(changes), accumulation, ())
    numbers = tuple(tuple(found) for found in unpack_record(record, one.suite.inputs))
    return Replay(operation, fmt, carrier, one.profile, accumulation, numbers)


def _letters(header: bytes, record: bytes) -> str:
    """A checksum of 16 bits, header and inputs in letters that need no quotes.

    Inputs are compressed with the header, or stand behind it as they are: random ones would only grow.
    """
    whole = header + b"\n" + record
    data = min(_compressed(whole), _compressed(header) + record, key=len)
    check = binascii.crc_hqx(whole, 0).to_bytes(2, "big")
    return base64.urlsafe_b64encode(check + data).rstrip(b"=").decode()


def _compressed(data: bytes) -> bytes:
    press = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=_DICTIONARY)
    return press.compress(data) + press.flush()


def _parts(letters: str) -> tuple[bytes, bytes]:
    """Header and inputs; the inverse of `_letters`."""
    data = base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))
    press = zlib.decompressobj(-15, zdict=_DICTIONARY)
    found = press.decompress(data[2:], 1 << 20)
    if not press.eof:
        raise ValueError("its end is missing")
    header, _, record = found.partition(b"\n")
    record = record + press.unused_data
    if binascii.crc_hqx(header + b"\n" + record, 0).to_bytes(2, "big") != data[:2]:
        raise ValueError("its checksum is another one")
    return header, record
