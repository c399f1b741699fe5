"""What the logs promise: one line an event, and never a reason to stop."""

import io
import json
from pathlib import Path

import pytest
import structlog

from orchestrator import logs


def test_a_line_is_one_event_with_its_fields_as_json() -> None:
    out = io.StringIO()
    logs.configure(style="json", stream=out)
    with structlog.contextvars.bound_contextvars(task_id="t1"):
        structlog.get_logger().info("profile.applied", profile="reviewer")
    line = json.loads(out.getvalue())
    assert (line["event"], line["task_id"], line["profile"]) == ("profile.applied", "t1", "reviewer")


def test_a_level_hides_what_is_below_it() -> None:
    out = io.StringIO()
    logs.configure(style="json", level="warning", stream=out)
    structlog.get_logger().info("seen.not")
    assert out.getvalue() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_loses_the_line_and_nothing_else() -> None:
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - closing it fails, which is asserted
    logs.configure(style="json", stream=full)
    structlog.get_logger().info("profile.applied")
    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_a_closed_stream_loses_the_line_and_nothing_else() -> None:
    out = io.StringIO()
    logs.configure(style="json", stream=out)
    out.close()
    structlog.get_logger().info("profile.applied")


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_the_place_and_no_values(style: str) -> None:
    def fail(secret: str) -> None:
        raise RuntimeError(len(secret))

    out = io.StringIO()
    logs.configure(style=style, stream=out)
    try:
        fail("-".join(("canary", "value")))
    except RuntimeError:
        structlog.get_logger().exception("attempt.fault")
    assert "RuntimeError" in out.getvalue()
    assert "canary-value" not in out.getvalue()
