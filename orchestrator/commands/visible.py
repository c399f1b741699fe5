"""Text of agents and tasks, made safe to show: what cannot be seen becomes a mark that can."""

import unicodedata
from typing import Final

_KEPT: Final = frozenset("\n\t")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Controls, format characters (bidi, zero width, tags), private use, lone surrogates, separators of lines."""
_BLANK: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u180b\u180c\u180d\u17b4\u17b5")
"""Letters and marks that are drawn as nothing at all."""


def visible(text: str) -> str:
    """The text with each character that would move the cursor, turn the reading order or hide replaced.

    C0 controls become their pictures (␛ for escape), everything else its code point, such as ⟨U+202E⟩.
    Line feeds and tabs stay; a carriage return before a line feed is dropped.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_mark, text.replace("\r\n", "\n")))


def one_line(text: str, limit: int = 200) -> str:
    """The same on one line of at most `limit` characters, cut with an ellipsis."""
    line = " ".join(visible(text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _mark(character: str) -> str:
    if character in _KEPT:
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if unicodedata.category(character) in _INVISIBLE or character in _BLANK or _is_selector(code):
        return f"⟨U+{code:04X}⟩"
    return character


def _is_selector(code: int) -> bool:
    """Variation selectors, which can carry hidden bytes. The one that asks for emoji (FE0F) stays."""
    return 0xFE00 <= code <= 0xFE0E or 0xE0100 <= code <= 0xE01EF
