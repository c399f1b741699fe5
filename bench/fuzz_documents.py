"""Documents of 1 MiB made to be slow: `python bench/fuzz_documents.py [--rounds 200] [--seed 1] [--bar 100]`.

Every shape that is known to trouble parsers, for profiles and MCP servers, whole and cut off at random, then
pieces of all of them mixed. The bar: no exception, and no answer slower than that many milliseconds.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from machine import describe

from orchestrator.vault import document, json_block, server_document

SIZE: Final = 1 << 20
MOST: Final = json_block.MOST_CHARACTERS
"""The largest JSON that is looked into."""
BAR_MS: Final = 100.0

Shape = Callable[[int], bytes]


def again(piece: str, before: str = "", after: str = "") -> Shape:
    """A piece repeated up to the size wanted."""

    def make(size: int) -> bytes:
        room = max(0, size - len((before + after).encode()))
        return (before + piece * (room // len(piece.encode())) + after).encode()

    return make


def numbered(line: str, before: str = "", after: str = "") -> Shape:
    """Lines that all differ: `#` in `line` is their number."""

    def make(size: int) -> bytes:
        room = size - len(before + after)
        count = room // len(line.replace("#", "123456"))
        return (before + "".join(line.replace("#", str(n)) for n in range(count)) + after).encode()

    return make


FRONT: Final = "---\nname: x\n---\n"
TOOLS: Final = f"{FRONT}## Tools\n```json\n"

SHAPES: Final[dict[str, Shape]] = {
    "NULs": again("\0"),
    "blanks": again(" "),
    "blanks before front matter": again(" ", "", "---\nname: x\n---\n"),
    "empty lines": again("\n"),
    "carriage returns": again("\r"),
    "line ends of Windows": again("\r\n", "---\r\nname: x\r\n---\r\n"),
    "empty lines after front matter": again("\n", FRONT),
    "lines of a hash": again("#\n", FRONT),
    "lines of ticks": again("```a`\n", FRONT),
    "one long line": again("x", FRONT),
    "two-byte letters": again("é", FRONT),
    "four-byte letters": again("😀", FRONT),
    "line separators": again("\u2028\u0085", FRONT),
    "byte order marks": again("\ufeff"),
    "headings": again("## Role\n", FRONT),
    "headings that differ": numbered("## H#\n", FRONT),
    "hashes": again("#", FRONT),
    "half headings": again("## ", FRONT),
    "headings of blanks": again("##" + " " * 200 + "\n", FRONT),
    "fences": again("```json\n", FRONT),
    "fences of both kinds": again("```\n~~~\n", FRONT),
    "growing fences": lambda size: (
        FRONT + "\n".join("`" * n for n in range(3, int((2 * size) ** 0.5)))
    ).encode(),
    "one long fence": again("`", FRONT),
    "fences in a section": again("```json\n{}\n```\n", f"{FRONT}## Tools\n"),
    "deep JSON": again("[", TOOLS),
    "deep JSON, closed": lambda size: (TOOLS + "[" * (size // 2) + "]" * (size // 2) + "\n```\n").encode(),
    "deep JSON objects": again('{"a":', TOOLS, "\n```\n"),
    "JSON strings": again('"a",', f"{TOOLS}[", '"a"]\n```\n'),
    "tool names": numbered('"T#",', TOOLS + '{"allowed": [', '"z"]}\n```\n'),
    "denied tool names": numbered('"T#",', TOOLS + '{"denied": [', '"z"]}\n```\n'),
    "tools in both lists": lambda size: (
        TOOLS
        + '{"allowed": ['
        + ",".join(f'"T{n}"' for n in range(size // 20))
        + '], "denied": ['
        + ",".join(f'"T{n}"' for n in range(size // 20))
        + "]}\n```\n"
    ).encode(),
    "unknown keys": numbered('"k#": 1,', f"{FRONT}## Config\n```json\n{{", '"z": 1}\n```\n'),
    "a long number": again("9", f'{FRONT}## Config\n```json\n{{"max_turns": ', "}\n```\n"),
    "a long string": again("x", f'{FRONT}## Config\n```json\n{{"model": "', '"}\n```\n'),
    "escapes": again("\\u00e9", f'{FRONT}## Config\n```json\n{{"model": "', '"}\n```\n'),
    "backslashes": again("\\", f'{FRONT}## Config\n```json\n{{"model": "', '"}\n```\n'),
    "server names": numbered('"s#",', f"{FRONT}## MCP Servers\n```json\n[", '"z"]\n```\n'),
    "packages": numbered('"p#",', f'{FRONT}## Install\n```json\n{{"npm": [', '"z"]}\n```\n'),
    "a long package": again("a-", f'{FRONT}## Install\n```json\n{{"npm": ["', '"]}\n```\n'),
    "a broken package": again("a", f'{FRONT}## Install\n```json\n{{"pip": ["', '!"]}\n```\n'),
    "a long role": again("word ", f"{FRONT}## Role\n"),
    "rows of dashes": again("---\n"),
    "front matter without an end": again("a: b\n", "---\n"),
    "keys that differ": numbered("k#: v\n", "---\n", "---\n"),
    "one key again": again("k: v\n", "---\n", "---\n"),
    "colons": again("k: v: w\n", "---\n", "---\n"),
    "a line of colons": again(": ", "---\nname: ", "\n---\n"),
    "deep YAML": again("[", "---\na: ", "\n---\n"),
    "deep YAML, closed": lambda size: (
        "---\na: " + "[" * (size // 2) + "]" * (size // 2) + "\n---\n"
    ).encode(),
    "deep YAML by indent": lambda size: (
        "---\n" + "\n".join(" " * n + "a:" for n in range(int((2 * size) ** 0.5) - 2)) + "\n---\n"
    ).encode(),
    "dashes on one line": again("- ", "---\na:\n  ", "\n---\n"),
    "question marks": again("? ", "---\n", "\n---\n"),
    "aliases": again("b: *a\n", "---\na: &a [x]\n", "---\n"),
    "a bomb of aliases": again("l: &l [*k,*k,*k,*k]\n", "---\nk: &k [x,x,x,x]\n", "---\n"),
    "anchors": numbered("k#: &a# x\n", "---\n", "---\n"),
    "YAML tags": again("k: !!python/object:os.system x\n", "---\n", "---\n"),
    "a long YAML tag": again("x", "---\nk: !", " y\n---\n"),
    "merge keys": again("<<: {a: b}\n", "---\n", "---\n"),
    "an open quote": again("x", '---\nname: "', "\n---\n"),
    "an open quote over lines": again("x\n", '---\nname: "', "---\n"),
    "quotes": again("''", "---\nname: '", "'\n---\n"),
    "escapes in YAML": again("\\x41", '---\nname: "', '"\n---\n'),
    "block scalar": again("  text\n", "---\nnotes: |\n", "---\n"),
    "folded scalar": again("  text\n\n", "---\nnotes: >\n", "---\n"),
    "YAML comments": again("# c\n", "---\n", "name: x\n---\n"),
    "tabs": again("\t", "---\nname:", "x\n---\n"),
    "YAML documents": again("...\n--- x\n", "---\n"),
    "a list of tags": numbered("t#, ", "---\ntags: [", "z]\n---\n"),
    "a long YAML number": again("9", "---\nname: ", "\n---\n"),
    "sixties": again("1:", "---\nname: ", "1\n---\n"),
    "underscored numbers": again("1_", "---\nname: ", "\n---\n"),
    "a long key": again("k", "---\n", ": v\n---\n"),
    "arguments": again('"a", ', "---\ncommand: x\nargs: [", '"z"]\n---\n'),
    "environment": numbered("  K#: v\n", "---\ncommand: x\nenv:\n", "---\n"),
    "references": again("${A}", '---\ncommand: x\nenv: {A: "', '"}\n---\n'),
    "open references": again("${", '---\ncommand: x\nenv: {A: "', '"}\n---\n'),
    "headers": numbered("  H#: v\n", "---\nurl: http://x/\nheaders:\n", "---\n"),
    "a long address": again("a/", "---\nurl: http://x/", "\n---\n"),
    "brackets in an address": again("[", "---\nurl: http://", "\n---\n"),
    "notes": again("text\n", "---\ncommand: x\n---\n"),
}


def inputs(rounds: int, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Each shape whole and cut off, and mixtures of pieces."""
    whole = {name: make(SIZE)[:SIZE] for name, make in SHAPES.items()}
    yield from whole.items()
    yield from ((f"{name}, smaller", make(MOST)) for name, make in SHAPES.items() if b"json" in whole[name])
    names = sorted(whole)
    for number in range(rounds):
        if number % 2:
            name = chance.choice(names)
            yield f"{name}, cut off", whole[name][: chance.randrange(SIZE)]
            continue
        parts, left = [], SIZE
        for name in chance.sample(names, chance.randint(2, 6)):
            length = chance.randint(1, left)
            start = chance.choice([0, chance.randrange(SIZE)])
            parts.append((name, whole[name][start : start + length]))
            left = max(1, left - length)
        yield "mixed: " + ", ".join(name for name, _ in parts), b"".join(part for _, part in parts)[:SIZE]


READERS: Final[dict[str, Callable[[bytes], object]]] = {
    "profile": lambda data: document.parse(data, profile_id="x"),
    "overlay": lambda data: document.parse(data, profile_id="x", overlay=True),
    "server": lambda data: server_document.parse(data, name="x"),
}


def milliseconds_of(read: Callable[[bytes], object], data: bytes, bar: float) -> float:
    """The best of three when one is over the bar: the machine does other things too."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        read(data)
        best = min(best, (time.perf_counter() - began) * 1000)
        if best <= bar:
            break
    return best


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--bar", type=float, default=BAR_MS, help="milliseconds")
    given = arguments.parse_args()
    taken: list[tuple[float, str, str]] = []
    crashes = 0
    for name, data in inputs(given.rounds, random.Random(given.seed)):
        for reader, read in READERS.items():
            try:
                taken.append((milliseconds_of(read, data, given.bar), reader, name))
            except Exception as error:  # noqa: BLE001 - any at all is what is looked for
                crashes += 1
                print(f"CRASH {reader}: {name}: {type(error).__name__}: {error}"[:300])
    taken.sort(reverse=True)
    print(f"{describe('pyyaml')}; {len(taken)} documents, {given.rounds} rounds, seed {given.seed}")
    for milliseconds, reader, name in taken[:10]:
        print(f"{milliseconds:8.1f} ms  {reader:8} {name[:90]}")
    slow = sum(1 for milliseconds, _, _ in taken if milliseconds > given.bar)
    print(f"{crashes} crashes, {slow} slower than {given.bar:g} ms")
    return 1 if crashes or slow else 0


if __name__ == "__main__":
    sys.exit(main())
