"""Values, formats, profiles and blocks for the laws: dense where formats begin, end and tie."""

from __future__ import annotations

from hypothesis import strategies as st

from mxemu import formats
from mxemu.formats import BlockFormat, ElementFormat, FloatFormat, IntFormat
from mxemu.profile import OCP, Overflow, Profile, Rounding
from mxemu.value import Kind, Value

DETERMINISTIC = [rounding for rounding in Rounding if rounding is not Rounding.STOCHASTIC]
ENCODABLE = [form for name, form in formats.ELEMENTS.items() if name != "E8M0"]


def elements() -> st.SearchStrategy[ElementFormat]:
    """Registered elements, and small formats of every build."""
    return st.one_of(st.sampled_from(ENCODABLE), floats(), integers())


def integers() -> st.SearchStrategy[IntFormat]:
    return st.builds(
        lambda width, fraction_bits: IntFormat("int", width, fraction_bits),
        st.integers(2, 10),
        st.integers(0, 9),
    )


@st.composite
def floats(draw: st.DrawFn) -> FloatFormat:
    """A float of at most 9 bits with subnormals, and its special codes at the top or at -0."""
    exponent_bits, mantissa_bits = draw(st.integers(1, 4)), draw(st.integers(0, 4))
    top = (1 << (exponent_bits + mantissa_bits)) - 1
    bias = draw(st.integers(-3, 20))
    room = top - max(2, 1 << mantissa_bits)
    nans = draw(st.integers(0, min(3, max(room, 0))))
    inf = draw(st.booleans()) and room > nans
    return FloatFormat(
        "float",
        exponent_bits,
        mantissa_bits,
        bias,
        inf=top - nans if inf else None,
        nans=range(top + 1 - nans, top + 1),
        negative_zero=draw(st.booleans()),
    )


def smallest_exponent(form: ElementFormat) -> int:
    """Exponent of the unit in the last place of the smallest numbers."""
    return form.min_positive.exponent


@st.composite
def values_of(draw: st.DrawFn, form: ElementFormat, limit: int = 4) -> Value:
    """A finite value from far below the smallest number of a format to a little above the largest."""
    low, high = smallest_exponent(form), form.max.leading + limit
    leading = draw(st.integers(low - 3, high))
    extra = draw(st.integers(0, 8))
    kept = draw(st.integers(0, (1 << (form.mantissa_bits + extra)) - 1))
    significand = (1 << (form.mantissa_bits + extra)) | kept
    sign = draw(st.integers(0, 1))
    if draw(st.integers(0, 30)) == 0:
        return Value(sign, 0, leading)
    return Value(sign, significand, leading - form.mantissa_bits - extra)


def profiles() -> st.SearchStrategy[Profile]:
    """A deterministic rounding with either overflow rule."""
    return st.builds(
        lambda rounding, overflow: OCP.replace(rounding=rounding, overflow=overflow),
        st.sampled_from(DETERMINISTIC),
        st.sampled_from(list(Overflow)),
    )


def finite(
    sign: tuple[int, int], significand: tuple[int, int], exponent: tuple[int, int]
) -> st.SearchStrategy[Value]:
    """Finite values with parts in these ranges, both ends included."""
    parts = st.tuples(st.integers(*sign), st.integers(*significand), st.integers(*exponent))
    return parts.map(lambda drawn: Value(*drawn))


def wide_values() -> st.SearchStrategy[Value]:
    """Finite values of up to 70 bits, anywhere that binary64 can reach."""
    return finite((0, 1), (0, (1 << 70) - 1), (-1100, 900))


def any_values() -> st.SearchStrategy[Value]:
    special = st.builds(
        lambda sign, kind: Value(sign, 0, 0, kind),
        st.integers(0, 1),
        st.sampled_from([Kind.INF, Kind.NAN]),
    )
    return st.one_of(wide_values(), special)


@st.composite
def blocks(draw: st.DrawFn, fmt: BlockFormat) -> list[Value]:
    """A block of finite values around one another, of a size that binary32 holds with room on both sides."""
    base = draw(st.integers(-60, 60))
    numbers = finite((0, 1), (0, 4095), (base - 14, base))
    return draw(st.lists(numbers, min_size=fmt.k, max_size=fmt.k))
