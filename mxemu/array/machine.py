"""Interpreter of a schedule: any accumulation in 64-bit integers, result by result.

A number is a sign, a magnitude below 2^62, the exponent of its last bit, the exponent that alignment sees, and a kind.
Sums that 62 bits do not hold go through digits of 32 bits. What even that cannot hand on (an exact sum that is
neither rounded nor small) is marked, and the caller computes it with `mxemu.products`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mxemu.array.inputs import Array
from mxemu.array.jit import bit_length, kernel
from mxemu.array.schedule import FUSE, NONE, ROUND

FINITE, INF, NAN, TOO_WIDE = range(4)
_BITS = 62
_DIGITS = 128
# The digits cover 2^-2048 to 2^2047.
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
POSITIVE = 0
# Sign, magnitude, exponent of the last bit, kind.
_Number = tuple[int, int, int, int]


@kernel
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


@kernel
def rounded(sign: int, mag: int, exp: int, kind: int, row: Array, positive: bool) -> _Number:
    """A number in the format of a row of roundings: sign, magnitude, exponent of the last bit, kind."""
    if kind != FINITE or mag == 0:
        return sign, mag, exp, kind
    mode, mantissa, emin, emax = row[0], row[1], row[2], row[3]
    leading = bit_length(mag) - 1 + exp
    unbounded = leading - mantissa
    quantum = max(unbounded, emin - mantissa)
    if row[4] and leading < emin:
        full = shifted(mag, unbounded - exp, sign, mode) if unbounded > exp else np.int64(1)
        top = bit_length(full) - 1 + unbounded if unbounded > exp else leading
        if top < emin:
            return (0 if positive else sign), np.int64(0), np.int64(0), FINITE
    if quantum > exp:
        mag, exp = shifted(mag, quantum - exp, sign, mode), quantum
    if mag == 0:
        return (0 if positive else sign), mag, np.int64(0), FINITE
    if bit_length(mag) - 1 + exp > emax:
        towards_zero = mode in (2, 5) or (mode == 3 and sign == 1) or (mode == 4 and sign == 0)
        if row[5] and towards_zero:
            return sign, (np.int64(1) << (mantissa + 1)) - 1, emax - mantissa, FINITE
        return sign, np.int64(0), np.int64(0), INF
    return sign, mag, exp, FINITE


@kernel
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


@kernel
def _special(
    registers: Array, inputs: Array, first: int, after: int, carried: int
) -> tuple[int, int]:
    """The kind and sign of a sum that is not finite; FINITE if it is."""
    positive, negative, worst = False, False, FINITE
    for place in range(first, after + 1):
        if place == after and carried == NONE:
            break
        row = registers[carried if place == after else inputs[place]]
        if row[4] == INF:
            positive |= row[0] == 0
            negative |= row[0] == 1
        worst = max(worst, row[4])
    if worst == INF and positive and negative:
        return NAN, 0
    return worst, int(negative and worst == INF)


@kernel
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


@kernel
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


@kernel
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


@kernel
def _reference(
    step: Array, registers: Array, inputs: Array, first: int, after: int, carried: int
) -> tuple[int, int]:
    """The exponent that terms are aligned to, or NONE, and that of what is carried in."""
    reference = step[_FLOOR]
    for place in range(first, after):
        reference = max(reference, registers[inputs[place], 3])
    own = np.int64(NONE)
    if carried != NONE and registers[carried, 3] != NONE:
        own = registers[carried, 3]
        reference = max(reference, own)
    return reference, own


@kernel
def _cut(row: Array, quantum: int, mode: int) -> tuple[int, int]:
    """Magnitude and exponent of a term that is rounded to a multiple of 2^quantum."""
    mag, exp = row[1], row[2]
    if quantum == NONE or exp >= quantum or mag == 0:
        return mag, exp
    return shifted(mag, quantum - exp, row[0], mode), quantum


@kernel
def _collect(
    step: Array, registers: Array, inputs: Array, first: int, after: int, carried: int, kept: Array
) -> tuple[int, int, int]:
    """Cut every term into ``kept`` (sign, magnitude, exponent); the reference and the span of bits."""
    reference, own = _reference(step, registers, inputs, first, after, carried)
    relative = step[_FRACTION] != NONE and reference != NONE
    quantum = step[_QUANTUM]
    if relative:
        quantum = reference - step[_FRACTION]
    lowest, leading = np.int64(1 << 30), np.int64(NONE)
    for place in range(first, after + 1):
        if place == after and carried == NONE:
            break
        own_quantum = quantum
        register = inputs[place] if place < after else carried
        if place == after and relative:
            own_quantum = reference - step[_CARRIED]
        row = registers[register]
        mag, exp = _cut(row, own_quantum, step[_ALIGN])
        if (
            place == after
            and step[_REACH] != NONE
            and own != NONE
            and own < reference - step[_REACH]
        ):
            mag = np.int64(0)
        kept[place - first, 0], kept[place - first, 1], kept[place - first, 2] = row[0], mag, exp
        if mag:
            lowest, leading = min(lowest, exp), max(leading, bit_length(mag) - 1 + exp)
    return reference, lowest, leading


@kernel
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


@kernel
def _in_register(sign: int, mag: int, exp: int, cut: bool, step: Array) -> _Number:
    """A sum in a two's complement register, and whether that could be said in 62 bits."""
    quantum, width = step[_QUANTUM], step[_WIDTH]
    if mag == 0 or bit_length(mag) + exp - quantum < width:
        return sign, mag, exp, FINITE
    if cut or width > 60 or exp < quantum or bit_length(mag) + exp - quantum > _BITS:
        return sign, mag, exp, TOO_WIDE
    count, half = mag << (exp - quantum), np.int64(1) << (width - 1)
    count = -count if sign else count
    wrapped = ((count + half) & (2 * half - 1)) - half
    count = max(-half, min(count, half - 1)) if step[_SATURATE] else wrapped
    return (1 if count < 0 else 0), abs(count), quantum, FINITE


@kernel
def _zero_sign(kept: Array, count: int, rule: int) -> int:
    """The sign of a sum that is zero."""
    if rule == POSITIVE or count == 0:
        return 0
    negative = 0
    for i in range(count):
        negative += kept[i, 0]
    return int(negative == count or (rule == 2 and negative > 0))


@kernel
def fuse(
    step: Array,
    roundings: Array,
    registers: Array,
    inputs: Array,
    first: int,
    after: int,
    carried: int,
    kept: Array,
    digits: Array,
    target: Array,
) -> None:
    """One `Fuse` into the register ``target``."""
    kind, sign = _special(registers, inputs, first, after, carried)
    if kind != FINITE:
        _set(target, sign, np.int64(0), np.int64(0), np.int64(NONE), kind)
        return
    reference, lowest, leading = _collect(step, registers, inputs, first, after, carried, kept)
    count = after - first + (carried != NONE)
    sign, mag, exp, cut, kind = _sum(kept, count, lowest, leading, digits)
    if kind == FINITE and step[_WIDTH] != NONE:
        sign, mag, exp, kind = _in_register(sign, mag, exp, cut, step)
    if mag == 0 and kind == FINITE:
        sign = 0 if step[_QUANTUM] != NONE else _zero_sign(kept, count, step[_ZERO])
    if step[_FIRST] == step[_AFTER]:
        _set(target, sign, mag, exp, reference, TOO_WIDE if cut else kind)
        return
    for row in range(step[_FIRST], step[_AFTER]):
        sign, mag, exp, kind = rounded(
            sign, mag, exp, kind, roundings[row], step[_ZERO] == POSITIVE
        )
    _set(target, sign, mag, exp, aligned(mag, exp, kind, roundings[step[_AFTER] - 1, 2]), kind)


@kernel
def aligned(mag: int, exp: int, kind: int, emin: int) -> int:
    """The exponent that alignment sees of a number in a format."""
    if mag == 0 or kind != FINITE:
        return np.int64(NONE)
    return max(bit_length(mag) - 1 + exp, emin)


@kernel
def _set(target: Array, sign: int, mag: int, exp: int, reference: int, kind: int) -> None:
    target[0], target[1], target[2], target[3], target[4] = sign, mag, exp, reference, kind


@kernel
def _scale(
    registers: Array,
    inputs: Array,
    first: int,
    scale: Array,
    roundings: Array,
    positive: bool,
    target: Array,
) -> None:
    """The product of a register and a scale: inputs are the register, and the rows of two sets of roundings."""
    sign, mag, exp, kind = scale[0], scale[1], scale[2], scale[4]
    for row in range(inputs[first + 1], inputs[first + 2]):
        sign, mag, exp, kind = rounded(sign, mag, exp, kind, roundings[row], positive)
    own = registers[inputs[first]]
    sign, mag, exp, kind = multiplied(own[0], own[1], own[2], own[4], sign, mag, exp, kind)
    emin = np.int64(NONE)
    for row in range(inputs[first + 3], inputs[first + 4]):
        sign, mag, exp, kind = rounded(sign, mag, exp, kind, roundings[row], positive)
        emin = roundings[row, 2]
    _set(target, sign, mag, exp, aligned(mag, exp, kind, emin), kind)


@kernel
def run(
    code: Array,
    inputs: Array,
    steps: Array,
    roundings: Array,
    registers: Array,
    scales: Array,
    kept: Array,
    digits: Array,
    positive: bool,
) -> None:
    """All instructions on one set of registers."""
    for i in range(len(code)):
        kind, row, target, first, after = code[i, 0], code[i, 1], code[i, 2], code[i, 3], code[i, 4]
        if kind == FUSE:
            fuse(
                steps[row],
                roundings,
                registers,
                inputs,
                first,
                after,
                code[i, 5],
                kept,
                digits,
                registers[target],
            )
        elif kind == ROUND:
            own, rounding = registers[inputs[first]], roundings[row]
            sign, mag, exp, found = rounded(own[0], own[1], own[2], own[4], rounding, positive)
            _set(registers[target], sign, mag, exp, aligned(mag, exp, found, rounding[2]), found)
        else:
            _scale(registers, inputs, first, scales[row], roundings, positive, registers[target])


# Fields of the options of a product, as `dots` writes them.
_SCALED, _OWN_EXPONENT, _LIMIT, _ROUNDING = range(4)
SUM, NORMALISED, SCALES = range(3)


@kernel
def product(
    a: Array, b: Array, scale: Array, options: Array, rounding: Array, positive: bool, target: Array
) -> None:
    """One product of two elements into a register; ``scale`` is that of its blocks."""
    sign, mag, exp, kind = multiplied(a[0], a[1], a[2], a[4], b[0], b[1], b[2], b[4])
    exponent = (a[3] if a[3] != NONE else 0) + (b[3] if b[3] != NONE else 0)
    own = options[_OWN_EXPONENT]
    if options[_SCALED]:
        sign, mag, exp, kind = multiplied(
            sign, mag, exp, kind, scale[0], scale[1], scale[2], scale[4]
        )
        exponent = scale[3] + (exponent if own == SUM else 0)
    elif own == SCALES:
        exponent = np.int64(0)
    if options[_ROUNDING]:
        sign, mag, exp, kind = rounded(sign, mag, exp, kind, rounding, positive)
        exponent = aligned(mag, exp, kind, rounding[2])
    if kind != FINITE or mag == 0:
        _set(target, sign, mag, exp, np.int64(NONE), kind)
        return
    leading = bit_length(mag) - 1 + exp
    if options[_LIMIT] != NONE and leading >= options[_LIMIT]:
        _set(target, sign, np.int64(0), np.int64(0), np.int64(NONE), INF)
        return
    _set(target, sign, mag, exp, leading if own == NORMALISED else exponent, FINITE)


@kernel
def block_scale(a: Array, b: Array, target: Array) -> None:
    """The exact product of two scales, with the sum of their exponents."""
    sign, mag, exp, kind = multiplied(a[0], a[1], a[2], a[4], b[0], b[1], b[2], b[4])
    _set(target, sign, mag, exp, a[3] + b[3], kind)


@kernel
def to_bits(
    row: Array, mantissa: int, emin: int, special: int, width: int, nan: int, positive: bool
) -> int:
    """The bits of a number that its format holds; ``special`` is the code of Inf."""
    sign, mag, exp, kind = row[0], row[1], row[2], row[4]
    if kind == NAN:
        return nan
    top = np.int64(sign) << (width - 1)
    if kind == INF:
        return top | special
    if mag == 0:
        return np.int64(0) if positive else top
    leading = bit_length(mag) - 1 + exp
    quantum = max(leading, emin) - mantissa
    multiple = mag << (exp - quantum) if exp >= quantum else mag >> (quantum - exp)
    return top | (((max(leading, emin) - emin) << mantissa) + multiple)


@kernel
def convert(
    numbers: Array, scales: Array, k: int, scaled: bool, rounding: Array, positive: bool
) -> None:
    """Operands in a format of their own, in place; times their scales first if ``scaled``."""
    for row in range(numbers.shape[0]):
        for place in range(numbers.shape[1]):
            own, scale = numbers[row, place], scales[row, place // k]
            sign, mag, exp, kind = own[0], own[1], own[2], own[4]
            if scaled:
                sign, mag, exp, kind = multiplied(
                    sign, mag, exp, kind, scale[0], scale[1], scale[2], scale[4]
                )
            sign, mag, exp, kind = rounded(sign, mag, exp, kind, rounding, positive)
            _set(own, sign, mag, exp, aligned(mag, exp, kind, rounding[2]), kind)


@kernel
def dots(
    a: Array,
    b: Array,
    a_scales: Array,
    b_scales: Array,
    tensor: Array,
    c: Array,
    pairs: Array,
    k: int,
    program: tuple[Any, ...],
    options: Array,
    rounding: Array,
    form: Array,
    out: Array,
    too_wide: Array,
) -> None:
    """Dots of pairs of rows.

    Shapes: a, b (rows, K, 5); their scales (rows, blocks, 5); tensor (0 to 2, 5); c (n, 5); pairs (n, 2); out (n,).
    """
    code, inputs, steps, roundings, count, result, widest = program
    length, n_blocks = a.shape[1], a_scales.shape[1]
    registers = np.zeros((count, 5), np.int64)
    registers[length + 1, 3] = NONE
    kept = np.zeros((widest, 3), np.int64)
    digits = np.zeros(_DIGITS, np.int64)
    scales = np.zeros((n_blocks + len(tensor), 5), np.int64)
    scales[n_blocks:] = tensor
    positive = form[5] == 1
    for i in range(len(pairs)):
        left, right = pairs[i, 0], pairs[i, 1]
        for block in range(n_blocks):
            block_scale(a_scales[left, block], b_scales[right, block], scales[block])
        for place in range(length):
            scale = scales[place // k]
            product(
                a[left, place],
                b[right, place],
                scale,
                options,
                rounding,
                positive,
                registers[place],
            )
        registers[length] = c[i]
        run(code, inputs, steps, roundings, registers, scales, kept, digits, positive)
        too_wide[i] = registers[result, 4] == TOO_WIDE
        if not too_wide[i]:
            out[i] = to_bits(
                registers[result], form[0], form[1], form[2], form[3], form[4], positive
            )
