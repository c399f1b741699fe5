"""How fast an agent's output becomes messages: framing and parsing, against plain json.loads.

    python bench/stream.py [--lines 200000]

Compares side by side, five rounds in turn: `json.loads` of each line (the floor), our framer over the same
bytes in chunks as a pipe delivers them, and framer plus the reading of each message as the adapter does it.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator

from machine import describe

from orchestrator.harness.claude.parse import said
from orchestrator.harness.process.frame import Framer

CHUNK = 64 << 10
"""What one read of a pipe gives at most."""


def lines(count: int) -> Iterator[dict[str, object]]:
    """What an agent says: mostly text and tool calls of a few hundred bytes."""
    yield {
        "type": "system",
        "subtype": "init",
        "session_id": "s",
        "tools": ["Read", "Grep"],
        "mcp_servers": [],
    }
    for n in range(count - 2):
        text = f"Line {n}: looked at orchestrator/domain/task.py and found nothing unusual. "
        block = (
            {"type": "text", "text": text}
            if n % 3
            else {
                "type": "tool_use",
                "id": f"toolu_{n}",
                "name": "Read",
                "input": {"file_path": f"src/{n}.py"},
            }
        )
        usage = {"input_tokens": 10, "output_tokens": 3}
        message = {"id": f"msg_{n}", "role": "assistant", "content": [block], "usage": usage}
        yield {"type": "assistant", "message": message, "session_id": "s"}
    yield {"type": "result", "subtype": "success", "is_error": False, "result": "done", "session_id": "s"}


def plain(data: bytes) -> int:
    return sum(1 for line in data.splitlines() if json.loads(line))


def framed(data: bytes) -> int:
    framer, found = Framer(), 0
    for start in range(0, len(data), CHUNK):
        found += len(framer.feed(data[start : start + CHUNK]))
    return found + len(framer.finish())


def parsed(data: bytes) -> int:
    framer, found = Framer(), 0
    for start in range(0, len(data), CHUNK):
        for item in framer.feed(data[start : start + CHUNK]):
            if isinstance(item, dict):
                found += sum(1 for _ in said(item))
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--lines", type=int, default=200_000)
    count = arguments.parse_args().lines
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines(count))
    ways: dict[str, Callable[[bytes], int]] = {
        "json.loads": plain,
        "framer": framed,
        "framer + parse": parsed,
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(5):
        for name, way in ways.items():
            began = time.perf_counter()
            way(data)
            took[name].append(time.perf_counter() - began)
    print(describe())
    print(f"{count} lines, {len(data) / count:.0f} bytes each; median of 5 rounds in turn\n")
    print(f"{'way':<16}{'lines/s':>12}{'of the floor':>14}")
    floor = statistics.median(took["json.loads"])
    for name, times in took.items():
        middle = statistics.median(times)
        print(f"{name:<16}{count / middle:>12,.0f}{floor / middle:>13.0%}")


if __name__ == "__main__":
    main()
