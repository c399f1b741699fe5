"""A git host on loopback: `git http-backend` behind TLS and a password; an ssh that runs what it is asked."""

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

USER, PASSWORD = "kim", "password-of-the-git-host"


def certificate(place: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1, its own authority, with its key."""
    made, key = place / "host.pem", place / "host.key"
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=host"
    made_for = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made))
    subprocess.run([*words.split(), *made_for], check=True, capture_output=True)
    return made, key


class _Handler(BaseHTTPRequestHandler):
    root: Path
    asked: list[str]
    reached: threading.Event
    going: threading.Event
    password: str

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("content-length", "0"))))

    def _answer(self, body: bytes) -> None:
        self.asked.append(self.path)
        known = "Basic " + base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        if self.headers.get("authorization") != known:
            self.send_response(401)
            self.send_header("www-authenticate", 'Basic realm="vaults"')
            self.send_header("content-length", "0")
            self.end_headers()
            return
        self.reached.set()
        self.going.wait(30)
        path, _, query = self.path.partition("?")
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_GLOBAL": "/dev/null",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "REMOTE_USER": USER,
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("content-type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
            },
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """The test says what it wants to know."""


@contextmanager
def https(
    root: Path,
    place: Path,
    *,
    password: str = PASSWORD,
    reached: threading.Event | None = None,
    going: threading.Event | None = None,
) -> Iterator[tuple[str, Path, list[str]]]:
    """Yields the address below which the repositories of `root` are, the certificate to trust, and what was
    asked for. Whoever is let in is noted in `reached`, and answered once `going` is set."""
    made, key = certificate(place)
    asked: list[str] = []
    handler = type(
        "Handler", (_Handler,), {"root": root, "asked": asked, "reached": reached or threading.Event()}
    )
    handler.password = password
    handler.going = going or _set()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}", made, asked
        finally:
            server.shutdown()
            thread.join()


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def ssh(place: Path) -> Path:
    """A directory for PATH with an `ssh` that lets in whoever has a key at home, and then runs on this host
    what it was asked to run there: both sides speak git's own protocol. What it was called with is in
    `asked` beside it."""
    place.mkdir()
    program = place / "ssh"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {place}/asked\n'
        'if [ ! -e "$HOME/.ssh/id_ed25519" ]; then echo "Permission denied (publickey)." >&2; exit 255; fi\n'
        'for command; do :; done\nexec sh -c "$command"\n'
    )
    program.chmod(0o755)
    return place
