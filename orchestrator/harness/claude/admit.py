"""What is refused before anything runs; pure."""

from orchestrator.domain.context import TaskContext
from orchestrator.domain.errors import StartRefused
from orchestrator.domain.grants import ANY, is_server_wide, rule
from orchestrator.domain.modes import modes_of
from orchestrator.domain.tools import BadToolName, check_name
from orchestrator.harness.claude.config import HARNESS, ClaudeAdapterConfig
from orchestrator.harness.claude.environment import may_bypass
from orchestrator.harness.claude.settings import problems

PROMPT_LIMIT = 8 << 20
"""Bytes of a prompt. 2 MiB arrives complete; the command line itself gives up at 10 MB."""


def check(config: ClaudeAdapterConfig, context: TaskContext) -> None:
    """Raises StartRefused, saying what to correct, for what the command line would take silently or
    differently."""
    effective = config.effective
    modes = modes_of(HARNESS) or ()
    if effective.permission_mode not in modes:
        raise StartRefused(
            f"permission_mode {effective.permission_mode!r} is not known; known are: {', '.join(modes)}."
        )
    if effective.permission_mode == "bypassPermissions" and not may_bypass(config):
        missing = " and ".join(
            [
                *([] if config.allow_bypass else ["the policy to allow it"]),
                *([] if config.sandboxed else ["a sandbox around the agents"]),
            ]
        )
        raise StartRefused(
            f"Profile {effective.profile_id} asks for bypassPermissions, which also needs {missing}. "
            "Choose another mode, or set both where the worker is configured."
        )
    _check_words(config)
    found = problems(effective.settings)
    if found:
        raise StartRefused(f"Profile {effective.profile_id}: {'; '.join(found)}.")
    size = len(context.prompt.encode("utf-8", "surrogatepass"))
    if size > PROMPT_LIMIT:
        raise StartRefused(
            f"The prompt has {size} bytes and {PROMPT_LIMIT} are possible; put the material into files of "
            "the checkout."
        )


def _check_words(config: ClaudeAdapterConfig) -> None:
    effective = config.effective
    if not effective.model.strip() or effective.model.startswith("-"):
        raise StartRefused(f"model {effective.model!r} is not a name; give the full name of a model.")
    for name in (*effective.allowed_tools, *effective.denied_tools):
        patterned = rule(name).endswith(ANY) and (
            is_server_wide(rule(name)) or name in effective.denied_tools
        )
        try:
            check_name(name.removesuffix(ANY) + "x" if patterned else name)
        except BadToolName as error:
            raise StartRefused(f"Profile {effective.profile_id}: {error}.") from error
    for directory in config.added_directories:
        if not directory.startswith("/"):
            raise StartRefused(f"Added directory {directory!r} is not absolute; write it from the root.")
