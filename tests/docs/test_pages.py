"""Every page is run, its links lead somewhere, and its numbers come from what was run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_pages import NOT_RUN, ROOT, PageError, Runner, agrees, blocks, correct, prose

from mxemu.clauses import CLAUSES
from mxemu.profile import FIELDS

GENERATED = ("docs/reference/",)
RECORDS = ("docs/decisions/", "docs/changelog.md")
PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if not path.relative_to(ROOT).as_posix().startswith(GENERATED)
]
RUN = [page for page in PAGES if not page.startswith(RECORDS)]

# Names and references that hold digits: code, links, clauses, sections, standards, versions, items, headings.
_NAMES = re.compile(
    r"`[^`]*`|\]\([^)]*\)|\bMX-[\w.-]+|\b(?:MX|OFP8|IEEE|section|sections|Table|Python|version)"
    r" [\d.]+(?:, [\d.]+)*(?: (?:and|to|or) [\d.]+)*|^\d+\. |^#+ .*$",
    re.MULTILINE,
)
_NUMBER = re.compile(r"(?<![\w.^-])-?(0x[0-9A-F]+|\d+(?:,\d{3})*(?:\.\d+)*(?:[/^]-?\d+)?)(?![\w^])")
_KNOWN = {*map(str, range(17)), "32", "2^32", *(clause.section for clause in CLAUSES.values())}
_WORDS = re.compile(r"\bnearest\b|\bfp[468]\b|TODO|\ballclose\b", re.IGNORECASE)
_WORDS_OK = re.compile(r"log[-_]nearest|\bFP[468]\b|ties_to_nearest", re.IGNORECASE)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_page_does_what_it_shows(page: str, tmp_path: Path) -> None:
    runner = Runner(ROOT / page, tmp_path)
    runner.run()
    unseen = [number for number in numbers(page) if number not in runner.seen]
    assert not unseen, f"{page}: no executed block shows {unseen}"
    if runner.missing:
        pytest.skip(f"the rest ran; not here: {', '.join(sorted(runner.missing))}")


def numbers(page: str) -> list[str]:
    """The numbers in a page's prose that are no names and not small counts."""
    found = _NUMBER.findall(_NAMES.sub(" ", prose(text_of(page))))
    return [number for number in found if number not in _KNOWN]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    here = ROOT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        file = (here.parent / name).resolve() if name else here
        assert file.exists(), f"{page}: {target} is not there"
        if anchor:
            assert anchor in anchors(file), f"{page}: {target}: no such heading"


def anchors(file: Path) -> set[str]:
    """The anchors that headings of a page get."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_index() -> None:
    reached, pending = set(), [ROOT / "docs" / "index.md"]
    while pending:
        file = pending.pop()
        if file in reached or file.suffix != ".md":
            continue
        reached.add(file)
        targets = re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", file.read_text(encoding="utf-8"))
        pending += [(file.parent / target).resolve() for target in targets]
    missed = set((ROOT / "docs").rglob("*.md")) - reached
    assert not missed, sorted(str(file.relative_to(ROOT)) for file in missed)


@pytest.mark.parametrize("page", PAGES)
def test_words(page: str) -> None:
    found = _WORDS.findall(_WORDS_OK.sub("", text_of(page)))
    assert not found, f"{page}: {found}"


def test_readme_is_short_and_its_set_up_exists() -> None:
    assert text_of("README.md").count("\n") <= 200
    commands = [line for block in NOT_RUN for line in block.splitlines()]
    makefile = text_of("Makefile")
    assert all(f"\n{command.removeprefix('make ')}: " in makefile for command in commands)


def test_every_profile_field_is_on_its_page() -> None:
    page = text_of("docs/concepts/profiles.md")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(FIELDS)


def run(page: str, directory: Path) -> None:
    file = directory / "page.md"
    file.write_text(page, encoding="utf-8")
    (directory / "work").mkdir()
    Runner(file, directory / "work").run()


GOOD = [
    "```python\nx = 2\n```\n\n```python\n>>> x + 1\n3\n```\n",
    "```python\nprint(5)\n```\n\n```text\n5\n```\n",
    "```console\n$ echo a; echo b\na\nb\n$ echo c\nc\n```\n",
    "```console\n$ seq 5\n1\n...\n4\n5\n```\n",
    "<!-- exit 3 -->\n```console\n$ exit_with() { return 3; }\n$ exit_with\n```\n",
    "```console\n$ (exit 3)\n$ echo $?\n3\n```\n",
    "```python\n# mine.py\nvalue = 7\n```\n\n```console\n$ cat mine.py\n# mine.py\nvalue = 7\n```\n",
    "```toml\n# mine.toml\nvalue = 7\n```\n\n```console\n$ tail -1 mine.toml\nvalue = 7\n```\n",
    "```console\n$ cat << end\n> one\n> end\none\n```\n",
    "```console\n$ . .venv/bin/activate\n$ mxemu --version | cut -d' ' -f1\nmxemu\n```\n",
    "<!-- needs no-such-program -->\n```console\n$ no-such-program\n```\n",
]
BAD = [
    "```python\n>>> 1 + 1\n3\n```\n",
    "```python\nprint(5)\n```\n\n```text\n6\n```\n",
    "```python\nassert False\n```\n",
    "```text\nnobody prints this\n```\n",
    "```python\nprint(5)\n```\n\nprose\n\n```text\n5\n```\n",
    "```console\n$ echo a\nb\n```\n",
    "```console\n$ echo a\n```\n",
    "```console\n$ (exit 1)\n```\n",
    "```console\n$ (exit 1)\n$ true\n```\n",
    "<!-- exit 1 -->\n```console\n$ true\n```\n",
    "```console\n$ seq 5\n1\n...\n4\n3\n...\n```\n",
    "```console\nno command\n```\n",
    "```json\n{}\n```\n",
]


@pytest.mark.parametrize("page", GOOD)
def test_the_runner_accepts(page: str, tmp_path: Path) -> None:
    run(page, tmp_path)


@pytest.mark.parametrize("page", BAD)
def test_the_runner_refuses(page: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run(page, tmp_path)


def test_a_refusal_names_page_and_line(tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"page\.md:3: echo a\n(.*\n)*-b\n\+a\n"):
        run("\n\n```console\n$ echo a\nb\n```\n", tmp_path)


@pytest.mark.parametrize(
    ("shown", "same"),
    [
        ("1\n2\n3\n", True),
        ("1\n...\n", True),
        ("...\n3\n", True),
        ("...\n2\n...\n", True),
        ("1\n...\n2\n3\n", True),
        ("1\n...\n3\n...\n2\n", False),
        ("...\n4\n", False),
        ("2\n...\n", False),
        ("1\n2\n...\n2\n3\n", False),
        ("1\n2\n", False),
        ("1\n...\n2\n", False),
        ("", False),
        ("...\n", True),
        ("1...\n2\n3\n", True),
        ("2...\n...\n", False),
        ("1\n...\n3...\n", True),
    ],
)
def test_dots_stand_for_lines(shown: str, same: bool) -> None:
    assert agrees(shown, "1\n2\n3\n") is same


def test_a_page_can_be_corrected(tmp_path: Path) -> None:
    wrong = (
        "```python\nprint(5)\n```\n\n```text\n6\n```\n\n"
        "```console\n$ echo a\nb\n$ echo c\n$ seq 108 120\n108\n...\n119a\n...\n```\n"
    )
    right = wrong.replace("6", "5").replace("\nb\n", "\na\n").replace("echo c\n", "echo c\nc\n")
    right = right.replace("119a", "119")
    file = tmp_path / "page.md"
    file.write_text(wrong, encoding="utf-8")
    correct(file)
    assert file.read_text(encoding="utf-8") == right


def test_blocks_and_prose() -> None:
    page = "One 448.\n\n<!-- exit 1 -->\n```console\n$ false 57\n```\n\nTwo.\n"
    (block,) = blocks(page)
    assert (block.language, block.exit, block.line) == ("console", 1, 4)
    assert "448" in prose(page)
    assert "57" not in prose(page)
