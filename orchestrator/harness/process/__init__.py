"""Processes: start an agent in containment, read it without loss, end its whole tree.

    isolation = probe()                                            # once, when the worker starts
    env = build_environment(attempt=id, home=..., tmp=..., parent=os.environ, allow=[...], extras={...})
    async with start(argv, cwd=path, env=env, isolation=isolation) as child:
        await child.write(b'{"type":"user",...}\\n')               # False when nobody reads any more
        async for item in child.messages():                        # dict | NotJson | Oversized | Truncated
            ...
        stopped = await finish(child)                              # after the result: end of input, force
    # or: await stop(child, interrupt=ask_over_the_protocol)       # while it is at work
    stopped.exit                                                   # Exit(code, signal, max_rss_bytes, ...)

Leaving the scope, by an exception or a cancellation too, ends the tree. `child.identity` goes into the
attempt's record; `end_leftovers(identities)` ends what an earlier worker left. Raised: `StartRefused`
before anything ran, `OutputLost` from `messages()` when the disk could not take what was printed.
"""

from orchestrator.harness.process.child import Child, Exit
from orchestrator.harness.process.environment import MARKER, build_environment
from orchestrator.harness.process.frame import Framer, Item, Message, NotJson, Oversized, Truncated
from orchestrator.harness.process.inbox import OutputLost
from orchestrator.harness.process.isolation import Containment, Isolation, Limits, probe
from orchestrator.harness.process.leftovers import ProcessIdentity, end_leftovers
from orchestrator.harness.process.spawn import start
from orchestrator.harness.process.stop import Grace, Rung, Stopped, finish, kill, stop

__all__ = [
    "MARKER",
    "Child",
    "Containment",
    "Exit",
    "Framer",
    "Grace",
    "Isolation",
    "Item",
    "Limits",
    "Message",
    "NotJson",
    "OutputLost",
    "Oversized",
    "ProcessIdentity",
    "Rung",
    "Stopped",
    "Truncated",
    "build_environment",
    "end_leftovers",
    "finish",
    "kill",
    "probe",
    "start",
    "stop",
]
