"""For all Python tests: where the shared library is, what the marks mean, and that nothing stays behind."""

import os
import signal
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, f"{os.path.dirname(__file__)}/net")

import weirtest  # noqa: E402  (found through the line above)


def pytest_addoption(parser):
    parser.addoption("--part", default="1/1", metavar="K/N", help="every N-th test from the K-th on")


def pytest_configure(config):
    config.addinivalue_line("markers", "weir_only: asks for what nginx does not have")
    config.addinivalue_line("markers", "timing: measures; not run with sanitizers")
    config.addinivalue_line("markers", "alone: not beside other tests; so is whatever measures")
    config.addinivalue_line("markers", "loads: takes whole CPUs, but measures nothing: beside its like only")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)


def interrupted(*_):
    """As ^C: fixtures and `with` blocks clean up."""
    raise KeyboardInterrupt


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    sanitized = bool(os.environ.get("WEIR_SANITIZED"))
    for item in items:
        if item.get_closest_marker("timing"):
            item.add_marker("alone")
    part, parts = map(int, config.getoption("--part").split("/"))
    drop = [item for number, item in enumerate(items)
            if number % parts != part - 1
            or (weirtest.IS_NGINX and item.get_closest_marker("weir_only"))
            or (sanitized and item.get_closest_marker("timing"))]
    if drop:
        config.hook.pytest_deselected(items=drop)
        items[:] = [item for item in items if item not in drop]


@pytest.fixture(scope="session", autouse=True)
def swept():
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    if not os.path.exists(weirtest.BINARY):
        pytest.exit(f"{weirtest.BINARY} is not built", returncode=1)
    weirtest.sweep()
    weirtest.sweep_directories()
    yield
    weirtest.sweep()


@pytest.fixture
def net():
    """Makes topologies that live as long as the test: net(servers=3)."""
    made = []

    def make(**options):
        made.append(weirtest.Topology(**options))
        return made[-1]

    yield make
    for topology in made:
        topology.close()
