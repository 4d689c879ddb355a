"""What a subject has to look like, and how it says what it can do.

An adapter is a module or an object. It needs three attributes, ``name``, ``version`` and ``capabilities``, and a
function for each operation that its capabilities list. Arrays go in, arrays come out; the checker knows nothing else of
the implementation under test. `Adapter` states the protocol, ``docs/guides/write-an-adapter.md`` shows it at work.

Notes
-----
NumPy is imported by the functions that touch arrays, not by this module: listing subjects must not need it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from mxemu.accumulation import Accumulation
from mxemu.accumulations import ACCUMULATIONS
from mxemu.accumulations import find as find_accumulation
from mxemu.accumulations import from_mapping as accumulation_from_mapping
from mxemu.accumulations import to_mapping as accumulation_to_mapping
from mxemu.errors import MxemuError, UnknownName, unknown
from mxemu.formats import CARRIERS, ELEMENTS, BlockFormat, block_format, carrier, element
from mxemu.formats import find as find_format
from mxemu.profile import (
    Overflow,
    Profile,
    Rounding,
    from_mapping,
    profile,
    to_mapping,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

REJECTED = -1
"""The code that stands for *the subject refused this input*; never a code of a format."""

ELEMENT_OPERATIONS = ("encode", "decode")
BLOCK_OPERATIONS = ("encode-scaled", "quantize", "dequantize", "fake_quantize", "pack", "unpack")
PRODUCT_OPERATIONS = ("dot", "dot-general", "matmul")
OPERATIONS = ELEMENT_OPERATIONS + BLOCK_OPERATIONS + PRODUCT_OPERATIONS

CARRIER_DTYPES: Mapping[str, str] = MappingProxyType(
    {"binary64": "float64", "binary32": "float32", "binary16": "float16", "bfloat16": "uint16"}
)
"""The NumPy dtype in which the numbers of a carrier travel; bfloat16 as its bits."""


@runtime_checkable
class Adapter(Protocol):
    """The attributes that every adapter has; the functions are optional, one for each operation it offers.

    The functions, with n values or n blocks of k values, and what they return::

        encode(values[n], element, profile) -> codes[n]
        decode(codes[n], element) -> values[n]
        encode_scaled(values[n], scales[n], block_format, profile) -> codes[n]
        quantize(values[n, k], block_format, profile) -> (scales[n], codes[n, k])
        dequantize(scales[n], codes[n, k], block_format) -> values[n, k]
        fake_quantize(values[n, k], block_format, profile) -> values[n, k]
        dot(sa[n, K / k], a[n, K], sb, b, c[n], block_formats, accumulation) -> bits[n]
        matmul(sa[m, K / k], a[m, K], sb[n, K / k], b[n, K], c[m, n], block_formats, accumulation) -> bits[m, n]
        pack(codes, scales, layout) -> bytes
        unpack(bytes, layout, n) -> (scales, codes)

    Parameters
    ----------
    values : ndarray
        In the dtype of a carrier: float64, float32, float16, or uint16 with the bits of bfloat16. `CARRIER_DTYPES` has
        them by name. ``decode`` and ``dequantize`` return one of the carriers that they list.
    codes : ndarray
        One code in each item, whatever its width, unsigned on the way in. On the way out any integer dtype; -1
        (`REJECTED`) in a signed one means that the subject refused this input, and a refused block has it as its scale
        and as all its codes. Any other number outside the format's codes is a wrong result.
    element, block_format : str
        Names as ``mxemu list formats`` spells them, E4M3 or MXFP4_E2M1.
    scales : ndarray
        Scale codes. ``encode_scaled`` gets one for each value and divides by it: one element of a block whose scale is
        known, as the data path of a converter sees it.
    a, b, sa, sb : ndarray
        Codes of elements and scales, block after block along the last axis; ``sa`` and ``sb`` are None where the format
        has no scale. The operation ``dot`` is one block of each operand (MX 6.1), ``dot-general`` several (MX 6.2);
        both call the function ``dot``. ``matmul`` multiplies every row of a with every row of b.
    c : ndarray or None
        Added to the products: bit patterns in the format of the results, or None.
    bits : ndarray
        Bit patterns of the results in the format ``out`` of the capabilities, as unsigned integers.
    block_formats : tuple of two str
        Of a and of b.
    accumulation : str or Accumulation
        What the results are compared with: the declared accumulation, by its name if it is a preset.
    profile : Profile
        What is asked for: the declared profile, with ``rounding`` or ``overflow`` replaced when the capabilities offer
        that. A subject that has only one behaviour leaves the parameter out or ignores it.

    Raises
    ------
    Unsupported
        (`mxemu.errors`) from any function: reported as unsupported, not as a failure. Any other exception is a crash.

    Attributes
    ----------
    name, version : str
        Of the implementation under test, not of the adapter.
    capabilities : mapping
        See `Capabilities`.
    variant : callable, optional
        ``variant(name)`` returns the adapter that serves a variant, with these attributes and the same record.
        Without it the same object serves all.
    """

    name: str
    version: str
    capabilities: Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """What a subject offers of one operation.

    Parameters
    ----------
    formats : tuple of str
        Block formats for `BLOCK_OPERATIONS`, pairs of them as `pair_label` spells them for `PRODUCT_OPERATIONS`,
        element and scale formats for the others.
    carriers : tuple of str
        Formats of the values that go in, or for decode, dequantize and products that come out.
    roundings, overflows : tuple
        What the subject can be asked for besides the profile that it declares.
    c : bool
        Whether a product takes something to add to.
    """

    formats: tuple[str, ...]
    carriers: tuple[str, ...] = ()
    roundings: tuple[Rounding, ...] = ()
    overflows: tuple[Overflow, ...] = ()
    c: bool = False

    def record(self, operation: str) -> dict[str, Any]:
        """The entry as an adapter writes it."""
        if operation in PRODUCT_OPERATIONS:
            pairs = [list(pair_of(label)) for label in self.formats]
            return {"formats": pairs, "out": self.carriers[0], "c": self.c}
        return _plain({key: found for key, found in asdict(self).items() if key != "c"})


@dataclass(frozen=True)
class Capabilities:
    """The checked form of an adapter's three attributes.

    Parameters
    ----------
    name, version : str
    operations : mapping of str to Operation
    profile : Profile, optional
        What the subject declares; None if it declares nothing.
    accumulation : Accumulation, optional
        What its dot products are declared to compute.
    k : tuple of int
        Block sizes it can be asked for besides each block format's own.
    variants : tuple of str
    variant : str, optional
        The one that these capabilities are of.
    """

    name: str
    version: str
    operations: Mapping[str, Operation] = field(default_factory=dict)
    profile: Profile | None = None
    k: tuple[int, ...] = ()
    variants: tuple[str, ...] = ()
    variant: str | None = None
    accumulation: Accumulation | None = None

    def offers(self, operation: str, format_name: str, carrier_name: str | None = None) -> bool:
        """Whether the subject has this operation for this format, and for this carrier if one is named."""
        offered = self.operations.get(operation)
        if offered is None or format_name not in offered.formats:
            return False
        return carrier_name is None or carrier_name in offered.carriers

    def record(self) -> dict[str, Any]:
        """The same in lists, names and numbers, as an adapter writes it: for a report or a handshake in JSON."""
        declared = self.accumulation
        return {
            "operations": {name: offered.record(name) for name, offered in self.operations.items()},
            "profile": None if self.profile is None else _profile_record(self.profile),
            "accumulation": None if declared is None else accumulation_record(declared),
            "k": list(self.k),
            "variants": list(self.variants),
        }


def _profile_record(declared: Profile) -> str | dict[str, Any]:
    """A preset's name, or the fields that differ from OCP as text and numbers."""
    record = to_mapping(declared)
    return str(record["preset"]) if len(record) == 1 else record


def accumulation_record(record: Accumulation) -> str | dict[str, Any]:
    """A preset's name, or the fields of any other accumulation as text and numbers."""
    return record.name if is_preset(record) else accumulation_to_mapping(record)


def is_preset(record: Accumulation) -> bool:
    """Whether an accumulation is the preset of its name."""
    return ACCUMULATIONS.get(record.name) == record


def function_of(operation: str) -> str:
    """The name of the adapter's function that carries an operation out."""
    return _FUNCTIONS.get(operation, operation)


_FUNCTIONS = {"dot-general": "dot", "encode-scaled": "encode_scaled"}


def pair_label(a: str, b: str) -> str:
    """How a pair of operands is written: ``MXFP8_E4M3,MXFP4_E2M1``, or one name if both are the same."""
    return a if a == b else f"{a},{b}"


def pair_of(label: str) -> tuple[str, str]:
    """The two formats of a `pair_label`.

    Examples
    --------
    >>> pair_of("MXINT8"), pair_of("MXFP8_E4M3,MXFP4_E2M1")
    (('MXINT8', 'MXINT8'), ('MXFP8_E4M3', 'MXFP4_E2M1'))
    """
    a, _, b = label.partition(",")
    return a, b or a


def find_pair(given: object) -> str:
    """The label of a pair from a name, two names behind one another with a comma, or a list of two.

    Raises
    ------
    UnknownName
    MxemuError
        When the block sizes differ (MX-6.1-DOT).
    """
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, (list, tuple)) or not all(isinstance(one, str) for one in names):
        raise MxemuError(f"{given!r}; expected the name of a format, or two names")
    if len(names) not in (1, 2):
        raise MxemuError(f"{len(names)} formats {list(names)}; expected one, or those of a and b")
    pair = [find_format(name.strip()) for name in (*names, *names)[:2]]
    sizes = {one.k for one in pair if isinstance(one, BlockFormat)}
    if len(sizes) > 1:
        a, b = (getattr(one, "k", None) for one in pair)
        raise MxemuError(f"{pair[0]} and {pair[1]} have k = {a} and {b}; expected one (MX-6.1-DOT)")
    return pair_label(pair[0].name, pair[1].name)


def _plain(fields: Mapping[str, Any]) -> dict[str, list[str]]:
    """Tuples as lists, enumerations as their names; empty ones left out."""
    return {
        key: [item.name if isinstance(item, Enum) else item for item in items]
        for key, items in fields.items()
        if items
    }


def capabilities_of(adapter: object, variant: str | None = None) -> Capabilities:
    """Read and check what an adapter says about itself.

    Parameters
    ----------
    adapter : object
        A module or object; see `Adapter`.
    variant : str, optional
        One of its variants, whose entries replace those of the record.

    Returns
    -------
    Capabilities

    Raises
    ------
    MxemuError
        An attribute is missing or has the wrong form, or an operation is listed that the adapter has no function for.
    UnknownName
        An operation, format, carrier, rounding, overflow, profile or variant that does not exist.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> record = {"operations": {"decode": {"formats": ["e2m1"], "carriers": ["binary32"]}}}
    >>> subject = SimpleNamespace(name="mine", version="1", capabilities=record, decode=len)
    >>> capabilities_of(subject).operations["decode"].formats
    ('E2M1',)
    """
    label = _label(adapter)
    texts = {key: _text_attribute(adapter, key, label) for key in ("name", "version")}
    if not hasattr(adapter, "capabilities"):
        raise _missing(adapter, "capabilities", label)
    found = parse(texts["name"], texts["version"], adapter.capabilities, variant)
    for operation in found.operations:
        function = function_of(operation)
        if not callable(getattr(adapter, function, None)):
            raise MxemuError(
                f"{label}: capabilities list {operation!r}, but there is no function {function}"
            )
    return found


def parse(name: str, version: str, record: object, variant: str | None = None) -> Capabilities:
    """Check a capability record; `capabilities_of` for one that came without its adapter, as from JSON."""
    if isinstance(record, Capabilities):
        return record
    keys = ("operations", "profile", "accumulation", "k", "variants")
    table = _table(record, f"{name}: capabilities", keys)
    variants = _variants(table.get("variants"), f"{name}: capabilities.variants")
    if variant is not None:
        if not variants:
            raise UnknownName(f"{name} has no variants; expected {name} without [{variant}]")
        if variant not in variants:
            raise unknown(f"variant of {name}", variant, variants)
        table = {**table, **variants[variant]}
    where = f"{name}: capabilities.operations"
    if "operations" not in table:
        raise MxemuError(f"{where} is missing; expected a table from operation to what it offers")
    return Capabilities(
        name=name,
        version=version,
        operations={
            key: _operation(key, offer, where)
            for key, offer in _table(table["operations"], where).items()
        },
        profile=_declared(table.get("profile"), f"{name}: capabilities.profile"),
        k=_sizes(table.get("k", ()), f"{name}: capabilities.k"),
        variants=tuple(variants),
        variant=variant,
        accumulation=_declared_accumulation(
            table.get("accumulation"), f"{name}: capabilities.accumulation"
        ),
    )


def _label(adapter: object) -> str:
    """How errors call an adapter: its file if it is one, else its type."""
    if isinstance(adapter, ModuleType):
        return Path(adapter.__file__).name if adapter.__file__ else adapter.__name__
    return type(adapter).__name__


def _text_attribute(adapter: object, key: str, label: str) -> str:
    if not hasattr(adapter, key):
        raise _missing(adapter, key, label)
    found = getattr(adapter, key)
    if not isinstance(found, str) or not found:
        raise MxemuError(f"{label}: {key} is {found!r}; expected a text that is not empty")
    return found


def _missing(adapter: object, key: str, label: str) -> MxemuError:
    """The error for an absent attribute, pointing at an adapter inside a module that is none itself."""
    inside = [
        name for name in public_names(adapter) if hasattr(getattr(adapter, name), "capabilities")
    ]
    hint = f"an adapter inside it is named after a colon: {label}:{inside[0]}" if inside else ""
    return MxemuError(
        f"{label} has no {key!r}; an adapter has name, version and capabilities", hint
    )


def public_names(holder: object) -> list[str]:
    """Names in a module or object that could be meant, without imported modules."""
    names = (
        [name for name in vars(holder) if not name.startswith("_")]
        if hasattr(holder, "__dict__")
        else []
    )
    return [name for name in names if not isinstance(getattr(holder, name), ModuleType)]


def _table(found: object, where: str, keys: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """A mapping with text keys, only those named if any are."""
    if not isinstance(found, Mapping):
        raise MxemuError(f"{where} is {found!r}; expected a table (a dict)")
    for key in found:
        if not isinstance(key, str) or (keys and key not in keys):
            raise unknown(f"key in {where}", key, keys or ["a text"])
    return found


def _names(found: object, where: str) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(found, (list, tuple)):
        raise MxemuError(f"{where} is {found!r}; expected a list of names")
    for name in found:
        if not isinstance(name, str):
            raise MxemuError(f"{where} holds {name!r}; expected names")
    if not found:
        raise MxemuError(f"{where} is empty; leave the operation out, or name what it offers")
    return tuple(found)


def _operation(operation: str, offer: object, where: str) -> Operation:
    """One entry of the operations table."""
    if operation not in OPERATIONS:
        raise unknown(f"operation in {where}", operation, OPERATIONS)
    where = f"{where}.{operation}"
    if operation in PRODUCT_OPERATIONS:
        return _product_operation(offer, where)
    table = _table(offer, where, ("formats", "carriers", "roundings", "overflows"))
    moves_values = operation not in ("pack", "unpack")
    for key in ("formats", "carriers") if moves_values else ("formats",):
        if key not in table:
            raise MxemuError(f"{where}.{key} is missing; expected a list of names")
    look_up = block_format if operation in BLOCK_OPERATIONS else _element
    return Operation(
        formats=_looked_up(table["formats"], f"{where}.formats", lambda name: look_up(name).name),
        carriers=_looked_up(table["carriers"], f"{where}.carriers", lambda name: carrier(name).name)
        if moves_values
        else (),
        roundings=_members(table.get("roundings"), f"{where}.roundings", Rounding),
        overflows=_members(table.get("overflows"), f"{where}.overflows", Overflow),
    )


def _product_operation(offer: object, where: str) -> Operation:
    """The entry of dot, dot-general or matmul."""
    table = _table(offer, where, ("formats", "out", "c"))
    pairs = table.get("formats", ())
    if not isinstance(pairs, (list, tuple)) or not pairs:
        raise MxemuError(
            f"{where}.formats is {pairs!r}; expected a list of names or pairs of names"
        )
    takes_c = table.get("c", False)
    if not isinstance(takes_c, bool):
        raise MxemuError(f"{where}.c is {takes_c!r}; expected true or false")
    out = _looked_up(
        (table.get("out", "binary32"),), f"{where}.out", lambda name: carrier(name).name
    )
    try:
        formats = tuple(dict.fromkeys(find_pair(pair) for pair in pairs))
    except MxemuError as error:
        raise type(error)(f"{where}.formats: {error}", error.hint) from None
    return Operation(formats, out, c=takes_c)


def _element(name: str) -> Any:
    """An element or scale format; the carriers, which the registry finds too, are none."""
    found = element(name)
    if found.name in CARRIERS:
        raise unknown("element format", name, ELEMENTS)
    return found


_Found = TypeVar("_Found")
_Member = TypeVar("_Member", bound=Enum)


def _looked_up(found: object, where: str, look_up: Callable[[str], _Found]) -> tuple[_Found, ...]:
    """Every name of a list looked up; an unknown one is reported with its place in the record."""
    try:
        return tuple(look_up(name) for name in _names(found, where))
    except UnknownName as error:
        raise UnknownName(f"{where}: {error}", error.hint) from None


def _members(found: object, where: str, kind: type[_Member]) -> tuple[_Member, ...]:
    """Members of an enumeration by name, in any case and with either of ``-`` and ``_``."""
    if found is None:
        return ()
    members = {member.name: member for member in kind}

    def look_up(name: str) -> _Member:
        key = name.upper().replace("-", "_")
        if key not in members:
            raise unknown(kind.__name__.lower(), name, members)
        return members[key]

    return _looked_up(found, where, look_up)


def _declared(found: object, where: str) -> Profile | None:
    """The declared profile from a preset's name, a table of fields, a record, or None."""
    if found is None or isinstance(found, Profile):
        return found
    try:
        if isinstance(found, str):
            return profile(found)
        if isinstance(found, Mapping):
            return from_mapping(found)
    except MxemuError as error:
        raise type(error)(f"{where}: {error}", error.hint) from None
    raise MxemuError(f"{where} is {found!r}; expected a preset's name, a table of fields, or None")


def _declared_accumulation(found: object, where: str) -> Accumulation | None:
    """The declared accumulation from a preset's name, a table, a record, or None."""
    if found is None or isinstance(found, Accumulation):
        return found
    try:
        if isinstance(found, str):
            return find_accumulation(found)
        if isinstance(found, Mapping):
            return accumulation_from_mapping(found)
    except MxemuError as error:
        raise type(error)(f"{where}: {error}", error.hint) from None
    raise MxemuError(f"{where} is {found!r}; expected a preset's name, a table of fields, or None")


def _sizes(found: object, where: str) -> tuple[int, ...]:
    if not isinstance(found, (list, tuple)) or not all(
        type(size) is int and size > 0 for size in found
    ):
        raise MxemuError(f"{where} is {found!r}; expected a list of block sizes, integers from 1")
    return tuple(found)


def _variants(found: object, where: str) -> Mapping[str, Mapping[str, Any]]:
    """Variants by name with the entries that each replaces; a bare list replaces nothing."""
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        return {name: {} for name in _names(found, where)}
    own = ("operations", "profile", "accumulation", "k")
    return {
        name: _table(changes, f"{where}.{name}", own)
        for name, changes in _table(found, where).items()
    }


def call(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function of an adapter with as many of the arguments as it takes.

    A subject without choices may leave trailing parameters out: ``encode(values, element)``.

    Examples
    --------
    >>> call(lambda values, element: element, [1.0], "E2M1", "the profile")
    'E2M1'
    """
    return function(*arguments[: _arity(function, len(arguments))])


def _arity(function: Callable[..., Any], given: int) -> int:
    """How many positional arguments a callable takes, at most those given; all when it does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions written in C have no signature
        return given
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return given
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return min(given, sum(parameter.kind in positional for parameter in parameters))


def or_rejected(
    encode: Callable[[NDArray[Any]], NDArray[Any]],
    values: NDArray[Any],
    refusals: tuple[type[Exception], ...] = (ValueError,),
) -> NDArray[Any]:
    """Encode an array with a function that raises for inputs it refuses; those become `REJECTED`.

    The array is halved until each refused value stands alone, so that one NaN costs a few calls more and not one call
    for each value.

    Parameters
    ----------
    encode : callable
        Values in, as many codes out.
    values : ndarray of shape (n,)
    refusals : tuple of exception types
        What the subject raises on purpose. Anything else passes through, and is a crash.

    Returns
    -------
    ndarray of shape (n,)
        As the function returned it if nothing was refused, else int64.

    Notes
    -----
    Codes that int64 does not hold are cut to its largest number, which no format has as a code either.
    """
    import numpy as np

    pieces = list(_halves(encode, values, refusals))
    if len(pieces) == 1 and pieces[0] is not None:
        return pieces[0]
    rejected = np.array([REJECTED], dtype=np.int64)
    return np.concatenate([rejected if piece is None else _signed(piece) for piece in pieces])


def _signed(codes: NDArray[Any]) -> NDArray[Any]:
    """Codes as int64; the largest uint64 must not turn into `REJECTED`."""
    import numpy as np

    top = np.iinfo(np.int64).max
    return (np.minimum(codes, top) if codes.dtype == np.uint64 else codes).astype(np.int64)


def _halves(
    encode: Callable[[NDArray[Any]], NDArray[Any]],
    values: NDArray[Any],
    refusals: tuple[type[Exception], ...],
) -> Iterator[NDArray[Any] | None]:
    """The codes of each longest run that halving finds accepted, in order; None for one refused value."""
    import numpy as np

    try:
        yield np.asarray(encode(values))
    except refusals:
        if len(values) == 1:
            yield None
            return
        middle = len(values) // 2
        yield from _halves(encode, values[:middle], refusals)
        yield from _halves(encode, values[middle:], refusals)
