from dataclasses import replace

from orchestrator.domain.attempt import Attempt
from orchestrator.domain.question import Question
from orchestrator.domain.task import Task, TaskState
from orchestrator.harness.claude.config import CLAUDE_DEFAULTS
from orchestrator.worker.prompt import NOTE_LIMIT, retry_notes, task_context

TASK = Task(
    id="t1",
    project_id="acme",
    title="Mend the gate",
    prompt="It squeaks.\n",
    state=TaskState.ASSIGNED,
    created_at=0,
    updated_at=0,
    attempt=3,
)


def attempt(number: int, outcome: str | None, message: str = "m") -> Attempt:
    ended = None if outcome is None else 2.0
    return Attempt(
        task_id="t1",
        number=number,
        worker="w",
        started_at=1.0,
        ended_at=ended,
        outcome=outcome,
        message=message,
    )


def prompt_of(*earlier: Attempt, resume: str | None = None, questions: tuple[Question, ...] = ()) -> str:
    effective = replace(CLAUDE_DEFAULTS, system_prompt_suffix="You mend.")
    context = task_context(
        TASK,
        effective,
        servers=(),
        checkout="/c",
        attempt_directory="/a",
        session_id="s",
        resume_transcript=resume,
        earlier=earlier,
        secrets={},
        questions=questions,
    )
    assert context.role_instructions == "You mend."
    assert (context.task_id, context.attempt, context.project_id) == ("t1", 3, "acme")
    return context.prompt


def test_a_first_attempt_is_given_the_task_and_nothing_else() -> None:
    assert prompt_of() == "# Mend the gate\n\nIt squeaks."


def test_a_later_attempt_is_told_how_the_earlier_ones_ended() -> None:
    told = prompt_of(attempt(2, "hung", "Silent for\n900 s."), attempt(1, "crashed", ""))
    assert told.endswith("- Attempt 1 ended: crashed.\n- Attempt 2 ended: hung. Silent for 900 s.")
    assert told.startswith("# Mend the gate\n\nIt squeaks.\n\n## Earlier attempts")


def test_what_had_nothing_to_do_with_the_work_is_not_told() -> None:
    assert retry_notes([attempt(1, "rate_limited"), attempt(2, "held"), attempt(3, None)]) == ""


def test_a_resumed_session_is_told_to_look_before_it_goes_on() -> None:
    told = prompt_of(attempt(1, "crashed"), resume="/a/1/s.jsonl")
    assert "Look at the present state first" in told
    assert "It squeaks" not in told, "the session knows its task"


def test_a_resumed_session_is_told_what_stopped_it() -> None:
    before = attempt(1, "interrupted")
    told = prompt_of(before, attempt(2, "rate_limited"), attempt(3, "held"), resume="/s.jsonl")
    assert told.startswith("The model's service had reached its limit of requests")
    assert "restart" not in told
    assert prompt_of(before, resume="/s.jsonl").startswith("You were interrupted by a restart")
    assert prompt_of(attempt(1, "max_turns"), resume="/s.jsonl").startswith("You had reached your limit")
    assert prompt_of(resume="/s.jsonl").startswith("You were interrupted; this is the same session")


def test_an_endless_message_is_cut() -> None:
    assert len(retry_notes([attempt(1, "crashed", "x" * 100_000)])) < NOTE_LIMIT + 400


def test_a_prompt_never_begins_with_a_slash() -> None:
    """To the agent's command line that would be a command of its own."""
    assert prompt_of().startswith("#")


def asked(attempt: int, question: str, answer: str | None) -> Question:
    return Question(task_id="t1", attempt=attempt, question=question, asked_at=1.0, answer=answer)


def test_a_session_that_asked_goes_on_with_the_answer_and_nothing_else() -> None:
    told = prompt_of(attempt(1, "asked"), resume="/s.jsonl", questions=(asked(1, "Which colour?", "Blue"),))
    assert told == "You asked: Which colour?\n\nThe answer of a person: Blue"


def test_an_attempt_that_was_told_nothing_does_not_come_between_question_and_answer() -> None:
    questions = (asked(1, "Which colour?", "Blue"),)
    told = prompt_of(attempt(1, "asked"), attempt(2, "held"), resume="/s.jsonl", questions=questions)
    assert told.startswith("You asked: Which colour?")


def test_an_answer_that_may_not_have_been_heard_is_told_again() -> None:
    questions = (asked(1, "Which colour?", "Blue"),)
    told = prompt_of(attempt(1, "asked"), attempt(2, "interrupted"), resume="/s.jsonl", questions=questions)
    assert told.startswith("You were interrupted")
    assert told.endswith("The answer of a person: Blue")


def test_a_session_that_is_gone_leaves_questions_and_answers_to_the_next() -> None:
    questions = (asked(1, "Which colour?", "Blue"), asked(2, "Which brush?", None))
    told = prompt_of(attempt(1, "asked"), attempt(2, "crashed", "It broke."), questions=questions)
    assert "Question: Which colour?\n\nAnswer: Blue" in told
    assert "Which brush?" not in told
    assert "Attempt 1" not in told, "having asked is no failure"
    assert told.index("Which colour?") < told.index("It broke.")


def test_a_session_that_nobody_answered_is_told_so_when_a_person_retries_it() -> None:
    told = prompt_of(attempt(1, "asked"), resume="/s.jsonl", questions=(asked(1, "Which colour?", None),))
    assert told.startswith("You had asked a question that nobody answered, and a person asked you to go on")
