"""Settings: precedence, origins, masks and errors that name key and place."""

from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigurationError
from orchestrator.settings import Loaded, load


def loaded(home: Path, config: str = "", **environment: str) -> Loaded:
    (home / "config.yaml").write_text(config, encoding="utf-8")
    return load(environment={"ORCHESTRATOR_HOME": str(home), **environment})


def test_each_source_wins_over_the_one_before_it(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "worker__slots").write_text("3\n")
    (tmp_path / "config.yaml").write_text("worker: {slots: 2, poll_seconds: 9}\n")
    environment = {"ORCHESTRATOR_HOME": str(tmp_path)}
    assert load(environment=environment).settings.worker.slots == 2
    environment["ORCHESTRATOR_SECRETS_DIR"] = str(secrets)
    assert load(environment=environment).settings.worker.slots == 3
    environment["ORCHESTRATOR_WORKER__SLOTS"] = "4"
    assert load(environment=environment).settings.worker.slots == 4
    last = load(environment=environment, overrides={"worker.slots": 5})
    assert last.settings.worker.slots == 5
    assert last.settings.worker.poll_seconds == 9


def test_every_value_says_where_it_came_from(tmp_path: Path) -> None:
    found = loaded(tmp_path, "worker: {slots: 2}\n", ORCHESTRATOR_LOG__LEVEL="debug")
    rows = {key: (value, origin) for key, value, origin in found.rows()}
    assert rows["worker.slots"] == ("2", str(tmp_path / "config.yaml"))
    assert rows["log.level"] == ("debug", "environment")
    assert rows["worker.lease_seconds"] == ("30.0", "default")


def test_a_secret_is_used_and_never_shown(tmp_path: Path) -> None:
    found = loaded(tmp_path, ANTHROPIC_API_KEY="canary-key")
    assert found.settings.claude.api_key is not None
    assert found.settings.claude.api_key.get_secret_value() == "canary-key"
    assert "canary-key" not in f"{list(found.rows())}{found}"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            "worker:\n  slot: 3\n",
            r"config.yaml, line 2: unknown key worker.slot; did you mean worker.slots\?",
        ),
        ("wrker: {}\n", r"line 1: unknown key wrker; did you mean worker\?"),
        ("worker:\n  slots: many\n", "line 2: worker.slots: .*integer"),
        ("worker:\n  slots: 0\n", "line 2: worker.slots: .*greater than or equal to 1"),
        ("- worker\n", "must be a mapping"),
        ("log:\n  level: info\nworker: {slots: [\n", "config.yaml, line 4: not valid YAML: expected"),
    ],
)
def test_a_wrong_key_is_named_with_its_place(tmp_path: Path, config: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        loaded(tmp_path, config)


def test_an_unknown_variable_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ORCHESTRATOR_WORKER__SLOT; did you mean .*__SLOTS\?"):
        loaded(tmp_path, ORCHESTRATOR_WORKER__SLOT="3")


def test_a_wrong_value_in_a_variable_is_said_to_come_from_the_environment(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"environment: worker\.slots"):
        loaded(tmp_path, ORCHESTRATOR_WORKER__SLOTS="many")


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("WORKER__LABELS", "gpu", """WORKER__LABELS='["gpu"]'"""),
        ("POLICY__DENIED_TOOLS", "Bash, Edit", """DENIED_TOOLS='["Bash", "Edit"]'"""),
        ("WORKER__LABELS", "[gpu]", """WORKER__LABELS='["a", "b"]'"""),
        ("WORKER", "slots=4 canary", """ORCHESTRATOR_WORKER='{"key": "value"}'"""),
    ],
)
def test_a_list_that_is_not_json_in_a_variable_is_named_with_what_to_write(
    tmp_path: Path, name: str, value: str, wanted: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, ORCHESTRATOR_LOG__LEVEL="debug", **{f"ORCHESTRATOR_{name}": value})
    assert wanted in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_file_in_the_home_that_is_not_read_is_known(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    home = tmp_path / ".local/state/orchestrator"
    home.mkdir(parents=True)
    assert load(environment=environment).unread_file is None
    (home / "config.yaml").write_text("worker: {slots: 2}\n")
    found = load(environment=environment)
    assert (found.unread_file, found.settings.worker.slots) == (home / "config.yaml", 4)
    assert load(environment={**environment, "ORCHESTRATOR_HOME": str(home)}).unread_file is None
    assert load(home=home, environment=environment).unread_file is None


def test_an_error_never_repeats_a_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, "claude: {api_key: [canary-key]}\n")
    assert "canary-key" not in str(caught.value)


def test_state_follows_xdg_when_nothing_is_named(tmp_path: Path) -> None:
    found = load(environment={"HOME": str(tmp_path)})
    assert found.settings.home == tmp_path / ".local" / "state" / "orchestrator"
    assert found.config_file == tmp_path / ".config" / "orchestrator" / "config.yaml"
    found = load(environment={"XDG_STATE_HOME": str(tmp_path / "s"), "XDG_CONFIG_HOME": str(tmp_path / "c")})
    assert found.settings.home == tmp_path / "s" / "orchestrator"
    assert found.config_file == tmp_path / "c" / "orchestrator" / "config.yaml"


def test_what_is_kept_without_end_is_null_in_files_and_in_variables(tmp_path: Path) -> None:
    config = "retention: {messages_days: null}\n"
    keep = loaded(tmp_path, config, ORCHESTRATOR_RETENTION__EVENTS_ROWS="null").settings.retention
    assert (keep.messages_days, keep.events_rows, keep.events_days) == (None, None, 30.0)
