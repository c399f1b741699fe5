"""Name and password of an https remote: taken out of its address, told to git through a pipe."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from orchestrator.domain.secret import REFERENCE
from orchestrator.vault.git.state import CycleEnded, GitState

MOST_CHARACTERS: Final = 1000
"""Of a name or a password: tokens have a few hundred at most, and so many fit into a pipe at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """`url` is the address without them. Git asks for them when the host does."""

    url: str
    user: str = field(repr=False)
    password: str = field(repr=False)


def credential_of(url: str, secrets: Mapping[str, str], *, netrc: bool) -> Credential | None:
    """What an address has before its host, each `${NAME}` replaced by the secret of that name.

    A name alone is looked up in `~/.netrc` by git, and is left to it with `netrc`; where there is no such
    file it can only be a token. Raises CycleEnded for a secret that is missing or cannot be one.
    """
    if not url.lower().startswith("https://"):
        return None
    parts = urlsplit(url)
    given, at, host = parts.netloc.rpartition("@")
    user, colon, password = given.partition(":")
    if not at or (netrc and not colon):
        return None
    return Credential(
        url=parts._replace(netloc=host).geturl(),
        user=_resolved(unquote(user), secrets),
        password=_resolved(unquote(password), secrets),
    )


def _resolved(text: str, secrets: Mapping[str, str]) -> str:
    for name in REFERENCE.findall(text):
        if name not in secrets:
            raise CycleEnded(
                GitState.CREDENTIALS,
                f"The remote's address refers to ${{{name}}}, and there is no secret of that name; add it to "
                "the secrets.",
            )
    value = REFERENCE.sub(lambda found: secrets[found[1]], text)
    if len(value) > MOST_CHARACTERS or (value and not value.isprintable()):
        raise CycleEnded(
            GitState.CREDENTIALS,
            f"Name or password of the remote has more than {MOST_CHARACTERS} characters, or some that cannot "
            "be shown.",
        )
    return value


@contextmanager
def offered(credential: Credential | None) -> Iterator[tuple[tuple[int, ...], dict[str, str]]]:
    """The end of a pipe that git is to inherit, and the configuration that has it read there; nothing of
    both without a credential.

    Neither an argument nor a variable nor a file has the password, so it stands in no list of processes.
    """
    if credential is None:
        yield (), {}
        return
    reading, writing = os.pipe()
    try:
        try:
            os.write(writing, f"username={credential.user}\npassword={credential.password}\n".encode())
        finally:
            os.close(writing)
        parts = urlsplit(credential.url)
        # By its path: of a descriptor above 9 not every shell can read with `<&`.
        helper = f'!f() {{ test "$1" != get || cat /dev/fd/{reading}; }}; f'
        yield (reading,), {f"credential.{parts.scheme}://{parts.netloc}.helper": helper}
    finally:
        os.close(reading)
