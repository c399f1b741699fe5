"""Commands of an agent at work: ask a person, say how far it has come."""

from dataclasses import dataclass
from typing import Final

from orchestrator.commands import checks
from orchestrator.commands.use import Agent, Use
from orchestrator.domain.errors import NotPermitted
from orchestrator.domain.event import Event
from orchestrator.domain.question import Question
from orchestrator.store import events, questions
from orchestrator.store.database import Transaction

QUESTION_CHARACTERS: Final = 20_000
PROGRESS_CHARACTERS: Final = 2_000

STOP: Final = (
    "A person has been asked. Stop here: end your turn now, without further tool calls. This session goes on "
    "with the answer."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AskHuman:
    question: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HumanAsked:
    asked: str
    """The task that now waits for the answer."""
    next: str
    """What the agent is to do: nothing more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportProgress:
    text: str
    percent: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressReported:
    task_id: str
    attempt: int


async def ask_human(use: Use, request: AskHuman) -> HumanAsked:
    """Ask a person a question and stop: the task waits, and this session goes on with the answer.

    One question ends the attempt, so it should hold everything that has to be known.
    """
    agent = at_work(use, "ask_human")
    asked = Question(
        task_id=agent.task_id,
        attempt=agent.attempt,
        question=checks.check_text(request.question, "question", most=QUESTION_CHARACTERS),
        asked_at=use.clock(),
    )
    await use.database.run(questions.ask, asked, project_id=agent.project_id)
    return HumanAsked(asked=agent.task_id, next=STOP)


async def report_progress(use: Use, request: ReportProgress) -> ProgressReported:
    """Tell those who watch how far the work has come, in words and, when it can be said, in percent."""
    agent = at_work(use, "report_progress")
    text = checks.check_text(request.text, "text", most=PROGRESS_CHARACTERS)
    checks.check_number(request.percent, "percent", least=0, most=100)
    fact = Event(
        kind="progress.reported",
        subject=f"task/{agent.task_id}/attempt/{agent.attempt}",
        at=use.clock(),
        data={"attempt": agent.attempt, "text": text, "percent": request.percent},
        project_id=agent.project_id,
        task_id=agent.task_id,
    )

    def write(tx: Transaction) -> None:
        events.append(tx, fact)

    await use.database.run(write)
    return ProgressReported(task_id=agent.task_id, attempt=agent.attempt)


def at_work(use: Use, tool: str) -> Agent:
    """The agent that calls. Raises NotPermitted for a person: this is said in the name of an attempt."""
    if use.caller.agent is None:
        raise NotPermitted(f"{tool} is for agents: it needs the token of an attempt that goes on")
    return use.caller.agent
