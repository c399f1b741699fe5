"""Values as YAML that says exactly them; pure."""

import re
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z](?:[A-Za-z0-9 _./()'-]*[A-Za-z0-9)])?")
_NULL_WORDS: Final = frozenset({"null"})


def scalar(text: str) -> str:
    """Without quotes where the word can stand for itself; a reader of text takes `true` for the word."""
    plain = _PLAIN.fullmatch(text) and text.casefold() not in _NULL_WORDS
    return text if plain else quoted(text)


def quoted(text: str) -> str:
    """In double quotes, whatever the text is."""

    def escaped(character: str) -> str:
        if character in '"\\':
            return f"\\{character}"
        if character.isprintable():
            return character
        number = ord(character)
        return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"

    return f'"{"".join(map(escaped, text))}"'
