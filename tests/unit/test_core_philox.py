"""Random words by key and index: the published answers of Philox4x32-10, and replay of single elements."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxemu.errors import BadValue
from mxemu.philox import block, check_key, word

ALL = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        # The known answers that Random123 publishes for philox4x32 with 10 rounds.
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ALL, ALL, ALL, ALL), (ALL, ALL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(
    counter: tuple[int, int, int, int], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    assert block(counter, key) == words


def test_a_word_is_the_first_of_its_block() -> None:
    low, high = 0x9ABCDEF0, 0x12345678
    expected = block((7, 3, 0, 0), (low, high))
    index, key = 3 << 32 | 7, high << 32 | low
    assert word(key, index) == expected[0]
    assert word(key, index, 64) == expected[0] << 32 | expected[1]
    assert word(key, index, 1) == expected[0] >> 31
    assert word(key, index, 33) == (expected[0] << 1) | (expected[1] >> 31)


@given(key=st.integers(0, 2**64 - 1), index=st.integers(0, 2**64 - 1), bits=st.integers(1, 63))
def test_a_narrower_word_is_the_top_of_a_wider_one(key: int, index: int, bits: int) -> None:
    assert word(key, index, bits) == word(key, index, bits + 1) >> 1


@pytest.mark.parametrize("key", [-1, 1 << 64])
def test_keys_have_64_bits(key: int) -> None:
    with pytest.raises(BadValue, match=f"key {key}; expected 0 to"):
        check_key(key)
    with pytest.raises(BadValue):
        word(key, 0)
