"""The pytest plugin: every group of the suite is a test item, and a test of yours can be audited.

A project that names its adapter gets the whole suite, ``mxemu::quantize[MXFP4_E2M1-binary32]`` and so on::

    [tool.pytest.ini_options]
    mxemu_subject = "mypackage.kernels:adapter"
    mxemu_level = "core"

The same names as variables of a ``conftest.py``, or the options ``--mxemu-subject`` and ``--mxemu-level``, do as well.
With ``mxemu_known`` or ``mxemu_waivers`` deviations that a file explains are expected failures. An item of its own,
``mxemu::known``, comes last and fails for entries of the file that no longer show.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conformance.adapter import Capabilities
    from conformance.runner import Filters, Request, Run
    from conformance.testing.expected import Expected
    from conformance.worker import Worker

LEVELS = ("smoke", "core", "full", "exhaustive")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options and ini values."""
    group = parser.getgroup("mxemu", "MX conformance")
    group.addoption("--mxemu-subject", metavar="TARGET", help="Run the MX suite on this adapter.")
    group.addoption("--mxemu-level", choices=LEVELS, help="How much of it.  [default: core]")
    group.addoption(
        "--mxemu-operation",
        action="append",
        default=[],
        help="Only this operation; may be repeated.",
    )
    group.addoption(
        "--mxemu-format", action="append", default=[], help="Only this format; may be repeated."
    )
    group.addoption(
        "--mxemu-known",
        metavar="FILE|auto",
        help="Deviations that are expected to fail, as for mxemu check --known.",
    )
    group.addoption(
        "--mxemu-waivers", metavar="FILE", help="The same for waivers, each with a last day."
    )
    group.addoption(
        "--mxemu-audit", metavar="OPERATION,FORMAT", help="Put known bugs in place of the subject."
    )
    group.addoption(
        "--mxemu-carrier",
        metavar="NAME",
        default="binary32",
        help="With --mxemu-audit: of the numbers that tests give.  [default: binary32]",
    )
    group.addoption(
        "--mxemu-replace", metavar="MODULE:NAME", help="What the bugs replace besides the fixture."
    )
    group.addoption(
        "--mxemu-results", metavar="FILE", help="Where an audit writes what became of each."
    )
    parser.addini("mxemu_subject", "The adapter that the MX suite is run on.")
    parser.addini("mxemu_level", "smoke, core, full or exhaustive.", default="")
    parser.addini("mxemu_known", "A file of known deviations, or auto.", default="")
    parser.addini("mxemu_waivers", "A file of waivers.", default="")


def pytest_configure(config: pytest.Config) -> None:
    """An audit is a plugin of its own, so that other runs know nothing of it."""
    config.addinivalue_line("markers", "mxemu: a group of the MX suite")
    if config.getoption("mxemu_audit"):
        config.pluginmanager.register(Auditor(config), "mxemu-audit")


def setting(config: pytest.Config, name: str) -> str:
    """A setting from the command line, else a conftest, else the ini file."""
    given = config.getoption(name) or next(
        (
            getattr(plugin, name)
            for plugin in config.pluginmanager.get_plugins()
            if isinstance(getattr(plugin, name, None), str)
        ),
        "",
    )
    return str(given or config.getini(name))


@pytest.fixture(scope="session")
def mxemu_adapter(request: pytest.FixtureRequest) -> Any:
    """The adapter that ``mxemu_subject`` names, loaded in this process."""
    from conformance.target import load

    target = setting(request.config, "mxemu_subject")
    if not target:
        raise pytest.UsageError("no mxemu_subject in the ini file, a conftest or --mxemu-subject")
    return load(target)


@pytest.fixture
def mxemu_subject(request: pytest.FixtureRequest) -> Any:
    """What a test is to call: the adapter of the project, or in an audit a known bug in its place."""
    if hasattr(request, "param"):
        return request.param
    return request.getfixturevalue("mxemu_adapter")


class Suite:
    """The subject of one session, in a process of its own, started when the first item needs it."""

    def __init__(self, target: str, level: str) -> None:
        self.target = target
        self.level = level
        self.expected: Expected | None = None
        self._worker: Worker | None = None
        self._capabilities: Capabilities | None = None
        self._run: Run | None = None

    @property
    def run(self) -> Run:
        """What was checked so far."""
        from conformance.runner import Run

        if self._run is None:
            self._run = Run(self.target, self.capabilities, self.level, None)
        return self._run

    @property
    def worker(self) -> Worker:
        from conformance.worker import Worker

        if self._worker is None:
            self._worker = Worker(self.target, 120.0)
            self._capabilities = self._worker.introduce()
        return self._worker

    @property
    def capabilities(self) -> Capabilities:
        assert self.worker is not None
        assert self._capabilities is not None
        return self._capabilities

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.close()


_SUITE = pytest.StashKey[Suite]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the groups of the suite, unless single tests were asked for."""
    target = setting(config, "mxemu_subject")
    single = any("::" in str(argument) for argument in config.args)
    if not target or single or config.getoption("mxemu_audit"):
        return
    from conformance.runner import requests
    from mxemu.errors import MxemuError

    level = setting(config, "mxemu_level") or "core"
    if level not in LEVELS:
        raise pytest.UsageError(f"mxemu_level {level}; expected one of {', '.join(LEVELS)}")
    suite = config.stash[_SUITE] = Suite(target, level)
    try:
        suite.expected, filters = _expected(config, target), _filters(config)
        for request in requests(suite.run, filters):
            items.append(GroupItem.of(session, suite, request))  # noqa: PERF401 - a call with arguments
        if suite.expected is not None:
            items.append(KnownItem.of(session, suite, filters))
    except MxemuError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        raise pytest.UsageError(f"{error}{hint}") from None


def _expected(config: pytest.Config, target: str) -> Expected | None:
    """What the project knows of; files are looked for beside the ini file, too."""
    known, waivers = (_file(config, name) for name in ("mxemu_known", "mxemu_waivers"))
    if not (known or waivers):
        return None
    from conformance.testing.expected import Expected

    return Expected(known, waivers, target)


def _file(config: pytest.Config, name: str) -> str:
    """A setting that names a file, which may lie beside the ini file."""
    found = setting(config, name)
    beside = config.rootpath / found
    return str(beside) if found and beside.is_file() else found


def _filters(config: pytest.Config) -> Any:
    """What the options leave of the suite."""
    from conformance.adapter import find_pair
    from conformance.runner import CHECKED, Filters
    from mxemu.errors import unknown
    from mxemu.formats import find

    operations = tuple(config.getoption("mxemu_operation"))
    for name in operations:
        if name not in CHECKED:
            raise unknown("operation", name, CHECKED)
    names = config.getoption("mxemu_format")
    return Filters(
        operations, tuple(find_pair(one) if "," in one else find(one).name for one in names)
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """The subject's process ends with the session."""
    suite = config.stash.get(_SUITE, None)
    if suite is not None:
        suite.close()


class GroupFailure(Exception):
    """A group that fails; its text is the report."""


class GroupItem(pytest.Item):
    """One operation, format and carrier under one profile."""

    suite: Suite
    request: Request

    @classmethod
    def of(cls, session: pytest.Session, suite: Suite, request: Request) -> GroupItem:
        """The item of a request."""
        terms = request.terms
        parts = [request.format.replace(",", "-x-"), request.carrier]
        base = suite.capabilities.profile
        if terms.further and base is not None:
            parts += [
                f"{key}={choice.value}" for key, choice in terms.profile.changes(base).items()
            ]
        name = f"{request.operation}[{'-'.join(parts)}]"
        item = cls.from_parent(session, name=name, nodeid=f"mxemu::{name}")
        item.suite, item.request = suite, request
        item.add_marker("mxemu")
        return item

    def runtest(self) -> None:
        """Ask the subject and judge; a legal difference passes and is said in a section of the report."""
        from conformance.report.text import render
        from conformance.runner import Run, check_group
        from conformance.verdict import Group

        request, suite = self.request, self.suite
        group = Group(*request_key(request), request.terms.profile)
        suite.run.groups.append(group)
        check_group(suite.worker, request, suite.level, group)
        failing = group.verdict in ("FAIL", "crash")
        text = render(
            Run(suite.target, suite.capabilities, suite.level, None, [group]), int(failing)
        )
        reason = suite.expected.reason(suite.run, group) if suite.expected is not None else ""
        if failing and reason:
            self.add_report_section("call", "mxemu", text)
            # The user's own list of known deviations says so; the item at the end fails for each stale entry.
            pytest.xfail(f"known: {reason}")
        if failing or (group.verdict == "unsupported" and suite.expected and not reason):
            raise GroupFailure(text)
        if group.verdict == "unsupported":
            pytest.skip(group.reason or "the subject says that it does not offer this")
        if group.verdict == "free":
            self.add_report_section("call", "mxemu", text)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, GroupFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.nodeid


class KnownItem(pytest.Item):
    """What a file of known deviations says of groups that were checked before, beside their deviations."""

    suite: Suite
    filters: Filters

    @classmethod
    def of(cls, session: pytest.Session, suite: Suite, filters: Filters) -> KnownItem:
        """The last item of a suite."""
        item = cls.from_parent(session, name="known", nodeid="mxemu::known")
        item.suite, item.filters = suite, filters
        item.add_marker("mxemu")
        return item

    def runtest(self) -> None:
        """Fail for entries that no longer show, and for missing capabilities that no entry has."""
        assert self.suite.expected is not None
        lines = self.suite.expected.problems(self.suite.run, self.filters)
        if lines:
            raise GroupFailure(
                "\n".join([f"{self.suite.expected.file} is not what was found", *lines])
            )

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, GroupFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.nodeid


def request_key(request: Request) -> tuple[str, str, str]:
    """Operation, format and carrier."""
    return request.operation, request.format, request.carrier


class Auditor:
    """Runs each selected test once for every bug class, with the bug in place of the subject.

    A test gets the bug from the fixture ``mxemu_subject``; with ``--mxemu-replace MODULE:NAME`` it is put there, too.
    """

    def __init__(self, config: pytest.Config) -> None:
        from conformance.audit.stand_in import stand_ins

        operation, _, format_name = str(config.getoption("mxemu_audit")).partition(",")
        self.asked = operation, format_name
        self.stand_ins = stand_ins(operation, format_name, config.getoption("mxemu_carrier"))
        self.replaced = str(config.getoption("mxemu_replace") or "")
        self.path = config.getoption("mxemu_results")
        self.fates: dict[str, dict[str, Any]] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One run for each stand-in."""
        name = "mxemu_subject" if "mxemu_subject" in metafunc.fixturenames else "mxemu_stand_in"
        ids = [one.name for one in self.stand_ins]
        metafunc.parametrize(name, self.stand_ins, ids=ids, indirect=True)

    @pytest.fixture(autouse=True)
    def mxemu_stand_in(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Any]:
        """The bug of this run, put where it belongs."""
        from conformance.audit.stand_in import put

        given = getattr(request, "param", None) or request.node.callspec.params["mxemu_subject"]
        if self.replaced:
            put(given, self.replaced, *self.asked, monkeypatch.setattr)
        given.begin()
        yield given
        self.fates.setdefault(given.name, {}).update(given.seen())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Whether the test failed, whatever for."""
        report = yield
        if report.when == "call" and hasattr(item, "callspec"):
            params = item.callspec.params
            given = params.get("mxemu_subject", params.get("mxemu_stand_in"))
            fate = self.fates.setdefault(given.name, {})
            fate["caught"] = bool(fate.get("caught")) or bool(report.failed)
            fate["ran"] = True
        return report

    def pytest_sessionfinish(self) -> None:
        """Write what became of each."""
        if self.path:
            Path(self.path).write_text(json.dumps(self.fates), encoding="utf-8")
