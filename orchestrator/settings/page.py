"""The settings page of the documentation, written from the settings themselves.

`python -m orchestrator.settings.page docs/settings.md` writes the table between its two marks anew.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from orchestrator.settings.schema import Settings

BEGIN: Final = "<!-- settings: begin -->"
END: Final = "<!-- settings: end -->"


def table() -> str:
    """One row for each key: name, variable, default, meaning."""
    rows = ["| key in config.yaml | variable | default | meaning |", "|---|---|---|---|"]
    for key, info in _fields(Settings):
        variable = "ORCHESTRATOR_" + key.upper().replace(".", "__")
        rows.append(f"| `{key}` | `{variable}` | {_default(info)} | {info.description} |")
    return "\n".join(rows)


def with_table(page: str) -> str:
    """The page with the table between its marks replaced. Raises ValueError where a mark is missing."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the page must hold {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _fields(info.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", info


def _default(info: FieldInfo) -> str:
    if info.default_factory is not None or info.is_required():
        return "of the host"
    value: Any = info.default
    if value is None or value == ():
        return "none (secret)" if SecretStr in get_args(info.annotation) else "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(with_table(target.read_text(encoding="utf-8")), encoding="utf-8")
