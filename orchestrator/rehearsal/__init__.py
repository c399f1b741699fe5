"""Rehearsal: an Anthropic-compatible Messages endpoint on loopback that answers from a script.

    async with rehearsal.serve(rehearsal.DEFAULT) as server:   # or load(path), steps(...), Script(...)
        ...  start the command line with ANTHROPIC_BASE_URL=server.url and any ANTHROPIC_API_KEY
        request = await server.wait_for_request(1, timeout=20)    # .tools .system .prompt .body .at ...

Scripts in Python:

    steps(Reply(tools=(ToolCall(name="Read", input={...}),)), Reply(text="Done."))   one reply for each step
    Script(rules=(Rule(when=When(prompt="regex", headers={"X-Orchestrator-Task": "t1"}, step=0, ...),
                       replies=(Reply(...), ...), times=1), ...), default=Reply(text="..."), label=True)
    Reply(text, tools, thinking, stop_reason, usage=Tokens(...), delay, pause, piece, fault=...)
    faults: Failure(status, type, message, headers) Hang(where) CutOff(where) StreamError(type) Malformed()
            where = "before_headers" | "mid_stream"
    probe([ToolCall(...), ...], one_by_one=False)       calls all of them, then ends with a text

Texts are labelled "[rehearsal] " unless the script says `label=False`; message ids always begin with
`msg_rehearsal_`, and each response has the header `x-orchestrator-rehearsal`. In a process of its own:
`python -m orchestrator.rehearsal --script FILE` prints a line of JSON with the url and ends with its stdin.
"""

from orchestrator.rehearsal.builtin import DEFAULT, probe
from orchestrator.rehearsal.document import load, parse
from orchestrator.rehearsal.reader import ScriptInvalid
from orchestrator.rehearsal.request import Request
from orchestrator.rehearsal.script import (
    LABEL,
    CutOff,
    Failure,
    Hang,
    Malformed,
    Reply,
    Rule,
    Script,
    StreamError,
    Tokens,
    ToolCall,
    When,
    steps,
)
from orchestrator.rehearsal.server import Server, serve

__all__ = [
    "DEFAULT",
    "LABEL",
    "CutOff",
    "Failure",
    "Hang",
    "Malformed",
    "Reply",
    "Request",
    "Rule",
    "Script",
    "ScriptInvalid",
    "Server",
    "StreamError",
    "Tokens",
    "ToolCall",
    "When",
    "load",
    "parse",
    "probe",
    "serve",
    "steps",
]
