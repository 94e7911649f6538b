"""Fixtures shared by all tests: running servers, a browser, and clients closed at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import CHROMIUM, Chromium, People, connected
from tests.support.json_client import JsonClient
from tests.support.node import Node, TwoNodes
from tests.support.xmpp_client import XmppClient


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "dialogue: runs on one node, and with its clients spread over two"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "node" in metafunc.fixturenames and metafunc.definition.get_closest_marker("dialogue"):
        metafunc.parametrize("node", ("one_node", "two_nodes"), indirect=True, scope="session")


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> Node | TwoNodes:
    """One server, or two, for all tests that do not harm it; they keep apart by fresh users."""
    running: Node | TwoNodes = request.getfixturevalue(getattr(request, "param", "one_node"))
    return running


@pytest.fixture(scope="session")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    running = Node(tmp_path_factory.mktemp("node")).start()
    yield running
    assert running.stop() == 0
    assert running.stray_log_lines() == []


@pytest.fixture(scope="session")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    running = TwoNodes(tmp_path_factory.mktemp("nodes")).start()
    yield running
    assert running.stop() == 0
    assert running.stray_log_lines() == []


@pytest.fixture(autouse=True)
def close_clients(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a connection behind."""
    if request.node.get_closest_marker("gen_test") is None:
        yield
        return
    io_loop = request.getfixturevalue("io_loop")
    if "own_node" in request.fixturenames:
        request.getfixturevalue("own_node")  # stops after them, and so need not wait for them
    yield
    io_loop.run_sync(XmppClient.close_all, timeout=20)
    io_loop.run_sync(JsonClient.close_all, timeout=20)


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[Node]:
    """A server of the test's own, not started yet: to be killed, paused, configured."""
    own = Node(tmp_path)
    yield own
    own.clean_up()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One process for all tests that have people at a browser."""
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    with Chromium() as running:
        yield running


@pytest.fixture
def people(chromium: Chromium, request: pytest.FixtureRequest) -> Iterator[People]:
    """People at the browser. The test fails if a page complains (see ``Person.forgive``)."""
    io_loop = request.getfixturevalue("io_loop")
    connection = connected(chromium)
    yield io_loop.run_sync(connection.__aenter__, timeout=60)
    io_loop.run_sync(lambda: connection.__aexit__(None, None, None), timeout=60)
