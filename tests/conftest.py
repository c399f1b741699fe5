"""What every test stands on: no home of the developer's, no network, no inherited credentials."""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

# The same examples in every run, so that what fails here fails everywhere, and no time limit for one: how
# long it takes is the machine's affair. HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None, max_examples=60, database=None)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

pytest_plugins = ["databases", "known_events", "marked_rules"]

# A shell that starts the tests in the background has them ignore Ctrl-C, and every program they start would
# inherit that; those that are told to stop by it would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


@pytest.fixture(autouse=True)
def no_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HOME is a fresh directory; nothing of the developer's environment reaches the code under test."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("ORCHESTRATOR_", "ANTHROPIC_", "CLAUDE", "GIT_", "XDG_", "MAKE", "MFLAGS")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return home


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """A connection to anywhere but loopback fails the test that makes it."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(host).startswith(LOOPBACK):
            raise AssertionError(f"a test connected to {address!r}; tests use loopback only")
        connect(self, address)  # type: ignore[arg-type]

    socket.socket.connect = guarded  # type: ignore[method-assign, assignment]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """What a test says about logs ends with it: the stream it captured is closed by then."""
    handlers = list(logging.root.handlers)
    # Without the values of every frame, which take seconds to print: longer than some leases last.
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    before = structlog.get_config()["processors"][:-1]
    structlog.configure(processors=[*before, plain])
    yield
    structlog.reset_defaults()
    logging.root.handlers = handlers
