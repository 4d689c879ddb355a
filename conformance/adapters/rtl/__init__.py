"""RTL designs as subjects: a port map says where the fields are, a simulator does the rest.

The way of a call: arrays become vectors (`fields`), the design is built with a generated harness (`harness`, `build`),
the simulator answers (`simulate`), and the results become arrays again (`subject`).
"""

from __future__ import annotations

from pathlib import Path

from conformance.adapters.rtl.portmap import PortMap
from conformance.adapters.rtl.reading import read
from conformance.adapters.rtl.results import Results
from conformance.adapters.rtl.subject import RESULTS, Answers, Design, Simulator
from mxemu.errors import MxemuError

__all__ = ["Answers", "Design", "PortMap", "Results", "Simulator", "load", "read"]


def load(where: str, variant: str | None = None) -> Design:
    """The design of a port map as an adapter.

    Parameters
    ----------
    where : str
        The TOML file.
    variant : str, optional
        The simulator, ``verilator`` or ``icarus``; the fastest that is here unless given. ``results=PATH`` takes the
        results of a simulation elsewhere.

    Raises
    ------
    MxemuError
        The port map is wrong, or there are no such results.
    """
    path = Path(where)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not there"
        raise MxemuError(f"file {where} is {what}; expected a port map (docs/guides/rtl.md)")
    design = read(path)
    if variant is not None and variant.startswith(RESULTS):
        return Design(design, Results(design, Path(variant.removeprefix(RESULTS))), variant)
    return Design(design, Simulator(design, variant), variant)
