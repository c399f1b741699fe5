"""Package registries on loopback: one npm package, one wheel, one source distribution."""

import base64
import hashlib
import io
import json
import os
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Registry:
    """`files` by path; `asked` is every path that was asked for."""

    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    made = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            kind, body = made.files.get(self.path.rstrip("/"), ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "application/json")
            self.send_header("Content-Length", str(len(body or b"{}")))
            self.end_headers()
            self.wfile.write(body or b"{}")

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    _fill(made)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def environment(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of a worker whose registries are on loopback."""
    if shutil.which("npm") is None:
        pytest.skip("npm was not found")
    home = tmp_path_factory.mktemp("operator")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "npm_config_registry": f"{registry.url}/npm",
        "npm_config_fetch_retries": "0",
        "PIP_INDEX_URL": f"{registry.url}/simple",
        "PIP_RETRIES": "0",
        "SECRET_OF_OURS": "canary",
    }


def _fill(registry: Registry) -> None:
    tarball = _npm_tarball()
    packument = {
        "name": "tiny-tool",
        "dist-tags": {"latest": "1.2.0"},
        "versions": {
            "1.2.0": {
                "name": "tiny-tool",
                "version": "1.2.0",
                "bin": {"tiny-tool": "cli.js"},
                "scripts": {"postinstall": "node cli.js > ran.txt"},
                "dist": {
                    "tarball": f"{registry.url}/npm/tiny-tool/-/tiny-tool-1.2.0.tgz",
                    "integrity": "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode(),
                },
            }
        },
    }
    wheel, source = _wheel(), _tar({"only_source-1.0/setup.py": b"raise SystemExit('built')"})
    page = '<!DOCTYPE html><html><body><a href="/files/{0}">{0}</a></body></html>'
    registry.files |= {
        "/npm/tiny-tool": ("application/json", json.dumps(packument).encode()),
        "/npm/tiny-tool/-/tiny-tool-1.2.0.tgz": ("application/octet-stream", tarball),
        "/simple/tiny-pip": ("text/html", page.format("tiny_pip-2.0-py3-none-any.whl").encode()),
        "/simple/only-source": ("text/html", page.format("only_source-1.0.tar.gz").encode()),
        "/files/tiny_pip-2.0-py3-none-any.whl": ("application/zip", wheel),
        "/files/only_source-1.0.tar.gz": ("application/gzip", source),
    }


def _npm_tarball() -> bytes:
    package = {
        "name": "tiny-tool",
        "version": "1.2.0",
        "bin": {"tiny-tool": "cli.js"},
        "scripts": {"postinstall": "node cli.js > ran.txt"},
    }
    return _tar(
        {
            "package/package.json": json.dumps(package).encode(),
            "package/cli.js": b"#!/usr/bin/env node\nconsole.log('tiny')\n",
        }
    )


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _wheel() -> bytes:
    out = io.BytesIO()
    meta = "tiny_pip-2.0.dist-info"
    files = {
        "tiny_pip.py": "def main():\n    print('tiny')\n",
        f"{meta}/METADATA": "Metadata-Version: 2.1\nName: tiny-pip\nVersion: 2.0\n",
        f"{meta}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{meta}/entry_points.txt": "[console_scripts]\ntiny-pip = tiny_pip:main\n",
    }
    files[f"{meta}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{meta}/RECORD"))
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()
