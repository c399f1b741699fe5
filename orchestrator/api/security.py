"""Who is answered at all: the right Host, no foreign Origin, a token that holds."""

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.identify import USE, Identify, caller
from orchestrator.api.problems import Refused, refuse
from orchestrator.commands.use import Use

LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz"})

HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""Nothing here is a page, may be kept by a browser, or is ever shown in a frame."""


def allowed_hosts(port: int, *, bound: str, named: Iterable[str]) -> frozenset[str]:
    """The values of Host that are answered. Loopback's names go with the port; a name of the operator's
    without a port also stands for itself alone, as behind a proxy on the usual port."""
    hosts = {f"{name}:{port}" for name in (*LOOPBACK_NAMES, f"[{bound}]" if ":" in bound else bound)}
    for name in named:
        hosts.add(name.lower())
        if not urlsplit(f"//{name}").port:
            hosts.add(f"{name.lower()}:{port}")
    return frozenset(hosts)


class Guard:
    """Stands before every route, mounted applications included.

    Host must be one of ours, or a page anywhere could reach us under a name that it points to loopback. An
    Origin must be of one of those hosts; a browser sends it with whatever changes something and with every
    WebSocket. A token is needed always: programs of other users and containers share loopback with us.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str], identify: Identify, open_paths: Sequence[str] = ()
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._identify = identify
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            use = await self._admitted(scope)
        except Refused as refused:
            await refuse(refused, scope, receive, send)
            return
        await self._app({**scope, USE: use}, receive, _with_headers(send))

    async def _admitted(self, scope: Scope) -> Use | None:
        headers = Headers(scope=scope)
        named = headers.getlist("host")
        if len(named) != 1 or named[0].lower() not in self._hosts:
            raise Refused(
                421, "host", "This host is not served here; the setting api.allowed_hosts adds one."
            )
        for origin in headers.getlist("origin"):
            if not self._is_ours(origin):
                raise Refused(403, "origin", "Requests from pages of another origin are refused.")
        if scope["path"] in self._open:
            return None
        use = await caller(self._identify, headers.get("authorization"))
        if use is None:
            raise Refused.token("`orchestrator token create NAME` makes one")
        return use

    def _is_ours(self, origin: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and parts.netloc.lower() in self._hosts


def person(scope: Scope) -> Use:
    """What the caller may use, when he is no agent. Raises Refused."""
    use: Use = scope[USE]
    if use.caller.agent is not None:
        raise Refused(403, "not-permitted", "This is for people; an agent's token calls commands only.")
    return use


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return sending
