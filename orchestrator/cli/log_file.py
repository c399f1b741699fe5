"""The log while the terminal shows tasks: a file of bounded size that only its owner reads."""

import io
import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Final

KEPT: Final = 1
"""Full files beside the one that is written: `orchestrator.log.1`."""


class LogFile(io.TextIOBase):
    """A stream for lines. At `most` bytes the file becomes the earlier one, in place of the one before; 0
    lets it grow. Raises OSError where it cannot be opened; later, lines that cannot be kept are dropped."""

    def __init__(self, path: Path, *, most: int) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._handler = _Private(path, maxBytes=most, backupCount=KEPT, encoding="utf-8")

    def write(self, text: str) -> int:
        # One line a write, except for the line feed that `print` writes by itself.
        if line := text.rstrip("\n"):
            self._handler.handle(logging.LogRecord("", logging.INFO, "", 0, line, None, None))
        return len(text)

    def close(self) -> None:
        self._handler.close()
        super().close()


class _Private(RotatingFileHandler):
    def _open(self) -> IO[str]:  # type: ignore[override]  # any text stream will do
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_for_its_owner)

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk is no reason to write over the screen."""


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
