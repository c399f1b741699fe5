"""The machine and the versions under a figure: without them it says nothing."""

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path


def describe(*packages: str) -> str:
    """One line for the head of every table. `packages` adds the versions of installed distributions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    versions = ", ".join(f"{name} {version(name)}" for name in ("sqlalchemy", *packages))
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory} GiB, {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}; "
        f"load {os.getloadavg()[0]:.1f}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
