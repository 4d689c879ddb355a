"""Groups with the same cause joined to findings, in the order in which a reader wants them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from conformance.known import Comparison
from conformance.report.baseline import Change
from conformance.runner import Run
from conformance.verdict import Cluster, Group
from conformance.why.diagnose import Hypothesis
from mxemu.formats import CARRIERS

ORDER = ("crash", "FAIL", "free", "unsupported")
_CARRIERS = (*CARRIERS, "any")


@dataclass
class Finding:
    """One cause, and the groups that it explains.

    Attributes
    ----------
    verdict : str
    operation : str
    cause : Hypothesis or None
    reason : str
        For crash and unsupported.
    groups : list of Group
    cluster : Cluster or None
        The simplest case of the first group.
    count, of : int
        Differing cases, of all cases of these groups.
    known : bool
    silent : bool
        Whether the specification says nothing about these cases.
    since : str
        Against a baseline: ``new``, ``as before`` or ``changed``; empty without one.
    """

    verdict: str
    operation: str
    cause: Hypothesis | None
    reason: str
    groups: list[Group]
    cluster: Cluster | None
    count: int = 0
    of: int = 0
    known: bool = False
    silent: bool = False
    since: str = ""

    @property
    def formats(self) -> list[str]:
        """The formats, each once."""
        return list(dict.fromkeys(group.format for group in self.groups))

    @property
    def carriers(self) -> list[str]:
        """The carriers, each once; ``any`` for a capability."""
        return [name for name in _CARRIERS if any(group.carrier == name for group in self.groups)]

    @property
    def log(self) -> str:
        """What the subject printed before it died."""
        return next((group.log for group in self.groups if group.log), "")


def findings(
    run: Run, comparison: Comparison | None = None, change: Change | None = None
) -> list[Finding]:
    """All findings of a run: crashes, failures, conventions, missing capabilities."""
    found: dict[tuple[str, str, str, bool, bool, str], Finding] = {}
    for place, group in enumerate(run.groups):
        for aspect in _aspects(group):
            known = (
                comparison is not None and group in comparison.known and aspect.verdict != "free"
            )
            since = change.word(place, aspect.verdict) if change is not None else ""
            label = aspect.cause.name if aspect.cause else aspect.reason
            if aspect.cause is not None and not aspect.cause.complete:
                label += f" of {group.key} under {group.profile}"
            key = (aspect.verdict, group.operation, label, aspect.silent, known, since)
            entry = found.setdefault(
                key, replace(aspect, groups=[], count=0, known=known, since=since)
            )
            entry.cause = _shared(entry.cause, aspect.cause)
            entry.groups.append(group)
            entry.count += aspect.count
            entry.of += sum(group.counts.values())
    return sorted(
        found.values(),
        key=lambda one: (ORDER.index(one.verdict), one.known, one.since == "as before"),
    )


def _shared(one: Hypothesis | None, other: Hypothesis | None) -> Hypothesis | None:
    """A cause with those other names that hold for both groups."""
    if one is None or other is None:
        return one
    return replace(one, also=tuple(name for name in one.also if name in other.also))


def _aspects(group: Group) -> Iterator[Finding]:
    """What is to be said of one group: crashes, capabilities, judged cases and silent cases apart."""
    judged, counts = next(iter(group.hypotheses), None), group.counts
    for verdict, count, cause, silent in (
        ("crash", counts["crash"], None, False),
        ("unsupported", counts["unsupported"], None, False),
        ("FAIL", counts["FAIL"], judged, False),
        ("free", counts["free"] - group.silent, judged, False),
        ("free", group.silent, group.open_hypothesis, True),
    ):
        reason = group.reason if verdict in ("crash", "unsupported") else ""
        clusters = (one for one in group.clusters if (one.verdict, one.silent) == (verdict, silent))
        if count:
            cluster = next(clusters, None)
            yield Finding(
                verdict, group.operation, cause, reason, [group], cluster, count, silent=silent
            )
