"""Random words for STOCHASTIC rounding that depend on a key and the element's index alone.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011) with counter (index, 0, 0): word 0 of the block that belongs to
the index, and word 1 below it when more than 32 bits are asked for. Triton's ``tl.randint(key, index)`` gives the same
word 0, so a kernel and this emulator can draw the same numbers, and any element can be replayed alone.
"""

from __future__ import annotations

from mxemu.errors import BadValue

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF


def block(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """One block of four 32-bit words.

    Examples
    --------
    >>> [hex(word) for word in block((0, 0, 0, 0), (0, 0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        left, right = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = right >> 32 ^ c1 ^ k0, right & _WORD, left >> 32 ^ c3 ^ k1, left & _WORD
        k0, k1 = (k0 + KEY_STEPS[0]) & _WORD, (k1 + KEY_STEPS[1]) & _WORD
    return c0, c1, c2, c3


def word(key: int, index: int, bits: int = 32) -> int:
    """The random word of one element.

    Parameters
    ----------
    key : int
        0 to 2^64 - 1.
    index : int
        Position of the element in the array, in C order; 0 to 2^64 - 1.
    bits : int
        Width of the word, 1 to 64: `Profile.random_bits`.

    Returns
    -------
    int
        0 to 2^bits - 1; the topmost bits of the 64 that the index has.

    Raises
    ------
    BadValue

    Examples
    --------
    >>> hex(word(0, 0)), hex(word(0, 0, bits=8))
    ('0x6627e8d5', '0x66')
    """
    check_key(key)
    first, second, _, _ = block((index & _WORD, index >> 32, 0, 0), (key & _WORD, key >> 32))
    return (first << 32 | second) >> (64 - bits)


def check_key(key: int) -> int:
    """The key itself, if it has at most 64 bits.

    Raises
    ------
    BadValue
    """
    if not 0 <= key < 1 << 64:
        raise BadValue(f"key {key}; expected 0 to 2^64 - 1")
    return key
