r"""Can a test fail? Known bug classes, and results that no kernel should give, against somebody's own assertion.

Each class of the zoo answers the test's inputs, and the assertion says whether it accepts. A class that passes is
looked at twice: if it gives other bits on these inputs, the tolerance is too wide; if it gives the same, the inputs are
too tame, and inputs of the suite that would have shown it are named.

Notes
-----
A correct kernel is never counted as a bug: a member counts only if it gives, for inputs of the suite, what no legal
choice gives. So for dot products a member counts if it misses every accumulation (MX 6.1, 6.2), and a block conversion
if it is wrong under the default profile. Correct kernels of several kinds are put to the assertion, too; one that
rejects them is said to be too strict.
"""

from __future__ import annotations

from conformance.audit.answers import Answer, answer, trivial
from conformance.audit.files import read_arrays, save_arrays
from conformance.audit.inputs import AUDITED, MOST_BLOCKS, Inputs, given_inputs, usual_inputs
from conformance.audit.node import audit_node
from conformance.audit.power import Audit, Class, audit
from conformance.audit.report import render_json, render_text
from conformance.audit.tolerance import Tolerance, comparison

__all__ = [
    "AUDITED",
    "MOST_BLOCKS",
    "Answer",
    "Audit",
    "Class",
    "Inputs",
    "Tolerance",
    "answer",
    "audit",
    "audit_node",
    "comparison",
    "given_inputs",
    "read_arrays",
    "render_json",
    "render_text",
    "save_arrays",
    "trivial",
    "usual_inputs",
]
