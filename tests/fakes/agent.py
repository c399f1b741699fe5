#!/usr/bin/env python3
"""A stand-in for Claude Code: speaks its stream-json protocol, and misbehaves on request.

It takes any Claude command line, answers `--version`, reads user messages and control messages on stdin, and
runs a script. The script is a list of steps separated by `;`, taken from the first of these that is there:

1. `--fake=<steps>` on the command line,
2. the environment variable `FAKE_AGENT`,
3. the file `.fake-agent` in the working directory,
4. `FAKE[<steps>]` inside the first user message.

Without a script it answers "done". Steps (`name` or `name=value`), carried out for each user message in turn:

  say=TEXT             an assistant message with this text
  tool=NAME:JSON       a tool call; a registered PreToolUse callback is asked first, then `can_use_tool` when
                       --permission-prompt-tool=stdio is given; a denial is kept for permission_denials
  result=TEXT          the text of the final result (default "done")
  error=SUBTYPE        the result is an error of this subtype (error_max_turns, ...), exit code 1
  api_error=STATUS     the result is subtype success, is_error true, with this api_error_status, exit code 1
  rate_limit=RESET     a rate_limit_event that is refused until RESET (Unix seconds)
  cost=USD             total_cost_usd of the result
  rc=N                 exit code
  init=JSON            fields that replace those of the init message: init={"tools":["Read","WebFetch"]}
  init_at_start        print init before the first message instead of after it
  no_init              never print it
  raw=TEXT             this line, as it stands
  stderr=TEXT          this line on stderr
  big=BYTES            an assistant message with that many characters on one line
  lines=N              N small system messages
  talk=N:SECONDS       N assistant messages, one every so many seconds, until an interrupt
  bad_utf8             a line with bytes that are no UTF-8
  half_line            half a JSON line, then exit 0
  silent               exit 0 at once, printing nothing (before reading anything)
  no_result            exit without a result; `rc` still counts
  crash=N              exit at once with code N; crash=-9 kills itself
  hang                 nothing more, for ever; control requests are still answered, interrupt ends it
  deaf                 like hang, but stdin is not read either
  hang_after_result    print the result, then ignore the end of stdin
  ignore_term          SIGTERM and SIGINT do nothing from here on
  ignore_interrupt     the control request `interrupt` is answered, and nothing happens
  daemon=SECONDS       a double-forked daemon in its own session with an empty environment: `sleep SECONDS`
  child=SECONDS        a child in the same group: `sleep SECONDS`
  close_stdout         close stdout and live on until a signal comes
  flood_stderr=BYTES   that much on stderr
  flood_stdout=BYTES   that much on stdout, in lines of about 1 KiB
  eat=MEBIBYTES        that much memory, all of it touched
  fill=MEBIBYTES       a file of that size in the working directory
  touch=PATH           create this file (tell a test that the script got here)
  write=PATH:TEXT      write a file
  leak                 say, and print on stderr, every value of the environments and headers of its servers
  dump=PATH            write argv, environment, working directory, servers and the messages so far as JSON
  wait_for=PATH        wait until this file exists, at most 60 s
  twice                print two results (the first as for a background task)
"""

# pathlib would add a third to the start-up time of everything that runs this:
# ruff: noqa: PTH103, PTH104, PTH109, PTH110, PTH118, PTH123

import functools
import json
import os
import queue
import re
import signal
import sys
import threading
import time

VERSION = "2.1.329 (Claude Code)"
TICK = 0.05  # no wait is longer: a signal that arrives just before one is handled only after it
LINE = b'{"type":"system","subtype":"noise","text":"' + b"x" * 980 + b'"}\n'


def option(name, default=None):
    """The value of a flag, written as --name=value or as --name value; the last one wins."""
    found = default
    for place, argument in enumerate(sys.argv):
        if argument.startswith(name + "="):
            found = argument[len(name) + 1 :]
        elif argument == name and place + 1 < len(sys.argv):
            found = sys.argv[place + 1]
    return found


@functools.cache
def servers():
    """The MCP servers by name, as JSON or as a file, which is read once."""
    text = option("--mcp-config") or "{}"
    if not text.startswith("{"):
        with open(text, encoding="utf-8") as file:
            text = file.read()
    return json.loads(text).get("mcpServers", {})


def states():
    """Of the servers, without those whose FAKE_FAULT is empty: as if the command line had not taken them."""
    known = {
        name: entry for name, entry in servers().items() if (entry.get("env") or {}).get("FAKE_FAULT") != ""
    }
    return [server_state(name, entry) for name, entry in known.items()]


def server_state(name, entry):
    """Connected, with no tools; failed where its environment has FAKE_FAULT, with that as the reason, and
    with FAKE_STDERR in the log that the command line keeps of it."""
    environment = entry.get("env") or {}
    fault = environment.get("FAKE_FAULT")
    if fault is None:
        return {"name": name, "status": "connected", "tools": []}
    if "FAKE_STDERR" in environment:
        cache = os.path.join(os.environ["HOME"], ".cache", "claude-cli-nodejs", "-the-checkout")
        place = os.path.join(cache, "mcp-logs-" + re.sub("[^A-Za-z0-9]", "-", name))
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, "now.jsonl"), "w", encoding="utf-8") as file:
            for entry in ({"debug": "Starting"}, {"error": "Server stderr: " + environment["FAKE_STDERR"]}):
                file.write(json.dumps(entry) + "\n")
    return {"name": name, "status": "failed", "error": fault}


def script_of(prompt):
    """The steps to carry out as (name, value) pairs, or None when nobody gave any."""
    text = option("--fake") or os.environ.get("FAKE_AGENT")
    if text is None:
        try:
            with open(".fake-agent", encoding="utf-8") as file:
                text = file.read()
        except OSError:
            found = re.search(r"FAKE\[(.*)\]", prompt, re.DOTALL)
            text = found.group(1) if found else None
    if text is None:
        return None
    pairs = (step.strip().partition("=") for step in text.split(";") if step.strip())
    return [(name, value) for name, _, value in pairs]


def forever():
    while True:
        time.sleep(TICK)


class Agent:
    def __init__(self):
        self.session = option("--session-id") or option("--resume") or "00000000-0000-4000-8000-000000000000"
        self.inbox = queue.Queue()
        self.replies = {}
        self.replied = threading.Condition()
        self.hooks = []
        self.seen = []
        self.sent = 0
        self.said_init = False
        self.interrupted = threading.Event()
        self.ended = threading.Event()
        self.ignore_interrupt = False
        self.lock = threading.RLock()  # the handler of SIGINT may interrupt a write of its own thread
        self.clear()

    def clear(self):
        self.overrides = {}
        self.result = "done"
        self.subtype, self.is_error, self.api_status, self.code, self.cost = "success", False, None, 0, 0.01
        self.denials = []
        self.turns = 1

    # --- talking ---

    def emit(self, message):
        self.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")

    def write(self, data):
        with self.lock:
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]

    def read(self):
        """Runs in a thread: sort what arrives into user messages, requests and replies."""
        for line in sys.stdin.buffer:
            if not line.strip():
                continue
            try:
                message = json.loads(line)
            except ValueError:
                sys.stderr.write("Error parsing streaming input line\n")
                sys.stderr.flush()
                os._exit(1)
            self.seen.append(message)
            kind = message.get("type")
            if kind == "control_request":
                self.answer(message["request_id"], message["request"])
            elif kind == "control_response":
                with self.replied:
                    self.replies[message["response"]["request_id"]] = message["response"]
                    self.replied.notify_all()
            elif kind == "user":
                self.inbox.put(message)
        self.ended.set()
        with self.replied:
            self.replied.notify_all()
        self.inbox.put(None)

    def answer(self, request_id, request):
        reply = {}
        if request["subtype"] == "initialize":
            self.hooks = (request.get("hooks") or {}).get("PreToolUse") or []
            reply = {"commands": [], "output_style": "default"}
        elif request["subtype"] == "mcp_status":
            reply = {"mcpServers": states()}
        elif request["subtype"] == "interrupt" and not self.ignore_interrupt:
            self.interrupted.set()
        response = {"subtype": "success", "request_id": request_id, "response": reply}
        self.emit({"type": "control_response", "response": response})

    def ask(self, request):
        """Send a control request and wait for its reply; None when stdin ended first."""
        self.sent += 1
        request_id = f"fake_{self.sent}"
        self.emit({"type": "control_request", "request_id": request_id, "request": request})
        with self.replied:
            while not (request_id in self.replies or self.ended.is_set()):
                self.replied.wait(TICK)
            return self.replies.pop(request_id, None)

    # --- what Claude says ---

    def init(self):
        if self.said_init:
            return
        self.said_init = True
        wanted = option("--tools", "Bash,Edit,Read")
        allowed = re.split(r"[,\s]+", option("--allowedTools") or option("--allowed-tools") or "")
        message = {
            "type": "system",
            "subtype": "init",
            "cwd": os.getcwd(),
            "session_id": self.session,
            "tools": [t for t in re.split(r"[,\s]+", wanted) if t]
            + [t for t in allowed if t.startswith("mcp__") and t.count("__") > 1],
            "mcp_servers": [{"name": one["name"], "status": one["status"]} for one in states()],
            "model": option("--model", "claude-fake-1"),
            "permissionMode": option("--permission-mode", "default"),
            "slash_commands": [],
            "apiKeySource": "ANTHROPIC_API_KEY",
            "claude_code_version": VERSION.split()[0],
            "uuid": "00000000-0000-4000-8000-000000000001",
        }
        self.emit({**message, **self.overrides})

    def assistant(self, block):
        message = {
            "id": "msg_fake",
            "type": "message",
            "role": "assistant",
            "model": option("--model", "claude-fake-1"),
            "content": [block],
            "usage": {"input_tokens": 10, "output_tokens": 1},
        }
        self.emit(
            {"type": "assistant", "message": message, "parent_tool_use_id": None, "session_id": self.session}
        )

    def tool(self, name, arguments):
        use_id = f"toolu_{self.sent}_{self.turns}"
        self.turns += 1
        self.assistant({"type": "tool_use", "id": use_id, "name": name, "input": arguments})
        refusal = self.refused_by_hook(name, arguments, use_id) or self.refused_by_prompt(
            name, arguments, use_id
        )
        if refusal:
            self.denials.append({"tool_name": name, "tool_use_id": use_id, "tool_input": arguments})
        block = {
            "type": "tool_result",
            "tool_use_id": use_id,
            "content": refusal or f"{name} ran",
            "is_error": bool(refusal),
        }
        message = {"role": "user", "content": [block]}
        self.emit(
            {"type": "user", "message": message, "parent_tool_use_id": None, "session_id": self.session}
        )

    def refused_by_hook(self, name, arguments, use_id):
        for hook in self.hooks:
            matcher = hook.get("matcher")
            if matcher not in (None, "", "*") and not re.fullmatch(matcher, name):
                continue
            for callback in hook.get("hookCallbackIds", []):
                fields = {
                    "hook_event_name": "PreToolUse",
                    "session_id": self.session,
                    "cwd": os.getcwd(),
                    "permission_mode": option("--permission-mode", "default"),
                    "tool_name": name,
                    "tool_input": arguments,
                    "tool_use_id": use_id,
                }
                request = {
                    "subtype": "hook_callback",
                    "callback_id": callback,
                    "input": fields,
                    "tool_use_id": use_id,
                }
                reply = self.ask(request)
                if reply is None or reply.get("subtype") != "success":
                    return "hook callback failed"
                verdict = (reply.get("response") or {}).get("hookSpecificOutput") or {}
                if verdict.get("permissionDecision") == "deny":
                    return verdict.get("permissionDecisionReason") or "denied"
        return None

    def refused_by_prompt(self, name, arguments, use_id):
        if option("--permission-prompt-tool") != "stdio":
            return None
        request = {"subtype": "can_use_tool", "tool_name": name, "input": arguments, "tool_use_id": use_id}
        reply = ((self.ask(request) or {}).get("response")) or {}
        return None if reply.get("behavior") == "allow" else reply.get("message") or "denied"

    def finish(self, **fields):
        message = {
            "type": "result",
            "subtype": self.subtype,
            "is_error": self.is_error,
            "duration_ms": 5,
            "duration_api_ms": 3,
            "num_turns": self.turns,
            "result": self.result,
            "session_id": self.session,
            "total_cost_usd": self.cost,
            "usage": {"input_tokens": 10, "output_tokens": 5},
            "modelUsage": {},
            "permission_denials": self.denials,
            "stop_reason": "end_turn",
            "terminal_reason": "completed",
            **fields,
        }
        if self.api_status is not None:
            message.update(api_error_status=self.api_status, terminal_reason="api_error")
        if self.subtype != "success":
            message.pop("result")
            message["errors"] = [self.subtype]
        self.emit(message)

    # --- running ---

    def next(self):
        while True:
            try:
                return self.inbox.get(timeout=TICK)
            except queue.Empty:
                continue

    def turn(self, steps):
        """Carry out the script for one user message; True when the process should go on to the next."""
        for name, value in steps:
            handler = getattr(self, "do_" + name, None)
            if handler is None:
                sys.stderr.write(f"fake agent: unknown step {name}\n")
                os._exit(64)
            if handler(value) == "end":
                return False
            if self.interrupted.is_set():
                break
        if self.interrupted.is_set():
            self.interrupted.clear()
            self.subtype, self.is_error = "error_during_execution", True
            self.finish(terminal_reason="aborted_tools")
            return True
        self.finish()
        return not self.is_error

    def do_say(self, value):
        self.assistant({"type": "text", "text": value})

    def do_tool(self, value):
        name, _, arguments = value.partition(":")
        self.tool(name, json.loads(arguments or "{}"))

    def do_result(self, value):
        self.result = value

    def do_error(self, value):
        self.subtype, self.is_error, self.code = value, True, 1

    def do_api_error(self, value):
        self.is_error, self.api_status, self.code = True, int(value), 1
        self.result = f"API Error: {value}"

    def do_rate_limit(self, value):
        info = {"status": "rejected", "resetsAt": int(value), "rateLimitType": "five_hour"}
        self.emit({"type": "rate_limit_event", "rate_limit_info": info, "session_id": self.session})

    def do_cost(self, value):
        self.cost = float(value)

    def do_rc(self, value):
        self.code = int(value)

    def do_init(self, value):
        pass  # read before the turn: init comes first

    def do_init_at_start(self, value):
        pass

    def do_no_init(self, value):
        pass

    def do_raw(self, value):
        self.write(value.encode() + b"\n")

    def do_stderr(self, value):
        os.write(2, value.encode() + b"\n")

    def do_big(self, value):
        self.assistant({"type": "text", "text": "x" * int(value)})

    def do_lines(self, value):
        line = b'{"type":"system","subtype":"noise","n":%d}\n'
        self.write(b"".join(line % n for n in range(int(value))))

    def do_talk(self, value):
        count, _, seconds = value.partition(":")
        for number in range(int(count)):
            if self.interrupted.wait(float(seconds)):
                break
            self.assistant({"type": "text", "text": f"message {number}"})

    def do_bad_utf8(self, value):
        self.write(b'{"type":"system","subtype":"noise","text":"\xff\xfe\xc3("}\n\xff\xff not json\n')

    def do_half_line(self, value):
        self.write(b'{"type":"assistant","message":{"con')
        self.leave(0)

    def do_silent(self, value):
        self.leave(0)

    def do_no_result(self, value):
        return "end"

    def do_crash(self, value):
        if int(value) < 0:
            os.kill(os.getpid(), -int(value))
            time.sleep(1)  # the first process of a PID namespace cannot be killed from within
            self.leave(128 - int(value))
        self.leave(int(value))

    def do_hang(self, value):
        while not self.interrupted.wait(TICK):
            pass

    def do_deaf(self, value):
        forever()

    def do_hang_after_result(self, value):
        self.finish()
        forever()

    def do_ignore_term(self, value):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def do_ignore_interrupt(self, value):
        self.ignore_interrupt = True

    def do_daemon(self, value):
        pid = os.fork()
        if pid == 0:
            os.setsid()
            if os.fork() == 0:
                null = os.open("/dev/null", os.O_RDWR)
                for number in (0, 1, 2):
                    os.dup2(null, number)
                os.execve("/bin/sleep", ["sleep", value], {})
            os._exit(0)
        os.waitpid(pid, 0)

    def do_child(self, value):
        if os.fork() == 0:
            os.execve("/bin/sleep", ["sleep", value], {})

    def do_close_stdout(self, value):
        os.close(1)
        forever()

    def do_flood_stderr(self, value):
        for _ in range(int(value) // 1000 + 1):
            os.write(2, b"e" * 999 + b"\n")

    def do_flood_stdout(self, value):
        block = LINE * 64
        for _ in range(int(value) // len(block) + 1):
            self.write(block)

    def do_eat(self, value):
        self.eaten = b"x" * (int(value) << 20)

    def do_fill(self, value):
        with open("filled", "wb") as file:
            for _ in range(int(value)):
                file.write(b"x" * (1 << 20))

    def do_touch(self, value):
        with open(value, "a", encoding="utf-8"):
            pass

    def do_write(self, value):
        path, _, text = value.partition(":")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def do_leak(self, value):
        values = [
            text
            for entry in servers().values()
            for text in {**(entry.get("env") or {}), **(entry.get("headers") or {})}.values()
        ]
        self.assistant({"type": "text", "text": f"I know {values}"})
        self.assistant({"type": "tool_use", "id": "toolu_leak", "name": "Read", "input": {"path": values}})
        self.result = f"I told {values}"
        sys.stderr.write(f"{values}\n")
        sys.stderr.flush()

    def do_dump(self, value):
        facts = {"argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd(), "stdin": self.seen}
        facts["servers"] = servers()
        with open(value + ".part", "w", encoding="utf-8") as file:
            json.dump(facts, file)
        os.rename(value + ".part", value)

    def do_wait_for(self, value):
        deadline = time.monotonic() + 60
        while not os.path.exists(value) and time.monotonic() < deadline and not self.interrupted.is_set():
            time.sleep(0.005)

    def do_twice(self, value):
        self.finish(origin={"kind": "task-notification"}, total_cost_usd=self.cost / 2)

    def leave(self, code):
        sys.stderr.flush()
        os._exit(code)

    def run(self):
        early = dict(script_of("") or [])
        if "silent" in early:
            self.leave(0)
        if "deaf" in early and "say" not in early:
            self.do_deaf("")
        threading.Thread(target=self.read, daemon=True).start()
        if option("--input-format") != "stream-json":
            self.inbox.put({"message": {"content": sys.argv[-1]}})
            while not self.ended.wait(TICK):
                pass
        if "init_at_start" in early:
            self.overrides = json.loads(early.get("init", "{}"))
            self.init()
        steps = None
        while (message := self.next()) is not None:
            content = message["message"]["content"]
            prompt = content if isinstance(content, str) else json.dumps(content)
            steps = script_of(prompt) or steps or []
            self.clear()
            given = dict(steps)
            self.overrides = json.loads(given.get("init", "{}"))
            if "no_init" not in given:
                self.init()
            self.said_init = "init_at_start" in given and self.said_init
            if not self.turn(steps):
                break
        self.leave(self.code)


def main():
    if "--version" in sys.argv or "-v" in sys.argv[1:2]:
        print(VERSION)
        return
    agent = Agent()

    def interrupted(number, frame):
        agent.subtype, agent.is_error = "error_during_execution", True
        agent.finish(terminal_reason="aborted_tools")
        agent.leave(0)

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(143))
    agent.run()


if __name__ == "__main__":
    main()
