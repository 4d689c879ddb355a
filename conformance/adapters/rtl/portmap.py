"""The port map: which bits of which port hold which field, and when.

It is read from a TOML file by `conformance.adapters.rtl.reading`; ``docs/guides/rtl.md`` lists every key. What only the
design can tell, such as the width of a port, is found when it is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.adapters.rtl.fields import Interface
from conformance.adapters.rtl.slices import Part
from mxemu.profile import Overflow, Rounding

COMBINATIONAL, LATENCY, HANDSHAKE, SEQUENCE = "combinational", "latency", "handshake", "sequence"


@dataclass(frozen=True)
class Clock:
    """The clock, and how the design is reset.

    Attributes
    ----------
    port : str
        The design works on its rising edge.
    reset : str
        Port of the reset; empty for none.
    active_low : bool
    cycles : int
        How long the reset lasts.
    """

    port: str
    reset: str = ""
    active_low: bool = False
    cycles: int = 2


@dataclass(frozen=True)
class Timing:
    """When results come.

    Attributes
    ----------
    kind : str
        ``combinational``, ``latency``, ``handshake``, or ``sequence`` where the operation has steps.
    latency : int
        Cycles from inputs to results.
    in_valid, in_ready, out_valid, out_ready : str
        Ports of a handshake; empty where the design has none.
    stalls : bool
        Whether inputs and results are held back now and then, in a fixed pattern.
    limit : int
        Cycles without any progress after which the design counts as stuck.
    """

    kind: str = COMBINATIONAL
    latency: int = 0
    in_valid: str = ""
    in_ready: str = ""
    out_valid: str = ""
    out_ready: str = ""
    stalls: bool = False
    limit: int = 10_000


@dataclass(frozen=True)
class Drive:
    """Bits of a port, and what is on them: a number, bits of a field, or one of ``i``, ``first`` and ``last``."""

    port: Part
    source: int | str | Part
    width: int


@dataclass(frozen=True)
class Read:
    """Bits of a port that become bits of a result."""

    port: Part
    field: Part
    width: int


@dataclass(frozen=True)
class Step:
    """Some cycles of a sequence.

    Attributes
    ----------
    drive : tuple of Drive
        What is on the ports in each of its cycles; other ports hold their constant, or 0.
    read : tuple of Read
        What is taken at the end of its last cycle.
    repeat : int
        How often the step is done, with i = 0, 1, ...
    cycles : int
        How many cycles each of these takes.
    until : str
        A port that must be 1 for the step to end; empty for none.
    """

    drive: tuple[Drive, ...]
    read: tuple[Read, ...]
    repeat: int = 1
    cycles: int = 1
    until: str = ""


@dataclass(frozen=True)
class OperationMap:
    """One ``[[operation]]``: how the design does one operation of one format.

    Attributes
    ----------
    operation, format, carrier : str
        ``format`` as the checker calls it; for products the label of a pair.
    interface : Interface
        The fields of a vector; C is among them only where the design takes it.
    top : str
    parameters, defines : mapping
    constants : mapping of str to int
        Input ports that never change.
    inputs, results : mapping of str to tuple of Part
        Field name to parts of ports, the first in the least significant bits; empty where there are steps.
    steps : tuple of Step
    timing : Timing
    ports : mapping of str to tuple of (str, int)
        Every port in use but those of clock, reset and handshake: its direction, ``in`` or ``out``, and width.
    blocks : int
    rounding : Rounding or None
    overflow : Overflow or None
        What this entry is for, besides the declared profile.
    """

    operation: str
    format: str
    carrier: str
    interface: Interface
    top: str
    parameters: Mapping[str, int | str]
    defines: Mapping[str, int | str]
    constants: Mapping[str, int]
    inputs: Mapping[str, tuple[Part, ...]]
    results: Mapping[str, tuple[Part, ...]]
    steps: tuple[Step, ...]
    timing: Timing
    ports: Mapping[str, tuple[str, int]]
    blocks: int = 1
    rounding: Rounding | None = None
    overflow: Overflow | None = None

    @property
    def label(self) -> str:
        """A name for files and messages: ``encode.e4m3.binary32``."""
        asked = [one.name.lower() for one in (self.rounding, self.overflow) if one is not None]
        words = [self.operation, self.format.replace(",", "-").replace("/", "-"), self.carrier]
        return ".".join([*words, *asked]).lower()


@dataclass(frozen=True)
class PortMap:
    """A checked port map.

    Attributes
    ----------
    path : Path
        Of the TOML file; sources and includes are relative to its folder.
    name, version : str
        Of the design.
    sources, include : tuple of Path
    clock : Clock or None
    profile, accumulation : object
        What the design declares, as an adapter's capabilities hold it.
    operations : tuple of OperationMap
    """

    path: Path
    name: str
    version: str
    sources: tuple[Path, ...]
    include: tuple[Path, ...]
    clock: Clock | None
    profile: Any
    accumulation: Any
    operations: tuple[OperationMap, ...] = field(default_factory=tuple)
