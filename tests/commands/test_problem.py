"""Errors as problem details."""

from orchestrator.commands.problem import problem
from orchestrator.domain import errors


def every_error() -> list[type[errors.OrchestratorError]]:
    found, left = [], [errors.OrchestratorError]
    while left:
        kind = left.pop()
        found.append(kind)
        left += kind.__subclasses__()
    return found


def test_every_error_has_a_problem_with_its_own_type() -> None:
    for kind in every_error():
        details = problem(kind("what happened", field="a.b"))
        assert details["type"] == f"urn:orchestrator:problem:{kind.code}"
        assert details["detail"] == "what happened"
        assert details["field"] == "a.b"
        assert 400 <= details["status"] < 600


def test_no_field_is_named_where_none_is_at_fault() -> None:
    assert "field" not in problem(errors.NotFound())
