"""Thirty quantized blocks, six dot products and single conversions with their exact answers.

MX-6.3-SCALE, MX-6.3-ELEM, MX-6.3-CLAMP with the exact FLOOR scale, ties to even, clamped, INT8 symmetric, the sign of
zero kept; single conversions: MX-5.3.1-SAT, MX-5.3.1-OVF, MX-5.3.2-SAT, MX-5.3.2-UFLOW, MX-5.3.3-SAT, MX-5.3.3-UFLOW.
"""

from __future__ import annotations

from fractions import Fraction

K = 32


def padded(text: str) -> tuple[Fraction, ...]:
    """Numbers separated by blanks, filled up with zeros to a block."""
    numbers = [Fraction(word) for word in text.split()]
    return (*numbers, *[Fraction(0)] * (K - len(numbers)))


INPUTS = {
    "A": tuple((-1) ** i * Fraction(5 * (i + 1), 16) for i in range(K)),
    "B": tuple(
        (-1 if i % 3 == 0 else 1) * Fraction(23, 16) * Fraction(2) ** (i - 20) for i in range(K)
    ),
    "C": padded("7 -7 5 3.5 2.5 1.75 1.25 .75 .25 -.25 .5 6 6.5 -6.75 .125 -1/1024"),
    "D": padded("511 464 465 480 -464 17 -19 1/1024 3/1024 1/512"),
    "E": padded("255/128 -255/128 3/128 -3/128 1/128 -1/128 127/64 1"),
}

# Input, element format, scale code, element codes in order; ".." stands for zero codes up to the end.
_ROWS = """
A E4M3 122 52da5fe264e769ea6bec6eef70f171f273f374f475f676f778f878f979f97afa
A E5M2 115 65e96ced6ef070f172f273f474f475f575f676f677f777f878f878f879f979f9
A E3M2 126 092d1031123414351636173818381939193a1a3a1b3b1b3c1c3c1c3c1d3d1d3d
A E2M3 128 012204250628092a0b2c0e2f1031113213331434153616371838183919391a3a
A E2M1 128 00090109020a020a030b030c040c040c050d050d050d060e060e060e060e060e
A INT8 130 02fb08f60cf112ec16e71ce220dd26d82ad330ce34c93ac43ebf44ba48b54eb0
B E4M3 130 80000080000080000080000080010183060c941c24ac343cc44c54dc646cf47c
B E5M2 123 8103068a0e12961a1ea2262aae3236ba3e42c64a4ed2565ade6266ea6e72f67a
B E3M2 134 20000020000020000020000020000020000020000020010123060a2e12163a1e
B E2M3 136 20000020000020000020000020000020000020000020000020010123060c341c
B E2M1 136 0800000800000800000800000800000800000800000800000800000901030d07
B INT8 138 000000000000000000000000000000000000000000000000ff0103fa0c17d25c
C E4M3 121 7efe7a76726e6a6458d8607c7dfe5098..
C E5M2 114 7bfb79777573716e68e86c7a7afb64c8..
C E3M2 125 1f3f1d1b191715120c2c101e1e3f0820..
C E2M3 127 1e3e1a16120e0a060222041c1d3e0120..
C E2M1 127 070f06060404020200080107070f0008..
C INT8 129 70905038281c140c04fc086068940200..
D E4M3 127 7e7e7e7efe58da000201..
D E5M2 120 7b7b7b7bfb68e9303634..
D E3M2 131 1f1f1f1f3f0c2d..
D E2M3 133 1f1e1f1f3e0222..
D E2M1 133 070707070f0109..
D INT8 135 7f7474788c04fb..
E E4M3 119 7efe4ccc40c07e78..
E E5M2 112 7bfb62e25cdc7b78..
E E3M2 123 1f3f062602221f1c..
E E2M3 125 1f3f012100201f18..
E E2M1 125 070f000800080706..
E INT8 127 7f8102fe00007f40..
"""


def _row(line: str) -> tuple[str, str, int, tuple[int, ...]]:
    source, element, scale, codes = line.split()
    found = bytes.fromhex(codes.removesuffix(".."))
    return source, element, int(scale), (*found, *[0] * (K - len(found)))


ROWS = [_row(line) for line in _ROWS.strip().splitlines()]

# The second element of block E in INT8 where code 0x80 is used (MX-5.3.4-NEG2).
E_INT8_WITH_MINIMUM = (127, (0x7F, 0x80, 0x02, 0xFE, 0x00, 0x00, 0x7F, 0x40))

# Dot of the dequantized blocks A and B (MX-6.1-DOT), exact, and rounded once to binary32, ties to even.
DOTS = {
    "E4M3": (Fraction(-1524489, 32), 0xC73A1848),
    "E5M2": (Fraction(-809024685203, 16777216), 0xC73C5DA1),
    "E3M2": (Fraction(-48200), 0xC73C4800),
    "E2M3": (Fraction(-47808), 0xC73AC000),
    "E2M1": (Fraction(-38912), 0xC7180000),
    "INT8": (Fraction(-45248), 0xC730C000),
}

# Element format, value, code under SATURATE, code under OVERFLOW; ties to even. Decimal texts are rounded to binary32
# first: 464.00003 is the binary32 number above 464.
SINGLES = [
    ("E4M3", "464", 0x7E, 0x7E),
    ("E4M3", "464.00003", 0x7E, 0x7F),
    ("E4M3", "-1e9", 0xFE, 0xFF),
    ("E4M3", "Inf", 0x7E, 0x7F),
    ("E4M3", "-Inf", 0xFE, 0xFF),
    ("E4M3", "480", 0x7E, 0x7F),
    ("E4M3", "1/1024", 0x00, 0x00),
    ("E5M2", "61439.996", 0x7B, 0x7B),
    ("E5M2", "61440", 0x7B, 0x7C),
    ("E5M2", "-61440", 0xFB, 0xFC),
    ("E5M2", "Inf", 0x7B, 0x7C),
    ("E5M2", "-Inf", 0xFB, 0xFC),
    ("E5M2", "1/131072", 0x00, 0x00),
    ("E2M1", "5", 0x6, 0x6),
    ("E2M1", "2.5", 0x4, 0x4),
    ("E2M1", "0.75", 0x2, 0x2),
    ("E2M1", "-1e-30", 0x8, 0x8),
    ("E2M1", "0.25", 0x0, 0x0),
    ("E2M1", "7", 0x7, 0x7),
    ("E2M1", "-Inf", 0xF, 0xF),
    ("E3M2", "5", 0x15, 0x15),
    ("E3M2", "30", 0x1F, 0x1F),
    ("E3M2", "31.9", 0x1F, 0x1F),
    ("E3M2", "1e9", 0x1F, 0x1F),
    ("E3M2", "1/32", 0x00, 0x00),
    ("E3M2", "Inf", 0x1F, 0x1F),
    ("E2M3", "5", 0x1A, 0x1A),
    ("E2M3", "7.75", 0x1F, 0x1F),
    ("E2M3", "1/16", 0x00, 0x00),
    ("E2M3", "-Inf", 0x3F, 0x3F),
    ("INT8", "255/128", 0x7F, 0x7F),
    ("INT8", "Inf", 0x7F, 0x7F),
    ("INT8", "-Inf", 0x81, 0x81),
]

# Where rounding, ties to even, leaves the format: the smallest magnitude that overflows, or the last that does not.
FIRST_OVERFLOW = {"E5M2": "61440", "E3M2": "30", "E2M3": "7.75", "E2M1": "7", "INT8": "255/128"}
LAST_IN_RANGE = {"E4M3": "464"}

# The seven ties of E2M1 and their values under three roundings (MX-5.3.3-RNE, MX-5.3.3-RND).
TIES = ["0.25", "0.75", "1.25", "1.75", "2.5", "3.5", "5"]
TIES_ROUNDED = {
    "TIES_TO_EVEN": ["0", "1", "1", "2", "2", "4", "4"],
    "TIES_TO_AWAY": ["0.5", "1", "1.5", "2", "3", "4", "6"],
    "TOWARD_ZERO": ["0", "0.5", "1", "1.5", "2", "3", "4"],
}
