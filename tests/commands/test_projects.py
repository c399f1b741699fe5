"""Commands on projects."""

from pathlib import Path

import pytest

from orchestrator.commands.projects import (
    CreateProject,
    EditProject,
    ListProjects,
    NamedProject,
    create_project,
    edit_project,
    get_project,
    list_projects,
    pause_project,
    resume_project,
)
from orchestrator.commands.task_views import get_task
from orchestrator.commands.tasks import CreateTask, NamedTask, create_task
from orchestrator.domain.errors import AlreadyExists, InvalidInput, NotFound
from orchestrator.domain.project import CheckoutKind
from orchestrator.store import projects, queue


def test_a_project_is_created_with_a_checkout_that_suits_its_repository(bench, tmp_path: Path) -> None:
    (tmp_path / "code" / ".git").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    kinds = {
        None: CheckoutKind.EMPTY,
        str(tmp_path / "code"): CheckoutKind.WORKTREE,
        str(tmp_path / "docs"): CheckoutKind.DIRECTORY,
    }
    for number, (repository, kind) in enumerate(kinds.items()):
        done = bench.do(create_project, CreateProject(id=f"p{number}", repository=repository))
        assert done.checkout is kind
        assert done.warnings == ()


def test_a_repository_is_kept_in_one_spelling_since_projects_that_share_one_take_turns(bench) -> None:
    bench.do(create_project, CreateProject(id="acme", repository="//srv/./shop/"))
    bench.do(create_project, CreateProject(id="zeta"))
    bench.do(edit_project, EditProject(project_id="zeta", repository="/srv//shop/."))
    kept = [bench.database.read_sync(projects.get, name) for name in ("acme", "zeta")]
    assert [one and one.repository for one in kept] == ["/srv/shop"] * 2


def test_a_repository_that_is_not_there_is_a_warning(bench, tmp_path: Path) -> None:
    later = tmp_path / "later"
    absent = f"{later} is not a directory on this host"
    done = bench.do(create_project, CreateProject(id="acme", repository=str(later)))
    again = f"`orchestrator project edit acme --repository {later}` looks again"
    assert done.warnings == (f"{absent}, so checkout `directory` is only assumed; once it is there, {again}",)
    asked = CreateProject(id="zeta", repository=str(later), checkout=CheckoutKind.WORKTREE)
    assert bench.do(create_project, asked).warnings == (absent,)
    (later / ".git").mkdir(parents=True)
    assert bench.do(edit_project, EditProject(project_id="acme", repository=str(later))).warnings == ()
    found = bench.database.read_sync(projects.get, "acme")
    assert found is not None
    assert found.checkout is CheckoutKind.WORKTREE


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        (CreateProject(id="../up"), InvalidInput, "id must be 1 to 64"),
        (CreateProject(id="acme\n"), InvalidInput, "id must be 1 to 64"),
        (CreateProject(id="Acme"), InvalidInput, "id must be 1 to 64"),
        (CreateProject(id="a", name=" "), InvalidInput, "name must not be empty"),
        (CreateProject(id="a", weight=0), InvalidInput, "weight must be more than 0"),
        (CreateProject(id="a", weight=float("nan")), InvalidInput, "weight must be"),
        (CreateProject(id="a", max_concurrent=0), InvalidInput, "max_concurrent must be at least 1"),
        (CreateProject(id="a", budget_usd_per_day=-1), InvalidInput, "budget_usd_per_day"),
        (CreateProject(id="a", repository="code"), InvalidInput, "repository must be an absolute path"),
        (CreateProject(id="a", checkout=CheckoutKind.WORKTREE), InvalidInput, "needs a repository"),
        (CreateProject(id="a", default_profile_id="nobody"), NotFound, "profile nobody not found"),
        (CreateProject(id="a", default_profile_id="no/body"), InvalidInput, "default_profile_id must be"),
    ],
)
def test_a_project_that_is_not_valid_changes_nothing(bench, request_, error, said: str) -> None:
    before = bench.kinds()
    with pytest.raises(error, match=said):
        bench.do(create_project, request_)
    assert bench.do(list_projects, ListProjects()).count == 0
    assert bench.kinds() == before


def test_the_same_id_twice_already_exists(bench) -> None:
    bench.do(create_project, CreateProject(id="acme"))
    with pytest.raises(AlreadyExists, match="already exists"):
        bench.do(create_project, CreateProject(id="acme"))


def test_an_edit_changes_what_it_names_and_null_clears(bench) -> None:
    bench.do(create_project, CreateProject(id="acme", default_profile_id="reviewer", max_concurrent=2))
    done = bench.do(edit_project, EditProject(project_id="acme", default_profile_id=None, weight=2.0))
    assert done.fields == ("default_profile_id", "weight")
    project = bench.do(get_project, NamedProject(project_id="acme")).project
    assert (project.default_profile_id, project.weight, project.max_concurrent) == (None, 2.0, 2)


def test_an_edit_lifts_the_holds_of_the_tasks_it_may_have_been_about(bench) -> None:
    bench.do(create_project, CreateProject(id="acme"))
    task_id = bench.do(create_task, CreateTask(prompt="x")).created
    held = queue.Held(task_id=task_id, reason="checkout_busy", message="busy", until=bench.now + 600)
    bench.database.run_sync(queue.hold, [held], now=bench.now)
    assert bench.do(get_task, NamedTask(task_id=task_id)).task.hold == "checkout_busy"
    bench.do(edit_project, EditProject(project_id="acme", default_profile_id="reviewer"))
    assert bench.do(get_task, NamedTask(task_id=task_id)).task.hold is None


def test_an_edit_of_nothing_says_so(bench) -> None:
    bench.do(create_project, CreateProject(id="acme"))
    with pytest.raises(InvalidInput, match="No fields to update"):
        bench.do(edit_project, EditProject(project_id="acme"))


def test_a_project_shows_how_many_tasks_it_has_in_each_state(bench) -> None:
    bench.do(create_project, CreateProject(id="acme"))
    bench.do(create_task, CreateTask(prompt="one"))
    assert bench.do(get_project, NamedProject(project_id="acme")).tasks == {"READY": 1}


def test_pausing_is_said_once_however_often_it_is_asked(bench) -> None:
    bench.do(create_project, CreateProject(id="acme"))
    for _ in range(2):
        assert bench.do(pause_project, NamedProject(project_id="acme")).paused
    assert not bench.do(resume_project, NamedProject(project_id="acme")).paused
    assert bench.kinds()[-2:] == ["project.paused", "project.resumed"]


def test_an_unknown_project_is_not_found(bench) -> None:
    for handler in (get_project, pause_project, resume_project):
        with pytest.raises(NotFound, match="project acme not found"):
            bench.do(handler, NamedProject(project_id="acme"))
