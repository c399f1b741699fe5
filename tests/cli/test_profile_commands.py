"""Profiles on the command line: written, handed on, checked, brought over from an older configuration."""

from pathlib import Path


def test_a_profile_can_be_added_changed_shown_and_removed(acme, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.md"
    prompt.write_text("You write.\n")
    made = acme("profile", "add", "writer", "--allow", "Read", "--allow", "Raed", "--prompt", f"@{prompt}")
    assert made.code == 0, made.err
    assert "warning: allowed_tools: tool 'Raed' is not known; did you mean 'Read'?" in made.out
    edited = acme("profile", "edit", "writer", "--max-turns", "3", "--clear", "allow", "--json")
    assert edited.json == {"updated": "writer", "fields": ["allowed_tools", "max_turns"]}
    shown = acme("profile", "show", "writer", "--json").json
    assert (shown["allowed_tools"], shown["max_turns"]) == ([], 3)
    assert shown["system_prompt_suffix"] == "You write.\n"
    assert "nothing refers to it any more" in acme("profile", "remove", "writer").out
    assert acme("profile", "show", "writer").code == 3


def test_a_project_can_have_its_own(acme) -> None:
    own = ("coder", "--project", "acme")
    assert acme("profile", "add", *own, "--blank", "--model", "m").code == 0
    assert acme("profile", "edit", *own, "--server", "none").code == 0
    assert "override" in acme("profile", "overrides", "acme").out
    removed = acme("profile", "remove", *own, "--json").json
    assert removed["removed_paths"] == ["projects/acme/agent-types/coder/profile.md"]


def test_wrong_options_are_refused_by_name(acme) -> None:
    assert "clear: 'colour' is not one of" in acme("profile", "edit", "coder", "--clear", "colour").err
    assert "settings must be a JSON object" in acme("profile", "edit", "coder", "--settings", "[]").err
    assert "No fields to update" in acme("profile", "edit", "coder").err


def test_a_profile_goes_out_as_yaml_and_comes_back(acme, tmp_path: Path) -> None:
    acme("profile", "add", "writer", "--name", "Wr\u200diter", "--needs-command", "sh")
    file = tmp_path / "writer.yaml"
    file.write_text(acme("profile", "export", "writer").out)
    taken = acme("profile", "import", str(file), "--id", "copy", "--name", "Copy", "--json").json
    assert (taken["imported"], taken["ready"], taken["already_present"]) == ("copy", True, ["cmd:sh"])
    assert acme("profile", "import", str(file)).code == 4
    assert acme("profile", "import", str(tmp_path / "none.yaml")).code == 2


def test_what_a_profile_needs_decides_the_exit_code(acme) -> None:
    acme("profile", "add", "writer", "--needs-command", "no-such-command")
    checked = acme("profile", "check", "writer")
    assert (checked.code, checked.out) == (1, "Command not found: no-such-command\n")
    installed = acme("profile", "install", "writer", "--json")
    assert (installed.code, installed.json["manual"]) == (1, ["cmd:no-such-command"])


def test_an_older_configuration_is_brought_over_once(cli, home: Path, tmp_path: Path) -> None:
    old = tmp_path / "config.yaml"
    old.write_text("agent_profiles: {mine: {name: Mine, model: m}}\n")
    planned = cli("migrate", "--from-config", str(old), "--dry-run")
    assert planned.code == 0, planned.err
    done = cli("migrate", "--from-config", str(old), "--json").json
    assert [step["path"] for step in done["steps"]] == ["agent-types/mine/profile.md"]
    assert cli("profile", "show", "mine", "--json").json["model"] == "m"
    told = cli("migrate", "--report").out
    assert "profile mine, from the configuration" in told
    assert "nothing is left to do" in told


def test_profiles_in_our_own_configuration_are_no_unknown_key_and_are_not_shown(cli, home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "config.yaml").write_text("agent_profiles: {mine: {description: canary}}\n")
    shown = cli("config", "show")
    assert shown.code == 0, shown.err
    assert "canary" not in shown.out
    assert "agent-types/mine/profile.md" in cli("migrate").out


def test_a_new_home_says_before_what_it_will_take_from_its_configuration(cli, tmp_path: Path) -> None:
    home = tmp_path / "new-home"
    home.mkdir()
    (home / "config.yaml").write_text("agent_profiles: {mine: {model: m}, reviewer: {model: theirs}}\n")
    planned = cli("migrate", "--dry-run", "--json", f"--home={home}").json["steps"]
    assert {step["path"] for step in planned} == {
        f"agent-types/{id}/profile.md" for id in ("mine", "reviewer")
    }
    assert not (home / "vault").exists()
    done = cli("migrate", "--json", f"--home={home}").json["steps"]
    assert done == planned
    assert cli("migrate", "--json", f"--home={home}").json["steps"] == []
    assert "reviewer" in cli("migrate", "--report", f"--home={home}").out
