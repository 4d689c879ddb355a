"""A pytest test, run once for every bug class with the bug in place of its subject."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from conformance.audit.inputs import usual_inputs
from conformance.audit.power import Audit, Class, choose, shown_by
from conformance.audit.stand_in import stand_ins
from conformance.zoo import reference
from mxemu.errors import MxemuError, unknown
from mxemu.formats import BINARY32

PLUGIN = "conformance.testing.plugin"


def audit_node(
    node: str,
    operation: str,
    format_name: str,
    replaced: str = "",
    claims: Iterable[str] = (),
    timeout: float = 600.0,
    carrier: str = BINARY32.name,
) -> Audit:
    """The power of a test.

    Parameters
    ----------
    node : str
        As pytest takes it: ``tests/test_kernel.py::test_quantize``. The test calls the adapter that its fixture
        ``mxemu_subject`` gives, or what stands at ``replaced``.
    operation, format_name : str
        What the test is about.
    replaced : str, optional
        ``module:name`` of an adapter or a function.
    claims : iterable of str
        Only these classes.
    timeout : float
        Seconds for all runs together.
    carrier : str
        Of the numbers that the test gives.

    Raises
    ------
    MxemuError
        When pytest runs nothing, or the test never calls what stands in for its subject.
    """
    listed = stand_ins(operation, format_name, carrier)
    fates = _run(node, (operation, format_name, carrier), replaced, timeout)
    wanted = [*claims]
    known = [one.name for one in listed[1:]]
    if missing := {*wanted} - {*known}:
        raise unknown("bug class of this operation", min(missing), known)
    inputs = usual_inputs(operation, format_name, carrier)
    found = Audit(operation, format_name, node, inputs, source="its own inputs")
    for one in listed[1:]:
        fate = fates.get(one.name, {})
        if wanted and one.name not in wanted:
            continue
        differing, caught = int(fate.get("differing", 0)), bool(fate.get("caught"))
        reason = "" if caught else "tolerance" if differing else "inputs"
        rows = int(fate.get("rows", 0))
        found.classes.append(Class(one.name, one.what, one.kind, caught, reason, differing, rows))
    if fates[reference.name].get("caught"):
        found.strict.append(reference.name)
    if any(one.name == "all-zero" and not one.caught for one in found.classes):
        found.vacuous.append("an all-zero output passes")
    choose(found, shown_by(inputs))
    return found


def _run(
    node: str, asked: tuple[str, str, str], replaced: str, timeout: float
) -> dict[str, dict[str, Any]]:
    """What became of each stand-in, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fates.json"
        words = [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, "-p", "no:cacheprovider", node]
        operation, format_name, carrier = asked
        words += ["--mxemu-audit", f"{operation},{format_name}", "--mxemu-results", str(path)]
        words += ["--mxemu-carrier", carrier]
        words += ["--mxemu-replace", replaced] if replaced else []
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise MxemuError(f"{node} took more than {timeout:g} seconds for all bugs") from None
        fates = json.loads(path.read_text("utf-8")) if path.exists() else {}
    said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
    require_calls(fates, node, said)
    return {name: dict(fate) for name, fate in fates.items()}


def require_calls(fates: Mapping[str, Mapping[str, Any]], node: str, said: str) -> None:
    """Refuse runs that show nothing: none at all, or none that asked what stands in for the subject.

    Raises
    ------
    MxemuError
    """
    if not any(fate.get("ran") for fate in fates.values()):
        raise MxemuError(f"pytest ran nothing of {node}: {said}")
    if not any(fate.get("calls") for fate in fates.values()):
        raise MxemuError(
            f"{node} never calls the subject that is replaced",
            "take it from the fixture mxemu_subject, or name it with --replace module:name",
        )
