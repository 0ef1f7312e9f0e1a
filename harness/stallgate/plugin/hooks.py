"""The hooks, options and fixtures. pytest imports this module in every session: it imports nothing but pytest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stallgate.plugin.session import GatedRun, Session, Wanted

_MARKER = (
    "stallgate(problem, *, stage=None, variants=(), workloads=(), drawn=0): "
    "judge a problem's kernels on the GPU; runs under `pytest --stallgate`"
)
_HOW = "measured on a GPU by `pytest --stallgate`"
_REMEDY = (
    "hint: --stallgate-replay judges the committed recording; --stallgate-allow-unmeasured skips what a machine "
    "cannot measure"
)

_SESSION = pytest.StashKey["Session"]()
_FOLDER = pytest.StashKey[Path]()
"""The session's own folder, which its processes share."""
_RUN = pytest.StashKey["GatedRun | str"]()
"""Of a marked test: the answer, or what is wrong with its mark."""

_IS_SKIPPED = pytest.StashKey[bool]()
"""Whether a fixture of stallgate skipped the test."""

_STATE, _PAGE, _REPLAYED = "stallgate", "stallgate_page", "stallgate_replayed"
_NO_PAGE = "stallgate_page_fault"
"""Properties of a test's report: they reach the process that prints the summary, and junit.xml."""


# --- options ----------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and settings."""
    group = parser.getgroup("stallgate")
    group.addoption("--stallgate", action="store_true", help="Measure and judge the tests marked `stallgate`.")
    group.addoption(
        "--stallgate-replay",
        action="store_true",
        help="With --stallgate, without a GPU: judge the committed recording instead of measuring.",
    )
    group.addoption(
        "--stallgate-allow-unmeasured",
        action="store_true",
        help="With --stallgate: skip the tests that this machine cannot measure (no GPU, no ncu, no recording).",
    )
    group.addoption("--stallgate-python", metavar="PATH", help="An interpreter with torch and triton.")
    group.addoption("--stallgate-root", metavar="DIR", help="The project's folder; default: pytest's rootdir.")
    parser.addini("stallgate_allow_unmeasured", "as --stallgate-allow-unmeasured", type="bool", default=False)
    parser.addini("stallgate_python", "as --stallgate-python", default="")
    parser.addini("stallgate_root", "as --stallgate-root, relative to pytest's rootdir", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and makes the session's folder."""
    config.addinivalue_line("markers", _MARKER)
    if not config.getoption("stallgate"):
        return
    given = getattr(config, "workerinput", {}).get(_FOLDER_OF_WORKERS)
    folder = Path(given) if given else Path(mkdtemp(prefix="stallgate-pytest-"))
    config.stash[_FOLDER] = folder
    if not given:
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    config.stash[_SESSION] = _session(config, folder)


_FOLDER_OF_WORKERS = "stallgate_folder"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker of pytest-xdist the folder of the session, so that only one of them measures."""
    folder = node.config.stash.get(_FOLDER, None)
    if folder is not None:
        node.workerinput[_FOLDER_OF_WORKERS] = str(folder)


def _session(config: pytest.Config, folder: Path) -> Session:
    from stallgate.plugin.command import CommandLine, Remembered
    from stallgate.plugin.session import Measuring, Session

    given, setting = config.getoption("stallgate_root"), config.getini("stallgate_root")
    root = Path(config.invocation_params.dir, given) if given else config.rootpath / setting if setting else None
    return Session(
        Measuring(
            ask=Remembered(folder, CommandLine(config.rootpath, root)),
            replay=config.getoption("stallgate_replay"),
            python=config.getoption("stallgate_python") or config.getini("stallgate_python") or None,
        )
    )


def _allows_unmeasured(config: pytest.Config) -> bool:
    return bool(config.getoption("stallgate_allow_unmeasured") or config.getini("stallgate_allow_unmeasured"))


# --- which tests ------------------------------------------------------------------------------------------------------


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips the tests of stallgate in a session that does not measure."""
    if not config.getoption("stallgate"):
        for item in items:
            if item.get_closest_marker("stallgate"):
                item.add_marker(pytest.mark.skip(reason=_HOW))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Measures what all tests of the session want, before any of them uses the GPU."""
    config = session.config
    given_up = session.testsfailed and not config.getoption("continue_on_collection_errors")
    if not config.getoption("stallgate") or config.getoption("collectonly") or given_up:
        return
    wanted = {item: _wanted(item) for item in session.items if item.get_closest_marker("stallgate")}
    wanted = {item: found for item, found in wanted.items() if not item.get_closest_marker("skip")}
    _measure(config, [found for found in wanted.values() if not isinstance(found, str)])
    for item, found in wanted.items():
        _settle(item, found)


def _wanted(item: pytest.Item) -> Wanted | str:
    """What a marked test wants, or what is wrong with its mark."""
    from stallgate.plugin.session import wanted_from

    mark = item.get_closest_marker("stallgate")
    assert mark is not None
    try:
        return wanted_from(*mark.args, **mark.kwargs)
    except TypeError as error:
        return f"@pytest.mark.stallgate: {str(error).removeprefix('wanted_from() ')}"


def _measure(config: pytest.Config, wanted: list[Wanted]) -> None:
    if not wanted:
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        names = dict.fromkeys(subject for found in wanted for subject in found.subjects)
        reporter.write_line(f"stallgate: profile of {', '.join(names)}")
    config.stash[_SESSION].measure(wanted)


def _settle(item: pytest.Item, found: Wanted | str) -> None:
    """Keeps the answer to a marked test; one that this machine cannot measure is skipped where that is allowed."""
    if isinstance(found, str):
        item.stash[_RUN] = found
        return
    run = item.config.stash[_SESSION].judged(found)
    item.stash[_RUN] = run
    _note(item, run)
    if run.state == "unable" and _allows_unmeasured(item.config):
        item.add_marker(pytest.mark.skip(reason=run.message))


def _note(item: pytest.Item, run: GatedRun) -> None:
    state = {"pass": "pass", "fail": "fail"}.get(run.state, "not measured")
    item.user_properties += [(_STATE, state)]
    item.user_properties += [(_PAGE, str(run.page))] if run.page is not None else []
    item.user_properties += [(_NO_PAGE, run.page_fault)] if run.page_fault else []
    item.user_properties += [(_REPLAYED, str(run.folder))] if run.replayed else []


# --- running them -----------------------------------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What could not be measured is an error, not a failure of the test."""
    run = item.stash.get(_RUN, None)
    if isinstance(run, str):
        pytest.fail(run, pytrace=False)
    if run is not None and run.state in ("error", "unable"):
        pytest.fail(_why(run), pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Fails a test by its verdicts, before its body runs."""
    run = item.stash.get(_RUN, None)
    if run is not None and not isinstance(run, str) and run.state == "fail":
        pytest.fail(run.message, pytrace=False)


def _why(run: GatedRun) -> str:
    return f"{run.message}\n{_REMEDY}" if run.state == "unable" else run.message


def _skip(item: pytest.Item, reason: str) -> NoReturn:
    item.stash[_IS_SKIPPED] = True
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Says of a test that a fixture skipped where the test is, as of one with a mark; not where the fixture is."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and item.stash.get(_IS_SKIPPED, False):
        path, line, _ = item.reportinfo()
        report.longrepr = (os.fspath(path), (line or 0) + 1, report.longrepr[2])
    return report


class StallgateFixture:
    """The fixture ``stallgate``: judges what a test names while it runs."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def judge(
        self,
        problem: str,
        *,
        stage: str | Iterable[str] | None = None,
        variants: str | Iterable[str] = (),
        workloads: str | Iterable[str] = (),
        drawn: int = 0,
    ) -> GatedRun:
        """Measures and judges; the answer, whatever it is. ``problem`` may be ``problem/variant``."""
        from stallgate.plugin.session import wanted_from

        wanted = wanted_from(problem, stage=stage, variants=variants, workloads=workloads, drawn=drawn)
        run = self._item.config.stash[_SESSION].judged(wanted)
        _note(self._item, run)
        return run

    def gate(self, problem: str, **how: Any) -> GatedRun:
        """The same; fails the test unless every verdict passes. Takes the arguments of ``judge``."""
        __tracebackhide__ = True
        run = self.judge(problem, **how)
        if run.state == "unable" and _allows_unmeasured(self._item.config):
            _skip(self._item, run.message)
        if run.state != "pass":
            pytest.fail(_why(run), pytrace=False)
        return run


@pytest.fixture(name="stallgate")
def _stallgate(request: pytest.FixtureRequest) -> StallgateFixture:
    """Measures and judges: ``stallgate.gate("softmax/fused", stage="streaming")``."""
    if not request.config.getoption("stallgate"):
        _skip(request.node, _HOW)
    return StallgateFixture(request.node)


@pytest.fixture(name="stallgate_run")
def _stallgate_run(request: pytest.FixtureRequest) -> GatedRun:
    """The judged run of a test marked ``stallgate``: ``verdicts``, ``metrics``, ``folder``, ``page``."""
    run: GatedRun | str | None = request.node.stash.get(_RUN, None)
    if run is None or isinstance(run, str):
        pytest.fail("the fixture stallgate_run needs @pytest.mark.stallgate(problem=…)", pytrace=False)
    return run


# --- the summary ------------------------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Where the pages are, and how many tests were not measured."""
    found = list(_properties(terminalreporter))
    if not found:
        return
    terminalreporter.section("stallgate")
    replayed = {Path(folder) for each in found for name, folder in each if name == _REPLAYED}
    for page in dict.fromkeys(Path(path) for each in found for name, path in each if name == _PAGE):
        remark = " (a recording, not measured in this session)" if page.parent in replayed else ""
        terminalreporter.write_line(f"page: {_near(page, config.invocation_params.dir)}{remark}")
    for fault in dict.fromkeys(fault for each in found for name, fault in each if name == _NO_PAGE):
        terminalreporter.write_line(f"no page: {fault}", yellow=True)
    unmeasured = sum((_STATE, "not measured") in each for each in found)
    if unmeasured:
        terminalreporter.write_line(f"stallgate: {unmeasured} not measured", yellow=True, bold=True)


def _properties(reporter: pytest.TerminalReporter) -> Iterator[list[tuple[str, Any]]]:
    """The properties of each test that stallgate judged, from its last report."""
    last: dict[str, list[tuple[str, Any]]] = {}
    for reports in reporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and any(name == _STATE for name, _ in report.user_properties):
                last[report.nodeid] = report.user_properties
    yield from last.values()


def _near(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder) if path.is_relative_to(folder) else str(path)
