"""Environment of an agent: built from nothing plus what is allowed; pure."""

from collections.abc import Collection, Mapping

MARKER = "ORCHESTRATOR_ATTEMPT"
"""Names the attempt that a process belongs to, so that a later worker can recognise what was left over."""

ALWAYS = ("PATH", "LANG", "LC_ALL", "TZ")
"""Names that are passed on when the worker has them."""

ONLY_BY_NAME = ("GIT_", "CLAUDECODE", "CLAUDE_", "ANTHROPIC_", "ORCHESTRATOR_", "LD_", "PYTHON")
"""Beginnings of names that a pattern in the allow list never matches: they steer git, the agent, the loader
or ourselves, and a value meant for the worker does harm in an agent."""

DEFAULTS = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}

PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Never through a proxy: it would not get there, and the token of an attempt would be the proxy's to read."""


def build_environment(
    *,
    attempt: str,
    home: str,
    tmp: str,
    parent: Mapping[str, str],
    allow: Collection[str] = (),
    extras: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The whole environment of one attempt.

    `allow` names what is passed on from `parent`: exactly, or by a pattern that ends in `*`. `extras` is
    taken as it stands and wins over what is passed on. HOME, TMPDIR and the marker are the attempt's own in
    any case.
    """
    exact = {*ALWAYS, *(entry for entry in allow if not entry.endswith("*"))}
    patterns = tuple(entry[:-1] for entry in allow if entry.endswith("*"))
    passed = {
        name: value
        for name, value in parent.items()
        if name in exact or (name.startswith(patterns) and not name.startswith(ONLY_BY_NAME))
    }
    if PROXIES & passed.keys():
        passed["NO_PROXY"] = ",".join(filter(None, (passed.get("NO_PROXY"), *LOOPBACK)))
    own = {"HOME": home, "TMPDIR": tmp, MARKER: attempt}
    return {**DEFAULTS, **passed, **(extras or {}), **own}
