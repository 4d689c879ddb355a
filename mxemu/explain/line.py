"""The real line as a format sees it: its values in order, and the reals that become each of them."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from mxemu.explain.conversion import Point, convert, further, point
from mxemu.formats import ElementFormat, IntFormat
from mxemu.profile import Profile
from mxemu.scalar import decode
from mxemu.value import INF, ZERO, Value, from_fraction


class Interval(NamedTuple):
    """Reals between two ends. An end is Inf where there is none; it is closed there if Inf itself belongs to it."""

    low: Value
    low_closed: bool
    high: Value
    high_closed: bool


class Line:
    """The values of a format in order, and the code that each real number between them becomes.

    Places are integers: 0 and up for +0 and the positive values, -1 and down for -0 and the negative ones. One place
    beyond either end stands for all that is further out.

    Parameters
    ----------
    fmt : FloatFormat or IntFormat
    profile : Profile
    """

    def __init__(self, fmt: ElementFormat, profile: Profile) -> None:
        self.fmt = fmt
        self.profile = profile
        self.high = fmt.max_code + 1
        if isinstance(fmt, IntFormat):
            self.low = -fmt.max_code - 3
        elif fmt.signed:
            self.low = -fmt.max_code - 2
        else:
            self.low = 0 if fmt.subnormals else -1

    def at(self, place: int) -> Value:
        """The value at a place; beyond the end, the one that would come next."""
        sign, magnitude = int(place < 0), place if place >= 0 else -place - 1
        if isinstance(self.fmt, IntFormat):
            return Value(sign, magnitude, -self.fmt.fraction_bits)
        if sign and not self.fmt.subnormals:
            return ZERO
        if magnitude > self.fmt.max_code:
            return further(self.fmt.max)._replace(sign=sign)
        return decode(magnitude, self.fmt)._replace(sign=sign)

    def code(self, place: int) -> int:
        """The code at a place."""
        if place >= 0:
            return place
        magnitude = -place - 1
        if isinstance(self.fmt, IntFormat):
            return -magnitude & ((1 << self.fmt.width) - 1)
        return magnitude | self.fmt.sign_mask if magnitude or self.fmt.negative_zero else 0

    def place(self, code: int) -> int | None:
        """The place of a code; None for Inf and NaN."""
        if isinstance(self.fmt, IntFormat):
            return code - (1 << self.fmt.width) - 1 if code & self.fmt.min_code else code
        magnitude = code & self.fmt.magnitude_mask
        if magnitude > self.fmt.max_code or not decode(code, self.fmt).is_finite:
            return None
        return -magnitude - 1 if code & self.fmt.sign_mask else magnitude

    def point(self, place: int) -> Point | None:
        """The code and value at a place; None beyond the ends, where there is no code."""
        first = self.low + 1 if self.low < -1 else 0
        if not first <= place < self.high:
            return None
        return point(self.code(place), self.fmt)

    def neighbour(self, place: int, step: int) -> Point | None:
        """The next value in one direction; +0 and -0 are the same value."""
        following = place + step
        if self.at(following).is_zero and self.at(place).is_zero:
            following += step
        return self.point(following)

    def convert(self, value: Value) -> int:
        """The code that a value becomes."""
        return convert(value, self.fmt, self.profile).code

    def furthest(self, place: int, step: int, code: int) -> int:
        """The last place in one direction whose value becomes the code, which the value at `place` does."""
        inside, outside = place, self.high + 1 if step > 0 else self.low - 1
        probe = place + step
        while abs(outside - inside) > 1:
            if self.convert(self.at(probe)) == code:
                inside = probe
            else:
                outside = probe
            probe = (inside + outside) // 2
        return inside

    def end(self, place: int, step: int, code: int) -> tuple[Value, bool]:
        """Where the reals that become the code end in one direction, and whether the end belongs to them."""
        last = self.furthest(place, step, code)
        following = last + step
        if not self.low <= following <= self.high:
            return self._outer_end(last, step, code)
        if {last, following} == {-1, 0} and self.at(0).is_zero:
            return ZERO, last == 0
        first, half, third = (self._between(last, following, quarters) for quarters in (1, 2, 3))
        if self.convert(first) != code:
            return self.at(last), True
        if self.convert(half) != code:
            return half, False
        if self.convert(third) != code:
            return half, True
        return self.at(following), False

    def _outer_end(self, last: int, step: int, code: int) -> tuple[Value, bool]:
        if step < 0 and self.low >= -1:
            return self.at(last), True
        inf = INF._replace(sign=int(step < 0))
        return inf, self.convert(inf) == code

    def _between(self, place: int, following: int, quarters: int) -> Value:
        near, far = self.at(place).fraction(), self.at(following).fraction()
        return from_fraction(Fraction((4 - quarters) * near + quarters * far, 4))

    def interval(self, place: int, code: int) -> Interval | None:
        """The reals that become a code, around a place; None if the value there becomes another."""
        if self.convert(self.at(place)) != code:
            return None
        return Interval(*self.end(place, -1, code), *self.end(place, 1, code))
