"""Requests from JSON and results to JSON."""

import json

import pytest

from orchestrator.commands.attempts import ReadMessages
from orchestrator.commands.command import UNCHANGED
from orchestrator.commands.encoding import encode
from orchestrator.commands.projects import CreateProject, ProjectCreated, ProjectDetails
from orchestrator.commands.surface import COMMANDS
from orchestrator.commands.task_views import ListTasks
from orchestrator.commands.tasks import CreateTask, EditTask
from orchestrator.commands.wire import decode, shape
from orchestrator.domain.errors import InvalidInput
from orchestrator.domain.project import CheckoutKind, Project
from orchestrator.domain.task import TaskState


def test_a_request_is_built_from_plain_json() -> None:
    request = decode(
        CreateTask, '{"prompt": "do it", "depends_on": ["abcd"], "labels": {"team": "red"}, "run_at": 5}'
    )
    assert request == CreateTask(prompt="do it", depends_on=("abcd",), labels={"team": "red"}, run_at=5.0)


def test_a_schema_says_what_holds_when_a_field_is_left_out() -> None:
    made, edited = (shape(one).model_json_schema()["properties"] for one in (CreateTask, EditTask))
    assert (made["priority"]["default"], made["depends_on"]["default"]) == (100, [])
    assert made["title"]["default"] is None
    assert "default" not in edited["priority"], "no value leaves it as it is"


def test_words_of_an_enumeration_are_given_as_text() -> None:
    assert decode(ListTasks, {"states": ["READY", "FAILED"]}).states == (TaskState.READY, TaskState.FAILED)
    assert decode(CreateProject, {"id": "acme", "checkout": "worktree"}).checkout is CheckoutKind.WORKTREE


def test_null_clears_and_absent_leaves_as_it_is() -> None:
    request = decode(EditTask, '{"task_id": "abcd", "profile_id": null}')
    assert request.profile_id is None
    assert request.title is UNCHANGED


@pytest.mark.parametrize(
    ("document", "field", "said"),
    [
        ('{"profil_id": "x", "prompt": "p"}', "profil_id", "did you mean 'profile_id'"),
        ('{"zzz": 1}', "zzz", "known: project_id, title, prompt"),
        ('{"priority": "5"}', "priority", "'priority': input should be a valid integer"),
        ('{"priority": 1.5}', "priority", "'priority'"),
        ('{"priority": true}', "priority", "'priority'"),
        ('{"depends_on": "abcd"}', "depends_on", "'depends_on'"),
        ('{"depends_on": ["abcd", 7]}', "depends_on.1", "'depends_on.1'"),
        ('{"labels": {"a": 1}}', "labels.a", "'labels.a'"),
        ('{"run_at": NaN}', "run_at", "'run_at'"),
        ("[1]", None, "must be a JSON object"),
        ("{", None, "must be a JSON object"),
    ],
)
def test_a_wrong_request_names_the_member_and_the_nearest_known(
    document: str, field: str | None, said: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(CreateTask, document)
    assert caught.value.field == field
    assert said in str(caught.value)


def test_a_missing_member_is_named() -> None:
    with pytest.raises(InvalidInput, match="'task_id' is required"):
        decode(ReadMessages, "{}")


def test_a_result_is_plain_json_without_what_is_empty_and_optional() -> None:
    done = ProjectCreated(created="acme", name="Acme", checkout=CheckoutKind.EMPTY)
    assert encode(done) == {"created": "acme", "name": "Acme", "checkout": "empty"}
    assert encode(float("inf")) is None


def test_members_of_an_inline_record_stand_beside_the_others() -> None:
    project = Project(id="acme", name="Acme", created_at=1.0, updated_at=2.0)
    document = encode(ProjectDetails(project=project, tasks={"READY": 2}))
    assert document["id"] == "acme"
    assert document["default_profile_id"] is None
    assert document["tasks"] == {"READY": 2}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_request_has_a_schema_that_refuses_what_it_does_not_know(command: object) -> None:
    schema = shape(command.request).model_json_schema()  # type: ignore[attr-defined]
    assert schema["additionalProperties"] is False
    assert "UNCHANGED" not in json.dumps(schema)
