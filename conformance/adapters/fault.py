"""What a transport says that its subject did."""

from __future__ import annotations

from mxemu.errors import MxemuError


class Fault(MxemuError):
    """A subject gave no result, or none that means anything.

    It is reported in these words. Other exceptions come from a subject's own code, so their type and place are shown.
    The words continue "the subject": they start with a verb such as *gave* or *ended*.
    """


class Ended(Fault):
    """A subject in a process or library of its own cannot go on: nothing more is asked of it for this group.

    Parameters
    ----------
    kind : str
        Of the `conformance.worker.Outcome`: ``died``, ``hung``, or ``broke`` (the protocol).
    message : str
        As of a `Fault`.
    log : str
        The last lines that the subject wrote to standard error.
    """

    def __init__(self, kind: str, message: str, log: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.log = log
