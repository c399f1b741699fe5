"""Which addresses a remote may have: https, ssh and paths; everything else is refused."""

import re
from typing import Final
from urllib.parse import urlsplit

_HELPER: Final = re.compile(r"[A-Za-z0-9+.-]*::")
"""`ext::command` and its like: the part before names a program that git would start."""
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]")
_USER: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9._+-]*")
_SCP: Final = re.compile(r"(?:(?P<user>[^@:/]*)@)?(?P<host>\[[^\]]*\]|[^:/\[]*):(?P<path>.*)", re.DOTALL)
_SECRET: Final = re.compile(r"(?<=://)[^/\s]*@")

SCHEMES: Final = ("https", "ssh")


def refusal(url: str) -> str | None:
    """Why no connection is made to this address; `None` when it may be used."""
    shown = masked(url)[:200]
    if not url or not url.isprintable():
        return f"the address {shown!a} is empty or has characters that cannot be shown"
    if url.startswith("-"):
        return f"the address {shown} looks like an option"
    if _HELPER.match(url):
        return f"the address {shown} would start a program; use https, ssh or a path"
    if scheme := _SCHEME.match(url):
        return _refused_scheme(url, scheme.group(1), shown)
    if path_of(url) is None and (scp := _SCP.fullmatch(url)):
        return _refused_parts(scp["user"], scp["host"], scp["path"], shown)
    if url.startswith("~"):
        return f"the address {shown} must be a full path"
    return None


def path_of(url: str) -> str | None:
    """The path that an address of ours is; `None` for one that leads to a host."""
    if _SCHEME.match(url):
        return None
    return url if url.startswith(("/", "./", "../")) or not _SCP.fullmatch(url) else None


def masked(text: str) -> str:
    """Text without the names and passwords that addresses in it carry."""
    return _SECRET.sub("********@", text)


def _refused_scheme(url: str, scheme: str, shown: str) -> str | None:
    if scheme not in SCHEMES:
        return f"{scheme}:// is not used for the address {shown}; use https, ssh or a path"
    try:
        parts = urlsplit(url)
        host, user = parts.netloc.rpartition("@")[2], parts.username
        _ = parts.port
    except ValueError:
        # Not shown: where it is cut wrongly, a password could be taken for a part of the path.
        return f"an address of {scheme}:// is not valid; a password in it must be percent-encoded"
    if scheme == "ssh" and parts.password is not None:
        return f"the address {shown} has a password, which ssh does not take; use a key"
    host = host if host.endswith("]") else re.sub(r":\d*$", "", host)
    return _refused_parts(user if scheme == "ssh" else None, host, parts.path, shown)


def _refused_parts(user: str | None, host: str, path: str, shown: str) -> str | None:
    """The host becomes an argument of ssh and the path one of a program on the other side."""
    if not _HOST.fullmatch(host) or (user is not None and not _USER.fullmatch(user)):
        return f"the address {shown} has no usable host or user name"
    if path.lstrip("/").startswith("-") or not path.strip("/"):
        return f"the address {shown} has no usable path"
    return None
