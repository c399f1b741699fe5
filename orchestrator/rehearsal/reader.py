"""YAML (and so JSON) read strictly: every complaint names the field and its line."""

import json
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, NoReturn, TypeVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from orchestrator.domain.errors import InvalidInput

SIZE_LIMIT: Final = 4 << 20
DEPTH_LIMIT: Final = 50
T = TypeVar("T")


class ScriptInvalid(InvalidInput):
    """The script is not valid; correct the named field."""


class _Loader(yaml.SafeLoader):
    """No aliases, no merge keys, no dates: what is written is what is meant."""

    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not supported", problem_mark=self.get_mark())
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise yaml.MarkedYAMLError(problem="it is nested too deeply", problem_mark=self.get_mark())
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_REFUSED_TAGS: Final = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag not in _REFUSED_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Field:
    """A place in a document, and what stands there."""

    def __init__(self, node: Node, path: str, source: str) -> None:
        self._node = node
        self._source = source
        self.path = path

    def fail(self, complaint: str) -> NoReturn:
        """Raise ScriptInvalid for this place."""
        where = f"{self._source}, line {self._node.start_mark.line + 1}"
        raise ScriptInvalid(f"{where}: {self.path or 'the script'} {complaint}", field=self.path or None)

    def fields(self, *known: str) -> dict[str, "Field"]:
        """The entries of a mapping whose keys must be among these."""
        entries = self.entries()
        for key, field in entries.items():
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
                field.fail(f"is not a known key; {hint}")
        return entries

    def entries(self) -> dict[str, "Field"]:
        """The entries of a mapping, whatever their keys. A key given twice is an error."""
        if not isinstance(self._node, MappingNode):
            self.fail("must be a mapping")
        entries: dict[str, Field] = {}
        for key, value in self._node.value:
            name = str(key.value)
            path = f"{self.path}.{name}" if self.path else name
            field = Field(value, path, self._source)
            if name in entries:
                field.fail("is given twice")
            entries[name] = field
        return entries

    def items(self) -> Iterator["Field"]:
        if not isinstance(self._node, SequenceNode):
            self.fail("must be a list")
        for index, node in enumerate(self._node.value):
            yield Field(node, f"{self.path}[{index}]", self._source)

    def is_scalar(self) -> bool:
        return isinstance(self._node, ScalarNode)

    def text(self) -> str:
        return self._of(str, "must be a text; put it in quotes")

    def truth(self) -> bool:
        return self._of(bool, "must be true or false")

    def whole(self, least: int = 0, most: int = 1 << 53) -> int:
        value = self._of(int, "must be a whole number")
        if isinstance(value, bool) or not least <= value <= most:
            self.fail(f"must be a whole number from {least} to {most}")
        return value

    def seconds(self) -> float:
        value = self.value()
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86_400:
            self.fail("must be a number of seconds from 0 to 86400")
        return float(value)

    def texts(self) -> Mapping[str, str]:
        return {key: field.text() for key, field in self.entries().items()}

    def one_of(self, *choices: str) -> str:
        value = self.value()
        if value not in choices:
            self.fail(f"must be one of: {', '.join(choices)}")
        return str(value)

    def value(self) -> Any:
        """What stands there as plain data that JSON can carry."""
        loader = _Loader("")
        try:
            value = loader.construct_object(self._node, deep=True)
            json.dumps(value, allow_nan=False)
        except (yaml.YAMLError, ValueError, TypeError) as error:
            self.fail(f"is not plain data: {getattr(error, 'problem', None) or error}")
        finally:
            loader.dispose()
        return value

    def _of(self, kind: type[T], complaint: str) -> T:
        value = self.value()
        if not isinstance(value, kind):
            self.fail(complaint)
        return value


def document(text: str, source: str) -> Field:
    """The root of a document. Raises ScriptInvalid with the line when it is not YAML."""
    if len(text) > SIZE_LIMIT:
        raise ScriptInvalid(f"{source}: the script is larger than {SIZE_LIMIT >> 20} MiB; make it smaller")
    try:
        node: Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ScriptInvalid(f"{source}{line}: not valid YAML or JSON: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ScriptInvalid(f"{source}: not valid YAML or JSON: {error}") from error
    if node is None:
        raise ScriptInvalid(f"{source}: the script is empty; give it `replies:` or `rules:`")
    return Field(node, "", source)


def optional(entries: Mapping[str, Field], key: str, read: Callable[[Field], T], otherwise: T) -> T:
    """What `read` makes of an entry, or `otherwise` when it is not there."""
    return read(entries[key]) if key in entries else otherwise
