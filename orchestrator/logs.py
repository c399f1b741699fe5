"""Logs: one event name and its fields a line, JSON for programs or columns for people."""

import contextlib
import logging
import sys
from typing import Any, TextIO, cast

import structlog
from structlog.tracebacks import ExceptionDictTransformer

_TRACEBACKS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
"""Where it went wrong, without the values it went wrong with: these hold prompts and credentials."""


class Steadfast:
    """A stream that drops what it cannot write. A full disk or a closed terminal is no reason to stop work;
    what must not be lost is a row, not a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def configure(*, style: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Set up structlog for this process. `style` is auto (columns on a terminal), json or console.

    Identity is bound by the worker with `structlog.contextvars`; whoever logs never passes a secret, a prompt
    or a whole configuration.
    """
    out = stream if stream is not None else sys.stderr
    pretty = style == "console" or (style == "auto" and out.isatty())
    renderer: Any
    if pretty:
        renderer = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), pad_event_to=24, exception_formatter=structlog.dev.plain_traceback
        )
    else:
        renderer = structlog.processors.JSONRenderer(sort_keys=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([] if pretty else [_TRACEBACKS]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, Steadfast(out))),
        cache_logger_on_first_use=False,
    )
    # What libraries say through the standard library is rare and worth seeing, in one line each.
    logging.basicConfig(
        level=logging.WARNING, stream=out, format="%(levelname)s %(name)s: %(message)s", force=True
    )
