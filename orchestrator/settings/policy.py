"""Names in the settings that decide what is permitted: a typo there is an error, since it would permit."""

from orchestrator.domain.grants import ANY, is_server_wide, rule
from orchestrator.domain.modes import canonical_mode, modes_of
from orchestrator.domain.tools import BadToolName, check_name, unknown_tool_message, validate_tool_names


def checked_allowed(name: str) -> str:
    """A known tool, or `mcp__<server>__*` for all tools of a server. Raises ValueError."""
    return name if is_server_wide(rule(name)) else _known(name)


def checked_denied(name: str) -> str:
    """A known tool, or any beginning of names with `*` at its end. Raises ValueError."""
    if is_server_wide(rule(name)):
        return name
    if name.endswith(ANY) and len(name) > 1:
        _exact(name.removesuffix(ANY) + "x")
        return name
    return _known(name)


def checked_mode(mode: str, harness: str | None = None) -> str:
    """A permission mode of that harness, or of any. Raises ValueError."""
    modes = modes_of(harness) or ()
    if canonical_mode(mode) not in modes:
        raise ValueError(f"permission mode {mode!r} is not known; known are: {', '.join(modes)}")
    return canonical_mode(mode)


def _known(name: str) -> str:
    _exact(name)
    if validate_tool_names([name]):
        raise ValueError(unknown_tool_message(name))
    return name


def _exact(name: str) -> None:
    try:
        check_name(name)
    except BadToolName as error:
        raise ValueError(str(error)) from None
