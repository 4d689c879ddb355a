"""Blocks: an array in a block format, as codes and scales with everything that is needed to read them."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from mxemu.array import packing
from mxemu.array.inputs import Array, code_dtype
from mxemu.array.records import canonical
from mxemu.errors import BadIndex, BadShape, BadType, BadValue
from mxemu.formats import BlockFormat, FloatFormat
from mxemu.formats import block_format as find_block_format
from mxemu.layout import Layout
from mxemu.profile import OCP, Profile
from mxemu.profile import profile as find_profile

if TYPE_CHECKING:
    from pandas import DataFrame

    from mxemu.array.statistics import Statistics


@dataclass(frozen=True, eq=False, repr=False)
class Blocks:
    """Codes and scales of an array whose blocks lie along one axis.

    Parameters
    ----------
    codes : ndarray of unsigned integers, shape (..., n_blocks, k)
        Element codes in the smallest dtype that holds them. The blocked axis of the original is the last one but is cut
        into blocks here; all other axes keep their order.
    scales : ndarray of unsigned integers, shape (..., n_blocks)
        Scale codes.
    block_format : BlockFormat or str
    profile : Profile or str
        The choices with which they were made, and with which they are read.
    axis : int
        The blocked axis of the original, 0 or more.
    shape : tuple of int
        Shape of the original.
    tensor_scale : float32, optional
        A second scale above all blocks (NVFP4).

    Raises
    ------
    BadType, BadShape
        When codes, scales and shape do not go together.

    Notes
    -----
    ``blocks[...]`` takes the indices of `scales` and gives Blocks on the same memory; an integer drops its axis, but
    along the blocks it keeps one block. ``len`` and iteration go along the first of these axes, and `numpy.asarray`
    gives the numbers.

    Examples
    --------
    >>> from mxemu.array import quantize
    >>> blocks = quantize(np.arange(128, dtype=np.float32).reshape(2, 64), "MXFP4")
    >>> blocks[1, 0]
    <Blocks MXFP4_E2M1 (ocp), shape (32,), axis 0, 33 bytes>
    >>> np.asarray(blocks[1, 0])[:3]
    array([64., 64., 64.], dtype=float32)
    """

    codes: Array
    scales: Array
    block_format: BlockFormat
    profile: Profile = OCP
    axis: int = -1
    shape: tuple[int, ...] = ()
    tensor_scale: np.float32 | None = None

    def __post_init__(self) -> None:
        fmt = find_block_format(self.block_format)
        _check_dtype("codes", self.codes, fmt.element.width)
        _check_dtype("scales", self.scales, fmt.scale.width)
        shape = tuple(self.shape) or _unpadded(self.codes.shape)
        # The record is frozen for everybody else; every call of quantize makes one, so this must be quick.
        own = self.__dict__
        own["block_format"], own["profile"] = fmt, find_profile(self.profile)
        own["shape"], own["axis"] = shape, checked_axis(self.axis, shape)
        if self.tensor_scale is not None:
            own["tensor_scale"] = checked_tensor_scale(self.tensor_scale)
        expected = storage_shape(shape, self.axis, fmt.k)
        if self.codes.shape != expected:
            raise BadShape(
                f"codes have shape {self.codes.shape}; expected {expected} for an array of shape "
                f"{shape} in blocks of k = {fmt.k} along axis {self.axis}"
            )
        if self.scales.shape != expected[:-1]:
            raise BadShape(f"scales have shape {self.scales.shape}; expected {expected[:-1]}")

    @property
    def length(self) -> int:
        """Elements along the blocked axis; the last block is filled up with zero codes when k does not divide it."""
        return self.shape[self.axis]

    @property
    def k(self) -> int:
        return self.block_format.k

    @property
    def n_blocks(self) -> int:
        """Blocks along the blocked axis."""
        return self.codes.shape[-2]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Blocks):
            return NotImplemented
        return self.describes_as(other) and bool(
            np.array_equal(self.codes, other.codes) and np.array_equal(self.scales, other.scales)
        )

    __hash__ = None  # type: ignore[assignment]  # the arrays can change

    @property
    def summary(self) -> str:
        """Format, profile, shape and axis in one line."""
        second = "" if self.tensor_scale is None else f", tensor scale {self.tensor_scale}"
        return f"{self.block_format.name} ({self.profile}), shape {self.shape}, axis {self.axis}{second}"

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays of codes and scales; `to_bytes` packs them."""
        return self.codes.nbytes + self.scales.nbytes

    def __repr__(self) -> str:
        return f"<Blocks {self.summary}, {self.nbytes} bytes>"

    def _repr_html_(self) -> str:
        from mxemu.array.display import html  # noqa: PLC0415 - it imports this module

        return html(self)

    def __reduce__(self) -> tuple[Any, ...]:
        own = (self.codes, self.scales, self.block_format, self.profile)
        return _unpickled, (*own, self.axis, self.shape, self.tensor_scale)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        from mxemu.array.quantizer import dequantize  # noqa: PLC0415 - it imports this module

        if copy is False:
            raise ValueError("the numbers of blocks are computed; expected copy=None or copy=True")
        return dequantize(self, np.float32).astype(dtype or np.float32, copy=False)

    def __len__(self) -> int:
        return self.scales.shape[0]

    def __iter__(self) -> Iterator[Blocks]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Blocks:
        spans = _spans(index, self.scales.shape)
        place = self.scales.ndim - 1
        last = _block_span(spans[place], self.n_blocks)
        kept = [(axis, span) for axis, span in enumerate(spans[:place]) if isinstance(span, slice)]
        lengths = [len(range(*span.indices(self.scales.shape[axis]))) for axis, span in kept]
        axis = sum(1 for before, _ in kept if before < self.axis)
        # All blocks are full but perhaps the last one.
        length = max(0, min(last.stop * self.k, self.length) - last.start * self.k)
        part = (*spans[:place], last)
        return Blocks(
            self.codes[part],
            self.scales[part],
            self.block_format,
            self.profile,
            axis,
            (*lengths[:axis], length, *lengths[axis:]),
            self.tensor_scale,
        )

    def to_bytes(self, layout: Layout | str = "mx") -> bytes:
        """Codes and scales in a layout of `mxemu.layout.LAYOUTS`, as another program stores them.

        Notes
        -----
        The tensor scale is not among them. `mxemu.array.packing.to_bytes` gives an array without a copy.

        Raises
        ------
        BadCode, BadFormat, BadShape, UnknownName
            When a code does not fit its width; when the layout does not hold this format or shape, or is unknown.

        Examples
        --------
        >>> from mxemu.array import quantize
        >>> quantize([1.0, 2.0] * 16, "MXFP4").to_bytes("ggml-mxfp4").hex()
        '7e44664466446644664466446644664466'
        """
        packed = packing.to_bytes(self.codes, self.scales, self.block_format, layout)
        return packed.tobytes()

    @classmethod
    def from_bytes(
        cls,
        data: Any,
        block_format: BlockFormat | str,
        shape: tuple[int, ...],
        layout: Layout | str = "mx",
        axis: int = -1,
        profile: Profile | str = OCP,
        tensor_scale: Any | None = None,
    ) -> Blocks:
        """Blocks from the bytes of a layout.

        Parameters
        ----------
        data : bytes or ndarray of uint8
        block_format : BlockFormat or str
        shape : tuple of int
            Shape of the original.
        layout : Layout or str
        axis : int
            The blocked axis of the original.
        profile : Profile or str
        tensor_scale : float, optional
            A binary32 number above zero.

        Raises
        ------
        BadFormat, BadShape, BadType, BadValue, UnknownName
            When data, format, shape and layout do not go together.

        Examples
        --------
        >>> data = bytes([0x7E] + [0x44, 0x66] * 8)
        >>> np.asarray(Blocks.from_bytes(data, "MXFP4", (32,), "ggml-mxfp4"))[:3]
        array([1., 2., 1.], dtype=float32)
        """
        fmt, shape = find_block_format(block_format), tuple(shape)
        axis = checked_axis(axis, shape)
        places = storage_shape(shape, axis, fmt.k)[:-1]
        codes, scales = packing.from_bytes(data, places, fmt, layout)
        second = checked_tensor_scale(tensor_scale)
        return cls(codes, scales, fmt, find_profile(profile), axis, shape, second)

    def statistics(
        self,
        source: Any | None = None,
        *,
        carrier: FloatFormat | str | None = None,
        random: Any | None = None,
        key: int | None = None,
    ) -> Statistics:
        """Bits an element, zeros, scales; and with the source what the conversion lost.

        Parameters
        ----------
        source : array_like, optional
            What the blocks were made from, in the original's shape (or shorter along the axis, if it was padded).
        carrier : FloatFormat or str, optional
            As for `quantize`, of the source.
        random, key
            The random words of STOCHASTIC rounding. Without them it is not known what was clipped.

        Returns
        -------
        Statistics

        Raises
        ------
        BadShape, BadType, BadValue
            When the source has another shape, or is none.

        Examples
        --------
        >>> from mxemu.array import quantize
        >>> x = np.arange(32, dtype=np.float32)
        >>> print(quantize(x, "MXFP4").statistics(x))
        MXFP4_E2M1: 32 elements in 1 block
          bits        4.25 an element, 7.53 x less than binary32
          zeros       2 (6.25 %)
          at largest  11 (34.4 %)
          clipped     4 (12.5 %)
          scales      0x81 to 0x81
          SQNR        17.17 dB
          error       1.75 on average, at most 7
        """
        from mxemu.array.statistics import statistics  # noqa: PLC0415 - it imports this module

        return statistics(self, source, carrier, random, key)

    def to_pandas(self) -> DataFrame:
        """A table with one row a block: its place along each axis, scale and codes.

        Returns
        -------
        DataFrame
            Columns ``axis_0`` and so on (the other axes of the original), ``block``, ``scale_code`` and ``codes`` in
            hexadecimal, ``scale`` in binary64.

        Examples
        --------
        >>> from mxemu.array import quantize
        >>> print(quantize([1.0, 2.0, 3.0], "MXFP4", tail="partial").to_pandas().to_string())
           block scale_code  scale  codes
        0      0       0x7E    0.5  4 6 7
        """
        from mxemu.array.display import table  # noqa: PLC0415 - it imports this module

        return table(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to a file, by way of a temporary name beside it.

        Parameters
        ----------
        path : path-like
            Ends in ``.npz`` (arrays ``codes`` and ``scales``, and ``header.json``) or in ``.safetensors`` (the same
            tensors, the header in its metadata).

        Raises
        ------
        BadFile
            When the file cannot be written; an older one of this name is left as it was.
        BadValue
            When the name has another ending.
        """
        from mxemu.array.files import save  # noqa: PLC0415 - it imports this module

        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Blocks:
        """Blocks from a file that `save` wrote; nothing in it is executed.

        Raises
        ------
        BadFile
            When it is missing, truncated, damaged, of a later version or not from here.
        """
        from mxemu.array.files import load  # noqa: PLC0415 - it imports this module

        return load(path)

    def describes_as(self, other: Blocks) -> bool:
        """Whether two records read their codes in the same way."""
        return self.stands_for(
            other.shape, other.axis, other.block_format, other.profile, other.tensor_scale
        )

    def stands_for(
        self,
        shape: tuple[int, ...],
        axis: int,
        fmt: BlockFormat,
        profile: Profile,
        tensor_scale: np.float32 | None,
    ) -> bool:
        """Whether these are blocks of such an array."""
        # Records are mostly the same objects; comparing all fields takes longer than quantizing a block.
        return (
            (self.block_format is fmt or self.block_format == fmt)
            and (self.profile is profile or self.profile.same_choices(profile))
            and self.axis == axis
            and self.shape == shape
            and _same_number(self.tensor_scale, tensor_scale)
        )


def _same_number(mine: np.float32 | None, yours: np.float32 | None) -> bool:
    return mine is yours or (
        mine is not None and yours is not None and mine.tobytes() == yours.tobytes()
    )


def checked_axis(axis: int, shape: tuple[int, ...]) -> int:
    """The axis counted from the front.

    Raises
    ------
    BadShape
    """
    try:
        axis = operator.index(axis)
    except TypeError:
        raise BadType(f"axis {axis!r}; expected an integer") from None
    if not -len(shape) <= axis < len(shape):
        raise BadShape(f"axis {axis} of an array of shape {shape}; it has {len(shape)} axes")
    return axis % len(shape)


def storage_shape(shape: tuple[int, ...], axis: int, k: int) -> tuple[int, ...]:
    """The shape of the codes of an array: the blocked axis last, cut into blocks."""
    rest = shape[:axis] + shape[axis + 1 :]
    return (*rest, -(-shape[axis] // k), k)


def padded_shape(shape: tuple[int, ...], axis: int, fmt: BlockFormat, tail: str) -> tuple[int, ...]:
    """The shape that blocks of an array stand for; see ``tail`` of `quantize`.

    Raises
    ------
    BadShape
        When k does not divide the axis and ``tail`` is ``"refuse"``.
    BadValue
        When there is no such tail.
    """
    length, k = shape[axis], fmt.k
    if tail not in ("refuse", "pad", "partial"):
        raise BadValue(f"tail = {tail!r}; expected refuse, pad, partial")
    if length % k == 0 or tail == "partial":
        return shape
    if tail == "pad":
        return (*shape[:axis], -(-length // k) * k, *shape[axis + 1 :])
    raise BadShape(
        f"axis {axis} has length {length}, not a multiple of k = {k} (MX-6.3-MECH)",
        hint='tail="pad" fills up with zeros, tail="partial" makes the last block shorter',
    )


def checked_tensor_scale(given: Any | None) -> np.float32 | None:
    """A second scale as a binary32 number.

    Raises
    ------
    BadValue
        When it is no finite binary32 number above zero.
    """
    if given is None:
        return None
    try:
        wide = np.float64(float(given))
    except (TypeError, ValueError):
        raise BadValue(f'tensor_scale = {given!r}; expected a number or "amax"') from None
    with np.errstate(over="ignore", under="ignore"):
        scale = np.float32(wide)
    if not (np.isfinite(scale) and scale > 0):
        raise BadValue(f"tensor_scale = {given}; expected a finite binary32 number above 0")
    if scale != wide:
        raise BadValue(
            f"tensor_scale = {given} is no binary32 number; {float(scale)!r} is the closest one"
        )
    return scale


def _spans(index: Any, shape: tuple[int, ...]) -> list[slice | int]:
    """An index of the scales, one entry an axis."""
    given = list(index) if isinstance(index, tuple) else [index]
    dots = [place for place, one in enumerate(given) if one is Ellipsis]
    if len(given) - len(dots) > len(shape) or len(dots) > 1:
        raise BadIndex(
            f"{len(given)} indices into blocks of shape {shape}; a block is the smallest part"
        )
    place = dots[0] if dots else len(given)
    missing = len(shape) - len(given) + len(dots)
    given[place : place + 1] = [slice(None)] * missing
    return [_span(one, axis, n) for axis, (one, n) in enumerate(zip(given, shape, strict=True))]


def _span(one: Any, axis: int, length: int) -> slice | int:
    """One entry of an index, checked; integers count from the front."""
    if isinstance(one, slice):
        return one
    if isinstance(one, bool) or not hasattr(one, "__index__"):
        raise BadType(f"index {one!r}; expected integers, slices and ... over the axes of scales")
    place = int(one.__index__())
    if not -length <= place < length:
        raise BadIndex(f"index {place} along axis {axis} of the scales, which has length {length}")
    return place % length


def _block_span(span: slice | int, n_blocks: int) -> slice:
    """Which blocks: neighbours in their order, so that a shorter last one stays the last."""
    if isinstance(span, int):
        return slice(span, span + 1)
    start, stop, step = span.indices(n_blocks)
    if step != 1:
        raise BadIndex(f"step {step} along the blocks; expected neighbours, step 1")
    return slice(start, max(start, stop))


def _unpickled(
    codes: Array,
    scales: Array,
    block_format: BlockFormat,
    profile: Profile,
    axis: int,
    shape: tuple[int, ...],
    tensor_scale: np.float32 | None,
) -> Blocks:
    """Blocks with the registered format and profile, so that tables that are there already are used."""
    fmt, choices = canonical(block_format), canonical(profile)
    return Blocks(codes, scales, fmt, choices, axis, shape, tensor_scale)


def _unpadded(codes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an array that fills its blocks along the last axis."""
    if len(codes) < 2:
        raise BadShape(f"codes have shape {codes}; expected (..., n_blocks, k)")
    return (*codes[:-2], codes[-2] * codes[-1])


def _check_dtype(name: str, array: Any, width: int) -> None:
    wanted = code_dtype(width)
    if not isinstance(array, np.ndarray) or array.dtype != wanted:
        found = getattr(array, "dtype", type(array).__name__)
        raise BadType(f"{name} have dtype {found}; expected an ndarray of {wanted}")
