"""Laws of dot products: what must hold for every accumulation, or for every one of a sort."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from random import Random

import oracle
import pytest
from exhaustive.bridge import to_number
from hypothesis import assume, given
from hypothesis import strategies as st
from products import bridge, trees
from property.strategies import finite as finite_values

from mxemu import formats
from mxemu.accumulation import (
    EXACT,
    Accumulation,
    Chain,
    Fuse,
    Lanes,
    Late,
    Nested,
    Node,
    Parts,
    Sum,
    Tree,
)
from mxemu.accumulations import ACCUMULATIONS, from_mapping, kulisch, to_mapping
from mxemu.formats import BINARY16, BINARY32, BINARY64, ElementFormat
from mxemu.products import Added, Operand, Product, Rounded, dot
from mxemu.profile import Rounding
from mxemu.scalar import Status, decode
from mxemu.value import ZERO, Value

SMALL = [formats.element(name) for name in ("E4M3", "E5M2", "E2M3", "E2M1", "INT8", "E4M3FNUZ")]
DETERMINISTIC = [one.value for one in Rounding if one is not Rounding.STOCHASTIC]
names = st.sampled_from(list(ACCUMULATIONS))


def finite(fmt: ElementFormat) -> list[int]:
    return [code for code in range(1 << fmt.width) if decode(code, fmt).is_finite]


FINITE = {fmt.name: finite(fmt) for fmt in SMALL}


@st.composite
def pairs(draw: st.DrawFn, most: int = 12, only_finite: bool = True) -> tuple[Operand, Operand]:
    """Two vectors of the same length."""
    left, right = draw(st.sampled_from(SMALL)), draw(st.sampled_from(SMALL))
    count = draw(st.integers(1, most))
    pools = [FINITE[one.name] if only_finite else range(1 << one.width) for one in (left, right)]
    codes = [
        draw(st.lists(st.sampled_from(pool), min_size=count, max_size=count)) for pool in pools
    ]
    return Operand(codes[0], left), Operand(codes[1], right)


def cs() -> st.SearchStrategy[Value]:
    """A finite C, often near the products, of at most 12 significant bits."""
    return finite_values((0, 1), (0, 4095), (-40, 20))


def steps() -> st.SearchStrategy[Fuse]:
    return st.integers(0, 10**6).map(lambda seed: Accumulation(node=from_seed(seed)).node.step)  # type: ignore[union-attr]


def from_seed(seed: int) -> Node:
    return from_mapping({"node": {"kind": "sum", "step": trees.step(Random(seed))}}).node


def nodes_of_any_count() -> st.SearchStrategy[Node]:
    """Chains, trees, lanes, parts: what takes any number of terms."""
    return st.integers(0, 10**6).map(
        lambda seed: from_mapping({"node": trees.any_count(Random(seed), 2)}).node
    )


def under(node: Node, a: Operand, b: Operand, c: Value | None = None) -> Product:
    return dot(a, b, c, Accumulation(node=node), BINARY64)


def exact(a: Operand, b: Operand, c: Value | None = None) -> Fraction:
    """The sum of products by the oracle's decoder."""
    assert isinstance(a.format, ElementFormat)
    assert isinstance(b.format, ElementFormat)
    left = [oracle.decode(code, a.format.name).real for code in a.codes]
    right = [oracle.decode(code, b.format.name).real for code in b.codes]
    total = sum((x * y for x, y in zip(left, right, strict=True)), Fraction(0))
    return total + (c.fraction() if c else 0)


def picked(operand: Operand, order: Sequence[int]) -> Operand:
    return operand._replace(codes=[operand.codes[index] for index in order])


@pytest.mark.clause("MX-6.1-DOT", "MX-6.1-PREC")
@given(pairs(), st.none() | cs())
def test_exact_is_the_sum_rounded_once(pair: tuple[Operand, Operand], c: Value | None) -> None:
    found = dot(*pair, c)
    total = exact(*pair, c)
    assert found.value.fraction() == total
    assert found.bits & 0x7FFFFFFF == oracle.round_to_carrier(total, "binary32") & 0x7FFFFFFF
    assert (found.status is Status.EXACT) == (oracle.decode(found.bits, "binary32").real == total)


@given(pairs(), cs(), st.sampled_from(DETERMINISTIC))
def test_a_wide_fuse_is_exact(pair: tuple[Operand, Operand], c: Value, align: str) -> None:
    wide = Sum(Fuse(fraction_bits=200, align=align))
    assert under(wide, *pair, c).value.fraction() == exact(*pair, c)


@given(pairs(), cs(), st.booleans(), st.sampled_from(DETERMINISTIC))
def test_a_wide_register_is_exact(
    pair: tuple[Operand, Operand], c: Value, saturate: bool, rounding: str
) -> None:
    record = kulisch(120, -60, saturate=saturate).replace(rounding=rounding)
    found, expected = dot(*pair, c, record), dot(*pair, c, EXACT.replace(rounding=rounding))
    assert found.value.fraction() == expected.value.fraction()
    assert (found.bits & 0x7FFFFFFF, found.status) == (expected.bits & 0x7FFFFFFF, expected.status)


@given(names, pairs(32, only_finite=False), st.none() | cs())
def test_a_and_b_may_be_swapped(name: str, pair: tuple[Operand, Operand], c: Value | None) -> None:
    a, b = pair
    assert dot(a, b, c, name) == dot(b, a, c, name)


@given(pairs(), cs(), steps(), st.randoms(use_true_random=False))
def test_order_inside_a_group_is_not_seen(
    pair: tuple[Operand, Operand], c: Value, step: Fuse, rng: Random
) -> None:
    count = len(pair[0].codes)
    order = rng.sample(range(count), count)
    shuffled = [picked(one, order) for one in pair]
    for node in (Sum(step), Chain(step, count), Late(Sum(step), step)):
        assert under(node, *pair, c) == under(node, *shuffled, c)


@given(pairs(only_finite=False), cs())
def test_a_chain_of_an_order_is_the_chain_of_the_ordered_terms(
    pair: tuple[Operand, Operand], c: Value
) -> None:
    order = tuple(reversed(range(len(pair[0].codes))))
    ordered = [picked(one, order) for one in pair]
    step = Fuse("bfloat16", fraction_bits=9)
    assert under(Chain(step, 1, order), *pair, c) == under(Chain(step), *ordered, c)


@given(pairs(), cs(), st.integers(-30, 30), st.integers(1, 12))
def test_scaling_by_a_power_of_two_scales_the_result(
    pair: tuple[Operand, Operand], c: Value, shift: int, length: int
) -> None:
    """Away from floors, subnormals and the range, an accumulation sees exponents only by their differences."""
    a, b = pair
    forms = [f"{one.format}/E8M0/{len(a.codes)}" for one in pair]
    node = Chain(Fuse("E11M13 toward-zero", fraction_bits=13), length)
    found = [
        under(
            node,
            Operand(a.codes, forms[0], [127 + by]),
            Operand(b.codes, forms[1], [127]),
            c.scaled(by),
        )
        for by in (0, shift)
    ]
    assert found[1].value.fraction() == found[0].value.fraction() * Fraction(2) ** shift
    assert found[0].status == found[1].status


@given(pairs(), cs(), st.integers(1, 9), steps())
def test_zeros_among_the_terms_change_nothing_in_a_fuse(
    pair: tuple[Operand, Operand], c: Value, more: int, step: Fuse
) -> None:
    padded = [one._replace(codes=[*one.codes, *[0] * more]) for one in pair]
    found, expected = under(Sum(step), *padded, c), under(Sum(step), *pair, c)
    assert to_number(found.value).magnitude == to_number(expected.value).magnitude
    assert found.status == expected.status


@given(
    st.sampled_from([name for name in ACCUMULATIONS if "volta" in name or "hopper" in name]),
    pairs(32),
)
def test_whole_groups_of_zeros_change_nothing(name: str, pair: tuple[Operand, Operand]) -> None:
    more = -len(pair[0].codes) % 32 + 32
    padded = [one._replace(codes=[*one.codes, *[0] * more]) for one in pair]
    assert dot(*pair, None, name).bits == dot(*padded, None, name).bits


@given(pairs(), cs(), steps())
def test_one_group_is_a_sum(pair: tuple[Operand, Operand], c: Value, step: Fuse) -> None:
    """Chain, Nested and Parts of one group say what Sum says."""
    count = len(pair[0].codes)
    expected = under(Sum(step), *pair, c)
    flat = tuple(range(count))
    for node in (
        Chain(step, count),
        Chain(step, count + 3),
        Nested(step, (*flat, -1)),
        Nested(step, (-1, *reversed(flat))),
        Parts(1, Sum(), Sum(step)),
        Lanes(count, Sum(), Sum(step)),
    ):
        assert under(node, *pair, c) == expected


@given(pairs(only_finite=False), cs(), nodes_of_any_count(), steps())
def test_identities_of_nodes(
    pair: tuple[Operand, Operand], c: Value, node: Node, step: Fuse
) -> None:
    count = len(pair[0].codes)
    late = under(Late(node, step), *pair, c)
    assert late == under(Parts(count, node, Chain(step)), *pair, c)
    assert under(Parts(count + 5, node, Chain(step)), *pair, c) == late
    assert under(Lanes(1, node, Chain(step)), *pair, c) == late
    one = picked(pair[0], [0]), picked(pair[1], [0])
    assert under(Lanes(3, node, Chain(step)), *one, c) == under(Late(node, step), *one, c)


@given(pairs(), cs())
def test_a_tree_with_large_leaves_is_a_chain_and_c(pair: tuple[Operand, Operand], c: Value) -> None:
    step = Fuse("binary16")
    count = len(pair[0].codes)
    expected = to_number(under(Late(Chain(step), step), *pair, c).value)
    for leaf in (count, count + 1):
        found = to_number(under(Tree(step, leaf), *pair, c).value)
        assert (found.kind, found.magnitude) == (expected.kind, expected.magnitude)


@given(pairs(), st.integers(1, 3), st.sampled_from(["binary16", "E8M3 toward-zero"]))
def test_a_tree_of_fewer_terms_is_one_of_zeros(
    pair: tuple[Operand, Operand], leaf: int, out: str
) -> None:
    full = leaf
    while full < len(pair[0].codes):
        full *= 2
    padded = [one._replace(codes=[*one.codes, *[0] * (full - len(one.codes))]) for one in pair]
    found, expected = (
        to_number(under(Tree(Fuse(out), leaf), *own).value) for own in (pair, padded)
    )
    assert (found.kind, found.magnitude) == (expected.kind, expected.magnitude)


@given(pairs(2), cs())
def test_a_tree_of_two_is_written_out(pair: tuple[Operand, Operand], c: Value) -> None:
    assume(len(pair[0].codes) == 2)
    step = Fuse("binary16")
    assert under(Tree(step), *pair, c) == under(Nested(step, ((0,), (1,))), *pair, c)


@given(pairs(16), st.integers(1, 4), st.none() | cs())
def test_exactness_does_not_depend_on_the_tree(
    pair: tuple[Operand, Operand], size: int, c: Value | None
) -> None:
    step = Fuse()
    expected = exact(*pair, c)
    chain = Chain(step, size)
    for node in (
        chain,
        Tree(step, size),
        Parts(size, chain, Tree(step)),
        Lanes(size, Tree(step), chain),
        Late(Parts(0, Sum(), Sum()), step),
        Nested(step, (tuple(range(len(pair[0].codes))), (-1,))),
    ):
        assert under(node, *pair, c).value.fraction() == expected


@st.composite
def block_vectors(draw: st.DrawFn) -> tuple[Operand, Operand]:
    """Two vectors of one to three blocks of four elements, any E8M0 scale but NaN."""
    count = draw(st.integers(1, 3))
    found = []
    for _ in range(2):
        fmt = draw(st.sampled_from(SMALL))
        pool = st.sampled_from(FINITE[fmt.name])
        codes = draw(st.lists(pool, min_size=4 * count, max_size=4 * count))
        scales = draw(st.lists(st.integers(0, 254), min_size=count, max_size=count))
        found.append(Operand(codes, formats.block_format(f"{fmt.name}/E8M0/4"), scales))
    return found[0], found[1]


def blocks_of(operand: Operand) -> list[Operand]:
    """Each block as a vector of its own."""
    return [
        operand._replace(codes=operand.codes[4 * index : 4 * index + 4], scales=[scale])
        for index, scale in enumerate(operand.scales)
    ]


def elements_of(operand: Operand) -> Operand:
    """The elements without their scales."""
    assert isinstance(operand.format, formats.BlockFormat)
    return Operand(operand.codes, operand.format.element)


@pytest.mark.clause("MX-6.2-SUM", "MX-6.1-DOT", "MX-6.1-FACTOR", "MX-6.1-MIXED")
@given(block_vectors())
def test_the_sum_of_blocks_and_their_common_factors(pair: tuple[Operand, Operand]) -> None:
    parts = list(zip(*map(blocks_of, pair), strict=True))
    own = [dot(*part).value.fraction() for part in parts]
    assert dot(*pair).value.fraction() == sum(own, Fraction(0))
    for part, found in zip(parts, own, strict=True):
        factor = Fraction(2) ** (part[0].scales[0] + part[1].scales[0] - 254)
        assert found == factor * dot(*map(elements_of, part)).value.fraction()


@pytest.mark.clause("MX-6.2-PAD")
@given(
    block_vectors(),
    st.integers(0, 254),
    st.sampled_from(["exact", "block-fp32", "fp32-fma", "nv-hopper"]),
)
def test_a_block_of_zeros_leaves_the_sum_as_it_was(
    pair: tuple[Operand, Operand], scale: int, name: str
) -> None:
    padded = [
        one._replace(codes=[*one.codes, *[0] * 4], scales=[*one.scales, scale]) for one in pair
    ]
    assert dot(*padded, None, name).bits == dot(*pair, None, name).bits


@given(pairs(), cs(), st.sampled_from(["binary32", "binary16", "bfloat16"]))
def test_negating_everything_negates_the_result(
    pair: tuple[Operand, Operand], c: Value, out: str
) -> None:
    a, b = pair
    assume(a.format in (SMALL[0], SMALL[1], SMALL[2], SMALL[3]))
    assert not isinstance(a.format, str)
    sign = 1 << (a.format.element.width if hasattr(a.format, "element") else a.format.width) - 1
    opposite = a._replace(codes=[code ^ sign for code in a.codes])
    for name in ("fp32-sequential", "nv-hopper", "nv-volta-fp16", "pairwise", "amd-cdna1"):
        found, mirrored = (
            dot(a, b, c, name, out),
            dot(opposite, b, c._replace(sign=1 - c.sign), name, out),
        )
        assert found.status == mirrored.status
        own, other = to_number(found.value), to_number(mirrored.value)
        assert own == other._replace(negative=own.negative)
        assert own.magnitude == 0 or own.negative != other.negative


@given(pairs(), cs(), st.integers(0, 30))
def test_truncation_never_moves_away_from_zero_by_more_than_a_quantum_each(
    pair: tuple[Operand, Operand], c: Value, bits: int
) -> None:
    found = dot(*pair, c, Accumulation(node=Sum(Fuse(fraction_bits=bits))), BINARY64, trace=True)
    step = found.trace[0]
    assert isinstance(step, Added)
    if step.quantum is None:
        return
    error = abs(found.value.fraction() - exact(*pair, c))
    assert error < (len(step.terms) + 1) * Fraction(2) ** step.quantum


def check_trace(found: Product) -> None:
    """value = kept + lost everywhere, sums add up, and the status says what the steps show."""
    lossy = False
    for step in found.trace:
        if isinstance(step, Rounded):
            assert to_number(step.result) != to_number(step.value)
            lossy = True
            continue
        cuts = [*step.terms, *([] if step.carried is None else [step.carried])]
        if not step.result.is_finite and not step.total.is_finite:
            continue
        for cut in cuts:
            assert cut.value.fraction() == cut.kept.fraction() + cut.lost.fraction()
            lossy |= not cut.lost.is_zero
        for cut in step.terms:  # what is carried in may be cut elsewhere
            if step.quantum is not None:
                unit = Fraction(2) ** step.quantum
                assert abs(cut.lost.fraction()) < unit
                assert (cut.kept.fraction() / unit).denominator == 1
        kept = sum((cut.kept.fraction() for cut in cuts), Fraction(0))
        if not found.status & Status.OVERFLOW:
            assert step.total.fraction() == kept
        lossy |= not step.result.is_finite or step.result.fraction() != step.total.fraction()
    assert bool(found.status & Status.INEXACT) == lossy


@given(names, pairs(20), st.none() | cs(), st.sampled_from(["binary32", "binary16"]))
def test_the_trace_of_presets_adds_up(
    name: str, pair: tuple[Operand, Operand], c: Value | None, out: str
) -> None:
    found = dot(*pair, c, name, out, trace=True)
    assume(found.value.is_finite)
    assume(not found.status & (Status.OVERFLOW | Status.INVALID))
    assert found._replace(trace=()) == dot(*pair, c, name, out)
    check_trace(found)


@given(st.integers(0, 10**6), pairs(8), cs())
def test_the_trace_of_random_trees_adds_up(
    seed: int, pair: tuple[Operand, Operand], c: Value
) -> None:
    table = {"node": trees.node(Random(seed), len(pair[0].codes))}
    record = from_mapping(table)
    assume("flush" not in str(table))
    found = dot(*pair, c, record, BINARY64, trace=True)
    assert found._replace(trace=()) == dot(*pair, c, record, BINARY64)
    if found.value.is_finite and not found.status & (Status.OVERFLOW | Status.INVALID):
        check_trace(found)


@given(st.integers(0, 10**9), st.integers(1, 9))
def test_tables_are_read_back_and_equal_the_oracle(seed: int, count: int) -> None:
    rng = Random(seed)
    table = trees.table(rng, count)
    record = from_mapping(table)
    assert from_mapping(to_mapping(record)) == record
    left, right = (rng.choice(SMALL) for _ in range(2))
    case = bridge.case("random", left, right, count, rng, "binary32")
    assert bridge.same(bridge.by_core(case, record), bridge.by_oracle(case, table))


@given(pairs(6), cs(), st.integers(-10, 10), st.sampled_from(["binary32", None]))
def test_tensor_scales_multiply_the_result(
    pair: tuple[Operand, Operand], c: Value, shift: int, rounding: str | None
) -> None:
    a, b = (
        pair[0]._replace(tensor_scale=Value(0, 5, shift)),
        pair[1]._replace(tensor_scale=Value(0, 3, 0)),
    )
    record = EXACT if rounding is None else EXACT.replace(tensor_scale=rounding)
    table = to_mapping(record)
    for own_c in (None, c) if rounding is None else (None,):
        case = bridge.Case(a, b, own_c, "binary32")
        assert bridge.same(bridge.by_core(case, record), bridge.by_oracle(case, table))


@given(st.sampled_from([BINARY16, BINARY32]), st.integers(0, 2**16 - 1))
def test_one_times_a_number_is_that_number_under_every_wide_preset(
    fmt: ElementFormat, bits: int
) -> None:
    own, one = Operand([bits], fmt), Operand([decode_one(fmt)], fmt)
    value = decode(bits, fmt)
    assume(value.is_finite)
    for name in (
        "exact",
        "fp32-sequential",
        "fp32-fma",
        "pairwise",
        "block-fp32",
        "nv-hopper",
        "amd-cdna1",
    ):
        found = dot(own, one, ZERO, name).value
        assert found.fraction() == value.fraction()


def decode_one(fmt: ElementFormat) -> int:
    assert isinstance(fmt, formats.FloatFormat)
    return fmt.bias << fmt.mantissa_bits
