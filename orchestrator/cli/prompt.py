"""The prompt of a task: from the command line, a file or stdin."""

import sys
from pathlib import Path
from typing import BinaryIO

from orchestrator.commands.checks import PROMPT_BYTES
from orchestrator.domain.errors import InvalidInput


def prompt_of(text: str | None, option: str | None, file: Path | None) -> str | None:
    """The one that was given; `-` is stdin. Raises InvalidInput when there are two, or it is not UTF-8."""
    if sum(given is not None for given in (text, option, file)) > 1:
        raise InvalidInput(
            "give the prompt once: as text, with --prompt or with --prompt-file", field="prompt"
        )
    if "-" in (option, str(file)):
        return _decoded(sys.stdin.buffer, "stdin")
    if file is None:
        return text if option is None else option
    try:
        with file.open("rb") as opened:
            return _decoded(opened, str(file))
    except OSError as error:
        raise InvalidInput(
            f"prompt_file: {file} cannot be read: {error.strerror}", field="prompt_file"
        ) from None


def _decoded(source: BinaryIO, name: str) -> str:
    # One byte more than may be: enough to refuse it, without reading a disk image to its end.
    data = source.read(PROMPT_BYTES + 1)
    if len(data) > PROMPT_BYTES:
        raise InvalidInput(f"prompt: {name} has more than {PROMPT_BYTES:,} bytes", field="prompt")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"prompt: {name} is not UTF-8 at byte {error.start:,}", field="prompt") from None
