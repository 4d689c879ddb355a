"""Orders in which the codes of a block, their bits, or the scales of many blocks can stand, as index maps.

A map says where what belongs in a place was found: ``found[i] = right[places[i]]``. Of packings and of arrangements of
scales it comes from `mxemu.layout`: written as one of them, and read as another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import permutations, product
from typing import NamedTuple

import numpy as np

from conformance.arrays import Array
from mxemu.layout import ARRANGEMENTS, PACKINGS, Arrangement, Axis, Field, Packing

FILLED = -1
"""In a map: a place that nothing belongs to, such as padding."""

MOST = 1 << 17
"""Scales of which all shapes of a matrix are tried."""

_WORDS = (16, 32, 64)

# The bit stream from the highest bit of the first byte on: what a big-endian bit writer leaves.
HIGH_BITS_FIRST = Packing(
    "high-bits-first",
    (
        *(Field(1, 4, 6), Field(0, 0, 6)),
        *(Field(2, 2, 6), Field(1, 0, 4)),
        *(Field(3, 0, 6), Field(2, 0, 2)),
    ),
    4,
    (6,),
    whole=True,
)


class Order(NamedTuple):
    """One order.

    Attributes
    ----------
    name : str
        Pasteable.
    text : str
        A clause: ``the two nibbles of each byte are swapped``.
    places : ndarray of int64
    fill : int
        What stands in the places that are `FILLED`.
    """

    name: str
    text: str
    places: Array
    fill: int = 0

    @property
    def undone(self) -> Array:
        """The way back; `FILLED` where something was lost."""
        back = np.full(len(self.places), FILLED, dtype=np.int64)
        kept = np.flatnonzero(self.places != FILLED)
        back[self.places[kept]] = kept
        return back

    @property
    def is_whole(self) -> bool:
        """Whether nothing is lost on the way."""
        return bool((np.sort(self.places) == np.arange(len(self.places))).all())


def distinct(orders: Iterator[Order]) -> list[Order]:
    """Orders without repetitions; one that changes nothing is left out."""
    found: dict[bytes, Order] = {}
    for order in orders:
        if not (order.places == np.arange(len(order.places))).all():
            found.setdefault(order.places.tobytes(), order)
    return list(found.values())


@lru_cache(maxsize=64)
def lane_orders(k: int, width: int) -> tuple[Order, ...]:
    """Orders of the k codes of a block, the likeliest first."""
    return tuple(distinct(_lanes(k, width)))


def _lanes(k: int, width: int) -> Iterator[Order]:
    lanes = np.arange(k)
    if k % 2 == 0:
        yield Order("pairs-swapped", _pair(width), lanes ^ 1)
    for word in _WORDS:
        size = word // width
        if word % width == 0 and k % size == 0:
            text = f"the codes of each {word}-bit word are in reverse order"
            yield Order(f"codes-of-{word}-bit-words-reversed", text, lanes ^ (size - 1))
    for name, text, places in _halves(k, width):
        yield Order(name, text, places)
    text = "the elements of each block are in reverse order"
    yield Order("lanes-reversed", text, lanes[::-1].copy())
    for rows in range(2, k):
        if k % rows == 0:
            text = f"each block is transposed as a matrix of {rows} x {k // rows}"
            places = lanes.reshape(rows, -1).T.ravel()
            yield Order(f"block-transposed-{rows}x{k // rows}", text, places)


def _pair(width: int) -> str:
    """What two neighbouring codes are."""
    words = {4: "the two nibbles of each byte", 8: "the bytes of each 16-bit word"}
    return f"{words.get(width, 'neighbouring codes')} are swapped"


def _halves(k: int, width: int) -> Iterator[tuple[str, str, Array]]:
    """Orders that cut a block in two."""
    if k % 2:
        return
    lanes, half = np.arange(k), k // 2
    joined = lanes.reshape(2, half).T.ravel()
    split = f"split-halves-{k}"
    if width == 4 and split in PACKINGS:
        yield (
            f"{split}-read-as-dense",
            f"the bytes are written as {split} and read as dense",
            joined,
        )
        text = f"the bytes are written as dense and read as {split}"
        yield f"dense-read-as-{split}", text, np.argsort(joined)
    yield "lanes-interleaved", "the two halves of each block are interleaved", joined
    text = "the elements at even places stand before those at odd places"
    yield "even-lanes-first", text, np.argsort(joined)
    yield "halves-swapped", "the two halves of each block are swapped", (lanes + half) % k


@lru_cache(maxsize=64)
def bit_orders(k: int, width: int) -> tuple[Order, ...]:
    """Orders of the k * width bits of the codes of a block that are no order of whole codes."""
    whole = {_bits_of(order.places, width).tobytes() for order in lane_orders(k, width)}
    found = distinct(_bits(k, width))
    return tuple(order for order in found if order.places.tobytes() not in whole)


def _bits_of(lanes: Array, width: int) -> Array:
    """An order of codes as one of their bits."""
    places: Array = (lanes[:, None] * width + np.arange(width)).ravel()
    return places


def _bits(k: int, width: int) -> Iterator[Order]:
    bits = np.arange(k * width)
    known = [record for record in (*PACKINGS.values(), HIGH_BITS_FIRST) if _packs(record, k, width)]
    for written, read in permutations(known, 2):
        places = np.argsort(_positions(written, k, width))[_positions(read, k, width)]
        text = f"the bytes are written as {written} and read as {read}"
        yield Order(f"{written}-read-as-{read}", text, places)
    for word in _WORDS:
        if k * width % word == 0:
            text = f"the bytes of each {word}-bit word are in reverse order"
            places = bits ^ (word - 8)
            yield Order(f"bytes-of-{word}-bit-words-reversed", text, places)
    text = "the bits of each code are in reverse order"
    yield Order("bits-reversed", text, bits.reshape(k, width)[:, ::-1].ravel())


def _packs(record: Packing, k: int, width: int) -> bool:
    """Whether a packing takes these codes and leaves no bit unused."""
    fits = width in record.widths and not (record.whole and k % record.group)
    return fits and record.size(k, width) * 8 == k * width


@lru_cache(maxsize=64)
def _positions(record: Packing, k: int, width: int) -> Array:
    """Where each bit of each code sits, in bits from the start."""
    places = [record.position(i, bit, k, width) for i in range(k) for bit in range(width)]
    return np.array([8 * byte + bit for byte, bit in places])


@lru_cache(maxsize=64)
def record_orders(k: int, width: int, scale_width: int) -> tuple[Order, ...]:
    """Orders of the bits of a scale and the codes behind it: the scale stands at the other end of each block."""
    if k * width % 8 or scale_width % 8:
        return ()
    return tuple(distinct(_records(k, width, scale_width)))


def _records(k: int, width: int, scale_width: int) -> Iterator[Order]:
    known = [record for record in (*PACKINGS.values(), HIGH_BITS_FIRST) if _packs(record, k, width)]
    for (one, other), (written, read) in product(
        permutations(("first", "last")), product(known, known)
    ):
        from_places = _record_positions(one, written, k, width, scale_width)
        to_places = _record_positions(other, read, k, width, scale_width)
        places = np.argsort(from_places)[to_places]
        name = f"scale-{one}-read-as-{other}"
        text = f"blocks are written with the scale {one} and read with the scale {other}"
        if written.name != "dense" or read.name != "dense":
            name += f"-and-{written}-read-as-{read}"
            text += f", codes written as {written} and read as {read}"
        yield Order(name, text, places)


def _record_positions(place: str, record: Packing, k: int, width: int, scale_width: int) -> Array:
    """Where each bit of a scale and its codes sits in a block with the scale in the first or last place."""
    codes, scale = _positions(record, k, width), np.arange(scale_width)
    if place == "first":
        return np.concatenate([scale, codes + scale_width])
    return np.concatenate([scale + k * width, codes])


def scale_orders(n: int) -> Iterator[Order]:
    """Orders of the scales of n blocks, whose rows and columns are not known."""
    places = np.arange(n)
    yield Order("scales-reversed", "the scales are in reverse order", places[::-1].copy())
    for step, which in ((-1, "next"), (1, "previous")):
        text = f"each block has the scale of the {which} one"
        yield Order(f"scales-of-{which}-block", text, np.roll(places, step))
    for size in (2, 4):
        moved = places ^ (size - 1)
        text = f"the scales of each {8 * size}-bit word are in reverse order"
        if n % size == 0:
            yield Order(f"scales-of-{8 * size}-bit-words-reversed", text, moved)
    for columns in (size for size in range(1, min(n, MOST) + 1) if n % size == 0 and n <= MOST):
        yield from matrix_orders(n // columns, columns)


def matrix_orders(rows: int, columns: int) -> Iterator[Order]:
    """Orders of a matrix of scales: transposed, or in an arrangement that one side does not know of."""
    matrix = np.arange(rows * columns).reshape(rows, columns)
    if rows > 1 and columns > 1:
        text = f"the {rows} x {columns} scales are transposed"
        yield Order("scales-transposed", text, matrix.T.ravel())
    for record in ARRANGEMENTS.values():
        if record.size(rows, columns) > 64 * matrix.size + 8192:
            continue  # hardly anything but padding
        offsets = offsets_of(record, rows, columns)
        padded = np.full(record.size(rows, columns), FILLED, dtype=np.int64)
        padded[offsets] = matrix.ravel()
        text = f"the scales are written as {record} and read row by row"
        yield Order(f"{record}-read-as-row-major", text, padded[: matrix.size], record.fill)
        plain = np.full(record.shape(rows, columns), FILLED, dtype=np.int64)
        plain[:rows, :columns] = matrix
        text = f"the scales are written row by row and read as {record}"
        yield Order(f"row-major-read-as-{record}", text, plain.ravel()[offsets], record.fill)


def offsets_of(record: Arrangement, rows: int, columns: int) -> Array:
    """The byte that holds each scale of a matrix, row by row."""
    row, column = (index.ravel() for index in np.indices((rows, columns)))
    index = {Axis.ROW: row, Axis.COLUMN: column}
    offset = np.zeros(rows * columns, dtype=np.int64)
    for digit, count in zip(record.digits, record.counts(rows, columns), strict=True):
        offset = offset * count + index[digit.axis] // digit.unit % count
    return offset
