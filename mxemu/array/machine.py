"""Interpreter of a schedule: any accumulation in 64-bit integers, result by result.

A number is a sign, a magnitude below 2^62, the exponent of its last bit, the exponent that alignment sees, and a kind.
Sums that 62 bits do not hold go through digits of 32 bits. What cannot be handed on is marked, and the caller computes
it with `mxemu.products`: products or unrounded sums of more than 62 bits, exponents beyond the digits, overflow of a
register of more than 60 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mxemu.array.inputs import Array
from mxemu.array.jit import bit_length, small
from mxemu.array.schedule import FUSE, NONE, ROUND, Schedule

FINITE, INF, NAN, TOO_WIDE = range(4)
_BITS = 62
_DIGITS = 128
# The digits begin at 2^-2048 and end below 2^2048; terms keep away from both ends.
_LOWEST = -2048
_MASK = (1 << 32) - 1
# Fields of a step, as `schedule._Compiler._step` writes them.
(
    _FRACTION,
    _CARRIED,
    _REACH,
    _ALIGN,
    _FLOOR,
    _QUANTUM,
    _WIDTH,
    _SATURATE,
    _FIRST,
    _AFTER,
    _ZERO,
) = range(11)
POSITIVE, _SUM_POSITIVE = 0, 3
# Sign, magnitude, exponent of the last bit, kind.
_Number = tuple[int, int, int, int]


@small
def shifted(mag: int, shift: int, sign: int, mode: int) -> int:
    """A magnitude divided by 2^shift, rounded; shift is at least 1."""
    if shift > _BITS:
        kept, rest, half = np.int64(0), mag, np.int64(1) << _BITS
    else:
        kept = mag >> shift
        rest, half = mag - (kept << shift), np.int64(1) << (shift - 1)
    if rest == 0:
        return kept
    if mode == 0:
        up = rest > half or (rest == half and kept & 1 == 1)
    elif mode == 1:
        up = rest >= half
    elif mode == 2:
        up = False
    elif mode == 3:
        up = sign == 0
    elif mode == 4:
        up = sign == 1
    else:
        up = kept & 1 == 0
    return kept + 1 if up else kept


@small
def rounded(sign: int, mag: int, exp: int, kind: int, table: Array, row: int) -> _Number:
    """A number in the format of a row of a table of roundings: sign, magnitude, exponent of the last bit, kind."""
    if kind != FINITE or mag == 0:
        return sign, mag, exp, kind
    mode, mantissa = table[row, 0], table[row, 1]
    emin, emax = table[row, 2], table[row, 3]
    leading = bit_length(mag) - 1 + exp
    unbounded = leading - mantissa
    quantum = max(unbounded, emin - mantissa)
    if table[row, 4] and leading < emin:
        full = shifted(mag, unbounded - exp, sign, mode) if unbounded > exp else np.int64(1)
        top = bit_length(full) - 1 + unbounded if unbounded > exp else leading
        if top < emin:
            return sign, np.int64(0), np.int64(0), FINITE
    if quantum > exp:
        mag, exp = shifted(mag, quantum - exp, sign, mode), quantum
    if mag == 0:
        return sign, mag, np.int64(0), FINITE
    if bit_length(mag) - 1 + exp > emax:
        towards_zero = mode in (2, 5) or (mode == 3 and sign == 1) or (mode == 4 and sign == 0)
        if table[row, 5] and towards_zero:
            return sign, (np.int64(1) << (mantissa + 1)) - 1, emax - mantissa, FINITE
        return sign, np.int64(0), np.int64(0), INF
    return sign, mag, exp, FINITE


@small
def multiplied(
    sign_a: int,
    mag_a: int,
    exp_a: int,
    kind_a: int,
    sign_b: int,
    mag_b: int,
    exp_b: int,
    kind_b: int,
) -> _Number:
    """The exact product of two numbers."""
    sign = sign_a ^ sign_b
    if kind_a == FINITE and kind_b == FINITE:
        if bit_length(mag_a) + bit_length(mag_b) > _BITS:
            return sign, np.int64(0), np.int64(0), TOO_WIDE
        return sign, mag_a * mag_b, exp_a + exp_b, FINITE
    if max(kind_a, kind_b) == TOO_WIDE:
        return sign, np.int64(0), np.int64(0), TOO_WIDE
    zero = (kind_a == FINITE and mag_a == 0) or (kind_b == FINITE and mag_b == 0)
    if zero or max(kind_a, kind_b) == NAN:
        return np.int64(0), np.int64(0), np.int64(0), NAN
    return sign, np.int64(0), np.int64(0), INF


@small
def _special(
    registers: Array, inputs: Array, first: int, after: int, carried: int
) -> tuple[int, int]:
    """The kind and sign of a sum that is not finite; FINITE if it is."""
    positive, negative, worst = False, False, FINITE
    for place in range(first, after + 1):
        if place == after and carried == NONE:
            break
        row = carried if place == after else inputs[place]
        if registers[row, 4] == INF:
            positive |= registers[row, 0] == 0
            negative |= registers[row, 0] == 1
        worst = max(worst, registers[row, 4])
    if worst == INF and positive and negative:
        return NAN, 0
    return worst, int(negative and worst == INF)


@small
def _add_digits(digits: Array, sign: int, mag: int, exp: int) -> int:
    """Add a number to the digits."""
    place = exp - _LOWEST
    digit, shift = place >> 5, place & 31
    low, high = (mag & _MASK) << shift, (mag >> 32) << shift
    if sign:
        digits[digit] -= low & _MASK
        digits[digit + 1] -= (low >> 32) + (high & _MASK)
        digits[digit + 2] -= high >> 32
    else:
        digits[digit] += low & _MASK
        digits[digit + 1] += (low >> 32) + (high & _MASK)
        digits[digit + 2] += high >> 32
    return digit


@small
def _read_digits(digits: Array, lowest: int, highest: int) -> tuple[int, int, int, bool]:
    """The sum in the digits as sign, magnitude and exponent; the last bit is sticky if ``cut``. Clears them."""
    carry = np.int64(0)
    for place in range(lowest, highest + 1):
        total = digits[place] + carry
        digits[place] = total & _MASK
        carry = total >> 32
    sign = 0
    if carry < 0:
        sign, borrow = 1, np.int64(1)
        for place in range(lowest, highest + 1):
            total = (_MASK ^ digits[place]) + borrow
            digits[place] = total & _MASK
            borrow = total >> 32
    top = highest
    while top > lowest and digits[top] == 0:
        top -= 1
    mag, exp, cut = _leading_digits(digits, top, lowest)
    for place in range(lowest, highest + 1):
        digits[place] = 0
    return sign, mag, exp, cut


@small
def _leading_digits(digits: Array, top: int, lowest: int) -> tuple[int, int, bool]:
    """The leading 62 bits from digit ``top`` down, their exponent, and whether more follow."""
    length = bit_length(digits[top])
    below = digits[top - 1] if top > lowest else np.int64(0)
    last = digits[top - 2] if top > lowest + 1 else np.int64(0)
    room = _BITS - length - 32
    if room >= 0:
        mag = (digits[top] << (_BITS - length)) | (below << room) | (last >> (32 - room))
        cut = last & ((np.int64(1) << (32 - room)) - 1) != 0
    else:
        mag = (digits[top] << (_BITS - length)) | (below >> -room)
        cut = (below & ((np.int64(1) << -room) - 1)) != 0 or last != 0
    for place in range(lowest, top - 2):
        cut |= digits[place] != 0
    exp = _LOWEST + 32 * top + length - _BITS
    return (mag | 1 if cut else mag), exp, cut


@small
def _reference(
    steps: Array, step: int, registers: Array, inputs: Array, first: int, after: int, carried: int
) -> tuple[int, int]:
    """The exponent that terms are aligned to, or NONE, and that of what is carried in."""
    reference = steps[step, _FLOOR]
    for place in range(first, after):
        reference = max(reference, registers[inputs[place], 3])
    own = np.int64(NONE)
    if carried != NONE and registers[carried, 3] != NONE:
        own = registers[carried, 3]
        reference = max(reference, own)
    return reference, own


@small
def _cut(registers: Array, row: int, quantum: int, mode: int) -> tuple[int, int]:
    """Magnitude and exponent of a term that is rounded to a multiple of 2^quantum."""
    mag, exp = registers[row, 1], registers[row, 2]
    if quantum == NONE or exp >= quantum or mag == 0:
        return mag, exp
    return shifted(mag, quantum - exp, registers[row, 0], mode), quantum


@small
def _collect(
    steps: Array,
    step: int,
    registers: Array,
    inputs: Array,
    first: int,
    after: int,
    carried: int,
    kept: Array,
) -> tuple[int, int, int]:
    """Cut every term into ``kept`` (sign, magnitude, exponent); the reference and the span of bits."""
    reference, own = _reference(steps, step, registers, inputs, first, after, carried)
    relative = steps[step, _FRACTION] != NONE and reference != NONE
    quantum = steps[step, _QUANTUM]
    if relative:
        quantum = reference - steps[step, _FRACTION]
    lowest, leading = np.int64(1 << 30), np.int64(NONE)
    for place in range(first, after + 1):
        if place == after and carried == NONE:
            break
        own_quantum = quantum
        register = inputs[place] if place < after else carried
        if place == after and relative:
            own_quantum = reference - steps[step, _CARRIED]
        mag, exp = _cut(registers, register, own_quantum, steps[step, _ALIGN])
        if (
            place == after
            and steps[step, _REACH] != NONE
            and own != NONE
            and own < reference - steps[step, _REACH]
        ):
            mag = np.int64(0)
        kept[place - first, 0], kept[place - first, 1], kept[place - first, 2] = (
            registers[register, 0],
            mag,
            exp,
        )
        if mag:
            lowest, leading = min(lowest, exp), max(leading, bit_length(mag) - 1 + exp)
    return reference, lowest, leading


@small
def _sum(
    kept: Array, count: int, lowest: int, leading: int, digits: Array
) -> tuple[int, int, int, bool, int]:
    """The exact sum: sign, magnitude, exponent, and whether its last bit is sticky. Kind TOO_WIDE beyond the digits."""
    if leading == NONE:
        return 0, np.int64(0), np.int64(0), False, FINITE
    if leading - lowest + bit_length(np.int64(count)) < _BITS:
        total = np.int64(0)
        for i in range(count):
            if kept[i, 1]:
                mag = kept[i, 1] << (kept[i, 2] - lowest)
                total += -mag if kept[i, 0] else mag
        return (1 if total < 0 else 0), abs(total), lowest, False, FINITE
    if lowest < _LOWEST + 64 or leading > -_LOWEST - 160:
        return 0, np.int64(0), np.int64(0), False, TOO_WIDE
    low, high = np.int64(_DIGITS), np.int64(0)
    for i in range(count):
        if kept[i, 1]:
            digit = _add_digits(digits, kept[i, 0], kept[i, 1], kept[i, 2])
            low, high = min(low, digit), max(high, digit)
    sign, mag, exp, cut = _read_digits(digits, low, high + 3)
    return sign, mag, exp, cut, FINITE


@small
def _in_register(sign: int, mag: int, exp: int, cut: bool, steps: Array, step: int) -> _Number:
    """A sum in a two's complement register, and whether that could be said in 62 bits."""
    quantum, width = steps[step, _QUANTUM], steps[step, _WIDTH]
    if mag == 0 or bit_length(mag) + exp - quantum < width:
        return sign, mag, exp, FINITE
    if cut or width > 60 or exp < quantum or bit_length(mag) + exp - quantum > _BITS:
        return sign, mag, exp, TOO_WIDE
    count, half = mag << (exp - quantum), np.int64(1) << (width - 1)
    count = -count if sign else count
    wrapped = ((count + half) & (2 * half - 1)) - half
    count = max(-half, min(count, half - 1)) if steps[step, _SATURATE] else wrapped
    return (1 if count < 0 else 0), abs(count), quantum, FINITE


@small
def _zero_sign(kept: Array, count: int, rule: int) -> int:
    """The sign of a sum that is zero."""
    if rule in (POSITIVE, _SUM_POSITIVE) or count == 0:
        return 0
    negative = 0
    for i in range(count):
        negative += kept[i, 0]
    return int(negative == count or (rule == 2 and negative > 0))


@small
def fuse(
    steps: Array,
    step: int,
    roundings: Array,
    registers: Array,
    inputs: Array,
    first: int,
    after: int,
    carried: int,
    kept: Array,
    digits: Array,
    target: int,
) -> None:
    """One `Fuse` into the register ``target``."""
    kind, sign = _special(registers, inputs, first, after, carried)
    if kind != FINITE:
        _set(registers, target, sign, 0, 0, NONE, kind)
        return
    reference, lowest, leading = _collect(
        steps, step, registers, inputs, first, after, carried, kept
    )
    count = after - first + (carried != NONE)
    sign, mag, exp, cut, kind = _sum(kept, count, lowest, leading, digits)
    if kind == FINITE and steps[step, _WIDTH] != NONE:
        sign, mag, exp, kind = _in_register(sign, mag, exp, cut, steps, step)
    if mag == 0 and kind == FINITE:
        register = steps[step, _QUANTUM] != NONE
        sign = 0 if register else _zero_sign(kept, count, steps[step, _ZERO])
    if steps[step, _FIRST] == steps[step, _AFTER]:
        _set(registers, target, sign, mag, exp, reference, TOO_WIDE if cut else kind)
        return
    positive = steps[step, _ZERO] == POSITIVE
    for row in range(steps[step, _FIRST], steps[step, _AFTER]):
        sign, mag, exp, kind = rounded(sign, mag, exp, kind, roundings, row)
        if positive and mag == 0 and kind == FINITE:
            sign = 0
    emin = roundings[steps[step, _AFTER] - 1, 2]
    _set(registers, target, sign, mag, exp, aligned(mag, exp, kind, emin), kind)


@small
def aligned(mag: int, exp: int, kind: int, emin: int) -> int:
    """The exponent that alignment sees of a number in a format."""
    if mag == 0 or kind != FINITE:
        return np.int64(NONE)
    return max(bit_length(mag) - 1 + exp, emin)


@small
def _set(
    registers: Array, target: int, sign: int, mag: int, exp: int, reference: int, kind: int
) -> None:
    registers[target, 0] = sign
    registers[target, 1] = mag
    registers[target, 2] = exp
    registers[target, 3] = reference
    registers[target, 4] = kind


@small
def _scale(
    registers: Array,
    inputs: Array,
    first: int,
    scales: Array,
    row: int,
    roundings: Array,
    target: int,
) -> None:
    """A register times a scale: inputs are the register, and the rows of two sets of roundings."""
    sign, mag, exp, kind = scales[row, 0], scales[row, 1], scales[row, 2], scales[row, 4]
    for one in range(inputs[first + 1], inputs[first + 2]):
        sign, mag, exp, kind = rounded(sign, mag, exp, kind, roundings, one)
    sign, mag, exp, kind = _times(registers, inputs[first], sign, mag, exp, kind)
    emin = np.int64(NONE)
    for one in range(inputs[first + 3], inputs[first + 4]):
        sign, mag, exp, kind = rounded(sign, mag, exp, kind, roundings, one)
        emin = roundings[one, 2]
    _set(registers, target, sign, mag, exp, aligned(mag, exp, kind, emin), kind)


@small
def _times(numbers: Array, row: int, sign: int, mag: int, exp: int, kind: int) -> _Number:
    """A row of numbers times a number."""
    return multiplied(
        numbers[row, 0], numbers[row, 1], numbers[row, 2], numbers[row, 4], sign, mag, exp, kind
    )


@small
def run(
    code: Array,
    inputs: Array,
    steps: Array,
    roundings: Array,
    registers: Array,
    scales: Array,
    kept: Array,
    digits: Array,
) -> None:
    """All instructions on one set of registers."""
    for i in range(len(code)):
        kind, row, target, first, after = code[i, 0], code[i, 1], code[i, 2], code[i, 3], code[i, 4]
        if kind == FUSE:
            carried = code[i, 5]
            fuse(
                steps,
                row,
                roundings,
                registers,
                inputs,
                first,
                after,
                carried,
                kept,
                digits,
                target,
            )
        elif kind == ROUND:
            own = inputs[first]
            sign, mag, exp, found = rounded(
                registers[own, 0], registers[own, 1], registers[own, 2], registers[own, 4],
                roundings, row,
            )  # fmt: skip
            _set(
                registers,
                target,
                sign,
                mag,
                exp,
                aligned(mag, exp, found, roundings[row, 2]),
                found,
            )
        else:
            _scale(registers, inputs, first, scales, row, roundings, target)


# Fields of the options of a product, as `dots` writes them.
_SCALED, _OWN_EXPONENT, _LIMIT, _ROUNDING = range(4)
SUM, NORMALISED, SCALES = range(3)


@small
def product(
    a: Array,
    left: int,
    b: Array,
    right: int,
    scales: Array,
    block: int,
    options: Array,
    rounding: Array,
    registers: Array,
    place: int,
) -> None:
    """The product of two elements, rows of a and b are (row, place), into the register ``place``."""
    x, y = a[left, place, 3], b[right, place, 3]
    sign, mag, exp, kind = multiplied(
        a[left, place, 0], a[left, place, 1], a[left, place, 2], a[left, place, 4],
        b[right, place, 0], b[right, place, 1], b[right, place, 2], b[right, place, 4],
    )  # fmt: skip
    exponent = (x if x != NONE else 0) + (y if y != NONE else 0)
    own = options[_OWN_EXPONENT]
    if options[_SCALED]:
        sign, mag, exp, kind = _times(scales, block, sign, mag, exp, kind)
        exponent = scales[block, 3] + (exponent if own == SUM else 0)
    elif own == SCALES:
        exponent = np.int64(0)
    if options[_ROUNDING]:
        sign, mag, exp, kind = rounded(sign, mag, exp, kind, rounding, 0)
        exponent = aligned(mag, exp, kind, rounding[0, 2])
    if kind != FINITE or mag == 0:
        _set(registers, place, sign, mag, exp, NONE, kind)
        return
    leading = bit_length(mag) - 1 + exp
    if options[_LIMIT] != NONE and leading >= options[_LIMIT]:
        _set(registers, place, sign, 0, 0, NONE, INF)
        return
    _set(registers, place, sign, mag, exp, leading if own == NORMALISED else exponent, FINITE)


@small
def to_bits(
    registers: Array, row: int, mantissa: int, emin: int, special: int, width: int, nan: int
) -> int:
    """The bits of a number that its format holds; ``special`` is the code of Inf."""
    mag, exp, kind = registers[row, 1], registers[row, 2], registers[row, 4]
    if kind == NAN:
        return nan
    top = registers[row, 0] << (width - 1)
    if kind == INF:
        return top | special
    if mag == 0:
        return top
    leading = bit_length(mag) - 1 + exp
    quantum = max(leading, emin) - mantissa
    multiple = mag << (exp - quantum) if exp >= quantum else mag >> (quantum - exp)
    return top | (((max(leading, emin) - emin) << mantissa) + multiple)


@small
def convert(numbers: Array, scales: Array, k: int, scaled: bool, rounding: Array) -> None:
    """Operands (n, 5) in a format of their own, in place; times their scales (n / k, 5) first if ``scaled``."""
    for place in range(len(numbers)):
        sign, mag, exp, kind = (
            numbers[place, 0],
            numbers[place, 1],
            numbers[place, 2],
            numbers[place, 4],
        )
        if scaled:
            sign, mag, exp, kind = _times(scales, place // k, sign, mag, exp, kind)
        sign, mag, exp, kind = rounded(sign, mag, exp, kind, rounding, 0)
        _set(numbers, place, sign, mag, exp, aligned(mag, exp, kind, rounding[0, 2]), kind)


@small
def _block_scales(a: Array, left: int, b: Array, right: int, scales: Array) -> None:
    """The exact products of the scales of two rows, with the sums of their exponents; then those of a, those of b."""
    count = a.shape[1]
    for block in range(count):
        for field in range(5):
            scales[count + block, field] = a[left, block, field]
            scales[2 * count + block, field] = b[right, block, field]
        sign, mag, exp, kind = multiplied(
            a[left, block, 0], a[left, block, 1], a[left, block, 2], a[left, block, 4],
            b[right, block, 0], b[right, block, 1], b[right, block, 2], b[right, block, 4],
        )  # fmt: skip
        _set(scales, block, sign, mag, exp, a[left, block, 3] + b[right, block, 3], kind)


def scratch_for(program: Schedule, terms: int, rows: int) -> tuple[Array, ...]:
    """Registers, cut terms, digits and scales for one thread."""
    registers = np.zeros((program.registers, 5), np.int64)
    registers[terms + 1, 3] = NONE
    sizes = ((program.widest, 3), (_DIGITS,), (rows, 5))
    return registers, *(np.zeros(size, np.int64) for size in sizes)


@small
def dots(
    x: tuple[Array, Array],
    y: tuple[Array, Array],
    tensor: Array,
    c: Array,
    pairs: Array,
    k: int,
    program: tuple[Any, ...],
    options: tuple[Array, Array, Array],
    scratch: tuple[Array, ...],
    out: Array,
    too_wide: Array,
) -> None:
    """Dots of pairs of rows.

    Shapes: elements (rows, K, 5) and scales (rows, blocks, 5) in x and y; tensor (0 to 2, 5); c (n, 5); pairs (n, 2);
    out (n,).
    """
    (a, a_scales), (b, b_scales) = x, y
    making, rounding, form = options
    code, inputs, steps, roundings, result = program
    length, n_blocks = a.shape[1], a_scales.shape[1]
    registers, kept, digits, scales = scratch
    for row in range(len(tensor)):
        _set(scales, 3 * n_blocks + row, tensor[row, 0], tensor[row, 1], tensor[row, 2], 0, FINITE)
    for i in range(len(pairs)):
        left, right = pairs[i, 0], pairs[i, 1]
        _block_scales(a_scales, left, b_scales, right, scales)
        for first in range(0, length, k):
            for place in range(first, min(first + k, length)):
                product(
                    a, left, b, right, scales, first // k, making, rounding, registers, place
                )  # fmt: skip
        # Where nothing is added, C comes out as it is, but for the sign of a zero.
        sign = 0 if length == 0 and form[5] and c[i, 1] == 0 else c[i, 0]
        _set(registers, length, sign, c[i, 1], c[i, 2], c[i, 3], c[i, 4])
        run(code, inputs, steps, roundings, registers, scales, kept, digits)
        too_wide[i] = registers[result, 4] == TOO_WIDE
        if not too_wide[i]:
            out[i] = to_bits(registers, result, form[0], form[1], form[2], form[3], form[4])
