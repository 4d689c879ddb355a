"""The tables of a run: rows of texts, for the terminal and for the page alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.marks import Run, verdicts

Table = list[list[str]]
# What other programs may take of the cores' time.
QUIET = 0.10
# Columns from left to right; a contestant that is not named here comes last.
_ORDER = (
    "mxemu",
    "copy",
    "torch",
    "openvino",
    "torchao",
    "torchao eager",
    "ml_dtypes",
    "microxcaling",
    "float32 @",
    "float64 @",
    "mmasim",
)


def marks_table(run: Run) -> Table:
    """Every mark: work, threads, what was measured, the mark, and whether it was met."""
    head = ["work", "threads", "measured", "mark", ""]
    rows = [
        [
            verdict.mark.work,
            str(verdict.threads or "-"),
            verdict.measured,
            verdict.mark.words,
            verdict.word,
        ]
        for verdict in verdicts(run)
    ]
    return [head, *rows]


def speeds_table(run: Run, work: str) -> Table:
    """Speeds of all contestants of one work in millions of elements in a second."""
    contests = [contest for contest in run["contests"] if contest["work"] == work]
    names = ordered({name for contest in contests for name in contest["speeds"]})
    head = ["format", "result", "threads", *names]
    return [head, *([*_place(contest), *_speeds(contest, names)] for contest in contests)]


def _place(contest: dict[str, Any]) -> list[str]:
    return [
        contest["name"],
        "out=" if contest["out"] else "fresh",
        str(contest["threads"]),
    ]


def _speeds(contest: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Medians; with a star where a contestant's results differ from those of mxemu."""
    speeds = contest["speeds"]
    return [
        f"{speeds[name][1]:.0f}{'*' * (contest['differ'].get(name, [0])[0] > 0)}"
        if name in speeds
        else "-"
        for name in names
    ]


def profiles_table(run: Run) -> Table:
    """For each format the slowest and the fastest deterministic profile."""
    head = ["format", "threads", "slowest", "profile", "fastest", "profile"]
    rows = []
    contests = [contest for contest in run["contests"] if contest["work"] == "profiles"]
    for element, threads in dict.fromkeys((_element(each), each["threads"]) for each in contests):
        own = [each for each in contests if (_element(each), each["threads"]) == (element, threads)]
        own.sort(key=lambda each: each["speeds"]["mxemu"][1])
        ends = [
            [f"{each['speeds']['mxemu'][1]:.0f}", each["name"].partition(", ")[2]]
            for each in (own[0], own[-1])
        ]
        rows.append([element, str(threads), *ends[0], *ends[1]])
    return [head, *rows]


def _element(contest: dict[str, Any]) -> str:
    return str(contest["name"]).partition(",")[0]


def figures_table(run: Run) -> Table:
    """Everything that is no speed."""
    rows = [
        [found["name"], *(f"{figure:.3g}" for figure in found["figures"]), found["unit"]]
        for found in run["figures"]
    ]
    return [["what", "lower quartile", "median", "upper quartile", "unit"], *rows]


def differences_table(run: Run) -> Table:
    """Contestants whose results are not those of mxemu, each format once."""
    rows = {
        (contest["work"], contest["name"], name): f"{differ} of {compared}"
        for contest in run["contests"]
        for name, (differ, compared) in contest["differ"].items()
        if differ
    }
    return [["work", "format", "peer", "differ"], *([*key, count] for key, count in rows.items())]


def scaling_table(run: Run) -> Table:
    """Speed over the number of elements, one column for each work and number of threads."""
    points = run["scaling"]
    columns = list(dict.fromkeys((point["work"], point["threads"]) for point in points))
    found = {
        (point["work"], point["threads"], point["elements"]): point["speeds"][1] for point in points
    }
    sizes = sorted({point["elements"] for point in points})
    head = ["elements", *(f"{work}, {threaded(threads)}" for work, threads in columns)]
    rows = [
        [
            f"2^{size.bit_length() - 1}",
            *(f"{found[work, threads, size]:.0f}" for work, threads in columns),
        ]
        for size in sizes
    ]
    return [head, *rows]


def others(run: Run) -> str:
    """What other programs took of the processor, with a warning where it makes the figures doubtful."""
    share = run["machine"]["others"]
    if share is None:
        return "unknown"
    doubt = "; too much for figures to be relied on" if share > QUIET else ""
    return f"{share:.0%} of the cores' time during the run{doubt}"


def merged(part: dict[str, Any]) -> str:
    """When some works were measured again, and beside what."""
    return f"{part['date']}, {others({'machine': part})}"


def threaded(count: int) -> str:
    """A number of threads in words."""
    return "1 thread" if count == 1 else f"{count} threads"


def ordered(names: Iterable[str]) -> list[str]:
    """Contestants in the order of the columns."""
    return sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else 99, name))


def plain(table: Table) -> str:
    """A table for the terminal, in columns."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
    return "\n".join(lines)


def markdown(table: Table) -> str:
    """A table for the page."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table]
    lines.insert(1, "|" + " --- |" * len(table[0]))
    return "\n".join(lines)
