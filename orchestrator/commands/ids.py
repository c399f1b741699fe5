"""Ids of tasks: short, in order of creation, readable aloud."""

from typing import Final

from orchestrator.domain.errors import InvalidInput

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o or u."""

EPOCH: Final = 1_577_836_800.0
"""2020-01-01 UTC; eight characters of milliseconds from there last until the end of 2054."""

LENGTH: Final = 16
SHORTEST: Final = 4
"""Characters of an id that a person must give at least."""

_MISREAD: Final = str.maketrans({"o": "0", "i": "1", "l": "1", "-": None})


def new_id(now: float, random: int) -> str:
    """Eight characters of time and eight of chance: ids sort by the millisecond they were made in."""
    milliseconds = max(0, round((now - EPOCH) * 1000))
    return _digits(milliseconds, LENGTH // 2) + _digits(random, LENGTH // 2)


def fragment(text: str, *, field: str = "task_id") -> str:
    """The id, or its beginning or end, as given by a person: case and look-alikes forgiven.
    Raises InvalidInput when it cannot be one."""
    wanted = text.strip().lower().translate(_MISREAD)
    if not SHORTEST <= len(wanted) <= LENGTH or any(letter not in ALPHABET for letter in wanted):
        raise InvalidInput(
            f"{field} must be the id of a task, or at least {SHORTEST} characters of its beginning or end, "
            f"got {text[:40]!r}",
            field=field,
        )
    return wanted


def _digits(value: int, count: int) -> str:
    digits = []
    for _ in range(count):
        value, digit = divmod(value, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
