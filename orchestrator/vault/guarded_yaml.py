"""YAML without the parts that bite: no anchors, aliases, merge keys, tags, deep or repeated structures."""

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml

MOST_CHARACTERS: Final = 64 * 1024
MOST_LEVELS: Final = 16

_Container = list["Value"] | dict[str, "Value"]


@dataclass(frozen=True, slots=True)
class Bare:
    """An unquoted scalar that YAML would not read as text, with what was written.

    Keeping both lets `name: 2024` be a name and `env: {PORT: 8080}` be refused as a number.
    """

    kind: str
    text: str


Value = str | Bare | list["Value"] | dict[str, "Value"] | None

_KINDS: Final = {
    "tag:yaml.org,2002:int": "number",
    "tag:yaml.org,2002:float": "number",
    "tag:yaml.org,2002:bool": "boolean",
    "tag:yaml.org,2002:timestamp": "date",
    "tag:yaml.org,2002:value": "value",
}
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_NULL: Final = "tag:yaml.org,2002:null"
_MERGE: Final = "tag:yaml.org,2002:merge"


class Unreadable(Exception):
    """Not YAML, or not the part of YAML that is accepted. `line` counts from 1 in the text given.

    `syntax` tells a mistake of the writer from a construct that is refused on purpose.
    """

    def __init__(self, message: str, line: int, *, syntax: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.syntax = syntax


def load(text: str, *, most_characters: int = MOST_CHARACTERS, most_levels: int = MOST_LEVELS) -> Value:
    """The value of one YAML document; `None` when it is empty. Raises Unreadable.

    The value is built while the parser speaks, so that nothing refused is ever expanded.
    """
    if len(text) > most_characters:
        raise Unreadable(f"longer than {most_characters} characters", 1)
    try:
        loader = yaml.CSafeLoader(text)
    except UnicodeEncodeError:
        raise Unreadable("not text", 1) from None
    try:
        return _build(loader, most_levels)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise Unreadable(problem, mark.line + 1 if mark else 1, syntax=True) from None
    except yaml.YAMLError as error:
        raise Unreadable(str(error).splitlines()[0], 1, syntax=True) from None
    finally:
        loader.dispose()


class _Builder:
    """The containers that are open, and the key that waits for its value in each."""

    def __init__(self, loader: yaml.CSafeLoader, most_levels: int) -> None:
        self.loader = loader
        self.most_levels = most_levels
        self.open: list[tuple[_Container, str | None]] = []
        self.root: Value = None

    def put(self, value: Value, line: int) -> None:
        if not self.open:
            self.root = value
            return
        container, key = self.open[-1]
        if isinstance(container, list):
            container.append(value)
        elif key is not None:
            container[key] = value
            self.open[-1] = (container, None)
        else:
            self.key(container, value, line)

    def key(self, container: dict[str, Value], value: Value, line: int) -> None:
        name = value.text if isinstance(value, Bare) else value
        if not isinstance(name, str):
            raise Unreadable("a key must be text", line)
        if name in container:
            raise Unreadable(f"the key '{name[:60]}' stands there twice", line)
        self.open[-1] = (container, name)

    def scalar(self, event: Any, line: int) -> None:
        if _UNSTORABLE.search(event.value):
            raise Unreadable("a text contains a NUL character or half of a surrogate pair", line)
        if not event.implicit[0]:
            self.put(event.value, line)
            return
        tag: str = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]  # untyped in its stubs
        if tag == _MERGE:
            raise Unreadable("merge keys (<<) are not accepted", line)
        if tag == _NULL and not self._awaits_key():
            self.put(None, line)
            return
        kind = _KINDS.get(tag)
        self.put(Bare(kind, event.value) if kind else event.value, line)

    def _awaits_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1][0], dict) and self.open[-1][1] is None

    def enter(self, container: _Container, line: int) -> None:
        if len(self.open) >= self.most_levels:
            raise Unreadable(f"nested deeper than {self.most_levels} levels", line)
        if self._awaits_key():
            raise Unreadable("a key must be text", line)
        self.put(container, line)
        self.open.append((container, None))


def _build(loader: yaml.CSafeLoader, most_levels: int) -> Value:
    builder = _Builder(loader, most_levels)
    documents = 0
    while loader.check_event():
        event: Any = loader.get_event()
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise Unreadable("aliases (*name) are not accepted; quote text that begins with *", line)
        if getattr(event, "anchor", None) is not None:
            raise Unreadable("anchors (&name) are not accepted; quote text that begins with &", line)
        if getattr(event, "tag", None) is not None:
            raise Unreadable("tags (!name) are not accepted; quote text that begins with !", line)
        if isinstance(event, yaml.ScalarEvent):
            builder.scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent):
            builder.enter({}, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            builder.enter([], line)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            builder.open.pop()
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise Unreadable("more than one YAML document", line)
    return builder.root
