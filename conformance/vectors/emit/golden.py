"""Golden Verilog: an encoder or a decoder as a table in a synthesizable module, for formal equivalence.

Under one scale an encoder of any MX element is a step function of its input, some 256 rows for E4M3. So all 2^32
inputs of somebody's encoder can be proved against a module of that size, in seconds and without a simulator. A decoder
is one row a code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from conformance.rendering import render
from mxemu import __version__
from mxemu.block import value_bits
from mxemu.errors import BadValue
from mxemu.formats import BINARY32, E8M0, ElementFormat, FloatFormat
from mxemu.formats import carrier as find_carrier
from mxemu.formats import element as find_element
from mxemu.profile import OCP, Profile
from mxemu.runs import Runs, runs
from mxemu.scalar import check_code, decode
from mxemu.value import Value


class Row(NamedTuple):
    """One line of a module: Verilog literals and a comment."""

    key: str
    result: str
    comment: str


def golden_encoder(
    element: ElementFormat | str,
    carrier: FloatFormat | str = BINARY32,
    profile: Profile = OCP,
    scale_code: int | None = None,
    name: str | None = None,
) -> str:
    """A Verilog module that holds a whole encoder: ``value`` in, ``code`` out.

    Parameters
    ----------
    element : FloatFormat, IntFormat or str
    carrier : FloatFormat or str
        Of the input.
    profile : Profile
        Any rounding but STOCHASTIC.
    scale_code : int, optional
        E8M0 code of the scale that every input is divided by; none encodes the input itself.
    name : str, optional
        Of the module; from the formats, such as ``mx_golden_e4m3_binary32_s127``, if not given.

    Returns
    -------
    str
        Verilog 2001, which SystemVerilog includes.

    Raises
    ------
    BadCode
        When the scale is no E8M0 code.
    BadValue
        For the NaN scale, under which codes mean nothing (MX 4), and for STOCHASTIC rounding.

    Examples
    --------
    >>> text = golden_encoder("E2M1", "bfloat16", scale_code=127)
    >>> print(text[text.index("module"):].splitlines()[0])
    module mx_golden_e2m1_bfloat16_s127 (
    """
    element, carrier = find_element(element), find_carrier(carrier)
    table = runs(element, carrier, profile, _scale(scale_code))
    rows = list(_encoder_rows(table))
    return render(
        "golden_encoder.sv.j2",
        {
            "version": __version__,
            "name": name or _name((element, carrier), profile, scale_code),
            "element": element,
            "carrier": carrier,
            "profile": profile.describe(),
            "scale_code": scale_code,
            "rows": rows,
        },
    )


def golden_decoder(
    element: ElementFormat | str, carrier: FloatFormat | str = BINARY32, name: str | None = None
) -> str:
    """A Verilog module that holds a whole decoder: ``code`` in, ``value`` out.

    Parameters
    ----------
    element : FloatFormat, IntFormat or str
    carrier : FloatFormat or str
        Of the result. Every MX element is exact in binary32 and bfloat16; other carriers round ties to even.
    name : str, optional
        Of the module.

    Returns
    -------
    str

    Notes
    -----
    NaN is the positive quiet NaN without payload; the specification does not say which one it has to be.
    """
    element, carrier = find_element(element), find_carrier(carrier)
    return render(
        "golden_decoder.sv.j2",
        {
            "version": __version__,
            "name": name or _name((element, carrier), OCP, None, "decode"),
            "element": element,
            "carrier": carrier,
            "rows": list(_decoder_rows(element, carrier)),
        },
    )


def _scale(code: int | None) -> Value | None:
    """The value of a scale code that numbers can be divided by."""
    if code is None:
        return None
    scale = decode(check_code(code, E8M0), E8M0)
    if scale.is_nan:
        raise BadValue(f"scale_code = {code:#x} is NaN; expected 0 to {E8M0.max_code:#x}")
    return scale


def _encoder_rows(table: Runs) -> Iterator[Row]:
    """Each run as the first input after it; the last one has none."""
    width, digits = table.carrier.width, -(-table.carrier.width // 4)
    for index, code in enumerate(table.codes):
        after = f"{width}'h{table.last(index) + 1:0{digits}x}"
        yield Row(after, _literal(code, table.element), str(decode(code, table.element)))


def _decoder_rows(element: ElementFormat, carrier: FloatFormat) -> Iterator[Row]:
    """Each code and the bits of its value."""
    digits = -(-carrier.width // 4)
    for code in range(1 << element.width):
        bits = value_bits(decode(code, element), carrier)
        result = f"{carrier.width}'h{bits:0{digits}x}"
        yield Row(_literal(code, element), result, str(decode(code, element)))


def _literal(code: int, element: ElementFormat) -> str:
    return f"{element.width}'h{code:0{-(-element.width // 4)}x}"


def _name(
    formats: tuple[ElementFormat, FloatFormat],
    profile: Profile,
    scale_code: int | None,
    verb: str = "",
) -> str:
    """An identifier that says what the module holds."""
    words = ["mx_golden", *[verb] * bool(verb), *[fmt.name for fmt in formats]]
    words += [f"s{scale_code}"] if scale_code is not None else []
    words += [profile.name] if not profile.same_choices(OCP) else []
    text = "_".join(words).lower()
    return "".join(letter if letter.isalnum() else "_" for letter in text)
