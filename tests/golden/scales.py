"""Scale codes that are known from the documents and from published implementations.

Profiles, not requirements: only FLOOR is in the specification (MX-6.3-SCALE), the others are MX-6.3-ALT, and
conversions to E8M0 have no clause at all.
"""

from __future__ import annotations

# PTX cvt.{rz|rp}{.satfinite}.ue8m0x2.f32 on one number: binary32 bits, then the codes of rz, rz.satfinite, rp,
# rp.satfinite. The sign is ignored.
PTX_CONVERSIONS = [
    (0x00000000, 0, 0, 0, 0),  # 0
    (0x80000000, 0, 0, 0, 0),  # -0
    (0x00000001, 0, 0, 0, 0),  # 2^-149
    (0x00200000, 0, 0, 0, 0),  # 2^-128
    (0x003FFFFF, 0, 0, 0, 0),
    (0x00400000, 0, 0, 0, 0),  # 2^-127
    (0x00400001, 0, 0, 1, 1),
    (0x00600000, 0, 0, 1, 1),
    (0x007FFFFF, 0, 0, 1, 1),
    (0x00800000, 1, 1, 1, 1),  # 2^-126
    (0x00800001, 1, 1, 2, 2),
    (0x3F800000, 127, 127, 127, 127),  # 1.0
    (0xBF800000, 127, 127, 127, 127),  # -1.0
    (0x3F800001, 127, 127, 128, 128),  # 1.0000001
    (0x7F000000, 254, 254, 254, 254),  # 2^127
    (0x7F000001, 254, 254, 255, 254),
    (0x7F7FFFFF, 254, 254, 255, 254),  # the largest finite number
    (0x7F800000, 255, 254, 255, 254),  # Inf
    (0xFF800000, 255, 254, 255, 254),  # -Inf
    (0x7FC00000, 255, 255, 255, 255),  # NaN
    (0xFFC00001, 255, 255, 255, 255),
]

# Scale codes at ordinary amax. The column heads are decimal texts of binary32 numbers: 1.7499999 is the one below 7/4.
AMAX_E2M1 = [
    "1",
    "1.25",
    "1.5",
    "1.5000001",
    "1.7499999",
    "1.75",
    "1.7500001",
    "1.9999999",
    "6",
    "7",
    "448",
]
SCALES_E2M1 = {
    "FLOOR": (125, 125, 125, 125, 125, 125, 125, 125, 127, 127, 133),
    "CEIL": (125, 126, 126, 126, 126, 126, 126, 126, 128, 128, 134),
    "EVEN": (125, 125, 125, 125, 125, 126, 126, 126, 127, 128, 134),
    "EVEN_TIES_DOWN": (125, 125, 125, 125, 125, 125, 126, 126, 127, 127, 133),
    "RCEIL": (125, 125, 125, 126, 126, 126, 126, 126, 127, 128, 134),
    "FLOOR_OF_RATIO": (124, 124, 125, 125, 125, 125, 125, 125, 127, 127, 133),
    "LOG_NEAREST": (124, 125, 125, 125, 125, 125, 125, 125, 127, 127, 133),
}
AMAX_E4M3 = [
    "1",
    "1.5",
    "1.75",
    "1.7500001",
    "1.9375",
    "1.9999999",
    "448",
    "448.00003",
    "480",
    "496",
    "511.99997",
]
SCALES_E4M3 = {
    "FLOOR": (119, 119, 119, 119, 119, 119, 127, 127, 127, 127, 127),
    "CEIL": (119, 120, 120, 120, 120, 120, 128, 128, 128, 128, 128),
    "EVEN": (119, 119, 119, 119, 120, 120, 127, 127, 127, 128, 128),
    "RCEIL": (119, 119, 119, 120, 120, 120, 127, 128, 128, 128, 128),
    "EVEN_E2M1": (119, 119, 120, 120, 120, 120, 128, 128, 128, 128, 128),
}

# Scale codes of E2M1 blocks at unusual amax, by profile. "NaN" and "Inf" are what the block holds.
AMAX_SPECIAL = [
    "0",
    "2^-149",
    "2^-128",
    "2^-127",
    "2^-126",
    "2^-124",
    "1.5*2^-124",
    "max",
    "Inf",
    "NaN",
]
SCALES_SPECIAL = {
    "ocp": (0, 0, 0, 0, 0, 1, 1, 252, 255, 255),  # torchao FLOOR, microxcaling's CUDA path
    "ceil": (0, 0, 0, 0, 0, 1, 2, 253, 255, 255),  # torchao CEIL
    "even-carry-nan": (0, 0, 0, 0, 0, 1, 1, 255, 255, 255),  # torchao EVEN
    "rceil": (0, 0, 0, 0, 0, 1, 1, 253, 255, 255),  # torchao RCEIL
    "rceil-satfinite": (0, 0, 0, 0, 0, 1, 1, 253, 254, 255),  # TransformerEngine
    "rceil-subnormal-up": (0, 0, 1, 1, 1, 1, 1, 253, 255, 255),  # aiter RoundUp
    "log-nearest": (0, 0, 0, 0, 0, 0, 1, 252, 255, 255),  # MLX, its kernel
}
# amax is at least binary32 1e-4 there; NaN and Inf give the largest scale.
SCALES_AMAX_FLOOR = ("rceil-amax-floor", (112, 112, 112, 112, 112, 112, 112, 253, 254, 254))
