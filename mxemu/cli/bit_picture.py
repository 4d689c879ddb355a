"""Numbers as rows of bits, one below the other, as an adder sees them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mxemu.cli.text import WIDTH, columns
from mxemu.value import Value

# A window of at most so many bits is drawn as a whole; of a longer one, the parts where something happens.
_WHOLE = 40
_LEAST = 24


class Row(NamedTuple):
    """One number of a picture.

    Attributes
    ----------
    name : str
    value : Value
        Finite.
    cut : int or None
        Bits from 2^cut on are kept.
    cells : sequence of str
        What stands right of the bits.
    bar : bool
        Draw the cut.
    """

    name: str
    value: Value
    cut: int | None
    cells: Sequence[str] = ()
    bar: bool = True


class _Gap(NamedTuple):
    """Columns that are left out: the exponents from high down to low."""

    high: int
    low: int


def picture(
    rows: Sequence[Row],
    foot: Sequence[Row],
    window: tuple[int, int] | None,
    heads: Sequence[str] = (),
) -> list[str]:
    """Rows of bits in columns of equal weight; ``|`` stands where a row is cut, ``~`` for columns left out.

    Parameters
    ----------
    rows, foot : sequence of Row
        Those of the foot stand below a line.
    window : tuple of int, optional
        Exponents of the first and the last bit that are kept.
    heads : sequence of str
        Above the cells.

    Examples
    --------
    >>> three = Row("a", Value(0, 3, 0), 1, ("3",))
    >>> print("\\n".join(picture([three], [Row("sum", Value(0, 1, 1), 1, ("2",))], (2, 1))))
           2^2
    a    + .1|1  3
           --
    sum  + .1|   2
    """
    everything = [*rows, *foot]
    names = max((len(row.name) for row in everything), default=0)
    cells = [list(heads), *([*row.cells] for row in everything)]
    room = _room(names, cells)
    if room < _LEAST and len(heads) > 2:
        # What is kept can be read off the bits.
        cells = [row[:1] + row[2:] for row in cells]
        room = _room(names, cells)
    drawn = _Drawing(rows, foot, window, max(room, _LEAST))
    body = [
        [row.name, drawn.bits(row), *own] for row, own in zip(everything, cells[1:], strict=True)
    ]
    table = [
        ["", drawn.labels(), *cells[0]],
        *body[: len(rows)],
        ["", drawn.line()],
        *body[len(rows) :],
    ]
    return columns(table, right=range(2, 2 + len(heads)))


def _room(names: int, cells: Sequence[Sequence[str]]) -> int:
    """The columns that are left for bits: all but names, sign, marks, cells and the gaps between them."""
    count = max(map(len, cells), default=0)
    widths = [max(len(row[at]) for row in cells if at < len(row)) for at in range(count)]
    return WIDTH - 2 - names - 9 - sum(width + 2 for width in widths)


class _Drawing:
    """Which columns there are, and what a row shows in each."""

    def __init__(
        self,
        rows: Sequence[Row],
        foot: Sequence[Row],
        window: tuple[int, int] | None,
        room: int,
    ) -> None:
        self.window = window
        self.bars = {row.cut for row in rows if row.cut is not None and row.bar}
        needed = {place for row in rows for place in _places(row.value, _WHOLE)}
        needed |= {place for row in foot for place in _places(row.value, 0)} | self.bars
        if window is not None:
            high, low = window
            needed |= set(range(low, high + 1)) if high - low <= _WHOLE else {high, low}
        self.columns = _with_gaps(needed)
        self.beyond = len(self.columns) + len(self.bars) > room
        if self.beyond:
            self.columns = self.columns[: room - len(self.bars) - 1]
        self.spots = self._spots()

    def _spots(self) -> dict[int, int]:
        """The place of each exponent in a line; the sign and a blank come first."""
        spots, place = {}, 2
        for column in self.columns:
            if isinstance(column, int):
                spots[column] = place
            place += 1 + (isinstance(column, int) and column in self.bars)
        return spots

    def bits(self, row: Row) -> str:
        """Sign and bits of a row; ``.`` above its leading bit, ``>`` where it goes on."""
        value = row.value
        words = ["-" if value.sign else "+", " "]
        for column in self.columns:
            if isinstance(column, int):
                words.append(_digit(row, column))
                if column in self.bars:
                    words.append("|" if row.bar and row.cut == column else " ")
            else:
                ends = {_digit(row, column.high), _digit(row, column.low)}
                words.append(" " if ends == {" "} else "~")
        lowest = min(self.spots, default=0)
        goes_on = self.beyond and value.significand and _lowest(value) < lowest
        return "".join(words).rstrip() + (">" if goes_on else "")

    def labels(self) -> str:
        """The weights of the first column, of the last one that is kept, and of the last one."""
        if not self.spots:
            return ""
        wanted = [max(self.spots), *sorted(self.bars, reverse=True), min(self.spots)]
        line = ""
        for exponent in dict.fromkeys(wanted):
            words = f"2^{exponent}"
            spot = self.spots.get(exponent)
            if spot is None:
                continue
            # Left of the bar a label ends where its column is.
            start = spot - len(words) + 1 if exponent in self.bars else spot
            if not line or start > len(line):
                line = line.ljust(start) + words
        return line

    def line(self) -> str:
        """The line above the sum, as far as bits are kept."""
        last = min(self.bars, default=min(self.spots, default=0))
        return "  " + "-" * (self.spots.get(last, 2) - 1)


def _places(value: Value, whole: int) -> Iterable[int]:
    """The columns that a value needs: all of a short one, else those where its bits change."""
    if not value.significand:
        return []
    low, high = _lowest(value), value.leading
    if high - low <= whole:
        return range(low, high + 1)
    bits = {
        place: value.significand >> (place - value.exponent) & 1 for place in range(low, high + 1)
    }
    changes = {place for place in range(low, high) if bits[place] != bits[place + 1]}
    return {low, high} | changes | {place + 1 for place in changes}


def _lowest(value: Value) -> int:
    """The exponent of the last bit that is set."""
    return (value.significand & -value.significand).bit_length() - 1 + value.exponent


def _with_gaps(needed: set[int]) -> list[int | _Gap]:
    """Columns from high to low; six or more in a row that nobody needs become a gap."""
    found: list[int | _Gap] = []
    last: int | None = None
    for place in sorted(needed, reverse=True):
        if last is not None and last - place > 6:
            found.append(_Gap(last - 1, place + 1))
        elif last is not None:
            found += range(last - 1, place, -1)
        found.append(place)
        last = place
    return found


def _digit(row: Row, place: int) -> str:
    """What a row shows in a column."""
    value = row.value
    kept = row.cut is not None and place >= row.cut
    if not value.significand:
        return "." if kept else " "
    if place > value.leading:
        return "."
    if place < _lowest(value):
        return "0" if kept else " "
    return (
        str(value.significand >> (place - value.exponent) & 1) if place >= value.exponent else "0"
    )
