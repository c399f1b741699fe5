"""What an agent asks a person, and what it is answered."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Asked by an attempt, which ends with it; answered by a person. Times are Unix seconds."""

    task_id: str
    attempt: int
    question: str
    asked_at: float
    answer: str | None = None
    """`None` while nobody has answered."""
    answered_at: float | None = None
    answered_by: str | None = None
