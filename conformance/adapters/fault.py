"""What a transport says that its subject did."""

from __future__ import annotations

from mxemu.errors import MxemuError


class Fault(MxemuError):
    """A subject gave no result, or none that means anything.

    It is reported in these words. Other exceptions come from a subject's own code, so their type and place are shown.
    The words continue "the subject": they start with a verb such as *gave* or *ended*.
    """
