"""The choices that the specification leaves open, one field each, and named sets of them.

A profile is data. ``OCP`` is the default; every other preset differs from it in the fields that its note
explains. A few choices exist only because implementations make them although a clause forbids them;
`Profile.departures` names the clause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from types import MappingProxyType
from typing import Any

from mxemu.clauses import implements
from mxemu.errors import BadFormat, BadValue, unknown
from mxemu.formats import E4M3, E5M2, ElementFormat, FloatFormat
from mxemu.value import Value, parse


class Rounding(Enum):
    """How a value between two codes is rounded. TIES_TO_EVEN must be offered; the others may."""

    TIES_TO_EVEN = "ties-to-even"
    TIES_TO_AWAY = "ties-to-away"
    TOWARD_ZERO = "toward-zero"
    TOWARD_POSITIVE = "toward-positive"
    TOWARD_NEGATIVE = "toward-negative"
    TO_ODD = "to-odd"
    STOCHASTIC = "stochastic"


class Overflow(Enum):
    """A rounded magnitude above the largest finite value, or Inf: the document's SAT and OVF.

    In a format with neither Inf nor NaN there is nothing to overflow to, and OVERFLOW clamps like SATURATE.
    """

    SATURATE = "saturate"
    OVERFLOW = "overflow"


class Subnormals(Enum):
    """Subnormal elements, on encode after rounding and on decode."""

    KEEP = "keep"
    FLUSH = "flush"


class InputSubnormals(Enum):
    """Subnormal inputs of the carrier format."""

    KEEP = "keep"
    FLUSH = "flush"
    # the whole block becomes zero when its largest magnitude is subnormal
    FLUSH_BLOCK = "flush-block"


class ZeroSign(Enum):
    """The sign of a zero result of an encode."""

    KEEP = "keep"
    POSITIVE = "positive"


class NanCode(Enum):
    """Which code a NaN becomes in a format that has several."""

    # topmost mantissa bit only, where that is a NaN; else all ones
    QUIET_KEEP_SIGN = "quiet-keep-sign"
    ALL_ONES_KEEP_SIGN = "all-ones-keep-sign"
    ALL_ONES_POSITIVE = "all-ones-positive"


class NanWithoutCode(Enum):
    """What a NaN becomes in a format without NaN (implementation-defined)."""

    MAX_POSITIVE = "max-positive"
    MAX_KEEP_SIGN = "max-keep-sign"
    ZERO_POSITIVE = "zero-positive"
    ZERO_KEEP_SIGN = "zero-keep-sign"
    ZERO_FLIP_SIGN = "zero-flip-sign"


class IntMinimum(Enum):
    """The integer code without a positive counterpart, 0x80 in INT8."""

    EXCLUDE = "exclude"
    ALLOW = "allow"


class ZeroBlock(Enum):
    """The scale of a block whose largest magnitude is zero."""

    SMALLEST = "smallest"  # code 0x00
    ONE = "one"  # scale 1.0, code 0x7F
    AS_TWO = "as-two"  # as if the largest magnitude were 2.0
    AS_MIN_NORMAL = "as-min-normal"  # as if it were 2^-126


class AmaxNan(Enum):
    """Whether a NaN takes part in the search for the largest magnitude."""

    PROPAGATE = "propagate"
    IGNORE = "ignore"


class NanBlock(Enum):
    """The scale when the largest magnitude is NaN."""

    SCALE_NAN = "scale-nan"
    SCALE_SMALLEST = "scale-smallest"
    SCALE_LARGEST = "scale-largest"


class InfBlock(Enum):
    """The scale of a block that holds an Inf and no NaN."""

    SCALE_NAN = "scale-nan"
    SCALE_LARGEST = "scale-largest"
    FINITE_AMAX = "finite-amax"  # from the finite elements alone


class ScaleOverflow(Enum):
    """A scale above the scale format's largest value."""

    SATURATE = "saturate"
    NAN = "nan"


class ScaleCast(Enum):
    """Conversion of one number to a power-of-two scale (E8M0); no clause defines it."""

    TIES_TO_EVEN = "ties-to-even"  # even exponent field
    TIES_TO_AWAY = "ties-to-away"  # 1.5 * 2^n goes up
    TIES_TO_AWAY_BINARY32 = "ties-to-away-binary32"  # and all between 2^-127 and 2^-126 goes up
    TOWARD_ZERO = "toward-zero"
    TOWARD_POSITIVE = "toward-positive"
    SUBNORMAL_UP = "subnormal-up"  # TOWARD_POSITIVE, and any binary32 subnormal becomes 2^-126


class ScaleSpecial(Enum):
    """Zero or a negative number converted to a scale format that has neither."""

    SMALLEST = "smallest"
    NAN = "nan"
    MAGNITUDE = "magnitude"  # the sign is dropped; for zero the same as SMALLEST


class OutOfBinary32(Enum):
    """A dequantized value beyond the largest finite carrier value (implementation-defined)."""

    INF = "inf"
    LARGEST = "largest"
    NAN = "nan"


class ScaleNan(Enum):
    """The NaN scale code on decode. POWER reads it as the next power of two, which MX 5.1 does not allow."""

    NAN = "nan"
    POWER = "power"
    INF = "inf"  # elements times +Inf, as ``code << 23`` gives; not allowed either


class StepPoint(Enum):
    """Where in the binade of the largest magnitude the shared exponent steps up by one."""

    ABOVE_ONE = "f > 1"
    FROM_ONE_AND_A_HALF = "f >= 3/2"
    ABOVE_MAX = "f > M"
    FROM_MAX = "f >= M"
    FROM_ROUND_UP = "f >= 2 - 2^-(m+1)"
    ABOVE_ROUND_UP = "f > 2 - 2^-(m+1)"
    FROM_SEVEN_QUARTERS = "f >= 7/4"
    FROM_SQRT2 = "f >= sqrt(2)"
    FROM_MAX_OVER_SQRT2 = "f >= M / sqrt(2)"
    FROM_MAX_TIMES_SQRT2 = "f >= M * sqrt(2)"


class ScaleArithmetic(Enum):
    """How the quotient amax / max is computed before its exponent is taken."""

    EXACT = "exact"
    BINARY32_QUOTIENT = "binary32-quotient"  # rounded to binary32, then rounded up
    # and any subnormal quotient gives 2^-126
    BINARY32_QUOTIENT_SUBNORMAL_UP = "binary32-quotient-subnormal-up"
    # the step is a carry in the bits: out of the top it makes Inf, hence NaN
    BINARY32_CARRY = "binary32-carry"


@dataclass(frozen=True)
class ScaleRule:
    """How the shared exponent follows from the largest magnitude a = f * 2^e of a block, 1 <= f < 2.

    The shared exponent is e - emax + offset, plus one for each step point that f has passed. With
    M = max / 2^emax every rule in use is such a step function, so a rule is a row of data.

    Parameters
    ----------
    name : str
    steps : tuple of StepPoint
    offset : int
    arithmetic : ScaleArithmetic
    ratio : bool
        True for scales that are no powers of two: the scale is a / max, rounded to the scale format.
    note : str
        Who was seen to use it, and where that can be read.
    """

    name: str
    steps: tuple[StepPoint, ...] = ()
    offset: int = 0
    arithmetic: ScaleArithmetic = ScaleArithmetic.EXACT
    ratio: bool = False
    note: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def formula(self) -> str:
        """The rule in one line of arithmetic."""
        if self.ratio:
            return "X = amax / max, rounded to the scale format"
        offset = (
            f" - {-self.offset}" if self.offset < 0 else f" + {self.offset}" if self.offset else ""
        )
        return f"e - emax{offset}" + "".join(f" + [{point.value}]" for point in self.steps)


FLOOR = ScaleRule("FLOOR", note="MX 6.3; torchao FLOOR, microxcaling's CUDA path, oneDNN")
CEIL = ScaleRule("CEIL", (StepPoint.ABOVE_ONE,), note="torchao CEIL")
EVEN = ScaleRule(
    "EVEN", (StepPoint.FROM_ROUND_UP,), note="amax rounded to the element's precision first; Quark"
)
EVEN_CARRY_NAN = ScaleRule(
    "EVEN_CARRY_NAN",
    EVEN.steps,
    arithmetic=ScaleArithmetic.BINARY32_CARRY,
    note="EVEN as an addition to binary32 bits, which carries to Inf near the largest value; torchao EVEN, aiter",
)
EVEN_TIES_DOWN = ScaleRule(
    "EVEN_TIES_DOWN", (StepPoint.ABOVE_ROUND_UP,), note="FBGEMM MX4 even: a tie stays down"
)
EVEN_E2M1 = ScaleRule(
    "EVEN_E2M1",
    (StepPoint.FROM_SEVEN_QUARTERS,),
    note="E2M1's step for every element; compressed-tensors",
)
RCEIL = ScaleRule(
    "RCEIL", (StepPoint.ABOVE_MAX,), note="smallest scale that clips nothing; cuBLAS, cvt.rp.ue8m0"
)
RCEIL_BINARY32 = ScaleRule(
    "RCEIL_BINARY32",
    RCEIL.steps,
    arithmetic=ScaleArithmetic.BINARY32_QUOTIENT,
    note="RCEIL of a binary32 quotient; TransformerEngine",
)
RCEIL_SUBNORMAL_UP = ScaleRule(
    "RCEIL_SUBNORMAL_UP",
    RCEIL.steps,
    arithmetic=ScaleArithmetic.BINARY32_QUOTIENT_SUBNORMAL_UP,
    note="and every subnormal quotient gives 2^-126; triton_kernels ROUND_UP, aiter RoundUp",
)
ROUND = ScaleRule("ROUND", (StepPoint.FROM_ONE_AND_A_HALF,), note="closest power of two, ties up")
LOG_ROUND = ScaleRule(
    "LOG_ROUND", (StepPoint.FROM_SQRT2,), note="closest in the logarithm; FBGEMM MX4"
)
LOG_NEAREST = ScaleRule(
    "LOG_NEAREST",
    (StepPoint.FROM_MAX_OVER_SQRT2, StepPoint.FROM_MAX_TIMES_SQRT2),
    offset=-1,
    note="amax / max, closest in the logarithm; MLX",
)
FLOOR_OF_RATIO = ScaleRule(
    "FLOOR_OF_RATIO",
    (StepPoint.FROM_MAX,),
    offset=-1,
    note="floor(log2(amax / max)), always clips; early triton_kernels ROUND_DOWN",
)
RATIO = ScaleRule("RATIO", ratio=True, note="for scales with a mantissa: NVFP4")

SCALE_RULES: Mapping[str, ScaleRule] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            FLOOR,
            CEIL,
            EVEN,
            EVEN_CARRY_NAN,
            EVEN_TIES_DOWN,
            EVEN_E2M1,
            RCEIL,
            RCEIL_BINARY32,
            RCEIL_SUBNORMAL_UP,
            ROUND,
            LOG_ROUND,
            LOG_NEAREST,
            FLOOR_OF_RATIO,
            RATIO,
        )
    }
)


@implements("MX-6.3-ALT", "MX-4-SCOPE-SCALEALG", "MX-5.3.1-OTHER", "MX-4-REALIZE")
@dataclass(frozen=True)
class Profile:
    """One value for every choice that the specification leaves open in conversion.

    Parameters
    ----------
    name : str
    note : str
        Where the choice is seen; no part of the comparison of profiles.
    rounding : Rounding
        Of elements.
    random_bits : int
        Width in bits of the random word of STOCHASTIC; the word is added below the kept bits and the sum is cut.
    overflow : Overflow
        Of elements.
    element_subnormals, input_subnormals : Subnormals, InputSubnormals
    zero_sign : ZeroSign
    nan_code : NanCode
    nan_without_code : NanWithoutCode
    int_minimum : IntMinimum
    scale_rule : ScaleRule
    amax_floor : Value, optional
        A block's largest magnitude is raised to at least this.
    zero_block : ZeroBlock
    amax_nan : AmaxNan
    nan_block : NanBlock
    inf_block : InfBlock
    scale_overflow : ScaleOverflow
    scale_clamp : tuple of int, optional
        Lowest and highest scale code in use; None for all of the format.
    scale_cast : ScaleCast
        Rounding of a number that is converted to E8M0, and of the quotient of the RATIO rule when the scale is E8M0.
    scale_zero, scale_negative : ScaleSpecial
    scale_nan : ScaleNan
        On decode.
    out_of_binary32 : OutOfBinary32
        On decode.

    Raises
    ------
    BadFormat
        When a field has the wrong type or is out of range.
    """

    name: str = "custom"
    note: str = ""
    rounding: Rounding = Rounding.TIES_TO_EVEN
    random_bits: int = 32
    overflow: Overflow = Overflow.SATURATE
    element_subnormals: Subnormals = Subnormals.KEEP
    input_subnormals: InputSubnormals = InputSubnormals.KEEP
    zero_sign: ZeroSign = ZeroSign.KEEP
    nan_code: NanCode = NanCode.QUIET_KEEP_SIGN
    nan_without_code: NanWithoutCode = NanWithoutCode.MAX_POSITIVE
    int_minimum: IntMinimum = IntMinimum.EXCLUDE
    scale_rule: ScaleRule = FLOOR
    amax_floor: Value | None = None
    zero_block: ZeroBlock = ZeroBlock.SMALLEST
    amax_nan: AmaxNan = AmaxNan.PROPAGATE
    nan_block: NanBlock = NanBlock.SCALE_NAN
    inf_block: InfBlock = InfBlock.SCALE_NAN
    scale_overflow: ScaleOverflow = ScaleOverflow.SATURATE
    scale_clamp: tuple[int, int] | None = None
    scale_cast: ScaleCast = ScaleCast.TIES_TO_EVEN
    scale_zero: ScaleSpecial = ScaleSpecial.SMALLEST
    scale_negative: ScaleSpecial = ScaleSpecial.NAN
    scale_nan: ScaleNan = ScaleNan.NAN
    out_of_binary32: OutOfBinary32 = OutOfBinary32.INF

    def __post_init__(self) -> None:
        for field_name, kind in FIELD_TYPES.items():
            found = getattr(self, field_name)
            if not isinstance(found, kind) or isinstance(found, bool):
                raise BadFormat(f"profile field {field_name} = {found!r}; expected {kind.__name__}")
        floor: Any = self.amax_floor
        if floor is not None and not (
            isinstance(floor, Value) and floor.significand > 0 and floor.sign == 0
        ):
            raise BadFormat(
                f"profile field amax_floor = {floor!r}; expected a Value above 0 or None"
            )
        if self.scale_clamp is not None:
            _clamp(self.scale_clamp)
        if not 1 <= self.random_bits <= 64:
            raise BadFormat(f"random_bits = {self.random_bits}; expected 1 to 64")

    def replace(self, **changes: Any) -> Profile:
        """A copy with some fields changed; values may be given as the names that `list profiles` prints.

        Examples
        --------
        >>> OCP.replace(rounding="toward-zero", scale_rule="RCEIL").rounding
        <Rounding.TOWARD_ZERO: 'toward-zero'>
        """
        converted = {key: _convert(key, given) for key, given in changes.items()}
        converted.setdefault("name", "custom")
        converted.setdefault("note", "")
        return replace(self, **converted)

    def choices(self) -> Mapping[str, Any]:
        """All fields that take part in an emulation, by name."""
        return {field_name: getattr(self, field_name) for field_name in FIELDS}

    def changes(self, base: Profile | None = None) -> Mapping[str, Any]:
        """The fields that differ from another profile (OCP unless given)."""
        base = OCP if base is None else base
        return {key: own for key, own in self.choices().items() if own != getattr(base, key)}

    def same_choices(self, other: Profile) -> bool:
        """Whether two profiles compute the same, whatever their names."""
        return not self.changes(other)

    def departures(
        self, element: ElementFormat | None = None, carrier: FloatFormat | None = None
    ) -> tuple[str, ...]:
        """Clauses that this profile breaks: in general, for one element format, or for its conversion from a carrier.

        Examples
        --------
        >>> OCP.replace(scale_nan="power").departures()
        ('MX-5.1-NANSCALE',)
        """
        broken = []
        if self.scale_nan is not ScaleNan.NAN:
            broken.append("MX-5.1-NANSCALE")
        if self.element_subnormals is not Subnormals.KEEP:
            broken.append("MX-5.3-SUBNORMAL")
        if element not in (E4M3, E5M2):
            return tuple(broken)
        flushes = self.input_subnormals is InputSubnormals.FLUSH
        # OFP8 keeps the sign of zero, and every input that some code stands for.
        reached = carrier is not None and carrier.emin >= element.min_positive.leading
        if self.zero_sign is ZeroSign.POSITIVE or (flushes and reached):
            broken.append("MX-5.3.1-OFP8")
        return tuple(broken)

    def describe(self) -> str:
        """The name, or the differences from OCP."""
        if self.name != "custom":
            return self.name
        listed = ", ".join(f"{key}={plain(own)}" for key, own in self.changes().items())
        return f"ocp with {listed}" if listed else "ocp"

    def __str__(self) -> str:
        return self.describe()


FIELDS = tuple(field.name for field in fields(Profile) if field.name not in ("name", "note"))
FIELD_TYPES: Mapping[str, type] = MappingProxyType(
    {
        "rounding": Rounding,
        "random_bits": int,
        "overflow": Overflow,
        "element_subnormals": Subnormals,
        "input_subnormals": InputSubnormals,
        "zero_sign": ZeroSign,
        "nan_code": NanCode,
        "nan_without_code": NanWithoutCode,
        "int_minimum": IntMinimum,
        "scale_rule": ScaleRule,
        "zero_block": ZeroBlock,
        "amax_nan": AmaxNan,
        "nan_block": NanBlock,
        "inf_block": InfBlock,
        "scale_overflow": ScaleOverflow,
        "scale_cast": ScaleCast,
        "scale_zero": ScaleSpecial,
        "scale_negative": ScaleSpecial,
        "scale_nan": ScaleNan,
        "out_of_binary32": OutOfBinary32,
    }
)


def plain(choice: object) -> str:
    """A field's value as the text that `Profile.replace` and profile files accept."""
    return str(choice.value) if isinstance(choice, Enum) else str(choice)


def plain_data(choice: object) -> bool | int | str | list[int] | None:
    """A field's value in the types that TOML and JSON have; `Profile.replace` accepts it, too."""
    if choice is None or isinstance(choice, (bool, int)):
        return choice
    return list(choice) if type(choice) is tuple else plain(choice)


def alternatives(field_name: str) -> tuple[Any, ...]:
    """Every value that an enumerated field can take; empty for fields with numbers."""
    if field_name == "scale_rule":
        return tuple(SCALE_RULES.values())
    kind = FIELD_TYPES.get(field_name)
    return tuple(kind) if kind is not None and issubclass(kind, Enum) else ()


def _convert(key: str, given: Any) -> Any:
    """A field's value from its plain text; anything else is passed on to be checked."""
    if key not in FIELDS and key not in ("name", "note"):
        raise unknown("profile field", key, FIELDS)
    if key == "scale_clamp" and given is not None:
        return _clamp(given)
    if key == "amax_floor" and isinstance(given, str):
        return parse(given)[0]
    options = {_key(plain(choice)): choice for choice in alternatives(key)}
    if not isinstance(given, str) or not options:
        return given
    if _key(given) not in options:
        raise unknown(f"value of profile field {key}", given, map(plain, options.values()))
    return options[_key(given)]


def _key(name: str) -> str:
    return name.lower().replace("_", "-")


def _clamp(given: Any) -> tuple[int, int]:
    """The pair of scale codes of a clamp."""
    pair = tuple(given) if isinstance(given, (list, tuple)) else ()
    if len(pair) != 2 or not all(type(code) is int for code in pair):
        raise BadFormat(f"scale_clamp = {given!r}; expected two scale codes, lowest and highest")
    low, high = pair
    if not 0 <= low <= high:
        raise BadFormat(f"scale_clamp = {given!r}; expected lowest code <= highest code")
    return low, high


OCP = Profile(
    "ocp",
    "The conversion of MX 6.3: exact floor, ties to even, saturate; NaN or Inf in a block gives a NaN scale.",
)

_PRESETS = (
    OCP,
    OCP.replace(
        name="ocp-overflow",
        overflow=Overflow.OVERFLOW,
        note="OFP8 non-saturating mode (MX 5.3.1 OVF): E4M3 gives NaN, E5M2 Inf. Seen in ml_dtypes 0.6.0 casts.",
    ),
    OCP.replace(
        name="ocp-int-minimum",
        int_minimum=IntMinimum.ALLOW,
        note="INT8 code 0x80 (-2) is produced (MX 5.3.4). Seen in gfloat 0.5.2 and bitstring 5.0.0.",
    ),
    OCP.replace(
        name="finite-amax",
        inf_block=InfBlock.FINITE_AMAX,
        amax_nan=AmaxNan.IGNORE,
        note="Scale from the finite elements; Inf and NaN are converted one by one. Close to IEEE P3109's draft.",
    ),
    OCP.replace(
        name="ceil",
        scale_rule=CEIL,
        note="Next power of two at or above amax: never clips. Seen in torchao CEIL.",
    ),
    OCP.replace(
        name="even",
        scale_rule=EVEN,
        note="amax is rounded to the element's precision before its exponent is taken. Seen in AMD Quark.",
    ),
    OCP.replace(
        name="even-carry-nan",
        scale_rule=EVEN_CARRY_NAN,
        note="EVEN computed in binary32 bits; amax near the largest binary32 gives a NaN scale. Seen in torchao EVEN.",
    ),
    OCP.replace(
        name="even-ties-down",
        scale_rule=EVEN_TIES_DOWN,
        rounding=Rounding.TIES_TO_AWAY,
        scale_clamp=(0, 252),
        inf_block=InfBlock.SCALE_LARGEST,
        nan_block=NanBlock.SCALE_LARGEST,
        note="Exact ties of EVEN stay down; elements half away; scales end at 2^125. Seen in FBGEMM MX4.",
    ),
    OCP.replace(
        name="even-e2m1-step",
        scale_rule=EVEN_E2M1,
        note="EVEN with the step of E2M1 (7/4) for every element. Seen in compressed-tensors.",
    ),
    OCP.replace(
        name="rceil",
        scale_rule=RCEIL,
        note="Smallest power of two that clips nothing. Seen in cuDNN and cuBLAS documentation.",
    ),
    OCP.replace(
        name="rceil-satfinite",
        scale_rule=RCEIL_BINARY32,
        inf_block=InfBlock.SCALE_LARGEST,
        note="RCEIL of a binary32 product; Inf gives scale 0xFE and saturated elements. Seen in TransformerEngine.",
    ),
    OCP.replace(
        name="rceil-subnormal-up",
        scale_rule=RCEIL_SUBNORMAL_UP,
        note="RCEIL where any subnormal quotient gives code 1. Seen in aiter RoundUp (Python reference).",
    ),
    OCP.replace(
        name="rceil-amax-floor",
        scale_rule=RCEIL_SUBNORMAL_UP,
        amax_floor=Value(0, 13743895, -37),
        inf_block=InfBlock.SCALE_LARGEST,
        zero_sign=ZeroSign.POSITIVE,
        scale_clamp=(1, 254),
        note="amax is at least binary32 1e-4; zeros are positive. The scales of DeepGEMM.",
    ),
    OCP.replace(
        name="log-nearest",
        scale_rule=LOG_NEAREST,
        note="Scale closest to amax / max in the logarithm: can clip strongly. Seen in MLX's kernels before 2026-08.",
    ),
    OCP.replace(
        name="floor-ties-away",
        rounding=Rounding.TIES_TO_AWAY,
        note="FLOOR with elements rounded half away. Seen in microxcaling (round='nearest', its default).",
    ),
    OCP.replace(
        name="floor-truncate",
        rounding=Rounding.TOWARD_ZERO,
        note="FLOOR with truncated elements. Seen in microxcaling (round='floor').",
    ),
    OCP.replace(
        name="flush-block",
        input_subnormals=InputSubnormals.FLUSH_BLOCK,
        note="A block whose amax is subnormal in binary32 becomes zero. Seen in microxcaling mx_flush_fp32_subnorms.",
    ),
    OCP.replace(
        name="ratio",
        scale_rule=RATIO,
        note="Scale amax / max rounded to the scale format, for scales with a mantissa. Seen in NVFP4 recipes.",
    ),
    OCP.replace(
        name="stochastic",
        rounding=Rounding.STOCHASTIC,
        note="Random words are given by the caller, so every result can be replayed.",
    ),
)

PRESETS: Mapping[str, Profile] = MappingProxyType({preset.name: preset for preset in _PRESETS})


def profile(name: Profile | str) -> Profile:
    """Find a profile: a record (returned as it is) or a preset's name, in any case.

    Raises
    ------
    UnknownName
        With a did-you-mean.
    """
    if isinstance(name, Profile):
        return name
    given: object = name
    found = PRESETS.get(_key(given.strip())) if isinstance(given, str) else None
    if found is None:
        raise unknown("profile", name, PRESETS)
    return found


def from_mapping(table: Mapping[str, Any]) -> Profile:
    """A profile from a table such as a TOML file holds: ``preset`` (default ocp) and any fields.

    Examples
    --------
    >>> from_mapping({"preset": "rceil", "zero_sign": "positive"}).changes(profile("rceil"))
    {'zero_sign': <ZeroSign.POSITIVE: 'positive'>}
    """
    changes = dict(table)
    base = profile(changes.pop("preset", "ocp"))
    return base.replace(**changes) if changes else base


def to_mapping(profile: Profile) -> dict[str, Any]:
    """The inverse of `from_mapping`: the preset that a profile is, or OCP and the fields that differ from it.

    Examples
    --------
    >>> to_mapping(OCP.replace(scale_clamp=(1, 254), rounding="to-odd"))
    {'preset': 'ocp', 'rounding': 'to-odd', 'scale_clamp': [1, 254]}
    """
    preset = PRESETS.get(profile.name)
    if preset is not None and preset.same_choices(profile):
        return {"preset": profile.name}
    changes = profile.changes(OCP)
    return {"preset": OCP.name} | {key: plain_data(choice) for key, choice in changes.items()}


def spell(profile: Profile) -> str:
    """A profile in one word, as options take it.

    Examples
    --------
    >>> spell(OCP.replace(scale_clamp=(1, 254), rounding="to-odd"))
    'ocp,rounding=to-odd,scale_clamp=1-254'
    """
    preset = PRESETS.get(profile.name)
    if preset is not None and preset.same_choices(profile):
        return profile.name
    changes = profile.changes(OCP).items()
    return ",".join([OCP.name, *(f"{key}={word_of(choice)}" for key, choice in changes)])


def word_of(choice: object) -> str:
    """A field's value without commas and spaces: a pair of codes is joined by ``-``."""
    return "-".join(map(str, choice)) if type(choice) is tuple else plain(choice)


def spelled(text: str) -> Profile:
    """The inverse of `spell`: a preset's name, with changes after commas.

    Raises
    ------
    UnknownName, BadFormat, BadValue
        BadValue for a change that is not ``field=value``.

    Examples
    --------
    >>> spelled("rceil,random_bits=16").random_bits
    16
    """
    name, *changes = text.split(",")
    pairs: dict[str, Any] = {}
    for change in changes:
        field_name, equals, choice = change.partition("=")
        if not equals:
            raise BadValue(
                f"{change!r} is no change of a profile; expected field=value", "mxemu list profiles"
            )
        pairs[field_name.strip()] = _from_word(field_name.strip(), choice.strip())
    found = profile(name)
    return found.replace(**pairs) if pairs else found


def _from_word(field_name: str, word: str) -> Any:
    """A field's value from its word: numbers become what the field holds, names stay names."""
    match field_name:
        case "random_bits" if word.isdecimal():
            return int(word)
        case "scale_clamp":
            return tuple(int(code) if code.isdecimal() else code for code in word.split("-"))
        case _:
            return word
