"""What a set of vectors is: fields of fixed width, and rows of unsigned integers that fill them.

Every file format here is a rendering of the same thing: a `Table` says which fields a vector has and how wide they
are, a `Batch` holds some rows. What goes in and what comes out are fields of the same kind; each field that comes out
has an ``expect`` field beside it, which says for every number how it is to be compared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

from mxemu.errors import MxemuError

if TYPE_CHECKING:
    from conformance.arrays import Array


class Role(Enum):
    """What a field is for."""

    IN = "in"
    OUT = "out"
    EXPECT = "expect"


class Expect(IntEnum):
    """How one number of a result is compared: two bits in every rendering.

    ``EXACT``: equal, and a clause decides it. ``ANY_NAN``: any NaN of the format. ``BY_PROFILE``: equal, and the
    specification leaves it to the profile that the file names. ``UNSPECIFIED``: not compared.
    """

    EXACT = 0
    ANY_NAN = 1
    BY_PROFILE = 2
    UNSPECIFIED = 3


EXPECT_BITS = 2
"""Width of an expectation."""


@dataclass(frozen=True)
class Field:
    """One field of a vector: ``count`` numbers of ``width`` bits.

    Parameters
    ----------
    name : str
        An identifier in C and SystemVerilog.
    width : int
        Bits of one number.
    count : int
        Numbers: 1, or the elements of a block. Number i lies at bits ``i * width`` and up.
    role : Role
    format : str
        The format of each number, such as E4M3 or binary32; empty for bytes and expectations.
    """

    name: str
    width: int
    count: int = 1
    role: Role = Role.IN
    format: str = ""

    @property
    def bits(self) -> int:
        """Width of the whole field."""
        return self.width * self.count

    @property
    def digits(self) -> int:
        """Hexadecimal digits of the whole field, the first one padded with zeros at its top."""
        return -(-self.bits // 4)

    @property
    def size(self) -> int:
        """Bytes of the whole field, the last one padded with zeros at its top."""
        return -(-self.bits // 8)

    def record(self) -> dict[str, Any]:
        """The field in texts and numbers, as files hold it."""
        found = {"name": self.name, "role": self.role.value, "width": self.width}
        return found | {"count": self.count, "format": self.format}

    @classmethod
    def of_record(cls, found: Mapping[str, Any]) -> Field:
        """The inverse of `record`."""
        role = Role(found["role"])
        return cls(found["name"], found["width"], found["count"], role, found["format"])

    @property
    def expectation(self) -> Field:
        """The field that says how the numbers of this one are compared."""
        return Field(f"{self.name}_expect", EXPECT_BITS, self.count, Role.EXPECT)


@dataclass(frozen=True)
class Batch:
    """Some vectors.

    Attributes
    ----------
    columns : mapping of str to ndarray
        Field name to unsigned integers, shape (n,) or (n, count) where the field holds several numbers.
    theme : ndarray of int, shape (n,)
        Index into the table's notes.
    first : int
        Number of the first vector in the whole set.
    """

    columns: Mapping[str, Array]
    theme: Array
    first: int = 0

    def __len__(self) -> int:
        return len(self.theme)


@dataclass(frozen=True)
class Table:
    """What is common to all vectors of a set.

    Attributes
    ----------
    operation : str
        ``decode``, ``encode``, ``encode-scaled``, ``scale``, ``quantize``, ``dequantize``, ``dot``, ``dot-general`` or
        ``pack``.
    name : str
        Format and operation as a relative path without ending: ``e4m3/encode.binary32``.
    fields : tuple of Field
        Inputs, then results, each result followed by its expectation; the order in every rendering.
    notes : tuple of str
        Keys of `conformance.notes`, the mistakes that the vectors catch.
    header : mapping of str to str
        What else a reader must know, in order: formats, carrier, profile, accumulation.
    """

    operation: str
    name: str
    fields: tuple[Field, ...]
    notes: tuple[str, ...] = ()
    header: Mapping[str, str] = field(default_factory=dict)

    def of(self, role: Role) -> tuple[Field, ...]:
        """The fields of one role, in order."""
        return tuple(one for one in self.fields if one.role is role)

    def field(self, name: str) -> Field:
        """A field by name.

        Raises
        ------
        MxemuError
        """
        for one in self.fields:
            if one.name == name:
                return one
        expected = ", ".join(one.name for one in self.fields)
        raise MxemuError(f"{self.name} has no field {name!r}; expected one of {expected}")

    @property
    def identifier(self) -> str:
        """The name as an identifier: ``e4m3_encode_binary32``."""
        return "".join(letter if letter.isalnum() else "_" for letter in self.name).lower()

    @property
    def digits(self) -> int:
        """Hexadecimal digits of a vector."""
        return sum(one.digits for one in self.fields)

    @property
    def size(self) -> int:
        """Bytes of a vector in a binary file."""
        return sum(one.size for one in self.fields)


class VectorSet(ABC):
    """A table and its vectors, which are made when asked for; memory does not grow with their number."""

    table: Table
    count: int

    @abstractmethod
    def batches(self, rows: int = 1 << 14) -> Iterator[Batch]:
        """The vectors in order, at most ``rows`` at a time."""
