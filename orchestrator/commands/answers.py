"""The command that answers an agent's question."""

from dataclasses import dataclass
from typing import Final

from orchestrator.commands import checks
from orchestrator.commands.tasks import known_task
from orchestrator.commands.use import Use
from orchestrator.domain.task import Task, TaskState
from orchestrator.store import questions
from orchestrator.store.database import Transaction

ANSWER_CHARACTERS: Final = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerTask:
    task_id: str
    answer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskAnswered:
    answered: str
    state: TaskState


async def answer_task(use: Use, request: AnswerTask) -> TaskAnswered:
    """Answer what the agent of a task asked; it goes on in the same session."""
    text = checks.check_text(request.answer, "answer", most=ANSWER_CHARACTERS)
    now = use.clock()

    def write(tx: Transaction) -> Task:
        task = known_task(tx, request.task_id)
        return questions.answer(tx, task.id, text, by=use.caller.name, now=now)

    task = await use.database.run(write)
    return TaskAnswered(answered=task.id, state=task.state)
