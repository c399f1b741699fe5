"""Commands that write profiles: surgical, all or nothing, with references cleared."""

import asyncio
from dataclasses import fields
from pathlib import Path

import pytest

from orchestrator.commands import wire
from orchestrator.commands.encoding import encode
from orchestrator.commands.profile_fields import FIELDS
from orchestrator.commands.profile_write import (
    CreateProfile,
    DeleteProfile,
    EditProfile,
    create_profile,
    delete_profile,
    edit_profile,
)
from orchestrator.commands.profiles import GetProfile, get_profile
from orchestrator.commands.projects import CreateProject, create_project
from orchestrator.commands.tasks import CreateTask, create_task
from orchestrator.commands.vault import SyncVault, vault_sync
from orchestrator.domain.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from orchestrator.domain.profile import AgentProfile
from orchestrator.store import profiles, projects, tasks
from orchestrator.vault.change import locked

HAND_WRITTEN = (
    "\ufeff---\r\n"
    "# who may do what\r\n"
    "id:   reviewer\r\n"
    "name: Reviewer   # short\r\n"
    "owner: me\r\n"
    "---\r\n"
    "Free text.\r\n\r\n"
    "## role\r\n\r\n  You review.  \r\n\r\n"
    '## Config\r\nWhy.\r\n```json\r\n{ "model" :  "m" ,\r\n  "max_turns": 3 }\r\n```\r\n'
    "## Notes\r\nMine.\r\n"
    '## TOOLS\r\n```json\r\n{"allowed": ["Read",\r\n   "Grep"]}\r\n```\r\n'
).encode()


def path_of(bench, profile_id: str = "reviewer") -> Path:
    return bench.vault / "agent-types" / profile_id / "profile.md"


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def create(bench, **members):
    return bench.do(create_profile, wire.decode(CreateProfile, members))


def edit(bench, **members):
    return bench.do(edit_profile, wire.decode(EditProfile, members))


def shown(bench, profile_id: str = "reviewer"):
    return bench.do(get_profile, GetProfile(profile_id=profile_id))


def test_every_field_of_a_profile_can_be_said() -> None:
    said_in_the_list_of_servers = "optional_servers"
    of_a_profile = {item.name for item in fields(AgentProfile)} - {said_in_the_list_of_servers}
    assert {"id", *FIELDS} == of_a_profile


def test_a_new_profile_is_a_document_and_holds_at_once(bench) -> None:
    done = create(
        bench,
        id="writer",
        name="Writer",
        description="Writes: text",
        tags=["a"],
        model="claude-sonnet-5-5",
        permission_mode="plan",
        allowed_tools=["Read", "mcp__agent-queue__create_task"],
        denied_tools=["WebFetch"],
        system_prompt_suffix="You write.\n",
        max_turns=5,
        max_budget_usd=1,
        settings={"effort": "high"},
        install={"npm": ["eslint-mcp"], "commands": ["npx"]},
    )
    assert encode(done) == {"created": "writer", "name": "Writer"}
    found = shown(bench, "writer")
    assert found.allowed_tools == ("Read", "create_task")
    assert found.system_prompt_suffix == "You write.\n"
    assert found.install == {"npm": ["eslint-mcp"], "commands": ["npx"]}
    assert (found.max_turns, found.max_budget_usd, found.permission_mode) == (5, 1.0, "plan")
    assert path_of(bench, "writer").read_text().startswith("---\nid: writer\n")


def test_unknown_tools_and_servers_are_warned_about_and_kept(bench) -> None:
    done = create(bench, id="w", name="W", allowed_tools=["Raed"], mcp_servers=["lint"])
    assert done.warnings == (
        "allowed_tools: tool 'Raed' is not known; did you mean 'Read'?",
        "mcp_servers: 'lint' is not in the registry",
    )
    assert shown(bench, "w").allowed_tools == ("Raed",)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"id": "../x", "name": "X"}, "id must be 1 to 64"),
        ({"id": "x", "name": " "}, "name must not be empty"),
        ({"id": "x", "name": "X", "max_turns": 0}, "max_turns must be a positive number"),
        ({"id": "x", "name": "X", "permission_mode": "yolo"}, "permission_mode.* is not one of claude's"),
        ({"id": "x", "name": "X", "denied_tools": ["Bsah"]}, "denied_tools: tool 'Bsah' is not known"),
        ({"id": "x", "name": "X", "allowed_tools": ["Bash(rm *)"]}, "allowed_tools: .*wildcard"),
        ({"id": "x", "name": "X", "allowed_tools": ["Read", " "]}, r"allowed_tools\[1\] must be a non-empty"),
        (
            {"id": "x", "name": "X", "mcp_servers": ["../x"]},
            "mcp_servers: '../x' is not the name of a server",
        ),
        ({"id": "x", "name": "X", "harness": "cluade"}, "harness 'cluade' is not one of .*'claude'"),
        ({"id": "x", "name": "X", "install": {"npm": ["https://x/y.tgz"]}}, "install: npm: .* plain package"),
        ({"id": "x", "name": "X", "install": {"pip": "ruff"}}, "install: pip must be a list"),
        ({"id": "x", "name": "X", "system_prompt_suffix": "x" * 4001}, "4001 characters"),
        ({"id": "x", "name": "X", "model": "a\u0000b"}, "NUL"),
        ({"id": "x", "name": "X", "tags": [" "]}, "tags must not be empty"),
        ({"id": "x", "name": "X", "color": "red"}, "unknown field 'color'"),
    ],
)
def test_what_is_wrong_is_refused_and_leaves_no_trace(bench, members, message: str) -> None:
    before, said = tree(bench.vault), bench.kinds()
    with pytest.raises(InvalidInput, match=message):
        create(bench, **members)
    assert (tree(bench.vault), bench.kinds()) == (before, said)


def test_an_id_or_a_name_that_is_taken_already_exists(bench) -> None:
    before = tree(bench.vault)
    with pytest.raises(AlreadyExists, match="profile reviewer already exists"):
        create(bench, id="reviewer", name="Other")
    with pytest.raises(AlreadyExists, match="'Reviewer' already exists: it is that of profile reviewer"):
        create(bench, id="other", name="Reviewer")
    assert tree(bench.vault) == before


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        ({"model": "n"}, b'"model" :  "m"', b'"model" :  "n"'),
        ({"model": None}, b'"model" :  "m" ,\r\n  ', b""),
        ({"model": ""}, b'"model" :  "m" ,\r\n  ', b""),
        ({"model": "(default)"}, b'"model" :  "m" ,\r\n  ', b""),
        ({"allowed_tools": "none"}, b'["Read",\r\n   "Grep"]', b'"none"'),
        ({"denied_tools": ["Bash"]}, b'"Grep"]}', b'"Grep"], "denied": ["Bash"]}'),
        ({"max_turns": 4}, b'"max_turns": 3', b'"max_turns": 4'),
        ({"description": "d"}, b"owner: me\r\n", b"owner: me\r\ndescription: d\r\n"),
        ({"install": {"pip": ["ruff"]}}, None, b'\r\n## Install\r\n```json\r\n{"pip": ["ruff"]}\r\n```\r\n'),
    ],
    ids=str,
)
def test_an_edit_changes_only_what_it_names(bench, change, before, after) -> None:
    path_of(bench).write_bytes(HAND_WRITTEN)
    done = edit(bench, profile_id="reviewer", **change)
    assert encode(done) == {"updated": "reviewer", "fields": list(change)}
    wanted = HAND_WRITTEN + after if before is None else HAND_WRITTEN.replace(before, after)
    assert path_of(bench).read_bytes() == wanted


@pytest.mark.parametrize(
    "suffix", ["x", "  x\n\n", "## Role\nA\n\n## Rules\n- b", "```\n## Tools\n```\n", "é\t"]
)
def test_a_prompt_comes_back_byte_for_byte(bench, suffix: str) -> None:
    path_of(bench).write_bytes(HAND_WRITTEN)
    edit(bench, profile_id="reviewer", system_prompt_suffix=suffix)
    assert shown(bench).system_prompt_suffix == suffix
    edit(bench, profile_id="reviewer", system_prompt_suffix=None)
    assert shown(bench).system_prompt_suffix == ""


def test_an_edit_without_fields_is_refused(bench) -> None:
    with pytest.raises(InvalidInput, match="No fields to update"):
        edit(bench, profile_id="reviewer")


def test_an_edit_of_what_is_not_there_is_not_found(bench) -> None:
    with pytest.raises(NotFound, match="profile nobody not found"):
        edit(bench, profile_id="nobody", model="m")


def test_a_document_that_cannot_be_used_is_left_as_it_is(bench) -> None:
    path_of(bench).write_text("---\nname: [\n---\n")
    before = tree(bench.vault)
    with pytest.raises(Conflict, match="cannot be used as it is; correct it first"):
        edit(bench, profile_id="reviewer", model="m")
    assert tree(bench.vault) == before


def test_a_name_that_is_taken_leaves_the_document_as_it_was(bench) -> None:
    create(bench, id="writer", name="Writer")
    before = tree(bench.vault)
    with pytest.raises(AlreadyExists, match="name"):
        edit(bench, profile_id="writer", name="Reviewer")
    assert tree(bench.vault) == before


def test_what_the_look_at_the_vault_turns_away_is_put_back(bench) -> None:
    """The name is taken by a document that the database does not know yet."""
    path_of(bench, "a").parent.mkdir()
    path_of(bench, "a").write_text("---\nname: Taken\n---\n")
    with pytest.raises(InvalidInput, match="the name 'Taken' is that of the profile 'a' already"):
        create(bench, id="b", name="Taken")
    assert not path_of(bench, "b").parent.exists()


def test_a_link_out_of_the_vault_is_not_followed(bench, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (bench.vault / "agent-types" / "out").symlink_to(tmp_path / "outside")
    with pytest.raises(Conflict, match="links out of the vault"):
        create(bench, id="out", name="Out")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_deleted_profile_leaves_no_reference(bench) -> None:
    bench.do(create_project, CreateProject(id="acme", default_profile_id="reviewer"))
    made = bench.do(create_task, CreateTask(project_id="acme", prompt="p", profile_id="reviewer"))
    done = bench.do(delete_profile, DeleteProfile(profile_id="reviewer"))
    assert encode(done) == {"deleted": "reviewer", "name": "Reviewer"}
    assert not path_of(bench).parent.exists()
    task = bench.database.read_sync(tasks.get, made.created)
    project = bench.database.read_sync(projects.get, "acme")
    assert (task.profile_id, project.default_profile_id) == (None, None)
    assert bench.database.read_sync(profiles.get_profile, "reviewer") is None
    assert bench.kinds().count("profile.removed") == 1
    assert bench.do(vault_sync, SyncVault()).removed == ()


def test_a_profile_whose_file_is_gone_already_can_still_be_deleted(bench) -> None:
    bench.do(create_project, CreateProject(id="acme", default_profile_id="reviewer"))
    path_of(bench).unlink()
    bench.do(vault_sync, SyncVault())
    assert bench.do(delete_profile, DeleteProfile(profile_id="reviewer")).deleted == "reviewer"
    assert bench.database.read_sync(projects.get, "acme").default_profile_id is None
    with pytest.raises(NotFound, match="not found"):
        bench.do(delete_profile, DeleteProfile(profile_id="reviewer"))


def test_a_delete_that_fails_puts_the_file_back(bench) -> None:
    before = tree(bench.vault)
    bench.database.close()
    with pytest.raises(Exception, match=r".+"):
        bench.do(delete_profile, DeleteProfile(profile_id="reviewer"))
    assert tree(bench.vault) == before


def test_edits_at_the_same_time_are_all_kept(bench) -> None:
    async def everybody() -> None:
        changes = [{"model": "m"}, {"max_turns": 3}, {"description": "d"}, {"denied_tools": ("Bash",)}]
        await asyncio.gather(
            *(edit_profile(bench.use, EditProfile(profile_id="reviewer", **change)) for change in changes)
        )

    asyncio.run(everybody())
    found = shown(bench)
    assert (found.model, found.max_turns, found.description, found.denied_tools) == ("m", 3, "d", ("Bash",))


def test_a_command_waits_for_the_one_before(bench) -> None:
    async def race() -> list[str]:
        order: list[str] = []
        async with asyncio.TaskGroup() as group, locked(bench.vault):
            second = group.create_task(edit_profile(bench.use, EditProfile(profile_id="reviewer", model="m")))
            second.add_done_callback(lambda _: order.append("second"))
            for _ in range(20):
                await asyncio.sleep(0)
            order.append("first")
        return order

    assert asyncio.run(race()) == ["first", "second"]
