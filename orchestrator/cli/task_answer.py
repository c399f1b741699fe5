"""`orchestrator task answer`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from orchestrator.cli import output
from orchestrator.cli.hints import typed
from orchestrator.cli.prompt import prompt_of
from orchestrator.cli.session import call
from orchestrator.commands import answers
from orchestrator.domain.errors import InvalidInput

Task = Annotated[str, Parameter(help="Id of the task, or at least 4 characters of its beginning or end.")]


def answer(
    task: Task,
    text: Annotated[
        str | None, Parameter(help="The answer; - reads stdin.", allow_leading_hyphen=True)
    ] = None,
    /,
    *,
    file: Annotated[Path | None, Parameter(help="A file with the answer; - is stdin.")] = None,
) -> None:
    """Answer what an agent asked; its session goes on."""
    given = prompt_of(None, text, file)
    if given is None:
        raise InvalidInput("answer: give the text, or --file", field="answer")
    done = call(answers.answer_task, answers.AnswerTask(task_id=task, answer=given))
    output.show(
        done,
        lambda it: [
            output.text(f"{it.answered} {it.state}: the agent goes on with the answer"),
            output.hint("follow it", typed(f"task watch {it.answered}")),
        ],
    )
