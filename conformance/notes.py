"""The register of notes: the mistakes that test cases are there to catch.

A case carries the key of the mistake that it catches. So a failing case says at once what to look for, and a suite can
be asked which mistakes it would notice. Every mistake here has been made in public, or follows from a sentence of the
specification that is easy to overlook. Where `seen` names a place, it can be read there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """One mistake.

    Attributes
    ----------
    key : str
        Words joined by hyphens; cases, reports and vector files carry it.
    title : str
        A few words for tables.
    bug : str
        What the wrong implementation does.
    effect : str
        What its user sees.
    clauses : tuple of str
        Ids of the clauses that decide the matter; where all of them leave a choice, the difference is one of
        convention.
    seen : str
        A public place where it was seen; empty if none is recorded.
    """

    key: str
    title: str
    bug: str
    effect: str
    clauses: tuple[str, ...]
    seen: str


NOTES: dict[str, Note] = {}
"""Every note by its key: rounding, range, special values, codes, scales, blocks, decoding, dot products, sweeps."""

_TIES = ("MX-5.3.1-OFP8", "MX-5.3.2-RNE", "MX-5.3.3-RNE", "MX-5.3.4-RNE", "MX-6.3-RNE")
_OVERFLOW = ("MX-5.3.1-SAT", "MX-5.3.1-OVF", "MX-5.3.2-SAT", "MX-5.3.3-SAT", "MX-5.3.4-SAT")
_INF = ("MX-5.3.1-SAT", "MX-5.3.1-OVF", "MX-5.3.2-INF", "MX-5.3.3-INF", "MX-5.3.4-INF")
_NAN = ("MX-5.3.1-SAT", "MX-5.3.1-OVF", "MX-5.3.2-NAN", "MX-5.3.3-NAN", "MX-5.3.4-NAN")
_UNDERFLOW = ("MX-5.3.1-OFP8", "MX-5.3.2-UFLOW", "MX-5.3.3-UFLOW")
_ENCODINGS = ("MX-5.3.1-ENC", "MX-5.3.2-ENC", "MX-5.3.3-ENC", "MX-5.3.4-ENC")
_CAST_TO_SCALE = ("MX-4-SCOPE-SCALEALG", "MX-6.3-ALT")


def _note(
    key: str, title: str, *, bug: str, effect: str, clauses: tuple[str, ...], seen: str = ""
) -> None:
    assert key not in NOTES, f"{key} is given twice"
    NOTES[key] = Note(key, title, bug, effect, clauses, seen)


# Rounding.

_note(
    "ties-to-even",
    "Tie not resolved to the even code",
    bug=(
        "A value half-way between two codes goes to a side chosen by another rule than evenness "
        "of the code."
    ),
    effect=(
        "Exact ties differ, all other inputs agree; scaled bfloat16 and integer data hit ties "
        "often."
    ),
    clauses=_TIES,
    seen="microsoft/microxcaling, whose default round='nearest' takes ties away from zero",
)
_note(
    "half-up-ties",
    "Half added, then truncated",
    bug="Half an ulp is added to the magnitude and the rest is cut, so every tie goes up.",
    effect=(
        "Ties below an odd code differ, ties below an even one agree: in E2M1 only 0.25, 1.25, "
        "2.5 and 5."
    ),
    clauses=_TIES,
    seen="triton-lang/triton issue 5925 (9 to E5M2); ROCm/aiter issue 974 and PR 3992 (E2M1)",
)
_note(
    "truncation",
    "Low bits cut off",
    bug="The mantissa is shortened without rounding.",
    effect=(
        "About half of all inexact results are one code too small in magnitude, a bias towards "
        "zero."
    ),
    clauses=_TIES,
    seen="microsoft/microxcaling round='floor'",
)
_note(
    "sticky-lost",
    "Low bits ignored in the tie decision",
    bug=(
        "Only some of the discarded bits reach the sticky bit, so a value just above a tie is "
        "taken for a tie."
    ),
    effect=(
        "Wrong only when all set bits below the half are in the ignored part: random tests rarely "
        "draw it."
    ),
    clauses=_TIES,
    seen="onnx/onnx PR 7784: a mask that left out two mantissa bits",
)
_note(
    "double-rounding",
    "Rounded twice",
    bug=(
        "The input is first rounded to an intermediate format, often binary16 or binary32, and "
        "then to the element."
    ),
    effect=(
        "A value next to a tie becomes the tie in the first step and goes to the wrong side in "
        "the second."
    ),
    clauses=_TIES,
    seen=(
        "jax-ml/ml_dtypes PR 401 (binary64 by way of binary32); triton-lang/triton PR 10846 (by "
        "way of binary16)"
    ),
)
_note(
    "carry-lost",
    "Rounding carry does not reach the exponent",
    bug=(
        "When rounding up overflows an all-ones mantissa, the carry is dropped or merged into the "
        "exponent with OR."
    ),
    effect="The result is half of what it should be, for inputs just below a power of two.",
    clauses=_TIES,
    seen="triton-lang/triton PR 9808, discussion (1.97 and 126.2386 to E4M3)",
)

# The ends of the range.

_note(
    "early-saturation",
    "Overflow judged before rounding",
    bug=(
        "A magnitude above the largest finite value counts as overflow although it rounds down to "
        "that value."
    ),
    effect=(
        "Without clamping, 448 < x <= 464 becomes NaN in E4M3, and 57344 < x < 61440 Inf in E5M2."
    ),
    clauses=_OVERFLOW,
)
_note(
    "late-saturation",
    "Overflow begins too late",
    bug=(
        "Overflow starts at the next code that would exist, 480 in E4M3, instead of half-way to it."
    ),
    effect=(
        "Values between the tie and that code stay finite without clamping, or reach a code that "
        "is no number."
    ),
    clauses=_OVERFLOW,
)
_note(
    "carry-into-nan",
    "Rounding carries into a special code",
    bug=(
        "The code is incremented without a look at the result, so rounding up from the largest "
        "code leaves the range."
    ),
    effect=(
        "E4M3 464.1 gives 0x7F, a NaN; in E2M1, E3M2 and E2M3 the carry can run into the sign bit."
    ),
    clauses=_OVERFLOW,
)
_note(
    "overflow-policy",
    "Another overflow mode",
    bug=(
        "Clamping where overflow to Inf or NaN was asked for, or the reverse. FP8 needs both modes."
    ),
    effect="Large values become 448 where NaN was expected, or NaN where 448 was.",
    clauses=("MX-5.3.1-SAT", "MX-5.3.1-OVF", "MX-5.3.1-OTHER", "MX-6.3-CLAMP"),
    seen="ml_dtypes 0.6.0 FP8 casts overflow and offer no clamping",
)
_note(
    "inf-policy",
    "Inf treated apart",
    bug=(
        "An infinite input is passed on, dropped or turned into NaN instead of counting as out of "
        "range."
    ),
    effect="One Inf in the input gives NaN or a finite number that the chosen mode does not give.",
    clauses=_INF,
)
_note(
    "subnormal-flush",
    "Subnormal elements become zero",
    bug="Element codes with exponent field zero are never produced, or are read as zero.",
    effect="Small values vanish: in E2M1 +-0.5, two of sixteen codes.",
    clauses=("MX-5.3-SUBNORMAL", *_ENCODINGS[:3], *_UNDERFLOW[1:]),
    seen=(
        "tilelang PR 2710 (reading); tenstorrent/tt-metal issue 51971 (writing, a binade too small)"
    ),
)
_note(
    "input-subnormal-flush",
    "Subnormal inputs become zero",
    bug=(
        "Subnormal binary32 inputs are treated as zero, usually by a flush-to-zero mode of the "
        "hardware."
    ),
    effect=(
        "Blocks with a tiny largest magnitude become zero. Invisible while all scales are near 1."
    ),
    clauses=("MX-6.3-SCALE", "MX-6.3-ELEM", "MX-6.3-ALT"),
    seen="microsoft/microxcaling option mx_flush_fp32_subnorms; arXiv 2310.10537, algorithm 1",
)
_note(
    "underflow-to-zero-tie",
    "Half the smallest subnormal rounds up",
    bug="The tie between zero and the smallest subnormal goes up; zero is the even code.",
    effect=(
        "2^-10 in E4M3, 2^-17 in E5M2, 2^-5 in E3M2, 2^-4 in E2M3 and 0.25 in E2M1 do not become "
        "zero."
    ),
    clauses=(*_TIES, *_UNDERFLOW[1:]),
    seen="ROCm/aiter issue 974 (E2M1 by tie)",
)
_note(
    "smallest-subnormal",
    "Cut-off above half the smallest subnormal",
    bug="Everything below the smallest subnormal becomes zero without being rounded.",
    effect=(
        "Values between half and all of the smallest subnormal become zero and lose all of their "
        "size."
    ),
    clauses=(*_TIES, *_UNDERFLOW[1:]),
    seen="tenstorrent/tt-metal issue 51971 (E2M1, just above 0.25)",
)
_note(
    "negative-zero-lost",
    "Sign of zero dropped",
    bug="-0, or a negative value that rounds to zero, gives the code of +0.",
    effect="OFP8 requires the sign in FP8; MX says nothing for FP6 and FP4, where both are in use.",
    clauses=("MX-5.3.1-OFP8", "MX-5.3.2-UFLOW", "MX-5.3.3-UFLOW"),
    seen="DeepGEMM and ggml never produce -0; Model-Optimizer's MXFP4 packer writes -0 for +0",
)

# Special values.

_note(
    "nan-dropped",
    "NaN becomes a number",
    bug="NaN is converted by the rule for numbers, in either direction.",
    effect=(
        "E4M3 0x7F reads as 480, or a NaN input gives a finite code although the element has a NaN."
    ),
    clauses=("MX-5.3.1-ENC", *_NAN),
    seen=(
        "ml-explore/mlx issue 4135 (E4M3 NaN read as +-480); ml_dtypes 0.6.0 turns NaN into -0 in "
        "E2M1"
    ),
)
_note(
    "nan-payload",
    "NaN known by one mantissa bit only",
    bug="NaN is recognised by its quiet bit, or by the mantissa bits that survive shortening.",
    effect=(
        "A NaN with only low mantissa bits set, as signalling NaNs may have, is taken for Inf or "
        "a number."
    ),
    clauses=_NAN,
    seen="microsoft/onnxruntime PR 16940, review",
)
_note(
    "nan-sign",
    "Sign of NaN not kept",
    bug="Every NaN becomes the same code, whatever its sign. That is allowed.",
    effect="0x7F or 0xFF in E4M3 where the other was expected; only a comparison of codes sees it.",
    clauses=("MX-5.3.1-OFP8",),
    seen="CUDA 12.9 headers give 0x7F for any NaN; bitstring 5.0.0 gives 0xFF",
)
_note(
    "special-ignores-scale",
    "Inf and NaN elements are scaled",
    bug="The scale is applied to the codes of Inf and NaN as if they were numbers.",
    effect="E5M2 Inf times 2^-127 becomes finite or NaN, or an E4M3 NaN a large number.",
    clauses=("MX-5.1-SPECIAL",),
)

# Codes of the element formats.

_note(
    "code-order",
    "Fields in the wrong place",
    bug=(
        "Sign, exponent field and mantissa are taken from other bits, or the bias of another "
        "format is used."
    ),
    effect="Decoding a code and encoding the value again does not give the code back.",
    clauses=(*_ENCODINGS, "MX-5.3-NORMAL"),
    seen="tenstorrent/tt-metal issue 51971: 132 of 256 E4M3 codes did not come back",
)
_note(
    "int8-minus-128",
    "INT8 code 0x80",
    bug="-2 is produced where the range is symmetric, or left out where it is used, or misread.",
    effect=(
        "Inputs at and below -127.5/64 give 0x80 or 0x81. Both are allowed; reading 0x80 as "
        "anything but -2 is not."
    ),
    clauses=("MX-5.3.4-NEG2", "MX-5.3.4-SAT", "MX-5.3.4-INF", "MX-5.3.4-ENC"),
    seen="gfloat 0.5.2 and bitstring 5.0.0 produce 0x80; microsoft/microxcaling does not",
)
_note(
    "int8-scale",
    "Implied 1/64 of INT8 missed",
    bug="INT8 elements are taken as n, n/127 or n/128 instead of n/64, or as sign and magnitude.",
    effect=(
        "Every MXINT8 value is off by a power of two or by 128/127; the block's scale hides it in "
        "a round trip."
    ),
    clauses=("MX-5.3.4-ENC", "MX-6.3-SCALE"),
    seen="amd/Quark issue 12 and microsoft/microxcaling issue 3 ask about it",
)

# Scales.

_note(
    "scale-byte-0",
    "Scale 0x00 taken for zero",
    bug="E8M0 0x00 is read as 0 instead of 2^-127, or never written.",
    effect="Whole blocks of tiny values become zero.",
    clauses=("MX-5.4.1-NOZERO", "MX-5.4.1-BIAS", "MX-5.4.1-RANGE"),
    seen="triton-lang/triton PR 11624; NVIDIA/TransformerEngine issue 2408 (a reciprocal of 1)",
)
_note(
    "scale-byte-254",
    "Scale 0xFE taken for Inf",
    bug="E8M0 0xFE is read as Inf, or its reciprocal 2^-127 is flushed to zero.",
    effect="Blocks at the upper end of the range become zero, Inf or NaN.",
    clauses=("MX-5.4.1-RANGE", "MX-5.4.1-NOINF"),
    seen="NVIDIA/TransformerEngine issue 2408 and PR 2647",
)
_note(
    "scale-byte-255",
    "Scale 0xFF not taken for NaN",
    bug="E8M0 0xFF is read as 2^128 or Inf, or a NaN block is given a finite scale.",
    effect="An invalid block turns into numbers, or its zeros into NaN and the rest into Inf.",
    clauses=("MX-5.1-NANSCALE", "MX-5.4.1-NAN", "MX-5.4.1-NOINF"),
    seen="llvm/llvm-project PR 214919; ggml; gpt-oss reference (ldexp with code - 127)",
)
_note(
    "shift23-scale",
    "Scale read as code << 23",
    bug="The E8M0 code is shifted into the exponent field of a binary32 and nothing else is done.",
    effect="Right for 254 of 256 codes; 0x00 reads as 0 and 0xFF as Inf.",
    clauses=("MX-5.4.1-BIAS", "MX-5.4.1-NOZERO", "MX-5.4.1-NAN"),
    seen="triton-lang/triton PR 11624, which replaced such a shift",
)
_note(
    "float-log2",
    "Shared exponent from a rounded logarithm",
    bug=(
        "floor or ceil of log2 in floating point, whose rounding reaches the next integer beside "
        "powers of two."
    ),
    effect=(
        "Blocks whose largest magnitude is within a few ulp of 2^n get a scale that is off by a "
        "factor of 2."
    ),
    clauses=("MX-6.3-SCALE",),
    seen=(
        "gfloat 0.5.2 compute_scale_amax; microsoft/microxcaling PyTorch path (a fifth of "
        "bfloat16 values)"
    ),
)
_note(
    "scale-emax-missing",
    "Wrong offset between amax and scale",
    bug=(
        "The exponent of amax is not reduced by emax of the element, or by another number such as "
        "emax + bias."
    ),
    effect=(
        "Every block is off by a power of two: all elements saturate, or most of the range is "
        "wasted."
    ),
    clauses=("MX-6.3-SCALE",),
    seen="vllm-project/vllm PR 43557 (exponent of amax / 6)",
)
_note(
    "scale-rule",
    "Another scale rule",
    bug=(
        "Not a mistake in itself: the scale is rounded up or to the closest power of two where "
        "floor was expected."
    ),
    effect="Scale and all elements of a block differ by one binade, for a part of the blocks.",
    clauses=("MX-6.3-SCALE", "MX-6.3-ALT", "MX-4-SCOPE-SCALEALG"),
    seen="jax-ml/ml_dtypes issue 298; ml-explore/mlx PR 4353; microsoft/microxcaling issue 4",
)
_note(
    "scale-clamp-low",
    "Scale below 2^-127 wraps or is lost",
    bug=(
        "When amax is so small that the rule asks for less than 2^-127, the exponent wraps around "
        "or is undefined."
    ),
    effect="Blocks of tiny values get a huge scale, or a NaN.",
    clauses=("MX-5.4.1-RANGE", "MX-6.3-SCALE"),
    seen="ggml converts a negative number to an unsigned byte there",
)
_note(
    "scale-cast",
    "Conversion of a number to E8M0",
    bug=(
        "No clause defines it: ties, zero, negative numbers and the range below 2^-126 are "
        "treated in many ways."
    ),
    effect="Scales that were computed as numbers differ by one code between libraries.",
    clauses=_CAST_TO_SCALE,
    seen="jax-ml/ml_dtypes issue 298; gfloat 0.5.2 ties to the even exponent, ml_dtypes 0.6.0 up",
)

_note(
    "scale-cast-special",
    "Zero, negative, Inf or NaN converted to E8M0",
    bug=(
        "E8M0 has a code for none of them but NaN, and no clause says what they become; the sign "
        "may reach the exponent."
    ),
    effect=(
        "0x00 or 0xFF for zero, the magnitude's code or 0xFF for a negative number, 0xFE or 0xFF "
        "for Inf."
    ),
    clauses=(*_CAST_TO_SCALE, "MX-5.4.1-NOZERO", "MX-5.4.1-NOINF", "MX-5.4.1-UNSIGNED"),
    seen="llvm/llvm-project issue 215445 and PR 223286",
)

# Blocks.

_note(
    "zero-block",
    "All-zero block",
    bug=(
        "The scale of a block without a nonzero element is computed from zero: 0/0, log2(0), or a "
        "wrapped exponent."
    ),
    effect="A block of zeros becomes NaN. Which finite scale it gets is free.",
    clauses=("MX-6.3-MECH", "MX-6.3-ELEM"),
    seen="pytorch/ao PR 4762; huggingface/kernels-community issue 681",
)
_note(
    "nan-in-block",
    "NaN among the elements",
    bug=(
        "A maximum that ignores NaN loses it, so that the block looks finite, or garbage is "
        "written for the element."
    ),
    effect="NaN disappears from the data, sometimes for one lane or one instruction width only.",
    clauses=("MX-5.1-NANSCALE", "MX-6.3-ALT", *_NAN[2:]),
    seen="NVIDIA/TransformerEngine issue 3550 (packed maximum)",
)
_note(
    "inf-in-block",
    "Inf among the elements",
    bug="Inf reaches the scale computation, which has no rule for it.",
    effect=(
        "A NaN block, a block clamped to the largest magnitude, or finite elements lost: all in "
        "use, all free."
    ),
    clauses=("MX-6.3-ALT", "MX-4-SCOPE-SCALEALG"),
    seen="torchao gives scale 0xFF, TransformerEngine 0xFE",
)
_note(
    "amax-lane",
    "A lane left out of the maximum",
    bug=(
        "The search for the largest magnitude skips, repeats or borrows an element: first, last, "
        "or of the next block."
    ),
    effect="The block saturates only when its largest element is in that lane.",
    clauses=("MX-5.1-BLOCK", "MX-6.3-SCALE"),
)
_note(
    "amax-sign",
    "Maximum without absolute value",
    bug="The largest element is taken instead of the largest magnitude.",
    effect=(
        "Blocks whose largest magnitude is negative saturate; all-negative blocks get a "
        "meaningless scale."
    ),
    clauses=("MX-6.3-SCALE",),
)
_note(
    "element-exponent-range",
    "Shift too wide for far smaller elements",
    bug=(
        "Aligning an element that is many binades below the largest shifts by more bits than the "
        "register has."
    ),
    effect=(
        "Elements that should vanish reappear as arbitrary codes, because the shift count wraps."
    ),
    clauses=("MX-6.3-ELEM", *_UNDERFLOW[1:]),
    seen="microsoft/microxcaling CUDA path, shift counts above 31",
)

# Decoding.

_note(
    "out-of-binary32",
    "Dequantized value beyond binary32",
    bug=(
        "Scale times element exceeds the largest binary32: the result is Inf, the largest value, "
        "NaN or exact."
    ),
    effect=(
        "The text leaves it open; a difference is one of convention, but it has to be the "
        "declared one."
    ),
    clauses=("MX-5.1-OVF32",),
)

# Bytes.

_note(
    "bit-order",
    "Codes in another order within their bytes",
    bug="Nibbles are swapped, halves of a block are interleaved, or 6-bit codes are cut at other places.",
    effect="Values trade places with their neighbours, or are put together from two of them.",
    clauses=("MX-5.1-LAYOUT",),
    seen="torchao's early pack_uint4 puts the first code above, ONNX and CUDA put it below",
)
_note(
    "scale-place",
    "Scales in another place",
    bug="Scales are read row by row where the unit wants them swizzled, or from the padding of a tile.",
    effect="Whole blocks get the scale of another block. Invisible while all scales are alike.",
    clauses=("MX-5.1-LAYOUT",),
    seen="the 128 x 4 tiles of NVIDIA's block-scaled units; padding that holds zeros hides it",
)

# Dot products.

_DOT = ("MX-6.1-DOT", "MX-6.2-SUM")
_OPEN_SUM = ("MX-6.1-PREC", *_DOT)

_note(
    "operand-formats",
    "Operand read in the format of the other",
    bug="The elements of a mixed product are decoded by one table, or by each other's.",
    effect="Products of mixed formats are wrong, products of one format with itself are right.",
    clauses=("MX-6.1-MIXED", "MX-6.1-DOT"),
)
_note(
    "product-of-codes",
    "A code that only a product shows to be misread",
    bug=(
        "The multiplier reads some codes in its own way: subnormals as zero, INT8 0x80 as -127/64, or it "
        "keeps too few bits of the product."
    ),
    effect="Single products are wrong although decoding alone is right.",
    clauses=(*_DOT, "MX-5.3-SUBNORMAL", "MX-5.3.4-ENC"),
)
_note(
    "product-lane",
    "A lane left out of the sum",
    bug="One position of a vector, often the first or the last, does not reach the sum or reaches it twice.",
    effect="Sums of many equal terms are off by one term; a product in this lane alone is lost.",
    clauses=_DOT,
)
_note(
    "lane-pairing",
    "Element multiplied with a neighbour's partner",
    bug="The two vectors are unpacked in different orders, so that a[i] meets b[j].",
    effect="Right wherever neighbouring elements are equal, as they are in a smoke test with constants.",
    clauses=(*_DOT, "MX-5.1-LAYOUT"),
    seen="an early pack_uint4 of torchao has the high nibble first, current versions the low one",
)
_note(
    "block-scale",
    "Scale of another block",
    bug="The scale index is off by one, or one scale is used for all blocks of a row.",
    effect="Right for vectors of one block, or while all scales are equal.",
    clauses=("MX-6.2-SUM", "MX-6.1-FACTOR"),
)
_note(
    "last-block",
    "Last block that is not full",
    bug="The number of blocks is rounded down, or what fills up the last block is not zero.",
    effect="The end of a vector is missing when its length is no multiple of k.",
    clauses=("MX-6.2-PAD", "MX-6.2-SUM"),
)
_note(
    "matrix-row",
    "Rows, columns or their scales exchanged",
    bug="A matrix product takes the scales of a row by the number of the column, or the reverse.",
    effect="Right for one row, for square matrices of equal scales, and for symmetrical data.",
    clauses=("MX-6.2-SUM",),
)
_note(
    "scale-sum",
    "Sum of the two scale exponents",
    bug=(
        "The exponents of both scales are added in too few bits, applied twice or once, or their product "
        "is formed in binary32."
    ),
    effect="2^-254 becomes zero and 2^254 Inf although the dot product is an ordinary number.",
    clauses=("MX-6.1-FACTOR", *_DOT),
)
_note(
    "tiny-products",
    "Products below the accumulator's last bit",
    bug="Products are added in fixed point before the scale is applied, and the small ones are cut off.",
    effect="A block of small elements under a large scale gives zero.",
    clauses=_OPEN_SUM,
)
_note(
    "result-subnormal",
    "Subnormal results",
    bug="A result below the smallest normal number is flushed to zero, or rounded before it is shifted.",
    effect="Small results vanish or differ in the last bit; invisible while all scales are near 1.",
    clauses=_OPEN_SUM,
)
_note(
    "result-overflow",
    "Results beyond the largest number",
    bug="An overflowing sum stops at the largest number, or wraps, where Inf was expected.",
    effect="A result that looks ordinary stands for one that is not there.",
    clauses=_OPEN_SUM,
)
_note(
    "midway-overflow",
    "Partial sum beyond the range",
    bug="The accumulator overflows or saturates on the way although the whole sum fits.",
    effect="Inf, or a number that is too small, depending on the order of the terms.",
    clauses=_OPEN_SUM,
)
_note(
    "zero-result-sign",
    "Sign of a zero sum",
    bug="Nothing says which zero a sum is: IEEE 754 keeps -0 only if all terms are -0, matrix units give +0.",
    effect="-0 or +0; a comparison of bits sees it, a comparison of values does not.",
    clauses=("MX-6.1-PREC",),
    seen="mma.sync and wgmma of an H100 give +0 even if every product and C are -0",
)
_note(
    "cancellation-depth",
    "What is left after cancellation",
    bug="Terms are cut to some bits below the largest one, which then cancels.",
    effect="What should be left is lost; the number of bits kept can be read off the depth.",
    clauses=("MX-6.1-PREC",),
    seen="arXiv 2512.07004: an H100 keeps 13 bits below the largest 8-bit product, 25 below the largest 16-bit one",
)
_note(
    "term-order",
    "Order of the terms",
    bug="Large, small and opposite large terms are rounded after every addition.",
    effect="The small term survives or vanishes depending on the order, over lanes or over blocks.",
    clauses=("MX-6.1-PREC",),
)
_note(
    "carried-distance",
    "C far above or below the products",
    bug="C is dropped, added twice, shifted by too much or cut to fewer bits than the sum has.",
    effect="Wrong for C beyond some distance from the products, or for every C.",
    clauses=_OPEN_SUM,
)
_note(
    "carried-tie",
    "Tie between C and the products",
    bug="The sum is cut instead of rounded, or the sticky bit forgets that something was subtracted.",
    effect="The last bit is wrong where the products are about half an ulp of C.",
    clauses=("MX-6.1-PREC",),
)
_note(
    "nan-scale-product",
    "NaN scale in a dot product",
    bug="The scale 0xFF is read as 2^128, or is lost because the elements of its block are zero.",
    effect="A number, zero or Inf, where the result is NaN.",
    clauses=("MX-5.1-NANSCALE", "MX-5.4.1-NAN"),
    seen="ggml reads 0xFF as Inf, the gpt-oss reference as 2^128",
)
_note(
    "invalid-product",
    "Inf and NaN among the products",
    bug="Products with a zero are skipped, or opposite infinities cancel.",
    effect="NaN elements vanish beside zeros; Inf * 0 and Inf - Inf give numbers.",
    clauses=("MX-5.1-SPECIAL", "MX-6.1-DOT"),
)

# Sweeps: inputs that stand for no mistake in particular.

_note(
    "every-input",
    "Every input of a 16-bit carrier",
    bug="Whatever the other themes did not foresee.",
    effect="A difference here and in no theme before it is a mistake without a note yet.",
    clauses=(*_TIES[:4], *_OVERFLOW),
)
_note(
    "every-upper-half",
    "Every upper half of a wider carrier",
    bug="Whatever the other themes did not foresee.",
    effect="A difference here and in no theme before it is a mistake without a note yet.",
    clauses=(*_TIES[:4], *_OVERFLOW),
)
_note(
    "random",
    "Random inputs, the same in every run",
    bug="Whatever the other themes did not foresee.",
    effect="A difference here and in no theme before it is a mistake without a note yet.",
    clauses=(*_TIES, *_OVERFLOW, "MX-6.3-SCALE"),
)
