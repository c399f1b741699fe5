"""Real MCP servers from npm and PyPI, from installation to an agent's call: `python bench/real_servers.py`.

Needs the package registries, `npm` and `node`; nothing else leaves loopback, since a rehearsal answers the
agent. Everything is asked of the command line, as a person would, in a home of its own. One server is started
by the agent and spoken to by standard input and output, one runs already and is reached by streamable HTTP.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

NPM: Final = "@modelcontextprotocol/server-everything"
PYPI: Final = "mcp-server-time"
BOUND: Final = 60.0

PROFILE: Final = f"""\
agent_profile:
  id: everything
  name: Everything
  allowed_tools: [Read, mcp__everything__echo, mcp__web__get-sum, mcp__time__get_current_time]
  mcp_servers: [everything, web, time, {{name: dead, optional: true}}]
  install: {{npm: ["{NPM}"], pip: ["{PYPI}"], commands: [node]}}
"""
SCRIPT: Final = """\
replies:
  - text: Calling what is granted, and what is not.
    tools:
      - {name: mcp__everything__echo, input: {message: over stdio}}
      - {name: mcp__web__get-sum, input: {a: 2, b: 40}}
      - {name: mcp__time__get_current_time, input: {timezone: UTC}}
      - {name: mcp__everything__get-env, input: {}}
  - text: Done.
"""
EXPECTED: Final = ("Echo: over stdio", "sum of 2 and 40 is 42", "datetime", "No such tool available")


class Home:
    """An installation of its own, asked by its command line."""

    def __init__(self, place: Path) -> None:
        self.place = place
        own = {"ORCHESTRATOR_HOME": str(place / "home"), "ORCHESTRATOR_API__ENABLED": "false"}
        # The registries' configuration is the operator's; credentials for a model are not passed on.
        self.environment = {k: v for k, v in os.environ.items() if "ANTHROPIC" not in k and "CLAUDE" not in k}
        self.environment |= {**own, "WEB_KEY": "key-of-the-web-server"}
        self.program = str(Path(sys.executable).with_name("orchestrator"))

    def ask(self, *words: str, code: int = 0) -> str:
        """What the command prints. Ends the program when it ends otherwise than with `code`."""
        print("$ orchestrator", *words, flush=True)
        done = subprocess.run(
            [self.program, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode != code:
            sys.exit(f"ended with {done.returncode}, not {code}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def asked(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.ask("--json", *words, code=code))

    @contextmanager
    def working(self, script: Path) -> Iterator[None]:
        command = [self.program, "up", "--rehearse", f"--script={script}", "--no-screen"]
        with (self.place / "up.log").open("w") as log:
            worker = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
            try:
                yield
            finally:
                worker.terminate()
                worker.wait(BOUND)


@contextmanager
def by_http(program: Path) -> Iterator[str]:
    """The server everything, listening; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PORT": str(port)}
    server = subprocess.Popen(
        [program, "streamableHttp"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        server.terminate()
        server.wait(BOUND)


def _wait_for(port: int) -> None:
    until = time.monotonic() + BOUND
    while time.monotonic() < until:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("the server did not begin to listen")


def provision(home: Home) -> None:
    """Import installs, check agrees, and an export comes back as the same profile."""
    source = home.place / "profile.yaml"
    source.write_text(PROFILE)
    home.ask("profile", "import", str(source))
    checked = home.asked("profile", "check", "everything")
    assert checked["valid"], checked
    installed = home.asked("profile", "install", "everything")
    assert installed["ready"], installed
    assert not installed["installed"], installed
    exported = home.ask("profile", "export", "everything")
    source.write_text(exported)
    home.ask("profile", "import", str(source), "--id=again", "--name=Again")
    again = home.ask("profile", "export", "again")
    assert again.replace("Again", "Everything").replace("id: again", "id: everything") == exported


def register(home: Home, address: str) -> None:
    """Three servers that run and one that does not, probed; and their tools in the catalog."""
    home.ask("mcp-server", "add", "everything", "--command=mcp-server-everything", "--arg=stdio")
    home.ask("mcp-server", "add", "time", f"--command={PYPI}", "--arg=--local-timezone=UTC")
    home.ask("mcp-server", "add", "web", f"--url={address}", "--header=X-Key=${WEB_KEY}")
    dying = "import sys; sys.exit('there is no licence')"
    home.ask("mcp-server", "add", "dead", f"--command={sys.executable}", "--arg=-c", f"--arg={dying}")
    for name in ("everything", "time", "web"):
        probed = home.asked("mcp-server", "probe", name)["probed"]
        assert probed["ok"], probed
        print(f"  {name}: {len(probed['tools'])} tools")
    dead = home.asked("mcp-server", "probe", "dead", code=1)["probed"]
    assert "there is no licence" in dead["last_error"], dead
    catalog = home.asked("mcp-server", "tools", "everything", "web", "time")["servers"]
    assert all(catalog[name]["tools"] for name in ("everything", "web", "time"))


def attempt(home: Home) -> None:
    """An agent calls each server, is refused what it is not granted, and goes on without the dead one."""
    script = home.place / "script.yaml"
    script.write_text(SCRIPT)
    home.ask("project", "add", "shop")
    with home.working(script):
        said = home.ask("task", "add", "Call them", "--project=shop", "--profile=everything", "--wait")
    for text in EXPECTED:
        assert text in said, said
    task = home.asked("task", "list")["tasks"][0]
    shown = home.ask("attempt", "show", task["id"])
    assert "going on without optional MCP servers: dead" in shown, shown
    assert "there is no licence" in shown, shown
    left = [
        path for path in home.place.rglob("*") if path.is_file() and b"key-of-the-web" in path.read_bytes()
    ]
    assert left == [], left


def main() -> int:
    missing = [name for name in ("npm", "node") if shutil.which(name) is None]
    if missing:
        sys.exit(f"{' and '.join(missing)} not found")
    with tempfile.TemporaryDirectory() as directory:
        home = Home(Path(directory))
        provision(home)
        with by_http(home.place / "home/packages/npm/bin/mcp-server-everything") as address:
            register(home, address)
            attempt(home)
        found = (home.place / "home/packages/npm").rglob(f"node_modules/{NPM}/package.json")
        version = json.loads(next(found).read_text())["version"]
        pip = home.place / "home/packages/pip/venv/lib"
        time_version = next(pip.rglob("mcp_server_time-*.dist-info")).name.split("-")[1].removesuffix(".dist")
    print(f"held with {NPM} {version} (stdio, streamable HTTP) and {PYPI} {time_version} (stdio)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
