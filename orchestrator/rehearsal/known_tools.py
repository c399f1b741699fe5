"""Which tools the agent's command line has: asked of the executables themselves, written as data.

    python -m orchestrator.rehearsal.known_tools [--write FILE] EXECUTABLE...

Each executable is started against a rehearsal, with an empty home and no way to the network; what it offers
to the model there is what it has. Without `--write` the data goes to standard output.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestrator.domain.errors import StartRefused
from orchestrator.domain.known_tools import ALIASES
from orchestrator.rehearsal.request import Request
from orchestrator.rehearsal.script import Reply, steps
from orchestrator.rehearsal.server import Server, serve

CANDIDATES: Final = (
    "Agent,AskUserQuestion,Bash,CronCreate,CronDelete,CronList,Edit,EnterPlanMode,EnterWorktree,ExitPlanMode,"
    "ExitWorktree,Glob,Grep,LSP,ListAgents,ListMcpResourcesTool,Monitor,NotebookEdit,PowerShell,"
    "PushNotification,Read,ReadMcpResourceDirTool,ReadMcpResourceTool,RemoteTrigger,ReportFindings,"
    "ScheduleWakeup,SendMessage,Skill,StructuredOutput,TaskCreate,TaskGet,TaskList,TaskOutput,TaskStop,"
    "TaskUpdate,TodoWrite,ToolSearch,WebFetch,WebSearch,Workflow,Write"
)
"""Names that some version is known to have had; an executable ignores those it does not know."""

OLD_NAMES: Final = (
    "AgentOutputTool",
    "BashOutput",
    "BashOutputTool",
    "KillBash",
    "KillShell",
    "LS",
    "MultiEdit",
    "NotebookRead",
    "SlashCommand",
    "Task",
    "TodoRead",
)
"""Names of earlier versions, each asked for alone, to see under which name it is offered now."""

_SERVER: Final = {
    "type": "stdio",
    "command": sys.executable,
    "args": ["-I", str(Path(__file__).with_name("resource_server.py"))],
    "alwaysLoad": True,
}

SITUATIONS: Final[tuple[tuple[tuple[str, ...], dict[str, str]], ...]] = (
    (
        (
            "--permission-prompt-tool=stdio",  # tools that need someone to ask
            '--json-schema={"type":"object"}',
            "--mcp-config=" + json.dumps({"mcpServers": {"resources": _SERVER}}),
        ),
        {},
    ),
    ((), {"CLAUDE_CODE_ENABLE_TASKS": "0"}),  # the older list of things to do
    ((), {"ENABLE_TOOL_SEARCH": "true"}),
)
"""Arguments and environment under which further tools appear; what does not hide another's goes together."""

ARTEFACTS: Final = frozenset({"DeferredToolPlaceholder"})
"""Offered to the model, yet no tool that can be granted."""

START_LIMIT: Final = 60.0
"""Seconds until an executable must have made its first request; a cold start takes less than one."""


@dataclass(kw_only=True, slots=True)
class Found:
    """What one version offers: descriptions by name, those there unasked, old names it takes."""

    version: str
    tools: dict[str, str] = field(default_factory=dict)
    unasked: frozenset[str] = frozenset()
    aliases: dict[str, str] = field(default_factory=dict)


async def ask(executable: Path) -> Found:
    """Start the executable once for each situation. Raises StartRefused when it makes no request."""
    found = Found(version=await version(executable))
    async with serve(steps(Reply(text="Thank you."))) as server:
        first = await offered(executable, server, tools="default")
        found.unasked = frozenset(first) - ARTEFACTS
        for arguments, environment in SITUATIONS:
            asked = await offered(executable, server, *arguments, tools=CANDIDATES, **environment)
            found.tools |= {name: text for name, text in asked.items() if name not in ARTEFACTS}
        found.tools |= {name: text for name, text in first.items() if name not in ARTEFACTS}
        found.aliases = await _old_names(executable, server)
    return found


async def _old_names(executable: Path, server: Server) -> dict[str, str]:
    """What each old name means now. Those that are known are asked together, and so are the others; only an
    answer that is news is worth asking for each alone."""
    found: dict[str, str] = {}
    for names in (
        [old for old in OLD_NAMES if old in ALIASES],
        [old for old in OLD_NAMES if old not in ALIASES],
    ):
        known = {old: ALIASES[old] for old in names if old in ALIASES}
        if await _meant(executable, server, *names) == set(known.values()):
            found |= known
            continue
        for old in names:
            if len(now := await _meant(executable, server, old)) == 1:
                found[old] = now.pop()
    return found


async def _meant(executable: Path, server: Server, *old: str) -> set[str]:
    """Tools offered for these names that are none of them."""
    there = await offered(executable, server, tools=",".join((*old, "Glob")))
    return there.keys() - {"Glob", *old}


async def version(executable: Path) -> str:
    """The executable's own version, such as 2.1.329."""
    process = await asyncio.create_subprocess_exec(
        executable, "--version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env={}
    )
    output, _ = await process.communicate()
    match = re.match(rb"\d+\.\d+\.\d+", output)
    if match is None:
        raise StartRefused(f"{executable} --version printed no version; is it the agent's command line?")
    return match[0].decode()


async def offered(
    executable: Path, server: Server, *arguments: str, tools: str, **extra: str
) -> dict[str, str]:
    """Names and descriptions of the tools in the first request that the executable makes."""
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as home:
        process = await asyncio.create_subprocess_exec(
            executable,
            *("-p", "--input-format=stream-json", "--output-format=stream-json", "--verbose"),
            *("--strict-mcp-config", "--setting-sources=", "--model=claude-sonnet-5", f"--tools={tools}"),
            *arguments,
            cwd=home,
            env=environment(server, home) | {"ANTHROPIC_CUSTOM_HEADERS": f"X-Home: {home}"} | extra,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await _say(process, "Task: name your tools.")
            request = await server.wait_for(lambda r: r.headers.get("x-home") == home, START_LIMIT)
        except (TimeoutError, OSError) as error:
            raise StartRefused(f"{executable} made no request to the rehearsal; try it by hand") from error
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    return _descriptions(request)


def environment(server: Server, home: str) -> dict[str, str]:
    """All that the executable gets to see: nothing of ours, and only the rehearsal to talk to."""
    return {
        "HOME": home,
        "CLAUDE_CONFIG_DIR": home,
        "CLAUDE_CODE_TMPDIR": home,
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_API_KEY": "rehearsal",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
        "ENABLE_TOOL_SEARCH": "false",
        "MCP_CONNECTION_NONBLOCKING": "0",
        "MCP_CONNECT_TIMEOUT_MS": "30000",
    }


async def _say(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stdin is not None
    message = {"type": "user", "message": {"role": "user", "content": text}}
    process.stdin.write(json.dumps(message).encode() + b"\n")
    await process.stdin.drain()


def _descriptions(request: Request) -> dict[str, str]:
    tools = request.body.get("tools", [])
    return {tool["name"]: first_sentence(tool.get("description", "")) for tool in tools}


def first_sentence(text: str, *, limit: int = 84) -> str:
    """The first sentence that says something: no heading, bullet or warning."""
    lines = (line.strip().removeprefix("- ") for line in text.splitlines())
    for line in lines:
        if line and not line.startswith(("#", "IMPORTANT:")):
            sentence = re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0]
            return sentence if len(sentence) <= limit else sentence[: limit - 1].rsplit(" ", 1)[0] + "…"
    return ""


def as_source(all_found: Sequence[Found]) -> str:
    """The data module, from the newest version's words and the versions each tool was seen in."""
    found = sorted(all_found, key=lambda one: [int(part) for part in one.version.split(".")], reverse=True)
    names = sorted({name for one in found for name in one.tools})
    aliases = {old: new for one in reversed(found) for old, new in one.aliases.items()}
    lines = [HEADER.strip(), "", "", "KNOWN_TOOLS: Final = ("]
    for name in names:
        seen = [one for one in found if name in one.tools]
        lines += [
            "    KnownTool(",
            f"        name={_quoted(name)},",
            f"        description={_quoted(seen[0].tools[name])},",
            f"        versions={_tuple([one.version for one in seen])},",
            f"        unasked={any(name in one.unasked for one in seen)},",
            "    ),",
        ]
    lines += [")", "", "ALIASES: Final[Mapping[str, str]] = {"]
    lines += [f"    {_quoted(old)}: {_quoted(new)}," for old, new in sorted(aliases.items())]
    return "\n".join([*lines, "}", ALIASES_MEANING.strip(), ""])


def _tuple(items: Sequence[str]) -> str:
    return f"({', '.join(map(_quoted, items))}{',' if len(items) == 1 else ''})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


HEADER: Final = '''
"""Built-in tools of the agent's command line, as it reports them itself.

Written by `python -m orchestrator.rehearsal.known_tools`; change that, not this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownTool:
    """A built-in tool, the versions it was seen in, and whether it is there without being named."""

    name: str
    description: str
    versions: tuple[str, ...]
    unasked: bool
'''

ALIASES_MEANING: Final = '''
"""Earlier names that are still understood. The agent reports `Agent` as `Task` in its first message."""
'''


async def collect(executables: Sequence[Path]) -> str:
    """The data module for these executables (absolute paths), asked one after another."""
    return as_source([await ask(executable) for executable in executables])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.rehearsal.known_tools", description=__doc__)
    parser.add_argument("executables", nargs="+", type=Path, metavar="EXECUTABLE")
    parser.add_argument("--write", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    try:
        source = asyncio.run(collect([path.absolute() for path in arguments.executables]))
    except (StartRefused, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if arguments.write is None:
        sys.stdout.write(source)
    else:
        arguments.write.write_text(source, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
