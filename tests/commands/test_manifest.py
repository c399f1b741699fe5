"""Commands that check and install what a profile needs."""

import pytest

from orchestrator.commands.encoding import encode
from orchestrator.commands.manifest import CheckProfile, InstallProfile, check_profile, install_profile
from orchestrator.commands.profile_write import EditProfile, edit_profile
from orchestrator.domain.errors import NotFound


def needs(bench, **lists: tuple[str, ...]) -> None:
    bench.do(edit_profile, EditProfile(profile_id="reviewer", install=lists))


def test_a_profile_that_needs_nothing_is_ready(bench) -> None:
    checked = bench.do(check_profile, CheckProfile(profile_id="reviewer"))
    assert encode(checked) == {"profile_id": "reviewer", "valid": True, "issues": [], "manifest": {}}
    done = bench.do(install_profile, InstallProfile(profile_id="reviewer"))
    assert encode(done) == {
        "profile_id": "reviewer",
        "installed": [],
        "already_present": [],
        "manual": [],
        "ready": True,
    }


def test_commands_are_looked_for_and_left_for_a_person(bench) -> None:
    needs(bench, commands=("sh", "no-such-command"))
    checked = bench.do(check_profile, CheckProfile(profile_id="reviewer"))
    assert (checked.valid, checked.issues) == (False, ("Command not found: no-such-command",))
    assert checked.manifest == {"commands": ["sh", "no-such-command"]}
    done = bench.do(install_profile, InstallProfile(profile_id="reviewer"))
    assert (done.already_present, done.manual, done.ready) == (("cmd:sh",), ("cmd:no-such-command",), False)


@pytest.mark.parametrize("handler", [check_profile, install_profile])
def test_an_unknown_profile_is_not_found(bench, handler) -> None:
    request = CheckProfile if handler is check_profile else InstallProfile
    with pytest.raises(NotFound, match="profile nobody not found"):
        bench.do(handler, request(profile_id="nobody"))
