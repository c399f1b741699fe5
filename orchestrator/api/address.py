"""Where the HTTP surface listens."""

import ipaddress
import socket
from dataclasses import dataclass, field
from typing import Final

from orchestrator.domain.errors import ConfigurationError

STUCK_SECONDS: Final = 30.0
"""A connection whose other end takes nothing for so long is given up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where to listen and under which names; see the settings of the section `api`."""

    host: str = "127.0.0.1"
    port: int = 0
    allowed_hosts: tuple[str, ...] = ()
    allow_remote: bool = False
    open_health: bool = False
    webhook_secret: str | None = field(default=None, repr=False)
    """What git hosts sign their calls with."""


def bind(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """A socket at that address. Raises ConfigurationError where the port is taken or the address is not of
    this host, and for an address beyond loopback without `allow_remote`."""
    address = ipaddress.ip_address(host)
    if not address.is_loopback and not allow_remote:
        raise ConfigurationError(
            f"api.host is {host}, which others can reach; set api.allow_remote to true if that is what you "
            "want, and put TLS before it",
            field="api.host",
        )
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, an answer takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _give_up_on_the_stuck(listener)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror}; set api.port to another, to 0 for any "
            "that is free, or api.enabled to false",
            field="api.port",
        ) from None
    listener.setblocking(False)
    return listener


def _give_up_on_the_stuck(listener: socket.socket) -> None:
    """Closing a connection waits for what was written to be taken, which who never reads does not do; so the
    system is told how long it may wait. What is accepted here inherits it."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # elsewhere than on Linux it waits for the other end's death
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STUCK_SECONDS * 1000))
