"""Plain package names, and permission modes by harness."""

import pytest

from orchestrator.domain.manifest import PackageKind, is_plain_name
from orchestrator.domain.modes import HARNESSES, MODE_ALIASES, PERMISSION_MODES, canonical_mode, modes_of


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("npm", "eslint"),
        ("npm", "@eslint/mcp"),
        ("npm", "@eslint/mcp@1.2.3-beta.1"),
        ("npm", "eslint@^9.0.0"),
        ("npm", "eslint@latest"),
        ("pip", "ruff"),
        ("pip", "ruff==0.4.1"),
        ("pip", "uvicorn[standard]>=0.30,<1"),
        ("pip", "A.b_c-d~=1.0"),
        ("commands", "npx"),
        ("commands", "g++"),
        ("commands", "python3.11"),
    ],
)
def test_a_plain_name_with_a_version_is_accepted(kind: PackageKind, item: str) -> None:
    assert is_plain_name(kind, item)


@pytest.mark.parametrize("kind", ["npm", "pip", "commands"])
@pytest.mark.parametrize(
    "item",
    [
        "",
        "-x",
        "--target=x",
        "../x",
        "./x",
        "/bin/sh",
        "https://example.com/x.tgz",
        "git+ssh://example.com/x",
        "file:x",
        "x @ https://example.com/x",
        "x; rm",
        "x y",
        "x\n",
        "x$(id)",
        "npm:other",
        "user/repo",
        "x" * 300,
    ],
)
def test_whatever_an_installer_would_take_beyond_that_is_not(kind: PackageKind, item: str) -> None:
    assert not is_plain_name(kind, item)


def test_modes_belong_to_known_harnesses() -> None:
    assert set(PERMISSION_MODES) <= set(HARNESSES)
    assert modes_of("codex") is None
    assert set(modes_of(None) or ()) == {mode for modes in PERMISSION_MODES.values() for mode in modes}


def test_an_alias_is_spelt_as_all_versions_know_it() -> None:
    assert canonical_mode("manual") == "default"
    assert canonical_mode("plan") == "plan"
    assert not set(MODE_ALIASES) & set(modes_of("claude") or ())
