"""Where secrets come from, in which order, and what is never given."""

import sys
from pathlib import Path
from types import MappingProxyType

import pytest
from structlog.testing import capture_logs

from orchestrator.settings.secrets import KEYRING_SERVICE, Secrets, directory_of, system_keyring

CREDENTIALS = ("ANTHROPIC_API_KEY",)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    place = tmp_path / "secrets"
    place.mkdir()
    (place / "TOKEN").write_text("from a file\n")
    (place / "notes.txt").write_text("not one")
    return place


def secrets(directory: Path | None = None, **options: object) -> Secrets:
    arguments = {"given": {}, "environment": {}, "credentials": CREDENTIALS, **options}
    return Secrets(directory=directory, **arguments)  # type: ignore[arg-type]  # the caller's


def test_settings_come_before_files_before_the_environment_before_a_keyring(directory: Path) -> None:
    asked: list[str] = []

    def keyring(name: str) -> str | None:
        asked.append(name)
        return {"RING": "from the keyring"}.get(name)

    environment = {"TOKEN": "hidden", "ONLY_HERE": "from the environment", "GIVEN": "hidden"}
    found = secrets(directory, given={"GIVEN": "set"}, environment=environment, keyring=keyring)
    assert found["GIVEN"] == "set"
    assert found["TOKEN"] == "from a file"
    assert found["ONLY_HERE"] == "from the environment"
    assert asked == []
    assert found["RING"] == "from the keyring"
    assert "NOWHERE" not in found
    assert asked == ["RING", "NOWHERE"]


def test_a_file_that_changes_counts_at_once(directory: Path) -> None:
    found = secrets(directory)
    assert found["TOKEN"] == "from a file"
    (directory / "TOKEN").write_text("another")
    assert found["TOKEN"] == "another"
    (directory / "TOKEN").unlink()
    assert "TOKEN" not in found


def test_the_whole_environment_is_not_listed(directory: Path) -> None:
    environment = {"HOME": "/root", "ANTHROPIC_API_KEY": "key"}
    assert set(secrets(directory, environment=environment)) == {"TOKEN", "ANTHROPIC_API_KEY"}


def test_settings_that_are_kept_among_the_secrets_are_none(directory: Path) -> None:
    (directory / "database__url").write_text("postgresql://u:p@h/d")
    found = secrets(directory)
    assert "database__url" not in found
    assert set(found) == {"TOKEN"}


def test_variables_of_this_program_are_no_secrets_of_a_server() -> None:
    environment = {"ORCHESTRATOR_DATABASE__URL": "postgresql://u:p@h/d"}
    assert "ORCHESTRATOR_DATABASE__URL" not in secrets(environment=environment)


def test_what_is_withheld_comes_from_nowhere_but_the_settings(directory: Path) -> None:
    (directory / "ANTHROPIC_API_KEY").write_text("real")
    options = {"environment": {"ANTHROPIC_API_KEY": "real"}, "withheld": CREDENTIALS}
    assert "ANTHROPIC_API_KEY" not in secrets(directory, **options)
    assert secrets(directory, given={"ANTHROPIC_API_KEY": "x"}, **options)["ANTHROPIC_API_KEY"] == "x"


@pytest.mark.parametrize("name", ["../TOKEN", "a/b", "notes.txt", ""])
def test_a_name_is_no_path(directory: Path, name: str) -> None:
    assert name not in secrets(directory)


def test_a_file_that_is_no_text_is_said_without_its_content(directory: Path) -> None:
    (directory / "BAD").write_bytes(b"\xff\xfe\x00")
    with capture_logs() as lines:
        assert "BAD" not in secrets(directory)
    assert lines == [
        {"event": "secret.unreadable", "log_level": "warning", "name": "BAD", "error": "UnicodeDecodeError"}
    ]


def test_they_are_not_shown_when_printed(directory: Path) -> None:
    assert "from a file" not in repr(secrets(directory))


def test_the_directory_of_the_service_manager_comes_first(tmp_path: Path) -> None:
    assert directory_of({"CREDENTIALS_DIRECTORY": "/run/x"}, tmp_path) == Path("/run/x")
    assert directory_of({}, tmp_path) == tmp_path


def test_a_keyring_is_asked_by_our_service_and_one_that_is_locked_has_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the package's own kind of backend, where it is installed."""
    keyring = pytest.importorskip("keyring")

    class InMemory(keyring.backend.KeyringBackend):  # type: ignore[misc, name-defined]  # optional
        priority = 1
        kept = MappingProxyType(
            {(KEYRING_SERVICE, "RING"): "from the keyring", ("other", "ELSE"): "not ours"}
        )

        def get_password(self, service: str, username: str) -> str | None:
            if username == "LOCKED":
                raise keyring.errors.KeyringLocked("somebody has to unlock it")
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            raise AssertionError("nothing is ever written")

    monkeypatch.setattr(keyring.core, "_keyring_backend", InMemory())
    found = secrets(keyring=system_keyring())
    assert found["RING"] == "from the keyring"
    assert "ELSE" not in found
    assert "LOCKED" not in found


def test_without_the_package_there_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert system_keyring() is None


def test_a_keyring_is_loaded_with_the_first_name_that_is_nowhere_else(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packages" / "keyring"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from . import errors\n"
        "def get_password(service, name):\n"
        "    if name == 'LOCKED':\n"
        "        raise errors.KeyringError\n"
        "    return {('orchestrator', 'RING'): 'from the keyring'}.get((service, name))\n"
    )
    (package / "errors.py").write_text("class KeyringError(Exception): pass\n")
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    monkeypatch.delitem(sys.modules, "keyring.errors", raising=False)
    monkeypatch.syspath_prepend(package.parent)
    found = secrets(directory, keyring=system_keyring())
    assert found["TOKEN"] == "from a file"
    assert "keyring" not in sys.modules
    assert found["RING"] == "from the keyring"
    assert "LOCKED" not in found
    for name in ("keyring", "keyring.errors"):
        monkeypatch.delitem(sys.modules, name)
