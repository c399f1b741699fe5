"""Tell systemd how we are: ready, alive, stopping."""

import os
import socket
from collections.abc import Mapping


def notify(message: str, environment: Mapping[str, str] | None = None) -> bool:
    """Send a state such as `READY=1`, as sd_notify(3) says; without systemd it does nothing and says so.

    Never raises: a supervisor that went away is no reason to stop the work.
    """
    env = os.environ if environment is None else environment
    address = env.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
            door.sendto(message.encode(), address)
    except OSError:
        return False
    return True


def watchdog_seconds(environment: Mapping[str, str] | None = None) -> float | None:
    """How often systemd wants to hear `WATCHDOG=1`: half of its limit; `None` when it does not ask.

    The loop itself must send it, so that a loop that hangs is restarted; see sd_watchdog_enabled(3).
    """
    env = os.environ if environment is None else environment
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    limit = env.get("WATCHDOG_USEC", "")
    return int(limit) / 2_000_000 if limit.isdigit() and int(limit) > 0 else None
