"""Bounds: nothing that is allowed lies outside, and what is outside is not far away.

The trees here add with NumPy's own binary32, or with fractions and a rounding written here: neither is the emulator's.
"""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import mxemu
from conformance.bound import (
    Freedom,
    Interval,
    any_order,
    bound,
    bounds,
    permuted,
    truncating,
)
from conformance.bound.arrays import around, onto
from conformance.bound.sums import FRACTION, depths_of, growth
from mxemu.accumulation import Chain, Fuse, Parts, Round, Tree
from mxemu.accumulations import find as find_accumulation
from mxemu.cli import cli
from mxemu.errors import BadFormat, BadShape, MxemuError
from mxemu.formats import BINARY32, find
from mxemu.products import Operand, dot
from mxemu.profile import Rounding
from mxemu.scalar import decode
from mxemu.value import Value, from_fraction

ONE = 0x3F80  # of bfloat16


def operands(codes: list[int]) -> tuple[Operand, Operand]:
    """Numbers of bfloat16, each times one."""
    return Operand(codes, "bfloat16"), Operand([ONE] * len(codes), "bfloat16")


def numbers(codes: list[int]) -> list[Fraction]:
    return [Fraction(float(one)) for one in floats(codes)]


def floats(codes: list[int]) -> np.ndarray:
    return (np.array(codes, dtype=np.uint32) << np.uint32(16)).view(np.float32)


def random_codes(rng: np.random.Generator, count: int, spread: int) -> list[int]:
    """Numbers of bfloat16 around 1, of both signs."""
    exponents = rng.integers(127 - spread, 128 + spread, count)
    return [
        int(e) << 7 | int(m) | int(s) << 15
        for e, m, s in zip(
            exponents, rng.integers(0, 128, count), rng.integers(0, 2, count), strict=True
        )
    ]


def added_in_some_order(terms: np.ndarray, rng: np.random.Generator) -> Fraction:
    """Binary32 additions of two randomly chosen sums, until one is left."""
    left = [np.float32(one) for one in terms]
    while len(left) > 1:
        i, j = rng.choice(len(left), 2, replace=False)
        total = left[i] + left[j]
        left = [one for at, one in enumerate(left) if at not in (i, j)] + [total]
    return Fraction(float(left[0]))


def to_bfloat16(number: np.float32) -> float:
    """Ties to even, from bits; the sums of the numbers here are exact in binary32."""
    bits = int(number.view(np.uint32))
    kept = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    return float(np.uint32(kept).view(np.float32))


def every_sum(terms: tuple[float, ...], kept: dict[tuple[float, ...], set[float]]) -> set[float]:
    """What any tree of bfloat16 additions gives."""
    if len(terms) == 1:
        return {terms[0]}
    if terms not in kept:
        found = set()
        rest = range(1, len(terms))
        for size in range(len(terms) - 1):
            for chosen in combinations(rest, size):
                left = tuple(terms[i] for i in (0, *chosen))
                right = tuple(terms[i] for i in rest if i not in chosen)
                found |= {
                    to_bfloat16(np.float32(x) + np.float32(y))
                    for x in every_sum(left, kept)
                    for y in every_sum(right, kept)
                }
        kept[terms] = found
    return kept[terms]


def width(found: Interval) -> Fraction:
    assert found.lo is not None
    assert found.hi is not None
    return found.hi - found.lo


def inside(found: Interval, number: Fraction) -> bool:
    return found.holds(from_fraction(number))


@pytest.mark.parametrize("spread", [1, 12, 40])
def test_no_tree_of_binary32_additions_is_outside(spread: int) -> None:
    rng = np.random.default_rng(spread)
    moved = 0
    for _ in range(40):
        codes = random_codes(rng, int(rng.integers(2, 16)), spread)
        found = bound(*operands(codes))
        for _ in range(25):
            result = added_in_some_order(floats(codes), rng)
            moved += result != sum(numbers(codes))
            assert inside(found, result)
    assert moved > 100 or spread == 1


def test_all_trees_of_six_terms_lie_inside_and_fill_an_eighth() -> None:
    rng = np.random.default_rng(5)
    filled = []
    for _ in range(12):
        codes = random_codes(rng, 6, 4)
        found = bound(*operands(codes), freedom=any_order("bfloat16"))
        results = every_sum(tuple(float(one) for one in floats(codes)), {})
        assert all(inside(found, Fraction(one)) for one in results)
        filled.append(float(Fraction(max(results) - min(results)) / width(found)))
    assert np.median(filled) > 1 / 8, filled


def test_the_end_is_reached_by_the_worst_order() -> None:
    """1 and 40 halves of an ulp, added one by one to 1: every addition is a tie that is lost."""
    codes = [ONE, *[(127 - 24) << 7] * 40]
    found = bound(*operands(codes))
    worst = np.float32(1)
    for one in floats(codes[1:]):
        worst = np.float32(worst + one)
    assert worst == 1
    lost = sum(numbers(codes)) - 1
    assert found.lo is not None
    assert found.lo <= 1
    assert lost >= Fraction(19, 20) * (sum(numbers(codes)) - found.lo)


def test_sums_that_need_no_rounding_have_one_result() -> None:
    ones = Operand([0x38, 0x39, 0xB8] * 10 + [0, 0], "MXFP8_E4M3", [130])
    found = bound(ones, ones)
    exact = dot(ones, ones).value.fraction()
    assert (found.lo, found.hi, found.nan) == (exact, exact, False)


def rounded(number: Fraction, bits: int, *, away: bool) -> Fraction:
    """To some bits of significand, towards zero or away from it."""
    if not number:
        return number
    magnitude, exponent = abs(number), 0
    while magnitude * Fraction(2) ** -exponent >= 2**bits:
        exponent += 1
    while magnitude * Fraction(2) ** -exponent < 2 ** (bits - 1):
        exponent -= 1
    steps = magnitude * Fraction(2) ** -exponent
    whole = (
        -(-steps.numerator // steps.denominator) if away else steps.numerator // steps.denominator
    )
    return (1 if number > 0 else -1) * whole * Fraction(2) ** exponent


def exponent_of(number: Fraction) -> int:
    found = 0
    while abs(number) >= Fraction(2) ** (found + 1):
        found += 1
    while abs(number) < Fraction(2) ** found:
        found -= 1
    return found


def cut_sum(inputs: list[Fraction], fraction_bits: int, bits: int) -> Fraction:
    """Aligned to the largest exponent, cut, added, rounded towards zero."""
    used = [one for one in inputs if one]
    if not used:
        return Fraction(0)
    quantum = Fraction(2) ** (max(map(exponent_of, used)) - fraction_bits)
    kept = sum((int(one / quantum) * quantum for one in used), Fraction(0))
    return rounded(kept, bits, away=False)


@pytest.mark.parametrize("fraction_bits", [6, 10, 14])
def test_no_tree_of_aligned_and_cut_sums_is_outside(fraction_bits: int) -> None:
    rng = np.random.default_rng(fraction_bits)
    freedom = truncating(fraction_bits, "E8M13")
    moved = []
    for _ in range(60):
        codes = random_codes(rng, int(rng.integers(2, 12)), 6)
        found = bound(*operands(codes), freedom=freedom)
        for _ in range(8):
            left = numbers(codes)
            while len(left) > 1:
                size = min(int(rng.integers(2, 6)), len(left))
                order = rng.permutation(len(left))
                taken = [left[i] for i in order[:size]]
                left = [left[i] for i in order[size:]] + [cut_sum(taken, fraction_bits, 14)]
            assert inside(found, left[0])
            moved.append(
                float(abs(left[0] - sum(numbers(codes))) / max(width(found), Fraction(1, 1 << 60)))
            )
    assert max(moved) > 1 / 16


def test_groups_of_a_chain_are_narrower_than_any_tree() -> None:
    rng = np.random.default_rng(2)
    codes = random_codes(rng, 64, 6)
    wide, narrow = (
        width(bound(*operands(codes), freedom=truncating(13, "E8M13", group=group)))
        for group in (1, 16)
    )
    assert narrow < wide


def test_faithful_rounding_either_way_is_inside() -> None:
    rng = np.random.default_rng(7)
    freedom = any_order("E8M7", Rounding.TO_ODD)
    for _ in range(60):
        codes = random_codes(rng, 10, 4)
        found = bound(*operands(codes), freedom=freedom)
        for _ in range(6):
            total = Fraction(0)
            for one in rng.permutation(np.array(numbers(codes), dtype=object)):
                total = rounded(total + one, 8, away=bool(rng.integers(2)))
            assert inside(found, total)


def test_depths_follow_the_block_size_of_the_operands() -> None:
    """Blocks of 16 make twice as many sums as blocks of 32, each of which is rounded."""
    node = find_accumulation("block-fp32").node
    assert max(depths_of(node, 64, 16)) == 5
    assert max(depths_of(node, 64, 32)) == 3


def test_ends_are_outside_whatever_is_rounded() -> None:
    """An end below a power of two needs the step of the exact sum, one far from it the step of the end."""
    for total, down, up in (
        (1 + Fraction(1, 1 << 53) + Fraction(1, 1 << 80), 2.0**-51 - 1.25 * 2.0**-54, 0.0),
        (-1 - Fraction(1, 1 << 53) - Fraction(1, 1 << 80), 0.0, 2.0**-51 - 1.25 * 2.0**-54),
        (Fraction(1, 1 << 60), 1.0, 1.0),
        (-Fraction(1, 1 << 60), 1.0, 1.0),
    ):
        exact = np.array([float(total)])
        lo, hi = around(exact, np.array([down]), np.array([up]))
        assert Fraction(float(lo[0])) <= total - Fraction(down)
        assert Fraction(float(hi[0])) >= total + Fraction(up)


def test_a_lost_term_is_outside() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        codes = random_codes(rng, 30, 3)
        found = bound(*operands(codes))
        for lane in (0, 7, 29):
            assert not inside(found, sum(numbers(codes)) - numbers(codes)[lane])


def test_the_table_of_growth_is_an_upper_bound() -> None:
    unit = Fraction(1, 1 << 8)
    for depth, entry in enumerate(growth(8, 60)):
        exact = (1 + unit) ** depth - 1
        assert (
            exact <= Fraction(entry, 1 << FRACTION) <= exact + Fraction(depth, 1 << (FRACTION - 4))
        )


def test_depths_are_those_of_the_tree() -> None:
    one = Fuse("binary32")
    assert depths_of(Chain(one), 4, 32) == [4, 4, 3, 2, 1]  # the fifth is C
    assert depths_of(Tree(one), 4, 32) == [4, 4, 4, 4, 1]  # a leaf is a chain from +0
    assert depths_of(Parts(2, Chain(one), Chain(one)), 4, 32) == [4, 3, 3, 2, 2]


def test_no_tree_is_deeper_than_a_chain() -> None:
    """What the bound rests on: the j deepest leaves of any tree are together no deeper than those of a chain."""
    rng = np.random.default_rng(4)
    for _ in range(500):
        count = int(rng.integers(2, 20))
        trees = [[0] for _ in range(count)]
        while len(trees) > 1:
            i, j = sorted(rng.choice(len(trees), 2, replace=False))
            joined = [depth + 1 for depth in trees[i] + trees[j]]
            trees = [tree for at, tree in enumerate(trees) if at not in (i, j)] + [joined]
        depths = np.cumsum(sorted(trees[0], reverse=True))
        chain = np.cumsum([count + 1 - max(place, 2) for place in range(1, count + 1)])
        assert (depths <= chain).all()


def test_small_numbers_lose_the_smallest_subnormal_at_each_step() -> None:
    """Products below the subnormals of binary32: fused additions round each, even alone."""
    a = Operand([0x0080, 0x0180, 0x0201, 0x3F81], "bfloat16")
    b = Operand([0x2F81, 0x2F83, 0x2E85, 0x0001], "bfloat16")
    found = bound(a, b)
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)):
        pair = [one._replace(codes=[one.codes[i] for i in order]) for one in (a, b)]
        for name in ("fp32-fma", "fp32-sequential", "pairwise"):
            assert found.holds(decode(dot(*pair, None, name).bits, BINARY32))


def test_sums_that_may_overflow_have_no_bound() -> None:
    codes = [0x7F00, 0x7F00, 0xFF00]
    found = bound(*operands(codes))
    assert (found.lo, found.hi, found.nan) == (None, None, True)
    register = Freedom("a register", (Fuse(quantum=-4, width=8),))
    assert bound(*operands([0x4080, 0x4080]), freedom=register).nan  # 4 + 4 wraps at 8
    assert not bound(*operands([0x3F80, 0x3F80]), freedom=register).nan


def test_special_operands_leave_no_choice() -> None:
    nan, inf = 0x7FC0, 0x7F80
    found = bound(*operands([ONE, nan]))
    assert found.holds(Value(0, 0, 0)._replace(kind=decode(nan, find("bfloat16")).kind))
    assert not found.holds(Value(0, 1, 0))
    found = bound(*operands([ONE, inf]))
    assert found.holds(decode(0x7F80_0000, BINARY32))
    assert not found.holds(decode(0xFF80_0000, BINARY32))
    assert not found.holds(Value(0, 1, 0))


FREEDOMS = {
    "any": any_order(),
    "bfloat16": any_order("bfloat16"),
    "cut": truncating(13, "E8M13", -133, 16),
    "cut alone": truncating(9),
    "chain": permuted("fp32-fma"),
    "tensor core": permuted("nv-hopper-fp8-wgmma"),
    "by scale": permuted("nv-blackwell-mxf8f6f4"),
    "register": permuted("kulisch(64, -32)"),
}


@pytest.mark.parametrize("freedom", FREEDOMS.values(), ids=FREEDOMS)
@pytest.mark.parametrize("name", ["MXFP8_E5M2", "MXINT8"])
def test_arrays_hold_the_exact_interval_and_little_more(freedom: Freedom, name: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, 64)) * np.exp2(rng.integers(-20, 20, (5, 1)))
    x[rng.random(x.shape) < 0.3] = 0
    a = mxemu.quantize(x.astype(np.float32), name)
    b = mxemu.quantize(rng.standard_normal((5, 64)).astype(np.float32), name)
    c = rng.standard_normal(5).astype(np.float32)
    found = bounds(a, b, c=c, freedom=freedom)
    for row in range(5):
        left, right = (
            Operand(one.codes[row].ravel().tolist(), name, one.scales[row].tolist())
            for one in (a, b)
        )
        exact = bound(left, right, from_fraction(Fraction(float(c[row]))), freedom)
        if exact.lo is None or exact.hi is None:
            assert found.lo[row] == -np.inf
            continue
        lo, hi = Fraction(float(found.lo[row])), Fraction(float(found.hi[row]))
        ulp = Fraction(float(np.spacing(np.float32(np.abs(found.hi[row])))))
        assert lo <= exact.lo <= exact.hi <= hi
        assert hi - lo <= Fraction(1001, 1000) * (exact.hi - exact.lo) + 2 * ulp


def test_a_matrix_is_its_rows() -> None:
    rng = np.random.default_rng(6)
    a, b = (
        mxemu.quantize(rng.standard_normal((m, 96)).astype(np.float32), "MXFP6_E2M3")
        for m in (3, 4)
    )
    found = bounds(a, b, matrix=True)
    assert found.lo.shape == (3, 4)
    for row in range(3):
        for column in range(4):
            one = bounds(a[row : row + 1], b[column : column + 1])
            assert (found.lo[row, column], found.hi[row, column]) == (one.lo[0], one.hi[0])


@pytest.mark.parametrize("name", ["fp32-sequential", "fp32-fma", "pairwise", "block-fp32", "exact"])
def test_correct_kernels_are_inside_and_zeros_are_not(name: str) -> None:
    rng = np.random.default_rng(8)
    a, b = (
        mxemu.quantize(rng.standard_normal((16, 512)).astype(np.float32), "MXFP8_E5M2")
        for _ in range(2)
    )
    found = bounds(a, b, matrix=True)
    results = mxemu.matmul(a, b, accumulation=name)
    assert found.holds(results).all()
    assert not found.holds(np.nextafter(found.hi.astype(np.float32), np.float32(np.inf))).any()
    assert not found.holds(np.nextafter(found.lo.astype(np.float32), np.float32(-np.inf))).any()
    assert found.holds(np.zeros_like(results)).sum() <= 2


def test_numbers_are_moved_onto_a_format_exactly() -> None:
    values = np.array([1.0, 1 + 2**-30, -1 - 2**-30, 2.0**-149 * 1.5, 0.0, np.inf])
    up, down = onto(values, BINARY32, up=True), onto(values, BINARY32, up=False)
    assert up.tolist() == [1.0, 1 + 2**-23, -1.0, 2.0**-148, 0.0, np.inf]
    assert down.tolist() == [1.0, 1.0, -1 - 2**-23, 2.0**-149, 0.0, np.inf]


def test_wrong_use_is_said() -> None:
    a = mxemu.quantize(np.ones((2, 32), np.float32), "MXFP4")
    b = mxemu.quantize(np.ones((2, 64), np.float32), "MXFP4")
    with pytest.raises(BadShape, match="expected one length"):
        bounds(a, b)
    with pytest.raises(BadFormat, match="binary64"):
        bounds((np.zeros((1, 2), np.uint64), "binary64"), (np.zeros((1, 2), np.uint64), "binary64"))
    with pytest.raises(BadFormat, match="without steps"):
        Freedom("nothing", ())
    with pytest.raises(BadFormat, match="reaches farther"):
        Freedom("two", (Fuse("binary16"), Fuse("bfloat16")), (Round("E8M20"),))


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["bound", *words])


LISTS = ("MXFP8", "--a", "448,1,-448", "--b", "1,0.5,1")


def test_the_command_shows_the_interval() -> None:
    result = run("bfloat16", "--a", "1,2^-24,2^-24", "--b", "1,1,1")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "free: any order of additions in binary32",
        "exact sum  8388609*2^-23",
        "lo         0x3F800000 = 1",
        "hi         0x3F800002 = 4194305*2^-22",
    ]


def test_the_command_judges_a_result() -> None:
    assert run(*LISTS, "--result", "0.5").exit_code == 0
    result = run(*LISTS, "--result", "0x00000000")
    assert result.exit_code == 1
    assert "result     0 lies OUTSIDE" in result.stdout
    found = json.loads(run(*LISTS, "--output-format", "json", "--result", "1").stdout)
    assert (found["lo"], found["hi"], found["inside"]) == ("1/2", "1/2", False)


def test_the_command_takes_presets() -> None:
    words = [*LISTS, "--accumulation", "bf16-accumulator", "--accumulation", "fp32-fma", "--only"]
    result = run(*words)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == [
        "free: results of bf16-accumulator, fp32-fma",
        "exact sum  0.5",
        "lo         0x00000000 = 0",
        "hi         0x3F000000 = 0.5",
    ]
    assert "in any order" in run(*words[:-1]).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("MXFP8",), "expected --a and --b, or --inputs"),
        ((*LISTS, "--only"), "--only without --accumulation"),
        ((*LISTS, "--accumulation", "exact", "--truncate", "3"), "--accumulation says everything"),
    ],
)
def test_the_command_refuses(words: tuple[str, ...], said: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_command_takes_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((m, 64)).astype(np.float32) for m in (3, 5))
    np.savez(tmp_path / "in.npz", a=a, b=b)
    blocks = [mxemu.quantize(one, name) for one, name in ((a, "MXFP8"), (b, "MXFP4"))]
    good = mxemu.matmul(*blocks, accumulation="pairwise")
    np.save(tmp_path / "good.npy", good)
    good[1, 2] += 1
    np.save(tmp_path / "bad.npy", good)
    words = ("MXFP8,MXFP4", "--inputs", str(tmp_path / "in.npz"))
    assert run(*words, "--actual", str(tmp_path / "good.npy")).exit_code == 0
    result = run(*words, "--actual", str(tmp_path / "bad.npy"), "--output-format", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["results"], found["outside"], found["first_outside"]) == (15, 1, [1, 2])
    with pytest.raises(MxemuError):
        permuted("no such preset")
