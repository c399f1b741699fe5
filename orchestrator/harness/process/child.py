"""Child: one running agent, its three pipes and how it ended."""

import asyncio
import contextlib
import fcntl
import os
import resource
import signal
import subprocess
import threading
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import IO

from orchestrator.harness.process.frame import Framer, Item
from orchestrator.harness.process.inbox import Inbox
from orchestrator.harness.process.isolation import Containment
from orchestrator.harness.process.leftovers import ProcessIdentity
from orchestrator.harness.process.pipes import Input, Output, Tail

STDERR_KEPT = 64 << 10
"""How much of the end of stderr is kept, in bytes."""

PIPE_SIZE = 1 << 20
"""What we ask for as stdout's pipe, in bytes: room for what an agent prints while the worker is busy."""

LATE_OUTPUT_SECONDS = 5.0
"""How long after its end an agent's pipes may stay open: a process outside its tree may have been given
one."""

UNSHARE_ON_SIGKILL = b"unshare: sigprocmask unblock failed: Invalid argument\n"
"""What util-linux 2.38 says, and then ends with code 1, when the process in its namespace was killed by
SIGKILL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exit:
    """How a child ended: an exit code, or the number of the signal that ended it."""

    code: int | None
    signal: int | None
    max_rss_bytes: int
    """Of the largest process in the tree; never less than the worker had when it started it (Linux counts
    that in)."""

    cpu_seconds: float
    """Of the tree, as far as its processes were waited for."""


class Child:
    """A running agent. `start` makes it and sees to its end; `stop` and `finish` end it with more care."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        *,
        identity: ProcessIdentity,
        containment: Containment,
        inbox: Inbox,
    ) -> None:
        self.identity = identity
        self.containment = containment
        self.exit: Exit | None = None
        self._popen = popen
        self._inbox = inbox
        self._framer = Framer()
        self._items: deque[Item] = deque()
        self._stderr = Tail(STDERR_KEPT)
        self._input = Input()
        self._outputs: list[asyncio.BaseTransport] = []
        self._unconnected = [pipe for pipe in (popen.stdin, popen.stdout, popen.stderr) if pipe is not None]
        self._late: asyncio.TimerHandle | None = None
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._watch()

    @property
    def pid(self) -> int:
        """Of the outermost process, which is also the number of its process group and session."""
        return self._popen.pid

    @property
    def stderr(self) -> str:
        """The last 64 KiB of what it printed there."""
        return self._stderr.text

    @property
    def stderr_bytes(self) -> int:
        """How much it printed there altogether."""
        return self._stderr.total

    async def connect(self) -> None:
        """Attach the pipes to the loop. Reading begins now and never stops, whoever listens."""
        stdin, stdout, stderr = self._unconnected
        with contextlib.suppress(OSError):  # the user's allowance of pipe memory is used up
            fcntl.fcntl(stdout, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        await self._connect_output(Output(self._inbox), stdout)
        await self._connect_output(self._stderr, stderr)
        await self._loop.connect_write_pipe(lambda: self._input, stdin)
        self._unconnected.clear()

    async def _connect_output(self, protocol: asyncio.Protocol, pipe: IO[bytes]) -> None:
        transport, _ = await self._loop.connect_read_pipe(lambda: protocol, pipe)
        self._outputs.append(transport)
        self._unconnected.remove(pipe)

    async def messages(self) -> AsyncIterator[Item]:
        """What it prints on stdout, until the last process that holds it ends. A slow reader loses nothing,
        and one that stops and calls again goes on where it stopped; two at once share what there is.

        In a namespace the wrapper holds stdout too: an agent that closes its own and lives on is only noticed
        by its silence. Raises `OutputLost` after the last item that could be kept.
        """
        while True:
            while self._items:
                yield self._items.popleft()
            if (chunk := await self._inbox.get()) is None:
                break
            self._items.extend(self._framer.feed(chunk))
            await asyncio.sleep(0)  # working off a backlog must not starve everybody else
        for item in self._framer.finish():
            yield item

    async def write(self, line: bytes) -> bool:
        """Write to stdin, waiting while the agent does not read. False when it has ended."""
        return await self._input.write(line)

    def close_stdin(self) -> None:
        """Tell it that nothing more will come."""
        self._input.close()

    async def wait(self) -> Exit:
        """Wait until it has ended. Its output may still have to be read."""
        await self._ended.wait()
        assert self.exit is not None
        return self.exit

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to its process group: the wrapper blocks what is sent to itself alone. Nothing
        happens once it has ended; until then the number cannot have passed to another process."""
        if self.exit is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def signal_outermost(self, number: signal.Signals) -> None:
        """Send a signal to the wrapper alone."""
        if self.exit is None:
            os.kill(self.pid, number)

    def close(self) -> None:
        """Let go of the pipes and of what was printed and not read."""
        self._input.abort()
        self._close_outputs()
        self._inbox.discard()
        for pipe in self._unconnected:
            pipe.close()
        if self._late is not None:
            self._late.cancel()

    def _close_outputs(self) -> None:
        for transport in self._outputs:
            transport.close()

    def _watch(self) -> None:
        """Learn of the end. Only the loop reaps, so whoever signals in the loop cannot hit a number used
        again."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except OSError:  # a sandbox without that system call
            threading.Thread(target=self._watch_from_thread, name=f"wait-{self.pid}", daemon=True).start()
            return
        self._loop.add_reader(pidfd, self._on_pidfd, pidfd)

    def _on_pidfd(self, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        os.close(pidfd)
        self._reap()

    def _watch_from_thread(self) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(RuntimeError):  # the loop is closed, nobody asks any more
            self._loop.call_soon_threadsafe(self._reap)

    def _reap(self) -> None:
        _, status, usage = os.wait4(self.pid, 0)
        self._popen.returncode = returncode = os.waitstatus_to_exitcode(status)
        self._drain_stderr()
        if returncode == 1 and self._stderr.strip(UNSHARE_ON_SIGKILL):
            returncode = -signal.SIGKILL
        self.exit = _exit(returncode, usage)
        self._ended.set()
        self._late = self._loop.call_later(LATE_OUTPUT_SECONDS, self._close_outputs)

    def _drain_stderr(self) -> None:
        """Read now what is already in the pipe: the last words tell how it ended."""
        pipe = self._popen.stderr
        if pipe is None or pipe.closed or os.get_blocking(pipe.fileno()):
            return
        with contextlib.suppress(BlockingIOError):
            # No more than a pipe holds: somebody may still be writing.
            for _ in range(PIPE_SIZE // STDERR_KEPT):
                self._stderr.data_received(os.read(pipe.fileno(), STDERR_KEPT))


def _exit(returncode: int, usage: resource.struct_rusage) -> Exit:
    return Exit(
        code=returncode if returncode >= 0 else None,
        signal=-returncode if returncode < 0 else None,
        max_rss_bytes=usage.ru_maxrss << 10,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
    )
