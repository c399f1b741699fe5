"""What every value must be before anything is touched."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.profile import ID_PATTERN

PROMPT_BYTES: Final = 8 * 1024 * 1024
"""The agent's command line takes 9 MB by stream-json and refuses 10; the frame around it needs room too."""

TITLE_CHARACTERS: Final = 300
PRIORITY: Final = 1_000_000
ATTEMPTS: Final = 100
LATEST: Final = 32_503_680_000.0
"""The year 3000, in Unix seconds: what is later was given in milliseconds by mistake."""
LABELS: Final = 64
LABEL_CHARACTERS: Final = 256
LABEL: Final = r"\S{1,64}"
"""A label of a worker; the settings have the same pattern."""
TOKENS: Final = 10**15


def check_id(value: str, field: str) -> str:
    """An id of a profile, project or server. Raises InvalidInput."""
    if not re.fullmatch(ID_PATTERN, value):
        raise InvalidInput(
            f"{field} must be 1 to 64 lower-case letters, digits, dots, hyphens or underscores, the first a "
            f"letter or digit, got {value[:80]!r}",
            field=field,
        )
    return value


def check_title(value: str, field: str = "title") -> str:
    title = " ".join(storable(value, field).split())
    if not title:
        raise InvalidInput(f"{field} must not be empty", field=field)
    if len(title) > TITLE_CHARACTERS:
        raise InvalidInput(
            f"{field} must have at most {TITLE_CHARACTERS} characters, got {len(title)}", field=field
        )
    return title


def check_text(value: str, field: str, *, most: int) -> str:
    """Some text, of at most so many characters. Raises InvalidInput."""
    if not storable(value, field).strip():
        raise InvalidInput(f"{field} must not be empty", field=field)
    if len(value) > most:
        raise InvalidInput(f"{field} must have at most {most:,} characters, got {len(value):,}", field=field)
    return value


def check_prompt(value: str) -> str:
    if not storable(value, "prompt").strip():
        raise InvalidInput("prompt must not be empty", field="prompt")
    size = len(value.encode())
    if size > PROMPT_BYTES:
        raise InvalidInput(
            f"prompt must be at most {PROMPT_BYTES:,} bytes, got {size:,}; put the text into a file of the "
            "project's repository and name the file in the prompt",
            field="prompt",
        )
    return value


def check_number(
    value: float | None, field: str, *, least: float | None = None, most: float | None = None
) -> None:
    """A number within its bounds; `None` passes. `least` of `None` means more than zero."""
    if value is None:
        return
    too_small = value <= 0 if least is None else value < least
    if too_small or (most is not None and value > most) or value != value or value in (float("inf"),):
        low = "more than 0" if least is None else f"at least {least:,.0f}"
        high = "" if most is None else f" and at most {most:,.0f}"
        raise InvalidInput(f"{field} must be {low}{high}, got {value}", field=field)


def check_labels(labels: Mapping[str, str]) -> dict[str, str]:
    if len(labels) > LABELS:
        raise InvalidInput(f"labels must be at most {LABELS}, got {len(labels)}", field="labels")
    for key, value in labels.items():
        where = f"labels.{key[:40]}"
        if not key.strip() or len(key) > LABEL_CHARACTERS or len(value) > LABEL_CHARACTERS:
            raise InvalidInput(
                f"{where}: names and values of labels have 1 to {LABEL_CHARACTERS} characters", field=where
            )
        storable(key, where)
        storable(value, where)
    return dict(labels)


def check_requires(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels that a worker must have, sorted. Raises InvalidInput."""
    wanted = tuple(sorted(set(labels)))
    if len(wanted) > LABELS:
        raise InvalidInput(f"requires must name at most {LABELS} labels, got {len(wanted)}", field="requires")
    for label in wanted:
        if not re.fullmatch(LABEL, label):
            raise InvalidInput(
                f"requires: a label has 1 to 64 characters and no spaces, got {label[:80]!r}",
                field="requires",
            )
        storable(label, "requires")
    return wanted


def storable(value: str, field: str) -> str:
    """Text that every database and the agent's stdin can carry."""
    if "\x00" in value:
        raise InvalidInput(f"{field} must not contain a NUL character", field=field)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{field} must be valid Unicode text", field=field) from None
    return value
