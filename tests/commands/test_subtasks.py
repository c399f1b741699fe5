"""Tasks that agents ask for: in their project, among their own, and never more than they are."""

import asyncio
import json
from dataclasses import replace

import pytest

from orchestrator.commands import subtasks
from orchestrator.commands.agent import AskHuman, ReportProgress, ask_human, report_progress
from orchestrator.commands.answers import AnswerTask, answer_task
from orchestrator.commands.explain import explain_task
from orchestrator.commands.projects import CreateProject, create_project
from orchestrator.commands.task_views import ListTasks, get_task, list_tasks
from orchestrator.commands.tasks import CreateTask, EditTask, NamedTask, create_task, edit_task
from orchestrator.commands.use import Agent, Caller
from orchestrator.domain.errors import Conflict, IllegalTransition, InvalidInput, NotFound, NotPermitted
from orchestrator.domain.outcome import Asked
from orchestrator.domain.profile import SYSTEM_DEFAULT
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS
from orchestrator.store import tasks

OWN = replace(
    CLAUDE_DEFAULTS,
    profile_id="reviewer",
    allowed_tools=("Read", "Grep", "create_task"),
    timeout_seconds=600.0,
    max_budget_usd=2.0,
)


def write_profile(bench, profile_id: str, allowed: list[str]) -> None:
    path = bench.vault / "agent-types" / profile_id / "profile.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    tools = json.dumps({"allowed": allowed})
    path.write_text(f"---\nid: {profile_id}\nname: {profile_id}\n---\n## Tools\n```json\n{tools}\n```\n")


@pytest.fixture
def person(bench):
    bench.do(create_project, CreateProject(id="acme"))
    bench.do(create_project, CreateProject(id="other"))
    for profile_id, allowed in {"less": ["Read"], "more": ["Read", "Bash"]}.items():
        write_profile(bench, profile_id, allowed)
    asyncio.run(bench.use.sync())
    return bench


@pytest.fixture
def parent(person) -> str:
    created = person.do(create_task, CreateTask(project_id="acme", prompt="Plan", priority=50))
    return created.created


@pytest.fixture
def agent(person, parent: str):
    """The bench as the agent of the task sees it."""
    person.begin(parent)
    return as_agent(person, parent)


def as_agent(bench, task_id: str, effective=OWN):
    caller = Agent(task_id=task_id, attempt=1, project_id="acme", effective=effective)
    return replace(bench, use=replace(bench.use, caller=Caller(name="agent", agent=caller)))


def task_of(bench, task_id: str):
    found = bench.database.read_sync(tasks.get, task_id)
    assert found is not None
    return found


def test_it_inherits_profile_project_and_limits(agent, parent: str) -> None:
    made = agent.do(create_task, CreateTask(prompt="Look", priority=1, max_budget_usd=5.0))
    child = task_of(agent, made.created)
    assert (child.project_id, child.profile_id, child.parent_id) == ("acme", "reviewer", parent)
    assert (child.timeout_seconds, child.max_budget_usd) == (600.0, 2.0), "never more than its caller's"
    assert child.priority == 50, "never ahead of its caller's"


def test_a_profile_that_grants_nothing_more_may_be_named(agent) -> None:
    made = agent.do(create_task, CreateTask(prompt="Look", profile_id="less", timeout_seconds=5.0))
    child = task_of(agent, made.created)
    assert (child.profile_id, child.timeout_seconds) == ("less", 5.0)


def test_a_profile_that_grants_more_is_refused_and_says_in_what(agent) -> None:
    with pytest.raises(NotPermitted, match=r"profile more grants more than reviewer.*: allowed_tools"):
        agent.do(create_task, CreateTask(prompt="Look", profile_id="more"))
    assert agent.do(list_tasks, ListTasks()).count == 0


def test_its_own_profile_that_grants_more_by_now_is_refused_too(agent) -> None:
    write_profile(agent, "reviewer", ["Read", "Grep", "Bash"])
    asyncio.run(agent.use.sync())
    with pytest.raises(NotPermitted, match="allowed_tools"):
        agent.do(create_task, CreateTask(prompt="Look"))


def test_a_profile_widened_since_it_was_asked_for_is_what_explain_names(agent, person, parent: str) -> None:
    made = agent.do(create_task, CreateTask(prompt="Look", profile_id="less"))
    assert task_of(agent, made.created).parent_attempt == 1
    path = agent.vault / "agent-types" / "less" / "profile.md"
    path.write_text(path.read_text().replace('"Read"', '"mcp__far__away"'))
    asyncio.run(agent.use.sync())
    found = person.do(explain_task, NamedTask(task_id=made.created))
    assert found.refusal.code == "profile_wider_than_caller"
    assert f"attempt 1 of task {parent}" in found.refusal.message
    assert "allowed_tools" in found.refusal.message
    person.do(edit_task, EditTask(task_id=made.created, profile_id="less"))
    assert person.do(explain_task, NamedTask(task_id=made.created)).refusal is None


def test_a_project_default_that_grants_more_is_no_way_round(person, parent: str) -> None:
    """An agent under the built-in profile names none, and so would get whatever the project's default is."""
    person.begin(parent)
    narrow = as_agent(person, parent, replace(OWN, profile_id=SYSTEM_DEFAULT, allowed_tools=("Read",)))
    with pytest.raises(NotPermitted, match="allowed_tools"):
        narrow.do(create_task, CreateTask(prompt="Look"))


def test_another_project_is_refused(agent) -> None:
    with pytest.raises(NotPermitted, match="its own project, acme, and not in other"):
        agent.do(create_task, CreateTask(prompt="Look", project_id="other"))


def test_it_sees_its_own_task_and_its_children_and_no_others(person, agent, parent: str) -> None:
    stranger = person.do(create_task, CreateTask(project_id="acme", prompt="Secret")).created
    child = agent.do(create_task, CreateTask(prompt="Look")).created
    assert agent.do(get_task, NamedTask(task_id=parent)).task.id == parent
    assert agent.do(get_task, NamedTask(task_id=child)).task.id == child
    assert [row.id for row in agent.do(list_tasks, ListTasks()).tasks] == [child]
    for command in (get_task, explain_task):
        for unseen in (stranger, stranger[:8], "0" * 16):
            with pytest.raises(NotFound):
                agent.do(command, NamedTask(task_id=unseen))
    with pytest.raises(NotFound):
        agent.do(create_task, CreateTask(prompt="Look", depends_on=(stranger,)))
    assert [row.id for row in person.do(list_tasks, ListTasks(parent_id=parent)).tasks] == [child]


def test_there_is_an_end_to_children_and_generations(agent, person, monkeypatch) -> None:
    monkeypatch.setattr(subtasks, "CHILDREN", 2)
    one = agent.do(create_task, CreateTask(prompt="One")).created
    agent.do(create_task, CreateTask(prompt="Two"))
    with pytest.raises(Conflict, match="as many as they may"):
        agent.do(create_task, CreateTask(prompt="Three"))
    monkeypatch.setattr(subtasks, "DEPTH", 1)
    with pytest.raises(Conflict, match="1 generations from a person's"):
        as_agent(person, one).do(create_task, CreateTask(prompt="Deeper"))


def test_people_say_nothing_in_the_name_of_an_attempt(person) -> None:
    with pytest.raises(NotPermitted, match="ask_human is for agents"):
        person.do(ask_human, AskHuman(question="Why?"))
    with pytest.raises(NotPermitted, match="report_progress is for agents"):
        person.do(report_progress, ReportProgress(text="On it"))


def test_progress_is_a_fact_and_a_percentage_is_one(agent) -> None:
    agent.do(report_progress, ReportProgress(text="Half way", percent=50))
    assert "progress.reported" in agent.kinds()
    for wrong in (-1, 101):
        with pytest.raises(InvalidInput, match="percent must be"):
            agent.do(report_progress, ReportProgress(text="?", percent=wrong))
    with pytest.raises(InvalidInput, match="text must not be empty"):
        agent.do(report_progress, ReportProgress(text=" "))


def test_a_question_is_answered_once_by_a_person(person, parent: str) -> None:
    claim = person.begin(parent)
    with pytest.raises(IllegalTransition):
        person.do(answer_task, AnswerTask(task_id=parent, answer="Too early"))
    as_agent(person, parent).do(ask_human, AskHuman(question="Which colour?"))
    person.end(claim, Asked(question="Which colour?"))
    with pytest.raises(InvalidInput, match="answer must not be empty"):
        person.do(answer_task, AnswerTask(task_id=parent, answer=""))
    answered = person.do(answer_task, AnswerTask(task_id=parent[:10], answer="Blue"))
    assert (answered.answered, answered.state) == (parent, "READY")
    (question,) = person.do(get_task, NamedTask(task_id=parent)).questions
    assert (question.question, question.answer, question.answered_by) == ("Which colour?", "Blue", "operator")
    with pytest.raises(IllegalTransition):
        person.do(answer_task, AnswerTask(task_id=parent, answer="Red"))
