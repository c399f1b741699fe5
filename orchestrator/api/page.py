"""The page of events in the documentation, written from the events themselves.

`python -m orchestrator.api.page docs/events.md` writes what stands between its marks anew.
"""

import sys
from pathlib import Path
from typing import Final

from orchestrator.domain.known_events import KNOWN_EVENTS

BEGIN: Final = "<!-- events: begin -->"
END: Final = "<!-- events: end -->"


def table() -> str:
    """One row for each type of event."""
    rows = ["| type | what happened | data |", "|---|---|---|"]
    for one in KNOWN_EVENTS:
        data = ", ".join([*(f"`{name}`" for name in one.fields), *(f"[`{name}`]" for name in one.sometimes)])
        rows.append(f"| `{one.name}` | {one.meaning} | {data or '-'} |")
    return "\n".join(rows)


def filled(page: str) -> str:
    """The page with its table anew. Raises ValueError where a mark is missing."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the page must hold {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(filled(target.read_text(encoding="utf-8")), encoding="utf-8")
