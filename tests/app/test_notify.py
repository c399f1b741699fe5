"""What systemd hears from us."""

import os
import secrets
import socket
from pathlib import Path

from orchestrator.notify import notify, watchdog_seconds


def test_systemd_hears_that_we_are_ready() -> None:
    # A name of the abstract kind, as systemd may give too: no path of the tests is too long for it.
    name = f"@orchestrator-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name[1:]}")
        systemd.settimeout(60)
        assert notify("READY=1", {"NOTIFY_SOCKET": name})
        assert systemd.recv(100) == b"READY=1"


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    assert not notify("READY=1", {})
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})


def test_the_watchdog_is_fed_twice_in_its_limit_and_only_by_the_process_it_names() -> None:
    assert watchdog_seconds({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}) == 5.0
    assert watchdog_seconds({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}) is None
    assert watchdog_seconds({}) is None
